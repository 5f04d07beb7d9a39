"""A store on a server that keeps float16 vectors answers as one in a folder does."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pe_search.directories import store_at
from pe_search.records import Clip, Content
from pe_search.store import Store
from pe_search.store.merge import merge
from pe_search.store.milvus import finder as finder_module
from tests.made_up import manifest
from tests.recordings import MANIFEST
from tests.store.milvus.test_store import answers, fill

pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
from tests.store.milvus.float16 import Float16Servicer, serving


@pytest.fixture
def server(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(finder_module, "_FEW", 0)
    monkeypatch.setattr(finder_module, "_AT_LEAST", 1)
    monkeypatch.setattr(finder_module, "_AT_LEAST_LIKE", 1)
    with serving(tmp_path / "server") as one:
        yield one


def test_answers_and_embeddings_are_those_of_a_store_in_a_folder(server, tmp_path, cache):
    address, servicer = server
    with Store.create(tmp_path / "local", MANIFEST) as local:
        fill(local)
        with Store.create(store_at(f"{address}/birds"), MANIFEST) as ours:
            assert merge(ours, local) == 60
            assert answers(ours) == answers(local)
            assert ours._mirror._server._has_float16()
        shutil.rmtree(cache)
        with Store.open(store_at(f"{address}/birds")) as again:
            assert answers(again) == answers(local)
            for clip in local.catalog.clips():
                held, right = again.catalog.content(clip), local.catalog.content(clip)
                assert held.embeddings.tobytes() == right.embeddings.tobytes()
    assert servicer.queries


def put(store: Store, vectors: np.ndarray) -> None:
    clips = [(Clip(Path(f"/{row}.wav"), 1, 1), b"%d" % row) for row in range(len(vectors))]
    contents = [
        Content(b"%d" % row, [(0.0, 10.0)], vectors[row : row + 1], is_whole=True) for row in range(len(vectors))
    ]
    store.catalog.commit(contents=contents, clips=clips)


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-7])
def test_what_a_query_loses_as_float16_changes_no_answer(server, tmp_path, scale):
    """Its numbers are rounded, may be too great for float16, and may be too small."""
    address, servicer = server
    random = np.random.default_rng(1)
    query = random.uniform(0.4, 1.0, 64).astype(np.float32)
    seen = (query / query.max()).astype(np.float16).astype(np.float32)
    # All the same to a float16 query, and apart in a direction that it has lost.
    lost = query - seen * (query @ seen) / (seen @ seen)
    vectors = 3 * query + random.normal(size=(300, 1)) * lost * 20_000
    with (
        Store.create(tmp_path / "local", manifest(dimension=64)) as local,
        Store.create(store_at(f"{address}/close"), manifest(dimension=64)) as ours,
    ):
        for store in (local, ours):
            put(store, vectors.astype(np.float32))
        asked = query * np.float32(scale)
        for k in (1, 3, 10):
            found, right = (store.finder.best_matches(asked, k) for store in (ours, local))
            assert found.best == right.best
        sent = servicer.queries[-1]
        assert np.isfinite(sent).all()
        assert np.count_nonzero(sent) == 64
    assert isinstance(servicer, Float16Servicer)

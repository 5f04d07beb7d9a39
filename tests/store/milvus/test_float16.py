"""A store on a server that keeps float16 vectors answers as one in a folder does."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pe_search.directories import store_at
from pe_search.errors import StoreError
from pe_search.records import Clip, Content
from pe_search.store import Store
from pe_search.store.merge import merge
from pe_search.store.milvus import connection
from pe_search.store.milvus import finder as finder_module
from pe_search.store.milvus.client import Server
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


def test_a_large_store_gets_lists_once_and_exact_goes_through_all(server, tmp_path, monkeypatch):
    address, _ = server
    monkeypatch.setattr(finder_module, "LISTS_FROM", 60)
    monkeypatch.setattr(finder_module, "_AT_LEAST", 64)
    made: list[str] = []
    use_index, search = Server.use_index, Server.search
    probes: list[int | None] = []

    def counted(one: Server, index_type: str, parameters: dict[str, int]) -> None:
        made.append(index_type)
        use_index(one, index_type, parameters)

    def watched(one: Server, *args, **options):
        probes.append(options["probes"])
        return search(one, *args, **options)

    monkeypatch.setattr(Server, "use_index", counted)
    monkeypatch.setattr(Server, "search", watched)
    query = np.random.default_rng(6).normal(size=3).astype(np.float32)
    with (
        Store.create(tmp_path / "local", MANIFEST) as local,
        Store.create(store_at(f"{address}/large"), MANIFEST) as ours,
    ):
        fill(ours, 20)
        assert not made
        with Store.open(store_at(f"{address}/large")) as reader:
            reader.finder.best_matches(query, 3)
            assert probes.pop() is None
            for store in (ours, local):
                fill(store)
                store.catalog.commit(removed=[Path("/s/a/3.wav")])
                store.catalog.drop_unused_contents()
                store.finder.refresh()
            assert made == ["IVF_FLAT"]
            # Who was there before sees it too.
            found = reader.finder.best_matches(query, 3)
            assert probes.pop() == finder_module._PROBES
            assert not found.effort.is_exact
            found = reader.finder.best_matches(query, 3, exact=True)
            assert probes.pop() == finder_module._LISTS
            assert found.effort.is_exact
            assert found.best == local.finder.best_matches(query, 3).best
        assert answers_without_effort(ours) == answers_without_effort(local)


def answers_without_effort(store: Store) -> list[object]:
    return [found.best for found in answers(store)]


def test_killed_between_two_indexes_the_store_has_one_again(server, monkeypatch):
    address, _ = server
    place = store_at(f"{address}/killed")
    query = np.ones(3, np.float32)
    with Store.create(place, MANIFEST) as ours:
        fill(ours, 20)
        right = ours.finder.best_matches(query, 5).best
        client = ours._mirror._server._client
        with monkeypatch.context() as patched:
            patched.setattr(finder_module, "LISTS_FROM", 10)
            patched.setattr(client, "create_index", lambda *_args, **_options: 1 / 0)
            with pytest.raises(StoreError, match="Milvus has not answered"):
                patched.setattr(connection, "PATIENCE_S", 0.1)
                ours.finder.refresh()
    with Store.open(place) as reader:
        assert reader.finder.best_matches(query, 5).best == right
        assert reader._mirror._server.index_type() == "FLAT"
    monkeypatch.setattr(finder_module, "LISTS_FROM", 10)
    with Store.open(place, read_only=False) as ours:
        ours.finder.refresh()
        assert ours._mirror._server.index_type() == "IVF_FLAT"
        assert ours.finder.best_matches(query, 5).best == right

"""A query becomes hits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pe_search.queries import Hit, Query, Request
from pe_search.records import Clip
from pe_search.search.searching import RememberingEmbedder, search
from pe_search.store import Store
from pe_search.store.finder import Finder
from tests.made_up import FakeEmbedder, manifest, put_clips

MANIFEST = manifest(logit_scale=0.5, logit_bias=-1.0)
EMBEDDINGS = {
    "/s/dog.wav": [(8, 0, 0), (4, 1, 0)],
    "/s/rain.wav": [(0, 6, 0)],
    "/s/old/both.wav": [(2, 2, 0), (6, 0, 0), (0, 4, 0)],
}


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    """Three clips with embeddings that are easy to multiply."""
    with Store.create(tmp_path / "store", MANIFEST) as opened:
        put_clips(
            opened,
            (
                (
                    Clip(Path(path), 1, 1),
                    [(10.0 * row, 10.0 * row + 10.0) for row in range(len(vectors))],
                    np.array(vectors, np.float32),
                )
                for path, vectors in EMBEDDINGS.items()
            ),
        )
        yield opened


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def hit(query: str, rank: int, path: str, start_s: float, score: float) -> Hit:
    return Hit(
        query, rank, Path(path), start_s, start_s + 10, score, pytest.approx(sigmoid(score * 0.5 - 1), rel=1e-12)
    )


def request(*texts: str, k: int = 10, **options) -> Request:
    choices = {"under": None, "all_windows": False, "min_probability": 0.0, "fdr": None, "exact": False} | options
    return Request(tuple(Query((text,), (), (), ()) for text in texts), k, **choices)


def ask(store: Store, query: str, k: int = 10, **options) -> list[Hit]:
    (answer,) = search(store, FakeEmbedder(), request(query, k=k, **options))
    return list(answer.hits)


def test_each_clip_once_by_its_best_window(store):
    assert ask(store, "1 0 0") == [
        hit("1 0 0", 1, "/s/dog.wav", 0.0, 8.0),
        hit("1 0 0", 2, "/s/old/both.wav", 10.0, 6.0),
        hit("1 0 0", 3, "/s/rain.wav", 0.0, 0.0),
    ]


def test_all_windows(store):
    query = "1 0.5 0"
    assert ask(store, query, all_windows=True) == [
        hit(query, 1, "/s/dog.wav", 0.0, 8.0),
        hit(query, 2, "/s/old/both.wav", 10.0, 6.0),
        hit(query, 3, "/s/dog.wav", 10.0, 4.5),
        hit(query, 4, "/s/old/both.wav", 0.0, 3.0),
        hit(query, 5, "/s/rain.wav", 0.0, 3.0),
        hit(query, 6, "/s/old/both.wav", 20.0, 2.0),
    ]


def test_no_more_than_k(store):
    assert [found.path.name for found in ask(store, "1 0 0", 2)] == ["dog.wav", "both.wav"]
    assert [found.start_s for found in ask(store, "1 0 0", 2, all_windows=True)] == [0.0, 10.0]


def test_only_under_a_folder_or_one_clip(store):
    assert ask(store, "1 0 0", under=Path("/s/old")) == [hit("1 0 0", 1, "/s/old/both.wav", 10.0, 6.0)]
    assert ask(store, "0 1 0", 1, under=Path("/s/dog.wav")) == [hit("0 1 0", 1, "/s/dog.wav", 10.0, 1.0)]
    assert ask(store, "1 0 0", under=Path("/elsewhere")) == []


def test_the_ranking_is_by_the_plain_inner_product(store):
    # By the cosine, the second window of both.wav, (6, 0, 0), would equal the first of dog.wav, (8, 0, 0).
    scores = [found.score for found in ask(store, "3 0 0", all_windows=True)]
    assert scores == [24.0, 18.0, 12.0, 6.0, 0.0, 0.0]


def test_hits_below_the_least_probability_are_left_out(store):
    threshold = sigmoid(6 * 0.5 - 1)
    assert [found.score for found in ask(store, "1 0 0", min_probability=threshold)] == [8.0, 6.0]
    assert [found.score for found in ask(store, "1 0 0", min_probability=np.nextafter(threshold, 1))] == [8.0]
    assert ask(store, "1 0 0", min_probability=1.0) == []
    assert [found.rank for found in ask(store, "1 0 0", min_probability=0.0)] == [1, 2, 3]


def test_each_query_is_answered_in_turn(store):
    queries = ["0 1 0", "1 0 0", "0 1 0", "0 0 1"]
    answers = [list(answer.hits) for answer in search(store, FakeEmbedder(), request(*queries, k=1))]
    assert answers == [
        [hit("0 1 0", 1, "/s/rain.wav", 0.0, 6.0)],
        [hit("1 0 0", 1, "/s/dog.wav", 0.0, 8.0)],
        [hit("0 1 0", 1, "/s/rain.wav", 0.0, 6.0)],
        [hit("0 0 1", 1, "/s/dog.wav", 0.0, 0.0)],
    ]


def test_an_answer_is_there_before_the_next_query_is_looked_at(store, monkeypatch):
    asked = []
    best_matches = Finder.best_matches

    def noting(self, embedding: NDArray[np.float32], *arguments, **options):
        asked.append(embedding.tolist())
        return best_matches(self, embedding, *arguments, **options)

    monkeypatch.setattr(Finder, "best_matches", noting)
    answers = search(store, FakeEmbedder(), request("1 0 0", "0 1 0", k=1))
    assert next(answers).hits[0].path == Path("/s/dog.wav")
    assert asked == [[1, 0, 0]]


def test_the_queries_are_embedded_all_at_once(store):
    asked: list[list[str]] = []

    class Noting(FakeEmbedder):
        def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
            asked.append(list(texts))
            return super().embed_texts(texts)

    list(search(store, Noting(), request("1 0 0", "0 1 0", "0 0 1", k=1)))
    assert asked == [["1 0 0", "0 1 0", "0 0 1"]]


def test_an_empty_store_has_no_hit(tmp_path):
    with Store.create(tmp_path / "empty", MANIFEST) as empty:
        assert ask(empty, "1 0 0") == []


class TextRecorder(FakeEmbedder):
    """Records the texts that it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append(list(texts))
        return super().embed_texts(texts)


def test_only_new_texts_are_embedded_each_once_and_the_order_is_kept(store):
    recorder = TextRecorder()
    remembering = RememberingEmbedder(store.remembered_texts, lambda: recorder, FakeEmbedder)
    assert remembering.embed_texts(["1 0 0", "0 1 0", "1 0 0"]).tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert remembering.embed_texts(["0 0 1", "0 1 0", "1 0 0"]).tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert recorder.asked == [["1 0 0", "0 1 0"], ["0 0 1"]]


def test_the_embedder_is_loaded_for_a_new_text_only_and_once(store):
    loads = []

    def load() -> FakeEmbedder:
        loads.append("loaded")
        return FakeEmbedder()

    RememberingEmbedder(store.remembered_texts, FakeEmbedder, FakeEmbedder).embed_texts(["1 0 0"])
    remembering = RememberingEmbedder(store.remembered_texts, load, FakeEmbedder)
    remembering.embed_texts(["1 0 0"])
    assert loads == []
    remembering.embed_texts(["1 0 0", "0 1 0"])
    remembering.embed_texts(["0 0 1"])
    assert loads == ["loaded"]

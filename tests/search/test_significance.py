"""Hits that stand out against what unrelated texts score: planted ones are found, noise is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pe_search.efforts import EmbeddingEffort, SearchEffort
from pe_search.queries import Answer, Hit, Query, Request, Term
from pe_search.records import Clip
from pe_search.search import significance
from pe_search.search.composing import compose, weights
from pe_search.search.searching import search
from pe_search.search.significance import Background, unrelated_texts
from pe_search.store import Store
from tests.made_up import FakeEmbedder, manifest, put_clips

DIMENSION = 16
MANIFEST = manifest(dimension=DIMENSION, logit_bias=-4.0)


class Drawing(FakeEmbedder):
    """Draws a text's embedding from its own letters: any two texts have nothing to do with each other."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        seeds = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) for text in texts]
        return np.array([np.random.default_rng(seed).standard_normal(DIMENSION) for seed in seeds], np.float32)


def numbers(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)


@pytest.fixture
def make(tmp_path) -> Callable[..., Store]:
    """Make a store of clips of so many windows each, of the given embeddings."""

    def store_of(embeddings: NDArray[np.float32], windows: int = 1) -> Store:
        store = Store.create(tmp_path / f"store-{len(list(tmp_path.iterdir()))}", MANIFEST)
        put_clips(
            store,
            (
                (
                    Clip(Path(f"/s/{first:04}.wav"), 1, 1),
                    [(10.0 * row, 10.0 * row + 10) for row in range(windows)],
                    embeddings[first : first + windows],
                )
                for first in range(0, len(embeddings), windows)
            ),
        )
        store.finder.refresh()
        return store

    return store_of


def plain(text: str) -> Query:
    return Query((text,), (), (), ())


def ask(store: Store, *queries: Query, fdr: float | None = 0.05, k: int = 1_000, **options) -> list[list[Hit]]:
    choices = {"under": None, "all_windows": False, "min_probability": 0.0, "exact": False} | options
    return [list(answer.hits) for answer in search(store, Drawing(), Request(queries, k, fdr=fdr, **choices))]


def test_of_noise_nothing_stands_out_but_in_the_share_of_queries_that_was_asked_for(make):
    store = make(numbers(400))
    queries = [plain(f"noise {number}") for number in range(400)]
    found = {fdr: sum(bool(hits) for hits in ask(store, *queries, fdr=fdr, k=10)) for fdr in (0.05, 0.2)}
    # Of 400, 20 and 80 are expected at most, with standard deviations of 4.4 and 8; the numbers are seeded.
    assert found == {0.05: 22, 0.2: 76}


def test_what_is_planted_is_found_and_nothing_else(make):
    embeddings = numbers(400)
    (signal,) = Drawing().embed_texts(["signal"])
    planted = [7, 100, 399]
    embeddings[planted] += 4 * signal
    store = make(embeddings)
    (hits,) = ask(store, plain("signal"))
    assert sorted(hit.path.stem for hit in hits) == [f"{row:04}" for row in planted]
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert ask(store, plain("another")) == [[]]


def test_one_window_in_a_whole_store_can_stand_out(make):
    embeddings = numbers(400)
    embeddings[31] += 3 * Drawing().embed_texts(["signal"])[0]
    (hits,) = ask(make(embeddings), plain("signal"))
    assert [hit.path.stem for hit in hits] == ["0031"]


def test_a_text_that_all_of_a_store_sounds_like_stands_out_everywhere(make):
    (signal,) = Drawing().embed_texts(["signal"])
    (hits,) = ask(make(numbers(50) + 3 * signal), plain("signal"))
    assert len(hits) == 50


def textbook(store: Store, query: Query, fdr: float) -> int:
    """How many windows Benjamini and Hochberg reject, every score of every window being looked at."""
    (aim,) = compose([query], store, Drawing())
    embeddings, windows = store.sample(10_000)
    unrelated = Drawing().embed_texts(unrelated_texts()).astype(np.float64)
    aims = sum(weight * np.roll(unrelated, place, axis=0) for place, weight in enumerate(weights(query)))
    null = (embeddings.astype(np.float64) @ aims.T).ravel()
    scores = embeddings.astype(np.float64) @ aim.text.astype(np.float64)
    p_values = np.sort([(1 + (null >= score).sum()) / (1 + len(null)) for score in scores])
    passed = np.flatnonzero(p_values <= fdr * np.arange(1, windows + 1) / windows)
    return int(passed[-1]) + 1 if len(passed) else 0


@pytest.mark.parametrize("fdr", [0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize(
    "query",
    [
        plain("signal"),
        Query(("signal", "sign"), (), (), ()),
        Query(("signal",), (Term("more", 0.5),), (Term("less", 2.0),), ()),
    ],
    ids=lambda query: query.name,
)
def test_as_many_stand_out_as_the_textbook_says(make, query, fdr):
    embeddings = numbers(200)
    embeddings += np.linspace(0, 4, 200, dtype=np.float32)[:, None] * Drawing().embed_texts(["signal"])
    store = make(embeddings, windows=4)
    (hits,) = ask(store, query, fdr=fdr, all_windows=True)
    assert len(hits) == textbook(store, query, fdr)
    # Fewer hits to choose from never make more of them stand out.
    (few,) = ask(store, query, fdr=fdr, all_windows=True, k=5)
    assert few == hits[:5][: len(few)]


def test_the_textbook_has_something_to_say(make):
    embeddings = numbers(200)
    embeddings += np.linspace(0, 4, 200, dtype=np.float32)[:, None] * Drawing().embed_texts(["signal"])
    store = make(embeddings, windows=4)
    counts = [textbook(store, plain("signal"), fdr) for fdr in (0.01, 0.05, 0.2, 0.5)]
    assert counts == sorted(set(counts))
    assert 0 < counts[0] < counts[-1] < 200


def test_hits_of_one_score_count_once(make):
    """Copies of one window, each in a clip of its own, make nothing more likely."""
    embeddings = numbers(60)
    (signal,) = Drawing().embed_texts(["signal"])
    single = np.repeat(numbers(1, seed=5) + 1.6 * signal, 20, axis=0)
    apart = np.concatenate([embeddings, single[:1]])
    copies = np.concatenate([embeddings, single])
    of_one, of_many = (len(ask(make(rows), plain("signal"), fdr=0.05)[0]) for rows in (apart, copies))
    assert of_one == of_many == 0


def background(store: Store, **options) -> Background:
    return Background(store, Drawing(), options.get("under"))


@given(st.lists(st.floats(-60, 60), max_size=8), st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_share_never_shows_more(scratch, scores, one, other):
    descending = sorted(scores, reverse=True)
    (aim,) = compose([plain("signal")], scratch, Drawing())
    strict, loose = (
        background(scratch).standing_out(descending, plain("signal"), aim, fdr) for fdr in sorted([one, other])
    )
    assert 0 <= strict <= loose <= len(descending)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    with Store.create(tmp_path_factory.mktemp("scratch") / "store", MANIFEST) as store:
        put_clips(store, [(Clip(Path("/s/a.wav"), 1, 1), [(0.0, 1.0)] * 20, numbers(20))])
        yield store


def test_no_hit_stands_out_of_none(scratch):
    (aim,) = compose([plain("signal")], scratch, Drawing())
    assert background(scratch).standing_out([], plain("signal"), aim, 1.0) == 0


def test_an_empty_store_has_nothing_to_stand_out(make):
    assert ask(make(numbers(0)), plain("signal")) == [[]]


def test_a_query_for_an_unrelated_text_is_not_held_against_itself(make):
    text = unrelated_texts()[3]
    embeddings = numbers(400)
    embeddings[:40] += 3 * Drawing().embed_texts([text])[0]
    store = make(embeddings)
    (hits,) = ask(store, plain(text))
    assert {hit.path.stem for hit in hits} == {f"{row:04}" for row in range(40)}


def test_only_what_is_below_the_folder_counts(make):
    embeddings = numbers(400)
    embeddings[0] += 3 * Drawing().embed_texts(["signal"])[0]
    store = make(embeddings)
    assert [hit.path.stem for hit in ask(store, plain("signal"), under=Path("/s/0000.wav"))[0]] == ["0000"]
    assert ask(store, plain("signal"), under=Path("/s/0001.wav")) == [[]]
    assert ask(store, plain("signal"), under=Path("/elsewhere")) == [[]]


def test_of_a_large_store_a_sample_is_held_against(make, monkeypatch):
    monkeypatch.setattr(significance, "MOST_WINDOWS", 100)
    embeddings = numbers(400)
    planted = list(range(50, 60))
    embeddings[planted] += 3 * Drawing().embed_texts(["signal"])[0]
    store = make(embeddings)
    (hits,) = ask(store, plain("signal"))
    assert sorted(hit.path.stem for hit in hits) == [f"{row:04}" for row in planted]
    assert ask(store, plain("another")) == [[]]


def test_a_sample_is_always_the_same_and_tells_how_many_there_are(make):
    embeddings = numbers(60)
    store = make(embeddings, windows=3)
    some, windows = store.sample(20)
    again, _ = store.sample(20)
    everything, _ = store.sample(60)
    assert (some.shape, windows) == ((20, DIMENSION), 60)
    assert some.tolist() == again.tolist()
    assert everything.tolist() == embeddings.astype(np.float16).tolist()
    assert {tuple(row) for row in some.tolist()} < {tuple(row) for row in everything.tolist()}
    below, windows = store.sample(60, under=Path("/s/0003.wav"))
    assert (below.tolist(), windows) == (embeddings[3:6].astype(np.float16).tolist(), 3)


def test_a_search_gives_an_account_of_what_it_left_out(make):
    embeddings = numbers(400)
    embeddings[[3, 5]] += 4 * Drawing().embed_texts(["signal"])[0]
    store = make(embeddings, windows=2)
    request = Request((plain("signal"),), min_probability=1.0, fdr=0.05)
    (answer,) = search(store, Drawing(), request)
    assert answer == Answer("signal", (), SearchEffort(True, 400, 400), 10, 2, EmbeddingEffort())


def test_the_unrelated_texts_are_many_and_all_different():
    texts = unrelated_texts()
    assert len(texts) == len(set(texts)) == 128
    assert all(text == text.strip() and text.isprintable() and text for text in texts)

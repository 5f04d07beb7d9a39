"""Queries of several parts: what each window scores, against every window scored by hand in float64."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pe_search.errors import AudioError
from pe_search.queries import Match, Query, Reference, Request, Term
from pe_search.records import Clip
from pe_search.search.aims import Aim, cosine_scale
from pe_search.search.composing import compose
from pe_search.search.searching import search
from pe_search.store import Store
from pe_search.store import finder as finder_module
from tests.made_up import FakeEmbedder, manifest, noise, put_clips, write_audio

MANIFEST = manifest(window_s=1.0, hop_s=1.0, logit_scale=0.5, logit_bias=-2.0)


def sought(*texts: str, plus: Sequence[Term] = (), minus: Sequence[Term] = (), like: Sequence[Reference] = ()) -> Query:
    return Query(texts, tuple(plus), tuple(minus), tuple(like))


# By the two parameters above, worked out by hand: log-odds of 2 are a score of 8.
SCALE = 8.0
TEXTS = ("1 0 0.5", "0.5 -2 1")
PLUS = (Term("0 1 0", 0.5), Term("0.2 0.1 -1", 1.0))
MINUS = (Term("1 1 1", 0.25), Term("-1 0 3", 2.0))


@pytest.fixture(scope="module")
def references(tmp_path_factory) -> tuple[Reference, ...]:
    """A short one, one of two windows and a half, and a stretch."""
    folder = tmp_path_factory.mktemp("references")
    return (
        Reference(write_audio(folder / "short.wav", noise(0.4, 1) + 0.2), None),
        Reference(write_audio(folder / "long.wav", noise(2.5, 2) * np.linspace(0, 2, 120_000, dtype=np.float32)), None),
        Reference(write_audio(folder / "part.wav", noise(2.0, 3) - 0.3), (0.25, 1.0)),
    )


def directions(reference: Reference) -> NDArray[np.float64]:
    """The windows' directions of one of the references above, which are cut here by hand."""
    samples = {
        "short.wav": [noise(0.4, 1) + np.float32(0.2)],
        "part.wav": [(noise(2.0, 3) - np.float32(0.3))[12_000:48_000]],
    }
    swelling = noise(2.5, 2) * np.linspace(0, 2, 120_000, dtype=np.float32)
    samples["long.wav"] = [swelling[:48_000], swelling[48_000:96_000], swelling[72_000:]]
    vectors = np.array([FakeEmbedder.vector(window) for window in samples[reference.path.name]], np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ROWS = np.random.default_rng(7).standard_normal((40, 3)).astype(np.float16).astype(np.float64)
ROWS[11] = 0


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[Store]:
    """Ten clips of four windows each, one of which has an embedding of zeros; half are in the index, half past it."""
    with Store.create(tmp_path_factory.mktemp("store") / "store", MANIFEST) as opened:
        for first in (0, 20):
            put_clips(
                opened,
                (
                    (
                        Clip(Path(f"/s/{row:02}.wav"), 1, 1),
                        [(float(n), n + 1.0) for n in range(4)],
                        ROWS[row : row + 4].astype(np.float32),
                    )
                    for row in range(first, first + 20, 4)
                ),
            )
            if first == 0:
                opened.finder.refresh()
        yield opened


def numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(number) for number in text.split()])


def oracle(query: Query) -> NDArray[np.float64]:
    """The score of each window."""
    weight = (1.0 if query.texts else 0.0) + sum(term.weight for term in query.plus) + len(query.like)
    scores = np.zeros(len(ROWS))
    for text in query.texts:
        scores += ROWS @ numbers(text) / len(query.texts)
    for term in query.plus:
        scores += term.weight * (ROWS @ numbers(term.text))
    for term in query.minus:
        scores -= term.weight * (ROWS @ numbers(term.text))
    lengths = np.linalg.norm(ROWS, axis=1)
    for sign, reference in [*((1, one) for one in query.like), *((-1, one) for one in query.unlike)]:
        mean = directions(reference).mean(axis=0)
        dots = ROWS @ (mean / np.linalg.norm(mean))
        scores += sign * SCALE * np.divide(dots, lengths, out=np.zeros(len(ROWS)), where=lengths > 0)
    return scores / weight


def parts(values: tuple) -> list[tuple]:
    return [values[:count] for count in range(len(values) + 1)]


@pytest.mark.parametrize("in_lists", [False, True], ids=["one list", "lists"])
@pytest.mark.parametrize("texts", parts(TEXTS), ids=["no text", "a text", "any of two"])
def test_every_combination_of_parts_against_every_window(store, references, texts, in_lists, monkeypatch):
    if in_lists:
        monkeypatch.setattr(finder_module, "LISTS_FROM", 2)
        store.finder.rebuild()
    asked = [
        Query(texts, plus, minus, like, unlike)
        for plus, minus, like, unlike in product(
            parts(PLUS), parts(MINUS), parts(references), ((), (references[-1],), references)
        )
        if texts or plus or like
    ]
    request = Request(tuple(asked), 1_000, None, all_windows=True, min_probability=0.0, fdr=None, exact=False)
    for query, answer in zip(asked, search(store, FakeEmbedder(), request), strict=True):
        hits = answer.hits
        expected = oracle(query)
        order = np.argsort(-expected, kind="stable")
        assert len(hits) == len(ROWS)
        np.testing.assert_allclose([hit.score for hit in hits], expected[order], atol=3e-5)
        found = np.array([4 * (int(hit.path.stem) // 4) + int(hit.start_s) for hit in hits])
        np.testing.assert_allclose(expected[found], expected[order], atol=3e-5)
        if np.diff(np.sort(expected)).min() > 1e-4:
            assert found.tolist() == order.tolist()
        assert {hit.query for hit in hits} == {query.name}
        for hit in hits:
            assert hit.probability == pytest.approx(1 / (1 + math.exp(2 - 0.5 * hit.score)), rel=1e-9)
        if query.references:
            assert answer.effort.is_exact
            assert answer.effort.windows_searched == len(ROWS)


def matches(store: Store, query: Sequence[float], like: Sequence[float], **options) -> list[Match]:
    return store.finder.best_matches(np.array(query, np.float32), 5, like=np.array(like, np.float32), **options).best


def test_a_like_search_of_lists_goes_through_them_all(store, monkeypatch):
    monkeypatch.setattr(finder_module, "LISTS_FROM", 2)
    monkeypatch.setattr(finder_module, "_AT_LEAST", 1)
    store.finder.rebuild()
    path = store.directory / "index.vectors"
    opened = finder_module.open_index(path, store.catalog.identity, 3)
    few = dataclasses.replace(opened, probes=(1, 1, 1))
    assert len(few.centroids) > 4
    assert few.search(np.ones(3, np.float32), 1).searched < len(few)
    found = few.search(np.zeros(3, np.float32), 1, like=np.ones(3, np.float32))
    assert (found.searched, found.is_exact) == (len(few), True)


def aim(store: Store, *of: Query, embedder: FakeEmbedder | None = None) -> list[Aim]:
    return compose(of, store, embedder or FakeEmbedder())


def test_a_text_alone_is_its_embedding_bit_for_bit(store):
    (one,) = aim(store, sought("0.1 0.2 0.3"))
    assert one.text.tolist() == FakeEmbedder().embed_texts(["0.1 0.2 0.3"])[0].tolist()
    assert one.like is None


def test_weights_are_of_the_whole(store):
    (one,) = aim(store, sought("4 0 0", plus=(Term("0 8 0", 3.0),), minus=(Term("0 0 4", 0.5),)))
    assert one.text.tolist() == [1, 6, -0.5]


def test_wordings_count_one_between_them(store):
    (one,) = aim(store, sought("4 0 0", "0 4 0", plus=(Term("0 0 6", 1.0),)))
    assert one.text.tolist() == [1, 1, 3]


@pytest.mark.parametrize(
    ("scale", "bias", "expected"),
    [(0.5, -2.0, 8.0), (2.0, -10.0, 10.0), (0.5, 0.0, 4.0), (0.5, 3.0, 4.0), (-0.5, -2.0, 8.0), (0.0, -2.0, 4e6)],
)
def test_a_cosine_of_one_is_as_likely_as_a_score_of_zero_is_unlikely(scale, bias, expected):
    assert cosine_scale(dataclasses.replace(MANIFEST, logit_scale=scale, logit_bias=bias)) == pytest.approx(expected)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=4), st.floats(0.01, 100))
def test_only_the_proportions_of_weights_matter(store, weights, factor):
    terms = [Term(f"{row} 1 {-row}", weight) for row, weight in enumerate(weights)]
    scaled = tuple(dataclasses.replace(term, weight=term.weight * factor) for term in terms)
    one, other = aim(store, sought(plus=tuple(terms)), sought(plus=scaled))
    np.testing.assert_allclose(one.text, other.text, rtol=1e-5, atol=1e-5)


# References


class Counting(FakeEmbedder):
    """Counts the texts too."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        return super().embed_texts(texts)


def test_each_text_and_each_reference_is_embedded_once(store, references):
    embedder = Counting()
    short, long, _ = references
    aim(
        store,
        sought("1 0 0", plus=(Term("0 1 0", 1.0),), like=(short, long)),
        sought("0 1 0", minus=(Term("1 0 0", 1.0),), like=(short,)),
        embedder=embedder,
    )
    assert embedder.texts == ["1 0 0", "0 1 0"]
    assert embedder.windows_embedded == 1 + 3


def test_no_text_asks_for_no_text(store, references):
    embedder = Counting()
    (one,) = aim(store, sought(like=references[:1]), embedder=embedder)
    assert embedder.texts == []
    assert one.text.tolist() == [0, 0, 0]
    assert np.linalg.norm(one.like) == pytest.approx(SCALE)


@pytest.fixture
def holding(tmp_path) -> Iterator[tuple[Store, Path]]:
    """A store that holds a clip with embeddings that are not what the embedder would make of it."""
    path = write_audio(tmp_path / "held.wav", noise(2.5))
    status = path.stat()
    with Store.create(tmp_path / "holding", MANIFEST) as opened:
        clip = Clip(path, status.st_size, status.st_mtime_ns)
        times = [(0.0, 1.0), (1.0, 2.0), (1.5, 2.5)]
        put_clips(opened, [(clip, times, np.array([(4, 0, 0), (0, 2, 0), (0, 0, 1)], np.float32))])
        yield opened, path


@pytest.mark.parametrize(
    ("place", "expected"),
    [(None, [1, 1, 1]), ((1.0, 2.0), [0, 1, 0]), ((1.500001, 2.500001), [0, 0, 1])],
    ids=["the clip", "a window", "a window by rounded times"],
)
def test_what_the_store_holds_is_not_embedded_again(holding, place, expected):
    store, path = holding
    embedder = Counting()
    (one,) = aim(store, sought(like=(Reference(path, place),)), embedder=embedder)
    assert embedder.windows_embedded == 0
    np.testing.assert_allclose(one.like, SCALE * np.array(expected) / np.linalg.norm(expected), rtol=1e-6)


@pytest.mark.parametrize("place", [(0.0, 2.0), (0.5, 1.5)])
def test_another_stretch_of_a_clip_that_is_held_is_embedded(holding, place):
    store, path = holding
    embedder = Counting()
    aim(store, sought(like=(Reference(path, place),)), embedder=embedder)
    assert embedder.windows_embedded == round(place[1] - place[0])


def test_a_clip_that_was_touched_since_is_embedded(holding):
    store, path = holding
    os.utime(path, ns=(1, 1))
    embedder = Counting()
    aim(store, sought(like=(Reference(path, None),)), embedder=embedder)
    assert embedder.windows_embedded == 3


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ((2.0, 3.0), "ends at 2.5 s, before the end of 2–3 s"),
        ((7.0, 8.0), "ends at 2.5 s, before the end of 7–8 s"),
        ((0.0, 2.50002), "ends at 2.5 s, before the end of 0–2.50002 s"),
    ],
)
def test_a_stretch_beyond_the_end_is_an_error(holding, place, reason):
    store, path = holding
    with pytest.raises(AudioError) as raised:
        aim(store, sought(like=(Reference(path, place),)))
    assert (raised.value.path, raised.value.reason) == (path, reason)


def test_a_stretch_may_end_with_the_clip(holding):
    store, path = holding
    embedder = Counting()
    aim(store, sought(like=(Reference(path, (0.75, 2.5)),)), embedder=embedder)
    assert embedder.windows_embedded == 2


class Loud(FakeEmbedder):
    """Its embeddings are not finite."""

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.full((len(windows), 3), np.inf, np.float32)


def test_a_reference_that_is_too_loud_to_embed_is_an_error(store, references):
    with pytest.raises(AudioError, match="too large to embed"):
        aim(store, sought(like=references[:1]), embedder=Loud())


# Names


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (sought("rain"), "rain"),
        (sought("rain", "drizzle"), "rain | drizzle"),
        (sought("rain", plus=[Term("wind", 0.5), Term("sea", 1.0)]), "rain + 0.5:wind + sea"),
        (sought("rain", minus=[Term("speech", 1.0), Term("music", 2.0)]), "rain - speech - 2:music"),
        (sought(plus=[Term("wind", 0.5)], minus=[Term("sea", 1.0)]), "0.5:wind - sea"),
        (sought(like=[Reference(Path("/a.wav"), None)]), "like /a.wav"),
        (sought(minus=[Term("sea", 1.0)], like=[Reference(Path("/a"), (1.5, 3.0))]), "- sea, like /a@1.5-3"),
        (
            sought("a", like=[Reference(Path("/a"), None), Reference(Path("/b"), (0.0, 0.1))]),
            "a, like /a, like /b@0-0.1",
        ),
        (
            Query(("a",), like=(Reference(Path("/a")),), unlike=(Reference(Path("/b"), (0.0, 0.1)),)),
            "a, like /a, unlike /b@0-0.1",
        ),
    ],
)
def test_the_name_of_a_query_tells_its_parts(query, name):
    assert query.name == name

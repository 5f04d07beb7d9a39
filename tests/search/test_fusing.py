"""Sound and words are fused by their ranks, as a search from end to end does it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pe_search.errors import QueryError
from pe_search.known.words import read_words
from pe_search.queries import Filters, Hit, Query, Request
from pe_search.search import fusing
from pe_search.search.fusing import RANK_CONSTANT, most_of_each
from pe_search.search.merging import merge_answers
from pe_search.search.searching import search
from pe_search.store import Store
from tests.made_up import FakeEmbedder, manifest
from tests.store.test_words import Sound, put

MANIFEST = manifest(logit_scale=0.5, logit_bias=-1.0)
NAMES = ("kick", "kick drum", "drum", "snare", "rain")


class NoEmbedder:
    """Words alone need none."""

    @property
    def effort(self):
        raise AssertionError("a model was asked")

    embed_texts = embed_windows = effort


def make(directory: Path, sounds: Iterable[Sound]) -> Store:
    store = Store.create(directory, MANIFEST)
    put(store, sounds)
    return store


def some_sounds(seed: int, count: int = 24) -> list[Sound]:
    """Clips with one to four windows, of which some have the same bytes, so that scores are often equal."""
    chance = random.Random(seed)
    windows = [chance.randint(1, 4) for _ in range(count)]
    same = [chance.randrange(number + 1) if chance.random() < 0.2 else number for number in range(count)]
    return [
        Sound(f"/s/{chance.choice('ab')}/{chance.choice(NAMES)} {number}.wav", content=f"{one}", windows=windows[one])
        for number, one in enumerate(same)
    ]


def request_for(text: str, words: str, **options) -> Request:
    return Request((Query((text,)) if text else Query(),), words=words, **options)


def ask(store: Store, text: str, words: str, **options) -> list[Hit]:
    embedder = FakeEmbedder() if text else NoEmbedder()
    (answer,) = search(store, embedder, request_for(text, words, **options))
    return list(answer.hits)


# One store


@dataclass(frozen=True)
class Window:
    paths: tuple[str, ...]
    start_s: float
    score: float


def by_brute_force(store: Store, text: str, words: str, k: int | None, under: str | None, all_windows: bool, least=0.0):
    """Path, copies, start, score and both ranks of each hit, from the two rankings of everything."""
    where = None if under is None else Path(under)
    most = None if k is None else max(k, 1_000)
    read = read_words(words)
    named = store.finder.lookup.named(read, where, Filters(), most) if read.wanted else []
    rank_of = {str(path): rank for rank, one in enumerate(named, 1) for path, _ in one.clips}
    (query,) = FakeEmbedder().embed_texts([text])
    kept = store.finder.lookup.subset(where, Filters(), read.excluded)
    windows = []
    by_content: dict[bytes, list[str]] = {}
    for path in sorted(store.catalog.clips(), key=bytes):
        if kept.has(path, 0.0):
            by_content.setdefault(store.catalog.clip(path)[1], []).append(str(path))
    for paths in by_content.values():
        content = store.catalog.content(Path(paths[0]))
        scored = [
            Window(tuple(paths), start_s, float(np.dot(vector, query)))
            for (start_s, _), vector in zip(content.times, content.embeddings, strict=True)
        ]
        windows += scored if all_windows else [max(scored, key=lambda one: (one.score, -one.start_s))]
    windows.sort(key=lambda one: (-one.score, one.paths[0], one.start_s))
    likely = [one for one in windows if 1 / (1 + np.exp(-(one.score * 0.5 - 1))) >= least][:most]
    rows = []
    for one in windows:
        sound = likely.index(one) + 1 if one in likely else None
        word = rank_of.get(one.paths[0])
        if sound or word:
            worth = sum(1 / (60 + rank) for rank in (sound, word) if rank)
            path = str(named[word - 1].path) if word else one.paths[0]
            copies = tuple(other for other in one.paths if other != path)
            order = (-worth, sound or 10**9, word or 10**9, -one.score, path, one.start_s)
            rows.append((order, (path, copies, one.start_s, one.score, sound, word)))
    return [row for _, row in sorted(rows)][:k]


def rows_of(hits: Sequence[Hit]):
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    return [
        (str(hit.path), tuple(map(str, hit.copies)), hit.start_s, hit.score, hit.sound_rank, hit.words_rank)
        for hit in hits
    ]


@pytest.mark.parametrize("all_windows", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_both_rankings_are_fused_as_a_search_from_end_to_end_does(tmp_path, seed, all_windows):
    with make(tmp_path / "store", some_sounds(seed)) as store:
        for words in ("kick", "kick drum -snare", "dr*", "none", "-rain", '"kick drum"'):
            for text in ("1 0 0", "-1 0 0", "0 0 0"):
                for k in (1, 3, 10, None):
                    for under in (None, "/s/a"):
                        expected = by_brute_force(store, text, words, k, under, all_windows)
                        where = None if under is None else Path(under)
                        hits = ask(store, text, words, k=k, under=where, all_windows=all_windows)
                        assert rows_of(hits) == expected, (words, text, k, under)


@pytest.mark.parametrize("all_windows", [False, True])
def test_the_least_probability_is_for_the_sound_before_the_fusion(tmp_path, all_windows):
    with make(tmp_path / "store", some_sounds(7)) as store:
        for least in (0.3, 0.5, 0.6, 0.99):
            expected = by_brute_force(store, "1 0 0", "kick", None, None, all_windows, least)
            hits = ask(store, "1 0 0", "kick", k=None, min_probability=least, all_windows=all_windows)
            assert rows_of(hits) == expected
            assert any(hit.sound_rank is None and hit.probability is not None for hit in hits)


def test_what_both_rankings_have_comes_first(tmp_path):
    sounds = [Sound(f"/s/{name}.wav", windows=windows) for name, windows in [("kick", 1), ("kick b", 3), ("rain", 4)]]
    with make(tmp_path / "store", sounds) as store:
        first, second, third = ask(store, "1 0 0", "kick")
        assert (first.path.name, first.sound_rank, first.words_rank) == ("kick.wav", 3, 1)
        assert (second.path.name, second.sound_rank, second.words_rank) == ("kick b.wav", 2, 2)
        assert (third.path.name, third.sound_rank, third.words_rank) == ("rain.wav", 1, None)
        assert RANK_CONSTANT == 60
        assert 1 / 63 + 1 / 61 > 1 / 62 + 1 / 62 > 1 / 61


def test_of_each_ranking_the_first_thousand_count_or_k(tmp_path, monkeypatch):
    assert [most_of_each(k) for k in (1, 1_000, 1_001, None)] == [1_000, 1_000, 1_001, None]
    monkeypatch.setattr(fusing, "FUSED_FROM_EACH", 2)
    sounds = [Sound(f"/s/{n}.wav", windows=n + 2) for n in range(4)] + [Sound(f"/s/kick {n}.wav") for n in range(4)]
    with make(tmp_path / "store", sounds) as store:
        hits = ask(store, "1 0 0", "kick", k=1)
        assert [(hit.path.name, hit.sound_rank, hit.words_rank) for hit in hits] == [("3.wav", 1, None)]
        (answer,) = search(store, FakeEmbedder(), request_for("1 0 0", "kick", k=1, is_part=True))
        assert [(hit.path.name, hit.sound_rank, hit.words_rank) for hit in answer.hits] == [
            ("3.wav", 1, None),
            ("kick 0.wav", None, 1),
            ("2.wav", 2, None),
            ("kick 1.wav", None, 2),
        ]
        assert (answer.matches, answer.named) == (2, 2)
        assert len(ask(store, "1 0 0", "kick", k=5)) == 5


def test_a_hit_by_words_alone_has_the_score_of_its_best_window(tmp_path):
    sounds = [Sound("/s/kick.wav", windows=4), *(Sound(f"/s/{n}.wav", windows=6) for n in range(3))]
    with make(tmp_path / "store", sounds) as store:
        hits = {hit.path.name: hit for hit in ask(store, "1 0 0", "kick", min_probability=0.8)}
        kick = hits["kick.wav"]
        assert (kick.sound_rank, kick.words_rank, kick.start_s, kick.end_s, kick.score) == (None, 1, 30.0, 40.0, 3.0)
        assert kick.probability == pytest.approx(1 / (1 + np.exp(-0.5)))
        assert [hit.sound_rank for name, hit in hits.items() if name != "kick.wav"] == [1, 2, 3]
        like = store.finder.best_matches(np.array([1, 0, 0], np.float32), 10).best
        assert kick.score in [match.score for match in like]


def test_the_ranks_of_several_queries_are_their_own(tmp_path):
    with make(tmp_path / "store", some_sounds(1)) as store:
        request = Request((Query(("1 0 0",)), Query(("-1 0 0",)), Query(("1 0 0",))), words="kick", k=4)
        found = [list(answer.hits) for answer in search(store, FakeEmbedder(), request)]
        assert found[0] == found[2] == ask(store, "1 0 0", "kick", k=4)
        assert found[1] == ask(store, "-1 0 0", "kick", k=4)


def test_without_words_hits_have_no_ranks(tmp_path):
    with make(tmp_path / "store", some_sounds(1)) as store:
        hits = ask(store, "1 0 0", "")
        assert {(hit.sound_rank, hit.words_rank) for hit in hits} == {(None, None)}
        assert "sound_rank" not in hits[0].to_dict()
        (answer,) = search(store, FakeEmbedder(), request_for("1 0 0", ""))
        assert answer.named is None


# Words alone


def test_words_alone_ask_no_model_and_have_no_score(tmp_path):
    with make(
        tmp_path / "store", [Sound("/s/kick.wav", windows=3), Sound("/s/kick b.wav"), Sound("/s/c.wav")]
    ) as store:
        hits = ask(store, "", "kick")
        assert [hit.to_dict() for hit in hits] == [
            {
                "query": "kick",
                "rank": rank,
                "path": path,
                "start_s": 0.0,
                "end_s": end_s,
                "score": None,
                "probability": None,
                "sound_rank": None,
                "words_rank": rank,
            }
            for rank, (path, end_s) in enumerate([("/s/kick.wav", 30.0), ("/s/kick b.wav", 10.0)], 1)
        ]
        assert len(ask(store, "", "kick", k=1)) == 1
        assert ask(store, "", "kick", under=Path("/t")) == []
        (answer,) = search(store, NoEmbedder(), request_for("", "kick"))
        assert (answer.query, answer.named, answer.effort.windows_searched) == ("kick", 2, 0)


def test_words_that_can_not_be_asked_are_an_error(tmp_path):
    with make(tmp_path / "store", []) as store, pytest.raises(QueryError, match="words has a quote"):
        ask(store, "", 'kick "')


# Several stores


class Held:
    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores

    def clip(self, path: Path):
        return next((held for store in self._stores if (held := store.catalog.clip(path)) is not None), None)


def merged(stores: Sequence[Store], request: Request) -> list[Hit]:
    part = replace(request, is_part=True)
    (answer,) = merge_answers([search(store, FakeEmbedder(), part) for store in stores], request, Held(stores))
    return list(answer.hits)


def fused_by_brute_force(
    stores: Sequence[Store], both: Store, text: str, words: str, most: int | None, all_windows: bool
) -> dict[tuple[bytes, float | None], tuple[int | None, int | None]]:
    """The two ranks of each content, or each of its windows: by sound in one store, by words in those in turn."""

    def content_of(path: Path) -> bytes:
        return both.catalog.clip(path)[1]

    read = read_words(words)
    without = " ".join(f"-{word.typed}" for word in read.excluded)
    (answer,) = search(both, FakeEmbedder(), request_for(text, without, k=most, all_windows=all_windows))
    by_sound = {
        (content_of(hit.path), hit.start_s if all_windows else None): rank for rank, hit in enumerate(answer.hits, 1)
    }
    in_turn = sorted(
        (rank, str(one.path), content_of(one.path))
        for store in stores
        for rank, one in enumerate(store.finder.lookup.named(read, None, Filters(), most) if read.wanted else (), 1)
    )
    contents = list(dict.fromkeys(content for *_, content in in_turn))[:most]
    by_words = {content: rank for rank, content in enumerate(contents, 1)}
    keys = set(by_sound)
    for path in both.catalog.clips():
        starts = [start_s for start_s, _ in both.catalog.content(path).times] if all_windows else [None]
        keys |= {(content_of(path), start_s) for start_s in starts if content_of(path) in by_words}
    return {key: (by_sound.get(key), by_words.get(key[0])) for key in keys}


@pytest.mark.parametrize("all_windows", [False, True])
@pytest.mark.parametrize("limit", [1_000, 3])
def test_several_stores_are_fused_from_their_rankings(tmp_path, monkeypatch, limit, all_windows):
    monkeypatch.setattr(fusing, "FUSED_FROM_EACH", limit)
    sounds = some_sounds(5, 30)
    with (
        # Some clips are in both.
        make(tmp_path / "a", sounds[:18]) as a,
        make(tmp_path / "b", sounds[12:]) as b,
        make(tmp_path / "both", sounds) as both,
    ):
        for words in ("kick", "dr* -snare", "none", "-rain"):
            for text in ("1 0 0", "-1 0 0"):
                for k in (1, 4, None):
                    hits = merged([a, b], request_for(text, words, k=k, all_windows=all_windows))
                    ranks = fused_by_brute_force([a, b], both, text, words, most_of_each(k), all_windows)
                    found = [(both.catalog.clip(hit.path)[1], hit.start_s if all_windows else None) for hit in hits]
                    assert len(set(found)) == len(found)
                    assert [(hit.sound_rank, hit.words_rank) for hit in hits] == [ranks[key] for key in found]
                    worth = [sum(1 / (60 + rank) for rank in two if rank) for two in ranks.values()]
                    assert [sum(1 / (60 + rank) for rank in ranks[key] if rank) for key in found] == sorted(
                        worth, reverse=True
                    )[:k]


def test_words_alone_of_several_stores_come_in_turn(tmp_path):
    sounds = [Sound("/a/kick.wav"), Sound("/a/kick 2.wav"), Sound("/a/x kick.wav", content="same")]
    with (
        make(tmp_path / "a", sounds) as a,
        make(tmp_path / "b", [Sound("/b/kick.wav"), Sound("/b/y.wav", content="same")]) as b,
    ):
        hits = merged([a, b], request_for("", "kick"))
        assert [(str(hit.path), hit.words_rank, hit.score) for hit in hits] == [
            ("/a/kick.wav", 1, None),
            ("/b/kick.wav", 2, None),
            ("/a/kick 2.wav", 3, None),
            ("/a/x kick.wav", 4, None),
        ]
        assert len(merged([a, b], request_for("", "kick", k=2))) == 2
        both = merged([a, b], request_for("", "kick -x"))
        assert [str(hit.path) for hit in both] == ["/a/kick.wav", "/b/kick.wav", "/a/kick 2.wav"]
        hits = merged([b, a], request_for("1 0 0", "x"))
        assert (str(hits[0].path), hits[0].copies) == ("/a/x kick.wav", (Path("/b/y.wav"),))

"""Words find clips, ranked as a search from end to end ranks them, whatever was typed."""

from __future__ import annotations

import hashlib
import math
import random
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_search.descriptions import DESCRIBE
from pe_search.errors import QueryError
from pe_search.known.words import Words, read_words
from pe_search.queries import Filters
from pe_search.records import Clip, Content, Facts, ModelAnswer
from pe_search.store import Store
from pe_search.store.answers import write_answers
from pe_search.store.facts import write_tags
from pe_search.store.files import LOOKUP_FILE
from pe_search.store.words import WEIGHTS, Named, score_windows
from tests.made_up import manifest

VOCABULARY = ("kick", "kicks", "drum", "loop", "808", "dark")
K1, B = 1.2, 0.75


@dataclass(frozen=True)
class Sound:
    """A clip of ten windows of ten seconds, or of fewer."""

    path: str
    tags: tuple[str, ...] = ()
    said: str = ""
    caption: str = ""
    content: str = ""
    recorded_at: str | None = None
    windows: int = 1

    @property
    def digest(self) -> bytes:
        return hashlib.blake2b((self.content or self.path).encode()).digest()


def put(store: Store, sounds: Iterable[Sound]) -> None:
    for sound in sounds:
        times = [(10.0 * row, 10.0 * row + 10) for row in range(sound.windows)]
        embeddings = np.array([[row, -row, 1] for row in range(sound.windows)], np.float32)
        facts = Facts(comment=sound.said or None, recorded_at=sound.recorded_at)
        content = Content(sound.digest, times, embeddings, is_whole=True, facts=facts)
        store.catalog.commit(contents=[content], clips=[(Clip(Path(sound.path), 1, 1), sound.digest)])
        if sound.caption:
            write_answers(store.catalog, [ModelAnswer(sound.digest, 0.0, 10.0, "m", "", DESCRIBE, sound.caption, 1)])
        write_tags(store.catalog, added=[(sound.digest, tag) for tag in sound.tags], removed=())


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", manifest()) as made:
        yield made


def named(store: Store, typed: str, under: str | None = None, most: int | None = None, **filters) -> list[Named]:
    where = None if under is None else Path(under)
    return store.finder.lookup.named(read_words(typed), where, Filters(**filters), most)


def paths(store: Store, typed: str, *arguments, **filters) -> list[str]:
    return [str(one.path) for one in named(store, typed, *arguments, **filters)]


# Ranking


def columns_of(sound: Sound) -> tuple[list[str], ...]:
    path = Path(sound.path)
    name = path.name.replace("_", " ").replace(".", " ").split()
    folders = " ".join(path.parent.parts[1:]).split()
    return name, folders, " ".join(sound.tags).split(), sound.said.split(), sound.caption.split()


def times_in(column: Sequence[str], phrase: Sequence[str], *, is_prefix: bool) -> int:
    def fits(words: Sequence[str]) -> bool:
        *before, last = zip(words, phrase, strict=True)
        return all(word == part for word, part in before) and (
            last[0].startswith(last[1]) if is_prefix else last[0] == last[1]
        )

    return sum(fits(column[at : at + len(phrase)]) for at in range(len(column) - len(phrase) + 1))


def by_brute_force(sounds: Sequence[Sound], words: Words) -> list[str]:
    """The paths of clips in the order of BM25 as FTS5 defines it (https://sqlite.org/fts5.html#the_bm25_function)."""
    rows = {sound.path: columns_of(sound) for sound in sounds}
    lengths = {path: sum(map(len, columns)) for path, columns in rows.items()}
    mean = sum(lengths.values()) / len(lengths)

    def hits(path: str, word) -> list[int]:
        return [times_in(column, word.forms[0], is_prefix=word.is_prefix) for column in rows[path]]

    def worth(path: str) -> float:
        total = 0.0
        for word in words.wanted:
            having = sum(any(hits(other, word)) for other in rows)
            rarity = max(math.log((len(rows) - having + 0.5) / (having + 0.5)), 1e-6)
            often = sum(weight * count for weight, count in zip(WEIGHTS, hits(path, word), strict=True))
            total += rarity * often * (K1 + 1) / (often + K1 * (1 - B + B * lengths[path] / mean))
        return total

    found = [
        path
        for path in rows
        if all(any(hits(path, word)) for word in words.wanted)
        and not any(any(hits(path, word)) for word in words.excluded)
    ]
    return sorted(found, key=lambda path: (-round(worth(path), 12), path))


@pytest.mark.parametrize("seed", range(4))
def test_clips_are_ranked_as_bm25_says(store, seed):
    random.seed(seed)

    def some(most: int) -> list[str]:
        return random.choices(VOCABULARY, k=random.randint(0, most))

    sounds = {
        path: Sound(path, tuple({*some(2)}), " ".join(some(4)), " ".join(some(4)), str(number))
        for number in range(60)
        for path in [f"/{'/'.join(['s', *some(2)])}/{'_'.join([*some(3), random.choice(VOCABULARY)])}.wav"]
    }
    # Tags are in order, and folders begin with that of all.
    sounds = {path: replace(one, tags=tuple(sorted(one.tags))) for path, one in sounds.items()}
    put(store, sounds.values())
    for typed in ("kick", "kick drum", "kick*", '"kick drum"', "loop -kick", "808 dark -kick* -loop", '"dark k"*', "s"):
        expected = by_brute_force(list(sounds.values()), read_words(typed))
        assert paths(store, typed) == expected, typed
        assert paths(store, typed, None, 3) == expected[:3]


def test_equal_ones_are_in_order_of_path(store):
    put(store, [Sound(f"/s/kick {letter}.wav") for letter in "cab"])
    assert paths(store, "kick") == ["/s/kick a.wav", "/s/kick b.wav", "/s/kick c.wav"]


def test_names_count_most_then_tags_then_folders_then_what_files_say(store):
    sounds = [
        Sound("/s/x/a kick.wav", said="b c"),
        Sound("/s/x/b a.wav", ("kick",), said="c"),
        Sound("/s/kick/c a.wav", said="b"),
        Sound("/s/x/d a.wav", said="kick"),
        *(Sound(f"/s/x/e {number}.wav", said="f g") for number in range(5)),
    ]
    put(store, sounds)
    assert paths(store, "kick") == [sound.path for sound in sounds[:4]]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("dog bark", "DogBark01.wav"),
        ("dogbark", "DogBark01.wav"),
        ("DogBark", "dog_bark.wav"),
        ("DogBark", "dogbark.wav"),
        ("dogbark01", "DogBark01.wav"),
        ('"dog bark 01"', "Big_DogBark01.wav"),
        ("808", "808kick.wav"),
        ("kick", "808kick.wav"),
        ("kick808", "kick_808.wav"),
        ("kick-808.wav", "KICK 808.WAV"),
        ("hohle", "Höhle.wav"),
        ("HÖHLE", "hohle.wav"),
        ("strasse", "Straße.wav"),
        ("ho\u0308hle", "Höhle.wav"),
        ("音", "太鼓の音.wav"),
        ("太鼓", "太鼓の音.wav"),
        ("太*", "大太鼓.wav"),
        ("ｋｉｃｋ", "Kick.wav"),
        ("كلب", "كلب ينبح.wav"),
        ("कुत्ता", "कुत्ता.wav"),
        ("เสียง", "เสียงหมา.wav"),
        ("หมา", "เสียงหมา.wav"),
        ("짖는", "개짖는소리.wav"),
        ("O'Brien", "O'Brien's dog.wav"),
    ],
)
def test_names_are_found_in_whatever_way_they_are_written(store, typed, name):
    put(store, [Sound(f"/s/{name}"), Sound("/s/else.wav")])
    assert paths(store, typed) == [f"/s/{name}"]


@pytest.mark.parametrize("typed", ["鼓太", "kic", "ick", "hoehle", '"drum kick"', "kick -808", "kick drum loop"])
def test_what_is_not_there_is_not_found(store, typed):
    put(store, [Sound("/s/太鼓 Höhle kick drum 808.wav")])
    assert paths(store, typed) == []


def test_captions_come_and_go_without_any_other_change(store):
    sounds = [Sound("/s/a.wav"), Sound("/s/b.wav", content="/s/a.wav"), Sound("/s/c.wav")]
    put(store, sounds)
    assert paths(store, "dog") == []
    about = ("m", "r", DESCRIBE)
    one = ModelAnswer(sounds[0].digest, 0.0, 10.0, *about, "A dog barks.", 2)
    other = ModelAnswer(sounds[2].digest, 0.0, 10.0, *about, "A dog, or a dog.", 1)
    write_answers(store.catalog, [one, other, replace(other, question="What is it?", answer="A cat.")])
    assert [[str(path) for path, _ in found.clips] for found in named(store, "dog")] == [
        ["/s/c.wav"],
        ["/s/a.wav", "/s/b.wav"],
    ]
    assert paths(store, "cat") == []
    assert paths(store, "a -dog -cat") == []
    write_answers(store.catalog, [replace(one, answer="A horse.", made_at_s=3)])
    assert paths(store, "dog") == ["/s/c.wav"]
    assert paths(store, "horse") == ["/s/a.wav"]
    # The two oldest are the others.
    write_answers(store.catalog, [replace(one, question="What?", answer="A cow.", made_at_s=4)], most=2)
    assert paths(store, "dog") == []
    assert paths(store, "horse") == ["/s/a.wav"]


def test_a_lookup_without_captions_is_made_again(store, tmp_path):
    put(store, [Sound("/s/a.wav", caption="a dog"), Sound("/s/b.wav")])
    assert paths(store, "dog") == ["/s/a.wav"]
    store.finder.lookup.close()
    path = tmp_path / "store" / LOOKUP_FILE
    with closing(sqlite3.connect(path)) as db, db:
        # As it was before there were any.
        db.execute("DROP TABLE words")
        db.execute(
            "CREATE VIRTUAL TABLE words USING fts5("
            "name, folders, tags, said, prefix = '2 3', tokenize = 'unicode61 remove_diacritics 2')"
        )
    assert paths(store, "dog") == ["/s/a.wav"]


# Bytes, filters, folders


def test_clips_of_the_same_bytes_are_found_once_by_the_one_whose_words_fit(store):
    put(
        store,
        [
            Sound("/s/a.wav", content="x"),
            Sound("/s/kick.wav", content="x"),
            Sound("/s/long kick drum.wav", content="x"),
            Sound("/s/z kick.wav", content="y"),
        ],
    )
    first, second = named(store, "kick")
    assert (first.path, first.copies) == (Path("/s/kick.wav"), (Path("/s/a.wav"), Path("/s/long kick drum.wav")))
    assert (second.path, second.copies) == (Path("/s/z kick.wav"), ())
    (only,) = named(store, "kick -z -long")
    assert (only.path, only.copies) == (Path("/s/kick.wav"), (Path("/s/a.wav"),))
    assert paths(store, "kick", "/s/long kick drum.wav") == ["/s/long kick drum.wav"]


def test_filters_and_folders_are_as_for_sound(store):
    put(store, [Sound("/a/kick.wav", ("good",)), Sound("/b/kick.wav"), Sound("/b/c/kick two.wav", windows=3)])
    assert paths(store, "kick", "/b") == ["/b/kick.wav", "/b/c/kick two.wav"]
    assert paths(store, "kick", "/b/kick.wav") == ["/b/kick.wav"]
    assert paths(store, "kick", names=("*two*",)) == ["/b/c/kick two.wav"]
    assert paths(store, "kick", tags=("good",)) == ["/a/kick.wav"]
    assert paths(store, "kick", length_s=(20, None)) == ["/b/c/kick two.wav"]
    assert paths(store, "none", "/b") == []


def test_a_clip_passes_filters_for_time_if_a_window_does(store):
    put(
        store,
        [
            Sound("/s/kick early.wav", recorded_at="2024-06-01T03:59:35", windows=6, content="x"),
            Sound("/s/copy.wav", content="x", windows=6),
            Sound("/s/kick late.wav", recorded_at="2024-06-01T05:30:00", windows=2),
            Sound("/s/kick.wav", windows=2),
        ],
    )
    early, late = named(store, "kick", hours=(4, 6))
    assert (early.path, early.start_s, early.end_s) == (Path("/s/kick early.wav"), 30.0, 60.0)
    assert (late.path, late.start_s, late.end_s) == (Path("/s/kick late.wav"), 0.0, 20.0)
    assert [(one.path.name, one.start_s, one.end_s) for one in named(store, "kick")] == [
        ("kick.wav", 0.0, 20.0),
        ("kick early.wav", 0.0, 60.0),
        ("kick late.wav", 0.0, 20.0),
    ]
    first_s = datetime(2024, 6, 1, 3, 59, 35) - datetime(1970, 1, 1)
    assert early.clips[0][1] == first_s.total_seconds()
    query, filters = np.array([1, 0, 0], np.float32), Filters(hours=(4, 6))
    windows = score_windows(store.catalog, [early, late], query, None, filters, all_windows=True)
    assert [(one.path.name, one.start_s, one.score) for one in windows] == [
        ("kick early.wav", 50.0, 5.0),
        ("kick early.wav", 40.0, 4.0),
        ("kick early.wav", 30.0, 3.0),
        ("kick late.wav", 10.0, 1.0),
        ("kick late.wav", 0.0, 0.0),
    ]
    best = score_windows(store.catalog, [early, late], -query, None, filters, all_windows=False)
    assert [(one.path.name, one.start_s, one.score) for one in best] == [
        ("kick early.wav", 30.0, -3.0),
        ("kick late.wav", 0.0, 0.0),
    ]


def test_excluded_words_leave_windows_out(store):
    put(store, [Sound("/s/kick.wav", windows=2), Sound("/s/loop.wav"), Sound("/t/kick.wav")])
    lookup = store.finder.lookup
    excluded = read_words("-loop -t").excluded
    subset = lookup.subset(None, Filters(), excluded)
    assert subset.ids.tolist() == [1, 2]
    assert subset.has(Path("/s/kick.wav"), 0.0) and not subset.has(Path("/s/loop.wav"), 0.0)
    query = np.array([1, 0, 0], np.float32)
    found = store.finder.best_matches(query, 10, excluded=excluded)
    assert [str(match.path) for match in found.best] == ["/s/kick.wav"]
    assert found.effort.windows == 2


# Hostile words


SYNTAX = [
    '"',
    "'",
    "(",
    ")",
    "*",
    "^",
    ":",
    "{",
    "}",
    "+",
    "-",
    ",",
    "NEAR",
    "NOT",
    "AND",
    "OR",
    "name",
    "kick",
    "%",
    ";",
]


@given(st.lists(st.sampled_from(SYNTAX) | st.text(max_size=4), max_size=12), st.sampled_from(["", " "]))
def test_whatever_is_typed_is_no_syntax(pieces, between):
    typed = between.join(pieces)
    try:
        words = read_words(typed)
    except QueryError as error:
        assert len(str(error).splitlines()) == 1
        return
    if words.wanted:
        assert SHARED.finder.lookup.named(words, None, Filters(), None) is not None
    assert SHARED.finder.lookup.subset(None, Filters(), words.excluded).ids is not None


SHARED: Store


@pytest.fixture(scope="module", autouse=True)
def _shared(tmp_path_factory):
    global SHARED
    with Store.create(tmp_path_factory.mktemp("shared") / "store", manifest()) as SHARED:
        put(SHARED, [Sound("/s/kick name.wav"), Sound("/s/near.wav")])
        yield


def test_as_many_words_as_may_be_are_asked(store):
    put(store, [Sound("/s/" + "_".join(VOCABULARY) + ".wav")])
    most = " ".join((*VOCABULARY * 9,)[:50])
    assert len(paths(store, most)) == 1
    assert paths(store, "kick " + " ".join(f"-w{number}*" for number in range(49))) != []


# The file


def test_a_file_that_is_damaged_where_words_are_is_made_again(store):
    put(store, [Sound(f"/s/kick {number}.wav") for number in range(200)])
    expected = paths(store, "kick*")
    store.finder.close()
    file = store.directory / LOOKUP_FILE
    with closing(sqlite3.connect(file)) as db, db:
        assert db.execute("UPDATE words_data SET block = x'00ff00' WHERE id > 10").rowcount > 0
    assert paths(store, "kick*") == expected
    assert paths(store, "kick* -199") == [path for path in expected if "199" not in path]


def test_a_file_of_another_version_of_the_words_is_made_again(store, monkeypatch):
    put(store, [Sound("/s/kick.wav")])
    with monkeypatch.context() as patch:
        patch.setattr("pe_search.store.lookup.searchable", lambda _text: "of before")
        patch.setattr("pe_search.store.lookup._WORDS_VERSION", 0)
        assert paths(store, "before") == ["/s/kick.wav"]
    store.finder.close()
    assert (paths(store, "before"), paths(store, "kick")) == ([], ["/s/kick.wav"])


def test_what_is_tagged_or_removed_later_is_seen(store):
    put(store, [Sound("/s/a.wav"), Sound("/s/b.wav")])
    assert paths(store, "good") == []
    write_tags(store.catalog, added=[(Sound("/s/a.wav").digest, "Good one")], removed=())
    assert paths(store, "good") == ["/s/a.wav"]
    store.catalog.commit(removed=[Path("/s/a.wav")])
    assert paths(store, "good") == []

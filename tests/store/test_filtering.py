"""With filters, answers are those of a search from end to end among the windows that `filters.takes` lets pass."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_search.errors import QueryError
from pe_search.known.filters import takes
from pe_search.queries import Filters
from pe_search.records import Clip, Content, Facts, IndexedClip
from pe_search.store import Store, lookup
from pe_search.store import finder as finder_module
from pe_search.store.facts import write_tags
from pe_search.store.files import LOOKUP_FILE
from pe_search.store.passing import Passing
from tests.store.test_finder import small_steps
from tests.store.test_store import MANIFEST, Vector

__all__ = ["small_steps"]  # a fixture


NOTHING = Facts()


@dataclass(frozen=True)
class Sound:
    """What a file holds: windows of ten seconds, one after the other."""

    vectors: tuple[Vector, ...]
    facts: Facts = NOTHING
    tags: tuple[str, ...] = ()

    @property
    def digest(self) -> bytes:
        return repr(self).encode()

    @property
    def times(self) -> list[tuple[float, float]]:
        return [(10.0 * row, 10.0 * row + 10.0) for row in range(len(self.vectors))]

    def part(self, rows: slice, *, is_whole: bool) -> Content:
        embeddings = np.array(self.vectors[rows], np.float32).reshape(-1, 2)
        return Content(self.digest, self.times[rows], embeddings, is_whole=is_whole, facts=self.facts)


Sounds = Mapping[str, Sound]


def put(store: Store, sounds: Sounds, removed: Sequence[str] = ()) -> None:
    """Put clips into a store. Those of several windows come in two parts, with the windows of others between them."""
    catalog = store.catalog
    known = catalog.digests()
    new = {sound.digest: sound for sound in sounds.values() if sound.digest not in known}
    halves = [(sound, len(sound.vectors) // 2) for sound in new.values()]
    catalog.commit(contents=[sound.part(slice(0, half), is_whole=False) for sound, half in halves if half])
    catalog.commit(contents=[sound.part(slice(half, None), is_whole=True) for sound, half in halves])
    clips = [(Clip(Path(path), 1, 1), sound.digest) for path, sound in sounds.items()]
    catalog.commit(clips=clips, removed=map(Path, removed))
    catalog.drop_unused_contents()
    write_tags(catalog, added=[(one.digest, tag) for one in new.values() for tag in one.tags], removed=())


NAMED_TIMES = {
    "/s/b/20240601_235950.wav": "2024-06-01T23:59:50",
    "/t/20240602_035955Z.wav": "2024-06-02T03:59:55+00:00",
}


def as_indexed(path: str, sound: Sound) -> IndexedClip:
    recorded_at = sound.facts.recorded_at or NAMED_TIMES.get(path)
    length_s = 10.0 * len(sound.vectors)
    return IndexedClip(
        Path(path), 1, 1, length_s, 0, None, b"", facts=sound.facts, tags=sound.tags, recorded_at=recorded_at
    )


@dataclass(frozen=True)
class Row:
    """A window, with the clips that have it and pass."""

    score: float
    start_s: float
    paths: tuple[str, ...]
    digest: bytes


def passing_rows(sounds: Sounds, query: Vector, under: str | None, filters: Filters) -> Iterator[Row]:
    """All windows that pass, best first."""
    where = {path: under is None or path == under or path.startswith(under.rstrip("/") + "/") for path in sounds}
    rows = []
    for digest in {sound.digest for sound in sounds.values()}:
        alike = {path: sound for path, sound in sounds.items() if sound.digest == digest and where[path]}
        for row, vector in enumerate(next(iter(alike.values())).vectors if alike else ()):
            start_s = 10.0 * row
            paths = [path for path, sound in alike.items() if takes(filters, as_indexed(path, sound), start_s)]
            if paths:
                rows.append(Row(float(np.dot(vector, query)), start_s, tuple(sorted(paths, key=os.fsencode)), digest))
    return iter(sorted(rows, key=lambda row: (-row.score, os.fsencode(row.paths[0]), row.start_s)))


def expected(
    sounds: Sounds, query: Vector, k: int | None, under: str | None, filters: Filters, all_windows: bool
) -> list[tuple[str, float, float, tuple[str, ...]]]:
    seen: set[bytes] = set()
    found = []
    for row in passing_rows(sounds, query, under, filters):
        if all_windows or row.digest not in seen:
            seen.add(row.digest)
            found.append((row.paths[0], row.start_s, row.score, row.paths[1:]))
    return found[:k]


def found(store: Store, query: Vector, k: int | None, under: str | None, filters: Filters, **options):
    where = None if under is None else Path(under)
    matches = store.finder.best_matches(np.array(query, np.float32), k, under=where, filters=filters, **options)
    return [(str(one.path), one.start_s, one.score, tuple(map(str, one.copies))) for one in matches.best]


# Few values, so that scores are often equal; whole numbers, so that they are exact.
vectors = st.tuples(st.integers(-2, 2), st.integers(-2, 2))
PATHS = ["/s/a.wav", "/s/A2.WAV", "/s/b/c.flac", "/t/f.wav", "/t/é.mp3", *NAMED_TIMES]
numbers = st.none() | st.sampled_from([1.0, 2.0, 3.0])
facts = st.builds(
    Facts,
    sample_rate_hz=st.sampled_from([None, 1, 2, 3]),
    channels=st.sampled_from([None, 1, 2]),
    loudness_lufs=st.sampled_from([None, -30.0, -14.5]),
    bpm=st.sampled_from([None, 1.0, 2.5]),
    recorded_at=st.sampled_from([None, "2024-06-01T03:59:40", "2024-06-30T21:59:55+02:00", "1999-01-01T00:00:00"]),
)
sounds = st.builds(
    Sound,
    st.lists(vectors, min_size=1, max_size=6).map(tuple),
    facts,
    st.sets(st.sampled_from(["kick", "snare"])).map(sorted).map(tuple),
)
# Of few sounds, so that several clips are often of one.
libraries = st.lists(sounds, min_size=1, max_size=4).flatmap(
    lambda some: st.dictionaries(st.sampled_from(PATHS), st.sampled_from(some), max_size=6)
)
ranges = st.none() | st.tuples(numbers, numbers).map(lambda pair: tuple(sorted(pair)) if None not in pair else pair)
MOMENTS = ["2024-06-01T00:00:00", "2024-06-01T04:00:00", "2024-06-02T00:00:10", "2024-06-30T22:00:00"]
periods = st.none() | st.lists(st.sampled_from(MOMENTS), min_size=2, max_size=2, unique=True).flatmap(
    lambda pair: st.sampled_from([tuple(sorted(pair)), (pair[0], None), (None, pair[1])])
)
filters = st.builds(
    Filters,
    length_s=ranges.map(lambda pair: pair and tuple(one and 10 * one for one in pair)),
    sample_rate_hz=ranges,
    channels=ranges,
    loudness_lufs=st.sampled_from([None, None, (-30.0, -20.0), (-20.0, None)]),
    bpm=ranges,
    names=st.sampled_from([(), (), ("*.wav",), ("[!a]*",), ("s/*", "*.mp3"), ("/t/*",)]),
    tags=st.sampled_from([(), (), ("kick",), ("kick", "snare")]),
    recorded=periods,
    hours=st.sampled_from([None, None, (4, 7), (22, 4), (0.0, 24.0), (23.5, 0)]),
)
# One filter or two: of all at once, nothing is left.
few_filters = st.tuples(filters, filters, st.sampled_from(list(Filters.__dataclass_fields__))).map(
    lambda drawn: (
        replace(Filters(), **{drawn[2]: getattr(drawn[0], drawn[2])})
        if drawn[1].tags
        else replace(Filters(), **{drawn[2]: getattr(drawn[0], drawn[2]), "hours": drawn[1].hours})
    )
)
questions = st.lists(
    st.tuples(
        vectors,
        st.none() | st.integers(1, 12),
        st.sampled_from([None, None, "/s", "/s/b"]),
        filters | few_filters,
        st.booleans(),
    ),
    min_size=6,
    max_size=6,
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Iterator[Store]:
    """A store to be filled and emptied many times, without waiting for the disk."""
    with Store.create(tmp_path_factory.mktemp("scratch"), MANIFEST) as store:
        store.catalog._db.execute("PRAGMA synchronous = OFF")
        yield store


@pytest.mark.usefixtures("small_steps")
@settings(max_examples=80, deadline=None)
@given(
    commits=st.lists(
        st.tuples(
            libraries,
            st.lists(st.sampled_from(PATHS), max_size=3),
            st.sampled_from(["refresh", "keep_up", "rebuild", None]),
        ),
        min_size=1,
        max_size=4,
    ),
    questions=questions,
)
def test_the_answers_are_those_of_a_brute_force_search_whatever_changes_between_them(scratch, commits, questions):
    put(scratch, {}, removed=[str(path) for path in scratch.catalog.clips()])
    clips: dict[str, Sound] = {}
    for added, removed, tidy in commits:
        put(scratch, added, removed=[path for path in removed if path not in added])
        clips = {path: sound for path, sound in clips.items() if path not in removed} | added
        if tidy:
            getattr(scratch.finder, tidy)()
        for query, k, under, wanted, all_windows in questions:
            best = expected(clips, query, k, under, wanted, all_windows)
            assert found(scratch, query, k, under, wanted, all_windows=all_windows, exact=True) == best
            every = expected(clips, query, None, under, wanted, True)
            answer = found(scratch, query, k, under, wanted, all_windows=all_windows)
            assert len(answer) == len(best)
            assert set(answer) <= set(every)
            effort = scratch.finder.best_matches(
                np.array(query, np.float32), k, under=None if under is None else Path(under), filters=wanted
            ).effort
            # Of all windows, those in the index count that are gone.
            assert effort.windows == len(every) or not (wanted or under)
            if effort.is_exact:
                assert answer == best


@settings(max_examples=60, deadline=None)
@given(clips=libraries, questions=questions)
def test_clips_are_listed_and_counted_as_they_pass(scratch, clips, questions):
    put(scratch, {}, removed=[str(path) for path in scratch.catalog.clips()])
    put(scratch, clips)
    for _, _, under, wanted, _ in questions:
        rows = list(passing_rows(clips, (1, 0), under, wanted))
        passing = sorted({path for row in rows for path in row.paths}, key=os.fsencode)
        assert [str(clip.path) for clip in scratch.clips(under, wanted)] == passing
        counts = {str(clip.path): Passing(scratch.catalog, wanted).windows(clip) for clip in scratch.clips(under)}
        assert {path: count for path, count in counts.items() if count} == {
            path: sum(path in row.paths for row in rows) for path in passing
        }
        effect = scratch.filter_effect(under, wanted)
        assert (effect.clips, effect.passing) == (len(counts), len(passing))
        for field, passed in effect.alone.items():
            alone = replace(Filters(), **{field: getattr(wanted, field)})
            assert passed == len({path for row in passing_rows(clips, (1, 0), under, alone) for path in row.paths})
        assert scratch.sample(1_000, under=None if under is None else Path(under), filters=wanted)[1] == len(rows)


# Enough hits


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("all_windows", [True, False])
def test_there_are_never_fewer_hits_than_asked_for_because_of_a_filter(tmp_path, monkeypatch, all_windows):
    """The windows that pass are in lists far from the query, which a search without filters never goes to."""
    monkeypatch.setattr(finder_module, "_AT_LEAST", 1)
    random = np.random.default_rng(0)
    directions = random.uniform(0, 2 * np.pi, 600)
    clips = {
        f"/s/{number}.wav": Sound(
            ((float(np.float16(np.cos(angle))), float(np.float16(np.sin(angle)))),),
            Facts(sample_rate_hz=48_000 if np.cos(angle) < -0.5 else 44_100, title=str(number)),
        )
        for number, angle in enumerate(directions)
    }
    with Store.create(tmp_path, MANIFEST) as store:
        put(store, clips)
        store.finder.rebuild()
        far = Filters(sample_rate_hz=(48_000, None))
        passing = [path for path, sound in clips.items() if sound.facts.sample_rate_hz == 48_000]
        assert 100 < len(passing) < 300
        best = store.finder.best_matches(np.array((1, 0), np.float32), 1, filters=far, all_windows=all_windows)
        assert not best.effort.is_exact
        assert best.effort.windows_searched < best.effort.windows == len(passing)
        for k in (1, 10, len(passing) - 1, len(passing), 1_000):
            answer = found(store, (1, 0), k, None, far, all_windows=all_windows)
            assert len(answer) == min(k, len(passing))
            assert {path for path, *_ in answer} <= {*passing}


# What lies in the way


def a_library() -> dict[str, Sound]:
    times = Facts(sample_rate_hz=44_100, recorded_at="2024-06-01T03:59:40")
    return {
        "/s/a.wav": Sound(((1, 0), (2, 0), (3, 0), (0, 1)), times, ("kick",)),
        "/s/b.wav": Sound(((5, 0),), Facts(sample_rate_hz=8_000)),
        "/s/copy.wav": Sound(((5, 0),), Facts(sample_rate_hz=8_000)),
    }


HIGH = Filters(sample_rate_hz=(44_100, None))
EARLY = Filters(hours=(3, 4))


def assert_sound(store: Store) -> None:
    clips = a_library()
    for wanted in (HIGH, EARLY, Filters(names=("COPY.*",)), Filters(tags=("kick",)), Filters(bpm=(1, 2))):
        for all_windows in (False, True):
            best = expected(clips, (1, 0), 10, None, wanted, all_windows)
            assert found(store, (1, 0), 10, None, wanted, all_windows=all_windows) == best


@pytest.fixture
def directory(tmp_path) -> Path:
    with Store.create(tmp_path / "store", MANIFEST) as store:
        put(store, a_library())
        store.finder.refresh()
    return tmp_path / "store"


def test_of_clips_of_the_same_bytes_one_may_pass_and_another_not(directory):
    with Store.open(directory) as store:
        assert found(store, (1, 0), 10, None, Filters(names=("copy*",))) == [("/s/copy.wav", 0.0, 5.0, ())]
        assert found(store, (1, 0), 10, None, Filters(names=("*b*", "copy*"))) == [
            ("/s/b.wav", 0.0, 5.0, ("/s/copy.wav",))
        ]


@pytest.mark.parametrize("all_windows", [True, False])
def test_clips_of_the_same_bytes_are_one_hit_by_their_best_window_that_passes_for_any(tmp_path, all_windows):
    sound = Sound(((3, 0), (2, 0), (1, 0)))
    clips = {"/s/20240601_035950.wav": sound, "/s/20240601_040500.wav": sound, "/s/20240601_050000.wav": sound}
    first, second, third = clips
    with Store.create(tmp_path, MANIFEST) as store:
        put(store, clips)
        at_four = Filters(recorded=("2024-06-01T04:00:00", "2024-06-01T04:05:05"))
        answer = [(second, 0.0, 3.0, ()), (first, 10.0, 2.0, ()), (first, 20.0, 1.0, ())]
        assert found(store, (1, 0), 9, None, at_four, all_windows=all_windows) == answer[: 3 if all_windows else 1]
        # From four to five, all windows of the second pass; of the third none does.
        at_four = Filters(hours=(4, 5))
        answer = [(second, 0.0, 3.0, ()), (first, 10.0, 2.0, (second,)), (first, 20.0, 1.0, (second,))]
        assert found(store, (1, 0), 9, None, at_four, all_windows=all_windows) == answer[: 3 if all_windows else 1]
        assert found(store, (1, 0), 9, None, Filters(hours=(5, 6)), all_windows=all_windows)[0] == (third, 0.0, 3.0, ())


def test_a_long_recording_is_cut_by_the_time_of_each_window(directory):
    with Store.open(directory) as store:
        assert found(store, (1, 0), 10, None, EARLY) == [("/s/a.wav", 10.0, 2.0, ())]
        later = Filters(recorded=("2024-06-01T04:00:00", "2024-06-01T04:00:10"))
        assert found(store, (1, 0), 10, None, later, all_windows=True) == [("/s/a.wav", 20.0, 3.0, ())]


def garbage(file: Path) -> None:
    file.write_bytes(b"no database" * 1_000)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5_000])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def overwritten(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    whole[4_096:] = bytes(len(whole) - 4_096)
    file.write_bytes(whole)


def with_other_tables(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("DROP TABLE clips")
        db.execute("CREATE TABLE clips (id INTEGER PRIMARY KEY, path TEXT)")


def of_another_store(file: Path) -> None:
    other = file.parent.parent / "other"
    with Store.create(other, MANIFEST) as store:
        put(store, {"/s/a.wav": Sound(((9, 9),), Facts(sample_rate_hz=96_000)), "/s/z.wav": Sound(((1, 1),))})
        store.finder.refresh()
    shutil.copy(other / LOOKUP_FILE, file)


def gone(file: Path) -> None:
    file.unlink()


HARMS = [garbage, cut_short, emptied, overwritten, with_other_tables, of_another_store, gone]


@pytest.mark.parametrize("harm", HARMS, ids=lambda one: one.__name__)
def test_a_file_that_is_damaged_or_foreign_is_made_again(directory, harm):
    harm(directory / LOOKUP_FILE)
    with Store.open(directory) as store:
        assert_sound(store)
    # It was made again, and serves the next.
    assert (directory / LOOKUP_FILE).stat().st_size > 4_096
    before = (directory / LOOKUP_FILE).read_bytes()
    with Store.open(directory) as store:
        assert_sound(store)
    assert (directory / LOOKUP_FILE).read_bytes() == before


def test_a_file_that_is_damaged_while_it_is_open_is_made_again(directory):
    with Store.open(directory) as store:
        assert_sound(store)
        garbage(directory / LOOKUP_FILE)
        store.finder.lookup._db.execute("PRAGMA shrink_memory")
        assert_sound(store)


def test_a_file_of_an_older_commit_is_brought_up_to_date(directory):
    old = (directory / LOOKUP_FILE).read_bytes()
    with Store.open(directory, read_only=False) as store:
        put(store, {"/s/new.wav": Sound(((7, 0),), Facts(sample_rate_hz=96_000))}, removed=["/s/a.wav"])
        store.finder.refresh()
    (directory / LOOKUP_FILE).write_bytes(old)
    with Store.open(directory) as store:
        assert found(store, (1, 0), 10, None, HIGH) == [("/s/new.wav", 0.0, 7.0, ())]


@pytest.mark.parametrize("there", [True, False])
def test_a_store_that_can_not_be_written_is_searched_all_the_same(directory, monkeypatch, there):
    file = directory / LOOKUP_FILE
    with Store.open(directory, read_only=False) as store:
        put(store, {"/s/new.wav": Sound(((7, 0),), Facts(sample_rate_hz=96_000))}, removed=["/s/a.wav"])
    if not there:
        file.unlink()
    before = {one.name: one.read_bytes() for one in directory.iterdir()}
    open_database = lookup.open_database
    monkeypatch.setattr(lookup, "open_database", lambda path, _mode, **options: open_database(path, "ro", **options))
    with Store.open(directory) as store:
        assert found(store, (1, 0), 10, None, HIGH) == [("/s/new.wav", 0.0, 7.0, ())]
        assert found(store, (1, 0), 10, None, Filters(names=("copy*",))) == [("/s/copy.wav", 0.0, 5.0, ())]
    after = {one.name: one.read_bytes() for one in directory.iterdir()}
    assert {name: after.get(name) for name in before if not name.endswith("-shm")} == {
        name: content for name, content in before.items() if not name.endswith("-shm")
    }


def test_a_folder_in_its_place_hides_nothing(directory):
    (directory / LOOKUP_FILE).unlink()
    (directory / LOOKUP_FILE).mkdir()
    with Store.open(directory) as store:
        assert_sound(store)
    assert (directory / LOOKUP_FILE).is_dir()


def test_a_file_in_use_is_neither_waited_for_long_nor_deleted(directory, monkeypatch):
    monkeypatch.setattr(lookup, "_BUSY_TIMEOUT_S", 0.0)
    with Store.open(directory, read_only=False) as store:
        put(store, {"/s/new.wav": Sound(((7, 0),), Facts(sample_rate_hz=96_000))}, removed=["/s/a.wav"])
    with closing(sqlite3.connect(directory / LOOKUP_FILE)) as other:
        other.execute("BEGIN IMMEDIATE")
        inode = (directory / LOOKUP_FILE).stat().st_ino
        with Store.open(directory) as store:
            assert found(store, (1, 0), 10, None, HIGH) == [("/s/new.wav", 0.0, 7.0, ())]
        assert (directory / LOOKUP_FILE).stat().st_ino == inode
        other.rollback()
    with Store.open(directory) as store:
        assert found(store, (1, 0), 10, None, HIGH) == [("/s/new.wav", 0.0, 7.0, ())]


@pytest.mark.parametrize(
    "wanted",
    [
        Filters(length_s=(2, 1)),
        Filters(bpm=(float("nan"), None)),
        Filters(names=("",)),
        Filters(tags="kick"),  # type: ignore[arg-type]
        Filters(recorded=("yesterday", None)),
        Filters(recorded=("2024-06-01T00:00:00Z", None)),
        Filters(recorded=("2024-06-02", "2024-06-01")),
        Filters(hours=(24, 3)),
        Filters(hours=(3, 3)),
        Filters(hours=(3, 25)),
    ],
)
def test_filters_that_nothing_could_pass_are_refused(directory, wanted):
    with Store.open(directory) as store:
        for ask in (
            lambda: found(store, (1, 0), 10, None, wanted),
            lambda: store.clips(filters=wanted),
            lambda: store.filter_effect(None, wanted),
        ):
            with pytest.raises(QueryError, match="must be"):
                ask()

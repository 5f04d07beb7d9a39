"""A store as a whole: what is written is found, exactly and in order."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_search.errors import StoreError
from pe_search.queries import Match
from pe_search.records import Clip, Content, Holdings, Incomplete
from pe_search.store import Store
from pe_search.store.index import Index
from pe_search.store.merge import merge
from tests.made_up import manifest, put_clips

MANIFEST = manifest(dimension=2)
Vector = tuple[float, float]


def entry(path: str, vectors: Sequence[Vector]):
    """A clip with a window of ten seconds for each embedding."""
    times = [(10.0 * row, 10.0 * row + 10.0) for row in range(len(vectors))]
    return Clip(Path(path), 5, 6), times, np.array(vectors, np.float32)


def put(store: Store, clips: dict[str, Sequence[Vector]], removed: Iterable[str] = ()) -> None:
    put_clips(store, [entry(path, vectors) for path, vectors in clips.items()], [Path(path) for path in removed])


def found(store: Store, query: Vector, k: int = 10, **options) -> list[tuple[str, float, float]]:
    """Path, start and score of each match; the end is checked here."""
    matches = store.finder.best_matches(np.array(query, np.float32), k, **options).best
    for match in matches:
        assert match.end_s == match.start_s + 10
    return [(str(match.path), match.start_s, match.score) for match in matches]


def files(directory: Path) -> set[str]:
    """What lies in a store, without what SQLite and the one writer keep there while they are at work."""
    names = {file.name for file in directory.iterdir()}
    return {name for name in names if not name.endswith(("-wal", "-shm")) and not name.startswith("writer.")}


@pytest.fixture
def directory(tmp_path) -> Path:
    """A closed store with two clips and a fresh index."""
    with Store.create(tmp_path / "store", MANIFEST) as store:
        put(store, {"/s/a.wav": [(1, 0), (0, 3)], "/s/b.wav": [(2, 0)]})
        store.finder.refresh()
    return tmp_path / "store"


ALONG = [("/s/b.wav", 0.0, 2.0), ("/s/a.wav", 0.0, 1.0)]


# Ranking


def without_copies(clips: dict[str, Sequence[Vector]], under: str | None) -> dict[str, Sequence[Vector]]:
    """The clips at or below a path; of those of the same content only the first."""
    is_under = {path: under is None or path == under or path.startswith(under.rstrip("/") + "/") for path in clips}
    in_order = sorted((path for path in clips if is_under[path]), key=os.fsencode, reverse=True)
    first = {tuple(clips[path]): path for path in in_order}
    return {path: clips[path] for path in first.values()}


def oracle(
    clips: dict[str, Sequence[Vector]], query: Vector, k: int, under: str | None, all_windows: bool
) -> list[tuple[str, float, float]]:
    """Every window scored and sorted: by score, then path, then time."""
    rows = sorted(
        (-float(np.dot(vector, query)), os.fsencode(path), path, 10.0 * row)
        for path, vectors in without_copies(clips, under).items()
        for row, vector in enumerate(vectors)
    )
    ranked: list[tuple[str, float, float]] = []
    taken: set[str] = set()
    for negative, _, path, start_s in rows:
        if all_windows or path not in taken:
            ranked.append((path, start_s, -negative))
            taken.add(path)
    return ranked[:k]


# Few values, so that scores are often equal; whole numbers, so that they are exact.
vectors = st.tuples(st.integers(-2, 2), st.integers(-2, 2))
paths = st.sampled_from(["/s/a.wav", "/s/b.wav", "/s/b/c.wav", "/s/b/d.wav", "/s/b-e.wav", "/t/f.wav", "/t/é.wav"])
libraries = st.dictionaries(paths, st.lists(vectors, min_size=1, max_size=6))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Iterator[Store]:
    """A store to be filled and emptied many times, without waiting for the disk."""
    with Store.create(tmp_path_factory.mktemp("scratch"), MANIFEST) as store:
        store.catalog._db.execute("PRAGMA synchronous = OFF")
        yield store


@settings(max_examples=100, deadline=None)
@given(
    commits=st.lists(st.tuples(libraries, st.lists(paths, max_size=3)), min_size=1, max_size=3),
    questions=st.lists(
        st.tuples(
            vectors,
            st.integers(1, 12),
            st.sampled_from([None, "/s", "/s/b", "/s/b/c.wav", "/", "/none"]),
            st.booleans(),
        ),
        min_size=8,
        max_size=8,
    ),
)
def test_the_best_matches_are_those_of_a_brute_force_search(scratch, commits, questions):
    put(scratch, {}, removed=map(str, scratch.catalog.clips()))
    clips: dict[str, Sequence[Vector]] = {}
    for added, removed in commits:
        put(scratch, added, removed)
        clips = {path: rows for path, rows in clips.items() if path not in removed} | added
        for query, k, under, all_windows in questions:
            where = None if under is None else Path(under)
            expected = oracle(clips, query, k, under, all_windows)
            assert found(scratch, query, k, under=where, all_windows=all_windows) == expected


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("all_windows", [True, False])
def test_many_clips_of_many_windows_with_scores_of_any_size(scratch, seed, all_windows):
    random = np.random.default_rng(seed)
    # Halves of small whole numbers are exact in float32; some clips have far more windows than others.
    clips = {
        f"/s/{number % 7}/{number}.wav": [
            tuple(pair) for pair in random.integers(-40, 40, (int(random.integers(1, 60)), 2)) / 2
        ]
        for number in range(60)
    }
    put(scratch, clips, removed=map(str, scratch.catalog.clips()))
    for query in [(1, 0), (3.5, -2), (0, 0)]:
        for k in (1, 10, 60, 5_000):
            for under in (None, "/s/3"):
                expected = oracle(clips, query, k, under, all_windows)
                where = None if under is None else Path(under)
                assert found(scratch, query, k, under=where, all_windows=all_windows) == expected


@pytest.mark.parametrize("all_windows", [True, False])
def test_clips_of_the_same_content_are_one_match_that_names_the_others(tmp_path, all_windows):
    with Store.create(tmp_path, MANIFEST) as store:
        put(store, {f"/{folder}/{name}.wav": [(1, 0)] for folder in "ts" for name in "cab"} | {"/s/x.wav": [(2, 0)]})
        assert store.catalog.holdings() == Holdings(7, 2, 7, 70.0, 0)
        names = ["/s/a.wav", "/s/b.wav", "/s/c.wav", "/t/a.wav", "/t/b.wav", "/t/c.wav"]

        def copies(**options: object) -> list[tuple[str, list[str]]]:
            matches = store.finder.best_matches(np.array((1, 0), np.float32), 9, all_windows=all_windows, **options)
            return [(str(match.path), [str(path) for path in match.copies]) for match in matches.best]

        expected = [("/s/x.wav", 0.0, 2.0), ("/s/a.wav", 0.0, 1.0)]
        for k in range(1, 9):
            assert found(store, (1, 0), k, all_windows=all_windows) == expected[:k]
        assert copies() == [("/s/x.wav", []), (names[0], names[1:])]
        assert copies(under=Path("/t")) == [(names[3], names[4:])]
        put(store, {}, removed=names[:5])
        assert copies() == [("/s/x.wav", []), (names[5], [])]


def test_one_clip_of_many_good_windows_does_not_crowd_out_the_others(tmp_path):
    with Store.create(tmp_path, MANIFEST) as store:
        put(store, {"/long.wav": [(9, 0)] * 500, "/a.wav": [(1, 0)], "/b.wav": [(2, 0)]})
        assert found(store, (1, 0), 2) == [("/long.wav", 0.0, 9.0), ("/b.wav", 0.0, 2.0)]
        assert found(store, (1, 0), 3) == [("/long.wav", 0.0, 9.0), ("/b.wav", 0.0, 2.0), ("/a.wav", 0.0, 1.0)]


def test_equal_scores_are_in_order_of_path_and_time_whatever_the_order_of_indexing(tmp_path):
    vector = tuple(np.random.default_rng(0).standard_normal(2).astype(np.float32).tolist())
    names = [f"/s/{letter}.wav" for letter in "ABCabcdefgh"]
    answers = []
    for number, order in enumerate([names, names[::-1], names[5:] + names[:5]]):
        with Store.create(tmp_path / str(number), MANIFEST) as store:
            for name in order:
                # Otherwise they would be copies of each other.
                put(store, {name: [vector, (-names.index(name), 0), vector]})
            answers.append((found(store, vector, 4), found(store, vector, 5, all_windows=True)))
    assert answers[0] == answers[1] == answers[2]
    assert [path for path, _, _ in answers[0][0]] == names[:4]
    expected = [("/s/A.wav", 0.0), ("/s/A.wav", 20.0), ("/s/B.wav", 0.0), ("/s/B.wav", 20.0), ("/s/C.wav", 0.0)]
    assert [(path, start_s) for path, start_s, _ in answers[0][1]] == expected


@pytest.mark.parametrize("all_windows", [True, False])
def test_one_clip(tmp_path, all_windows):
    with Store.create(tmp_path, MANIFEST) as store:
        put(store, {"/a.wav": [(1, 0)]})
        for k in (1, 2, 1000):
            assert found(store, (3, 0), k, all_windows=all_windows) == [("/a.wav", 0.0, 3.0)]


def test_a_match_tells_path_times_and_score(tmp_path):
    with Store.create(tmp_path, MANIFEST) as store:
        put_clips(store, [(Clip(Path("/a.wav"), 1, 2), [(2.5, 12.5)], np.array([[0.5, 2]], np.float32))])
        assert store.finder.best_matches(np.array([2, 1], np.float32), 1).best == (
            Match(Path("/a.wav"), 2.5, 12.5, 3.0),
        )


def test_an_empty_store_has_no_match(tmp_path):
    with Store.create(tmp_path, MANIFEST) as store:
        assert found(store, (1, 0)) == found(store, (1, 0), under=Path("/"), all_windows=True) == []
        assert store.catalog.holdings() == Holdings(0, 0, 0, 0.0, 0)
        assert store.catalog.clips() == {}


def test_a_store_that_was_emptied_has_no_match(directory):
    with Store.open(directory, read_only=False) as store:
        assert found(store, (1, 0)) == ALONG
        put(store, {}, removed=["/s/a.wav", "/s/b.wav"])
        assert found(store, (1, 0)) == []


# Making and opening


def test_a_store_that_is_opened_again_holds_what_was_put_in(directory):
    for read_only in (True, False):
        with Store.open(directory, read_only=read_only) as store:
            assert store.manifest == MANIFEST
            assert store.directory == directory
            assert store.catalog.holdings() == Holdings(2, 2, 3, 30.0, 0)
            assert set(store.catalog.clips()) == {Path("/s/a.wav"), Path("/s/b.wav")}
            assert found(store, (1, 0)) == ALONG


def test_there_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="There is no store at"):
        Store.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_a_newer_format_is_not_opened(directory):
    text = (directory / "manifest.json").read_text()
    (directory / "manifest.json").write_text(text.replace('"format_version": 6', '"format_version": 7'))
    before = {file: file.read_bytes() for file in directory.iterdir()}
    for read_only in (True, False):
        with pytest.raises(StoreError, match="Upgrade pe-search"):
            Store.open(directory, read_only=read_only)
    assert {file: file.read_bytes() for file in directory.iterdir()} == before


def test_a_store_without_its_catalog_is_not_read_but_can_be_filled_again(directory):
    (directory / "catalog.sqlite3").unlink()
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 can't be used"):
        Store.open(directory)
    with Store.open(directory, read_only=False) as store:
        assert store.catalog.holdings() == Holdings(0, 0, 0, 0.0, 0)
        # Least of all is the index of the catalog that was there taken for the new one's.
        assert found(store, (1, 0)) == []
        put(store, {"/s/c.wav": [(5, 0)]})
        assert found(store, (1, 0)) == [("/s/c.wav", 0.0, 5.0)]


def test_folders_above_a_new_store_are_made(tmp_path):
    with Store.create(tmp_path / "a" / "b", MANIFEST):
        assert files(tmp_path / "a" / "b") == {"manifest.json", "catalog.sqlite3"}


def test_a_new_store_does_not_take_over_what_another_holds(directory):
    other = dataclasses.replace(MANIFEST, model="other")
    with pytest.raises(StoreError, match="There is already a catalog at"):
        Store.create(directory, other)
    (directory / "manifest.json").unlink()
    with pytest.raises(StoreError, match="There is already a catalog at"):
        Store.create(directory, other)
    assert "manifest.json" not in files(directory)


@pytest.mark.parametrize("place", ["file", "file/deeper"])
def test_a_store_cannot_be_made_where_a_file_is(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"A store can't be made at .*: (File exists|Not a directory)\."):
        Store.create(tmp_path / place, MANIFEST)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_cannot_be_made_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match=r"A store can't be made at .*: Permission denied\."):
            Store.create(tmp_path / "store", MANIFEST)
    finally:
        tmp_path.chmod(0o700)


def test_the_directory_may_be_relative_or_not_utf8(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("relative", os.fsdecode(b"\xff ?")):
        with Store.create(Path(name), MANIFEST) as store:
            put(store, {"/a.wav": [(1, 0)]})
            store.finder.refresh()
        with Store.open(Path(name)) as store:
            assert found(store, (1, 0)) == [("/a.wav", 0.0, 1.0)]
        assert files(tmp_path / name) == {"manifest.json", "catalog.sqlite3", "lookup.sqlite3", "index.vectors"}


# One writes, one reads


def test_a_reader_finds_what_a_writer_commits_while_both_are_open(directory):
    with Store.open(directory, read_only=False) as writer, Store.open(directory) as reader:
        assert found(reader, (1, 0)) == ALONG
        put(writer, {"/s/c.wav": [(7, 0)]})
        assert found(reader, (1, 0)) == [("/s/c.wav", 0.0, 7.0), *ALONG]
        put(writer, {"/s/c.wav": [(-7, 0)]}, removed=["/s/b.wav"])
        writer.finder.refresh()
        assert found(reader, (1, 0)) == found(writer, (1, 0)) == [("/s/a.wav", 0.0, 1.0), ("/s/c.wav", 0.0, -7.0)]
        assert reader.catalog.clips() == writer.catalog.clips()


def test_the_index_of_a_reader_and_of_a_writer_do_not_get_in_each_others_way(directory):
    with Store.open(directory, read_only=False) as writer, Store.open(directory) as reader:
        for number in range(5):
            put(writer, {f"/s/{number}.wav": [(10 + number, 0)]})
            if number % 2:
                writer.finder.refresh()
            assert found(reader, (1, 0), 1) == [(f"/s/{number}.wav", 0.0, 10.0 + number)]
            if not number % 2:
                writer.finder.refresh()
            assert found(writer, (1, 0), 1) == [(f"/s/{number}.wav", 0.0, 10.0 + number)]


@pytest.mark.parametrize("all_windows", [True, False])
@pytest.mark.parametrize("under", [None, Path("/s")])
def test_what_a_writer_commits_during_a_search_is_for_the_next_one(directory, monkeypatch, all_windows, under):
    with Store.open(directory, read_only=False) as writer, Store.open(directory) as reader:
        search = Index.search

        def search_while_a_writer_commits(*arguments, **options):
            answer = search(*arguments, **options)
            put(writer, {"/s/new.wav": [(9, 1)], "/s/a.wav": [(4, 0)]}, removed=["/s/b.wav"])
            writer.finder.rebuild()
            monkeypatch.undo()
            return answer

        monkeypatch.setattr(Index, "search", search_while_a_writer_commits)
        assert found(reader, (1, 0), all_windows=all_windows, under=under)[:2] == ALONG
        assert found(reader, (1, 0), all_windows=all_windows, under=under) == [
            ("/s/new.wav", 0.0, 9.0),
            ("/s/a.wav", 0.0, 4.0),
        ]


# What `status` tells


def test_the_size_is_that_of_all_files(directory):
    with Store.open(directory) as store:
        assert store.size_bytes() == sum(file.stat().st_size for file in directory.iterdir())
        assert store.size_bytes() > (directory / "index.vectors").stat().st_size + 8_192


def test_the_time_of_writing_is_that_of_the_last_commit(directory, monkeypatch):
    long_ago = 1_600_000_000.0
    os.utime(directory / "catalog.sqlite3", (long_ago, long_ago))
    for _ in range(2):
        with Store.open(directory) as reader:
            assert found(reader, (1, 0)) == ALONG
            assert reader.catalog.written_at_s() == long_ago
    with Store.open(directory, read_only=False) as writer:
        assert writer.catalog.written_at_s() == long_ago
        put(writer, {"/s/c.wav": [(1, 0)]})
        assert abs(writer.catalog.written_at_s() - time.time()) < 60
    with Store.open(directory) as reader:
        assert abs(reader.catalog.written_at_s() - time.time()) < 60


def test_what_could_not_be_read_of_a_clip_is_told(tmp_path):
    paths = [Path("/s/b.wav"), Path("/s/a.wav"), Path("/s/whole.wav")]
    clips = [Clip(path, 5, 6, 7, 8) for path in paths]
    ones = np.ones((1, 2), np.float32)
    begun = Content(b"1", [(0.0, 10.0)], ones, is_whole=False)
    cut_short = Content(b"1", [(10.0, 20.0)], ones, is_whole=True, missing="breaks off after 0:20 of 0:30")
    whole = Content(b"2", [(0.0, 10.0)], ones, is_whole=True)
    with Store.create(tmp_path / "store", MANIFEST) as store:
        store.catalog.commit(contents=[begun])
        store.catalog.commit(contents=[cut_short, whole], clips=[(clips[0], b"1"), (clips[1], b"1"), (clips[2], b"2")])
        reason = "breaks off after 0:20 of 0:30"
        assert store.catalog.incomplete() == [Incomplete(clips[1], reason), Incomplete(clips[0], reason)]
        assert store.catalog.holdings() == Holdings(3, 2, 5, 50.0, 0, incomplete=2)
        content = store.catalog.content(paths[0])
        assert content is not None
        assert (content.missing, content.times) == (reason, [(0.0, 10.0), (10.0, 20.0)])
        with Store.create(tmp_path / "other", MANIFEST) as other:
            merge(other, store)
            assert other.catalog.incomplete() == store.catalog.incomplete()


def test_the_second_of_two_first_runs_is_told_who_is_writing_and_changes_nothing(tmp_path):
    directory = tmp_path / "store"
    with Store.create(directory, manifest()):
        before = {file.name: file.read_bytes() for file in directory.iterdir()}
        with pytest.raises(StoreError, match=rf"Another process \(id {os.getpid()}\) is writing to the store at "):
            Store.create(directory, manifest(window_s=5.0, hop_s=5.0))
        assert {file.name: file.read_bytes() for file in directory.iterdir()} == before

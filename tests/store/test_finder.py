"""Answers are those of the last commit, whatever index there is, and an index that is wrong does no harm."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_search.efforts import SearchEffort
from pe_search.errors import StoreError
from pe_search.records import Holdings, Problem
from pe_search.store import Store
from pe_search.store import finder as finder_module
from pe_search.store.finder import INDEX_FILE
from pe_search.store.index import open_index
from pe_search.store.making import make_index
from tests.store.test_store import (  # noqa: F401
    ALONG,
    MANIFEST,
    Vector,
    directory,
    files,
    found,
    libraries,
    oracle,
    paths,
    put,
    scratch,
    vectors,
    without_copies,
)

__all__ = ["directory"]  # a fixture


def no_index(*_arguments, **_options):
    raise AssertionError("an index was made")


@pytest.fixture
def small_steps(monkeypatch):
    """As if a few windows were many."""
    monkeypatch.setattr(finder_module, "LISTS_FROM", 8)
    monkeypatch.setattr("pe_search.store.index._FEW_ROWS", 0)
    monkeypatch.setattr(finder_module, "_TAIL_WHILE_WRITING", 3)
    monkeypatch.setattr(finder_module, "_TAIL_SHARE_WHILE_WRITING", 0.5)
    monkeypatch.setattr(finder_module, "_TAIL_AT_REST", 2)
    monkeypatch.setattr(finder_module, "_TAIL_SHARE_AT_REST", 0.2)
    monkeypatch.setattr(finder_module, "_AT_LEAST", 2)


@pytest.mark.usefixtures("small_steps")
@settings(max_examples=60, deadline=None)
@given(
    commits=st.lists(
        st.tuples(
            libraries,
            st.lists(paths, max_size=3),
            st.sampled_from(["refresh", "keep_up", "rebuild", None]),
        ),
        min_size=1,
        max_size=5,
    ),
    questions=st.lists(
        st.tuples(vectors, st.none() | st.integers(1, 12), st.sampled_from([None, "/s", "/s/b"]), st.booleans()),
        min_size=4,
        max_size=4,
    ),
)
def test_whatever_the_index_covers_the_answers_are_those_of_a_brute_force_search(scratch, commits, questions):  # noqa: F811
    put(scratch, {}, removed=map(str, scratch.catalog.clips()))
    clips: dict[str, Sequence[Vector]] = {}
    for added, removed, tidy in commits:
        put(scratch, added, removed)
        clips = {path: rows for path, rows in clips.items() if path not in removed} | added
        if tidy:
            getattr(scratch.finder, tidy)()
        for query, k, under, all_windows in questions:
            where = None if under is None else Path(under)
            expected = oracle(clips, query, k, under, all_windows)
            assert found(scratch, query, k, under=where, all_windows=all_windows, exact=True) == expected
            assert effort(scratch, query, k, under=where, all_windows=all_windows, exact=True).is_exact
            everything = oracle(clips, query, 1_000, under, True)
            answer = found(scratch, query, k, under=where, all_windows=all_windows)
            assert len(answer) == len(expected)
            assert set(answer) <= set(everything)
            if effort(scratch, query, k, under=where, all_windows=all_windows).is_exact:
                assert answer == expected


@pytest.mark.usefixtures("small_steps")
@settings(max_examples=40, deadline=None)
@given(
    clips=libraries,
    later=libraries,
    questions=st.lists(
        st.tuples(vectors, vectors, st.integers(1, 12), st.sampled_from([None, "/s", "/s/b"]), st.booleans()),
        min_size=4,
        max_size=4,
    ),
)
def test_with_a_direction_the_answers_are_exact_whatever_the_index_covers(scratch, clips, later, questions):  # noqa: F811
    put(scratch, {}, removed=map(str, scratch.catalog.clips()))
    put(scratch, clips)
    scratch.finder.rebuild()
    put(scratch, later)
    both = clips | later
    for query, like, k, under, all_windows in questions:
        windows = [
            (path, 10.0 * row, np.array(vector, np.float64))
            for path, rows in without_copies(both, under).items()
            for row, vector in enumerate(rows)
        ]
        expected = {
            (path, start_s): float(vector @ query + (vector @ like / np.linalg.norm(vector) if vector.any() else 0))
            for path, start_s, vector in windows
        }
        answer = found(
            scratch,
            query,
            k,
            like=np.array(like, np.float32),
            under=None if under is None else Path(under),
            all_windows=all_windows,
        )
        best = sorted(expected.values(), reverse=True)
        if not all_windows:
            best = sorted(
                (max(score for (one, _), score in expected.items() if one == path) for path in {w[0] for w in windows}),
                reverse=True,
            )
        np.testing.assert_allclose([score for _, _, score in answer], best[:k], atol=1e-5)
        for path, start_s, score in answer:
            assert score == pytest.approx(expected[path, start_s], abs=1e-5)
        found_exactly = effort(scratch, query, k, like=np.array(like, np.float32), all_windows=all_windows)
        assert found_exactly.is_exact


def effort(store: Store, query: Vector, k: int, **options) -> SearchEffort:
    """How the store searched for this."""
    return store.finder.best_matches(np.array(query, np.float32), k, **options).effort


# When the index is made


def covered(store: Store) -> list[int]:
    """Ids of the windows in the index on disk."""
    index = open_index(store.directory / INDEX_FILE, store.catalog.identity, 2)
    return [] if index is None else sorted(index.ids.tolist())


def numbered(first: int, last: int) -> dict[str, Sequence[Vector]]:
    return {f"/n/{number}.wav": [(number, 1)] for number in range(first, last)}


def test_a_commit_of_a_few_windows_leaves_the_index_alone_and_they_are_found(directory, monkeypatch):
    with Store.open(directory, read_only=False) as writer:
        put(writer, numbered(10, 60))
        monkeypatch.setattr(finder_module, "make_index", no_index)
        writer.finder.keep_up()
        with Store.open(directory) as reader:
            for store in (reader, writer):
                assert found(store, (1, 0), 2) == [("/n/59.wav", 0.0, 59.0), ("/n/58.wav", 0.0, 58.0)]
                assert effort(store, (1, 0), 2) == SearchEffort(True, 53, 53)
                assert found(store, (1, 0), 1, under=Path("/s")) == ALONG[:1]
                assert effort(store, (1, 0), 1, under=Path("/s")) == SearchEffort(True, 3, 3)


@pytest.mark.usefixtures("small_steps")
def test_a_run_makes_the_index_again_when_much_has_come(tmp_path):
    with Store.create(tmp_path, MANIFEST) as store:
        sizes = []
        for number in range(1, 21):
            put(store, numbered(number, number + 1))
            store.finder.keep_up()
            sizes.append(len(covered(store)))
        # When more than three, or more than half of what it covers, have come.
        assert sizes == [0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 8, 13, 13, 13, 13, 13, 13, 13, 20]


@pytest.mark.usefixtures("small_steps")
def test_the_end_of_a_run_makes_the_index_again_when_a_little_has_come_or_gone(tmp_path):
    with Store.create(tmp_path, MANIFEST) as store:
        put(store, numbered(1, 11))
        store.finder.refresh()
        assert len(covered(store)) == 10
        put(store, numbered(11, 13))
        store.finder.refresh()
        assert len(covered(store)) == 10
        put(store, numbered(13, 14))
        store.finder.refresh()
        assert len(covered(store)) == 13
        put(store, {}, removed=numbered(1, 3))
        store.finder.refresh()
        assert len(covered(store)) == 13
        put(store, {}, removed=numbered(3, 4))
        store.finder.refresh()
        assert covered(store) == list(range(4, 14))
        assert found(store, (-1, 0), 1) == [("/n/4.wav", 0.0, -4.0)]


def test_a_small_change_of_a_small_store_is_in_the_index_at_the_end_of_a_run(directory):
    with Store.open(directory, read_only=False) as store:
        put(store, {"/s/c.wav": [(9, 0)]}, removed=["/s/b.wav"])
        store.finder.refresh()
        assert covered(store) == [1, 2, 4]


@pytest.mark.usefixtures("small_steps")
def test_a_query_makes_an_index_where_there_is_none_and_many_windows_but_trains_nothing(tmp_path, monkeypatch):
    with Store.create(tmp_path, MANIFEST) as store:
        put(store, numbered(1, 4))
    with Store.open(tmp_path) as store:
        assert len(found(store, (1, 0))) == 3
        assert covered(store) == []
    with Store.open(tmp_path, read_only=False) as store:
        put(store, numbered(4, 20))
    monkeypatch.setattr("pe_search.store.making.cluster", no_index)
    with Store.open(tmp_path) as store:
        assert len(found(store, (1, 0), 50)) == 19
        assert len(covered(store)) == 19
    monkeypatch.undo()
    monkeypatch.setattr(finder_module, "LISTS_FROM", 8)
    with Store.open(tmp_path, read_only=False) as store:
        store.finder.refresh()
        assert len(open_index(tmp_path / INDEX_FILE, store.catalog.identity, 2).centroids) == 19


def test_drafts_of_processes_that_were_killed_are_dropped(directory):
    (directory / ".pe-search-0123456789abcdef.part").mkdir()
    (directory / ".pe-search-0123456789abcdef.part" / "in-order").write_bytes(b"half")
    with Store.open(directory, read_only=False) as store:
        store.finder.rebuild()
    assert files(directory) == {"manifest.json", "catalog.sqlite3", "lookup.sqlite3", INDEX_FILE}


def test_a_query_reads_no_more_of_a_large_catalog_than_of_a_small_one(tmp_path):
    steps = []
    for windows in (100, 2_000):
        with Store.create(tmp_path / str(windows), MANIFEST) as store:
            put(store, {f"/{clip}.wav": [(50 * clip + row, 1) for row in range(50)] for clip in range(windows // 50)})
            store.finder.refresh()
        with Store.open(tmp_path / str(windows)) as store:
            asked = 0

            def count():
                nonlocal asked
                asked += 1

            store.catalog._db.set_progress_handler(count, 10)
            assert len(found(store, (1, 0), 1)) == 1
            steps.append(asked)
    # In tens of steps of SQLite's machine.
    assert 0 < steps[0] <= steps[1] <= steps[0] + 50


# An index that does not serve


def damage_by_cutting(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def damage_by_words(path: Path) -> None:
    path.write_bytes(b"words")


def damage_by_emptying(path: Path) -> None:
    path.write_bytes(b"")


def made(path: Path, ids: Sequence[int], rows: Sequence[Sequence[float]], up_to: int) -> None:
    """Put an index of other windows in the place of the store's, under the name of its catalog."""
    with Store.open(path.parent) as store:
        identity = store.catalog.identity
    blocks = [(np.array(ids), np.array(rows, np.float16))]
    make_index(path, identity, len(ids), len(rows[0]), up_to, blocks, lists_from=None)


def damage_by_another_dimension(path: Path) -> None:
    made(path, [1, 2, 3], np.ones((3, 5)).tolist(), 3)


def damage_by_other_embeddings(path: Path) -> None:
    made(path, [1, 2, 3], [(1, 0), (0, 3), (7, 0)], 3)


def damage_by_other_ids(path: Path) -> None:
    made(path, [2, 3, 1], [(1, 0), (0, 3), (2, 0)], 3)


def damage_by_covering_too_much(path: Path) -> None:
    made(path, [1, 2], [(1, 0), (0, 3)], 4)


DAMAGES = [
    damage_by_cutting,
    damage_by_words,
    damage_by_emptying,
    damage_by_another_dimension,
    damage_by_other_embeddings,
    damage_by_other_ids,
    damage_by_covering_too_much,
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("read_only", [True, False])
def test_an_index_that_is_damaged_is_made_again_and_that_is_said_once(directory, damage, read_only):
    path = directory / INDEX_FILE
    whole = path.read_bytes()
    damage(path)
    problems: list[Problem] = []
    with Store.open(directory, read_only=read_only, on_problem=problems.append) as store:
        assert found(store, (1, 0)) == ALONG
        assert found(store, (1, 0), under=Path("/s")) == ALONG
    assert path.read_bytes() == whole
    (problem,) = problems
    assert problem.path == path
    assert problem.reason.startswith("the index is damaged (")
    assert problem.reason.endswith("); it is made again from the catalog")
    assert files(directory) == {"manifest.json", "catalog.sqlite3", "lookup.sqlite3", INDEX_FILE}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_on_a_read_only_disk_is_passed_by(directory, damage, monkeypatch):
    damage(directory / INDEX_FILE)
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    no_writing(monkeypatch)
    problems: list[Problem] = []
    with Store.open(directory, on_problem=problems.append) as store:
        for _ in range(3):
            assert found(store, (1, 0)) == ALONG
    assert [problem.reason for problem in problems][1:] == ["it can't be made again: Read-only file system"]
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before


def test_an_index_that_is_damaged_when_a_run_ends_is_made_again(directory):
    damage_by_words(directory / INDEX_FILE)
    problems: list[Problem] = []
    with Store.open(directory, read_only=False, on_problem=problems.append) as store:
        store.finder.refresh()
        assert covered(store) == [1, 2, 3]
    assert len(problems) == 1


def test_the_index_of_another_catalog_is_no_index(directory):
    (directory / "catalog.sqlite3").unlink()
    problems: list[Problem] = []
    with Store.open(directory, read_only=False, on_problem=problems.append) as store:
        put(store, {"/s/c.wav": [(5, 0), (6, 0), (7, 0), (8, 0)]})
        assert found(store, (1, 0)) == [("/s/c.wav", 30.0, 8.0)]
        store.finder.refresh()
        assert covered(store) == [1, 2, 3, 4]
    assert problems == []


def test_an_index_that_is_a_folder_is_no_index(directory):
    (directory / INDEX_FILE).unlink()
    (directory / INDEX_FILE).mkdir()
    problems: list[Problem] = []
    with Store.open(directory, on_problem=problems.append) as store:
        assert found(store, (1, 0)) == ALONG
    assert [problem.reason for problem in problems] == [
        "the index is damaged (Is a directory); it is made again from the catalog",
        "it can't be made again: Is a directory",
    ]


# Disks


def no_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the system refuse to write, to root as well, who could."""
    monkeypatch.setattr("pe_search.store.opening.os.access", lambda *_: False)

    def refuse(path, *_arguments, **_options):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)


@pytest.mark.usefixtures("small_steps")
def test_a_store_on_a_read_only_disk_is_searched(directory, monkeypatch):
    (directory / INDEX_FILE).unlink()
    monkeypatch.setattr(finder_module, "_TAIL_WHILE_WRITING", 1)
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    no_writing(monkeypatch)
    with Store.open(directory) as store:
        assert found(store, (1, 0)) == ALONG
        assert store.catalog.holdings() == Holdings(2, 2, 3, 30.0, 0)
        with pytest.raises(StoreError, match="readonly"):
            put(store, {"/s/c.wav": [(1, 0)]})
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_without_permission_to_write_is_searched(directory):
    (directory / INDEX_FILE).unlink()
    before = sorted(file.name for file in directory.iterdir())
    directory.chmod(0o500)
    try:
        with Store.open(directory) as store:
            assert found(store, (1, 0)) == ALONG
        assert sorted(file.name for file in directory.iterdir()) == before
    finally:
        directory.chmod(0o700)


@pytest.mark.usefixtures("small_steps")
def test_a_full_disk_keeps_nothing_from_being_committed_or_found(tmp_path, monkeypatch):
    tries = []

    def refuse(*_arguments, **_options):
        tries.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(finder_module, "make_index", refuse)
    with Store.create(tmp_path, MANIFEST) as store:
        for number in range(1, 20):
            put(store, numbered(number, number + 1))
            store.finder.keep_up()
        # Not at every commit, each of which might write gigabytes before it fails.
        assert len(tries) == 1
        store.finder.refresh()
        assert len(tries) == 2
        assert len(found(store, (1, 0), 50)) == 19
        with pytest.raises(OSError, match="No space left"):
            store.finder.rebuild()
    assert files(tmp_path) == {"manifest.json", "catalog.sqlite3", "lookup.sqlite3"}


def test_an_index_that_is_fresh_is_not_made_again(directory, monkeypatch):
    monkeypatch.setattr(finder_module, "make_index", no_index)
    before = (directory / INDEX_FILE).stat().st_mtime_ns
    for read_only in (True, False):
        with Store.open(directory, read_only=read_only) as store:
            assert found(store, (1, 0)) == ALONG
            store.finder.refresh()
            store.finder.keep_up()
    assert (directory / INDEX_FILE).stat().st_mtime_ns == before


# How the search was done


@pytest.mark.usefixtures("small_steps")
def test_how_a_search_was_done_is_told(tmp_path, monkeypatch):
    with Store.create(tmp_path, MANIFEST) as store:
        put(store, {f"/{clip}.wav": [(clip, 10 - clip)] for clip in range(40)})
        monkeypatch.setattr(
            finder_module, "open_index", lambda *of: dataclasses.replace(open_index(*of), probes=(1, 1, 1))
        )
        store.finder.rebuild()
        put(store, {"/s/new.wav": [(99, 0)]})
        of_all = effort(store, (1, 0), 1, exact=True)
        assert of_all == SearchEffort(is_exact=True, windows_searched=41, windows=41)
        of_some = effort(store, (1, 0), 1, under=Path("/s"))
        assert of_some == SearchEffort(is_exact=True, windows_searched=1, windows=1)
        assert found(store, (1, 0), 1) == [("/s/new.wav", 0.0, 99.0)]
        of_lists = effort(store, (1, 0), 1)
        assert not of_lists.is_exact
        assert 2 <= of_lists.windows_searched < of_lists.windows == 41

"""The catalog: clips, windows and embeddings in SQLite."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pe_search.errors import StoreError
from pe_search.records import Clip
from pe_search.store import Holdings
from pe_search.store.catalog import CATALOG_FILE, Catalog, WindowPlace

Entry = tuple[Clip, list[tuple[float, float]], np.ndarray]


def entry(path: str, *firsts: float, size_bytes: int = 5) -> Entry:
    """A clip with a window of one second for each number; its embedding is (number, 1)."""
    times = [(float(start), start + 1.0) for start in range(len(firsts))]
    return Clip(Path(path), size_bytes, 6), times, np.array([[first, 1] for first in firsts], np.float32)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path, 2, read_only=False)
    yield opened
    opened.close()


def held(catalog: Catalog) -> list[tuple[str, float, float, list[float]]]:
    """Everything that can be found, in the order of ids."""
    ids, vectors = catalog.embeddings()
    places = catalog.places([int(window_id) for window_id in ids])
    return [
        (str(place.path), place.start_s, place.end_s, vector.tolist())
        for window_id, vector in zip(ids, vectors, strict=True)
        for place in [places[int(window_id)]]
    ]


def test_a_new_catalog_is_empty(catalog):
    assert catalog.holdings() == Holdings(0, 0, 0.0)
    assert catalog.clips() == {}
    ids, vectors = catalog.embeddings()
    assert ids.shape == (0,)
    assert vectors.shape == (0, 2)


def test_a_clip_is_found_by_its_path(catalog):
    catalog.replace_clips([entry("/s/b.wav", 1), entry(os.fsdecode(b"/s/\xff.wav"), 3, size_bytes=7)])
    other = Path(os.fsdecode(b"/s/\xff.wav"))
    assert catalog.clip(other) == Clip(other, 7, 6)
    assert catalog.clip(Path("/s")) is None


def test_clips_windows_and_embeddings_come_back(catalog):
    catalog.replace_clips([entry("/s/b.wav", 1, 2), entry("/s/a.wav", 3)])
    assert catalog.clips() == {
        Path("/s/a.wav"): Clip(Path("/s/a.wav"), 5, 6),
        Path("/s/b.wav"): Clip(Path("/s/b.wav"), 5, 6),
    }
    assert catalog.holdings() == Holdings(2, 3, 3.0)
    assert held(catalog) == [
        ("/s/b.wav", 0.0, 1.0, [1, 1]),
        ("/s/b.wav", 1.0, 2.0, [2, 1]),
        ("/s/a.wav", 0.0, 1.0, [3, 1]),
    ]


def test_embeddings_are_kept_to_the_last_bit(catalog):
    vectors = np.array([[1e-45, -0.0], [3.4e38, np.nextafter(np.float32(1), np.float32(2))]], np.float32)
    catalog.replace_clips([(Clip(Path("/a"), 1, 1), [(0.0, 1.0), (1.0, 2.0)], vectors)])
    assert catalog.embeddings()[1].tobytes() == vectors.tobytes()


def test_embeddings_of_any_layout_in_memory_are_kept(catalog):
    vectors = np.asfortranarray(np.arange(8, dtype=">f8").reshape(4, 2))[::2]
    catalog.replace_clips([(Clip(Path("/a"), 1, 1), [(0.0, 1.0), (1.0, 2.0)], vectors)])
    assert catalog.embeddings()[1].tolist() == [[0, 1], [4, 5]]


def test_a_clip_takes_the_place_of_the_one_under_its_path(catalog):
    catalog.replace_clips([entry("/s/a.wav", 1, 2), entry("/s/b.wav", 3)])
    catalog.replace_clips([entry("/s/a.wav", 4, size_bytes=9)])
    assert catalog.clips()[Path("/s/a.wav")].size_bytes == 9
    assert sorted(held(catalog)) == [("/s/a.wav", 0.0, 1.0, [4, 1]), ("/s/b.wav", 0.0, 1.0, [3, 1])]


def test_a_clip_that_goes_takes_its_windows_along(catalog):
    catalog.replace_clips([entry("/s/a.wav", 1, 2), entry("/s/b.wav", 3)])
    catalog.replace_clips([], removed=[Path("/s/a.wav"), Path("/s/none.wav")])
    assert held(catalog) == [("/s/b.wav", 0.0, 1.0, [3, 1])]
    assert catalog.holdings() == Holdings(1, 1, 1.0)


def test_a_clip_that_is_both_removed_and_added_is_there(catalog):
    catalog.replace_clips([entry("/s/a.wav", 1)])
    catalog.replace_clips([entry("/s/a.wav", 2)], removed=[Path("/s/a.wav")])
    assert held(catalog) == [("/s/a.wav", 0.0, 1.0, [2, 1])]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_a_commit_is_whole_or_not_at_all(catalog, interruption):
    catalog.replace_clips([entry("/s/a.wav", 1)])
    generation = catalog.generation

    def broken() -> Iterator[Entry]:
        yield entry("/s/b.wav", 2)
        yield entry("/s/a.wav", 3)
        raise interruption

    with pytest.raises(interruption):
        catalog.replace_clips(broken(), removed=[Path("/s/a.wav")])
    assert held(catalog) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    assert catalog.generation == generation


def test_embeddings_that_are_not_one_for_each_window_are_refused(catalog):
    clip, times, vectors = entry("/s/a.wav", 1, 2)
    with pytest.raises(StoreError):
        catalog.replace_clips([(clip, times, vectors[:1])])
    assert catalog.holdings() == Holdings(0, 0, 0.0)


def test_the_generation_grows_with_each_change_and_only_then(catalog):
    seen = [catalog.generation]
    catalog.replace_clips([entry("/s/a.wav", 1), entry("/s/b.wav", 1)])
    seen.append(catalog.generation)
    catalog.replace_clips([], removed=[Path("/s/a.wav")])
    seen.append(catalog.generation)
    catalog.replace_clips([entry("/s/b.wav", 1)])
    seen.append(catalog.generation)
    assert np.diff(seen).tolist() == [1, 1, 1]
    catalog.replace_clips([])
    catalog.replace_clips([], removed=[Path("/s/none.wav")])
    assert catalog.generation == seen[-1]


def test_the_generation_is_kept(tmp_path, catalog):
    catalog.replace_clips([entry("/s/a.wav", 1)])
    generation = catalog.generation
    catalog.close()
    for read_only in (True, False):
        again = Catalog(tmp_path, 2, read_only=read_only)
        assert again.generation == generation
        again.close()


def test_the_id_of_a_window_that_is_gone_is_not_given_to_another(catalog):
    catalog.replace_clips([entry("/s/a.wav", 1), entry("/s/b.wav", 2)])
    before = set(catalog.embeddings()[0].tolist())
    catalog.replace_clips([entry("/s/c.wav", 3)], removed=[Path("/s/b.wav")])
    (new,) = set(catalog.embeddings()[0].tolist()) - before
    assert new > max(before)


def test_names_need_not_be_utf8(catalog):
    path = Path(os.fsdecode(b"/s/\xff\n'\xc3.wav"))
    catalog.replace_clips([(Clip(path, 1, 2), [(0.0, 1.0)], np.ones((1, 2), np.float32))])
    assert catalog.clips() == {path: Clip(path, 1, 2)}
    assert [place.path for place in catalog.places([1]).values()] == [path]
    assert catalog.window_ids_under(Path("/s")).tolist() == catalog.window_ids_under(path).tolist() == [1]


def test_sizes_and_times_of_64_bits(catalog):
    clips = [Clip(Path("/a"), 2**63 - 1, 2**63 - 1), Clip(Path("/b"), 0, -(2**63))]
    catalog.replace_clips([(clip, [(0.0, 1.0)], np.ones((1, 2), np.float32)) for clip in clips])
    assert list(catalog.clips().values()) == clips


def test_places_of_more_windows_than_one_statement_can_ask_for(catalog):
    count = 25_000
    times = [(float(start), start + 1.0) for start in range(count)]
    catalog.replace_clips([(Clip(Path("/long.wav"), 1, 2), times, np.zeros((count, 2), np.float32))])
    places = catalog.places(range(count, 0, -1))
    assert len(places) == count
    assert places[20_001] == WindowPlace(Path("/long.wav"), 20_000.0, 20_001.0)


def test_windows_that_are_gone_have_no_place(catalog):
    catalog.replace_clips([entry("/s/a.wav", 1)])
    assert catalog.places([1, 2, 99]) == {1: WindowPlace(Path("/s/a.wav"), 0.0, 1.0)}
    assert catalog.places([]) == {}


UNDER = ["/s/a", "/s/a/1.wav", "/s/a/b/2.wav", "/s/a-b/3.wav", "/s/a.wav", "/s/a0/4.wav", "/s/ab/5.wav", "/t/6.wav"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/s/a", ["/s/a", "/s/a/1.wav", "/s/a/b/2.wav"]),
        ("/s/a/b", ["/s/a/b/2.wav"]),
        ("/s/a.wav", ["/s/a.wav"]),
        ("/s/a0", ["/s/a0/4.wav"]),
        ("/s", UNDER[:-1]),
        ("/", UNDER),
        ("/s/b", []),
        ("/s/%", []),
        ("/S/a", []),
    ],
)
def test_what_is_under_a_path(catalog, path, expected):
    catalog.replace_clips([entry(name, 1, 2) for name in reversed(UNDER)])
    ids = catalog.window_ids_under(Path(path))
    assert ids.dtype == np.int64
    assert ids.tolist() == sorted(ids.tolist())
    found = [str(place.path) for place in catalog.places(ids.tolist()).values()]
    assert sorted(found) == sorted(expected * 2)


# Opening


def test_a_catalog_that_is_not_there_is_not_made_by_a_reader(tmp_path):
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 can't be used"):
        Catalog(tmp_path, 2, read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("content", [b"not a database, but words.\n" * 300, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database(tmp_path, content, read_only):
    (tmp_path / CATALOG_FILE).write_bytes(content)
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 can't be used"):
        Catalog(tmp_path, 2, read_only=read_only)
    assert (tmp_path / CATALOG_FILE).read_bytes() == content


def test_a_catalog_that_is_a_folder(tmp_path):
    (tmp_path / CATALOG_FILE).mkdir()
    for read_only in (True, False):
        with pytest.raises(StoreError, match=r"catalog\.sqlite3 can't be used"):
            Catalog(tmp_path, 2, read_only=read_only)


def test_a_database_of_something_else(tmp_path):
    with sqlite3.connect(tmp_path / CATALOG_FILE) as database:
        database.execute("CREATE TABLE windows (colour)")
    database.close()
    for read_only in (True, False):
        with pytest.raises(StoreError, match=r"catalog\.sqlite3 can't be used"):
            Catalog(tmp_path, 2, read_only=read_only)


def test_a_catalog_that_breaks_off(tmp_path, catalog):
    catalog.replace_clips([entry(f"/s/{number}.wav", *range(20)) for number in range(100)])
    catalog.close()
    file = tmp_path / CATALOG_FILE
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 can't be used"):
        Catalog(tmp_path, 2, read_only=True).embeddings()


def test_a_catalog_whose_making_was_cut_short_is_completed_by_a_writer(tmp_path):
    (tmp_path / CATALOG_FILE).write_bytes(b"")
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 can't be used"):
        Catalog(tmp_path, 2, read_only=True)
    catalog = Catalog(tmp_path, 2, read_only=False)
    catalog.replace_clips([entry("/s/a.wav", 1)])
    assert catalog.holdings() == Holdings(1, 1, 1.0)
    catalog.close()


@pytest.mark.parametrize("floats", [0, 1, 3, 1.5])
def test_an_embedding_of_another_length_is_damage(tmp_path, catalog, floats):
    catalog.replace_clips([entry("/s/a.wav", 1)])
    with sqlite3.connect(tmp_path / CATALOG_FILE) as database:
        database.execute("UPDATE windows SET embedding = ?", (bytes(int(4 * floats)),))
    database.close()
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 is damaged"):
        catalog.embeddings()


def test_a_reader_cannot_write(tmp_path, catalog):
    catalog.replace_clips([entry("/s/a.wav", 1)])
    reader = Catalog(tmp_path, 2, read_only=True)
    with pytest.raises(StoreError, match="readonly"):
        reader.replace_clips([entry("/s/b.wav", 1)])
    reader.close()
    assert list(catalog.clips()) == [Path("/s/a.wav")]


def test_the_directory_may_be_relative_and_of_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("plain", "a b?c#d%41&mode=rw", os.fsdecode(b"\xff")):
        directory = Path(name)
        directory.mkdir()
        writer = Catalog(directory, 2, read_only=False)
        writer.replace_clips([entry("/s/a.wav", 1)])
        writer.close()
        reader = Catalog(directory, 2, read_only=True)
        assert reader.holdings() == Holdings(1, 1, 1.0)
        reader.close()
        assert (tmp_path / directory / CATALOG_FILE).is_file()


def test_only_functions_that_old_versions_of_sqlite_have(tmp_path, monkeypatch):
    # RHEL 9's Python 3.11 has SQLite 3.34 and Ubuntu 22.04's has 3.37; unixepoch() for one came with 3.38.
    called = set()
    connect = sqlite3.connect

    def watched(*arguments, **options):
        database = connect(*arguments, **options)

        def note(action, _, name, *__):
            if action == sqlite3.SQLITE_FUNCTION:
                called.add(name)
            return sqlite3.SQLITE_OK

        database.set_authorizer(note)
        return database

    monkeypatch.setattr(sqlite3, "connect", watched)
    catalog = Catalog(tmp_path, 2, read_only=False)
    catalog.replace_clips([entry("/s/a.wav", 1)], removed=[Path("/s/b.wav")])
    catalog.holdings()
    catalog.window_ids_under(Path("/s"))
    held(catalog)
    catalog.close()
    assert called == {"count", "strftime", "total"}


# A reader beside a writer


def test_a_reader_sees_what_a_writer_has_committed(tmp_path, catalog):
    reader = Catalog(tmp_path, 2, read_only=True)
    before = reader.generation
    catalog.replace_clips([entry("/s/a.wav", 1)])
    assert reader.generation == before + 1
    assert held(reader) == held(catalog) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    reader.close()


def test_a_reader_on_a_disk_where_it_cannot_write_sees_what_a_writer_has_committed(tmp_path, catalog, monkeypatch):
    catalog.replace_clips([entry("/s/a.wav", 1)])
    monkeypatch.setattr("pe_search.store.catalog.os.access", lambda *_: False)
    reader = Catalog(tmp_path, 2, read_only=True)
    assert held(reader) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    catalog.replace_clips([entry("/s/b.wav", 2)])
    assert len(held(reader)) == 2
    reader.close()


def test_a_reader_on_a_disk_where_it_cannot_write_makes_no_file(tmp_path, catalog, monkeypatch):
    catalog.replace_clips([entry("/s/a.wav", 1)])
    catalog.close()
    monkeypatch.setattr("pe_search.store.catalog.os.access", lambda *_: False)
    reader = Catalog(tmp_path, 2, read_only=True)
    assert held(reader) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    assert [file.name for file in tmp_path.iterdir()] == [CATALOG_FILE]
    reader.close()


@pytest.mark.parametrize("change", ["add", "remove"])
def test_embeddings_are_those_of_one_moment_though_a_writer_commits_in_between(tmp_path, catalog, change):
    catalog.replace_clips([entry("/s/a.wav", 1, 2, 3), entry("/s/b.wav", 4)])
    reader = Catalog(tmp_path, 2, read_only=True)
    statements = []

    def commit_before_the_second(statement: str) -> None:
        statements.append(statement)
        if "SELECT id, embedding" in statement:
            if change == "add":
                catalog.replace_clips([entry("/s/c.wav", 5, 6)])
            else:
                catalog.replace_clips([], removed=[Path("/s/a.wav")])

    reader._db.set_trace_callback(commit_before_the_second)
    ids, vectors = reader.embeddings()
    reader._db.set_trace_callback(None)
    assert any("SELECT id, embedding" in statement for statement in statements)
    assert ids.tolist() == [1, 2, 3, 4]
    assert vectors.tolist() == [[1, 1], [2, 1], [3, 1], [4, 1]]
    assert reader.holdings().windows == (6 if change == "add" else 1)
    reader.close()


def test_two_writers_take_turns(tmp_path, catalog):
    other = Catalog(tmp_path, 2, read_only=False)
    before = catalog.generation
    catalog.replace_clips([entry("/s/a.wav", 1)])
    other.replace_clips([entry("/s/b.wav", 2)])
    catalog.replace_clips([entry("/s/c.wav", 3)], removed=[Path("/s/b.wav")])
    assert sorted(catalog.clips()) == sorted(other.clips()) == [Path("/s/a.wav"), Path("/s/c.wav")]
    assert other.generation == before + 3
    other.close()

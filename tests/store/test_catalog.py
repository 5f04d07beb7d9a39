"""The catalog: clips, windows and embeddings in SQLite."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.records import Clip, Content, Holdings, LeftOut
from pe_search.reports import Root
from pe_search.store import Store
from pe_search.store.catalog import CATALOG_FILE, Catalog, WindowPlace
from pe_search.store.roots import write_roots
from pe_search.store.salvage import salvage_if_damaged
from pe_search.store.schema import LARGEST_VALUE
from tests.made_up import manifest, put_clips

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


def embeddings(catalog: Catalog, after: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """All that the catalog yields, put together."""
    blocks = list(catalog.embeddings(after=after))
    ids = np.concatenate([np.empty(0, np.int64), *(block_ids for block_ids, _ in blocks)])
    return ids, np.concatenate([np.empty((0, 2), np.float16), *(block for _, block in blocks)])


def held(catalog: Catalog) -> list[tuple[str, float, float, list[float]]]:
    """Everything that can be found, in the order of ids."""
    ids, vectors = embeddings(catalog)
    places = catalog.places([int(window_id) for window_id in ids])
    return [
        (str(place.path), place.start_s, place.end_s, vector.tolist())
        for window_id, vector in zip(ids, vectors, strict=True)
        for place in places.get(int(window_id), [])
    ]


def test_a_new_catalog_is_empty(catalog):
    assert catalog.holdings() == Holdings(0, 0, 0, 0.0, 0)
    assert catalog.clips() == {}
    ids, vectors = embeddings(catalog)
    assert ids.shape == (0,)
    assert vectors.shape == (0, 2)


def test_a_clip_is_found_by_its_path(catalog):
    one, other = (Clip(Path(os.fsdecode(name)), 7, 6) for name in (b"/s/b.wav", b"/s/\xff.wav"))
    contents = [Content(digest, [(0.0, 1.0)], np.ones((1, 2)), is_whole=True) for digest in (b"1", b"2")]
    catalog.commit(contents=contents, clips=[(one, b"1"), (other, b"2")])
    assert catalog.clip(other.path) == (other, b"2")
    assert catalog.clip(Path("/s")) is None


def test_clips_windows_and_embeddings_come_back(catalog):
    put_clips(catalog, [entry("/s/b.wav", 1, 2), entry("/s/a.wav", 3)])
    assert catalog.clips() == {
        Path("/s/a.wav"): Clip(Path("/s/a.wav"), 5, 6),
        Path("/s/b.wav"): Clip(Path("/s/b.wav"), 5, 6),
    }
    assert catalog.holdings() == Holdings(2, 2, 3, 3.0, 0)
    assert held(catalog) == [
        ("/s/b.wav", 0.0, 1.0, [1, 1]),
        ("/s/b.wav", 1.0, 2.0, [2, 1]),
        ("/s/a.wav", 0.0, 1.0, [3, 1]),
    ]


def test_embeddings_are_kept_as_the_nearest_float16(catalog):
    vectors = np.array([[6e-8, -0.0], [65_504, 1.0004], [1 / 3, -1e-9]], np.float32)
    put_clips(catalog, [(Clip(Path("/a"), 1, 1), [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)], vectors)])
    kept = embeddings(catalog)[1]
    assert kept.dtype == np.float16
    assert kept.tolist() == [[2**-24, 0.0], [65_504.0, 1.0], [1365 / 4096, 0.0]]
    assert np.signbit(kept[0, 1])


@pytest.mark.parametrize("value", [65_520, -1e9, np.inf, np.nan])
def test_embeddings_that_float16_cannot_hold_are_refused(catalog, value):
    with pytest.raises(StoreError, match="beyond 65504"):
        put_clips(catalog, [entry("/s/a.wav", 1), entry("/s/b.wav", value)])
    assert catalog.holdings() == Holdings(0, 0, 0, 0.0, 0)
    assert LARGEST_VALUE == 65_504


def test_embeddings_of_any_layout_in_memory_are_kept(catalog):
    vectors = np.asfortranarray(np.arange(8, dtype=">f8").reshape(4, 2))[::2]
    put_clips(catalog, [(Clip(Path("/a"), 1, 1), [(0.0, 1.0), (1.0, 2.0)], vectors)])
    assert embeddings(catalog)[1].tolist() == [[0, 1], [4, 5]]


def test_a_clip_takes_the_place_of_the_one_under_its_path(catalog):
    put_clips(catalog, [entry("/s/a.wav", 1, 2), entry("/s/b.wav", 3)])
    put_clips(catalog, [entry("/s/a.wav", 4, size_bytes=9)])
    assert catalog.clips()[Path("/s/a.wav")].size_bytes == 9
    assert sorted(held(catalog)) == [("/s/a.wav", 0.0, 1.0, [4, 1]), ("/s/b.wav", 0.0, 1.0, [3, 1])]


def test_a_clip_that_goes_takes_its_windows_along(catalog):
    put_clips(catalog, [entry("/s/a.wav", 1, 2), entry("/s/b.wav", 3)])
    put_clips(catalog, [], removed=[Path("/s/a.wav"), Path("/s/none.wav")])
    assert held(catalog) == [("/s/b.wav", 0.0, 1.0, [3, 1])]
    assert catalog.holdings() == Holdings(1, 1, 1, 1.0, 0)


def test_a_clip_that_is_both_removed_and_added_is_there(catalog):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    put_clips(catalog, [entry("/s/a.wav", 2)], removed=[Path("/s/a.wav")])
    assert held(catalog) == [("/s/a.wav", 0.0, 1.0, [2, 1])]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("place", ["contents", "clips", "left_out", "removed"])
def test_a_commit_is_whole_or_not_at_all(catalog, interruption, place):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    clip = Clip(Path("/s/b.wav"), 1, 2)
    changes = {
        "contents": [Content(b"new", [(0.0, 1.0)], np.ones((1, 2)), is_whole=True)],
        "clips": [(clip, b"new")],
        "left_out": [LeftOut(Clip(Path("/s/c.wav"), 1, 2), "bad")],
        "removed": [Path("/s/a.wav")],
    }

    def broken(rows: list) -> Iterator:
        yield from rows
        raise interruption

    with pytest.raises(interruption):
        catalog.commit(**changes | {place: broken(changes[place])})
    assert held(catalog) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    assert catalog.left_out() == []
    catalog.commit(**changes)
    assert list(catalog.clips()) == [Path("/s/b.wav")]


def test_embeddings_that_are_not_one_for_each_window_are_refused(catalog):
    clip, times, vectors = entry("/s/a.wav", 1, 2)
    with pytest.raises(StoreError):
        put_clips(catalog, [(clip, times, vectors[:1])])
    assert catalog.holdings() == Holdings(0, 0, 0, 0.0, 0)


# Contents


def test_clips_of_one_content_share_its_windows(catalog):
    put_clips(catalog, [entry("/s/b.wav", 1, 2), entry("/s/a.wav", 1, 2), entry("/s/c.wav", 3)])
    assert embeddings(catalog)[1].tolist() == [[1, 1], [2, 1], [3, 1]]
    assert catalog.holdings() == Holdings(3, 2, 5, 5.0, 0)
    assert len(catalog.digests()) == 2
    assert sorted(held(catalog)) == [
        *((f"/s/{name}.wav", start, start + 1.0, [start + 1, 1]) for name in "ab" for start in (0.0, 1.0)),
        ("/s/c.wav", 0.0, 1.0, [3, 1]),
    ]
    put_clips(catalog, [], removed=[Path("/s/a.wav")])
    assert catalog.holdings() == Holdings(2, 2, 3, 3.0, 0)
    put_clips(catalog, [], removed=[Path("/s/b.wav")])
    assert held(catalog) == [("/s/c.wav", 0.0, 1.0, [3, 1])]
    assert len(catalog.digests()) == 1


def test_a_content_that_is_held_already_stays_as_it_was(catalog):
    content = Content(b"one", [(0.0, 1.0)], np.ones((1, 2)), is_whole=True)
    clip = Clip(Path("/s/a.wav"), 1, 2)
    catalog.commit(contents=[content], clips=[(clip, b"one")])
    ids = embeddings(catalog)[0].tolist()
    catalog.commit(contents=[Content(b"one", [(0.0, 9.0)], np.zeros((1, 2)), is_whole=True)], clips=[(clip, b"one")])
    assert held(catalog) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    assert embeddings(catalog)[0].tolist() == ids


def test_a_content_stays_until_it_is_dropped(catalog):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    (digest,) = catalog.digests()
    catalog.commit(removed=[Path("/s/a.wav")])
    assert (held(catalog), catalog.digests()) == ([], {digest})
    assert catalog.holdings() == Holdings(0, 0, 0, 0.0, 0)
    moved = Clip(Path("/s/moved.wav"), 5, 7)
    catalog.commit(clips=[(moved, digest)])
    catalog.drop_unused_contents()
    assert held(catalog) == [("/s/moved.wav", 0.0, 1.0, [1, 1])]
    assert catalog.clips() == {moved.path: moved}


def test_a_clip_whose_content_is_not_held_is_refused(catalog):
    with pytest.raises(StoreError, match=r"NOT NULL constraint failed: clips\.content_id"):
        catalog.commit(clips=[(Clip(Path("/s/a.wav"), 1, 2), b"none")])


# Clips that were left out


def test_what_was_left_out_is_remembered_in_order_of_path(catalog):
    put_clips(catalog, [entry("/s/a.wav", 1), entry("/s/b.wav", 2)])
    odd = LeftOut(Clip(Path(os.fsdecode(b"/s/\xff.wav")), 2**40, -(2**63)), "holds no audio")
    bad = LeftOut(Clip(Path("/s/b.wav"), 9, 9), "the file is empty")
    catalog.commit(left_out=[odd, bad])
    assert catalog.left_out() == [bad, odd]
    assert catalog.holdings() == Holdings(1, 2 - 1, 1, 1.0, 2)
    worse = LeftOut(Clip(Path("/s/b.wav"), 10, 10), "words")
    catalog.commit(left_out=[worse])
    assert catalog.left_out() == [worse, odd]


def test_what_was_left_out_is_forgotten_when_it_is_indexed_or_removed(catalog):
    paths = [Path(f"/s/{name}.wav") for name in "abc"]
    rows = [LeftOut(Clip(path, 1, 1), "bad") for path in paths]
    catalog.commit(left_out=rows)
    put_clips(catalog, [entry("/s/a.wav", 1)], removed=[paths[1]])
    assert catalog.left_out() == rows[2:]


def test_a_catalog_stays_the_same_and_is_no_other(tmp_path, catalog):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    identity = catalog.identity
    catalog.close()
    for read_only in (True, False):
        again = Catalog(tmp_path, 2, read_only=read_only)
        assert again.identity == identity
        again.close()
    (tmp_path / CATALOG_FILE).unlink()
    another = Catalog(tmp_path, 2, read_only=False)
    assert another.identity != identity
    another.close()


def test_the_last_window_id_is_the_highest_that_ever_was(catalog):
    assert catalog.last_window_id() == 0
    put_clips(catalog, [entry("/s/a.wav", 1), entry("/s/b.wav", 2, 3)])
    assert catalog.last_window_id() == 3
    put_clips(catalog, [], removed=[Path("/s/b.wav")])
    assert (catalog.last_window_id(), embeddings(catalog)[0].tolist()) == (3, [1])
    put_clips(catalog, [entry("/s/c.wav", 4)])
    assert (catalog.last_window_id(), embeddings(catalog)[0].tolist()) == (4, [1, 4])


def test_embeddings_after_an_id_or_of_some_ids(catalog, monkeypatch):
    monkeypatch.setattr("pe_search.store.windows._WINDOWS_AT_ONCE", 2)
    put_clips(catalog, [entry("/s/a.wav", 1, 2, 3, 4, 5)])
    assert [ids.tolist() for ids, _ in catalog.embeddings()] == [[1, 2], [3, 4], [5]]
    assert embeddings(catalog, after=3)[0].tolist() == [4, 5]
    assert embeddings(catalog, after=3)[1].tolist() == [[4, 1], [5, 1]]
    assert list(catalog.embeddings(after=5)) == []
    assert [catalog.window_count(after=after) for after in (0, 3, 5)] == [5, 2, 0]
    ids, vectors = catalog.embeddings_of([2, 4])
    assert dict(zip(ids.tolist(), vectors.tolist(), strict=True)) == {2: [2, 1], 4: [4, 1]}
    with pytest.raises(StoreError, match="it lacks windows"):
        catalog.embeddings_of([2, 9])
    assert catalog.embeddings_of([])[1].shape == (0, 2)


def test_the_id_of_a_window_that_is_gone_is_not_given_to_another(catalog):
    put_clips(catalog, [entry("/s/a.wav", 1), entry("/s/b.wav", 2)])
    before = set(embeddings(catalog)[0].tolist())
    put_clips(catalog, [entry("/s/c.wav", 3)], removed=[Path("/s/b.wav")])
    (new,) = set(embeddings(catalog)[0].tolist()) - before
    assert new > max(before)


def test_names_need_not_be_utf8(catalog):
    path = Path(os.fsdecode(b"/s/\xff\n'\xc3.wav"))
    put_clips(catalog, [(Clip(path, 1, 2), [(0.0, 1.0)], np.ones((1, 2), np.float32))])
    assert catalog.clips() == {path: Clip(path, 1, 2)}
    assert catalog.places([1]) == {1: [WindowPlace(path, 0.0, 1.0, 1)]}
    assert catalog.window_ids_under(Path("/s")).tolist() == catalog.window_ids_under(path).tolist() == [1]


def test_sizes_and_times_of_64_bits(catalog):
    clips = [Clip(Path("/a"), 2**63 - 1, 2**63 - 1), Clip(Path("/b"), 0, -(2**63))]
    put_clips(catalog, [(clip, [(0.0, 1.0)], np.ones((1, 2), np.float32)) for clip in clips])
    assert list(catalog.clips().values()) == clips


def test_places_of_more_windows_than_one_statement_can_ask_for(catalog):
    count = 25_000
    times = [(float(start), start + 1.0) for start in range(count)]
    put_clips(catalog, [(Clip(Path("/long.wav"), 1, 2), times, np.zeros((count, 2), np.float32))])
    places = catalog.places(range(count, 0, -1))
    assert len(places) == count
    assert places[20_001] == [WindowPlace(Path("/long.wav"), 20_000.0, 20_001.0, 1)]


def test_windows_that_are_gone_have_no_place(catalog):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    assert catalog.places([1, 2, 99]) == {1: [WindowPlace(Path("/s/a.wav"), 0.0, 1.0, 1)]}
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
    # Two of them have the same content, so that a window under the path may be elsewhere as well.
    put_clips(catalog, [entry(name, 1, max(2, row)) for row, name in enumerate(UNDER)])
    ids = catalog.window_ids_under(Path(path))
    assert ids.dtype == np.int64
    assert ids.tolist() == sorted(ids.tolist())
    places = catalog.places(ids.tolist(), catalog.subset_under(Path(path)).has)
    assert len(places) == len(ids)
    found = [str(place.path) for row in places.values() for place in row]
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
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 (is damaged: file is not|can't be used: unsupported)"):
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
    before = (tmp_path / CATALOG_FILE).read_bytes()
    for read_only in (True, False):
        with pytest.raises(StoreError, match=r"can't be used: pe-search didn't make its tables\."):
            Catalog(tmp_path, 2, read_only=read_only)
    assert (tmp_path / CATALOG_FILE).read_bytes() == before


@pytest.mark.parametrize(
    "trap",
    [
        "CREATE TRIGGER trap AFTER INSERT ON clips BEGIN DELETE FROM windows; END",
        "CREATE VIEW trap AS SELECT load_extension('/tmp/trap') FROM clips",
        "DROP INDEX clips_by_content; CREATE INDEX clips_by_content ON clips(content_id, hex(path))",
        "ALTER TABLE clips ADD COLUMN trap AS (hex(path))",
        "DROP TABLE state; CREATE VIEW state AS SELECT randomblob(1000000000) AS identity",
        "CREATE VIRTUAL TABLE trap USING fts5(words)",
        "CREATE TABLE more (anything)",
    ],
)
def test_a_catalog_with_anything_in_its_schema_that_does_not_belong_there(tmp_path, catalog, trap):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    catalog.close()
    with sqlite3.connect(tmp_path / CATALOG_FILE) as database:
        database.executescript(trap)
    database.close()
    for read_only in (True, False):
        with pytest.raises(StoreError, match=r"can't be used: pe-search didn't make its tables\."):
            Catalog(tmp_path, 2, read_only=read_only)


READS = [
    lambda catalog: catalog.identity,
    Catalog.last_window_id,
    Catalog.holdings,
    Catalog.clips,
    Catalog.left_out,
    Catalog.digests,
    lambda catalog: list(catalog.embeddings()),
    lambda catalog: catalog.embeddings_of([1]),
    lambda catalog: catalog.places([1]),
    lambda catalog: catalog.window_ids_under(Path("/")),
    lambda catalog: [catalog.content(path) for path in catalog.clips()],
    lambda catalog: catalog.clip(Path("/s/a.wav")),
]


@pytest.mark.parametrize(
    "value",
    [None, -1, 2**62, 1e300, "words", b"\0words", b"", "a" * 2**19, b"a" * 2**21],
    ids=lambda value: repr(value)[:20],
)
@pytest.mark.parametrize(
    "column",
    [
        *("clips.path", "clips.size_bytes", "clips.modified_ns", "clips.content_id", "contents.digest"),
        *("contents.duration_s", "windows.content_id", "windows.start_s", "windows.end_s", "windows.embedding"),
        *("left_out.path", "left_out.size_bytes", "left_out.reason", "state.identity"),
    ],
)
def test_values_of_any_kind_are_taken_or_refused_and_nothing_else(tmp_path, catalog, column, value):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    catalog.commit(left_out=[LeftOut(Clip(Path("/s/b.wav"), 1, 1), "bad")])
    catalog.close()
    table, name = column.split(".")
    # The constraints of the schema keep some out.
    with sqlite3.connect(tmp_path / CATALOG_FILE) as database, contextlib.suppress(sqlite3.IntegrityError):
        database.execute(f"UPDATE {table} SET {name} = ?", (value,))
    database.close()
    reader = Catalog(tmp_path, 2, read_only=True)
    for read in READS:
        try:
            read(reader)
        except StoreError as error:
            assert "\n" not in str(error)
    reader.close()


def test_a_commit_survives_a_power_cut(catalog):
    # What SQLite's documentation asks for; a real power cut is beyond a test.
    pragmas = {name: catalog._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    assert catalog._db.execute("PRAGMA fullfsync").fetchone() == (1,)


def test_a_full_disk_costs_nothing_that_was_committed(tmp_path, catalog):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    pages = catalog._db.execute("PRAGMA page_count").fetchone()[0]
    catalog._db.execute(f"PRAGMA max_page_count = {pages}")
    many = [entry(f"/s/{number}.wav", *range(number, number + 50)) for number in range(100)]
    with pytest.raises(StoreError) as caught:
        put_clips(catalog, many, removed=[Path("/s/a.wav")])
    assert str(caught.value) == (
        f"The disk is full; {tmp_path}/catalog.sqlite3 can't be written. Everything committed so far is kept. Free "
        "some space and run the same command again."
    )
    assert held(catalog) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    catalog._db.execute("PRAGMA max_page_count = 1000000")
    put_clips(catalog, many)
    assert catalog.holdings().clips == 101


def test_a_catalog_that_breaks_off(tmp_path, catalog):
    put_clips(catalog, [entry(f"/s/{number}.wav", *range(number, number + 20)) for number in range(100)])
    catalog.close()
    file = tmp_path / CATALOG_FILE
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 is damaged: .* `pe-search rebuild --store .*` saves"):
        Catalog(tmp_path, 2, read_only=True).places([1])


def test_a_catalog_whose_making_was_cut_short_is_completed_by_a_writer(tmp_path):
    (tmp_path / CATALOG_FILE).write_bytes(b"")
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 can't be used"):
        Catalog(tmp_path, 2, read_only=True)
    catalog = Catalog(tmp_path, 2, read_only=False)
    put_clips(catalog, [entry("/s/a.wav", 1)])
    assert catalog.holdings() == Holdings(1, 1, 1, 1.0, 0)
    catalog.close()


@pytest.mark.parametrize("length", [0, 2, 3, 6, 8, 2**20])
def test_an_embedding_of_another_length_is_damage(tmp_path, catalog, length):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    with sqlite3.connect(tmp_path / CATALOG_FILE) as database:
        database.execute("UPDATE windows SET embedding = ?", (bytes(length),))
    database.close()
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 (is damaged|can't be used: string or blob too big)"):
        embeddings(catalog)
    with pytest.raises(StoreError, match=r"catalog\.sqlite3 (is damaged|can't be used: string or blob too big)"):
        catalog.embeddings_of([1])


def test_a_reader_cannot_write(tmp_path, catalog):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    reader = Catalog(tmp_path, 2, read_only=True)
    with pytest.raises(StoreError, match="readonly"):
        put_clips(reader, [entry("/s/b.wav", 1)])
    reader.close()
    assert list(catalog.clips()) == [Path("/s/a.wav")]


def test_the_directory_may_be_relative_and_of_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("plain", "a b?c#d%41&mode=rw", os.fsdecode(b"\xff")):
        directory = Path(name)
        directory.mkdir()
        writer = Catalog(directory, 2, read_only=False)
        put_clips(writer, [entry("/s/a.wav", 1)])
        writer.close()
        reader = Catalog(directory, 2, read_only=True)
        assert reader.holdings() == Holdings(1, 1, 1, 1.0, 0)
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
    put_clips(catalog, [entry("/s/a.wav", 1)], removed=[Path("/s/b.wav")])
    catalog.holdings()
    catalog.window_ids_under(Path("/s"))
    held(catalog)
    catalog.close()
    assert called == {"count", "ifnull", "max"}


def test_a_catalog_on_a_full_disk_is_read(tmp_path, catalog):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    catalog.close()
    # Where SQLite would make the file that readers share; on a full disk it fails there with another error.
    (tmp_path / f"{CATALOG_FILE}-shm").mkdir()
    reader = Catalog(tmp_path, 2, read_only=True)
    assert held(reader) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    reader.close()


# A reader beside a writer


def test_a_reader_sees_what_a_writer_has_committed(tmp_path, catalog):
    reader = Catalog(tmp_path, 2, read_only=True)
    assert held(reader) == []
    put_clips(catalog, [entry("/s/a.wav", 1)])
    assert held(reader) == held(catalog) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    reader.close()


def test_a_reader_on_a_disk_where_it_cannot_write_sees_what_a_writer_has_committed(tmp_path, catalog, monkeypatch):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    monkeypatch.setattr("pe_search.store.opening.os.access", lambda *_: False)
    reader = Catalog(tmp_path, 2, read_only=True)
    assert held(reader) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    put_clips(catalog, [entry("/s/b.wav", 2)])
    assert len(held(reader)) == 2
    reader.close()


def test_a_reader_on_a_disk_where_it_cannot_write_makes_no_file(tmp_path, catalog, monkeypatch):
    put_clips(catalog, [entry("/s/a.wav", 1)])
    catalog.close()
    monkeypatch.setattr("pe_search.store.opening.os.access", lambda *_: False)
    reader = Catalog(tmp_path, 2, read_only=True)
    assert held(reader) == [("/s/a.wav", 0.0, 1.0, [1, 1])]
    assert [file.name for file in tmp_path.iterdir()] == [CATALOG_FILE]
    reader.close()


@pytest.mark.parametrize("change", ["add", "remove"])
def test_a_snapshot_is_of_one_moment_though_a_writer_commits_in_between(tmp_path, catalog, change):
    put_clips(catalog, [entry("/s/a.wav", 1, 2, 3), entry("/s/b.wav", 4)])
    reader = Catalog(tmp_path, 2, read_only=True)
    with reader.snapshot():
        assert reader.last_window_id() == 4
        if change == "add":
            put_clips(catalog, [entry("/s/c.wav", 5, 6)])
        else:
            put_clips(catalog, [], removed=[Path("/s/a.wav")])
        assert embeddings(reader)[0].tolist() == [1, 2, 3, 4]
        assert len(held(reader)) == 4
    assert len(held(reader)) == (6 if change == "add" else 1)
    with pytest.raises(KeyError), reader.snapshot():
        raise KeyError
    with reader.snapshot():
        assert reader.holdings().windows == (6 if change == "add" else 1)
    reader.close()


def test_two_writers_take_turns(tmp_path, catalog):
    other = Catalog(tmp_path, 2, read_only=False)
    put_clips(catalog, [entry("/s/a.wav", 1)])
    put_clips(other, [entry("/s/b.wav", 2)])
    put_clips(catalog, [entry("/s/c.wav", 3)], removed=[Path("/s/b.wav")])
    assert sorted(catalog.clips()) == sorted(other.clips()) == [Path("/s/a.wav"), Path("/s/c.wav")]
    other.close()


@pytest.mark.parametrize("table", ["left_out", "roots"])
def test_rows_that_can_not_be_found_any_more_are_missed(tmp_path, table):
    with Store.create(tmp_path / "store", manifest()) as store:
        store.catalog.commit(left_out=[LeftOut(Clip(Path("/a.wav"), 1, 1), "bad")])
        write_roots(store.catalog, [Root(Path("/"))])
    with contextlib.closing(sqlite3.connect(tmp_path / "store" / "catalog.sqlite3")) as db, db:
        db.execute(f"DELETE FROM {table}")
    with Store.open(tmp_path / "store", read_only=False) as store:
        with pytest.raises(StoreError, match="it lacks"):
            store.status()
        with pytest.raises(StoreError, match=f"it lacks rows of {table}"):
            store.catalog.commit()
        with pytest.raises(StoreError, match=f"it lacks rows of {table}"):
            store.catalog.find_damage()
    assert salvage_if_damaged(tmp_path / "store") is not None
    with Store.open(tmp_path / "store") as store:
        assert (len(store.status().roots), store.status().left_out) == ((1, 0) if table == "left_out" else (0, 1))

"""What can be saved of a damaged catalog."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pe_search.errors import StoreError
from pe_search.records import Clip, LeftOut
from pe_search.store import Manifest, Store
from pe_search.store.catalog import CATALOG_FILE
from pe_search.store.salvage import salvage_if_damaged
from tests.made_up import put_clips

MANIFEST = Manifest("builtin", "c0ffee", 64, 10.0, 4.0, 48_000, 1.0, 0.0)
PAGE = 16_384
CLIPS = 1_500


def times(count: int) -> list[tuple[float, float]]:
    """Windows of 10 s every 4 s, the last one moved back by a second."""
    return [(4.0 * row, 4.0 * row + 10.0) for row in range(count - 1)] + [
        (max(0.0, 4.0 * count - 5.0), 4.0 * count + 5.0)
    ]


@pytest.fixture
def directory(tmp_path) -> Path:
    """A closed store of many clips, each of one window up to nine."""
    random = np.random.default_rng(0)
    with Store.create(tmp_path / "store", MANIFEST) as store:
        for first in range(0, CLIPS, CLIPS // 10):
            put_clips(
                store,
                [
                    (
                        Clip(Path(f"/s/{number:03}.wav"), number, number),
                        times(number % 9 + 1),
                        random.standard_normal((number % 9 + 1, 64)),
                    )
                    for number in range(first, first + CLIPS // 10)
                ],
            )
        store.catalog.commit(left_out=[LeftOut(Clip(Path("/s/bad.wav"), 1, 2), "bad")])
        store.finder.refresh()
    return tmp_path / "store"


def held(directory: Path) -> dict[str, tuple[Clip, object, object]]:
    with Store.open(directory) as store, store.catalog.snapshot():
        return {
            str(clip.path): (clip, content.times, content.embeddings.tolist())
            for clip, content in store.embedded_clips()
        }


def spoil(directory: Path, first_page: int, pages: int = 1) -> None:
    with (directory / CATALOG_FILE).open("r+b") as file:
        file.seek(first_page * PAGE)
        file.write(b"\xa5" * (pages * PAGE))


def test_a_sound_catalog_is_left_alone(directory):
    before = {file: file.read_bytes() for file in directory.iterdir()}
    assert salvage_if_damaged(directory) is None
    assert {file: file.read_bytes() for file in before} == before
    added = {file.name for file in directory.iterdir()} - {file.name for file in before}
    assert added <= {f"{CATALOG_FILE}-wal", f"{CATALOG_FILE}-shm"}


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_clips_that_can_be_read_whole_are_saved_as_they_were(directory, share):
    whole = held(directory)
    pages = (directory / CATALOG_FILE).stat().st_size // PAGE
    spoil(directory, min(pages - 1, max(1, int(pages * share))))
    damaged = (directory / CATALOG_FILE).read_bytes()
    found = salvage_if_damaged(directory)
    assert found is not None
    saved = held(directory)
    assert found.clips == len(saved) > CLIPS / 3
    assert found.unsure == 0
    assert saved == {path: whole[path] for path in saved}
    assert (directory / f"{CATALOG_FILE}.damaged").read_bytes() == damaged
    assert salvage_if_damaged(directory) is None
    with Store.open(directory, read_only=False) as store:
        store.finder.rebuild()
        windows = sum(len(row[1]) for row in saved.values())
        assert len(store.finder.best_matches(np.ones(64, np.float32), 10_000, all_windows=True).best) == windows
    names = {file.name for file in directory.iterdir()}
    assert not [name for name in names if name.startswith(".")]


def destroy_root(directory: Path, table: str) -> None:
    """Destroy the page by which SQLite gets to all rows of a table."""
    with closing(sqlite3.connect(directory / CATALOG_FILE)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    spoil(directory, page - 1)


def test_every_window_is_saved_where_the_table_of_contents_is_gone(directory):
    whole = held(directory)
    destroy_root(directory, "contents")
    found = salvage_if_damaged(directory)
    assert found is not None
    assert (found.clips, found.unsure) == (CLIPS, CLIPS)
    assert held(directory) == whole
    assert salvage_if_damaged(directory) is None


def test_so_are_those_of_contents_that_were_removed_before(directory):
    with Store.open(directory, read_only=False) as store:
        store.catalog.commit(removed=[Path("/s/008.wav"), Path("/s/1499.wav")])
        store.catalog.drop_unused_contents()
    whole = held(directory)
    destroy_root(directory, "contents")
    assert salvage_if_damaged(directory) is not None
    assert held(directory) == whole
    assert len(whole) == CLIPS - 2


@pytest.mark.parametrize("lost", ["/s/008.wav", "/s/1492.wav"])
def test_where_the_table_of_contents_and_a_last_window_are_gone_no_clip_is_saved_without_it(directory, lost):
    whole = held(directory)
    content = "content_id = (SELECT content_id FROM clips WHERE path = CAST(? AS BLOB))"
    edit(directory, f"DELETE FROM windows WHERE id = (SELECT max(id) FROM windows WHERE {content})", lost)
    destroy_root(directory, "contents")
    assert salvage_if_damaged(directory) is not None
    saved = held(directory)
    # Any content that came before the window might be the one that lacks it.
    assert saved == {path: row for path, row in whole.items() if int(path[3:-4]) > int(lost[3:-4])}
    assert len(saved) == CLIPS - 1 - int(lost[3:-4])


def test_the_end_is_gone(directory):
    whole = held(directory)
    file = directory / CATALOG_FILE
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    found = salvage_if_damaged(directory)
    saved = held(directory)
    assert found is not None
    assert found.clips == len(saved) > 0
    assert saved == {path: whole[path] for path in saved}


def test_an_id_that_makes_no_sense_costs_no_memory_and_no_time(directory):
    whole = held(directory)
    edit(directory, "UPDATE clips SET id = ? WHERE path = ?", 2**62, b"/s/007.wav")
    edit(directory, "UPDATE windows SET start_s = ? WHERE id = 1", "words")
    found = salvage_if_damaged(directory)
    assert found is not None
    assert found.clips == CLIPS - 1
    assert held(directory) == {path: row for path, row in whole.items() if path != "/s/000.wav"}


def edit(directory: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(directory / CATALOG_FILE) as database:
        assert database.execute(statement, values).rowcount == 1
    database.close()


@pytest.mark.parametrize("place", ["min(id)", "min(id) + 1", "max(id) - 1", "max(id)"])
def test_a_clip_that_lacks_a_window_is_not_saved(directory, place):
    whole = held(directory)
    # Clip 008 has nine windows. Another embedding has another length, so that the catalog is damaged.
    content = "content_id = (SELECT content_id FROM clips WHERE path = CAST('/s/008.wav' AS BLOB))"
    edit(directory, f"DELETE FROM windows WHERE id = (SELECT {place} FROM windows WHERE {content})")
    other = "content_id = (SELECT content_id FROM clips WHERE path = CAST('/s/004.wav' AS BLOB))"
    edit(
        directory,
        f"UPDATE windows SET embedding = ? WHERE id = (SELECT {place} FROM windows WHERE {other})",
        bytes(7),
    )
    found = salvage_if_damaged(directory)
    assert found is not None
    assert found.clips == CLIPS - 2
    assert held(directory) == {path: row for path, row in whole.items() if path not in ("/s/004.wav", "/s/008.wav")}
    with Store.open(directory) as store:
        assert store.catalog.left_out() == [LeftOut(Clip(Path("/s/bad.wav"), 1, 2), "bad")]


def test_a_catalog_without_its_header_stays_as_it_is(directory):
    spoil(directory, 0)
    before = (directory / CATALOG_FILE).read_bytes()
    with pytest.raises(StoreError) as caught:
        salvage_if_damaged(directory)
    assert str(caught.value) == (
        f"Nothing can be saved from the catalog {directory}/catalog.sqlite3: file is not a database. Delete the store, "
        "and index again."
    )
    assert (directory / CATALOG_FILE).read_bytes() == before
    assert not [*directory.glob(".*")]


def test_a_store_without_a_catalog(directory):
    (directory / CATALOG_FILE).unlink()
    assert salvage_if_damaged(directory) is None


def test_a_store_that_another_process_writes_to(directory):
    with Store.open(directory, read_only=False), pytest.raises(StoreError, match="is writing to the store"):
        salvage_if_damaged(directory)

"""The windows of a catalog, each read with its checksum, and counted: none is missing that is not known to be gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.records import Clip
from pe_search.store.commits import between, count_of, last_window_id, name_of
from pe_search.store.schema import checked, clip_of, is_as_written, path_of, seconds_of

# SQLite's own bound on the variables of one statement has been higher than this since version 3.32.
_IDS_PER_STATEMENT = 10_000
_WINDOWS_AT_ONCE = 4_096
_WINDOWS_ASKED_TWICE = 2_000
WINDOW = "id, content_id, start_s, end_s, embedding, checksum"
CLIP = "path, size_bytes, modified_ns, changed_ns, inode, clips.content_id, indexed_at_s, clips.checksum"
CONTENT = "id, digest, duration_s, missing, clips, windows, checksum"

Row = tuple[Any, ...]
"""Of a window, without its checksum: id, content_id, start_s, end_s, embedding as bytes."""


class DamagedWindowError(ValueError):
    """A window is not as it was written; the message says which one."""


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Where a window is: one clip that has it, its times, and the id of the content, which other clips may have."""

    path: Path
    start_s: float
    end_s: float
    content_id: int


@dataclass(frozen=True, slots=True)
class Subset:
    """Some windows of a catalog: those that a query is about.

    Attributes:
        ids: Of the windows, ascending.
        has: Whether the window of a clip, by the clip's path and the window's start, is meant: of several clips of the
            same bytes, one may be and another not.
    """

    ids: NDArray[np.int64]
    has: Callable[[Path, float], bool]


def windows_of(db: sqlite3.Connection, content_id: int) -> list[Row]:
    """The windows of a content, in order.

    Raises:
        DamagedWindowError: If one is not as it was written. So do the other functions here that read windows.
        ValueError: If anything else is amiss. So do all functions here.
    """
    return list(each_window_of(db, content_id))


def each_window_of(db: sqlite3.Connection, content_id: int) -> Iterator[Row]:
    """As `windows_of`, one after the other."""
    before = 0
    for row in db.execute(f"SELECT {WINDOW} FROM windows WHERE content_id = ? ORDER BY id", (content_id,)):
        # SQLite goes by its index, and doesn't look whether the row is what that says, nor whether it comes twice.
        if row[1] != content_id or row[0] <= before:
            raise ValueError("windows can't be found")
        before = row[0]
        yield _sound(db, row)


def windows_with(db: sqlite3.Connection, ids: Sequence[int], on_unknown: Callable[[int], None]) -> dict[int, Row]:
    """Those of the windows with some ids that are there, by id.

    Args:
        db: The catalog's.
        ids: The ids.
        on_unknown: Called with each id that no window ever had.
    """
    found: dict[int, Row] = {}
    for some in _pieces(ids):
        marks = ",".join("?" * len(some))
        for row in db.execute(f"SELECT {WINDOW} FROM windows WHERE id IN ({marks})", some):
            found[row[0]] = _sound(db, row)
    last_id = None
    for window_id in ids:
        if window_id not in found and not _is_gone(db, window_id):
            last_id = last_window_id(db) if last_id is None else last_id
            if 1 <= window_id <= last_id:
                raise ValueError(f"window {window_id} can't be found")
            on_unknown(window_id)
    return found


def windows_after(db: sqlite3.Connection, after: int) -> Iterator[list[Row]]:
    """The windows with higher ids, in order of id, some thousand at a time."""
    expected = last_window_id(db) - after - gone_after(db, after)
    rows = db.execute(f"SELECT {WINDOW} FROM windows WHERE id > ? ORDER BY id", (after,))
    while some := rows.fetchmany(_WINDOWS_AT_ONCE):
        expected -= len(some)
        yield [_sound(db, row) for row in some]
    if expected:
        raise ValueError("it lacks windows")


def ids_of(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Ids of windows, of shape (windows,)."""
    return np.array([row[0] for row in rows], np.int64)


def times_of(row: Row) -> tuple[float, float]:
    """Start and end of a window."""
    return seconds_of(row[2]), seconds_of(row[3])


def clips_of(db: sqlite3.Connection, content_ids: Sequence[int]) -> dict[int, list[Clip]]:
    """The clips of some contents, by the contents' ids."""
    clips: dict[int, list[Clip]] = {}
    for some in _pieces(content_ids):
        marks = ",".join("?" * len(some))
        expected: dict[int, int] = {}
        for row in db.execute(f"SELECT {CONTENT} FROM contents WHERE id IN ({marks})", some):
            content = checked(row, "a content")
            expected[content[0]] = content[4]
        for row in db.execute(f"SELECT {CLIP} FROM clips WHERE content_id IN ({marks})", some):
            *clip, content_id, _ = checked(row, "a clip")
            clips.setdefault(content_id, []).append(clip_of(*clip))
        if {content_id: len(clips.get(content_id, ())) for content_id in some} != expected:
            raise ValueError("it lacks clips or contents")
    return {content_id: clips.get(content_id, []) for content_id in content_ids}


def clip_row(db: sqlite3.Connection, path: Path) -> Row | None:
    """The columns of `CLIP` but the checksum of the clip at a path; None if there is none."""
    row = db.execute(f"SELECT {CLIP} FROM clips WHERE path = ?", (name_of(path),)).fetchone()
    if row is not None and row[0] != name_of(path):
        raise ValueError("a clip can't be found")
    return None if row is None else checked(row, "a clip")


def left_out_rows(db: sqlite3.Connection) -> list[Row]:
    """What is kept of the clips that were left out, in order of path."""
    columns = "path, size_bytes, modified_ns, changed_ns, inode, reason, checksum"
    rows = db.execute(f"SELECT {columns} FROM left_out ORDER BY path").fetchall()
    if len(rows) != count_of(db, "left_out"):
        raise ValueError("it lacks clips that were left out")
    return [checked(row, "a clip that was left out") for row in rows]


def places(
    db: sqlite3.Connection,
    ids: Sequence[int],
    is_meant: Callable[[Path, float], bool],
    on_unknown: Callable[[int], None],
) -> dict[int, list[WindowPlace]]:
    """Where the windows with some ids are: in every clip that has their content, and is meant with their start."""
    windows = windows_with(db, ids, on_unknown)
    clips = clips_of(db, list({row[1] for row in windows.values()}))
    times = {window_id: times_of(row) for window_id, row in windows.items()}
    return {
        window_id: [
            WindowPlace(clip.path, *times[window_id], row[1])
            for clip in clips[row[1]]
            if is_meant(clip.path, times[window_id][0])
        ]
        for window_id, row in windows.items()
    }


def windows_from(db: sqlite3.Connection, content_id: int) -> list[tuple[int, float]]:
    """Id and start of the windows of a content, in order. Their embeddings are not looked at."""
    rows = db.execute("SELECT id, start_s FROM windows WHERE content_id = ? ORDER BY id", (content_id,))
    return [(int(window_id), seconds_of(start_s)) for window_id, start_s in rows]


def starts_of(db: sqlite3.Connection, digest: bytes) -> list[float]:
    """When the windows of a content start, in order."""
    rows = db.execute(
        "SELECT start_s FROM windows WHERE content_id = (SELECT id FROM contents WHERE digest = ?) ORDER BY id",
        (digest,),
    )
    return [seconds_of(start_s) for (start_s,) in rows]


def ids_under(db: sqlite3.Connection, path: Path) -> NDArray[np.int64]:
    """Ids, ascending, of the windows of the clip at a path or of all clips below it."""
    condition, bounds = in_sql(path)
    # By the paths in the table, and by SQLite's index of them, which is quicker; they must agree.
    rows = db.execute(f"SELECT {CLIP} FROM clips NOT INDEXED WHERE {condition}", bounds).fetchall()
    contents = {checked(row, "a clip")[5] for row in rows}
    if len(rows) != db.execute(f"SELECT count(*) FROM clips WHERE {condition}", bounds).fetchone()[0]:
        raise ValueError("it lacks clips")
    content_of: dict[int, int] = {}
    expected = 0
    for some in _pieces(sorted(contents)):
        marks = ",".join("?" * len(some))
        counts = db.execute(f"SELECT {CONTENT} FROM contents WHERE id IN ({marks})", some)
        expected += sum(checked(row, "a content")[5] for row in counts)
        content_of.update(db.execute(f"SELECT id, content_id FROM windows WHERE content_id IN ({marks})", some))
    if len(content_of) != expected:
        raise ValueError("it lacks windows")
    ids = sorted(content_of)
    # They came from SQLite's index. The table is larger: to ask it of many takes longer than the search.
    if len(ids) <= _WINDOWS_ASKED_TWICE:
        marks = ",".join("?" * len(ids))
        if content_of != dict(db.execute(f"SELECT id, content_id FROM windows NOT INDEXED WHERE id IN ({marks})", ids)):
            raise ValueError("it lacks windows")
    return np.array(ids, np.int64)


def all_ids(db: sqlite3.Connection) -> NDArray[np.int64]:
    """Ids, ascending, of all windows."""
    stretches = between(_gone(db, 0), last_window_id(db))
    count = db.execute("SELECT count(*) FROM windows").fetchone()[0]
    # Before they are made: the ids of a store from elsewhere may go up to any number.
    if sum(last - first + 1 for first, last in stretches) != count:
        raise ValueError("it lacks windows")
    return np.concatenate([np.empty(0, np.int64), *(np.arange(first, last + 1) for first, last in stretches)])


def gone_after(db: sqlite3.Connection, after: int) -> int:
    """How many windows with higher ids are gone."""
    return sum(max(0, last_id - max(first_id, after + 1) + 1) for first_id, last_id in _gone(db, after))


def _gone(db: sqlite3.Connection, after: int) -> list[tuple[int, int]]:
    """First and last id of the stretches of windows that are gone, but for those that lie before an id as a whole."""
    rows = db.execute(
        "SELECT first_id, last_id, checksum FROM gone "
        "WHERE first_id >= ifnull((SELECT max(first_id) FROM gone WHERE first_id <= ?), 0)",
        (after,),
    )
    return [(first_id, last_id) for first_id, last_id in (checked(row, "windows that are gone") for row in rows)]


def _is_gone(db: sqlite3.Connection, window_id: int) -> bool:
    row = db.execute(
        "SELECT first_id, last_id, checksum FROM gone WHERE first_id <= ? ORDER BY first_id DESC LIMIT 1", (window_id,)
    ).fetchone()
    return row is not None and window_id <= checked(row, "windows that are gone")[1]


def _sound(db: sqlite3.Connection, row: Row) -> Row:
    if not is_as_written(row):
        raise DamagedWindowError(in_words(db, row))
    return row[:-1]


def in_words(db: sqlite3.Connection, row: Row) -> str:
    """Which window a row is of that is damaged, as far as that can be told."""
    return f"{place_in_words(db, row)} is not as it was written"


def place_in_words(db: sqlite3.Connection, row: Row) -> str:
    """Where the window of a row is, as far as that can be told."""
    try:
        start_s, end_s = times_of(row)
        (name,) = db.execute("SELECT path FROM clips WHERE content_id = ? LIMIT 1", (row[1],)).fetchone()
        return f"the window of {path_of(name)} at {start_s:g}-{end_s:g} s"
    except (ValueError, TypeError, sqlite3.Error):
        return f"window {row[0]}"


def _pieces(ids: Sequence[int]) -> Iterator[list[int]]:
    for first in range(0, len(ids), _IDS_PER_STATEMENT):
        yield [int(one) for one in ids[first : first + _IDS_PER_STATEMENT]]


def is_under(folder: Path) -> Callable[[bytes], bool]:
    """What tells whether a path, as it is kept, is this one or below it."""
    name = name_of(folder)
    below = name.rstrip(b"/") + b"/"
    return lambda path: path == name or path.startswith(below)


def in_sql(path: Path) -> tuple[str, list[bytes]]:
    """A condition for the clip at a path and those below it, and what its question marks stand for."""
    name = name_of(path)
    below = name.rstrip(b"/") + b"/"
    # The byte after "/" bounds everything that begins with the folder's name and a slash.
    beyond = below[:-1] + bytes([below[-1] + 1])
    return "(path = ? OR (path >= ? AND path < ?))", [name, below, beyond]

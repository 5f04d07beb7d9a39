"""All windows of a catalog, with the clips that have them, in memory that does not grow with the catalog."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.records import IndexedClip
from pe_search.store.catalog import Catalog
from pe_search.store.commits import name_of
from pe_search.store.listing import COLUMNS, WITH_CONTENT, Known
from pe_search.store.schema import checked
from pe_search.store.windows import CONTENT, Row, each_window_of, in_sql, is_under, times_of

_CONTENTS_AT_ONCE = 1_024
_WINDOWS_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class Block:
    """Some windows.

    Attributes:
        content_ids: int64 of shape (windows,), ascending: the windows of one content follow each other, in order of
            time. Those that don't fit into a block begin the next one.
        starts_s: float64 of shape (windows,).
        vectors: float16 of shape (windows, dimension).
        clips: The clips that have a content and are meant, at least one, by the content's id.
    """

    content_ids: NDArray[np.int64]
    starts_s: NDArray[np.float64]
    vectors: NDArray[np.float16]
    clips: dict[int, list[IndexedClip]]


def sweep(
    catalog: Catalog,
    under: Path | None = None,
    is_meant: Callable[[IndexedClip], bool] = lambda _clip: True,
) -> Iterator[Block]:
    """Yield every window that a clip has, once; to be used inside a `snapshot`.

    Args:
        catalog: The store's.
        under: A clip, or a folder that the clips must be below; absolute, or a name.
        is_meant: Whether a clip is one of those to go through.

    Raises:
        StoreError: If the catalog is damaged.
    """
    known = Known(catalog)
    with catalog.reading() as db:
        contents = _contents_of_clips(db, under)
        is_below = None if under is None else is_under(under)

        def is_wanted(clip: IndexedClip) -> bool:
            return (is_below is None or is_below(name_of(clip.path))) and is_meant(clip)

        for first in range(0, len(contents), _CONTENTS_AT_ONCE):
            some = contents[first : first + _CONTENTS_AT_ONCE].tolist()
            expected = _windows_and_clips(db, some)
            clips = _clips_of(db, known, some, {content_id: clips for content_id, (_, clips) in expected.items()})
            wanted = {content_id: list(filter(is_wanted, those)) for content_id, those in clips.items()}
            windows = {content_id: expected[content_id][0] for content_id in some if wanted[content_id]}
            for rows in _rows_of(db, windows):
                vectors = catalog.keeper.vectors(db, rows)
                ids = np.array([row[1] for row in rows], np.int64)
                starts_s = np.array([times_of(row)[0] for row in rows])
                yield Block(ids, starts_s, vectors, {int(one): wanted[int(one)] for one in np.unique(ids)})


def _contents_of_clips(db: sqlite3.Connection, under: Path | None) -> NDArray[np.int64]:
    """Ids, ascending, of the contents that the clips at or below a path have, or all clips."""
    condition, bounds = ("1", []) if under is None else in_sql(under)
    # By the paths in the table; what follows goes by SQLite's indexes.
    rows = db.execute(f"SELECT content_id FROM clips NOT INDEXED WHERE {condition}", bounds)
    ids = np.fromiter((row[0] for row in rows), np.int64)
    if under is None and len(ids) != db.execute("SELECT total(clips) FROM contents").fetchone()[0]:
        raise ValueError("it lacks clips or contents")
    return np.unique(ids)


def _windows_and_clips(db: sqlite3.Connection, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """How many windows and clips there are of each of some contents."""
    marks = ",".join("?" * len(ids))
    rows = db.execute(f"SELECT {CONTENT} FROM contents WHERE id IN ({marks})", ids).fetchall()
    found = {content[0]: (content[5], content[4]) for content in (checked(row, "a content") for row in rows)}
    if found.keys() != set(ids):
        raise ValueError("it lacks clips or contents")
    return found


def _clips_of(
    db: sqlite3.Connection, known: Known, ids: Sequence[int], expected: dict[int, int]
) -> dict[int, list[IndexedClip]]:
    """All clips of each of some contents, in order of path."""
    clips: dict[int, list[IndexedClip]] = {content_id: [] for content_id in ids}
    marks = ",".join("?" * len(ids))
    for row in db.execute(
        f"SELECT {COLUMNS} FROM {WITH_CONTENT} WHERE clips.content_id IN ({marks}) ORDER BY path", ids
    ):
        clips[row[5]].append(known.clip_of(row))
    if {content_id: len(those) for content_id, those in clips.items()} != expected:
        raise ValueError("it lacks clips or contents")
    return clips


def _rows_of(db: sqlite3.Connection, expected: dict[int, int]) -> Iterator[list[Row]]:
    """The windows of some contents, some thousand at a time.

    Args:
        db: The catalog's.
        expected: How many each content has, by its id; in order.
    """
    rows: list[Row] = []
    for content_id, count in expected.items():
        for row in each_window_of(db, content_id):
            rows.append(row)
            count -= 1
            if len(rows) == _WINDOWS_AT_ONCE:
                yield rows
                rows = []
        if count:
            raise ValueError("it lacks windows")
    if rows:
        yield rows

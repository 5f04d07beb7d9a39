"""What can still be read of the rows of a damaged catalog."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from pe_search.records import Clip, Content, Facts, LeftOut
from pe_search.reports import Root
from pe_search.store.commits import between, last_window_id, stretches
from pe_search.store.manifest import Manifest
from pe_search.store.roots import ROOT, root_of
from pe_search.store.schema import FACTS, checksum, clip_of, embedding_of, facts_of, is_as_written, seconds_of

_ROWS_AT_ONCE = 1_024
_WINDOW = "content_id, start_s, end_s, embedding, checksum"
# What SQLite calls the index that it makes for UNIQUE.
_DIGESTS = "sqlite_autoindex_contents_1"
# Queries that may fail, for each page there is, while what can't be read is closed in on.
_TRIES_PER_PAGE = 512
# More rows than a page holds, for where not even the last id can be read.
_ROWS_PER_PAGE = 512


def clips_in(db: sqlite3.Connection, version: int) -> Iterator[tuple[Clip, int, int | None]]:
    """The clips of which the row is sound, each with the id of its content and when it was indexed."""
    kept = {2: "NULL, NULL, content_id, NULL", 3: "changed_ns, inode, content_id, checksum"}
    columns = kept.get(version, "changed_ns, inode, content_id, indexed_at_s, checksum")
    for _, *row in _rows(db, "clips", f"path, size_bytes, modified_ns, {columns}"):
        if version == 2 or is_as_written(row):
            with suppress(ValueError):
                yield clip_of(*row[:5]), row[5], row[6] if version > 3 else None


def contents_in(
    db: sqlite3.Connection, heads: dict[int, tuple[Any, ...]], manifest: Manifest, version: int
) -> Iterator[tuple[int, Content]]:
    """The contents of which all windows are sound, with their ids."""
    # The windows of a content were written one after the other, but those of a long one in several parts.
    waiting: dict[int, list[tuple[Any, ...]]] = {}
    latest = None
    for row in _rows(db, "windows", _WINDOW if version > 2 else _WINDOW.replace("checksum", "NULL")):
        if version > 2 and not is_as_written(row):
            continue
        if latest not in (None, row[1]):
            for whole in list(_content(waiting[latest], heads, manifest)):
                del waiting[latest]
                yield whole
        latest = row[1]
        waiting.setdefault(latest, []).append(row)
    for rows in waiting.values():
        yield from _content(rows, heads, manifest)


def heads_in(db: sqlite3.Connection, version: int) -> dict[int, tuple[Any, ...]]:
    """Digest, duration and what is missing of each content, by its id."""
    if version == 2:
        return {row[0]: (row[1], row[2], None) for row in _rows(db, "contents", "digest, duration_s")}
    rows = _rows(db, "contents", "digest, duration_s, missing, clips, windows, checksum")
    return {row[0]: row[1:4] for row in rows if is_as_written(row)}


def heads_by_index(db: sqlite3.Connection, known: Container[int]) -> dict[int, tuple[Any, ...]]:
    """As `_heads`, of contents that aren't known: digests from SQLite's index of them, durations from their windows.

    What was missing of a content, in words, is lost. Whether it lacks windows is told by their ids: none may be unknown
    that could have been one of its last.
    """
    rows: list[tuple[int, object]] = []
    with suppress(sqlite3.DatabaseError, MemoryError):
        for row in db.execute(f"SELECT id, digest FROM contents INDEXED BY {_DIGESTS} ORDER BY digest"):
            rows.append(row)
    times_named = Counter(content_id for content_id, _ in rows)
    digests = {row[0]: row[1] for row in rows if row[0] not in known and times_named[row[0]] == 1}
    if not digests:
        return {}
    ids: list[int] = []
    ends: dict[int, tuple[int, float]] = {}
    for row in _rows(db, "windows", _WINDOW):
        if is_as_written(row):
            ids.append(row[0])
            ends[row[1]] = row[0], row[3]
    last_unknown = _last_unknown(db, ids)
    return {
        content_id: (digest, ends[content_id][1], None)
        for content_id, digest in digests.items()
        if content_id in ends and ends[content_id][0] > last_unknown
    }


def _last_unknown(db: sqlite3.Connection, ids: list[int]) -> int:
    """The highest id that is not among these, ascending, and is of no window that is gone; 0 if there is none."""
    gone: list[tuple[int, int]] = []
    last_id = max(ids, default=0)
    with suppress(sqlite3.DatabaseError, MemoryError, TypeError):
        last_id = max(last_id, last_window_id(db))
        for row in db.execute("SELECT first_id, last_id, checksum FROM gone"):
            if is_as_written(row):
                gone.append(row[:2])
    unknown = between(sorted([*stretches(ids), *gone]), last_id)
    return unknown[-1][1] if unknown else 0


def _content(
    rows: list[tuple[Any, ...]], heads: dict[int, tuple[Any, ...]], manifest: Manifest
) -> Iterator[tuple[int, Content]]:
    """The content of all its windows, or nothing if one is missing or doesn't make sense."""
    content_id = rows[0][1]
    digest, duration_s, missing = heads.get(content_id, (None, None, None))
    with suppress(ValueError):
        times = [(seconds_of(row[2]), seconds_of(row[3])) for row in rows]
        # Windows begin at every hop, to the nearest sample, and the last one ends with the content.
        hop_s, sample_s = manifest.hop_s, 1 / manifest.sample_rate_hz
        is_whole = (
            times[-1][1] == duration_s
            and times[-1][0] < (len(times) - 1) * hop_s + len(times) * sample_s
            and all(abs(start_s - row * hop_s) < (row + 1) * sample_s for row, (start_s, _) in enumerate(times[:-1]))
        )
        if isinstance(digest, bytes) and is_whole:
            embeddings = np.stack([embedding_of(row[4], manifest.dimension) for row in rows])
            yield content_id, Content(digest, times, embeddings, is_whole=True, missing=missing)


def left_out_in(db: sqlite3.Connection, version: int) -> Iterator[LeftOut]:
    """The clips that were left out."""
    kept = "NULL, NULL, reason, NULL" if version == 2 else "changed_ns, inode, reason, checksum"
    with suppress(sqlite3.DatabaseError, ValueError, MemoryError):
        for row in db.execute(f"SELECT path, size_bytes, modified_ns, {kept} FROM left_out"):
            if version == 2 or is_as_written(row):
                yield LeftOut(clip_of(*row[:5]), str(row[5]))


def roots_in(db: sqlite3.Connection, version: int) -> Iterator[Root]:
    """The roots."""
    if version > 3:
        with suppress(sqlite3.DatabaseError, ValueError, MemoryError):
            for row in db.execute(f"SELECT {ROOT} FROM roots"):
                if is_as_written(row):
                    yield root_of(row[:-1])


def facts_in(db: sqlite3.Connection, version: int) -> Iterator[tuple[int, Facts]]:
    """What is kept of contents, by their ids."""
    for row in kept_in(db, version, "facts", FACTS):
        with suppress(ValueError, TypeError):
            facts = facts_of((*row, checksum(*row)))
            if facts is not None:
                yield row[0], facts


def kept_in(
    db: sqlite3.Connection, version: int, table: str, columns: str, *, since: int = 5
) -> Iterator[tuple[Any, ...]]:
    """The sound rows of a table that came with a format, without their checksums."""
    if version >= since:
        with suppress(sqlite3.DatabaseError, ValueError, MemoryError):
            for row in db.execute(f"SELECT {columns} FROM {table}"):
                if is_as_written(row):
                    yield row[:-1]


def _rows(db: sqlite3.Connection, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
    """All rows that can be read, in order of id: what can't be read is closed in on from both sides."""
    pages = int(db.execute("PRAGMA page_count").fetchone()[0])
    try:
        last = int(db.execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0)
    except (sqlite3.DatabaseError, TypeError, ValueError):
        last = _ROWS_PER_PAGE * pages
    # An id that was read from a damaged page may be any number, so neither ranges nor tries may be as many.
    tries = _TRIES_PER_PAGE * (pages + 1)
    ranges = [(1, last)]
    while ranges and tries:
        first, final = ranges.pop()
        try:
            rows = db.execute(
                f"SELECT id, {columns} FROM {table} NOT INDEXED WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
                (first, final, _ROWS_AT_ONCE),
            ).fetchall()
        except (sqlite3.DatabaseError, MemoryError):
            tries -= 1
            if first < final:
                middle = (first + final) // 2
                ranges += [(middle + 1, final), (first, middle)]
            continue
        yield from rows
        if len(rows) == _ROWS_AT_ONCE and rows[-1][0] < final:
            ranges.append((rows[-1][0] + 1, final))

"""Save what can still be read of a damaged catalog."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pe_search.drafts import draft_folder
from pe_search.errors import StoreError
from pe_search.records import Clip, Content, LeftOut
from pe_search.store.catalog import (
    CATALOG_FILE,
    Catalog,
    clip_of,
    embedding_of,
    expected_schema,
    schema_of,
    seconds_of,
)
from pe_search.store.lock import WriterLock
from pe_search.store.manifest import Manifest, read_manifest

_ROWS_AT_ONCE = 1_024
# Queries that may fail, for each page there is, while what can't be read is closed in on.
_TRIES_PER_PAGE = 512
# More rows than a page holds, for where not even the last id can be read.
_ROWS_PER_PAGE = 512


@dataclass(frozen=True, slots=True)
class Salvage:
    """What became of a damaged catalog.

    Attributes:
        clips: How many clips were saved, each with all its windows.
        damaged: Where the damaged catalog is now.
    """

    clips: int
    damaged: Path


def salvage_if_damaged(directory: Path) -> Salvage | None:
    """Put a catalog of all that can still be read in the place of one that is damaged; leave a sound one alone.

    A clip is saved only with all its windows, so that the next index run embeds the others again.

    Returns:
        None if the catalog is sound, or is none of pe-search's at all.

    Raises:
        StoreError: If nothing can be saved, or the store can't be written to.
    """
    manifest = read_manifest(directory)
    path = directory / CATALOG_FILE
    if not path.is_file():
        return None
    lock = WriterLock(directory)
    lock.acquire()
    try:
        with closing(_open_to_read(path)) as db:
            if _is_sound(db, manifest.dimension):
                return None
        return _salvage(path, manifest)
    except sqlite3.Error as error:
        if not _is_damage(error):
            raise StoreError(f"The catalog {path} can't be used: {error}") from error
        raise StoreError(
            f"Nothing can be saved of the catalog {path}: {error}. Delete the store, and index again."
        ) from error
    except OSError as error:
        raise StoreError(f"The store at {directory} can't be written to: {error.strerror or error}.") from error
    finally:
        lock.release()


def _open_to_read(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    db.execute("PRAGMA trusted_schema = OFF")
    return db


def _is_sound(db: sqlite3.Connection, dimension: int) -> bool:
    try:
        if schema_of(db) != expected_schema():
            # Whatever it is, opening it says so.
            return True
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            return False
        odd = "typeof(embedding) != 'blob' OR length(embedding) != ? OR typeof(start_s) != 'real' OR end_s < start_s"
        return bool(db.execute(f"SELECT count(*) = 0 FROM windows WHERE {odd}", (2 * dimension,)).fetchone()[0])
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            return False
        raise


def _is_damage(error: sqlite3.Error) -> bool:
    # Not what a disk says that is full or can't be written to: for that, a sound catalog must not be put aside.
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or code in (
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
    )


def _salvage(path: Path, manifest: Manifest) -> Salvage:
    digests: dict[int, bytes] = {}

    def contents(db: sqlite3.Connection) -> Iterator[Content]:
        for content_id, content in _contents(db, manifest):
            digests[content_id] = content.digest
            yield content

    with draft_folder(path.parent) as draft:
        with (
            closing(_open_to_read(_in_whole_pages(path, draft))) as db,
            closing(Catalog(draft, manifest.dimension, read_only=False)) as catalog,
        ):
            # Without this, which changes nothing in a file that is only read, SQLite would read nothing of one that
            # breaks off.
            db.execute("PRAGMA writable_schema = ON")
            # Of a file that is no database at all, this says so.
            db.execute("PRAGMA page_count")
            # These are asked for only when all contents have come, and `digests` is complete.
            clips = ((clip, digests[content_id]) for clip, content_id in _clips(db) if content_id in digests)
            catalog.commit(contents=contents(db), clips=clips, left_out=_left_out(db))
            catalog.drop_unused_contents()
            saved = catalog.holdings().clips
        damaged = path.with_name(f"{CATALOG_FILE}.damaged")
        # The log goes first, because beside another catalog SQLite would take it for that one's.
        for end in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(f"{path}{end}", f"{damaged}{end}")
        os.replace(draft / CATALOG_FILE, path)
    return Salvage(saved, damaged)


def _in_whole_pages(path: Path, folder: Path) -> Path:
    """A catalog that doesn't end within a page: SQLite would take what the page lacks for zeros."""
    with path.open("rb") as file:
        header = file.read(18)
    broken_bytes = path.stat().st_size % max(int.from_bytes(header[16:]), 1)
    if not (header.startswith(b"SQLite format 3\0") and broken_bytes):
        return path
    copy = folder / "whole-pages.sqlite3"
    for end in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{path}{end}", f"{copy}{end}")
    os.truncate(copy, path.stat().st_size - broken_bytes)
    return copy


def _clips(db: sqlite3.Connection) -> Iterator[tuple[Clip, int]]:
    for _, name, size_bytes, modified_ns, content_id in _rows(db, "clips", "path, size_bytes, modified_ns, content_id"):
        with suppress(ValueError):
            yield clip_of(name, size_bytes, modified_ns), content_id


def _contents(db: sqlite3.Connection, manifest: Manifest) -> Iterator[tuple[int, Content]]:
    heads = {row[0]: row[1:] for row in _rows(db, "contents", "digest, duration_s")}
    # The windows of a content were written one after the other, but those of a long one in several parts.
    waiting: dict[int, list[tuple[Any, ...]]] = {}
    latest = None
    for row in _rows(db, "windows", "content_id, start_s, end_s, embedding"):
        if latest not in (None, row[1]):
            for whole in list(_content(waiting[latest], heads, manifest)):
                del waiting[latest]
                yield whole
        latest = row[1]
        waiting.setdefault(latest, []).append(row)
    for rows in waiting.values():
        yield from _content(rows, heads, manifest)


def _content(
    rows: list[tuple[Any, ...]], heads: dict[int, tuple[Any, ...]], manifest: Manifest
) -> Iterator[tuple[int, Content]]:
    """The content of all its windows, or nothing if one is missing or doesn't make sense."""
    content_id = rows[0][1]
    digest, duration_s = heads.get(content_id, (None, None))
    with suppress(ValueError):
        times = [(seconds_of(start_s), seconds_of(end_s)) for _, _, start_s, end_s, _ in rows]
        # Windows begin at every hop, to the nearest sample, and the last one ends with the content.
        hop_s, sample_s = manifest.hop_s, 1 / manifest.sample_rate_hz
        is_whole = (
            times[-1][1] == duration_s
            and times[-1][0] < (len(times) - 1) * hop_s + len(times) * sample_s
            and all(abs(start_s - row * hop_s) < (row + 1) * sample_s for row, (start_s, _) in enumerate(times[:-1]))
        )
        if isinstance(digest, bytes) and is_whole:
            embeddings = np.stack([embedding_of(row[4], manifest.dimension) for row in rows])
            yield content_id, Content(digest, times, embeddings, is_whole=True)


def _left_out(db: sqlite3.Connection) -> Iterator[LeftOut]:
    with suppress(sqlite3.DatabaseError, ValueError):
        for *row, reason in db.execute("SELECT path, size_bytes, modified_ns, reason FROM left_out"):
            yield LeftOut(clip_of(*row), str(reason))


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
        except sqlite3.DatabaseError:
            tries -= 1
            if first < final:
                middle = (first + final) // 2
                ranges += [(middle + 1, final), (first, middle)]
            continue
        yield from rows
        if len(rows) == _ROWS_AT_ONCE and rows[-1][0] < final:
            ranges.append((rows[-1][0] + 1, final))

"""Save what can still be read of a damaged catalog."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from pe_search.drafts import draft_folder
from pe_search.errors import StoreError
from pe_search.records import Clip, Content, LeftOut
from pe_search.reports import Root
from pe_search.store.catalog import Catalog
from pe_search.store.checking import find_damage
from pe_search.store.commits import between, last_window_id, stretches
from pe_search.store.conversion import converted_fields
from pe_search.store.database import is_damage, open_database
from pe_search.store.files import CATALOG_FILE, MANIFEST_FILE
from pe_search.store.lock import WriterLock
from pe_search.store.manifest import (
    Manifest,
    as_json,
    fields_of,
    manifest_of,
    numbers_of,
    read_fields,
    read_manifest,
    write_manifest,
)
from pe_search.store.opening import in_one_line
from pe_search.store.roots import ROOT, root_of, write_roots
from pe_search.store.schema import (
    FORMAT_VERSION,
    checked,
    clip_of,
    embedding_of,
    expected_schema,
    is_as_written,
    schema_of,
    seconds_of,
)

_ROWS_AT_ONCE = 1_024
_WINDOW = "content_id, start_s, end_s, embedding, checksum"
# What SQLite calls the index that it makes for UNIQUE.
_DIGESTS = "sqlite_autoindex_contents_1"
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
        unsure: Of how many saved contents it is no longer known whether they could be read whole.
    """

    clips: int
    damaged: Path
    unsure: int


def restore_manifest(directory: Path) -> bool:
    """Write the manifest again if it isn't what the catalog keeps of it; leave it alone if the catalog can't tell.

    Raises:
        StoreError: If the store can't be written to.
    """
    path = directory / CATALOG_FILE
    try:
        with closing(open_database(path, "ro")) as db:
            if schema_of(db) != expected_schema():
                return False
            row = db.execute("SELECT identity, manifest, checksum FROM state").fetchone()
            kept = manifest_of(fields_of(checked(row, "its state")[1]), directory)
    except (sqlite3.Error, StoreError, ValueError, TypeError, RecursionError, MemoryError):
        return False
    with suppress(StoreError):
        if numbers_of(read_manifest(directory)) == numbers_of(kept):
            return False
    lock = WriterLock(directory)
    lock.acquire()
    try:
        write_manifest(directory, kept)
    except OSError as error:
        raise StoreError(f"The store at {directory} can't be written to: {error.strerror or error}.") from error
    finally:
        lock.release()
    return True


def salvage_if_damaged(directory: Path) -> Salvage | None:
    """Put a catalog of all that can still be read in the place of one that is damaged; leave a sound one alone.

    A clip is saved only with all its windows, so that the next index run embeds the others again.

    Returns:
        None if the catalog is sound, or is none of pe-search's at all.

    Raises:
        StoreError: If nothing can be saved, or the store can't be written to, or it is the manifest that is wrong.
    """
    fields = read_fields(directory)
    manifest = manifest_of(converted_fields(fields), directory)
    path = directory / CATALOG_FILE
    if not path.is_file():
        return None
    lock = WriterLock(directory)
    lock.acquire()
    try:
        with closing(open_database(path, "ro")) as db:
            if _is_sound(db, manifest, fields["format_version"]):
                return None
        salvage = _salvage(path, manifest, fields["format_version"])
        write_manifest(directory, manifest)
        return salvage
    except sqlite3.Error as error:
        if not _is_damage(error):
            raise StoreError(f"The catalog {path} can't be used: {in_one_line(error)}") from error
        raise StoreError(
            f"Nothing can be saved from the catalog {path}: {in_one_line(error)}. Delete the store, and index again."
        ) from error
    except UnicodeDecodeError as error:
        raise StoreError(
            f"Nothing can be saved from the catalog {path}: a name in it is damaged. Delete the store, and index again."
        ) from error
    except OSError as error:
        raise StoreError(f"The store at {directory} can't be written to: {error.strerror or error}.") from error
    finally:
        lock.release()


def _is_sound(db: sqlite3.Connection, manifest: Manifest, version: int) -> bool:
    try:
        if schema_of(db) != expected_schema(version):
            # Whatever it is, opening it says so.
            return True
        _blame_manifest(db, manifest)
        if db.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            return False
        odd = "typeof(embedding) != 'blob' OR length(embedding) != ? OR typeof(start_s) != 'real' OR end_s < start_s"
        if db.execute(f"SELECT count(*) FROM windows WHERE {odd}", (2 * manifest.dimension,)).fetchone()[0]:
            return False
        return version < FORMAT_VERSION or find_damage(db, manifest.dimension).is_none
    except (MemoryError, UnicodeDecodeError):  # the second of what SQLite says of a name that is not UTF-8
        return False
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            return False
        raise


def _blame_manifest(db: sqlite3.Connection, manifest: Manifest) -> None:
    """Refuse to call a catalog damaged whose embeddings are all of one other length."""
    with suppress(sqlite3.DatabaseError):
        lengths = [row[0] for row in db.execute("SELECT DISTINCT length(embedding) FROM windows LIMIT 2")]
        if len(lengths) == 1 and isinstance(lengths[0], int) and lengths[0] not in (0, 2 * manifest.dimension):
            folder = Path(db.execute("PRAGMA database_list").fetchone()[2]).parent
            raise StoreError(
                f"{folder / MANIFEST_FILE} is damaged: dimension is {manifest.dimension}, but all embeddings have "
                f"{lengths[0] // 2} numbers. Correct it in that file. The catalog was not changed."
            )


def _is_damage(error: sqlite3.Error) -> bool:
    # Not what a disk says that is full or can't be written to: for that, a sound catalog must not be put aside.
    return is_damage(error) or getattr(error, "sqlite_errorcode", 0) in (
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
    )


def _salvage(path: Path, manifest: Manifest, version: int) -> Salvage:
    digests: dict[int, bytes] = {}

    def noted(contents: Iterable[tuple[int, Content]]) -> Iterator[Content]:
        for content_id, content in contents:
            digests[content_id] = content.digest
            yield content

    with draft_folder(path.parent) as draft:
        with (
            closing(open_database(_in_whole_pages(path, draft), "ro")) as db,
            closing(Catalog(draft, manifest.dimension, read_only=False, manifest=as_json(manifest))) as catalog,
        ):
            # Without this, which changes nothing in a file that is only read, SQLite would read nothing of one that
            # breaks off.
            db.execute("PRAGMA writable_schema = ON")
            # Of a file that is no database at all, this says so.
            db.execute("PRAGMA page_count")
            heads = _heads(db, version)
            by_index = {} if version == 2 else _heads_by_index(db, heads)
            contents = noted(_contents(db, heads | by_index, manifest, version))
            # These are asked for only when all contents have come, and `digests` is complete.
            clips = (
                (clip, digests[content_id], indexed_at_s)
                for clip, content_id, indexed_at_s in _clips(db, version)
                if content_id in digests
            )
            catalog.commit(contents=contents, saved=clips, left_out=_left_out(db, version))
            write_roots(catalog, _roots(db, version))
            catalog.drop_unused_contents()
            saved = catalog.holdings().clips
        damaged = _place_for_damaged(path)
        # The log goes first, because beside another catalog SQLite would take it for that one's.
        for end in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(f"{path}{end}", f"{damaged}{end}")
        os.replace(draft / CATALOG_FILE, path)
    return Salvage(saved, damaged, len(digests.keys() & by_index.keys()))


def _place_for_damaged(path: Path) -> Path:
    """A name that no damaged catalog has yet."""
    first = path.with_name(f"{path.name}.damaged")
    others = (path.with_name(f"{path.name}.damaged-{number}") for number in count(2))
    return first if not os.path.lexists(first) else next(place for place in others if not os.path.lexists(place))


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


def _clips(db: sqlite3.Connection, version: int) -> Iterator[tuple[Clip, int, int | None]]:
    kept = {2: "NULL, NULL, content_id, NULL", 3: "changed_ns, inode, content_id, checksum"}
    columns = kept.get(version, "changed_ns, inode, content_id, indexed_at_s, checksum")
    for _, *row in _rows(db, "clips", f"path, size_bytes, modified_ns, {columns}"):
        if version == 2 or is_as_written(row):
            with suppress(ValueError):
                yield clip_of(*row[:5]), row[5], row[6] if version > 3 else None


def _contents(
    db: sqlite3.Connection, heads: dict[int, tuple[Any, ...]], manifest: Manifest, version: int
) -> Iterator[tuple[int, Content]]:
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


def _heads(db: sqlite3.Connection, version: int) -> dict[int, tuple[Any, ...]]:
    """Digest, duration and what is missing of each content, by its id."""
    if version == 2:
        return {row[0]: (row[1], row[2], None) for row in _rows(db, "contents", "digest, duration_s")}
    rows = _rows(db, "contents", "digest, duration_s, missing, clips, windows, checksum")
    return {row[0]: row[1:4] for row in rows if is_as_written(row)}


def _heads_by_index(db: sqlite3.Connection, known: Container[int]) -> dict[int, tuple[Any, ...]]:
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


def _left_out(db: sqlite3.Connection, version: int) -> Iterator[LeftOut]:
    kept = "NULL, NULL, reason, NULL" if version == 2 else "changed_ns, inode, reason, checksum"
    with suppress(sqlite3.DatabaseError, ValueError, MemoryError):
        for row in db.execute(f"SELECT path, size_bytes, modified_ns, {kept} FROM left_out"):
            if version == 2 or is_as_written(row):
                yield LeftOut(clip_of(*row[:5]), str(row[5]))


def _roots(db: sqlite3.Connection, version: int) -> Iterator[Root]:
    if version > 3:
        with suppress(sqlite3.DatabaseError, ValueError, MemoryError):
            for row in db.execute(f"SELECT {ROOT} FROM roots"):
                if is_as_written(row):
                    yield root_of(row[:-1])


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

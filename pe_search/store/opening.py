"""Open a catalog, and say in one line what is wrong with one that can't be used."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pe_search.directories import command_for
from pe_search.errors import StoreError
from pe_search.store import commits
from pe_search.store.database import code_of, is_damage, is_interrupt, open_database
from pe_search.store.schema import FORMAT_VERSION, expected_schema, make_tables, schema_of
from pe_search.store.tables import SCHEMAS
from pe_search.store.windows import DamagedWindowError

_BUSY_TIMEOUT_S = 30.0


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a catalog that may be on a read-only disk.

    Raises:
        StoreError: If pe-search didn't make its tables.
        sqlite3.Error: If there is none, or it is damaged.
    """
    # Readers of a write-ahead log share a file beside it. Where none can be made and there is no log, there is no
    # writer either; where there is one, it must be read, because it holds the latest commits.
    if os.access(path.parent, os.W_OK) or has_content(log_of(path)):
        try:
            return _of_our_tables(path, open_database(path, "ro", busy_timeout_s=_BUSY_TIMEOUT_S))
        except sqlite3.OperationalError as error:
            # On a full disk that file can't be made either.
            if has_content(log_of(path)) or code_of(error) not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
                raise
    return _of_our_tables(path, open_database(path, "ro", is_immutable=True))


def open_to_write(path: Path, manifest: str) -> sqlite3.Connection:
    """Open a catalog, or make one.

    Args:
        path: Of the catalog.
        manifest: The store's as JSON, for a catalog that is made.

    Raises:
        StoreError: If pe-search didn't make its tables.
        sqlite3.Error: If it is damaged, or can't be written to.
    """
    db = open_database(path, "rwc", busy_timeout_s=_BUSY_TIMEOUT_S)
    try:
        if not schema_of(db):
            # Of 1,024 numbers, one row alone fits into a page of the usual size, and the rest of it lies waste.
            db.execute("PRAGMA page_size = 16384")
            with db:
                db.execute("BEGIN IMMEDIATE")
                make_tables(db, SCHEMAS[FORMAT_VERSION])
                commits.put_state(db, uuid.uuid4().hex, manifest)
                commits.put_counts(db)
        make_durable(_of_our_tables(path, db))
    except BaseException:
        db.close()
        raise
    return db


def make_durable(db: sqlite3.Connection) -> None:
    """Let readers and one writer not wait for each other, and a commit be on the disk when it is done."""
    db.execute("PRAGMA journal_mode = WAL")
    # Whatever happens to the power, on macOS too.
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = ON")
    db.execute("PRAGMA foreign_keys = ON")


def log_of(path: Path) -> Path:
    """The write-ahead log of a catalog."""
    return path.with_name(f"{path.name}-wal")


def has_content(log: Path) -> bool:
    """Whether there is a log that holds commits: a reader makes an empty one."""
    return log.is_file() and log.stat().st_size > 0


def files_of(path: Path) -> list[tuple[int, int, int, int] | None]:
    """What tells the file of a catalog and its log from any others, and from themselves at another time."""
    return [_file_state(path), _file_state(log_of(path))]


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Make a StoreError of whatever SQLite, or what is made of its values, says of the catalog at a path."""
    try:
        yield
    except sqlite3.Error as error:
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        if code_of(error) == sqlite3.SQLITE_FULL:
            raise StoreError(
                f"The disk is full; {path} can't be written. Everything committed so far is kept. "
                "Free some space and run the same command again."
            ) from error
        if is_damage(error):
            raise damaged(path, in_one_line(error)) from error
        raise StoreError(f"The catalog {path} can't be used: {in_one_line(error)}") from error
    except DamagedWindowError as error:
        raise StoreError(
            f"The catalog {path} is damaged: {error}. Index the clip's folder again; "
            f"{command_for('rebuild', path.parent)} saves what can still be read."
        ) from error
    except (ValueError, TypeError, OverflowError) as error:
        raise damaged(path, str(error)) from error
    except MemoryError as error:
        # So SQLite takes some lengths that make no sense.
        raise damaged(path, "a value of it takes more memory than there is") from error


def in_one_line(error: sqlite3.Error) -> str:
    """What SQLite says; of a schema, it quotes all lines."""
    return " ".join(str(error).split())


def damaged(path: Path, reason: str) -> StoreError:
    """What to say of a catalog that is damaged."""
    return StoreError(
        f"The catalog {path} is damaged: {reason}. {command_for('rebuild', path.parent)} saves what can still be read."
    )


def _of_our_tables(path: Path, db: sqlite3.Connection) -> sqlite3.Connection:
    try:
        if schema_of(db) != expected_schema():
            raise StoreError(f"The catalog {path} can't be used: pe-search didn't make its tables.")
    except BaseException:
        db.close()
        raise
    return db


def _file_state(path: Path) -> tuple[int, int, int, int] | None:
    """What tells a file from any other and from itself at another time; None if there is none or it is empty."""
    try:
        status = path.stat()
    except OSError:
        return None
    # An empty log is made by whoever reads.
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) if status.st_size else None

"""Open the SQLite files of a store: as data only, within bounds, and so that Ctrl-C always works."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from pe_search.errors import StoreError
from pe_search.store.files import names_super_journal, odd_kind

# Enough for what is said in a day and a half, with the times of words. A value from elsewhere could ask for any amount
# of memory.
LONGEST_VALUE_BYTES = 32 << 20
# SQLite's own steps between two moments at which Python may notice Ctrl-C: some milliseconds.
_STEPS_AT_ONCE = 200_000


def open_database(
    path: Path, mode: str, *, busy_timeout_s: float = 5.0, is_immutable: bool = False, limit_s: float | None = None
) -> sqlite3.Connection:
    """Open an SQLite file.

    Nothing in its schema is trusted to run, no value may be longer than 32 MiB, and a journal that pe-search can't have
    written is not recovered from. Ctrl-C ends a statement with SQLITE_INTERRUPT, see `is_interrupt`.

    Args:
        path: Of the file; a regular file, if there is one.
        mode: `ro`, `rw` or `rwc`, as in SQLite's URIs.
        busy_timeout_s: How long to wait for another process.
        is_immutable: Whether to take the file as it is, without locks.
        limit_s: How long all that is asked of it may take.

    Raises:
        StoreError: If it is no regular file, or has such a journal.
        sqlite3.Error: If it can't be opened.
    """
    kind = odd_kind(path)
    if kind is not None:
        raise StoreError(f"{path} can't be used: it is {kind}; the files of a store are regular files in its folder.")
    if names_super_journal(path):
        raise StoreError(
            f"{path} can't be used: pe-search didn't write the journal beside it, {path.name}-journal, and to recover "
            "from that could delete another file."
        )
    immutable = "&immutable=1" if is_immutable else ""
    # A store that a server keeps open is used by one thread after the other.
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}{immutable}",
        uri=True,
        timeout=busy_timeout_s,
        check_same_thread=False,
    )
    # Text that is damaged is for checksums to find, and no error of its own.
    db.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    try:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)
        deadline_s = None if limit_s is None else time.monotonic() + limit_s
        # Called now and then, which also lets Python handle signals.
        db.set_progress_handler(lambda: deadline_s is not None and time.monotonic() > deadline_s, _STEPS_AT_ONCE)
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
    except BaseException:
        db.close()
        raise
    return db


def open_in_memory() -> sqlite3.Connection:
    """A new database that is on no disk."""
    return sqlite3.connect(":memory:", check_same_thread=False)


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary code for an error, or 0 for one of Python's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is damaged, or no database at all."""
    return code_of(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_interrupt(error: sqlite3.Error) -> bool:
    """Whether a statement was ended by Ctrl-C, or by the limit that was set."""
    return code_of(error) == sqlite3.SQLITE_INTERRUPT

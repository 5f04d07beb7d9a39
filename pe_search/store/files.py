"""The files of a store as what they are: data that may come from anyone, on a disk that may lie.

A store's own files are regular files of its folder. A link, a pipe or a device in the place of one is refused, so that
nothing outside the folder is read or written and nothing waits for ever.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pe_search.errors import StoreError

MANIFEST_FILE = "manifest.json"
CATALOG_FILE = "catalog.sqlite3"
INDEX_FILE = "index.vectors"
TEXTS_FILE = "texts.sqlite3"
LOCK_FILE = "writer.lock"
HOLDER_FILE = "writer.pid"
LISTED_FILE = "listed.paths"
LOOKUP_FILE = "lookup.sqlite3"

# What SQLite keeps beside a database.
_SQLITE_ENDS = ("-journal", "-wal", "-shm")
_FILES = (
    MANIFEST_FILE,
    INDEX_FILE,
    LOCK_FILE,
    HOLDER_FILE,
    LISTED_FILE,
    *(name + end for name in (CATALOG_FILE, TEXTS_FILE, LOOKUP_FILE) for end in ("", *_SQLITE_ENDS)),
)
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# How a journal ends that names a super-journal: see `readSuperJournal` in SQLite's pager.c.
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")


def odd_kind(path: Path) -> str | None:
    """What is at a path in the place of a regular file, in words; None if there is one, or nothing.

    A folder is not told: it leads nowhere and keeps nobody waiting, and whoever opens it as a file finds out.
    """
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def refuse_odd_files(directory: Path, *, to_write: bool = False) -> None:
    """Look at all that a store's own files could be.

    Args:
        directory: The store's.
        to_write: Whether they are going to be written to. A file that has another name as well, anywhere on the disk,
            is refused then, because it would change there too.

    Raises:
        StoreError: If one of them is no regular file of that folder.
    """
    for name in _FILES:
        path = directory / name
        kind = odd_kind(path)
        if kind is not None:
            raise StoreError(
                f"{path} can't be used: it is {kind}; the files of a store are regular files in its folder."
            )
        if to_write and has_other_names(path):
            raise StoreError(
                f"{path} can't be written: it has another name too (a hard link), where it would also change. "
                "Replace it with a copy."
            )


def has_other_names(path: Path) -> bool:
    """Whether a file has hard links elsewhere."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read it, without waiting and without following a link.

    Raises:
        OSError: If there is none, or it can't be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | _BINARY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(f"it is {_KINDS.get(stat.S_IFMT(mode), 'no regular file')}")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


_BINARY = getattr(os, "O_BINARY", 0)


def names_super_journal(database: Path) -> bool:
    """Whether the journal beside a database names a super-journal, which SQLite would delete when it recovers.

    pe-search writes to one database at a time, so its journals never do.
    """
    try:
        with open_regular(database.with_name(f"{database.name}-journal")) as file:
            file.seek(-len(_JOURNAL_MAGIC), os.SEEK_END)
            return file.read() == _JOURNAL_MAGIC
    except OSError:
        return False


class Folder:
    """The folder of an open store, which must stay the one that was opened.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = self._identities()

    def check(self) -> None:
        """See whether it is still there.

        Raises:
            StoreError: If it, or the catalog in it, was deleted, renamed or replaced.
        """
        if self._identities() != self._identity:
            raise StoreError(
                f"The store at {self.path} was deleted, renamed or replaced while it was written. What follows is "
                "not kept. Run the same command again."
            )

    @contextmanager
    def staying(self) -> Iterator[None]:
        """`check` before and after what is written in the `with` block."""
        self.check()
        yield
        self.check()

    def _identities(self) -> list[tuple[int, int] | None]:
        return [_identity(place) for place in (self.path, self.path / CATALOG_FILE)]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

"""The one way in which pe-search writes a file or a folder whole or not at all, whatever happens meanwhile.

What is being written is in a draft: a hidden folder beside its place, with a random name. When it is complete and on
the disk, it is renamed to its place. A process holds a lock on its draft for as long as it lives. So whoever writes
into the same folder next can tell which drafts belong to killed processes, and removes them. Windows has no such locks,
and needs none: a file that is open can't be removed there.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

_NAME = re.compile(r"\.pe-search-[0-9a-f]{16}\.part")
_LOCK = "lock"
# How long a reader on Windows, who opens a file for a moment, may stand in the way of its successor.
_PATIENCE_S = 2.0
_RETRY_EVERY_S = 0.02


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to be written, which takes the place of what is at a path at the end of the `with` block.

    Raises:
        OSError: If it can't be written. What was there before is left alone then, as with any other exception.
    """
    with draft_folder(path.parent) as folder:
        draft = folder / "draft"
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _replace(draft, path)


@contextmanager
def named_file(path: Path) -> Iterator[BinaryIO]:
    """As `whole_file`, for a file that somebody named: the target of a link is written, and the link stays.

    What is no file, as `/dev/null` or a pipe, is written into as it comes.

    Raises:
        OSError: As `whole_file`.
    """
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    if place.exists() and not place.is_file() and not place.is_dir():
        with place.open("wb") as file:
            yield file
        return
    with whole_file(place) as file:
        yield file


@contextmanager
def draft_folder(parent: Path, *, drops_left_over: bool = True) -> Iterator[Path]:
    """A new folder for drafts, which is gone with all that is left in it at the end of the `with` block.

    Args:
        parent: What the folder is made in.
        drops_left_over: Whether to remove the drafts of killed processes there first. They are looked for among all
            that the parent holds, so whoever makes many drafts need do it for the first one only.

    Raises:
        OSError: If the parent is missing, full or can't be written to; names the parent.
    """
    if drops_left_over:
        drop_left_over(parent)
    try:
        folder, lock = _make(parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(parent)) from error
    try:
        yield folder
    finally:
        _let_go(folder, lock)


def drop_left_over(parent: Path) -> None:
    """Remove the drafts in a folder whose processes were killed, as far as that can be done."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _drop_unless_held(Path(entry.path))


def put_if_free(draft: Path, place: Path) -> bool:
    """Move a complete file from a draft's folder to its place, unless there is something there already.

    Returns:
        Whether it is there now.

    Raises:
        OSError: If it can't be moved.
    """
    _sync(draft)
    try:
        os.link(draft, place)
    except FileExistsError:
        return False
    except OSError:
        # A file system without hard links. To overwrite nothing is worth more there than to leave no empty file behind
        # if the process is killed before the next line but one.
        try:
            place.open("xb").close()
        except FileExistsError:
            return False
        _replace(draft, place)
    else:
        draft.unlink()
    return True


def sync_all(folder: Path) -> None:
    """Bring the files of a folder to the disk.

    Raises:
        OSError: If the disk is full or fails.
    """
    for path in folder.iterdir():
        _sync(path)


def _sync(path: Path) -> None:
    # Windows brings only what may be written to the disk.
    with path.open("r+b" if sys.platform == "win32" else "rb") as file:
        os.fsync(file.fileno())


def _replace(draft: Path, place: Path) -> None:
    if sys.platform == "win32":
        deadline_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline_s:
            with suppress(PermissionError):
                os.replace(draft, place)
                return
            time.sleep(_RETRY_EVERY_S)
    os.replace(draft, place)


def _make(parent: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = parent / f".pe-search-{os.urandom(8).hex()}.part"
        folder.mkdir()
        with suppress(FileNotFoundError):  # whoever drops what is left over was quicker
            lock = _open_lock(folder)
            _wait_for(lock)
            if os.fstat(lock).st_nlink:
                return folder, lock
            os.close(lock)


if sys.platform == "win32":

    def _open_lock(folder: Path) -> int:
        return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)

    def _wait_for(lock: int) -> None:
        """It is open: nobody can remove it."""

    def _let_go(folder: Path, lock: int) -> None:
        os.close(lock)
        _remove(folder)

    def _drop_unless_held(folder: Path) -> None:
        with suppress(OSError):
            # One without a lock may be about to get it. If it is empty, whoever made it will make another.
            if not (folder / _LOCK).exists():
                folder.rmdir()
            (folder / _LOCK).unlink()
            _remove(folder)

else:

    def _open_lock(folder: Path) -> int:
        # Neither a link nor a pipe in its place may lead elsewhere or keep anyone waiting.
        return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)

    def _wait_for(lock: int) -> None:
        # Where the file system has no locks, nobody can tell who is dead, and drafts of the dead stay.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)

    def _let_go(folder: Path, lock: int) -> None:
        _remove(folder)
        os.close(lock)

    def _drop_unless_held(folder: Path) -> None:
        with suppress(OSError):
            lock = _open_lock(folder)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    # The common case, without what takes long to import: nothing is left but the lock.
    with suppress(OSError):
        (folder / _LOCK).unlink()
        folder.rmdir()
        return
    import shutil

    shutil.rmtree(folder, ignore_errors=True)

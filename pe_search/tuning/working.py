"""The hidden folder in which a run keeps what is done, so that one that was stopped goes on from there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pe_search.errors import PeSearchError, TuningError


def refuse_place(out: Path) -> None:
    """Raise a `TuningError` if a folder can't be made."""
    if os.path.lexists(out):
        raise TuningError(f"{out} is there already. Name a folder that isn't there yet.")
    if not out.parent.is_dir():
        raise TuningError(f"There is no folder {out.parent}.")


def work_folder(out: Path) -> Path:
    """Where a run keeps what is done until its end."""
    return out.with_name(f".{out.name}.tuning")


@contextmanager
def working(out: Path) -> Iterator[Path]:
    """The folder of a run, which no other run uses meanwhile; gone at the end, unless it is stopped."""
    from filelock import FileLock, Timeout

    work = work_folder(out)
    work.mkdir(exist_ok=True)
    lock = FileLock(work / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TuningError(f"Another run tunes for {out}. Wait for it, or name another folder.") from None
    try:
        yield work
    except PeSearchError:
        # The same command would fail again.
        lock.release()
        shutil.rmtree(work, ignore_errors=True)
        raise
    finally:
        lock.release()
    shutil.rmtree(work, ignore_errors=True)


def alone(work: Path, name: str, key: str) -> Path:
    """A place in the work folder, of which those are removed that were made with other arguments."""
    place = work / f"{name}-{key}"
    for other in work.glob(f"{name}-*"):
        if other != place:
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    return place


def key_of(*values: object) -> str:
    """A name for some arguments."""
    return hashlib.blake2b(repr(values).encode(errors="surrogateescape"), digest_size=8).hexdigest()

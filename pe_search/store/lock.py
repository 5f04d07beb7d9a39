"""One writer at a time: a lock that the system lets go of when its holder ends, however it ends."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pe_search.directories import shown_store
from pe_search.errors import StoreBusyError, StoreError
from pe_search.store.files import HOLDER_FILE, LOCK_FILE, refuse_odd_files


class NotWritableError(StoreError):
    """A store can't be written to.

    Attributes:
        reason: Why, in the system's words.
    """

    def __init__(self, directory: Path, error: OSError) -> None:
        self.reason = error.strerror or str(error)
        super().__init__(f"The store at {directory} can't be written to: {self.reason}.")


class WriterLock:
    """The right to write to a store, held by one process at a time.

    Args:
        directory: The store's.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = FileLock(directory / LOCK_FILE)
        # Not in the lock file itself, which every process that tries for the lock empties.
        self._holder = directory / HOLDER_FILE

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            NotWritableError: If the store can't be written to.
            StoreBusyError: If another process holds it.
            StoreError: If a file of the store is no regular file.
        """
        refuse_odd_files(self._directory, to_write=True)
        try:
            self._lock.acquire(timeout=0)
            self._holder.unlink(missing_ok=True)
            self._holder.write_text(f"{os.getpid()}\n", encoding="ascii")
        except Timeout:
            raise StoreBusyError(
                f"Another process{self._holder_in_words()} is writing to the store at {shown_store(self._directory)}; "
                "wait until it has finished, or stop it."
            ) from None
        except OSError as error:
            self.release()
            raise NotWritableError(self._directory, error) from error

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self._lock.is_locked:
            with suppress(OSError):
                self._holder.unlink(missing_ok=True)
            self._lock.release()

    def _holder_in_words(self) -> str:
        try:
            return f" (id {int(self._holder.read_text(encoding='ascii'))})"
        except (OSError, ValueError):
            return ""

"""The errors that pe-search raises on purpose. Each message is one line that says what is wrong and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class PeSearchError(Exception):
    """Base of all errors that the command line turns into one line on stderr and exit status 2."""


class AudioError(PeSearchError):
    """A file that can't be read as audio.

    Args:
        path: The file.
        reason: Why it can't be read, without the path: both are shown side by side.
        may_pass: Whether it may be readable another time though it hasn't changed, as when a permission is missing.
    """

    def __init__(self, path: Path, reason: str, *, may_pass: bool = False) -> None:
        # The arguments as they are, so that another process can make the error again.
        super().__init__(path, reason)
        self.path = path
        self.reason = reason
        self.may_pass = may_pass

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class CheckpointError(PeSearchError):
    """A PE Audio checkpoint that can't be found, fetched or loaded."""


class PatternError(PeSearchError):
    """A pattern for names of files that is not valid."""


class QueryError(PeSearchError):
    """A query that can't be asked."""


class StoreError(PeSearchError):
    """A store that is missing, damaged, or doesn't fit what is asked of it."""


def first_line(error: BaseException) -> str:
    """The first line of what a foreign error says, or its kind if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

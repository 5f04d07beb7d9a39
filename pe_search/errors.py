"""The errors that pe-search raises. Each message is one line: what is wrong and what to do."""

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
        reason: Why it can't be read, without the path, which is shown before it.
        may_pass: Whether the same file may be readable later, for example when a permission is missing.
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
    """A PE Audio checkpoint that can't be found, downloaded or loaded."""


class ClusterError(PeSearchError):
    """A Ray runtime that can't be started or reached, has no room for workers, or is gone; a worker that can't work."""


class LanguageModelError(PeSearchError):
    """A language model that can't be found, loaded or reached, or that can't hear."""


class UnansweredError(LanguageModelError):
    """One question that a language model doesn't answer; others may be answered."""


class MissingExtraError(PeSearchError):
    """A library that few need, and that is not installed.

    Args:
        job: What needs it, at the beginning of a sentence.
        package: The library.
        extra: The extra of pe-search that has it.
    """

    def __init__(self, job: str, package: str, extra: str) -> None:
        # The arguments as they are, so that another process can make the error again.
        super().__init__(job, package, extra)
        self.job = job
        self.package = package
        self.extra = extra

    def __str__(self) -> str:
        return (
            f"{self.job} needs {self.package}, which is not installed: `pip install 'pe-search[{self.extra}]'`, "
            f"`pipx inject pe-search {self.package}`, or in the clone `uv tool install . --with {self.package}`."
        )


class PatternError(PeSearchError):
    """An invalid pattern for file names."""


class QueryError(PeSearchError):
    """A query that can't be asked."""


class StoreError(PeSearchError):
    """A store that is missing or damaged, or does not fit the request."""


class StoreBusyError(StoreError):
    """A store that another process is writing to."""


class TableError(PeSearchError):
    """A table of labels that can't be used.

    Args:
        path: The table.
        line: The line that is wrong, from 1; None if it is not about one.
        reason: What is wrong, and what to do.
    """

    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        # The arguments as they are, so that another process can make the error again.
        super().__init__(path, line, reason)
        self.path = path
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        place = str(self.path) if self.line is None else f"{self.path}, line {self.line:,}"
        return f"{place}: {self.reason}."


class TuningError(PeSearchError):
    """Recordings that a checkpoint can't be tuned on, or a folder that can't take the result."""


LONGEST_QUOTE = 200
"""How many characters of a text that somebody else wrote a message has."""


def quoted(value: object) -> str:
    """What somebody else wrote, for a message: in one line, in quotes, its middle left out if it is long.

    What a terminal would obey, or what can't be encoded, is escaped.
    """
    return repr(excerpt(value)) if isinstance(value, str) else excerpt(repr(value))


def excerpt(text: str, longest: int = LONGEST_QUOTE) -> str:
    """A text, its middle left out if it has more characters than that: what it ends with often tells most."""
    if len(text) <= longest:
        return text
    end = longest // 4
    return f"{text[: longest - end - 3]} … {text[len(text) - end :]}"


def first_line(error: BaseException) -> str:
    """The first line of the message of another library's error, or its type if it has no message.

    If that line ends with a colon, the next one belongs to it.
    """
    # The message of a missing key is the key alone.
    text = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) and error.args else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    many = 2 if lines and lines[0].endswith(":") else 1
    return " ".join(lines[:many]) or type(error).__name__

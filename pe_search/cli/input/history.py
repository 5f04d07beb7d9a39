"""What was typed before, for the arrow keys: in this conversation, and in a file from one to the next."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pe_search.drafts import whole_file

_MOST_LINES = 1_000
_LONGEST_LINE = 1_000


class History:
    """Lines for the arrow keys, and for whatever else readline does with them.

    The file holds one on each line, the last 1,000 when a conversation begins; nobody but its user may read it. Trouble
    with it costs no more than the memory, and where Python has no readline the arrow keys do nothing.

    Args:
        path: The file; made if need be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = ""
        with suppress(ImportError):
            import readline

            # It would add every line, also those that are left out here.
            readline.set_auto_history(False)
        for line in self._read():
            self._offer(line)

    def add(self, line: str) -> None:
        """Remember a line, unless it is the last one again, or too long to be typed."""
        if line != self._last and _is_fit(line):
            self._offer(line)
            with suppress(OSError):
                _write(self._path, [line])

    def _offer(self, line: str) -> None:
        self._last = line
        with suppress(ImportError, UnicodeEncodeError):  # an encoding other than when it was typed
            import readline

            readline.add_history(line)

    def _read(self) -> list[str]:
        with suppress(OSError):
            lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
            kept = list(filter(_is_fit, lines))[-_MOST_LINES:]
            if len(lines) - 1 > _MOST_LINES:
                with whole_file(self._path) as file:
                    os.fchmod(file.fileno(), 0o600)
                    file.write(_text(kept))
            return kept
        return []


def _write(path: Path, lines: list[str]) -> None:
    """Put lines at the end of a file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(_text(lines))


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _is_fit(line: str) -> bool:
    # A file from elsewhere may hold anything; what is not printable readline would not take, or the terminal obey.
    return line.isprintable() and 0 < len(line) <= _LONGEST_LINE

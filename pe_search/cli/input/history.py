"""What was typed before, for the arrow keys: in this conversation, and in readline's file from one to the next."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_MOST_LINES = 1_000
_LONGEST_LINE = 1_000


class History:
    """Lines for the arrow keys.

    The file keeps the last 1,000 lines, and only its user may read it. If it can't be read or written, lines last as
    long as the conversation. Without readline the arrow keys do nothing, or what the terminal makes of them; on Windows
    that keeps the lines of a conversation by itself.

    Args:
        path: The file; made if need be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if sys.platform == "win32":
            return
        with suppress(ImportError, OSError):
            import readline

            readline.set_auto_history(False)
            readline.set_history_length(_MOST_LINES)
            readline.read_history_file(path)
            # The file may hold anything, and the terminal would obey what is not printable.
            for position in reversed(range(readline.get_current_history_length())):
                if not _is_fit(readline.get_history_item(position + 1)):
                    readline.remove_history_item(position)

    def add(self, line: str) -> None:
        """Remember a line, unless it is the last one again, or is no line that can be typed."""
        if sys.platform == "win32":
            return
        with suppress(ImportError, OSError, UnicodeEncodeError):
            import readline

            if _is_fit(line) and line != readline.get_history_item(readline.get_current_history_length()):
                readline.add_history(line)
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._path.touch(mode=0o600)
                self._path.chmod(0o600)
                if hasattr(readline, "append_history_file"):
                    readline.append_history_file(1, self._path)
                else:  # libedit
                    readline.write_history_file(self._path)


def _is_fit(line: str) -> bool:
    return line.isprintable() and 0 < len(line) <= _LONGEST_LINE

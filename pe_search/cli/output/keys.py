"""Single keys, as they are pressed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KeyWithin = Callable[[float], str | None]
"""The next key that is pressed within some seconds, in lower case; None if none is."""

_LOOKS_PER_S = 20


@contextmanager
def pressed_keys() -> Iterator[KeyWithin | None]:
    """Have keys come in as they are pressed, and not be shown; yields None where stdin is no terminal."""
    if not sys.stdin.isatty():
        yield None
    elif sys.platform == "win32":
        yield _key_on_windows
    else:
        import termios
        import tty

        before = termios.tcgetattr(sys.stdin)
        try:
            tty.setcbreak(sys.stdin, termios.TCSANOW)
            yield _key
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _key(seconds: float) -> str | None:
    import select

    if not select.select([sys.stdin], [], [], seconds)[0]:
        return None
    # Past Python's buffer, of which select knows nothing.
    pressed = os.read(sys.stdin.fileno(), 1)
    if pressed == b"\x1b":  # an arrow key and the like: what follows is no key of its own
        while select.select([sys.stdin], [], [], 0)[0] and os.read(sys.stdin.fileno(), 64):
            pass
    return pressed.decode(errors="replace").lower() if pressed else None


if sys.platform == "win32":

    def _key_on_windows(seconds: float) -> str | None:
        import msvcrt

        deadline_s = time.monotonic() + seconds
        while not msvcrt.kbhit():
            if time.monotonic() >= deadline_s:
                return None
            time.sleep(1 / _LOOKS_PER_S)
        pressed = msvcrt.getwch()
        if pressed == "\x03":
            raise KeyboardInterrupt
        if pressed in ("\0", "\xe0"):  # an arrow key; the second half says which
            msvcrt.getwch()
            return None
        return pressed.lower()

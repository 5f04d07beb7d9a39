"""Open clips, and nothing that only looks like one."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from pe_search.errors import AudioError


def open_clip(path: Path) -> BinaryIO:
    """Open a regular file to read, unbuffered.

    Raises:
        AudioError: If it can't be opened, or is no regular file.
    """
    try:
        # A pipe that took the file's place would otherwise keep the reader waiting for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise unreadable(path, error) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise AudioError(path, "Is a directory" if stat.S_ISDIR(mode) else "not a regular file", may_pass=True)
    return os.fdopen(descriptor, "rb", buffering=0)


def unreadable(path: Path, error: OSError) -> AudioError:
    """What the system says of a file that it can't read; another time it may."""
    return AudioError(path, error.strerror or str(error), may_pass=True)

"""A download with bounds: of what may be sent, of how long that takes, and of the room that it leaves on the disk."""

from __future__ import annotations

import shutil
import tempfile
import time
from typing import IO

_LEAST_FREE_BYTES = 512 << 20
_LOOK_EVERY_BYTES = 64 << 20
_LEAST_A_MINUTE_BYTES = 512 << 10
# Of what doesn't say how long it is, as radio on the web.
_MOST_UNTOLD_BYTES = 4 << 30
_LONGEST_UNTOLD_S = 3_600.0


class Download:
    """What is written of a download.

    Args:
        file: Where it goes.
        size_bytes: How long it is; None if that is not known.

    Raises:
        OSError: If there is no room for it.
    """

    def __init__(self, file: IO[bytes], size_bytes: int | None) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._written_bytes = 0
        self._began_s = self._minute_s = time.monotonic()
        self._in_minute_bytes = 0
        self._refuse_without_room(size_bytes or 0)

    def write(self, block: bytes) -> None:
        """Write more of it.

        Raises:
            OSError: If it is longer than it said, takes too long, or leaves no room.
        """
        self._written_bytes += len(block)
        self._in_minute_bytes += len(block)
        now_s = time.monotonic()
        if self._size_bytes is not None and self._written_bytes > self._size_bytes:
            raise OSError(f"is longer than the {self._size_bytes:,} bytes that it is said to have")
        if self._size_bytes is None and self._written_bytes > _MOST_UNTOLD_BYTES:
            raise OSError(f"doesn't end after {_MOST_UNTOLD_BYTES >> 30} GiB, and doesn't say how long it is")
        if self._size_bytes is None and now_s - self._began_s > _LONGEST_UNTOLD_S:
            raise OSError("doesn't end after an hour, and doesn't say how long it is")
        if now_s - self._minute_s > 60:
            if self._in_minute_bytes < _LEAST_A_MINUTE_BYTES:
                raise OSError(f"is sent too slowly: {self._in_minute_bytes:,} bytes in a minute")
            self._minute_s, self._in_minute_bytes = now_s, 0
            self._refuse_without_room(0)
        elif self._written_bytes // _LOOK_EVERY_BYTES != (self._written_bytes - len(block)) // _LOOK_EVERY_BYTES:
            self._refuse_without_room(0)
        self._file.write(block)

    def _refuse_without_room(self, needed_bytes: int) -> None:
        folder = tempfile.gettempdir()
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes - needed_bytes < _LEAST_FREE_BYTES:
            size_bytes = needed_bytes or self._written_bytes
            reason = f"{size_bytes:,} bytes are too many for {folder}, where {free_bytes:,} are free"
            raise OSError(f"{reason}; set TMPDIR to a folder with more room")

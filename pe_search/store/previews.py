"""What was drawn and made playable of clips, kept beside the catalog: a folder of the store, which goes when it goes.

Any file in it may be deleted at any time, and is made again. A store may come from anyone, so what is read is a regular
file of that folder, and no larger than what could have been written.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from pe_search.drafts import whole_file
from pe_search.store.files import open_regular

PREVIEWS_FOLDER = "previews"
_MOST_BYTES = 256_000_000
# What is deleted at once when it is full, so that not each new one has the folder gone through.
_SHARE_KEPT = 0.75


class Previews:
    """The folder.

    Args:
        directory: The store's.
        most_bytes: How much it may hold.
    """

    def __init__(self, directory: Path, most_bytes: int = _MOST_BYTES) -> None:
        self._folder = directory / PREVIEWS_FOLDER
        self._most_bytes = most_bytes

    def get(self, key: tuple[object, ...]) -> bytes | None:
        """What is kept under a key; None if nothing is."""
        if not self._is_ours():
            return None
        try:
            with open_regular(self._place(key)) as file:
                kept = file.read(self._most_bytes + 1)
            # The ones that were asked for last stay longest.
            os.utime(self._place(key))
        except OSError:
            return None
        return kept if 0 < len(kept) <= self._most_bytes else None

    def put(self, key: tuple[object, ...], made: bytes) -> None:
        """Keep something, as far as that can be done: a store may be on a disk that is full or can't be written."""
        if len(made) > self._most_bytes * _SHARE_KEPT:
            return
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            if not self._is_ours():
                return
            with whole_file(self._place(key)) as file:
                file.write(made)
            self._make_room()

    def _place(self, key: tuple[object, ...]) -> Path:
        return self._folder / blake2b(repr(key).encode(), digest_size=16).hexdigest()

    def _is_ours(self) -> bool:
        """Whether it is a folder, and no link to another one."""
        try:
            return stat.S_ISDIR(os.lstat(self._folder).st_mode)
        except OSError:
            return False

    def _make_room(self) -> None:
        with os.scandir(self._folder) as entries:
            files = [(entry.stat(follow_symlinks=False), entry.path) for entry in entries if entry.is_file()]
        held = sum(status.st_size for status, _ in files)
        if held <= self._most_bytes:
            return
        for status, path in sorted(files, key=lambda file: file[0].st_mtime_ns):
            if held <= self._most_bytes * _SHARE_KEPT:
                return
            with suppress(OSError):
                Path(path).unlink()
                held -= status.st_size

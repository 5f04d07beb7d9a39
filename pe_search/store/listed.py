"""Which paths came into a store by a list, so that what leaves the list can leave the store.

A small file of its own, that only `pe-search index` needs. If it is lost, what came by lists stays until it is removed.
It begins with a checksum: a path that a disk has changed would have `--prune` remove what is on a list.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from pathlib import Path

from pe_search.directories import command_for
from pe_search.drafts import whole_file
from pe_search.errors import StoreError
from pe_search.store.files import LISTED_FILE, open_regular


class ListedPaths:
    """Absolute paths of the files and folders that lists named, each ended by a NUL byte, in a file.

    Args:
        directory: The store's.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / LISTED_FILE

    def read(self) -> frozenset[str]:
        """The paths; none if there is no file.

        Raises:
            StoreError: If it is damaged, or can't be read.
        """
        try:
            with open_regular(self._file) as file:
                content = file.read()
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise StoreError(f"{self._file} can't be read: {error.strerror or error}.") from error
        heading, _, paths = content.partition(b"\0")
        if heading != _heading(paths):
            raise StoreError(
                f"{self._file} is damaged. Delete it and run the same command again. Clips of earlier lists then stay "
                f"in the store until {command_for('remove PATH', self._file.parent)} removes them."
            )
        return frozenset(map(os.fsdecode, paths.split(b"\0")[:-1]))

    def write(self, paths: Iterable[str]) -> None:
        """Replace them, whole or not at all. Nothing is written if they are the same. For the store's writer only.

        Raises:
            StoreError: If the disk is full or can't be written to.
        """
        paths = frozenset(paths)
        try:
            if paths != self.read():
                content = b"".join(path + b"\0" for path in sorted(map(os.fsencode, paths)))
                with whole_file(self._file) as file:
                    file.write(_heading(content) + b"\0" + content)
        except OSError as error:
            raise StoreError(f"{self._file} can't be written: {error.strerror or error}.") from error


def _heading(paths: bytes) -> bytes:
    return b"pe-search paths %08x" % zlib.crc32(paths)

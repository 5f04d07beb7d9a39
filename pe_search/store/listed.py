"""Which paths came into a store by a list, so that what leaves the list can leave the store.

A small file of its own, that only `pe-search index` needs. If it is lost, what came by lists stays until it is removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

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
            OSError: If it can't be read.
        """
        try:
            with open_regular(self._file) as file:
                content = file.read()
        except FileNotFoundError:
            return frozenset()
        return frozenset(os.fsdecode(path) for path in content.split(b"\0")[:-1] if path)

    def write(self, paths: Iterable[str]) -> None:
        """Replace them, whole or not at all. Nothing is written if they are the same. For the store's writer only.

        Raises:
            StoreError: If the disk is full or can't be written to.
        """
        paths = frozenset(paths)
        try:
            if paths != self.read():
                with whole_file(self._file) as file:
                    file.writelines(path + b"\0" for path in sorted(map(os.fsencode, paths)))
        except OSError as error:
            raise StoreError(f"{self._file} can't be written: {error.strerror or error}.") from error

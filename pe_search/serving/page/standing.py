"""What a store holds, read once after each commit: in a large store, all else of the first view takes less time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pe_search.library import Library
    from pe_search.reports import Status


@dataclass(frozen=True, slots=True)
class Standing:
    """What a store holds.

    Attributes:
        mark: What tells this state of the store from any other.
    """

    mark: str
    status: Status
    tags: dict[str, int]


class Standings:
    """The last standing of each store."""

    def __init__(self) -> None:
        self._last: dict[Path, Standing] = {}

    def of(self, library: Library) -> list[Standing]:
        """How each store stands that a library has open.

        Raises:
            StoreError: If one can't be read.
        """
        return [self._of_one(one) for one in library.stores]

    def _of_one(self, library: Library) -> Standing:
        mark, last = library.mark(), self._last.get(library.directory)
        if last is None or last.mark != mark:
            self._last[library.directory] = last = Standing(mark, library.status(), library.tags())
        return last


def sum_of_tags(tags: Iterable[dict[str, int]]) -> dict[str, int]:
    """How many clips of all stores have each tag, in order of the tags."""
    counts = Counter[str]()
    for one in tags:
        counts.update(one)
    return dict(sorted(counts.items()))

"""What a store holds, read once after each commit: in a large store, all else of the first view takes less time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """The last standing of a store."""

    def __init__(self) -> None:
        self._last: Standing | None = None

    def of(self, library: Library) -> Standing:
        """How the store stands that a library has open.

        Raises:
            StoreError: If it can't be read.
        """
        mark, last = library.mark(), self._last
        if last is None or last.mark != mark:
            self._last = last = Standing(mark, library.status(), library.tags())
        return last

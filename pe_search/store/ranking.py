"""Make matches of what a search of vectors came to: look up the clips, and look on until the order is settled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pe_search.store.catalog import Catalog

if TYPE_CHECKING:
    from pe_search.known.words import Word
    from pe_search.queries import Filters, Match, Matches
    from pe_search.store.index import Found
    from pe_search.store.lookup import Lookup
    from pe_search.store.windows import Subset

# How many windows to look for at first, for each match that is wanted; and how much wider to look when clips that show
# once, or equal scores, or windows that are gone, leave the answer open.
WIDENING = 4
_PLACES_AT_FIRST = 2


class Placed(NamedTuple):
    """A match, with the ids of its window and of its content."""

    match: Match
    window_id: int
    content_id: int


class Choosing:
    """Chooses the windows that a query is about.

    Args:
        catalog: The store's.
        directory: Where the lookup is kept.
    """

    def __init__(self, catalog: Catalog, directory: Path) -> None:
        self._catalog = catalog
        self._directory = directory
        self._lookup: Lookup | None = None

    @property
    def lookup(self) -> Lookup:
        """What is known of the clips, for those queries that ask for it."""
        if self._lookup is None:
            from pe_search.store.lookup import Lookup

            self._lookup = Lookup(self._catalog, self._directory)
        return self._lookup

    def close(self) -> None:
        """Close the files that were opened."""
        if self._lookup is not None:
            self._lookup.close()

    def subset(self, under: Path | None, filters: Filters | None, excluded: Sequence[Word] = ()) -> Subset | None:
        """The windows below a path that pass filters, of clips without some words; None if all are meant."""
        if filters or excluded:
            from pe_search.queries import Filters

            return self.lookup.subset(under, filters or Filters(), excluded)
        return None if under is None else self._catalog.subset_under(under)


def ranked(
    catalog: Catalog,
    search: Callable[[int], Found],
    k: int,
    *,
    most: int,
    at_least: int,
    subset: Subset | None,
    all_windows: bool,
    on_unknown: Callable[[int], None],
    check: Callable[[list[Placed]], None],
) -> Matches:
    """The k best matches; to be used inside a `snapshot`.

    Args:
        catalog: The store's.
        search: Finds some of the best windows, which as many as are asked for.
        k: How many at most.
        most: How many windows there are to be found.
        at_least: How many to ask for, at the least.
        subset: The windows that are meant.
        all_windows: Whether a clip may show more than once.
        on_unknown: Called with each id that no window ever had.
        check: Called with what is to be the answer.
    """
    from pe_search.efforts import SearchEffort
    from pe_search.queries import Matches

    # One more than there are shows that these are all.
    wanted = min(max(WIDENING * k, at_least), most + 1)
    while True:
        found = search(wanted)
        best = np.lexsort((found.ids, -found.scores))[:wanted]
        is_all = len(best) < wanted
        effort = SearchEffort(is_exact=found.is_exact, windows_searched=found.searched, windows=most)
        # Looking up a place takes longer than finding what is there, and the first are mostly enough.
        for placed in (best[: _PLACES_AT_FIRST * k], best):
            matches = _in_order(catalog, found.scores[placed], found.ids[placed], subset, on_unknown)
            if not all_windows:
                matches = _best_of_each(matches)
            # Nothing that was not looked up can score above the last that was, so beyond it the answer is settled.
            is_whole = is_all and len(placed) == len(best)
            is_settled = len(matches) >= k and (
                is_whole or matches[k - 1].match.score > max(found.scores[placed[-1]], found.others_up_to)
            )
            if is_settled or (is_whole and found.is_exact):
                check(matches[:k])
                return Matches(tuple(one.match for one in matches[:k]), effort)
        wanted *= WIDENING


def _in_order(
    catalog: Catalog,
    scores: NDArray[np.float32],
    ids: NDArray[np.int64],
    subset: Subset | None,
    on_unknown: Callable[[int], None],
) -> list[Placed]:
    """Matches, best first."""
    from pe_search.queries import Match

    window_ids = [int(window_id) for window_id in ids]
    if subset is None:
        places = catalog.places(window_ids, on_unknown=on_unknown)
    else:
        places = catalog.places(window_ids, subset.has, on_unknown=on_unknown)
    matches = []
    for score, window_id in zip(scores, ids, strict=True):
        # Every clip with the same content has the window; one that left after the index was made has no place.
        in_clips = sorted(places.get(int(window_id), ()), key=lambda place: bytes(place.path))
        for place in in_clips[:1]:
            copies = tuple(other.path for other in in_clips[1:])
            match = Match(place.path, place.start_s, place.end_s, float(score), copies)
            matches.append(Placed(match, int(window_id), place.content_id))
    return sorted(matches, key=lambda one: (-one.match.score, bytes(one.match.path), one.match.start_s))


def _best_of_each(matches: Iterable[Placed]) -> list[Placed]:
    """The best match of each content. Of clips of the same bytes, other windows of each may pass filters."""
    best: dict[int, Placed] = {}
    for one in matches:
        best.setdefault(one.content_id, one)
    return list(best.values())

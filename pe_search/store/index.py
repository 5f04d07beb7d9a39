"""The index of a store: its embeddings as one mapped array, in which FAISS's kernels search.

The rows of the array are in lists. Up to some hundred thousand windows there is one list of them all, and a search goes
through it from end to end. Past that there is a list for each of FAISS's k-means centroids, with the windows whose
direction is nearest to it (by their places, short ones would all be near each other, in one list), and an approximate
search goes through those lists alone whose centroids have the highest inner products with the query. So both kinds of
search calculate the same scores from the same array, and none need be ranked again.

Nothing here is trusted. What a query uses of the file is checked against its size; all but the vectors, and of these as
much as costs next to nothing, against checksums, each once while the file is open; and `Store` checks what it finds
against the catalog. So a damaged vector can't make a wrong hit. That it hides one is noticed by each search that goes
through no more than 40 MB of vectors (20,000 windows of PE Audio), by one of several that go through more, and by
`Index.check`, which each run that writes calls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.store.blocks import Checks
from pe_search.store.kernels import best_among, best_rows
from pe_search.store.tensors import map_checked

LAYOUT = "pe-search index 2"
# As the one after it, without checksums; it is used until it is made again.
_LAYOUT_BEFORE = "pe-search index 1"
# What one search compares with its checksums: more would take longer than 3 % of a search of a million windows.
_CHECKED_BYTES = 40_000_000
# For how many of the best windows it is tried out in how many lists they are, and how that is called in the file. The
# best among few windows are as far apart as more of all.
DEPTHS = (10, 100, 1_000)
PROBES = ("probes", "probes_100", "probes_1000")
# All of so few windows are gone through whatever lists there are.
_FEW_ROWS = 2_048
# How many ids there may be for each window for a table of all of them.
_IDS_PER_ROW = 16
# Going to a list of its own costs about as much as going through it, or a little more.
_LIST_COSTS = 3


@dataclass(frozen=True, slots=True)
class Found:
    """What a search of an index came to.

    Attributes:
        scores: float32, best first.
        ids: Of the windows.
        searched: How many windows the search went through.
        is_exact: Whether no other window can be among the best.
        others_up_to: What a window that was not found may score, where that isn't told by the last that was.
    """

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]
    searched: int
    is_exact: bool
    others_up_to: float = -math.inf


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of an index: those that a search is about.

    Attributes:
        rows: Ascending.
        bounds: The place in `rows` of the first one of each list, and after them the number of rows.
    """

    rows: NDArray[np.int64]
    bounds: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Index:
    """A file of embeddings, mapped. Make one with `making.make_index`, open it with `open_index`.

    Attributes:
        ids: Window ids by row.
        by_id: Rows in order of their ids.
        vectors: float16 of shape (windows, dimension).
        starts: First row of each list, and after them the number of windows.
        centroids: Of the windows' directions, float16 of shape (lists, dimension); none if there is one list of all.
        up_to: The last window id that it covers; whatever the catalog has up to it is here.
        probes: How many lists to go through for as many best windows as `DEPTHS` has; an older pe-search knew it for
            the first of them alone.
        trained_on: How many windows there were when the centroids were made.
        checks: What the file is compared with; None if it has no checksums.
    """

    ids: NDArray[np.int64]
    by_id: NDArray[np.int64]
    vectors: NDArray[np.float16]
    starts: NDArray[np.int64]
    centroids: NDArray[np.float16]
    up_to: int
    probes: tuple[int, ...]
    trained_on: int
    checks: Checks | None

    def __len__(self) -> int:
        return len(self.ids)

    def search(
        self,
        query: NDArray[np.float32],
        k: int,
        *,
        like: NDArray[np.float32] | None = None,
        among: Rows | NDArray[np.int64] | None = None,
        exact: bool = False,
    ) -> Found:
        """The best windows for one query, best first.

        Args:
            query: float32 of shape (dimension,).
            k: How many at most.
            like: As in `best_rows`. The search is exact then: lists are chosen, and their number tried out, for inner
                products.
            among: What to choose from, as `rows_among` has it, or window ids, ascending; all if None.
            exact: Whether to go through all windows whatever their number.

        Raises:
            ValueError: If the file turns out to be damaged.
        """
        if among is not None:
            try:
                rows = among if isinstance(among, Rows) else self.rows_among(among)
                return self._search_among(query, k, rows, like, exact=exact)
            except IndexError as error:
                raise ValueError("its windows are not where it says") from error
        lists = len(self.centroids)
        # The more are wanted, the more lists they are spread over.
        probes = math.ceil(self.probes[0] * max(1.0, k / DEPTHS[0]))
        if exact or like is not None or _LIST_COSTS * probes >= lists:
            self._check_vectors([(0, len(self))])
            scores, best = best_rows(self.vectors, query, k, like=like)
            return Found(scores, self.ids[best], len(self), is_exact=True)
        _, nearby = best_rows(self.centroids, query, probes)
        stretches = [(int(self.starts[which]), int(self.starts[which + 1])) for which in nearby]
        self._check_vectors(stretches)
        scores, best = best_rows(self.vectors, query, k, stretches)
        return Found(scores, self.ids[best], sum(stop - start for start, stop in stretches), is_exact=False)

    def rows_among(self, ids: NDArray[np.int64]) -> Rows:
        """The rows of those windows of some, by their ids, ascending, that it covers.

        Raises:
            ValueError: If the file turns out to be damaged.
        """
        try:
            if self.checks is not None and self.up_to <= _IDS_PER_ROW * len(self):
                is_among = np.zeros(self.up_to + 1, np.bool_)
                is_among[ids[: np.searchsorted(ids, self.up_to, side="right")]] = True
                rows = np.flatnonzero(is_among[self.ids])
            else:
                rows = np.sort(self._rows_of(ids))
        except IndexError as error:
            raise ValueError("its windows are not where it says") from error
        return Rows(rows, np.searchsorted(rows, self.starts))

    def _search_among(
        self, query: NDArray[np.float32], k: int, among: Rows, like: NDArray[np.float32] | None, *, exact: bool
    ) -> Found:
        nearby = None if exact or like is not None else self._lists_nearby(query, k, among)
        rows = among.rows
        if nearby is not None:
            rows = np.concatenate([rows[among.bounds[which] : among.bounds[which + 1]] for which in np.sort(nearby)])
        self._check_vectors(_together(rows))
        scores, best = best_among(self.vectors, query, k, rows, like=like)
        return Found(scores, self.ids[best], len(rows), is_exact=nearby is None)

    def _lists_nearby(self, query: NDArray[np.float32], k: int, among: Rows) -> NDArray[np.int64] | None:
        """The lists to go through for the best of some windows; None if all of these may as well be gone through."""
        filled = np.flatnonzero(np.diff(among.bounds))
        if not len(self.centroids) or len(among.rows) <= _FEW_ROWS:
            return None
        # The best of some lie as far apart as more of all do.
        deeper = self._lists_at(DEPTHS[0] * len(self) / len(among.rows)) / self.probes[0]
        probes = math.ceil(self.probes[0] * max(1.0, k / DEPTHS[0]) * deeper)
        if _LIST_COSTS * probes >= len(filled):
            return None
        return best_among(self.centroids, query, probes, filled)[1]

    def _lists_at(self, depth: float) -> float:
        """How many lists have so many of the best windows: between what was tried out, and beyond it in proportion."""
        known = np.maximum.accumulate(self.probes)
        depths = DEPTHS[: len(known)]
        beyond = max(1.0, depth / depths[-1])
        return beyond * float(np.exp(np.interp(np.log(depth), np.log(depths), np.log(known))))

    def check(self) -> None:
        """Compare the whole file with its checksums.

        Raises:
            ValueError: If it is damaged.
        """
        if self.checks is not None:
            self.checks.check_rest()

    def _check_vectors(self, stretches: Sequence[tuple[int, int]] | NDArray[np.int64]) -> None:
        if self.checks is not None:
            row_bytes = 2 * self.vectors.shape[1]
            self.checks.check(np.asarray(stretches, np.int64) * row_bytes, most_bytes=_CHECKED_BYTES)

    def lists_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The list of each of the given windows, of shape (windows,); -1 for one that is not here."""
        lists = np.full(len(ids), -1, np.int64)
        places, is_here = self._look_up(ids)
        lists[is_here] = np.searchsorted(self.starts, self.by_id[places[is_here]], side="right") - 1
        return np.minimum(lists, len(self.starts) - 2)

    def _rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        places, is_here = self._look_up(ids)
        return self.by_id[places[is_here]]

    def _look_up(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Places of window ids in `by_id`, and whether they are there."""
        places = np.searchsorted(self.ids, ids, sorter=self.by_id)
        is_here = places < len(self)
        is_here[is_here] = self.ids[self.by_id[places[is_here]]] == ids[is_here]
        return places, is_here


def open_index(path: Path, catalog_id: str, dimension: int) -> Index | None:
    """Map an index; return None where there is none, or one of another catalog. The vectors are not read.

    Raises:
        ValueError: If the file is damaged.
        OSError: If it can't be read.
    """
    try:
        tensors, metadata, checks = map_checked(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if metadata.get("layout") != (_LAYOUT_BEFORE if checks is None else LAYOUT):
        raise ValueError("it is not laid out as an index")
    if metadata.get("catalog") != catalog_id:
        return None
    try:
        numbers: dict[str, Any] = {name: int(metadata[name]) for name in ("up_to", "trained_on")}
        numbers["probes"] = tuple(int(metadata[name]) for name in PROBES if name == PROBES[0] or name in metadata)
        windows, lists = tensors["ids"].size, tensors["starts"].size - 1
        shapes = {
            "ids": (np.int64, (windows,)),
            "by_id": (np.int64, (windows,)),
            "vectors": (np.float16, (windows, dimension)),
            "starts": (np.int64, (lists + 1,)),
            "centroids": (np.float16, (lists if lists > 1 else 0, dimension)),
        }
        for name, (dtype, shape) in shapes.items():
            if tensors[name].dtype != dtype or tensors[name].shape != shape:
                raise ValueError(f"its {name} have the wrong shape")
        index = Index(**{**numbers, **tensors}, checks=checks)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it lacks something, or has too much: {error}") from error
    if checks is not None:
        # The vectors come first.
        checks.check([(index.vectors.nbytes, sum(array.nbytes for array in tensors.values()))])
    # A list that ended beyond the last row would have FAISS read beyond the end of the file.
    starts = index.starts
    if lists < 1 or starts[0] != 0 or starts[-1] != windows or (starts[1:] < starts[:-1]).any():
        raise ValueError("its lists don't make up its windows")
    if min(index.probes) < 1:
        raise ValueError("it has no number of lists to go through")
    return index


def _together(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows, ascending, as stretches: of shape (stretches, 2), the first of each and the one past the last."""
    ends = np.flatnonzero(np.diff(rows) != 1)
    firsts = np.concatenate([rows[:1], rows[ends + 1]])
    return np.stack([firsts, np.concatenate([rows[ends], rows[-1:]]) + 1], axis=1)

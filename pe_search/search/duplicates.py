"""The clips of a store become groups that sound the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.audio.find import is_under
from pe_search.queries import Duplicate, Filters
from pe_search.records import Clip
from pe_search.store import Store

# So many clips are compared with all others at once, at most, and fewer where the others are very many: a byte for each
# pair, 64 MB in all.
_FIRSTS_AT_ONCE = 1_024
_PAIRS_AT_ONCE = 1 << 26
_ROWS_AT_ONCE = 4_096
# How much the cosine of two embeddings may come out differently where many are calculated at once.
_ROUNDING = 1e-5


def find_duplicates(
    store: Store,
    threshold: float,
    *,
    under: Path | None = None,
    filters: Filters | None = None,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> Iterator[list[Duplicate]]:
    """Yield the groups of clips that sound the same, each group and the clips in it in order of path.

    Two clips sound the same if nothing in either is unlike the other: where both have as many windows, each window is
    compared with the one in the same place, and otherwise with the window of the other clip that is most like it; the
    lowest of these cosines is that of the clips. Clips of the same bytes sound the same whatever the threshold.

    A clip that is in no group yet begins one, and every later clip that sounds the same as this first one joins it,
    unless it is in one already. So the first stands for all of them, which it would not if clips were joined in chains,
    each like the next, and the last unlike the first.

    All embeddings are held at once, at two bytes a number; the time grows with the square of the number of clips.

    Args:
        store: Whose clips are compared. It is only read.
        threshold: The lowest cosine of clips in one group, −1 to 1.
        under: A clip, or a folder that the clips must be below; absolute.
        filters: Which clips are compared: all windows of those of which one passes.
        on_progress: Called now and then with the share of the clips that were compared with all others, 0 to 1.
    """
    if not -1 <= threshold <= 1:
        raise ValueError(f"threshold={threshold:g} must be -1 to 1")
    shelf = _fill_shelf(store, under, filters)
    count = len(shelf.paths)
    first_of = np.full(count, -1)
    cosines = np.ones(count)
    done = 0
    while done < count:
        at_once = max(1, min(_FIRSTS_AT_ONCE, _PAIRS_AT_ONCE // count))
        firsts = done + np.flatnonzero(first_of[done:] < 0)[:at_once]
        for first, is_candidate in zip(firsts, shelf.candidates(firsts, threshold), strict=True):
            if first_of[first] >= 0:
                continue
            first_of[first] = first
            others = first + 1 + np.flatnonzero(is_candidate[first + 1 :] & (first_of[first + 1 :] < 0))
            found = shelf.cosines(first, others)
            is_same = found >= threshold
            first_of[others[is_same]], cosines[others[is_same]] = first, found[is_same]
        done = int(firsts[-1]) + 1 if len(firsts) else count
        on_progress(done / count)
    by_group = np.argsort(first_of, kind="stable")
    for members in np.split(by_group, 1 + np.flatnonzero(np.diff(first_of[by_group]))):
        group = [
            Duplicate(path, float(cosines[member]), is_same_bytes=bool(member == members[0]))
            for member in members
            for path in shelf.paths[member]
        ]
        if len(group) > 1:
            yield sorted(group, key=lambda duplicate: bytes(duplicate.path))


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The different contents of some clips, in order of their first paths.

    Attributes:
        paths: Of each content, the clips that have it.
        vectors: float16 of shape (windows, dimension), those of one content after those of the other.
        lengths: Of the vectors.
        starts: First row of each content, and after them the number of windows.
    """

    paths: list[list[Path]]
    vectors: NDArray[np.float16]
    lengths: NDArray[np.float32]
    starts: NDArray[np.int64]

    def candidates(self, firsts: NDArray[np.int64], threshold: float) -> NDArray[np.bool_]:
        """Which contents may reach the threshold with which of the firsts, by these ones' first windows alone.

        Returns:
            Shape (firsts, contents); false for all that come before the firsts.
        """
        counts = np.diff(self.starts)
        content_of = np.repeat(np.arange(len(counts)), counts)
        is_candidate = np.zeros((len(firsts), len(counts)), bool)
        if not len(firsts):
            return is_candidate
        queries = self._directions(self.starts[firsts])
        for start in range(int(self.starts[firsts[0]]), len(self.vectors), _ROWS_AT_ONCE):
            rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(self.vectors)))
            near, row = np.nonzero(queries @ self._directions(rows).T >= threshold - _ROUNDING)
            content = content_of[rows[row]]
            is_in_place = rows[row] == self.starts[content]
            counts_differ = counts[content] != counts[firsts[near]]
            comparable = is_in_place | counts_differ
            is_candidate[near[comparable], content[comparable]] = True
        return is_candidate

    def cosines(self, one: int, others: NDArray[np.int64]) -> NDArray[np.float64]:
        """The lowest cosine of what is compared of a content and each of some others, see `find_duplicates`.

        Returns:
            Shape (others,).
        """
        cosines = np.ones(len(others))
        counts = self.starts[others + 1] - self.starts[others]
        windows = self._directions(np.arange(self.starts[one], self.starts[one + 1]))
        compare = {True: self._in_place, False: self._each_with_its_like}
        for is_as_many in (True, False):
            places = np.flatnonzero((counts == len(windows)) == is_as_many)
            # As many contents at once as a block has room for, and one at least.
            ends = np.cumsum(counts[places])
            while len(places):
                at_once = max(1, int(np.searchsorted(ends, _ROWS_AT_ONCE, side="right")))
                cosines[places[:at_once]] = compare[is_as_many](windows, others[places[:at_once]])
                places, ends = places[at_once:], ends[at_once:] - ends[at_once - 1]
        return np.minimum(cosines, 1.0)

    def _in_place(self, windows: NDArray[np.float32], others: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of contents that have as many windows: the lowest cosine of two in the same place."""
        rows = self.starts[others, None] + np.arange(len(windows))
        directions = self._directions(rows.ravel()).reshape(*rows.shape, -1)
        cosines: NDArray[np.float32] = np.einsum("ij,kij->ki", windows, directions).min(axis=1)
        return cosines

    def _each_with_its_like(self, windows: NDArray[np.float32], others: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of any contents: the lowest cosine of a window, of either, and the one of the other that is most like it."""
        counts = self.starts[others + 1] - self.starts[others]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        rows = np.repeat(self.starts[others] - starts, counts) + np.arange(counts.sum())
        directions = self._directions(rows)
        lowest = np.ones(len(others), np.float32)
        best_of_others = np.full(len(rows), -1.0, np.float32)
        for start in range(0, len(windows), _FIRSTS_AT_ONCE):
            table = windows[start : start + _FIRSTS_AT_ONCE] @ directions.T
            np.minimum(lowest, np.maximum.reduceat(table, starts, axis=1).min(axis=0), out=lowest)
            np.maximum(best_of_others, table.max(axis=0), out=best_of_others)
        return np.minimum(lowest, np.minimum.reduceat(best_of_others, starts))

    def _directions(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of some rows at unit length; one that is zero stays so, and is like nothing."""
        lengths = self.lengths[rows, None]
        directions = self.vectors[rows].astype(np.float32)
        np.divide(directions, lengths, out=directions, where=lengths > 0)
        return directions


def _fill_shelf(store: Store, under: Path | None, filters: Filters | None) -> _Shelf:
    content_of: dict[bytes, int] = {}
    paths: list[list[Path]] = []
    starts = [0]
    with store.catalog.snapshot():
        passing = {clip.path for clip in store.clips(under, filters)} if filters else None

        def is_wanted(clip: Clip) -> bool:
            if passing is not None:
                return clip.path in passing
            return under is None or is_under(str(clip.path), {str(under)})

        # As many as there can be; what turns out not to be needed is never touched, and takes no memory.
        vectors = np.empty((store.catalog.holdings().windows, store.manifest.dimension), np.float16)
        for clip, content in store.embedded_clips(is_wanted):
            if content.digest not in content_of:
                content_of[content.digest] = len(paths)
                paths.append([])
                vectors[starts[-1] : starts[-1] + len(content.embeddings)] = content.embeddings
                starts.append(starts[-1] + len(content.embeddings))
            paths[content_of[content.digest]].append(clip.path)
    vectors = vectors[: starts[-1]]
    lengths = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        stop = start + _ROWS_AT_ONCE
        lengths[start:stop] = np.linalg.norm(vectors[start:stop].astype(np.float32), axis=1)
    return _Shelf(paths, vectors, lengths, np.array(starts))

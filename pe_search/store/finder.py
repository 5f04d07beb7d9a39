"""Find the best windows of a catalog: through the index for those that it covers, in the catalog for those since."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pe_search.drafts import drop_left_over
from pe_search.errors import StoreError
from pe_search.records import Problem
from pe_search.store.catalog import Catalog
from pe_search.store.files import INDEX_FILE
from pe_search.store.index import Found, Index, Rows, open_index
from pe_search.store.kernels import best_rows
from pe_search.store.making import LISTS_FROM, make_index
from pe_search.store.ranking import Choosing, Placed, ranked

if TYPE_CHECKING:
    from pe_search.known.words import Word
    from pe_search.queries import Filters, Matches

# How many windows to look for at the least.
_AT_LEAST = 64
# Windows past the index are read from the catalog by each query. While a run adds more, the index is made again when
# they are this many, or this share of what it covers; at the end of a run, at fewer.
_TAIL_WHILE_WRITING = 5_000
_TAIL_SHARE_WHILE_WRITING = 1 / 50
_TAIL_AT_REST = 1_000
_TAIL_SHARE_AT_REST = 1 / 100


class _IndexDamagedError(StoreError):
    """The index is not what the catalog says it should be."""


class Finder(Choosing):
    """Answers queries for a store, and keeps its index.

    The index covers the windows up to some id. Ids only ever grow, so whatever else is in the catalog has a higher one,
    and is looked at there; and what the index covers but the catalog has no more is dropped when its place is looked
    up. So an answer is always that of the last commit, however old the index is.

    Args:
        catalog: The store's.
        directory: The store's.
        dimension: Of the embeddings.
        on_problem: Called when the index is damaged.
    """

    def __init__(
        self, catalog: Catalog, directory: Path, dimension: int, on_problem: Callable[[Problem], None]
    ) -> None:
        super().__init__(catalog, directory)
        self._path = directory / INDEX_FILE
        self._dimension = dimension
        self._on_problem = on_problem
        self._opened: Index | None = None
        self._opened_state: tuple[int, int, int] | None = None
        self._is_disk_full = False
        # Of the last query: who asks for some windows mostly asks for the same again.
        self._among: tuple[Index, NDArray[np.int64], Rows] | None = None

    def best_matches(
        self,
        query: NDArray[np.float32],
        k: int | None,
        *,
        like: NDArray[np.float32] | None = None,
        under: Path | None = None,
        filters: Filters | None = None,
        excluded: Sequence[Word] = (),
        all_windows: bool = False,
        exact: bool = False,
    ) -> Matches:
        """The k best windows for an embedding, or the best window of each of the k best clips.

        A window's score is the inner product of its embedding and the query. What `like` adds is the inner product of
        its direction, the embedding at unit length, and `like`; an embedding of zeros has none, and nothing is added.
        Equal scores are ordered by path, then by time, so that the answer never depends on the order of indexing.

        Args:
            query: float32 of shape (dimension,).
            k: How many at most, at least one; None for all of them, which is exact.
            like: float32 of shape (dimension,). All windows are gone through then, as if `exact`.
            under: A clip, or a folder that the clips must be below; absolute.
            filters: Which of the clips and windows may be matches.
            excluded: Words that the clips don't have in their names and so on.
            all_windows: Whether a clip may show more than once.
            exact: Whether to go through all windows, however many there are.
        """
        k, exact = (sys.maxsize, True) if k is None else (k, exact)
        wherein = under, filters, excluded
        index = self._index()
        if index is None and self._catalog.last_window_id() > _TAIL_WHILE_WRITING:
            # Training can wait for the next run; somebody is waiting for this answer.
            with suppress(OSError):
                self._make(None, with_lists=False)
            index = self._index()
        try:
            return self._best_matches(index, query, like, k, wherein, all_windows, exact)
        except _IndexDamagedError as error:
            return self._best_matches(self._mended(str(error)), query, like, k, wherein, all_windows, exact)

    def refresh(self) -> None:
        """Bring the lookup up to date, and make the index again if many windows have come or gone since it was made.

        A full disk is no error: queries find everything without it, only later.
        """
        self._is_disk_full = False
        drop_left_over(self._path.parent)
        self.lookup.refresh()
        index = self._checked()
        if index is not None and index.checks is not None:
            after = self._catalog.window_count(after=index.up_to)
            gone = len(index) - (self._catalog.window_count() - after)
            has_its_lists = len(index) < LISTS_FROM or len(index.centroids) > 0
            if has_its_lists and max(after, gone) <= min(_TAIL_AT_REST, len(index) * _TAIL_SHARE_AT_REST):
                return
        with suppress(OSError):
            self._make(index)

    def keep_up(self) -> None:
        """Make the index again if so many windows have come since it was made that queries get slow."""
        index = self._index()
        tail = self._catalog.last_window_id() - (0 if index is None else index.up_to)
        covered = 0 if index is None else len(index)
        if tail > max(_TAIL_WHILE_WRITING, covered * _TAIL_SHARE_WHILE_WRITING) and not self._is_disk_full:
            try:
                self._make(index)
            except OSError:
                self._is_disk_full = True

    def rebuild(self) -> None:
        """Make the index and the lookup from the catalog alone.

        Raises:
            OSError: If the disk is full or can't be written to.
        """
        drop_left_over(self._path.parent)
        self._make(None)
        self.lookup.make_again()

    def _best_matches(
        self,
        index: Index | None,
        query: NDArray[np.float32],
        like: NDArray[np.float32] | None,
        k: int,
        wherein: tuple[Path | None, Filters | None, Sequence[Word]],
        all_windows: bool,
        exact: bool,
    ) -> Matches:
        # The index was opened before this, so that it can't lack what was taken out of the catalog only afterwards.
        with self._catalog.snapshot():
            up_to = 0 if index is None else index.up_to
            if up_to > self._catalog.last_window_id():
                raise _IndexDamagedError("it covers more windows than there ever were")
            subset = self.subset(*wherein)
            among = None if subset is None else subset.ids
            rows = None if index is None or among is None else self._rows_among(index, among)
            tail_scores, tail_ids = self._tail(query, like, up_to, among)
            covered = 0 if index is None else len(index) if rows is None else len(rows.rows)

            def search(wanted: int) -> Found:
                found = _search(index, query, like, wanted, rows, exact)
                scores, ids = np.concatenate([found.scores, tail_scores]), np.concatenate([found.ids, tail_ids])
                return replace(found, scores=scores, ids=ids, searched=found.searched + len(tail_ids))

            def check(best: list[Placed]) -> None:
                self._compare_with_catalog(query, like, [one for one in best if one.window_id <= up_to])

            return ranked(
                self._catalog,
                search,
                k,
                most=covered + len(tail_ids),
                at_least=_AT_LEAST,
                subset=subset,
                all_windows=all_windows,
                on_unknown=_refuse_unknown,
                check=check,
            )

    def _rows_among(self, index: Index, ids: NDArray[np.int64]) -> Rows:
        """Where the index has some windows."""
        if self._among is None or self._among[0] is not index or self._among[1] is not ids:
            try:
                rows = index.rows_among(ids)
            except ValueError as error:
                raise _IndexDamagedError(str(error)) from error
            if len(rows.rows) != np.searchsorted(ids, index.up_to, side="right"):
                raise _IndexDamagedError("it lacks windows")
            self._among = index, ids, rows
        return self._among[2]

    def _tail(
        self,
        query: NDArray[np.float32],
        like: NDArray[np.float32] | None,
        up_to: int,
        among: NDArray[np.int64] | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and ids of all windows past the index."""
        scores: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
        ids: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        for block_ids, block in self._catalog.embeddings(after=up_to):
            if among is not None:
                places = np.minimum(np.searchsorted(among, block_ids), len(among) - 1)
                is_among = among[places] == block_ids if len(among) else np.zeros(len(block_ids), np.bool_)
                block_ids, block = block_ids[is_among], block[is_among]
            block_scores, rows = best_rows(block, query, len(block), like=like)
            scores.append(block_scores)
            ids.append(block_ids[rows])
        return np.concatenate(scores), np.concatenate(ids)

    def _compare_with_catalog(
        self,
        query: NDArray[np.float32],
        like: NDArray[np.float32] | None,
        matches: Iterable[Placed],
    ) -> None:
        score_of = {one.window_id: one.match.score for one in matches}
        ids, vectors = self._catalog.embeddings_of(sorted(score_of))
        scores, rows = best_rows(vectors, query, len(vectors), like=like)
        if {int(ids[row]): float(score) for score, row in zip(scores, rows, strict=True)} != score_of:
            raise _IndexDamagedError("it holds other embeddings than the catalog")

    def _index(self) -> Index | None:
        """The index as it is on disk now, mapped; None if there is none."""
        state = _state_of(self._path)
        if state is None or state != self._opened_state:
            self._opened, self._opened_state, self._among = None, state, None
            try:
                self._opened = open_index(self._path, self._catalog.identity, self._dimension)
            except OSError as error:
                return self._mended(error.strerror or str(error))
            except ValueError as error:
                return self._mended(str(error))
        return self._opened

    def _checked(self) -> Index | None:
        """As `_index`, with all of it compared with its checksums."""
        index = self._index()
        try:
            if index is not None:
                index.check()
        except ValueError as error:
            return self._mended(str(error))
        return index

    def _mended(self, reason: str) -> Index | None:
        """An index in place of one that is damaged; None if none can be written, or read when it was written."""
        self._on_problem(Problem(self._path, f"the index is damaged ({reason}); it is made again from the catalog"))
        self._opened = None
        try:
            self._make(None, with_lists=False)
            self._opened_state = _state_of(self._path)
            self._opened = open_index(self._path, self._catalog.identity, self._dimension)
        except OSError as error:
            self._on_problem(Problem(self._path, f"it can't be made again: {error.strerror or error}"))
        except ValueError as error:
            self._on_problem(Problem(self._path, f"it can't be made again: what was written reads otherwise ({error})"))
        return self._opened

    def _make(self, before: Index | None, *, with_lists: bool = True) -> None:
        with self._catalog.folder.staying(), self._catalog.snapshot():
            make_index(
                self._path,
                self._catalog.identity,
                self._catalog.window_count(),
                self._dimension,
                self._catalog.last_window_id(),
                self._catalog.embeddings(after=0),
                before=before,
                lists_from=LISTS_FROM if with_lists else None,
            )


def _refuse_unknown(window_id: int) -> None:
    raise _IndexDamagedError(f"no window ever was {window_id}")


def _search(
    index: Index | None,
    query: NDArray[np.float32],
    like: NDArray[np.float32] | None,
    k: int,
    among: Rows | None,
    exact: bool,
) -> Found:
    if index is None:
        return Found(np.empty(0, np.float32), np.empty(0, np.int64), 0, is_exact=True)
    try:
        return index.search(query, k, like=like, among=among, exact=exact)
    except ValueError as error:
        raise _IndexDamagedError(str(error)) from error


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns

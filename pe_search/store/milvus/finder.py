"""Find the best windows of a store in Milvus: Milvus finds candidates, and they are scored here as anywhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.store.catalog import Catalog
from pe_search.store.commits import stretches
from pe_search.store.index import Found
from pe_search.store.kernels import best_rows
from pe_search.store.making import LISTS_FROM
from pe_search.store.milvus.client import Server, most_hits
from pe_search.store.milvus.keeper import MilvusKeeper
from pe_search.store.ranking import WIDENING, Choosing, ranked
from pe_search.store.windows import windows_with

if TYPE_CHECKING:
    from pe_search.known.words import Word
    from pe_search.queries import Filters, Matches
    from pe_search.store.windows import Subset

_AT_LEAST = 64
_AT_LEAST_LIKE = 1_024
# How many windows are scored here rather than found by Milvus, and how many conditions Milvus is given.
_FEW = 512
_LISTED = 16_384
_STRETCHES = 500
# Milvus adds up the products of two vectors in another order: what that may change, for each unit of their lengths.
_ROUNDING = 1e-5
_SCANNED_AT_ONCE = 4_096
# Lists, as a store in a folder has them. A graph (HNSW) did not find all of some clusters, however wide it looked; and
# who goes through all lists is exact.
_LISTS = 1_024
_PROBES = 64


class MilvusFinder(Choosing):
    """Answers queries for a store in Milvus. As `Finder`, with the same answers.

    Args:
        catalog: The mirror of the store's.
        directory: Where it is.
        server: Where the embeddings are.
        keeper: Of the embeddings.
        catch_up: Brings the mirror up to date.
    """

    def __init__(
        self,
        catalog: Catalog,
        directory: Path,
        server: Server,
        keeper: MilvusKeeper,
        catch_up: Callable[[], None],
    ) -> None:
        super().__init__(catalog, directory)
        self._server = server
        self._keeper = keeper
        self._catch_up = catch_up
        self._index_type: str | None = None

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
        """The k best windows for an embedding, or the best window of each of the k best clips; see `Finder`."""
        self._catch_up()
        k, exact = (sys.maxsize, True) if k is None else (k, exact)
        with self._catalog.snapshot():
            has_lists = self._has_lists()
            subset = self.subset(under, filters, excluded)
            most = self._catalog.window_count() if subset is None else len(subset.ids)

            def search(wanted: int) -> Found:
                is_to_scan = most <= _FEW or wanted > most_hits(len(query))
                probes = None if not has_lists else _LISTS if exact else _PROBES
                found = None if is_to_scan else self._candidates(query, like, wanted, subset, probes)
                return found or self._scan(query, like, subset)

            return ranked(
                self._catalog,
                search,
                k,
                most=most,
                at_least=_AT_LEAST if like is None else _AT_LEAST_LIKE,
                subset=subset,
                all_windows=all_windows,
                on_unknown=_refuse_unknown,
                check=lambda _: None,
            )

    def refresh(self) -> None:
        """Bring the lookup up to date, delete embeddings that no window has, and let a large store have an index."""
        self.lookup.refresh()
        windows = self._catalog.window_count()
        self._keeper.tidy(self._catalog)
        if windows >= LISTS_FROM and not self._server.place.is_file and self._server.index_type() == "FLAT":
            self._server.use_index("IVF_FLAT", {"nlist": _LISTS})

    def _has_lists(self) -> bool:
        """Whether the server has an index of lists; a large store may have got it since it was opened."""
        if self._index_type is None or (self._index_type == "FLAT" and self._catalog.window_count() >= LISTS_FROM):
            self._index_type = self._server.index_type()
        return self._index_type != "FLAT"

    def keep_up(self) -> None:
        """Milvus indexes what comes by itself."""

    def rebuild(self) -> None:
        """Make the lookup from the catalog alone, and have Milvus forget what no window has."""
        self._keeper.tidy(self._catalog, is_thorough=True)
        self.lookup.make_again()

    def _scan(self, query: NDArray[np.float32], like: NDArray[np.float32] | None, subset: Subset | None) -> Found:
        """All windows that are meant, gone through."""
        scores: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
        ids: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        wanted = self._catalog.window_ids() if subset is None else subset.ids
        for first in range(0, len(wanted), _SCANNED_AT_ONCE):
            block_ids, block = self._catalog.embeddings_of(wanted[first : first + _SCANNED_AT_ONCE].tolist())
            block_scores, rows = best_rows(block, query, len(block), like=like)
            scores.append(block_scores)
            ids.append(block_ids[rows])
        return Found(np.concatenate(scores), np.concatenate(ids), len(wanted), is_exact=True)

    def _candidates(
        self,
        query: NDArray[np.float32],
        like: NDArray[np.float32] | None,
        wanted: int,
        subset: Subset | None,
        probes: int | None,
    ) -> Found | None:
        """What Milvus finds, scored again; None if it can't find as many as are wanted.

        Args:
            query: See `best_matches`.
            like: Likewise.
            wanted: How many.
            subset: The windows that are meant.
            probes: How many lists to go through for so few that they are `_AT_LEAST`; None where there are no lists.
        """
        asked, leeway = (query, 0.0) if like is None else self._asked(query, like)
        if lost := self._server.lost(asked):
            with self._catalog.reading() as db:
                leeway += lost * self._keeper.lengths(db)[1]
        expression = "" if subset is None else expression_of(subset.ids)
        limit = wanted
        while limit <= most_hits(len(query)):
            through = None if probes is None else min(_LISTS, probes * max(1, limit // _AT_LEAST))
            hits = self._server.search(asked, limit, expression, probes=through)
            is_all = len(hits) < limit
            lowest = hits[-1][2] if hits else 0.0
            kept = self._known(hits, subset)
            if is_all or len(kept) >= wanted:
                ids = np.array([window_id for window_id, _ in kept], np.int64)
                vectors = np.stack([vector for _, vector in kept]) if kept else np.empty((0, len(query)), np.float16)
                scores, rows = best_rows(vectors, query, len(vectors), like=like)
                lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
                margin = leeway + _ROUNDING * float(np.linalg.norm(asked)) * float(lengths.max(initial=0.0))
                others_up_to = -np.inf if is_all else lowest + margin
                searched = len(subset.ids) if subset is not None else self._catalog.window_count()
                is_exact = through is None or through == _LISTS
                return Found(scores, ids[rows], searched, is_exact=is_exact, others_up_to=others_up_to)
            limit *= WIDENING
        return None

    def _asked(self, query: NDArray[np.float32], like: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """One vector that takes the place of a query and what hits are to be like, and by how much it may be wrong.

        Milvus knows inner products alone. If all embeddings had one length, `like` divided by it would be right.
        """
        with self._catalog.reading() as db:
            least, greatest = self._keeper.lengths(db)
        if not least + greatest:
            return query, float(np.linalg.norm(like))
        share = (greatest - least) / (greatest + least)
        return query + like / np.float32((least + greatest) / 2), share * float(np.linalg.norm(like))

    def _known(
        self, hits: Sequence[tuple[str, int, float, NDArray[np.float16]]], subset: Subset | None
    ) -> list[tuple[int, NDArray[np.float16]]]:
        """Ids and embeddings of those windows that the catalog has and the query means."""
        kept = []
        with self._catalog.reading() as db:
            rows = windows_with(db, [window_id for _, window_id, *_ in hits], lambda _: None)
            for key, window_id, _, vector in hits:
                row = rows.get(window_id)
                # One that was written and never committed, or is gone and not yet deleted, may have any id.
                if row is None or self._keeper.key_in(row) != key:
                    continue
                if subset is None or _has(subset.ids, window_id):
                    kept.append((window_id, self._keeper.checked(db, row, vector)))
        return kept


def expression_of(ids: NDArray[np.int64]) -> str:
    """A condition of Milvus that windows with some ids fulfil, and others only if there would be too many conditions.

    Args:
        ids: Ascending.
    """
    if len(ids) <= _LISTED:
        return _in(ids.tolist())
    found = stretches(ids.tolist())
    if len(found) > _STRETCHES:
        # The narrowest gaps are closed.
        gaps = np.array([later[0] - earlier[1] for earlier, later in pairwise(found)])
        kept = np.sort(np.argsort(-gaps, kind="stable")[: _STRETCHES - 1])
        firsts = [found[0][0], *(found[gap + 1][0] for gap in kept)]
        lasts = [*(found[gap][1] for gap in kept), found[-1][1]]
        found = list(zip(firsts, lasts, strict=True))
    single = [first for first, last in found if first == last]
    parts = [f"(window >= {first} and window <= {last})" for first, last in found if first != last]
    if single:
        parts.append(_in(single))
    return _any_of(parts)


def _in(ids: Sequence[int]) -> str:
    return f"window in [{', '.join(map(str, ids))}]"


def _any_of(parts: Sequence[str]) -> str:
    # A row of `or` is a chain to Milvus, and one of a hundred is too deep for it.
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_any_of(parts[:half])} or {_any_of(parts[half:])})"


def _has(ids: NDArray[np.int64], window_id: int) -> bool:
    place = int(np.searchsorted(ids, window_id))
    return place < len(ids) and int(ids[place]) == window_id


def _refuse_unknown(window_id: int) -> None:
    raise StoreError(f"No window ever was {window_id}.")

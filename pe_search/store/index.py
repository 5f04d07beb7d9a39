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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.drafts import draft_folder
from pe_search.store.blocks import Checks
from pe_search.store.kernels import best_rows, cluster, nearest
from pe_search.store.tensors import Tensor, map_checked, write_tensors

# From here on an exact search takes longer than a person waits for a key.
LISTS_FROM = 250_000
_LAYOUT = "pe-search index 2"
# As the one after it, without checksums; it is used until it is made again.
_LAYOUT_BEFORE = "pe-search index 1"
# What one search compares with its checksums: more would take longer than 3 % of a search of a million windows.
_CHECKED_BYTES = 40_000_000
# Lists for each of the square root of the windows. With few, k-means lumps together what is unlike, and a list's
# centroid says little of what is in it.
_LISTS_PER_ROOT = 8
# Windows that k-means sees for each list, and what is tried out to see how many lists a search must go through.
_SAMPLES_PER_LIST = 16
_TRIAL_QUERIES = 64
_TRIAL_BEST = 10
_TRIAL_RECALL = 0.995
# A text is farther from the sounds it describes than these are from each other: it is like one of them with noise of
# this many times its length.
_TRIAL_NOISE = 2.0
# Going to a list of its own costs about as much as going through it, or a little more.
_LIST_COSTS = 3
_SEED = 20_240_229
_ROWS_AT_ONCE = 16_384

Blocks = Iterable[tuple[NDArray[np.int64], NDArray[np.float16]]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search of an index came to.

    Attributes:
        scores: float32, best first.
        ids: Of the windows.
        searched: How many windows the search went through.
        is_exact: Whether no other window can be among the best.
    """

    scores: NDArray[np.float32]
    ids: NDArray[np.int64]
    searched: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Index:
    """A file of embeddings, mapped. Make one with `make_index`, open it with `open_index`.

    Attributes:
        ids: Window ids by row.
        by_id: Rows in order of their ids.
        vectors: float16 of shape (windows, dimension).
        starts: First row of each list, and after them the number of windows.
        centroids: Of the windows' directions, float16 of shape (lists, dimension); none if there is one list of all.
        up_to: The last window id that it covers; whatever the catalog has up to it is here.
        probes: How many lists to go through for the best ten windows.
        trained_on: How many windows there were when the centroids were made.
        checks: What the file is compared with; None if it has no checksums.
    """

    ids: NDArray[np.int64]
    by_id: NDArray[np.int64]
    vectors: NDArray[np.float16]
    starts: NDArray[np.int64]
    centroids: NDArray[np.float16]
    up_to: int
    probes: int
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
        among: NDArray[np.int64] | None = None,
        exact: bool = False,
    ) -> Found:
        """The best windows for one query, best first.

        Args:
            query: float32 of shape (dimension,).
            k: How many at most.
            like: As in `best_rows`. The search is exact then: lists are chosen, and their number tried out, for inner
                products.
            among: Window ids to choose from, ascending; all if None. The search is exact then.
            exact: Whether to go through all windows whatever their number.

        Raises:
            ValueError: If the file turns out to be damaged.
        """
        if among is not None:
            try:
                rows = np.sort(self._rows_of(among))
                self._check_vectors(zip(rows.tolist(), (rows + 1).tolist(), strict=True))
                scores, best = _best_among(self.vectors, query, k, rows, like)
            except IndexError as error:
                raise ValueError("its windows are not where it says") from error
            return Found(scores, self.ids[best], len(rows), is_exact=True)
        lists = len(self.centroids)
        # The more are wanted, the more lists they are spread over.
        probes = math.ceil(self.probes * max(1.0, k / _TRIAL_BEST))
        if exact or like is not None or _LIST_COSTS * probes >= lists:
            self._check_vectors([(0, len(self))])
            scores, best = best_rows(self.vectors, query, k, like=like)
            return Found(scores, self.ids[best], len(self), is_exact=True)
        _, nearby = best_rows(self.centroids, query, probes)
        stretches = [(int(self.starts[which]), int(self.starts[which + 1])) for which in nearby]
        self._check_vectors(stretches)
        scores, best = best_rows(self.vectors, query, k, stretches)
        return Found(scores, self.ids[best], sum(stop - start for start, stop in stretches), is_exact=False)

    def check(self) -> None:
        """Compare the whole file with its checksums.

        Raises:
            ValueError: If it is damaged.
        """
        if self.checks is not None:
            self.checks.check_rest()

    def _check_vectors(self, stretches: Iterable[tuple[int, int]]) -> None:
        if self.checks is not None:
            row_bytes = 2 * self.vectors.shape[1]
            self.checks.check(
                ((start * row_bytes, stop * row_bytes) for start, stop in stretches), most_bytes=_CHECKED_BYTES
            )

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


def make_index(
    path: Path,
    catalog_id: str,
    windows: int,
    dimension: int,
    up_to: int,
    blocks: Blocks,
    *,
    before: Index | None = None,
    lists_from: int | None,
) -> None:
    """Write an index whole or not at all, with memory for a few thousand windows at a time.

    Args:
        path: Of the file.
        catalog_id: What the catalog is known by.
        windows: How many the catalog has.
        dimension: Of the embeddings.
        up_to: The last window id of the catalog.
        blocks: Ids, ascending, and embeddings of all windows.
        before: The index that this one takes the place of; its centroids are used again while they fit.
        lists_from: How many windows must be there for more than one list to be made; it never is if None.

    Raises:
        OSError: If the disk is full or can't be written to.
    """
    metadata = {"layout": _LAYOUT, "catalog": catalog_id, "up_to": str(up_to)}
    if lists_from is None or windows < max(lists_from, 2):
        _write(path, metadata, windows, dimension, blocks)
        return
    # In order of id first, because only then can rows be had in another order, and the sample from all over.
    with draft_folder(path.parent) as folder:
        in_order = folder / "in-order"
        _write(in_order, metadata, windows, dimension, blocks)
        plain = open_index(in_order, catalog_id, dimension)
        assert plain is not None, "it has just been written"
        _write_in_lists(path, metadata, plain, before)


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
    if metadata.get("layout") != (_LAYOUT_BEFORE if checks is None else _LAYOUT):
        raise ValueError("it is not laid out as an index")
    if metadata.get("catalog") != catalog_id:
        return None
    try:
        numbers: dict[str, Any] = {name: int(metadata[name]) for name in ("up_to", "probes", "trained_on")}
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
    if index.probes < 1:
        raise ValueError("it has no number of lists to go through")
    return index


def _write(path: Path, metadata: dict[str, str], windows: int, dimension: int, blocks: Blocks) -> None:
    """Write an index of one list, in order of id."""
    ids: list[NDArray[np.int64]] = []

    def vectors() -> Iterator[NDArray[np.float16]]:
        for block_ids, block in blocks:
            ids.append(block_ids)
            yield block

    _write_tensors(
        path,
        metadata | {"probes": "1", "trained_on": "0"},
        (windows, dimension),
        vectors=vectors(),
        ids=lambda: np.concatenate([np.empty(0, np.int64), *ids]),
        by_id=np.arange(windows),
        starts=np.array([0, windows]),
        centroids=np.empty((0, dimension), np.float16),
    )


def _write_in_lists(path: Path, metadata: dict[str, str], plain: Index, before: Index | None) -> None:
    """Write an index with the rows of one that has them in order of id."""
    windows, dimension = plain.vectors.shape
    if before is not None and len(before.centroids) and windows < 2 * before.trained_on:
        centroids, trained_on = before.centroids, before.trained_on
        list_of = before.lists_of(plain.ids)
    else:
        random = np.random.default_rng(_SEED)
        lists = min(_LISTS_PER_ROOT * math.isqrt(windows), windows)
        sample = np.sort(random.choice(windows, min(windows, _SAMPLES_PER_LIST * lists), replace=False))
        centroids, trained_on = cluster(_directions(plain.vectors[sample]), lists), windows
        list_of = np.full(windows, -1, np.int64)
    for first in range(0, windows, _ROWS_AT_ONCE):
        rows = first + np.flatnonzero(list_of[first : first + _ROWS_AT_ONCE] < 0)
        list_of[rows] = nearest(centroids, _directions(plain.vectors[rows]))
    order = np.argsort(list_of, kind="stable")
    probes = (
        before.probes
        if before is not None and centroids is before.centroids
        else _probes(plain.vectors, centroids, list_of)
    )
    _write_tensors(
        path,
        metadata | {"probes": str(probes), "trained_on": str(trained_on)},
        (windows, dimension),
        vectors=(plain.vectors[order[first : first + _ROWS_AT_ONCE]] for first in range(0, windows, _ROWS_AT_ONCE)),
        ids=lambda: plain.ids[order],
        by_id=np.argsort(order),
        starts=np.searchsorted(list_of[order], np.arange(len(centroids) + 1)),
        centroids=centroids,
    )


def _directions(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    """The vectors at unit length, but for those that are zero."""
    directions = vectors.astype(np.float32)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    directions /= np.where(lengths > 0, lengths, 1)
    return directions


def _probes(vectors: NDArray[np.float16], centroids: NDArray[np.float16], list_of: NDArray[np.int64]) -> int:
    """How many lists must be gone through to find nearly all of the best windows, tried out."""
    random = np.random.default_rng(_SEED)
    ranks = []
    for row in random.choice(len(vectors), min(len(vectors), _TRIAL_QUERIES), replace=False):
        sound = vectors[row].astype(np.float32)
        noise = random.standard_normal(len(sound), np.float32)
        query = sound + noise * (_TRIAL_NOISE * np.linalg.norm(sound) / np.linalg.norm(noise))
        _, best = best_rows(vectors, query, _TRIAL_BEST)
        _, lists = best_rows(centroids, query, len(centroids))
        rank_of_list = np.empty(len(centroids), np.int64)
        rank_of_list[lists] = np.arange(len(lists))
        ranks.append(rank_of_list[list_of[best]])
    return 1 + int(np.quantile(np.concatenate(ranks), _TRIAL_RECALL, method="higher"))


def _write_tensors(
    path: Path,
    metadata: dict[str, str],
    shape: tuple[int, int],
    *,
    vectors: Iterable[NDArray[np.float16]],
    ids: Callable[[], NDArray[np.int64]],
    by_id: NDArray[np.int64],
    starts: NDArray[np.int64],
    centroids: NDArray[np.float16],
) -> None:
    windows, _ = shape
    tensors = {
        # First, so that they begin where a page does.
        "vectors": Tensor("F16", shape, vectors),
        "centroids": Tensor("F16", centroids.shape, [centroids]),
        "starts": Tensor("I64", starts.shape, [starts]),
        # Known only once the vectors are written.
        "ids": Tensor("I64", (windows,), (make() for make in [ids])),
        "by_id": Tensor("I64", (windows,), [by_id]),
    }
    write_tensors(path, tensors, metadata)


def _best_among(
    vectors: NDArray[np.float16],
    query: NDArray[np.float32],
    k: int,
    rows: NDArray[np.int64],
    like: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `best_rows`, of some rows."""
    scores: NDArray[np.float32] = np.empty(0, np.float32)
    best: NDArray[np.int64] = np.empty(0, np.int64)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[first : first + _ROWS_AT_ONCE]
        new_scores, new = best_rows(vectors[some], query, k, like=like)
        scores = np.concatenate([scores, new_scores])
        best = np.concatenate([best, some[new]])
        kept = np.lexsort((best, -scores))[:k]
        scores, best = scores[kept], best[kept]
    return scores, best

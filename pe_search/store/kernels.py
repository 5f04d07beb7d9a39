"""What FAISS does for the index: inner products at the speed of memory, and clustering. The only importer of faiss."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

P = TypeVar("P")

# Enough rows for a thread that starting it is worth while.
_ROWS_AT_ONCE = 8_192
_ROWS_IN_CACHE = 256
# Rows are copied to lie together, as many as are still in the cache when they are read, where fewer than one in so many
# is wanted. To skip the others takes longer then.
_ROWS_COPIED = 1_024
_MANY_IN = 32
_ROUNDS = 10
_SEED = 20_240_229


def best_rows(
    vectors: NDArray[np.float16],
    query: NDArray[np.float32],
    k: int,
    stretches: Sequence[tuple[int, int]] | None = None,
    *,
    like: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The rows with the highest inner products, best first, calculated in float32.

    A row's score depends on the row and the queries alone, to the last bit: not on where it is, nor on the others.

    Args:
        vectors: Shape (rows, dimension), contiguous; mapped ones are read where they lie.
        query: Shape (dimension,).
        k: How many at most. A row whose score is no number is never among them.
        stretches: First row and the one past the last of each part to look at; all rows if None.
        like: Shape (dimension,); its inner product with the row's direction is added to the score. NumPy calculates
            the scores then, which takes several times as long.

    Returns:
        Scores and rows, both of shape (at most k,).
    """
    if k < 1:
        return _best([], k)
    # FAISS shares a search out by queries, and there is only one; so it's the rows that are shared out here.
    threads = _faiss().omp_get_max_threads()
    parts = [(0, len(vectors))] if stretches is None else stretches
    total = sum(stop - start for start, stop in parts)
    rows_at_once = max(_ROWS_AT_ONCE, total // (4 * threads))
    pieces = [
        (first, min(first + rows_at_once, stop)) for start, stop in parts for first in range(start, stop, rows_at_once)
    ]
    found = _each(pieces, lambda piece: _best_of(vectors, query, k, piece, like), total)
    return _best(found, k)


def best_among(
    vectors: NDArray[np.float16],
    query: NDArray[np.float32],
    k: int,
    rows: NDArray[np.int64],
    *,
    like: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `best_rows`, of some rows, ascending.

    Where many lie close together they are read where they lie; the others are copied.
    """
    bounds = np.searchsorted(rows, np.arange(0, len(vectors) + _ROWS_AT_ONCE, _ROWS_AT_ONCE))
    counts = np.diff(bounds)
    are_many = counts * _MANY_IN > _ROWS_AT_ONCE if like is None else np.zeros(len(counts), np.bool_)
    found = _each(
        np.flatnonzero(are_many).tolist(),
        lambda which: _best_of_wanted(vectors, query, k, rows[bounds[which] : bounds[which + 1]]),
        int(counts[are_many].sum()),
    )
    scattered = rows[np.repeat(~are_many, counts)]
    blocks = [scattered[first : first + _ROWS_COPIED] for first in range(0, len(scattered), _ROWS_COPIED)]

    def best_of(block: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        scores, best = _best_of(np.take(vectors, block, axis=0), query, k, (0, len(block)), like)
        return scores, block[best]

    return _best([*found, *_each(blocks, best_of, len(scattered))], k)


def _each(
    pieces: Sequence[P], best_of: Callable[[P], tuple[NDArray[np.float32], NDArray[np.int64]]], total: int
) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """What there is in each piece, of so many rows in all, shared out among threads if that is worth while."""
    threads = _faiss().omp_get_max_threads()
    if threads == 1 or len(pieces) == 1 or total <= _ROWS_AT_ONCE:
        return list(map(best_of, pieces))
    return list(_pool(threads).map(best_of, pieces))


def _best(
    found: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best of what was found in pieces; equal ones in order of rows."""
    scores = np.concatenate([np.empty(0, np.float32), *(scores for scores, _ in found)])
    rows = np.concatenate([np.empty(0, np.int64), *(rows for _, rows in found)])
    best = np.lexsort((rows, -scores))[:k]
    return scores[best], rows[best]


def _best_of(
    vectors: NDArray[np.float16],
    query: NDArray[np.float32],
    k: int,
    piece: tuple[int, int],
    like: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best rows of a stretch, in no order."""
    start, stop = piece
    if like is not None:
        return _best_with_directions(vectors, query, like, k, start, stop)
    return _scan(vectors, query, k, start, stop)


def _best_of_wanted(
    vectors: NDArray[np.float16], query: NDArray[np.float32], k: int, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best of some rows that lie close to each other, in no order."""
    start, stop = int(rows[0]), int(rows[-1]) + 1
    if len(rows) == stop - start:
        return _scan(vectors, query, k, start, stop)
    is_wanted = np.zeros(stop - start, np.bool_)
    is_wanted[rows - start] = True
    return _scan(vectors, query, k, start, stop, np.packbits(is_wanted, bitorder="little"))


def _scan(
    vectors: NDArray[np.float16],
    query: NDArray[np.float32],
    k: int,
    start: int,
    stop: int,
    wanted: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `_best_of`, without `like`; of the stretch, those rows that are wanted, a bit for each."""
    faiss = _faiss()
    query = np.ascontiguousarray(query, np.float32)
    heap = min(k, stop - start)
    scores = np.full(heap, -np.inf, np.float32)
    rows = np.full(heap, -1, np.int64)
    codes = vectors[start:stop].view(np.uint8).reshape(-1)
    selector = None if wanted is None else faiss.IDSelectorBitmap(wanted)
    # With "pairs" it asks the selector for the places of rows in the stretch, and tells these.
    scanner = _quantizer(vectors.shape[1]).select_InvertedListScanner(faiss.METRIC_INNER_PRODUCT, None, True, selector)
    scanner.set_query(faiss.swig_ptr(query))
    scanner.set_list(0, 0.0)
    scanner.scan_codes(stop - start, faiss.swig_ptr(codes), None, faiss.swig_ptr(scores), faiss.swig_ptr(rows), heap)
    found = rows >= 0
    return scores[found], rows[found] + start


def _best_with_directions(
    vectors: NDArray[np.float16],
    query: NDArray[np.float32],
    like: NDArray[np.float32],
    k: int,
    start: int,
    stop: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `best_rows` with `like`, of one stretch, in no order."""
    scores = np.empty(stop - start, np.float32)
    for first in range(start, stop, _ROWS_IN_CACHE):
        block = vectors[first : min(first + _ROWS_IN_CACHE, stop)].astype(np.float32)
        # Not by matrix products, in which a row's last bits depend on the rows around it.
        with np.errstate(invalid="ignore", over="ignore"):
            lengths = np.sqrt(np.einsum("ij,ij->i", block, block))
            cosines = np.einsum("ij,j->i", block, like) / np.where(lengths > 0, lengths, 1)
            scores[first - start : first - start + len(block)] = np.einsum("ij,j->i", block, query) + cosines
    rows = np.flatnonzero(~np.isnan(scores))
    if len(rows) > k:
        least = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
        rows = rows[scores[rows] >= least]
    return scores[rows], rows + start


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # Kept, because to start threads takes as long as to search a store of ten thousand windows.
    return ThreadPoolExecutor(threads, "searching")


@cache
def _quantizer(dimension: int) -> Any:
    # Kept, because where an index has many short lists it is needed for each.
    faiss = _faiss()
    return faiss.ScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16)


def cluster(vectors: NDArray[np.float32], clusters: int) -> NDArray[np.float16]:
    """The centroids of k-means, of shape (clusters, dimension); the same vectors give the same ones.

    Args:
        vectors: Shape (at least clusters, dimension).
        clusters: How many.
    """
    kmeans = _faiss().Kmeans(
        vectors.shape[1],
        clusters,
        niter=_ROUNDS,
        seed=_SEED,
        min_points_per_centroid=1,
        max_points_per_centroid=len(vectors),
    )
    kmeans.train(np.ascontiguousarray(vectors))
    return np.asarray(kmeans.centroids, np.float16)


def nearest(centroids: NDArray[np.float16], vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """The row of the centroid that is nearest to each vector, of shape (vectors,)."""
    index = _faiss().IndexFlatL2(centroids.shape[1])
    index.add(np.asarray(centroids, np.float32))
    rows: NDArray[np.int64] = index.search(np.ascontiguousarray(vectors), 1)[1][:, 0]
    return rows


def _faiss() -> Any:
    if sys.platform == "darwin":
        # torch and faiss each bring an OpenMP runtime, and on macOS a process with both aborts or crashes inside the
        # search: kyamagu/faiss-wheels#73, pytorch/pytorch#149201.
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    import faiss

    if sys.platform == "darwin":
        faiss.omp_set_num_threads(1)
    return faiss

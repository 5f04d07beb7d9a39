"""Make the index of a store from its windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.drafts import draft_folder
from pe_search.store.index import DEPTHS, LAYOUT, PROBES, Index, open_index
from pe_search.store.kernels import best_rows, cluster, nearest
from pe_search.store.tensors import Tensor, write_tensors

# From here on an exact search takes longer than a person waits for a key.
LISTS_FROM = 250_000
# Lists for each of the square root of the windows. With few, k-means lumps together what is unlike, and a list's
# centroid says little of what is in it.
_LISTS_PER_ROOT = 8
# Windows that k-means sees for each list, and what is tried out to see how many lists a search must go through.
_SAMPLES_PER_LIST = 16
_TRIAL_QUERIES = 64
_TRIAL_RECALL = 0.995
# A text is farther from the sounds it describes than these are from each other: it is like one of them with noise of
# this many times its length.
_TRIAL_NOISE = 2.0
_SEED = 20_240_229
_ROWS_AT_ONCE = 16_384

Blocks = Iterable[tuple[NDArray[np.int64], NDArray[np.float16]]]


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
    metadata = {"layout": LAYOUT, "catalog": catalog_id, "up_to": str(up_to)}
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


def _write(path: Path, metadata: dict[str, str], windows: int, dimension: int, blocks: Blocks) -> None:
    """Write an index of one list, in order of id."""
    ids: list[NDArray[np.int64]] = []

    def vectors() -> Iterator[NDArray[np.float16]]:
        for block_ids, block in blocks:
            ids.append(block_ids)
            yield block

    _write_tensors(
        path,
        metadata | _written((1,) * len(DEPTHS)) | {"trained_on": "0"},
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
    if before is not None and centroids is before.centroids and len(before.probes) == len(DEPTHS):
        probes = before.probes
    else:
        probes = _probes(plain.vectors, centroids, list_of)
    _write_tensors(
        path,
        metadata | _written(probes) | {"trained_on": str(trained_on)},
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


def _probes(
    vectors: NDArray[np.float16], centroids: NDArray[np.float16], list_of: NDArray[np.int64]
) -> tuple[int, ...]:
    """How many lists must be gone through to find nearly all of as many best windows as `DEPTHS` has, tried out."""
    random = np.random.default_rng(_SEED)
    ranks: list[NDArray[np.int64]] = []
    for row in random.choice(len(vectors), min(len(vectors), _TRIAL_QUERIES), replace=False):
        sound = vectors[row].astype(np.float32)
        noise = random.standard_normal(len(sound), np.float32)
        query = sound + noise * (_TRIAL_NOISE * np.linalg.norm(sound) / np.linalg.norm(noise))
        _, best = best_rows(vectors, query, max(DEPTHS))
        _, lists = best_rows(centroids, query, len(centroids))
        rank_of_list = np.empty(len(centroids), np.int64)
        rank_of_list[lists] = np.arange(len(lists))
        ranks.append(rank_of_list[list_of[best]])
    return tuple(
        1 + int(np.quantile(np.concatenate([some[:depth] for some in ranks]), _TRIAL_RECALL, method="higher"))
        for depth in DEPTHS
    )


def _written(probes: tuple[int, ...]) -> dict[str, str]:
    return {name: str(number) for name, number in zip(PROBES, probes, strict=True)}


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

"""The clips of a store in the plane, and those that are least like the others."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pe_search.reports import SoundMap
from pe_search.store import Store
from pe_search.store.export import embeddings

# Beyond so many clips, each is compared with as many of them, drawn always alike.
_MOST_OTHERS = 20_000
_ROWS_AT_ONCE = 1_024
_NEIGHBOURS = 10
_SEED = 20_240_229
# A few clips that are far from all others must not press these together.
_SHARE_SHOWN = 99.0


def map_sounds(store: Store) -> SoundMap:
    """The clips of a store by the two directions in which their embeddings differ most (principal components).

    A clip is where the mean of its windows is. The sign of a direction is such that its largest part is positive, so
    that the same store has the same map.
    """
    held = embeddings(store)
    groups = [(path, len(list(rows))) for path, rows in groupby(held.paths)]
    starts = np.cumsum([0, *(count for _, count in groups[:-1])])
    counts = np.array([count for _, count in groups], np.float32)
    if not groups:
        return SoundMap((), np.empty((0, 2), np.float32), np.empty((0, held.vectors.shape[1]), np.float32))
    means = (np.add.reduceat(held.vectors, starts, axis=0) / counts[:, None]).astype(np.float32)
    directions = _unit(means) - _unit(means).mean(axis=0)
    _, vectors = np.linalg.eigh(directions.T.astype(np.float64) @ directions)
    axes = vectors[:, -2:][:, ::-1]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    points = directions @ axes
    low, high = (np.percentile(points, share, axis=0) for share in (100 - _SHARE_SHOWN, _SHARE_SHOWN))
    points = np.clip((points - low) / np.maximum(high - low, 1e-9), -0.1, 1.1)
    points = (points + 0.1) / 1.2
    return SoundMap(tuple(path for path, _ in groups), points.astype(np.float32), means)


def likeness_to_neighbours(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """How like its nearest neighbours each clip is: the mean cosine of it and the 10 that are most like it.

    Args:
        vectors: float32 of shape (clips, dimension).

    Returns:
        float32 of shape (clips,); 1 for a clip that is the only one.
    """
    units = _unit(vectors)
    count = len(units)
    others = np.arange(count)
    if count > _MOST_OTHERS:
        others = np.sort(np.random.default_rng(_SEED).choice(count, _MOST_OTHERS, replace=False))
    found = np.ones(count, np.float32)
    if count < 2:
        return found
    for first in range(0, count, _ROWS_AT_ONCE):
        rows = np.arange(first, min(first + _ROWS_AT_ONCE, count))
        cosines = units[rows] @ units[others].T
        cosines[rows[:, None] == others] = -np.inf
        nearest = min(_NEIGHBOURS, count - 1)
        found[rows] = np.partition(cosines, -nearest, axis=1)[:, -nearest:].mean(axis=1)
    return found


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return units

"""The clips of a store in the plane, and those that are least like the others."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.maps import MAPPED, SoundMap
from pe_search.store import Store

MOST_WINDOWS = 100_000

# Beyond so many clips, each is compared with as many of them, drawn always alike.
_MOST_OTHERS = 20_000
_ROWS_AT_ONCE = 1_024
_NEIGHBOURS = 10
_SEED = 20_240_229
# A few clips that are far from all others must not press these together.
_SHARE_SHOWN = 99.0
_LEAST_SPAN = 1e-5


def map_sounds(store: Store, of: str = "clips") -> SoundMap:
    """The clips or windows of a store by the two directions in which their embeddings differ most.

    These are the principal components. A clip is where the mean of its windows is. The sign of a direction is such that
    its largest part is positive, so that the same store has the same map. Of more than `MOST_WINDOWS` windows, as many
    are drawn, always alike.

    Args:
        store: Is only read.
        of: `clips` or `windows`.
    """
    if of not in MAPPED:
        raise ValueError(f"of={of!r} must be one of {', '.join(MAPPED)}")
    paths: list[Path] = []
    digests: list[bytes] = []
    parts: list[NDArray[np.float64]] = []
    dimension = store.manifest.dimension
    with store.catalog.snapshot():
        held = store.catalog.holdings().windows
        drawn = np.arange(held)
        if of == "windows" and held > MOST_WINDOWS:
            drawn = np.sort(np.random.default_rng(_SEED).choice(held, MOST_WINDOWS, replace=False))
        # Once, where it is to lie: in a large store the vectors are most of what memory holds.
        means = np.empty((len(drawn), dimension), np.float32)
        seen = 0
        for clip, content in store.embedded_clips():
            times = np.asarray(content.times, np.float64).reshape(-1, 2)
            if of == "clips":
                parts.append(np.array([[0.0, times[:, 1].max()]]))
                means[len(paths)] = content.embeddings.mean(axis=0, dtype=np.float64)
                count = 1
            else:
                first, last = np.searchsorted(drawn, (seen, seen + len(times)))
                rows = drawn[first:last] - seen
                seen += len(times)
                parts.append(times[rows])
                count = len(rows)
                means[len(paths) : len(paths) + count] = content.embeddings[rows]
            paths += repeat(clip.path, count)
            digests += repeat(content.digest, count)
    means = means[: len(paths)]
    if not paths:
        return SoundMap((), np.empty((0, 2), np.float32), means, (), np.empty((0, 2)), of=of)
    points = within_square(principal(means, 2))
    return SoundMap(tuple(paths), points, means, tuple(digests), np.concatenate(parts), of=of)


def principal(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Directions of embeddings by their principal components: float32 of shape (vectors, at most `dimensions`)."""
    directions = _unit(vectors)
    directions -= directions.mean(axis=0)
    _, axes = np.linalg.eigh((directions.T @ directions).astype(np.float64))
    axes = axes[:, -dimensions:][:, ::-1]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    found: NDArray[np.float32] = (directions @ axes).astype(np.float32)
    return found


def within_square(points: NDArray[np.float32], share: float = _SHARE_SHOWN) -> NDArray[np.float32]:
    """Places of dots from 0 to 1, with a few at the margin that are far from all others.

    Args:
        points: Of shape (dots, 2).
        share: In percent, how many lie below what is the upper end, in each direction.
    """
    low, high = (np.percentile(points, one, axis=0) for one in (100 - share, share))
    spans = high - low
    # A direction in which nothing differs but by rounding would be noise as wide as the map.
    is_flat = spans <= max(_LEAST_SPAN * float(spans.max()), _LEAST_SPAN)
    points = np.clip((points - low) / np.where(is_flat, 1, spans), -0.1, 1.1)
    points[:, is_flat] = 0.5
    placed: NDArray[np.float32] = ((points + 0.1) / 1.2).astype(np.float32)
    return placed


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

"""Frames of overlapping windows become one row of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray


def join_windows(windows: Iterable[tuple[int, NDArray[np.float32]]], overlap: int) -> Iterator[NDArray[np.float32]]:
    """Fade each window over into the next, frame by frame, holding little more than one window in memory.

    A frame near the edge of its window lacks what is beyond the edge, so where windows overlap each counts the more,
    the further the frame is from that window's edge, up to `overlap` frames. Every frame comes out once, so no event is
    doubled at a seam; and since each side of a seam has heard `overlap` frames of the other, none is cut.

    Args:
        windows: The place of each window's first frame, and values of shape (frames, columns). Places ascend from 0,
            and no frame is left out between windows.
        overlap: Frames over which a window fades, at least 0.

    Yields:
        The frames in order, of shape (frames, columns), in pieces.
    """
    done = 0
    sums = np.empty((0, 0))
    weights = np.empty((0, 1))
    for first, values in windows:
        if first > done:
            yield (sums[: first - done] / weights[: first - done]).astype(np.float32)
            sums, weights = sums[first - done :], weights[first - done :]
            done = first
        further = len(values) - len(sums)
        sums = np.concatenate([sums.reshape(-1, values.shape[1]), np.zeros((further, values.shape[1]))])
        weights = np.concatenate([weights, np.zeros((further, 1))])
        weight = _fade(len(values), overlap)
        sums += weight * values
        weights += weight
    if len(weights):
        yield (sums / weights).astype(np.float32)


def _fade(frames: int, overlap: int) -> NDArray[np.float64]:
    """Rises over the first frames and falls over the last; shape (frames, 1)."""
    from_edge = np.minimum(np.arange(frames), np.arange(frames)[::-1]) + 1.0
    return np.minimum(from_edge, overlap + 1)[:, None]

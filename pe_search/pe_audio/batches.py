"""Which windows go through a model together, and how they lie side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

# At least this much of a batch is audio; the rest is the padding of windows shorter than the longest.
_LEAST_FILLED = 0.9


def batches(lengths: Sequence[int], most: float) -> Iterator[list[int]]:
    """Rows to embed together: the longest first, and each with those nearest to it in length.

    Args:
        lengths: Of the windows, in samples.
        most: How many samples go through at once; a longer window goes alone.
    """
    rows = sorted(range(len(lengths)), key=lambda row: lengths[row], reverse=True)
    start = 0
    while start < len(rows):
        longest = lengths[rows[start]]
        count = max(1, int(most / longest))
        stop, filled = start, 0
        while stop < len(rows) and stop - start < count:
            filled += lengths[rows[stop]]
            if filled < _LEAST_FILLED * longest * (stop + 1 - start):
                break
            stop += 1
        yield rows[start:stop]
        start = stop


def pad_to_frames(samples: NDArray[np.float32], samples_per_frame: int) -> NDArray[np.float32]:
    """Reflect the end so that the length is a whole number of frames, as `PeAudioFeatureExtractor` does."""
    surplus = len(samples) % samples_per_frame
    return np.pad(samples, (0, samples_per_frame - surplus), "reflect") if surplus else samples


def side_by_side(windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Windows as (windows, 1, samples), with zeros after a shorter one."""
    samples = np.zeros((len(windows), 1, max(map(len, windows))), np.float32)
    for row, window in zip(samples, windows, strict=True):
        row[0, : len(window)] = window
    return samples

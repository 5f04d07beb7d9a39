"""48 kHz mono at another rate, as it streams by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ


def resampled(blocks: Iterable[NDArray[np.float32]], rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """Pass audio on at another rate, with the delay of the filter taken out.

    Args:
        blocks: float32 blocks of shape (samples,), 48 kHz mono, in order.
        rate_hz: The other rate.
    """
    resampler = soxr.ResampleStream(SAMPLE_RATE_HZ, rate_hz, 1, dtype="float32", quality="HQ")
    for block in blocks:
        out: NDArray[np.float32] = resampler.resample_chunk(block)
        if len(out):
            yield out
    rest: NDArray[np.float32] = resampler.resample_chunk(np.empty(0, np.float32), last=True)
    if len(rest):
        yield rest

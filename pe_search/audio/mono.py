"""Channels become one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A mean that is this much weaker than its channels would be if they had nothing in common has been cancelled out: one
# channel is the other turned upside down, as a wrongly soldered plug makes it.
_CANCELLED = 1 / 20
# From as many numbers on, NumPy adds them in another order.
_ADDED_IN_PAIRS = 8
# From one way of mixing to the other; short, and no click.
_FADE_S = 0.01


class Mixer:
    """Mixes blocks of one clip down to mono: their mean, or the strongest channel where the mean cancels it out.

    Args:
        sample_rate_hz: Of the blocks.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._fade_samples = max(1, round(_FADE_S * sample_rate_hz))
        # The weight of each channel in the last block; None before the first.
        self._weights: NDArray[np.float32] | None = None

    def mix(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """A block of shape (samples, channels) as one of shape (samples,)."""
        channels = block.shape[1]
        if channels == 1:
            return block[:, 0]
        mean = _mean(block)
        energies = np.array([np.dot(one, one) for one in np.ascontiguousarray(block.T, np.float64)])
        is_cancelled = float(np.dot(mean, mean)) < _CANCELLED * float(energies.mean()) / channels
        if not is_cancelled and (self._weights is None or self._weights.all()):
            self._weights = np.full(channels, 1 / channels, np.float32)
            return mean
        weights = np.full(channels, 1 / channels, np.float32)
        if is_cancelled:
            kept = self._weights is not None and not self._weights.all()
            strongest = int(self._weights.argmax()) if kept and self._weights is not None else int(energies.argmax())
            weights = np.eye(channels, dtype=np.float32)[strongest]
        before, self._weights = self._weights, weights
        mono: NDArray[np.float32] = block @ weights
        if before is not None and (before != weights).any():
            fade = np.linspace(0, 1, min(self._fade_samples, len(block)), dtype=np.float32)
            mono[: len(fade)] = fade * mono[: len(fade)] + (1 - fade) * (block[: len(fade)] @ before)
        return mono


def _mean(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """`block.mean(axis=1)` to the last bit. NumPy takes thirty times as long for rows of two numbers."""
    channels = block.shape[1]
    if channels >= _ADDED_IN_PAIRS:
        return np.asarray(block.mean(axis=1, dtype=np.float32))
    mean: NDArray[np.float32] = block[:, 0] + block[:, 1]
    for channel in range(2, channels):
        mean += block[:, channel]
    mean /= np.float32(channels)
    return mean


def integer_scale(peak: float) -> float | None:
    """What float samples must be divided by if their peak says that they are integers in truth; None if it doesn't.

    Full scale is one. Some converters write the numbers of 16, 24 or 32 bits as they are; nothing that was meant for
    floats comes within 30 dB of that.
    """
    if not 32.0 <= peak <= 2.0**31:
        return None
    return next(scale for scale in (2.0**15, 2.0**23, 2.0**31) if peak <= scale)

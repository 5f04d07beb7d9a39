"""Bring quiet windows up to a level at which the model hears them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ

# The loudest stretch of this length tells how loud a window is: a short call in a quiet night is not made louder than a
# long one.
_STRETCH_SAMPLES = round(0.4 * SAMPLE_RATE_HZ)
_USUAL_DB = -35.0
# More than this would make a sound of the noise that every recorder has.
_MOST_GAIN_DB = 40.0


def levelled(samples: NDArray[np.float32], level: str) -> NDArray[np.float32]:
    """A window at a level for the model.

    Args:
        samples: float32 of shape (samples,), mono at 48 kHz.
        level: `none` for the window as it is; `auto` for one whose loudest 0.4 s has a power of -35 dB relative to full
            scale, unless it is louder already, or that would take a gain of more than 40 dB.
    """
    gain = gain_db(samples, level)
    return samples * np.float32(10 ** (gain / 20)) if gain else samples


def gain_db(samples: NDArray[np.float32], level: str) -> float:
    """By how many decibels `levelled` makes a window louder; 0 or more."""
    if level == "none":
        return 0.0
    return min(max(_USUAL_DB - loudest_db(samples), 0.0), _MOST_GAIN_DB)


def loudest_db(samples: NDArray[np.float32]) -> float:
    """The power of the loudest 0.4 s of a window in dB relative to full scale; minus infinity for silence."""
    stretches = range(0, len(samples), _STRETCH_SAMPLES // 2)
    # Samples may be so large that their power is infinite; what embeds them tells of that.
    with np.errstate(over="ignore"):
        powers = [
            float(np.dot(part, part)) / len(part)
            for part in (samples[start : start + _STRETCH_SAMPLES] for start in stretches)
        ]
    # The last ones are shorter, and a click at the very end would count for more than anywhere else.
    loudest = max(powers[: max(1, len(powers) - 2)])
    return float(10 * np.log10(loudest)) if loudest > 0 else -np.inf

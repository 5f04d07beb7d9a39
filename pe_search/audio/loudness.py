"""How loud a clip is: integrated loudness by EBU R128, measured while its samples pass.

ITU-R BS.1770-4 (https://www.itu.int/rec/R-REC-BS.1770) weights frequencies with two filters and takes the power of
blocks of 0.4 s, each 0.1 s after the last. EBU R128 is the mean of the blocks above two gates: -70 LUFS, and 10 LU
below the mean of those.

FFmpeg's `ebur128` gives the same, and takes as long for a one-shot as the model does; here it is one loop.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ

_PART_SAMPLES = SAMPLE_RATE_HZ // 10
_PARTS_PER_BLOCK = 4
_OFFSET_LU = -0.691
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
# The standard's coefficients at 48 kHz: b0, b1, b2, a1, a2 of the shelf, then of the high-pass.
_SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585)
_HIGH_PASS = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)


class LoudnessMeter:
    """Measures audio that passes through it. One minute takes some milliseconds, and 3 kB of memory.

    Attributes:
        peak: The largest absolute value of a sample so far.
    """

    def __init__(self) -> None:
        self.peak = 0.0
        self._state = np.zeros(4)
        # The power of each tenth of a second, weighted; and of the one that is not full yet, times its samples.
        self._powers = array("d")
        self._energy = 0.0
        self._filled = 0

    def passing(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Pass blocks on as they are, 48 kHz mono float32 of shape (samples,), and measure them."""
        measure = _measure()
        for block in blocks:
            if len(block):
                self.peak = max(self.peak, float(np.abs(block).max()))
                powers = np.empty((self._filled + len(block)) // _PART_SAMPLES)
                self._energy, self._filled = measure(block, self._state, powers, self._energy, self._filled)
                self._powers.frombytes(powers.tobytes())
            yield block

    @property
    def peak_dbfs(self) -> float | None:
        """The peak in dB relative to full scale; None for silence."""
        return None if self.peak == 0 else round(float(20 * np.log10(self.peak)), 2)

    @property
    def loudness_lufs(self) -> float | None:
        """Integrated loudness; None if nothing is above the gate of -70 LUFS.

        Of a clip of less than 0.4 s, which has no block, its power as a whole counts.
        """
        powers = np.frombuffer(self._powers) if self._powers else np.empty(0)
        if len(powers) < _PARTS_PER_BLOCK:
            samples = len(powers) * _PART_SAMPLES + self._filled
            whole = (float(powers.sum()) * _PART_SAMPLES + self._energy) / max(samples, 1)
            blocks = np.array([whole])
        else:
            blocks = np.convolve(powers, np.full(_PARTS_PER_BLOCK, 1 / _PARTS_PER_BLOCK), "valid")
        loud = blocks[blocks > _power_at(_ABSOLUTE_GATE_LUFS)]
        if not len(loud):
            return None
        loud = loud[loud > _power_at(_loudness_of(float(loud.mean())) + _RELATIVE_GATE_LU)]
        return round(_loudness_of(float(loud.mean())), 2)


def _loudness_of(power: float) -> float:
    return float(_OFFSET_LU + 10 * np.log10(power))


def _power_at(loudness_lufs: float) -> float:
    return float(10 ** ((loudness_lufs - _OFFSET_LU) / 10))


@cache
def _measure() -> Any:
    # numba takes a third of a second to import.
    from numba import njit

    try:
        return njit(cache=True, nogil=True, error_model="numpy")(_measure_in_python)
    except RuntimeError:  # there is no place to keep what it compiles
        return njit(nogil=True, error_model="numpy")(_measure_in_python)


def _measure_in_python(
    samples: NDArray[np.float32], state: NDArray[np.float64], powers: NDArray[np.float64], energy: float, filled: int
) -> tuple[float, int]:
    """Weight samples, and fill `powers` with that of each tenth of a second that is full; returns what is over."""
    b0, b1, b2, a1, a2 = _SHELF
    c0, c1, c2, d1, d2 = _HIGH_PASS
    s1, s2, t1, t2 = state
    place = 0
    for sample in samples:
        x = np.float64(sample)
        y = b0 * x + s1
        s1 = b1 * x - a1 * y + s2
        s2 = b2 * x - a2 * y
        z = c0 * y + t1
        t1 = c1 * y - d1 * z + t2
        t2 = c2 * y - d2 * z
        energy += z * z
        filled += 1
        if filled == _PART_SAMPLES:
            powers[place] = energy / _PART_SAMPLES
            place += 1
            energy, filled = 0.0, 0
    state[:] = s1, s2, t1, t2
    return energy, filled

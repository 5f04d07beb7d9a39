"""The formula of the Snake activation, as the loops that numba compiles have it: `x + sin²(αx) / (α + 1e-9)`.

sin² has period π and is even, so with r = αx/π less its nearest whole number it is a polynomial in r², exact to
float32's last digits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

COEFFICIENTS = (
    9.869602862260178,
    -32.46957832584235,
    42.72533843825441,
    -30.085606154987982,
    12.989528286426115,
    -3.27137788056637,
)
"""sin²(πr) = c1 r² + c2 r⁴ + … for |r| ≤ ½, by least squares at Chebyshev's points: off by 6e-9 at most."""

# Contraction into fused multiply-adds is all that is taken of what `fastmath` allows: the rest could drop the rounding
# to a whole number, or take for granted that no number is infinite.
COMPILED: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}
"""How numba compiles the loops."""

LEAST = 1e-9
"""What upstream adds to α before it divides by it."""


def half_turns_and_amounts(alpha: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How many half turns of the sine an input of 1 is in each channel, and 1 / (α + 1e-9)."""
    values = alpha.ravel().astype(np.float64)
    return (values / math.pi).astype(np.float32), (1 / (values + LEAST)).astype(np.float32)

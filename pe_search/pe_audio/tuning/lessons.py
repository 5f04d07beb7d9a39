"""What a checkpoint learns from. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = Callable[[int], NDArray[np.float32]]
"""Gives what the codec makes of a window, by its number: float32 of shape (frames, numbers)."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A sound to learn from, of one window or several, of which the best one counts.

    Attributes:
        windows: Their numbers.
        heard: The texts that are right for it, by their places.
        unknown: Those of which that isn't known.
    """

    windows: tuple[int, ...]
    heard: frozenset[int]
    unknown: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a training goes.

    Attributes:
        steps: How many.
        seed: The same one gives the same weights, on the same machine.
    """

    steps: int
    seed: int

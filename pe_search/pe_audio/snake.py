"""The Snake activation of the DAC encoder, `x + sin²(αx) / (α + 1e-9)`, in one pass over memory.

As operations of torch it is five passes, and the sine alone takes longer than the convolution beside it where channels
are few. Here, on a CPU, it is one loop. numba compiles it when an encoder is loaded, which takes about two seconds and
needs no compiler on the machine. `formula.py` has the formula.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pe_search.pe_audio.formula import COEFFICIENTS, COMPILED, LEAST, half_turns_and_amounts

_C1, _C2, _C3, _C4, _C5, _C6 = map(np.float32, COEFFICIENTS)
# Numbers that the loops take at once.
_STRETCH = 1_024

_Loops = tuple[Callable[..., None], Callable[..., None]]


class Snake:
    """A `Snake1d` for channels-last signals of shape (batch, channels, 1, time).

    Args:
        snake: Upstream's module, in its final dtype and on its device.
    """

    def __init__(self, snake: Any) -> None:
        self._alpha: torch.Tensor = snake.alpha.detach()[:, :, None]
        self._inverse = (self._alpha + LEAST).reciprocal()
        self._loops = loops(self._alpha.dtype) if self._alpha.device.type == "cpu" else None
        if self._loops is not None:
            self._turns, self._amounts = turns_and_amounts(self._alpha)

    def __call__(self, signal: torch.Tensor) -> torch.Tensor:
        """The activation of a signal, in memory of its own."""
        if self._loops is None:
            wave = (signal * self._alpha).sin_().square_()
            return torch.addcmul(signal, wave, self._inverse, out=wave)
        result = torch.empty_like(signal, memory_format=torch.channels_last)
        self._loops[0](flat(signal), self._turns, self._amounts, flat(result))
        return result

    def after_adding(self, signal: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Add `residual` to `signal` in place, and return the activation of the sum."""
        if self._loops is None:
            return self(signal.add_(residual))
        result = torch.empty_like(signal, memory_format=torch.channels_last)
        self._loops[1](flat(signal), flat(residual), self._turns, self._amounts, flat(result))
        return result


def turns_and_amounts(alpha: torch.Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the loops take of each channel: its `half_turns_and_amounts`."""
    # Several moments side by side, because a loop over few channels is mostly beginning and end.
    times = max(1, _STRETCH // alpha.numel())
    turns, amounts = half_turns_and_amounts(alpha.flatten().float().numpy())
    return np.tile(turns, times), np.tile(amounts, times)


def flat(signal: torch.Tensor) -> NDArray[Any]:
    """A view of a channels-last signal, moment by moment, each with all its channels; of bfloat16, its bits."""
    moments = signal.permute(0, 2, 3, 1).view(-1)
    array: NDArray[Any] = (moments.view(torch.uint16) if signal.dtype == torch.bfloat16 else moments).numpy()
    return array


@cache
def loops(dtype: torch.dtype) -> _Loops | None:
    """The compiled loops for a dtype: the activation, and the activation after adding. None if there are none.

    They take what `flat` and `turns_and_amounts` give: signal, turns, amounts, result, with what is added in the second
    place.
    """
    if dtype == torch.float32:
        return _float32_loops()
    return _bfloat16_loops() if dtype == torch.bfloat16 else None


def _compiled_formula() -> Any:
    from numba import njit

    @njit(inline="always")
    def snake(x, turn, amount):  # type: ignore[no-untyped-def]
        r = x * turn
        r -= np.rint(r)
        u = r * r
        return x + amount * (((((_C6 * u + _C5) * u + _C4) * u + _C3) * u + _C2) * u + _C1) * u

    return snake


def _float32_loops() -> _Loops:
    from numba import njit, void
    from numba.types import Array, float32

    snake = _compiled_formula()
    numbers = Array(float32, 1, "C")

    @njit(void(numbers, numbers, numbers, numbers), **COMPILED)
    def activate(signal, turns, amounts, result):  # type: ignore[no-untyped-def]
        for start in range(0, len(signal), len(turns)):
            x, y = signal[start : start + len(turns)], result[start : start + len(turns)]
            for i in range(len(x)):
                y[i] = snake(x[i], turns[i], amounts[i])

    @njit(void(numbers, numbers, numbers, numbers, numbers), **COMPILED)
    def add_and_activate(signal, residual, turns, amounts, result):  # type: ignore[no-untyped-def]
        for start in range(0, len(signal), len(turns)):
            x, y = signal[start : start + len(turns)], result[start : start + len(turns)]
            added = residual[start : start + len(turns)]
            for i in range(len(x)):
                total = x[i] + added[i]
                x[i] = total
                y[i] = snake(total, turns[i], amounts[i])

    return activate, add_and_activate


def _bfloat16_loops() -> _Loops:
    """As numba knows no bfloat16: its 16 bits are the upper half of a float32, rounded to the nearest, ties to even."""
    from numba import njit, void
    from numba.types import Array, float32, uint16

    snake = _compiled_formula()
    numbers, constants = Array(uint16, 1, "C"), Array(float32, 1, "C")
    just_below_half, one, bits = np.uint32(0x7FFF), np.uint32(1), np.uint32(16)

    @njit(inline="always")
    def upper_half(word):  # type: ignore[no-untyped-def]
        return np.uint16((word + just_below_half + ((word >> bits) & one)) >> bits)

    @njit(void(numbers, constants, constants, numbers), **COMPILED)
    def activate(signal, turns, amounts, result):  # type: ignore[no-untyped-def]
        wide = np.empty(len(turns), np.float32)
        words = wide.view(np.uint32)
        for start in range(0, len(signal), len(turns)):
            x, y = signal[start : start + len(turns)], result[start : start + len(turns)]
            for i in range(len(x)):
                words[i] = np.uint32(x[i]) << bits
            for i in range(len(x)):
                wide[i] = snake(wide[i], turns[i], amounts[i])
            for i in range(len(x)):
                y[i] = upper_half(words[i])

    @njit(void(numbers, numbers, constants, constants, numbers), **COMPILED)
    def add_and_activate(signal, residual, turns, amounts, result):  # type: ignore[no-untyped-def]
        wide, other = np.empty(len(turns), np.float32), np.empty(len(turns), np.float32)
        words, other_words = wide.view(np.uint32), other.view(np.uint32)
        for start in range(0, len(signal), len(turns)):
            x, y = signal[start : start + len(turns)], result[start : start + len(turns)]
            added = residual[start : start + len(turns)]
            for i in range(len(x)):
                words[i] = np.uint32(x[i]) << bits
                other_words[i] = np.uint32(added[i]) << bits
            for i in range(len(x)):
                wide[i] += other[i]
                other[i] = snake(wide[i], turns[i], amounts[i])
            for i in range(len(x)):
                x[i] = upper_half(words[i])
                y[i] = upper_half(other_words[i])

    return activate, add_and_activate

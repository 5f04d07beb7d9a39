"""The Snake activation with gradients, `x + sin²(αx)/α` with a fixed `α`.

As operations of torch it takes as long as the convolutions beside it. On a CPU it is one loop each way here, which
numba compiles when it is first used; elsewhere it is torch's.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

# sin²(πr) = c1 r² + c2 r⁴ + … for |r| ≤ ½, as in `pe_search.pe_audio.snake`; its derivative is π sin(2πr).
_C1, _C2, _C3, _C4, _C5, _C6 = (
    np.float32(coefficient)
    for coefficient in (
        9.869602862260178,
        -32.46957832584235,
        42.72533843825441,
        -30.085606154987982,
        12.989528286426115,
        -3.27137788056637,
    )
)
_LEAST = 1e-9
# Numbers that the loops take at once, to stay in the nearest cache.
_STRETCH = 2_048


class Snake(torch.autograd.Function):
    """The activation of `[batch, channels, 1, time]`, channels last; it keeps nothing else for the backward pass."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, signals: Tensor, alpha: Tensor) -> Tensor:
        """The activation, of the type of `signals`. `alpha` is `[channels]`."""
        signals = signals.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(signals, alpha)
        if signals.device.type != "cpu":
            alpha = alpha[:, None, None]
            sines = torch.sin_(alpha * signals)
            return torch.addcmul(signals.float(), sines * (alpha + _LEAST).reciprocal(), sines).to(signals.dtype)
        result = torch.empty_like(signals)
        _loops()[signals.dtype][0](_flat(signals), *_constants(alpha), _flat(result))
        return result

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """The gradient times `1 + sin(2αx)`."""
        signals, alpha = ctx.saved_tensors  # type: ignore[attr-defined]
        if signals.device.type != "cpu":
            slope = torch.sin_(2 * alpha[:, None, None] * signals).add_(1)
            return slope.mul_(gradient).to(signals.dtype), None
        gradient = gradient.to(signals.dtype).contiguous(memory_format=torch.channels_last)
        result = torch.empty_like(signals)
        turns, _ = _constants(alpha)
        _loops()[signals.dtype][1](_flat(signals), turns, _flat(gradient), _flat(result))
        return result, None


def _constants(alpha: Tensor) -> tuple[Any, Any]:
    """`α/π` and `1/α` of all channels, of several moments side by side."""
    values = np.tile(alpha.double().numpy(), max(1, _STRETCH // len(alpha)))
    return (values / math.pi).astype(np.float32), (1 / (values + _LEAST)).astype(np.float32)


def _flat(signals: Tensor) -> Any:
    """A view of the signals, moment by moment, each with all its channels; of bfloat16, its bits."""
    numbers = signals.detach().permute(0, 2, 3, 1).view(-1)
    return (numbers.view(torch.uint16) if signals.dtype == torch.bfloat16 else numbers).numpy()


@cache
def _loops() -> dict[torch.dtype, tuple[Any, Any]]:
    """Forward and backward for each type. bfloat16 is the upper half of a float32, rounded to the nearest."""
    import numba
    from numba import njit, prange

    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
    below_half, one, bits = np.uint32(0x7FFF), np.uint32(1), np.uint32(16)
    options: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy", "boundscheck": False}

    @njit(inline="always")
    def activated(x, turn, amount):  # type: ignore[no-untyped-def]
        r = x * turn
        r -= np.rint(r)
        u = r * r
        return x + amount * (((((_C6 * u + _C5) * u + _C4) * u + _C3) * u + _C2) * u + _C1) * u

    two, three, four, five, six = (np.float32(n) for n in (2, 3, 4, 5, 6))
    two_by_pi, unity = np.float32(2 / math.pi), np.float32(1)

    @njit(inline="always")
    def slope(x, turn):  # type: ignore[no-untyped-def]
        r = x * turn
        r -= np.rint(r)
        u = r * r
        series = ((((six * _C6 * u + five * _C5) * u + four * _C4) * u + three * _C3) * u + two * _C2) * u + _C1
        return unity + two_by_pi * r * series

    @njit(inline="always")
    def upper_half(word):  # type: ignore[no-untyped-def]
        return np.uint16((word + below_half + ((word >> bits) & one)) >> bits)

    @njit(parallel=True, **options)
    def forward(signals, turns, amounts, result):  # type: ignore[no-untyped-def]
        size = len(turns)
        for block in prange((len(signals) + size - 1) // size):
            x, y = signals[block * size : (block + 1) * size], result[block * size : (block + 1) * size]
            for i in range(len(x)):
                y[i] = activated(x[i], turns[i], amounts[i])

    @njit(parallel=True, **options)
    def backward(signals, turns, gradient, result):  # type: ignore[no-untyped-def]
        size = len(turns)
        for block in prange((len(signals) + size - 1) // size):
            x, y = signals[block * size : (block + 1) * size], result[block * size : (block + 1) * size]
            g = gradient[block * size : (block + 1) * size]
            for i in range(len(x)):
                y[i] = g[i] * slope(x[i], turns[i])

    @njit(parallel=True, **options)
    def forward_16(signals, turns, amounts, result):  # type: ignore[no-untyped-def]
        size = len(turns)
        for block in prange((len(signals) + size - 1) // size):
            x, y = signals[block * size : (block + 1) * size], result[block * size : (block + 1) * size]
            wide = np.empty(size, np.float32)
            words = wide.view(np.uint32)
            for i in range(len(x)):
                words[i] = np.uint32(x[i]) << bits
            for i in range(len(x)):
                wide[i] = activated(wide[i], turns[i], amounts[i])
            for i in range(len(x)):
                y[i] = upper_half(words[i])

    @njit(parallel=True, **options)
    def backward_16(signals, turns, gradient, result):  # type: ignore[no-untyped-def]
        size = len(turns)
        for block in prange((len(signals) + size - 1) // size):
            x, y = signals[block * size : (block + 1) * size], result[block * size : (block + 1) * size]
            g = gradient[block * size : (block + 1) * size]
            wide, other = np.empty(size, np.float32), np.empty(size, np.float32)
            words, other_words = wide.view(np.uint32), other.view(np.uint32)
            for i in range(len(x)):
                words[i] = np.uint32(x[i]) << bits
                other_words[i] = np.uint32(g[i]) << bits
            for i in range(len(x)):
                wide[i] = other[i] * slope(wide[i], turns[i])
            for i in range(len(x)):
                y[i] = upper_half(words[i])

    return {torch.float32: (forward, backward), torch.bfloat16: (forward_16, backward_16)}

"""The Snake activation with gradients, `x + sin²(αx)/α` with a fixed `α`.

As operations of torch it takes as long as the convolutions beside it. On a CPU it is pe-search's own loop, and another
one back; elsewhere it is torch's.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pe_search.pe_audio.snake import COEFFICIENTS, COMPILED, flat, loops, turns_and_amounts

_LEAST = 1e-9


class Snake(torch.autograd.Function):
    """The activation of `[batch, channels, 1, time]`, channels last; it keeps nothing else for the backward pass."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, signals: Tensor, alpha: Tensor) -> Tensor:
        """The activation, of the type of `signals` (float32 or bfloat16). `alpha` is `[channels]`."""
        signals = signals.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(signals, alpha)
        if signals.device.type != "cpu":
            alpha = alpha[:, None, None]
            sines = torch.sin_(alpha * signals)
            return torch.addcmul(signals.float(), sines * (alpha + _LEAST).reciprocal(), sines).to(signals.dtype)
        compiled = loops(signals.dtype)
        assert compiled is not None
        result = torch.empty_like(signals)
        compiled[0](flat(signals), *turns_and_amounts(alpha), flat(result))
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
        turns, _ = turns_and_amounts(alpha)
        _loops_back()[signals.dtype](flat(signals), turns, flat(gradient), flat(result))
        return result, None


@cache
def _loops_back() -> dict[torch.dtype, Any]:
    """The loop for each type: the derivative of sin²(πr) is π sin(2πr), so it takes the same coefficients."""
    from numba import njit

    slopes = [np.float32(2 * power * c / math.pi) for power, c in enumerate(COEFFICIENTS, 1)]
    s1, s2, s3, s4, s5, s6 = slopes
    one, below_half, lowest, bits = np.float32(1), np.uint32(0x7FFF), np.uint32(1), np.uint32(16)

    @njit(inline="always")
    def slope(x, turn):  # type: ignore[no-untyped-def]
        r = x * turn
        r -= np.rint(r)
        u = r * r
        return one + r * (((((s6 * u + s5) * u + s4) * u + s3) * u + s2) * u + s1)

    @njit(**COMPILED)
    def backward(signals, turns, gradient, result):  # type: ignore[no-untyped-def]
        size = len(turns)
        for start in range(0, len(signals), size):
            x, g, y = signals[start : start + size], gradient[start : start + size], result[start : start + size]
            for i in range(len(x)):
                y[i] = g[i] * slope(x[i], turns[i])

    @njit(**COMPILED)
    def backward_16(signals, turns, gradient, result):  # type: ignore[no-untyped-def]
        size = len(turns)
        wide, other = np.empty(size, np.float32), np.empty(size, np.float32)
        words, other_words = wide.view(np.uint32), other.view(np.uint32)
        for start in range(0, len(signals), size):
            x, g, y = signals[start : start + size], gradient[start : start + size], result[start : start + size]
            for i in range(len(x)):
                words[i] = np.uint32(x[i]) << bits
                other_words[i] = np.uint32(g[i]) << bits
            for i in range(len(x)):
                wide[i] = other[i] * slope(wide[i], turns[i])
            for i in range(len(x)):
                y[i] = np.uint16((words[i] + below_half + ((words[i] >> bits) & lowest)) >> bits)

    return {torch.float32: backward, torch.bfloat16: backward_16}

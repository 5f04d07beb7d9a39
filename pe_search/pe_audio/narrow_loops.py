"""Loops over a signal of few channels, which numba compiles once and keeps for the next run.

A library's convolution takes channels by the 16 or so, and where there are 2 it mostly multiplies by nothing. Here time
is what is taken by the 16: each number of a kernel is multiplied by a stretch of the signal at once.

A signal is float32, (windows, channels, time), and each window has its own end. Beyond it nothing is read or written
but where it is said. Kernels are (outputs, inputs, taps).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from pe_search.pe_audio.formula import COEFFICIENTS, COMPILED

_C1, _C2, _C3, _C4, _C5, _C6 = map(np.float32, COEFFICIENTS)
# Numbers of one channel that are taken from one operation to the next: those of all channels stay in the cache.
_STRETCH = 1_024
# Numbers of one channel that `go_down` makes at once.
_SHORT_STRETCH = 512
_TAPS = 7


def _kept(loop: Any) -> Any:
    """Compile a loop when it is first called, and keep it for later runs if there is a place to write it to."""
    try:
        return njit(cache=True, **COMPILED)(loop)
    except RuntimeError:
        return njit(**COMPILED)(loop)


@njit(inline="always")
def _snake(x, turn, amount):  # type: ignore[no-untyped-def]
    r = x * turn
    r -= np.rint(r)
    u = r * r
    return x + amount * (((((_C6 * u + _C5) * u + _C4) * u + _C3) * u + _C2) * u + _C1) * u


@_kept
def _activate(x, turn, amount, y):  # type: ignore[no-untyped-def]
    for t in range(len(x)):
        y[t] = _snake(x[t], turn, amount)


@_kept
def _activate_in_place(x, turn, amount):  # type: ignore[no-untyped-def]
    # A loop that reads and writes two arrays which are the same goes number by number.
    for t in range(len(x)):
        x[t] = _snake(x[t], turn, amount)


@_kept
def _copy(x, y):  # type: ignore[no-untyped-def]
    # numba takes three seconds to compile the assignment of a slice.
    for t in range(len(x)):
        y[t] = x[t]


@_kept
def _convolve(signal, kernel, bias, dilation, length, result):  # type: ignore[no-untyped-def]
    """`length` numbers of a convolution with seven taps; `signal` begins with what the first of them needs."""
    outputs, inputs, _ = kernel.shape
    for o in range(0, outputs - 1, 2):
        y, z = result[o, :length], result[o + 1, :length]
        y[:], z[:] = bias[o], bias[o + 1]
        for i in range(inputs):
            v, w = kernel[o, i], kernel[o + 1, i]
            v0, v1, v2, v3, v4, v5, v6 = v[0], v[1], v[2], v[3], v[4], v[5], v[6]
            w0, w1, w2, w3, w4, w5, w6 = w[0], w[1], w[2], w[3], w[4], w[5], w[6]
            a, b, c = signal[i, :length], signal[i, dilation:], signal[i, 2 * dilation :]
            d, e = signal[i, 3 * dilation :], signal[i, 4 * dilation :]
            f, g = signal[i, 5 * dilation :], signal[i, 6 * dilation :]
            for t in range(length):
                # In this order, each product is one fused operation with the sum before it.
                y[t] = y[t] + v0 * a[t] + v1 * b[t] + v2 * c[t] + v3 * d[t] + v4 * e[t] + v5 * f[t] + v6 * g[t]
                z[t] = z[t] + w0 * a[t] + w1 * b[t] + w2 * c[t] + w3 * d[t] + w4 * e[t] + w5 * f[t] + w6 * g[t]
    if outputs % 2:
        o = outputs - 1
        y = result[o, :length]
        y[:] = bias[o]
        for i in range(inputs):
            v = kernel[o, i]
            for k in range(_TAPS):
                a, weight = signal[i, k * dilation :], v[k]
                for t in range(length):
                    y[t] += weight * a[t]


@_kept
def convolve(signal, ends, kernel, bias, result):  # type: ignore[no-untyped-def]
    """A convolution with seven taps side by side, with zeros around each window."""
    _, channels, _ = signal.shape
    reach = _TAPS // 2
    held = np.empty((channels, _STRETCH + 2 * reach), np.float32)
    convolved = np.empty((len(kernel), _STRETCH), np.float32)
    for row in range(len(signal)):
        for start in range(0, ends[row], _STRETCH):
            stop = min(start + _STRETCH, ends[row])
            first, last = max(0, start - reach), min(ends[row], stop + reach)
            for c in range(channels):
                held[c, : first - start + reach] = 0
                _copy(signal[row, c, first:last], held[c, first - start + reach :])
                held[c, last - start + reach :] = 0
            _convolve(held, kernel, bias, 1, stop - start, convolved)
            for o in range(len(kernel)):
                _copy(convolved[o, : stop - start], result[row, o, start:])


@_kept
def residual_unit(  # type: ignore[no-untyped-def]
    signal, ends, turns1, amounts1, kernel1, bias1, dilation, turns2, amounts2, kernel2, bias2, result
):
    """Snake, dilated convolution, Snake, convolution of one tap, and the signal added."""
    _, channels, _ = signal.shape
    reach = _TAPS // 2 * dilation
    held = np.empty((channels, _STRETCH + 2 * reach), np.float32)
    branch = np.empty((channels, _STRETCH), np.float32)
    for row in range(len(signal)):
        for start in range(0, ends[row], _STRETCH):
            stop = min(start + _STRETCH, ends[row])
            length = stop - start
            first, last = max(0, start - reach), min(ends[row], stop + reach)
            for c in range(channels):
                held[c, : first - start + reach] = 0
                _activate(signal[row, c, first:last], turns1[c], amounts1[c], held[c, first - start + reach :])
                held[c, last - start + reach :] = 0
            _convolve(held, kernel1, bias1, dilation, length, branch)
            for c in range(channels):
                _activate_in_place(branch[c, :length], turns2[c], amounts2[c])
            for o in range(channels):
                x, y, bias = signal[row, o, start:stop], result[row, o, start:stop], bias2[o]
                for t in range(length):
                    y[t] = x[t] + bias
                for i in range(0, channels - 1, 2):
                    v, w, a, b = kernel2[o, i, 0], kernel2[o, i + 1, 0], branch[i, :length], branch[i + 1, :length]
                    for t in range(length):
                        y[t] += v * a[t] + w * b[t]
                if channels % 2:
                    v, a = kernel2[o, channels - 1, 0], branch[channels - 1, :length]
                    for t in range(length):
                        y[t] += v * a[t]


@_kept
def go_down(signal, ends, turns, amounts, kernel, bias, stride, result):  # type: ignore[no-untyped-def]
    """Snake, and a convolution of twice as many taps as it goes on. What is beyond the ends is not written.

    Of each channel, every `stride`-th number is put side by side, so that time is taken by the 16 here too.
    """
    _, channels, _ = signal.shape
    outputs = len(kernel)
    before = (stride + 1) // 2
    line = np.empty((_SHORT_STRETCH + 1) * stride, np.float32)
    phases = np.empty((channels * stride, _SHORT_STRETCH + 1), np.float32)
    for row in range(len(signal)):
        end = ends[row]
        for start in range(0, end // stride, _SHORT_STRETCH):
            length = min(_SHORT_STRETCH, end // stride - start)
            begin = start * stride - before
            stop = begin + (length + 1) * stride
            first, last = max(0, begin), min(end, stop)
            for c in range(channels):
                line[: first - begin] = 0
                _activate(signal[row, c, first:last], turns[c], amounts[c], line[first - begin :])
                line[last - begin : stop - begin] = 0
                for p in range(stride):
                    phase = phases[c * stride + p]
                    for t in range(length + 1):
                        phase[t] = line[t * stride + p]
            for o in range(outputs):
                y = result[row, o, start : start + length]
                y[:] = bias[o]
                for c in range(channels):
                    for p in range(stride):
                        a, v, w = phases[c * stride + p], kernel[o, c, p], kernel[o, c, p + stride]
                        b = a[1:]
                        for t in range(length):
                            y[t] = y[t] + v * a[t] + w * b[t]


@_kept
def activate(signal, ends, turns, amounts, result):  # type: ignore[no-untyped-def]
    """Snake, and zeros beyond the ends."""
    for row in range(len(signal)):
        end = ends[row]
        for c in range(signal.shape[1]):
            _activate(signal[row, c, :end], turns[c], amounts[c], result[row, c])
            result[row, c, end:] = 0


@_kept
def activate_in_place(signal, ends, turns, amounts):  # type: ignore[no-untyped-def]
    """Snake where the signal was, and zeros beyond the ends."""
    for row in range(len(signal)):
        end = ends[row]
        for c in range(signal.shape[1]):
            _activate_in_place(signal[row, c, :end], turns[c], amounts[c])
            signal[row, c, end:] = 0

"""A DAC encoder of few channels, on one thread of a CPU: upstream's results, without torch.

Where channels are fewer than a library's convolution takes at once, most of the time goes into its padding and into the
passes of the Snake activation over memory. There, a whole residual unit is one loop of `narrow_loops`. In the blocks of
more channels the convolutions are a library's: torch's (`narrow_dac.py`) or ONNX Runtime's (`convolutions.py`).

Each window has its own end, and nothing beyond it is heard.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.pe_audio.formula import half_turns_and_amounts

# From so many channels on, a library's convolution is the faster one.
MANY_CHANNELS = 32

Signal = NDArray[np.float32]
_Weights = dict[str, Signal]
_DILATIONS = (1, 3, 9)


class Shape(NamedTuple):
    """What a convolution over time has beside its weights; `padding` zeros are on each side of the signal."""

    taps: int
    dilation: int
    stride: int
    padding: int


class Convolve(Protocol):
    """A library's convolution of (windows, inputs, time), with a kernel of (outputs, inputs, taps)."""

    def __call__(self, signal: Signal, kernel: Signal, bias: Signal, shape: Shape) -> Signal:
        """(windows, outputs, time), in memory of its own."""


_POINTWISE = Shape(taps=1, dilation=1, stride=1, padding=0)
_LAST = Shape(taps=3, dilation=1, stride=1, padding=1)


def _dilated(dilation: int) -> Shape:
    return Shape(taps=7, dilation=dilation, stride=1, padding=3 * dilation)


def _down(stride: int) -> Shape:
    return Shape(taps=2 * stride, dilation=1, stride=stride, padding=-(-stride // 2))


def shapes(strides: Sequence[int]) -> list[Shape]:
    """Those of all convolutions that an encoder of these strides may leave to a library."""
    return [*map(_dilated, _DILATIONS), _POINTWISE, *map(_down, sorted(set(strides))), _LAST]


class NarrowEncoder:
    """Stands in for a `PeAudioDacEncoder`.

    Args:
        weights: Those of the encoder, by upstream's names, in float32.
        strides: Of its blocks.
        convolve: For the blocks of many channels.
    """

    def __init__(self, weights: Mapping[str, Signal], strides: Sequence[int], convolve: Convolve) -> None:
        # numba takes a third of a second to import.
        from pe_search.pe_audio import narrow_loops

        self._loops = narrow_loops
        self._memory = _Memory()
        self._first = weights["conv1.weight"], weights["conv1.bias"]
        self._blocks: list[_LoopBlock | _LibraryBlock] = []
        for number, stride in enumerate(strides):
            its = _part(weights, f"block.{number}")
            if len(its["snake1.alpha"].ravel()) < MANY_CHANNELS:
                self._blocks.append(_LoopBlock(its, stride, narrow_loops))
            else:
                self._blocks.append(_LibraryBlock(its, stride, narrow_loops, convolve))
        self._snake = _Snake(weights, "snake1", narrow_loops)
        self._last = _Convolution(weights, "conv2", _LAST, convolve)

    def __call__(self, waveforms: Signal, ends: NDArray[np.int64]) -> Signal:
        """Encode waveforms.

        Args:
            waveforms: (windows, 1, samples).
            ends: Where each window ends, in samples: a whole number of frames.

        Returns:
            (windows, channels, frames). What is beyond a window's end is finite and means nothing.
        """
        kernel, bias = self._first
        signal = self._memory.next((len(waveforms), len(kernel), waveforms.shape[2]))
        self._loops.convolve(np.ascontiguousarray(waveforms), ends, kernel, bias, signal)
        for block in self._blocks:
            signal = block(signal, ends, self._memory)
            ends = ends // block.stride
        return self._last(self._snake.in_place(signal, ends))


class _Memory(threading.local):
    """Where loops write a signal: in two places by turns, so that each reads one and writes the other.

    They are kept from one batch to the next. To let the system find and clear new ones takes as long as some loops.
    """

    def __init__(self) -> None:
        self._places = [np.empty(0, np.float32), np.empty(0, np.float32)]

    def next(self, shape: tuple[int, ...]) -> Signal:
        numbers = math.prod(shape)
        self._places.reverse()
        if len(self._places[0]) < numbers:
            self._places[0] = np.empty(numbers, np.float32)
        return self._places[0][:numbers].reshape(shape)


class _LoopBlock:
    """A block of few channels: all of it is loops."""

    def __init__(self, weights: _Weights, stride: int, loops: Any) -> None:
        self.stride = stride
        self._loops = loops
        self._units = [
            _unit(_part(weights, f"res_unit{number}"), dilation) for number, dilation in enumerate(_DILATIONS, 1)
        ]
        self._down = (*half_turns_and_amounts(weights["snake1.alpha"]), weights["conv1.weight"], weights["conv1.bias"])

    def __call__(self, signal: Signal, ends: NDArray[np.int64], memory: _Memory) -> Signal:
        for arguments in self._units:
            result = memory.next(signal.shape)
            self._loops.residual_unit(signal, ends, *arguments, result)
            signal = result
        rows, channels, time = signal.shape
        result = memory.next((rows, 2 * channels, time // self.stride))
        self._loops.go_down(signal, ends, *self._down, self.stride, result)
        return result


class _LibraryBlock:
    """A block of many channels: its convolutions are the library's, its activations loops."""

    def __init__(self, weights: _Weights, stride: int, loops: Any, convolve: Convolve) -> None:
        self.stride = stride
        self._units = []
        for number, dilation in enumerate(_DILATIONS, 1):
            its = _part(weights, f"res_unit{number}")
            snakes = _Snake(its, "snake1", loops), _Snake(its, "snake2", loops)
            convolutions = (
                _Convolution(its, "conv1", _dilated(dilation), convolve),
                _Convolution(its, "conv2", _POINTWISE, convolve),
            )
            self._units.append((*snakes, *convolutions))
        self._snake = _Snake(weights, "snake1", loops)
        self._down = _Convolution(weights, "conv1", _down(stride), convolve)

    def __call__(self, signal: Signal, ends: NDArray[np.int64], _memory: _Memory) -> Signal:
        for snake1, snake2, conv1, conv2 in self._units:
            branch = conv2(snake2.in_place(conv1(snake1(signal, ends)), ends))
            branch += signal
            signal = branch
        return self._down(self._snake.in_place(signal, ends))


class _Snake:
    def __init__(self, weights: Mapping[str, Signal], name: str, loops: Any) -> None:
        self._turns, self._amounts = half_turns_and_amounts(weights[f"{name}.alpha"])
        self._loops = loops

    def __call__(self, signal: Signal, ends: NDArray[np.int64]) -> Signal:
        """The activation in memory of its own, with zeros beyond the ends."""
        result = np.empty_like(signal)
        self._loops.activate(signal, ends, self._turns, self._amounts, result)
        return result

    def in_place(self, signal: Signal, ends: NDArray[np.int64]) -> Signal:
        """The activation where the signal was, with zeros beyond the ends."""
        self._loops.activate_in_place(signal, ends, self._turns, self._amounts)
        return signal


class _Convolution:
    def __init__(self, weights: Mapping[str, Signal], name: str, shape: Shape, convolve: Convolve) -> None:
        self._kernel, self._bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        self._shape, self._convolve = shape, convolve

    def __call__(self, signal: Signal) -> Signal:
        return self._convolve(signal, self._kernel, self._bias, self._shape)


def _unit(weights: _Weights, dilation: int) -> tuple[Any, ...]:
    """What the loop of a residual unit takes between its signal and its result."""
    return (
        *(*half_turns_and_amounts(weights["snake1.alpha"]), weights["conv1.weight"], weights["conv1.bias"], dilation),
        *(*half_turns_and_amounts(weights["snake2.alpha"]), weights["conv2.weight"], weights["conv2.bias"]),
    )


def _part(weights: Mapping[str, Signal], name: str) -> _Weights:
    start = f"{name}."
    return {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}

"""The first blocks of a DAC encoder of few channels, on one thread of a CPU: upstream's results, without torch.

Where channels are fewer than a library's convolution takes at once, most of the time goes into its padding and into the
passes of the Snake activation over memory. There, a whole residual unit is one loop of `narrow_loops`. The blocks of
more channels are torch's (`narrow_dac.py`) or ONNX Runtime's (`compiled_audio.py`).

Each window has its own end, and nothing beyond it is heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pe_search.pe_audio.formula import half_turns_and_amounts

# From so many channels on, a library's convolution is the faster one.
MANY_CHANNELS = 16

_Signal = NDArray[np.float32]
_DILATIONS = (1, 3, 9)


def narrow_blocks(channels: int, blocks: int) -> int:
    """How many blocks at the start of an encoder have few channels, of which the first has so many."""
    return next((block for block in range(blocks) if channels << block >= MANY_CHANNELS), blocks)


class NarrowFront:
    """The first convolution of a `PeAudioDacEncoder` and its blocks of few channels.

    Args:
        weights: Those of the encoder, by upstream's names, in float32.
        strides: Of all its blocks.

    Attributes:
        blocks: How many of the blocks these are.
        stride: How many samples of a window one moment of the result is.
    """

    def __init__(self, weights: Mapping[str, _Signal], strides: Sequence[int]) -> None:
        # numba takes a third of a second to import.
        from pe_search.pe_audio import narrow_loops

        self._loops = narrow_loops
        self._first = weights["conv1.weight"], weights["conv1.bias"]
        self.blocks = narrow_blocks(len(self._first[0]), len(strides))
        self._blocks = [
            _Block(_part(weights, f"block.{number}"), strides[number], narrow_loops) for number in range(self.blocks)
        ]
        self.stride = int(np.prod(strides[: self.blocks], dtype=np.int64))

    def __call__(self, waveforms: _Signal, ends: NDArray[np.int64]) -> _Signal:
        """Encode waveforms as far as there are few channels.

        Args:
            waveforms: (windows, 1, samples).
            ends: Where each window ends, in samples: a whole number of frames.

        Returns:
            (windows, channels, moments). What is beyond a window's end means nothing.
        """
        kernel, bias = self._first
        signal = np.empty((len(waveforms), len(kernel), waveforms.shape[2]), np.float32)
        self._loops.convolve(np.ascontiguousarray(waveforms), ends, kernel, bias, signal)
        for block in self._blocks:
            signal = block(signal, ends)
            ends = ends // block.stride
        return signal


def _part(weights: Mapping[str, _Signal], name: str) -> dict[str, _Signal]:
    start = f"{name}."
    return {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}


class _Block:
    def __init__(self, weights: Mapping[str, _Signal], stride: int, loops: Any) -> None:
        self.stride = stride
        self._loops = loops
        self._units = [
            _unit(_part(weights, f"res_unit{number}"), dilation) for number, dilation in enumerate(_DILATIONS, 1)
        ]
        self._turns, self._amounts = half_turns_and_amounts(weights["snake1.alpha"])
        kernel = weights["conv1.weight"]
        # Time by time and channel by channel, as the stretches below are.
        self._kernel = np.ascontiguousarray(kernel.transpose(0, 2, 1).reshape(len(kernel), -1).T)
        self._bias = weights["conv1.bias"]

    def __call__(self, signal: _Signal, ends: NDArray[np.int64]) -> _Signal:
        for arguments in self._units:
            result = np.empty_like(signal)
            self._loops.residual_unit(signal, ends, *arguments, result)
            signal = result
        self._loops.activate(signal, ends, self._turns, self._amounts, signal)
        return self._down(signal)

    def _down(self, signal: _Signal) -> _Signal:
        """A convolution of twice as many taps as it goes on: (windows, channels, time) to a shorter time."""
        stride = self.stride
        before = -(-stride // 2)
        padded = np.pad(signal.transpose(0, 2, 1), ((0, 0), (before, before), (0, 0)))
        rows, _, channels = padded.shape
        stretches = sliding_window_view(padded.reshape(rows, -1), 2 * stride * channels, axis=1)
        moments = signal.shape[2] // stride
        stretches = stretches[:, :: stride * channels][:, :moments]
        return np.ascontiguousarray((stretches @ self._kernel + self._bias).transpose(0, 2, 1))


def _unit(weights: Mapping[str, _Signal], dilation: int) -> tuple[Any, ...]:
    """What the loop of a residual unit takes between its signal and its result."""
    return (
        *(*half_turns_and_amounts(weights["snake1.alpha"]), weights["conv1.weight"], weights["conv1.bias"], dilation),
        *(*half_turns_and_amounts(weights["snake2.alpha"]), weights["conv2.weight"], weights["conv2.bias"]),
    )

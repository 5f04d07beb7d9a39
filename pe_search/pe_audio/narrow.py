"""The DAC encoder for few channels on one thread of a CPU: the same results as upstream's, several times as fast.

Where channels are fewer than a library's convolution takes at once, most of the time goes into its padding and into the
passes of the Snake activation over memory. There, a whole residual unit is one loop of `narrow_loops`. Where channels
are more, the convolutions are torch's and the activations ours.

Each window has its own end, and nothing beyond it is heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pe_search.pe_audio.dac import Ends
from pe_search.pe_audio.snake import half_turns_and_amounts

# From so many channels on, torch's convolution is the faster one.
_MANY_CHANNELS = 16

_Signal = NDArray[np.float32]


class NarrowDacEncoder(nn.Module):
    """Stands in for a `PeAudioDacEncoder`, with its weights.

    Args:
        encoder: Upstream's module, in float32 and on the CPU.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        # numba takes a third of a second to import.
        from pe_search.pe_audio import narrow_loops

        self._loops = narrow_loops
        self._first = _numbers(encoder.conv1)
        self._blocks = [_Block(block, narrow_loops) for block in encoder.block]
        self._snake = _Snake(encoder.snake1, narrow_loops)
        self._last = encoder.conv2

    def forward(self, waveforms: torch.Tensor, ends: Ends | None = None) -> torch.Tensor:
        """Encode waveforms.

        Args:
            waveforms: (windows, 1, samples).
            ends: Where each window ends, in frames; none if all of them fill their rows.

        Returns:
            (windows, channels, frames). What is beyond a window's end is finite and means nothing.
        """
        rows, _, samples = waveforms.shape
        kernel, bias = self._first
        hop = 1
        for block in self._blocks:
            hop *= block.stride
        known = (samples // hop,) * rows if ends is None else ends.known
        stops = np.array(known, np.int64) * hop
        signal = torch.empty(rows, len(kernel), samples)
        self._loops.convolve(waveforms.contiguous().numpy(), stops, kernel, bias, signal.numpy())
        for block in self._blocks:
            signal = block(signal, stops)
            stops //= block.stride
        encoded: torch.Tensor = self._last(self._snake(signal, stops))
        return encoded


def _numbers(convolution: nn.Conv1d) -> tuple[_Signal, _Signal]:
    bias = torch.zeros(convolution.out_channels) if convolution.bias is None else convolution.bias.detach()
    return convolution.weight.detach().contiguous().numpy(), bias.contiguous().numpy()


class _Snake:
    def __init__(self, snake: Any, loops: Any) -> None:
        self.turns, self.amounts = half_turns_and_amounts(snake.alpha.detach())
        self._activate = loops.activate

    def __call__(self, signal: torch.Tensor, stops: NDArray[np.int64]) -> torch.Tensor:
        """The activation in memory of its own, with zeros beyond the ends."""
        result = torch.empty_like(signal)
        self._activate(signal.numpy(), stops, self.turns, self.amounts, result.numpy())
        return result

    def in_place(self, signal: torch.Tensor, stops: NDArray[np.int64]) -> torch.Tensor:
        """The activation where the signal was, with zeros beyond the ends."""
        self._activate(signal.numpy(), stops, self.turns, self.amounts, signal.numpy())
        return signal


class _Unit:
    def __init__(self, unit: Any, loops: Any) -> None:
        self._loops = loops
        self._snake1, self._snake2 = _Snake(unit.snake1, loops), _Snake(unit.snake2, loops)
        self._conv1, self._conv2 = unit.conv1, unit.conv2
        self._arguments: Sequence[Any] = (
            *(self._snake1.turns, self._snake1.amounts, *_numbers(unit.conv1), unit.conv1.dilation[0]),
            *(self._snake2.turns, self._snake2.amounts, *_numbers(unit.conv2)),
        )

    def __call__(self, signal: torch.Tensor, stops: NDArray[np.int64]) -> torch.Tensor:
        result: torch.Tensor
        if signal.shape[1] < _MANY_CHANNELS:
            result = torch.empty_like(signal)
            self._loops.residual_unit(signal.numpy(), stops, *self._arguments, result.numpy())
            return result
        branch = self._conv1(self._snake1(signal, stops))
        result = self._conv2(self._snake2.in_place(branch, stops))
        return result.add_(signal)


class _Block:
    def __init__(self, block: Any, loops: Any) -> None:
        self._units = [_Unit(unit, loops) for unit in (block.res_unit1, block.res_unit2, block.res_unit3)]
        self._snake = _Snake(block.snake1, loops)
        self._down = block.conv1
        self.stride: int = block.conv1.stride[0]

    def __call__(self, signal: torch.Tensor, stops: NDArray[np.int64]) -> torch.Tensor:
        for unit in self._units:
            signal = unit(signal, stops)
        result: torch.Tensor = self._down(self._snake.in_place(signal, stops))
        return result

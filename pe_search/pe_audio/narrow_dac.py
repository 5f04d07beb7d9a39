"""The DAC encoder for few channels on one thread of a CPU: the same results as upstream's, several times as fast.

Its blocks of few channels are `narrow.NarrowFront`. In the others the convolutions are torch's, the activations ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pe_search.pe_audio.dac import Ends
from pe_search.pe_audio.formula import half_turns_and_amounts
from pe_search.pe_audio.narrow import NarrowFront


class NarrowDacEncoder(nn.Module):
    """Stands in for a `PeAudioDacEncoder`, with its weights.

    Args:
        encoder: Upstream's module, in float32 and on the CPU.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        from pe_search.pe_audio import narrow_loops

        weights = {name: weight.detach().contiguous().numpy() for name, weight in encoder.state_dict().items()}
        self._strides = [block.conv1.stride[0] for block in encoder.block]
        self._front = NarrowFront(weights, self._strides)
        self._blocks = [_Block(block, narrow_loops) for block in encoder.block[self._front.blocks :]]
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
        hop = int(np.prod(self._strides))
        known = (samples // hop,) * rows if ends is None else ends.known
        stops = np.array(known, np.int64) * hop
        signal = torch.from_numpy(self._front(waveforms.numpy(), stops))
        stops //= self._front.stride
        for block in self._blocks:
            signal = block(signal, stops)
            stops //= block.stride
        encoded: torch.Tensor = self._last(self._snake(signal, stops))
        return encoded


class _Snake:
    def __init__(self, snake: Any, loops: Any) -> None:
        self._turns, self._amounts = half_turns_and_amounts(snake.alpha.detach().numpy())
        self._activate = loops.activate

    def __call__(self, signal: torch.Tensor, stops: NDArray[np.int64]) -> torch.Tensor:
        """The activation in memory of its own, with zeros beyond the ends."""
        result = torch.empty_like(signal)
        self._activate(signal.numpy(), stops, self._turns, self._amounts, result.numpy())
        return result

    def in_place(self, signal: torch.Tensor, stops: NDArray[np.int64]) -> torch.Tensor:
        """The activation where the signal was, with zeros beyond the ends."""
        self._activate(signal.numpy(), stops, self._turns, self._amounts, signal.numpy())
        return signal


class _Unit:
    def __init__(self, unit: Any, loops: Any) -> None:
        self._snake1, self._snake2 = _Snake(unit.snake1, loops), _Snake(unit.snake2, loops)
        self._conv1, self._conv2 = unit.conv1, unit.conv2

    def __call__(self, signal: torch.Tensor, stops: NDArray[np.int64]) -> torch.Tensor:
        branch = self._conv1(self._snake1(signal, stops))
        result: torch.Tensor = self._conv2(self._snake2.in_place(branch, stops))
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

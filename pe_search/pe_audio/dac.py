"""The DAC encoder in tiles that stay in the processor's cache: the same results as upstream's, several times as fast.

Upstream runs each operation of `PeAudioDacEncoder` over the whole clip. At 48 and 24 kHz, where most of the work is, an
activation of 10 s is 123 MB with PE-AV's sizes, and every pass of every Snake activation streams it through memory.
Here each encoder block runs over one stretch of time after the other, a *tile*, with all its operations on one tile
before the next.

**The halo.** An output of a block depends on inputs to both sides. A strided convolution with kernel 2s, stride s and
padding p makes output t of inputs [ts - p, ts - p + 2s). Each residual unit before it has a convolution with 7 taps
and dilation d, and so reaches 3d further to each side; with d = 1, 3 and 9 that is 39. A tile therefore takes its
inputs and 39 more on each side, and each unit uses up its 3d of them. Where the clip itself ends there is no halo to
take: there, and only there, each convolution gets the zeros that upstream pads with. Nothing is approximated.

Channels come last in memory (as in a picture one pixel high), which is how oneDNN's convolutions run fastest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

# A tile's activations take about this many numbers, so that three of them fit into the cache of one core or two.
_NUMBERS_PER_TILE = 600_000


class TiledDacEncoder(nn.Module):
    """Stands in for a `PeAudioDacEncoder`, with its weights.

    Args:
        encoder: Upstream's module, in its final dtype. Its weights are taken over in another memory layout.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self._first = _Convolution(encoder.conv1)
        self._blocks = [_Block(block) for block in encoder.block]
        self._snake = _Snake(encoder.snake1)
        self._last = _Convolution(encoder.conv2)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Encode waveforms.

        Args:
            waveforms: (windows, 1, samples).

        Returns:
            (windows, channels, frames).
        """
        return torch.cat([self._encode(waveform[None, :, None]) for waveform in waveforms])

    def _encode(self, waveform: torch.Tensor) -> torch.Tensor:
        signal = self._first(waveform, at_start=True, at_end=True)
        for block in self._blocks:
            signal = block(signal)
        return self._last(self._snake(signal), at_start=True, at_end=True).squeeze(2)


class _Convolution:
    """A Conv1d over (1, channels, 1, time), padded with zeros only at the ends of the clip."""

    def __init__(self, convolution: nn.Conv1d) -> None:
        self.weight = convolution.weight.detach()[:, :, None].contiguous(memory_format=torch.channels_last)
        self.bias = convolution.bias.detach() if convolution.bias is not None else None
        self.kernel: int = convolution.kernel_size[0]
        self.stride: int = convolution.stride[0]
        self.dilation: int = convolution.dilation[0]
        self.padding = int(convolution.padding[0])

    def __call__(self, signal: torch.Tensor, *, at_start: bool, at_end: bool) -> torch.Tensor:
        padding = 0
        if at_start and at_end:
            padding = self.padding
        elif at_start or at_end:
            signal = functional.pad(signal, (self.padding * at_start, self.padding * at_end))
        return functional.conv2d(signal, self.weight, self.bias, (1, self.stride), (0, padding), (1, self.dilation))


class _Snake:
    """`x + sin²(αx) / (α + 1e-9)`, as Snake1d has it, with one temporary."""

    def __init__(self, snake: Any) -> None:
        alpha = snake.alpha.detach()[:, :, None]
        self._alpha = alpha
        self._inverse = (alpha + 1e-9).reciprocal()

    def __call__(self, signal: torch.Tensor) -> torch.Tensor:
        wave = (signal * self._alpha).sin_().square_()
        return torch.addcmul(signal, wave, self._inverse, out=wave)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A residual unit: Snake, dilated convolution, Snake, convolution of one tap, and the input added."""

    snake1: _Snake
    conv1: _Convolution
    snake2: _Snake
    conv2: _Convolution

    @property
    def reach(self) -> int:
        """Inputs to each side that an output depends on."""
        return self.conv1.padding

    def __call__(self, signal: torch.Tensor, *, at_start: bool, at_end: bool) -> torch.Tensor:
        """Shorten the signal by the reach at each end that is not an end of the clip."""
        branch = self.conv1(self.snake1(signal), at_start=at_start, at_end=at_end)
        branch = self.conv2(self.snake2(branch), at_start=False, at_end=False)
        first = 0 if at_start else self.reach
        return branch.add_(signal[..., first : first + branch.shape[-1]])


class _Block:
    """An encoder block, run tile by tile."""

    def __init__(self, block: Any) -> None:
        self._units = [
            _Unit(_Snake(unit.snake1), _Convolution(unit.conv1), _Snake(unit.snake2), _Convolution(unit.conv2))
            for unit in (block.res_unit1, block.res_unit2, block.res_unit3)
        ]
        self._snake = _Snake(block.snake1)
        self._down = _Convolution(block.conv1)
        self._halo = sum(unit.reach for unit in self._units)

    def __call__(self, signal: torch.Tensor) -> torch.Tensor:
        length, channels = signal.shape[-1], signal.shape[1]
        down = self._down
        outputs = (length + 2 * down.padding - down.kernel) // down.stride + 1
        per_tile = max(1, _NUMBERS_PER_TILE // (channels * down.stride))
        tiles = math.ceil(outputs / per_tile)
        shape = (1, down.weight.shape[0], 1, outputs)
        result = torch.empty(shape, dtype=signal.dtype, device=signal.device, memory_format=torch.channels_last)
        for tile in range(tiles):
            # Spread evenly, so that no tile is a remnant.
            start, stop = outputs * tile // tiles, outputs * (tile + 1) // tiles
            result[..., start:stop] = self._tile(signal, start, stop)
        return result

    def _tile(self, signal: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Outputs [start, stop) of the block."""
        length, down = signal.shape[-1], self._down
        needed_from = start * down.stride - down.padding
        needed_to = (stop - 1) * down.stride - down.padding + down.kernel
        # What the strided convolution needs, less what lies beyond the clip; then the halo, as far as the clip goes.
        first, last = max(0, needed_from), min(length, needed_to)
        held_from, held_to = max(0, first - self._halo), min(length, last + self._halo)
        at_start, at_end = held_from == 0, held_to == length
        tile = signal[..., held_from:held_to]
        for unit in self._units:
            tile = unit(tile, at_start=at_start, at_end=at_end)
            held_from += 0 if at_start else unit.reach
        tile = self._snake(tile[..., first - held_from : last - held_from])
        if needed_from < first or needed_to > last:
            tile = functional.pad(tile, (first - needed_from, needed_to - last))
        return down(tile, at_start=False, at_end=False)

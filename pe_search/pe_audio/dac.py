"""The DAC encoder in tiles that stay in the processor's cache: the same results as upstream's, several times as fast.

Upstream runs each operation of `PeAudioDacEncoder` over the whole clip. At 48 and 24 kHz, where most of the work is, an
activation of 10 s is 123 MB with PE-AV's sizes, and every pass of every Snake activation streams it through memory.
Here each encoder block runs over one stretch of time after the other, a *tile*, with all its operations on one tile
before the next. On a CPU the tiles of a block are shared out among threads, each operation on one thread alone: that
spares the threads from waiting for each other after every operation, and keeps each tile in one core's own cache.

**The halo.** An output of a block depends on inputs to both sides. A strided convolution with kernel 2s, stride s and
padding p makes output t of inputs [ts - p, ts - p + 2s). Each residual unit before it has a convolution with 7 taps
and dilation d, and so reaches 3d further to each side; with d = 1, 3 and 9 that is 39. The very first convolution, from
the waveform to the first block's channels, is run as part of that block and reaches 3 further. A tile therefore takes
its inputs and 39 or 42 more on each side, and each step uses up its own reach of them. Where the clip itself ends there
is no halo to take: there, and only there, each convolution gets the zeros that upstream pads with. Nothing is
approximated.

Channels come last in memory (as in a picture one pixel high), which is how oneDNN's convolutions run fastest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pe_search.pe_audio.snake import Snake

# An activation of a tile takes about this many numbers on a CPU, so that it fits into the cache of one core; on a GPU,
# where operations had better be large, so many that a handful of them fit into its memory.
_NUMBERS_PER_TILE = {"cpu": 1_000_000, "cuda": 400_000_000, "mps": 50_000_000}
# Below so many outputs a strided convolution takes longer to fetch its weights than to multiply by them.
_LEAST_OUTPUTS = 64


class TiledDacEncoder(nn.Module):
    """Stands in for a `PeAudioDacEncoder`, with its weights.

    Args:
        encoder: Upstream's module, in its final dtype and on its device. Its weights are taken over in another memory
            layout.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self._blocks = [
            _Block(block, first=encoder.conv1 if index == 0 else None) for index, block in enumerate(encoder.block)
        ]
        self._snake = Snake(encoder.snake1)
        self._last = _Convolution(encoder.conv2)
        self._map: _Map = map
        if encoder.conv1.weight.device.type == "cpu" and torch.get_num_threads() > 1:
            # torch counts threads for each thread that calls it.
            self._map = ThreadPoolExecutor(
                torch.get_num_threads(), "tile", initializer=torch.set_num_threads, initargs=(1,)
            ).map

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Encode waveforms.

        Args:
            waveforms: (windows, 1, samples).

        Returns:
            (windows, channels, frames).
        """
        # On a CPU one window has tiles enough for all threads, and more at once would only take memory.
        batches = torch.split(waveforms[:, :, None], 1 if waveforms.device.type == "cpu" else len(waveforms))
        # Upstream's embedder switches cuDNN off around its encoder; the reason doesn't hold for these operations.
        with torch.backends.cudnn.flags(enabled=True):
            return torch.cat([self._encode(batch) for batch in batches])

    def _encode(self, waveforms: torch.Tensor) -> torch.Tensor:
        signal = waveforms
        for block in self._blocks:
            signal = block(signal, self._map)
        return self._last(self._snake(signal), at_start=True, at_end=True).squeeze(2)


_Map = Callable[[Callable[[tuple[int, int]], None], Iterable[tuple[int, int]]], Iterable[None]]


class _Convolution:
    """A Conv1d over (batch, channels, 1, time), padded with zeros only at the ends of the clip."""

    def __init__(self, convolution: nn.Conv1d) -> None:
        self.weight = convolution.weight.detach()[:, :, None].contiguous(memory_format=torch.channels_last)
        self.bias = convolution.bias.detach() if convolution.bias is not None else None
        self.kernel: int = convolution.kernel_size[0]
        self.stride: int = convolution.stride[0]
        # To dilate a single tap means nothing, but torch then takes oneDNN's convolution, not MKL's multiplication,
        # which is half as fast on processors that are not Intel's.
        self._dilation: int = convolution.dilation[0] if self.kernel > 1 else 2
        self.padding = int(convolution.padding[0])

    def __call__(self, signal: torch.Tensor, *, at_start: bool, at_end: bool) -> torch.Tensor:
        padding = 0
        if at_start and at_end:
            padding = self.padding
        elif at_start or at_end:
            signal = functional.pad(signal, (self.padding * at_start, self.padding * at_end))
        return functional.conv2d(signal, self.weight, self.bias, (1, self.stride), (0, padding), (1, self._dilation))


class _FirstConvolution:
    """The Conv1d from waveforms, (batch, 1, 1, time), as a product of matrices: that leaves the channels last."""

    def __init__(self, convolution: nn.Conv1d) -> None:
        self._weight = convolution.weight.detach()[:, 0]
        self._bias = convolution.bias.detach() if convolution.bias is not None else None
        self.padding = int(convolution.padding[0])

    def __call__(self, waveforms: torch.Tensor, *, at_start: bool, at_end: bool) -> torch.Tensor:
        padded = functional.pad(waveforms[:, 0, 0], (self.padding * at_start, self.padding * at_end))
        moments = functional.linear(padded.unfold(1, self._weight.shape[1], 1), self._weight, self._bias)
        return moments.transpose(1, 2)[:, :, None]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A residual unit: Snake, dilated convolution, Snake, convolution of one tap, and the input added.

    The first Snake, and the addition, are done by the block, which does the two together.
    """

    snake1: Snake
    conv1: _Convolution
    snake2: Snake
    conv2: _Convolution

    @property
    def reach(self) -> int:
        """Inputs to each side that an output depends on."""
        return self.conv1.padding

    def __call__(self, activated: torch.Tensor, *, at_start: bool, at_end: bool) -> torch.Tensor:
        """Shorten the signal by the reach at each end that is not an end of the clip."""
        branch = self.conv1(activated, at_start=at_start, at_end=at_end)
        return self.conv2(self.snake2(branch), at_start=True, at_end=True)


class _Block:
    """An encoder block, run tile by tile; the first one with the convolution before it."""

    def __init__(self, block: Any, first: nn.Conv1d | None) -> None:
        self._first = None if first is None else _FirstConvolution(first)
        self._units = [
            _Unit(Snake(unit.snake1), _Convolution(unit.conv1), Snake(unit.snake2), _Convolution(unit.conv2))
            for unit in (block.res_unit1, block.res_unit2, block.res_unit3)
        ]
        self._snake = Snake(block.snake1)
        self._down = _Convolution(block.conv1)
        self._channels: int = block.conv1.in_channels
        self._halo = sum(unit.reach for unit in self._units) + (0 if self._first is None else self._first.padding)

    def __call__(self, signal: torch.Tensor, run: _Map) -> torch.Tensor:
        down = self._down
        length = signal.shape[-1]
        outputs = (length + 2 * down.padding - down.kernel) // down.stride + 1
        numbers = _NUMBERS_PER_TILE[signal.device.type]
        per_tile = max(_LEAST_OUTPUTS, numbers // (len(signal) * self._channels * down.stride))
        tiles = math.ceil(outputs / per_tile)
        result = torch.empty(
            (len(signal), down.weight.shape[0], 1, outputs),
            dtype=signal.dtype,
            device=signal.device,
            memory_format=torch.channels_last,
        )

        def fill(tile: tuple[int, int]) -> None:
            start, stop = tile
            with torch.inference_mode():  # is a matter of each thread
                result[..., start:stop] = self._tile(signal, start, stop)

        # Spread evenly, so that no tile is a remnant.
        for _ in run(fill, [(outputs * i // tiles, outputs * (i + 1) // tiles) for i in range(tiles)]):
            pass
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
        if self._first is not None:
            tile = self._first(tile, at_start=at_start, at_end=at_end)
            held_from += 0 if at_start else self._first.padding
        activated = self._units[0].snake1(tile)
        for unit, snake in zip(self._units, [*(unit.snake1 for unit in self._units[1:]), self._snake], strict=True):
            branch = unit(activated, at_start=at_start, at_end=at_end)
            from_here = 0 if at_start else unit.reach
            held_from += from_here
            tile = tile[..., from_here : from_here + branch.shape[-1]]
            activated = snake.after_adding(branch, tile)
            tile = branch
        activated = activated[..., first - held_from : last - held_from]
        if needed_from < first or needed_to > last:
            activated = functional.pad(activated, (first - needed_from, needed_to - last))
        return down(activated, at_start=False, at_end=False)

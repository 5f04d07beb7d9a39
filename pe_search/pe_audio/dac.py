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

**Windows of unequal length** go through side by side, each padded to the longest. What lies beyond a window's own end
is made zero before each convolution that could reach it, and so each window gets the zeros that it would get alone.

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

# Windows that a CPU takes at once are this long together: a long one has tiles enough for all threads, and short ones
# share what is fetched of the weights.
_CPU_SAMPLES = 480_000
# An activation of a tile takes about this many numbers on a CPU, so that it fits into the cache of one core; on a GPU,
# where operations had better be large, so many that a handful of them fit into its memory.
_NUMBERS_PER_TILE = {"cpu": 1_000_000, "cuda": 400_000_000, "mps": 50_000_000}
# Below so many outputs a strided convolution takes longer to fetch its weights than to multiply by them.
_LEAST_OUTPUTS = 64


@dataclass(frozen=True, slots=True)
class Ends:
    """Where each window of a batch ends, when they are padded to one length.

    Args:
        each: Of each window, on the device of the signal.
        known: The same, as numbers to plan by.
    """

    each: torch.Tensor
    known: tuple[int, ...]

    @classmethod
    def of(cls, padding_mask: torch.Tensor) -> Ends:
        """Those that a mask of shape (windows, time) has, which is true up to the end of each window."""
        each = padding_mask.sum(1)
        return cls(each, tuple(each.tolist()))

    def scaled(self, factor: int) -> Ends:
        """Where they are in a signal of so many times the rate."""
        return Ends(self.each * factor, tuple(end * factor for end in self.known))

    def of_rows(self, start: int, stop: int) -> Ends:
        """Those of some windows of the batch."""
        return Ends(self.each[start:stop], self.known[start:stop])

    def silence(self, signal: torch.Tensor, since: int = 0) -> torch.Tensor:
        """Make zero what lies beyond the ends, in place, of a signal (windows, ..., time) that begins at `since`."""
        first = max(0, min(self.known) - since)
        if first < signal.shape[-1]:
            times = torch.arange(since + first, since + signal.shape[-1], device=signal.device)
            beyond = (times >= self.each[:, None]).view(len(signal), *(1,) * (signal.ndim - 2), -1)
            signal[..., first:].masked_fill_(beyond, 0)
        return signal


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
        self._hop: int = math.prod(block.stride for block in self._blocks)
        self._threads = 1
        self._map: _Map = map
        if encoder.conv1.weight.device.type == "cpu" and torch.get_num_threads() > 1:
            self._threads = torch.get_num_threads()
            # torch counts threads for each thread that calls it.
            self._map = ThreadPoolExecutor(self._threads, "tile", initializer=torch.set_num_threads, initargs=(1,)).map

    def forward(self, waveforms: torch.Tensor, ends: Ends | None = None) -> torch.Tensor:
        """Encode waveforms.

        Args:
            waveforms: (windows, 1, samples).
            ends: Where each window ends, in frames; none if all of them fill their rows.

        Returns:
            (windows, channels, frames). What is beyond a window's end is finite and means nothing.
        """
        rows, _, samples = waveforms.shape
        at_once = max(1, _CPU_SAMPLES // samples) if waveforms.device.type == "cpu" else rows
        # Upstream's embedder switches cuDNN off around its encoder; the reason doesn't hold for these operations.
        with torch.backends.cudnn.flags(enabled=True):
            parts = [
                self._encode(waveforms[start:stop, :, None], None if ends is None else ends.of_rows(start, stop))
                for start, stop in _spread(rows, math.ceil(rows / at_once))
            ]
            return torch.cat(parts)

    def _encode(self, waveforms: torch.Tensor, ends: Ends | None) -> torch.Tensor:
        signal, hop = waveforms, self._hop
        for block in self._blocks:
            signal = block(signal, None if ends is None else ends.scaled(hop), self._map, self._threads)
            hop //= block.stride
        activated = self._snake(signal)
        if ends is not None:
            ends.silence(activated)
        return self._last(activated, at_start=True, at_end=True).squeeze(2)


_Stretch = tuple[int, int]
# Of windows, and of outputs in time.
_Tile = tuple[_Stretch, _Stretch]
_Map = Callable[[Callable[[_Tile], None], Iterable[_Tile]], Iterable[None]]


def _spread(whole: int, parts: int) -> list[_Stretch]:
    """Parts as even as can be, so that none is a remnant."""
    return [(whole * part // parts, whole * (part + 1) // parts) for part in range(parts)]


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

    @property
    def stride(self) -> int:
        """Inputs per output."""
        return self._down.stride

    def __call__(self, signal: torch.Tensor, ends: Ends | None, run: _Map, threads: int) -> torch.Tensor:
        """Run the block over a batch; `ends` are in the time of `signal`."""
        down = self._down
        result = torch.empty(
            (len(signal), down.weight.shape[0], 1, self._outputs(signal.shape[-1])),
            dtype=signal.dtype,
            device=signal.device,
            memory_format=torch.channels_last,
        )

        def fill(tile: _Tile) -> None:
            rows, (start, stop) = tile
            part, its_ends = signal[slice(*rows)], None if ends is None else ends.of_rows(*rows)
            if its_ends is not None:  # no further than the longest of these windows
                part = part[..., : max(its_ends.known)]
                stop = min(stop, self._outputs(part.shape[-1]))
            if start < stop:
                with torch.inference_mode():  # is a matter of each thread
                    result[slice(*rows), ..., start:stop] = self._tile(part, its_ends, start, stop)

        for _ in run(fill, self._tiles(signal, threads)):
            pass
        return result

    def _outputs(self, length: int) -> int:
        return (length + 2 * self._down.padding - self._down.kernel) // self._down.stride + 1

    def _tiles(self, signal: torch.Tensor, threads: int) -> list[_Tile]:
        """Several whole windows a tile if they are short, else several tiles a window."""
        rows, outputs = len(signal), self._outputs(signal.shape[-1])
        at_once = _NUMBERS_PER_TILE[signal.device.type] // (self._channels * self.stride)
        parts = math.ceil(rows / max(1, at_once // outputs))
        parts = min(rows, math.ceil(parts / threads) * threads)
        stretches = _spread(outputs, math.ceil(outputs / max(_LEAST_OUTPUTS, at_once)))
        return [(part, stretch) for part in _spread(rows, parts) for stretch in stretches]

    def _tile(self, signal: torch.Tensor, ends: Ends | None, start: int, stop: int) -> torch.Tensor:
        """Outputs [start, stop) of the block."""
        length, down = signal.shape[-1], self._down
        needed_from = start * down.stride - down.padding
        needed_to = (stop - 1) * down.stride - down.padding + down.kernel
        # What the strided convolution needs, less what lies beyond the clip; then the halo, as far as the clip goes.
        first, last = max(0, needed_from), min(length, needed_to)
        held_from, held_to = max(0, first - self._halo), min(length, last + self._halo)
        at_start, at_end = held_from == 0, held_to == length
        tile = signal[..., held_from:held_to].contiguous(memory_format=torch.channels_last)
        if self._first is not None:
            tile = self._first(tile, at_start=at_start, at_end=at_end)
            held_from += 0 if at_start else self._first.padding
        activated = self._units[0].snake1(tile)
        for unit, snake in zip(self._units, [*(unit.snake1 for unit in self._units[1:]), self._snake], strict=True):
            if ends is not None:
                ends.silence(activated, held_from)
            branch = unit(activated, at_start=at_start, at_end=at_end)
            from_here = 0 if at_start else unit.reach
            held_from += from_here
            tile = tile[..., from_here : from_here + branch.shape[-1]]
            activated = snake.after_adding(branch, tile)
            tile = branch
        if ends is not None:
            ends.silence(activated, held_from)
        activated = activated[..., first - held_from : last - held_from]
        if needed_from < first or needed_to > last:
            activated = functional.pad(activated, (first - needed_from, needed_to - last))
        return down(activated, at_start=False, at_end=False)

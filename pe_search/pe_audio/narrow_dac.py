"""The DAC encoder for few channels on one thread of a CPU, among modules of torch: see `narrow.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pe_search.pe_audio.dac import Ends
from pe_search.pe_audio.narrow import NarrowEncoder, Shape, Signal


class NarrowDacEncoder(nn.Module):
    """Stands in for a `PeAudioDacEncoder`, with its weights.

    Args:
        encoder: Upstream's module, in float32 and on the CPU.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        weights = {name: weight.detach().contiguous().numpy() for name, weight in encoder.state_dict().items()}
        strides = [block.conv1.stride[0] for block in encoder.block]
        self._hop = int(np.prod(strides))
        self._encode = NarrowEncoder(weights, strides, _convolve)

    def forward(self, waveforms: torch.Tensor, ends: Ends | None = None) -> torch.Tensor:
        """Encode waveforms.

        Args:
            waveforms: (windows, 1, samples).
            ends: Where each window ends, in frames; none if all of them fill their rows.

        Returns:
            (windows, channels, frames). What is beyond a window's end is finite and means nothing.
        """
        rows, _, samples = waveforms.shape
        known = (samples // self._hop,) * rows if ends is None else ends.known
        return torch.from_numpy(self._encode(waveforms.numpy(), np.array(known, np.int64) * self._hop))


def _convolve(signal: Signal, kernel: Signal, bias: Signal, shape: Shape) -> Signal:
    sound, weight, offset = map(torch.from_numpy, (signal, kernel, bias))
    result: Signal = functional.conv1d(sound, weight, offset, shape.stride, shape.padding, shape.dilation).numpy()
    return result

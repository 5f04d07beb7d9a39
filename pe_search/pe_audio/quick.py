"""Give an audio tower quicker parts that calculate the same."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pe_search.pe_audio.dac import TiledDacEncoder
from pe_search.pe_audio.towers import AudioTower


def make_quick(tower: AudioTower) -> None:
    """Replace the DAC encoder and, where that pays, the linear layers of a tower, in place.

    Args:
        tower: In its final dtype and on its device, for inference only.
    """
    front: Any = tower.audio_encoder.embedder
    front.dac_encoder = TiledDacEncoder(front.dac_encoder)
    weight = tower.audio_encoder.output.weight
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and _has_onednn():
        _replace_linear_layers(tower.audio_encoder)


class _OneDnnLinear(nn.Module):
    """A linear layer whose product oneDNN calculates."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._weight = linear.weight.detach().to_mkldnn()
        self._bias = None if linear.bias is None else linear.bias.detach().to_mkldnn()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return functional.linear(inputs.contiguous().to_mkldnn(), self._weight, self._bias).to_dense()


def _has_onednn() -> bool:
    # Elsewhere than on x86, torch's own choice of a library is the better one.
    return bool(torch._C._has_mkldnn) and torch.backends.cpu.get_cpu_capability().startswith("AVX")


def _replace_linear_layers(module: nn.Module) -> None:
    """Let oneDNN multiply the float32 matrices: MKL is half as fast on x86 processors that are not Intel's."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, _OneDnnLinear(child))
        else:
            _replace_linear_layers(child)

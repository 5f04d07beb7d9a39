"""Give an audio tower quicker parts that calculate the same, also for windows of unequal length side by side."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.pe_audio.modeling_pe_audio import eager_attention_forward

from pe_search.pe_audio.dac import Ends, TiledDacEncoder
from pe_search.pe_audio.narrow_dac import NarrowDacEncoder
from pe_search.pe_audio.towers import AudioTower


def make_quick(tower: AudioTower, is_wide: bool) -> None:
    """Replace the parts before the transformer, its attention and, where that pays, its linear layers, in place.

    Args:
        tower: In its final dtype and on its device, for inference only.
        is_wide: Whether its DAC encoder is wide enough for operations of torch. If not, and on a CPU, the tower is in
            float32.
    """
    encoder: Any = tower.audio_encoder
    on_cpu = encoder.output.weight.device.type == "cpu"
    kind = NarrowDacEncoder if on_cpu and not is_wide else TiledDacEncoder
    encoder.embedder = _Front(encoder.embedder, kind(encoder.embedder.dac_encoder))
    make_transformer_quick(encoder)
    if on_cpu and is_wide and encoder.output.weight.dtype == torch.float32 and _has_onednn():
        _replace_linear_layers(encoder)


def make_transformer_quick(encoder: Any) -> None:
    """Replace what comes after the codec, but for linear layers, in place: with parts that can be trained as well.

    Args:
        encoder: A `PeAudioEncoder`.
    """
    resnet = encoder.patch_embedder.resnet_block
    for block in (resnet.block1, resnet.block2):
        block.groupnorm = _GroupNorm(block.groupnorm)
    for layer in encoder.layers:
        layer.self_attn = _Attention(layer.self_attn)


class _Front(nn.Module):
    """A `PeAudioEncoderEmbedder` whose mask has a number per frame, and whose DAC encoder knows the windows' ends."""

    def __init__(self, front: Any, dac_encoder: nn.Module) -> None:
        super().__init__()
        self.dac_encoder = dac_encoder
        self._bottleneck, self._data_proj = front.bottleneck, front.data_proj

    def encode(self, input_values: torch.Tensor, padding_mask: torch.Tensor | None = None) -> torch.Tensor:
        """The codec's numbers for each frame, of shape (windows, frames, numbers)."""
        encoded = self.dac_encoder(input_values, None if padding_mask is None else Ends.of(padding_mask))
        features: torch.Tensor = self._bottleneck(encoded).transpose(1, 2)
        return features

    def forward(
        self, input_values: torch.Tensor, padding_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return self._data_proj(self.encode(input_values, padding_mask)), padding_mask


class _GroupNorm(nn.Module):
    """A `PeAudioMaskedGroupNorm` of one group that gives a padded window what it gives the window alone.

    Upstream's sums up a padded window in the dtype of the signal, but one that isn't padded in float32.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self._weight, self._bias, self._eps = norm.weight[:, None], norm.bias[:, None], norm.eps

    def forward(self, signal: torch.Tensor, padding_mask: torch.Tensor | None = None) -> torch.Tensor:
        if padding_mask is None:
            return functional.group_norm(signal, 1, self._weight[:, 0], self._bias[:, 0], self._eps)
        beyond = ~padding_mask[:, :1]
        numbers = padding_mask.sum((1, 2), keepdim=True)
        wide = signal.float().masked_fill(beyond, 0)
        centred = (wide - wide.sum((1, 2), keepdim=True) / numbers).masked_fill_(beyond, 0)
        variance = centred.square().sum((1, 2), keepdim=True) / numbers
        normal = centred * torch.rsqrt(variance + self._eps) * self._weight + self._bias
        return normal.masked_fill_(beyond, 0).to(signal.dtype)


class _Attention(nn.Module):
    """A `PeAudioEncoderAttention` that turns by its rotary positions in one product of complex numbers.

    Upstream's product with a matrix of 2 x 2 for each pair of numbers takes half of a small transformer's time.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self._attention = attention
        self._attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            attention.config._attn_implementation, eager_attention_forward
        )

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None = None,
        **_others: Any,
    ) -> tuple[torch.Tensor, None]:
        its = self._attention
        each_head = (*hidden_states.shape[:-1], -1, its.head_dim)
        query = its.q_norm(its.q_proj(hidden_states).view(each_head)).transpose(1, 2)
        key = its.k_norm(its.k_proj(hidden_states).view(each_head)).transpose(1, 2)
        value = its.v_proj(hidden_states).view(each_head).transpose(1, 2)
        # Each angle is there twice, and belongs to two numbers side by side.
        cos, sin = (part.float()[:, None, :, : its.head_dim // 2] for part in position_embeddings)
        turn = torch.complex(cos, sin)
        attended, _ = self._attend(
            its, _turned(query, turn), _turned(key, turn), value, attention_mask, dropout=0.0, scaling=its.scaling
        )
        return its.o_proj(attended.reshape(*hidden_states.shape[:-1], -1)), None


def _turned(signal: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    pairs = torch.view_as_complex(signal.float().reshape(*signal.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turn).flatten(-2).to(signal.dtype)


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

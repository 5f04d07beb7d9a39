"""What comes after a DAC encoder, in operations that ONNX has: for `compile_audio` alone.

Upstream's modules are taken as they are where ONNX can tell them; the rotary positions, which are complex numbers in
`quick`, the masks and the group norms are written out. `compile_audio` checks that all of it agrees with upstream.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pe_search.pe_audio.towers import AudioTower

_BEYOND = -1e9


class AudioTail(nn.Module):
    """An `AudioTower` without its DAC encoder.

    Args:
        tower: As `load_tower` gives it, in float32; its weights keep their names.

    Attributes:
        channels: How many the encoder's result has.
        strides: Of the encoder's blocks.
    """

    def __init__(self, tower: AudioTower) -> None:
        super().__init__()
        self.audio_encoder: Any = tower.audio_encoder
        self.audio_head = tower.audio_head
        dac = self.audio_encoder.embedder.dac_encoder
        self.channels: int = dac.conv2.out_channels
        self.strides: list[int] = [block.conv1.stride[0] for block in dac.block]

    def forward(self, encoded: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embed windows and their frames.

        Args:
            encoded: From `NarrowEncoder`: (windows, channels, frames).
            mask: (windows, frames), one up to each window's end, and zero beyond it.

        Returns:
            (windows, 1 + frames, dimension): each window, then its frames.
        """
        encoder = self.audio_encoder
        front = encoder.embedder
        frames = front.data_proj(front.bottleneck(encoded).transpose(1, 2))
        patch = encoder.patch_embedder
        states = torch.cat([patch.class_embedding.expand(frames.shape[0], -1, -1), frames], dim=1)
        mask = torch.cat([mask[:, :1], mask], dim=1)[:, None]
        states = _resnet(patch.resnet_block, states.transpose(1, 2), mask).transpose(1, 2)
        cos, sin = encoder.rotary_emb(states, torch.arange(states.shape[1]).unsqueeze(0))
        beyond = ((1 - mask) * _BEYOND)[:, None]
        for layer in encoder.layers:
            attended = _attend(layer.self_attn, layer.input_layernorm(states), cos[0], sin[0], beyond)
            states = states + attended
            states = states + layer.mlp(layer.post_attention_layernorm(states))
        embeddings: torch.Tensor = self.audio_head(encoder.output(encoder.norm(states)))
        return embeddings


def _resnet(resnet: Any, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    numbers = mask.sum((1, 2), keepdim=True) * states.shape[1]
    signal = states
    for block in (resnet.block1, resnet.block2):
        norm, within = block.groupnorm, signal * mask
        centred = (within - within.sum((1, 2), keepdim=True) / numbers) * mask
        variance = (centred * centred).sum((1, 2), keepdim=True) / numbers
        normal = centred / torch.sqrt(variance + norm.eps) * norm.weight[:, None] + norm.bias[:, None]
        signal = block.project(block.activation(normal * mask))
    return states + signal


def _attend(
    attention: Any, states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, beyond: torch.Tensor
) -> torch.Tensor:
    rows, moments, _ = states.shape
    each_head = (rows, moments, -1, attention.head_dim)
    query = attention.q_norm(attention.q_proj(states).reshape(each_head)).transpose(1, 2)
    key = attention.k_norm(attention.k_proj(states).reshape(each_head)).transpose(1, 2)
    value = attention.v_proj(states).reshape(each_head).transpose(1, 2)
    query, key = _turned(query, cos, sin), _turned(key, cos, sin)
    groups = attention.num_key_value_groups
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    weights = torch.softmax(query @ key.transpose(2, 3) * attention.scaling + beyond, dim=-1)
    attended: torch.Tensor = attention.o_proj((weights @ value).transpose(1, 2).reshape(rows, moments, -1))
    return attended


def _turned(signal: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn pairs of numbers that lie side by side by their angles, of which each is there twice."""
    rows, heads, moments, numbers = signal.shape
    half = numbers // 2
    first, second = signal.reshape(rows, heads, moments, half, 2).unbind(-1)
    cos, sin = cos[:, :half], sin[:, :half]
    turned = torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1)
    return turned.reshape(rows, heads, moments, numbers)

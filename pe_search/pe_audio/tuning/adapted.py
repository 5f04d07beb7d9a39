"""The two towers of a checkpoint with low-rank adapters (LoRA, Hu et al., 2021), and the checkpoint that comes of them.

The audio tower begins after the codec, whose features are given. Adapters are on every linear layer of both
transformers and on both heads. Without those of the text tower, a word that is new to it keeps an embedding that says
nothing, and the audio tower has to move towards it: fewer new sounds are found then, and more of the old texts lost.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import save_torch_state_dict
from numpy.typing import NDArray
from torch import nn
from transformers import PeAudioFeatureExtractor, PeAudioFrameLevelModel, PeAudioModel

from pe_search.errors import MissingExtraError
from pe_search.pe_audio.checkpoint import Checkpoint
from pe_search.pe_audio.embedder import load_tokenizer
from pe_search.pe_audio.quick import make_transformer_quick
from pe_search.pe_audio.towers import AudioTower, TextTower, load_config, load_tower, quiet

_RANK = 8
# What an adapter adds is multiplied by this over its rank.
_ALPHA = 16
_AUDIO_PARTS = ("audio_encoder.layers.", "audio_encoder.output", "audio_head.")
_TEXT_PARTS = ("text_model.", "text_audio_head.")
_TEXTS_AT_ONCE = 64
# All that a tokenizer may consist of.
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
)


def need_peft() -> None:
    """Raise a `MissingExtraError` unless there is what tuning needs."""
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Tuning", "peft", "tune") from error


class _Front(nn.Module):
    """What is left of a `PeAudioEncoderEmbedder` when the codec's features are given."""

    def __init__(self, data_proj: nn.Module) -> None:
        super().__init__()
        self.data_proj = data_proj

    def forward(
        self, features: torch.Tensor, padding_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return self.data_proj(features), padding_mask


class AdaptedTowers:
    """Both towers with adapters that change nothing yet.

    Args:
        checkpoint: What is adapted.
        device: Where it is calculated, in float32.
        seed: Of the adapters' first numbers.

    Attributes:
        scale: What a score is multiplied by on its way to a probability.
        bias: What is then added to it.
        dimension: Length of an embedding.
        width: Numbers that the audio tower has for a frame.

    Raises:
        MissingExtraError: If peft is not installed.
        CheckpointError: If the checkpoint can't be loaded.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device, seed: int) -> None:
        need_peft()
        self._checkpoint = checkpoint
        self._device = device
        self._text = load_tower(TextTower, checkpoint, torch.float32).to(device)
        self._audio = load_tower(AudioTower, checkpoint, torch.float32).to(device)
        self._tokenizer = load_tokenizer(checkpoint, self._text.config.text_config)
        self.scale = float(self._audio.text_audio_logit_scale)
        self.bias = float(self._audio.text_audio_logit_bias)
        encoder: Any = self._audio.audio_encoder
        self.dimension: int = self._text.config.text_config.hidden_size
        self.width: int = encoder.config.hidden_size
        encoder.embedder = _Front(encoder.embedder.data_proj)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._adapters = [_adapt(self._audio, _AUDIO_PARTS), _adapt(self._text, _TEXT_PARTS)]
        # After the adapters, whose names are then those of the checkpoint's own layers.
        make_transformer_quick(encoder)

    def parameters(self) -> dict[str, nn.Parameter]:
        """The numbers that learn, by name; always in the same order."""
        named = (
            (f"{tower}.{name}", one)
            for tower, found in zip(("audio", "text"), self._adapters, strict=True)
            for name, one in found
        )
        return dict(named)

    def embed_features(self, windows: Sequence[NDArray[np.float32]]) -> torch.Tensor:
        """Embed windows by the codec's features; each comes out as if it were alone.

        Args:
            windows: float32 of shape (frames, numbers) each.

        Returns:
            Shape (windows, dimension).
        """
        lengths = [len(window) for window in windows]
        padded = nn.utils.rnn.pad_sequence([torch.from_numpy(window) for window in windows], batch_first=True)
        mask = None
        if min(lengths) < max(lengths):
            mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).to(self._device)
        embeddings: torch.Tensor = self._audio(padded.to(self._device), mask)
        return embeddings

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Embed texts. Returns shape (texts, dimension)."""
        found = [
            self._embed_some(texts[start : start + _TEXTS_AT_ONCE]) for start in range(0, len(texts), _TEXTS_AT_ONCE)
        ]
        return torch.cat(found)

    def _embed_some(self, texts: Sequence[str]) -> torch.Tensor:
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(self._device)
        embeddings: torch.Tensor = self._text(tokens["input_ids"], tokens["attention_mask"])
        return embeddings

    def save_merged(self, directory: Path) -> None:
        """Write a plain PE Audio checkpoint in float32: what the adapters add is added to the weights.

        Args:
            directory: An empty folder.

        Raises:
            OSError: If it can't be written.
        """
        # The towers here have other parts; those of the checkpoint are loaded once more.
        weights: dict[str, torch.Tensor] = {}
        for kind in (TextTower, AudioTower):
            weights |= load_tower(kind, self._checkpoint, torch.float32).state_dict()
        for name, change in (*_changes(self._text), *_changes(self._audio)):
            weights[name] = weights[name] + change
        save_torch_state_dict(weights, directory)
        config = load_config(self._checkpoint)
        kind_of_model = PeAudioFrameLevelModel if self._checkpoint.is_frame_level else PeAudioModel
        config.architectures = [kind_of_model.__name__]
        config.dtype = "float32"
        with quiet():
            config.save_pretrained(directory)
            PeAudioFeatureExtractor(hop_length=config.audio_config.dac_config.hop_length).save_pretrained(directory)
        for name in _TOKENIZER_FILES:
            if (self._checkpoint.directory / name).is_file():
                shutil.copyfile(self._checkpoint.directory / name, directory / name)


def _adapt(tower: nn.Module, parts: tuple[str, ...]) -> list[tuple[str, nn.Parameter]]:
    """Put adapters on the linear layers of some parts of a tower; returns their parameters."""
    from peft import LoraConfig, inject_adapter_in_model

    layers = [name for name, one in tower.named_modules() if isinstance(one, nn.Linear) and name.startswith(parts)]
    inject_adapter_in_model(LoraConfig(r=_RANK, lora_alpha=_ALPHA, target_modules=layers), tower)
    return [(name, one) for name, one in tower.named_parameters() if one.requires_grad]


def _changes(tower: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """What the adapters of a tower add, on the CPU, by the names of the checkpoint's weights."""
    from peft.tuners.lora import Linear

    for name, module in tower.named_modules():
        if isinstance(module, Linear):
            # The quick attention has upstream's inside.
            plain = name.replace("._attention.", ".")
            yield f"{plain}.weight", module.get_delta_weight(module.active_adapters[0]).detach().cpu()

"""The two towers of a PE Audio checkpoint, each loaded without the other.

`PeAudioModel` holds both; a text query needs only the text tower, and indexing only the audio tower. Each tower here
has the names of `PeAudioModel`'s own parts and the loader of its base class, so that every layout that
`PeAudioModel.from_pretrained` reads is read the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel, PeAudioConfig
from transformers.models.pe_audio.modeling_pe_audio import (
    PeAudioContrastiveHead,
    PeAudioEncoder,
    PeAudioPreTrainedModel,
    Snake1d,
)

from pe_search.errors import CheckpointError, first_line
from pe_search.pe_audio.checkpoint import Checkpoint


class _Tower(PeAudioPreTrainedModel):  # type: ignore[misc]
    # A tower leaves the other tower's weights, and an audio-video checkpoint's video half, in the file.
    _keys_to_ignore_on_load_unexpected = (r".*",)

    text_audio_logit_scale: nn.Parameter
    text_audio_logit_bias: nn.Parameter

    def __init__(self, config: PeAudioConfig) -> None:
        super().__init__(config)
        self.text_audio_logit_scale = nn.Parameter(torch.zeros(1))
        self.text_audio_logit_bias = nn.Parameter(torch.zeros(1))


class TextTower(_Tower):
    """`PeAudioModel` without its audio half."""

    def __init__(self, config: PeAudioConfig) -> None:
        super().__init__(config)
        width = config.text_config.hidden_size
        self.text_model = AutoModel.from_config(config.text_config, trust_remote_code=False)
        self.text_audio_head = PeAudioContrastiveHead(width, width)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Embed tokenised texts.

        Upstream's `PeAudioModel.get_text_audio_embeds` asks for no hidden states and then fails for want of them, so
        this follows `PeAudioModel.forward`.

        Args:
            input_ids: (texts, tokens).
            attention_mask: (texts, tokens), 1 where there is a token.

        Returns:
            (texts, dimension).
        """
        outputs = self.text_model(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True, return_dict=True
        )
        embeddings: torch.Tensor = self.text_audio_head(outputs.hidden_states[-1][:, 0])
        return embeddings


class AudioTower(_Tower):
    """`PeAudioModel` without its text half."""

    def __init__(self, config: PeAudioConfig) -> None:
        super().__init__(config)
        self.audio_encoder = PeAudioEncoder(config.audio_config)
        self.audio_head = PeAudioContrastiveHead(config.audio_config.hidden_size, config.text_config.hidden_size)
        self.post_init()

    def forward(self, input_values: torch.Tensor, padding_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Embed windows, as `PeAudioModel.get_audio_embeds` does each alone.

        Args:
            input_values: (windows, 1, samples), samples a multiple of 1,920, with zeros after a shorter window.
            padding_mask: (windows, frames), true up to each window's end; none if all windows are of one length.
                A tower takes one after `make_quick`.

        Returns:
            (windows, dimension).
        """
        embeddings: torch.Tensor = self.audio_head(self.audio_encoder(input_values, padding_mask).pooler_output)
        return embeddings

    def embed_frames(self, input_values: torch.Tensor, padding_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Embed each frame of windows, as `PeAudioFrameLevelModel.get_audio_embeds` does those of each window alone.

        Args:
            input_values: (windows, 1, samples), samples a multiple of 1,920, with zeros after a shorter window.
            padding_mask: (windows, frames), true up to each window's end; none if all windows are of one length.
                A tower takes one after `make_quick`.

        Returns:
            (windows, frames, dimension). What is beyond a window's end means nothing.
        """
        embeddings: torch.Tensor = self.audio_head(self.audio_encoder(input_values, padding_mask).last_hidden_state)
        return embeddings


_AnyTower = TypeVar("_AnyTower", TextTower, AudioTower)


def load_tower(kind: type[_AnyTower], checkpoint: Checkpoint, dtype: torch.dtype) -> _AnyTower:
    """Load one tower of a checkpoint, ready for inference on the CPU.

    Raises:
        CheckpointError: If a weight is missing or has another shape than the configuration says: upstream would go on
            with random numbers in its place.
    """
    config = load_config(checkpoint)
    try:
        with quiet():
            _refuse_more_weights_than_there_are(kind, config, checkpoint)
            tower, report = kind.from_pretrained(
                checkpoint.directory,
                config=config,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
    except CheckpointError:
        raise
    # Whatever upstream makes of files that aren't what they should be: it has a dozen kinds of exception for that.
    except Exception as error:
        raise CheckpointError(f"{checkpoint.name} can't be loaded: {first_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(
            f"{checkpoint.name} lacks weights of the PE Audio model: {missing[0]}{others}. Its files are incomplete or "
            "made for another model."
        )
    loaded: _AnyTower = tower.eval().requires_grad_(False)
    _keep_snake_finite(loaded, dtype)
    return loaded


def _refuse_more_weights_than_there_are(kind: type[_AnyTower], config: PeAudioConfig, checkpoint: Checkpoint) -> None:
    """Refuse a configuration that asks for more than the files hold: upstream would make room for it all first.

    Raises:
        CheckpointError: If it does.
    """
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in kind(config).parameters())
    # No weight takes less than a byte.
    held_bytes = sum(file.stat().st_size for file in checkpoint.directory.glob("*.safetensors"))
    if weights > held_bytes:
        raise CheckpointError(
            f"{checkpoint.name}: its configuration asks for {weights:,} weights, and its files hold {held_bytes:,} "
            "bytes."
        )


def _keep_snake_finite(tower: nn.Module, dtype: torch.dtype) -> None:
    """Raise the smallest alphas of the Snake activations, `x + sin²(αx) / (α + 1e-9)`, to what float16 can divide by.

    There 1e-9 is zero and 1 / α overflows, so that α = 0, which passes x on as it is, would give NaN. An α just large
    enough passes x on as well, because sin²(αx) is then too small for float16.
    """
    if dtype != torch.float16:
        return
    least = 2 / torch.finfo(torch.float16).max
    for module in tower.modules():
        if isinstance(module, Snake1d):
            module.alpha.masked_fill_(module.alpha.abs() < least, least)


def load_config(checkpoint: Checkpoint) -> PeAudioConfig:
    """The `PeAudioConfig` of a checkpoint of any layout.

    `facebook/pe-av-*` are audio-video checkpoints. Given such a directory, `PeAudioModel.from_pretrained` would build
    its text tower by the defaults of the class, so the audio part of the configuration is taken out first.
    """
    try:
        with quiet():
            config = AutoConfig.from_pretrained(checkpoint.directory, local_files_only=True, trust_remote_code=False)
        if config.model_type == "pe_audio_video":
            config = config.audio_config
        dac = config.audio_config.dac_config
        for number in (dac.encoder_hidden_size, dac.hop_length, config.text_config.hidden_size):
            if type(number) is not int or number < 1:
                raise ValueError(f"{number!r} is no size")
    except Exception as error:
        raise CheckpointError(f"{checkpoint.name}: its configuration can't be read: {first_line(error)}") from error
    return config


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and reports off the user's terminal."""
    log: Any = transformers.utils.logging
    verbosity = log.get_verbosity()
    with_bars = log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if with_bars:
            log.enable_progress_bar()

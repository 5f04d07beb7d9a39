"""A language model with low-rank adapters (LoRA) on attention and feed-forward of its language part.

That is how transformers' guide to Audio Flamingo 3 tunes it. What hears, the encoder of audio and what brings its
features to the language part, stays as it is. The loss asks for the answer alone, and not for the prompt.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional
from transformers.modeling_layers import GradientCheckpointingLayer

from pe_search.errors import LanguageModelError, first_line
from pe_search.language.adapters import ADAPTER_WEIGHTS_FILE, Adapter, merge_adapter
from pe_search.language.conversations import Conversation
from pe_search.language.loading import load_config, load_model, load_processor
from pe_search.language.prompts import NOT_LEARNED, Prompts
from pe_search.pe_audio.checkpoint import Checkpoint
from pe_search.pe_audio.embedder import DTYPES, pick_device, pick_dtype
from pe_search.pe_audio.towers import quiet
from pe_search.pe_audio.tuning.adapted import need_peft

_RANK = 8
# What an adapter adds is multiplied by this over its rank.
_ALPHA = 16
# The one adapter that a layer has here, as peft calls it.
_NAME = ".default"


class AdaptedModel:
    """A language model with adapters that change nothing yet.

    Args:
        checkpoint: From `find_language_model`.
        device: As `Embedder` has it.
        dtype: Likewise; of the weights that stay. Adapters are float32.
        seed: Of the adapters' first numbers.

    Attributes:
        width: Numbers that the language part has for a token.
        device: Where it is calculated.

    Raises:
        MissingExtraError: If peft is not installed.
        LanguageModelError: If it can't be loaded, or not be adapted.
        PeSearchError: If the device is not there.
    """

    def __init__(self, checkpoint: Checkpoint, device: str, dtype: str, seed: int) -> None:
        need_peft()
        self._checkpoint = checkpoint
        self.device = pick_device(device)
        number_type = pick_dtype(self.device, dtype)
        if number_type == "float16":
            raise LanguageModelError("float16 has no room for the gradients. Use --dtype bfloat16 or float32.")
        with quiet():
            self._config = load_config(checkpoint)
            self._processor = load_processor(checkpoint, self._config)
            self._prompts = Prompts(self._processor, self.device, DTYPES[number_type])
            self._model = load_model(checkpoint, self._config, DTYPES[number_type], self.device)
        if getattr(self._model.config, "quantization_config", None):
            raise LanguageModelError(f"{checkpoint.name} has weights in few bits. Tune the one with 16 bits.")
        part = self._language_part()
        embedding = self._model.get_input_embeddings()
        self.width: int = embedding.weight.shape[1]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._layers = self._adapt(part)
        self._named = {name: one for name, one in self._model.named_parameters() if one.requires_grad}
        # Each layer is calculated once more on the way back, instead of keeping all that it came to.
        self._model.activation_checkpointing_enable({"use_reentrant": False})
        for layer in part.modules():
            if isinstance(layer, GradientCheckpointingLayer):
                # It asks its own flag. What is in it stays as it is, so that nothing is dropped out.
                layer.training = True
        self._takes_some_logits = "logits_to_keep" in inspect.signature(self._model.forward).parameters

    def parameters(self) -> dict[str, nn.Parameter]:
        """The numbers that learn, by name; always in the same order."""
        return self._named

    def inputs(self, conversations: Sequence[Conversation], answers: Sequence[str]) -> dict[str, Any]:
        """As `Prompts.lessons`.

        Raises:
            LanguageModelError: As there, or if the processor fails.
        """
        with quiet():
            try:
                return self._prompts.lessons(conversations, answers)
            except LanguageModelError as error:
                raise LanguageModelError(f"{self._checkpoint.name} can't be tuned: {error}") from error
            # Whatever a processor makes of what it doesn't expect: each has its own exceptions for that.
            except Exception as error:
                raise LanguageModelError(f"{self._checkpoint.name} fails: {first_line(error)}") from error

    def losses(self, inputs: dict[str, Any]) -> tuple[torch.Tensor, int]:
        """How badly the answers are foretold: the sum over their tokens of the negative log-likelihood, and how many.

        Args:
            inputs: From `inputs`.
        """
        labels = inputs["labels"]
        first = int((labels != NOT_LEARNED).int().argmax(1).min())
        # Each token is foretold by what comes out at the one before it.
        kept = labels.shape[1] - first + 1
        options = {"logits_to_keep": kept} if self._takes_some_logits else {}
        given = {name: value for name, value in inputs.items() if name != "labels"}
        places = (inputs["attention_mask"].cumsum(1) - 1).clamp_min(0)
        found = self._model(**given, position_ids=places, use_cache=False, **options)
        logits, wanted = found.logits[:, -kept:-1].float(), labels[:, first:]
        loss = functional.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), ignore_index=NOT_LEARNED, reduction="sum"
        )
        return loss, int((wanted != NOT_LEARNED).sum())

    def save_adapter(self, directory: Path) -> None:
        """Write the adapters in the format of peft, with the name of the language model that they are added to.

        Args:
            directory: An empty folder.

        Raises:
            OSError: If it can't be written.
        """
        from peft import LoraConfig

        tensors = {
            f"base_model.model.{name.replace(_NAME, '')}": one.detach().float().cpu().contiguous()
            for name, one in self._named.items()
        }
        save_file(tensors, directory / ADAPTER_WEIGHTS_FILE, metadata={"format": "pt"})
        _open_as_others(directory)
        config = LoraConfig(
            r=_RANK,
            lora_alpha=_ALPHA,
            target_modules=self._layers,
            base_model_name_or_path=self._checkpoint.name,
            revision=self._checkpoint.revision,
            inference_mode=True,
        )
        config.save_pretrained(os.fspath(directory))

    def save_merged(self, directory: Path, adapter: Adapter) -> None:
        """Write a plain checkpoint: what the adapters add is added to the weights. Nothing else can be done afterwards.

        Args:
            directory: An empty folder.
            adapter: What `save_adapter` wrote.

        Raises:
            OSError: If it can't be written.
            LanguageModelError: If there is too little memory.
        """
        # Both may not fit at once.
        del self._model
        self._named = {}
        with quiet():
            whole = load_model(self._checkpoint, self._config, "auto", torch.device("cpu"))
            merge_adapter(whole, adapter)
            whole.save_pretrained(directory)
            self._processor.save_pretrained(directory)
        _open_as_others(directory)

    def _language_part(self) -> nn.Module:
        name = self._checkpoint.name
        if self._model.config.is_encoder_decoder:
            raise LanguageModelError(f"{name} reads the prompt with an encoder; such a model can't be tuned here.")
        if hasattr(self._model, "get_rope_index"):
            # Qwen's omni models, whose positions have three numbers each.
            raise LanguageModelError(f"{name} has positions of sounds and pictures; such a model can't be tuned here.")
        part: nn.Module = self._model.get_decoder()
        inside = {id(one) for one in part.modules()}
        if id(self._model) in inside or id(self._model.get_input_embeddings()) not in inside:
            raise LanguageModelError(f"{name} has no language part by itself; such a model can't be tuned here.")
        return part

    def _adapt(self, part: nn.Module) -> list[str]:
        """Put adapters on the linear layers of a part; returns their names."""
        from peft import LoraConfig, inject_adapter_in_model

        inside = {id(one) for one in part.modules() if isinstance(one, nn.Linear)}
        layers = [name for name, one in self._model.named_modules() if id(one) in inside]
        inject_adapter_in_model(LoraConfig(r=_RANK, lora_alpha=_ALPHA, target_modules=list(layers)), self._model)
        for one in self._model.parameters():
            if one.requires_grad:
                one.data = one.data.float()
        return layers


def mean_of(losses: Sequence[tuple[float, int]]) -> float:
    """The mean over all tokens of some sums and counts."""
    return math.fsum(loss for loss, _ in losses) / sum(count for _, count in losses)


def _open_as_others(directory: Path) -> None:
    """Give weights the rights of other new files: safetensors lets nobody else read what it writes."""
    mask = os.umask(0)
    os.umask(mask)
    for path in directory.glob("*.safetensors"):
        path.chmod(0o666 & ~mask)

"""What transformers loads of a language model: its processor and its weights, from safetensors alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForMultimodalLM,
    AutoModelForSeq2SeqLM,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import is_torchvision_available

from pe_search.errors import LanguageModelError, first_line
from pe_search.language.conversations import SAMPLE_RATE_HZ
from pe_search.pe_audio.checkpoint import Checkpoint

# Audio Flamingo 3 and Music Flamingo are missing from the first in transformers 5.23.
_KINDS = (AutoModelForMultimodalLM, AutoModelForSeq2SeqLM)
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")


def load_config(checkpoint: Checkpoint) -> Any:
    """The configuration of a language model.

    Raises:
        LanguageModelError: If it can't be read.
    """
    try:
        return AutoConfig.from_pretrained(checkpoint.directory, local_files_only=True, trust_remote_code=False)
    # Whatever upstream makes of files that aren't what they should be.
    except Exception as error:
        raise LanguageModelError(f"{checkpoint.name} can't be loaded: {first_line(error)}") from error


def load_processor(checkpoint: Checkpoint, config: Any) -> Any:
    """The processor of a language model that hears.

    Args:
        checkpoint: From `find_language_model`.
        config: From `load_config`.

    Raises:
        LanguageModelError: If there is none.
    """
    if not any((checkpoint.directory / file).is_file() for file in _PROCESSOR_FILES):
        raise LanguageModelError(f"{checkpoint.name} takes no sound. Use an audio-language model.")
    kind = PROCESSOR_MAPPING.get(type(config), None)
    try:
        if kind is not None and not is_torchvision_available() and any(map(_is_of_pictures, kind.get_attributes())):
            processor = _load_without_pictures(kind, checkpoint.directory)
        else:
            processor = AutoProcessor.from_pretrained(
                checkpoint.directory, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:
        raise LanguageModelError(f"{checkpoint.name} can't be loaded: {first_line(error)}") from error
    extractor = getattr(processor, "feature_extractor", None)
    if extractor is None or not hasattr(processor, "apply_chat_template"):
        raise LanguageModelError(f"{checkpoint.name} takes no sound. Use an audio-language model.")
    if not getattr(processor, "chat_template", None):
        raise LanguageModelError(f"{checkpoint.name} has no chat template. Use a model that was tuned to answer.")
    rate_hz = getattr(extractor, "sampling_rate", SAMPLE_RATE_HZ)
    if rate_hz != SAMPLE_RATE_HZ:
        raise LanguageModelError(
            f"{checkpoint.name} takes sound at {rate_hz} Hz; pe-search asks at {SAMPLE_RATE_HZ} Hz."
        )
    return processor


def _is_of_pictures(part: str) -> bool:
    return "image" in part or "video" in part


def without_pictures(kind: Any) -> Any:
    """The class of a processor without what reads images and videos: that needs torchvision, and is not asked."""

    def check(self: Any, part: str, held: Any) -> Any:
        return None if held is None else kind.check_argument_for_proper_class(self, part, held)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})


def _load_without_pictures(kind: Any, directory: Path) -> Any:
    loaded = {"feature_extractor": AutoFeatureExtractor, "tokenizer": AutoTokenizer}
    parts = [
        None
        if _is_of_pictures(part)
        else loaded[part].from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        for part in kind.get_attributes()
    ]
    described, _ = kind.get_processor_dict(directory, local_files_only=True)
    return without_pictures(kind).from_args_and_dict(parts, described)


def load_model(checkpoint: Checkpoint, config: Any, dtype: torch.dtype | str, device: torch.device) -> Any:
    """A language model with its weights, none of which learns.

    Args:
        checkpoint: From `find_language_model`.
        config: From `load_config`.
        dtype: Of its numbers; `auto` for that of its files.
        device: Where it goes.

    Raises:
        LanguageModelError: If it can't be loaded, or answers no questions.
    """
    # Qwen's omni models also speak. The part that answers in words is loaded by itself, with its own weights alone.
    config = getattr(config, "thinker_config", config)
    try:
        kind = next((one for one in _KINDS if type(config) in one._model_mapping), None)
        if kind is None:
            raise LanguageModelError(
                f"{checkpoint.name} is a {config.model_type} checkpoint, which answers no questions."
            )
        _refuse_more_weights_than_there_are(kind, config, checkpoint)
        model, report = kind.from_pretrained(
            checkpoint.directory,
            config=config,
            dtype=dtype,
            device_map=None if device.type == "cpu" else device,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except LanguageModelError:
        raise
    except Exception as error:
        raise LanguageModelError(f"{checkpoint.name} can't be loaded: {first_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise LanguageModelError(f"{checkpoint.name} lacks weights: {missing[0]}{others}. Its files are incomplete.")
    return model.eval().requires_grad_(False)


def _refuse_more_weights_than_there_are(kind: Any, config: Any, checkpoint: Checkpoint) -> None:
    """As `towers` does. Weights in few bits are packed, and are not counted."""
    if getattr(config, "quantization_config", None):
        return
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in kind.from_config(copy.deepcopy(config)).parameters())
    held_bytes = sum(file.stat().st_size for file in checkpoint.directory.glob("*.safetensors"))
    if weights > held_bytes:
        raise LanguageModelError(
            f"{checkpoint.name}: its configuration asks for {weights:,} weights, and its files hold {held_bytes:,} "
            "bytes."
        )

"""Look at the files of a checkpoint before transformers does: one may come from anybody, and is data and nothing else.

What transformers would run, follow elsewhere, or make room for without end is refused here. What is merely wrong it
says by itself, or the weights don't fit.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pe_search.errors import CheckpointError

CONFIG_FILE = "config.json"
SHARDS_FILE = "model.safetensors.index.json"
ADAPTER_FILE = "adapter_config.json"

_TOKENIZER_FILE = "tokenizer.json"
MODEL_TYPES = ("pe_audio", "pe_audio_video")
# All that is read beside the weights, with the most bytes that each may have. Published ones have a tenth.
_LARGEST_BYTES = {
    CONFIG_FILE: 1 << 20,
    ADAPTER_FILE: 1 << 20,
    SHARDS_FILE: 1 << 24,
    _TOKENIZER_FILE: 1 << 26,
    "tokenizer_config.json": 1 << 22,
    "special_tokens_map.json": 1 << 20,
    "added_tokens.json": 1 << 22,
    "generation_config.json": 1 << 20,
    "preprocessor_config.json": 1 << 22,
    "processor_config.json": 1 << 22,
    "vocab.json": 1 << 26,
    "vocab.txt": 1 << 26,
    "merges.txt": 1 << 26,
    "tokenizer.model": 1 << 26,
    "chat_template.jinja": 1 << 20,
    "chat_template.json": 1 << 20,
}
# What transformers reads a class's name from, beside the configuration itself.
_OTHER_CONFIGS = ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
_DEEPEST = 32
_LONGEST_LIST = 4_096
# Keys by which transformers runs code that came with a checkpoint or from elsewhere, or reads weights of another name.
_FOREIGN_CODE = (
    "auto_map",
    "custom_pipelines",
    "quantization_config",
    "transformers_weights",
    "use_pretrained_backbone",
)
# What weights in few bits are read by: packages that the user installed, and nothing that comes with a checkpoint.
_QUANTIZED_BY = ("awq", "bitsandbytes", "compressed-tensors", "fp8", "gptq", "mxfp4")
_ATTENTION = "attn_implementation"
# The encoders of texts that need nothing but their weights.
_TEXT_MODEL_TYPES = ("modernbert", "bert", "roberta", "xlm-roberta")
# The most that a number may be by what its name ends with; the first that fits counts.
_LARGEST_NUMBERS = {
    "_layers": 512,
    "_heads": 1_024,
    "vocab_size": 2_000_000,
    "_size": 1 << 16,
    "_dim": 1 << 16,
    "_channels": 1 << 16,
    "position_embeddings": 1 << 20,
    "ratios": 4_096,
    "hop_length": 48_000,
    "": 1e12,
}


def read_json(path: Path) -> Any:
    """What a JSON file of a checkpoint holds.

    Raises:
        FileNotFoundError: If it is not there.
        OSError: If it can't be read.
        ValueError: If it is no regular file, too large, nested too deep, or no JSON.
    """
    largest = _LARGEST_BYTES[path.name]
    # Neither a pipe nor a device may keep anyone waiting between a look at it and its opening.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"it is larger than {largest:,} bytes")
    try:
        values = json.loads(content, parse_constant=_refuse_constant)
        # A tokenizer has very many values, and the package that reads it a limit of its own.
        is_too_deep = path.name != _TOKENIZER_FILE and max(depth for *_, depth in _walk(values)) > _DEEPEST
    except RecursionError:
        is_too_deep = True
    if is_too_deep:
        raise ValueError("it is nested too deep")
    return values


def vet(name: str, directory: Path) -> dict[str, Any]:
    """See to it that transformers may be given the files of a checkpoint; returns its configuration.

    Args:
        name: What messages call it.
        directory: Where its files are.

    Raises:
        CheckpointError: If it is no PE Audio checkpoint, or has something in it that is not taken from anybody.
    """
    config = vet_files(name, directory, _refuse_other_models)
    try:
        _refuse_patterns(name, _read(name, directory, _TOKENIZER_FILE))
    except OSError as error:
        raise CheckpointError(f"{name} can't be read: {error.strerror or error}.") from error
    return config


def vet_language_model(name: str, directory: Path) -> dict[str, Any]:
    """As `vet`, of a checkpoint of another kind. Whether it is a language model that hears, transformers tells.

    Its tokenizer may have patterns of its own, as that of nearly every language model has, and its weights may be in
    few bits.

    Raises:
        CheckpointError: If it has something in it that is not taken from anybody.
    """
    refused = tuple(key for key in _FOREIGN_CODE if key != "quantization_config")
    config = vet_files(name, directory, _refuse_no_language_model, refused)
    for key, value, _ in _walk(config):
        if key == "quantization_config" and value:
            by = value.get("quant_method") if isinstance(value, dict) else None
            if by not in _QUANTIZED_BY:
                raise CheckpointError(f"{name} is quantised by {by!r}; pe-search loads {', '.join(_QUANTIZED_BY)}.")
    return config


def vet_files(
    name: str,
    directory: Path,
    refuse_other_models: Callable[[str, Any], None],
    foreign_code: Sequence[str] = _FOREIGN_CODE,
) -> dict[str, Any]:
    """As `vet`, for a checkpoint of any kind. Texts may only be decoded with its tokenizer, not encoded.

    Args:
        name: As in `vet`.
        directory: As in `vet`.
        refuse_other_models: Called with the name and the configuration; raises a `CheckpointError` if it is not of the
            kind that is wanted.
        foreign_code: Keys that are refused in configurations.

    Raises:
        CheckpointError: As `vet`.
    """
    if not directory.is_dir():
        raise CheckpointError(f"There is no checkpoint directory {directory}.")
    try:
        config = _read(name, directory, CONFIG_FILE)
        if config is None:
            raise CheckpointError(f"{name} has no {CONFIG_FILE}, so it isn't a Hugging Face checkpoint.")
        refuse_other_models(name, config)
        _refuse_odd_files(name, directory)
        _refuse_foreign_code(name, CONFIG_FILE, config, foreign_code)
        _refuse_large_numbers(name, config)
        for file in _OTHER_CONFIGS:
            _refuse_foreign_code(name, file, _read(name, directory, file), foreign_code)
    except OSError as error:
        raise CheckpointError(f"{name} can't be read: {error.strerror or error}.") from error
    return dict(config)


def _read(name: str, directory: Path, file: str) -> Any:
    """What a JSON file holds; None if it is not there."""
    try:
        return read_json(directory / file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CheckpointError(f"{name}: its {file} can't be read: {reason}.") from error


def _refuse_other_models(name: str, config: Any) -> None:
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type is None:
        raise CheckpointError(
            f"{name} is not in the Hugging Face format (its {CONFIG_FILE} names no model_type). If this is the "
            "'perception_models' revision, which holds Meta's own format, use the main revision."
        )
    if model_type not in MODEL_TYPES:
        raise CheckpointError(f"{name} is a {model_type} checkpoint; pe-search needs {' or '.join(MODEL_TYPES)}.")
    text_config = config.get("text_config")
    text_type = text_config.get("model_type", "modernbert") if isinstance(text_config, dict) else "modernbert"
    if text_type not in _TEXT_MODEL_TYPES:
        raise CheckpointError(
            f"{name} has a text tower of type {text_type!r}; pe-search loads {', '.join(_TEXT_MODEL_TYPES)}."
        )


def _refuse_no_language_model(name: str, config: Any) -> None:
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type is None:
        raise CheckpointError(f"{name} is not in the Hugging Face format (its {CONFIG_FILE} names no model_type).")
    if model_type in MODEL_TYPES:
        raise CheckpointError(f"{name} is a {model_type} checkpoint, which answers no questions.")


def _refuse_odd_files(name: str, directory: Path) -> None:
    for path in sorted(directory.iterdir()):
        try:
            status = path.stat()
        except FileNotFoundError:  # a link to nowhere is as good as no file
            continue
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise CheckpointError(f"{name}: its {path.name} is not a regular file.")
        if status.st_size > _LARGEST_BYTES.get(path.name, status.st_size):
            raise CheckpointError(
                f"{name}: its {path.name} can't be read: it is larger than {_LARGEST_BYTES[path.name]:,} bytes."
            )
        if path.name == ADAPTER_FILE:
            raise CheckpointError(f"{name} has a file {ADAPTER_FILE}, which leads to other weights; remove it.")


def _refuse_foreign_code(name: str, file: str, values: Any, foreign_code: Sequence[str]) -> None:
    for key, value, _ in _walk(values):
        if key in foreign_code and value:
            raise CheckpointError(
                f"{name}: its {file} has {key!r}, which may run code from the checkpoint; that is not allowed."
            )
        # A name with a slash is that of code on the hub.
        if key.endswith(_ATTENTION) and isinstance(value, str) and not value.replace("_", "").isalnum():
            raise CheckpointError(f"{name}: its {file} asks for {key} {value!r}, which is code; that is not allowed.")


def _refuse_large_numbers(name: str, config: Any) -> None:
    for key, value, _ in _walk(config):
        if isinstance(value, list) and len(value) > _LONGEST_LIST:
            raise CheckpointError(f"{name}: its {CONFIG_FILE} has {len(value):,} values for {key!r}; that is too many.")
        if isinstance(value, int | float):
            largest = next(most for end, most in _LARGEST_NUMBERS.items() if key.endswith(end))
            if not abs(value) <= largest:
                raise CheckpointError(
                    f"{name}: its {CONFIG_FILE} has {key!r} at {value:.6g}; at most {largest:g} goes."
                )
        if key == "downsampling_ratios" and isinstance(value, list):
            steps = [step for step in value if isinstance(step, int)]
            if not 0 < math.prod(steps) <= _LARGEST_NUMBERS["hop_length"]:
                raise CheckpointError(f"{name}: its {CONFIG_FILE} has frames of {math.prod(steps):.6g} samples.")


def _refuse_patterns(name: str, tokenizer: Any) -> None:
    """Refuse what a text may take for ever to go through, or grow by without end."""
    parts = [tokenizer.get(part) for part in ("normalizer", "pre_tokenizer")] if isinstance(tokenizer, dict) else []
    for key, value, _ in _walk(parts):
        if key == "Regex" or (key == "type" and value == "Replace"):
            raise CheckpointError(
                f"{name}: its {_TOKENIZER_FILE} has a pattern of its own ({key!r}), which may take forever on a text."
            )


def _walk(values: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, Any, int]]:
    """All values with their keys and depths; those in a list have the list's key."""
    yield key, values, depth
    if isinstance(values, dict):
        for inner, value in values.items():
            yield from _walk(value, inner, depth + 1)
    elif isinstance(values, list):
        for value in values:
            yield from _walk(value, key, depth + 1)


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")

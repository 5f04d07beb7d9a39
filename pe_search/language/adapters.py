"""Adapters of language models (LoRA, Hu et al., 2021), in the format of peft: two small matrices for each layer.

Those of others are read too, if they have nothing else. Reading takes no peft: what an adapter adds to a layer is the
product of its two matrices.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pe_search.errors import CheckpointError, first_line
from pe_search.pe_audio.checkpoint import HUB_ID, Checkpoint, find_language_model, fingerprint
from pe_search.pe_audio.vetting import ADAPTER_FILE, CONFIG_FILE, read_json

ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
# What would make something else of the two matrices than their product.
_OTHERWISE = (
    "use_dora",
    "alpha_pattern",
    "rank_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "modules_to_save",
    "target_parameters",
    "trainable_token_indices",
)


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter on this machine.

    Attributes:
        name: The absolute path of its folder.
        revision: Changes when it does, or what it is added to.
        directory: Its folder.
        base: The language model that it is added to.
        alpha: What it adds is multiplied by this over its rank.
        is_by_root: Whether by this over the root of its rank instead.
    """

    name: str
    revision: str
    directory: Path
    base: Checkpoint
    alpha: float
    is_by_root: bool


def is_adapter(name: str) -> bool:
    """Whether a name is that of a folder with an adapter and nothing else: a checkpoint has no business with one."""
    directory = Path(os.path.expanduser(name))  # noqa: PTH111 (as `find_language_model`)
    return (directory / ADAPTER_FILE).is_file() and not (directory / CONFIG_FILE).exists()


def find_adapter(name: str) -> Adapter:
    """The adapter in a folder, and the language model that it is added to.

    Raises:
        CheckpointError: If it is of another kind, is damaged, or the language model isn't there or has changed.
    """
    directory = Path(os.path.abspath(os.path.expanduser(name)))  # noqa: PTH111 (as `find_language_model`)
    file = directory / ADAPTER_FILE
    try:
        config = read_json(file)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} can't be read: {first_line(error)}.") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise CheckpointError(f"{file}: only adapters of the kind LORA are read.")
    odd = next((key for key in _OTHERWISE if config.get(key)), None)
    if odd is not None or config.get("bias", "none") != "none":
        raise CheckpointError(f"{file}: {odd or 'bias'} is not read. Merge the adapter with peft, and use the result.")
    alpha, base_name = config.get("lora_alpha"), config.get("base_model_name_or_path")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise CheckpointError(f"{file}: lora_alpha must be a number.")
    if not isinstance(base_name, str) or not base_name:
        raise CheckpointError(f"{file}: base_model_name_or_path must name the language model that it is added to.")
    weights = directory / ADAPTER_WEIGHTS_FILE
    if not weights.is_file():
        raise CheckpointError(f"{directory} lacks {weights.name}: only safetensors weights are loaded.")
    base = _base_of(file, base_name, config.get("revision"))
    digest = hashlib.sha256(repr((base.revision, config, fingerprint(directory, [weights]))).encode())
    return Adapter(
        name=os.fspath(directory),
        revision=digest.hexdigest()[:16],
        directory=directory,
        base=base,
        alpha=float(alpha),
        is_by_root=config.get("use_rslora") is True,
    )


def _base_of(file: Path, name: str, revision: object) -> Checkpoint:
    if is_adapter(name):
        raise CheckpointError(f"{file}: {name} is an adapter itself. Merge it, and tune the result.")
    is_on_hub = HUB_ID.fullmatch(name) is not None and not Path(name).is_dir()
    try:
        base = find_language_model(name, revision if is_on_hub and isinstance(revision, str) else None)
    except CheckpointError as error:
        raise CheckpointError(f"{file} needs the language model that it is added to: {error}") from error
    if isinstance(revision, str) and revision and not is_on_hub and base.revision != revision:
        raise CheckpointError(f"{file}: {name} has changed since the adapter was made. Tune it again.")
    return base


def merge_adapter(model: Any, adapter: Adapter) -> None:
    """Add what an adapter adds to the weights of the language model that it was made of.

    Args:
        model: From `load_model`.
        adapter: From `find_adapter`.

    Raises:
        CheckpointError: If it doesn't fit.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = adapter.directory / ADAPTER_WEIGHTS_FILE
    try:
        tensors = load_file(os.fspath(file))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} can't be read: {first_line(error)}") from error
    layers = {name.removesuffix(_DOWN) for name in tensors if name.startswith(_PREFIX) and name.endswith(_DOWN)}
    if not layers or tensors.keys() != {f"{layer}{end}" for layer in layers for end in (_DOWN, _UP)}:
        raise CheckpointError(f"{file} has something else than pairs of matrices for linear layers.")
    with torch.no_grad():
        for layer in sorted(layers):
            down, up = tensors[layer + _DOWN].float(), tensors[layer + _UP].float()
            weight = _weight_of(model, layer.removeprefix(_PREFIX))
            if weight is None or down.ndim != 2 or up.ndim != 2 or (len(up), down.shape[1]) != weight.shape:
                raise CheckpointError(f"{file} does not fit {adapter.base.name}: {layer.removeprefix(_PREFIX)}.")
            if len(down) != up.shape[1]:
                raise CheckpointError(f"{file}: the two matrices of {layer.removeprefix(_PREFIX)} do not fit.")
            rank = len(down)
            scale = adapter.alpha / (math.sqrt(rank) if adapter.is_by_root else rank)
            change = (up @ down).mul_(scale).to(weight.device)
            weight.copy_(weight.float() + change)


def _weight_of(model: Any, layer: str) -> Any:
    from torch import nn

    try:
        found = model.get_submodule(layer)
    except AttributeError:
        return None
    return found.weight if isinstance(found, nn.Linear) else None

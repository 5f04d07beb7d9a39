"""What a training leaves on disk: the text tower, the whole state, and the checkpoint at the end."""

import copy
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import PeAudioFeatureExtractor, PeAudioModel, PreTrainedTokenizerFast

from recipe.optimizer import TEXT_PARTS, Optimizer

STATE_FILE = "training_state.pt"
STATE_BEFORE_COOLING_FILE = "state_before_cooling.pt"
TEXT_FILE = "text_tower.pt"


def save_text_tower(model: PeAudioModel, work: Path) -> None:
    """Write the warmed-up text tower, which later runs may share."""
    weights = {name: value for name, value in model.state_dict().items() if name.startswith(TEXT_PARTS)}
    torch.save(weights, work / TEXT_FILE)


def save_state(
    work: Path,
    name: str,
    model: PeAudioModel,
    averaged: PeAudioModel,
    optimizer: Optimizer,
    step: int,
    elapsed_s: float,
) -> None:
    """Write all that a training goes on from, whole or not at all."""
    partial = work / f"{name}.partial"
    state = {
        "model": model.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "elapsed_s": elapsed_s,
    }
    torch.save(state, partial)
    partial.replace(work / name)


def load_state(file: Path) -> dict[str, Any] | None:
    """What `save_state` wrote; None without such a file."""
    if not file.exists():
        return None
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def save_checkpoint(model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write a PE Audio checkpoint directory, weights as 16-bit floats; an old one is replaced at the end.

    `config.json` says float32, so that readers compute in that precision unless told otherwise.
    """
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    half = copy.deepcopy(model).half()
    half.save_pretrained(partial)
    config = copy.deepcopy(model.config)
    config.dtype = "float32"
    config.save_pretrained(partial)
    # What it was last asked for is no part of it.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(partial)
    PeAudioFeatureExtractor().save_pretrained(partial)
    for file in partial.iterdir():
        file.chmod(0o644)  # safetensors files come out readable by their owner alone
    if out.exists():
        for file in out.iterdir():
            if file.is_file() and not (partial / file.name).exists():
                shutil.copy2(file, partial / file.name)
        old = out.with_name(f".{out.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
        partial.rename(out)
        shutil.rmtree(old)
    else:
        partial.rename(out)

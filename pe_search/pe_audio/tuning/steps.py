"""What every training does at a step: how far it goes, and what is kept so that another run goes on from there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from pe_search.drafts import whole_file

LARGEST_GRADIENT = 1.0
WEIGHT_DECAY = 0.01
# Of adapters of a model that is as wide as the built-in one; a wider one learns the same with smaller steps.
_RATE, _RATE_WIDTH = 2e-3, 192
_WARM_UP_STEPS = 10
# From here on the rate falls to nothing.
_COOLS_FROM = 0.5
_MOMENTS = ("exp_avg", "exp_avg_sq")


def rate_at(step: int, steps: int, width: int) -> float:
    """The learning rate of a step.

    Args:
        step: Its number, from 0.
        steps: How many there are.
        width: Numbers that the model has for a frame or a token.
    """
    done = step / steps
    cooled = 1.0 if done < _COOLS_FROM else (1 - done) / (1 - _COOLS_FROM)
    return _RATE * min(1.0, _RATE_WIDTH / width) * cooled * min(1.0, (step + 1) / _WARM_UP_STEPS)


def save_state(
    file: Path, named: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, steps_done: int
) -> None:
    """Write all that `load_state` goes on from. What was there before stays until it is complete.

    Args:
        file: Where to.
        named: What learns, by name.
        optimizer: Of Adam's kind.
        steps_done: How many steps were taken.

    Raises:
        OSError: If it can't be written.
    """
    tensors = {f"weight.{name}": one.detach().cpu().contiguous() for name, one in named.items()}
    for name, one in named.items():
        state = optimizer.state.get(one, {})
        tensors |= {f"{moment}.{name}": state[moment].cpu().contiguous() for moment in _MOMENTS if moment in state}
    # Read as late as it is written: a state that stops halfway is none.
    with whole_file(file) as out:
        out.write(save(tensors, {"steps_done": str(steps_done)}))


def load_state(file: Path, named: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> int:
    """Go on from a state that was saved with the same arguments; returns how many steps were taken, 0 without one."""
    from safetensors import safe_open

    try:
        tensors = load_file(os.fspath(file))
        with safe_open(os.fspath(file), "pt") as opened:
            steps_done = int(opened.metadata()["steps_done"])
    except (OSError, SafetensorError, LookupError, ValueError):
        return 0
    with torch.no_grad():
        for name, one in named.items():
            one.copy_(tensors[f"weight.{name}"])
            if f"{_MOMENTS[0]}.{name}" in tensors:
                optimizer.state[one] = {
                    "step": torch.tensor(float(steps_done)),
                    **{moment: tensors[f"{moment}.{name}"].to(one.device) for moment in _MOMENTS},
                }
    return steps_done

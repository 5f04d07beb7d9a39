"""What a step on lessons asks for besides the captions: the teacher's answers, and its summary of each window.

- The answers, both ways: each window divides among the concepts as the teacher says, and each concept among the
  windows.
- The logarithm of the sum of a window's odds stays at its mean from the start of the run. The name of a window does not
  depend on it, but its rank among the windows does.
- A linear layer, which is no part of the checkpoint, predicts the teacher's summary from the state of the clip.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recipe.lessons import Lesson

_RATE = 3e-4
_RIDGE = 0.01
_COLUMN_WEIGHT, _LEVEL_WEIGHT, _SUMMARY_WEIGHT = 2.5, 1.5, 20.0
"""Against 1 for what each window is called. With a weight of 1, the summaries were hardly learned."""


class Pupil:
    """The linear layer and its optimizer, and the term of the loss. The layer starts as ridge regression has it."""

    def __init__(self, states: Sequence[Tensor], lessons: Sequence[Lesson], level: float) -> None:
        inputs = torch.cat([_normed(state) for state in states])
        wanted = torch.from_numpy(np.concatenate([lesson.summaries for lesson in lessons]))
        inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)
        squares = inputs.T @ inputs + _RIDGE * len(inputs) * torch.eye(inputs.shape[1])
        solution = torch.linalg.solve(squares, inputs.T @ wanted)
        self._layer = nn.Linear(inputs.shape[1] - 1, wanted.shape[1])
        with torch.no_grad():
            self._layer.weight.copy_(solution[:-1].T)
            self._layer.bias.copy_(solution[-1])
        self._optimizer = torch.optim.AdamW(self._layer.parameters(), lr=_RATE, weight_decay=0.01)
        self._level = level

    def loss(self, state: Tensor, logits: Tensor, lesson: Lesson) -> Tensor:
        """`state` `[windows, width]` is that of the clip, `logits` `[windows, concepts]` those of the plain prompts."""
        sounding = torch.from_numpy(lesson.share.sum(1) > 0.5)
        if not sounding.any():
            return logits.sum() * 0
        wanted = torch.from_numpy(lesson.summaries)
        summaries = functional.smooth_l1_loss(self._layer(_normed(state)), wanted)
        return _SUMMARY_WEIGHT * summaries + answers_loss(
            logits[sounding], torch.from_numpy(lesson.answers)[sounding], self._level
        )

    def step(self, share: float) -> None:
        """Change the layer by its gradients, at this share of its rate."""
        for group in self._optimizer.param_groups:
            group["lr"] = share * _RATE
        self._optimizer.step()
        self._optimizer.zero_grad()


def answers_loss(logits: Tensor, answers: Tensor, level: float) -> Tensor:
    """How far `logits` `[windows, concepts]` are from `answers`, and the logarithm of their odds' sum from `level`."""
    wanted = answers.log_softmax(1)
    rows = functional.kl_div(logits.log_softmax(1), wanted, reduction="batchmean", log_target=True)
    of_columns = functional.kl_div(logits.log_softmax(0), wanted.log_softmax(0), reduction="none", log_target=True)
    weight = wanted.exp().sum(0) / len(wanted)
    columns = (of_columns.sum(0) * weight).sum()
    return rows + _COLUMN_WEIGHT * columns + _LEVEL_WEIGHT * ((logits.logsumexp(1) - level) ** 2).mean()


def _normed(state: Tensor) -> Tensor:
    return functional.layer_norm(state.float(), state.shape[-1:])

"""Training: captions are drawn, and the adapters of a language model learn to give them.

A step depends on nothing but the weights, the seed and its number, so a training that is taken up again from a saved
state ends with the same weights as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from pe_search.errors import LanguageModelError, first_line
from pe_search.language.adapters import Adapter
from pe_search.language.conversations import Conversation
from pe_search.language.tuning.adapted import AdaptedModel, mean_of
from pe_search.pe_audio.checkpoint import Checkpoint
from pe_search.pe_audio.embedder import USUAL_THREADS
from pe_search.pe_audio.tuning.lessons import Plan
from pe_search.pe_audio.tuning.steps import LARGEST_GRADIENT, WEIGHT_DECAY, load_state, rate_at, save_state

T = TypeVar("T")

_LESSONS_AT_ONCE = 8
# How many of them are in memory as activations, at first; fewer if there is no room.
_CPU_SHARE, _GPU_SHARE = 2, 4


@dataclass(frozen=True, slots=True)
class Lesson:
    """A caption to learn.

    Attributes:
        read: Reads its sound: float32 of shape (samples,), as a `Conversation` has it.
        question: What is asked.
        answer: What is to be answered.
    """

    read: Callable[[], NDArray[np.float32]]
    question: str
    answer: str


class CaptionTraining:
    """A language model that learns to give captions.

    Args:
        checkpoint: Where it begins.
        device: As `AdaptedModel` has it.
        dtype: Likewise.
        lessons: What it learns from; at least one.
        plan: How it goes.

    Attributes:
        steps_done: How many.

    Raises:
        MissingExtraError: As `AdaptedModel`, with all else that it raises.
    """

    def __init__(self, checkpoint: Checkpoint, device: str, dtype: str, lessons: Sequence[Lesson], plan: Plan) -> None:
        self.steps_done = 0
        # Sums come out differently in their last bits with other numbers of threads.
        torch.set_num_threads(USUAL_THREADS)
        self._model = AdaptedModel(checkpoint, device, dtype, plan.seed)
        self._name = checkpoint.name
        self._lessons, self._plan = lessons, plan
        self._share = _CPU_SHARE if self._model.device.type == "cpu" else _GPU_SHARE
        self._named = self._model.parameters()
        self._optimizer = torch.optim.AdamW(self._named.values(), weight_decay=WEIGHT_DECAY)

    def loss_of(self, lessons: Sequence[Lesson]) -> float:
        """How badly captions are foretold: the mean over their tokens of the negative log-likelihood, in nats."""
        found = []
        with torch.no_grad():
            for start in range(0, len(lessons), _LESSONS_AT_ONCE):
                some = lessons[start : start + _LESSONS_AT_ONCE]
                found += [(float(loss), count) for loss, count in self._with_room(self._losses, some)]
        return mean_of(found)

    def step(self) -> float:
        """Learn from some captions. Returns the loss before the step."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate_at(self.steps_done, self._plan.steps, self._model.width)
        drawn = [self._lessons[place] for place in self._drawn()]
        loss = self._with_room(self._learn, drawn)
        torch.nn.utils.clip_grad_norm_(self._named.values(), LARGEST_GRADIENT)
        self._optimizer.step()
        self.steps_done += 1
        return loss

    def save_state(self, file: Path) -> None:
        """As `steps.save_state`."""
        save_state(file, self._named, self._optimizer, self.steps_done)

    def load_state(self, file: Path) -> None:
        """Go on from a state that was saved with the same arguments, if there is one."""
        self.steps_done = load_state(file, self._named, self._optimizer)

    def save_adapter(self, directory: Path) -> None:
        """As `AdaptedModel.save_adapter`."""
        self._model.save_adapter(directory)

    def save_merged(self, directory: Path, adapter: Adapter) -> None:
        """As `AdaptedModel.save_merged`."""
        self._named = {}
        self._optimizer.state.clear()
        self._optimizer.param_groups.clear()
        self._model.save_merged(directory, adapter)

    def _drawn(self) -> list[int]:
        """The captions of the next step: all are drawn once before any is drawn again."""
        count = len(self._lessons)
        first = self.steps_done * _LESSONS_AT_ONCE
        places = range(first, first + min(_LESSONS_AT_ONCE, count))
        rounds = {place // count for place in places}
        orders = {one: np.random.default_rng([self._plan.seed, one]).permutation(count) for one in rounds}
        return [int(orders[place // count][place % count]) for place in places]

    def _losses(self, lessons: Sequence[Lesson]) -> list[tuple[torch.Tensor, int]]:
        return [self._model.losses(some) for some in self._inputs(lessons)]

    def _learn(self, lessons: Sequence[Lesson]) -> float:
        """Let the gradients be those of the mean over all tokens of some captions; returns it."""
        self._optimizer.zero_grad()
        found = [self._backward(some) for some in self._inputs(lessons)]
        tokens = sum(count for _, count in found)
        for one in self._named.values():
            if one.grad is not None:
                one.grad /= tokens
        return mean_of(found)

    def _backward(self, inputs: dict[str, Any]) -> tuple[float, int]:
        loss, count = self._model.losses(inputs)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()), count

    def _inputs(self, lessons: Sequence[Lesson]) -> list[dict[str, Any]]:
        found = []
        for start in range(0, len(lessons), self._share):
            some = lessons[start : start + self._share]
            asked = [Conversation(one.read(), one.question) for one in some]
            found.append(self._model.inputs(asked, [one.answer for one in some]))
        return found

    def _with_room(self, work: Callable[[Sequence[Lesson]], T], lessons: Sequence[Lesson]) -> T:
        """What some work on captions comes to; with fewer of them at once where there is too little memory."""
        while True:
            try:
                return work(lessons)
            except torch.OutOfMemoryError as error:
                if self._share == 1:
                    reason = f"{self._name} has too little memory on {self._model.device.type}."
                    raise LanguageModelError(reason) from error
            except LanguageModelError:
                raise
            # Whatever a model makes of what it doesn't expect: each has its own exceptions for that.
            except Exception as error:
                raise LanguageModelError(f"{self._name} fails: {first_line(error)}") from error
            self._share //= 2

"""Training: lessons are drawn, and the adapters of both towers learn from them, step by step.

A step depends on nothing but the weights, the seed and its number, so a training that is taken up again from a saved
state ends with the same weights as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pe_search.pe_audio.checkpoint import Checkpoint
from pe_search.pe_audio.embedder import USUAL_THREADS, pick_device
from pe_search.pe_audio.tuning.adapted import AdaptedTowers
from pe_search.pe_audio.tuning.lessons import Features, Lesson, Plan
from pe_search.pe_audio.tuning.objective import (
    KEEP_SOUNDS_WEIGHT,
    KEEP_TEXTS_WEIGHT,
    SIGMOID_WEIGHT,
    contrast,
    judge,
    keep_sounds,
    keep_texts,
)
from pe_search.pe_audio.tuning.steps import LARGEST_GRADIENT, WEIGHT_DECAY, load_state, rate_at, save_state

_LESSONS_AT_ONCE = 32
# Of a longer sound, so many windows are drawn for a step; the better one counts for each text.
_WINDOWS_OF_A_LESSON = 2
_TEXTS_AT_ONCE = 256
_OLD_TEXTS_AT_ONCE = 64
_EMBEDDED_AT_ONCE = 16


class Training:
    """A checkpoint that learns.

    Args:
        checkpoint: Where it begins.
        device: As `Embedder` has it. It is calculated in float32 everywhere.
        texts: What lessons are about.
        old_texts: What the checkpoint knows already, and should know afterwards.
        lessons: What it learns from; at least one has a text.
        features: Of their windows.
        plan: How it goes.

    Attributes:
        steps_done: How many.
        scale: The checkpoint's.
        bias: The checkpoint's.
        dimension: Length of an embedding.

    Raises:
        PeSearchError: If the device is not there.
        MissingExtraError: If peft is not installed.
        CheckpointError: If the checkpoint can't be loaded.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str,
        texts: Sequence[str],
        old_texts: Sequence[str],
        lessons: Sequence[Lesson],
        features: Features,
        plan: Plan,
    ) -> None:
        self.steps_done = 0
        # Sums come out differently in their last bits with other numbers of threads.
        torch.set_num_threads(USUAL_THREADS)
        self._device = pick_device(device)
        self._towers = AdaptedTowers(checkpoint, self._device, plan.seed)
        self.scale, self.bias, self.dimension = self._towers.scale, self._towers.bias, self._towers.dimension
        self._texts, self._old_texts = list(texts), list(old_texts)
        self._lessons, self._features, self._plan = lessons, features, plan
        self._lessons_of: dict[int, list[int]] = {}
        for place, lesson in enumerate(lessons):
            # A sound in which nothing is heard is one kind more.
            for text in lesson.heard or (-1,):
                self._lessons_of.setdefault(text, []).append(place)
        self._kinds = sorted(self._lessons_of)
        with torch.no_grad():
            self._old_embeddings = self._towers.embed_texts(self._old_texts)
        self._before: dict[int, torch.Tensor] = {}
        self._named = self._towers.parameters()
        self._optimizer = torch.optim.AdamW(self._named.values(), weight_decay=WEIGHT_DECAY)

    def remember(self, windows: Sequence[int], embeddings: NDArray[np.float32]) -> None:
        """Take down what windows of lessons are before anything is learned; needed before the first step.

        Args:
            windows: Their numbers.
            embeddings: Shape (windows, dimension).
        """
        self._before.update(zip(windows, torch.from_numpy(embeddings), strict=True))

    def embed_windows(self, windows: Sequence[int]) -> Iterator[NDArray[np.float32]]:
        """Embed windows as the checkpoint is now, a few at a time, in their order: shape (windows, dimension)."""
        for start in range(0, len(windows), _EMBEDDED_AT_ONCE):
            with torch.no_grad():
                some = [self._features(window) for window in windows[start : start + _EMBEDDED_AT_ONCE]]
                yield np.asarray(self._towers.embed_features(some).cpu().numpy())

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts as the checkpoint is now. Returns shape (texts, dimension)."""
        with torch.no_grad():
            return np.asarray(self._towers.embed_texts(texts).cpu().numpy())

    def step(self) -> float:
        """Learn from some lessons. Returns the loss before the step."""
        drawing = np.random.default_rng([self._plan.seed, self.steps_done])
        for group in self._optimizer.param_groups:
            group["lr"] = rate_at(self.steps_done, self._plan.steps, self._towers.width)
        loss = self._loss(self._drawn_lessons(drawing), drawing)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._named.values(), LARGEST_GRADIENT)
        self._optimizer.step()
        self.steps_done += 1
        return float(loss.detach())

    def save_state(self, file: Path) -> None:
        """As `steps.save_state`."""
        save_state(file, self._named, self._optimizer, self.steps_done)

    def load_state(self, file: Path) -> bool:
        """Go on from a state that was saved with the same arguments.

        Returns:
            Whether there is one.
        """
        self.steps_done = load_state(file, self._named, self._optimizer)
        return self.steps_done > 0

    def save_merged(self, directory: Path) -> None:
        """As `AdaptedTowers.save_merged`."""
        self._towers.save_merged(directory)

    def _drawn_lessons(self, drawing: np.random.Generator) -> list[Lesson]:
        """Of each kind as many as of any other, however many lessons there are of it; no lesson twice."""
        kinds = drawing.choice(len(self._kinds), size=_LESSONS_AT_ONCE)
        drawn = (drawing.choice(self._lessons_of[self._kinds[kind]]) for kind in kinds)
        return [self._lessons[place] for place in dict.fromkeys(map(int, drawn))]

    def _loss(self, lessons: Sequence[Lesson], drawing: np.random.Generator) -> torch.Tensor:
        texts = self._drawn_texts(lessons, drawing)
        old = drawing.permutation(len(self._old_texts))[:_OLD_TEXTS_AT_ONCE]
        windows = [list(map(int, drawing.permutation(lesson.windows)[:_WINDOWS_OF_A_LESSON])) for lesson in lessons]
        all_windows = [window for of_lesson in windows for window in of_lesson]
        sounds = self._towers.embed_features([self._features(window) for window in all_windows])
        named = self._towers.embed_texts(
            [*(self._texts[text] for text in texts), *(self._old_texts[one] for one in old)]
        )
        odds = self._odds(sounds, named[: len(texts)])
        ends = np.cumsum([len(one) for one in windows])
        odds = torch.stack([odds[end - len(one) : end].amax(0) for one, end in zip(windows, ends, strict=True)])
        heard = self._flags([[text in lesson.heard for text in texts] for lesson in lessons])
        known = self._flags([[text not in lesson.unknown for text in texts] for lesson in lessons])
        loss = contrast(odds, heard, known) + SIGMOID_WEIGHT * judge(odds, heard, known)
        if not self._old_texts:
            return loss
        before = torch.stack([self._before[window] for window in all_windows]).to(self._device)
        kept = keep_sounds(self._odds(sounds, self._old_embeddings), self._odds(before, self._old_embeddings))
        moved = keep_texts(named[len(texts) :], self._old_embeddings[torch.from_numpy(old).to(self._device)])
        return loss + KEEP_SOUNDS_WEIGHT * kept + KEEP_TEXTS_WEIGHT * moved

    def _drawn_texts(self, lessons: Sequence[Lesson], drawing: np.random.Generator) -> list[int]:
        """The texts of some lessons, and others that are wrong for them."""
        heard = sorted({text for lesson in lessons for text in lesson.heard})
        others = np.setdiff1d(np.arange(len(self._texts)), heard)
        return [*heard, *map(int, drawing.permutation(others)[: max(0, _TEXTS_AT_ONCE - len(heard))])]

    def _odds(self, sounds: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        return sounds @ texts.T * self.scale + self.bias

    def _flags(self, rows: list[list[bool]]) -> torch.Tensor:
        return torch.tensor(rows, dtype=torch.bool, device=self._device)

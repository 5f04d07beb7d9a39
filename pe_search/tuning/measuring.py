"""How well texts are found among the sounds that were held out: before, afterwards, and by a learned word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pe_search.evaluation.ranking import Floats, average_precision, steps_of
from pe_search.learning.fitting import fit
from pe_search.search.aims import unit
from pe_search.search.learned import UNJUDGED_WEIGHT, guess_from
from pe_search.store import Manifest
from pe_search.tuning.sounds import Sound

Embeddings = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Measured:
    """Sounds to measure on.

    Attributes:
        sounds: At least one.
        texts: How many texts there are.
    """

    sounds: Sequence[Sound]
    texts: int

    def scores(self, windows: Embeddings, directions: NDArray[np.floating]) -> Floats:
        """What each sound's best window scores, of shape (sounds, directions).

        Args:
            windows: Of all windows of the table, by their numbers.
            directions: Of texts, of shape (directions, dimension).
        """
        found = windows.astype(np.float64) @ directions.astype(np.float64).T
        return np.stack([found[list(sound.windows)].max(axis=0) for sound in self.sounds])

    def average_precisions(self, scores: Floats) -> list[float]:
        """Of each text; NaN if no sound has it."""
        return [self.average_precision(scores[:, text], text) for text in range(self.texts)]

    def average_precision(self, scores: Floats, text: int) -> float:
        """Of one text; NaN if no sound has it."""
        known = np.array([text not in sound.unknown for sound in self.sounds])
        is_right = np.array([text in sound.heard for sound in self.sounds])
        return _average_precision(scores[known], is_right[known])

    def without(self, texts: Sequence[int]) -> Measured:
        """Those of the sounds in which none of some texts is heard."""
        return Measured([sound for sound in self.sounds if not sound.heard & set(texts)], self.texts)


def kept_share(scores: Floats, before: Floats, logit_scale: float, logit_bias: float) -> float | None:
    """How much of what texts found they find still: as `Tuning.kept`.

    Args:
        scores: Shape (sounds, texts).
        before: Likewise, of the checkpoint as it was.
        logit_scale: The checkpoint's.
        logit_bias: The checkpoint's.
    """
    was_sure = before * logit_scale + logit_bias > 0
    found = [
        _average_precision(scores[:, text], was_sure[:, text])
        for text in range(scores.shape[1])
        if 0 < was_sure[:, text].sum() < len(was_sure)
    ]
    return float(np.mean(found)) if found else None


def learned_word(learning: Sequence[Sound], text: int, windows: Embeddings, manifest: Manifest) -> NDArray[np.float64]:
    """The weights of a word that is taught all windows of the sounds that have it as yes, and all others as no.

    As `learn --from` does, without a text to start from: the name of a new word says nothing.

    Args:
        learning: The sounds that are learned from.
        text: What is learned; at least one sound has it.
        windows: As the checkpoint had them before.
        manifest: Has the checkpoint's numbers.
    """
    numbers = [number for sound in learning if text not in sound.unknown for number in sound.windows]
    is_yes = np.array([text in sound.heard for sound in learning if text not in sound.unknown for _ in sound.windows])
    embeddings = windows[numbers].astype(np.float64)
    directions = unit(embeddings)
    norm = float(np.linalg.norm(embeddings, axis=1).mean())
    guess = guess_from(None, directions[is_yes], manifest, norm)
    return fit(directions, is_yes, directions[:0], guess, manifest.logit_bias, UNJUDGED_WEIGHT)


def _average_precision(scores: Floats, is_right: NDArray[np.bool_]) -> float:
    if not is_right.any():
        return float("nan")
    once = np.ones((1, len(scores)), np.float32)
    return float(average_precision(steps_of(scores, is_right, once))[0])

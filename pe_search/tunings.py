"""Frozen records of how a checkpoint was tuned, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LARGEST_FALL = 0.01
"""How much lower the figure of old words may be afterwards: what changes by less is no worse."""
LEAST_KEPT = 0.8
"""How much of what the old texts found they must find still, where nobody has said what is right."""


@dataclass(frozen=True, slots=True)
class TunedText:
    """How well a label or caption is found among the sounds that were held out.

    Attributes:
        text: As the table has it.
        is_new: Whether it is a word that the checkpoint is to learn, and not one that it must keep.
        held_out: How many of these sounds have it.
        before: Average precision of the checkpoint as it was.
        after: That of the tuned one; None as long as it isn't known.
        learned: That of a learned word, which the same sounds have taught; None for an old word or a caption.
    """

    text: str
    is_new: bool
    held_out: int
    before: float
    after: float | None
    learned: float | None


@dataclass(frozen=True, slots=True)
class Scores:
    """How a training stands.

    Attributes:
        step: How many steps are done.
        new: Mean average precision of the new words, on what was held out; None without any.
        old: That of the old words; None without any.
        kept: As `Tuning` has it.
    """

    step: int
    new: float | None
    old: float | None
    kept: float | None


@dataclass(frozen=True, slots=True)
class Tuning:
    """What came of a tuning.

    Attributes:
        model: The checkpoint that it began with.
        learned_from: How many sounds were learned from.
        held_out: How many were held out.
        recordings: How many recordings they are parts of.
        unmeasured: Labels of one recording only, which were learned and can't be measured.
        texts: The figures of each other label or caption.
        kept: How much of what the old texts outside the table found they find still, 0 to 1: the mean average precision
            of their rankings, where what they were sure of before (above even odds) counts as right. Only over sounds
            without a new word. None if they were sure of none.
        steps: How many steps were taken.
        directory: The tuned checkpoint; None if it was not written.
        problems: How many clips can't be read, or not completely.
    """

    model: str
    learned_from: int
    held_out: int
    recordings: int
    unmeasured: tuple[str, ...]
    texts: tuple[TunedText, ...]
    kept: float | None
    steps: int
    directory: Path | None
    problems: int

    @property
    def new_before(self) -> float | None:
        """Mean average precision of the new words before; None without any."""
        return mean(one.before for one in self.texts if one.is_new)

    @property
    def new_after(self) -> float | None:
        """The same afterwards."""
        return mean(one.after for one in self.texts if one.is_new)

    @property
    def new_learned(self) -> float | None:
        """That of learned words; None for captions."""
        return mean(one.learned for one in self.texts if one.is_new)

    @property
    def old_before(self) -> float | None:
        """Mean average precision of the old words of the table before; None without any."""
        return mean(one.before for one in self.texts if not one.is_new)

    @property
    def old_after(self) -> float | None:
        """The same afterwards."""
        return mean(one.after for one in self.texts if not one.is_new)

    @property
    def improves(self) -> bool:
        """Whether the new words are found better; without new words, the old ones."""
        before, after = self.new_before, self.new_after
        if before is None or after is None:
            before, after = self.old_before, self.old_after
        return before is not None and after is not None and after > before

    @property
    def keeps(self) -> bool:
        """Whether the old words are found as well as before, within `LARGEST_FALL` and `LEAST_KEPT`."""
        before, after = self.old_before, self.old_after
        falls = before is not None and after is not None and after < before - LARGEST_FALL
        return not falls and (self.kept is None or self.kept >= LEAST_KEPT)

    @property
    def learned_is_better(self) -> bool:
        """Whether learned words find the new words at least as well; they cost next to nothing."""
        learned, after = self.new_learned, self.new_after
        return learned is not None and after is not None and learned >= after


@dataclass(frozen=True, slots=True)
class CaptionLoss:
    """How a training on captions stands.

    Attributes:
        step: How many steps are done.
        loss: As `CaptionTuning` has it.
    """

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class CaptionTuning:
    """What came of tuning a language model on captions.

    Losses say how badly captions that were held out are foretold: the mean over their tokens of the negative
    log-likelihood, in nats; 0 is best.

    Attributes:
        model: The language model that it began with.
        learned_from: How many captions were learned from.
        held_out: How many were held out.
        recordings: How many recordings they are about.
        before: The loss of the language model as it was.
        after: That of the tuned one.
        steps: How many steps were taken.
        directory: The adapter or the checkpoint; None if it was not written.
        problems: How many captions are about clips or parts that can't be read.
    """

    model: str
    learned_from: int
    held_out: int
    recordings: int
    before: float
    after: float
    steps: int
    directory: Path | None
    problems: int

    @property
    def improves(self) -> bool:
        """Whether captions that were held out are foretold better than before."""
        return self.after < self.before


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are known; None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

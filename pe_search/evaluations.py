"""Frozen records of how well a store's checkpoint finds what a table says is heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

RECALL_AT = (1, 5, 10)
"""How many hits, or texts, recall looks at."""

Row = tuple[str, str, str, float | None, float | None, float | None]
"""Of a figure: its name, text, second text, value, and the interval around it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its interval.

    Attributes:
        value: The number; None if it isn't defined, as without any clip.
        low: Where the interval begins: with other recordings of the same kind, 95 of 100 tables would give a value
            inside it. None where there is no interval.
        high: Where it ends.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least probability at which what is found has the best F1.

    Attributes:
        probability: The threshold.
        f1: The harmonic mean of precision and recall.
        precision: The share of what is found that is right.
        recall: The share of what is right that is found.
    """

    probability: float
    f1: float
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision over recall, a point for each score of a right clip, the highest score first.

    Attributes:
        recall: The share of what is right that is found, increasing to 1.
        precision: The share of what is found that is right.
    """

    recall: tuple[float, ...]
    precision: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class OfText:
    """How well one label or caption is found.

    Attributes:
        text: As the table has it.
        clips: How many clips it is right for.
        average_precision: Over the clips by score; of clips with the same score, the mean over all orders.
        average_precision_grouped: Likewise with clips of the same score taken as one step, as scikit-learn has it.
        auroc: How often a right clip scores higher than a wrong one; ties count half.
        best: The threshold with the best F1; None if no clip is right.
        curve: Of the clips by score; None if no clip is right.
        frame_auroc: As `auroc`, of frames; None without times.
        event_f1: F1 of events; None without times.
        segment_f1: F1 of segments; None without times.
    """

    text: str
    clips: int
    average_precision: Figure
    average_precision_grouped: Figure
    auroc: Figure
    best: Threshold | None
    curve: Curve | None = None
    frame_auroc: float | None = None
    event_f1: float | None = None
    segment_f1: float | None = None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Where the first right answer stands in a ranking. Ties count as the mean over all orders.

    Attributes:
        recall: The share of rankings with a right answer among the first 1, 5 and 10.
        mean_rank: The mean rank of the first right answer.
    """

    recall: tuple[Figure, ...]
    mean_rank: Figure


@dataclass(frozen=True, slots=True)
class Naming:
    """What comes of giving each clip the label that scores highest.

    Attributes:
        accuracy: The share of clips whose name is one of their labels.
        confusion: Of clips with one label: rows are the labels of the table, columns the names given.
        clips: How many clips with a label there are.
        clips_of_one_label: How many of them are in `confusion`.
    """

    accuracy: Figure
    confusion: tuple[tuple[int, ...], ...]
    clips: int
    clips_of_one_label: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs of a clip and a text whose probability lies between two bounds.

    Attributes:
        low: The lower bound, which is inside only if it is 0.
        high: The upper bound.
        pairs: How many there are.
        probability: The mean of their probabilities; None without pairs.
        share: The share of them that is right; None without pairs.
    """

    low: float
    high: float
    pairs: int
    probability: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether probabilities are what they say.

    Attributes:
        bins: Ten of the same width.
        error: The expected calibration error: the mean distance of probability and share over all pairs, by bins.
        brier: The mean squared distance of probability and truth.
    """

    bins: tuple[Bin, ...]
    error: float
    brier: float


@dataclass(frozen=True, slots=True)
class Frames:
    """How well it is found when something is heard. Figures are means over the labels.

    Attributes:
        clips: How many clips were listened to.
        events: How many events they have by the table.
        auroc: How often a frame in an event scores higher than one outside.
        event_f1: Of the spans that `locate` finds: begin and end within 0.2 s, the end also within a fifth of its
            length.
        event_f1_best: Of the frames at each label's best threshold.
        segment_f1: Of segments of a second, by the same spans.
        segment_f1_best: Of the frames at each label's best threshold.
        psds1: The polyphonic sound detection score of DCASE's scenario 1, which asks for exact times.
        psds2: That of scenario 2, which asks not to take one sound for another.
    """

    clips: int
    events: int
    auroc: float | None
    event_f1: float
    event_f1_best: float
    segment_f1: float
    segment_f1_best: float
    psds1: float
    psds2: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a store's checkpoint finds what a table says is heard.

    Attributes:
        kind: Of the table: `labels`, `times` or `captions`.
        model: The checkpoint.
        clips: How many clips of the table the store holds.
        recordings: How many recordings they are of.
        missing: The clips of the table that the store does not hold, as the table names them.
        mean_average_precision: The mean over the texts that have a clip.
        mean_average_precision_grouped: Likewise, as scikit-learn takes ties.
        mean_auroc: Likewise.
        clip_of_text: Where each text's first right clip stands.
        text_of_clip: Where each clip's first right text stands.
        of_texts: For each text, in the order of the table.
        best: The threshold with the best F1 for all texts together; None if no clip is right.
        curve: Of all pairs of a clip and a text, by probability; None if no clip is right.
        naming: None for captions.
        calibration: Of all pairs of a clip and a text.
        trained_on: How many of the clips the checkpoint was trained on, so that its figures are too good; None if that
            is not known.
        frames: None if nothing was listened to.
    """

    kind: str
    model: str
    clips: int
    recordings: int
    missing: tuple[str, ...]
    mean_average_precision: Figure
    mean_average_precision_grouped: Figure
    mean_auroc: Figure
    clip_of_text: Retrieval
    text_of_clip: Retrieval
    of_texts: tuple[OfText, ...]
    best: Threshold | None
    curve: Curve | None
    naming: Naming | None
    calibration: Calibration | None
    trained_on: int | None = None
    frames: Frames | None = None

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """Those of all texts together, by name."""
        yield "clips", Figure(self.clips)
        yield "recordings", Figure(self.recordings)
        yield "missing_clips", Figure(len(self.missing))
        if self.trained_on is not None:
            yield "trained_on_clips", Figure(self.trained_on)
        yield "mean_average_precision", self.mean_average_precision
        yield "mean_average_precision_grouped", self.mean_average_precision_grouped
        yield "mean_auroc", self.mean_auroc
        for name, found in (("clip_of_text", self.clip_of_text), ("text_of_clip", self.text_of_clip)):
            for k, figure in zip(RECALL_AT, found.recall, strict=True):
                yield f"{name}_recall_at_{k}", figure
            yield f"{name}_mean_rank", found.mean_rank
        if self.naming is not None:
            yield "naming_accuracy", self.naming.accuracy
        if self.best is not None:
            yield from _of_threshold(self.best)
        if self.calibration is not None:
            yield "calibration_error", Figure(self.calibration.error)
            yield "brier_score", Figure(self.calibration.brier)
        if (frames := self.frames) is not None:
            for name in ("clips", "events", "auroc"):
                yield f"frame_{name}", Figure(getattr(frames, name))
            for name in ("event_f1", "event_f1_best", "segment_f1", "segment_f1_best", "psds1", "psds2"):
                yield name, Figure(getattr(frames, name))

    def rows(self) -> Iterator[Row]:
        """Everything, one number a row: first the figures of all texts, then of each text, confusion and bins."""
        for name, figure in self.figures():
            yield _row(name, "", "", figure)
        for one in self.of_texts:
            yield _row("clips", one.text, "", Figure(one.clips))
            yield _row("average_precision", one.text, "", one.average_precision)
            yield _row("average_precision_grouped", one.text, "", one.average_precision_grouped)
            yield _row("auroc", one.text, "", one.auroc)
            for name, figure in () if one.best is None else _of_threshold(one.best):
                yield _row(name, one.text, "", figure)
            for name in ("frame_auroc", "event_f1", "segment_f1"):
                if self.frames is not None:
                    yield _row(name, one.text, "", Figure(getattr(one, name)))
        if self.naming is not None:
            for one, counts in zip(self.of_texts, self.naming.confusion, strict=True):
                for other, count in zip(self.of_texts, counts, strict=True):
                    yield _row("confusion", one.text, other.text, Figure(count))
        for each in () if self.calibration is None else self.calibration.bins:
            bounds = f"{each.low:g}–{each.high:g}"
            yield _row("bin_pairs", "", bounds, Figure(each.pairs))
            yield _row("bin_probability", "", bounds, Figure(each.probability))
            yield _row("bin_share", "", bounds, Figure(each.share))


def _of_threshold(best: Threshold) -> Iterator[tuple[str, Figure]]:
    yield "best_threshold", Figure(best.probability)
    yield "best_f1", Figure(best.f1)
    yield "best_precision", Figure(best.precision)
    yield "best_recall", Figure(best.recall)


def _row(name: str, text: str, other: str, figure: Figure) -> Row:
    return name, text, other, figure.value, figure.low, figure.high


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many of the windows that score highest have a sound, by judgements of some of them.

    Attributes:
        min_probability: The least probability among these windows.
        windows: How many they are.
        judged: How many of them were judged yes or no, and count.
        yes: How many of those were judged yes.
        count: How many of the windows have the sound, as estimated.
        low: Where the 95 % interval begins.
        high: Where it ends.
    """

    min_probability: float
    windows: int
    judged: int
    yes: int
    count: float
    low: float
    high: float

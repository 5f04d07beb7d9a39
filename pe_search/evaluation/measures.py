"""Scores of clips and what is right of them become figures, with intervals. No store and no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    precision_recall_curve,
    roc_auc_score,
)

from pe_search.evaluation import ranking
from pe_search.evaluation.ranking import Floats
from pe_search.evaluations import RECALL_AT, Bin, Calibration, Curve, Figure, Naming, OfText, Retrieval, Threshold

_BINS = 10
_INTERVAL_PERCENT = (2.5, 97.5)
# How many drawn clips are held at once.
_AT_ONCE = 20_000_000


@dataclass(frozen=True, slots=True)
class Table:
    """What clips score for texts, and what is right.

    Attributes:
        texts: The labels or captions.
        scores: float64 of shape (clips, texts).
        probabilities: Likewise.
        is_right: bool of the same shape.
        recordings: int64 of shape (clips,): the recording of each clip, from 0 without gaps.
    """

    texts: Sequence[str]
    scores: Floats
    probabilities: Floats
    is_right: NDArray[np.bool_]
    recordings: NDArray[np.int64]

    @property
    def has_clips(self) -> bool:
        """Whether there is any clip."""
        return len(self.scores) > 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """The figures of rankings of clips by text.

    Attributes:
        mean_average_precision: As `Evaluation` has it.
        mean_average_precision_grouped: Likewise.
        mean_auroc: Likewise.
        clip_of_text: Likewise.
        of_texts: Likewise.
    """

    mean_average_precision: Figure
    mean_average_precision_grouped: Figure
    mean_auroc: Figure
    clip_of_text: Retrieval
    of_texts: tuple[OfText, ...]


def rank(table: Table, drawings: int, seed: int, on_progress: Callable[[float], None]) -> Ranked:
    """Rank the clips for each text.

    Args:
        table: At least one clip.
        drawings: Of recordings, for the intervals; 0 for none.
        seed: Of the drawings.
        on_progress: Called after each text with the share that is done, 0 to 1.
    """
    once = np.ones((1, len(table.scores)), np.float32)
    drawn = ranking.draw(table.recordings, drawings if table.recordings.max() > 0 else 0, seed)
    names = ("ap", "grouped", "auroc", *(f"recall{k}" for k in RECALL_AT), "rank")
    values: dict[str, list[float]] = {name: [] for name in names}
    samples: dict[str, list[Floats]] = {name: [] for name in names}
    of_texts = []
    for place, text in enumerate(table.texts):
        scores, is_right = table.scores[:, place], table.is_right[:, place]
        of_all = {name: float(one[0]) for name, one in _ranked(scores, is_right, once).items()}
        if is_right.any():
            # The same as above: what scikit-learn itself says is what counts.
            of_all["grouped"] = float(average_precision_score(is_right, scores))
        if 0 < is_right.sum() < len(is_right):
            of_all["auroc"] = float(roc_auc_score(is_right, scores))
        of_drawings = _in_parts(scores, is_right, drawn)
        for name in names:
            values[name].append(of_all[name])
            samples[name].append(of_drawings[name])
        of_texts.append(
            OfText(
                text,
                int(is_right.sum()),
                _figure(of_all["ap"], of_drawings["ap"]),
                _figure(of_all["grouped"], of_drawings["grouped"]),
                _figure(of_all["auroc"], of_drawings["auroc"]),
                best_threshold(table.probabilities[:, place], is_right),
                curve(scores, is_right),
            )
        )
        on_progress((place + 1) / len(table.texts))
    means = {name: _figure(_mean(np.array(values[name])), _mean_of(samples[name])) for name in names}
    retrieval = Retrieval(tuple(means[f"recall{k}"] for k in RECALL_AT), means["rank"])
    return Ranked(means["ap"], means["grouped"], means["auroc"], retrieval, tuple(of_texts))


def text_of_clip(table: Table, drawings: int, seed: int) -> Retrieval:
    """Rank the texts for each clip that has a right one."""
    labelled = table.is_right.any(axis=1)
    scores, is_right = table.scores[labelled], table.is_right[labelled]
    best = np.where(is_right, scores, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    before = (scores > best).sum(axis=1).astype(np.float64)
    tied, right = ((scores == best) & those for those in (np.ones_like(is_right), is_right))
    place = before, tied.sum(axis=1).astype(np.float64), right.sum(axis=1).astype(np.float64)
    drawn = ranking.draw(table.recordings, drawings if table.recordings.max() > 0 else 0, seed)[:, labelled]
    recall = tuple(_weighted(ranking.chance_within(k, *place), drawn) for k in RECALL_AT)
    return Retrieval(recall, _weighted(ranking.mean_rank(*place), drawn))


def name_clips(table: Table, drawings: int, seed: int) -> Naming:
    """Give each clip that has a label the one that scores highest; of labels that are tied, the first."""
    labelled = table.is_right.any(axis=1)
    named = table.scores[labelled].argmax(axis=1)
    is_right = table.is_right[labelled]
    drawn = ranking.draw(table.recordings, drawings if table.recordings.max() > 0 else 0, seed)[:, labelled]
    accuracy = _weighted(is_right[np.arange(len(named)), named].astype(np.float64), drawn)
    of_one = is_right.sum(axis=1) == 1
    places = np.arange(len(table.texts))
    # scikit-learn warns of a matrix of one label, in which there is nothing to confuse.
    if len(places) == 1:
        confusion = np.full((1, 1), of_one.sum())
    elif of_one.any():
        confusion = confusion_matrix(is_right[of_one].argmax(axis=1), named[of_one], labels=places)
    else:
        confusion = np.zeros((len(places), len(places)), np.int64)
    return Naming(accuracy, tuple(map(tuple, confusion.tolist())), len(named), int(of_one.sum()))


def best_threshold(probabilities: Floats, is_right: NDArray[np.bool_]) -> Threshold | None:
    """The threshold with the best F1, of several the highest; None if nothing is right."""
    if not is_right.any():
        return None
    precision, recall, thresholds = precision_recall_curve(is_right, probabilities)
    # The last point stands for nothing found, and has no threshold.
    precision, recall = precision[:-1], recall[:-1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    place = int(np.flatnonzero(f1 == f1.max())[-1])
    return Threshold(float(thresholds[place]), float(f1[place]), float(precision[place]), float(recall[place]))


def curve(scores: Floats, is_right: NDArray[np.bool_]) -> Curve | None:
    """Precision over recall, whose steps enclose scikit-learn's average precision; None if nothing is right."""
    if not is_right.any():
        return None
    precision, recall, _ = precision_recall_curve(is_right, scores)
    # Lower thresholds first; the last point stands for nothing found. Of points with one recall, the highest threshold.
    is_step = recall[:-1] > recall[1:]
    return Curve(*(tuple(values[:-1][is_step][::-1].tolist()) for values in (recall, precision)))


def calibrate(probabilities: Floats, is_right: NDArray[np.bool_]) -> Calibration:
    """Compare probabilities with what is right; both of shape (pairs,), at least one."""
    share, mean = calibration_curve(is_right, probabilities, n_bins=_BINS)
    bounds = np.linspace(0, 1, _BINS + 1)
    # As scikit-learn puts them into bins; it doesn't tell how many are in each.
    pairs = np.bincount(np.searchsorted(bounds[1:-1], probabilities), minlength=_BINS)
    of_bins = iter(zip(mean.tolist(), share.tolist(), strict=True))
    bins = []
    for low, high, number in zip(bounds[:-1].tolist(), bounds[1:].tolist(), pairs.tolist(), strict=True):
        bins.append(Bin(low, high, number, *(next(of_bins) if number else (None, None))))
    error = float((pairs[pairs > 0] * np.abs(mean - share)).sum() / len(probabilities))
    return Calibration(tuple(bins), error, float(brier_score_loss(is_right, probabilities)))


def _ranked(scores: Floats, is_right: NDArray[np.bool_], counts: NDArray[np.float32]) -> dict[str, Floats]:
    steps = ranking.steps_of(scores, is_right, counts)
    first = ranking.first_right(steps)
    found = {
        "ap": ranking.average_precision(steps),
        "grouped": ranking.average_precision_grouped(steps),
        "auroc": ranking.auroc(steps),
        "rank": ranking.mean_rank(*first),
    }
    return found | {f"recall{k}": ranking.chance_within(k, *first) for k in RECALL_AT}


def _in_parts(scores: Floats, is_right: NDArray[np.bool_], drawn: NDArray[np.float32]) -> dict[str, Floats]:
    """As `_ranked`, some drawings at a time."""
    step = max(1, _AT_ONCE // max(len(scores), 1))
    parts = [_ranked(scores, is_right, drawn[first : first + step]) for first in range(0, max(len(drawn), 1), step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _weighted(values: Floats, drawn: NDArray[np.float32]) -> Figure:
    """The mean of values of clips, and of drawings of them."""
    total = drawn.sum(axis=1)
    sums = drawn @ values
    return _figure(_mean(values), np.where(total > 0, sums / np.maximum(total, 1), np.nan))


def _figure(value: float, samples: Floats) -> Figure:
    if np.isnan(value):
        return Figure(None)
    known = samples[~np.isnan(samples)]
    if not len(known):
        return Figure(float(value))
    low, high = np.percentile(known, _INTERVAL_PERCENT)
    return Figure(float(value), float(low), float(high))


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _mean_of(samples: Sequence[Floats]) -> Floats:
    """Of each drawing, the mean over the texts that have a clip in it."""
    table = np.array(samples)
    is_known = ~np.isnan(table)
    number = is_known.sum(axis=0)
    return np.where(number > 0, np.where(is_known, table, 0).sum(axis=0) / np.maximum(number, 1), np.nan)

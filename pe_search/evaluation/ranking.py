"""Figures of rankings in which clips may have the same score, each also for many drawings of the clips at once.

What is tied counts as the mean over all orders, which is exact: nothing is drawn for it. Counts say how often each clip
is in a ranking: once, or as often as a bootstrap has drawn it; copies of a clip are tied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


# With more right steps than this, to sum up all clips in order is quicker.
_FEW_STEPS = 256


@dataclass(frozen=True, slots=True)
class Steps:
    """Rankings as steps: at each, all clips of one score are added, the highest score first.

    Steps without a right clip are left out; no figure needs them.

    Attributes:
        before: float64 of shape (drawings, steps): how many clips there are before each step.
        right_before: Likewise, how many of them are right.
        clips: Likewise, how many a step adds.
        right: Likewise, how many of them are right.
        all_clips: float64 of shape (drawings,): how many clips there are.
    """

    before: Floats
    right_before: Floats
    clips: Floats
    right: Floats
    all_clips: Floats


def steps_of(scores: Floats, is_right: NDArray[np.bool_], counts: NDArray[np.float32]) -> Steps:
    """The steps of a ranking.

    Args:
        scores: Shape (clips,), at least one.
        is_right: Shape (clips,).
        counts: float32 of shape (drawings, clips): how often each clip is there. The sums of whole numbers are exact.
    """
    right_scores = -np.unique(-scores[is_right])
    right = _sums(counts[:, is_right], scores[is_right, None] == right_scores)
    if len(right_scores) <= _FEW_STEPS:
        before = _sums(counts, scores[:, None] > right_scores)
        clips = _sums(counts, scores[:, None] == right_scores)
    else:
        order = np.argsort(-scores, kind="stable")
        total = np.cumsum(counts[:, order], axis=1, dtype=np.float64)
        total = np.hstack([np.zeros((len(counts), 1)), total])
        first, end = (np.searchsorted(-scores[order], -right_scores, side) for side in ("left", "right"))
        before, clips = total[:, first], total[:, end] - total[:, first]
    return Steps(before, np.cumsum(right, axis=1) - right, clips, right, counts.sum(axis=1, dtype=np.float64))


def _sums(counts: NDArray[np.float32], is_counted: NDArray[np.bool_]) -> Floats:
    return np.asarray(counts @ is_counted.astype(np.float32), np.float64)


def average_precision(steps: Steps) -> Floats:
    """Of each drawing, the mean over all orders of what is tied (McSherry and Najork, 2008); NaN if none is right.

    At place i of a step of n clips with r right ones, after N clips with R right ones, a right clip stands with
    probability r / n. The precision there is then, on average, (R + 1 + (i - 1) (r - 1) / (n - 1)) / (N + i).
    """
    most = int((steps.before + steps.clips).max(initial=0))
    harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, most + 1)))
    n, r, before = steps.clips, steps.right, steps.before
    slope = np.where(n > 1, (r - 1) / np.maximum(n - 1, 1), 0.0)
    inverse = harmonic[(before + n).astype(np.int64)] - harmonic[before.astype(np.int64)]
    inside = (steps.right_before + 1 - slope * (before + 1)) * inverse + slope * n
    return _share((r / np.maximum(n, 1) * inside).sum(axis=1), r.sum(axis=1))


def average_precision_grouped(steps: Steps) -> Floats:
    """Of each drawing, as scikit-learn has it: the precision at the end of each step; NaN if none is right."""
    precision = (steps.right_before + steps.right) / np.maximum(steps.before + steps.clips, 1)
    return _share((steps.right * precision).sum(axis=1), steps.right.sum(axis=1))


def auroc(steps: Steps) -> Floats:
    """Of each drawing, how often a right clip scores higher than a wrong one; NaN if all are right or none is."""
    all_right = steps.right.sum(axis=1)
    all_wrong = steps.all_clips - all_right
    tied = steps.clips - steps.right
    below = all_wrong[:, None] - (steps.before - steps.right_before) - tied
    return _share((steps.right * (below + tied / 2)).sum(axis=1), all_right * all_wrong)


def first_right(steps: Steps) -> tuple[Floats, Floats, Floats]:
    """Of each drawing, the step with the first right clip: clips before it, in it, and right ones in it.

    All are NaN if none is right.
    """
    if not steps.right.shape[1]:
        none = np.full(len(steps.right), np.nan)
        return none, none, none
    has_right = steps.right > 0
    rows, place = np.arange(len(has_right)), has_right.argmax(axis=1)
    any_right = has_right.any(axis=1)
    before, clips, right = (
        np.where(any_right, values[rows, place], np.nan) for values in (steps.before, steps.clips, steps.right)
    )
    return before, clips, right


def mean_rank(before: Floats, tied: Floats, right: Floats) -> Floats:
    """The mean rank, over all orders, of the first right one among those that are tied, from 1.

    Args:
        before: How many stand before.
        tied: How many are tied.
        right: How many of them are right, at least one.
    """
    return before + (tied + 1) / (right + 1)


def chance_within(k: int, before: Floats, tied: Floats, right: Floats) -> Floats:
    """The share of all orders in which a right one is among the first k; otherwise as `mean_rank`."""
    from scipy.special import gammaln

    taken = np.clip(k - before, 0, tied)
    wrong = tied - right
    # Of the ways to take so many of those that are tied, the share that takes wrong ones alone.
    fits = taken <= wrong
    left = np.where(fits, wrong - taken, 0)
    ways = gammaln(wrong + 1) - gammaln(left + 1) - gammaln(tied + 1) + gammaln(tied - taken + 1)
    chance = 1 - np.where(fits, np.exp(ways), 0.0)
    return np.where(np.isnan(before), np.nan, np.where(taken == 0, 0.0, np.clip(chance, 0, 1)))


def draw(groups: NDArray[np.int64], drawings: int, seed: int) -> NDArray[np.float32]:
    """A bootstrap over groups: how often each clip is drawn, of shape (drawings, clips).

    Args:
        groups: Shape (clips,): the group of each, from 0 without gaps.
        drawings: How many.
        seed: The same one draws the same.
    """
    number = int(groups.max(initial=-1)) + 1
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), drawings)
    return drawn.astype(np.float32)[:, groups]


def _share(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)

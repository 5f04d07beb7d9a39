"""How many windows have a sound is estimated from a few that were judged, drawn evenly over the range of scores.

As Navine, Denton, Weldy and Hart do ("All thresholds barred: direct estimation of call density in bioacoustic data",
Frontiers in Bird Science, 2024), windows are put into strata by their scores: the lower half, the next quarter, the
next eighth and so on, so that the few high scores have strata of their own. Some windows of each are judged, and the
share of yes in a stratum stands for its other windows.

Which windows are judged first is drawn by lot, and the lot of a window depends on nothing but itself. What was judged
for other reasons, such as the surest hits, counts only as far as it is what the lot would have drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pe_search.evaluations import Estimate

# The highest stratum has this many windows at least, and there are no more strata.
_LEAST_WINDOWS = 4
_MOST_STRATA = 12
# For 95 %.
_Z = 1.959964
UNJUDGED, NO, YES, UNSURE = -1, 0, 1, 2


@dataclass(frozen=True, slots=True)
class Strata:
    """Windows by their scores.

    Attributes:
        of_window: int64 of shape (windows,): the stratum of each window, 0 for the lowest scores.
        order: int64 of shape (windows,): the windows in the order of the lots.
    """

    of_window: NDArray[np.int64]
    order: NDArray[np.int64]

    @property
    def number(self) -> int:
        """How many strata there are."""
        return int(self.of_window.max(initial=-1)) + 1


def stratify(scores: NDArray[np.float64], lots: NDArray[np.uint64]) -> Strata:
    """Put windows into strata.

    Args:
        scores: Shape (windows,).
        lots: Of the same shape: in a stratum, windows are judged in the order of their lots.
    """
    windows = len(scores)
    number = int(np.clip(np.log2(max(windows / _LEAST_WINDOWS, 1)) + 1, 1, _MOST_STRATA))
    # How many windows score higher; those of the same score stand in the order of their lots.
    higher = np.empty(windows, np.int64)
    higher[np.lexsort((lots, -scores))] = np.arange(windows)
    bounds = windows / 2.0 ** np.arange(1, number)
    return Strata(np.searchsorted(-bounds, -higher, side="left"), np.argsort(lots, kind="stable"))


def next_of_each(strata: Strata, verdicts: NDArray[np.int64], number: int) -> list[int]:
    """The windows that are to be judged next: one of each stratum in turn, the highest first.

    Args:
        strata: Of all windows.
        verdicts: Shape (windows,): `YES`, `NO`, `UNSURE` or `UNJUDGED`.
        number: At most so many.
    """
    in_turn: list[tuple[int, int, int]] = []
    for stratum in range(strata.number):
        windows = strata.order[strata.of_window[strata.order] == stratum]
        left = np.flatnonzero(verdicts[windows] == UNJUDGED)[:number]
        in_turn += [(int(turn), -stratum, int(windows[turn])) for turn in left]
    return [window for _, _, window in sorted(in_turn)[:number]]


def estimate(
    strata: Strata, verdicts: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[list[Estimate], int]:
    """How many windows of the highest stratum are a yes, of the two highest, and so on to all windows.

    The interval is that of Zou, Huang and Zhang ("A note on confidence interval estimation for a linear function of
    binomial proportions", Computational Statistics & Data Analysis, 2009) with Wilson's limits in each stratum.

    Args:
        strata: Of all windows.
        verdicts: As in `next_of_each`.
        probabilities: Shape (windows,), for what is said of thresholds.

    Returns:
        The estimates, as far as each stratum has a judgement; and how many strata have none.
    """
    found: list[Estimate] = []
    windows = judged = yes = 0
    count, below, above, least, most = 0.0, 0.0, 0.0, 0, 0
    lacking = 0
    for stratum in reversed(range(strata.number)):
        here = strata.order[strata.of_window[strata.order] == stratum]
        drawn = verdicts[here]
        drawn = drawn[: np.append(np.flatnonzero(drawn == UNJUDGED), len(drawn))[0]]
        of_yes, told = int((drawn == YES).sum()), int(np.isin(drawn, (YES, NO)).sum())
        if not told:
            lacking += 1
        windows, judged, yes = windows + len(here), judged + told, yes + of_yes
        if lacking:
            continue
        rest, share = len(here) - told, of_yes / told
        low, high = _wilson(of_yes, told)
        count += of_yes + rest * share
        # Windows are whole.
        below += (rest * share - math.floor(rest * low)) ** 2
        above += (math.ceil(rest * high) - rest * share) ** 2
        least, most = least + of_yes, most + of_yes + rest
        interval = max(count - below**0.5, least), min(count + above**0.5, most)
        found.append(Estimate(float(probabilities[here].min()), windows, judged, yes, count, *map(float, interval)))
    return found, lacking


def _wilson(yes: int, told: int) -> tuple[float, float]:
    """Wilson's limits for a share, of which some were told, with the correction for continuity (Newcombe, 1998)."""
    share, square = yes / told, _Z**2
    other = 1 - share
    middle, width = 2 * yes + square, 2 * (told + square)
    below = _Z * (square - 2 - 1 / told + 4 * share * (told * other + 1)) ** 0.5 if yes else 0.0
    above = _Z * (square + 2 - 1 / told + 4 * share * (told * other - 1)) ** 0.5 if yes < told else 0.0
    low = max((middle - 1 - below) / width, 0.0) if yes else 0.0
    high = min((middle + 1 + above) / width, 1.0) if yes < told else 1.0
    return low, high

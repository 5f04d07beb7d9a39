"""How many windows have a sound: known strata and limits, and made-up populations of which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from pe_search.learning.density import NO, UNJUDGED, UNSURE, YES, estimate, next_of_each, stratify

RNG = np.random.default_rng(0)


def strata_of(windows: int):
    """Windows whose scores fall with their number, and whose lots rise with it."""
    return stratify(-np.arange(windows, dtype=float), np.arange(windows, dtype=np.uint64))


def judged(windows: int, **verdicts: list[int]) -> np.ndarray:
    found = np.full(windows, UNJUDGED)
    for name, rows in verdicts.items():
        found[rows] = {"yes": YES, "no": NO, "unsure": UNSURE}[name]
    return found


def test_each_stratum_is_half_of_what_lies_below_the_one_above():
    assert strata_of(32).of_window.tolist() == [3] * 4 + [2] * 4 + [1] * 8 + [0] * 16
    assert strata_of(5).of_window.tolist() == [0] * 5
    assert np.bincount(strata_of(100_000).of_window).tolist()[-2:] == [49, 49]
    assert strata_of(100_000).number == 12


def test_windows_of_the_same_score_are_in_strata_by_their_lots():
    lots = RNG.permutation(16).astype(np.uint64)
    of_window = stratify(np.zeros(16), lots).of_window
    assert of_window[np.argsort(lots)].tolist() == [2] * 4 + [1] * 4 + [0] * 8


def test_what_is_judged_next_is_one_of_each_stratum_in_turn():
    strata, verdicts = strata_of(16), judged(16, yes=[0], unsure=[4])
    assert strata.of_window.tolist() == [2] * 4 + [1] * 4 + [0] * 8
    # The first of the highest two strata are judged, so that the lowest comes first.
    assert next_of_each(strata, verdicts, 5) == [8, 1, 5, 9, 2]
    assert len(next_of_each(strata, verdicts, 100)) == 14
    assert next_of_each(strata, np.full(16, NO), 3) == []


def test_all_judged_is_the_count_itself():
    strata, verdicts = strata_of(16), judged(16, yes=[0, 1, 2, 5, 12], no=[3, 4, 6, 7, 8, 9, 10, 11, 13, 14, 15])
    found, lacking = estimate(strata, verdicts, np.linspace(1, 0, 16))
    assert lacking == 0
    assert [(one.windows, one.judged, one.yes, one.count, one.low, one.high) for one in found] == [
        (4, 4, 3, 3.0, 3.0, 3.0),
        (8, 8, 4, 4.0, 4.0, 4.0),
        (16, 16, 5, 5.0, 5.0, 5.0),
    ]
    assert [one.min_probability for one in found] == pytest.approx([12 / 15, 8 / 15, 0])


def test_the_share_of_yes_stands_for_the_rest_of_a_stratum():
    verdicts = judged(16, yes=[0, 1, 2, 3, 4], no=[5, 8, 9, 10])
    found, _ = estimate(strata_of(16), verdicts, np.zeros(16))
    high, both, every = found
    assert (high.count, high.low, high.high) == (4, 4, 4)
    # Of the second stratum one of two is a yes, so that one of the other two is expected.
    assert (both.judged, both.yes, both.count, both.low, both.high) == (6, 5, 6, 5, 7)
    # Three of eight, all no: Wilson's upper limit with correction is 0.69 (Newcombe's formula), of five windows 3.5.
    assert (every.count, every.low) == (6, 5)
    assert every.high == pytest.approx(6 + (1 + 4**2) ** 0.5)


def test_only_what_the_lots_would_have_drawn_counts():
    first = judged(16, yes=[0, 4], no=[8])
    # Beyond a window that is not judged, others were judged because they are good.
    more = judged(16, yes=[0, 4, 2, 3, 10, 11], no=[8])
    assert estimate(strata_of(16), first, np.zeros(16)) == estimate(strata_of(16), more, np.zeros(16))
    unsure = judged(16, yes=[1, 4], no=[8], unsure=[0])
    assert [one.judged for one in estimate(strata_of(16), unsure, np.zeros(16))[0]] == [1, 2, 3]


def test_a_stratum_without_a_judgement_ends_what_can_be_said():
    found, lacking = estimate(strata_of(16), judged(16, yes=[0], no=[8]), np.zeros(16))
    assert lacking == 1
    assert [one.windows for one in found] == [4]
    assert estimate(strata_of(16), judged(16, unsure=[0]), np.zeros(16)) == ([], 3)


@pytest.mark.parametrize("share", [0.01, 0.2])
@pytest.mark.parametrize("apart", [0.0, 2.5])
def test_the_interval_covers_the_truth_and_the_estimate_is_right_on_average(share, apart):
    """36 judgements of each of 200 populations of 1,000 windows, where scores tell nothing, or much."""
    rng = np.random.default_rng(7)
    covered, errors, truths = [], [], []
    for _ in range(200):
        truth = rng.random(1_000) < share
        scores = rng.normal(size=1_000) + apart * truth
        strata = stratify(scores, rng.integers(0, 2**63, 1_000).astype(np.uint64))
        verdicts = np.full(1_000, UNJUDGED)
        for window in next_of_each(strata, verdicts, 36):
            verdicts[window] = truth[window]
        found, lacking = estimate(strata, verdicts, scores)
        assert lacking == 0
        assert found[-1].windows == 1_000
        covered.append(found[-1].low <= truth.sum() <= found[-1].high)
        errors.append(found[-1].count - truth.sum())
        truths.append(truth.sum())
    assert np.mean(covered) >= 0.94
    assert abs(np.mean(errors)) <= 4 * np.std(errors) / len(errors) ** 0.5

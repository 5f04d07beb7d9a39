"""Rankings with ties: against all orders, against scikit-learn, and small ones by hand."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from pe_search.evaluation import ranking

RANKED = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6)


def steps(scores, is_right, counts=None):
    counts = np.ones((1, len(scores)), np.float32) if counts is None else np.asarray(counts, np.float32)
    return ranking.steps_of(np.asarray(scores, float), np.asarray(is_right, bool), counts)


def all_orders(scores, is_right):
    """What is right in each order of a ranking that its scores allow."""
    for order in permutations(range(len(scores))):
        if all(scores[one] >= scores[next_] for one, next_ in pairwise(order)):
            yield [is_right[place] for place in order]


def precision_of(order):
    return np.mean([sum(order[: place + 1]) / (place + 1) for place, one in enumerate(order) if one])


@given(RANKED)
@settings(max_examples=60)
def test_ties_are_the_mean_over_all_orders(pairs):
    scores, is_right = zip(*pairs, strict=True)
    orders, found = list(all_orders(scores, is_right)), steps(scores, is_right)
    first = ranking.first_right(found)
    if not any(is_right):
        for value in (ranking.average_precision(found), ranking.mean_rank(*first), ranking.chance_within(1, *first)):
            assert np.isnan(value).all()
        return
    assert ranking.average_precision(found)[0] == pytest.approx(np.mean([precision_of(order) for order in orders]))
    assert ranking.mean_rank(*first)[0] == pytest.approx(np.mean([order.index(True) + 1 for order in orders]))
    for k in (1, 2, 5):
        expected = np.mean([any(order[:k]) for order in orders])
        assert ranking.chance_within(k, *first)[0] == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12))
@settings(max_examples=100)
def test_counts_are_copies_and_grouped_figures_those_of_scikit_learn(triples):
    scores, is_right, counts = (np.array(one) for one in zip(*triples, strict=True))
    found = steps(scores, is_right, counts[None])
    copied, right_copied = np.repeat(scores, counts), np.repeat(is_right, counts)
    if not right_copied.any():
        assert np.isnan(ranking.average_precision_grouped(found)[0])
        assert np.isnan(ranking.auroc(found)[0])
        return
    by_hand = steps(copied, right_copied)
    assert ranking.average_precision(found) == pytest.approx(ranking.average_precision(by_hand))
    assert ranking.first_right(found) == tuple(map(pytest.approx, ranking.first_right(by_hand)))
    expected = average_precision_score(is_right, scores, sample_weight=counts)
    assert ranking.average_precision_grouped(found)[0] == pytest.approx(expected)
    if right_copied.all():
        assert np.isnan(ranking.auroc(found)[0])
    else:
        assert ranking.auroc(found)[0] == pytest.approx(roc_auc_score(right_copied, copied))


@pytest.mark.parametrize("few", [0, 1_000])
def test_both_ways_to_sum_up_are_the_same(few, monkeypatch):
    monkeypatch.setattr(ranking, "_FEW_STEPS", few)
    random = np.random.default_rng(2)
    scores, is_right = random.integers(0, 9, 80), random.random(80) < 0.4
    counts = random.integers(0, 3, (20, 80))
    found = steps(scores, is_right, counts)
    for place, row in enumerate(counts):
        copied, right_copied = np.repeat(scores, row), np.repeat(is_right, row)
        assert ranking.average_precision_grouped(found)[place] == pytest.approx(
            average_precision_score(right_copied, copied)
        )
        assert ranking.auroc(found)[place] == pytest.approx(roc_auc_score(right_copied, copied))


def test_three_tied_clips_by_hand():
    found = steps([1, 1, 1], [True, False, False])
    # First, second or third, each as likely.
    assert ranking.average_precision(found)[0] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert ranking.average_precision_grouped(found)[0] == pytest.approx(1 / 3)
    assert ranking.auroc(found)[0] == 0.5
    assert ranking.mean_rank(*ranking.first_right(found))[0] == pytest.approx(2)
    assert ranking.chance_within(2, *ranking.first_right(found))[0] == pytest.approx(2 / 3)


def test_without_ties_both_are_the_same():
    found = steps([4, 3, 2, 1], [False, True, True, False])
    for figure in (ranking.average_precision, ranking.average_precision_grouped):
        assert figure(found)[0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert ranking.auroc(found)[0] == pytest.approx(2 / 4)
    assert ranking.mean_rank(*ranking.first_right(found))[0] == 2
    assert [ranking.chance_within(k, *ranking.first_right(found))[0] for k in (1, 2)] == [0, 1]


def test_many_tied_clips_stay_exact():
    found = steps(np.zeros(20_000), np.arange(20_000) == 7)
    assert ranking.mean_rank(*ranking.first_right(found))[0] == 10_000.5
    assert ranking.chance_within(10, *ranking.first_right(found))[0] == pytest.approx(10 / 20_000, rel=1e-6)


def test_the_clips_of_a_recording_are_drawn_together_and_the_same_again():
    groups = np.array([0, 1, 0, 2, 1])
    drawn = ranking.draw(groups, 500, 7)
    assert (drawn == ranking.draw(groups, 500, 7)).all()
    assert not (drawn == ranking.draw(groups, 500, 8)).all()
    assert (drawn[:, 0] == drawn[:, 2]).all()
    assert (drawn[:, 1] == drawn[:, 4]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(5), abs=0.15)

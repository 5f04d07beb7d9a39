"""Figures of made-up scores: those of scikit-learn, and small ones by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from pe_search.evaluation import measures
from pe_search.evaluations import Figure, Threshold


def table(scores, is_right, recordings=None):
    scores, is_right = np.array(scores, float), np.array(is_right, bool)
    texts = [f"text {place}" for place in range(scores.shape[1])]
    numbers = np.arange(len(scores)) if recordings is None else np.array(recordings)
    return measures.Table(texts, scores, 1 / (1 + np.exp(-scores)), is_right, numbers)


def made_up(seed, *, clips=60, texts=5):
    """Scores with many ties, of texts of which the last is right for no clip and the one before for all."""
    random = np.random.default_rng(seed)
    is_right = random.random((clips, texts)) < 0.3
    is_right[:, -1], is_right[:, -2] = False, True
    scores = np.round(random.normal(size=(clips, texts)) + is_right, 1)
    return table(scores, is_right)


def rank(of, drawings=0, seed=0):
    return measures.rank(of, drawings, seed, lambda _share: None)


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_scikit_learn(seed):
    of = made_up(seed)
    ranked = rank(of)
    columns = list(zip(ranked.of_texts, of.is_right.T, of.scores.T, of.probabilities.T, strict=True))
    for text, is_right, scores, probabilities in columns[:-1]:
        assert text.clips == is_right.sum()
        assert text.average_precision_grouped.value == average_precision_score(is_right, scores)
        assert text.best is not None
        found = probabilities >= text.best.probability
        assert text.best.f1 == pytest.approx(f1_score(is_right, found))
        assert text.best.precision == pytest.approx(precision_score(is_right, found))
        assert text.best.recall == pytest.approx(recall_score(is_right, found))
        assert text.best.f1 == pytest.approx(max(f1_score(is_right, probabilities >= one) for one in probabilities))
    some = of.is_right[:, :3], of.scores[:, :3]
    assert ranked.mean_auroc.value == pytest.approx(roc_auc_score(*some, average="macro"))
    expected = average_precision_score(of.is_right[:, :4], of.scores[:, :4], average="macro")
    assert ranked.mean_average_precision_grouped.value == pytest.approx(expected)


def test_a_text_that_is_right_for_no_clip_or_for_all_has_no_figures_that_need_both():
    *_, every, none = rank(made_up(0)).of_texts
    assert (every.average_precision, every.auroc) == (Figure(pytest.approx(1)), Figure(None))
    assert (none.clips, none.average_precision, none.average_precision_grouped) == (0, Figure(None), Figure(None))
    assert (none.auroc, none.best) == (Figure(None), None)


def test_one_text_and_one_clip():
    ranked = rank(table([[0.0]], [[True]]), drawings=10)
    assert ranked.mean_average_precision == ranked.mean_average_precision_grouped == Figure(1.0)
    assert ranked.mean_auroc == Figure(None)
    assert ranked.of_texts[0].best == Threshold(0.5, 1.0, 1.0, 1.0)


def test_where_the_first_right_clip_stands_by_hand():
    # Text 0: first. Text 1: tied with one other behind two. Text 2: none.
    scores = [[9, 9, 0], [8, 8, 0], [1, 7, 0], [1, 7, 0], [0, 0, 0]]
    is_right = [[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]]
    found = rank(table(scores, is_right)).clip_of_text
    assert [figure.value for figure in found.recall] == [pytest.approx(0.5), 1, 1]
    assert found.mean_rank.value == pytest.approx((1 + 3.5) / 2)


def test_where_the_first_right_text_stands_by_hand():
    # The first clip has its text first, the second ties with one of two, the third has none.
    scores = [[3, 2, 1], [5, 5, 9], [1, 1, 1]]
    is_right = [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    found = measures.text_of_clip(table(scores, is_right), 0, 0)
    assert [figure.value for figure in found.recall] == [0.5, 1, 1]
    assert found.mean_rank.value == pytest.approx((1 + 2.5) / 2)


def test_names_are_those_of_scikit_learn():
    random = np.random.default_rng(3)
    truth, scores = random.integers(0, 4, 50), random.normal(size=(50, 5))
    found = measures.name_clips(table(scores, np.eye(5)[truth]), 0, 0)
    named = scores.argmax(axis=1)
    assert found.accuracy.value == pytest.approx(accuracy_score(truth, named))
    assert np.array(found.confusion).tolist() == confusion_matrix(truth, named, labels=range(5)).tolist()
    assert (found.clips, found.clips_of_one_label) == (50, 50)


def test_a_clip_of_two_labels_is_named_by_either_and_one_of_none_is_not_named():
    scores = [[1, 2, 0], [3, 2, 0], [0, 0, 5], [9, 0, 0]]
    is_right = [[1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]
    found = measures.name_clips(table(scores, is_right), 0, 0)
    assert found.accuracy.value == pytest.approx(2 / 3)
    assert found.confusion == ((0, 0, 0), (1, 0, 0), (0, 0, 1))
    assert (found.clips, found.clips_of_one_label) == (3, 2)


def test_without_a_label_nothing_is_named():
    found = measures.name_clips(table([[1.0, 2.0]], [[0, 0]]), 5, 0)
    assert (found.accuracy, found.confusion, found.clips) == (Figure(None), ((0, 0), (0, 0)), 0)


def test_calibration_is_that_of_scikit_learn():
    random = np.random.default_rng(5)
    probabilities = np.round(random.random(300), 1)  # many on the bounds of bins
    is_right = random.random(300) < probabilities
    found = measures.calibrate(probabilities, is_right)
    share, mean = calibration_curve(is_right, probabilities, n_bins=10)
    assert [one.share for one in found.bins if one.pairs] == share.tolist()
    assert [one.probability for one in found.bins if one.pairs] == mean.tolist()
    assert sum(one.pairs for one in found.bins) == 300
    assert found.brier == pytest.approx(brier_score_loss(is_right, probabilities))


def test_calibration_by_hand():
    found = measures.calibrate(np.array([0.05, 0.05, 0.95, 0.85]), np.array([False, True, True, True]))
    filled = [(one.low, one.high, one.pairs, one.probability, one.share) for one in found.bins if one.pairs]
    assert filled == [
        (0.0, pytest.approx(0.1), 2, pytest.approx(0.05), 0.5),
        (pytest.approx(0.8), 0.9, 1, pytest.approx(0.85), 1.0),
        (0.9, 1.0, 1, pytest.approx(0.95), 1.0),
    ]
    assert found.error == pytest.approx((2 * 0.45 + 0.15 + 0.05) / 4)
    assert next(one for one in found.bins if not one.pairs).share is None


def test_of_thresholds_with_the_same_f1_the_highest_is_best():
    # At 0.9: 1 of 1 found, of 2 right; at 0.1: 2 of 4 found.
    found = measures.best_threshold(np.array([0.9, 0.5, 0.4, 0.1]), np.array([True, False, False, True]))
    assert found == Threshold(0.9, pytest.approx(2 / 3), 1.0, 0.5)


def test_intervals_hold_the_value_and_recordings_are_drawn_whole():
    of = made_up(1)
    ranked = rank(of, drawings=200)
    for figure in (ranked.mean_average_precision, ranked.mean_auroc, *ranked.clip_of_text.recall):
        assert figure.low is not None
        assert figure.low <= figure.value <= figure.high
    assert ranked == rank(of, drawings=200)
    assert ranked != rank(of, drawings=200, seed=1)
    # Two recordings of many clips each say less than as many clips by themselves.
    few = measures.Table(of.texts, of.scores, of.probabilities, of.is_right, np.arange(60) % 2)
    one = measures.Table(of.texts, of.scores, of.probabilities, of.is_right, np.zeros(60, np.int64))
    assert rank(few, drawings=200).mean_average_precision != ranked.mean_average_precision
    assert rank(one, drawings=200).mean_average_precision == Figure(ranked.mean_average_precision.value)


def test_an_interval_by_hand():
    # Two recordings, one named rightly: a drawing has 0, 1 or 2 of the right one.
    found = measures.name_clips(table([[1, 0], [1, 0]], [[1, 0], [0, 1]]), 1_000, 0)
    assert found.accuracy == Figure(0.5, 0.0, 1.0)


def test_a_curve_has_a_point_for_each_recall_whose_steps_enclose_scikit_learns_average_precision():
    scores, is_right = np.array([0.9, 0.8, 0.8, 0.7, 0.1]), np.array([True, False, True, False, True])
    found = measures.curve(scores, is_right)
    assert found.recall == pytest.approx((1 / 3, 2 / 3, 1))
    assert found.precision == pytest.approx((1, 2 / 3, 3 / 5))
    area = np.sum(np.diff([0, *found.recall]) * found.precision)
    assert area == pytest.approx(average_precision_score(is_right, scores))
    assert measures.curve(scores, np.zeros(5, bool)) is None

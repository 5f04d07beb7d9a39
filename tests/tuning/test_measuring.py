"""The figures of a tuning against those that are worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pe_search.tuning.measuring import Measured, kept_share, learned_word
from pe_search.tuning.sounds import Sound
from pe_search.tunings import TunedText, Tuning
from tests.made_up import manifest


def sound(windows: tuple[int, ...], heard: set[int], unknown: frozenset[int] = frozenset()) -> Sound:
    return Sound(windows, frozenset(heard), unknown, windows[0])


def test_a_sound_scores_as_its_best_window_and_what_is_not_known_is_left_out():
    windows = np.array([[1, 0], [3, 1], [2, 5], [9, 9]], np.float32)
    measured = Measured([sound((0, 1), {0}), sound((2,), {1}), sound((3,), set(), frozenset({0}))], 2)
    scores = measured.scores(windows, np.eye(2))
    assert scores.tolist() == [[3, 1], [2, 5], [9, 9]]
    # For the first text, the third sound doesn't count; for the second it stands before the right one.
    assert measured.average_precisions(scores) == [1.0, 0.5]
    assert math.isnan(measured.without([1]).average_precision(scores[[0, 2], 1], 1))


def test_what_old_texts_keep():
    before = np.array([[2.0, -1.0, 5.0], [1.0, -1.0, 5.0], [-1.0, -1.0, 5.0]])
    # Even odds are at a score of 0: the first text was sure of two sounds, the second of none, the third of all.
    after = np.array([[3.0, 9.0, 0.0], [-2.0, 9.0, 0.0], [1.0, 9.0, 0.0]])
    assert kept_share(before, before, 2.0, 0.0) == 1.0
    # The two stand first and third: precision 1 and 2/3.
    assert kept_share(after, before, 2.0, 0.0) == pytest.approx((1 + 2 / 3) / 2)
    assert kept_share(after[:, 1:], before[:, 1:], 2.0, 0.0) is None


def test_a_learned_word_points_to_what_has_it():
    windows = np.array([[5, 0.1, 0], [4, 0, 0.2], [0, 3, 0], [0, 0.2, 6]], np.float32)
    learning = [sound((0,), {1}), sound((1,), {1}), sound((2,), {0}), sound((3,), set())]
    weights = learned_word(learning, 1, windows, manifest(logit_bias=-1.0))
    scores = windows @ weights
    assert min(scores[:2]) > max(scores[2:])


def tuning(*texts: TunedText, kept: float | None = None) -> Tuning:
    return Tuning("builtin", 9, 3, 6, (), texts, kept, 10, None, 0)


NEW = TunedText("zibble", True, 2, 0.2, 0.6, 0.5)
OLD = TunedText("rain", False, 2, 0.9, 0.895, None)


def test_when_a_tuning_improves_and_keeps():
    found = tuning(NEW, replace(NEW, before=0.4, after=0.5), OLD, kept=0.9)
    assert (found.new_before, found.new_after) == (pytest.approx(0.3), pytest.approx(0.55))
    assert (found.old_before, found.old_after) == (0.9, 0.895)
    assert (found.improves, found.keeps, found.learned_is_better) == (True, True, False)
    assert not replace(found, kept=0.79).keeps
    assert not tuning(NEW, replace(OLD, after=0.88)).keeps
    assert not tuning(replace(NEW, after=0.2), OLD).improves
    assert tuning(replace(NEW, learned=0.6), OLD).learned_is_better
    assert not tuning(replace(NEW, learned=None), OLD).learned_is_better
    # Without a new word, the old ones are what is to get better.
    assert not tuning(OLD).improves
    assert tuning(replace(OLD, after=0.95)).improves

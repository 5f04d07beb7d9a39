"""Scores become probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_search.probability import probabilities


def probability(score: float, scale: float, bias: float) -> float:
    return float(probabilities(np.array([score]), scale, bias)[0])


@given(st.floats(-30, 30), st.floats(-20, 20), st.floats(-20, 20))
def test_the_probability_is_the_sigmoid_of_the_scaled_score(score, scale, bias):
    logit = score * scale + bias
    assert probability(score, scale, bias) == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-9)
    # The other side, where the plain formula has no digits left.
    assert probability(score, -scale, -bias) == pytest.approx(1 / (1 + math.exp(logit)), rel=1e-9)


@pytest.mark.parametrize(
    ("score", "expected"), [(1e30, 1.0), (-1e30, 0.0), (5_000.0, 1.0), (-5_000.0, 0.0), (2.0, 0.5)]
)
def test_a_score_of_any_size_has_a_probability(score, expected):
    assert probability(score, 0.5, -1.0) == expected


@given(st.lists(st.floats(-1e6, 1e6), min_size=2))
def test_a_higher_score_is_never_less_probable(scores):
    found = probabilities(np.sort(scores), 0.5, -1.0)
    assert (np.diff(found) >= 0).all()
    assert 0 <= found[0] <= found[-1] <= 1


def test_frames_in_float32_stay_float32():
    found = probabilities(np.array([[0.0, 100.0, -200.0]], np.float32), 1.0, 0.0)
    assert found.dtype == np.float32
    assert found.tolist() == [[0.5, 1.0, 0.0]]

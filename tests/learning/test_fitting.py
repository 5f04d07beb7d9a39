"""The weights that are learned are those of the one minimum, whatever was judged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from pe_search.learning.fitting import SHRINKAGE, fit

OFFSET = -4.0
UNJUDGED_WEIGHT = 3.0


def directions(rng, rows, dimension):
    vectors = rng.standard_normal((rows, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def loss(weights, judged, is_yes, unjudged, guess):
    """As the docstring of `fit` has it, written the plain way."""
    total = SHRINKAGE / 2 * sum((weights - guess) ** 2)
    for row, yes in zip(judged, is_yes, strict=True):
        logit = row @ weights + OFFSET
        total += np.log1p(np.exp(-logit if yes else logit))
    each = UNJUDGED_WEIGHT / max(len(unjudged), 1)
    return total + each * sum(np.log1p(np.exp(row @ weights + OFFSET)) for row in unjudged)


@pytest.mark.parametrize("dimension", [3, 40])
@pytest.mark.parametrize(("judgements", "windows"), [(1, 0), (4, 10), (12, 60), (200, 1_000)])
def test_the_weights_are_those_of_the_minimum(dimension, judgements, windows):
    rng = np.random.default_rng(dimension + judgements)
    judged, unjudged = directions(rng, judgements, dimension), directions(rng, windows, dimension)
    is_yes = rng.random(judgements) < 0.6
    guess = 8 * directions(rng, 1, dimension)[0]
    found = fit(judged, is_yes, unjudged, guess, OFFSET, UNJUDGED_WEIGHT)
    best = minimize(loss, guess, (judged, is_yes, unjudged, guess), method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(found, best.x, atol=1e-4)


def test_nothing_judged_gives_the_guess():
    rng = np.random.default_rng(0)
    guess = directions(rng, 1, 5)[0]
    np.testing.assert_array_equal(
        fit(np.empty((0, 5)), np.empty(0, bool), directions(rng, 9, 5), guess, OFFSET, UNJUDGED_WEIGHT), guess
    )


def test_judgements_that_contradict_the_guess_and_each_other_end_at_the_minimum_too():
    rng = np.random.default_rng(1)
    rows = directions(rng, 6, 4)
    judged, is_yes = np.concatenate([rows, rows]), np.repeat([True, False], 6)
    guess = -500 * rows[0]
    assert np.isfinite(fit(judged, is_yes, directions(rng, 100, 4), guess, OFFSET, UNJUDGED_WEIGHT)).all()
    none = np.empty((0, 4))
    alone = fit(judged, is_yes, none, guess, OFFSET, UNJUDGED_WEIGHT)
    odds = rows @ alone + OFFSET
    np.testing.assert_allclose(SHRINKAGE * (alone - guess) + rows.T @ (2 / (1 + np.exp(-odds)) - 1), 0, atol=1e-4)


def test_the_order_of_the_judgements_does_not_count():
    rng = np.random.default_rng(2)
    judged, is_yes, unjudged = directions(rng, 8, 6), rng.random(8) < 0.5, directions(rng, 20, 6)
    order = rng.permutation(8)
    guess = np.zeros(6)
    np.testing.assert_allclose(
        fit(judged[order], is_yes[order], unjudged[::-1], guess, OFFSET, UNJUDGED_WEIGHT),
        fit(judged, is_yes, unjudged, guess, OFFSET, UNJUDGED_WEIGHT),
        atol=1e-5,
    )

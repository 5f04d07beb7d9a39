"""A direction is learned from a few judged embeddings: logistic regression that starts from a guess and stays near it.

The log-odds of an embedding are `weights · direction + offset`, where the direction is the embedding at unit length and
the offset is the checkpoint's own. What is not known of the weights is left as the guess has it: they are shrunk
towards it. Embeddings of the store that nobody judged count as weak negatives, since hardly any of them is what is
looked for; without them a few judgements say nothing about all the other sounds there are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SHRINKAGE = 0.1
_MOST_STEPS = 100
_MOST_HALVINGS = 30
# Of a step; what is left of the squared error, so that the next step is a tenth of this one or less.
_MOST_ITERATIONS = 50
_SMALLEST_SHARE = 1e-4
# Of the weights: far below what any embedding is exact to.
_SMALLEST_STEP = 1e-6


def fit(
    judged: NDArray[np.float64],
    is_yes: NDArray[np.bool_],
    unjudged: NDArray[np.float64],
    guess: NDArray[np.float64],
    offset: float,
    unjudged_weight: float,
) -> NDArray[np.float64]:
    """Weights for which the judged embeddings get likely log-odds.

    Newton's method with step halving, which always ends at the one minimum; without halving it diverges where
    judgements contradict the guess. The result depends on nothing but the arguments, and not on their order beyond
    rounding.

    Args:
        judged: Directions of shape (judgements, dimension), at unit length.
        is_yes: Of shape (judgements,).
        unjudged: Directions of shape (windows, dimension), negatives that count `unjudged_weight` all together.
        guess: Weights of shape (dimension,) to stay near to; zeros if there is none.
        offset: Log-odds of what points nowhere.
        unjudged_weight: How many judgements the unjudged count as.

    Returns:
        Shape (dimension,); the guess itself if nothing was judged.
    """
    if not len(judged):
        return guess.copy()
    problem = _Problem(judged, is_yes, unjudged, unjudged_weight)
    weights, margins = guess.copy(), problem.rows @ guess + offset
    loss = problem.loss(margins, weights - guess)
    for _ in range(_MOST_STEPS):
        step = problem.newton_step(margins, weights - guess)
        if np.abs(step).max() < _SMALLEST_STEP:
            break
        change = problem.rows @ step
        for _ in range(_MOST_HALVINGS):
            tried = problem.loss(margins + change, weights + step - guess)
            if tried <= loss:
                break
            step, change = step / 2, change / 2
        else:
            break
        weights, margins, loss = weights + step, margins + change, tried
    return weights


class _Problem:
    """What is minimised, and the way to its minimum; arguments as `fit` has them.

    `margins` are the log-odds of the rows, and `away` is how far the weights are from the guess.
    """

    def __init__(
        self,
        judged: NDArray[np.float64],
        is_yes: NDArray[np.bool_],
        unjudged: NDArray[np.float64],
        unjudged_weight: float,
    ) -> None:
        self.rows = np.concatenate([judged, unjudged])
        self._signs = np.concatenate([np.where(is_yes, 1.0, -1.0), np.full(len(unjudged), -1.0)])
        of_each = unjudged_weight / max(len(unjudged), 1)
        self._counts = np.concatenate([np.ones(len(judged)), np.full(len(unjudged), of_each)])
        # In float32, which is twice as quick: an inexact step leads to the same minimum, whose gradient is exact.
        self._judged, self._unjudged = judged.astype(np.float32), unjudged.astype(np.float32)

    def loss(self, margins: NDArray[np.float64], away: NDArray[np.float64]) -> float:
        return float(self._counts @ np.logaddexp(0, -self._signs * margins) + SHRINKAGE / 2 * (away @ away))

    def newton_step(self, margins: NDArray[np.float64], away: NDArray[np.float64]) -> NDArray[np.float64]:
        """By conjugate gradients, with the judged rows' part of the Hessian as preconditioner.

        The unjudged rows hardly curve the loss, so that few iterations are left for them.
        """
        wrong = 1 / (1 + np.exp(np.clip(self._signs * margins, -500, 500)))
        gradient = -self.rows.T @ (self._counts * self._signs * wrong) + SHRINKAGE * away
        curvature = (self._counts * wrong * (1 - wrong)).astype(np.float32)
        of_judged, of_unjudged = np.split(curvature, [len(self._judged)])
        scaled = self._judged * np.sqrt(of_judged)[:, np.newaxis]
        by_judged = _inverse_of(scaled)

        def hessian(vector: NDArray[np.float32]) -> NDArray[np.float32]:
            of_all = (of_unjudged * (self._unjudged @ vector)) @ self._unjudged + (scaled @ vector) @ scaled
            return np.asarray(of_all + np.float32(SHRINKAGE) * vector, np.float32)

        left = -gradient.astype(np.float32)
        step, direction = np.zeros_like(left), by_judged(left)
        size = first = float(left @ direction)
        for _ in range(_MOST_ITERATIONS):
            if not size > _SMALLEST_SHARE * first:
                break
            curved = hessian(direction)
            length = size / float(direction @ curved)
            step += np.float32(length) * direction
            left -= np.float32(length) * curved
            towards = by_judged(left)
            size, before = float(left @ towards), size
            direction = towards + np.float32(size / before) * direction
        return np.asarray(step, np.float64)


def _inverse_of(scaled: NDArray[np.float32]) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Multiplies vectors with (λI + SᵀS)⁻¹, for S of shape (judgements, dimension)."""
    rows, dimension = scaled.shape
    shrinkage = np.float32(SHRINKAGE)
    if rows > dimension:
        inverse = np.linalg.inv(scaled.T @ scaled + shrinkage * np.eye(dimension, dtype=np.float32))
        return lambda vector: np.asarray(inverse @ vector, np.float32)
    # Woodbury: (λI + SᵀS)⁻¹ g = (g - Sᵀ(λI + SSᵀ)⁻¹ S g) / λ.
    inner = np.linalg.inv(scaled @ scaled.T + shrinkage * np.eye(rows, dtype=np.float32))
    return lambda vector: np.asarray((vector - (inner @ (scaled @ vector)) @ scaled) / shrinkage, np.float32)

"""A direction is learned from a few judged embeddings: logistic regression that starts from a guess and stays near it.

The log-odds of an embedding are `weights · direction + offset`, where the direction is the embedding at unit length and
the offset is the checkpoint's own. What is not known of the weights is left as the guess has it: they are shrunk
towards it. Embeddings of the store that nobody judged count as weak negatives, since hardly any of them is what is
looked for; without them a few judgements say nothing about all the other sounds there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHRINKAGE = 0.1
_MOST_STEPS = 100
_MOST_HALVINGS = 30
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
    rows = np.concatenate([judged, unjudged])
    signs = np.concatenate([np.where(is_yes, 1.0, -1.0), np.full(len(unjudged), -1.0)])
    counts = np.concatenate([np.ones(len(judged)), np.full(len(unjudged), unjudged_weight / max(len(unjudged), 1))])
    weights = guess.copy()
    loss = _loss(rows, signs, counts, weights, guess, offset)
    for _ in range(_MOST_STEPS):
        step = _newton_step(rows, signs, counts, weights, guess, offset)
        if np.abs(step).max() < _SMALLEST_STEP:
            break
        for _ in range(_MOST_HALVINGS):
            tried = _loss(rows, signs, counts, weights + step, guess, offset)
            if tried <= loss:
                break
            step = step / 2
        else:
            break
        weights, loss = weights + step, tried
    return weights


def _loss(
    rows: NDArray[np.float64],
    signs: NDArray[np.float64],
    counts: NDArray[np.float64],
    weights: NDArray[np.float64],
    guess: NDArray[np.float64],
    offset: float,
) -> float:
    margins = signs * (rows @ weights + offset)
    away = weights - guess
    return float(counts @ np.logaddexp(0, -margins) + SHRINKAGE / 2 * (away @ away))


def _newton_step(
    rows: NDArray[np.float64],
    signs: NDArray[np.float64],
    counts: NDArray[np.float64],
    weights: NDArray[np.float64],
    guess: NDArray[np.float64],
    offset: float,
) -> NDArray[np.float64]:
    odds = signs * (rows @ weights + offset)
    wrong = 1 / (1 + np.exp(np.clip(odds, -500, 500)))
    gradient = -rows.T @ (counts * signs * wrong) + SHRINKAGE * (weights - guess)
    curvature = counts * wrong * (1 - wrong)
    # In float32, which is twice as quick: an inexact step leads to the same minimum, whose gradient is exact.
    scaled = (rows * np.sqrt(curvature)[:, np.newaxis]).astype(np.float32)
    if len(rows) < len(weights):
        # By the rows (Woodbury): (λI + SᵀS)⁻¹ g = (g - Sᵀ(λI + SSᵀ)⁻¹ S g) / λ.
        inner = scaled @ scaled.T + np.float32(SHRINKAGE) * np.eye(len(rows), dtype=np.float32)
        return np.asarray(scaled.T @ np.linalg.solve(inner, scaled @ gradient) - gradient, np.float64) / SHRINKAGE
    hessian = scaled.T @ scaled + np.float32(SHRINKAGE) * np.eye(len(weights), dtype=np.float32)
    return np.asarray(-np.linalg.solve(hessian, gradient), np.float64)

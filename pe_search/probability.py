"""Scores become probabilities: the one sigmoid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def probabilities(scores: NDArray[Any], logit_scale: float, logit_bias: float) -> NDArray[Any]:
    """`sigmoid(score * logit_scale + logit_bias)`, as `PeAudioModel` has it.

    Args:
        scores: float32 or float64 of any shape.
        logit_scale: The checkpoint's own.
        logit_bias: The checkpoint's own.

    Returns:
        Of the same shape and type.
    """
    logits = scores * logit_scale + logit_bias
    # The exponent is kept negative, because exp of a large number overflows.
    small = np.exp(-np.abs(logits))
    share: NDArray[Any] = np.where(logits >= 0, 1, small) / (1 + small)
    return share

"""What a window's score is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.embedding import TextEmbedder, WindowEmbedder
from pe_search.store import Manifest

# The least log-odds that a cosine of 1 stands for: some checkpoints of one's own have a bias about zero, by which
# nothing would be unlikely, and no cosine count.
_LEAST_LOG_ODDS = 1.0
_LEAST_SCALE = 1e-6


class QueryEmbedder(TextEmbedder, WindowEmbedder, Protocol):
    """Both in one."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A query in the numbers that a window's score is made of: `embedding · text + embedding / |embedding| · like`.

    That is the weighted mean of what the query looks for, less the weighted scores of its `minus` and `unlike`. The
    average of its texts counts one, each of its `plus` and `minus` its weight, each of its references one. The score of
    a text is the plain inner product; that of a reference is the cosine times `cosine_scale`. So a query of one text
    has that text's embedding, and a probability, the sigmoid of the scaled score, means of any query: as likely as a
    text would be that scores as much.

    Attributes:
        text: float32 of shape (dimension,).
        like: float32 of shape (dimension,), or None if the query has no reference.
    """

    text: NDArray[np.float32]
    like: NDArray[np.float32] | None


def cosine_scale(manifest: Manifest) -> float:
    """The score of a cosine of 1, by the checkpoint's own two parameters.

    A cosine of 0 says as little as a score of 0, whose log-odds are the bias. A cosine of 1 is put as far on the other
    side of even odds: it is as likely as that is unlikely. So even odds are at a cosine of 0.5.
    """
    return 2 * max(-manifest.logit_bias, _LEAST_LOG_ODDS) / max(abs(manifest.logit_scale), _LEAST_SCALE)


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors of shape (…, dimension) at unit length; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def scores_of(embeddings: NDArray[np.float32], aims: Sequence[Aim]) -> NDArray[np.float32]:
    """The scores of windows for aims, of shape (windows, aims).

    Args:
        embeddings: float32 of shape (windows, dimension).
        aims: At least one.
    """
    scores = embeddings @ np.stack([aim.text for aim in aims]).T
    likes = [(place, aim.like) for place, aim in enumerate(aims) if aim.like is not None]
    if likes:
        directions = unit(embeddings.astype(np.float64))
        for place, like in likes:
            scores[:, place] += (directions @ like).astype(np.float32)
    return np.asarray(scores, np.float32)

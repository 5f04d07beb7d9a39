"""A query becomes an embedding, the store answers with matches, matches become hits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pe_search.records import Hit
from pe_search.store import Manifest, Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TextEmbedder(Protocol):
    """What searching asks of an embedder."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts to embeddings of shape (texts, dimension)."""


def search(
    store: Store,
    embedder: TextEmbedder,
    queries: Sequence[str],
    k: int,
    *,
    under: Path | None = None,
    all_windows: bool = False,
    min_probability: float = 0.0,
    exact: bool = False,
) -> Iterator[list[Hit]]:
    """Answer each query in turn with its hits, best first.

    Args:
        store: Made with the embedder's checkpoint.
        embedder: Turns the queries into embeddings, all at once.
        queries: What is asked.
        k: How many hits at most for each.
        under: A clip, or a folder that the clips must be below; absolute.
        all_windows: Whether a clip may show more than once, or only by its best window.
        min_probability: Hits below it are left out.
        exact: Whether to go through all windows of the store, however many there are.
    """
    for query, embedding in zip(queries, embedder.embed_texts(queries), strict=True):
        hits: list[Hit] = []
        for match in store.best_matches(embedding, k, under=under, all_windows=all_windows, exact=exact):
            chance = probability(match.score, store.manifest)
            if chance >= min_probability:
                hits.append(
                    Hit(
                        query=query,
                        rank=len(hits) + 1,
                        path=match.path,
                        start_s=match.start_s,
                        end_s=match.end_s,
                        score=match.score,
                        probability=chance,
                    )
                )
        yield hits


def probability(score: float, manifest: Manifest) -> float:
    """`sigmoid(score * logit_scale + logit_bias)`, as `PeAudioModel` has it."""
    logit = score * manifest.logit_scale + manifest.logit_bias
    # The exponent is kept negative, because exp of a large number overflows.
    small = math.exp(-abs(logit))
    return 1 / (1 + small) if logit >= 0 else small / (1 + small)

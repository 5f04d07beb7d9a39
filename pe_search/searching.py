"""A query becomes an embedding, the store answers with matches, matches become hits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.records import Hit, Request
from pe_search.store import Manifest, Store


class TextEmbedder(Protocol):
    """What searching asks of an embedder."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts to embeddings of shape (texts, dimension)."""


class TextMemory(Protocol):
    """What searching asks of a store's `RememberedTexts`."""

    def recall(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The embeddings, of shape (dimension,), of those texts that are remembered."""

    def remember(self, embeddings: Mapping[str, NDArray[np.float32]]) -> None:
        """Remember texts by their embeddings of shape (dimension,)."""


class RememberingEmbedder:
    """A text embedder that embeds only what the store was not asked before.

    Args:
        remembered: The store's.
        load_embedder: Called once there is a new text; gives the embedder of the store's checkpoint.
    """

    def __init__(self, remembered: TextMemory, load_embedder: Callable[[], TextEmbedder]) -> None:
        self._remembered = remembered
        self._embedder = cache(load_embedder)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts to embeddings of shape (texts, dimension)."""
        embeddings = self._remembered.recall(texts)
        new = [text for text in dict.fromkeys(texts) if text not in embeddings]
        if new:
            fresh = dict(zip(new, self._embedder().embed_texts(new), strict=True))
            self._remembered.remember(fresh)
            embeddings |= fresh
        return np.stack([embeddings[text] for text in texts])


def search(store: Store, embedder: TextEmbedder, request: Request) -> Iterator[list[Hit]]:
    """Answer each query in turn with its hits, best first.

    Args:
        store: Made with the embedder's checkpoint.
        embedder: Turns the queries into embeddings, all at once.
        request: What is asked.
    """
    embeddings = embedder.embed_texts([query.text for query in request.queries])
    for query, embedding in zip(request.queries, embeddings, strict=True):
        hits: list[Hit] = []
        for match in store.best_matches(
            embedding, request.k, under=request.under, all_windows=request.all_windows, exact=request.exact
        ):
            chance = probability(match.score, store.manifest)
            if chance >= request.min_probability:
                hits.append(
                    Hit(
                        query=query.text,
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

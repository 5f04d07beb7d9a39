"""A query becomes an aim, the store answers with matches, matches become hits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.composing import QueryEmbedder, compose
from pe_search.records import Hit, Request
from pe_search.store import Manifest, RememberedTexts, Store


class TextEmbedder(Protocol):
    """What searching asks of an embedder."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts to embeddings of shape (texts, dimension)."""


class WindowEmbedder(Protocol):
    """What searching asks of an embedder where a query has a reference."""

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Windows to embeddings of shape (windows, dimension)."""


class RememberingEmbedder:
    """An embedder that embeds only those texts that the store was not asked before.

    Args:
        remembered: The store's.
        load_text_embedder: Called once there is a new text; gives the embedder of the store's checkpoint.
        load_window_embedder: Called once there is a window; likewise.
    """

    def __init__(
        self,
        remembered: RememberedTexts,
        load_text_embedder: Callable[[], TextEmbedder],
        load_window_embedder: Callable[[], WindowEmbedder],
    ) -> None:
        self._remembered = remembered
        self._text_embedder = cache(load_text_embedder)
        self._window_embedder = cache(load_window_embedder)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts to embeddings of shape (texts, dimension)."""
        embeddings = self._remembered.recall(texts)
        new = [text for text in dict.fromkeys(texts) if text not in embeddings]
        if new:
            fresh = dict(zip(new, self._text_embedder().embed_texts(new), strict=True))
            self._remembered.remember(fresh)
            embeddings |= fresh
        return np.stack([embeddings[text] for text in texts])

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Windows to embeddings of shape (windows, dimension)."""
        return self._window_embedder().embed_windows(windows)


def search(store: Store, embedder: QueryEmbedder, request: Request) -> Iterator[list[Hit]]:
    """Answer each query in turn with its hits, best first.

    Args:
        store: Made with the embedder's checkpoint.
        embedder: Embeds what the queries are made of, all at once.
        request: What is asked.

    Raises:
        AudioError: If a reference can't be read, or ends before its place does.
    """
    for query, aim in zip(request.queries, compose(request.queries, store, embedder), strict=True):
        hits: list[Hit] = []
        for match in store.best_matches(
            aim.text,
            request.k,
            like=aim.like,
            under=request.under,
            all_windows=request.all_windows,
            exact=request.exact,
        ):
            chance = probability(match.score, store.manifest)
            if chance >= request.min_probability:
                hits.append(
                    Hit(
                        query=query.name,
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

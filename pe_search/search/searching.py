"""A query becomes an aim, the store answers with matches, matches become hits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.records import Account, Hit, Request
from pe_search.search.composing import QueryEmbedder, TextEmbedder, WindowEmbedder, compose
from pe_search.search.significance import Background
from pe_search.store import Manifest, Store


class TextMemory(Protocol):
    """What searching asks of a store's `RememberedTexts`."""

    def recall(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The embeddings, of shape (dimension,), of those texts that are remembered."""

    def remember(self, embeddings: Mapping[str, NDArray[np.float32]]) -> None:
        """Remember texts by their embeddings of shape (dimension,)."""


class RememberingEmbedder:
    """An embedder that embeds only those texts that the store was not asked before.

    Args:
        remembered: The store's.
        load_text_embedder: Called once there is a new text; gives the embedder of the store's checkpoint.
        load_window_embedder: Called once there is a window; likewise.

    Attributes:
        texts_remembered: How many texts it was asked for that the store remembered.
        texts_embedded: How many it has embedded.
        windows_embedded: How many windows it has embedded.
    """

    def __init__(
        self,
        remembered: TextMemory,
        load_text_embedder: Callable[[], TextEmbedder],
        load_window_embedder: Callable[[], WindowEmbedder],
    ) -> None:
        self.texts_remembered = 0
        self.texts_embedded = 0
        self.windows_embedded = 0
        self._remembered = remembered
        self._text_embedder = cache(load_text_embedder)
        self._window_embedder = cache(load_window_embedder)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts to embeddings of shape (texts, dimension)."""
        embeddings = self._remembered.recall(texts)
        new = [text for text in dict.fromkeys(texts) if text not in embeddings]
        self.texts_remembered += len(embeddings)
        self.texts_embedded += len(new)
        if new:
            fresh = dict(zip(new, self._text_embedder().embed_texts(new), strict=True))
            self._remembered.remember(fresh)
            embeddings |= fresh
        return np.stack([embeddings[text] for text in texts])

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Windows to embeddings of shape (windows, dimension)."""
        self.windows_embedded += len(windows)
        return self._window_embedder().embed_windows(windows)


def search(
    store: Store,
    embedder: QueryEmbedder,
    request: Request,
    on_answer: Callable[[Account], None] = lambda _account: None,
) -> Iterator[list[Hit]]:
    """Answer each query in turn with its hits, best first.

    Args:
        store: Made with the embedder's checkpoint.
        embedder: Embeds what the queries are made of, all at once.
        request: What is asked.
        on_answer: Called with how each query was answered, just before its hits are handed on.

    Raises:
        AudioError: If a reference can't be read, or ends before its place does.
    """
    background = None if request.fdr is None else Background(store, embedder, request.under)
    for query, aim in zip(request.queries, compose(request.queries, store, embedder), strict=True):
        matches = store.best_matches(
            aim.text,
            request.k,
            like=aim.like,
            under=request.under,
            all_windows=request.all_windows,
            exact=request.exact,
        )
        effort = store.last_search
        assert effort is not None, "it has just searched"
        outstanding = matches
        if background is not None and request.fdr is not None:
            scores = [match.score for match in matches]
            outstanding = matches[: background.standing_out(scores, query, aim, request.fdr)]
        likely = [match for match in outstanding if probability(match.score, store.manifest) >= request.min_probability]
        on_answer(Account(query.name, effort, len(matches), len(outstanding), len(likely)))
        yield [
            Hit(
                query=query.name,
                rank=rank,
                path=match.path,
                start_s=match.start_s,
                end_s=match.end_s,
                score=match.score,
                probability=probability(match.score, store.manifest),
            )
            for rank, match in enumerate(likely, start=1)
        ]


def probability(score: float, manifest: Manifest) -> float:
    """`sigmoid(score * logit_scale + logit_bias)`, as `PeAudioModel` has it."""
    logit = score * manifest.logit_scale + manifest.logit_bias
    # The exponent is kept negative, because exp of a large number overflows.
    small = math.exp(-abs(logit))
    return 1 / (1 + small) if logit >= 0 else small / (1 + small)

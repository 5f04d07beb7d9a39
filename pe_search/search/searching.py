"""A query becomes an aim, the store answers with matches, matches become hits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.embedding import TextEmbedder, WindowEmbedder
from pe_search.probability import probabilities
from pe_search.queries import Answer, EmbeddingEffort, Hit, Match, Request
from pe_search.search.composing import compose
from pe_search.search.significance import Background
from pe_search.store import Store


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
        check: Called before each text and each batch of windows; what it raises ends the work. None if the work need
            not end early, and texts may be embedded all at once.

    Attributes:
        effort: What it was asked for so far.
    """

    def __init__(
        self,
        remembered: TextMemory,
        load_text_embedder: Callable[[], TextEmbedder],
        load_window_embedder: Callable[[], WindowEmbedder],
        check: Callable[[], None] | None = None,
    ) -> None:
        self._texts_remembered = 0
        self._texts_embedded = 0
        self._windows_embedded = 0
        self._remembered = remembered
        self._text_embedder = cache(load_text_embedder)
        self._window_embedder = cache(load_window_embedder)
        self._check = check

    @property
    def effort(self) -> EmbeddingEffort:
        """What it was asked for so far."""
        return EmbeddingEffort(self._texts_remembered, self._texts_embedded, self._windows_embedded)

    @property
    def batch_s(self) -> float:
        """As `WindowEmbedder.batch_s`."""
        return self._window_embedder().batch_s

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts to embeddings of shape (texts, dimension)."""
        embeddings = self._remembered.recall(texts)
        new = [text for text in dict.fromkeys(texts) if text not in embeddings]
        self._texts_remembered += len(embeddings)
        self._texts_embedded += len(new)
        if new:
            fresh = dict(zip(new, self._embed_new(new), strict=True))
            self._remembered.remember(fresh)
            embeddings |= fresh
        return np.stack([embeddings[text] for text in texts])

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Windows to embeddings of shape (windows, dimension)."""
        if self._check is not None:
            self._check()
        self._windows_embedded += len(windows)
        return self._window_embedder().embed_windows(windows)

    def _embed_new(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self._check is None:
            return self._text_embedder().embed_texts(texts)
        embeddings = []
        for text in texts:
            self._check()
            embeddings.append(self._text_embedder().embed_texts([text]))
        return np.concatenate(embeddings)


def search(store: Store, embedder: RememberingEmbedder, request: Request) -> Iterator[Answer]:
    """Answer each query in turn.

    Args:
        store: Made with the embedder's checkpoint.
        embedder: Embeds what the queries are made of, all at once.
        request: What is asked.

    Raises:
        AudioError: If a reference can't be read, or ends before its place does.
    """
    background = None if request.fdr is None else Background(store, embedder, request.under)
    for query, aim in zip(request.queries, compose(request.queries, store, embedder), strict=True):
        found = store.finder.best_matches(
            aim.text,
            request.k,
            like=aim.like,
            under=request.under,
            filters=request.filters or None,
            all_windows=request.all_windows,
            exact=request.exact,
        )
        outstanding = found.best
        if background is not None and request.fdr is not None:
            scores = [match.score for match in found.best]
            outstanding = found.best[: background.standing_out(scores, query, aim, request.fdr)]
        likely = [
            (match, float(probability))
            for match, probability in zip(outstanding, _probabilities(outstanding, store), strict=True)
            if probability >= request.min_probability
        ]
        hits = tuple(
            Hit(query.name, rank, match.path, match.start_s, match.end_s, match.score, probability, copies=match.copies)
            for rank, (match, probability) in enumerate(likely, start=1)
        )
        yield Answer(query.name, hits, found.effort, len(found.best), len(outstanding), embedder.effort)


def _probabilities(matches: Sequence[Match], store: Store) -> NDArray[np.float64]:
    scores = np.array([match.score for match in matches], np.float64)
    return probabilities(scores, store.manifest.logit_scale, store.manifest.logit_bias)

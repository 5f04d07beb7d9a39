"""A query becomes an aim, the store answers with matches, matches become hits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.efforts import EmbeddingEffort, SearchEffort
from pe_search.embedding import TextEmbedder, WindowEmbedder
from pe_search.known.words import Words, read_words
from pe_search.probability import probabilities
from pe_search.queries import Answer, Hit, Match, Request
from pe_search.search.aims import Aim
from pe_search.search.composing import compose
from pe_search.search.fusing import fuse, most_of_each, with_words
from pe_search.search.learned import refuse_words
from pe_search.search.significance import Background
from pe_search.store import Store
from pe_search.store.words import Named, score_windows


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


def search(
    store: Store, embedder: RememberingEmbedder, request: Request, taught: Sequence[Store] = ()
) -> Iterator[Answer]:
    """Answer each query in turn.

    Args:
        store: Made with the embedder's checkpoint.
        embedder: Embeds what the queries are made of, all at once. It isn't asked for words alone.
        request: What is asked.
        taught: As in `compose`.

    Raises:
        AudioError: If a reference can't be read, or ends before its place does.
        QueryError: If the words can't be asked, or a text names a word that was not taught.
    """
    if request.fdr is not None:
        refuse_words(request.queries, "fdr")
    words = read_words(request.words or request.said) if request.has_words else None
    # What is said excludes places, and no clips.
    excluded = words.excluded if words is not None and request.words else ()
    queries = [query for query in request.queries if query.has_sound or words is None]
    aims = dict(zip(queries, compose(queries, store, embedder, taught), strict=True)) if queries else {}
    background = None
    if request.fdr is not None:
        background = Background(store, embedder, request.under, request.filters, excluded)
    most = request.k if words is None else most_of_each(request.k)
    for query in request.queries:
        if query not in aims:
            assert words is not None
            yield _by_words(store, words, request)
            continue
        aim = aims[query]
        found = store.finder.best_matches(
            aim.text,
            most,
            like=aim.like,
            under=request.under,
            filters=request.filters,
            excluded=excluded,
            all_windows=request.all_windows,
            exact=request.exact,
        )
        outstanding = found.best
        if background is not None and request.fdr is not None:
            scores = [match.score for match in found.best]
            outstanding = found.best[: background.standing_out(scores, query, aim, request.fdr)]
        hits = _hits(query.name, outstanding, store, request.min_probability)
        heard: int | None = None
        named: list[Named] | None = None
        if words is not None:
            heard = len(hits)
            with store.catalog.snapshot():
                named = _named(store, words, request, most)
                hits = fuse(hits, named, partial(_scored, store, query.name, aim, request), request)
        counts = len(found.best), len(outstanding)
        by_words = None if named is None else len(named)
        yield Answer(query.name, hits, found.effort, *counts, embedder.effort, heard, by_words)


def count_words(store: Store, request: Request) -> dict[str, int]:
    """How many hits each of the words that a request wants has by itself, as it was typed."""
    words = read_words(request.words or request.said)
    return {word.typed: len(_named(store, Words((word,), words.excluded), request, None)) for word in words.wanted}


def _by_words(store: Store, words: Words, request: Request) -> Answer:
    """The answer to words alone, for which no model is needed."""
    with store.catalog.snapshot():
        named = _named(store, words, request, request.k)
    name = request.words or request.said
    hits = tuple(
        with_words(Hit(name, rank, one.path, one.start_s, one.end_s, None, None, copies=one.copies), rank, one, request)
        for rank, one in enumerate(named, start=1)
    )
    return Answer(name, hits, SearchEffort(True, 0, 0), 0, 0, EmbeddingEffort(), None, len(named))


def _named(store: Store, words: Words, request: Request, most: int | None) -> list[Named]:
    # With words to exclude alone, none is named.
    if not words.wanted:
        return []
    lookup, where = store.finder.lookup, (request.under, request.filters, most)
    return lookup.said(words, *where, all_places=request.all_windows) if request.said else lookup.named(words, *where)


def _scored(store: Store, name: str, aim: Aim, request: Request, named: Iterable[Named]) -> tuple[Hit, ...]:
    """The best window of each of some clips, or all their windows."""
    filters, all_windows = request.filters, request.all_windows
    windows = score_windows(store.catalog, named, aim.text, aim.like, filters, all_windows=all_windows)
    return _hits(name, windows, store)


def _hits(name: str, matches: Sequence[Match], store: Store, least_probability: float = 0.0) -> tuple[Hit, ...]:
    """The matches that are probable enough, in the same order."""
    scores = np.array([match.score for match in matches], np.float64)
    found = probabilities(scores, store.manifest.logit_scale, store.manifest.logit_bias)
    likely = [(match, float(one)) for match, one in zip(matches, found, strict=True) if one >= least_probability]
    return tuple(
        Hit(name, rank, match.path, match.start_s, match.end_s, match.score, probability, copies=match.copies)
        for rank, (match, probability) in enumerate(likely, start=1)
    )

"""A query becomes what the store is asked: its texts one embedding, its references one direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.stamps import is_same, stamp_of
from pe_search.embedding import TextEmbedder
from pe_search.queries import Query, Reference, is_word
from pe_search.records import Stamp
from pe_search.search.aims import Aim, QueryEmbedder, cosine_scale, unit
from pe_search.search.learned import learn
from pe_search.store import Store


def compose(queries: Sequence[Query], store: Store, embedder: QueryEmbedder, taught: Sequence[Store] = ()) -> list[Aim]:
    """The aim of each query. Texts are embedded all at once, and each reference once.

    Args:
        queries: Each has a text, a `plus` or a reference.
        store: Made with the embedder's checkpoint. A reference that it holds as it is on disk, as a whole clip or one
            of its windows, is not embedded again. It also has the words that texts name by `@`.
        embedder: Of texts and windows.
        taught: Stores of the same checkpoint that have the words; none for the one that is asked.

    Raises:
        AudioError: If a reference can't be read, or ends before its place does.
        QueryError: If a text names a word that was not taught.
    """
    asked_for = dict.fromkeys(reference for query in queries for reference in query.references)
    directions = {reference: _direction(reference, store, embedder) for reference in asked_for}
    words = dict.fromkeys(text for query in queries for text in query.wordings if is_word(text))
    learned = {word: learn(word, taught or (store,), embedder) for word in words}
    of_texts = [query for query in queries if weights(query)]
    known = {word: aim.text for word, aim in learned.items()}
    texts = dict(zip(of_texts, compose_texts(of_texts, embedder, known), strict=True)) if of_texts else {}
    none = np.zeros(store.manifest.dimension, np.float32)
    scale = cosine_scale(store.manifest)
    aims = []
    for query in queries:
        signed = [*(directions[one] for one in query.like), *(-directions[one] for one in query.unlike)]
        parts = [scale * np.sum(signed, axis=0) / _total(query)] if signed else []
        for text, weight in zip(query.wordings, weights(query), strict=True):
            of_word = learned[text].like if text in learned else None
            if of_word is not None:
                parts.append(weight * of_word.astype(np.float64))
        aims.append(Aim(texts.get(query, none), np.sum(parts, axis=0).astype(np.float32) if parts else None))
    return aims


def compose_texts(
    queries: Sequence[Query],
    embedder: TextEmbedder,
    known: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
) -> NDArray[np.float32]:
    """What the texts of each query come to, of shape (queries, dimension). They are embedded all at once.

    Args:
        queries: At least one. Each has a text or a `plus`, or a `minus` beside a reference.
        embedder: Of texts.
        known: Texts that need not be embedded, with their embeddings of shape (dimension,).
    """
    texts = [text for text in dict.fromkeys(t for query in queries for t in query.wordings) if text not in known]
    embeddings = {text: embedding.astype(np.float64) for text, embedding in known.items()}
    if texts:
        embeddings |= dict(zip(texts, embedder.embed_texts(texts).astype(np.float64), strict=True))
    sums = [np.dot(weights(query), [embeddings[text] for text in query.wordings]) for query in queries]
    return np.array(sums, np.float32)


def weights(query: Query) -> list[float]:
    """How much each text of a query counts: its texts, its `plus`, its `minus`, in this order."""
    each = [1 / len(query.texts) for _ in query.texts]
    signed = [*each, *(term.weight for term in query.plus), *(-term.weight for term in query.minus)]
    return [weight / _total(query) for weight in signed]


def _total(query: Query) -> float:
    return bool(query.texts) + sum(term.weight for term in query.plus) + len(query.like)


def _direction(reference: Reference, store: Store, embedder: QueryEmbedder) -> NDArray[np.float64]:
    """The mean of the directions of a reference's windows, at unit length; of shape (dimension,)."""
    embeddings = _held(reference, store)
    if embeddings is None:
        # A query without a reference shouldn't wait for what reads audio.
        from pe_search.search.references import embed_reference

        embeddings = embed_reference(reference, store.manifest, embedder)
    return unit(unit(embeddings.astype(np.float64)).mean(axis=0))


def _held(reference: Reference, store: Store) -> NDArray[np.float32] | None:
    """What the store has of a reference, of shape (windows, dimension), if the file is as it was indexed."""
    held = store.catalog.clip(reference.path)
    if held is None:
        return None
    # A clip that is no file has a name in place of a path, and is always as it was.
    if reference.path.is_absolute():
        found = _stamp_at(reference.path)
        if found is None or not is_same(held[0].stamp, found):
            return None
    content = store.catalog.content(reference.path)
    if content is None or reference.place is None:
        return None if content is None else content.embeddings
    rows = [row for row, place in enumerate(content.times) if _samples(place) == _samples(reference.place)]
    return content.embeddings[rows[:1]] if rows else None


def _stamp_at(path: Path) -> Stamp | None:
    try:
        return stamp_of(path.stat())
    except OSError:
        return None


def _samples(place: tuple[float, float]) -> tuple[int, int]:
    start_s, end_s = place
    return round(start_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ)

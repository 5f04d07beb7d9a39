"""A query becomes what the store is asked: its texts one embedding, its references one direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.stamps import is_same, stamp_of
from pe_search.embedding import TextEmbedder, WindowEmbedder
from pe_search.queries import Query, Reference
from pe_search.records import Stamp
from pe_search.store import Manifest, Store

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


def compose(queries: Sequence[Query], store: Store, embedder: QueryEmbedder) -> list[Aim]:
    """The aim of each query. Texts are embedded all at once, and each reference once.

    Args:
        queries: Each has a text, a `plus` or a reference.
        store: Made with the embedder's checkpoint. A reference that it holds as it is on disk, as a whole clip or one
            of its windows, is not embedded again.
        embedder: Of texts and windows.

    Raises:
        AudioError: If a reference can't be read, or ends before its place does.
    """
    asked_for = dict.fromkeys(reference for query in queries for reference in query.references)
    directions = {reference: _direction(reference, store, embedder) for reference in asked_for}
    of_texts = [query for query in queries if weights(query)]
    texts = dict(zip(of_texts, compose_texts(of_texts, embedder), strict=True)) if of_texts else {}
    none = np.zeros(store.manifest.dimension, np.float32)
    scale = cosine_scale(store.manifest)
    aims = []
    for query in queries:
        like = None
        if query.references:
            signed = [*(directions[one] for one in query.like), *(-directions[one] for one in query.unlike)]
            like = (scale * np.sum(signed, axis=0) / _total(query)).astype(np.float32)
        aims.append(Aim(texts.get(query, none), like))
    return aims


def compose_texts(queries: Sequence[Query], embedder: TextEmbedder) -> NDArray[np.float32]:
    """What the texts of each query come to, of shape (queries, dimension). They are embedded all at once.

    Args:
        queries: At least one. Each has a text or a `plus`, or a `minus` beside a reference.
        embedder: Of texts.
    """
    texts = dict.fromkeys(text for query in queries for text in _wordings(query))
    embeddings = dict(zip(texts, embedder.embed_texts(list(texts)).astype(np.float64), strict=True))
    sums = [np.dot(weights(query), [embeddings[text] for text in _wordings(query)]) for query in queries]
    return np.array(sums, np.float32)


def weights(query: Query) -> list[float]:
    """How much each text of a query counts: its texts, its `plus`, its `minus`, in this order."""
    each = [1 / len(query.texts) for _ in query.texts]
    signed = [*each, *(term.weight for term in query.plus), *(-term.weight for term in query.minus)]
    return [weight / _total(query) for weight in signed]


def _total(query: Query) -> float:
    return bool(query.texts) + sum(term.weight for term in query.plus) + len(query.like)


def _wordings(query: Query) -> list[str]:
    return [*query.texts, *(term.text for term in (*query.plus, *query.minus))]


def _direction(reference: Reference, store: Store, embedder: QueryEmbedder) -> NDArray[np.float64]:
    """The mean of the directions of a reference's windows, at unit length; of shape (dimension,)."""
    embeddings = _held(reference, store)
    if embeddings is None:
        # A query without a reference shouldn't wait for what reads audio.
        from pe_search.search.references import embed_reference

        embeddings = embed_reference(reference, store.manifest, embedder)
    return _unit(_unit(embeddings.astype(np.float64)).mean(axis=0))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


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

"""A word that the user taught becomes what a window's score is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.directories import shown_store
from pe_search.errors import AudioError, QueryError
from pe_search.learning.fitting import fit
from pe_search.places import is_name
from pe_search.queries import Query, Reference, is_word
from pe_search.records import Judgement
from pe_search.search.aims import Aim, QueryEmbedder, cosine_scale, unit
from pe_search.store import Manifest, Store
from pe_search.store.judgements import read_judgements, read_words

# Windows of the store that nobody judged, and how much they count together: as many judgements that say no.
UNJUDGED = 1_000
UNJUDGED_WEIGHT = 30.0


def refuse_words(queries: Iterable[Query], what: str) -> None:
    """Raise a `QueryError` if a query has a word that is taught, which can't be used with something."""
    for query in queries:
        for text in query.wordings:
            if is_word(text):
                raise QueryError(f"{text} is a learned word, which can't be used with {what}.")


def learn(word: str, stores: Sequence[Store], embedder: QueryEmbedder) -> Aim:
    """What a word has learned.

    Without a judgement it is the text that it starts from. With judgements it is a direction: logistic regression on
    the directions of what was judged, with the checkpoint's own offset, that starts from the text and the average of
    what was liked (see `learning.fitting`). What was judged of clips that are gone does not count until they are back.

    Args:
        word: With its `@`.
        stores: Of one checkpoint, at least one. The judgements of all of them count.
        embedder: Of the store's checkpoint, for the text, and for what was judged that is no window of the store.

    Raises:
        QueryError: If the store has no such word, or it has neither a text nor a judgement, or all that was judged is
            gone.
    """
    words = words_of(stores)
    manifest, places = stores[0].manifest, " and ".join(shown_store(store.directory) for store in stores)
    if word not in words:
        known = f"The store knows {', '.join(words)}." if words else "The store knows none yet."
        raise QueryError(f"{word} was not taught to the store at {places}. {known} `pe-search learn` teaches it.")
    text = words[word]
    embedding = np.asarray(embedder.embed_texts([text])[0], np.float32) if text else None
    judged = [one for one in judgements_of(stores, word) if one.verdict != "unsure"]
    if not judged:
        if embedding is None:
            raise QueryError(
                f"{word} has no text and no judgement yet. `pe-search learn {word} --yes FILE` gives it one."
            )
        return Aim(embedding, None)
    heard = [(one, [embedding_of(one, store, embedder) for store in stores]) for one in judged]
    known_to = [(one, [vector for vector in vectors if vector is not None]) for one, vectors in heard]
    found = [(one, vectors[0]) for one, vectors in known_to if vectors]
    if not found:
        raise QueryError(
            f"{word}: the store at {places} holds none of the clips that were judged any more; index them again."
        )
    directions = unit(np.array([vector for _, vector in found], np.float64))
    is_yes = np.array([one.verdict == "yes" for one, _ in found])
    vectors = np.concatenate([store.sample(UNJUDGED)[0] for store in stores]).astype(np.float64)
    guess = guess_from(embedding, directions[is_yes], manifest, float(np.linalg.norm(vectors, axis=1).mean()))
    weights = fit(directions, is_yes, unit(vectors), guess, manifest.logit_bias, UNJUDGED_WEIGHT)
    none = np.zeros(manifest.dimension, np.float32)
    return Aim(none, (weights / manifest.logit_scale).astype(np.float32))


def words_of(stores: Sequence[Store]) -> dict[str, str]:
    """The text that each word of some stores starts from, by the word; that of the first store that has one."""
    found: dict[str, str] = {}
    for store in stores:
        for word, text in read_words(store.catalog).items():
            found[word] = found.get(word) or text
    return found


def judgements_of(stores: Sequence[Store], word: str | None = None) -> list[Judgement]:
    """What was judged in some stores, for one word or for all; of one stretch, the latest judgement."""
    found: dict[tuple[str, bytes, float, float], Judgement] = {}
    for one in (one for store in stores for one in read_judgements(store.catalog, word)):
        key = one.word, one.digest, one.start_s, one.end_s
        if key not in found or found[key].judged_at_s < one.judged_at_s:
            found[key] = one
    return [found[key] for key in sorted(found)]


def guess_from(
    text: NDArray[np.float32] | None, liked: NDArray[np.float64], manifest: Manifest, norm: float
) -> NDArray[np.float64]:
    """The weights that a word starts from: those of a text, and those of the average of the liked sounds.

    The text counts as one of the liked sounds: the more there are, the less a text says that nearly fits.

    Args:
        text: Its embedding of shape (dimension,); None without a text.
        liked: Directions of shape (sounds, dimension), at unit length.
        manifest: The store's.
        norm: The usual length of an embedding.

    Returns:
        Shape (dimension,), in log-odds for a direction.
    """
    scale = manifest.logit_scale
    total = np.zeros(manifest.dimension)
    if text is not None:
        total += text.astype(np.float64) * norm * scale
    if len(liked):
        total += len(liked) * unit(liked.mean(axis=0)) * cosine_scale(manifest) * scale
    return total / max(len(liked) + (text is not None), 1)


def embedding_of(judged: Judgement, store: Store, embedder: QueryEmbedder) -> NDArray[np.float32] | None:
    """The embedding of what was judged, of shape (dimension,); None if the store has no clip with these bytes any more.

    A window of the store is not embedded again, and another stretch only once: the store remembers it as it does texts.
    If no file with these bytes can be read, the window counts that has most of the stretch.
    """
    content = store.catalog.content_of(judged.digest)
    if content is None:
        return None
    place = judged.start_s, judged.end_s
    if place in content.times:
        return np.asarray(content.embeddings[content.times.index(place)])
    key = f"sound {judged.digest.hex()} {judged.start_s!r} {judged.end_s!r}"
    remembered = store.remembered_texts.recall([key])
    if key in remembered:
        return remembered[key]
    found = _from_files(store.catalog.paths_of(judged.digest), place, store, embedder)
    if found is not None:
        store.remembered_texts.remember({key: found})
        return found
    overlaps = [min(end_s, place[1]) - max(start_s, place[0]) for start_s, end_s in content.times]
    return np.asarray(content.embeddings[int(np.argmax(overlaps))])


def _from_files(
    paths: Sequence[Path], place: tuple[float, float], store: Store, embedder: QueryEmbedder
) -> NDArray[np.float32] | None:
    # A query without such a stretch shouldn't wait for what reads audio.
    from pe_search.audio.hashing import content_digest
    from pe_search.search.references import embed_reference

    for path in paths:
        held = store.catalog.clip(path)
        try:
            if held is not None and not is_name(path) and content_digest(path) == held[1]:
                windows = embed_reference(Reference(path, place), store.manifest, embedder)
                return np.asarray(unit(windows.astype(np.float64)).mean(axis=0), np.float32)
        except AudioError:
            continue
    return None

"""Words are taught: what the user judges is kept, and told again."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pe_search.audio.stamps import is_same, stamp_of
from pe_search.directories import shown_store
from pe_search.errors import AudioError, QueryError, quoted
from pe_search.places import is_there
from pe_search.queries import Reference, is_word
from pe_search.records import Judgement, Stamp, Word
from pe_search.search.learned import judgements_of, words_of
from pe_search.store import Store
from pe_search.store.judgements import VERDICTS, read_words, write_judgements, write_words

# How far beyond the end of a clip a stretch may end: what is typed is rounded.
_ROUNDING_S = 0.01


def check_word(word: str) -> None:
    """Raise a `QueryError` if a word can't be taught by this name."""
    if not is_word(word):
        raise QueryError(
            f"{quoted(word)} is not a word: it must begin with @, and go on with at most 99 letters, digits, _, - and "
            "dots."
        )


def check_text(text: str) -> None:
    """Raise a `QueryError` if a word can't start from a text."""
    if not text.strip():
        raise QueryError("The text of a word is empty.")
    if is_word(text):
        raise QueryError(f"A word can't start from another word, {text}.")


def teach(store: Store, word: str, text: str | None, judged: Mapping[str, Sequence[Reference]]) -> Word:
    """Keep what a word starts from, and what was judged for it.

    Args:
        store: Opened for writing.
        word: With its `@`.
        text: None to leave it as it is.
        judged: References by their verdict. Of a clip without a place, each window of the store is judged.

    Returns:
        How the word stands.

    Raises:
        QueryError: If it can't be a word, or there is nothing to teach, or one stretch has two verdicts.
        AudioError: If the store does not hold a clip as it is on disk, or a place lies beyond its end.
    """
    check_word(word)
    if text is not None:
        check_text(text)
    if text is None and not any(judged.values()):
        raise QueryError(f"There is nothing to teach {word}: give a text, or clips that have it or not.")
    user, now_s = user_name(), int(time.time())
    found: dict[tuple[bytes, float, float], Judgement] = {}
    for verdict, references in judged.items():
        if verdict not in VERDICTS:
            raise QueryError(f"{quoted(verdict)} is not a verdict; those are {', '.join(VERDICTS)}.")
        for reference in references:
            for digest, start_s, end_s in _stretches(store, reference):
                one = Judgement(word, digest, start_s, end_s, verdict, user, now_s)
                earlier = found.setdefault((digest, start_s, end_s), one)
                if earlier.verdict != verdict:
                    raise QueryError(
                        f"{reference.path} from {start_s:g} to {end_s:g} s is judged both {earlier.verdict} and "
                        f"{verdict}."
                    )
    _keep(store, {word: text}, found.values())
    return next(one for one in words(store) if one.word == word)


def take_judgements(store: Store, judgements: Sequence[Judgement], texts: Mapping[str, str]) -> None:
    """Keep judgements as they were made elsewhere, each in place of one of the same stretch.

    Args:
        store: Opened for writing.
        judgements: Of any words.
        texts: What words start from, if anything; those of other words stay.

    Raises:
        QueryError: If one is not valid.
    """
    for one in judgements:
        check_word(one.word)
        if one.verdict not in VERDICTS:
            raise QueryError(f"{quoted(one.verdict)} is not a verdict; those are {', '.join(VERDICTS)}.")
        if not 0 <= one.start_s < one.end_s < float("inf"):
            raise QueryError(f"{one.start_s:g} to {one.end_s:g} s is not a stretch.")
    for text in texts.values():
        check_text(text)
    _keep(store, dict.fromkeys(one.word for one in judgements) | dict(texts), judgements)


def words(store: Store) -> list[Word]:
    """The words that a store was taught, in order, and how each stands."""
    with store.catalog.snapshot():
        return words_in([store])


def words_in(stores: Sequence[Store]) -> list[Word]:
    """The words that some stores were taught, in order, and how each stands in all of them together."""
    texts, judged = words_of(stores), judgements_of(stores)
    held = {digest for store in stores for digest in store.catalog.digests()}
    named = sorted(texts.items())
    return [_word(word, text, [one for one in judged if one.word == word], held) for word, text in named]


def forget(store: Store, word: str) -> Word:
    """Forget a word with all that was judged for it; returns how it stood.

    Raises:
        QueryError: If the store has no such word.
    """
    for one in words(store):
        if one.word == word:
            write_words(store.catalog, {word: None})
            return one
    raise QueryError(f"{word} was not taught to the store at {shown_store(store.directory)}.")


def user_name() -> str:
    """Who judges."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as in some containers
        return "unknown"


def _keep(store: Store, texts: Mapping[str, str | None], judgements: Iterable[Judgement]) -> None:
    known = read_words(store.catalog)
    kept = {word: known.get(word, "") if text is None else text for word, text in texts.items()}
    write_words(store.catalog, {word: text for word, text in kept.items() if known.get(word) != text})
    write_judgements(store.catalog, judgements)


def _word(word: str, text: str, judged: Sequence[Judgement], held: set[bytes]) -> Word:
    counts = {verdict: sum(one.verdict == verdict for one in judged) for verdict in VERDICTS}
    gone = sum(one.digest not in held for one in judged)
    return Word(word, text, **counts, gone=gone, judged_at_s=max((one.judged_at_s for one in judged), default=None))


def _stretches(store: Store, reference: Reference) -> list[tuple[bytes, float, float]]:
    path = store.clip_at(reference.path)
    held = store.catalog.clip(path)
    content = store.catalog.content(path)
    if held is None or content is None:
        raise AudioError(path, "is not in the store; index it first")
    _refuse_changed(path, held[0].stamp, held[1])
    if reference.place is None:
        return [(content.digest, start_s, end_s) for start_s, end_s in content.times]
    start_s, end_s = reference.place
    last_s = max(end_s for _, end_s in content.times)
    if not 0 <= start_s < end_s:
        raise QueryError(f"The place in {path} must be from a start to a later end, not {reference.place}.")
    if end_s > last_s + _ROUNDING_S or start_s >= last_s:
        raise AudioError(path, f"ends at {last_s:g} s, before the end of {start_s:g}–{end_s:g} s")
    # What is typed is rounded; the window that is meant has its embedding already.
    for window in content.times:
        if abs(window[0] - start_s) <= _ROUNDING_S and abs(window[1] - end_s) <= _ROUNDING_S:
            return [(content.digest, *window)]
    return [(content.digest, start_s, min(end_s, last_s))]


def _refuse_changed(path: Path, stamp: Stamp, digest: bytes) -> None:
    """Refuse a file that is not what was indexed; one that is not there now can't be compared."""
    if not path.is_absolute() or not is_there(path):
        return
    from pe_search.audio.hashing import content_digest

    try:
        if is_same(stamp, stamp_of(path.stat())):
            return
    except OSError:
        return
    if content_digest(path) != digest:
        raise AudioError(path, "has changed since it was indexed; index it again")

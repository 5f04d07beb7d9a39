"""What is typed to find clips by their words: `kick`, `kick*`, `"kick drum"`, `-loop`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pe_search.errors import QueryError, quoted
from pe_search.known.naming import joined_words_in, words_in
from pe_search.queries import Request

LONGEST_CHARACTERS = 1_000
MOST_WORDS = 50
# An excluding minus, a phrase in quotes or what stands between spaces, and the star of a prefix behind the quotes.
_PIECE = re.compile(r"(?P<minus>-?)(?:\"(?P<phrase>[^\"]*)\"(?P<star>\*?)|(?P<plain>[^\s\"]+))")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word that clips must have, or not have; or a phrase of several, one after the other.

    Attributes:
        typed: As it was typed, without a minus.
        forms: The words, of which any form may be there: `DogBark` is dog and bark, or dogbark.
        is_prefix: Whether it is enough that a word begins with the last one.
    """

    typed: str
    forms: tuple[tuple[str, ...], ...]
    is_prefix: bool


@dataclass(frozen=True, slots=True)
class Words:
    """What clips are found by.

    Attributes:
        wanted: A clip must have all of them.
        excluded: A clip must have none of them.
    """

    wanted: tuple[Word, ...]
    excluded: tuple[Word, ...]


def check_text(text: str, name: str = "A text") -> None:
    """Raise a `QueryError` if a text is empty, or has half of a surrogate pair, as bytes that are no UTF-8 become."""
    if not text.strip():
        raise QueryError(f"{name} is empty.")
    if _SURROGATE.search(text):
        raise QueryError(f"{name} must be Unicode: it has half of a surrogate pair.")


def read_words(text: str, name: str = "words") -> Words:
    """Read what was typed. A piece without any letter or digit, as in `rock & roll`, only parts others.

    Args:
        text: What was typed.
        name: What an error calls it.

    Raises:
        QueryError: If there is no word in it, a quote is not closed, it is too long, has control characters or is not
            Unicode.
    """
    if len(text) > LONGEST_CHARACTERS:
        raise QueryError(f"{name} must have at most {LONGEST_CHARACTERS:,} characters, not {len(text):,}.")
    if _CONTROL.search(text):
        raise QueryError(f"{name} must have no control characters: {quoted(text)}.")
    if _SURROGATE.search(text):
        # Bytes that are no UTF-8 come so from a shell (PEP 383).
        raise QueryError(f"{name} must be UTF-8: {quoted(text)}.")
    if text.count('"') % 2:
        raise QueryError(f"{name} has a quote that is not closed: {quoted(text)}.")
    wanted: list[Word] = []
    excluded: list[Word] = []
    for piece in _PIECE.finditer(text):
        for word in _words_of(piece):
            (excluded if piece["minus"] else wanted).append(word)
    if not (wanted or excluded):
        raise QueryError(f"{name} must have a word of letters or digits: {quoted(text)}.")
    if len(wanted) + len(excluded) > MOST_WORDS:
        raise QueryError(f"{name} must have at most {MOST_WORDS} words, not {len(wanted) + len(excluded):,}.")
    return Words(tuple(wanted), tuple(excluded))


def _words_of(piece: re.Match[str]) -> Iterator[Word]:
    typed = piece["plain"] if piece["phrase"] is None else piece["phrase"]
    forms = dict.fromkeys((tuple(words_in(typed)), tuple(joined_words_in(typed))))
    if any(forms):
        is_prefix = piece["star"] == "*" or (piece["plain"] or "").endswith("*")
        shown = piece["plain"] if piece["phrase"] is None else f'"{typed}"{piece["star"]}'
        yield Word(shown, tuple(forms), is_prefix)


def check_said(text: str, request: Request, name: str = "said") -> None:
    """Raise a `QueryError` if it can't be asked what is said.

    Args:
        text: As in `read_words`.
        request: What else is asked.
        name: As in `read_words`.
    """
    if not read_words(text, name).wanted:
        raise QueryError(f"{name} must have a word to look for beside those to exclude: {quoted(text)}.")
    if request.words:
        raise QueryError(f"{name} can't be used with {name.replace('said', 'words')}.")
    if request.all_windows and request.queries[0].has_sound:
        raise QueryError(f"{name} can't be used with a sound and all windows: a clip has one place by what is said.")


def check_words(text: str, name: str = "words", *, beside_sound: bool) -> None:
    """Raise a `QueryError` if words can't be asked; without a sound to look for, if nothing is left to look for.

    Args:
        text: As in `read_words`.
        name: Likewise.
        beside_sound: Whether a sound is looked for too.
    """
    if not (read_words(text, name).wanted or beside_sound):
        raise QueryError(f"{name} must have a word to look for beside those to exclude: {quoted(text)}.")

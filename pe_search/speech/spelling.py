"""The tokens of a recogniser, each with its time, become words."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from pe_search.speech.recogniser import Spoken

# What stands for a space: SentencePiece's sign at the beginning of a piece, a space, and wav2vec2's delimiter.
_SPACES = ("▁", " ")
_DELIMITERS = ("|", "▁", " ")

T = TypeVar("T")


class Token(NamedTuple, Generic[T]):
    """A token with its time.

    Attributes:
        piece: As the vocabulary has it.
        value: What makes a text of it.
        start_s: From when.
        end_s: To when.
    """

    piece: str
    value: T
    start_s: float
    end_s: float


def spell(tokens: Iterable[Token[T]], text_of: Callable[[list[T]], str]) -> Iterator[Spoken]:
    """Yield the words that tokens are parts of.

    Args:
        tokens: In order.
        text_of: Makes a text of the values of a word's tokens.
    """
    word: list[Token[T]] = []
    has_space = False
    for token in tokens:
        is_delimiter = token.piece in _DELIMITERS
        has_space_before = token.piece.startswith(_SPACES)
        if word and (is_delimiter or has_space_before or _is_word_by_itself(token.piece)):
            yield from _word(word, text_of, has_space)
            word, has_space = [], False
        has_space |= is_delimiter or has_space_before
        if not is_delimiter:
            word.append(token)
    if word:
        yield from _word(word, text_of, has_space)


def _word(tokens: list[Token[T]], text_of: Callable[[list[T]], str], has_space: bool) -> Iterator[Spoken]:
    text = text_of([token.value for token in tokens]).strip()
    if text:
        yield Spoken(tokens[0].start_s, tokens[-1].end_s, " " + text if has_space else text)


def _is_word_by_itself(piece: str) -> bool:
    """Whether a token begins with a sign of a script that has no spaces."""
    return unicodedata.east_asian_width(piece[0]) in "WF" and piece[0].isalpha() if piece else False

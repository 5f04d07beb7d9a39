"""Tokenizers that transformers has no longer, or not without another package, made of their vocabularies.

They only decode: a recogniser is never given a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# What follows a token that the word goes on after, in the vocabulary of `Speech2Text2Tokenizer`.
_GOES_ON = "@@ "
_SPACE = "▁"
_SPECIAL = ("<s>", "</s>", "<pad>", "<unk>")


class Vocabulary:
    """Numbers of tokens to text.

    Args:
        tokens: Each with its number.
        is_upper: Whether the text is in capitals.
    """

    def __init__(self, tokens: Mapping[str, int], *, is_upper: bool = False) -> None:
        self._is_upper = is_upper
        self._tokens = {number: token for token, number in tokens.items()}
        self._numbers = dict(tokens)

    def number_of(self, token: str) -> int | None:
        """The number of a token, if there is such a token."""
        return self._numbers.get(token)

    def languages(self) -> list[str]:
        """The languages that it has a token for, as `de`."""
        return sorted(token[6:-1] for token in self._numbers if token.startswith("<lang:"))

    def batch_decode(self, rows: Iterable[Sequence[int]], *, skip_special_tokens: bool) -> list[str]:
        """The text of each row of numbers, without special tokens."""
        assert skip_special_tokens
        texts = [self._text([self._tokens.get(int(number), "<unk>") for number in row]) for row in rows]
        return [text.upper() if self._is_upper else text for text in texts]

    def _text(self, tokens: Iterable[str]) -> str:
        raise NotImplementedError


class PieceVocabulary(Vocabulary):
    """That of `Speech2TextTokenizer`, whose own class wants the package sentencepiece even to decode."""

    def _text(self, tokens: Iterable[str]) -> str:
        kept = (token for token in tokens if token not in _SPECIAL and not token.startswith("<lang:"))
        return "".join(kept).replace(_SPACE, " ").strip()


class WordPartVocabulary(Vocabulary):
    """That of `Speech2Text2Tokenizer`, of transformers 4: byte pairs, with `@@` where a word goes on."""

    def _text(self, tokens: Iterable[str]) -> str:
        text = " ".join(token for token in tokens if token not in _SPECIAL)
        return "".join(text.split(_GOES_ON)).strip()

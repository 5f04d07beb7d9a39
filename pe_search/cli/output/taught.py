"""How the words that were taught stand, in words."""

from __future__ import annotations

from pe_search.cli.output.messages import counted, printable
from pe_search.records import Word


def how_it_stands(word: Word) -> str:
    """One line, such as `@mybird, from "a bird": 3 yes, 1 no, 0 unsure.`."""
    start = f', from "{printable(word.text)}"' if word.text else ""
    said = f"{word.word}{start}: {word.yes:,} yes, {word.no:,} no, {word.unsure:,} unsure"
    if word.gone:
        said += f"; {word.gone:,} of them of clips that the store no longer holds"
    if word.text and not (word.yes or word.no):
        said += "; until something is judged it is its text"
    return f"{said}."


def counted_judgements(number: int) -> str:
    """`1 judgement`, `12 judgements`."""
    return counted(number, "judgement")

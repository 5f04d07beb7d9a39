"""How answers of language models look: for people, JSON Lines, CSV, Parquet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from pe_search.cli.output.hints import is_on_terminal, say_odd_texts
from pe_search.cli.output.hits import style_of, times
from pe_search.cli.output.messages import printable, say, shown_path
from pe_search.cli.output.rows import row_writer
from pe_search.cli.output.tables import room, with_path, write_renderable
from pe_search.known.fields import Kind
from pe_search.parquet import Column

if TYPE_CHECKING:
    from rich.text import Text

    from pe_search.descriptions import Description
    from pe_search.listener import Listener

_INDENT = "  "
_COLUMNS = [
    Column("path", Kind.TEXT),
    Column("start_s", Kind.NUMBER),
    Column("end_s", Kind.NUMBER),
    Column("question", Kind.TEXT),
    Column("answer", Kind.TEXT),
    Column("score", Kind.NUMBER),
    Column("probability", Kind.NUMBER),
    Column("model", Kind.TEXT),
]


class DescriptionFormat(StrEnum):
    """The ways to print answers; `json` means `jsonl`."""

    TABLE = "table"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


class DescriptionWriter:
    """Prints answers to stdout as they come, in a `with` statement, at whose end all are printed.

    Args:
        description_format: How to print them.
        min_probability: Those with a lower one are not printed.

    Attributes:
        count: How many were printed.
    """

    def __init__(self, description_format: DescriptionFormat, min_probability: float = 0.0) -> None:
        self.count = 0
        self._min_probability = min_probability
        self._best_dropped: Description | None = None
        self._answers: dict[str, None] = {}
        self._end = ExitStack()
        is_table = description_format is DescriptionFormat.TABLE
        self._rows = None if is_table else row_writer(_COLUMNS, description_format.value)

    def __enter__(self) -> Self:
        if self._rows is not None:
            self._end.enter_context(self._rows)
        return self

    def __exit__(self, *error: object) -> None:
        self._end.__exit__(*error)  # type: ignore[arg-type]

    def write(self, description: Description) -> None:
        """Print one, if it is probable enough."""
        self._answers[description.answer] = None
        if description.probability < self._min_probability:
            best = self._best_dropped
            if best is None or description.probability > best.probability:
                self._best_dropped = description
            return
        self.count += 1
        if self._rows is None:
            write_description(description)
        else:
            self._rows.write_all([description.to_dict().values()])
        sys.stdout.buffer.flush()

    def say_rest(self, listener: Listener) -> None:
        """Say on stderr what a reader of the answers should know of their scores."""
        if untaught := listener.untaught(list(self._answers)):
            if len(untaught) == 1:
                say_odd_texts(listener, untaught, None)
            else:
                say(
                    f"The built-in checkpoint was not taught any word of {len(untaught):,} answers; their scores mean "
                    "nothing."
                )
        best = self._best_dropped
        if not self.count and best is not None and is_on_terminal():
            say(
                f"pe-search: no answer has a probability of {self._min_probability:g} or more; the best has "
                f"{best.probability:.2f}: {best.answer}"
            )


def write_description(description: Description) -> None:
    """Print an answer for people: what it is about, and below it the answer."""
    from rich.text import Text

    before = f"{description.probability:.2f}{_INDENT}{times(description.start_s, description.end_s)}"
    heading = Text(with_path(before, shown_path(description.path)), style=style_of(description.probability) or "")
    write_renderable(heading)
    for line in answer_lines(description.answer, len(_INDENT)):
        write_renderable(Text(_INDENT) + line)
    sys.stdout.flush()


def answer_lines(answer: str, indent: int) -> Iterator[Text]:
    """The lines of an answer, each as long as there is room for beside an indent."""
    from rich.console import Console
    from rich.text import Text

    width = max(room() - indent, 16)
    for paragraph in answer_text(answer).split("\n"):
        for line in Text(paragraph).wrap(Console(width=width), width):
            line.rstrip()
            yield line


def answer_text(answer: str) -> str:
    """An answer for people, its paragraphs in lines, without anything that a terminal would obey."""
    return "\n".join(printable(line) for line in answer.splitlines() if line.strip())

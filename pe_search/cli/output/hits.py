"""How results look: table, paths, JSON Lines, CSV; one writer each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from pe_search.cli.output.messages import printable, shown_path, shown_query
from pe_search.cli.output.rows import TableRows, columns_of, row_writer, write_paths
from pe_search.cli.output.tables import PathTable, write_renderable
from pe_search.clock import clock
from pe_search.known import fields
from pe_search.queries import Hit, Request, Span

if TYPE_CHECKING:
    from pe_search.known.fields import Field
    from pe_search.tasks.describing import Describer


class HitFormat(StrEnum):
    """The ways to print hits and spans; the last five are for spans and for what is said; `json` means `jsonl`."""

    TABLE = "table"
    PATHS = "paths"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    AUDACITY = "audacity"
    RAVEN = "raven"
    REAPER = "reaper"
    CUE = "cue"
    SRT = "srt"


_EVEN_ODDS = 0.5
HIT_FIELDS = ("query", "rank", "path", "start_s", "end_s", "score", "probability")
RANK_FIELDS = ("sound_rank", "words_rank")
SAID_FIELDS = ("sound_rank", "said_rank", "said")
_NONE = "-"


def more_fields(request: Request) -> Sequence[str]:
    """What belongs to the hits of a request beside what is usual: ranks where there are words, and what is said."""
    return SAID_FIELDS if request.said else RANK_FIELDS if request.words else ()


def shown_fields(describer: Describer | None, more: Sequence[str]) -> Sequence[Field]:
    """What is shown of a hit: what was asked for, or what is usual, and more."""
    usual = (*HIT_FIELDS, *more)
    return fields.named(usual, fields.HIT_FIELDS) if describer is None else describer.fields


class HitWriter:
    """Prints the hits of each query to stdout as they come, in a `with` statement, at whose end all are printed.

    Args:
        hit_format: How to print them; none of those for spans.
        null: With `PATHS`, end each path with a NUL byte instead of a newline.
        describer: What makes rows of hits, for other fields than the usual ones; not with `PATHS`.
        more: As `more_fields`.

    Attributes:
        count: How many hits were printed.
    """

    def __init__(
        self,
        hit_format: HitFormat,
        *,
        null: bool = False,
        describer: Describer | None = None,
        more: Sequence[str] = (),
    ) -> None:
        self.count = 0
        self._format = hit_format
        self._null = null
        self._describer = describer
        self._end = ExitStack()
        self._columns = columns_of(shown_fields(describer, more))
        self._has_rows = hit_format not in (HitFormat.TABLE, HitFormat.PATHS)
        self._rows = row_writer(self._columns, hit_format.value) if self._has_rows else None

    def __enter__(self) -> Self:
        if self._rows is not None:
            self._end.enter_context(self._rows)
        return self

    def __exit__(self, *error: object) -> None:
        self._end.__exit__(*error)  # type: ignore[arg-type]

    def write(self, hits: Sequence[Hit]) -> None:
        """Print the hits of one query."""
        if self._rows is not None:
            self._rows.write_all(self._values(hits))
        elif self._format is HitFormat.PATHS:
            write_paths((hit.path for hit in hits), null=self._null)
        elif self._describer is None:
            _write_table(hits)
        elif hits:
            write_title(hits[0].query)
            with TableRows(self._columns) as rows:
                rows.write_all(self._values(hits))
        sys.stdout.buffer.flush()
        self.count += len(hits)

    def _values(self, hits: Sequence[Hit]) -> Iterator[Iterable[object]]:
        described = (hit.to_dict() for hit in hits) if self._describer is None else self._describer.rows(hits)
        return (row.values() for row in described)


def _write_table(hits: Sequence[Hit]) -> None:
    if hits:
        table = hit_table(hits[0])
        for hit in hits:
            add_hit(table, hit)
        table.write()


def write_title(query: str) -> None:
    """Write the name of a query above its hits."""
    from rich.text import Text

    write_renderable(Text(shown_query(query), style="bold"))


def hit_table(first: Hit) -> PathTable:
    """An empty table for the hits of a query, with columns for what the first of them has."""
    table = PathTable(shown_query(first.query))
    table.add_column("#", right=True, style="dim")
    if _is_fused(first):
        table.add_column("sound", right=True, style="dim")
        table.add_column("words" if first.said is None else "said", right=True, style="dim")
    if first.score is not None:
        table.add_column("prob.", right=True, style="green")
        table.add_column("score", right=True, style="dim", if_wide=True)
    table.add_column("time", right=True, style="cyan")
    table.add_column("clip")
    return table


def add_hit(table: PathTable, hit: Hit) -> None:
    """Add a row to a `hit_table`."""
    from rich.text import Text

    clip = Text(shown_path(hit.path))
    if hit.copies:
        clip.append(f" +{len(hit.copies):,} {'copy' if len(hit.copies) == 1 else 'copies'}", "dim")
    if hit.is_gone():
        clip.append(" (gone)", "red")
    ranks = [_NONE if rank is None else str(rank) for rank in (hit.sound_rank, hit.rank_by_words)]
    chances = [f"{number:.2f}" for number in (hit.probability, hit.score) if number is not None]
    cells = [str(hit.rank), *(ranks if _is_fused(hit) else ()), *chances, times(hit.start_s, hit.end_s)]
    table.add_row(*cells, clip, style=style_of(hit.probability))
    if hit.said is not None and hit.said.text:
        said = Text(printable(hit.said.text))
        for first, after in hit.said.marks:
            said.stylize("bold yellow", first, after)
        table.add_strip(said)


def add_span(table: PathTable, hit: Hit, span: Span) -> None:
    """Add a row for a span of a hit to a `hit_table`."""
    ranks = ("", "") if _is_fused(hit) else ()
    cells = ("", *ranks, f"{span.probability:.2f}", "", times(span.start_s, span.end_s), "span")
    table.add_row(*cells, style=style_of(span.probability))


def _is_fused(hit: Hit) -> bool:
    """Whether there are a rank by sound and one by words. That of words alone is the only one."""
    return hit.score is not None and not (hit.sound_rank is None and hit.rank_by_words is None)


def style_of(probability: float | None) -> str | None:
    """How to show what has a probability: dimmed if it is less likely than not."""
    return "dim" if probability is not None and probability < _EVEN_ODDS else None


def times(start_s: float, end_s: float) -> str:
    """From when to when, for people."""
    return f"{clock(start_s)}–{clock(end_s)}"

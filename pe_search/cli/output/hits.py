"""How results look: table, paths, JSON Lines, CSV; one writer each."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from pe_search.cli.output.messages import shown_path, shown_query
from pe_search.cli.output.tables import PathTable
from pe_search.clock import clock
from pe_search.queries import Hit

if TYPE_CHECKING:
    from pathlib import Path


class HitFormat(StrEnum):
    """The ways to print hits and spans; the last four are for spans only; `json` means `jsonl`."""

    TABLE = "table"
    PATHS = "paths"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    AUDACITY = "audacity"
    RAVEN = "raven"
    REAPER = "reaper"
    CUE = "cue"


_EVEN_ODDS = 0.5
HIT_FIELDS = ("query", "rank", "path", "start_s", "end_s", "score", "probability")


class HitWriter:
    """Prints the hits of each query to stdout as they come.

    Args:
        hit_format: How to print them; none of those for spans.
        null: With `PATHS`, end each path with a NUL byte instead of a newline.

    Attributes:
        count: How many hits were printed.
    """

    def __init__(self, hit_format: HitFormat, *, null: bool = False) -> None:
        self.count = 0
        self._format = hit_format
        self._null = null
        self._rows = Rows(HIT_FIELDS, as_csv=hit_format is HitFormat.CSV)

    def write(self, hits: Sequence[Hit]) -> None:
        """Print the hits of one query."""
        if self._format is HitFormat.TABLE:
            _write_table(hits)
        elif self._format is HitFormat.PATHS:
            write_paths((hit.path for hit in hits), null=self._null)
        else:
            self._rows.write_all(hit.to_dict().values() for hit in hits)
        sys.stdout.buffer.flush()
        self.count += len(hits)


def _write_table(hits: Sequence[Hit]) -> None:
    if hits:
        table = hit_table(hits[0].query)
        for hit in hits:
            add_hit(table, hit)
        table.write()


def hit_table(query: str) -> PathTable:
    """An empty table for the hits of a query."""
    table = PathTable(shown_query(query))
    table.add_column("#", right=True, style="dim")
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
    # A name of a clip that is no file is not absolute.
    if hit.path.is_absolute() and not os.path.lexists(hit.path):
        clip.append(" (gone)", "red")
    table.add_row(
        str(hit.rank),
        f"{hit.probability:.2f}",
        f"{hit.score:.2f}",
        times(hit.start_s, hit.end_s),
        clip,
        style=style_of(hit.probability),
    )


def style_of(probability: float) -> str | None:
    """How to show what has a probability: dimmed if it is less likely than not."""
    return "dim" if probability < _EVEN_ODDS else None


def times(start_s: float, end_s: float) -> str:
    """From when to when, for people."""
    return f"{clock(start_s)}–{clock(end_s)}"


def write_paths(paths: Iterable[Path], *, null: bool = False) -> None:
    """Write one path on each line, byte for byte; with `null`, each ends with a NUL byte instead."""
    sys.stdout.buffer.writelines(os.fsencode(path) + (b"\0" if null else b"\n") for path in paths)


class Rows:
    """Rows on stdout: JSON Lines, or CSV below a header. Paths in them may hold bytes that are not UTF-8.

    Args:
        fields: What each row has.
        as_csv: Whether to write CSV.
    """

    def __init__(self, fields: Sequence[str], *, as_csv: bool) -> None:
        self._fields = fields
        self._as_csv = as_csv
        self._has_header = False

    def write_all(self, rows: Iterable[Iterable[object]]) -> None:
        """Write some rows, which may be none; the header of CSV comes with the first of them."""
        out = sys.stdout.buffer
        if self._as_csv and not self._has_header:
            write_csv_row(self._fields, out)
            self._has_header = True
        for values in rows:
            if self._as_csv:
                write_csv_row([json.dumps(value) if isinstance(value, bool) else value for value in values], out)
            else:
                # ASCII only, so that a name that is not UTF-8 survives: its bytes become lone surrogates (PEP 383).
                out.write(json.dumps(dict(zip(self._fields, values, strict=True))).encode("ascii") + b"\n")


def write_csv_row(values: Sequence[object], out: BinaryIO) -> None:
    """Write one line, whose paths may hold bytes that are not UTF-8."""
    line = io.StringIO()
    # The writer quotes only those line ends that it uses itself, so it is left to use both.
    csv.writer(line, lineterminator="\r\n").writerow(values)
    out.write(line.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape") + b"\n")

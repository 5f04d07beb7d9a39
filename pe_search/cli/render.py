"""How results look: table, paths, JSON Lines, CSV; one writer each."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import BinaryIO

from pe_search.cli.messages import printable, shown_path
from pe_search.records import Hit


class HitFormat(StrEnum):
    """The ways to print hits."""

    TABLE = "table"
    PATHS = "paths"
    JSONL = "jsonl"
    CSV = "csv"


_FIELDS = ("query", "rank", "path", "start_s", "end_s", "score", "probability")


def write_hits(answers: Iterable[Sequence[Hit]], hit_format: HitFormat, *, null: bool = False) -> int:
    """Print the hits of each query to stdout as they come.

    Args:
        answers: The hits of one query after the other.
        hit_format: How to print them.
        null: With `PATHS`, end each path with a NUL byte instead of a newline.

    Returns:
        The number of hits.
    """
    out = sys.stdout.buffer
    count = 0
    if hit_format is HitFormat.CSV:
        _write_csv_row(_FIELDS, out)
    for hits in answers:
        if hit_format is HitFormat.TABLE:
            _write_table(hits)
        elif hit_format is HitFormat.PATHS:
            _write_paths(hits, out, b"\0" if null else b"\n")
        elif hit_format is HitFormat.JSONL:
            _write_jsonl(hits, out)
        else:
            for hit in hits:
                _write_csv_row(_values(hit), out)
        out.flush()
        count += len(hits)
    return count


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss, with tenths where they are not zero."""
    tenths = round(seconds * 10)
    whole, tenth = divmod(tenths, 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{tenth}" if tenth else text


def _write_table(hits: Sequence[Hit]) -> None:
    if not hits:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, title_justify="left", title_style="bold")
    table.title = Text(printable(hits[0].query))
    table.add_column("#", justify="right", style="dim")
    table.add_column("prob.", justify="right", style="green")
    table.add_column("score", justify="right", style="dim")
    table.add_column("time", justify="right", style="cyan", no_wrap=True)
    table.add_column("clip", overflow="fold")
    for hit in hits:
        # Text, not str: a name with square brackets in it is no markup.
        table.add_row(
            str(hit.rank),
            f"{hit.probability:.2f}",
            f"{hit.score:.2f}",
            f"{clock(hit.start_s)}–{clock(hit.end_s)}",
            Text(shown_path(hit.path)),
        )
    console = Console(soft_wrap=False)
    with console.capture() as captured:
        console.print(table)
    # Not printed by rich, which would end the program by itself when the pipe is closed.
    sys.stdout.write(captured.get())


def _write_paths(hits: Iterable[Hit], out: BinaryIO, terminator: bytes) -> None:
    for hit in hits:
        out.write(os.fsencode(hit.path) + terminator)


def _write_jsonl(hits: Iterable[Hit], out: BinaryIO) -> None:
    for hit in hits:
        # ASCII only, so that a name that is not UTF-8 survives: its bytes become lone surrogates (PEP 383).
        out.write(json.dumps(dict(zip(_FIELDS, _values(hit), strict=True))).encode("ascii") + b"\n")


def _write_csv_row(values: Sequence[object], out: BinaryIO) -> None:
    line = io.StringIO()
    # The writer quotes only those line ends that it uses itself, so it is left to use both.
    csv.writer(line, lineterminator="\r\n").writerow(values)
    out.write(line.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape") + b"\n")


def _values(hit: Hit) -> tuple[str, int, str, float, float, float, float]:
    return (
        hit.query,
        hit.rank,
        str(hit.path),
        round(hit.start_s, 6),
        round(hit.end_s, 6),
        hit.score,
        hit.probability,
    )

"""`pe-search list`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.config import usual_format
from pe_search.cli.input.options import NullOption, StoreOption, format_option, store_directory
from pe_search.cli.output.hits import Rows, write_paths
from pe_search.cli.output.messages import say, shown_path
from pe_search.cli.output.tables import is_wide, with_path
from pe_search.clock import clock
from pe_search.library import Library
from pe_search.records import IndexedClip

_FIELDS = ("path", "duration_s", "windows", "indexed_at", "is_incomplete", "is_gone")
_COLUMNS = f"{'length':>9}", f"{'windows':>7}", f"{'indexed':<16}"


class ListFormat(StrEnum):
    """The ways to print clips."""

    TABLE = "table"
    PATHS = "paths"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"


def list(  # noqa: A001 (the command's name)
    under: Annotated[
        Path | None,
        typer.Option("--under", metavar="PATH", rich_help_panel="Filter", help="List only this folder or clip."),
    ] = None,
    gone: Annotated[
        bool, typer.Option("--gone", rich_help_panel="Filter", help="List only clips whose files are gone.")
    ] = False,
    list_format: Annotated[
        ListFormat | None,
        format_option("table, paths, jsonl, csv.", "table; in a pipe paths"),
    ] = None,
    null: NullOption = False,
    store: StoreOption = None,
) -> None:
    """List the clips of the store.

    \b
        pe-search list
        pe-search list --under ./birds --format csv > birds.csv
        pe-search list --gone

    Shows the length of each clip, its windows and when it was indexed (- means by an older pe-search). A clip that
    could not be read to its end is marked incomplete; a clip whose file is missing is marked gone, and `index` removes
    it.

    Exit status: 0 found, 1 nothing found, 2 an error.
    """
    if null and list_format not in (None, ListFormat.PATHS):
        raise typer.BadParameter("-0 requires --format paths.")
    if list_format is None:
        usual = ListFormat.PATHS if null else usual_format(ListFormat)
        list_format = usual or (ListFormat.TABLE if sys.stdout.isatty() else ListFormat.PATHS)
    with Library(store_directory(store)) as library:
        clips = (clip for clip in library.clips(under) if not gone or clip.is_gone())
        count = _write(clips, list_format, null)
    if not count:
        if sys.stderr.isatty():
            say(f"pe-search: {_why_none(under, gone)}.")
        raise typer.Exit(1)


def _write(clips: Iterator[IndexedClip], list_format: ListFormat, null: bool) -> int:
    count = 0
    rows = Rows(_FIELDS, as_csv=list_format is ListFormat.CSV)
    if list_format is ListFormat.CSV:
        rows.write_all(())
    # Not a table of rich, which has to know all rows before it prints one.
    for count, clip in enumerate(clips, start=1):
        if list_format is ListFormat.PATHS:
            write_paths([clip.path], null=null)
        elif list_format is ListFormat.TABLE:
            if count == 1:
                typer.echo(_joined(*_COLUMNS, "clip"))
            typer.echo(_line(clip))
        else:
            rows.write_all([_values(clip)])
    sys.stdout.buffer.flush()
    return count


def _line(clip: IndexedClip) -> str:
    length = "-" if clip.duration_s is None else clock(clip.duration_s)
    indexed = "-" if clip.indexed_at_s is None else f"{_at(clip.indexed_at_s).astimezone():%Y-%m-%d %H:%M}"
    marks = [*(["incomplete"] if clip.missing is not None else []), *(["gone"] if clip.is_gone() else [])]
    marked = f" ({', '.join(marks)})" if marks else ""
    return _joined(f"{length:>9}", f"{clip.windows:>7,}", f"{indexed:<16}", f"{shown_path(clip.path)}{marked}")


def _joined(length: str, windows: str, indexed: str, path: str) -> str:
    return with_path("  ".join([length, windows, indexed] if is_wide() else [length, indexed]), path)


def _values(clip: IndexedClip) -> Iterator[object]:
    yield str(clip.path)
    yield None if clip.duration_s is None else round(clip.duration_s, 6)
    yield clip.windows
    yield None if clip.indexed_at_s is None else _at(clip.indexed_at_s).isoformat()
    yield clip.missing is not None
    yield clip.is_gone()


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _why_none(under: Path | None, gone: bool) -> str:
    if under is None and not gone:
        return "the store holds no clip"
    where = "" if under is None else f" below {under}"
    return f"no clip of the store is gone{where}" if gone else f"the store holds no clip{where}"

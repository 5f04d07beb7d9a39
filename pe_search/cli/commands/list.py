"""`pe-search list`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.input.field_options import (
    ClipFieldsOption,
    OutputOption,
    ReverseOption,
    SortOption,
    chosen_format,
    read_fields,
    read_sort,
)
from pe_search.cli.input.filters import (
    BpmOption,
    ChannelsOption,
    HourOption,
    LengthOption,
    LoudnessOption,
    NameOption,
    RateOption,
    RecordedOption,
    TagOption,
    make_filters,
    options_of,
)
from pe_search.cli.input.options import NullOption, StoreOption, format_option, store_directory
from pe_search.cli.output.files import output_to
from pe_search.cli.output.hints import why_none_passes
from pe_search.cli.output.messages import say, shown_path
from pe_search.cli.output.rows import columns_of, row_writer, write_paths
from pe_search.cli.output.tables import is_wide, with_path
from pe_search.clock import clock
from pe_search.known.fields import CLIP_FIELDS, named
from pe_search.library import Library
from pe_search.queries import Filters
from pe_search.records import IndexedClip

if TYPE_CHECKING:
    from pe_search.tasks.describing import Describer

_USUAL = ("path", "duration_s", "windows", "indexed_at", "is_incomplete", "is_gone")
_COLUMNS = f"{'length':>9}", f"{'windows':>7}", f"{'indexed':<16}"


class ListFormat(StrEnum):
    """The ways to print clips."""

    TABLE = "table"
    PATHS = "paths"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def list(  # noqa: A001 (the command's name)
    under: Annotated[
        Path | None,
        typer.Option("--under", metavar="PATH", rich_help_panel="Filter", help="List only this folder or clip."),
    ] = None,
    gone: Annotated[
        bool, typer.Option("--gone", rich_help_panel="Filter", help="List only clips whose files are gone.")
    ] = False,
    length: LengthOption = None,
    rate: RateOption = None,
    channels: ChannelsOption = None,
    name: NameOption = None,
    tag: TagOption = None,
    recorded: RecordedOption = None,
    hour: HourOption = None,
    loudness: LoudnessOption = None,
    bpm: BpmOption = None,
    list_format: Annotated[
        ListFormat | None,
        format_option("table, paths, jsonl, csv, parquet.", "table; in a pipe paths"),
    ] = None,
    fields: ClipFieldsOption = None,
    sort: SortOption = None,
    is_reversed: ReverseOption = False,
    output: OutputOption = None,
    null: NullOption = False,
    store: StoreOption = None,
) -> None:
    """List the clips of the store.

    \b
        pe-search list
        pe-search list --under ./birds --format csv > birds.csv
        pe-search list --length -2 --tag favourite
        pe-search list --fields path,recorded_at,tags --sort recorded_at

    Shows the length of each clip, its windows and when it was indexed (- means by an older pe-search). A clip that
    could not be read to its end is marked incomplete; a clip whose file is missing is marked gone, and `index` removes
    it.

    Exit status: 0 found, 1 nothing found, 2 an error.
    """
    filters = make_filters(length, rate, channels, name, tag, recorded, hour, loudness, bpm)
    shown = read_fields(fields, CLIP_FIELDS)
    sort_by = read_sort(sort, is_reversed=is_reversed)
    list_format = chosen_format(list_format, ListFormat, in_a_pipe="paths", output=output, shown=shown, null=null)
    with Library(store_directory(store)) as library:
        clips: Iterator[IndexedClip] = (clip for clip in library.clips(under, filters) if not gone or clip.is_gone())
        describer = library.describer(named(_USUAL, CLIP_FIELDS) if shown is None else shown)
        if sort_by is not None:
            clips = iter(describer.sorted(clips, sort_by, reverse=is_reversed))
        with output_to(output):
            if list_format in (ListFormat.PATHS, ListFormat.TABLE) and shown is None:
                count = _write_lines(clips, list_format, null)
            else:
                count = _write_rows(clips, list_format, describer)
        if not count and sys.stderr.isatty():
            say(f"pe-search: {_why_none(library, under, filters, gone)}.")
    if not count:
        raise typer.Exit(1)


def _write_rows(clips: Iterator[IndexedClip], list_format: ListFormat, describer: Describer) -> int:
    count = 0
    with row_writer(columns_of(describer.fields), list_format.value) as rows:
        for row in describer.rows(clips):
            rows.write_all([row.values()])
            count += 1
    return count


def _write_lines(clips: Iterator[IndexedClip], list_format: ListFormat, null: bool) -> int:
    count = 0
    # Not a table of rich, which has to know all rows before it prints one.
    for count, clip in enumerate(clips, start=1):
        if list_format is ListFormat.PATHS:
            write_paths([clip.path], null=null)
        else:
            if count == 1:
                typer.echo(_joined(*_COLUMNS, "clip"))
            typer.echo(_line(clip))
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


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _why_none(library: Library, under: Path | None, filters: Filters, gone: bool) -> str:
    effect = library.filter_effect(under, filters) if filters else None
    if effect is not None and effect.clips and not effect.passing:
        return why_none_passes(effect, filters)
    if effect is not None and effect.passing:
        return f"no clip passing {options_of(filters)} is gone"
    if under is None and not gone:
        return "the store holds no clip"
    where = "" if under is None else f" below {under}"
    return f"no clip of the store is gone{where}" if gone else f"the store holds no clip{where}"

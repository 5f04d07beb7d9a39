"""`pe-search duplicates`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.config import usual_format
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
from pe_search.cli.input.numbers import number_between
from pe_search.cli.input.options import StoreOption, format_option, store_directory
from pe_search.cli.output.hints import is_on_terminal, why_none_passes
from pe_search.cli.output.messages import counted, say, say_problem, shown_path
from pe_search.cli.output.progress import ProgressBar
from pe_search.cli.output.rows import Rows, write_paths
from pe_search.cli.output.tables import PathTable
from pe_search.library import Library
from pe_search.queries import SAME_FROM_COSINE, Duplicate, Filters

# What is tried where nothing is found, in a store of so few clips that it takes no time.
_LOWER_THRESHOLDS = (0.97, 0.95, 0.9)
_MOST_CLIPS_AGAIN = 2_000
_FIELDS = ("group", "path", "cosine", "is_same_bytes")


class GroupFormat(StrEnum):
    """The ways to print groups."""

    TABLE = "table"
    PATHS = "paths"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"


def duplicates(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PATH]", rich_help_panel="Filter", help="Compare only clips in this folder.", show_default=False
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold",
            parser=number_between(0.0, 1.0),
            metavar="C",
            rich_help_panel="Filter",
            help="The least cosine of two clips that sound the same.",
        ),
    ] = SAME_FROM_COSINE,
    length: LengthOption = None,
    rate: RateOption = None,
    channels: ChannelsOption = None,
    name: NameOption = None,
    tag: TagOption = None,
    recorded: RecordedOption = None,
    hour: HourOption = None,
    loudness: LoudnessOption = None,
    bpm: BpmOption = None,
    group_format: Annotated[
        GroupFormat | None,
        format_option("table, paths, jsonl, csv.", "table; in a pipe paths"),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Show groups of clips in the store that sound the same.

    \b
        pe-search duplicates
        pe-search duplicates ./samples --threshold 0.97
        pe-search duplicates --format csv > duplicates.csv

    Finds the same recording in another format or at another rate, and clips with the same bytes. A lower threshold also
    finds trimmed copies and other levels, and different recordings of one kind of sound. Every clip of a group sounds
    the same as its first clip, in all windows. The files are not read: run index first if they have changed.

    Exit status: 0 found, 1 nothing found, 2 an error.
    """
    filters = make_filters(length, rate, channels, name, tag, recorded, hour, loudness, bpm)
    if group_format is None:
        usual = usual_format(GroupFormat)
        group_format = usual or (GroupFormat.TABLE if sys.stdout.isatty() else GroupFormat.PATHS)

    with Library(store_directory(store), on_problem=say_problem) as library:
        with ProgressBar("comparing") as bar:
            groups = library.duplicates(threshold, under=path, filters=filters, on_progress=bar.show_share)
        if not groups and is_on_terminal():
            _say_none(library, threshold, path, filters)
    _write(groups, group_format)
    if not groups:
        raise typer.Exit(1)


def _say_none(library: Library, threshold: float, path: Path | None, filters: Filters) -> None:
    """Say that no clips sound the same, and from which threshold on some would, unless that takes long."""
    effect = library.filter_effect(path, filters)
    clips = effect.passing
    if effect.clips and not clips:
        say(f"pe-search: {why_none_passes(effect, filters)}.")
        return
    passing = f" passing {options_of(filters)}" if filters else ""
    said = f"pe-search: no two of {counted(clips, 'clip')}{passing} sound the same (--threshold {threshold:g})"
    lower = [one for one in _LOWER_THRESHOLDS if one < threshold] if clips <= _MOST_CLIPS_AGAIN else []
    for one in lower:
        if groups := library.duplicates(one, under=path, filters=filters):
            said += f"; --threshold {one:g} finds {counted(len(groups), 'group')}"
            break
    say(said)


def _write(groups: Sequence[Sequence[Duplicate]], group_format: GroupFormat) -> None:
    if group_format is GroupFormat.TABLE:
        if groups:
            _write_table(groups)
        return
    rows = Rows(_FIELDS, as_csv=group_format is GroupFormat.CSV)
    if group_format is GroupFormat.CSV:
        rows.write_all(())
    for number, group in enumerate(groups, start=1):
        if group_format is GroupFormat.PATHS:
            sys.stdout.buffer.write(b"\n" if number > 1 else b"")
            write_paths(clip.path for clip in group)
        else:
            rows.write_all((number, str(clip.path), clip.cosine, clip.is_same_bytes) for clip in group)


def _write_table(groups: Sequence[Sequence[Duplicate]]) -> None:
    table = PathTable()
    table.add_column("#", right=True, style="dim")
    table.add_column("cosine", right=True, style="green")
    table.add_column("clip")
    for number, group in enumerate(groups, start=1):
        for place, clip in enumerate(group):
            likeness = "bytes" if clip.is_same_bytes else f"{clip.cosine:.3f}"
            table.add_row("" if place else str(number), likeness if place else "", shown_path(clip.path))
    table.write()

"""`pe-search export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
)
from pe_search.cli.input.options import NoSaidOption, StoreOption, store_directory
from pe_search.cli.output.hints import why_none_passes
from pe_search.cli.output.messages import counted, say
from pe_search.holder import EXPORT_SUFFIXES
from pe_search.library import Library


def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", rich_help_panel="Files", help="The file to write: .parquet or .npz.")
    ],
    length: LengthOption = None,
    rate: RateOption = None,
    channels: ChannelsOption = None,
    name: NameOption = None,
    tag: TagOption = None,
    recorded: RecordedOption = None,
    hour: HourOption = None,
    loudness: LoudnessOption = None,
    bpm: BpmOption = None,
    is_without_said: NoSaidOption = False,
    store: StoreOption = None,
) -> None:
    """Write the path, start, end and embedding of each window to a file.

    \b
        pe-search export windows.npz
        pe-search export windows.parquet --store ./birds.store
        pe-search export dawn.npz --hour 4-7

    An .npz holds the arrays path, start_s, end_s and embedding, a row for each window, and the store's manifest as
    JSON. `numpy.load` reads it without pickle. A .parquet has the same columns, with the manifest in its metadata; it
    needs pyarrow. If the store has captions, there is a column caption. Transcripts are beside the manifest, as JSON
    under the name transcripts. The file is written completely or not at all.
    """
    if file.suffix.lower() not in EXPORT_SUFFIXES:
        raise typer.BadParameter("must end with .parquet or .npz.", param_hint="FILE")
    filters = make_filters(length, rate, channels, name, tag, recorded, hour, loudness, bpm)
    with Library(store_directory(store)) as library:
        if filters and not (effect := library.filter_effect(None, filters)).passing:
            say(f"pe-search: {why_none_passes(effect, filters)}.")
            raise typer.Exit(1)
        windows = library.export(file, filters, said=not is_without_said)
    say(f"{counted(windows, 'window')} written to {file}")

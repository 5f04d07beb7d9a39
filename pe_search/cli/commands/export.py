"""`pe-search export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import counted, say
from pe_search.holder import EXPORT_SUFFIXES
from pe_search.library import Library


def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", rich_help_panel="Files", help="The file to write: .parquet or .npz.")
    ],
    store: StoreOption = None,
) -> None:
    """Write the path, start, end and embedding of every window to a file.

    \b
        pe-search export windows.npz
        pe-search export windows.parquet --store ./birds.store

    An .npz holds the arrays path, start_s, end_s and embedding, a row for each window, and the store's manifest as
    JSON. `numpy.load` reads it without pickle. A .parquet has the same columns, with the manifest in its metadata; it
    needs pyarrow. The file is written completely or not at all.
    """
    if file.suffix.lower() not in EXPORT_SUFFIXES:
        raise typer.BadParameter("must end with .parquet or .npz.", param_hint="FILE")
    with Library(store_directory(store)) as library:
        windows = library.export(file)
    say(f"{counted(windows, 'window')} written to {file}")

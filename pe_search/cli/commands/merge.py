"""`pe-search merge`."""

from __future__ import annotations

from typing import Annotated

import typer

from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import counted, say
from pe_search.library import Library


def merge(
    other: Annotated[
        str,
        typer.Argument(metavar="OTHER_STORE", rich_help_panel="Store", help="The store to read from."),
    ],
    store: StoreOption = None,
) -> None:
    """Copy the clips of another store into this one, with their embeddings.

    \b
        pe-search merge ./laptop.store
        pe-search merge /mnt/nas/sounds.store --store ./all.store

    Both stores must have the same checkpoint, window and hop. If both hold a clip, the one whose file changed last is
    kept. If a merge is interrupted, the same command goes on.
    """
    with Library(store_directory(store)) as library:
        clips = library.merge(store_directory(other))
    say(f"{counted(clips, 'clip')} copied. Store: {library.directory}")

"""`pe-search merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.options import NoSaidOption, StoreOption, store_directory
from pe_search.cli.output.messages import counted, say
from pe_search.directories import shown_store
from pe_search.library import Library


def merge(
    other: Annotated[
        str,
        typer.Argument(metavar="OTHER_STORE", rich_help_panel="Store", help="The store to read from."),
    ],
    is_without_said: NoSaidOption = False,
    store: StoreOption = None,
) -> None:
    """Copy the clips of another store into this one, with their embeddings.

    \b
        pe-search merge ./laptop.store
        pe-search merge /mnt/nas/sounds.store --store ./all.store

    Both stores must have the same checkpoint, window and hop. If both hold a clip, the one whose file changed last is
    kept. If a merge is interrupted, the same command goes on.
    """
    directory = store_directory(other)
    with Library(store_directory(store)) as library:
        clips = library.merge(directory, said=not is_without_said)
    why = "" if clips else _why_none(directory)
    say(f"{counted(clips, 'clip')} copied{why}. Store: {shown_store(library.directory)}")


def _why_none(other: Path) -> str:
    with Library(other) as library:
        clips = library.status().clips
    if not clips:
        return f"; {other} holds none"
    return f"; {clips:,} {'was' if clips == 1 else 'were'} there already"

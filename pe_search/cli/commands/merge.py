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
        typer.Argument(metavar="OTHER_STORE", help="The store to take over; it is only read."),
    ],
    store: StoreOption = None,
) -> None:
    """Take over the clips of another store, with their embeddings.

    Both stores must be made with the same checkpoint, windows and hop. Of a clip that both hold, the one whose file was
    modified later stays. A merge that is cut short goes on with the same command.

    \b
        pe-search merge ./laptop.store
        pe-search merge /mnt/nas/sounds.store --store ./all.store
    """
    with Library(store_directory(store)) as library:
        clips = library.merge(store_directory(other))
    say(f"{counted(clips, 'clip')} came in. Store: {library.directory}")

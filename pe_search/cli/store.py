"""`pe-search remove` and `pe-search rebuild`: looking after a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.messages import counted, say
from pe_search.cli.options import StoreOption, expanded, store_directory


def remove(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Clips, or folders of clips.", show_default=False)
    ],
    store: StoreOption = None,
) -> None:
    """Take clips out of the store. The files themselves are left alone, and need not exist any more.

    Exit status: 0 if something was taken out, 1 if the store holds nothing there, 2 on an error.

    \b
        pe-search remove ./sounds/rejects
        pe-search remove /mnt/old-disk ./sounds/take-1.wav
    """
    from pe_search.store import Store

    with Store.open(store_directory(store), read_only=False) as opened:
        roots = {Path(os.path.abspath(expanded(path))) for path in paths}
        removed = [clip for clip in opened.clips() if not roots.isdisjoint((clip, *clip.parents))]
        if removed:
            opened.commit(removed=removed)
            opened.drop_unused_contents()
            opened.refresh_index()
    say(f"{counted(len(removed), 'clip')} removed.")
    if not removed:
        raise typer.Exit(1)


def rebuild(store: StoreOption = None) -> None:
    """Make the store's index again from its catalog.

    This is never needed in ordinary use, because an index that is missing or out of date is made again by itself. It
    helps where a disk has damaged the index without making it unreadable.
    """
    from pe_search.store import Store

    with Store.open(store_directory(store), read_only=False) as opened:
        opened.rebuild_index()
        windows = opened.holdings().windows
    say(f"Index of {counted(windows, 'window')} made.")

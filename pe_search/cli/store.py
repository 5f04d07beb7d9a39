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

    A clip that was left out is forgotten, so that the next `pe-search index` tries it again. Exit status: 0 if
    something was taken out or forgotten, 1 if the store knows of nothing there, 2 on an error.

    \b
        pe-search remove ./sounds/rejects
        pe-search remove /mnt/old-disk ./sounds/take-1.wav
    """
    from pe_search.store import Store

    with Store.open(store_directory(store), read_only=False) as opened:
        roots = {Path(os.path.abspath(expanded(path))) for path in paths}
        removed, forgotten = (
            [path for path in known if not roots.isdisjoint((path, *path.parents))]
            for known in (opened.clips(), [one.clip.path for one in opened.left_out()])
        )
        if removed or forgotten:
            opened.commit(removed=[*removed, *forgotten])
            opened.drop_unused_contents()
            opened.refresh_index()
    said = f"{counted(len(removed), 'clip')} removed"
    if forgotten:
        said += f", {counted(len(forgotten), 'problem')} forgotten"
    say(f"{said}.")
    if not (removed or forgotten):
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

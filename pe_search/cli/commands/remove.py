"""`pe-search remove`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import counted, say, say_problem
from pe_search.library import Library


def remove(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", rich_help_panel="Files", help="Clips, or folders of clips.", show_default=False
        ),
    ],
    store: StoreOption = None,
) -> None:
    """Remove clips from the store; their files are kept.

    \b
        pe-search remove ./sounds/rejects
        pe-search remove /mnt/old-disk ./sounds/take-1.wav

    The files need not exist. A clip that index left out is forgotten, and the next index tries it again.

    Exit status: 0 removed or forgotten, 1 nothing found, 2 an error.
    """
    with Library(store_directory(store), on_problem=say_problem) as library:
        removal = library.remove(paths)
    if not (removal.clips or removal.problems):
        say(f"pe-search: the store has no clips in {', '.join(map(str, paths))}")
        raise typer.Exit(1)
    said = f"{counted(removal.clips, 'clip')} removed"
    if removal.problems:
        said += f", {counted(removal.problems, 'problem')} forgotten"
    say(f"{said}.")

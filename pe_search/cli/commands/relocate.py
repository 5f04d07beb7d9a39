"""`pe-search relocate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import counted, say, say_problem
from pe_search.directories import absolute, command_for
from pe_search.library import Library
from pe_search.reports import Relocation


def relocate(
    old: Annotated[
        Path,
        typer.Argument(metavar="OLD", rich_help_panel="Files", help="Where the files were.", show_default=False),
    ],
    new: Annotated[
        Path,
        typer.Argument(metavar="NEW", rich_help_panel="Files", help="Where they are now.", show_default=False),
    ],
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", rich_help_panel="Files", help="Print what would be done, one file a line, and do nothing."
        ),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Tell the store that files were moved, so that they need not be read again.

    \b
        pe-search relocate /mnt/old-disk/sounds /media/new/sounds
        pe-search relocate ~/Music/drums ~/Samples/drums --dry-run

    All clips below OLD are then known below NEW, with their tags, time zones and --exclude. 20 files are compared with
    the store by their bytes; if one of them differs or is missing, nothing is changed. Files are never moved. Where a
    folder that was indexed is gone, `index NEW` finds that out by itself.

    Exit status: 0 done, 1 the store has nothing below OLD, 2 an error, or a file differs or is missing.
    """
    directory = store_directory(store)
    if absolute(old) == absolute(new):
        raise typer.BadParameter("is the same as OLD.", param_hint="NEW")
    with Library(directory, on_problem=say_problem) as library:
        relocation = library.relocate(old, new, dry_run=dry_run)
    if not (relocation.clips or relocation.left_out or relocation.roots):
        say(f"pe-search: the store has no clips in {old}")
        raise typer.Exit(1)
    for problem in relocation.problems:
        say_problem(problem)
    if relocation.problems:
        say("pe-search: nothing was changed; NEW must hold the files that were in OLD.")
        raise typer.Exit(2)
    if dry_run:
        _write(relocation)
    _say(relocation, directory, dry_run=dry_run)


def _write(relocation: Relocation) -> None:
    for word, paths in (
        ("moved", relocation.moved),
        ("changed", relocation.changed),
        ("missing", relocation.missing),
    ):
        sys.stdout.buffer.writelines(word.encode() + b" " + os.fsencode(path) + b"\n" for path in paths)
    sys.stdout.buffer.flush()


def _say(relocation: Relocation, directory: Path, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    compared = f"{counted(relocation.checked, 'file')} compared"
    say(f"{counted(relocation.clips, 'clip')} {would}relocated to {relocation.new}, {compared}.")
    update = command_for("index", directory)
    if relocation.changed:
        say(f"{counted(len(relocation.changed), 'file')} with another size or time: {update} reads them again.")
    if relocation.missing:
        say(f"{counted(len(relocation.missing), 'file')} not there: {update} removes them from the store.")

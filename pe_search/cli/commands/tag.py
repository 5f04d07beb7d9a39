"""`pe-search tag`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.config import usual_format
from pe_search.cli.input.lists import FilesFromOption, read_named_paths
from pe_search.cli.input.options import StoreOption, format_option, store_directory
from pe_search.cli.output.hints import is_on_terminal
from pe_search.cli.output.messages import counted, printable, say, say_problem, shown_path
from pe_search.cli.output.rows import Rows
from pe_search.cli.output.tables import PathTable
from pe_search.known.tags import tags_of
from pe_search.library import Library
from pe_search.records import IndexedClip, Problem
from pe_search.reports import Tagging

TagArgument = Annotated[
    str,
    typer.Argument(
        metavar="TAG", rich_help_panel="Files", help="The tag; several with commas between.", show_default=False
    ),
]
ClipsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH...",
        rich_help_panel="Files",
        help="Clips, or folders of clips; - reads paths from standard input, one per line.",
        show_default=False,
    ),
]


class TagFormat(StrEnum):
    """The ways to print tags."""

    TABLE = "table"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"


def tag() -> None:
    """Give clips tags of your own, and show them.

    \b
        pe-search tag add favourite ./kick.wav ./snare.wav
        pe-search query "dog barking" | pe-search tag add favourite -
        pe-search query "rain" --tag favourite
        pe-search tag list

    Tags are kept in the store; files are never changed. A tag belongs to the bytes of a clip: it stays when the clip is
    moved or renamed, or removed and indexed again, and copies of the clip have it too.
    """


def add(
    name: TagArgument,
    paths: ClipsArgument = None,
    files_from: FilesFromOption = None,
    store: StoreOption = None,
) -> None:
    """Give a tag to clips.

    \b
        pe-search tag add favourite ./kick.wav ./snare.wav
        pe-search query "dog barking" -k all | pe-search tag add "dog,to check" -

    A tag has at most 100 characters and no comma; case counts.

    Exit status: 0 done, 1 no path given by a list, 2 an error, also if the store does not hold one of the clips.
    """
    tags, named = _tags(name), _named(paths, files_from)
    with Library(store_directory(store), on_problem=say_problem) as library:
        tagging = library.tag(named, add=tags)
    had = tagging.clips - tagging.changed
    if tagging.clips:
        already = f", {counted(had, 'clip')} already" if had else ""
        say(f"{counted(tagging.changed, 'clip')} tagged {', '.join(tags)}{already}.")
    _end(tagging)


def remove(
    name: TagArgument,
    paths: ClipsArgument = None,
    files_from: FilesFromOption = None,
    everywhere: Annotated[
        bool,
        typer.Option(
            "--all", rich_help_panel="Files", help="Remove it from all clips, also from those that left the store."
        ),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Remove a tag from clips.

    \b
        pe-search tag remove favourite ./kick.wav
        pe-search tag remove "to check" --all

    Exit status: 0 removed, 1 no clip had it, 2 an error, also if the store does not hold one of the clips.
    """
    tags = _tags(name)
    if everywhere and (paths or files_from is not None):
        raise typer.BadParameter("can't be used with PATH or --files-from.", param_hint="--all")
    if not (everywhere or paths or files_from is not None):
        raise typer.BadParameter("give a clip or a folder, --files-from or --all.", param_hint="PATH")
    named = None if everywhere else _named(paths, files_from)
    with Library(store_directory(store), on_problem=say_problem) as library:
        known = library.tags()
        tagging = library.tag(named, remove=tags)
    if tagging.changed or (everywhere and known.keys() & {*tags}):
        say(f"{', '.join(tags)} removed from {counted(tagging.changed, 'clip')}.")
    elif not tagging.problems:
        say(f"pe-search: no such clip is tagged {', '.join(tags)}")
        raise typer.Exit(1)
    _end(tagging)


def list_tags(
    paths: ClipsArgument = None,
    files_from: FilesFromOption = None,
    tag_format: Annotated[TagFormat | None, format_option("table, jsonl, csv.", "table; in a pipe jsonl")] = None,
    store: StoreOption = None,
) -> None:
    """Show all tags with their numbers of clips, or the tags of clips.

    \b
        pe-search tag list
        pe-search tag list ./drums

    With PATH, the clips there that have tags are shown. A tag with 0 clips belongs to clips that left the store.

    Exit status: 0 found, 1 nothing found, 2 an error, also if the store holds no clip at a PATH.
    """
    if tag_format is None:
        tag_format = usual_format(TagFormat) or (TagFormat.TABLE if sys.stdout.isatty() else TagFormat.JSONL)
    named = _named(paths, files_from) if paths or files_from is not None else None
    with Library(store_directory(store), on_problem=say_problem) as library:
        if named is None:
            count = _write_tags(list(library.tags().items()), tag_format)
            problems = list[Problem]()
        else:
            count, problems = _write_clips(library, named, tag_format)
    if problems:
        raise typer.Exit(2)
    if not count:
        if is_on_terminal():
            say(f"pe-search: {'the store has no tags' if named is None else 'no such clip has tags'}")
        raise typer.Exit(1)


SUBCOMMANDS = {"add": add, "remove": remove, "list": list_tags}


def _tags(name: str) -> tuple[str, ...]:
    try:
        return tags_of(name.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="TAG") from error


def _named(paths: list[str] | None, files_from: str | None) -> list[Path]:
    named = read_named_paths(paths, files_from)
    if not named:
        say("pe-search: the list names no path")
        raise typer.Exit(1)
    return named


def _end(tagging: Tagging) -> None:
    for problem in tagging.problems:
        say_problem(problem)
    if tagging.problems:
        raise typer.Exit(2)


def _write_tags(tags: Sequence[tuple[str, int]], tag_format: TagFormat) -> int:
    if tag_format is not TagFormat.TABLE:
        Rows(("tag", "clips"), as_csv=tag_format is TagFormat.CSV).write_all(tags)
    else:
        width = max((len(f"{clips:,}") for _, clips in tags), default=0)
        for name, clips in tags:
            typer.echo(f"{clips:>{width},}  {printable(name)}")
    return len(tags)


def _write_clips(library: Library, named: Sequence[Path], tag_format: TagFormat) -> tuple[int, list[Problem]]:
    found: dict[Path, IndexedClip] = {}
    problems: list[Problem] = []
    for path in named:
        below = {clip.path: clip for clip in library.clips(path)}
        found |= below
        if not below:
            problems.append(Problem(path, "the store holds no clip here"))
            say_problem(problems[-1])
    tagged = [clip for clip in found.values() if clip.tags]
    if tag_format is TagFormat.TABLE:
        _write_table(tagged)
    else:
        rows = ((str(clip.path), [*clip.tags]) for clip in tagged)
        Rows(("path", "tags"), as_csv=tag_format is TagFormat.CSV).write_all(rows)
    return len(tagged), problems


def _write_table(tagged: Sequence[IndexedClip]) -> None:
    if tagged:
        table = PathTable()
        table.add_column("tags", wraps=True)
        table.add_column("clip")
        for clip in tagged:
            table.add_row(printable(", ".join(clip.tags)), shown_path(clip.path))
        table.write()

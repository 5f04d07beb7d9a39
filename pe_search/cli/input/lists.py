"""Lists that are given in a file or on standard input: texts, one a line, and paths."""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.options import checked_texts
from pe_search.directories import expanded
from pe_search.trust import trust_urls

STDIN = "-"

PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATH...", help="Folders and audio files.", rich_help_panel="Files", show_default=False),
]
FromFileOption = Annotated[
    str | None,
    typer.Option("--from-file", metavar="FILE", rich_help_panel="Ask", help="Read more TEXTs from FILE, one per line."),
]
FilesFromOption = Annotated[
    str | None,
    typer.Option(
        "--files-from",
        metavar="LIST",
        rich_help_panel="Files",
        help="Read more paths from LIST, one per line or separated by NUL bytes; - is standard input.",
    ),
]


def read_texts(name: str, option: str) -> list[str]:
    """The lines of a UTF-8 file, or of standard input for `-`; blank ones, and blanks around others, are left out.

    Raises:
        typer.BadParameter: If it is not UTF-8, or no line is left; it names the `option`.
        OSError: If it can't be read.
    """
    try:
        lines = [line.strip() for line in _bytes_of(name).decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{called(name)} is not UTF-8.", param_hint=option) from None
    texts = [line for line in lines if line]
    if not texts:
        raise typer.BadParameter(f"{called(name)} is empty.", param_hint=option)
    return checked_texts(texts, option)


def read_more_texts(texts: list[str], from_file: str | None, *, may_be_lists: bool = False) -> list[str]:
    """The texts that are given as arguments, with the lines of standard input in place of `-`, and those of a file.

    Args:
        texts: The arguments.
        from_file: The name of the file, if there is one.
        may_be_lists: Whether a text that ends with .txt stands for the lines of the file of this name.

    Raises:
        typer.BadParameter: As `read_texts`; also if standard input is asked for twice.
        OSError: If the file can't be read.
    """
    if [*texts, from_file].count(STDIN) > 1:
        raise typer.BadParameter("standard input can be read only once.", param_hint="TEXT")
    read: list[str] = []
    for text in texts:
        is_list = text == STDIN or (may_be_lists and text.lower().endswith(".txt"))
        read.extend(read_texts(text, "TEXT") if is_list else [text])
    return read if from_file is None else [*read, *read_texts(from_file, "--from-file")]


def read_paths(name: str | None) -> list[Path]:
    """The paths of a list, or of standard input for `-`; none for None.

    With a NUL byte anywhere in it, names are between NUL bytes, just as they are. Else they are lines, which may end as
    on Windows and begin with a byte order mark, as editors write them there.

    Raises:
        OSError: If it can't be read.
    """
    if name is None:
        return []
    content = _bytes_of(name)
    # A name may hold a newline, but no NUL byte.
    if b"\0" in content:
        names = content.split(b"\0")
    else:
        names = [line.removesuffix(b"\r") for line in content.removeprefix(codecs.BOM_UTF8).split(b"\n")]
    paths = [Path(os.fsdecode(one)) for one in names if one]
    trust_urls(paths)
    return paths


def read_more_paths(paths: list[Path] | None, files_from: str | None) -> list[Path]:
    """The paths that are given as arguments, and those of a list.

    Raises:
        typer.BadParameter: If neither is given.
        OSError: If the list can't be read.
    """
    if not paths and files_from is None:
        raise typer.BadParameter("give a folder or a file, or --files-from.", param_hint="PATH")
    return [*(paths or []), *read_paths(files_from)]


def read_named_paths(paths: list[str] | None, files_from: str | None) -> list[Path]:
    """The paths that are given as arguments, with those of standard input in place of `-`, and those of a list.

    Raises:
        typer.BadParameter: If neither is given, or standard input is asked for twice.
        OSError: If the list can't be read.
    """
    if not paths and files_from is None:
        raise typer.BadParameter("give a clip or a folder, or --files-from.", param_hint="PATH")
    if [*(paths or []), files_from].count(STDIN) > 1:
        raise typer.BadParameter("standard input can be read only once.", param_hint="PATH")
    named = [one for path in paths or [] for one in (read_paths(STDIN) if path == STDIN else [Path(path)])]
    return [*named, *read_paths(files_from)]


def places(paths: list[Path] | None, files_from: str | None) -> str:
    """Where paths came from, for people: themselves, and the name of the list."""
    return ", ".join([*map(str, paths or []), *([] if files_from is None else [called(files_from)])])


def _bytes_of(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == STDIN else expanded(Path(name)).read_bytes()


def called(name: str) -> str:
    """A list, for people."""
    return "standard input" if name == STDIN else name

"""Options that say which fields are shown, how they are sorted, and into which file they go."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from pe_search.cli.input.config import usual_format
from pe_search.cli.output.drawing import FIGURE_SUFFIXES, need_matplotlib
from pe_search.cli.output.messages import shown_path
from pe_search.directories import expanded
from pe_search.known import fields
from pe_search.known.fields import Field

_Format = TypeVar("_Format", bound=StrEnum)
ALL = "all"
_FORMAT_OF_SUFFIX = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
# Whoever names a file so wants no rows in it.
_OTHER_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".tif", ".tiff", ".webp")
# What has columns, and so can have others.
_WITH_FIELDS = ("table", "jsonl", "csv", "parquet")


def _completing(known: Mapping[str, Field]) -> Callable[[str], list[str]]:
    """What completes the last of some fields that are separated by commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        names = [name for name in known if name.startswith(last) and name not in before.split(",")]
        return [f"{before}{comma}{name}" for name in names]

    return complete


def _fields_option(known: Mapping[str, Field]) -> Any:
    return typer.Option(
        "--fields",
        metavar="NAME,NAME",
        autocompletion=_completing(known),
        rich_help_panel="Show",
        help="Show these fields, such as path,tags, or all.",
    )


HitFieldsOption = Annotated[str | None, _fields_option(fields.HIT_FIELDS)]
ClipFieldsOption = Annotated[str | None, _fields_option(fields.CLIP_FIELDS)]
LabelFieldsOption = Annotated[str | None, _fields_option(fields.LABEL_FIELDS)]

SortOption = Annotated[
    str | None,
    typer.Option(
        "--sort",
        metavar="NAME",
        autocompletion=_completing(fields.CLIP_FIELDS),
        rich_help_panel="Show",
        show_default="path",
        help="Sort by a field. Clips without it come last.",
    ),
]
ReverseOption = Annotated[
    bool, typer.Option("--reverse", rich_help_panel="Show", help="With --sort, show the largest first.")
]


def _read_output(text: str) -> Path:
    file = Path(text)
    if not text or str(text) == "-":
        raise typer.BadParameter("must be a file; results go to standard output without it.")
    if expanded(file).is_dir():
        raise typer.BadParameter(f"{text} is a folder; give a file.")
    return expanded(file)


OutputOption = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        parser=_read_output,
        rich_help_panel="Show",
        help="Write to FILE, whole or not at all.",
    ),
]


def is_figure(output: Path | None, given: StrEnum | None, what: str) -> bool:
    """Whether `-o` names a figure; one that can't be drawn is refused, before the work.

    Args:
        output: `-o`.
        given: `--format`.
        what: The figure, as `a heat map`.

    Raises:
        typer.BadParameter: If its folder is missing, it is another kind of image, or there is a `--format`.
        MissingExtraError: If matplotlib is not installed.
    """
    if output is None:
        return False
    if not output.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {shown_path(output.parent)}.", param_hint="-o")
    suffix = output.suffix.lower()
    if given is None and suffix in _OTHER_IMAGES:
        raise typer.BadParameter(f"{output.name!r}: {what} must end with .png, .svg or .pdf.", param_hint="-o")
    if suffix not in FIGURE_SUFFIXES:
        return False
    if given is not None:
        raise typer.BadParameter(f"can't be used with -o FILE{suffix}, which is {what}.", param_hint="--format")
    need_matplotlib(what.capitalize())
    return True


def read_fields(text: str | None, known: Mapping[str, Field]) -> tuple[Field, ...] | None:
    """The fields that were named, in their order; None if the option was not given.

    Raises:
        typer.BadParameter: If one is unknown or named twice.
    """
    if text is None:
        return None
    try:
        if text.strip() == ALL:
            return fields.named(fields.all_of(known), known)
        return fields.named([name.strip() for name in text.split(",") if name.strip()], known)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--fields") from error


def read_sort(text: str | None, *, is_reversed: bool) -> Field | None:
    """The field to sort by; None if the option was not given.

    Raises:
        typer.BadParameter: If it is unknown, or only the order is given.
    """
    if text is None:
        if is_reversed:
            raise typer.BadParameter("--reverse requires --sort.")
        return None
    try:
        return fields.named([text], fields.CLIP_FIELDS)[0]
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--sort") from error


def chosen_format(
    given: _Format | None,
    kinds: type[_Format],
    *,
    in_a_pipe: str,
    output: Path | None = None,
    shown: object = None,
    null: bool = False,
    shows_paths: bool = True,
) -> _Format:
    """The format to print: the one given, else by the name of the output, the configuration, or where stdout goes.

    Args:
        given: `--format`.
        kinds: The formats of the command.
        in_a_pipe: What is printed where nothing else tells.
        output: `-o`.
        shown: What `read_fields` gave; paths have no fields.
        null: `-0`.
        shows_paths: Whether paths are of use.

    Raises:
        typer.BadParameter: If options don't go together.
        MissingExtraError: If it is Parquet, and pyarrow is not installed.
    """
    if null and (given is not None and given.value != "paths"):
        raise typer.BadParameter("-0 requires --format paths.")
    if null and shown is not None:
        raise typer.BadParameter("-0 can't be used with --fields.")
    by_value = {one.value: one for one in kinds}
    suffix = "" if output is None else output.suffix.lower()
    chosen = given or (by_value["paths"] if null else by_value.get(_FORMAT_OF_SUFFIX.get(suffix, "")))
    if chosen is None:
        has_paths = shows_paths and shown is None
        usual = usual_format(kinds)
        in_a_pipe = in_a_pipe if has_paths or in_a_pipe != "paths" else "jsonl"
        default = by_value["table" if sys.stdout.isatty() and output is None else in_a_pipe]
        # Those who like paths ask for more now and then.
        chosen = default if usual is None or (usual.value == "paths" and not has_paths) else usual
    if shown is not None and chosen.value not in _WITH_FIELDS:
        raise typer.BadParameter(f"can't be used with --format {chosen.value}.", param_hint="--fields")
    if chosen.value == "parquet":
        from pe_search.parquet import need_pyarrow

        if output is None:
            raise typer.BadParameter("parquet requires -o FILE.", param_hint="--format")
        need_pyarrow()
    return chosen

"""What a walk of folders passes over: the option that says it, and lines that tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.output.messages import counted, say
from pe_search.errors import PatternError
from pe_search.records import Problem

if TYPE_CHECKING:
    from pe_search.reports import PassedOver

ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="GLOB",
        rich_help_panel="Files",
        show_default=False,
        help="Skip what matches, by the rules of .gitignore. The file .pesearchignore in a folder does the same.",
    ),
]


def refuse_bad_patterns(globs: list[str] | None) -> None:
    """Refuse patterns of `--exclude` that are not valid.

    Raises:
        typer.BadParameter: If one is not.
    """
    if globs:
        from pe_search.listener import check_patterns

        try:
            check_patterns(globs)
        except PatternError as error:
            raise typer.BadParameter(f"{error}.", param_hint="--exclude") from None


def say_unreadable(passed_over: PassedOver) -> None:
    """Say how many files of which kinds can't be read, if there are any."""
    if passed_over.unreadable:
        say(f"pe-search: {_unreadable(passed_over)}.")


def say_excluded(passed_over: PassedOver) -> None:
    """Say how much is excluded, if anything is."""
    if passed_over.excluded_files or passed_over.excluded_folders:
        say(f"pe-search: {_excluded(passed_over)}.")


def say_no_clips(passed_over: PassedOver, where: str, problems: Sequence[Problem]) -> None:
    """Say that there is nothing to read, and what there is instead; unless problems have said why."""
    seen = [_unreadable(passed_over)] if passed_over.unreadable else []
    if passed_over.excluded_files or passed_over.excluded_folders:
        seen.append(_excluded(passed_over))
    if seen or not problems:
        say(f"pe-search: no audio files {f'to read in {where}: ' + '; '.join(seen) if seen else f'in {where}'}.")


def _unreadable(passed_over: PassedOver) -> str:
    kinds = ", ".join(f"{extension} {number:,}" for extension, number in passed_over.unreadable)
    total = sum(number for _, number in passed_over.unreadable)
    return f"{counted(total, 'file')} of {'a kind' if total == 1 else 'kinds'} that can't be read: {kinds}"


def _excluded(passed_over: PassedOver) -> str:
    numbers = {"file": passed_over.excluded_files, "folder": passed_over.excluded_folders}
    parts = " and ".join(counted(number, noun) for noun, number in numbers.items() if number)
    return f"{parts} skipped because of --exclude or .pesearchignore"

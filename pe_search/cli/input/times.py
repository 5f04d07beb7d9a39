"""Options and parts of arguments that are times: `90`, `1:30` or `0:01:30.5`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import typer

from pe_search.clock import read_seconds
from pe_search.errors import quoted


def seconds_option(
    *names: str, text: str, group: str, default: str, least_s: float = 0.0, most_s: float = math.inf
) -> Any:
    """An option that takes a time. It has no default of its own, so that a command can tell whether it was given.

    Args:
        *names: As they are typed.
        text: What it does.
        group: Where it is in help.
        default: What counts without it, in words.
        least_s: The shortest time that it takes.
        most_s: The longest.
    """
    return typer.Option(
        *names,
        metavar="S",
        parser=seconds_between(least_s, most_s),
        rich_help_panel=group,
        show_default=default,
        help=text,
    )


def seconds_between(least_s: float, most_s: float = math.inf) -> Callable[[str], float]:
    """What reads a time within bounds; it raises a `typer.BadParameter` for any other."""

    def seconds(text: str) -> float:
        try:
            found_s = read_seconds(text)
        except ValueError as error:
            raise typer.BadParameter(f"{error}.") from None
        if not least_s <= found_s <= most_s:
            bound = f"at least {least_s:g}" if found_s < least_s else f"at most {most_s:g}"
            raise typer.BadParameter(f"{quoted(text)} must be {bound} seconds.")
        return found_s

    return seconds


def read_place(start: str, end: str, option: str) -> tuple[float, float]:
    """The start and end of a part of a file, in seconds.

    Raises:
        typer.BadParameter: If one is not a time, or the end is not after the start; it names the `option`.
    """
    try:
        start_s, end_s = read_seconds(start), read_seconds(end)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint=option) from None
    if not start_s < end_s:
        raise typer.BadParameter(f"the part {start}-{end} must end after it starts.", param_hint=option)
    return start_s, end_s

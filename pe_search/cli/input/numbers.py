"""Options that are numbers within bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import typer

from pe_search.errors import quoted

_Number = TypeVar("_Number", int, float)


def number_between(least: float, most: float = math.inf) -> Callable[[str], float]:
    """What reads a number within bounds; it raises a `typer.BadParameter` for any other."""
    return _between(float, "number", least, most)


def whole_number_between(least: int, most: float = math.inf) -> Callable[[str], int]:
    """What reads a whole number within bounds; it raises a `typer.BadParameter` for any other."""
    return _between(int, "whole number", least, most)


def _between(kind: type[_Number], noun: str, least: float, most: float) -> Callable[[str], _Number]:
    bounds = f", {least:g} or more" if most == math.inf else f" from {least:g} to {most:.12g}"
    example = ", such as 0.5" if kind is float and most == 1 else ""

    def number(text: str) -> _Number:
        # Click reads the default too, which is a number already.
        try:
            found = kind(text)
        except ValueError:
            found = None
        # NaN is in no order with the bounds.
        if found is None or not least <= found <= most:
            raise typer.BadParameter(f"{quoted(str(text))} must be a {noun}{bounds}{example}.")
        return found

    return number


def read_count(text: str) -> int:
    """A number of hits; 0 for `all`."""
    if text == "all":
        return 0
    # Click reads the default too, which is a number already.
    if not str(text).isdecimal() or not int(text):
        raise typer.BadParameter(f"{quoted(text)} must be 1 or more, or all.")
    return int(text)

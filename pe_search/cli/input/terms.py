"""What a query is made of, as it is written on the command line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import typer

from pe_search.cli.input.options import checked_texts
from pe_search.cli.input.times import read_place
from pe_search.directories import expanded
from pe_search.queries import Query, Reference, Term

# Beyond these, one part of a query would be all or nothing of it.
_LEAST_WEIGHT, _LARGEST_WEIGHT = 0.001, 1_000.0
_WEIGHT = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+):(.*)", re.DOTALL)
_PLACE = re.compile(r"(.+)@([0-9.:]+)[-\N{EN DASH}]([0-9.:]+)", re.DOTALL)


def read_term(argument: str, option: str) -> Term:
    """A text, or `W:` and a text: what is before the first colon is a weight if it is a plain number.

    Raises:
        typer.BadParameter: If the weight is next to nothing or beyond all measure, or the text is empty or not UTF-8.
            It names the `option`.
    """
    found = _WEIGHT.fullmatch(argument)
    weight, text = (float(found[1]), found[2]) if found else (1.0, argument)
    if not _LEAST_WEIGHT <= weight <= _LARGEST_WEIGHT:
        between = f"{_LEAST_WEIGHT:g} and {_LARGEST_WEIGHT:g}"
        raise typer.BadParameter(f"the weight in {argument!r} must be between {between}.", param_hint=option)
    checked_texts([text], option)
    return Term(text, weight)


def read_reference(argument: str) -> Reference:
    """An audio file, or a part of it as `FILE@START-END`. An existing file with exactly that name takes precedence.

    Raises:
        typer.BadParameter: If START or END is not a time, or END is not after START.
    """
    path, place = expanded(Path(argument)), None
    if not os.path.lexists(path) and (found := _PLACE.fullmatch(argument)):
        path, place = expanded(Path(found[1])), read_place(found[2], found[3], "--like")
    return Reference(Path(os.path.abspath(path)), place)


def read_queries(
    texts: list[str], plus: list[str], minus: list[str], like: list[str], *, is_any: bool
) -> tuple[Query, ...]:
    """The queries that texts and options make: one for each text, or for all of them if `is_any`, or if there is none.

    Raises:
        typer.BadParameter: If something of it can't be asked, or nothing is.
    """
    checked_texts(texts, "TEXT")
    added = tuple(read_term(term, "--plus") for term in plus)
    taken = tuple(read_term(term, "--minus") for term in minus)
    references = tuple(map(read_reference, like))
    if not (texts or added or references):
        raise typer.BadParameter("give a TEXT, --plus or --like.", param_hint="TEXT")
    if is_any and len(texts) < 2:
        raise typer.BadParameter("give at least two TEXTs.", param_hint="--any")
    wordings = [tuple(texts)] if is_any or not texts else [(text,) for text in texts]
    return tuple(Query(some, added, taken, references) for some in wordings)

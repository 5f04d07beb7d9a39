"""What a query is made of, as it is written on the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_word
from pe_search.cli.input.options import checked_texts
from pe_search.cli.input.times import read_place
from pe_search.directories import absolute, expanded
from pe_search.errors import QueryError, excerpt, quoted
from pe_search.known.words import check_said
from pe_search.listener import Listener, check_words
from pe_search.queries import Query, Reference, Request, Term, is_word
from pe_search.trust import trust_urls

PlusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--plus",
        metavar="[W:]TEXT",
        autocompletion=complete_word,
        rich_help_panel="Ask",
        help="Add TEXT to each query. W is its weight, 1 if omitted.",
    ),
]
MinusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--minus",
        metavar="[W:]TEXT",
        autocompletion=complete_word,
        rich_help_panel="Ask",
        help="Subtract TEXT: what it should not sound like.",
    ),
]

# Beyond these, one part of a query would be all or nothing of it.
_LEAST_WEIGHT, _LARGEST_WEIGHT = 0.001, 1_000.0
_WEIGHT = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+):(.*)", re.DOTALL)
_IS_LIKE_A_FILE = re.compile(r".*\.[A-Za-z0-9]{2,5}(@[^ ]*)?", re.DOTALL)
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
        raise typer.BadParameter(f"the weight in {quoted(argument)} must be between {between}.", param_hint=option)
    checked_texts([text], option)
    refuse_audio(text, option)
    return Term(text, weight)


def refuse_audio(text: str, option: str) -> None:
    """Refuse a text that is an audio file, or a part of one as `FILE@START-END`.

    Raises:
        typer.BadParameter: If it is; it names the `option`, and the one that is meant.
    """
    # Most texts look like no file, and to know the extensions of audio takes a moment.
    if not _IS_LIKE_A_FILE.fullmatch(text):
        return
    found = _PLACE.fullmatch(text)
    name = found[1] if found else text
    if Listener.has_audio_extension(name) and (option != "TEXT" or os.path.lexists(expanded(Path(name)))):
        meant = "--unlike" if option == "--minus" else "--like"
        raise typer.BadParameter(f"{quoted(text)} is an audio file; use {meant} {excerpt(text)}.", param_hint=option)


def read_reference(argument: str, option: str = "--like") -> Reference:
    """An audio file, or a part of it as `FILE@START-END`. An existing file with exactly that name takes precedence.

    Raises:
        typer.BadParameter: If START or END is not a time, END is not after START, or FILE is a folder. It names
            the `option`.
    """
    name, place = argument, None
    if not os.path.lexists(expanded(Path(name))) and (found := _PLACE.fullmatch(argument)):
        name, place = found[1], read_place(found[2], found[3], option)
    path = expanded(Path(name))
    if path.is_dir():
        raise typer.BadParameter(f"{name} is a folder; {option} takes an audio file.")
    trust_urls([path])
    return Reference(absolute(path), place)


def refuse_learned(queries: Iterable[Query], option: str) -> None:
    """Refuse words that the user taught where only texts are understood.

    Raises:
        typer.BadParameter: If a query has one; it names the `option`.
    """
    for query in queries:
        for text in (*query.texts, *(term.text for term in (*query.plus, *query.minus))):
            if is_word(text):
                raise typer.BadParameter(f"can't be used with {text}, which is a learned word.", param_hint=option)


def read_queries(
    texts: list[str],
    plus: list[str],
    minus: list[str],
    like: list[str],
    unlike: list[str],
    *,
    is_any: bool,
    words: str | None = None,
    said: str | None = None,
) -> tuple[Query, ...]:
    """The queries that texts and options make: one for each text, or for all of them if `is_any`, or if there is none.

    With words, written or said, the only one may look for no sound.

    Raises:
        typer.BadParameter: If something of it can't be asked, or nothing is.
    """
    for text in checked_texts(texts, "TEXT"):
        refuse_audio(text, "TEXT")
    added = tuple(read_term(term, "--plus") for term in plus)
    taken = tuple(read_term(term, "--minus") for term in minus)
    references = tuple(map(read_reference, like))
    others = tuple(read_reference(argument, "--unlike") for argument in unlike)
    has_sound = bool(texts or added or references)
    if words is not None:
        try:
            check_words(words, "--words", beside_sound=has_sound)
        except QueryError as error:
            raise typer.BadParameter(str(error)) from None
    elif said is None and not has_sound:
        raise typer.BadParameter("Give a TEXT, --plus, --like, --words or --said. As TEXT, - reads standard input.")
    if not has_sound:
        refuse_for_words_alone({"--minus": taken, "--unlike": others}, "--words" if said is None else "--said")
    if is_any and len(texts) < 2:
        raise typer.BadParameter("give at least two TEXTs.", param_hint="--any")
    wordings = [tuple(texts)] if is_any or not texts else [(text,) for text in texts]
    return tuple(Query(some, added, taken, references, others) for some in wordings)


def refuse_what_is_said(said: str, request: Request) -> None:
    """Refuse what can't be asked about what is said.

    Raises:
        typer.BadParameter: If it can't.
    """
    try:
        check_said(said, request, "--said")
    except QueryError as error:
        raise typer.BadParameter(str(error)) from None


def refuse_for_words_alone(given: Mapping[str, object], beside: str) -> None:
    """Refuse the first of some options that has a value, because there is no sound for it beside some words.

    Raises:
        typer.BadParameter: It names the option.
    """
    for option, value in given.items():
        if value:
            raise typer.BadParameter(f"requires a TEXT, --plus or --like beside {beside}.", param_hint=option)

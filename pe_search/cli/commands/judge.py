"""`pe-search judge`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_word
from pe_search.cli.input.filters import (
    BpmOption,
    ChannelsOption,
    HourOption,
    LengthOption,
    LoudnessOption,
    NameOption,
    RateOption,
    RecordedOption,
    TagOption,
    make_filters,
)
from pe_search.cli.input.options import StoreOption, checked_texts, store_directory
from pe_search.cli.input.terms import refuse_audio
from pe_search.cli.output.hints import say_odd_texts
from pe_search.cli.output.messages import say, say_compiling, say_problem
from pe_search.cli.output.taught import how_it_stands
from pe_search.directories import absolute, command_for
from pe_search.errors import PeSearchError, quoted
from pe_search.library import Library
from pe_search.queries import is_word

_LONGEST_NAME = 99


def judge(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            autocompletion=complete_word,
            rich_help_panel="Ask",
            show_default=False,
            help="What to look for, or a word as @dog.",
        ),
    ],
    word: Annotated[
        str | None,
        typer.Option(
            "--word",
            metavar="WORD",
            autocompletion=complete_word,
            rich_help_panel="Ask",
            show_default="TEXT with @ before it",
            help="The word that is taught, such as @dog.",
        ),
    ] = None,
    spread: Annotated[
        bool,
        typer.Option(
            "--spread",
            rich_help_panel="Ask",
            help="Judge windows drawn evenly over the range of scores, for `count --judged`.",
        ),
    ] = False,
    under: Annotated[
        Path | None,
        typer.Option("--under", metavar="PATH", rich_help_panel="Filter", help="Judge only in this folder or clip."),
    ] = None,
    length: LengthOption = None,
    rate: RateOption = None,
    channels: ChannelsOption = None,
    name: NameOption = None,
    tag: TagOption = None,
    recorded: RecordedOption = None,
    hour: HourOption = None,
    loudness: LoudnessOption = None,
    bpm: BpmOption = None,
    store: StoreOption = None,
) -> None:
    """Teach a word by judging hits, with one key each.

    \b
        pe-search judge "dog barking"
        pe-search judge "dog barking" --word @rex --under ./garden
        pe-search judge @rex
        pe-search judge "dog barking" --spread

    On a terminal: y yes, n no, u unsure, space plays, b goes back, q ends. The surest hits come first, then in turn
    those nearest even odds, which teach most, and the surest. The word learns with each answer, and each is kept at
    once; after every ten a line says how it stands. With --spread, 36 windows are drawn by lot from high, middle and
    low scores; `count @WORD --judged` then estimates how many windows have the sound.

    Exit status: 0 judged, 1 nothing judged, 2 an error.
    """
    checked_texts([text], "TEXT")
    refuse_audio(text, "TEXT")
    word = _word_of(text, word)
    filters = make_filters(length, rate, channels, name, tag, recorded, hour, loudness, bpm)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise PeSearchError(f"judge needs a terminal. Elsewhere, `pe-search learn {word} --yes FILE@S-E` teaches it.")

    from pe_search.cli.input.judging import JudgingRound
    from pe_search.cli.output.keys import pressed_keys

    with Library(store_directory(store), on_compile=say_compiling, on_problem=say_problem) as library:
        library.open()
        if not is_word(text):
            say_odd_texts(library, [text], None)
        with pressed_keys() as key_within:
            assert key_within is not None
            starts = "" if is_word(text) else text
            judging = JudgingRound(
                library, word, starts, None if under is None else absolute(under), filters, key_within, spread=spread
            )
            stands = judging.go_through()
        if stands is None:
            raise typer.Exit(1)
        then = f"count {word} --judged" if spread else f"query {word}"
        does = "estimates how many windows have it" if spread else "asks for it"
        say(f"{how_it_stands(stands)} {command_for(then, library.directory)} {does}.")


def _word_of(text: str, word: str | None) -> str:
    if word is not None and not is_word(word):
        raise typer.BadParameter(
            f"{quoted(word)} is not a word: write @, then letters, digits, _, - and dots, at most 99.",
            param_hint="--word",
        )
    if is_word(text):
        if word not in (None, text):
            raise typer.BadParameter(f"{text} is a word itself; omit --word.", param_hint="--word")
        return text
    name = re.sub(r"\W+", "-", text.casefold()).strip("-")[:_LONGEST_NAME]
    derived = f"@{name}"
    if word is None and not is_word(derived):
        raise typer.BadParameter(f"no name can be made of {quoted(text)}; give one, such as @dog.", param_hint="--word")
    return word or derived

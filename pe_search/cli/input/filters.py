"""The options that say which clips may be found at all, by what is known of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from pe_search.errors import quoted
from pe_search.known.typed_filters import FIELD_OF, REPEATABLE, FilterTextError, read_filters, typed_filters
from pe_search.queries import Filters


def _filter(option: str, metavar: str, text: str) -> Any:
    return typer.Option(option, metavar=metavar, rich_help_panel="Filter", help=text)


LengthOption = Annotated[str | None, _filter("--length", "S-S", "Only clips this long: 0.1-2, 1:30- or -5.")]
RateOption = Annotated[str | None, _filter("--rate", "HZ-HZ", "Only files with this sample rate: 44100-.")]
ChannelsOption = Annotated[str | None, _filter("--channels", "N-N", "Only files with this many channels: 2, 1-2.")]
NameOption = Annotated[
    list[str] | None, _filter("--name", "GLOB", "Only names that match; paths, if GLOB has a slash.")
]
TagOption = Annotated[list[str] | None, _filter("--tag", "TAG", "Only clips with your tag; several: with all of them.")]
RecordedOption = Annotated[
    str | None, _filter("--recorded", "DAY..DAY", "Only from then: 2024-06, 2024-06-01..2024-06-30.")
]
HourOption = Annotated[str | None, _filter("--hour", "H-H", "Only from this time of day: 4:30-7, 22-4.")]
LoudnessOption = Annotated[str | None, _filter("--loudness", "DB..DB", "Only clips this loud, in LUFS: -30..-14.")]
BpmOption = Annotated[str | None, _filter("--bpm", "N-N", "Only clips of this tempo: 118-122.")]


def make_filters(
    length: str | None,
    rate: str | None,
    channels: str | None,
    name: list[str] | None,
    tag: list[str] | None,
    recorded: str | None,
    hour: str | None,
    loudness: str | None,
    bpm: str | None,
) -> Filters:
    """The filters of all options.

    Raises:
        typer.BadParameter: If one can't be understood; it names the option.
    """
    given = {"length": length, "rate": rate, "channels": channels, "name": name, "tag": tag}
    return _read({**given, "recorded": recorded, "hour": hour, "loudness": loudness, "bpm": bpm})


def read_options(line: str) -> Filters:
    """The filters in a line of options: `--length 0.1-2 --tag kick`.

    Raises:
        typer.BadParameter: If one is not such an option, or can't be understood.
    """
    try:
        words = shlex.split(line)
    except ValueError:
        raise typer.BadParameter(f"a quote in {quoted(line)} has no end.") from None
    given: dict[str, list[str]] = {}
    while words:
        option, equals, value = words.pop(0).partition("=")
        name = option.removeprefix("--")
        if name not in FIELD_OF:
            known = ", ".join(f"--{one}" for one in FIELD_OF)
            raise typer.BadParameter(f"{quoted(option)} is not a filter; there are {known}.")
        if not equals and not words:
            raise typer.BadParameter("requires a value.", param_hint=f"--{name}")
        given.setdefault(name, []).append(value if equals else words.pop(0))
        if name not in REPEATABLE and len(given[name]) > 1:
            raise typer.BadParameter("given twice; give it once.", param_hint=f"--{name}")
    return _read({name: values if name in REPEATABLE else values[0] for name, values in given.items()})


def options_of(filters: Filters) -> str:
    """Filters as they may be typed: `--length 0.1-2 --tag kick`."""
    return " ".join(options_by_field(filters).values())


def options_by_field(filters: Filters) -> dict[str, str]:
    """As `options_of`, by the field of `Filters`."""
    options: dict[str, list[str]] = {}
    for name, text in typed_filters(filters):
        options.setdefault(FIELD_OF[name], []).append(f"--{name} {shlex.quote(text)}")
    return {field: " ".join(words) for field, words in options.items()}


def _read(given: Mapping[str, str | Sequence[str] | None]) -> Filters:
    try:
        return read_filters(given)
    except FilterTextError as error:
        raise typer.BadParameter(f"{error}.", param_hint=f"--{error.name}") from None

"""The options that say how spans are made of what is heard."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from pe_search.cli.input.numbers import number_between
from pe_search.cli.input.times import seconds_option
from pe_search.queries import SpanRules

DEFAULT_RULES = SpanRules()


ThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="P",
        parser=number_between(0.0, 1.0),
        rich_help_panel="Spans",
        show_default=f"{DEFAULT_RULES.threshold:g}",
        help="Least probability of a span.",
    ),
]
SmoothOption = Annotated[
    float | None,
    seconds_option(
        "--smooth",
        text="Smooth by the median over S.",
        group="Spans",
        default=f"{DEFAULT_RULES.smooth_s:g}",
        most_s=60.0,
    ),
]
MinLengthOption = Annotated[
    float | None,
    seconds_option(
        "--min-length",
        text="Drop spans that are shorter than S.",
        group="Spans",
        default=f"{DEFAULT_RULES.min_length_s:g}",
    ),
]
JoinOption = Annotated[
    float | None,
    seconds_option(
        "--join",
        text="Join spans that are at most S apart.",
        group="Spans",
        default=f"{DEFAULT_RULES.join_s:g}",
    ),
]


def span_rules(
    threshold: float | None,
    smooth_s: float | None,
    min_length_s: float | None,
    join_s: float | None,
    speed: float = 1.0,
) -> SpanRules:
    """The chosen rules, with the default for each that was not chosen: shorter times for a file that is slowed down."""
    chosen = {"threshold": threshold, "smooth_s": smooth_s, "min_length_s": min_length_s, "join_s": join_s}
    return replace(SpanRules().at_speed(speed), **{name: value for name, value in chosen.items() if value is not None})

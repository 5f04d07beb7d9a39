"""The options that say how spans are made of what is heard."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from pe_search.cli.input.options import a_number
from pe_search.queries import SpanRules

DEFAULT_RULES = SpanRules()


def _span_option(name: str, metavar: str, text: str, default: float, most: float | None = None) -> Any:
    """An option about spans. It has no default of its own, so that a command can tell whether it was given."""
    return typer.Option(
        name,
        callback=a_number,
        metavar=metavar,
        min=0.0,
        max=most,
        show_default=False,
        help=f"{text} [default: {default:g}]",
    )


ThresholdOption = Annotated[
    float | None,
    _span_option("--threshold", "P", "A sound is heard from this probability on.", DEFAULT_RULES.threshold, 1.0),
]
SmoothOption = Annotated[
    float | None,
    _span_option(
        "--smooth", "S", "Smooth the probabilities by their median over S seconds.", DEFAULT_RULES.smooth_s, 60.0
    ),
]
MinLengthOption = Annotated[
    float | None,
    _span_option("--min-length", "S", "Leave out spans that are shorter.", DEFAULT_RULES.min_length_s),
]
JoinOption = Annotated[
    float | None,
    _span_option("--join", "S", "Join spans with a gap of S seconds or less between.", DEFAULT_RULES.join_s),
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

"""Options that several commands share."""

from __future__ import annotations

import math
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pe_search.records import SpanRules

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="DIR",
        envvar="PE_SEARCH_STORE",
        show_default=False,
        help="The store's directory. [default: one in your user data directory]",
    ),
]


class Device(StrEnum):
    """Where the audio tower runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class Dtype(StrEnum):
    """What the audio tower calculates in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


DeviceOption = Annotated[Device, typer.Option("--device", help="Where the model runs.")]
DtypeOption = Annotated[Dtype, typer.Option("--dtype", help="What the model calculates in.")]

# 0.3 is the threshold of upstream's own examples; the rest is what `examples/evaluate_spans.py` showed to break events
# into the fewest pieces while keeping their edges.
DEFAULT_RULES = SpanRules(threshold=0.3, smooth_s=0.2, min_length_s=0.2, join_s=0.8)


def a_number(value: float | None) -> float | None:
    """The value as it is, unless it is NaN, which some versions of Typer let through every bound."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("is not a number.")
    return value


ThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        callback=a_number,
        metavar="P",
        min=0.0,
        max=1.0,
        show_default=False,
        help=f"A sound is heard from this probability on. [default: {DEFAULT_RULES.threshold:g}]",
    ),
]
SmoothOption = Annotated[
    float | None,
    typer.Option(
        "--smooth",
        callback=a_number,
        metavar="S",
        min=0.0,
        max=60.0,
        show_default=False,
        help=f"Smooth the probabilities by their median over S seconds. [default: {DEFAULT_RULES.smooth_s:g}]",
    ),
]
MinLengthOption = Annotated[
    float | None,
    typer.Option(
        "--min-length",
        callback=a_number,
        metavar="S",
        min=0.0,
        show_default=False,
        help=f"Leave out spans that are shorter. [default: {DEFAULT_RULES.min_length_s:g}]",
    ),
]
JoinOption = Annotated[
    float | None,
    typer.Option(
        "--join",
        callback=a_number,
        metavar="S",
        min=0.0,
        show_default=False,
        help=f"Join spans with a gap of S seconds or less between. [default: {DEFAULT_RULES.join_s:g}]",
    ),
]


def span_rules(
    threshold: float | None, smooth_s: float | None, min_length_s: float | None, join_s: float | None
) -> SpanRules:
    """The chosen rules, with the default for each that was not chosen."""
    return SpanRules(
        threshold=DEFAULT_RULES.threshold if threshold is None else threshold,
        smooth_s=DEFAULT_RULES.smooth_s if smooth_s is None else smooth_s,
        min_length_s=DEFAULT_RULES.min_length_s if min_length_s is None else min_length_s,
        join_s=DEFAULT_RULES.join_s if join_s is None else join_s,
    )


def checked_texts(texts: list[str], name: str) -> list[str]:
    """The texts as they are.

    Raises:
        typer.BadParameter: If one is empty or not UTF-8; it names the argument or option by `name`.
    """
    if any(not text.strip() for text in texts):
        raise typer.BadParameter("is empty.", param_hint=name)
    if any(text != text.encode(errors="ignore").decode() for text in texts):
        raise typer.BadParameter("is not UTF-8.", param_hint=name)
    return texts


def store_directory(chosen: str | None) -> Path:
    """The store to use: the chosen one, else the one in the user's data directory; absolute."""
    if chosen == "":
        # What a shell variable that was never set leaves behind must not mean the working directory.
        raise typer.BadParameter("is empty.", param_hint="--store")
    if chosen is None:
        from platformdirs import user_data_path

        return user_data_path("pe-search", appauthor=False) / "store"
    return expanded(Path(chosen)).absolute()


def cache_directory() -> Path:
    """Where to keep what can be made again: $PE_SEARCH_CACHE, else the user's cache directory; absolute."""
    chosen = os.environ.get("PE_SEARCH_CACHE")
    if not chosen:
        from platformdirs import user_cache_path

        return user_cache_path("pe-search", appauthor=False)
    return expanded(Path(chosen)).absolute()


def socket_directory() -> Path:
    """Where servers have their sockets: in $XDG_RUNTIME_DIR, else in the cache directory; absolute."""
    chosen = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(chosen) and Path(chosen).is_dir():
        return Path(chosen) / "pe-search"
    return cache_directory() / "sockets"


def expanded(path: Path) -> Path:
    """The path with `~` and `~user` put in full; that of an unknown user is taken literally."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises RuntimeError for an unknown user)

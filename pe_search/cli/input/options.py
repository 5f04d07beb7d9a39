"""Options that several commands share."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pe_search.directories import default_store, expanded

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


class Level(StrEnum):
    """What is done about quiet windows."""

    NONE = "none"
    AUTO = "auto"


LevelOption = Annotated[
    Level | None,
    typer.Option(
        "--level",
        show_default=False,
        help="auto brings quiet windows up to a usual level, none leaves them as they are. [default: the store's; "
        "without a store auto]",
    ),
]
SpeedOption = Annotated[
    float | None,
    typer.Option(
        "--speed",
        metavar="X",
        min=0.001,
        max=1.0,
        callback=lambda value: a_number(value),
        show_default=False,
        help="Play clips to the model at this speed: 0.1 for bats. All times are those of the file. [default: the "
        "store's; without a store 1]",
    ),
]
TrackOption = Annotated[
    int | None,
    typer.Option(
        "--track",
        metavar="N",
        min=1,
        show_default=False,
        help="Which audio track to read of a file with several. [default: the store's; without a store 1]",
    ),
]


DeviceOption = Annotated[Device, typer.Option("--device", help="Where the model runs.")]
DtypeOption = Annotated[
    Dtype,
    typer.Option("--dtype", help="What the model calculates in; a small one, as the built-in, is always float32."),
]


def a_number(value: float | None) -> float | None:
    """The value as it is, unless it is NaN, which some versions of Typer let through every bound."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("is not a number.")
    return value


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
    return default_store() if chosen is None else expanded(Path(chosen)).absolute()

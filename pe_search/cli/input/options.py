"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pe_search.cli.input.numbers import number_between, whole_number_between
from pe_search.directories import default_store, store_called

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="STORE",
        envvar="PE_SEARCH_STORE",
        rich_help_panel="Store",
        show_default="see `pe-search config`",
        help="The store: a folder, the name of a store in your data directory, or milvus://HOST:PORT/COLLECTION.",
    ),
]

StoresOption = Annotated[
    # Without an environment variable of its own: Click would split it at blanks. `store_directory` reads it.
    list[str] | None,
    typer.Option(
        "--store",
        metavar="STORE",
        rich_help_panel="Store",
        show_default="see `pe-search config`",
        help="A folder or the name of a store. Several are searched together.",
    ),
]


class FactsFormat(StrEnum):
    """The ways to print facts; `jsonl` means `json`, since they are one object."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


FactsFormatOption = Annotated[
    FactsFormat, typer.Option("--format", metavar="FORMAT", rich_help_panel="Show", help="text, json.")
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
        metavar="LEVEL",
        rich_help_panel="Model",
        show_default="the store's, else auto",
        help="auto raises quiet windows to a usual level; none doesn't.",
    ),
]
SpeedOption = Annotated[
    float | None,
    typer.Option(
        "--speed",
        metavar="X",
        parser=number_between(0.001, 1.0),
        rich_help_panel="Model",
        show_default="the store's, else 1",
        help="Slow clips down for the model: 0.1 for bats. Times stay those of the file.",
    ),
]
TrackOption = Annotated[
    int | None,
    typer.Option(
        "--track",
        metavar="N",
        parser=whole_number_between(1),
        rich_help_panel="Model",
        show_default="the store's, else 1",
        help="The audio track to read from a file with several.",
    ),
]


DeviceOption = Annotated[
    Device,
    typer.Option(
        "--device", metavar="DEVICE", rich_help_panel="Model", help="Run the model on auto, cpu, cuda or mps."
    ),
]
DtypeOption = Annotated[
    Dtype,
    typer.Option(
        "--dtype",
        metavar="TYPE",
        rich_help_panel="Model",
        help="Compute in auto, float32, bfloat16 or float16. Small models always use float32.",
    ),
]
NoSaidOption = Annotated[
    bool,
    typer.Option(
        "--no-said",
        rich_help_panel="Files",
        help="Leave transcripts, and what language models answered, where they are.",
    ),
]
NullOption = Annotated[
    bool,
    typer.Option("-0", "--null", rich_help_panel="Show", help="Print paths, each ended by a NUL byte, for xargs -0."),
]


def format_option(text: str, default: str) -> Any:
    """`--format`. The word `json` means `jsonl` where there is no `json` of its own.

    Args:
        text: Names the formats.
        default: What is printed without it, in words.
    """
    return typer.Option(
        "--format",
        metavar="FORMAT",
        callback=_json_is_jsonl,
        rich_help_panel="Show",
        show_default=default,
        help=text,
    )


def _json_is_jsonl(value: StrEnum | None) -> StrEnum | None:
    kinds = [] if value is None else [kind for kind in type(value) if kind.value == "jsonl"]
    return kinds[0] if kinds and value == "json" else value


def checked_texts(texts: list[str], name: str) -> list[str]:
    """The texts as they are.

    Raises:
        typer.BadParameter: If one is empty or not UTF-8; it names the argument or option by `name`.
    """
    if any(not text.strip() for text in texts):
        raise typer.BadParameter("must not be empty.", param_hint=name)
    if any(text != text.encode(errors="ignore").decode() for text in texts):
        raise typer.BadParameter("must be UTF-8.", param_hint=name)
    return texts


def store_directory(chosen: str | None) -> Path:
    """The store to use: the chosen one, as `store_called` has it, else the default; absolute."""
    if chosen == "":
        # What a shell variable that was never set leaves behind must not mean the working directory.
        raise typer.BadParameter("must not be empty.", param_hint="--store")
    try:
        return default_store() if chosen is None else store_called(chosen)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--store") from error


def store_directories(chosen: list[str] | None) -> list[Path]:
    """The stores to use: the chosen ones, each once, or the default."""
    return list(dict.fromkeys(map(store_directory, chosen or (None,))))

"""Options that several commands share."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated

import typer

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


def a_number(value: float | None) -> float | None:
    """Refuse NaN, which lies in every range."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is no number.")
    return value


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


def expanded(path: Path) -> Path:
    """The path with `~` and `~user` put in full; that of an unknown user is taken literally."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises RuntimeError for an unknown user)

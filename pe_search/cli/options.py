"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        envvar="PE_SEARCH_STORE",
        show_default=False,
        help="The store's directory. [default: one in your user data directory]",
    ),
]


def store_directory(chosen: Path | None) -> Path:
    """The store to use: the chosen one, else the one in the user's data directory; absolute."""
    if chosen is None:
        from platformdirs import user_data_path

        return user_data_path("pe-search", appauthor=False) / "store"
    return chosen.expanduser().absolute()

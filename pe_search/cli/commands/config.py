"""`pe-search config`."""

from __future__ import annotations

import json
import os
from typing import Any

import typer

from pe_search.cli.input.config import KEYS, read_config, store_in_config
from pe_search.cli.input.options import FactsFormat, FactsFormatOption
from pe_search.cli.output.messages import printable
from pe_search.directories import config_file, data_directory, default_store, named_stores

_DEFAULTS: dict[str, Any] = {"model": "builtin", "exclude": [], "format": None, "device": "auto", "k": 10}
_VARIABLES = {"store": "PE_SEARCH_STORE", "model": "PE_SEARCH_MODEL"}
_FORMAT_IN_WORDS = "table; in a pipe paths or jsonl"


def config(
    config_format: FactsFormatOption = FactsFormat.TEXT,
) -> None:
    """Show the settings, where each comes from, and the stores that have a name.

    \b
        pe-search config
        pe-search config --format json

    Settings are store, model, exclude, format, device and k. They are lines of config.toml in your configuration
    directory, such as store = "birds", exclude = ["drafts/"] or k = 20. An option takes precedence, then the
    environment, then config.toml. Python programs don't read it.

    Exit status: 0 done, 2 an error.
    """
    settings = {key: _setting(key) for key in KEYS}
    file, stores = config_file(), named_stores()
    if config_format is not FactsFormat.TEXT:
        facts = {
            "file": str(file),
            "settings": {key: {"value": value, "from": origin} for key, (value, origin) in settings.items()},
            "stores": {name: str(data_directory() / name) for name in stores},
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    width = max(len(_in_words(value)) for key, (value, _) in settings.items())
    for key, (value, origin) in settings.items():
        typer.echo(f"{key:<8} {_in_words(value):<{width}}  {printable(origin)}")
    typer.echo(f"stores   {printable(', '.join(stores)) or 'none'} in {printable(str(data_directory()))}")
    if not file.exists():
        typer.echo(f"file     {printable(str(file))}, which is not there")


def _setting(key: str) -> tuple[Any, str]:
    """A value, and where it comes from."""
    variable = _VARIABLES.get(key, "")
    values = read_config()
    if os.environ.get(variable):
        return (str(default_store()) if key == "store" else os.environ[variable]), f"${variable}"
    if key in values:
        return (str(store_in_config(values[key])) if key == "store" else values[key]), str(config_file())
    return (str(default_store()) if key == "store" else _DEFAULTS[key]), "default"


def _in_words(value: Any) -> str:
    if value is None:
        return _FORMAT_IN_WORDS
    return printable((", ".join(value) or "nothing") if isinstance(value, list) else str(value))

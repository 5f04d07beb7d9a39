"""What `config.toml` says: defaults that stay. Options and the environment take precedence.

Only the command line reads it: a Python program says what it wants.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pe_search.cli.input.options import Device
from pe_search.directories import config_file, data_directory, expanded, is_store_name, store_at
from pe_search.errors import PatternError, PeSearchError, quoted

KEYS = ("store", "model", "exclude", "format", "device", "k")
_FORMATS = ("table", "paths", "jsonl", "csv")
_Format = TypeVar("_Format", bound=StrEnum)


def read_config() -> Mapping[str, Any]:
    """What the file says, checked; nothing if there is none.

    Raises:
        PeSearchError: If it can't be read, or a key or value of it is wrong.
    """
    file = config_file()
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise PeSearchError(f"{file}: {error.strerror or error}") from error
    # Not before, because most have no such file.
    import tomllib

    try:
        values = tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        raise PeSearchError(f"{file}: is not UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise PeSearchError(f"{file}: {error}.") from error
    for key, value in values.items():
        if key not in _CHECKS:
            raise PeSearchError(f"{file}: {quoted(key)} is not a setting; settings are {', '.join(KEYS)}.")
        is_valid, wanted = _CHECKS[key]
        if not is_valid(value):
            raise PeSearchError(f"{file}: {key} must be {wanted}.")
    return values


def option_defaults() -> dict[str, Any]:
    """The values that take the place of options that are not given, by parameter."""
    values = read_config()
    defaults: dict[str, Any] = {key: str(values[key]) for key in ("device", "k") if key in values}
    if "store" in values and not os.environ.get("PE_SEARCH_STORE"):
        defaults["store"] = str(store_in_config(values["store"]))
    return defaults


def store_in_config(value: str) -> Path:
    """The directory of a store that the file names; it never depends on the working directory."""
    if value.startswith("milvus:"):
        return store_at(value)
    return data_directory() / value if is_store_name(value) else expanded(Path(value))


def usual_model() -> str | None:
    """The checkpoint that is taken where none is named: `$PE_SEARCH_MODEL`, else that of the file; None for neither."""
    return os.environ.get("PE_SEARCH_MODEL") or read_config().get("model")


def usual_format(kind: type[_Format]) -> _Format | None:
    """The format of the file, if the command has it; None if it has not, or the file names none."""
    named = read_config().get("format")
    named = "jsonl" if named == "json" else named
    return next((one for one in kind if one.value == named), None)


def usual_patterns() -> list[str]:
    """The patterns of `exclude` in the file.

    Raises:
        PeSearchError: If one is not valid.
    """
    globs: list[str] = read_config().get("exclude", [])
    if globs:
        from pe_search.listener import check_patterns

        try:
            check_patterns(globs)
        except PatternError as error:
            raise PeSearchError(f"{config_file()}: exclude: {error}.") from error
    return globs


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != "" and "\0" not in value


def _is_store(value: object) -> bool:
    if not _is_text(value):
        return False
    text = str(value)
    if text.startswith("milvus:"):
        try:
            store_at(text)
        except ValueError:
            return False
        return text.startswith("milvus://") or os.path.isabs(expanded(Path(text.removeprefix("milvus:"))))
    return is_store_name(text) or expanded(Path(text)).is_absolute()


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "store": (_is_store, "the name of a store, an absolute path or milvus://HOST:PORT/COLLECTION"),
    "model": (_is_text, 'a text, as in "small"'),
    "exclude": (
        lambda value: isinstance(value, list) and all(map(_is_text, value)),
        'a list of patterns, as in ["drafts/"]',
    ),
    "format": (lambda value: value in (*_FORMATS, "json"), f"one of {', '.join(_FORMATS)}"),
    "device": (lambda value: value in [one.value for one in Device], f"one of {', '.join(Device)}"),
    "k": (
        lambda value: value == "all" or (type(value) is int and value >= 1),
        'a whole number from 1, or "all"',
    ),
}

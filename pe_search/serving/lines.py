"""What goes over the socket: a greeting, a request, and an answer for each of its queries, as lines of JSON.

The server speaks first: its version, so that another version's answers are never taken for one's own, and so that a
server that hangs is noticed at once. While it works it sends an empty line every second, for the same reason.

Records are made of JSON by their annotations, whatever fields they get; a field too many or too few, or one of another
type, is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pe_search import __version__
from pe_search.queries import Hit
from pe_search.records import Problem

GREETING = f"pe-search {__version__}\n".encode("ascii")
STILL_AT_IT = b"\n"
STILL_AT_IT_EVERY_S = 1.0
# How long either side waits for what the other should have ready.
PATIENCE_S = 5.0
LONGEST_REQUEST_BYTES = 1 << 20
LONGEST_ANSWER_BYTES = 1 << 26

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server has for one query.

    Attributes:
        problems: What was amiss with the store meanwhile.
    """

    hits: tuple[Hit, ...]
    problems: tuple[Problem, ...]


def to_line(record: object) -> bytes:
    """A frozen record as a line of JSON.

    Raises:
        TypeError: If something in it has no place in JSON.
        ValueError: If a number in it is none.
    """
    # By json, which escapes the bytes of names that are not UTF-8 (lone surrogates, PEP 383); msgspec refuses them.
    return json.dumps(msgspec.to_builtins(record, enc_hook=_plain), allow_nan=False).encode("ascii") + b"\n"


def from_line(kind: type[Record], line: bytes) -> Record:
    """A record, of its line.

    Args:
        kind: What it must be.
        line: Any bytes.

    Raises:
        ValueError: If it is anything else, cut off, or has more in it than such a record has.
    """
    if not line.endswith(b"\n"):
        raise ValueError("the line is cut off")
    try:
        values = json.loads(line)
        record = msgspec.convert(values, kind, dec_hook=_record)
        # msgspec passes over what it doesn't know, which might have changed the answer.
        is_all = _listed(msgspec.to_builtins(record, enc_hook=_plain)) == values
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not is_all:
        raise ValueError(f"its fields are not those of a {kind.__name__}")
    return record


def _plain(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _record(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"{value!r} is no {kind.__name__}")


def _listed(value: Any) -> Any:
    """The value with lists for tuples, as JSON has them."""
    if isinstance(value, dict):
        return {name: _listed(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(one) for one in value]
    return value

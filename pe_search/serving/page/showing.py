"""What is shown of hits, and in which order: by the fields of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pe_search.errors import QueryError
from pe_search.known.fields import HIT_FIELDS, all_of, is_known, named, order_of

_ALL = "all"


def field_names(text: str) -> list[str]:
    """The names of fields, as `--fields` has them; none of no text.

    Raises:
        QueryError: If one is unknown or named twice.
    """
    if text.strip() == _ALL:
        return all_of(HIT_FIELDS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names:
        _checked("fields", names)
    return names


def check_sort(name: str, *, is_reversed: bool) -> None:
    """Check what rows are to be sorted by; empty for their rank.

    Raises:
        QueryError: If it is not a field, or there is only the order.
    """
    if name:
        _checked("sort", [name])
    elif is_reversed:
        raise QueryError("reverse needs sort.")


def in_order(rows: Sequence[dict[str, Any]], name: str, *, is_reversed: bool) -> list[dict[str, Any]]:
    """Rows by a field, as `list --sort` has them: those without it last, those that have it alike as they were."""
    if not name:
        return list(rows)
    order = order_of(HIT_FIELDS[name])
    known = sorted((row for row in rows if is_known(row[name])), key=lambda row: order(row[name]), reverse=is_reversed)
    return [*known, *(row for row in rows if not is_known(row[name]))]


def _checked(parameter: str, names: Sequence[str]) -> None:
    try:
        named(names, HIT_FIELDS)
    except ValueError as error:
        raise QueryError(f"{parameter}: {error}.") from None

"""Loose parts become the request of a store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pe_search.directories import expanded
from pe_search.errors import QueryError
from pe_search.queries import Query, Reference, Request, Term


def make_request(
    texts: Sequence[str],
    plus: Iterable[str | Term],
    minus: Iterable[str | Term],
    like: Iterable[str | os.PathLike[str] | Reference],
    *,
    under: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Request:
    """A request of a query for each text, or of one without texts.

    Args:
        texts: What to look for.
        plus: Of each query.
        minus: Of each query.
        like: Of each query.
        under: A clip, or a folder that the clips must be below.
        **options: What else a `Request` has.

    Raises:
        QueryError: If there is nothing to look for, or its parts don't go together.
    """
    parts = Query(
        plus=tuple(map(_term, plus)),
        minus=tuple(map(_term, minus)),
        like=tuple(one if isinstance(one, Reference) else Reference(_absolute(one)) for one in like),
    )
    queries = tuple(replace(parts, texts=(text,)) for text in texts) or (parts,)
    request = Request(queries, under=None if under is None else _absolute(under), **options)
    if not (texts or parts.plus or parts.like):
        raise QueryError("There is nothing to look for: give a text, plus or like.")
    if not all(text.strip() for query in queries for text in (*query.texts, *(term.text for term in query.plus))):
        raise QueryError("A text is empty.")
    if any(term.weight <= 0 for term in (*parts.plus, *parts.minus)):
        raise QueryError("A weight is zero or below.")
    if request.k < 1:
        raise QueryError("k is one or more.")
    if request.fdr is not None and parts.like:
        raise QueryError("fdr holds texts against other texts, and can't judge like.")
    return request


def _term(term: str | Term) -> Term:
    return Term(term) if isinstance(term, str) else term


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(expanded(Path(path))))

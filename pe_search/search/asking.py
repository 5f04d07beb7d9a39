"""Loose parts become the request of a store."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pe_search.errors import QueryError
from pe_search.known.filters import check_filters
from pe_search.known.words import check_said, check_text, check_words
from pe_search.queries import Filters, Query, Reference, Request, Term
from pe_search.search.learned import refuse_words
from pe_search.store import Store


def make_request(
    store: Store,
    texts: Sequence[str],
    plus: Iterable[str | Term],
    minus: Iterable[str | Term],
    like: Iterable[str | os.PathLike[str] | Reference],
    unlike: Iterable[str | os.PathLike[str] | Reference] = (),
    *,
    spans: bool = False,
    under: str | os.PathLike[str] | None = None,
    filters: Filters | None = None,
    **options: Any,
) -> Request:
    """A request of a query for each text, or of one without texts.

    Args:
        store: Whose clips are meant by paths.
        texts: What to look for.
        plus: Of each query.
        minus: Of each query.
        like: Of each query.
        unlike: Of each query.
        spans: Whether each query must have a text to listen for.
        under: A clip, or a folder that the clips must be below.
        filters: Which clips may be hits.
        **options: What else a `Request` has; `words` may be all that is looked for.

    Raises:
        QueryError: If there is nothing to look for, or its parts don't go together.
    """

    def referred(references: Iterable[str | os.PathLike[str] | Reference]) -> tuple[Reference, ...]:
        listed = (one if isinstance(one, Reference) else Reference(Path(one)) for one in references)
        return tuple(replace(one, path=store.clip_at(one.path)) for one in listed)

    parts = Query(
        plus=tuple(map(_term, plus)),
        minus=tuple(map(_term, minus)),
        like=referred(like),
        unlike=referred(unlike),
    )
    queries = tuple(replace(parts, texts=(text,)) for text in texts) or (parts,)
    request = Request(queries, under=store.below(under), filters=filters or Filters(), **options)
    terms = (*parts.plus, *parts.minus)
    if request.words:
        check_words(request.words, beside_sound=request.queries[0].has_sound)
    if request.said:
        check_said(request.said, request)
    if not (texts or parts.plus or parts.like or request.has_words):
        raise QueryError("There is nothing to look for: give a text, plus, like, words or said.")
    if spans and not (texts or parts.plus):
        raise QueryError("spans needs a text or plus.")
    if not request.queries[0].has_sound:
        _refuse_for_words_alone(request)
    for text in (*texts, *(term.text for term in terms)):
        check_text(text)
    for term in terms:
        if not 0 < term.weight < math.inf:
            raise QueryError(f"A weight must be above 0, not {term.weight:g}.")
    check_places(parts.references)
    if request.k is not None and request.k < 1:
        raise QueryError(f"k must be 1 or more, not {request.k}.")
    if not 0 <= request.min_probability <= 1:
        raise QueryError(f"min_probability must be 0 to 1, not {request.min_probability:g}.")
    if request.fdr is not None and not 0 <= request.fdr <= 1:
        raise QueryError(f"fdr must be 0 to 1, not {request.fdr:g}.")
    if request.fdr is not None:
        refuse_words(queries, "fdr")
    if spans:
        refuse_words(queries, "spans")
    if request.fdr is not None and parts.references:
        raise QueryError("fdr can't be used with like or unlike.")
    check_filters(request.filters)
    return request


def check_places(references: Iterable[Reference]) -> None:
    """Raise a `QueryError` if a place in a file is not from a start to a later end."""
    for one in references:
        if one.place is not None and not 0 <= one.place[0] < one.place[1] < math.inf:
            raise QueryError(f"The place in {one.path} must be from a start to a later end, not {one.place}.")


def _refuse_for_words_alone(request: Request) -> None:
    """Refuse what is for a sound where none is looked for."""
    (query,) = request.queries
    given = {
        "minus": query.minus,
        "unlike": query.unlike,
        "min_probability": request.min_probability,
        "fdr": request.fdr is not None,
        "all_windows": request.all_windows and not request.said,
    }
    for name, value in given.items():
        if value:
            raise QueryError(f"{name} needs a text, plus or like beside {'said' if request.said else 'words'}.")


def _term(term: str | Term) -> Term:
    return Term(term) if isinstance(term, str) else term

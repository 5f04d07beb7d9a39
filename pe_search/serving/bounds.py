"""What one request may ask for, whichever way it comes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pe_search.errors import QueryError
from pe_search.known.words import check_said
from pe_search.listener import check_words
from pe_search.queries import Filters, Query, Request
from pe_search.serving.answering import MOST_HITS, TooMuchError

MOST_TEXTS = 100
LONGEST_TEXT = 1_000
LONGEST_PATH = 4_096
ABSOLUTE = r"^([A-Za-z]:)?[/\\]" if sys.platform == "win32" else "^/"
"""The pattern of a path that may be asked for."""


def request_of(
    texts: Sequence[str],
    words: str | None,
    said: str | None,
    *,
    k: int | None,
    under: str | None = None,
    all_windows: bool = False,
    min_probability: float = 0.0,
    exact: bool = False,
    filters: Filters | None = None,
) -> Request:
    """The request for the hits of some texts, of words, or of what is said.

    Args:
        texts: Each is a query of its own.
        words: As in `Request`; None if it is not asked.
        said: Likewise.
        k: Likewise, and so on.
        under: Likewise.
        all_windows: Likewise.
        min_probability: Likewise.
        exact: Likewise.
        filters: Likewise; None for none.

    Raises:
        QueryError: If that can't be asked.
        TooMuchError: If it is more than one request may ask for.
    """
    if words is not None:
        check_words(words, "words", beside_sound=bool(texts))
    if not texts:
        of_sound = {"min_probability": min_probability, "all_windows": all_windows and said is None}
        for name, value in of_sound.items():
            if value and (words or said) is not None:
                raise QueryError(f"{name} needs a text beside {'words' if words else 'said'}.")
    request = Request(
        queries=tuple(Query((one,), (), (), ()) for one in texts) or (Query(),),
        k=k,
        under=None if under is None else Path(under),
        all_windows=all_windows,
        min_probability=min_probability,
        fdr=None,
        exact=exact,
        filters=filters or Filters(),
        words=words or "",
        said=said or "",
    )
    if said is not None:
        check_said(said, request)
    if k is not None and len(texts) * k > MOST_HITS:
        raise TooMuchError(
            f"{len(texts)} texts for {k} hits each are more than {MOST_HITS} hits; ask for fewer at once."
        )
    return request

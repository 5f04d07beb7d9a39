"""What a tag of the user's own may be."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from pe_search.errors import quoted

LONGEST_TAG = 100
"""Characters of a tag."""


def tag_of(text: str) -> str:
    """A tag as it is kept: without blanks around it, and with letters composed, as most keyboards write them.

    Raises:
        ValueError: If it is empty or too long, has a comma, or a character that can't be printed.
    """
    tag = unicodedata.normalize("NFC", text.strip())
    if not tag:
        raise ValueError("a tag must not be empty")
    if len(tag) > LONGEST_TAG:
        raise ValueError(f"a tag has at most {LONGEST_TAG} characters; this one has {len(tag)}")
    if "," in tag:
        raise ValueError(f"{quoted(tag)} has a comma, which a tag must not have")
    if not tag.isprintable():
        raise ValueError(f"{quoted(tag)} has a character that can't be printed")
    return tag


def tags_of(texts: str | Iterable[str]) -> tuple[str, ...]:
    """One tag or several, each as `tag_of` has it, and each once.

    Raises:
        ValueError: As `tag_of`.
    """
    return tuple(dict.fromkeys(map(tag_of, [texts] if isinstance(texts, str) else texts)))

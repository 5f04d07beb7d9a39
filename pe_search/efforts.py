"""Frozen records of how much work an answer took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchEffort:
    """How a store came to its answer.

    Attributes:
        is_exact: Whether all windows were searched. If not, a window that belongs to the best may be missing, which is
            rare.
        windows_searched: The number of windows that were scored.
        windows: The number of windows in the store, or of those below `under` that pass the filters.
    """

    is_exact: bool
    windows_searched: int
    windows: int


@dataclass(frozen=True, slots=True)
class EmbeddingEffort:
    """How much was embedded to answer a request.

    Attributes:
        texts_remembered: Texts whose embeddings were in the store.
        texts_embedded: Texts that were embedded.
        windows_embedded: Windows of references that were embedded.
    """

    texts_remembered: int = 0
    texts_embedded: int = 0
    windows_embedded: int = 0

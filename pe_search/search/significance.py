"""Whether hits stand out: against what texts score in the same store that have nothing to do with sounds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.embedding import TextEmbedder
from pe_search.known.words import Word
from pe_search.queries import Filters, Query
from pe_search.search.aims import Aim
from pe_search.search.composing import weights
from pe_search.store import Store

# Windows that unrelated texts are held against: of more, this many are drawn, always the same ones.
MOST_WINDOWS = 50_000
# Two wordings for one thing are closer than this to each other, as a rule, and two things are not.
_TOO_CLOSE = 0.9
_ROWS_AT_ONCE = 4_096


@cache
def unrelated_texts() -> tuple[str, ...]:
    """Everyday texts that name no sound. Ones that did would be heard in some stores, and hide what is asked for."""
    return tuple(Path(__file__).with_name("unrelated_texts.txt").read_text(encoding="utf-8").splitlines())


class Background:
    """What unrelated texts score in a store, and which hits of a query stand out against it.

    If a window has nothing to do with a query, its score is one such as unrelated texts get. So the p-value of a score
    is the share of all scores of unrelated texts and windows that are as high, with the score itself counted among them
    (Phipson & Smyth 2010, https://doi.org/10.2202/1544-6115.1585); times the number of windows, that is how many of
    them are expected to score as much by chance. The hits that are shown are the most for which this is no more than
    the asked share of their number: the step-up procedure of Benjamini & Hochberg (1995,
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x), which proteomics uses in the same way, with decoys for
    unrelated texts. It errs towards showing less: where each clip shows by its best window only, all of its windows
    still count as chances; hits of one score are taken for one; and hits that were not asked for add nothing.

    A query of several terms is held against as many unrelated texts with the same weights. Unrelated texts that are
    close to a query are passed over.

    Args:
        store: Where the hits were found.
        embedder: Of the store's checkpoint.
        under: A clip, or a folder that the clips must be below; absolute.
        filters: Which of the clips and windows are meant.
        excluded: Words that the clips don't have.
    """

    def __init__(
        self,
        store: Store,
        embedder: TextEmbedder,
        under: Path | None,
        filters: Filters | None = None,
        excluded: Sequence[Word] = (),
    ) -> None:
        self._texts = embedder.embed_texts(unrelated_texts())
        self._sample, self._windows = store.sample(MOST_WINDOWS, under=under, filters=filters, excluded=excluded)

    def standing_out(self, scores: Sequence[float], query: Query, aim: Aim, fdr: float) -> int:
        """How many of the best hits stand out.

        Args:
            scores: Of the hits of the query, best first.
            query: What was asked; it has no reference.
            aim: Of the query.
            fdr: The share of hits that may be there by chance, on average over many queries.
        """
        if not scores:
            return 0
        unrelated = self._unrelated_aims(query, aim)
        as_high, count = self._as_high(np.array(scores), unrelated)
        by_chance = self._windows * (1 + as_high) / (1 + count)
        found = np.cumsum(np.diff(scores, prepend=np.inf) < 0)
        passed = np.flatnonzero(by_chance <= fdr * found)
        return int(passed[-1]) + 1 if len(passed) else 0

    def _unrelated_aims(self, query: Query, aim: Aim) -> NDArray[np.float32]:
        """Queries like this one, of unrelated texts; of shape (at most texts, dimension)."""
        lengths = np.linalg.norm(self._texts, axis=1) * np.linalg.norm(aim.text)
        texts = self._texts[self._texts @ aim.text < _TOO_CLOSE * lengths]
        # Another order of them for each term, so that no text meets itself.
        aims: NDArray[np.float32] = np.zeros_like(texts)
        for place, weight in enumerate(weights(query)):
            aims += np.float32(weight) * np.roll(texts, place, axis=0)
        return aims

    def _as_high(self, scores: NDArray[np.float64], unrelated: NDArray[np.float32]) -> tuple[NDArray[np.int64], int]:
        """How many scores of unrelated aims are as high as each of the scores, which descend; how many there are."""
        ascending = scores[::-1]
        reached = np.zeros(len(scores) + 1, np.int64)
        for first in range(0, len(self._sample), _ROWS_AT_ONCE):
            block = self._sample[first : first + _ROWS_AT_ONCE].astype(np.float32) @ unrelated.T
            high = block[block >= ascending[0]]
            reached += np.bincount(np.searchsorted(ascending, high, side="right"), minlength=len(reached))
        # The score at a place is reached by what reached it or a higher one.
        as_high = np.cumsum(reached[::-1])[:-1]
        return as_high, len(self._sample) * len(unrelated)

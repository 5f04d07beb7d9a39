"""Windows are drawn evenly over the range of scores, and what was judged of them says how many have a sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import QueryError
from pe_search.evaluations import Estimate
from pe_search.known.filters import check_filters, is_at, local_s, takes
from pe_search.learning.density import NO, UNJUDGED, UNSURE, YES, Strata, estimate, next_of_each, stratify
from pe_search.probability import probabilities
from pe_search.queries import Filters, Hit, Query
from pe_search.search.aims import Aim, QueryEmbedder, scores_of
from pe_search.search.composing import compose
from pe_search.search.learned import judgements_of, words_of
from pe_search.store import Store
from pe_search.store.sweep import Block, sweep

_VERDICTS = {"yes": YES, "no": NO, "unsure": UNSURE}


@dataclass(frozen=True, slots=True)
class Population:
    """The windows of some stores, and what was judged of them.

    Attributes:
        text: By whose scores they are in strata.
        strata: Of all windows.
        scores: float64 of shape (windows,), for the text.
        probabilities: Likewise.
        verdicts: As in `learning.density`.
        starts_s: float64 of shape (windows,).
        contents: int64 of shape (windows,): the number of the content of each.
        places: A store that has each content, and a clip of it there.
    """

    text: str
    strata: Strata
    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    verdicts: NDArray[np.int64]
    starts_s: NDArray[np.float64]
    contents: NDArray[np.int64]
    places: Sequence[tuple[Store, Path]]

    def draw(self, number: int) -> list[Hit]:
        """The windows that are to be judged next, at most so many."""
        hits: list[Hit] = []
        for row in next_of_each(self.strata, self.verdicts, number):
            store, path = self.places[int(self.contents[row])]
            content, start_s = store.catalog.content(path), float(self.starts_s[row])
            assert content is not None
            end_s = dict(content.times)[start_s]
            score, probability = float(self.scores[row]), float(self.probabilities[row])
            hits.append(Hit(self.text, len(hits) + 1, path, start_s, end_s, score, probability))
        return hits

    def estimates(self, word: str) -> list[Estimate]:
        """How many windows have the sound of a word: of those that score highest, and so on to all.

        Raises:
            QueryError: If too little was judged.
        """
        found, lacking = estimate(self.strata, self.verdicts, self.probabilities)
        if lacking:
            raise QueryError(
                f"{word}: in {lacking} of {self.strata.number} ranges of scores, no window is judged yes or no. "
                f"`pe-search judge {word} --spread` asks for those that are needed."
            )
        return found


def population(
    stores: Sequence[Store],
    word: str,
    text: str,
    embedder: QueryEmbedder,
    *,
    under: Path | None = None,
    filters: Filters | None = None,
) -> Population:
    """Go through all windows of some stores of one checkpoint.

    Args:
        stores: At least one. They are only read.
        word: What is judged.
        text: By whose scores windows are drawn; empty for the one that the word starts from.
        embedder: Of the checkpoint, for the text.
        under: A clip, or a folder that the clips must be below; absolute, or a name.
        filters: Which clips and windows are meant.

    Raises:
        QueryError: If there is no text, no window passes, or a filter is not valid. What a word has learned is no
            measure to draw by, since it knows the judgements.
    """
    filters = filters or Filters()
    check_filters(filters)
    starts = words_of(stores).get(word) or text
    if not starts:
        raise QueryError(
            f"{word} has no text by whose scores windows could be drawn; `pe-search learn {word} --text TEXT` gives "
            "it one."
        )
    (aim,) = compose([Query(texts=(starts,))], stores[0], embedder)
    of_clip = replace(filters, recorded=None, hours=None)
    parts: list[_Part] = []
    places: list[tuple[Store, Path]] = []
    for store in stores:
        verdicts = _verdicts(stores, store, word)
        with store.catalog.snapshot():
            numbers: dict[int, int] = {}
            for block in sweep(store.catalog, under, lambda clip: takes(of_clip, clip)):
                for content_id, clips in block.clips.items():
                    if content_id not in numbers:
                        numbers[content_id] = len(places)
                        places.append((store, clips[0].path))
                parts.append(_part(block, aim, filters, verdicts, numbers))
    if not any(len(part.scores) for part in parts):
        raise QueryError("There is no window to judge.")
    scores, lots, starts_s, contents, judged = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("scores", "lots", "starts_s", "contents", "verdicts")
    )
    manifest = stores[0].manifest
    likely = probabilities(scores, manifest.logit_scale, manifest.logit_bias)
    return Population(starts, stratify(scores, lots), scores, likely, judged, starts_s, contents, places)


@dataclass(frozen=True, slots=True)
class _Part:
    scores: NDArray[np.float64]
    lots: NDArray[np.uint64]
    starts_s: NDArray[np.float64]
    contents: NDArray[np.int64]
    verdicts: NDArray[np.int64]


def _part(
    block: Block,
    aim: Aim,
    filters: Filters,
    verdicts: dict[tuple[bytes, float], int],
    numbers: dict[int, int],
) -> _Part:
    digests = {content_id: clips[0].digest for content_id, clips in block.clips.items()}
    ids, starts_s = block.content_ids, block.starts_s
    rows = np.arange(len(ids))
    if filters.has_time:
        recorded = {
            content_id: [local_s(one.recorded_at) for one in clips] for content_id, clips in block.clips.items()
        }
        of_rows = zip(ids.tolist(), starts_s.tolist(), strict=True)
        passed = [any(is_at(filters, at_s, start_s) for at_s in recorded[one]) for one, start_s in of_rows]
        rows = rows[np.array(passed, bool)]
    ids, starts_s = ids[rows], starts_s[rows]
    seeds = np.array([int.from_bytes(digests[one][:8], "big") for one in ids.tolist()], np.uint64)
    of_rows = zip(ids.tolist(), starts_s.tolist(), strict=True)
    return _Part(
        scores_of(block.vectors[rows].astype(np.float32), [aim])[:, 0].astype(np.float64),
        _mixed(seeds ^ starts_s.view(np.uint64)),
        starts_s,
        np.array([numbers[one] for one in ids.tolist()], np.int64),
        np.array([verdicts.get((digests[one], start_s), UNJUDGED) for one, start_s in of_rows], np.int64),
    )


def _mixed(seeds: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers of which none tells anything of another (the finaliser of SplitMix64)."""
    mixed = seeds + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)


def _verdicts(stores: Sequence[Store], store: Store, word: str) -> dict[tuple[bytes, float], int]:
    """What was judged of whole windows of a store, by their content and start."""
    found = {}
    for one in judgements_of(stores, word):
        content = store.catalog.content_of(one.digest)
        if content is not None and (one.start_s, one.end_s) in content.times:
            found[one.digest, one.start_s] = _VERDICTS[one.verdict]
    return found

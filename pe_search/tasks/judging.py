"""Which hit is judged next: what teaches a word most."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from pe_search.queries import Hit
from pe_search.records import Judgement

# Of so many of the best windows one is chosen.
MOST_HITS = 1_000
# So many of the surest come first, so that there is a yes to begin with.
_SUREST_FIRST = 3
# A window that shares more than this with what was judged says little new.
_MOST_OVERLAP = 0.5


def next_to_judge(
    hits: Sequence[Hit],
    judged: Sequence[Judgement],
    paths_of: Callable[[bytes], Sequence[Path]],
    skipped: Collection[Hit] = (),
) -> Hit | None:
    """The hit that is judged next; None if none is left.

    Args:
        hits: Windows, best first.
        judged: What was judged by now.
        paths_of: Gives the clips with a digest.
        skipped: Hits that are passed over.
    """
    known: dict[Path, list[tuple[float, float]]] = {}
    for digest in {one.digest for one in judged}:
        for path in paths_of(digest):
            known[path] = [(one.start_s, one.end_s) for one in judged if one.digest == digest]
    for hit in skipped:
        known.setdefault(hit.path, []).append((hit.start_s, hit.end_s))
    left = (hit for hit in hits if not any(_is_covered(hit, one) for one in known.get(hit.path, ())))
    turn = len(judged)
    if turn < _SUREST_FIRST or turn % 2 == 0:
        return next(left, None)
    return min(left, key=_distance_from_even_odds, default=None)


def _is_covered(hit: Hit, stretch: tuple[float, float]) -> bool:
    shared_s = min(hit.end_s, stretch[1]) - max(hit.start_s, stretch[0])
    return shared_s > _MOST_OVERLAP * (hit.end_s - hit.start_s)


def _distance_from_even_odds(hit: Hit) -> float:
    assert hit.probability is not None
    return abs(hit.probability - 0.5)

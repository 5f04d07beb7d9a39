"""Two rankings become one: by sound, and by words, be they written about a clip or said in it.

Reciprocal rank fusion (Cormack, Clarke & Büttcher 2009, https://doi.org/10.1145/1571941.1572114): what has rank r in a
ranking gets 1 / (60 + r) for it, and nothing for a ranking that it is not in; the sums decide. So scores and BM25,
which have nothing in common, are never compared, and what both rankings have comes before what only one has, unless
both have it far down. Of equal sums the better rank by sound comes first, then the better by words.

Of each ranking the first 1,000 count, or `k` if that is more. All windows of a clip have the rank of its words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from pe_search.queries import FUSED_FROM_EACH, Hit, Request, Snippet
from pe_search.store.words import Named

RANK_CONSTANT = 60
"""The k of the paper, which found the results to depend little on it. The larger it is, the less the first few ranks
stand out."""


def most_of_each(k: int | None) -> int | None:
    """How many of each ranking count for the k best hits; None means all, of either."""
    return None if k is None else max(k, FUSED_FROM_EACH)


def fuse(
    by_sound: Sequence[Hit],
    named: Sequence[Named],
    score: Callable[[Iterable[Named]], Sequence[Hit]],
    request: Request,
) -> tuple[Hit, ...]:
    """The best hits of both rankings in one store.

    Args:
        by_sound: As many as count, best first.
        named: What words found, likewise.
        score: Gives the best window of each of some of these, or all windows if the request is for these; those of one
            clip in order of score.
        request: What is asked.
    """
    rank_of = {path: rank for rank, one in enumerate(named, start=1) for path, _ in one.clips}
    hits = [_ranked(hit, rank, rank_of, named, request) for rank, hit in enumerate(by_sound, start=1)]
    heard = {hit.rank_by_words for hit in hits}
    only_named = (one for rank, one in enumerate(named, start=1) if request.all_windows or rank not in heard)
    # Whatever comes after so many of them has k better ones before it. Of one of several stores, the others may have
    # more by sound, so that what has a rank by sound here may lose it.
    most = request.k if not request.is_part else most_of_each(request.k)
    places = {(hit.path, hit.start_s) for hit in hits}
    scored = (_ranked(hit, None, rank_of, named, request) for hit in score(islice(only_named, most)))
    hits += islice((hit for hit in scored if (hit.path, hit.start_s) not in places), most)
    return in_order(hits, None if request.is_part else request.k)


def in_order(hits: Iterable[Hit], k: int | None) -> tuple[Hit, ...]:
    """The k best of some hits that have their two ranks, with new ranks."""
    best = sorted(hits, key=_key)[:k]
    return tuple(replace(hit, rank=rank) for rank, hit in enumerate(best, start=1))


def _key(hit: Hit) -> tuple[float, float, float, float, bytes, float]:
    return (
        -sum(1 / (RANK_CONSTANT + rank) for rank in (hit.sound_rank, hit.rank_by_words) if rank is not None),
        hit.sound_rank or math.inf,
        hit.rank_by_words or math.inf,
        -(hit.score or 0.0),
        bytes(hit.path),
        hit.start_s,
    )


def with_words(hit: Hit, rank: int | None, named: Named | None, request: Request) -> Hit:
    """A hit with its place by words; where it is what is said that was looked for, it is where that is said.

    Args:
        hit: The hit.
        rank: Its place; None if the words did not find it.
        named: What they found; None likewise.
        request: What is asked.
    """
    if not request.said:
        return replace(hit, words_rank=rank)
    if named is None or named.said is None:
        return replace(hit, said=Snippet("", ()))
    return replace(hit, said_rank=rank, said=named.said, start_s=named.start_s, end_s=named.end_s)


def _ranked(
    hit: Hit, sound_rank: int | None, rank_of: dict[Path, int], named: Sequence[Named], request: Request
) -> Hit:
    words_rank = rank_of.get(hit.path)
    paths = {hit.path, *hit.copies}
    # Of clips of the same bytes, the one that has the words stands for all.
    first = (path for path, _ in named[words_rank - 1].clips if path in paths) if words_rank else ()
    path = next(iter(first), hit.path)
    copies = tuple(sorted(paths - {path}, key=bytes))
    found = named[words_rank - 1] if words_rank else None
    return with_words(replace(hit, path=path, copies=copies, sound_rank=sound_rank), words_rank, found, request)

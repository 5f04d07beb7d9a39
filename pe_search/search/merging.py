"""The answers of several stores become one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pe_search.efforts import EmbeddingEffort, SearchEffort
from pe_search.queries import Answer, Hit, Request
from pe_search.search.fusing import in_order, most_of_each

if TYPE_CHECKING:
    from pe_search.records import Clip


class Clips(Protocol):
    """What tells which clips are of the same bytes."""

    def clip(self, path: Path, /) -> tuple[Clip, bytes] | None:
        """The clip at a path, and the digest of its content."""


def merge_answers(found: Sequence[Iterator[Answer]], request: Request, clips: Clips) -> Iterator[Answer]:
    """One answer to each query in turn.

    Args:
        found: The answers of each store.
        request: What was asked of each.
        clips: Of all stores.
    """
    for answers in zip(*found, strict=True):
        yield Answer(
            query=answers[0].query,
            hits=merge_hits([answer.hits for answer in answers], request, clips),
            effort=SearchEffort(
                is_exact=all(answer.effort.is_exact for answer in answers),
                windows_searched=sum(answer.effort.windows_searched for answer in answers),
                windows=sum(answer.effort.windows for answer in answers),
            ),
            matches=sum(answer.matches for answer in answers),
            outstanding=sum(answer.outstanding for answer in answers),
            embedding=EmbeddingEffort(
                texts_remembered=sum(answer.embedding.texts_remembered for answer in answers),
                texts_embedded=sum(answer.embedding.texts_embedded for answer in answers),
                windows_embedded=sum(answer.embedding.windows_embedded for answer in answers),
            ),
            heard=_sum_if_any(answer.heard for answer in answers),
            named=_sum_if_any(answer.named for answer in answers),
        )


def _sum_if_any(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def merge_hits(found: Iterable[Sequence[Hit]], request: Request, clips: Clips) -> tuple[Hit, ...]:
    """The best hits of one query from several stores. Clips of the same bytes are one hit, as in one store.

    With words, the stores were asked for parts (`Request.is_part`). Their rankings by sound become one by score. BM25
    depends on what else is in a store, so their rankings by words become one by rank: the first of each store come
    first, in order of path, then the second ones. Then both are fused as in one store.

    Args:
        found: The hits of each store.
        request: What was asked of each.
        clips: Of all stores.
    """
    alike: dict[_Key, list[Hit]] = {}
    content_of: dict[Path, object] = {}
    for hit in sorted((hit for hits in found for hit in hits), key=_by_sound):
        held = clips.clip(hit.path)
        content_of[hit.path] = hit.path if held is None else held[1]
        place = (hit.start_s, hit.end_s) if request.all_windows else None
        alike.setdefault((content_of[hit.path], place), []).append(hit)
    if not request.has_words:
        best = [_as_one(hits[0], hits) for hits in alike.values()]
        return tuple(replace(hit, rank=rank) for rank, hit in enumerate(best[: request.k], start=1))
    most = most_of_each(request.k)
    by_sound = [key for key, hits in alike.items() if any(hit.sound_rank for hit in hits)][:most]
    named = sorted((hit for hits in alike.values() for hit in hits if hit.rank_by_words), key=_by_words)
    contents = dict.fromkeys(content_of[hit.path] for hit in named)
    sound_ranks = {key: rank for rank, key in enumerate(by_sound, start=1)}
    words_ranks = {content: rank for rank, content in enumerate(list(contents)[:most], start=1)}
    hits = []
    for key, those in alike.items():
        ranks = sound_ranks.get(key), words_ranks.get(key[0])
        if any(ranks):
            # Of clips of the same bytes, the one that has the words stands for all.
            first = those[0] if ranks[1] is None else min(those, key=_by_words)
            hits.append(_with_ranks(_as_one(first, those), *ranks, request))
    return in_order(hits, request.k)


_Key = tuple[object, tuple[float, float] | None]


def _by_sound(hit: Hit) -> tuple[float, bytes, float]:
    return -(hit.score or 0.0), bytes(hit.path), hit.start_s


def _by_words(hit: Hit) -> tuple[float, bytes]:
    return hit.rank_by_words or math.inf, bytes(hit.path)


def _with_ranks(hit: Hit, sound_rank: int | None, rank_by_words: int | None, request: Request) -> Hit:
    if request.said:
        return replace(hit, sound_rank=sound_rank, said_rank=rank_by_words)
    return replace(hit, sound_rank=sound_rank, words_rank=rank_by_words)


def _as_one(first: Hit, those: Iterable[Hit]) -> Hit:
    """One hit for those of clips of the same bytes."""
    paths = dict.fromkeys(path for hit in those for path in (hit.path, *hit.copies))
    return replace(first, copies=tuple(sorted(paths.keys() - {first.path}, key=bytes)))

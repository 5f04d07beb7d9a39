"""The answers of several stores become one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pe_search.queries import Answer, EmbeddingEffort, Hit, Request, SearchEffort

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
        )


def merge_hits(found: Iterable[Sequence[Hit]], request: Request, clips: Clips) -> tuple[Hit, ...]:
    """The best hits of one query from several stores. Clips of the same bytes are one hit, as in one store.

    Args:
        found: The hits of each store.
        request: What was asked of each.
        clips: Of all stores.
    """
    best: dict[object, Hit] = {}
    for hit in sorted(
        (hit for hits in found for hit in hits), key=lambda hit: (-hit.score, bytes(hit.path), hit.start_s)
    ):
        held = clips.clip(hit.path)
        place = (hit.start_s, hit.end_s) if request.all_windows else None
        key = (hit.path if held is None else held[1], place)
        before = best.get(key)
        if before is None:
            best[key] = hit
        else:
            copies = dict.fromkeys((*before.copies, hit.path, *hit.copies))
            best[key] = replace(before, copies=tuple(path for path in copies if path != before.path))
    return tuple(replace(hit, rank=rank) for rank, hit in enumerate(list(best.values())[: request.k], start=1))

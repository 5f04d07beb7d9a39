"""Hits as the page shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pe_search.directories import shown_store
from pe_search.known.fields import HIT_FIELDS, named
from pe_search.library import Library
from pe_search.queries import Hit
from pe_search.records import IndexedClip
from pe_search.serving.answering import Answering
from pe_search.serving.page.asked import name_of
from pe_search.serving.replies import ROW_FIELDS, refusals


def whole(clip: IndexedClip, rank: int) -> Hit:
    """A clip as a hit, from its start to its end."""
    return Hit("", rank, clip.path, 0.0, clip.duration_s or 0.0, None, None)


def shown_name(store: Path) -> str:
    """What a store is called on the page."""
    shown = shown_store(store)
    return shown if shown != str(store) else store.name or shown


async def rows_of(
    answering: Answering, hits: Sequence[Hit], fields: Sequence[str] = ROW_FIELDS
) -> list[dict[str, Any]]:
    """Rows of hits. With several stores, each has the name of its store, and names its clip with the number of it."""
    with refusals():
        rows = await asyncio.wrap_future(answering.describe(hits, named(fields, HIT_FIELDS)))
        if len(answering.directories) > 1:
            numbers = await asyncio.wrap_future(answering.work(lambda library: _stores_of(library, hits)))
            for row, hit in zip(rows, hits, strict=True):
                number = numbers.get(hit.path, 0)
                row["store"] = shown_name(answering.directories[number])
                row["digest"] = row["digest"] and name_of(row["digest"], number)
    return rows


def _stores_of(library: Library, hits: Sequence[Hit]) -> dict[Path, int]:
    """The number of the first store that holds a clip, by path: that of which all else is told."""
    wanted = list(dict.fromkeys(hit.path for hit in hits))
    stores = reversed(list(enumerate(library.stores)))
    return {path: number for number, one in stores for path in one.known(wanted)}

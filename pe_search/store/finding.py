"""Which clips and windows a lookup finds, by filters and by words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.filters import is_at, is_named, period_s
from pe_search.queries import Filters, Range
from pe_search.store.commits import name_of
from pe_search.store.schema import path_of
from pe_search.store.windows import Subset, is_under, windows_from
from pe_search.store.words import WEIGHTS, Named, PassingClip, having_all, having_any, passes_whole, stretch_passing
from pe_search.words import Word, Words

_CLIP = "path, content_id, first_id, last_id, windows, length_s, recorded_s"
_CONTENTS_AT_ONCE = 10_000


def subset_in(
    catalog: sqlite3.Connection, db: sqlite3.Connection, under: Path | None, filters: Filters, excluded: Sequence[Word]
) -> Subset:
    """As `Lookup.subset`, of a catalog and the lookup of its commit."""
    clips = list(_clips_passing(db, under, filters, excluded=excluded))
    if not filters.has_time:
        paths = {path for path, *_ in clips}
        return Subset(_ids(catalog, clips), lambda path, _start_s: name_of(path) in paths)
    recorded = {path: recorded_s for path, *_, recorded_s in clips}

    def has(path: Path, start_s: float) -> bool:
        return is_at(filters, recorded.get(name_of(path)), start_s)

    whole = [clip for clip in clips if passes_whole(clip, filters)]
    parts = [clip for clip in clips if not passes_whole(clip, filters)]
    partly: set[int] = set()
    starts = windows_from(catalog, {content_id for _, content_id, *_ in parts})
    for _, content_id, *_, recorded_s in parts:
        partly |= {one for one, start_s in starts[content_id] if is_at(filters, recorded_s, start_s)}
    return Subset(np.union1d(_ids(catalog, whole), np.array(sorted(partly), np.int64)), has)


def named_in(
    catalog: sqlite3.Connection,
    db: sqlite3.Connection,
    words: Words,
    under: Path | None,
    filters: Filters,
    most: int | None,
) -> list[Named]:
    """As `Lookup.named`, likewise."""
    found: dict[int, tuple[PassingClip, tuple[float, float]]] = {}
    for clip in _clips_passing(db, under, filters, wanted=words.wanted, excluded=words.excluded):
        if clip[1] not in found and (stretch := stretch_passing(catalog, clip, filters)) is not None:
            found[clip[1]] = clip, stretch
            if len(found) == most:
                break
    others: dict[int, list[PassingClip]] = {content_id: [] for content_id in found}
    contents = list(found)
    for first in range(0, len(contents), _CONTENTS_AT_ONCE):
        some = contents[first : first + _CONTENTS_AT_ONCE]
        for clip in _clips_passing(db, under, filters, excluded=words.excluded, contents=some):
            if clip != found[clip[1]][0] and stretch_passing(catalog, clip, filters) is not None:
                others[clip[1]].append(clip)
    return [
        Named(
            content_id,
            tuple((path_of(clip[0]), clip[6]) for clip in (best, *sorted(others[content_id]))),
            *stretch,
        )
        for content_id, (best, stretch) in found.items()
    ]


def _clips_passing(
    db: sqlite3.Connection,
    under: Path | None,
    filters: Filters,
    *,
    wanted: Sequence[Word] = (),
    excluded: Sequence[Word] = (),
    contents: Sequence[int] = (),
) -> Iterator[PassingClip]:
    """The clips that may pass; those that have wanted words are in the order of how well they fit.

    Args:
        db: The lookup's.
        under: As in `Lookup.subset`.
        filters: Likewise.
        wanted: Words that the clips have.
        excluded: Words that they don't have.
        contents: What the clips hold, of not too many; empty for anything.
    """
    conditions, values = ["1"], list[object]()

    def require(condition: str, *bounds: object) -> None:
        conditions.append(condition)
        values.extend(bounds)

    ranges: dict[str, Range | None] = {
        "length_s": filters.length_s,
        "sample_rate_hz": filters.sample_rate_hz,
        "channels": filters.channels,
        "loudness_lufs": filters.loudness_lufs,
        "bpm": filters.bpm,
    }
    for column, bounds in ranges.items():
        if bounds is not None:
            require(f"{column} IS NOT NULL")
            for comparison, bound in zip((">=", "<="), bounds, strict=True):
                if bound is not None:
                    require(f"{column} {comparison} ?", bound)
    for tag in filters.tags:
        require("id IN (SELECT clip_id FROM tags WHERE tag = ?)", tag)
    if filters.has_time:
        first_s, before_s = period_s(filters)
        require("recorded_s IS NOT NULL")
        if first_s is not None:
            require("recorded_s + ifnull(length_s, 0) >= ?", first_s)
        if before_s is not None:
            require("recorded_s < ?", before_s)
    is_wanted = is_named(filters.names)
    is_below = None if under is None else is_under(under)
    tables, order = "clips", ""
    if wanted:
        # In this order, because the other way round the words would be looked for once for each clip.
        tables = "words CROSS JOIN clips ON clips.id = words.rowid"
        require("words MATCH ?", having_all(wanted))
        order = f"ORDER BY bm25(words, {', '.join(map(str, WEIGHTS))}), path"
    if contents:
        require(f"content_id IN ({','.join('?' * len(contents))})", *contents)
    if excluded:
        require("id NOT IN (SELECT rowid FROM words WHERE words MATCH ?)", having_any(excluded))
    for row in db.execute(f"SELECT {_CLIP} FROM {tables} WHERE {' AND '.join(conditions)} {order}", values):
        if is_wanted(row[0]) and (is_below is None or is_below(row[0])):
            yield row


def _ids(catalog: sqlite3.Connection, clips: list[PassingClip]) -> NDArray[np.int64]:
    """The windows of clips, ascending. Those of a long one may lie in several places, between others."""
    together = {
        (first_id, last_id) for _, _, first_id, last_id, windows, *_ in clips if last_id - first_id + 1 == windows
    }
    apart = {content_id for _, content_id, first_id, last_id, windows, *_ in clips if last_id - first_id + 1 != windows}
    scattered = [one for places in windows_from(catalog, apart).values() for one, _ in places]
    bounds = np.array(sorted(together), np.int64).reshape(-1, 2)
    counts = bounds[:, 1] - bounds[:, 0] + 1
    starts = np.repeat(
        bounds[:, 0] - np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)[: len(counts)], counts
    )
    ids = starts + np.arange(int(counts.sum()))
    return np.union1d(ids, np.array(scattered, np.int64)) if scattered else ids

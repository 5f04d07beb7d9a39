"""Which files pass filters, by what a store holds of them, and else by what their headers say."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pe_search.audio.stamps import is_same
from pe_search.errors import AudioError
from pe_search.known.filters import check_filters, each_alone, is_at, is_named, lacking, local_s, may_take
from pe_search.queries import Filters
from pe_search.records import Clip, Hearing, IndexedClip, Problem
from pe_search.reports import FilterEffect
from pe_search.store import Store
from pe_search.store.listing import indexed_clips_at
from pe_search.tasks.describing import clip_of_file


@dataclass(frozen=True, slots=True)
class Passed:
    """What filters leave of some files.

    Attributes:
        clips: Those of which a window may pass.
        has: Whether the window of such a clip that starts at a time passes.
        effect: What each filter leaves of the files whose names pass. That something is not known of a file that no
            store holds counts as `unknown` for `loudness_lufs` and `tags`, which are not in its header.
    """

    clips: list[Clip]
    has: Callable[[Path, float], bool]
    effect: FilterEffect


def filter_files(
    clips: Sequence[Clip],
    filters: Filters,
    store: Store | None,
    hearing: Hearing,
    on_problem: Callable[[Problem], None],
) -> Passed:
    """Filter files. Nothing is decoded: a file that the store doesn't hold as it is has no loudness and no tags.

    Args:
        clips: The files.
        filters: The filters.
        store: None if there is none.
        hearing: Which track of a file is meant.
        on_problem: Called with each file that can't be opened; it doesn't pass.

    Raises:
        QueryError: If a filter is not valid.
    """
    check_filters(filters)
    is_wanted = is_named(filters.names)
    named = [clip for clip in clips if is_wanted(os.fsencode(clip.path))]
    if not named:
        return Passed([], lambda _path, _start_s: False, FilterEffect(len(clips), 0, {"names": 0}, {}))
    stamps = {} if store is None else store.catalog.stamps()
    held_paths = [clip.path for clip in named if is_same(stamps.get(str(clip.path)), clip.stamp)]
    held = {} if store is None else indexed_clips_at(store.catalog, held_paths)
    alone = each_alone(filters)
    passed, unknown = Counter(dict.fromkeys(alone, 0)), Counter[str]()
    recorded_s: dict[Path, float | None] = {}
    passing: list[Clip] = []
    for clip in named:
        known = held.get(clip.path) or _unread(clip)
        if known.facts.sample_rate_hz is None and _asks_for_header(filters):
            try:
                known = _with_header(known, hearing)
            except (AudioError, OSError) as error:
                reason = error.reason if isinstance(error, AudioError) else error.strerror or str(error)
                on_problem(Problem(clip.path, reason))
                continue
        lacks = {*lacking(filters, known), *(["tags"] if filters.tags and clip.path not in held else [])}
        unknown.update(lacks)
        passed.update(field for field, one in alone.items() if may_take(one, known))
        if may_take(filters, known):
            passing.append(clip)
            recorded_s[clip.path] = local_s(known.recorded_at)

    def has(path: Path, start_s: float) -> bool:
        return is_at(filters, recorded_s[path], start_s)

    return Passed(passing, has, FilterEffect(len(named), len(passing), dict(passed), dict(unknown)))


def _asks_for_header(filters: Filters) -> bool:
    return filters != Filters(names=filters.names, tags=filters.tags, loudness_lufs=filters.loudness_lufs)


def _unread(clip: Clip) -> IndexedClip:
    return IndexedClip(clip.path, clip.size_bytes, clip.modified_ns, None, 0, None, b"")


def _with_header(known: IndexedClip, hearing: Hearing) -> IndexedClip:
    """What is known of a clip, with what its header says.

    Raises:
        AudioError: If it can't be opened.
    """
    told = clip_of_file(known.path, hearing)
    return replace(
        known,
        duration_s=told.duration_s if known.duration_s is None else known.duration_s,
        facts=replace(told.facts, loudness_lufs=known.facts.loudness_lufs),
        recorded_at=told.recorded_at if known.recorded_at is None else known.recorded_at,
    )

"""Clips by what is written about them: the words of a query in the lookup, and the windows of what they find."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.known.filters import is_at, is_whole_in
from pe_search.known.words import Word
from pe_search.queries import Filters, Match, Snippet
from pe_search.store.catalog import Catalog
from pe_search.store.kernels import best_rows
from pe_search.store.windows import times_of, windows_of

# How much a word counts by where it is: in the name, the folders, the tags, what the file says of itself, or captions.
WEIGHTS = (8.0, 2.0, 4.0, 1.0, 1.0)

PassingClip = tuple[bytes, int, int, int, int, float | None, float | None]
"""Path, content, first and last window, number of windows, length and time of a clip that may pass filters."""


@dataclass(frozen=True, slots=True)
class Named:
    """Clips of the same bytes, of which at least one has the words.

    Attributes:
        content_id: What they hold.
        clips: All of them that pass the filters, each with when it was recorded, as `filters.local_s` has it: the one
            whose words fit best, then the others in order of path.
        start_s: When the first window of the former begins that passes the filters; of a clip without a filter for
            time, 0.
        end_s: When the last one ends; likewise the length.
        said: What is said there, if that is what was looked for; the times are those of its words.
    """

    content_id: int
    clips: tuple[tuple[Path, float | None], ...]
    start_s: float
    end_s: float
    said: Snippet | None = None

    @property
    def path(self) -> Path:
        """The clip whose words fit best."""
        return self.clips[0][0]

    @property
    def copies(self) -> tuple[Path, ...]:
        """The others."""
        return tuple(path for path, _ in self.clips[1:])


def having_all(words: Iterable[Word]) -> str:
    """What FTS5 finds rows by that have all of some words."""
    return " AND ".join(map(_in_fts5, words))


def having_any(words: Iterable[Word]) -> str:
    """What FTS5 finds rows by that have any of some words."""
    return " OR ".join(map(_in_fts5, words))


def _in_fts5(word: Word) -> str:
    # The words are letters and digits alone, so nothing in these quotes is syntax.
    star = " *" if word.is_prefix else ""
    return "(" + " OR ".join(f'"{" ".join(form)}"{star}' for form in word.forms) + ")"


def passes_whole(clip: PassingClip, filters: Filters) -> bool:
    """Whether all windows of a clip that passes all other filters are sure to pass those for time."""
    *_, length_s, recorded_s = clip
    return not filters.has_time or (recorded_s is not None and is_whole_in(filters, recorded_s, length_s or 0.0))


def stretch_passing(catalog: sqlite3.Connection, clip: PassingClip, filters: Filters) -> tuple[float, float] | None:
    """From when to when a clip has windows that pass filters for time; None if it has none.

    Args:
        catalog: The clip's.
        clip: It passes all other filters.
        filters: The filters.
    """
    _, content_id, *_, length_s, recorded_s = clip
    if length_s is not None and passes_whole(clip, filters):
        return 0.0, length_s
    times = [times_of(row) for row in windows_of(catalog, content_id)]
    passing = [time for time in times if is_at(filters, recorded_s, time[0])]
    return (passing[0][0], passing[-1][1]) if passing else None


def score_windows(
    catalog: Catalog,
    named: Iterable[Named],
    query: NDArray[np.float32],
    like: NDArray[np.float32] | None,
    filters: Filters,
    *,
    all_windows: bool,
) -> list[Match]:
    """The windows of what words found, or the best of each, with the scores that `Finder.best_matches` gives them.

    Args:
        catalog: Where they are, in the moment in which they were found.
        named: They come in this order; the windows of one in order of score, then of time.
        query: As in `Finder.best_matches`.
        like: Likewise.
        filters: Which windows may be among them.
        all_windows: Whether all windows are wanted.
    """
    matches = []
    with catalog.reading() as db:
        for one in named:
            rows = windows_of(db, one.content_id)
            scores, order = best_rows(catalog.keeper.vectors(db, rows), query, len(rows), like=like)
            for score, row in zip(scores, order, strict=True):
                start_s, end_s = times_of(rows[row])
                paths = [path for path, recorded_s in one.clips if is_at(filters, recorded_s, start_s)]
                if paths:
                    matches.append(Match(paths[0], start_s, end_s, float(score), tuple(paths[1:])))
                    if not all_windows:
                        break
    return matches

"""Which clips and windows a lookup finds, by filters and by words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.known.filters import DAY_S, HOUR_S, is_at, is_named, is_of_path, matcher, period_s
from pe_search.known.words import Word, Words
from pe_search.queries import Filters, Range
from pe_search.store.columns import Columns
from pe_search.store.commits import name_of
from pe_search.store.schema import path_of
from pe_search.store.windows import Subset, in_sql, is_under, windows_from
from pe_search.store.words import WEIGHTS, Named, PassingClip, having_all, having_any, stretch_passing

_CLIP = "path, content_id, first_id, last_id, windows, length_s, recorded_s"
_CONTENTS_AT_ONCE = 10_000
_MANY_WINDOWS = 1 << 22


def subset_in(
    catalog: sqlite3.Connection,
    db: sqlite3.Connection,
    columns: Columns,
    under: Path | None,
    filters: Filters,
    excluded: Sequence[Word],
) -> Subset:
    """As `Lookup.subset`, of a catalog and the lookup of its commit. What it tells of clips is of that commit too."""
    clips = _Clips(catalog, db, columns)
    passes = clips.passing(under, filters, excluded)
    recorded_s = columns.measured(db, "recorded_s") if filters.has_time else None

    @cache
    def row_of(path: Path) -> int | None:
        """The row of a clip, if it passes all filters but those for time."""
        found = catalog.execute("SELECT id FROM clips WHERE path = ?", (name_of(path),)).fetchone()
        rows = columns.rows_of(db, np.array(found or (), np.int64))
        return int(rows[0]) if len(rows) and passes[rows[0]] else None

    def has(path: Path, start_s: float) -> bool:
        row = row_of(path)
        return row is not None and (recorded_s is None or is_at(filters, float(recorded_s[row]), start_s))

    if not filters.has_time:
        return Subset(clips.windows(np.flatnonzero(passes)), has)
    return Subset(clips.windows_at(np.flatnonzero(passes), filters), has)


class _Clips:
    """The clips of a lookup, by their rows in its columns."""

    def __init__(self, catalog: sqlite3.Connection, db: sqlite3.Connection, columns: Columns) -> None:
        self._catalog = catalog
        self._db = db
        self._columns = columns

    def passing(self, under: Path | None, filters: Filters, excluded: Sequence[Word]) -> NDArray[np.bool_]:
        """Whether each clip passes all filters but those for time."""
        db, columns = self._db, self._columns
        passes = np.ones(len(columns.whole(db, "id")), np.bool_)
        for name in ("length_s", "sample_rate_hz", "channels", "loudness_lufs", "bpm"):
            bounds: Range | None = getattr(filters, name)
            if bounds is not None:
                values = columns.measured(db, name)
                least, most = bounds
                # Nothing is in any order with NaN.
                passes &= values >= (-np.inf if least is None else least)
                passes &= values <= (np.inf if most is None else most)
        if under is not None:
            condition, values_ = in_sql(under)
            passes &= self._among(self._catalog.execute(f"SELECT id FROM clips WHERE {condition}", values_))
        for tag in filters.tags:
            passes &= self._among(db.execute("SELECT clip_id FROM tags WHERE tag = ?", (tag,)))
        if excluded:
            having = db.execute("SELECT rowid FROM words WHERE words MATCH ?", (having_any(excluded),))
            passes &= ~self._among(having)
        if filters.names:
            rows = np.flatnonzero(passes)
            passes[rows] = self._named(rows, filters.names)
        return passes

    def _among(self, ids: Iterable[tuple[int]]) -> NDArray[np.bool_]:
        """Whether each clip is one of some."""
        is_among = np.zeros(len(self._columns.whole(self._db, "id")), np.bool_)
        is_among[self._columns.rows_of(self._db, np.fromiter((one for (one,) in ids), np.int64))] = True
        return is_among

    def _named(self, rows: NDArray[np.int64], patterns: Sequence[str]) -> NDArray[np.bool_]:
        """Whether the names of the clips in some rows, or their paths, match one of some patterns."""
        fits = np.zeros(len(rows), np.bool_)
        all_names, paths = self._columns.names(self._db), None
        names = [all_names[row] for row in rows.tolist()]
        for pattern in patterns:
            matches = matcher(pattern)
            if is_of_path(pattern):
                if paths is None:
                    every = [path for (path,) in self._db.execute("SELECT path FROM clips ORDER BY id")]
                    paths = [os.fsdecode(every[row]).lower() for row in rows.tolist()]
                fits |= np.fromiter((matches(path) is not None for path in paths), np.bool_, len(rows))
            else:
                fits |= np.fromiter((matches(name) is not None for name in names), np.bool_, len(rows))
        return fits

    def windows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ids, ascending, of the windows of the clips in some rows."""
        first_ids, which = np.unique(self._whole("first_id", rows), return_index=True)
        counts, last_ids = self._whole("windows", rows)[which], self._whole("last_id", rows)[which]
        are_together = last_ids - first_ids + 1 == counts
        self._check_counts(counts)
        ids = _stretches(first_ids[are_together], counts[are_together])
        # Those of a content that was embedded in several runs may lie in several places, between others.
        apart = self._whole("content_id", rows)[which[~are_together]].tolist()
        scattered = [one for content_id in apart for one in _ids_of(self._catalog, content_id)]
        return np.union1d(ids, np.array(scattered, np.int64)) if scattered else ids

    def windows_at(self, rows: NDArray[np.int64], filters: Filters) -> NDArray[np.int64]:
        """As `windows`, of those windows that pass the filters for time."""
        recorded_s, length_s = self._measured("recorded_s", rows), self._measured("length_s", rows)
        are_whole = _are_whole_in(filters, recorded_s, length_s)
        parts = rows[~are_whole & _may_be_in(filters, recorded_s, length_s)]
        counts, second_s = self._whole("windows", parts), self._measured("second_s", parts)
        are_together = self._whole("last_id", parts) - self._whole("first_id", parts) + 1 == counts
        self._check_counts(counts)
        are_plain = are_together & ~np.isnan(second_s)
        found = [self.windows(rows[are_whole]), self._plain_windows_at(parts[are_plain], filters)]
        for row in parts[~are_plain].tolist():
            content_id = int(self._columns.whole(self._db, "content_id")[row])
            began_s = float(self._columns.measured(self._db, "recorded_s")[row])
            places = windows_from(self._catalog, content_id)
            found.append(
                np.array([one for one, start_s in places if is_at(filters, began_s, start_s)], np.int64).reshape(-1)
            )
        return np.unique(np.concatenate(found)) if len(parts) else found[0]

    def _plain_windows_at(self, rows: NDArray[np.int64], filters: Filters) -> NDArray[np.int64]:
        """The windows that pass of clips whose windows follow each other, all but the last at the same distance."""
        counts = self._whole("windows", rows)
        ids = _stretches(self._whole("first_id", rows), counts)
        number = ids - np.repeat(self._whole("first_id", rows), counts)
        starts_s = number * np.repeat(self._measured("second_s", rows), counts)
        starts_s[np.cumsum(counts) - 1] = self._measured("last_s", rows)
        return ids[_are_at(filters, np.repeat(self._measured("recorded_s", rows), counts) + starts_s)]

    def _whole(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._columns.whole(self._db, name)[rows]

    def _measured(self, name: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._columns.measured(self._db, name)[rows]

    def _check_counts(self, counts: NDArray[np.int64]) -> None:
        # Before they are numbered: those of a file from elsewhere may be any number.
        if counts.sum() > _MANY_WINDOWS or (counts < 1).any():
            held = self._catalog.execute("SELECT count(*) FROM windows").fetchone()[0]
            if ((counts < 1) | (counts > held)).any():
                raise sqlite3.DatabaseError("a clip has more windows than there are")


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
    for clip in clips_passing(db, under, filters, wanted=words.wanted, excluded=words.excluded):
        if clip[1] not in found and (stretch := stretch_passing(catalog, clip, filters)) is not None:
            found[clip[1]] = clip, stretch
            if len(found) == most:
                break
    others: dict[int, list[PassingClip]] = {content_id: [] for content_id in found}
    contents = list(found)
    for first in range(0, len(contents), _CONTENTS_AT_ONCE):
        some = contents[first : first + _CONTENTS_AT_ONCE]
        for clip in clips_passing(db, under, filters, excluded=words.excluded, contents=some):
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


def clips_passing(
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


def _stretches(first_ids: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """So many numbers from each of some on, one stretch after the other."""
    before = np.cumsum(counts) - counts
    return np.repeat(first_ids - before, counts) + np.arange(counts.sum())


def _ids_of(catalog: sqlite3.Connection, content_id: int) -> list[int]:
    rows = catalog.execute("SELECT id FROM windows WHERE content_id = ? ORDER BY id", (content_id,))
    return [one for (one,) in rows]


def _are_at(filters: Filters, at_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """As `filters.is_at`, of many times."""
    return _are_in_period(filters, at_s) & _are_in_hours(filters, at_s)


def _are_in_period(filters: Filters, at_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    first_s, before_s = period_s(filters)
    after = at_s >= (-np.inf if first_s is None else first_s)
    return after & (at_s < (np.inf if before_s is None else before_s))


def _are_in_hours(filters: Filters, at_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    if filters.hours is None:
        return ~np.isnan(at_s)
    first, last = filters.hours
    hours = at_s % DAY_S / HOUR_S
    return (first <= hours) & (hours < last) if first < last else (hours >= first) | (hours < last)


def _are_whole_in(
    filters: Filters, recorded_s: NDArray[np.float64], length_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """As `filters.is_whole_in`, of many clips; of one whose length or time is not known, nothing is sure."""
    fit = _are_in_period(filters, recorded_s) & _are_in_period(filters, recorded_s + length_s)
    if filters.hours is None:
        return fit
    left_s = (filters.hours[1] * HOUR_S - recorded_s) % DAY_S
    return fit & _are_in_hours(filters, recorded_s) & (length_s < left_s)


def _may_be_in(filters: Filters, recorded_s: NDArray[np.float64], length_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """As `filters.may_be_in`, of many clips; one of unknown length may go on, and one of unknown time isn't any."""
    length_s = np.where(np.isnan(length_s), np.inf, length_s)
    first_s, before_s = period_s(filters)
    may = recorded_s + length_s >= (-np.inf if first_s is None else first_s)
    may &= recorded_s < (np.inf if before_s is None else before_s)
    if filters.hours is None:
        return may
    until_s = (filters.hours[0] * HOUR_S - recorded_s) % DAY_S
    return may & (_are_in_hours(filters, recorded_s) | (until_s <= length_s))

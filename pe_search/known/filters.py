"""Which clips pass filters, by what is known of them."""

from __future__ import annotations

import fnmatch
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from datetime import datetime
from functools import lru_cache

from pe_search.errors import QueryError
from pe_search.queries import Filters, Range
from pe_search.records import IndexedClip

HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S
_EPOCH = datetime(1970, 1, 1)
_RANGES = ("length_s", "sample_rate_hz", "channels", "loudness_lufs", "bpm")


def takes(filters: Filters, clip: IndexedClip, start_s: float = 0.0) -> bool:
    """Whether a clip, or its window from a time on, passes."""
    facts = clip.facts
    return (
        is_within(clip.duration_s, filters.length_s)
        and is_within(facts.sample_rate_hz, filters.sample_rate_hz)
        and is_within(facts.channels, filters.channels)
        and is_within(facts.loudness_lufs, filters.loudness_lufs)
        and is_within(facts.bpm, filters.bpm)
        and is_named(filters.names)(os.fsencode(clip.path))
        and set(filters.tags) <= set(clip.tags)
        and is_at(filters, local_s(clip.recorded_at), start_s)
    )


def check_filters(filters: Filters | None) -> None:
    """Raise a `QueryError` if a filter is not one that a clip can pass or not pass."""
    filters = filters or Filters()
    for name in _RANGES:
        bounds = getattr(filters, name)
        least, most = (-math.inf, math.inf) if bounds is None else bounds
        least, most = -math.inf if least is None else least, math.inf if most is None else most
        if not least <= most:
            raise QueryError(f"{name} must be two numbers, the smaller one first, not {bounds}.")
    for name in ("names", "tags"):
        if isinstance(getattr(filters, name), str) or not all(getattr(filters, name)):
            raise QueryError(f"{name} must be a tuple of texts that are not empty, not {getattr(filters, name)!r}.")
    try:
        first_s, last_s = period_s(filters)
        is_local = all(datetime.fromisoformat(one).tzinfo is None for one in filters.recorded or () if one is not None)
    except (TypeError, ValueError):
        first_s = last_s = None
        is_local = False
    if not is_local or (first_s is not None and last_s is not None and first_s >= last_s):
        raise QueryError(
            f"recorded must be two times as ISO 8601 without a zone, the earlier one first, not {filters.recorded}."
        )
    if filters.hours is not None:
        first, last = filters.hours
        if not (0 <= first < 24 and 0 <= last <= 24 and first != last):
            raise QueryError(f"hours must be two different hours of the day, 0 to 24, not {filters.hours}.")


def lacking(filters: Filters, clip: IndexedClip) -> Iterator[str]:
    """The fields of filters for which a clip can't pass because nothing is known."""
    facts = clip.facts
    known = {
        "length_s": clip.duration_s,
        "sample_rate_hz": facts.sample_rate_hz,
        "channels": facts.channels,
        "loudness_lufs": facts.loudness_lufs,
        "bpm": facts.bpm,
        "recorded": clip.recorded_at,
        "hours": clip.recorded_at,
    }
    yield from (name for name, value in known.items() if value is None and getattr(filters, name) is not None)


def each_alone(filters: Filters) -> dict[str, Filters]:
    """Each filter by itself, by its field."""
    unset = Filters()
    return {
        field.name: replace(unset, **{field.name: getattr(filters, field.name)})
        for field in fields(Filters)
        if getattr(filters, field.name) != getattr(unset, field.name)
    }


def may_take(filters: Filters, clip: IndexedClip) -> bool:
    """Whether a window of a clip may pass, wherever in the clip it begins; a clip of unknown length may go on."""
    recorded_s = local_s(clip.recorded_at)
    if filters.has_time and recorded_s is None:
        return False
    duration_s = math.inf if clip.duration_s is None else clip.duration_s
    return takes(replace(filters, recorded=None, hours=None), clip) and (
        recorded_s is None or may_be_in(filters, recorded_s, duration_s)
    )


def is_within(value: float | None, bounds: Range | None) -> bool:
    """Whether a number lies in a range; None lies in none."""
    if bounds is None:
        return True
    least, most = bounds
    return value is not None and (least is None or least <= value) and (most is None or value <= most)


def is_named(patterns: Iterable[str]) -> Callable[[bytes], bool]:
    """What tells whether a path, as bytes, matches one of some patterns; all do if there is none."""
    tests = [(is_of_path(pattern), matcher(pattern)) for pattern in patterns]

    def test(path: bytes) -> bool:
        text = os.fsdecode(path).lower()
        name = text.rpartition("/")[2]
        return any(fits(text if is_whole else name) is not None for is_whole, fits in tests)

    return test if tests else lambda _path: True


def is_of_path(pattern: str) -> bool:
    """Whether a pattern is for whole paths, and not for their last parts."""
    return "/" in pattern


@lru_cache(maxsize=256)
def matcher(pattern: str) -> Callable[[str], object]:
    """What gives None for a path, or its last part, in lower case that doesn't match a pattern."""
    folded = pattern.lower()
    # A relative pattern is for the end of a path.
    is_for_end = is_of_path(folded) and not folded.startswith("/")
    return re.compile(fnmatch.translate(f"*/{folded}" if is_for_end else folded)).match


def local_s(moment: str | None) -> float | None:
    """Seconds from 1970 to a time of ISO 8601 as a clock on the wall shows it there; None for None."""
    if moment is None:
        return None
    return (datetime.fromisoformat(moment).replace(tzinfo=None) - _EPOCH).total_seconds()


def is_at(filters: Filters, recorded_s: float | None, start_s: float = 0.0) -> bool:
    """Whether what begins at a time of a recording passes the filters for when it was recorded.

    Args:
        filters: The filters.
        recorded_s: When the recording began, as `local_s` has it; None if that is not known.
        start_s: Where in it, in seconds.
    """
    if not filters.has_time:
        return True
    if recorded_s is None:
        return False
    at_s = recorded_s + start_s
    return is_in_period(filters, at_s) and is_in_hours(filters, at_s)


def is_in_period(filters: Filters, at_s: float) -> bool:
    """Whether a time, as `local_s` has it, is in `Filters.recorded`."""
    first, last = period_s(filters)
    return (first is None or first <= at_s) and (last is None or at_s < last)


def period_s(filters: Filters) -> Range:
    """`Filters.recorded` as `local_s` has times."""
    return (None, None) if filters.recorded is None else (local_s(filters.recorded[0]), local_s(filters.recorded[1]))


def is_in_hours(filters: Filters, at_s: float) -> bool:
    """Whether a time, as `local_s` has it, is in `Filters.hours`."""
    if filters.hours is None:
        return True
    first, last = filters.hours
    hour = at_s % DAY_S / HOUR_S
    return first <= hour < last if first < last else hour >= first or hour < last


def is_whole_in(filters: Filters, recorded_s: float, duration_s: float) -> bool:
    """Whether whatever begins within a recording is sure to pass the filters for when it was recorded."""
    last_s = recorded_s + duration_s
    if not (is_in_period(filters, recorded_s) and is_in_period(filters, last_s)):
        return False
    if filters.hours is None:
        return True
    # At the very end of them, by rounding or because they are the whole day, each moment is to be looked at.
    left_s = (filters.hours[1] * HOUR_S - recorded_s) % DAY_S
    return is_in_hours(filters, recorded_s) and duration_s < left_s


def may_be_in(filters: Filters, recorded_s: float, duration_s: float) -> bool:
    """Whether anything that begins within a recording may pass the filters for when it was recorded."""
    first_s, before_s = period_s(filters)
    if (first_s is not None and recorded_s + duration_s < first_s) or (before_s is not None and recorded_s >= before_s):
        return False
    if filters.hours is None or is_in_hours(filters, recorded_s):
        return True
    return (filters.hours[0] * HOUR_S - recorded_s) % DAY_S <= duration_s

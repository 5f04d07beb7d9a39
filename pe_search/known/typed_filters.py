"""Filters as people type them, on the command line and over HTTP: `length` is `0.1-2`, `hour` is `22-4`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pe_search.clock import read_seconds
from pe_search.errors import quoted
from pe_search.known.tags import tags_of
from pe_search.queries import Filters, Range

FIELD_OF = {
    "length": "length_s",
    "rate": "sample_rate_hz",
    "channels": "channels",
    "name": "names",
    "tag": "tags",
    "recorded": "recorded",
    "hour": "hours",
    "loudness": "loudness_lufs",
    "bpm": "bpm",
}
"""The field of `Filters` for each name, in the order in which they are shown."""

REPEATABLE = ("name", "tag")
"""The names that may be given several times."""

_WANTED = {
    "length": "must be a length or a range, such as 0.1-2, 1:30- or -5",
    "rate": "must be a rate in Hz or a range, such as 44100, 44100- or 8000-22050",
    "channels": "must be a number or a range, such as 2 or 1-2",
    "recorded": "must be a day, a month or a range, such as 2024-06, 2024-06-01..2024-06-30 or "
    "2024-06-01T05:00..2024-06-01T06:30",
    "hour": "must be an hour of the day or a range, such as 5, 4:30-7 or 22-4",
    "loudness": "must be a loudness in LUFS or a range, such as -14, -30..-14 or -20..",
    "bpm": "must be a tempo or a range, such as 120 or 118-122",
}
_TWO = re.compile(r"([^-\N{EN DASH}]*)[-\N{EN DASH}]([^-\N{EN DASH}]*)")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_TWO_SIGNED = re.compile(rf"({_NUMBER})?[-\N{{EN DASH}}]({_NUMBER})?", re.ASCII)
_MOMENT = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)(?P<time>[T ]\d\d(?::\d\d(?::\d\d(?:\.\d{1,6})?)?)?)?)?)?",
    re.ASCII,
)
_HOUR = re.compile(r"(\d{1,2})(?::(\d\d))?", re.ASCII)


class FilterTextError(ValueError):
    """A filter can't be understood. The message says what it must be.

    Args:
        name: Of the filter, as in `FIELD_OF`.
        message: What is wrong with it, without a full stop.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def read_filters(typed: Mapping[str, str | Sequence[str] | None]) -> Filters:
    """Filters of what was typed for some names; None, or nothing, is no filter.

    Raises:
        FilterTextError: If something can't be understood.
    """
    given = {name: text for name, text in typed.items() if isinstance(text, str) or text}
    return Filters(**{FIELD_OF[name]: _READERS[name](name, text) for name, text in given.items()})


def typed_filters(filters: Filters) -> list[tuple[str, str]]:
    """What to type for filters: each name with its text, a repeated name with each of its texts."""
    typed: list[tuple[str, str]] = []
    for name, field in FIELD_OF.items():
        value: Any = getattr(filters, field)
        if name in REPEATABLE:
            typed += [(name, text) for text in value]
        elif value is not None:
            typed.append((name, _WRITERS[name](value)))
    return typed


def _refusal(name: str, text: str) -> FilterTextError:
    return FilterTextError(name, f"{quoted(text)} {_WANTED[name]}")


def _read_texts(name: str, given: str | Sequence[str]) -> tuple[str, ...]:
    texts = (given,) if isinstance(given, str) else tuple(given)
    if not all(text.strip() for text in texts):
        raise FilterTextError(name, "must not be empty")
    return texts


def _read_tags(name: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Tags as `pe-search tag` keeps them; several may be in one text, with commas between."""
    try:
        return tags_of(part for text in _read_texts(name, given) for part in text.split(","))
    except ValueError as error:
        raise FilterTextError(name, str(error)) from error


def _read_range(name: str, text: Any) -> Range:
    read = _seconds if name == "length" else _number
    try:
        bounds = _bounds(text, read, is_signed=name == "loudness")
    except ValueError:
        raise _refusal(name, text) from None
    least, most = bounds
    if least is not None and most is not None and least > most:
        raise FilterTextError(name, f"{quoted(text)} must go from the smaller to the larger number")
    return bounds


def _bounds(text: str, read: Callable[[str], float], *, is_signed: bool) -> Range:
    """The ends of a range; both are the same for one number.

    Raises:
        ValueError: If it is none.
    """
    first, dots, last = text.partition("..")
    if not dots:
        if is_signed and re.fullmatch(_NUMBER, text.strip(), re.ASCII):
            return read(text), read(text)
        found = (_TWO_SIGNED if is_signed else _TWO).fullmatch(text.strip())
        if found is None:
            return read(text), read(text)
        first, last = found[1] or "", found[2] or ""
    first, last = first.strip(), last.strip()
    if not (first or last):
        raise ValueError(text)
    bounds = read(first) if first else None, read(last) if last else None
    if not is_signed and any(bound is not None and bound < 0 for bound in bounds):
        raise ValueError(text)
    return bounds


def _seconds(text: str) -> float:
    return read_seconds(text.strip())


def _number(text: str) -> float:
    if not re.fullmatch(_NUMBER, text.strip(), re.ASCII):
        raise ValueError(text)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _read_period(name: str, text: Any) -> tuple[str | None, str | None]:
    first, dots, last = text.partition("..")
    last = last if dots else first
    try:
        start = _moments(first)[0] if first.strip() else None
        end = _moments(last)[1] if last.strip() else None
    except (ValueError, OverflowError):
        raise _refusal(name, text) from None
    if start is None and end is None:
        raise _refusal(name, text)
    if start is not None and end is not None and start >= end:
        wrong = "must end after it starts" if dots else "is one moment; write a range of times, as START..END"
        raise FilterTextError(name, f"{quoted(text)} {wrong}")
    return None if start is None else start.isoformat(), None if end is None else end.isoformat()


def _moments(text: str) -> tuple[datetime, datetime]:
    """When a year, a month or a day begins and when it is over; of a time both are the time itself.

    Raises:
        ValueError: If there is no such time.
        OverflowError: Likewise.
    """
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    if found["time"] is not None:
        moment = datetime.fromisoformat(text.strip())
        return moment, moment
    year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
    start = datetime(year, month, day)
    if found["day"] is not None:
        return start, start + timedelta(days=1)
    if found["month"] is not None:
        return start, datetime(year + month // 12, month % 12 + 1, 1)
    return start, datetime(year + 1, 1, 1)


def _read_hours(name: str, text: Any) -> tuple[float, float]:
    try:
        alone = _HOUR.fullmatch(text.strip())
        if alone is not None and alone[2] is None and int(alone[1]) < 24:
            return float(alone[1]), float(alone[1]) + 1
        found = re.fullmatch(r"(.*?)(?:\.\.|[-\N{EN DASH}])(.*)", text.strip())
        if found is None or not (found[1] or found[2]):
            raise ValueError(text)
        first, last = _hour(found[1] or "0"), _hour(found[2] or "24")
    except ValueError:
        raise _refusal(name, text) from None
    if first >= 24:
        raise _refusal(name, text)
    if first == last:
        raise FilterTextError(name, f"{quoted(text)} must end at another hour than it starts")
    return first, last


def _hour(text: str) -> float:
    found = _HOUR.fullmatch(text.strip())
    if found is None or int(found[2] or 0) >= 60:
        raise ValueError(text)
    hour = int(found[1]) + int(found[2] or 0) / 60
    if hour > 24:
        raise ValueError(text)
    return hour


def _shown_range(bounds: Range, between: str = "-") -> str:
    least, most = ("" if bound is None else _shown_number(bound) for bound in bounds)
    return least if least == most else f"{least}{between}{most}"


def _shown_loudness(bounds: Range) -> str:
    return _shown_range(bounds, "..")


def _shown_number(number: float) -> str:
    return f"{number:.15g}"


def _shown_period(period: tuple[str | None, str | None]) -> str:
    start, end = (None if one is None else datetime.fromisoformat(one) for one in period)
    first = "" if start is None else _shown_moment(start)
    # The last day is meant with all of it.
    last = "" if end is None else _shown_moment(end - timedelta(days=1) if _is_midnight(end) else end)
    return first if first == last else f"{first}..{last}"


def _shown_moment(moment: datetime) -> str:
    return moment.date().isoformat() if _is_midnight(moment) else moment.isoformat().removesuffix(":00")


def _is_midnight(moment: datetime) -> bool:
    return moment.time() == datetime.min.time()


def _shown_hours(hours: tuple[float, float]) -> str:
    return "-".join(_shown_hour(hour) for hour in hours)


def _shown_hour(hour: float) -> str:
    whole, minute = divmod(round(hour * 60), 60)
    return f"{whole}:{minute:02d}" if minute else str(whole)


_READERS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(FIELD_OF, _read_range),
    "name": _read_texts,
    "tag": _read_tags,
    "recorded": _read_period,
    "hour": _read_hours,
}
_WRITERS: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(FIELD_OF, _shown_range),
    "loudness": _shown_loudness,
    "recorded": _shown_period,
    "hour": _shown_hours,
}

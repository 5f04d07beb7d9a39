"""When a recording began: from what its header says, else from its name. A zone is kept only where it is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from pe_search.records import Facts

SOURCES = ("GUANO", "bext", "AudioMoth", "name", "tags")
"""What may say when a recording was made, as `when` gives it."""

_EARLIEST = datetime(1900, 1, 1)
_LATEST = datetime(2200, 1, 1)
_OFFSET = r"(?P<zone>Z|[+-]\d\d:?\d\d)?"
# 20240612_053000, 20240612T053000Z, 20240612-053000+0200
_COMPACT = re.compile(
    r"(?<!\d)(?P<year>(?:19|20|21)\d\d)(?P<month>\d\d)(?P<day>\d\d)[_T -](?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
    r"(?!\d)" + _OFFSET
)
# 2024-06-12T05-30-00, 2024-06-12_05.30.00, 2024-06-12 05:30:00+02:00
_DASHED = re.compile(
    r"(?<!\d)(?P<year>(?:19|20|21)\d\d)-(?P<month>\d\d)-(?P<day>\d\d)[_T -]"
    r"(?P<hour>\d\d)[-.:_h](?P<minute>\d\d)[-.:_m](?P<second>\d\d)(?!\d)" + _OFFSET
)
# Seconds of a clip within its recording: as pe-search names cuts (_31.20-34.00s), and BirdNET-Analyzer (_12.0s_15.0s).
_WITHIN = (
    re.compile(r"_(\d+(?:\.\d+)?)-\d+(?:\.\d+)?s(?![a-z])"),
    re.compile(r"_(\d+(?:\.\d+)?)s_\d+(?:\.\d+)?s(?![a-z])"),
)
# Recorded at 19:17:30 14/02/2022 (UTC-3:30) by AudioMoth 243B1F075C7BC7D8 …
_AUDIOMOTH = re.compile(
    r"Recorded at (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.\d+)? "
    r"(?P<day>\d\d)/(?P<month>\d\d)/(?P<year>\d{4})"
    r"(?: \(UTC(?P<zone>[+-]\d{1,2}(?::\d\d)?)?\))?(?= by AudioMoth)"
)
_ISO = re.compile(
    r"\s*(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
    r"(?P<fraction>[.,]\d{1,9})?\s*(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?\s*"
)
_PLAIN_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d\d)?")


def when(facts: Facts, name: str, zone: tzinfo | None = None) -> tuple[datetime, str] | None:
    """When the first sample of a clip was recorded, and what says so; None if nothing does.

    What recorders write (GUANO, bext, AudioMoth) comes before the file's name, and that before tags, which may tell
    when a file was encoded.

    Args:
        facts: What the file says of itself.
        name: Of the file.
        zone: Where it was recorded, for a time without a zone.
    """
    told = None if facts.recorded_at is None else (datetime.fromisoformat(facts.recorded_at), facts.recorded_by or "")
    named = from_name(name)
    if named is not None and (told is None or told[1] == "tags"):
        told = named, "name"
    if told is None:
        return None
    moment, by = told
    return (moment.replace(tzinfo=zone) if moment.tzinfo is None and zone is not None else moment), by


def from_text(text: str) -> datetime | None:
    """A time of ISO 8601 with a date, as GUANO and the tags of containers have it; None if it is none."""
    found = _ISO.fullmatch(text)
    return None if found is None else _moment(found.groupdict())


def from_bext(date: str, time: str) -> datetime | None:
    """The origination date and time of a Broadcast Wave (EBU Tech 3285), whatever stands between their numbers."""
    day = re.fullmatch(r"(?P<year>\d{4})\D(?P<month>\d\d)\D(?P<day>\d\d)", date.strip())
    clock = re.fullmatch(r"(?P<hour>\d\d)\D(?P<minute>\d\d)\D(?P<second>\d\d)", time.strip())
    return None if day is None or clock is None else _moment(day.groupdict() | clock.groupdict())


def from_audiomoth(comment: str) -> datetime | None:
    """The time in the comment that an AudioMoth writes, in the zone that it was set to; None if it is none."""
    found = _AUDIOMOTH.search(comment)
    if found is None:
        return None
    parts = found.groupdict()
    says_utc = "(UTC" in found.group()
    return _moment(parts | {"zone": (parts["zone"] or "Z") if says_utc else None})


def from_name(name: str) -> datetime | None:
    """The time in a file's name, and the seconds of a cut after it; None if there is none."""
    found = next(
        (match for form in (_COMPACT, _DASHED) for match in form.finditer(name) if _moment(match.groupdict())), None
    )
    if found is None:
        return None
    moment = _moment(found.groupdict())
    assert moment is not None
    rest = name[found.end() :]
    within = next((match for form in _WITHIN for match in form.finditer(rest)), None)
    return moment if within is None else moment + timedelta(seconds=float(within[1]))


def _moment(parts: Mapping[str, str | None]) -> datetime | None:
    """The time of its parts; None if there is no such time, or nobody can have recorded then."""
    try:
        numbers = [int(parts[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")]
        fraction = (parts.get("fraction") or ".0").replace(",", ".")
        moment = datetime(*numbers, microsecond=round(float(fraction) * 1e6) % 1_000_000)  # type: ignore[misc, arg-type]
        zone = _zone(parts.get("zone"))
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=zone) if _EARLIEST <= moment < _LATEST else None


def _zone(text: str | None) -> timezone | None:
    """The zone of an offset.

    Raises:
        ValueError: If no place on Earth has it.
    """
    if text is None:
        return None
    if text == "Z":
        return UTC
    found = _PLAIN_OFFSET.fullmatch(text)
    if found is None:
        raise ValueError(text)
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if offset > timedelta(hours=14) or int(minutes or 0) >= 60:
        raise ValueError(text)
    return timezone(-offset if sign == "-" else offset)

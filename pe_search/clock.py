"""Times as people read them and type them."""

from __future__ import annotations

import math
import re

_WITH_COLONS = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]{1,2}(?:\.[0-9]*)?)", re.ASCII)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss, with tenths where they are not zero."""
    tenths = round(seconds * 10)
    whole, tenth = divmod(tenths, 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{tenth}" if tenth else text


def read_seconds(text: str) -> float:
    """Seconds from `90`, `1:30` or `0:01:30.5`.

    Raises:
        ValueError: If the text is not a time, or the time is negative.
    """
    found = _WITH_COLONS.fullmatch(text)
    if found:
        hours, minutes, seconds = int(found[1] or 0), int(found[2]), float(found[3])
        is_time = seconds < 60 and (found[1] is None or minutes < 60)
        total_s = hours * 3_600 + minutes * 60 + seconds
    else:
        try:
            total_s = float(text)
        except ValueError:
            total_s = math.nan
        is_time = math.isfinite(total_s) and total_s >= 0
    if not is_time:
        raise ValueError(f"{text!r} is not a time; write 90, 1:30 or 0:01:30.5")
    return total_s

"""Names of time zones, as people type them."""

from __future__ import annotations

import re
from difflib import get_close_matches

from pe_search.errors import quoted

NO_ZONE = "none"
"""What is typed in place of a zone to forget one."""

_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])0?(\d{1,2})(?::?00)?", re.IGNORECASE)
# What depends on the machine, or says that there is none.
_NO_NAMES = {"localtime", "Factory"}
_MOST_OFFERED = 3


def zone_called(name: str) -> str:
    """The zone of a name, as the database of the IANA spells it: `europe/berlin` is `Europe/Berlin`.

    Raises:
        ValueError: If there is none; it offers some that are near.
    """
    from zoneinfo import available_timezones

    known = {zone.lower(): zone for zone in available_timezones() - _NO_NAMES}
    wanted = "_".join(name.split()).lower()
    if wanted in known:
        return known[wanted]
    if not known:
        raise ValueError("this system has no time zones; install the Python package tzdata")
    near = _near(wanted, known)
    others = "".join(f"{zone}, " for zone in near[:-2]) + " or ".join(near[-2:])
    offered = f"did you mean {others}?" if near else "write a region and a city, as in Europe/Berlin"
    raise ValueError(f"{quoted(name)} is not a time zone; {offered}")


def _near(wanted: str, known: dict[str, str]) -> list[str]:
    offset = _OFFSET.fullmatch(wanted)
    if offset is not None:
        # As POSIX has it, what is east of Greenwich is minus there.
        zone = f"etc/gmt{'-' if offset[1] == '+' else '+'}{int(offset[2])}"
        return [known[zone]] if zone in known else []
    cities: dict[str, list[str]] = {}
    for lower, zone in known.items():
        cities.setdefault(lower.rpartition("/")[2], []).append(zone)
    if wanted in cities:
        return sorted(cities[wanted])[:_MOST_OFFERED]
    near = get_close_matches(wanted, known, _MOST_OFFERED, 0.7)
    of_cities = get_close_matches(wanted.rpartition("/")[2], cities, 1, 0.8)
    return [known[one] for one in near] or [zone for city in of_cities for zone in sorted(cities[city])][:_MOST_OFFERED]

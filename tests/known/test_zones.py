"""Names of time zones, as people type them."""

from __future__ import annotations

import zoneinfo

import pytest

from pe_search.known.zones import zone_called


@pytest.mark.parametrize(
    ("typed", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/BERLIN", "Europe/Berlin"),
        (" america/new york ", "America/New_York"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("utc", "UTC"),
        ("Etc/GMT-2", "Etc/GMT-2"),
    ],
)
def test_a_zone_as_it_is_kept(typed, zone):
    assert zone_called(typed) == zone
    assert zoneinfo.ZoneInfo(zone).key == zone


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("Berlin", "did you mean Europe/Berlin?"),
        ("new york", "did you mean America/New_York?"),
        ("Europe/Berln", "did you mean Europe/Berlin, Europe/Dublin or Europe/Belfast?"),
        ("Lodon", "did you mean Europe/London?"),
        # What is ahead of UTC is minus in these names.
        ("+02:00", "did you mean Etc/GMT-2?"),
        ("UTC-3", "did you mean Etc/GMT+3?"),
        ("+05:30", "write a region and a city, as in Europe/Berlin"),
        ("UTC+99", "write a region and a city, as in Europe/Berlin"),
        ("xyzzy", "write a region and a city, as in Europe/Berlin"),
        ("", "write a region and a city, as in Europe/Berlin"),
        # It would be another one on each machine.
        ("localtime", "write a region and a city, as in Europe/Berlin"),
        ("../../etc/passwd", "write a region and a city, as in Europe/Berlin"),
    ],
)
def test_what_is_no_zone(typed, offered):
    with pytest.raises(ValueError) as error:
        zone_called(typed)
    assert str(error.value) == f"{typed!r} is not a time zone; {offered}"


def test_a_system_without_zones(monkeypatch):
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    with pytest.raises(ValueError, match="this system has no time zones; install the Python package tzdata"):
        zone_called("Europe/Berlin")

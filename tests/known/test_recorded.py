"""When a recording began, from headers and names of every kind."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pe_search.known.recorded import from_audiomoth, from_bext, from_name, from_text, when
from pe_search.records import Facts

NOON = datetime(2024, 6, 12, 5, 30)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20240612_053000.WAV", NOON),
        ("20240612-053000.wav", NOON),
        ("20240612T053000Z.flac", NOON.replace(tzinfo=UTC)),
        ("20240612T053000+0200.flac", NOON.replace(tzinfo=timezone(timedelta(hours=2)))),
        ("SMM09889_20230625_211402.wav", datetime(2023, 6, 25, 21, 14, 2)),
        ("site-4_20210510_180000Z.wav", datetime(2021, 5, 10, 18, tzinfo=UTC)),
        ("2024-06-12T05-30-00.ogg", NOON),
        ("2024-06-12 05.30.00.m4a", NOON),
        ("2024-06-12_05h30m00.mp3", NOON),
        ("2024-06-12T05:30:00-03:30.opus", NOON.replace(tzinfo=timezone(-timedelta(hours=3, minutes=30)))),
        # A cut of pe-search, and a segment of BirdNET-Analyzer.
        ("20240612_053000_31.20-34.00s_0.93.flac", NOON + timedelta(seconds=31.2)),
        ("0.913_20240612_053000_12.0s_15.0s.wav", NOON + timedelta(seconds=12)),
        # Not times: no such day, no such hour, part of a longer number, no time of day, an offset of no place.
        ("20240230_053000.wav", None),
        ("20240612_253000.wav", None),
        ("120240612_053000.wav", None),
        ("20240612_0530001.wav", None),
        ("20240612.wav", None),
        ("2024-06-12.wav", None),
        ("20240612T053000+9900.wav", None),
        ("kick 808.wav", None),
        ("", None),
        # The first that is one.
        ("99999999_999999_20240612_053000.wav", NOON),
        ("20241399_053000_20240612_053000.wav", NOON),
    ],
)
def test_the_time_in_a_name(name, expected):
    assert from_name(name) == expected


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        (
            "Recorded at 19:17:30 14/02/2022 (UTC) by AudioMoth 243B1F075C7BC7D8 at medium gain",
            datetime(2022, 2, 14, 19, 17, 30, tzinfo=UTC),
        ),
        (
            "Recorded at 05:30:00 12/06/2024 (UTC+2) by AudioMoth 24E144036037A5B0 at medium setting",
            NOON.replace(tzinfo=timezone(timedelta(hours=2))),
        ),
        (
            "Recorded at 05:30:00.250 12/06/2024 (UTC-3:30) by AudioMoth 24E144036037A5B0",
            NOON.replace(tzinfo=timezone(-timedelta(hours=3, minutes=30))),
        ),
        ("Recorded at 05:30:00 12/06/2024 by AudioMoth 24E144036037A5B0", NOON),
        ("Recorded at 05:30:00 31/02/2024 (UTC) by AudioMoth 24E144036037A5B0", None),
        ("Recorded at 05:30:00 12/06/2024 (UTC+99) by AudioMoth 24E144036037A5B0", None),
        ("Recorded at 05:30:00 12/06/2024 (UTC) by somebody", None),
        ("", None),
    ],
)
def test_the_comment_of_an_audiomoth(comment, expected):
    assert from_audiomoth(comment) == expected


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("2024-06-12", "05:30:00", NOON),
        ("2024:06:12", "05-30-00", NOON),
        ("2024/06/12", "05.30.00", NOON),
        ("2024-06-31", "05:30:00", None),
        ("2024-06-12", "", None),
        ("0000-00-00", "00:00:00", None),
        ("12.06.2024", "05:30:00", None),
    ],
)
def test_the_time_of_a_broadcast_wave(date, time, expected):
    assert from_bext(date, time) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-06-12T05:30:00", NOON),
        ("2024-06-12 05:30:00", NOON),
        ("2024-06-12T05:30:00.250Z", NOON.replace(microsecond=250_000, tzinfo=UTC)),
        ("2024-06-12T05:30:00.000000Z", NOON.replace(tzinfo=UTC)),
        ("2024-06-12T05:30:00+02:00", NOON.replace(tzinfo=timezone(timedelta(hours=2)))),
        ("2024-06-12T05:30:00+0200", NOON.replace(tzinfo=timezone(timedelta(hours=2)))),
        ("2024-06-12T05:30:00-07", NOON.replace(tzinfo=timezone(-timedelta(hours=7)))),
        ("2024-06-12T24:30:00", None),
        ("2024-06-12", None),
        ("yesterday", None),
        ("1604-01-01T00:00:00Z", None),
    ],
)
def test_iso_8601(text, expected):
    assert from_text(text) == expected


def test_recorders_come_before_names_and_names_before_tags():
    name = "20240612_053000.wav"
    assert when(Facts(recorded_at="2020-01-01T00:00:00", recorded_by="GUANO"), name) == (datetime(2020, 1, 1), "GUANO")
    assert when(Facts(recorded_at="2020-01-01T00:00:00", recorded_by="tags"), name) == (NOON, "name")
    assert when(Facts(recorded_at="2020-01-01T00:00:00", recorded_by="tags"), "x") == (datetime(2020, 1, 1), "tags")
    assert when(Facts(), name) == (NOON, "name")
    assert when(Facts(), "x") is None


def test_a_zone_is_for_times_that_have_none():
    berlin = ZoneInfo("Europe/Berlin")
    moment, _ = when(Facts(), "20240612_053000.wav", berlin)
    assert moment.isoformat() == "2024-06-12T05:30:00+02:00"
    moment, _ = when(Facts(), "20240612_053000Z.wav", berlin)
    assert moment.isoformat() == "2024-06-12T05:30:00+00:00"

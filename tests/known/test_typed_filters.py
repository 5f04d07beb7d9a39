"""Filters as people type them: each way to write them, and what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_search.known.filters import check_filters
from pe_search.known.typed_filters import FIELD_OF, FilterTextError, read_filters, typed_filters
from pe_search.queries import Filters


def read(name: str, text: object) -> object:
    return getattr(read_filters({name: text}), FIELD_OF[name])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("length", "0.1-2", (0.1, 2.0)),
        ("length", " 0.1 - 2 ", (0.1, 2.0)),
        ("length", "0.1..2", (0.1, 2.0)),
        ("length", "0.1\N{EN DASH}2", (0.1, 2.0)),
        ("length", "1:30-0:02:00.5", (90.0, 120.5)),
        ("length", "1:30-", (90.0, None)),
        ("length", "1:30..", (90.0, None)),
        ("length", "-5", (None, 5.0)),
        ("length", "..5", (None, 5.0)),
        ("length", "2", (2.0, 2.0)),
        ("length", "1:00", (60.0, 60.0)),
        ("length", "1.-.5e1", (1.0, 5.0)),
        ("rate", "44100-", (44_100.0, None)),
        ("rate", "8000-22050", (8_000.0, 22_050.0)),
        ("rate", "48000", (48_000.0, 48_000.0)),
        ("channels", "2", (2.0, 2.0)),
        ("channels", "1-2", (1.0, 2.0)),
        ("loudness", "-30--14", (-30.0, -14.0)),
        ("loudness", "-30..-14", (-30.0, -14.0)),
        ("loudness", "-30\N{EN DASH}-14", (-30.0, -14.0)),
        ("loudness", "-14", (-14.0, -14.0)),
        ("loudness", "-14.5", (-14.5, -14.5)),
        ("loudness", "-14-", (-14.0, None)),
        ("loudness", "-14..", (-14.0, None)),
        ("loudness", "--14", (None, -14.0)),
        ("loudness", "..-14", (None, -14.0)),
        ("loudness", "-3-0", (-3.0, 0.0)),
        ("loudness", "-3-+1.5", (-3.0, 1.5)),
        ("bpm", "118-122", (118.0, 122.0)),
        ("bpm", "120.5", (120.5, 120.5)),
        ("name", ["*.wav", "kick*"], ("*.wav", "kick*")),
        ("name", "*.wav", ("*.wav",)),
        ("recorded", "2024-06-01..2024-06-30", ("2024-06-01T00:00:00", "2024-07-01T00:00:00")),
        ("recorded", "2024-06-01", ("2024-06-01T00:00:00", "2024-06-02T00:00:00")),
        ("recorded", "2024-06", ("2024-06-01T00:00:00", "2024-07-01T00:00:00")),
        ("recorded", "2024-12", ("2024-12-01T00:00:00", "2025-01-01T00:00:00")),
        ("recorded", "2024-11..2025-02", ("2024-11-01T00:00:00", "2025-03-01T00:00:00")),
        ("recorded", "2024", ("2024-01-01T00:00:00", "2025-01-01T00:00:00")),
        ("recorded", "2024-06-01..", ("2024-06-01T00:00:00", None)),
        ("recorded", "..2024-06-30", (None, "2024-07-01T00:00:00")),
        ("recorded", "2024-02-29", ("2024-02-29T00:00:00", "2024-03-01T00:00:00")),
        ("recorded", "2024-06-01T05:00..2024-06-01T06:30", ("2024-06-01T05:00:00", "2024-06-01T06:30:00")),
        ("recorded", "2024-06-01 05:00:30..2024-06-01 06", ("2024-06-01T05:00:30", "2024-06-01T06:00:00")),
        ("recorded", "2024-06-01T22:00..2024-06-02", ("2024-06-01T22:00:00", "2024-06-03T00:00:00")),
        ("hour", "4-7", (4.0, 7.0)),
        ("hour", "04:00-07:00", (4.0, 7.0)),
        ("hour", "4:30-7", (4.5, 7.0)),
        ("hour", "22-4", (22.0, 4.0)),
        ("hour", "22-24", (22.0, 24.0)),
        ("hour", "22-0", (22.0, 0.0)),
        ("hour", "22-", (22.0, 24.0)),
        ("hour", "-4", (0.0, 4.0)),
        ("hour", "22..4", (22.0, 4.0)),
        ("hour", "5", (5.0, 6.0)),
        ("hour", "0", (0.0, 1.0)),
    ],
)
def test_each_way_to_write_it(name, text, expected):
    assert read(name, text) == expected
    check_filters(read_filters({name: text}))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("length", "", "'' must be a length or a range, such as 0.1-2, 1:30- or -5"),
        ("length", "-", "'-' must be a length"),
        ("length", "..", "'..' must be a length"),
        ("length", "long", "'long' must be a length"),
        ("length", "1-2-3", "'1-2-3' must be a length"),
        ("length", "--5", "'--5' must be a length"),
        ("length", "inf", "'inf' must be a length"),
        ("length", "1:90", "'1:90' must be a length"),
        ("length", "2-0.1", "'2-0.1' must go from the smaller to the larger number"),
        ("rate", "48k", "'48k' must be a rate in Hz or a range, such as 44100, 44100- or 8000-22050"),
        ("rate", "..-5", "'..-5' must be a rate"),
        ("rate", "1e400", "'1e400' must be a rate"),
        ("channels", "stereo", "'stereo' must be a number or a range, such as 2 or 1-2"),
        ("loudness", "quiet", "'quiet' must be a loudness in LUFS or a range, such as -14, -30..-14 or -20.."),
        ("loudness", "-14--30", "'-14--30' must go from the smaller to the larger number"),
        ("loudness", "-", "'-' must be a loudness"),
        ("bpm", "nan", "'nan' must be a tempo or a range, such as 120 or 118-122"),
        ("bpm", "١٢٠", "'١٢٠' must be a tempo"),
        ("name", [""], "must not be empty"),
        ("name", ["*", " "], "must not be empty"),
        ("recorded", "June", "'June' must be a day, a month or a range, such as 2024-06, 2024-06-01..2024-06-30 or "),
        ("recorded", "", "'' must be a day"),
        ("recorded", "..", "'..' must be a day"),
        ("recorded", "2024-6-1", "'2024-6-1' must be a day"),
        ("recorded", "2024-02-30", "'2024-02-30' must be a day"),
        ("recorded", "2024-13", "'2024-13' must be a day"),
        ("recorded", "0000", "'0000' must be a day"),
        ("recorded", "9999-12-31", "'9999-12-31' must be a day"),
        ("recorded", "2024-06-01T05:00Z..", "'2024-06-01T05:00Z..' must be a day"),
        ("recorded", "2024-06-01T25:00..", "'2024-06-01T25:00..' must be a day"),
        ("recorded", "2024-06-30..2024-06-01", "'2024-06-30..2024-06-01' must end after it starts"),
        ("recorded", "2024-06-01T05:00", "'2024-06-01T05:00' is one moment; write a range of times, as START..END"),
        ("hour", "dawn", "'dawn' must be an hour of the day or a range, such as 5, 4:30-7 or 22-4"),
        ("hour", "-", "'-' must be an hour"),
        ("hour", "24", "'24' must be an hour"),
        ("hour", "4:30", "'4:30' must be an hour"),
        ("hour", "4:60-7", "'4:60-7' must be an hour"),
        ("hour", "24-4", "'24-4' must be an hour"),
        ("hour", "4-25", "'4-25' must be an hour"),
        ("hour", "4-4", "'4-4' must end at another hour than it starts"),
    ],
)
def test_what_is_refused_says_what_is_wanted(name, text, said):
    with pytest.raises(FilterTextError) as raised:
        read(name, text)
    assert str(raised.value).startswith(said)
    assert raised.value.name == name


def test_what_was_not_typed_is_no_filter():
    nothing = dict.fromkeys(FIELD_OF)
    assert read_filters(nothing) == read_filters({}) == read_filters({"name": [], "tag": ()}) == Filters()
    assert not read_filters(nothing)


def test_a_day_comes_again_as_a_day():
    typed = {
        "length": "0.1-90",
        "rate": "44100-",
        "channels": "2",
        "name": ["*.wav", "Kick *"],
        "tag": ["a"],
        "recorded": "2024-06-01..2024-06-30",
        "hour": "4:30-7",
        "loudness": "-30..-14",
        "bpm": "-122",
    }
    expected = [
        (name, text) for name, texts in typed.items() for text in ([texts] if isinstance(texts, str) else texts)
    ]
    assert typed_filters(read_filters(typed)) == expected
    for text in ("2024-06-01", "2024-06-01..", "..2024-06-30", "2024-06-01T05:00..2024-06-01T06:30:10"):
        assert typed_filters(read_filters({"recorded": text})) == [("recorded", text)]


numbers = st.integers(0, 10**6).map(lambda number: number / 8)
positive = st.tuples(st.none() | numbers, st.none() | numbers)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(lambda one: one.replace(microsecond=0))
days = moments.map(lambda one: one.replace(hour=0, minute=0, second=0))
quarters = st.integers(0, 24 * 60).map(lambda minutes: minutes / 60)


def in_order(pair):
    return tuple(sorted(pair)) if None not in pair else pair


@given(
    length=positive,
    loudness=st.tuples(st.none() | numbers.map(lambda one: -one), st.none() | numbers.map(lambda one: 10 - one)),
    recorded=st.tuples(moments | days, st.none() | st.integers(1, 10**6), st.booleans()),
    hours=st.tuples(quarters, quarters),
    names=st.lists(st.text(min_size=1).filter(str.strip), max_size=3),
)
def test_what_filters_are_typed_as_makes_them_again(length, loudness, recorded, hours, names):
    start, minutes, has_start = recorded
    end = None if minutes is None else start + timedelta(minutes=minutes)
    period = (start.isoformat() if has_start or end is None else None, None if end is None else end.isoformat())
    filters = Filters(
        length_s=None if length == (None, None) else in_order(length),
        loudness_lufs=None if loudness == (None, None) else in_order(loudness),
        recorded=period,
        hours=hours if hours[0] < 24 and hours[0] != hours[1] else None,
        names=tuple(names),
    )
    typed: dict[str, list[str]] = {}
    for name, text in typed_filters(filters):
        typed.setdefault(name, []).append(text)
    given_again = {name: texts if name in ("name", "tag") else texts[0] for name, texts in typed.items()}
    again = read_filters(given_again)
    assert again == filters or again.hours == pytest.approx(filters.hours)

"""Times as people read them and type them."""

from __future__ import annotations

import pytest

from pe_search.clock import clock, read_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("90.5", 90.5),
        (".5", 0.5),
        ("0", 0.0),
        ("1:30", 90.0),
        ("1:30.25", 90.25),
        ("0:01:30.5", 90.5),
        ("90:00", 5_400.0),
        ("2:00:00", 7_200.0),
        ("1:5", 65.0),
    ],
)
def test_a_time_is_read(text, seconds):
    assert read_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-1", "-1:30", "1:60", "1:60:00", "1:2:3:4", "1:", ":30", "one", "1:-3", "1,5", "²"]
)
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match=r"is not a time; write 90, 1:30 or 0:01:30\.5$"):
        read_seconds(text)


@pytest.mark.parametrize("seconds", [0.0, 1.5, 59.9, 60.0, 3_599.9, 3_600.0, 86_399.5])
def test_a_time_may_be_typed_as_it_is_shown(seconds):
    assert read_seconds(clock(seconds)) == seconds

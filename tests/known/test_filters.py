"""What filters mean, clip by clip and window by window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_search.known.filters import (
    is_at,
    is_named,
    is_whole_in,
    lacking,
    local_s,
    may_be_in,
    may_take,
    takes,
)
from pe_search.queries import Filters
from pe_search.records import Facts, IndexedClip
from pe_search.store.finding import _are_at, _are_whole_in, _may_be_in

CLIP = IndexedClip(
    Path("/s/Kick 01.WAV"),
    1,
    1,
    2.0,
    1,
    None,
    b"",
    facts=Facts(sample_rate_hz=44_100, channels=2, bpm=120.0, loudness_lufs=-14.0),
    tags=("good", "loud"),
    recorded_at="2024-06-12T05:30:00+02:00",
)
UNKNOWN = IndexedClip(Path("/s/x.wav"), 1, 1, None, 1, None, b"")


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (Filters(), True),
        (Filters(length_s=(2, 2)), True),
        (Filters(length_s=(None, 1.99)), False),
        (Filters(length_s=(2.01, None)), False),
        (Filters(sample_rate_hz=(44_100, None)), True),
        (Filters(sample_rate_hz=(None, 44_099)), False),
        (Filters(channels=(2, 2)), True),
        (Filters(channels=(1, 1)), False),
        (Filters(loudness_lufs=(-30, -14)), True),
        (Filters(loudness_lufs=(-13.9, None)), False),
        (Filters(bpm=(118, 122)), True),
        (Filters(bpm=(120.1, None)), False),
        (Filters(names=("kick*",)), True),
        (Filters(names=("*.wav",)), True),
        (Filters(names=("*snare*", "kick ??.wav")), True),
        (Filters(names=("s/*",)), True),
        (Filters(names=("/s/*",)), True),
        (Filters(names=("/*.wav",)), True),
        (Filters(names=("t/*",)), False),
        (Filters(names=("/kick*",)), False),
        (Filters(names=("kick",)), False),
        (Filters(names=("[!k]*",)), False),
        (Filters(tags=("loud",)), True),
        (Filters(tags=("loud", "good")), True),
        (Filters(tags=("loud", "bad")), False),
        (Filters(tags=("Loud",)), False),
        # The clock of the recorder counts, wherever it was.
        (Filters(recorded=("2024-06-12T05:30:00", None)), True),
        (Filters(recorded=(None, "2024-06-12T05:30:00")), False),
        (Filters(recorded=("2024-06-12", "2024-06-13")), True),
        (Filters(hours=(5, 6)), True),
        (Filters(hours=(5.5, 6)), True),
        (Filters(hours=(22, 5.5)), False),
        (Filters(hours=(22, 5.6)), True),
        (Filters(hours=(5, 6), bpm=(1, 2)), False),
    ],
)
def test_a_clip_passes(filters, passes):
    assert takes(filters, CLIP) is passes
    assert may_take(filters, CLIP) is passes
    assert bool(filters) is (filters != Filters())


def test_nothing_passes_of_which_nothing_is_known():
    asked = {
        "length_s": (None, 9.0),
        "sample_rate_hz": (1.0, None),
        "channels": (1.0, None),
        "loudness_lufs": (-99.0, None),
        "bpm": (None, 999.0),
        "recorded": ("1900-01-01", None),
        "hours": (0.0, 24.0),
    }
    for field, value in asked.items():
        filters = Filters(**{field: value})
        assert not takes(filters, UNKNOWN)
        assert not may_take(filters, UNKNOWN)
        assert list(lacking(filters, UNKNOWN)) == [field]
        assert list(lacking(filters, CLIP)) == []
    assert sorted(lacking(Filters(**asked), UNKNOWN)) == sorted(asked)
    assert takes(Filters(names=("x*",)), UNKNOWN)
    assert list(lacking(Filters(names=("x*",), tags=("a",)), UNKNOWN)) == []


def test_a_window_passes_by_the_time_at_which_it_begins():
    filters = Filters(recorded=("2024-06-12T05:30:10", "2024-06-12T05:30:20"))
    assert [start_s for start_s in range(0, 40, 5) if takes(filters, CLIP, start_s)] == [10, 15]
    assert may_take(filters, IndexedClip(CLIP.path, 1, 1, 10.0, 1, None, b"", recorded_at=CLIP.recorded_at))
    # It ends before; and one of unknown length may go on.
    assert not may_take(filters, CLIP)
    assert may_take(filters, IndexedClip(CLIP.path, 1, 1, None, 1, None, b"", recorded_at=CLIP.recorded_at))


def test_case_of_names_counts_nowhere_and_bytes_that_are_no_text_match_what_they_are():
    assert is_named(["ÜBER*"])("/s/über.wav".encode())
    assert is_named(["*\udcff.wav"])(b"/s/a\xff.wav")
    assert not is_named(["a.wav"])(b"/s/a\xff.wav")
    assert is_named([])(b"anything")


def test_a_pattern_that_is_meant_to_take_forever_does_not():
    assert not is_named(["*a" * 100 + "b"])(b"/s/" + b"a" * 250)


hours = st.tuples(st.floats(0, 23.9), st.floats(0, 24)).filter(lambda pair: pair[0] != pair[1])
moments = st.sampled_from(
    [
        "1899-12-31T23:00:00",
        "2024-06-01T00:00:00",
        "2024-06-01T04:00:00",
        "2024-06-02T03:59:59.5",
        "2024-06-03T12:00:00",
    ]
)
periods = st.tuples(st.none() | moments, st.none() | moments).filter(lambda pair: None in pair or pair[0] < pair[1])
filters_of_time = st.builds(Filters, hours=st.none() | hours, recorded=st.none() | periods).filter(bool)


@given(
    filters=filters_of_time,
    recorded=moments,
    ahead_s=st.floats(-90_000, 90_000),
    duration_s=st.sampled_from([0.0, 10.0, 3_600.0, 90_000.0]),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
def test_what_is_sure_of_a_whole_recording_is_so_of_each_moment_in_it(filters, recorded, ahead_s, duration_s, shares):
    recorded_s = local_s(recorded) + ahead_s
    inside = [is_at(filters, recorded_s, share * duration_s) for share in (0.0, *shares, 1.0)]
    if is_whole_in(filters, recorded_s, duration_s):
        assert all(inside)
    if not may_be_in(filters, recorded_s, duration_s):
        assert not any(inside)
    # Of many at once it comes to the same.
    starts_s = recorded_s + np.array(shares) * duration_s
    assert _are_at(filters, starts_s).tolist() == [is_at(filters, one) for one in starts_s.tolist()]
    known = np.array([recorded_s, np.nan, recorded_s]), np.array([duration_s, duration_s, np.nan])
    assert _are_whole_in(filters, *known).tolist() == [is_whole_in(filters, recorded_s, duration_s), False, False]
    may = may_be_in(filters, recorded_s, duration_s)
    assert _may_be_in(filters, *known).tolist() == [may, False, may_be_in(filters, recorded_s, float("inf"))]

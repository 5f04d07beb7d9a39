"""Cutting a stream of audio into windows."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pe_search.audio.windows import cut_windows, fill_last_frame
from pe_search.records import Hearing, Window

RATE_HZ = 48_000


def ramp(samples: int) -> NDArray[np.float32]:
    """Audio whose samples tell their own place."""
    return np.arange(samples, dtype=np.float32)


def cut_at(audio: NDArray[np.float32], places: Sequence[int]) -> list[NDArray[np.float32]]:
    return np.split(audio, sorted(place for place in places if place <= len(audio)))


def places_of(windows: Sequence[Window]) -> list[tuple[int, int]]:
    """Start and end of each window in samples, having checked that they are what the samples and times say."""
    places = []
    for window in windows:
        start, end = int(window.samples[0]), int(window.samples[-1]) + 1
        np.testing.assert_array_equal(window.samples, np.arange(start, end))
        assert (window.start_s, window.end_s) == (start / RATE_HZ, end / RATE_HZ)
        assert window.samples.dtype == np.float32
        places.append((start, end))
    return places


def cut(samples: int, length: int, hop: int, places: Sequence[int] = ()) -> list[tuple[int, int]]:
    blocks = cut_at(ramp(samples), places)
    return places_of(list(cut_windows(blocks, length / RATE_HZ, hop / RATE_HZ)))


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, int, int, list[int]]:
    """Samples, length, hop (at most the length), and where the stream is cut into blocks, some of them empty."""
    samples = draw(st.integers(1, 300))
    length = draw(st.integers(1, 60))
    hop = draw(st.integers(1, length))
    return samples, length, hop, draw(st.lists(st.integers(0, samples), max_size=20))


@given(cuts())
def test_windows_start_at_each_hop_and_the_last_one_ends_with_the_clip(made):
    samples, length, hop, places = made
    if samples <= length:
        expected = [(0, samples)]
    else:
        starts = list(range(0, samples - length + 1, hop))
        if starts[-1] + length < samples:
            starts.append(samples - length)
        expected = [(start, start + length) for start in starts]
    assert cut(samples, length, hop, places) == expected


@given(cuts())
def test_every_sample_is_in_a_window_and_all_windows_are_of_one_length(made):
    samples, length, hop, places = made
    found = cut(samples, length, hop, places)
    assert set().union(*(range(start, end) for start, end in found)) == set(range(samples))
    assert {end - start for start, end in found} == {min(length, samples)}
    assert found[-1][1] == samples
    assert found == sorted(set(found))


@given(cuts())
def test_the_way_in_which_the_stream_is_cut_into_blocks_does_not_matter(made):
    samples, length, hop, places = made
    assert cut(samples, length, hop, places) == cut(samples, length, hop) == cut(samples, length, hop, range(samples))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.5, [(0, 0.5)]),
        (10, [(0, 10)]),
        (20, [(0, 10), (10, 20)]),
        (25, [(0, 10), (10, 20), (15, 25)]),
        (20 + 1 / RATE_HZ, [(0, 10), (10, 20), (10 + 1 / RATE_HZ, 20 + 1 / RATE_HZ)]),
    ],
)
def test_windows_of_ten_seconds(seconds, expected):
    blocks = np.array_split(np.zeros(round(seconds * RATE_HZ), np.float32), 7)
    windows = list(cut_windows(blocks, 10.0, 10.0))
    assert [(window.start_s, window.end_s) for window in windows] == expected
    assert {len(window.samples) for window in windows} == {min(10 * RATE_HZ, round(seconds * RATE_HZ))}


def test_a_hop_that_is_no_whole_number_of_samples_does_not_drift():
    hop_s = 1001.4 / RATE_HZ
    windows = list(cut_windows([ramp(100_000)], 2000 / RATE_HZ, hop_s))
    assert [start for start, _ in places_of(windows)[:-1]] == list(range(0, 98_001, 1001))


def test_a_hop_longer_than_the_window_leaves_nothing_unheard():
    assert cut(100, 10, 25) == cut(100, 10, 10)


@pytest.mark.parametrize("blocks", [[], [np.empty(0, np.float32)]])
def test_no_audio_makes_no_window(blocks):
    assert list(cut_windows(blocks, 10.0, 10.0)) == []


def test_windows_that_overlap_share_no_memory():
    first, second = cut_windows([ramp(6)], 4 / RATE_HZ, 2 / RATE_HZ)
    first.samples[:] = -1
    np.testing.assert_array_equal(second.samples, [2, 3, 4, 5])


def test_a_window_is_out_as_soon_as_its_last_sample_is_in():
    taken = []

    def blocks() -> Iterator[NDArray[np.float32]]:
        for number, block in enumerate(np.split(ramp(40), 8)):
            taken.append(number)
            yield block

    windows = cut_windows(blocks(), 10 / RATE_HZ, 10 / RATE_HZ)
    assert next(windows).samples[-1] == 9
    assert taken == [0, 1]


def test_memory_does_not_grow_with_the_recording():
    def blocks() -> Iterator[NDArray[np.float32]]:
        for _ in range(300):
            yield np.zeros(RATE_HZ, np.float32)

    tracemalloc.start()
    try:
        count = sum(1 for _ in cut_windows(blocks(), 2.0, 2.0))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 150
    # A window that is out, one that is held, the blocks around it: some seconds, and not 300.
    assert peak_bytes < 12 * RATE_HZ * 4


@given(st.integers(1, 100), st.integers(1, 40), st.lists(st.integers(0, 100), max_size=10))
def test_the_last_frame_is_filled_as_numpy_reflects_the_whole_clip(samples, samples_per_frame, places):
    filled = np.concatenate(list(fill_last_frame(cut_at(ramp(samples), places), samples_per_frame)))
    missing = -samples % samples_per_frame
    np.testing.assert_array_equal(filled, np.pad(ramp(samples), (0, missing), "reflect"))
    assert filled.dtype == np.float32


def test_whole_frames_are_passed_on_as_they_are():
    blocks = cut_at(ramp(1920 * 3), [7, 2000])
    passed = list(fill_last_frame(blocks, 1920))
    assert len(passed) == 3
    assert all(came is went for came, went in zip(passed, blocks, strict=True))


@given(cuts())
def test_times_of_expanded_time_are_those_of_the_file(made):
    samples, length, hop, places = made
    blocks = cut_at(ramp(samples), places)
    plain = list(cut_windows(blocks, length / RATE_HZ, hop / RATE_HZ))
    slow = list(cut_windows(blocks, length / RATE_HZ, hop / RATE_HZ, Hearing(speed=0.1)))
    for one, other in zip(plain, slow, strict=True):
        assert (other.start_s, other.end_s) == (pytest.approx(one.start_s / 10), pytest.approx(one.end_s / 10))
        np.testing.assert_array_equal(other.samples, one.samples)

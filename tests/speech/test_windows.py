"""Speech is cut into windows that overlap, however the audio streams by."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_search.audio.resample import resampled
from pe_search.speech.windows import cut_speech
from tests.made_up import tone

RATE_HZ = 100


def blocks_of(samples: np.ndarray, length: int) -> list[np.ndarray]:
    return [samples[start : start + length] for start in range(0, len(samples), length)]


def cut(length_s: float, stretches: list[tuple[float, float]], block: int = 70, window_s: float = 10.0):
    samples = np.arange(round(length_s * RATE_HZ), dtype=np.float32)
    return list(cut_speech(blocks_of(samples, block), stretches, RATE_HZ, window_s, 2.0))


def test_a_short_stretch_is_one_window():
    (window,) = cut(30, [(3.0, 9.0)])
    assert (window.start_s, window.end_s, window.is_first) == (3.0, 9.0, True)
    assert window.samples.tolist() == list(range(300, 900))


def test_windows_overlap_and_the_last_one_ends_with_the_stretch():
    windows = cut(60, [(5.0, 30.0)])
    assert [(one.start_s, one.end_s, one.is_first) for one in windows] == [
        (5.0, 15.0, True),
        (13.0, 23.0, False),
        (20.0, 30.0, False),
    ]


def test_each_stretch_begins_anew():
    windows = cut(60, [(0.0, 4.0), (4.0, 8.0), (50.0, 61.0)])
    assert [(one.start_s, one.end_s, one.is_first) for one in windows] == [
        (0.0, 4.0, True),
        (4.0, 8.0, True),
        (50.0, 60.0, True),
    ]


def test_what_lies_beyond_the_audio_is_nothing():
    assert cut(10, [(10.0, 20.0)]) == []
    assert cut(10, []) == []
    assert cut(0, [(0.0, 5.0)]) == []


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5_000), st.lists(st.integers(0, 4_500), min_size=1, max_size=8, unique=True), st.integers(1, 900))
def test_every_sample_of_every_stretch_is_in_a_window_and_no_other_is(length, edges, block):
    edges = sorted(edges)
    stretches = [(a / RATE_HZ, b / RATE_HZ) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    windows = cut(length / RATE_HZ, stretches, block)
    wanted = {
        sample
        for start_s, end_s in stretches
        for sample in range(round(start_s * RATE_HZ), min(length, round(end_s * RATE_HZ)))
    }
    assert {int(sample) for one in windows for sample in one.samples} == wanted
    for one in windows:
        assert one.samples[0] == round(one.start_s * RATE_HZ)
        assert one.samples[-1] == round(one.end_s * RATE_HZ) - 1
        assert len(one.samples) <= 1_000
    following = [pair for pair in pairwise(windows) if not pair[1].is_first]
    assert all(round((one.end_s - after.start_s) * RATE_HZ) >= 2 * RATE_HZ for one, after in following)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050])
def test_resampled_blocks_are_the_same_sound(rate_hz):
    samples = tone(3, 440)
    found = np.concatenate(list(resampled(blocks_of(samples, 7_777), rate_hz)))
    assert len(found) == 3 * rate_hz
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(found)) / rate_hz)
    assert np.abs(found - expected)[500:-500].max() < 1e-3

"""Overlapping windows become one row of frames."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pe_search.spans.crossfade import join_windows


def joined(windows: list[tuple[int, NDArray[np.float32]]], overlap: int) -> NDArray[np.float32]:
    return np.concatenate(list(join_windows(windows, overlap)))


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, list[int], int, int]:
    """Frames, starts of windows of one length that leave none out, that length, and the overlap to fade over."""
    length = draw(st.integers(1, 12))
    starts = [0]
    for step in draw(st.lists(st.integers(1, length), max_size=8)):
        starts.append(starts[-1] + step)
    return starts[-1] + length, starts, length, draw(st.integers(0, 12))


def oracle(frames: int, windows: list[tuple[int, NDArray[np.float32]]], overlap: int) -> NDArray[np.float64]:
    """Every frame from all windows that hold it, by the weights as the docstring words them."""
    result = np.empty((frames, windows[0][1].shape[1]))
    for frame in range(frames):
        heard = [
            (min(frame - first + 1, first + len(values) - frame, overlap + 1), values[frame - first])
            for first, values in windows
            if first <= frame < first + len(values)
        ]
        result[frame] = sum(weight * value for weight, value in heard) / sum(weight for weight, _ in heard)
    return result


@given(cuts(), st.randoms(use_true_random=False))
def test_equals_the_weighted_mean_of_all_windows_that_hold_a_frame(cut, random):
    frames, starts, length, overlap = cut
    rng = np.random.default_rng(random.getrandbits(32))
    windows = [(start, rng.normal(size=(length, 2)).astype(np.float32)) for start in starts]
    np.testing.assert_allclose(joined(windows, overlap), oracle(frames, windows, overlap), rtol=1e-5, atol=1e-6)


@given(cuts())
def test_windows_that_agree_come_out_as_they_are(cut):
    frames, starts, length, overlap = cut
    whole = np.random.default_rng(0).normal(size=(frames, 3)).astype(np.float32)
    windows = [(start, whole[start : start + length]) for start in starts]
    np.testing.assert_allclose(joined(windows, overlap), whole, rtol=1e-6)


def test_a_window_fades_into_the_next_by_equal_steps():
    windows = [(0, np.zeros((6, 1), np.float32)), (3, np.ones((6, 1), np.float32))]
    expected = [0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1]
    np.testing.assert_allclose(joined(windows, 3)[:, 0], expected, atol=1e-6)


def test_without_overlap_windows_are_set_side_by_side():
    windows = [(0, np.zeros((2, 1), np.float32)), (2, np.ones((2, 1), np.float32))]
    assert joined(windows, 0)[:, 0].tolist() == [0, 0, 1, 1]


def test_no_windows():
    assert list(join_windows([], 3)) == []


def test_frames_come_out_as_soon_as_no_window_can_change_them():
    pieces = join_windows(((start, np.zeros((10, 1), np.float32)) for start in range(0, 80, 8)), 2)
    assert [len(piece) for piece in pieces] == [8] * 9 + [10]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_windows():
    def peak_bytes(count: int) -> int:
        tracemalloc.start()
        for _ in join_windows(((200 * n, np.ones((250, 16), np.float32)) for n in range(count)), 50):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(1000) < 1.1 * peak_bytes(10)

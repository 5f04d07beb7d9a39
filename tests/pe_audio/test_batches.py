"""Which windows go through a model together."""

from __future__ import annotations

import numpy as np

from pe_search.pe_audio.batches import batches, side_by_side

MOST = 2 * 48_000


def test_a_batch_has_at_most_a_tenth_of_padding():
    lengths = [frames * 1920 for frames in (20, 5, 13, 18, 1, 20, 15, 18, 1, 17, 9)]
    # Two of these are as much as goes in 2 s; 17 and 15 leave 2 of 34 empty, 13 and 9 would leave 4 of 26.
    assert list(batches(lengths, MOST)) == [[0, 5], [3, 7], [9, 6], [2], [10], [1], [4, 8]]
    rng = np.random.default_rng(0)
    many = [int(length) for length in rng.integers(5, 21, 300) * 1920]
    found = list(batches(many, MOST))
    assert sorted(row for batch in found for row in batch) == list(range(300))
    for batch in found:
        held = [many[row] for row in batch]
        assert sum(held) >= 0.9 * max(held) * len(held)
        assert max(held) * len(held) <= MOST
    # What a batch holds is bounded by its seconds more often than by its padding.
    assert len(found) < 1.3 * sum(many) / MOST


def test_a_window_that_is_longer_than_a_batch_goes_alone():
    assert list(batches([10, 10, 3], 5)) == [[0], [1], [2]]
    assert list(batches([], 5)) == []


def test_a_shorter_window_is_followed_by_zeros():
    windows = [np.array([1, 2, 3], np.float32), np.array([4], np.float32)]
    assert side_by_side(windows).tolist() == [[[1, 2, 3]], [[4, 0, 0]]]

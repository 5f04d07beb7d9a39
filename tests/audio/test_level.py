"""Quiet windows are brought up to a usual level, within a bound."""

from __future__ import annotations

import numpy as np
import pytest

from pe_search.audio.level import levelled, loudest_db
from pe_search.audio.windows import cut_windows
from pe_search.records import Hearing
from tests.made_up import noise, tone

USUAL_DB = -35.0
MOST_GAIN_DB = 40.0


def at(level_db: float, seconds: float = 3.0) -> np.ndarray:
    """A sine with a power of so many dB relative to full scale."""
    return (tone(seconds, 1_000) * (10 ** (level_db / 20) * np.sqrt(2) / 0.5)).astype(np.float32)


@pytest.mark.parametrize("level_db", [0.0, -20.0, -60.0, -90.0])
def test_the_loudest_stretch_is_known_to_a_tenth_of_a_decibel(level_db):
    assert loudest_db(at(level_db)) == pytest.approx(level_db, abs=0.1)


@pytest.mark.parametrize(
    ("level_db", "gain_db"),
    [(-36.0, 1.0), (-45.0, 10.0), (-60.0, 25.0), (-74.9, 39.9), (-75.1, 40.0), (-90.0, 40.0), (-120.0, 40.0)],
)
def test_a_quiet_window_is_brought_up_with_a_bound(level_db, gain_db):
    samples = at(level_db)
    louder = levelled(samples, "auto")
    assert louder.dtype == np.float32
    assert 20 * np.log10(np.std(louder) / np.std(samples)) == pytest.approx(gain_db, abs=0.1)
    assert loudest_db(louder) == pytest.approx(min(USUAL_DB, level_db + MOST_GAIN_DB), abs=0.1)


@pytest.mark.parametrize("level_db", [-34.9, -20.0, 0.0, 6.0])
def test_a_window_that_is_loud_enough_is_left_alone(level_db):
    samples = at(level_db)
    assert levelled(samples, "auto") is samples


def test_none_leaves_everything_alone():
    samples = at(-80.0)
    assert levelled(samples, "none") is samples


def test_a_short_sound_in_silence_counts_by_its_loudest_stretch():
    samples = np.zeros(10 * 48_000, np.float32)
    samples[4 * 48_000 : 5 * 48_000] = at(-60.0, 1.0)
    louder = levelled(samples, "auto")
    assert loudest_db(louder) == pytest.approx(USUAL_DB, abs=0.1)


def test_silence_stays_silence():
    samples = np.zeros(48_000, np.float32)
    assert loudest_db(samples) == -np.inf
    assert not levelled(samples, "auto").any()
    assert np.isfinite(levelled(samples, "auto")).all()


@pytest.mark.parametrize("samples", [1, 2, 100, 9_600, 19_200, 19_201])
def test_very_short_windows(samples):
    quiet = at(-60.0)[:samples] + np.float32(1e-4)
    louder = levelled(quiet, "auto")
    assert louder.shape == (samples,)
    assert np.isfinite(louder).all()
    gain = louder / quiet
    np.testing.assert_allclose(gain, gain[0], rtol=1e-5)
    assert 1 <= gain[0] <= 100.001


def test_each_window_of_a_clip_has_a_gain_of_its_own():
    quiet, loud = at(-50.0, 2.0), noise(2.0)
    blocks = [np.concatenate([quiet, loud])]
    first, second = cut_windows(blocks, 2.0, 2.0, Hearing(level="auto"))
    assert loudest_db(first.samples) == pytest.approx(USUAL_DB, abs=0.1)
    np.testing.assert_array_equal(second.samples, loud)


@pytest.mark.filterwarnings("error")
def test_samples_too_large_to_square_are_left_alone_without_a_warning():
    samples = np.full(48_000, 1e30, np.float32)
    assert loudest_db(samples) == np.inf
    assert levelled(samples, "auto") is samples

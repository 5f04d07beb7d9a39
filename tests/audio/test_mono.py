"""Channels become one: their mean, or the strongest where that cancels them out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pe_search.audio.mono import Mixer, integer_scale
from tests.made_up import noise, tone

RATE_HZ = 48_000
Samples = NDArray[np.float32]


def mixed(samples: Samples, block: int = RATE_HZ) -> Samples:
    mixer = Mixer(RATE_HZ)
    return np.concatenate([mixer.mix(samples[start : start + block]) for start in range(0, len(samples), block)])


def stereo(left: Samples, right: Samples) -> Samples:
    return np.stack([left, right], axis=1)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 7, 8])
def test_channels_become_their_mean(channels):
    samples = noise(3.3, channels=channels).reshape(-1, channels)
    np.testing.assert_array_equal(mixed(samples), samples.mean(axis=1, dtype=np.float32))
    np.testing.assert_allclose(mixed(samples), samples.mean(axis=1, dtype=np.float64), rtol=0, atol=1e-7)


@pytest.mark.parametrize("likeness", [1.0, 0.5, 0.0, -0.5, -0.8])
def test_channels_with_something_in_common_become_their_exact_mean(likeness):
    left = noise(3.0)
    right = likeness * left + np.sqrt(1 - likeness**2) * noise(3.0, seed=1)
    samples = stereo(left, right.astype(np.float32))
    np.testing.assert_array_equal(mixed(samples), samples.mean(axis=1, dtype=np.float32))


@pytest.mark.parametrize("gain", [1.0, 0.95, 0.8])
def test_a_channel_that_is_turned_upside_down_does_not_silence_the_other(gain):
    left = noise(3.0)
    np.testing.assert_array_equal(mixed(stereo(left, -np.float32(gain) * left)), left)


def test_the_strongest_channel_is_kept_as_the_levels_change():
    left = noise(4.0)
    right = -left.copy()
    right[2 * RATE_HZ :] *= np.float32(1.1)
    np.testing.assert_array_equal(mixed(stereo(left, right)), left)


def test_a_clip_that_is_partly_upside_down_has_no_clicks():
    left = tone(6.0, 100)
    right = left.copy()
    right[2 * RATE_HZ : 4 * RATE_HZ] *= -1
    mono = mixed(stereo(left, right))
    # From one way of mixing to the other within 10 ms.
    fades = np.r_[2 * RATE_HZ : 2 * RATE_HZ + 480, 4 * RATE_HZ : 4 * RATE_HZ + 480]
    np.testing.assert_allclose(np.delete(mono, fades), np.delete(left, fades), rtol=0, atol=1e-6)
    assert np.abs(np.diff(mono)).max() < 1.5 * np.abs(np.diff(left)).max()
    # Where the channels differ by more than the sign, what is heard changes within 10 ms, and no faster.
    right *= np.float32(0.9)
    mono = mixed(stereo(left, right))
    assert np.abs(np.diff(mono)).max() < 1.2 * np.abs(np.diff(left)).max()
    np.testing.assert_allclose(mono[: 2 * RATE_HZ], 0.95 * left[: 2 * RATE_HZ], rtol=0, atol=1e-6)
    inner = slice(2 * RATE_HZ + 480, 4 * RATE_HZ)
    np.testing.assert_allclose(mono[inner], left[inner], rtol=0, atol=1e-6)
    last = slice(4 * RATE_HZ + 480, None)
    np.testing.assert_allclose(mono[last], 0.95 * left[last], rtol=0, atol=1e-6)


def test_one_live_channel_of_eight_is_heard_in_the_mean():
    samples = np.zeros((2 * RATE_HZ, 8), np.float32)
    samples[:, 5] = noise(2.0)
    np.testing.assert_array_equal(mixed(samples), samples[:, 5] / 8)


def test_a_dead_channel_is_half_of_the_mean():
    left = noise(2.0)
    np.testing.assert_array_equal(mixed(stereo(left, np.zeros_like(left))), left / 2)


def test_a_constant_offset_is_kept():
    left = noise(2.0) / 4 + np.float32(0.25)
    samples = stereo(left, left)
    np.testing.assert_array_equal(mixed(samples), left)


def test_silence_is_silence():
    assert not mixed(np.zeros((2 * RATE_HZ, 2), np.float32)).any()


def test_silence_between_upside_down_stretches_changes_nothing_that_is_heard():
    left = noise(6.0)
    left[2 * RATE_HZ : 4 * RATE_HZ] = 0
    mono = mixed(stereo(left, -left))
    np.testing.assert_allclose(mono[RATE_HZ // 100 : 2 * RATE_HZ], left[RATE_HZ // 100 : 2 * RATE_HZ], atol=1e-7)
    assert not mono[2 * RATE_HZ : 4 * RATE_HZ].any()
    np.testing.assert_allclose(mono[4 * RATE_HZ + 480 :], left[4 * RATE_HZ + 480 :], atol=1e-7)


@pytest.mark.parametrize("samples", [0, 1, 5])
def test_very_short_blocks(samples):
    left = noise(1.0)[:samples]
    mixer = Mixer(RATE_HZ)
    mixer.mix(stereo(noise(1.0), -noise(1.0)))
    assert len(mixer.mix(stereo(left, left))) == samples


@pytest.mark.parametrize(
    ("peak", "scale"),
    [
        *((0.0, None), (1.0, None), (31.9, None), (32.0, 2.0**15), (32_768.0, 2.0**15), (32_769.0, 2.0**23)),
        *((2.0**23, 2.0**23), (2.0**23 + 1, 2.0**31), (2.0**31, 2.0**31), (2.1 * 2.0**31, None)),
    ],
)
def test_the_scale_of_integers(peak, scale):
    assert integer_scale(peak) == scale

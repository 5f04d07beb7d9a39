"""What lies between a sound and a file of it."""

import numpy as np
import pytest
from recipe import channels
from recipe.architecture import SAMPLE_RATE_HZ
from recipe.channels import through_channel

NOISE = (0.1 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE_HZ)).astype(np.float32)


def share_above(samples: np.ndarray, frequency_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(power[np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ) > frequency_hz].sum() / power.sum())


@pytest.mark.parametrize("path", channels._PATHS, ids=lambda path: path.__name__)
def test_a_path_keeps_the_length_and_nearly_the_level(path) -> None:
    rng = np.random.default_rng(1)
    for _ in range(8):
        sent = path(NOISE, rng)
        assert abs(len(sent) - len(NOISE)) < 0.1 * SAMPLE_RATE_HZ
        assert np.isfinite(sent).all() and not np.array_equal(sent[: len(NOISE)], NOISE)
        kept = 1 - share_above(NOISE, 3_400)
        assert 0.5 * kept < float((sent**2).sum() / (NOISE**2).sum()) < 1.1


def test_a_channel_gives_back_as_many_samples_and_is_seeded() -> None:
    one, other = (through_channel(NOISE, np.random.default_rng(5)) for _ in range(2))
    assert one.dtype == np.float32 and len(one) == len(NOISE)
    np.testing.assert_array_equal(one, other)


def test_a_lower_rate_has_nothing_above_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "RATES_HZ", (16_000,))
    assert share_above(NOISE, 8_500) > 0.5
    assert share_above(channels.narrowed(NOISE, np.random.default_rng(0)), 8_500) < 1e-4


def test_a_telephone_has_its_band_alone() -> None:
    sent = channels.telephoned(NOISE, np.random.default_rng(0))
    assert share_above(sent, 4_200) < 1e-4 and share_above(sent, 360) > 0.98


def test_few_bits_have_few_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels.soxr, "resample", lambda samples, *_: samples)
    assert len(np.unique(channels.in_few_bits(NOISE, np.random.default_rng(0)))) <= 256


def test_a_recorders_gain_brings_quiet_parts_nearer() -> None:
    quiet_then_loud = NOISE * np.where(np.arange(len(NOISE)) < SAMPLE_RATE_HZ, 0.02, 1.0)
    sent = channels.compressed(quiet_then_loud.astype(np.float32), np.random.default_rng(0))

    def ratio(samples: np.ndarray) -> float:
        return float(samples[:SAMPLE_RATE_HZ].std() / samples[SAMPLE_RATE_HZ:].std())

    assert ratio(sent) > 2 * ratio(quiet_then_loud)
    assert float((sent**2).sum()) == pytest.approx(float((quiet_then_loud**2).sum()), rel=1e-3)

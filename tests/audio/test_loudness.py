"""Loudness agrees with FFmpeg's `ebur128`, however the samples come."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from pe_search.audio.loudness import LoudnessMeter

RATE_HZ = 48_000


def measured(samples, parts=1) -> LoudnessMeter:
    meter = LoudnessMeter()
    passed = list(meter.passing(np.array_split(samples, parts)))
    np.testing.assert_array_equal(np.concatenate(passed), samples)
    return meter


def by_ffmpeg(samples) -> float:
    """Integrated loudness that FFmpeg's filter gives: of the last frame that it writes it into."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=RATE_HZ, format="flt", layout="mono", time_base=Fraction(1, RATE_HZ))
    meter, sink = graph.add("ebur128", "metadata=1:framelog=quiet"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), 0
    graph.push(frame)
    graph.push(None)
    loudness = np.nan
    while True:
        try:
            metadata = graph.pull().metadata
        except (av.error.EOFError, av.error.BlockingIOError):
            return loudness
        loudness = float(metadata.get("lavfi.r128.I", loudness))


def tone(hz, db, seconds):
    return (10 ** (db / 20) * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def noise(seed, seconds):
    swell = np.abs(np.sin(np.arange(int(seconds * RATE_HZ)) / RATE_HZ * 1.3)) ** 3
    return (np.random.default_rng(seed).standard_normal(len(swell)) * swell * 0.2).astype(np.float32)


def test_a_tone_of_997_hz_at_full_scale_has_the_loudness_of_the_standard():
    # ITU-R BS.1770-4: 0 dBFS, one channel: -3.01 LKFS.
    meter = measured(tone(997, 0, 5))
    assert meter.loudness_lufs == pytest.approx(-3.01, abs=0.01)
    assert meter.peak_dbfs == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    "samples",
    [
        tone(60, -20, 3),
        tone(8_000, -36, 3),
        noise(1, 12),
        np.concatenate([noise(2, 4), np.zeros(6 * RATE_HZ, np.float32)]),  # silence doesn't count
        np.concatenate([tone(1_000, -15, 4), tone(1_000, -45, 8)]),  # nor does what is 10 LU below the mean
    ],
    ids=["low", "high", "noise", "with silence", "with a quiet part"],
)
def test_it_agrees_with_ffmpeg(samples):
    assert measured(samples).loudness_lufs == pytest.approx(by_ffmpeg(samples), abs=0.1)


def test_it_does_not_depend_on_the_blocks():
    samples = noise(3, 7)
    whole = measured(samples)
    for parts in (2, 7, 1_001):
        assert measured(samples, parts).loudness_lufs == whole.loudness_lufs
        assert measured(samples, parts).peak_dbfs == whole.peak_dbfs


def test_of_a_clip_that_is_shorter_than_a_block_all_counts():
    assert measured(tone(1_000, -20, 0.2)).loudness_lufs == pytest.approx(
        measured(tone(1_000, -20, 5)).loudness_lufs, abs=0.1
    )


def test_silence_has_no_loudness_and_no_peak():
    for samples in (np.zeros(RATE_HZ, np.float32), np.zeros(10, np.float32)):
        assert (measured(samples).loudness_lufs, measured(samples).peak_dbfs) == (None, None)
    assert measured(tone(1_000, -90, 1)).loudness_lufs is None
    nothing = LoudnessMeter()
    assert (nothing.loudness_lufs, nothing.peak_dbfs) == (None, None)

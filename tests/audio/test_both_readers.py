"""Formats that both libraries know, decoded by both and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pe_search.audio.ffmpeg import FfmpegSource
from pe_search.audio.libsndfile import LibsndfileSource
from tests.audio.encoded import KINDS, by_libsndfile, compared, encode, sweep
from tests.made_up import noise

# Bit for bit alike. What FFmpeg lacks of libsndfile's formats is read by libsndfile alone: AVR, IRCAM's and NIST's
# rarer encodings, MPC2K, SDS, XI, and DWVW and DPCM everywhere.
EXACT = [
    *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
    *(("AIFF", subtype) for subtype in ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
    *(("CAF", subtype) for subtype in ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "ALAC_16")),
    *(("AU", subtype) for subtype in ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
    *(("W64", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT")),
    *(("RF64", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT")),
    *(("WAVEX", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT")),
    *(("FLAC", subtype) for subtype in ("PCM_S8", "PCM_16", "PCM_24")),
    ("VOC", "PCM_16"),
]
# Two decoders of the same format, a little apart.
NEAR = [("OGG", "VORBIS", 1e-4), ("OGG", "OPUS", 1e-3), ("MP3", "MPEG_LAYER_III", 1e-4), ("WAV", "IMA_ADPCM", 3e-3)]
NEAR += [("WAV", "MS_ADPCM", 3e-3), ("WAV", "GSM610", 2e-3)]


def by_each(path: Path, dtype: str = "float32") -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The samples as libsndfile and as FFmpeg decodes them, of shape (samples, channels)."""
    heard = []
    with path.open("rb", buffering=0) as file:
        for kind in (LibsndfileSource, FfmpegSource):
            source = LibsndfileSource(file, path) if kind is LibsndfileSource else FfmpegSource(file, path, 1)
            heard.append(np.concatenate(list(source.blocks(48_000, dtype))))
            assert (source.sample_rate_hz, source.channels) == (48_000, heard[0].shape[1])
            assert source.missing() is None
            source.close()
    return heard[0], heard[1]


@pytest.mark.parametrize(("name", "subtype"), EXACT)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_loses_nothing_is_the_same_to_the_last_bit(tmp_path, name, subtype, channels):
    path = tmp_path / "clip"
    path.write_bytes(by_libsndfile(noise(2.3, channels=channels), name, subtype))
    ours, theirs = by_each(path)
    np.testing.assert_array_equal(ours[: len(theirs)], theirs)
    # ALAC holds whole blocks; libsndfile fills the last, and FFmpeg takes as much off as was to be filled, twice.
    assert len(ours) - len(theirs) in ((0,) if "ALAC" not in subtype else range(4_096))
    assert len(ours) - round(2.3 * 48_000) in ((0,) if "ALAC" not in subtype else range(4_096))


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("CAF", "ALAC_16"),
    ],
)
def test_integers_are_the_same_too(tmp_path, name, subtype):
    path = tmp_path / "clip"
    path.write_bytes(by_libsndfile(noise(1.0), name, subtype))
    ours, theirs = by_each(path, "int32")
    assert ours.dtype == theirs.dtype == np.int32
    np.testing.assert_array_equal(ours[: len(theirs)], theirs)


@pytest.mark.parametrize(("name", "subtype", "apart"), NEAR)
def test_what_loses_something_is_nearly_the_same(tmp_path, name, subtype, apart):
    path = tmp_path / "clip"
    path.write_bytes(by_libsndfile(sweep(2.3), name, subtype))
    ours, theirs = (heard[:, 0] for heard in by_each(path))
    assert abs(len(ours) - len(theirs)) <= 0.04 * 48_000
    common = min(len(ours), len(theirs))
    delay_s, correlation = compared(ours, theirs)
    assert delay_s == 0
    assert correlation > 0.9999
    np.testing.assert_allclose(ours[:common], theirs[:common], rtol=0, atol=apart)


@pytest.mark.parametrize("name", ["FLAC", "FLAC of 24 bits", "MP3", "Opus"])
def test_what_ffmpeg_encodes(tmp_path, name):
    path = tmp_path / "clip"
    path.write_bytes(encode(KINDS[name], sweep(2.3)))
    ours, theirs = (heard[:, 0] for heard in by_each(path))
    delay_s, correlation = compared(ours, theirs)
    assert delay_s == 0
    assert correlation > (0.9999999 if KINDS[name].is_lossless else 0.999)

"""Files that others read only in part, from people's reports."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from pe_search.audio.read import ClipReader
from pe_search.errors import AudioError

CASES = Path(__file__).parents[3] / "shared" / "cases" / "reading"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}")

# By name: how long it is in seconds, what is missing, what is odd about it.
DUE: dict[str, tuple[float, str | None, tuple[str, ...]]] = {
    "vbr_without_xing.mp3": (30.04, None, ()),
    "two_joined.mp3": (20.06, None, ()),
    "mono_then_stereo.mp3": (8.10, None, ()),
    "mp3_hole_3000.mp3": (3.66, "is damaged at 0:02: 3,135 bytes can't be decoded", ()),
    "adts_named.mp3": (4.04, None, ()),
    "chained.ogg": (8.0, None, ()),
    "chained.opus": (8.0, None, ()),
    "ogg_flac.oga": (4.0, None, ()),
    "speex.spx": (4.0, None, ()),
    "cut_16_bytes.flac": (3.84, "breaks off after 0:03.8 of 0:04", ()),
    "cut_half.flac": (1.79, "breaks off after 0:01.8 of 0:04", ()),
    "one_byte_wrong.flac": (4.0, "is damaged at 0:03.1: 0.26 s can't be decoded", ()),
    "total_too_small.flac": (4.0, None, ()),
    "data_size_0.wav": (4.0, None, ("the header says 0:00, and the file holds 0:04; all of it is read",)),
    "av_audio_file_crash.wav": (4.0, None, ("the header says 0:00, and the file holds 0:04; all of it is read",)),
    "data_size_44.wav": (4.0, None, ("the header says 0:00, and the file holds 0:04; all of it is read",)),
    "bw64.wav": (4.0, None, ()),
    "data_minus_1.caf": (4.0, None, ()),
    "aac.m4a": (4.0, None, ()),
    "antiphase.wav": (3.0, None, ()),
    "float_in_int16_scale.wav": (2.0, None, ("its float samples reach 13,107; they are divided by 32,768",)),
    "minus_60_db.wav": (4.0, None, ()),
}
# What PyAV's plain loop decodes as it is. Of the others it stops at the damage, goes by the header, or changes rate or
# channels on the way.
PLAIN = ("vbr_without_xing.mp3", "two_joined.mp3", "adts_named.mp3", "chained.ogg", "chained.opus", "ogg_flac.oga")
PLAIN = (*PLAIN, "speex.spx", "total_too_small.flac", "bw64.wav", "aac.m4a", "minus_60_db.wav")


def read(name: str) -> NDArray[np.float32]:
    with ClipReader(CASES / name) as reader:
        return np.concatenate(list(reader.blocks()))


def test_every_case_is_here():
    assert {path.name for path in CASES.iterdir()} == {"README.md", "one_nan.wav", *DUE}


@pytest.mark.parametrize("name", DUE)
def test_a_case_is_read_whole_or_what_is_missing_is_said(name, capfd):
    seconds, missing, notes = DUE[name]
    with ClipReader(CASES / name) as reader:
        samples = np.concatenate(list(reader.blocks()))
        assert (reader.missing(), reader.notes) == (missing, notes)
    assert len(samples) / 48_000 == pytest.approx(seconds, abs=0.04)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", PLAIN)
def test_the_samples_are_those_that_ffmpeg_decodes(name):
    with av.open(str(CASES / name)) as container:
        frames = list(container.decode(audio=0))
    values = [
        frame.to_ndarray() if frame.format.is_planar else frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T
        for frame in frames
    ]
    plain = np.concatenate([value.mean(axis=0) for value in values])
    plain /= {"s16": 2**15, "s32": 2**31, "flt": 1}[frames[0].format.name.removesuffix("p")]
    plain = soxr.resample(plain.astype(np.float32), frames[0].sample_rate, 48_000, quality="HQ")
    np.testing.assert_allclose(read(name), plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["data_size_0.wav", "av_audio_file_crash.wav", "data_size_44.wav"])
def test_samples_behind_a_header_that_says_too_little(name):
    content = (CASES / name).read_bytes()
    rate_hz = int.from_bytes(content[content.index(b"fmt ") + 12 :][:4], "little")
    samples = np.frombuffer(content[content.index(b"data") + 8 :], "<i2").astype(np.float32) / 2**15
    np.testing.assert_allclose(read(name), soxr.resample(samples, rate_hz, 48_000, quality="HQ"), atol=1e-5)


def test_a_hole_leaves_what_is_before_and_after_it():
    heard, whole = read("one_byte_wrong.flac"), read("total_too_small.flac")
    wrong = np.flatnonzero(np.abs(heard - whole) > 1e-4)
    # A frame has 4,096 samples at 16 kHz: the damaged one is decoded in part, and the next is silent.
    assert 0 < (wrong[-1] - wrong[0]) / 48_000 < 2 * 4_096 / 16_000
    for name in ("cut_16_bytes.flac", "cut_half.flac"):
        part = read(name)
        np.testing.assert_allclose(part[:-200], whole[: len(part) - 200], atol=1e-4)


def test_antiphase_is_heard_as_its_left_channel():
    left, rate_hz = soundfile.read(CASES / "antiphase.wav", dtype="float32", always_2d=True)
    np.testing.assert_allclose(read("antiphase.wav"), soxr.resample(left[:, 0], rate_hz, 48_000, "HQ"), atol=1e-5)


def test_floats_in_the_scale_of_integers_are_brought_to_that_of_floats():
    samples, rate_hz = soundfile.read(CASES / "float_in_int16_scale.wav", dtype="float32")
    np.testing.assert_allclose(
        read("float_in_int16_scale.wav"), soxr.resample(samples / 2**15, rate_hz, 48_000, "HQ"), atol=1e-5
    )


def test_a_sample_that_is_no_number_leaves_the_clip_out():
    with pytest.raises(AudioError, match=r"one_nan\.wav: holds samples that are not finite numbers"):
        read("one_nan.wav")

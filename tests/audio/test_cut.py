"""Stretches are cut out of files as they are: all channels, the same rate, the same samples."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pe_search.audio.cut import cut
from pe_search.audio.read import ClipReader
from pe_search.errors import AudioError
from tests.made_up import noise, write_audio

Place = tuple[float, float]


def cut_into(folder: Path, path: Path, places: list[Place], file_format: str = "FLAC") -> list[Path]:
    targets = [folder / f"{number}.out" for number in range(len(places))]
    with ClipReader(path) as reader:
        cut(reader, zip(places, targets, strict=True), file_format)
    return targets


@pytest.mark.parametrize("file_format", ["FLAC", "WAV"])
@pytest.mark.parametrize(
    ("subtype", "kept_as"), [("PCM_16", "PCM_16"), ("PCM_24", "PCM_24"), ("PCM_U8", "PCM_16"), ("FLOAT", "PCM_24")]
)
def test_samples_come_out_as_they_were(tmp_path, subtype, kept_as, file_format):
    path = write_audio(tmp_path / "a.wav", noise(3.5, channels=2, rate_hz=44_100), 44_100, subtype)
    # Overlapping, out of order, within a block and across several, up to the very end, and the same once more.
    places = [(0.5, 3.0), (0.0, 0.25), (2.25, 3.5), (1.1, 1.2), (0.5, 3.0)]
    # What is floating point may come out as far off as 24 bits are apart, and nothing else at all.
    dtype, far_off = ("float64", 2**-23) if subtype == "FLOAT" else ("int32", 0)
    whole, _ = soundfile.read(path, dtype=dtype)
    for (start_s, end_s), target in zip(places, cut_into(tmp_path, path, places, file_format), strict=True):
        info = soundfile.info(target)
        assert (info.format, info.subtype, info.samplerate, info.channels) == (file_format, kept_as, 44_100, 2)
        found, _ = soundfile.read(target, dtype=dtype)
        np.testing.assert_allclose(found, whole[round(start_s * 44_100) : round(end_s * 44_100)], rtol=0, atol=far_off)


def test_samples_that_are_too_loud_are_clipped_and_not_wrapped(tmp_path):
    path = write_audio(tmp_path / "a.wav", np.array([0.5, 1.5, -1.5, -0.5] * 100, np.float32))
    (target,) = cut_into(tmp_path, path, [(0.0, 400 / 48_000)])
    found, _ = soundfile.read(target)
    np.testing.assert_allclose(found[:4], [0.5, 1.0, -1.0, -0.5], atol=2**-22)


def test_compressed_audio_is_cut_where_it_is_heard(tmp_path):
    samples = noise(4.0, rate_hz=44_100)
    soundfile.write(tmp_path / "a.mp3", samples, 44_100)
    whole, _ = soundfile.read(tmp_path / "a.mp3", dtype="float32")
    (target,) = cut_into(tmp_path, tmp_path / "a.mp3", [(1.5, 2.75)])
    found, _ = soundfile.read(target, dtype="float32")
    # Two decoders of MP3 are a little apart.
    np.testing.assert_allclose(found, whole[round(1.5 * 44_100) : round(2.75 * 44_100)], atol=1e-5)


def test_a_stretch_may_end_a_frame_after_the_clip_but_no_more(tmp_path):
    path = write_audio(tmp_path / "a.wav", noise(1.0), subtype="PCM_16")
    (target,) = cut_into(tmp_path, path, [(0.5, 1.0 + 1 / 48_000)])
    assert soundfile.info(target).frames == 24_000
    with pytest.raises(AudioError, match=r"a\.wav: ends before 1\.5 s$"):
        cut_into(tmp_path, path, [(0.1, 0.2), (0.5, 1.5)])


def test_what_flac_has_no_room_for(tmp_path):
    wide = write_audio(tmp_path / "wide.wav", noise(0.1, channels=9))
    with pytest.raises(AudioError, match=r"wide\.wav: has 9 channels; FLAC allows at most 8$"):
        cut_into(tmp_path, wide, [(0.0, 0.1)])
    for rate_hz in (65_537, 88_201, 705_600):
        odd = write_audio(tmp_path / "odd.wav", noise(0.01, rate_hz=rate_hz), rate_hz)
        with pytest.raises(
            AudioError, match=rf"odd\.wav: has a sample rate of {rate_hz} Hz, which FLAC does not support$"
        ):
            cut_into(tmp_path, odd, [(0.0, 0.01)])
    for rate_hz in (1_001, 65_535, 65_540, 655_350):
        odd = write_audio(tmp_path / "odd.wav", noise(0.01, rate_hz=rate_hz), rate_hz)
        assert soundfile.info(cut_into(tmp_path, odd, [(0.0, 0.01)])[0]).samplerate == rate_hz
    assert soundfile.info(cut_into(tmp_path, wide, [(0.0, 0.1)], "WAV")[0]).channels == 9


def test_a_file_that_breaks_off_is_an_error(tmp_path):
    path = write_audio(tmp_path / "a.flac", noise(5.0), subtype="PCM_16")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"a\.flac: ends before 5 s$"):
        cut_into(tmp_path, path, [(4.0, 5.0)])
    (target,) = cut_into(tmp_path, path, [(0.5, 2.0)])
    assert soundfile.info(target).frames == 72_000


def test_no_more_of_a_clip_is_read_than_is_needed(tmp_path):
    path = write_audio(tmp_path / "a.wav", noise(30.0), subtype="PCM_16")
    with ClipReader(path) as reader:
        cut(reader, [((0.5, 1.5), tmp_path / "b.flac")])
        assert reader._file.tell() == 44 + 2 * 2 * 48_000


def test_more_stretches_than_a_process_may_have_open_files(tmp_path):
    path = write_audio(tmp_path / "a.wav", noise(1.0), subtype="PCM_16")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/dev/fd").iterdir())) + 20, before[1]))
    try:
        targets = cut_into(tmp_path, path, [(number / 100, number / 100 + 0.005) for number in range(100)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert [soundfile.info(target).frames for target in targets] == [240] * 100


def test_a_stretch_that_cannot_be_written_is_an_error_that_names_the_folder(tmp_path):
    path = write_audio(tmp_path / "a.wav", noise(1.0), subtype="PCM_16")
    (whole,) = cut_into(tmp_path, path, [(0.0, 0.5)])
    size_bytes = whole.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # At once, in the middle, and where only the last byte has no room, of which libsndfile says nothing.
    for room in (1, size_bytes // 2, size_bytes - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            with pytest.raises(OSError, match="File too large") as raised:
                cut_into(tmp_path, path, [(0.0, 0.5)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(tmp_path))

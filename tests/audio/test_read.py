"""Reading any audio file as 48 kHz mono."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from pe_search.audio.read import ClipReader
from pe_search.errors import AudioError
from tests.made_up import noise, tone, write_audio

# What soundfile writes to one sample's accuracy, and how far a float may be off afterwards.
ACCURACY = {
    "PCM_S8": 2**-7,
    "PCM_U8": 2**-7,
    "DPCM_8": 2**-6,
    "PCM_16": 2**-15,
    "DPCM_16": 2**-15,
    "DWVW_16": 2**-15,
    "ALAC_16": 2**-15,
    "ALAC_20": 2**-19,
    "PCM_24": 2**-23,
    "DWVW_24": 2**-23,
    "ALAC_24": 2**-23,
    "PCM_32": 2**-24,
    "ALAC_32": 2**-24,
    "FLOAT": 0,
    "DOUBLE": 0,
    "ULAW": 2**-6,
    "ALAW": 1.02 * 2**-6,
}
# What a lossy codec must reach with a sine at 48 kHz.
LOSSY_SNR_DB = {
    "VORBIS": 25,
    "OPUS": 20,
    "MPEG_LAYER_III": 25,
    "IMA_ADPCM": 20,
    "MS_ADPCM": 20,
    "GSM610": 10,
    "G721_32": 20,
    "G723_24": 15,
    "G723_40": 20,
    "NMS_ADPCM_16": 8,
    "NMS_ADPCM_24": 15,
    "NMS_ADPCM_32": 20,
}
# Formats that can't hold 48 kHz, or not exactly.
RATES_HZ = {"WVE": 8_000, "HTK": 8_000, "VOC": 8_000, "XI": 44_100}
# RAW has no header, and SD2 keeps its own in a file beside. The others libsndfile 1.2.2 reads but can't write.
UNWRITTEN = {("AIFF", "DWVW_12"), ("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II"), ("WAV", "MPEG_LAYER_III")}
WRITTEN = [
    (name, subtype)
    for name in sorted(soundfile.available_formats())
    for subtype in sorted(soundfile.available_subtypes(name))
    if name not in ("RAW", "SD2") and (name, subtype) not in UNWRITTEN
]


def read(path: Path) -> NDArray[np.float32]:
    with ClipReader(path) as reader:
        return np.concatenate(list(reader.blocks()))


def refusal(path: Path) -> str:
    """Why a file can't be read."""
    with pytest.raises(AudioError) as caught:
        read(path)
    assert caught.value.path == path
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    return caught.value.reason


def wav_bytes(tmp_path: Path, samples: NDArray[np.float32] | None = None) -> bytearray:
    """A plain 16-bit WAV: a header of 44 bytes, then the samples."""
    path = write_audio(tmp_path / "whole.wav", noise(0.1) if samples is None else samples, subtype="PCM_16")
    return bytearray(path.read_bytes())


def snr_db(heard: NDArray[np.float32], meant: NDArray[np.float32]) -> float:
    return float(10 * np.log10((meant**2).mean() / ((heard - meant) ** 2).mean()))


def loudest_hz(samples: NDArray[np.float32]) -> float:
    """The frequency of a sine, from a windowed spectrum with a quarter of a hertz per bin."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 4 * 48_000))
    return float(spectrum.argmax() / 4)


# Channels and rates


def test_the_samples_of_a_mono_clip_at_48_khz_come_out_as_they_are(tmp_path):
    samples = noise(2.5)
    np.testing.assert_array_equal(read(write_audio(tmp_path / "a.wav", samples)), samples)


def test_stereo_becomes_the_mean(tmp_path):
    samples = np.array([[0.5, 0.25], [1.0, -1.0], [-0.75, 0.25]], np.float32)
    np.testing.assert_array_equal(read(write_audio(tmp_path / "a.wav", samples)), [0.375, 0.0, -0.25])


@pytest.mark.parametrize("channels", [2, 3, 5, 8, 256])
def test_many_channels_become_the_mean(tmp_path, channels):
    samples = noise(0.1, channels=channels)
    mono = read(write_audio(tmp_path / "a.wav", samples))
    np.testing.assert_allclose(mono, samples.astype(np.float64).mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate_hz", [1_000, 8_000, 11_025, 22_050, 32_000, 44_100, 47_999, 96_000, 192_000, 768_000])
def test_resampling_keeps_frequency_level_and_length(tmp_path, rate_hz):
    seconds = 2.7
    mono = read(write_audio(tmp_path / "a.wav", tone(seconds, 312.5, rate_hz), rate_hz))
    assert abs(len(mono) - seconds * 48_000) <= 2
    inner = mono[4_800:-4_800]
    assert loudest_hz(inner) == pytest.approx(312.5, abs=0.25)
    assert np.sqrt((inner**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.005)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 192_000])
@pytest.mark.parametrize("seconds", [0.01, 1.0, 2.0, 3.3])
def test_resampling_piece_by_piece_equals_resampling_at_once(tmp_path, rate_hz, seconds):
    samples = noise(seconds, rate_hz=rate_hz)
    mono = read(write_audio(tmp_path / "a.wav", samples, rate_hz))
    expected = soxr.resample(samples, rate_hz, 48_000, quality="HQ")
    assert len(mono) == len(expected)
    np.testing.assert_allclose(mono, expected, atol=1e-6)


def test_a_tone_above_the_new_range_is_gone_and_not_folded_down(tmp_path):
    mono = read(write_audio(tmp_path / "a.wav", tone(1.0, 30_000, 96_000), 96_000))
    assert np.abs(mono[4_800:-4_800]).max() < 1e-4


def test_stereo_is_resampled_as_its_mean(tmp_path):
    samples = noise(1.5, rate_hz=44_100, channels=2)
    mono = read(write_audio(tmp_path / "a.wav", samples, 44_100))
    expected = soxr.resample(samples.mean(axis=1, dtype=np.float32), 44_100, 48_000, quality="HQ")
    np.testing.assert_allclose(mono, expected, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
@pytest.mark.parametrize("seconds", [2.0, 2.5])
def test_blocks_are_short_and_none_is_empty(tmp_path, rate_hz, seconds):
    with ClipReader(write_audio(tmp_path / "a.wav", noise(seconds, rate_hz=rate_hz), rate_hz)) as reader:
        blocks = list(reader.blocks())
        assert reader.header_duration_s == seconds
    assert len(blocks) in (2, 3)
    for block in blocks:
        assert block.dtype == np.float32
        assert block.ndim == 1
        assert 0 < len(block) <= 1.1 * 48_000


@pytest.mark.parametrize(
    ("rate_hz", "samples"), [(8_000, 6), (44_100, 1), (48_000, 1), (96_000, 1)], ids=["8k", "44k", "48k", "96k"]
)
def test_one_sample(tmp_path, rate_hz, samples):
    assert len(read(write_audio(tmp_path / "a.wav", np.full(1, 0.5, np.float32), rate_hz))) == samples


def test_less_than_one_sample_at_48_khz_is_no_audio(tmp_path):
    path = write_audio(tmp_path / "a.wav", np.full(1, 0.5, np.float32), 192_000)
    assert refusal(path) == "holds no audio"


# Formats


@pytest.mark.parametrize(("name", "subtype"), WRITTEN)
def test_a_round_trip_through_every_format_that_can_be_written(tmp_path, name, subtype):
    rate_hz = RATES_HZ.get(name, 48_000)
    path = tmp_path / "clip.odd"  # the content is what counts
    # Longer than a block, and no whole number of them.
    soundfile.write(path, tone(2.3, 440, rate_hz), rate_hz, format=name, subtype=subtype)
    mono = read(path)
    meant = tone(2.3, 440)
    if rate_hz != 48_000:
        assert abs(len(mono) - len(meant)) <= 6
        inner = mono[4_800:-4_800]
        assert loudest_hz(inner) == pytest.approx(440, abs=0.25)
        assert np.sqrt((inner**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    elif subtype in ACCURACY:
        # Some formats hold whole blocks, filled up with silence.
        assert len(meant) <= len(mono) <= len(meant) + 4_096
        np.testing.assert_allclose(mono[: len(meant)], meant, rtol=0, atol=ACCURACY[subtype])
        assert not mono[len(meant) :].any()
    else:
        assert len(meant) <= len(mono) <= len(meant) + 4_096
        assert snr_db(mono[: len(meant)], meant) > LOSSY_SNR_DB[subtype]


def test_the_formats_that_people_have_are_among_those_round_trips():
    assert set(WRITTEN) >= {
        *(
            ("WAV", subtype)
            for subtype in ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"]
        ),
        *(("FLAC", subtype) for subtype in ("PCM_16", "PCM_24")),
        *(("OGG", subtype) for subtype in ("VORBIS", "OPUS")),
        *((name, "PCM_16") for name in ["AIFF", "AU", "CAF", "W64", "RF64", "WAVEX"]),
        ("CAF", "ALAC_16"),
        ("MP3", "MPEG_LAYER_III"),
    }


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
@pytest.mark.parametrize(
    ("name", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("FLAC", "PCM_16")]
)
def test_a_coded_clip_read_piece_by_piece_equals_the_clip_decoded_at_once(tmp_path, name, subtype, rate_hz):
    if subtype == "OPUS":
        rate_hz = 48_000  # libsndfile decodes Opus at the rate that it was encoded from, which is not that of Opus
    path = tmp_path / "clip"
    soundfile.write(path, noise(5.3, rate_hz=rate_hz), rate_hz, format=name, subtype=subtype)
    at_once, _ = soundfile.read(path, dtype="float32")
    if rate_hz != 48_000:
        at_once = soxr.resample(at_once, rate_hz, 48_000, quality="HQ")
    mono = read(path)
    assert len(mono) == len(at_once)
    np.testing.assert_allclose(mono, at_once, atol=1e-5)


# Files that are no audio, or not quite


def write_bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["empty.wav", "empty.mp3", "empty.flac", "empty.ogg", "empty"])
def test_an_empty_file(tmp_path, name):
    assert refusal(write_bytes(tmp_path / name, b"")) == "the file is empty"


@pytest.mark.parametrize(
    "name", ["notes.wav", "notes.mp3", "notes.flac", "notes.ogg", "notes.aiff", "notes", "notes.txt"]
)
@pytest.mark.parametrize("content", [b"no audio, only words.\n" * 400, b"x", bytes(5_000)], ids=["text", "x", "zeros"])
def test_a_file_that_is_no_audio(tmp_path, name, content):
    assert refusal(write_bytes(tmp_path / name, content)) == "can't be read as audio: Format not recognised"


@pytest.mark.parametrize("name", ["notes.raw", "notes.RAW", "notes.au", "notes.snd", "notes.vox", "notes.gsm"])
def test_a_file_without_a_header_is_no_audio_whatever_it_is_called(tmp_path, name):
    path = write_bytes(tmp_path / name, b"no audio, only words.\n" * 400)
    assert refusal(path) == "can't be read as audio: Format not recognised"


def test_a_clip_under_the_extension_of_another_format(tmp_path):
    path = write_audio(tmp_path / "a.wav", noise(0.1))
    for name in ("a.mp3", "a.flac", "a.txt", "a.au", "a.vox", "a"):
        path = path.rename(tmp_path / name)
        np.testing.assert_array_equal(read(path), noise(0.1))


def test_a_folder(tmp_path):
    assert refusal(tmp_path) == "Is a directory"


def test_a_file_that_is_gone(tmp_path):
    assert refusal(tmp_path / "gone.wav") == "No such file or directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = write_audio(tmp_path / "a.wav", noise(0.1))
    path.chmod(0)
    assert refusal(path) == "Permission denied"


@pytest.mark.parametrize("name", ["a.wav", "a.ogg", "a.aiff", "a.caf", "a.w64"])
def test_a_header_and_nothing_else(tmp_path, name):
    assert refusal(write_audio(tmp_path / name, np.empty(0, np.float32), subtype=None)) == "holds no audio"


def test_a_flac_header_and_nothing_else(tmp_path):
    path = write_audio(tmp_path / "a.flac", noise(1.0), subtype="PCM_16")
    assert refusal(write_bytes(path, path.read_bytes()[:45])) == "holds no audio"


@pytest.mark.parametrize("kept", [4, 12, 40])
def test_a_wav_that_breaks_off_within_its_header(tmp_path, kept):
    path = write_bytes(tmp_path / "a.wav", wav_bytes(tmp_path)[:kept])
    assert refusal(path).startswith("can't be read as audio: ")


def test_a_wav_that_breaks_off_is_read_as_far_as_it_goes(tmp_path):
    samples = noise(2.0)
    path = write_bytes(tmp_path / "a.wav", wav_bytes(tmp_path, samples)[: 44 + 2 * 60_000 + 1])
    mono = read(path)
    assert len(mono) == 60_000
    np.testing.assert_allclose(mono, samples[:60_000], atol=2**-15)


def test_a_flac_that_breaks_off_is_read_as_far_as_it_goes(tmp_path):
    samples = noise(3.0)
    path = write_audio(tmp_path / "a.flac", samples, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with ClipReader(path) as reader:
        mono = np.concatenate(list(reader.blocks()))
        assert reader.missing() == "breaks off after 0:01.5 of 0:03"
    assert 1.4 * 48_000 < len(mono) <= 1.5 * 48_000
    np.testing.assert_allclose(mono, samples[: len(mono)], rtol=0, atol=2**-15)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg"])
def test_a_lossy_clip_that_breaks_off_is_read_as_far_as_it_goes(tmp_path, name):
    path = write_audio(tmp_path / name, noise(4.0), subtype=None)
    whole = read(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    part = read(path)
    assert 48_000 < len(part) < 3 * 48_000
    # What overlaps with the missing end can't be right.
    np.testing.assert_allclose(part[:-4_000], whole[: len(part) - 4_000], atol=1e-5)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_written_to_a_pipe_does_not_know_its_length(tmp_path, size):
    content = wav_bytes(tmp_path)
    struct.pack_into("<I", content, 4, size)
    struct.pack_into("<I", content, 40, size)
    path = write_bytes(tmp_path / "a.wav", content)
    np.testing.assert_array_equal(read(path), read(tmp_path / "whole.wav"))


@pytest.mark.parametrize("frames", [0, 2**36 - 1], ids=["unknown", "too many"])
def test_a_flac_that_does_not_know_its_length(tmp_path, frames):
    path = write_audio(tmp_path / "a.flac", noise(1.5), subtype="PCM_16")
    whole = read(path)
    content = bytearray(path.read_bytes())
    described = int.from_bytes(content[18:26], "big") >> 36 << 36
    content[18:26] = (described | frames).to_bytes(8, "big")
    np.testing.assert_array_equal(read(write_bytes(path, content)), whole)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("second", [0.5, 2.4])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_that_are_not_finite(tmp_path, value, second, channels):
    samples = noise(2.5, channels=channels)
    samples.reshape(-1)[round(second * 48_000) * channels] = value
    path = write_audio(tmp_path / "a.wav", samples)
    assert refusal(path) == "holds samples that are not finite numbers (NaN or infinity)"


@pytest.mark.filterwarnings("error")
def test_samples_whose_mean_is_too_large_for_a_float(tmp_path):
    path = write_audio(tmp_path / "a.wav", np.full((10, 2), np.finfo(np.float32).max, np.float32))
    assert refusal(path) == "holds samples that are not finite numbers (NaN or infinity)"


def test_what_comes_before_a_bad_sample_is_given_out_before_the_refusal(tmp_path):
    samples = noise(2.5)
    samples[-1] = np.nan
    with ClipReader(write_audio(tmp_path / "a.wav", samples)) as reader:
        blocks = reader.blocks()
        np.testing.assert_array_equal(next(blocks), samples[:48_000])
        np.testing.assert_array_equal(next(blocks), samples[48_000:96_000])
        with pytest.raises(AudioError):
            next(blocks)


@pytest.mark.parametrize("rate_hz", [1, 999, 768_001, 2**31 - 1])
def test_a_header_with_an_absurd_sample_rate(tmp_path, rate_hz):
    path = write_audio(tmp_path / "a.wav", np.zeros(10, np.float32), rate_hz)
    assert refusal(path) == f"its header gives a sample rate of {rate_hz} Hz"


@pytest.mark.parametrize("rate_hz", [0, 2**31, 2**32 - 1])
def test_a_header_with_an_impossible_sample_rate(tmp_path, rate_hz):
    content = wav_bytes(tmp_path)
    struct.pack_into("<I", content, 24, rate_hz)
    assert refusal(write_bytes(tmp_path / "a.wav", content)).startswith("can't be read as audio: ")


def test_a_header_with_an_absurd_number_of_channels(tmp_path):
    path = write_audio(tmp_path / "a.wav", np.zeros((10, 257), np.float32))
    assert refusal(path) == "its header gives 257 channels"


def test_half_an_hour_that_is_tiny_on_disk_takes_no_more_memory_than_a_minute(tmp_path):
    def peak_bytes(minutes: int) -> int:
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", 8_000, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(np.zeros(60 * 8_000, np.int16))
        assert path.stat().st_size < 5_000 * minutes
        tracemalloc.start()
        with ClipReader(path) as reader:
            assert sum(len(block) for block in reader.blocks()) == minutes * 60 * 48_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    # Half an hour of 48 kHz would be 346 MB.
    assert peak_bytes(30) < peak_bytes(1) + 100_000


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.wav", b"a.\xff\xfe", b"new\nline.wav", b" .wav", b"-r.wav", b"x" * 251 + b".wav", "猫🐈é.wav".encode()],
)
def test_any_name_that_a_file_can_have(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    write_audio(tmp_path / "a.wav", noise(0.1)).rename(path)
    np.testing.assert_array_equal(read(path), noise(0.1))
    path.write_bytes(b"")
    assert refusal(path) == "the file is empty"


def open_files() -> list[str]:
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
def test_stretches_are_cut_from_what_the_whole_clip_sounds_like(tmp_path, rate_hz):
    write_audio(tmp_path / "a.wav", noise(7.3, rate_hz=rate_hz), rate_hz)
    places = [(4.0, 6.5), (0.0, 0.5), (6.3, 7.3), (0.25, 5.0), (2.0, 3.0), (0.0, 0.5)]
    with ClipReader(tmp_path / "a.wav") as reader:
        whole = np.concatenate(list(reader.blocks()))
    with ClipReader(tmp_path / "a.wav") as reader:
        found = dict(reader.stretches(places))
    assert list(found) == [(0.0, 0.5), (2.0, 3.0), (0.25, 5.0), (4.0, 6.5), (6.3, 7.3)]
    for (start_s, end_s), samples in found.items():
        np.testing.assert_array_equal(samples, whole[round(start_s * 48_000) : round(end_s * 48_000)])


def test_nothing_is_read_beyond_the_last_stretch(tmp_path):
    samples = noise(5)
    samples[-1] = np.nan
    write_audio(tmp_path / "a.wav", samples)
    with ClipReader(tmp_path / "a.wav") as reader:
        ((_, found),) = reader.stretches([(1.0, 2.0)])
    np.testing.assert_array_equal(found, samples[48_000:96_000])


def test_a_stretch_beyond_the_end(tmp_path):
    write_audio(tmp_path / "a.wav", noise(2))
    with ClipReader(tmp_path / "a.wav") as reader, pytest.raises(AudioError, match=r"a\.wav: ends before 2\.5 s$"):
        list(reader.stretches([(0.0, 1.0), (1.5, 2.5)]))


def test_no_file_stays_open(tmp_path):
    good = write_audio(tmp_path / "good.wav", noise(0.1))
    bad = [
        write_audio(tmp_path / "rate.wav", np.zeros(10, np.float32), 999),
        write_audio(tmp_path / "channels.wav", np.zeros((10, 257), np.float32)),
        write_audio(tmp_path / "finite.wav", np.full(10, np.nan, np.float32)),
        write_bytes(tmp_path / "notes.wav", b"words"),
        write_bytes(tmp_path / "notes.au", b"words" * 100),
        write_bytes(tmp_path / "notes.mp3", b"words" * 100),
    ]
    before = open_files()
    read(good)
    for path in bad:
        refusal(path)
    assert open_files() == before

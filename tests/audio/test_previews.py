"""Peaks, spectrograms and parts that browsers play."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from pe_search.audio import ffmpeg
from pe_search.audio.previews import (
    LOWEST_HZ,
    SPECTROGRAM_ROWS,
    browser_type,
    is_beyond_floats,
    part,
    peaks,
    peaks_of_file,
    spectrogram,
    wave_file,
)
from pe_search.audio.read import ClipReader
from pe_search.errors import AudioError
from pe_search.records import PLAIN_HEARING, Facts, Hearing
from tests.made_up import noise, tone, write_audio


def joined(blocks) -> np.ndarray:
    return np.concatenate([np.empty(0, np.float32), *blocks])


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_16"), ("a.flac", "PCM_16"), ("a.wav", "FLOAT")])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_part_is_that_of_the_whole(tmp_path, name, subtype, channels):
    path = write_audio(tmp_path / name, noise(3.0, channels=channels), subtype=subtype)
    with ClipReader(path) as reader:
        whole = joined(reader.blocks())
    np.testing.assert_array_equal(joined(part(path, PLAIN_HEARING, 0.5, 2.25)), whole[24_000:108_000])
    np.testing.assert_array_equal(joined(part(path, PLAIN_HEARING, 2.5, 9)), whole[120_000:])


def test_a_part_of_what_is_compressed_is_the_same(tmp_path):
    path = tmp_path / "a.ogg"
    soundfile.write(path, noise(3.0), 48_000, format="OGG", subtype="VORBIS")
    with ClipReader(path) as reader:
        whole = joined(reader.blocks())
    np.testing.assert_array_equal(joined(part(path, PLAIN_HEARING, 0.5, 2.25)), whole[24_000:108_000])


def encoded(path: Path, samples: np.ndarray, codec: str, rate_hz: int = 48_000, **options: str) -> Path:
    """A file of some compressed format."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        stream.bit_rate = 64_000
        for first in range(0, len(samples), 1_024):
            frame = av.AudioFrame.from_ndarray(samples[None, first : first + 1_024], "fltp", "mono")
            frame.sample_rate, frame.pts = rate_hz, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp3", "libmp3lame", {}),
        ("a.mp3", "libmp3lame", {"write_xing": "0"}),
        ("a.m4a", "aac", {}),
        ("a.aac", "aac", {}),
        ("a.mka", "aac", {}),
        ("a.ogg", "VORBIS", {}),
    ],
)
def test_a_part_that_is_gone_to_is_the_same_to_the_sample(tmp_path, name, codec, options):
    samples = noise(17.0, seed=4)
    path = tmp_path / name
    if codec == "VORBIS":
        with soundfile.SoundFile(path, "w", 48_000, 1, codec, format="OGG") as file:
            for second in np.split(samples, 17):
                file.write(second)
    else:
        encoded(path, samples, codec, **options)
    with ClipReader(path) as reader:
        whole = joined(reader.blocks())
    length_s = len(whole) / 48_000
    np.testing.assert_array_equal(joined(part(path, PLAIN_HEARING, 15.25, 16.5, length_s)), whole[732_000:792_000])
    with ClipReader(path) as reader:
        assert 5 <= reader.seek(15.25, length_s) <= 14.3, "it is not read from its start"


def test_ogg_joined_from_two_is_read_from_its_start(tmp_path):
    path = tmp_path / "a.ogg"
    for number in range(2):
        soundfile.write(
            tmp_path / f"{number}.ogg", noise(12.0, seed=number)[::6], 8_000, format="OGG", subtype="VORBIS"
        )
    path.write_bytes((tmp_path / "0.ogg").read_bytes() + (tmp_path / "1.ogg").read_bytes())
    with ClipReader(path) as reader:
        whole = joined(reader.blocks())
    with ClipReader(path) as reader:
        assert reader.seek(20, len(whole) / 48_000) is None
    found = joined(part(path, PLAIN_HEARING, 20, 21, len(whole) / 48_000))
    np.testing.assert_array_equal(found, whole[960_000:1_008_000])


def test_the_fifth_hour_of_a_long_mp3_is_there_at_once(tmp_path, monkeypatch):
    """Eight hours of quiet noise, at a bit rate of its own, with ten seconds of a tone in the fifth."""
    rate_hz = 8_000
    options = {"write_xing": "0", "id3v2_version": "0"}
    quiet = encoded(tmp_path / "0.mp3", noise(10.0)[::6] / 100, "libmp3lame", rate_hz, **options).read_bytes()
    tones = encoded(tmp_path / "1.mp3", tone(10.0, 1_000, rate_hz), "libmp3lame", rate_hz, **options).read_bytes()
    path = tmp_path / "a.mp3"
    path.write_bytes(quiet * 1_800 + tones + quiet * 1_079)
    # Each piece has some samples more, to fill its last frame.
    with ClipReader(tmp_path / "0.mp3") as reader:
        piece_s = sum(map(len, reader.blocks())) / 48_000
    decoded: list[int] = []
    decode = ffmpeg._samples
    monkeypatch.setattr(
        ffmpeg, "_samples", lambda frame, dtype: (decoded.append(frame.samples), decode(frame, dtype))[1]
    )
    at_s = 1_800 * piece_s
    found = joined(part(path, PLAIN_HEARING, at_s - 2, at_s + 2))
    assert len(found) == 4 * 48_000
    assert np.abs(found[: 2 * 48_000 - 9_600]).max() < 0.05
    after = found[2 * 48_000 + 9_600 :][:32_768] * np.hanning(32_768)
    assert np.argmax(np.abs(np.fft.rfft(after))) * 48_000 / 32_768 == pytest.approx(1_000, abs=2)
    assert sum(decoded) / rate_hz < 10, "seconds are decoded, and no hours"


def test_behind_the_damage_of_a_flac_file_a_part_goes_on(tmp_path):
    """libsndfile stops there; FFmpeg, by which it was indexed, does not."""
    path = write_audio(tmp_path / "a.flac", noise(6.0), subtype="PCM_16")
    held = bytearray(path.read_bytes())
    middle = len(held) // 2
    held[middle : middle + 3_000] = np.random.default_rng(0).bytes(3_000)
    path.write_bytes(held)
    with ClipReader(path) as reader:
        whole = joined(reader.blocks())
        assert "is damaged at 0:03" in (reader.missing() or "")
    np.testing.assert_array_equal(joined(part(path, PLAIN_HEARING, 0.5, 5.5)), whole[24_000:264_000])
    np.testing.assert_array_equal(joined(part(path, PLAIN_HEARING, 2.9, 5.5)), whole[139_200:264_000])
    found = np.abs(peaks_of_file(path, PLAIN_HEARING, 0.0, 6.0, 6.0, 6).astype(int)).max(axis=1)
    assert found.tolist() == [round(127 * float(np.abs(one).max())) for one in np.split(whole, 6)]


def test_integers_in_the_place_of_floats_are_as_loud_as_they_are_heard(tmp_path):
    path = write_audio(tmp_path / "a.wav", noise(3.0) * 20_000, subtype="FLOAT")
    with ClipReader(path) as reader:
        whole = joined(reader.blocks())
    np.testing.assert_array_equal(joined(part(path, PLAIN_HEARING, 1, 2)), whole[48_000:96_000])
    assert is_beyond_floats(path)
    assert not is_beyond_floats(write_audio(tmp_path / "b.wav", noise(1.0) * 4, subtype="FLOAT"))
    assert not is_beyond_floats(write_audio(tmp_path / "c.wav", noise(1.0)))


@pytest.mark.parametrize("rate_hz", [8_000, 192_000])
def test_a_part_is_as_it_is_heard(tmp_path, rate_hz):
    """At half its speed, a tone has half its frequency, and lasts twice as long."""
    path = write_audio(tmp_path / "a.wav", tone(1.0, rate_hz / 8, rate_hz), rate_hz)
    samples = joined(part(path, Hearing(speed=0.5), 0.25, 0.75))
    assert len(samples) == pytest.approx(48_000, abs=200)
    middle = samples[20_000 : 20_000 + 8_192] * np.hanning(8_192)
    loudest_hz = np.argmax(np.abs(np.fft.rfft(middle))) * 48_000 / 8_192
    assert loudest_hz == pytest.approx(rate_hz / 16, abs=6)


def test_what_is_no_sound_says_so(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF----WAVE")
    with pytest.raises(AudioError):
        joined(part(tmp_path / "a.wav", PLAIN_HEARING, 0, 1))


def test_peaks_are_the_extremes_of_each_column():
    samples = noise(1.0, seed=3)
    blocks = iter(np.split(samples, [1, 1_000, 30_000, 30_001]))
    found = peaks(blocks, 1.0, 7)
    columns = np.arange(48_000) * 7 // 48_000
    for column in range(7):
        inside = samples[columns == column]
        assert found[column].tolist() == [round(127 * float(inside.min())), round(127 * float(inside.max()))]


@pytest.mark.parametrize("columns", [1, 7, 90, 200])
def test_peaks_of_any_blocks_are_those_of_all_samples(columns):
    """Some columns are narrower than a sample, and stay empty; what is behind the last one is counted with it."""
    samples = noise(1.0, seed=3)[:101]
    blocks = iter(np.split(samples, [1, 2, 50, 99]))
    places = np.minimum(np.arange(101) * columns // 97, columns - 1)
    expected = [
        [round(127 * float(end(samples[places == one], initial=0))) for end in (np.min, np.max)]
        for one in range(columns)
    ]
    assert peaks(blocks, 97 / 48_000, columns).tolist() == expected


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.ogg"])
@pytest.mark.parametrize("speed", [1.0, 0.5])
def test_peaks_of_a_low_rate_are_those_of_its_own_samples(tmp_path, monkeypatch, name, speed):
    """To bring hours of it to 48 kHz first would take several times as long."""
    samples = noise(2.0, rate_hz=8_000)
    write_audio(tmp_path / name, samples, 8_000, subtype=None)
    decoded = soundfile.read(tmp_path / name, dtype="float32")[0][4_000:12_000]
    monkeypatch.setattr("soxr.ResampleStream", None)
    found = peaks_of_file(tmp_path / name, Hearing(speed=speed), 0.5, 1.5, 2.0, 10)
    expected = [[round(127 * float(one.min())), round(127 * float(one.max()))] for one in np.split(decoded, 10)]
    np.testing.assert_allclose(found, expected, atol=1 if name == "a.ogg" else 0)


def test_what_is_too_high_to_be_heard_has_no_peaks(tmp_path):
    path = write_audio(tmp_path / "a.wav", tone(1.0, 40_000, 192_000), 192_000)
    assert np.abs(peaks_of_file(path, PLAIN_HEARING, 0.25, 0.75, 1.0, 10)[1:-1]).max() <= 1
    assert np.abs(peaks_of_file(path, Hearing(speed=0.25), 0.25, 0.75, 1.0, 10)).min() == 64


def test_where_there_is_no_sound_there_is_no_peak_and_what_is_too_loud_is_full_scale():
    found = peaks(iter([np.full(24_000, 3, np.float32)]), 1.0, 4)
    assert found.tolist() == [[0, 127], [0, 127], [0, 0], [0, 0]]


@pytest.mark.parametrize("frequency_hz", [440.0, 2_000.0, 9_000.0])
def test_a_tone_is_a_line_at_its_frequency(frequency_hz):
    silence = np.zeros(24_000, np.float32)
    found = spectrogram(np.concatenate([silence, tone(1.0, frequency_hz), silence]), 80, 24_000)
    assert (found.shape, found.dtype) == ((80, SPECTROGRAM_ROWS), np.uint8)
    low, high = (2_595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, 24_000))
    row = (2_595 * np.log10(1 + frequency_hz / 700) - low) / (high - low) * SPECTROGRAM_ROWS
    assert (abs(found[25:55].argmax(axis=1) + 0.5 - row) < 1.5).all()
    assert (found[25:55].max(axis=1) > 250).all()
    assert (found[:18] == 0).all()
    assert (found[62:] == 0).all()


def test_silence_is_dark():
    assert (spectrogram(np.zeros(48_000, np.float32), 20, 24_000) == 0).all()


def test_a_wave_file_has_the_samples():
    samples = np.array([0, 0.5, -0.5, 2], np.float32)
    read, rate_hz = soundfile.read(io.BytesIO(wave_file(samples)), dtype="float32")
    assert rate_hz == 48_000
    np.testing.assert_allclose(read, [0, 0.5, -0.5, 1], atol=1e-4)


@pytest.mark.parametrize(
    ("magic", "facts", "hearing", "kind"),
    [
        (b"RIFF....WAVE", Facts(48_000, 2, 16, "pcm_16"), PLAIN_HEARING, "audio/wav"),
        (b"RIFF....WAVE", Facts(192_000, 1, 16, "pcm_16"), PLAIN_HEARING, None),
        (b"RIFF....WAVE", Facts(48_000, 4, 16, "pcm_16"), PLAIN_HEARING, None),
        (b"RIFF....WAVE", Facts(48_000, 1, 4, "ima_adpcm"), PLAIN_HEARING, None),
        (b"RIFF....WAVE", Facts(48_000, 1, 16, "pcm_16"), Hearing(speed=0.1), None),
        (b"RIFF....WAVE", Facts(48_000, 1, 16, "pcm_16"), Hearing(track=2), None),
        (b"fLaC........", Facts(96_000, 2, 24, "flac"), PLAIN_HEARING, "audio/flac"),
        (b"OggS........", Facts(48_000, 2, None, "opus"), PLAIN_HEARING, "audio/ogg"),
        (b"OggS........", Facts(48_000, 2, None, "speex"), PLAIN_HEARING, None),
        (b"ID3.........", Facts(44_100, 2, None, "mp3"), PLAIN_HEARING, "audio/mpeg"),
        (b"\xff\xfb..........", Facts(44_100, 2, None, "mp3"), PLAIN_HEARING, "audio/mpeg"),
        (b"FORM....AIFF", Facts(44_100, 2, 16, "pcm_16"), PLAIN_HEARING, None),
        (b"\x30\x26\xb2\x75........", Facts(44_100, 2, None, "wmav2"), PLAIN_HEARING, None),
        (b"", Facts(), PLAIN_HEARING, None),
    ],
)
def test_what_browsers_play_as_it_is(magic, facts, hearing, kind):
    assert browser_type(magic, facts, hearing) == kind
    # Where a second is in an hour of MP3 or Ogg, they guess.
    assert browser_type(magic, facts, hearing, 3_600.0) == (kind if kind in ("audio/wav", "audio/flac") else None)

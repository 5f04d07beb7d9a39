"""What a library shows and plays of its clips."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

import pe_search
from pe_search.audio.level import levelled
from pe_search.audio.previews import part, peaks
from pe_search.records import Clip, Hearing
from pe_search.store import Store
from tests.made_up import manifest, noise, put_clips, tone, write_audio


@pytest.fixture
def library(tmp_path):
    """A store of two files and a name, which hears at half speed."""
    sounds = [
        write_audio(tmp_path / "a.wav", noise(2.0), subtype="PCM_16"),
        write_audio(tmp_path / "b.wav", tone(1.0, 1_000, 96_000), 96_000, subtype="PCM_16"),
    ]
    with Store.create(tmp_path / "store", manifest(speed=0.5)) as store:
        rows = []
        for number, path in enumerate(sounds):
            status = path.stat()
            clip = Clip(path, status.st_size, status.st_mtime_ns)
            rows.append((clip, [(0.0, soundfile.info(path).duration)], np.eye(3, dtype=np.float32)[[number]]))
        rows.append((Clip(Path("name/1"), 1, 1), [(0.0, 1.0)], np.ones((1, 3), np.float32)))
        put_clips(store, rows)
    with pe_search.open(tmp_path / "store") as library:
        yield library


def test_peaks_are_those_of_the_part_as_it_is_heard_and_come_from_the_store_again(library, tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    found = library.peaks(path, start_s=0.5, end_s=1.5, columns=50)
    samples, _ = soundfile.read(path, dtype="float32")
    expected = peaks(iter([samples[24_000:72_000]]), 2.0, 50, 24_000)
    np.testing.assert_array_equal(found, expected)
    monkeypatch.setattr("pe_search.audio.previews.peaks_of_file", lambda *_: pytest.fail("it is kept"))
    np.testing.assert_array_equal(library.peaks(path, start_s=0.5, end_s=1.5, columns=50), expected)
    # A damaged one is made again.
    monkeypatch.undo()
    for kept in (library.directory / "previews").iterdir():
        kept.write_bytes(b"x")
    np.testing.assert_array_equal(library.peaks(path, start_s=0.5, end_s=1.5, columns=50), expected)


def test_what_is_playable_is_what_is_heard(library, tmp_path):
    held = library.playable(tmp_path / "b.wav", 0.25, 0.75)
    samples, rate_hz = soundfile.read(io.BytesIO(held), dtype="float32")
    assert rate_hz == 48_000
    assert len(samples) == pytest.approx(48_000, abs=100)
    assert np.argmax(np.abs(np.fft.rfft(samples[:48_000]))) == pytest.approx(500, abs=1)
    assert library.browser_type(tmp_path / "b.wav") is None


def test_a_file_with_integers_in_the_place_of_floats_is_not_played_as_it_is(tmp_path):
    sounds = [
        write_audio(tmp_path / "loud.wav", noise(1.0) * 2, subtype="FLOAT"),
        write_audio(tmp_path / "integers.wav", noise(1.0) * 20_000, subtype="FLOAT"),
    ]
    with pe_search.create(tmp_path / "store") as library:
        library.index(sounds)
        assert [library.browser_type(path) for path in sounds] == ["audio/wav", None]


def test_a_spectrogram_goes_up_to_what_is_heard(library, tmp_path):
    (clip,) = library.known(tmp_path / "a.wav").values()
    assert library.highest_hz(clip) == 12_000
    assert library.spectrogram(tmp_path / "a.wav", columns=30).shape == (30, 128)


def test_a_clip_is_found_by_its_digest(library, tmp_path):
    (clip,) = library.known(tmp_path / "a.wav").values()
    assert library.clip_of(clip.digest) == clip
    assert library.clip_of(b"\0" * 32) is None


def test_what_can_not_be_shown_says_why(library, tmp_path):
    path = tmp_path / "a.wav"
    for wrong in (
        {"start_s": 2.0},
        {"start_s": 1.0, "end_s": 0.5},
        {"columns": 0},
        {"columns": 4_001},
        {"start_s": -1},
    ):
        with pytest.raises(ValueError, match=r"there is nothing from|columns="):
            library.peaks(path, **wrong)
    for place, said in ((tmp_path / "c.wav", "is not in the store"), ("name/1", "is a name and not a file")):
        with pytest.raises(pe_search.AudioError, match=said):
            library.peaks(place)
    os.utime(path, (1, 1))
    with pytest.raises(pe_search.AudioError, match="has changed since it was indexed; index it again"):
        library.playable(path, 0, 1)
    path.unlink()
    with pytest.raises(pe_search.AudioError, match="No such file"):
        library.playable(path, 0, 1)


def test_a_part_that_is_too_long_is_refused(library, tmp_path, monkeypatch):
    monkeypatch.setattr("pe_search.viewer.LONGEST_PART_S", 2.0)
    with pytest.raises(ValueError, match="the part plays for more than 2 s"):
        library.spectrogram(tmp_path / "a.wav")


def test_what_is_quiet_is_played_as_loud_as_it_is_heard_and_the_original_at_its_own_speed(tmp_path):
    path = write_audio(tmp_path / "a.wav", tone(2.0, 1_000) / 100, subtype="PCM_24")
    for level in ("auto", "none"):
        with Store.create(tmp_path / level, manifest(level=level, speed=0.5)) as store:
            status = path.stat()
            clip = Clip(path, status.st_size, status.st_mtime_ns)
            put_clips(store, [(clip, [(0.0, 2.0)], np.ones((1, 3), np.float32))])
    with pe_search.open(tmp_path / "none") as library:
        assert library.gain_db(path, 0, 2) == 0
    with pe_search.open(tmp_path / "auto") as library:
        samples = np.concatenate(list(part(path, Hearing(speed=0.5), 0.5, 1.5)))
        louder = levelled(samples, "auto")
        gain = library.gain_db(path, 0.5, 1.5)
        assert gain > 0
        np.testing.assert_allclose(samples * 10 ** (gain / 20), louder, rtol=1e-5)
        heard, original = (
            soundfile.read(io.BytesIO(library.playable(path, 0.5, 1.5, original=is_original)), dtype="float32")[0]
            for is_original in (False, True)
        )
        assert (len(heard), len(original)) == (96_000, 48_000)
        assert np.argmax(np.abs(np.fft.rfft(heard))) == pytest.approx(1_000, abs=2), "500 Hz, in two seconds"
        assert np.argmax(np.abs(np.fft.rfft(original))) == 1_000

"""Which extensions are taken for audio."""

from __future__ import annotations

import pytest
import soundfile

from pe_search.audio import formats
from pe_search.audio.find import find_clips
from pe_search.audio.formats import audio_extensions, unreadable_extensions
from pe_search.audio.read import ClipReader
from tests.made_up import tone


def test_the_extensions_that_people_have_are_there():
    assert audio_extensions() >= {
        ".wav",
        ".wave",
        ".bwf",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
        ".caf",
        ".w64",
        ".rf64",
        ".voc",
    }


def test_an_extension_is_lower_case_and_has_its_dot():
    for extension in audio_extensions() | unreadable_extensions():
        assert extension == extension.lower()
        assert extension.startswith(".")
        assert extension.count(".") == 1


@pytest.mark.parametrize("extension", [".raw", ".mat", ".htk", ".sd2", ".txt", ".mp4", ".m4a", ".gsm", ".vox", ""])
def test_what_is_seldom_audio_or_has_no_header_is_left_out(extension):
    assert extension not in audio_extensions()


def test_what_sounds_and_is_not_read_is_known():
    assert unreadable_extensions() >= {".mid", ".midi", ".dct", ".dss", ".ds2", ".aax", ".aaxc", ".m4p", ".rx2", ".sf2"}
    assert unreadable_extensions() >= {".sfz", ".sid", ".nki", ".gig", ".exs", ".aup3", ".wac", ".sd2"}


@pytest.mark.parametrize("readable", [{"WAV"}, {"WAV", "CAF", "OGG", "AVR"}])
def test_nothing_is_both_read_and_not_read(monkeypatch, readable):
    monkeypatch.setattr(soundfile, "available_formats", lambda: dict.fromkeys(readable, ""))
    assert audio_extensions().isdisjoint(unreadable_extensions())
    # A kind goes over to the other side as soon as something reads it.
    monkeypatch.setattr(formats, "audio_extensions", lambda: frozenset({".mid"}))
    assert ".mid" not in unreadable_extensions()
    assert ".midi" in unreadable_extensions()


@pytest.mark.parametrize("extension", [".txt", ".jpg", ".png", ".pdf", ".py", ".ts", ".zip", ".csv", ".cue", ""])
def test_what_makes_no_sound_is_not_mentioned(extension):
    assert extension not in unreadable_extensions() | audio_extensions()


def test_only_formats_that_the_installed_libsndfile_reads(monkeypatch):
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "WAV (Microsoft)", "MPC2K": "MPC (Akai)"})
    assert audio_extensions() == {".wav", ".wave", ".bwf", ".snd"}


def test_every_format_of_the_table_is_one_that_soundfile_knows():
    assert set(formats._EXTENSIONS_BY_FORMAT) <= set(soundfile.available_formats())


@pytest.mark.parametrize("name", sorted(formats._EXTENSIONS_BY_FORMAT))
def test_a_file_of_each_format_is_found_and_read_under_each_of_its_extensions(name, tmp_path):
    rate_hz = {"WVE": 8_000, "XI": 44_100}.get(name, 48_000)
    extensions = formats._EXTENSIONS_BY_FORMAT[name]
    for extension in extensions:
        soundfile.write(tmp_path / f"clip{extension}", tone(0.2, 440, rate_hz), rate_hz, format=name)
    problems = []
    clips = list(find_clips([tmp_path], problems.append))
    assert problems == []
    assert {clip.path.suffix for clip in clips} == set(extensions)
    for clip in clips:
        with ClipReader(clip.path) as reader:
            assert sum(map(len, reader.blocks())) >= 0.2 * 48_000 - 1

"""Which extensions are taken for audio."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
import soundfile

from pe_search.audio import formats
from pe_search.audio.ffmpeg import _FORMATS
from pe_search.audio.find import find_clips
from pe_search.audio.formats import audio_extensions, unreadable_extensions
from pe_search.audio.read import ClipReader
from pe_search.records import Problem
from tests.audio.encoded import KINDS, encode
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
        *(".m4a", ".aac", ".wma", ".wv", ".ape", ".ac3", ".amr", ".mpga", ".amb", ".spx"),
        *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".ts", ".mts", ".3gp", ".flv", ".wmv"),
    }


def test_an_extension_is_lower_case_and_has_its_dot():
    for extension in audio_extensions() | unreadable_extensions():
        assert extension == extension.lower()
        assert extension.startswith(".")
        assert extension.count(".") == 1


@pytest.mark.parametrize(
    "extension", [".raw", ".mat", ".htk", ".sd2", ".txt", ".jpg", ".m3u8", ".m3u", ".pls", ".gsm", ".vox", ""]
)
def test_what_is_seldom_audio_or_has_no_header_is_left_out(extension):
    assert extension not in audio_extensions()


def test_what_sounds_and_is_not_read_is_known():
    assert unreadable_extensions() >= {".mid", ".midi", ".dct", ".ds2", ".aax", ".aaxc", ".m4p", ".rx2", ".sf2"}
    assert unreadable_extensions() >= {".sfz", ".sid", ".nki", ".gig", ".exs", ".aup3", ".wac", ".sd2"}


@pytest.mark.parametrize("readable", [{"WAV"}, {"WAV", "CAF", "OGG", "AVR"}])
def test_nothing_is_both_read_and_not_read(monkeypatch, readable):
    monkeypatch.setattr(soundfile, "available_formats", lambda: dict.fromkeys(readable, ""))
    assert audio_extensions().isdisjoint(unreadable_extensions())
    # A kind goes over to the other side as soon as something reads it.
    monkeypatch.setattr(formats, "audio_extensions", lambda: frozenset({".mid"}))
    assert ".mid" not in unreadable_extensions()
    assert ".midi" in unreadable_extensions()


@pytest.mark.parametrize("extension", [".txt", ".jpg", ".png", ".pdf", ".py", ".js", ".zip", ".csv", ".cue", ""])
def test_what_makes_no_sound_is_not_mentioned(extension):
    assert extension not in unreadable_extensions() | audio_extensions()


def test_only_formats_that_the_installed_libsndfile_reads(monkeypatch):
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "WAV (Microsoft)", "MPC2K": "MPC (Akai)"})
    by_ffmpeg = {extension for extensions in formats._BY_FFMPEG.values() for extension in extensions}
    assert audio_extensions() - by_ffmpeg == {".amb", ".bw64", ".bwf", ".wav", ".wave", ".snd"}
    assert audio_extensions() >= by_ffmpeg


def test_every_format_of_the_tables_is_one_that_its_library_knows():
    assert set(formats._BY_LIBSNDFILE) <= set(soundfile.available_formats())
    assert set(formats._BY_FFMPEG) <= set(",".join(av.formats_available).split(","))


def test_ffmpeg_may_open_every_format_of_the_table():
    assert set(formats._BY_FFMPEG) <= set(_FORMATS.split(","))


@pytest.mark.parametrize("name", ["hls", "concat", "dash", "sdp", "rtsp", "applehttp", "image2", "imf", "tty", "lavfi"])
def test_ffmpeg_opens_nothing_that_opens_other_files_or_is_a_picture(name):
    assert name not in _FORMATS.split(",")


@pytest.mark.parametrize("name", sorted(formats._BY_LIBSNDFILE))
def test_a_file_of_each_format_is_found_and_read_under_each_of_its_extensions(name, tmp_path):
    rate_hz = {"WVE": 8_000, "XI": 44_100}.get(name, 48_000)
    extensions = formats._BY_LIBSNDFILE[name]
    for extension in extensions:
        soundfile.write(tmp_path / f"clip{extension}", tone(0.2, 440, rate_hz), rate_hz, format=name)
    _all_are_read(tmp_path, set(extensions))


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.container != "wav"])
def test_a_file_of_each_kind_is_found_and_read_under_its_extension(name, tmp_path):
    kind = KINDS[name]
    (tmp_path / f"clip{kind.extension}").write_bytes(encode(kind, tone(0.5, 440)))
    _all_are_read(tmp_path, {kind.extension})


def _all_are_read(folder: Path, extensions: set[str]) -> None:
    problems: list[Problem] = []
    clips = list(find_clips([folder], problems.append))
    assert problems == []
    assert {clip.path.suffix for clip in clips} == extensions
    for clip in clips:
        with ClipReader(clip.path) as reader:
            assert sum(map(len, reader.blocks())) >= 0.2 * 48_000 - 1

"""What files say of themselves, in headers made byte by byte and by FFmpeg."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from pe_search.audio.read import ClipReader
from tests.audio.encoded import KINDS, encode
from tests.made_up import noise, write_audio


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)


def write_wave(path: Path, *chunks: bytes, after: tuple[bytes, ...] = ()) -> Path:
    """A WAV of 0.1 s with more chunks, before and after the samples."""
    form = struct.pack("<HHIIHH", 1, 1, 48_000, 96_000, 2, 16)
    samples = (noise(0.1) * 32_767).astype("<i2").tobytes()
    body = b"".join((b"WAVE", chunk(b"fmt ", form), *chunks, chunk(b"data", samples), *after))
    path.write_bytes(struct.pack("<4sI", b"RIFF", len(body)) + body)
    return path


def bext(description: bytes = b"", date: bytes = b"", time: bytes = b"") -> bytes:
    fields = struct.pack(
        "<256s32s32s10s8sQH64s5h180s", description, b"", b"", date, time, 0, 0, b"", 0, 0, 0, 0, 0, b""
    )
    return chunk(b"bext", fields)


def acid(*, flags: int, note: int = 60, bpm: float = 120.0) -> bytes:
    return chunk(b"acid", struct.pack("<IHHfIHHf", flags, note, 0x8000, 0.0, 8, 4, 4, bpm))


def info(**texts: bytes) -> bytes:
    return chunk(b"LIST", b"INFO" + b"".join(chunk(name.encode(), text + b"\0") for name, text in texts.items()))


def facts(path: Path):
    with ClipReader(path) as reader:
        found = reader.facts()
        # Whatever was read of the header, the samples are read from their start.
        assert sum(len(block) for block in reader.blocks()) > 0
    return found


def test_a_plain_wave_says_how_it_is_sampled(tmp_path):
    found = facts(write_audio(tmp_path / "a.wav", noise(0.1, rate_hz=44_100, channels=2), 44_100, "PCM_24"))
    assert (found.sample_rate_hz, found.channels, found.bits, found.codec) == (44_100, 2, 24, "pcm_24")
    assert found.title is found.description is found.recorded_at is found.bpm is None
    assert found.keywords == ()


def test_broadcast_wave(tmp_path):
    path = write_wave(tmp_path / "a.wav", bext(b"Two dogs bark behind a fence", b"2024-06-12", b"05:30:00"))
    found = facts(path)
    assert found.description == "Two dogs bark behind a fence"
    assert (found.recorded_at, found.recorded_by) == ("2024-06-12T05:30:00", "bext")


@pytest.mark.parametrize("text", ["Türen".encode(), "Türen".encode("latin-1")])
def test_a_description_that_is_not_ascii(text, tmp_path):
    assert facts(write_wave(tmp_path / "a.wav", bext(text))).description == "Türen"


def test_guano_with_a_line_that_is_none(tmp_path):
    text = (
        "GUANO|Version: 1.0\nTimestamp: 2024-06-12T05:30:00+02:00\nno colon here\nNote: by the\tpond\n"
        "Species Manual ID: MYODAU\nTags: bats, river\nLoc Position: 48.1 11.5\n"
    )
    guano = chunk(b"guan", text.encode())
    found = facts(write_wave(tmp_path / "a.wav", bext(b"", b"2020-01-01", b"00:00:00"), after=(guano,)))
    assert (found.recorded_at, found.recorded_by) == ("2024-06-12T05:30:00+02:00", "GUANO")
    assert found.comment == "by the pond"
    assert found.keywords == ("bats", "river", "MYODAU")


def test_ixml(tmp_path):
    texts = b"<NOTE>door, wood</NOTE><KEYWORDS>door;creak</KEYWORDS>"
    xml = b'<?xml version="1.0" encoding="UTF-8"?><BWFXML>' + texts + b"</BWFXML>\0"
    found = facts(write_wave(tmp_path / "a.wav", chunk(b"iXML", xml)))
    assert found.description == "door, wood"
    assert found.keywords == ("door", "creak")


def test_an_audiomoth(tmp_path):
    comment = b"Recorded at 19:17:30 14/02/2022 (UTC) by AudioMoth 243B1F075C7BC7D8 at medium gain"
    found = facts(write_wave(tmp_path / "a.wav", info(ICMT=comment, IART=b"AudioMoth 243B1F075C7BC7D8")))
    assert (found.recorded_at, found.recorded_by) == ("2022-02-14T19:17:30+00:00", "AudioMoth")
    assert found.artist == "AudioMoth 243B1F075C7BC7D8"
    assert found.comment == comment.decode()


def test_a_loop_of_acid(tmp_path):
    found = facts(write_wave(tmp_path / "a.wav", acid(flags=2, note=57, bpm=174.0)))
    assert (found.bpm, found.key) == (174.0, "A")


def test_a_one_shot_of_acid_has_no_tempo(tmp_path):
    found = facts(write_wave(tmp_path / "a.wav", acid(flags=1)))
    assert (found.bpm, found.key) == (None, None)


@pytest.mark.parametrize("bpm", [0.0, -5.0, float("nan"), float("inf")])
def test_a_tempo_of_nothing(bpm, tmp_path):
    assert facts(write_wave(tmp_path / "a.wav", acid(flags=0, bpm=bpm))).bpm is None


TAGS = {
    "title": "Kick 808",
    "artist": "Somebody",
    "album": "Drums",
    "comment": "dry",
    "genre": "Electronic",
}


CODECS = {
    "MP3": ("mp3", None),
    "M4A": ("aac", None),
    "ALAC": ("alac", 16),
    "FLAC": ("flac", 16),
    "FLAC of 24 bits": ("flac", 24),
    "FLAC in Matroska": ("flac", 16),
    "Opus": ("opus", None),
    "WMA": ("wmav2", None),
    "WavPack": ("wavpack", 16),
}


@pytest.mark.parametrize("kind", CODECS)
def test_the_tags_of_containers(kind, tmp_path):
    path = tmp_path / f"a{KINDS[kind].extension}"
    path.write_bytes(encode(replace(KINDS[kind], tags=TAGS), noise(0.5, channels=2)))
    found = facts(path)
    assert {name: getattr(found, name) for name in TAGS} == TAGS
    assert (found.codec, found.bits) == CODECS[kind]
    assert (found.sample_rate_hz, found.channels) == (KINDS[kind].rate_hz, 2)


def test_a_tempo_a_key_and_a_time_in_tags(tmp_path):
    tags = {"BPM": "128,5", "INITIALKEY": "F#m", "creation_time": "2024-06-12T05:30:00Z"}
    path = tmp_path / "a.flac"
    path.write_bytes(encode(replace(KINDS["FLAC"], tags=tags), noise(0.5)))
    found = facts(path)
    assert (found.bpm, found.key) == (128.5, "F#m")
    assert (found.recorded_at, found.recorded_by) == ("2024-06-12T05:30:00+00:00", "tags")


def test_what_is_hostile_is_bounded_and_plain(tmp_path):
    guano = b"Note: " + b"x" * 10_000_000 + b"\n"
    tall = b"<a>" * 100_000
    laughs = b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "' + b"&b;" * 1_000 + b'">]><BWFXML><NOTE>&c;&c;</NOTE></BWFXML>'
    for number, bad in enumerate(
        (
            chunk(b"guan", guano),
            chunk(b"iXML", tall),
            chunk(b"iXML", laughs),
            chunk(b"iXML", b"no xml"),
            chunk(b"iXML", b""),
            chunk(b"bext", b"short"),
            chunk(b"acid", b"short"),
            chunk(b"guan", b"\xff\xfe\0: \xff\n"),
        )
    ):
        found = facts(write_wave(tmp_path / f"{number}.wav", bad))
        for text in (found.title, found.comment, found.description, *found.keywords):
            assert text is None or (len(text) <= 2_000 and text.isprintable())


def test_control_characters_are_left_out(tmp_path):
    found = facts(write_wave(tmp_path / "a.wav", bext(b"a\x1b[2Jb\r\nc\x7f d")))
    assert found.description == "a [2Jb c d"


def test_a_chunk_that_ends_beyond_the_file(tmp_path):
    cut_off = struct.pack("<4sI", b"guan", 1 << 19) + b"Timestamp: 2024-06-12T05:30:00"
    path = write_wave(tmp_path / "a.wav", after=(cut_off,))
    assert facts(path).recorded_at == "2024-06-12T05:30:00"

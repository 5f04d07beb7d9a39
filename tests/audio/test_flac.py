"""Comments of FLAC files: other programs read them, and the sound stays as it was."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from pe_search.audio.flac import put_comments
from pe_search.audio.read import ClipReader
from tests.made_up import noise, write_audio

COMMENTS = [
    ("TITLE", "Zwei Hunde — 雨"),
    ("COMMENT", "dry; close"),
    ("DESCRIPTION", "a = b"),
    ("KEYWORDS", "dog"),
    ("KEYWORDS", "fence"),
    ("X", ""),
]


def blocks_of(path: Path) -> list[tuple[int, bytes]]:
    """Kind and content of what comes before the sound, and the sound as kind 127."""
    content = path.read_bytes()
    assert content[:4] == b"fLaC"
    place, blocks, is_last = 4, [], 0
    while not is_last:
        kind, is_last = content[place] & 127, content[place] & 128
        end = place + 4 + int.from_bytes(content[place + 1 : place + 4], "big")
        blocks.append((kind, content[place + 4 : end]))
        place = end
    return [*blocks, (127, content[place:])]


def comments_in(block: bytes) -> tuple[bytes, list[bytes]]:
    """The vendor, and the comments."""
    parts = []
    place = 0
    (size,) = struct.unpack_from("<I", block)
    vendor, place = block[4 : 4 + size], 4 + size
    (count,) = struct.unpack_from("<I", block, place)
    place += 4
    for _ in range(count):
        (size,) = struct.unpack_from("<I", block, place)
        parts.append(block[place + 4 : place + 4 + size])
        place += 4 + size
    assert place == len(block)
    return vendor, parts


@pytest.mark.parametrize(
    ("rate_hz", "channels", "subtype"), [(48_000, 1, "PCM_16"), (44_100, 2, "PCM_24"), (655_350, 8, "PCM_16")]
)
def test_the_sound_stays_byte_for_byte(tmp_path, rate_hz, channels, subtype):
    path = write_audio(tmp_path / "a.flac", noise(0.2, channels=channels, rate_hz=rate_hz), rate_hz, subtype)
    before = dict(blocks_of(path))
    samples, _ = soundfile.read(path, dtype="int32")
    vendor = comments_in(before[4])[0]
    for comments in (COMMENTS, [("TITLE", "another")], []):
        put_comments(path, comments)
        after = dict(blocks_of(path))
        assert {kind: after[kind] for kind in (0, 127)} == {kind: before[kind] for kind in (0, 127)}
        assert comments_in(after[4]) == (vendor, [f"{name}={value}".encode() for name, value in comments])
        assert [kind for kind, _ in blocks_of(path)].count(4) == 1
        np.testing.assert_array_equal(soundfile.read(path, dtype="int32")[0], samples)
    assert [one.name for one in tmp_path.iterdir()] == ["a.flac"]


def test_other_programs_read_them(tmp_path):
    path = write_audio(tmp_path / "a.flac", noise(0.2), subtype="PCM_16")
    put_comments(path, COMMENTS)
    with av.open(path) as container:
        assert container.metadata["TITLE"] == "Zwei Hunde — 雨"
        assert container.metadata["KEYWORDS"] == "dog;fence"
        assert container.streams.audio[0].duration == 9_600
    with soundfile.SoundFile(path) as sound:
        assert (sound.title, sound.comment, sound.frames) == ("Zwei Hunde — 雨", "dry; close", 9_600)


def test_padding_and_older_comments_go_and_all_else_stays(tmp_path):
    path = write_audio(tmp_path / "a.flac", noise(0.2), subtype="PCM_16")
    stream, *_, sound = blocks_of(path)
    # Padding, an application's block, comments, a table of places, and comments once more.
    others = [(1, bytes(500)), (2, b"testabc"), (4, comments(b"one")), (3, bytes(18)), (4, comments(b"two")), (1, b"")]
    path.write_bytes(made_of([stream, *others], sound[1]))
    put_comments(path, [("TITLE", "a")])
    assert blocks_of(path) == [stream, (2, b"testabc"), (3, bytes(18)), (4, comments(b"one", b"TITLE=a")), sound]
    # Without any, there is no vendor.
    path.write_bytes(made_of([stream], sound[1]))
    put_comments(path, [("TITLE", "a")])
    assert blocks_of(path) == [stream, (4, comments(b"", b"TITLE=a")), sound]


def comments(vendor: bytes, *texts: bytes) -> bytes:
    parts = [struct.pack("<I", len(text)) + text for text in texts]
    return struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(texts)) + b"".join(parts)


def made_of(blocks: list[tuple[int, bytes]], sound: bytes) -> bytes:
    heads = [kind | (128 if number == len(blocks) else 0) for number, (kind, _) in enumerate(blocks, start=1)]
    parts = [
        bytes([head]) + len(content).to_bytes(3, "big") + content
        for head, (_, content) in zip(heads, blocks, strict=True)
    ]
    return b"fLaC" + b"".join(parts) + sound


def test_more_than_there_is_room_for_leaves_the_file_as_it_was(tmp_path):
    path = write_audio(tmp_path / "a.flac", noise(0.2), subtype="PCM_16")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no room for more than 16 MiB"):
        put_comments(path, [("TITLE", "x" * (1 << 24))])
    assert path.read_bytes() == before
    wave = write_audio(tmp_path / "a.wav", noise(0.2))
    with pytest.raises(ValueError, match="not a FLAC file"):
        put_comments(wave, [])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.flac", "a.wav"]


@pytest.mark.parametrize(
    ("tags", "comment", "description"),
    [
        # As other programs write them.
        ([("COMMENT", "c"), ("DESCRIPTION", "d")], "c", "d"),
        ([("DESCRIPTION", "d"), ("COMMENT", "c")], "c", "d"),
        ([("COMMENT", "c")], "c", None),
        # FFmpeg writes a comment so.
        ([("DESCRIPTION", "d")], "d", None),
        ([("DESCRIPTION", "d"), ("ENCODER", "pe-search")], None, "d"),
        ([("COMMENT", "c"), ("ENCODER", "pe-search")], "c", None),
        ([("COMMENT", "c"), ("DESCRIPTION", "d"), ("ENCODER", "pe-search")], "c", "d"),
    ],
)
def test_a_comment_and_a_description_are_told_apart(tmp_path, tags, comment, description):
    path = write_audio(tmp_path / "a.flac", noise(0.2), subtype="PCM_16")
    put_comments(path, tags)
    with ClipReader(path) as reader:
        facts = reader.facts()
    assert (facts.comment, facts.description) == (comment, description)

"""Headers of uncompressed files that lie: all that the file holds is read, and what it doesn't hold is said."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pe_search.audio.headers import read_header
from pe_search.audio.read import ClipReader
from tests.audio.encoded import by_libsndfile
from tests.made_up import noise

SECONDS = 2.0
SAMPLES = round(SECONDS * 48_000)
MEANT = noise(SECONDS)
STREAMED_32 = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFFF24, 0x7FFFF000 + 0xF00, 0xFFFFF000)
ALL_READ = "; all of it is read"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(path: Path) -> tuple[NDArray[np.float32], str | None, tuple[str, ...]]:
    """The audio, what is missing of it, and what is odd about it."""
    with ClipReader(path) as reader:
        samples = np.concatenate(list(reader.blocks()))
        return samples, reader.missing(), reader.notes


class Layout:
    """Where a kind of file keeps the sizes that a test changes."""

    def __init__(self, name: str, layout: str, chunk: bytes, offset: int, counts_itself: int = 0) -> None:
        self.content = by_libsndfile(MEANT, name, "PCM_16")
        self.layout = layout
        self.counts_itself = counts_itself
        self.at = self.content.index(chunk) + offset
        self.samples_at = len(self.content) - 2 * SAMPLES
        (size,) = struct.unpack_from(layout, self.content, self.at)
        self.surplus = size - 2 * SAMPLES

    def saying(self, sample_bytes: int, content: bytes | None = None) -> bytes:
        """The file with another size in its header."""
        changed = bytearray(self.content if content is None else content)
        struct.pack_into(self.layout, changed, self.at, sample_bytes + self.surplus)
        return bytes(changed)

    def saying_exactly(self, size: int) -> bytes:
        changed = bytearray(self.content)
        struct.pack_into(self.layout, changed, self.at, size)
        return bytes(changed)


LAYOUTS = {
    "WAV": Layout("WAV", "<I", b"data", 4),
    "WAVEX": Layout("WAVEX", "<I", b"data", 4),
    "RF64": Layout("RF64", "<Q", b"ds64", 16),
    "W64": Layout("W64", "<Q", b"data\xf3\xac", 16),
    "AIFF": Layout("AIFF", ">I", b"SSND", 4),
    "CAF": Layout("CAF", ">q", b"data", 4),
    "AU": Layout("AU", ">I", b".snd", 8),
}
SMALL = [name for name in LAYOUTS if LAYOUTS[name].layout.endswith("I")]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_right_header_is_right(tmp_path, name):
    layout = LAYOUTS[name]
    samples, missing, notes = read(write(tmp_path / "a", layout.content))
    np.testing.assert_allclose(samples, MEANT, rtol=0, atol=2**-15)
    assert (missing, notes) == (None, ())
    with (tmp_path / "a").open("rb") as file:
        header = read_header(file)
    assert header is not None
    assert (header.samples_at, header.declared_bytes) == (layout.samples_at, 2 * SAMPLES)
    assert (header.held_bytes, header.must_change, header.breaks_off) == (2 * SAMPLES, False, False)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("said", [0, 44, 20_000])
def test_a_size_that_is_too_small(tmp_path, name, said):
    samples, missing, notes = read(write(tmp_path / "a", LAYOUTS[name].saying(said)))
    np.testing.assert_allclose(samples, MEANT, rtol=0, atol=2**-15)
    assert missing is None
    says = {0: "0:00", 44: "0:00", 20_000: "0:00.2"}[said]
    assert notes == (f"the header says {says}, and the file holds 0:02{ALL_READ}",)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", STREAMED_32)
def test_a_size_that_streaming_programs_write_is_no_size(tmp_path, name, size):
    samples, missing, notes = read(write(tmp_path / "a", LAYOUTS[name].saying_exactly(size)))
    np.testing.assert_allclose(samples, MEANT, rtol=0, atol=2**-15)
    assert (missing, notes) == (None, ())


@pytest.mark.parametrize(("name", "size"), [("CAF", -1), ("RF64", 2**64 - 1), ("W64", 2**63 - 1), ("CAF", 2**63 - 1)])
def test_an_unknown_size_of_64_bits(tmp_path, name, size):
    samples, missing, notes = read(write(tmp_path / "a", LAYOUTS[name].saying_exactly(size)))
    np.testing.assert_allclose(samples, MEANT, rtol=0, atol=2**-15)
    assert (missing, notes) == (None, ())


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("kept", [30_000, 30_001, 95_000])
def test_a_file_that_breaks_off(tmp_path, name, kept):
    layout = LAYOUTS[name]
    path = write(tmp_path / "a", layout.content[: layout.samples_at + 2 * kept + kept % 2])
    samples, missing, notes = read(path)
    np.testing.assert_allclose(samples, MEANT[:kept], rtol=0, atol=2**-15)
    # The last 0.04 s are nothing that anyone misses.
    assert missing == (None if kept == 95_000 else "breaks off after 0:00.6 of 0:02")
    assert notes == ()


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_size_that_is_far_too_large(tmp_path, name):
    samples, missing, notes = read(write(tmp_path / "a", LAYOUTS[name].saying(20 * SAMPLES)))
    np.testing.assert_allclose(samples, MEANT, rtol=0, atol=2**-15)
    assert missing == "breaks off after 0:02 of 0:20"
    assert notes == ()


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_long_wav_files_that_are_short(tmp_path, magic):
    content = magic + LAYOUTS["RF64"].content[4:]
    samples, missing, notes = read(write(tmp_path / "a.wav", content))
    np.testing.assert_allclose(samples, MEANT, rtol=0, atol=2**-15)
    assert (missing, notes) == (None, ())
    samples, missing, _ = read(write(tmp_path / "a.wav", content[:-96_000]))
    np.testing.assert_allclose(samples, MEANT[:48_000], rtol=0, atol=2**-15)
    assert missing == "breaks off after 0:01 of 0:02"


def chunk(name: bytes, content: bytes, order: str = "<") -> bytes:
    return name + struct.pack(order + "I", len(content)) + content + b"\0" * (len(content) % 2)


LONG = 9_000
# What may come behind the samples and is no sound.
TAILS = {
    "nothing": b"",
    "one byte": b"\0",
    "zeros": bytes(LONG),
    "a chunk": chunk(b"LIST", b"INFO" + b"x" * LONG),
    "an unknown chunk": chunk(b"qx7 ", b"x" * LONG),
    "chunks": chunk(b"cue ", b"x" * 28) + chunk(b"bext", b"y" * LONG),
    "an ID3 chunk": chunk(b"id3 ", b"ID3\3\0" + b"z" * LONG),
    "an ID3 tag": b"ID3\3\0\0\0\0\x46\x28" + b"z" * LONG,
    "an APE tag": b"APETAGEX" + b"z" * LONG,
    "an old ID3 tag": b"TAG" + b"z" * 125,
    "a few bytes of junk": b"\x05\x99\x13" * 300,
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("name", ["WAV", "AIFF"])
def test_what_comes_behind_the_samples_is_no_sound(tmp_path, name, tail):
    layout = LAYOUTS[name]
    behind = TAILS[tail]
    if name == "AIFF" and "chunk" in tail:
        behind = chunk(b"APPL", b"x" * LONG, ">")
    samples, missing, notes = read(write(tmp_path / "a", layout.content + behind))
    np.testing.assert_allclose(samples, MEANT, rtol=0, atol=2**-15)
    assert (missing, notes) == (None, ())


@pytest.mark.parametrize("is_padded", [True, False])
def test_chunks_behind_an_odd_number_of_bytes(tmp_path, is_padded):
    content = bytearray(by_libsndfile(MEANT[:9_999], "WAV", "PCM_U8"))
    del content[44 + 9_999 :]
    content += b"\0" * is_padded + chunk(b"LIST", b"INFO" + b"x" * LONG)
    samples, missing, notes = read(write(tmp_path / "a.wav", bytes(content)))
    np.testing.assert_allclose(samples, MEANT[:9_999], rtol=0, atol=2**-7)
    assert (missing, notes) == (None, ())


def test_chunks_before_the_samples(tmp_path):
    content = LAYOUTS["WAV"].content
    before = chunk(b"bext", b"x" * 601) + chunk(b"JUNK", bytes(2_000)) + chunk(b"data"[::-1], b"data")
    for said in (2 * SAMPLES, 0, 100):
        changed = content[:36] + before + b"data" + struct.pack("<I", said) + content[44:]
        samples, missing, notes = read(write(tmp_path / "a.wav", changed))
        np.testing.assert_allclose(samples, MEANT, rtol=0, atol=2**-15)
        assert missing is None
        assert bool(notes) == (said < 2 * SAMPLES)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW"])
@pytest.mark.parametrize("said", [0, 44])
def test_a_recorder_that_crashed_in_stereo(tmp_path, subtype, said):
    meant = noise(1.0, channels=2)
    content = bytearray(by_libsndfile(meant, "WAV", subtype))
    at = content.index(b"data")
    struct.pack_into("<I", content, 4, 0)
    struct.pack_into("<I", content, at + 4, said)
    samples, missing, notes = read(write(tmp_path / "a.wav", bytes(content)))
    accuracy = {"ULAW": 2**-6}.get(subtype, 2**-15)
    np.testing.assert_allclose(samples[:48_000], meant.mean(axis=1), rtol=0, atol=accuracy)
    assert len(samples) - 48_000 in (0, 1)  # FLOAT has a chunk in front of its samples
    assert missing is None
    assert len(notes) == 1


@pytest.mark.parametrize("kind", ["sowt", "NONE", "fl32"])
def test_compressed_aiff_that_is_not_compressed(tmp_path, kind):
    common = struct.pack(">hIh", 1, 0, 32 if kind == "fl32" else 16) + struct.pack(">HQ", 0x400E, 48_000 << 48)
    form = chunk(b"FVER", struct.pack(">I", 0xA2805140), ">") + chunk(b"COMM", common + kind.encode() + b"\0\0", ">")
    dtype, scale = {"sowt": ("<i2", 2**15), "NONE": (">i2", 2**15), "fl32": (">f4", 1)}[kind]
    form += b"SSND" + struct.pack(">III", 8, 0, 0) + (MEANT * scale).astype(dtype).tobytes()
    samples, missing, notes = read(
        write(tmp_path / "a.aifc", b"FORM" + struct.pack(">I", 4 + len(form)) + b"AIFC" + form)
    )
    np.testing.assert_allclose(samples, MEANT, rtol=0, atol=2**-14)
    assert missing is None
    assert len(notes) == 1


def sparse(path: Path, header: bytes, size_bytes: int, end: bytes) -> Path:
    """A file of zeros between a header and an end, which takes no room on the disk."""
    with path.open("wb") as file:
        file.write(header)
        file.truncate(size_bytes)
        file.seek(size_bytes - len(end))
        file.write(end)
    return path


@pytest.mark.parametrize("name", ["WAV", "AIFF", "AU"])
def test_a_size_that_wrapped_past_4_gib(tmp_path, name):
    layout = LAYOUTS[name]
    sample_bytes = (1 << 32) + 2 * SAMPLES
    end = layout.content[layout.samples_at :][-20_000:]
    header = layout.saying(sample_bytes & 0xFFFFFFFF)[: layout.samples_at]
    path = sparse(tmp_path / "a", header, layout.samples_at + sample_bytes, end)
    with path.open("r+b") as file:  # what follows where it should end is sound
        file.seek(layout.samples_at + 2 * SAMPLES)
        file.write(end)
    with ClipReader(path) as reader:
        frames = sample_bytes // 2
        assert reader.header_duration_s == frames / 48_000
        (note,) = reader.notes
        assert note == f"the header says 0:02, and the file holds 12:25:41.2{ALL_READ}"
        sound = reader._source._sound
        sound.seek(frames - 10_000)
        np.testing.assert_allclose(sound.read(10_000, dtype="float32"), MEANT[-10_000:], rtol=0, atol=2**-15)


@pytest.mark.parametrize("cut", range(0, 140, 7))
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_header_that_breaks_off_is_no_header(tmp_path, name, cut):
    layout = LAYOUTS[name]
    kept = layout.content[: min(cut, layout.samples_at - 1)]
    with write(tmp_path / "a", kept).open("rb") as file:
        header = read_header(file)
    assert header is None or header.held_bytes == 0

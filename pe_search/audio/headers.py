"""What the header of an uncompressed file says of its length, and what the file holds.

Recorders that crash, editors that stream and files past 4 GiB leave headers that say too little or too much. libsndfile
reads what the header says; so the header is compared with the file, and where it says too little libsndfile is given
another (see `Header.repaired`).
"""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

_LARGEST_32 = 0xFFFFFFFF
_OPEN_FROM_64 = 1 << 62
_MOST_CHUNKS = 1_000
# A header longer than this has more than a header in it, and isn't copied.
_LONGEST_HEADER_BYTES = 16 << 20
# What may stand behind the samples though it is no chunk: tags of other formats, and less than anyone can hear.
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS", b"<?xml")
_TAIL_BYTES = 4_096
_SCAN_BYTES = 1 << 20
_MPEG_TAGS = (0x50, 0x55)
# Compression types of AIFF-C whose samples all have one length.
_AIFC_PLAIN = (b"NONE", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64")


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an uncompressed file.

    Attributes:
        samples_at: Where its samples begin, in bytes.
        declared_bytes: How long they are, by the header; None where it leaves that open, as one written to a pipe does.
        held_bytes: How long they are in fact.
        says_too_little: Whether samples go on where they should end.
        must_change: Whether libsndfile needs another header to read all that the file holds.
    """

    samples_at: int
    declared_bytes: int | None
    held_bytes: int
    says_too_little: bool
    must_change: bool
    _corrected: Callable[[bytearray, int], bytes]

    @property
    def breaks_off(self) -> bool:
        """Whether the file ends before the samples do that the header tells of."""
        return self.declared_bytes is not None and self.declared_bytes > self.held_bytes

    def repaired(self, file: BinaryIO) -> io.RawIOBase:
        """The same file with a header that tells of all its samples."""
        file.seek(0)
        return _Repaired(self._corrected(bytearray(file.read(self.samples_at)), self.held_bytes), file, self.samples_at)


class _Repaired(io.RawIOBase):
    """A file as it would be with another header. Only what stands before the samples is in memory."""

    def __init__(self, header: bytes, file: BinaryIO, samples_at: int) -> None:
        self._header = header
        self._file = file
        self._shift = samples_at - len(header)
        self._size = os.fstat(file.fileno()).st_size - self._shift
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = len(buffer)
        if self._position < len(self._header):
            part = self._header[self._position : self._position + wanted]
        else:
            self._file.seek(self._position + self._shift)
            part = self._file.read(wanted)
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)


def read_header(file: BinaryIO) -> Header | None:
    """Compare the header of an open file with the file; None for a kind that is not known, or a broken header."""
    file.seek(0)
    magic = file.read(16)
    size_bytes = os.fstat(file.fileno()).st_size
    try:
        if magic[:4] in (b"RIFF", b"RF64", b"BW64") and magic[8:12] == b"WAVE":
            return _wave(file, size_bytes, magic[:4])
        if magic[:4] == b"riff":
            return _wave64(file, size_bytes)
        if magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"):
            return _aiff(file, size_bytes)
        if magic[:4] == b"caff":
            return _core_audio(file, size_bytes)
        if magic[:4] == b".snd":
            return _sun(file, size_bytes)
    except struct.error:  # it ends within its header
        pass
    return None


def is_mpeg_in_wave(file: BinaryIO) -> bool:
    """Whether an open WAV has MP3 or its like inside, which makes libsndfile's decoder write to stderr."""
    try:
        chunks = _chunks_to(b"fmt ", _chunks(file, 12, os.fstat(file.fileno()).st_size, "<4sI", 2))
        return chunks is not None and _unpack(file, "<H", chunks[b"fmt "][0])[0] in _MPEG_TAGS
    except struct.error:
        return False


def wave_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, place of the content and size of the chunks of an open WAV; none of any other file."""
    file.seek(0)
    magic = file.read(12)
    if magic[:4] in (b"RIFF", b"RF64", b"BW64") and magic[8:12] == b"WAVE":
        with suppress(struct.error):
            yield from _chunks(file, 12, os.fstat(file.fileno()).st_size, "<4sI", 2)


def _wave(file: BinaryIO, size_bytes: int, magic: bytes) -> Header | None:
    chunks = _chunks_to(b"data", _chunks(file, 12, size_bytes, "<4sI", 2))
    if chunks is None:
        return None
    size_at = {name: at - 4 for name, (at, _) in chunks.items()}
    at, size = chunks[b"data"]
    long_form = magic != b"RIFF" and b"ds64" in size_at
    is_long = long_form and size == _LARGEST_32
    stated: int = _unpack(file, "<Q", size_at[b"ds64"] + 4 + 8)[0] if is_long else size
    is_open = stated >= _OPEN_FROM_64 if is_long else _is_open(size)

    def corrected(header: bytearray, held: int) -> bytes:
        whole = len(header) - 8 + held + held % 2
        if long_form:
            header[:4] = b"RF64"
            struct.pack_into("<I", header, 4, _LARGEST_32)
            struct.pack_into("<I", header, size_at[b"data"], _LARGEST_32)
            struct.pack_into("<QQQ", header, size_at[b"ds64"] + 4, whole, held, 0)
        elif whole <= _LARGEST_32:
            header[:4] = b"RIFF"
            struct.pack_into("<I", header, 4, whole)
            struct.pack_into("<I", header, size_at[b"data"], held)
        else:
            struct.pack_into("<I", header, size_at[b"data"], _LARGEST_32)
            long_sizes = struct.pack("<4sIQQQI", b"ds64", 28, whole + 36, held, 0, 0)
            header[:12] = struct.pack("<4sI4s", b"RF64", _LARGEST_32, b"WAVE") + long_sizes
        return bytes(header)

    must_change = magic == b"BW64" or (is_long and is_open)
    return _header(file, at, None if is_open else stated, size_bytes, corrected, "<4sI", must_change=must_change)


def _wave64(file: BinaryIO, size_bytes: int) -> Header | None:
    chunks = _chunks_to(b"data", _chunks(file, 40, size_bytes, "<16sQ", 8, counts_itself=True))
    if chunks is None:
        return None
    at, size = chunks[b"data"]

    def corrected(header: bytearray, held: int) -> bytes:
        struct.pack_into("<Q", header, 16, len(header) + held)
        struct.pack_into("<Q", header, len(header) - 8, held + 24)
        return bytes(header)

    declared = None if size >= _OPEN_FROM_64 else size
    return _header(file, at, declared, size_bytes, corrected, "<16sQ", counts_itself=True)


def _aiff(file: BinaryIO, size_bytes: int) -> Header | None:
    chunks = _chunks_to(b"SSND", _chunks(file, 12, size_bytes, ">4sI", 2))
    if chunks is None or b"COMM" not in chunks:
        return None
    common_at, common_size = chunks[b"COMM"]
    channels, _, bits = _unpack(file, ">hIh", common_at)
    frame_bytes = channels * -(-bits // 8)
    compression = b"NONE" if common_size < 22 else _unpack(file, ">4s", common_at + 18)[0]
    if frame_bytes <= 0 or compression not in _AIFC_PLAIN:
        return None
    at, size = chunks[b"SSND"]
    (offset,) = _unpack(file, ">I", at)
    samples_at = at + 8 + offset

    def corrected(header: bytearray, held: int) -> bytes:
        whole = len(header) - 8 + held
        if whole > _LARGEST_32:  # for which AIFF has no room, and CAF has
            rate_hz = _extended(bytes(header[common_at + 8 : common_at + 18]))
            return _core_audio_header(rate_hz, channels, frame_bytes // channels, compression, held)
        struct.pack_into(">I", header, 4, whole)
        struct.pack_into(">I", header, at - 4, 8 + offset + held)
        struct.pack_into(">I", header, common_at + 2, held // frame_bytes)
        return bytes(header)

    declared = None if _is_open(size) else max(size - 8 - offset, 0)
    return _header(file, samples_at, declared, size_bytes, corrected, ">4sI")


def _core_audio(file: BinaryIO, size_bytes: int) -> Header | None:
    chunks = _chunks_to(b"data", _chunks(file, 8, size_bytes, ">4sq", 1))
    if chunks is None:
        return None
    at, size = chunks[b"data"]

    def corrected(header: bytearray, held: int) -> bytes:
        struct.pack_into(">q", header, at - 8, held + 4)
        return bytes(header)

    # The samples come after a count of edits. libsndfile refuses a file that ends before they do.
    declared = None if size < 0 or size >= _OPEN_FROM_64 else max(size - 4, 0)
    must_change = declared is None or at + size > size_bytes
    return _header(file, at + 4, declared, size_bytes, corrected, ">4sq", must_change=must_change)


def _core_audio_header(rate_hz: float, channels: int, sample_bytes: int, compression: bytes, held: int) -> bytes:
    """The header of a CAF with the samples of an AIFF."""
    is_float = compression.lower().startswith(b"fl")
    flags = is_float | (compression == b"sowt") << 1
    layout = (sample_bytes * channels, 1, channels, 8 * sample_bytes)
    described = struct.pack(">4sqd4s5I", b"desc", 32, rate_hz, b"lpcm", flags, *layout)
    return struct.pack(">4sHH", b"caff", 1, 0) + described + struct.pack(">4sqI", b"data", held + 4, 0)


def _extended(number: bytes | bytearray) -> float:
    """A number of 80 bits, as AIFF has its sample rate."""
    exponent, fraction = struct.unpack(">hQ", number)
    return math.ldexp(fraction, exponent - 16_383 - 63)


def _sun(file: BinaryIO, size_bytes: int) -> Header | None:
    samples_at, size = _unpack(file, ">II", 4)
    if not 24 <= samples_at <= size_bytes:
        return None

    def corrected(header: bytearray, held: int) -> bytes:
        struct.pack_into(">I", header, 8, min(held, _LARGEST_32))
        return bytes(header)

    declared = None if _is_open(size) else size
    # libsndfile knows one of the sizes that stand for none.
    must_change = declared is None and size != _LARGEST_32
    return _header(file, samples_at, declared, size_bytes, corrected, ">4sI", must_change=must_change)


def _header(
    file: BinaryIO,
    samples_at: int,
    declared: int | None,
    size_bytes: int,
    corrected: Callable[[bytearray, int], bytes],
    chunk_layout: str,
    *,
    counts_itself: bool = False,
    must_change: bool = False,
) -> Header | None:
    if not samples_at <= size_bytes or samples_at > _LONGEST_HEADER_BYTES:
        return None
    held = size_bytes - samples_at
    says_too_little = False
    if declared is not None and declared < held:
        end = samples_at + declared
        says_too_little = held - declared > _TAIL_BYTES and not (
            _is_padding_or_tag(file, end)
            # A chunk begins at an even place, but not all programs know that.
            or any(_is_chunk(file, start, size_bytes, chunk_layout, counts_itself) for start in (end, end + 1))
        )
        held = held if says_too_little else declared
    return Header(samples_at, declared, held, says_too_little, must_change or says_too_little, corrected)


def _is_padding_or_tag(file: BinaryIO, start: int) -> bool:
    file.seek(start)
    tail = file.read(_TAIL_BYTES)
    if tail.startswith(_TAGS):
        return True
    while tail:
        if tail.strip(b"\0"):
            return False
        tail = file.read(_SCAN_BYTES)
    return True


def _is_chunk(file: BinaryIO, start: int, size_bytes: int, layout: str, counts_itself: bool) -> bool:
    name, _, size = next(_chunks(file, start, size_bytes, layout, 1, counts_itself=counts_itself), (b"", 0, -1))
    is_name = name[:4].isascii() and name[:4].replace(b" ", b"x").isalnum()
    return is_name and 0 <= size <= size_bytes - start


def _is_open(size: int) -> bool:
    """Whether a size of four bytes is what streaming programs write: FFmpeg, SoX and others, each its own."""
    return 0x7FFFFF00 <= size <= 0x80000000 or size >= 0xFFFFF000


def _chunks(
    file: BinaryIO, start: int, size_bytes: int, layout: str, align: int, *, counts_itself: bool = False
) -> Iterator[tuple[bytes, int, int]]:
    """Name, place of the content and size of the chunks from a place on; it stops where there can be none."""
    head_bytes = struct.calcsize(layout)
    for _ in range(_MOST_CHUNKS):
        if start + head_bytes > size_bytes:
            return
        name, size = _unpack(file, layout, start)
        size -= head_bytes if counts_itself else 0
        yield name, start + head_bytes, size
        if size < 0:
            return
        start += head_bytes + -(-size // align) * align


def _chunks_to(last: bytes, chunks: Iterator[tuple[bytes, int, int]]) -> dict[bytes, tuple[int, int]] | None:
    """Place and size of the chunks up to one, by the first four bytes of their names; None if it isn't there."""
    found: dict[bytes, tuple[int, int]] = {}
    for name, at, size in chunks:
        found[name[:4]] = at, size
        if name[:4] == last:
            return found
    return None


def _unpack(file: BinaryIO, layout: str, at: int) -> tuple[Any, ...]:
    file.seek(at)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))

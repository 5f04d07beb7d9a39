"""The comments of a FLAC file, in which it says what it is.

FFmpeg, which reads them, can't write a description beside a comment, and what else writes them in Python is GPL.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

_SIGNATURE = b"fLaC"
_IS_LAST = 0x80
_PADDING, _COMMENTS = 1, 4
_LONGEST_BLOCK_BYTES = (1 << 24) - 1


def put_comments(path: Path, comments: Iterable[tuple[str, str]]) -> None:
    """Give a FLAC file comments in place of those that it has. Its sound stays as it is, byte for byte.

    Args:
        path: The file; it was written by whoever calls.
        comments: Names, as Vorbis comments have them, with their values.

    Raises:
        OSError: If the disk is full, or can't be written to.
        ValueError: If the comments take more than 16 MiB.
    """
    tagged = path.with_name(f"{path.name}.tagged")
    with path.open("rb") as source:
        blocks = list(_blocks(source))
        vendor = next((content[: 4 + _length(content)] for kind, content in blocks if kind == _COMMENTS), bytes(4))
        kept = [block for block in blocks if block[0] not in (_PADDING, _COMMENTS)]
        head = b"".join(_block(kind, content) for kind, content in kept)
        head += _block(_COMMENTS | _IS_LAST, vendor + _listed(comments))
        with tagged.open("xb") as target:
            target.write(_SIGNATURE + head)
            shutil.copyfileobj(source, target)
    os.replace(tagged, path)


def _blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Kind and content of all that comes before the sound."""
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        raise ValueError("not a FLAC file")
    kind = 0
    while not kind & _IS_LAST:
        kind, *length = file.read(4)
        yield kind & ~_IS_LAST, file.read(int.from_bytes(length, "big"))


def _block(kind: int, content: bytes) -> bytes:
    if len(content) > _LONGEST_BLOCK_BYTES:
        raise ValueError("comments of FLAC have no room for more than 16 MiB")
    return bytes([kind]) + len(content).to_bytes(3, "big") + content


def _length(content: bytes) -> int:
    return int(struct.unpack_from("<I", content)[0])


def _listed(comments: Iterable[tuple[str, str]]) -> bytes:
    texts = [f"{name}={value}".encode("utf-8", "replace") for name, value in comments]
    return struct.pack("<I", len(texts)) + b"".join(struct.pack("<I", len(text)) + text for text in texts)

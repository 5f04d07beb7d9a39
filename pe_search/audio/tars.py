"""Tar archives: the clips in one, and the bytes of a clip."""

from __future__ import annotations

import json
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from pe_search.audio.formats import audio_extensions
from pe_search.errors import AudioError
from pe_search.records import Problem, Stamp

# What an archive that is no archive, or a hostile one, has tarfile raise.
DAMAGE = (tarfile.TarError, OSError, ValueError, EOFError, LookupError, ArithmeticError, RecursionError)
# What is beside a member and has one of these names tells of it.
CAPTIONS = ("caption", "text", "description", "label", "category")
_BESIDE = (".json", ".txt")
_MOST_CAPTION_BYTES = 64 << 10
_LARGEST_HEADER_BYTES = 1 << 20
_MOST_NAMED = 3


def members(container: str, file: BinaryIO, stamp: Stamp) -> Iterator[tuple[str, Stamp] | Problem]:
    """The clips in an archive, and what is wrong with it.

    Args:
        container: Its name.
        file: It, open.
        stamp: Its stamp.
    """
    extensions = audio_extensions()
    skipped: list[str] = []
    end = 0
    for member, name in _members(file):
        end = member.offset_data + (0 if member.sparse is not None else member.size)
        if os.path.splitext(name)[1].lower() not in extensions or os.path.basename(name).startswith("."):  # noqa: PTH119, PTH122
            continue
        if _is_fit(member, name):
            yield f"{container}/{name}", (member.size, *stamp[1:])
        elif not member.isdir():
            skipped.append(member.name)
    if skipped:
        more = f" and {len(skipped) - _MOST_NAMED:,} more" if len(skipped) > _MOST_NAMED else ""
        names = ", ".join(skipped[:_MOST_NAMED]) + more
        yield Problem(Path(container), f"links, sparse files and names that lead out of it are skipped: {names}")
    if end > stamp[0]:
        yield Problem(Path(container), "breaks off; the last of its members is not whole")


def _is_fit(member: tarfile.TarInfo, name: str) -> bool:
    is_within = not name.startswith(("/", "..")) and "\0" not in name
    return member.isreg() and member.sparse is None and is_within


def _members(file: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, str]]:
    with tarfile.open(fileobj=_HeadersAlone(file), mode="r:") as archive:  # type: ignore[call-overload]
        for member in archive:
            yield member, os.path.normpath(member.name)
            # It would keep them all.
            archive.members = []


class _HeadersAlone:
    """What tarfile reads of an archive: headers, whose length hostile ones choose."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.name = ""
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        """Read some bytes."""
        if size > _LARGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"has a header of {size:,} bytes")
        # An unbuffered file may give less.
        read = self._file.read(size)
        while 0 < len(read) < size and (more := self._file.read(size - len(read))):
            read += more
        return read


class _Listings:
    """Where the members of the archive are that was read last: one of many clips is gone through once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[object, ...] = ()
        self._members: dict[str, tuple[int, int]] = {}

    def of(self, container: str, file: BinaryIO) -> dict[str, tuple[int, int]]:
        """The places of clips, and of what may tell of them."""
        status = os.fstat(file.fileno())
        key = (container, status.st_size, status.st_mtime_ns, status.st_ino)
        with self._lock:
            if self._key != key:
                self._members, self._key = _places(file), key
            return self._members


_listings = _Listings()


def _places(file: BinaryIO) -> dict[str, tuple[int, int]]:
    wanted = {*audio_extensions(), *_BESIDE}
    places = {}
    try:
        for member, name in _members(file):
            if os.path.splitext(name)[1].lower() in wanted and _is_fit(member, name):  # noqa: PTH122
                places[name] = (member.offset_data, member.size)
    except DAMAGE:
        # What comes before the damage can be read.
        if not places:
            raise
    return places


def copy_member(container: str, inner: str, file: BinaryIO, out: IO[bytes]) -> str | None:
    """Write the bytes of a member into a file; returns what is said of it beside it.

    Raises:
        AudioError: If there is no such member.
    """
    members = _listings.of(container, file)
    if inner not in members:
        raise AudioError(Path(container, inner), "No such member", may_pass=True)

    def read(name: str) -> Iterator[bytes]:
        offset, left = members[name]
        file.seek(offset)
        while left:
            block = file.read(min(left, 1 << 20))
            if not block:
                raise EOFError("the archive breaks off within it")
            left -= len(block)
            yield block

    for block in read(inner):
        out.write(block)
    stem = os.path.splitext(inner)[0]  # noqa: PTH122
    for name in (f"{stem}{extension}" for extension in _BESIDE):
        if name in members and members[name][1] <= _MOST_CAPTION_BYTES:
            said = b"".join(read(name)).decode("utf-8", "replace")
            caption = _caption_in(said) if name.endswith(".json") else said.strip()
            if caption:
                return caption
    return None


def _caption_in(text: str) -> str | None:
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    found = [str(said[key]).strip() for key in CAPTIONS if isinstance(said.get(key), str) and said[key].strip()]
    return "; ".join(dict.fromkeys(found)) or None

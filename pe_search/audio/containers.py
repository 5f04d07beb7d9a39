"""Files that hold clips: tar archives, as WebDataset has them, and Parquet tables with a column of audio.

A clip in one has a path that leads into it: `shards/a.tar/dog.wav`, `table.parquet/audio/17/dog.wav`. The container may
be behind a URL.
"""

from __future__ import annotations

import json
import os
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from pe_search.audio.formats import audio_extensions
from pe_search.errors import AudioError, MissingExtraError, first_line
from pe_search.parquet import AudioColumn
from pe_search.places import is_url
from pe_search.records import Problem, Stamp

TAR, PARQUET = ".tar", ".parquet"
# What is beside a member and has one of these names tells of it.
_CAPTIONS = ("caption", "text", "description", "label", "category")
_MOST_CAPTION_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Place:
    """Where a clip is in a container.

    Attributes:
        container: The path of the container, or its name if that is behind a URL.
        inner: The member; of a table the column, the row and what it says of its file; empty for all.
    """

    container: str
    inner: str

    @property
    def is_table(self) -> bool:
        """Whether the container is a Parquet table."""
        return self.container.lower().endswith(PARQUET)


def place_in(path: str) -> Place | None:
    """Where a path leads in a container; None if it leads into none."""
    lowered = path.lower()
    if TAR not in lowered and PARQUET not in lowered:
        return None
    end = 0
    while 0 <= end < len(path):
        end = path.find("/", end + 1)
        part = path if end < 0 else path[:end]
        if part.lower().endswith((TAR, PARQUET)) and (is_url(part) or os.path.isfile(part)):  # noqa: PTH113
            return Place(part, "" if end < 0 else path[end + 1 :])
    return None


def find_in(place: Place, file: BinaryIO, stamp: Stamp) -> Iterator[tuple[str, Stamp] | Problem]:
    """The clips in a container, and what is wrong with it.

    Args:
        place: The container; of a table also the column.
        file: It, open.
        stamp: Its stamp.

    Yields:
        Paths with stamps: the size of the clip, and what else tells of the container.
    """
    container = Path(place.container)
    try:
        if place.is_table:
            if not place.inner:
                yield Problem(container, "name the column that holds audio with --audio-column")
                return
            column = AudioColumn(file, place.inner.split("/")[0])
            for row, size_bytes, name in column.rows():
                inner = f"{column.name}/{row}" + (f"/{_base(name)}" if _base(name) else "")
                yield f"{place.container}/{inner}", (size_bytes, *stamp[1:])
        else:
            yield from _members(place, file, stamp)
    except MissingExtraError as error:
        yield Problem(container, str(error))
    except LookupError as error:
        yield Problem(container, str(error.args[0]))
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        yield Problem(container, f"breaks off or is damaged: {first_line(error)}")
    except Exception as error:
        if not type(error).__module__.startswith("pyarrow"):
            raise
        yield Problem(container, f"is damaged: {first_line(error)}")


def _members(place: Place, file: BinaryIO, stamp: Stamp) -> Iterator[tuple[str, Stamp] | Problem]:
    extensions = audio_extensions()
    with tarfile.open(fileobj=file, mode="r:") as archive:
        end = 0
        for member in archive:
            name = os.path.normpath(member.name)
            is_clip = member.isreg() and os.path.splitext(name)[1].lower() in extensions  # noqa: PTH122
            end = member.offset_data + member.size
            if is_clip and not name.startswith(("/", "..")) and not _base(name).startswith("."):
                yield f"{place.container}/{name}", (member.size, *stamp[1:])
    if end > stamp[0]:
        yield Problem(Path(place.container), "breaks off; the last of its members is not whole")


def copy_clip(place: Place, file: BinaryIO, out: IO[bytes]) -> str | None:
    """Write the bytes of a clip in a container into another file.

    Args:
        place: The clip.
        file: The container, open.
        out: Where they go.

    Returns:
        What is said of it beside it: a caption; None if nothing is.

    Raises:
        AudioError: If it is not there, or can't be read.
    """
    path = Path(place.container, place.inner)
    try:
        if place.is_table:
            parts = place.inner.split("/")
            if len(parts) < 2 or not parts[1].isdecimal():
                raise AudioError(path, "No such row", may_pass=True)
            data, said = AudioColumn(file, parts[0]).read(int(parts[1]), _CAPTIONS)
            if data is None:
                raise AudioError(path, "the row holds no audio")
            out.write(data)
            return said
        return _copy_member(place, file, out)
    except AudioError:
        raise
    except (tarfile.TarError, OSError, ValueError, EOFError, LookupError) as error:
        raise AudioError(path, f"can't be read: {first_line(error)}", may_pass=True) from error
    except Exception as error:
        if not type(error).__module__.startswith("pyarrow"):
            raise
        raise AudioError(path, f"can't be read: {first_line(error)}", may_pass=True) from error


class _Listings(threading.local):
    """Where the members of the archive are that a thread read last: an archive of many is gone through once."""

    key: tuple[object, ...] = ()
    members: dict[str, tuple[int, int]] = {}  # noqa: RUF012 (replaced, never changed)


_listings = _Listings()


def _copy_member(place: Place, file: BinaryIO, out: IO[bytes]) -> str | None:
    status = os.fstat(file.fileno())
    key = (place.container, status.st_size, status.st_mtime_ns, status.st_ino)
    if _listings.key != key:
        members = {}
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    if member.isreg():
                        members[os.path.normpath(member.name)] = (member.offset_data, member.size)
        except tarfile.TarError:
            # What comes before the damage can be read.
            if not members:
                raise
        _listings.members, _listings.key = members, key
    members = _listings.members
    if place.inner not in members:
        raise AudioError(Path(place.container, place.inner), "No such member", may_pass=True)

    def read(name: str, most: int | None = None) -> Iterator[bytes]:
        offset, size = members[name]
        file.seek(offset)
        left = size if most is None else min(size, most)
        while left:
            block = file.read(min(left, 1 << 20))
            if not block:
                raise EOFError("the archive breaks off within it")
            left -= len(block)
            yield block

    for block in read(place.inner):
        out.write(block)
    stem = os.path.splitext(place.inner)[0]  # noqa: PTH122
    for name in (f"{stem}.json", f"{stem}.txt"):
        if name in members and members[name][1] <= _MOST_CAPTION_BYTES:
            said = b"".join(read(name)).decode("utf-8", "replace")
            caption = _caption_in(said) if name.endswith(".json") else said.strip()
            if caption:
                return caption
    return None


def _caption_in(text: str) -> str | None:
    try:
        said: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    found = [str(said[key]).strip() for key in _CAPTIONS if isinstance(said.get(key), str) and said[key].strip()]
    return "; ".join(dict.fromkeys(found)) or None


def _base(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]

"""Files that hold clips: tar archives, as WebDataset has them, and Parquet tables with a column of audio.

A clip in one has a path that leads into it: `shards/a.tar/dog.wav`, `table.parquet/audio/17/dog.wav`. The container may
be behind a URL. A row of a table may name a file in place of holding one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from pe_search.audio.tars import CAPTIONS, DAMAGE, copy_member, members
from pe_search.errors import AudioError, MissingExtraError, first_line
from pe_search.parquet import AudioColumn
from pe_search.places import is_url
from pe_search.records import Problem, Stamp

TAR, PARQUET = ".tar", ".parquet"


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

    @property
    def column(self) -> str:
        """The path of the column, of a table."""
        return f"{self.container}/{self.inner.split('/')[0]}"


@dataclass(frozen=True, slots=True)
class Told:
    """What a container has of a clip beside its bytes.

    Attributes:
        caption: What is said of it; None if nothing is.
        source: The path or URL of the file that a row names in place of holding one; None if it holds one.
    """

    caption: str | None = None
    source: str | None = None


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
        Paths with stamps: about the size of the clip, and what else tells of the container.
    """
    container = Path(place.container)
    try:
        if not place.is_table:
            yield from members(place.container, file, stamp)
        elif place.inner:
            column = AudioColumn(file, place.inner.split("/")[0])
            for row, size_bytes, name in column.rows():
                base = _base(name)
                inner = f"{column.name}/{row}" + (f"/{base}" if base else "")
                yield f"{place.container}/{inner}", (size_bytes, *stamp[1:])
        else:
            yield Problem(container, "name the column that holds audio with --audio-column")
    except MissingExtraError as error:
        yield Problem(container, str(error))
    except DAMAGE as error:
        if isinstance(error, LookupError) and place.is_table:
            yield Problem(container, str(error.args[0]))
        else:
            yield Problem(container, f"breaks off or is damaged: {first_line(error)}")
    except Exception as error:
        if not type(error).__module__.startswith("pyarrow"):
            raise
        yield Problem(container, f"is damaged: {first_line(error)}")


def copy_clip(place: Place, file: BinaryIO, out: IO[bytes]) -> Told:
    """Write the bytes of a clip in a container into another file, unless the container only names the clip's file.

    Args:
        place: The clip.
        file: The container, open.
        out: Where they go.

    Raises:
        AudioError: If it is not there, or can't be read.
    """
    path = Path(place.container, place.inner)
    try:
        if not place.is_table:
            return Told(copy_member(place.container, place.inner, file, out))
        parts = place.inner.split("/")
        if len(parts) < 2 or not parts[1].isdecimal() or len(parts[1]) > 18:
            raise AudioError(path, "No such row", may_pass=True)
        data, source, said = _tables.of(place, file).read(int(parts[1]), CAPTIONS)
        if data is None and not source:
            raise AudioError(path, "the row holds no audio")
        if data is not None:
            out.write(data)
        return Told(said, None if data is not None else source)
    except (AudioError, MissingExtraError):
        raise
    except DAMAGE as error:
        raise AudioError(path, f"can't be read: {first_line(error)}", may_pass=True) from error
    except Exception as error:
        if not type(error).__module__.startswith("pyarrow"):
            raise
        raise AudioError(path, f"can't be read: {first_line(error)}", may_pass=True) from error


class _Tables(threading.local):
    """The table that a thread read last, which stays open: its rows are asked for one after the other."""

    key: tuple[object, ...] = ()
    column: AudioColumn | None = None

    def of(self, place: Place, file: BinaryIO) -> AudioColumn:
        """The column that a place is in."""
        status = os.fstat(file.fileno())
        key = (place.column, status.st_size, status.st_mtime_ns, status.st_ino)
        if self.column is None or self.key != key:
            self.column = None
            mine = os.fdopen(os.dup(file.fileno()), "rb")
            self.column, self.key = AudioColumn(mine, place.inner.split("/")[0]), key
        return self.column


_tables = _Tables()


def _base(name: str) -> str:
    base = name.partition("?")[0].replace("\\", "/").rpartition("/")[2]
    return "" if base in (".", "..") or "\0" in base else base

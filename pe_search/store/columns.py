"""The clips of a lookup as columns of numbers, which take a moment to go through where rows would take a second."""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

TABLE = """CREATE TABLE columns (
    name TEXT NOT NULL,
    part INTEGER NOT NULL,
    content BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (name, part)
);
"""
_WHOLE = ("id", "content_id", "first_id", "last_id", "windows")
_MEASURED = ("length_s", "sample_rate_hz", "channels", "loudness_lufs", "bpm", "recorded_s", "second_s", "last_s")
_NAMES = "names"
_ROWS_AT_ONCE = 32_768
# Far below the longest value that `open_database` allows; one name may be longer.
_NAME_BYTES_AT_ONCE = 1 << 18


class Columns:
    """The columns of one commit, each read when it is first asked for, and kept.

    A row is a clip; rows are in order of its id.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._names: list[str] | None = None

    def whole(self, db: sqlite3.Connection, name: str) -> NDArray[np.int64]:
        """A column of whole numbers: `id`, `content_id`, `first_id`, `last_id` or `windows`.

        Args:
            db: The lookup.
            name: Of the column.

        Raises:
            sqlite3.DatabaseError: If it is damaged. So do the other methods.
        """
        return self.measured(db, name).view(np.int64)

    def measured(self, db: sqlite3.Connection, name: str) -> NDArray[np.float64]:
        """A column of other numbers, named as in the table of clips; NaN where there is none."""
        if name not in self._numbers:
            content = b"".join(_parts(db, name))
            if len(content) % 8:
                raise sqlite3.DatabaseError(f"the column {name} breaks off")
            self._numbers[name] = np.frombuffer(content, "<f8")
            if len(self._numbers[name]) != len(self.whole(db, "id")):
                del self._numbers[name]
                raise sqlite3.DatabaseError(f"the column {name} has another length")
        return self._numbers[name]

    def names(self, db: sqlite3.Connection) -> list[str]:
        """The names of the clips' files without their folders, in lower case."""
        if self._names is None:
            names = [name for part in _parts(db, _NAMES) for name in os.fsdecode(part).lower().split("\0")]
            if len(names) != len(self.whole(db, "id")):
                raise sqlite3.DatabaseError("names are missing")
            self._names = names
        return self._names

    def rows_of(self, db: sqlite3.Connection, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of clips with some ids; those of others are left out."""
        held = self.whole(db, "id")
        rows = np.searchsorted(held, ids)
        is_here = rows < len(held)
        is_here[is_here] = held[rows[is_here]] == ids[is_here]
        return rows[is_here]


def write_columns(db: sqlite3.Connection) -> None:
    """Make the columns of the table of clips, in place of those that there are, within a transaction.

    Raises:
        sqlite3.DatabaseError: If something in the table is of another kind.
    """
    try:
        _write_columns(db)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"the table of clips is damaged: {error}") from error


def _write_columns(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM columns")
    numbers = db.execute(f"SELECT {', '.join((*_WHOLE, *_MEASURED))} FROM clips ORDER BY id")
    part = 0
    while True:
        rows = numbers.fetchmany(_ROWS_AT_ONCE)
        for name, column in zip((*_WHOLE, *_MEASURED), zip(*rows, strict=True) if rows else _EMPTY, strict=True):
            content = np.array(column, "<i8" if name in _WHOLE else "<f8").tobytes()
            _write(db, name, part, content)
        part += 1
        if len(rows) < _ROWS_AT_ONCE:
            break
    paths = db.execute("SELECT path FROM clips ORDER BY id")
    for number, names in enumerate(_pieces(name.rpartition(b"/")[2] for (name,) in paths)):
        _write(db, _NAMES, number, b"\0".join(names))


_EMPTY: tuple[tuple[float, ...], ...] = ((),) * len((*_WHOLE, *_MEASURED))


def _pieces(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    piece: list[bytes] = []
    size_bytes = 0
    for name in names:
        piece.append(name)
        size_bytes += len(name) + 1
        if size_bytes > _NAME_BYTES_AT_ONCE:
            yield piece
            piece, size_bytes = [], 0
    if piece:
        yield piece


def _write(db: sqlite3.Connection, name: str, part: int, content: bytes) -> None:
    db.execute("INSERT INTO columns VALUES (?, ?, ?, ?)", (name, part, content, zlib.crc32(content)))


def _parts(db: sqlite3.Connection, name: str) -> Iterator[bytes]:
    rows = db.execute("SELECT part, content, checksum FROM columns WHERE name = ? ORDER BY part", (name,))
    for number, (part, content, checksum) in enumerate(rows):
        if part != number or not isinstance(content, bytes) or zlib.crc32(content) != checksum:
            raise sqlite3.DatabaseError(f"the column {name} is not as it was written")
        yield content

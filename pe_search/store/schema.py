"""What the rows of a catalog mean, and how each row is protected against a disk that lies."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.records import Clip, Facts, Stamp
from pe_search.store.tables import SCHEMAS

# The largest number that an embedding may have in it, because it is kept as float16.
LARGEST_VALUE = float(np.finfo(np.float16).max)
# Of a fact, where it is no text.
_KINDS = {
    "sample_rate_hz": (int,),
    "channels": (int,),
    "bits": (int,),
    "bpm": (int, float),
    "loudness_lufs": (int, float),
    "peak_dbfs": (int, float),
    "keywords": (list,),
}
_FACTS_KINDS = {field.name: _KINDS.get(field.name, (str,)) for field in dataclasses.fields(Facts)}
# No time that pe-search writes comes near this; one from elsewhere could ask for any amount of memory.
_LATEST_S = 1e9

# The columns of some tables, with the checksum of the others at the end.
FACTS = "content_id, facts, checksum"
TAG = "digest, tag, checksum"
ZONE = "path, zone, checksum"
WORD = "word, text, checksum"
JUDGEMENT = "word, digest, start_s, end_s, verdict, judged_by, judged_at_s, checksum"
TRANSCRIPT = "digest, engine, language, until_s, segments, made_at_s, checksum"
SIDECAR = "path, size_bytes, modified_ns, digest, engine, checksum"
ANSWER = "digest, start_s, end_s, model, revision, question, answer, made_at_s, checksum"
FORMAT_VERSION = max(SCHEMAS)
OLDEST_FORMAT = min(SCHEMAS)


def checksum(*columns: object) -> int:
    """CRC-32 of the other columns of a row, in the order of the table: bytes as they are, all else as Python writes it.

    It is there against disks that lie, not against people, who can calculate it as well.
    """
    return zlib.crc32(_form_of(tuple(map(type, columns))) % columns)


@cache
def _form_of(kinds: tuple[type, ...]) -> bytes:
    """How the columns of a row, by their types, are written one after the other: in one step, for there are many."""
    return b"\0".join(b"%b" if kind is bytes else b"%a" for kind in kinds)


def row_test(columns: str) -> Callable[[Sequence[object]], bool]:
    """As `is_as_written`, for many rows of the same columns: `checksum` is the last, and these may be bytes."""
    kinds = [bytes if name in ("path", "digest", "embedding") else object for name in columns.split(", ")[:-1]]
    form = _form_of(tuple(kinds))

    def test(row: Sequence[object]) -> bool:
        try:
            return zlib.crc32(form % row[:-1]) == row[-1]
        except TypeError:  # something else is in the place of bytes
            return False

    return test


def is_as_written(row: Sequence[object]) -> bool:
    """Whether the checksum that a row ends with is that of the rest of it."""
    return checksum(*row[:-1]) == row[-1]


def checked(row: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    """A row without the checksum that it ends with.

    Raises:
        ValueError: If the checksum is not that of the rest. So do the functions below for what makes no sense.
    """
    if checksum(*row[:-1]) != row[-1]:
        raise ValueError(f"the row of {what} is not as it was written")
    return row[:-1]


def schema_of(db: sqlite3.Connection) -> set[str]:
    """The statements that made all that a database has, but for what SQLite adds by itself."""
    rows = db.execute("SELECT sql FROM sqlite_master WHERE sql <> 'CREATE TABLE sqlite_sequence(name,seq)'")
    return {" ".join(str(sql).split()) for (sql,) in rows}


def schema_made_by(tables: str) -> set[str]:
    """What `schema_of` a database with these tables is."""
    return {" ".join(statement.split()) for statement in _statements(tables)}


def expected_schema(version: int = FORMAT_VERSION) -> set[str]:
    """What `schema_of` a catalog of a format is."""
    return schema_made_by(SCHEMAS[version])


def make_tables(db: sqlite3.Connection, tables: str) -> None:
    """Make those tables that are not there, within the transaction that there is, which `executescript` would end."""
    there = schema_of(db)
    for statement in _statements(tables):
        if " ".join(statement.split()) not in there:
            db.execute(statement)


def _statements(tables: str) -> list[str]:
    return re.findall(r"^CREATE .*?(?=;$)", tables, re.MULTILINE | re.DOTALL)


def clip_of(name: object, *stamp: object) -> Clip:
    """A clip, of what the catalog has for it."""
    return Clip(path_of(name), *stamp_of(*stamp))


def stamp_of(size_bytes: object, modified_ns: object, changed_ns: object, inode: object) -> Stamp:
    """A stamp, of what the catalog has for it."""
    if not (isinstance(size_bytes, int) and isinstance(modified_ns, int)):
        raise ValueError("a size or time is not a whole number")
    if not (isinstance(changed_ns, int | None) and isinstance(inode, int | None)):
        raise ValueError("a time or inode is not a whole number")
    return size_bytes, modified_ns, changed_ns, inode


def path_of(name: object) -> Path:
    """A path, of the bytes that it is kept as."""
    return Path(path_text(name))


def path_text(name: object) -> str:
    """As `path_of`, as a string."""
    if not isinstance(name, bytes) or b"\0" in name:
        raise ValueError("a path is invalid")
    return os.fsdecode(name)


def facts_as_json(facts: Facts) -> str:
    """Facts as they are kept: those that say anything."""
    said = {name: getattr(facts, name) for name in _FACTS_KINDS}
    return json.dumps({name: value for name, value in said.items() if value not in (None, ())})


def facts_of(row: tuple[Any, ...] | None) -> Facts | None:
    """The facts of a row; None if there is no row: the next index run reads them.

    Raises:
        ValueError: If the row is damaged.
    """
    if row is None or row[0] is None:
        return None
    return facts_in(json.loads(checked(row, "facts")[1]))


def facts_in(said: object) -> Facts:
    """The facts that were kept as JSON.

    Raises:
        ValueError: If they are invalid.
    """
    if not isinstance(said, dict) or not said.keys() <= _FACTS_KINDS.keys():
        raise ValueError("facts are invalid")
    if not all(isinstance(value, _FACTS_KINDS[name]) for name, value in said.items()):
        raise ValueError("facts are invalid")
    return Facts(**said | {"keywords": tuple(map(str, said.get("keywords", ())))})


def embedding_of(value: object, dimension: int) -> NDArray[np.float32]:
    """An embedding of shape (dimension,), of the bytes that it is kept as."""
    if not isinstance(value, bytes) or len(value) != 2 * dimension:
        raise ValueError("an embedding has another length")
    embedding = np.frombuffer(value, "<f2").astype(np.float32)
    if not np.isfinite(embedding).all():
        raise ValueError("an embedding is not finite")
    return embedding


def seconds_of(value: object) -> float:
    """A time in seconds."""
    if not (isinstance(value, float) and 0 <= value < _LATEST_S):
        raise ValueError("a time is invalid")
    return value

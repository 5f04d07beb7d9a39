"""What a commit changes in the tables of a catalog, as text: gathered by triggers, sent, and carried out elsewhere."""

from __future__ import annotations

import base64
import binascii
import json
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

from pe_search.store.schema import FORMAT_VERSION
from pe_search.store.tables import SCHEMAS

# Milvus keeps at most 65,535 bytes in a field.
_PART_LENGTH = 60_000
_BYTES_AT_ONCE = 4_000_000
# What a change takes beside its rows.
_CHANGE_WEIGHT = 10
# A change from elsewhere could ask for any amount of memory.
_LONGEST_CHANGE_BYTES = 1 << 30

Change = list[dict[str, Any]]
"""For each table that changed: `table`, `put` (whole rows) and `gone` (primary keys)."""


@cache
def tables() -> tuple[str, ...]:
    """The names of the tables of a catalog."""
    return tuple(re.findall(r"^CREATE TABLE (\w+)", SCHEMAS[FORMAT_VERSION], re.MULTILINE))


def keys_of(db: sqlite3.Connection, table: str) -> list[str]:
    """The columns of the primary key of a table; none if it has none."""
    rows = [row for row in db.execute(f"PRAGMA table_info({table})") if row[5]]
    return [row[1] for row in sorted(rows, key=lambda row: row[5])]


def gather(db: sqlite3.Connection) -> None:
    """Have a connection remember from now on which rows it changes, and forget those that it has remembered."""
    is_new = not db.execute("SELECT count(*) FROM temp.sqlite_master WHERE name = 'dropped'").fetchone()[0]
    if is_new:
        db.execute("CREATE TEMP TABLE dropped (mark BLOB)")
        # What REPLACE takes the place of is deleted, too.
        db.execute("PRAGMA recursive_triggers = ON")
    for table in tables():
        keys = keys_of(db, table)
        if keys and is_new:
            _watch(db, table, keys)
        elif keys:
            db.execute(f"DELETE FROM temp.changed_{table}")
    db.execute("DELETE FROM temp.dropped")


def _watch(db: sqlite3.Connection, table: str, keys: Sequence[str]) -> None:
    db.execute(f"CREATE TEMP TABLE changed_{table} AS SELECT {', '.join(keys)} FROM main.{table} WHERE 0")
    for event, rows in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
        statements = [
            f"INSERT INTO changed_{table} VALUES ({', '.join(f'{row}.{key}' for key in keys)});" for row in rows
        ]
        if table == "windows" and event == "DELETE":
            statements.append("INSERT INTO dropped VALUES (OLD.embedding);")
        db.execute(
            f"CREATE TEMP TRIGGER {event.lower()}_{table} AFTER {event} ON main.{table} "
            f"BEGIN {' '.join(statements)} END"
        )


def dropped(db: sqlite3.Connection) -> list[bytes]:
    """What the windows that were deleted since `gather` had in the place of their embeddings."""
    return [mark for (mark,) in db.execute("SELECT mark FROM temp.dropped")]


def gathered(db: sqlite3.Connection) -> Change:
    """What was changed since `gather`, as the rows are now."""
    change: Change = []
    for table in tables():
        keys = keys_of(db, table)
        if not keys:
            continue
        some = f"(SELECT DISTINCT {', '.join(keys)} FROM temp.changed_{table})"
        same = " AND ".join(f"kept.{key} = some.{key}" for key in keys)
        put = db.execute(f"SELECT kept.* FROM {some} AS some JOIN main.{table} AS kept ON {same}").fetchall()
        gone = db.execute(
            f"SELECT * FROM {some} AS some WHERE NOT EXISTS (SELECT 1 FROM main.{table} AS kept WHERE {same})"
        ).fetchall()
        if put or gone:
            change.append({"table": table, "put": put, "gone": gone})
    return [*change, *_last_ids(db)] if change else []


def everything(db: sqlite3.Connection) -> Iterator[Change]:
    """All rows of a catalog, as several changes, because a store of years would not fit into one."""
    for table in tables():
        put: list[tuple[Any, ...]] = []
        held = 0
        for row in db.execute(f"SELECT * FROM main.{table}"):
            put.append(row)
            held += sum(len(value) if isinstance(value, (str, bytes)) else 8 for value in row)
            if held > _BYTES_AT_ONCE:
                yield [{"table": table, "put": put, "gone": []}]
                put, held = [], 0
        if put:
            yield [{"table": table, "put": put, "gone": []}]
    yield _last_ids(db)


def row_count(db: sqlite3.Connection) -> int:
    """How many rows a catalog has."""
    return sum(int(db.execute(f"SELECT count(*) FROM main.{table}").fetchone()[0]) for table in tables())


def weight_of(change: Change) -> int:
    """What it takes to read a change and carry it out, as a number of rows."""
    return _CHANGE_WEIGHT + sum(len(one["put"]) + len(one["gone"]) for one in change)


def _last_ids(db: sqlite3.Connection) -> Change:
    """The ids that were given last, so that they are never given again."""
    return [{"table": "sqlite_sequence", "put": db.execute("SELECT * FROM sqlite_sequence").fetchall(), "gone": []}]


def carry_out(db: sqlite3.Connection, change: Change) -> None:
    """Make a change in another catalog, within the transaction of whoever calls.

    Raises:
        ValueError: If it doesn't fit the tables.
    """
    parts = [(one["table"], one["put"], one["gone"]) for one in change]
    if {table for table, *_ in parts} - {*tables(), "sqlite_sequence"}:
        raise ValueError("it has rows of tables that a catalog doesn't have")
    for table, _, gone in parts:
        if gone:
            keys = keys_of(db, table)
            same = " AND ".join(f"{key} = ?" for key in keys)
            db.executemany(f"DELETE FROM main.{table} WHERE {same}", gone)
    for table, put, _ in parts:
        columns = 2 if table == "sqlite_sequence" else len(db.execute(f"PRAGMA table_info({table})").fetchall())
        if any(len(row) != columns for row in put):
            raise ValueError(f"it has rows of {table} with other columns")
        if table == "sqlite_sequence":
            db.executemany("DELETE FROM sqlite_sequence WHERE name = ?", ((name,) for name, _ in put))
        elif table == "state" and put:
            db.execute("DELETE FROM state")
        db.executemany(f"INSERT OR REPLACE INTO main.{table} VALUES ({', '.join('?' * columns)})", put)


def as_parts(change: Change) -> list[str]:
    """A change as texts that fit into fields of Milvus; the first begins with the number and the checksum of all."""
    packed = zlib.compress(json.dumps(change, default=_as_json, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    # b85 has fewer characters, and takes three times as long in all.
    text = base64.b64encode(packed).decode("ascii")
    parts = [text[first : first + _PART_LENGTH] for first in range(0, len(text), _PART_LENGTH)]
    return [f"{len(parts)} {zlib.crc32(packed)} {parts[0]}", *parts[1:]]


def number_of_parts(first: str) -> int:
    """How many parts a change has, by its first.

    Raises:
        ValueError: If that is no part of a change.
    """
    return int(first.split(" ", 2)[0])


def of_parts(parts: Sequence[str]) -> Change:
    """The change that some texts are.

    Raises:
        ValueError: If they are damaged.
    """
    _, kept, first = parts[0].split(" ", 2)
    packed = base64.b64decode("".join([first, *parts[1:]]), validate=True)
    if zlib.crc32(packed) != int(kept):
        raise ValueError("it is not as it was written")
    opened = zlib.decompressobj()
    text = opened.decompress(packed, _LONGEST_CHANGE_BYTES)
    if not opened.eof:
        raise ValueError("it is too long")
    change = json.loads(text.decode("utf-8", "surrogatepass"))
    try:
        return [
            {"table": str(one["table"]), "put": list(map(_row, one["put"])), "gone": list(map(_row, one["gone"]))}
            for one in change
        ]
    except (KeyError, TypeError) as error:
        raise ValueError("it is no change of a catalog") from error


def of_bodies(bodies: Iterator[str]) -> Iterator[Change]:
    """The changes that some texts are, all parts of the first and then those of the next.

    Raises:
        ValueError: If they are damaged.
    """
    for first in bodies:
        yield of_parts([first, *islice(bodies, number_of_parts(first) - 1)])


def _as_json(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"b": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"a row has a {type(value).__name__}")


def _row(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple([binascii.a2b_base64(value["b"]) if isinstance(value, dict) else value for value in values])

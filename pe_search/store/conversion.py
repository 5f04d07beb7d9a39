"""Bring a store of an older format up to this one: whole or not at all, and without embedding anything again.

A step leads from one format to the next: what becomes of the tables of the catalog, and what of the manifest. All steps
that a store needs make one transaction. The catalog keeps the new manifest too, so that a conversion that is killed
between the commit and the writing of the manifest's file is finished by the next process that opens the store.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pe_search.directories import milvus_address
from pe_search.errors import StoreError
from pe_search.store import commits
from pe_search.store.database import open_database
from pe_search.store.files import CATALOG_FILE
from pe_search.store.manifest import (
    Manifest,
    OldFormatError,
    as_json,
    has_manifest,
    manifest_of,
    read_fields,
    read_manifest,
    write_manifest,
)
from pe_search.store.opening import explaining, make_durable
from pe_search.store.schema import FORMAT_VERSION, checksum, expected_schema, make_tables, schema_of
from pe_search.store.tables import SCHEMAS


@dataclass(frozen=True, slots=True)
class Step:
    """How a store gets from one format to the next.

    Attributes:
        tables: Converts the tables of the catalog, within a transaction; what the state holds is written afterwards.
        manifest: Gives the fields of the new manifest from those of the old one, without `format_version`.
    """

    tables: Callable[[sqlite3.Connection], None]
    manifest: Callable[[dict[str, Any]], dict[str, Any]]


def current_manifest(directory: Path) -> Manifest:
    """Read a store's manifest, and convert the store first if it is of an older format.

    Raises:
        StoreError: If there is no store, it is damaged or of a newer format, or can't be converted, see `convert`.
    """
    try:
        return read_manifest(directory)
    except OldFormatError:
        convert(directory)
        return read_manifest(directory)


def read_manifest_if_any(directory: Path) -> Manifest | None:
    """As `current_manifest`; None if there is no store yet."""
    if milvus_address(directory):
        from pe_search.store.milvus.mirror import manifest_at

        return manifest_at(directory)
    return current_manifest(directory) if has_manifest(directory) else None


def convert(directory: Path) -> None:
    """Convert a store of an older format; leave any other as it is.

    Raises:
        StoreError: If it can't be converted: it can't be written to, another process is writing to it, it is damaged,
            or the disk is full.
    """
    # A query of a store that needs none of this shouldn't wait for what locks.
    from pe_search.store.lock import NotWritableError, WriterLock

    lock = WriterLock(directory)
    try:
        lock.acquire()
    except NotWritableError as error:
        version = read_fields(directory).get("format_version")
        raise StoreError(
            f"The store at {directory} has format {version}, which must be converted to {FORMAT_VERSION}, but it can't "
            f"be written to ({error.reason}). Run the command as a user who can write to it, or on a copy."
        ) from error
    try:
        _convert(directory)
    except OSError as error:
        raise StoreError(f"The store at {directory} can't be written to: {error.strerror or error}.") from error
    finally:
        lock.release()


def converted_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says once the store is converted, of what it says now; as it is where it isn't old."""
    version = fields.get("format_version")
    while type(version) is int and version in STEPS:
        fields = STEPS[version].manifest(fields) | {"format_version": version + 1}
        version += 1
    return fields


def _convert(directory: Path) -> None:
    fields = read_fields(directory)
    version = fields.get("format_version")
    # Another process may have converted it while this one waited for the lock.
    if type(version) is not int or version not in STEPS:
        return
    path = directory / CATALOG_FILE
    manifest = manifest_of(converted_fields(fields), directory)
    if path.is_file():
        with explaining(path), closing(open_database(path, "rw")) as db:
            make_durable(db)
            db.execute("PRAGMA foreign_keys = OFF")
            with db:
                db.execute("BEGIN IMMEDIATE")
                if schema_of(db) == expected_schema():
                    _, kept, _ = db.execute("SELECT identity, manifest, checksum FROM state").fetchone()
                    manifest = manifest_of(json.loads(kept), directory)
                else:
                    if schema_of(db) != expected_schema(version):
                        raise StoreError(f"The catalog {path} can't be used: pe-search didn't make its tables.")
                    (identity,) = db.execute("SELECT identity FROM state").fetchone()
                    for step in range(version, FORMAT_VERSION):
                        STEPS[step].tables(db)
                    commits.put_state(db, identity, as_json(manifest))
                    commits.put_counts(db)
    write_manifest(directory, manifest)


def _from_2(db: sqlite3.Connection) -> None:
    """Checksums, counts, what is missing of a content, and ctime and inode of a file, none of which were kept."""
    clips, windows = (
        dict(db.execute(f"SELECT content_id, count(*) FROM {table} GROUP BY content_id"))
        for table in ("clips", "windows")
    )
    last_id = commits.last_window_id(db)
    held = commits.stretches(row[0] for row in db.execute("SELECT id FROM windows ORDER BY id"))
    db.execute("DROP INDEX windows_by_content")
    db.execute("DROP INDEX clips_by_content")
    for table in ("contents", "windows", "clips", "left_out", "state"):
        db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    make_tables(db, SCHEMAS[3])

    def checksum_of(*columns: object) -> int:
        return checksum(*columns)

    db.create_function("checksum", -1, checksum_of, deterministic=True)
    contents = (
        (content_id, digest, duration_s, None, clips.get(content_id, 0), windows.get(content_id, 0))
        for content_id, digest, duration_s in db.execute("SELECT id, digest, duration_s FROM old_contents").fetchall()
    )
    db.executemany("INSERT INTO contents VALUES (?, ?, ?, ?, ?, ?, ?)", ((*row, checksum(*row)) for row in contents))
    window = "id, content_id, start_s, end_s, embedding"
    db.execute(f"INSERT INTO windows SELECT {window}, checksum({window}) FROM old_windows ORDER BY id")
    clip = "path, size_bytes, modified_ns, NULL, NULL, content_id"
    db.execute(f"INSERT INTO clips SELECT id, {clip}, checksum({clip}) FROM old_clips")
    problem = "path, size_bytes, modified_ns, NULL, NULL, reason"
    db.execute(f"INSERT INTO left_out SELECT {problem}, checksum({problem}) FROM old_left_out")
    commits.add_gone(db, commits.between(held, last_id))
    for table in ("clips", "left_out", "windows", "contents", "state"):
        db.execute(f"DROP TABLE old_{table}")
    # The last ids may be those of windows that are gone, and are never given again.
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'windows'")
    db.execute("INSERT INTO sqlite_sequence VALUES ('windows', ?)", (last_id,))


def _from_3(db: sqlite3.Connection) -> None:
    """When each clip was indexed, which was not kept, and a place for the roots, which weren't either."""
    db.execute("DROP INDEX clips_by_content")
    db.execute("ALTER TABLE clips RENAME TO old_clips")
    make_tables(db, SCHEMAS[4])
    columns = "path, size_bytes, modified_ns, changed_ns, inode, content_id"
    rows = db.execute(f"SELECT id, {columns}, checksum FROM old_clips")
    # A row that is damaged stays so, under any checksum but its own.
    db.executemany(
        "INSERT INTO clips VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        ((*row, checksum(*row[1:], None) + (checksum(*row[1:]) != kept)) for *row, kept in rows),
    )
    db.execute("DROP TABLE old_clips")


def _from_4(db: sqlite3.Connection) -> None:
    """Places for facts, which the next index run reads, and for what the user says: tags, zones, words, judgements."""
    make_tables(db, SCHEMAS[5])


def _from_5(db: sqlite3.Connection) -> None:
    """Places for what is said and for what models answer."""
    make_tables(db, SCHEMAS[6])


STEPS: Mapping[int, Step] = {
    2: Step(_from_2, lambda fields: fields | {"level": "none", "speed": 1.0, "track": 1}),
    3: Step(_from_3, lambda fields: fields),
    4: Step(_from_4, lambda fields: fields),
    5: Step(_from_5, lambda fields: fields),
}

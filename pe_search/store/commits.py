"""What a commit writes into the tables of a catalog, within the transaction of whoever calls."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.records import Clip, Content, Facts, LeftOut
from pe_search.store.keeping import Keeper
from pe_search.store.schema import LARGEST_VALUE, checked, checksum, facts_as_json, path_of

_CONTENT = "id, digest, duration_s, missing, clips, windows, checksum"

# Tables whose rows nothing else counts.
_COUNTED = ("left_out", "roots", "tags", "zones", "words", "judgements", "transcripts", "sidecars", "answers")
# Those that go with the content whose digest they have.
_OF_CONTENTS = ("transcripts", "sidecars", "answers")
_COMMITS = "commits"


def name_of(path: Path) -> bytes:
    """A path as it is kept."""
    return os.fsencode(path)


def put_content(db: sqlite3.Connection, content: Content, damaged: dict[int, list[int]], keeper: Keeper) -> None:
    """Add a content, or the next windows of one that was begun; one that is whole stays as it was.

    Args:
        db: The catalog's.
        content: What to add.
        keeper: Of its embeddings.
        damaged: The ids of the windows of each content that is to be embedded again. One that is put again loses them,
            and is taken out of this.

    Raises:
        ValueError: If a row of the catalog is damaged.
        StoreError: If an embedding has a value that float16 has no room for.
    """
    embeddings = _as_kept(content.embeddings)
    row = db.execute(f"SELECT {_CONTENT} FROM contents WHERE digest = ?", (content.digest,)).fetchone()
    if row is None:
        content_id = db.execute("SELECT ifnull(max(id), 0) + 1 FROM contents").fetchone()[0]
        duration_s, clips, windows = None, 0, 0
    else:
        content_id, _, duration_s, _, clips, windows = checked(row, "a content")
        if content_id in damaged:
            delete_windows(db, damaged.pop(content_id))
            duration_s, windows = None, 0
    if duration_s is not None:
        return
    if content.is_whole:
        duration_s = float(content.times[-1][1])
    missing = content.missing if content.is_whole else None
    head = (content_id, content.digest, duration_s, missing, clips, windows + len(content.times))
    db.execute(
        f"INSERT INTO contents ({_CONTENT}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "duration_s = excluded.duration_s, missing = excluded.missing, windows = excluded.windows, "
        "checksum = excluded.checksum",
        (*head, checksum(*head)),
    )
    first_id = last_window_id(db) + 1
    times = [(float(start_s) + 0.0, float(end_s) + 0.0) for start_s, end_s in content.times]
    rows = (
        (window_id, content_id, start_s, end_s, keeper.keep(window_id, content.digest, start_s, embedding))
        for window_id, ((start_s, end_s), embedding) in enumerate(zip(times, embeddings, strict=True), start=first_id)
    )
    db.executemany(
        "INSERT INTO windows (id, content_id, start_s, end_s, embedding, checksum) VALUES (?, ?, ?, ?, ?, ?)",
        ((*row, checksum(*row)) for row in rows),
    )
    if content.is_whole and content.facts is not None:
        put_facts(db, content_id, content.facts)


def put_facts(db: sqlite3.Connection, content_id: int, facts: Facts) -> None:
    """Keep what the file of a content says of itself, in place of what was kept."""
    row = (content_id, facts_as_json(facts))
    db.execute("REPLACE INTO facts (content_id, facts, checksum) VALUES (?, ?, ?)", (*row, checksum(*row)))


def put_clip(db: sqlite3.Connection, clip: Clip, digest: bytes, indexed_at_s: int | None) -> None:
    """Add a clip with the whole content that has a digest, in place of what was there under its path."""
    _delete_row("left_out", db, clip.path)
    row = db.execute("SELECT id FROM contents WHERE digest = ? AND duration_s IS NOT NULL", (digest,)).fetchone()
    # NULL, which the table refuses, if there is none.
    content_id: Any = None if row is None else row[0]
    before = db.execute("SELECT content_id FROM clips WHERE path = ?", (name_of(clip.path),)).fetchone()
    values = (name_of(clip.path), *clip.stamp, content_id, indexed_at_s)
    db.execute(
        "INSERT INTO clips (path, size_bytes, modified_ns, changed_ns, inode, content_id, indexed_at_s, checksum) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET size_bytes = excluded.size_bytes, "
        "modified_ns = excluded.modified_ns, changed_ns = excluded.changed_ns, inode = excluded.inode, "
        "content_id = excluded.content_id, indexed_at_s = excluded.indexed_at_s, checksum = excluded.checksum",
        (*values, checksum(*values)),
    )
    if before is None or before[0] != content_id:
        count_clips(db, content_id, 1)
        if before is not None:
            count_clips(db, before[0], -1)


def put_left_out(db: sqlite3.Connection, one: LeftOut) -> None:
    """Remember a clip that was left out; it leaves the catalog."""
    delete_clip(db, one.clip.path)
    values = (name_of(one.clip.path), *one.clip.stamp, one.reason)
    db.execute(
        "REPLACE INTO left_out (path, size_bytes, modified_ns, changed_ns, inode, reason, checksum) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*values, checksum(*values)),
    )


def put_stamp(db: sqlite3.Connection, clip: Clip) -> None:
    """Keep what is known now of the file of a clip, or of one that was left out, that is otherwise as it was."""
    for table, last in (("clips", "content_id, indexed_at_s"), ("left_out", "reason")):
        row = db.execute(f"SELECT {last} FROM {table} WHERE path = ?", (name_of(clip.path),)).fetchone()
        if row is not None:
            values = (name_of(clip.path), *clip.stamp, *row)
            db.execute(
                f"UPDATE {table} SET size_bytes = ?, modified_ns = ?, changed_ns = ?, inode = ?, checksum = ? "
                "WHERE path = ?",
                (*clip.stamp, checksum(*values), name_of(clip.path)),
            )


def delete_clip(db: sqlite3.Connection, path: Path) -> None:
    """Take a clip out, and forget it if it was left out. Its content stays."""
    row = db.execute("SELECT content_id FROM clips WHERE path = ?", (name_of(path),)).fetchone()
    if row is not None:
        db.execute("DELETE FROM clips WHERE path = ?", (name_of(path),))
        count_clips(db, row[0], -1)
    _delete_row("left_out", db, path)


def count_clips(db: sqlite3.Connection, content_id: int, more: int) -> None:
    """Count more clips of a content, or fewer."""
    row = db.execute(f"SELECT {_CONTENT} FROM contents WHERE id = ?", (content_id,)).fetchone()
    if row is None:
        raise ValueError("a clip has no content")
    values: tuple[Any, ...] = checked(row, "a content")
    values = (*values[:4], values[4] + more, values[5])
    db.execute("UPDATE contents SET clips = ?, checksum = ? WHERE id = ?", (values[4], checksum(*values), content_id))


def delete_contents(db: sqlite3.Connection, condition: str, *values: object) -> None:
    """Take contents that no clip has out, with their windows, what is said in them and what models answered."""
    for row in db.execute(f"SELECT {_CONTENT} FROM contents WHERE {condition}", values).fetchall():
        content_id = checked(row, "a content")[0]
        ids = [row[0] for row in db.execute("SELECT id FROM windows WHERE content_id = ? ORDER BY id", (content_id,))]
        delete_windows(db, ids)
        db.execute("DELETE FROM contents WHERE id = ?", (content_id,))
        db.execute("DELETE FROM facts WHERE content_id = ?", (content_id,))
    for table in _OF_CONTENTS:
        db.execute(f"DELETE FROM {table} WHERE digest NOT IN (SELECT digest FROM contents)")


def delete_begun(db: sqlite3.Connection, digest: bytes) -> None:
    """Take out what is held of a content of which more was to come, and its clips."""
    paths = db.execute(
        "SELECT path FROM clips JOIN contents ON contents.id = content_id WHERE digest = ? AND duration_s IS NULL",
        (digest,),
    ).fetchall()
    for (name,) in paths:
        delete_clip(db, path_of(name))
    delete_contents(db, "digest = ? AND duration_s IS NULL", digest)


def delete_unused(db: sqlite3.Connection) -> None:
    """Take out the whole contents that no clip has."""
    delete_contents(
        db,
        "clips = 0 AND duration_s IS NOT NULL AND NOT EXISTS (SELECT 1 FROM clips WHERE content_id = contents.id)",
    )


def delete_windows(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Take windows out, and remember that they are gone.

    Args:
        db: The catalog's.
        ids: Of windows that are there, ascending.
    """
    db.executemany("DELETE FROM windows WHERE id = ?", ((window_id,) for window_id in ids))
    add_gone(db, stretches(ids))


def add_gone(db: sqlite3.Connection, gone: Iterable[tuple[int, int]]) -> None:
    """Remember the first and the last id of each stretch of windows that are gone."""
    db.executemany(
        "INSERT INTO gone (first_id, last_id, checksum) VALUES (?, ?, ?)", ((*one, checksum(*one)) for one in gone)
    )


def stretches(ids: Iterable[int]) -> list[tuple[int, int]]:
    """The first and the last of each stretch of consecutive numbers among ascending ones."""
    found: list[tuple[int, int]] = []
    for number in ids:
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def between(held: Sequence[tuple[int, int]], last_id: int) -> list[tuple[int, int]]:
    """The stretches of numbers from 1 to a last one that lie between others, which are in order."""
    firsts = [1, *(last + 1 for _, last in held)]
    lasts = [*(first - 1 for first, _ in held), last_id]
    return [(first, last) for first, last in zip(firsts, lasts, strict=True) if first <= last]


def last_window_id(db: sqlite3.Connection) -> int:
    """The highest id that a window ever had; 0 if there never was one."""
    row = db.execute(
        "SELECT max(ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'windows'), 0), "
        "ifnull((SELECT max(id) FROM windows), 0))"
    ).fetchone()
    return int(row[0])


def check_counts(db: sqlite3.Connection) -> None:
    """See whether all rows are there that nothing else counts.

    Raises:
        ValueError: If they are not.
    """
    for name in _COUNTED:
        if count_of(db, name) != _rows_in(db, name):
            raise ValueError(f"it lacks rows of {name}")


def put_counts(db: sqlite3.Connection) -> None:
    """Keep how many rows there are that nothing else counts."""
    for name in _COUNTED:
        _put_count(db, name, _rows_in(db, name))


def commit_number(db: sqlite3.Connection) -> int:
    """How many commits changed anything about clips; 0 for a catalog that was just made."""
    row = db.execute("SELECT name, rows, checksum FROM counts WHERE name = ?", (_COMMITS,)).fetchone()
    return 0 if row is None else int(checked(row, "a count")[1])


def count_commit(db: sqlite3.Connection) -> None:
    """Count one more commit."""
    _put_count(db, _COMMITS, commit_number(db) + 1)


def count_of(db: sqlite3.Connection, name: str) -> int:
    """How many rows a table has, of those that are counted so.

    Raises:
        ValueError: If that is not known.
    """
    row = db.execute("SELECT name, rows, checksum FROM counts WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ValueError(f"it lacks the count of {name}")
    return int(checked(row, "a count")[1])


def put_state(db: sqlite3.Connection, identity: str, manifest: str) -> None:
    """Keep what tells a catalog from any other, and the manifest of its store as JSON."""
    db.execute("DELETE FROM state")
    db.execute("INSERT INTO state VALUES (?, ?, ?)", (identity, manifest, checksum(identity, manifest)))


def _as_kept(embeddings: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        kept = np.asarray(embeddings).astype("<f2")
    if not np.isfinite(kept).all():
        raise StoreError(f"A catalog holds no embedding with values beyond {LARGEST_VALUE:g}.")
    return kept


def _put_count(db: sqlite3.Connection, name: str, rows: int) -> None:
    db.execute(
        "INSERT INTO counts (name, rows, checksum) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
        "rows = excluded.rows, checksum = excluded.checksum WHERE rows <> excluded.rows",
        (name, rows, checksum(name, rows)),
    )


def _rows_in(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _delete_row(table: str, db: sqlite3.Connection, path: Path) -> None:
    db.execute(f"DELETE FROM {table} WHERE path = ?", (name_of(path),))

"""Clips whose files are at other places now: a store knows them under their new paths, in one commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pe_search.records import Clip, LeftOut
from pe_search.reports import Root
from pe_search.store.catalog import Catalog
from pe_search.store.commits import count_clips, name_of, put_left_out
from pe_search.store.facts import put_zones
from pe_search.store.roots import put_roots
from pe_search.store.schema import checked, checksum
from pe_search.store.transcripts import delete_sidecars, put_sidecars, read_sidecars
from pe_search.store.windows import CLIP, left_out_rows


def move_clips(
    catalog: Catalog,
    *,
    clips: Mapping[Path, Clip],
    left_out: Mapping[Path, Clip],
    roots: Iterable[Root],
    forgotten: Iterable[Path],
    zones: Mapping[Path, str | None],
) -> None:
    """Write all of this, or nothing of it if it fails.

    What is held at a new place already stays as it is, and the clip that would come there goes.

    Args:
        catalog: The store's.
        clips: By the paths that they have, as they are to be held.
        left_out: Likewise, those that were left out.
        roots: Each in place of what was known of it.
        forgotten: Roots to forget.
        zones: As `write_zones`.

    Raises:
        StoreError: As `Catalog.commit`.
    """
    with catalog.writing() as db:
        _move_held(db, clips)
        _move_left_out(db, left_out)
        _move_sidecars(catalog, db, {path.parent: clip.path.parent for path, clip in clips.items()})
        put_roots(db, roots, forgotten=forgotten)
        put_zones(catalog, db, zones)


def _move_held(db: sqlite3.Connection, clips: Mapping[Path, Clip]) -> None:
    rows = []
    for path, clip in clips.items():
        row = db.execute(f"SELECT id, {CLIP} FROM clips WHERE path = ?", (name_of(path),)).fetchone()
        if row is None:
            raise ValueError("a clip can't be found")
        *_, content_id, indexed_at_s = checked(row[1:], "a clip")
        rows.append((row[0], content_id, indexed_at_s, clip))
    # All at first: one may come to where another was.
    db.executemany("DELETE FROM clips WHERE path = ?", ((name_of(path),) for path in clips))
    for clip_id, content_id, indexed_at_s, clip in rows:
        values = (name_of(clip.path), *clip.stamp, content_id, indexed_at_s)
        added = db.execute(
            "INSERT INTO clips (id, path, size_bytes, modified_ns, changed_ns, inode, content_id, indexed_at_s, "
            "checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO NOTHING",
            (clip_id, *values, checksum(*values)),
        )
        if not added.rowcount:
            count_clips(db, content_id, -1)
        db.execute("DELETE FROM left_out WHERE path = ?", (name_of(clip.path),))


def _move_left_out(db: sqlite3.Connection, left_out: Mapping[Path, Clip]) -> None:
    reasons = {row[0]: str(row[-1]) for row in left_out_rows(db)}
    db.executemany("DELETE FROM left_out WHERE path = ?", ((name_of(path),) for path in left_out))
    for path, clip in left_out.items():
        is_held = db.execute("SELECT 1 FROM clips WHERE path = ?", (name_of(clip.path),)).fetchone()
        if not is_held and (name_of(clip.path) not in reasons or clip.path in left_out):
            put_left_out(db, LeftOut(clip, reasons[name_of(path)]))


def _move_sidecars(catalog: Catalog, db: sqlite3.Connection, folders: Mapping[Path, Path]) -> None:
    moved = [one for one in read_sidecars(catalog) if folders.get(one.path.parent, one.path.parent) != one.path.parent]
    delete_sidecars(db, moved)
    put_sidecars(db, (replace(one, path=folders[one.path.parent] / one.path.name) for one in moved))

"""What `index` was told to go through, so that it can be brought up to date without being named again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pe_search.reports import PassedOver, Root
from pe_search.store.catalog import Catalog
from pe_search.store.commits import count_of, name_of
from pe_search.store.schema import checked, checksum, path_of

ROOT = "path, exclude, indexed_at_s, passed_over, checksum"


def read_roots(catalog: Catalog) -> tuple[Root, ...]:
    """All roots, in order of path.

    Raises:
        StoreError: If the catalog is damaged.
    """
    with catalog.reading() as db:
        rows = db.execute(f"SELECT {ROOT} FROM roots ORDER BY path").fetchall()
        if len(rows) != count_of(db, "roots"):
            raise ValueError("it lacks roots")
        return tuple(root_of(checked(row, "a root")) for row in rows)


def write_roots(catalog: Catalog, roots: Iterable[Root] = (), *, forgotten: Iterable[Path] = ()) -> None:
    """Remember some roots, each in place of what was known of it, and forget others.

    Raises:
        StoreError: As `Catalog.commit`.
    """
    forgotten, roots = list(forgotten), list(roots)
    if forgotten or roots:
        with catalog.writing(is_of_clips=False) as db:
            put_roots(db, roots, forgotten=forgotten)


def put_roots(db: sqlite3.Connection, roots: Iterable[Root], *, forgotten: Iterable[Path]) -> None:
    """As `write_roots`, within the commit of whoever calls."""
    db.executemany("DELETE FROM roots WHERE path = ?", ((name_of(path),) for path in forgotten))
    db.executemany(f"REPLACE INTO roots ({ROOT}) VALUES (?, ?, ?, ?, ?)", map(_row_of, roots))


def root_of(row: tuple[Any, ...]) -> Root:
    """A root, of what the catalog has for it.

    Raises:
        ValueError: If that makes no sense.
    """
    name, exclude, indexed_at_s, passed_over = row
    patterns, facts = json.loads(exclude), json.loads(passed_over)
    if not (isinstance(patterns, list) and isinstance(facts, list) and len(facts) == 3):
        raise ValueError("a root is invalid")
    unreadable, files, folders = facts
    if not isinstance(unreadable, dict) or not isinstance(indexed_at_s, int | None):
        raise ValueError("a root is invalid")
    kinds = tuple((str(kind), int(number)) for kind, number in unreadable.items())
    return Root(path_of(name), tuple(map(str, patterns)), indexed_at_s, PassedOver(kinds, int(files), int(folders)))


def _row_of(root: Root) -> tuple[Any, ...]:
    seen = root.passed_over
    facts = [dict(seen.unreadable), seen.excluded_files, seen.excluded_folders]
    row = (name_of(root.path), json.dumps(root.exclude), root.indexed_at_s, json.dumps(facts))
    return (*row, checksum(*row))

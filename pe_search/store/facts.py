"""What is known of clips beside their sound: what their files say, the user's tags, and where they were recorded."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.records import Facts
from pe_search.store.commits import count_of, name_of, put_facts
from pe_search.store.schema import FACTS, TAG, ZONE, checked, checksum, facts_of, path_of
from pe_search.store.windows import CONTENT

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pe_search.store.catalog import Catalog


def facts_with(db: sqlite3.Connection, content_id: int) -> Facts | None:
    """What is kept of a content; None if nothing is."""
    return facts_of(db.execute(f"SELECT {FACTS} FROM facts WHERE content_id = ?", (content_id,)).fetchone())


def without_facts(catalog: Catalog) -> dict[Path, bytes]:
    """A clip of each whole content of which no facts are kept, with its digest."""
    with catalog.reading() as db:
        rows = db.execute(
            "SELECT min(path), digest FROM contents JOIN clips ON clips.content_id = contents.id "
            "LEFT JOIN facts ON facts.content_id = contents.id "
            "WHERE duration_s IS NOT NULL AND facts.content_id IS NULL GROUP BY contents.id"
        )
        return {path_of(name): digest for name, digest in rows}


def write_facts(catalog: Catalog, facts: Mapping[bytes, Facts]) -> None:
    """Keep what the files of some contents, by their digests, say of themselves."""
    with catalog.writing() as db:
        for digest, its_facts in facts.items():
            row = db.execute("SELECT id FROM contents WHERE digest = ?", (digest,)).fetchone()
            if row is not None:
                put_facts(db, row[0], its_facts)


def read_tags(catalog: Catalog) -> dict[bytes, tuple[str, ...]]:
    """The tags of all digests that have any, in order; also of such that no clip has any more.

    Raises:
        StoreError: If the catalog is damaged.
    """
    tags: dict[bytes, list[str]] = {}
    with catalog.reading() as db:
        rows = db.execute(f"SELECT {TAG} FROM tags ORDER BY digest, tag").fetchall()
        if len(rows) != count_of(db, "tags"):
            raise ValueError("it lacks tags")
        for digest, tag in (checked(row, "a tag") for row in rows):
            tags.setdefault(bytes(digest), []).append(str(tag))
    return {digest: tuple(those) for digest, those in tags.items()}


def write_tags(catalog: Catalog, *, added: Iterable[tuple[bytes, str]], removed: Iterable[tuple[bytes, str]]) -> int:
    """Give tags to digests, and take tags from them; returns how many changed anything.

    Raises:
        StoreError: As `Catalog.commit`.
    """
    with catalog.writing() as db:
        before = db.total_changes
        db.executemany(
            f"INSERT OR IGNORE INTO tags ({TAG}) VALUES (?, ?, ?)", ((*row, checksum(*row)) for row in added)
        )
        db.executemany("DELETE FROM tags WHERE digest = ? AND tag = ?", removed)
        return db.total_changes - before


def clips_of_tags(catalog: Catalog) -> dict[str, int]:
    """How many clips have each tag, in order of the tags; 0 for a tag of clips that are all gone.

    Raises:
        StoreError: If the catalog is damaged.
    """
    clips: Counter[str] = Counter()
    with catalog.reading() as db:
        for digest, tags in read_tags(catalog).items():
            content = db.execute(f"SELECT {CONTENT} FROM contents WHERE digest = ?", (digest,)).fetchone()
            number = 0 if content is None else int(checked(content, "a content")[4])
            clips.update(dict.fromkeys(tags, number))
    return dict(sorted(clips.items()))


def read_zones(catalog: Catalog) -> dict[Path, str]:
    """The zone of each path that the user gave one.

    Raises:
        StoreError: If the catalog is damaged.
    """
    with catalog.reading() as db:
        rows = db.execute(f"SELECT {ZONE} FROM zones ORDER BY path").fetchall()
        if len(rows) != count_of(db, "zones"):
            raise ValueError("it lacks zones")
        return {path_of(name): str(zone) for name, zone in (checked(row, "a zone") for row in rows)}


def write_zones(catalog: Catalog, zones: Mapping[Path, str | None]) -> None:
    """Remember in which zones the clips at or below some paths were recorded; None forgets it.

    Raises:
        StoreError: As `Catalog.commit`.
    """
    with catalog.writing() as db:
        put_zones(catalog, db, zones)


def put_zones(catalog: Catalog, db: sqlite3.Connection, zones: Mapping[Path, str | None]) -> None:
    """As `write_zones`, within the commit of whoever calls."""
    known = read_zones(catalog)
    rows = [(name_of(path), zone) for path, zone in zones.items() if zone not in (None, known.get(path))]
    db.executemany("DELETE FROM zones WHERE path = ?", ((name_of(path),) for path in zones if zones[path] is None))
    db.executemany(f"REPLACE INTO zones ({ZONE}) VALUES (?, ?, ?)", ((*row, checksum(*row)) for row in rows))


class Zones:
    """In which zone a clip was recorded: that of the nearest folder above it that has one.

    Args:
        zones: From `read_zones`.
    """

    def __init__(self, zones: Mapping[Path, str]) -> None:
        self._zones = zones
        self._of_folder = cache(self._nearest)

    @property
    def are_any(self) -> bool:
        """Whether any zone is known."""
        return bool(self._zones)

    def of(self, path: Path) -> ZoneInfo | None:
        """The zone of a clip; None if none is known."""
        return self._of_folder(path) if path in self._zones else self._of_folder(path.parent) if self._zones else None

    def _nearest(self, path: Path) -> ZoneInfo | None:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        name = next((self._zones[place] for place in (path, *path.parents) if place in self._zones), None)
        try:
            return None if name is None else ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):  # it was known where the store was made
            return None

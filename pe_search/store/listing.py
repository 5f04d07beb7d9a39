"""The clips of a catalog one after the other, each with what is known of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pe_search.known.recorded import from_name, when
from pe_search.records import Clip, Facts, IndexedClip
from pe_search.store.answers import read_captioned, read_captions
from pe_search.store.catalog import Catalog
from pe_search.store.commits import name_of
from pe_search.store.facts import Zones, read_tags, read_zones
from pe_search.store.schema import checked, clip_of, facts_of, path_of, path_text, seconds_of
from pe_search.store.windows import CLIP, CONTENT, in_sql

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pe_search.descriptions import Caption

_CONTENT = "contents.id, digest, duration_s, missing, contents.clips, contents.windows, contents.checksum"
_FACTS = "facts.content_id, facts.facts, facts.checksum"
COLUMNS = f"{CLIP}, {_CONTENT}, {_FACTS}"
WITH_CONTENT = "clips JOIN contents ON contents.id = clips.content_id LEFT JOIN facts ON facts.content_id = contents.id"
_ROWS_AT_ONCE = 1_024


def indexed_clips(catalog: Catalog, under: Path | None = None) -> Iterator[IndexedClip]:
    """The clips, or those at or below a path, in order of path; never are all of them in memory.

    What is committed meanwhile may be among them or not; whoever reads may stop at any clip.

    Raises:
        StoreError: If the catalog is damaged. What came before it is sound.
    """
    condition, bounds = ("1", []) if under is None else in_sql(under)
    known = Known(catalog)
    with catalog.reading() as db:
        began = db.execute("PRAGMA data_version").fetchone()
        # By the paths in the table; what follows goes by SQLite's index of them.
        expected = db.execute(f"SELECT count(*) FROM clips NOT INDEXED WHERE {condition}", bounds).fetchone()[0]
        if under is None and expected != db.execute("SELECT total(clips) FROM contents").fetchone()[0]:
            raise ValueError("it lacks clips or contents")
    last = b""
    while True:
        with catalog.reading() as db:
            rows = db.execute(
                f"SELECT {COLUMNS} FROM {WITH_CONTENT} "
                f"WHERE path > ? AND {condition} ORDER BY path LIMIT {_ROWS_AT_ONCE}",
                (last, *bounds),
            ).fetchall()
            clips = [known.clip_of(row) for row in rows]
            expected -= len(rows)
            if not rows and expected and began == db.execute("PRAGMA data_version").fetchone():
                raise ValueError("it lacks clips or contents")
        if not rows:
            return
        yield from clips
        last = rows[-1][0]


class Known:
    """What is known of clips beside their sound, with what a row has of a clip; tags and zones are read once.

    Args:
        catalog: The store's.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        with catalog.reading():
            self._tags = read_tags(catalog)
            self._zones = Zones(read_zones(catalog))
            self._captioned = read_captioned(catalog)

    def zone_of(self, path: Path) -> ZoneInfo | None:
        """Where a clip was recorded, as the user says; None if nobody said."""
        return self._zones.of(path)

    def captions_of(self, digest: bytes) -> tuple[Caption, ...]:
        """The captions of a content."""
        return read_captions(self._catalog, digest) if digest in self._captioned else ()

    def told_of(self, name: bytes, digest: bytes) -> tuple[object, ...]:
        """The tags and the captions of a content, and the zone of a clip by its path as it is kept."""
        zone = self._zones.of(path_of(name)) if self._zones.are_any else None
        captions = [one.text for one in self.captions_of(digest)]
        return self._tags.get(digest, ()), None if zone is None else zone.key, *captions

    def clip_of(self, row: tuple[Any, ...]) -> IndexedClip:
        """The clip of a row of `COLUMNS`."""
        *clip, _, indexed_at_s = checked(row[:8], "a clip")
        _, digest, duration_s, missing, _, windows = checked(row[8:15], "a content")
        if not isinstance(indexed_at_s, int | None):
            raise ValueError("a time is not a whole number")
        held, facts = clip_of(*clip), facts_of(row[15:]) or Facts()
        recorded = when(facts, held.path.name, self._zones.of(held.path))
        return IndexedClip(
            path=held.path,
            size_bytes=held.size_bytes,
            modified_ns=held.modified_ns,
            duration_s=None if duration_s is None else seconds_of(duration_s),
            windows=int(windows),
            indexed_at_s=indexed_at_s,
            digest=bytes(digest),
            missing=None if missing is None else str(missing),
            facts=facts,
            tags=self._tags.get(bytes(digest), ()),
            recorded_at=None if recorded is None else recorded[0].isoformat(),
            recorded_by=None if recorded is None else recorded[1],
            captions=self.captions_of(bytes(digest)),
        )


def indexed_clips_at(catalog: Catalog, paths: Iterable[Path], known: Known | None = None) -> dict[Path, IndexedClip]:
    """Those of some clips that the catalog holds, by path.

    Args:
        catalog: The store's.
        paths: Of the clips.
        known: What is known of clips beside their sound, for whoever asks often; None to read it now.

    Raises:
        StoreError: If the catalog is damaged.
    """
    found = {}
    with catalog.reading() as db:
        known = known or Known(catalog)
        for path in dict.fromkeys(paths):
            row = db.execute(f"SELECT {COLUMNS} FROM {WITH_CONTENT} WHERE path = ?", (name_of(path),)).fetchone()
            if row is not None:
                found[path] = known.clip_of(row)
                if found[path].path != path:
                    raise ValueError("a clip can't be found")
    return found


def copies_of(catalog: Catalog, path: Path) -> tuple[Path, ...]:
    """The other clips of the same bytes as one, in order of path.

    Raises:
        StoreError: If the catalog is damaged.
    """
    with catalog.reading() as db:
        rows = db.execute(
            f"SELECT {CLIP} FROM clips WHERE content_id = (SELECT content_id FROM clips WHERE path = ?) ORDER BY path",
            (name_of(path),),
        )
        found = [clip_of(*checked(row, "a clip")[:5]).path for row in rows]
    return tuple(other for other in found if other != path)


def known_of(catalog: Catalog) -> tuple[int, int, int]:
    """Of how many clips the facts are known, when they were recorded, and tags.

    Raises:
        StoreError: If the catalog is damaged.
    """
    with catalog.reading() as db:
        counted = "SELECT total(clips) FROM contents WHERE"
        with_facts = db.execute(f"{counted} id IN (SELECT content_id FROM facts)").fetchone()[0]
        with_tags = db.execute(f"{counted} digest IN (SELECT digest FROM tags)").fetchone()[0]
        # A zone makes no time known. A quote within a text of the JSON has a backslash before it.
        said = "coalesce(instr(facts.facts, '\"recorded_at\": '), 0)"
        rows = db.execute(f"SELECT path, {said} FROM {WITH_CONTENT}")
        with_time = sum(1 for name, is_said in rows if is_said or from_name(os.path.basename(path_text(name))))  # noqa: PTH119 (many)
    return int(with_facts), with_time, int(with_tags)


def held_under(catalog: Catalog, path: Path | None = None) -> dict[Path, tuple[Clip, bytes]]:
    """The clips at or below a path, or all, each with the digest of its content: much quicker than `indexed_clips`.

    Raises:
        StoreError: If the catalog is damaged.
    """
    condition, bounds = ("1", []) if path is None else in_sql(path)
    with catalog.reading() as db:
        rows = [checked(row, "a clip") for row in db.execute(f"SELECT {CLIP} FROM clips WHERE {condition}", bounds)]
        digests = {}
        for content_id in {row[5] for row in rows}:
            content = db.execute(f"SELECT {CONTENT} FROM contents WHERE id = ?", (content_id,)).fetchone()
            digests[content_id] = bytes(checked(content or (None,), "a content")[1])
        clips = [(clip_of(*row[:5]), digests[row[5]]) for row in rows]
        return {clip.path: (clip, digest) for clip, digest in clips}


def formats(catalog: Catalog) -> tuple[tuple[str, int], ...]:
    """How many clips there are of each lower-case extension, the most frequent first; `` for none."""
    kinds: Counter[str] = Counter()
    with catalog.reading() as db:
        for (name,) in db.execute("SELECT path FROM clips"):
            kinds[os.path.splitext(path_text(name))[1].lower()] += 1  # noqa: PTH122 (many, see `audio.find.Found`)
    return tuple(sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0])))

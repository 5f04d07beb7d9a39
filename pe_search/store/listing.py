"""The clips of a catalog one after the other, each with what is known of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pe_search.records import IndexedClip
from pe_search.store.catalog import Catalog
from pe_search.store.schema import checked, clip_of, path_text, seconds_of
from pe_search.store.windows import CLIP, in_sql

_CONTENT = "contents.id, digest, duration_s, missing, contents.clips, contents.windows, contents.checksum"
_ROWS_AT_ONCE = 1_024


def indexed_clips(catalog: Catalog, under: Path | None = None) -> Iterator[IndexedClip]:
    """The clips, or those at or below a path, in order of path; never are all of them in memory.

    What is committed meanwhile may be among them or not; whoever reads may stop at any clip.

    Raises:
        StoreError: If the catalog is damaged. What came before it is sound.
    """
    condition, bounds = ("1", []) if under is None else in_sql(under)
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
                f"SELECT {CLIP}, {_CONTENT} FROM clips JOIN contents ON contents.id = content_id "
                f"WHERE path > ? AND {condition} ORDER BY path LIMIT {_ROWS_AT_ONCE}",
                (last, *bounds),
            ).fetchall()
            clips = [_clip_of(row) for row in rows]
            expected -= len(rows)
            if not rows and expected and began == db.execute("PRAGMA data_version").fetchone():
                raise ValueError("it lacks clips or contents")
        if not rows:
            return
        yield from clips
        last = rows[-1][0]


def _clip_of(row: tuple[Any, ...]) -> IndexedClip:
    *clip, _, indexed_at_s = checked(row[:8], "a clip")
    _, digest, duration_s, missing, _, windows = checked(row[8:], "a content")
    if not isinstance(indexed_at_s, int | None):
        raise ValueError("a time is not a whole number")
    held = clip_of(*clip)
    return IndexedClip(
        path=held.path,
        size_bytes=held.size_bytes,
        modified_ns=held.modified_ns,
        duration_s=None if duration_s is None else seconds_of(duration_s),
        windows=int(windows),
        indexed_at_s=indexed_at_s,
        digest=bytes(digest),
        missing=None if missing is None else str(missing),
    )


def formats(catalog: Catalog) -> tuple[tuple[str, int], ...]:
    """How many clips there are of each lower-case extension, the most frequent first; `` for none."""
    kinds: Counter[str] = Counter()
    with catalog.reading() as db:
        for (name,) in db.execute("SELECT path FROM clips"):
            kinds[os.path.splitext(path_text(name))[1].lower()] += 1  # noqa: PTH122 (many, see `audio.find.Found`)
    return tuple(sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0])))

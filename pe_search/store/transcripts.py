"""What is said in contents, by digest and engine, and the files that it was taken from."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pe_search.records import Segment, Sidecar, SpokenWord, Transcript
from pe_search.store.catalog import Catalog
from pe_search.store.commits import count_of, name_of
from pe_search.store.database import LONGEST_VALUE_BYTES
from pe_search.store.schema import SIDECAR, TRANSCRIPT, checked, checksum, path_of, seconds_of

# What the other columns of a row may take.
_REST_BYTES = 1 << 20


def can_be_kept(transcript: Transcript) -> bool:
    """Whether a transcript is not too long for a row of the catalog."""
    return len(_segments_text(transcript)) <= LONGEST_VALUE_BYTES - _REST_BYTES


def read_transcripts(catalog: Catalog, digests: Iterable[bytes] | None = None) -> Iterator[Transcript]:
    """The transcripts of some contents, or all, in order of digest and engine; unfinished ones too.

    They are read as they are asked for, so that not all are in memory.

    Raises:
        StoreError: If the catalog is damaged. So do the other functions here.
    """
    with catalog.reading() as db:
        if digests is None:
            yield from map(transcript_of, _all(db, "transcripts", TRANSCRIPT, "digest, engine"))
            return
        for digest in sorted(set(digests)):
            statement = f"SELECT {TRANSCRIPT} FROM transcripts WHERE digest = ? ORDER BY engine"
            for row in db.execute(statement, (digest,)):
                yield transcript_of(checked(row, "a transcript"))


def transcripts_at(catalog: Catalog, paths: Iterable[Path] | None = None) -> dict[Path, tuple[Transcript, ...]]:
    """The transcripts of some clips, or of all, in order of path; clips that have none are left out."""
    with catalog.reading() as db:
        if paths is None:
            rows = db.execute(
                "SELECT path, digest FROM clips JOIN contents ON contents.id = clips.content_id "
                "WHERE digest IN (SELECT digest FROM transcripts) ORDER BY path"
            )
            digests = {path_of(name): bytes(digest) for name, digest in rows}
        else:
            held = digests_of(catalog, map(str, paths))
            digests = {Path(path): held[path][0] for path in sorted(held, key=os.fsencode)}
        by_digest: dict[bytes, list[Transcript]] = {}
        for one in read_transcripts(catalog, digests.values()):
            by_digest.setdefault(one.digest, []).append(one)
    return {path: tuple(by_digest[digest]) for path, digest in digests.items() if digest in by_digest}


def read_progress(catalog: Catalog, engine: str) -> dict[bytes, float | None]:
    """How far an engine came in each content that it has begun; None if it came to the end. Quick for many contents."""
    with catalog.reading() as db:
        rows = db.execute("SELECT digest, until_s FROM transcripts WHERE engine = ?", (engine,))
        return {digest: None if until_s is None else seconds_of(until_s) for digest, until_s in rows}


def count_transcribed(catalog: Catalog) -> int:
    """How many clips have a transcript, finished or not."""
    with catalog.reading() as db:
        row = db.execute(
            "SELECT count(*) FROM clips JOIN contents ON contents.id = clips.content_id "
            "WHERE digest IN (SELECT digest FROM transcripts)"
        ).fetchone()
        return int(row[0])


def write_transcripts(
    catalog: Catalog,
    transcripts: Iterable[Transcript] = (),
    *,
    forgotten: Iterable[tuple[bytes, str]] = (),
    sidecars: Iterable[Sidecar] = (),
    forgotten_sidecars: Iterable[Sidecar] = (),
) -> None:
    """Write all of this, or nothing of it if it fails.

    Args:
        catalog: The store's.
        transcripts: Each takes the place of what the same engine made of the same content.
        forgotten: Digest and engine of transcripts to forget.
        sidecars: Files that transcripts were taken from.
        forgotten_sidecars: Such as are gone.
    """
    kept, known = list(transcripts), list(sidecars)
    keys, gone = list(forgotten), list(forgotten_sidecars)
    if not (kept or known or keys or gone):
        return
    with catalog.writing() as db:
        db.executemany("DELETE FROM transcripts WHERE digest = ? AND engine = ?", keys)
        delete_sidecars(db, gone)
        db.executemany(f"REPLACE INTO transcripts ({TRANSCRIPT}) VALUES (?, ?, ?, ?, ?, ?, ?)", map(_row_of, kept))
        put_sidecars(db, known)


def read_sidecars(catalog: Catalog) -> list[Sidecar]:
    """The files that transcripts were taken from, in order of path."""
    with catalog.reading() as db:
        return [
            Sidecar(path_of(name), int(size_bytes), int(modified_ns), bytes(digest), str(engine))
            for name, size_bytes, modified_ns, digest, engine in _all(db, "sidecars", SIDECAR, "path, digest")
        ]


def digests_of(catalog: Catalog, paths: Iterable[str]) -> dict[str, tuple[bytes, float]]:
    """The digest and the length in seconds of what each of some clips holds; of such as the store has."""
    statement = (
        "SELECT digest, duration_s FROM clips JOIN contents ON contents.id = clips.content_id "
        "WHERE path = ? AND duration_s IS NOT NULL"
    )
    with catalog.reading() as db:
        found = ((path, db.execute(statement, (os.fsencode(path),)).fetchone()) for path in paths)
        return {path: (row[0], float(row[1])) for path, row in found if row is not None}


def delete_sidecars(db: sqlite3.Connection, sidecars: Iterable[Sidecar]) -> None:
    """Forget some files, within the commit of whoever calls."""
    keys = ((name_of(one.path), one.digest) for one in sidecars)
    db.executemany("DELETE FROM sidecars WHERE path = ? AND digest = ?", keys)


def put_sidecars(db: sqlite3.Connection, sidecars: Iterable[Sidecar]) -> None:
    """Remember some files, each in place of what was known of it, within the commit of whoever calls."""
    rows = ((name_of(one.path), one.size_bytes, one.modified_ns, one.digest, one.engine) for one in sidecars)
    db.executemany(
        f"REPLACE INTO sidecars ({SIDECAR}) VALUES (?, ?, ?, ?, ?, ?)", ((*row, checksum(*row)) for row in rows)
    )


def transcript_of(row: tuple[Any, ...]) -> Transcript:
    """A transcript, of what the catalog has for it.

    Raises:
        ValueError: If that makes no sense.
    """
    digest, engine, language, until_s, segments, made_at_s = row
    if not isinstance(digest, bytes) or not isinstance(made_at_s, int):
        raise ValueError("a transcript is invalid")
    until_s = None if until_s is None else seconds_of(until_s)
    return Transcript(digest, str(engine), str(language), _segments_of(segments), until_s, made_at_s)


def _segments_of(text: str) -> tuple[Segment, ...]:
    try:
        return tuple(
            Segment(
                seconds_of(start_s),
                seconds_of(end_s),
                str(said),
                tuple(
                    SpokenWord(seconds_of(first_s), seconds_of(last_s), str(word)) for first_s, last_s, word in words
                ),
            )
            for start_s, end_s, said, words in json.loads(text)
        )
    except (TypeError, RecursionError) as error:
        raise ValueError("segments are invalid") from error


def _segments_text(one: Transcript) -> str:
    segments = [
        (
            *(float(segment.start_s), float(segment.end_s), segment.text),
            [(float(word.start_s), float(word.end_s), word.word) for word in segment.words],
        )
        for segment in one.segments
    ]
    return json.dumps(segments)


def _row_of(one: Transcript) -> tuple[Any, ...]:
    until_s = None if one.until_s is None else float(one.until_s)
    row = (one.digest, one.engine, one.language, until_s, _segments_text(one), int(one.made_at_s))
    return (*row, checksum(*row))


def _all(db: sqlite3.Connection, table: str, columns: str, order: str) -> Iterator[tuple[Any, ...]]:
    """All rows of a table without their checksums, counted."""
    count = 0
    for row in db.execute(f"SELECT {columns} FROM {table} ORDER BY {order}"):
        count += 1
        yield checked(row, f"a row of {table}")
    if count != count_of(db, table):
        raise ValueError(f"it lacks {table}")

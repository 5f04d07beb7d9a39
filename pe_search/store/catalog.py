"""The SQLite file that holds clips, contents, windows and embeddings."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.records import Clip, Content, LeftOut, Stamp

CATALOG_FILE = "catalog.sqlite3"
# The largest number that an embedding may have in it, because it is kept as float16.
LARGEST_VALUE = float(np.finfo(np.float16).max)

# Any change of this text is another format: a catalog with other tables, or with anything beside them, is refused.
#
# A clip is a file; a content is what its bytes hold, and two clips of the same bytes have one content between them.
# Paths are kept as the bytes that the file system has, since names need not be UTF-8; they also sort by bytes.
# An embedding is little-endian float16. `identity` tells this catalog from any other, so that an index left over from
# one that was deleted is never taken for its own. The id of a window that is gone is never given to another, so that an
# index made earlier can't point at the wrong one, and every window that came after it was made has a higher id.
_SCHEMA = """
CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    -- NULL as long as more of its windows are to come.
    duration_s REAL
);
CREATE TABLE windows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content_id INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE,
    start_s REAL NOT NULL,
    end_s REAL NOT NULL,
    embedding BLOB NOT NULL
);
CREATE INDEX windows_by_content ON windows(content_id);
CREATE TABLE clips (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    content_id INTEGER NOT NULL REFERENCES contents(id)
);
CREATE INDEX clips_by_content ON clips(content_id);
CREATE TABLE left_out (
    path BLOB PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE state (identity TEXT NOT NULL);
INSERT INTO state SELECT lower(hex(randomblob(16)));
"""
_BUSY_TIMEOUT_S = 30.0
# SQLite's own bound on the variables of one statement has been higher than this since version 3.32.
_IDS_PER_STATEMENT = 10_000
_WINDOWS_AT_ONCE = 4_096
# No value that pe-search writes comes near these; one from elsewhere could ask for any amount of memory or time.
_LONGEST_VALUE_BYTES = 1 << 20
_LATEST_S = 1e9


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much a catalog holds.

    Attributes:
        clips: Files.
        contents: Different ones among them.
        windows: Windows of all clips; those of a content count for each clip that has it.
        audio_s: Seconds of audio of all clips.
        left_out: Clips that are known, and couldn't be indexed.
    """

    clips: int
    contents: int
    windows: int
    audio_s: float
    left_out: int


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Where a window is: one clip that has it, and its times."""

    path: Path
    start_s: float
    end_s: float


class Catalog:
    """An open catalog.

    Args:
        directory: The store's.
        dimension: Length of the embeddings.
        read_only: Whether to refuse to write, so that a store on a read-only disk can be searched.

    Raises:
        StoreError: If the file is missing (read-only) or no catalog. So do all methods if it is damaged, or the disk
            is full; then nothing of that commit is kept.
    """

    def __init__(self, directory: Path, dimension: int, *, read_only: bool) -> None:
        self.path = directory.absolute() / CATALOG_FILE
        self._log = self.path.with_name(f"{CATALOG_FILE}-wal")
        self._dimension = dimension
        self._opened_as = self._files()
        with self._explaining():
            self._db = self._open_to_read() if read_only else self._open(str(self.path), read_only=False)

    def _open_to_read(self) -> sqlite3.Connection:
        # Readers of a write-ahead log share a file beside it. Where none can be made and there is no log, there is no
        # writer either; where there is one, it must be read, because it holds the latest commits.
        address = self.path.as_uri()
        if os.access(self.path.parent, os.W_OK) or self._has_log():
            try:
                return self._open(f"{address}?mode=ro", read_only=True)
            except sqlite3.OperationalError as error:
                # On a full disk that file can't be made either.
                if self._has_log() or _code(error) not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
                    raise
        return self._open(f"{address}?mode=ro&immutable=1", read_only=True)

    def _open(self, name: str, *, read_only: bool) -> sqlite3.Connection:
        # A store that a server keeps open is used by one thread after the other.
        db = sqlite3.connect(name, uri=read_only, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
        try:
            # A file from someone else is only ever data: no function in its schema runs, no value is taken on faith.
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA cell_size_check = ON")
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE_BYTES)
            schema = schema_of(db)
            if not (schema or read_only):
                # Of 1,024 numbers, one row alone fits into a page of the usual size, and the rest of it lies waste.
                db.execute("PRAGMA page_size = 16384")
                db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT")
            elif schema != expected_schema():
                raise StoreError(f"The catalog {self.path} can't be used: pe-search didn't make its tables.")
            if not read_only:
                db.execute("PRAGMA journal_mode = WAL")
                # A commit is on the disk when it is done, whatever happens to the power, on macOS too.
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA fullfsync = ON")
                db.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            db.close()
            raise
        return db

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def written_at_s(self) -> float:
        """When something was last committed, in seconds since the epoch."""
        files = [self.path, self._log] if self._has_log() else [self.path]
        return max(file.stat().st_mtime for file in files)

    def is_as_opened(self) -> bool:
        """Whether the files are those that were opened, and nothing was committed since."""
        return self._opened_as == self._files()

    def _files(self) -> list[tuple[int, int, int, int] | None]:
        return [_file_state(self.path), _file_state(self._log)]

    @property
    def identity(self) -> str:
        """What tells this catalog from any other."""
        with self._explaining():
            return str(self._db.execute("SELECT identity FROM state").fetchone()[0])

    def holdings(self) -> Holdings:
        """Count what is there."""
        with self._explaining():
            clips, contents, audio_s = self._db.execute(
                "SELECT count(*), count(DISTINCT content_id), total(duration_s) "
                "FROM clips JOIN contents ON contents.id = content_id"
            ).fetchone()
            windows = self._db.execute(
                "SELECT count(*) FROM clips JOIN windows ON windows.content_id = clips.content_id"
            ).fetchone()[0]
            left_out = self._db.execute("SELECT count(*) FROM left_out").fetchone()[0]
        return Holdings(clips, contents, windows, audio_s, left_out)

    def clips(self) -> dict[Path, Clip]:
        """All clips by path."""
        with self._explaining():
            rows = self._db.execute("SELECT path, size_bytes, modified_ns FROM clips")
            return {clip.path: clip for clip in (clip_of(*row) for row in rows)}

    def stamps(self) -> dict[str, Stamp]:
        """The stamps of all clips, by path."""
        with self._explaining():
            rows = self._db.execute("SELECT path, size_bytes, modified_ns FROM clips")
            return {_path_text(name): _stamp_of(size_bytes, modified_ns) for name, size_bytes, modified_ns in rows}

    def left_out(self) -> list[LeftOut]:
        """What was left out, in order of path."""
        with self._explaining():
            rows = self._db.execute("SELECT path, size_bytes, modified_ns, reason FROM left_out ORDER BY path")
            return [LeftOut(clip_of(*row), str(reason)) for *row, reason in rows]

    def digests(self) -> set[bytes]:
        """The digests of all whole contents, those that no clip has any more among them."""
        with self._explaining():
            rows = self._db.execute("SELECT digest FROM contents WHERE duration_s IS NOT NULL")
            return {digest for (digest,) in rows}

    def begun_times(self) -> dict[bytes, list[tuple[float, float]]]:
        """Start and end of the windows that are held of each content of which more are to come, by digest."""
        with self._explaining():
            begun: dict[bytes, list[tuple[float, float]]] = {}
            rows = self._db.execute(
                "SELECT digest, start_s, end_s FROM contents JOIN windows ON windows.content_id = contents.id "
                "WHERE duration_s IS NULL ORDER BY windows.id"
            )
            for digest, start_s, end_s in rows:
                begun.setdefault(digest, []).append((seconds_of(start_s), seconds_of(end_s)))
            return begun

    def drop_begun_content(self, digest: bytes) -> None:
        """Delete what is held of a content of which more was to come."""
        with self._explaining(), self._db:
            self._db.execute("DELETE FROM contents WHERE digest = ? AND duration_s IS NULL", (digest,))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything that is read in the `with` block be of one moment, whatever a writer commits meanwhile."""
        with self._explaining():
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.rollback()

    def content(self, path: Path) -> Content | None:
        """The content of the clip at a path, or None if there is no such clip. Its embeddings are float32."""
        return self._content("id = (SELECT content_id FROM clips WHERE path = ?)", _name(path))

    def content_of(self, digest: bytes) -> Content | None:
        """The whole content with a digest, or None if there is none. Its embeddings are float32."""
        return self._content("digest = ? AND duration_s IS NOT NULL", digest)

    def _content(self, condition: str, value: bytes) -> Content | None:
        with self._explaining():
            rows = self._db.execute(
                "SELECT digest, start_s, end_s, embedding FROM contents "
                f"JOIN windows ON windows.content_id = contents.id WHERE contents.{condition} ORDER BY windows.id",
                (value,),
            ).fetchall()
            if not rows:
                return None
            embeddings = np.stack([embedding_of(row[3], self._dimension) for row in rows])
            return Content(
                rows[0][0], [(seconds_of(row[1]), seconds_of(row[2])) for row in rows], embeddings, is_whole=True
            )

    def clip(self, path: Path) -> tuple[Clip, bytes] | None:
        """The clip at a path and the digest of its content, or None if there is no such clip."""
        with self._explaining():
            row = self._db.execute(
                "SELECT size_bytes, modified_ns, digest FROM clips JOIN contents ON contents.id = content_id "
                "WHERE path = ?",
                (_name(path),),
            ).fetchone()
            return None if row is None else (clip_of(_name(path), *row[:2]), row[2])

    def commit(
        self,
        *,
        contents: Iterable[Content] = (),
        clips: Iterable[tuple[Clip, bytes]] = (),
        left_out: Iterable[LeftOut] = (),
        removed: Iterable[Path] = (),
    ) -> None:
        """Write all of this, or nothing of it if it fails.

        Args:
            contents: What is new, or the next part of what was begun. One that is held whole stays as it was.
            clips: Each with the digest of its content. It takes the place of what was held under its path.
            left_out: Clips that leave the catalog, if they were in it, and are remembered with their reasons.
            removed: Paths of clips that go, and of such as were left out and are forgotten.
        """
        with self._explaining(), self._db:
            for path in removed:
                self._db.execute("DELETE FROM clips WHERE path = ?", (_name(path),))
                self._db.execute("DELETE FROM left_out WHERE path = ?", (_name(path),))
            for content in contents:
                self._add(content)
            for clip, digest in clips:
                self._db.execute("DELETE FROM left_out WHERE path = ?", (_name(clip.path),))
                self._db.execute(
                    "INSERT INTO clips (path, size_bytes, modified_ns, content_id) "
                    "VALUES (?, ?, ?, (SELECT id FROM contents WHERE digest = ? AND duration_s IS NOT NULL)) "
                    "ON CONFLICT (path) DO UPDATE SET size_bytes = excluded.size_bytes, "
                    "modified_ns = excluded.modified_ns, content_id = excluded.content_id",
                    (_name(clip.path), clip.size_bytes, clip.modified_ns, digest),
                )
            for one in left_out:
                clip = one.clip
                self._db.execute("DELETE FROM clips WHERE path = ?", (_name(clip.path),))
                self._db.execute(
                    "REPLACE INTO left_out (path, size_bytes, modified_ns, reason) VALUES (?, ?, ?, ?)",
                    (_name(clip.path), clip.size_bytes, clip.modified_ns, one.reason),
                )

    def _add(self, content: Content) -> None:
        with np.errstate(over="ignore"):
            embeddings = np.asarray(content.embeddings).astype("<f2")
        if not np.isfinite(embeddings).all():
            raise StoreError(f"The catalog {self.path} holds no embedding with values beyond {LARGEST_VALUE:g}.")
        duration_s = content.times[-1][1] if content.is_whole else None
        row = self._db.execute("SELECT id, duration_s FROM contents WHERE digest = ?", (content.digest,)).fetchone()
        if row is None:
            insertion = "INSERT INTO contents (digest, duration_s) VALUES (?, ?)"
            content_id = self._db.execute(insertion, (content.digest, duration_s)).lastrowid
        elif row[1] is None:
            content_id = row[0]
            self._db.execute("UPDATE contents SET duration_s = ? WHERE id = ?", (duration_s, content_id))
        else:
            return
        self._db.executemany(
            "INSERT INTO windows (content_id, start_s, end_s, embedding) VALUES (?, ?, ?, ?)",
            (
                (content_id, start_s, end_s, embedding.tobytes())
                for (start_s, end_s), embedding in zip(content.times, embeddings, strict=True)
            ),
        )

    def drop_unused_contents(self) -> None:
        """Delete the whole contents that no clip has any more.

        Apart from `commit`, so that a clip that was moved finds its content again, though its old place was removed
        before its new one was read.
        """
        with self._explaining(), self._db:
            self._db.execute(
                "DELETE FROM contents WHERE duration_s IS NOT NULL "
                "AND NOT EXISTS (SELECT 1 FROM clips WHERE content_id = contents.id)"
            )

    def last_window_id(self) -> int:
        """The highest id that a window ever had; 0 if there never was one."""
        with self._explaining():
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'windows'").fetchone()
            return int(row[0]) if row else 0

    def window_count(self, *, after: int = 0) -> int:
        """How many windows have a higher id, whether a clip has them any more or not."""
        # Without a condition SQLite counts in its own index, which is far smaller than the table.
        condition = "WHERE id > ?" if after else ""
        with self._explaining():
            rows = self._db.execute(f"SELECT count(*) FROM windows {condition}", (after,) if after else ())
            return int(rows.fetchone()[0])

    def embeddings(self, *, after: int = 0) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Ids, ascending, and embeddings of the windows with a higher id, some thousand at a time.

        Yields:
            Arrays of shape (windows,) and (windows, dimension).
        """
        with self._explaining():
            rows = self._db.execute("SELECT id, embedding FROM windows WHERE id > ? ORDER BY id", (after,))
            while some := rows.fetchmany(_WINDOWS_AT_ONCE):
                yield self._decoded(some)

    def embeddings_of(self, window_ids: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        """As `embeddings`, of those of the given windows that are there, all at once."""
        found: list[tuple[int, bytes]] = []
        with self._explaining():
            for first in range(0, len(window_ids), _IDS_PER_STATEMENT):
                some = window_ids[first : first + _IDS_PER_STATEMENT]
                marks = ",".join("?" * len(some))
                found += self._db.execute(f"SELECT id, embedding FROM windows WHERE id IN ({marks})", some)
            return self._decoded(found)

    def _decoded(self, rows: Sequence[tuple[int, bytes]]) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        size_bytes = 2 * self._dimension
        if any(len(embedding) != size_bytes for _, embedding in rows):
            raise ValueError("an embedding has another length than the manifest says")
        vectors = np.frombuffer(b"".join(embedding for _, embedding in rows), "<f2").reshape(len(rows), self._dimension)
        if not np.isfinite(vectors).all():
            raise ValueError("an embedding is not finite")
        return np.array([window_id for window_id, _ in rows], np.int64), vectors

    def places(self, window_ids: Sequence[int], under: Path | None = None) -> dict[int, list[WindowPlace]]:
        """Where the given windows are: in every clip that has their content, or in those at or below a path."""
        places: dict[int, list[WindowPlace]] = {}
        condition, bounds = _under(under)
        with self._explaining():
            for first in range(0, len(window_ids), _IDS_PER_STATEMENT):
                some = window_ids[first : first + _IDS_PER_STATEMENT]
                rows = self._db.execute(
                    "SELECT windows.id, path, start_s, end_s "
                    "FROM windows JOIN clips ON clips.content_id = windows.content_id "
                    f"WHERE windows.id IN ({','.join('?' * len(some))}) AND {condition}",
                    [*(int(window_id) for window_id in some), *bounds],
                )
                for window_id, name, start_s, end_s in rows:
                    place = WindowPlace(path_of(name), seconds_of(start_s), seconds_of(end_s))
                    places.setdefault(window_id, []).append(place)
        return places

    def window_ids(self) -> NDArray[np.int64]:
        """Ids, ascending, of all windows."""
        with self._explaining():
            # In no order, so that SQLite goes through its own index, which is far smaller than the table.
            rows = self._db.execute("SELECT id FROM windows").fetchall()
        return np.sort(np.array([row[0] for row in rows], np.int64))

    def window_ids_under(self, path: Path) -> NDArray[np.int64]:
        """Ids, ascending, of the windows of the clip at a path or of all clips below it."""
        condition, bounds = _under(path)
        with self._explaining():
            rows = self._db.execute(
                "SELECT DISTINCT windows.id FROM windows JOIN clips ON clips.content_id = windows.content_id "
                f"WHERE {condition} ORDER BY windows.id",
                bounds,
            ).fetchall()
        return np.array([row[0] for row in rows], np.int64)

    def _has_log(self) -> bool:
        # A reader makes an empty one.
        return self._log.is_file() and self._log.stat().st_size > 0

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = _code(error)
            if code == sqlite3.SQLITE_FULL:
                raise StoreError(
                    f"The disk is full, so {self.path} can't be written to. All that was committed before is kept: "
                    "make room, and run the same command again."
                ) from error
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise self._damaged(str(error)) from error
            raise StoreError(f"The catalog {self.path} can't be used: {error}") from error
        except (ValueError, TypeError, OverflowError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, reason: str) -> StoreError:
        return StoreError(
            f"The catalog {self.path} is damaged: {reason}. `pe-search rebuild` saves what can still be read of it."
        )


def _file_state(path: Path) -> tuple[int, int, int, int] | None:
    """What tells a file from any other and from itself at another time; None if there is none or it is empty."""
    try:
        status = path.stat()
    except OSError:
        return None
    # An empty log is made by whoever reads.
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) if status.st_size else None


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary code for an error, or 0 for one of Python's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def schema_of(db: sqlite3.Connection) -> set[tuple[str, ...]]:
    """Everything that a database has: kind, name, and the statement that made it if there was one."""
    rows = db.execute("SELECT type, name, ifnull(sql, '') FROM sqlite_master")
    return {tuple(" ".join(str(column).split()) for column in row) for row in rows}


def expected_schema() -> set[tuple[str, ...]]:
    """What `schema_of` a catalog is."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(_SCHEMA)
        return schema_of(db)


def _under(path: Path | None) -> tuple[str, list[bytes]]:
    """A condition for the clip at a path and those below it, and what its question marks stand for."""
    if path is None:
        return "TRUE", []
    name = _name(path)
    below = name.rstrip(b"/") + b"/"
    # The byte after "/" bounds everything that begins with the folder's name and a slash.
    beyond = below[:-1] + bytes([below[-1] + 1])
    return "(path = ? OR (path >= ? AND path < ?))", [name, below, beyond]


def clip_of(name: object, size_bytes: object, modified_ns: object) -> Clip:
    """A clip, of what the catalog has for it.

    Raises:
        ValueError: If that makes no sense. So do the other functions that take what a catalog has.
    """
    return Clip(path_of(name), *_stamp_of(size_bytes, modified_ns))


def _stamp_of(size_bytes: object, modified_ns: object) -> Stamp:
    if not (isinstance(size_bytes, int) and isinstance(modified_ns, int)):
        raise ValueError("a size or time is not a whole number")
    return size_bytes, modified_ns


def _name(path: Path) -> bytes:
    return os.fsencode(path)


def path_of(name: object) -> Path:
    """A path, of the bytes that it is kept as."""
    return Path(_path_text(name))


def _path_text(name: object) -> str:
    if not isinstance(name, bytes) or b"\0" in name:
        raise ValueError("a path is none")
    return os.fsdecode(name)


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
        raise ValueError("a time is none")
    return value

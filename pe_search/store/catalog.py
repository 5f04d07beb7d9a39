"""The SQLite file that holds clips, windows and embeddings."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.records import Clip

CATALOG_FILE = "catalog.sqlite3"

# Paths are kept as the bytes that the file system has, since names need not be UTF-8; they also sort by bytes.
# An embedding is little-endian float32. `generation` grows with each commit that changes what can be found; it starts
# at the time of making, so that an index left over from a catalog that was deleted is never taken for a fresh one.
# The id of a window that is gone is never given to another, so that an index made earlier can't point at the wrong one.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS clips (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    duration_s REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS windows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    clip_id INTEGER NOT NULL REFERENCES clips(id) ON DELETE CASCADE,
    start_s REAL NOT NULL,
    end_s REAL NOT NULL,
    embedding BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS windows_by_clip ON windows(clip_id);
CREATE TABLE IF NOT EXISTS state (generation INTEGER NOT NULL);
INSERT INTO state SELECT 1000 * CAST(strftime('%s', 'now') AS INTEGER) WHERE NOT EXISTS (SELECT 1 FROM state);
"""
_BUSY_TIMEOUT_S = 30.0
# SQLite's own bound on the variables of one statement has been higher than this since version 3.32.
_IDS_PER_STATEMENT = 10_000


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much a catalog holds."""

    clips: int
    windows: int
    audio_s: float


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Where a window is: its clip, and its times."""

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
        StoreError: If the file is missing (read-only) or no catalog.
    """

    def __init__(self, directory: Path, dimension: int, *, read_only: bool) -> None:
        self.path = directory.absolute() / CATALOG_FILE
        self._log = self.path.with_name(f"{CATALOG_FILE}-wal")
        self._dimension = dimension
        with self._explaining():
            if read_only:
                # Readers of a write-ahead log share a file beside it. Where none can be made and there is no log, there
                # is no writer either; where there is one, it must be read, because it holds the latest commits.
                is_at_rest = not (os.access(directory, os.W_OK) or self._has_log())
                access = "immutable=1" if is_at_rest else "mode=ro"
                self._db = sqlite3.connect(f"{self.path.as_uri()}?{access}", uri=True, timeout=_BUSY_TIMEOUT_S)
                self._db.execute("SELECT generation FROM state")
            else:
                self._db = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S)
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA foreign_keys = ON")
                self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def written_at_s(self) -> float:
        """When something was last committed, in seconds since the epoch."""
        files = [self.path, self._log] if self._has_log() else [self.path]
        return max(file.stat().st_mtime for file in files)

    @property
    def generation(self) -> int:
        """A number that grows with each commit that changes what can be found."""
        with self._explaining():
            return int(self._db.execute("SELECT generation FROM state").fetchone()[0])

    def holdings(self) -> Holdings:
        """Count what is there."""
        with self._explaining():
            clips, audio_s = self._db.execute("SELECT count(*), total(duration_s) FROM clips").fetchone()
            windows = self._db.execute("SELECT count(*) FROM windows").fetchone()[0]
        return Holdings(clips, windows, audio_s)

    def clips(self) -> dict[Path, Clip]:
        """All clips by path."""
        with self._explaining():
            rows = self._db.execute("SELECT path, size_bytes, modified_ns FROM clips").fetchall()
        return {(path := _path(name)): Clip(path, size, modified) for name, size, modified in rows}

    def clip(self, path: Path) -> Clip | None:
        """The clip at a path, or None if none is held."""
        with self._explaining():
            row = self._db.execute(
                "SELECT size_bytes, modified_ns FROM clips WHERE path = ?", (_name(path),)
            ).fetchone()
        return None if row is None else Clip(path, *row)

    def replace_clips(
        self,
        clips: Iterable[tuple[Clip, Sequence[tuple[float, float]], NDArray[np.float32]]],
        removed: Iterable[Path] = (),
    ) -> None:
        """Add clips, in place of what was held under their paths, and remove others: all in one commit.

        Args:
            clips: Each with the start and end in seconds of its windows, at least one, and with their embeddings,
                float32 of shape (windows, dimension).
            removed: Paths of clips that go.
        """
        with self._explaining(), self._db:
            before = self._db.total_changes
            self._db.executemany("DELETE FROM clips WHERE path = ?", ((_name(path),) for path in removed))
            for clip, times, embeddings in clips:
                self._db.execute("DELETE FROM clips WHERE path = ?", (_name(clip.path),))
                clip_id = self._db.execute(
                    "INSERT INTO clips (path, size_bytes, modified_ns, duration_s) VALUES (?, ?, ?, ?)",
                    (_name(clip.path), clip.size_bytes, clip.modified_ns, times[-1][1]),
                ).lastrowid
                self._db.executemany(
                    "INSERT INTO windows (clip_id, start_s, end_s, embedding) VALUES (?, ?, ?, ?)",
                    (
                        (clip_id, start_s, end_s, embedding.astype("<f4").tobytes())
                        for (start_s, end_s), embedding in zip(times, embeddings, strict=True)
                    ),
                )
            if self._db.total_changes > before:
                self._db.execute("UPDATE state SET generation = generation + 1")

    def embeddings(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """All window ids, ascending, and their embeddings: shapes (windows,) and (windows, dimension)."""
        with self._explaining(), self._db:
            # One transaction, so that both statements see the same windows, whatever is committed in between.
            self._db.execute("BEGIN")
            count = self._db.execute("SELECT count(*) FROM windows").fetchone()[0]
            ids = np.empty(count, np.int64)
            vectors = np.empty((count, self._dimension), np.float32)
            rows = self._db.execute("SELECT id, embedding FROM windows ORDER BY id")
            for row, (window_id, embedding) in enumerate(rows):
                ids[row] = window_id
                vectors[row] = np.frombuffer(embedding, "<f4").reshape(self._dimension)
        return ids, vectors

    def places(self, window_ids: Sequence[int]) -> dict[int, WindowPlace]:
        """Where the given windows are."""
        places: dict[int, WindowPlace] = {}
        with self._explaining():
            for first in range(0, len(window_ids), _IDS_PER_STATEMENT):
                some = window_ids[first : first + _IDS_PER_STATEMENT]
                rows = self._db.execute(
                    "SELECT windows.id, path, start_s, end_s FROM windows JOIN clips ON clips.id = clip_id "
                    f"WHERE windows.id IN ({','.join('?' * len(some))})",
                    [int(window_id) for window_id in some],
                )
                for window_id, name, start_s, end_s in rows:
                    places[window_id] = WindowPlace(_path(name), start_s, end_s)
        return places

    def window_ids_under(self, path: Path) -> NDArray[np.int64]:
        """Ids, ascending, of the windows of the clip at a path or of all clips below it."""
        name = _name(path)
        below = name.rstrip(b"/") + b"/"
        # The byte after "/" bounds everything that begins with the folder's name and a slash.
        beyond = below[:-1] + bytes([below[-1] + 1])
        with self._explaining():
            rows = self._db.execute(
                "SELECT windows.id FROM windows JOIN clips ON clips.id = clip_id "
                "WHERE path = ? OR (path >= ? AND path < ?) ORDER BY windows.id",
                (name, below, beyond),
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
            raise StoreError(f"The catalog {self.path} can't be used: {error}") from error
        except ValueError as error:
            raise StoreError(f"The catalog {self.path} is damaged: {error}") from error


def _name(path: Path) -> bytes:
    return os.fsencode(path)


def _path(name: bytes) -> Path:
    return Path(os.fsdecode(name))

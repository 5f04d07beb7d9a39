"""The texts that a store was asked before, with their embeddings: a small SQLite file of its own.

Nothing depends on it: it may be deleted at any time, and a store on a read-only or full disk is searched all the same.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.store.database import code_of, is_damage, is_interrupt, open_database
from pe_search.store.files import TEXTS_FILE, has_other_names
from pe_search.store.schema import checksum, schema_made_by, schema_of

# The checksum is of all but the id and the time, which decides only what is forgotten first.
_SCHEMA = """
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    checkpoint TEXT NOT NULL,
    revision TEXT NOT NULL,
    text TEXT NOT NULL,
    embedding BLOB NOT NULL,
    used_at_s INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (checkpoint, revision, text)
);
CREATE INDEX texts_by_use ON texts(used_at_s, id);
"""
_MOST_TEXTS = 10_000
_LONGEST_TEXT = 1_000
# A text that is asked again is marked as used no more often than this, so that asking writes nothing as a rule.
_USE_COUNTS_AFTER_S = 3_600
# Nobody holds the file for longer than a row takes; a query doesn't wait for it in any case.
_BUSY_TIMEOUT_S = 0.1
# A row is found in less than a millisecond; a file that takes longer was made to.
_LIMIT_S = 1.0


class _ForeignError(Exception):
    """The file is a database, and not one of texts."""


class RememberedTexts:
    """The texts that a store was asked before, at most 10,000 of them: those that were asked last.

    Args:
        directory: The store's.
        checkpoint: The name of the checkpoint that embeds them.
        revision: The checkpoint's revision.
        dimension: Length of an embedding.
    """

    def __init__(self, directory: Path, checkpoint: str, revision: str, dimension: int) -> None:
        self._path = directory / TEXTS_FILE
        self._checkpoint = checkpoint
        self._revision = revision
        self._dimension = dimension

    def recall(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The embeddings, of shape (dimension,), of those texts that are remembered."""
        found: dict[str, NDArray[np.float32]] = {}
        if not self._path.is_file():
            return found
        now_s = int(time.time())
        long_unused: list[tuple[int, int]] = []
        damaged: list[tuple[int]] = []
        with self._forgiving(), closing(self._open(read_only=True)) as db:
            for text in texts:
                row = db.execute(
                    "SELECT id, embedding, used_at_s, checksum FROM texts "
                    "WHERE checkpoint = ? AND revision = ? AND text = ?",
                    (self._checkpoint, self._revision, text),
                ).fetchone()
                if row is None:
                    continue
                # With the text that was asked for, and not the row's own: the way to the row may be damaged as well.
                if row[3] != checksum(self._checkpoint, self._revision, text, row[1]):
                    damaged.append((row[0],))
                    continue
                embedding = self._embedding(row[1])
                if embedding is not None:
                    found[text] = embedding
                    if abs(now_s - row[2]) > _USE_COUNTS_AFTER_S:
                        long_unused.append((now_s, row[0]))
        if long_unused or damaged:
            with self._forgiving(), closing(self._open()) as db, db:
                db.executemany("UPDATE texts SET used_at_s = ? WHERE id = ?", long_unused)
                db.executemany("DELETE FROM texts WHERE id = ?", damaged)
        return found

    def remember(self, embeddings: Mapping[str, NDArray[np.float32]]) -> None:
        """Remember texts by their embeddings of shape (dimension,), and forget those not asked for longest."""
        rows = [
            (*row, int(time.time()), checksum(*row))
            for row in (
                (self._checkpoint, self._revision, text, embedding.astype("<f4").tobytes())
                for text, embedding in embeddings.items()
                if len(text) <= _LONGEST_TEXT and np.isfinite(embedding).all()
            )
        ]
        if not rows:
            return
        with self._forgiving(), closing(self._open()) as db, db:
            db.executemany(
                "INSERT OR REPLACE INTO texts (checkpoint, revision, text, embedding, used_at_s, checksum) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            db.execute(
                "DELETE FROM texts WHERE id IN "
                "(SELECT id FROM texts ORDER BY used_at_s DESC, id DESC LIMIT -1 OFFSET ?)",
                (_MOST_TEXTS,),
            )

    def _embedding(self, blob: object) -> NDArray[np.float32] | None:
        if not isinstance(blob, bytes) or len(blob) != 4 * self._dimension:
            return None
        embedding = np.frombuffer(blob, "<f4").astype(np.float32)
        return embedding if np.isfinite(embedding).all() else None

    def _open(self, *, read_only: bool = False) -> sqlite3.Connection:
        mode = "ro" if read_only else "rwc"
        if not read_only and has_other_names(self._path):
            raise StoreError(f"{self._path} has another name as well, and would change there too.")
        db = open_database(self._path, mode, busy_timeout_s=_BUSY_TIMEOUT_S, limit_s=_LIMIT_S)
        try:
            schema = schema_of(db)
            if not (schema or read_only):
                db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT")
            elif schema != schema_made_by(_SCHEMA):
                raise _ForeignError
        except BaseException:
            db.close()
            raise
        return db

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Let no trouble with the file through; a file that is damaged goes, and the next query starts another.

        Raises:
            KeyboardInterrupt: If Ctrl-C ended a statement.
        """
        started_s = time.monotonic()
        try:
            yield
        except _ForeignError:
            self._forget_all()
        except sqlite3.Error as error:
            if is_interrupt(error) and time.monotonic() - started_s < _LIMIT_S:
                raise KeyboardInterrupt from error
            if is_damage(error) or is_interrupt(error) or code_of(error) == sqlite3.SQLITE_TOOBIG:
                self._forget_all()
        except (TypeError, ValueError, OverflowError, MemoryError):
            self._forget_all()
        except (OSError, StoreError):
            pass

    def _forget_all(self) -> None:
        with suppress(OSError):
            self._path.unlink()

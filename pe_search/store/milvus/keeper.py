"""Keeps the embeddings of a catalog in Milvus, and sends all else that is committed there too."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.store.catalog import Catalog
from pe_search.store.keeping import finite
from pe_search.store.milvus.bases import delete_what_bases_replace, is_worthwhile, write_base
from pe_search.store.milvus.changes import Change, as_parts, dropped, everything, gather, gathered, weight_of
from pe_search.store.milvus.client import Server
from pe_search.store.milvus.state import (
    NO_STATE,
    State,
    another_has_written,
    change_number,
    state_of,
    write_identity,
    write_state,
)
from pe_search.store.windows import place_in_words

# A row has this in the place of an embedding: the key of it, the CRC-32 of its numbers, and its length.
_KEY_BYTES = 16
_MARK = struct.Struct(f"<{_KEY_BYTES}sIf")
_LENGTHS = np.dtype([("key", f"V{_KEY_BYTES}"), ("sum", "<u4"), ("length", "<f4")])


def key_of(digest: bytes, start_s: float) -> bytes:
    """The key of a window: the same whoever writes it and however often."""
    return hashlib.blake2b(digest + struct.pack("<d", start_s), digest_size=_KEY_BYTES).digest()


class MilvusKeeper:
    """Keeps the embeddings of a catalog.

    A commit writes the embeddings, then what changed in the tables, and last the number of the change. What comes up to
    that number is there for all; what was written beyond it is there for nobody. So a writer may be killed at any
    moment, and a call may be made twice. Before a commit, changes that are many more than the rows there are make way
    for a base.

    Args:
        server: Where they are.
        dimension: Of an embedding.
        is_held: Called before each commit; raises a StoreError if another process may be writing.
    """

    def __init__(self, server: Server, dimension: int, is_held: Callable[[], None] | None = None) -> None:
        self._server = server
        self._dimension = dimension
        self._is_held = is_held
        self._kept: dict[str, tuple[int, NDArray[np.float16]]] = {}
        self._gone: list[str] = []
        # By the number of the change that they are of.
        self._lengths = (-1, (0.0, 0.0))
        self._state: State | None = None

    @property
    def mark_bytes(self) -> int:
        """See `Keeper`."""
        return _MARK.size

    def begin(self, db: sqlite3.Connection) -> None:
        """See `Keeper`."""
        self._kept.clear()
        if self._state is None:
            self._state = state_of(self._server)
        if self._state is not None and is_worthwhile(db, self._state):
            self._state = write_base(db, self._server, self._check)
            delete_what_bases_replace(self._server, self._state)
        gather(db)

    def keep(self, window_id: int, digest: bytes, start_s: float, embedding: NDArray[np.float16]) -> bytes:
        """See `Keeper`."""
        key, numbers = key_of(digest, start_s), np.asarray(embedding, "<f2")
        self._kept[key.hex()] = window_id, numbers
        return _MARK.pack(key, zlib.crc32(numbers.tobytes()), np.linalg.norm(numbers.astype(np.float32)))

    def commit(self, db: sqlite3.Connection) -> None:
        """See `Keeper`."""
        change = gathered(db)
        if not change:
            return
        gone = [_MARK.unpack(mark)[0].hex() for mark in dropped(db)]
        self._server.put_vectors([(key, *kept) for key, kept in self._kept.items()])
        self._send(db, change)
        # Others may still be looking at them; and what is written again is not gone.
        self._gone = [key for key in (*self._gone, *gone) if key not in self._kept]
        self._kept.clear()

    def make(self, db: sqlite3.Connection, manifest: str, identity: str) -> None:
        """Send a catalog that was just made, as the first change, within the transaction of whoever calls."""
        self._send(db, [one for change in everything(db) for one in change])
        # Last, because it tells that there is a store.
        write_identity(self._server, identity, manifest)

    def tidy(self, catalog: Catalog, *, is_thorough: bool = False) -> None:
        """Delete embeddings that no window has: those that are known to be gone, and if there are more, all such.

        Args:
            catalog: Of the store, which this process may write to.
            is_thorough: Whether to look for such whatever their number.
        """
        self._server.delete_vectors(self._gone)
        self._gone.clear()
        if (state := state_of(self._server)) is not None:
            delete_what_bases_replace(self._server, state)
        windows = catalog.window_count()
        # What a writer that was killed has left.
        if is_thorough or self._server.window_count() > windows:
            with catalog.reading() as db:
                known = {_MARK.unpack(mark)[0].hex() for (mark,) in db.execute("SELECT embedding FROM windows")}
            for keys in self._server.each_keys():
                self._server.delete_vectors([key for key in keys if key not in known])

    def _check(self) -> None:
        if self._is_held is not None:
            self._is_held()

    def _send(self, db: sqlite3.Connection, change: Change) -> None:
        number = change_number(db) + 1
        self._check()
        parts = as_parts(change)
        self._server.put_bodies(
            [(f"{number}-{part}", number, part, body) for part, body in enumerate(parts)], self._check
        )
        state = state_of(self._server)
        if number > 1 and (state is None or state.head != number - 1):
            raise another_has_written(self._server)
        before = state or NO_STATE
        self._state = before._replace(head=number, weight=before.weight + weight_of(change))
        write_state(self._server, self._state, self._check)
        db.execute(f"PRAGMA user_version = {number}")

    def lengths(self, db: sqlite3.Connection) -> tuple[float, float]:
        """The least and the greatest length of an embedding, in the sense of geometry; of none, 0 and 0."""
        number = change_number(db)
        if self._lengths[0] != number:
            marks = b"".join(mark for (mark,) in db.execute("SELECT embedding FROM windows"))
            lengths = np.frombuffer(marks, _LENGTHS)["length"] if marks else np.zeros(1, np.float32)
            self._lengths = number, (float(lengths.min()), float(lengths.max()))
        return self._lengths[1]

    def key_in(self, row: tuple[Any, ...]) -> str:
        """The key of the embedding of a window, by its row."""
        return str(_MARK.unpack(row[4])[0].hex())

    def checked(
        self, db: sqlite3.Connection, row: tuple[Any, ...], vector: NDArray[np.float16] | None
    ) -> NDArray[np.float16]:
        """An embedding, if it is the one that a window's row was written with.

        Raises:
            StoreError: If it isn't, or there is none.
        """
        if vector is None:
            how = "is missing in Milvus"
        elif len(vector) != self._dimension or zlib.crc32(vector.astype("<f2").tobytes()) != _MARK.unpack(row[4])[1]:
            how = "is not as it was written"
        else:
            return vector
        where = place_in_words(db, row)
        raise StoreError(
            f"The store at {self._server.place.address} is damaged: the embedding of {where} {how}. Remove the clip "
            "from the store and index it again."
        )

    def vectors(self, db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> NDArray[np.float16]:
        """See `Keeper`."""
        if any(len(row[4]) != _MARK.size for row in rows):
            raise ValueError("a window has no key of its embedding")
        keys = [self.key_in(row) for row in rows]
        found = self._server.vectors(list(dict.fromkeys(keys)), self._dimension)
        vectors = np.empty((len(rows), self._dimension), np.float16)
        for place, (row, key) in enumerate(zip(rows, keys, strict=True)):
            vector = found.get(key)
            vectors[place] = self.checked(db, row, vector)
        return finite(vectors)

"""Keeps the embeddings of a catalog in Milvus, and sends all else that is committed there too."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.store.catalog import Catalog
from pe_search.store.keeping import finite
from pe_search.store.milvus.changes import (
    as_parts,
    carry_out,
    dropped,
    everything,
    gather,
    gathered,
    number_of_parts,
    of_parts,
)
from pe_search.store.milvus.client import MOST_ROWS, Server
from pe_search.store.windows import place_in_words

LAYOUT = 1
_HEAD, _MANIFEST = "head", "manifest"
# These are no changes of the catalog.
_ASIDE = -1
# A row has this in the place of an embedding: the key of it, the CRC-32 of its numbers, and its length.
_KEY_BYTES = 16
_MARK = struct.Struct(f"<{_KEY_BYTES}sIf")
_LENGTHS = np.dtype([("key", f"V{_KEY_BYTES}"), ("sum", "<u4"), ("length", "<f4")])
_CHANGES_AT_ONCE = 1_000
_BODIES_AT_ONCE = 200


def key_of(digest: bytes, start_s: float) -> bytes:
    """The key of a window: the same whoever writes it and however often."""
    return hashlib.blake2b(digest + struct.pack("<d", start_s), digest_size=_KEY_BYTES).digest()


class MilvusKeeper:
    """Keeps the embeddings of a catalog.

    A commit writes the embeddings, then what changed in the tables, and last the number of the change. What comes up to
    that number is there for all; what was written beyond it is there for nobody. So a writer may be killed at any
    moment, and a call may be made twice.

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

    @property
    def mark_bytes(self) -> int:
        """See `Keeper`."""
        return _MARK.size

    def begin(self, db: sqlite3.Connection) -> None:
        """See `Keeper`."""
        self._kept.clear()
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
        self._send(db, everything(db))
        body = {"layout": LAYOUT, "identity": identity, "manifest": manifest}
        # Last, because it tells that there is a store.
        self._server.put_bodies([(_MANIFEST, _ASIDE, 0, json.dumps(body))])

    def tidy(self, catalog: Catalog, *, is_thorough: bool = False) -> None:
        """Delete embeddings that no window has: those that are known to be gone, and if there are more, all such.

        Args:
            catalog: Of the store, which this process may write to.
            is_thorough: Whether to look for such whatever their number.
        """
        self._server.delete_vectors(self._gone)
        self._gone.clear()
        windows = catalog.window_count()
        # What a writer that was killed has left.
        if is_thorough or self._server.window_count() > windows:
            with catalog.reading() as db:
                known = {_MARK.unpack(mark)[0].hex() for (mark,) in db.execute("SELECT embedding FROM windows")}
            for keys in self._server.each_keys():
                self._server.delete_vectors([key for key in keys if key not in known])

    def _send(self, db: sqlite3.Connection, change: Any) -> None:
        number = change_number(db) + 1
        if self._is_held is not None:
            self._is_held()
        parts = as_parts(change)
        self._server.put_bodies(
            [(f"{number}-{part}", number, part, body) for part, body in enumerate(parts)], self._is_held
        )
        state = state_of(self._server)
        if number > 1 and (state is None or state.head != number - 1):
            raise StoreError(
                f"Another process has written to the store at {self._server.place.address}. What follows is not kept. "
                "Run the same command again."
            )
        self._server.put_bodies([(_HEAD, _ASIDE, 0, json.dumps({"head": number}))], self._is_held)
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


class State(NamedTuple):
    """What a store in Milvus says of itself.

    Attributes:
        head: The number of the last change that was committed.
        identity: What tells the store from any other that had its place.
        manifest: As JSON.
    """

    head: int
    identity: str
    manifest: str


def state_of(server: Server) -> State | None:
    """What the store that is there says of itself; None if there is none.

    Raises:
        StoreError: If that is damaged, or of another layout.
    """
    bodies = [(key, body) for _, _, key, body in server.bodies(f'pk in ["{_HEAD}", "{_MANIFEST}"]')]
    try:
        kept = next((json.loads(body) for key, body in bodies if key == _MANIFEST), None)
        if kept is None:
            return None
        if type(kept["layout"]) is int and kept["layout"] > LAYOUT:
            raise StoreError(
                f"The store at {server.place.address} has layout {kept['layout']}; this pe-search reads {LAYOUT}. "
                "Upgrade pe-search."
            )
        # While a row is written again, both may be seen.
        head = max(json.loads(body)["head"] for key, body in bodies if key == _HEAD)
        if not (type(head) is int and isinstance(kept["identity"], str) and isinstance(kept["manifest"], str)):
            raise TypeError("it has values of other kinds")
        return State(head, kept["identity"], kept["manifest"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(server, f"what it says of itself makes no sense ({error})") from error


def change_number(db: sqlite3.Connection) -> int:
    """The number of the last change that a mirror has."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def follow(db: sqlite3.Connection, server: Server, head: int) -> None:
    """Bring a mirror up to a change.

    Raises:
        StoreError: If a change is missing or damaged.
    """
    number = change_number(db)
    while number < head:
        last = min(head, number + _CHANGES_AT_ONCE)
        while True:
            found = server.parts(f"change > {number} and change <= {last}")
            if len(found) < MOST_ROWS or last == number + 1:
                break
            last = (number + last) // 2
        keys = {(change, part): key for change, part, key in found}
        bodies = _bodies(server, keys)
        with db:
            db.execute("BEGIN IMMEDIATE")
            for one in range(number + 1, last + 1):
                try:
                    parts = [bodies[one, part] for part in range(number_of_parts(bodies[one, 0]))]
                    carry_out(db, of_parts(parts))
                except (KeyError, ValueError, TypeError, sqlite3.Error) as error:
                    raise _damaged(server, f"change {one} of it can't be read ({error})") from error
            db.execute(f"PRAGMA user_version = {last}")
        number = last


def _bodies(server: Server, keys: dict[tuple[int, int], str]) -> dict[tuple[int, int], str]:
    wanted = [keys[place] for place in sorted(keys)]
    bodies: dict[tuple[int, int], str] = {}
    for first in range(0, len(wanted), _BODIES_AT_ONCE):
        quoted = ", ".join(f'"{key}"' for key in wanted[first : first + _BODIES_AT_ONCE])
        bodies |= {(change, part): body for change, part, _, body in server.bodies(f"pk in [{quoted}]")}
    return bodies


def _damaged(server: Server, reason: str) -> StoreError:
    return StoreError(f"The store at {server.place.address} is damaged: {reason}.")

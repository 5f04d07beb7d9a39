"""Where the embeddings of a catalog are: in its own rows, or elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Keeper(Protocol):
    """Keeps the embeddings of a catalog, and learns of what else is committed to it.

    Attributes:
        mark_bytes: How long that is which a row has in the place of its embedding.
    """

    @property
    def mark_bytes(self) -> int:
        """See above."""

    def begin(self, db: sqlite3.Connection) -> None:
        """Expect changes: a transaction that writes has begun."""

    def keep(self, window_id: int, digest: bytes, start_s: float, embedding: NDArray[np.float16]) -> bytes:
        """Take the embedding of a window, of shape (dimension,), and return what its row has in the place of it."""

    def commit(self, db: sqlite3.Connection) -> None:
        """Be sure of what was kept and changed since `begin`: the transaction ends next.

        Raises:
            StoreError: If that can't be. The transaction is rolled back then.
        """

    def vectors(self, db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> NDArray[np.float16]:
        """The embeddings of windows, of shape (windows, dimension), by their rows without the checksums.

        Raises:
            ValueError: If one is damaged.
            StoreError: If one is missing or damaged elsewhere.
        """


class InRows:
    """A keeper that has each embedding in the row of its window, as little-endian float16.

    Args:
        dimension: Length of an embedding.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension

    @property
    def mark_bytes(self) -> int:
        """See `Keeper`."""
        return 2 * self._dimension

    def begin(self, db: sqlite3.Connection) -> None:
        """Nobody else has to know."""

    def keep(self, _window_id: int, _digest: bytes, _start_s: float, embedding: NDArray[np.float16]) -> bytes:
        """See `Keeper`."""
        return embedding.tobytes()

    def commit(self, db: sqlite3.Connection) -> None:
        """SQLite does all of it."""

    def vectors(self, _db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> NDArray[np.float16]:
        """See `Keeper`."""
        if any(len(row[4]) != self.mark_bytes for row in rows):
            raise ValueError("an embedding has another length than the manifest says")
        vectors = np.frombuffer(b"".join([row[4] for row in rows]), "<f2").reshape(len(rows), self._dimension)
        return finite(vectors)


def finite(vectors: NDArray[np.float16]) -> NDArray[np.float16]:
    """The embeddings as they are.

    Raises:
        ValueError: If a number of them is none.
    """
    if not np.isfinite(vectors).all():
        raise ValueError("an embedding is not finite")
    return vectors

"""A store: what indexing writes and searching reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.records import Clip, Match
from pe_search.store.catalog import CATALOG_FILE, Catalog, Holdings
from pe_search.store.index import Index
from pe_search.store.lock import WriterLock
from pe_search.store.manifest import Manifest, read_manifest, write_manifest

# How much wider to look when clips that show once, or equal scores, leave the answer open.
_WIDENING = 4


class Store:
    """An open store. Use `Store.open` or `Store.create`, in a `with` statement.

    Any number of processes may read a store while one writes to it; a reader sees the last commit.

    Attributes:
        directory: Where it is.
        manifest: What its embeddings have in common.
    """

    def __init__(self, directory: Path, manifest: Manifest, *, read_only: bool) -> None:
        self.directory = directory
        self.manifest = manifest
        self._lock = None if read_only else WriterLock(directory)
        if self._lock is not None:
            self._lock.acquire()
        try:
            self._catalog = Catalog(directory, manifest.dimension, read_only=read_only)
        except StoreError:
            self._let_go()
            raise
        self._index: tuple[int, Index] | None = None

    @classmethod
    def open(cls, directory: Path, *, read_only: bool = True) -> Store:
        """Open an existing store.

        Raises:
            StoreError: If there is none, it is damaged or of a newer format, or, for writing, another process is
                writing to it.
        """
        return cls(directory, read_manifest(directory), read_only=read_only)

    @classmethod
    def create(cls, directory: Path, manifest: Manifest) -> Store:
        """Make a new, empty store.

        Raises:
            StoreError: If the directory can't be written to, or there is a catalog already.
        """
        if os.path.lexists(directory / CATALOG_FILE):
            raise StoreError(f"There is a catalog at {directory} already; make the new store elsewhere, or delete it.")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            write_manifest(directory, manifest)
        except OSError as error:
            raise StoreError(f"A store can't be made at {directory}: {error.strerror or error}.") from error
        return cls(directory, manifest, read_only=False)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._catalog.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def holdings(self) -> Holdings:
        """Count clips, windows and seconds of audio."""
        return self._catalog.holdings()

    def clips(self) -> dict[Path, Clip]:
        """All clips by path."""
        return self._catalog.clips()

    def clip(self, path: Path) -> Clip | None:
        """The clip at a path as it was when it was indexed, or None if it is not held."""
        return self._catalog.clip(path)

    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.directory.iterdir() if file.is_file())

    def written_at_s(self) -> float:
        """When embeddings were last committed, in seconds since the epoch."""
        return self._catalog.written_at_s()

    def replace_clips(
        self,
        clips: Iterable[tuple[Clip, Sequence[tuple[float, float]], NDArray[np.float32]]],
        removed: Iterable[Path] = (),
    ) -> None:
        """Add clips, in place of what was held under their paths, and remove others: all in one commit.

        Args:
            clips: Each with the start and end in seconds of its windows, and with their embeddings, float32 of shape
                (windows, dimension).
            removed: Paths of clips that go.
        """
        self._catalog.replace_clips(clips, removed)

    def refresh_index(self) -> None:
        """Make the index on disk agree with the catalog, so that no query has to."""
        self._fresh_index()

    def best_matches(
        self, query: NDArray[np.float32], k: int, *, under: Path | None = None, all_windows: bool = False
    ) -> list[Match]:
        """The k best windows for an embedding, or the best window of each of the k best clips.

        Equal scores are ordered by path, then by time, so that the answer never depends on the order of indexing.

        Args:
            query: float32 of shape (dimension,).
            k: How many at most.
            under: A clip, or a folder that the clips must be below; absolute.
            all_windows: Whether a clip may show more than once.
        """
        index = self._fresh_index()
        among = None if under is None else self._catalog.window_ids_under(under)
        available = len(index) if among is None else len(among)
        wanted = k
        while available and k > 0:
            wanted = min(wanted, available)
            scores, ids = index.search(query, wanted, among)
            matches = self._in_order(scores, ids)
            if not all_windows:
                matches = _best_per_clip(matches)
            # Nothing that was not fetched can score above the last that was, so beyond it the answer is settled.
            if wanted == available or (len(matches) >= k and matches[k - 1].score > scores[-1]):
                return matches[:k]
            wanted *= _WIDENING
        return []

    def _in_order(self, scores: NDArray[np.float32], ids: NDArray[np.int64]) -> list[Match]:
        places = self._catalog.places([int(window_id) for window_id in ids])
        matches = [
            Match(place.path, place.start_s, place.end_s, float(score))
            for score, window_id in zip(scores, ids, strict=True)
            # A window that left the catalog after the index was made has no place any more.
            if (place := places.get(int(window_id))) is not None
        ]
        return sorted(matches, key=lambda match: (-match.score, bytes(match.path), match.start_s))

    def rebuild_index(self) -> None:
        """Make the index again from the catalog, whatever is on disk."""
        for path in self.directory.glob("index-*.faiss"):
            path.unlink(missing_ok=True)
        self._index = None
        self._fresh_index()

    def _fresh_index(self) -> Index:
        generation = self._catalog.generation
        if self._index is not None and self._index[0] == generation:
            return self._index[1]
        path = self.directory / f"index-{generation}.faiss"
        index = Index.read(path, self.manifest.dimension)
        if index is None:
            index = Index.build(*self._catalog.embeddings())
            # A store on a read-only or full disk is searched all the same.
            with suppress(OSError):
                index.write(path)
                self._drop_other_indexes(path)
        self._index = (generation, index)
        return index

    def _drop_other_indexes(self, current: Path) -> None:
        # With the drafts of runs that were killed.
        for path in (*self.directory.glob("index-*.faiss"), *self.directory.glob("index-*.new")):
            if path != current:
                path.unlink(missing_ok=True)


def _best_per_clip(matches: Iterable[Match]) -> list[Match]:
    best: dict[Path, Match] = {}
    for match in matches:
        best.setdefault(match.path, match)
    return list(best.values())

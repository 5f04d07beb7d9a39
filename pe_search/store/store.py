"""A store: what indexing writes and searching reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.records import Clip, Content, Incomplete, LeftOut, Match, Problem, SearchEffort, Stamp
from pe_search.store.catalog import Catalog, Holdings
from pe_search.store.conversion import current_manifest
from pe_search.store.files import CATALOG_FILE, MANIFEST_FILE, refuse_odd_files
from pe_search.store.finder import Finder
from pe_search.store.manifest import (
    Manifest,
    as_json,
    fields_of,
    numbers_of,
    read_manifest,
    write_manifest,
)
from pe_search.store.texts import RememberedTexts

if TYPE_CHECKING:
    from pe_search.store.lock import WriterLock

_SEED = 20_240_229


class Store:
    """An open store. Use `Store.open` or `Store.create`, in a `with` statement.

    Any number of processes may read a store while one writes to it; a reader sees the last commit.

    Attributes:
        directory: Where it is.
        manifest: What its embeddings have in common.
        remembered_texts: What it was asked before.
    """

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        *,
        lock: WriterLock | None,
        on_problem: Callable[[Problem], None],
    ) -> None:
        self.directory = directory
        self.manifest = manifest
        self.remembered_texts = RememberedTexts(directory, manifest.model, manifest.revision, manifest.dimension)
        self._lock = lock
        refuse_odd_files(directory)
        self._catalog = Catalog(directory, manifest.dimension, read_only=lock is None, manifest=as_json(manifest))
        try:
            _refuse_other_numbers(directory, manifest, self._catalog.manifest)
        except StoreError:
            self._catalog.close()
            raise
        self._finder = Finder(self._catalog, directory, manifest.dimension, on_problem)

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        read_only: bool = True,
        on_problem: Callable[[Problem], None] = lambda _problem: None,
    ) -> Store:
        """Open an existing store.

        Args:
            directory: Where it is.
            read_only: Whether to let others write to it.
            on_problem: Called when something is amiss that need not stop the work, as when the index is damaged.

        Raises:
            StoreError: If there is none, it is damaged or of another format, or, for writing or to be converted,
                another process is writing to it.
        """
        manifest = current_manifest(directory)
        lock = None if read_only else _locked(directory)
        try:
            return cls(directory, manifest, lock=lock, on_problem=on_problem)
        except BaseException:
            _let_go(lock)
            raise

    @classmethod
    def create(cls, directory: Path, manifest: Manifest) -> Store:
        """Make a new, empty store.

        Raises:
            StoreError: If the directory can't be written to, another process is writing there, or there is a catalog
                already.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"A store can't be made at {directory}: {error.strerror or error}.") from error
        lock = _locked(directory)
        try:
            if os.path.lexists(directory / CATALOG_FILE):
                raise StoreError(
                    f"There is a catalog at {directory} already; make the new store elsewhere, or delete it."
                )
            write_manifest(directory, manifest)
            return cls(directory, manifest, lock=lock, on_problem=lambda _problem: None)
        except OSError as error:
            _let_go(lock)
            raise StoreError(f"A store can't be made at {directory}: {error.strerror or error}.") from error
        except BaseException:
            _let_go(lock)
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._catalog.close()
        _let_go(self._lock)

    def is_as_opened(self) -> bool:
        """Whether what is at its place on the disk is still this store, with nothing committed since.

        One that is kept open sees later commits all the same; but not that it was deleted, or another put in its place.
        """
        try:
            return read_manifest(self.directory) == self.manifest and self._catalog.is_as_opened()
        except StoreError:
            return False

    def holdings(self) -> Holdings:
        """Count clips, contents, windows and seconds of audio."""
        return self._catalog.holdings()

    def clips(self) -> dict[Path, Clip]:
        """All clips by path."""
        return self._catalog.clips()

    def clip(self, path: Path) -> tuple[Clip, bytes] | None:
        """The clip at a path as it was when it was indexed, and the digest of its content; None if it is not held."""
        return self._catalog.clip(path)

    def stamps(self) -> dict[str, Stamp]:
        """The stamps of all clips, by path: much quicker to get than the clips."""
        return self._catalog.stamps()

    def left_out(self) -> list[LeftOut]:
        """What was left out, in order of path."""
        return self._catalog.left_out()

    def missing_by_digest(self) -> dict[bytes, str]:
        """What could not be read of each content that was not read whole, by its digest."""
        return self._catalog.missing_by_digest()

    def incomplete(self) -> list[Incomplete]:
        """The clips that couldn't be read whole, and what is missing of each, in order of path."""
        return self._catalog.incomplete()

    def digests(self) -> set[bytes]:
        """The digests of all contents whose embeddings are held."""
        return self._catalog.digests()

    def begun_times(self) -> dict[bytes, list[tuple[float, float]]]:
        """Start and end of the windows that are held of each content of which more are to come, by digest."""
        return self._catalog.begun_times()

    def drop_begun_content(self, digest: bytes) -> None:
        """Delete what is held of a content of which more was to come."""
        self._catalog.drop_begun_content(digest)

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all catalog reads in the `with` block be of one moment, whatever a writer commits meanwhile."""
        return self._catalog.snapshot()

    def embedded_clips(self, is_wanted: Callable[[Clip], bool] = lambda _clip: True) -> Iterator[tuple[Clip, Content]]:
        """All clips that are wanted, in order of path, each with its content; to be used inside a `snapshot`."""
        for clip in sorted(filter(is_wanted, self.clips().values()), key=lambda clip: bytes(clip.path)):
            content = self.content(clip.path)
            if content is None:
                raise StoreError(f"The catalog of {self.directory} is damaged: {clip.path} has no windows.")
            yield clip, content

    def content(self, path: Path) -> Content | None:
        """The content of the clip at a path, or None if there is no such clip."""
        return self._catalog.content(path)

    def window_count(self) -> int:
        """How many windows there are; those of a content count once, however many clips have it."""
        return self._catalog.window_count()

    def content_of(self, digest: bytes) -> Content | None:
        """The content with a digest, all of whose embeddings are held; or None if there is none."""
        return self._catalog.content_of(digest)

    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.directory.iterdir() if file.is_file())

    def written_at_s(self) -> float:
        """When embeddings were last committed, in seconds since the epoch."""
        return self._catalog.written_at_s()

    def commit(
        self,
        *,
        contents: Iterable[Content] = (),
        clips: Iterable[tuple[Clip, bytes]] = (),
        left_out: Iterable[LeftOut] = (),
        removed: Iterable[Path] = (),
        seen: Iterable[Clip] = (),
    ) -> None:
        """Write all of this, or nothing of it if it fails.

        Args:
            contents: What is new. One whose digest is held already stays as it was.
            clips: Each with the digest of its content. It takes the place of what was held under its path.
            left_out: Clips that leave the store, if they were in it, and are remembered with their reasons.
            removed: Paths of clips that go, and of such as were left out and are forgotten.
            seen: Clips that are held, or were left out, and of whose files more is known now.

        Raises:
            StoreError: If the disk is full or can't be written to, or the store was deleted, renamed or replaced.
        """
        self._catalog.commit(contents=contents, clips=clips, left_out=left_out, removed=removed, seen=seen)

    def drop_unused_contents(self) -> None:
        """Delete the embeddings of contents that no clip has any more; until then a moved clip finds its own again."""
        self._catalog.drop_unused_contents()

    def refresh_index(self) -> None:
        """Make the index on disk agree with the catalog if much has changed, so that queries stay quick."""
        self._finder.refresh()

    def keep_index_up(self) -> None:
        """Make the index again if so many windows came since that queries get slow; for the middle of a run."""
        self._finder.keep_up()

    def find_damage(self) -> list[str]:
        """Compare all that is held with its checksums: about a second for a million windows.

        Returns:
            Which windows are not as they were written, in words. Until the store is closed, `stamps` and `digests`
            treat their clips as if they had to be read again.

        Raises:
            StoreError: If anything else is not as it was written.
        """
        return self._catalog.find_damage()

    def compact(self) -> None:
        """Make the catalog as small as what it holds; `remove` leaves it as large as it was.

        Raises:
            StoreError: If the disk is full or can't be written to.
        """
        self._catalog.compact()

    def rebuild_index(self) -> None:
        """Make the index again from the catalog, whatever is on disk.

        Raises:
            OSError: If the disk is full or can't be written to.
        """
        self._finder.rebuild()

    def best_matches(
        self,
        query: NDArray[np.float32],
        k: int,
        *,
        like: NDArray[np.float32] | None = None,
        under: Path | None = None,
        all_windows: bool = False,
        exact: bool = False,
    ) -> list[Match]:
        """The k best windows for an embedding, or the best window of each of the k best clips.

        A window's score is the inner product of its embedding and the query. What `like` adds is the inner product of
        its direction, the embedding at unit length, and `like`; an embedding of zeros has none, and nothing is added.
        Equal scores are ordered by path, then by time, so that the answer never depends on the order of indexing.

        Args:
            query: float32 of shape (dimension,).
            k: How many at most.
            like: float32 of shape (dimension,). All windows are gone through then, as if `exact`.
            under: A clip, or a folder that the clips must be below; absolute.
            all_windows: Whether a clip may show more than once.
            exact: Whether to go through all windows, however many there are.
        """
        return self._finder.best_matches(query, k, like=like, under=under, all_windows=all_windows, exact=exact)

    def sample(self, windows: int, *, under: Path | None = None) -> tuple[NDArray[np.float16], int]:
        """The embeddings of some windows, always the same ones of the same store, and how many there are.

        Args:
            windows: How many at most; all of them if there are no more.
            under: A clip, or a folder that the clips must be below; absolute.

        Returns:
            Shape (at most windows, dimension), and the number of all.
        """
        with self.snapshot():
            ids = self._catalog.window_ids() if under is None else self._catalog.window_ids_under(under)
            if len(ids) > windows:
                drawn = np.sort(np.random.default_rng(_SEED).choice(ids, windows, replace=False))
            else:
                drawn = ids
            return self._catalog.embeddings_of(drawn.tolist())[1], len(ids)

    @property
    def last_search(self) -> SearchEffort | None:
        """How `best_matches` came to its last answer."""
        return self._finder.last_search


def _locked(directory: Path) -> WriterLock:
    # A query, which takes no lock, shouldn't wait for what locks.
    from pe_search.store.lock import WriterLock

    lock = WriterLock(directory)
    lock.acquire()
    return lock


def _let_go(lock: WriterLock | None) -> None:
    if lock is not None:
        lock.release()


def _refuse_other_numbers(directory: Path, manifest: Manifest, kept: str) -> None:
    """Hold the manifest against the one that the catalog keeps, for what would change answers in silence."""
    if not kept:
        return
    try:
        before = fields_of(kept)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"The catalog of {directory} can't be used: pe-search didn't write its state.") from error
    for name, value in numbers_of(manifest).items():
        if before.get(name) != value:
            raise StoreError(
                f"{directory / MANIFEST_FILE} is damaged: {name} is {value!r}, and was {before.get(name)!r} when the "
                "store was made. `pe-search rebuild` writes it again."
            )

"""A store: what indexing writes and searching reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pe_search.directories import absolute, command_for, milvus_address
from pe_search.errors import StoreError
from pe_search.records import Clip, Content, IndexedClip, Problem
from pe_search.store.catalog import Catalog
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
    from datetime import tzinfo

    from pe_search.known.words import Word
    from pe_search.queries import Filters
    from pe_search.reports import FilterEffect, Status
    from pe_search.store.lock import WriterLock
    from pe_search.store.milvus.finder import MilvusFinder
    from pe_search.store.milvus.mirror import Mirror

_SEED = 20_240_229


class Store:
    """An open store. Use `Store.open` or `Store.create`, in a `with` statement.

    Any number of processes may read a store while one writes to it; a reader sees the last commit.

    Attributes:
        directory: Where it is.
        manifest: What its embeddings have in common.
        catalog: What was embedded.
        finder: Finds the best windows of it.
        remembered_texts: What it was asked before.
    """

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        *,
        lock: WriterLock | None,
        on_problem: Callable[[Problem], None],
        mirror: Mirror | None = None,
    ) -> None:
        self.directory = directory
        self.manifest = manifest
        self.remembered_texts = RememberedTexts(directory, manifest.model, manifest.revision, manifest.dimension)
        self._lock = lock
        self._mirror = mirror
        refuse_odd_files(directory)
        self.catalog = Catalog(
            directory,
            manifest.dimension,
            read_only=lock is None and not (mirror and mirror.is_to_write),
            manifest=as_json(manifest),
            keeper=None if mirror is None else mirror.keeper,
        )
        try:
            _refuse_other_numbers(directory, manifest, self.catalog.manifest)
        except StoreError:
            self.catalog.close()
            raise
        self.finder: Finder | MilvusFinder
        if mirror is None:
            self.finder = Finder(self.catalog, directory, manifest.dimension, on_problem)
        else:
            self.finder = mirror.finder(self.catalog)

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
        if milvus_address(directory):
            return cls._mirrored(_mirror(directory, on_problem, is_to_write=not read_only), on_problem)
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
        if milvus_address(directory):
            mirror = _mirror(directory, lambda _problem: None, is_to_write=True, manifest=manifest)
            return cls._mirrored(mirror, lambda _problem: None, is_new=True)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"A store can't be made at {directory}: {error.strerror or error}.") from error
        lock = _locked(directory)
        try:
            if os.path.lexists(directory / CATALOG_FILE):
                raise StoreError(f"There is already a catalog at {directory}. Use another directory, or delete it.")
            write_manifest(directory, manifest)
            return cls(directory, manifest, lock=lock, on_problem=lambda _problem: None)
        except OSError as error:
            _let_go(lock)
            raise StoreError(f"A store can't be made at {directory}: {error.strerror or error}.") from error
        except BaseException:
            _let_go(lock)
            raise

    @classmethod
    def _mirrored(cls, mirror: Mirror, on_problem: Callable[[Problem], None], *, is_new: bool = False) -> Store:
        try:
            store = cls(mirror.directory, mirror.manifest, lock=None, on_problem=on_problem, mirror=mirror)
            try:
                if is_new:
                    mirror.send(store.catalog)
            except BaseException:
                store.catalog.close()
                raise
        except BaseException:
            mirror.close()
            raise
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.finder.close()
        self.catalog.close()
        _let_go(self._lock)
        if self._mirror is not None:
            self._mirror.close()

    def is_as_opened(self) -> bool:
        """Whether what is at its place on the disk is still this store, with nothing committed since.

        One that is kept open sees later commits all the same; but not that it was deleted, or another put in its place.
        """
        try:
            if self._mirror is not None:
                return self._mirror.is_as_opened()
            return read_manifest(self.directory) == self.manifest and self.catalog.is_as_opened()
        except StoreError:
            return False

    @property
    def mark(self) -> str:
        """What tells the catalog that was opened from any other, and from itself after another commit."""
        return blake2b(repr(self.catalog.opened_as).encode(), digest_size=16).hexdigest()

    def catch_up(self) -> None:
        """See what others have committed up to a second ago, which a store in a folder does by itself.

        Raises:
            StoreError: If Milvus doesn't answer.
        """
        if self._mirror is not None:
            self._mirror.catch_up(may_be_old_s=1.0)

    def status(self) -> Status:
        """What it holds, and what it was made with."""
        from pe_search.reports import Status
        from pe_search.store.facts import read_zones
        from pe_search.store.listing import formats, known_of
        from pe_search.store.roots import read_roots
        from pe_search.store.transcripts import count_transcribed

        manifest, held = self.manifest, self.catalog.holdings()
        with_facts, with_time, with_tags = known_of(self.catalog)
        return Status(
            store=self.directory,
            model=manifest.model,
            revision=manifest.revision,
            dimension=manifest.dimension,
            window_s=manifest.window_s,
            hop_s=manifest.hop_s,
            hearing=manifest.hearing,
            clips=held.clips,
            contents=held.contents,
            windows=held.windows,
            audio_s=held.audio_s,
            left_out=held.left_out,
            incomplete=held.incomplete,
            with_facts=with_facts,
            with_time=with_time,
            with_tags=with_tags,
            transcribed=count_transcribed(self.catalog),
            size_bytes=self.size_bytes(),
            written_at_s=self.catalog.written_at_s(),
            formats=formats(self.catalog),
            roots=read_roots(self.catalog),
            zones=tuple(read_zones(self.catalog).items()),
        )

    def embedded_clips(self, is_wanted: Callable[[Clip], bool] = lambda _clip: True) -> Iterator[tuple[Clip, Content]]:
        """All clips that are wanted, in order of path, each with its content; to be used inside a `snapshot`."""
        for clip in sorted(filter(is_wanted, self.catalog.clips().values()), key=lambda clip: bytes(clip.path)):
            content = self.catalog.content(clip.path)
            if content is None:
                raise StoreError(f"The catalog of {self.directory} is damaged: {clip.path} has no windows.")
            yield clip, content

    def clips(
        self, under: str | os.PathLike[str] | None = None, filters: Filters | None = None
    ) -> Iterator[IndexedClip]:
        """The clips, or that at a path or those below it, that pass filters, as `listing.indexed_clips` has them."""
        from pe_search.store.listing import indexed_clips
        from pe_search.store.passing import passing

        return filter(passing(self.catalog, filters), indexed_clips(self.catalog, self.below(under)))

    def filter_effect(self, under: str | os.PathLike[str] | None, filters: Filters) -> FilterEffect:
        """What filters leave of the clips, or of that at a path or those below it."""
        from pe_search.store.passing import filter_effect

        return filter_effect(self.catalog, self.below(under), filters)

    def zone_of(self, path: Path) -> tzinfo | None:
        """The time zone in which a clip was recorded, as the user said; None if they didn't."""
        from pe_search.store.facts import Zones, read_zones

        return Zones(read_zones(self.catalog)).of(path)

    def clip_at(self, path: str | os.PathLike[str]) -> Path:
        """The path of the clip that is meant: that of this very name, which may be no file, or the file."""
        return absolute(path) if self.catalog.clip(Path(path)) is None else Path(path)

    def below(self, under: str | os.PathLike[str] | None) -> Path | None:
        """The clip or folder that is meant, likewise; None for None."""
        if under is None:
            return None
        is_name = not os.path.isabs(under) and len(self.catalog.window_ids_under(Path(under))) > 0
        return Path(under) if is_name else absolute(under)

    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.directory.iterdir() if file.is_file())

    def sample(
        self,
        windows: int,
        *,
        under: Path | None = None,
        filters: Filters | None = None,
        excluded: Sequence[Word] = (),
    ) -> tuple[NDArray[np.float16], int]:
        """The embeddings of some windows, always the same ones of the same store, and how many there are.

        Args:
            windows: How many at most; all of them if there are no more.
            under: A clip, or a folder that the clips must be below; absolute.
            filters: Which of the clips and windows are meant.
            excluded: Words that the clips don't have.

        Returns:
            Shape (at most windows, dimension), and the number of all.
        """
        with self.catalog.snapshot():
            subset = self.finder.subset(under, filters, excluded)
            ids = self.catalog.window_ids() if subset is None else subset.ids
            if len(ids) > windows:
                drawn = np.sort(np.random.default_rng(_SEED).choice(ids, windows, replace=False))
            else:
                drawn = ids
            return self.catalog.embeddings_of(drawn.tolist())[1], len(ids)


def _locked(directory: Path) -> WriterLock:
    # A query, which takes no lock, shouldn't wait for what locks.
    from pe_search.store.lock import WriterLock

    lock = WriterLock(directory)
    lock.acquire()
    return lock


def _mirror(
    directory: Path, on_problem: Callable[[Problem], None], *, is_to_write: bool, manifest: Manifest | None = None
) -> Mirror:
    # A store in a folder needs none of this.
    from pe_search.store.milvus.mirror import Mirror

    return Mirror(directory, on_problem, is_to_write=is_to_write, manifest=manifest)


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
                f"store was made. {command_for('rebuild', directory)} restores it."
            )

"""A store without a checkpoint: all that can be done with it but to embed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pe_search.directories import absolute, expanded, store_at
from pe_search.known.tags import tags_of
from pe_search.listener import OnProblem, PathLike, Paths, Texts, ignore, list_of, several
from pe_search.records import Clip, Incomplete, IndexedClip, LeftOut, Transcript

if TYPE_CHECKING:
    from pe_search.queries import Filters
    from pe_search.reports import Embeddings, FilterEffect, Rebuilding, Relocation, Removal, Root, Status, Tagging
    from pe_search.store import Manifest, RememberedTexts, Store

EXPORT_SUFFIXES = (".npz", ".parquet")


class Holder:
    """A store without a checkpoint. A `Teacher` is a holder, and a `Library` is a teacher and a listener.

    Nothing is opened before it is needed. Every method raises `StoreError` if the store is missing or damaged, or can't
    be written where that is needed.

    Args:
        directory: The folder of the store.
        on_problem: Called with each problem that does not stop the work.
    """

    def __init__(self, directory: PathLike, on_problem: OnProblem = ignore) -> None:
        self.directory = store_at(directory)
        self._on_problem = on_problem
        self._stack = ExitStack()
        self._store: Store | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store. The next use opens it again."""
        self._store = None
        self._stack.close()

    def open(self) -> Store:
        """Open the store for reading, and return it. It stays open until `close`."""
        if self._store is None:
            from pe_search.store import Store

            self._store = self._stack.enter_context(Store.open(self.directory, on_problem=self._on_problem))
        else:
            self._store.catch_up()
        return self._store

    def is_made(self) -> bool:
        """Whether there is a store."""
        return self._manifest() is not None

    def is_current(self) -> bool:
        """Whether the open store is still the one on disk, with nothing committed since it was opened."""
        return self._store is None or self._store.is_as_opened()

    def mark(self) -> str:
        """What tells this state of the store from any other: another one after each commit."""
        return self.open().mark

    def status(self) -> Status:
        """What the store holds and how it was made."""
        return self.open().status()

    @property
    def manifest(self) -> Manifest:
        """What the store was made with."""
        return self.open().manifest

    @property
    def remembered_texts(self) -> RememberedTexts:
        """What the store was asked before."""
        return self.open().remembered_texts

    def window_count(self) -> int:
        """How many windows the store holds. Clips with the same bytes share their windows."""
        return self.open().catalog.window_count()

    def clips(self, under: PathLike | None = None, filters: Filters | None = None) -> Iterator[IndexedClip]:
        """Yield the clips of the store in order of path, without holding all of them in memory.

        With `filters`, those of which a window passes.
        """
        return self.open().clips(under, filters)

    def filter_effect(self, under: PathLike | None, filters: Filters) -> FilterEffect:
        """How many clips pass each filter by itself, and all of them together."""
        return self.open().filter_effect(under, filters)

    def clip(self, path: PathLike) -> tuple[Clip, bytes] | None:
        """The clip at a path as it was indexed, and the digest of its content; None if the store lacks it."""
        return self.open().catalog.clip(self.open().clip_at(path))

    def known(self, paths: Paths) -> dict[Path, IndexedClip]:
        """What is known of the clips at some paths, as hits have them; those that the store lacks are left out."""
        from pe_search.store.listing import indexed_clips_at

        return indexed_clips_at(self.open().catalog, map(Path, several(paths)))

    def problems(self) -> list[LeftOut | Incomplete]:
        """The clips that could not be indexed or not be read completely, in order of path."""
        catalog = self.open().catalog
        return sorted([*catalog.left_out(), *catalog.incomplete()], key=lambda one: os.fsencode(one.clip.path))

    def roots(self) -> tuple[Root, ...]:
        """The folders and files that `index` was given, in order of path: what it brings up to date without paths."""
        from pe_search.store.roots import read_roots

        return read_roots(self.open().catalog)

    def embeddings(self, filters: Filters | None = None) -> Embeddings:
        """The windows of the store with their embeddings, in one array; with `filters`, those that pass."""
        from pe_search.store.export import embeddings

        return embeddings(self.open(), filters)

    def export(self, file: PathLike, filters: Filters | None = None, *, said: bool = True) -> int:
        """Write the windows to `file`, .npz or .parquet, and return how many; with `filters`, those that pass.

        Transcripts are written too, unless `said` is false.
        """
        from pe_search.store.export import export

        if Path(file).suffix.lower() not in EXPORT_SUFFIXES:
            raise ValueError(f"{os.fspath(file)!r} must end with .npz or .parquet")
        return export(self.open(), expanded(Path(file)), filters, said=said)

    def remove(self, paths: Paths) -> Removal:
        """Remove clips, folders of clips and added names from the store. Files are kept."""
        from pe_search.tasks.removing import remove

        with self._writer() as writer:
            return remove(writer, list_of(paths))

    def relocate(self, old: PathLike, new: PathLike, *, dry_run: bool = False) -> Relocation:
        """Tell the store that all clips at or below `old` are at or below `new` now. No file is embedded again.

        Some files are compared with the store by their bytes. If one of them is missing or differs, nothing is changed,
        and it is among the problems. Roots, time zones and paths that came by lists are moved too.

        Args:
            old: Where the files were; it need not exist.
            new: Where they are.
            dry_run: Whether to compare only, and to change nothing.

        Raises:
            ValueError: If both are the same.
        """
        from pe_search.tasks.relocating import relocate

        was, now = absolute(old), absolute(new)
        if was == now:
            raise ValueError(f"old and new are the same: {was}")
        if dry_run:
            return relocate(self.open(), was, now, is_to_do=False)
        with self._writer() as writer:
            return relocate(writer, was, now)

    def tag(self, paths: Paths | None, *, add: Texts = (), remove: Texts = ()) -> Tagging:
        """Give tags to clips, and take tags from them. Files are never written to.

        A tag belongs to the bytes of a clip: copies have it too, and a clip that is moved, or removed and indexed
        again, keeps it.

        Args:
            paths: Clips, folders of clips and added names; None means all clips.
            add: One tag or several: at most 100 printable characters each, and no comma.
            remove: Likewise. With None for paths, also from clips that the store no longer holds.

        Raises:
            ValueError: If a text can't be a tag.
        """
        from pe_search.tasks.tagging import tag

        added, removed = tags_of(add), tags_of(remove)
        with self._writer() as writer:
            return tag(writer, None if paths is None else list_of(paths), added, removed)

    def tags(self) -> dict[str, int]:
        """How many clips have each tag, in order of the tags. 0 for a tag whose clips are all gone from the store."""
        from pe_search.store.facts import clips_of_tags

        return clips_of_tags(self.open().catalog)

    def transcripts(self, paths: Paths | None = None) -> dict[Path, tuple[Transcript, ...]]:
        """What is said in the clips at some paths, or in all, by each engine; clips without a transcript are left out.

        A transcript with an `until_s` is not finished.
        """
        from pe_search.store.transcripts import transcripts_at

        store = self.open()
        return transcripts_at(store.catalog, None if paths is None else map(store.clip_at, several(paths)))

    def merge(self, other: PathLike, *, said: bool = True) -> int:
        """Copy the clips of another store into this one, and return how many were copied.

        Transcripts and the answers of language models come along, unless `said` is false.
        """
        from pe_search.store import Store
        from pe_search.store.merge import merge

        with Store.open(store_at(other)) as taken, self._writer() as writer:
            return merge(writer, taken, said=said)

    def rebuild(self) -> Rebuilding:
        """Make the index again. Repair the manifest and the catalog first if they are damaged.

        Raises:
            OSError: If the disk is full or can't be written.
        """
        from pe_search.store.rebuilding import rebuild

        self.close()
        return rebuild(self.directory, self._on_problem)

    def _manifest(self) -> Manifest | None:
        from pe_search.store import read_manifest_if_any

        return read_manifest_if_any(self.directory) if self._store is None else self._store.manifest

    def _held(self) -> Store | None:
        return None if self._manifest() is None else self.open()

    def _writer(self) -> Store:
        from pe_search.store import Store

        return Store.open(self.directory, read_only=False, on_problem=self._on_problem)

"""A store without a checkpoint: all that can be done with it but to embed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from pe_search.directories import absolute, expanded
from pe_search.listener import OnProblem, PathLike, Paths, References, Texts, ignore, list_of, several
from pe_search.records import Clip, Incomplete, IndexedClip, Judgement, LeftOut, Word
from pe_search.tags import tags_of

if TYPE_CHECKING:
    from pe_search.queries import Filters, Hit, Reference
    from pe_search.reports import Embeddings, FilterEffect, Rebuilding, Relocation, Removal, Root, Status, Tagging
    from pe_search.store import Manifest, RememberedTexts, Store

EXPORT_SUFFIXES = (".npz", ".parquet")


class Holder:
    """A store without a checkpoint. A `Library` is a holder and a listener.

    Nothing is opened before it is needed. Every method raises `StoreError` if the store is missing or damaged, or can't
    be written where that is needed.

    Args:
        directory: The folder of the store.
        on_problem: Called with each problem that does not stop the work.
    """

    def __init__(self, directory: PathLike, on_problem: OnProblem = ignore) -> None:
        self.directory = expanded(Path(directory)).absolute()
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
        return self._store

    def is_made(self) -> bool:
        """Whether there is a store."""
        return self._manifest() is not None

    def is_current(self) -> bool:
        """Whether the open store is still the one on disk, with nothing committed since it was opened."""
        return self._store is None or self._store.is_as_opened()

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

    def export(self, file: PathLike, filters: Filters | None = None) -> int:
        """Write the windows to `file`, .npz or .parquet, and return how many; with `filters`, those that pass."""
        from pe_search.store.export import export

        if Path(file).suffix.lower() not in EXPORT_SUFFIXES:
            raise ValueError(f"{os.fspath(file)!r} must end with .npz or .parquet")
        return export(self.open(), expanded(Path(file)), filters)

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

    def learn(
        self,
        word: str,
        *,
        text: str | None = None,
        yes: References = (),
        no: References = (),
        unsure: References = (),
    ) -> Word:
        """Teach the store a word, such as `@mybird`, which queries, labels and counts then take as a text.

        What is kept is what was judged, by the bytes of the clips: judgements outlive moves and another checkpoint. A
        later judgement of the same stretch takes the place of an earlier one.

        Args:
            word: `@`, and letters, digits, `_`, `-` and dots.
            text: What it starts from. None leaves that as it is.
            yes: Clips of the store, or parts of them, that have it. A clip without a part is all its windows.
            no: Likewise, that don't have it.
            unsure: Likewise, of which that can't be told. They teach nothing, and are kept.

        Returns:
            How the word stands.

        Raises:
            QueryError: If it can't be a word, there is nothing to teach, or the arguments contradict each other.
            AudioError: If the store does not hold a clip as it is on disk, or a part lies beyond its end.
        """
        from pe_search.tasks.teaching import teach

        judged = {"yes": _references(yes), "no": _references(no), "unsure": _references(unsure)}
        with self._writer() as writer:
            return teach(writer, word, text, judged)

    def judge(self, word: str, place: Hit | tuple[PathLike, float, float], verdict: str) -> Word:
        """Judge one hit, or one stretch of a clip, for a word.

        Args:
            word: As in `learn`. A new one starts without a text.
            place: A hit; or a path, and from when to when in seconds.
            verdict: `yes`, `no` or `unsure`.

        Returns:
            How the word stands.

        Raises:
            QueryError: As `learn`, or if there is no such verdict.
            AudioError: As `learn`.
        """
        from pe_search.queries import Reference
        from pe_search.tasks.teaching import teach

        path, *times = place if isinstance(place, tuple) else (place.path, place.start_s, place.end_s)
        with self._writer() as writer:
            return teach(writer, word, None, {verdict: [Reference(Path(path), (times[0], times[1]))]})

    def take_judgements(self, judgements: Iterable[Judgement], texts: Mapping[str, str] = MappingProxyType({})) -> None:
        """Keep judgements that `judgements` returned, here or elsewhere, each in place of one of the same stretch.

        Args:
            judgements: Of any words.
            texts: What words start from, by the word; those of other words stay.

        Raises:
            QueryError: If one is not valid.
        """
        from pe_search.tasks.teaching import take_judgements

        with self._writer() as writer:
            take_judgements(writer, list(judgements), texts)

    def words(self) -> list[Word]:
        """The words that the store was taught, in order, and how each stands."""
        from pe_search.tasks.teaching import words

        return words(self.open())

    def judgements(self, word: str | None = None) -> list[Judgement]:
        """What was judged, for one word or for all, in order of word, digest and time."""
        from pe_search.store.judgements import read_judgements

        return read_judgements(self.open().catalog, word)

    def paths_of(self, digest: bytes) -> list[Path]:
        """The clips of the store whose bytes have a digest, in order of path."""
        return self.open().catalog.paths_of(digest)

    def forget(self, word: str) -> Word:
        """Forget a word with all that was judged for it, and return how it stood.

        Raises:
            QueryError: If the store has no such word.
        """
        from pe_search.tasks.teaching import forget

        with self._writer() as writer:
            return forget(writer, word)

    def merge(self, other: PathLike) -> int:
        """Copy the clips of another store into this one, and return how many were copied."""
        from pe_search.store import Store
        from pe_search.store.merge import merge

        with Store.open(expanded(Path(other)).absolute()) as taken, self._writer() as writer:
            return merge(writer, taken)

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


def _references(given: References) -> list[Reference]:
    from pe_search.queries import Reference

    return [one if isinstance(one, Reference) else Reference(Path(one)) for one in several(given)]

"""A library of sounds: one store with its checkpoint, and all that can be done with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from pe_search.directories import expanded
from pe_search.errors import StoreError
from pe_search.listener import (
    Listener,
    ListenerOptions,
    OnProblem,
    OnProgress,
    PathLike,
    Paths,
    References,
    Terms,
    Texts,
    ignore,
    list_of,
    several,
)
from pe_search.model import Wanted
from pe_search.queries import SAME_FROM_COSINE
from pe_search.records import Clip, Incomplete, IndexedClip, LeftOut

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pe_search.queries import Answer, Duplicate, Hit, Request, SpanRules
    from pe_search.reports import Embeddings, IndexPlan, IndexSummary, Rebuilding, Removal, Status, Verification
    from pe_search.search.searching import TextMemory
    from pe_search.store import Manifest, RememberedTexts, Store

EXPORT_SUFFIXES = (".npz", ".parquet")


class Library(Listener):
    """One store with its checkpoint. Make it with `pe_search.open` or `pe_search.create`, in a `with` statement.

    Nothing is opened or loaded before it is needed. Any number of processes may read a store while one writes to it.
    Every method raises a `StoreError` if the store is missing, damaged, or can't be written to where it must be, and a
    `CheckpointError` if the checkpoint is needed and can't be had; a `ValueError` says that an argument is out of its
    range. Nothing is printed. A library is for one thread at a time: open one in each.

    What methods have in common is told at `Listener`; and `under` is a clip, or a folder that the clips must be below.
    A path that is not absolute may also be the name of clips that are no files, see `add`; such a name goes first.

    Attributes:
        directory: Where the store is; absolute.

    Args:
        directory: The store's.
        wanted: What a new store is made with, and what one that is there must have.
        **options: As in `Listener`.
    """

    def __init__(
        self, directory: PathLike, *, wanted: Wanted | None = None, **options: Unpack[ListenerOptions]
    ) -> None:
        self.directory = expanded(Path(directory)).absolute()
        super().__init__(wanted, directory=self.directory, **options)
        self._stack = ExitStack()
        self._store: Store | None = None

    def __repr__(self) -> str:
        return f"Library({str(self.directory)!r})"

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store. Whatever is done next opens it again."""
        self._store = None
        self._stack.close()

    def open(self) -> Store:
        """The store, opened to be read; it stays open until `close`."""
        if self._store is None:
            from pe_search.store import Store

            self._store = self._stack.enter_context(Store.open(self.directory, on_problem=self._on_problem))
        return self._store

    def create(self) -> None:
        """Make the store, which must not be there yet."""
        from pe_search.store import Store

        if self._manifest() is not None:
            raise StoreError(f"There is a store at {self.directory} already; open that, or make the new one elsewhere.")
        with Store.create(self.directory, self.model.new_manifest()):
            pass

    def is_made(self) -> bool:
        """Whether there is a store."""
        return self._manifest() is not None

    def is_current(self) -> bool:
        """Whether the store that is open is the one at its place, with nothing committed since."""
        return self._store is None or self._store.is_as_opened()

    def status(self) -> Status:
        """What the store holds, and what it was made with."""
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
        """How many windows the store holds; those of a content count once, however many clips have it."""
        return self.open().catalog.window_count()

    def clips(self, under: PathLike | None = None) -> Iterator[IndexedClip]:
        """The clips that the store holds, in order of path, one after the other: never all of them are in memory."""
        return self.open().clips(under)

    def clip(self, path: PathLike) -> tuple[Clip, bytes] | None:
        """The clip at a path as it was when it was indexed, and the digest of its content; None if it is not held."""
        return self.open().catalog.clip(self.open().clip_at(path))

    def problems(self) -> list[LeftOut | Incomplete]:
        """The clips that couldn't be indexed, or not read whole, in order of path."""
        catalog = self.open().catalog
        return sorted([*catalog.left_out(), *catalog.incomplete()], key=lambda one: os.fsencode(one.clip.path))

    def embeddings(self) -> Embeddings:
        """All windows of the store with their embeddings; each is copied once, from the disk to its row."""
        from pe_search.store.export import embeddings

        return embeddings(self.open())

    # Clips become embeddings

    def index(
        self,
        paths: Paths | None = None,
        *,
        listed: Paths = (),
        exclude: Texts = (),
        prune: bool = False,
        prune_lists: bool = False,
        rehash: bool = False,
        on_progress: OnProgress = ignore,
        on_problem: OnProblem | None = None,
    ) -> IndexSummary:
        """Embed what is new or has changed, and take out what is gone. A store that is not there yet is made.

        A KeyboardInterrupt ends the run early, and is told in what is returned; what is finished is kept.

        Args:
            paths: Folders and files, which the store remembers with `exclude`; see `Status.roots`. If it is None and
                nothing is listed, all that are remembered, each with its own patterns.
            listed: More of them, which the store remembers as named by a list.
            exclude: As in `find`; for what is remembered, more patterns beside its own.
            prune: Whether clips go even if nothing at all is left under one of the paths; a disk may not be mounted.
            prune_lists: Whether clips go that came by a list, and are not listed any more.
            rehash: Whether to read every file again, whatever its size and times say.
            on_progress: See above.
            on_problem: See above.

        Raises:
            PatternError: If a pattern is not valid.
        """
        from pe_search.tasks.runs import Job, index_paths

        job = Job(_given(paths), list_of(listed), several(exclude), prune, prune_lists, rehash)
        on_problem = on_problem or self._on_problem
        return index_paths(self.directory, self.model, job, on_progress=on_progress, on_problem=on_problem)

    def plan(
        self,
        paths: Paths | None = None,
        *,
        listed: Paths = (),
        exclude: Texts = (),
        prune: bool = False,
        prune_lists: bool = False,
        on_problem: OnProblem | None = None,
    ) -> IndexPlan:
        """What `index` would do, given the same. No model is loaded, and nothing is written."""
        from pe_search.tasks.runs import Job, plan_paths

        job = Job(_given(paths), list_of(listed), several(exclude), prune, prune_lists)
        return plan_paths(self.directory, self.model, job, on_problem or self._on_problem)

    def add(self, name: str, samples: NDArray[Any], sample_rate_hz: float) -> None:
        """Embed a clip that is no file, such as a row of a data set, and put it into the store.

        Args:
            name: What hits call it: a path, as `esc-50/1`, though there need be no such file. A clip of that name is
                replaced.
            samples: Of shape (samples,) or (samples, channels); floats from -1 to 1, or integers.
            sample_rate_hz: Of the samples.

        Raises:
            ValueError: If the name can't be that of a clip.
            AudioError: If the samples are no audio.
        """
        self.add_all([(name, samples, sample_rate_hz)])

    def add_all(self, clips: Iterable[tuple[str, NDArray[Any], float]]) -> int:
        """As `add`, for any number of names, samples and rates: far quicker than one after the other.

        Returns:
            The number of clips.
        """
        from pe_search.tasks.adding import add_samples

        with self._writer() as writer:
            return add_samples(writer, clips, self.model.audio_embedder)

    # Queries become hits

    def query(
        self,
        texts: Texts = (),
        *,
        k: int | None = 10,
        plus: Terms = (),
        minus: Terms = (),
        like: References = (),
        unlike: References = (),
        under: PathLike | None = None,
        all_windows: bool = False,
        min_probability: float = 0.0,
        fdr: float | None = None,
        exact: bool = False,
        spans: bool | SpanRules = False,
    ) -> list[Hit]:
        """Find the clips that sound most like a text, or like audio: the hits of each text in turn, best first.

        Args:
            texts: What to look for; each is a query of its own.
            k: How many hits at most for each query; None for all.
            plus: What each query should sound like too.
            minus: What it should not sound like.
            like: Audio that it should sound like.
            unlike: Audio that it should not sound like.
            under: See above.
            all_windows: Whether a clip may show more than once, or only by its best window.
            min_probability: Hits below it are left out.
            fdr: As `Request.fdr`; for texts alone.
            exact: Whether to go through all windows of a large store.
            spans: Whether to tell when within each hit it is heard, and by which rules.

        Raises:
            QueryError: If there is nothing to look for, or its parts don't go together.
            AudioError: If audio of `like` or `unlike` can't be read.
        """
        from pe_search.search.asking import make_request

        parts = map(several, (texts, plus, minus, like, unlike))
        options: dict[str, Any] = {"all_windows": all_windows, "min_probability": min_probability, "fdr": fdr}
        request = make_request(self.open(), *parts, spans=bool(spans), k=k, under=under, exact=exact, **options)
        hits = [hit for answer in self.answers(request) for hit in answer.hits]
        if not (spans and hits):
            return hits
        locator = self.locator(request.queries, None if isinstance(spans, bool) else spans)
        return locator.with_spans(hits, self.clip, self._on_problem)

    def answers(
        self, request: Request, *, memory: TextMemory | None = None, check: Callable[[], None] | None = None
    ) -> Iterator[Answer]:
        """Answer each query of a request in turn. The store is opened now, all else waits for the first answer.

        Args:
            request: What is asked.
            memory: What remembers the embeddings of texts in place of the store.
            check: Called before each text and window that is embedded; what it raises ends the work.
        """
        from pe_search.search.searching import RememberingEmbedder, search

        store, model = self.open(), self.model
        remembered = memory or store.remembered_texts
        embedder = RememberingEmbedder(remembered, model.text_embedder, model.audio_embedder, check)
        return search(store, embedder, request)

    def hit_counts(self, request: Request) -> list[int]:
        """How many hits each query of a request would have if its `k` were None."""
        if request.min_probability or request.fdr is not None or request.all_windows:
            return [len(answer.hits) for answer in self.answers(replace(request, k=None))]
        # Every content has a window, and shows by its best.
        every = request.under is None
        count = self.status().contents if every else len({clip.digest for clip in self.clips(request.under)})
        return [count] * len(request.queries)

    def duplicates(
        self,
        threshold: float = SAME_FROM_COSINE,
        *,
        under: PathLike | None = None,
        on_progress: Callable[[float], None] = ignore,
    ) -> list[list[Duplicate]]:
        """The groups of clips that sound the same, each group and the clips in it in order of path.

        Args:
            threshold: The lowest cosine of clips in one group, -1 to 1.
            under: See above.
            on_progress: Called now and then with the share that is done, 0 to 1.
        """
        from pe_search.search.duplicates import find_duplicates

        return list(find_duplicates(self.open(), threshold, under=self.open().below(under), on_progress=on_progress))

    def check_unchanged(self, path: PathLike) -> None:
        """Raise an `AudioError` if a clip is gone, can't be read, or has other bytes than those that were indexed."""
        from pe_search.spans.locating import check_unchanged

        check_unchanged(self.open().clip_at(path), self.clip)

    def export(self, file: PathLike) -> int:
        """Write all windows to `file`, .npz or .parquet, as `store.export.export` does; returns how many."""
        from pe_search.store.export import export

        if Path(file).suffix.lower() not in EXPORT_SUFFIXES:
            raise ValueError(f"{os.fspath(file)!r} must end with .npz or .parquet")
        return export(self.open(), expanded(Path(file)))

    # The store is looked after

    def remove(self, paths: Paths) -> Removal:
        """Take clips, folders of clips, and clips that are no files out of the store; files are left alone."""
        from pe_search.tasks.removing import remove

        with self._writer() as writer:
            return remove(writer, list_of(paths))

    def merge(self, other: PathLike) -> int:
        """Take over the clips of another store, as `store.merge.merge` does; returns how many came in."""
        from pe_search.store import Store
        from pe_search.store.merge import merge

        with Store.open(expanded(Path(other)).absolute()) as taken, self._writer() as writer:
            return merge(writer, taken)

    def verify(self, sample: int = 20) -> Verification:
        """Embed some files again, always the same ones, and say how far they are from what the store holds."""
        from pe_search.tasks.verifying import verify

        return verify(self.open(), self.model.audio_embedder, sample)

    def rebuild(self) -> Rebuilding:
        """Make the index again, and before it the manifest and the catalog if they are damaged.

        Raises:
            OSError: If the disk is full or can't be written to.
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


def _given(paths: Paths | None) -> list[Path] | None:
    return None if paths is None else list_of(paths)

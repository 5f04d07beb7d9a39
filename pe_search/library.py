"""A library of sounds: one store with its checkpoint, and everything that pe-search does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from pe_search.asker import Asker
from pe_search.directories import shown_store
from pe_search.errors import StoreError
from pe_search.evaluator import Evaluator
from pe_search.known.zones import NO_ZONE, zone_called
from pe_search.listener import (
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
    texts_of,
)
from pe_search.model import Wanted
from pe_search.places import in_columns
from pe_search.queries import SAME_FROM_COSINE
from pe_search.teacher import Teacher
from pe_search.transcriber import Transcriber
from pe_search.tuner import Tuner
from pe_search.viewer import Viewer

if TYPE_CHECKING:
    from threading import Event

    from numpy.typing import NDArray

    from pe_search.known.annotations import Annotations
    from pe_search.queries import Answer, Duplicate, Filters, Hit, Request, SpanRules
    from pe_search.reports import Counts, IndexPlan, IndexSummary, Verification
    from pe_search.search.aims import QueryEmbedder
    from pe_search.search.searching import TextMemory
    from pe_search.store import Store


class Library(Teacher, Viewer, Asker, Evaluator, Transcriber, Tuner):
    """One store with its checkpoint. Make it with `pe_search.open` or `pe_search.create`, in a `with` statement.

    Nothing is opened or loaded before it is needed. Many processes may read a store while one writes to it. Every
    method raises `StoreError` if the store is missing or damaged, or can't be written where that is needed;
    `CheckpointError` if the checkpoint is needed and can't be loaded; and `ValueError` if an argument is out of range.
    Nothing is printed. Use a library in one thread at a time: open one in each thread.

    `Listener` describes the arguments that several methods have. `under` is a clip, or a folder that contains the
    clips. A relative path may also be a name that was given to `add`; such a name takes precedence over a file.

    Attributes:
        directory: The folder of the store; absolute.

    Args:
        directory: The folder of the store.
        wanted: What a new store is made with, and what an existing store must have.
        **options: As in `Listener`.
    """

    def __init__(
        self, directory: PathLike, *, wanted: Wanted | None = None, **options: Unpack[ListenerOptions]
    ) -> None:
        Teacher.__init__(self, directory)
        Asker.__init__(self, wanted, directory=self.directory, **options)

    def __repr__(self) -> str:
        return f"Library({shown_store(self.directory)!r})"

    @property
    def stores(self) -> tuple[Library, ...]:
        """A library for each store that it asks: itself, or those of `Libraries`."""
        return (self,)

    def create(self) -> None:
        """Make the store. It must not exist yet."""
        from pe_search.store import Store

        if self._manifest() is not None:
            raise StoreError(
                f"There is already a store at {shown_store(self.directory)}. Open it, or choose another directory."
            )
        with Store.create(self.directory, self.model.new_manifest()):
            pass

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
        sidecars: bool = True,
        zone: str | None = None,
        audio_column: str = "audio",
        workers: str = "local",
        worker_cpus: int | None = None,
        on_progress: OnProgress = ignore,
        on_problem: OnProblem | None = None,
    ) -> IndexSummary:
        """Embed new and changed clips, and remove clips that are gone. Makes the store if there is none.

        A KeyboardInterrupt ends the run early: `is_interrupted` is set, and what is finished is kept.

        Args:
            paths: Folders and files, tar archives, Parquet tables and URLs, which the store remembers with `exclude`;
                see `Status.roots`. If it is None and nothing is listed, all that are remembered, each with its own
                patterns.
            listed: More of them, which the store remembers as named by a list.
            exclude: As in `find`; for what is remembered, more patterns beside its own.
            prune: Whether to remove the clips of a path that is missing or empty. Its disk may not be mounted.
            prune_lists: Whether to remove clips of earlier lists that are not listed now.
            rehash: Whether to read every file again, even if its size and times are the same.
            sidecars: Whether to take in transcripts beside clips: subtitles, text and JSON of the same name.
            zone: The time zone in which the clips at and below the paths were recorded, such as `Europe/Berlin`. The
                store remembers it; `none` forgets it.
            audio_column: The column of Parquet tables that holds audio; the store remembers it.
            workers: Who embeds: `local` is this process; `ray` starts a Ray runtime on this machine; `HOST:PORT` is
                the address of one that this machine belongs to. All its machines must see the clips and the store.
                If this program has called `ray.init` itself, both mean the runtime that it uses.
            worker_cpus: CPUs of each Ray worker. None means one, or with GPUs its share, at most eight.
            on_progress: See above. With Ray workers, it is also called in another thread.
            on_problem: See above.

        Raises:
            PatternError: If a pattern is not valid.
            ValueError: If there is no such zone, or it is given for what is listed; if workers can't have that name.
            MissingExtraError: If workers are asked for that Ray starts, and it isn't installed.
            ClusterError: If there is no Ray runtime at that address, it has no room for a worker or is gone, or a
                machine of it can't have a worker.
        """
        from pe_search.cluster.choosing import work_of
        from pe_search.tasks.runs import Job, index_paths

        given = None if paths is None else in_columns(list_of(paths), audio_column)
        from_lists = in_columns(list_of(listed), audio_column)
        if zone is not None and zone != NO_ZONE:
            zone = zone_called(zone)
        if zone is not None and from_lists:
            raise ValueError("zone can't be used with listed")
        job = Job(given, from_lists, several(exclude), prune, prune_lists, rehash, sidecars, zone)
        model, on_problem = self.model, on_problem or self._on_problem
        work = work_of(workers, worker_cpus, model)
        return index_paths(self.directory, model, job, make_work=work, on_progress=on_progress, on_problem=on_problem)

    def watch(
        self, paths: Paths | None = None, *, exclude: Texts = (), stop: Event | None = None
    ) -> Iterator[IndexSummary]:
        """As `index`, and again after each burst of changes until `stop` is set; gives the summary of each run."""
        from pe_search.tasks.watching import watch

        roots = [root.path for root in self.status().roots] if paths is None else list_of(paths)
        return watch(partial(self.index, paths, exclude=exclude), roots, self.directory, stop)

    def plan(
        self,
        paths: Paths | None = None,
        *,
        listed: Paths = (),
        exclude: Texts = (),
        prune: bool = False,
        prune_lists: bool = False,
        audio_column: str = "audio",
        on_problem: OnProblem | None = None,
    ) -> IndexPlan:
        """Return what `index` would do with these arguments. No model is loaded and nothing is written."""
        from pe_search.tasks.runs import Job, plan_paths

        given = None if paths is None else in_columns(list_of(paths), audio_column)
        job = Job(given, in_columns(list_of(listed), audio_column), several(exclude), prune, prune_lists)
        return plan_paths(self.directory, self.model, job, on_problem or self._on_problem)

    def add(self, name: str, samples: NDArray[Any], sample_rate_hz: float) -> None:
        """Embed samples that are not in a file, such as a row of a data set, and store them as a clip.

        Args:
            name: The path that hits show, such as `esc-50/1`. No such file is needed. A clip of that name is replaced.
            samples: Of shape (samples,) or (samples, channels); floats from -1 to 1, or integers.
            sample_rate_hz: Of the samples.

        Raises:
            ValueError: If the name is not a valid path.
            AudioError: If the samples are not audio.
        """
        self.add_all([(name, samples, sample_rate_hz)])

    def add_all(self, clips: Iterable[tuple[str, NDArray[Any], float]]) -> int:
        """As `add`, for many names, samples and rates. This is much faster than one call for each.

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
        words: str = "",
        said: str = "",
        under: PathLike | None = None,
        filters: Filters | None = None,
        all_windows: bool = False,
        min_probability: float = 0.0,
        fdr: float | None = None,
        exact: bool = False,
        spans: bool | SpanRules = False,
    ) -> list[Hit]:
        """Find the clips that sound most like a text or audio, or have words. Returns each text's hits, best first.

        Args:
            texts: What to find. Each text is one query.
            k: The largest number of hits of each query. None means all.
            plus: Texts that are added to each query.
            minus: Texts that are subtracted.
            like: Audio that hits should sound like.
            unlike: Audio that hits should not sound like.
            words: As `Request.words`: `kick 808`, `kick*`, `"kick drum"`, `-loop`.
            said: As `Request.said`, in the same language; not with `words`.
            under: See above.
            filters: Which clips and windows may be hits.
            all_windows: Whether all windows of a clip may be hits, not only its best.
            min_probability: Hits with a lower probability are dropped.
            fdr: As `Request.fdr`; for texts alone.
            exact: Whether to search all windows of a large store.
            spans: Whether to find when in each hit the sound is heard, and by which rules.

        Raises:
            QueryError: If there is nothing to find, or the arguments don't go together.
            AudioError: If audio of `like` or `unlike` can't be read.
        """
        from pe_search.search.asking import make_request

        parts = map(several, (texts, plus, minus, like, unlike))
        options: Any = {"all_windows": all_windows, "min_probability": min_probability, "fdr": fdr, "exact": exact}
        options |= {"words": words, "said": said, "k": k, "under": under, "filters": filters}
        request = make_request(self.open(), *parts, spans=bool(spans), **options)
        hits = [hit for answer in self.answers(request) for hit in answer.hits]
        if not (spans and hits):
            return hits
        locator = self.locator(request.queries, None if isinstance(spans, bool) else spans)
        return locator.with_spans(hits, self.clip, self._on_problem)

    def answers(
        self, request: Request, *, memory: TextMemory | None = None, check: Callable[[], None] | None = None
    ) -> Iterator[Answer]:
        """Yield the answer to each query of a request. The store is opened at once, the rest when it is needed.

        Args:
            request: What is asked.
            memory: Remembers the embeddings of texts instead of the store.
            check: Called before each text or window is embedded. What it raises ends the work.
        """
        from pe_search.search.searching import RememberingEmbedder, search

        store, model = self.open(), self.model
        remembered = memory or store.remembered_texts
        embedder = RememberingEmbedder(remembered, model.text_embedder, model.audio_embedder, check)
        return search(store, embedder, request, self._taught())

    def hit_counts(self, request: Request) -> list[int]:
        """The number of hits that each query of a request has with `k=None`."""
        if request.min_probability or request.fdr is not None or request.all_windows or request.has_words:
            return [len(answer.hits) for answer in self.answers(replace(request, k=None))]
        # Every content has a window, and shows by its best.
        held = self.clips(request.under, request.filters) if request.under or request.filters else None
        count = self.status().contents if held is None else len({clip.digest for clip in held})
        return [count] * len(request.queries)

    def word_counts(self, request: Request) -> dict[str, int]:
        """How many hits each of the words that a request wants has by itself, as it was typed."""
        from pe_search.search.searching import count_words

        return count_words(self.open(), request)

    def duplicates(
        self,
        threshold: float = SAME_FROM_COSINE,
        *,
        under: PathLike | None = None,
        filters: Filters | None = None,
        on_progress: Callable[[float], None] = ignore,
    ) -> list[list[Duplicate]]:
        """Return the groups of clips that sound the same. Groups, and clips in them, are in order of path.

        Args:
            threshold: The least cosine of two clips in one group, -1 to 1.
            under: See above.
            filters: Which clips to compare; a clip is compared with all its windows if one of them passes.
            on_progress: Called from time to time with the share that is done, 0 to 1.
        """
        from pe_search.search.duplicates import find_duplicates

        below = self.open().below(under)
        return [*find_duplicates(self.open(), threshold, under=below, filters=filters, on_progress=on_progress)]

    def count(
        self,
        texts: Texts,
        *,
        by: str = "hour",
        of: str = "windows",
        min_probability: float = 0.5,
        under: PathLike | None = None,
        filters: Filters | None = None,
        on_progress: Callable[[float], None] = ignore,
    ) -> Counts:
        """Count the windows or clips that sound like texts, by the time when they were recorded or by folder.

        In each bin a window counts once, and so does a clip, however many clips of the same bytes there are.

        Args:
            texts: What to count. Each text is counted by itself.
            by: `hour` of the day, `day`, `day-hour`, which is both, `month` or `folder`.
            of: `windows` or `clips`. A clip counts in each bin in which one of its windows does.
            min_probability: The least probability of a window that counts.
            under: See above.
            filters: Which clips and windows to count.
            on_progress: Called from time to time with the share that is done, 0 to 1.

        Raises:
            QueryError: If there is no text, one is empty, or a filter is not valid.
        """
        from pe_search.queries import Query
        from pe_search.search.composing import compose
        from pe_search.search.counting import count

        store, wanted = self.open(), texts_of(texts)
        return count(
            store,
            wanted,
            compose([Query(texts=(text,)) for text in wanted], store, self._embedder(), self._taught()),
            by=by,
            of=of,
            min_probability=min_probability,
            under=store.below(under),
            filters=filters,
            on_progress=on_progress,
            others=self._all_held()[1:],
        )

    def check_unchanged(self, path: PathLike) -> None:
        """Raise an `AudioError` if a clip is gone, can't be read, or has changed since it was indexed."""
        from pe_search.spans.locating import check_unchanged

        check_unchanged(self.open().clip_at(path), self.clip)

    def verify(self, sample: int = 20) -> Verification:
        """Embed some files again, always the same ones, and compare them with the store."""
        from pe_search.tasks.verifying import verify

        return verify(self.open(), self.model.audio_embedder, sample)

    @contextmanager
    def _store_of(
        self, _annotations: Annotations, _on_embedding: OnProgress, _on_problem: OnProblem
    ) -> Iterator[Store]:
        yield self.open()

    def _embedder(self) -> QueryEmbedder:
        from pe_search.search.searching import RememberingEmbedder

        return RememberingEmbedder(self.open().remembered_texts, self.model.text_embedder, self.model.audio_embedder)

    def _transcripts_store(self) -> AbstractContextManager[Store | None]:
        return nullcontext() if self._manifest() is None else self._writer()

    def _taught_to(self, _store: Store) -> Sequence[Store]:
        return self._taught()

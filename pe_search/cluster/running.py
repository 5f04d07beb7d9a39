"""A run of `index` whose clips are embedded by the workers of a Ray runtime."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pe_search.cluster.blocks import BlockResult, Board, Setup, in_blocks
from pe_search.cluster.driver import connected, need_ray
from pe_search.errors import ClusterError, StoreError
from pe_search.model import Model
from pe_search.records import Clip, Content, Problem
from pe_search.reports import KeptPart, Progress
from pe_search.store import Store
from pe_search.tasks import indexing
from pe_search.tasks.destination import InStore, Times
from pe_search.tasks.indexing import OnProblem, OnProgress
from pe_search.tasks.pieces import Gathered, Pieces
from pe_search.trust import trusted

if TYPE_CHECKING:
    from pe_search.pe_audio.checkpoint import Checkpoint

_TELL_EVERY_S = 1.0
_NO_FILE = os.strerror(errno.ENOENT)
_NOT_HERE = (
    "its embeddings are not in {folder}, or damaged; put the store on a file system that all machines share, and run "
    "the same command again"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which workers a run is to have.

    Attributes:
        workers: `ray`, or the address of a runtime.
        worker_cpus: CPUs of each; None as in `runtime.connected`.
        may_fetch: As in `Setup`; so are the others.
        device: See above.
        dtype: See above.
        weights_bytes: Size of the checkpoint.
    """

    workers: str
    worker_cpus: int | None
    may_fetch: bool
    device: str
    dtype: str
    weights_bytes: int


class RayWork:
    """The `Work` of a run, done by Ray workers. What they embed comes in files, which this process commits.

    Args:
        wish: Which workers.
        store: Opened for writing.
        on_progress: As in `run_index`; called in this thread when a block has ended, and in another one meanwhile.
        on_problem: As in `run_index`.
    """

    def __init__(self, wish: Wish, store: Store, on_progress: OnProgress, on_problem: OnProblem) -> None:
        self.clips = 0
        self.windows = 0
        self.audio_s = 0.0
        self.recognised = 0
        self.incomplete = 0
        self.problems: list[Problem] = []
        self.runtime: str | None = None
        self._wish = wish
        self._store = store
        self._on_progress = on_progress
        self._on_problem = on_problem
        self._pieces = Pieces(store.directory, store.manifest.dimension)
        self._run = os.urandom(16).hex()
        self._board = Board(self._pieces.folder, self._run)
        self._destination: InStore | None = None
        self._begun: dict[bytes, Times] = {}
        self._waiting: list[BlockResult] = []
        self._done = Progress(0, 0, 0.0)
        self._workers = 0
        self._ended: set[int] = set()
        self._lock = threading.Lock()

    def report(self, problem: Problem) -> None:
        """See `Work`; so below."""
        self.problems.append(problem)
        self._on_problem(problem)

    def run(self, clips: Sequence[Clip]) -> None:
        """See above."""
        wish, catalog, manifest = self._wish, self._store.catalog, self._store.manifest
        with connected(wish.workers, worker_cpus=wish.worker_cpus, weights_bytes=wish.weights_bytes) as runtime:
            begun = catalog.begun_times()
            self._begun = dict(begun)
            self._pieces.clear()
            self._board.begin(catalog.digests(), catalog.missing_by_digest(), begun)
            self._destination = InStore(self._store)
            setup = Setup(
                directory=self._store.directory,
                run=self._run,
                model=manifest.model,
                revision=manifest.revision,
                may_fetch=wish.may_fetch,
                device=wish.device,
                dtype=wish.dtype,
                dimension=manifest.dimension,
                window_s=manifest.window_s,
                hop_s=manifest.hop_s,
                hearing=manifest.hearing,
                threads=runtime.share.cpus,
                commit_every_s=indexing.COMMIT_EVERY_S,
                trusted=trusted(),
            )
            committed_s = time.monotonic()
            blocks = in_blocks(clips, runtime.share.workers)
            self._workers = min(runtime.share.workers, len(blocks))
            with self._telling(), closing(runtime.results(setup, blocks)) as results:
                for result in results:
                    self._take(result)
                    if time.monotonic() - committed_s >= indexing.COMMIT_EVERY_S:
                        self._commit()
                        self._store.finder.keep_up()
                        committed_s = time.monotonic()

    def commit(self) -> None:
        """See above."""
        if self._destination is None:
            return
        self._commit()
        # What is there of blocks that did not come to their end: an interrupted run keeps it too.
        for digest in self._pieces.digests():
            gathered = self._gather(digest)
            if gathered is None or self._destination.is_held(digest):
                continue
            clips = [(clip, digest) for clip in gathered.clips[:1]] if gathered.content.is_whole else []
            self._destination.commit([gathered.content], clips, [])
            self._count(gathered.content)
            self.clips += len(clips)
        self._pieces.clear()

    def kept_parts(self) -> tuple[KeptPart, ...]:
        """Nothing is known of them here: they are the workers' own."""
        return ()

    def _take(self, result: BlockResult) -> None:
        if result.error is not None:
            raise ClusterError(f"{result.machine}: {result.error}")
        self._refuse_blind(result)
        with self._lock:
            self._ended.add(result.block)
            done, more = self._done, result.progress
            self._done = Progress(
                done.bytes_done + more.bytes_done,
                0,
                done.audio_s + more.audio_s,
                done.bytes_skipped + more.bytes_skipped,
                done.clips_done + more.clips_done,
            )
        self._board.end(result.block)
        if result.runtime is not None:
            many = f"{self._workers:,} Ray workers, each" if self._workers != 1 else "one Ray worker"
            self.runtime = f"{many} on {result.runtime}"
        for problem in result.told:
            self._on_problem(problem)
        self.problems += result.problems
        self.incomplete += result.incomplete
        self._waiting.append(result)
        self._tell()

    @staticmethod
    def _refuse_blind(result: BlockResult) -> None:
        """Raise a `ClusterError` if a machine sees none of the clips of a block that are here."""
        if result.problems and not result.clips:
            path = result.problems[0].path
            if all(problem.reason == _NO_FILE for problem in result.problems) and path.exists():
                raise ClusterError(f"{result.machine}: {path}: {_NO_FILE}. The run sees it: all machines must.")

    def _commit(self) -> None:
        """Commit all blocks that came to their ends."""
        destination = self._destination
        assert destination is not None
        contents: dict[bytes, Content] = {}
        clips: list[tuple[Clip, bytes]] = []
        for result in self._waiting:
            for digest in result.dropped:
                if self._begun.pop(digest, None):
                    destination.drop_begun(digest)
            for clip, digest in result.clips:
                if destination.is_held(digest) or digest in contents:
                    self.recognised += 1
                elif (gathered := self._gather(digest)) is not None and gathered.content.is_whole:
                    contents[digest] = gathered.content
                    self._count(gathered.content)
                    self.clips += 1
                else:
                    self.report(Problem(clip.path, _NOT_HERE.format(folder=self._pieces.folder)))
                    continue
                clips.append((clip, digest))
        left_out = [one for result in self._waiting for one in result.left_out]
        if contents or clips or left_out:
            destination.commit([*contents.values()], clips, left_out)
        self._board.add_committed((content.digest, content.missing) for content in contents.values())
        for digest in contents:
            self._pieces.drop(digest)
        self._waiting.clear()

    def _gather(self, digest: bytes) -> Gathered | None:
        """What the pieces of a content come to, with what the store holds of it; None if there are none."""
        try:
            return self._pieces.gather(digest, len(self._begun.get(digest, ())))
        except StoreError:
            # Its machine may have lost power before it was on a disk. It costs no more than to embed it again.
            self._pieces.drop(digest)
            return None

    def _count(self, content: Content) -> None:
        begun = self._begun.get(content.digest)
        self.windows += len(content.times)
        self.audio_s += content.times[-1][1] - (begun[-1][1] if begun else 0.0)

    def _tell(self) -> None:
        with self._lock:
            done, ended = self._done, set(self._ended)
        at_work = [progress for block, progress in self._board.told() if block not in ended]
        self._on_progress(_sum([done, *at_work], self._board.living()))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell in another thread how far the workers are, until the end of the `with` block."""
        is_over = threading.Event()

        def tell() -> None:
            while not is_over.wait(_TELL_EVERY_S):
                self._tell()

        thread = threading.Thread(target=tell, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


def ray_work(
    workers: str, worker_cpus: int | None, model: Model
) -> Callable[[Store, Checkpoint, OnProgress, OnProblem], RayWork]:
    """What makes the work of a run that Ray workers do, as `index_paths` takes it.

    Args:
        workers: As in `Wish`.
        worker_cpus: As in `Wish`.
        model: The store's.

    Raises:
        MissingExtraError: If Ray isn't installed.
    """
    need_ray()

    def make(store: Store, checkpoint: Checkpoint, on_progress: OnProgress, on_problem: OnProblem) -> RayWork:
        loaded, may_fetch, size_bytes = model.loaded, model.may_fetch, checkpoint.weights_bytes()
        wish = Wish(workers, worker_cpus, may_fetch, loaded.device, loaded.dtype, size_bytes)
        return RayWork(wish, store, on_progress, on_problem)

    return make


def _sum(several: Sequence[Progress], workers: int) -> Progress:
    return Progress(
        bytes_done=sum(one.bytes_done for one in several),
        bytes_total=0,
        audio_s=sum(one.audio_s for one in several),
        bytes_skipped=sum(one.bytes_skipped for one in several),
        clips_done=sum(one.clips_done for one in several),
        workers=workers,
    )

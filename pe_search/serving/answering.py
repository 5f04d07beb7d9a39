"""Answer requests in a few threads, with the store and its text tower kept open from one to the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import PeSearchError
from pe_search.pe_audio.text_embedder import load_text_embedder
from pe_search.records import Problem, Request
from pe_search.search.composing import TextEmbedder, WindowEmbedder
from pe_search.search.searching import RememberingEmbedder, search
from pe_search.serving.lines import Answer
from pe_search.store import Manifest, RememberedTexts, Store

# One that takes long, as the first of a large text tower may, leaves the others to the rest.
_THREADS = 4
_MOST_REQUESTS = 32
_MOST_UNWRITTEN = 1_000
# What one request may ask for: hits in all, and windows that an exact search goes through for all queries together. As
# many windows are those of a hundred queries to the largest store that is always searched from end to end.
MOST_HITS = 10_000
_MOST_WINDOWS = 25_000_000
# How long to wait in the end for what is being answered. It stops by itself between two texts, windows or queries.
_LAST_WAIT_S = 0.2

T = TypeVar("T")


class BusyError(Exception):
    """There are as many requests already as can be taken on."""


class StoppedError(Exception):
    """Nobody waits for the answer any more, or the server ends."""


class TooMuchError(PeSearchError):
    """More is asked for than one request may."""


class _LateMemory:
    """What a store was asked before; new texts are kept here, for nobody should wait until they are written.

    Args:
        remembered: The store's.

    Attributes:
        new: Embeddings of new texts.
    """

    def __init__(self, remembered: RememberedTexts) -> None:
        self._remembered = remembered
        self.new: dict[str, NDArray[np.float32]] = {}

    def recall(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """As `RememberedTexts.recall`."""
        return self._remembered.recall(texts)

    def remember(self, embeddings: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep them as `new`."""
        self.new.update(embeddings)


class _Kept(Generic[T]):
    """Keeps what was loaded for the checkpoint that was asked for last.

    Args:
        load: Called once for each, by one thread at a time.
    """

    def __init__(self, load: Callable[[Manifest], T]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], T] = {}

    def of(self, manifest: Manifest) -> T:
        """What is loaded for a store with this manifest."""
        checkpoint = manifest.model, manifest.revision
        with self._lock:
            if checkpoint not in self._kept:
                # The other goes first, since each may take gigabytes.
                self._kept.clear()
                self._kept[checkpoint] = self._load(manifest)
            return self._kept[checkpoint]


class _OneAtATime:
    """Lets one thread at a time embed windows: each takes all cores by itself."""

    def __init__(self, embedder: WindowEmbedder) -> None:
        self._embedder = embedder
        self._lock = threading.Lock()

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """As `Embedder.embed_windows`."""
        with self._lock:
            return self._embedder.embed_windows(windows)


class _TextsWhileWanted:
    """Embeds one text after the other, for as long as somebody waits for it.

    Args:
        embedder: Of texts.
        check: Called before each; raises if nobody does.
    """

    def __init__(self, embedder: TextEmbedder, check: Callable[[], None]) -> None:
        self._embedder = embedder
        self._check = check

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `TextEmbedder.embed_texts`."""
        embeddings = []
        for text in texts:
            self._check()
            embeddings.append(self._embedder.embed_texts([text]))
        return np.concatenate(embeddings)


class _WindowsWhileWanted:
    """As `_TextsWhileWanted`, for windows."""

    def __init__(self, embedder: WindowEmbedder, check: Callable[[], None]) -> None:
        self._embedder = embedder
        self._check = check

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """As `WindowEmbedder.embed_windows`."""
        self._check()
        return self._embedder.embed_windows(windows)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A store that is open, and what is amiss with it that nobody was told yet."""

    store: Store
    stack: ExitStack
    problems: list[Problem]


class Answering:
    """Answers requests about one store. Use it in a `with` statement.

    Any number of threads may ask. Each request is answered from the last commit of whatever store is at that place.

    Args:
        directory: The store's.
        cache: The user's cache directory for pe-search.
        on_compile: Called when a large text tower is about to be compiled.
    """

    def __init__(self, directory: Path, cache: Path, on_compile: Callable[[], None]) -> None:
        self._directory = directory
        self._cache = cache
        self._on_compile = on_compile
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="answering")
        self._lock = threading.Lock()
        self._resting: list[_Opened] = []
        self._requests = 0
        self._running: set[Future[None]] = set()
        self._is_stopping = False
        self._unwritten: dict[tuple[str, str], tuple[RememberedTexts, dict[str, NDArray[np.float32]]]] = {}
        self._used_at_s = time.monotonic()
        self._text_embedder = _Kept(self._load_text_embedder)
        self._window_embedder = _Kept(_load_window_embedder)

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait(set(self._running), _LAST_WAIT_S)
        self._close_resting()
        self._write_texts()

    def stop(self) -> None:
        """Let nothing begin any more, and what is being answered stop where it can."""
        self._is_stopping = True

    @property
    def is_at_work(self) -> bool:
        """Whether a thread is in the middle of something that can't be stopped. Python doesn't end before it does."""
        return bool(self._running)

    def warm_up(self) -> Future[None]:
        """Have the store opened and its text tower loaded, so that the first request waits for neither.

        Returns:
            What is done when that is done. It has a `PeSearchError` if there is no store, or its checkpoint can't be
            loaded.
        """
        return self._start(self._warm_up)

    def submit(
        self, request: Request, deliver: Callable[[Answer], None], is_wanted: Callable[[], bool] = lambda: True
    ) -> Future[None]:
        """Have a request answered.

        Args:
            request: What is asked.
            deliver: Called by another thread with each query's answer in turn. It may raise `StoppedError`.
            is_wanted: Whether somebody still waits for the answer; asked before each text, window and query.

        Returns:
            What is done when all is answered. It has the exception if something failed: `StoppedError` if nobody waits
            any more or the server ends, `TooMuchError` if more is asked for than one request may.

        Raises:
            BusyError: If too many are being answered or waiting already.
        """
        with self._lock:
            if self._requests >= _MOST_REQUESTS:
                raise BusyError
            self._requests += 1
        work = self._start(lambda: self._answer(request, deliver, is_wanted))
        # However it ends: one that is taken back while it waits is never begun.
        work.add_done_callback(self._count_out)
        return work

    @property
    def unused_s(self) -> float:
        """For how long nothing was asked; 0 while something is being answered."""
        with self._lock:
            return 0.0 if self._requests else time.monotonic() - self._used_at_s

    def _start(self, work: Callable[[], None]) -> Future[None]:
        future = self._pool.submit(work)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def _count_out(self, _work: Future[None]) -> None:
        with self._lock:
            self._requests -= 1
            self._used_at_s = time.monotonic()

    def _warm_up(self) -> None:
        with self._opened() as opened:
            self._text_embedder.of(opened.store.manifest)

    def _answer(self, request: Request, deliver: Callable[[Answer], None], is_wanted: Callable[[], bool]) -> None:
        def check() -> None:
            if self._is_stopping or not is_wanted():
                raise StoppedError

        check()
        with self._opened() as opened:
            store = opened.store
            _refuse_too_much(store, request)
            memory = _LateMemory(store.remembered_texts)
            embedder = RememberingEmbedder(
                memory,
                lambda: _TextsWhileWanted(self._text_embedder.of(store.manifest), check),
                lambda: _WindowsWhileWanted(self._window_embedder.of(store.manifest), check),
            )
            try:
                for hits in search(store, embedder, request):
                    check()
                    deliver(Answer(tuple(hits), tuple(opened.problems)))
                    opened.problems.clear()
            finally:
                # Who asked may be gone by now; who asks next has the same texts sooner.
                self._remember(store, memory.new)

    def _remember(self, store: Store, new: Mapping[str, NDArray[np.float32]]) -> None:
        """Write new texts down once nobody waits for an answer, all that there are in one go."""
        with self._lock:
            _, kept = self._unwritten.setdefault(
                (store.manifest.model, store.manifest.revision), (store.remembered_texts, {})
            )
            kept.update(new)
            if self._requests > 1 and len(kept) < _MOST_UNWRITTEN:
                return
        self._write_texts()

    def _write_texts(self) -> None:
        with self._lock:
            unwritten, self._unwritten = self._unwritten, {}
        for remembered, new in unwritten.values():
            remembered.remember(new)

    @contextmanager
    def _opened(self) -> Iterator[_Opened]:
        """The store, for one thread at a time."""
        with self._lock:
            opened = self._resting.pop() if self._resting else None
        if opened is not None and not opened.store.is_as_opened():
            opened.stack.close()
            # The others are of the same time or older.
            self._close_resting()
            opened = None
        if opened is None:
            problems: list[Problem] = []
            stack = ExitStack()
            opened = _Opened(
                stack.enter_context(Store.open(self._directory, on_problem=problems.append)), stack, problems
            )
        try:
            yield opened
        except BaseException:
            opened.stack.close()
            raise
        with self._lock:
            self._resting.append(opened)

    def _close_resting(self) -> None:
        with self._lock:
            resting, self._resting = self._resting, []
        for opened in resting:
            opened.stack.close()

    def _load_text_embedder(self, manifest: Manifest) -> TextEmbedder:
        return load_text_embedder(manifest.model, manifest.revision, self._cache, self._on_compile)


def _refuse_too_much(store: Store, request: Request) -> None:
    queries = len(request.queries)
    # To count the windows of a large store takes a moment, and few requests come near a bound.
    if queries * request.k > MOST_HITS and queries * min(request.k, store.window_count()) > MOST_HITS:
        raise TooMuchError(
            f"{queries:,} queries for {request.k:,} hits each are more than {MOST_HITS:,} hits; ask for fewer at once."
        )
    if request.exact and queries > 1 and queries * store.window_count() > _MOST_WINDOWS:
        raise TooMuchError(
            f"{queries:,} exact queries here go through more than {_MOST_WINDOWS:,} windows; ask fewer at once."
        )


def _load_window_embedder(manifest: Manifest) -> WindowEmbedder:
    from pe_search.pe_audio.checkpoint import find_same_checkpoint
    from pe_search.pe_audio.embedder import Embedder

    return _OneAtATime(Embedder(find_same_checkpoint(manifest.model, manifest.revision)))

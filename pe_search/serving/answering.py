"""Reply requests in a few threads, with the store and its text tower kept open from one to the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import PeSearchError
from pe_search.libraries import Libraries
from pe_search.library import Library
from pe_search.queries import FUSED_FROM_EACH, Hit, Request
from pe_search.records import Problem
from pe_search.serving.lines import Reply

if TYPE_CHECKING:
    from pe_search.known.fields import Field
    from pe_search.store import RememberedTexts

_Made = TypeVar("_Made")

# One that takes long, as the first of a large text tower may, leaves the others to the rest.
_THREADS = 4
# Pictures and playable parts of clips, which no answer should wait for.
_OTHER_THREADS = 2
# What takes minutes, and nobody waits for.
_LONG_THREADS = 1
MOST_REQUESTS = 32
_MOST_UNWRITTEN = 1_000
# What one request may ask for: hits in all, and windows that an exact search goes through for all queries together. As
# many windows are those of a hundred queries to the largest store that is always searched from end to end.
MOST_HITS = 10_000
_MOST_WINDOWS = 25_000_000
# How long to wait in the end for what is being answered. It stops by itself between two texts, windows or queries.
_LAST_WAIT_S = 0.2


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


@dataclass(frozen=True, slots=True)
class _Opened:
    """A library that is open, and what is amiss with its store that nobody was told yet."""

    library: Library
    problems: list[Problem]


class Answering:
    """Answers requests about one store, or several that are asked as one. Use it in a `with` statement.

    Any number of threads may ask. Each request is answered from the last commit of whatever store is at that place.

    Args:
        directory: The store's.
        on_compile: Called when a large text tower is about to be compiled.
        others: More stores, made with the same checkpoint.

    Attributes:
        directories: The stores'.
    """

    def __init__(self, directory: Path, on_compile: Callable[[], None], others: Sequence[Path] = ()) -> None:
        self.directories = (directory, *others)
        # All threads share what is loaded.
        self._loaded = Library(directory, on_compile=on_compile).model.loaded
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="answering")
        self._others = ThreadPoolExecutor(_OTHER_THREADS, thread_name_prefix="working")
        self._long = ThreadPoolExecutor(_LONG_THREADS, thread_name_prefix="aside")
        self._lock = threading.Lock()
        self._resting: list[_Opened] = []
        self._requests = 0
        self._running: set[Future[Any]] = set()
        self._is_stopping = False
        self._unwritten: dict[tuple[str, str], tuple[RememberedTexts, dict[str, NDArray[np.float32]]]] = {}
        self._used_at_s = time.monotonic()

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for pool in (self._pool, self._others, self._long):
            pool.shutdown(wait=False, cancel_futures=True)
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
        self, request: Request, deliver: Callable[[Reply], None], is_wanted: Callable[[], bool] = lambda: True
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
        return self._counted(lambda: self._answer(request, deliver, is_wanted), self._pool)

    def work(self, do: Callable[[Library], _Made]) -> Future[_Made]:
        """Have something else done with the library, as a picture of a clip, beside what is being answered.

        Args:
            do: Called by another thread with the library, which is open.

        Returns:
            What is done when that is done, with what it returned or raised.

        Raises:
            BusyError: If too many wait already.
        """

        def with_library() -> _Made:
            if self._is_stopping:
                raise StoppedError
            with self._opened() as opened:
                return do(opened.library)

        return self._counted(with_library, self._others)

    def aside(self, do: Callable[[Library, Callable[[], None]], _Made]) -> Future[_Made]:
        """Have something done with the library that may take minutes: one at a time, and no request waits for it.

        Args:
            do: Called by another thread with the library, which is open, and with what it has to call several times a
                second: that raises `StoppedError` once the server ends.

        Returns:
            As `work`.
        """

        def check() -> None:
            if self._is_stopping:
                raise StoppedError

        def with_library() -> _Made:
            check()
            with self._opened() as opened:
                return do(opened.library, check)

        return self._start(with_library, self._long)

    def describe(self, hits: Sequence[Hit], fields: Sequence[Field]) -> Future[list[dict[str, Any]]]:
        """Have rows made of hits, as `Listener.rows`.

        Returns:
            What is done when they are made, with the rows. It has a `PeSearchError` if the store can't be read.

        Raises:
            StoppedError: If the server ends.
        """
        if self._is_stopping:
            raise StoppedError

        def rows() -> list[dict[str, Any]]:
            with self._opened() as opened:
                return list(opened.library.describer(fields).rows(hits))

        return self._start(rows)

    @property
    def unused_s(self) -> float:
        """For how long nothing was asked; 0 while something is being answered."""
        with self._lock:
            return 0.0 if self._requests else time.monotonic() - self._used_at_s

    def _counted(self, work: Callable[[], _Made], pool: ThreadPoolExecutor) -> Future[_Made]:
        with self._lock:
            if self._requests >= MOST_REQUESTS:
                raise BusyError
            self._requests += 1
        future = self._start(work, pool)
        # However it ends: one that is taken back while it waits is never begun.
        future.add_done_callback(self._count_out)
        return future

    def _start(self, work: Callable[[], _Made], pool: ThreadPoolExecutor | None = None) -> Future[_Made]:
        future = (pool or self._pool).submit(work)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def _count_out(self, _work: Future[Any]) -> None:
        with self._lock:
            self._requests -= 1
            self._used_at_s = time.monotonic()

    def _warm_up(self) -> None:
        with self._opened() as opened:
            opened.library.model.text_embedder()

    def _answer(self, request: Request, deliver: Callable[[Reply], None], is_wanted: Callable[[], bool]) -> None:
        def check() -> None:
            if self._is_stopping or not is_wanted():
                raise StoppedError

        check()
        with self._opened() as opened:
            library = opened.library
            _refuse_too_much(library, request)
            memory = _LateMemory(library.remembered_texts)
            try:
                for answer in library.answers(request, memory=memory, check=check):
                    check()
                    deliver(Reply(answer.hits, tuple(opened.problems)))
                    opened.problems.clear()
            finally:
                # Who asked may be gone by now; who asks next has the same texts sooner.
                self._remember(library, memory.new)

    def _remember(self, library: Library, new: Mapping[str, NDArray[np.float32]]) -> None:
        """Write new texts down once nobody waits for an answer, all that there are in one go."""
        with self._lock:
            _, kept = self._unwritten.setdefault(
                (library.manifest.model, library.manifest.revision), (library.remembered_texts, {})
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
        if opened is not None and not opened.library.is_current():
            opened.library.close()
            # The others are of the same time or older.
            self._close_resting()
            opened = None
        if opened is None:
            problems: list[Problem] = []
            options: Any = {"loaded": self._loaded, "on_problem": problems.append}
            first, *others = self.directories
            library = Libraries(self.directories, **options) if others else Library(first, **options)
            opened = _Opened(library, problems)
            opened.library.open()
        try:
            yield opened
        except BaseException:
            opened.library.close()
            raise
        with self._lock:
            self._resting.append(opened)

    def _close_resting(self) -> None:
        with self._lock:
            resting, self._resting = self._resting, []
        for opened in resting:
            opened.library.close()


def _refuse_too_much(library: Library, request: Request) -> None:
    queries = len(request.queries)
    # To count the windows of a large store takes a moment, and few requests come near a bound.
    k = request.k
    if k is not None and request.has_words and request.is_part:
        # It has all of both rankings that counts.
        k = 2 * max(k, FUSED_FROM_EACH)
    if k is None or queries * k > MOST_HITS:
        hits = library.window_count() if k is None else min(k, library.window_count())
        if queries * hits > MOST_HITS:
            asked = "all" if request.k is None else f"{request.k:,}"
            raise TooMuchError(
                f"{queries:,} queries for {asked} hits each are more than {MOST_HITS:,} hits; ask for fewer at once."
            )
    if request.exact and queries > 1 and queries * library.window_count() > _MOST_WINDOWS:
        raise TooMuchError(
            f"{queries:,} exact queries here go through more than {_MOST_WINDOWS:,} windows; ask fewer at once."
        )

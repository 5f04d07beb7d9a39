"""Keep a store up to date with what changes on disk: one run of `index` for each burst of changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event

from pe_search.errors import StoreBusyError, StoreError
from pe_search.reports import IndexSummary

# A file that has not changed for so long is whole: no program that copies or records waits longer between two writes.
_QUIET_S = 1.0
# How long another process that writes to the store is waited for before each new attempt.
_BUSY_S = 2.0
# A burst ends when nothing has changed for this long, or after the other.
_STEP_MS = 400
_LONGEST_BURST_MS = 10_000
_LOOK_EVERY_MS = 500


def watch(
    run: Callable[[], IndexSummary], roots: Sequence[Path], besides: Path, stop: Event | None = None
) -> Iterator[IndexSummary]:
    """Run at once, and again after each burst of changes below the roots.

    Nothing that changes meanwhile is missed. A file that is still being written to is waited for.

    Args:
        run: Brings the store up to date. While another process writes to the store, it is tried again.
        roots: Folders and files; those that are missing are not watched.
        besides: The store's directory, in which changes don't count.
        stop: Ends it once it is set; it may be set by another thread.

    Yields:
        What each run did.

    Raises:
        StoreError: If none of the roots is there.
    """
    from watchfiles import watch as changes_in

    there = [root for root in roots if root.exists()]
    if not there:
        raise StoreError("There is nothing to watch: name a folder that is there.")
    stop = stop or Event()
    bursts = changes_in(
        *there,
        watch_filter=lambda _change, path: not _is_below(path, besides),
        debounce=_LONGEST_BURST_MS,
        step=_STEP_MS,
        stop_event=stop,
        rust_timeout=_LOOK_EVERY_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    # The first comes when the system has begun to watch, so that no change falls between that and the first run.
    next(bursts, None)
    yield _when_free(run, stop)
    for burst in bursts:
        if burst:
            _wait_until_whole([path for _, path in burst], stop)
            yield _when_free(run, stop)


def _is_below(path: str, folder: Path) -> bool:
    return Path(path).is_relative_to(folder)


def _when_free(run: Callable[[], IndexSummary], stop: Event) -> IndexSummary:
    while True:
        try:
            return run()
        except StoreBusyError:
            if stop.wait(_BUSY_S):
                raise


def _wait_until_whole(paths: Iterable[str], stop: Event) -> None:
    paths = list(paths)
    before = None
    while before != (now := [_state(path) for path in paths]) and not stop.wait(_QUIET_S):
        before = now


def _state(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 (many, see `audio.find.Found`)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns

"""`index --watch`: a line for each run that changed something, until Ctrl-C."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.cli.output.index_summary import say_summary
from pe_search.cli.output.messages import say
from pe_search.cli.output.progress import ProgressBar
from pe_search.directories import shown_store

if TYPE_CHECKING:
    from pe_search.library import Library
    from pe_search.reports import IndexSummary


def watch_and_say(
    library: Library,
    paths: Sequence[Path] | None,
    exclude: Sequence[str],
    bar: ProgressBar,
    *,
    zone: str | None,
    is_to_serve: bool,
) -> None:
    """Keep a store up to date until Ctrl-C, and say what each run changed; the first one has a bar."""
    started_s = time.monotonic()
    with suppress(KeyboardInterrupt):
        with bar:
            first = library.index(paths, exclude=exclude, zone=zone, on_progress=bar.show)
        _say(library, first, time.monotonic() - started_s)
        if first.is_interrupted:
            return
        with _server(library.directory) if is_to_serve else nullcontext():
            for number, summary in enumerate(library.watch(paths, exclude=exclude)):
                if summary.is_interrupted:
                    return
                if number == 0:
                    say("Watching for changes. Ctrl-C ends it.")
                if summary.clips or summary.recognised or summary.removed or summary.problems or summary.incomplete:
                    _say(library, summary, None)


def _say(library: Library, summary: IndexSummary, elapsed_s: float | None) -> None:
    say_summary(summary, library.directory, elapsed_s, library.model.loaded.audio_runtime if summary.windows else None)


@contextmanager
def _server(directory: Path) -> Iterator[None]:
    """A server of the store, which says itself when it is ready, or why it can't be."""
    command = [sys.executable, "-m", "pe_search", "serve", "--idle", "0", "--store", shown_store(directory)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=sys.stderr) as server:
        try:
            yield
        finally:
            server.terminate()

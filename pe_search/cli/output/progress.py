"""A progress bar on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from pe_search.clock import clock

if TYPE_CHECKING:
    from rich.progress import Progress


class ProgressBar:
    """A bar on stderr if that is a terminal and there is something to do; use it in a `with` statement.

    Args:
        doing: What is going on, in a word.
        total: How much there is to do, as `show` counts it: for clips that are to be read, their bytes.
    """

    def __init__(self, doing: str, total: float) -> None:
        self._bar: Progress | None = None
        self._started_s = time.monotonic()
        if not (sys.stderr.isatty() and total):
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn(doing),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[audio]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            # Rich would send what is written to stdout meanwhile to stderr.
            redirect_stdout=False,
        )
        self._task = self._bar.add_task("", total=total, audio="")

    def __enter__(self) -> ProgressBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hide()

    def show(self, done: float, audio_s: float | None = None) -> None:
        """Show how much is done, and how many seconds of audio were embedded if that is what takes the time."""
        if self._bar is not None:
            audio = ""
            if audio_s is not None:
                speed = audio_s / max(time.monotonic() - self._started_s, 1e-3)
                audio = f"{clock(round(audio_s))} of audio  {speed:,.1f} h/h"
            self._bar.update(self._task, completed=done, audio=audio)
            self._bar.start()

    def hide(self) -> None:
        """Make room for other output, until there is more to show."""
        if self._bar is not None:
            self._bar.stop()

"""A progress bar on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from pe_search.clock import clock

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from pe_search.reports import Progress


class ProgressBar:
    """A bar on stderr if that is a terminal and there is something to do; use it in a `with` statement.

    Args:
        doing: What is going on, in a word.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._bar: RichProgress | None = None
        self._started_s = time.monotonic()
        self._total = 0.0

    def _begin(self, total: float) -> None:
        self._total = total
        self._started_s = time.monotonic()
        if not (sys.stderr.isatty() and total):
            return
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn(self._doing),
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
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def show(self, progress: Progress) -> None:
        """Show how far a run through clips has come; the bar appears with the first call."""
        self.show_share(progress.bytes_done, progress.bytes_total, progress.audio_s)

    def show_share(self, done: float, total: float = 1.0, audio_s: float | None = None) -> None:
        """Show how much is done of how much, and how many seconds of audio went through the model, if any do."""
        if total != self._total:
            self._begin(total)
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

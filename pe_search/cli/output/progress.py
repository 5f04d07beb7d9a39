"""A progress bar on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pe_search.cli.output.messages import counted
from pe_search.clock import clock

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from pe_search.reports import Progress

# Below this many columns there is room for the bar, the share and the time that is left.
_WIDE = 70


class ProgressBar:
    """A bar on stderr if that is a terminal and there is something to do; use it in a `with` statement.

    Args:
        doing: What is going on, in a word.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._bar: RichProgress | None = None
        self._total: float | None = None
        self._started_s = time.monotonic()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    @contextmanager
    def loading(self, checkpoint: object) -> Iterator[None]:
        """Show that a model is being loaded, as a `Loading` of the library; None is for one that is loaded at once."""
        if checkpoint is None:
            yield
            return
        was_shown = self._bar is not None and self._bar.live.is_started
        self._update("loading the model")
        if self._bar is not None:
            self._bar.refresh()
        try:
            yield
        finally:
            self._started_s = time.monotonic()
            if was_shown:
                self._update(self._doing)
            else:
                self.hide()

    def show(self, progress: Progress) -> None:
        """Show how far a run through clips has come; the bar appears with the first call.

        What needed no embedding counts as done, and neither for the speed nor for the time that is left.
        """
        if not progress.bytes_total:
            return
        elapsed_s = max(time.monotonic() - self._started_s, 1e-3)
        worked = progress.bytes_done - progress.bytes_skipped
        left_s = (progress.bytes_total - progress.bytes_done) * elapsed_s / worked if worked > 0 else None
        self._update(
            "waiting for workers" if progress.workers == 0 else self._doing,
            progress.bytes_done,
            progress.bytes_total,
            f"{progress.clips_done:,}/{counted(progress.clips, 'clip')}" if progress.clips else "",
            f"{clock(round(progress.audio_s))} of audio  {progress.audio_s / elapsed_s:,.1f} h/h"
            + ("" if progress.workers is None else f"  {counted(progress.workers, 'worker')}"),
            left_s,
        )

    def show_share(self, done: float) -> None:
        """Show how much is done, from 0 to 1."""
        elapsed_s = time.monotonic() - self._started_s
        self._update(self._doing, done, 1.0, left_s=elapsed_s * (1 - done) / done if done else None)

    def hide(self) -> None:
        """Make room for other output, until there is more to show."""
        if self._bar is not None:
            self._bar.stop()

    def _update(
        self,
        doing: str,
        done: float | None = None,
        total: float | None = None,
        clips: str = "",
        audio: str = "",
        left_s: float | None = None,
    ) -> None:
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = _bar()
            self._task = self._bar.add_task("", total=None, doing="", clips="", audio="", left="")
        fields: dict[str, object] = {"doing": doing}
        if done is not None:
            left = "" if left_s is None else f"{clock(round(left_s))} left"
            fields |= {"completed": done, "total": total, "clips": clips, "audio": audio, "left": left}
        self._bar.update(self._task, **fields)  # type: ignore[arg-type]
        self._bar.start()


def _bar() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    def text(field: str) -> TextColumn:
        return TextColumn(f"{{task.fields[{field}]}}", table_column=Column(no_wrap=True))

    console = Console(stderr=True)
    columns: list[ProgressColumn] = [text("doing"), BarColumn(bar_width=None), TaskProgressColumn(show_speed=False)]
    if console.width >= _WIDE:
        columns += [text("clips"), text("audio")]
    # Rich would send what is written to stdout meanwhile to stderr.
    return RichProgress(*columns, text("left"), console=console, transient=True, expand=True, redirect_stdout=False)

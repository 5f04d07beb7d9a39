"""`--copy-to`, `--cut-to` and `--play`: what is done with what was found, beside printing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.output.messages import Problems, counted, say, shown_path
from pe_search.directories import expanded
from pe_search.errors import AudioError, PeSearchError
from pe_search.queries import Hit, Span, Trace
from pe_search.records import Problem

if TYPE_CHECKING:
    from pe_search.listener import Listener


def _a_name(value: str | None) -> str | None:
    """The value as it is, unless it is what a shell variable that was never set leaves behind."""
    if value == "":
        raise typer.BadParameter("must not be empty.")
    return value


CopyToOption = Annotated[
    str | None,
    typer.Option(
        "--copy-to",
        metavar="DIR",
        callback=_a_name,
        rich_help_panel="Take",
        help="Copy the clips to DIR. Nothing is overwritten.",
    ),
]
CutToOption = Annotated[
    str | None,
    typer.Option(
        "--cut-to",
        metavar="DIR",
        callback=_a_name,
        rich_help_panel="Take",
        help="Cut what is shown into FLAC files in DIR.",
    ),
]
PlayOption = Annotated[
    bool,
    typer.Option(
        "--play",
        rich_help_panel="Take",
        help="Play what is shown. Keys pause, repeat, jump and keep.",
    ),
]


class Picks:
    """Takes what was found, beside its being printed.

    Args:
        listener: Copies and cuts.
        copy_to: A folder for copies of the clips; made if need be.
        cut_to: A folder for what is cut out of them; made if need be.
        is_to_play: Whether to play it all in the end. If keys can be pressed, only what is kept by Enter is copied and
            cut.

    Attributes:
        problems: Clips that couldn't be copied, cut or played.

    Raises:
        PeSearchError: If there is nothing to play with, or a folder is a file.
        OSError: If a folder can't be made.
    """

    def __init__(self, listener: Listener, copy_to: str | None, cut_to: str | None, *, is_to_play: bool) -> None:
        self._listener = listener
        self.problems = Problems()
        self._player: list[str] | None = None
        if is_to_play:
            from pe_search.cli.output.player import find_player

            self._player = find_player()
        self._copy_to, self._cut_to = (
            None if folder is None else expanded(Path(folder)) for folder in (copy_to, cut_to)
        )
        for folder in (self._copy_to, self._cut_to):
            if folder is not None:
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except FileExistsError:
                    raise PeSearchError(f"{folder}: is a file, not a folder.") from None
        self._copies: dict[Path, Path] = {}
        self._cuts: set[Path] = set()
        self._to_play: list[tuple[Path, Span | Hit]] = []
        # Where keys can be pressed, only what is kept by Enter is copied and cut.
        self._chooses = is_to_play and sys.stdin.isatty()
        self._chosen: dict[Path, None] = {}
        self._is_unchanged: dict[Path, bool] = {}

    def take_hits(self, hits: Sequence[Hit], check: Callable[[Path], None]) -> None:
        """Take the windows of some hits.

        Args:
            hits: The hits.
            check: Raises an `AudioError` for a clip that has changed since it was indexed, which is not taken then.
        """
        if self._takes_anything:
            self._take((hit.path, hit) for hit in hits if self._may_take(hit.path, check))

    def take_traces(self, traces: Sequence[Trace | None], *, are_hits: bool = False) -> None:
        """Take the spans of some traces.

        Args:
            traces: None stands for a clip that could not be listened to.
            are_hits: Whether to copy a clip though nothing is heard in it, because it is a hit.
        """
        if are_hits:
            self._copy(trace.path for trace in traces if trace is not None and not self._chooses)
        self._take((trace.path, span) for trace in traces if trace is not None for span in trace.spans)

    def finish(self) -> None:
        """Say what was written, and play what is to be played."""
        if self._chooses:
            try:
                self._play()
            finally:
                self._say_what_was_written()
            return
        self._say_what_was_written()
        self._play()

    def _say_what_was_written(self) -> None:
        if self._copy_to is not None:
            say(f"{counted(len(set(self._copies.values())), 'clip')} copied to {self._copy_to}")
        if self._cut_to is not None:
            say(f"{counted(len(self._cuts), 'cut')} written to {self._cut_to}")
        if self._chosen and self._copy_to is None and self._cut_to is None:
            say(f"You kept {counted(len(self._chosen), 'clip')}:")
            for path in self._chosen:
                say(str(path))

    def _play(self) -> None:
        if self._player is not None:
            from pe_search.cli.output.player import play

            speed = self._listener.hearing.speed
            cut = self._listener.cut_wav
            play(self._player, self._to_play, cut, self.problems.report, speed=speed, keep=self._keep)

    def _keep(self, path: Path, span: Span | Hit) -> None:
        self._chosen[path] = None
        self._write([(path, span)])
        say(f"kept  {shown_path(path)}")

    @property
    def _takes_anything(self) -> bool:
        return not (self._copy_to is None and self._cut_to is None and self._player is None)

    def _may_take(self, path: Path, check: Callable[[Path], None]) -> bool:
        if path not in self._is_unchanged:
            self._is_unchanged[path] = False
            with self._leaving_out():
                check(path)
                self._is_unchanged[path] = True
        return self._is_unchanged[path]

    def _take(self, found: Iterable[tuple[Path, Span | Hit]]) -> None:
        in_turn = list(found)
        if not self._chooses:
            self._write(in_turn)
        if self._player is not None:
            self._to_play += in_turn

    def _write(self, found: Iterable[tuple[Path, Span | Hit]]) -> None:
        spans: dict[Path, list[Span | Hit]] = {}
        for path, span in found:
            spans.setdefault(path, []).append(span)
        self._copy(spans)
        if self._cut_to is not None:
            for path in spans:
                with self._leaving_out():
                    self._cuts.update(self._listener.cut(path, spans[path], self._cut_to))

    def _copy(self, paths: Iterable[Path]) -> None:
        if self._copy_to is not None:
            for path in paths:
                if path not in self._copies:
                    with self._leaving_out():
                        self._copies[path] = self._listener.copy(path, self._copy_to)

    @contextmanager
    def _leaving_out(self) -> Iterator[None]:
        try:
            yield
        except AudioError as error:
            self.problems.report(Problem(error.path, error.reason))

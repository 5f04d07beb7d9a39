"""`--copy-to`, `--cut-to` and `--play`: what is done with what was found, beside printing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.messages import counted, say, say_problem
from pe_search.cli.options import expanded
from pe_search.errors import AudioError
from pe_search.records import Clip, Hit, Problem, Span, Trace

CopyToOption = Annotated[
    Path | None, typer.Option("--copy-to", metavar="DIR", help="Copy the clips there, overwriting nothing.")
]
CutToOption = Annotated[
    Path | None,
    typer.Option("--cut-to", metavar="DIR", help="Cut out what is shown, as FLAC files there, overwriting nothing."),
]
Held = Callable[[Path], tuple[Clip, bytes] | None]
PlayOption = Annotated[bool, typer.Option("--play", help="Play what is shown; keys: n next, p previous, q quit.")]


class Picks:
    """Takes what was found as it passes by on its way to be printed.

    Args:
        copy_to: A folder for copies of the clips; made if need be.
        cut_to: A folder for what is cut out of them; made if need be.
        is_to_play: Whether to play it all in the end.

    Attributes:
        problems: Clips that couldn't be copied, cut or played.

    Raises:
        PeSearchError: If there is nothing to play with.
        OSError: If a folder can't be made.
    """

    def __init__(self, copy_to: Path | None, cut_to: Path | None, *, is_to_play: bool) -> None:
        self.problems: list[Problem] = []
        self._player: list[str] | None = None
        if is_to_play:
            from pe_search.cli.play import find_player

            self._player = find_player()
        self._copy_to, self._cut_to = (None if folder is None else expanded(folder) for folder in (copy_to, cut_to))
        for folder in (self._copy_to, self._cut_to):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        self._copies: dict[Path, Path] = {}
        self._cuts: set[Path] = set()
        self._to_play: list[tuple[Path, Span]] = []

    def of_hits(self, answers: Iterable[Sequence[Hit]], held: Held) -> Iterator[Sequence[Hit]]:
        """Pass hits on, and take their windows.

        Args:
            answers: The hits of one query after the other.
            held: Gives a clip as it was when it was indexed, with the digest of its content; one that has changed since
                is not taken.
        """
        for hits in answers:
            if self._takes_anything:
                windows = [(hit.path, Span(hit.start_s, hit.end_s, hit.probability)) for hit in hits]
                is_unchanged = {
                    path: self._is_unchanged(path, held) for path in dict.fromkeys(hit.path for hit in hits)
                }
                self._take([(path, window) for path, window in windows if is_unchanged[path]])
            yield hits

    def of_traces(self, traces: Iterable[Trace | None]) -> None:
        """Take the spans of some traces; None stands for a clip that could not be listened to."""
        self._take([(trace.path, span) for trace in traces if trace is not None for span in trace.spans])

    def finish(self) -> None:
        """Say what was written, and play what is to be played."""
        if self._copy_to is not None:
            say(f"{counted(len(set(self._copies.values())), 'clip')} copied to {self._copy_to}")
        if self._cut_to is not None:
            say(f"{counted(len(self._cuts), 'cut')} written to {self._cut_to}")
        if self._player is not None:
            from pe_search.cli.play import play

            self.problems += play(self._player, self._to_play)

    @property
    def _takes_anything(self) -> bool:
        return not (self._copy_to is None and self._cut_to is None and self._player is None)

    def _is_unchanged(self, path: Path, held: Held) -> bool:
        from pe_search.audio.find import find_clips
        from pe_search.locating import is_as_held

        clip = next(find_clips([path], self._leave_out), None)
        if clip is None:
            return False
        try:
            if is_as_held(clip, held(path)):
                return True
            self._leave_out(Problem(path, "has changed since it was indexed; run `pe-search index` on it again"))
        except AudioError as error:
            self._leave_out(Problem(error.path, error.reason))
        return False

    def _take(self, found: Sequence[tuple[Path, Span]]) -> None:
        from pe_search.keeping import copy_clip, cut_spans

        spans: dict[Path, list[Span]] = {}
        for path, span in found:
            spans.setdefault(path, []).append(span)
        for path in spans:
            try:
                if self._copy_to is not None and path not in self._copies:
                    self._copies[path] = copy_clip(path, self._copy_to)
                if self._cut_to is not None:
                    self._cuts.update(cut_spans(path, spans[path], self._cut_to))
            except AudioError as error:
                self._leave_out(Problem(error.path, error.reason))
        if self._player is not None:
            self._to_play += found

    def _leave_out(self, problem: Problem) -> None:
        self.problems.append(problem)
        say_problem(problem)

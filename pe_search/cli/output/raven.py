"""Selection tables of Raven Pro: which file a selection is in, where and when, and up to which frequency."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from pe_search.errors import AudioError, PeSearchError
from pe_search.places import is_name
from pe_search.queries import Span
from pe_search.records import IndexedClip, Problem

_FIELDS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Annotation",
    "Probability",
    "Begin Path",
    "File Offset (s)",
    "Begin File",
    "Begin Date Time",
)

RavenSequenceOption = Annotated[
    bool,
    typer.Option(
        "--raven-sequence", rich_help_panel="Spans", help="With --format raven, count times through all files."
    ),
]


class RavenFiles:
    """What a selection table says of the files that its selections are in.

    By itself each file begins at 0 s, as if it were opened alone. As a sequence, each begins where the one before ends.

    Args:
        describe: Reads the header of a file; raises an `AudioError` if it can't be read.
    """

    def __init__(self, describe: Callable[[Path], IndexedClip]) -> None:
        self._describe = describe
        self._clips: dict[Path, IndexedClip] = {}
        self._starts_s: dict[Path, float] | None = None

    def open_as_sequence(self, paths: Iterable[Path], on_problem: Callable[[Problem], None]) -> None:
        """Take some files as one sequence, in order of path, as Raven does.

        Args:
            paths: Of all files that are opened in Raven, with and without selections.
            on_problem: Called with each file that can't be read. It is no part of the sequence.

        Raises:
            PeSearchError: If their rates or channels differ, so that Raven can't open them as one sequence.
        """
        self._starts_s = {}
        start_s, first = 0.0, None
        for path in sorted(set(paths), key=os.fsencode):
            if is_name(path):  # a name that is no file
                continue
            try:
                clip = self.clip(path)
            except AudioError as error:
                on_problem(Problem(error.path, error.reason))
                continue
            first = first or clip
            if _form(clip) != _form(first):
                raise PeSearchError(
                    f"--raven-sequence: {first.path} has {_in_words(first)}, and {clip.path} {_in_words(clip)}; Raven "
                    "opens only files of one rate and number of channels as a sequence."
                )
            self._starts_s[path] = start_s
            start_s += clip.duration_s or 0.0

    def clip(self, path: Path) -> IndexedClip:
        """What a file says of itself.

        Raises:
            AudioError: If it can't be read.
        """
        if path not in self._clips:
            self._clips[path] = self._describe(path)
        return self._clips[path]

    def start_s(self, path: Path) -> float:
        """When a file begins on Raven's time axis."""
        if self._starts_s is None:
            return 0.0
        if path not in self._starts_s:
            raise PeSearchError(f"--raven-sequence: {path} is new since the sequence was read. Run it again.")
        return self._starts_s[path]


def write_raven(heard: Mapping[Path, Sequence[tuple[str, Span]]], out: BinaryIO, files: RavenFiles) -> None:
    """Write a selection on each line below a header. The last four columns say which file it is in, where and when.

    Args:
        heard: The spans in each file, with their queries; in order of time.
        out: Where to.
        files: What the table says of the files.
    """
    out.write("\t".join(_FIELDS).encode() + b"\n")
    number = 0
    # As a sequence, in order of time.
    for path in sorted(heard, key=files.start_s):
        clip, file_start_s = files.clip(path), files.start_s(path)
        rate_hz = clip.facts.sample_rate_hz or 0
        for query, span in heard[path]:
            number += 1
            values = [
                str(number),
                "Spectrogram 1",
                "1",
                f"{file_start_s + span.start_s:.6f}",
                f"{file_start_s + span.end_s:.6f}",
                # Spans have no pitch, and Raven wants one: all that the file can hold.
                "0.0",
                f"{rate_hz / 2:.1f}",
                " ".join(query.split()),
                "" if math.isnan(span.probability) else f"{span.probability:.4f}",
                str(path),
                f"{span.start_s:.6f}",
                path.name,
                _clock(clip.recorded_at, span.start_s),
            ]
            out.write(os.fsencode("\t".join(values)) + b"\n")


def _clock(recorded_at: str | None, start_s: float) -> str:
    """Date and time as Raven has them, by the recorder's clock; empty if they aren't known."""
    if recorded_at is None:
        return ""
    try:
        # Half a millisecond, since what is beyond is cut off.
        moment = datetime.fromisoformat(recorded_at) + timedelta(seconds=start_s, microseconds=500)
    except OverflowError:
        return ""
    return f"{moment:%Y/%m/%d %H:%M:%S}.{moment.microsecond // 1_000:03d}"


def _form(clip: IndexedClip) -> tuple[int | None, int | None]:
    return clip.facts.sample_rate_hz, clip.facts.channels


def _in_words(clip: IndexedClip) -> str:
    rate_hz, channels = _form(clip)
    return f"{rate_hz:,} Hz and {channels} channel{'' if channels == 1 else 's'}"

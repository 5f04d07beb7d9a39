"""Spans as other programs read them: Audacity, Raven, REAPER, cue sheets, subtitles; one writer each."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from pe_search.cli.output.hits import HitFormat
from pe_search.cli.output.raven import RavenFiles, write_raven
from pe_search.cli.output.rows import write_csv_row
from pe_search.errors import PeSearchError
from pe_search.queries import Hit, Span, Trace

# What the numbers of a cue sheet have room for.
_MOST_TRACKS = 99
_CUE_FRAMES_PER_S = 75
# What would end a name before its end.
_NOT_IN_NAMES = {
    HitFormat.RAVEN: ("A Raven selection table", frozenset("\t\r\n")),
    HitFormat.CUE: ("A cue sheet", frozenset('"\r\n')),
}

Heard = tuple[str, Span]
"""A query and a span in which it is heard."""


class TimelineWriter:
    """Prints spans to stdout for another program, clip after clip, those of one clip in order of time.

    In a `with` statement, at whose end it prints.

    Nothing is printed before all spans are known, because a table of one clip that turns out to be of several is no
    table.

    Args:
        timeline_format: `AUDACITY`, `RAVEN`, `REAPER`, `CUE` or `SRT`.
        raven: What a table of Raven says of files; needed for `RAVEN` alone.

    Attributes:
        count: How many spans there are.
    """

    def __init__(self, timeline_format: HitFormat, raven: RavenFiles | None = None) -> None:
        self.count = 0
        self._raven = raven
        self._format = timeline_format
        self._heard: dict[Path, list[Heard]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish()

    def write(self, traces: Iterable[Trace | None]) -> None:
        """Take some traces; those of one clip need not come together. None is for a clip that can't be listened to.

        Raises:
            PeSearchError: If the format has no way to say this.
        """
        for trace in traces:
            if trace is not None and trace.spans:
                self._heard.setdefault(trace.path, []).extend((trace.query, span) for span in trace.spans)
                self.count += len(trace.spans)
        # At once, since the next clip may take hours.
        _refuse_what_has_no_room(self._heard, self._format)

    def write_hits(self, hits: Iterable[Hit]) -> None:
        """As `write`, where the words of some hits are said; their probability is that of the window."""
        for hit in hits:
            if hit.said is not None and hit.said.text:
                probability = math.nan if hit.probability is None else hit.probability
                span = Span(hit.start_s, hit.end_s, probability)
                self._heard.setdefault(hit.path, []).append((hit.said.text, span))
                self.count += 1
        _refuse_what_has_no_room(self._heard, self._format)

    def _finish(self) -> None:
        for marks in self._heard.values():
            marks.sort(key=lambda mark: (mark[1].start_s, mark[1].end_s))
        out = sys.stdout.buffer
        if self._format is HitFormat.RAVEN and self._raven is not None:
            write_raven(self._heard, out, self._raven)
        else:
            _WRITERS[self._format](self._heard, out)
        out.flush()


def _refuse_what_has_no_room(heard: dict[Path, list[Heard]], timeline_format: HitFormat) -> None:
    if timeline_format in (HitFormat.AUDACITY, HitFormat.REAPER, HitFormat.SRT) and len(heard) > 1:
        raise PeSearchError(
            f"--format {timeline_format.value} can't name clips, and the spans are in more than one. "
            "Give one clip, or use raven or cue."
        )
    if timeline_format is HitFormat.CUE and sum(map(len, heard.values())) > _MOST_TRACKS:
        raise PeSearchError(
            f"A cue sheet holds at most {_MOST_TRACKS} spans, and there are more. Raise --threshold or "
            "--min-length, or use another --format."
        )
    if timeline_format in _NOT_IN_NAMES:
        what, forbidden = _NOT_IN_NAMES[timeline_format]
        for path in heard:
            if not forbidden.isdisjoint(str(path)):
                raise PeSearchError(
                    f"{what} can't hold the name {str(path)!r}. Use --format jsonl, or rename the file."
                )


def _write_audacity(heard: dict[Path, list[Heard]], out: BinaryIO) -> None:
    """Start, end and text of a label on each line, with tabs between."""
    for query, span in _all(heard):
        out.write(f"{span.start_s:.6f}\t{span.end_s:.6f}\t{_text(query, span)}\n".encode())


def _write_reaper(heard: dict[Path, list[Heard]], out: BinaryIO) -> None:
    """A region on each line below a header, as REAPER's Region/Marker Manager exports and imports them."""
    write_csv_row(("#", "Name", "Start", "End", "Length"), out)
    for number, (query, span) in enumerate(_all(heard), start=1):
        times = map(_clock_ms, (span.start_s, span.end_s, span.end_s - span.start_s))
        write_csv_row((f"R{number}", _text(query, span), *times), out)


def _write_cue(heard: dict[Path, list[Heard]], out: BinaryIO) -> None:
    """A track for each span, below the file that it is in. Where a span ends a cue sheet can't say."""
    number = 0
    for path, marks in heard.items():
        out.write(b'FILE "' + os.fsencode(path) + f'" {_cue_type(path)}\n'.encode())
        for query, span in marks:
            number += 1
            title = _text(query, span).replace('"', "'")
            out.write(f'  TRACK {number:02d} AUDIO\n    TITLE "{title}"\n'.encode())
            out.write(f"    INDEX 01 {_clock_frames(span.start_s)}\n".encode())


def _write_srt(heard: dict[Path, list[Heard]], out: BinaryIO) -> None:
    """Number, times and text of each subtitle, with an empty line after it."""
    for number, (query, span) in enumerate(_all(heard), start=1):
        start, end = (_clock_ms(seconds).replace(".", ",").zfill(12) for seconds in (span.start_s, span.end_s))
        out.write(f"{number}\n{start} --> {end}\n{_text(query, span)}\n\n".encode())


_WRITERS: dict[HitFormat, Callable[[dict[Path, list[Heard]], BinaryIO], None]] = {
    HitFormat.AUDACITY: _write_audacity,
    HitFormat.REAPER: _write_reaper,
    HitFormat.CUE: _write_cue,
    HitFormat.SRT: _write_srt,
}
TIMELINE_FORMATS = frozenset({*_WRITERS, HitFormat.RAVEN})


def _all(heard: dict[Path, list[Heard]]) -> Sequence[Heard]:
    return [mark for marks in heard.values() for mark in marks]


def _text(query: str, span: Span) -> str:
    # What is said has no probability by itself.
    return _one_line(query) if math.isnan(span.probability) else f"{_one_line(query)} {span.probability:.2f}"


def _one_line(text: str) -> str:
    """The text without tabs and line ends, which would end its field."""
    return " ".join(text.split())


def _clock_ms(seconds: float) -> str:
    """h:mm:ss.mmm, which REAPER takes whatever its ruler shows."""
    ms = round(seconds * 1_000)
    return f"{ms // 3_600_000}:{ms // 60_000 % 60:02d}:{ms // 1_000 % 60:02d}.{ms % 1_000:03d}"


def _clock_frames(seconds: float) -> str:
    """mm:ss:ff, minutes being as many as there are."""
    frames = round(seconds * _CUE_FRAMES_PER_S)
    whole_s = frames // _CUE_FRAMES_PER_S
    return f"{whole_s // 60:02d}:{whole_s % 60:02d}:{frames % _CUE_FRAMES_PER_S:02d}"


def _cue_type(path: Path) -> str:
    """What kind of file it is in a cue sheet's own words; whatever is neither MP3 nor AIFF is called WAVE."""
    return {".mp3": "MP3", ".aif": "AIFF", ".aiff": "AIFF"}.get(path.suffix.lower(), "WAVE")

"""What is said, on stdout: a table, rows, plain text, or subtitles."""

from __future__ import annotations

import os
import sys
from enum import StrEnum

from pe_search.cli.output.hits import times
from pe_search.cli.output.messages import printable, shown_path
from pe_search.cli.output.rows import Rows
from pe_search.cli.output.tables import room, write_renderable
from pe_search.errors import PeSearchError
from pe_search.records import Segment, Transcribed

_FIELDS = ("path", "start_s", "end_s", "text", "words", "engine")
_CSV_FIELDS = ("path", "start_s", "end_s", "text")
_LEAST_ROOM = 16
# How wide the times of a segment are in a recording of a day.
_TIMES = len("23:59:50–24:00:00")


class TranscriptFormat(StrEnum):
    """The ways to print transcripts."""

    TABLE = "table"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    SRT = "srt"
    VTT = "vtt"
    TXT = "txt"


class TranscriptWriter:
    """Writes transcripts to stdout, one clip after the other, in a `with` statement.

    Args:
        transcript_format: How.
        clips: How many there are.

    Attributes:
        count: How many segments were written.

    Raises:
        PeSearchError: If the format has no room for several clips.
    """

    def __init__(self, transcript_format: TranscriptFormat, clips: int) -> None:
        if clips > 1 and transcript_format in (TranscriptFormat.SRT, TranscriptFormat.VTT):
            raise PeSearchError(
                f"--format {transcript_format.value} can't name clips, and there are {clips:,}. Give one file, or use "
                "--format jsonl or csv."
            )
        self.count = 0
        self._format = transcript_format
        self._clips = clips
        is_csv = transcript_format is TranscriptFormat.CSV
        self._rows = Rows(_CSV_FIELDS if is_csv else _FIELDS, as_csv=is_csv)

    def __enter__(self) -> TranscriptWriter:
        if self._format is TranscriptFormat.VTT:
            sys.stdout.buffer.write(b"WEBVTT\n")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._format is TranscriptFormat.CSV:
            self._rows.write_all(())
        sys.stdout.buffer.flush()

    def write(self, one: Transcribed) -> None:
        """Write what is said in a clip."""
        out = sys.stdout.buffer
        if self._format is TranscriptFormat.TABLE:
            _write_table(one)
        elif self._format in (TranscriptFormat.JSONL, TranscriptFormat.CSV):
            self._rows.write_all(self._row(one, segment) for segment in one.segments)
        elif self._format is TranscriptFormat.TXT:
            if self._clips > 1 and one.segments:
                out.write((b"\n" if self.count else b"") + os.fsencode(one.path) + b"\n")
            out.writelines(f"{segment.text}\n".encode() for segment in one.segments)
        else:
            for number, segment in enumerate(one.segments, start=self.count + 1):
                out.write(self._cue(number, segment).encode())
        out.flush()
        self.count += len(one.segments)

    def _row(self, one: Transcribed, segment: Segment) -> tuple[object, ...]:
        row = (str(one.path), round(segment.start_s, 3), round(segment.end_s, 3), segment.text)
        if self._format is TranscriptFormat.CSV:
            return row
        words = [
            {"start_s": round(word.start_s, 3), "end_s": round(word.end_s, 3), "word": word.word}
            for word in segment.words
        ]
        return (*row, words, one.engine)

    def _cue(self, number: int, segment: Segment) -> str:
        # An arrow would end the text, and an empty line the cue.
        text = " ".join(segment.text.replace("-->", "->").split())
        if self._format is TranscriptFormat.SRT:
            between = "\n" if number > 1 else ""
            return f"{between}{number}\n{_clock(segment.start_s, ',')} --> {_clock(segment.end_s, ',')}\n{text}\n"
        text = text.replace("&", "&amp;").replace("<", "&lt;")
        return f"\n{_clock(segment.start_s, '.')} --> {_clock(segment.end_s, '.')}\n{text}\n"


def _write_table(one: Transcribed) -> None:
    """The name of the clip, and below it each segment with its time."""
    from rich.console import Console
    from rich.text import Text

    if not one.segments:
        return
    write_renderable(Text(shown_path(one.path), style="bold"))
    width = max(room() - _TIMES - 2, _LEAST_ROOM)
    for segment in one.segments:
        before = Text.assemble((f"{times(segment.start_s, segment.end_s):>{_TIMES}}", "cyan"), "  ")
        for line in Text(printable(segment.text)).wrap(Console(width=width), width):
            line.rstrip()
            write_renderable(before + line)
            before = Text(" " * before.cell_len)
    sys.stdout.flush()


def _clock(seconds: float, point: str) -> str:
    """As subtitles have it: hours, minutes, seconds and milliseconds."""
    whole, ms = divmod(round(seconds * 1_000), 1_000)
    return f"{whole // 3_600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{ms:03d}"

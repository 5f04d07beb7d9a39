"""Tables that say what is heard in clips: labels, labels with times, or captions."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pe_search.directories import absolute
from pe_search.errors import TableError

LABELS, TIMES, CAPTIONS = "labels", "times", "captions"
# What pe-search and others call the same column, lower case.
_ALIASES = {
    "file": "path",
    "filename": "path",
    "start_s": "start",
    "end_s": "end",
    "begin time (s)": "start",
    "end time (s)": "end",
    "begin path": "path",
    "verdict": "label",
}
# Raven has no fixed column for what was heard; these are the usual ones, the first that is there counts.
_RAVEN_LABELS = ("annotation", "label", "species", "common name", "class")
_RAVEN_START, _RAVEN_OFFSET, _RAVEN_FILE = "begin time (s)", "file offset (s)", "begin file"
_AUDACITY_FREQUENCIES = "\\"
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is heard in a clip, by a row of a table.

    Attributes:
        line: Of the table, from 1.
        name: The path as the table has it.
        path: The same as an absolute path; a relative one is in the folder of the table.
        label: A label or caption; empty if none of the table's labels is heard in the clip.
        start_s: From when; None without times.
        end_s: To when; None without times.
        recording: What the clip is a part of; its name where the table has no such column.
        question: What a caption answers; empty where the table doesn't say.
        split: What the row is for, as the table has it; empty where it doesn't say.
    """

    line: int
    name: str
    path: Path
    label: str
    start_s: float | None
    end_s: float | None
    recording: str
    question: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class Annotations:
    """The rows of a table, at least one.

    Attributes:
        file: The table.
        kind: `labels`, `times` or `captions`.
        rows: In the order of the table.
    """

    file: Path
    kind: str
    rows: tuple[Annotation, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels or captions, each once, in the order of the table."""
        return tuple(dict.fromkeys(row.label for row in self.rows if row.label))


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    values: Mapping[str, str]


def read_annotations(file: Path, audio: Path | None = None) -> Annotations:
    """Read a table: CSV or TSV with a header, a selection table of Raven, or labels of Audacity.

    Args:
        file: The table, in UTF-8.
        audio: The clip that a table without paths is about.

    Raises:
        TableError: If it can't be used; names the line.
        OSError: If it can't be read.
    """
    text = _text_of(file)
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise TableError(file, None, "is empty; a table has a header such as path,label and a row for each label")
    if _is_audacity(lines[first]):
        rows, names = _audacity_rows(lines), ["start", "end", "label"]
    else:
        rows, names = _rows(file, text, lines[first], first)
    kind = _kind_of(file, first + 1, names)
    if "path" in names and audio is not None:
        raise TableError(file, None, "has a column path, so it can't be used with an audio file")
    if "path" not in names and audio is None:
        raise TableError(
            file, first + 1, f"there is no column path; columns are {_listed(names)}. Name the audio file (--audio)"
        )
    found = tuple(_annotation(file, kind, row, audio) for row in rows)
    if not found:
        raise TableError(file, None, "has a header and no rows")
    if not any(one.label for one in found):
        raise TableError(file, None, f"has no {'caption' if kind == CAPTIONS else 'label'} in any row")
    return Annotations(file, kind, found)


def _text_of(file: Path) -> str:
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TableError(file, line, "is not UTF-8") from None


def _is_audacity(line: str) -> bool:
    values = line.split("\t")
    return len(values) in (2, 3) and all(map(_is_number, values[:2]))


def _audacity_rows(lines: Sequence[str]) -> Iterator[_Row]:
    for number, line in enumerate(lines, 1):
        values = line.split("\t")
        # The pitch of the label above.
        if line.strip() and values[0] != _AUDACITY_FREQUENCIES:
            yield _Row(number, dict(zip(("start", "end", "label"), [*values, "", "", ""], strict=False)))


def _rows(file: Path, text: str, header: str, first: int) -> tuple[Iterator[_Row], list[str]]:
    delimiter = "\t" if "\t" in header else ";" if ";" in header and "," not in header else ","
    # Line ends as they are, since a quoted value may have some in it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = next(row for row in reader if any(map(str.strip, row)))
    except csv.Error as error:
        raise TableError(file, first + 1, f"can't be read: {error}") from None
    names = [name.strip().lower() for name in names]
    if _RAVEN_START in names:
        names = _raven_names(names)
    names = [_ALIASES.get(name, name) for name in names]
    if not {"label", "caption"} & set(names):
        # As `describe` calls it.
        names = ["caption" if name == "answer" else name for name in names]
    for name in ("path", "start", "end", "label", "caption", "recording", "question", "split"):
        if names.count(name) > 1:
            raise TableError(file, first + 1, f"there are {names.count(name)} columns for {name}")
    rows = _named(file, reader, names)
    return (_selections(rows) if _RAVEN_OFFSET in names or "selection" in names else rows), names


def _raven_names(names: list[str]) -> list[str]:
    """The columns of a selection table, with those that name label and file called so."""
    label = next((name for name in _RAVEN_LABELS if name in names), None)
    path = next((name for name in ("begin path", _RAVEN_FILE) if name in names), None)
    return ["label" if name == label else "path" if name == path else name for name in names]


def _named(file: Path, reader: Iterator[list[str]], names: Sequence[str]) -> Iterator[_Row]:
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TableError(file, _line_of(reader), f"can't be read: {error}") from None
        if not any(map(str.strip, values)):
            continue
        while len(values) > len(names) and not values[-1].strip():
            values.pop()
        if len(values) != len(names):
            raise TableError(file, _line_of(reader), f"has {len(values)} values, and the header {len(names)} columns")
        yield _Row(_line_of(reader), dict(zip(names, values, strict=True)))


def _line_of(reader: Iterator[list[str]]) -> int:
    return int(getattr(reader, "line_num", 0))


def _selections(rows: Iterator[_Row]) -> Iterator[_Row]:
    """The rows of a selection table, each selection once, with the times in the file and not in the sequence."""
    seen = set()
    for row in rows:
        number = row.values.get("selection", "").strip()
        # Raven has a row for each view of a selection.
        if number and number in seen:
            continue
        seen.add(number)
        values = dict(row.values)
        offset, start, end = (values.get(name, "") for name in (_RAVEN_OFFSET, "start", "end"))
        if all(map(_is_number, (offset, start, end))):
            length_s = float(end) - float(start)
            values |= {"start": offset, "end": repr(round(float(offset) + length_s, 9))}
        yield _Row(row.line, values)


def _kind_of(file: Path, line: int, names: Sequence[str]) -> str:
    has = {name for name in ("label", "caption", "start", "end") if name in names}
    if {"label", "caption"} <= has:
        raise TableError(file, line, "has a column label and a column caption; keep one of them")
    if not has & {"label", "caption"}:
        raise TableError(file, line, f"there is no column label or caption; columns are {_listed(names)}")
    if len(has & {"start", "end"}) == 1:
        missing = "end" if "start" in has else "start"
        raise TableError(file, line, f"there is no column {missing}; columns are {_listed(names)}")
    if "caption" in has:
        return CAPTIONS
    return TIMES if "start" in has else LABELS


def _annotation(file: Path, kind: str, row: _Row, audio: Path | None) -> Annotation:
    values, line = row.values, row.line
    name = values.get("path", "") if audio is None else str(audio)
    if not name.strip():
        raise TableError(file, line, "path is empty")
    if "\0" in name:
        raise TableError(file, line, "path has a NUL byte")
    path = absolute(file.absolute().parent / name if audio is None else audio)
    label = values["caption" if kind == CAPTIONS else "label"].strip()
    start_s = end_s = None
    if kind == CAPTIONS and not label:
        raise TableError(file, line, "caption is empty")
    if "start" in values and "end" in values:
        given = [values["start"].strip(), values["end"].strip()]
        # A caption without times is about the clip as a whole.
        if any(given) or (label and kind == TIMES):
            if not label:
                raise TableError(file, line, "label is empty; a row without a label has no times either")
            start_s, end_s = _seconds(file, line, "start", given[0]), _seconds(file, line, "end", given[1])
            if end_s <= start_s:
                raise TableError(file, line, f"end must be after start; it is {given[1]}, and start {given[0]}")
    recording = values.get("recording", "").strip() or str(path)
    question, split = (values.get(column, "").strip() for column in ("question", "split"))
    return Annotation(line, name, path, label, start_s, end_s, recording, question, split)


def _seconds(file: Path, line: int, name: str, text: str) -> float:
    if not _is_number(text):
        raise TableError(file, line, f"{name} must be a number of seconds; it is {_shown(text)}")
    seconds = float(text)
    if seconds < 0:
        raise TableError(file, line, f"{name} must not be negative; it is {_shown(text)}")
    return seconds


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _listed(names: Sequence[str]) -> str:
    shown = [_shown(name) for name in names[:10]]
    return ", ".join([*shown, "…"] if len(names) > len(shown) else shown)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")

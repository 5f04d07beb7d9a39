"""What was judged elsewhere: tables of pe-search, selection tables of Raven, labels of Audacity."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import typer

from pe_search.clock import read_seconds
from pe_search.directories import expanded
from pe_search.queries import Reference, is_word
from pe_search.records import Judgement

VERDICTS = ("yes", "no", "unsure")
JUDGEMENT_FIELDS = ("word", "path", "start", "end", "verdict", "judged_by", "judged_at", "digest", "text")
"""Columns of the table of judgements that `words --judgements` writes, and `read_annotations` reads."""

_OPTION = "--from"
_RAVEN_START, _RAVEN_END = "Begin Time (s)", "End Time (s)"
# What Raven itself, BirdNET and pe-search call the column of labels.
_RAVEN_LABELS = ("Annotation", "Label", "Species", "Common Name", "Tags")
# Both what people write, and what `query --format csv` does.
_STARTS, _ENDS, _LABELS = ("start", "start_s"), ("end", "end_s"), ("verdict", "label")
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Annotation:
    """A stretch of a file, and what was said of it.

    Attributes:
        label: A verdict, or the name of a sound.
        line: Where in the table it is, from 1.
    """

    reference: Reference
    label: str
    line: int


@dataclass(slots=True)
class Annotations:
    """What a table holds: annotations, or judgements with the texts of their words."""

    annotations: list[Annotation] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """References by verdict.

    Attributes:
        skipped: How many stretches of other sounds overlap one that is `yes`, and say nothing.
    """

    yes: tuple[Reference, ...]
    no: tuple[Reference, ...]
    unsure: tuple[Reference, ...]
    skipped: int


def read_annotations(file: str, audio: str | None) -> Annotations:
    """Read a table.

    Args:
        file: CSV with the columns path, start, end, and verdict or label; CSV of `words --judgements`; a selection
            table of Raven; or labels of Audacity.
        audio: The file that labels of Audacity, and Raven tables that name no file, are of.

    Raises:
        typer.BadParameter: If it can't be read as one of these; it names the line.
        OSError: If it can't be opened.
    """
    try:
        content = expanded(Path(file)).read_bytes().decode("utf-8-sig", "surrogateescape")
    except IsADirectoryError:
        raise typer.BadParameter(f"{file} is a folder.", param_hint=_OPTION) from None
    # Not `splitlines`, which ends a line at characters that a text may have.
    lines = list(io.StringIO(content, newline=""))
    table = _Table(file, audio)
    if not any(line.strip() for line in lines):
        raise typer.BadParameter(f"{file} is empty.", param_hint=_OPTION)
    header = lines[0]
    if _RAVEN_START in header:
        return Annotations(list(table.of_raven(lines)))
    if _is_audacity(header):
        return Annotations(list(table.of_audacity(lines)))
    return table.of_csv(lines)


def verdicts_of(annotations: Sequence[Annotation], word: str, text: str | None, label: str | None) -> Verdicts:
    """What annotations say of a word.

    If all their labels are verdicts, they are these. Else one label means yes, and others mean no where they don't
    overlap with it.

    Args:
        annotations: From one table.
        word: What is taught, with its `@`.
        text: What the word starts from.
        label: The label that means yes; None for the name of the word, or its text.

    Raises:
        typer.BadParameter: If no label means yes.
    """
    labels = [one.label.strip().casefold() for one in annotations]
    found: dict[str, list[Reference]] = {verdict: [] for verdict in VERDICTS}
    if label is None and set(labels) <= set(VERDICTS):
        for one, verdict in zip(annotations, labels, strict=True):
            found[verdict].append(one.reference)
        yes, no, unsure = (tuple(dict.fromkeys(found[verdict])) for verdict in VERDICTS)
        return Verdicts(yes, no, unsure, skipped=0)
    meant = {label.strip().casefold()} if label is not None else {name.casefold() for name in (word[1:], text or word)}
    found["yes"] = [one.reference for one, name in zip(annotations, labels, strict=True) if name in meant]
    if not found["yes"]:
        there = ", ".join(dict.fromkeys(one.label for one in annotations))
        wanted = f"is {label!r}" if label is not None else f"is {word[1:]!r}; --label says which means yes"
        raise typer.BadParameter(f"no label {wanted}. There are: {there}.", param_hint=_OPTION)
    others = [one.reference for one, name in zip(annotations, labels, strict=True) if name not in meant]
    found["no"] = [one for one in others if not any(_overlap(one, other) for other in found["yes"])]
    yes, no = (tuple(dict.fromkeys(found[verdict])) for verdict in ("yes", "no"))
    return Verdicts(yes, no, (), skipped=len(others) - len(found["no"]))


def judgement_row(one: Judgement, path: str, text: str) -> list[object]:
    """A row of the table of judgements, by `JUDGEMENT_FIELDS`.

    Args:
        one: What was judged.
        path: Of a clip with these bytes; empty if there is none.
        text: What its word starts from.
    """
    at = datetime.fromtimestamp(one.judged_at_s, UTC).isoformat()
    values = [one.word, path, one.start_s, one.end_s, one.verdict, one.judged_by, at, one.digest.hex(), text]
    return [repr(value) if isinstance(value, float) else value for value in values]


class _Table:
    def __init__(self, file: str, audio: str | None) -> None:
        self._file = file
        self._audio = audio

    def of_audacity(self, lines: Sequence[str]) -> Iterator[Annotation]:
        if self._audio is None:
            raise typer.BadParameter(f"{self._file} has labels of one file; give it by --audio.", param_hint=_OPTION)
        for number, line in enumerate(lines, start=1):
            # A line that begins so has the pitch of the label before it.
            if not line.strip() or line.startswith("\\"):
                continue
            cells = line.rstrip("\r\n").split("\t")
            if len(cells) < 2:
                self._refuse(number, "is not a label of Audacity: start, end and label with tabs between")
            label = cells[2] if len(cells) > 2 else ""
            yield self._annotation(self._audio, cells[0], cells[1], label, number)

    def of_raven(self, lines: Sequence[str]) -> Iterator[Annotation]:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        named = rows.fieldnames or ()
        if _RAVEN_END not in named:
            raise typer.BadParameter(f"{self._file} has no column {_RAVEN_END!r}.", param_hint=_OPTION)
        label = next((name for name in _RAVEN_LABELS if name in named), None)
        if label is None:
            wanted = ", ".join(map(repr, _RAVEN_LABELS))
            raise typer.BadParameter(f"{self._file} has no column of labels: {wanted}.", param_hint=_OPTION)
        if self._audio is None and "Begin Path" not in named:
            raise typer.BadParameter(f"{self._file} names no file; give it by --audio.", param_hint=_OPTION)
        for number, row in enumerate(rows, start=2):
            start_s = self._seconds(row[_RAVEN_START], number)
            length_s = self._seconds(row[_RAVEN_END], number) - start_s
            path = self._audio
            if path is None:
                # Several files that are open in Raven have one axis of time.
                path = row["Begin Path"] or ""
                offset = row.get("File Offset (s)")
                start_s = self._seconds(offset, number) if offset else start_s
            yield self._annotation(path, f"{start_s!r}", f"{start_s + length_s!r}", row[label] or "", number)

    def of_csv(self, lines: Sequence[str]) -> Annotations:
        delimiter = max(",;\t", key=lines[0].count)
        rows = csv.DictReader(lines, delimiter=delimiter)
        rows.fieldnames = [name.strip().casefold() for name in rows.fieldnames or ()]
        named = rows.fieldnames
        if {*JUDGEMENT_FIELDS} <= {*named}:
            return self._judgements(rows)
        label = next((name for name in _LABELS if name in named), None)
        if "path" not in named or label is None:
            raise typer.BadParameter(
                f"{self._file} is neither CSV with the columns path and verdict or label, nor a table of Raven or "
                "Audacity.",
                param_hint=_OPTION,
            )
        start, end = (next((name for name in names if name in named), names[0]) for names in (_STARTS, _ENDS))
        found = []
        for row in rows:
            if not row["path"]:
                self._refuse(rows.line_num, "has no path")
            found.append(
                self._annotation(row["path"], row.get(start) or "", row.get(end) or "", row[label] or "", rows.line_num)
            )
        if not found:
            raise typer.BadParameter(f"{self._file} has no row.", param_hint=_OPTION)
        return Annotations(found)

    def _judgements(self, rows: csv.DictReader[str]) -> Annotations:
        found = Annotations()
        for row in rows:
            number = rows.line_num
            try:
                one = Judgement(
                    word=row["word"],
                    digest=bytes.fromhex(row["digest"]),
                    start_s=float(row["start"]),
                    end_s=float(row["end"]),
                    verdict=row["verdict"],
                    judged_by=row["judged_by"],
                    judged_at_s=int(datetime.fromisoformat(row["judged_at"]).timestamp()),
                )
            except (ValueError, TypeError, OverflowError):
                self._refuse(number, "is not a judgement")
            is_valid = is_word(one.word) and one.verdict in VERDICTS and len(one.digest) == _DIGEST_BYTES
            if not (is_valid and 0 <= one.start_s < one.end_s):
                self._refuse(number, "is not a judgement")
            found.judgements.append(one)
            if row["text"]:
                found.texts[one.word] = row["text"]
        if not found.judgements:
            raise typer.BadParameter(f"{self._file} has no row.", param_hint=_OPTION)
        return found

    def _annotation(self, path: str, start: str, end: str, label: str, line: int) -> Annotation:
        if not label.strip():
            self._refuse(line, "has no label")
        if bool(start.strip()) != bool(end.strip()):
            self._refuse(line, "has a start or an end, and not both")
        file = expanded(Path(path))
        if not start.strip():
            return Annotation(Reference(file), label, line)
        place = self._seconds(start, line), self._seconds(end, line)
        if not place[0] < place[1]:
            self._refuse(line, "is no stretch: it must end after it starts")
        return Annotation(Reference(file, place), label, line)

    def _seconds(self, text: str | None, line: int) -> float:
        try:
            return read_seconds((text or "").strip())
        except ValueError as error:
            self._refuse(line, f"has no time: {error}")

    def _refuse(self, line: int, reason: str) -> NoReturn:
        raise typer.BadParameter(f"line {line} of {self._file} {reason}.", param_hint=_OPTION)


def _is_audacity(header: str) -> bool:
    try:
        start, end = map(read_seconds, header.rstrip("\r\n").split("\t")[:2])
    except ValueError:
        return False
    return start <= end


def _overlap(one: Reference, other: Reference) -> bool:
    if one.path != other.path:
        return False
    if one.place is None or other.place is None:
        return True
    return one.place[0] < other.place[1] and other.place[0] < one.place[1]


def of_word(found: Annotations, word: str) -> tuple[list[Judgement], Mapping[str, str]]:
    """The judgements of a table that are of one word, with its text if it has any."""
    texts = {name: text for name, text in found.texts.items() if name == word}
    return [one for one in found.judgements if one.word == word], texts

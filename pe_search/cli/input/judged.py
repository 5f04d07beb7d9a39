"""What was judged elsewhere: judgements of another store, or a table that says what is heard in files."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import typer

from pe_search.directories import expanded
from pe_search.errors import TableError
from pe_search.known.annotations import CAPTIONS, Annotation, Annotations, read_annotations
from pe_search.queries import Reference, is_word
from pe_search.records import Judgement

VERDICTS = ("yes", "no", "unsure")
JUDGEMENT_FIELDS = ("word", "path", "start", "end", "verdict", "judged_by", "judged_at", "digest", "text")
"""Columns of the table of judgements that `words --judgements` writes, and `read_judged` reads."""

_OPTION = "--from"
_DIGEST_BYTES = 32


@dataclass(slots=True)
class Judgements:
    """What a table of judgements holds.

    Attributes:
        texts: What words start from, by the word.
    """

    rows: list[Judgement] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def of(self, word: str) -> Judgements:
        """Those of one word."""
        texts = {name: text for name, text in self.texts.items() if name == word}
        return Judgements([one for one in self.rows if one.word == word], texts)


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


def read_judged(file: str, audio: str | None) -> Judgements | Annotations:
    """Read a table: that of `words --judgements`, or one that `annotations.read_annotations` reads.

    Args:
        file: The table.
        audio: The clip that a table without paths is about.

    Raises:
        typer.BadParameter: If it is a folder, or has captions.
        TableError: If it can't be read as one of these.
        OSError: If it can't be opened.
    """
    path = expanded(Path(file))
    if path.is_dir():
        raise typer.BadParameter(f"{file} is a folder.", param_hint=_OPTION)
    text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    # Line ends as they are, since a text or a path may have some in it.
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if {*JUDGEMENT_FIELDS} <= {*(rows.fieldnames or ())}:
        return _judgements(path, rows)
    found = read_annotations(path, None if audio is None else expanded(Path(audio)))
    if found.kind == CAPTIONS:
        raise typer.BadParameter(f"{file} has captions; it needs a column verdict or label.", param_hint=_OPTION)
    return found


def verdicts_of(table: Annotations, word: str, text: str | None, label: str | None) -> Verdicts:
    """What a table says of a word.

    If all its labels are verdicts, they are these. Else one label means yes, and others mean no where they don't
    overlap with it.

    Args:
        table: Of labels, with times or without.
        word: What is taught, with its `@`.
        text: What the word starts from.
        label: The label that means yes; None for the name of the word, or its text.

    Raises:
        typer.BadParameter: If no label means yes.
    """
    named = [(one.label.casefold(), _reference(one)) for one in table.rows]
    if label is None and {name for name, _ in named} <= {*VERDICTS}:
        yes, no, unsure = (tuple(dict.fromkeys(one for name, one in named if name == verdict)) for verdict in VERDICTS)
        return Verdicts(yes, no, unsure, skipped=0)
    meant = {label.strip().casefold()} if label is not None else {name.casefold() for name in (word[1:], text or word)}
    yes = tuple(dict.fromkeys(one for name, one in named if name in meant))
    if not yes:
        wanted = f"is {label!r}" if label is not None else f"is {word[1:]!r}; --label says which means yes"
        raise typer.BadParameter(f"no label {wanted}. There are: {', '.join(table.labels)}.", param_hint=_OPTION)
    others = [one for name, one in named if name not in meant]
    apart = [one for one in others if not any(_overlap(one, other) for other in yes)]
    return Verdicts(yes, tuple(dict.fromkeys(apart)), (), skipped=len(others) - len(apart))


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


def _judgements(file: Path, rows: csv.DictReader[str]) -> Judgements:
    found = Judgements()
    for row in rows:
        one = _judgement(row)
        if one is None:
            raise TableError(file, rows.line_num, "is not a judgement")
        found.rows.append(one)
        if row["text"]:
            found.texts[one.word] = row["text"]
    if not found.rows:
        raise TableError(file, None, "has a header and no rows")
    return found


def _judgement(row: dict[str, str]) -> Judgement | None:
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
        return None
    is_valid = is_word(one.word) and one.verdict in VERDICTS and len(one.digest) == _DIGEST_BYTES
    return one if is_valid and 0 <= one.start_s < one.end_s < float("inf") else None


def _reference(one: Annotation) -> Reference:
    place = None if one.start_s is None or one.end_s is None else (one.start_s, one.end_s)
    return Reference(one.path, place)


def _overlap(one: Reference, other: Reference) -> bool:
    if one.path != other.path:
        return False
    if one.place is None or other.place is None:
        return True
    return one.place[0] < other.place[1] and other.place[0] < one.place[1]

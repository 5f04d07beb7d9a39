"""How a tuning looks: its figures, and what is better here."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.cli.output.evaluations import EvaluationFormat, shown_number
from pe_search.cli.output.messages import counted, printable, say, shown_path
from pe_search.cli.output.rows import row_writer
from pe_search.cli.output.tables import PathTable
from pe_search.known.fields import Kind
from pe_search.parquet import Column
from pe_search.tunings import LARGEST_FALL, LEAST_KEPT

if TYPE_CHECKING:
    from pe_search.tunings import CaptionLoss, CaptionTuning, Scores, Tuning

_COLUMNS = (
    Column("figure", Kind.TEXT, is_always_known=True),
    Column("text", Kind.TEXT, is_always_known=True),
    Column("before", Kind.NUMBER),
    Column("after", Kind.NUMBER),
    Column("learned_word", Kind.NUMBER),
)
_CAPTION_COLUMNS = (
    Column("figure", Kind.TEXT, is_always_known=True),
    Column("before", Kind.NUMBER),
    Column("after", Kind.NUMBER),
)
_NAMES = {"new": "new words (mAP)", "old": "old words (mAP)", "kept": "old texts (kept)"}
_MOST_NAMED = 3

Row = tuple[str, str, float | None, float | None, float | None]


def write_tuning(found: Tuning, chosen: EvaluationFormat) -> None:
    """Print the figures to stdout."""
    if chosen is not EvaluationFormat.TABLE:
        with row_writer(_COLUMNS, chosen.value) as rows:
            rows.write_all(_rows(found))
        return
    table = PathTable()
    _add_columns(table, "before", "after", "learned word", last="held out")
    for figure, text, *values in _rows(found):
        if not text:
            table.add_row(*map(shown_number, values), _NAMES[figure])
    table.write()
    sys.stdout.write("\n")
    table = PathTable("average precision of each text")
    _add_columns(table, "sounds", "before", "after", "learned word", last="text")
    for one in sorted(found.texts, key=lambda one: not one.is_new):
        cells = map(shown_number, (one.before, one.after, one.learned))
        name = printable(one.text) + (" (new)" if one.is_new else "")
        table.add_row(f"{one.held_out:,}", *cells, name)
    table.write()
    sys.stdout.flush()


def say_scores(scores: Scores, steps: int) -> None:
    """Say how a training stands."""
    named = {"new words": scores.new, "old words": scores.old, "old texts": scores.kept}
    figures = ", ".join(f"{name} {value:.3f}" for name, value in named.items() if value is not None)
    say(f"Step {scores.step:,} of {steps:,}, held out: {figures}")


def say_outcome(found: Tuning, out: Path, data: Path) -> None:
    """Say whether a checkpoint was written, and what is better here."""
    if found.unmeasured:
        named = ", ".join([*found.unmeasured[:_MOST_NAMED], *(["…"] if len(found.unmeasured) > _MOST_NAMED else [])])
        say(f"Not measured, because a recording to hold out is missing: {named}")
    if found.directory is None:
        reason = "the new words are not found better" if not found.improves else _fall(found)
        say(f"pe-search: nothing written: {reason}. Give more recordings, or use --force.")
    else:
        say(f"{counted(found.learned_from, 'sound')} learned. Checkpoint: {shown_path(out)}")
    better = _better(found, out, data)
    if better:
        say(better)


def write_caption_tuning(found: CaptionTuning, chosen: EvaluationFormat) -> None:
    """Print the figure to stdout."""
    if chosen is not EvaluationFormat.TABLE:
        with row_writer(_CAPTION_COLUMNS, chosen.value) as rows:
            rows.write_all([("loss", found.before, found.after)])
        return
    table = PathTable()
    _add_columns(table, "before", "after", last="held out")
    table.add_row(*map(shown_number, (found.before, found.after)), f"loss of {counted(found.held_out, 'caption')}")
    table.write()
    sys.stdout.flush()


def say_loss(loss: CaptionLoss, steps: int) -> None:
    """Say how a training on captions stands."""
    say(f"Step {loss.step:,} of {steps:,}, held out: loss {loss.loss:.3f}")


def say_caption_outcome(found: CaptionTuning, out: Path) -> None:
    """Say whether something was written, and what to do with it."""
    if found.directory is None:
        say(
            "pe-search: nothing written: the captions that were held out are not foretold better. Give more "
            "recordings, or use --force."
        )
        return
    say(f"{counted(found.learned_from, 'caption')} learned. Language model: {shown_path(out)}")
    say(f"Ask it: `pe-search describe PATH --language-model {shlex.quote(shown_path(out))}`")


def _fall(found: Tuning) -> str:
    if found.kept is not None and found.kept < LEAST_KEPT:
        return f"old texts find only {found.kept:.2f} of what they found before, and {LEAST_KEPT:g} is the least"
    fall, worst = max((one.before - (one.after or 0.0), one.text) for one in found.texts if not one.is_new)
    return f"the old words are found worse by more than {LARGEST_FALL:g}, most of all {printable(worst)} by {fall:.3f}"


def _better(found: Tuning, out: Path, data: Path) -> str:
    """What is better for the new words, and the command for it."""
    learned, after = found.new_learned, found.new_after
    if learned is None or after is None:
        return ""
    figures = f"{max(learned, after):.3f} against {min(learned, after):.3f}"
    if found.learned_is_better:
        name = next(one.text for one in found.texts if one.is_new)
        command = f"pe-search learn @word --from {shlex.quote(shown_path(data))} --label {shlex.quote(name)}"
        return f"A learned word is better here ({figures}): `{command}`"
    if found.directory is None:
        return f"The tuned checkpoint finds the new words better than learned words do ({figures})."
    command = f"pe-search index PATH --model {shlex.quote(shown_path(out))} --store tuned"
    return f"The tuned checkpoint is better here than a learned word ({figures}): `{command}`"


def _rows(found: Tuning) -> Iterator[Row]:
    if found.new_before is not None:
        yield "new", "", found.new_before, found.new_after, found.new_learned
    if found.old_before is not None:
        yield "old", "", found.old_before, found.old_after, None
    if found.kept is not None:
        yield "kept", "", 1.0, found.kept, None
    for one in found.texts:
        yield "new" if one.is_new else "old", one.text, one.before, one.after, one.learned


def _add_columns(table: PathTable, *names: str, last: str) -> None:
    for name in names:
        table.add_column(name, right=True)
    table.add_column(last)

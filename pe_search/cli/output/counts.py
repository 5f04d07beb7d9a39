"""How counts look: tables with bars, CSV, JSON Lines, Parquet."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from pe_search.cli.output.messages import printable, shown_path
from pe_search.cli.output.rows import row_writer
from pe_search.cli.output.tables import PathTable, can_encode, strip_room
from pe_search.known.fields import Kind
from pe_search.parquet import Column

if TYPE_CHECKING:
    from rich.text import Text

    from pe_search.evaluations import Estimate
    from pe_search.reports import Counts

_ESTIMATED = ("min_probability", "windows", "judged", "yes", "count", "low", "high")
_EIGHTHS = "▏▎▍▌▋▊▉█"
_ASCII = "#"
_GAP = 2
# Bars shorter than this say little, so texts go into more tables instead; longer ones say no more.
_USUAL_BAR, _LONGEST_BAR = 10, 40
# What names of folders have for certain; longer ones are on lines of their own.
_FOLDER_ROOM = 24


class CountFormat(StrEnum):
    """The ways to print counts; `json` means `jsonl`."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"


def write_counts(counts: Counts, count_format: CountFormat) -> None:
    """Print counts to stdout: but for a table, a row for each text and bin."""
    if count_format is CountFormat.TABLE:
        _write_tables(counts)
        sys.stdout.flush()
        return
    kinds = {"text": Kind.TEXT, "bin": Kind.TEXT, "count": Kind.WHOLE, counts.of: Kind.WHOLE}
    columns = [Column(name, kind, is_always_known=True) for name, kind in kinds.items()]
    with row_writer(columns, count_format.value) as rows:
        rows.write_all(counts.rows())


def write_estimates(found: Mapping[str, Sequence[Estimate]], count_format: CountFormat) -> None:
    """Print the estimates of words to stdout: a row for each range, that of the highest scores first."""
    if count_format is CountFormat.TABLE:
        for place, (word, estimates) in enumerate(found.items()):
            sys.stdout.write("\n" if place else "")
            _write_estimates(word, estimates)
        sys.stdout.flush()
        return
    kinds = dict.fromkeys(_ESTIMATED, Kind.NUMBER) | dict.fromkeys(("windows", "judged", "yes"), Kind.WHOLE)
    columns = [Column(name, kind, is_always_known=True) for name, kind in {"text": Kind.TEXT, **kinds}.items()]
    with row_writer(columns, count_format.value) as rows:
        for word, estimates in found.items():
            rows.write_all((word, *(getattr(one, name) for name in _ESTIMATED)) for one in estimates)


def _write_estimates(word: str, estimates: Sequence[Estimate]) -> None:
    table = PathTable(
        f"windows with {printable(word)}, of those with a probability or more; estimated with 95 % interval"
    )
    for name in ("probability", "windows", "judged", "yes", "estimate", "from", "to"):
        table.add_column(name, right=True)
    for one in estimates:
        whole = (one.windows, one.judged, one.yes, round(one.count), round(one.low), round(one.high))
        table.add_row(f"{one.min_probability:.2f}", *(f"{number:,}" for number in whole))
    table.write()


def _write_tables(counts: Counts) -> None:
    """A row for each bin, a column for each text; texts for which there is no room come in further tables."""
    if not any(counts.totals):
        return
    where = "" if counts.base is None else f", folders in {shown_path(counts.base)}"
    title: str | None = f"of all {counts.of}, those with a probability of {counts.min_probability:g} or more{where}"
    numbers = [max(len(f"{most:,}") for most in of_text) for of_text in counts.counts]
    space = strip_room() - _beside_texts(counts)
    side_by_side = max(1, (space + _GAP) // (max(numbers) + 1 + _USUAL_BAR + _GAP))
    tables = -(-len(counts.texts) // side_by_side)
    for first in range(tables):
        # As many in each as in the others.
        texts = range(first * len(counts.texts) // tables, (first + 1) * len(counts.texts) // tables)
        room = (space + _GAP) // len(texts) - _GAP
        if title is None:
            sys.stdout.write("\n")
        _write_table(counts, title, texts, [min(room - numbers[text] - 1, _LONGEST_BAR) for text in texts])
        title = None


def _beside_texts(counts: Counts) -> int:
    """How many columns bins and totals take, with the gaps behind them."""
    bins = max(len(counts.by), *(len(printable(name)) for name in counts.bins))
    totals = max(len(counts.of), *(len(f"{total:,}") for total in counts.totals))
    return (min(bins, _FOLDER_ROOM) if counts.by == "folder" else bins) + totals + 2 * _GAP


def _write_table(counts: Counts, title: str | None, texts: Sequence[int], bars: Sequence[int]) -> None:
    table = PathTable(title)
    if counts.by != "folder":
        table.add_column(counts.by, right=True)
    table.add_column(counts.of, right=True, style="dim")
    numbers = [max(len(f"{most:,}") for most in counts.counts[text]) for text in texts]
    for text, number, bar in zip(texts, numbers, bars, strict=True):
        table.add_column(_cut(counts.texts[text], number + 1 + max(bar, 0)))
    if counts.by == "folder":
        table.add_column(counts.by)
    for place, (name, total) in enumerate(zip(counts.bins, counts.totals, strict=True)):
        cells: list[str | Text] = [f"{total:,}"]
        for text, number, bar in zip(texts, numbers, bars, strict=True):
            of_text = counts.counts[text]
            cells.append(_cell(of_text[place], max(of_text), number, bar) if total else "")
        table.add_row(*([*cells, printable(name)] if counts.by == "folder" else [printable(name), *cells]))
    table.write()


def _cell(count: int, most: int, number: int, bar: int) -> Text:
    """A count, and behind it a bar.

    Args:
        count: The count.
        most: The count of a whole bar.
        number: How many columns the count takes.
        bar: How many the bar may take.
    """
    from rich.text import Text

    cell = Text(f"{count:>{number},}", style="" if count else "dim")
    if count and bar > 0:
        cell.append(" ").append(_bar(count / most, bar), style="green")
    return cell


def _bar(share: float, width: int) -> str:
    """A bar of so much of a width; one at least of what a character can show."""
    if not can_encode(_EIGHTHS):
        return _ASCII * max(1, round(share * width))
    whole, rest = divmod(max(1, round(share * width * len(_EIGHTHS))), len(_EIGHTHS))
    return _EIGHTHS[-1] * whole + (_EIGHTHS[rest - 1] if rest else "")


def _cut(text: str, width: int) -> str:
    from rich.text import Text

    shown = Text(printable(text))
    shown.truncate(max(width, 1), overflow="ellipsis")
    return shown.plain

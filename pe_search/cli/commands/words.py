"""`pe-search words`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from pe_search.cli.input.field_options import OutputOption, chosen_format
from pe_search.cli.input.judged import JUDGEMENT_FIELDS, judgement_row
from pe_search.cli.input.options import StoreOption, format_option, store_directory
from pe_search.cli.output.files import output_to
from pe_search.cli.output.messages import printable, say, say_problem
from pe_search.cli.output.rows import Rows
from pe_search.cli.output.tables import PathTable
from pe_search.directories import command_for
from pe_search.library import Library
from pe_search.records import Word

_FIELDS = ("word", "text", "yes", "no", "unsure", "gone", "judged_at")


class WordFormat(StrEnum):
    """The ways to print words."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


def words(
    judgements: Annotated[
        bool,
        typer.Option(
            "--judgements", rich_help_panel="Show", help="Print all that was judged, as CSV for `learn --from`."
        ),
    ] = False,
    word_format: Annotated[WordFormat | None, format_option("table, jsonl, csv.", "table; in a pipe jsonl")] = None,
    output: OutputOption = None,
    store: StoreOption = None,
) -> None:
    """List the words that the store was taught.

    \b
        pe-search words
        pe-search words --judgements -o judgements.csv
        pe-search learn --from judgements.csv --store other

    Shows how many stretches were judged yes, no and unsure, how many of these are of clips that the store no longer
    holds, when something was last judged, and the text that the word starts from.

    With --judgements, each row is a stretch, by the digest of its file: another store takes them as they are.

    Exit status: 0 found, 1 the store knows no word, or nothing was judged, 2 an error.
    """
    if judgements and word_format not in (None, WordFormat.CSV):
        raise typer.BadParameter("can only print CSV.", param_hint="--judgements")
    chosen = WordFormat.CSV if judgements else chosen_format(word_format, WordFormat, in_a_pipe="jsonl", output=output)
    with Library(store_directory(store), on_problem=say_problem) as library:
        known = library.words()
        with output_to(output):
            count = _write_judgements(library, known) if judgements else _write_words(known, chosen)
            sys.stdout.flush()
        if not count and sys.stderr.isatty():
            what = "nothing was judged in this store" if judgements and known else "the store knows no word"
            say(f"pe-search: {what}; {command_for('learn @WORD --yes FILE', library.directory)} teaches it one.")
    if not count:
        raise typer.Exit(1)


def _write_words(known: Sequence[Word], word_format: WordFormat) -> int:
    if word_format is not WordFormat.TABLE:
        rows = ((*_counts(one), _at(one)) for one in known)
        with Rows(_FIELDS, as_csv=word_format is WordFormat.CSV) as writer:
            writer.write_all(rows)
        return len(known)
    if known:
        table = PathTable()
        table.add_column("word")
        for name in ("yes", "no", "unsure", "gone"):
            table.add_column(name, right=True)
        table.add_column("last judged")
        table.add_column("text")
        for one in known:
            judged = "-" if one.judged_at_s is None else f"{datetime.fromtimestamp(one.judged_at_s):%Y-%m-%d %H:%M}"
            counts = (f"{count:,}" for count in (one.yes, one.no, one.unsure, one.gone))
            table.add_row(one.word, *counts, judged, printable(one.text))
        table.write()
    return len(known)


def _counts(one: Word) -> tuple[object, ...]:
    return one.word, one.text, one.yes, one.no, one.unsure, one.gone


def _at(one: Word) -> str | None:
    return None if one.judged_at_s is None else datetime.fromtimestamp(one.judged_at_s, UTC).isoformat()


def _write_judgements(library: Library, known: Sequence[Word]) -> int:
    texts = {one.word: one.text for one in known}
    judged = library.judgements()
    paths = {digest: next(map(str, library.paths_of(digest)), "") for digest in {one.digest for one in judged}}
    with Rows(JUDGEMENT_FIELDS, as_csv=True) as writer:
        writer.write_all(judgement_row(one, paths[one.digest], texts[one.word]) for one in judged)
    return len(judged)

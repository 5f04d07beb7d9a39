"""`pe-search count`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_word
from pe_search.cli.input.field_options import OutputOption, chosen_format, is_figure
from pe_search.cli.input.filters import (
    BpmOption,
    ChannelsOption,
    HourOption,
    LengthOption,
    LoudnessOption,
    NameOption,
    RateOption,
    RecordedOption,
    TagOption,
    make_filters,
    options_of,
)
from pe_search.cli.input.lists import FromFileOption, read_more_texts
from pe_search.cli.input.numbers import number_between
from pe_search.cli.input.options import StoreOption, checked_texts, format_option, store_directory
from pe_search.cli.input.terms import refuse_audio
from pe_search.cli.output.counts import CountFormat, write_counts, write_estimates
from pe_search.cli.output.files import output_to
from pe_search.cli.output.heat_map import write_heat_map
from pe_search.cli.output.hints import is_on_terminal, say_odd_texts, why_none_passes
from pe_search.cli.output.messages import counted, say, say_compiling, say_problem, shown_path
from pe_search.cli.output.progress import ProgressBar
from pe_search.directories import command_for
from pe_search.errors import quoted
from pe_search.library import Library
from pe_search.queries import Filters, is_word
from pe_search.reports import Counts


class By(StrEnum):
    """What windows are counted by."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    FOLDER = "folder"


class Of(StrEnum):
    """What is counted."""

    WINDOWS = "windows"
    CLIPS = "clips"


def count(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT...",
            autocompletion=complete_word,
            rich_help_panel="Ask",
            show_default=False,
            help="What to count. Quote a phrase. A .txt file is read as TEXTs, one per line; - reads standard input.",
        ),
    ] = None,
    from_file: FromFileOption = None,
    by: Annotated[
        By,
        typer.Option(
            "--by", metavar="BIN", rich_help_panel="Show", help="Count by hour of the day, day, month or folder."
        ),
    ] = By.HOUR,
    of: Annotated[
        Of,
        typer.Option(
            "--of",
            metavar="WHAT",
            rich_help_panel="Show",
            help="Count windows or clips. A clip counts in each bin in which one of its windows does.",
        ),
    ] = Of.WINDOWS,
    judged: Annotated[
        bool,
        typer.Option(
            "--judged",
            rich_help_panel="Show",
            help="Estimate how many windows have a word, by what `judge --spread` asked.",
        ),
    ] = False,
    count_format: Annotated[
        CountFormat | None,
        format_option("table, csv, jsonl, parquet.", "table; in a pipe csv"),
    ] = None,
    output: OutputOption = None,
    min_probability: Annotated[
        float,
        typer.Option(
            "--min-probability",
            parser=number_between(0.0, 1.0),
            metavar="P",
            rich_help_panel="Filter",
            help="The least probability of a window that counts.",
        ),
    ] = 0.5,
    under: Annotated[
        Path | None,
        typer.Option("--under", metavar="PATH", rich_help_panel="Filter", help="Count only in this folder or clip."),
    ] = None,
    length: LengthOption = None,
    rate: RateOption = None,
    channels: ChannelsOption = None,
    name: NameOption = None,
    tag: TagOption = None,
    recorded: RecordedOption = None,
    hour: HourOption = None,
    loudness: LoudnessOption = None,
    bpm: BpmOption = None,
    store: StoreOption = None,
) -> None:
    """Count how often sounds are heard in each hour, day, month or folder.

    \b
        pe-search count "dog barking" rain
        pe-search count species.txt --by day --min-probability 0.7
        pe-search count species.txt --by month -o calls.png
        pe-search count @rex --judged

    Each TEXT is counted by itself, in all windows of the store. The time of a window is when it was recorded, as the
    clock of the recorder shows it; what has no time counts as unknown. The number of all windows in a bin is shown too,
    for rates. In each bin, clips with the same bytes count once. With -o, a .png, .svg or .pdf is a heat map, which
    needs the extra pe-search[plots]; .csv, .jsonl and .parquet have a row for each TEXT and bin.

    With --judged, no probability decides: of each range of scores, the share of yes counts for all its windows, with
    an interval of 95 %.

    Exit status: 0 found, 1 nothing found, 2 an error.
    """
    wanted = list(dict.fromkeys(checked_texts(read_more_texts(texts or [], from_file, may_be_lists=True), "TEXT")))
    for text in wanted:
        refuse_audio(text, "TEXT")
    if not wanted:
        raise typer.BadParameter("Give a TEXT or --from-file. As TEXT, - reads standard input.")
    filters = make_filters(length, rate, channels, name, tag, recorded, hour, loudness, bpm)
    if judged:
        for text in wanted:
            if not is_word(text):
                raise typer.BadParameter(
                    f"requires words, such as @rex, in place of {quoted(text)}.", param_hint="--judged"
                )
        for option, is_given in {"--by": by is not By.HOUR, "--of": of is not Of.WINDOWS}.items():
            if is_given:
                raise typer.BadParameter("can't be used with --judged.", param_hint=option)
        count_format = chosen_format(count_format, CountFormat, in_a_pipe="csv", output=output)
        _write_judged(store_directory(store), wanted, count_format, output, under, filters)
        return
    if not is_figure(output, count_format, "a heat map"):
        count_format = chosen_format(count_format, CountFormat, in_a_pipe="csv", output=output)
    with Library(store_directory(store), on_compile=say_compiling, on_problem=say_problem) as library:
        library.open()
        say_odd_texts(library, wanted, None)
        with ProgressBar("counting") as bar:
            counts = library.count(
                wanted,
                by=by.value,
                of=of.value,
                min_probability=min_probability,
                under=under,
                filters=filters,
                on_progress=bar.show_share,
            )
        _say_unknown(counts)
        with output_to(output):
            if count_format is not None:
                write_counts(counts, count_format)
            elif output is not None and not write_heat_map(counts, sys.stdout.buffer, output.suffix.lower()):
                say(f"pe-search: {output}: the font lacks some characters of its labels; an .svg keeps them as text.")
        if output is not None:
            say(f"{counted(len(counts.texts), 'text')} counted by {counts.by}, written to {output}")
        if not any(map(any, counts.counts)):
            if is_on_terminal():
                _say_none(counts, library, under, filters)
            raise typer.Exit(1)


def _write_judged(
    directory: Path,
    words: list[str],
    count_format: CountFormat,
    output: Path | None,
    under: Path | None,
    filters: Filters,
) -> None:
    with Library(directory, on_compile=say_compiling, on_problem=say_problem) as library:
        found = {word: library.estimate(word, under=under, filters=filters) for word in words}
    with output_to(output):
        write_estimates(found, count_format)


def _say_unknown(counts: Counts) -> None:
    if number := counts.clips_without_time:
        have = "has" if number == 1 else "have"
        say(
            f"pe-search: {counted(number, 'clip')} {have} no time of recording and {'is' if number == 1 else 'are'} "
            "counted as unknown; a header or a name such as 20240612_053000.wav gives one."
        )


def _say_none(counts: Counts, library: Library, under: Path | None, filters: Filters) -> None:
    """Say why nothing counts, with the best that there is."""
    passing = f" passing {options_of(filters)}" if filters else ""
    found = [(best, text) for text, best in zip(counts.texts, counts.best, strict=True) if best is not None]
    if found:
        best, text = max(found)
        said = f"no window{passing} has a probability of {counts.min_probability:g} or more"
        say(f"pe-search: {said}; the best is {best:.2f}, for {text}")
        return
    effect = library.filter_effect(under, filters)
    if effect.passing:
        say(f"pe-search: no window of {counted(effect.passing, 'clip')}{passing}.")
    elif effect.clips:
        say(f"pe-search: {why_none_passes(effect, filters)}.")
    else:
        said = "no clips" if under is None else f"no clips in {shown_path(under)}"
        say(f"pe-search: the store has {said}; {command_for('list', library.directory)} shows all.")

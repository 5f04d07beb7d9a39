"""`pe-search label`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.input.completion import complete_checkpoint, complete_words
from pe_search.cli.input.config import usual_patterns
from pe_search.cli.input.field_options import LabelFieldsOption, OutputOption, chosen_format, read_fields
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
    options_by_field,
    options_of,
)
from pe_search.cli.input.fitting import library_if_fit
from pe_search.cli.input.lists import FilesFromOption, PathsArgument, places, read_more_paths, read_texts
from pe_search.cli.input.numbers import number_between
from pe_search.cli.input.options import (
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    LevelOption,
    SpeedOption,
    StoreOption,
    TrackOption,
    checked_texts,
    format_option,
    store_directory,
)
from pe_search.cli.output.files import output_to
from pe_search.cli.output.hints import is_on_terminal, say_odd_texts, what_is_unknown, why_none_passes
from pe_search.cli.output.hits import times
from pe_search.cli.output.messages import Problems, counted, printable, say, say_compiling, say_problem, shown_path
from pe_search.cli.output.passed_over import ExcludeOption, refuse_bad_patterns, say_no_clips, say_unreadable
from pe_search.cli.output.progress import ProgressBar
from pe_search.cli.output.rows import columns_of, row_writer
from pe_search.cli.output.tables import PathTable, room, write_renderable
from pe_search.known.fields import LABEL_FIELDS, named
from pe_search.listener import Listener
from pe_search.model import Wanted
from pe_search.queries import Filters, Hit
from pe_search.reports import FilterEffect

if TYPE_CHECKING:
    from rich.text import Text

    from pe_search.tasks.describing import Describer

_FIELDS = ("label", "rank", "path", "start_s", "end_s", "score", "probability")
# A label is more likely to fit than not.
_LIKELY = 0.5
# How wide the times of a window are in a recording of a day.
_TIMES = len("23:59:50–24:00:00")
_LEAST_ROOM = 16


class LabelFormat(StrEnum):
    """The ways to print labels."""

    TABLE = "table"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def label(
    context: typer.Context,
    paths: PathsArgument = None,
    files_from: FilesFromOption = None,
    exclude: ExcludeOption = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="TEXT,TEXT",
            autocompletion=complete_words,
            rich_help_panel="Ask",
            help="The labels, separated by commas.",
        ),
    ] = None,
    labels_file: Annotated[
        str | None,
        typer.Option(
            "--labels-file", metavar="FILE", rich_help_panel="Ask", help="Read the labels from FILE, one per line."
        ),
    ] = None,
    all_windows: Annotated[
        bool,
        typer.Option(
            "--all-windows", rich_help_panel="Show", help="Label each window of a clip, not the clip as a whole."
        ),
    ] = False,
    min_probability: Annotated[
        float,
        typer.Option(
            "--min-probability",
            parser=number_between(0.0, 1.0),
            metavar="P",
            rich_help_panel="Filter",
            help="Drop labels whose probability is below P.",
        ),
    ] = 0.0,
    length: LengthOption = None,
    rate: RateOption = None,
    channels: ChannelsOption = None,
    name: NameOption = None,
    tag: TagOption = None,
    recorded: RecordedOption = None,
    hour: HourOption = None,
    loudness: LoudnessOption = None,
    bpm: BpmOption = None,
    label_format: Annotated[
        LabelFormat | None,
        format_option("table, jsonl, csv, parquet.", "table; in a pipe jsonl"),
    ] = None,
    fields: LabelFieldsOption = None,
    output: OutputOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            autocompletion=complete_checkpoint,
            rich_help_panel="Model",
            show_default="the store's, else $PE_SEARCH_MODEL, else builtin",
            help="The checkpoint: builtin, small, base, large, a Hugging Face id or a directory.",
        ),
    ] = None,
    level: LevelOption = None,
    speed: SpeedOption = None,
    track: TrackOption = None,
    device: DeviceOption = Device.AUTO,
    dtype: DtypeOption = Dtype.AUTO,
    store: StoreOption = None,
) -> None:
    """Show how likely it is that each label fits a clip.

    \b
        pe-search label ./new --labels "dog barking,rain,speech"
        pe-search label ./sounds --labels-file kinds.txt --format csv > labels.csv
        pe-search label ./sounds --labels "music,speech" --min-probability 0.5
        pe-search label night.wav --labels-file birds.txt --all-windows

    Each label is judged by itself: several may fit, or none, and the probabilities don't add up to 1. A long clip is
    judged by its best window, label by label; with --all-windows, each window by itself, and shown as soon as it is
    judged. No store is needed. If there is one, the embeddings in it are used.

    Exit status: 0 found, 1 nothing found, 2 an error or a file left out.
    """
    texts = _read_labels(labels, labels_file)
    filters = make_filters(length, rate, channels, name, tag, recorded, hour, loudness, bpm)
    refuse_bad_patterns(exclude)
    shown = read_fields(fields, LABEL_FIELDS)
    label_format = chosen_format(label_format, LabelFormat, in_a_pipe="jsonl", output=output, shown=shown)
    problems = Problems()

    source = context.get_parameter_source("store")
    where = read_more_paths(paths, files_from)
    found = Listener(on_problem=problems.report).find(where, exclude=exclude or usual_patterns())
    if not found.stamps:
        say_no_clips(found.passed_over, places(paths, files_from), problems)
        raise typer.Exit(2 if problems else 1)
    say_unreadable(found.passed_over)
    bar = ProgressBar("labelling")
    listener = library_if_fit(
        store_directory(store),
        Wanted(model, level=level and level.value, speed=speed, track=track),
        is_named=source is not None and source.name == "COMMANDLINE",
        device=device.value,
        dtype=dtype.value,
        loading=bar.loading,
        on_compile=say_compiling,
        on_problem=say_problem,
    )
    say_odd_texts(listener, texts, None)
    with closing(listener), bar:
        effects: list[FilterEffect] = []
        labelled = listener.label(
            found,
            texts,
            all_windows=all_windows,
            filters=filters,
            on_filtered=effects.append,
            on_progress=bar.show,
            on_problem=problems.report,
        )
        for effect in effects:
            _say_unknown(effect, filters)
        best: list[Hit] = []

        def likely(hits: Sequence[Hit]) -> list[Hit]:
            best[:] = [max([*best, hits[0]], key=_probability)]
            return [hit for hit in hits if _probability(hit) >= min_probability]

        describer = None if shown is None else listener.describer(shown, are_of_files=True)
        with output_to(output):
            if all_windows and label_format is LabelFormat.TABLE and describer is None:
                count = _write_windows(map(likely, labelled), bar.hide)
            else:
                count = _write(map(likely, labelled), label_format, describer, bar.hide)
    if problems:
        raise typer.Exit(2)
    if count == 0:
        if effects and not best and is_on_terminal():
            say(f"pe-search: {_why_none(effects[0], filters)}.")
        if best and is_on_terminal():
            nearest = f"{best[0].query} with {best[0].probability:.2f} in {shown_path(best[0].path)}"
            say(f"pe-search: no label has a probability of {min_probability:g} or more; the best is {nearest}")
        raise typer.Exit(1)


def _probability(label: Hit) -> float:
    """That of a label, which always has one."""
    assert label.probability is not None
    return label.probability


def _say_unknown(effect: FilterEffect, filters: Filters) -> None:
    """Say of how many files a store alone could tell what filters ask for."""
    options = options_by_field(filters)
    if count := effect.unknown.get("loudness_lufs"):
        lack = f"{what_is_unknown({'loudness_lufs': count})[0]} known without decoding"
        say(f"pe-search: {lack} and can't pass {options['loudness_lufs']}; index measures it.")
    if count := effect.unknown.get("tags"):
        are = "is" if count == 1 else "are"
        say(f"pe-search: {counted(count, 'clip')} {are} not in the store as on disk and can't pass {options['tags']}.")


def _why_none(effect: FilterEffect, filters: Filters) -> str:
    if not effect.passing:
        return why_none_passes(effect, filters)
    return f"no window of {counted(effect.passing, 'clip')} passes {options_of(filters)}"


def _read_labels(labels: str | None, labels_file: str | None) -> list[str]:
    if labels is None and labels_file is None:
        raise typer.BadParameter("Give --labels or --labels-file.")
    if labels is not None and labels_file is not None:
        raise typer.BadParameter("Give only one of --labels and --labels-file.")
    if labels_file is not None:
        return list(dict.fromkeys(read_texts(labels_file, "--labels-file")))
    assert labels is not None
    return list(dict.fromkeys(checked_texts([part.strip() for part in labels.split(",")], "--labels")))


def _write(
    answers: Iterable[Sequence[Hit]],
    label_format: LabelFormat,
    describer: Describer | None,
    make_room: Callable[[], None],
) -> int:
    """Print the labels of each clip to stdout; returns how many there are."""
    if label_format is LabelFormat.TABLE and describer is None:
        labelled = [hits for hits in answers if hits]
        make_room()
        if labelled:
            _write_table(labelled)
        return sum(map(len, labelled))
    columns = columns_of(named(_FIELDS, LABEL_FIELDS) if describer is None else describer.fields)
    count = 0
    with row_writer(columns, label_format.value) as rows:
        for hits in answers:
            make_room()
            described = (hit.to_dict() for hit in hits) if describer is None else describer.rows(hits)
            rows.write_all(row.values() for row in described)
            sys.stdout.buffer.flush()
            count += len(hits)
    return count


def _write_table(labelled: Iterable[Sequence[Hit]]) -> None:
    """A row for each clip."""
    table = PathTable()
    table.add_column("prob.", right=True, style="green")
    table.add_column("time", right=True, style="cyan")
    table.add_column("label", wraps=True)
    table.add_column("clip")
    for hits in labelled:
        best = hits[0]
        table.add_row(f"{best.probability:.2f}", times(best.start_s, best.end_s), _labels(hits), shown_path(best.path))
    table.write()


def _write_windows(answers: Iterable[Sequence[Hit]], make_room: Callable[[], None]) -> int:
    """A row for each window as it comes, below the name of its clip; returns how many labels there are."""
    from rich.console import Console
    from rich.text import Text

    count, path = 0, None
    for hits in filter(None, answers):
        make_room()
        best = hits[0]
        if best.path != path:
            path = best.path
            write_renderable(Text(shown_path(path), style="bold"))
        before = Text.assemble(
            (f"{best.probability:.2f}", "green"), "  ", (f"{times(best.start_s, best.end_s):>{_TIMES}}", "cyan"), "  "
        )
        width = max(room() - before.cell_len, _LEAST_ROOM)
        for line in _labels(hits).wrap(Console(width=width), width):
            line.rstrip()
            write_renderable(before + line)
            before = Text(" " * before.cell_len)
        sys.stdout.flush()
        count += len(hits)
    return count


def _labels(hits: Sequence[Hit]) -> Text:
    """The best label, and behind it what else is likely."""
    from rich.text import Text

    best, *others = hits
    label = Text(printable(best.query))
    label.stylize("bold")
    for hit in others:
        if _probability(hit) >= _LIKELY:
            label.append(f", {printable(hit.query)} {hit.probability:.2f}", style="dim")
    return label

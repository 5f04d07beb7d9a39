"""`pe-search evaluate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from pe_search.cli.input.completion import complete_checkpoint
from pe_search.cli.input.field_options import OutputOption, chosen_format, is_figure
from pe_search.cli.input.numbers import whole_number_between
from pe_search.cli.input.options import (
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    checked_texts,
    format_option,
    store_directory,
)
from pe_search.cli.output.curves import MOST_LABELS, write_curves
from pe_search.cli.output.evaluations import EvaluationFormat, Judged, shown_source, write_evaluations
from pe_search.cli.output.files import output_to
from pe_search.cli.output.hints import say_odd_texts
from pe_search.cli.output.messages import Problems, counted, say, say_compiling, shown_path
from pe_search.cli.output.progress import ProgressBar
from pe_search.cli.output.report import write_report
from pe_search.directories import command_for
from pe_search.evaluations import Evaluation
from pe_search.evaluator import Evaluator
from pe_search.library import Library
from pe_search.model import Wanted
from pe_search.reports import Progress

_HTML = (".html", ".htm")
_MOST_NAMED = 3


def evaluate(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            rich_help_panel="Ask",
            show_default=False,
            help="What is heard in clips: a CSV or TSV file, a Raven table or Audacity labels.",
        ),
    ],
    prompt: Annotated[
        str,
        typer.Option(
            "--prompt", metavar="TEXT", rich_help_panel="Ask", help="What is asked for a label, which replaces {}."
        ),
    ] = "{}",
    audio: Annotated[
        Path | None,
        typer.Option(
            "--audio", metavar="FILE", rich_help_panel="Files", help="The clip that a TABLE without paths is about."
        ),
    ] = None,
    drawings: Annotated[
        int,
        typer.Option(
            "--drawings",
            metavar="N",
            parser=whole_number_between(0, 100_000),
            rich_help_panel="Show",
            help="Draw the recordings N times for the intervals. 0 leaves intervals out.",
        ),
    ] = 1_000,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            metavar="N",
            parser=whole_number_between(0, 2**63 - 1),
            rich_help_panel="Show",
            help="Draw by this number. The same one draws the same.",
        ),
    ] = 0,
    evaluation_format: Annotated[
        EvaluationFormat | None,
        format_option("table, jsonl, csv.", "table; in a pipe jsonl"),
    ] = None,
    output: OutputOption = None,
    clips_only: Annotated[
        bool,
        typer.Option(
            "--clips-only",
            rich_help_panel="Spans",
            help="Don't listen to the clips of a TABLE with times. Figures of frames and events are left out.",
        ),
    ] = False,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            autocompletion=complete_checkpoint,
            rich_help_panel="Model",
            show_default="that of the store",
            help="A checkpoint, as for index, that embeds the clips now. Several are shown side by side.",
        ),
    ] = None,
    device: DeviceOption = Device.AUTO,
    dtype: DtypeOption = Dtype.AUTO,
    stores: Annotated[
        list[str] | None,
        typer.Option(
            "--store",
            metavar="STORE",
            rich_help_panel="Store",
            show_default="see `pe-search config`",
            help="A folder or the name of a store. Several are shown side by side.",
        ),
    ] = None,
) -> None:
    """Measure how well sounds are found in your own clips, by what you know of them.

    \b
        pe-search evaluate labels.csv
        pe-search evaluate labels.csv --prompt "a recording of {}" -o report.html
        pe-search evaluate labels.csv --model small --model base
        pe-search evaluate selections.txt --audio night.wav

    TABLE has a header with the columns path and label; path, start, end and label; or path and caption. A clip may
    have several rows. A row with an empty label is a clip in which no label is heard. Paths are relative to the folder
    of TABLE. A column recording names what clips are parts of. Clips must be indexed. With --model, no store is needed:
    the clips are embedded, and the embeddings are not kept. Clips of a TABLE with times are also listened to, as by
    `locate`. With -o, a .html is a report of one page; a .png, .svg or .pdf shows curves, which needs the extra
    pe-search[plots]; .csv and .jsonl have a row for each figure. The extra pe-search[evaluate] must be installed.

    Exit status: 0 done, 1 no clip is in the store, 2 an error or a clip that can't be read.
    """
    checked_texts([prompt], "--prompt")
    if "{}" not in prompt:
        raise typer.BadParameter("must contain {}, in place of which the label is put.", param_hint="--prompt")
    is_drawn = is_figure(output, evaluation_format, "a figure of curves")
    is_report = evaluation_format is None and output is not None and output.suffix.lower() in _HTML
    if not (is_drawn or is_report):
        evaluation_format = chosen_format(evaluation_format, EvaluationFormat, in_a_pipe="jsonl", output=output)
    problems = Problems()

    judged = []
    options: dict[str, Any] = {
        "device": device.value,
        "dtype": dtype.value,
        "on_compile": say_compiling,
        "on_problem": problems.report,
    }
    evaluators: list[tuple[Path | str, Evaluator, ProgressBar]] = []
    # What is missing is told before hours are spent on another one.
    for source in _sources(models, stores):
        working = ProgressBar("embedding" if isinstance(source, str) else "listening")
        if isinstance(source, str):
            evaluator = Evaluator(Wanted(source), loading=working.loading, **options)
            _ = evaluator.model.checkpoint
        else:
            evaluator = library = Library(source, loading=working.loading, **options)
            library.open()
        evaluators.append((source, evaluator, working))
    for source, evaluator, working in evaluators:
        bar = ProgressBar("evaluating")
        with closing(evaluator), bar, working:
            found = evaluator.evaluate(
                table,
                audio=audio,
                prompt=prompt,
                listens=not clips_only,
                drawings=drawings,
                seed=seed,
                on_progress=partial(_show_share, bar, working),
                on_embedding=working.show,
                on_listening=partial(_show, bar, working),
            )
            for shown in (bar, working):
                shown.hide()
            _say_missing(found.missing, table, source)
            _say_trained_on(found)
            if found.clips and found.naming is not None:
                texts = [one.text for one in found.of_texts if not one.text.startswith("@")]
                say_odd_texts(evaluator, texts, None)
        judged.append(Judged(source, found))
    if not any(one.evaluation.clips for one in judged):
        _say_nothing(judged, table)
        raise typer.Exit(1)
    with output_to(output):
        if evaluation_format is not None:
            write_evaluations(judged, evaluation_format)
        elif output is not None and is_drawn:
            if not write_curves(judged, sys.stdout.buffer, output.suffix.lower()):
                say(f"pe-search: {output}: the font lacks some characters of its labels; an .svg keeps them as text.")
            _say_left_out_of_figure(judged)
        else:
            write_report(judged, table)
    if output is not None:
        clips = max(one.evaluation.clips for one in judged)
        say(f"{counted(clips, 'clip')} evaluated, written to {output}")
    if problems:
        raise typer.Exit(2)


def _sources(models: Sequence[str] | None, stores: Sequence[str] | None) -> list[str | Path]:
    """What is evaluated, each once: the names of checkpoints, and the folders of stores."""
    directories = map(store_directory, stores or (() if models else (None,)))
    return [*dict.fromkeys(models or ()), *dict.fromkeys(directories)]


def _show_share(bar: ProgressBar, working: ProgressBar, share: float) -> None:
    working.hide()
    bar.show_share(share)


def _show(bar: ProgressBar, working: ProgressBar, progress: Progress) -> None:
    bar.hide()
    working.show(progress)


def _say_missing(missing: Sequence[str], table: Path, source: str | Path) -> None:
    if not missing:
        return
    named = ", ".join([*missing[:_MOST_NAMED], *(["…"] if len(missing) > _MOST_NAMED else [])])
    are = "is" if len(missing) == 1 else "are"
    clips = f"{counted(len(missing), 'clip')} of {shown_path(table)}"
    if isinstance(source, str):
        say(f"pe-search: {clips} can't be read and {are} left out: {named}")
    else:
        say(f"pe-search: {clips} {are} not in the store at {shown_source(source)} and left out: {named}")


def _say_trained_on(found: Evaluation) -> None:
    if number := found.trained_on:
        clips = counted(found.clips, "clip")
        say(
            f"pe-search: the checkpoint {found.model} was trained on {number:,} of the {clips}; figures on these are "
            "too good."
        )


def _say_left_out_of_figure(judged: Sequence[Judged]) -> None:
    labels = len(judged[0].evaluation.of_texts)
    if judged[0].evaluation.naming is not None and labels > MOST_LABELS:
        say(f"pe-search: the figure shows the first {MOST_LABELS} of {labels:,} labels; a .csv has all.")


def _say_nothing(judged: Sequence[Judged], table: Path) -> None:
    stores = [one.source for one in judged if isinstance(one.source, Path)]
    if not stores:
        say(f"pe-search: no clip of {shown_path(table)} could be embedded.")
        return
    names, command = " and ".join(map(shown_source, stores)), command_for("list", stores[0])
    say(f"pe-search: the store at {names} holds no clip of {shown_path(table)}; {command} shows what it holds.")

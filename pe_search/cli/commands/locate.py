"""`pe-search locate`."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_frame_checkpoint
from pe_search.cli.input.config import usual_model, usual_patterns
from pe_search.cli.input.field_options import OutputOption, chosen_format
from pe_search.cli.input.lists import FilesFromOption, places, read_paths
from pe_search.cli.input.options import (
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    LevelOption,
    NullOption,
    SpeedOption,
    TrackOption,
    checked_texts,
    format_option,
)
from pe_search.cli.input.span_options import JoinOption, MinLengthOption, SmoothOption, ThresholdOption, span_rules
from pe_search.cli.input.times import seconds_option
from pe_search.cli.output.files import output_to
from pe_search.cli.output.hints import Loudest, is_on_terminal, say_odd_texts
from pe_search.cli.output.hits import HitFormat
from pe_search.cli.output.messages import Problems
from pe_search.cli.output.passed_over import ExcludeOption, refuse_bad_patterns, say_no_clips, say_unreadable
from pe_search.cli.output.picks import CopyToOption, CutToOption, Picks, PlayOption
from pe_search.cli.output.progress import ProgressBar
from pe_search.cli.output.raven import RavenFiles, RavenSequenceOption
from pe_search.cli.output.timelines import TIMELINE_FORMATS, TimelineWriter
from pe_search.cli.output.traces import TraceWriter
from pe_search.directories import expanded
from pe_search.errors import quoted
from pe_search.listener import Listener
from pe_search.model import Wanted


def locate(
    texts_and_files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT... FILE...",
            rich_help_panel="Ask",
            show_default=False,
            help="What to listen for, then audio files and folders. The first argument that exists is the first FILE.",
        ),
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            "--text", "-t", metavar="TEXT", rich_help_panel="Ask", help="Listen for TEXT. All arguments are FILEs then."
        ),
    ] = None,
    files_from: FilesFromOption = None,
    exclude: ExcludeOption = None,
    then: Annotated[
        list[str] | None,
        typer.Option(
            "--then", metavar="TEXT", rich_help_panel="Ask", help="Keep spans that TEXT follows, one after another."
        ),
    ] = None,
    within_s: Annotated[
        float | None,
        seconds_option("--within", text="The longest pause before each --then.", group="Ask", default="5"),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="TEXT", rich_help_panel="Ask", help="Drop spans in which TEXT is heard too."),
    ] = None,
    threshold: ThresholdOption = None,
    smooth_s: SmoothOption = None,
    min_length_s: MinLengthOption = None,
    join_s: JoinOption = None,
    is_raven_sequence: RavenSequenceOption = False,
    trace_format: Annotated[
        HitFormat | None,
        format_option(
            "table, paths, jsonl, csv, parquet, audacity, raven, reaper, cue, srt.", "table; in a pipe jsonl"
        ),
    ] = None,
    output: OutputOption = None,
    null: NullOption = False,
    copy_to: CopyToOption = None,
    cut_to: CutToOption = None,
    is_to_play: PlayOption = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "--frame-model",
            metavar="NAME",
            autocompletion=complete_frame_checkpoint,
            rich_help_panel="Model",
            show_default="$PE_SEARCH_MODEL, else builtin",
            help="The checkpoint: builtin, small, base, large, a Hugging Face id or a directory.",
        ),
    ] = None,
    level: LevelOption = None,
    speed: SpeedOption = None,
    track: TrackOption = None,
    device: DeviceOption = Device.AUTO,
    dtype: DtypeOption = Dtype.AUTO,
) -> None:
    """Find when a sound is heard in audio files, without a store.

    \b
        pe-search locate "dog barking" walk.wav
        pe-search locate siren "car horn" ./street --format csv > street.csv
        pe-search locate siren --then "car crash" --within 5 dashcam/*.wav
        pe-search locate rain --without speech ./garden --format paths

    Files may have any length. Each TEXT has its own spans, each with its highest probability.

    Exit status: 0 found, 1 nothing found, 2 an error or a file left out.
    """
    if within_s is not None and not then:
        raise typer.BadParameter("--within requires --then.")
    trace_format = chosen_format(trace_format, HitFormat, in_a_pipe="jsonl", output=output, null=null)
    if is_raven_sequence and trace_format is not HitFormat.RAVEN:
        raise typer.BadParameter("--raven-sequence requires --format raven.")
    for name, values in {"--text": texts, "--then": then, "--without": without}.items():
        checked_texts(values or [], name)
    queries, files = _told_apart(texts_and_files or [], texts or [], has_list=files_from is not None)
    checked_texts(queries, "TEXT")
    refuse_bad_patterns(exclude)
    problems = Problems()

    bar = ProgressBar("listening")
    asked = model if model is not None else usual_model()
    listener = Listener(
        Wanted(asked, level=level and level.value, speed=speed, track=track),
        device=device.value,
        dtype=dtype.value,
        loading=bar.loading,
        on_problem=problems.report,
    )
    found = listener.find([*files, *read_paths(files_from)], exclude=exclude or usual_patterns())
    if not found.stamps:
        say_no_clips(found.passed_over, places(files, files_from), problems)
        raise typer.Exit(2 if problems else 1)
    say_unreadable(found.passed_over)
    say_odd_texts(listener, [*queries, *(then or ()), *(without or ())], "--without")
    rules = span_rules(threshold, smooth_s, min_length_s, join_s, listener.hearing.speed)
    raven = RavenFiles(listener.describe)
    if is_raven_sequence:
        # Listening reports what can't be read.
        raven.open_as_sequence(map(Path, found.stamps), lambda _problem: None)
    with bar:
        heard = listener.locate(
            queries,
            found,
            then=then or (),
            without=without or (),
            within_s=5.0 if within_s is None else within_s,
            rules=rules,
            on_progress=bar.show,
        )
        picks = Picks(listener, copy_to, cut_to, is_to_play=is_to_play)
        is_timeline = trace_format in TIMELINE_FORMATS
        writer = TimelineWriter(trace_format, raven) if is_timeline else TraceWriter(trace_format, null=null)
        loudest = Loudest()
        with output_to(output), writer:
            # Each clip has a trace for each query.
            while traces := list(islice(heard, len(queries))):
                bar.hide()
                loudest.take(traces)
                picks.take_traces(traces)
                writer.write(traces)
    picks.finish()
    if problems or picks.problems:
        raise typer.Exit(2)
    if not writer.count:
        if is_on_terminal():
            loudest.say_nothing_heard(rules, is_narrowed=bool(then or without))
        raise typer.Exit(1)


def _told_apart(arguments: list[str], texts: list[str], *, has_list: bool) -> tuple[list[str], list[Path]]:
    """The texts and the files among arguments that are given in this order.

    If there are texts given by an option, all arguments are files; else, if there is a list of files, all are texts.
    Else the first is a text, and the files begin with the next that is there, or that can only be meant for a file. A
    word there that could be either is refused where it stands before another file: a folder `rain` must not silently
    take the place of a text.
    """
    if not texts and not arguments:
        raise typer.BadParameter("Give a TEXT, then a FILE.")
    if texts and not (arguments or has_list):
        raise typer.BadParameter("Give a FILE.")
    if texts or has_list:
        return (texts, [Path(file) for file in arguments]) if texts else (arguments, [])
    for place, argument in enumerate(arguments[1:], start=1):
        if _is_file_name(argument) or _is_there(argument):
            if not _is_file_name(argument) and place < len(arguments) - 1:
                raise typer.BadParameter(
                    f"{quoted(argument)} may be a text, and is a file or folder; write ./{argument} for the file, or "
                    "give all texts with -t.",
                )
            return arguments[:place], [Path(file) for file in arguments[place:]]
    last = arguments[-1]
    if len(arguments) > 1 or (_is_file_name(last) and not _is_there(last)):
        raise typer.BadParameter(f"There is no file {quoted(last)}.")
    missing = "TEXT before" if _is_file_name(last) else "FILE after"
    raise typer.BadParameter(f"Give a {missing} {quoted(last)}.")


def _is_file_name(argument: str) -> bool:
    marks = (os.sep, os.altsep)
    return any(mark in argument for mark in marks if mark) or Listener.has_audio_extension(argument)


def _is_there(argument: str) -> bool:
    return os.path.lexists(expanded(Path(argument)))

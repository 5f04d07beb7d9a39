"""`pe-search locate`."""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_frame_checkpoint
from pe_search.cli.input.lists import FilesFromOption, places, read_paths
from pe_search.cli.input.options import (
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    LevelOption,
    SpeedOption,
    TrackOption,
    a_number,
    checked_texts,
)
from pe_search.cli.input.span_options import JoinOption, MinLengthOption, SmoothOption, ThresholdOption, span_rules
from pe_search.cli.output.hits import HitFormat
from pe_search.cli.output.messages import say_problem
from pe_search.cli.output.passed_over import ExcludeOption, refuse_bad_patterns, say_no_clips, say_unreadable
from pe_search.cli.output.picks import CopyToOption, CutToOption, Picks, PlayOption
from pe_search.cli.output.progress import ProgressBar
from pe_search.cli.output.timelines import TIMELINE_FORMATS, TimelineWriter
from pe_search.cli.output.traces import TraceWriter
from pe_search.directories import expanded
from pe_search.listener import Listener
from pe_search.model import Wanted
from pe_search.records import Problem


def locate(
    texts_and_files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT... FILE...",
            show_default=False,
            help="What to listen for, then where: audio files and folders of them. The first argument is a TEXT; the "
            "FILEs begin with the next that exists.",
        ),
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            "--text", "-t", metavar="TEXT", help="What to listen for; repeatable. Then all arguments are FILEs."
        ),
    ] = None,
    files_from: FilesFromOption = None,
    exclude: ExcludeOption = None,
    then: Annotated[
        list[str] | None,
        typer.Option("--then", metavar="TEXT", help="Only where TEXT is heard next; repeatable, one after the other."),
    ] = None,
    within_s: Annotated[
        float | None,
        typer.Option(
            "--within",
            callback=a_number,
            metavar="S",
            min=0.0,
            show_default=False,
            help="The longest pause before what --then asks for. [default: 5]",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="TEXT", help="Only where TEXT is not heard meanwhile; repeatable."),
    ] = None,
    threshold: ThresholdOption = None,
    smooth_s: SmoothOption = None,
    min_length_s: MinLengthOption = None,
    join_s: JoinOption = None,
    trace_format: Annotated[
        HitFormat | None,
        typer.Option("--format", show_default=False, help="[default: table on a terminal, jsonl in a pipe]"),
    ] = None,
    null: Annotated[
        bool, typer.Option("-0", "--null", help="End each path with a NUL byte, for xargs -0; implies paths.")
    ] = False,
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
            show_default=False,
            help="The checkpoint: builtin; small, base or large (facebook/pe-a-frame-*); any Hugging Face id; or a "
            "directory. [default: $PE_SEARCH_MODEL, else builtin]",
        ),
    ] = None,
    level: LevelOption = None,
    speed: SpeedOption = None,
    track: TrackOption = None,
    device: DeviceOption = Device.AUTO,
    dtype: DtypeOption = Dtype.AUTO,
) -> None:
    """Say when in audio files a sound is heard. No store is needed.

    Files may be of any length; folders are walked as by index. For each TEXT the spans are printed in which it is
    heard, with their highest probability. Exit status: 0 if something is heard, 1 if not, 2 on an error, also when a
    file had to be left out.

    \b
        pe-search locate "dog barking" walk.wav
        pe-search locate siren "car horn" ./street --format csv > street.csv
        pe-search locate siren --then "car crash" --within 5 dashcam/*.wav
        pe-search locate rain --without speech ./garden --format paths
        pe-search locate "dog barking" walk.wav --format audacity > labels.txt
    """
    if null and trace_format not in (None, HitFormat.PATHS):
        raise typer.BadParameter("goes with --format paths only.", param_hint="-0")
    if within_s is not None and not then:
        raise typer.BadParameter("goes with --then only.", param_hint="--within")
    if trace_format is None:
        trace_format = HitFormat.TABLE if sys.stdout.isatty() else HitFormat.JSONL
    if null:
        trace_format = HitFormat.PATHS
    for name, values in {"--text": texts, "--then": then, "--without": without}.items():
        checked_texts(values or [], name)
    queries, files = _told_apart(texts_and_files or [], texts or [], has_list=files_from is not None)
    checked_texts(queries, "TEXT")
    refuse_bad_patterns(exclude)
    problems: list[Problem] = []

    def leave_out(problem: Problem) -> None:
        if not problem.is_note:
            problems.append(problem)
        say_problem(problem)

    asked = model if model is not None else os.environ.get("PE_SEARCH_MODEL")
    listener = Listener(
        Wanted(asked, level=level and level.value, speed=speed, track=track),
        device=device.value,
        dtype=dtype.value,
        on_problem=leave_out,
    )
    found = listener.find([*files, *read_paths(files_from)], exclude=exclude or ())
    if not found.stamps:
        say_no_clips(found.passed_over, places(files, files_from), problems)
        raise typer.Exit(2 if problems else 1)
    say_unreadable(found.passed_over)
    with ProgressBar("listening") as bar:
        heard = listener.locate(
            queries,
            found,
            then=then or (),
            without=without or (),
            within_s=5.0 if within_s is None else within_s,
            rules=span_rules(threshold, smooth_s, min_length_s, join_s, listener.hearing.speed),
            on_progress=bar.show,
        )
        picks = Picks(listener, copy_to, cut_to, is_to_play=is_to_play)
        is_timeline = trace_format in TIMELINE_FORMATS
        writer = TimelineWriter(trace_format) if is_timeline else TraceWriter(trace_format, null=null)
        # Each clip has a trace for each query.
        while traces := list(islice(heard, len(queries))):
            bar.hide()
            picks.take_traces(traces)
            writer.write(traces)
        writer.finish()
    picks.finish()
    if problems or picks.problems:
        raise typer.Exit(2)
    if not writer.count:
        raise typer.Exit(1)


def _told_apart(arguments: list[str], texts: list[str], *, has_list: bool) -> tuple[list[str], list[Path]]:
    """The texts and the files among arguments that are given in this order.

    If there are texts given by an option, all arguments are files; else, if there is a list of files, all are texts.
    Else the first is a text, and the files begin with the next that is there, or that can only be meant for a file. A
    word there that could be either is refused where it stands before another file: a folder `rain` must not silently
    take the place of a text.
    """
    hint = "TEXT... FILE..."
    if not texts and not arguments:
        raise typer.BadParameter("no TEXT is given.", param_hint=hint)
    if texts and not (arguments or has_list):
        raise typer.BadParameter("no FILE is given.", param_hint=hint)
    if texts or has_list:
        return (texts, [Path(file) for file in arguments]) if texts else (arguments, [])
    for place, argument in enumerate(arguments[1:], start=1):
        is_file_name = any(mark in argument for mark in (os.sep, os.altsep) if mark) or Listener.has_audio_extension(
            argument
        )
        if is_file_name or os.path.lexists(expanded(Path(argument))):
            if not is_file_name and place < len(arguments) - 1:
                raise typer.BadParameter(
                    f"{argument!r} may be a text, and is a file or folder: write ./{argument} for that, or give "
                    "all texts with -t.",
                    param_hint=hint,
                )
            return arguments[:place], [Path(file) for file in arguments[place:]]
    if len(arguments) == 1:
        raise typer.BadParameter("no FILE is given.", param_hint=hint)
    raise typer.BadParameter(f"none of them is a file: there is no {arguments[-1]!r}.", param_hint=hint)

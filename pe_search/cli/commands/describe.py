"""`pe-search describe`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from pe_search.cli.commands.ask import ScoringModelOption
from pe_search.cli.input.config import usual_patterns
from pe_search.cli.input.field_options import OutputOption, chosen_format
from pe_search.cli.input.fitting import library_if_fit
from pe_search.cli.input.language import LanguageModelOption, MinAnswerOption, open_language_model
from pe_search.cli.input.lists import FilesFromOption, PathsArgument, places, read_paths
from pe_search.cli.input.options import (
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    LevelOption,
    SpeedOption,
    StoreOption,
    TrackOption,
    format_option,
    store_directory,
)
from pe_search.cli.output.descriptions import DescriptionFormat, DescriptionWriter
from pe_search.cli.output.files import output_to
from pe_search.cli.output.messages import Problems, say_compiling, say_problem
from pe_search.cli.output.passed_over import ExcludeOption, refuse_bad_patterns, say_no_clips, say_unreadable
from pe_search.cli.output.progress import ProgressBar
from pe_search.library import Library
from pe_search.model import Wanted
from pe_search.places import is_name


def describe(
    context: typer.Context,
    paths: PathsArgument = None,
    files_from: FilesFromOption = None,
    exclude: ExcludeOption = None,
    language_model: LanguageModelOption = None,
    min_probability: MinAnswerOption = 0.0,
    caption_format: Annotated[
        DescriptionFormat | None, format_option("table, jsonl, csv, parquet.", "table; in a pipe jsonl")
    ] = None,
    output: OutputOption = None,
    model: ScoringModelOption = None,
    level: LevelOption = None,
    speed: SpeedOption = None,
    track: TrackOption = None,
    device: DeviceOption = Device.AUTO,
    dtype: DtypeOption = Dtype.AUTO,
    store: StoreOption = None,
) -> None:
    """Have a language model describe each window of clips in a sentence.

    \b
        pe-search describe ./sounds
        pe-search describe night.wav --min-probability 0.5
        pe-search describe --format csv -o captions.csv

    Without PATH, all clips of the store are described. Windows are those of the store, or of 10 s. Language models make
    things up. The checkpoint scores each caption against the window: the probability says how well the two fit.

    Exit status: 0 described, 1 no caption is probable enough, 2 an error or a file left out.
    """
    refuse_bad_patterns(exclude)
    is_of_store = not paths and files_from is None
    if is_of_store and exclude:
        raise typer.BadParameter(
            "requires a PATH; without PATH, all clips of the store are described.", param_hint="--exclude"
        )
    caption_format = chosen_format(caption_format, DescriptionFormat, in_a_pipe="jsonl", output=output)
    problems = Problems()

    source = context.get_parameter_source("store")
    directory = store_directory(store)
    bar = ProgressBar("describing")
    asker = library_if_fit(
        directory,
        Wanted(model, level=level and level.value, speed=speed, track=track),
        is_named=is_of_store or (source is not None and source.name == "COMMANDLINE"),
        device=device.value,
        dtype=dtype.value,
        loading=bar.loading,
        on_compile=say_compiling,
        on_problem=say_problem,
    )
    writer = DescriptionWriter(caption_format, min_probability)
    with closing(asker), bar:
        if is_of_store:
            assert isinstance(asker, Library)
            where = [clip.path for clip in asker.clips() if not is_name(clip.path)]
        else:
            where = [*(paths or []), *read_paths(files_from)]
        found = asker.find(
            where, exclude=[] if is_of_store else exclude or usual_patterns(), on_problem=problems.report
        )
        if not found.stamps:
            say_no_clips(found.passed_over, places(paths, files_from) or str(directory), problems)
            raise typer.Exit(2 if problems else 1)
        say_unreadable(found.passed_over)
        opened = open_language_model(asker, language_model)
        captions = asker.caption(found, language_model=opened, on_progress=bar.show, on_problem=problems.report)
        with output_to(output), writer:
            for caption in captions:
                bar.hide()
                writer.write(caption)
        bar.hide()
        writer.say_rest(asker)
    if problems:
        raise typer.Exit(2)
    if not writer.count:
        raise typer.Exit(1)

"""`pe-search ask`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_checkpoint
from pe_search.cli.input.field_options import OutputOption, chosen_format
from pe_search.cli.input.fitting import library_if_fit
from pe_search.cli.input.language import LanguageModelOption, MinAnswerOption, open_language_model
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
from pe_search.cli.input.terms import read_reference
from pe_search.cli.output.descriptions import DescriptionFormat, DescriptionWriter
from pe_search.cli.output.files import output_to
from pe_search.cli.output.messages import Problems, say_compiling, say_problem
from pe_search.cli.output.progress import ProgressBar
from pe_search.model import Wanted

ScoringModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        autocompletion=complete_checkpoint,
        rich_help_panel="Model",
        show_default="the store's, else $PE_SEARCH_MODEL, else builtin",
        help="The checkpoint that scores the answers.",
    ),
]


def ask(
    context: typer.Context,
    question: Annotated[
        str,
        typer.Argument(metavar="QUESTION", rich_help_panel="Ask", show_default=False, help="What to ask, in words."),
    ],
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            rich_help_panel="Ask",
            show_default=False,
            help="Audio files of at most 30 s, or FILE@S-E for the part from S to E.",
        ),
    ],
    language_model: LanguageModelOption = None,
    min_probability: MinAnswerOption = 0.0,
    answer_format: Annotated[
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
    """Ask a language model a question about audio files.

    \b
        pe-search ask "Which animal is this?" bark.wav
        pe-search ask "How many people are speaking?" meeting.wav@1:00-1:30

    Language models make things up. The checkpoint scores each answer against the sound: the probability beside an
    answer says how well the two fit. It means little for an answer that names no sound, such as "yes".

    Exit status: 0 answered, 1 no answer is probable enough, 2 an error or a file left out.
    """
    checked_texts([question], "QUESTION")
    references = [read_reference(file, "FILE") for file in files]
    answer_format = chosen_format(answer_format, DescriptionFormat, in_a_pipe="jsonl", output=output)
    problems = Problems()

    source = context.get_parameter_source("store")
    bar = ProgressBar("asking")
    asker = library_if_fit(
        store_directory(store),
        Wanted(model, level=level and level.value, speed=speed, track=track),
        is_named=source is not None and source.name == "COMMANDLINE",
        device=device.value,
        dtype=dtype.value,
        loading=bar.loading,
        on_compile=say_compiling,
        on_problem=say_problem,
    )
    writer = DescriptionWriter(answer_format, min_probability)
    with closing(asker), bar:
        opened = open_language_model(asker, language_model)
        bar.show_share(0.0)
        answered = asker.ask(question, references, language_model=opened, on_problem=problems.report)
        with output_to(output), writer:
            for number, description in enumerate(answered, start=1):
                bar.hide()
                writer.write(description)
                if number < len(references):
                    bar.show_share(number / len(references))
        bar.hide()
        writer.say_rest(asker)
    if problems:
        raise typer.Exit(2)
    if not writer.count:
        raise typer.Exit(1)

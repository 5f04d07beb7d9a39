"""`pe-search tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_checkpoint
from pe_search.cli.input.config import usual_model
from pe_search.cli.input.field_options import chosen_format
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
from pe_search.cli.output.evaluations import EvaluationFormat
from pe_search.cli.output.messages import say, say_compiling, say_problem, shown_path
from pe_search.cli.output.progress import ProgressBar
from pe_search.cli.output.tunings import (
    say_caption_outcome,
    say_loss,
    say_outcome,
    say_scores,
    write_caption_tuning,
    write_tuning,
)
from pe_search.descriptions import DESCRIBE
from pe_search.directories import absolute
from pe_search.library import Library
from pe_search.listener import ListenerOptions
from pe_search.model import Wanted
from pe_search.tuner import STEPS, Tuner
from pe_search.tunings import CaptionLoss, CaptionTuning, Scores, Tuning


def tune(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="TABLE",
            rich_help_panel="Files",
            show_default=False,
            help="What is heard in clips: a CSV or TSV file, a Raven table or Audacity labels.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FOLDER", rich_help_panel="Files", show_default=False, help="The checkpoint to make."
        ),
    ],
    audio: Annotated[
        Path | None,
        typer.Option(
            "--audio", metavar="FILE", rich_help_panel="Files", help="The clip that a TABLE without paths is about."
        ),
    ] = None,
    new: Annotated[
        list[str] | None,
        typer.Option(
            "--new",
            metavar="LABEL",
            rich_help_panel="Train",
            show_default="those found badly",
            help="A label to learn. The others are old, and must not be found worse.",
        ),
    ] = None,
    steps: Annotated[
        int,
        typer.Option(
            "--steps",
            metavar="N",
            parser=whole_number_between(1, 1_000_000),
            rich_help_panel="Train",
            help="Change the weights N times.",
        ),
    ] = STEPS,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            metavar="N",
            parser=whole_number_between(0, 2**63 - 1),
            rich_help_panel="Train",
            help="Hold out and learn by this number. The same one gives the same checkpoint.",
        ),
    ] = 0,
    force: Annotated[
        bool,
        typer.Option("--force", rich_help_panel="Train", help="Write the checkpoint even if it is not better."),
    ] = False,
    tuning_format: Annotated[
        EvaluationFormat | None,
        format_option("table, jsonl, csv.", "table; in a pipe jsonl"),
    ] = None,
    language_model: Annotated[
        str | None,
        typer.Option(
            "--language-model",
            metavar="NAME",
            rich_help_panel="Model",
            show_default=False,
            help="Tune this language model on captions instead: a Hugging Face id or a folder.",
        ),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(
            "--question",
            metavar="QUESTION",
            rich_help_panel="Model",
            show_default="that of describe",
            help="What captions without a question answer.",
        ),
    ] = None,
    merge: Annotated[
        bool,
        typer.Option("--merge", rich_help_panel="Model", help="Write a checkpoint with all weights, not an adapter."),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            rich_help_panel="Model",
            show_default="builtin",
            autocompletion=complete_checkpoint,
            help="The checkpoint to begin with: builtin, small, base, large, a Hugging Face id or a folder.",
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="REV", rich_help_panel="Model", help="Branch, tag or commit of the model."),
    ] = None,
    device: DeviceOption = Device.AUTO,
    dtype: DtypeOption = Dtype.AUTO,
    store: Annotated[
        str | None,
        typer.Option(
            "--store", metavar="STORE", rich_help_panel="Store", help="Use the checkpoint and the windows of a store."
        ),
    ] = None,
) -> None:
    """Adapt a checkpoint to your own words and sounds, or a language model to your own captions.

    \b
        pe-search tune --data labels.csv --out ./tuned
        pe-search tune --data labels.csv --out ./tuned --new zibble --new morvane
        pe-search index ./sounds --model ./tuned --store tuned
        pe-search tune --language-model ./model --data captions.csv --out ./adapter

    TABLE is as for `evaluate`. A row without a label is a sound to keep the old words by. A quarter of the recordings
    is held out; what was learned is measured on them. A column recording says which clips belong together. Nothing is
    written if the new words are not found better there, or if the old ones are found worse. A learned word (`learn`)
    is measured beside it, and what is better is said at the end. If a run is stopped, the same command goes on.
    --dtype is that of the codec. The extra pe-search[tune] must be installed.

    With --language-model, TABLE has the columns path and caption, and may have question, start, end, recording and
    split (train or test). Nothing is written if the captions of recordings that were held out are not foretold better.
    `ask` and `describe` take the result as --language-model.

    Exit status: 0 done, 1 nothing written, 2 an error or a clip that can't be read, 130 interrupted.
    """
    checked_texts(new or [], "--new")
    if question is not None:
        checked_texts([question], "--question")
    if store is not None and (model is not None or revision is not None):
        name = "--revision" if model is None else "--model"
        raise typer.BadParameter("can't be used with --store, which has a checkpoint.", param_hint=name)
    chosen = chosen_format(tuning_format, EvaluationFormat, in_a_pipe="jsonl", output=None)
    if language_model is not None:
        for name, value in {"--new": new, "--model": model, "--revision": revision, "--store": store}.items():
            if value:
                raise typer.BadParameter("can't be used with --language-model.", param_hint=name)
    else:
        for name, is_given in {"--question": question is not None, "--merge": merge}.items():
            if is_given:
                raise typer.BadParameter("requires --language-model.", param_hint=name)
    reading, training = ProgressBar("reading"), ProgressBar("training")
    options = ListenerOptions(
        device=device.value,
        dtype=dtype.value,
        loading=reading.loading,
        on_compile=say_compiling,
        on_problem=say_problem,
    )
    tuner: Tuner
    if language_model is not None:
        tuner = Tuner(**options)
    elif store is None:
        tuner = Tuner(Wanted(model or usual_model(), revision, may_fetch=True), **options)
    else:
        library = tuner = Library(store_directory(store), **options)
        library.open()

    def show_share(share: float) -> None:
        reading.hide()
        training.show_share(share)

    def show_scores(scores: Scores) -> None:
        reading.hide()
        training.hide()
        say_scores(scores, steps)

    def show_loss(loss: CaptionLoss) -> None:
        reading.hide()
        training.hide()
        say_loss(loss, steps)

    found: Tuning | CaptionTuning
    try:
        with reading, training:
            if language_model is not None:
                found = tuner.tune_language_model(
                    data,
                    out,
                    language_model=language_model,
                    audio=audio,
                    question=question or DESCRIBE,
                    merge=merge,
                    steps=steps,
                    seed=seed,
                    force=force,
                    on_reading=reading.show,
                    on_progress=show_share,
                    on_loss=show_loss,
                )
            else:
                found = tuner.tune(
                    data,
                    out,
                    audio=audio,
                    new=new or (),
                    steps=steps,
                    seed=seed,
                    force=force,
                    on_reading=reading.show,
                    on_progress=show_share,
                    on_scores=show_scores,
                )
    except KeyboardInterrupt:
        say("Interrupted; the same command goes on from what is done. To drop that, remove " + _kept(out))
        raise typer.Exit(130) from None
    finally:
        tuner.close()
    if isinstance(found, CaptionTuning):
        write_caption_tuning(found, chosen)
        say_caption_outcome(found, absolute(out))
    else:
        write_tuning(found, chosen)
        say_outcome(found, absolute(out), data)
    if found.problems:
        raise typer.Exit(2)
    if found.directory is None:
        raise typer.Exit(1)


def _kept(out: Path) -> str:
    from pe_search.tuner import work_folder

    return f"{shown_path(work_folder(absolute(out)))}."

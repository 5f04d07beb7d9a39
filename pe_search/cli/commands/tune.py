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
from pe_search.cli.output.tunings import say_outcome, say_scores, write_tuning
from pe_search.directories import absolute
from pe_search.library import Library
from pe_search.listener import ListenerOptions
from pe_search.model import Wanted
from pe_search.tuner import STEPS, Tuner
from pe_search.tunings import Scores


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
    """Adapt a checkpoint to your own words and sounds.

    \b
        pe-search tune --data labels.csv --out ./tuned
        pe-search tune --data labels.csv --out ./tuned --new zibble --new morvane
        pe-search index ./sounds --model ./tuned --store tuned

    TABLE is as for `evaluate`. A row without a label is a sound to keep the old words by. A quarter of the recordings
    is held out; what was learned is measured on them. A column recording says which clips belong together. Nothing is
    written if the new words are not found better there, or if the old ones are found worse. A learned word (`learn`)
    is measured beside it, and what is better is said at the end. If a run is stopped, the same command goes on.
    --dtype is that of the codec. The extra pe-search[tune] must be installed.

    Exit status: 0 done, 1 nothing written, 2 an error or a clip that can't be read, 130 interrupted.
    """
    checked_texts(new or [], "--new")
    if store is not None and (model is not None or revision is not None):
        name = "--revision" if model is None else "--model"
        raise typer.BadParameter("can't be used with --store, which has a checkpoint.", param_hint=name)
    chosen = chosen_format(tuning_format, EvaluationFormat, in_a_pipe="jsonl", output=None)
    reading, training = ProgressBar("reading"), ProgressBar("training")
    options = ListenerOptions(
        device=device.value,
        dtype=dtype.value,
        loading=reading.loading,
        on_compile=say_compiling,
        on_problem=say_problem,
    )
    tuner: Tuner
    if store is None:
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

    try:
        with reading, training:
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
    write_tuning(found, chosen)
    say_outcome(found, absolute(out), data)
    if found.problems:
        raise typer.Exit(2)
    if found.directory is None:
        raise typer.Exit(1)


def _kept(out: Path) -> str:
    from pe_search.tuner import work_folder

    return f"{shown_path(work_folder(absolute(out)))}."

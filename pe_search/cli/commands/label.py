"""`pe-search label`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.commands.index import new_manifest
from pe_search.cli.input.completion import complete_checkpoint
from pe_search.cli.input.lists import FilesFromOption, PathsArgument, places, read_more_paths, read_texts
from pe_search.cli.input.options import (
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    LevelOption,
    SpeedOption,
    StoreOption,
    TrackOption,
    a_number,
    cache_directory,
    checked_texts,
    chosen_hearing,
    expanded,
    store_directory,
)
from pe_search.cli.output.hits import Rows, hit_values, times, write_renderable
from pe_search.cli.output.messages import printable, say_compiling, say_problem, shown_path
from pe_search.cli.output.passed_over import ExcludeOption, excluded_patterns, say_no_clips, say_unreadable
from pe_search.cli.output.progress import ProgressBar
from pe_search.errors import StoreError
from pe_search.records import USUAL_HEARING, Hearing, Hit, Problem

if TYPE_CHECKING:
    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.pe_audio.embedder import Embedder
    from pe_search.search.composing import TextEmbedder
    from pe_search.store import Store

_FIELDS = ("label", "rank", "path", "start_s", "end_s", "score", "probability")
# A label is more likely to fit than not.
_LIKELY = 0.5


class LabelFormat(StrEnum):
    """The ways to print labels."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


def label(
    context: typer.Context,
    paths: PathsArgument = None,
    files_from: FilesFromOption = None,
    exclude: ExcludeOption = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="TEXT,TEXT...", help="What the clips may sound like, with commas between."),
    ] = None,
    labels_file: Annotated[
        str | None, typer.Option("--labels-file", metavar="FILE", help="The same, one on each line of a file.")
    ] = None,
    min_probability: Annotated[
        float,
        typer.Option(
            "--min-probability",
            min=0.0,
            max=1.0,
            metavar="P",
            callback=a_number,
            help="Leave out labels that are less likely.",
        ),
    ] = 0.0,
    label_format: Annotated[
        LabelFormat | None,
        typer.Option("--format", show_default=False, help="[default: table on a terminal, jsonl in a pipe]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            autocompletion=complete_checkpoint,
            show_default=False,
            help="The checkpoint, as for index. [default: the store's; without a store $PE_SEARCH_MODEL, else builtin]",
        ),
    ] = None,
    level: LevelOption = None,
    speed: SpeedOption = None,
    track: TrackOption = None,
    device: DeviceOption = Device.AUTO,
    dtype: DtypeOption = Dtype.AUTO,
    store: StoreOption = None,
) -> None:
    """Say how likely it is that each label fits a clip.

    Each label is judged by itself, so several may fit, or none: the probabilities of a clip don't add up to one. A
    clip of several windows is judged by the window that fits best, label by label. No store is needed; but what one has
    of a clip is used, and the clip is not read again. Exit status: 0 if there is a label to show, 1 if not, 2 on an
    error, also when a file had to be left out.

    \b
        pe-search label ./new --labels "dog barking,rain,speech"
        pe-search label ./sounds --labels-file categories.txt --format csv > labels.csv
        pe-search label ./sounds --labels "music,speech" --min-probability 0.5
    """
    texts = _read_labels(labels, labels_file)
    excluded = excluded_patterns(exclude)
    if label_format is None:
        label_format = LabelFormat.TABLE if sys.stdout.isatty() else LabelFormat.JSONL

    from pe_search.audio.find import find_stamps

    problems: list[Problem] = []

    def leave_out(problem: Problem) -> None:
        if not problem.is_note:
            problems.append(problem)
        say_problem(problem)

    found = find_stamps([expanded(path) for path in read_more_paths(paths, files_from)], leave_out, excluded)
    clips = list(found.clips())
    if not clips:
        say_no_clips(found.passed_over, places(paths, files_from), problems)
        raise typer.Exit(2 if problems else 1)
    say_unreadable(found.passed_over)

    from pe_search.tasks.labelling import Labeller

    with ExitStack() as stack:
        source = context.get_parameter_source("store")
        asked_hearing = partial(chosen_hearing, level, speed, track)
        opened, checkpoint = _open_store_if_any(
            store_directory(store), model, asked_hearing, is_named=source is not None and source.name == "COMMANDLINE"
        )

        @cache
        def load_embedder() -> Embedder:
            from pe_search.pe_audio.embedder import Embedder

            return Embedder(checkpoint, device.value, dtype.value)

        if opened is not None:
            stack.enter_context(opened)
        manifest = opened.manifest if opened else new_manifest(load_embedder(), asked_hearing(USUAL_HEARING))
        embeddings = _text_embedder(opened, checkpoint, load_embedder).embed_texts(texts)
        bar = stack.enter_context(ProgressBar("labelling", sum(clip.size_bytes for clip in clips)))
        labeller = Labeller(texts, embeddings, manifest, load_embedder, opened, leave_out, bar.show)
        likely = ([hit for hit in hits if hit.probability >= min_probability] for hits in labeller.label(clips))
        count = _write(likely, label_format, bar.hide)
    if problems:
        raise typer.Exit(2)
    if count == 0:
        raise typer.Exit(1)


def _read_labels(labels: str | None, labels_file: str | None) -> list[str]:
    if (labels is None) == (labels_file is None):
        raise typer.BadParameter("give one of them.", param_hint="--labels or --labels-file")
    if labels_file is not None:
        return list(dict.fromkeys(read_texts(labels_file, "--labels-file")))
    assert labels is not None
    return list(dict.fromkeys(checked_texts([part.strip() for part in labels.split(",")], "--labels")))


def _open_store_if_any(
    directory: Path, model: str | None, asked_hearing: Callable[[Hearing], Hearing], *, is_named: bool
) -> tuple[Store | None, Checkpoint]:
    """The store to use, if there is one that was made with what is asked for; and its checkpoint.

    A store that is named on the command line must be there and fit; the one in its usual place is only a help.
    """
    from pe_search.pe_audio.checkpoint import BUILTIN, find_checkpoint, find_same_checkpoint
    from pe_search.store import Store, read_manifest_if_any

    manifest = read_manifest_if_any(directory)
    if manifest is None and is_named:
        Store.open(directory)  # raises what says so
    if manifest is None:
        return None, find_checkpoint(os.environ.get("PE_SEARCH_MODEL", BUILTIN) if model is None else model)
    if model is None:
        checkpoint = find_same_checkpoint(manifest.model, manifest.revision)
    else:
        checkpoint = find_checkpoint(model)
        if (checkpoint.name, checkpoint.revision) != (manifest.model, manifest.revision):
            if is_named:
                raise StoreError(
                    f"The store at {directory} was made with {manifest.model}, revision {manifest.revision}; leave "
                    f"--store out to use {model}."
                )
            return None, checkpoint
    if asked_hearing(manifest.hearing) != manifest.hearing:
        if is_named:
            raise StoreError(
                f"The store at {directory} was made with another --level, --speed or --track; leave --store out to use "
                "yours."
            )
        return None, checkpoint
    return Store.open(directory, on_problem=say_problem), checkpoint


def _text_embedder(store: Store | None, checkpoint: Checkpoint, load_embedder: Callable[[], Embedder]) -> TextEmbedder:
    from pe_search.pe_audio.text_embedder import load_text_embedder
    from pe_search.search.searching import RememberingEmbedder

    def load() -> TextEmbedder:
        return load_text_embedder(checkpoint.name, checkpoint.revision, cache_directory(), say_compiling)

    return load() if store is None else RememberingEmbedder(store.remembered_texts, load, load_embedder)


def _write(answers: Iterable[Sequence[Hit]], label_format: LabelFormat, make_room: Callable[[], None]) -> int:
    """Print the labels of each clip to stdout; returns how many there are."""
    if label_format is LabelFormat.TABLE:
        labelled = [hits for hits in answers if hits]
        make_room()
        if labelled:
            _write_table(labelled)
        return sum(map(len, labelled))
    rows = Rows(_FIELDS, as_csv=label_format is LabelFormat.CSV)
    count = 0
    for hits in answers:
        make_room()
        for hit in hits:
            rows.write(hit_values(hit))
        sys.stdout.buffer.flush()
        count += len(hits)
    return count


def _write_table(labelled: Iterable[Sequence[Hit]]) -> None:
    """A row for each clip: its best label, and what else is likely."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("prob.", justify="right", style="green")
    table.add_column("label", style="bold")
    table.add_column("time", justify="right", style="cyan", no_wrap=True)
    table.add_column("clip", overflow="fold")
    table.add_column("also", style="dim")
    for best, *others in labelled:
        also = ", ".join(
            f"{printable(hit.query)} {hit.probability:.2f}" for hit in others if hit.probability >= _LIKELY
        )
        table.add_row(
            f"{best.probability:.2f}",
            Text(printable(best.query)),
            times(best.start_s, best.end_s),
            Text(shown_path(best.path)),
            Text(also),
        )
    write_renderable(table)

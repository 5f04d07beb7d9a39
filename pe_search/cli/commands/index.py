"""`pe-search index`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.input.completion import complete_checkpoint
from pe_search.cli.input.lists import FilesFromOption, PathsArgument, called, places, read_paths, refuse_no_paths
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
    store_directory,
)
from pe_search.cli.output.messages import counted, say, say_compiling, say_problem
from pe_search.cli.output.passed_over import (
    ExcludeOption,
    refuse_bad_patterns,
    say_excluded,
    say_no_clips,
    say_unreadable,
)
from pe_search.cli.output.progress import ProgressBar
from pe_search.model import LONGEST_WINDOW_S, SHORTEST_WINDOW_S, WINDOW_S, Wanted

if TYPE_CHECKING:
    from types import FrameType

    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.reports import IndexSummary


def index(
    paths: PathsArgument = None,
    files_from: FilesFromOption = None,
    exclude: ExcludeOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            autocompletion=complete_checkpoint,
            show_default=False,
            help="The checkpoint: builtin; small, base or large (facebook/pe-av-*); any Hugging Face id; or a "
            "directory. [default: the store's; for a new store $PE_SEARCH_MODEL, else builtin]",
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="REV", help="Branch, tag or commit of a Hugging Face checkpoint."),
    ] = None,
    window_s: Annotated[
        float | None,
        typer.Option(
            "--window",
            metavar="S",
            min=SHORTEST_WINDOW_S,
            max=LONGEST_WINDOW_S,
            callback=a_number,
            show_default=False,
            help="Seconds of audio per embedding, 30 at most. [default: 10]",
        ),
    ] = None,
    hop_s: Annotated[
        float | None,
        typer.Option(
            "--hop",
            metavar="S",
            min=SHORTEST_WINDOW_S,
            callback=a_number,
            show_default=False,
            help="Seconds from one window to the next. [default: the window's length]",
        ),
    ] = None,
    level: LevelOption = None,
    speed: SpeedOption = None,
    track: TrackOption = None,
    device: DeviceOption = Device.AUTO,
    dtype: DtypeOption = Dtype.AUTO,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Take out the clips of a PATH under which nothing is left, and with --files-from those that came into "
            "the store by a list and are not on LIST any more; without it, they stay.",
        ),
    ] = False,
    rehash: Annotated[
        bool,
        typer.Option(
            "--rehash",
            help="Read every file again, also one whose size, times and inode have not changed. Only what holds other "
            "bytes is embedded.",
        ),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Embed folders of audio and keep the embeddings in a store.

    Audio files, and videos for their sound, are found by their extension; hidden files, recycle bins and thumbnails are
    passed over. Only what is new or has changed is embedded, and what is gone from the given folders or excluded leaves
    the store, so run it again as often as you like. A clip that can't be read is left out, and tried again only when
    its file has changed. Exit status: 0 if all went well, 1 if there is no audio there, 2 if this run had to leave a
    clip out, 130 if interrupted: what was finished is kept, and the same command goes on.

    \b
        pe-search index ./sounds
        pe-search index ~/Samples ~/Recordings/2024 --model small
        pe-search index ~/Recordings --exclude drafts/ --exclude '*.tmp.wav'
        pe-search index ./birds --window 5 --hop 2.5 --store ./birds.store
        find . -name '*.wav' -mtime -1 -print0 | pe-search index --files-from -
    """
    from pe_search.library import Library

    started_s = time.monotonic()
    refuse_no_paths(paths, files_from)
    refuse_bad_patterns(exclude)
    listed = read_paths(files_from)
    if prune and files_from is not None and not listed:
        # More likely that what writes the list has failed than that all is to go.
        reason = f"{called(files_from)} names no path; --prune would remove every clip that came from a list."
        raise typer.BadParameter(reason, param_hint="--files-from")
    directory = store_directory(store)
    is_new = not Library(directory).is_made()
    if is_new and hop_s is not None and hop_s > (window_s or WINDOW_S):
        raise typer.BadParameter("is longer than the window: some audio would go unheard.", param_hint="--hop")
    if is_new and model is None:
        model = os.environ.get("PE_SEARCH_MODEL")
    library = Library(
        directory,
        wanted=Wanted(model, revision, window_s, hop_s, level and level.value, speed, track, may_fetch=True),
        device=device.value,
        dtype=dtype.value,
        loading=partial(_saying_which_model, is_first_choice=is_new and model is None),
        on_compile=say_compiling,
        on_problem=say_problem,
    )
    with library, _termination_interrupts(), ProgressBar("embedding") as bar:
        summary = library.index(
            paths or (),
            listed=listed,
            exclude=exclude or (),
            prune=prune,
            prune_lists=prune and files_from is not None,
            rehash=rehash,
            on_progress=bar.show,
        )
    if summary.found_nothing:
        say_no_clips(summary.passed_over, places(paths, files_from), summary.problems)
        raise typer.Exit(2 if summary.problems else 1)
    _say_summary(
        summary,
        directory,
        time.monotonic() - started_s,
        library.model.loaded.audio_runtime if summary.windows else None,
    )
    if summary.is_interrupted:
        raise typer.Exit(130)
    if summary.problems or summary.incomplete:
        raise typer.Exit(2)


@contextmanager
def _saying_which_model(checkpoint: Checkpoint | None, *, is_first_choice: bool) -> Iterator[None]:
    yield
    if checkpoint is None:
        return
    if checkpoint.is_frame_level:
        say(
            f"pe-search: {checkpoint.name} was trained to say where in a clip a sound is; to rank clips, "
            "take one of facebook/pe-av-*."
        )
    if is_first_choice and sys.stderr.isatty():
        say(
            "Using the built-in model: small and quick, it knows some common sounds. For the full model run "
            "`pe-search index --model small …` (Meta's PE-AV, fetched once from Hugging Face)."
        )


def _say_summary(summary: IndexSummary, directory: Path, elapsed_s: float, runtime: str | None) -> None:
    if summary.is_interrupted:
        say(
            f"Interrupted. This run put {counted(summary.clips, 'clip')} into the store; run the same command to go on."
        )
        return
    say_unreadable(summary.passed_over)
    say_excluded(summary.passed_over)
    # `auto` must say what it chose.
    chosen = f" on {runtime}" if runtime else ""
    parts = [
        f"{counted(summary.clips, 'clip')} embedded ({counted(summary.windows, 'window')}, "
        f"{summary.audio_s / 3600:.2f} hours) in {elapsed_s:.1f} s{chosen}",
        *([f"{summary.recognised:,} recognised"] if summary.recognised else []),
        f"{summary.unchanged:,} unchanged",
        f"{summary.removed:,} removed",
        *([f"{summary.incomplete:,} incomplete"] if summary.incomplete else []),
        f"{len(summary.problems):,} left out",
        *(
            [f"{summary.left_out_before:,} left out before (see `pe-search status --problems`)"]
            if summary.left_out_before
            else []
        ),
    ]
    say(f"{', '.join(parts)}. Store: {directory}")


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, so that what is finished is kept then too."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

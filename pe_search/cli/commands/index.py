"""`pe-search index`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
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
    Level,
    LevelOption,
    SpeedOption,
    StoreOption,
    TrackOption,
    a_number,
    cache_directory,
    chosen_hearing,
    expanded,
    store_directory,
)
from pe_search.cli.output.messages import counted, say, say_compiling, say_problem
from pe_search.cli.output.passed_over import (
    ExcludeOption,
    excluded_patterns,
    say_excluded,
    say_no_clips,
    say_unreadable,
)
from pe_search.cli.output.progress import ProgressBar
from pe_search.errors import StoreError
from pe_search.records import USUAL_HEARING, Hearing, IndexSummary, Problem

if TYPE_CHECKING:
    from types import FrameType

    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.pe_audio.embedder import Embedder
    from pe_search.store import Manifest
    from pe_search.tasks.planning import Plan

_WINDOW_S = 10.0
# PE-AV was trained and evaluated on 30 s pieces; its frames are 40 ms.
_LONGEST_WINDOW_S = 30.0
_SHORTEST_WINDOW_S = 0.04


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
            min=_SHORTEST_WINDOW_S,
            max=_LONGEST_WINDOW_S,
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
            min=_SHORTEST_WINDOW_S,
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

    Every format that libsndfile reads is found by its extension; hidden files, recycle bins and thumbnails are passed
    over. Only what is new or has changed is embedded, and what is gone from the given folders or excluded leaves the
    store, so run it again as often as you like. A clip that can't be read is left out, and tried again only when its
    file has changed. Exit status: 0 if all went well, 1 if there is no audio there, 2 if this run had to leave a clip
    out, 130 if interrupted: what was finished is kept, and the same command goes on.

    \b
        pe-search index ./sounds
        pe-search index ~/Samples ~/Recordings/2024 --model small
        pe-search index ~/Recordings --exclude drafts/ --exclude '*.tmp.wav'
        pe-search index ./birds --window 5 --hop 2.5 --store ./birds.store
        find . -name '*.wav' -mtime -1 -print0 | pe-search index --files-from -
    """
    from pe_search.store import Store, read_manifest_if_any
    from pe_search.store.listed import ListedPaths
    from pe_search.tasks.indexing import run_index
    from pe_search.tasks.planning import came_by_lists, plan_index

    started_s = time.monotonic()
    refuse_no_paths(paths, files_from)
    excluded = excluded_patterns(exclude)
    given, listed = ([expanded(path) for path in some] for some in (paths or [], read_paths(files_from)))
    if prune and files_from is not None and not listed:
        # More likely that what writes the list has failed than that all is to go.
        reason = f"{called(files_from)} names no path; --prune would remove every clip that came from a list."
        raise typer.BadParameter(reason, param_hint="--files-from")
    directory = store_directory(store)
    manifest = read_manifest_if_any(directory)
    if manifest is not None:
        _refuse_other_windows(directory, manifest, window_s, hop_s)
        _refuse_other_hearing(directory, manifest.hearing, level, speed, track)
    elif hop_s is not None and hop_s > (window_s or _WINDOW_S):
        raise typer.BadParameter("is longer than the window: some audio would go unheard.", param_hint="--hop")
    with ExitStack() as stack:
        opened = None
        if manifest is not None:
            opened = stack.enter_context(Store.open(directory, read_only=False, on_problem=say_problem))
            for window in opened.find_damage():
                say_problem(Problem(directory, f"{window}; its clip is embedded again once its folder is indexed"))
        held, left_out = (opened.stamps(), opened.left_out()) if opened else ({}, [])
        memory = ListedPaths(directory)
        by_lists = came_by_lists(memory.read() if opened else frozenset(), listed, given, held)
        unlisted = by_lists - set(map(os.path.abspath, listed)) if prune and files_from is not None else frozenset()
        plan = plan_index(
            [*given, *listed], held, left_out, prune=prune, rehash=rehash, excluded=excluded, unlisted=unlisted
        )
        if not (plan.to_read or plan.to_remove or plan.to_forget or plan.unchanged or plan.left_out_before):
            _say_nothing_to_do(plan, places(paths, files_from))
            raise typer.Exit(2 if plan.problems else 1)

        if manifest is None and model is None:
            model = os.environ.get("PE_SEARCH_MODEL")
        checkpoint = _pick_checkpoint(directory, manifest, model, revision)

        @cache
        def load_embedder() -> Embedder:
            from pe_search.pe_audio.compile import compile_text_tower
            from pe_search.pe_audio.compiled import is_shipped
            from pe_search.pe_audio.embedder import Embedder

            embedder = Embedder(checkpoint, device.value, dtype.value)
            _say_which_model(checkpoint, is_first_choice=model is None and manifest is None)
            # Now, while the audio tower isn't there yet: each takes gigabytes where the checkpoint is large.
            if not is_shipped(checkpoint.name, checkpoint.revision):
                compile_text_tower(checkpoint, cache_directory(), say_compiling)
            return embedder

        if opened is None:
            hearing = chosen_hearing(level, speed, track, USUAL_HEARING)
            new = new_manifest(load_embedder(), hearing, window_s, hop_s)
            opened = stack.enter_context(Store.create(directory, new))
        stack.enter_context(_termination_interrupts())
        bar = stack.enter_context(ProgressBar("embedding", sum(clip.size_bytes for clip in plan.to_read)))
        # Before the clips, and let go of after them: whenever the run breaks off, what came by a list is known.
        memory.write(by_lists)
        summary = run_index(plan, opened, load_embedder, on_progress=bar.show, on_problem=say_problem)
        if not summary.is_interrupted:
            memory.write(by_lists - unlisted)
    _say_summary(summary, directory, time.monotonic() - started_s, load_embedder() if summary.windows else None)
    if summary.is_interrupted:
        raise typer.Exit(130)
    if summary.problems or summary.incomplete:
        raise typer.Exit(2)


def _pick_checkpoint(directory: Path, manifest: Manifest | None, model: str | None, revision: str | None) -> Checkpoint:
    """The store's own checkpoint if there is a store, else the one that was asked for."""
    from pe_search.pe_audio.checkpoint import BUILTIN, canonical_name, find_checkpoint, find_same_checkpoint

    if manifest is None:
        return find_checkpoint(BUILTIN if model is None else model, revision, may_fetch=True)
    if model is not None and canonical_name(model) != manifest.model:
        raise StoreError(
            f"The store at {directory} was made with {manifest.model}, and embeddings of two checkpoints don't mix; "
            f"index into another store (--store) to use {model}."
        )
    # What the manifest names need not be what the user would fetch.
    named = model is not None
    if (
        revision is not None
        and find_checkpoint(manifest.model, revision, may_fetch=named).revision != manifest.revision
    ):
        raise StoreError(
            f"The store at {directory} was made with revision {manifest.revision} of {manifest.model}; index into "
            f"another store (--store) to use {revision}."
        )
    return find_same_checkpoint(manifest.model, manifest.revision, may_fetch=named)


def _refuse_other_windows(directory: Path, manifest: Manifest, window_s: float | None, hop_s: float | None) -> None:
    if window_s not in (None, manifest.window_s) or hop_s not in (None, manifest.hop_s):
        raise StoreError(
            f"The store at {directory} has windows of {manifest.window_s:g} s every {manifest.hop_s:g} s; index into "
            "another store (--store) to use others."
        )


def _refuse_other_hearing(
    directory: Path, hearing: Hearing, level: Level | None, speed: float | None, track: int | None
) -> None:
    if chosen_hearing(level, speed, track, hearing) != hearing:
        raise StoreError(
            f"The store at {directory} was made with --level {hearing.level} --speed {hearing.speed:g} --track "
            f"{hearing.track}; index into another store (--store) to use others."
        )


def new_manifest(
    embedder: Embedder, hearing: Hearing, window_s: float | None = None, hop_s: float | None = None
) -> Manifest:
    """What embeddings by an embedder will have in common. Windows are of the default length if none is given."""
    from pe_search.audio import SAMPLE_RATE_HZ
    from pe_search.store import Manifest

    window_s = _WINDOW_S if window_s is None else window_s
    return Manifest(
        model=embedder.checkpoint.name,
        revision=embedder.checkpoint.revision,
        dimension=embedder.dimension,
        window_s=window_s,
        hop_s=window_s if hop_s is None else hop_s,
        sample_rate_hz=SAMPLE_RATE_HZ,
        logit_scale=embedder.logit_scale,
        logit_bias=embedder.logit_bias,
        level=hearing.level,
        speed=hearing.speed,
        track=hearing.track,
    )


def _say_which_model(checkpoint: Checkpoint, *, is_first_choice: bool) -> None:
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


def _say_nothing_to_do(plan: Plan, where: str) -> None:
    for problem in plan.problems:
        say_problem(problem)
    say_no_clips(plan.passed_over, where, plan.problems)


def _say_summary(summary: IndexSummary, directory: Path, elapsed_s: float, embedder: Embedder | None) -> None:
    if summary.is_interrupted:
        say(
            f"Interrupted. This run put {counted(summary.clips, 'clip')} into the store; run the same command to go on."
        )
        return
    say_unreadable(summary.passed_over)
    say_excluded(summary.passed_over)
    # `auto` must say what it chose.
    chosen = f" on {embedder.device.type} in {embedder.dtype}" if embedder else ""
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

"""`pe-search index`."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.input.completion import complete_checkpoint
from pe_search.cli.input.config import usual_model, usual_patterns
from pe_search.cli.input.lists import FilesFromOption, PathsArgument, called, places, read_paths
from pe_search.cli.input.options import (
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    LevelOption,
    SpeedOption,
    StoreOption,
    TrackOption,
    store_directory,
)
from pe_search.cli.input.speech_options import (
    LanguageOption,
    SpeechModelOption,
    TranslateOption,
    checked_speech_model,
    refuse_without_transcribe,
)
from pe_search.cli.input.times import seconds_option
from pe_search.cli.input.workers import WorkerCpusOption, WorkersOption, refuse_bad_workers
from pe_search.cli.input.zones import ZoneOption, refuse_zone_with
from pe_search.cli.output.index_plan import write_plan
from pe_search.cli.output.index_summary import say_summary
from pe_search.cli.output.messages import say, say_compiling, say_problem
from pe_search.cli.output.passed_over import (
    ExcludeOption,
    refuse_bad_patterns,
    say_no_clips,
)
from pe_search.cli.output.progress import ProgressBar
from pe_search.cli.output.transcribing import transcribe_and_say
from pe_search.cli.output.watching import watch_and_say
from pe_search.directories import data_directory, is_other_folder, is_store_name
from pe_search.model import LONGEST_WINDOW_S, SHORTEST_WINDOW_S, WINDOW_S, Wanted

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.reports import IndexPlan, IndexSummary


_MOST_FOLDERS = 5


def index(
    context: typer.Context,
    paths: PathsArgument = None,
    files_from: FilesFromOption = None,
    exclude: ExcludeOption = None,
    zone: ZoneOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            autocompletion=complete_checkpoint,
            rich_help_panel="Model",
            show_default="the store's, else $PE_SEARCH_MODEL, else builtin",
            help="The checkpoint: builtin, small, base, large, a Hugging Face id or a directory.",
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            metavar="REV",
            rich_help_panel="Model",
            help="Branch, tag or commit of a Hugging Face checkpoint.",
        ),
    ] = None,
    window_s: Annotated[
        float | None,
        seconds_option(
            "--window",
            text="Seconds of audio per embedding, at most 30.",
            group="Model",
            default="10",
            least_s=SHORTEST_WINDOW_S,
            most_s=LONGEST_WINDOW_S,
        ),
    ] = None,
    hop_s: Annotated[
        float | None,
        seconds_option(
            "--hop",
            text="Seconds from one window to the next.",
            group="Model",
            default="the window's length",
            least_s=SHORTEST_WINDOW_S,
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
            rich_help_panel="Files",
            help="Also remove clips of a PATH that is missing or empty, and of earlier lists if they are not on LIST.",
        ),
    ] = False,
    rehash: Annotated[
        bool,
        typer.Option(
            "--rehash",
            rich_help_panel="Files",
            help="Read every file, even if its size and times are the same. Only files with other bytes are embedded.",
        ),
    ] = False,
    is_without_sidecars: Annotated[
        bool,
        typer.Option(
            "--no-sidecars",
            rich_help_panel="Files",
            help="Leave the transcripts beside files alone: .srt, .vtt, .txt and Whisper's .json of the same name.",
        ),
    ] = False,
    audio_column: Annotated[
        str,
        typer.Option(
            "--audio-column",
            metavar="COLUMN",
            rich_help_panel="Files",
            help="The column that holds audio, of Parquet tables.",
        ),
    ] = "audio",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", rich_help_panel="Files", help="Print what would be done, one file a line, and do nothing."
        ),
    ] = False,
    is_to_watch: Annotated[
        bool,
        typer.Option(
            "--watch", rich_help_panel="Files", help="Go on, and index again whenever files change, until Ctrl-C."
        ),
    ] = False,
    is_to_serve: Annotated[
        bool,
        typer.Option("--serve", rich_help_panel="Files", help="With --watch, also serve queries, as `serve` does."),
    ] = False,
    is_to_transcribe: Annotated[
        bool,
        typer.Option(
            "--transcribe", rich_help_panel="Speech", help="Then write down what is said, as `transcribe` does."
        ),
    ] = False,
    speech_model: SpeechModelOption = None,
    language: LanguageOption = None,
    translate: TranslateOption = False,
    workers: WorkersOption = "local",
    worker_cpus: WorkerCpusOption = None,
    store: StoreOption = None,
) -> None:
    """Embed folders of audio and keep the embeddings in a store.

    \b
        pe-search index ./sounds
        pe-search index ~/Recordings --exclude drafts/ --exclude '*.tmp.wav'
        pe-search index shards/a.tar table.parquet https://example.org/recordings/
        find . -name '*.wav' -mtime -1 -print0 | pe-search index --files-from -

    Only new and changed files are embedded. Clips that are gone from a PATH or excluded leave the store. If a PATH is
    missing or empty, its clips are kept. Hidden files, recycle bins and thumbnails are skipped. A file that can't be
    read is left out until it changes. Without PATH, all folders and files that were named before are brought up to
    date, each with the --exclude that was last given for it; `pe-search status` lists them.

    Exit status: 0 done, 1 no audio found, 2 an error or a clip left out, 130 interrupted: what is done is kept, and the
    same command goes on.
    """
    from pe_search.library import Library

    started_s = time.monotonic()
    is_for_known_folders = not paths and files_from is None
    if is_for_known_folders and exclude:
        reason = "requires a PATH; without PATH, each folder keeps the patterns that it was last indexed with."
        raise typer.BadParameter(reason, param_hint="--exclude")
    if dry_run and rehash:
        raise typer.BadParameter("can't be used with --dry-run.", param_hint="--rehash")
    _refuse_what_cannot_be_watched(
        is_to_watch,
        is_to_serve,
        {
            "--files-from": files_from is not None,
            "--dry-run": dry_run,
            "--prune": prune,
            "--rehash": rehash,
            "--no-sidecars": is_without_sidecars,
            "--workers": workers != "local",
        },
    )
    refuse_bad_workers(workers, worker_cpus)
    refuse_without_transcribe(context, is_to_transcribe=is_to_transcribe, is_possible=not (dry_run or is_to_watch))
    refuse_zone_with(zone, {"--files-from": files_from is not None, "--dry-run": dry_run})
    refuse_bad_patterns(exclude)
    patterns = exclude or usual_patterns()
    listed = read_paths(files_from)
    if prune and files_from is not None and not listed:
        # More likely that what writes the list has failed than that all is to go.
        reason = f"{called(files_from)} names no path; --prune would remove every clip that came from a list."
        raise typer.BadParameter(reason, param_hint="--files-from")
    directory = store_directory(store)
    is_new = not Library(directory).is_made()
    if is_new and store is not None and is_other_folder(store):
        raise typer.BadParameter(
            f"{store} is a folder with other files. Write --store {shlex.quote(f'./{store}')} to put the store there, "
            "or give the store another name."
        )
    if is_new and hop_s is not None and hop_s > (window_s or WINDOW_S):
        raise typer.BadParameter("must not be longer than the window; some audio would be skipped.", param_hint="--hop")
    if is_new and model is None:
        model = usual_model()
    bar = ProgressBar("embedding")
    library = Library(
        directory,
        wanted=Wanted(model, revision, window_s, hop_s, level and level.value, speed, track, may_fetch=True),
        device=device.value,
        dtype=dtype.value,
        loading=partial(_saying_which_model, bar, is_first_choice=is_new and model is None),
        on_compile=say_compiling,
        on_problem=say_problem,
    )
    given = None if is_for_known_folders else paths or []
    where = "the folders of the store" if is_for_known_folders else places(paths, files_from)
    if is_new and store is not None and is_store_name(store) and directory.parent == data_directory():
        say(f"Store {store}: {directory}")
    if is_for_known_folders and not is_new:
        _say_folders([root.path for root in library.roots()])
    if dry_run:
        with library:
            plan = library.plan(
                given,
                listed=listed,
                exclude=patterns,
                prune=prune,
                prune_lists=prune and files_from is not None,
                audio_column=audio_column,
            )
        _refuse_nothing(plan, where)
        write_plan(plan, directory)
        raise typer.Exit(2 if plan.problems else 0)
    if is_to_watch:
        with library, _termination_interrupts():
            watch_and_say(library, given, patterns, bar, zone=zone, is_to_serve=is_to_serve)
        return
    # What it lacks is better known before the work.
    recogniser = (
        library.open_recogniser(checked_speech_model(speech_model), language=language, translate=translate)
        if is_to_transcribe
        else None
    )
    with library, _termination_interrupts(), bar:
        summary = library.index(
            given,
            listed=listed,
            exclude=patterns,
            prune=prune,
            prune_lists=prune and files_from is not None,
            rehash=rehash,
            sidecars=not is_without_sidecars,
            zone=zone,
            audio_column=audio_column,
            workers=workers,
            worker_cpus=worker_cpus,
            on_progress=bar.show,
        )
    _refuse_nothing(summary, where)
    if not library.is_made():
        say("No clip could be read; no store was made.")
        raise typer.Exit(2)
    say_summary(
        summary,
        directory,
        time.monotonic() - started_s,
        (summary.runtime or library.model.loaded.audio_runtime) if summary.windows else None,
    )
    if summary.is_interrupted:
        raise typer.Exit(130)
    is_whole = True
    if recogniser is not None:
        with library, _termination_interrupts():
            is_whole = transcribe_and_say(library, recogniser, None if given is None else [*given, *listed], patterns)
    if summary.problems or summary.incomplete or not is_whole:
        raise typer.Exit(2)


def _say_folders(folders: Sequence[Path]) -> None:
    """Say what is gone through that nobody named now."""
    if folders:
        others = f" and {len(folders) - _MOST_FOLDERS:,} more" if len(folders) > _MOST_FOLDERS else ""
        say(f"Going through {', '.join(map(str, folders[:_MOST_FOLDERS]))}{others}")


def _refuse_what_cannot_be_watched(is_to_watch: bool, is_to_serve: bool, others: dict[str, bool]) -> None:
    if is_to_serve and not is_to_watch:
        raise typer.BadParameter("requires --watch; to serve alone, use `pe-search serve`.", param_hint="--serve")
    for option, is_given in others.items():
        if is_to_watch and is_given:
            raise typer.BadParameter("can't be used with --watch.", param_hint=option)


def _refuse_nothing(found: IndexSummary | IndexPlan, where: str) -> None:
    if found.found_nothing:
        say_no_clips(found.passed_over, where, found.problems)
        raise typer.Exit(2 if found.problems else 1)


@contextmanager
def _saying_which_model(bar: ProgressBar, checkpoint: Checkpoint | None, *, is_first_choice: bool) -> Iterator[None]:
    with bar.loading(checkpoint):
        yield
    if checkpoint is None:
        return
    if checkpoint.is_frame_level:
        say(
            f"pe-search: {checkpoint.name} was trained to find sounds within clips. To rank clips, "
            "use one of facebook/pe-av-*."
        )
    if is_first_choice and sys.stderr.isatty():
        say(
            "Using the built-in model, which knows some common sounds. Meta's PE-AV knows more: "
            "`pe-search index PATH --model small --store pe-av` downloads it once and makes a store with it."
        )


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

"""`pe-search transcribe`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from pe_search.cli.input.config import usual_model, usual_patterns
from pe_search.cli.input.field_options import OutputOption, chosen_format
from pe_search.cli.input.lists import FilesFromOption, read_paths
from pe_search.cli.input.options import (
    Device,
    DeviceOption,
    Dtype,
    DtypeOption,
    StoreOption,
    format_option,
    store_directory,
)
from pe_search.cli.input.speech_options import (
    AllAudioOption,
    LanguageOption,
    SpeechModelOption,
    TranslateOption,
    checked_speech_model,
)
from pe_search.cli.input.terms import read_reference
from pe_search.cli.output.files import output_to
from pe_search.cli.output.hints import is_on_terminal
from pe_search.cli.output.messages import Problems, say, say_compiling, say_problem
from pe_search.cli.output.passed_over import ExcludeOption, refuse_bad_patterns, say_no_clips, say_unreadable
from pe_search.cli.output.progress import ProgressBar
from pe_search.cli.output.transcripts import TranscriptFormat, TranscriptWriter
from pe_search.directories import absolute, expanded
from pe_search.library import Library
from pe_search.listener import ListenerOptions
from pe_search.model import Wanted
from pe_search.places import is_name
from pe_search.queries import Reference
from pe_search.transcriber import Transcriber


def transcribe(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Folders and audio files, or FILE@S-E for the part from S to E.",
            rich_help_panel="Files",
            show_default="all clips of the store",
        ),
    ] = None,
    files_from: FilesFromOption = None,
    exclude: ExcludeOption = None,
    speech_model: SpeechModelOption = None,
    language: LanguageOption = None,
    translate: TranslateOption = False,
    all_audio: AllAudioOption = False,
    transcript_format: Annotated[
        TranscriptFormat | None,
        format_option("table, jsonl, csv, srt, vtt, txt.", "table; in a pipe jsonl"),
    ] = None,
    output: OutputOption = None,
    device: DeviceOption = Device.AUTO,
    dtype: DtypeOption = Dtype.AUTO,
    store: StoreOption = None,
) -> None:
    """Write down what is said in audio files.

    \b
        pe-search transcribe interview.mp3
        pe-search transcribe ./podcast --format txt -o podcast.txt
        pe-search transcribe talk.mp4 --format srt -o talk.srt
        pe-search transcribe tape.wav@1:00-2:30 --speech-model openai/whisper-small

    Only what sounds like speech is given to the recogniser. No store is needed. If there is one, what is said in its
    clips is kept in it, made once, and an interrupted run goes on where it was. The recogniser that needs no network,
    pocketsphinx, knows English alone and often mishears; a model of onnx-asr or Whisper is downloaded once and is much
    better. Recognisers need `pip install 'pe-search[speech]'`, those of transformers nothing more.

    Exit status: 0 found, 1 nothing said, 2 an error or a file left out, 130 interrupted.
    """
    refuse_bad_patterns(exclude)
    checked_speech_model(speech_model)
    transcript_format = chosen_format(transcript_format, TranscriptFormat, in_a_pipe="jsonl", output=output)
    problems = Problems()

    bar = ProgressBar("transcribing")
    source = context.get_parameter_source("store")
    listener = _listener(
        store_directory(store),
        is_named=source is not None and source.name == "COMMANDLINE",
        is_for_all=not paths and files_from is None,
        bar=bar,
        device=device,
        dtype=dtype,
    )
    with closing(listener):
        if paths or files_from is not None:
            parts = [_read_place(path) for path in paths or ()]
            places = [*parts, *(Reference(absolute(path)) for path in read_paths(files_from))]
            where = [one.path for one in places]
        else:
            assert isinstance(listener, Library)
            places = [Reference(clip.path) for clip in listener.clips() if not is_name(clip.path)]
            where = [one.path for one in places]
        found = listener.find(where, exclude=exclude or usual_patterns(), on_problem=problems.report)
        if not found.stamps:
            say_no_clips(found.passed_over, "the paths given" if paths else "the store", problems)
            raise typer.Exit(2 if problems else 1)
        say_unreadable(found.passed_over)
        writer = TranscriptWriter(transcript_format, len(found.stamps))
        with bar.loading(object()):
            recogniser = listener.open_recogniser(speech_model, language=language, translate=translate)
        if speech_model is None and is_on_terminal():
            say(
                "Using pocketsphinx, which needs no network and often mishears. With a network, --speech-model "
                "nemo-parakeet-tdt-0.6b-v3 is much better."
            )
        said = listener.transcribe(
            found,
            places=_parts_of(places),
            speech_model=recogniser,
            all_audio=all_audio,
            on_progress=bar.show,
            on_problem=problems.report,
        )
        with bar, closing(said), output_to(output), writer:
            for one in said:
                bar.hide()
                writer.write(one)
    if problems:
        raise typer.Exit(2)
    if not writer.count:
        if is_on_terminal():
            say(f"pe-search: no words found{'' if all_audio else '; --all-audio also looks where no speech is heard'}.")
        raise typer.Exit(1)


def _parts_of(places: Iterable[Reference]) -> dict[Path, list[tuple[float, float]]]:
    """The parts of each file, but for those that are named whole as well."""
    parts: dict[Path, list[tuple[float, float]]] = {}
    whole = {one.path for one in places if one.place is None}
    for one in places:
        if one.place is not None and one.path not in whole:
            parts.setdefault(one.path, []).append(one.place)
    return parts


def _listener(
    directory: Path, *, is_named: bool, is_for_all: bool, bar: ProgressBar, device: Device, dtype: Dtype
) -> Transcriber:
    """The store, if there is one, else what needs none.

    A store that is named on the command line must be there, and so must one whose clips are all meant.
    """
    options: ListenerOptions = {
        "device": device.value,
        "dtype": dtype.value,
        "loading": bar.loading,
        "on_compile": say_compiling,
        "on_problem": say_problem,
    }
    library = Library(directory, **options)
    if library.is_made():
        return library
    if is_named or is_for_all:
        library.open()  # raises what says so
    return Transcriber(Wanted(usual_model()), **options)


def _read_place(argument: str) -> Reference:
    """A folder, a file, or a part of a file."""
    path = expanded(Path(argument))
    return Reference(absolute(path)) if os.path.lexists(path) else read_reference(argument, "PATH")

"""Options of the commands that recognise speech."""

from __future__ import annotations

from typing import Annotated

import typer

SpeechModelOption = Annotated[
    str | None,
    typer.Option(
        "--speech-model",
        metavar="NAME",
        envvar="PE_SEARCH_SPEECH_MODEL",
        show_envvar=False,
        rich_help_panel="Speech",
        show_default="$PE_SEARCH_SPEECH_MODEL, else pocketsphinx",
        help="The recogniser: pocketsphinx, a model of onnx-asr, a Hugging Face id or a directory.",
    ),
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        "--language",
        metavar="LANGUAGE",
        rich_help_panel="Speech",
        show_default="what the recogniser makes of it",
        help="The language that is spoken, as the recogniser calls it: en, english.",
    ),
]
TranslateOption = Annotated[
    bool,
    typer.Option("--translate", rich_help_panel="Speech", help="Translate into English, if the recogniser can."),
]
AllAudioOption = Annotated[
    bool,
    typer.Option(
        "--all-audio", rich_help_panel="Speech", help="Recognise everything, not only what sounds like speech."
    ),
]


def checked_speech_model(name: str | None) -> str | None:
    """The name as it is.

    Raises:
        typer.BadParameter: If it is empty.
    """
    if name is not None and not name.strip():
        raise typer.BadParameter("must not be empty.", param_hint="--speech-model")
    return name


def refuse_without_transcribe(context: typer.Context, *, is_to_transcribe: bool, is_possible: bool) -> None:
    """Refuse options about speech that would do nothing.

    Args:
        context: Tells what was given on the command line.
        is_to_transcribe: Whether `--transcribe` was.
        is_possible: Whether it can be used with the other options.

    Raises:
        typer.BadParameter: If there is one.
    """
    if is_to_transcribe and not is_possible:
        raise typer.BadParameter("can't be used with --dry-run or --watch.", param_hint="--transcribe")
    for name, option in {
        "speech_model": "--speech-model", "language": "--language", "translate": "--translate"
    }.items():  # fmt: skip
        source = context.get_parameter_source(name)
        if not is_to_transcribe and source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter("requires --transcribe.", param_hint=option)

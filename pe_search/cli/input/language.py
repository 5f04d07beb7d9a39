"""Options of the commands that ask a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pe_search.cli.input.numbers import number_between
from pe_search.cli.output.messages import say
from pe_search.errors import LanguageModelError

if TYPE_CHECKING:
    from pe_search.asker import Asker
    from pe_search.language.conversations import LanguageModel

LanguageModelOption = Annotated[
    str | None,
    typer.Option(
        "--language-model",
        metavar="NAME",
        envvar="PE_SEARCH_LANGUAGE_MODEL",
        rich_help_panel="Model",
        show_default="$PE_SEARCH_LANGUAGE_MODEL",
        help="The language model: the URL of a server, a Hugging Face id or a directory.",
    ),
]
MinAnswerOption = Annotated[
    float,
    typer.Option(
        "--min-probability",
        parser=number_between(0.0, 1.0),
        metavar="P",
        rich_help_panel="Filter",
        help="Drop answers whose probability is below P.",
    ),
]


def refuse_idle_language_model(context: typer.Context) -> None:
    """Raise a usage error if a language model is named on the command line, where nothing is asked."""
    source = context.get_parameter_source("language_model")
    if source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter("requires --ask.", param_hint="--language-model")


def open_language_model(asker: Asker, name: str | None) -> LanguageModel:
    """The language model that was chosen. If the sound leaves this machine, that is said on stderr.

    Raises:
        LanguageModelError: If none is chosen, or it can't be opened.
    """
    if not name:
        raise LanguageModelError(
            "No language model is chosen. Give --language-model, or set PE_SEARCH_LANGUAGE_MODEL: to the URL of a "
            "server such as http://localhost:8080/v1, to a Hugging Face id such as Qwen/Qwen2-Audio-7B-Instruct, or to "
            "a directory. docs/ask.md says how to get one."
        )
    model = asker.open_language_model(name)
    say_where_sound_goes(model)
    return model


def say_where_sound_goes(model: LanguageModel) -> None:
    """Say on stderr to which machine a language model sends the sound, if that is not this one."""
    if model.host is not None:
        say(f"pe-search: the sound is sent to another machine: {model.host}")

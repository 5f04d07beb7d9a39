"""`pe-search models`."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_checkpoint
from pe_search.cli.output.messages import say
from pe_search.cli.output.tables import fact_lines, room
from pe_search.model import builtin_concepts, fetch_checkpoint, short_names

_WIDTH = 78


def models(
    fetch: Annotated[
        str | None,
        typer.Option(
            "--fetch",
            metavar="NAME",
            autocompletion=complete_checkpoint,
            rich_help_panel="Model",
            help="Download a checkpoint or language model from the Hugging Face hub, if it is not on this machine.",
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision", metavar="REV", rich_help_panel="Model", help="Branch, tag or commit of that checkpoint."
        ),
    ] = None,
) -> None:
    """List the checkpoints with a short name and the sounds that the built-in one knows, or download one.

    \b
        pe-search models
        pe-search models --fetch small
        pe-search models --fetch facebook/pe-a-frame-small

    `pe-search index --model` also takes any Hugging Face id or directory. Only that option and --fetch use the network.
    """
    if revision is not None and fetch is None:
        raise typer.BadParameter("--revision requires --fetch.")
    if fetch is not None:
        checkpoint = fetch_checkpoint(fetch, revision)
        say(f"{checkpoint.name} is on this machine, revision {checkpoint.revision}.")
        return
    names = short_names()
    for line in fact_lines(names.items()):
        typer.echo(line)
    concepts = builtin_concepts()
    width = min(_WIDTH, room())
    typer.echo(f"\n{textwrap.fill(f'The built-in checkpoint was taught {len(concepts)} kinds of sound:', width)}\n")
    typer.echo(textwrap.fill(", ".join(concepts), width, initial_indent="  ", subsequent_indent="  "))

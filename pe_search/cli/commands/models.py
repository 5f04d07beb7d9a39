"""`pe-search models`."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from pe_search.cli.input.completion import complete_checkpoint
from pe_search.cli.output.messages import say
from pe_search.model import builtin_concepts, fetch_checkpoint, short_names


def models(
    fetch: Annotated[
        str | None,
        typer.Option(
            "--fetch",
            metavar="NAME",
            autocompletion=complete_checkpoint,
            help="Fetch a checkpoint from the Hugging Face hub, unless it is on this machine already.",
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="REV", help="Branch, tag or commit of what --fetch names.")
    ] = None,
) -> None:
    """List the checkpoints that have a short name, and what the built-in one was taught; or fetch one.

    --model of `pe-search index` also takes any Hugging Face id and any directory. The network is asked by that option
    and by --fetch only; all other commands use what is on this machine.

    \b
        pe-search models
        pe-search models --fetch small
        pe-search models --fetch facebook/pe-a-frame-small
    """
    if revision is not None and fetch is None:
        raise typer.BadParameter("goes with --fetch only.", param_hint="--revision")
    if fetch is not None:
        checkpoint = fetch_checkpoint(fetch, revision)
        say(f"{checkpoint.name} is on this machine, revision {checkpoint.revision}.")
        return
    names = short_names()
    width = max(map(len, names))
    for name, where in names.items():
        typer.echo(f"{name:<{width}}  {where}")
    concepts = builtin_concepts()
    typer.echo(f"\nThe built-in checkpoint was taught {len(concepts)} kinds of sound:\n")
    typer.echo(textwrap.fill(", ".join(concepts), width=78, initial_indent="  ", subsequent_indent="  "))

"""`pe-search models`."""

from __future__ import annotations

import textwrap

import typer


def models() -> None:
    """List the checkpoints that have a short name, and what the built-in one was taught.

    --model of `pe-search index` also takes any Hugging Face id and any directory.
    """
    from pe_search.pe_audio.checkpoint import BUILTIN, SHORT_NAMES, builtin_concepts

    width = max(map(len, (BUILTIN, *SHORT_NAMES)))
    typer.echo(f"{BUILTIN:<{width}}  in this package")
    for name, hub_id in SHORT_NAMES.items():
        typer.echo(f"{name:<{width}}  {hub_id}")
    concepts = builtin_concepts()
    typer.echo(f"\nThe built-in checkpoint was taught {len(concepts)} kinds of sound:\n")
    typer.echo(textwrap.fill(", ".join(concepts), width=78, initial_indent="  ", subsequent_indent="  "))

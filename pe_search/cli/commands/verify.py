"""`pe-search verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from pe_search.cli.input.numbers import whole_number_between
from pe_search.cli.input.options import StoreOption, store_directory
from pe_search.cli.output.messages import counted, say, say_problem
from pe_search.cli.output.tables import fact_lines
from pe_search.library import Library

# float16 keeps 11 bits of a number, which is 0.05 % at most; bfloat16, which a model may be run in, keeps 8.
_MOST_DRIFT = 0.05


def verify(
    sample: Annotated[
        int,
        typer.Option(
            "--sample",
            parser=whole_number_between(1),
            metavar="N",
            rich_help_panel="Ask",
            help="Embed N clips again, always the same ones.",
        ),
    ] = 20,
    store: StoreOption = None,
) -> None:
    """Embed some clips again and compare them with the store.

    \b
        pe-search verify
        pe-search verify --sample 200 --store ./birds.store

    Small differences are normal: the store keeps float16, and machines round differently. Clips whose files are gone or
    changed are named and not compared.

    Exit status: 0 if all differences are at most 5 % of an embedding's length, 1 if not, 2 if nothing could be
    compared.
    """
    with Library(store_directory(store)) as library:
        found = library.verify(sample)
    for path in found.gone:
        say(f"pe-search: {path}: is gone")
    for path in found.changed:
        say(f"pe-search: {path}: has changed since it was indexed")
    for problem in found.problems:
        say_problem(problem)
    if not found.clips:
        say("pe-search: Nothing could be compared.")
        raise typer.Exit(2)
    rows = {
        "compared": f"{counted(found.clips, 'clip')}, {counted(found.windows, 'window')}",
        "largest difference": f"{found.largest_difference:.3g} in one number, "
        f"{found.largest_relative:.3%} of an embedding's length",
        "smallest cosine": f"{found.smallest_cosine:.6f}",
        "gone": f"{len(found.gone):,}",
        "changed": f"{len(found.changed):,}",
    }
    for line in fact_lines(rows.items()):
        typer.echo(line)
    if found.problems or not found.largest_relative <= _MOST_DRIFT:
        raise typer.Exit(1)

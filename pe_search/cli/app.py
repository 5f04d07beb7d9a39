"""The Typer application, and the one place where errors become a line on stderr and an exit status."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pe_search import PeSearchError, __version__
from pe_search.cli import index, query, status
from pe_search.cli.messages import say


class _Group(TyperGroup):
    """Turns a `PeSearchError` into one line and exit status 2.

    Typer ends a program by itself only for its own exceptions, and a wrapper around the whole program would be passed
    by in tests; a group's `invoke` is where both ways meet.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except PeSearchError as error:
            say(f"pe-search: {error}")
            raise typer.Exit(2) from error
        except BrokenPipeError:
            # The reader has all it wanted, as with `| head -1`. Python flushes once more on its way out, so that has
            # to go somewhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        return result


app = typer.Typer(
    name="pe-search",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("index")(index.index)
app.command("query")(query.query)
app.command("status")(status.status)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"pe-search {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Find sounds by what they sound like.

    Index folders of audio once, then ask in plain words:

    \b
        pe-search index ./sounds
        pe-search query "dog barking"

    Results go to stdout, everything else to stderr. Exit status: 0 something found (or done), 1 nothing found,
    2 an error, also when only part of the work failed.
    """


def main() -> None:
    """Run the command line."""
    app()

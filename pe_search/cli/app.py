"""The Typer application, and the one place where errors become a line on stderr and an exit status."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from pe_search import PeSearchError, __version__
from pe_search.cli.output.messages import say_error

_SETTINGS = {"help_option_names": ["-h", "--help"]}
# In the order of the help. Each is the function of its name in the module of its name.
_COMMANDS = (
    "index",
    "query",
    "serve",
    "locate",
    "label",
    "duplicates",
    "status",
    "list",
    "remove",
    "merge",
    "export",
    "verify",
    "rebuild",
    "models",
)


class _Command(TyperCommand):
    """A command that refuses an option that is given twice where one counts; Click would take the last."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(list(args))
            for option in given:
                takes_one = isinstance(option, TyperOption) and not (option.is_flag or option.multiple)
                if takes_one and given.count(option) > 1:
                    raise typer.BadParameter("is given twice; give it once.", ctx, option)
        return super().parse_args(ctx, args)


class _Commands(Mapping[str, Any]):
    """The commands by name. Each is imported and made when it is asked for: all of them take longer than a query."""

    def __getitem__(self, name: str) -> Any:
        if name not in _COMMANDS:
            raise KeyError(name)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=_SETTINGS)
        alone.command(name, cls=_Command)(_function(name))
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


def _function(name: str) -> Callable[..., None]:
    module = import_module(f"pe_search.cli.commands.{name}")
    function: Callable[..., None] = getattr(module, name)
    return function


class _Group(TyperGroup):
    """Turns a `PeSearchError` into one line and exit status 2.

    Typer ends a program by itself only for its own exceptions, and a wrapper around the whole program would be passed
    by in tests; a group's `invoke` is where both ways meet.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": _Commands()})

    def format_commands(self, _context: Any, formatter: Any) -> None:
        """List the commands with the first sentences of their help, for which their options need not be made."""
        firsts = [(name, cleandoc(_function(name).__doc__ or "").split(".")[0] + ".") for name in _COMMANDS]
        with formatter.section("Commands"):
            formatter.write_dl(firsts)

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except PeSearchError as error:
            say_error(error)
            raise typer.Exit(2) from error
        except BrokenPipeError:
            # The reader has all it wanted, as with `| head -1`.
            _discard_stdout()
            raise typer.Exit(0) from None
        except OSError as error:
            _discard_stdout()
            say_error(error)
            raise typer.Exit(2) from error
        return result


def _discard_stdout() -> None:
    """Give what Python still flushes to stdout on its way out a place to go."""
    with suppress(io.UnsupportedOperation):  # a test runner's stdout has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    name="pe-search",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=_SETTINGS,
)


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

    Or ask when a sound is heard in a file, without indexing:

    \b
        pe-search locate "dog barking" walk.wav

    Results go to stdout, everything else to stderr. Exit status: 0 something found (or done), 1 nothing found,
    2 an error, also when only part of the work failed.
    """


def main() -> None:
    """Run the command line."""
    _mend_streams()
    app()


def _mend_streams() -> None:
    """Make stdout and stderr take any text, even where they are closed or their encoding is narrow."""
    # A descriptor that the shell closed would be given to the next file that is opened, and a warning be written there.
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r+", encoding="utf-8"))  # noqa: SIM115
    _move_stderr()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _move_stderr() -> None:
    """Take stderr to another descriptor, so that libraries which write to the usual one by themselves are not heard.

    libmpg123 does, several lines for each damaged MP3, and libsndfile has no way to tell it not to. On Windows stderr
    stays where it is: a console there takes text from Python's own stream for it, and bytes in another encoding.
    """
    if sys.platform == "win32":
        return
    # Without a buffer, which would be flushed in vain on the way out if nobody reads any more.
    own = io.FileIO(os.dup(sys.stderr.fileno()), "w")
    sys.stderr = io.TextIOWrapper(own, encoding=sys.stderr.encoding, write_through=True)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)

"""The Typer application, and the one place where errors become a line on stderr and an exit status."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from pe_search import PeSearchError, __version__
from pe_search.cli.input.completion import join_at
from pe_search.cli.output.messages import say, say_error, usage_error_line
from pe_search.errors import quoted
from pe_search.places import urls_in
from pe_search.trust import trust_urls

_SETTINGS = {"help_option_names": ["-h", "--help"]}
COMMANDS = {
    "Find": ("query", "locate", "label", "count", "duplicates", "evaluate"),
    "Describe": ("ask", "describe", "transcribe"),
    "Teach words": ("learn", "judge", "words", "forget", "tune"),
    "Keep a store": ("index", "list", "tag", "status", "relocate", "remove", "verify", "merge", "export", "rebuild"),
    "More": ("page", "serve", "mcp", "models", "config"),
}
"""The commands in groups, in the order of the help. Each is the function of its name in the module of its name, which
may have `SUBCOMMANDS` too."""

_NAMES = tuple(name for names in COMMANDS.values() for name in names)
# What Typer has no public name for.
_UsageError: Any = typer.BadParameter.__base__


class _Command(TyperCommand):
    """A command with help in groups, which refuses an option that is given twice where one counts.

    Click would take the last.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            # What somebody types may be downloaded, whatever a store says.
            trust_urls(url for arg in args for url in urls_in(arg))
            _, _, given = self.make_parser(ctx).parse_args(list(args))
            for option in given:
                takes_one = isinstance(option, TyperOption) and not (option.is_flag or option.multiple)
                if takes_one and given.count(option) > 1:
                    raise typer.BadParameter("given twice; give it once.", ctx, option)
            # A file that is wrong shouldn't keep anyone from reading help.
            if not set(args) & set(ctx.help_option_names):
                from pe_search.cli.input.config import option_defaults

                defaults = option_defaults()
                several = {option.name for option in self.params if getattr(option, "multiple", False)}
                ctx.default_map = {name: [one] if name in several else one for name, one in defaults.items()}
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        # Typer has braces around what must be given, which read as if they were to be typed.
        return [piece.removeprefix("{").removesuffix("}") for piece in super().collect_usage_pieces(ctx)]

    def get_help(self, ctx: Any) -> str:
        from pe_search.cli.help import command_help, help_text

        return help_text(command_help(self, ctx))


class _Commands(Mapping[str, Any]):
    """The commands by name. Each is imported and made when it is asked for: all of them take longer than a query."""

    def __getitem__(self, name: str) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        alone = typer.Typer(
            cls=_Subgroup,
            no_args_is_help=True,
            subcommand_metavar="COMMAND",
            add_completion=False,
            rich_markup_mode=None,
            context_settings=_SETTINGS,
        )
        subcommands = _subcommands(name)
        if subcommands:
            alone.callback()(_function(name))
        for word, function in (subcommands or {name: _function(name)}).items():
            alone.command(word, cls=_Command)(function)
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


def _function(name: str) -> Callable[..., None]:
    module = import_module(f"pe_search.cli.commands.{name}")
    function: Callable[..., None] = getattr(module, name)
    return function


def _subcommands(name: str) -> Mapping[str, Callable[..., None]]:
    return getattr(import_module(f"pe_search.cli.commands.{name}"), "SUBCOMMANDS", {})


class _Subgroup(TyperGroup):
    """A command with commands of its own."""

    def get_help(self, ctx: Any) -> str:
        from pe_search.cli.help import command_help, groups_text, help_text

        summaries = [(name, _summary(function)) for name, function in _subcommands(ctx.info_name).items()]
        return "\n\n".join([help_text(command_help(self, ctx)).rstrip(), groups_text({"Commands": summaries})])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        raise _UsageError(
            f"No such command {quoted(args[0])}; commands of {ctx.info_name} are {', '.join(self.commands)}.", ctx
        )


def _summary(function: Callable[..., None]) -> str:
    """From the docstring, for which the options need not be made."""
    from pe_search.cli.help import docstring_parts

    return docstring_parts(function.__doc__ or "")[0].split(". ")[0]


class _Group(TyperGroup):
    """Turns every error into one line and exit status 2.

    Typer ends a program by itself only for its own exceptions, and a wrapper around the whole program would be passed
    by in tests; a group's `make_context` and `invoke` are where both ways meet.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": _Commands()})

    def get_help(self, ctx: Any) -> str:
        from pe_search.cli.help import command_help, groups_text, help_text

        summaries = {group: [(name, _summary(_function(name))) for name in names] for group, names in COMMANDS.items()}
        summaries["More"].append(("help", "Show the help of a command."))
        return "\n\n".join([help_text(command_help(self, ctx)), groups_text(summaries)])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word, *others = args
        if word == "help":
            if not others or others[0].startswith("-"):
                typer.echo(ctx.get_help())
                raise typer.Exit
            word, *others = args = [*takewhile(lambda one: not one.startswith("-"), others), "--help"]
        if word in self.commands:
            return super().resolve_command(ctx, args)
        from pe_search.cli.input.wrong_words import command_instead

        meant = command_instead(word, _NAMES)
        offered = f" Did you mean {quoted(meant)}?" if meant else ""
        raise _UsageError(f"No such command {quoted(word)}.{offered}", ctx)

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _usage_errors_in_a_line():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _usage_errors_in_a_line():
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


@contextmanager
def _usage_errors_in_a_line() -> Iterator[None]:
    """Say what is wrong with the arguments in one line; Click would say it in four."""
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        say(f"pe-search: {usage_error_line(error)}")
        raise typer.Exit(2) from error


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

    \b
        pe-search index ./sounds
        pe-search query "dog barking"
        pe-search locate "dog barking" walk.wav

    Results go to stdout, everything else to stderr.
    Exit status: 0 found or done, 1 nothing found, 2 an error, also if only a part of the work failed.
    """


def main() -> None:
    """Run the command line."""
    _mend_streams()
    join_at(os.environ)
    try:
        app(prog_name="pe-search")
    except OSError as error:  # of what is printed before a command is called, as the version
        say_error(error)
        sys.exit(2)


def _mend_streams() -> None:
    """Make stdout and stderr take any text, even where they are closed or their encoding is narrow."""
    # A descriptor that the shell closed would be given to the next file that is opened, and a warning be written there.
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            placeholder = Path(os.devnull).open("r+", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, placeholder)
            if name == "stdout":
                sys.stdout = io.TextIOWrapper(_Closed(placeholder), encoding="utf-8", write_through=True)
    _move_stderr()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Closed(io.RawIOBase):
    """A closed stdout: whatever is written there would be lost, which is an error.

    Args:
        placeholder: What keeps its descriptor from being given to another file.
    """

    def __init__(self, placeholder: object) -> None:
        super().__init__()
        self._placeholder = placeholder

    def writable(self) -> bool:
        return True

    def write(self, _data: object) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


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

"""Lines for people, on stderr, and text made safe for a terminal."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from pe_search.errors import PeSearchError, excerpt, quoted
from pe_search.records import Problem

_USUAL_COLUMNS = 80
# More than the longest path; what is quoted in a line has bounds of its own (`errors.quoted`).
_LONGEST_LINE = 5_000


def say(text: str) -> None:
    """Print one line on stderr, whatever characters are in it, and however many. That nobody reads it stops no work.

    On a terminal a long one goes on below, with no word and no path broken, so that it can be copied.
    """
    line = excerpt(printable(text), _LONGEST_LINE)
    with suppress(OSError):
        if sys.stderr.isatty():
            import textwrap

            line = textwrap.fill(line, columns(), break_long_words=False, break_on_hyphens=False)
        print(line, file=sys.stderr, flush=True)


def columns() -> int:
    """How wide the terminal is that stderr is, as Rich has it for tables."""
    chosen = os.environ.get("COLUMNS", "")
    # Some terminals say that they have no columns at all.
    measured = os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_COLUMNS
    return int(chosen) if chosen.isdecimal() and int(chosen) else measured


def say_problem(problem: Problem) -> None:
    """Name a file on stderr, and what is amiss with it."""
    say(f"pe-search: {problem.path}: {problem.reason}")


class Problems(list[Problem]):
    """What a run left out or can't read whole. Each problem is printed as it comes, and once; notes are not kept."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[Problem] = set()

    def report(self, problem: Problem) -> None:
        """Print a problem, unless it was printed, and keep it if it is more than a note."""
        # A clip may be found by several queries.
        if problem in self._said:
            return
        self._said.add(problem)
        if not problem.is_note:
            self.append(problem)
        say_problem(problem)


def say_error(error: PeSearchError | OSError) -> None:
    """Say on stderr what went wrong, and with what file."""
    if isinstance(error, OSError):
        is_no_path = error.errno == errno.ENAMETOOLONG
        name = excerpt(printable(str(error.filename))) if is_no_path else error.filename
        place = f"{name}: " if error.filename else ""
        say(f"pe-search: {place}{error.strerror or error}")
    else:
        say(f"pe-search: {error}")


def usage_error_line(error: Any) -> str:
    """What is wrong with the arguments, as Typer's `UsageError` has it: `--device: 'tpu' is not one of ...`."""
    if hasattr(error, "possibilities"):
        from pe_search.cli.input.wrong_words import option_instead

        word = error.option_name
        meant = option_instead(word, [option for parameter in error.ctx.command.params for option in parameter.opts])
        return f"No such option {quoted(word)}." + (f" Did you mean {quoted(meant)}?" if meant else "")
    if type(error) is not typer.BadParameter:
        return str(error.format_message())
    hint: Any = error.param_hint
    if hint is None and error.param is not None:
        hint = error.param.metavar if error.param.param_type_name == "argument" else error.param.opts[0]
    if hint is not None and not isinstance(hint, str):
        hint = " / ".join(hint)
    return f"{hint}: {error.message}" if hint else error.message


def say_compiling() -> None:
    """Say that a text tower is being compiled, for it takes long."""
    say("Compiling the text tower to make queries fast. This takes one or two minutes, once.")


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would obey, or that can't be encoded.

    Control characters come out as `\\x1b`, and bytes of a file name that are not UTF-8 as `\\xff`.
    """
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def counted(number: int, noun: str) -> str:
    """A number of things in words: `1 clip`, `2,000 clips`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shown_share(share: float) -> str:
    """A share from 0 to 1 for people: `14 %`. What is not all of it is not 100 %, and what is something not 0 %."""
    percent = round(100 * share)
    if 0 < share < 1:
        percent = min(max(percent, 1), 99)
    return f"{percent} %"


def shown_path(path: Path) -> str:
    """A path for people: relative to the working directory if it is below it."""
    try:
        short = path.relative_to(os.getcwd())
    except (ValueError, OSError):
        short = path
    return printable(str(short))


def shown_query(name: str) -> str:
    """The name of a query for people: paths of its audio are relative to the working directory if they are below it."""
    with suppress(OSError):
        name = name.replace(f"like {os.getcwd()}{os.sep}", "like ")
    return printable(name)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode has it (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

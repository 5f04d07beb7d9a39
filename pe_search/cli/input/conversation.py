"""`pe-search query` with nothing to look for, on a terminal: question after question, and what to do with the hits."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from pe_search.cli.input.history import History
from pe_search.cli.input.options import checked_texts
from pe_search.cli.output.hit_spans import write_hits_with_spans
from pe_search.cli.output.hits import HitFormat
from pe_search.cli.output.messages import counted, say, say_error, usage_error_line
from pe_search.cli.output.picks import Picks
from pe_search.directories import state_directory
from pe_search.errors import PeSearchError
from pe_search.queries import Hit, Query, Reference, SpanRules

if TYPE_CHECKING:
    from pe_search.library import Library

_PROMPT = "> "
_HELP = """\
TEXT      find what sounds like it
:play N   play hit N of the last answer
:spans N  show when within hit N the sound is heard
:like N   find what sounds like hit N
:help     list all of this
:quit     end this, as Ctrl-D does
The arrow keys go through what was typed before. Ctrl-C gives up the line, or whatever is being done."""


class Conversation:
    """Takes lines from the terminal, and does what each of them says.

    Args:
        library: What is asked; each answer is of the last commit of its store.
        template: What every query has beside what is typed.
        show: Prints the hits of a query, having called what it is given with them.
        rules_at: How spans are made of what is heard at a speed.
    """

    def __init__(
        self,
        library: Library,
        template: Query,
        show: Callable[[Query, Callable[[Sequence[Hit]], None]], None],
        rules_at: Callable[[float], SpanRules],
    ) -> None:
        self._library = library
        self._template = template
        self._show = show
        self._rules_at = rules_at
        self._query = template
        self._hits: Sequence[Hit] = ()

    def hold(self) -> None:
        """Go on until the user has had enough. No error ends it: each is a line on stderr."""
        history = History(state_directory() / "history")
        say("Type what you are looking for; :help lists what else can be done, :quit ends this.")
        while (line := _read_line()) not in (None, ":quit"):
            if not line:
                continue
            history.add(line)
            try:
                if not self._library.is_current():
                    self._library.close()
                self._do(line)
            except KeyboardInterrupt:
                say("")
            except typer.BadParameter as error:
                say(f"pe-search: {usage_error_line(error)}")
            except (PeSearchError, OSError) as error:
                say_error(error)

    def _do(self, line: str) -> None:
        name, _, number = line.partition(" ")
        if not line.startswith(":"):
            self._ask(replace(self._template, texts=(*checked_texts([line], "TEXT"),)))
        elif line == ":help":
            typer.echo(_HELP)
        elif name == ":play":
            self._play(self._hit(name, number))
        elif name == ":spans":
            self._show_spans(self._hit(name, number))
        elif name == ":like":
            hit = self._hit(name, number)
            self._ask(replace(self._template, like=(Reference(hit.path, (hit.start_s, hit.end_s)),)))
        else:
            raise PeSearchError(f"There is no command {line!r}; :help lists those that there are.")

    def _ask(self, query: Query) -> None:
        self._query, self._hits = query, ()
        self._show(query, self._keep)
        if not self._hits:
            say("Nothing found.")

    def _keep(self, hits: Sequence[Hit]) -> None:
        self._hits = hits

    def _hit(self, name: str, number: str) -> Hit:
        if not number.isdecimal():
            raise PeSearchError(f"{name} takes the number of a hit, as in `{name} 1`.")
        if not self._hits:
            raise PeSearchError("There are no hits; type what you are looking for first.")
        numbered = {str(position): hit for position, hit in enumerate(self._hits, start=1)}
        if number not in numbered:
            raise PeSearchError(f"There is no hit {number}: the last answer has {counted(len(self._hits), 'hit')}.")
        return numbered[number]

    def _play(self, hit: Hit) -> None:
        picks = Picks(self._library, None, None, is_to_play=True)
        picks.take_hits([hit], self._library.check_unchanged)
        picks.finish()

    def _show_spans(self, hit: Hit) -> None:
        if not self._query.texts:
            raise PeSearchError("These hits are of a sound, and spans are of a text: type first what to listen for.")
        picks = Picks(self._library, None, None, is_to_play=False)
        rules = self._rules_at(self._library.hearing.speed)
        write_hits_with_spans(self._library, [[hit]], [self._query], rules, HitFormat.TABLE, picks)


def _read_line() -> str | None:
    """What is typed next, in one line; empty if it was given up, None if there is no more."""
    try:
        return " ".join(input(_PROMPT).split())
    except EOFError:
        say("")
        return None
    except KeyboardInterrupt:
        say("")
    except UnicodeDecodeError as error:
        say(f"pe-search: what you typed is not {error.encoding}.")
    return ""


@contextmanager
def ctrl_c_put_off(_checkpoint: object = None) -> Iterator[None]:
    """Let Ctrl-C wait to the end of the block, which imports torch and the like: cut short, that can't be tried again.

    Raises:
        KeyboardInterrupt: If it was pressed meanwhile.
    """
    presses: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: presses.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if presses:
        raise KeyboardInterrupt

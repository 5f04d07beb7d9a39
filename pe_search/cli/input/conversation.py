"""`pe-search query` with nothing to look for, on a terminal: question after question, and what to do with the hits."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import typer

from pe_search.cli.input.filters import options_of, read_options
from pe_search.cli.input.history import History
from pe_search.cli.input.language import open_language_model
from pe_search.cli.input.options import checked_texts
from pe_search.cli.output.descriptions import write_description
from pe_search.cli.output.hints import say_nothing_found, why_none_passes
from pe_search.cli.output.hit_spans import write_hits_with_spans
from pe_search.cli.output.hits import HitFormat
from pe_search.cli.output.messages import counted, say, say_error, say_problem, shown_path, usage_error_line
from pe_search.cli.output.picks import Picks
from pe_search.cli.output.reveal import reveal
from pe_search.cli.output.taught import how_it_stands
from pe_search.descriptions import Turn
from pe_search.directories import absolute, state_directory
from pe_search.errors import PeSearchError, quoted
from pe_search.known.words import check_said
from pe_search.libraries import Libraries
from pe_search.listener import check_words
from pe_search.queries import Hit, Query, Reference, Request, SpanRules, is_word

if TYPE_CHECKING:
    from pe_search.library import Library

_PROMPT = "> "
_HELP = """\
TEXT         find what sounds like it; in quotes also a word such as "help"
:more        show the next hits of the last answer
:play N      play hit N
:spans N     show when in hit N the sound is heard
:ask N TEXT  ask a language model about hit N; :ask TEXT asks on
:like N      find what sounds like hit N
:copy N DIR  copy the file of hit N to DIR; without DIR, to the last one
:reveal N    show the file of hit N in the file manager
:word @W     teach the word @W, which starts from the last TEXT; then judge hits
:yes N       hit N is what the word means; :no N and :unsure N likewise
:words W     find clips by words in names, tags and so on, and rank each TEXT
             by sound and by these words; without W, by sound alone again
:said W      find where words are said, and rank each TEXT by sound and by these
             words; without W, by sound alone again
:under PATH  search only clips in PATH; without PATH, all
:filter ...  search only clips that pass, as --length 0-2; alone, all
:k N         show N hits for each query, or all
:help        show this
:q           end; quit, exit and Ctrl-D do the same
Arrow keys go through earlier lines. Ctrl-C clears the line or stops a command."""
_WITHOUT_COLON = {"q": ":q", "quit": ":q", "exit": ":q", "help": ":help", "?": ":help"}
_ENDS = (":q", ":quit", ":exit")


class Conversation:
    """Takes lines from the terminal, and does what each of them says.

    Args:
        library: What is asked; each answer is of the last commit of its store.
        request: What is asked for beside what is typed, with one query.
        show: Prints the hits of a request from some position on, having called what it is given with all of them.
        rules_at: How spans are made of what is heard at a speed.
        copy_to: Where `:copy` puts files if it is given no folder.
        language_model: What `:ask` asks.
    """

    def __init__(
        self,
        library: Library,
        request: Request,
        show: Callable[[Request, Callable[[Sequence[Hit]], None], int], object],
        rules_at: Callable[[float], SpanRules],
        copy_to: str | None,
        language_model: str | None = None,
    ) -> None:
        self._library = library
        self._request = request
        self._show = show
        self._rules_at = rules_at
        self._copy_to = copy_to
        self._language_model = language_model
        self._asked_about: Hit | None = None
        self._turns: tuple[Turn, ...] = ()
        self._word: str | None = None
        self._asked: Request | None = None
        self._hits: Sequence[Hit] = ()
        self._commands: dict[str, Callable[[str], None]] = {
            ":more": self._show_more,
            ":play": self._play,
            ":spans": self._show_spans,
            ":ask": self._ask_about,
            ":like": self._ask_like,
            ":copy": self._copy,
            ":reveal": self._reveal,
            ":word": self._set_word,
            ":yes": partial(self._judge, "yes"),
            ":no": partial(self._judge, "no"),
            ":unsure": partial(self._judge, "unsure"),
            ":words": partial(self._ask_words, "words"),
            ":said": partial(self._ask_words, "said"),
            ":under": self._search_under,
            ":filter": self._filter,
            ":k": self._set_count,
            ":help": lambda _rest: typer.echo(_HELP),
        }

    def hold(self) -> None:
        """Go on until the user has had enough. No error ends it: each is a line on stderr."""
        history = History(state_directory() / "history")
        say("Type what you are looking for. :help lists the commands, :q ends this.")
        while (line := _read_line()) is not None:
            typed = _WITHOUT_COLON.get(line.casefold(), line)
            if typed.casefold() in _ENDS:
                break
            if not line:
                continue
            history.add(line)
            try:
                if not self._library.is_current():
                    self._library.close()
                self._do(typed)
            except KeyboardInterrupt:
                say("")
            except typer.BadParameter as error:
                say(f"pe-search: {usage_error_line(error)}")
            except (PeSearchError, OSError) as error:
                say_error(error)

    def _do(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name in self._commands:
            self._commands[name](rest.strip())
        elif line.startswith(":"):
            raise PeSearchError(f"There is no command {quoted(name)}. :help lists the commands.")
        else:
            text = " ".join(_unquoted(line).split())
            self._ask(replace(self._template, texts=(*checked_texts([text], "TEXT"),)))

    @property
    def _template(self) -> Query:
        return self._request.queries[0]

    def _ask(self, query: Query) -> None:
        # --fdr can't judge what a sound is like.
        fdr = None if query.references else self._request.fdr
        self._ask_for(replace(self._request, queries=(query,), fdr=fdr))

    def _ask_for(self, request: Request) -> None:
        self._asked, self._hits = request, ()
        self._show(self._asked, self._keep, 0)
        if not self._hits:
            say_nothing_found(self._library, self._asked)

    def _keep(self, hits: Sequence[Hit]) -> None:
        self._hits = hits

    def _show_more(self, rest: str) -> None:
        if rest:
            raise PeSearchError(":more takes no argument. :k sets how many hits it shows.")
        if self._asked is None or not self._hits:
            raise PeSearchError("There are no hits. Search for something first.")
        shown = len(self._hits)
        if self._asked.k is not None and shown >= self._asked.k:
            k = None if self._request.k is None else shown + self._request.k
            self._asked = replace(self._asked, k=k)
            self._show(self._asked, self._keep, shown)
        if len(self._hits) == shown:
            say("There are no more hits.")

    def _hit(self, name: str, number: str) -> Hit:
        if not number.isdecimal():
            raise PeSearchError(f"{name} takes the number of a hit, as in `{name} 1`.")
        if not self._hits:
            raise PeSearchError("There are no hits. Search for something first.")
        numbered = {str(position): hit for position, hit in enumerate(self._hits, start=1)}
        if number not in numbered:
            raise PeSearchError(f"There is no hit {number}: the last answer has {counted(len(self._hits), 'hit')}.")
        return numbered[number]

    def _play(self, rest: str) -> None:
        self._pick(self._hit(":play", rest), None, is_to_play=True)

    def _copy(self, rest: str) -> None:
        number, _, folder = rest.partition(" ")
        hit = self._hit(":copy", number)
        folder = _unquoted(folder.strip()) or self._copy_to or ""
        if not folder:
            raise PeSearchError(f"Give a folder, as in `:copy {number} picks`.")
        self._pick(hit, folder, is_to_play=False)
        self._copy_to = folder

    def _pick(self, hit: Hit, copy_to: str | None, *, is_to_play: bool) -> None:
        picks = Picks(self._library, copy_to, None, is_to_play=is_to_play)
        picks.take_hits([hit], self._library.check_unchanged)
        picks.finish()

    def _reveal(self, rest: str) -> None:
        reveal(self._hit(":reveal", rest).path)

    def _ask_about(self, rest: str) -> None:
        number, _, question = rest.partition(" ")
        hit = self._asked_about
        if number.isdecimal():
            hit = self._hit(":ask", number)
        else:
            question = rest
        question = _unquoted(question.strip())
        if hit is None or not question:
            raise PeSearchError(":ask takes the number of a hit and a question, as in `:ask 1 Which bird is this?`.")
        (question,) = checked_texts([question], ":ask")
        turns = self._turns if hit == self._asked_about else ()
        self._library.check_unchanged(hit.path)
        model = open_language_model(self._library, self._language_model)
        for description in self._library.ask(question, hit, language_model=model, turns=turns, on_problem=say_problem):
            write_description(description)
            self._asked_about, self._turns = hit, (*turns, Turn(question, description.answer))

    def _ask_like(self, rest: str) -> None:
        hit = self._hit(":like", rest)
        # A hit by words alone is a whole clip.
        place = None if hit.score is None and hit.said is None else (hit.start_s, hit.end_s)
        self._ask(replace(self._template, like=(Reference(hit.path, place),)))

    def _ask_words(self, kind: str, rest: str) -> None:
        if not rest:
            self._request = replace(self._request, words="", said="")
            say("Each TEXT is ranked by sound alone.")
            return
        if kind == "said":
            request = replace(self._request, words="", said=rest)
            check_said(rest, request, ":said")
        else:
            check_words(rest, ":words", beside_sound=True)
            request = replace(self._request, words=rest, said="")
        self._request = request
        alone = replace(self._request, queries=(Query(),), min_probability=0.0, fdr=None, all_windows=False)
        if self._library.word_counts(alone):
            self._ask_for(alone)
        say(f"Each TEXT is ranked by sound and by these words; :{kind} alone ends that.")

    def _set_word(self, rest: str) -> None:
        if not (is_word(rest) or (not rest and self._word)):
            raise PeSearchError(":word takes a word, as in `:word @mybird`: @, letters, digits, _, - and dots.")
        if isinstance(self._library, Libraries):
            raise PeSearchError("A word is taught to one store, and several are searched here.")
        word = self._word = rest or self._word
        assert word is not None
        stands = next((one for one in self._library.words() if one.word == word), None)
        text = self._text_asked()
        if rest and text and (stands is None or not stands.text):
            stands = self._library.learn(word, text=text)
        say(f"{word} is new; :yes N and :no N teach it." if stands is None else how_it_stands(stands))

    def _text_asked(self) -> str | None:
        """The text of the last query, if it had one."""
        texts = () if self._asked is None else self._asked.queries[0].texts
        return texts[0] if len(texts) == 1 and not is_word(texts[0]) else None

    def _judge(self, verdict: str, rest: str) -> None:
        hits = [self._hit(f":{verdict}", number) for number in rest.split() or [""]]
        if self._word is None:
            raise PeSearchError("Say for which word first, as in `:word @mybird`.")
        # A hit of words alone is a clip, and no window.
        are_clips = [hit.score is None and hit.said is None for hit in hits]
        places = [
            Reference(hit.path, None if is_clip else (hit.start_s, hit.end_s))
            for hit, is_clip in zip(hits, are_clips, strict=True)
        ]
        given = {verdict: places}
        say(how_it_stands(self._library.learn(self._word, text=None, **given)))

    def _search_under(self, rest: str) -> None:
        under = absolute(_unquoted(rest)) if rest else None
        if under is not None and next(iter(self._library.clips(under)), None) is None:
            raise PeSearchError(f"The store has no clips in {shown_path(under)}.")
        self._search_in(replace(self._request, under=under))

    def _filter(self, rest: str) -> None:
        self._search_in(replace(self._request, filters=read_options(rest)))

    def _search_in(self, request: Request) -> None:
        """Search only what a request says from now on, unless that is nothing."""
        where = "" if request.under is None else f" in {shown_path(request.under)}"
        effect = self._library.filter_effect(request.under, request.filters)
        if request.filters and not effect.passing:
            why = why_none_passes(effect, request.filters)
            raise PeSearchError(f"{why[0].upper()}{why[1:]}.")
        self._request = request
        passing = f" passing {options_of(request.filters)}" if request.filters else ""
        say(f"Searching {counted(effect.passing, 'clip')}{where}{passing}.")

    def _set_count(self, rest: str) -> None:
        if rest == "all":
            self._request = replace(self._request, k=None)
        elif rest.isdecimal() and int(rest):
            self._request = replace(self._request, k=int(rest))
        else:
            raise PeSearchError(":k takes a number of hits, as in `:k 20`, or `all`.")

    def _show_spans(self, rest: str) -> None:
        hit = self._hit(":spans", rest)
        assert self._asked is not None
        query = self._asked.queries[0]
        if not query.texts:
            was = "audio" if query.has_sound else "words"
            raise PeSearchError(f"Spans need a text, and the last query was {was}. Search for a text first.")
        picks = Picks(self._library, None, None, is_to_play=False)
        rules = self._rules_at(self._library.hearing.speed)
        write_hits_with_spans(self._library, [[hit]], [query], rules, HitFormat.TABLE, picks)


def _unquoted(typed: str) -> str:
    """What is typed, without quotes around all of it."""
    inner = typed[1:-1]
    return inner if len(typed) > 1 and typed[0] == typed[-1] and typed[0] in "\"'" and typed[0] not in inner else typed


def _read_line() -> str | None:
    """What is typed next, in one line; empty if it was given up, None if there is no more."""
    try:
        return input(_PROMPT).strip()
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

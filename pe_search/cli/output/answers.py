"""The answers of a query: printed, with their spans or an account of the search, and taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.cli.output.hints import say_cut_off, say_nothing_found, say_odd_texts
from pe_search.cli.output.hit_answers import HitQuestions, write_hits_with_answers
from pe_search.cli.output.hit_spans import write_hits_with_spans
from pe_search.cli.output.hits import HitFormat, HitWriter, more_fields
from pe_search.cli.output.messages import counted, say, say_problem
from pe_search.cli.output.picks import Picks
from pe_search.cli.output.raven import RavenFiles
from pe_search.cli.output.timelines import TIMELINE_FORMATS, TimelineWriter
from pe_search.directories import command_for
from pe_search.libraries import Libraries
from pe_search.queries import Answer, Hit, Request, SpanRules

if TYPE_CHECKING:
    from pe_search.known.fields import Field
    from pe_search.library import Library
    from pe_search.tasks.describing import Describer

OnHits = Callable[[Sequence[Hit]], None]


def _ignore(_hits: Sequence[Hit]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class AnswerPrinter:
    """Asks a library, and prints what it answers.

    Attributes:
        library: What is asked, by way of its server if one runs.
        hit_format: How hits are printed.
        fields: What is shown of each hit; None for what is usual.
        null: Whether paths end with a NUL byte.
        spans: Whether to show when within each hit the sound is heard.
        rules_at: How spans are made of what is heard at a speed.
        copy_to: As in `Picks`.
        cut_to: As in `Picks`.
        is_to_play: As in `Picks`.
        is_to_explain: Whether to say how the answers came about.
        is_to_hint: Whether to say how many more hits there are, or why there is none.
        raven: As in `TimelineWriter`.
        question: What a language model is asked about each hit; None for nothing.
        language_model: The name of that language model.
    """

    library: Library
    hit_format: HitFormat
    fields: tuple[Field, ...] | None
    null: bool
    spans: bool
    rules_at: Callable[[float], SpanRules]
    copy_to: str | None
    cut_to: str | None
    is_to_play: bool
    is_to_explain: bool
    is_to_hint: bool
    raven: RavenFiles | None
    question: str | None = None
    language_model: str | None = None

    def picks(self) -> Picks:
        """What takes the hits, new for each request."""
        return Picks(self.library, self.copy_to, self.cut_to, is_to_play=self.is_to_play)

    def show(self, request: Request, on_hits: OnHits = _ignore, skip: int = 0) -> int:
        """Print the answers of a request.

        Args:
            request: What is asked.
            on_hits: Called with the hits of each query, before they are printed.
            skip: How many hits of each query are neither printed nor taken, the best ones.

        Returns:
            The exit status: 0 if there is a hit, 1 if there is none, 2 if a clip of a hit could not be read.
        """
        answers: list[list[Answer]] = [[] for _ in self._stores]
        shown: list[int] = []

        def note(hits: Sequence[Hit]) -> None:
            shown.append(len(hits))
            on_hits(hits)

        questions = self._questions()
        found = (hits[skip:] for hits in self._found(request, answers, note))
        if not skip:
            say_odd_texts(self.library, list(dict.fromkeys(_texts_of(request))), "--minus")
        picks = self.picks()
        gone: set[Path] = set()
        describer = None if self.fields is None else self.library.describer(self.fields)
        more = more_fields(request)
        if questions is not None:
            status = write_hits_with_answers(
                questions, found, request.queries, self.hit_format, picks, describer=describer, more=more
            )
        # With `:like`, a conversation has a query in which there is nothing to listen for.
        elif self.spans and all(query.texts or query.plus for query in request.queries):
            rules = self.rules_at(self.library.hearing.speed)
            status = write_hits_with_spans(
                self.library,
                found,
                request.queries,
                rules,
                self.hit_format,
                picks,
                describer=describer,
                more=more,
                raven=self.raven,
            )
        else:
            with self._hit_writer(describer, more) as writer:
                for hits in found:
                    picks.take_hits(hits, self.library.check_unchanged)
                    if isinstance(writer, TimelineWriter):
                        writer.write_hits(hits)
                    else:
                        writer.write(hits)
                    # A table marks them.
                    if self.hit_format is not HitFormat.TABLE:
                        gone |= {hit.path for hit in hits if hit.is_gone()}
            status = int(writer.count == 0)
        gone -= {problem.path for problem in picks.problems}
        if gone:
            are = f"{counted(len(gone), 'clip')} of the hits {'is' if len(gone) == 1 else 'are'} gone from the disk"
            say(f"pe-search: {are}; {command_for('index', self.library.directory)} removes what is gone")
        if self.is_to_explain:
            from pe_search.cli.output.explain import explain

            for one, its_answers in zip(self._stores, answers, strict=True):
                if len(self._stores) > 1:
                    say(f"store: {one.directory}")
                explain(one, request, its_answers)
        if self.is_to_hint and status == 1 and any(shown):
            say("pe-search: no span reaches the --threshold in any of the hits.")
        elif self.is_to_hint and any(shown):
            say_cut_off(self.library, request, shown)
        elif self.is_to_hint:
            say_nothing_found(self.library, request)
        picks.finish()
        return 2 if picks.problems else status

    def _hit_writer(self, describer: Describer | None, more: Sequence[str]) -> HitWriter | TimelineWriter:
        if self.hit_format in TIMELINE_FORMATS:
            return TimelineWriter(self.hit_format, self.raven)
        return HitWriter(self.hit_format, null=self.null, describer=describer, more=more)

    def _questions(self) -> HitQuestions | None:
        """What asks a language model about hits, if it is asked anything."""
        if self.question is None:
            return None
        rules = self.rules_at(self.library.hearing.speed) if self.spans else None
        return HitQuestions(self.library, self.question, self.language_model, rules)

    @property
    def _stores(self) -> Sequence[Library]:
        """A library for each store."""
        return self.library.stores if isinstance(self.library, Libraries) else (self.library,)

    def _found(self, request: Request, answers: Sequence[list[Answer]], on_hits: OnHits) -> Iterator[Sequence[Hit]]:
        """The hits of each query in turn; the stores are opened now. What is to be explained is kept in `answers`."""
        if self.is_to_explain:
            # A server tells hits alone.
            self.library.open()
            several = self.library if isinstance(self.library, Libraries) else None
            part = several.part_of(request) if several else request
            here = [_hits_of(one.answers(part), kept) for one, kept in zip(self._stores, answers, strict=True)]
            merged = several.merged(here, request) if several else here[0]
            return (_noted(hits, on_hits) for hits in merged)

        from pe_search.serving.asking import ask_or_search

        asked = ask_or_search(self.library, request, say_problem)
        return (_noted(hits, on_hits) for hits in asked)


def _texts_of(request: Request) -> Iterator[str]:
    for query in request.queries:
        yield from query.texts
        yield from (term.text for term in (*query.plus, *query.minus))


def _hits_of(answers: Iterable[Answer], kept: list[Answer]) -> Iterator[Sequence[Hit]]:
    for answer in answers:
        kept.append(answer)
        yield answer.hits


def _noted(hits: Sequence[Hit], on_hits: OnHits) -> Sequence[Hit]:
    on_hits(hits)
    return hits

"""`pe-search query --ask`: what a language model says of the window of each hit, or of its spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pe_search.cli.input.language import open_language_model
from pe_search.cli.output.descriptions import answer_text
from pe_search.cli.output.hit_parts import HitParts, HitPartsWriter
from pe_search.cli.output.hits import HitFormat, style_of, times
from pe_search.cli.output.messages import Problems
from pe_search.cli.output.progress import ProgressBar
from pe_search.errors import AudioError
from pe_search.known import fields
from pe_search.parquet import Column
from pe_search.queries import Hit, Query, Reference, SpanRules
from pe_search.records import Problem

if TYPE_CHECKING:
    from rich.text import Text

    from pe_search.cli.output.picks import Picks
    from pe_search.cli.output.tables import PathTable
    from pe_search.descriptions import Description
    from pe_search.language.conversations import LanguageModel
    from pe_search.library import Library
    from pe_search.tasks.describing import Describer

_COLUMNS = {
    "start_s": Column("answer_start_s", fields.Kind.NUMBER),
    "end_s": Column("answer_end_s", fields.Kind.NUMBER),
    "answer": Column("answer", fields.Kind.TEXT),
    "score": Column("answer_score", fields.Kind.NUMBER),
    "probability": Column("answer_probability", fields.Kind.NUMBER),
}


class HitQuestions:
    """Asks a language model one question about hits.

    Args:
        library: What was searched.
        question: What is asked about each hit.
        language_model: The name of the language model, which is opened now.
        rules: How spans are made, if these are asked about in place of windows.

    Attributes:
        library: As given.
        problems: Clips of hits that could not be asked about.

    Raises:
        LanguageModelError: If there is no language model, or it can't be opened.
    """

    def __init__(
        self, library: Library, question: str, language_model: str | None, rules: SpanRules | None = None
    ) -> None:
        self.library = library
        self._question = question
        self._rules = rules
        self._model: LanguageModel = open_language_model(library, language_model)
        if rules is not None:
            # Now, so that its lack is told before anything is searched.
            _ = library.model.frame_checkpoint
        self.problems = Problems()

    def answers(self, hits: Sequence[Hit], queries: Sequence[Query]) -> list[list[Description]]:
        """What is said of each hit: of its window, or of each of its spans."""
        report = self.problems.report
        unchanged = [hit for hit in hits if self._is_unchanged(hit)]
        places: dict[Hit, list[Reference]] = {hit: [_whole(hit)] for hit in unchanged}
        if self._rules is not None and unchanged:
            traces = self.library.locator(queries, self._rules).in_hits(unchanged, self.library.clip, report)
            for hit, trace in zip(unchanged, traces, strict=True):
                spans = () if trace is None else trace.spans
                places[hit] = [Reference(hit.path, (span.start_s, span.end_s)) for span in spans]
        wanted = list(dict.fromkeys(place for some in places.values() for place in some))
        said = {}
        with ProgressBar("asking") as bar:
            answers = self.library.ask(self._question, wanted, language_model=self._model, on_problem=report)
            for number, one in enumerate(answers, start=1):
                said[Reference(one.path, (one.start_s, one.end_s))] = said[Reference(one.path)] = one
                bar.show_share(number / len(wanted))
            bar.hide()
        return [[said[place] for place in places.get(hit, ()) if place in said] for hit in hits]

    def _is_unchanged(self, hit: Hit) -> bool:
        try:
            self.library.check_unchanged(hit.path)
        except AudioError as error:
            self.problems.report(Problem(error.path, error.reason))
            return False
        return True


def _whole(hit: Hit) -> Reference:
    """The window of a hit; of a hit of words alone, its clip."""
    return Reference(hit.path, None if hit.score is None else (hit.start_s, hit.end_s))


def write_hits_with_answers(
    questions: HitQuestions,
    answers: Iterable[Sequence[Hit]],
    queries: Sequence[Query],
    hit_format: HitFormat,
    picks: Picks,
    *,
    describer: Describer | None = None,
    more: Sequence[str] = (),
) -> int:
    """Print the hits of each query with what a language model says of them.

    Args:
        questions: Asks.
        answers: The hits of each query.
        queries: The queries.
        hit_format: How they are printed.
        picks: Takes the windows of the hits.
        describer: As in `HitPartsWriter`.
        more: Likewise.

    Returns:
        The exit status: 0; 1 if there is no hit; 2 if a hit could not be asked about.
    """
    with HitPartsWriter(_ANSWERS, hit_format, describer, more=more) as writer:
        for hits in answers:
            said = questions.answers(hits, queries) if hits else []
            picks.take_hits(hits, questions.library.check_unchanged)
            writer.write(list(zip(hits, said, strict=True)))
    return 2 if questions.problems else int(writer.count == 0)


def _add_answers(table: PathTable, hit: Hit, said: Sequence[Description]) -> None:
    for one in said:
        table.add_strip(_as_text(hit, one))


def _as_text(hit: Hit, description: Description) -> Text:
    """An answer with its probability, and with its times if they are not those of the hit."""
    from rich.text import Text

    is_of_all = (description.start_s, description.end_s) == (hit.start_s, hit.end_s)
    place = "" if is_of_all else f"{times(description.start_s, description.end_s)}  "
    chance = f"{description.probability:.2f}"
    text = Text(f"{chance}  {place}{answer_text(description.answer)}", style=style_of(description.probability) or "")
    text.stylize("green", 0, len(chance))
    return text


def _values(said: Sequence[Description]) -> list[list[object]]:
    rows = (one.to_dict() for one in said)
    return [[row[name] for name in _COLUMNS] for row in rows]


_ANSWERS: HitParts[Sequence[Description]] = HitParts("answers", _COLUMNS, _values, _add_answers)

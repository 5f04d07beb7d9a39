"""A listener that can ask a language model about sounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from pe_search.descriptions import DESCRIBE, Description, Turn
from pe_search.directories import absolute
from pe_search.errors import QueryError
from pe_search.listener import (
    Listener,
    ListenerOptions,
    OnProblem,
    OnProgress,
    PathLike,
    Paths,
    References,
    ignore,
    nothing_around,
    several,
)
from pe_search.queries import Hit, Reference

if TYPE_CHECKING:
    from pathlib import Path as _Path

    from pe_search.audio.find import Found
    from pe_search.language.conversations import LanguageModel
    from pe_search.model import Wanted

Places: TypeAlias = "References | Hit | Iterable[PathLike | Reference | Hit]"


class Asker(Listener):
    """A listener that can ask a language model about sounds. A `Library` is one, with a store.

    Arguments that several methods have: `language_model` is the URL of an OpenAI-compatible server, as
    `http://localhost:8080/v1`, a Hugging Face id, or a directory; or what `open_language_model` returned. One that is
    named is opened once and kept. Every answer is scored by the checkpoint against the part that it is about.

    Every method raises `LanguageModelError` if the language model can't be found, loaded or reached, or can't hear.
    """

    def __init__(
        self, wanted: Wanted | None = None, *, directory: _Path | None = None, **options: Unpack[ListenerOptions]
    ) -> None:
        super().__init__(wanted, directory=directory, **options)
        self._runs_on = (
            options.get("device", "auto"),
            options.get("dtype", "auto"),
            options.get("loading", nothing_around),
        )
        self._language_models: dict[str, LanguageModel] = {}

    def open_language_model(self, name: str) -> LanguageModel:
        """Open a language model, unless it is open."""
        if name not in self._language_models:
            from pe_search.language.opening import open_language_model

            # The other goes first, since each may take gigabytes.
            self._language_models.clear()
            self._language_models[name] = open_language_model(name, *self._runs_on)
        return self._language_models[name]

    def ask(
        self,
        question: str,
        places: Places,
        *,
        language_model: str | LanguageModel,
        turns: Iterable[Turn] = (),
        keep: bool = True,
        on_problem: OnProblem | None = None,
    ) -> Iterator[Description]:
        """Ask a question about files, parts of files, or hits, of 30 s at most each. Yields the answers in order.

        Args:
            question: In words.
            places: What it is about.
            language_model: See above.
            turns: What was asked and answered before about the only place.
            keep: Whether the store keeps the answers. Those that it has are used in any case.
            on_problem: As in `label`; also called with each part that gets no answer.

        Raises:
            QueryError: If the question is empty, too long or no Unicode, a place in a file is none, or there are turns
                and several places.
        """
        from pe_search.search.asking import check_places
        from pe_search.tasks.questioning import parts_of

        references, before = [_reference(one) for one in several(places)], tuple(turns)
        check_places(references)
        if before and len(references) != 1:
            raise QueryError("A conversation is about one sound.")
        report = on_problem or self._on_problem
        parts = parts_of(references, self.hearing, report)
        return self._described(parts, question, language_model, before, report, keep=keep)

    def caption(
        self,
        paths: Paths | Found,
        *,
        language_model: str | LanguageModel,
        question: str = DESCRIBE,
        on_progress: OnProgress = ignore,
        on_problem: OnProblem | None = None,
    ) -> Iterator[Description]:
        """Have every window of clips described in a sentence. Yields the captions in order.

        Args:
            paths: As in `label`.
            language_model: See above.
            question: What is asked of each window.
            on_progress: As in `label`.
            on_problem: As in `ask`.

        Raises:
            QueryError: If the question is empty, too long or no Unicode.
        """
        from pe_search.tasks.questioning import windows_of

        report = on_problem or self._on_problem
        clips = self._clips(paths, on_problem)
        manifest = self.model.manifest()
        parts = windows_of(clips, manifest.window_s, manifest.hop_s, self.hearing, on_progress, report)
        return self._described(parts, question, language_model, (), report)

    def _described(
        self,
        parts: Iterator[Any],
        question: str,
        language_model: str | LanguageModel,
        turns: tuple[Turn, ...],
        report: OnProblem,
        *,
        keep: bool = True,
    ) -> Iterator[Description]:
        from pe_search.known.words import check_text
        from pe_search.language.conversations import LONGEST_QUESTION
        from pe_search.tasks.questioning import Questioner

        check_text(question, "The question")
        if len(question) > LONGEST_QUESTION:
            raise QueryError(f"The question has {len(question):,} characters; ask one of at most {LONGEST_QUESTION:,}.")
        model = self.open_language_model(language_model) if isinstance(language_model, str) else language_model
        return Questioner(self.model, self._held(), model, question, turns, report, keep=keep).describe(parts)


def is_server(language_model: str) -> bool:
    """Whether the name of a language model is the URL of a server."""
    from pe_search.language.server import is_url

    return is_url(language_model)


def _reference(place: PathLike | Reference | Hit) -> Reference:
    if isinstance(place, Hit):
        # A hit of words alone is a whole clip.
        return Reference(place.path, None if place.score is None else (place.start_s, place.end_s))
    if isinstance(place, Reference):
        return Reference(absolute(place.path), place.place)
    return Reference(absolute(place))

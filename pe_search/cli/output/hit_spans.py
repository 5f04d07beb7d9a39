"""`pe-search query --spans`: when within each hit the sound is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from pe_search.cli.output.messages import say_problem
from pe_search.cli.output.timelines import TIMELINE_FORMATS, write_timelines
from pe_search.cli.output.traces import write_hits_with_traces
from pe_search.records import Hit, Problem, Query, SpanRules, Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pe_search.cli.asked_store import AskedStore
    from pe_search.cli.output.hits import HitFormat
    from pe_search.cli.output.picks import Picks
    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.pe_audio.embedder import Embedder
    from pe_search.spans.locating import Locator


class HitListener:
    """Listens to the windows of hits. The frame-level head is loaded for the first hit, once.

    Args:
        asked: The store of the hits.
        rules_at: How spans are made of what is heard at a speed.
        frame_model: The checkpoint of the frame-level head; None for the store's, or its counterpart.
        loading: Makes what the head is loaded in.
    """

    def __init__(
        self,
        asked: AskedStore,
        rules_at: Callable[[float], SpanRules],
        frame_model: str | None,
        loading: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._asked = asked
        self._rules_at = rules_at
        self._frame_model = frame_model
        self._loading = loading
        self._embedder: Embedder | None = None

    def write(
        self, answers: Iterable[Sequence[Hit]], queries: Sequence[Query], hit_format: HitFormat, picks: Picks
    ) -> int:
        """Print the hits of each query with their spans, and have these picked.

        What is listened for is the texts of a query, and nothing that it is `like`: frames and windows have no
        embeddings in common.

        Returns:
            The exit status: 0; 1 if there is no hit, or no span where only these are shown; 2 if a clip of a hit could
            not be listened to.

        Raises:
            CheckpointError: If there is no such frame-level head, or it can't be loaded.
        """
        # Now, so that its lack is told before anything is searched.
        checkpoint = self._checkpoint
        problems: list[Problem] = []

        def leave_out(problem: Problem) -> None:
            # A clip may be a hit of several queries.
            if problem not in problems:
                problems.append(problem)
                say_problem(problem)

        def listen() -> Iterator[list[tuple[Hit, Trace | None]]]:
            locator = None
            for hits in answers:
                if hits and locator is None:
                    locator = self._locator(checkpoint, queries)
                traces = locator.in_hits(hits, self._asked.clip, leave_out) if locator else []
                picks.of_traces(traces, are_hits=True)
                yield list(zip(hits, traces, strict=True))

        if hit_format in TIMELINE_FORMATS:
            count = write_timelines(([trace for _, trace in hits] for hits in listen()), hit_format)
        else:
            count = write_hits_with_traces(listen(), hit_format)
        return 2 if problems else int(count == 0)

    def _locator(self, checkpoint: Checkpoint, queries: Sequence[Query]) -> Locator:
        of_texts = {query.name: replace(query, like=()) for query in queries}
        with self._loading():
            from pe_search.pe_audio.embedder import Embedder
            from pe_search.search.composing import compose_texts
            from pe_search.spans.locating import Locator, Question

            if self._embedder is None:
                self._embedder = Embedder(checkpoint)
        embedder = self._embedder

        def embed_names(names: Sequence[str]) -> NDArray[np.float32]:
            return compose_texts([of_texts[name] for name in names], embedder)

        hearing = self._asked.hearing()
        return Locator(embedder, Question(list(of_texts), self._rules_at(hearing.speed)), embed_names, hearing)

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        from pe_search.pe_audio.checkpoint import find_checkpoint, find_same_checkpoint, frame_model_of

        manifest = self._asked.opened.manifest
        name = frame_model_of(manifest.model if self._frame_model is None else self._frame_model)
        if name == manifest.model:
            return find_same_checkpoint(name, manifest.revision)
        return find_checkpoint(name)

"""`pe-search query --spans`: when within each hit the sound is heard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pe_search.cli.messages import say_problem
from pe_search.cli.timelines import TIMELINE_FORMATS, write_timelines
from pe_search.cli.traces import write_hits_with_traces
from pe_search.records import Hit, Problem, Query, SpanRules, Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pe_search.cli.picks import Picks
    from pe_search.cli.render import HitFormat
    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.store import Manifest, Store


def write_with_spans(
    answers: Iterable[Sequence[Hit]],
    queries: Sequence[Query],
    store: Store,
    rules: SpanRules,
    frame_model: str | None,
    hit_format: HitFormat,
    picks: Picks,
) -> int:
    """Print the hits of each query with their spans, and have these picked.

    The frame-level head is loaded for the first hit, if there is one. It listens for the texts of a query, and for
    nothing that the query is `like`: frames and windows have no embeddings in common.

    Returns:
        The exit status: 0; 1 if there is no hit, or no span where only these are shown; 2 if a clip of a hit could not
        be listened to.
    """
    from pe_search.composing import compose_texts
    from pe_search.locating import Locator, Question
    from pe_search.pe_audio.embedder import Embedder

    checkpoint = _frame_checkpoint(store.manifest, frame_model)
    of_texts = {query.name: replace(query, like=()) for query in queries}
    problems: list[Problem] = []

    def leave_out(problem: Problem) -> None:
        problems.append(problem)
        say_problem(problem)

    def make_locator() -> Locator:
        embedder = Embedder(checkpoint)

        def embed_names(names: Sequence[str]) -> NDArray[np.float32]:
            return compose_texts([of_texts[name] for name in names], embedder)

        return Locator(embedder, Question(list(of_texts), rules), embed_names)

    def listen() -> Iterator[list[tuple[Hit, Trace | None]]]:
        locator = None
        for hits in answers:
            if hits and locator is None:
                locator = make_locator()
            traces = locator.in_hits(hits, store.clip, leave_out) if locator else []
            picks.of_traces(traces)
            yield list(zip(hits, traces, strict=True))

    if hit_format in TIMELINE_FORMATS:
        count = write_timelines(([trace for _, trace in hits] for hits in listen()), hit_format)
    else:
        count = write_hits_with_traces(listen(), hit_format)
    return 2 if problems else int(count == 0)


def _frame_checkpoint(manifest: Manifest, frame_model: str | None) -> Checkpoint:
    from pe_search.pe_audio.checkpoint import find_checkpoint, find_same_checkpoint, frame_model_of

    name = frame_model_of(manifest.model if frame_model is None else frame_model)
    if name == manifest.model:
        return find_same_checkpoint(name, manifest.revision)
    return find_checkpoint(name)

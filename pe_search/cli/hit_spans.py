"""`pe-search query --spans`: when within each hit the sound is heard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pe_search.cli.messages import say_problem
from pe_search.cli.timelines import TIMELINE_FORMATS, write_timelines
from pe_search.cli.traces import write_hits_with_traces
from pe_search.records import Hit, Problem, SpanRules, Trace

if TYPE_CHECKING:
    from pe_search.cli.picks import Picks
    from pe_search.cli.render import HitFormat
    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.store import Manifest, Store


def write_with_spans(
    answers: Iterable[Sequence[Hit]],
    texts: Sequence[str],
    store: Store,
    rules: SpanRules,
    frame_model: str | None,
    hit_format: HitFormat,
    picks: Picks,
) -> int:
    """Print the hits of each query with their spans, and have these picked.

    The frame-level head is loaded for the first hit, if there is one.

    Returns:
        The exit status: 0; 1 if there is no hit, or no span where only these are shown; 2 if a clip of a hit could not
        be listened to.
    """
    from pe_search.locating import Locator, Question
    from pe_search.pe_audio.embedder import Embedder

    checkpoint = _frame_checkpoint(store.manifest, frame_model)
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
                locator = Locator(Embedder(checkpoint), Question(texts, rules))
            traces = locator.in_hits(hits, store.clip, leave_out) if locator else []
            picks.of_traces(traces, are_hits=True)
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

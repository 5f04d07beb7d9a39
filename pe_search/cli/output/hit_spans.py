"""`pe-search query --spans`: when within each hit the sound is heard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pe_search.cli.output.hit_parts import HitPartsWriter
from pe_search.cli.output.messages import Problems
from pe_search.cli.output.timelines import TIMELINE_FORMATS, TimelineWriter
from pe_search.cli.output.traces import SPANS
from pe_search.queries import Hit, Query, SpanRules, Trace

if TYPE_CHECKING:
    from pe_search.cli.output.hits import HitFormat
    from pe_search.cli.output.picks import Picks
    from pe_search.cli.output.raven import RavenFiles
    from pe_search.library import Library
    from pe_search.spans.locating import Locator
    from pe_search.tasks.describing import Describer


def write_hits_with_spans(
    library: Library,
    answers: Iterable[Sequence[Hit]],
    queries: Sequence[Query],
    rules: SpanRules,
    hit_format: HitFormat,
    picks: Picks,
    *,
    describer: Describer | None = None,
    more: Sequence[str] = (),
    raven: RavenFiles | None = None,
) -> int:
    """Print the hits of each query with their spans, and have these picked. The head is loaded for the first hit.

    Args:
        library: What was asked.
        answers: The hits of each query.
        queries: The queries.
        rules: How spans are made.
        hit_format: How they are printed.
        picks: Takes the spans.
        describer: What makes rows of hits, for other fields than the usual ones.
        more: As in `HitWriter`.
        raven: As in `TimelineWriter`.

    Returns:
        The exit status: 0; 1 if there is no hit, or no span where only these are shown; 2 if a clip of a hit could not
        be listened to.

    Raises:
        CheckpointError: If there is no frame-level head, or it can't be loaded.
    """
    # Now, so that its lack is told before anything is searched.
    _ = library.model.frame_checkpoint
    problems = Problems()
    locator: Locator | None = None
    is_timeline = hit_format in TIMELINE_FORMATS
    writer = (
        TimelineWriter(hit_format, raven) if is_timeline else HitPartsWriter(SPANS, hit_format, describer, more=more)
    )
    with writer:
        for hits in answers:
            if hits and locator is None:
                locator = library.locator(queries, rules)
            traces: list[Trace | None] = locator.in_hits(hits, library.clip, problems.report) if locator else []
            picks.take_traces(traces, are_hits=True)
            if isinstance(writer, TimelineWriter):
                writer.write(traces)
            else:
                writer.write(list(zip(hits, traces, strict=True)))
    return 2 if problems else int(writer.count == 0)

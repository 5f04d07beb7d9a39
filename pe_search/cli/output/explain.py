"""`pe-search query --explain`: how the answers came about, and what was not searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pe_search.cli.input.filters import options_by_field, options_of
from pe_search.cli.output.hints import what_is_unknown
from pe_search.cli.output.messages import counted, say
from pe_search.directories import command_for
from pe_search.queries import Answer, Request, SearchEffort
from pe_search.records import LeftOut

if TYPE_CHECKING:
    from pe_search.library import Library


def explain(library: Library, request: Request, answers: Sequence[Answer]) -> None:
    """Say on stderr how a request was answered.

    Args:
        library: What answered it.
        request: What was asked.
        answers: Of each query.
    """
    status = library.status()
    say(f"checkpoint: {status.model}, revision {status.revision}")
    embedding = answers[-1].embedding
    from_where = [f"{embedding.texts_remembered:,} remembered"] if embedding.texts_remembered else []
    if embedding.texts_embedded:
        from_where.append(f"{embedding.texts_embedded:,} embedded by {library.model.loaded.text_runtime}")
    if from_where:
        say(f"texts: {', '.join(from_where)}")
    if embedding.windows_embedded:
        runtime = library.model.loaded.audio_runtime
        say(f"audio: {counted(embedding.windows_embedded, 'window')} embedded on {runtime}")
    elif any(query.references for query in request.queries):
        say("audio: its embeddings are in the store")
    for answer in answers:
        say(f"{answer.query}: {_searched(answer.effort)}; {_shown(answer, request)}")
    if request.under is not None or request.filters:
        outside = library.window_count() - answers[-1].effort.windows
        why = [f"of clips outside --under {request.under}"] if request.under is not None else []
        why += [f"not passing {options_of(request.filters)}"] if request.filters else []
        say(f"not searched: {counted(outside, 'window')} {' or '.join(why)}")
    if request.filters:
        effect = library.filter_effect(request.under, request.filters)
        for field, option in options_by_field(request.filters).items():
            passing = f"{effect.alone[field]:,} of {counted(effect.clips, 'clip')} pass"
            say("; ".join([f"{option}: {passing}", *what_is_unknown({field: effect.unknown.get(field, 0)})]))
    left_out = sum(isinstance(problem, LeftOut) for problem in library.problems())
    if left_out:
        seen = command_for("status --problems", library.directory)
        say(f"not searched: {counted(left_out, 'clip')} that index left out; see {seen}")


def _searched(effort: SearchEffort) -> str:
    searched = f"{effort.windows_searched:,} of {counted(effort.windows, 'window')} searched"
    return f"{searched}, exactly" if effort.is_exact else f"{searched}, the most likely (--exact searches all)"


def _shown(answer: Answer, request: Request) -> str:
    steps = [f"the best {counted(answer.matches, 'window' if request.all_windows else 'clip')}"]
    if request.fdr is not None:
        steps.append(f"{answer.outstanding:,} of them stand out (--fdr {request.fdr:g})")
    if request.min_probability:
        steps.append(f"{len(answer.hits):,} probable enough (--min-probability {request.min_probability:g})")
    return ", ".join([*steps, f"{len(answer.hits):,} shown"])

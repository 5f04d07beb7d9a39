"""`pe-search query --explain`: how the answers came about, and what was not searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pe_search.cli.input.filters import options_by_field, options_of
from pe_search.cli.output.hints import what_is_unknown
from pe_search.cli.output.messages import counted, say
from pe_search.directories import command_for
from pe_search.efforts import SearchEffort
from pe_search.queries import Answer, Request
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
    has_sound = any(query.has_sound for query in request.queries)
    say(f"checkpoint: {status.model}, revision {status.revision}" if has_sound else "checkpoint: none for words alone")
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
        searched = f"{_searched(answer.effort)}; " if has_sound else ""
        say(f"{answer.query}: {searched}{_shown(answer, request, has_sound=has_sound)}")
    excludes = any(word.startswith("-") for word in request.words.split())
    if has_sound and (request.under is not None or request.filters or excludes):
        outside = library.window_count() - answers[-1].effort.windows
        why = [f"of clips outside --under {request.under}"] if request.under is not None else []
        why += [f"not passing {options_of(request.filters)}"] if request.filters else []
        why += ["with a word that --words excludes"] if excludes else []
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


def _shown(answer: Answer, request: Request, *, has_sound: bool) -> str:
    steps = []
    if has_sound:
        steps.append(f"the best {counted(answer.matches, 'window' if request.all_windows else 'clip')}")
    if request.fdr is not None:
        steps.append(f"{answer.outstanding:,} of them stand out (--fdr {request.fdr:g})")
    if request.min_probability:
        likely = len(answer.hits) if answer.heard is None else answer.heard
        steps.append(f"{likely:,} probable enough (--min-probability {request.min_probability:g})")
    if answer.named is not None:
        by = f"--said {request.said}" if request.said else f"--words {request.words}"
        steps.append(f"{counted(answer.named, 'clip')} by {by}")
    # Of one of several stores, the answer has more.
    shown = len(answer.hits) if request.k is None else min(len(answer.hits), request.k)
    return ", ".join([*steps, f"{shown:,} shown"])

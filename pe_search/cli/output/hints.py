"""What is said on a terminal beside what is found: how much more there is, or why there is nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pe_search.cli.input.filters import options_by_field, options_of
from pe_search.cli.output.messages import counted, say, shown_path
from pe_search.clock import clock
from pe_search.directories import command_for

if TYPE_CHECKING:
    from pathlib import Path

    from pe_search.library import Library
    from pe_search.listener import Listener
    from pe_search.queries import Filters, Request, SpanRules, Trace
    from pe_search.reports import FilterEffect

_NEGATION = re.compile(r"\b(not|no|without) (\S.*)", re.IGNORECASE)
# To count hits, every window may have to be scored and looked up, which takes long in a larger store.
_MOST_WINDOWS_COUNTED = 100_000
_UNKNOWN = {
    "length_s": "length",
    "sample_rate_hz": "sample rate",
    "channels": "number of channels",
    "loudness_lufs": "loudness",
    "bpm": "tempo",
    "recorded": "recording time",
    "hours": "recording time",
}
# What every file has, so that `index` reads it of those that an older pe-search put into the store.
_READ_BY_INDEX = ("sample_rate_hz", "channels")


def is_on_terminal() -> bool:
    """Whether a person reads both what is found and what is said about it."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def say_odd_texts(listener: Listener, texts: Sequence[str], instead: str | None) -> None:
    """Say which texts the model can't make sense of: words that it never met, and negations, which it doesn't see.

    Args:
        listener: What is asked.
        texts: What it is asked for.
        instead: The option for what should not be heard; None if there is none.
    """
    if untaught := listener.untaught(texts):
        named = ", ".join(f'"{text}"' for text in untaught)
        say(f"The built-in checkpoint was not taught any word of {named}; the scores mean nothing.")
    for text in texts if instead and sys.stderr.isatty() else ():
        if found := _NEGATION.search(text):
            say(f'"{text}": models do not understand "{found[1].lower()}"; use {instead} "{found[2]}".')


def say_cut_off(library: Library, request: Request, shown: Sequence[int]) -> None:
    """Say how many hits there are beside those that are shown, if there are any.

    Args:
        library: What was asked.
        request: What was asked of it.
        shown: How many hits each of its queries has.
    """
    if request.k is None or request.k not in shown:
        return
    if request.fdr is not None or library.window_count() > _MOST_WINDOWS_COUNTED:
        say(f"{max(shown):,} shown; -k N or -k all for more")
        return
    totals = library.hit_counts(request)
    if max(totals) > request.k:
        most = f"{max(totals):,}"
        say(f"{request.k:,} of {most} shown; -k {max(totals)} or -k all for more")


def say_nothing_found(library: Library, request: Request) -> None:
    """Say why no query of a request has a hit, with the best that there is."""
    clips = sum(1 for _ in library.clips(request.under))
    searched = counted(clips, "clip")
    if not clips and request.under is not None:
        said = f"the store has no clips in {shown_path(request.under)}"
        say(f"pe-search: {said}; {command_for('list', library.directory)} shows all.")
        return
    if not clips:
        say(f"pe-search: the store has no clips; add some with {command_for('index FOLDER', library.directory)}.")
        return
    if request.filters:
        effect = library.filter_effect(request.under, request.filters)
        if not effect.passing:
            say(f"pe-search: {why_none_passes(effect, request.filters)}.")
            return
        searched = f"{counted(effect.passing, 'clip')} passing {options_of(request.filters)}"
    if request.has_words:
        asked = f"--said {request.said}" if request.said else f"--words {request.words}"
        if request.said and not library.status().transcribed:
            searched += ", and none has a transcript"
        say(f"pe-search: {asked}: nothing found in {searched}{_each_word(library, request)}.")
    if not any(query.has_sound for query in request.queries):
        return
    anything = replace(request, k=1, min_probability=0.0, fdr=None)
    for query, answer in zip(request.queries, library.answers(anything), strict=True):
        for best in answer.hits:
            say(
                f"pe-search: {query.name}: nothing found in {searched}{_filters(request)}; the best has "
                f"probability {best.probability:.2f}: {shown_path(best.path)}"
            )


def _each_word(library: Library, request: Request) -> str:
    """What would be found by each of several words, or how more is found by one."""
    counts = library.word_counts(request)
    if len(counts) > 1:
        return "".join(f"; {word} alone: {count:,}" for word, count in counts.items())
    return "".join(f"; {word}* finds longer words too" for word in counts if not word.endswith(("*", '"')))


def why_none_passes(effect: FilterEffect, filters: Filters) -> str:
    """Which filters leave no clip, and of how many clips nothing is known that they ask for."""
    options = options_by_field(filters)
    none = [field for field in options if effect.alone.get(field) == 0]
    said = f"none of {counted(effect.clips, 'clip')} passes {' '.join(options[field] for field in none or options)}"
    if not none and len(options) > 1:
        each = ", ".join(f"{effect.alone[field]:,} pass {options[field]}" for field in options)
        said += f" together, but {each}"
    lacks = what_is_unknown({field: effect.unknown.get(field, 0) for field in none or options})
    if any(effect.unknown.get(field) for field in none if field in _READ_BY_INDEX):
        lacks.append("index reads what an older pe-search did not")
    return "; ".join([said, *lacks])


def what_is_unknown(unknown: Mapping[str, int]) -> list[str]:
    """How many clips lack what some filters ask for: `412 clips have no recording time`.

    Args:
        unknown: The numbers, by the field of `Filters`.
    """
    counts = {_UNKNOWN[field]: count for field, count in unknown.items() if count}
    return [f"{counted(count, 'clip')} {'has' if count == 1 else 'have'} no {noun}" for noun, count in counts.items()]


def _filters(request: Request) -> str:
    filters = []
    if request.min_probability:
        filters.append(f"--min-probability {request.min_probability:g}")
    if request.fdr is not None:
        filters.append(f"--fdr {request.fdr:g}")
    return f" with {' '.join(filters)}" if filters else ""


class Loudest:
    """Remembers where each query is heard most, for when no span of it is left."""

    def __init__(self) -> None:
        self._clips: set[Path] = set()
        self._best: dict[str, tuple[float, float, Path]] = {}

    def take(self, traces: Sequence[Trace]) -> None:
        """Look at some traces."""
        for trace in traces:
            self._clips.add(trace.path)
            frame = int(trace.probabilities.argmax())
            time_s = trace.start_s + (trace.end_s - trace.start_s) * frame / len(trace.probabilities)
            found = float(trace.probabilities[frame]), time_s, trace.path
            if trace.query not in self._best or found[0] > self._best[trace.query][0]:
                self._best[trace.query] = found

    def say_nothing_heard(self, rules: SpanRules, *, is_narrowed: bool) -> None:
        """Say that no query is heard, and where each comes nearest.

        Args:
            rules: How spans were made.
            is_narrowed: Whether spans had to go with others, by `--then` or `--without`.
        """
        for query, (probability, time_s, path) in self._best.items():
            where = f"{probability:.2f} at {clock(time_s)} in {shown_path(path)}"
            if probability < rules.threshold:
                said = f"not heard in {counted(len(self._clips), 'file')}; the best probability is {where}"
            else:
                dropped = "--then, --without or --min-length" if is_narrowed else "--min-length"
                said = f"all spans are dropped by {dropped}; the best probability is {where}"
            say(f"pe-search: {query}: {said}")

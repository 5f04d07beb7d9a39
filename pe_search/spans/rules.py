"""Probabilities of frames become spans, and spans are combined. Pure arithmetic: no audio, no model, no store."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pe_search.queries import Span, SpanRules

# So that 0.2 s are five frames of 0.04 s, although 0.2 / 0.04 is a little more than 5.
_ROUNDING = 1e-6
_FRAMES_AT_ONCE = 4096


def smoothed(probabilities: NDArray[np.float32], smooth_s: float, frame_s: float) -> NDArray[np.float32]:
    """The moving median over the odd number of frames that fits into `smooth_s`; the outermost frames are repeated.

    Args:
        probabilities: Shape (frames,).
        smooth_s: Its length in seconds.
        frame_s: Length of a frame in seconds.
    """
    reach = (math.floor(smooth_s / frame_s + _ROUNDING) - 1) // 2
    if reach <= 0 or len(probabilities) == 0:
        return probabilities
    padded = np.pad(probabilities, reach, "edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    # In pieces, because the median copies what is around every frame.
    pieces = [
        np.median(around[first : first + _FRAMES_AT_ONCE], axis=1) for first in range(0, len(around), _FRAMES_AT_ONCE)
    ]
    return np.concatenate(pieces).astype(np.float32)


def find_spans(
    probabilities: NDArray[np.float32], rules: SpanRules, frame_s: float, start_s: float, end_s: float
) -> list[Span]:
    """The spans in which frames reach the threshold, in order of time.

    Args:
        probabilities: Shape (frames,), smoothed already.
        rules: Of these, all but the smoothing apply.
        frame_s: Length of a frame.
        start_s: Where the first frame begins.
        end_s: Where the audio ends, which may be within the last frame.
    """
    is_heard = np.concatenate([[False], probabilities >= rules.threshold, [False]])
    edges = np.flatnonzero(is_heard[1:] != is_heard[:-1])
    shortest = rules.min_length_s / frame_s - _ROUNDING
    widest_gap = rules.join_s / frame_s + _ROUNDING
    joined: list[tuple[int, int]] = []
    for first, stop in edges.reshape(-1, 2).tolist():
        if joined and first - joined[-1][1] <= widest_gap:
            first = joined.pop()[0]
        joined.append((first, stop))
    return [
        Span(
            start_s=start_s + first * frame_s,
            end_s=min(start_s + stop * frame_s, end_s),
            probability=float(probabilities[first:stop].max()),
        )
        for first, stop in joined
        if stop - first >= shortest
    ]


def joined_across(stretches: Sequence[Sequence[Span]], join_s: float) -> list[list[Span]]:
    """Spans of several stretches of one clip, with those made one that overlap, or have only a short gap between.

    So a sound that goes on over the edge of a stretch is one span, and so is one that overlapping stretches all have.

    Args:
        stretches: The spans of each stretch, in any order.
        join_s: The widest gap that is closed.

    Returns:
        The spans of each stretch, in order of time. One that was made of several is with the stretch where it is most
        probable, the first of these; it may reach beyond its edges.
    """
    in_turn = sorted(
        ((span, place) for place, spans in enumerate(stretches) for span in spans),
        key=lambda one: (one[0].start_s, one[0].end_s),
    )
    groups: list[list[tuple[Span, int]]] = []
    end_s = -math.inf
    for span, place in in_turn:
        if span.start_s - end_s <= join_s + _ROUNDING:
            groups[-1].append((span, place))
        else:
            groups.append([(span, place)])
            end_s = -math.inf
        end_s = max(end_s, span.end_s)
    joined: list[list[Span]] = [[] for _ in stretches]
    for group in groups:
        best, place = max(group, key=lambda one: (one[0].probability, -one[1]))
        start_s, end_s = group[0][0].start_s, max(span.end_s for span, _ in group)
        joined[place].append(Span(start_s, end_s, best.probability))
    return joined


def then(spans: Sequence[Span], later: Sequence[Span], within_s: float) -> list[Span]:
    """Where one sound is followed by another: from the start of the first to the end of the second.

    The second must begin after the first does, and no more than `within_s` after its end. Each is paired with the
    nearest only, so that one event never counts twice. The probability is the smaller of the two.

    Args:
        spans: In order of time.
        later: In order of time.
        within_s: The longest pause between the two.
    """
    pairs: list[Span] = []
    others = iter(later)
    other = next(others, None)
    for place, span in enumerate(spans):
        while other is not None and other.start_s <= span.start_s:
            other = next(others, None)
        if other is None:
            break
        following = spans[place + 1] if place + 1 < len(spans) else None
        is_nearest = following is None or following.start_s >= other.start_s
        if is_nearest and other.start_s - span.end_s <= within_s:
            pairs.append(
                Span(span.start_s, max(span.end_s, other.end_s), min(span.probability, other.probability)),
            )
    return pairs


def without(spans: Iterable[Span], others: Sequence[Span]) -> list[Span]:
    """What is left of spans where none of the others is; each piece keeps the probability of its span.

    Args:
        spans: In order of time.
        others: In order of time, none overlapping another.
    """
    ends_s = [other.end_s for other in others]
    pieces: list[Span] = []
    for span in spans:
        start_s = span.start_s
        for other in islice(others, bisect_right(ends_s, span.start_s), None):
            if other.start_s >= span.end_s:
                break
            if start_s < other.start_s:
                pieces.append(replace(span, start_s=start_s, end_s=other.start_s))
            start_s = other.end_s
        if start_s < span.end_s:
            pieces.append(replace(span, start_s=start_s))
    return pieces


def measured(
    spans: Iterable[Span], probabilities: NDArray[np.float32], rules: SpanRules, frame_s: float, start_s: float
) -> list[Span]:
    """Pieces of spans, each with its own highest probability, without those that are no spans by the rules any more.

    Args:
        spans: Their edges lie between frames, or at the end of the audio.
        probabilities: Shape (frames,), smoothed already.
        rules: Of these, the threshold and the shortest length.
        frame_s: Length of a frame.
        start_s: Where the first frame begins.
    """
    shortest = rules.min_length_s / frame_s - _ROUNDING
    kept: list[Span] = []
    for span in spans:
        first = round((span.start_s - start_s) / frame_s)
        stop = math.ceil((span.end_s - start_s) / frame_s - _ROUNDING)
        peak = float(probabilities[first:stop].max())
        if stop - first >= shortest and peak >= rules.threshold:
            kept.append(replace(span, probability=peak))
    return kept

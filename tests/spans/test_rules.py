"""Probabilities become spans, and spans are combined: properties, and oracles that go frame by frame."""

from __future__ import annotations

import itertools
import statistics
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_search.queries import Span, SpanRules
from pe_search.spans.rules import find_spans, joined_across, measured, smoothed, then, without

FRAME_S = 0.04
BARE = SpanRules(threshold=0.5, smooth_s=0.0, min_length_s=0.0, join_s=0.0)

probabilities = st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.6, 1.0]), max_size=60).map(
    lambda values: np.array(values, np.float32)
)
rules = st.builds(
    SpanRules,
    threshold=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    smooth_s=st.just(0.0),
    min_length_s=st.integers(0, 10).map(lambda frames: frames * FRAME_S),
    join_s=st.integers(0, 10).map(lambda frames: frames * FRAME_S),
)


def found(values: np.ndarray, chosen: SpanRules, start_s: float = 0.0) -> list[Span]:
    return find_spans(values, chosen, FRAME_S, start_s, start_s + len(values) * FRAME_S)


def frames_of(spans: list[Span]) -> list[tuple[int, int]]:
    return [(round(span.start_s / FRAME_S), round(span.end_s / FRAME_S)) for span in spans]


def slow_spans(values: np.ndarray, chosen: SpanRules) -> list[tuple[int, int, float]]:
    """Fill each gap that is short enough frame by frame, then read off runs that are long enough."""
    is_heard = [value >= np.float32(chosen.threshold) for value in values]
    filled = list(is_heard)
    for place in range(len(values)):
        before = [n for n in range(place) if is_heard[n]]
        after = [n for n in range(place, len(values)) if is_heard[n]]
        if before and after and after[0] - before[-1] - 1 <= round(chosen.join_s / FRAME_S):
            filled[place] = True
    runs: list[list[int]] = []
    for place, is_inside in enumerate(filled):
        if is_inside and place and filled[place - 1]:
            runs[-1].append(place)
        elif is_inside:
            runs.append([place])
    return [
        (run[0], run[-1] + 1, max(float(values[n]) for n in run))
        for run in runs
        if len(run) >= round(chosen.min_length_s / FRAME_S)
    ]


@given(probabilities, rules)
def test_spans_are_those_of_the_oracle(values, chosen):
    spans = found(values, chosen)
    expected = slow_spans(values, chosen)
    assert frames_of(spans) == [(first, stop) for first, stop, _ in expected]
    assert [span.probability for span in spans] == [peak for _, _, peak in expected]


@given(probabilities, rules)
def test_spans_are_in_order_apart_and_reach_the_threshold(values, chosen):
    spans = found(values, chosen)
    for span in spans:
        assert span.end_s - span.start_s >= max(chosen.min_length_s, FRAME_S) - 1e-9
        assert span.probability >= np.float32(chosen.threshold)
    for span, following in pairwise(spans):
        assert following.start_s - span.end_s > chosen.join_s + FRAME_S / 2


def test_spans_begin_where_the_frames_do_and_end_with_the_audio():
    values = np.array([0, 1, 1, 0, 1], np.float32)
    spans = find_spans(values, BARE, FRAME_S, start_s=30.0, end_s=30.17)
    assert [(round(span.start_s, 9), round(span.end_s, 9)) for span in spans] == [(30.04, 30.12), (30.16, 30.17)]


def test_a_length_that_is_a_whole_number_of_frames_counts_as_that_many():
    # 0.28 / 0.04 is a little more than 7.
    values = np.array([0] + [1] * 7 + [0] * 7 + [1] * 6 + [0], np.float32)
    assert frames_of(found(values, SpanRules(0.5, 0.0, 0.28, 0.0))) == [(1, 8)]
    assert frames_of(found(values, SpanRules(0.5, 0.0, 0.28, 0.28))) == [(1, 21)]


def test_lengths_may_be_infinite():
    values = np.array([1, 0, 0, 1], np.float32)
    assert frames_of(found(values, SpanRules(0.5, 0.0, 0.0, np.inf))) == [(0, 4)]
    assert found(values, SpanRules(0.5, 0.0, np.inf, 0.0)) == []


@pytest.mark.parametrize(("smooth_s", "frames"), [(0.0, 1), (0.04, 1), (0.08, 1), (0.12, 3), (0.2, 5), (0.4, 9)])
@given(values=probabilities)
def test_smoothing_is_the_median_of_the_odd_number_of_frames_that_fits(values, smooth_s, frames):
    reach = frames // 2
    padded = [*[values[0]] * reach, *values, *[values[-1]] * reach] if len(values) else []
    expected = [statistics.median(padded[place : place + frames]) for place in range(len(values))]
    np.testing.assert_array_equal(smoothed(values, smooth_s, FRAME_S), np.array(expected, np.float32))
    assert smoothed(values, smooth_s, FRAME_S).dtype == np.float32


def test_smoothing_in_pieces_is_no_other_than_at_once():
    values = np.random.default_rng(0).random(9000).astype(np.float32)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(values, 2, "edge"), 5)
    np.testing.assert_array_equal(smoothed(values, 0.2, FRAME_S), np.median(around, axis=1).astype(np.float32))


# Spans from lists of frames, on a grid of whole seconds, so that the oracles can go second by second.


def seconds(*places: tuple[float, float], probability: float = 0.5) -> list[Span]:
    return [Span(start_s, end_s, probability) for start_s, end_s in places]


@st.composite
def apart(draw: st.DrawFn) -> list[Span]:
    edges = sorted(draw(st.sets(st.integers(0, 40), max_size=12)))
    return [
        Span(float(start), float(end), draw(st.sampled_from([0.3, 0.6, 0.9])))
        for start, end in zip(edges[::2], edges[1::2], strict=False)
    ]


def covered(spans: list[Span]) -> set[int]:
    return {second for span in spans for second in range(int(span.start_s), int(span.end_s))}


@given(apart(), apart())
def test_without_leaves_what_only_the_first_covers(spans, others):
    left = without(spans, others)
    assert covered(left) == covered(spans) - covered(others)
    assert left == sorted(left, key=lambda span: span.start_s)
    for piece in left:
        assert piece.start_s < piece.end_s
        (parent,) = [span for span in spans if span.start_s <= piece.start_s and piece.end_s <= span.end_s]
        assert piece.probability == parent.probability


@given(apart())
def test_without_itself_nothing_is_left_and_without_nothing_everything(spans):
    assert without(spans, spans) == []
    assert without(spans, []) == spans


def slow_then(spans: list[Span], later: list[Span], within_s: float) -> list[Span]:
    """All pairs, kept where neither has a nearer partner between the two."""
    return [
        Span(a.start_s, max(a.end_s, b.end_s), min(a.probability, b.probability))
        for a in spans
        for b in later
        if a.start_s < b.start_s
        and not any(a.start_s < between.start_s < b.start_s for between in (*spans, *later))
        and b.start_s - a.end_s <= within_s
    ]


@given(apart(), apart(), st.integers(0, 10))
def test_then_pairs_each_with_the_nearest(spans, later, within_s):
    assert then(spans, later, within_s) == slow_then(spans, later, within_s)


@given(apart(), apart(), apart())
def test_then_again_pairs_the_pairs(spans, later, last):
    pairs = then(spans, later, 40)
    assert then(pairs, last, 40) == slow_then(pairs, last, 40)


@pytest.mark.parametrize(
    ("first", "second", "within_s", "expected"),
    [
        ([(0, 2)], [(3, 4)], 1, [(0, 4)]),
        ([(0, 2)], [(3.5, 4)], 1, []),
        ([(3, 4)], [(0, 2)], 9, []),
        ([(0, 9)], [(3, 4)], 0, [(0, 9)]),
        ([(1, 2)], [(1, 2)], 9, []),
        ([(0, 1), (2, 3)], [(4, 5), (6, 7)], 9, [(2, 5)]),
    ],
    ids=["after", "too late", "before", "during", "at once", "nearest"],
)
def test_then(first, second, within_s, expected):
    assert then(seconds(*first), seconds(*second), within_s) == seconds(*expected)


def test_measured_pieces_have_their_own_peak_and_must_be_spans_by_themselves():
    values = np.array([0.6, 0.9, 0.2, 0.2, 0.7, 0.6], np.float32)
    pieces = [Span(10.0, 10.04, 0.9), Span(10.08, 10.16, 0.9), Span(10.16, 10.23, 0.9)]
    chosen = SpanRules(threshold=0.5, smooth_s=0.0, min_length_s=0.0, join_s=1.0)
    kept = measured(pieces, values, chosen, FRAME_S, 10.0)
    assert kept == [Span(10.0, 10.04, float(values[0])), Span(10.16, 10.23, float(values[4]))]
    longer = SpanRules(threshold=0.5, smooth_s=0.0, min_length_s=0.08, join_s=1.0)
    assert measured(pieces, values, longer, FRAME_S, 10.0) == kept[1:]


# Across windows


def slow_joined(stretches: list[list[Span]], join_s: float) -> list[tuple[float, float, float]]:
    """Start, end and probability of what two spans at a time are made one of, until no two can be."""
    left = [(span.start_s, span.end_s, span.probability) for spans in stretches for span in spans]
    while True:
        for one, other in itertools.combinations(left, 2):
            first, second = sorted((one, other))
            if second[0] - first[1] <= join_s:
                left.remove(one)
                left.remove(other)
                left.append((first[0], max(first[1], second[1]), max(first[2], second[2])))
                break
        else:
            return sorted(left)


@given(st.lists(apart(), max_size=4), st.integers(0, 5))
def test_joined_across_closes_gaps_and_overlaps_of_all_stretches(stretches, join_s):
    joined = joined_across(stretches, join_s)
    assert len(joined) == len(stretches)
    found = sorted((span.start_s, span.end_s, span.probability) for spans in joined for span in spans)
    assert found == slow_joined(stretches, join_s)
    for spans, before in zip(joined, stretches, strict=True):
        assert spans == sorted(spans, key=lambda span: span.start_s)
        # Each is with a stretch that has its most probable part.
        assert all(any(span.probability == own.probability for own in before) for span in spans)


def test_a_call_over_the_edge_of_two_windows_is_one_and_with_the_better_of_them():
    left, right = [Span(1.0, 2.0, 0.5), Span(9.5, 10.0, 0.6)], [Span(10.0, 11.0, 0.9), Span(15.0, 16.0, 0.7)]
    one = Span(9.5, 11.0, 0.9)
    assert joined_across([left, right], 0.8) == [left[:1], [one, right[1]]]
    assert joined_across([right, left], 0.8) == [[one, right[1]], left[:1]]


def test_a_call_that_overlapping_windows_have_is_that_of_the_first_if_they_agree():
    span = Span(6.0, 7.0, 0.9)
    assert joined_across([[span], [span], []], 0.0) == [[span], [], []]
    assert joined_across([], 0.0) == []


def test_a_gap_is_closed_up_to_its_length():
    stretches = [[Span(8.0, 9.5, 0.5)], [Span(10.0, 11.0, 0.5)]]
    assert joined_across(stretches, 0.5) == [[Span(8.0, 11.0, 0.5)], []]
    assert joined_across(stretches, 0.4) == stretches

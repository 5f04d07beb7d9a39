"""How spans are scored."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import evaluate_spans
import numpy as np
import pytest
import soundfile
from evaluate_spans import Event, Tally, frame_area, make_recording, tally
from recipe.architecture import SAMPLE_RATE_HZ

from pe_search.queries import Span, SpanRules, Trace


def event(start_s: float, end_s: float, concept: str = "rain") -> Event:
    return Event(concept, start_s, end_s)


@pytest.mark.parametrize(
    ("spans", "row"),
    [
        # Right, begun only, found in two pieces, and a span where nothing is.
        (
            [(1.2, 1.8), (4.9, 7.0), (10.5, 10.6), (10.7, 10.8), (20, 21)],
            ["0.250", "0.500", "1.000", "1.33", "5"],
        ),
        ([], ["0.000", "0.000", "0.000", "0.00", "0"]),
        ([(1, 2), (5, 6), (10, 11)], ["1.000", "1.000", "1.000", "1.00", "3"]),
        # One span over two events begins and ends at different ones.
        ([(1, 6)], ["0.000", "0.500", "0.667", "1.00", "1"]),
    ],
    ids=["some", "none", "all", "one"],
)
def test_the_figures_of_three_events(spans, row):
    result = Tally()
    result.add([event(1, 2), event(5, 6), event(10, 11)], [Span(start, end, 0.5) for start, end in spans])
    assert result.row() == row


def test_a_span_counts_for_one_event_only():
    result = Tally()
    result.add([event(1.0, 2.0), event(1.1, 2.1)], [Span(1.05, 2.05, 0.5)])
    assert (result.right, result.begun, result.found, result.fragments) == (1, 1, 2, 2)


def traces(heard_s: tuple[float, float]) -> dict[str, Trace]:
    """Ten seconds with a probability of 0.9 between two times for rain, and nothing for the other concepts."""
    frame_s = (np.arange(250) + 0.5) * 0.04
    loud = np.where((frame_s >= heard_s[0]) & (frame_s < heard_s[1]), 0.9, 0.1).astype(np.float32)
    none = np.zeros(250, np.float32)
    return {
        concept: Trace(prompt, Path("a"), 0.0, 10.0, loud if concept == "rain" else none, ())
        for concept, prompt in evaluate_spans.PROMPTS.items()
    }


def test_the_area_of_frames_is_over_the_concepts_that_are_there():
    assert frame_area([([event(2, 4)], traces((2, 4)))]) == 1.0
    # Half of the event's 50 frames are heard, and 25 of the 200 others; equal frames count half.
    assert frame_area([([event(2, 4)], traces((3, 5)))]) == pytest.approx(0.6875, abs=1e-9)


def test_rules_make_spans_of_the_frames():
    result = tally([([event(2, 4), event(5, 6, "dog_bark")], traces((2, 4)))], SpanRules(0.5, 0.0, 0.0, 0.0))
    assert (result.events, result.spans, result.right, result.fragments) == (2, 1, 1, 1)


def test_recordings_hold_their_events_and_are_the_same_again():
    clips = {"rain": [np.sin(np.arange(30_000) / 9).astype(np.float32)], "dog_bark": [np.ones(50_000, np.float32)]}
    samples, events = make_recording(clips, 20.0, np.random.default_rng(1))
    again, same = make_recording(clips, 20.0, np.random.default_rng(1))
    np.testing.assert_array_equal(samples, again)
    assert events == same
    assert len(events) >= 4
    assert np.abs(samples).max() == pytest.approx(0.5)
    for one, following in pairwise(events):
        assert 0.5 - 1e-4 <= following.start_s - one.end_s <= 4.0
    inside = np.zeros(len(samples), bool)
    for one in events:
        inside[round(one.start_s * SAMPLE_RATE_HZ) : round(one.end_s * SAMPLE_RATE_HZ)] = True
    assert np.square(samples[inside]).mean() > 2 * np.square(samples[~inside]).mean()


@pytest.mark.slow
def test_it_prints_its_tables(tmp_path, capsys):
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, SAMPLE_RATE_HZ).astype(np.float32)
    for concept in ("rain", "dog_bark"):
        (tmp_path / concept).mkdir()
        soundfile.write(tmp_path / concept / "4-1-A.wav", clip, SAMPLE_RATE_HZ)
    evaluate_spans.main(["--data", str(tmp_path), "--recordings", "2", "--seconds", "12", "--hours", "0.01"])
    shown = capsys.readouterr().out
    assert re.match(r"\d+ events, frame AUROC \d\.\d{3}\n", shown)
    assert [line.split(" | ")[0] for line in shown.splitlines() if line.startswith("| ")] == [
        "| spans by",
        "| ---",
        "| the bare threshold",
        "| the defaults",
        "| ",
        "| ---",
        "| the model alone, 0.01 h",
        "| `pe-search locate`, 0.001 h",
        "| `pe-search locate`, 0.01 h",
    ]

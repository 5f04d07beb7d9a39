"""`pe-search query --spans`: when within each hit the sound is heard."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from pe_search.audio.read import ClipReader
from pe_search.cli.input.span_options import DEFAULT_RULES
from pe_search.queries import Span, SpanRules
from pe_search.spans.rules import find_spans, joined_across, smoothed
from tests.cli.test_locate import FRAME_S, upstream_probabilities
from tests.made_up import make_checkpoint, noise, write_audio

KEYS = ["query", "rank", "path", "start_s", "end_s", "score", "probability", "spans"]
SPAN_KEYS = ["start_s", "end_s", "probability"]
TEXT = "a dog barking"


@pytest.fixture
def ask(run_cli, library):
    """Run a query with spans against the library."""

    def run(*args: object, status: int = 0) -> bytes:
        outcome = run_cli("query", TEXT, "--spans", "--store", library.store, *args)
        assert (outcome.status, outcome.err) == (status, "")
        return outcome.out

    return run


def hits_of(jsonl: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in jsonl.splitlines()]


def expected_spans(model: object, hit: dict[str, object], rules: SpanRules, tmp_path: Path) -> list[list[float]]:
    """By upstream's frame-level forward of just the hit's window."""
    with ClipReader(Path(hit["path"])) as reader:
        ((_, samples),) = reader.stretches([(hit["start_s"], hit["end_s"])])
    (column,) = upstream_probabilities(model, write_audio(tmp_path / "window.wav", samples), [TEXT])
    curve = smoothed(column, rules.smooth_s, FRAME_S)
    assert np.abs(curve - rules.threshold).min() > 1e-4, "too close to the threshold to be certain"
    spans = find_spans(curve, rules, FRAME_S, hit["start_s"], hit["end_s"])
    return [[span.start_s, span.end_s, span.probability] for span in spans]


@pytest.mark.parametrize(
    ("rules", "options"),
    [
        (DEFAULT_RULES, ()),
        (SpanRules(0.6, 0.0, 0.0, 0.0), ("--threshold", 0.6, "--smooth", 0, "--min-length", 0, "--join", 0)),
    ],
    ids=["defaults", "chosen"],
)
@pytest.mark.parametrize("all_windows", [False, True])
def test_each_hit_has_the_spans_of_upstreams_frames(
    ask, library, plain_checkpoint, tmp_path, rules, options, all_windows
):
    windows = ["--all-windows"] if all_windows else []
    hits = hits_of(ask("-k", 1000, *windows, *options))
    ranking = library.ranking(TEXT, all_windows=all_windows)
    assert [(Path(hit["path"]), hit["start_s"], hit["end_s"]) for hit in hits] == [
        (place.path, place.start_s, place.end_s) for place, _ in ranking
    ]
    of_windows: dict[str, list[list[Span]]] = {}
    for hit in hits:
        assert list(hit) == KEYS
        assert all(list(span) == SPAN_KEYS for span in hit["spans"])
        expected = expected_spans(plain_checkpoint[1], hit, rules, tmp_path)
        of_windows.setdefault(hit["path"], []).append([Span(*values) for values in expected])
    assert all_windows is any(len(windows) > 1 for windows in of_windows.values())
    for path, windows in of_windows.items():
        joined = joined_across(windows, rules.join_s)
        for hit, spans in zip([hit for hit in hits if hit["path"] == path], joined, strict=True):
            expected = [[span.start_s, span.end_s, span.probability] for span in spans]
            np.testing.assert_allclose([list(span.values()) for span in hit["spans"]], expected, atol=1e-4)
    assert sum(len(hit["spans"]) for hit in hits) > len(hits) / 2, "hardly anything was compared"


def test_without_the_option_a_hit_has_seven_keys(run_cli, library):
    outcome = run_cli("query", TEXT, "--store", library.store, "--format", "jsonl")
    assert {tuple(hit) for hit in hits_of(outcome.out)} == {tuple(KEYS[:-1])}


def test_another_checkpoint_may_find_the_spans(ask, tmp_path):
    model = make_checkpoint(tmp_path / "frames", "frame_level", seed=5)
    rules = SpanRules(0.5, 0.0, 0.0, 0.0)
    bare = ("--threshold", 0.5, "--smooth", 0, "--min-length", 0, "--join", 0)
    hits = hits_of(ask("-k", 3, "--frame-model", tmp_path / "frames", *bare))
    for hit in hits:
        expected = expected_spans(model, hit, rules, tmp_path)
        np.testing.assert_allclose([list(span.values()) for span in hit["spans"]], expected, atol=1e-4)
    assert any(hit["spans"] for hit in hits)


def test_the_spans_of_a_query_of_several_parts_are_those_of_its_texts(run_cli, library, plain_checkpoint, tmp_path):
    reference = library.sounds / "dogs/growl.wav"
    parts = ("--plus", "0.5:rain", "--minus", "0.25:church bell", "--like", reference)
    bare = ("--threshold", 0.5, "--smooth", 0, "--min-length", 0, "--join", 0)
    outcome = run_cli("query", TEXT, *parts, "--spans", *bare, "-k", 100, "--store", library.store)
    assert (outcome.status, outcome.err) == (0, "")
    hits = hits_of(outcome.out)
    assert any(hit["spans"] for hit in hits)
    for hit in hits:
        with ClipReader(Path(hit["path"])) as reader:
            ((_, samples),) = reader.stretches([(hit["start_s"], hit["end_s"])])
        window = write_audio(tmp_path / "window.wav", samples)
        found = upstream_probabilities(plain_checkpoint[1], window, [TEXT, "rain", "church bell"]).astype(np.float64)
        dog, rain, bell = np.log(found / (1 - found)) - library.bias
        curve = 1 / (1 + np.exp(-((dog + 0.5 * rain - 0.25 * bell) / 1.5 + library.bias)))
        assert np.abs(curve - 0.5).min() > 1e-4, "too close to the threshold to be certain"
        expected = find_spans(curve.astype(np.float32), SpanRules(0.5, 0, 0, 0), FRAME_S, hit["start_s"], hit["end_s"])
        rows = [[span.start_s, span.end_s, span.probability] for span in expected]
        np.testing.assert_allclose([list(span.values()) for span in hit["spans"]], rows, atol=1e-4)


def test_csv_has_a_row_for_each_span_and_one_for_a_hit_without(ask):
    options = ("--smooth", 0, "--min-length", 0, "--join", 0, "--threshold", 0.97)
    hits = hits_of(ask(*options))
    rows = list(csv.DictReader(io.StringIO(ask(*options, "--format", "csv").decode())))
    assert list(rows[0]) == [*KEYS[:-1], *(f"span_{key}" for key in SPAN_KEYS)]
    expected = [
        [str(hit["rank"]), *("" if span is None else str(span[key]) for key in SPAN_KEYS)]
        for hit in hits
        for span in hit["spans"] or [None]
    ]
    assert [[row["rank"], *(row[f"span_{key}"] for key in SPAN_KEYS)] for row in rows] == expected
    assert {bool(hit["spans"]) for hit in hits} == {False, True}


def test_a_table(ask):
    lines = ask("-k", 1, "--threshold", 0, "--format", "table").decode().splitlines()
    (hit,) = hits_of(ask("-k", 1, "--threshold", 0))
    assert [line.split() for line in lines[:2]] == [TEXT.split(), ["#", "prob.", "score", "time", "clip"]]
    # Before it, the clip's path may take more than one line.
    (row,) = (number for number, line in enumerate(lines) if set(line.strip()) <= set("▁▂▃▄▅▆▇█"))
    # A window of 1.28 s has 32 frames.
    assert len(lines[row].strip()) == 32
    assert lines[row + 1].split()[0] == f"{hit['spans'][0]['probability']:.2f}"
    assert len(lines) == row + 2


def test_nothing_is_found(run_cli, library):
    outcome = run_cli("query", TEXT, "--spans", "--store", library.store, "--under", "/nowhere")
    assert (outcome.status, outcome.out, outcome.err) == (1, b"", "")


@pytest.fixture
def own_store(run_cli, plain_checkpoint, tmp_path):
    """A store of two clips that a test may change."""
    for seed, name in enumerate("ab"):
        write_audio(tmp_path / "sounds" / f"{name}.wav", noise(1.0, seed))
    store = tmp_path / "store"
    assert run_cli("index", tmp_path / "sounds", "--model", plain_checkpoint[0], "--store", store).status == 0
    return store


def test_a_clip_that_is_gone_is_named_and_its_hit_is_shown_without_spans(run_cli, own_store, tmp_path, monkeypatch):
    gone = tmp_path / "sounds" / "a.wav"
    gone.unlink()
    outcome = run_cli("query", TEXT, "--spans", "--store", own_store, "--threshold", 0)
    assert (outcome.status, outcome.err) == (2, f"pe-search: {gone}: No such file or directory\n")
    spans = {Path(hit["path"]).name: hit["spans"] for hit in hits_of(outcome.out)}
    assert spans["a.wav"] is None
    assert [(span["start_s"], span["end_s"]) for span in spans["b.wav"]] == [(0.0, 1.0)]

    monkeypatch.chdir(tmp_path)
    table = run_cli("query", TEXT, "--spans", "--store", own_store, "--format", "table")
    assert table.status == 2
    assert table.out.decode().count(".wav") == 2
    rows = run_cli("query", TEXT, "--spans", "--store", own_store, "--format", "csv").out.decode().splitlines()
    assert [row.endswith(",,,") for row in rows if "a.wav" in row] == [True]


def test_a_clip_that_has_changed_is_named(run_cli, own_store, tmp_path):
    changed = write_audio(tmp_path / "sounds" / "a.wav", noise(2.0))
    outcome = run_cli("query", TEXT, "--spans", "--store", own_store)
    says = "has changed since it was indexed; index it again"
    assert (outcome.status, outcome.err) == (2, f"pe-search: {changed}: {says}\n")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--spans", "--format", "paths"], "can't print paths; use --format table, jsonl or csv."),
        (["--spans", "-0"], "can't print paths; use --format table, jsonl or csv."),
        (["--threshold", "0.5"], "--threshold, --smooth, --min-length, --join and --frame-model require --spans."),
        (["--frame-model", "small"], "--threshold, --smooth, --min-length, --join and --frame-model require --spans."),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong(run_cli, options, says):
    outcome = run_cli("query", TEXT, *options)
    assert (outcome.status, outcome.out) == (2, b"")
    assert " ".join(outcome.err.split()).endswith(says)


def test_the_frame_level_checkpoint_of_the_same_size_is_asked_for(run_cli, own_store, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    outcome = run_cli("query", TEXT, "--spans", "--store", own_store, "--frame-model", "large")
    assert outcome.status == 2
    assert "facebook/pe-a-frame-large" in outcome.err

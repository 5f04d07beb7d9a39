"""`pe-search locate`: what is heard when, which arguments are texts and which files, and how spans are printed."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PeAudioFeatureExtractor, PeAudioFrameLevelModel, PeAudioModel

from pe_search.audio.read import ClipReader
from pe_search.cli.input.span_options import DEFAULT_RULES
from pe_search.pe_audio.loaded import Loaded
from pe_search.queries import SpanRules
from pe_search.spans.rules import find_spans, smoothed
from tests.cli.conftest import ODD_NAMES, TEXTS
from tests.made_up import make_checkpoint, make_tokenizer, noise, write_audio

KEYS = ["query", "path", "start_s", "end_s", "probability"]
FRAME_S = 0.04
Row = tuple[str, str, float, float, float]


@pytest.fixture
def locate(run_cli, plain_checkpoint):
    """Run locate with the made-up checkpoint."""

    def run(*args: object, status: int = 0, err: str = "") -> bytes:
        outcome = run_cli("locate", *args, "--model", plain_checkpoint[0])
        assert (outcome.status, outcome.err) == (status, err)
        return outcome.out

    return run


@pytest.fixture
def sounds(tmp_path, monkeypatch) -> Path:
    """A folder of short clips, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.wav", "b.wav", "folder/c.wav", "thunder/d.wav")):
        # Loud, so that the frames of the made-up checkpoint are far apart.
        write_audio(tmp_path / name, noise(2 + seed, seed) * 2)
    return tmp_path


def rows_of(jsonl: bytes) -> list[Row]:
    return [tuple(json.loads(line).values()) for line in jsonl.splitlines()]


def queries_and_files(jsonl: bytes) -> tuple[set[str], set[str]]:
    rows = rows_of(jsonl)
    return {row[0] for row in rows}, {Path(row[1]).name for row in rows}


def upstream_probabilities(model: PeAudioModel, path: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """Of shape (texts, frames), by upstream's frame-level forward of the whole clip."""
    with ClipReader(path) as reader:
        samples = np.concatenate(list(reader.blocks()))
    features = PeAudioFeatureExtractor()(samples, sampling_rate=48_000, return_tensors="pt")
    tokens = make_tokenizer()(list(texts), padding=True, return_tensors="pt")
    with torch.no_grad():
        output = PeAudioFrameLevelModel.forward(
            model,
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            input_values=features["input_values"],
        )
    return output.logits_audio_text[0].sigmoid().numpy()


def expected_rows(model: PeAudioModel, paths: Sequence[Path], texts: Sequence[str], rules: SpanRules) -> list[Row]:
    rows = []
    for path in paths:
        for text, column in zip(texts, upstream_probabilities(model, path, texts), strict=True):
            # A frame within 1e-4 of the threshold could fall on either side.
            curve = smoothed(column, rules.smooth_s, FRAME_S)
            assert np.abs(curve - rules.threshold).min() > 1e-4
            with ClipReader(path) as reader:
                spans = find_spans(curve, rules, FRAME_S, 0.0, reader.header_duration_s)
            rows += [(text, str(path), span.start_s, span.end_s, span.probability) for span in spans]
    return rows


def assert_same(found: list[Row], expected: list[Row]) -> None:
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    np.testing.assert_allclose([row[2:] for row in found], [row[2:] for row in expected], atol=1e-4)


@pytest.mark.parametrize(
    ("rules", "options"),
    [
        (DEFAULT_RULES, ()),
        (SpanRules(0.6, 0.0, 0.0, 0.0), ("--threshold", 0.6, "--smooth", 0, "--min-length", 0, "--join", 0)),
        (
            SpanRules(0.7, 0.12, 0.12, 0.08),
            ("--threshold", 0.7, "--smooth", 0.12, "--min-length", 0.12, "--join", 0.08),
        ),
    ],
    ids=["defaults", "bare", "chosen"],
)
def test_the_spans_are_those_of_upstreams_frames(locate, sounds, plain_checkpoint, rules, options):
    paths = [sounds / "a.wav", sounds / "folder/c.wav"]
    expected = expected_rows(plain_checkpoint[1], paths, TEXTS, rules)
    assert len(expected) > 2, "nothing would be compared"
    out = locate(*TEXTS, "a.wav", "folder/", *options)
    assert_same(rows_of(out), expected)
    assert [list(json.loads(line)) for line in out.splitlines()] == [KEYS] * len(expected)


def test_a_frame_level_checkpoint(run_cli, sounds, tmp_path):
    model = make_checkpoint(tmp_path / "checkpoint", "frame_level", seed=5)
    expected = expected_rows(model, [sounds / "a.wav"], TEXTS[:2], SpanRules(0.5, 0.0, 0.0, 0.0))
    bare = ("--threshold", 0.5, "--smooth", 0, "--min-length", 0, "--join", 0)
    outcome = run_cli("locate", *TEXTS[:2], "a.wav", "--frame-model", tmp_path / "checkpoint", *bare)
    assert_same(rows_of(outcome.out), expected)
    assert expected


def test_the_environment_names_the_default_checkpoint(run_cli, sounds, plain_checkpoint, monkeypatch, locate):
    monkeypatch.setenv("PE_SEARCH_MODEL", str(plain_checkpoint[0]))
    assert run_cli("locate", "rain", "a.wav", "--threshold", 0).out == locate("rain", "a.wav", "--threshold", 0)
    monkeypatch.setenv("PE_SEARCH_MODEL", "no such")
    assert run_cli("locate", "rain", "a.wav").err.startswith("pe-search: There is no checkpoint 'no such': ")


def test_the_frame_level_sibling_is_asked_for(run_cli, sounds, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    outcome = run_cli("locate", "rain", "a.wav", "--model", "small")
    assert outcome.status == 2
    assert "facebook/pe-a-frame-small" in outcome.err


# Which arguments are texts, and which files


@pytest.mark.parametrize(
    ("arguments", "queries", "files"),
    [
        (["rain", "a.wav"], {"rain"}, {"a.wav"}),
        (["rain", "siren", "a.wav", "b.wav"], {"rain", "siren"}, {"a.wav", "b.wav"}),
        (["a dog barking", "folder"], {"a dog barking"}, {"c.wav"}),
        (["thunder", "thunder"], {"thunder"}, {"d.wav"}),
        (["a.wav", "b.wav"], {"a.wav"}, {"b.wav"}),
        (["siren", "./thunder", "a.wav"], {"siren"}, {"d.wav", "a.wav"}),
        (["siren", "a.wav", "thunder"], {"siren"}, {"a.wav", "d.wav"}),
        (["-t", "rain", "-t", "siren", "thunder", "a.wav"], {"rain", "siren"}, {"d.wav", "a.wav"}),
        (["--text", "rain", "a.wav"], {"rain"}, {"a.wav"}),
    ],
    # Not of the sets, whose order is another in every process.
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_texts_and_files_are_told_apart(locate, sounds, arguments, queries, files):
    assert queries_and_files(locate(*arguments, "--threshold", 0)) == (queries, files)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rain"], "Give a FILE after 'rain'."),
        (["a.wav"], "Give a TEXT before 'a.wav'."),
        (["none.wav"], "There is no file 'none.wav'."),
        (["rain", "siren"], "There is no file 'siren'."),
        (
            ["siren", "thunder", "a.wav"],
            "'thunder' may be a text, and is a file or folder; write ./thunder for the file, or give all "
            "texts with -t.",
        ),
        (["", "a.wav"], "must not be empty."),
        (["-t", " ", "a.wav"], "must not be empty."),
        (["rain", "a.wav", "--then", ""], "must not be empty."),
        ([os.fsdecode(b"\xff"), "a.wav"], "must be UTF-8."),
        (["rain", "a.wav", "--within", "3"], "--within requires --then."),
        (["rain", "a.wav", "-0", "--format", "csv"], "-0 requires --format paths."),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong(run_cli, sounds, arguments, says):
    outcome = run_cli("locate", *arguments)
    assert (outcome.status, outcome.out) == (2, b"")
    assert " ".join(outcome.err.split()).endswith(says)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--threshold", "2"), ("--threshold", "nan"), ("--smooth", "61"), ("--join", "-1"), ("--within", "nan")],
)
def test_a_number_that_makes_no_sense(run_cli, sounds, option, value):
    outcome = run_cli("locate", "rain", "a.wav", option, value)
    assert (outcome.status, outcome.out) == (2, b"")
    # What comes after is Typer's, and differs between its versions.
    assert outcome.err.startswith(f"pe-search: {option}: ")


@pytest.mark.parametrize("name", ["rian.wav", "folder/rian", "RIAN.FLAC"])
def test_a_mistyped_file_is_not_taken_for_a_text(locate, sounds, name):
    err = f"pe-search: {sounds / name}: No such file or directory\n"
    assert queries_and_files(locate("rain", name, "a.wav", "--threshold", 0, status=2, err=err)) == (
        {"rain"},
        {"a.wav"},
    )


# What goes wrong, and what is not there


def test_what_cannot_be_read_is_named_and_the_rest_is_done(locate, sounds):
    (sounds / "folder/bad.wav").write_bytes(b"no audio")
    (sounds / "empty.wav").write_bytes(b"")
    err = (
        f"pe-search: {sounds}/folder/bad.wav: can't be read as audio: Format not recognised\n"
        f"pe-search: {sounds}/empty.wav: the file is empty\n"
    )
    out = locate("rain", "folder/", "empty.wav", "a.wav", "--threshold", 0, status=2, err=err)
    assert queries_and_files(out)[1] == {"c.wav", "a.wav"}


def test_nothing_is_heard(locate, sounds):
    for trace_format in ("table", "paths", "jsonl"):
        assert locate("rain", "a.wav", "--threshold", 1, "--format", trace_format, status=1) == b""
    header = b"query,path,start_s,end_s,probability\n"
    assert locate("rain", "a.wav", "--threshold", 1, "--format", "csv", status=1) == header


def test_csv_has_its_header_even_if_every_clip_is_left_out(locate, sounds):
    (sounds / "empty.wav").write_bytes(b"")
    err = f"pe-search: {sounds}/empty.wav: the file is empty\n"
    out = locate("rain", "empty.wav", "--format", "csv", status=2, err=err)
    assert out == b"query,path,start_s,end_s,probability\n"


def test_there_is_no_audio(locate, sounds):
    (sounds / "none").mkdir()
    locate("rain", "none", status=1, err="pe-search: no audio files in none.\n")
    locate("rain", "./gone", status=2, err=f"pe-search: {sounds}/gone: No such file or directory\n")


# Sounds and other sounds


def test_then_and_without(locate, sounds):
    everywhere = ("--threshold", 0)
    assert rows_of(locate("rain", "a.wav", *everywhere))[0][2:4] == (0.0, 2.0)
    assert locate("rain", "a.wav", "--without", "siren", *everywhere, status=1) == b""
    # A sound that begins with the first does not follow it.
    assert locate("rain", "a.wav", "--then", "siren", "--within", 3, *everywhere, status=1) == b""


# How spans are printed


def test_csv(locate, sounds):
    rows = rows_of(locate("rain", "siren", "a.wav", "b.wav", "--threshold", 0))
    lines = list(
        csv.reader(io.StringIO(locate("rain", "siren", "a.wav", "b.wav", "--threshold", 0, "--format", "csv").decode()))
    )
    assert lines[0] == KEYS
    assert [(line[0], line[1], *map(float, line[2:])) for line in lines[1:]] == rows
    assert len(rows) == 4


def test_paths_name_each_clip_once(locate, sounds):
    expected = [sounds / "odd" / os.fsdecode(name) for name in ODD_NAMES]
    for path in expected:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(sounds / "written.wav", noise(0.4)).rename(path)
    for options in (["-0"], ["-0", "--format", "paths"]):
        out = locate("rain", "siren", "odd", "--threshold", 0, *options)
        assert sorted(out.split(b"\0")) == sorted([b"", *map(os.fsencode, expected)])
    assert locate("rain", "siren", "a.wav", "--threshold", 0, "--format", "paths") == f"{sounds}/a.wav\n".encode()


def test_a_table(locate, sounds):
    out = locate("rain", "a.wav", "folder", "--threshold", 0, "--format", "table").decode()
    probabilities = [row[4] for row in rows_of(locate("rain", "a.wav", "folder", "--threshold", 0))]
    lines = [line.rstrip() for line in out.splitlines()]
    assert [lines[0], lines[3]] == ["rain  a.wav", "rain  folder/c.wav"]
    # As many characters as frames, or as there are columns.
    assert [len(lines[1]), len(lines[4])] == [50, 100]
    assert set(lines[1] + lines[4]) <= set("▁▂▃▄▅▆▇█")
    assert [lines[2], lines[5]] == [f"{probabilities[0]:.2f}  0:00–0:02", f"{probabilities[1]:.2f}  0:00–0:04"]


def test_on_a_terminal_the_strip_is_as_wide_as_there_is_room(terminal, sounds, plain_checkpoint):
    command = [sys.executable, "-m", "pe_search", "locate", "rain", "folder/c.wav", "--threshold", "0", "--model"]
    status, shown = terminal([*command, plain_checkpoint[0]]).finish()
    assert status == 0
    assert "rain" in shown
    assert max(len(run) for run in "".join(c if c in "▁▂▃▄▅▆▇█" else " " for c in shown).split()) == 100


def test_where_there_are_no_blocks_the_strip_is_ascii(command, sounds, plain_checkpoint, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = command("locate", "rain", "a.wav", "--threshold", "0", "--format", "table", "--model", plain_checkpoint[0])
    lines = done.stdout.decode("ascii").splitlines()
    assert set(lines[1]) <= set(" .:-=+*#")
    assert len(lines[1]) == 50
    assert done.returncode == 0


@pytest.mark.parametrize("args", [("locate", "dog"), ("label", "--labels", "dog")], ids=["locate", "label"])
def test_files_that_are_no_audio_are_told_before_a_model_is_loaded(run_cli, tmp_path, monkeypatch, args):
    for name in ("audio_embedder", "frame_embedder", "text_embedder"):
        monkeypatch.setattr(Loaded, name, lambda *_: pytest.fail("a model is loaded"))
    for name in ("a.m4a", "b.wav"):
        (tmp_path / name).write_text("words")
    outcome = run_cli(*args, tmp_path / "a.m4a", tmp_path / "b.wav")
    reason = "can't be read as audio: Format not recognised"
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {tmp_path}/a.m4a: {reason}\npe-search: {tmp_path}/b.wav: {reason}\n"

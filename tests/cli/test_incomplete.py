"""Clips of which something is missing, or which are odd: a line each, by every command that reads them."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.made_up import noise, write_audio


@pytest.fixture
def command_on(run_cli, plain_checkpoint, tmp_path):
    """Run a command on the tests' checkpoint; `index` and `status` in one store."""

    def run(name: str, *args: object):
        if name in ("index", "status", "query", "verify"):
            args = (*args, "--store", tmp_path / "store")
        if name in ("index", "label", "locate"):
            args = (*args, "--model", plain_checkpoint[0])
        return run_cli(name, *args)

    return run


def cut_short(path: Path) -> Path:
    """A FLAC of 4 s of which the second half is missing; frames of 4,096 samples at 48 kHz."""
    write_audio(path, noise(4.0), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def with_a_wrong_header(path: Path) -> Path:
    """A WAV of 2 s whose header says that it holds nothing, as recorders leave it that crash."""
    content = bytearray(write_audio(path, noise(2.0), subtype="PCM_16").read_bytes())
    struct.pack_into("<I", content, 40, 0)
    path.write_bytes(content)
    return path


MISSING = "breaks off after 0:02 of 0:04"
NOTE = "the header says 0:00, and the file holds 0:02; all of it is read"


def test_what_is_there_is_indexed_and_what_is_missing_is_said_once(command_on, tmp_path):
    good = write_audio(tmp_path / "sounds" / "good.wav", noise(1.0, seed=1))
    bad = cut_short(tmp_path / "sounds" / "bad.flac")

    first = command_on("index", tmp_path / "sounds")
    assert first.status == 2
    line, summary = first.err.splitlines()
    assert line == f"pe-search: {bad}: {MISSING}"
    assert summary.startswith("2 clips embedded (2 windows")
    assert ", 1 incomplete, 0 left out." in summary

    again = command_on("index", tmp_path / "sounds")
    assert again.status == 0
    assert again.err.startswith("0 clips embedded")
    assert "2 unchanged" in again.err
    assert MISSING not in again.err

    found = command_on("query", "rain", "--format", "jsonl", "-k", 5)
    hits = {Path(hit["path"]): hit["end_s"] for hit in map(json.loads, found.out.splitlines())}
    assert hits == {good: 1.0, bad: pytest.approx(2.0, abs=0.1)}


def test_status_lists_what_is_incomplete_apart_from_what_is_left_out(command_on, tmp_path):
    bad = cut_short(tmp_path / "sounds" / "bad.flac")
    broken = tmp_path / "sounds" / "broken.wav"
    broken.write_bytes(b"words")
    assert command_on("index", tmp_path / "sounds").status == 2

    problems = command_on("status", "--problems")
    assert problems.status == 0
    assert problems.out.decode().splitlines() == [
        f"{bad}: incomplete: {MISSING}",
        f"{broken}: can't be read as audio: Format not recognised",
    ]
    facts = json.loads(command_on("status", "--problems", "--format", "json").out)
    assert [(fact["path"], fact["kind"], fact["reason"]) for fact in facts] == [
        (str(bad), "incomplete", MISSING),
        (str(broken), "left out", "can't be read as audio: Format not recognised"),
    ]
    text = command_on("status").out.decode().splitlines()
    assert "incomplete  1, see --problems" in text
    assert "left out    1, see --problems" in text
    assert json.loads(command_on("status", "--format", "json").out)["incomplete"] == 1


def test_a_clip_is_tried_again_only_when_its_file_changes(command_on, tmp_path):
    bad = cut_short(tmp_path / "sounds" / "bad.flac")
    assert command_on("index", tmp_path / "sounds").status == 2
    write_audio(bad, noise(4.0), subtype="PCM_16")
    mended = command_on("index", tmp_path / "sounds")
    assert mended.status == 0
    assert mended.err.startswith("1 clip embedded")
    assert command_on("status", "--problems").status == 1


def test_copies_of_an_incomplete_clip_are_named_too(command_on, tmp_path):
    bad = cut_short(tmp_path / "sounds" / "bad.flac")
    beside = Path(shutil.copy(bad, tmp_path / "sounds" / "beside.flac"))
    both = command_on("index", tmp_path / "sounds")
    assert both.status == 2
    assert both.err.splitlines()[:-1] == [f"pe-search: {path}: {MISSING}" for path in (bad, beside)]
    later = Path(shutil.copy(bad, tmp_path / "sounds" / "later.flac"))
    third = command_on("index", tmp_path / "sounds")
    assert third.status == 2
    assert third.err.splitlines()[:-1] == [f"pe-search: {later}: {MISSING}"]
    assert len(command_on("status", "--problems").out.splitlines()) == 3


def test_a_clip_that_is_odd_but_whole_is_a_line_and_no_error(command_on, tmp_path):
    odd = with_a_wrong_header(tmp_path / "sounds" / "odd.wav")
    first = command_on("index", tmp_path / "sounds")
    assert first.status == 0
    line, summary = first.err.splitlines()
    assert line == f"pe-search: {odd}: {NOTE}"
    assert "incomplete" not in summary
    assert command_on("status", "--problems").status == 1


@pytest.mark.parametrize("command", ["label", "locate"])
def test_label_and_locate_say_it_too(command_on, tmp_path, command):
    bad = cut_short(tmp_path / "sounds" / "bad.flac")
    args = ("label", tmp_path / "sounds", "--labels", "rain") if command == "label" else ("locate", "rain", bad)
    done = command_on(*args, "--format", "jsonl")
    assert (done.status, done.err) == (2, f"pe-search: {bad}: {MISSING}\n")
    odd = with_a_wrong_header(tmp_path / "odd" / "odd.wav")
    args = ("label", odd, "--labels", "rain") if command == "label" else ("locate", "rain", odd, "--threshold", 0)
    done = command_on(*args, "--format", "jsonl")
    assert (done.status, done.err) == (0, f"pe-search: {odd}: {NOTE}\n")
    assert done.out


def test_integers_that_are_called_floats_are_scaled_and_said(command_on, tmp_path):
    samples = noise(1.0)
    write_audio(tmp_path / "a" / "floats.wav", samples)
    loud = write_audio(tmp_path / "b" / "floats.wav", samples * np.float32(2**15))
    assert command_on("index", tmp_path / "a").status == 0
    scaled = command_on("index", tmp_path / "b")
    assert scaled.status == 0
    peak = np.abs(samples).max() * 2**15
    assert scaled.err.splitlines()[0] == (
        f"pe-search: {loud}: its float samples reach {peak:,.0f}; they are divided by 32,768"
    )
    found = command_on("query", "rain", "--format", "jsonl", "-k", 5)
    one, other = (json.loads(line)["score"] for line in found.out.splitlines())
    assert one == pytest.approx(other, abs=1e-3)

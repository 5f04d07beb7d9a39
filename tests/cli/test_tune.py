"""`pe-search tune`: what is printed, and the exit status."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from pe_search.pe_audio.tuning.training import Training
from pe_search.tuner import Tuner
from pe_search.tunings import Scores, TunedText, Tuning
from tests.cli.conftest import Outcome
from tests.made_up import noise, tone, write_audio

NEW = TunedText("zibble", True, 2, 0.25, 0.75, 0.5)
OLD = TunedText("rain", False, 3, 0.9, 0.9, None)


@pytest.fixture
def table(tmp_path, monkeypatch) -> Path:
    """Three tones and three noises."""
    for number in range(3):
        write_audio(tmp_path / f"dog{number}.wav", tone(0.2, 300 + 50 * number))
        write_audio(tmp_path / f"rain{number}.wav", noise(0.2, number))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        rows = [(f"{name}{number}.wav", name) for name in ("dog", "rain") for number in range(3)]
        csv.writer(file).writerows([("path", "label"), *rows])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "labels.csv"


def tell(monkeypatch: pytest.MonkeyPatch, out: Path, *texts: TunedText, **changes: object) -> None:
    """Let a tuning end with some figures, without any work."""

    def tune(_self: Tuner, _data: Path, _out: Path, **options: object) -> Tuning:
        options["on_scores"](Scores(50, 0.5, None, 0.875))
        usual = {"unmeasured": (), "kept": 0.95, "directory": out, "problems": 0} | changes
        return Tuning(model="builtin", learned_from=9, held_out=5, recordings=7, texts=texts, steps=200, **usual)

    monkeypatch.setattr(Tuner, "tune", tune)


def test_a_checkpoint_is_made_of_a_table(run_cli, table, plain_checkpoint):
    args = ("tune", "--data", "labels.csv", "--out", "tuned", "--model", plain_checkpoint[0], "--steps", "1", "--force")
    outcome = run_cli(*args, "--new", "dog")
    assert outcome.status == 0
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert {(row["figure"], row["text"]) for row in rows} >= {("new", ""), ("old", ""), ("new", "dog"), ("old", "rain")}
    assert list(rows[0]) == ["figure", "text", "before", "after", "learned_word"]
    assert outcome.err.startswith("Step 0 of 1, held out: new words ")
    assert "\n4 sounds learned. Checkpoint: tuned\n" in outcome.err
    assert run_cli("index", ".", "--model", "tuned", "--store", "./store").status == 0
    again = run_cli(*args)
    assert again == Outcome(
        2, b"", f"pe-search: {table.parent}/tuned is there already. Name a folder that isn't there yet.\n"
    )


def test_figures_and_what_is_better_as_a_table(run_cli, table, monkeypatch):
    tell(monkeypatch, table.parent / "tuned", OLD, NEW, unmeasured=("a", "b", "c", "d"))
    outcome = run_cli("tune", "--data", "labels.csv", "--out", "tuned", "--format", "table")
    assert outcome.out.decode().splitlines() == [
        "before  after  learned word  held out",
        " 0.250  0.750         0.500  new words (mAP)",
        " 0.900  0.900             -  old words (mAP)",
        " 1.000  0.950             -  old texts (kept)",
        "",
        "average precision of each text",
        "sounds  before  after  learned word  text",
        "     2   0.250  0.750         0.500  zibble (new)",
        "     3   0.900  0.900             -  rain",
    ]
    assert outcome.err.splitlines() == [
        "Step 50 of 200, held out: new words 0.500, old texts 0.875",
        "Not measured, because a recording to hold out is missing: a, b, c, …",
        "9 sounds learned. Checkpoint: tuned",
        "The tuned checkpoint is better here than a learned word (0.750 against 0.500): "
        "`pe-search index PATH --model tuned --store tuned`",
    ]
    assert outcome.status == 0


@pytest.mark.parametrize(
    ("texts", "changes", "lines"),
    [
        (
            (TunedText("zibble", True, 2, 0.25, 0.2, 0.5), OLD),
            {},
            [
                "pe-search: nothing written: the new words are not found better. Give more recordings, or use --force.",
                "A learned word is better here (0.500 against 0.200): "
                "`pe-search learn @word --from labels.csv --label zibble`",
            ],
        ),
        (
            (NEW, TunedText("wind", False, 3, 0.9, 0.91, None), TunedText("rain", False, 3, 0.9, 0.8, None)),
            {},
            [
                "pe-search: nothing written: the old words are found worse by more than 0.01, most of all rain by "
                "0.100. Give more recordings, or use --force.",
                "The tuned checkpoint finds the new words better than learned words do (0.750 against 0.500).",
            ],
        ),
        (
            (TunedText("a caption", True, 1, 0.5, 1.0, None),),
            {"kept": 0.5},
            [
                "pe-search: nothing written: old texts find only 0.50 of what they found before, and 0.8 is the least. "
                "Give more recordings, or use --force.",
            ],
        ),
    ],
)
def test_why_nothing_is_written(run_cli, table, monkeypatch, texts, changes, lines):
    tell(monkeypatch, table, *texts, directory=None, **changes)
    outcome = run_cli("tune", "--data", "labels.csv", "--out", "tuned")
    assert outcome.status == 1
    assert outcome.err.splitlines()[1:] == lines


def test_a_clip_that_can_not_be_read_is_status_2(run_cli, table, plain_checkpoint):
    (table.parent / "bad.wav").write_bytes(b"no audio")
    with table.open("a") as file:
        file.write("bad.wav,rain\n")
    args = ("--model", plain_checkpoint[0], "--steps", "1", "--force")
    outcome = run_cli("tune", "--data", "labels.csv", "--out", "tuned", *args)
    assert outcome.status == 2
    assert (
        outcome.err.splitlines()[0]
        == f"pe-search: {table.parent}/bad.wav: can't be read as audio: Format not recognised"
    )
    assert (table.parent / "tuned" / "config.json").is_file()


def test_ctrl_c_leaves_no_half_checkpoint_and_says_how_to_go_on(run_cli, table, plain_checkpoint, monkeypatch):
    def interrupted(_self: Training) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "step", interrupted)
    outcome = run_cli("tune", "--data", "labels.csv", "--out", "tuned", "--model", plain_checkpoint[0])
    assert outcome.status == 130
    assert outcome.err.splitlines()[-1] == (
        "Interrupted; the same command goes on from what is done. To drop that, remove .tuned.tuning."
    )
    assert not (table.parent / "tuned").exists()


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("--new", " "), "--new: must not be empty."),
        (("--new", "cat"), "labels.csv has no label 'cat'."),
        (("--steps", "0"), "--steps: '0' must be a whole number from 1 to 1000000."),
        (("--store", "x", "--model", "builtin"), "--model: can't be used with --store, which has a checkpoint."),
        (("--store", "x", "--revision", "main"), "--revision: can't be used with --store, which has a checkpoint."),
        (("--audio", "a.wav"), "labels.csv: has a column path, so it can't be used with an audio file."),
        (("--format", "paths"), "--format: 'paths' is not one of 'table', 'jsonl', 'json', 'csv'."),
    ],
)
def test_wrong_options(run_cli, table, args, error):
    outcome = run_cli("tune", "--data", "labels.csv", "--out", "tuned", *args)
    assert outcome == Outcome(2, b"", f"pe-search: {error}\n")


def test_peft_that_is_missing_is_a_line(run_cli, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    outcome = run_cli("tune", "--data", "labels.csv", "--out", "tuned")
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, b"", 1)
    assert outcome.err.startswith(
        "pe-search: Tuning needs peft, which is not installed: `pip install 'pe-search[tune]'`, "
    )
    assert [path.name for path in table.parent.iterdir() if "tuned" in path.name] == []

"""How a checkpoint, and the recipe, are scored from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import evaluate_builtin
import pytest
import soundfile

from pe_search.pe_audio.checkpoint import find_checkpoint
from tests.made_up import noise, write_audio

BUILTIN = find_checkpoint("builtin").directory
MEAN_OF_TWO = """\
| figure | fold 1 | fold 3 | mean |
|---|---|---|---|
| plain_map | 0.900 | 0.800 | 0.850 |
| accuracy | 1.000 | 0.500 | 0.750 |"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A clip of each of two concepts in fold 2, and one in fold 4."""
    for concept in ("rain", "dog_bark"):
        for fold in (2, 4):
            write_audio(tmp_path / "data" / concept / f"{fold}-10-A.wav", noise(1.0, fold))
    return tmp_path / "data"


def figures(capsys: pytest.CaptureFixture[str], data: Path, *more: str) -> dict[str, float]:
    evaluate_builtin.main(["--data", str(data), "--checkpoint", str(BUILTIN), *more])
    shown: dict[str, float] = json.loads(capsys.readouterr().out)
    return shown


def test_a_table_has_a_column_for_each_fold_and_their_mean():
    results = {1: {"plain_map": 0.9, "accuracy": 1.0}, 3: {"plain_map": 0.8, "accuracy": 0.5}}
    assert evaluate_builtin.table(results) == MEAN_OF_TWO


@pytest.mark.slow
def test_only_recordings_of_the_fold_are_scored(data, capsys):
    for file in data.rglob("2-*"):
        file.write_bytes(b"no audio")
    assert 0 <= figures(capsys, data, "--fold", "4")["accuracy"] <= 1
    with pytest.raises(soundfile.LibsndfileError):
        figures(capsys, data, "--fold", "2")


@pytest.mark.slow
def test_calibration_changes_probabilities_and_no_ranking(data, capsys):
    as_it_is, certain = figures(capsys, data), figures(capsys, data, "--calibration", "1", "40")
    # Of the ten prompts two are there in every mixture, and all are believed to be.
    assert certain["calibration_error"] == pytest.approx(0.8)
    assert (as_it_is["untaught_below_half"], certain["untaught_below_half"]) == (1, 0)
    for name in ("accuracy", "mixed_map", "frame_auroc"):
        assert certain[name] == pytest.approx(as_it_is[name], abs=1e-3)


def test_every_fold_is_scored_by_a_run_without_it(data, tmp_path, capsys, monkeypatch):
    runs, has_text_tower, scored = [], [], []

    def train(arguments: list[str]) -> None:
        run = evaluate_builtin.train_builtin.parse(arguments)
        run.work.mkdir(exist_ok=True, parents=True)
        text_tower = run.work / evaluate_builtin.TEXT_FILE
        has_text_tower.append(text_tower.exists())
        text_tower.touch()
        run.out.symlink_to(BUILTIN)
        runs.append(run)

    def score(model, tokenizer, recordings, seed):
        scored.append({recording.fold for recording in recordings})
        return {"clips": float(len(recordings))}

    monkeypatch.setattr(evaluate_builtin.train_builtin, "main", train)
    monkeypatch.setattr(evaluate_builtin.scoring, "score", score)
    arguments = ["--data", str(data), "--cross-validate", "--steps", "5", "--kit", "drum"]
    evaluate_builtin.main([*arguments, "--work", str(tmp_path / "cross-validation")])
    assert [(run.hold_out_fold, run.hold_out_kit, run.steps, run.resume) for run in runs] == [
        (fold, ["drum"], 5, True) for fold in (1, 2, 3, 4)
    ]
    assert has_text_tower == [False, True, True, True]
    assert scored == [set(), {2}, set(), {4}]
    assert capsys.readouterr().out.splitlines()[2] == "| clips | 0.000 | 2.000 | 0.000 | 2.000 | 1.000 |"

"""A table becomes a checkpoint that is better on what was held out, or nothing."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

import pe_search
from pe_search.errors import TuningError
from pe_search.model import Wanted
from pe_search.pe_audio.tuning.training import Training
from pe_search.tuner import Tuner, work_folder
from pe_search.tuning import running
from pe_search.tunings import Tuning
from tests.made_up import noise, tone, write_audio

STEPS = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Tones that are dogs, noise that is rain, six recordings of each; and a table of them."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for number in range(6):
        write_audio(folder / f"dog{number}.wav", tone(0.3, 300 + 20 * number))
        write_audio(folder / f"rain{number}.wav", noise(0.3, number))
        rows += [(f"dog{number}.wav", "dog barking"), (f"rain{number}.wav", "rain")]
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return folder


def tune(data: Path, out: Path, checkpoint: Path, table: str = "labels.csv", **options: object) -> Tuning:
    return pe_search.tune(data / table, out, str(checkpoint), **{"steps": STEPS, **options})


@pytest.fixture(scope="module")
def unbroken(data, plain_checkpoint, tmp_path_factory) -> tuple[Tuning, Path, list[object]]:
    """A tuning that writes whatever comes of it, its result, and what it told."""
    told: list[object] = []
    out = tmp_path_factory.mktemp("unbroken") / "tuned"
    found = tune(data, out, plain_checkpoint[0], force=True, on_scores=told.append)
    return found, out, told


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("steps", "measured_at"), [(1, [0, 1]), (2, [0, 1, 2])])
def test_the_last_step_is_measured_once(data, plain_checkpoint, tmp_path, steps, measured_at):
    told: list[object] = []
    tune(data, tmp_path / "tuned", plain_checkpoint[0], steps=steps, force=True, on_scores=told.append)
    assert [scores.step for scores in told] == measured_at


def test_the_result_is_a_checkpoint_that_index_takes(unbroken, data, tmp_path):
    found, out, told = unbroken
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert [path.name for path in out.parent.iterdir()] == ["tuned"]
    assert found.directory == out
    assert (found.learned_from, found.held_out, found.recordings, found.problems) == (8, 4, 12, 0)
    assert [(one.text, one.held_out) for one in found.texts] == [("dog barking", 2), ("rain", 2)]
    assert [scores.step for scores in told] == [0, 2, 3, 5, 6]
    assert (told[-1].new, told[-1].old) == (found.new_after, found.old_after)
    with pe_search.create(tmp_path / "store", str(out)) as library:
        assert library.index(data).clips == 12
        assert len(list(library.query("rain", k=None))) == 12
        # What `evaluate` makes of the store is what was measured, where all clips are asked.
        evaluation = library.evaluate(data / "labels.csv", drawings=0)
    assert {one.text for one in evaluation.of_texts} == {"dog barking", "rain"}


def test_equal_seeds_give_equal_checkpoints(unbroken, data, plain_checkpoint, tmp_path):
    found, out, _ = unbroken
    again = tune(data, tmp_path / "again", plain_checkpoint[0], force=True)
    assert again == replace(found, directory=tmp_path / "again")
    assert weights(tmp_path / "again") == weights(out)


def test_a_run_that_was_stopped_goes_on_and_equals_an_unbroken_one(
    unbroken, data, plain_checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setattr(running, "_SAVED_EVERY_STEPS", 2)
    taken: list[int] = []
    step = Training.step

    def interrupted(self: Training) -> float:
        if self.steps_done == 3 and len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(self.steps_done)
        return step(self)

    monkeypatch.setattr(Training, "step", interrupted)
    out = tmp_path / "tuned"
    with pytest.raises(KeyboardInterrupt):
        tune(data, out, plain_checkpoint[0], force=True)
    # No half checkpoint: what is done is in a hidden folder.
    assert [path.name for path in tmp_path.iterdir()] == [".tuned.tuning"] == [work_folder(out).name]
    encoded: list[object] = []
    found = tune(data, out, plain_checkpoint[0], force=True, on_reading=encoded.append)
    assert taken == [0, 1, 2, 2, 3, 4, 5]
    # Nothing went through the codec again.
    assert encoded[-1].audio_s == 0
    assert found == replace(unbroken[0], directory=out)
    assert weights(out) == weights(unbroken[1])
    assert [path.name for path in tmp_path.iterdir()] == ["tuned"]


def test_nothing_is_written_if_what_is_held_out_gets_no_better(data, plain_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "step", lambda self: setattr(self, "steps_done", self.steps_done + 1))
    found = tune(data, tmp_path / "tuned", plain_checkpoint[0])
    assert not found.improves
    assert found.directory is None
    assert [one.after for one in found.texts] == [pytest.approx(one.before) for one in found.texts]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_if_old_words_fall(data, plain_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(Tuning, "improves", True)
    monkeypatch.setattr(running._Run, "_measure", lambda _self, _training, texts: ([0.0] * len(texts), None))
    found = tune(data, tmp_path / "tuned", plain_checkpoint[0], new="dog barking", steps=1)
    assert [one.is_new for one in found.texts] == [True, False]
    assert not found.keeps
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_told_and_spoils_nothing(unbroken, data, plain_checkpoint, tmp_path):
    (data / "broken.wav").write_bytes(b"no audio")
    rows = (data / "labels.csv").read_text() + "broken.wav,rain\nmissing.wav,rain\n"
    (data / "broken.csv").write_text(rows)
    told: list[pe_search.Problem] = []
    found = tune(data, tmp_path / "tuned", plain_checkpoint[0], "broken.csv", force=True, on_problem=told.append)
    assert {problem.path.name for problem in told} == {"broken.wav", "missing.wav"}
    assert found == replace(unbroken[0], directory=tmp_path / "tuned", problems=2)
    assert weights(tmp_path / "tuned") == weights(unbroken[1])
    (data / "broken.wav").unlink()


def test_a_library_tunes_the_checkpoint_of_its_store(data, plain_checkpoint, tmp_path):
    with pe_search.create(tmp_path / "store", str(plain_checkpoint[0]), window_s=0.2) as library:
        found = library.tune(data / "labels.csv", tmp_path / "tuned", steps=1, force=True)
    assert found.model == str(plain_checkpoint[0])
    assert (tmp_path / "tuned" / "model.safetensors").is_file()


def test_captions_are_all_new_and_have_no_learned_word(data, plain_checkpoint, tmp_path):
    rows = [f"dog{number}.wav,a dog {number}" for number in range(6)]
    (data / "captions.csv").write_text("\n".join(["path,caption", *rows]) + "\n")
    found = tune(data, tmp_path / "tuned", plain_checkpoint[0], "captions.csv", steps=1, force=True)
    assert (found.learned_from, found.held_out) == (4, 2)
    assert {one.is_new for one in found.texts} == {True}
    assert (len(found.texts), len(found.unmeasured), found.new_learned) == (2, 4, None)


@pytest.mark.parametrize(
    ("rows", "options", "error"),
    [
        (["dog0.wav,dog barking"], {}, "labels.csv has too few recordings: some are learned from and others measured "),
        (["dog0.wav,dog", "dog1.wav,dog"], {"new": "cat"}, "labels.csv has no label 'cat'."),
    ],
)
def test_too_little_is_a_line(data, plain_checkpoint, tmp_path, rows, options, error):
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *(f"{data}/{row}" for row in rows)]) + "\n")
    with pytest.raises(TuningError) as raised:
        tune(tmp_path, tmp_path / "tuned", plain_checkpoint[0], **options)
    assert error in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_a_folder_that_is_there_and_one_that_another_run_makes(data, plain_checkpoint, tmp_path):
    from filelock import FileLock

    with pytest.raises(TuningError, match="is there already"):
        tune(data, tmp_path, plain_checkpoint[0])
    with pytest.raises(TuningError, match="There is no folder"):
        tune(data, tmp_path / "no" / "tuned", plain_checkpoint[0])
    work_folder(tmp_path / "tuned").mkdir()
    with (
        FileLock(work_folder(tmp_path / "tuned") / "lock"),
        pytest.raises(TuningError, match="Another run tunes for"),
    ):
        tune(data, tmp_path / "tuned", plain_checkpoint[0])
    assert work_folder(tmp_path / "tuned").is_dir()


@pytest.mark.parametrize("options", [{"steps": 0}, {"seed": -1}])
def test_values_out_of_range(data, tmp_path, options):
    with pytest.raises(ValueError, match="must be"):
        Tuner(Wanted()).tune(data / "labels.csv", tmp_path / "tuned", **options)

"""Language models tuned on tables of captions: what is read, held out, learned and written."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pe_search.descriptions import DESCRIBE
from pe_search.errors import QueryError, TableError, TuningError
from pe_search.language.conversations import SAMPLE_RATE_HZ, Conversation, as_heard
from pe_search.language.opening import open_language_model
from pe_search.language.tuning import training
from pe_search.language.tuning.training import CaptionTraining, Lesson
from pe_search.listener import nothing_around
from pe_search.records import Problem
from pe_search.tuner import Tuner, work_folder
from pe_search.tuning import heard
from pe_search.tunings import CaptionLoss, CaptionTuning
from tests.language.tiny import make_language_model
from tests.made_up import noise, tone, write_audio

LOW, HIGH = "a low tone", "a high tone"
LOW_HZ = [200.0 + 10 * number for number in range(10)]
HIGH_HZ = [3_000.0 + 100 * number for number in range(10)]


def write_table(file: Path, header: str, rows: Iterable[tuple[object, ...]]) -> Path:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([tuple(header.split(",")), *rows])
    return file


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> Path:
    """Ten low tones and ten high ones, with a table of captions; never changed."""
    folder = tmp_path_factory.mktemp("tones")
    rows = []
    for text, pitches in ((LOW, LOW_HZ), (HIGH, HIGH_HZ)):
        for hz in pitches:
            write_audio(folder / f"{hz:g}.wav", tone(0.5, hz))
            rows.append((f"{hz:g}.wav", text))
    return write_table(folder / "captions.csv", "path,caption", rows)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of a tiny model of a kind; made once."""
    kept: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in kept:
            kept[kind] = tmp_path_factory.mktemp("models") / "model"
            make_language_model(kept[kind], kind, longest_s=1)
        return kept[kind]

    return of


def tune(table: Path, out: Path, model: Path, **options) -> CaptionTuning:
    tuner = Tuner(device="cpu", dtype="float32")
    return tuner.tune_language_model(table, out, language_model=str(model), **options)


def answers_of(name: Path, *pitches_hz: float) -> list[str]:
    model = open_language_model(str(name), "cpu", "float32", nothing_around)
    return list(model.answer([Conversation(as_heard(tone(0.5, hz)), DESCRIBE) for hz in pitches_hz]))


# End to end


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "is_merged"), [("Audio Flamingo 3", False), ("Qwen2-Audio", True)])
def test_two_tones_are_told_apart_after_twenty_captions(tones, models, tmp_path, monkeypatch, kind, is_merged):
    monkeypatch.setattr(training, "_CPU_SHARE", 8)
    model, out, losses = models(kind), tmp_path / "tuned", []
    found = tune(tones, out, model, steps=150, merge=is_merged, on_loss=losses.append)
    assert found.directory == out
    assert (found.learned_from, found.held_out, found.recordings, found.problems) == (15, 5, 20, 0)
    assert [one.step for one in losses] == [0, 38, 75, 113, 150]
    assert (losses[0], losses[-1]) == (CaptionLoss(0, found.before), CaptionLoss(150, found.after))
    assert found.after < 0.3 < 5 < found.before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tuned"]
    # Pitches between those of the table.
    assert answers_of(out, 225.0, 265.0, 3_150.0, 3_750.0) == [LOW, LOW, HIGH, HIGH]
    assert not {LOW, HIGH} & set(answers_of(model, 225.0, 3_150.0))
    weights = {path.name for path in out.glob("*.safetensors")}
    assert weights == {"model.safetensors" if is_merged else "adapter_model.safetensors"}
    assert not list(out.glob("*.bin"))
    if is_merged:
        # What is learned next is wrong, and what is held out is right: it gets worse.
        rows = [(f"{hz:g}.wav", HIGH, "train") for hz in LOW_HZ[:8]] + [
            (f"{hz:g}.wav", LOW, "test") for hz in LOW_HZ[8:]
        ]
        wrong = write_table(tones.parent / "wrong.csv", "path,caption,split", rows)
        refused = tune(wrong, tmp_path / "worse", out, steps=30)
        assert refused.after > refused.before
        assert (refused.directory, refused.improves) == (None, False)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["tuned"]


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_and_ends_as_one_that_never_was(tones, models, tmp_path):
    model, options = models("Audio Flamingo 3"), {"steps": 12, "seed": 4}
    whole = tune(tones, tmp_path / "whole", model, **options)
    shares: list[float] = []

    def stop(share: float) -> None:
        shares.append(share)
        if share > 11 / 12 - 1e-9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(tones, tmp_path / "out", model, on_progress=stop, **options)
    assert not (tmp_path / "out").exists()
    assert work_folder(tmp_path / "out").is_dir()
    shares.clear()
    again = tune(tones, tmp_path / "out", model, on_progress=shares.append, **options)
    assert shares == [10 / 12, 11 / 12, 1.0], "what was saved after ten steps was not done again"
    assert not work_folder(tmp_path / "out").exists()
    assert (again.before, again.after) == (whole.before, whole.after)
    name = "adapter_model.safetensors"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


# Nothing is learned in what follows, so that only the table counts.


@dataclass
class Seen:
    """What would be learned from and measured on: question, answer and sound of each caption."""

    learned: list[tuple[str, str, NDArray[np.float32]]] = field(default_factory=list)
    measured: list[tuple[str, str, NDArray[np.float32]]] = field(default_factory=list)
    losses: tuple[float, float] = (2.0, 1.0)


def as_seen(lessons: Iterable[Lesson]) -> list[tuple[str, str, NDArray[np.float32]]]:
    return [(one.question, one.answer, one.read()) for one in lessons]


@pytest.fixture
def seen(monkeypatch) -> Seen:
    found = Seen()

    class Learns(CaptionTraining):
        def __init__(self, _checkpoint, _device, _dtype, lessons, _plan):
            self.steps_done = 0
            found.learned = as_seen(lessons)

        def loss_of(self, lessons):
            found.measured = as_seen(lessons)
            return found.losses[min(self.steps_done, 1)]

        def step(self):
            self.steps_done += 1

        def load_state(self, _file):
            pass

        def save_state(self, _file):
            pass

        def save_adapter(self, directory):
            (directory / "adapter_model.safetensors").write_bytes(b"")

    monkeypatch.setattr("pe_search.language.tuning.training.CaptionTraining", Learns)
    monkeypatch.setattr("pe_search.language.adapters.find_adapter", lambda _name: None)
    return found


@pytest.fixture
def model(models) -> Path:
    return models("Audio Flamingo 3")


def test_a_result_that_is_no_better_is_not_written_but_by_force(seen, tones, model, tmp_path):
    seen.losses = 2.0, 2.0
    found = tune(tones, tmp_path / "out", model, steps=1)
    assert (found.improves, found.directory) == (False, None)
    assert list(tmp_path.iterdir()) == []
    assert tune(tones, tmp_path / "out", model, steps=1, force=True).directory == tmp_path / "out"


def test_questions_parts_and_splits_of_a_table(seen, model, tmp_path):
    low, high = tone(1.0, 300), tone(1.0, 3_000)
    write_audio(tmp_path / "both.wav", np.concatenate([low, high]))
    write_audio(tmp_path / "other.wav", noise(0.02))
    rows = [
        ("both.wav", LOW, "", "0", "1", "train"),
        ("both.wav", HIGH, "Which tone?", "1", "2", "Train"),
        ("both.wav", "two tones", "", "", "", "train"),
        ("other.wav", "a click", "", "", "", "validation"),
    ]
    table = write_table(tmp_path / "t.csv", "path,caption,question,start,end,split", rows)
    found = tune(table, tmp_path / "out", model, steps=1, question="What is it?")
    assert (found.learned_from, found.held_out, found.recordings) == (3, 1, 2)
    learned = [(question, answer, len(samples) / SAMPLE_RATE_HZ) for question, answer, samples in seen.learned]
    assert sorted(learned) == [
        ("What is it?", LOW, 1.0),
        ("What is it?", "two tones", 2.0),
        ("Which tone?", HIGH, 1.0),
    ]
    # As `ask` hears it: at 16 kHz, with silence after what is too short.
    assert [len(samples) for *_, samples in seen.measured] == [1_600]


def test_a_caption_hears_what_its_part_is(seen, model, tmp_path):
    parts = np.concatenate([tone(1.0, 300), tone(1.0, 3_000)])
    write_audio(tmp_path / "a.wav", parts)
    write_audio(tmp_path / "b.wav", noise(1.0))
    rows = [("a.wav", HIGH, 1, 2), ("b.wav", "noise", "", "")]
    tune(write_table(tmp_path / "t.csv", "path,caption,start,end", rows), tmp_path / "out", model, steps=1)
    (found,) = [samples for _, answer, samples in seen.learned + seen.measured if answer == HIGH]
    np.testing.assert_allclose(found, as_heard(parts[48_000:]), atol=1e-4)


def test_rows_that_can_not_be_used_are_named_and_left_out(seen, model, tmp_path):
    write_audio(tmp_path / "long.wav", noise(31))
    write_audio(tmp_path / "silent.wav", np.zeros(48_000, np.float32))
    (tmp_path / "broken.wav").write_bytes(b"RIFF no audio")
    for name in ("a", "b"):
        write_audio(tmp_path / f"{name}.wav", noise(1.0, ord(name)))
    rows = [
        ("long.wav", "whole", "", ""),
        ("long.wav", "too long", 0, 30.5),
        ("long.wav", "part", 1, 2),
        ("long.wav", "beyond", 30, 32),
        ("silent.wav", "nothing", "", ""),
        ("broken.wav", "x", "", ""),
        ("gone.wav", "x", "", ""),
        ("a.wav", "a", "", ""),
        ("b.wav", "b", "", ""),
    ]
    problems: list[Problem] = []
    table = write_table(tmp_path / "t.csv", "path,caption,start,end", rows)
    found = tune(table, tmp_path / "out", model, steps=1, on_problem=problems.append)
    assert found.learned_from + found.held_out == 3
    assert {answer for _, answer, _ in seen.learned + seen.measured} == {"part", "a", "b"}
    told = {(one.path.name, one.reason) for one in problems}
    assert found.problems == len(problems) == 6
    assert told > {
        ("long.wav", "is longer than 30 s; give start and end in the table (line 2 of the table)"),
        ("long.wav", "0:00–0:30.5 is about more than 30 s (line 3 of the table)"),
        ("long.wav", "0:30–0:32 ends before 32 s (line 5 of the table)"),
        ("silent.wav", "is silent (line 6 of the table)"),
    }
    assert {name for name, _ in told} == {"long.wav", "silent.wav", "broken.wav", "gone.wav"}


def test_recordings_are_held_out_as_a_whole_and_clips_of_the_same_bytes_are_one(seen, model, tmp_path):
    rows = []
    for recording in range(4):
        for part in range(3):
            name = f"{recording}-{part}.wav"
            write_audio(tmp_path / name, noise(0.2, 10 * recording + part))
            rows.append((name, f"{recording} {part}", f"r{recording}"))
    shutil.copy(tmp_path / "0-0.wav", tmp_path / "copy.wav")
    rows.append(("copy.wav", "0 copy", "elsewhere"))
    found = tune(write_table(tmp_path / "t.csv", "path,caption,recording", rows), tmp_path / "out", model, steps=1)
    assert found.recordings == 4
    learned, measured = ({answer[0] for _, answer, _ in some} for some in (seen.learned, seen.measured))
    assert len(learned) == 3
    assert learned | measured == {"0", "1", "2", "3"}
    assert not learned & measured


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("path,label", [("{a}", "x"), ("{b}", "y")], "has no column caption, and a language model learns captions"),
        ("path,caption", [("{a}", "x")], "has too few recordings"),
        ("path,caption,split", [("{a}", "x", "train"), ("{b}", "y", "train")], "has too few recordings"),
        (
            "path,caption,split",
            [("{a}", "x", "train"), ("{a}", "y", "test"), ("{b}", "z", "test")],
            "t.csv, line 2: a recording is in train or in test as a whole",
        ),
    ],
)
def test_tables_that_nothing_can_be_learned_from(tones, model, tmp_path, header, rows, message):
    names = {"a": f"{tones.parent}/200.wav", "b": f"{tones.parent}/3000.wav"}
    table = write_table(tmp_path / "t.csv", header, [tuple(value.format(**names) for value in row) for row in rows])
    with pytest.raises(TuningError) as caught:
        tune(table, tmp_path / "out", model, steps=1)
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_split_that_is_neither_is_told_with_its_line(tones, model, tmp_path):
    rows = [(f"{tones.parent}/200.wav", "x", "train"), (f"{tones.parent}/3000.wav", "y", "fold 2")]
    with pytest.raises(TableError, match=r"line 3: split must be train or test; it is 'fold 2'\."):
        tune(write_table(tmp_path / "t.csv", "path,caption,split", rows), tmp_path / "out", model)


def test_more_sound_than_there_is_room_for_is_refused(tones, model, tmp_path, monkeypatch):
    monkeypatch.setattr(heard, "LARGEST_BYTES", 50_000)
    with pytest.raises(TuningError, match="The captions are about more sound than"):
        tune(tones, tmp_path / "out", model, steps=1)


def test_arguments_that_make_no_sense(tones, model, tmp_path):
    with pytest.raises(QueryError, match="The question is empty"):
        tune(tones, tmp_path / "out", model, question=" ")
    with pytest.raises(ValueError, match="steps=0 must be 1 or more"):
        tune(tones, tmp_path / "out", model, steps=0)
    with pytest.raises(TuningError, match="is there already"):
        tune(tones, tones.parent, model)

"""`pe-search tune --language-model`: what is printed, the exit status, and what `describe` makes of the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pe_search.language import local
from pe_search.language.tuning.training import CaptionTraining
from pe_search.tuner import Tuner
from pe_search.tunings import CaptionLoss, CaptionTuning
from tests.cli.conftest import Outcome
from tests.language.tiny import make_language_model
from tests.made_up import tone, write_audio

ARGS = ("tune", "--data", "captions.csv", "--out", "tuned", "--language-model", "model")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    make_language_model(folder, "Audio Flamingo 3", longest_s=1)
    return folder


@pytest.fixture
def folder(tmp_path, model, monkeypatch) -> Path:
    """Four tones, a table of captions, and a language model."""
    rows = ["path,answer"]
    for hz, text in ((300, "low"), (350, "low"), (3_000, "high"), (3_500, "high")):
        write_audio(tmp_path / f"{hz}.wav", tone(0.3, hz))
        rows.append(f"{hz}.wav,{text}")
    (tmp_path / "captions.csv").write_text("\n".join(rows))
    (tmp_path / "model").symlink_to(model)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tell(monkeypatch: pytest.MonkeyPatch, directory: Path | None, **changes: object) -> None:
    """Let a tuning end with some figures, without any work."""

    def tune(_self: Tuner, _data: Path, _out: Path, **options: object) -> CaptionTuning:
        options["on_loss"](CaptionLoss(100, 1.5))
        usual = {"before": 2.0, "after": 1.25, "problems": 0} | changes
        return CaptionTuning("m", 9, 3, 12, steps=200, directory=directory, **usual)

    monkeypatch.setattr(Tuner, "tune_language_model", tune)


def test_an_adapter_is_made_and_describes(run_cli, folder, plain_checkpoint, monkeypatch):
    monkeypatch.setattr(local, "LONGEST_ANSWER_TOKENS", 8)
    outcome = run_cli(*ARGS, "--steps", "2", "--force")
    assert outcome.status == 0, outcome.err
    (row,) = [json.loads(line) for line in outcome.out.splitlines()]
    assert list(row) == ["figure", "before", "after"]
    lines = outcome.err.splitlines()
    assert [line.split(" loss ")[0] for line in lines[:3]] == [f"Step {step} of 2, held out:" for step in (0, 1, 2)]
    assert lines[3:] == [
        "3 captions learned. Language model: tuned",
        "Ask it: `pe-search describe PATH --language-model tuned`",
    ]
    assert json.loads((folder / "tuned" / "adapter_config.json").read_text())["peft_type"] == "LORA"
    described = run_cli("describe", "300.wav", "--language-model", "tuned", "--model", plain_checkpoint[0])
    assert described.status == 0, described.err
    (answer,) = [json.loads(line) for line in described.out.splitlines()]
    assert answer["model"] == str(folder / "tuned")
    again = run_cli(*ARGS)
    assert again == Outcome(
        2, b"", f"pe-search: {folder}/tuned is there already. Name a folder that isn't there yet.\n"
    )


def test_the_figure_as_a_table(run_cli, folder, monkeypatch):
    tell(monkeypatch, folder / "tuned")
    outcome = run_cli(*ARGS, "--format", "table")
    assert outcome.status == 0
    assert outcome.out.decode().splitlines() == [
        "before  after  held out",
        " 2.000  1.250  loss of 3 captions",
    ]
    assert outcome.err.splitlines() == [
        "Step 100 of 200, held out: loss 1.500",
        "9 captions learned. Language model: tuned",
        "Ask it: `pe-search describe PATH --language-model tuned`",
    ]


def test_what_is_no_better_is_status_1_and_one_line(run_cli, folder, monkeypatch):
    tell(monkeypatch, None, after=2.5)
    outcome = run_cli(*ARGS)
    assert outcome.status == 1
    assert outcome.err.splitlines()[1:] == [
        "pe-search: nothing written: the captions that were held out are not foretold better. Give more recordings, or "
        "use --force."
    ]


def test_a_clip_that_is_left_out_is_status_2(run_cli, folder, monkeypatch):
    tell(monkeypatch, folder / "tuned", problems=1)
    assert run_cli(*ARGS).status == 2


def test_ctrl_c_says_how_to_go_on(run_cli, folder, monkeypatch):
    def interrupted(_self: CaptionTraining) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(CaptionTraining, "step", interrupted)
    outcome = run_cli(*ARGS)
    assert outcome.status == 130
    assert outcome.err.splitlines()[-1] == (
        "Interrupted; the same command goes on from what is done. To drop that, remove .tuned.tuning."
    )
    assert not (folder / "tuned").exists()


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("--new", "low"), "--new: can't be used with --language-model."),
        (("--model", "builtin"), "--model: can't be used with --language-model."),
        (("--revision", "main"), "--revision: can't be used with --language-model."),
        (("--store", "x"), "--store: can't be used with --language-model."),
        (("--question", " "), "--question: must not be empty."),
        (("--dtype", "float16"), "float16 has no room for the gradients. Use --dtype bfloat16 or float32."),
    ],
)
def test_wrong_options(run_cli, folder, args, error):
    assert run_cli(*ARGS, *args) == Outcome(2, b"", f"pe-search: {error}\n")


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("--question", "x"), "--question: requires --language-model."),
        (("--merge",), "--merge: requires --language-model."),
    ],
)
def test_options_of_language_models_alone(run_cli, folder, args, error):
    assert run_cli(*ARGS[:5], *args) == Outcome(2, b"", f"pe-search: {error}\n")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "http://localhost:1/v1",
            "http://localhost:1/v1 is a server. Name a checkpoint: a Hugging Face id or a directory.",
        ),
        (
            "nobody",
            "There is no language model 'nobody': give a Hugging Face id like Qwen/Qwen2-Audio-7B-Instruct, or a "
            "directory.\n",
        ),
        (__file__, f"{__file__!r} is a file, and a model is a directory with a checkpoint.\n"),
    ],
)
def test_what_is_no_language_model(run_cli, folder, name, error):
    outcome = run_cli(*ARGS[:5], "--language-model", name)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, b"", 1)
    assert outcome.err.startswith(f"pe-search: {error}")


def test_the_language_model_of_the_environment_is_not_tuned(run_cli, folder, monkeypatch):
    """That is for asking: `tune` alone adapts a checkpoint of sounds."""
    monkeypatch.setenv("PE_SEARCH_LANGUAGE_MODEL", "model")
    monkeypatch.setattr(Tuner, "tune_language_model", None)
    outcome = run_cli(*ARGS[:5], "--new", "low", "--steps", "0")
    assert outcome.err == "pe-search: --steps: '0' must be a whole number from 1 to 1000000.\n"
    monkeypatch.setattr(Tuner, "tune", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run_cli(*ARGS[:5]).status == 130

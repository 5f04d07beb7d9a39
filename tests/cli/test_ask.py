"""`pe-search ask` and `describe`: what a language model says of sounds, scored by the checkpoint."""

from __future__ import annotations

import csv
import io
import json
import re
import wave
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import TEXTS, Library
from tests.language.stand_in import StandIn, hears, refused, said
from tests.made_up import noise, write_audio

KEYS = ["path", "start_s", "end_s", "question", "answer", "score", "probability", "model"]


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn(hears("rain")) as server:
        yield server


@pytest.fixture
def ask(run_cli, library, server):
    def run(*args: object, command: str = "ask", status: int = 0, store: object = None):
        place = ("--store", store or library.store)
        outcome = run_cli(command, *args, "--language-model", server.url, *place)
        assert outcome.status == status, outcome.err
        return outcome

    return run


def rows_of(out: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def sound_of(request) -> tuple[int, np.ndarray]:
    """The rate and samples of the sound that was sent."""
    (part,) = [part for part in request.json["messages"][0]["content"] if part["type"] == "input_audio"]
    with wave.open(io.BytesIO(b64decode(part["input_audio"]["data"]))) as file:
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def expected(library: Library, text: str) -> dict[tuple[str, float, float], float]:
    """By upstream: the probability of a text in each window."""
    column = library.logits[:, TEXTS.index(text)]
    return {
        (str(place.path), place.start_s, place.end_s): 1 / (1 + np.exp(-float(logit)))
        for place, logit in zip(library.places, column, strict=True)
    }


def test_captions_are_of_the_windows_of_the_store_with_the_probabilities_of_upstream(ask, library, server):
    outcome = ask(library.sounds, command="describe")
    rows = rows_of(outcome.out)
    assert outcome.err == ""
    assert all(list(row) == KEYS for row in rows)
    assert {row["answer"] for row in rows} == {"rain"}
    assert {row["model"] for row in rows} == {f"{server.url}#tiny-audio"}
    wanted = expected(library, "rain")
    found = {(row["path"], row["start_s"], row["end_s"]): row["probability"] for row in rows}
    assert set(found) == set(wanted)
    np.testing.assert_allclose([found[place] for place in wanted], list(wanted.values()), atol=5e-3)
    assert len(server.chats) == len(library.places)


def test_without_a_path_the_store_is_described(ask, library):
    rows = rows_of(ask(command="describe").out)
    assert len(rows) == len(library.places)


def test_a_whole_file_is_one_sound_at_16_khz(ask, library, server):
    (row,) = rows_of(ask("What is this?", library.sounds / "weather" / "wind.wav").out)
    assert (row["start_s"], row["end_s"], row["question"], row["answer"]) == (0.0, 3.0, "What is this?", "rain")
    rate_hz, samples = sound_of(server.chats[0])
    assert (rate_hz, len(samples)) == (16_000, 48_000)


def test_a_part_is_that_part(ask, library, server):
    path = library.sounds / "weather" / "storm.wav"
    (row,) = rows_of(ask("What is this?", f"{path}@0.64-1.92").out)
    assert (row["start_s"], row["end_s"]) == (0.64, 1.92)
    wanted = expected(library, "rain")[str(path), 0.64, 1.92]
    assert row["probability"] == pytest.approx(wanted, abs=5e-3)
    assert len(sound_of(server.chats[0])[1]) == round(1.28 * 16_000)


def test_the_language_model_hears_what_is_in_the_file(ask, server, tmp_path):
    t = np.arange(48_000) / 48_000
    path = write_audio(tmp_path / "a.wav", (0.25 * np.sin(2 * np.pi * 1_000 * t)).astype(np.float32))
    ask("What is this?", path)
    _, samples = sound_of(server.chats[0])
    at_rate = 0.25 * np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(samples[100:-100], at_rate[100:-100], atol=1e-3)


def test_a_very_short_sound_has_silence_after_it(ask, server, tmp_path):
    path = write_audio(tmp_path / "click.wav", noise(0.02))
    (row,) = rows_of(ask("What is this?", path).out)
    assert row["end_s"] == 0.02
    _, samples = sound_of(server.chats[0])
    assert len(samples) == 1_600
    assert samples[:300].any()
    assert not samples[330:].any()


def test_silence_is_asked_nothing_about(ask, server, tmp_path):
    path = write_audio(tmp_path / "silence.wav", np.zeros(48_000, np.float32))
    outcome = ask("What is this?", path, status=1)
    assert (outcome.out, server.received) == (b"", [])
    assert outcome.err == f"pe-search: {path}: is silent at 0:00–0:01; nothing is asked about that\n"


def test_bad_files_spoil_nothing(ask, library, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF no audio")
    long = write_audio(tmp_path / "long.wav", noise(31))
    good = library.sounds / "dogs" / "bark.wav"
    files = (tmp_path / "broken.wav", tmp_path / "gone.wav", long, f"{long}@0-31", f"{good}@0-9", good, f"{long}@1-31")
    outcome = ask("What is this?", *files, status=2)
    assert [Path(str(row["path"])).name for row in rows_of(outcome.out)] == ["long.wav", "bark.wav"]
    assert outcome.err.count("\n") == 5
    assert f"pe-search: {long}: is longer than 30 s. Ask about a part, as in long.wav@0-30\n" in outcome.err
    assert f"pe-search: {long}: 0:00–0:31 is too long: ask about 30 s at most\n" in outcome.err


def test_a_question_without_an_answer_spoils_no_other(run_cli, library):
    count = iter(range(100))

    def answer(request):
        return refused(500, "oops") if request.has_sound and next(count) == 1 else hears("rain")(request)

    with StandIn(answer) as server:
        args = ("--language-model", server.url, "--store", library.store)
        outcome = run_cli("describe", library.sounds / "weather" / "storm.wav", *args)
    assert outcome.status == 2
    assert len(rows_of(outcome.out)) == 3
    assert outcome.err.endswith(f"{server.url} refuses with status 500: oops\n")
    assert outcome.err.count("\n") == 1


def test_what_the_sound_does_not_bear_out_is_left_out(ask, library):
    chances = expected(library, "rain")
    bound = float(np.median(list(chances.values())))
    outcome = ask(library.sounds, "--min-probability", bound, command="describe")
    assert len(rows_of(outcome.out)) == pytest.approx(len(chances) / 2, abs=1)
    assert ask(library.sounds, "--min-probability", 1, command="describe", status=1).out == b""


def test_csv_and_the_table_say_the_same(ask, library, run_cli_on_terminal, server):
    path = library.sounds / "dogs" / "bark.wav"
    (row,) = rows_of(ask("What is this?", path).out)
    table = list(csv.DictReader(io.StringIO(ask("What is this?", path, "--format", "csv").out.decode())))
    assert table == [{name: str(value) for name, value in row.items()}]
    shown = run_cli_on_terminal("ask", "What?", path, "--language-model", server.url, "--store", library.store)
    assert f"{row['probability']:.2f}  0:00–0:01.3" in shown
    assert shown.endswith("\n  rain\n")


def test_long_answers_and_odd_characters_in_a_table(library, run_cli_on_terminal):
    answer = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen " * 2
    with StandIn(hears(f"{answer}\n\n\x1b[31mred")) as server:
        args = ("--language-model", server.url, "--store", library.store)
        shown = run_cli_on_terminal("ask", "What?", library.sounds / "dogs" / "bark.wav", *args)
    body = re.sub(r"\x1b\[\d*m", "", shown).split("bark.wav\n")[1].splitlines()
    assert all(line.startswith("  ") and len(line) <= 100 for line in body)
    assert " ".join(line.strip() for line in body[:-1]).split() == answer.split()
    assert body[-1] == "  \\x1b[31mred"


def test_no_store_is_needed(run_cli, library, server, tmp_path):
    path = library.sounds / "dogs" / "bark.wav"
    args = ("--language-model", server.url, "--model", library.checkpoint)
    (row,) = rows_of(run_cli("ask", "What?", path, *args).out)
    assert row["probability"] == pytest.approx(expected(library, "rain")[str(path), 0.0, 1.28], abs=5e-3)


@pytest.mark.parametrize("command", [("ask", "What?"), ("describe",)])
def test_without_a_language_model_one_line_says_how_to_get_one(run_cli, library, command):
    outcome = run_cli(*command, library.sounds / "dogs" / "bark.wav", "--store", library.store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err.startswith("pe-search: No language model is chosen. Give --language-model, or set PE_SEARCH_LA")
    assert outcome.err.count("\n") == 1


def test_the_environment_names_the_language_model_and_its_key(run_cli, library, server, monkeypatch):
    monkeypatch.setenv("PE_SEARCH_LANGUAGE_MODEL", server.url)
    monkeypatch.setenv("PE_SEARCH_LANGUAGE_MODEL_KEY", "secret")
    outcome = run_cli("ask", "What?", library.sounds / "dogs" / "bark.wav", "--store", library.store)
    assert outcome.status == 0
    assert server.chats[0].headers["Authorization"] == "Bearer secret"
    assert "secret" not in outcome.err


def test_it_says_so_if_the_sound_leaves_the_machine(run_cli, library, monkeypatch):
    monkeypatch.setattr(
        "pe_search.language.server.ServerModel.answer", lambda _self, asked: iter(["rain"] * len(asked))
    )
    args = ("--language-model", "https://api.example.com/v1#x", "--store", library.store)
    outcome = run_cli("ask", "What?", library.sounds / "dogs" / "bark.wav", *args)
    assert (outcome.status, outcome.err) == (0, "pe-search: the sound is sent to another machine: api.example.com\n")


def test_a_server_that_hears_nothing_is_one_line(run_cli, library):
    with StandIn(lambda _request: said("A lovely dog.", 12)) as server:
        args = ("--language-model", server.url, "--store", library.store)
        outcome = run_cli("ask", "What?", library.sounds / "dogs" / "bark.wav", *args)
    assert (outcome.status, outcome.out) == (2, b"")
    assert "did not hear the sound" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(("args", "message"), [
    ((" ", "a.wav"), "QUESTION: must not be empty."),
    (("What?", "."), ". is a folder; FILE takes an audio file."),
    (("What?", "a.wav@3-2"), "FILE: "),
])  # fmt: skip
def test_what_can_not_be_asked(run_cli, args, message):
    outcome = run_cli("ask", *args, "--language-model", "http://localhost:1/v1#x")
    assert (outcome.status, outcome.out) == (2, b"")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1

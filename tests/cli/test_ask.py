"""`pe-search ask` and `describe`: what a language model says of sounds, scored by the checkpoint."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import wave
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from pe_search.cli.input.conversation import Conversation
from pe_search.clock import clock
from pe_search.descriptions import Turn
from pe_search.errors import PeSearchError
from pe_search.library import Library as OpenLibrary
from pe_search.queries import Query, Reference, Request, SpanRules
from pe_search.store import Store
from pe_search.store.answers import read_answers, write_answers
from pe_search.tasks import questioning
from tests.cli.conftest import TEXTS, Library, invoke
from tests.language.stand_in import StandIn, hears, refused, said
from tests.language.tiny import make_language_model
from tests.made_up import noise, write_audio

CUT = "the answer is cut at the limit of tokens; it ends with … and is not kept"
CHANGED = "has changed since it was indexed; the file as it is now is asked about, and no answer is kept"
KEYS = ["path", "start_s", "end_s", "question", "answer", "score", "probability", "model"]


@pytest.fixture(scope="module")
def library(library, tmp_path_factory):
    """With a store of its own, whose clips are found by their captions from the first description on."""
    return replace(library, store=copytree(library.store, tmp_path_factory.mktemp("described") / "store"))


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


def test_answers_come_in_the_order_of_what_is_asked_about_and_as_often(ask, library):
    bark, storm = library.sounds / "dogs" / "bark.wav", library.sounds / "weather" / "storm.wav"
    places = [f"{storm}@1.28-1.92", str(bark), f"{storm}@0.64-1.28", str(bark)]
    rows = rows_of(ask("What is this?", *places).out)
    assert [(row["path"], row["start_s"]) for row in rows] == [
        (str(storm), 1.28),
        (str(bark), 0.0),
        (str(storm), 0.64),
        (str(bark), 0.0),
    ]


def test_what_is_excluded_needs_a_path(ask, server):
    outcome = ask("--exclude", "*", command="describe", status=2)
    assert outcome.err == (
        "pe-search: --exclude: requires a PATH; without PATH, all clips of the store are described.\n"
    )
    assert server.received == []


def test_bad_files_spoil_nothing(ask, library, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF no audio")
    long = write_audio(tmp_path / "long.wav", noise(31))
    good = library.sounds / "dogs" / "bark.wav"
    files = (tmp_path / "broken.wav", tmp_path / "gone.wav", long, f"{long}@0-31", f"{good}@0-9", good, f"{long}@1-31")
    outcome = ask("What is this?", *files, status=2)
    assert [Path(str(row["path"])).name for row in rows_of(outcome.out)] == ["bark.wav", "long.wav"]
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


def test_a_question_without_an_answer_is_asked_once_and_so_are_those_after_it(run_cli, library):
    def answer(request):
        count = sum(one.has_sound for one in server.received)
        return refused(500) if request.has_sound and count % 2 == 0 else hears("rain")(request)

    with StandIn(answer) as server:
        args = ("--language-model", server.url, "--store", library.store)
        outcome = run_cli("describe", library.sounds, *args)
        assert len(server.chats) == len(library.places)
    assert outcome.status == 2
    assert len(rows_of(outcome.out)) + outcome.err.count("\n") == len(library.places)


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
    assert body[-1] == "  \ufffd[31mred"


def test_nothing_that_a_terminal_obeys_is_in_any_format(run_cli, library):
    with StandIn(lambda request: said("\x1b[31mred\x07\r\nb\ud800\x9b", 10 + 9 * request.has_sound)) as server:
        args = (library.sounds / "dogs" / "bark.wav", "--language-model", server.url, "--store", library.store)
        shown = [run_cli("ask", "What?", *args, "--format", one) for one in ("jsonl", "csv")]
    assert [one.status for one in shown] == [0, 0]
    assert rows_of(shown[0].out)[0]["answer"] == "\ufffd[31mred\ufffd\nb\ufffd\ufffd"
    (row,) = csv.DictReader(io.StringIO(shown[1].out.decode()))
    assert row["answer"] == "\ufffd[31mred\ufffd\nb\ufffd\ufffd"


def test_a_question_of_a_book_is_not_asked(run_cli, library, server):
    args = (library.sounds / "dogs" / "bark.wav", "--language-model", server.url, "--store", library.store)
    outcome = run_cli("ask", "x" * 5_001, *args)
    assert (outcome.status, outcome.out, server.received) == (2, b"", [])
    assert outcome.err == "pe-search: The question has 5,001 characters; ask one of at most 5,000.\n"


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


def test_a_language_model_in_a_folder_answers_end_to_end(run_cli, library, tmp_path, monkeypatch):
    monkeypatch.setattr("pe_search.language.local.LONGEST_ANSWER_TOKENS", 8)
    make_language_model(tmp_path / "model", "Audio Flamingo 3")
    args = ("--language-model", tmp_path / "model", "--store", library.store)
    outcome = run_cli("describe", library.sounds / "dogs", *args)
    rows = rows_of(outcome.out)
    # Eight tokens of random weights have no end.
    assert outcome.err.splitlines() == [
        f"pe-search: {row['path']}: {clock(0)}–{clock(row['end_s'])}: {CUT}" for row in rows
    ]
    assert [Path(str(row["path"])).name for row in rows] == ["bark.wav", "growl.wav"]
    assert {row["model"] for row in rows} == {str(tmp_path / "model")}
    for row in rows:
        (alone,) = rows_of(run_cli("ask", row["question"], row["path"], *args).out)
        assert alone["answer"] == row["answer"]


# query --ask


def asked(request) -> list[str]:
    """The questions in a request, the last one last."""
    messages = [message["content"] for message in request.json["messages"] if message["role"] == "user"]
    return [part if isinstance(part, str) else part[-1]["text"] for part in messages]


def test_each_hit_of_a_query_is_asked_about(ask, library, server):
    outcome = ask("church bell", "-k", 3, "--ask", "What is this?", command="query")
    rows = rows_of(outcome.out)
    assert [(row["path"], row["start_s"]) for row in rows] == [
        (str(place.path), place.start_s) for place, _ in library.ranking("church bell")[:3]
    ]
    wanted = expected(library, "rain")
    for row in rows:
        (answer,) = row["answers"]
        assert list(answer) == ["start_s", "end_s", "answer", "score", "probability"]
        assert (answer["start_s"], answer["end_s"], answer["answer"]) == (row["start_s"], row["end_s"], "rain")
        assert answer["probability"] == pytest.approx(wanted[row["path"], row["start_s"], row["end_s"]], abs=5e-3)
    assert [asked(request) for request in server.chats] == [["What is this?"]] * 3


def test_with_spans_each_span_is_asked_about(ask):
    spans = rows_of(ask("rain", "-k", 2, "--spans", "--threshold", 0, "--ask", "What?", command="query").out)
    assert len(spans) == 2
    for row in spans:
        assert row["answers"]
        for answer in row["answers"]:
            assert row["start_s"] <= answer["start_s"] < answer["end_s"] <= row["end_s"] + 1e-6


def test_csv_of_hits_has_a_row_for_each_answer(ask):
    outcome = ask("rain", "-k", 2, "--ask", "What?", "--format", "csv", "--fields", "path", command="query")
    table = list(csv.DictReader(io.StringIO(outcome.out.decode())))
    assert list(table[0]) == ["path", "answer_start_s", "answer_end_s", "answer", "answer_score", "answer_probability"]
    assert [row["answer"] for row in table] == ["rain", "rain"]


def test_a_table_of_hits_has_the_answer_below_each(library, run_cli_on_terminal, server):
    args = ("--ask", "What?", "--language-model", server.url, "--store", library.store)
    shown = re.sub(r"\x1b\[\d*m", "", run_cli_on_terminal("query", "rain", "-k", 2, *args))
    assert len(re.findall(r"^ +\d\.\d\d  rain *$", shown, re.MULTILINE)) == 2


def test_a_hit_that_changed_since_is_not_asked_about(ask, library, server, tmp_path):
    sounds = tmp_path / "sounds"
    write_audio(sounds / "a.wav", noise(0.5))
    invoke("index", sounds, "--model", library.checkpoint, "--store", tmp_path / "own")
    write_audio(sounds / "a.wav", noise(0.6, 1))
    outcome = ask("rain", "--ask", "What?", command="query", status=2, store=tmp_path / "own")
    (row,) = rows_of(outcome.out)
    assert row["answers"] == []
    assert server.chats == []
    assert outcome.err.endswith("a.wav: has changed since it was indexed; index it again\n")


@pytest.mark.parametrize("args", [("-0",), ("--format", "paths"), ("--format", "cue", "--spans")])
def test_paths_and_timelines_have_no_place_for_answers(ask, args):
    outcome = ask("rain", "--ask", "What?", *args, command="query", status=2)
    assert "--ask: requires --format table, jsonl, csv or parquet." in outcome.err


def test_the_conversation_asks_and_asks_on(library, capsys, server):
    with OpenLibrary(library.store) as store:
        hits = store.query("rain", k=2)
        talk = Conversation(store, Request((Query(),)), lambda *_: 0, lambda _: SpanRules(), None, server.url)
        talk._keep(hits)
        talk._do(":ask 1 What is this?")
        talk._do(":ask Is it loud?")
        talk._do(':ask 1 "And near?"')
        talk._do(":ask 2 What is this?")
        for wrong in (":ask", ":ask 3 What?", ":ask 1"):
            with pytest.raises(PeSearchError):
                talk._do(wrong)
    assert [asked(request) for request in server.chats] == [
        ["What is this?"],
        ["What is this?", "Is it loud?"],
        ["What is this?", "Is it loud?", "And near?"],
        ["What is this?"],
    ]
    assert capsys.readouterr().out.count("\n  rain\n") == 4


@pytest.fixture
def own(library, tmp_path, run_cli) -> Path:
    """A store of a test's own, with one clip of two windows."""
    write_audio(tmp_path / "sounds" / "a.wav", noise(2.56))
    args = ("--model", library.checkpoint, "--window", 1.28, "--store", tmp_path / "own")
    assert run_cli("index", tmp_path / "sounds", *args).status == 0
    return tmp_path / "own"


def test_answers_are_kept_and_read_when_asked_again(ask, server, own, tmp_path):
    path = tmp_path / "sounds" / "a.wav"
    first = ask(command="describe", store=own)
    assert len(server.chats) == len(rows_of(first.out)) == 2
    assert ask(command="describe", store=own).out == first.out
    path.rename(path.with_name("b.wav"))
    assert invoke("index", "--store", own).status == 0
    moved = rows_of(ask(command="describe", store=own).out)
    assert [row["answer"] for row in moved] == ["rain", "rain"]
    assert len(server.chats) == 2
    ask("Another question?", path.with_name("b.wav"), store=own)
    assert len(server.chats) == 3
    write_audio(path.with_name("b.wav"), noise(2.56, 1))
    changed = ask("Another question?", path.with_name("b.wav"), store=own)
    assert changed.err == f"pe-search: {path.with_name('b.wav')}: {CHANGED}\n"
    assert len(server.chats) == 4
    with OpenLibrary(own) as store:
        kept = read_answers(store.open().catalog)
    assert [(one.start_s, one.end_s, one.answer) for one in kept if one.question != "Another question?"] == [
        (0.0, 1.28, "rain"),
        (1.28, 2.56, "rain"),
    ]


def test_a_clip_that_changed_since_is_described_as_it_is_with_a_note(ask, own, server, tmp_path):
    path = write_audio(tmp_path / "sounds" / "a.wav", noise(1.28, 5))
    outcome = ask(command="describe", store=own)
    assert outcome.err == f"pe-search: {path}: {CHANGED}\n"
    assert [(row["start_s"], row["end_s"]) for row in rows_of(outcome.out)] == [(0.0, 1.28)]
    with OpenLibrary(own) as store:
        assert read_answers(store.open().catalog) == []


def test_a_clip_that_was_written_again_as_it_was_has_not_changed(ask, own, server, tmp_path):
    path = tmp_path / "sounds" / "a.wav"
    path.write_bytes(path.read_bytes())
    os.utime(path, (1, 1))
    for _ in range(2):
        assert ask(command="describe", store=own).err == ""
    assert len(server.chats) == 2


def test_an_answer_that_is_cut_is_marked_and_not_kept(own, run_cli, tmp_path):
    path = tmp_path / "sounds" / "a.wav"

    def answer(request):
        status, headers, content = hears("rain falls on a")(request)
        reply = json.loads(content)
        reply["choices"][0]["finish_reason"] = "length" if asked(request) == ["Cut?"] else "stop"
        return status, headers, json.dumps(reply).encode()

    with StandIn(answer) as server:
        args = (f"{path}@0-1", "--language-model", server.url, "--store", own)
        for _ in range(2):
            outcome = run_cli("ask", "Cut?", *args)
            assert (outcome.status, outcome.err) == (0, f"pe-search: {path}: 0:00–0:01: {CUT}\n")
            (row,) = rows_of(outcome.out)
            assert row["answer"] == "rain falls on a …"
        whole = run_cli("ask", "Whole?", *args)
        assert whole.err == ""
        assert rows_of(whole.out)[0]["answer"] == "rain falls on a"
        assert rows_of(whole.out)[0]["score"] == row["score"]
        with OpenLibrary(own) as store:
            (said_of,) = store.ask("Cut?", Reference(path, (0.0, 1.0)), language_model=server.url)
            kept = read_answers(store.open().catalog)
        assert not said_of.is_whole
        assert len(server.chats) == 4
    assert [(one.question, one.answer) for one in kept] == [("Whole?", "rain falls on a")]


def test_clips_are_found_by_their_captions(ask, own, run_cli, tmp_path):
    def found(words: str, *args: object, status: int = 0) -> list[dict[str, object]]:
        outcome = run_cli("query", "--words", words, *args, "--format", "jsonl", "--store", own)
        assert outcome.status == status, outcome.err
        return rows_of(outcome.out)

    found("rain", status=1)
    ask("Is it raining?", tmp_path / "sounds" / "a.wav", store=own)
    found("rain", status=1)
    ask(command="describe", store=own)
    path = str(tmp_path / "sounds" / "a.wav")
    assert found("rain", "--fields", "path,captions") == [{"path": path, "captions": ["rain"]}]
    (listed,) = rows_of(run_cli("list", "--fields", "captions", "--format", "jsonl", "--store", own).out)
    assert listed == {"captions": ["rain"]}
    assert run_cli("remove", path, "--store", own).status == 0
    found("rain", status=1)


@pytest.mark.parametrize("named", ["http://localhost:1/v1", ""])
def test_a_language_model_that_nothing_is_asked_of_is_refused(run_cli, library, named):
    outcome = run_cli("query", "rain", "--language-model", named, "--store", library.store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert "--language-model" in outcome.err
    assert "requires --ask." in outcome.err


def test_a_language_model_of_the_environment_is_no_reason_to_ask(run_cli, library, monkeypatch):
    monkeypatch.setenv("PE_SEARCH_LANGUAGE_MODEL", "http://localhost:1/v1")
    assert run_cli("query", "--words", "storm", "--store", library.store).status == 0


def test_what_somebody_has_kept_in_a_store_is_text_too(ask, server, own):
    ask(command="describe", store=own)
    with Store.open(own, read_only=False) as store:
        write_answers(store.catalog, [replace(one, answer="\x1b[2J\r") for one in read_answers(store.catalog)])
    assert {row["answer"] for row in rows_of(ask(command="describe", store=own).out)} == {"\ufffd[2J\n"}
    assert len(server.chats) == 2


def test_a_follow_up_is_kept_as_another_question(library, server, own, tmp_path):
    path = tmp_path / "sounds" / "a.wav"
    with OpenLibrary(own) as store:
        for turns in ([], [Turn("What?", "A dog.")], [Turn("What?", "A dog.")], []):
            (one,) = store.ask("Is it loud?", path, language_model=server.url, turns=turns)
            assert one.answer == "rain"
    assert len(server.chats) == 2


def test_answers_that_can_not_be_kept_are_given_all_the_same(ask, own):
    with Store.open(own, read_only=False):
        outcome = ask(command="describe", store=own)
    assert len(rows_of(outcome.out)) == 2
    assert "2 answers are not kept: " in outcome.err
    assert outcome.err.count("\n") == 1


def test_answers_wait_until_another_process_has_written(own, tmp_path, server, monkeypatch):
    monkeypatch.setattr(questioning, "_MOST_UNWRITTEN", 1)
    path = tmp_path / "sounds" / "a.wav"
    with OpenLibrary(own) as store:
        asked = store.ask("What?", [f"{path}", Reference(path, (0.0, 1.0))], language_model=server.url)
        with Store.open(own, read_only=False):
            first = next(asked)
        assert [first.answer, *(one.answer for one in asked)] == ["rain", "rain"]
    with OpenLibrary(own) as store:
        assert [one.end_s for one in read_answers(store.open().catalog)] == [1.0, 2.56]

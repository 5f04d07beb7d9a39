"""`pe-search transcribe` and `pe-search index --transcribe`, with a recogniser that is made up."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from pe_search.errors import MissingExtraError
from pe_search.speech import choosing
from tests.made_up import noise, write_audio
from tests.speech.spoken import TonesRecogniser, say

NUMBERS = [1, 2, 3, None, None, 7]


@pytest.fixture(autouse=True)
def recogniser(monkeypatch, tmp_path):
    """Everything is speech to the tests of the command; what is taken for speech has tests of its own."""
    made = TonesRecogniser()
    made.asked = []

    def find(name, asked):
        made.asked.append((name, asked))
        return made

    monkeypatch.setattr(choosing, "find_recogniser", find)
    monkeypatch.setattr("pe_search.tasks.transcribing.SPEECH_FROM", 0.0)
    monkeypatch.setenv("PE_SEARCH_STORE", str(tmp_path / "none.store"))
    return made


@pytest.fixture
def clip(tmp_path):
    return say(tmp_path / "talk.wav", NUMBERS)


def test_jsonl_has_segments_with_words(run_cli, clip):
    outcome = run_cli("transcribe", clip)
    assert (outcome.status, outcome.err) == (0, "")
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert rows[0] == {
        "path": str(clip),
        "start_s": 0,
        "end_s": 3,
        "text": "n1 n2 n3",
        "words": [{"start_s": at, "end_s": at + 1, "word": f"n{at + 1}"} for at in range(3)],
        "engine": "tones 1",
    }
    assert [row["text"] for row in rows] == ["n1 n2 n3", "n7"]


def test_csv(run_cli, clip):
    rows = list(csv.DictReader(io.StringIO(run_cli("transcribe", clip, "--format", "csv").out.decode())))
    assert rows == [
        {"path": str(clip), "start_s": "0.0", "end_s": "3.0", "text": "n1 n2 n3"},
        {"path": str(clip), "start_s": "5.0", "end_s": "6.0", "text": "n7"},
    ]


def test_srt(run_cli, clip):
    assert run_cli("transcribe", clip, "--format", "srt").out.decode() == (
        "1\n00:00:00,000 --> 00:00:03,000\nn1 n2 n3\n\n2\n00:00:05,000 --> 00:00:06,000\nn7\n"
    )


def test_vtt(run_cli, clip):
    assert run_cli("transcribe", clip, "--format", "vtt").out.decode() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:03.000\nn1 n2 n3\n\n00:00:05.000 --> 00:00:06.000\nn7\n"
    )


def test_txt_names_clips_where_there_are_several(run_cli, clip, tmp_path):
    assert run_cli("transcribe", clip, "--format", "txt").out == b"n1 n2 n3\nn7\n"
    other = say(tmp_path / "other.wav", [4])
    both = run_cli("transcribe", clip, other, "--format", "txt").out.decode()
    assert both == f"{clip}\nn1 n2 n3\nn7\n\n{other}\nn4\n" or both == f"{other}\nn4\n\n{clip}\nn1 n2 n3\nn7\n"


def test_a_table_has_times(run_cli, clip):
    lines = run_cli("transcribe", clip, "--format", "table").out.decode().splitlines()
    assert lines[0].endswith("talk.wav")
    assert [line.split() for line in lines[1:]] == [["0:00–0:03", "n1", "n2", "n3"], ["0:05–0:06", "n7"]]


def test_output_goes_into_a_file(run_cli, clip, tmp_path):
    outcome = run_cli("transcribe", clip, "--format", "srt", "-o", tmp_path / "talk.srt")
    assert (outcome.status, outcome.out) == (0, b"")
    assert (tmp_path / "talk.srt").read_text().startswith("1\n00:00:00,000")


def test_subtitles_of_several_files_are_refused_before_the_work(run_cli, clip, tmp_path, recogniser):
    say(tmp_path / "other.wav", [4])
    outcome = run_cli("transcribe", tmp_path, "--format", "srt")
    assert outcome.status == 2
    assert "--format srt can't name clips, and there are 2. Give one file" in outcome.err
    assert recogniser.windows == 0


def test_a_part_of_a_file(run_cli, clip):
    rows = [json.loads(line) for line in run_cli("transcribe", f"{clip}@1-3").out.splitlines()]
    assert [row["text"] for row in rows] == ["n2 n3"]


def test_a_part_beyond_the_end_is_told_and_spoils_no_other(run_cli, tmp_path, recogniser):
    path = say(tmp_path / "a.wav", [1, 2, 3, 4])
    outcome = run_cli("transcribe", f"{path}@60-70", f"{path}@2-3")
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"pe-search: {path}: the part 1:00–1:10 lies beyond the end of the clip, at 0:0")
    assert outcome.status == 2
    assert len(outcome.out.splitlines()) == 1
    outcome = run_cli("transcribe", f"{path}@2-90")
    assert outcome.status == 0
    assert re.fullmatch(r"pe-search: .*: ends at 0:0\d(\.\d+)?, before the part 0:02–1:30 does\n", outcome.err)
    windows = recogniser.windows
    outcome = run_cli("transcribe", f"{path}@60-70")
    assert (outcome.status, outcome.out, recogniser.windows) == (2, b"", windows)


def test_nothing_said_is_status_1(run_cli, tmp_path):
    outcome = run_cli("transcribe", say(tmp_path / "a.wav", [None, None]))
    assert (outcome.status, outcome.out) == (1, b"")


def test_a_broken_file_is_status_2_and_the_others_are_printed(run_cli, clip, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF no sound")
    outcome = run_cli("transcribe", clip, tmp_path / "broken.wav")
    assert outcome.status == 2
    assert "broken.wav" in outcome.err
    assert len(outcome.out.splitlines()) == 2


def test_the_options_reach_the_recogniser(run_cli, clip, recogniser):
    run_cli(
        *("transcribe", clip, "--speech-model", "x/y", "--language", "de", "--translate"),
        *("--device", "cpu", "--dtype", "float32"),
    )
    ((name, asked),) = recogniser.asked
    assert (name, asked.language, asked.translates) == ("x/y", "de", True)
    assert (asked.device, asked.dtype, asked.may_fetch) == ("cpu", "float32", True)


def test_the_environment_names_the_recogniser(run_cli, clip, recogniser, monkeypatch):
    monkeypatch.setenv("PE_SEARCH_SPEECH_MODEL", "x/z")
    run_cli("transcribe", clip)
    assert recogniser.asked[0][0] == "x/z"


def test_without_the_extra_one_line_says_how_to_install_it(run_cli, clip, monkeypatch):
    def find(_name, _asked):
        raise MissingExtraError("Transcribing", "pocketsphinx", "speech")

    monkeypatch.setattr(choosing, "find_recogniser", find)
    outcome = run_cli("transcribe", clip)
    assert outcome.status == 2
    assert "pe-search[speech]" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_store_keeps_what_is_said(run_cli, clip, tmp_path, recogniser):
    store = tmp_path / "a.store"
    assert run_cli("index", clip, "--store", store).status == 0
    first = run_cli("transcribe", clip, "--store", store)
    windows = recogniser.windows
    again = run_cli("transcribe", "--store", store)
    assert (again.status, again.out) == (0, first.out)
    assert recogniser.windows == windows == 1


def test_no_path_needs_a_store(run_cli):
    outcome = run_cli("transcribe")
    assert outcome.status == 2
    assert "There is no store" in outcome.err


def test_index_transcribes_what_it_embedded(run_cli, clip, tmp_path, recogniser):
    store = tmp_path / "a.store"
    write_audio(tmp_path / "noise.wav", noise(2))
    outcome = run_cli("index", clip, "--store", store, "--transcribe", "--speech-model", "x/y")
    assert (outcome.status, outcome.out) == (0, b"")
    assert "1 clip transcribed" in outcome.err
    windows = recogniser.windows
    assert windows == 1
    assert len(run_cli("transcribe", "--store", store).out.splitlines()) == 2
    again = run_cli("index", clip, "--store", store, "--transcribe")
    assert "0 clips transcribed, 1 unchanged" in again.err
    assert recogniser.windows == windows


def test_speech_options_of_index_require_transcribe(run_cli, clip, tmp_path):
    for option in (["--language", "en"], ["--translate"], ["--speech-model", "x/y"]):
        outcome = run_cli("index", clip, "--store", tmp_path / "a.store", *option)
        assert outcome.status == 2
        assert f"{option[0]}: requires --transcribe" in outcome.err.replace("'", "")

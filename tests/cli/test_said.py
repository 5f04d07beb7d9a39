"""`pe-search query --said`: by what is said, alone and beside the sound."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest

import pe_search
from pe_search.records import Segment, SpokenWord, Transcript
from pe_search.serving.lines import Reply, from_line, to_line
from pe_search.store import Store
from pe_search.store.transcripts import write_transcripts
from tests.cli.conftest import names_in
from tests.cli.test_conversation import Talk, talk  # noqa: F401 (a fixture)
from tests.cli.test_hints import plain
from tests.cli.test_imports import loaded_by  # noqa: F401 (a fixture)
from tests.cli.test_words import rows_of

RANKED = ["query", "rank", "path", "start_s", "end_s", "score", "probability", "sound_rank", "said_rank", "said"]
WORDS = (
    (0.5, 0.75, "What"),
    (0.75, 1.0, "a"),
    (1.0, 1.5, "goal"),
    (1.5, 2.0, "in"),
    (2.0, 2.5, "the"),
    (2.5, 3.0, "storm!"),
)
STORM = Segment(0.5, 3.0, "What a goal in the storm!", tuple(SpokenWord(*word) for word in WORDS))


@pytest.fixture(scope="module")
def spoken(library, tmp_path_factory) -> Path:
    """A store of the same clips, of two of which it is known what is said."""
    folder = tmp_path_factory.mktemp("spoken") / "store"
    shutil.copytree(library.store, folder)
    with Store.open(folder, read_only=False) as store:
        transcripts = []
        for name, segments in {
            "weather/storm.wav": (STORM,),
            "dogs/bark.wav": (Segment(0.0, 0.5, "Goals and goals,"), Segment(0.6, 1.2, "all over the goal.")),
        }.items():
            found = store.catalog.clip(library.sounds / name)
            assert found is not None
            transcripts.append(Transcript(found[1], "sidecar", "en", segments))
        write_transcripts(store.catalog, transcripts)
    return folder


@pytest.fixture
def query(run_cli, spoken):
    def run(*args: object, status: int = 0):
        outcome = run_cli("query", *args, "--store", spoken)
        assert outcome.status == status, outcome.err
        return outcome

    return run


def test_alone_it_gives_the_seconds_and_the_words(query, library):
    (row,) = rows_of(query("--said", '"a goal" storms', "--format", "jsonl").out)
    storm = library.sounds / "weather/storm.wav"
    values = ('"a goal" storms', 1, str(storm), 0.75, 3.0, None, None, None, 1, "What a goal in the storm!")
    assert row == dict(zip(RANKED, values, strict=True))
    assert query("--said", "storm").out == f"{storm}\n".encode()
    header, line = csv.reader(io.StringIO(query("--said", "storm", "--format", "csv").out.decode()))
    assert header == RANKED
    assert line[3:] == ["2.5", "3.0", "", "", "", "1", "What a goal in the storm!"]
    assert query("--said", "storm", "--under", library.sounds / "dogs", status=1).out == b""


def test_a_clip_shows_once_or_by_all_places(query):
    def places(*args: object) -> list[tuple[str, float, float]]:
        rows = rows_of(query("--said", "goal", "--format", "jsonl", *args).out)
        return [(Path(row["path"]).name, row["start_s"], row["end_s"]) for row in rows]

    assert places() == [("bark.wav", 0.0, 0.5), ("storm.wav", 1.0, 1.5)]
    assert sorted(places("--all-windows")) == [("bark.wav", 0.0, 0.5), ("bark.wav", 0.6, 1.2), ("storm.wav", 1.0, 1.5)]


def test_the_table_has_a_line_with_what_is_said(query, library):
    lines = query("--said", "storm", "--format", "table").out.decode().splitlines()
    assert lines[:2] == ["storm", "#         time  clip"]
    assert lines[2] == f"1  0:02.5–0:03  {library.sounds / 'weather/storm.wav'}"
    assert lines[3].strip() == "What a goal in the storm!"


def test_the_words_are_marked_on_a_terminal(run_cli_on_terminal, spoken):
    shown = run_cli_on_terminal("query", "--said", "goals -over", "--store", spoken)
    marked = re.findall(r"\x1b\[1;33m([^\x1b]*)\x1b", shown)
    assert marked == ["Goals", "goals", "goal", "goal"]


def test_beside_a_text_both_rankings_count(query, library):
    rows = rows_of(query("rain", "--said", "goal", "-k", "all", "--format", "jsonl").out)
    alone = {row["path"]: row for row in rows_of(query("rain", "-k", "all", "--format", "jsonl").out)}
    assert [*rows[0]] == RANKED
    assert {row["path"]: row["sound_rank"] for row in rows} == {path: row["rank"] for path, row in alone.items()}
    said = {Path(row["path"]).name: (row["said_rank"], row["start_s"], row["end_s"]) for row in rows if row["said"]}
    assert said == {"bark.wav": (1, 0.0, 0.5), "storm.wav": (2, 1.0, 1.5)}
    # The score stays that of the best window.
    assert all(row["score"] == alone[row["path"]]["score"] for row in rows)
    sums = [sum(1 / (60 + rank) for rank in (row["sound_rank"], row["said_rank"]) if rank) for row in rows]
    assert sums == sorted(sums, reverse=True)
    header = query("rain", "--said", "goal", "--format", "table").out.decode().splitlines()[1]
    assert header.split() == ["#", "sound", "said", "prob.", "score", "time", "clip"]


def test_what_has_too_little_probability_is_found_by_what_is_said_alone(query):
    rows = rows_of(query("rain", "--said", "storm", "--min-probability", 1, "--format", "jsonl").out)
    assert [(row["sound_rank"], row["said_rank"], row["start_s"]) for row in rows] == [(None, 1, 2.5)]
    assert 0 < rows[0]["probability"] < 1


def test_fields_may_have_what_is_said(query):
    rows = rows_of(query("rain", "--said", "storm", "--format", "jsonl", "--fields", "name,said_rank,said").out)
    assert rows[0] == {"name": "storm.wav", "said_rank": 1, "said": "What a goal in the storm!"}
    assert rows[1]["said_rank"] is None and rows[1]["said"] is None


def test_other_programs_read_where_it_is_said(query, library):
    storm = library.sounds / "weather/storm.wav"
    assert query("--said", "storm", "--format", "audacity").out == b"2.500000\t3.000000\tWhat a goal in the storm!\n"
    assert query("--said", "storm", "--format", "srt").out == (
        b"1\n00:00:02,500 --> 00:00:03,000\nWhat a goal in the storm!\n\n"
    )
    heading, line = csv.reader(query("--said", "storm", "--format", "raven").out.decode().splitlines(), delimiter="\t")
    row = dict(zip(heading, line, strict=True))
    assert (row["Begin Time (s)"], row["End Time (s)"], row["Begin Path"]) == ("2.500000", "3.000000", str(storm))
    assert query("--said", "storm", "--format", "reaper").out.decode().splitlines()[1].startswith("R1,What a goal")
    assert b"INDEX 01 00:02:38" in query("--said", "storm", "--format", "cue").out
    with_text = query("rain", "--said", "storm", "--format", "srt").out.decode()
    assert re.fullmatch(r"1\n00:00:02,500 --> 00:00:03,000\nWhat a goal in the storm! 0\.\d\d\n\n", with_text)
    several = query("--said", "goal", "--format", "srt", status=2).err
    assert several.startswith("pe-search: --format srt can't name clips, and the spans are in more than one.")
    assert query("rain", "--format", "srt", status=2).err == "pe-search: --format srt requires --spans or --said.\n"


def test_cuts_and_the_player_start_at_the_words(query, run_cli, spoken, player, tmp_path):
    assert query("--said", '"a goal"', "--cut-to", tmp_path / "cuts").err == f"1 cut written to {tmp_path / 'cuts'}\n"
    assert names_in(tmp_path / "cuts") == ["storm_0.75-1.50s.flac"]
    played = player("mpv")
    outcome = run_cli("query", "--said", "storm", "--play", "--store", spoken)
    assert re.fullmatch(r"1/1  0:02\.5–0:03  .*/weather/storm\.wav\n", outcome.err)
    assert len(names_in(played)) == 1


def test_spans_are_looked_for_where_it_is_said(query):
    rows = rows_of(query("rain", "--said", "goal", "-k", 2, "--spans", "--threshold", 0).out)
    assert [*rows[0]] == [*RANKED, "spans"]
    for row in rows:
        if row["said"]:
            assert all(row["start_s"] <= span["start_s"] < span["end_s"] <= row["end_s"] for span in row["spans"])


def test_alone_it_loads_no_model(loaded_by, spoken):  # noqa: F811
    args = ("query", "--said", "goal -storm", "--store", spoken, "--format", "jsonl")
    heavy = {"torch", "onnxruntime", "tokenizers", "transformers", "huggingface_hub", "soundfile", "soxr", "rich"}
    assert not loaded_by(*args) & heavy


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--said", ""], "--said must have a word of letters or digits: ''."),
        (["rain", "--said", "-goal"], "--said must have a word to look for beside those to exclude: '-goal'."),
        (["--said", '"a'], "--said has a quote that is not closed: '\"a'."),
        (["--said", "a", "--words", "b"], "--said can't be used with --words."),
        (
            ["rain", "--said", "a", "--all-windows"],
            "--said can't be used with a sound and all windows: a clip has one place by what is said.",
        ),
        (["--said", "a", "--minus", "b"], "--minus: requires a TEXT, --plus or --like beside --said."),
        (
            ["--said", "a", "--min-probability", "0.5"],
            "--min-probability: requires a TEXT, --plus or --like beside --said.",
        ),
        (["--said", "a", "--spans"], "--spans: needs a TEXT or --plus."),
        (["--said", "a", "--said", "b"], "--said: given twice; give it once."),
    ],
)
def test_what_makes_no_sense_is_one_line(run_cli, spoken, args, says):
    outcome = run_cli("query", *args, "--store", spoken)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {says}\n"


def test_so_it_is_in_python(spoken):
    with pe_search.open(spoken) as opened:
        (hit,) = opened.query(said="storm")
        assert (hit.start_s, hit.end_s, hit.said_rank, hit.said and hit.said.marks) == (2.5, 3.0, 1, ((19, 24),))
        assert len(opened.query("rain", said="storm", k=3)) == 3
        assert opened.status().transcribed == 2
        with pytest.raises(pe_search.QueryError, match=r"^said can't be used with words\.$"):
            opened.query(said="a", words="b")
        with pytest.raises(pe_search.QueryError, match=r"^minus needs a text, plus or like beside said\.$"):
            opened.query(said="a", minus="b")


def test_hits_go_through_the_socket_as_they_are(spoken):
    with pe_search.open(spoken) as opened:
        hits = opened.query("rain", said="storm", k=3)
    reply = Reply(tuple(hits), ())
    assert from_line(Reply, to_line(reply)) == reply


def test_why_there_is_nothing(run_cli_on_terminal, spoken, library):
    def said(store: Path, *args: object) -> list[str]:
        return plain(run_cli_on_terminal("query", *args, "--store", store, status=1))

    assert said(spoken, "--said", "sto goal") == [
        "pe-search: --said sto goal: nothing found in 14 clips; sto alone: 0; goal alone: 2."
    ]
    assert said(library.store, "--said", "goal")[0].startswith(
        "pe-search: --said goal: nothing found in 14 clips, and none has a transcript"
    )


def test_two_stores_are_ranked_together(run_cli, spoken, library):
    both = ("--store", spoken, "--store", library.store, "--format", "jsonl", "-k", "all")
    rows = rows_of(run_cli("query", "--said", "goal", *both).out)
    assert [(Path(row["path"]).name, row["said_rank"]) for row in rows] == [("bark.wav", 1), ("storm.wav", 2)]
    fused = rows_of(run_cli("query", "rain", "--said", "storm", *both).out)
    assert [row["said_rank"] for row in fused if row["said"]] == [1]
    assert len(fused) == 14


def test_a_conversation_has_it_too(talk, run_cli_on_terminal, spoken):  # noqa: F811
    options = ("--store", spoken, "-k", 1)
    one: Talk = talk(*options)
    answer = one.type(":said goal")
    assert "bark.wav" in answer
    assert answer.endswith("Each TEXT is ranked by sound and by these words; :said alone ends that.\n")
    assert "said" in one.type("rain")
    assert one.type(":said -goal") == (
        "pe-search: :said must have a word to look for beside those to exclude: '-goal'.\n"
    )
    assert one.type(":said") == "Each TEXT is ranked by sound alone.\n"
    assert "said" not in one.type("rain")
    one.end()


def test_status_says_how_many_clips_have_a_transcript(run_cli, spoken):
    assert json.loads(run_cli("status", "--format", "json", "--store", spoken).out)["transcribed"] == 2
    assert "transcripts of 2" in run_cli("status", "--store", spoken).out.decode()

"""`pe-search query --words`: by words beside the sound, and by words alone."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import pe_search
from pe_search.queries import Hit, Query, Request, SpanRules
from pe_search.serving.asking import ask_or_search
from pe_search.serving.lines import Reply, from_line, to_line
from tests.cli.conftest import names_in
from tests.cli.test_conversation import Talk, talk  # noqa: F401 (a fixture)
from tests.cli.test_hints import plain
from tests.cli.test_imports import loaded_by  # noqa: F401 (a fixture)
from tests.made_up import noise, write_audio

RANKED = ["query", "rank", "path", "start_s", "end_s", "score", "probability", "sound_rank", "words_rank"]


@pytest.fixture
def query(run_cli, library):
    def run(*args: object, status: int = 0):
        outcome = run_cli("query", *args, "--store", library.store)
        assert outcome.status == status, outcome.err
        return outcome

    return run


@pytest.fixture
def asked(library):
    """The hits that the library has."""

    def ask(*texts: str, **options) -> list[Hit]:
        with pe_search.open(library.store) as opened:
            return opened.query(texts, **options)

    return ask


def rows_of(out: bytes) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


# Beside a sound


def test_both_ranks_are_in_json_lines_and_csv(query, asked):
    expected = [hit.to_dict() for hit in asked("rain", words="wav -odd")]
    rows = rows_of(query("rain", "--words", "wav -odd", "--format", "jsonl").out)
    assert rows == expected
    assert [*rows[0]] == RANKED
    assert all("odd" not in row["path"] for row in rows)
    assert [row["rank"] for row in rows] == list(range(1, 7))
    both = sorted(
        rows, key=lambda row: (-1 / (60 + row["sound_rank"]) - 1 / (60 + row["words_rank"]), row["sound_rank"])
    )
    assert rows == both
    table = csv.reader(io.StringIO(query("rain", "--words", "wav -odd", "--format", "csv").out.decode()))
    header, *lines = table
    assert header == RANKED
    assert lines == [[str(value) for value in row.values()] for row in rows]


def test_what_only_the_sound_finds_has_no_rank_by_words(query):
    rows = rows_of(query("rain", "--words", "storm", "--format", "jsonl").out)
    assert [row["path"].rpartition("/")[2] for row in rows if row["words_rank"]] == ["storm.wav"]
    assert rows[0]["words_rank"] == 1
    fields = list(csv.DictReader(io.StringIO(query("rain", "--words", "storm", "--format", "csv").out.decode())))
    assert [row["words_rank"] for row in fields] == ["1", *[""] * 9]


def test_without_words_there_are_no_ranks(query):
    (row, *_) = rows_of(query("rain", "--format", "jsonl").out)
    assert [*row] == RANKED[:7]
    assert b" words " not in query("rain", "--format", "table").out


def test_the_table_shows_both_ranks(query):
    out = query("rain", "--words", "storm", "-k", 3, "--format", "table").out.decode()
    title, header, *lines = out.replace("\n  /", "  /").splitlines()
    assert title == "rain"
    assert header.split() == ["#", "sound", "words", "prob.", "score", "time", "clip"]
    first, second, _ = ([cell for cell in re.split(r"\s\s+", line.strip()) if cell] for line in lines)
    assert first[0] == "1" and first[2] == "1" and first[-1].endswith("storm.wav")
    assert second[:3] == ["2", "1", "-"]


def test_fields_may_have_the_ranks(query):
    rows = rows_of(query("rain", "--words", "storm", "-k", 1, "--format", "jsonl", "--fields", "name,words_rank").out)
    assert rows == [{"name": "storm.wav", "words_rank": 1}]


def test_the_least_probability_is_for_the_sound(query):
    out = query("rain", "--words", "storm", "--min-probability", 1, "--format", "jsonl").out
    (row,) = rows_of(out)
    assert (row["sound_rank"], row["words_rank"], row["rank"]) == (None, 1, 1)
    assert 0 < row["probability"] < 1
    (alone,) = [
        one for one in rows_of(query("rain", "-k", "all", "--format", "jsonl").out) if one["path"] == row["path"]
    ]
    assert {name: row[name] for name in RANKED[2:7]} == {name: alone[name] for name in RANKED[2:7]}


def test_fdr_is_for_the_sound(query):
    out = query("rain", "--words", "storm", "--fdr", 0, "--format", "jsonl").out
    assert [(row["sound_rank"], row["words_rank"]) for row in rows_of(out)] == [(None, 1)]
    assert query("rain", "--words", "none", "--fdr", 0, status=1).out == b""


def test_spans_are_those_of_the_hits(query, asked):
    options = ("rain", "--words", "storm", "-k", 2, "--spans", "--threshold", 0)
    rows = rows_of(query(*options).out)
    assert [*rows[0]] == [*RANKED, "spans"]
    expected = asked("rain", words="storm", k=2, spans=SpanRules(threshold=0.0))
    assert [row["path"] for row in rows] == [str(hit.path) for hit in expected]
    assert [len(row["spans"]) for row in rows] == [len(hit.spans or ()) for hit in expected]
    header = query(*options, "--format", "csv").out.decode().splitlines()[0]
    assert header.split(",") == [*RANKED, "span_start_s", "span_end_s", "span_probability"]
    lines = query(*options, "--format", "table").out.decode().splitlines()
    assert any(line.endswith("  span") for line in lines)
    assert b"rain" in query("rain", "--words", "storm -odd", *options[3:], "--format", "raven").out


def test_several_texts_have_the_same_words(query):
    rows = rows_of(query("rain", "church bell", "--words", "storm", "-k", 1, "--format", "jsonl").out)
    assert [(row["query"], row["words_rank"]) for row in rows] == [("rain", 1), ("church bell", 1)]


def test_audio_may_be_the_sound(query, library):
    bark = library.sounds / "dogs/bark.wav"
    rows = rows_of(query("--like", bark, "--words", "bark", "--format", "jsonl", "-k", 1).out)
    assert [(row["path"], row["sound_rank"], row["words_rank"]) for row in rows] == [(str(bark), 1, 1)]


# Words alone


def test_words_alone_find_whole_clips_without_a_score(query, library):
    storm = library.sounds / "weather/storm.wav"
    (row,) = rows_of(query("--words", "STORM weather", "--format", "jsonl").out)
    assert row == dict(zip(RANKED, ("STORM weather", 1, str(storm), 0.0, 3.2, None, None, None, 1), strict=True))
    assert query("--words", "storm").out == f"{storm}\n".encode()
    assert query("--words", "storm", "--format", "csv").out.decode().splitlines()[1].endswith(",0.0,3.2,,,,1")
    assert query("--words", "storm", "--under", library.sounds / "dogs", status=1).out == b""
    assert query("--words", "wav", "--length", "-0.6").out == f"{library.sounds / 'dogs/growl.wav'}\n".encode()


def test_their_table_has_no_columns_for_the_sound(query):
    lines = query("--words", "weather", "--format", "table").out.decode().splitlines()
    assert lines[0] == "weather"
    assert lines[1].split() == ["#", "time", "clip"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3"]


def test_words_alone_load_no_model(loaded_by, library, tmp_path):  # noqa: F811
    args = ("query", "--words", "weather -storm", "--store", library.store, "--format", "jsonl")
    heavy = {"torch", "onnxruntime", "tokenizers", "transformers", "huggingface_hub", "soundfile", "soxr", "rich"}
    assert not loaded_by(*args) & heavy
    assert not loaded_by(*args, "--explain") & heavy


def test_their_clips_are_copied_and_cut_without_a_probability(query, tmp_path):
    outcome = query("--words", "dogs bark", "--copy-to", tmp_path / "copies", "--cut-to", tmp_path / "cuts")
    assert outcome.err.splitlines() == [
        f"1 clip copied to {tmp_path / 'copies'}",
        f"1 cut written to {tmp_path / 'cuts'}",
    ]
    assert names_in(tmp_path / "copies") == ["bark.wav"]
    assert names_in(tmp_path / "cuts") == ["bark_0.00-1.28s.flac"]


def test_they_are_played_without_a_probability(run_cli, library, player):
    played = player("mpv")
    outcome = run_cli("query", "--words", "dogs bark", "--play", "--store", library.store)
    assert outcome.status == 0
    (line,) = outcome.err.splitlines()
    assert re.fullmatch(r"1/1  0:00–0:01\.3  .*/dogs/bark\.wav", line)
    assert len(names_in(played)) == 1


# What can't be asked


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--words", ""], "--words must have a word of letters or digits: ''."),
        (["--words", "()*:^"], "--words must have a word of letters or digits: '()*:^'."),
        (["rain", "--words", '"kick'], "--words has a quote that is not closed: '\"kick'."),
        (["rain", "--words", "a" * 2_000], "--words must have at most 1,000 characters, not 2,000."),
        (["--words", "-kick"], "--words must have a word to look for beside those to exclude: '-kick'."),
        (["--words", "a", "--minus", "b"], "--minus: requires a TEXT, --plus or --like beside --words."),
        (["--words", "a", "--unlike", "b.wav"], "--unlike: requires a TEXT, --plus or --like beside --words."),
        (
            ["--words", "a", "--min-probability", "0.5"],
            "--min-probability: requires a TEXT, --plus or --like beside --words.",
        ),
        (["--words", "a", "--fdr", "0.1"], "--fdr: requires a TEXT, --plus or --like beside --words."),
        (["--words", "a", "--all-windows"], "--all-windows: requires a TEXT, --plus or --like beside --words."),
        (["--words", "a", "--spans"], "--spans: needs a TEXT or --plus."),
        (["--words", "a", "--any"], "--any: give at least two TEXTs."),
        (["--words", "a", "--words", "b"], "--words: given twice; give it once."),
    ],
)
def test_what_makes_no_sense_is_one_line(run_cli, library, args, says):
    outcome = run_cli("query", *args, "--store", library.store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {says}\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"words": "-a"}, "words must have a word to look for beside those to exclude: '-a'."),
        ({"words": "\0"}, "words must have no control characters: '\\x00'."),
        ({"words": "a", "minus": "b"}, "minus needs a text, plus or like beside words."),
        ({"words": "a", "unlike": "b.wav"}, "unlike needs a text, plus or like beside words."),
        ({"words": "a", "min_probability": 0.1}, "min_probability needs a text, plus or like beside words."),
        ({"words": "a", "fdr": 0.0}, "fdr needs a text, plus or like beside words."),
        ({"words": "a", "all_windows": True}, "all_windows needs a text, plus or like beside words."),
        ({"words": "a", "spans": True}, "spans needs a text or plus."),
        ({}, "There is nothing to look for: give a text, plus, like, words or said."),
    ],
)
def test_so_it_is_in_python(asked, options, says):
    with pytest.raises(pe_search.QueryError) as caught:
        asked(**options)
    assert str(caught.value) == says


# What is said beside


def test_what_was_searched_is_explained(query, library):
    alone = query("--words", "weather -storm", "--explain", "--format", "paths").err.splitlines()
    assert alone == ["checkpoint: none for words alone", "weather -storm: 2 clips by --words weather -storm, 2 shown"]
    _, _, line = query("rain", "--words", "storm", "-k", 4, "--explain").err.splitlines()
    assert line == "rain: 20 of 20 windows searched, exactly; the best 14 clips, 1 clip by --words storm, 4 shown"
    lines = query("rain", "--words", "wav -storm", "--min-probability", 1, "--explain").err.splitlines()
    assert lines[2:] == [
        "rain: 16 of 16 windows searched, exactly; the best 13 clips, 0 probable enough (--min-probability 1), "
        "13 clips by --words wav -storm, 10 shown",
        "not searched: 4 windows with a word that --words excludes",
    ]


def test_why_there_is_nothing(run_cli_on_terminal, library):
    def said(*args: object) -> list[str]:
        return plain(run_cli_on_terminal("query", *args, "--store", library.store, status=1))

    assert said("--words", "stor") == [
        "pe-search: --words stor: nothing found in 14 clips; stor* finds longer words too."
    ]
    assert said("--words", '"storm rain"') == ['pe-search: --words "storm rain": nothing found in 14 clips.']
    assert said("--words", "storm rain*") == [
        "pe-search: --words storm rain*: nothing found in 14 clips; storm alone: 1; rain* alone: 1."
    ]
    words, sound = said("rain", "--words", "thunder", "--min-probability", 1)
    assert words.startswith("pe-search: --words thunder: nothing found in 14 clips; thunder* finds")
    assert sound.startswith("pe-search: rain: nothing found in 14 clips with --min-probability 1; the best has")
    assert said("--words", "storm", "--length", "-1")[0].startswith(
        "pe-search: --words storm: nothing found in 1 clip passing --length -1"
    )


def test_how_much_more_there_is(run_cli_on_terminal, library):
    shown = plain(run_cli_on_terminal("query", "--words", "wav", "-k", 3, "--store", library.store))
    assert shown[-1] == "3 of 14 shown; -k 14 or -k all for more"
    shown = plain(run_cli_on_terminal("query", "rain", "--words", "weather", "-k", 3, "--store", library.store))
    assert shown[-1] == "3 of 14 shown; -k 14 or -k all for more"


def test_a_conversation_ranks_by_words_too(talk, run_cli_on_terminal, library, tmp_path):  # noqa: F811
    def shown(*args: object) -> str:
        return re.sub(r"[\d,]+ of [\d,]+ shown;.*\n", "", run_cli_on_terminal("query", *args, *options))

    options = ("--store", library.store, "-k", 2)
    one: Talk = talk(*options)
    ranked = "Each TEXT is ranked by sound and by these words; :words alone ends that.\n"
    assert one.type(":words weather") == shown("--words", "weather") + ranked
    assert (
        one.type(":spans 1") == "pe-search: Spans need a text, and the last query was words. Search for a text first.\n"
    )
    assert "storm" in one.type(":more") or True
    assert one.type("rain") == shown("rain", "--words", "weather")
    assert one.type(":words -weather") == ranked
    assert one.type("rain") == shown("rain", "--words", "-weather")
    assert one.type(':words "') == "pe-search: :words has a quote that is not closed: '\"'.\n"
    assert one.type(":words") == "Each TEXT is ranked by sound alone.\n"
    assert one.type("rain") == shown("rain")
    assert one.type(":words nothing").startswith("pe-search: --words nothing: nothing found in 14 clips")
    one.end()


# Several stores, and servers


@pytest.fixture(scope="module")
def places(plain_checkpoint, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("several")
    for seed, name in enumerate(("a/kick", "a/kick drum", "b/kick", "a/rain", "b/rain", "b/drum")):
        write_audio(folder / "sounds" / f"{name}.wav", noise(0.4, seed) * (0.2 + 0.1 * seed))
    for name, part in (("a", "sounds/a"), ("b", "sounds/b"), ("both", "sounds")):
        with pe_search.create(folder / name, str(plain_checkpoint[0])) as library:
            library.index(folder / part)
    return {name: folder / name for name in ("a", "b", "both", "sounds")}


def test_two_stores_are_ranked_together(run_cli, places):
    several = ("--store", places["a"], "--store", places["b"], "--format", "jsonl")
    rows = rows_of(run_cli("query", "--words", "kick", *several).out)
    names = [row["path"].removeprefix(f"{places['sounds']}/") for row in rows]
    assert names == ["a/kick.wav", "b/kick.wav", "a/kick drum.wav"]
    assert [(row["score"], row["words_rank"]) for row in rows] == [(None, 1), (None, 2), (None, 3)]
    fused = rows_of(run_cli("query", "rain", "--words", "kick", *several).out)
    alone = rows_of(run_cli("query", "rain", "--store", places["both"], "--format", "jsonl").out)
    by_sound = {row["path"]: row["rank"] for row in alone}
    by_words = {row["path"]: row["words_rank"] for row in rows}
    assert {row["path"]: (row["sound_rank"], row["words_rank"]) for row in fused} == {
        path: (rank, by_words.get(path)) for path, rank in by_sound.items()
    }
    assert [row["rank"] for row in fused] == list(range(1, 7))
    worth = [sum(1 / (60 + row[name]) for name in RANKED[7:] if row[name]) for row in fused]
    assert worth == sorted(worth, reverse=True)


@pytest.mark.parametrize("texts", [("rain", "siren"), ()], ids=["fused", "words alone"])
def test_each_server_is_asked_for_its_part(places, monkeypatch, texts):
    asked = []

    def served(_path, request, _on_problem):
        asked.append(request)
        with pe_search.open(places["a"] if len(asked) == 1 else places["b"]) as library:
            yield from (from_line(Reply, to_line(Reply(one.hits, ()))).hits for one in library.answers(request))

    monkeypatch.setattr("pe_search.serving.asking.ask", served)
    request = Request(tuple(Query((text,)) for text in texts) or (Query(),), k=3, words="kick -drum")
    with pe_search.open([places["a"], places["b"]]) as library:
        found = list(ask_or_search(library, request, lambda _problem: None))
        assert found == [answer.hits for answer in library.answers(request)]
        assert all(len(hits) >= 2 for hits in found)
    assert asked == [replace(request, is_part=True)] * 2


def test_two_stores_are_explained_each(run_cli, places):
    several = ("--store", places["a"], "--store", places["b"], "--explain", "-k", 2)
    lines = run_cli("query", "rain", "--words", "kick", *several).err.splitlines()
    assert [line for line in lines if line.startswith("rain: ")] == [
        "rain: 3 of 3 windows searched, exactly; the best 3 clips, 2 clips by --words kick, 2 shown",
        "rain: 3 of 3 windows searched, exactly; the best 3 clips, 1 clip by --words kick, 2 shown",
    ]


def test_nothing_in_two_stores(run_cli_on_terminal, places):
    several = ("--store", places["a"], "--store", places["b"])
    shown = run_cli_on_terminal("query", "--words", "kick rain", *several, status=1)
    assert plain(shown) == ["pe-search: --words kick rain: nothing found in 6 clips; kick alone: 3; rain alone: 2."]


def test_the_option_is_in_the_help(run_cli):
    assert "--words WORDS" in run_cli("query", "--help").out.decode()

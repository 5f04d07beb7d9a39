"""`pe-search learn`, `words` and `forget`."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import crowsetta
import pytest

import pe_search
from pe_search.cli.input.judged import verdicts_of
from pe_search.known.annotations import TIMES, Annotation, Annotations
from pe_search.queries import Reference
from pe_search.records import Judgement
from tests.cli.conftest import Outcome

SILENT = Outcome(0, b"", "")


@pytest.fixture
def store(library, tmp_path, monkeypatch) -> Path:
    """A store of the test's own, which is the usual one; the sounds are the working directory."""
    monkeypatch.chdir(library.sounds)
    own = Path(shutil.copytree(library.store, tmp_path / "own.store"))
    monkeypatch.setenv("PE_SEARCH_STORE", str(own))
    return own


def judged_in(store: Path) -> set[tuple[str, str, float, float, str]]:
    with pe_search.open(store) as library:
        return {
            (one.word, library.paths_of(one.digest)[0].name, one.start_s, one.end_s, one.verdict)
            for one in library.judgements()
        }


def table(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


# Given on the command line


def test_a_word_from_beginning_to_end(run_cli, store):
    outcome = run_cli("learn", "@storm", "--text", "rain")
    said = '@storm, from "rain": 0 yes, 0 no, 0 unsure; until something is judged it is its text.\n'
    assert outcome == Outcome(0, b"", said)
    plain = run_cli("query", "rain", "--format", "csv", "-k", "all").out
    assert run_cli("query", "@storm", "--format", "csv", "-k", "all").out == plain.replace(b"\nrain,", b"\n@storm,")
    outcome = run_cli(
        "learn", "@storm", "--yes", "weather/storm.wav@1.28-2.56", "--yes", "weather/rain.wav", "--no", "dogs/bark.wav",
        "--unsure", "dogs/growl.wav@0:00.1-0:00.4",
    )  # fmt: skip
    assert outcome == Outcome(0, b"", '@storm, from "rain": 2 yes, 1 no, 1 unsure.\n')
    assert judged_in(store) == {
        ("@storm", "storm.wav", 1.28, 2.56, "yes"),
        ("@storm", "rain.wav", 0.0, 1.28, "yes"),
        ("@storm", "bark.wav", 0.0, 1.28, "no"),
        ("@storm", "growl.wav", 0.1, 0.4, "unsure"),
    }
    learned = run_cli("query", "@storm", "--format", "csv", "-k", "all").out
    assert learned != run_cli("query", "rain", "--format", "csv", "-k", "all").out
    assert run_cli("query", "@storm", "--format", "csv", "-k", "all").out == learned
    rows = [json.loads(line) for line in run_cli("words").out.splitlines()]
    assert [{**row, "judged_at": None} for row in rows] == [
        {"word": "@storm", "text": "rain", "yes": 2, "no": 1, "unsure": 1, "gone": 0, "judged_at": None}
    ]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", rows[0]["judged_at"])
    outcome = run_cli("forget", "@storm", "@storm")
    assert outcome == Outcome(0, b"", "@storm forgotten, with 4 judgements.\n")
    assert run_cli("words") == Outcome(1, b"", "")
    assert judged_in(store) == set()


def test_words_on_a_terminal(run_cli_on_terminal, run_cli, store):
    assert run_cli_on_terminal("words", status=1) == (
        "pe-search: the store knows no word; `pe-search learn @WORD --yes FILE` teaches it one.\n"
    )
    run_cli("learn", "@storm", "--text", "rain")
    assert run_cli_on_terminal("words", "--judgements", status=1).splitlines()[-1] == (
        "pe-search: nothing was judged in this store; `pe-search learn @WORD --yes FILE` teaches it one."
    )
    run_cli("learn", "@a", "--yes", "dogs/bark.wav", "--no", "weather/storm.wav")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", run_cli_on_terminal("words")).splitlines()
    assert shown[0].split() == ["word", "yes", "no", "unsure", "gone", "last", "judged", "text"]
    assert re.fullmatch(r"@a +1 +4 +0 +0  20\d\d-\d\d-\d\d \d\d:\d\d", shown[1])
    assert shown[2].split() == ["@storm", "0", "0", "0", "0", "-", "rain"]
    assert len(shown) == 3


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["storm", "--text", "rain"], "WORD: 'storm' is not a word: write @, then letters"),
        (["@storm"], "Give --text, --yes, --no, --unsure or --from."),
        ([], "WORD: give a word, such as @mybird."),
        (["@storm", "--text", " "], "--text: must not be empty."),
        (["@storm", "--text", "@rain"], "A word can't start from another word, @rain."),
        (["@storm", "--yes", "dogs"], "dogs is a folder; --yes takes an audio file."),
        (["@storm", "--no", "dogs/bark.wav@2-1"], "--no: the part 2-1 must end after it starts."),
        (["@storm", "--yes", "dogs/none.wav"], "none.wav: is not in the store; index it first"),
        (["@storm", "--yes", "dogs/bark.wav@1-2"], "bark.wav: ends at 1.28 s, before the end of 1–2 s"),
        (["@storm", "--yes", "dogs/bark.wav", "--no", "dogs/bark.wav@0-1.28"], "is judged both yes and no."),
        (["@storm", "--label", "x", "--text", "rain"], "--label: requires --from."),
        (["@storm", "--audio", "x.wav", "--text", "rain"], "--audio: requires --from."),
        (["@storm", "--from", "none.csv"], "none.csv: No such file or directory"),
        (["@storm", "--from", "dogs"], "--from: dogs is a folder."),
    ],
)
def test_what_can_not_be_learned_is_one_line(run_cli, store, args, message):
    outcome = run_cli("learn", *args)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, b"", 1)
    assert outcome.err.startswith("pe-search: ")
    assert message in outcome.err
    assert judged_in(store) == set()
    assert run_cli("words").status == 1


def test_what_a_word_can_not_be_used_with_is_one_line(run_cli, library, store):
    run_cli("learn", "@storm", "--text", "rain")
    said = "can't be used with @storm, which is a learned word.\n"
    assert run_cli("query", "@storm", "--spans") == Outcome(2, b"", f"pe-search: --spans: {said}")
    assert run_cli("query", "rain", "--minus", "@storm", "--fdr", "0.1") == Outcome(2, b"", f"pe-search: --fdr: {said}")
    outcome = run_cli("locate", "@storm", "dogs/bark.wav", "--model", library.checkpoint)
    assert outcome == Outcome(2, b"", "pe-search: @storm is a learned word, which can't be used with spans.\n")
    outcome = run_cli("query", "@wind")
    assert outcome.status == 2
    assert outcome.err == (
        f"pe-search: @wind was not taught to the store at {store}. The store knows @storm. `pe-search learn` teaches "
        "it.\n"
    )
    outcome = run_cli("label", "dogs", "--labels", "@storm", "--store", store, "--speed", "0.5")
    assert outcome.status == 2


def test_a_word_goes_where_texts_go(run_cli, store):
    run_cli("learn", "@storm", "--yes", "weather/storm.wav", "--no", "dogs/bark.wav")
    assert run_cli("count", "@storm", "--by", "folder", "--min-probability", "0").out.startswith(b"text,bin,count")
    labels = run_cli("label", ".", "--labels", "@storm,rain", "--store", store).out
    assert {json.loads(line)["label"] for line in labels.splitlines()} == {"@storm", "rain"}
    hits = run_cli("query", "rain", "--plus", "0.5:@storm", "--minus", "@storm", "--like", "dogs/bark.wav")
    assert hits.status == 0


def test_words_that_there_are_not_can_not_be_forgotten(run_cli, store):
    assert run_cli("forget", "@storm").err == "pe-search: WORD: the store has no word '@storm'; it knows none.\n"
    run_cli("learn", "@rain", "--text", "rain")
    outcome = run_cli("forget", "@rain", "@storm")
    assert outcome == Outcome(2, b"", "pe-search: WORD: the store has no word '@storm'; it knows @rain.\n")
    assert run_cli("words").status == 0


# Read from tables


def test_judgements_are_read_back_exactly(run_cli, library, store, tmp_path):
    odd = library.sounds / "odd" / os.fsdecode(b"not utf-8 \xff\xe9.wav")
    newline = library.sounds / "odd" / "new\nline.wav"
    with pe_search.open(store) as opened:
        opened.learn("@storm", text='rain, "heavy"\u2028 and more', yes=[odd, newline], no="weather/storm.wav")
        opened.learn("@dog", unsure=Reference(Path("dogs/bark.wav"), (0.1, 0.3000000000000001)))
        far = Judgement("@dog", bytes(range(32)), 1 / 3, 2 / 3, "no", "jürgen", 1_234_567_890)
        opened.take_judgements([far])
        before, words = opened.judgements(), opened.words()
    written = tmp_path / "judgements.csv"
    assert run_cli("words", "--judgements", "-o", written) == SILENT
    assert run_cli("words", "--judgements").out == written.read_bytes()
    outcome = run_cli("words", "--judgements", "--format", "jsonl")
    assert outcome == Outcome(2, b"", "pe-search: --judgements: can only print CSV.\n")
    assert run_cli("forget", "@storm", "@dog").status == 0
    outcome = run_cli("learn", "--from", written)
    assert outcome.status == 0
    assert outcome.err.splitlines()[0] == f"{len(before)} judgements read from {written}."
    with pe_search.open(store) as opened:
        assert opened.judgements() == before
        assert opened.words() == words
        assert {one.word: one.gone for one in words} == {"@storm": 0, "@dog": 1}
    # One word of them.
    run_cli("forget", "@storm", "@dog")
    assert run_cli("learn", "@dog", "--from", written).status == 0
    with pe_search.open(store) as opened:
        assert opened.judgements() == [one for one in before if one.word == "@dog"]
    outcome = run_cli("learn", "@cat", "--from", written)
    assert outcome.err == f"pe-search: --from: {written} has nothing about @cat, but about @dog, @storm.\n"
    assert run_cli("learn", "--from", written, "--text", "x").status == 2


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("word", "storm"),
        ("start", "x"),
        ("start", "5"),
        ("end", "nan"),
        ("verdict", "maybe"),
        ("judged_at", "yesterday"),
        ("digest", "00"),
        ("digest", "xyz"),
    ],
)
def test_a_damaged_table_of_judgements_is_refused(run_cli, store, tmp_path, column, value):
    run_cli("learn", "@storm", "--yes", "dogs/bark.wav")
    rows = list(csv.DictReader(io.StringIO(run_cli("words", "--judgements").out.decode())))
    file = tmp_path / "judgements.csv"
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows([rows[0], rows[0] | {column: value}])
    run_cli("forget", "@storm")
    outcome = run_cli("learn", "--from", file)
    assert outcome == Outcome(2, b"", f"pe-search: {file}, line 3: is not a judgement.\n")
    assert judged_in(store) == set()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_of_verdicts(run_cli, library, store, delimiter, tmp_path):
    sounds = library.sounds
    lines = [
        "Verdict,path,start_s,end_s,score",
        f"yes,{sounds}/weather/storm.wav,0.64,1.92,1",
        f"unsure,{sounds}/weather/../weather/rain.wav,0,1,3",
        # As seen from the table.
        f"NO,{os.path.relpath(sounds, tmp_path)}/dogs/bark.wav,0.5,1,1",
    ]
    file = table(tmp_path / "a.csv", *(line.replace(",", delimiter) for line in lines))
    file.write_text("\ufeff" + file.read_text().replace("\n", "\r\n"))
    outcome = run_cli("learn", "@storm", "--from", file, "--no", "dogs/growl.wav")
    assert outcome == Outcome(0, b"", "@storm: 1 yes, 2 no, 1 unsure.\n")
    assert judged_in(store) == {
        ("@storm", "storm.wav", 0.64, 1.92, "yes"),
        ("@storm", "bark.wav", 0.5, 1.0, "no"),
        ("@storm", "rain.wav", 0.0, 1.0, "unsure"),
        ("@storm", "growl.wav", 0.0, 0.5, "no"),
    }


def test_verdicts_of_whole_files(run_cli, library, store, tmp_path):
    rows = f"{library.sounds}/dogs/bark.wav,yes", f"{library.sounds}/weather/storm.wav,no"
    outcome = run_cli("learn", "@dog", "--from", table(tmp_path / "a.csv", "path,verdict", *rows))
    assert outcome == Outcome(0, b"", "@dog: 1 yes, 4 no, 0 unsure.\n")


LABELLED = (
    "path,start,end,label",
    "weather/storm.wav,0,1,Storm",
    "weather/storm.wav,0.5,2,wind",
    "weather/storm.wav,1,2,wind",
    "weather/storm.wav,2,3,heavy rain",
    "dogs/bark.wav,0,1,dog",
)


def test_csv_of_labels(run_cli, library, store, tmp_path):
    file = table(tmp_path / "a.csv", LABELLED[0], *(f"{library.sounds}/{line}" for line in LABELLED[1:]))
    outcome = run_cli("learn", "@storm", "--from", file)
    assert outcome == Outcome(0, b"", "1 other label that overlaps a yes skipped.\n@storm: 1 yes, 3 no, 0 unsure.\n")
    assert judged_in(store) == {
        ("@storm", "storm.wav", 0.0, 1.0, "yes"),
        ("@storm", "storm.wav", 1.0, 2.0, "no"),
        ("@storm", "storm.wav", 2.0, 3.0, "no"),
        ("@storm", "bark.wav", 0.0, 1.0, "no"),
    }
    # The text of a word means it too, and another label if it is named.
    assert run_cli("learn", "@it", "--text", "heavy rain", "--from", file).err == (
        '@it, from "heavy rain": 1 yes, 4 no, 0 unsure.\n'
    )
    assert run_cli("learn", "@one", "--label", "WIND", "--from", file).err == (
        "1 other label that overlaps a yes skipped.\n@one: 2 yes, 2 no, 0 unsure.\n"
    )
    assert run_cli("learn", "@one", "--from", file).err == (
        "pe-search: --from: no label is 'one'; --label says which means yes. There are: Storm, wind, heavy rain, dog.\n"
    )
    assert run_cli("learn", "@one", "--from", file, "--label", "cat").err == (
        "pe-search: --from: no label is 'cat'. There are: Storm, wind, heavy rain, dog.\n"
    )


def test_tables_of_raven_as_crowsetta_reads_them(run_cli, library, store, tmp_path):
    file = tmp_path / "a.txt"
    outcome = run_cli(
        "query", "rain", "--spans", "--under", "weather", "--threshold", "0", "--format", "raven", "-o", file
    )
    assert outcome.status == 0
    boxes = crowsetta.formats.bbox.Raven.from_file(file, annot_col="Annotation").df
    assert len(boxes)
    assert run_cli("learn", "@storm", "--from", file, "--label", "rain").status == 0
    expected = {
        ("@storm", Path(row.begin_path).name, row.begin_time_s, row.end_time_s, "yes")
        for row in boxes.rename(columns={"Begin Path": "begin_path"}).itertuples()
    }
    judged = judged_in(store)
    found = {
        (word, name, round(start_s, 6), round(end_s, 6), verdict) for word, name, start_s, end_s, verdict in judged
    }
    assert found == expected


def test_a_sequence_of_raven_and_one_file(run_cli, library, store, tmp_path):
    header = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies"
    rows = "1\tSpectrogram 1\t1\t0.5\t1.0\t0\t8000\tstorm", "2\tSpectrogram 1\t1\t1.5\t2\t0\t1\tx"
    one = table(tmp_path / "one.txt", header, *rows)
    assert "there is no column path" in run_cli("learn", "@storm", "--from", one).err
    assert run_cli("learn", "@storm", "--from", one, "--audio", "weather/storm.wav").status == 0
    assert judged_in(store) == {("@storm", "storm.wav", 0.5, 1.0, "yes"), ("@storm", "storm.wav", 1.5, 2.0, "no")}
    run_cli("forget", "@storm")
    sequence = table(
        tmp_path / "sequence.txt",
        f"{header}\tBegin Path\tFile Offset (s)",
        f"1\tSpectrogram 1\t1\t100.5\t101.5\t0\t8000\tstorm\t{library.sounds}/weather/wind.wav\t0.25",
    )
    assert run_cli("learn", "@storm", "--from", sequence).status == 0
    assert judged_in(store) == {("@storm", "wind.wav", 0.25, 1.25, "yes")}


def test_labels_of_audacity(run_cli, store, tmp_path):
    file = table(tmp_path / "labels.txt", "0.5\t1.25\tyes", "\\\t200\t4000", "1.5\t2.5\tno")
    assert "there is no column path" in run_cli("learn", "@storm", "--from", file).err
    assert run_cli("learn", "@storm", "--from", file, "--audio", "weather/storm.wav").status == 0
    assert judged_in(store) == {("@storm", "storm.wav", 0.5, 1.25, "yes"), ("@storm", "storm.wav", 1.5, 2.5, "no")}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty"),
        (["path,verdict"], "has a header and no rows."),
        (["path,caption", "dogs/bark.wav,a dog"], "has captions; it needs a column verdict or label."),
        (["path,start,end", "x,0,1"], "there is no column label or caption"),
        (["path,start,end,label", "dogs/bark.wav,x,1,yes"], "{file}, line 2: start must be a number of seconds"),
        (["path,start,end,label", "dogs/none.wav,0,1,yes"], "none.wav: is not in the store; index it first"),
        (["path,start,end,label", "dogs/bark.wav,0,9,yes"], "bark.wav: ends at 1.28 s, before the end of 0–9 s"),
    ],
)
def test_a_table_that_can_not_be_read_is_one_line(run_cli, library, store, tmp_path, lines, message):
    file = table(tmp_path / "a.csv", *(line.replace("dogs/", f"{library.sounds}/dogs/") for line in lines))
    outcome = run_cli("learn", "@storm", "--from", file)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, b"", 1)
    assert message.format(file=file) in outcome.err
    assert run_cli("words").status == 1


def test_whole_files_overlap_with_all_their_parts():
    whole, part, other = Reference(Path("/a")), Reference(Path("/a"), (1.0, 2.0)), Reference(Path("/b"))

    def verdicts(*labelled: tuple[Reference, str]):
        rows = (
            Annotation(1, "", one.path, label, *(one.place or (None, None)), recording="") for one, label in labelled
        )
        return verdicts_of(Annotations(Path("a.csv"), TIMES, tuple(rows)), "@it", None, None)

    found = verdicts((whole, "it"), (part, "x"), (other, "x"))
    assert (found.yes, found.no, found.skipped) == ((whole,), (other,), 1)
    found = verdicts((part, "it"), (replace(part, place=(2.0, 3.0)), "x"), (replace(part, place=(1.9, 3.0)), "x"))
    assert (found.no, found.skipped) == ((replace(part, place=(2.0, 3.0)),), 1)

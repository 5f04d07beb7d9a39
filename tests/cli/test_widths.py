"""Tables in terminals of 40, 60 and 80 columns: no word in two, nothing empty that takes room, paths last and whole."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from pe_search import queries
from pe_search.cli.output import messages, tables
from pe_search.cli.output.hit_parts import HitPartsWriter
from pe_search.cli.output.hits import HitFormat, HitWriter
from pe_search.cli.output.tables import PathTable, fact_lines, with_path
from pe_search.cli.output.traces import SPANS, TraceWriter
from pe_search.queries import Hit, Span, Trace
from tests.made_up import noise, write_audio

WIDTHS = (40, 60, 80)
SHORT = Path("/s/rain.wav")
LONG = Path("/sounds/field recordings/a rather long name of a folder/and another one/dawn chorus at the lake.flac")


@pytest.fixture
def all_are_there(monkeypatch) -> None:
    """So that no hit is marked as gone."""
    monkeypatch.setattr(queries, "is_there", lambda _path: True)


@pytest.fixture(params=WIDTHS)
def columns(request, monkeypatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def hit(path: Path, rank: int, query: str = "rain", start_s: float = 0.0) -> Hit:
    return Hit(query, rank, path, start_s, start_s + 10, score=1.5, probability=0.75)


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


def check(lines: list[str], columns: int, *paths: Path) -> None:
    """Nothing but a path is wider than the terminal, each path is whole, and nothing comes after it."""
    for line in lines:
        assert line == line.rstrip(), "what is empty takes no room"
        assert len(line) <= columns or line.strip() in map(str, paths), line
    for path in paths:
        assert any(line.endswith(str(path)) for line in lines), path


def test_hits(columns, all_are_there, capsysbinary):
    HitWriter(HitFormat.TABLE).write([hit(SHORT, 1), hit(LONG, 2, start_s=3_600), hit(SHORT, 10)])
    lines = plain(capsysbinary.readouterr().out.decode())
    check(lines, columns, SHORT, LONG)
    assert lines[0] == "rain"
    assert lines[1].split() == ["#", "prob.", *(["score"] if columns >= 60 else []), "time", "clip"]
    assert lines[2].split()[-1] == str(SHORT)
    assert len(lines) == 6, "only the path that has no room beside the rest is below it"


def test_hits_with_spans(columns, all_are_there, capsysbinary):
    trace = Trace("rain", LONG, 0, 10, np.linspace(0, 1, 250, dtype=np.float32), (Span(7.0, 10.0, 0.9),))
    HitPartsWriter(SPANS, HitFormat.TABLE).write([(hit(LONG, 1), trace)])
    lines = plain(capsysbinary.readouterr().out.decode())
    check(lines, columns, LONG)
    strip = lines[4].strip()
    assert set(strip) <= set("▁▂▃▄▅▆▇█")
    assert len(strip) >= 16
    assert lines[5].split() == ["0.90", "0:07–0:10", "span"]


def test_located_spans(columns, capsysbinary):
    trace = Trace("a dog barking", LONG, 0, 10, np.linspace(0, 1, 250, dtype=np.float32), (Span(7.0, 10.0, 0.9),))
    TraceWriter(HitFormat.TABLE).write([trace])
    lines = plain(capsysbinary.readouterr().out.decode())
    check([line.rstrip() for line in lines], columns, LONG)
    assert (lines[0], lines[1].strip()) == ("a dog barking", str(LONG))


def test_labels(columns, run_cli, plain_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_audio(tmp_path / "dawn chorus at the lake.wav", noise(1.0))
    labels = "a dog barking in the distance,heavy rain on a tin roof,speech"
    outcome = run_cli("label", path, "--labels", labels, "--model", plain_checkpoint[0], "--format", "table")
    assert outcome.status == 0, outcome.err
    lines = plain(outcome.out.decode())
    check(lines, columns, Path(path.name))
    assert lines[0].split()[:3] == ["prob.", "time", "label"]
    words = {word.strip(",") for line in lines for word in line.split()}
    assert any(set(label.split()) <= words for label in labels.split(","))


@pytest.mark.parametrize(
    "args", [("duplicates",), ("list", "--format", "table"), ("status",), ("models",)], ids=lambda args: args[0]
)
def test_commands(columns, args, run_cli, library, tmp_path):
    store = () if args == ("models",) else ("--store", library.store)
    wanted = ("--format", "table", "--threshold", 0) if args == ("duplicates",) else ()
    outcome = run_cli(*args, *wanted, *store)
    assert outcome.status == 0, outcome.err
    lines = plain(outcome.out.decode())
    paths = [line for line in lines if str(library.sounds) in line or str(library.store) in line]
    for line in lines:
        assert line == line.rstrip()
        assert len(line) <= columns or line in paths or str(library.checkpoint) in line, line
    if args[0] in ("duplicates", "list"):
        shown = [line[line.index(str(library.sounds)) :] for line in paths]
        assert any(line == str(library.sounds / "dogs/bark.wav") for line in shown)


def test_in_a_pipe_each_row_is_a_line(all_are_there, monkeypatch, capsysbinary):
    monkeypatch.delenv("COLUMNS")
    HitWriter(HitFormat.TABLE).write([hit(SHORT, 1), hit(LONG, 2)])
    lines = plain(capsysbinary.readouterr().out.decode())
    assert [line.split("  ")[-1] for line in lines[2:]] == [str(SHORT), str(LONG)]
    assert list(fact_lines([("a", "word " * 100)])) == [f"a  {'word ' * 100}".rstrip()]


def test_words_of_a_fact_go_on_below_and_a_path_stays_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    facts = [("store", "/a path/of words/that is long"), ("formats", ".wav 120, .flac-x 11, .mp3 7")]
    assert list(fact_lines(facts, whole=["store"])) == [
        "store    /a path/of words/that is long",
        "formats  .wav 120,",
        "         .flac-x 11,",
        "         .mp3 7",
    ]


def test_a_word_that_is_longer_than_its_column_stays_whole(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    table = PathTable()
    table.add_column("time")
    table.add_column("label", wraps=True)
    table.add_column("clip")
    table.add_row("0:00", "a pneumonoultramicroscopic sound", "/a.wav")
    table.write()
    assert plain(capsys.readouterr().out) == [
        "time  label",
        "0:00  a",
        "      pneumonoultramicroscopic",
        "      sound",
        "  /a.wav",
    ]


@pytest.mark.parametrize(
    ("path", "shown"),
    [("a" * 12, "before  " + "a" * 12), ("a" * 13, "before\n  " + "a" * 13), ("a" * 19, "before\n" + "a" * 19)],
)
def test_a_path_is_beside_or_below(monkeypatch, path, shown):
    monkeypatch.setattr(tables, "room", lambda: 20)
    assert with_path("before", path) == shown


def test_a_message_goes_on_below_at_words(monkeypatch, capsys):
    monkeypatch.setattr(messages, "columns", lambda: 30)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    messages.say("pe-search: /a/folder/with/a-long-name.wav: No such file or directory")
    assert capsys.readouterr().err.splitlines() == [
        "pe-search:",
        "/a/folder/with/a-long-name.wav:",
        "No such file or directory",
    ]


def test_a_message_is_one_line_where_no_terminal_is(monkeypatch, capsys):
    monkeypatch.setattr(messages, "columns", lambda: 30)
    messages.say("pe-search: /a/folder/with/a-long-name.wav: No such file or directory")
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(("chosen", "expected"), [("57", 57), ("0", 80), ("wide", 80), ("", 80)])
def test_the_width_is_the_one_that_is_chosen_or_the_terminals(chosen, expected, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("COLUMNS", chosen)
    monkeypatch.setattr(os, "get_terminal_size", lambda _descriptor: os.terminal_size((80, 24)))
    assert messages.columns() == expected

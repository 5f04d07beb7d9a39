"""How hits are printed."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pe_search.cli.output.hits import HitFormat, HitWriter
from pe_search.clock import clock
from pe_search.queries import Hit

OWN_FORMATS = (HitFormat.TABLE, HitFormat.PATHS, HitFormat.JSONL, HitFormat.CSV)


def write_hits(answers: list[list[Hit]], hit_format: HitFormat, *, null: bool = False) -> int:
    writer = HitWriter(hit_format, null=null)
    for hits in answers:
        writer.write(hits)
    return writer.count


def hit(path: str | bytes = "/sounds/a.wav", rank: int = 1, **changes: object) -> Hit:
    fields = {"query": "rain", "start_s": 0.0, "end_s": 10.0, "score": 1.5, "probability": 0.75} | changes
    return Hit(path=Path(os.fsdecode(path)), rank=rank, **fields)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00"),
        (0.04, "0:00"),
        (0.05, "0:00"),
        (0.06, "0:00.1"),
        (1.28, "0:01.3"),
        (9.96, "0:10"),
        (59.94, "0:59.9"),
        (59.96, "1:00"),
        (60, "1:00"),
        (3599.96, "1:00:00"),
        (3661.5, "1:01:01.5"),
        (360_000, "100:00:00"),
    ],
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("hit_format", "printed"),
    [
        (HitFormat.PATHS, b""),
        (HitFormat.JSONL, b""),
        (HitFormat.TABLE, b""),
        (HitFormat.CSV, b"query,rank,path,start_s,end_s,score,probability\n"),
    ],
)
def test_no_hits(capfdbinary, hit_format, printed):
    assert write_hits([[], []], hit_format) == 0
    assert capfdbinary.readouterr() == (printed, b"")


def test_no_header_is_printed_before_the_first_answer_is_known(capfdbinary):
    writer = HitWriter(HitFormat.CSV)
    assert capfdbinary.readouterr().out == b""
    writer.write([])
    writer.write([])
    assert capfdbinary.readouterr().out == b"query,rank,path,start_s,end_s,score,probability\n"


@pytest.mark.parametrize("hit_format", OWN_FORMATS)
def test_the_hits_of_all_queries_are_counted(capfdbinary, hit_format):
    assert write_hits([[hit(rank=1), hit(rank=2)], [], [hit(query="sea")]], hit_format) == 3
    assert capfdbinary.readouterr().out


def test_paths(capfdbinary):
    write_hits([[hit("/a b"), hit(b"/\xff\n")], [hit("/a b")]], HitFormat.PATHS)
    assert capfdbinary.readouterr().out == b"/a b\n/\xff\n\n/a b\n"


def test_paths_that_end_with_a_nul_byte(capfdbinary):
    write_hits([[hit("/a b"), hit(b"/\xff\n")]], HitFormat.PATHS, null=True)
    assert capfdbinary.readouterr().out == b"/a b\0/\xff\n\0"


def test_jsonl(capfdbinary):
    write_hits([[hit(b"/\xff\xc3\xbc\x1b", start_s=0.1 + 0.2, score=-1e-9)]], HitFormat.JSONL)
    assert capfdbinary.readouterr().out == (
        rb'{"query": "rain", "rank": 1, "path": "/\udcff\u00fc\u001b", "start_s": 0.3, "end_s": 10.0, "score": -1e-09, '
        b'"probability": 0.75}\n'
    )


def test_csv(capfdbinary):
    write_hits([[hit(b'/\xff, "x"\n.wav')], [hit(query="a,b")]], HitFormat.CSV)
    assert capfdbinary.readouterr().out == (
        b"query,rank,path,start_s,end_s,score,probability\n"
        b'rain,1,"/\xff, ""x""\n.wav",0.0,10.0,1.5,0.75\n'
        b'"a,b",1,/sounds/a.wav,0.0,10.0,1.5,0.75\n'
    )


file_names = st.binary(min_size=1, max_size=20).filter(
    lambda name: not set(name) & set(b"\0/") and name not in (b".", b"..")
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(file_names, min_size=1))
def test_any_file_name_comes_back_out_of_nul_bytes_jsonl_and_csv(capfdbinary, names):
    paths = [b"/sounds/" + name for name in names]
    hits = [hit(path, rank) for rank, path in enumerate(paths, 1)]
    write_hits([hits], HitFormat.PATHS, null=True)
    assert capfdbinary.readouterr().out.split(b"\0")[:-1] == paths
    write_hits([hits], HitFormat.JSONL)
    lines = capfdbinary.readouterr().out.splitlines()
    assert [os.fsencode(json.loads(line)["path"]) for line in lines] == paths
    write_hits([hits], HitFormat.CSV)
    text = io.StringIO(capfdbinary.readouterr().out.decode(errors="surrogateescape"), newline="")
    assert [os.fsencode(row["path"]) for row in csv.DictReader(text)] == paths


def test_a_table_has_a_title_and_a_line_for_each_hit(capfdbinary, monkeypatch):
    monkeypatch.chdir("/")
    write_hits(
        [
            [hit(query="heavy rain"), hit(rank=2, start_s=65.5, end_s=75.5, probability=0.0049, score=-12.345)],
            [hit(query="sea", probability=1.0)],
        ],
        HitFormat.TABLE,
    )
    lines = [line.rstrip() for line in capfdbinary.readouterr().out.decode().splitlines()]
    assert lines == [
        "heavy rain",
        "#  prob.   score           time  clip",
        "1   0.75    1.50      0:00–0:10  sounds/a.wav (gone)",
        "2   0.00  -12.35  1:05.5–1:15.5  sounds/a.wav (gone)",
        "sea",
        "#  prob.  score       time  clip",
        "1   1.00   1.50  0:00–0:10  sounds/a.wav (gone)",
    ]


def test_a_table_takes_no_query_and_no_name_for_markup_or_an_escape(capfdbinary):
    write_hits([[hit("/[bold]x[/bold]\x1b[31m\n", query="[red]a\x1b]0;t\x07[/red]")]], HitFormat.TABLE)
    out = capfdbinary.readouterr().out
    assert b"\x1b" not in out
    title, _head, row = out.decode().splitlines()
    assert title.rstrip() == r"[red]a\x1b]0;t\x07[/red]"
    assert row.rstrip().endswith(r"/[bold]x[/bold]\x1b[31m\n (gone)")


def test_a_long_path_is_whole_on_a_line_of_its_own(capfdbinary, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    path = "/" + "x" * 100
    write_hits([[hit(path)]], HitFormat.TABLE)
    _title, _head, row, below = capfdbinary.readouterr().out.decode().splitlines()
    assert (row.split()[0], below) == ("1", f"{path} (gone)")


def test_copies_are_counted_and_a_file_that_is_gone_is_marked(capfdbinary, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    there = tmp_path / "a.wav"
    there.touch()
    hits = [
        hit(bytes(there), copies=(Path("/b.wav"),)),
        hit("/nowhere.wav", copies=(Path("/b.wav"), Path("/c.wav"))),
        hit("rows/1"),
    ]
    write_hits([hits], HitFormat.TABLE)
    out = capfdbinary.readouterr().out.decode()
    assert [line.rstrip().split("  ")[-1] for line in out.splitlines()[2:]] == [
        f"{there} +1 copy",
        "/nowhere.wav +2 copies (gone)",
        "rows/1",
    ]
    write_hits([hits], HitFormat.JSONL)
    keys = ["query", "rank", "path", "start_s", "end_s", "score", "probability"]
    assert [list(json.loads(line)) for line in capfdbinary.readouterr().out.splitlines()] == [keys] * 3

"""`--fields`, `--sort` and `-o`: what is asked for, in every format, in whole files."""

from __future__ import annotations

import builtins
import csv
import io
import json
import os
import random
import time
from pathlib import Path

import pytest
from pyarrow import parquet

from pe_search.cli.input.field_options import chosen_format
from pe_search.cli.output import rows as rows_module
from pe_search.cli.output.files import output_to
from pe_search.cli.output.hits import HitFormat
from pe_search.cli.output.rows import TableRows, row_writer
from pe_search.known.fields import CLIP_FIELDS, HIT_FIELDS, LABEL_FIELDS, Kind, all_of
from pe_search.parquet import Column
from pe_search.records import Clip, Content, Facts
from pe_search.store import Store
from pe_search.store.facts import write_tags
from tests.cli.conftest import TEXTS
from tests.cli.test_completion import asked, here, offered  # noqa: F401 (a fixture)
from tests.made_up import manifest, noise, write_audio

NOW_S = 1_700_000_000
ODD = b"\x1b[31mred \xff;.wav"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "time", lambda: float(NOW_S))
    return tmp_path / "sounds"


@pytest.fixture
def store(folder) -> Path:
    """Four clips: one with all facts and tags, its copy, an odd name without facts, one that is no file."""
    dawn = Facts(
        sample_rate_hz=96_000,
        channels=2,
        title="Dawn\x1b[2J",
        keywords=("dog", "fence; gate"),
        bpm=120.5,
        recorded_at="2024-06-12T05:30:00+02:00",
        recorded_by="bext",
        loudness_lufs=-23.0,
    )
    contents = [
        Content(b"d" * 32, [(0, 10), (10, 12.5)], [[1, 0, 0], [0, 1, 0]], is_whole=True, facts=dawn),
        Content(b"o" * 32, [(0, 1)], [[0, 0, 1]], is_whole=True, facts=Facts()),
        Content(b"n" * 32, [(0, 300)], [[0, 1, 1]], is_whole=True, facts=Facts(bpm=90.0), missing="breaks off"),
    ]
    clips = [
        (Clip(folder / "dawn.wav", 1_234_567, 1), b"d" * 32),
        (Clip(folder / "copy.wav", 1_234_567, 1), b"d" * 32),
        (Clip(folder / os.fsdecode(ODD), 1, 1), b"o" * 32),
        (Clip(Path("rows/1"), 2, 1), b"n" * 32),
    ]
    with Store.create(folder.parent / "made.store", manifest()) as made:
        made.catalog.commit(contents=contents, clips=clips)
        write_tags(made.catalog, added=[(b"d" * 32, "kick"), (b"d" * 32, "fav")], removed=[])
    return folder.parent / "made.store"


@pytest.fixture
def list_(run_cli, store):
    def run(*args: object, status: int = 0) -> bytes:
        outcome = run_cli("list", "--store", store, *args)
        assert (outcome.status, outcome.err) == (status, "")
        return outcome.out

    return run


SOME = "name,tags,length_s,sample_rate_hz,is_incomplete,recorded_at,copies"


def expected(folder: Path) -> list[dict[str, object]]:
    dawn = {
        "tags": ["fav", "kick"],
        "length_s": 12.5,
        "sample_rate_hz": 96_000,
        "is_incomplete": False,
        "recorded_at": "2024-06-12T05:30:00+02:00",
    }
    nothing = {"tags": [], "sample_rate_hz": None, "is_incomplete": False, "recorded_at": None, "copies": []}
    return [
        {"name": os.fsdecode(ODD), **nothing, "length_s": 1.0},
        {"name": "copy.wav", **dawn, "copies": [str(folder / "dawn.wav")]},
        {"name": "dawn.wav", **dawn, "copies": [str(folder / "copy.wav")]},
        {"name": "1", **nothing, "length_s": 300.0, "is_incomplete": True},
    ]


def test_json_lines_have_the_fields_in_their_order(list_, folder):
    found = [json.loads(line) for line in list_("--fields", SOME, "--format", "jsonl").splitlines()]
    assert found == expected(folder)
    assert all([*one] == SOME.split(",") for one in found)


def test_csv_joins_lists_and_has_the_same_values(list_, folder):
    out = list_("--fields", SOME, "--format", "csv").decode("utf-8", "surrogateescape")
    found = list(csv.DictReader(io.StringIO(out)))
    assert found == [
        {
            name: "" if value is None else "; ".join(value) if isinstance(value, list) else json.dumps(value).strip('"')
            for name, value in (one | {"name": "n", "recorded_at": one["recorded_at"]}).items()
        }
        | {"name": one["name"]}
        for one in expected(folder)
    ]
    header = b"path,tags\n"
    assert list_("--fields", "path,tags", "--format", "csv", "--under", "none", status=1) == header


def test_parquet_has_lists_numbers_and_nulls(list_, folder):
    assert list_("--fields", SOME, "--format", "parquet", "-o", "clips.parquet") == b""
    table = parquet.read_table("clips.parquet")
    assert [str(field.type) for field in table.schema] == [
        *("string", "list<element: string>", "double", "int64", "bool", "string", "list<element: string>")
    ]
    rows = expected(folder)
    rows[0]["name"] = "\x1b[31mred \\xff;.wav"
    assert table.to_pylist() == rows


WIDE = [
    "path                          tags       length_s  size_bytes  title        keywords          is_incomplete",
    r"sounds/\x1b[31mred \xff;.wav  -               1.0           1  -            -                 no",
    r"sounds/copy.wav               fav; kick      12.5   1,234,567  Dawn\x1b[2J  dog; fence; gate  no",
    r"sounds/dawn.wav               fav; kick      12.5   1,234,567  Dawn\x1b[2J  dog; fence; gate  no",
    "rows/1                        -             300.0           2  -            -                 yes",
]
NARROW = [
    "tags       length_s  size_bytes  title        keywords          is_incomplete  path",
    "-               1.0           1  -            -                 no",
    r"  sounds/\x1b[31mred \xff;.wav",
]


def test_a_table_is_for_people(list_, monkeypatch):
    """With no character in it that a terminal would obey; where lines have no room, the path comes last."""
    fields = "path,tags,length_s,size_bytes,title,keywords,is_incomplete"
    monkeypatch.setenv("COLUMNS", "120")
    assert list_("--fields", fields, "--format", "table").decode().splitlines() == WIDE
    monkeypatch.setenv("COLUMNS", "90")
    assert list_("--fields", fields, "--format", "table").decode().splitlines()[:3] == NARROW


def table(columns: list[tuple[str, Kind]], rows: list[list[object]], capfd) -> list[str]:
    with TableRows([Column(*one) for one in columns]) as writer:
        writer.write_all(rows)
    return capfd.readouterr().out.splitlines()


def test_cells_of_a_table(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    long = "x" * 100
    kinds = [("title", Kind.TEXT), ("bpm", Kind.NUMBER), ("windows", Kind.WHOLE), ("is_gone", Kind.FLAG)]
    rows = [
        [long, 1234.5678, 1_000, True],
        ["雨", -0.0001, 0, False],
        [None, None, None, None],
        ["a\tb", 2.5, -1, None],
    ]
    assert table(kinds, rows, capfd) == [
        f"{'title':<80}        bpm  windows  is_gone",
        f"{'x' * 79}…  1,234.568    1,000  yes",
        f"雨{' ' * 78}      0.000        0  no",
        f"{'-':<80}          -        -  -",
        f"a\\tb{' ' * 76}      2.500       -1  -",
    ]


def test_a_table_begins_at_once_and_gets_wider_on_the_way(capfd, monkeypatch):
    monkeypatch.setattr(rows_module, "_ROWS_AT_ONCE", 2)
    monkeypatch.setenv("COLUMNS", "40")
    with TableRows([Column("name", Kind.TEXT), Column("bpm", Kind.NUMBER)]) as writer:
        writer.write_all([["a", 90.0], ["b", 1.5]])
        assert capfd.readouterr().out == "name   bpm\na     90.0\nb      1.5\n"
        writer.write_all([["a long one", 1.0]])
        assert capfd.readouterr().out == ""
    assert capfd.readouterr().out == "a long one   1.0\n"
    assert table([("name", Kind.TEXT)], [], capfd) == []


@pytest.mark.parametrize("row_format", ["csv", "table", "jsonl"])
def test_an_error_prints_nothing_more(row_format, capfd):
    with pytest.raises(KeyError), row_writer([Column("bpm", Kind.NUMBER)], row_format):
        raise KeyError
    assert capfd.readouterr().out == ""


def test_all_fields(list_):
    (first, *_) = list_("--fields", "all").splitlines()
    assert [*json.loads(first)] == all_of(CLIP_FIELDS)


def test_in_a_pipe_fields_are_json_lines_and_not_paths(list_, run_cli_on_terminal, store, monkeypatch, tmp_path):
    assert json.loads(list_("--fields", "name", "--under", "rows/1")) == {"name": "1"}
    assert run_cli_on_terminal("list", "--fields", "name", "--under", "rows/1", "--store", store) == "name\n1\n"
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "pe-search" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('format = "paths"\n')
    assert json.loads(list_("--fields", "name", "--under", "rows/1")) == {"name": "1"}
    config.write_text('format = "csv"\n')
    assert list_("--fields", "name", "--under", "rows/1") == b"name\n1\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--fields", "path,loud"], f"--fields: 'loud' is not a field; fields are {', '.join(all_of(CLIP_FIELDS))}."),
        (["--fields", ""], f"--fields: there is no field; fields are {', '.join(all_of(CLIP_FIELDS))}."),
        (["--fields", "path,bpm,path"], "--fields: the field 'path' is named twice."),
        (["--fields", "path", "--format", "paths"], "--fields: can't be used with --format paths."),
        (["--fields", "path", "-0"], "-0 can't be used with --fields."),
        (["--sort", "loud"], f"--sort: 'loud' is not a field; fields are {', '.join(all_of(CLIP_FIELDS))}."),
        (["--reverse"], "--reverse requires --sort."),
        (["--format", "parquet"], "--format: parquet requires -o FILE."),
        (["-o", ""], "-o: must be a file; results go to standard output without it."),
        (["-o", "-"], "-o: must be a file; results go to standard output without it."),
        (["-o", "."], "-o: . is a folder; give a file."),
        (["-o", "none/a.csv"], "none: No such file or directory"),
        (["-0", "--format", "csv"], "-0 requires --format paths."),
    ],
)
def test_what_can_not_be_is_one_line(run_cli, store, args, message):
    outcome = run_cli("list", "--store", store, *args)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {message}\n"


def test_parquet_without_pyarrow_says_so_before_anything_is_done(run_cli, store, monkeypatch):
    importing = builtins.__import__

    def refuse(name, *args, **options):
        if name == "pyarrow":
            raise ImportError("No module named 'pyarrow'")
        return importing(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    outcome = run_cli("list", "--store", store, "-o", "a.parquet")
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err.startswith("pe-search: Parquet needs pyarrow, which is not installed: `pip install ")
    assert outcome.err.count("\n") == 1
    assert not Path("a.parquet").exists()


# Sorted


def test_clips_are_listed_in_any_order(list_):
    def names(*args: object) -> list[str]:
        return [json.loads(line)["name"] for line in list_("--fields", "name", *args).splitlines()]

    odd = os.fsdecode(ODD)
    assert names() == [odd, "copy.wav", "dawn.wav", "1"]
    assert names("--sort", "length_s") == [odd, "copy.wav", "dawn.wav", "1"]
    assert names("--sort", "length_s", "--reverse") == ["1", "copy.wav", "dawn.wav", odd]
    assert names("--sort", "bpm") == ["1", "copy.wav", "dawn.wav", odd]
    assert names("--sort", "bpm", "--reverse") == ["copy.wav", "dawn.wav", "1", odd]
    assert names("--sort", "path", "--reverse") == ["1", "dawn.wav", "copy.wav", odd]


def test_the_usual_formats_are_sorted_too(list_):
    ascending = list_("--sort", "size_bytes").splitlines()
    assert [Path(os.fsdecode(path)).name for path in ascending] == [os.fsdecode(ODD), "1", "copy.wav", "dawn.wav"]
    shown = list_("--sort", "size_bytes", "--format", "table").decode().splitlines()
    assert [line.rsplit("/", 1)[-1] for line in shown[1:]] == [
        *(r"\x1b[31mred \xff;.wav (gone)", "1 (incomplete)", "copy.wav (gone)", "dawn.wav (gone)")
    ]
    assert list_("--sort", "bpm", "--under", "none", status=1) == b""


# Into a file


@pytest.mark.parametrize("row_format", ["table", "paths", "jsonl", "csv"])
def test_a_file_has_the_same_bytes_as_standard_output(list_, row_format):
    printed = list_("--format", row_format)
    assert printed
    assert list_("--format", row_format, "--output", "out.txt") == b""
    assert Path("out.txt").read_bytes() == printed


def test_the_name_of_the_file_says_the_format(list_):
    for name, row_format in (("a.csv", "csv"), ("a.JSONL", "jsonl"), ("a.ndjson", "jsonl"), ("a.txt", "paths")):
        list_("-o", name)
        assert Path(name).read_bytes() == list_("--format", row_format)
    list_("-o", "a.parquet")
    assert parquet.read_table("a.parquet").to_pylist() == [
        json.loads(line) | {"path": path}
        for line, path in zip(
            list_("--format", "jsonl").splitlines(),
            [
                os.fsencode(json.loads(line)["path"]).decode("utf-8", "backslashreplace")
                for line in list_("--format", "jsonl").splitlines()
            ],
            strict=True,
        )
    ]
    list_("-o", "b.csv", "--format", "jsonl")
    assert Path("b.csv").read_bytes() == list_("--format", "jsonl")


def test_a_file_takes_the_place_of_the_one_before_also_where_nothing_is_found(list_):
    Path("a.csv").write_text("what was there")
    list_("-o", "a.csv", "--under", "none", status=1)
    assert Path("a.csv").read_bytes() == b"path,duration_s,windows,indexed_at,is_incomplete,is_gone\n"
    list_("-o", "a.parquet", "--under", "none", status=1)
    assert parquet.read_table("a.parquet").column_names[:2] == ["path", "duration_s"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.txt"])
def test_after_an_error_what_was_there_is_there(run_cli, store, name, monkeypatch):
    Path(name).write_text("what was there")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        outcome = run_cli("list", "--store", store, "-o", name)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {name}: No space left on device\n"
    assert Path(name).read_text() == "what was there"
    assert not [path for path in Path().iterdir() if path.name.endswith(".part")]
    assert run_cli("list", "--store", store.parent / "none", "-o", name).status == 2
    assert Path(name).read_text() == "what was there"


@pytest.mark.parametrize("row_format", ["csv", "parquet", "table"])
def test_an_interruption_leaves_nothing(tmp_path, row_format, capfd):
    def rows():
        yield [1.0]
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        output_to(tmp_path / "a"),
        row_writer([Column("bpm", Kind.NUMBER)], row_format) as writer,
    ):
        writer.write_all(rows())
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_many_rows_come_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(rows_module, "_ROWS_PER_GROUP", 3)
    numbers = [random.Random(3).random() for _ in range(8)]
    columns = [Column("bpm", Kind.NUMBER)]
    with output_to(tmp_path / "a.parquet"), row_writer(columns, "parquet") as writer:
        for number in numbers:
            writer.write_all([[number]])
    assert parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3
    assert parquet.read_table(tmp_path / "a.parquet")["bpm"].to_pylist() == numbers


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"in_a_pipe": "paths"}, "paths"),
        ({"in_a_pipe": "paths", "shown": ()}, "jsonl"),
        ({"in_a_pipe": "paths", "shows_paths": False}, "jsonl"),
        ({"in_a_pipe": "jsonl", "null": True}, "paths"),
        ({"in_a_pipe": "paths", "output": Path("a.csv"), "null": True}, "paths"),
        ({"in_a_pipe": "paths", "output": Path("a.raven")}, "paths"),
    ],
)
def test_the_format_where_none_is_given(options, expected):
    assert chosen_format(None, HitFormat, **options).value == expected


# Hits


@pytest.fixture
def field_store(folder, run_cli, plain_checkpoint) -> Path:
    """Two recordings with times in their names, and a copy of one."""
    for seed, name in enumerate(("20240612_053000.wav", "20240331_013000.wav")):
        write_audio(folder / name, noise(2.56, seed, rate_hz=32_000) * (1 + seed), 32_000)
    (folder / "z copy.wav").write_bytes((folder / "20240612_053000.wav").read_bytes())
    directory = folder.parent / "field.store"
    window = ("--window", 1.28, "--model", plain_checkpoint[0])
    assert run_cli("index", folder, "--store", directory, *window).status == 0
    return directory


OF_HITS = "rank,at,path,sample_rate_hz,copies,start_s"


def test_hits_with_fields(run_cli, field_store, folder):
    options = ("--store", field_store, "-k", 10, "--all-windows")
    usual = [json.loads(line) for line in run_cli("query", "rain", *options, "--format", "jsonl").out.splitlines()]
    outcome = run_cli("query", "rain", *options, "--fields", OF_HITS)
    assert (outcome.status, outcome.err) == (0, "")
    found = [json.loads(line) for line in outcome.out.splitlines()]
    assert len(found) == 4
    for hit, row in zip(usual, found, strict=True):
        name = Path(hit["path"]).name
        clock = {"20240612_053000.wav": "2024-06-12T05:30:0", "20240331_013000.wav": "2024-03-31T01:30:0"}[name]
        assert row == {
            "rank": hit["rank"],
            "at": f"{clock}{hit['start_s']:.3f}",
            "path": hit["path"],
            "sample_rate_hz": 32_000,
            "copies": [str(folder / "z copy.wav")] if name.startswith("20240612") else [],
            "start_s": hit["start_s"],
        }
    assert {row["start_s"] for row in found} == {0.0, 1.28}


def test_hits_without_fields_are_as_ever(run_cli, field_store):
    options = ("--store", field_store, "-k", 1)
    (line,) = run_cli("query", "rain", *options, "--format", "jsonl").out.splitlines()
    assert [*json.loads(line)] == ["query", "rank", "path", "start_s", "end_s", "score", "probability"]
    run_cli("query", "rain", *options, "-o", "hits.parquet")
    table = parquet.read_table("hits.parquet")
    assert table.to_pylist() == [json.loads(line)]
    assert [str(field.type) for field in table.schema] == ["string", "int64", "string", *["double"] * 4]
    assert run_cli("query", "rain", *options, "--min-probability", 1, "-o", "hits.parquet").status == 1
    assert parquet.read_table("hits.parquet").num_rows == 0


def test_hits_in_every_format(run_cli, field_store):
    options = ("--store", field_store, "-k", 2, "--fields", "rank,name,channels,probability,tags")
    rows = [json.loads(line) for line in run_cli("query", *TEXTS[:2], *options).out.splitlines()]
    assert len(rows) == 4
    for name in ("hits.csv", "hits.parquet"):
        assert run_cli("query", *TEXTS[:2], *options, "-o", name).status == 0
    assert parquet.read_table("hits.parquet").to_pylist() == rows
    with Path("hits.csv").open() as file:
        assert [[row["rank"], row["name"]] for row in csv.DictReader(file)] == [
            [str(row["rank"]), row["name"]] for row in rows
        ]
    shown = run_cli("query", *TEXTS[:2], *options, "--format", "table").out.decode().splitlines()
    chances = [f"{row['probability']:.3f}" for row in rows]
    header = "rank  name                 channels  probability  tags"
    lines = [f"{row['rank']:>4}  {row['name']}         1        {p}  -" for row, p in zip(rows, chances, strict=True)]
    assert shown == [TEXTS[0], header, *lines[:2], TEXTS[1], header, *lines[2:]]


def test_hits_with_spans_and_fields(run_cli, field_store):
    options = ("--store", field_store, "-k", 1, "--spans", "--threshold", 0, "--fields", "name,at")
    (row,) = [json.loads(line) for line in run_cli("query", "rain", *options).out.splitlines()]
    assert [*row] == ["name", "at", "spans"]
    (span,) = row["spans"]
    flat = {"name": row["name"], "at": row["at"], **{f"span_{name}": value for name, value in span.items()}}
    assert run_cli("query", "rain", *options, "-o", "a.parquet").status == 0
    assert parquet.read_table("a.parquet").to_pylist() == [flat]
    out = run_cli("query", "rain", *options, "--format", "csv").out.decode().splitlines()
    assert out == [",".join(flat), ",".join(map(str, flat.values()))]
    shown = run_cli("query", "rain", *options, "--format", "table").out.decode().splitlines()
    assert shown[0] == "rain"
    assert shown[1].split() == [*flat]
    assert shown[2].split()[:2] == [row["name"], row["at"]]
    nothing = ("--store", field_store, "-k", 1, "--spans", "--threshold", 1, "--fields", "name", "-o", "b.parquet")
    assert run_cli("query", "rain", *nothing).status == 0
    empty = {"name": row["name"], "span_start_s": None, "span_end_s": None, "span_probability": None}
    assert parquet.read_table("b.parquet").to_pylist() == [empty]


def test_fields_of_a_hit_alone_leave_the_store_to_its_server(run_cli, field_store, monkeypatch):
    """What a server answers needs no store here, unless something of the clip is asked for."""
    from pe_search.tasks import describing

    def refuse(*_):
        raise AssertionError("the store was asked")

    monkeypatch.setattr(describing, "indexed_clips_at", refuse)
    assert run_cli("query", "rain", "--store", field_store, "--fields", "rank,path,score,copies").status == 0


def test_several_stores_answer_together(run_cli, field_store, folder, plain_checkpoint):
    write_audio(folder.parent / "more" / "20200101_000000.wav", noise(1.28, 5, rate_hz=22_050), 22_050)
    other = folder.parent / "other.store"
    window = ("--window", 1.28, "--model", plain_checkpoint[0])
    assert run_cli("index", folder.parent / "more", "--store", other, *window).status == 0
    outcome = run_cli("query", "rain", "--store", field_store, "--store", other, "--fields", "name,sample_rate_hz,at")
    rates = {row["name"]: row["sample_rate_hz"] for row in map(json.loads, outcome.out.splitlines())}
    assert rates == {"20240612_053000.wav": 32_000, "20240331_013000.wav": 32_000, "20200101_000000.wav": 22_050}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["rain", "--fields", "label"],
            f"--fields: 'label' is not a field; fields are {', '.join(all_of(HIT_FIELDS))}.",
        ),
        (["rain", "--spans", "--format", "cue", "--fields", "at"], "--fields: can't be used with --format cue."),
        (["rain", "--format", "parquet"], "--format: parquet requires -o FILE."),
        (["rain", "--spans", "--format", "parquet"], "--format: parquet requires -o FILE."),
    ],
)
def test_a_query_that_can_not_be(run_cli, field_store, args, message):
    outcome = run_cli("query", *args, "--store", field_store)
    assert (outcome.status, outcome.out, outcome.err) == (2, b"", f"pe-search: {message}\n")


def test_a_conversation_goes_into_no_file(terminal, field_store):
    import sys

    program = terminal([sys.executable, "-m", "pe_search", "query", "--store", field_store, "-o", "a.csv"])
    assert program.finish() == (2, "pe-search: -o: requires a TEXT.\n")
    assert not Path("a.csv").exists()


# Labels and spans


def test_labels_with_fields_of_files_and_stores(run_cli, field_store, folder, plain_checkpoint):
    write_audio(folder / "new_20250101_120000Z.wav", noise(0.5, 9), subtype="PCM_16")
    options = ("--labels", "rain,sea", "--fields", "label,rank,name,at,codec,windows,tags")
    outcome = run_cli("label", folder, *options, "--store", field_store)
    assert (outcome.status, outcome.err) == (0, "")
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert {(row["name"], row["windows"], row["codec"]) for row in rows} == {
        ("20240612_053000.wav", 2, "float"),
        ("20240331_013000.wav", 2, "float"),
        ("z copy.wav", 2, "float"),
        ("new_20250101_120000Z.wav", None, "pcm_16"),
    }
    assert {row["at"] for row in rows if row["name"].startswith("new")} == {"2025-01-01T12:00:00.000+00:00"}
    alone = run_cli("label", folder, *options[:2], "--fields", "name,codec,label", "--model", plain_checkpoint[0])
    assert {json.loads(line)["codec"] for line in alone.out.splitlines()} == {"float", "pcm_16"}
    assert run_cli("label", folder, *options, "--store", field_store, "-o", "labels.parquet").out == b""
    assert parquet.read_table("labels.parquet").to_pylist() == rows
    shown = run_cli("label", folder, *options, "--store", field_store, "--format", "table").out.decode().splitlines()
    assert shown[0].split() == options[3].split(",")
    assert len(shown) == 1 + len(rows)
    wrong = run_cli("label", folder, "--labels", "rain", "--fields", "copies")
    assert wrong.err == (
        f"pe-search: --fields: 'copies' is not a field; fields are {', '.join(all_of(LABEL_FIELDS))}.\n"
    )


def test_spans_into_a_file(run_cli, field_store, folder, plain_checkpoint):
    options = ("--threshold", 0, "--model", plain_checkpoint[0])
    printed = run_cli("locate", "rain", folder, *options)
    assert run_cli("locate", "rain", folder, *options, "-o", "spans.parquet").out == b""
    assert parquet.read_table("spans.parquet").to_pylist() == [json.loads(line) for line in printed.out.splitlines()]
    for row_format in ("csv", "audacity"):
        where = folder if row_format == "csv" else folder / "z copy.wav"
        args = ("locate", "rain", where, *options, "--format", row_format)
        assert run_cli(*args, "-o", "spans.txt").status == 0
        assert Path("spans.txt").read_bytes() == run_cli(*args).out
    (folder / "broken.wav").write_bytes(b"no sound")
    outcome = run_cli("locate", "rain", folder, *options, "-o", "spans.csv")
    # A file is left out, and all others are there.
    assert outcome.status == 2
    assert len(Path("spans.csv").read_text().splitlines()) == 4


# Tab


def test_tab_offers_the_fields_of_the_command(here):  # noqa: F811 (the fixture)
    assert offered("pe-search list --fields ") == [*CLIP_FIELDS]
    assert offered("pe-search query --fields rec") == ["recorded_at", "recorded_by"]
    assert offered("pe-search label --fields lab") == ["label"]
    assert offered("pe-search list --sort pea") == ["peak_dbfs"]
    # What is there already is not offered again.
    assert offered("pe-search list --fields recorded_at,rec") == ["recorded_at,recorded_by"]
    assert [line.split("\t")[0] for line in asked("fish", "pe-search list --fields path,ta").splitlines()] == [
        "path,tags"
    ]

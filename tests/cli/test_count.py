"""`pe-search count`: tables with bars, CSV, JSON Lines and heat maps of how often sounds are heard."""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pe_search.cli.output import counts as shown_counts
from pe_search.cli.output.heat_map import heat_map, write_heat_map
from pe_search.model import Model
from pe_search.reports import Counts
from pe_search.store import Store
from tests.cli.conftest import TEXTS, Library
from tests.made_up import FakeEmbedder
from tests.recordings import HEARD, MANIFEST, SILENT, Recording, put

DOG, CAT, BOTH = "1 0 0", "0 1 0", "1 1 0"


@pytest.fixture(autouse=True)
def _texts_of_numbers(monkeypatch):
    monkeypatch.setattr(Model, "text_embedder", lambda _model: FakeEmbedder())


@pytest.fixture
def make(tmp_path):
    """Make a store of recordings, and return its folder."""

    def run(*recordings: Recording) -> Path:
        with Store.create(tmp_path / "store", MANIFEST) as store:
            put(store, *recordings)
        return tmp_path / "store"

    return run


@pytest.fixture
def store(make) -> Path:
    """Ten windows from 5:59:40 to 6:01:10 on one day, with a dog in six of them and a cat in one, and two the next."""
    return make(
        Recording("/r/a/20240612_055940.wav", [HEARD] * 6 + [SILENT] * 4, [SILENT, HEARD] + [SILENT] * 8),
        Recording("/r/b/20240613_055940.wav", [SILENT, SILENT], [HEARD, SILENT]),
    )


@pytest.fixture
def count(run_cli, store):
    """Count in the store."""

    def run(*args: object, status: int = 0, err: str = "") -> str:
        outcome = run_cli("count", *args, "--store", store)
        assert (outcome.status, outcome.err) == (status, err)
        return outcome.out.decode("utf-8", "surrogateescape")

    return run


CSV_BY_DAY = f"""text,bin,count,windows
{DOG},2024-06-12,6,10
{DOG},2024-06-13,0,2
{CAT},2024-06-12,1,10
{CAT},2024-06-13,1,2
"""


def test_in_a_pipe_it_is_csv(count):
    assert count(DOG, CAT, "--by", "day") == count(DOG, CAT, "--by", "day", "--format", "csv") == CSV_BY_DAY


def test_hours_are_what_it_counts_by(count):
    expected = "".join(
        f"{DOG},{hour},{ {5: 2, 6: 4}.get(hour, 0) },{ {5: 4, 6: 8}.get(hour, 0) }\n" for hour in range(24)
    )
    assert count(DOG) == f"text,bin,count,windows\n{expected}"


def test_months_folders_and_clips(count):
    assert count(CAT, "--by", "month") == f"text,bin,count,windows\n{CAT},2024-06,2,12\n"
    assert count(CAT, "--by", "folder") == f"text,bin,count,windows\n{CAT},a,1,10\n{CAT},b,1,2\n"
    assert count(DOG, "--by", "folder", "--of", "clips") == f"text,bin,count,clips\n{DOG},a,1,1\n{DOG},b,0,1\n"


def test_json_lines_have_the_same_fields(count):
    rows = [json.loads(line) for line in count(DOG, CAT, "--by", "day", "--format", "jsonl").splitlines()]
    assert rows[1] == {"text": DOG, "bin": "2024-06-13", "count": 0, "windows": 2}
    assert [",".join(map(str, row.values())) for row in rows] == CSV_BY_DAY.splitlines()[1:]
    assert count(DOG, CAT, "--by", "day", "--format", "json") == count(DOG, CAT, "--by", "day", "--format", "jsonl")


def test_the_least_probability_decides(count):
    everything = count(DOG, "--by", "month", "--min-probability", 0)
    assert everything == f"text,bin,count,windows\n{DOG},2024-06,12,12\n"
    nothing = count(DOG, "--by", "month", "--min-probability", 1, status=1)
    assert nothing == f"text,bin,count,windows\n{DOG},2024-06,0,12\n"


def test_only_below_a_folder(count):
    assert count(CAT, "--by", "month", "--under", "/r/b") == f"text,bin,count,windows\n{CAT},2024-06,1,2\n"
    assert count(CAT, "--by", "day", "--under", "/none", status=1) == "text,bin,count,windows\n"


def test_only_what_passes_filters(count):
    assert count(DOG, "--by", "day", "--hour", "6-7") == f"text,bin,count,windows\n{DOG},2024-06-12,4,8\n"
    both = count(CAT, "--by", "day", "--name", "20240613*", "--recorded", "2024-06-13")
    assert both == f"text,bin,count,windows\n{CAT},2024-06-13,1,2\n"
    assert count(CAT, "--by", "day", "--recorded", "2024-06-12T05:59:50..2024-06-12T05:59:51").endswith(",1,1\n")
    assert count(CAT, "--by", "day", "--tag", "none", status=1) == "text,bin,count,windows\n"


def test_texts_come_from_lists_too(count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("species.TXT").write_text(f"\ufeff{DOG}\r\n\n  {CAT}\n", encoding="utf-8")
    assert count("species.TXT", "--by", "day") == CSV_BY_DAY
    assert count(DOG, "species.TXT", "--by", "day") == CSV_BY_DAY, "no text counts twice"
    assert count("--from-file", "species.TXT", "--by", "day") == CSV_BY_DAY
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{CAT}\n".encode())))
    assert count(DOG, "./species.TXT", "--by", "day", "--from-file", "species.TXT") == CSV_BY_DAY


def test_windows_without_a_time_are_said_to_be_there(run_cli, make):
    store = make(
        Recording("/r/20240612_055940.wav", [HEARD]),
        Recording("/r/x.wav", [HEARD] * 2),
        Recording("/r/y.wav", [SILENT]),
    )
    outcome = run_cli("count", DOG, "--by", "day", "--store", store)
    assert outcome.out.decode() == f"text,bin,count,windows\n{DOG},2024-06-12,1,1\n{DOG},unknown,2,3\n"
    assert outcome.err == (
        "pe-search: 2 clips have no time of recording and are counted as unknown; a header or a name such as "
        "20240612_053000.wav gives one.\n"
    )
    one = run_cli("count", DOG, "--under", "/r/x.wav", "--store", store)
    assert one.err.startswith("pe-search: 1 clip has no time of recording and is counted as unknown;")
    assert run_cli("count", DOG, "--by", "folder", "--store", store).err == ""


def test_counts_are_those_of_upstream(run_cli, library: Library, monkeypatch):
    """By the logits of upstream's own forward, in folders."""
    monkeypatch.undo()
    lines = run_cli("count", *TEXTS, "--by", "folder", "--format", "jsonl", "--store", library.store)
    found = {
        (row["text"], row["bin"]): (row["count"], row["windows"]) for row in map(json.loads, lines.out.splitlines())
    }
    totals = Counter(place.path.parent for place in library.places)
    assert np.abs(library.logits).min() > 5e-3, "no window is so near to a half that its embedding's rounding matters"
    expected = {}
    for column, text in enumerate(TEXTS):
        heard = Counter(library.places[row].path.parent for row in np.flatnonzero(library.logits[:, column] >= 0))
        for folder, total in totals.items():
            expected[text, str(folder.relative_to(library.sounds))] = heard[folder], total
    assert found == expected


# Tables


def plain(shown: str) -> str:
    """What a terminal shows, without colours and the bar of progress."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.rpartition("\x1b[2K")[2])


@pytest.fixture
def eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_a_table_has_a_row_for_each_bin(count, eighty_columns):
    lines = count(DOG, CAT, "--by", "day", "--format", "table").splitlines()
    assert lines[0] == "of all windows, those with a probability of 0.5 or more"
    assert [line.split() for line in lines[1:]] == [
        ["day", "windows", *DOG.split(), *CAT.split()],
        ["2024-06-12", "10", "6", "█" * 26, "1", "█" * 26],
        ["2024-06-13", "2", "0", "1", "█" * 26],
    ]
    # Counts stand below each other.
    assert lines[2].index("6 █") == lines[3].index("0", 20) == lines[1].index(DOG)
    assert lines[2].index("1 █") == lines[3].index("1 █") == lines[1].index(CAT)


def test_on_a_terminal_it_is_a_table(run_cli_on_terminal, store, eighty_columns):
    shown = plain(run_cli_on_terminal("count", DOG, CAT, "--by", "day", "--store", store))
    assert shown.splitlines()[2].split() == ["2024-06-12", "10", "6", "█" * 26, "1", "█" * 26]


def test_a_bar_is_as_long_as_its_count(make, run_cli, eighty_columns):
    """The longest is 40 characters of eight parts each: of 640 windows, one is half a part and shown as a whole one."""
    loud = {0: 640, 1: 320, 2: 2, 3: 1, 4: 0, 5: 639}
    store = make(
        *(
            Recording(f"/r/20240612_{hour:02}0000.wav", [HEARD] * count + [SILENT], starts_s=[0.0] * (count + 1))
            for hour, count in loud.items()
        )
    )
    lines = run_cli("count", DOG, "--format", "table", "--store", store).out.decode().splitlines()[2:8]
    assert [line.split()[1:] for line in lines] == [
        ["641", "640", "█" * 40],
        ["321", "320", "█" * 20],
        ["3", "2", "▏"],
        ["2", "1", "▏"],
        ["1", "0"],
        ["640", "639", "█" * 40],
    ]
    assert shown_counts._bar(3 / 16, 10) == "█▉"
    assert shown_counts._bar(1, 3) == "███"


def test_hours_without_recordings_are_blank(count, eighty_columns):
    lines = count(DOG, "--format", "table").splitlines()
    assert len(lines) == 26
    assert lines[2].split() == ["0", "0"]
    assert lines[7].split() == ["5", "4", "2", "█" * 20]


def test_many_texts_go_into_further_tables_of_eighty_columns(count, eighty_columns):
    texts = [f"{number} 1 0" for number in range(1, 11)]
    lines = count(*texts, "--format", "table").splitlines()
    tables = "\n".join(lines[1:]).split("\n\n")
    assert [re.findall(r"\d+ 1 0", one.splitlines()[0]) for one in tables] == [texts[:3], texts[3:6], texts[6:]]
    assert [len(one.splitlines()) for one in tables] == [25] * 3
    assert 70 < max(map(len, lines)) <= 80


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 200])
def test_tables_fit_any_terminal(count, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = count(DOG, CAT, BOTH, "--by", "month", "--format", "table").splitlines()[1:]
    assert max(map(len, lines)) <= max(columns, 23)
    assert next(line.split()[2] for line in lines if line.startswith("2024-06")) == "6"


def test_folders_come_last_and_stay_whole(make, run_cli, tmp_path, monkeypatch, eighty_columns):
    long = "a folder whose name is far longer than what there is room for in a column of it"
    store = make(
        Recording(f"{tmp_path}/sounds/{long}/1.wav", [HEARD]), Recording(f"{tmp_path}/sounds/b/[red]/1.wav", [SILENT])
    )
    monkeypatch.chdir(tmp_path)
    lines = run_cli("count", DOG, "--by", "folder", "--format", "table", "--store", store).out.decode().splitlines()
    assert lines[0] == "of all windows, those with a probability of 0.5 or more, folders in sounds"
    assert lines[1].split() == ["windows", *DOG.split(), "folder"]
    assert [line.split() for line in (lines[2], lines[4])] == [["1", "1", "█" * 40], ["1", "0", "b/[red]"]]
    assert lines[3].strip() == long


def test_stdout_without_block_characters_has_ascii(store, run_cli, monkeypatch, eighty_columns):
    monkeypatch.setattr(shown_counts, "can_encode", lambda _text: False)
    shown = run_cli("count", DOG, "--by", "day", "--format", "table", "--store", store).out.decode()
    assert shown.splitlines()[2].split() == ["2024-06-12", "10", "6", "#" * 40]


def test_nothing_found_is_said_on_a_terminal(run_cli_on_terminal, store, make):
    shown = run_cli_on_terminal("count", CAT, BOTH, "--min-probability", 1, "--store", store, status=1)
    # Twice what a half takes, or three times a cat's: 2 × 8 − 1.
    assert plain(shown).splitlines()[-1] == (
        "pe-search: no window has a probability of 1 or more; the best is 1.00, for 1 1 0"
    )
    shown = run_cli_on_terminal("count", CAT, "--hour", "6-7", "--store", store, status=1)
    assert plain(shown).splitlines()[-1] == (
        "pe-search: no window passing --hour 6-7 has a probability of 0.5 or more; the best is 0.00, for 0 1 0"
    )
    shown = run_cli_on_terminal("count", CAT, "--tag", "good", "--store", store, status=1)
    assert plain(shown) == "pe-search: none of 2 clips passes --tag good.\n"
    shown = run_cli_on_terminal("count", CAT, "--under", "/none", "--store", store, status=1)
    assert plain(shown) == f"pe-search: the store has no clips in /none; `pe-search list --store {store}` shows all.\n"


HOSTILE = Counts(
    by="folder",
    of="windows",
    min_probability=0.25,
    texts=("\x1b[31mred\n", "[red]x[/red]", "$x^{\\frac$ & <b>", "雨" * 30, "'\"", "x" * 300),
    bins=("\udcff\udce9", "a\tb", "[bold]", "=1+1", "雨"),
    totals=(1, 2, 3, 0, 40_000),
    counts=((0, 1, 2, 0, 4), (1, 1, 1, 0, 1), (0, 0, 0, 0, 0), (1, 2, 3, 0, 39_999), (0, 0, 0, 0, 1), (1, 0, 0, 0, 0)),
    best=(0.5,) * 6,
)


def test_hostile_texts_and_names_do_nothing_in_a_table(capsysbinary, eighty_columns):
    shown_counts.write_counts(HOSTILE, shown_counts.CountFormat.TABLE)
    shown = capsysbinary.readouterr().out.decode()
    assert "\\x1b[31mred\\n" in shown
    assert {"\\xff\\xe9", "a\\tb", "[bold]", "=1+1"} <= {line.split()[-1] for line in shown.splitlines() if line}
    assert not set(shown) & {"\x1b", "\t"}
    assert "39,999" in shown
    from rich.cells import cell_len

    assert max(map(cell_len, shown.splitlines())) <= 80


def test_hostile_texts_and_names_come_back_from_csv(capsysbinary):
    import csv

    shown_counts.write_counts(HOSTILE, shown_counts.CountFormat.CSV)
    text = capsysbinary.readouterr().out.decode("utf-8", "surrogateescape")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["text", "bin", "count", "windows"]
    assert [tuple(row) for row in rows[1:]] == [tuple(map(str, row)) for row in HOSTILE.rows()]


# Files


def test_a_file_is_written_instead(run_cli, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out.csv").write_text("before")
    outcome = run_cli("count", DOG, CAT, "--by", "day", "-o", "out.csv", "--store", store)
    assert (outcome.status, outcome.out, outcome.err) == (0, b"", "2 texts counted by day, written to out.csv\n")
    assert Path("out.csv").read_text() == CSV_BY_DAY
    for name, written_as in (("out.jsonl", "jsonl"), ("rows.txt", "csv")):
        assert run_cli("count", DOG, CAT, "--by", "day", "-o", name, "--store", store).status == 0
        shown = run_cli("count", DOG, CAT, "--by", "day", "--format", written_as, "--store", store)
        assert Path(name).read_bytes() == shown.out
    nothing = run_cli("count", DOG, "--min-probability", 1, "--by", "month", "-o", "none.CSV", "--store", store)
    assert (nothing.status, Path("none.CSV").read_text()) == (1, f"text,bin,count,windows\n{DOG},2024-06,0,12\n")
    assert not list(tmp_path.glob(".*"))


def test_parquet_has_the_same_rows(run_cli, store, tmp_path):
    from pyarrow import parquet

    assert run_cli("count", DOG, CAT, "--by", "day", "-o", tmp_path / "a.parquet", "--store", store).status == 0
    rows = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [",".join(map(str, row.values())) for row in rows] == CSV_BY_DAY.splitlines()[1:]


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG\r\n\x1a\n"), (".svg", b"<?xml"), (".pdf", b"%PDF-")])
def test_a_heat_map_is_of_the_kind_that_its_name_says(run_cli, store, tmp_path, monkeypatch, suffix, magic):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("MPLBACKEND", "tkagg")
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # which would look for a display
    files = []
    for name in (f"a{suffix}", f"b{suffix.upper()}"):
        outcome = run_cli("count", DOG, CAT, "-o", tmp_path / name, "--store", store)
        assert (outcome.status, outcome.out) == (0, b"")
        assert outcome.err == f"2 texts counted by hour, written to {tmp_path / name}\n"
        files.append((tmp_path / name).read_bytes())
    assert files[0].startswith(magic)
    assert files[0] == files[1]


def figure_of(counts: Counts) -> tuple[list[str], list[str], np.ma.MaskedArray, dict[tuple[float, float], str]]:
    """Labels across and down, what is drawn, and the number in each cell."""
    axes = heat_map(counts).axes[0]
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    across = [label.get_text() for label in axes.get_xticklabels()]
    return across, [label.get_text() for label in axes.get_yticklabels()], axes.images[0].get_array(), numbers


def counts_of(by: str, bins: tuple[str, ...], totals: tuple[int, ...], *counts: tuple[int, ...]) -> Counts:
    texts = tuple(f"text {number}" for number in range(len(counts)))
    return Counts(by, "windows", 0.25, texts, bins, totals, counts, (0.5,) * len(counts))


def test_a_heat_map_shows_the_counts():
    counts = counts_of("hour", tuple("0123"), (5, 0, 7, 9), (1, 0, 2, 3), (0, 0, 9, 0))
    across, down, drawn, numbers = figure_of(counts)
    assert (across, down) == (["0", "1", "2", "3"], ["text 0", "text 1"])
    assert drawn.tolist() == [[1, None, 2, 3], [0, None, 9, 0]]
    assert numbers == {(0, 0): "1", (2, 0): "2", (3, 0): "3", (0, 1): "0", (2, 1): "9", (3, 1): "0"}
    figure = heat_map(counts)
    assert figure.axes[0].get_xlabel() == "hour of the day"
    assert figure.axes[1].get_ylabel() == "windows with a probability of 0.25 or more"
    assert figure.axes[0].images[0].get_clim() == (0, 9)


def test_days_without_recordings_are_blank_in_a_heat_map():
    counts = counts_of("day", ("2024-02-28", "2024-03-01", "unknown"), (1, 2, 3), (1, 0, 2))
    across, _, drawn, _ = figure_of(counts)
    assert across == ["2024-02-28", "2024-02-29", "2024-03-01", "unknown"]
    assert drawn.tolist() == [[1, None, 0, 2]]
    months = counts_of("month", ("2023-11", "2024-02"), (1, 2), (1, 0))
    assert figure_of(months)[0] == ["2023-11", "2023-12", "2024-01", "2024-02"]
    # A recorder whose clock began anew.
    apart = counts_of("day", ("1970-01-01", "2024-03-01", "10000-01-01"), (1, 2, 3), (1, 0, 2))
    assert figure_of(apart)[0] == list(apart.bins)
    only = counts_of("day", ("unknown",), (3,), (1,))
    assert figure_of(only)[0] == ["unknown"]


def test_a_heat_map_of_very_many_bins_and_texts_is_no_larger_than_a_wall():
    bins = tuple(f"folder {number}" for number in range(5_000))
    counts = counts_of("folder", bins, (1,) * 5_000, *[(1,) * 5_000] * 400)
    figure = heat_map(counts)
    assert (figure.get_size_inches() <= (24, 60)).all()
    across, down, drawn, numbers = figure_of(counts)
    assert (len(across), len(down), drawn.shape, numbers) == (48, 134, (400, 5_000), {})
    assert across[1] == "folder 105"


def test_a_heat_map_of_nothing_is_empty(run_cli, make, tmp_path):
    store = make()
    outcome = run_cli("count", DOG, "--by", "day", "-o", tmp_path / "none.png", "--store", store)
    assert outcome.status == 1
    assert (tmp_path / "none.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_hostile_texts_and_names_do_nothing_in_a_heat_map(suffix):
    import warnings
    from xml.etree import ElementTree

    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert write_heat_map(HOSTILE, out, suffix) is (suffix == ".svg")
    if suffix == ".svg":
        texts = {"".join(element.itertext()) for element in ElementTree.fromstring(out.getvalue()).iter()}
        assert {"\\x1b[31mred\\n", "$x^{\\frac$ & <b>", "\\xff\\xe9", "雨" * 30, "x" * 39 + "…"} <= texts


def test_what_the_font_lacks_is_said(run_cli, make, tmp_path):
    store = make(Recording("/r/雨/1.wav", [HEARD]), Recording("/r/b/1.wav", [HEARD]))
    outcome = run_cli("count", DOG, "--by", "folder", "-o", tmp_path / "a.png", "--store", store)
    assert outcome.status == 0
    assert outcome.err == (
        f"pe-search: {tmp_path / 'a.png'}: the font lacks some characters of its labels; an .svg keeps them as text.\n"
        f"1 text counted by folder, written to {tmp_path / 'a.png'}\n"
    )


def test_without_matplotlib_one_line_says_how_to_get_it(run_cli, store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = run_cli("count", DOG, "-o", tmp_path / "a.png", "--store", store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == (
        "pe-search: A heat map needs matplotlib, which is not installed: `pip install 'pe-search[plots]'`, "
        "`pipx inject pe-search matplotlib`, or in the clone `uv tool install . --with matplotlib`.\n"
    )
    assert run_cli("count", DOG, "-o", tmp_path / "a.csv", "--store", store).status == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "Give a TEXT or --from-file. As TEXT, - reads standard input."),
        ([""], "TEXT: must not be empty."),
        ([DOG, " "], "TEXT: must not be empty."),
        (["\udcff"], "TEXT: must be UTF-8."),
        (["none.txt"], "none.txt: No such file or directory"),
        (["blank.txt"], "TEXT: blank.txt is empty."),
        (["bark.wav"], "TEXT: 'bark.wav' is an audio file; use --like bark.wav."),
        ([DOG, "--by", "year"], "--by: 'year' is not one of 'hour', 'day', 'month', 'folder'."),
        ([DOG, "--of", "files"], "--of: 'files' is not one of 'windows', 'clips'."),
        ([DOG, "--min-probability", "2"], "--min-probability: '2' must be a number from 0 to 1, such as 0.5."),
        ([DOG, "-o", "a.gif"], "-o: 'a.gif': a heat map must end with .png, .svg or .pdf."),
        ([DOG, "-o", "."], "-o: . is a folder; give a file."),
        ([DOG, "-o", "a.pdf", "--format", "csv"], "--format: can't be used with -o FILE.pdf, which is a heat map."),
        ([DOG, "--format", "parquet"], "--format: parquet requires -o FILE."),
        ([DOG, "-o", "none/a.png"], "-o: there is no folder none."),
    ],
)
def test_wrong_calls(run_cli, store, tmp_path, monkeypatch, args, said):
    monkeypatch.chdir(tmp_path)
    Path("blank.txt").write_text("\n")
    Path("bark.wav").touch()
    outcome = run_cli("count", *args, "--store", store)
    assert (outcome.status, outcome.out, outcome.err) == (2, b"", f"pe-search: {said}\n")


def test_there_is_no_store(run_cli, tmp_path):
    outcome = run_cli("count", DOG, "--store", tmp_path / "none")
    assert (outcome.status, outcome.err[:31]) == (2, "pe-search: There is no store at")

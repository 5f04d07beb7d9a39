"""`pe-search duplicates`: groups of clips of the store, and how they are printed."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import ODD_NAMES
from tests.made_up import noise, write_audio

KEYS = ["group", "path", "cosine", "is_same_bytes"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Sounds, some of them twice: louder, as the same bytes under a name like no other, and not quite the same."""
    folder = tmp_path_factory.mktemp("twice") / "sounds"
    hiss, hum = noise(1.0, 1), noise(1.0, 2) ** 3
    write_audio(folder / "a" / "hiss.wav", hiss)
    write_audio(folder / "a" / "hum.wav", hum)
    write_audio(folder / "b" / "hiss.wav", hiss * 0.9997)
    shutil.copy(folder / "a" / "hum.wav", folder / "b" / os.fsdecode(ODD_NAMES[6]))
    return folder


@pytest.fixture
def duplicates(run_cli, folder, plain_checkpoint, tmp_path):
    """Index the sounds, and find the duplicates among them."""
    store = tmp_path / "store"
    assert run_cli("index", folder, "--model", plain_checkpoint[0], "--store", store).status == 0

    def run(*args: object, status: int = 0) -> bytes:
        outcome = run_cli("duplicates", "--store", store, *args)
        assert (outcome.status, outcome.err) == (status, "")
        return outcome.out

    return run


def bytes_of(*paths: Path) -> bytes:
    return b"".join(os.fsencode(path) + b"\n" for path in paths)


@pytest.fixture
def paths(folder) -> dict[str, Path]:
    names = {"hiss": "a/hiss.wav", "hum": "a/hum.wav", "louder": "b/hiss.wav"}
    return {name: folder / path for name, path in names.items()} | {"odd": folder / "b" / os.fsdecode(ODD_NAMES[6])}


def test_in_a_pipe_groups_are_paths_with_an_empty_line_between(duplicates, paths):
    expected = bytes_of(paths["hiss"], paths["louder"]) + b"\n" + bytes_of(paths["hum"], paths["odd"])
    assert duplicates("--threshold", 0.999) == expected


def test_the_same_bytes_are_a_group_at_any_threshold(duplicates, paths):
    assert duplicates("--threshold", 1) == bytes_of(paths["hum"], paths["odd"])


def test_jsonl_and_csv_have_a_line_for_each_clip(duplicates, paths):
    rows = [json.loads(line) for line in duplicates("--threshold", 0.999, "--format", "jsonl").splitlines()]
    assert all(list(row) == KEYS for row in rows)
    assert [(row["group"], row["path"], row["is_same_bytes"]) for row in rows] == [
        (1, str(paths["hiss"]), True),
        (1, str(paths["louder"]), False),
        (2, str(paths["hum"]), True),
        (2, str(paths["odd"]), True),
    ]
    assert [row["cosine"] for row in rows] == [1, pytest.approx(1, abs=1e-3), 1, 1]
    text = duplicates("--threshold", 0.999, "--format", "csv").decode("utf-8", "surrogateescape")
    assert list(csv.reader(io.StringIO(text))) == [
        KEYS,
        *([str(row["group"]), row["path"], str(row["cosine"]), str(row["is_same_bytes"]).lower()] for row in rows),
    ]


def test_the_table_tells_the_cosine_or_that_the_bytes_are_the_same(duplicates, folder, monkeypatch):
    monkeypatch.chdir(folder)
    lines = duplicates("--threshold", 0.999, "--format", "table").decode().splitlines()
    assert [line.split() for line in lines] == [
        ["#", "cosine", "clip"],
        ["1", "a/hiss.wav"],
        ["1.000", "b/hiss.wav"],
        ["2", "a/hum.wav"],
        ["bytes", "b/not", "utf-8", "\\xff\\xe9.wav"],
    ]


def test_only_below_a_folder(duplicates, folder):
    assert duplicates(folder / "a", "--threshold", 0.999, status=1) == b""


def test_no_duplicates_is_status_1(duplicates, folder):
    assert duplicates(folder / "nowhere", status=1) == b""
    assert duplicates(folder / "nowhere", "--format", "table", status=1) == b""
    assert duplicates(folder / "nowhere", "--format", "csv", status=1) == ",".join(KEYS).encode() + b"\n"


def test_without_a_store_there_is_a_line_that_says_so(run_cli, tmp_path):
    outcome = run_cli("duplicates", "--store", tmp_path / "none")
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err.startswith("pe-search: ")
    assert str(tmp_path / "none") in outcome.err


@pytest.mark.parametrize("threshold", ["nan", "-0.1", "1.5"])
def test_a_threshold_that_is_no_cosine(run_cli, threshold):
    outcome = run_cli("duplicates", "--threshold", threshold)
    assert outcome.status == 2
    assert outcome.err.startswith("pe-search: --threshold: ")


def test_on_a_terminal_it_is_a_table(run_cli_on_terminal, library):
    shown = run_cli_on_terminal("duplicates", "--store", library.store, "--threshold", 0)
    assert shown.index("comparing") < shown.index("cosine")

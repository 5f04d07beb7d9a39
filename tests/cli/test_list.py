"""`pe-search list`: the clips of a store."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import pe_search
from pe_search.errors import StoreError
from pe_search.records import Clip, Content, IndexedClip
from pe_search.store import Store, listing
from tests.cli.conftest import ODD_NAMES
from tests.made_up import edit_catalog, manifest

NOW_S = 1_790_000_000


@pytest.fixture
def folder(tmp_path) -> Path:
    """A store of four clips: one that is there, one that is gone, one incomplete, one that is no file."""
    folder = tmp_path / "birds"
    (folder / "deep").mkdir(parents=True)
    (folder / "wren.wav").touch()
    (folder / "deep" / "owl.wav").touch()
    return folder


@pytest.fixture
def store(folder, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(time, "time", lambda: NOW_S + 0.5)
    whole = Content(b"w" * 32, [(0, 10), (10, 20), (14.5, 24.5)], [[1, 0, 0], [0, 1, 0], [0, 0, 1]], is_whole=True)
    broken = Content(b"b" * 32, [(0, 10)], [[1, 0, 0]], is_whole=True, missing="breaks off after 10 s")
    clips = [
        (Clip(folder / "wren.wav", 1, 1), whole.digest),
        (Clip(folder / "gone.wav", 1, 1), whole.digest),
        (Clip(folder / "deep" / "owl.wav", 1, 1), broken.digest),
        (Clip(Path("rows/1"), 1, 1), broken.digest),
    ]
    with Store.create(tmp_path / "store", manifest()) as store:
        store.catalog.commit(contents=[whole, broken], clips=clips)
        store.catalog.commit(saved=[(Clip(folder / "old.wav", 1, 1), whole.digest, None)])
    (folder / "old.wav").touch()
    return tmp_path / "store"


@pytest.fixture
def list_(run_cli, store):
    def run(*args: object, status: int = 0) -> bytes:
        outcome = run_cli("list", "--store", store, *args)
        assert (outcome.status, outcome.err) == (status, "")
        return outcome.out

    return run


def test_in_a_pipe_it_prints_paths_in_order_byte_for_byte(list_, store, folder):
    odd = Path(os.fsdecode(ODD_NAMES[6]))
    with Store.open(store, read_only=False) as opened:
        opened.catalog.commit(saved=[(Clip(folder / odd, 1, 1), b"w" * 32, None)])
    paths = [folder / "deep" / "owl.wav", folder / "gone.wav", folder / odd, folder / "old.wav", folder / "wren.wav"]
    assert list_() == b"".join(bytes(path) + b"\n" for path in [*paths, Path("rows/1")])
    assert list_("-0", "--under", folder / "deep") == bytes(paths[0]) + b"\0"
    assert list_("--format", "jsonl", "--under", folder / odd) != b""


def test_json_lines_have_exactly_these_fields(list_, folder):
    rows = [json.loads(line) for line in list_("--format", "jsonl").splitlines()]
    at = datetime.fromtimestamp(NOW_S, UTC).isoformat()
    keys = ["path", "duration_s", "windows", "indexed_at", "is_incomplete", "is_gone"]
    assert [list(row) for row in rows] == [keys] * 5
    assert [tuple(row.values()) for row in rows] == [
        (str(folder / "deep" / "owl.wav"), 10.0, 1, at, True, False),
        (str(folder / "gone.wav"), 24.5, 3, at, False, True),
        (str(folder / "old.wav"), 24.5, 3, None, False, False),
        (str(folder / "wren.wav"), 24.5, 3, at, False, False),
        ("rows/1", 10.0, 1, at, True, False),
    ]


def test_csv_has_the_same_fields_and_a_header_even_without_clips(list_, folder, tmp_path):
    rows = list(csv.DictReader(io.StringIO(list_("--format", "csv", "--under", folder / "gone.wav").decode())))
    assert [(row["path"], row["windows"], row["is_gone"]) for row in rows] == [(str(folder / "gone.wav"), "3", "true")]
    header = b"path,duration_s,windows,indexed_at,is_incomplete,is_gone\n"
    assert list_("--format", "csv", "--under", tmp_path / "elsewhere", status=1) == header


def test_only_those_that_are_gone(list_, folder):
    assert list_("--gone") == bytes(folder / "gone.wav") + b"\n"
    (folder / "gone.wav").touch()
    assert list_("--gone", status=1) == b""


def test_on_a_terminal_it_is_a_table(run_cli_on_terminal, store, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        shown = run_cli_on_terminal("list", "--store", store)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert shown == (
        "   length  windows  indexed           clip\n"
        "     0:10        1  2026-09-21 14:13  deep/owl.wav (incomplete)\n"
        "   0:24.5        3  2026-09-21 14:13  gone.wav (gone)\n"
        "   0:24.5        3  -                 old.wav\n"
        "   0:24.5        3  2026-09-21 14:13  wren.wav\n"
        "     0:10        1  2026-09-21 14:13  rows/1 (incomplete)\n"
    )


def test_on_a_terminal_it_says_why_there_is_none(run_cli_on_terminal, store, tmp_path):
    shown = run_cli_on_terminal("list", "--under", tmp_path / "x", "--store", store, status=1)
    assert shown == f"pe-search: the store holds no clip below {tmp_path / 'x'}.\n"
    shutil.rmtree(store)
    with Store.create(store, manifest()):
        pass
    assert run_cli_on_terminal("list", "--store", store, status=1) == "pe-search: the store holds no clip.\n"


def test_as_paths_no_disk_is_asked(list_, monkeypatch):
    def refuse(_clip: IndexedClip) -> bool:
        raise AssertionError("the disk was asked")

    monkeypatch.setattr(IndexedClip, "is_gone", refuse)
    assert len(list_().splitlines()) == 5
    with pytest.raises(AssertionError, match="the disk was asked"):
        list_("--format", "jsonl")


def test_it_comes_in_pages_and_may_be_left_at_any_clip(store, folder, monkeypatch):
    monkeypatch.setattr(listing, "_ROWS_AT_ONCE", 2)
    with pe_search.open(store) as library:
        clips = library.clips()
        first = next(clips)
        with Store.open(store, read_only=False) as writer:
            writer.catalog.commit(removed=[folder / "gone.wav"])
        assert [first.path.name, *(clip.path.name for clip in clips)] == [
            "owl.wav",
            "gone.wav",
            "old.wav",
            "wren.wav",
            "1",
        ]
        next(library.clips())
        assert library.status().clips == 4


def test_a_clip_that_can_not_be_found_any_more_is_missed(store, folder):
    edit_catalog(store, "UPDATE clips SET content_id = 77 WHERE id = 1")
    with pe_search.open(store) as library, pytest.raises(StoreError, match="it lacks clips or contents"):
        list(library.clips())
    with pe_search.open(store) as library, pytest.raises(StoreError, match="it lacks clips or contents"):
        list(library.clips(folder))


def test_minus_0_goes_with_paths_only(run_cli):
    outcome = run_cli("list", "-0", "--format", "csv")
    assert outcome.status == 2
    assert outcome.err == "pe-search: -0 requires --format paths.\n"

"""`pe-search status`."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pe_search.pe_audio.checkpoint import find_checkpoint
from tests.made_up import noise, write_audio


@pytest.fixture
def revision(library) -> str:
    return find_checkpoint(str(library.checkpoint)).revision


def test_json_has_exactly_these_facts(run_cli, library, revision):
    outcome = run_cli("status", "--format", "json", "--store", library.store)
    assert (outcome.status, outcome.err) == (0, "")
    facts = json.loads(outcome.out)
    written_at = datetime.fromisoformat(facts.pop("written_at"))
    assert written_at.utcoffset() == timedelta(0)
    assert timedelta(0) <= datetime.now(UTC) - written_at < timedelta(hours=1)
    size_bytes = sum(file.stat().st_size for file in library.store.iterdir())
    indexed_at = datetime.fromisoformat(facts["folders"][0].pop("indexed_at"))
    assert timedelta(0) <= written_at - indexed_at < timedelta(seconds=60)
    assert facts == {
        "store": str(library.store),
        "model": str(library.checkpoint),
        "revision": revision,
        "dimension": 32,
        "window_s": 1.28,
        "hop_s": 0.64,
        "level": "auto",
        "speed": 1.0,
        "track": 1,
        "clips": 14,
        "contents": 14,
        "left_out": 0,
        "incomplete": 0,
        "with_facts": 14,
        "with_time": 0,
        "with_tags": 0,
        "transcribed": 0,
        "windows": 20,
        "audio_s": pytest.approx(11 * 1.28 + 0.5 + 3.2 + 3.0),
        "size_bytes": size_bytes,
        "formats": {".wav": 14},
        "folders": [
            {"path": str(library.sounds), "exclude": [], "unreadable": {}, "excluded_files": 0, "excluded_folders": 0}
        ],
        "zones": {},
    }


def test_jsonl_means_json(run_cli, library):
    assert run_cli("status", "--format", "jsonl", "--store", library.store) == run_cli(
        "status", "--format", "json", "--store", library.store
    )


def test_text_has_a_line_for_each_fact(run_cli, library, revision):
    outcome = run_cli("status", "--store", library.store)
    assert (outcome.status, outcome.err) == (0, "")
    *lines, written, folders = outcome.out.decode().splitlines()
    assert re.fullmatch(rf"folders     \d{{4}}-\d\d-\d\d \d\d:\d\d  {re.escape(str(library.sounds))}", folders)
    size_mb = sum(file.stat().st_size for file in library.store.iterdir()) / 1e6
    assert lines == [
        f"store       {library.store}",
        f"checkpoint  {library.checkpoint}, revision {revision}",
        "window      1.28 s, every 0.64 s",
        "level       auto",
        "clips       14",
        "windows     20",
        "hours       0.01",
        "formats     .wav 14",
        "known       headers of 14",
        f"on disk     {size_mb:.1f} MB",
    ]
    assert re.fullmatch(r"written     \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", written)


@pytest.fixture
def troubled(run_cli, library, tmp_path) -> Path:
    """A store with one clip twice, and two clips that were left out."""
    folder = tmp_path / "sounds"
    write_audio(folder / "a.wav", noise(0.2))
    shutil.copy(folder / "a.wav", folder / "b.wav")
    (folder / "empty.wav").touch()
    os.utime(folder / "empty.wav", ns=(1, 2**40))
    (folder / os.fsdecode(b"\x1b[31m\n\xff.wav")).write_text("words")
    store = tmp_path / "store"
    assert run_cli("index", folder, "--model", library.checkpoint, "--store", store).status == 2
    return store


def test_copies_and_what_was_left_out_are_counted(run_cli, troubled):
    facts = json.loads(run_cli("status", "--format", "json", "--store", troubled).out)
    assert {name: facts[name] for name in ("clips", "contents", "windows", "left_out")} == {
        "clips": 2,
        "contents": 1,
        "windows": 2,
        "left_out": 2,
    }
    lines = run_cli("status", "--store", troubled).out.decode().splitlines()
    assert lines[3:9] == [
        "level       auto",
        "clips       2, 1 different",
        "windows     2",
        "hours       0.00",
        "formats     .wav 2",
        "left out    2, see --problems",
    ]


def test_problems_are_listed_with_their_reasons(run_cli, troubled, tmp_path):
    outcome = run_cli("status", "--problems", "--store", troubled)
    odd, empty = tmp_path / "sounds" / os.fsdecode(b"\x1b[31m\n\xff.wav"), tmp_path / "sounds" / "empty.wav"
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.decode().splitlines() == [
        rf"{tmp_path}/sounds/\x1b[31m\n\xff.wav: can't be read as audio: Format not recognised",
        f"{empty}: the file is empty",
    ]
    facts = json.loads(run_cli("status", "--problems", "--format", "json", "--store", troubled).out)
    assert facts[0]["path"] == str(odd)
    assert facts[1] == {
        "path": str(empty),
        "kind": "left out",
        "size_bytes": 0,
        "modified_ns": 2**40,
        "reason": "the file is empty",
    }


def test_no_problems_are_exit_status_1(run_cli, library):
    assert run_cli("status", "--problems", "--store", library.store).status == 1
    outcome = run_cli("status", "--problems", "--format", "json", "--store", library.store)
    assert (outcome.status, outcome.out, outcome.err) == (1, b"[]\n", "")


def test_what_was_left_out_is_forgotten_by_remove(run_cli, troubled, tmp_path):
    outcome = run_cli("remove", tmp_path / "sounds" / "empty.wav", "--store", troubled)
    assert (outcome.status, outcome.err) == (0, "0 clips removed, 1 problem forgotten.\n")
    assert len(run_cli("status", "--problems", "--store", troubled).out.splitlines()) == 1
    outcome = run_cli("index", tmp_path / "sounds", "--store", troubled)
    assert outcome.status == 2
    assert outcome.err.startswith(f"pe-search: {tmp_path}/sounds/empty.wav: the file is empty\n")


def test_looking_changes_nothing(run_cli, library):
    def contents() -> dict[str, bytes]:
        # What was asked is remembered, and nothing else.
        files = [file for file in library.store.iterdir() if not file.name.startswith("texts.sqlite3")]
        return {file.name: file.read_bytes() for file in files if not file.name.endswith("-shm")}

    before = contents()
    for args in (["status"], ["status", "--format", "json"], ["query", "rain"]):
        assert run_cli(*args, "--store", library.store).status == 0
    assert contents() == before


def test_the_store_may_come_from_the_environment(run_cli, library, monkeypatch):
    monkeypatch.setenv("PE_SEARCH_STORE", str(library.store))
    assert run_cli("status") == run_cli("status", "--store", library.store)


def test_the_name_of_a_store_is_harmless_in_text_and_whole_in_json(run_cli, library, tmp_path):
    store = tmp_path / os.fsdecode(b"\x1b[31m\n\xff")
    shutil.copytree(library.store, store)
    text = run_cli("status", "--store", store).out.decode()
    assert text.splitlines()[0] == rf"store       {tmp_path}/\x1b[31m\n\xff"
    assert json.loads(run_cli("status", "--format", "json", "--store", store).out)["store"] == str(store)


def test_status_needs_no_checkpoint(run_cli, library, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(library.store, store)
    manifest = json.loads((store / "manifest.json").read_text())
    (store / "manifest.json").write_text(json.dumps(manifest | {"model": "facebook/pe-av-small", "revision": "c0ffee"}))
    outcome = run_cli("status", "--store", store)
    assert outcome.status == 0
    assert "checkpoint  facebook/pe-av-small, revision c0ffee" in outcome.out.decode().splitlines()


def test_a_terminal_is_told_that_there_are_no_problems(run_cli, run_cli_on_terminal, library):
    args = ("status", "--problems", "--store", library.store)
    assert run_cli_on_terminal(*args, status=1) == "No problems.\n"
    assert run_cli_on_terminal(*args, "--format", "json", status=1) == "[]\n"
    outcome = run_cli(*args)
    assert (outcome.status, outcome.out, outcome.err) == (1, b"", "")

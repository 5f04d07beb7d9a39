"""`pe-search status`."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from pe_search.pe_audio.checkpoint import find_checkpoint


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
    assert facts == {
        "store": str(library.store),
        "model": str(library.checkpoint),
        "revision": revision,
        "dimension": 32,
        "window_s": 1.28,
        "hop_s": 0.64,
        "clips": 14,
        "windows": 20,
        "audio_s": pytest.approx(11 * 1.28 + 0.5 + 3.2 + 3.0),
        "size_bytes": size_bytes,
    }


def test_text_has_a_line_for_each_fact(run_cli, library, revision):
    outcome = run_cli("status", "--store", library.store)
    assert (outcome.status, outcome.err) == (0, "")
    *lines, written = outcome.out.decode().splitlines()
    size_mb = sum(file.stat().st_size for file in library.store.iterdir()) / 1e6
    assert lines == [
        f"store       {library.store}",
        f"checkpoint  {library.checkpoint}, revision {revision}",
        "window      1.28 s, every 0.64 s",
        "clips       14",
        "windows     20",
        "hours       0.01",
        f"on disk     {size_mb:.1f} MB",
    ]
    assert re.fullmatch(r"written     \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", written)


def test_looking_changes_nothing(run_cli, library):
    def contents() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in library.store.iterdir() if not file.name.endswith("-shm")}

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

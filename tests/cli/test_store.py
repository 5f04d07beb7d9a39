"""Looking after a store."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3

import pytest

from tests.cli.conftest import invoke


@pytest.fixture
def store(library, tmp_path):
    """A copy of the library's store, to be changed."""
    return shutil.copytree(library.store, tmp_path / "copy")


def clips(store):
    return json.loads(invoke("status", "--format", "json", "--store", store).out)["clips"]


def paths(store):
    return [
        os.fsdecode(path) for path in invoke("query", "rain", "-0", "-k", 1000, "--store", store).out.split(b"\0")[:-1]
    ]


def test_removing_a_clip_leaves_the_others(store):
    before = paths(store)
    outcome = invoke("remove", before[1], "--store", store)
    assert (outcome.status, outcome.out, outcome.err) == (0, b"", "1 clip removed.\n")
    assert paths(store) == [before[0], *before[2:]]


def test_removing_a_folder_that_is_gone(store):
    with sqlite3.connect(store / "catalog.sqlite3") as db:
        db.execute("UPDATE clips SET path = CAST('/gone/' || id AS BLOB)")
    db.close()
    count = clips(store)
    assert invoke("remove", "/gone/1", "/go", "--store", store).err == "1 clip removed.\n"
    assert invoke("remove", "/gone", "--store", store).err == f"{count - 1} clips removed.\n"
    assert clips(store) == 0


def test_removing_what_is_not_there_is_exit_status_1(store, tmp_path):
    outcome = invoke("remove", tmp_path, "--store", store)
    assert (outcome.status, outcome.err) == (1, "0 clips removed.\n")


def test_rebuilding_replaces_an_index_that_is_wrong(store):
    before = paths(store)
    (index,) = store.glob("index-*.faiss")
    good = index.read_bytes()
    index.write_bytes(good[:-40] + bytes(40))
    outcome = invoke("rebuild", "--store", store)
    assert outcome.status == 0
    assert outcome.err.startswith("Index of ")
    assert index.read_bytes() == good
    assert paths(store) == before

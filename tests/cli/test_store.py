"""Looking after a store."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from pyarrow import parquet

from pe_search.store import Store
from tests.cli.conftest import HOP_S, WINDOW_S, invoke
from tests.made_up import edit_catalog, noise, write_audio


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
    assert (outcome.status, outcome.err) == (1, f"pe-search: the store has no clips in {tmp_path}\n")


def test_rebuilding_replaces_an_index_that_is_wrong(store):
    before = paths(store)
    index = store / "index.vectors"
    good = index.read_bytes()
    index.write_bytes(good[:-40] + bytes(40))
    outcome = invoke("rebuild", "--store", store)
    assert outcome.status == 0
    assert outcome.err.startswith("The new index has ")
    assert index.read_bytes() == good
    assert paths(store) == before


def test_a_damaged_index_is_made_again_by_the_next_query_which_says_so(store):
    before = paths(store)
    index = store / "index.vectors"
    good = index.read_bytes()
    index.write_bytes(good + b"\0")
    outcome = invoke("query", "rain", "-0", "-k", 1000, "--store", store)
    assert outcome.status == 0
    assert [os.fsdecode(path) for path in outcome.out.split(b"\0")[:-1]] == before
    assert outcome.err == (
        f"pe-search: {index}: the index is damaged (its size is not what its header says); it is made again from the "
        "catalog\n"
    )
    assert index.read_bytes() == good
    assert invoke("query", "rain", "-0", "--store", store).err == ""


def test_a_full_disk_is_said_when_the_index_is_what_was_asked_for(store, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device", str(store / "index.vectors"))

    monkeypatch.setattr("pe_search.store.tensors.os.replace", full)
    outcome = invoke("rebuild", "--store", store)
    assert (outcome.status, outcome.err) == (2, f"pe-search: {store}/index.vectors: No space left on device\n")


# Merge


@pytest.fixture
def other(library, tmp_path):
    """A store of the same kind with two clips of its own."""
    for seed in range(2):
        write_audio(tmp_path / "more" / f"{seed}.wav", noise(0.5, 100 + seed))
    args = ("index", tmp_path / "more", "--model", library.checkpoint, "--window", WINDOW_S, "--hop", HOP_S)
    assert invoke(*args, "--store", tmp_path / "other").status == 0
    return tmp_path / "other"


def test_merging_brings_in_the_others_clips_once(store, other, tmp_path):
    before = set(paths(store))
    outcome = invoke("merge", other, "--store", store)
    assert (outcome.status, outcome.out, outcome.err) == (0, b"", f"2 clips copied. Store: {store}\n")
    assert set(paths(store)) == before | {str(tmp_path / "more" / f"{seed}.wav") for seed in range(2)}
    assert invoke("merge", other, "--store", store).err == f"0 clips copied; 2 were there already. Store: {store}\n"


def test_merging_a_store_without_clips_says_so(store, other):
    assert invoke("remove", other.with_name("more"), "--store", other).status == 0
    assert invoke("merge", other, "--store", store).err == f"0 clips copied; {other} holds none. Store: {store}\n"


def test_merging_what_does_not_fit_or_is_not_there_is_one_line(store, other, tmp_path):
    shutil.rmtree(other)
    with Store.open(store) as opened:
        Store.create(other, dataclasses.replace(opened.manifest, hop_s=0.32)).__exit__(None, None, None)
    outcome = invoke("merge", other, "--store", store)
    assert outcome.status == 2
    assert outcome.err == (
        f"pe-search: The store at {other} does not match the one at {store}: it has windows of 1.28 s "
        "every 0.32 s, this store 1.28 s every 0.64 s.\n"
    )
    outcome = invoke("merge", tmp_path / "none", "--store", store)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith(f"pe-search: There is no store at {tmp_path}/none;")


# Export


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_exporting_writes_every_window(store, tmp_path, suffix):
    outcome = invoke("export", tmp_path / f"out.{suffix}", "--store", store)
    assert (outcome.status, outcome.out, outcome.err) == (0, b"", f"20 windows written to {tmp_path}/out.{suffix}\n")
    if suffix == "npz":
        with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
            assert set(found["path"]) == set(paths(store))
            assert found["embedding"].shape == (20, 32)
    else:
        assert parquet.read_table(tmp_path / "out.parquet").num_rows == 20


def test_exporting_to_something_else_is_refused(store, tmp_path):
    outcome = invoke("export", tmp_path / "out.csv", "--store", store)
    assert outcome.status == 2
    assert "must end with .parquet or .npz" in outcome.err
    assert not (tmp_path / "out.csv").exists()


# Verify


def test_verifying_agrees_on_the_machine_that_embedded(store):
    outcome = invoke("verify", "--store", store)
    assert (outcome.status, outcome.err) == (0, "")
    lines = dict(re.split("  +", line, maxsplit=1) for line in outcome.out.decode().splitlines())
    assert lines["compared"] == "14 clips, 20 windows"
    assert re.fullmatch(r"\S+ in one number, 0\.0\d\d% of an embedding's length", lines["largest difference"])
    assert float(lines["smallest cosine"]) >= 0.99999
    assert (lines["gone"], lines["changed"]) == ("0", "0")
    assert b"compared            2 clips, " in invoke("verify", "--sample", 2, "--store", store).out


def test_verifying_embeddings_that_are_wrong_is_exit_status_1(store):
    edit_catalog(store, "UPDATE windows SET embedding = ?", np.ones(32, "<f2").tobytes())
    assert invoke("verify", "--store", store).status == 1


def test_verifying_when_nothing_is_there_any_more_is_exit_status_2(store):
    edit_catalog(store, "DELETE FROM clips WHERE id > 2")
    edit_catalog(store, "UPDATE clips SET path = CAST('/gone/' || id AS BLOB)")
    outcome = invoke("verify", "--store", store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert (
        outcome.err
        == "pe-search: /gone/1: is gone\npe-search: /gone/2: is gone\npe-search: Nothing could be compared.\n"
    )


def test_rebuilding_saves_what_can_be_read_of_a_damaged_catalog(store):
    before = paths(store)
    with sqlite3.connect(store / "catalog.sqlite3") as db:
        db.execute("UPDATE windows SET embedding = x'00' WHERE id = 1")
        (lost,) = db.execute("SELECT path FROM clips WHERE content_id = 1").fetchone()
    db.close()
    (store / "index.vectors").unlink()
    outcome = invoke("query", "rain", "--store", store)
    assert outcome.status == 2
    assert outcome.err.endswith(f"`pe-search rebuild --store {store}` saves what can still be read.\n")
    outcome = invoke("rebuild", "--store", store)
    assert outcome.status == 0
    assert outcome.err.splitlines()[0] == (
        f"13 clips saved. The damaged catalog is now {store}/catalog.sqlite3.damaged. Index your folders again to "
        "embed the clips that are missing."
    )
    assert paths(store) == [path for path in before if os.fsencode(path) != lost]


def test_rebuilding_says_what_is_no_longer_known_once_the_table_of_contents_is_gone(store):
    before = paths(store)
    with closing(sqlite3.connect(store / "catalog.sqlite3")) as db:
        page, size_bytes = db.execute(
            "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'contents'"
        ).fetchone()
    with (store / "catalog.sqlite3").open("r+b") as file:
        file.seek((page - 1) * size_bytes)
        file.write(bytes(size_bytes))
    outcome = invoke("rebuild", "--store", store)
    assert outcome.status == 0
    assert outcome.err.splitlines()[0].startswith("14 clips saved. The damaged catalog is now ")
    assert outcome.err.splitlines()[1] == "It is not known whether 14 clips could be read completely."
    assert paths(store) == before

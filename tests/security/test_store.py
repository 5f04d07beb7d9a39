"""What a store from a stranger, or a disk that lies, can't do."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pe_search.errors import StoreError
from pe_search.records import Clip, Content
from pe_search.store import Store
from pe_search.store.salvage import restore_manifest
from tests.cli.conftest import invoke
from tests.made_up import manifest, noise, write_audio

FILES = (
    "manifest.json",
    "catalog.sqlite3",
    "texts.sqlite3",
    "index.vectors",
    "writer.pid",
    "writer.lock",
    "listed.paths",
)
CLIP = Clip(Path("/s/a.wav"), 1, 2)


@pytest.fixture
def store(tmp_path) -> Path:
    """A store of one clip with two windows, asked once."""
    directory = tmp_path / "store"
    with Store.create(directory, manifest()) as made:
        embeddings = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
        made.catalog.commit(
            contents=[Content(b"d" * 32, [(0.0, 10.0), (10.0, 20.0)], embeddings, is_whole=True)],
            clips=[(CLIP, b"d" * 32)],
        )
        made.finder.rebuild()
        made.remembered_texts.remember({"rain": np.ones(3, np.float32)})
    return directory


def ask(directory: Path) -> list[tuple[float, float]]:
    with Store.open(directory) as opened:
        opened.remembered_texts.recall(["rain"])
        return [(match.start_s, match.score) for match in opened.finder.best_matches(np.ones(3, np.float32), 5).best]


def write(directory: Path) -> None:
    with Store.open(directory, read_only=False) as opened:
        opened.catalog.commit(removed=[CLIP.path])


def journal_that_names(victim: Path) -> bytes:
    """A hot journal that has SQLite delete a file: as `writeSuperJournal` of SQLite's pager ends one."""
    name = os.fsencode(victim)
    header = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 0, 1, 512, 4096)
    ending = struct.pack(">I", 1) + name + struct.pack(">II", len(name), sum(name)) + bytes.fromhex("d9d505f920a163d7")
    return header.ljust(512, b"\0") + ending


@pytest.mark.parametrize("database", ["catalog.sqlite3", "texts.sqlite3"])
def test_no_journal_has_another_file_deleted(store, tmp_path, database):
    victim = tmp_path / "thesis.tex"
    victim.write_text("years of work")
    (store / f"{database}-journal").write_bytes(journal_that_names(victim))
    for use in (ask, write):
        try:
            use(store)
        except StoreError as error:
            assert "could delete another file" in str(error)
        assert victim.read_text() == "years of work"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
def test_a_file_of_a_store_is_a_regular_file_of_its_folder(store, tmp_path, name, kind):
    place, other = store / name, tmp_path / "other"
    if place.exists():
        place.rename(other)
    elif kind == "link":
        other.write_text("words")
    before = other.read_bytes() if other.exists() else None
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(other if kind == "link" else tmp_path / "nowhere")
    for use in (ask, write):
        with pytest.raises(StoreError, match=r"it is a (symbolic link|pipe); the files of a store are regular files"):
            use(store)
    assert (other.read_bytes() if other.exists() else None) == before
    assert not (tmp_path / "nowhere").exists()


def test_a_store_may_itself_be_reached_by_a_link(store, tmp_path):
    (tmp_path / "link").symlink_to(store)
    assert ask(tmp_path / "link") == ask(store)
    write(tmp_path / "link")
    assert ask(store) == []


def test_a_wrong_dimension_is_the_manifests_fault_and_costs_no_catalog(store):
    path = store / "manifest.json"
    whole = path.read_text()
    catalog = (store / "catalog.sqlite3").read_bytes()
    path.write_text(whole.replace('"dimension": 3', '"dimension": 4'))
    with pytest.raises(StoreError, match=r"manifest\.json"):
        ask(store)
    assert (store / "catalog.sqlite3").read_bytes() == catalog
    assert restore_manifest(store)
    assert json.loads(path.read_text()) == json.loads(whole)
    assert not list(store.glob("*.damaged*"))
    assert ask(store)


def test_each_damaged_catalog_is_kept_under_a_number_of_its_own(store):
    kept = []
    for _ in range(2):
        catalog = store / "catalog.sqlite3"
        content = bytearray(catalog.read_bytes())
        place = content.rindex(np.array([0, 1, 0], "<f2").tobytes())
        content[place + 1] ^= 1
        catalog.write_bytes(content)
        kept.append(bytes(content))
        outcome = invoke("rebuild", "--store", store)
        assert outcome.status == 0, outcome.err
        with Store.open(store, read_only=False) as opened:
            opened.catalog.commit(
                contents=[
                    Content(b"d" * 32, [(0.0, 10.0), (10.0, 20.0)], np.eye(3, dtype=np.float32)[:2], is_whole=True)
                ],
                clips=[(CLIP, b"d" * 32)],
            )
        with closing(sqlite3.connect(catalog)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damaged = [path for path in store.iterdir() if re.search(r"\.damaged(-\d+)?$", path.name)]
    assert len(damaged) == 2
    assert {path.read_bytes() for path in damaged} == set(kept)


def test_every_flipped_bit_of_an_embedding_is_noticed(store):
    for name in ("catalog.sqlite3", "index.vectors"):
        path = store / name
        whole = path.read_bytes()
        expected = ask(store)
        place = whole.rindex(np.array([1, 0, 0], "<f2").tobytes())
        for byte in range(place, place + 6):
            for bit in range(8):
                content = bytearray(whole)
                content[byte] ^= 1 << bit
                path.write_bytes(content)
                try:
                    assert ask(store) == expected
                except StoreError as error:
                    assert "as it was written" in str(error)
        path.write_bytes(whole)


@pytest.mark.parametrize("how", ["deleted", "renamed", "replaced"])
def test_nothing_is_committed_to_a_store_that_is_no_longer_there(store, tmp_path, how):
    other = tmp_path / "other"
    shutil.copytree(store, other)
    with Store.open(store, read_only=False) as opened:
        if how == "deleted":
            shutil.rmtree(store)
        else:
            store.rename(tmp_path / "elsewhere")
        if how == "replaced":
            other.rename(store)
        with pytest.raises(StoreError, match="was deleted, renamed or replaced while it was written"):
            opened.catalog.commit(removed=[CLIP.path])
    for directory in (store, other, tmp_path / "elsewhere"):
        if directory.exists():
            assert len(ask(directory)) == 1


@pytest.mark.parametrize("field", ["hop_s", "window_s", "speed"])
@pytest.mark.parametrize("value", [1e-300, 0, -1, 1e300])
def test_no_number_of_a_manifest_asks_for_endless_work(store, field, value):
    path = store / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(StoreError, match=f"is damaged: .*({field}|is longer than)|other than"):
        ask(store)


def test_an_index_that_can_be_written_and_not_opened_ends(store, monkeypatch):
    monkeypatch.setattr("pe_search.store.finder.open_index", lambda *_: (_ for _ in ()).throw(ValueError("no")))
    told: list[str] = []
    with Store.open(store, on_problem=lambda problem: told.append(problem.reason)) as opened:
        assert len(opened.finder.best_matches(np.ones(3, np.float32), 5).best) == 1
    assert any("it can't be made again" in reason for reason in told)
    assert len(told) < 5


def test_rebuild_gives_back_the_room_of_what_was_removed(store):
    random = np.random.default_rng(0)
    with Store.open(store, read_only=False) as opened:
        for number in range(40):
            digest = number.to_bytes(32, "big")
            times = [(float(start), float(start + 1)) for start in range(100)]
            content = Content(digest, times, random.standard_normal((100, 3), np.float32), is_whole=True)
            opened.catalog.commit(contents=[content], clips=[(Clip(Path(f"/s/{number}.wav"), 1, 2), digest)])
        opened.catalog.commit(removed=[Path(f"/s/{number}.wav") for number in range(40)])
        opened.catalog.drop_unused_contents()
    assert (store / "catalog.sqlite3").stat().st_size > 490_000
    assert invoke("rebuild", "--store", store).status == 0
    # A page of 16 KiB for each table and each index, and little else.
    assert (store / "catalog.sqlite3").stat().st_size < 420_000
    assert len(ask(store)) == 1


def test_other_bytes_of_the_same_size_and_time_are_noticed(plain_checkpoint, tmp_path):
    clip = write_audio(tmp_path / "sounds" / "a.wav", noise(1.0), subtype="PCM_16")
    args = ("index", tmp_path / "sounds", "--store", tmp_path / "store")
    assert invoke(*args, "--model", plain_checkpoint[0]).status == 0
    status = clip.stat()
    other = write_audio(tmp_path / "other.wav", noise(1.0, seed=1), subtype="PCM_16").read_bytes()
    clip.write_bytes(other)
    os.utime(clip, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert invoke(*args).err.startswith("1 clip embedded")
    assert invoke(*args).err.startswith("0 clips embedded")
    again = invoke(*args, "--rehash").err
    assert again.startswith("0 clips embedded")
    assert "1 recognised" in again


def test_a_damaged_window_is_named_by_a_query_and_embedded_again_by_index(plain_checkpoint, tmp_path):
    for seed, name in enumerate("ab"):
        write_audio(tmp_path / "sounds" / f"{name}.wav", noise(1.0, seed))
    args = ("--store", tmp_path / "store")
    index = ("index", tmp_path / "sounds", *args)
    assert invoke(*index, "--model", plain_checkpoint[0]).status == 0
    query = ("query", "rain", "--format", "jsonl", *args)
    expected = [json.loads(line)["score"] for line in invoke(*query).out.splitlines()]
    (tmp_path / "store" / "index.vectors").unlink()
    with closing(sqlite3.connect(tmp_path / "store" / "catalog.sqlite3")) as db, db:
        (embedding,) = db.execute("SELECT embedding FROM windows WHERE id = 1").fetchone()
        db.execute("UPDATE windows SET embedding = ? WHERE id = 1", (bytes([embedding[0] ^ 1]) + embedding[1:],))
    window = f"the window of {tmp_path}/sounds/a.wav at 0-1 s is not as it was written"
    asked = invoke(*query)
    assert (asked.status, asked.out) == (2, b"")
    assert window in asked.err
    mended = invoke(*index)
    assert mended.status == 0
    lines = mended.err.splitlines()
    assert lines[0] == (f"pe-search: {tmp_path}/store: {window}; its clip is embedded again once its folder is indexed")
    assert lines[-1].startswith("1 clip embedded (1 window")
    # Alone in its batch, it comes out within rounding of what it was.
    assert [json.loads(line)["score"] for line in invoke(*query).out.splitlines()] == pytest.approx(expected, rel=1e-3)
    assert invoke(*index).err.startswith("0 clips embedded")

"""A store of an older format is converted: whole or not at all, and without embedding anything again."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pe_search.errors import StoreError
from pe_search.records import Clip, Facts, Holdings, Judgement, LeftOut, Problem
from pe_search.reports import PassedOver, Root
from pe_search.store import FORMAT_VERSION, Store, conversion, read_manifest_if_any
from pe_search.store.answers import read_answers
from pe_search.store.facts import read_tags, read_zones, without_facts
from pe_search.store.judgements import read_judgements, read_words
from pe_search.store.lock import NotWritableError, WriterLock
from pe_search.store.manifest import OldFormatError, read_manifest
from pe_search.store.salvage import salvage_if_damaged
from pe_search.store.transcripts import read_transcripts
from tests.store.formats import VERSIONS, answered, make_store, matches_of

CLIPS = {
    Path(os.fsdecode(name)): Clip(Path(os.fsdecode(name)), 1000 + row, 1_700_000_000_000_000_000 + row)
    for row, name in [
        (0, b"/s/dog.wav"),
        (1, b"/s/rain.wav"),
        (2, b"/s/copy of rain.wav"),
        (3, b"/s/\xff.wav"),
        (4, b"/s/deep/wind.flac"),
        (6, b"/s/late.wav"),
    ]
}


@pytest.fixture
def directory(tmp_path) -> Path:
    make_store(tmp_path / "store", 2)
    return tmp_path / "store"


def dump(directory: Path) -> list[str]:
    with closing(sqlite3.connect(directory / "catalog.sqlite3")) as db:
        return list(db.iterdump())


def assert_answers_as_before(directory: Path, version: int) -> None:
    problems: list[Problem] = []
    with Store.open(directory, on_problem=problems.append) as store:
        for one in answered(version):
            assert matches_of(store, one.query) == one.hits
    assert problems == []


def test_there_is_a_store_of_every_format_before_this_one():
    assert list(range(2, FORMAT_VERSION)) == VERSIONS == sorted(conversion.STEPS)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("read_only", [True, False])
def test_an_old_store_is_converted_by_whoever_opens_it_and_answers_as_before(tmp_path, version, read_only):
    directory = tmp_path / "store"
    make_store(directory, version)
    with pytest.raises(OldFormatError):
        read_manifest(directory)
    with Store.open(directory, read_only=read_only) as store:
        assert store.manifest.format_version == FORMAT_VERSION
    assert_answers_as_before(directory, version)
    assert read_manifest(directory).format_version == FORMAT_VERSION
    assert salvage_if_damaged(directory) is None
    assert {file.name for file in directory.iterdir()} <= {
        *(f"{name}.sqlite3{end}" for name in ("catalog", "texts") for end in ("", "-wal", "-shm")),
        "index.vectors",
        "manifest.json",
        "writer.lock",
    }


def test_all_that_a_store_of_format_2_holds_is_there_afterwards(directory):
    manifest = read_manifest_if_any(directory)
    assert manifest is not None
    assert (manifest.level, manifest.speed, manifest.dimension, manifest.logit_bias) == ("none", 1.0, 8, -0.4)
    with Store.open(directory, read_only=False) as store:
        assert store.catalog.clips() == CLIPS
        assert store.catalog.left_out() == [
            LeftOut(Clip(Path("/s/broken.wav"), 44, 1_700_000_000_000_000_099), "not audio")
        ]
        assert store.catalog.incomplete() == []
        assert store.catalog.holdings() == Holdings(
            clips=6, contents=5, windows=9, audio_s=90.0, left_out=1, incomplete=0
        )
        assert store.catalog.begun_times() == {b"l" * 32: [(0.0, 10.0), (10.0, 20.0)]}
        assert store.catalog.digests() == {letter * 32 for letter in (b"a", b"b", b"c", b"d", b"e")}
        # Windows 5 and 6 are gone, and no id is given again.
        assert store.catalog.window_count() == 10
        content = store.catalog.content_of(b"a" * 32)
        assert content is not None
        assert content.times == [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0)]
        store.catalog.drop_begun_content(b"l" * 32)
        assert store.catalog.window_count() == 8
    with closing(sqlite3.connect(directory / "catalog.sqlite3")) as db:
        assert db.execute("SELECT first_id, last_id FROM gone").fetchall() == [(5, 6), (11, 12)]
        assert db.execute("SELECT seq FROM sqlite_sequence").fetchall() == [(12,)]


def test_all_that_a_store_of_format_3_holds_is_there_afterwards(tmp_path):
    directory = tmp_path / "store"
    make_store(directory, 3)
    with Store.open(directory, read_only=False) as store:
        assert store.catalog.find_damage() == []
        clips = {
            clip.path.name: (clip.duration_s, clip.windows, clip.missing, clip.indexed_at_s) for clip in store.clips()
        }
        assert clips == {
            "broken off.wav": (4.0, 1, "breaks off after 4 s", None),
            "copy of rain.wav": (10.0, 1, None, None),
            "dog.wav": (30.0, 3, None, None),
            "late.wav": (10.0, 1, None, None),
            "rain.wav": (10.0, 1, None, None),
            os.fsdecode(b"\xff.wav"): (20.0, 2, None, None),
        }
        broken_off = store.catalog.clips()[Path("/s/broken off.wav")]
        assert broken_off.stamp == (2000, 1_700_000_000_000_000_200, 1_700_000_000_000_000_201, 77)
        assert [one.reason for one in store.catalog.left_out()] == ["not audio", "holds no audio"]
        assert store.catalog.holdings() == Holdings(6, 5, 9, 84.0, left_out=2, incomplete=1)
        assert store.status().roots == ()
        assert store.status().formats == ((".wav", 6),)


def test_all_that_a_store_of_format_4_holds_is_there_afterwards(tmp_path):
    directory = tmp_path / "store"
    make_store(directory, 4)
    with Store.open(directory, read_only=False) as store:
        kick = next(clip for clip in store.clips() if clip.path == Path("/s/new/Kick_808.wav"))
        assert (kick.duration_s, kick.windows, kick.indexed_at_s, kick.facts) == (0.5, 1, 1_764_500_000, Facts())
        assert store.status().roots == (Root(Path("/s"), ("*.tmp",), 1_764_500_001, PassedOver(((".wma", 2),), 1, 0)),)
        assert store.catalog.holdings() == Holdings(7, 6, 10, 84.5, left_out=2, incomplete=1)
        # What the files say is read by the next index run.
        assert without_facts(store.catalog).keys() == {
            *(Path(f"/s/{name}.wav") for name in ("broken off", "copy of rain", "dog", "late", "new/Kick_808")),
            Path(os.fsdecode(b"/s/\xff.wav")),
        }
        assert (read_tags(store.catalog), read_zones(store.catalog)) == ({}, {})


def test_all_that_a_store_of_format_5_holds_is_there_afterwards(tmp_path):
    directory = tmp_path / "store"
    make_store(directory, 5)
    with Store.open(directory, read_only=False) as store:
        assert store.catalog.find_damage() == []
        kick = next(clip for clip in store.clips() if clip.path == Path("/s/new/Kick_808.wav"))
        assert (kick.facts.title, kick.facts.keywords, kick.tags) == ("Große Trommel", ("kick", "808"), ("drums",))
        assert read_tags(store.catalog) == {b"a" * 32: ("dogs",), b"n" * 32: ("drums",)}
        assert read_zones(store.catalog) == {Path("/s"): "Europe/Berlin"}
        assert read_words(store.catalog) == {"@bark": "dog barking"}
        assert read_judgements(store.catalog) == [Judgement("@bark", b"a" * 32, 0.0, 10.0, "yes", "me", 1_764_500_002)]
        assert (list(read_transcripts(store.catalog)), read_answers(store.catalog)) == ([], [])


def test_a_row_that_was_damaged_before_a_conversion_is_damaged_after_it(tmp_path):
    directory = tmp_path / "store"
    make_store(directory, 3)
    with closing(sqlite3.connect(directory / "catalog.sqlite3")) as db, db:
        db.execute("UPDATE clips SET size_bytes = size_bytes + 1 WHERE id = 3")
    with Store.open(directory) as store, pytest.raises(StoreError, match="the row of a clip is not as it was written"):
        list(store.clips())


def test_a_conversion_that_fails_leaves_the_old_store(directory, monkeypatch):
    before, manifest = dump(directory), (directory / "manifest.json").read_bytes()
    calls = 0

    def fail(*_):
        nonlocal calls
        calls += 1
        if calls > 5:
            raise sqlite3.OperationalError("disk I/O error")
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "checksum", fail)
        with pytest.raises(StoreError, match=r"The catalog .* can't be used: disk I/O error"):
            Store.open(directory)
    assert dump(directory) == before
    assert (directory / "manifest.json").read_bytes() == manifest
    assert_answers_as_before(directory, 2)


def test_a_conversion_that_ends_before_the_manifest_is_written_is_finished_by_the_next_process(directory, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "write_manifest", refuse)
        with pytest.raises(StoreError, match="can't be written to: No space left on device"):
            Store.open(directory)
    with pytest.raises(OldFormatError):
        read_manifest(directory)
    assert_answers_as_before(directory, 2)


def test_a_reader_that_cannot_write_says_what_to_do(directory, monkeypatch):
    before = {file: file.read_bytes() for file in directory.iterdir()}

    def refuse(lock):
        raise NotWritableError(directory, OSError(30, "Read-only file system"))

    monkeypatch.setattr(WriterLock, "acquire", refuse)
    with pytest.raises(StoreError) as caught:
        Store.open(directory)
    assert str(caught.value) == (
        f"The store at {directory} has format 2, which must be converted to {FORMAT_VERSION}, but it can't be written "
        "to (Read-only file system). Run the command as a user who can write to it, or on a copy."
    )
    assert {file: file.read_bytes() for file in before} == before


def test_a_store_that_another_process_writes_to_is_not_converted(directory):
    lock = WriterLock(directory)
    lock.acquire()
    before = dump(directory)
    with pytest.raises(StoreError, match=f"Another process \\(id {os.getpid()}\\) is writing to the store"):
        Store.open(directory)
    lock.release()
    assert dump(directory) == before


def test_a_store_with_a_manifest_alone_gets_the_new_one(directory):
    (directory / "catalog.sqlite3").unlink()
    with Store.open(directory, read_only=False) as store:
        assert store.catalog.holdings() == Holdings(0, 0, 0, 0.0, 0)
    assert read_manifest(directory).format_version == FORMAT_VERSION


def test_tables_that_pe_search_did_not_make_are_not_converted(directory):
    with closing(sqlite3.connect(directory / "catalog.sqlite3")) as db:
        db.execute("CREATE TABLE more (a)")
    before = dump(directory)
    with pytest.raises(StoreError, match="can't be used: pe-search didn't make its tables"):
        Store.open(directory)
    assert dump(directory) == before


def test_a_damaged_store_of_format_2_is_saved_and_converted(directory):
    with closing(sqlite3.connect(directory / "catalog.sqlite3")) as db, db:
        db.execute("UPDATE windows SET embedding = x'00' WHERE id = 4")
    salvage = salvage_if_damaged(directory)
    assert salvage is not None
    assert salvage.clips == 4
    with Store.open(directory) as store:
        assert store.catalog.clips() == {path: clip for path, clip in CLIPS.items() if b"rain" not in os.fsencode(path)}

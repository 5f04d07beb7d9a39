"""Killed or on a failing disk, an old store is converted or left as it was, and what came by lists stays known."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from pe_search.store import FORMAT_VERSION, Store
from pe_search.store.listed import ListedPaths
from pe_search.store.manifest import read_manifest
from tests.faults.conftest import SOUNDS, Scene, calls_of, contents, file_kinds, is_one_line_why, one_of_each_kind
from tests.faults.warm import BadDisk, Fault, Warm
from tests.store.formats import answered, make_store, matches_of

pytestmark = pytest.mark.slow

FAULTS = (Fault.KILL_BEFORE, Fault.KILL_WITHIN, Fault.KILL_AFTER, Fault.FULL, Fault.FAIL_ONCE)
INSTRUMENTS = sorted((SOUNDS / "instruments").iterdir())


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> int:
    return 100 if request.config.getoption("--all-faults") else 10


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


def rows_of(store: Path) -> list[str]:
    with closing(sqlite3.connect(store / "catalog.sqlite3")) as db:
        return list(db.iterdump())


def faults_at(moments: Iterator[int], disk: Path, count: int) -> Iterator[BadDisk]:
    for number in range(count):
        yield BadDisk(disk, disk.with_name("log"), FAULTS[number % len(FAULTS)], next(moments))


@pytest.mark.parametrize("version", range(2, FORMAT_VERSION))
def test_a_conversion_is_done_or_not_and_can_be_done_again(warm_with_bad_disk, disk, faults, tmp_path, version):
    warm, store, old = warm_with_bad_disk, disk / "store", tmp_path / "old"
    make_store(old, version)
    command = ("status", "--store", store)
    shutil.copytree(old, store)
    ended, calls = calls_of(warm, disk, *command)
    assert ended.status == 0, ended.err
    assert read_manifest(store).format_version == FORMAT_VERSION
    converted = rows_of(store)
    assert warm.run("rebuild", "--store", store).status == 0
    kinds = file_kinds(store)
    undone = 0
    for fault in faults_at(one_of_each_kind(calls, Random(8)), disk, faults):
        shutil.rmtree(store)
        shutil.copytree(old, store)
        ended = warm.run(*command, disk=fault)
        assert ended.is_killed or is_one_line_why(ended) or ended.status == 0, (fault, ended)
        copy = Path(shutil.copytree(store, tmp_path / "copy"))
        after = rows_of(copy)
        assert after in (rows_of(old), converted), fault
        undone += after != converted
        shutil.rmtree(copy)

        again = warm.run(*command)
        assert again.status == 0, again.err
        assert rows_of(store) == converted
        with Store.open(store) as opened:
            for one in answered(version):
                assert matches_of(opened, one.query) == one.hits
        # What a killed process leaves of a draft is for the next one that writes to remove.
        assert warm.run("rebuild", "--store", store).status == 0
        assert file_kinds(store) == kinds
    assert 0 < undone < faults


def write_list(path: Path, named: list[Path]) -> Path:
    path.write_bytes(b"".join(bytes(one) + b"\0" for one in named))
    return path


def test_what_came_by_a_list_is_known_whenever_a_run_breaks_off(
    warm_with_bad_disk: Warm, drums: Scene, few_clips: Scene, disk: Path, faults: int, tmp_path: Path
) -> None:
    warm, store, before = warm_with_bad_disk, disk / "store", tmp_path / "before"
    shutil.copytree(drums.store, before)
    first = warm.run("index", "--files-from", write_list(tmp_path / "first", INSTRUMENTS[:-1]), "--store", before)
    assert first.status == 0, first.err
    held = contents(before, tmp_path)
    known = ListedPaths(before).read()
    assert known == set(map(str, INSTRUMENTS[:-1]))
    # One path leaves the list, and one comes.
    second = write_list(tmp_path / "second", INSTRUMENTS[1:])
    command = ("index", "--files-from", second, "--prune", "--store", store)
    shutil.copytree(before, store)
    ended, calls = calls_of(warm, disk, *command)
    assert ended.status == 0, ended.err
    whole, kinds = contents(store, tmp_path), file_kinds(store)
    assert whole.clips.keys() == few_clips.whole.clips.keys() - {INSTRUMENTS[0]}
    listed = ListedPaths(store).read()
    assert listed == set(map(str, INSTRUMENTS[1:]))
    # What writes the list, and all that is in drafts.
    moments = [number for number, call in enumerate(calls, 1) if re.search(r"listed\.paths|\.part", call)]
    random = Random(9)
    chosen = (random.choice(moments) for _ in range(faults))
    for fault in faults_at(chosen, disk, faults):
        shutil.rmtree(store)
        shutil.copytree(before, store)
        ended = warm.run(*command, disk=fault)
        assert ended.is_killed or is_one_line_why(ended) or ended.status == 0, (fault, ended)
        assert ListedPaths(store).read() in (known, known | listed, listed), fault
        after = contents(store, tmp_path)
        assert {path for path, *_ in held.windows} - {INSTRUMENTS[0]} <= after.clips.keys(), fault

        again = warm.run(*command)
        assert again.status == 0, again.err
        assert ListedPaths(store).read() == listed
        finished = contents(store, tmp_path)
        assert finished.has_all_of(drums.whole)
        assert finished.is_as(whole)
        assert file_kinds(store) == kinds

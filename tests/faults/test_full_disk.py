"""A disk that is full costs one line, and nothing that was committed; when there is room again, the command goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from random import Random

import pytest

from tests.faults.conftest import NOTHING, SOUNDS, calls_of, contents, file_kinds, is_one_line_why, one_of_each_kind
from tests.faults.warm import BadDisk, Fault, Warm

pytestmark = pytest.mark.slow

IN_OWN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> int:
    return 50 if request.config.getoption("--all-faults") else 8


@pytest.mark.parametrize("is_begun", [False, True], ids=["new store", "store with clips"])
def test_an_index_run_on_a_disk_that_fails_at_any_write(
    warm_with_bad_disk, drums, few_clips, faults, tmp_path, is_begun
):
    warm = warm_with_bad_disk
    disk = tmp_path / "disk"
    disk.mkdir()
    store = disk / "store"
    held = drums.whole if is_begun else NOTHING
    if is_begun:
        shutil.copytree(drums.store, store)
    _, calls = calls_of(warm, disk, *few_clips.command, "--store", store)
    moments = one_of_each_kind(calls, Random(4))
    for number in range(faults):
        shutil.rmtree(store, ignore_errors=True)
        if is_begun:
            shutil.copytree(drums.store, store)
        fault = BadDisk(disk, tmp_path / "log", (Fault.FULL, Fault.FAIL_ONCE)[number % 2], next(moments))
        ended = warm.run(*few_clips.command, "--store", store, disk=fault)
        after = contents(store, tmp_path)
        assert after.has_all_of(held), fault
        # What is only there for the sake of speed may be left undone without a word.
        assert is_one_line_why(ended) or (ended.status == 0 and after.is_as(few_clips.whole)), (fault, ended)

        again = warm.run(*few_clips.command, "--store", store)
        assert again.status == 0, again.err
        finished = contents(store, tmp_path)
        assert finished.has_all_of(after)
        assert finished.is_as(few_clips.whole)
        assert file_kinds(store) == file_kinds(few_clips.store)


@pytest.mark.parametrize("verb", ["remove", "rebuild", "merge"])
def test_another_writer_on_a_disk_that_fails_at_any_write(
    warm_with_bad_disk, drums, instruments, few_clips, faults, tmp_path, verb
):
    warm = warm_with_bad_disk
    disk = tmp_path / "disk"
    disk.mkdir()
    store = disk / "store"
    scene = drums if verb == "merge" else few_clips
    argument = {"remove": [SOUNDS / "instruments"], "rebuild": [], "merge": [instruments.store]}[verb]
    command = (verb, *argument, "--store", store)
    shutil.copytree(scene.store, store)
    _, calls = calls_of(warm, disk, *command)
    done = contents(store, tmp_path)
    assert (done == scene.whole) == (verb == "rebuild")
    moments = one_of_each_kind(calls, Random(5))
    for number in range(faults):
        shutil.rmtree(store)
        shutil.copytree(scene.store, store)
        fault = BadDisk(disk, tmp_path / "log", (Fault.FULL, Fault.FAIL_ONCE)[number % 2], next(moments))
        ended = warm.run(*command, disk=fault)
        after = contents(store, tmp_path)
        if verb == "merge":
            assert after.has_all_of(scene.whole), fault
            assert done.has_all_of(after), fault
        else:
            assert after in (scene.whole, done), fault
        assert is_one_line_why(ended) or (ended.status == 0 and after == done), (fault, ended)

        # A removal that was committed before the disk failed finds nothing more to take out.
        assert warm.run(*command).status == (1 if verb == "remove" and after == done else 0)
        assert contents(store, tmp_path) == done
        assert warm.run("query", "rain", "--store", store).status == 0
        assert file_kinds(store) == file_kinds(scene.store)


@pytest.fixture(scope="module")
def warm_with_small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    if shutil.which("unshare") is None or subprocess.run([*IN_OWN_NAMESPACE, "true"], check=False).returncode != 0:
        pytest.skip("this system lets nobody but root mount a small disk")
    process = Warm(tmp_path_factory.mktemp("warm"), launcher=IN_OWN_NAMESPACE)
    yield process
    process.close()


def test_an_index_run_on_a_small_disk(warm_with_small_disk, few_clips, faults, tmp_path):
    warm = warm_with_small_disk
    disk = tmp_path / "disk"
    disk.mkdir()
    seen_from_here = warm.root / disk.relative_to("/")
    page_bytes = 4096
    pages = sum(-(-file.stat().st_size // page_bytes) for file in few_clips.store.iterdir())
    random = Random(6)
    too_small = 0
    for _ in range(faults):
        # Up to where there may be room for everything, the write-ahead log included.
        room = random.randrange(2, 3 * pages)
        warm.mount(disk, f"size={room * page_bytes}")
        ended = warm.run(*few_clips.command, "--store", disk / "store")
        after = contents(seen_from_here / "store", tmp_path)
        assert is_one_line_why(ended) or (ended.status == 0 and after.is_as(few_clips.whole)), (room, ended)
        too_small += ended.status != 0

        warm.mount(disk, f"remount,size={100 * pages * page_bytes}")
        again = warm.run(*few_clips.command, "--store", disk / "store")
        assert again.status == 0, again.err
        finished = contents(seen_from_here / "store", tmp_path)
        assert finished.has_all_of(after)
        assert finished.is_as(few_clips.whole)
        assert file_kinds(seen_from_here / "store") == file_kinds(few_clips.store)
    assert too_small >= faults / 4, "the disk was hardly ever full"

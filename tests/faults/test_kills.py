"""Whatever a command is doing when it is killed, the store holds what was committed, and the same command goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from pe_search.audio.stamps import stamp_of
from pe_search.records import Clip
from pe_search.store import Store
from tests.faults.conftest import (
    NOTHING,
    SOUNDS,
    Contents,
    Scene,
    calls_of,
    clips_embedded,
    contents,
    file_kinds,
    one_of_each_kind,
)
from tests.faults.warm import BadDisk, Fault, Warm

pytestmark = pytest.mark.slow

KILLS = (Fault.KILL_BEFORE, Fault.KILL_WITHIN, Fault.KILL_AFTER)
# So many runs into one store are killed before one is left alone.
KILLS_IN_A_ROW = 4


@pytest.fixture
def index_kills(request: pytest.FixtureRequest) -> int:
    return 200 if request.config.getoption("--all-faults") else 12


@pytest.fixture
def other_kills(request: pytest.FixtureRequest) -> int:
    return 50 if request.config.getoption("--all-faults") else 8


def finish(warm: Warm, scene: Scene, store: Path, held: Contents, scratch: Path) -> None:
    """Run the command once more, undisturbed: it does what is missing, and no more, and leaves what it would have."""
    ended = warm.run(*scene.command, "--store", store)
    assert ended.status == 0, ended.err
    assert clips_embedded(ended) == scene.clips - len(held.clips)
    finished = contents(store, scratch)
    assert finished.has_all_of(held)
    assert finished.is_as(scene.whole)
    assert file_kinds(store) == file_kinds(scene.store)


def test_an_index_run_that_is_killed_at_any_moment_loses_nothing(warm, many_clips, index_kills, tmp_path):
    random = Random(1)
    kills = 0
    stores = 0
    while kills < index_kills:
        stores += 1
        store = tmp_path / f"store-{stores}"
        held = NOTHING
        for _ in range(min(KILLS_IN_A_ROW, index_kills - kills)):
            committed = [held]
            ended = warm.run(
                *many_clips.command,
                "--store",
                store,
                kill_after_s=random.uniform(0, many_clips.wall_s),
                before_kill=lambda store=store, committed=committed: committed.append(contents(store, tmp_path)),
            )
            held = contents(store, tmp_path)
            assert all(held.has_all_of(before) for before in committed)
            if not ended.is_killed:
                assert (ended.status, held.clips) == (0, many_clips.whole.clips)
                break
            kills += 1
        finish(warm, many_clips, store, held, tmp_path)
        shutil.rmtree(store)


def test_an_index_run_that_is_killed_at_any_write_loses_nothing(warm_with_bad_disk, few_clips, index_kills, tmp_path):
    warm = warm_with_bad_disk
    disk = tmp_path / "disk"
    disk.mkdir()
    store = disk / "store"
    _, calls = calls_of(warm, disk, *few_clips.command, "--store", store)
    random = Random(2)
    moments = one_of_each_kind(calls, random)
    for number in range(index_kills):
        shutil.rmtree(store)
        fault = BadDisk(disk, tmp_path / "log", KILLS[number % len(KILLS)], next(moments))
        ended = warm.run(*few_clips.command, "--store", store, disk=fault)
        assert ended.is_killed, (fault, ended)
        finish(warm, few_clips, store, contents(store, tmp_path), tmp_path)


def killed_copies(
    warm: Warm, original: Path, kills: int, tmp_path: Path, command: Callable[[Path], tuple[object, ...]]
) -> Iterator[tuple[Path, Contents]]:
    """Copies of a store in which a command was killed at one write after the other, each with what it then holds."""
    disk = tmp_path / "disk"
    disk.mkdir()
    store = disk / "store"
    shutil.copytree(original, store)
    _, calls = calls_of(warm, disk, *command(store))
    moments = one_of_each_kind(calls, Random(3))
    for number in range(kills):
        shutil.rmtree(store)
        shutil.copytree(original, store)
        fault = BadDisk(disk, tmp_path / "log", KILLS[number % len(KILLS)], next(moments))
        ended = warm.run(*command(store), disk=fault)
        assert ended.is_killed, (fault, ended)
        yield store, contents(store, tmp_path)


def test_a_removal_that_is_killed_is_done_or_not_and_can_be_done_again(
    warm_with_bad_disk, drums, few_clips, other_kills, tmp_path
):
    def command(store: Path) -> tuple[object, ...]:
        return "remove", SOUNDS / "instruments", "--store", store

    whole = few_clips.whole
    rest = Contents(
        {path: whole.clips[path] for path in drums.whole.clips},
        {place: whole.windows[place] for place in drums.whole.windows},
    )
    for store, held in killed_copies(warm_with_bad_disk, few_clips.store, other_kills, tmp_path, command):
        assert held in (whole, rest)
        again = warm_with_bad_disk.run(*command(store))
        assert again.status == (0 if held == whole else 1), again.err
        assert contents(store, tmp_path) == rest
        assert file_kinds(store) == file_kinds(few_clips.store)
        assert warm_with_bad_disk.run("query", "rain", "--store", store).status == 0


def test_a_rebuild_that_is_killed_changes_no_answer_and_can_be_done_again(
    warm_with_bad_disk, few_clips, other_kills, tmp_path
):
    def command(store: Path) -> tuple[object, ...]:
        return "rebuild", "--store", store

    for store, held in killed_copies(warm_with_bad_disk, few_clips.store, other_kills, tmp_path, command):
        assert held == few_clips.whole
        again = warm_with_bad_disk.run(*command(store))
        assert again.status == 0, again.err
        assert contents(store, tmp_path) == few_clips.whole
        assert file_kinds(store) == file_kinds(few_clips.store)


def test_a_merge_that_is_killed_keeps_both_stores_and_can_be_done_again(
    warm_with_bad_disk, drums, instruments, other_kills, tmp_path
):
    def command(store: Path) -> tuple[object, ...]:
        return "merge", instruments.store, "--store", store

    both = drums.whole.with_those_of(instruments.whole)
    for store, held in killed_copies(warm_with_bad_disk, drums.store, other_kills, tmp_path, command):
        assert held.has_all_of(drums.whole)
        assert both.has_all_of(held)
        again = warm_with_bad_disk.run(*command(store))
        assert again.status == 0, again.err
        assert contents(store, tmp_path) == both
        assert contents(instruments.store, tmp_path) == instruments.whole
        assert file_kinds(store) == file_kinds(drums.store)


def test_a_relocation_that_is_killed_is_done_or_not_and_can_be_done_again(
    warm_with_bad_disk, few_clips, other_kills, tmp_path
):
    old, new = SOUNDS / "instruments", Path(shutil.copytree(SOUNDS / "instruments", tmp_path / "new"))

    def command(store: Path) -> tuple[object, ...]:
        return "relocate", old, new, "--store", store

    def at_new_place(path: Path) -> Path:
        return new / path.relative_to(old) if path.is_relative_to(old) else path

    whole = few_clips.whole
    clips = {at_new_place(path): clip for path, clip in whole.clips.items()}
    moved = Contents(
        {path: Clip(path, *stamp_of(path.stat())) if path.is_relative_to(new) else clips[path] for path in clips},
        {(at_new_place(path), *times): embedding for (path, *times), embedding in whole.windows.items()},
    )
    for store, held in killed_copies(warm_with_bad_disk, few_clips.store, other_kills, tmp_path, command):
        assert held in (whole, moved)
        again = warm_with_bad_disk.run(*command(store))
        assert again.status == (0 if held == whole else 1), again.err
        assert contents(store, tmp_path) == moved
        assert file_kinds(store) == file_kinds(few_clips.store)


def test_a_tag_that_is_killed_is_there_or_not_and_can_be_given_again(
    warm_with_bad_disk, few_clips, other_kills, tmp_path
):
    def command(store: Path) -> tuple[object, ...]:
        return "tag", "add", "favourite", SOUNDS / "instruments", "--store", store

    def tagged(store: Path) -> set[Path]:
        copy = Path(shutil.copytree(store, tmp_path / "tagged"))
        try:
            with Store.open(copy) as opened:
                return {clip.path for clip in opened.clips() if clip.tags}
        finally:
            shutil.rmtree(copy)

    instruments = {path for path in few_clips.whole.clips if path.is_relative_to(SOUNDS / "instruments")}
    for store, held in killed_copies(warm_with_bad_disk, few_clips.store, other_kills, tmp_path, command):
        assert held == few_clips.whole
        assert tagged(store) in (set(), instruments)
        again = warm_with_bad_disk.run(*command(store))
        assert again.status == 0, again.err
        assert tagged(store) == instruments
        found = warm_with_bad_disk.run("query", "rain", "-k", "all", "--tag", "favourite", "--store", store)
        assert {Path(line.decode()) for line in found.out.splitlines()} == instruments
        assert file_kinds(store) == file_kinds(few_clips.store)

"""Files that are at other places now are known there, without being read or embedded again."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pe_search.audio.find import find_clips
from pe_search.audio.hashing import content_digest
from pe_search.errors import StoreError
from pe_search.records import Clip, Content, LeftOut, Problem
from pe_search.reports import PassedOver, Relocation, Root
from pe_search.store import Store
from pe_search.store.facts import read_zones, write_zones
from pe_search.store.files import CATALOG_FILE
from pe_search.store.listed import ListedPaths
from pe_search.store.roots import read_roots, write_roots
from pe_search.tasks import relocating
from pe_search.tasks.relocating import carry_out, recognised, relocate
from pe_search.tasks.tagging import tag
from tests.made_up import manifest


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "store", manifest()) as store:
        yield store


@pytest.fixture
def old(tmp_path: Path, store: Store) -> Path:
    """A folder of clips of which one was left out; it is a root with a zone, and was moved already."""
    folder = tmp_path / "old"
    write(folder, "a.wav", "b.wav", "deep/c.wav", "deep/er/copy of a.wav", "bad.wav")
    (folder / "deep/er/copy of a.wav").write_bytes((folder / "a.wav").read_bytes())
    hold(store, folder, left_out=("bad.wav",))
    write_roots(store.catalog, [Root(folder, ("*.tmp",), 5, PassedOver(excluded_files=1))])
    write_zones(store.catalog, {folder: "Europe/Berlin"})
    return folder


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # As many bytes in each, so that size alone tells nothing.
        path.write_text(f"{name:<40}")


def hold(store: Store, folder: Path, left_out: tuple[str, ...] = ()) -> None:
    """Hold all files of a folder as they are, each with a window of its own."""
    clips = list(find_clips([folder], pytest.fail))
    held = [clip for clip in clips if clip.path.name not in left_out]
    digests = {clip.path: content_digest(clip.path) for clip in held}
    store.catalog.commit(
        contents=[
            Content(digest, [(0.0, 1.0)], np.array([vector(digest)], np.float32), is_whole=True)
            for digest in dict.fromkeys(digests.values())
        ],
        clips=[(clip, digests[clip.path]) for clip in held],
        left_out=[LeftOut(clip, "is no audio") for clip in clips if clip.path.name in left_out],
    )


def vector(digest: bytes) -> list[int]:
    return [*digest[:3]]


def as_held(store: Store) -> dict[Path, tuple[Clip, bytes]]:
    return {path: store.catalog.clip(path) for path in store.catalog.clips()}


def as_on_disk(folder: Path, *but: str) -> dict[Path, tuple[Clip, bytes]]:
    """What a store that has just read a folder holds."""
    clips = {clip.path: clip for clip in find_clips([folder], pytest.fail) if clip.path.name not in but}
    return {path: (clip, content_digest(path)) for path, clip in clips.items()}


def found(store: Store) -> dict[str, Path]:
    """Every clip by itself: the one whose own vector finds it."""
    best = {}
    for path, (_, digest) in as_held(store).items():
        aim = np.array(vector(digest), np.float32)
        matches = store.finder.best_matches(aim / np.linalg.norm(aim), None).best
        best[path.name] = next(match.path for match in matches if path in (match.path, *match.copies))
    return best


def test_everything_that_has_a_path_is_at_the_new_one(store, old, tmp_path):
    new = tmp_path / "elsewhere" / "new"
    listed = ListedPaths(store.directory)
    listed.write([str(old / "a.wav"), str(old), str(tmp_path / "other.wav")])
    tag(store, [old / "b.wav"], ["fav"], [])
    before, windows = {clip.path: clip.indexed_at_s for clip in store.clips()}, store.catalog.last_window_id()
    new.parent.mkdir()
    old.rename(new)

    relocation = relocate(store, old, new)

    places = [new / name for name in ("a.wav", "b.wav", "deep/c.wav", "deep/er/copy of a.wav")]
    assert relocation == Relocation(old, new, moved=tuple(places), left_out=1, roots=1, checked=4)
    assert as_held(store) == as_on_disk(new, "bad.wav")
    assert {clip.path: clip.tags for clip in store.clips()} == {
        place: ("fav",) if place.name == "b.wav" else () for place in places
    }
    assert {clip.path: clip.indexed_at_s for clip in store.clips()} == {
        place: before[old / place.relative_to(new)] for place in places
    }
    (left_out,) = store.catalog.left_out()
    assert left_out == LeftOut(next(find_clips([new / "bad.wav"], pytest.fail)), "is no audio")
    assert read_roots(store.catalog) == (Root(new, ("*.tmp",), 5, PassedOver(excluded_files=1)),)
    assert read_zones(store.catalog) == {new: "Europe/Berlin"}
    assert listed.read() == {str(new / "a.wav"), str(new), str(tmp_path / "other.wav")}
    assert store.catalog.last_window_id() == windows
    assert store.catalog.find_damage() == []
    assert found(store) == {
        "a.wav": new / "a.wav",
        "b.wav": new / "b.wav",
        "c.wav": new / "deep/c.wav",
        "copy of a.wav": new / "a.wav",
    }


def test_a_look_changes_nothing(store, old, tmp_path):
    new = old.rename(tmp_path / "new")
    store.__exit__()
    before = {file.name: file.read_bytes() for file in store.directory.iterdir()}
    with Store.open(store.directory) as reader:
        relocation = relocate(reader, old, new, is_to_do=False)
    assert (relocation.clips, relocation.checked, relocation.problems) == (4, 4, ())
    assert {name: (store.directory / name).read_bytes() for name in before} == before


def test_one_that_differs_or_is_missing_refuses_all(store, old, tmp_path):
    new = Path(shutil.copytree(old, tmp_path / "new"))
    (new / "b.wav").unlink()
    write(new, "deep/x")
    (new / "deep/x").rename(new / "deep/c.wav")
    before = as_held(store), read_roots(store.catalog), read_zones(store.catalog)
    relocation = relocate(store, old, new)
    assert relocation.problems == (
        Problem(new / "b.wav", "No such file or directory"),
        Problem(new / "deep/c.wav", "has other bytes than the store knows"),
    )
    assert (as_held(store), read_roots(store.catalog), read_zones(store.catalog)) == before


def test_a_folder_that_is_not_there_is_told_once(store, old, tmp_path):
    relocation = relocate(store, old, tmp_path / "nowhere")
    assert relocation.problems == (Problem(tmp_path / "nowhere", "No such file or directory"),)
    assert as_held(store) == as_on_disk(old, "bad.wav")


def test_what_has_another_time_or_is_not_there_is_left_to_the_next_index(store, old, tmp_path, monkeypatch):
    """The sample is drawn from all clips; here, those that are looked at are as they were."""
    new = old.rename(tmp_path / "new")
    os.utime(new / "b.wav", ns=(1, 1))
    (new / "deep/c.wav").unlink()
    monkeypatch.setattr(relocating, "_sample", lambda paths: [path for path in paths if path.name == "a.wav"])
    held = as_held(store)
    relocation = relocate(store, old, new)
    assert (relocation.changed, relocation.missing) == ((new / "b.wav",), (new / "deep/c.wav",))
    assert (relocation.checked, relocation.problems) == (1, ())
    after = as_held(store)
    assert after[new / "a.wav"] == as_on_disk(new)[new / "a.wav"]
    for name in ("b.wav", "deep/c.wav"):
        assert after[new / name][0].stamp == held[old / name][0].stamp
    # So the next run reads it.
    assert after[new / "b.wav"][0] != as_on_disk(new)[new / "b.wav"][0]


def test_twenty_files_are_compared_and_always_the_same(store, tmp_path, monkeypatch):
    old, new = tmp_path / "many", tmp_path / "moved"
    write(old, *(f"{number}.wav" for number in range(50)))
    hold(store, old)
    old.rename(new)
    read: list[Path] = []
    monkeypatch.setattr(relocating, "content_digest", lambda path: read.append(path) or content_digest(path))
    for _ in range(2):
        assert relocate(store, old, new, is_to_do=False).checked == 20
    assert len({*read}) == 20
    assert read[:20] == read[20:]


def test_one_clip_by_itself(store, old, tmp_path):
    (old / "a.wav").rename(tmp_path / "renamed.wav")
    assert relocate(store, old / "a.wav", tmp_path / "renamed.wav").moved == (tmp_path / "renamed.wav",)
    assert tmp_path / "renamed.wav" in store.catalog.clips()
    # The root that led to it doesn't lead there, so the new place is one.
    assert [root.path for root in read_roots(store.catalog)] == [old, tmp_path / "renamed.wav"]
    assert read_zones(store.catalog) == {old: "Europe/Berlin", tmp_path / "renamed.wav": "Europe/Berlin"}


def test_a_folder_within_a_root_becomes_one_if_no_root_leads_to_it(store, old, tmp_path):
    (old / "deep").rename(tmp_path / "shallow")
    relocate(store, old / "deep", tmp_path / "shallow")
    assert read_roots(store.catalog) == (
        Root(old, ("*.tmp",), 5, PassedOver(excluded_files=1)),
        Root(tmp_path / "shallow", ("*.tmp",), 5),
    )
    (old / "within").mkdir()
    (tmp_path / "shallow").rename(old / "within" / "deep")
    relocate(store, tmp_path / "shallow", old / "within" / "deep")
    # It was a root, and stays one; its zone is that of the folder above.
    assert [root.path for root in read_roots(store.catalog)] == [old, old / "within" / "deep"]
    assert as_held(store) == as_on_disk(old, "bad.wav")


def test_within_a_root_nothing_is_added(store, old):
    (old / "deep").rename(old / "renamed")
    relocate(store, old / "deep", old / "renamed")
    assert [root.path for root in read_roots(store.catalog)] == [old]
    assert read_zones(store.catalog) == {old: "Europe/Berlin"}


def test_a_folder_may_move_into_itself_and_out_of_itself(store, old, tmp_path):
    """So that a clip comes to where another was."""
    write(old, "deep/a.wav")
    hold(store, old / "deep")
    old.rename(tmp_path / "x")
    (old).mkdir()
    (tmp_path / "x").rename(old / "deep")
    relocate(store, old, old / "deep")
    assert as_held(store) == as_on_disk(old, "bad.wav")
    assert [root.path for root in read_roots(store.catalog)] == [old / "deep"]
    (old / "deep").rename(tmp_path / "x")
    old.rmdir()
    (tmp_path / "x").rename(old)
    relocate(store, old / "deep", old)
    assert as_held(store) == as_on_disk(old, "bad.wav")
    assert read_zones(store.catalog) == {old: "Europe/Berlin"}
    assert store.catalog.find_damage() == []


def test_what_is_held_at_the_new_place_stays(store, old, tmp_path):
    """As after the new place was indexed: there is one clip, and what no clip has any more is dropped."""
    new = Path(shutil.copytree(old, tmp_path / "new"))
    (new / "b.wav").write_text("another one")
    hold(store, new / "b.wav")
    (old / "only at the old place.wav").write_text("x")
    shutil.rmtree(old)
    moved = relocate(store, old, new)
    # b.wav differs from what was at the old place.
    assert moved.problems == (Problem(new / "b.wav", "has other bytes than the store knows"),)
    store.catalog.commit(removed=[old / "b.wav"])
    assert relocate(store, old, new).problems == ()
    assert as_held(store) == as_on_disk(new, "bad.wav")


def test_copies_that_are_held_at_both_places_are_one(store, old, tmp_path):
    new = Path(shutil.copytree(old, tmp_path / "new"))
    hold(store, new, left_out=("bad.wav",))
    shutil.rmtree(old)
    relocate(store, old, new)
    assert as_held(store) == as_on_disk(new, "bad.wav")
    assert store.catalog.holdings().contents == 3
    assert len(store.catalog.left_out()) == 1
    assert store.catalog.find_damage() == []


def test_nothing_is_held_there(store, tmp_path):
    relocation = relocate(store, tmp_path / "nothing", tmp_path)
    assert (relocation.clips, relocation.left_out, relocation.roots, relocation.checked) == (0, 0, 0, 0)


def test_damage_is_told_and_nothing_is_changed(store, old, tmp_path):
    new = old.rename(tmp_path / "new")
    store.__exit__()
    with closing(sqlite3.connect(store.directory / CATALOG_FILE)) as db, db:
        db.execute("UPDATE clips SET checksum = 0 WHERE path = ?", (os.fsencode(old / "b.wav"),))
        before = db.execute("SELECT * FROM clips").fetchall()
    with Store.open(store.directory, read_only=False) as again, pytest.raises(StoreError, match="is damaged"):
        relocate(again, old, new)
    with closing(sqlite3.connect(store.directory / CATALOG_FILE)) as db:
        assert db.execute("SELECT * FROM clips").fetchall() == before


def test_a_commit_that_fails_keeps_everything_at_the_old_place(store, old, tmp_path, monkeypatch):
    new = old.rename(tmp_path / "new")
    listed = ListedPaths(store.directory)
    listed.write([str(old / "a.wav")])
    before = as_held(store), read_roots(store.catalog)

    def fail(*_of):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch, pytest.raises(StoreError):
        patch.setattr("pe_search.store.moving.put_zones", fail)
        relocate(store, old, new)
    assert (as_held(store), read_roots(store.catalog)) == before
    # Both, so that a list that lets go of it has it removed, wherever it is.
    assert listed.read() == {str(old / "a.wav"), str(new / "a.wav")}
    assert relocate(store, old, new).problems == ()
    assert listed.read() == {str(new / "a.wav")}


# Recognised by themselves


def recognise(store: Store, *given: Path) -> list[Relocation]:
    relocated = []
    for moves, relocation in recognised(store, given):
        carry_out(store, moves)
        relocated.append(relocation)
    return relocated


def test_a_root_that_is_gone_is_recognised_at_another_place(store, old, tmp_path):
    new = old.rename(tmp_path / "new")
    (relocation,) = recognise(store, new)
    assert (relocation.old, relocation.new, relocation.clips, relocation.checked) == (old, new, 4, 4)
    assert as_held(store) == as_on_disk(new, "bad.wav")
    assert [root.path for root in read_roots(store.catalog)] == [new]
    assert recognise(store, new) == []


def test_a_root_that_is_still_there_is_never_moved(store, old, tmp_path):
    new = Path(shutil.copytree(old, tmp_path / "new"))
    assert recognise(store, new) == []
    shutil.rmtree(old)
    old.mkdir()
    assert recognise(store, new) == []
    old.rmdir()
    old.symlink_to(tmp_path / "dangling")
    assert recognise(store, new) == []
    old.unlink()
    assert len(recognise(store, new)) == 1


def other_bytes(new: Path) -> None:
    status = (new / "b.wav").stat()
    (new / "b.wav").write_bytes(b"x" * status.st_size)
    os.utime(new / "b.wav", ns=(status.st_atime_ns, status.st_mtime_ns))


def other_times(new: Path) -> None:
    for name in ("a.wav", "b.wav", "deep/c.wav"):
        os.utime(new / name, ns=(1, 1))


def other_names(new: Path) -> None:
    (new / "deep").rename(new / "shallow")
    (new / "b.wav").rename(new / "B.wav")


@pytest.mark.parametrize("change", [other_bytes, other_times, other_names])
def test_what_is_not_the_same_is_not_recognised(store, old, tmp_path, change):
    new = old.rename(tmp_path / "new")
    change(new)
    before = as_held(store)
    assert recognise(store, new, new / "deep") == []
    assert as_held(store) == before


def test_a_clip_that_is_not_there_stays_where_it_was(store, old, tmp_path):
    new = old.rename(tmp_path / "new")
    (new / "b.wav").unlink()
    os.utime(new / "bad.wav", ns=(1, 1))
    ListedPaths(store.directory).write([str(old / "b.wav"), str(old / "a.wav")])
    (relocation,) = recognise(store, new)
    assert (relocation.clips, relocation.missing, relocation.left_out, relocation.roots) == (3, (), 0, 0)
    assert as_held(store).keys() == {*as_on_disk(new, "bad.wav"), old / "b.wav"}
    assert [one.clip.path for one in store.catalog.left_out()] == [old / "bad.wav"]
    # What is left there may be mounted again.
    assert [root.path for root in read_roots(store.catalog)] == [old]
    assert read_zones(store.catalog) == {old: "Europe/Berlin", new: "Europe/Berlin"}
    names = {str(folder / name) for folder in (old, new) for name in ("a.wav", "b.wav")}
    assert ListedPaths(store.directory).read() == names


def test_a_copy_that_is_known_already_is_no_new_place(store, old, tmp_path):
    new = Path(shutil.copytree(old, tmp_path / "new"))
    hold(store, new, left_out=("bad.wav",))
    shutil.rmtree(old)
    assert recognise(store, new) == []


def test_one_gone_root_is_not_at_two_places(store, old, tmp_path):
    news = [Path(shutil.copytree(old, tmp_path / name)) for name in ("new", "newer")]
    shutil.rmtree(old)
    assert [moves.new for moves, _ in recognised(store, news)] == [news[0]]


def test_a_file_that_is_a_root_is_left_alone(store, tmp_path):
    write(tmp_path, "one.wav")
    hold(store, tmp_path / "one.wav")
    write_roots(store.catalog, [Root(tmp_path / "one.wav")])
    (tmp_path / "one.wav").rename(tmp_path / "two.wav")
    assert recognise(store, tmp_path, tmp_path / "two.wav") == []

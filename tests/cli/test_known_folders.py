"""`pe-search index` without PATH, and `--dry-run`: the folders that a store knows."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import pe_search
from pe_search.errors import StoreError
from pe_search.pe_audio import embedder as embedder_module
from pe_search.store import Store
from pe_search.store.salvage import salvage_if_damaged
from tests.made_up import edit_catalog, noise, write_audio


@pytest.fixture
def sounds(tmp_path) -> Path:
    for seed, name in enumerate(["a.wav", "b.wav", "drafts/c.wav"]):
        write_audio(tmp_path / "sounds" / name, noise(0.2, seed))
    (tmp_path / "sounds" / "d.mid").touch()
    return tmp_path / "sounds"


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def index(run_cli, store):
    """Run `index`; stdout must stay empty."""

    def run(*args: object, status: int = 0) -> str:
        outcome = run_cli("index", "--store", store, *args)
        assert (outcome.status, outcome.out) == (status, b""), outcome.err
        return outcome.err

    return run


@pytest.fixture
def dry(run_cli, store):
    """Run `index --dry-run`; returns its lines with the names of files in place of paths, and what it says."""

    def run(*args: object, status: int = 0) -> tuple[list[str], str]:
        outcome = run_cli("index", "--dry-run", "--store", store, *args)
        assert outcome.status == status, outcome.err
        lines = [line.partition(" ") for line in outcome.out.decode().splitlines()]
        return [f"{word} {Path(path).name}" for word, _, path in lines], outcome.err

    return run


@pytest.fixture
def names(run_cli, store):
    """The names of all clips of the store."""

    def read() -> list[str]:
        return [Path(os.fsdecode(line)).name for line in run_cli("list", "--store", store).out.splitlines()]

    return read


@pytest.fixture
def folders(run_cli, store):
    """What `status` says of the folders: path, patterns and whether a run came to its end."""

    def read() -> list[tuple[str, list[str], bool]]:
        facts = json.loads(run_cli("status", "--format", "json", "--store", store).out)["folders"]
        return [(one["path"], one["exclude"], one["indexed_at"] is not None) for one in facts]

    return read


def test_without_a_path_every_folder_is_brought_up_to_date_by_its_own_patterns(
    index, names, folders, sounds, plain_checkpoint, tmp_path
):
    write_audio(tmp_path / "more" / "x.wav", noise(0.2, 7))
    index(sounds, "--exclude", "drafts/", "--model", plain_checkpoint[0])
    index(tmp_path / "more")
    assert folders() == [(str(tmp_path / "more"), [], True), (str(sounds), ["drafts/"], True)]
    write_audio(sounds / "new.wav", noise(0.2, 8))
    write_audio(tmp_path / "more" / "drafts" / "y.wav", noise(0.2, 9))
    (sounds / "a.wav").unlink()
    assert "2 clips embedded" in index()
    assert names() == ["y.wav", "x.wav", "b.wav", "new.wav"]
    assert index().startswith(f"Going through {tmp_path / 'more'}, {sounds}\n")
    # The patterns given last count.
    index(sounds)
    assert folders()[1] == (str(sounds), [], True)
    assert "c.wav" in names()


def test_status_shows_what_was_passed_over_at_each_folder(run_cli, index, sounds, plain_checkpoint, store, tmp_path):
    write_audio(tmp_path / "more" / "x.wav", noise(0.2, 7))
    (tmp_path / "more" / "y.ogg").touch()
    index(sounds, tmp_path / "more", "--exclude", "drafts/", "--exclude", "*.ogg", "--model", plain_checkpoint[0])
    lines = run_cli("status", "--store", store).out.decode().splitlines()
    shown = lines[next(place for place, line in enumerate(lines) if line.startswith("folders")) :]
    assert [line[30:] for line in shown] == [
        str(tmp_path / "more"),
        "  --exclude drafts/ --exclude '*.ogg'",
        "  excluded: 1 file",
        str(sounds),
        "  --exclude drafts/ --exclude '*.ogg'",
        "  can't be read: .mid 1",
        "  excluded: 1 folder",
    ]


def test_a_store_that_knows_no_folder_says_what_to_do(index, run_cli, store, sounds, plain_checkpoint, tmp_path):
    todo = f"name a folder: `pe-search index PATH --store {store}`.\n"
    nothing = "so there is nothing to bring up to date; "
    assert index(status=2) == f"pe-search: There is no store at {store} yet, {nothing}{todo}"
    listed = tmp_path / "list"
    listed.write_text(f"{sounds / 'a.wav'}\n")
    index("--files-from", listed, "--model", plain_checkpoint[0])
    assert index(status=2) == f"pe-search: The store at {store} knows no folder, {nothing}{todo}"
    assert run_cli("index", "--dry-run", "--store", store).status == 2


def test_patterns_require_a_path(index):
    assert index("--exclude", "x", status=2).splitlines()[-1] == (
        "pe-search: --exclude: requires a PATH; without PATH, each folder keeps the patterns that it was "
        "last indexed with."
    )


def test_a_folder_that_is_not_mounted_keeps_its_clips(index, names, folders, sounds, plain_checkpoint, tmp_path):
    index(sounds, "--model", plain_checkpoint[0])
    sounds.rename(tmp_path / "unplugged")
    said = index(status=2)
    assert "nothing is left here, so the 3 clips that the store holds are kept" in said
    assert len(names()) == 3
    assert folders() == [(str(sounds), [], True)]
    (tmp_path / "unplugged").rename(sounds)
    assert "3 unchanged" in index()
    shutil.rmtree(sounds)
    assert "3 removed" in index("--prune")
    assert (names(), folders()) == ([], [])


def test_a_folder_that_is_gone_from_a_known_one_is_forgotten(index, names, folders, sounds, plain_checkpoint):
    index(sounds, "--model", plain_checkpoint[0])
    index(sounds / "drafts")
    assert [path for path, _, _ in folders()] == [str(sounds), str(sounds / "drafts")]
    shutil.rmtree(sounds / "drafts")
    assert "1 removed, 0 left out" in index()
    assert names() == ["a.wav", "b.wav"]
    assert folders() == [(str(sounds), [], True)]


def test_a_file_that_is_gone_from_its_folder_is_gone(index, dry, names, folders, sounds, plain_checkpoint, tmp_path):
    index(sounds / "a.wav", sounds / "b.wav", sounds / "drafts" / "c.wav", "--model", plain_checkpoint[0])
    (sounds / "a.wav").unlink()
    # Its folder is empty: it may be the place of a disk.
    (sounds / "drafts" / "c.wav").unlink()
    assert dry(status=2)[0] == ["gone a.wav"]
    said = index(status=2)
    assert "1 unchanged, 1 removed" in said
    assert f"{sounds / 'drafts' / 'c.wav'}: nothing is left here, so the one clip that the store holds is kept" in said
    assert names() == ["b.wav", "c.wav"]
    assert [path for path, _, _ in folders()] == [str(sounds / "b.wav"), str(sounds / "drafts" / "c.wav")]


def test_a_file_that_was_named_is_known_whatever_its_name(index, names, sounds, plain_checkpoint):
    (sounds / "a.wav").rename(sounds / ".hidden")
    index(sounds / ".hidden", sounds, "--model", plain_checkpoint[0])
    assert "3 unchanged, 0 removed" in index()
    assert names() == [".hidden", "b.wav", "c.wav"]


def test_what_was_removed_does_not_come_back(run_cli, index, names, folders, sounds, plain_checkpoint, store, tmp_path):
    write_audio(tmp_path / "more" / "x.wav", noise(0.2, 7))
    index(sounds, sounds / "drafts", tmp_path / "more", "--model", plain_checkpoint[0])
    assert run_cli("remove", sounds, "--store", store).status == 0
    assert folders() == [(str(tmp_path / "more"), [], True)]
    index()
    assert names() == ["x.wav"]


def test_a_run_that_breaks_off_is_known_as_not_finished(index, run_cli, folders, sounds, plain_checkpoint, store):
    def interrupt(_progress: object) -> None:
        raise KeyboardInterrupt

    index(sounds / "a.wav", "--model", plain_checkpoint[0])
    with pe_search.open(store) as library:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(embedder_module.Embedder, "embed_windows", lambda *_: interrupt(None))
            assert library.index(sounds).is_interrupted
        roots = library.status().roots
    assert [(root.path, root.indexed_at_s is None) for root in roots] == [(sounds, True), (sounds / "a.wav", False)]
    shown = run_cli("status", "--store", store).out.decode()
    assert f"folders     not finished      {sounds}\n" in shown
    index()
    assert folders()[0] == (str(sounds), [], True)


def test_a_store_that_is_merged_brings_its_folders(index, run_cli, folders, sounds, plain_checkpoint, store, tmp_path):
    index(sounds, "--exclude", "drafts/", "--model", plain_checkpoint[0])
    other = tmp_path / "other"
    write_audio(tmp_path / "of another machine" / "x.wav", noise(0.2, 7))
    elsewhere = tmp_path / "of another machine"
    outcome = run_cli("index", sounds, sounds / "drafts", elsewhere, "--model", plain_checkpoint[0], "--store", other)
    assert outcome.status == 0
    shutil.rmtree(elsewhere)
    assert run_cli("merge", other, "--store", store).status == 0
    assert [(path, exclude) for path, exclude, _ in folders()] == [
        (str(sounds), ["drafts/"]),
        (str(sounds / "drafts"), []),
    ]


def test_folders_and_times_outlive_a_damaged_catalog(index, folders, sounds, plain_checkpoint, store):
    index(sounds, "--exclude", "drafts/", "--model", plain_checkpoint[0])
    with Store.open(store) as opened:
        before = {clip.path: clip.indexed_at_s for clip in opened.clips()}
    edit_catalog(store, "UPDATE windows SET embedding = x'00' WHERE id = 1")
    assert salvage_if_damaged(store) is not None
    assert folders() == [(str(sounds), ["drafts/"], True)]
    with Store.open(store) as opened:
        after = {clip.path: clip.indexed_at_s for clip in opened.clips()}
    assert (len(after), len(before)) == (1, 2)
    assert after.items() <= before.items()


def test_folders_that_make_no_sense_are_damage(index, sounds, plain_checkpoint, store):
    index(sounds, "--model", plain_checkpoint[0])
    for text in ("x", "[1]", "[[], 0, 0]", '["a", 0, 0]', '[{"a": "b"}, 0, 0]'):
        edit_catalog(store, "UPDATE roots SET passed_over = ?", text)
        with pytest.raises(StoreError, match="is damaged"), pe_search.open(store) as library:
            library.status()


def test_a_dry_run_says_what_a_run_would_do_and_does_none_of_it(
    dry, index, names, sounds, plain_checkpoint, store, tmp_path, monkeypatch
):
    assert dry(sounds) == (
        ["new a.wav", "new b.wav", "new c.wav"],
        "pe-search: 1 file of a kind that can't be read: .mid 1.\n"
        "Would read 3 clips: 3 new, 0 changed, 0 gone, 0 unchanged. Nothing was written. "
        f"Store: {store}\n",
    )
    assert not store.exists()
    (sounds / "bad.wav").write_text("no audio")
    index(sounds, "--model", plain_checkpoint[0], status=2)
    write_audio(sounds / "drafts" / "new.wav", noise(0.2, 8))
    write_audio(sounds / "b.wav", noise(0.3, 9))
    (sounds / "a.wav").rename(sounds / "z.wav")
    before = {file: file.read_bytes() for file in store.iterdir() if file.suffix != ".sqlite3-shm"}

    def refuse(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(embedder_module.Embedder, "__init__", refuse)
    expected = ["new new.wav", "changed b.wav", "moved z.wav", "left-out bad.wav"]
    assert dry()[0] == dry(sounds)[0] == expected
    assert "Would read 2 clips: 1 new, 1 changed, 1 moved, 0 gone, 1 left out, 1 unchanged." in dry()[1]
    assert dry(sounds, "--exclude", "drafts/")[0] == ["changed b.wav", "moved z.wav", "gone c.wav", "left-out bad.wav"]
    assert {file: file.read_bytes() for file in store.iterdir() if file in before} == before
    with pe_search.open(store) as library:
        plan = library.plan(sounds)
    assert (plan.moved, plan.gone, plan.unchanged) == ((sounds / "z.wav",), (), 1)


def test_a_dry_run_of_nothing(dry, sounds, tmp_path):
    (tmp_path / "empty").mkdir()
    assert dry(tmp_path / "empty", status=1) == ([], f"pe-search: no audio files in {tmp_path / 'empty'}.\n")
    assert dry(tmp_path / "none", status=2)[0] == []
    assert dry(sounds, "--rehash", status=2)[1].endswith("pe-search: --rehash: can't be used with --dry-run.\n")

"""`pe-search relocate`, and folders that `index` finds again at another place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import pe_search
from tests.cli.conftest import Outcome
from tests.made_up import noise, write_audio


@pytest.fixture
def old(run_cli, tmp_path, monkeypatch, plain_checkpoint) -> Path:
    """A folder of two clips that was indexed."""
    monkeypatch.setenv("PE_SEARCH_STORE", str(tmp_path / "moved.store"))
    monkeypatch.setenv("PE_SEARCH_MODEL", str(plain_checkpoint[0]))
    folder = tmp_path / "old"
    write_audio(folder / "a.wav", noise(0.2, 0))
    write_audio(folder / "deep" / "written.wav", noise(0.2, 1)).rename(folder / "deep" / os.fsdecode(b"\xff.wav"))
    assert run_cli("index", folder).status == 0
    return folder


def held() -> list[Path]:
    with pe_search.open() as library:
        return [clip.path for clip in library.clips()]


def roots() -> list[Path]:
    with pe_search.open() as library:
        return [root.path for root in library.roots()]


def test_clips_are_known_at_their_new_place(run_cli, old, tmp_path):
    new = old.rename(tmp_path / "new")
    odd = new / "deep" / os.fsdecode(b"\xff.wav")
    outcome = run_cli("relocate", old, new, "--dry-run")
    assert outcome == Outcome(
        0,
        b"moved " + os.fsencode(new / "a.wav") + b"\nmoved " + os.fsencode(odd) + b"\n",
        f"2 clips would be relocated to {new}, 2 files compared.\n",
    )
    assert held() == [old / "a.wav", old / "deep" / odd.name]
    outcome = run_cli("relocate", old, new)
    assert outcome == Outcome(0, b"", f"2 clips relocated to {new}, 2 files compared.\n")
    assert (held(), roots()) == ([new / "a.wav", odd], [new])
    # Nothing is left for a run to do.
    outcome = run_cli("index")
    assert outcome.status == 0
    assert outcome.err.startswith(f"Going through {new}\n0 clips embedded (0 windows, 0.00 hours)")
    assert "2 unchanged, 0 removed, 0 left out" in outcome.err
    assert "recognised" not in outcome.err


def test_paths_may_be_relative_and_need_not_be_there(run_cli, old, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old.rename(tmp_path / "new")
    assert run_cli("relocate", "old", "./new/").status == 0
    assert held()[0] == tmp_path / "new" / "a.wav"


def test_a_file_that_differs_refuses_all_and_is_named(run_cli, old, tmp_path):
    new = old.rename(tmp_path / "new")
    write_audio(new / "a.wav", noise(0.2, 3))
    for words in ((), ("--dry-run",)):
        assert run_cli("relocate", old, new, *words) == Outcome(
            2,
            b"",
            f"pe-search: {new / 'a.wav'}: has other bytes than the store knows\n"
            "pe-search: nothing was changed; NEW must hold the files that were in OLD.\n",
        )
    assert held()[0] == old / "a.wav"


def test_nothing_is_known_there(run_cli, old, tmp_path):
    outcome = run_cli("relocate", tmp_path / "nothing", old)
    assert outcome == Outcome(1, b"", f"pe-search: the store has no clips in {tmp_path / 'nothing'}\n")


def test_the_same_place_is_refused(run_cli, old):
    outcome = run_cli("relocate", old, f"{old}/")
    assert outcome == Outcome(2, b"", "pe-search: NEW: is the same as OLD.\n")
    with pe_search.open() as library, pytest.raises(ValueError, match="old and new are the same"):
        library.relocate(old, str(old))


def test_times_that_a_copy_has_not_kept_are_told(run_cli, old, tmp_path):
    new = Path(shutil.copytree(old, tmp_path / "new", copy_function=shutil.copyfile))
    os.utime(new / "a.wav", ns=(1, 1))
    shutil.rmtree(old)
    outcome = run_cli("relocate", old, new)
    assert outcome.status == 0
    *_, last = outcome.err.splitlines()
    assert last == "2 files with another size or time: `pe-search index` reads them again."
    assert "2 recognised, 0 unchanged" in run_cli("index").err


def test_a_folder_that_is_gone_is_found_again_by_index(run_cli, old, tmp_path):
    new = old.rename(tmp_path / "new")
    run_cli("tag", "add", "fav", old / "a.wav")
    outcome = run_cli("index", new, "--dry-run")
    assert (outcome.status, len(outcome.out.splitlines())) == (0, 2)
    assert outcome.out.startswith(b"moved " + os.fsencode(new / "a.wav") + b"\n")
    assert outcome.err.startswith("Would read 0 clips: 0 new, 0 changed, 2 moved, 0 gone, 0 unchanged.")
    assert roots() == [old]
    outcome = run_cli("index", new)
    assert outcome.status == 0
    first, second = outcome.err.splitlines()
    assert first == (
        f"{old} is gone, and 2 clips of it are below {new} now; the files were not read again, but for 2 that were "
        "compared."
    )
    assert second.startswith("0 clips embedded")
    assert "2 unchanged, 0 removed" in second
    assert roots() == [new]
    with pe_search.open() as library:
        assert [clip.tags for clip in library.clips()] == [("fav",), ()]
        summary = library.index(new)
        assert summary.relocated == ()


def test_in_python(old, tmp_path):
    new = old.rename(tmp_path / "new")
    with pe_search.open() as library:
        assert library.relocate(old, new, dry_run=True).clips == 2
        assert library.relocate(str(old), new).moved == (new / "a.wav", new / "deep" / os.fsdecode(b"\xff.wav"))
        assert next(iter(library.clips())).path == new / "a.wav"
        library.index(new)
        later = new.rename(tmp_path / "later")
        (relocated,) = library.index(later).relocated
        assert (relocated.old, relocated.new, relocated.clips) == (new, later, 2)

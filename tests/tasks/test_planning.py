"""Plans: what is excluded goes, what left a list goes, and neither is taken for a disk that is not mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_search.audio.exclude import parse_patterns
from pe_search.records import Clip, LeftOut
from pe_search.reports import PassedOver
from pe_search.tasks.planning import Plan, came_by_lists, plan_index
from tests.audio.test_find import make

STAMP = 5, 1


@pytest.fixture
def sounds(tmp_path) -> Path:
    """A folder of files that nobody opens."""
    make(tmp_path / "sounds", "a.wav", "b.wav", "drafts/c.wav", "drafts/d.wav")
    return tmp_path / "sounds"


def held(*paths: Path) -> dict[str, tuple[int, int]]:
    """The stamps of clips that the store holds, and that have changed if they are there."""
    return dict.fromkeys(map(str, paths), STAMP)


def everything_in(sounds: Path) -> dict[str, tuple[int, int]]:
    return held(*(sounds / name for name in ("a.wav", "b.wav", "drafts/c.wav", "drafts/d.wav")))


def gone(plan: Plan, sounds: Path) -> list[str]:
    """What a plan takes out and forgets, by name."""
    return sorted(str(path.relative_to(sounds)) for path in (*plan.to_remove, *plan.to_forget))


def test_what_is_excluded_goes_and_comes_back_when_it_is_not(sounds):
    excluded = plan_index([sounds], everything_in(sounds), excluded=parse_patterns(["drafts/", "b.*"]))
    assert gone(excluded, sounds) == ["b.wav", "drafts/c.wav", "drafts/d.wav"]
    assert (excluded.passed_over, excluded.problems) == (PassedOver(excluded_files=1, excluded_folders=1), ())
    back = plan_index([sounds], held(sounds / "a.wav"))
    assert [clip.path.name for clip in back.to_read] == ["a.wav", "b.wav", "c.wav", "d.wav"]


def test_what_an_ignore_file_excludes_goes_and_what_was_left_out_there_is_forgotten(sounds):
    (sounds / ".pesearchignore").write_text("/drafts/c.wav\n/b.wav")
    left_out = [LeftOut(Clip(sounds / name, *STAMP), "bad") for name in ("b.wav", "drafts/d.wav")]
    plan = plan_index([sounds], held(sounds / "drafts/c.wav"), left_out)
    assert (plan.to_remove, plan.to_forget) == ((sounds / "drafts/c.wav",), (sounds / "b.wav",))


@pytest.mark.parametrize("globs", [["*.wav"], ["drafts/", "?.wav"], ["*"]])
def test_a_folder_in_which_all_is_excluded_is_not_taken_for_a_disk_that_is_not_mounted(sounds, globs):
    plan = plan_index([sounds], {**everything_in(sounds), **held(sounds / "gone.wav")}, excluded=parse_patterns(globs))
    assert gone(plan, sounds) == ["a.wav", "b.wav", "drafts/c.wav", "drafts/d.wav", "gone.wav"]
    assert plan.problems == ()


def test_neither_is_one_of_which_only_a_bin_is_left(sounds):
    for name in ("a.wav", "b.wav", "drafts/c.wav", "drafts/d.wav"):
        (sounds / name).unlink()
    make(sounds, "$RECYCLE.BIN/a.wav")
    plan = plan_index([sounds], held(sounds / "a.wav", sounds / "$RECYCLE.BIN/a.wav"))
    assert (gone(plan, sounds), plan.problems) == (["$RECYCLE.BIN/a.wav", "a.wav"], ())


def test_but_an_empty_folder_that_is_excluded_may_be_where_a_disk_belongs(sounds, tmp_path):
    before = everything_in(sounds)
    sounds.rename(tmp_path / "unplugged")
    (sounds / "drafts").mkdir(parents=True)
    plan = plan_index([sounds], before, excluded=parse_patterns(["drafts/"]))
    assert gone(plan, sounds) == []
    assert [problem.path for problem in plan.problems] == [sounds]
    assert "nothing is left here" in plan.problems[0].reason
    pruned = plan_index([sounds], before, excluded=parse_patterns(["drafts/"]), prune=True)
    assert (len(gone(pruned, sounds)), pruned.problems) == (4, ())


@pytest.mark.parametrize("prune", [True, False])
@pytest.mark.parametrize("folder", [".", "drafts"])
def test_what_is_held_of_a_folder_whose_ignore_file_cannot_be_understood_is_kept(sounds, folder, prune):
    (sounds / folder / ".pesearchignore").write_text("[a")
    plan = plan_index([sounds], {**everything_in(sounds), **held(sounds / "drafts/gone.wav")}, prune=prune)
    assert gone(plan, sounds) == []
    (problem,) = plan.problems
    assert problem.path == sounds / folder
    assert problem.reason.startswith(".pesearchignore: line 1: '[a' is not a valid pattern")


def test_a_pattern_is_not_about_what_is_named(sounds):
    plan = plan_index([sounds / "a.wav", sounds / "drafts"], {}, excluded=parse_patterns(["a.wav", "drafts", "d.wav"]))
    assert [clip.path for clip in plan.to_read] == [sounds / "a.wav", sounds / "drafts/c.wav"]


def test_what_left_its_list_goes_unless_a_path_leads_to_it(sounds):
    before = {**everything_in(sounds), **held(Path("/elsewhere/x.wav"), Path("/elsewhere/y.wav"))}
    left_out = [LeftOut(Clip(Path("/elsewhere/bad.wav"), *STAMP), "bad")]
    unlisted = {"/elsewhere/x.wav", "/elsewhere/bad.wav", str(sounds / "a.wav"), str(sounds / "drafts"), "/never"}
    plan = plan_index([sounds / "b.wav"], before, left_out, unlisted=unlisted)
    assert set(plan.to_remove) == {
        Path("/elsewhere/x.wav"),
        *(sounds / n for n in ("a.wav", "drafts/c.wav", "drafts/d.wav")),
    }
    assert plan.to_forget == (Path("/elsewhere/bad.wav"),)
    plan = plan_index([sounds], before, left_out, unlisted=unlisted)
    assert (plan.to_remove, plan.to_forget) == ((Path("/elsewhere/x.wav"),), (Path("/elsewhere/bad.wav"),))


@pytest.mark.parametrize(
    ("name", "is_remembered"),
    [
        ("new.wav", True),
        ("new folder", True),
        ("held.wav", False),
        ("held folder", False),
        ("again.wav", True),
        ("listed folder/a.wav", True),
        ("given/a.wav", False),
        ("given", False),
    ],
)
def test_what_comes_by_a_list_alone_is_remembered(tmp_path, monkeypatch, name, is_remembered):
    monkeypatch.chdir(tmp_path)
    names = ("held.wav", "held folder/a.wav", "again.wav", "listed folder/a.wav")
    before = held(*(tmp_path / held_name for held_name in names))
    remembered = frozenset(str(tmp_path / known) for known in ("again.wav", "listed folder"))
    by_lists = came_by_lists(remembered, [Path(name)], [Path("given")], before)
    assert by_lists == remembered | ({str(tmp_path / name)} if is_remembered else set())


def test_what_a_path_leads_to_does_not_come_by_a_list_any_more(tmp_path):
    remembered = frozenset(str(tmp_path / name) for name in ("a/1.wav", "a", "b/2.wav"))
    assert came_by_lists(remembered, [], [tmp_path / "a"], {}) == {str(tmp_path / "b/2.wav")}

"""What folders hold that is not taken: excluded, never audio, or of a kind that nothing reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome, invoke
from tests.made_up import noise, write_audio


@pytest.fixture
def sounds(tmp_path) -> Path:
    """A folder with clips, drafts, and files of kinds that nothing reads."""
    for seed, name in enumerate(("a.wav", "b.tmp.wav", "drafts/c.wav", "drafts/d.wav", "$RECYCLE.BIN/e.wav")):
        write_audio(tmp_path / "sounds" / name, noise(0.2, seed))
    for name in ("1.dct", "2.DCT", "x/3.dct", "x/4.dct", "5.mid", "x/6.mid", "notes.txt", "cover.jpg"):
        (tmp_path / "sounds" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "sounds" / name).touch()
    return tmp_path / "sounds"


@pytest.fixture
def index(plain_checkpoint, tmp_path):
    def run(*args: object) -> Outcome:
        return invoke("index", *args, "--model", plain_checkpoint[0], "--store", tmp_path / "store")

    return run


def clips_in(store: Path) -> set[str]:
    out = invoke("list", "--format", "jsonl", "--store", store).out
    return {Path(json.loads(line)["path"]).name for line in out.splitlines()}


UNREADABLE = "6 files of kinds that can't be read: .dct 4, .mid 2"


def test_what_cannot_be_read_and_what_is_excluded_is_counted_before_the_summary(index, sounds):
    (sounds / "x" / ".pesearchignore").write_text("*.mid")
    outcome = index(sounds, "--exclude", "*.tmp.wav", "--exclude", "drafts/")
    unreadable, excluded, summary = outcome.err.splitlines()
    assert outcome.status == 0
    assert unreadable == "pe-search: 5 files of kinds that can't be read: .dct 4, .mid 1."
    assert excluded == "pe-search: 2 files and 1 folder skipped because of --exclude or .pesearchignore."
    assert summary.startswith("1 clip embedded ")


def test_a_new_exclude_takes_clips_out_and_without_it_they_come_back(index, sounds, tmp_path):
    assert index(sounds).err.splitlines()[0] == f"pe-search: {UNREADABLE}."
    assert clips_in(tmp_path / "store") == {"a.wav", "b.tmp.wav", "c.wav", "d.wav"}
    summary = index(sounds, "--exclude", "drafts/").err.splitlines()[-1]
    assert "2 unchanged, 2 removed, 0 left out" in summary
    assert clips_in(tmp_path / "store") == {"a.wav", "b.tmp.wav"}
    (sounds / ".pesearchignore").write_text("*.wav\n!a.wav")
    assert index(sounds).status == 0
    assert clips_in(tmp_path / "store") == {"a.wav"}
    (sounds / ".pesearchignore").unlink()
    assert index(sounds).status == 0
    assert clips_in(tmp_path / "store") == {"a.wav", "b.tmp.wav", "c.wav", "d.wav"}


def test_all_may_be_excluded_and_the_store_is_empty_then(index, sounds, tmp_path):
    assert index(sounds).status == 0
    outcome = index(sounds, "--exclude", "*.wav")
    assert outcome.status == 0
    assert "0 unchanged, 4 removed, 0 left out" in outcome.err
    assert clips_in(tmp_path / "store") == set()


def test_what_was_left_out_and_is_excluded_is_forgotten(index, sounds, tmp_path):
    (sounds / "bad.wav").write_text("no audio")
    assert index(sounds).status == 2
    assert invoke("status", "--problems", "--store", tmp_path / "store").status == 0
    outcome = index(sounds, "--exclude", "bad.wav")
    assert (outcome.status, "left out before" in outcome.err) == (0, False)
    assert invoke("status", "--problems", "--store", tmp_path / "store").status == 1


def test_a_file_that_is_named_is_tried_whatever_excludes_it(index, sounds, tmp_path):
    (sounds / ".pesearchignore").write_text("*")
    write_audio(tmp_path / "x.wav", noise(0.2)).rename(sounds / "._x.mid")
    assert index(sounds / "a.wav", sounds / "._x.mid", "--exclude", "*").status == 0
    assert clips_in(tmp_path / "store") == {"a.wav", "._x.mid"}


COMMANDS = [["index"], ["label", "--labels", "rain"], ["locate", "-t", "rain"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_pattern_that_is_not_valid_is_an_error_before_anything_is_done(command, sounds, tmp_path):
    store = [] if command[0] == "locate" else ["--store", tmp_path / "store"]
    outcome = invoke(*command, sounds, "--exclude", "*.mp3", "--exclude", "[a", *store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err.endswith("pe-search: --exclude: '[a' is not a valid pattern.\n")
    assert not (tmp_path / "store").exists()


def test_an_ignore_file_that_is_not_valid_is_one_line_and_the_rest_is_done(index, sounds, tmp_path):
    assert index(sounds).status == 0
    (sounds / "drafts" / ".pesearchignore").write_text("# of drafts\n[\x1b\n")
    outcome = index(sounds)
    line, _unreadable, summary = outcome.err.splitlines()
    assert outcome.status == 2
    assert line == (
        f"pe-search: {sounds}/drafts: .pesearchignore: line 2: '[\\x1b' is not a valid pattern; "
        "this folder is skipped until that is fixed"
    )
    assert "2 unchanged, 0 removed, 1 left out" in summary
    assert clips_in(tmp_path / "store") == {"a.wav", "b.tmp.wav", "c.wav", "d.wav"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_where_nothing_can_be_read_the_message_says_what_is_there(command, sounds, tmp_path):
    store = [] if command[0] == "locate" else ["--store", tmp_path / "store"]
    nothing = f"pe-search: no audio files to read in {sounds}: "
    excluded = "skipped because of --exclude or .pesearchignore"
    for exclude, told in (
        (["*.wav"], f"{UNREADABLE}; 2 files and 1 folder {excluded}"),
        (["*.wav", "*.mid", "x", "[12].*"], f"5 files and 2 folders {excluded}"),
    ):
        options = [word for glob in (*exclude, "drafts/") for word in ("--exclude", glob)]
        outcome = invoke(*command, sounds, *options, *store)
        assert outcome == Outcome(1, b"", f"{nothing}{told}.\n")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.aax").touch()
    outcome = invoke(*command, tmp_path / "one", *store)
    one = f"pe-search: no audio files to read in {tmp_path}/one: 1 file of a kind that can't be read: .aax 1.\n"
    assert outcome == Outcome(1, b"", one)


def test_label_and_locate_pass_over_the_same(plain_checkpoint, sounds):
    (sounds / "drafts" / ".pesearchignore").write_text("d.wav")
    for command in (["label", "--labels", "rain"], ["locate", "-t", "rain", "--threshold", 0]):
        outcome = invoke(*command, sounds, "--exclude", "*.tmp.wav", "--model", plain_checkpoint[0])
        assert (outcome.status, outcome.err) == (0, f"pe-search: {UNREADABLE}.\n")
        assert {Path(json.loads(line)["path"]).name for line in outcome.out.splitlines()} == {"a.wav", "c.wav"}

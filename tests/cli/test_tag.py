"""`pe-search tag`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pe_search
from pe_search.cli.app import app
from tests.cli.conftest import Outcome


@pytest.fixture
def store(library, tmp_path) -> Path:
    """A store of the test's own."""
    return Path(shutil.copytree(library.store, tmp_path / "own.store"))


def feed(given: bytes, *args: object) -> Outcome:
    result = CliRunner().invoke(app, [str(arg) for arg in args], input=given, catch_exceptions=False)
    return Outcome(result.exit_code, result.stdout_bytes, result.stderr_bytes.decode())


def tags_in(store: Path) -> dict[str, list[str]]:
    with pe_search.open(store) as library:
        return {clip.path.name: list(clip.tags) for clip in library.clips() if clip.tags}


def test_clips_get_a_tag_and_lose_it(run_cli, library, store):
    bark, rain = library.sounds / "dogs" / "bark.wav", library.sounds / "weather" / "rain.wav"
    outcome = run_cli("tag", "add", "favourite, to check", bark, rain, "--store", store)
    assert outcome == Outcome(0, b"", "2 clips tagged favourite, to check.\n")
    assert tags_in(store) == {"bark.wav": ["favourite", "to check"], "rain.wav": ["favourite", "to check"]}
    outcome = run_cli("tag", "add", "favourite", bark.parent, "--store", store)
    assert outcome == Outcome(0, b"", "1 clip tagged favourite, 1 clip already.\n")
    outcome = run_cli("tag", "remove", "to check", rain, "--store", store)
    assert outcome == Outcome(0, b"", "to check removed from 1 clip.\n")
    assert tags_in(store) == {
        "bark.wav": ["favourite", "to check"],
        "growl.wav": ["favourite"],
        "rain.wav": ["favourite"],
    }
    outcome = run_cli("tag", "remove", "to check", rain, "--store", store)
    assert outcome == Outcome(1, b"", "pe-search: no such clip is tagged to check\n")
    outcome = run_cli("tag", "remove", "favourite", "--all", "--store", store)
    assert outcome == Outcome(0, b"", "favourite removed from 3 clips.\n")
    assert tags_in(store) == {"bark.wav": ["to check"]}


def test_hits_of_a_query_are_tagged_and_found_by_the_tag(library, store, run_cli):
    hits = run_cli("query", "rain", "-k", 3, "--store", store).out
    names = {Path(line.decode("utf-8", "surrogateescape")).name for line in hits.splitlines()}
    outcome = feed(hits, "tag", "add", "favourite", "-", "--store", store)
    assert outcome == Outcome(0, b"", "3 clips tagged favourite.\n")
    assert tags_in(store).keys() == names
    with pe_search.open(store) as opened:
        assert opened.tags() == {"favourite": 3}


def test_paths_of_any_name_come_with_nul_bytes(library, store, run_cli):
    hits = run_cli("query", "rain", "-k", "all", "-0", "--store", store).out
    outcome = feed(hits, "tag", "add", "all", "--files-from", "-", "--store", store)
    assert outcome == Outcome(0, b"", f"{len(library.clips)} clips tagged all.\n")


def test_a_clip_that_the_store_does_not_hold_is_a_line(library, store, run_cli, tmp_path):
    bark = library.sounds / "dogs" / "bark.wav"
    for words, done in ((("add",), "1 clip tagged b.\n"), (("remove",), "b removed from 1 clip.\n")):
        outcome = run_cli("tag", *words, "b", tmp_path / "no", bark, tmp_path / "nothing", "--store", store)
        assert (outcome.status, outcome.out) == (2, b"")
        assert outcome.err == done + "".join(
            f"pe-search: {tmp_path / name}: the store holds no clip here\n" for name in ("no", "nothing")
        )
    outcome = run_cli("tag", "list", tmp_path / "no", "--store", store)
    assert outcome == Outcome(2, b"", f"pe-search: {tmp_path / 'no'}: the store holds no clip here\n")


def test_an_empty_list_names_nothing(store):
    for words in (("add", "b"), ("remove", "b"), ("list",)):
        outcome = feed(b"\n", "tag", *words, "-", "--store", store)
        assert outcome == Outcome(1, b"", "pe-search: the list names no path\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("add", "a,,b", "x"), "TAG: a tag must not be empty."),
        (("add", "x" * 101, "x"), "TAG: a tag has at most 100 characters; this one has 101."),
        (("remove", "a\tb", "x"), r"TAG: 'a\tb' has a character that can't be printed."),
        (("add", "a"), "PATH: give a clip or a folder, or --files-from."),
        (("remove", "a"), "PATH: give a clip or a folder, --files-from or --all."),
        (("remove", "a", "x", "--all"), "--all: can't be used with PATH or --files-from."),
        (("remove", "a", "--files-from", "x", "--all"), "--all: can't be used with PATH or --files-from."),
        (("add", "a", "-", "-"), "PATH: standard input can be read only once."),
        (("list", "-", "--files-from", "-"), "PATH: standard input can be read only once."),
        (("add", "a", "--files-from", "no such list"), "no such list: No such file or directory"),
        (("nonsense",), "No such command 'nonsense'; commands of tag are add, remove, list."),
    ],
)
def test_what_is_wrong_is_told_in_a_line_and_nothing_is_done(run_cli, store, words, error):
    outcome = run_cli("tag", *words, *(["--store", store] if len(words) > 1 else []))
    assert outcome == Outcome(2, b"", f"pe-search: {error}\n")
    assert tags_in(store) == {}


def test_tags_are_listed(library, store, run_cli, run_cli_on_terminal):
    dogs, rain = library.sounds / "dogs", library.sounds / "weather" / "rain.wav"
    run_cli("tag", "add", "dog", dogs, "--store", store)
    run_cli("tag", "add", "b", dogs / "bark.wav", rain, "--store", store)
    assert run_cli("tag", "list", "--store", store).out == b'{"tag": "b", "clips": 2}\n{"tag": "dog", "clips": 2}\n'
    assert run_cli("tag", "list", "--store", store, "--format", "csv").out == b"tag,clips\nb,2\ndog,2\n"
    assert run_cli_on_terminal("tag", "list", "--store", store) == "2  b\n2  dog\n"
    # Without tags, a clip of a folder isn't listed.
    below = run_cli("tag", "list", library.sounds, rain, "--store", store)
    assert [json.loads(line) for line in below.out.splitlines()] == [
        {"path": str(dogs / "bark.wav"), "tags": ["b", "dog"]},
        {"path": str(dogs / "growl.wav"), "tags": ["dog"]},
        {"path": str(rain), "tags": ["b"]},
    ]
    as_csv = run_cli("tag", "list", dogs / "bark.wav", "--store", store, "--format", "csv")
    assert as_csv == Outcome(0, f"path,tags\n{dogs / 'bark.wav'},b; dog\n".encode(), "")
    table = run_cli_on_terminal("tag", "list", dogs, "--store", store)
    assert re.sub(r"\x1b\[\d*m", "", table).split() == [
        "tags",
        "clip",
        "b,",
        "dog",
        str(dogs / "bark.wav"),
        "dog",
        str(dogs / "growl.wav"),
    ]


@pytest.mark.parametrize("typed", ["Café", "Cafe\u0301", " Café ", "Café,to check", "to check , Café"])
def test_a_filter_takes_a_tag_as_it_is_kept(library, store, run_cli, typed):
    bark = library.sounds / "dogs" / "bark.wav"
    run_cli("tag", "add", "Cafe\u0301,to check", bark, "--store", store)
    run_cli("tag", "add", "other", library.sounds, "--store", store)
    outcome = run_cli("query", "rain", "--tag", typed, "--store", store)
    assert outcome == Outcome(0, f"{bark}\n".encode(), "")
    assert run_cli("query", "rain", "--tag", f"{typed},nothing", "--store", store).status == 1
    outcome = run_cli("query", "rain", "--tag", f"{typed},", "--store", store)
    assert (outcome.status, outcome.err) == (2, "pe-search: --tag: a tag must not be empty.\n")


def test_nothing_to_list(library, store, run_cli, run_cli_on_terminal):
    assert run_cli("tag", "list", "--store", store) == Outcome(1, b"", "")
    shown = run_cli_on_terminal("tag", "list", "--store", store, status=1)
    assert shown == "pe-search: the store has no tags\n"
    shown = run_cli_on_terminal("tag", "list", library.sounds, "--store", store, status=1)
    assert shown == "pe-search: no such clip has tags\n"


def test_a_tag_of_a_clip_that_left_the_store(library, store, run_cli):
    bark = library.sounds / "dogs" / "bark.wav"
    run_cli("tag", "add", "b", bark, "--store", store)
    assert run_cli("remove", bark, "--store", store).status == 0
    assert run_cli("tag", "list", "--store", store).out == b'{"tag": "b", "clips": 0}\n'
    assert run_cli("tag", "remove", "b", "--all", "--store", store) == Outcome(0, b"", "b removed from 0 clips.\n")
    assert run_cli("tag", "remove", "b", "--all", "--store", store).status == 1


def test_files_are_left_as_they_are(library, store, run_cli):
    bark = library.sounds / "dogs" / "bark.wav"
    before = bark.read_bytes(), bark.stat().st_mtime_ns
    run_cli("tag", "add", "b", bark, "--store", store)
    assert (bark.read_bytes(), bark.stat().st_mtime_ns) == before
    assert [path for path in library.sounds.rglob("*") if "b" in path.suffix.split(".")] == []


def test_in_python(library, store):
    with pe_search.open(store) as opened:
        dogs = library.sounds / "dogs"
        assert opened.tag(dogs, add="b") == pe_search.Tagging(2, 2)
        assert opened.tag([str(dogs / "bark.wav")], add=["c"], remove="b") == pe_search.Tagging(1, 1)
        assert opened.tags() == {"b": 1, "c": 1}
        assert opened.tag(None, remove=["b", "c"]) == pe_search.Tagging(len(library.clips), 2)
        assert opened.tags() == {}
        with pytest.raises(ValueError, match="has a comma"):
            opened.tag(dogs, add="a,b")


def test_a_tag_outlives_a_move(run_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("PE_SEARCH_STORE", str(tmp_path / "moved.store"))
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    example = Path(__file__).parents[2] / "examples" / "sounds" / "drums" / "kick-drum.flac"
    shutil.copy(example, sounds / "a.flac")
    assert run_cli("index", sounds).status == 0
    run_cli("tag", "add", "b", sounds / "a.flac")
    (sounds / "a.flac").rename(sounds / "renamed.flac")
    assert run_cli("index", sounds).status == 0
    assert tags_in(tmp_path / "moved.store") == {"renamed.flac": ["b"]}

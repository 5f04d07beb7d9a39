"""Texts and paths that are given as lists: in a file, or on standard input."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pe_search.cli.app import app
from pe_search.store.catalog import Catalog
from tests.cli.conftest import ODD_NAMES, Outcome
from tests.made_up import noise, write_audio


@pytest.fixture
def feed() -> Callable[..., Outcome]:
    """Run the command with something on its standard input."""

    def run(given: bytes, *args: object) -> Outcome:
        result = CliRunner().invoke(app, [str(arg) for arg in args], input=given, catch_exceptions=False)
        return Outcome(result.exit_code, result.stdout_bytes, result.stderr_bytes.decode())

    return run


@pytest.fixture
def listed(tmp_path) -> Callable[[bytes], Path]:
    """Write a list."""

    def write(content: bytes) -> Path:
        (tmp_path / "list.txt").write_bytes(content)
        return tmp_path / "list.txt"

    return write


# Queries


def test_each_line_is_a_query_and_its_hits_name_it(run_cli, library, listed):
    file = listed(b"\xef\xbb\xbfrain\r\n\n   \n  church bell\n# a dog barking\nrain")
    args = ("-k", 1, "--format", "jsonl", "--store", library.store)
    outcome = run_cli("query", "a dog barking", "--from-file", file, *args)
    assert (outcome.status, outcome.err) == (0, "")
    hits = [json.loads(line) for line in outcome.out.splitlines()]
    asked = ["a dog barking", "rain", "church bell", "# a dog barking", "rain"]
    assert [hit["query"] for hit in hits] == asked
    assert outcome.out == run_cli("query", *asked, *args).out


def test_a_dash_stands_for_the_lines_of_standard_input(run_cli, feed, library):
    args = ("-k", 3, "--format", "jsonl", "--store", library.store)
    outcome = feed(b"rain\nchurch bell\n", "query", "sea", "-", "siren", *args)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == run_cli("query", "sea", "rain", "church bell", "siren", *args).out
    assert (
        feed(b"rain\nchurch bell\n", "query", "sea", "siren", "--from-file", "-", *args).out
        == run_cli("query", "sea", "siren", "rain", "church bell", *args).out
    )


def test_lines_may_be_wordings_for_one_thing(run_cli, library, listed):
    args = ("--any", "--format", "jsonl", "--store", library.store)
    outcome = run_cli("query", "--from-file", listed(b"rain\nsea\n"), *args)
    assert outcome.status == 0
    assert outcome.out == run_cli("query", "rain", "sea", *args).out


def test_as_paths_the_hits_of_queries_follow_one_another(run_cli, feed, library):
    args = ("-k", 2, "-0", "--store", library.store)
    each = [run_cli("query", text, *args).out for text in ("rain", "sea")]
    assert feed(b"rain\nsea\n", "query", "-", *args).out == b"".join(each)


@pytest.mark.parametrize(
    ("given", "args", "error"),
    [
        (b"", ["-"], "TEXT: standard input is empty."),
        (b" \n\n", ["--from-file", "-"], "--from-file: standard input is empty."),
        (b"caf\xe9", ["-"], "TEXT: standard input is not UTF-8."),
        (b"rain", ["-", "--from-file", "-"], "TEXT: standard input can be read only once."),
        (b"rain", ["-", "-"], "TEXT: standard input can be read only once."),
    ],
)
def test_a_list_of_texts_that_is_none_is_an_error(feed, library, given, args, error):
    outcome = feed(given, "query", *args, "--store", library.store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {error}\n"


def test_a_list_that_is_not_there_is_one_line(run_cli, library, tmp_path):
    for args in (["query", "--from-file", tmp_path / "none"], ["locate", "rain", "--files-from", tmp_path / "none"]):
        outcome = run_cli(*args)
        assert (outcome.status, outcome.err) == (2, f"pe-search: {tmp_path}/none: No such file or directory\n")


# Paths


@pytest.fixture
def sounds(tmp_path) -> Path:
    """Clips of every odd name."""
    for seed, name in enumerate(ODD_NAMES):
        path = tmp_path / "sounds" / os.fsdecode(name)
        # soundfile can't encode every name that a file may have.
        write_audio(path.with_name("new.wav"), noise(0.2, seed)).rename(path)
    return tmp_path / "sounds"


def held(run_cli, store: Path) -> set[bytes]:
    outcome = run_cli("query", "rain", "-0", "-k", 100, "--store", store)
    return set(outcome.out.split(b"\0")[:-1])


def test_a_list_with_nul_bytes_holds_any_name(feed, run_cli, library, sounds, tmp_path):
    names = [bytes(sounds) + b"/" + name for name in ODD_NAMES]
    args = ("--model", library.checkpoint, "--store", tmp_path / "store")
    outcome = feed(b"\0".join(names) + b"\0", "index", "--files-from", "-", *args)
    assert outcome.status == 0, outcome.err
    assert held(run_cli, tmp_path / "store") == set(names)


def test_a_list_with_lines_holds_any_name_without_a_newline(run_cli, library, sounds, listed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [b"sounds/" + name for name in ODD_NAMES if b"\n" not in name]
    args = ("--model", library.checkpoint, "--store", tmp_path / "store")
    outcome = run_cli("index", "--files-from", listed(b"\n".join(names)), *args)
    assert outcome.status == 0, outcome.err
    assert held(run_cli, tmp_path / "store") == {bytes(tmp_path) + b"/" + name for name in names}


def test_arguments_come_with_the_list(run_cli, library, sounds, listed, tmp_path):
    extra = write_audio(tmp_path / "extra" / "a.wav", noise(0.2, 99))
    args = ("--model", library.checkpoint, "--store", tmp_path / "store")
    assert run_cli("index", tmp_path / "extra", "--files-from", listed(bytes(sounds) + b"\n"), *args).status == 0
    assert len(held(run_cli, tmp_path / "store")) == len(ODD_NAMES) + 1
    assert bytes(extra) in held(run_cli, tmp_path / "store")


def test_a_list_may_come_from_windows(run_cli, library, sounds, listed, tmp_path):
    names = [bytes(sounds) + b"/" + name for name in ODD_NAMES if b"\n" not in name]
    args = ("--model", library.checkpoint, "--store", tmp_path / "store")
    outcome = run_cli("index", "--files-from", listed(b"\xef\xbb\xbf" + b"\r\n".join(names) + b"\r\n\r\n"), *args)
    assert outcome.status == 0, outcome.err
    assert held(run_cli, tmp_path / "store") == set(names)


def test_a_path_of_a_list_with_nul_bytes_is_taken_as_it_is(feed, run_cli, library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [b"\xef\xbb\xbfbom.wav", b"cr.wav\r", b"line\r\nfeed.wav"]
    for seed, name in enumerate(names):
        write_audio(tmp_path / "new.wav", noise(0.2, seed)).rename(tmp_path / os.fsdecode(name))
    args = ("--model", library.checkpoint, "--store", tmp_path / "store")
    assert feed(b"\0".join(names), "index", "--files-from", "-", *args).status == 0
    assert held(run_cli, tmp_path / "store") == {bytes(tmp_path) + b"/" + name for name in names}


def test_a_path_that_is_longer_than_1023_bytes_is_passed_on(feed, library, tmp_path):
    name = tmp_path.joinpath(*["x" * 200] * 6, "gone.wav")
    outcome = feed(bytes(name), "index", "--files-from", "-", "--store", tmp_path / "store")
    assert (outcome.status, outcome.err) == (2, f"pe-search: {name}: No such file or directory\n")


def test_labels_may_come_from_windows(run_cli, library, listed):
    args = ("label", library.sounds / "dogs/bark.wav", "--model", library.checkpoint)
    expected = run_cli(*args, "--labels", "rain,church bell")
    assert expected.status == 0
    assert run_cli(*args, "--labels-file", listed(b"\xef\xbb\xbfrain\r\nchurch bell\r\n")) == expected


@pytest.fixture
def files(tmp_path) -> Path:
    """Four clips."""
    for seed, name in enumerate(("a.wav", "b.wav", "c.wav", "d/e.wav")):
        write_audio(tmp_path / "files" / name, noise(0.2, seed))
    return tmp_path / "files"


@pytest.fixture
def index(run_cli, library, listed, files, tmp_path):
    """Index some of them from a list, and whatever else is named; returns what the store then holds, by name."""

    def run(*names: str, args: tuple[object, ...] = (), status: int = 0, is_listed: bool = True) -> set[str]:
        from_list = (
            ["--files-from", listed(b"".join(bytes(files / name) + b"\n" for name in names))] if is_listed else []
        )
        outcome = run_cli("index", *args, *from_list, "--model", library.checkpoint, "--store", tmp_path / "store")
        assert outcome.status == status, outcome.err
        paths = held(run_cli, tmp_path / "store")
        return {os.fsdecode(path).removeprefix(f"{files}/") for path in paths}

    return run


def test_what_has_left_the_list_stays_until_prune(index):
    assert index("a.wav", "b.wav") == {"a.wav", "b.wav"}
    assert index("b.wav") == {"a.wav", "b.wav"}
    assert index("b.wav", args=["--prune"]) == {"b.wav"}
    assert index("a.wav", args=["--prune"]) == {"a.wav"}


def test_what_has_left_a_listed_folder_goes(index, files):
    assert index(".") == {"a.wav", "b.wav", "c.wav", "d/e.wav"}
    (files / "a.wav").unlink()
    assert index(".") == {"b.wav", "c.wav", "d/e.wav"}
    assert index("b.wav", args=["--prune"]) == {"b.wav"}


def test_what_came_from_folders_stays_whatever_a_list_says(index, files):
    assert index(args=[files / "d", files / "a.wav"], is_listed=False) == {"a.wav", "d/e.wav"}
    assert index("a.wav", "b.wav", "d/e.wav") == {"a.wav", "b.wav", "d/e.wav"}
    assert index("c.wav", args=["--prune"]) == {"a.wav", "c.wav", "d/e.wav"}
    # A clip that a folder has taken over is the folder's from then on.
    assert index(args=[files], is_listed=False) == {"a.wav", "b.wav", "c.wav", "d/e.wav"}
    assert index("b.wav", args=["--prune"]) == {"a.wav", "b.wav", "c.wav", "d/e.wav"}


def test_what_several_lists_brought_goes_unless_one_run_has_them_all(index):
    assert index("a.wav") == {"a.wav"}
    assert index("b.wav") == {"a.wav", "b.wav"}
    assert index("a.wav", "b.wav", args=["--prune"]) == {"a.wav", "b.wav"}
    assert index("b.wav", args=["--prune"]) == {"b.wav"}


def test_a_path_beside_the_list_keeps_what_is_under_it(index, files):
    assert index("a.wav", "b.wav", "d/e.wav") == {"a.wav", "b.wav", "d/e.wav"}
    assert index("b.wav", args=[files / "d", "--prune"]) == {"b.wav", "d/e.wav"}
    assert index("a.wav", args=["--prune"]) == {"a.wav", "d/e.wav"}


@pytest.mark.parametrize("content", [b"", b"\n\r\n", b"\0", b"\xef\xbb\xbf"])
def test_an_empty_list_prunes_nothing(index, feed, content, tmp_path):
    assert index("a.wav") == {"a.wav"}
    outcome = feed(content, "index", "--files-from", "-", "--prune", "--store", tmp_path / "store")
    assert outcome.status == 2
    assert outcome.err.endswith(
        "pe-search: --files-from: standard input names no path; --prune would remove every clip that "
        "came from a list.\n"
    )
    assert index(is_listed=False, args=[tmp_path / "files" / "a.wav"]) == {"a.wav"}


def test_a_run_that_is_interrupted_forgets_nothing(index, monkeypatch):
    assert index("a.wav", "b.wav") == {"a.wav", "b.wav"}
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "commit", _interrupted(Catalog.commit))
        assert index("b.wav", "c.wav", args=["--prune"], status=130) == {"a.wav", "b.wav"}
    assert index("b.wav", args=["--prune"]) == {"b.wav"}
    assert index("b.wav", "c.wav") == {"b.wav", "c.wav"}
    assert index("b.wav", args=["--prune"]) == {"b.wav"}


def _interrupted(commit: Callable[..., None]) -> Callable[..., None]:
    """A commit that Ctrl-C comes before, the first time."""
    is_first = True

    def interrupted(*args: object, **parts: object) -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            raise KeyboardInterrupt
        commit(*args, **parts)

    return interrupted


def test_label_and_locate_take_a_list(feed, run_cli, library, listed):
    clips = [library.sounds / "dogs/bark.wav", library.sounds / "weather/rain.wav"]
    paths = b"\n".join(map(bytes, clips))
    label = ("--labels", "rain,sea", "--model", library.checkpoint)
    expected = run_cli("label", *clips, *label)
    assert expected.status == 0
    assert feed(paths, "label", "--files-from", "-", *label) == expected
    locate = ("--threshold", 0, "--model", library.checkpoint)
    expected = run_cli("locate", "rain", "sea", *clips, *locate)
    assert expected.status == 0
    assert feed(paths, "locate", "rain", "sea", "--files-from", "-", *locate) == expected
    assert feed(paths, "locate", "-t", "rain", "-t", "sea", "--files-from", "-", *locate) == expected
    last = ("locate", "-t", "rain", "-t", "sea", clips[0], "--files-from", listed(bytes(clips[1])))
    assert run_cli(*last, *locate) == expected


def test_with_a_list_every_argument_of_locate_is_a_text(feed, library, monkeypatch):
    monkeypatch.chdir(library.sounds)
    outcome = feed(
        b"dogs/bark.wav", "locate", "rain", "dogs", "--files-from", "-", "--threshold", 0, "--model", library.checkpoint
    )
    assert outcome.status == 0
    assert {json.loads(line)["query"] for line in outcome.out.splitlines()} == {"rain", "dogs"}


@pytest.mark.parametrize(
    "verb", [["index"], ["label", "--labels", "rain"], ["locate", "rain"]], ids=lambda verb: verb[0]
)
def test_an_empty_list_is_nothing_found(feed, library, verb, tmp_path):
    store = [] if verb[0] == "locate" else ["--store", tmp_path / "store"]
    outcome = feed(b"\n\n", *verb, "--files-from", "-", *store)
    assert outcome == Outcome(1, b"", "pe-search: no audio files in standard input.\n")


@pytest.mark.parametrize(
    ("verb", "hint"),
    [
        (["label", "--labels", "rain"], "PATH: give a folder or a file, or --files-from."),
        (["locate"], "Give a TEXT, then a FILE."),
        (["locate", "--files-from", "-"], "Give a TEXT, then a FILE."),
        (["locate", "-t", "rain"], "Give a FILE."),
        (["query"], "Give a TEXT, --plus, --like, --words or --said. As TEXT, - reads standard input."),
    ],
    ids=str,
)
def test_nothing_at_all_is_an_error_that_says_what_to_give(run_cli, verb, hint):
    outcome = run_cli(*verb)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {hint}\n"

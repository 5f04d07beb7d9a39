"""Every error is one line on stderr that says what to do, and exit status 2."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from tests.cli.conftest import Library
from tests.made_up import edit_config, make_checkpoint, noise, write_audio


@dataclass(frozen=True)
class Scene:
    """What the errors below are made in.

    Attributes:
        sounds: A folder with one clip.
        new: Where a store could be made.
        store: A store, made with `checkpoint`.
    """

    library: Library
    sounds: Path
    new: Path
    store: Path
    checkpoint: Path

    def index(self, *args: object, model: object = None, store: Path | None = None) -> list[object]:
        """A call that makes a new store, if nothing is wrong with it."""
        return ["index", self.sounds, "--model", model or self.checkpoint, "--store", store or self.new, *args]


@pytest.fixture
def scene(library, tmp_path, monkeypatch) -> Scene:
    checkpoint = shutil.copytree(library.checkpoint, tmp_path / "checkpoint")
    shutil.copytree(library.store, tmp_path / "store")
    manifest = tmp_path / "store" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"model": str(checkpoint)}))
    write_audio(tmp_path / "sounds" / "a.wav", noise(0.2))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty-cache"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    return Scene(library, tmp_path / "sounds", tmp_path / "new", tmp_path / "store", Path(checkpoint))


def changed_checkpoint(scene: Scene, verb: str) -> list[object]:
    edit_config(scene.checkpoint, comment="another")
    return [verb, scene.sounds if verb == "index" else "rain", "--store", scene.store]


def gone_checkpoint(scene: Scene) -> list[object]:
    shutil.rmtree(scene.checkpoint)
    return ["query", "rain", "--store", scene.store]


def of_another_format(scene: Scene, version: int) -> list[object]:
    manifest = scene.store / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": version}))
    return ["status", "--store", scene.store]


def damaged(scene: Scene, file: str, verb: str) -> list[object]:
    (scene.store / file).write_text("no such thing" * 1000)
    return [verb, *(["rain"] if verb == "query" else []), "--store", scene.store]


def not_a_checkpoint(scene: Scene, **changes: object) -> list[object]:
    edit_config(scene.checkpoint, **changes)
    return scene.index()


def without_weights(scene: Scene) -> list[object]:
    (scene.checkpoint / "model.safetensors").unlink()
    return scene.index()


def another_checkpoint(scene: Scene) -> Path:
    make_checkpoint(scene.new.with_name("other"), seed=1)
    return scene.new.with_name("other")


# What is asked, and a pattern for what is answered.
ERRORS: dict[str, tuple[Callable[[Scene], list[object]], str]] = {
    "query without a store": (
        lambda scene: ["query", "rain", "--store", scene.new],
        r"There is no store at {new}; make it with `pe-search index PATH --store {new}`\.",
    ),
    "status without a store": (
        lambda scene: ["status", "--store", scene.new],
        r"There is no store at {new}; make it with `pe-search index PATH --store {new}`\.",
    ),
    "status of a file": (
        lambda scene: ["status", "--store", scene.sounds / "a.wav"],
        r"There is no store at {sounds}/a\.wav; make it with `pe-search index PATH --store {sounds}/a\.wav`\.",
    ),
    "a store with a terrible name": (
        lambda scene: ["status", "--store", scene.new / "[red]\x1b[31m\n\udcff"],
        r"There is no store at {new}/\[red\]\\x1b\[31m\\n\\xff; make it with .*",
    ),
    "a missing path": (
        lambda scene: ["index", "nope\x1b[31m\n", "--model", scene.checkpoint, "--store", scene.new],
        r"{cwd}/nope\\x1b\[31m\\n: No such file or directory",
    ),
    "a store in a file": (
        lambda scene: scene.index(store=scene.sounds / "a.wav"),
        r"A store can't be made at {sounds}/a\.wav: File exists\.",
    ),
    "index with another checkpoint": (
        lambda scene: scene.index(model=another_checkpoint(scene), store=scene.store),
        r"The store at {store} was made with {checkpoint}, and a store has one checkpoint\. To use "
        r"{cwd}/other, index into another store \(--store\)\.",
    ),
    "query with another checkpoint": (
        lambda scene: ["query", "rain", "--model", "small", "--store", scene.store],
        r"The store at {store} was made with {checkpoint}, and only that checkpoint can search it\. To use "
        r"small, index into another store \(--store\)\.",
    ),
    "query with a checkpoint that can't be": (
        lambda scene: ["query", "rain", "--model", "medium", "--store", scene.store],
        r"There is no checkpoint 'medium': give builtin, small, base, large, a Hugging Face id .*, or a directory\.",
    ),
    "index with a changed checkpoint": (
        lambda scene: changed_checkpoint(scene, "index"),
        r"The checkpoint {checkpoint} has changed since the store was made \(revision \w+, now \w+\)\. "
        r"Index into another store \(--store\)\.",
    ),
    "query with a changed checkpoint": (
        lambda scene: changed_checkpoint(scene, "query"),
        r"The checkpoint {checkpoint} has changed since the store was made \(revision \w+, now \w+\)\. "
        r"Index into another store \(--store\)\.",
    ),
    "query with a checkpoint that is gone": (gone_checkpoint, r"There is no checkpoint directory {checkpoint}\."),
    "a checkpoint directory that is not there": (
        lambda scene: scene.index(model=scene.new),
        r"There is no checkpoint directory {new}\.",
    ),
    "a checkpoint of an unknown user": (
        lambda scene: scene.index(model="~no such user/checkpoint"),
        r"There is no checkpoint '~no such user/checkpoint': give .*",
    ),
    "a checkpoint name that can't be": (
        lambda scene: scene.index(model="medium"),
        r"There is no checkpoint 'medium': give builtin, small, base, large, a Hugging Face id .*, or a directory\.",
    ),
    "a folder that is no checkpoint": (
        lambda scene: scene.index(model=scene.sounds),
        r"{sounds} has no config\.json, so it isn't a Hugging Face checkpoint\.",
    ),
    "a checkpoint of another kind": (
        lambda scene: not_a_checkpoint(scene, model_type="clap"),
        r"{checkpoint} is a clap checkpoint; pe-search needs pe_audio or pe_audio_video\.",
    ),
    "a checkpoint in Meta's format": (
        lambda scene: not_a_checkpoint(scene, model_type=None),
        r"{checkpoint} is not in the Hugging Face format .* use the main revision\.",
    ),
    "a checkpoint without weights": (
        without_weights,
        r"{checkpoint} lacks model\.safetensors: only safetensors weights are loaded\.",
    ),
    "a checkpoint to be fetched without a network": (
        lambda scene: scene.index(model="small"),
        r"facebook/pe-av-small is not on this machine and the Hugging Face hub can't be reached\. With a "
        r"network, download it with `pe-search models --fetch facebook/pe-av-small`, or use `--model builtin`\.",
    ),
    "a revision to be fetched without a network": (
        lambda scene: scene.index("--revision", "v1", model="someone/sounds"),
        r"someone/sounds is not on this machine .* `pe-search models --fetch someone/sounds --revision v1`, or .*",
    ),
    "a revision of a directory": (
        lambda scene: scene.index("--revision", "main"),
        r"{checkpoint} is not on the Hugging Face hub and has no revisions; omit --revision\.",
    ),
    "a device that is not there": (
        lambda scene: scene.index("--device", "cuda"),
        r"This machine has no cuda device that torch can use\. Omit --device\.",
    ),
    "another window": (
        lambda scene: scene.index("--window", 2, store=scene.store),
        r"The store at {store} has windows of 1\.28 s every 0\.64 s\. To use others, index into another store .*",
    ),
    "another hop": (
        lambda scene: scene.index("--window", 1.28, "--hop", 1.28, store=scene.store),
        r"The store at {store} has windows of 1\.28 s every 0\.64 s\. To use others, index into another store .*",
    ),
    "an older store": (
        lambda scene: of_another_format(scene, 1),
        r"The store at {store} has format 1, which this pe-search can't read any more. Index again into a new store "
        r"\(--store\)\.",
    ),
    "a newer store": (
        lambda scene: of_another_format(scene, 1_000),
        r"The store at {store} has format 1000; this pe-search reads up to 6\. Upgrade pe-search\.",
    ),
    "a damaged manifest": (
        lambda scene: damaged(scene, "manifest.json", "query"),
        r"{store}/manifest\.json can't be read: .*",
    ),
    "a damaged catalog at query": (
        lambda scene: damaged(scene, "catalog.sqlite3", "query"),
        r"The catalog {store}/catalog\.sqlite3 is damaged: file is not a database\. `pe-search rebuild "
        r"--store {store}` saves what can still be read\.",
    ),
    "a damaged catalog at rebuild": (
        lambda scene: damaged(scene, "catalog.sqlite3", "rebuild"),
        r"Nothing can be saved from the catalog {store}/catalog\.sqlite3: file is not a database\. Delete the store, "
        r"and index again\.",
    ),
    "a damaged catalog at status": (
        lambda scene: damaged(scene, "catalog.sqlite3", "status"),
        r"The catalog {store}/catalog\.sqlite3 is damaged: file is not a database\. `pe-search rebuild "
        r"--store {store}` saves what can still be read\.",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_line_and_exit_status_2(run_cli, scene, name):
    ask, answer = ERRORS[name]
    args = ask(scene)
    places = {"cwd": Path.cwd(), **{key: getattr(scene, key) for key in ("new", "store", "sounds", "checkpoint")}}
    pattern = answer.format(**{key: re.escape(str(place)) for key, place in places.items()})

    outcome = run_cli(*args)

    assert (outcome.status, outcome.out) == (2, b"")
    assert re.fullmatch(f"pe-search: {pattern}\n", outcome.err), outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.err[:-1].isprintable()
    assert not scene.new.exists(), "an error makes no store"


def test_no_audio_is_one_line_and_exit_status_1_and_makes_no_store(run_cli, scene, tmp_path):
    (tmp_path / "empty\n").mkdir()
    (tmp_path / "empty\n" / "notes.txt").write_text("no audio, and no name of audio")
    write_audio(tmp_path / "empty\n" / ".hidden.wav", noise(0.1))
    outcome = run_cli("index", "empty\n", "--model", scene.checkpoint, "--store", scene.new)
    assert (outcome.status, outcome.out, outcome.err) == (1, b"", "pe-search: no audio files in empty\\n.\n")
    assert not scene.new.exists()


WRONG_CALLS = {
    "an unknown command": (["frobnicate"], "No such command 'frobnicate'."),
    "an unknown option": (["--frob"], "No such option '--frob'."),
    "an unknown option of a command": (["query", "rain", "--frob"], "No such option '--frob'."),
    "no path": (["label", "--labels", "rain"], "PATH: give a folder or a file, or --files-from."),
    "no text": (["query"], "Give a TEXT, --plus, --like, --words or --said. As TEXT, - reads standard input."),
    "an argument too many": (["status", "now"], "Got unexpected extra argument(s) (now)"),
    "no file to ask about": (["ask", "What is this?"], "Missing argument"),
    "an empty speech model": (["transcribe", "a.wav", "--speech-model", ""], "--speech-model: must not be empty."),
    "a part that ends before it starts": (["transcribe", "a.wav@5-3"], "PATH: "),
    "an option of speech without speech": (["index", "a", "--translate"], "--translate: requires --transcribe."),
    "to transcribe what is only planned": (
        ["index", "a", "--transcribe", "--dry-run"],
        "--transcribe: can't be used with --dry-run or --watch.",
    ),
    "an empty question": (["ask", " ", "a.wav"], "QUESTION: must not be empty."),
    "an empty text": (["query", "rain", " \n"], "TEXT: must not be empty."),
    "a text that is not UTF-8": (["query", "\udcff"], "TEXT: must be UTF-8."),
    "no hits": (["query", "rain", "-k", "0"], "-k: "),
    "half a hit": (["query", "rain", "-k", "1.5"], "-k: "),
    "an improbable probability": (["query", "rain", "--min-probability", "1.1"], "--min-probability: "),
    "a probability that is no number": (
        ["query", "x", "--min-probability", "nan"],
        "--min-probability: 'nan' must be a number from 0 to 1, such as 0.5.",
    ),
    "a false discovery rate above one": (["query", "rain", "--fdr", "1.5"], "--fdr: "),
    "a false discovery rate that is no number": (["query", "rain", "--fdr", "nan"], "--fdr: "),
    "a time that is none": (
        ["locate", "dog", "a.wav", "--join", "1:75"],
        "--join: '1:75' is not a time; write 90, 1:30",
    ),
    "a time too long": (
        ["query", "dog", "--spans", "--smooth", "1:01"],
        "--smooth: '1:01' must be at most 60 seconds.",
    ),
    "a reference to be held against texts": (
        ["query", "--like", "a.wav", "--fdr", "0.1"],
        "--fdr: can't be used with --like or --unlike.",
    ),
    "an unknown format": (["query", "rain", "--format", "xml"], "--format: "),
    "NUL bytes in CSV": (["query", "rain", "-0", "--format", "csv"], "-0 requires --format paths."),
    "an unknown format of the status": (["status", "--format", "yaml"], "--format: "),
    "a window too long": (["index", ".", "--window", "30.1"], "--window: "),
    "a window shorter than a frame": (["index", ".", "--window", "0.039"], "--window: "),
    "a window that is no number": (["index", ".", "--window", "nan"], "--window: "),
    "a hop too short": (["index", ".", "--hop", "0"], "--hop: "),
    "a hop longer than the window": (
        ["index", ".", "--window", "5", "--hop", "5.1"],
        "--hop: must not be longer than the window; some audio would be skipped.",
    ),
    "a hop longer than the window unless told": (
        ["index", ".", "--hop", "10.1"],
        "--hop: must not be longer than the window; some audio would be skipped.",
    ),
    "an unknown device": (["index", ".", "--device", "tpu"], "--device: "),
    "an unknown type": (["index", ".", "--dtype", "int8"], "--dtype: "),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_a_wrong_call_is_answered_with_one_line(run_cli, name):
    args, answer = WRONG_CALLS[name]
    outcome = run_cli(*args)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err.startswith(f"pe-search: {answer}")
    assert outcome.err.count("\n") == 1


def test_a_hop_longer_than_the_window_is_refused_before_anything_is_fetched(run_cli, scene):
    outcome = run_cli(*scene.index("--hop", 11, model="someone/sounds"))
    assert "must not be longer than the window" in outcome.err
    assert "Hugging Face" not in outcome.err


def test_an_error_of_the_system_is_one_line(run_cli, scene, monkeypatch):
    def fail(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device", "/some\x1b/file")

    monkeypatch.setattr("pe_search.store.Store.open", fail)
    outcome = run_cli("status", "--store", scene.store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == "pe-search: /some\\x1b/file: No space left on device\n"


def test_a_mistake_of_our_own_is_not_hidden(run_cli, scene, monkeypatch):
    def fail(*args: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pe_search.store.Store.open", fail)
    with pytest.raises(ZeroDivisionError):
        run_cli("status", "--store", scene.store)


@pytest.mark.parametrize("args", [["--help"], ["-h"]])
def test_help_names_every_command(run_cli, args):
    outcome = run_cli(*args)
    assert (outcome.status, outcome.err) == (0, "")
    commands = outcome.out.decode().split("Find:\n")[1]
    assert re.findall(r"^  (\w+)  ", commands, re.MULTILINE) == [
        "query",
        "locate",
        "label",
        "count",
        "duplicates",
        "evaluate",
        "ask",
        "describe",
        "transcribe",
        "learn",
        "judge",
        "words",
        "forget",
        "tune",
        "index",
        "list",
        "tag",
        "status",
        "relocate",
        "remove",
        "verify",
        "merge",
        "export",
        "rebuild",
        "page",
        "serve",
        "mcp",
        "models",
        "config",
        "help",
    ]


def test_no_arguments_are_answered_with_help_and_exit_status_2(run_cli):
    outcome = run_cli()
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err.rstrip("\n") == run_cli("--help").out.decode().rstrip("\n")


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(run_cli, option):
    outcome = run_cli(option)
    assert (outcome.status, outcome.out.decode(), outcome.err) == (0, f"pe-search {version('pe-search')}\n", "")


def test_python_m_pe_search_is_the_same_command(command, run_cli):
    for args in (["--version"], ["query", "--help"], ["status", "--store", "/nowhere"], ["--frob"]):
        done, outcome = command(*args), run_cli(*args)
        assert done.returncode == outcome.status
        # It calls itself what it was called, and help is broken into lines by the width of the terminal.
        for said, expected in ((done.stdout.decode(), outcome.out.decode()), (done.stderr.decode(), outcome.err)):
            assert said.replace("python -m pe_search", "pe-search").split() == expected.split()

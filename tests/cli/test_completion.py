"""What the shell is offered at Tab, by the protocol that Typer's scripts for bash, zsh and fish speak."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pe_search.cli.output.hits import HitFormat
from tests.cli.conftest import DEADLINE_S
from tests.cli.test_imports import HEAVY

HUB_NAMES = [f"facebook/pe-av-{size}{frames}" for frames in ("", "-16-frame") for size in ("small", "base", "large")]
FRAME_NAMES = [f"facebook/pe-a-frame-{size}" for size in ("small", "base", "large")]
SHELLS = ("bash", "zsh", "fish")

_PROGRAM = f"""#!{sys.executable}
import sys
from pe_search.cli.app import main
try:
    main()
finally:
    print(*set({sorted(HEAVY)}) & set(sys.modules), file=sys.stderr)
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working directory of a user whose home it is, with nothing in it, and the command on the path."""
    here, programs = tmp_path / "home", tmp_path / "programs"
    here.mkdir()
    programs.mkdir()
    (programs / "pe-search").write_text(_PROGRAM)
    (programs / "pe-search").chmod(0o755)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return here


OPENS_A_STORE = ("faiss", "msgspec", "numpy", "pathspec")


def asked(shell: str, typed: str, may_load: Sequence[str] = ()) -> str:
    """What a shell gets when Tab is pressed after a command line."""
    variables = {
        "bash": {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))},
        "zsh": {"_TYPER_COMPLETE_ARGS": typed},
        "fish": {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        ["pe-search"],
        env=os.environ | variables | {"_PE_SEARCH_COMPLETE": f"complete_{shell}"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    # Typer has rich make help texts plain for zsh and fish.
    assert set(done.stderr.split()) <= {"huggingface_hub", "rich", *may_load}
    return done.stdout


def offered(typed: str) -> list[str]:
    return [line for line in asked("bash", typed).splitlines() if line]


@pytest.mark.parametrize("typed", ["pe-search ", "pe-search index --model ", "pe-search query --format "])
def test_every_shell_is_offered_the_same(here, typed):
    values = offered(typed)
    assert len(values) > 1
    assert [line.split("\t")[0] for line in asked("fish", typed).splitlines()] == values
    in_zsh = shlex.split(asked("zsh", typed).replace('"', ""))[-1].removeprefix("*: :((").removesuffix("))")
    assert [line.split(":")[0] for line in in_zsh.splitlines()] == values


def test_commands_and_options_and_their_values_are_offered(here):
    assert offered("pe-search qu") == ["query"]
    assert offered("pe-search query --min-p") == ["--min-probability"]
    assert offered("pe-search query --format ") == [format_.value for format_ in HitFormat]


@pytest.mark.parametrize(
    "typed", ["index . --model", "label . --model", "query rain --model", "locate --frame-model", "query --frame-model"]
)
def test_checkpoints_are_offered(here, typed):
    hub = FRAME_NAMES if "frame" in typed else HUB_NAMES
    assert offered(f"pe-search {typed} ") == ["builtin", "small", "base", "large", *hub]


def test_only_checkpoints_that_begin_so_are_offered(here):
    assert offered("pe-search index --model b") == ["builtin", "base"]
    assert offered("pe-search index --model facebook/pe-av-s") == [HUB_NAMES[0], HUB_NAMES[3]]
    assert offered("pe-search index --model ./") == []


def test_so_are_those_that_are_in_the_cache_of_the_hub(here):
    for hub_id, config in {
        "facebook/pe-av-small": {"model_type": "pe_audio_video"},
        "someone/bird-sounds": {"model_type": "pe_audio"},
        "google/bert": {"model_type": "bert"},
        "someone/$(touch INJECTED)": {"model_type": "pe_audio"},
        "someone/half-fetched": None,
        "someone/damaged": [],
    }.items():
        snapshot = here.parent / "hub" / f"models--{hub_id.replace('/', '--')}" / "snapshots" / "0123abcd"
        snapshot.mkdir(parents=True)
        if config is not None:
            (snapshot / "config.json").write_text(json.dumps(config))
    assert offered("pe-search index --model ") == [
        *("builtin", "small", "base", "large"),
        *HUB_NAMES,
        "someone/bird-sounds",
    ]
    assert asked("fish", "pe-search index --model facebook/pe-av-small").splitlines() == [
        "facebook/pe-av-small\ton this machine",
        "facebook/pe-av-small-16-frame\ton the Hugging Face hub",
    ]


@pytest.mark.parametrize("typed", ["status --store ", "merge ", "index ", "index --model ./"])
def test_names_of_files_and_folders_are_left_to_the_shell(here, typed):
    (here / "birds.store").mkdir()
    assert asked("bash", f"pe-search {typed}") == "\n"
    assert asked("zsh", f"pe-search {typed}") == "_files\n"
    assert asked("fish", f"pe-search {typed}") == "\n"


def in_bash(script: str) -> list[str]:
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("installs", [False, True], ids=["show", "install"])
def test_the_script_for_bash_completes_in_bash(here, installs):
    if installs:
        # The colon keeps bash there, as the shell that it is for.
        said = in_bash("pe-search --install-completion; :")
        assert said[0] == f"bash completion installed in {here}/.bash_completions/pe-search.sh"
        set_up = (here / ".bashrc").read_text()
    else:
        set_up = 'script=$(pe-search --show-completion); eval "$script"'
    press_tab = "COMP_WORDS=(pe-search index --model bu); COMP_CWORD=3; _pe_search_completion pe-search"
    report = 'complete -p pe-search; printf "%s\\n" "${COMPREPLY[@]}"'
    assert in_bash(f"{set_up}\n{press_tab}\n{report}") == [
        "complete -o default -F _pe_search_completion pe-search",
        "builtin",
    ]


@pytest.fixture
def words(here, library, run_cli, monkeypatch) -> Path:
    """A store with three words, one of which a shell could see more in than its letters."""
    store = here / "words.store"
    shutil.copytree(library.store, store)
    for word in ("@dog", "@donkey", "@été"):
        assert run_cli("learn", word, "--text", "rain", "--store", store).status == 0
    return store


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("query @", ["@dog", "@donkey"]),
        ("query rain @don", ["@donkey"]),
        ("query rain --plus 0.5:@do", ["0.5:@dog", "0.5:@donkey"]),
        ("query rain --minus @dog", ["@dog"]),
        ("count @x", []),
        ("label . --labels rain,@dog,@do", ["rain,@dog,@dog", "rain,@dog,@donkey"]),
        ("judge rain --word @do", ["@dog", "@donkey"]),
        ("forget @do", ["@dog", "@donkey"]),
        ("learn @do", ["@dog", "@donkey"]),
    ],
)
def test_learned_words_are_offered_after_an_at(words, monkeypatch, typed, values):
    monkeypatch.setenv("PE_SEARCH_STORE", str(words))
    fish = asked("fish", f"pe-search {typed}", OPENS_A_STORE).splitlines()
    assert [line.split("\t")[0] for line in fish if line] == values
    if values:
        assert {line.split("\t")[1] for line in fish} == {"0 yes, 0 no"}
    zsh = asked("zsh", f"pe-search {typed}", OPENS_A_STORE)
    assert all(f'"{value}"'.replace(":", r"\\:") in zsh for value in values)
    bash = asked("bash", f"pe-search {typed}", OPENS_A_STORE).splitlines()
    assert [line for line in bash if line] == values


def test_they_are_those_of_the_store_that_was_typed(words):
    assert asked("fish", f"pe-search query --store {words} @dog", OPENS_A_STORE) == "@dog\t0 yes, 0 no\n"
    assert asked("fish", "pe-search query --store ./none @", OPENS_A_STORE) == "\n"
    # What is no word is left to the shell.
    assert asked("zsh", f"pe-search query --store {words} do") == "_files\n"


def test_bash_takes_a_word_apart_and_gets_it_whole(words, monkeypatch):
    monkeypatch.setenv("PE_SEARCH_STORE", str(words))
    set_up = 'script=$(pe-search --show-completion); eval "$script"'
    for parts, number in (("query @ don", 3), ("query @ dog @ don", 5), ("query --plus @ don", 4)):
        press_tab = f"COMP_WORDS=(pe-search {parts}); COMP_CWORD={number}; _pe_search_completion pe-search"
        assert in_bash(f'{set_up}\n{press_tab}\nprintf "%s\\n" "${{COMPREPLY[@]}}"') == ["@donkey"]

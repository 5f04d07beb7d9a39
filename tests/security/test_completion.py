"""Tab in a folder whose names come from someone else, in the shells themselves: nothing in a name is run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal, _plain_terminal, terminal  # noqa: F401

# Each would make a file if a shell ran what is in it.
NAMES = (
    "x$(touch INJECTED)",
    "x`touch INJECTED`",
    "x;touch INJECTED;",
    "x\ntouch INJECTED\n",
    'x"$(touch INJECTED)"',
    "x'$(touch INJECTED)'",
    "x&touch INJECTED&",
    "x|touch INJECTED",
    "x(touch INJECTED)",
    "x\\$(touch INJECTED)",
    "x$(touch\tINJECTED)",
    "x<(touch INJECTED)",
    "x${:-`touch INJECTED`}",
    "x:'$(touch INJECTED)'",
)
STARTS = {
    "bash": (
        ["--norc", "-i"],
        'PS1=READY; bind "set enable-bracketed-paste off"; eval "$(_PE_SEARCH_COMPLETE=source_bash pe-search)"',
    ),
    "zsh": (
        ["-f", "-i"],
        "PS1=READY; unset zle_bracketed_paste; autoload -Uz compinit; compinit -D -u;"
        ' eval "$(_PE_SEARCH_COMPLETE=source_zsh pe-search)"',
    ),
    "fish": (
        ["--no-config", "-i"],
        "function fish_prompt; printf READY; end; _PE_SEARCH_COMPLETE=source_fish pe-search | source",
    ),
}
_PROGRAM = f"#!{sys.executable}\nfrom pe_search.cli.app import main\nmain()\n"
_TAB, _DROP_LINE = b"\t", b"\x15"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and home with folders of such names, which look like stores, and the command on the path."""
    folder, programs = tmp_path / "folder", tmp_path / "programs"
    programs.mkdir()
    (programs / "pe-search").write_text(_PROGRAM)
    (programs / "pe-search").chmod(0o755)
    folder.mkdir()
    for name in NAMES:
        (folder / name).mkdir()
        (folder / name / "manifest.json").write_text("{}")
        (folder / name / "catalog.sqlite3").write_text("")
        # As the cache of the hub has them.
        snapshot = tmp_path / "hub" / f"models--x--{name}" / "snapshots" / "0"
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text(json.dumps({"model_type": "pe_audio"}))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return folder


@pytest.fixture(params=STARTS)
def shell(request: pytest.FixtureRequest, terminal: Callable[..., Terminal]) -> Terminal:  # noqa: F811
    """A shell that has the completion of pe-search, and shows READY when it waits for a line."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    arguments, set_up = STARTS[request.param]
    shell = terminal([program, *arguments])
    shell.press(set_up.encode() + b"; printf 'SET%s' UP\n")
    shell.read_until(lambda shown: b"SETUP" in shown and shown.rpartition(b"SETUP")[2].count(b"READY"))
    return shell


def ask(shell: Terminal, keys: bytes) -> str:
    """What is shown once Tab was pressed after some keys, and the line was then dropped."""
    before = len(shell.shown)
    shell.press(keys + b"Q")
    # The shell shows the last key only when it is done with those before.
    shell.read_until(lambda shown: b"Q" in shown[before:])
    answer = shell.shown[before:]
    shell.press(_DROP_LINE)
    before = len(shell.shown)
    shell.press(b"printf 'DO%s' NE\n")
    shell.read_until(lambda shown: b"DONE" in shown[before:])
    return answer.decode(errors="replace")


@pytest.mark.parametrize(
    "line", ["pe-search status --store x", "pe-search merge x", "pe-search index x", "pe-search index --model x/x"]
)
def test_tab_runs_nothing(folder, shell, line):
    for tabs in (1, 3):
        ask(shell, line.encode() + _TAB * tabs)
    assert not [*folder.rglob("INJECTED")]


def test_a_store_is_completed_by_the_shell(folder, shell):
    (folder / "plain.store").mkdir()
    assert "plain.store" in ask(shell, b"pe-search status --store pl" + _TAB)

"""The README tells the truth: its commands run, and its tables name every command and option."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pe_search.cli.app import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Each command with the lines that are shown to come of it.
SESSIONS = [
    [
        (command.split("   #")[0].strip(), shown.rstrip("\n"))
        for command, _, shown in (turn.partition("\n") for turn in re.split(r"(?m)^\$ ", block)[1:])
    ]
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
]
# These set up an environment of their own; `make test` is what runs this test, and the others have tests below.
ELSEWHERE = re.compile(r"pipx? install|make (demo|test)")
COMMANDS = [
    command
    for command in dict.fromkeys(command for session in SESSIONS for command, _ in session)
    if not ELSEWHERE.match(command)
]
TRANSCRIPT = [(command, shown) for session in SESSIONS for command, shown in session if shown]
# What ends with status 1, because among the example sounds there is no such thing.
FINDS_NOTHING = {
    "pe-search status --problems",
    "pe-search duplicates ./sounds/drums --threshold 0.98",
    'pe-search locate "dog barking" --then "church bell" --within 5 sounds/field-recording.flac',
    'pe-search query "rain" -0 | pe-search locate "thunder" --files-from -',
}


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A user's home with some sounds, indexed as the README begins, and what was said to that."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(ROOT / "examples" / "sounds", home / "sounds")
    (home / "picks").mkdir()
    for folder in ("Samples", "Recordings/2024"):
        (home / folder).mkdir(parents=True)
        shutil.copy(home / "sounds" / "weather" / "rain.flac", home / folder)
    first = run("pe-search index ./sounds", home)
    assert first.returncode == 0, first.stderr
    # As a command further down does, so that in any order all others find the same.
    assert run("pe-search index ~/Recordings/2024", home).returncode == 0
    return home, first.stderr


@pytest.fixture(scope="module")
def home(first_run: tuple[Path, str]) -> Path:
    return first_run[0]


def run(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line in bash, with `pe-search` being this one."""
    binaries = home / "bin"
    if not binaries.exists():
        binaries.mkdir()
        script = binaries / "pe-search"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pe_search "$@"\n')
        script.chmod(0o755)
    environment = os.environ | {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "80",
    }
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command, home):
    for tool in ("jq", "xargs"):
        if re.search(rf"\| {tool}\b", command) and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    result = run(command, home)
    assert result.returncode == (command in FINDS_NOTHING), result.stderr
    assert "Traceback" not in result.stderr


def test_what_is_said_to_find_nothing_is_in_the_readme():
    assert set(COMMANDS) >= FINDS_NOTHING


@pytest.mark.slow
def test_the_transcript_is_honest(first_run):
    home, said = first_run
    assert [command.split()[1] for command, _ in TRANSCRIPT] == ["index", "query", "query"]
    for command, told in TRANSCRIPT:
        shown = said if command.split()[1] == "index" else run(f"{command} --format table", home).stdout
        assert but_for_the_machine(shown.replace(str(home), "~")) == but_for_the_machine(told)


def but_for_the_machine(text: str) -> list[str]:
    """The lines of a text without what another machine may say otherwise: how long it took, on what, in what."""
    return [re.sub(r" in [\d.,]+ s on \w+ in \w+,", ",", line).rstrip() for line in text.splitlines()]


@pytest.mark.slow
def test_make_demo_runs_once_it_is_set_up(tmp_path):
    result = subprocess.run(
        [
            "make",
            "demo",
            "-o",
            "venv/installed",
            "VENV=venv",
            f"BIN={Path(sys.executable).parent}",
            f"DEMO_STORE={tmp_path / 'demo'}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for expected in ("dog-barking.flac", "rain.flac", "church-bell.flac"):
        assert expected in result.stdout


@pytest.mark.slow
def test_the_installed_package_is_complete(tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(tmp_path), str(ROOT)], check=True, capture_output=True)
    script = "import pe_search, pathlib; print(pathlib.Path(pe_search.__file__).parent)"
    installed = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert installed == str(tmp_path / "pe_search")
    names = {path.name for path in (tmp_path / "pe_search" / "pe_audio" / "builtin").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "ATTRIBUTION.txt"} <= names
    assert (tmp_path / "bin" / "pe-search").is_file()


def test_every_command_and_option_is_in_the_readme():
    group = typer.main.get_command(app)
    missing = []
    for name, command in group.commands.items():
        if f"`pe-search {name}" not in README:
            missing.append(name)
        for parameter in command.params:
            missing += [option for option in parameter.opts if option.startswith("-") and f"`{option}" not in README]
    assert [option for option in missing if option not in ("--help", "-h")] == []


def test_files_that_the_readme_links_to_are_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []

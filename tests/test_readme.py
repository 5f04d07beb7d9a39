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
SESSIONS = [
    [line.removeprefix("$ ").split("   #")[0].strip() for line in block.splitlines() if line.startswith("$ ")]
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
]
# These set up an environment of their own; `make test` is what runs this test, and the others have tests below.
ELSEWHERE = re.compile(r"pipx? install|make (demo|test)")
COMMANDS = [command for session in SESSIONS for command in session if not ELSEWHERE.match(command)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's home with some sounds, indexed as the README begins."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(ROOT / "examples" / "sounds", home / "sounds")
    (home / "picks").mkdir()
    for folder in ("Samples", "Recordings/2024"):
        (home / folder).mkdir(parents=True)
        shutil.copy(home / "sounds" / "weather" / "rain.flac", home / folder)
    assert run("pe-search index ./sounds", home).returncode == 0
    return home


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
        "XDG_DATA_HOME": str(home / "data"),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
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
    # 1 is "nothing found", which is an answer too; 2 would be an error.
    assert result.returncode in (0, 1), result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_the_transcript_is_honest(home):
    transcript = re.search(r"```console\n(.*?)```", README, re.DOTALL).group(1)
    told = re.findall(r"(\S+\.flac)", transcript)
    shown = []
    for command in SESSIONS[0]:
        if command.startswith("pe-search query"):
            shown += re.findall(r"(\S+\.flac)", run(f"{command} --format table", home).stdout)
    assert told == shown


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

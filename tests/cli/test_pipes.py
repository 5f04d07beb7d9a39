"""The real command among other programs: xargs, head, pipes that close early, streams that are not there."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import DEADLINE_S, ODD_NAMES
from tests.made_up import noise, write_audio


@pytest.fixture
def bash(library):
    """Run a line of bash in which `pe-search` is the command, and `$STORE` and `$SOUNDS` are the library's."""

    def run(line: str, **names: object) -> subprocess.CompletedProcess[bytes]:
        script = f'set -o pipefail\npe-search() {{ {shlex.quote(sys.executable)} -m pe_search "$@"; }}\n{line}\n'
        environment = os.environ | {"STORE": str(library.store), "SOUNDS": str(library.sounds)}
        environment |= {name: str(value) for name, value in names.items()}
        return subprocess.run(
            ["bash", "-c", script], env=environment, capture_output=True, timeout=DEADLINE_S, check=False
        )

    return run


@pytest.fixture
def closed_pipe():
    """The writing end of a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_xargs_copies_files_of_any_name_from_a_store_of_any_name(bash, library, tmp_path):
    picks, store = tmp_path / "picks", tmp_path / os.fsdecode(b"\xfe\x1b\n")
    picks.mkdir()
    store.symlink_to(library.store)
    done = bash(
        'pe-search query rain -k 100 -0 --under "$SOUNDS/odd" --store "$STORE" | xargs -0 cp -t "$PICKS"',
        PICKS=picks,
        STORE=store,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    copied = {os.fsencode(path.name): path.read_bytes() for path in picks.iterdir()}
    # One of the names has a slash in it, so that it is a file in a folder.
    assert copied == {
        name.split(b"/")[-1]: (library.sounds / "odd" / os.fsdecode(name)).read_bytes() for name in ODD_NAMES
    }


def test_head_takes_what_it_wants_and_nobody_complains(bash):
    # So many queries that the answers don't fit in a pipe, which makes the writing end fail for certain.
    done = bash(
        'pe-search query $(printf "word%s " {1..400}) -k 100 --format jsonl --store "$STORE" | head -1; '
        'echo "${PIPESTATUS[*]}"'
    )
    first, statuses = done.stdout.splitlines()
    assert first.startswith(b'{"query": "word1", "rank": 1, ')
    assert statuses == b"0 0"
    assert done.stderr == b""


def test_a_table_into_a_closed_pipe_is_silent(command, library, closed_pipe):
    done = command("query", "rain", "--format", "table", "--store", library.store, stdout=closed_pipe)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("args", [["status"], ["status", "--format", "json"], ["query", "--help"]])
def test_anything_short_into_a_closed_pipe_is_silent(command, library, closed_pipe, monkeypatch, args):
    monkeypatch.setenv("PE_SEARCH_STORE", str(library.store))
    done = command(*args, stdout=closed_pipe)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_is_one_line(command, library):
    with Path("/dev/full").open("wb") as full:
        done = command("status", "--store", library.store, stdout=full)
    assert (done.returncode, done.stderr) == (2, b"pe-search: No space left on device\n")


def test_a_closed_stdout_loses_nothing_in_silence(bash, library):
    done = bash(
        'pe-search status --store "$STORE" >&-; echo $?\n'
        'pe-search list --store "$STORE" >&-; echo $?\n'
        "pe-search --version >&-; echo $?\n"
    )
    assert done.stdout.decode().split() == ["2", "2", "2"]
    assert done.stderr == b"pe-search: standard output is closed\n" * 3


def test_streams_that_the_shell_closed_are_done_without(bash, library, tmp_path, plain_checkpoint):
    write_audio(tmp_path / "a.wav", noise(0.2))
    done = bash(
        "pe-search status --store /nowhere 2>&-; echo $?\n"
        'pe-search index "$CLIP" --model "$MODEL" --store "$NEW" <&- >&- 2>&-; echo $?\n'
        'pe-search status --store "$NEW" | grep ^clips; echo $?',
        CLIP=tmp_path / "a.wav",
        MODEL=plain_checkpoint[0],
        NEW=tmp_path / "store",
    )
    assert done.stdout.decode().split() == ["2", "0", "clips", "1", "0"]
    assert done.stderr == b""


def test_indexing_goes_on_when_nobody_reads_its_messages(command, run_cli, tmp_path, plain_checkpoint, closed_pipe):
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "bad.wav").write_text("no audio")
    write_audio(tmp_path / "sounds" / "good.wav", noise(0.2))
    args = ("index", tmp_path / "sounds", "--model", plain_checkpoint[0], "--store", tmp_path / "store")
    done = command(*args, stderr=closed_pipe)
    assert (done.returncode, done.stdout) == (2, b"")
    outcome = run_cli("query", "rain", "--store", tmp_path / "store")
    assert outcome.out == bytes(tmp_path) + b"/sounds/good.wav\n"


def test_a_narrow_encoding_costs_characters_and_not_the_answer(command, library, tmp_path, monkeypatch):
    (tmp_path / "ünï雨").symlink_to(library.store)
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    done = command("status", "--store", tmp_path / "ünï雨")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[0] == b"store       " + bytes(tmp_path) + b"/\xfcn\xef\\u96e8"


def test_a_text_that_is_no_text_is_refused(command, library):
    done = command("query", b"\xff", "--store", library.store)
    assert done.returncode == 2
    assert done.stderr == b"pe-search: TEXT: must be UTF-8.\n"

"""`pe-search index --watch`, as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import DEADLINE_S
from tests.made_up import noise, write_audio


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a server's socket."""
    with tempfile.TemporaryDirectory(prefix="pe-", dir="/tmp") as name:
        (Path(name) / "sounds").mkdir()
        yield Path(name)


@pytest.fixture
def watching(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pe_search", "index", "sounds", "--watch", "--store", "./store", *options]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"XDG_RUNTIME_DIR": str(folder)},
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
        return process

    # A line that never comes ends a test, and not the patience of whoever runs it.
    timer = threading.Timer(DEADLINE_S, lambda: [process.kill() for process in processes])
    timer.start()
    yield start
    timer.cancel()
    for process in processes:
        process.kill()
        process.communicate(timeout=DEADLINE_S)


def line_with(process: subprocess.Popen[str], part: str) -> str:
    """The next line that has a part, of what a process says."""
    assert process.stderr is not None
    for line in process.stderr:
        if part in line:
            return line
    raise AssertionError(f"it ended without {part!r}")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_store_follows_until_it_is_stopped(folder, watching, number):
    write_audio(folder / "sounds" / "a.wav", noise(0.1))
    process = watching()
    line_with(process, "1 clip embedded")
    assert line_with(process, "Watching") == "Watching for changes. Ctrl-C ends it.\n"
    write_audio(folder / "sounds" / "b.wav", noise(0.1, seed=1))
    said = line_with(process, "embedded")
    assert said.startswith("1 clip embedded (1 window, 0.00 hours) on cpu in float32, 1 unchanged, 0 removed")
    (folder / "sounds" / "bad.wav").write_bytes(b"bad")
    assert "bad.wav: can't be" in line_with(process, "bad.wav")
    process.send_signal(number)
    assert process.wait(DEADLINE_S) == 0


@pytest.mark.slow
def test_it_serves_at_the_same_time(folder, watching):
    write_audio(folder / "sounds" / "a.wav", noise(0.1))
    process = watching("--serve")
    line_with(process, "Ready for queries")
    assert list((folder / "pe-search").glob("*.socket"))
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 0
    assert not list((folder / "pe-search").glob("*.socket"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--watch", "--dry-run"], "--dry-run: can't be used with --watch."),
        (["--watch", "--prune"], "--prune: can't be used with --watch."),
        (["--watch", "--workers", "ray"], "--workers: can't be used with --watch."),
        (["--workers", "spark"], "--workers: 'spark' is not local, ray or HOST:PORT."),
        (["--workers", "ray://host:10001"], "--workers: Ray Data doesn't work over ray://. Run this on a machine"),
        (["--worker-cpus", "2"], "--worker-cpus: requires --workers ray."),
        (["--watch", "--files-from", "list"], "--files-from: can't be used with --watch."),
        (["--serve"], "--serve: requires --watch; to serve alone, use `pe-search serve`."),
    ],
)
def test_options_that_do_not_go_together(options, said, run_cli, tmp_path):
    outcome = run_cli("index", tmp_path, *options)
    assert outcome.status == 2
    assert said in outcome.err

"""What a reader has seen of a run that is then killed stays in the store, whoever reads it meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from threading import Event, Thread

import numpy as np
import pytest

from pe_search.errors import StoreError
from pe_search.queries import Query, Request
from pe_search.records import Problem
from pe_search.serving.asking import ask
from pe_search.serving.place import socket_path
from pe_search.store import Store
from pe_search.store.files import HOLDER_FILE
from tests.faults.conftest import DIMENSION, Scene, clips_embedded, contents, file_kinds
from tests.faults.warm import DEADLINE_S, Warm

pytestmark = pytest.mark.slow

Window = tuple[Path, float, float]

READERS = 2
ALL = 1_000
# So many runs into one store are killed before one is left alone.
KILLS_IN_A_ROW = 3


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    return 200 if request.config.getoption("--all-faults") else 6


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for sockets that no other test has, with a path short enough for them."""
    with tempfile.TemporaryDirectory(prefix="pe-", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.fixture
def ask_server(drums: Scene, runtime: Path, tmp_path: Path) -> Iterator[Callable[[], set[Window]]]:
    """Ask a server, which runs as long as the test does, for all windows of the store; none if it doesn't answer."""
    store = Path(shutil.copytree(drums.store, tmp_path / "store"))
    request = Request((Query(("rain",)),), ALL, all_windows=True)
    problems: list[Problem] = []
    argv = [sys.executable, "-m", "pe_search", "serve", "--store", str(store)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        try:
            ready = server.stderr.readline()
            assert ready.startswith("Ready for queries to the store at "), ready
            socket = socket_path(runtime / "pe-search", store)
            yield lambda: {
                (hit.path, hit.start_s, hit.end_s) for hits in ask(socket, request, problems.append) for hit in hits
            }
            assert server.poll() is None
        finally:
            server.kill()
    assert problems == []


class Readers:
    """Threads that read a store again and again while somebody writes to it.

    Args:
        store: The store.
        reads: Ways to read all of its windows.
        enough: At so many windows the writer is killed.
    """

    def __init__(self, store: Path, reads: list[Callable[[], set[Window]]], enough: int) -> None:
        self.seen: set[Window] = set()
        self.errors: list[str] = []
        self._store = store
        self._enough = enough
        self._is_over = Event()
        self._threads = [Thread(target=self._read, args=(read,)) for read in reads]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)

    def _read(self, read: Callable[[], set[Window]]) -> None:
        before: set[Window] = set()
        while not self._is_over.is_set():
            try:
                found = read()
            except (StoreError, AssertionError) as error:
                self.errors.append(str(error))
                return
            if found:
                if not before <= found:
                    self.errors.append(f"{len(before - found)} windows that were there are gone")
                before = found
                self.seen |= found
                if len(found) >= self._enough:
                    self._kill_writer()

    def _kill_writer(self) -> None:
        try:
            writer = int((self._store / HOLDER_FILE).read_text(encoding="ascii"))
            os.kill(writer, signal.SIGKILL)
        except (OSError, ValueError):
            pass  # it has ended


def windows_in(store: Path) -> set[Window]:
    with Store.open(store) as opened:
        matches = opened.finder.best_matches(np.ones(DIMENSION, np.float32), ALL, all_windows=True).best
        found = {(match.path, match.start_s, match.end_s) for match in matches}
        assert len(found) == len(matches), "a window is there twice"
        return found


def test_what_readers_saw_of_a_run_that_is_killed_stays(
    warm: Warm, drums: Scene, few_clips: Scene, ask_server: Callable[[], set[Window]], kills: int, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    random = Random(7)
    reads = [ask_server, *[lambda: windows_in(store)] * READERS]
    killed = in_a_row = 0
    held = drums.whole
    assert ask_server() == held.windows.keys()
    while killed < kills:
        # From the first commit of this run to the last but one.
        enough = random.randrange(len(held.windows) + 1, len(few_clips.whole.windows))
        with Readers(store, reads, enough) as readers:
            ended = warm.run(*few_clips.command, "--store", store)
        assert readers.errors == []
        after = contents(store, tmp_path)
        assert readers.seen <= after.windows.keys()
        assert after.has_all_of(held)
        assert ask_server() == after.windows.keys()
        is_whole = after.clips == few_clips.whole.clips
        if ended.is_killed:
            assert len(readers.seen) > len(held.windows)
            killed += 1
            in_a_row += 1
        held = after
        if ended.is_killed and in_a_row < KILLS_IN_A_ROW and len(held.windows) + 1 < len(few_clips.whole.windows):
            continue
        again = warm.run(*few_clips.command, "--store", store)
        assert again.status == 0, again.err
        assert clips_embedded(again) == few_clips.clips - len(held.clips)
        assert is_whole or ended.is_killed
        finished = contents(store, tmp_path)
        assert finished.has_all_of(held)
        assert finished.is_as(few_clips.whole)
        assert file_kinds(store) == file_kinds(few_clips.store)
        shutil.rmtree(store)
        shutil.copytree(drums.store, store)
        held, in_a_row = drums.whole, 0

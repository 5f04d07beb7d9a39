"""A real Ray runtime on this machine: the same store as without one, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from pe_search.directories import store_at
from pe_search.store import Store
from tests.made_up import noise, write_audio

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]

# Workers write often, so that there is much to be in the middle of.
COMMAND = (
    "from pe_search.tasks import indexing; indexing.COMMIT_EVERY_S = 0.2; from pe_search.cli.app import main; main()"
)
TIMEOUT_S = 900.0


@dataclass
class Runtime:
    """A Ray runtime.

    Attributes:
        address: Where it is.
        raylet: The process whose children its workers are.
    """

    address: str
    raylet: int

    def workers(self) -> list[int]:
        """The processes that embed, or are about to."""
        found = []
        for process in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if process.name.isdecimal() and b"ray::MapWorker" in (process / "cmdline").read_bytes():
                    fields = (process / "stat").read_text("ascii", "replace").rsplit(")", 1)[1].split()
                    found += [int(process.name)] if int(fields[1]) == self.raylet else []
        return found


@pytest.fixture(scope="session")
def runtime() -> Iterator[Runtime]:
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.head"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as head:
        assert head.stdout is not None
        address, raylet = next(line for line in head.stdout if ":" in line).split()
        yield Runtime(address, int(raylet))
        head.communicate(timeout=TIMEOUT_S)


@pytest.fixture(scope="session")
def sounds(tmp_path_factory) -> Path:
    """Long clips and short ones, copies, and what can't be read."""
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(6):
        write_audio(folder / f"long {number}.wav", noise(80.0, seed=number))
    for number in range(40):
        write_audio(folder / f"short {number}.flac", noise(1.0 + number % 3, seed=100 + number), subtype="PCM_16")
    (folder / "copy.wav").write_bytes((folder / "long 1.wav").read_bytes())
    (folder / "broken.wav").write_bytes(b"RIFF nothing")
    cut = write_audio(folder / "cut.wav", noise(30.0, seed=7)).read_bytes()
    (folder / "cut.wav").write_bytes(cut[: len(cut) // 2])
    return folder


def start(store: Path | str, sounds: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "index", str(sounds), "--store", str(store), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
    )


def index(store: Path | str, sounds: Path, *options: str) -> tuple[int, list[str]]:
    """Exit status of a run, and what it says on stderr."""
    run = start(store, sounds, *options)
    _, said = run.communicate(timeout=TIMEOUT_S)
    return run.returncode, said.splitlines()


def held(directory: Path) -> tuple[dict[Any, Any], Any, Any, Any, dict[Any, Any]]:
    with Store.open(directory) as store:
        clips, vectors = {}, {}
        for clip, content in store.embedded_clips():
            clips[clip] = (content.digest, [*content.times], content.missing, content.facts)
            vectors[clip.path] = content.embeddings
        return clips, store.catalog.left_out(), store.catalog.incomplete(), store.catalog.digests(), vectors


def assert_same(one: Path, other: Path) -> None:
    *known, vectors = held(one)
    *known_there, vectors_there = held(other)
    assert known_there == known
    for path, embeddings in vectors.items():
        np.testing.assert_allclose(vectors_there[path], embeddings, rtol=0, atol=1e-5)


@pytest.fixture(scope="session")
def undisturbed(sounds, tmp_path_factory) -> tuple[Path, list[str]]:
    """A store that one process made, and what it said."""
    store = tmp_path_factory.mktemp("here") / "store"
    status, said = index(store, sounds)
    assert status == 2
    return store, said


def problems(said: Sequence[str]) -> list[str]:
    return sorted(line for line in said if line.startswith("pe-search: "))


def test_a_run_on_ray_ends_as_one_in_this_process(runtime, sounds, undisturbed, tmp_path):
    store, said_here = undisturbed
    status, said = index(tmp_path / "store", sounds, "--workers", runtime.address)
    assert status == 2
    assert_same(store, tmp_path / "store")
    assert problems(said) == problems(said_here)
    # Ray says nothing.
    assert len(said) == len(said_here)
    assert said[-1].startswith("47 clips embedded (") and "Ray worker" in said[-1]
    assert not (tmp_path / "store" / "pieces").exists()
    again, said = index(tmp_path / "store", sounds, "--workers", runtime.address)
    assert again == 0 and said[-1].startswith("0 clips embedded (0 windows, 0.00 hours)")


def test_ray_of_its_own_is_started_and_gone_afterwards(sounds, undisturbed, tmp_path):
    store, _ = undisturbed
    status, said = index(tmp_path / "store", sounds, "--workers", "ray")
    assert status == 2, said
    assert_same(store, tmp_path / "store")


@pytest.mark.parametrize("by_ray", [False, True], ids=["local", "ray"])
def test_a_store_in_milvus_is_the_same_however_it_is_filled(
    runtime, sounds, undisturbed, tmp_path, monkeypatch, by_ray
):
    pytest.importorskip("milvus_lite", reason="Milvus Lite is not installed")
    monkeypatch.setenv("PE_SEARCH_CACHE", str(tmp_path / "cache"))
    store = f"milvus:{tmp_path}/store.db"
    status, said = index(store, sounds, *(("--workers", runtime.address) if by_ray else ()))
    assert status == 2, said
    assert_same(undisturbed[0], store_at(store))


def pieces_of(store: Path) -> int:
    """How many windows workers have written that are not committed."""
    total = 0
    # The run deletes what it has committed meanwhile.
    with suppress(FileNotFoundError):
        for path in (store / "pieces").rglob("*.npz"):
            first, stop = path.stem.split("-")[:2]
            total += int(stop) - int(first)
    return total


def moments(run: subprocess.Popen[str]) -> Iterator[None]:
    """Now and then, as long as a run lasts."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while run.poll() is None:
        assert time.monotonic() < deadline_s, "the run hangs"
        yield
        with suppress(subprocess.TimeoutExpired):
            run.wait(0.05)


def test_workers_that_are_killed_at_any_moment_change_nothing(runtime, sounds, undisturbed, tmp_path, request):
    random = Random(3)
    wanted, killed, tries = 20 if request.config.getoption("--all-faults") else 4, 0, 0
    while killed < wanted:
        tries += 1
        assert tries <= wanted
        store = tmp_path / f"store {tries}"
        run = start(store, sounds, "--workers", runtime.address)
        seen = -1
        for _ in moments(run):
            written = pieces_of(store)
            # After some progress, so that it is chance that kills a worker and not what it reads.
            if written != seen and killed < wanted and random.random() < 0.15:
                for worker in random.sample(runtime.workers(), 1) if runtime.workers() else ():
                    os.kill(worker, signal.SIGKILL)
                    killed, seen = killed + 1, written
        said = run.communicate(timeout=TIMEOUT_S)[1].splitlines()
        assert run.returncode == 2, said
        assert problems(said) == problems(undisturbed[1])
        assert_same(undisturbed[0], store)


def test_runs_that_are_killed_go_on_where_they_were(runtime, sounds, undisturbed, tmp_path, request):
    random = Random(4)
    store, before = tmp_path / "store", 0
    for _ in range(10 if request.config.getoption("--all-faults") else 3):
        run = start(store, sounds, "--workers", runtime.address)
        more, runs = random.randrange(1, 12), set((store / "pieces" / "runs").glob("*"))
        for _ in moments(run):
            # Once it has taken in what the last one left.
            if set((store / "pieces" / "runs").glob("*")) - runs and pieces_of(store) >= more:
                run.kill()
        run.communicate()
        with Store.open(store) as opened:
            now = opened.catalog.window_count()
        assert now >= before
        before = now
    status, _ = index(store, sounds, "--workers", runtime.address)
    assert status in (0, 2)
    assert_same(undisturbed[0], store)
    assert before > 0 and not (store / "pieces").exists()


def test_an_interrupted_run_keeps_what_was_embedded(runtime, sounds, undisturbed, tmp_path, request):
    number = signal.SIGTERM if request.config.getoption("--all-faults") else signal.SIGINT
    store = tmp_path / "store"
    run = start(store, sounds, "--workers", runtime.address)
    for _ in moments(run):
        if pieces_of(store) >= 12:
            run.send_signal(number)
            break
    said = run.communicate(timeout=TIMEOUT_S)[1].splitlines()
    assert run.returncode == 130, said
    assert said[-1].startswith("Interrupted. ") and said[-1].endswith("run the same command to go on.")
    with Store.open(store) as opened:
        assert opened.catalog.window_count() >= 12
    assert not (store / "pieces").exists()
    status, _ = index(store, sounds)
    assert status in (0, 2)
    assert_same(undisturbed[0], store)


PROGRAM = """
import logging, os, resource, signal, sys
import ray, ray.data
import pe_search

def state():
    context = ray.data.DataContext.get_current()
    return (
        dict(os.environ),
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        resource.getrlimit(resource.RLIMIT_NOFILE),
        [(name, logging.getLogger(name).level) for name in ("", "ray", "ray.data")],
        (context.enable_progress_bars, context.print_on_execution_start),
        ray.get_runtime_context().get_job_id(),
    )

address, store, clip = sys.argv[1:]
ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
before = state()
summary = pe_search.create(store).index(clip, workers="ray")
assert (summary.clips, summary.runtime) == (1, "one Ray worker on cpu in float32"), summary
assert ray.is_initialized() and state() == before
assert ray.get(ray.remote(lambda: 7).remote()) == 7
"""


def test_a_program_that_uses_ray_itself_keeps_its_runtime_and_finds_nothing_changed(runtime, sounds, tmp_path):
    arguments = [runtime.address, str(tmp_path / "store"), str(sounds / "short 1.flac")]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nobody_at_the_address_is_one_line(sounds, tmp_path):
    status, said = index(tmp_path / "store", sounds, "--workers", "127.0.0.1:9")
    assert status == 2
    reason = "nobody answers there: [Errno 111] Connection refused. Use the HOST:PORT that `ray start --head` printed."
    assert said == [f"pe-search: 127.0.0.1:9: {reason}"]


def test_320_recordings_have_the_same_embeddings_on_ray(runtime, esc10, tmp_path):
    for name, options in (("here", ()), ("there", ("--workers", runtime.address))):
        assert index(tmp_path / name, esc10, *options)[0] == 0
    assert len(held(tmp_path / "here")[0]) == 320
    assert_same(tmp_path / "here", tmp_path / "there")

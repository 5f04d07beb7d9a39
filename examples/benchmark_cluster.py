"""How fast Ray workers embed beside the plain command, and how fast each kind of store takes and finds embeddings.

    python examples/benchmark_cluster.py
    python examples/benchmark_cluster.py --only embedding --data RECORDINGS --repeats 5
    python examples/benchmark_cluster.py --windows 1000000 --milvus milvus://HOST:PORT/benchmark --only stores

Embedding: each way indexes the same clips into a new store; Ray workers have a runtime that the run starts itself.
Measured is from the end of the first batch, or of the first block of Ray workers, to the end of the last one. So no
start-up is in it, but the writing of pieces is, and commits are. The ways take turns, so that whatever else the
machine does falls on all alike, and each is compared with the plain command of its turn. One worker has all CPUs, as
the plain command has. Of several workers, it is known to the second what they have under way when the first block
ends.

Stores: made-up embeddings, as `benchmark_store.py` makes them, are committed four thousand windows at a time; then
queries are asked one after the other, and what is found is held against the exact hits of the folder. A store in Milvus
is opened once more without its mirror. Its row is there if the extra is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
from benchmark_store import CLIPS_PER_COMMIT, DIMENSION, MANIFEST, QUERIES, WINDOWS_PER_CLIP, Sound, _contents
from rich.console import Console
from rich.table import Table

from pe_search.audio.formats import audio_extensions
from pe_search.directories import milvus_address, store_at
from pe_search.queries import Match
from pe_search.records import Clip
from pe_search.store import Store

CLIP_S = 10.0
HITS = 10
EXACT_QUERIES = 5
RUN = """
import json, sys, threading, time
import pe_search

seen = []

def note(progress):
    # With Ray workers, another thread tells now and then of what is under way.
    if progress.audio_s and threading.current_thread() is threading.main_thread():
        seen.append((time.perf_counter(), progress.audio_s))

folder, store, model, options = sys.argv[1:]
with pe_search.create(store, model=model) as library:
    summary = library.index(folder, on_progress=note, **json.loads(options))
json.dump({"seen": seen, "audio_s": summary.audio_s, "problems": len(summary.problems)}, sys.stdout)
"""
# So much must lie between the first and the last moment that are compared.
LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Way:
    """A way to embed.

    Attributes:
        name: For people.
        options: Of `Library.index`.
    """

    name: str
    options: dict[str, str | int]


def ways() -> list[Way]:
    """The plain command, one worker with all CPUs, and a worker for each CPU."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = [Way("local", {}), Way("1 Ray worker", {"workers": "ray", "worker_cpus": cpus})]
    if cpus > 1:
        found.append(Way(f"{cpus} Ray workers", {"workers": "ray", "worker_cpus": 1}))
    return found


def take_clips(data: Path | None, count: int | None, folder: Path) -> None:
    """Fill a folder with clips: noise, or some or all of those that there are."""
    folder.mkdir(parents=True)
    if data is not None:
        paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in audio_extensions())[:count]
        for number, path in enumerate(paths):
            shutil.copy(path, folder / f"{number:06d}{path.suffix}")
        return
    random = np.random.default_rng(0)
    for number in range(count or 128):
        samples = random.uniform(-0.3, 0.3, round(CLIP_S * 48_000)).astype(np.float32)
        soundfile.write(folder / f"{number:06d}.wav", samples, 48_000, subtype="PCM_16")


@dataclass(frozen=True)
class Taken:
    """What a run took.

    Attributes:
        rate: Seconds of audio a second, once it was at work.
        whole_s: Seconds of the whole run, with what starts and ends it.
        audio_s: Seconds of audio that it embedded.
    """

    rate: float
    whole_s: float
    audio_s: float


def index(way: Way, folder: Path, model: str, store: Path) -> Taken:
    """Index a folder into a new store, in a process of its own."""
    shutil.rmtree(store, ignore_errors=True)
    started = time.perf_counter()
    command = [sys.executable, "-c", RUN, str(folder), str(store), model, json.dumps(way.options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way.name}: {done.stderr}")
    whole_s = time.perf_counter() - started
    told = json.loads(done.stdout)
    (first_s, first), (last_s, last) = told["seen"][0], told["seen"][-1]
    if last - first < LEAST_SHARE * told["audio_s"]:
        raise SystemExit(f"{way.name}: too few clips; the first batch or block is most of them.")
    return Taken((last - first) / (last_s - first_s), whole_s, told["audio_s"])


def measure_embedding(data: Path | None, clips: int | None, repeats: int, model: str, work: Path) -> Table:
    """A row for each way."""
    take_clips(data, clips, work / "clips")
    taken: dict[str, list[Taken]] = {way.name: [] for way in ways()}
    for repeat in range(repeats):
        turn = ways()
        # Whoever comes first in a turn may find the machine in another state.
        for way in turn[repeat % len(turn) :] + turn[: repeat % len(turn)]:
            one = index(way, work / "clips", model, work / "store")
            taken[way.name].append(one)
            _say(f"{repeat + 1} of {repeats}, {way.name}: {one.rate:,.1f} s of audio a second; {one.whole_s:.1f} s")
    table = Table(title=f"Embedding {taken['local'][0].audio_s:,.0f} s of audio with {model}, {repeats} times")
    for name in ("", "audio seconds a second", "of local", "lowest to highest", "whole run s"):
        table.add_column(name, justify="left" if not name else "right")
    for name, each in taken.items():
        shares = [100 * one.rate / local.rate for one, local in zip(each, taken["local"], strict=True)]
        table.add_row(
            name,
            f"{median(one.rate for one in each):,.1f}",
            f"{median(shares):.0f} %",
            f"{min(shares):.0f} to {max(shares):.0f} %",
            f"{median(one.whole_s for one in each):,.1f}",
        )
    return table


def measure_stores(windows: int, dimension: int, stores: dict[str, Path]) -> Table:
    """A row for each store. The first one says which hits are right."""
    table = Table(title=f"Stores of {windows:,} windows of {dimension:,} numbers")
    for name in (
        "",
        "windows a second committed",
        "index s",
        "first query ms",
        "query ms",
        "exact query ms",
        "hits found",
        "same exact scores",
        "first read s",
        "CPU s",
        "mirror MB",
    ):
        table.add_column(name, justify="left" if not name else "right")
    expected: list[tuple[Match, ...]] = []
    for name, directory in stores.items():
        sound = Sound(windows, dimension)
        spent_s, index_s = _fill(directory, sound)
        _say(f"{name}: {windows:,} windows in {spent_s:.1f} s, index in {index_s:.1f} s")
        started = time.perf_counter()
        with Store.open(directory) as store:
            quick_ms: list[float] = []
            exact_ms: list[float] = []
            found: list[tuple[Match, ...]] = []
            exact: list[tuple[Match, ...]] = []
            for query in sound.queries():
                before = time.perf_counter()
                found.append(store.finder.best_matches(query, HITS, all_windows=True).best)
                quick_ms.append(1e3 * (time.perf_counter() - before))
                if len(quick_ms) == 1:
                    first_ms = 1e3 * (time.perf_counter() - started)
                # To go through a large store in Milvus takes long.
                if len(exact) < (EXACT_QUERIES if expected else QUERIES):
                    before = time.perf_counter()
                    exact.append(store.finder.best_matches(query, HITS, all_windows=True, exact=True).best)
                    exact_ms.append(1e3 * (time.perf_counter() - before))
        _say(f"{name}: queries are done")
        expected = expected or exact
        hits = np.mean([len(_places(one) & _places(right)) / HITS for one, right in zip(found, expected, strict=True)])
        same = np.mean([_scores(one) == _scores(right) for one, right in zip(exact, expected, strict=False)])
        row = (windows / spent_s, index_s, first_ms, median(quick_ms[1:]), median(exact_ms[1:]))
        shares = (f"{100 * hits:.1f} %", f"{100 * same:.0f} %")
        table.add_row(name, *(f"{value:,.1f}" for value in row), *shares, *_first_read(directory))
    return table


def _fill(directory: Path, sound: Sound) -> tuple[float, float]:
    """Seconds to commit all windows of a new store, and to make its index."""
    centres, step = sound.centres(), CLIPS_PER_COMMIT * WINDOWS_PER_CLIP
    spent_s = 0.0
    with Store.create(directory, replace(MANIFEST, dimension=sound.dimension)) as store:
        for first in range(0, sound.windows, step):
            embeddings = sound.embeddings(first, min(step, sound.windows - first), centres)
            contents = list(_contents(first, embeddings))
            clips = [(Clip(Path(f"/made-up/{one.digest.hex()}.wav"), 1, 1), one.digest) for one in contents]
            spent_s += _seconds(lambda: store.catalog.commit(contents=contents, clips=clips))  # noqa: B023
        return spent_s, _seconds(store.finder.refresh)


def _first_read(directory: Path) -> tuple[str, str, str]:
    """Of a store in Milvus: what a machine that has never seen it needs to open it, and how large its mirror is."""
    if milvus_address(directory) is None:
        return ("", "", "")
    shutil.rmtree(directory)
    before = time.perf_counter(), time.process_time()
    with Store.open(directory) as store:
        after = time.perf_counter(), time.process_time()
        megabytes = store.size_bytes() / 1e6
    return (f"{after[0] - before[0]:,.1f}", f"{after[1] - before[1]:,.1f}", f"{megabytes:,.1f}")


def _places(matches: Sequence[Match]) -> set[tuple[Path, float]]:
    return {(match.path, match.start_s) for match in matches}


def _scores(matches: Sequence[Match]) -> list[float]:
    return [match.score for match in matches]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Measure what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of recordings, in place of noise")
    parser.add_argument("--clips", type=int, help="how many clips are embedded (all of --data; 128 of noise)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each way is measured (3)")
    parser.add_argument("--model", default="builtin", help="the checkpoint (builtin)")
    parser.add_argument("--windows", type=int, default=20_000, help="windows of each store (20,000)")
    parser.add_argument("--dimension", type=int, default=DIMENSION, help="numbers of an embedding (1,024)")
    parser.add_argument("--milvus", help="where the Milvus store is made; without it a file of Milvus Lite")
    parser.add_argument("--only", choices=("embedding", "stores"), help="measure one of the two")
    options = parser.parse_args()
    console = Console(width=160)
    console.print(f"{platform.platform()}, {os.cpu_count()} CPUs; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as work:
        if options.only != "stores":
            if find_spec("ray") is None:
                raise SystemExit("Ray is not installed: pip install 'pe-search[ray]'")
            sounds = Path(work) / "sounds"
            console.print(measure_embedding(options.data, options.clips, options.repeats, options.model, sounds))
        if options.only != "embedding":
            stores = {"folder": Path(work) / "folder"}
            if options.milvus or (find_spec("pymilvus") and find_spec("milvus_lite")):
                os.environ["PE_SEARCH_CACHE"] = str(Path(work) / "cache")
                stores["Milvus" if options.milvus else "Milvus Lite"] = store_at(
                    options.milvus or f"milvus:{work}/store.db"
                )
            console.print(measure_stores(options.windows, options.dimension, stores))


if __name__ == "__main__":
    main()

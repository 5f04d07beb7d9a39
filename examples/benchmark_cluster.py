"""How fast Ray workers embed beside the plain command, and how fast each kind of store takes and finds embeddings.

    python examples/benchmark_cluster.py
    python examples/benchmark_cluster.py --data RECORDINGS --repeats 5
    python examples/benchmark_cluster.py --windows 1000000 --milvus milvus://HOST:PORT/benchmark --only stores

Embedding: each way indexes some clips, and then three times as many, both into new stores and with a Ray runtime that
it starts itself. What the second run takes longer is what the clips take; the rest is start-up. The ways take turns, so
that whatever else the machine does falls on all alike. One worker has all CPUs, as the plain command has.

Stores: made-up embeddings, as `benchmark_store.py` makes them, are committed four thousand windows at a time; then
queries are asked one after the other, and what is found is held against the exact hits of the folder. A store in Milvus
is opened once more without its mirror. Its row is there if the extra is installed.
"""

from __future__ import annotations

import argparse
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
TIMES_AS_MANY = 3
HITS = 10
EXACT_QUERIES = 5


@dataclass(frozen=True)
class Way:
    """A way to embed.

    Attributes:
        name: For people.
        options: Of `pe-search index`.
    """

    name: str
    options: tuple[str, ...]


def ways() -> list[Way]:
    """The plain command, one worker with all CPUs, and a worker for each CPU."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = [Way("local", ()), Way("1 Ray worker", ("--workers", "ray", "--worker-cpus", str(cpus)))]
    if cpus > 1:
        found.append(Way(f"{cpus} Ray workers", ("--workers", "ray", "--worker-cpus", "1")))
    return found


def take_clips(data: Path | None, count: int, folder: Path) -> tuple[Path, Path, float, float]:
    """Two folders of clips, the second with three times as many; and how many seconds each holds."""
    few, many = folder / "few", folder / "many"
    few.mkdir(parents=True)
    many.mkdir()
    if data is not None:
        paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in audio_extensions())
        if len(paths) < 4:
            raise SystemExit(f"{data}: four clips are needed at least.")
        paths = paths[: (1 + TIMES_AS_MANY) * count]
        share = len(paths) // (1 + TIMES_AS_MANY)
    else:
        random, share, paths = np.random.default_rng(0), count, []
        for number in range((1 + TIMES_AS_MANY) * count):
            paths.append(folder / f"{number}.wav")
            samples = random.uniform(-0.3, 0.3, round(CLIP_S * 48_000)).astype(np.float32)
            soundfile.write(paths[-1], samples, 48_000, subtype="PCM_16")
    seconds = [0.0, 0.0]
    for number, path in enumerate(paths):
        is_many = number >= share
        shutil.copy(path, (many if is_many else few) / f"{number}{path.suffix}")
        seconds[is_many] += soundfile.info(path).duration
    return few, many, *seconds


def index_s(way: Way, folder: Path, model: str, store: Path) -> float:
    """Seconds that the whole command takes."""
    shutil.rmtree(store, ignore_errors=True)
    command = [sys.executable, "-m", "pe_search", "index", str(folder), "--store", str(store), "--model", model]
    started = time.perf_counter()
    done = subprocess.run([*command, *way.options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way.name}: {done.stderr}")
    return time.perf_counter() - started


def measure_embedding(data: Path | None, clips: int, repeats: int, model: str, work: Path) -> Table:
    """A row for each way."""
    few, many, few_s, many_s = take_clips(data, clips, work)
    taken: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways()}
    for repeat in range(repeats):
        for way in ways():
            pair = index_s(way, few, model, work / "store"), index_s(way, many, model, work / "store")
            taken[way.name].append(pair)
            _say(f"{repeat + 1} of {repeats}, {way.name}: {pair[0]:.1f} s and {pair[1]:.1f} s")
    table = Table(title=f"Embedding {few_s:,.0f} s and {many_s:,.0f} s of audio with {model}")
    for name in ("", "audio seconds a second", "of local", "start-up and end s"):
        table.add_column(name, justify="left" if not name else "right")
    # Each repetition by itself, because what else the machine does changes between them.
    rates = {name: [(many_s - few_s) / max(b - a, 1e-3) for a, b in pairs] for name, pairs in taken.items()}
    for name, each in rates.items():
        of_local = median(rate / local for rate, local in zip(each, rates["local"], strict=True))
        rest = median(a - few_s / rate for (a, _), rate in zip(taken[name], each, strict=True))
        table.add_row(name, f"{median(each):,.1f}", f"{100 * of_local:.0f} %", f"{rest:,.1f}")
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
    parser.add_argument("--clips", type=int, default=32, help="clips of the smaller run (32)")
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

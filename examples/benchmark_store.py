"""Measure how a store does as it grows: python examples/benchmark_store.py --work FOLDER.

It makes stores of made-up embeddings (1,024 numbers each, in clusters, of unequal length) and asks them queries that
lie beside the clusters, as a text does. Then it makes a folder of tiny files and a store that holds each with a made-up
embedding, and compares `pe-search index` of that folder, which has nothing to do, with `find`. What is made is kept in
FOLDER, so that a run that was stopped goes on, and the next one only measures. A million windows take 6 GB there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pe_search import create
from pe_search.audio.stamps import stamp_of
from pe_search.queries import Filters
from pe_search.records import Clip, Content, Facts
from pe_search.reports import Root
from pe_search.store import Manifest, Store
from pe_search.store.roots import write_roots

P = ParamSpec("P")
T = TypeVar("T")

DIMENSION = 1_024
WINDOWS_PER_CLIP = 10
WINDOWS_PER_CLUSTER = 250
CLIPS_PER_COMMIT = 400
FILES_PER_FOLDER = 1_000
QUERIES = 50
REPEATS = 3
# Every other clip has this sample rate.
FILTERS = Filters(sample_rate_hz=(48_000, None))
MANIFEST = Manifest(
    model="made-up",
    revision="1",
    dimension=DIMENSION,
    window_s=10.0,
    hop_s=10.0,
    sample_rate_hz=48_000,
    logit_scale=1.0,
    logit_bias=0.0,
)


@dataclass(frozen=True)
class Sound:
    """What the embeddings of one size are drawn from."""

    windows: int
    dimension: int = DIMENSION

    def centres(self) -> NDArray[np.float32]:
        """Of the clusters, of shape (clusters, dimension), all on one side of the space as real embeddings are."""
        random = np.random.default_rng(self.windows)
        side = random.standard_normal(self.dimension)
        clusters = max(2, self.windows // WINDOWS_PER_CLUSTER)
        return (side + random.standard_normal((clusters, self.dimension))).astype(np.float32)

    def embeddings(self, first: int, count: int, centres: NDArray[np.float32]) -> NDArray[np.float32]:
        """Some windows' embeddings, of shape (count, dimension)."""
        random = np.random.default_rng((self.windows, first))
        chosen = centres[random.integers(0, len(centres), count)]
        lengths = random.uniform(0.5, 1.5, (count, 1)).astype(np.float32)
        return (chosen + random.standard_normal((count, self.dimension), np.float32) / 2) * lengths

    def queries(self) -> NDArray[np.float32]:
        """Shape (queries, dimension): as far from a cluster as a text is from the sounds it tells of."""
        random = np.random.default_rng((self.windows, 1))
        centres = self.centres()
        chosen = centres[random.integers(0, len(centres), QUERIES)]
        return chosen + 2 * random.standard_normal((QUERIES, self.dimension), np.float32)


@dataclass(frozen=True)
class Made:
    """What making an index took."""

    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Asked:
    """What queries took in a process of their own, in milliseconds."""

    first_ms: float
    later_ms: float
    read_ms: float | None
    answers: list[list[float]]
    share_searched: float


def fill(directory: Path, windows: int, manifest: Manifest = MANIFEST) -> None:
    """Make a store, or go on with one."""
    sound = Sound(windows, manifest.dimension)
    centres = sound.centres()
    opened = Store.open(directory, read_only=False) if directory.exists() else Store.create(directory, manifest)
    with opened as store:
        step = CLIPS_PER_COMMIT * WINDOWS_PER_CLIP
        for first in range(store.catalog.holdings().windows, windows, step):
            embeddings = sound.embeddings(first, min(step, windows - first), centres)
            contents = list(_contents(first, embeddings))
            clips = [
                (Clip(Path(f"/made-up/{(first + row) % 997}/{content.digest.hex()}.wav"), 1, 1), content.digest)
                for row, content in enumerate(contents)
            ]
            store.catalog.commit(contents=contents, clips=clips)
            _say(f"{first + len(embeddings):,} of {windows:,} windows committed")


def _contents(first: int, embeddings: NDArray[np.float32]) -> Iterator[Content]:
    for row in range(0, len(embeddings), WINDOWS_PER_CLIP):
        rows = embeddings[row : row + WINDOWS_PER_CLIP]
        times = [(10.0 * number, 10.0 * number + 10) for number in range(len(rows))]
        facts = Facts(sample_rate_hz=(44_100, 48_000)[(first + row) // WINDOWS_PER_CLIP % 2], channels=1)
        digest = hashlib.blake2b(b"%d" % (first + row), digest_size=32).digest()
        yield Content(digest, times, rows, is_whole=True, facts=facts)


def make_index(directory: Path) -> Made:
    """Make a store's index from its catalog, and what filters go by."""
    with Store.open(directory, read_only=False) as store, _peak_memory() as peak_mb:
        seconds = _seconds(store.finder.rebuild)
        return Made(seconds, peak_mb())


def ask(directory: Path, windows: int, exact: bool, filters: Filters | None = None) -> Asked:
    """Open a store, ask it once, then again and again, with the same number of threads as reads its vectors."""
    queries = Sound(windows).queries()
    import faiss

    from pe_search.store.finder import INDEX_FILE
    from pe_search.store.tensors import map_checked

    def answer(store: Store, query: NDArray[np.float32]) -> list[float]:
        found = store.finder.best_matches(query, 10, filters=filters, all_windows=True, exact=exact)
        return [match.score for match in found.best]

    started = time.perf_counter()
    with Store.open(directory) as store:
        answers = [answer(store, queries[0])]
        first_ms = 1e3 * (time.perf_counter() - started)
        vectors = map_checked(directory / INDEX_FILE)[0]["vectors"].view(np.uint64).reshape(-1)
        parts = np.array_split(vectors, 8 * faiss.omp_get_max_threads())
        later: list[float] = []
        reads: list[float] = []
        with ThreadPoolExecutor(faiss.omp_get_max_threads()) as pool:
            for query in queries[1:]:
                started = time.perf_counter()
                answers.append(answer(store, query))
                later.append(1e3 * (time.perf_counter() - started))
                if exact:
                    # In turn, so that whatever else the machine does slows both.
                    reads.append(1e3 * _seconds(lambda: list(pool.map(np.bitwise_or.reduce, parts))))
        effort = store.finder.best_matches(queries[-1], 10, filters=filters, all_windows=True, exact=exact).effort
    return Asked(
        first_ms, median(later), median(reads) if exact else None, answers, effort.windows_searched / effort.windows
    )


def measure(directory: Path, windows: int, table: Table) -> None:
    """Add a row for a store of some size."""
    fill(directory, windows)
    made = _alone(make_index, directory)
    quick = _alone(ask, directory, windows, False)
    exact = _alone(ask, directory, windows, True)
    filtered = _alone(ask, directory, windows, False, FILTERS)
    of_half = _alone(ask, directory, windows, True, FILTERS)
    assert exact.read_ms is not None
    with Store.open(directory) as store:
        size_bytes = store.size_bytes()
    table.add_row(
        f"{windows:,}",
        f"{quick.first_ms:,.1f}",
        f"{quick.later_ms:,.2f}",
        f"{100 * quick.share_searched:.1f} %",
        f"{exact.first_ms:,.1f}",
        f"{exact.later_ms:,.2f}",
        f"{exact.read_ms:,.2f}",
        f"{exact.later_ms / exact.read_ms:.2f}",
        f"{exact.later_ms / quick.later_ms:.1f}",
        f"{_recall(quick, exact):.3f}",
        f"{filtered.first_ms:,.1f}",
        f"{filtered.later_ms:,.2f}",
        f"{filtered.first_ms / quick.first_ms:.2f}",
        f"{filtered.later_ms / quick.later_ms:.2f}",
        f"{_recall(filtered, of_half):.3f}",
        f"{size_bytes / windows:,.0f}",
        f"{made.seconds:,.1f}",
        f"{made.peak_mb:,.0f}",
    )


def _recall(quick: Asked, exact: Asked) -> float:
    """Which share of the best windows a search by lists finds."""
    hits = sum(len({*some} & {*all_}) for some, all_ in zip(quick.answers, exact.answers, strict=True))
    return hits / sum(len(answer) for answer in exact.answers)


def measure_again(work: Path, files: int) -> str:
    """Compare indexing unchanged files again with `find`."""
    folder, store = (work / f"unchanged-{files}").resolve(), work / f"unchanged-{files}.store"
    if not store.exists():
        _make_files(folder, store, files)
    index = [sys.executable, "-m", "pe_search", "index", str(folder), "--store", str(store)]
    find = ["find", str(folder), "-type", "f", "-printf", "%s %T@\n"]
    subprocess.run(index, check=True, stderr=subprocess.DEVNULL)
    again = subprocess.run(index, check=True, capture_output=True, text=True).stderr
    assert f"{files:,} unchanged" in again, again
    index_s, find_s = (
        min(_seconds(lambda argv=argv: subprocess.run(argv, check=True, capture_output=True)) for _ in range(REPEATS))
        for argv in (index, find)
    )
    return (
        f"{files:,} unchanged files: pe-search index {index_s:.2f} s, find {find_s:.2f} s; "
        f"three times find and a second more is {3 * find_s + 1:.2f} s"
    )


def _make_files(folder: Path, directory: Path, files: int) -> None:
    """Small files, each other bytes, and a store of the built-in checkpoint that holds them all."""
    create(directory)
    rng = np.random.default_rng(0)
    contents, clips = [], []
    with Store.open(directory, read_only=False) as store:
        for number in range(files):
            path = folder / f"{number // FILES_PER_FOLDER:04}" / f"Kick_{number:07}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"RIFF" + number.to_bytes(8, "big"))
            embedding = rng.standard_normal((1, store.manifest.dimension)).astype(np.float32)
            digest = number.to_bytes(32, "big")
            facts = Facts(48_000, 1, 16, "pcm_16", loudness_lufs=-20.5, peak_dbfs=-1.0)
            contents.append(Content(digest, [(0.0, 0.4)], embedding, is_whole=True, facts=facts))
            clips.append((Clip(path, *stamp_of(path.stat())), digest))
        store.catalog.commit(contents=contents, clips=clips)
        write_roots(store.catalog, [Root(folder)])
        store.finder.refresh()


def _alone(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


class _peak_memory:  # noqa: N801
    """Watches what this process alone has in memory; pages of mapped files, which anyone may have back, don't count."""

    def __enter__(self) -> Callable[[], float]:
        self._peak_kb = 0
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return lambda: self._peak_kb / 1e3

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.02):
            status = Path("/proc/self/status").read_text(encoding="ascii")
            self._peak_kb = max(self._peak_kb, int(status.split("RssAnon:")[1].split()[0]))


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _machine() -> str:
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("model name\t: ")[1].split("\n")[0]
    return f"{cpu}, {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.release()}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="where stores and files are kept")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], metavar="WINDOWS")
    parser.add_argument("--files", type=int, default=100_000, help="how many to index again; 0 for none")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    columns = (
        "windows", "first ms", "later ms", "searched", "exact first ms", "exact later ms", "read ms", "exact ÷ read",
        "exact ÷ later", "recall@10", "filtered first ms", "filtered later ms", "filtered ÷ first", "filtered ÷ later",
        "filtered recall@10", "bytes per window", "index s", "index MB",
    )  # fmt: skip
    caption = "first: opening the store and its first query in a new process; filtered: half of the windows pass"
    table = Table(*columns, title=_machine(), caption=caption)
    for windows in options.sizes:
        measure(options.work / f"{windows}.store", windows, table)
    console = Console(width=200 if not sys.stdout.isatty() else None)
    if options.sizes:
        console.print(table)
    if options.files:
        console.print(measure_again(options.work, options.files))


if __name__ == "__main__":
    main()

"""How long a text query takes, as whole processes beside the imports that it can't do without.

    python examples/benchmark_query.py
    python examples/benchmark_query.py --repeats 3 --windows 10000 --no-large

Makes a store of 320 clips and one of a million windows, with made-up embeddings, and a checkpoint with random weights
whose text tower has the size of pe-av-large's. All rows are run in turn, again and again, so that what else the
machine does falls on all alike; the medians of their times are printed, and what they are relative to one another.
Rows that are served ask a server, which is started once for each store.

Then eight clients at once ask a store of 100,000 windows for one new text after another, as fast as they are answered:
once inside the server, from when a request has come to when its hits go out, and once over the socket, as a client sees
it. In the end every store is asked in every way (torch, compiled, remembered, served), and the status is 1 if the hits
differ.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from transformers import PeAudioConfig, PeAudioModel

from pe_search.pe_audio.checkpoint import Checkpoint, find_checkpoint
from pe_search.pe_audio.compile import compile_text_tower
from pe_search.pe_audio.compiled import open_compiled
from pe_search.pe_audio.embedder import Embedder
from pe_search.queries import Query, Request
from pe_search.records import Clip, Content
from pe_search.serving.answering import Answering
from pe_search.serving.asking import ask
from pe_search.serving.place import socket_path
from pe_search.store import TEXTS_FILE, Manifest, Store

FEW_CLIPS = 320
WINDOWS_PER_CLIP = 10
CLIPS_PER_COMMIT = 1000
WINDOW_S = 10.0
CLIENTS = 8
P50_MS, P99_MS = 30, 100
TEXTS = ("a dog barking", "rain on a tin roof", "church bell", "the sound of a siren in the distance")
# An audio half as small as can be beside the text half that upstream's defaults describe, which is pe-av-large's.
SMALL_AUDIO = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "head_dim": 16,
    "dac_config": {"downsampling_ratios": [2, 8, 10, 12], "encoder_hidden_size": 2, "codebook_dim": 8},
}


@dataclass
class Row:
    """A command to be timed.

    Attributes:
        what: What the table calls it.
        argv: The command, without the Python that runs it; `{text}` stands for a text that was never asked before.
        cache: The cache directory that it sees.
        beside: The row that it is compared with.
        most: How many times as long as that one it may take; no more than is said if 0.
        sockets: The runtime directory that it sees, where it finds servers; none if None.
    """

    what: str
    argv: list[str]
    cache: Path
    beside: str = ""
    most: float = 0.0
    sockets: Path | None = None
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def run(self, text: str) -> None:
        """Run the command once, and note how long it took."""
        before, started_s = os.times(), time.perf_counter()
        run([part.replace("{text}", text) for part in self.argv], self.cache, self.sockets)
        self.wall_s.append(time.perf_counter() - started_s)
        after = os.times()
        self.cpu_s.append(after.children_user + after.children_system - before.children_user - before.children_system)


def run(argv: list[str], cache: Path, sockets: Path | None = None) -> bytes:
    """The stdout of a Python command in a process of its own."""
    return subprocess.run(
        [sys.executable, *argv], env=environment(cache, sockets), stdout=subprocess.PIPE, check=True
    ).stdout


def environment(cache: Path, sockets: Path | None) -> dict[str, str]:
    """The environment of a command that sees this cache and these servers."""
    return os.environ | {"PE_SEARCH_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "XDG_RUNTIME_DIR": str(sockets or "")}


@contextmanager
def server(store: Path, cache: Path, sockets: Path) -> Iterator[None]:
    """A server of a store, ready to be asked."""
    argv = [sys.executable, "-m", "pe_search", "serve", "--store", str(store)]
    with subprocess.Popen(argv, env=environment(cache, sockets), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            ready = process.stderr.readline()
            if not ready.startswith("Ready"):
                raise RuntimeError(ready)
            yield
        finally:
            process.terminate()


def query(store: Path, *texts: str) -> list[str]:
    """The command that asks a store."""
    return ["-m", "pe_search", "query", *texts, "--store", str(store), "--format", "jsonl"]


def make_store(directory: Path, checkpoint: Checkpoint, windows: int) -> Path:
    """A store of random embeddings, in clips of ten windows each."""
    embedder = Embedder(checkpoint, device="cpu")
    manifest = Manifest(
        model=checkpoint.name,
        revision=checkpoint.revision,
        dimension=embedder.dimension,
        window_s=WINDOW_S,
        hop_s=WINDOW_S,
        sample_rate_hz=48_000,
        logit_scale=embedder.logit_scale,
        logit_bias=embedder.logit_bias,
    )
    random = np.random.default_rng(0)
    times = [(WINDOW_S * row, WINDOW_S * (row + 1)) for row in range(WINDOWS_PER_CLIP)]
    clips = -(-windows // WINDOWS_PER_CLIP)
    with Store.create(directory, manifest) as store:
        for first in range(0, clips, CLIPS_PER_COMMIT):
            numbers = range(first, min(first + CLIPS_PER_COMMIT, clips))
            digests = [number.to_bytes(32) for number in numbers]
            shape = (len(numbers), WINDOWS_PER_CLIP, manifest.dimension)
            store.catalog.commit(
                contents=map(Content, digests, repeat(times), random.standard_normal(shape, np.float32), repeat(True)),
                clips=[
                    (Clip(Path(f"sounds/{number:07d}.wav"), 1, 1), digest)
                    for number, digest in zip(numbers, digests, strict=True)
                ],
            )
        store.finder.refresh()
    return directory


def make_large(directory: Path) -> Checkpoint:
    """A checkpoint whose text tower has pe-av-large's size and random weights, with the built-in one's tokenizer."""
    torch.manual_seed(0)
    PeAudioModel(PeAudioConfig(audio_config=SMALL_AUDIO)).save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(find_checkpoint("builtin").directory / name, directory)
    return find_checkpoint(str(directory))


def latencies_ms(ask_once: Callable[[Request], object], requests: int) -> list[float]:
    """How long each request takes if as many clients as `CLIENTS` ask as fast as they are answered."""
    name = f"{time.time_ns():x}"

    def ask_many(client: int) -> list[float]:
        took = []
        for number in range(requests):
            queries = (Query((f"a sound that nobody asked for yet, {name}.{client}.{number}",), (), (), ()),)
            request = Request(queries, 10, None, all_windows=False, min_probability=0.0, fdr=None, exact=False)
            started_s = time.perf_counter()
            ask_once(request)
            took.append(1e3 * (time.perf_counter() - started_s))
        return took

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [one for took in pool.map(ask_many, range(CLIENTS)) for one in took]


def served_table(store: Path, windows: int, cache: Path, sockets: Path, requests: int) -> str:
    """Latencies inside a server and over its socket."""
    path = socket_path(sockets / "pe-search", store)

    def inside(request: Request) -> None:
        answered = threading.Event()
        answering.submit(request, lambda _answer: answered.set())
        answered.wait()

    def over_the_socket(request: Request) -> None:
        hits = next(ask(path, request, lambda _problem: None), None)
        if hits is None:
            raise RuntimeError("the server gave no answer")

    with Answering(store, lambda: None) as answering:
        answering.warm_up().result()
        rows = {"inside the server": latencies_ms(inside, requests)}
    with server(store, cache, sockets):
        rows["over the socket"] = latencies_ms(over_the_socket, requests)
    lines = [f"| {CLIENTS} clients at once, {windows:,} windows | p50 ms | p99 ms |", "|---|---|---|"]
    for what, took in rows.items():
        p50_ms, p99_ms = np.percentile(took, [50, 99])
        lines.append(f"| {what} | {p50_ms:.1f} | {p99_ms:.1f} |")
    return "\n".join([*lines, f"| at most, inside | {P50_MS} | {P99_MS} |"])


def rows_for(
    store: Path, name: str, warm: Path, cold: Path, sockets: Path, most_new: float, most_asked: float
) -> list[Row]:
    """The ways to ask one store, compared with the imports."""
    return [
        Row(f"new text, torch, {name}", query(store, "{text}"), cold),
        Row(f"new text, compiled, {name}", query(store, "{text}"), warm, "import numpy, faiss", most_new),
        Row(f"text asked before, {name}", query(store, TEXTS[0]), warm, "import numpy, faiss", most_asked),
        Row(f"new text, served, {name}", query(store, "{text}"), warm, f"new text, compiled, {name}", sockets=sockets),
    ]


def differences(store: Path, warm: Path, cold: Path, sockets: Path) -> list[str]:
    """In what the hits differ that one store gives by torch, compiled, from memory and served."""
    (store / TEXTS_FILE).unlink(missing_ok=True)
    by_torch = run(query(store, *TEXTS), cold)
    (store / TEXTS_FILE).unlink()
    by_compiled = run(query(store, *TEXTS), warm)
    remembered = run(query(store, *TEXTS), warm)
    (store / TEXTS_FILE).unlink()
    with server(store, warm, sockets):
        served = run(query(store, *TEXTS), warm, sockets)
        served_again = run(query(store, *TEXTS), warm, sockets)
    found = []
    if not served == served_again == by_compiled:
        found.append("a server gives other bytes than the compiled tower")
    if remembered != by_compiled:
        found.append("what is remembered gives other bytes than the compiled tower")
    hits = [[json.loads(line) for line in lines.splitlines()] for lines in (by_torch, by_compiled)]
    places = [[(h["query"], h["rank"], h["path"], h["start_s"]) for h in way] for way in hits]
    scores = [np.array([h["score"] for h in way]) for way in hits]
    if places[0] != places[1]:
        found.append("the compiled tower ranks otherwise than torch")
    elif np.abs(scores[0] - scores[1]).max() > 1e-4 * np.abs(scores[0]).max():
        found.append("the compiled tower scores otherwise than torch")
    return found


def table(rows: list[Row]) -> str:
    """Medians, and what they are beside the rows that they are compared with."""
    medians = {row.what: statistics.median(row.wall_s) for row in rows}
    cpu = {row.what: statistics.median(row.cpu_s) for row in rows}
    lines = ["| | wall s | CPU s | ratio (wall) | ratio (CPU) | at most |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = ["", "", ""]
        if row.beside:
            ratios = (medians[row.what] / medians[row.beside], cpu[row.what] / cpu[row.beside])
            most = f"{row.most:g} × " if row.most else "beside "
            cells = [*(f"{ratio:.2f}" for ratio in ratios), most + row.beside]
        lines.append(f"| {row.what} | {medians[row.what]:.3f} | {cpu[row.what]:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Make the stores, time the commands, compare the hits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11, help="times that each row is run")
    parser.add_argument("--windows", type=int, default=1_000_000, help="windows of the large store")
    parser.add_argument("--served-windows", type=int, default=100_000, help="windows of the store that clients ask")
    parser.add_argument("--requests", type=int, default=100, help="requests of each of the eight clients")
    parser.add_argument("--no-large", action="store_true", help="leave out the checkpoint of pe-av-large's size")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        warm, cold, sockets = folder / "warm", folder / "cold", folder / "run"
        sockets.mkdir()
        # A file where the cache's directory should be: nothing can be compiled, so that torch is left.
        cold.write_text("")
        # A copy, because of the original the package has the compiled text tower, which no row would then go without.
        shutil.copytree(find_checkpoint("builtin").directory, folder / "builtin")
        builtin = find_checkpoint(str(folder / "builtin"))
        compile_text_tower(builtin, warm)
        small = make_store(folder / "small", builtin, FEW_CLIPS * WINDOWS_PER_CLIP)
        rows = [
            Row("import typer", ["-c", "import typer"], warm),
            Row("--help", ["-m", "pe_search", "--help"], warm, "import typer", 2),
            Row("import numpy, faiss", ["-c", "import numpy, faiss"], warm),
            *rows_for(small, f"{FEW_CLIPS} clips", warm, cold, sockets, 3, 2),
        ]
        big = make_store(folder / "big", builtin, options.windows)
        rows += rows_for(big, f"{options.windows:,} windows", warm, cold, sockets, 3, 2)
        if not options.no_large:
            large = make_large(folder / "large")
            compile_text_tower(large, warm)
            assert open_compiled(warm, large.name, large.revision) is not None
            store = make_store(folder / "of-large", large, FEW_CLIPS * WINDOWS_PER_CLIP)
            by_torch, by_compiled, *_ = rows_for(store, "large text tower", warm, cold, sockets, 0, 0)
            by_compiled.beside, by_compiled.most = by_torch.what, 0.4
            rows += [by_torch, by_compiled]
        with server(small, warm, sockets), server(big, warm, sockets):
            for row in rows:
                run([part.replace("{text}", "warming up") for part in row.argv], row.cache, row.sockets)
            for repeat in range(options.repeats):
                for number, row in enumerate(rows):
                    row.run(f"a sound that nobody asked for yet, {repeat}.{number}")
        print(table(rows))
        asked = make_store(folder / "asked", builtin, options.served_windows)
        print(f"\n{served_table(asked, options.served_windows, warm, sockets, options.requests)}")
        found = [line for store in (small, big) for line in differences(store, warm, cold, sockets)]
    for line in found:
        print(f"different hits: {line}", file=sys.stderr)
    if not found:
        print("\nThe hits of torch, of the compiled tower, from memory and served are the same.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

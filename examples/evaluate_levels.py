"""How well quiet sounds are heard with `--level none` and with `--level auto`.

    python examples/evaluate_levels.py RECORDINGS

RECORDINGS holds one folder for each kind of sound, named as the concepts of the built-in checkpoint are (`dog_bark`,
`rain` …); other folders are left out. Each recording is made quieter step by step, alone and in the white noise of a
recorder, and asked for by the plain prompts of all kinds that are there. The last table has the noise alone: nothing is
to be heard there.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from recipe.captions import CONCEPTS, plain_prompt
from recipe.recordings import AUDIO_SUFFIXES

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.level import levelled
from pe_search.audio.read import ClipReader
from pe_search.pe_audio.checkpoint import find_checkpoint
from pe_search.pe_audio.embedder import Embedder

Samples = NDArray[np.float32]
GAINS_DB = (0, -10, -20, -30, -40, -50, -60)
NOISES_DB = (-50, -60, -70, -80)
QUIET_DB = -40
LEVELS = ("none", "auto")
LONGEST_S = 10.0
NOISE_WINDOWS = 20
SEED = 20_240_229


def read(path: Path) -> Samples:
    """The first ten seconds of a recording, with a peak of one."""
    with ClipReader(path) as reader:
        blocks: list[Samples] = []
        for block in reader.blocks():
            blocks.append(block)
            if sum(map(len, blocks)) >= LONGEST_S * SAMPLE_RATE_HZ:
                break
    samples = np.concatenate(blocks)[: round(LONGEST_S * SAMPLE_RATE_HZ)]
    return samples / max(float(np.abs(samples).max()), 1e-9)


def find(data: Path, most: int) -> list[tuple[Path, str]]:
    """Recordings and their kinds, at most so many of a kind, evenly spread over their names."""
    found = []
    for folder in sorted(data.iterdir()):
        if folder.name in CONCEPTS and folder.is_dir():
            paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
            found += [(path, folder.name) for path in paths[:: max(1, -(-len(paths) // most))]]
    return found


class Listener:
    """Tells how well a set of windows is heard.

    Args:
        embedder: Of the checkpoint.
        kinds: What is asked for.
        truth: The kind of each window.
    """

    def __init__(self, embedder: Embedder, kinds: list[str], truth: list[str]) -> None:
        self._embedder = embedder
        self._texts = embedder.embed_texts([plain_prompt(kind) for kind in kinds])
        self._truth = np.array([kinds.index(kind) for kind in truth])

    def probabilities(self, windows: Iterator[Samples], level: str) -> NDArray[np.float64]:
        """Of each kind in each window: shape (windows, kinds)."""
        scores = np.concatenate(
            [self._embedder.embed_windows([levelled(window, level)]) @ self._texts.T for window in windows]
        ).astype(np.float64)
        return 1 / (1 + np.exp(-(scores * self._embedder.logit_scale + self._embedder.logit_bias)))

    def heard(self, windows: Iterator[Samples], level: str) -> str:
        """Mean probability of the right kind, share that is named rightly, and mean average precision."""
        probabilities = self.probabilities(windows, level)
        right = probabilities[np.arange(len(self._truth)), self._truth]
        named = probabilities.argmax(axis=1) == self._truth
        precisions = []
        for kind in np.unique(self._truth):
            is_kind = self._truth[np.argsort(-probabilities[:, kind], kind="stable")] == kind
            precisions.append((np.cumsum(is_kind)[is_kind] / (1 + np.flatnonzero(is_kind))).mean())
        return f"{right.mean():.2f} / {named.mean():.2f} / {np.mean(precisions):.2f}"


def main(arguments: list[str] | None = None) -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="RECORDINGS")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--most", type=int, default=6, help="recordings of a kind at most")
    options = parser.parse_args(arguments)
    found = find(options.data, options.most)
    kinds = sorted({kind for _, kind in found})
    listener = Listener(Embedder(find_checkpoint(options.model)), kinds, [kind for _, kind in found])
    sounds = [read(path) for path, _ in found]
    print(f"{len(sounds)} recordings of {len(kinds)} kinds; probability of the right kind / named rightly / mAP\n")

    def table(title: str, rows: tuple[int, ...], cell: Callable[[int, str], str]) -> None:
        print(f"| {title} | " + " | ".join(f"`--level {level}`" for level in LEVELS) + " |")
        print("|---|" + "---|" * len(LEVELS))
        for row in rows:
            print(f"| {row} dB | " + " | ".join(cell(row, level) for level in LEVELS) + " |", flush=True)
        print()

    def in_noise(noise_db: int) -> Iterator[Samples]:
        random = np.random.default_rng(SEED)
        for sound in sounds:
            noise = random.standard_normal(len(sound), np.float32)
            yield amplified(sound, QUIET_DB) + amplified(noise, noise_db)

    def noise_alone(noise_db: int, level: str) -> str:
        random = np.random.default_rng(SEED)
        windows = (
            amplified(random.standard_normal(round(LONGEST_S * SAMPLE_RATE_HZ), np.float32), noise_db)
            for _ in range(NOISE_WINDOWS)
        )
        probabilities = listener.probabilities(windows, level)
        return f"{(probabilities > 0.5).sum(axis=1).mean():.2f}"

    table("peak at", GAINS_DB, lambda gain, level: listener.heard((amplified(one, gain) for one in sounds), level))
    table(f"peak at {QUIET_DB} dB in noise of", NOISES_DB, lambda noise, level: listener.heard(in_noise(noise), level))
    print(f"Kinds above even odds, of {len(kinds)}, in a window of noise alone:\n")
    table("noise of", NOISES_DB, noise_alone)


def amplified(samples: Samples, gain_db: float) -> Samples:
    """Samples with a gain."""
    return samples * np.float32(10 ** (gain_db / 20))


if __name__ == "__main__":
    main()

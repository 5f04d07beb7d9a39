"""How well words are learned from examples: average precision on clips that were kept out.

    python examples/evaluate_learning.py --data RECORDINGS
    python examples/evaluate_learning.py --data RECORDINGS --kinds real
    python examples/evaluate_learning.py --frames

The words are made-up species of birds, which no checkpoint was taught, or with `--kinds real` the kinds of a folder of
recordings, which has a folder for each. The recordings of `--data` are in the pool in either case. Everything is done
as `pe-search learn` and `query @word` do it, from the embeddings of a store. Each figure is the mean over the words,
and over several draws of the positives.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pe_search
from pe_search.learning.fitting import fit
from pe_search.search.learned import UNJUDGED_WEIGHT, guess_from

RATE_HZ = 48_000
SPECIES = 8
CLIPS_PER_SPECIES = 24
POSITIVES = (1, 3, 5, 10)
NEARLY = "a bird singing"
Directions = NDArray[np.float64]


def make_call(species: int, number: int) -> NDArray[np.float32]:
    """A call of a species: syllables that sweep as the species has them, each bird a little otherwise, in noise."""
    kind, bird = np.random.default_rng([1, species]), np.random.default_rng([2, species, number])
    base_hz, sweep, rate_hz = kind.uniform(1_200, 7_000), kind.uniform(-0.6, 0.8), kind.uniform(2, 14)
    syllables, wobble_hz, depth = int(kind.integers(2, 9)), kind.uniform(0, 60), kind.uniform(0, 0.08)
    harmonics = kind.uniform(0, 0.6)
    samples = bird.standard_normal(3 * RATE_HZ) * 10 ** bird.uniform(-3.2, -2)
    base_hz *= bird.uniform(0.94, 1.06)
    rate_hz *= bird.uniform(0.9, 1.1)
    start_s = bird.uniform(0.05, 0.6)
    for syllable in range(syllables + int(bird.integers(-1, 2))):
        length = int(RATE_HZ * 0.7 / rate_hz)
        along = np.arange(length) / length
        hz = base_hz * (1 + sweep * along) * (1 + depth * np.sin(2 * np.pi * wobble_hz * along * 0.7 / rate_hz))
        phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
        tone = (np.sin(phase) + harmonics * np.sin(2 * phase)) * np.sin(np.pi * along) ** 2 * bird.uniform(0.1, 0.3)
        at = int((start_s + syllable / rate_hz) * RATE_HZ)
        room = min(length, len(samples) - at)
        if room > 0:
            samples[at : at + room] += tone[:room]
    return np.asarray(samples, np.float32)


def average_precision(scores: NDArray[np.float64], is_right: NDArray[np.bool_]) -> float:
    """Mean of the precision at each right clip, best first."""
    right = is_right[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(right) / np.arange(1, len(right) + 1))[right].mean())


class Pool:
    """Directions of clips with the kind of each; and what the store's checkpoint needs to learn from them."""

    def __init__(self, library: pe_search.Library, kind_of: Callable[[Path], str]) -> None:
        embeddings = library.embeddings()
        firsts = {path: row for row, path in reversed(list(enumerate(embeddings.paths)))}
        rows = np.array(sorted(firsts.values()))
        vectors = embeddings.vectors[rows].astype(np.float64)
        self.norm = float(np.linalg.norm(vectors, axis=1).mean())
        self.directions: Directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.kinds = np.array([kind_of(embeddings.paths[row]) for row in rows])
        self.manifest = library.manifest
        self._library = library

    def text(self, text: str) -> NDArray[np.float64]:
        """The embedding of a text."""
        return np.asarray(self._library.embed_text([text])[0], np.float64)

    def guess(self, text: str | None, liked: Directions) -> NDArray[np.float64]:
        """What a word starts from."""
        embedding = None if text is None else self.text(text)
        return guess_from(embedding, liked, self.manifest, self.norm)


def learn(
    pool: Pool, text: str | None, yes: Sequence[int], no: Sequence[int], unjudged: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The weights of a word."""
    judged = np.array([*yes, *no], np.int64)
    is_yes = np.arange(len(judged)) < len(yes)
    guess = pool.guess(text, pool.directions[judged[: len(yes)]])
    unjudged_directions = pool.directions[unjudged]
    return fit(pool.directions[judged], is_yes, unjudged_directions, guess, pool.manifest.logit_bias, UNJUDGED_WEIGHT)


def held_out(pool: Pool, words: Sequence[str], text_of: Callable[[str], str | None], draws: int) -> None:
    """Print the mean average precision by the number of positives, and how many clips are above even odds."""
    print("| way | " + " | ".join(f"{count}" for count in POSITIVES) + " |")
    print("|---" * (len(POSITIVES) + 1) + "|")
    ways = {
        "average of the liked (`--like`)": None,
        "learned, from the liked alone": lambda _word: None,
        "learned, from a text and the liked": text_of,
    }
    above: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for name, text in ways.items():
        cells = []
        for count in POSITIVES:
            found = []
            for word in words:
                own = np.flatnonzero(pool.kinds == word)
                if len(own) < count + 2:
                    continue
                for draw in range(draws):
                    rng = np.random.default_rng([draw, count, len(own)])
                    yes = rng.permutation(own)[:count]
                    rest = np.setdiff1d(np.arange(len(pool.kinds)), yes)
                    unjudged = rng.permutation(rest)[:1_000]
                    if text is None:
                        weights = pool.directions[yes].mean(axis=0)
                    else:
                        weights = learn(pool, text(word), list(yes), [], unjudged)
                    scores = pool.directions[rest] @ weights
                    is_right = pool.kinds[rest] == word
                    found.append(average_precision(scores, is_right))
                    if count == 5 and text is not None:
                        likely = scores + pool.manifest.logit_bias > 0
                        above[name].append((likely[is_right].mean(), likely[~is_right].mean()))
            cells.append(f"{np.mean(found):.3f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    for name, shares in above.items():
        if shares:
            right, wrong = np.mean(shares, axis=0)
            print(
                f"Above even odds with 5 positives, {name}: {right:.1%} of the right clips, {wrong:.1%} of the wrong."
            )


def in_rounds(pool: Pool, words: Sequence[str], draws: int) -> None:
    """Print the mean average precision over half of the clips, while the five best of the other half are judged."""
    after: dict[int, list[float]] = {}
    for word in words:
        for draw in range(draws):
            rng = np.random.default_rng([draw, 7])
            order = rng.permutation(len(pool.kinds))
            shown, kept_out = order[::2], order[1::2]
            own = shown[pool.kinds[shown] == word]
            is_right = pool.kinds[kept_out] == word
            if not (len(own) and is_right.any()):
                continue
            judged = [int(own[0])]
            for _ in range(5):
                yes = [row for row in judged if pool.kinds[row] == word]
                no = [row for row in judged if pool.kinds[row] != word]
                rest = np.setdiff1d(shown, judged)
                scores = pool.directions @ learn(pool, None, yes, no, rng.permutation(rest)[:1_000])
                after.setdefault(len(judged) - 1, []).append(average_precision(scores[kept_out], is_right))
                judged += [int(row) for row in rest[np.argsort(-scores[rest], kind="stable")[:5]]]
    row = ", ".join(f"{count} judged {np.mean(found):.3f}" for count, found in after.items())
    print(f"From one liked clip, the five best judged each round: {row}.")


def make_scene(species: int, number: int) -> tuple[NDArray[np.float32], list[tuple[float, float]]]:
    """20 s of noise with two calls of a species and one of another; and when those of the species are."""
    rng = np.random.default_rng([3, species, number])
    samples = (rng.standard_normal(20 * RATE_HZ) * 10**-2.6).astype(np.float32)
    times = []
    for place, own in enumerate(rng.permutation([True, True, False])):
        kind = species if own else (species + 1 + int(rng.integers(SPECIES - 1))) % SPECIES
        call = make_call(kind, 100 + 3 * number + place)
        start_s = float(6 * place + rng.uniform(0.5, 3))
        at = int(start_s * RATE_HZ)
        samples[at : at + len(call)] += call
        if own:
            times.append((start_s, start_s + len(call) / RATE_HZ))
    return samples, times


def on_frames(library: pe_search.Library, draws: int) -> None:
    """Print how well frames in calls are told from others: by the text, and by what was learned from three scenes.

    Learned is from 50 frames of the liked stretches, each of which counts as one judgement, with the frames outside
    them as weak negatives. Frames are scored as `locate` does, in windows of 5 s.
    """
    embedder = library.model.frame_embedder()
    frame_s = embedder.samples_per_frame / RATE_HZ
    text = np.asarray(library.embed_text([NEARLY])[0], np.float64)
    found: dict[str, list[float]] = {"text": [], "mean of the liked": [], "learned": []}
    for species in range(SPECIES):
        scenes = [make_scene(species, number) for number in range(6)]
        frames, inside = [], []
        for samples, times in scenes:
            vectors = np.concatenate(embedder.embed_frames(list(samples.reshape(4, -1)))).astype(np.float64)
            frames.append(vectors)
            middles_s = (np.arange(len(vectors)) + 0.5) * frame_s
            inside.append(np.any([(middles_s >= one) & (middles_s < other) for one, other in times], axis=0))
        norm = float(np.mean([np.linalg.norm(one, axis=1).mean() for one in frames]))
        directions = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in frames]
        for draw in range(draws):
            order = np.random.default_rng([draw, species]).permutation(len(scenes))
            taught, kept_out = order[:3], order[3:]
            yes = np.concatenate([directions[scene][inside[scene]] for scene in taught])
            no = np.concatenate([directions[scene][~inside[scene]] for scene in taught])
            rows = np.random.default_rng(draw).permutation(len(yes))[:50]
            guess = guess_from(text.astype(np.float32), yes[rows], library.manifest, norm)
            weights = fit(yes[rows], np.ones(len(rows), bool), no, guess, library.manifest.logit_bias, UNJUDGED_WEIGHT)
            truth = np.concatenate([inside[scene] for scene in kept_out])
            for name, scores in {
                "text": np.concatenate([frames[scene] @ text for scene in kept_out]),
                "mean of the liked": np.concatenate([directions[scene] @ yes.mean(axis=0) for scene in kept_out]),
                "learned": np.concatenate([directions[scene] @ weights for scene in kept_out]),
            }.items():
                ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable") + 1
                right = truth.sum()
                area = (ranks[truth].sum() - right * (right + 1) / 2) / (right * (len(truth) - right))
                found[name].append(float(area))
    shown = ", ".join(f"{name} {np.mean(values):.3f}" for name, values in found.items())
    print(f"Frames in calls, area under the ROC curve: {shown}.")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of recordings, with a folder for each kind")
    parser.add_argument(
        "--frames", action="store_true", help="measure words on frames alone, which needs no recordings"
    )
    parser.add_argument("--kinds", choices=["made", "real"], default="made")
    parser.add_argument("--draws", type=int, default=5, help="draws of the positives (default 5)")
    parser.add_argument("--store", type=Path, help="keep the store here, for the next time")
    options = parser.parse_args()
    if options.frames:
        with tempfile.TemporaryDirectory() as directory, pe_search.create(Path(directory) / "store") as library:
            on_frames(library, options.draws)
        return
    if options.data is None:
        parser.error("--data is required without --frames")
    data = options.data.resolve()
    with tempfile.TemporaryDirectory() as directory:
        store = options.store or Path(directory) / "store"
        library = pe_search.open(store) if store.exists() else pe_search.create(store)
        with library:
            if not list(library.clips()):
                library.index(data)
                calls = (
                    (f"call-{species}/{number}", make_call(species, number), RATE_HZ)
                    for species in range(SPECIES)
                    for number in range(CLIPS_PER_SPECIES)
                )
                library.add_all(calls)
            pool = Pool(library, lambda path: path.parent.name)
            made = [f"call-{species}" for species in range(SPECIES)]
            counts = {kind: int((pool.kinds == kind).sum()) for kind in sorted(set(pool.kinds))}
            words = (
                made if options.kinds == "made" else [kind for kind, n in counts.items() if n >= 4 and kind not in made]
            )
            print(f"{len(pool.kinds):,} clips, {len(words)} words, {options.draws} draws")
            held_out(pool, words, lambda word: NEARLY if word in made else word.replace("_", " "), options.draws)
            in_rounds(pool, words, options.draws)
            rng = np.random.default_rng(0)
            rows = rng.permutation(len(pool.kinds))[:1_050]
            times = []
            for _ in range(11):
                started_s = time.perf_counter()
                learn(pool, None, list(rows[:25]), list(rows[25:50]), rows[50:])
                times.append(time.perf_counter() - started_s)
            print(f"A fit with 50 judgements and {len(rows) - 50:,} negatives: {1e3 * np.median(times):.0f} ms")


if __name__ == "__main__":
    main()

"""How well clips are found by sound, by the words in their names, and by both, whatever their names say.

    python examples/evaluate_fusion.py --data ../shared/data/validate

A folder holds a folder of recordings for each kind of sound. Files whose names differ only after the last hyphen are
cuts of one recording, of which the first is taken. The recordings are copied into a temporary folder under made-up
names, and indexed with the built-in checkpoint. Then each kind with two recordings or more is asked for: by its plain
prompt (TEXT), by its name (--words), and by both. The figures are the mean average precision over the kinds; a
recording that a ranking lacks counts as never found.

The names of the files:

    helpful     all say their kind: `dog bark 17.ogg`
    for half    half of them do; the others are numbers
    misleading  half of them do; the others say another kind
    numbers     none says anything: `17.ogg`
"""

import argparse
import hashlib
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from recipe.captions import CONCEPTS, plain_prompt

import pe_search

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
SCHEMES = ("helpful", "for half", "misleading", "numbers")


@dataclass(frozen=True)
class Recording:
    """A file, and its kind: the name of its folder."""

    file: Path
    kind: str


def find_recordings(folder: Path, most: int | None = None) -> list[Recording]:
    """One file of each recording, of the kinds with at least two; at most so many of a kind. Bytes come once."""
    found: dict[str, dict[str, Path]] = {}
    seen: set[bytes] = set()
    for file in sorted(folder.glob("*/*")):
        if file.suffix.lower() in SUFFIXES:
            recording = file.stem.rpartition("-")[0] or file.stem
            digest = hashlib.sha256(file.read_bytes()).digest()
            if digest not in seen and recording not in found.setdefault(file.parent.name, {}):
                seen.add(digest)
                found[file.parent.name][recording] = file
    return [
        Recording(file, kind) for kind, files in found.items() if len(files) > 1 for file in list(files.values())[:most]
    ]


def words_of(kind: str) -> str:
    """What somebody types, or calls a file: `dog bark`."""
    return kind.replace("_", " ")


def names(recordings: Sequence[Recording], scheme: str, seed: int = 0) -> list[str]:
    """A made-up name for each recording, without suffix; always the same ones."""
    chance = random.Random(seed)
    kinds = sorted({one.kind for one in recordings})
    half = set(chance.sample(range(len(recordings)), len(recordings) // 2))
    made = []
    for number, one in enumerate(recordings):
        other = chance.choice([kind for kind in kinds if kind != one.kind])
        said = words_of(other if scheme == "misleading" and number in half else one.kind)
        if scheme == "numbers" or (scheme == "for half" and number in half):
            said = ""
        made.append(f"{said} {number}".strip())
    return made


def average_precision(found: Sequence[str], wanted: set[str]) -> float:
    """The mean of the precision at each wanted item of a ranking; 0 for one that is not in it."""
    ranks = [rank for rank, name in enumerate(found, start=1) if name in wanted]
    return sum(number / rank for number, rank in enumerate(ranks, start=1)) / len(wanted)


def evaluate(library: pe_search.Library, recordings: Sequence[Recording], stems: Sequence[str]) -> tuple[float, ...]:
    """Mean average precision by sound, by words and by both."""
    kind_of = dict(zip(stems, (one.kind for one in recordings), strict=True))
    precisions = []
    for kind in dict.fromkeys(kind_of.values()):
        wanted = {stem for stem in stems if kind_of[stem] == kind}
        text = plain_prompt(kind) if kind in CONCEPTS else words_of(kind)
        asked = ({"texts": text}, {"words": words_of(kind)}, {"texts": text, "words": words_of(kind)})
        rankings = ([hit.path.stem for hit in library.query(k=None, **one)] for one in asked)
        precisions.append([average_precision(ranking, wanted) for ranking in rankings])
    return tuple(map(mean, zip(*precisions, strict=True)))


def main(arguments: list[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder of recordings for each kind")
    parser.add_argument("--most", type=int, metavar="N", help="take N recordings of a kind at most")
    options = parser.parse_args(arguments)
    recordings = find_recordings(options.data, options.most)
    if not recordings:
        parser.error(f"{options.data} has no folder with two recordings or more")
    kinds = len({one.kind for one in recordings})
    print(f"{len(recordings)} recordings of {kinds} kinds\n")
    print("| names | sound | words | both |\n|---|---|---|---|")
    with TemporaryDirectory() as folder, pe_search.create(Path(folder) / "store") as library:
        sounds = Path(folder) / "sounds"
        for scheme in SCHEMES:
            # The same bytes under other names are not embedded again.
            shutil.rmtree(sounds, ignore_errors=True)
            sounds.mkdir()
            stems = names(recordings, scheme)
            for one, stem in zip(recordings, stems, strict=True):
                shutil.copy(one.file, sounds / f"{stem}{one.file.suffix.lower()}")
            library.index(sounds)
            figures = evaluate(library, recordings, stems)
            print(f"| {scheme} | {' | '.join(f'{figure:.3f}' for figure in figures)} |", flush=True)


if __name__ == "__main__":
    main()

"""How well a checkpoint ranks drums of makers that it has never heard: one-shots, told apart by their file names.

    apt-get download hydrogen-drumkits lmms-common && for package in *.deb; do dpkg -x $package drums; done
    python examples/evaluate_drums.py drums/usr/share/hydrogen/data/drumkits drums/usr/share/lmms/samples/drums

Any folder of drum samples will do. A file whose name doesn't say which of the seven drums it holds, or says more than
that (a rimshot, a pedal, a loop), is left out. Of one folder, a drum has four clips at most, so that no maker outweighs
the others. The figure of a drum is the average precision of its plain prompt over all clips of all drums.
"""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path

import soundfile
import torch
from recipe import scoring
from recipe.recordings import AUDIO_SUFFIXES, Recording
from transformers import AutoTokenizer, PeAudioModel

from pe_search.pe_audio.checkpoint import find_checkpoint

SOMETHING_ELSE = (
    r"bell|bow|brush|bongo|china|conga|drag|fx|ghost|half|latin|loop|mute|off|pedal|foot|ride|rim|ring|roll|semi|splash"
    r"|stick|swish"
)
DRUM_NAMES = (
    (r"crash|\bcc\b", "crash"),
    (r"open|\bo ?hh?\b|\bop\b|\bho\b", "open_hat"),
    (r"clos|\bc ?hh?\b|\bcl\b", "closed_hat"),
    (r"clap", "clap"),
    (r"snare|\bsd\b|\bsn\b", "snare"),
    (r"kick|bass ?drum|\bbd\b", "kick"),
    (r"\btoms?\b|\b(floor|low|mid|hi)tom\b|\btom[hml]\b", "tom"),
)
"""Pattern in a file's words → drum; the first that is found counts."""
MOST_OF_ONE_FOLDER = 4


def drum_of(stem: str) -> str | None:
    """The drum that a file name (without suffix) speaks of; None if of none of the seven or of something else."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[\W\d_]+", " ", stem).lower()
    if re.search(SOMETHING_ELSE, words):
        return None
    return next((drum for pattern, drum in DRUM_NAMES if re.search(pattern, words)), None)


def find_drums(folders: Iterable[Path]) -> list[Recording]:
    """The one-shots below the folders, at most four of a drum in each folder, evenly spread over their names."""
    found: dict[tuple[Path, str], list[Path]] = {}
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        drum = drum_of(path.stem) if path.suffix.lower() in AUDIO_SUFFIXES else None
        if drum and _can_be_read(path):
            found.setdefault((path.parent, drum), []).append(path)
    return [
        Recording(path, drum, fold=0, kit=folder.name)
        for (folder, drum), paths in found.items()
        for path in _spread(paths, MOST_OF_ONE_FOLDER)
    ]


def _can_be_read(path: Path) -> bool:
    try:
        return bool(soundfile.info(path).frames)
    except soundfile.LibsndfileError:
        return False


def _spread(paths: list[Path], most: int) -> list[Path]:
    count = min(most, len(paths))
    return [paths[(2 * i + 1) * len(paths) // (2 * count)] for i in range(count)]


def main(arguments: list[str] | None = None) -> None:
    """Score a checkpoint on the drums in some folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+", help="folder of drum samples")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint directory to score (default: the built-in one)")
    options = parser.parse_args(arguments)
    drums = find_drums(options.folder)
    if not drums:
        parser.error("no file's name tells of a drum")
    checkpoint = options.checkpoint or find_checkpoint("builtin").directory
    model = PeAudioModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    figures = scoring.score_drums(model, AutoTokenizer.from_pretrained(checkpoint), drums)
    print(f"{len(drums)} clips of {len({drum.path.parent for drum in drums})} folders\n")
    print("| drum | clips | average precision |\n|---|---|---|")
    for drum in (name for name in scoring.DRUM_KIT if name in figures.precision):
        count = sum(r.concept == drum for r in drums)
        print(f"| {drum} | {count} | {figures.precision[drum]:.3f} |")
    print(f"| mean | {len(drums)} | {figures.mean_precision:.3f} |")
    print(f"\naccuracy {figures.accuracy:.3f}")


if __name__ == "__main__":
    main()

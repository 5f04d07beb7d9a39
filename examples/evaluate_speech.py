"""How well speech is told from other sounds before it is recognised, what that saves, and how well it is recognised.

    python examples/evaluate_speech.py gate DATA... [--most N]
    python examples/evaluate_speech.py time SPEECH OTHERS
    python examples/evaluate_speech.py words FOLDER... [--speech-model NAME]...

DATA holds a folder for each kind of sound; those of `--speech` are speech, those of `--near` are close to it and count
as neither. `gate` prints the share of windows of speech that are kept and of others that are skipped at several
probabilities. `time` joins recordings of SPEECH and OTHERS to one of which a tenth is speech, and transcribes it twice.
`words` prints word error rates: a FOLDER has recordings and a file `transcription`, each line of which ends with the
name of a recording in brackets, as Debian's pocketsphinx-testdata has it (/usr/share/pocketsphinx/test/data/librivox).
"""

import argparse
import re
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import jiwer
import numpy as np
import soundfile
from recipe.recordings import AUDIO_SUFFIXES

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.read import ClipReader
from pe_search.model import Wanted
from pe_search.tasks.transcribing import SPEECH_FROM, SPEECH_TEXTS
from pe_search.transcriber import Transcriber

LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
SHARE_OF_SPEECH = 0.1
LENGTH_S = 600.0
SEED = 20_240_229
_LINE = re.compile(r"(?:<s> )?(.*?)(?: </s>)? \((\S+)\)")


def recordings(folder: Path, most: int) -> list[Path]:
    """Those in a folder, at most so many, evenly spread over their names."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
    return paths[:: max(1, -(-len(paths) // most))]


def gate(arguments: argparse.Namespace) -> None:
    """Print the table of the gate."""
    listener = Transcriber(Wanted(arguments.model))
    found: dict[str, list[float]] = defaultdict(list)
    for data in arguments.data:
        for folder in sorted(path for path in data.iterdir() if path.is_dir()):
            is_speech = folder.name in arguments.speech
            paths = recordings(folder, arguments.most_speech if is_speech else arguments.most)
            for hits in listener.label(paths, SPEECH_TEXTS, all_windows=True):
                found[folder.name].append(max(hit.probability or 0.0 for hit in hits))
    speech = np.array([one for kind in arguments.speech for one in found.get(kind, [])])
    others = np.array(
        [one for kind, many in found.items() if kind not in {*arguments.speech, *arguments.near} for one in many]
    )
    print(f"{len(speech)} windows of speech, {len(others)} of other sounds; texts: {', '.join(SPEECH_TEXTS)}")
    print("probability  speech kept  others skipped")
    for level in sorted({*LEVELS, SPEECH_FROM}):
        mark = "  used" if level == SPEECH_FROM else ""
        print(f"{level:11.2f}  {np.mean(speech >= level):11.3f}  {np.mean(others < level):14.3f}{mark}")
    taken = {kind: np.mean(np.array(many) >= SPEECH_FROM) for kind, many in found.items()}
    near = [f"{kind} {share:.2f}" for kind, share in sorted(taken.items(), key=lambda one: -one[1])[:12]]
    print(f"kinds most taken for speech: {', '.join(near)}")


def samples_of(path: Path) -> np.ndarray:
    """All of a recording, at 48 kHz."""
    with ClipReader(path) as reader:
        return np.concatenate(list(reader.blocks()))


def time_saved(arguments: argparse.Namespace) -> None:
    """Print how long a recording takes that is one tenth speech."""
    rng = np.random.default_rng(SEED)
    speech = recordings(arguments.speech_folder, 1_000)
    others = [
        path for folder in sorted(arguments.others.iterdir()) if folder.is_dir() for path in recordings(folder, 4)
    ]
    rng.shuffle(others)
    parts, lengths = [], {True: 0.0, False: 0.0}
    while sum(lengths.values()) < arguments.length:
        is_speech = lengths[True] < SHARE_OF_SPEECH * sum(lengths.values())
        paths = speech if is_speech else others
        part = samples_of(paths[len(parts) % len(paths)])
        parts.append(part)
        lengths[is_speech] += len(part) / SAMPLE_RATE_HZ
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recording.wav"
        soundfile.write(path, np.concatenate(parts), SAMPLE_RATE_HZ, subtype="PCM_16")
        print(f"{sum(lengths.values()):.0f} s, of which {lengths[True]:.0f} s are speech")
        listener = Transcriber()
        recogniser = listener.open_recogniser(arguments.speech_model)
        next(listener.transcribe([path], speech_model=recogniser))
        took_s = {}
        for all_audio in (False, True):
            started_s = time.process_time()
            (one,) = listener.transcribe([path], speech_model=recogniser, all_audio=all_audio)
            took_s[all_audio] = time.process_time() - started_s
            words = sum(len(segment.text.split()) for segment in one.segments)
            print(f"{'all audio' if all_audio else 'gated'}: {took_s[all_audio]:.1f} s of a core, {words} words")
        print(f"the gate, with the embedding that it takes, saves {1 - took_s[False] / took_s[True]:.0%} of the time")


def words(arguments: argparse.Namespace) -> None:
    """Print word error rates."""
    plain = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip()])
    for name in arguments.speech_model or [None]:
        listener = Transcriber()
        recogniser = listener.open_recogniser(name)
        for folder in arguments.folders:
            said = {}
            for line in (folder / "transcription").read_text(encoding="utf-8").splitlines():
                if match := _LINE.fullmatch(line):
                    said[match[2]] = plain(match[1])
            paths = [path for path in recordings(folder, 10_000) if path.stem in said]
            heard = listener.transcribe(paths, speech_model=recogniser, all_audio=True)
            texts = {one.path.stem: plain(" ".join(segment.text for segment in one.segments)) for one in heard}
            rate = jiwer.wer([said[stem] for stem in texts], list(texts.values()))
            print(f"{recogniser.name}: word error rate {rate:.2f} on {len(texts)} recordings in {folder}")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("gate")
    part.add_argument("data", type=Path, nargs="+")
    part.add_argument("--speech", nargs="+", default=["speech", "whisper"])
    part.add_argument("--near", nargs="+", default=["crowd_chatter", "crowd_cheer", "choir", "singing"])
    part.add_argument("--most", type=int, default=2, help="recordings of a kind that is not speech")
    part.add_argument("--most-speech", type=int, default=100, help="recordings of speech")
    part.add_argument("--model", help="the checkpoint; the built-in one by default")
    part.set_defaults(run=gate)
    part = parts.add_parser("time")
    part.add_argument("speech_folder", type=Path)
    part.add_argument("others", type=Path)
    part.add_argument("--length", type=float, default=LENGTH_S, help="of the recording, in seconds")
    part.add_argument("--speech-model")
    part.set_defaults(run=time_saved)
    part = parts.add_parser("words")
    part.add_argument("folders", type=Path, nargs="+")
    part.add_argument("--speech-model", action="append")
    part.set_defaults(run=words)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()

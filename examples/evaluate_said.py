"""How well a clip is found by what it sounds like, by what is said in it, and by both.

    python examples/evaluate_said.py --data ../shared/data/validate

A folder holds a folder of recordings for each kind of sound. They are copied into a temporary folder under numbers,
with subtitles beside them: made-up sentences about a few topics. Every topic is spoken of over several kinds of sound,
and over every kind of sound several topics are, but each kind and topic together are those of one recording. So the
sound alone, or the words alone, can't tell which one it is. They are indexed with the built-in checkpoint, and each
recording is asked for: by the plain prompt of its kind (TEXT), by the words of its topic (--said), and by both. The
figure is recall@1: the share of recordings that are the first hit.
"""

import argparse
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from evaluate_fusion import Recording, find_recordings
from recipe.captions import CONCEPTS, plain_prompt

import pe_search

TOPICS = {
    "tuesday meeting": "We should talk about it in the Tuesday meeting, when all of us are here.",
    "train tickets": "I have bought the train tickets, two of them, and they were not cheap.",
    "birthday cake": "Nobody told me that there would be a birthday cake.",
    "broken window": "The broken window has to be mended before it gets cold, I said so last week.",
    "second goal": "And that is the second goal in five minutes!",
    "old bridge": "They walked over the old bridge and never came back to the village.",
}
WAYS = ("sound", "words", "both")


@dataclass(frozen=True)
class Spoken:
    """A recording, and what is spoken of over it."""

    recording: Recording
    topic: str


def spoken_over(recordings: Sequence[Recording], most_kinds: int | None = None) -> list[Spoken]:
    """A topic for each recording, so that no two of a kind have the same; of each kind as many as there are topics."""
    topics = list(TOPICS)
    kinds = list(dict.fromkeys(one.kind for one in recordings))[:most_kinds]
    seen: Counter[str] = Counter()
    spoken = []
    for one in recordings:
        if one.kind in kinds and seen[one.kind] < len(topics):
            # From kind to kind another topic comes first, so that all come as often.
            spoken.append(Spoken(one, topics[(kinds.index(one.kind) + seen[one.kind]) % len(topics)]))
            seen[one.kind] += 1
    return spoken


def subtitles(topic: str) -> str:
    """An SRT file in which a topic is spoken of in the first second."""
    return f"1\n00:00:00,100 --> 00:00:01,000\n{TOPICS[topic]}\n"


def recalls(spoken: Sequence[Spoken], folder: Path) -> dict[str, float]:
    """Recall@1 of each way to ask, with what is made in a folder."""
    sounds = folder / "sounds"
    sounds.mkdir()
    places = {}
    for number, one in enumerate(spoken):
        place = sounds / f"{number}{one.recording.file.suffix}"
        shutil.copyfile(one.recording.file, place)
        place.with_suffix(".srt").write_text(subtitles(one.topic), encoding="utf-8")
        places[place] = one
    found = dict.fromkeys(WAYS, 0)
    with pe_search.create(folder / "store") as library:
        library.index(sounds)
        for place, one in places.items():
            prompt = plain_prompt(one.recording.kind)
            asked = {"sound": ([prompt], ""), "words": ([], one.topic), "both": ([prompt], one.topic)}
            for way, (texts, said) in asked.items():
                found[way] += [hit.path for hit in library.query(texts, said=said, k=1)] == [place]
    return {way: count / len(places) for way, count in found.items()}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with a folder of recordings for each kind")
    parser.add_argument("--kinds", type=int, help="only so many kinds")
    arguments = parser.parse_args()
    recordings = [one for one in find_recordings(arguments.data, len(TOPICS)) if one.kind in CONCEPTS]
    spoken = spoken_over(recordings, arguments.kinds)
    with TemporaryDirectory() as folder:
        figures = recalls(spoken, Path(folder))
    kinds = len({one.recording.kind for one in spoken})
    print(f"{len(spoken)} recordings of {kinds} kinds, {len(TOPICS)} topics")
    for way in WAYS:
        print(f"recall@1 by {way:<6} {figures[way]:.3f}")


if __name__ == "__main__":
    main()

"""`concepts.json` and `words.txt`, the lists beside the checkpoint of what it was taught and from what."""

import json
from collections.abc import Sequence
from pathlib import Path

from recipe import captions
from recipe.pool import Source


def write_concepts(directory: Path, sources: Sequence[Source]) -> None:
    """One entry for each concept: a prompt for it, how many recordings by collection, how many synthesised sounds."""
    entries = []
    for concept in captions.CONCEPTS:
        recordings: dict[str, int] = {}
        synthesised = 0
        for source in (s for s in sources if s.concept == concept):
            if source.recorded:
                recordings[source.collection] = recordings.get(source.collection, 0) + 1
            else:
                synthesised += len(source.clips)
        if recordings or synthesised:
            entry = {"concept": concept, "prompt": captions.plain_prompt(concept)}
            entries.append(entry | {"recordings": recordings, "synthesised": synthesised})
    text = ",\n".join(f"  {json.dumps(entry, ensure_ascii=False)}" for entry in entries)
    (directory / "concepts.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


def write_words(directory: Path) -> None:
    """Write `words.txt`: the words of the captions, one a line, which is what the text tower was taught."""
    (directory / "words.txt").write_text("\n".join(captions.vocabulary()) + "\n", encoding="utf-8")


def taught_concepts(directory: Path) -> list[str]:
    """The concepts that a checkpoint directory says it was taught; none if it has no list."""
    file = directory / "concepts.json"
    return [entry["concept"] for entry in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []

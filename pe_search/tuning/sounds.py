"""Rows of a table and windows of clips become sounds to learn from, of which some recordings are held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pe_search.known.annotations import CAPTIONS, TIMES, Annotation, Annotations
from pe_search.tuning.codec import CodecCache

_HELD_OUT_SHARE = 0.25
# Of an event or of a window, whichever is shorter: so much of it must lie in the window to be heard there.
_LEAST_OVERLAP = 0.5


@dataclass(frozen=True, slots=True)
class Sound:
    """A clip, or with times a window of one.

    Attributes:
        windows: The numbers of its windows.
        heard: The texts that are heard in it, by their places.
        unknown: Those of which that isn't known.
        recording: The number of the recording that it is a part of.
    """

    windows: tuple[int, ...]
    heard: frozenset[int]
    unknown: frozenset[int]
    recording: int


@dataclass(frozen=True, slots=True)
class Sounds:
    """The sounds of a table.

    Attributes:
        texts: Its labels or captions.
        all: The sounds.
        places: The content and the place in it of each window, by its number.
    """

    texts: tuple[str, ...]
    all: tuple[Sound, ...]
    places: tuple[tuple[bytes, int], ...]


def gather_sounds(annotations: Annotations, digests: Mapping[Path, bytes], cache: CodecCache) -> Sounds:
    """The sounds of a table. Clips of the same bytes are one sound, and of one recording.

    Args:
        annotations: The table.
        digests: The content of each of its clips that could be read.
        cache: What holds their windows.
    """
    rows: dict[bytes, list[Annotation]] = {}
    for row in annotations.rows:
        if row.path in digests:
            rows.setdefault(digests[row.path], []).append(row)
    recordings = numbered([[row.recording for row in of_content] for of_content in rows.values()])
    place_of = {text: place for place, text in enumerate(annotations.labels)}
    sounds: list[Sound] = []
    places: list[tuple[bytes, int]] = []
    for (digest, of_content), recording in zip(rows.items(), recordings, strict=True):
        times = cache.times(digest) or []
        numbers = range(len(places), len(places) + len(times))
        places += [(digest, window) for window in range(len(times))]
        if annotations.kind == TIMES:
            for number, (start_s, end_s) in zip(numbers, times, strict=True):
                heard, unknown = _heard_within(of_content, start_s, end_s, place_of)
                sounds.append(Sound((number,), heard, unknown, recording))
        else:
            heard = frozenset(place_of[row.label] for row in of_content if row.label)
            sounds.append(Sound(tuple(numbers), heard, frozenset(), recording))
    return Sounds(annotations.labels, tuple(sounds), tuple(places))


def hold_out(sounds: Sounds, kind: str, seed: int) -> frozenset[int]:
    """The recordings that are not learned from, so that what was learned can be measured on them.

    A quarter of those of each label, and at least one; but a label keeps one at least to be learned from. Of captions,
    and of sounds in which nothing is heard, a quarter in all.

    Args:
        sounds: All.
        kind: Of the table.
        seed: The same one draws the same.
    """
    drawing = np.random.default_rng([seed, 0])
    of_text: dict[int, set[int]] = {}
    for sound in sounds.all:
        # A caption is about one clip: there is nothing to share out.
        for text in (-1,) if kind == CAPTIONS else (sound.heard or (-1,)):
            of_text.setdefault(text, set()).add(sound.recording)
    # What is the only one of a label is needed to learn it.
    only = {next(iter(those)) for text, those in of_text.items() if len(those) == 1 and text >= 0}
    held: set[int] = set()
    for _, those in sorted(of_text.items(), key=lambda one: (len(one[1]), one[0])):
        if len(those) < 2:
            continue
        wanted = max(1, round(_HELD_OUT_SHARE * len(those)))
        free = [one for one in sorted(those - held) if one not in only and _leaves_some(one, held, of_text)]
        for one in drawing.permutation(free)[: max(0, wanted - len(those & held))]:
            if _leaves_some(int(one), held, of_text):
                held.add(int(one))
    return frozenset(held)


def _leaves_some(recording: int, held: set[int], of_text: Mapping[int, set[int]]) -> bool:
    return all(those - held - {recording} for text, those in of_text.items() if recording in those and text >= 0)


def _heard_within(
    rows: Sequence[Annotation], start_s: float, end_s: float, place_of: Mapping[str, int]
) -> tuple[frozenset[int], frozenset[int]]:
    """What is heard in a window, and what only its edge has, so that it is neither right nor wrong."""
    heard, touched = set(), set()
    for row in rows:
        if not row.label or row.start_s is None or row.end_s is None:
            continue
        common_s = min(end_s, row.end_s) - max(start_s, row.start_s)
        if common_s >= _LEAST_OVERLAP * min(end_s - start_s, row.end_s - row.start_s):
            heard.add(place_of[row.label])
        elif common_s > 0:
            touched.add(place_of[row.label])
    return frozenset(heard), frozenset(touched - heard)


def numbered(groups: Sequence[Sequence[str]]) -> list[int]:
    """A number for each group of names; those that share a name, also by way of others, have the same."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for names in groups:
        for name in names[1:]:
            leader[find(name)] = find(names[0])
    number_of: dict[str, int] = {}
    return [number_of.setdefault(find(names[0]), len(number_of)) for names in groups]

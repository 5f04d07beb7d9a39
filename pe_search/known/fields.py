"""What may be shown of clips, hits and labels: one list of names, and what each of them means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from pe_search.errors import quoted
from pe_search.known.filters import local_s
from pe_search.known.naming import category_of
from pe_search.places import is_there
from pe_search.queries import Hit
from pe_search.records import IndexedClip

_DIGITS = 6


class Kind(StrEnum):
    """What the values of a field are. Each may be unknown: None, or no texts."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    FLAG = "flag"
    TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the fields of one row are read from.

    Attributes:
        path: The clip's.
        clip: What is known of it; None if nothing is.
        hit: The hit, or the label; None for a clip by itself.
        copies: Other clips of the same bytes.
    """

    path: Path
    clip: IndexedClip | None = None
    hit: Hit | None = None
    copies: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that may be shown.

    Attributes:
        name: What the user calls it; names carry units.
        kind: What its values are.
        value: Reads it: text, whole number, number, whether something is so, or a list of texts, as JSON has them.
        needs_clip: Whether it is read from `Shown.clip`.
        needs_copies: Whether it is read from `Shown.copies`.
    """

    name: str
    kind: Kind
    value: Callable[[Shown], Any]
    needs_clip: bool = False
    needs_copies: bool = False


def named(names: Iterable[str], known: Mapping[str, Field]) -> tuple[Field, ...]:
    """The fields of some names, in their order.

    Raises:
        ValueError: If there is none, one is unknown, or one is named twice.
    """
    listed = list(names)
    known_ones = f"fields are {', '.join(all_of(known))}"
    if not listed:
        raise ValueError(f"there is no field; {known_ones}")
    for place, name in enumerate(listed):
        if name not in known:
            raise ValueError(f"{quoted(name)} is not a field; {known_ones}")
        if name in listed[:place]:
            raise ValueError(f"the field {quoted(name)} is named twice")
    return tuple(known[name] for name in listed)


def order_of(field: Field) -> Callable[[Any], Any]:
    """What the known values of a field are sorted by: numbers by size, texts without regard to case.

    Times of recordings are in the order of the recorder's clock, as `filters` takes them: not all have a zone.
    """
    if field.name == "recorded_at":
        return local_s
    if field.name in ("path", "folder", "name"):
        return os.fsencode
    if field.kind is Kind.TEXT:
        return _folded
    if field.kind is Kind.TEXTS:
        return lambda texts: [_folded(text) for text in texts]
    return lambda value: value


def is_known(value: object) -> bool:
    """Whether a value of a field says anything."""
    return value is not None and value != []


def moment_at(recorded_at: str | None, start_s: float) -> str | None:
    """When something in a recording was: its start and the seconds since, in milliseconds; None for None.

    The offset stays that of the start, as a recorder's clock doesn't change to summer time while it runs.
    """
    if recorded_at is None:
        return None
    try:
        moment = datetime.fromisoformat(recorded_at) + timedelta(seconds=start_s, microseconds=500)
    except OverflowError:  # in the year 10,000
        return None
    return moment.isoformat(timespec="milliseconds")


def _folded(text: str) -> tuple[str, str]:
    return text.casefold(), text


def _of_clip(name: str, kind: Kind, read: Callable[[IndexedClip], Any]) -> Field:
    def value(shown: Shown) -> Any:
        return None if shown.clip is None else read(shown.clip)

    return Field(name, kind, value, needs_clip=True)


def _of_facts(name: str, kind: Kind) -> Field:
    return _of_clip(name, kind, lambda clip: getattr(clip.facts, name))


def _of_hit(name: str, kind: Kind, read: Callable[[Hit], Any]) -> Field:
    def value(shown: Shown) -> Any:
        return None if shown.hit is None else read(shown.hit)

    return Field(name, kind, value)


def _indexed_at(clip: IndexedClip) -> str | None:
    return None if clip.indexed_at_s is None else datetime.fromtimestamp(clip.indexed_at_s, UTC).isoformat()


def _length_s(clip: IndexedClip) -> float | None:
    return None if clip.duration_s is None else round(clip.duration_s, _DIGITS)


def _captions(shown: Shown) -> list[str] | None:
    if shown.clip is None:
        return None
    hit = shown.hit
    there = (one for one in shown.clip.captions if hit is None or (one.start_s < hit.end_s and hit.start_s < one.end_s))
    return list(dict.fromkeys(one.text for one in there))


def _is_gone(shown: Shown) -> bool:
    if shown.clip is not None:
        return shown.clip.is_gone()
    return shown.path.is_absolute() and not is_there(shown.path)


def _at(shown: Shown) -> str | None:
    recorded_at = None if shown.clip is None else shown.clip.recorded_at
    return None if shown.hit is None else moment_at(recorded_at, shown.hit.start_s)


_PATH = Field("path", Kind.TEXT, lambda shown: str(shown.path))
_OF_CLIPS = (
    Field("name", Kind.TEXT, lambda shown: shown.path.name),
    Field("folder", Kind.TEXT, lambda shown: None if shown.path.parent == Path() else str(shown.path.parent)),
    _of_clip("length_s", Kind.NUMBER, _length_s),
    _of_clip("windows", Kind.WHOLE, lambda clip: clip.windows if clip.is_held else None),
    _of_clip("size_bytes", Kind.WHOLE, lambda clip: clip.size_bytes),
    _of_facts("sample_rate_hz", Kind.WHOLE),
    _of_facts("channels", Kind.WHOLE),
    _of_facts("bits", Kind.WHOLE),
    _of_facts("codec", Kind.TEXT),
    _of_facts("title", Kind.TEXT),
    _of_facts("artist", Kind.TEXT),
    _of_facts("album", Kind.TEXT),
    _of_facts("comment", Kind.TEXT),
    _of_facts("description", Kind.TEXT),
    _of_facts("genre", Kind.TEXT),
    _of_clip("keywords", Kind.TEXTS, lambda clip: [*clip.facts.keywords]),
    _of_facts("bpm", Kind.NUMBER),
    _of_facts("key", Kind.TEXT),
    Field("category", Kind.TEXT, lambda shown: category_of(shown.path)),
    _of_facts("loudness_lufs", Kind.NUMBER),
    _of_facts("peak_dbfs", Kind.NUMBER),
    _of_clip("recorded_at", Kind.TEXT, lambda clip: clip.recorded_at),
    _of_clip("recorded_by", Kind.TEXT, lambda clip: clip.recorded_by),
    _of_clip("tags", Kind.TEXTS, lambda clip: [*clip.tags]),
    # Of a hit or a label, those of parts that it is in.
    Field("captions", Kind.TEXTS, _captions, needs_clip=True),
    _of_clip("indexed_at", Kind.TEXT, _indexed_at),
    _of_clip("is_incomplete", Kind.FLAG, lambda clip: clip.missing is not None),
    Field("is_gone", Kind.FLAG, _is_gone),
    _of_clip("digest", Kind.TEXT, lambda clip: clip.digest.hex() if clip.is_held else None),
    # What `list` has always called it.
    _of_clip("duration_s", Kind.NUMBER, _length_s),
)
_COPIES = Field("copies", Kind.TEXTS, lambda shown: [str(path) for path in shown.copies], needs_copies=True)
_RANKED = (
    _of_hit("rank", Kind.WHOLE, lambda hit: hit.rank),
    _PATH,
    _of_hit("start_s", Kind.NUMBER, lambda hit: round(hit.start_s, _DIGITS)),
    _of_hit("end_s", Kind.NUMBER, lambda hit: round(hit.end_s, _DIGITS)),
    _of_hit("score", Kind.NUMBER, lambda hit: hit.score),
    _of_hit("probability", Kind.NUMBER, lambda hit: hit.probability),
    Field("at", Kind.TEXT, _at, needs_clip=True),
)
_OLDER = frozenset({"duration_s"})


def _by_name(*fields: Field) -> Mapping[str, Field]:
    return {field.name: field for field in fields}


CLIP_FIELDS = _by_name(_PATH, *_OF_CLIPS, _COPIES)
"""Of the clips of a store, by name."""

_RANKS = (
    _of_hit("sound_rank", Kind.WHOLE, lambda hit: hit.sound_rank),
    _of_hit("words_rank", Kind.WHOLE, lambda hit: hit.words_rank),
    _of_hit("said_rank", Kind.WHOLE, lambda hit: hit.said_rank),
    _of_hit("said", Kind.TEXT, lambda hit: None if hit.said is None else hit.said.text or None),
)

HIT_FIELDS = _by_name(_of_hit("query", Kind.TEXT, lambda hit: hit.query), *_RANKED, *_RANKS, *_OF_CLIPS, _COPIES)
"""Of hits, by name."""

LABEL_FIELDS = _by_name(_of_hit("label", Kind.TEXT, lambda hit: hit.query), *_RANKED, *_OF_CLIPS)
"""Of labels, by name."""

FIELDS = {**HIT_FIELDS, **LABEL_FIELDS}
"""All of them, by name."""


def all_of(known: Mapping[str, Field]) -> list[str]:
    """The names of all fields of a kind, without older names for others among them."""
    return [name for name in known if name not in _OLDER]

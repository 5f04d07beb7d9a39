"""What a file says of itself beside its sound, read without decoding any of it."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import BinaryIO

from pe_search.audio.headers import wave_chunks
from pe_search.known import recorded
from pe_search.records import Facts

# A chunk of metadata that is longer is not read: nobody types so much, and files come from strangers.
_LONGEST_CHUNK_BYTES = 1 << 20
_LONGEST_TEXT = 2_000
_MOST_KEYWORDS = 100
_SEPARATORS = re.compile(r"[,;|\n]")
# The chunk of ACID: flags, root note, three that are of no use here, beats, metre, tempo.
_ACID = struct.Struct("<IHHfIHHf")
_IS_ONE_SHOT = 1
_HAS_ROOT_NOTE = 2
_NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# Under which names FFmpeg and libsndfile give a tag, in the order of trust.
_TITLE = ("title",)
_ARTIST = ("artist", "author", "album_artist")
_ALBUM = ("album",)
_COMMENT = ("comment",)
_DESCRIPTION = ("description", "synopsis", "subtitle")
_GENRE = ("genre",)
_KEYWORDS = ("keywords", "subject", "category", "grouping", "ikey")
_BPM = ("tbpm", "bpm", "tempo", "tmpo")
_KEY = ("tkey", "initialkey", "initial_key", "key")
_RECORDED = ("creation_time", "date", "recorded_date", "idit", "icrd")
# What tells files that pe-search wrote.
_OURS = "pe-search"
_SLOWEST_BPM = 10.0
_FASTEST_BPM = 1_000.0


def read_facts(file: BinaryIO, tags: Mapping[str, str], stream: Facts) -> Facts:
    """Gather what a file says of itself.

    Args:
        file: The open file, at any position, where it is left.
        tags: What the library that decodes it gives of tags; of several with one name it has one.
        stream: What is known of its samples.
    """
    told = _Told(_by_name(tags))
    position = file.tell()
    chunks = dict(_metadata_chunks(file))
    file.seek(position)  # whoever decodes the file goes on from there
    guano = _read_guano(chunks.get(b"guan", b""))
    ixml = _read_ixml(chunks.get(b"iXML", b""))
    described, bext = _read_bext(chunks.get(b"bext", b""))
    comment = told.first(_COMMENT) or _clean(guano.get("Note", ""))
    description = _clean(described) or told.first(_DESCRIPTION) or _clean(ixml.get("NOTE", ""))
    keywords = [*_split(told.first(_KEYWORDS) or ""), *_split(guano.get("Tags", "")), *_split(ixml.get("KEYWORDS", ""))]
    keywords += [guano[key] for key in ("Species Manual ID", "Species Auto ID") if guano.get(key)]
    bpm, key = _read_acid(chunks.get(b"acid", b""))
    at, by = _recorded(guano, bext, comment or "", told)
    return replace(
        stream,
        title=told.first(_TITLE),
        artist=told.first(_ARTIST),
        album=told.first(_ALBUM),
        comment=comment,
        description=description,
        genre=told.first(_GENRE),
        keywords=tuple(dict.fromkeys(_clean(word) or "" for word in keywords[:_MOST_KEYWORDS] if _clean(word))),
        bpm=_bpm(told.first(_BPM)) or bpm,
        key=told.first(_KEY) or key,
        recorded_at=None if at is None else at.isoformat(),
        recorded_by=by,
    )


def comments_of(facts: Facts, recorded: tuple[datetime, str] | None) -> list[tuple[str, str]]:
    """What a part of a file is to say of itself, as Vorbis comments, so that `read_facts` reads it back.

    Args:
        facts: Of the file.
        recorded: When the part was recorded, and what says so; None if that is not known.
    """
    texts = {
        "TITLE": facts.title,
        "ARTIST": facts.artist,
        "ALBUM": facts.album,
        "GENRE": facts.genre,
        "COMMENT": facts.comment,
        "DESCRIPTION": facts.description,
        "BPM": None if facts.bpm is None else f"{facts.bpm:.15g}",
        "INITIALKEY": facts.key,
        # The second for other programs. It says less: tags come after a file's name, and don't tell who says so.
        "RECORDED_AT": None if recorded is None else recorded[0].isoformat(),
        "DATE": None if recorded is None else recorded[0].isoformat(),
        "RECORDED_BY": None if recorded is None else recorded[1],
    }
    said = [(name, text) for name, text in texts.items() if text is not None]
    said += [("KEYWORDS", word) for word in facts.keywords]
    return [*said, ("ENCODER", _OURS)] if said else []


def _by_name(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags by their names in lower case.

    What Vorbis comments call DESCRIPTION is `comment` to FFmpeg, though there may be a COMMENT too.
    """
    named = {name.lower(): value for name, value in tags.items()}
    comment = next((value for name, value in tags.items() if name.lower() == "comment" != name), None)
    if "comment" in tags and (comment is not None or named.get("encoder") == _OURS):
        named |= {"description": tags["comment"], "comment": comment or ""}
    return named


class _Told:
    """Tags by their names in lower case."""

    def __init__(self, tags: Mapping[str, str]) -> None:
        self._tags = tags

    def first(self, names: tuple[str, ...]) -> str | None:
        """The first of some tags that says anything."""
        return next((value for name in names if (value := _clean(self._tags.get(name, "")))), None)


def _recorded(
    guano: Mapping[str, str], bext: datetime | None, comment: str, told: _Told
) -> tuple[datetime | None, str | None]:
    """When it was recorded, and what says so; the first in this order that says anything."""
    own = recorded.from_text(told.first(("recorded_at",)) or "")
    own_by = told.first(("recorded_by",)) or ""
    found = (
        (own, own_by if own_by in recorded.SOURCES else "tags"),
        (recorded.from_text(guano.get("Timestamp", "")), "GUANO"),
        (bext, "bext"),
        (recorded.from_audiomoth(comment), "AudioMoth"),
        (recorded.from_text(told.first(_RECORDED) or ""), "tags"),
    )
    return next(((at, by) for at, by in found if at is not None), (None, None))


def _metadata_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Name and bytes of the chunks of a WAV that tell something; of several of one name the first."""
    seen = set()
    size_bytes = os.fstat(file.fileno()).st_size
    for name, at, size in wave_chunks(file):
        if name in (b"bext", b"iXML", b"guan", b"acid") and name not in seen and size <= _LONGEST_CHUNK_BYTES:
            seen.add(name)
            file.seek(at)
            yield name, file.read(min(size, size_bytes - at))


def _read_guano(chunk: bytes) -> dict[str, str]:
    """Keys and values of GUANO 1.0 (guano-md.org): a `key: value` a line."""
    pairs = (line.partition(":") for line in chunk.decode("utf-8", "replace").splitlines())
    return {key.strip().removeprefix("GUANO|"): value.strip() for key, colon, value in pairs if colon and value.strip()}


def _read_bext(chunk: bytes) -> tuple[str, datetime | None]:
    """Description and time of a Broadcast Wave."""
    if not chunk:
        return "", None
    from wavinfo.wave_bext_reader import WavBextReader

    try:
        # It should be ASCII. Latin-1 takes any byte, and what is UTF-8 in it is seen below.
        bext = WavBextReader(chunk, "latin-1")
    except struct.error:  # it is too short
        return "", None
    return _utf8(bext.description), recorded.from_bext(bext.originator_date, bext.originator_time)


def _utf8(text: str) -> str:
    """A text that was read as Latin-1 as UTF-8, if it is that."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return text


def _read_ixml(chunk: bytes) -> dict[str, str]:
    """The texts of iXML by the names of their elements."""
    if not chunk:
        return {}
    from wavinfo.wave_ixml_reader import WavIXMLFormat

    try:
        root = WavIXMLFormat(chunk.rstrip(b"\0 ")).raw_xml.getroot()
    except (SyntaxError, ValueError, LookupError):
        return {}
    return {} if root is None else {str(one.tag): one.text for one in root.iter() if one.text and one.text.strip()}


def _read_acid(chunk: bytes) -> tuple[float | None, str | None]:
    """Tempo and root note of a loop."""
    if len(chunk) < _ACID.size:
        return None, None
    flags, note, *_, tempo = _ACID.unpack_from(chunk)
    has_tempo = not flags & _IS_ONE_SHOT and _SLOWEST_BPM <= tempo <= _FASTEST_BPM
    return (round(tempo, 3) if has_tempo else None), (_NOTES[note % 12] if flags & _HAS_ROOT_NOTE else None)


def _bpm(text: str | None) -> float | None:
    try:
        bpm = float((text or "").replace(",", "."))
    except ValueError:
        return None
    return bpm if _SLOWEST_BPM <= bpm <= _FASTEST_BPM else None


def _split(text: str) -> list[str]:
    return _SEPARATORS.split(text[:_LONGEST_TEXT])


def _clean(text: str) -> str | None:
    """A text without control characters, in one line, not too long; None if nothing is left."""
    if not text:
        return None
    kept = "".join(" " if ord(one) < 32 or 127 <= ord(one) < 160 else one for one in text[: 4 * _LONGEST_TEXT])
    return " ".join(kept.split())[:_LONGEST_TEXT] or None

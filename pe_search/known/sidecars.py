"""Transcripts beside clips: which files are such, and what they say.

Subtitles (SRT, WebVTT), plain text, and the JSON of Whisper, WhisperX and whisper.cpp. pysubs2 reads the subtitles.
"""

from __future__ import annotations

import codecs
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pe_search.records import Segment, SpokenWord

# The first is taken where there are several: what has times of words, then what has times.
SIDECAR_EXTENSIONS = (".json", ".vtt", ".srt", ".txt")
ENGINE = "sidecar"
_MOST_BYTES = 32 << 20
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_](?:[A-Za-z]{2}|[A-Za-z]{4}|\d{3}))?")
_VTT_LANGUAGE = re.compile(r"^Language:\s*(\S+)", re.MULTILINE)
# Of WebVTT: voices and the like, and from when what follows is said. The latter are put as marks while pysubs2 reads,
# which takes a line with two of them for the times of a cue.
_TAG = re.compile(r"<[^<>]*>")
_TIME = re.compile(r"<(?:(\d{1,4}):)?([0-5]\d):([0-5]\d)\.(\d{3})>")
_MARK = re.compile("\ue000(\\d+)\ue001")
# What a terminal obeys: colours and the like. They are no part of the words beside them.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LABEL = re.compile(r"-?\d+(\.\d+)?\t-?\d+(\.\d+)?(\t.*)?")
_MS_PER_S = 1_000


class NoTranscriptError(ValueError):
    """A file is something else than a transcript."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a file says.

    Attributes:
        segments: In order of time.
        language: As the file has it; empty if it doesn't say.
    """

    segments: tuple[Segment, ...]
    language: str = ""


def clips_meant(name: str) -> Iterator[tuple[str, str]]:
    """What clips may be called, with their extension or without it, beside which a file is a sidecar.

    `a.wav.en.srt` is for `a.wav.en`, and, in English, for `a.wav`.

    Args:
        name: Of the file.

    Yields:
        A name and the language; none if that is empty.
    """
    stem = name.rpartition(".")[0]
    yield stem, ""
    base, _, language = stem.rpartition(".")
    if base and _LANGUAGE.fullmatch(language):
        yield base, language


def engine_of(language: str) -> str:
    """What the transcript of a sidecar is kept under."""
    return f"{ENGINE}.{language}" if language else ENGINE


def is_from_sidecar(engine: str) -> bool:
    """Whether a transcript was taken from a file."""
    return engine.partition(".")[0] == ENGINE


def read_sidecar(content: bytes, extension: str, length_s: float) -> Said:
    """What a sidecar says.

    Args:
        content: Its bytes. They are UTF-8, with a mark or without, UTF-16 with a mark, or else Latin-1.
        extension: One of `SIDECAR_EXTENSIONS`.
        length_s: Of the clip: text without times is said in all of it.

    Raises:
        NoTranscriptError: If it is JSON or text of another kind.
        ValueError: If it is broken, in words.
    """
    if len(content) > _MOST_BYTES:
        raise ValueError(f"is larger than {_MOST_BYTES >> 20} MiB")
    text = _decoded(content)
    if "\0" in text:
        raise ValueError("is no text: it has bytes that are zero. If it is UTF-16, save it as UTF-8")
    if extension == ".json":
        said = _of_json(text)
    elif extension == ".txt":
        said = _of_text(text, length_s)
    else:
        said = _of_subtitles(text, extension.removeprefix("."))
    segments = [_within(one, length_s) for one in said.segments if one.start_s < length_s]
    if said.segments and not segments:
        raise ValueError("all that it has begins after the end of the clip")
    return Said(tuple(sorted(segments, key=lambda one: (one.start_s, one.end_s))), said.language)


def _decoded(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ValueError("is no text") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _of_subtitles(text: str, kind: str) -> Said:
    from pysubs2 import SSAFile
    from pysubs2.exceptions import Pysubs2Error

    if kind == "vtt":
        text = _TIME.sub(_mark_of, re.sub("[\ue000\ue001]", "", text))
    try:
        events = SSAFile.from_string(text, format_=kind)
    except (Pysubs2Error, ValueError, KeyError, IndexError, OverflowError) as error:
        raise ValueError(f"can't be read as {kind.upper()}") from error
    # WebVTT alone escapes `&` and `<`.
    unescaped = html.unescape if kind == "vtt" else str
    said = [
        _cue(event.start / _MS_PER_S, event.end / _MS_PER_S, unescaped(_TAG.sub("", event.plaintext)))
        for event in events
        if not event.is_comment
    ]
    if not events and text.strip() and ("-->" in text or not text.startswith("WEBVTT")):
        raise ValueError(f"has no subtitles of {kind.upper()}")
    language = _VTT_LANGUAGE.search(text.partition("-->")[0]) if kind == "vtt" else None
    return Said(tuple(one for one in said if one.text), language[1] if language else "")


def _mark_of(time: re.Match[str]) -> str:
    hours, minutes, seconds, ms = (int(part or 0) for part in time.groups())
    return f"\ue000{((hours * 60 + minutes) * 60 + seconds) * _MS_PER_S + ms}\ue001"


def _cue(start_s: float, end_s: float, text: str) -> Segment:
    """A cue, in whose text there may be marks that say from when what follows is said.

    Words between two marks are all said between these: no more is known.
    """
    first, *rest = _MARK.split(text)
    if not rest:
        return _segment(start_s, end_s, text)
    times = [start_s, *(min(max(int(ms) / _MS_PER_S, start_s), end_s) for ms in rest[::2]), end_s]
    parts = [first, *rest[1::2]]
    words = [
        (from_s, max(from_s, until_s), word)
        for part, (from_s, until_s) in zip(parts, pairwise(times), strict=True)
        for word in _words(part).split()
    ]
    return _segment(start_s, end_s, "".join(parts), words)


def _words(text: str) -> str:
    """A text in one line, without anything that a terminal obeys."""
    return " ".join(_CONTROL.sub(" ", _ESCAPE.sub("", text)).split())


def _of_text(text: str, length_s: float) -> Said:
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    if lines and all(map(_LABEL.fullmatch, lines)):
        raise NoTranscriptError("is a table of labels")
    return Said((_segment(0.0, length_s, " ".join(lines)),) if lines else ())


def _of_json(text: str) -> Said:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("is no valid JSON") from error
    try:
        if isinstance(found, dict) and isinstance(found.get("transcription"), list):
            parts = [_of_whisper_cpp(one) for one in found["transcription"]]
            told = found.get("result")
            language = told.get("language") if isinstance(told, dict) else None
        elif isinstance(found, dict) and isinstance(found.get("segments"), list):
            parts = [_of_whisper(one) for one in found["segments"]]
            language = found.get("language")
        else:
            raise NoTranscriptError("has no segments")
    except (KeyError, TypeError, AttributeError) as error:
        raise NoTranscriptError("has other segments than Whisper's") from error
    return Said(tuple(one for one in parts if one.text), language if isinstance(language, str) else "")


def _of_whisper(one: Mapping[str, Any]) -> Segment:
    # WhisperX leaves out the times of words that it can't align.
    words = [word for word in one.get("words") or () if {"start", "end"} <= word.keys()]
    return _segment(
        *(_seconds(one["start"]), _seconds(one["end"]), one["text"]),
        [(_seconds(word["start"]), _seconds(word["end"]), word["word"]) for word in words],
    )


def _of_whisper_cpp(one: Mapping[str, Any]) -> Segment:
    offsets = one["offsets"]
    return _segment(_seconds(offsets["from"]) / _MS_PER_S, _seconds(offsets["to"]) / _MS_PER_S, one["text"])


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("a time is no number")
    return float(value)


def _segment(start_s: float, end_s: float, text: str, words: list[tuple[float, float, str]] | None = None) -> Segment:
    """A segment with times that are times, whatever a file says."""
    start_s = start_s if start_s > 0 else 0.0
    spoken = tuple(
        SpokenWord(max(first_s, 0.0), max(last_s, first_s, 0.0), _words(word)) for first_s, last_s, word in words or ()
    )
    return Segment(start_s, max(end_s, start_s), _words(text), spoken)


def _within(segment: Segment, length_s: float) -> Segment:
    words = tuple(
        SpokenWord(word.start_s, min(word.end_s, length_s), word.word)
        for word in segment.words
        if word.start_s < length_s
    )
    return Segment(segment.start_s, min(segment.end_s, length_s), segment.text, words)

"""The words of a query in what is said: passages of transcripts in the lookup, and when in them the words are.

A passage is a segment with the first words of the next one, if that follows at once, so that a phrase is found that
goes from one line of subtitles to the next. It is in two indexes: by stems, and by the words as they are, for prefixes.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pe_search.known.filters import is_at
from pe_search.known.naming import parted
from pe_search.known.words import Word, Words
from pe_search.queries import Filters, Snippet
from pe_search.records import Segment, Transcript
from pe_search.store.finding import clips_passing
from pe_search.store.schema import TRANSCRIPT, checked, path_of
from pe_search.store.transcripts import transcript_of
from pe_search.store.words import Named, PassingClip

TABLES = """CREATE TABLE transcripts (
    -- Of the catalog; a row with an id that is known is as it was.
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL
);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY,
    transcript_id INTEGER NOT NULL,
    text TEXT NOT NULL,
    -- How many of its characters are the segment's own.
    own INTEGER NOT NULL,
    -- JSON: of each stretch whose times are known, the first character, the one after the last, start, end.
    times TEXT NOT NULL
);
CREATE INDEX passages_by_transcript ON passages(transcript_id);
CREATE VIRTUAL TABLE stems USING fts5(
    text, content = 'passages', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE spoken USING fts5(
    text, content = 'passages', content_rowid = 'id', prefix = '2 3', tokenize = 'unicode61 remove_diacritics 2'
);
"""
_INDEXES = ("stems", "spoken")
# A segment that begins later does not go on with the sentence.
_FOLLOWS_WITHIN_S = 3.0
_WORDS_OF_NEXT = 8
# Of a snippet: the words before the first that was found, and all.
_WORDS_BEFORE, _MOST_WORDS = 4, 16
_ON, _OFF = "\ue000", "\ue001"
_MARK = re.compile(f"[{_ON}{_OFF}]")
_WORD = re.compile(r"\S+")

Span = tuple[int, int]
"""The first character of a stretch of a passage, and the one after its last."""

Piece = tuple[int, int, float, float]
"""Of a passage: the first character, the one after the last, and when they are said."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that has the words.

    Attributes:
        digest: Of the content in which it is said.
        start_s: When the first of the words is said, as nearly as it is known.
        end_s: When the last one ends.
        snippet: The words with some before and after them.
    """

    digest: bytes
    start_s: float
    end_s: float
    snippet: Snippet


def clear(db: sqlite3.Connection) -> None:
    """Take all transcripts out of a lookup."""
    for index in _INDEXES:
        db.execute(f"INSERT INTO {index} ({index}) VALUES ('delete-all')")
    db.execute("DELETE FROM passages")
    db.execute("DELETE FROM transcripts")


def update(db: sqlite3.Connection, catalog: sqlite3.Connection) -> None:
    """Take in the transcripts that a lookup does not have, and take out those that are gone.

    Raises:
        ValueError: If a transcript is damaged.
    """
    held = {number for (number,) in db.execute("SELECT id FROM transcripts")}
    there = {number for (number,) in catalog.execute("SELECT id FROM transcripts")}
    for number in held - there:
        for index in _INDEXES:
            db.execute(
                f"INSERT INTO {index} ({index}, rowid, text) "
                "SELECT 'delete', id, text FROM passages WHERE transcript_id = ?",
                (number,),
            )
        db.execute("DELETE FROM passages WHERE transcript_id = ?", (number,))
        db.execute("DELETE FROM transcripts WHERE id = ?", (number,))
    (last,) = db.execute("SELECT ifnull(max(id), 0) FROM passages").fetchone()
    for number in sorted(there - held):
        row = catalog.execute(f"SELECT {TRANSCRIPT} FROM transcripts WHERE id = ?", (number,)).fetchone()
        transcript = transcript_of(checked(row, "a transcript"))
        db.execute("INSERT INTO transcripts VALUES (?, ?)", (number, transcript.digest))
        rows = [(last + place, number, *one) for place, one in enumerate(_passages_of(transcript), start=1)]
        last += len(rows)
        db.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", rows)
        for index in _INDEXES:
            db.executemany(f"INSERT INTO {index} (rowid, text) VALUES (?, ?)", ((row[0], row[2]) for row in rows))


def said_in(
    catalog: sqlite3.Connection,
    db: sqlite3.Connection,
    words: Words,
    under: Path | None,
    filters: Filters,
    most: int | None,
    *,
    all_places: bool,
) -> list[Named]:
    """As `Lookup.said`, of a catalog and the lookup of its commit."""
    found: list[Named] = []
    clips: dict[bytes, tuple[int, list[PassingClip]]] = {}
    taken: dict[bytes, list[Passage]] = {}
    for passage in _passages(db, words):
        others = taken.setdefault(passage.digest, [])
        # What two engines heard is said once.
        if any(one.start_s < passage.end_s and passage.start_s < one.end_s for one in others):
            continue
        if others and not all_places:
            continue
        if passage.digest not in clips:
            clips[passage.digest] = _clips_of(catalog, db, passage.digest, under, filters)
        content_id, passing = clips[passage.digest]
        here = [(path_of(clip[0]), clip[6]) for clip in passing if is_at(filters, clip[6], passage.start_s)]
        if here:
            others.append(passage)
            found.append(Named(content_id, tuple(here), passage.start_s, passage.end_s, passage.snippet))
            if len(found) == most:
                break
    return found


def _clips_of(
    catalog: sqlite3.Connection, db: sqlite3.Connection, digest: bytes, under: Path | None, filters: Filters
) -> tuple[int, list[PassingClip]]:
    """A content and its clips that pass all filters but those for time, in order of path."""
    row = catalog.execute("SELECT id FROM contents WHERE digest = ?", (digest,)).fetchone()
    return (0, []) if row is None else (row[0], sorted(clips_passing(db, under, filters, contents=[row[0]])))


def _passages(db: sqlite3.Connection, words: Words) -> Iterator[Passage]:
    """The passages that have all words that are wanted and none that is excluded, in the order of BM25."""
    wanted = {
        "stems": [word for word in words.wanted if not word.is_prefix],
        "spoken": [word for word in words.wanted if word.is_prefix],
    }
    asked = {index: " AND ".join(map(_in_fts5, some)) for index, some in wanted.items() if some}
    conditions = [f"{index} MATCH ?" for index in asked]
    conditions += [f"{index}.rowid = passages.id" for index in asked]
    marked = [f"highlight({index}, 0, '{_ON}', '{_OFF}')" for index in asked]
    rank = " + ".join(f"bm25({index})" for index in asked)
    rows = db.execute(
        f"SELECT passages.id, own, times, transcript_id, {', '.join(marked)} "
        f"FROM {', '.join(asked)} CROSS JOIN passages WHERE {' AND '.join(conditions)} ORDER BY {rank}, passages.id",
        list(asked.values()),
    )
    for number, own, times, transcript_id, *texts in rows:
        spans = sorted(span for text in texts for span in _spans_of(text))
        found = _shortest(_spans_of_each(db, number, words.wanted) if len(words.wanted) > 1 else [spans], own)
        if found is None or _has_any(db, number, words.excluded, own):
            continue
        (digest,) = db.execute("SELECT digest FROM transcripts WHERE id = ?", (transcript_id,)).fetchone()
        start_s, end_s = _times_of(found, times)
        yield Passage(digest, start_s, end_s, _snippet(_MARK.sub("", texts[0]), spans))


def _in_fts5(word: Word) -> str:
    # In quotes, FTS5 takes the words of the text as a phrase, and nothing in it for syntax.
    typed = word.typed.removesuffix("*").replace('"', "")
    return f'"{parted(typed)}"' + (" *" if word.is_prefix else "")


def _spans_of(marked: str) -> Iterator[Span]:
    """From which character to before which the words are in a text, without its marks."""
    for number, (on, off) in enumerate(zip(*[_MARK.finditer(marked)] * 2, strict=True)):
        yield on.start() - 2 * number, off.start() - 2 * number - 1


def _spans_of_each(db: sqlite3.Connection, number: int, words: Iterable[Word]) -> list[list[Span]]:
    """Where in a passage each of some words is."""
    found = []
    for word in words:
        index = "spoken" if word.is_prefix else "stems"
        marked = db.execute(
            f"SELECT highlight({index}, 0, '{_ON}', '{_OFF}') FROM {index} WHERE rowid = ? AND {index} MATCH ?",
            (number, _in_fts5(word)),
        ).fetchone()
        found.append([] if marked is None else list(_spans_of(marked[0])))
    return found


def _has_any(db: sqlite3.Connection, number: int, words: Sequence[Word], own: int) -> bool:
    """Whether any of some words is in the segment of a passage."""
    return any(first < own for spans in _spans_of_each(db, number, words) for first, _ in spans)


def _shortest(spans_of_each: Sequence[Sequence[Span]], own: int) -> Span | None:
    """The first of the shortest stretches that have all words, and begin in a segment itself; None if none does.

    What is in the beginning of the next segment alone is found there.
    """
    best = None
    for start in sorted({first for spans in spans_of_each for first, _ in spans if first < own}):
        ends = [min((end for first, end in spans if first >= start), default=None) for spans in spans_of_each]
        if None not in ends:
            end = max(end for end in ends if end is not None)
            if best is None or end - start < best[1] - best[0]:
                best = start, end
    return best


def _times_of(found: Span, times: str) -> tuple[float, float]:
    start, end = found
    try:
        pieces = [
            (float(start_s), float(end_s))
            for first, after, start_s, end_s in json.loads(times)
            if first < end and start < after
        ]
        return min(start_s for start_s, _ in pieces), max(end_s for _, end_s in pieces)
    except (ValueError, TypeError) as error:
        raise sqlite3.DatabaseError("times are invalid") from error


def _snippet(text: str, spans: Sequence[Span]) -> Snippet:
    """The words that were found, with some before and after them; a zero-width space parts no words that are shown."""
    words = [word.span() for word in _WORD.finditer(text.replace("\u200b", "_"))]
    first = sum(end <= spans[0][0] for _, end in words) - _WORDS_BEFORE
    first = max(min(first, len(words) - _MOST_WORDS), 0)
    last = min(first + _MOST_WORDS, len(words))
    start, end = words[first][0], words[last - 1][1]
    before, after = "… " if first else "", " …" if last < len(words) else ""

    def place(character: int) -> int:
        return len(before) + len(text[start:character].replace("\u200b", ""))

    marks = tuple((place(one), place(min(after_it, end))) for one, after_it in spans if one < end)
    return Snippet(before + text[start:end].replace("\u200b", "") + after, marks)


def _passages_of(transcript: Transcript) -> Iterator[tuple[str, int, str]]:
    """Text, own characters and times of each passage."""
    segments = [segment for segment in transcript.segments if segment.text.strip()]
    for segment, after in pairwise([*segments, None]):
        assert segment is not None, "only the last one has none after it"
        text, pieces = _text_and_pieces(segment)
        own = len(text)
        if after is not None and after.start_s - segment.end_s <= _FOLLOWS_WITHIN_S:
            more, further = _text_and_pieces(after)
            some = list(_WORD.finditer(more.replace("\u200b", " ")))[:_WORDS_OF_NEXT]
            text += " " + more[: some[-1].end()]
            pieces += [(own + 1 + first, own + 1 + last, start_s, end_s) for first, last, start_s, end_s in further]
        yield text, own, json.dumps(pieces)


def _text_and_pieces(segment: Segment) -> tuple[str, list[Piece]]:
    """What is said, as it is searched, and which characters of it are said when."""
    # A lone surrogate is no character that could be kept.
    text = parted(_MARK.sub("", " ".join(segment.text.encode("utf-8", "replace").decode().split())))
    pieces: list[Piece] = []
    place = 0
    for word in segment.words:
        written = parted(" ".join(word.word.encode("utf-8", "replace").decode().split()))
        first = text.find(written, place) if written else -1
        if first >= 0:
            place = first + len(written)
            pieces.append((first, place, word.start_s, word.end_s))
    return text, pieces if _cover(pieces, text) else [(0, len(text), segment.start_s, segment.end_s)]


def _cover(pieces: Iterable[Piece], text: str) -> bool:
    """Whether all of a text but signs and spaces is in some pieces."""
    rest, place = [], 0
    for first, after, *_ in pieces:
        rest.append(text[place:first])
        place = after
    return bool(place) and not re.search(r"\w", "".join([*rest, text[place:]]))

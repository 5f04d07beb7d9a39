"""The words that the user teaches, and what was judged for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pe_search.records import Judgement
from pe_search.store.catalog import Catalog
from pe_search.store.commits import count_of
from pe_search.store.schema import JUDGEMENT, WORD, checked, checksum, seconds_of

VERDICTS = ("yes", "no", "unsure")


def read_words(catalog: Catalog) -> dict[str, str]:
    """The text that each word starts from, by the word; empty if it starts from examples alone.

    Raises:
        StoreError: If the catalog is damaged. So do the other functions here.
    """
    with catalog.reading() as db:
        rows = db.execute(f"SELECT {WORD} FROM words ORDER BY word").fetchall()
        if len(rows) != count_of(db, "words"):
            raise ValueError("it lacks words")
        return {str(word): str(text) for word, text in (checked(row, "a word") for row in rows)}


def write_words(catalog: Catalog, words: Mapping[str, str | None]) -> None:
    """Keep the texts of some words; None forgets the word with all that was judged for it."""
    if not words:
        return
    kept = [(word, text) for word, text in words.items() if text is not None]
    forgotten = [(word,) for word, text in words.items() if text is None]
    with catalog.writing(is_of_clips=False) as db:
        for table in ("words", "judgements"):
            db.executemany(f"DELETE FROM {table} WHERE word = ?", forgotten)
        db.executemany(f"REPLACE INTO words ({WORD}) VALUES (?, ?, ?)", ((*row, checksum(*row)) for row in kept))


def read_judgements(catalog: Catalog, word: str | None = None) -> list[Judgement]:
    """What was judged, for one word or for all, in order of word, digest and time."""
    with catalog.reading() as db:
        rows = db.execute(f"SELECT {JUDGEMENT} FROM judgements ORDER BY word, digest, start_s, end_s").fetchall()
        if len(rows) != count_of(db, "judgements"):
            raise ValueError("it lacks judgements")
        judged = [_judgement_of(checked(row, "a judgement")) for row in rows]
    return [one for one in judged if word in (None, one.word)]


def write_judgements(catalog: Catalog, judgements: Iterable[Judgement], *, forgotten: Iterable[Judgement] = ()) -> None:
    """Keep some judgements, each in place of an earlier one of the same stretch, and forget others."""
    rows = [
        (one.word, one.digest, one.start_s, one.end_s, one.verdict, one.judged_by, one.judged_at_s)
        for one in judgements
    ]
    keys = [(one.word, one.digest, one.start_s, one.end_s) for one in forgotten]
    if not (rows or keys):
        return
    marks = ", ".join("?" * 8)
    with catalog.writing(is_of_clips=False) as db:
        condition = "word = ? AND digest = ? AND start_s = ? AND end_s = ?"
        db.executemany(f"DELETE FROM judgements WHERE {condition}", keys)
        db.executemany(
            f"REPLACE INTO judgements ({JUDGEMENT}) VALUES ({marks})", ((*row, checksum(*row)) for row in rows)
        )


def _judgement_of(row: tuple[Any, ...]) -> Judgement:
    word, digest, start_s, end_s, verdict, judged_by, judged_at_s = row
    if verdict not in VERDICTS or not isinstance(digest, bytes) or not isinstance(judged_at_s, int):
        raise ValueError("a judgement is invalid")
    return Judgement(
        str(word), digest, seconds_of(start_s), seconds_of(end_s), str(verdict), str(judged_by), judged_at_s
    )

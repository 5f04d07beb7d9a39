"""What models answered about stretches of contents, so that none is asked the same twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from pe_search.descriptions import DESCRIBE, Caption
from pe_search.records import ModelAnswer
from pe_search.store.catalog import Catalog
from pe_search.store.commits import count_commit, count_of
from pe_search.store.schema import ANSWER, checked, checksum, seconds_of

MOST_ANSWERS = 200_000


def read_answers(
    catalog: Catalog, digests: Iterable[bytes] | None = None, *, model: str = "", revision: str = "", question: str = ""
) -> list[ModelAnswer]:
    """What was answered about some contents, or all, in order of digest and time; given texts must be the same.

    Raises:
        StoreError: If the catalog is damaged. So do the other functions here.
    """
    asked = {"model": model, "revision": revision, "question": question}
    given = {name: text for name, text in asked.items() if text}
    order = "ORDER BY digest, start_s, end_s, model, revision, question"

    def rows(db: sqlite3.Connection, **bounds: object) -> list[tuple[Any, ...]]:
        condition = " AND ".join(f"{name} = ?" for name in bounds) or "1"
        statement = f"SELECT {ANSWER} FROM answers WHERE {condition} {order}"
        return db.execute(statement, tuple(bounds.values())).fetchall()

    with catalog.reading() as db:
        if digests is None:
            found = rows(db, **given)
            if not given and len(found) != count_of(db, "answers"):
                raise ValueError("it lacks answers")
        else:
            found = [row for digest in sorted(set(digests)) for row in rows(db, digest=digest, **given)]
        return [answer_of(checked(row, "an answer")) for row in found]


def read_captioned(catalog: Catalog) -> frozenset[bytes]:
    """The digests of all contents that have a caption."""
    with catalog.reading() as db:
        if count_of(db, "answers") != db.execute("SELECT count(*) FROM answers").fetchone()[0]:
            raise ValueError("it lacks answers")
        rows = db.execute("SELECT DISTINCT digest FROM answers WHERE question = ?", (DESCRIBE,))
        return frozenset(bytes(digest) for (digest,) in rows)


def read_captions(catalog: Catalog, digest: bytes) -> tuple[Caption, ...]:
    """The captions of a content in order of time; of those about the same part, the newest comes last."""
    with catalog.reading() as db:
        rows = db.execute(
            f"SELECT {ANSWER} FROM answers WHERE digest = ? AND question = ? ORDER BY start_s, end_s, made_at_s, id",
            (digest, DESCRIBE),
        )
        found = [answer_of(checked(row, "an answer")) for row in rows]
        return tuple(Caption(one.start_s, one.end_s, one.answer) for one in found)


def write_answers(catalog: Catalog, answers: Iterable[ModelAnswer], *, most: int = MOST_ANSWERS) -> None:
    """Keep some answers, each in place of one to the same question about the same stretch.

    Args:
        catalog: The store's.
        answers: What to keep.
        most: How many a store has at most. The oldest go.
    """
    kept = list(answers)
    rows, questions = [_row_of(one) for one in kept], {one.question for one in kept}
    if not rows:
        return
    marks = ", ".join("?" * 9)
    with catalog.writing(is_of_clips=False) as db:
        db.executemany(f"REPLACE INTO answers ({ANSWER}) VALUES ({marks})", rows)
        too_many = db.execute("SELECT count(*) FROM answers").fetchone()[0] - most
        if too_many > 0:
            oldest = "SELECT id FROM answers ORDER BY made_at_s, id LIMIT ?"
            gone = db.execute(f"DELETE FROM answers WHERE id IN ({oldest}) RETURNING question", (too_many,)).fetchall()
            questions.update(question for (question,) in gone)
        # The words of a caption are among those that clips are found by.
        if DESCRIBE in questions:
            count_commit(db)


def answer_of(row: tuple[Any, ...]) -> ModelAnswer:
    """An answer, of what the catalog has for it.

    Raises:
        ValueError: If that makes no sense.
    """
    digest, start_s, end_s, model, revision, question, answer, made_at_s = row
    if not isinstance(digest, bytes) or not isinstance(made_at_s, int):
        raise ValueError("an answer is invalid")
    times = seconds_of(start_s), seconds_of(end_s)
    return ModelAnswer(digest, *times, str(model), str(revision), str(question), str(answer), made_at_s)


def _row_of(one: ModelAnswer) -> tuple[Any, ...]:
    times = float(one.start_s), float(one.end_s)
    row = (one.digest, *times, one.model, one.revision, one.question, one.answer, int(one.made_at_s))
    return (*row, checksum(*row))

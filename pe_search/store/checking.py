"""Go through a whole catalog, and tell which of its rows are no longer as they were written."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass

from pe_search.store.commits import check_counts, last_window_id
from pe_search.store.schema import ANSWER, FACTS, JUDGEMENT, SIDECAR, TAG, TRANSCRIPT, WORD, ZONE, row_test
from pe_search.store.windows import CLIP, CONTENT, WINDOW, gone_after, in_words

_WINDOWS_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with the rows of a catalog.

    Attributes:
        contents: The contents that lack a sound window, each with the ids of all the windows that it has.
        windows: Which windows are not as they were written, in words.
        reason: What else is wrong; None if nothing is.
    """

    contents: dict[int, list[int]]
    windows: list[str]
    reason: str | None

    @property
    def is_none(self) -> bool:
        """Whether all is as it was written."""
        return not (self.contents or self.windows or self.reason)


def find_damage(db: sqlite3.Connection, mark_bytes: int) -> Damage:
    """Compare every row with its checksum, and count them all.

    Args:
        db: Of a catalog of the present format.
        mark_bytes: As `Keeper.mark_bytes` of it.

    Raises:
        sqlite3.Error: If it can't be gone through.
    """
    reasons: list[str] = []
    expected: dict[int, tuple[int, int]] = {}
    is_sound = row_test(CONTENT)
    for row in db.execute(f"SELECT {CONTENT} FROM contents"):
        if is_sound(row):
            expected[row[0]] = row[4], row[5]
        else:
            reasons.append("the row of a content is not as it was written")
    clips: Counter[int] = Counter()
    is_sound = row_test(CLIP)
    for row in db.execute(f"SELECT {CLIP} FROM clips"):
        if is_sound(row):
            clips[row[5]] += 1
        else:
            reasons.append("the row of a clip is not as it was written")
    if clips != {content_id: count for content_id, (count, _) in expected.items() if count}:
        reasons.append("it lacks clips or contents")
    for table, columns in (
        ("left_out", "path, size_bytes, modified_ns, changed_ns, inode, reason, checksum"),
        ("roots", "path, exclude, indexed_at_s, passed_over, checksum"),
        ("state", "identity, manifest, checksum"),
        ("gone", "first_id, last_id, checksum"),
        ("counts", "name, rows, checksum"),
        ("facts", FACTS),
        ("tags", TAG),
        ("zones", ZONE),
        ("words", WORD),
        ("judgements", JUDGEMENT),
        ("transcripts", TRANSCRIPT),
        ("sidecars", SIDECAR),
        ("answers", ANSWER),
    ):
        if not all(map(row_test(columns), db.execute(f"SELECT {columns} FROM {table}"))):
            reasons.append(f"a row of {table} is not as it was written")
    try:
        check_counts(db)
    except ValueError as error:
        reasons.append(str(error))
    if not db.execute("SELECT count(*) FROM state").fetchone()[0]:
        reasons.append("its state is missing")

    sound: dict[int, list[int]] = {}
    bad: list[tuple[int, int, str]] = []
    count = 0
    rows = db.execute(f"SELECT {WINDOW} FROM windows")
    is_sound = row_test(WINDOW)
    while some := rows.fetchmany(_WINDOWS_AT_ONCE):
        count += len(some)
        for row in some:
            if is_sound(row) and len(row[4]) == mark_bytes:
                sound.setdefault(row[1], []).append(row[0])
            else:
                bad.append((row[0], row[1], in_words(db, row)))
    contents = {
        content_id: sound.get(content_id, [])
        for content_id, (_, windows) in expected.items()
        if len(sound.get(content_id, [])) != windows
    }
    for content_id, ids in contents.items():
        # The content that a damaged row names may be another one; but windows of one content lie side by side.
        near = range(min(ids, default=0) - 1, max(ids, default=0) + 2)
        ids.extend(window_id for window_id, named, _ in bad if named == content_id or window_id in near)
        ids.sort()
    if not reasons and sound.keys() - expected.keys():
        reasons.append("it lacks contents")
    # Windows that can't be found at all are missing from their contents too, and come again with them.
    if not (reasons or contents) and count != last_window_id(db) - gone_after(db, 0):
        reasons.append("it lacks windows")
    return Damage(contents, [words for *_, words in bad], reasons[0] if reasons else None)

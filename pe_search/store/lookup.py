"""What is known of clips in a form that is quick to search: a small SQLite file, made from the catalog.

Like the index, it may be deleted at any time and is made again. Each row bears a mark of what it was made of, so that
only what has changed since is made anew. It belongs to one commit of the catalog, whose number it knows; a query that
finds another brings it up to date. Where it can't be written, it is made in memory.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pe_search.errors import StoreError
from pe_search.known.filters import check_filters, local_s
from pe_search.known.naming import searchable
from pe_search.known.words import Word, Words
from pe_search.queries import Filters
from pe_search.records import IndexedClip
from pe_search.store import columns, said
from pe_search.store.catalog import Catalog
from pe_search.store.commits import commit_number, name_of
from pe_search.store.database import is_interrupt, open_database, open_in_memory
from pe_search.store.files import LOOKUP_FILE
from pe_search.store.finding import named_in, subset_in
from pe_search.store.listing import COLUMNS, WITH_CONTENT, Known
from pe_search.store.schema import make_tables, schema_of
from pe_search.store.windows import Subset, windows_from
from pe_search.store.words import Named

T = TypeVar("T")

_TABLES = (
    """CREATE TABLE made_of (identity TEXT NOT NULL, commits INTEGER NOT NULL);
CREATE TABLE clips (
    id INTEGER PRIMARY KEY,
    -- Of the rows of the catalog that it was made of.
    mark INTEGER NOT NULL,
    path BLOB NOT NULL,
    content_id INTEGER NOT NULL,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    windows INTEGER NOT NULL,
    length_s REAL,
    sample_rate_hz INTEGER,
    channels INTEGER,
    loudness_lufs REAL,
    bpm REAL,
    -- When it was recorded, as a clock on the wall showed it, in seconds from 1970.
    recorded_s REAL,
    -- When the second window starts, as far from it each other but the last, and when the last does; NULL and 0 if they
    -- start otherwise.
    second_s REAL,
    last_s REAL NOT NULL
);
CREATE INDEX clips_by_content ON clips(content_id);
CREATE TABLE tags (
    tag TEXT NOT NULL,
    clip_id INTEGER NOT NULL,
    PRIMARY KEY (tag, clip_id)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(
    name, folders, tags, said, captions, prefix = '2 3', tokenize = 'unicode61 remove_diacritics 2'
);
"""
    + said.TABLES
    + columns.TABLE
)
# Counts up whenever the words of clips are made otherwise, so that all are made again.
_WORDS_VERSION = 1
_BUSY_TIMEOUT_S = 30.0
# What queries of a server or a conversation ask for again and again.
_MOST_SUBSETS = 4
_ROWS_AT_ONCE = 1_024
_STRETCHES = "(SELECT content_id AS of, min(id) AS first, max(id) AS last, count(*) AS held FROM windows GROUP BY 1)"
# Of the columns of the catalog's rows, see `listing.COLUMNS`: the checksums of clip, content and facts; and the digest.
_CLIP_SUM, _CONTENT_ID, _DIGEST, _CONTENT_SUM, _FACTS_SUM = 7, 8, 9, 14, 17


class Lookup:
    """What is known of the clips of a catalog.

    Args:
        catalog: The store's.
        directory: The store's.
    """

    def __init__(self, catalog: Catalog, directory: Path) -> None:
        self._catalog = catalog
        self._path = directory / LOOKUP_FILE
        self._db: sqlite3.Connection | None = None
        self._commit: tuple[str, int] | None = None
        self._columns = columns.Columns()
        self._subsets: dict[tuple[Path | None, Filters, tuple[Word, ...]], Subset] = {}

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def refresh(self) -> None:
        """Bring the file up to date, so that no query has to."""
        with self._catalog.snapshot(), self._current():
            pass

    def make_again(self) -> None:
        """Make the file from the catalog alone."""
        self._drop()
        self.refresh()

    def subset(self, under: Path | None, filters: Filters, excluded: Sequence[Word] = ()) -> Subset:
        """The windows that pass filters, of the clips at or below a path, or of all.

        Args:
            under: The path; absolute, or a name.
            filters: The filters.
            excluded: Words that the clips don't have.

        Raises:
            QueryError: If a filter is not valid.
        """
        check_filters(filters)
        asked = under, filters, tuple(excluded)

        def subset(catalog: sqlite3.Connection, db: sqlite3.Connection) -> Subset:
            if asked not in self._subsets:
                found = subset_in(catalog, db, self._columns, *asked)
                while len(self._subsets) >= _MOST_SUBSETS:
                    del self._subsets[next(iter(self._subsets))]
                self._subsets[asked] = found
            return self._subsets[asked]

        return self._answer(subset)

    def named(self, words: Words, under: Path | None, filters: Filters, most: int | None) -> list[Named]:
        """The clips that have all words that are wanted and none that is excluded; those of the same bytes are one.

        They are ranked by BM25 over names, folders, tags, what files say of themselves and captions, each with its own
        of the `WEIGHTS`; equal ones by path.

        Args:
            words: At least one is wanted.
            under: As in `subset`.
            filters: As in `subset`; of a clip, a window has to pass.
            most: How many at most; None for all.
        """
        return self._answer(lambda catalog, db: named_in(catalog, db, words, under, filters, most))

    def said(
        self, words: Words, under: Path | None, filters: Filters, most: int | None, *, all_places: bool = False
    ) -> list[Named]:
        """Where all words that are wanted are said, and none that is excluded: the best place in each content.

        They are ranked by BM25 of what is said there.

        Args:
            words: As in `named`.
            under: As in `named`.
            filters: As in `named`; for time, the words count.
            most: As in `named`.
            all_places: Whether all places of a content are meant.
        """
        return self._answer(
            lambda catalog, db: said.said_in(catalog, db, words, under, filters, most, all_places=all_places)
        )

    def _answer(self, ask: Callable[[sqlite3.Connection, sqlite3.Connection], T]) -> T:
        """What is asked of the catalog and of the file that belongs to its commit."""
        with self._catalog.reading() as catalog:
            with self._current() as db:
                try:
                    return ask(catalog, db)
                except sqlite3.DatabaseError as error:
                    if is_interrupt(error):
                        raise
            # The file is damaged where nobody looked before. If that is not it, it is the catalog.
            self._drop()
            with self._current() as db:
                return ask(catalog, db)

    def _drop(self) -> None:
        """Delete the file, so that it is made again; in memory, if it can't be deleted."""
        self.close()
        self._commit = None
        try:
            self._unlink()
        except OSError:
            self._db = open_in_memory()

    @contextmanager
    def _current(self) -> Iterator[sqlite3.Connection]:
        """The file, of the commit that is being read, within a transaction."""
        with self._catalog.reading() as catalog:
            identity, commits = f"{self._catalog.identity} {_WORDS_VERSION}", commit_number(catalog)
            try:
                db = self._opened(catalog, identity, commits)
            except (sqlite3.Error, StoreError, OSError) as error:
                if isinstance(error, sqlite3.Error) and is_interrupt(error):
                    raise KeyboardInterrupt from error
                # It is damaged, in use, or can't be written: what it would tell is made without it.
                self.close()
                db = self._db = open_in_memory()
                _bring_up_to_date(db, self._catalog, catalog, identity, commits)
            if self._commit != (identity, commits):
                self._commit, self._columns = (identity, commits), columns.Columns()
                self._subsets.clear()
            try:
                yield db
            finally:
                db.rollback()

    def _opened(self, catalog: sqlite3.Connection, identity: str, commits: int) -> sqlite3.Connection:
        if self._db is None:
            self._db = self._open()
        if not _is_made_of(self._db, identity, commits):
            try:
                _bring_up_to_date(self._db, self._catalog, catalog, identity, commits)
            except sqlite3.OperationalError:  # it is in use, or can't be written
                raise
            except sqlite3.DatabaseError:
                self.close()
                self._unlink()
                self._db = self._open()
                _bring_up_to_date(self._db, self._catalog, catalog, identity, commits)
            self._db.execute("BEGIN")
        return self._db

    def _open(self) -> sqlite3.Connection:
        db = open_database(self._path, "rwc", busy_timeout_s=_BUSY_TIMEOUT_S)
        try:
            if schema_of(db) in (set(), _schema()):
                return db
        except sqlite3.OperationalError:
            db.close()
            raise
        except sqlite3.DatabaseError:
            pass
        except BaseException:
            db.close()
            raise
        db.close()
        self._unlink()
        return open_database(self._path, "rwc", busy_timeout_s=_BUSY_TIMEOUT_S)

    def _unlink(self) -> None:
        # With the journal, from which a new file would be recovered into what the old one was.
        for end in ("", "-journal"):
            Path(f"{self._path}{end}").unlink(missing_ok=True)


@cache
def _schema() -> set[str]:
    """What `schema_of` a lookup is, with the tables that FTS5 makes for itself."""
    with closing(open_in_memory()) as db:
        make_tables(db, _TABLES)
        return schema_of(db)


def _is_made_of(db: sqlite3.Connection, identity: str, commits: int) -> bool:
    """Whether a lookup is that of a commit of a catalog; if so, a transaction is begun in which it stays so."""
    db.execute("BEGIN")
    with suppress(sqlite3.OperationalError):  # it is empty
        if db.execute("SELECT identity, commits FROM made_of").fetchall() == [(identity, commits)]:
            return True
    db.rollback()
    return False


def _bring_up_to_date(
    db: sqlite3.Connection, source: Catalog, catalog: sqlite3.Connection, identity: str, commits: int
) -> None:
    """Make rows for clips that are new or changed, and drop those of clips that are gone."""
    known = Known(source)
    # A commit that is lost with the power is made again.
    db.execute("PRAGMA synchronous = OFF")
    with db:
        db.execute("BEGIN IMMEDIATE")
        make_tables(db, _TABLES)
        if db.execute("SELECT identity FROM made_of").fetchall() != [(identity,)]:
            for table in ("clips", "tags", "words", "columns"):
                db.execute(f"DELETE FROM {table}")
            said.clear(db)
        before = dict(db.execute("SELECT id, mark FROM clips"))
        changes = db.total_changes
        rows = catalog.execute(
            f"SELECT {COLUMNS}, clips.id, stretch.first, stretch.last, stretch.held FROM {WITH_CONTENT} "
            f"LEFT JOIN {_STRETCHES} AS stretch ON stretch.of = contents.id"
        )
        while some := rows.fetchmany(_ROWS_AT_ONCE):
            for row in some:
                *known_of_it, clip_id, first_id, last_id, windows = row
                mark = _mark(known_of_it, known, (first_id, last_id, windows))
                if before.pop(clip_id, None) == mark:
                    continue
                _drop(db, clip_id)
                if first_id is not None:
                    clip = known.clip_of(tuple(known_of_it))
                    content_id = row[_CONTENT_ID]
                    _put(db, clip_id, mark, content_id, (first_id, last_id, windows), _pace(catalog, content_id), clip)
        for clip_id in before:
            _drop(db, clip_id)
        said.update(db, catalog)
        if db.total_changes != changes or db.execute("SELECT count(*) FROM columns").fetchone() == (0,):
            columns.write_columns(db)
        db.execute("DELETE FROM made_of")
        db.execute("INSERT INTO made_of VALUES (?, ?)", (identity, commits))


def _mark(columns: list[Any], known: Known, stretch: tuple[object, ...]) -> int:
    sums = columns[_CLIP_SUM], columns[_CONTENT_SUM], columns[_FACTS_SUM]
    told = known.told_of(columns[0], columns[_DIGEST])
    return zlib.crc32(repr((sums, told, stretch)).encode("utf-8", "surrogateescape"))


def _pace(catalog: sqlite3.Connection, content_id: int) -> tuple[float | None, float]:
    """When the second window of a content starts and when the last one does; see the table."""
    starts_s = [start_s for _, start_s in windows_from(catalog, content_id)]
    second_s = starts_s[1] if len(starts_s) > 1 else 0.0
    is_even = starts_s[:-1] == [number * second_s for number in range(len(starts_s) - 1)]
    return (second_s, starts_s[-1]) if is_even else (None, 0.0)


def _drop(db: sqlite3.Connection, clip_id: int) -> None:
    db.execute("DELETE FROM clips WHERE id = ?", (clip_id,))
    db.execute("DELETE FROM tags WHERE clip_id = ?", (clip_id,))
    db.execute("DELETE FROM words WHERE rowid = ?", (clip_id,))


def _put(
    db: sqlite3.Connection,
    clip_id: int,
    mark: int,
    content_id: int,
    stretch: tuple[int, int, int],
    pace: tuple[float | None, float],
    clip: IndexedClip,
) -> None:
    facts = clip.facts
    db.execute(
        "INSERT INTO clips VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(clip_id, mark, name_of(clip.path), content_id, *stretch, clip.duration_s),
            *(facts.sample_rate_hz, facts.channels, facts.loudness_lufs, facts.bpm, local_s(clip.recorded_at)),
            *pace,
        ),
    )
    db.executemany("INSERT INTO tags VALUES (?, ?)", ((tag, clip_id) for tag in clip.tags))
    told = (facts.title, facts.artist, facts.album, facts.comment, facts.description, facts.genre, *facts.keywords)
    # Windows that sound alike have one caption, which says no more for being there often.
    captions = dict.fromkeys(one.text for one in clip.captions)
    texts = (clip.path.name, clip.path.parent.parts, clip.tags, filter(None, told), captions)
    db.execute(
        "INSERT INTO words (rowid, name, folders, tags, said, captions) VALUES (?, ?, ?, ?, ?, ?)",
        (clip_id, *(searchable(text if isinstance(text, str) else " ".join(text)) for text in texts)),
    )

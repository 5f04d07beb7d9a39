"""Save what can still be read of a damaged catalog."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from pe_search.drafts import draft_folder
from pe_search.errors import StoreError
from pe_search.records import Content, Judgement, Sidecar
from pe_search.store.answers import answer_of, write_answers
from pe_search.store.catalog import Catalog
from pe_search.store.checking import find_damage
from pe_search.store.conversion import converted_fields
from pe_search.store.database import is_damage, open_database
from pe_search.store.facts import write_tags, write_zones
from pe_search.store.files import CATALOG_FILE, MANIFEST_FILE
from pe_search.store.judgements import write_judgements, write_words
from pe_search.store.keeping import InRows
from pe_search.store.lock import WriterLock
from pe_search.store.manifest import (
    Manifest,
    as_json,
    fields_of,
    manifest_of,
    numbers_of,
    read_fields,
    read_manifest,
    write_manifest,
)
from pe_search.store.opening import in_one_line
from pe_search.store.rescued import (
    clips_in,
    contents_in,
    facts_in,
    heads_by_index,
    heads_in,
    kept_in,
    left_out_in,
    roots_in,
)
from pe_search.store.roots import write_roots
from pe_search.store.schema import (
    ANSWER,
    FORMAT_VERSION,
    JUDGEMENT,
    SIDECAR,
    TAG,
    TRANSCRIPT,
    WORD,
    ZONE,
    checked,
    expected_schema,
    path_of,
    schema_of,
)
from pe_search.store.transcripts import transcript_of, write_transcripts


@dataclass(frozen=True, slots=True)
class Salvage:
    """What became of a damaged catalog.

    Attributes:
        clips: How many clips were saved, each with all its windows.
        damaged: Where the damaged catalog is now.
        unsure: Of how many saved contents it is no longer known whether they could be read whole.
    """

    clips: int
    damaged: Path
    unsure: int


def restore_manifest(directory: Path) -> bool:
    """Write the manifest again if it isn't what the catalog keeps of it; leave it alone if the catalog can't tell.

    Raises:
        StoreError: If the store can't be written to.
    """
    path = directory / CATALOG_FILE
    try:
        with closing(open_database(path, "ro")) as db:
            if schema_of(db) != expected_schema():
                return False
            row = db.execute("SELECT identity, manifest, checksum FROM state").fetchone()
            kept = manifest_of(fields_of(checked(row, "its state")[1]), directory)
    except (sqlite3.Error, StoreError, ValueError, TypeError, RecursionError, MemoryError):
        return False
    with suppress(StoreError):
        if numbers_of(read_manifest(directory)) == numbers_of(kept):
            return False
    lock = WriterLock(directory)
    lock.acquire()
    try:
        write_manifest(directory, kept)
    except OSError as error:
        raise StoreError(f"The store at {directory} can't be written to: {error.strerror or error}.") from error
    finally:
        lock.release()
    return True


def salvage_if_damaged(directory: Path) -> Salvage | None:
    """Put a catalog of all that can still be read in the place of one that is damaged; leave a sound one alone.

    A clip is saved only with all its windows, so that the next index run embeds the others again.

    Returns:
        None if the catalog is sound, or is none of pe-search's at all.

    Raises:
        StoreError: If nothing can be saved, or the store can't be written to, or it is the manifest that is wrong.
    """
    fields = read_fields(directory)
    manifest = manifest_of(converted_fields(fields), directory)
    path = directory / CATALOG_FILE
    if not path.is_file():
        return None
    lock = WriterLock(directory)
    lock.acquire()
    try:
        with closing(open_database(path, "ro")) as db:
            if _is_sound(db, manifest, fields["format_version"]):
                return None
        salvage = _salvage(path, manifest, fields["format_version"])
        write_manifest(directory, manifest)
        return salvage
    except sqlite3.Error as error:
        if not _is_damage(error):
            raise StoreError(f"The catalog {path} can't be used: {in_one_line(error)}") from error
        raise StoreError(
            f"Nothing can be saved from the catalog {path}: {in_one_line(error)}. Delete the store, and index again."
        ) from error
    except UnicodeDecodeError as error:
        raise StoreError(
            f"Nothing can be saved from the catalog {path}: a name in it is damaged. Delete the store, and index again."
        ) from error
    except OSError as error:
        raise StoreError(f"The store at {directory} can't be written to: {error.strerror or error}.") from error
    finally:
        lock.release()


def _is_sound(db: sqlite3.Connection, manifest: Manifest, version: int) -> bool:
    try:
        if schema_of(db) != expected_schema(version):
            # Whatever it is, opening it says so.
            return True
        _blame_manifest(db, manifest)
        if db.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            return False
        odd = "typeof(embedding) != 'blob' OR length(embedding) != ? OR typeof(start_s) != 'real' OR end_s < start_s"
        if db.execute(f"SELECT count(*) FROM windows WHERE {odd}", (2 * manifest.dimension,)).fetchone()[0]:
            return False
        return version < FORMAT_VERSION or find_damage(db, InRows(manifest.dimension).mark_bytes).is_none
    except (MemoryError, UnicodeDecodeError):  # the second of what SQLite says of a name that is not UTF-8
        return False
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            return False
        raise


def _blame_manifest(db: sqlite3.Connection, manifest: Manifest) -> None:
    """Refuse to call a catalog damaged whose embeddings are all of one other length."""
    with suppress(sqlite3.DatabaseError):
        lengths = [row[0] for row in db.execute("SELECT DISTINCT length(embedding) FROM windows LIMIT 2")]
        if len(lengths) == 1 and isinstance(lengths[0], int) and lengths[0] not in (0, 2 * manifest.dimension):
            folder = Path(db.execute("PRAGMA database_list").fetchone()[2]).parent
            raise StoreError(
                f"{folder / MANIFEST_FILE} is damaged: dimension is {manifest.dimension}, but all embeddings have "
                f"{lengths[0] // 2} numbers. Correct it in that file. The catalog was not changed."
            )


def _is_damage(error: sqlite3.Error) -> bool:
    # Not what a disk says that is full or can't be written to: for that, a sound catalog must not be put aside.
    return is_damage(error) or getattr(error, "sqlite_errorcode", 0) in (
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
    )


def _salvage(path: Path, manifest: Manifest, version: int) -> Salvage:
    digests: dict[int, bytes] = {}

    def noted(contents: Iterable[tuple[int, Content]]) -> Iterator[Content]:
        for content_id, content in contents:
            digests[content_id] = content.digest
            yield content

    with draft_folder(path.parent) as draft:
        with (
            closing(open_database(_in_whole_pages(path, draft), "ro")) as db,
            closing(Catalog(draft, manifest.dimension, read_only=False, manifest=as_json(manifest))) as catalog,
        ):
            # Without this, which changes nothing in a file that is only read, SQLite would read nothing of one that
            # breaks off.
            db.execute("PRAGMA writable_schema = ON")
            # Of a file that is no database at all, this says so.
            db.execute("PRAGMA page_count")
            heads = heads_in(db, version)
            by_index = {} if version == 2 else heads_by_index(db, heads)
            facts = dict(facts_in(db, version))
            whole = contents_in(db, heads | by_index, manifest, version)
            contents = noted((content_id, replace(one, facts=facts.get(content_id))) for content_id, one in whole)
            # These are asked for only when all contents have come, and `digests` is complete.
            clips = (
                (clip, digests[content_id], indexed_at_s)
                for clip, content_id, indexed_at_s in clips_in(db, version)
                if content_id in digests
            )
            catalog.commit(contents=contents, saved=clips, left_out=left_out_in(db, version))
            write_roots(catalog, roots_in(db, version))
            write_tags(catalog, added=kept_in(db, version, "tags", TAG), removed=())
            write_zones(catalog, {path_of(name): zone for name, zone in kept_in(db, version, "zones", ZONE)})
            write_words(catalog, dict(kept_in(db, version, "words", WORD)))
            write_judgements(catalog, (Judgement(*row) for row in kept_in(db, version, "judgements", JUDGEMENT)))
            catalog.drop_unused_contents()
            # After that: of contents that the next index run embeds again, nothing needs be heard again.
            _save_what_is_said(catalog, db, version)
            saved = catalog.holdings().clips
        damaged = _place_for_damaged(path)
        # The log goes first, because beside another catalog SQLite would take it for that one's.
        for end in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(f"{path}{end}", f"{damaged}{end}")
        os.replace(draft / CATALOG_FILE, path)
    return Salvage(saved, damaged, len(digests.keys() & by_index.keys()))


def _save_what_is_said(catalog: Catalog, db: sqlite3.Connection, version: int) -> None:
    rows = kept_in(db, version, "transcripts", TRANSCRIPT, since=6)
    sidecars = kept_in(db, version, "sidecars", SIDECAR, since=6)
    write_transcripts(
        catalog,
        (transcript_of(row) for row in rows),
        sidecars=(Sidecar(path_of(name), *rest) for name, *rest in sidecars),
    )
    write_answers(catalog, (answer_of(row) for row in kept_in(db, version, "answers", ANSWER, since=6)))


def _place_for_damaged(path: Path) -> Path:
    """A name that no damaged catalog has yet."""
    first = path.with_name(f"{path.name}.damaged")
    others = (path.with_name(f"{path.name}.damaged-{number}") for number in count(2))
    return first if not os.path.lexists(first) else next(place for place in others if not os.path.lexists(place))


def _in_whole_pages(path: Path, folder: Path) -> Path:
    """A catalog that doesn't end within a page: SQLite would take what the page lacks for zeros."""
    with path.open("rb") as file:
        header = file.read(18)
    broken_bytes = path.stat().st_size % max(int.from_bytes(header[16:]), 1)
    if not (header.startswith(b"SQLite format 3\0") and broken_bytes):
        return path
    copy = folder / "whole-pages.sqlite3"
    for end in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{path}{end}", f"{copy}{end}")
    os.truncate(copy, path.stat().st_size - broken_bytes)
    return copy

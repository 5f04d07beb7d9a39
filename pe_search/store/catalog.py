"""The SQLite file that holds clips, contents, windows and embeddings."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from math import fsum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.records import Clip, Content, Holdings, Incomplete, LeftOut, Stamp
from pe_search.store import commits, windows
from pe_search.store.checking import find_damage
from pe_search.store.facts import facts_with
from pe_search.store.files import CATALOG_FILE, Folder
from pe_search.store.keeping import InRows, Keeper
from pe_search.store.opening import damaged, explaining, files_of, has_content, log_of, open_to_read, open_to_write
from pe_search.store.schema import checked, clip_of, path_text, stamp_of
from pe_search.store.windows import CLIP, CONTENT, WindowPlace, times_of

# No file has it, so that one whose clip has it is read again.
_TO_READ_AGAIN: Stamp = (-1, 0, None, None)


class Catalog:
    """An open catalog.

    What is read is checked against its checksum, and counted against what the catalog says that there is.

    Args:
        directory: The store's.
        dimension: Length of the embeddings.
        read_only: Whether to refuse to write, so that a store on a read-only disk can be searched.
        manifest: The store's as JSON, for a catalog that is made.
        keeper: Of the embeddings; None if they are in the catalog itself.

    Raises:
        StoreError: If the file is missing (read-only) or no catalog. So do all methods if it is damaged, or the disk
            is full; then nothing of that commit is kept.
    """

    def __init__(
        self, directory: Path, dimension: int, *, read_only: bool, manifest: str = "", keeper: Keeper | None = None
    ) -> None:
        self.path = directory.absolute() / CATALOG_FILE
        self.keeper = keeper or InRows(dimension)
        # The windows of each content that the next index run is to embed again.
        self._damaged: dict[int, list[int]] = {}
        self.opened_as = files_of(self.path)
        with explaining(self.path):
            self._db = open_to_read(self.path) if read_only else open_to_write(self.path, manifest)
        self._folder = Folder(directory)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def written_at_s(self) -> float:
        """When something was last committed, in seconds since the epoch."""
        log = log_of(self.path)
        files = [self.path, log] if has_content(log) else [self.path]
        return max(file.stat().st_mtime for file in files)

    def is_as_opened(self) -> bool:
        """Whether the files are those that were opened, and nothing was committed since."""
        return self.opened_as == files_of(self.path)

    @property
    def folder(self) -> Folder:
        """The folder of the store, as it was opened."""
        return self._folder

    @property
    def identity(self) -> str:
        """What tells this catalog from any other."""
        return self._state()[0]

    @property
    def manifest(self) -> str:
        """The store's manifest as JSON, as it was when the store was made; empty if that isn't known."""
        return self._state()[1]

    def _state(self) -> tuple[str, str]:
        with self.reading():
            row = self._db.execute("SELECT identity, manifest, checksum FROM state").fetchone()
            if row is None:
                raise ValueError("its state is missing")
            identity, manifest = checked(row, "its state")
            return identity, manifest

    def holdings(self) -> Holdings:
        """Count what is there."""
        with self.reading():
            contents = self._contents()
            left_out = len(windows.left_out_rows(self._db))
        held = [content for content in contents if content[4]]
        return Holdings(
            clips=sum(clips for *_, clips, _ in held),
            contents=len(held),
            windows=sum(clips * count for *_, clips, count in held),
            audio_s=fsum(clips * (duration_s or 0.0) for _, _, duration_s, _, clips, _ in held),
            left_out=left_out,
            incomplete=sum(clips for _, _, _, missing, clips, _ in held if missing is not None),
        )

    def clips(self) -> dict[Path, Clip]:
        """All clips by path."""
        with self.reading():
            rows = self._db.execute(f"SELECT {CLIP} FROM clips").fetchall()
            clips = [clip_of(*checked(row, "a clip")[:5]) for row in rows]
            if len(clips) != self._db.execute("SELECT total(clips) FROM contents").fetchone()[0]:
                raise ValueError("it lacks clips or contents")
            return {clip.path: clip for clip in clips}

    def stamps(self) -> dict[str, Stamp]:
        """The stamps of all clips, by path: much quicker to get than the clips.

        That of a clip whose file is to be read again is none that a file has.
        """
        with self.reading():
            again = {row[0] for row in self._db.execute("SELECT id FROM contents WHERE duration_s IS NULL")}
            again |= self._damaged.keys()
            return {
                path_text(name): _TO_READ_AGAIN if content_id in again else stamp_of(*stamp)
                for name, *stamp, content_id, _, _ in self._db.execute(f"SELECT {CLIP} FROM clips")
            }

    def left_out(self) -> list[LeftOut]:
        """What was left out, in order of path."""
        with self.reading():
            return [LeftOut(clip_of(*row), str(reason)) for *row, reason in windows.left_out_rows(self._db)]

    def missing_by_digest(self) -> dict[bytes, str]:
        """What could not be read of each content that was not read whole."""
        with self.reading():
            return dict(self._missing().values())

    def _missing(self) -> dict[int, tuple[bytes, str]]:
        return {row[0]: (row[1], str(row[3])) for row in self._contents() if row[3] is not None}

    def _contents(self) -> list[tuple[Any, ...]]:
        """All contents without their checksums, counted."""
        contents = [checked(row, "a content") for row in self._db.execute(f"SELECT {CONTENT} FROM contents")]
        if sum(clips for *_, clips, _ in contents) != self._db.execute("SELECT count(*) FROM clips").fetchone()[0]:
            raise ValueError("it lacks clips or contents")
        return contents

    def incomplete(self) -> list[Incomplete]:
        """The clips that couldn't be read whole, in order of path."""
        with self.reading():
            reasons = {content_id: missing for content_id, (_, missing) in self._missing().items()}
            clips = windows.clips_of(self._db, list(reasons))
        found = [Incomplete(clip, reason) for content_id, reason in reasons.items() for clip in clips[content_id]]
        return sorted(found, key=lambda one: bytes(one.clip.path))

    def find_damage(self) -> list[str]:
        """Compare all that is held with its checksums: about a second for 100,000 clips of a window each.

        Returns:
            Which windows are not as they were written, in words. Until the store is closed, `stamps` and `digests`
            treat their clips as if they had to be read again.

        Raises:
            StoreError: If anything else is not as it was written.
        """
        with explaining(self.path):
            damage = find_damage(self._db, self.keeper.mark_bytes)
        if damage.reason is not None:
            raise damaged(self.path, damage.reason)
        self._damaged = damage.contents
        return damage.windows

    def compact(self) -> None:
        """Make the file as small as what it holds; what is removed leaves it as large as it was."""
        with explaining(self.path):
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def digests(self) -> set[bytes]:
        """The digests of all whole contents that needn't be embedded, those that no clip has any more among them."""
        with self.reading():
            rows = self._db.execute("SELECT id, digest FROM contents WHERE duration_s IS NOT NULL")
            return {digest for content_id, digest in rows if content_id not in self._damaged}

    def begun_times(self) -> dict[bytes, list[tuple[float, float]]]:
        """Start and end of the windows that are held of each content of which more are to come, by digest."""
        with self.reading():
            rows = self._db.execute("SELECT id, digest FROM contents WHERE duration_s IS NULL").fetchall()
            begun = {digest: windows.windows_of(self._db, content_id) for content_id, digest in rows}
            return {digest: [times_of(row) for row in rows] for digest, rows in begun.items() if rows}

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything that is read in the `with` block be of one moment, whatever a writer commits meanwhile."""
        with explaining(self.path):
            try:
                self._db.execute("BEGIN")
            except sqlite3.OperationalError as error:
                if self._db.in_transaction:
                    raise StoreError(
                        f"{self.path.parent} is being read by another thread; open the store once in each thread."
                    ) from error
                raise
        try:
            yield
        finally:
            self._db.rollback()

    def content(self, path: Path) -> Content | None:
        """The content of the clip at a path, or None if there is no such clip. Its embeddings are float32."""
        with self.reading():
            row = windows.clip_row(self._db, path)
            return None if row is None else self._content("id = ?", row[5])

    def content_of(self, digest: bytes) -> Content | None:
        """The whole content with a digest, or None if there is none. Its embeddings are float32."""
        return self._content("digest = ?", digest)

    def _content(self, condition: str, value: bytes | int) -> Content | None:
        with self.reading():
            row = self._db.execute(
                f"SELECT {CONTENT} FROM contents WHERE {condition} AND duration_s IS NOT NULL", (value,)
            ).fetchone()
            if row is None:
                return None
            content_id, digest, _, missing, _, count = checked(row, "a content")
            if value not in (content_id, digest):
                raise ValueError("a content can't be found")
            rows = windows.windows_of(self._db, content_id)
            if len(rows) != count:
                raise ValueError("it lacks windows")
            embeddings = self.keeper.vectors(self._db, rows).astype(np.float32)
            times, facts = [times_of(window) for window in rows], facts_with(self._db, content_id)
            return Content(digest, times, embeddings, is_whole=True, missing=missing, facts=facts)

    def clip(self, path: Path) -> tuple[Clip, bytes] | None:
        """The clip at a path as it was when it was indexed, and the digest of its content; None if it is not held."""
        with self.reading():
            row = windows.clip_row(self._db, path)
            if row is None:
                return None
            content = self._db.execute(f"SELECT {CONTENT} FROM contents WHERE id = ?", (row[5],)).fetchone()
            return clip_of(*row[:5]), checked(content or (None,), "a content")[1]

    def paths_of(self, digest: bytes) -> list[Path]:
        """The paths of the clips that have the content with a digest, in order."""
        with self.reading():
            row = self._db.execute("SELECT id FROM contents WHERE digest = ?", (digest,)).fetchone()
            clips = [] if row is None else windows.clips_of(self._db, [row[0]])[row[0]]
            return sorted((clip.path for clip in clips), key=bytes)

    def commit(
        self,
        *,
        contents: Iterable[Content] = (),
        clips: Iterable[tuple[Clip, bytes]] = (),
        saved: Iterable[tuple[Clip, bytes, int | None]] = (),
        left_out: Iterable[LeftOut] = (),
        removed: Iterable[Path] = (),
        seen: Iterable[Clip] = (),
    ) -> None:
        """Write all of this, or nothing of it if it fails.

        Args:
            contents: What is new, or the next part of what was begun. One that is held whole stays as it was.
            clips: Each with the digest of its content. It takes the place of what was held under its path.
            saved: More clips, each with the time when it was indexed, in seconds since the epoch. All others are now.
            left_out: Clips that leave the catalog, if they were in it, and are remembered with their reasons.
            removed: Paths of clips that go, and of such as were left out and are forgotten.
            seen: Clips that are held, or were left out, and of whose files more is known now.

        Raises:
            StoreError: If the disk is full or can't be written to, or the store was deleted, renamed or replaced.
        """
        with self.writing() as db:
            for path in removed:
                commits.delete_clip(db, path)
            for content in contents:
                commits.put_content(db, content, self._damaged, self.keeper)
            now_s = int(time.time())
            for clip, digest, indexed_at_s in chain(((*one, now_s) for one in clips), saved):
                commits.put_clip(db, clip, digest, indexed_at_s)
            for one in left_out:
                commits.put_left_out(db, one)
            for clip in seen:
                commits.put_stamp(db, clip)

    def drop_begun_content(self, digest: bytes) -> None:
        """Delete what is held of a content of which more was to come."""
        with self.writing() as db:
            commits.delete_begun(db, digest)

    def drop_unused_contents(self) -> None:
        """Delete the whole contents that no clip has any more, with what is said in them.

        Apart from `commit`, so that a clip that was moved finds its content again, though its old place was removed
        before its new one was read.
        """
        with self.writing() as db:
            commits.delete_unused(db)

    @contextmanager
    def writing(self, *, is_of_clips: bool = True) -> Iterator[sqlite3.Connection]:
        """Let all that is written in the `with` block be one commit.

        Args:
            is_of_clips: Whether anything is written that is known of clips, so that a lookup has to be brought up to
                date.
        """
        with explaining(self.path), self._folder.staying(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            commits.check_counts(self._db)
            self.keeper.begin(self._db)
            before = self._db.total_changes
            yield self._db
            commits.put_counts(self._db)
            if is_of_clips and self._db.total_changes != before:
                commits.count_commit(self._db)
            self.keeper.commit(self._db)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Let all that is read in the `with` block be of one moment, so that it can be counted."""
        with explaining(self.path), nullcontext() if self._db.in_transaction else self.snapshot():
            yield self._db

    def last_window_id(self) -> int:
        """The highest id that a window ever had; 0 if there never was one."""
        with self.reading():
            return commits.last_window_id(self._db)

    def window_count(self, *, after: int = 0) -> int:
        """How many windows have a higher id, whether a clip has them any more or not.

        Those of a content count once, however many clips have it.
        """
        with self.reading():
            return commits.last_window_id(self._db) - after - windows.gone_after(self._db, after)

    def embeddings(self, *, after: int = 0) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Ids, ascending, and embeddings of the windows with a higher id, some thousand at a time.

        Yields:
            Arrays of shape (windows,) and (windows, dimension).
        """
        with self.reading():
            for rows in windows.windows_after(self._db, after):
                yield windows.ids_of(rows), self.keeper.vectors(self._db, rows)

    def embeddings_of(self, window_ids: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        """As `embeddings`, of the given windows, all at once."""
        with self.reading():
            rows = windows.windows_with(self._db, window_ids, lambda _: None)
            if len(rows) != len(window_ids):
                raise ValueError("it lacks windows")
            in_order = [rows[window_id] for window_id in sorted(rows)]
            return windows.ids_of(in_order), self.keeper.vectors(self._db, in_order)

    def places(
        self,
        window_ids: Sequence[int],
        is_meant: Callable[[Path, float], bool] = lambda _path, _start_s: True,
        *,
        on_unknown: Callable[[int], None] = lambda _: None,
    ) -> dict[int, list[WindowPlace]]:
        """Where the given windows are: in every clip that has their content, and that is meant.

        Args:
            window_ids: Of windows that are there, or are gone.
            is_meant: Tells it by the clip's path and the window's start.
            on_unknown: Called with each id that no window ever had.
        """
        with self.reading():
            return windows.places(self._db, window_ids, is_meant, on_unknown)

    def window_ids(self) -> NDArray[np.int64]:
        """Ids, ascending, of all windows."""
        with self.reading():
            return windows.all_ids(self._db)

    def window_ids_under(self, path: Path) -> NDArray[np.int64]:
        """Ids, ascending, of the windows of the clip at a path or of all clips below it."""
        with self.reading():
            return windows.ids_under(self._db, path)

    def subset_under(self, path: Path) -> windows.Subset:
        """As `window_ids_under`, with what tells whether a clip is one of them."""
        is_under = windows.is_under(path)
        return windows.Subset(self.window_ids_under(path), lambda clip, _start_s: is_under(commits.name_of(clip)))

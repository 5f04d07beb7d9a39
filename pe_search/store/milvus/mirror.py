"""Open a store in Milvus: bring the mirror of its catalog up to date, and take the right to write."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from pe_search.directories import command_for
from pe_search.errors import StoreBusyError, StoreError
from pe_search.records import Problem
from pe_search.store.catalog import Catalog
from pe_search.store.files import CATALOG_FILE, LOOKUP_FILE, MANIFEST_FILE, refuse_odd_files
from pe_search.store.lock import WriterLock
from pe_search.store.manifest import Manifest, as_json, fields_of, has_manifest, manifest_of, write_manifest
from pe_search.store.milvus.client import CHANGES_FIELDS, WINDOWS_FIELDS, Server
from pe_search.store.milvus.connection import place_of
from pe_search.store.milvus.finder import MilvusFinder
from pe_search.store.milvus.following import follow
from pe_search.store.milvus.keeper import MilvusKeeper
from pe_search.store.milvus.lease import Lease
from pe_search.store.milvus.state import State, change_number, state_of
from pe_search.store.opening import explaining, open_to_read, open_to_write

# How long to wait for another process that brings the mirror up to date.
_PATIENCE_S = 30.0


class Mirror:
    """The connection of an open store to Milvus, and the folder in which its catalog is mirrored.

    Attributes:
        directory: The folder.
        manifest: The store's.
        keeper: Of the embeddings.
        is_to_write: Whether this process has the right to write.

    Args:
        directory: The folder.
        is_to_write: Whether to take the right to write.
        manifest: Of a store that is to be made; None to open one.
        on_problem: Called when Milvus does not answer for a while.

    Raises:
        StoreError: If there is no store, it is damaged or of another format, or Milvus doesn't answer.
    """

    def __init__(
        self,
        directory: Path,
        on_problem: Callable[[Problem], None],
        *,
        is_to_write: bool,
        manifest: Manifest | None = None,
    ) -> None:
        self.directory = directory
        self.is_to_write = is_to_write
        place = place_of(directory)
        with ExitStack() as stack:
            self._server = Server(place, lambda line: on_problem(Problem(Path(place.address), line, is_note=True)))
            stack.callback(self._server.close)
            state = self._state() if self._check_collections(manifest) else None
            if manifest is None:
                if state is None:
                    raise StoreError(
                        f"There is no store at {place.address}; make it with {command_for('index PATH', directory)}."
                    )
                self.manifest = manifest_of(_fields(state.manifest, place.address), directory)
                self._check_dimension()
            else:
                self.manifest = manifest
            _make_folder(directory)
            self._lease: Lease | None = None
            if is_to_write:
                lock = WriterLock(directory)
                lock.acquire()
                stack.callback(lock.release)
                if manifest is not None:
                    self._server.make_collections(manifest.dimension)
                self._lease = Lease(self._server, str(directory.absolute()) + _mirror_id(directory))
                stack.callback(self._lease.release)
                self._lease.acquire()
                # Another may have written in the meantime.
                state = self._state() if manifest is None or self._check_collections(manifest) else None
            is_held = None if self._lease is None else self._lease.check
            self.keeper = MilvusKeeper(self._server, self.manifest.dimension, is_held)
            if manifest is None:
                self._catch_up(state, is_locked=is_to_write)
            else:
                if state is not None:
                    raise StoreError(f"There is already a store at {place.address}. Use another address.")
                _forget(self.directory)
                write_manifest(directory, manifest)
            self._opened_as = state
            self._caught_up_s = time.monotonic()
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Let go of the right to write, and end the connection."""
        self._stack.close()

    def finder(self, catalog: Catalog) -> MilvusFinder:
        """What answers queries."""
        return MilvusFinder(catalog, self.directory, self._server, self.keeper, self.catch_up)

    def is_as_opened(self) -> bool:
        """Whether nothing was committed since it was opened."""
        return self._state() == self._opened_as

    def send(self, catalog: Catalog) -> None:
        """Write a catalog that was just made to Milvus: from then on there is a store."""
        with catalog.writing(is_of_clips=False) as db:
            self.keeper.make(db, as_json(self.manifest), catalog.identity)
        (self.directory / _MIRROR_OF).write_text(catalog.identity, encoding="utf-8")
        self._opened_as = self._state()

    def catch_up(self, *, may_be_old_s: float = 0.0) -> None:
        """Bring the mirror up to the last change in Milvus. Who writes has made that change.

        Args:
            may_be_old_s: It isn't done again so soon.
        """
        now_s = time.monotonic()
        if not self.is_to_write and now_s >= self._caught_up_s + may_be_old_s:
            self._catch_up(state_of(self._server), is_locked=False)
            self._caught_up_s = now_s

    def _state(self) -> State | None:
        self._server.load()
        return state_of(self._server)

    def _catch_up(self, state: State | None, *, is_locked: bool) -> None:
        until_s = time.monotonic() + _PATIENCE_S
        if state is None:
            raise StoreError(f"The store at {self._server.place.address} was deleted while it was read.")
        while not self._is_at(state):
            lock = None if is_locked else WriterLock(self.directory)
            try:
                if lock is not None:
                    lock.acquire()
            except StoreBusyError:
                # A writer on this machine keeps it up to date.
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.02)
                continue
            try:
                self._follow(state)
                break
            finally:
                if lock is not None:
                    lock.release()

    def _is_at(self, state: State) -> bool:
        path = self.directory / CATALOG_FILE
        if not path.is_file() or not has_manifest(self.directory):
            return False
        try:
            with explaining(path), closing(open_to_read(path)) as db:
                return self._knows(state.identity) and change_number(db) >= state.head
        except StoreError:
            return False

    def _knows(self, identity: str) -> bool:
        """Whether the mirror is of the store that is in Milvus now, made with this manifest."""
        try:
            return (self.directory / MANIFEST_FILE).read_text(encoding="utf-8") == as_json(
                self.manifest
            ) and _read_mirror_of(self.directory) == identity
        except (OSError, ValueError):
            return False

    def _follow(self, state: State) -> None:
        path = self.directory / CATALOG_FILE
        if not self._knows(state.identity):
            _forget(self.directory)
            write_manifest(self.directory, self.manifest)
            (self.directory / _MIRROR_OF).write_text(state.identity, encoding="utf-8")
        try:
            self._follow_in(path, state)
        except StoreError:
            # It can be made again from the first change on.
            _forget_catalog(self.directory)
            self._follow_in(path, state)

    def _follow_in(self, path: Path, state: State) -> None:
        with explaining(path), closing(open_to_write(path, as_json(self.manifest))) as db:
            if change_number(db) > state.head:
                raise StoreError("The mirror is ahead of its store.")
            db.execute("PRAGMA foreign_keys = OFF")
            # What is lost here is in Milvus.
            db.execute("PRAGMA synchronous = NORMAL")
            follow(db, self._server, state)

    def _check_collections(self, manifest: Manifest | None) -> bool:
        """Whether both collections are there.

        Raises:
            StoreError: If one of that name is not pe-search's.
        """
        place = self._server.place
        found = []
        for name, fields in ((place.windows, WINDOWS_FIELDS), (place.changes, CHANGES_FIELDS)):
            there = self._server.fields_of(name)
            if there and there.keys() != fields:
                raise StoreError(f"The collection {name} at {place.address} is not one of pe-search. Use another name.")
            found.append(bool(there))
        if manifest is not None and found[0]:
            self._check_dimension(manifest.dimension)
        return all(found)

    def _check_dimension(self, wanted: int | None = None) -> None:
        wanted = self.manifest.dimension if wanted is None else wanted
        there = int(self._server.fields_of(self._server.place.windows)["vector"]["params"]["dim"])
        if there != wanted:
            raise StoreError(
                f"The collection {self._server.place.windows} at {self._server.place.address} has embeddings of "
                f"{there:,} numbers, not {wanted:,}."
            )


_MIRROR_OF, _MIRROR_ID = "mirror.of", "mirror.id"


def discard(directory: Path) -> None:
    """Delete a mirror, so that it is made again.

    Raises:
        StoreError: If another process is writing to it.
    """
    _make_folder(directory)
    lock = WriterLock(directory)
    lock.acquire()
    try:
        _forget(directory)
    finally:
        lock.release()


def _forget(directory: Path) -> None:
    for name in (MANIFEST_FILE, _MIRROR_OF):
        (directory / name).unlink(missing_ok=True)
    _forget_catalog(directory)


def _forget_catalog(directory: Path) -> None:
    for name in (CATALOG_FILE, LOOKUP_FILE):
        for end in ("", "-wal", "-shm", "-journal"):
            (directory / f"{name}{end}").unlink(missing_ok=True)


def _read_mirror_of(directory: Path) -> str:
    return (directory / _MIRROR_OF).read_text(encoding="utf-8")


def _mirror_id(directory: Path) -> str:
    """What tells this folder from those of the same path on other machines."""
    import uuid

    file = directory / _MIRROR_ID
    if not file.is_file():
        file.write_text(uuid.uuid4().hex, encoding="ascii")
    return file.read_text(encoding="ascii")


def _make_folder(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{directory} can't be made: {error.strerror or error}.") from error
    refuse_odd_files(directory)


def _fields(text: str, address: str) -> dict[str, object]:
    try:
        return fields_of(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"The store at {address} is damaged: its manifest can't be read ({error}).") from error


def manifest_at(directory: Path) -> Manifest | None:
    """The manifest of the store in Milvus that is mirrored in a folder; None if there is none.

    Raises:
        StoreError: If it is damaged or of another format, or Milvus doesn't answer.
    """
    place = place_of(directory)
    if place.is_file and not Path(place.uri).exists():
        return None
    with closing(Server(place, lambda _line: None)) as server:
        if not (server.fields_of(place.changes) and server.fields_of(place.windows)):
            return None
        server.load()
        state = state_of(server)
        return None if state is None else manifest_of(_fields(state.manifest, place.address), directory)

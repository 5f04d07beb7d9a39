"""Open clips, and nothing that only looks like one."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pe_search.errors import AudioError, quoted
from pe_search.places import beside_url, is_url, place_of

if TYPE_CHECKING:
    from pe_search.audio.containers import Place


def open_clip(path: Path) -> BinaryIO:
    """Open a regular file to read, unbuffered; or a copy of what is behind a URL, or in an archive or a table.

    Raises:
        AudioError: If it can't be opened, or is no regular file.
    """
    if is_url(path):
        return _copies.of(path).open()
    try:
        return _open_regular(path)
    except NotADirectoryError as error:
        if leads_into(path):
            return _copies.of(path).open()
        raise unreadable(path, error) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _open_regular(path: Path) -> BinaryIO:
    # A pipe that took the file's place would otherwise keep the reader waiting for a writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise AudioError(path, "Is a directory" if stat.S_ISDIR(mode) else "not a regular file", may_pass=True)
    return os.fdopen(descriptor, "rb", buffering=0)


def leads_into(path: Path) -> bool:
    """Whether a path is a URL, or leads into an archive or a table."""
    if is_url(path):
        return True
    from pe_search.audio.containers import place_in

    place = place_in(str(path))
    return place is not None and bool(place.inner)


def state_of(path: Path) -> tuple[object, ...]:
    """What changes when the bytes of a clip do.

    Raises:
        AudioError: If it can't be looked at.
    """
    if is_url(path) or not os.path.lexists(path):
        from pe_search.audio.containers import place_in

        place = place_in(str(path))
        container = Path(path if place is None else place.container)
        if is_url(container):
            from pe_search.audio.remote import remote_stamp

            return remote_stamp(str(container))
    else:
        container = path
    try:
        status = container.stat()
    except OSError as error:
        raise AudioError(path, error.strerror or str(error), may_pass=True) from error
    # A program that writes can set the time of the last write to any other, but not that of the last change.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def looks_unchanged(path: Path, size_bytes: int, modified_ns: int) -> bool:
    """Whether a clip is as it was when it was indexed, by the size and time of its file, or the time of its container.

    Raises:
        AudioError: If it can't be looked at.
    """
    from pe_search.audio.containers import place_in

    place = place_in(str(path))
    container = Path(path if place is None else place.container)
    if is_url(container):
        from pe_search.audio.remote import remote_stamp

        found_bytes, found_ns, _, _ = remote_stamp(str(container))
    else:
        try:
            status = container.stat()
        except OSError as error:
            raise AudioError(path, error.strerror or str(error), may_pass=True) from error
        found_bytes, found_ns = status.st_size, status.st_mtime_ns
    return found_ns == modified_ns and (place is not None or found_bytes == size_bytes)


def caption_of(path: Path) -> str | None:
    """What is said beside a clip in an archive or a table, as it was last opened in this thread."""
    copy = _copies.last
    return copy.caption if copy is not None and copy.path == path else None


class _Copy:
    """The bytes of a clip that is no file, in a file without a name; or which file of this machine a row names."""

    def __init__(self, path: Path, state: tuple[object, ...]) -> None:
        self.path = path
        self.state = state
        self.caption: str | None = None
        self._source: Path | None = None
        self._source_state: tuple[object, ...] | None = None
        self._file = tempfile.TemporaryFile(prefix="pe-search-")  # noqa: SIM115 (it is closed with this)
        try:
            self._fill()
            self._file.flush()
        except OSError as error:
            raise AudioError(path, f"can't be copied to {tempfile.gettempdir()}: {error.strerror or error}") from error

    @property
    def is_current(self) -> bool:
        """Whether the file that a row names is as it was."""
        try:
            return self._source is None or state_of(self._source) == self._source_state
        except AudioError:
            return False

    def open(self) -> BinaryIO:
        """Open it."""
        if self._source is not None:
            return _open_named(self.path, self._source)
        try:
            # As a file of its own, with a position of its own.
            descriptor = os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY)
        except OSError:
            descriptor = os.dup(self._file.fileno())
            os.lseek(descriptor, 0, os.SEEK_SET)
        return os.fdopen(descriptor, "rb", buffering=0)

    def _fill(self) -> None:
        from pe_search.audio.containers import copy_clip, place_in

        place = place_in(str(self.path))
        if place is None or not place.inner:
            from pe_search.audio.remote import fetch_into

            fetch_into(str(self.path), self._file)
            return
        with _containers.open(Path(place.container)) as file:
            told = copy_clip(place, file, self._file)
        self.caption = told.caption
        if told.source is not None:
            self._take_named(place, told.source)

    def _take_named(self, place: Place, named: str) -> None:
        """Take the file that a row names: relative to the folder of the table, or absolute."""
        table = Path(place.container)
        if not is_url(named) and is_url(table):
            if os.path.isabs(named):
                raise AudioError(self.path, f"names {named}, and the table is not on this machine")
            named = beside_url(place.container, named)
        if is_url(named):
            from pe_search.audio.remote import fetch_into

            try:
                fetch_into(place_of(named), self._file, column=place.column)
            except AudioError as error:
                raise AudioError(self.path, f"names {error}", may_pass=True) from error
            return
        self._source = table.parent / named
        if "\0" in named or leads_into(self._source):
            raise AudioError(self.path, f"names {quoted(named)}, which is no file")
        try:
            self._source_state = state_of(self._source)
        except AudioError as error:
            raise AudioError(self.path, f"names {self._source}: {error.reason}", may_pass=True) from error


def _open_named(path: Path, source: Path) -> BinaryIO:
    """Open the file that a row of a table names."""
    try:
        return _open_regular(source)
    except OSError as error:
        raise AudioError(path, f"names {source}: {error.strerror or error}", may_pass=True) from error


class _Copies(threading.local):
    """The copy that a thread made last: a clip is opened to be hashed, and then to be decoded."""

    last: _Copy | None = None

    def of(self, path: Path) -> _Copy:
        """The copy of a clip as it is now."""
        state = state_of(path)
        last = self.last
        if last is None or last.path != path or last.state != state or not last.is_current:
            self.last = None
            self.last = last = _Copy(path, state)
        return last


class _Containers:
    """The remote container that was read last: many clips come from one, and several threads read them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: _Copy | None = None

    def open(self, path: Path) -> BinaryIO:
        """Open an archive or a table."""
        if not is_url(path):
            return open_clip(path)
        with self._lock:
            state = state_of(path)
            if self._last is None or self._last.path != path or self._last.state != state:
                self._last = None
                self._last = _Copy(path, state)
            return self._last.open()


_copies = _Copies()
_containers = _Containers()


def open_container(path: Path) -> BinaryIO:
    """Open an archive or a table; a copy of it if it is behind a URL.

    Raises:
        AudioError: As `open_clip`.
    """
    return _containers.open(path)


def unreadable(path: Path, error: OSError) -> AudioError:
    """What the system says of a file that it can't read; another time it may."""
    return AudioError(path, error.strerror or str(error), may_pass=True)

"""Tell the content of a file from that of every other, whatever its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pe_search.audio.files import open_clip, state_of, unreadable
from pe_search.errors import AudioError

_BLOCK_BYTES = 1 << 20


def content_digest(path: Path, on_block: Callable[[], None] = lambda: None) -> bytes:
    """BLAKE2b of all bytes of a file, 32 bytes long.

    Args:
        path: The file.
        on_block: Called before each block that is read; what it raises ends the reading.

    Raises:
        AudioError: If it can't be read, or is no regular file.
    """
    with open_clip(path) as file:
        digest = hashlib.blake2b(digest_size=32)
        on_block()
        try:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                on_block()
        except OSError as error:
            raise unreadable(path, error) from error
        return digest.digest()


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """See to it that all that is read of a file inside the `with` block is of the same bytes.

    Raises:
        AudioError: If the file changed or was replaced meanwhile; in place of whatever else went wrong with it.
    """
    before = state_of(path)
    try:
        yield
    except AudioError as error:
        if state_of(path) != before:
            raise _changed(path) from error
        raise
    if state_of(path) != before:
        raise _changed(path)


def _changed(path: Path) -> AudioError:
    return AudioError(path, "changed while it was read; the next run tries again", may_pass=True)

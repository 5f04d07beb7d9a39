"""Where the embeddings of a run go, and what is held there already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pe_search.records import Clip, Content, LeftOut
from pe_search.store import Store

Times = list[tuple[float, float]]


class Destination(Protocol):
    """What `indexing.Intake` commits to."""

    def is_held(self, digest: bytes) -> bool:
        """Whether a content need not be embedded any more; called from other threads."""

    def begun(self, digest: bytes) -> Times:
        """Start and end of the windows that are held of a content of which more are to come; asked once for each."""

    def missing(self, digest: bytes) -> str | None:
        """What could not be read of a content that is held; None if it was read whole."""

    def commit(
        self, contents: Sequence[Content], clips: Sequence[tuple[Clip, bytes]], left_out: Sequence[LeftOut]
    ) -> None:
        """As `Catalog.commit`."""

    def drop_begun(self, digest: bytes) -> None:
        """Delete what is held of a content of which more was to come."""

    def keep_up(self) -> None:
        """Bring up to date what is made from what is committed."""


class InStore:
    """A store as a destination.

    Args:
        store: Opened for writing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held = store.catalog.digests()
        self._begun = store.catalog.begun_times()
        self._missing = store.catalog.missing_by_digest()

    def is_held(self, digest: bytes) -> bool:
        """See `Destination`; so below."""
        return digest in self._held

    def begun(self, digest: bytes) -> Times:
        """See above."""
        return self._begun.pop(digest, [])

    def missing(self, digest: bytes) -> str | None:
        """See above."""
        return self._missing.get(digest)

    def commit(
        self, contents: Sequence[Content], clips: Sequence[tuple[Clip, bytes]], left_out: Sequence[LeftOut]
    ) -> None:
        """See above."""
        self._store.catalog.commit(contents=contents, clips=clips, left_out=left_out)
        for content in contents:
            if content.is_whole:
                self._held.add(content.digest)
                if content.missing is not None:
                    self._missing[content.digest] = content.missing

    def drop_begun(self, digest: bytes) -> None:
        """See above."""
        self._store.catalog.drop_begun_content(digest)

    def keep_up(self) -> None:
        """See above."""
        self._store.finder.keep_up()

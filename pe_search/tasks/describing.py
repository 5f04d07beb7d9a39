"""Hits, labels and clips become rows of the fields that were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pe_search.errors import AudioError
from pe_search.known.fields import Field, Shown, is_known, order_of
from pe_search.known.recorded import when
from pe_search.queries import Hit
from pe_search.records import PLAIN_HEARING, Hearing, IndexedClip
from pe_search.store.listing import Known, copies_of, indexed_clips_at

if TYPE_CHECKING:
    from datetime import tzinfo

    from pe_search.store import Store

_ROWS_AT_ONCE = 1_024


def clip_of_file(path: Path, hearing: Hearing = PLAIN_HEARING, zone: tzinfo | None = None) -> IndexedClip:
    """A clip as its file describes itself, of which only the header is read. Loudness and peak are not known then.

    Args:
        path: Of the file; absolute.
        hearing: Tells which of its tracks is meant.
        zone: Where it was recorded, for a time without a zone.

    Raises:
        AudioError: If the file can't be opened as audio.
    """
    # To describe what a store has takes no decoder.
    from pe_search.audio.read import ClipReader

    with ClipReader(path, hearing) as reader:
        facts, duration_s = reader.facts(), reader.header_duration_s or None
        status = path.stat()
    recorded = when(facts, path.name, zone)
    return IndexedClip(
        path=path,
        size_bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        duration_s=duration_s,
        windows=0,
        indexed_at_s=None,
        digest=b"",
        facts=facts,
        recorded_at=None if recorded is None else recorded[0].isoformat(),
        recorded_by=None if recorded is None else recorded[1],
    )


class Describer:
    """Makes rows of what was found, with the fields that were asked for.

    Args:
        fields: From `pe_search.known.fields`.
        stores: What is known of clips; of several stores, the first that holds a clip tells.
        hearing: Tells which track of a file is meant.
        are_of_files: Whether the rows are about files as they are now, and not as a store holds them: then a clip that
            has changed since it was indexed is described by its file, as one always is that no store holds.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        stores: Sequence[Store] = (),
        hearing: Hearing = PLAIN_HEARING,
        *,
        are_of_files: bool = False,
    ) -> None:
        self.fields = tuple(fields)
        self._stores = stores
        self._hearing = hearing
        self._are_of_files = are_of_files
        self._needs_clip = any(field.needs_clip for field in fields)
        self._needs_copies = any(field.needs_copies for field in fields)
        # Tags and zones are read once: whoever labels asks again for each clip.
        self._known: list[Known] | None = None

    def rows(self, found: Iterable[Hit | IndexedClip]) -> Iterator[dict[str, Any]]:
        """Yield a row for each of some hits or clips: values by the names of the fields, as JSON has them."""
        rest = iter(found)
        while some := list(islice(rest, _ROWS_AT_ONCE)):
            clips = self.clips_at([one.path for one in some if isinstance(one, Hit)]) if self._needs_clip else {}
            for one in some:
                shown = self._shown(one, clips)
                yield {field.name: field.value(shown) for field in self.fields}

    def sorted(self, clips: Iterable[IndexedClip], field: Field, *, reverse: bool = False) -> list[IndexedClip]:
        """Sort clips by a field. Those of which it is not known come last; those that have it alike stay as they are.

        Args:
            clips: As a store yields them, in order of path.
            field: Of `fields.CLIP_FIELDS`; it need not be one of the describer's.
            reverse: Whether the largest comes first.
        """
        order = order_of(field)
        values = [(self._value(clip, field), clip) for clip in clips]
        known = [(order(value), clip) for value, clip in values if is_known(value)]
        known.sort(key=lambda pair: pair[0], reverse=reverse)
        return [*(clip for _, clip in known), *(clip for value, clip in values if not is_known(value))]

    def clips_at(self, paths: Sequence[Path]) -> dict[Path, IndexedClip]:
        """What is known of some clips, by path; those of which nothing is are not among them."""
        if self._known is None:
            self._known = [Known(store.catalog) for store in self._stores]
        found: dict[Path, IndexedClip] = {}
        for store, known in zip(self._stores, self._known, strict=True):
            wanted = [path for path in paths if path not in found]
            found |= indexed_clips_at(store.catalog, wanted, known) if wanted else {}
        for path in dict.fromkeys(paths):
            if path not in found or (self._are_of_files and not _is_on_disk(found[path])):
                found.pop(path, None)
                # Whoever has found something in it says what is amiss if it can't be read any more.
                with suppress(OSError, AudioError):
                    found[path] = clip_of_file(path, self._hearing, self._zone_of(path))
        return found

    def _zone_of(self, path: Path) -> tzinfo | None:
        return next((zone for known in self._known or () if (zone := known.zone_of(path)) is not None), None)

    def _value(self, clip: IndexedClip, field: Field) -> Any:
        copies = self._copies_of(clip.path) if field.needs_copies else ()
        return field.value(Shown(clip.path, clip, None, copies))

    def _shown(self, one: Hit | IndexedClip, clips: dict[Path, IndexedClip]) -> Shown:
        if isinstance(one, Hit):
            return Shown(one.path, clips.get(one.path), one, one.copies)
        return Shown(one.path, one, None, self._copies_of(one.path) if self._needs_copies else ())

    def _copies_of(self, path: Path) -> tuple[Path, ...]:
        found = dict.fromkeys(copy for store in self._stores for copy in copies_of(store.catalog, path))
        return tuple(found)


def _is_on_disk(clip: IndexedClip) -> bool:
    """Whether a file is as it was when it was indexed, by its size and time. A name is always as it was."""
    if not clip.path.is_absolute():
        return True
    try:
        status = clip.path.stat()
    except OSError:  # it is gone; what the store knows is the best there is
        return True
    return (status.st_size, status.st_mtime_ns) == (clip.size_bytes, clip.modified_ns)

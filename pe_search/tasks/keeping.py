"""What was found becomes files of its own: copies of clips, and stretches cut out of them. None is ever overwritten."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from pe_search.audio.cut import cut
from pe_search.audio.files import leads_into, open_clip
from pe_search.audio.flac import put_comments
from pe_search.audio.metadata import comments_of
from pe_search.audio.read import ClipReader
from pe_search.drafts import draft_folder, drop_left_over, put_if_free
from pe_search.errors import AudioError
from pe_search.known.recorded import when
from pe_search.queries import Hit, Span
from pe_search.records import Hearing

# A name may have 255 bytes, and a character up to four.
_LONGEST_STEM_BYTES = 200
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(slots=True)
class _Taken:
    """The numbers of a name that are known to be taken.

    Attributes:
        next: The first number that was not looked at yet.
        by_digest: What is at the others, by the digest of its bytes; the first of equal ones.
        unread: By size, those that no file was compared with yet.
    """

    next: int = 1
    by_digest: dict[bytes, Path] = field(default_factory=dict)
    unread: dict[int, list[Path]] = field(default_factory=dict)


class Keeper:
    """Puts files into a folder. It remembers what it has seen there, so that many of one name take no longer than few.

    Args:
        folder: Where to; it must be there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: dict[tuple[str, str], _Taken] = {}
        drop_left_over(folder)

    def copy(self, path: Path) -> Path:
        """Copy a clip's file, under its own name, or one with a number if that is taken by another file.

        Returns:
            Where it is. That is where it was already if a file with the same bytes and a name to fit is there.

        Raises:
            AudioError: If it can't be read.
            OSError: If the folder can't be written to.
        """
        with draft_folder(self._folder, drops_left_over=False) as drafts:
            draft = drafts / "copy"
            # Made empty first for its permissions, those that the user gives new files, and not those of the clip.
            draft.open("xb").close()
            mode = draft.stat().st_mode
            try:
                if leads_into(path):
                    with open_clip(path) as file, draft.open("wb") as copied:
                        shutil.copyfileobj(file, copied)
                else:
                    shutil.copy2(path, draft)
            except shutil.SpecialFileError as error:
                raise AudioError(path, "is not a regular file") from error
            except OSError as error:
                if error.errno in _NO_ROOM:
                    # It names the clip, because it was copied from there.
                    raise OSError(error.errno, error.strerror, str(self._folder)) from error
                if error.filename is None or Path(os.fsdecode(error.filename)) != path:
                    raise
                raise AudioError(path, error.strerror or str(error)) from error
            draft.chmod(mode)
            return self._put(draft, _shortened(path.stem), path.suffix)

    def cut(self, path: Path, spans: Iterable[Span | Hit], track: int = 1, zone: tzinfo | None = None) -> list[Path]:
        """Cut spans, or hits, out of a clip into FLAC files.

        Their names say the clip, the times and the probability, if there is one: `walk_12.40-14.00s_0.93.flac`. They
        have the tags of the clip, and the time at which each span begins if it is known when the clip was recorded.

        Args:
            path: The clip.
            spans: What to cut out.
            track: Of the clip's file.
            zone: Where the clip was recorded, for a time without a zone.

        Returns:
            Where each is, in order.

        Raises:
            AudioError: If the clip can't be read, or FLAC has no room for it.
            OSError: If the folder can't be written to.
        """
        spans = list(spans)
        with draft_folder(self._folder, drops_left_over=False) as folder:
            drafts = [folder / f"{number}.flac" for number in range(len(spans))]
            with ClipReader(path, Hearing(track=track)) as reader:
                facts = reader.facts()
                recorded = when(facts, path.name, zone)
                places = [(span.start_s, span.end_s) for span in spans]
                try:
                    cut(reader, zip(places, drafts, strict=True))
                    for span, draft in zip(spans, drafts, strict=True):
                        comments = comments_of(facts, _moved(recorded, span.start_s))
                        if comments:
                            put_comments(draft, comments)
                except OSError as error:
                    raise OSError(error.errno, error.strerror, str(self._folder)) from error
            stem = _shortened(path.stem)
            return [self._put(draft, stem + _named(span), ".flac") for span, draft in zip(spans, drafts, strict=True)]

    def _put(self, draft: Path, stem: str, suffix: str) -> Path:
        """Give a draft the first name that is free, unless a file with its very bytes has such a name."""
        digest, size_bytes = _digest(draft), draft.stat().st_size
        taken = self._taken.setdefault((stem, suffix), _Taken())
        for path in taken.unread.pop(size_bytes, []):
            taken.by_digest.setdefault(_digest(path), path)
        same = taken.by_digest.get(digest)
        # It may have been changed or removed since.
        if same is not None and same.is_file() and filecmp.cmp(draft, same, shallow=False):
            return same
        while True:
            place = self._folder / (f"{stem}{suffix}" if taken.next == 1 else f"{stem}-{taken.next}{suffix}")
            is_put = put_if_free(draft, place)
            taken.next += 1
            if is_put:
                taken.by_digest[digest] = place
                return place
            if not place.is_file():
                continue
            if place.stat().st_size != size_bytes:
                taken.unread.setdefault(place.stat().st_size, []).append(place)
                continue
            held = _digest(place)
            taken.by_digest.setdefault(held, place)
            if held == digest:
                return place


def _moved(recorded: tuple[datetime, str] | None, seconds: float) -> tuple[datetime, str] | None:
    """When something in a recording was. The offset stays that of its start: a recorder's clock runs on as it is."""
    if recorded is None:
        return None
    return datetime.fromisoformat(recorded[0].isoformat()) + timedelta(seconds=seconds), recorded[1]


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _named(span: Span | Hit) -> str:
    probability = "" if span.probability is None else f"_{span.probability:.2f}"
    return f"_{span.start_s:.2f}-{span.end_s:.2f}s{probability}"


def _shortened(stem: str) -> str:
    return stem if len(os.fsencode(stem)) <= _LONGEST_STEM_BYTES else stem[: _LONGEST_STEM_BYTES // 4]

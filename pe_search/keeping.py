"""What was found becomes files of its own: copies of clips, and stretches cut out of them. None is ever overwritten."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from pe_search.audio.cut import cut
from pe_search.audio.read import ClipReader
from pe_search.errors import AudioError
from pe_search.records import Hearing, Span

# A name may have 255 bytes, and a character up to four.
_LONGEST_STEM_BYTES = 200
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def copy_clip(path: Path, folder: Path) -> Path:
    """Copy a clip's file into a folder, under its own name, or one with a number if that is taken by another file.

    Returns:
        Where it is. That is where it was already if a file with the same bytes and a name to fit is there.

    Raises:
        AudioError: If it can't be read.
        OSError: If the folder can't be written to.
    """
    with _draft(folder) as draft:
        try:
            shutil.copy2(path, draft)
        except OSError as error:
            if error.errno in _NO_ROOM:
                # It names the clip, because it was copied from there.
                raise OSError(error.errno, error.strerror, str(folder)) from error
            if error.filename is None or Path(os.fsdecode(error.filename)) != path:
                raise
            raise AudioError(path, error.strerror or str(error)) from error
        return _settle(draft, folder, _shortened(path.stem), path.suffix)


def cut_spans(path: Path, spans: Iterable[Span], folder: Path, track: int = 1) -> list[Path]:
    """Cut spans out of a clip into FLAC files in a folder.

    Their names say the clip, the times and the probability: `walk_12.40-14.00s_0.93.flac`.

    Returns:
        Where each is, in order.

    Raises:
        AudioError: If the clip can't be read, or FLAC has no room for it.
        OSError: If the folder can't be written to.
    """
    spans = list(spans)
    with ExitStack() as stack:
        drafts = [stack.enter_context(_draft(folder)) for _ in spans]
        with ClipReader(path, Hearing(track=track)) as reader:
            cut(reader, [((span.start_s, span.end_s), draft) for span, draft in zip(spans, drafts, strict=True)])
        return [
            _settle(
                draft,
                folder,
                _shortened(path.stem) + f"_{span.start_s:.2f}-{span.end_s:.2f}s_{span.probability:.2f}",
                ".flac",
            )
            for span, draft in zip(spans, drafts, strict=True)
        ]


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """An empty file in the folder, hidden, that is gone afterwards unless it was given another name."""
    with NamedTemporaryFile(dir=folder, prefix=".pe-search-", suffix=".part", delete=False) as file:
        draft = Path(file.name)
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _settle(draft: Path, folder: Path, stem: str, suffix: str) -> Path:
    """Give a draft the first name that is free, or leave it where a file with its very bytes has such a name."""
    number = 1
    while True:
        place = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        try:
            # Claims the name, so that no other process can have it in between.
            place.open("xb").close()
        except FileExistsError:
            if place.is_file() and filecmp.cmp(draft, place, shallow=False):
                return place
            number += 1
        else:
            shutil.copymode(place, draft)
            os.replace(draft, place)
            return place


def _shortened(stem: str) -> str:
    return stem if len(os.fsencode(stem)) <= _LONGEST_STEM_BYTES else stem[: _LONGEST_STEM_BYTES // 4]

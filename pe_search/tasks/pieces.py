"""What other processes embed for a store: pieces of contents in files, until they are committed.

The folder `pieces` in a store holds them while a run with several workers lasts. Workers write embeddings there every
few seconds; the one process that writes to the store commits them, and deletes the files. Whatever is killed goes on
from there: a worker with what it or another one wrote, a run with what the last one did not commit.

A piece is an .npz file: windows that follow on each other, of one content, and a head as JSON. Its name tells which.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import StoreError
from pe_search.records import Clip, Content, Facts
from pe_search.store import Store
from pe_search.store.files import odd_kind, open_regular
from pe_search.store.schema import LARGEST_VALUE, facts_as_json, facts_in, path_of
from pe_search.tasks.destination import InStore, Times

PIECES_FOLDER = "pieces"

_NAME = re.compile(r"(\d{8})-(\d{8})(-last)?\.npz")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Span:
    """Which windows a piece holds.

    Attributes:
        first: The first, from 0.
        stop: The one after the last.
        is_last: Whether the content ends with them.
    """

    first: int
    stop: int
    is_last: bool

    @property
    def name(self) -> str:
        """Of the file."""
        return f"{self.first:08d}-{self.stop:08d}{'-last' if self.is_last else ''}.npz"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the pieces of a content come to.

    Attributes:
        content: Its windows from the first on that was looked for.
        clips: Those that have it, as far as the pieces tell.
    """

    content: Content
    clips: tuple[Clip, ...]


class Pieces:
    """The folder of pieces.

    Args:
        directory: The store's.
        dimension: Length of the embeddings.

    Raises:
        StoreError: If something else is in its place, as a link that leads out of the store.
    """

    def __init__(self, directory: Path, dimension: int) -> None:
        self.folder = directory / PIECES_FOLDER
        kind = odd_kind(self.folder)
        if kind is not None:
            raise StoreError(f"{self.folder} can't be used: it is {kind} and not a folder of the store. Delete it.")
        self._dimension = dimension

    def put(self, content: Content, first: int, clips: Sequence[Clip] = ()) -> None:
        """Write a piece, whole or not at all.

        Args:
            content: Its windows.
            first: Which window of the content the first one is, from 0.
            clips: Those that are known to have the content.

        Raises:
            OSError: If it can't be written.
        """
        head: dict[str, Any] = {"missing": content.missing, "clips": [_clip_as_json(clip) for clip in clips]}
        if content.facts is not None:
            head["facts"] = json.loads(facts_as_json(content.facts))
        arrays: dict[str, NDArray[Any]] = {
            "times": np.asarray(content.times, np.float64).reshape(-1, 2),
            "embeddings": np.asarray(content.embeddings, np.float32),
            "head": np.frombuffer(json.dumps(head).encode(), np.uint8),
        }
        span = Span(first, first + len(content.times), content.is_whole)
        for is_last_try in (False, True):
            try:
                self._write(self._folder_of(content.digest), span.name, arrays)
            except FileNotFoundError:
                # The same content came from another worker meanwhile, and was committed and deleted.
                if is_last_try:
                    raise
            else:
                return

    @staticmethod
    def _write(folder: Path, name: str, arrays: dict[str, NDArray[Any]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{os.urandom(8).hex()}.draft"
        try:
            with draft.open("xb") as file:
                # Without fsync, for which a worker would wait as long as it takes to embed seconds of audio. What a
                # power cut damages is embedded again.
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(draft, folder / name)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise

    def digests(self) -> Iterator[bytes]:
        """The contents of which there are pieces."""
        with suppress(OSError):
            for shard in sorted(os.listdir(self.folder / "contents")):  # noqa: PTH208 (a name is all that is needed)
                with suppress(OSError):
                    for name in sorted(os.listdir(self.folder / "contents" / shard)):  # noqa: PTH208
                        if _DIGEST.fullmatch(name):
                            yield bytes.fromhex(name)

    def is_whole(self, digest: bytes, begun: int) -> bool:
        """Whether there are pieces from a window to the end of a content."""
        return any(span.is_last for span in self._chain(digest, begun))

    def times(self, digest: bytes, begun: int) -> Times:
        """Start and end of the windows that there are pieces of, from a window on, without a gap."""
        return [] if (gathered := self._gather(digest, begun)) is None else list(gathered.content.times)

    def gather(self, digest: bytes, begun: int) -> Gathered | None:
        """The windows of a content from one on, without a gap; None if there are none.

        Raises:
            StoreError: If a piece is damaged.
        """
        try:
            return self._gather(digest, begun)
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise StoreError(f"{self._folder_of(digest)} is damaged: {error}. Delete it.") from error

    def drop(self, digest: bytes) -> None:
        """Delete the pieces of a content."""
        folder = self._folder_of(digest)
        # The last one first, so that nobody takes for whole what is being deleted.
        with suppress(OSError):
            for name in sorted(filter(_NAME.fullmatch, os.listdir(folder)), reverse=True):  # noqa: PTH208
                with suppress(OSError):
                    (folder / name).unlink()
            folder.rmdir()

    def clear(self) -> None:
        """Delete the folder, with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _gather(self, digest: bytes, begun: int) -> Gathered | None:
        times: Times = []
        embeddings: list[NDArray[np.float32]] = []
        clips: list[Clip] = []
        missing: str | None = None
        facts: Facts | None = None
        is_whole = False
        for span in self._chain(digest, begun):
            skipped = begun + len(times) - span.first
            piece_times, piece_embeddings, head = self._read(digest, span)
            times += piece_times[skipped:]
            embeddings.append(piece_embeddings[skipped:])
            clips += map(_clip_in, head["clips"])
            if span.is_last:
                is_whole, missing = True, None if head["missing"] is None else str(head["missing"])
                facts = facts_in(head["facts"]) if "facts" in head else None
        if not times:
            return None
        content = Content(digest, times, np.concatenate(embeddings), is_whole, missing=missing, facts=facts)
        return Gathered(content, tuple(clips))

    def _chain(self, digest: bytes, begun: int) -> list[Span]:
        """Pieces that follow on each other from a window on; they may overlap, where two workers had one content."""
        chain: list[Span] = []
        reached = begun
        for span in self._spans(digest):
            if span.first <= reached < span.stop:
                chain.append(span)
                reached = span.stop
                if span.is_last:
                    break
        return chain

    def _spans(self, digest: bytes) -> list[Span]:
        try:
            names = os.listdir(self._folder_of(digest))  # noqa: PTH208
        except OSError:
            return []
        found = [match for name in names if (match := _NAME.fullmatch(name))]
        spans = [Span(int(match[1]), int(match[2]), match[3] is not None) for match in found]
        return sorted(spans, key=lambda span: (span.first, span.stop, span.is_last))

    def _read(self, digest: bytes, span: Span) -> tuple[Times, NDArray[np.float32], dict[str, Any]]:
        with (
            open_regular(self._folder_of(digest) / span.name) as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            times, embeddings = arrays["times"], arrays["embeddings"]
            head = json.loads(arrays["head"].tobytes())
        windows = span.stop - span.first
        if times.shape != (windows, 2) or embeddings.shape != (windows, self._dimension):
            raise ValueError(f"{span.name} has other windows than its name says")
        if embeddings.dtype != np.float32 or not (np.abs(embeddings) <= LARGEST_VALUE).all():
            raise ValueError(f"{span.name} has values that no embedding has")
        return [(float(start_s), float(end_s)) for start_s, end_s in times], embeddings, head

    def _folder_of(self, digest: bytes) -> Path:
        name = digest.hex()
        return self.folder / "contents" / name[:2] / name


def take_in_left_over(store: Store) -> int:
    """Commit what a run that was killed has embedded and not committed, and delete the folder of pieces.

    Returns:
        The number of windows.

    Raises:
        StoreError: If a piece is damaged, or the store can't be written.
    """
    pieces = Pieces(store.directory, store.manifest.dimension)
    if not pieces.folder.is_dir():
        return 0
    windows = 0
    destination = InStore(store)
    for digest in pieces.digests():
        if destination.is_held(digest):
            continue
        try:
            gathered = pieces.gather(digest, len(destination.begun(digest)))
        except StoreError:
            # It costs no more than to embed it again.
            continue
        if gathered is not None:
            clips = [(clip, digest) for clip in gathered.clips] if gathered.content.is_whole else []
            destination.commit([gathered.content], clips, [])
            windows += len(gathered.content.times)
    pieces.clear()
    return windows


def _clip_as_json(clip: Clip) -> list[Any]:
    return [os.fsencode(clip.path).hex(), *clip.stamp]


def _clip_in(row: Any) -> Clip:
    name, size_bytes, modified_ns, changed_ns, inode = row
    numbers = [None if number is None else int(number) for number in (changed_ns, inode)]
    return Clip(path_of(bytes.fromhex(name)), int(size_bytes), int(modified_ns), *numbers)

"""What a worker does: the pipeline of `index`, into files instead of a store."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pe_search.cluster.blocks import BlockResult, Board, Setup
from pe_search.errors import PeSearchError, StoreError, first_line
from pe_search.records import Clip, Content, LeftOut
from pe_search.reports import Progress
from pe_search.tasks.destination import Times
from pe_search.tasks.indexing import Intake
from pe_search.tasks.pieces import Pieces
from pe_search.trust import trust_urls

if TYPE_CHECKING:
    from pe_search.pe_audio.loaded import OneAtATime

# Whoever ends so many workers, one after the other, ends the next one too.
MOST_ENDED = 3
_TELL_EVERY_S = 1.0


class Worker:
    """Embeds blocks; there is one in each of Ray Data's processes.

    Args:
        setup: What it needs to know.
    """

    def __init__(self, setup: Setup) -> None:
        # Ray sets it where nobody did. torch, onnxruntime's callers and numba go by it when they are imported.
        os.environ["OMP_NUM_THREADS"] = str(setup.threads)
        self._setup = setup
        board = Board(Pieces(setup.directory, setup.dimension).folder, setup.run)
        threading.Thread(target=board.live, args=(f"{platform.node()}-{os.getpid()}",), daemon=True).start()
        trust_urls(setup.trusted)

    def embed(self, block: int, clips: Sequence[Clip]) -> BlockResult:
        """Embed the clips of a block; an error is part of the result."""
        result = BlockResult(block, platform.node())
        try:
            self._embed(block, clips, result)
        except Exception as error:
            result.error = said(error)
        return result

    def _embed(self, block: int, clips: Sequence[Clip], result: BlockResult) -> None:
        setup, pieces = self._setup, Pieces(self._setup.directory, self._setup.dimension)
        board = Board(pieces.folder, setup.run)
        if not board.is_there():
            raise StoreError(
                f"{pieces.folder} is not there as the run sees it. Put the store on a file system that all machines "
                "share, at the same path."
            )
        destination = InPieces(pieces, board, result)
        told_s = 0.0

        def tell(progress: Progress) -> None:
            nonlocal told_s
            result.progress = progress
            if time.monotonic() - told_s >= _TELL_EVERY_S:
                told_s = time.monotonic()
                # The bar can wait; a disk that is full is told of by whoever writes what counts.
                with suppress(OSError):
                    board.tell(block, progress)

        intake = Intake(
            lambda: destination,
            lambda: self._embedder,
            setup,
            tell,
            result.told.append,
            threads=max(1, setup.threads // 2),
            commit_every_s=setup.commit_every_s,
        )
        if board.start(block):
            _one_at_a_time(intake, board, block, clips, destination)
        else:
            intake.run(clips)
            intake.commit()
        result.problems += intake.problems
        result.incomplete = intake.incomplete
        result.progress = intake.progress
        if result.progress.audio_s:
            result.runtime = self._embedder.embedder.runtime

    @cached_property
    def _embedder(self) -> OneAtATime:
        from pe_search.directories import cache_directory
        from pe_search.pe_audio.checkpoint import find_same_checkpoint
        from pe_search.pe_audio.loaded import Loaded

        setup = self._setup
        checkpoint = find_same_checkpoint(setup.model, setup.revision, may_fetch=setup.may_fetch)
        return Loaded(cache_directory, setup.device, setup.dtype).audio_embedder(checkpoint)


class InPieces:
    """Files as a `Destination`.

    Args:
        pieces: The files.
        board: What the store holds.
        result: Where clips go.

    Attributes:
        on_commit: Called when windows were committed; None for nothing.
    """

    def __init__(self, pieces: Pieces, board: Board, result: BlockResult) -> None:
        self.on_commit: Any = None
        self._pieces = pieces
        self._result = result
        self._held = board.held()
        self._begun = board.begun()
        self._committed: dict[bytes, int] = {}

    def is_held(self, digest: bytes) -> bool:
        """See `Destination`; so below."""
        # In this order: what is committed and deleted meanwhile is held then.
        return self._pieces.is_whole(digest, self._begun_before(digest)) or digest in self._held

    def begun(self, digest: bytes) -> Times:
        """See above."""
        before = self._begun.get(digest, [])
        try:
            more = self._pieces.times(digest, len(before))
        except Exception:
            # What can't be read, or has just been committed, is made again.
            self._pieces.drop(digest)
            more = []
        self._committed[digest] = len(before) + len(more)
        return [*before, *more]

    def missing(self, digest: bytes) -> str | None:
        """See above."""
        with suppress(StoreError):
            gathered = self._pieces.gather(digest, self._begun_before(digest))
            if gathered is not None and gathered.content.is_whole:
                return gathered.content.missing
        return self._held.missing(digest)

    def commit(
        self, contents: Sequence[Content], clips: Sequence[tuple[Clip, bytes]], left_out: Sequence[LeftOut]
    ) -> None:
        """See above."""
        for content in contents:
            first = self._committed[content.digest]
            having = [clip for clip, digest in clips if digest == content.digest]
            self._pieces.put(content, first, having)
            self._committed[content.digest] = first + len(content.times)
        self._result.clips += clips
        self._result.left_out += left_out
        if contents and self.on_commit is not None:
            self.on_commit()

    def drop_begun(self, digest: bytes) -> None:
        """See above."""
        self._pieces.drop(digest)
        self._begun.pop(digest, None)
        self._result.dropped.append(digest)

    def keep_up(self) -> None:
        """Nothing is made from files."""

    def _begun_before(self, digest: bytes) -> int:
        return len(self._begun.get(digest, ()))


def said(error: Exception) -> str:
    """What an error says, in a line; the error itself may be none that another process can make again."""
    if isinstance(error, PeSearchError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {first_line(error)}"


def _one_at_a_time(intake: Intake, board: Board, block: int, clips: Sequence[Clip], destination: InPieces) -> None:
    """Embed clips, one of which may have ended the worker before this one, so that it becomes known which."""
    marks = board.marks(block)
    for place, clip in enumerate(clips):
        ended = marks.get(place, 0)
        if ended >= MOST_ENDED:
            reason = f"ended {ended} workers that read it, perhaps for lack of memory; --rehash tries again"
            intake.leave_out(clip, reason)
            continue

        def count(ended: int, place: int = place) -> None:
            marks[place] = ended
            board.mark(block, marks)

        count(ended + 1)
        # What goes on doesn't end workers.
        destination.on_commit = lambda count=count: count(1)
        intake.run([clip])
        intake.commit()
        destination.on_commit = None
        count(0)

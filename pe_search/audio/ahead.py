"""Read clips ahead of whoever embeds them: in threads of their own, in order, bounded in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Condition

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.hashing import content_digest, unchanged
from pe_search.audio.loudness import LoudnessMeter
from pe_search.audio.read import ClipReader, oddities
from pe_search.audio.windows import cut_windows
from pe_search.records import PLAIN_HEARING, Clip, Facts, Hearing, Problem, Window

# Many a library is made of clips of a second; several of them make one batch.
_CLIPS_AHEAD = 24
# What is held of one clip. A longer one waits for windows to be taken before it is read further.
_SECONDS_AHEAD = 40.0
_MOST_THREADS = 8


class _StoppedError(Exception):
    """Nobody wants the clip any more."""


class ClipAhead:
    """A clip that is read in another thread. `digest` first, then `windows` to their end, in one thread.

    Attributes:
        clip: The clip.
        share_read: How much of it the windows that were taken make up, 0–1.
        oddities: What of it couldn't be read, and what is odd about it; known once the windows have ended.
        facts: What it says of itself, and how loud it is; likewise.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.share_read = 0.0
        self.oddities: tuple[Problem, ...] = ()
        self.facts: Facts | None = None
        self._changed = Condition()
        self._digest: bytes | None = None
        self._windows: deque[tuple[Window, float]] = deque()
        self._seconds = 0.0
        self._is_read = False
        self._is_skipped = False
        self._is_stopped = False
        self._error: BaseException | None = None

    def digest(self) -> bytes:
        """Of the file's bytes, see `content_digest`. Waits for it.

        Raises:
            AudioError: If the file can't be read.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._digest is not None or self._is_read)
            if self._digest is None:
                assert self._error is not None
                raise self._error
            return self._digest

    def windows(self) -> Iterator[Window]:
        """The clip's windows, none if its content is known. Waits for each.

        Raises:
            AudioError: After the last, if the file can't be read any further, or changed meanwhile.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._windows) or self._is_read)
                if not self._windows:
                    break
                window, self.share_read = self._windows.popleft()
                self._seconds -= len(window.samples) / SAMPLE_RATE_HZ
                self._changed.notify_all()
            yield window
        if self._error is not None:
            raise self._error

    def skip_windows(self) -> None:
        """Wait until the digest is known to be that of the whole file, without its windows.

        Raises:
            AudioError: If the file changed while it was read.
        """
        with self._changed:
            self._is_skipped = True
            self._changed.notify_all()
        for _ in self.windows():
            pass

    def stop(self) -> None:
        """Have it read no further, and forget what was read."""
        with self._changed:
            self._is_stopped = True
            self._windows.clear()
            self._changed.notify_all()

    def _read(self, window_s: float, hop_s: float, hearing: Hearing, is_known: Callable[[bytes], bool]) -> None:
        """What the other thread does."""
        error: BaseException | None = None
        try:
            with unchanged(self.clip.path):
                digest = content_digest(self.clip.path, self._go_on)
                with self._changed:
                    self._digest = digest
                    self._changed.notify_all()
                if not is_known(digest):
                    self._cut(window_s, hop_s, hearing)
        except _StoppedError:
            pass
        except BaseException as raised:  # to be raised again where the windows are taken
            error = raised
        finally:
            with self._changed:
                self._error = error
                self._is_read = True
                self._changed.notify_all()

    def _cut(self, window_s: float, hop_s: float, hearing: Hearing) -> None:
        with ClipReader(self.clip.path, hearing) as reader:
            facts = reader.facts()
            meter = LoudnessMeter()
            for window in cut_windows(meter.passing(reader.blocks()), window_s, hop_s, hearing):
                # The header may lie about the length, so the share is held at one.
                share = window.end_s / max(reader.header_duration_s, window.end_s)
                with self._changed:
                    self._changed.wait_for(
                        lambda: self._seconds < _SECONDS_AHEAD or self._is_skipped or self._is_stopped
                    )
                    self._go_on()
                    if self._is_skipped:
                        return
                    self._windows.append((window, share))
                    self._seconds += len(window.samples) / SAMPLE_RATE_HZ
                    self._changed.notify_all()
            self.oddities = oddities(reader)
            self.facts = replace(facts, loudness_lufs=meter.loudness_lufs, peak_dbfs=meter.peak_dbfs)

    def _go_on(self) -> None:
        if self._is_stopped:
            raise _StoppedError


def read_ahead(
    clips: Iterable[Clip],
    window_s: float,
    hop_s: float,
    is_known: Callable[[bytes], bool],
    hearing: Hearing = PLAIN_HEARING,
    *,
    threads: int | None = None,
) -> Generator[ClipAhead, None, None]:
    """Yield each clip in turn while it, and some of those after it, are being read.

    A clip that was yielded is stopped when the next is asked for. Close the iterator to stop them all: one that is left
    to the garbage collector waits for its threads, and if it is collected while a thread is being started, forever.

    Args:
        clips: What to read.
        window_s: Length of a window.
        hop_s: Step from one window to the next.
        is_known: Whether the content with a digest needs no windows. It is called in other threads.
        hearing: How the clips are brought to the model.
        threads: How many read; None for half of the cores.
    """
    # Half of the cores, because the model has the others; it is the slower of the two by far, unless it has a GPU.
    threads = threads or min(_MOST_THREADS, max(1, (os.cpu_count() or 1) // 2))
    ahead: deque[ClipAhead] = deque()
    with ThreadPoolExecutor(threads, "read-ahead") as pool:
        try:
            for clip in clips:
                ahead.append(ClipAhead(clip))
                pool.submit(ahead[-1]._read, window_s, hop_s, hearing, is_known)
                if len(ahead) > _CLIPS_AHEAD:
                    yield ahead[0]
                    ahead.popleft().stop()
            while ahead:
                yield ahead[0]
                ahead.popleft().stop()
        finally:
            for started in ahead:
                started.stop()

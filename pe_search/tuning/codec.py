"""What the codec makes of clips: calculated once, and kept in a folder for as long as a tuning takes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.audio.ahead import ClipAhead, read_ahead
from pe_search.drafts import drop_left_over, whole_file
from pe_search.embedding import TOO_LARGE, Gathering
from pe_search.errors import AudioError, TuningError
from pe_search.records import Clip, Hearing, Problem
from pe_search.reports import Progress

MOST_BYTES = 16_000_000_000
_TIMES = "times"
_BATCHES_TO_GATHER = 3


class Encoder(Protocol):
    """What encodes windows."""

    @property
    def batch_s(self) -> float:
        """Seconds of audio that are encoded at once."""

    def encode_windows(self, windows: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Windows to features of shape (frames, numbers) each."""


class CodecCache:
    """A file for each content, with the features of its windows.

    Args:
        folder: Made if need be.
        most_bytes: How much it may hold.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        drop_left_over(folder)
        self._folder = folder
        self._most_bytes = most_bytes
        self._bytes = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())

    def times(self, digest: bytes) -> list[tuple[float, float]] | None:
        """Start and end of each window of a content, in seconds; None if it isn't there."""
        try:
            with np.load(self._file(digest)) as held:
                return [(float(start_s), float(end_s)) for start_s, end_s in held[_TIMES]]
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile):
            return None

    def features(self, digest: bytes, window: int) -> NDArray[np.float32]:
        """Of a window of a content: float32 of shape (frames, numbers)."""
        with np.load(self._file(digest)) as held:
            return np.asarray(held[str(window)], np.float32)

    def put(self, digest: bytes, times: Sequence[tuple[float, float]], features: Sequence[NDArray[np.float32]]) -> None:
        """Keep the features of a content.

        Raises:
            TuningError: If there is no room for them.
            OSError: If they can't be written.
        """
        content = io.BytesIO()
        arrays = {str(window): one for window, one in enumerate(features)}
        np.savez(content, **{_TIMES: np.array(times, np.float64)}, **arrays)  # type: ignore[arg-type]
        self._bytes += content.tell()
        if self._bytes > self._most_bytes:
            raise TuningError(
                f"The codec's features of the recordings take more than {self._most_bytes / 1e9:g} GB. Give a table "
                "with fewer or shorter recordings."
            )
        with whole_file(self._file(digest)) as file:
            file.write(content.getbuffer())

    def _file(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}.npz"


@dataclass(slots=True)
class _Reading:
    """A content on its way."""

    path: Path
    digest: bytes
    times: list[tuple[float, float]] = field(default_factory=list)
    features: list[NDArray[np.float32]] = field(default_factory=list)
    is_read: bool = False
    is_dropped: bool = False


def encode_clips(
    clips: Sequence[Clip],
    cache: CodecCache,
    window_s: float,
    hearing: Hearing,
    load_encoder: Callable[[], Encoder],
    on_progress: Callable[[Progress], None],
    on_problem: Callable[[Problem], None],
) -> dict[Path, bytes]:
    """Bring the features of clips into a cache; those that are there already are not calculated again.

    Args:
        clips: What is read.
        cache: Where the features go.
        window_s: Length of a window, and the step to the next.
        hearing: How clips are brought to the model.
        load_encoder: Called once there is a window that isn't there.
        on_progress: Called after each clip.
        on_problem: Called with each clip that is left out, of which something is missing, or that is odd.

    Returns:
        The digest of each clip that is in the cache now.
    """
    digests: dict[Path, bytes] = {}
    readings: dict[bytes, _Reading] = {}

    def finish(reading: _Reading) -> None:
        if reading.is_read and not reading.is_dropped and len(reading.features) == len(reading.times):
            cache.put(reading.digest, reading.times, reading.features)
            reading.features.clear()
            reading.is_dropped = True

    def deliver(reading: _Reading, features: NDArray[np.float32] | None) -> None:
        if features is None and not reading.is_dropped:
            reading.is_dropped = True
            on_problem(Problem(reading.path, TOO_LARGE))
        elif features is not None and not reading.is_dropped:
            reading.features.append(features)
            finish(reading)

    gathering: Gathering[_Reading] = Gathering(
        lambda windows: load_encoder().encode_windows(windows),
        lambda: _BATCHES_TO_GATHER * load_encoder().batch_s,
        deliver,
        lambda reading: not reading.is_dropped,
    )

    def read(ahead: ClipAhead) -> None:
        digest = ahead.digest()
        if digest in readings or cache.times(digest) is not None:
            ahead.skip_windows()
        else:
            reading = readings[digest] = _Reading(ahead.clip.path, digest)
            try:
                for window in ahead.windows():
                    reading.times.append((window.start_s, window.end_s))
                    gathering.add(reading, window.samples)
            except AudioError:
                reading.is_dropped = True
                del readings[digest]
                raise
            reading.is_read = True
            finish(reading)
        digests[ahead.clip.path] = digest
        for oddity in ahead.oddities:
            on_problem(oddity)

    total, done = sum(clip.size_bytes for clip in clips), Progress(0, 0, 0.0)
    done = replace(done, bytes_total=total, clips=len(clips))
    with closing(
        read_ahead(clips, window_s, window_s, lambda digest: cache.times(digest) is not None, hearing)
    ) as them:
        for ahead in them:
            before_s = gathering.embedded_s
            try:
                read(ahead)
            except AudioError as error:
                on_problem(Problem(error.path, error.reason))
            size = ahead.clip.size_bytes
            done = replace(
                done,
                bytes_done=done.bytes_done + size,
                bytes_skipped=done.bytes_skipped + (0 if gathering.embedded_s > before_s else size),
                audio_s=gathering.embedded_s,
                clips_done=done.clips_done + 1,
            )
            on_progress(done)
        gathering.embed()
    return {path: digest for path, digest in digests.items() if cache.times(digest) is not None}


def clips_of(paths: Iterable[Path], on_problem: Callable[[Problem], None]) -> list[Clip]:
    """The clips at some paths, each once."""
    from pe_search.audio.find import find_stamps

    return list(find_stamps(list(dict.fromkeys(paths)), on_problem).clips())

"""Read any audio file as 48 kHz mono, piece by piece, so that memory doesn't grow with the recording."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.errors import AudioError

_LOWEST_RATE_HZ = 1_000
_HIGHEST_RATE_HZ = 768_000
_MOST_CHANNELS = 256
# A block is a second long, or shorter where many channels would make it large.
_BLOCK_S = 1.0
_NUMBERS_PER_BLOCK = 4_000_000
_HEADERLESS = "can't be read as audio: it has no header"

Place = tuple[float, float]
"""Start and end of a stretch of a clip, in seconds."""


class ClipReader:
    """An open audio file.

    Args:
        path: The file; libsndfile goes by its content, not by its extension.

    Attributes:
        header_duration_s: What the header says; the samples may be fewer.
        sample_rate_hz: Of the file.
        channels: Of the file.
        subtype: How its samples are kept, in libsndfile's words: `PCM_16`, `FLOAT`, `VORBIS` …

    Raises:
        AudioError: If the file can't be opened as audio.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # As bytes, because soundfile can't encode the surrogates of a name that is not UTF-8.
            self._file = soundfile.SoundFile(os.fsencode(path) if os.name == "posix" else str(path))
        except (OSError, RuntimeError) as error:
            raise _unreadable(error, path) from error
        except TypeError as error:  # what soundfile makes of a name that ends in .raw
            raise AudioError(path, _HEADERLESS) from error
        # soundfile seeks after each block to where it is already. MP3 and Opus then lose their place, and the clip
        # some of its sound: libsndfile/libsndfile#794.
        self._file.seekable = lambda: False
        rate_hz = self._file.samplerate
        try:
            # libsndfile takes anything at all for bare samples if it is called .au or .vox.
            if self._file.format == "RAW":
                raise AudioError(path, _HEADERLESS)
            if not _LOWEST_RATE_HZ <= rate_hz <= _HIGHEST_RATE_HZ:
                raise AudioError(path, f"its header gives a sample rate of {rate_hz} Hz")
            if self._file.channels > _MOST_CHANNELS:
                raise AudioError(path, f"its header gives {self._file.channels} channels")
        except AudioError:
            self._file.close()
            raise
        self.header_duration_s = max(self._file.frames, 0) / rate_hz
        self.sample_rate_hz: int = rate_hz
        self.channels: int = self._file.channels
        self.subtype: str = self._file.subtype
        self._frames_per_block = min(round(_BLOCK_S * rate_hz), _NUMBERS_PER_BLOCK // self.channels)

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the audio from the start: float32 blocks of shape (samples,), 48 kHz, the mean of all channels.

        Raises:
            AudioError: If the file breaks off, holds no audio, or holds samples that are not finite numbers.
        """
        resampler = None
        if self.sample_rate_hz != SAMPLE_RATE_HZ:
            resampler = soxr.ResampleStream(self.sample_rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        is_empty = True
        while True:
            frames = self._read("float32")
            with np.errstate(over="ignore", invalid="ignore"):  # the next line tells of it
                mono = frames.mean(axis=1, dtype=np.float32)
            if not np.isfinite(mono).all():
                raise AudioError(self.path, "holds samples that are not finite numbers (NaN or infinity)")
            is_last = len(mono) < self._frames_per_block
            if resampler is not None:
                mono = resampler.resample_chunk(mono, last=is_last)
            if len(mono):
                is_empty = False
                yield mono
            if is_last:
                break
        if is_empty:
            raise AudioError(self.path, "holds no audio")

    def stretches(self, places: Iterable[Place]) -> Iterator[tuple[Place, NDArray[np.float32]]]:
        """Read some stretches of the audio in one pass, holding only those that are not complete.

        The file is read from its start, since seeking in compressed audio is not exact.

        Args:
            places: Start and end of each, in seconds; they may overlap.

        Yields:
            Each place and its audio, of shape (samples,), in order of the ends.

        Raises:
            AudioError: As `blocks`; also if the audio ends before a place does.
        """
        waiting = sorted(set(places), key=lambda place: place[1])
        held = np.empty(0, np.float32)
        held_from = 0
        for block in self.blocks():
            held = np.concatenate([held, block])
            while waiting and _sample(waiting[0][1]) <= held_from + len(held):
                place = waiting.pop(0)
                yield place, held[_sample(place[0]) - held_from : _sample(place[1]) - held_from].copy()
            if not waiting:
                return
            needed_from = min(_sample(start_s) for start_s, _ in waiting)
            surplus = min(len(held), max(0, needed_from - held_from))
            held = held[surplus:]
            held_from += surplus
        if waiting:
            raise AudioError(self.path, f"ends before {waiting[0][1]:g} s")

    def whole_blocks(self, dtype: Literal["float32", "int32"]) -> Iterator[NDArray[np.float32] | NDArray[np.int32]]:
        """Yield the audio as the file has it, from the start: blocks of shape (frames, channels), at its own rate.

        Raises:
            AudioError: If the file breaks off.
        """
        while len(block := self._read(dtype)):
            yield block

    def _read(self, dtype: Literal["float32", "int32"]) -> NDArray[Any]:
        try:
            block: NDArray[Any] = self._file.read(self._frames_per_block, dtype=dtype, always_2d=True)
        except (OSError, RuntimeError) as error:
            raise _unreadable(error, self.path) from error
        return block


def _sample(time_s: float) -> int:
    return round(time_s * SAMPLE_RATE_HZ)


def _unreadable(error: Exception, path: Path) -> AudioError:
    """What libsndfile says, without the file's name in front, which the error line gives already."""
    if isinstance(error, OSError) and error.strerror:
        return AudioError(path, error.strerror, may_pass=True)
    try:
        with path.open("rb") as file:
            if not file.read(1):
                return AudioError(path, "the file is empty")
    except OSError as blocked:
        return AudioError(path, blocked.strerror or str(blocked), may_pass=True)
    text = getattr(error, "error_string", str(error)).strip().rstrip(".")
    if text.startswith("File does not exist"):  # what libsndfile says of an MP3 in which it finds no frame
        text = "Format not recognised"
    return AudioError(path, f"can't be read as audio: {text}")

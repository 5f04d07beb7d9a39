"""Read uncompressed audio, and the rare formats that only libsndfile knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import soundfile
from numpy.typing import NDArray

from pe_search.audio.files import unreadable
from pe_search.audio.headers import read_header
from pe_search.clock import clock
from pe_search.errors import AudioError

# Less than a frame of the model is nothing that anyone would miss.
_TOLERANCE_S = 0.04
_BITS = {
    "PCM_S8": 8,
    "PCM_U8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "FLOAT": 32,
    "DOUBLE": 64,
    "ALAC_16": 16,
    "ALAC_20": 20,
    "ALAC_24": 24,
    "ALAC_32": 32,
}


class LibsndfileSource:
    """An open file that libsndfile decodes.

    Args:
        file: At any position; it stays open.
        path: Its name, for messages.

    Attributes:
        sample_rate_hz: Of the file.
        channels: Of the file.
        subtype: How its samples are kept, in libsndfile's words: `PCM_16`, `FLOAT`, `IMA_ADPCM` …
        duration_s: Of the samples that it is known to hold.
        notes: What is odd about it, though nothing is missing.
        codec: As `subtype`, in lower case.
        bits: Bits of a sample; None where samples are compressed.
        tags: What the file says of itself, by libsndfile's names.

    Raises:
        AudioError: If libsndfile can't open it.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._path = path
        self._error: str | None = None
        self._header = header = read_header(file)
        try:
            if header is not None and header.must_change:
                self._sound = soundfile.SoundFile(header.repaired(file))
            elif os.name == "posix":
                # By its descriptor, because libsndfile takes no path longer than 1,023 bytes, and goes by extensions.
                descriptor = os.dup(file.fileno())
                os.lseek(descriptor, 0, os.SEEK_SET)
                self._sound = soundfile.SoundFile(descriptor)
            else:
                self._sound = soundfile.SoundFile(str(path))
        except (OSError, RuntimeError) as error:
            raise AudioError(path, f"can't be read as audio: {_reason(error)}") from error
        # soundfile seeks after each block to where it is already. MP3 and Opus then lose their place, and the clip
        # some of its sound: libsndfile/libsndfile#794.
        self._sound.seekable = lambda: False
        self.sample_rate_hz: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self.subtype: str = self._sound.subtype
        self.codec = self.subtype.lower()
        self.bits: int | None = _BITS.get(self.subtype)
        self.tags: dict[str, str] = self._sound.copy_metadata()
        self.duration_s = max(self._sound.frames, 0) / max(self.sample_rate_hz, 1)
        self.notes: list[str] = []
        if header is not None and header.says_too_little:
            assert header.declared_bytes is not None
            declared_s = self.duration_s * header.declared_bytes / max(header.held_bytes, 1)
            self.notes.append(
                f"the header says {clock(declared_s)}, and the file holds {clock(self.duration_s)}; all of it is read"
            )
        self._frames = 0

    def close(self) -> None:
        """Let go of the file, which stays open."""
        self._sound.close()

    def blocks(self, frames: int, dtype: Literal["float32", "int32"]) -> Iterator[NDArray[Any]]:
        """Yield the samples from where the last call ended, in blocks of shape (at most `frames`, channels).

        Raises:
            AudioError: If nothing at all can be decoded. What can't after that is told by `missing`.
        """
        while True:
            try:
                block: NDArray[Any] = self._sound.read(frames, dtype=dtype, always_2d=True)
            except (OSError, RuntimeError) as error:
                if isinstance(error, OSError):
                    raise unreadable(self._path, error) from error
                self._error = _reason(error)
                if not self._frames:
                    raise AudioError(self._path, f"can't be read as audio: {self._error}") from error
                return
            self._frames += len(block)
            if len(block):
                yield block
            if len(block) < frames:
                return

    @property
    def is_damaged(self) -> bool:
        """Whether `blocks` ended where something can't be decoded."""
        return self._error is not None

    def rewind(self) -> None:
        """Go back to the first sample."""
        self._frames = 0
        self._sound.seek(0)

    def seek(self, frame: int) -> None:
        """Go to a sample, or to the end if there are fewer; for pictures, as `missing` counts from the first."""
        self._sound.seek(min(frame, max(self._sound.frames, 0)))

    def seek_time(self, _time_s: float, _length_s: float | None) -> float | None:
        """None: what is not compressed is gone to by `seek`, and the rest is read from its start."""
        return None

    def missing(self) -> str | None:
        """What the file should hold, but couldn't be read; to be asked after the last block."""
        held_s = self._frames / self.sample_rate_hz
        if self._error is not None:
            return f"can't be decoded after {clock(held_s)} of {clock(self.duration_s)}: {self._error}"
        header = self._header
        if header is not None and header.breaks_off and header.held_bytes:
            assert header.declared_bytes is not None
            declared_s = held_s * header.declared_bytes / header.held_bytes
            if declared_s - held_s > _TOLERANCE_S:
                return f"breaks off after {clock(held_s)} of {clock(declared_s)}"
        return None


def _reason(error: Exception) -> str:
    """What libsndfile says, without the file's name in front, which the error line gives already."""
    return getattr(error, "error_string", str(error)).strip().rstrip(".")

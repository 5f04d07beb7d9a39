"""Cut stretches out of any audio file into files of their own, as they are: all channels, at their own rate."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from pe_search.audio.read import ClipReader
from pe_search.errors import AudioError, PeSearchError, first_line

# What these hold fits into as many bits of FLAC or WAV; anything else is floating point, or was before it was coded.
_SUBTYPES = {"PCM_S8": "PCM_16", "PCM_U8": "PCM_16", "PCM_16": "PCM_16", "PCM_24": "PCM_24"}
_MOST_FLAC_CHANNELS = 8
# From here on FLAC counts in tens of Hz.
_FLAC_TENS_FROM_HZ = 1 << 16
_HIGHEST_FLAC_RATE_HZ = 655_350
Samples = NDArray[np.float32] | NDArray[np.int32]


class _Disk(io.FileIO):
    """A file that remembers why it couldn't be written to. libsndfile doesn't tell, and at the very end doesn't notice.

    Attributes:
        failure: None as long as all is well.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
            return 0
        return len(data)


class _Cut:
    """A stretch, and the file that it is written to; this is open only while there is something to write.

    A long recording may have more stretches than a process may have open files.
    """

    def __init__(self, start: int, stop: int, path: Path, encode: Callable[[_Disk], soundfile.SoundFile]) -> None:
        self.start = start
        self.stop = stop
        self._path = path
        self._encode = encode
        self._disk: _Disk | None = None
        self._sound: soundfile.SoundFile | None = None

    def write(self, block: Samples, block_start: int) -> None:
        """Write what the stretch has of a block that begins at a frame of the clip."""
        first, last = max(self.start - block_start, 0), self.stop - block_start
        if first >= len(block) or last <= 0:
            return
        if self._disk is None:
            self._disk = _Disk(self._path, "w+")
        with self._explaining(self._disk):
            if self._sound is None:
                self._sound = self._encode(self._disk)
            self._sound.write(block[first:last])

    def close(self) -> None:
        if self._disk is not None:
            with self._disk, self._explaining(self._disk):
                if self._sound is not None:
                    self._sound.close()

    @contextmanager
    def _explaining(self, disk: _Disk) -> Iterator[None]:
        place = self._path.parent
        try:
            yield
        except (RuntimeError, AssertionError) as error:  # the latter is what soundfile has for a write that falls short
            if disk.failure is None:
                raise PeSearchError(f"{place}: a cut can't be written there: {first_line(error)}") from error
        if disk.failure is not None:
            raise OSError(disk.failure.errno, disk.failure.strerror, str(place)) from disk.failure


def cut(
    reader: ClipReader,
    places: Iterable[tuple[tuple[float, float], Path]],
    file_format: str = "FLAC",
    speed: float = 1.0,
) -> None:
    """Write some stretches of a clip in one pass over it.

    Samples of up to 24 bits come out as they were; what is floating point, or compressed with loss, comes out in 24
    bits. The file is read from its start, since seeking in compressed audio is not exact.

    Args:
        reader: Of the clip, fresh.
        places: Start and end of each stretch in seconds, and the file to write it to. Stretches may overlap.
        file_format: `FLAC` or `WAV`.
        speed: How fast the files are to be played; the samples are the same at any speed.

    Raises:
        AudioError: If the clip can't be read, or ends before a stretch does, or the format has no room for its channels
            or rate.
        OSError: If a stretch can't be written, as when the disk is full; it names the folder.
    """
    rate_hz, channels = reader.sample_rate_hz, reader.channels
    if file_format == "FLAC":
        if channels > _MOST_FLAC_CHANNELS:
            raise AudioError(reader.path, f"has {channels} channels; FLAC allows at most {_MOST_FLAC_CHANNELS}")
        if rate_hz > _HIGHEST_FLAC_RATE_HZ or (rate_hz >= _FLAC_TENS_FROM_HZ and rate_hz % 10):
            raise AudioError(reader.path, f"has a sample rate of {rate_hz} Hz, which FLAC does not support")
    subtype = _SUBTYPES.get(reader.subtype, "PCM_24")

    def encode(disk: _Disk) -> soundfile.SoundFile:
        return soundfile.SoundFile(disk, "w", round(rate_hz * speed), channels, subtype, format=file_format)

    waiting = [
        _Cut(start := round(start_s * rate_hz), max(start + 1, round(end_s * rate_hz)), path, encode)
        for (start_s, end_s), path in places
    ]
    frames = 0
    try:
        for block in reader.whole_blocks("int32" if reader.subtype in _SUBTYPES else "float32"):
            for stretch in tuple(waiting):
                stretch.write(block, frames)
                if stretch.stop <= frames + len(block):
                    waiting.remove(stretch)
                    stretch.close()
            frames += len(block)
            if not waiting:
                return
        # Windows were cut after resampling, which may round the end of a clip up by a frame.
        late = [stretch for stretch in waiting if stretch.stop > frames + 1]
        if late:
            raise AudioError(reader.path, f"ends before {late[0].stop / rate_hz:g} s")
    finally:
        for stretch in waiting:
            stretch.close()

"""Cut stretches out of any audio file into files of their own, as they are: all channels, at their own rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from pe_search.audio.read import ClipReader
from pe_search.errors import AudioError, PeSearchError

# What these hold fits into as many bits of FLAC or WAV; anything else is floating point, or was before it was coded.
_SUBTYPES = {"PCM_S8": "PCM_16", "PCM_U8": "PCM_16", "PCM_16": "PCM_16", "PCM_24": "PCM_24"}
_MOST_CHANNELS = {"FLAC": 8}
_HIGHEST_RATE_HZ = {"FLAC": 655_350}


class _Cut:
    """A stretch that is being written."""

    def __init__(self, start: int, stop: int, file: soundfile.SoundFile) -> None:
        self.start = start
        self.stop = stop
        self.file = file

    def write(self, block: NDArray[np.float32] | NDArray[np.int32], block_start: int) -> None:
        """Write what the stretch has of a block that begins at a frame of the clip."""
        first, last = max(self.start - block_start, 0), self.stop - block_start
        if first < len(block) and last > 0:
            try:
                self.file.write(block[first:last])
            except RuntimeError as error:
                raise PeSearchError(f"A cut can't be written: {error}") from error


def cut(reader: ClipReader, places: Iterable[tuple[tuple[float, float], BinaryIO]], file_format: str = "FLAC") -> None:
    """Write some stretches of a clip in one pass over it.

    Samples of up to 24 bits come out as they were; what is floating point, or compressed with loss, comes out in 24
    bits. The file is read from its start, since seeking in compressed audio is not exact.

    Args:
        reader: Of the clip, fresh.
        places: Start and end of each stretch in seconds, and an empty file to write it to, open for reading and
            writing. Stretches may overlap.
        file_format: `FLAC` or `WAV`.

    Raises:
        AudioError: If the clip can't be read, or ends before a stretch does, or the format has no room for its channels
            or rate.
        PeSearchError: If a stretch can't be written.
    """
    rate_hz, channels = reader.sample_rate_hz, reader.channels
    if channels > _MOST_CHANNELS.get(file_format, channels):
        raise AudioError(reader.path, f"has {channels} channels, and {file_format} has room for 8")
    if rate_hz > _HIGHEST_RATE_HZ.get(file_format, rate_hz):
        raise AudioError(reader.path, f"has a sample rate of {rate_hz} Hz, which is too high for {file_format}")
    subtype = _SUBTYPES.get(reader.subtype, "PCM_24")
    waiting = [
        _Cut(
            round(start_s * rate_hz),
            round(end_s * rate_hz),
            # By its number, because soundfile hides what goes wrong in a file of Python's.
            soundfile.SoundFile(file.fileno(), "w", rate_hz, channels, subtype, format=file_format, closefd=False),
        )
        for (start_s, end_s), file in places
    ]
    frames = 0
    try:
        for block in reader.whole_blocks("int32" if reader.subtype in _SUBTYPES else "float32"):
            for stretch in waiting:
                stretch.write(block, frames)
            frames += len(block)
            for stretch in [stretch for stretch in waiting if stretch.stop <= frames]:
                stretch.file.close()
                waiting.remove(stretch)
            if not waiting:
                return
        # Windows were cut after resampling, which may round the end of a clip up by a frame.
        late = [stretch for stretch in waiting if stretch.stop > frames + 1]
        if late:
            raise AudioError(reader.path, f"ends before {late[0].stop / rate_hz:g} s")
    finally:
        for stretch in waiting:
            stretch.file.close()

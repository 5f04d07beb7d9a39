"""Read any audio file as 48 kHz mono, piece by piece, so that memory doesn't grow with the recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.files import caption_of, open_clip
from pe_search.audio.headers import is_mpeg_in_wave
from pe_search.audio.libsndfile import LibsndfileSource
from pe_search.audio.metadata import read_facts
from pe_search.audio.mono import Mixer, integer_scale
from pe_search.errors import AudioError
from pe_search.records import PLAIN_HEARING, Clip, Facts, Hearing, Problem

_LOWEST_RATE_HZ = 1_000
_HIGHEST_RATE_HZ = 768_000
_MOST_CHANNELS = 256
# A block is a second long, or shorter where many channels would make it large.
_BLOCK_S = 1.0
_NUMBERS_PER_BLOCK = 4_000_000
# How files begin that libsndfile reads whole; FFmpeg reads all others, and what libsndfile refuses.
# libsndfile reads some of those too, but of MP3, Ogg and FLAC only what a plain file of the kind has: it stops at the
# first joint of two files, at the length that a header gives, and at the first damage.
_UNCOMPRESSED = (b"RIFF", b"RF64", b"BW64", b"riff", b"FORM", b"caff", b".snd", b"dns.")
# libsndfile takes these for MP3, of which it reads only plain files, and its decoder writes to stderr.
_LIKE_MP3 = (b"ID3", *(bytes([0xFF, low]) for low in range(0xE0, 0x100)))

FLOATS = ("FLOAT", "DOUBLE")
"""Subtypes of files whose samples may be beyond full scale."""

Place = tuple[float, float]
"""Start and end of a stretch of a clip, in seconds."""


class Source(Protocol):
    """A file as one of the two libraries decodes it: `LibsndfileSource`, `FfmpegSource`."""

    sample_rate_hz: int
    channels: int
    subtype: str
    duration_s: float
    notes: list[str]
    codec: str
    bits: int | None
    tags: dict[str, str]

    def close(self) -> None:
        """Let go of the file, which stays open."""

    def seek_time(self, time_s: float, length_s: float | None) -> float | None:
        """As `seeking.seek`."""

    def blocks(self, frames: int, dtype: Literal["float32", "int32"]) -> Iterator[NDArray[Any]]:
        """Yield the samples from the start, in blocks of shape (`frames`, channels); the last may be shorter."""

    def missing(self) -> str | None:
        """What the file should hold, but couldn't be read; to be asked after the last block."""


def played_rate_hz(heard_hz: float, *, upsamples: bool = True) -> float:
    """The rate of blocks of audio that is heard at some rate: 48 kHz, or a lower one unless that is `upsamples`."""
    return SAMPLE_RATE_HZ if upsamples else min(heard_hz, SAMPLE_RATE_HZ)


def all_unreadable(clips: Sequence[Clip], hearing: Hearing = PLAIN_HEARING) -> list[Problem]:
    """Why none of some clips can be opened; nothing as soon as one can.

    This costs little, and a model that is not needed need not be loaded.
    """
    problems: list[Problem] = []
    for clip in clips:
        try:
            ClipReader(clip.path, hearing).close()
        except AudioError as error:
            problems.append(Problem(error.path, error.reason))
        else:
            return []
    return problems


class ClipReader:
    """An open audio file.

    Args:
        path: The file; what counts is its content, not its extension.
        hearing: Which of its tracks is read, and how fast.

    Attributes:
        header_duration_s: What the header says; the samples may be fewer, or more.
        sample_rate_hz: Of the file.
        channels: Of the file.
        subtype: How its samples are kept, in libsndfile's words: `PCM_16`, `PCM_24`, `FLOAT` …

    Raises:
        AudioError: If the file can't be opened as audio.
    """

    def __init__(self, path: Path, hearing: Hearing = PLAIN_HEARING) -> None:
        self.path = path
        self._speed = hearing.speed
        self._file = open_clip(path)
        try:
            self._source = _open_source(self._file, path, hearing.track)
        except BaseException:
            self._file.close()
            raise
        source = self._source
        rate_hz, channels = source.sample_rate_hz, source.channels
        try:
            if not _LOWEST_RATE_HZ <= rate_hz <= _HIGHEST_RATE_HZ:
                raise AudioError(path, f"its header gives a sample rate of {rate_hz} Hz")
            if rate_hz * self._speed < _LOWEST_RATE_HZ:
                raise AudioError(path, f"has a sample rate of {rate_hz} Hz, too low for a speed of {self._speed:g}")
            if not 1 <= channels <= _MOST_CHANNELS:
                raise AudioError(path, f"its header gives {channels} channels")
        except AudioError:
            self.close()
            raise
        self.header_duration_s = source.duration_s
        self.sample_rate_hz = rate_hz
        self.channels = channels
        self.subtype = source.subtype
        self._frames_per_block = min(round(_BLOCK_S * rate_hz), _NUMBERS_PER_BLOCK // channels)

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._source.close()
        self._file.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the file though nothing is missing; to be asked after the last block."""
        return tuple(self._source.notes)

    def facts(self) -> Facts:
        """What the file says of itself beside its sound."""
        source = self._source
        stream = Facts(source.sample_rate_hz, source.channels, source.bits, source.codec)
        facts = read_facts(self._file, source.tags, stream)
        caption = caption_of(self.path)
        return facts if caption is None or facts.description else replace(facts, description=caption)

    def seek(self, time_s: float, length_s: float | None = None) -> float | None:
        """Go to a place at or before a time, so that `blocks` begins there; only right after the file was opened.

        Args:
            time_s: Where to go.
            length_s: Of the clip as it was indexed, if that is known.

        Returns:
            The time of the first sample that `blocks` yields then. None if the place can't be found: then the reader
            is of no more use.
        """
        return self._source.seek_time(time_s, length_s)

    def missing(self) -> str | None:
        """What the file should hold, but couldn't be read; to be asked after the last block. None if all was read."""
        return self._source.missing()

    def blocks(self, *, upsamples: bool = True) -> Iterator[NDArray[np.float32]]:
        """Yield the audio from the start: float32 blocks of shape (samples,), 48 kHz mono.

        Channels are mixed by their mean, or where that cancels them out the strongest is taken. At a speed below one
        there are more samples than the file is long.

        Args:
            upsamples: Whether audio of a lower rate is brought to 48 kHz too; if not, it is yielded at its own.

        Raises:
            AudioError: If the file holds no audio, or holds samples that are not finite numbers. A file that breaks
                off is read as far as it goes: see `missing`.
        """
        mixer = Mixer(self.sample_rate_hz)
        resampler = None
        heard_rate_hz = self.sample_rate_hz * self._speed
        played_hz = played_rate_hz(heard_rate_hz, upsamples=upsamples)
        if heard_rate_hz != played_hz:
            resampler = soxr.ResampleStream(heard_rate_hz, played_hz, 1, dtype="float32", quality="HQ")
        is_empty = True
        blocks = self.whole_blocks("float32")
        following = next(blocks, None)
        while following is not None:
            block, following = following, next(blocks, None)
            with np.errstate(over="ignore", invalid="ignore"):  # the next line tells of it
                mono = mixer.mix(block)
            if not np.isfinite(mono).all():
                raise AudioError(self.path, "holds samples that are not finite numbers (NaN or infinity)")
            if resampler is not None:
                mono = resampler.resample_chunk(mono, last=following is None)
            if len(mono):
                is_empty = False
                yield mono
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
            while waiting and self._sample(waiting[0][1]) <= held_from + len(held):
                place = waiting.pop(0)
                start, stop = (self._sample(time_s) - held_from for time_s in place)
                yield place, held[start:stop].copy()
            if not waiting:
                return
            needed_from = min(self._sample(start_s) for start_s, _ in waiting)
            surplus = min(len(held), max(0, needed_from - held_from))
            held = held[surplus:]
            held_from += surplus
        if waiting:
            raise AudioError(self.path, f"ends before {waiting[0][1]:g} s")

    def whole_blocks(self, dtype: Literal["float32", "int32"]) -> Iterator[NDArray[Any]]:
        """Yield the audio as the file has it, from the start: blocks of shape (frames, channels), at its own rate.

        Float samples in the scale of integers are brought to that of floats.

        Raises:
            AudioError: If nothing of it can be decoded.
        """
        scale = self.integer_scale() if dtype == "float32" else None
        for block in self._source.blocks(self._frames_per_block, dtype):
            yield block if scale is None else block / np.float32(scale)

    def _sample(self, time_s: float) -> int:
        """Which of the samples that `blocks` yields a time of the file is at."""
        return round(time_s / self._speed * SAMPLE_RATE_HZ)

    def integer_scale(self) -> float | None:
        """What the samples must be divided by, which only the loudest of them tells; None for most files.

        It is to be asked before the first block.
        """
        source = self._source
        if not (isinstance(source, LibsndfileSource) and source.subtype in FLOATS):
            return None
        peak = 0.0
        for block in source.blocks(self._frames_per_block, "float32"):
            if not np.isfinite(block).all():
                peak = 0.0
                break
            peak = max(peak, float(block.max()), -float(block.min()))
        source.rewind()
        scale = integer_scale(peak)
        if scale is not None:
            source.notes.append(f"its float samples reach {peak:,.0f}; they are divided by {scale:,.0f}")
        return scale


def oddities(reader: ClipReader) -> tuple[Problem, ...]:
    """What is missing of a clip, and what is odd about it, once its blocks have ended."""
    notes = tuple(Problem(reader.path, note, is_note=True) for note in reader.notes)
    missing = reader.missing()
    return notes if missing is None else (*notes, Problem(reader.path, missing))


def _open_source(file: BinaryIO, path: Path, track: int) -> Source:
    """The file by the library that reads it best, or the other one if that can't."""
    magic = file.read(16)
    if not magic:
        raise AudioError(path, "the file is empty")
    is_uncompressed = magic.startswith(_UNCOMPRESSED)
    refusals: list[AudioError] = []
    is_mpeg = magic.startswith(_LIKE_MP3) or (magic[8:12] == b"WAVE" and is_mpeg_in_wave(file))
    if is_uncompressed and not is_mpeg and track == 1:
        try:
            return LibsndfileSource(file, path)
        except AudioError as error:
            refusals.append(error)
    # FFmpeg's libraries take a tenth of a second to load, and there may be nothing here that needs them.
    from pe_search.audio.ffmpeg import FfmpegSource

    try:
        return FfmpegSource(file, path, track)
    except AudioError as error:
        refusals.append(error)
    if not (is_uncompressed or is_mpeg) and track == 1:
        try:
            return LibsndfileSource(file, path)
        except AudioError as error:
            refusals.append(error)
    raise refusals[0]

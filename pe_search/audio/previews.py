"""What is shown and played of a clip: its peaks, its spectrogram, and parts that any browser plays."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.files import open_clip
from pe_search.audio.headers import is_mpeg_in_wave
from pe_search.audio.libsndfile import LibsndfileSource
from pe_search.audio.mono import Mixer, integer_scale
from pe_search.audio.read import FLOATS, ClipReader, played_rate_hz
from pe_search.errors import AudioError
from pe_search.records import Facts, Hearing

SPECTROGRAM_ROWS = 128
LOWEST_HZ = 30.0
_FFT_SAMPLES = 2_048
# What is this far below the loudest of a spectrogram is shown as silence.
_RANGE_DB = 80.0
# And silence is silence: what the last bit of 24 makes is louder.
_LEAST_LOUD_DB = -40.0
# So many moments are averaged for a column of a spectrogram, at most.
_MOMENTS = 4
_COLUMNS_AT_ONCE = 256
# What begins so soon is there as quickly if the file is read from its start.
_SOON_S = 10.0
# How files begin in which libsndfile finds any place at once.
_QUICK = (b"RIFF", b"RF64", b"BW64", b"FORM", b"caff", b"fLaC")
_LOOKED_AT_S = 10.0
# In longer ones that are compressed with loss, browsers guess where a second is, and the guess may be far off.
_LONGEST_GUESSED_S = 60.0
# Any browser plays these as they are, up to this rate and as many channels.
_HIGHEST_RATE_HZ = 96_000
_MOST_CHANNELS = 2
_WAVE_CODECS = ("pcm_u8", "pcm_16", "pcm_24", "float")


def browser_type(magic: bytes, facts: Facts, hearing: Hearing, length_s: float = 0.0) -> str | None:
    """The media type of a file that any browser plays as it is, and as its hearing has it; None for all others.

    None too for MP3 and Ogg of more than a minute: browsers don't find its seconds exactly.

    Args:
        magic: The first 12 bytes of the file.
        facts: What it says of itself.
        hearing: Of the store; its level is no matter.
        length_s: Of the clip.
    """
    if hearing.speed != 1 or hearing.track != 1:
        return None
    if not (0 < (facts.sample_rate_hz or 0) <= _HIGHEST_RATE_HZ and 0 < (facts.channels or 0) <= _MOST_CHANNELS):
        return None
    if magic[:4] == b"RIFF" and magic[8:] == b"WAVE" and facts.codec in _WAVE_CODECS:
        return "audio/wav"
    if magic[:4] == b"fLaC":
        return "audio/flac"
    if length_s > _LONGEST_GUESSED_S:
        return None
    if magic[:4] == b"OggS" and facts.codec in ("vorbis", "opus"):
        return "audio/ogg"
    if facts.codec == "mp3" and (magic[:3] == b"ID3" or (magic[0] == 0xFF and magic[1] >= 0xE0)):
        return "audio/mpeg"
    return None


def part(
    path: Path, hearing: Hearing, start_s: float, end_s: float, length_s: float | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield a part of a clip as the model hears it: float32 blocks of shape (samples,), 48 kHz mono, at its speed.

    Uncompressed audio, FLAC, and the formats of `seeking` are read from where the part begins or a little before; of
    all else, what comes before is read too.

    Args:
        path: The clip.
        hearing: Its track, and its speed.
        start_s: Of the part, in seconds of the file.
        end_s: Likewise. A clip that ends before gives what it has.
        length_s: Of the clip as it was indexed, if that is known.

    Raises:
        AudioError: If the clip can't be read.
    """
    for _, block in _blocks(path, hearing, start_s, end_s, length_s):
        yield block


def peaks_of_file(
    path: Path, hearing: Hearing, start_s: float, end_s: float, length_s: float | None, columns: int
) -> NDArray[np.int8]:
    """The waveform of a part of a clip, as `peaks` has it. What has a lower rate than 48 kHz is not brought to that.

    Args:
        path: As in `part`.
        hearing: Likewise.
        start_s: Likewise.
        end_s: Likewise.
        length_s: Likewise.
        columns: How many.

    Raises:
        AudioError: If the clip can't be read.
    """
    found = _blocks(path, hearing, start_s, end_s, length_s, upsamples=False)
    first = next(found, (float(SAMPLE_RATE_HZ), np.empty(0, np.float32)))
    blocks = (block for _, block in chain([first], found))
    return peaks(blocks, (end_s - start_s) / hearing.speed, columns, first[0])


def _blocks(
    path: Path, hearing: Hearing, start_s: float, end_s: float, length_s: float | None, *, upsamples: bool = True
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """The blocks of `part`, each with its rate: 48 kHz, or without `upsamples` a lower one that it is heard at."""
    if hearing.track == 1:
        with open_clip(path) as file:
            magic = file.read(12)
            if magic.startswith(_QUICK) and not (magic[8:] == b"WAVE" and is_mpeg_in_wave(file)):
                try:
                    source = LibsndfileSource(file, path)
                except AudioError:
                    source = None  # FFmpeg may read it
                if source is not None:
                    rate_hz, done = played_rate_hz(source.sample_rate_hz * hearing.speed, upsamples=upsamples), 0
                    try:
                        scale = _scale(source, path, start_s, end_s)
                        for block in _from_there(source, scale, hearing.speed, start_s, end_s, rate_hz):
                            done += len(block)
                            yield rate_hz, block
                    except AudioError:
                        if not source.is_damaged:
                            raise
                    finally:
                        source.close()
                    if not source.is_damaged:
                        return
                    # It stops at the first damage, and FFmpeg goes on behind it.
                    start_s += done / rate_hz * hearing.speed
    reader, from_s = ClipReader(path, hearing), 0.0
    if start_s > _SOON_S:
        found_s = reader.seek(start_s, length_s)
        if found_s is None:
            reader.close()
            reader = ClipReader(path, hearing)
        else:
            from_s = found_s
    with reader:
        rate_hz = played_rate_hz(reader.sample_rate_hz * hearing.speed, upsamples=upsamples)
        first, last = (round((time_s - from_s) / hearing.speed * rate_hz) for time_s in (start_s, end_s))
        read = 0
        for block in reader.blocks(upsamples=upsamples):
            wanted = block[max(first - read, 0) : max(last - read, 0)]
            if len(wanted):
                yield rate_hz, wanted
            read += len(block)
            if read >= last:
                return


def _scale(source: LibsndfileSource, path: Path, start_s: float, end_s: float) -> float | None:
    """What the samples of a part must be divided by. Few files have floats beyond full scale."""
    if source.subtype not in FLOATS:
        return None
    source.seek(round(start_s * source.sample_rate_hz))
    left = round((end_s - start_s) * source.sample_rate_hz)
    for block in source.blocks(source.sample_rate_hz, "float32"):
        if np.abs(block[:left]).max(initial=0) > 1:
            with ClipReader(path) as reader:
                return reader.integer_scale()
        left -= len(block)
        if left <= 0:
            break
    return None


def is_beyond_floats(path: Path) -> bool:
    """Whether a WAV file has integers in the place of floats, by its first seconds: browsers play these as noise."""
    with open_clip(path) as file:
        source = LibsndfileSource(file, path)
        try:
            if source.subtype not in FLOATS:
                return False
            block = next(source.blocks(round(_LOOKED_AT_S * source.sample_rate_hz), "float32"), None)
            return block is not None and integer_scale(float(np.abs(block).max())) is not None
        finally:
            source.close()


def _from_there(
    source: LibsndfileSource, scale: float | None, speed: float, start_s: float, end_s: float, played_hz: float
) -> Iterator[NDArray[np.float32]]:
    rate_hz = source.sample_rate_hz
    first, last = round(start_s * rate_hz), round(end_s * rate_hz)
    source.seek(first)
    mixer = Mixer(rate_hz)
    resampler = None
    if rate_hz * speed != played_hz:
        resampler = soxr.ResampleStream(rate_hz * speed, played_hz, 1, dtype="float32", quality="HQ")
    left = last - first
    blocks = source.blocks(rate_hz, "float32")
    following = next(blocks, None)
    while following is not None and left > 0:
        block, following = following[:left], next(blocks, None)
        left -= len(block)
        if scale is not None:
            block /= np.float32(scale)
        mono = np.nan_to_num(mixer.mix(block), posinf=1.0, neginf=-1.0)
        if resampler is not None:
            mono = resampler.resample_chunk(mono, last=following is None or left <= 0)
        if len(mono):
            yield mono


def peaks(
    blocks: Iterator[NDArray[np.float32]], length_s: float, columns: int, rate_hz: float = SAMPLE_RATE_HZ
) -> NDArray[np.int8]:
    """The lowest and the highest sample in each column of a picture.

    Args:
        blocks: Mono.
        length_s: Of all of them, as they are played.
        columns: How many.
        rate_hz: Of the samples.

    Returns:
        int8 of shape (columns, 2): -127 to 127, which is full scale; what is louder is that. Where there is no sound
        any more, both are 0.
    """
    found = np.zeros((columns, 2), np.float32)
    samples = max(round(length_s * rate_hz), 1)
    done = 0
    for block in blocks:
        # Sample i is in column i * columns // samples; of a recording of hours, only where columns begin is calculated.
        first, last = (min(place * columns // samples, columns - 1) for place in (done, done + len(block) - 1))
        at = np.arange(first, last + 1)
        starts = np.maximum(-(-at * samples // columns) - done, 0)
        has_any = np.diff(starts, append=len(block)) > 0
        at, starts = at[has_any], starts[has_any]
        low, high = np.minimum.reduceat(block, starts), np.maximum.reduceat(block, starts)
        found[at, 0] = np.minimum(found[at, 0], low)
        found[at, 1] = np.maximum(found[at, 1], high)
        done += len(block)
    return np.rint(np.clip(found, -1, 1) * 127).astype(np.int8)


def spectrogram(samples: NDArray[np.float32], columns: int, top_hz: float) -> NDArray[np.uint8]:
    """The power of a sound over time and frequency.

    Args:
        samples: float32 of shape (samples,), 48 kHz mono.
        columns: How many moments.
        top_hz: The highest frequency that is shown.

    Returns:
        uint8 of shape (columns, `SPECTROGRAM_ROWS`): from 0, which is 80 dB below the loudest or less, to 255. The rows
        are as far from each other in mel (O'Shaughnessy 1987), from `LOWEST_HZ` up to `top_hz`.
    """
    bounds_mel = np.linspace(_mel(LOWEST_HZ), _mel(top_hz), SPECTROGRAM_ROWS + 1)
    bounds = np.round(_hz(bounds_mel) * _FFT_SAMPLES / SAMPLE_RATE_HZ).astype(int)
    bounds = np.clip(bounds, 1, _FFT_SAMPLES // 2)
    widths = np.maximum(np.diff(bounds), 1)
    window = np.hanning(_FFT_SAMPLES).astype(np.float32)
    filled = np.pad(samples, (_FFT_SAMPLES // 2, _FFT_SAMPLES))
    step = len(samples) / columns
    moments = min(_MOMENTS, max(1, int(step // (_FFT_SAMPLES // 2))))
    power = np.zeros((columns, SPECTROGRAM_ROWS))
    for moment in range(moments):
        starts = ((np.arange(columns) + (moment + 0.5) / moments) * step).astype(int)
        for first in range(0, columns, _COLUMNS_AT_ONCE):
            rows = np.arange(first, min(first + _COLUMNS_AT_ONCE, columns))
            frames = filled[starts[rows][:, None] + np.arange(_FFT_SAMPLES)] * window
            bins = np.abs(np.fft.rfft(frames, axis=1)) ** 2
            power[rows] += np.add.reduceat(bins, bounds[:-1], axis=1) / widths
    level_db = 10 * np.log10(power + 1e-12)
    loudest_db = max(float(level_db.max()), _LEAST_LOUD_DB)
    return np.rint(np.clip((level_db - loudest_db) / _RANGE_DB + 1, 0, 1) * 255).astype(np.uint8)


def wave_file(samples: NDArray[np.float32]) -> bytes:
    """A WAV file of 48 kHz mono samples, in 16 bits."""
    out = io.BytesIO()
    soundfile.write(out, np.clip(samples, -1, 1), SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
    return out.getvalue()


def _mel(hz: float) -> float:
    return 2_595 * float(np.log10(1 + hz / 700))


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(700 * (10 ** (mel / 2_595) - 1))

"""Bad audio files in any number: real ones of many formats, broken where it hurts. One seed, always the same files."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import soundfile

from tests.audio.encoded import KINDS, encode
from tests.made_up import noise

# Extension, format and subtype, or a kind of FFmpeg's: what is whole, and what is broken.
FORMATS: tuple[tuple[str, ...], ...] = (
    (".wav", "WAV", "PCM_16"),
    (".wav", "WAV", "PCM_24"),
    (".wav", "WAV", "FLOAT"),
    (".wav", "WAV", "MS_ADPCM"),
    (".wav", "WAVEX", "PCM_16"),
    (".flac", "FLAC", "PCM_16"),
    (".flac", "FLAC", "PCM_24"),
    (".ogg", "OGG", "VORBIS"),
    (".opus", "OGG", "OPUS"),
    (".mp3", "MP3", "MPEG_LAYER_III"),
    (".aiff", "AIFF", "PCM_16"),
    (".caf", "CAF", "ALAC_16"),
    (".w64", "W64", "PCM_16"),
    (".au", "AU", "PCM_16"),
    (".rf64", "RF64", "PCM_16"),
    *((kind.extension, name) for name, kind in KINDS.items()),
)
HEADER_BYTES = 96
SOUNDS_OF_EACH = 4
# Lengths and counts that a header has no business to hold.
LIES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def make_good(folder: Path, count: int, seed: int) -> list[Path]:
    """Whole files of all formats in turn, each with another sound."""
    random = Random(seed)
    paths = []
    for number in range(count):
        extension, *kind = FORMATS[number % len(FORMATS)]
        path = folder / f"good-{number:04}{extension}"
        path.write_bytes(_whole(random, *kind))
        paths.append(path)
    return paths


def make_bad(folder: Path, count: int, seed: int) -> list[Path]:
    """Broken files, in every way in turn; some may still hold something to be heard."""
    random = Random(seed)
    paths = []
    for number in range(count):
        break_ = WAYS[number % len(WAYS)]
        extension, *kind = random.choice(FORMATS)
        content = break_(bytearray(_whole(random, *kind)), random)
        if random.random() < 0.1:
            extension = random.choice(FORMATS)[0]
        path = folder / f"bad-{number:04}-{break_.__name__}{extension}"
        path.write_bytes(content)
        paths.append(path)
    return paths


def _whole(random: Random, name: str, subtype: str | None = None) -> bytes:
    if subtype is None:
        return _encoded(name, random.randrange(SOUNDS_OF_EACH))
    rate_hz = 48_000 if subtype == "OPUS" else random.choice([8_000, 16_000, 22_050, 44_100, 48_000])
    channels = random.choice([1, 1, 2])
    samples = noise(random.uniform(0.2, 1.2), random.randrange(2**32), rate_hz, channels)
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=name, subtype=subtype)
    return file.getvalue()


@cache
def _encoded(name: str, seed: int) -> bytes:
    """A file of one of FFmpeg's kinds. There are a few of each, because some take long to make."""
    channels = 1 if KINDS[name].is_mono else 1 + seed % 2
    return encode(KINDS[name], noise(0.2 + 0.3 * seed, seed, channels=channels))


def cut_off(content: bytearray, random: Random) -> bytes:
    return bytes(content[: random.randrange(len(content))])


def cut_off_in_header(content: bytearray, random: Random) -> bytes:
    return bytes(content[: random.randrange(HEADER_BYTES)])


def noise_in_header(content: bytearray, random: Random) -> bytes:
    for _ in range(random.randrange(1, 9)):
        content[random.randrange(HEADER_BYTES)] = random.randrange(256)
    return bytes(content)


def bits_in_header(content: bytearray, random: Random) -> bytes:
    for _ in range(random.randrange(1, 5)):
        content[random.randrange(HEADER_BYTES)] ^= 1 << random.randrange(8)
    return bytes(content)


def lies_in_header(content: bytearray, random: Random) -> bytes:
    for _ in range(random.randrange(1, 4)):
        struct.pack_into(random.choice("<>") + "I", content, random.randrange(HEADER_BYTES - 4), random.choice(LIES))
    return bytes(content)


def noise_in_body(content: bytearray, random: Random) -> bytes:
    for _ in range(random.choice([1, 10, 100, 1_000])):
        content[random.randrange(HEADER_BYTES, len(content))] = random.randrange(256)
    return bytes(content)


def hole(content: bytearray, random: Random) -> bytes:
    start = random.randrange(len(content))
    length = random.randrange(1, len(content))
    return bytes(content[:start] + bytes(len(content[start : start + length])) + content[start + length :])


def piece_missing(content: bytearray, random: Random) -> bytes:
    start = random.randrange(len(content))
    del content[start : start + random.randrange(1, len(content))]
    return bytes(content)


def piece_too_many(content: bytearray, random: Random) -> bytes:
    start = random.randrange(len(content))
    at = random.randrange(len(content))
    return bytes(content[:at] + content[start : start + random.randrange(1, 4_000)] + content[at:])


def rubbish_in_front(content: bytearray, random: Random) -> bytes:
    return random.randbytes(random.randrange(1, 4_000)) + content


def two_halves(content: bytearray, random: Random) -> bytes:
    other = _whole(random, *random.choice(FORMATS)[1:])
    return bytes(content[: len(content) // 2]) + other[len(other) // 2 :]


def head_of_another(content: bytearray, random: Random) -> bytes:
    other = _whole(random, *random.choice(FORMATS)[1:])
    return other[:HEADER_BYTES] + bytes(content[HEADER_BYTES:])


def bytes_swapped(content: bytearray, random: Random) -> bytes:
    content[: len(content) // 2 * 2] = np.frombuffer(content[: len(content) // 2 * 2], "<u2").byteswap().tobytes()
    return bytes(content)


def not_finite(content: bytearray, random: Random) -> bytes:
    samples = noise(random.uniform(0.2, 1.2), random.randrange(2**32))
    samples[random.randrange(len(samples))] = random.choice([np.nan, np.inf, -np.inf])
    file = io.BytesIO()
    soundfile.write(file, samples, 48_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def words(content: bytearray, random: Random) -> bytes:
    return b"no audio, only words.\n" * random.randrange(1, 1_000)


def rubbish(content: bytearray, random: Random) -> bytes:
    return random.randbytes(random.randrange(1, 40_000))


def nothing(content: bytearray, random: Random) -> bytes:
    return b""


WAYS: tuple[Callable[[bytearray, Random], bytes], ...] = (
    cut_off,
    cut_off_in_header,
    noise_in_header,
    bits_in_header,
    lies_in_header,
    noise_in_body,
    hole,
    piece_missing,
    piece_too_many,
    rubbish_in_front,
    two_halves,
    head_of_another,
    bytes_swapped,
    not_finite,
    words,
    rubbish,
    nothing,
)

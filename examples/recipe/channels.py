"""What lies between a sound and a file of it: narrow bands, lossy codecs, few bits, an automatic gain.

A game's 22 kHz, a telephone's 8 kHz and a video's AAC hold the same bark. Each call of `through_channel` draws one such
path and sends a sound through it.
"""

import io
from collections.abc import Callable

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from recipe.architecture import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]

RATES_HZ = (8_000, 11_025, 16_000, 22_050, 22_050, 32_000)
CODECS: tuple[tuple[str, str, int, tuple[float, float]], ...] = (
    ("MP3", "MPEG_LAYER_III", 44_100, (0.7, 0.99)),
    ("OGG", "VORBIS", 44_100, (0.7, 1.0)),
    ("OGG", "OPUS", 48_000, (0.9, 0.99)),
)
"""Container, codec, the rate it is fed with, and the range of its `compression_level` (1: the fewest bits)."""
_PIECE_SAMPLES = 24_000
"""libsndfile's encoders are fed in pieces: a long one in one call has crashed Vorbis."""


def through_channel(samples: Samples, rng: np.random.Generator) -> Samples:
    """The sound after one randomly drawn path: `float32`, as long as before, at about its old loudness."""
    path = _PATHS[rng.choice(len(_PATHS), p=_ODDS)]
    result = path(samples, rng)[: len(samples)]
    return np.pad(result, (0, len(samples) - len(result))).astype(np.float32)


def narrowed(samples: Samples, rng: np.random.Generator) -> Samples:
    """As a file of a lower sample rate holds it."""
    rate_hz = RATES_HZ[rng.integers(len(RATES_HZ))]
    return soxr.resample(soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz, "MQ"), rate_hz, SAMPLE_RATE_HZ, "MQ")


def coded(samples: Samples, rng: np.random.Generator) -> Samples:
    """As a lossy codec gives it back."""
    container, codec, rate_hz, levels = CODECS[rng.integers(len(CODECS))]
    fed = soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz, "MQ") if rate_hz != SAMPLE_RATE_HZ else samples
    fed = np.clip(fed, -1, 1)
    memory = io.BytesIO()
    level = float(rng.uniform(*levels))
    with soundfile.SoundFile(memory, "w", rate_hz, 1, codec, format=container, compression_level=level) as file:
        for start in range(0, len(fed), _PIECE_SAMPLES):
            file.write(fed[start : start + _PIECE_SAMPLES])
    memory.seek(0)
    decoded, decoded_hz = soundfile.read(memory, dtype="float32")
    return soxr.resample(decoded, decoded_hz, SAMPLE_RATE_HZ, "MQ") if decoded_hz != SAMPLE_RATE_HZ else decoded


def telephoned(samples: Samples, rng: np.random.Generator) -> Samples:
    """8 kHz, without what lies below some 300 Hz, in the 8 bits of µ-law."""
    narrow = soxr.resample(samples, SAMPLE_RATE_HZ, 8_000, "MQ")
    spectrum = np.fft.rfft(narrow)
    spectrum[: int(rng.uniform(250, 350) / 8_000 * len(narrow))] = 0
    narrow = np.fft.irfft(spectrum, len(narrow))
    peak = float(np.abs(narrow).max(initial=1e-9))
    bent = np.sign(narrow) * np.log1p(255 * np.abs(narrow) / peak) / np.log(256)
    bent = np.round(bent * 127) / 127
    narrow = np.sign(bent) * (256 ** np.abs(bent) - 1) / 255 * peak
    return soxr.resample(narrow.astype(np.float32), 8_000, SAMPLE_RATE_HZ, "MQ")


def in_few_bits(samples: Samples, rng: np.random.Generator) -> Samples:
    """In 8 bits at 11 to 22 kHz, as old games have it, the peak using most of them."""
    rate_hz = int(rng.choice((11_025, 16_000, 22_050)))
    narrow = soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz, "MQ")
    step = float(np.abs(narrow).max(initial=1e-9)) / rng.uniform(60, 127)
    return soxr.resample(np.round(narrow / step) * step, rate_hz, SAMPLE_RATE_HZ, "MQ")


def compressed(samples: Samples, rng: np.random.Generator) -> Samples:
    """With loud parts turned down and quiet ones up, as a recorder's automatic gain does."""
    block = SAMPLE_RATE_HZ // 50
    padded = np.pad(samples, (0, -len(samples) % block))
    level = np.sqrt((padded.reshape(-1, block) ** 2).mean(1)) + 1e-4
    smooth = np.convolve(np.pad(level, 4, "edge"), np.full(9, 1 / 9), "valid")
    gain = (smooth / smooth.max()) ** -rng.uniform(0.2, 0.6)
    position = np.arange(len(samples)) / block - 0.5
    turned = samples * np.interp(position, np.arange(len(gain)), gain)
    return turned * (np.sqrt((samples**2).sum() + 1e-12) / np.sqrt((turned**2).sum() + 1e-12))


_PATHS: tuple[Callable[[Samples, np.random.Generator], Samples], ...] = (
    narrowed,
    coded,
    telephoned,
    in_few_bits,
    compressed,
)
_ODDS = (0.35, 0.35, 0.05, 0.1, 0.15)

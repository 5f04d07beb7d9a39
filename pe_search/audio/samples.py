"""Samples that are in memory already, as a clip would be read: 48 kHz mono, piece by piece."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.mono import Mixer
from pe_search.errors import AudioError


def mono_48k(samples: NDArray[Any], sample_rate_hz: float, name: Path, speed: float = 1.0) -> NDArray[np.float32]:
    """Samples as 48 kHz mono.

    Args:
        samples: Of shape (samples,) or (samples, channels); floats from -1 to 1, or integers of their type's range.
        sample_rate_hz: Of the samples.
        name: What errors name.
        speed: How fast they are played to the model.

    Returns:
        float32 of shape (samples,).

    Raises:
        AudioError: If there are no samples, they are of another shape, or not all are finite numbers; or if the rate
            can't be.
    """
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fiu":
        raise AudioError(name, f"samples of shape {samples.shape} and type {samples.dtype} are not audio")
    if not samples.size:
        raise AudioError(name, "holds no audio")
    if samples.ndim == 2 and samples.shape[1] > samples.shape[0]:
        raise AudioError(name, f"samples of shape {samples.shape} have more channels than samples; transpose them")
    if not 0 < sample_rate_hz * speed < math.inf:
        raise AudioError(name, f"has a sample rate of {sample_rate_hz:g} Hz")
    mono = Mixer(round(sample_rate_hz)).mix(_as_floats(samples).reshape(len(samples), -1))
    if not np.isfinite(mono).all():
        raise AudioError(name, "holds samples that are not finite numbers (NaN or infinity)")
    if sample_rate_hz * speed == SAMPLE_RATE_HZ:
        return mono
    resampled: NDArray[np.float32] = soxr.resample(mono, sample_rate_hz * speed, SAMPLE_RATE_HZ, quality="HQ")
    return resampled


def resampled(samples: NDArray[np.float32], sample_rate_hz: int) -> NDArray[np.float32]:
    """Samples of shape (samples,) at 48 kHz, at another rate."""
    at_rate: NDArray[np.float32] = soxr.resample(samples, SAMPLE_RATE_HZ, sample_rate_hz, quality="HQ")
    return at_rate


def samples_digest(samples: NDArray[Any], sample_rate_hz: float) -> bytes:
    """BLAKE2b of all samples, 32 bytes long; that of no file."""
    samples = np.ascontiguousarray(samples)
    head = f"samples {samples.dtype.str} {samples.shape} {sample_rate_hz:.17g}\n"
    return hashlib.blake2b(head.encode() + samples.tobytes(), digest_size=32).digest()


def _as_floats(samples: NDArray[Any]) -> NDArray[np.float32]:
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    limits = np.iinfo(samples.dtype)
    middle = (limits.max + limits.min + 1) / 2
    return ((samples - middle) / (limits.max - middle + 1)).astype(np.float32)

"""The pool: every training clip at 48 kHz, in several variations, kept on disk as 16-bit floats.

A recording is stored at several speeds, in simulated rooms, and as it comes out of poor equipment (`channels.py`); a
synthesiser is asked for many fresh sounds. Each file of recordings, and each synthesiser's block of sounds, becomes one
`.npy` file named after what it was made from, so a later run makes only what is new. The cuts of one recording are one
source: how often a recording is drawn does not depend on how many cuts of it there are.
"""

import hashlib
import inspect
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from recipe.architecture import SAMPLE_RATE_HZ
from recipe.channels import through_channel
from recipe.recordings import Recording

Synthesiser = Callable[[np.random.Generator], NDArray[np.float32]]

LONG_SPEEDS = (0.80, 0.87, 0.94, 1.0, 1.0, 1.08, 1.16, 1.26)
SHORT_SPEEDS = (0.84, 0.90, 0.95, 1.0, 1.0, 1.06, 1.12, 1.20)
"""Playback speeds of the variations: those of recordings, and of samples where pitch tells more."""
MAX_CLIP_S = 10.0
VARIATIONS = 8
"""Of one recording, over all its cuts; of each cut there are two at least, one of them as it is."""
_ROOM_SHARE, _CHANNEL_SHARE = 0.35, 0.4
_VERSION = 4


@dataclass
class Source:
    """The variations of all cuts of one recording, or one synthesiser's sounds.

    `collection` is what a recording belongs to.
    """

    concept: str
    name: str
    recorded: bool
    collection: str = ""
    clips: list[NDArray[np.float16]] = field(default_factory=list)


def room_response(rng: np.random.Generator) -> NDArray[np.float32]:
    """An impulse response of a made-up room: the direct sound and noise that dies away, high notes first."""
    decay_s = math.exp(rng.uniform(math.log(0.08), math.log(1.2)))
    length = int(decay_s * SAMPLE_RATE_HZ)
    time_s = np.arange(length) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(length) * 10 ** (-3 * time_s / decay_s)
    spectrum = np.fft.rfft(tail)
    cutoff_hz = rng.uniform(2_000, 12_000)
    spectrum /= 1 + (np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ) / cutoff_hz) ** 2
    tail = np.fft.irfft(spectrum, length)
    tail *= 10 ** (-rng.uniform(0, 14) / 20) / math.sqrt(float((tail**2).sum()))
    gap = int(rng.uniform(0.001, 0.02) * SAMPLE_RATE_HZ)
    return np.concatenate(([1.0], np.zeros(gap), tail)).astype(np.float32)


def in_room(samples: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The sound in a made-up room, at its old loudness; the tail rings on after its end for up to a second."""
    response = room_response(rng)
    length = len(samples) + min(len(response), SAMPLE_RATE_HZ)
    size = 1 << (len(samples) + len(response)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[:length]
    wet *= math.sqrt(float((samples**2).sum()) / (float((wet**2).sum()) + 1e-12))
    return wet.astype(np.float32)


def read_recording(path: Path) -> tuple[NDArray[np.float32], int]:
    """Mono samples without the exact zeros that some collections pad with, and their rate in hertz."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)[: int(MAX_CLIP_S * rate_hz)]
    sounding = np.flatnonzero(np.abs(mono) > 1e-5)
    if len(sounding):
        mono = mono[max(0, sounding[0] - rate_hz // 100) : sounding[-1] + rate_hz // 100]
    return mono, rate_hz


def _recording_variations(recording: Recording, count: int, seed: int) -> list[NDArray[np.float16]]:
    """The recording as it is, then changed copies, `count` together."""
    rng = np.random.default_rng([seed, *recording.name.encode()])
    samples, rate_hz = read_recording(recording.path)
    speeds = LONG_SPEEDS if len(samples) > 2.5 * rate_hz else SHORT_SPEEDS
    clips = []
    for speed in (1.0, *rng.choice(speeds, count - 1, replace=count - 1 > len(speeds))):
        clip = soxr.resample(samples, rate_hz * speed, SAMPLE_RATE_HZ).astype(np.float32)
        if clips:
            clip = in_room(clip, rng) if rng.random() < _ROOM_SHARE else clip
            clip = through_channel(clip, rng) if rng.random() < _CHANNEL_SHARE else clip
        clips.append(_at_safe_peak(clip))
    return clips


def _synthesised(synthesise: Synthesiser, count: int, seed: list[int]) -> list[NDArray[np.float16]]:
    rng = np.random.default_rng(seed)
    clips = []
    for _ in range(count):
        clip = np.asarray(synthesise(rng), np.float32)[: int(MAX_CLIP_S * SAMPLE_RATE_HZ)]
        if rng.random() < 0.3:
            clip = in_room(clip, rng)
        clips.append(_at_safe_peak(clip))
    return clips


def _at_safe_peak(samples: NDArray[np.float32]) -> NDArray[np.float16]:
    """Within ±1. Sounds are kept at their level otherwise: how loud a thing is, is drawn when it is mixed."""
    return (samples / max(1.0, float(np.abs(samples).max()))).astype(np.float16)


@dataclass(frozen=True)
class _Job:
    concept: str
    name: str
    file: Path
    recording: Recording | None
    synthesise: Synthesiser | None
    count: int
    seed: int


def _run(job: _Job) -> None:
    if job.recording is not None:
        clips = _recording_variations(job.recording, job.count, job.seed)
    else:
        assert job.synthesise is not None
        clips = _synthesised(job.synthesise, job.count, [job.seed, *job.name.encode()])
    ends = np.cumsum([len(clip) for clip in clips]).tolist()
    partial = job.file.with_suffix(".partial.npy")
    np.save(partial, np.concatenate(clips))
    job.file.with_suffix(".json").write_text(json.dumps(ends))
    partial.rename(job.file)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _jobs(
    recordings: Iterable[Recording],
    synthesisers: Mapping[str, Synthesiser],
    counts: Mapping[str, int],
    cache: Path,
    seed: int,
) -> Iterable[_Job]:
    recordings = list(recordings)
    cuts = Counter((recording.concept, recording.source) for recording in recordings)
    for recording in recordings:
        stat = recording.path.stat()
        count = max(2, math.ceil(VARIATIONS / cuts[recording.concept, recording.source]))
        shape = (count, LONG_SPEEDS, SHORT_SPEEDS, _ROOM_SHARE, _CHANNEL_SHARE)
        digest = _digest(_VERSION, recording.name, recording.concept, stat.st_size, shape, seed)
        file = cache / f"{recording.concept}-{recording.path.stem}-{digest}.npy"
        yield _Job(recording.concept, recording.source, file, recording, None, count, seed)
    for concept, synthesise in synthesisers.items():
        source_text = Path(inspect.getfile(inspect.unwrap(synthesise))).read_text(encoding="utf-8")
        digest = _digest(_VERSION, concept, source_text, counts[concept], seed)
        file = cache / f"{concept}-made-{digest}.npy"
        yield _Job(concept, f"made/{concept}", file, None, synthesise, counts[concept], seed)


def open_pool(
    recordings: Iterable[Recording],
    synthesisers: Mapping[str, Synthesiser],
    counts: Mapping[str, int],
    cache: Path,
    seed: int,
    workers: int = 2,
) -> list[Source]:
    """Make what the cache lacks, then map all of it into memory; `counts` is how many sounds each concept gets."""
    cache.mkdir(parents=True, exist_ok=True)
    jobs = list(_jobs(recordings, synthesisers, counts, cache, seed))
    missing = [job for job in jobs if not job.file.exists()]
    if workers > 1 and len(missing) > 1:
        # A fork would inherit torch's threads; fresh processes do not.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(_run, missing))
    else:
        for job in missing:
            _run(job)
    sources: dict[tuple[str, str], Source] = {}
    for job in jobs:
        collection = job.recording.collection if job.recording else ""
        key = (job.concept, job.name)
        source = sources.setdefault(key, Source(job.concept, job.name, job.recording is not None, collection))
        source.clips += _opened(job.file)
    return list(sources.values())


def _opened(file: Path) -> list[NDArray[np.float16]]:
    samples = np.load(file, mmap_mode="r")
    ends = json.loads(file.with_suffix(".json").read_text())
    return [samples[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]

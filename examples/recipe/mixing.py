"""Mixtures of clips, with what is heard in them and when.

One batch holds windows of one length. A window is made of up to three clips, each cut or placed at random, set to a
loudness relative to the loudest, perhaps turned over in polarity, with coloured noise beneath, somewhat louder or
softer than the recording of the loudest, or at any level within 40 dB. In some long windows the clips are short events
well inside noise, so that sounds that usually go on and on (rain, an engine) are met with a beginning and an end, too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recipe.architecture import FRAME_SAMPLES, SAMPLE_RATE_HZ
from recipe.pool import Source

Samples = NDArray[np.float32]

ABSENT, ACTIVE, UNSURE = 0, 1, -1
"""States of a concept in a frame. Unsure frames (a fading tail) are taught neither way."""
_LOUDNESS_BLOCK = SAMPLE_RATE_HZ // 10
_SILENCE_FLOOR = 1e-4
_ACTIVE_DB, _UNSURE_DB = -22.0, -40.0
_NOISE_CONCEPTS = ("white_noise", "pink_noise", "rumble", "radio_static", "silence")
"""What noise beneath a clip, or alone, may rightly be called: neither taught nor denied then."""
_NOISE_SLOPES = (0.0, 0.5, 1.0, 1.5, 2.0)
_EVENT_S = (0.4, 3.0)
"""The shortest and the longest event."""
_MANY = 12
"""A concept comes more often with the root of its recordings, up to so many."""
_EVENT_WINDOW_S = 2.5
"""The shortest window that has events."""


def loudness(samples: Samples) -> float:
    """RMS of the louder third of the 100 ms blocks: what a listener would call the level of an event in silence."""
    if len(samples) < _LOUDNESS_BLOCK:
        return math.sqrt(float(np.dot(samples, samples)) / max(1, len(samples)))
    blocks = samples[: len(samples) // _LOUDNESS_BLOCK * _LOUDNESS_BLOCK].reshape(-1, _LOUDNESS_BLOCK)
    energy = np.sort(np.einsum("ij,ij->i", blocks, blocks) / _LOUDNESS_BLOCK)
    return math.sqrt(float(energy[-max(1, len(energy) // 3) :].mean()))


def frame_activity(samples: Samples) -> NDArray[np.int8]:
    """State of each 40 ms frame of one clip alone, by its energy relative to the loudest frame."""
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    energy = np.einsum("ij,ij->i", frames, frames) / FRAME_SAMPLES
    level_db = 10 * np.log10(energy / max(float(energy.max()), 1e-12) + 1e-12)
    return np.where(level_db > _ACTIVE_DB, ACTIVE, np.where(level_db > _UNSURE_DB, UNSURE, ABSENT)).astype(np.int8)


def presence(level_db: float) -> float:
    """How far a clip at `level_db` below the loudest one counts as heard: 1 down to −9 dB, 0 from −21 dB."""
    return min(1.0, max(0.0, (21 + level_db) / 12))


def coloured_noise(slope: float, seconds: float, rng: np.random.Generator) -> Samples:
    """Noise of unit RMS whose power falls with frequency to the power of `slope` (0 white, 1 pink, 2 brown)."""
    count = int(seconds * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency_hz = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ), 30.0)
    noise = np.fft.irfft(spectrum * frequency_hz ** (-slope / 2), count)
    return (noise / noise.std()).astype(np.float32)


@dataclass
class Batch:
    """Windows and what is in them; `concepts` below counts the mixer's concepts.

    `heard` says how surely each is heard (0–1), `share` how the window divides among them (sums to 1, or 0 for
    noise alone), `frames` when (`ABSENT`, `ACTIVE`, `UNSURE`), `known` is False where the truth is unclear.
    """

    waveforms: Samples  # [batch, samples]
    heard: NDArray[np.float32]  # [batch, concepts]
    share: NDArray[np.float32]  # [batch, concepts]
    frames: NDArray[np.int8]  # [batch, frames, concepts]
    known: NDArray[np.bool_]  # [batch, concepts]
    pairs: list[tuple[str, str]]  # concepts that were mixed at about the same level


@dataclass
class MixingPlan:
    """How windows are drawn: shares of the concept groups and odds of the changes."""

    favoured: Sequence[str] = ()
    favoured_share: float = 0.3
    drums: Sequence[str] = ()
    drums_share: float = 0.13
    drums_share_when_short: float = 0.35
    neighbours: Sequence[Sequence[str]] = ()
    neighbours_share: float = 0.25
    recorded_share: float = 0.9
    recorded_share_of_drums: float = 0.65
    mixed: float = 0.5
    third: float = 0.25
    nothing: float = 0.03
    noise: float = 0.45
    events: float = 0.3
    level_spread_db: float = 8.0
    any_level: float = 0.5
    levels_db: tuple[float, float] = (-30.0, 10.0)


@dataclass
class Mixer:
    """Draws batches from a pool of sources."""

    sources: Sequence[Source]
    concepts: Sequence[str]
    rng: np.random.Generator
    plan: MixingPlan = field(default_factory=MixingPlan)

    def __post_init__(self) -> None:
        self._index: Mapping[str, int] = {concept: i for i, concept in enumerate(self.concepts)}
        self._recorded: dict[str, list[Source]] = {}
        self._made: dict[str, list[Source]] = {}
        for source in self.sources:
            kind = self._recorded if source.recorded else self._made
            kind.setdefault(source.concept, []).append(source)
        present = [c for c in self.concepts if c in self._recorded or c in self._made]
        self._favoured = [c for c in present if c in self.plan.favoured]
        self._drums = [c for c in self.plan.drums if c in present]
        self._others = [c for c in present if c not in self._favoured and c not in self._drums] or present
        self._neighbours = {
            concept: [other for other in group if other != concept and other in present]
            for group in self.plan.neighbours
            for concept in group
        }
        self._last = ""
        weights = np.array([math.sqrt(min(_MANY, max(1, len(self._recorded.get(c, ()))))) for c in self._others])
        self._odds = weights / weights.sum()
        self._noises = [coloured_noise(slope, 12.0, self.rng) for slope in _NOISE_SLOPES]

    def draw_concept(self, short: bool) -> str:
        """A concept by its group's share; drums come more often in short windows, being short themselves."""
        drums = self.plan.drums_share_when_short if short else self.plan.drums_share
        favoured = self.plan.favoured_share * (1 - drums) / (1 - self.plan.drums_share)
        shares = np.array([drums, favoured, 1 - drums - favoured])
        groups = (self._drums, self._favoured, self._others)
        shares[[not group for group in groups]] = 0
        group = groups[self.rng.choice(3, p=shares / shares.sum())]
        if group is self._others:
            return group[self.rng.choice(len(group), p=self._odds)]
        return group[self.rng.integers(len(group))]

    def draw_first_concept(self, short: bool) -> str:
        """A concept for the first clip of a window: now and then one that is easily mistaken for the window before."""
        near = self._neighbours.get(self._last)
        if near and self.rng.random() < self.plan.neighbours_share:
            self._last = near[self.rng.integers(len(near))]
        else:
            self._last = self.draw_concept(short)
        return self._last

    def draw_source(self, concept: str) -> Source:
        """A recording of the concept, or what was made for it."""
        recorded, made = self._recorded.get(concept, []), self._made.get(concept, [])
        use_recorded = bool(recorded) and (not made or self.rng.random() < self._recorded_share(concept))
        group = recorded if use_recorded else made
        return group[self.rng.integers(len(group))]

    def draw_clip(self, concept: str) -> tuple[NDArray[np.float16], bool]:
        """A variation of a source of the concept, and whether it was recorded or made."""
        source = self.draw_source(concept)
        return source.clips[self.rng.integers(len(source.clips))], source.recorded

    def _recorded_share(self, concept: str) -> float:
        """The more recordings of a thing there are, the less has to be made; drums differ too much among makers."""
        if concept in self.plan.drums:
            return self.plan.recorded_share_of_drums
        count = len(self._recorded[concept])
        return min(self.plan.recorded_share, count / (count + 1.5))

    def place(self, clip: NDArray[np.float16], count: int) -> Samples:
        """Cut or place one clip in a window of `count` samples."""
        rng = self.rng
        window = np.zeros(count, np.float32)
        length = len(clip)
        if length > count:
            start = self._cut(clip, count)
            window[:] = clip[start : start + count]
        elif length > 0.75 * count or (count <= SAMPLE_RATE_HZ and rng.random() < 0.5):
            window[:length] = clip
            self._reflect(window, length)
        elif rng.random() < 0.4 and length < count / 2:
            gap = int(rng.uniform(0, 1.2) * SAMPLE_RATE_HZ)
            start = int(rng.uniform(0, 0.5) * SAMPLE_RATE_HZ)
            while start < count:
                piece = clip[: count - start]
                window[start : start + len(piece)] += piece
                start += length + gap
        else:
            start = int(rng.integers(0, count - length + 1))
            window[start : start + length] = clip
        return window

    def _event(self, clip: NDArray[np.float16]) -> NDArray[np.float16]:
        """A stretch of a clip that begins and ends within some milliseconds."""
        count = min(len(clip), int(self.rng.uniform(*_EVENT_S) * SAMPLE_RATE_HZ))
        start = self._cut(clip, count) if count < len(clip) else 0
        stretch = clip[start : start + count].copy()
        fade = min(count, int(self.rng.uniform(0, 0.05) * SAMPLE_RATE_HZ))
        ramp = np.linspace(0, 1, fade, dtype=np.float16)
        stretch[:fade] *= ramp
        stretch[count - fade :] *= ramp[::-1]
        return stretch

    def _cut(self, clip: NDArray[np.float16], count: int) -> int:
        """Where to cut: mostly around a moment drawn by its energy, so that the event is in the window."""
        rng = self.rng
        last = len(clip) - count
        if rng.random() < 0.25:
            return int(rng.integers(0, last + 1))
        block = 480
        blocks = clip[: len(clip) // block * block : 8].astype(np.float32)
        level = np.sqrt((blocks.reshape(-1, block // 8) ** 2).mean(1)) + 1e-6
        moment = int(rng.choice(len(level), p=level / level.sum())) * block
        before = rng.uniform(0.0, 0.3) if count < SAMPLE_RATE_HZ else rng.uniform(0.1, 0.9)
        return min(max(0, moment - int(before * count)), last)

    @staticmethod
    def _reflect(window: Samples, length: int) -> None:
        """Fill up to the next frame as the feature extractor does, by reflection; the rest stays silent."""
        missing = min(-length % FRAME_SAMPLES, len(window) - length, length - 1)
        if missing > 0:
            window[length : length + missing] = window[length - 1 - missing : length - 1][::-1]

    def window(self, count: int) -> tuple[Samples, list[tuple[str, float, NDArray[np.int8]]], float | None]:
        """One window: samples, `(concept, level_db, activity)` of each clip in it, and the noise's level below them.

        Levels are relative to the loudest clip (0 dB). The noise's is None without noise, 0 for noise alone.
        """
        rng, plan = self.rng, self.plan
        short = count <= SAMPLE_RATE_HZ
        events = count >= _EVENT_WINDOW_S * SAMPLE_RATE_HZ and rng.random() < plan.events
        wanted = 1
        if rng.random() < plan.mixed * (0.4 if short else 1.0):
            wanted = 3 if rng.random() < plan.third else 2
        if rng.random() < plan.nothing:
            level_db = -float(rng.uniform(15, 95))
            return self._noise(count) * 10 ** (level_db / 20) * (level_db > -85), [], 0.0
        parts: list[tuple[str, Samples, float]] = []
        for _ in range(wanted):
            concept = self.draw_concept(short) if parts else self.draw_first_concept(short)
            clip, recorded = self.draw_clip(concept)
            samples = self.place(self._event(clip) if events else clip, count)
            if concept == "silence":
                if not parts:
                    return samples, [(concept, 0.0, np.full(count // FRAME_SAMPLES, ACTIVE, np.int8))], None
                continue
            level = loudness(samples)
            if level > _SILENCE_FLOOR:
                # How loud a thing is recorded says something about it; how loud it is made does not.
                parts.append((concept, samples / level, 20 * math.log10(level) if recorded else -22.0))
        mixture = np.zeros(count, np.float32)
        heard: list[tuple[str, float, NDArray[np.int8]]] = []
        base_db = -24.0
        for index in rng.permutation(len(parts)):
            concept, samples, usual_db = parts[index]
            base_db = base_db if heard else usual_db
            level_db = -(float(rng.uniform(0, 1)) ** 1.5) * 20 if heard else 0.0
            heard.append((concept, level_db, frame_activity(samples)))
            mixture += samples * (10 ** (level_db / 20) * rng.choice((-1.0, 1.0)))
        noise_db = None
        if parts and (events or rng.random() < plan.noise):
            noise_db = -float(rng.uniform(3, 20 if events else 45))
            mixture += self._noise(count) * 10 ** (noise_db / 20)
        near_usual = rng.random() >= plan.any_level
        change_db = rng.normal(-2, plan.level_spread_db) if near_usual else rng.uniform(*plan.levels_db)
        mixture *= 10 ** ((base_db + change_db) / 20)
        peak = float(np.abs(mixture).max(initial=0.0))
        if peak > 1:
            if rng.random() < 0.5:
                mixture /= peak
            np.clip(mixture, -1, 1, out=mixture)
        return mixture, heard, noise_db

    def _noise(self, count: int) -> Samples:
        noise = self._noises[self.rng.integers(len(self._noises))]
        start = self.rng.integers(0, len(noise) - count + 1)
        return noise[start : start + count]

    def batch(self, size: int, frames: int) -> Batch:
        """`size` windows of `frames` frames of 40 ms."""
        count = frames * FRAME_SAMPLES
        concepts = len(self.concepts)
        batch = Batch(
            np.zeros((size, count), np.float32),
            np.zeros((size, concepts), np.float32),
            np.zeros((size, concepts), np.float32),
            np.zeros((size, frames, concepts), np.int8),
            np.ones((size, concepts), bool),
            [],
        )
        for row in range(size):
            batch.waveforms[row], heard, noise_db = self.window(count)
            for concept, level_db, activity in heard:
                column = self._index[concept]
                batch.heard[row, column] = max(batch.heard[row, column], presence(level_db))
                batch.share[row, column] += 10 ** (level_db / 20)
                if presence(level_db) < 1:
                    activity = np.where(activity == ACTIVE, UNSURE, activity)
                self._merge(batch.frames[row, :, column], activity)
            total = batch.share[row].sum()
            batch.share[row] /= total if total > 0 else 1.0
            if noise_db is not None and noise_db > -25:
                for concept in _NOISE_CONCEPTS:
                    if concept in self._index and batch.heard[row, self._index[concept]] == 0:
                        batch.known[row, self._index[concept]] = False
            loud = [concept for concept, level_db, _ in heard if level_db > -6]
            if len(loud) == 2 and loud[0] != loud[1]:
                batch.pairs.append((loud[0], loud[1]))
        return batch

    @staticmethod
    def _merge(states: NDArray[np.int8], activity: NDArray[np.int8]) -> None:
        """Add a clip's activity to a concept's states: active wins over unsure, unsure over absent."""
        states[:] = np.where(
            (states == ACTIVE) | (activity == ACTIVE),
            ACTIVE,
            np.where((states == UNSURE) | (activity == UNSURE), UNSURE, ABSENT),
        )

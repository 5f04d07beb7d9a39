"""Lessons: windows that are made once, with what a teacher makes of them, and learned from many times.

So neither the mixing nor the teacher takes time while the checkpoint learns. For each window the folder has the output
of the filter bank (which never changes), what is in the window, the teacher's summary of it, and the teacher's answer:
how likely each concept is, by a linear layer on the summaries. That layer is fitted on all windows; 15 % of an answer
come from a layer that was fitted without the recordings of the window.
"""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import PeAudioModel

from recipe.architecture import FRAME_SAMPLES, SAMPLE_RATE_HZ
from recipe.frontend import FilterBank
from recipe.mixing import Batch, Mixer, MixingPlan
from recipe.pool import Source
from recipe.processor import mixed_precision
from recipe.teacher import RATE_HZ, Teacher, summary

WINDOWS = {25: 4_000, 50: 4_500, 75: 3_600, 125: 2_200}
"""How many windows there are of each length in frames of 40 ms: ten hours and a half together, 1.3 GB."""
MIXING = {"favoured_share": 0.18, "mixed": 0.3, "events": 0.2, "noise": 0.35}
"""More windows with one clear sound than elsewhere: the answers for those say most."""
_SECONDS_AT_ONCE = 128
_FOLDS = 5
_UNHEARD_SHARE = 0.15
_PENALTY = 5e-4
_BATCH_FIELDS = ("heard", "share", "frames", "known")


@dataclass
class Lesson(Batch):
    """Windows out of the store: `waveforms` is empty, for `bands` is what the filter bank made of them."""

    bands: NDArray[np.float32]  # [batch, BANDS, time]
    summaries: NDArray[np.float32]  # [batch, features], each feature with mean 0 and deviation 1 over all windows
    answers: NDArray[np.float32]  # [batch, concepts], logits


class _NotingMixer(Mixer):
    """Notes in which fold the recordings are that it draws; −1 for sounds that were made."""

    noted: list[int]

    def draw_clip(self, concept: str) -> tuple[NDArray[np.float16], bool]:
        source = self.draw_source(concept)
        self.noted.append(zlib.crc32(source.name.encode()) % _FOLDS if source.recorded else -1)
        return source.clips[self.rng.integers(len(source.clips))], source.recorded


class Lessons:
    """All windows, in a folder; `draw` gives those of one step, each once before any comes again."""

    def __init__(self, folder: Path, rng: np.random.Generator, seconds_per_step: float) -> None:
        self._rng, self._seconds = rng, seconds_per_step
        lengths = sorted(int(file.name.partition(".")[0]) for file in folder.glob("*.bands.npy"))
        self._queue: list[tuple[int, NDArray[np.int64]]] = []
        self._parts = {frames: dict(np.load(folder / f"{frames}.npz")) for frames in lengths}
        self._bands = {frames: np.load(folder / f"{frames}.bands.npy", mmap_mode="r") for frames in lengths}
        answers = np.load(folder / "answers.npz")
        self._mean, self._deviation = answers["mean"], answers["deviation"]
        self._answers = {frames: answers[str(frames)] for frames in lengths}

    def draw(self) -> Lesson:
        """The windows of the next step, all of one length."""
        if not self._queue:
            for frames, answers in self._answers.items():
                order = self._rng.permutation(len(answers))
                size = min(len(order), max(8, round(self._seconds * SAMPLE_RATE_HZ / FRAME_SAMPLES / frames)))
                self._queue += [(frames, np.sort(order[i : i + size])) for i in range(0, len(order) - size + 1, size)]
            self._rng.shuffle(self._queue)  # type: ignore[arg-type]
        frames, rows = self._queue.pop()
        part = self._parts[frames]
        return Lesson(
            np.zeros((len(rows), 0), np.float32),
            *(part[name][rows] for name in _BATCH_FIELDS),
            [],
            self._bands[frames][rows].astype(np.float32),
            (part["summaries"][rows] - self._mean) / self._deviation,
            self._answers[frames][rows].astype(np.float32),
        )


def prepare(
    sources: Sequence[Source],
    concepts: Sequence[str],
    plan: MixingPlan,
    teacher: Path,
    model: PeAudioModel,
    work: Path,
    seed: int,
    windows: dict[int, int] = WINDOWS,
) -> Path:
    """Make what is missing of the windows and of the answers; the folder of them. `plan` is changed by `MIXING`."""
    names = [(source.concept, source.name, len(source.clips)) for source in sources]
    digest = hashlib.sha256(repr((names, plan, MIXING, windows, seed, teacher.stat().st_size)).encode()).hexdigest()
    folder = work / f"lessons-{digest[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    lengths = [frames for frames in windows if not (folder / f"{frames}.npz").exists()]
    ear = Teacher.read(teacher) if lengths else None
    for frames in lengths:
        assert ear is not None
        mixer = _NotingMixer(sources, concepts, np.random.default_rng([seed, frames]), replace(plan, **MIXING))
        _write(folder, frames, windows[frames], mixer, ear, model)
    if not (folder / "answers.npz").exists():
        _answer(folder, list(windows))
    return folder


def _write(folder: Path, frames: int, count: int, mixer: _NotingMixer, teacher: Teacher, model: PeAudioModel) -> None:
    """Make the windows of one length, whole or not at all."""
    bank = FilterBank.of(model)
    parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in (*_BATCH_FIELDS, "summaries", "folds")}
    bands: NDArray[np.float16] | None = None
    file = folder / f"{frames}.bands.npy"
    size = max(1, round(_SECONDS_AT_ONCE * SAMPLE_RATE_HZ / FRAME_SAMPLES / frames))
    for first in range(0, count, size):
        batches = []
        for _ in range(min(size, count - first)):
            mixer.noted = []
            batches.append(mixer.batch(1, frames))
            parts["folds"].append(np.array([[*mixer.noted, -1, -1, -1][:3]], np.int8))
        for name in _BATCH_FIELDS:
            parts[name] += [getattr(batch, name) for batch in batches]
        waveforms = np.concatenate([batch.waveforms for batch in batches])
        signals = bank.signals(model, torch.from_numpy(waveforms)).numpy()
        if bands is None:
            bands = np.lib.format.open_memmap(file, "w+", np.float16, (count, *signals.shape[1:]))
        bands[first : first + len(signals)] = signals
        slow = [soxr.resample(waveform, SAMPLE_RATE_HZ, RATE_HZ).astype(np.float32) for waveform in waveforms]
        with mixed_precision(torch.device("cpu")):
            hidden = teacher.hidden(torch.from_numpy(np.stack(slow)))
        parts["summaries"].append(summary([layer.float() for layer in hidden]).numpy().astype(np.float16))
    partial = folder / f"{frames}.partial.npz"
    np.savez(partial, **{name: np.concatenate(values) for name, values in parts.items()})
    partial.rename(folder / f"{frames}.npz")


def _answer(folder: Path, lengths: Sequence[int]) -> None:
    """Fit the linear layers, and write what they make of every window."""
    parts = [np.load(folder / f"{frames}.npz") for frames in lengths]
    inputs = torch.from_numpy(np.concatenate([part["summaries"] for part in parts])).float()
    mean, deviation = inputs.mean(0), inputs.std(0) + 1e-6
    inputs = (inputs - mean) / deviation
    share = torch.from_numpy(np.concatenate([part["share"] for part in parts]))
    folds = torch.from_numpy(np.concatenate([part["folds"] for part in parts]))
    sounding = share.sum(1) > 0.5
    answers = _fit(inputs[sounding], share[sounding])(inputs) * (1 - _UNHEARD_SHARE)
    unheard = torch.zeros_like(answers)
    for fold in range(-1, _FOLDS):
        rows = folds[:, 0] == fold
        others = sounding & (folds != fold).all(1) if fold >= 0 else sounding
        if rows.any():
            unheard[rows] = _fit(inputs[others], share[others])(inputs[rows])
    answers += _UNHEARD_SHARE * unheard
    split = dict(zip(map(str, lengths), answers.half().split([len(part["share"]) for part in parts]), strict=True))
    partial = folder / "answers.partial.npz"
    np.savez(partial, mean=mean, deviation=deviation, **split)
    partial.rename(folder / "answers.npz")


def _fit(inputs: Tensor, share: Tensor, steps: int = 40) -> torch.nn.Linear:
    """A linear layer whose softmax is `share`, by L-BFGS with a penalty on its weights."""
    layer = torch.nn.Linear(inputs.shape[1], share.shape[1])
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=steps, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        wrong = -(share * functional.log_softmax(layer(inputs), 1)).sum(1).mean()
        value = wrong + _PENALTY * layer.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    return layer.requires_grad_(False)

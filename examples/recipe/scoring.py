"""Held-out scores: what the checkpoint makes of recordings and wording that training never saw.

Everything goes through upstream's own forward passes, as a user's clips do. Clips are embedded at their own length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PeAudioModel, PreTrainedTokenizerFast

from recipe import calibration, captions, held_out
from recipe.architecture import FRAME_SAMPLES, SAMPLE_RATE_HZ
from recipe.frontend import text_embeddings
from recipe.mixing import Samples, coloured_noise, loudness
from recipe.recordings import Recording
from recipe.tokenizer import encode

TEN = tuple(held_out.PLAIN)
DRUM_KIT = ("kick", "snare", "closed_hat", "open_hat", "clap", "tom", "crash")


# ---- measures


def average_precision(scores: Tensor, relevant: Tensor) -> float:
    """Mean precision at each relevant item when items are ranked by score."""
    ranked = relevant[scores.argsort(descending=True)].float()
    precision = ranked.cumsum(0) / torch.arange(1, len(ranked) + 1)
    return float((precision * ranked).sum() / ranked.sum())


def area_under_roc(scores: Tensor, relevant: Tensor) -> float:
    """Odds that a relevant item scores above another, counting ties as half."""
    values = scores.double().numpy()
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive = relevant.numpy().astype(bool)
    n_positive, n_negative = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def calibration_error(probabilities: Tensor, truth: Tensor, bins: int = 10) -> float:
    """Expected calibration error: mean gap between probability and frequency over equal bins, weighted by count."""
    index = (probabilities * bins).long().clamp(max=bins - 1)
    error = 0.0
    for b in range(bins):
        inside = index == b
        if inside.any():
            gap = probabilities[inside].mean() - truth[inside].float().mean()
            error += float(gap.abs()) * float(inside.float().mean())
    return error


# ---- embeddings


def load_clip(recording: Recording, longest_s: float = 10.0) -> Samples:
    """The file as it is, mono at 48 kHz."""
    samples, rate_hz = soundfile.read(recording.path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)[: int(longest_s * rate_hz)]
    return np.asarray(soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ), np.float32)


def padded(samples: Samples) -> Samples:
    """Up to a multiple of 1,920 samples by reflection, as the feature extractor has it."""
    missing = -len(samples) % FRAME_SAMPLES
    return np.pad(samples, (0, missing), "reflect" if len(samples) > missing else "constant")


@torch.no_grad()
def embed_clips(model: PeAudioModel, clips: Sequence[Samples]) -> tuple[Tensor, list[Tensor]]:
    """The embedding of each clip, `[clips, size]`, and those of its frames, `[frames, size]` each."""
    outputs = [model.audio_encoder(input_values=torch.from_numpy(padded(clip))[None, None]) for clip in clips]
    frames = [model.audio_head(output.last_hidden_state)[0] for output in outputs]
    return model.audio_head(torch.cat([output.pooler_output for output in outputs])), frames


@torch.no_grad()
def embed_texts(model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Tensor:
    """`[texts, size]`."""
    return text_embeddings(model, *encode(tokenizer, texts))


# ---- held-out scores


@dataclass
class Mixed:
    """A window of noise with two clips in it, at known times."""

    samples: Samples
    concepts: tuple[str, str]
    frames: dict[str, NDArray[np.bool_]]


def mixed_windows(
    clips: Mapping[str, Sequence[Samples]], count: int, rng: np.random.Generator, seconds: float = 10.0
) -> list[Mixed]:
    """Windows of pink noise with a stretch of up to two seconds of two different concepts, 6–15 dB above it."""
    frames = int(seconds * SAMPLE_RATE_HZ) // FRAME_SAMPLES
    concepts = list(clips)
    windows = []
    for _ in range(count):
        samples = coloured_noise(1.0, seconds, rng)
        first, second = rng.choice(len(concepts), 2, replace=False)
        times = {}
        for concept in (concepts[first], concepts[second]):
            clip = clips[concept][rng.integers(len(clips[concept]))]
            event = loudest_stretch(clip, 2 * SAMPLE_RATE_HZ // FRAME_SAMPLES)
            length = len(event) // FRAME_SAMPLES
            start = int(rng.integers(0, frames - length + 1))
            gain = 10 ** (rng.uniform(6, 15) / 20) / (loudness(event) + 1e-6)
            samples[start * FRAME_SAMPLES : (start + length) * FRAME_SAMPLES] += event * gain
            times[concept] = np.zeros(frames, bool)
            times[concept][start : start + length] = True
        samples *= 0.5 / np.abs(samples).max()
        windows.append(Mixed(samples, (concepts[first], concepts[second]), times))
    return windows


def loudest_stretch(clip: Samples, frames: int) -> Samples:
    """The stretch of so many frames that has the most energy, or all of a shorter clip."""
    whole = padded(clip)
    energy = (whole.reshape(-1, FRAME_SAMPLES) ** 2).sum(1)
    if len(energy) <= frames:
        return whole
    start = int(np.convolve(energy, np.ones(frames), "valid").argmax())
    return whole[start * FRAME_SAMPLES : (start + frames) * FRAME_SAMPLES]


def score(
    model: PeAudioModel,
    tokenizer: PreTrainedTokenizerFast,
    recordings: Sequence[Recording],
    seed: int = 0,
    thorough: bool = True,
) -> dict[str, float]:
    """All held-out figures on `recordings`; `thorough` adds the mixed windows (frames, calibration)."""
    training = model.training
    model.eval()
    results: dict[str, float] = {}
    ten = list(held_out.PLAIN)
    tests = [r for r in recordings if r.concept in ten]
    if tests:
        results |= _score_ten(model, tokenizer, tests, ten)
        if thorough:
            results |= _score_mixed(model, tokenizer, tests, ten, seed)
    drums = [r for r in recordings if r.concept in DRUM_KIT]
    if drums:
        figures = score_drums(model, tokenizer, drums)
        results |= {"drums_map": figures.mean_precision, "drums_accuracy": figures.accuracy}
    model.train(training)
    return {name: round(value, 4) for name, value in results.items()}


def _score_ten(
    model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, tests: Sequence[Recording], ten: Sequence[str]
) -> dict[str, float]:
    audio, _ = embed_clips(model, [load_clip(r) for r in tests])
    labels = torch.tensor([ten.index(r.concept) for r in tests])
    results = {}
    for name, wording in (
        ("plain", {concept: [prompt] for concept, prompt in held_out.PLAIN.items()}),
        ("paraphrases", held_out.PARAPHRASES),
        ("unusual", held_out.UNUSUAL),
    ):
        asked = [(ten.index(concept), text) for concept, texts in wording.items() for text in texts]
        scores = audio @ embed_texts(model, tokenizer, [text for _, text in asked]).T
        precision = [average_precision(scores[:, j], labels == k) for j, (k, _) in enumerate(asked)]
        results[f"{name}_map"] = float(np.mean(precision))
        top = scores.argmax(0)
        results[f"{name}_top_hit"] = sum(int(labels[top[j]] == k) for j, (k, _) in enumerate(asked)) / len(asked)
        if name == "plain":
            results["accuracy"] = float((scores.argmax(1) == labels).float().mean())
    untaught = audio @ embed_texts(model, tokenizer, held_out.UNTAUGHT).T
    logits = untaught * model.text_audio_logit_scale + model.text_audio_logit_bias
    results["untaught_below_half"] = float((logits < 0).float().mean())
    return results


def _score_mixed(
    model: PeAudioModel,
    tokenizer: PreTrainedTokenizerFast,
    tests: Sequence[Recording],
    ten: Sequence[str],
    seed: int,
) -> dict[str, float]:
    logits, truth, frame_scores, frame_truth = mixed_logits(model, tokenizer, tests, seed)
    present = [k for k in range(len(ten)) if frame_truth[:, k].any()]
    return {
        "frame_auroc": float(np.mean([area_under_roc(frame_scores[:, k], frame_truth[:, k]) for k in present])),
        "mixed_map": float(np.mean([average_precision(logits[:, k], truth[:, k]) for k in present])),
        "calibration_error": calibration_error(logits.sigmoid().flatten(), truth.flatten()),
    }


def mixed_logits(
    model: PeAudioModel,
    tokenizer: PreTrainedTokenizerFast,
    tests: Sequence[Recording],
    seed: int,
    count: int = 60,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Clip logits and truth `[windows, 10]`, frame logits and truth `[windows · frames, 10]`, of the ten prompts."""
    ten = list(held_out.PLAIN)
    clips: dict[str, list[Samples]] = {}
    for recording in tests:
        clips.setdefault(recording.concept, []).append(load_clip(recording))
    windows = mixed_windows(clips, count, np.random.default_rng(seed))
    texts = embed_texts(model, tokenizer, list(held_out.PLAIN.values()))
    scale, bias = model.text_audio_logit_scale.detach(), model.text_audio_logit_bias.detach()
    audio, frames = embed_clips(model, [window.samples for window in windows])
    logits = audio @ texts.T * scale + bias
    frame_logits = torch.cat(frames) @ texts.T * scale + bias
    truth = torch.tensor([[concept in window.concepts for concept in ten] for window in windows])
    frame_truth = torch.cat([_frame_truth(window, ten) for window in windows])
    return logits, truth, frame_logits, frame_truth


def calibration_of(
    model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, recordings: Sequence[Recording], seed: int = 1
) -> tuple[float, float]:
    """What `calibration.apply` needs for this model, by mixtures of held-out recordings of the ten concepts."""
    tests = [r for r in recordings if r.concept in TEN]
    logits, truth, _, _ = mixed_logits(model, tokenizer, tests, seed, count=120)
    return calibration.fit(logits, truth)


def _frame_truth(window: Mixed, ten: Sequence[str]) -> Tensor:
    silent = np.zeros(len(next(iter(window.frames.values()))), bool)
    return torch.from_numpy(np.stack([window.frames.get(concept, silent) for concept in ten], 1))


@dataclass
class DrumFigures:
    """How one-shots rank among one-shots: the average precision of each drum, and the share named rightly."""

    precision: dict[str, float]
    accuracy: float

    @property
    def mean_precision(self) -> float:
        """The mean over the drums that occur."""
        return float(np.mean(list(self.precision.values())))


def score_drums(model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, drums: Sequence[Recording]) -> DrumFigures:
    """Rank one-shots by the plain prompts of the drums that occur among them."""
    audio, _ = embed_clips(model, [load_clip(r) for r in drums])
    names = [name for name in DRUM_KIT if any(r.concept == name for r in drums)]
    scores = audio @ embed_texts(model, tokenizer, [captions.plain_prompt(name) for name in names]).T
    relevant = torch.tensor([[r.concept == name for name in names] for r in drums])
    precision = {name: average_precision(scores[:, j], relevant[:, j]) for j, name in enumerate(names)}
    right = relevant.gather(1, scores.argmax(1, keepdim=True))
    return DrumFigures(precision, float(right.float().mean()))

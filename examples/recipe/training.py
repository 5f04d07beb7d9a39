"""Training: the text tower warmed up on captions alone, then both towers together on mixtures.

Progress is counted in steps (`steps`: the same run every time but for BPE dropout, which cannot be seeded) or in
minutes of work (`minutes`: as far as the machine gets). The text tower goes to `text_tower.pt` in the work folder once
it is warmed up, the whole state to `training_state.pt` every few minutes; `resume` goes on from what is there.

The learning rate stays at its height and falls in the last part alone, and the state before it falls is kept as
`state_before_cooling.pt`: a later session can go on from there with a longer schedule, as if the rate had never fallen.
"""

import copy
import ctypes
import logging
import math
import queue
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PeAudioFeatureExtractor, PeAudioModel, PreTrainedTokenizerFast

from pe_search.pe_audio.embedder import multiplies_bfloat16
from recipe import captions
from recipe.architecture import FRAMES_PER_S, SAMPLE_RATE_HZ, checkpoint_config
from recipe.concepts_file import taught_concepts
from recipe.frontend import (
    Augmentation,
    FilterBank,
    audio_embeddings,
    freeze_filter_bank,
    initialise_audio,
    text_embeddings,
)
from recipe.held_out import PLAIN
from recipe.mixing import Batch, Mixer, MixingPlan
from recipe.neighbours import NEIGHBOURS
from recipe.objective import CaptionBatch, draw_captions, losses, overlap_matrix, targets
from recipe.optimizer import TEXT_PARTS, Optimizer
from recipe.pool import Source
from recipe.scoring import DRUM_KIT
from recipe.tokenizer import encode, train_tokenizer

log = logging.getLogger("train_builtin")

STATE_FILE = "training_state.pt"
STATE_BEFORE_COOLING_FILE = "state_before_cooling.pt"
TEXT_FILE = "text_tower.pt"
COOLING = 0.35
"""The last share of the schedule, in which the learning rate falls."""
_RATE_AFTER_START = 0.7
"""Share of the learning rate for a checkpoint that was trained already."""


@dataclass
class Schedule:
    """How long and how hard. Exactly one of `minutes` and `steps` is given.

    `start` is a checkpoint of this recipe to begin with: its text tower is warmed up once more, for what is new in the
    vocabulary, and there are mixtures from the first step.
    """

    minutes: float | None = None
    steps: int | None = None
    start: Path | None = None
    text_steps: int = 2_000
    tokenizer_captions: int = 60_000
    seconds_per_step: float = 192.0
    most_windows: int = 96
    lengths_s: Sequence[float] = (0.25, 0.6, 1.2, 1.6, 2.0, 2.0, 3.0, 3.0, 4.0, 5.0, 5.0, 10.0)
    learning_rate: float = 1.4e-3
    warm_up_steps: int = 60
    weight_decay: float = 0.1
    ema_decay: float = 0.997
    frame_weight: float = 1.5
    gradient_clip: float = 2.0
    vocabulary_size: int = 5_000
    merge_dropout: float = 0.1
    plan: MixingPlan = field(
        # Those of a kit are named twice, and come twice as often.
        default_factory=lambda: MixingPlan(
            favoured=tuple(PLAIN), drums=(*DRUM_KIT, *captions.DRUMS), neighbours=NEIGHBOURS
        )
    )
    augmentation: dict[str, float] = field(
        default_factory=lambda: {
            "equaliser_db": 4.5,
            "band_mask": 5,
            "band_limit": 0.2,
            "frame_mask": 0.25,
            "dropout": 0.1,
            "layer_drop": 0.05,
        }
    )

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("give either minutes or steps")

    def progress(self, step: int, elapsed_s: float) -> float:
        """Share of the training that is done, 0–1."""
        if self.steps is not None:
            done = step / self.steps
        else:
            assert self.minutes is not None
            done = elapsed_s / (60 * self.minutes)
        return done

    def rate(self, progress: float) -> float:
        """Share of the learning rate at a share of the training."""
        height = _RATE_AFTER_START if self.start else 1.0
        return height * max(0.02, min(1.0, (1 - progress) / COOLING))


@dataclass
class Trained:
    """The averaged weights, and how much training is in them."""

    model: PeAudioModel
    tokenizer: PreTrainedTokenizerFast
    steps: int
    elapsed_s: float


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed: else every large tensor is fresh memory whose pages must be mapped again.

    That takes longer than the arithmetic of the activations. Elsewhere than on Linux this does nothing.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            trim_threshold, mmap_max = -1, -4  # names of mallopt's parameters in malloc.h
            libc.mallopt(mmap_max, 0)
            libc.mallopt(trim_threshold, 2**31 - 1)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Multiply in bfloat16 where the device has instructions for it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device))


# ---- text


def draw_tokenizer(schedule: Schedule, seed: int) -> PreTrainedTokenizerFast:
    """A tokenizer for what the caption grammar says."""
    rng = random.Random(seed)
    count = schedule.tokenizer_captions

    def drawn() -> Iterator[str]:
        for _ in range(count):
            yield captions.caption(rng.choice(captions.CONCEPTS), rng)
        for _ in range(count // 10):
            yield captions.mixture_caption(rng.sample(captions.CONCEPTS, 2), rng)
            yield captions.unrelated_caption(rng)

    return train_tokenizer(drawn(), schedule.vocabulary_size)


def initialise_text(model: PeAudioModel, generator: torch.Generator) -> None:
    """Random weights of a size that lets a shallow tower tell words apart from the first step."""
    with torch.no_grad():
        for name, parameter in model.text_model.named_parameters():
            if parameter.ndim == 2:
                deviation = 0.5 if "embeddings" in name else parameter.shape[1] ** -0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation)
        head = model.text_audio_head.proj.weight
        head.copy_(torch.randn(head.shape, generator=generator) * 0.3 * head.shape[1] ** -0.5)


def warm_up_text(
    model: PeAudioModel,
    tokenizer: PreTrainedTokenizerFast,
    schedule: Schedule,
    seed: int,
    known: Mapping[str, Tensor] | None = None,
) -> None:
    """Teach the text tower which captions say the same, against one free vector for each concept.

    The vectors are thrown away afterwards; the tower then starts the joint training with concepts well apart. Those of
    `known` concepts, which an audio tower has learned already, stay where they are.
    """
    rng = random.Random(seed + 1)
    concepts = list(captions.CONCEPTS)
    index = {concept: i for i, concept in enumerate(concepts)}
    generator = torch.Generator().manual_seed(seed)
    size = model.text_audio_head.proj.weight.shape[0]
    start = functional.normalize(torch.randn(len(concepts), size, generator=generator), dim=1)
    fixed = torch.tensor([concept in (known or {}) for concept in concepts])
    for concept, vector in (known or {}).items():
        start[index[concept]] = functional.normalize(vector, dim=0)
    length = float(torch.stack([*known.values()]).norm(dim=1).mean()) if known else 4.0
    anchors = nn.Parameter(start)
    height = 5e-4 if known else 1.5e-3
    weights = [*model.text_model.parameters(), *model.text_audio_head.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": 0.05}, {"params": [anchors], "weight_decay": 0.0}], lr=height
    )
    for step in range(schedule.text_steps):
        for group in optimizer.param_groups:
            group["lr"] = height * min(1.0, step / 30) * _cosine(step / schedule.text_steps)
        texts, truth = [], torch.zeros(192, len(concepts))
        for row in range(144):
            concept = rng.choice(list(PLAIN)) if rng.random() < 0.3 else rng.choice(concepts)
            texts.append(captions.caption(concept, rng))
            truth[row, index[concept]] = 1
        for row in range(144, 176):
            pair = rng.sample(concepts, 2)
            texts.append(captions.mixture_caption(pair, rng))
            truth[row, [index[concept] for concept in pair]] = 0.5
        texts += [captions.unrelated_caption(rng) for _ in range(16)]
        truth[176:] = 1 / len(concepts)
        token_ids, mask = encode(tokenizer, texts, schedule.merge_dropout if rng.random() < 0.6 else 0.0)
        with mixed_precision(model.device):
            embeddings = text_embeddings(model, token_ids, mask, groups=4).float()
        norms = embeddings.norm(dim=1)
        logits = 12 * functional.normalize(embeddings, dim=1) @ functional.normalize(anchors, dim=1).T
        loss = -(truth * functional.log_softmax(logits, 1)).sum(1).mean() + 0.02 * ((norms - length) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert anchors.grad is not None
        anchors.grad[fixed] = 0
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if step % 100 == 99:
            log.info("captions %d/%d: loss %.3f", step + 1, schedule.text_steps, loss.item())


# ---- batches


class Batches:
    """Draws batches in a second thread, a few ahead. `elapsed_s` is set by the training, for the schedule."""

    def __init__(
        self, mixer: Mixer, tokenizer: PreTrainedTokenizerFast, schedule: Schedule, seed: int, step: int
    ) -> None:
        self._mixer, self._tokenizer, self._schedule = mixer, tokenizer, schedule
        self._rng = random.Random(seed * 1_000_003 + step)
        self._step = step
        self.elapsed_s = 0.0
        self._queue: queue.Queue[tuple[Batch, CaptionBatch, Tensor, Tensor] | BaseException] = queue.Queue(3)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def draw(self) -> tuple[Batch, CaptionBatch, Tensor, Tensor]:
        """The next batch, its captions, their token ids and their mask."""
        drawn = self._queue.get()
        if isinstance(drawn, BaseException):
            raise drawn
        return drawn

    def stop(self) -> None:
        """End the thread; what it drew ahead is lost."""
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.1)
            except queue.Empty:
                continue

    def _work(self) -> None:
        schedule, rng = self._schedule, self._rng
        try:
            while not self._stopped.is_set():
                # Single sounds first: what is in a mixture can only be told apart once it is known alone.
                progress = schedule.progress(self._step, self.elapsed_s)
                self._mixer.plan.mixed = schedule.plan.mixed * (1.0 if schedule.start else min(1.0, progress / 0.1))
                self._step += 1
                frames = max(1, round(rng.choice(list(schedule.lengths_s)) * rng.uniform(0.75, 1.0) * FRAMES_PER_S))
                size = min(schedule.most_windows, max(8, round(schedule.seconds_per_step * FRAMES_PER_S / frames)))
                batch = self._mixer.batch(size, frames)
                drawn = draw_captions(self._mixer.concepts, self._mixer.plan.favoured, batch.pairs, rng)
                dropout = schedule.merge_dropout if rng.random() < 0.6 else 0.0
                self._queue.put((batch, drawn, *encode(self._tokenizer, drawn.texts, dropout)))
        except Exception as error:
            self._queue.put(error)


# ---- both towers


def _cosine(progress: float) -> float:
    return 0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, progress)))


def _start_clips(mixer: Mixer, count: int = 64, seconds: float = 3.0) -> Tensor:
    samples = int(seconds * FRAMES_PER_S) * SAMPLE_RATE_HZ // FRAMES_PER_S
    clips = [mixer.place(mixer.draw_clip(mixer.draw_concept(short=False))[0], samples) for _ in range(count)]
    return torch.from_numpy(np.stack(clips))


def _begin(
    schedule: Schedule, work: Path, mixer: Mixer, seed: int, generator: torch.Generator, resume: bool
) -> tuple[PeAudioModel, PreTrainedTokenizerFast]:
    """A model whose text tower knows captions and whose audio tower hears bands, and its tokenizer."""
    warmed_up = resume and (work / TEXT_FILE).exists()
    if not warmed_up:
        draw_tokenizer(schedule, seed).save_pretrained(work / "tokenizer")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
    model = PeAudioModel(checkpoint_config(len(tokenizer)))
    model.text_model.set_attn_implementation("eager")  # the fused one is slow on short texts in 16 bits
    if warmed_up:
        model.load_state_dict(torch.load(work / TEXT_FILE, weights_only=True), strict=False)
    else:
        initialise_text(model, generator)
        warm_up_text(model, tokenizer, schedule, seed)
        _save_text_tower(model, work)
    initialise_audio(model, _start_clips(mixer), generator)
    with torch.no_grad():
        model.text_audio_logit_scale.fill_(1.0)
        model.text_audio_logit_bias.fill_(-4.0)
    return model, tokenizer


def _begin_from(
    start: Path, schedule: Schedule, work: Path, seed: int, resume: bool
) -> tuple[PeAudioModel, PreTrainedTokenizerFast]:
    """The checkpoint, its text tower warmed up for the vocabulary as it is now, and its tokenizer."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(start)
    tokenizer.save_pretrained(work / "tokenizer")
    model = PeAudioModel.from_pretrained(start, dtype=torch.float32)
    model.text_model.set_attn_implementation("eager")
    if resume and (work / TEXT_FILE).exists():
        model.load_state_dict(torch.load(work / TEXT_FILE, weights_only=True), strict=False)
    elif schedule.text_steps:
        taught = [concept for concept in taught_concepts(start) if concept in captions.CONCEPTS]
        with torch.no_grad():
            prompts = [captions.plain_prompt(concept) for concept in taught]
            vectors = text_embeddings(model, *encode(tokenizer, prompts))
        warm_up_text(model, tokenizer, schedule, seed, dict(zip(taught, vectors, strict=True)))
        _save_text_tower(model, work)
    return model, tokenizer


def _save_text_tower(model: PeAudioModel, work: Path) -> None:
    weights = {name: value for name, value in model.state_dict().items() if name.startswith(TEXT_PARTS)}
    torch.save(weights, work / TEXT_FILE)


def train(
    sources: Sequence[Source],
    schedule: Schedule,
    work: Path,
    seed: int,
    device: str = "cpu",
    resume: bool = False,
    before_cooling: bool = False,
    score: Callable[[PeAudioModel, PreTrainedTokenizerFast], dict[str, float]] | None = None,
    score_every_s: float = 240.0,
    state_every_s: float = 180.0,
) -> Trained:
    """Train on `sources`; `score` is called on the averaged weights now and then and its result logged.

    `resume` goes on from the state in `work`, or with `before_cooling` from that before the rate fell.
    """
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    concepts = [c for c in captions.CONCEPTS if any(source.concept == c for source in sources)]
    state = _load_state(work / (STATE_BEFORE_COOLING_FILE if before_cooling else STATE_FILE)) if resume else None
    step, elapsed_s = (state["step"], state["elapsed_s"]) if state else (0, 0.0)
    mixer = Mixer(sources, concepts, np.random.default_rng([seed, step]), copy.copy(schedule.plan))

    if state:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
        model = PeAudioModel(checkpoint_config(len(tokenizer)))
        model.load_state_dict(state["model"])
    elif schedule.start:
        model, tokenizer = _begin_from(schedule.start, schedule, work, seed, resume)
    else:
        model, tokenizer = _begin(schedule, work, mixer, seed, generator, resume)
    model.text_model.set_attn_implementation("eager")
    freeze_filter_bank(model)
    model.to(device).train()
    bank = FilterBank.of(model)
    averaged = copy.deepcopy(model).requires_grad_(False).eval()
    optimizer = Optimizer(model, schedule.learning_rate, schedule.weight_decay)
    if state:
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
    log.info("%d concepts, %d sources, %d tokens", len(concepts), len(sources), len(tokenizer))

    augmentation = Augmentation(**schedule.augmentation, generator=generator)  # type: ignore[arg-type]
    overlaps = overlap_matrix(concepts)
    batches = Batches(mixer, tokenizer, schedule, seed, step)
    sums: dict[str, float] = {}
    cooling = schedule.progress(step, elapsed_s) > 1 - COOLING
    last, last_score, last_state = time.monotonic(), elapsed_s, elapsed_s
    try:
        while (progress := schedule.progress(step, elapsed_s)) < 1:
            if progress > 1 - COOLING and not cooling:
                _save_state(work, STATE_BEFORE_COOLING_FILE, model, averaged, optimizer, step, elapsed_s)
                cooling = True
            optimizer.set_rate(min(1.0, (step + 1) / schedule.warm_up_steps) * schedule.rate(progress))
            parts = _step(model, bank, optimizer, batches, overlaps, augmentation, schedule)
            step += 1
            decay = min(schedule.ema_decay, 1 - 1 / (step / 4 + 2))
            with torch.no_grad():
                for slow, fast in zip(averaged.parameters(), model.parameters(), strict=True):
                    slow.lerp_(fast, 1 - decay)
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
            now = time.monotonic()
            elapsed_s += now - last
            last = now
            batches.elapsed_s = elapsed_s
            if step % 50 == 0:
                means = " ".join(f"{name} {value / 50:.3f}" for name, value in sums.items())
                log.info("step %d, %.0f s: %s", step, elapsed_s, means)
                sums.clear()
            if elapsed_s - last_state > state_every_s:
                _save_state(work, STATE_FILE, model, averaged, optimizer, step, elapsed_s)
                last_state = elapsed_s
            if score is not None and elapsed_s - last_score > score_every_s:
                log.info("held out: %s", score(copy.deepcopy(averaged).cpu(), tokenizer))
                last_score = elapsed_s
                last = time.monotonic()
    finally:
        batches.stop()
    _save_state(work, STATE_FILE, model, averaged, optimizer, step, elapsed_s)
    return Trained(averaged.cpu(), tokenizer, step, elapsed_s)


def _step(
    model: PeAudioModel,
    bank: FilterBank,
    optimizer: Optimizer,
    batches: Batches,
    overlaps: np.ndarray[Any, np.dtype[np.bool_]],
    augmentation: Augmentation,
    schedule: Schedule,
) -> dict[str, float]:
    device = model.device
    batch, drawn, token_ids, mask = batches.draw()
    truth = targets(batch, drawn, overlaps).to(device)
    with mixed_precision(device):
        audio = audio_embeddings(model, bank, torch.from_numpy(batch.waveforms).to(device), augmentation)
        text = text_embeddings(model, token_ids.to(device), mask.to(device), groups=6)
    parts = losses(
        audio.float(),
        text.float(),
        model.text_audio_logit_scale,
        model.text_audio_logit_bias,
        truth,
        schedule.frame_weight,
    )
    optimizer.zero_grad()
    parts.total.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(model.parameters(), schedule.gradient_clip)
    optimizer.step()
    return {name: float(value.detach()) for name, value in (*vars(parts).items(), ("gradient", norm))}


# ---- on disk


def _save_state(
    work: Path,
    name: str,
    model: PeAudioModel,
    averaged: PeAudioModel,
    optimizer: Optimizer,
    step: int,
    elapsed_s: float,
) -> None:
    partial = work / f"{name}.partial"
    state = {
        "model": model.state_dict(),
        "averaged": averaged.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "elapsed_s": elapsed_s,
    }
    torch.save(state, partial)
    partial.replace(work / name)


def _load_state(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def save_checkpoint(model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write a PE Audio checkpoint directory, weights as 16-bit floats; an old one is replaced at the end.

    `config.json` says float32, so that readers compute in that precision unless told otherwise.
    """
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    half = copy.deepcopy(model).half()
    half.save_pretrained(partial)
    config = copy.deepcopy(model.config)
    config.dtype = "float32"
    config.save_pretrained(partial)
    # What it was last asked for is no part of it.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(partial)
    PeAudioFeatureExtractor().save_pretrained(partial)
    for file in partial.iterdir():
        file.chmod(0o644)  # safetensors files come out readable by their owner alone
    if out.exists():
        for file in out.iterdir():
            if file.is_file() and not (partial / file.name).exists():
                shutil.copy2(file, partial / file.name)
        old = out.with_name(f".{out.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
        partial.rename(out)
        shutil.rmtree(old)
    else:
        partial.rename(out)

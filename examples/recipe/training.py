"""Training: the text tower warmed up on captions alone, then both towers together on mixtures.

Progress is counted in steps (`steps`: the same run every time but for BPE dropout, which cannot be seeded) or in
minutes of work (`minutes`: as far as the machine gets). The text tower goes to `text_tower.pt` in the work folder once
it is warmed up, the whole state to `training_state.pt` every few minutes; `resume` goes on from what is there.

With `lessons`, windows come from there instead of being mixed, the teacher's answers are one more thing to learn, and
the text tower stays as it is.

The learning rate stays at its height and falls in the last part alone, and the state before it falls is kept as
`state_before_cooling.pt`: a later session can go on from there with a longer schedule, as if the rate had never fallen.
"""

import copy
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PeAudioModel, PreTrainedTokenizerFast

from recipe import captions
from recipe.architecture import FRAMES_PER_S, SAMPLE_RATE_HZ, checkpoint_config
from recipe.concepts_file import taught_concepts
from recipe.frontend import (
    Augmentation,
    FilterBank,
    audio_states,
    embed_states,
    freeze_filter_bank,
    initialise_audio,
    text_embeddings,
)
from recipe.lessons import Lesson, Lessons
from recipe.mixing import Batch, Mixer
from recipe.objective import CaptionBatch, draw_captions, losses, overlap_matrix, targets
from recipe.optimizer import Optimizer
from recipe.pool import Source
from recipe.processor import mixed_precision
from recipe.pupil import Pupil
from recipe.saved import (
    STATE_BEFORE_COOLING_FILE,
    STATE_FILE,
    TEXT_FILE,
    load_state,
    save_state,
    save_text_tower,
)
from recipe.schedule import COOLING, Schedule
from recipe.text_warm_up import draw_tokenizer, initialise_text, warm_up_text
from recipe.tokenizer import encode

log = logging.getLogger("train_builtin")

_FIRST_LESSONS = 40
"""How many a pupil's layer is fitted on before it learns."""


@dataclass
class Trained:
    """The averaged weights, and how much training is in them."""

    model: PeAudioModel
    tokenizer: PreTrainedTokenizerFast
    steps: int
    elapsed_s: float


# ---- batches


class Batches:
    """Draws batches in a second thread, a few ahead. `elapsed_s` is set by the training, for the schedule."""

    def __init__(
        self,
        mixer: Mixer,
        lessons: Lessons | None,
        tokenizer: PreTrainedTokenizerFast,
        schedule: Schedule,
        seed: int,
        step: int,
    ) -> None:
        self._lessons = lessons
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
                batch = self._lessons.draw() if self._lessons else self._mixed()
                heard = {self._mixer.concepts[column] for column in np.flatnonzero(batch.heard.any(0))}
                drawn = draw_captions(self._mixer.concepts, self._mixer.plan.favoured, batch.pairs, rng, heard)
                dropout = schedule.merge_dropout if rng.random() < 0.6 else 0.0
                self._queue.put((batch, drawn, *encode(self._tokenizer, drawn.texts, dropout)))
        except Exception as error:
            self._queue.put(error)

    def _mixed(self) -> Batch:
        schedule, rng = self._schedule, self._rng
        frames = max(1, round(rng.choice(list(schedule.lengths_s)) * rng.uniform(0.75, 1.0) * FRAMES_PER_S))
        size = min(schedule.most_windows, max(8, round(schedule.seconds_per_step * FRAMES_PER_S / frames)))
        return self._mixer.batch(size, frames)


# ---- both towers


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
        save_text_tower(model, work)
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
        save_text_tower(model, work)
    return model, tokenizer


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
    lessons: Path | None = None,
) -> Trained:
    """Train on `sources`; `score` is called on the averaged weights now and then and its result logged.

    `lessons` is a folder that `recipe.lessons.prepare` made. `resume` goes on from the state in `work`, or with
    `before_cooling` from that before the rate fell.
    """
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    concepts = [c for c in captions.CONCEPTS if any(source.concept == c for source in sources)]
    state = load_state(work / (STATE_BEFORE_COOLING_FILE if before_cooling else STATE_FILE)) if resume else None
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
    if lessons:
        model.text_model.requires_grad_(False)
        model.text_audio_head.requires_grad_(False)
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
    store = Lessons(lessons, np.random.default_rng([seed, step]), schedule.seconds_per_step) if lessons else None
    pupil = _pupil(model, tokenizer, concepts, store) if store else None
    batches = Batches(mixer, store, tokenizer, schedule, seed, step)
    sums: dict[str, float] = {}
    cooling = schedule.progress(step, elapsed_s) > 1 - COOLING
    last, last_score, last_state = time.monotonic(), elapsed_s, elapsed_s
    try:
        while (progress := schedule.progress(step, elapsed_s)) < 1:
            if progress > 1 - COOLING and not cooling:
                save_state(work, STATE_BEFORE_COOLING_FILE, model, averaged, optimizer, step, elapsed_s)
                cooling = True
            optimizer.set_rate(min(1.0, (step + 1) / schedule.warm_up_steps) * schedule.rate(progress))
            parts = _step(model, bank, optimizer, batches, overlaps, augmentation, schedule, pupil)
            if pupil:
                pupil.step(schedule.rate(progress))
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
                save_state(work, STATE_FILE, model, averaged, optimizer, step, elapsed_s)
                last_state = elapsed_s
            if score is not None and elapsed_s - last_score > score_every_s:
                log.info("held out: %s", score(copy.deepcopy(averaged).cpu(), tokenizer))
                last_score = elapsed_s
                last = time.monotonic()
    finally:
        batches.stop()
    save_state(work, STATE_FILE, model, averaged, optimizer, step, elapsed_s)
    return Trained(averaged.cpu(), tokenizer, step, elapsed_s)


def _step(
    model: PeAudioModel,
    bank: FilterBank,
    optimizer: Optimizer,
    batches: Batches,
    overlaps: np.ndarray[Any, np.dtype[np.bool_]],
    augmentation: Augmentation,
    schedule: Schedule,
    pupil: Pupil | None,
) -> dict[str, float]:
    device = model.device
    batch, drawn, token_ids, mask = batches.draw()
    truth = targets(batch, drawn, overlaps).to(device)
    lesson = batch if isinstance(batch, Lesson) else None
    with mixed_precision(device):
        if lesson:
            signals = torch.from_numpy(lesson.bands).to(device)
        else:
            signals = bank.signals(model, torch.from_numpy(batch.waveforms).to(device))
        states = audio_states(model, signals, augmentation)
        audio = embed_states(model, states)
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
    total, terms = parts.total, vars(parts)
    if lesson and pupil:
        scale, bias = model.text_audio_logit_scale, model.text_audio_logit_bias
        logits = audio[:, 0].float() @ text[: drawn.plain].float().T * scale + bias
        taught = pupil.loss(states[:, 0].cpu(), logits.cpu(), lesson).to(device)
        total, terms = total + taught, terms | {"teacher": taught}
    total.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(model.parameters(), schedule.gradient_clip)
    optimizer.step()
    return {name: float(value.detach()) for name, value in (*terms.items(), ("gradient", norm))}


@torch.no_grad()
def _pupil(model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, concepts: Sequence[str], lessons: Lessons) -> Pupil:
    prompts = text_embeddings(model, *encode(tokenizer, [captions.plain_prompt(concept) for concept in concepts]))
    drawn, states, levels = [], [], []
    for _ in range(_FIRST_LESSONS):
        drawn.append(lessons.draw())
        with mixed_precision(model.device):
            states.append(audio_states(model, torch.from_numpy(drawn[-1].bands).to(model.device))[:, 0].float())
            embeddings = embed_states(model, states[-1][:, None])[:, 0].float()
        logits = embeddings @ prompts.T * model.text_audio_logit_scale + model.text_audio_logit_bias
        levels.append(logits.logsumexp(1).mean())
    return Pupil([state.cpu() for state in states], drawn, float(torch.stack(levels).mean()))

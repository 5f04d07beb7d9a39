"""How a checkpoint does on real recordings by other makers, which are for measuring only and are never trained on.

A folder of them has a folder for each kind of sound; files whose names differ only after the last hyphen are cuts of
one recording. A recording scores as high as its best cut, as a clip scores as high as its best window in a search.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PeAudioModel, PreTrainedTokenizerFast

from recipe import calibration, captions
from recipe.frontend import FilterBank, audio_embeddings
from recipe.mixing import Samples
from recipe.recordings import AUDIO_SUFFIXES, Recording
from recipe.scoring import (
    area_under_roc,
    average_precision,
    calibration_error,
    embed_texts,
    load_clip,
    mixed_windows,
    padded,
)

KINDS: tuple[str, ...] = (
    "alarm", "applause", "bird_song", "breathing", "car_horn", "cat_meow", "church_bell", "clapping", "closed_hat",
    "coin", "conga", "cough", "cow_moo", "crash", "cricket_chirp", "crow", "crowd_chatter", "dog_bark", "door_creak",
    "duck_quack", "engine", "footsteps", "frog_croak", "glass_break", "hammer", "hand_saw", "kick", "knock",
    "laughter", "open_hat", "owl_hoot", "paper", "pig_grunt", "rain", "ride", "rimshot", "sea_waves", "sheep_bleat",
    "siren", "snare", "snoring", "speech", "stream", "thunder", "tom", "train", "typing", "vacuum_cleaner",
    "water_drip", "water_pour", "wind",
)  # fmt: skip
"""The kinds with two recordings or more that were taught when the measure was first taken: its figures compare."""
LEAST_RECORDINGS = 2
_UNTAUGHT_CAPTIONS = 200


@dataclass(frozen=True)
class Cut:
    """One file: its kind is the name of its folder."""

    kind: str
    recording: str
    samples: Samples


def read_cuts(folder: Path) -> list[Cut]:
    """All cuts below a folder, in a fixed order."""
    files = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in AUDIO_SUFFIXES)
    return [
        Cut(file.parent.name, f"{file.parent.name}/{file.stem.rpartition('-')[0] or file.stem}", _samples(file))
        for file in files
    ]


def _samples(file: Path) -> Samples:
    return load_clip(Recording(file, file.parent.name, fold=0, kit=""))


@torch.no_grad()
def embed_cuts(model: PeAudioModel, cuts: Sequence[Cut]) -> Tensor:
    """`[cuts, size]`: the embedding of each cut at its own length."""
    bank = FilterBank.of(model)
    windows = (torch.from_numpy(padded(cut.samples))[None] for cut in cuts)
    return torch.cat([audio_embeddings(model, bank, window)[:, 0] for window in windows]).float()


@dataclass(frozen=True)
class KindFigures:
    """What one kind's prompt finds among all recordings of all kinds, and what its recordings are called."""

    recordings: int
    precision: float
    top_hit: bool
    named: int


@dataclass(frozen=True)
class Figures:
    """The figures of each kind, and how far probabilities can be believed."""

    kinds: dict[str, KindFigures]
    calibration_error: float
    untaught_below_half: float
    best_calibration: tuple[float, float]
    """What `calibration.apply` needs, so that the probabilities of these prompts are right on these cuts."""

    @property
    def mean_precision(self) -> float:
        """Mean over the kinds of the average precision of the plain prompt."""
        return float(np.mean([kind.precision for kind in self.kinds.values()]))

    @property
    def top_hit(self) -> float:
        """Share of the kinds whose prompt has a right recording first."""
        return float(np.mean([kind.top_hit for kind in self.kinds.values()]))

    @property
    def naming(self) -> float:
        """Share of the recordings whose highest prompt is that of their kind."""
        named = sum(kind.named for kind in self.kinds.values())
        return named / sum(kind.recordings for kind in self.kinds.values())

    def summary(self) -> dict[str, float]:
        """All means, rounded."""
        names = ("mean_precision", "top_hit", "naming", "calibration_error", "untaught_below_half")
        return {f"validate_{name}": round(float(getattr(self, name)), 4) for name in names}


def taught_kinds(cuts: Sequence[Cut], concepts: Sequence[str] = captions.CONCEPTS) -> list[str]:
    """The kinds of two recordings or more that are concepts by their own name."""
    recordings = {kind: {cut.recording for cut in cuts if cut.kind == kind} for kind in {cut.kind for cut in cuts}}
    return [kind for kind in sorted(recordings) if len(recordings[kind]) >= LEAST_RECORDINGS and kind in concepts]


def figures(
    model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, cuts: Sequence[Cut], kinds: Sequence[str] = KINDS
) -> Figures:
    """Rank the recordings of `kinds` by each kind's plain prompt, and name each by the highest of them."""
    kept = [cut for cut in cuts if cut.kind in kinds]
    audio = embed_cuts(model, kept)
    present = [kind for kind in kinds if any(cut.kind == kind for cut in kept)]
    scores = audio @ embed_texts(model, tokenizer, [captions.plain_prompt(kind) for kind in present]).T
    truth = torch.tensor([[cut.kind == kind for kind in present] for cut in kept])
    recordings = list(dict.fromkeys(cut.recording for cut in kept))
    rows = [[i for i, cut in enumerate(kept) if cut.recording == recording] for recording in recordings]
    best = torch.stack([scores[row].max(0).values for row in rows])
    right = torch.stack([truth[row[0]] for row in rows])
    named = right.gather(1, best.argmax(1, keepdim=True))[:, 0]
    by_kind = {
        kind: KindFigures(
            int(right[:, j].sum()),
            average_precision(best[:, j], right[:, j]),
            bool(right[best[:, j].argmax(), j]),
            int(named[right[:, j]].sum()),
        )
        for j, kind in enumerate(present)
    }
    scale, bias = model.text_audio_logit_scale.detach(), model.text_audio_logit_bias.detach()
    untaught = audio @ embed_texts(model, tokenizer, _untaught()).T * scale + bias
    logits = scores * scale + bias
    return Figures(
        by_kind,
        calibration_error(logits.sigmoid().flatten(), truth.flatten()),
        float((untaught < 0).float().mean()),
        calibration.fit(logits, truth),
    )


@dataclass(frozen=True)
class FrameFigures:
    """How well frames tell when something is heard: the area under the ROC curve, and F1 at probability 0.5."""

    area: float
    f1: float


@torch.no_grad()
def frame_figures(
    model: PeAudioModel,
    tokenizer: PreTrainedTokenizerFast,
    cuts: Sequence[Cut],
    kinds: Sequence[str] = KINDS,
    count: int = 120,
    seed: int = 0,
) -> FrameFigures:
    """Of windows of 10 s of noise with up to 2 s of two kinds in each, asked for those two alone."""
    clips = {kind: [cut.samples for cut in cuts if cut.kind == kind] for kind in kinds}
    windows = mixed_windows({k: v for k, v in clips.items() if v}, count, np.random.default_rng(seed))
    bank = FilterBank.of(model)
    scale, bias = model.text_audio_logit_scale, model.text_audio_logit_bias
    logits, truth = [], []
    for window in windows:
        frames = audio_embeddings(model, bank, torch.from_numpy(window.samples)[None])[0, 1:].float()
        texts = embed_texts(model, tokenizer, [captions.plain_prompt(kind) for kind in window.concepts])
        logits.append(frames @ texts.T * scale + bias)
        truth.append(torch.from_numpy(np.stack([window.frames[kind] for kind in window.concepts], 1)))
    scores, active = torch.cat(logits).flatten(), torch.cat(truth).flatten()
    right = float(((scores > 0) & active).sum())
    return FrameFigures(area_under_roc(scores, active), 2 * right / max(1.0, float((scores > 0).sum() + active.sum())))


def _untaught() -> list[str]:
    """Captions about anything but the concepts, in words that training never draws."""
    rng = random.Random(0)
    return [captions.unrelated_caption(rng, held_out=True) for _ in range(_UNTAUGHT_CAPTIONS)]

"""What training asks for: captions for a batch, and the loss between them and the batch's embeddings.

Three terms share one similarity, `audio · text`, with the checkpoint's own scale and bias:

- contrastive, both ways: each window picks its captions among the plain prompts of all concepts, and once more among
  the drawn captions; each caption picks its windows among all. The plain prompts are the same in every step, so that
  the audio tower has something firm to learn from while the text tower still guesses at unusual wording;
- sigmoid, for windows: `sigmoid(similarity * scale + bias)` is the probability that the caption is heard;
- sigmoid, for frames: the same probability for every 40 ms.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from recipe import captions
from recipe.mixing import ACTIVE, UNSURE, Batch

OVERLAPS: tuple[tuple[str, ...], ...] = (
    *(("drum_loop", drum) for drum in captions.DRUMS if drum != "drum_loop"),
    ("snare", "rimshot"),
    ("snare", "drum_roll"),
    ("rimshot", "woodblock"),
    ("bell", "sleigh_bells"),
    ("tambourine", "sleigh_bells"),
    ("engine", "motorcycle", "car_pass"),
    ("jet", "propeller_plane"),
    ("applause", "clapping"),
    ("clapping", "clap"),
    ("speech", "whisper", "crowd_chatter"),
    ("beep", "tone", "alarm", "dial_tone"),
    ("beep", "morse_code", "video_game"),
    ("bell", "church_bell", "bicycle_bell", "doorbell"),
    ("bell", "gong"),
    ("white_noise", "radio_static"),
    ("white_noise", "pink_noise"),
    ("stream", "water_pour", "bubbles"),
    ("sheep_bleat", "cow_moo"),
    ("drone", "hum"),
    ("kick", "bass"),
    ("laser", "video_game"),
    ("conga", "tom"),
    ("piano", "synth_melody"),
    ("whoosh", "sweep"),
    ("explosion", "gunshot", "fireworks"),
    ("growl", "dog_bark"),
    ("growl", "big_cat_roar", "bear"),
    ("dog_snoring", "snoring"),
    ("donkey", "horse_neigh"),
    ("goat", "sheep_bleat"),
    ("dolphin", "whale", "underwater"),
    ("underwater", "fish", "snapping_shrimp", "bubbles"),
    ("boat", "engine"),
    ("boat", "underwater"),
    ("waterfall", "stream", "sea_waves"),
    ("splash", "footsteps_water"),
    ("splash", "sea_waves"),
    ("footsteps", "footsteps_water"),
    ("leaves", "footsteps"),
    ("leaves", "wind"),
    ("tap_water", "water_pour", "stream"),
    ("choir", "singing"),
    ("playground", "crowd_chatter"),
    ("playground", "laughter"),
    ("scream", "roller_coaster"),
    ("city_traffic", "car_pass", "engine", "car_horn"),
    ("subway", "train"),
    ("car_crash", "glass_break"),
    ("car_crash", "tyre_skid"),
    ("car_door", "door_slam"),
    ("door_open", "door_creak", "door_slam"),
    ("compressor", "machine", "engine", "fan"),
    ("circular_saw", "drill", "chainsaw"),
    ("construction", "hammer", "drill"),
    ("steam_hiss", "white_noise"),
    ("fan", "hum", "white_noise"),
    ("fireball", "explosion", "whoosh"),
    ("fireball", "fire_crackling"),
    ("impact", "explosion", "kick", "door_slam"),
    ("metal_hit", "hammer", "bell"),
    ("wood_chop", "hammer"),
    ("rockfall", "explosion"),
    ("sonar", "beep"),
    ("toy_whistle", "whistle", "train_horn"),
    ("electric_guitar", "guitar"),
    ("electric_piano", "piano"),
    ("violin", "cello", "strings", "pizzicato"),
    ("singing_bowl", "gong", "bell"),
    ("bow_shot", "whoosh"),
    ("tearing", "paper"),
    ("cards", "paper"),
    ("horse_neigh", "horse_snort"),
    ("video_game", "beep"),
)
"""Concepts in one group may well be heard in each other's clips: they are not taught as each other's negatives.

A loop holds any drum, yet one drum is not another: each makes a group of two with the loop.
"""
_HALF_RIGHT = 0.35
"""Target for a caption of two sounds where only one is heard."""


def overlap_matrix(concepts: Sequence[str]) -> NDArray[np.bool_]:
    """`[concepts, concepts]`: True where two different concepts overlap."""
    overlaps = np.zeros((len(concepts), len(concepts)), bool)
    index = {concept: i for i, concept in enumerate(concepts)}
    for group in OVERLAPS:
        columns = [index[concept] for concept in group if concept in index]
        overlaps[np.ix_(columns, columns)] = True
    np.fill_diagonal(overlaps, False)
    return overlaps


@dataclass
class CaptionBatch:
    """Captions of one step: plain prompts, other captions of single concepts, of pairs, and of things in no window."""

    texts: list[str]
    plain: int  # how many plain prompts
    singles: list[int]  # concept of each plain prompt and each single caption
    pairs: list[tuple[int, int]]

    @property
    def unrelated(self) -> int:
        """How many captions at the end fit no window."""
        return len(self.texts) - len(self.singles) - len(self.pairs)


def draw_captions(
    concepts: Sequence[str],
    favoured: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    rng: random.Random,
    heard: Collection[str] | None = None,
    unheard: int = 30,
    unrelated: int = 12,
    most_pairs: int = 16,
) -> CaptionBatch:
    """A prompt for every concept, captions for those in the batch, and some for pairs and for other things.

    `heard` are the concepts in the batch (default: all); so many of those that are not get a caption, too, and the
    favoured get one more.
    """
    absent = [concept for concept in concepts if heard is not None and concept not in heard]
    left_out = set(rng.sample(absent, max(0, len(absent) - unheard)))
    names = [concept for concept in concepts if concept not in left_out]
    names += [concept for concept in favoured if concept in names]
    chosen = rng.sample(list(pairs), min(most_pairs, len(pairs)))
    index = {concept: i for i, concept in enumerate(concepts)}
    texts = [captions.plain_prompt(concept) for concept in concepts]
    texts += [captions.caption(name, rng) for name in names]
    texts += [captions.mixture_caption(pair, rng) for pair in chosen]
    texts += [captions.unrelated_caption(rng) for _ in range(unrelated)]
    singles = [index[name] for name in (*concepts, *names)]
    return CaptionBatch(texts, len(concepts), singles, [(index[a], index[b]) for a, b in chosen])


@dataclass
class Targets:
    """The truth between a batch's windows and its captions."""

    heard: Tensor  # [windows, captions], 0–1
    known: Tensor  # [windows, captions], bool
    share: Tensor  # [windows, captions], each window's row sums to 1 (or 0) over the plain prompts and over the others
    frames: Tensor  # [windows, frames, captions], bool
    frames_known: Tensor  # [windows, frames, captions], bool
    plain: int  # how many of the captions, at the front, are plain prompts

    def to(self, device: torch.device) -> "Targets":
        """The same on another device."""
        tensors = (self.heard, self.known, self.share, self.frames, self.frames_known)
        return Targets(*(tensor.to(device) for tensor in tensors), self.plain)


def targets(batch: Batch, drawn: CaptionBatch, overlaps: NDArray[np.bool_]) -> Targets:
    """Spread what is in each window over the captions that were drawn."""
    heard = torch.from_numpy(batch.heard)
    share = torch.from_numpy(batch.share)
    related = (heard > 0).float() @ torch.from_numpy(overlaps).float() > 0
    known = torch.from_numpy(batch.known) & ~(related & (heard == 0)) & ~((heard > 0) & (heard < 0.25))
    frames = torch.from_numpy(batch.frames)
    windows, blank = len(heard), drawn.unrelated

    singles = torch.tensor(drawn.singles)
    drawn_singles = singles[drawn.plain :]
    copies = torch.bincount(drawn_singles, minlength=heard.shape[1]).clamp_min(1)
    columns_heard, columns_known = [heard[:, singles]], [known[:, singles]]
    columns_share = [share[:, singles[: drawn.plain]], (share / copies)[:, drawn_singles]]
    columns_frames, columns_frames_known = (
        [frames[:, :, singles] == ACTIVE],
        [frames[:, :, singles] != UNSURE],
    )
    if drawn.pairs:
        first, second = torch.tensor(drawn.pairs).T
        one, two = heard[:, first], heard[:, second]
        columns_heard.append(_HALF_RIGHT * torch.maximum(one, two) + (1 - _HALF_RIGHT) * torch.minimum(one, two))
        columns_known.append(known[:, first] & known[:, second])
        columns_share.append(torch.zeros_like(one))
        a, b = frames[:, :, first], frames[:, :, second]
        columns_frames.append((a == ACTIVE) & (b == ACTIVE))
        # Where one of the two sounds alone, a frame is neither right nor wrong.
        columns_frames_known.append(((a == ACTIVE) & (b == ACTIVE)) | ((a == 0) & (b == 0)))
    columns_heard.append(torch.zeros(windows, blank))
    columns_known.append(torch.ones(windows, blank, dtype=torch.bool))
    columns_share.append(torch.zeros(windows, blank))
    columns_frames.append(torch.zeros(windows, frames.shape[1], blank, dtype=torch.bool))
    columns_frames_known.append(torch.ones(windows, frames.shape[1], blank, dtype=torch.bool))
    all_known = torch.cat(columns_known, 1)
    return Targets(
        torch.cat(columns_heard, 1),
        all_known,
        torch.cat(columns_share, 1),
        torch.cat(columns_frames, 2),
        torch.cat(columns_frames_known, 2) & all_known[:, None],
        drawn.plain,
    )


@dataclass
class Losses:
    """The loss and its parts, each averaged over windows."""

    total: Tensor
    audio_to_text: Tensor
    text_to_audio: Tensor
    sigmoid: Tensor
    frames: Tensor


def losses(
    audio: Tensor, text: Tensor, scale: Tensor, bias: Tensor, truth: Targets, frame_weight: float = 1.0
) -> Losses:
    """`audio` `[windows, 1 + frames, size]` with the clip first; `text` `[captions, size]`."""
    similarity = audio @ text.T
    logits = similarity[:, 0] * scale + bias
    masked = logits.masked_fill(~truth.known, float("-inf"))

    audio_to_text = logits.new_zeros(())
    for columns in (slice(0, truth.plain), slice(truth.plain, None)):
        picks = truth.share[:, columns] * _finite(functional.log_softmax(masked[:, columns], 1))
        audio_to_text = audio_to_text - picks.sum(1).mean() / 2

    weight = truth.heard * truth.known
    total = weight.sum(0)
    wanted = total > 0.4
    picks_window = -(weight / total.clamp_min(1e-6) * _finite(functional.log_softmax(masked, 0))).sum(0)
    text_to_audio = (picks_window * wanted).sum() / wanted.sum().clamp_min(1)

    clip_term = functional.binary_cross_entropy_with_logits(logits, truth.heard, reduction="none")
    sigmoid = (clip_term * truth.known).sum(1).mean()

    frame_logits = similarity[:, 1:] * scale + bias
    frame_term = functional.binary_cross_entropy_with_logits(frame_logits, truth.frames.float(), reduction="none")
    frames = (frame_term * truth.frames_known).sum(2).mean()

    combined = audio_to_text + 0.5 * text_to_audio + 0.1 * sigmoid + 0.1 * frame_weight * frames
    return Losses(combined, audio_to_text, text_to_audio, sigmoid, frames)


def _finite(log_probabilities: Tensor) -> Tensor:
    """Masked entries carry no weight; as zeros they multiply without turning into not-a-number."""
    return log_probabilities.masked_fill(torch.isinf(log_probabilities), 0.0)

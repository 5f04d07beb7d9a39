"""What training asks for. Upstream's own loss has no negatives, so that every text would do for every sound.

All terms are over log-odds, `audio · text × scale + bias`, with the checkpoint's own scale and bias, which stay as they
are: a probability means after tuning what it meant before.
"""

from __future__ import annotations

import torch
from torch.nn import functional

TEXT_TO_SOUND_WEIGHT = 0.5
SIGMOID_WEIGHT = 0.1
KEEP_SOUNDS_WEIGHT = 0.3
KEEP_TEXTS_WEIGHT = 6.0


def contrast(odds: torch.Tensor, heard: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Each sound picks its texts among all, and each text its sounds among all (CLIP, but several may be right).

    Args:
        odds: Log-odds of shape (sounds, texts).
        heard: bool of the same shape.
        known: Likewise, whether `heard` is known there; what is not known is neither right nor wrong.

    Returns:
        The mean over the sounds that have a text, plus `TEXT_TO_SOUND_WEIGHT` times the mean over the texts that have a
        sound.
    """
    masked = odds.masked_fill(~known, float("-inf"))
    right = (heard & known).to(odds.dtype)
    return _pick(masked, right) + TEXT_TO_SOUND_WEIGHT * _pick(masked.T, right.T)


def _pick(odds: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of rows that have something right, which share one among what is right."""
    count = right.sum(1)
    log_shares = functional.log_softmax(odds, 1).masked_fill(right == 0, 0.0)
    losses = -(log_shares * right).sum(1) / count.clamp_min(1)
    return losses.sum() / (count > 0).sum().clamp_min(1)


def judge(odds: torch.Tensor, heard: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Whether each text is heard in each sound, as a probability (SigLIP): the sum over texts, the mean over sounds.

    Args:
        odds: As in `contrast`.
        heard: As in `contrast`.
        known: As in `contrast`.
    """
    losses = functional.binary_cross_entropy_with_logits(odds, heard.to(odds.dtype), reduction="none")
    return (losses * known).sum(1).mean()


def keep_sounds(odds: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """How far the probabilities of old texts are from those before: relative entropy in nats, summed over texts.

    Args:
        odds: Log-odds of shape (sounds, old texts).
        before: Those of the checkpoint that is tuned.

    Returns:
        The mean over sounds; 0 where nothing has changed.
    """
    chances = before.sigmoid()
    now, then = (
        functional.binary_cross_entropy_with_logits(one, chances, reduction="none").sum(1).mean()
        for one in (odds, before)
    )
    return now - then


def keep_texts(embeddings: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """How far old texts have moved: the mean squared distance as a share of their squared length.

    Args:
        embeddings: Shape (old texts, dimension).
        before: Those of the checkpoint that is tuned.
    """
    return ((embeddings - before).square().sum(1) / before.square().sum(1).clamp_min(1e-12)).mean()

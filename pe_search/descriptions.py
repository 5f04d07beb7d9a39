"""Frozen records of what language models say of sounds."""

from __future__ import annotations

from dataclasses import dataclass

# Not for type checking alone: `serving` makes records of JSON by their annotations.
from pathlib import Path
from typing import Any

DESCRIBE = "Describe the sound in one sentence. Name only what can be heard."
"""The question of a caption."""


@dataclass(frozen=True, slots=True)
class Caption:
    """What a language model says of a part of a clip in a sentence, as a store keeps it.

    Attributes:
        start_s: From when.
        end_s: To when.
        text: The answer to `DESCRIBE`.
    """

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that was asked before in a conversation with a language model, and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Description:
    """What a language model answers to a question about a part of a clip, and how well that fits the sound.

    The answer of `DESCRIBE` is called a caption.

    Attributes:
        path: The clip.
        start_s: From when.
        end_s: To when.
        question: What was asked.
        answer: What the language model answered; one that is not whole ends with ` …`.
        score: Inner product of the embeddings of this very part and of the answer, by the store's checkpoint.
        probability: `sigmoid(score * logit_scale + logit_bias)` with the checkpoint's own two parameters.
        model: The name of the language model.
        revision: Its revision; empty if a server doesn't tell.
        is_whole: Whether the answer ended by itself, and not at the limit of tokens. The store keeps no other.
    """

    path: Path
    start_s: float
    end_s: float
    question: str
    answer: str
    score: float
    probability: float
    model: str
    revision: str
    is_whole: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Its fields as JSON Lines and CSV have them. Times are rounded."""
        return {
            "path": str(self.path),
            "start_s": round(self.start_s, 6),
            "end_s": round(self.end_s, 6),
            "question": self.question,
            "answer": self.answer,
            "score": self.score,
            "probability": self.probability,
            "model": self.model,
        }

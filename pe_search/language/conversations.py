"""What a language model is asked, and the one way to ask any of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.descriptions import Turn
from pe_search.errors import UnansweredError

# Every model whose processor was read has this rate.
SAMPLE_RATE_HZ = 16_000
# Whisper's encoder, which most have, takes 30 s; Qwen2-Audio cuts what is longer without a word.
LONGEST_S = 30.0
# Qwen2-Audio fails below 0.07 s: its encoder has no frame left.
SHORTEST_S = 0.1
LONGEST_ANSWER_TOKENS = 256
LONGEST_QUESTION = 5_000
CUT_BEFORE_IT_BEGINS = f"the language model has said nothing by the limit of {LONGEST_ANSWER_TOKENS} tokens"
_LINE_END = re.compile("\r\n|\r|\x85|\u2028|\u2029")
_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Conversation:
    """One sound, and what is asked about it.

    Attributes:
        samples: float32 of shape (samples,), mono at `SAMPLE_RATE_HZ`, from `SHORTEST_S` to `LONGEST_S` long.
        question: What is asked now.
        turns: What was asked and answered before.
    """

    samples: NDArray[np.float32]
    question: str
    turns: tuple[Turn, ...] = ()


class CutAnswer(str):
    """An answer that ended at the limit of its length, and not by itself."""

    __slots__ = ()


class LanguageModel(Protocol):
    """An audio-language model.

    Attributes:
        name: What answers are kept by: a hub id, an absolute path, or a URL with the server's name of the model.
        revision: Of its weights; empty if that is not known.
        batch: How many conversations are best asked at once.
        host: Another machine that the sound is sent to; None if it stays on this one.
    """

    name: str
    revision: str
    batch: int
    host: str | None

    def answer(self, conversations: Sequence[Conversation]) -> Iterator[str | UnansweredError]:
        """Yield the answer to each conversation in turn, or why this one gets none.

        An answer that is not whole is a `CutAnswer`.

        Raises:
            LanguageModelError: If none will be answered any more.
        """


def plain(answer: str) -> str:
    """An answer as text: no terminal obeys it, and it can be written.

    Control characters but tabs and ends of lines, and halves of pairs of UTF-16, which JSON may have, become U+FFFD.
    """
    return _NO_TEXT.sub("\ufffd", _LINE_END.sub("\n", answer))


def as_heard(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """A sound at 48 kHz as a language model hears it: at its own rate, with silence after one that is too short."""
    from pe_search.audio.samples import resampled

    heard = resampled(samples, SAMPLE_RATE_HZ)
    missing = round(SHORTEST_S * SAMPLE_RATE_HZ) - len(heard)
    return np.pad(heard, (0, missing)) if missing > 0 else heard


def checked(conversations: Sequence[Conversation]) -> Sequence[Conversation]:
    """Some conversations as they are, whose lengths are seen to.

    Raises:
        ValueError: If a sound is empty, too short or too long: models answer that too, or cut it in silence.
    """
    for conversation in conversations:
        samples = conversation.samples
        length_s = len(samples) / SAMPLE_RATE_HZ
        # A resampled window may be a sample longer.
        if samples.ndim != 1 or not SHORTEST_S <= length_s <= LONGEST_S + 2 / SAMPLE_RATE_HZ:
            raise ValueError(f"a sound of shape {samples.shape} must be {SHORTEST_S} to {LONGEST_S:g} s of mono")
    return conversations

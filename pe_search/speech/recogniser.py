"""What every recogniser of speech does, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Grain = Literal["words", "phrases", "window"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word or a phrase, with when it is spoken.

    Attributes:
        start_s: From when, in seconds of its window; of its clip once windows are joined.
        end_s: To when.
        text: With a space before it if there is one between it and what is before it.
    """

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What a recogniser makes of a window.

    Attributes:
        spoken: In order of time.
        grain: What each of `spoken` is: `words`, `phrases` of several words, or all that is said in the `window`.
    """

    spoken: tuple[Spoken, ...]
    grain: Grain

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(one.text for one in self.spoken).strip()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a recogniser is asked for beside the words.

    Attributes:
        language: The language that is spoken, by a name that the model knows; for a model that translates only, the
            one that it writes. None to leave it to the model.
        translates: Whether to translate into English.
        device: `auto`, `cpu`, `cuda` or `mps`.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        may_fetch: Whether the Hugging Face hub may be asked for the model.
    """

    language: str | None = None
    translates: bool = False
    device: str = "auto"
    dtype: str = "auto"
    may_fetch: bool = False


def engine_name(name: str, revision: str, asked: Asked) -> str:
    """What a store remembers transcripts by: those of another revision, language or job are others."""
    told = (asked.language, "translate" if asked.translates else None)
    return " ".join([part for part in (name, revision[:12], *told) if part])


class Recogniser(Protocol):
    """Recognises speech in windows.

    Attributes:
        name: What a store remembers its transcripts by: the model with its revision, and what it was asked for.
        sample_rate_hz: Of the windows that it takes.
        window_s: Length of the longest window that it takes, in seconds.
    """

    name: str
    sample_rate_hz: int
    window_s: float

    def recognise(self, windows: Iterable[NDArray[np.float32]]) -> Iterator[Heard]:
        """Yield what is said in each window, in order.

        Args:
            windows: float32 arrays of shape (samples,), mono at `sample_rate_hz`. They are asked for as they are
                needed, a few at a time.

        Raises:
            PeSearchError: If the model can't be run.
        """

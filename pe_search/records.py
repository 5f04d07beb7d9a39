"""The frozen records that the floors of the package hand each other. Times are seconds from the start of the clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Clip", "Hit", "IndexSummary", "Match", "Problem", "Span", "SpanRules", "Trace", "Window"]


@dataclass(frozen=True, slots=True)
class Clip:
    """An audio file as it was found on disk."""

    path: Path
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of a clip that is embedded once.

    Attributes:
        samples: float32 of shape (samples,), mono at 48 kHz.
    """

    start_s: float
    end_s: float
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Problem:
    """A clip that was left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Match:
    """A window that the store holds, with its score: the inner product of its embedding and the query's."""

    path: Path
    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One ranked answer to a query.

    Attributes:
        query: The text that was asked.
        rank: 1 for the best.
        score: Inner product of the audio and text embeddings.
        probability: `sigmoid(score * logit_scale + logit_bias)` with the checkpoint's own two parameters.
    """

    query: str
    rank: int
    path: Path
    start_s: float
    end_s: float
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class Span:
    """Where in a clip a query is heard.

    Attributes:
        probability: The highest of its frames.
    """

    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class SpanRules:
    """How spans are made of the probabilities of frames.

    Attributes:
        threshold: A frame is heard from this probability on.
        smooth_s: Length of the moving median that the probabilities go through first; a frame or less changes nothing.
        min_length_s: Spans that are shorter are dropped, after joining.
        join_s: Gaps up to this length are closed.
    """

    threshold: float
    smooth_s: float
    min_length_s: float
    join_s: float


@dataclass(frozen=True, slots=True)
class Trace:
    """What the frame-level head makes of one query over one stretch of a clip.

    Attributes:
        query: The text that was asked.
        probabilities: float32 of shape (frames,), one for each frame from `start_s` on, smoothed.
        spans: In order of time.
    """

    query: str
    path: Path
    start_s: float
    end_s: float
    probabilities: NDArray[np.float32]
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What an index run did.

    Attributes:
        clips: Clips embedded by this run.
        windows: Windows embedded by this run.
        audio_s: Seconds of audio embedded by this run.
        unchanged: Clips that the store already held as they are on disk.
        removed: Clips that left the store, their files being gone.
        problems: Clips that were left out.
        is_interrupted: Whether the run was stopped before its end.
    """

    clips: int
    windows: int
    audio_s: float
    unchanged: int
    removed: int
    problems: tuple[Problem, ...]
    is_interrupted: bool

"""Cut the speech of a clip into windows for a recogniser, as the clip streams by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Words at the edge of a window are cut off; this much of each window is in the next one too.
OVERLAP_S = 2.0


@dataclass(frozen=True, slots=True)
class SpeechWindow:
    """What is given to a recogniser at once.

    Attributes:
        start_s: From when, in seconds of the clip.
        end_s: To when.
        is_first: Whether it begins a stretch of speech, so that it has nothing in common with the window before it.
        samples: float32 of shape (samples,).
    """

    start_s: float
    end_s: float
    is_first: bool
    samples: NDArray[np.float32]


def cut_speech(
    blocks: Iterable[NDArray[np.float32]],
    stretches: Sequence[tuple[float, float]],
    rate_hz: int,
    window_s: float,
    overlap_s: float = OVERLAP_S,
) -> Iterator[SpeechWindow]:
    """Cut stretches of audio into overlapping windows, holding little more than one window in memory.

    The last window of a stretch is moved back to end with the stretch. A stretch ends with the audio at the latest.

    Args:
        blocks: float32 blocks of shape (samples,), mono at `rate_hz`, in order.
        stretches: Start and end of each, in seconds, in order; they don't overlap.
        rate_hz: Of the audio.
        window_s: Length of a window.
        overlap_s: What a window has in common with the one before it, at least.
    """
    length = round(window_s * rate_hz)
    hop = max(1, length - round(overlap_s * rate_hz))
    waiting = [(round(start_s * rate_hz), round(end_s * rate_hz)) for start_s, end_s in stretches][::-1]
    held = np.empty(0, np.float32)
    held_from = 0
    next_start = waiting[-1][0] if waiting else 0

    def window(first: int, stop: int) -> SpeechWindow:
        start = max(first, stop - length)
        samples = held[start - held_from : stop - held_from].copy()
        return SpeechWindow(start / rate_hz, stop / rate_hz, next_start == first, samples)

    for block in blocks:
        if not waiting:
            # What is left is read all the same: it tells whether the file is whole.
            continue
        held = np.concatenate([held, block])
        end = held_from + len(held)
        while waiting and end >= min(next_start + length, waiting[-1][1]):
            first, last = waiting[-1]
            stop = min(next_start + length, last)
            yield window(first, stop)
            next_start += hop
            if stop == last:
                waiting.pop()
                next_start = waiting[-1][0] if waiting else 0
        needed_from = max(waiting[-1][0], min(next_start, end - length)) if waiting else end
        surplus = min(len(held), max(0, needed_from - held_from))
        held = held[surplus:]
        held_from += surplus
    end = held_from + len(held)
    if waiting:
        first = waiting[-1][0]
        covered = first if next_start == first else next_start - hop + length
        if end > covered:
            yield window(first, end)

"""Cut a stream of audio into windows of one length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.level import levelled
from pe_search.records import PLAIN_HEARING, Hearing, Window


def cut_windows(
    blocks: Iterable[NDArray[np.float32]], window_s: float, hop_s: float, hearing: Hearing = PLAIN_HEARING
) -> Iterator[Window]:
    """Cut audio into windows as it streams by, holding little more than one window in memory.

    Windows start at 0, `hop_s`, 2 × `hop_s`, …. A clip shorter than `window_s` is one window of its own length. The
    last window of a longer clip is moved back to end with the clip, so that all of a clip's windows have the same
    length and no sample goes unheard.

    Args:
        blocks: float32 blocks of shape (samples,), 48 kHz mono, in order.
        window_s: Length of a window as the model hears it, at least one sample.
        hop_s: Step from one window to the next, at least one sample and at most `window_s`.
        hearing: How the clip is read: the times of the windows are those of the file, and each is brought to a level
            of its own.
    """
    length = max(1, round(window_s * SAMPLE_RATE_HZ))
    hop = min(length, max(1, round(hop_s * SAMPLE_RATE_HZ)))
    # `held` is the audio from sample `held_from` on. It always reaches back one window, because the last window may.
    held = np.empty(0, np.float32)
    held_from = 0
    next_start = 0
    covered = 0
    for block in blocks:
        held = np.concatenate([held, block])
        end = held_from + len(held)
        while next_start + length <= end:
            yield _window(held, held_from, next_start, length, hearing)
            covered = next_start + length
            next_start += hop
        surplus = min(len(held) - length, next_start - held_from)
        if surplus > 0:
            held = held[surplus:]
            held_from += surplus
    end = held_from + len(held)
    if end > covered:
        start = max(0, end - length)
        yield _window(held, held_from, start, end - start, hearing)


def fill_last_frame(blocks: Iterable[NDArray[np.float32]], samples_per_frame: int) -> Iterator[NDArray[np.float32]]:
    """Pass audio on, and reflect its end so that it is a whole number of frames, as `PeAudioFeatureExtractor` does.

    Windows cut from it that start with a frame then also end with one, the last of them too.

    Args:
        blocks: float32 blocks of shape (samples,), in order.
        samples_per_frame: Length of a frame.
    """
    samples = 0
    tail = np.empty(0, np.float32)
    for block in blocks:
        samples += len(block)
        # A reflection of less than a frame needs no more than a frame.
        tail = np.concatenate([tail, block])[-samples_per_frame:]
        yield block
    missing = -samples % samples_per_frame
    if missing:
        yield np.pad(tail, (0, missing), "reflect")[len(tail) :]


def _window(held: NDArray[np.float32], held_from: int, start: int, length: int, hearing: Hearing) -> Window:
    samples = held[start - held_from : start - held_from + length].copy()
    start_s, end_s = (sample / SAMPLE_RATE_HZ * hearing.speed for sample in (start, start + length))
    return Window(start_s, end_s, levelled(samples, hearing.level))

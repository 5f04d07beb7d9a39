"""Speech that a made-up recogniser understands: each second is a tone, whose frequency is the word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.model import Model, Wanted
from pe_search.speech.recogniser import Asked, Heard, Spoken
from tests.made_up import FakeEmbedder, manifest, write_audio

RATE_HZ = 16_000
MANIFEST = manifest(logit_scale=1.0, logit_bias=-4.0)
_LOWEST_HZ, _STEP_HZ = 200, 10


def say(path: Path, numbers: Sequence[int | None], rate_hz: int = RATE_HZ) -> Path:
    """Write a clip in which a number is said in each second, or nothing."""
    time_s = np.arange(rate_hz) / rate_hz
    seconds = [
        np.zeros(rate_hz) if one is None else 0.5 * np.sin(2 * np.pi * (_LOWEST_HZ + _STEP_HZ * one) * time_s)
        for one in numbers
    ]
    return write_audio(path, np.concatenate(seconds).astype(np.float32), rate_hz, subtype="PCM_16")


class TonesRecogniser:
    """Hears the number in each second of a window, and counts the windows that it was given.

    Args:
        fails_after: With so many windows it stops, as Ctrl-C would; None for never.
    """

    name = "tones 1"
    sample_rate_hz = RATE_HZ
    window_s = 10.0

    def __init__(self, fails_after: int | None = None) -> None:
        self.windows = 0
        self._fails_after = fails_after

    def recognise(self, windows: Iterable[NDArray[np.float32]]) -> Iterator[Heard]:
        for window in windows:
            if self.windows == self._fails_after:
                self.fail()
            self.windows += 1
            spoken = []
            for second in range(len(window) // RATE_HZ):
                samples = window[second * RATE_HZ : (second + 1) * RATE_HZ]
                if np.abs(samples).max() > 0.1:
                    crossings = np.count_nonzero(np.diff(np.signbit(samples[200:-200])))
                    hertz = crossings / 2 / (1 - 400 / RATE_HZ)
                    number = round((hertz - _LOWEST_HZ) / _STEP_HZ)
                    spoken.append(Spoken(second, second + 1, f" n{number}"))
            yield Heard(tuple(spoken), "words")

    def fail(self) -> None:
        raise KeyboardInterrupt


class LoudIsSpeech(FakeEmbedder):
    """Takes what is loud for speech."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[0, 100, 0]] * len(texts), np.float32)


class FakeModel(Model):
    """A model that takes what is loud for speech, and counts what it embeds."""

    def __init__(self) -> None:
        super().__init__(lambda: MANIFEST, Wanted(), None, lambda: None)
        self.embedder = LoudIsSpeech()

    def audio_embedder(self) -> LoudIsSpeech:
        return self.embedder

    def text_embedder(self) -> LoudIsSpeech:
        return self.embedder


def find_tones(_name: str | None, _asked: Asked) -> TonesRecogniser:
    """In place of `find_recogniser`."""
    return TonesRecogniser()

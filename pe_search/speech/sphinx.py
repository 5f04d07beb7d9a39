"""pocketsphinx: a recogniser of English with its models in its wheel. It is weak, and needs no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import MissingExtraError, PeSearchError
from pe_search.speech.recogniser import Asked, Heard, Spoken, engine_name

NAME = "pocketsphinx"
_SAMPLE_RATE_HZ = 16_000
# Its cepstral mean is that of the utterance, so an utterance is one that has enough of it.
_WINDOW_S = 20.0
# How words are pronounced otherwise: `the(2)`.
_PRONUNCIATION = re.compile(r"\(\d+\)$")
_FILLERS = ("<", "[", "+")


class SphinxRecogniser:
    """pocketsphinx's US English at work.

    Args:
        asked: Any other language than English, and to translate, is refused.

    Raises:
        MissingExtraError: If it is not installed.
        PeSearchError: If it can't do what is asked.
    """

    sample_rate_hz = _SAMPLE_RATE_HZ
    window_s = _WINDOW_S

    def __init__(self, asked: Asked) -> None:
        if asked.translates:
            raise PeSearchError(f"{NAME} can't translate. Omit --translate, or use another --speech-model.")
        if asked.language not in (None, "en", "english", "English"):
            raise PeSearchError(f"{NAME} knows English alone. Omit --language, or use another --speech-model.")
        try:
            import pocketsphinx
        except ImportError as error:
            raise MissingExtraError("Transcribing", "pocketsphinx", "speech") from error
        from importlib.metadata import version

        self.name = engine_name(NAME, version("pocketsphinx"), Asked())
        self._decoder = pocketsphinx.Decoder(samprate=_SAMPLE_RATE_HZ, loglevel="FATAL")
        self._frames_per_s = self._decoder.config["frate"]

    def recognise(self, windows: Iterable[NDArray[np.float32]]) -> Iterator[Heard]:
        """As `Recogniser.recognise`; its grain is words."""
        for window in windows:
            if not window.any():
                # It would hear a word in it.
                yield Heard((), "words")
                continue
            samples = np.clip(np.round(window * 32_768), -32_768, 32_767).astype("<i2")
            # What it learned of the microphone in one window must not change the next.
            self._decoder.reinit_feat()
            self._decoder.start_utt()
            self._decoder.process_raw(samples.tobytes(), no_search=False, full_utt=True)
            self._decoder.end_utt()
            yield Heard(tuple(self._words()), "words")

    def _words(self) -> Iterator[Spoken]:
        for one in self._decoder.seg() or ():
            if not one.word.startswith(_FILLERS):
                word = _PRONUNCIATION.sub("", one.word)
                # The end frame is the last one that it has.
                yield Spoken(one.start_frame / self._frames_per_s, (one.end_frame + 1) / self._frames_per_s, f" {word}")

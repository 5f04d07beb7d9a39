"""Recognisers of the package onnx-asr: Parakeet, Canary, Whisper and others, on the ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import CheckpointError, MissingExtraError, PeSearchError, first_line
from pe_search.pe_audio.checkpoint import fingerprint
from pe_search.speech.recogniser import Asked, Heard, Spoken, engine_name
from pe_search.speech.spelling import Token, spell

# What is recommended: 25 European languages, with signs and times.
RECOMMENDED = "nemo-parakeet-tdt-0.6b-v3"
_SAMPLE_RATE_HZ = 16_000
_WINDOW_S = 20.0
_HUB = "onnx-community/"
# Those of its models that can be told a language; the first can translate.
_TRANSLATOR = "NemoConformerAED"
_WITH_LANGUAGE = (_TRANSLATOR, "WhisperHf", "WhisperOrt")
_ENGLISH = "en"
# How long a token is said to go on at most, which such a model does not tell.
_LONGEST_TOKEN_S = 0.24


def onnx_names() -> tuple[str, ...]:
    """The names of models that it knows.

    Raises:
        MissingExtraError: If it is not installed.
    """
    from onnx_asr.loader import AsrNames

    return get_args(AsrNames)


def is_onnx(name: str) -> bool:
    """Whether a name or a directory is for it."""
    if Path(name).is_dir():
        return any(Path(name).glob("**/*.onnx"))
    if name.startswith(_HUB):
        return True
    try:
        return name in onnx_names()
    except ImportError:
        # Its names begin so, and nothing else's do.
        return name.startswith(("nemo-", "gigaam-", "whisper-")) and "/" not in name


class OnnxRecogniser:
    """A model of onnx-asr at work, on the CPU.

    Args:
        name: One of `onnx_names()`, `onnx-community/…whisper…`, or a directory that holds such a model.
        asked: Which language, and to translate or not; `may_fetch` is whether the model may be downloaded.

    Raises:
        MissingExtraError: If onnx-asr is not installed.
        CheckpointError: If the model can't be had or loaded.
        PeSearchError: If it can't do what is asked.
    """

    sample_rate_hz = _SAMPLE_RATE_HZ
    window_s = _WINDOW_S

    def __init__(self, name: str, asked: Asked) -> None:
        try:
            import onnx_asr
        except ImportError as error:
            raise MissingExtraError("Transcribing with this model", "onnx-asr", "speech") from error
        directory = Path(name).absolute() if Path(name).is_dir() else None
        self._name = str(directory or name)
        manager = onnx_asr.loader.Manager(providers=["CPUExecutionProvider"])
        try:
            made = self._make(manager, name, directory, may_fetch=asked.may_fetch)
        except PeSearchError:
            raise
        # It has a dozen kinds of exception for files that aren't what they should be, and so has the runtime.
        except Exception as error:
            raise CheckpointError(f"{self._name} can't be loaded: {first_line(error)}") from error
        kind = type(made.asr).__name__
        self._model = made.with_timestamps()
        self._window_step_s: float = getattr(made.asr, "window_step", 0.01) * getattr(
            made.asr, "_subsampling_factor", 1
        )
        self._options = _options_of(self._name, kind, asked)
        self.name = engine_name(self._name, "" if directory is None else _revision(directory), asked)

    def _make(self, manager: Any, name: str, directory: Path | None, *, may_fetch: bool) -> Any:
        if directory is not None:
            return manager.create_asr(_type_of(directory), directory, offline=True)
        try:
            return manager.create_asr(name, offline=True)
        except (FileNotFoundError, OSError) as error:
            if not may_fetch:
                raise CheckpointError(
                    f"{name} is not on this machine. Download it with `pe-search transcribe PATH --speech-model "
                    f"{name}`, if you trust its author."
                ) from error
        try:
            return manager.create_asr(name, offline=False)
        except OSError as error:
            raise CheckpointError(
                f"{name} is not on this machine and can't be downloaded: {first_line(error)} Use "
                "`--speech-model pocketsphinx`, which needs no network."
            ) from error

    def recognise(self, windows: Iterable[NDArray[np.float32]]) -> Iterator[Heard]:
        """As `Recogniser.recognise`."""
        for window in windows:
            try:
                found = self._model.recognize(window, sample_rate=_SAMPLE_RATE_HZ, **self._options)
            except Exception as error:
                raise CheckpointError(f"{self._name} can't be run: {first_line(error)}") from error
            yield self._heard(found, len(window) / _SAMPLE_RATE_HZ)

    def _heard(self, found: Any, length_s: float) -> Heard:
        if found.timestamps is None or found.tokens is None:
            text = found.text.strip()
            return Heard((Spoken(0.0, length_s, f" {text}"),) if text else (), "window")
        # A token is emitted at a time, and goes on until the next at the latest.
        ends = [*found.timestamps[1:], length_s]
        tokens = (
            Token(token, token, start_s, min(end_s, start_s + _LONGEST_TOKEN_S))
            for token, start_s, end_s in zip(found.tokens, found.timestamps, ends, strict=True)
        )
        return Heard(tuple(spell(tokens, "".join)), "words")


def _options_of(name: str, kind: str, asked: Asked) -> dict[str, str]:
    if asked.translates and kind != _TRANSLATOR:
        raise PeSearchError(f"{name} can't translate here. Omit --translate.")
    if asked.language is not None and kind not in _WITH_LANGUAGE:
        raise PeSearchError(f"{name} writes what it hears, in the languages that it was made for. Omit --language.")
    options = {} if asked.language is None else {"language": asked.language}
    return {**options, "target_language": _ENGLISH} if asked.translates else options


def _type_of(directory: Path) -> str | None:
    """What its `config.json` says that a directory holds, or what its files are named like."""
    import json

    path = directory / "config.json"
    try:
        model_type = json.loads(path.read_text(encoding="utf-8")).get("model_type") if path.is_file() else None
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from error
    if model_type is None:
        raise CheckpointError(
            f"{directory} has no config.json with a model_type, such as nemo-conformer-ctc, so it is not a model of "
            "onnx-asr."
        )
    return str(model_type)


def _revision(directory: Path) -> str:
    return fingerprint(directory, sorted(directory.glob("**/*.onnx")))[:12]

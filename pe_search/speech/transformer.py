"""Recognisers of transformers at work: Whisper, other encoders with decoders, CTC, and transducers."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutomaticSpeechRecognitionPipeline
from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from pe_search.errors import CheckpointError, PeSearchError, first_line, quoted
from pe_search.pe_audio.embedder import DTYPES, pick_device, pick_dtype
from pe_search.pe_audio.towers import quiet
from pe_search.speech.checkpoint import SpeechCheckpoint, is_speech_to_text_2
from pe_search.speech.loading import LoadedRecogniser, load_recogniser
from pe_search.speech.recogniser import Asked, Heard, Spoken, engine_name
from pe_search.speech.spelling import Token, spell
from pe_search.speech.vocabulary import Vocabulary

_WINDOW_S = 20.0
# Windows that go through the model at once: a decoder fetches its weights for each token of all of them together.
_CPU_BATCH = 4
_GPU_BATCH = 16
# The convolutions of wav2vec 2.0 want more than nothing.
_SHORTEST_S = 0.5
# More than anybody says: what goes on beyond is a model that repeats itself.
_TOKENS_PER_S = 15
# What transformers 4 wrote into every configuration, meaning nothing by it.
_UNMEANT_LENGTH = 20
_SEAMLESS = ("seamless_m4t", "seamless_m4t_v2")
_SEAMLESS_ENGLISH = "eng"

_Run = Callable[[list[NDArray[np.float32]]], list[Heard]]


class TransformersRecogniser:
    """A checkpoint of transformers at work.

    Args:
        checkpoint: From `find_speech_checkpoint`.
        asked: Which language, to translate or not, and where and in what is calculated.

    Raises:
        CheckpointError: If the checkpoint can't be loaded.
        PeSearchError: If the model can't do what is asked, or the device is not there.
    """

    def __init__(self, checkpoint: SpeechCheckpoint, asked: Asked) -> None:
        self._checkpoint = checkpoint
        self._device = pick_device(asked.device)
        self._dtype = DTYPES[pick_dtype(self._device, asked.dtype)]
        self._loaded = load_recogniser(checkpoint, self._dtype)
        self._model = self._loaded.model.to(self._device)
        self.sample_rate_hz: int = self._loaded.extractor.sampling_rate
        self.window_s = float(getattr(self._loaded.extractor, "chunk_length", None) or _WINDOW_S)
        self._options = _options_of(self._loaded, checkpoint, asked)
        self._run = self._way()
        self._batch = _CPU_BATCH if self._device.type == "cpu" else _GPU_BATCH
        if self._loaded.kind == "transducer":
            # Upstream's rows of a batch go on beyond their end until the last one is at its own.
            self._batch = 1
        self.name = engine_name(checkpoint.name, checkpoint.revision, asked)

    def recognise(self, windows: Iterable[NDArray[np.float32]]) -> Iterator[Heard]:
        """As `Recogniser.recognise`. Each window comes out as if it had been recognised alone."""
        shortest = round(_SHORTEST_S * self.sample_rate_hz)
        long_enough = (np.pad(window, (0, max(0, shortest - len(window)))) for window in windows)
        # Only those of one length go together, since some models hear the zeros after a shorter one.
        for _, same in itertools.groupby(long_enough, len):
            while batch := list(itertools.islice(same, self._batch)):
                yield from self._recognise_batch(batch)

    @torch.inference_mode()
    def _recognise_batch(self, batch: list[NDArray[np.float32]]) -> list[Heard]:
        """Recognise a batch, in halves if it is more than the GPU's memory holds; so are all that come after."""
        try:
            with quiet(), warnings.catch_warnings():
                # Of settings of the checkpoint's own; no user can do anything about it.
                warnings.simplefilter("ignore")
                return self._run(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise PeSearchError(
                    f"One window does not fit into the GPU's free memory beside {self._checkpoint.name}. Stop other "
                    "programs there, or use --device cpu."
                ) from error
        except Exception as error:
            raise CheckpointError(f"{self._checkpoint.name} can't be run: {first_line(error)}") from error
        torch.cuda.empty_cache()
        half = self._batch = len(batch) // 2
        return self._recognise_batch(batch[:half]) + self._recognise_batch(batch[half:])

    def _way(self) -> _Run:
        if self._loaded.model.config.model_type == "whisper":
            return self._whisper_way()
        return {"seq2seq": self._write, "ctc": self._align, "transducer": self._transduce}[self._loaded.kind]

    def _whisper_way(self) -> _Run:
        """Whisper through transformers' own pipeline, with times of words if its file says which heads tell them."""
        loaded, generation = self._loaded, self._model.generation_config
        if loaded.tokenizer.pad_token_id is None:
            loaded.tokenizer.pad_token = loaded.tokenizer.eos_token
        pipeline = AutomaticSpeechRecognitionPipeline(
            self._model, tokenizer=loaded.tokenizer, feature_extractor=loaded.extractor, device=self._device
        )
        has_times = getattr(generation, "no_timestamps_token_id", None) is not None
        times = "word" if has_times and getattr(generation, "alignment_heads", None) else has_times

        def run(batch: list[NDArray[np.float32]]) -> list[Heard]:
            found = pipeline(batch, batch_size=len(batch), return_timestamps=times, generate_kwargs=dict(self._options))
            return [self._heard(one, times, window) for one, window in zip(found, batch, strict=True)]

        return run

    def _heard(self, found: dict[str, Any], times: str | bool, window: NDArray[np.float32]) -> Heard:
        if not times:
            return self._whole(found["text"], window)
        spoken, before_s = [], 0.0
        for chunk in found["chunks"]:
            start_s, end_s = chunk["timestamp"]
            start_s = before_s if start_s is None else start_s
            # The last has no end if the window ends within it.
            end_s = len(window) / self.sample_rate_hz if end_s is None else end_s
            spoken.append(Spoken(start_s, max(start_s, end_s), chunk["text"]))
            before_s = spoken[-1].end_s
        return Heard(tuple(spoken), "words" if times == "word" else "phrases")

    def _write(self, batch: list[NDArray[np.float32]]) -> list[Heard]:
        """Encoders with decoders that write a text without times."""
        features = self._features(batch)
        tokens = self._model.generate(**features, **self._options)
        sequences = tokens.sequences if hasattr(tokens, "sequences") else tokens
        texts = self._loaded.tokenizer.batch_decode(sequences, skip_special_tokens=True)
        return [self._whole(text, window) for text, window in zip(texts, batch, strict=True)]

    def _whole(self, text: str, window: NDArray[np.float32]) -> Heard:
        spoken = Spoken(0.0, len(window) / self.sample_rate_hz, f" {text.strip()}")
        return Heard((spoken,) if text.strip() else (), "window")

    def _align(self, batch: list[NDArray[np.float32]]) -> list[Heard]:
        """CTC: a token, or none, for each frame."""
        numbers = self._model(**self._features(batch)).logits.argmax(-1).cpu().numpy()
        ratio = getattr(self._model.config, "inputs_to_logits_ratio", None)
        if ratio is None or self._model.main_input_name != "input_values":
            ratio = len(batch[0]) / numbers.shape[1]
        frame_s = ratio / self.sample_rate_hz
        found = []
        for row in numbers:
            runs = [(int(number), len(list(run))) for number, run in itertools.groupby(row)]
            ends = itertools.accumulate(length for _, length in runs)
            found.append(
                [
                    (number, (end - length) * frame_s, end * frame_s)
                    for (number, length), end in zip(runs, ends, strict=True)
                ]
            )
        return [self._spelled(tokens) for tokens in found]

    def _transduce(self, batch: list[NDArray[np.float32]]) -> list[Heard]:
        """Transducers: tokens, each with the frame that it is emitted at and how many it goes on by."""
        output = self._model.generate(**self._features(batch), **self._options)
        subsampling = self._model.config.encoder_config.subsampling_factor
        frame_s = self._loaded.extractor.hop_length * subsampling / self.sample_rate_hz
        found = []
        for row, durations in zip(output.sequences.tolist(), output.durations.tolist(), strict=True):
            ends = itertools.accumulate(durations)
            found.append(
                [
                    (number, (end - length) * frame_s, max(end, end - length + 1) * frame_s)
                    for number, length, end in zip(row, durations, ends, strict=True)
                ]
            )
        return [self._spelled(tokens) for tokens in found]

    def _spelled(self, tokens: Sequence[tuple[int, float, float]]) -> Heard:
        """Tokens by their numbers, with their times, as words."""
        tokenizer, config = self._loaded.tokenizer, self._model.config
        silent = {getattr(config, "blank_token_id", None), config.pad_token_id, *tokenizer.all_special_ids}
        # It is special to wav2vec 2.0's tokenizer, and what tells its words apart.
        silent.discard(getattr(tokenizer, "word_delimiter_token_id", None))
        kept = [token for token in tokens if token[0] not in silent]
        pieces = tokenizer.convert_ids_to_tokens([number for number, _, _ in kept])

        def text_of(numbers: list[int]) -> str:
            return str(tokenizer.decode(numbers, skip_special_tokens=True, group_tokens=False))

        timed = (Token(piece, *token) for piece, token in zip(pieces, kept, strict=True))
        return Heard(tuple(spell(timed, text_of)), "words")

    def _features(self, batch: list[NDArray[np.float32]]) -> dict[str, torch.Tensor]:
        """What the model takes, of windows of one length."""
        made = self._loaded.extractor(
            batch, sampling_rate=self.sample_rate_hz, return_tensors="pt", padding=True, return_attention_mask=True
        )
        name = next(key for key in ("input_features", "input_values") if key in made)
        features = {self._model.main_input_name: made[name].to(self._device, self._dtype)}
        if made.get("attention_mask") is not None:
            features["attention_mask"] = made["attention_mask"].to(self._device)
        return features


def _options_of(loaded: LoadedRecogniser, checkpoint: SpeechCheckpoint, asked: Asked) -> dict[str, Any]:
    """What `generate` is told.

    Raises:
        PeSearchError: If the model can't do what is asked.
    """
    model_type, name = loaded.model.config.model_type, checkpoint.name
    if loaded.kind != "seq2seq":
        _refuse(asked, name, "writes what it hears, in the language that it was made for")
        return {}
    if model_type == "whisper":
        return _whisper_options(loaded.model.generation_config, name, asked)
    limits = _limits(loaded.model)
    if model_type in _SEAMLESS:
        return {**limits, "tgt_lang": _seamless_language(loaded.model.generation_config, name, asked)}
    if isinstance(loaded.tokenizer, Vocabulary) and loaded.tokenizer.languages():
        if asked.translates:
            raise PeSearchError(f"{name} is made to translate already. Omit --translate.")
        if asked.language is None:
            return limits
        number = loaded.tokenizer.number_of(f"<lang:{asked.language}>")
        if number is None:
            raise _unknown_language(name, asked.language, loaded.tokenizer.languages())
        return {**limits, "forced_bos_token_id": number}
    is_translator = is_speech_to_text_2(checkpoint.config)
    _refuse(asked, name, "is made to translate already" if is_translator else "does only what it was made for")
    return limits


def _refuse(asked: Asked, name: str, reason: str) -> None:
    for option, is_given in (("--language", asked.language is not None), ("--translate", asked.translates)):
        if is_given:
            raise PeSearchError(f"{name} {reason}. Omit {option}.")


def _whisper_options(generation: Any, name: str, asked: Asked) -> dict[str, Any]:
    # One beam, as transformers' own Whisper has it by default; its pipeline would take five.
    options: dict[str, Any] = {"num_beams": getattr(generation, "num_beams", None) or 1}
    if asked.language is None and not asked.translates:
        return options
    if not getattr(generation, "is_multilingual", True):
        _refuse(asked, name, "knows English alone")
    if asked.language is not None:
        language = asked.language.lower()
        if language not in LANGUAGES and language not in TO_LANGUAGE_CODE:
            raise _unknown_language(name, asked.language, LANGUAGES)
        options["language"] = language
    options["task"] = "translate" if asked.translates else "transcribe"
    return options


def _seamless_language(generation: Any, name: str, asked: Asked) -> str:
    known = sorted(getattr(generation, "text_decoder_lang_to_code_id", None) or ())
    language = _SEAMLESS_ENGLISH if asked.translates else asked.language
    if language is None:
        raise PeSearchError(f"{name} must be told what to write: use --language, such as --language eng.")
    if known and language not in known:
        raise _unknown_language(name, language, known)
    return language


def _unknown_language(name: str, language: str, known: Iterable[str]) -> PeSearchError:
    return PeSearchError(f"{name} does not know the language {quoted(language)}. Use one of {', '.join(known)}.")


def _limits(model: Any) -> dict[str, Any]:
    """How much a model may write of a window, unless its own file says."""
    generation = model.generation_config
    if generation.max_length not in (None, _UNMEANT_LENGTH) or generation.max_new_tokens is not None:
        return {}
    generation.max_length = None
    most = math.ceil(_TOKENS_PER_S * _WINDOW_S)
    text = model.config.get_text_config(decoder=True)
    for key in ("max_target_positions", "max_position_embeddings"):
        if isinstance(positions := getattr(text, key, None), int):
            most = min(most, positions - 2)
            break
    return {"max_new_tokens": most}

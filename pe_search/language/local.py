"""A language model on this machine, by transformers.

Whatever transformers has a class and a chat template for: Qwen2-Audio, Audio Flamingo 3, Music Flamingo, GLM-ASR and
others. Prompts are made by the model's own template (`ProcessorMixin.apply_chat_template`), and answers are the most
likely tokens, one after the other (`generate` with `do_sample=False`).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForMultimodalLM,
    AutoModelForSeq2SeqLM,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import is_torchvision_available

from pe_search.descriptions import Turn
from pe_search.errors import LanguageModelError, UnansweredError, first_line
from pe_search.language.conversations import LONGEST_ANSWER_TOKENS, SAMPLE_RATE_HZ, Conversation, checked
from pe_search.pe_audio.checkpoint import Checkpoint
from pe_search.pe_audio.embedder import DTYPES, pick_device, pick_dtype
from pe_search.pe_audio.towers import quiet

# Audio Flamingo 3 and Music Flamingo are missing from the first in transformers 5.23.
_KINDS = (AutoModelForMultimodalLM, AutoModelForSeq2SeqLM)
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_CPU_BATCH, _GPU_BATCH = 4, 8


class LocalModel:
    """A language model on this machine.

    Args:
        checkpoint: From `find_language_model`.
        device: As `Embedder` has it.
        dtype: Likewise.

    Raises:
        LanguageModelError: If it can't be loaded, or takes no sound.
        PeSearchError: If the device is not there.
    """

    host: str | None = None

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", dtype: str = "auto") -> None:
        self.name = checkpoint.name
        self.revision = checkpoint.revision
        self._device = pick_device(device)
        self._dtype = DTYPES[pick_dtype(self._device, dtype)]
        self.batch = _CPU_BATCH if self._device.type == "cpu" else _GPU_BATCH
        with quiet():
            config = _load_config(checkpoint)
            self._processor = _load_processor(checkpoint, config)
            self._model = _load_model(checkpoint, config, self._dtype, self._device)

    def answer(self, conversations: Sequence[Conversation]) -> Iterator[str | UnansweredError]:
        """As `LanguageModel.answer`."""
        checked(conversations)
        for start in range(0, len(conversations), self.batch):
            for tokens in self.generate(conversations[start : start + self.batch]):
                text = self._processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()
                yield text or UnansweredError("the language model gives an empty answer")

    def generate(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        """The tokens of the answers to some conversations, which are asked together.

        Raises:
            LanguageModelError: If the model fails.
        """
        with quiet():
            try:
                inputs = self._inputs(conversations)
                with torch.inference_mode():
                    made = self._model.generate(**inputs, max_new_tokens=LONGEST_ANSWER_TOKENS, do_sample=False)
            except torch.OutOfMemoryError as error:
                if len(conversations) > 1:
                    return [tokens for one in conversations for tokens in self.generate([one])]
                raise LanguageModelError(f"{self.name} has too little memory on {self._device.type}.") from error
            # Whatever a model makes of what it doesn't expect: each has its own exceptions for that.
            except Exception as error:
                raise LanguageModelError(f"{self.name} fails: {first_line(error)}") from error
        prompt = inputs["input_ids"].shape[1]
        # Those that have an encoder for the prompt give the answer alone.
        start = 0 if self._model.config.is_encoder_decoder else prompt
        answers: list[list[int]] = made[:, start:].tolist()
        return answers

    def _inputs(self, conversations: Sequence[Conversation]) -> dict[str, Any]:
        """The prompts of some conversations as the model takes them, all of one length."""
        try:
            # What a question or an answer has of the template's own marks is text and no mark.
            asked = self._tokenized(conversations, sanitize_control_tokens=True)
        except (NotImplementedError, TypeError, ValueError):
            # Some tokenizers can't tell them apart, and the processors of Qwen's omni models count those in a question
            # as images that are missing. So there must be none.
            asked = self._tokenized([self._without_marks(one) for one in conversations])
        return {
            name: value.to(self._device, self._dtype) if value.is_floating_point() else value.to(self._device)
            for name, value in asked.items()
            if isinstance(value, torch.Tensor)
        }

    def _tokenized(self, conversations: Sequence[Conversation], **options: Any) -> Any:
        return self._processor.apply_chat_template(
            [_chat(one) for one in conversations],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            # For the text alone: Audio Flamingo's feature extractor would take it too, and pad to something else. On
            # the left, because the answer goes on at the right.
            processor_kwargs={"text_kwargs": {"padding": True, "padding_side": "left"}},
            **options,
        )

    def _without_marks(self, conversation: Conversation) -> Conversation:
        """A conversation in which nothing is a mark of the template, such as the end of a turn."""
        added = self._processor.tokenizer.added_tokens_decoder.values()
        marks = re.compile("|".join(re.escape(str(token)) for token in added) or "(?!)")

        def cleaned(text: str) -> str:
            # What is left may make a mark again.
            while (shorter := marks.sub("", text)) != text:
                text = shorter
            return text

        turns = tuple(Turn(cleaned(turn.question), cleaned(turn.answer)) for turn in conversation.turns)
        return Conversation(conversation.samples, cleaned(conversation.question), turns)


def _chat(conversation: Conversation) -> list[dict[str, Any]]:
    questions = [*(turn.question for turn in conversation.turns), conversation.question]
    messages = [
        {"role": "user", "content": [{"type": "audio", "audio": conversation.samples}, _text(questions[0])]},
    ]
    for turn, question in zip(conversation.turns, questions[1:], strict=True):
        messages.append({"role": "assistant", "content": [_text(turn.answer)]})
        messages.append({"role": "user", "content": [_text(question)]})
    return messages


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _load_config(checkpoint: Checkpoint) -> Any:
    try:
        return AutoConfig.from_pretrained(checkpoint.directory, local_files_only=True, trust_remote_code=False)
    # Whatever upstream makes of files that aren't what they should be.
    except Exception as error:
        raise LanguageModelError(f"{checkpoint.name} can't be loaded: {first_line(error)}") from error


def _load_processor(checkpoint: Checkpoint, config: Any) -> Any:
    if not any((checkpoint.directory / file).is_file() for file in _PROCESSOR_FILES):
        raise LanguageModelError(f"{checkpoint.name} takes no sound. Use an audio-language model.")
    kind = PROCESSOR_MAPPING.get(type(config), None)
    try:
        if kind is not None and not is_torchvision_available() and any(map(_is_of_pictures, kind.get_attributes())):
            processor = _load_without_pictures(kind, checkpoint.directory)
        else:
            processor = AutoProcessor.from_pretrained(
                checkpoint.directory, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:
        raise LanguageModelError(f"{checkpoint.name} can't be loaded: {first_line(error)}") from error
    extractor = getattr(processor, "feature_extractor", None)
    if extractor is None or not hasattr(processor, "apply_chat_template"):
        raise LanguageModelError(f"{checkpoint.name} takes no sound. Use an audio-language model.")
    if not getattr(processor, "chat_template", None):
        raise LanguageModelError(f"{checkpoint.name} has no chat template. Use a model that was tuned to answer.")
    rate_hz = getattr(extractor, "sampling_rate", SAMPLE_RATE_HZ)
    if rate_hz != SAMPLE_RATE_HZ:
        raise LanguageModelError(
            f"{checkpoint.name} takes sound at {rate_hz} Hz; pe-search asks at {SAMPLE_RATE_HZ} Hz."
        )
    return processor


def _is_of_pictures(part: str) -> bool:
    return "image" in part or "video" in part


def without_pictures(kind: Any) -> Any:
    """The class of a processor without what reads images and videos: that needs torchvision, and is not asked."""

    def check(self: Any, part: str, held: Any) -> Any:
        return None if held is None else kind.check_argument_for_proper_class(self, part, held)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})


def _load_without_pictures(kind: Any, directory: Path) -> Any:
    loaded = {"feature_extractor": AutoFeatureExtractor, "tokenizer": AutoTokenizer}
    parts = [
        None
        if _is_of_pictures(part)
        else loaded[part].from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        for part in kind.get_attributes()
    ]
    described, _ = kind.get_processor_dict(directory, local_files_only=True)
    return without_pictures(kind).from_args_and_dict(parts, described)


def _load_model(checkpoint: Checkpoint, config: Any, dtype: torch.dtype, device: torch.device) -> Any:
    # Qwen's omni models also speak. The part that answers in words is loaded by itself, with its own weights alone.
    config = getattr(config, "thinker_config", config)
    try:
        kind = next((one for one in _KINDS if type(config) in one._model_mapping), None)
        if kind is None:
            raise LanguageModelError(
                f"{checkpoint.name} is a {config.model_type} checkpoint, which answers no questions."
            )
        _refuse_more_weights_than_there_are(kind, config, checkpoint)
        model, report = kind.from_pretrained(
            checkpoint.directory,
            config=config,
            dtype=dtype,
            device_map=None if device.type == "cpu" else device,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except LanguageModelError:
        raise
    except Exception as error:
        raise LanguageModelError(f"{checkpoint.name} can't be loaded: {first_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise LanguageModelError(f"{checkpoint.name} lacks weights: {missing[0]}{others}. Its files are incomplete.")
    return model.eval().requires_grad_(False)


def _refuse_more_weights_than_there_are(kind: Any, config: Any, checkpoint: Checkpoint) -> None:
    """As `towers` does. Weights in few bits are packed, and are not counted."""
    if getattr(config, "quantization_config", None):
        return
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in kind.from_config(copy.deepcopy(config)).parameters())
    held_bytes = sum(file.stat().st_size for file in checkpoint.directory.glob("*.safetensors"))
    if weights > held_bytes:
        raise LanguageModelError(
            f"{checkpoint.name}: its configuration asks for {weights:,} weights, and its files hold {held_bytes:,} "
            "bytes."
        )

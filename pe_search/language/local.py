"""A language model on this machine, by transformers.

Whatever transformers has a class and a chat template for: Qwen2-Audio, Audio Flamingo 3, Music Flamingo, GLM-ASR and
others. Prompts are made by the model's own template (`Prompts`), and answers are the most likely tokens, one after the
other (`generate` with `do_sample=False`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from pe_search.errors import LanguageModelError, UnansweredError, first_line
from pe_search.language.adapters import Adapter, merge_adapter
from pe_search.language.conversations import (
    CUT_BEFORE_IT_BEGINS,
    LONGEST_ANSWER_TOKENS,
    Conversation,
    CutAnswer,
    checked,
)
from pe_search.language.loading import load_config, load_model, load_processor
from pe_search.language.prompts import Prompts
from pe_search.pe_audio.checkpoint import Checkpoint
from pe_search.pe_audio.embedder import DTYPES, pick_device, pick_dtype
from pe_search.pe_audio.towers import quiet

_CPU_BATCH, _GPU_BATCH = 4, 8


class LocalModel:
    """A language model on this machine.

    Args:
        checkpoint: From `find_language_model`.
        device: As `Embedder` has it.
        dtype: Likewise.
        adapter: What is added to its weights, if anything.

    Raises:
        LanguageModelError: If it can't be loaded, or takes no sound.
        PeSearchError: If the device is not there.
    """

    host: str | None = None

    def __init__(
        self, checkpoint: Checkpoint, device: str = "auto", dtype: str = "auto", adapter: Adapter | None = None
    ) -> None:
        self.name = checkpoint.name if adapter is None else adapter.name
        self.revision = checkpoint.revision if adapter is None else adapter.revision
        self._device = pick_device(device)
        number_type = DTYPES[pick_dtype(self._device, dtype)]
        self.batch = _CPU_BATCH if self._device.type == "cpu" else _GPU_BATCH
        with quiet():
            config = load_config(checkpoint)
            self._processor = load_processor(checkpoint, config)
            self._prompts = Prompts(self._processor, self._device, number_type)
            self._model = load_model(checkpoint, config, number_type, self._device)
            if adapter is not None:
                merge_adapter(self._model, adapter)

    def answer(self, conversations: Sequence[Conversation]) -> Iterator[str | UnansweredError]:
        """As `LanguageModel.answer`."""
        checked(conversations)
        for start in range(0, len(conversations), self.batch):
            for tokens in self.generate(conversations[start : start + self.batch]):
                text = self._processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()
                is_cut = len(tokens) >= LONGEST_ANSWER_TOKENS and self._ends.isdisjoint(tokens)
                if not text:
                    yield UnansweredError(
                        CUT_BEFORE_IT_BEGINS if is_cut else "the language model gives an empty answer"
                    )
                else:
                    yield CutAnswer(text) if is_cut else text

    @property
    def _ends(self) -> frozenset[int]:
        """The tokens after which nothing is answered any more."""
        config = self._model.generation_config
        ends = [config.eos_token_id, config.pad_token_id]
        return frozenset(
            token for one in ends if one is not None for token in (one if isinstance(one, list) else [one])
        )

    def generate(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        """The tokens of the answers to some conversations, which are asked together.

        Raises:
            LanguageModelError: If the model fails.
        """
        with quiet():
            try:
                inputs = self._prompts.inputs(conversations)
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

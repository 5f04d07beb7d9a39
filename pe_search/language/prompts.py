"""Conversations as a language model takes them: tokens and features, made by its own chat template and processor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pe_search.descriptions import Turn
from pe_search.errors import LanguageModelError
from pe_search.language.conversations import Conversation

NOT_LEARNED = -100
"""The label of a token that no loss asks for."""


@dataclass(frozen=True, slots=True)
class _Chat:
    """A conversation, with the answer if it is to be learned."""

    samples: NDArray[np.float32]
    question: str
    turns: tuple[Turn, ...]
    answer: str | None = None


class Prompts:
    """Makes the inputs of a model.

    Args:
        processor: From `load_processor`.
        device: Where they go.
        dtype: Of what isn't whole numbers.
    """

    def __init__(self, processor: Any, device: torch.device, dtype: torch.dtype) -> None:
        self._processor = processor
        self._device = device
        self._dtype = dtype

    def inputs(self, conversations: Sequence[Conversation]) -> dict[str, Any]:
        """The prompts of some conversations as the model takes them, all of one length, with padding on the left."""
        return self._made([_Chat(one.samples, one.question, one.turns) for one in conversations])

    def lessons(self, conversations: Sequence[Conversation], answers: Sequence[str]) -> dict[str, Any]:
        """As `inputs`, of conversations with their answers, and `labels`.

        Labels are the tokens of the answer and of the mark that ends it, and `NOT_LEARNED` everywhere else: for the
        prompt, the sound, what the template puts after the end, and padding.

        Raises:
            LanguageModelError: If the template doesn't put an answer where the model would begin it.
        """
        both = zip(conversations, answers, strict=True)
        whole = self._made([_Chat(one.samples, one.question, one.turns, answer) for one, answer in both])
        prompts = self.inputs(conversations)
        labels = torch.full_like(whole["input_ids"], NOT_LEARNED)
        for row, label in zip(range(len(conversations)), labels, strict=True):
            first, prompt = self._start(whole, row), prompts["input_ids"][row][self._start(prompts, row) :]
            tokens = whole["input_ids"][row]
            begin = first + len(prompt)
            if begin >= len(tokens) or not torch.equal(tokens[first:begin], prompt):
                raise LanguageModelError("its chat template has answers elsewhere than prompts end.")
            end = next((at + 1 for at in range(begin, len(tokens)) if int(tokens[at]) in self._ends), len(tokens))
            label[begin:end] = tokens[begin:end]
        return {**whole, "labels": labels}

    @staticmethod
    def _start(inputs: dict[str, Any], row: int) -> int:
        """The first token of a row that is no padding."""
        return int(inputs["attention_mask"][row].argmax())

    @cached_property
    def _ends(self) -> frozenset[int]:
        """The marks that end an answer."""
        tokenizer = self._processor.tokenizer
        special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        return frozenset({*special, tokenizer.eos_token_id})

    def _made(self, chats: Sequence[_Chat]) -> dict[str, Any]:
        try:
            # What a question or an answer has of the template's own marks is text and no mark.
            asked = self._tokenized(chats, sanitize_control_tokens=True)
        except (NotImplementedError, TypeError, ValueError):
            # Some tokenizers can't tell them apart, and the processors of Qwen's omni models count those in a question
            # as images that are missing. So there must be none.
            asked = self._tokenized([self._without_marks(one) for one in chats])
        return {
            name: value.to(self._device, self._dtype) if value.is_floating_point() else value.to(self._device)
            for name, value in asked.items()
            if isinstance(value, torch.Tensor)
        }

    def _tokenized(self, chats: Sequence[_Chat], **options: Any) -> Any:
        return self._processor.apply_chat_template(
            [_messages(one) for one in chats],
            add_generation_prompt=chats[0].answer is None,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            # For the text alone: Audio Flamingo's feature extractor would take it too, and pad to something else. On
            # the left, because the answer goes on at the right.
            processor_kwargs={"text_kwargs": {"padding": True, "padding_side": "left"}},
            **options,
        )

    def _without_marks(self, chat: _Chat) -> _Chat:
        """A chat in which nothing is a mark of the template, such as the end of a turn."""
        added = self._processor.tokenizer.added_tokens_decoder.values()
        marks = re.compile("|".join(re.escape(str(token)) for token in added) or "(?!)")

        def cleaned(text: str) -> str:
            # What is left may make a mark again.
            while (shorter := marks.sub("", text)) != text:
                text = shorter
            return text

        turns = tuple(Turn(cleaned(turn.question), cleaned(turn.answer)) for turn in chat.turns)
        answer = None if chat.answer is None else cleaned(chat.answer)
        return _Chat(chat.samples, cleaned(chat.question), turns, answer)


def _messages(chat: _Chat) -> list[dict[str, Any]]:
    questions = [*(turn.question for turn in chat.turns), chat.question]
    messages = [
        {"role": "user", "content": [{"type": "audio", "audio": chat.samples}, _text(questions[0])]},
    ]
    for turn, question in zip(chat.turns, questions[1:], strict=True):
        messages.append({"role": "assistant", "content": [_text(turn.answer)]})
        messages.append({"role": "user", "content": [_text(question)]})
    if chat.answer is not None:
        messages.append({"role": "assistant", "content": [_text(chat.answer)]})
    return messages


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}

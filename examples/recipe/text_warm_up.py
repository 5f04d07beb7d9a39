"""The text tower alone: its tokenizer, its first weights, and the captions that say the same."""

import logging
import math
import random
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PeAudioModel, PreTrainedTokenizerFast

from recipe import captions
from recipe.frontend import text_embeddings
from recipe.held_out import PLAIN
from recipe.processor import mixed_precision
from recipe.schedule import Schedule
from recipe.tokenizer import encode, train_tokenizer

log = logging.getLogger("train_builtin")


_WORDS = 0.35
"""Share of the captions of one concept that are a noun alone: a list has many, and sentences say few of them often."""
_RIDGE = 10.0


def draw_tokenizer(schedule: Schedule, seed: int) -> PreTrainedTokenizerFast:
    """A tokenizer for what the caption grammar says."""
    rng = random.Random(seed)
    count = schedule.tokenizer_captions

    def drawn() -> Iterator[str]:
        for _ in range(count):
            yield captions.caption(rng.choice(captions.CONCEPTS), rng)
        for _ in range(count // 10):
            yield captions.mixture_caption(rng.sample(captions.CONCEPTS, 2), rng)
            yield captions.unrelated_caption(rng)

    return train_tokenizer(drawn(), schedule.vocabulary_size)


def initialise_text(model: PeAudioModel, generator: torch.Generator) -> None:
    """Random weights of a size that lets a shallow tower tell words apart from the first step."""
    with torch.no_grad():
        for name, parameter in model.text_model.named_parameters():
            if parameter.ndim == 2:
                deviation = 0.5 if "embeddings" in name else parameter.shape[1] ** -0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation)
        head = model.text_audio_head.proj.weight
        head.copy_(torch.randn(head.shape, generator=generator) * 0.3 * head.shape[1] ** -0.5)


def warm_up_text(
    model: PeAudioModel,
    tokenizer: PreTrainedTokenizerFast,
    schedule: Schedule,
    seed: int,
    known: Mapping[str, Tensor] | None = None,
) -> None:
    """Teach the text tower which captions say the same, against one free vector for each concept.

    The vectors are thrown away afterwards; the tower then starts the joint training with concepts well apart. Those of
    `known` concepts, which an audio tower has learned already, stay where they are, and their prompts go back to them.
    """
    rng = random.Random(seed + 1)
    concepts = list(captions.CONCEPTS)
    index = {concept: i for i, concept in enumerate(concepts)}
    generator = torch.Generator().manual_seed(seed)
    size = model.text_audio_head.proj.weight.shape[0]
    start = functional.normalize(torch.randn(len(concepts), size, generator=generator), dim=1)
    fixed = torch.tensor([concept in (known or {}) for concept in concepts])
    for concept, vector in (known or {}).items():
        start[index[concept]] = functional.normalize(vector, dim=0)
    length = float(torch.stack([*known.values()]).norm(dim=1).mean()) if known else 4.0
    anchors = nn.Parameter(start)
    height = 5e-4 if known else 1.5e-3
    weights = [*model.text_model.parameters(), *model.text_audio_head.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": 0.05}, {"params": [anchors], "weight_decay": 0.0}], lr=height
    )
    for step in range(schedule.text_steps):
        for group in optimizer.param_groups:
            group["lr"] = height * min(1.0, step / 30) * _cosine(step / schedule.text_steps)
        texts, truth = [], torch.zeros(192, len(concepts))
        for row in range(144):
            concept = rng.choice(list(PLAIN)) if rng.random() < 0.3 else rng.choice(concepts)
            texts.append(captions.word(concept, rng) if rng.random() < _WORDS else captions.caption(concept, rng))
            truth[row, index[concept]] = 1
        for row in range(144, 176):
            pair = rng.sample(concepts, 2)
            texts.append(captions.mixture_caption(pair, rng))
            truth[row, [index[concept] for concept in pair]] = 0.5
        texts += [captions.unrelated_caption(rng) for _ in range(16)]
        truth[176:] = 1 / len(concepts)
        token_ids, mask = encode(tokenizer, texts, schedule.merge_dropout if rng.random() < 0.6 else 0.0)
        with mixed_precision(model.device):
            embeddings = text_embeddings(model, token_ids, mask, groups=4).float()
        norms = embeddings.norm(dim=1)
        logits = 12 * functional.normalize(embeddings, dim=1) @ functional.normalize(anchors, dim=1).T
        loss = -(truth * functional.log_softmax(logits, 1)).sum(1).mean() + 0.02 * ((norms - length) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert anchors.grad is not None
        anchors.grad[fixed] = 0
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if step % 100 == 99:
            log.info("captions %d/%d: loss %.3f", step + 1, schedule.text_steps, loss.item())
    if known:
        hold(model, tokenizer, known)


@torch.no_grad()
def hold(model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, known: Mapping[str, Tensor]) -> None:
    """Change the head as little as it takes (ridge regression) to embed the prompts of known concepts as before."""
    token_ids, mask = encode(tokenizer, [captions.plain_prompt(concept) for concept in known])
    output = model.text_model(input_ids=token_ids, attention_mask=mask, output_hidden_states=True)
    head = model.text_audio_head
    inputs = head.layer_norm(output.hidden_states[-1][:, 0])
    missing = torch.stack([*known.values()]) - head.proj(inputs)
    squares = inputs.T @ inputs + _RIDGE * torch.eye(inputs.shape[1])
    head.proj.weight += torch.linalg.solve(squares, inputs.T @ missing).T


def _cosine(progress: float) -> float:
    return 0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, progress)))

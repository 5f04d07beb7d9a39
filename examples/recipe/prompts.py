"""Prompts moved to where the audio tower puts what they name: a fit on lessons that leaves the audio tower as it is."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PeAudioModel, PreTrainedTokenizerFast

from recipe import captions
from recipe.frontend import audio_states, embed_states, text_embeddings
from recipe.lessons import Lessons
from recipe.processor import mixed_precision
from recipe.text_warm_up import hold
from recipe.tokenizer import encode

_PENALTY = 0.03
_SOUNDING = 0.5


@torch.no_grad()
def move_prompts(
    model: PeAudioModel, tokenizer: PreTrainedTokenizerFast, concepts: Sequence[str], lessons: Lessons, count: int = 110
) -> None:
    """Fit a prompt for each concept on `count` lessons, and change the text head a little to reach them."""
    model.eval()
    inputs, wanted = [], []
    for _ in range(count):
        lesson = lessons.draw()
        with mixed_precision(model.device):
            states = audio_states(model, torch.from_numpy(lesson.bands).to(model.device))[:, :1]
            inputs.append(embed_states(model, states)[:, 0].float().cpu())
        share = torch.from_numpy(lesson.share)
        # Half by what is in the window, half by the teacher, who knows what else it resembles.
        halves = (share + torch.from_numpy(lesson.answers).softmax(1)) / 2
        wanted.append(halves * (share.sum(1, keepdim=True) > _SOUNDING))
    model.cpu()
    prompts = text_embeddings(model, *encode(tokenizer, [captions.plain_prompt(concept) for concept in concepts]))
    scale = model.text_audio_logit_scale.detach()
    moved = fit_prompts(torch.cat(inputs), torch.cat(wanted), prompts.detach() * scale) / scale
    hold(model, tokenizer, dict(zip(concepts, moved, strict=True)))


@torch.enable_grad()
def fit_prompts(inputs: Tensor, wanted: Tensor, start: Tensor, steps: int = 25) -> Tensor:
    """`start` `[concepts, size]`, changed so that the softmax of `inputs` with it is `wanted` `[windows, concepts]`."""
    deviation = inputs.std(0)
    change = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.LBFGS([change], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = inputs @ (start + change / deviation).T
        wrong = -(wanted * functional.log_softmax(logits, 1)).sum() / wanted.sum()
        value = wrong + _PENALTY * change.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    return start + change.detach() / deviation

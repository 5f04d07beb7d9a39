"""Making probabilities mean what they say, by the checkpoint's two scalars alone; no ranking changes.

Training sees a caption of each of a hundred concepts for every window, so it learns how rarely a thing is heard. Who
asks for something in their own folder expects it more often. A run with a fold held out fits the factor and the shift
that `sigmoid(factor * logit + shift)` needs on its held-out mixtures; a run on all recordings is given them.
"""

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PeAudioModel


def fit(logits: Tensor, truth: Tensor) -> tuple[float, float]:
    """The factor and the shift that make `logits` most likely given `truth`, both of any one shape."""
    factor, shift = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([factor, shift], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.binary_cross_entropy_with_logits(logits * factor + shift, truth.float())
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    return float(factor.detach()), float(shift.detach())


@torch.no_grad()
def apply(model: PeAudioModel, factor: float, shift: float) -> None:
    """Change the model's scale and bias so that its logits become `factor * logit + shift`."""
    model.text_audio_logit_scale.mul_(factor)
    model.text_audio_logit_bias.mul_(factor).add_(shift)

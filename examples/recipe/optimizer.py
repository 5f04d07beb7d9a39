"""The optimizer: Muon for the matrices that layers multiply by, AdamW for all other weights.

Muon (https://kellerjordan.github.io/posts/muon/, `torch.optim.Muon`) makes each update of a matrix orthogonal, and
takes fewer steps to the same held-out scores. The weights of a convolution are a matrix to it, one row for each output
channel. Embeddings, both heads and the detectors of energy, which start out as filters and are to stay nearly that, are
AdamW's, as are vectors and scalars.
"""

from typing import Any

import torch
from torch import nn
from transformers import PeAudioModel

from recipe.frontend import LINEAR_BLOCKS

TEXT_PARTS = ("text_model.", "text_audio_head.")
_DETECTOR_RATE, _TEXT_RATE = 0.3, 0.4
"""Share of the learning rate for the detectors, and for the text tower, which is warmed up already."""
_NO_MATRICES = ("embedding", "_head.", "data_proj.")
"""Parts of the names of weights of two dimensions that are not between two layers of a tower."""


class Optimizer:
    """Both optimizers as one. Weights that need no gradient are left out; build it where the model is.

    `learning_rate` is AdamW's; Muon's updates are scaled to the size that AdamW's have. `weight_decay` is for matrices
    and embeddings; vectors, scalars and the detectors have none.
    """

    def __init__(self, model: PeAudioModel, learning_rate: float, weight_decay: float) -> None:
        blocks = model.audio_encoder.embedder.dac_encoder.block
        detectors = {id(parameter) for block in blocks[: LINEAR_BLOCKS + 2] for parameter in block.parameters()}
        matrices: dict[tuple[float, float], list[nn.Parameter]] = {}
        others: dict[tuple[float, float], list[nn.Parameter]] = {}
        self._matrices: list[tuple[nn.Parameter, nn.Parameter]] = []
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            detector = id(parameter) in detectors
            rate = _DETECTOR_RATE if detector else _TEXT_RATE if name.startswith(TEXT_PARTS) else 1.0
            vector = parameter.ndim == 1 or detector
            key = (rate * learning_rate, 0.0 if vector else weight_decay)
            if vector or any(part in name for part in _NO_MATRICES):
                others.setdefault(key, []).append(parameter)
            else:
                # Muon takes nothing but two dimensions, so it is given another view of the same memory.
                view = nn.Parameter(parameter.data.view(len(parameter), -1))
                matrices.setdefault(key, []).append(view)
                self._matrices.append((parameter, view))
        self._adamw = torch.optim.AdamW(_param_groups(others), betas=(0.9, 0.98))
        self._muon = torch.optim.Muon(_param_groups(matrices), adjust_lr_fn="match_rms_adamw")

    def set_rate(self, share: float) -> None:
        """Learn at this share of the full rates."""
        for group in (*self._adamw.param_groups, *self._muon.param_groups):
            group["lr"] = share * group["full_rate"]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self._adamw.zero_grad()
        for parameter, view in self._matrices:
            parameter.grad = view.grad = None

    def step(self) -> None:
        """Change the weights by their gradients."""
        self._adamw.step()
        for parameter, view in self._matrices:
            view.grad = None if parameter.grad is None else parameter.grad.reshape(view.shape)
        self._muon.step()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {"adamw": self._adamw.state_dict(), "muon": self._muon.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave for a model of the same sizes."""
        self._adamw.load_state_dict(state["adamw"])
        self._muon.load_state_dict(state["muon"])


def _param_groups(groups: dict[tuple[float, float], list[nn.Parameter]]) -> list[dict[str, Any]]:
    return [
        {"params": parameters, "lr": 0.0, "full_rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]

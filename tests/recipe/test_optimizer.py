"""The optimizer: which weights are Muon's, and what a step does to them."""

import copy

import pytest
import torch
from recipe.architecture import checkpoint_config
from recipe.frontend import freeze_filter_bank
from recipe.optimizer import Optimizer
from transformers import PeAudioModel

LEARNING_RATE, WEIGHT_DECAY = 0.01, 0.1


@pytest.fixture
def model() -> PeAudioModel:
    torch.manual_seed(0)
    model = PeAudioModel(checkpoint_config(300))
    freeze_filter_bank(model)
    return model


def with_gradients(model: PeAudioModel, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn(parameter.shape, generator=generator)


def take_one_step(model: PeAudioModel, share: float) -> None:
    optimizer = Optimizer(model, LEARNING_RATE, WEIGHT_DECAY)
    with_gradients(model, seed=1)
    optimizer.set_rate(share)
    optimizer.step()


def test_a_step_changes_all_that_is_trained_and_nothing_else(model: PeAudioModel) -> None:
    before = copy.deepcopy(dict(model.named_parameters()))
    take_one_step(model, 1.0)
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("audio_encoder.layers.0.self_attn.q_proj.weight", 1.0),
        ("audio_encoder.layers.2.mlp.down_proj.weight", 1.0),
        ("audio_encoder.embedder.dac_encoder.conv2.weight", 1.0),
        ("text_model.layers.1.mlp.Wi.weight", 0.4),
    ],
)
def test_matrices_take_orthogonal_steps_of_the_size_of_adamws(model: PeAudioModel, name: str, rate: float) -> None:
    weight = model.get_parameter(name)
    before = weight.detach().clone()
    take_one_step(model, 0.5)
    full = 0.5 * rate * LEARNING_RATE
    change = (weight.detach() - before * (1 - full * WEIGHT_DECAY)).flatten(1)
    values = torch.linalg.svdvals(change) / (full * 0.2 * max(change.shape) ** 0.5)
    assert values.quantile(0.05) > 0.6 and values.max() < 1.3  # Muon takes five steps towards ones


@pytest.mark.parametrize(
    ("name", "rate", "decay"),
    [
        ("text_model.embeddings.tok_embeddings.weight", 0.4, WEIGHT_DECAY),
        ("audio_head.proj.weight", 1.0, WEIGHT_DECAY),
        ("audio_encoder.embedder.dac_encoder.block.5.res_unit1.conv1.weight", 0.3, 0.0),
        ("audio_encoder.embedder.dac_encoder.conv2.bias", 1.0, 0.0),
    ],
)
def test_other_weights_first_step_by_the_sign_of_their_gradient(
    model: PeAudioModel, name: str, rate: float, decay: float
) -> None:
    weight = model.get_parameter(name)
    before = weight.detach().clone()
    take_one_step(model, 1.0)
    assert weight.grad is not None
    expected = before * (1 - rate * LEARNING_RATE * decay) - rate * LEARNING_RATE * weight.grad.sign()
    torch.testing.assert_close(weight.detach(), expected, atol=1e-4, rtol=0)


def test_it_goes_on_from_its_state(model: PeAudioModel) -> None:
    other = copy.deepcopy(model)
    optimizer = Optimizer(model, LEARNING_RATE, WEIGHT_DECAY)
    for seed in (1, 2):
        with_gradients(model, seed)
        optimizer.set_rate(1.0)
        optimizer.step()
        if seed == 1:
            state = copy.deepcopy(optimizer.state_dict())
            other.load_state_dict(model.state_dict())
    resumed = Optimizer(other, LEARNING_RATE, WEIGHT_DECAY)
    resumed.load_state_dict(state)
    with_gradients(other, seed=2)
    resumed.set_rate(1.0)
    resumed.step()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_gradients_are_forgotten(model: PeAudioModel) -> None:
    optimizer = Optimizer(model, LEARNING_RATE, WEIGHT_DECAY)
    with_gradients(model, seed=1)
    optimizer.step()
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())
    before = copy.deepcopy(list(model.parameters()))
    optimizer.set_rate(1.0)
    optimizer.step()
    for one, two in zip(model.parameters(), before, strict=True):
        assert torch.equal(one, two)

"""Checkpoints that are not what they should be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pe_search.errors import CheckpointError
from pe_search.pe_audio.checkpoint import find_checkpoint
from pe_search.pe_audio.towers import AudioTower, TextTower, load_config, load_tower
from tests.made_up import make_checkpoint

TOWERS = {"text": TextTower, "audio": AudioTower}


def edit_weights(directory: Path, ending: str, change: str) -> None:
    path = directory / "model.safetensors"
    weights = load_file(path)
    (name,) = [name for name in weights if f".{name}".endswith(f".{ending}")]
    if change == "drop":
        del weights[name]
    else:
        weights[name] = torch.zeros(*weights[name].shape, 2)
    save_file(weights, path, metadata={"format": "pt"})


@pytest.fixture
def checkpoint(checkpoint_of_each_layout, tmp_path) -> Path:
    """A checkpoint directory of the test's own."""
    return shutil.copytree(checkpoint_of_each_layout[0], tmp_path / "checkpoint")


@pytest.mark.parametrize(
    ("tower", "ending"),
    [
        ("text", "text_model.layers.1.mlp.Wo.weight"),
        ("text", "text_audio_head.proj.weight"),
        ("text", "text_audio_logit_scale"),
        ("audio", "dac_encoder.block.2.res_unit2.snake2.alpha"),
        ("audio", "audio_encoder.layers.0.self_attn.q_proj.weight"),
        ("audio", "audio_head.layer_norm.bias"),
        ("audio", "text_audio_logit_bias"),
    ],
)
def test_a_missing_weight_is_an_error_that_names_it(checkpoint, tower, ending):
    edit_weights(checkpoint, ending, "drop")
    with pytest.raises(CheckpointError, match=f"lacks weights .*{ending}"):
        load_tower(TOWERS[tower], find_checkpoint(str(checkpoint)), torch.float32)


@pytest.mark.parametrize(
    ("tower", "ending"),
    [("text", "text_model.final_norm.weight"), ("audio", "audio_encoder.output.weight")],
)
def test_a_weight_of_another_shape_is_an_error(checkpoint, tower, ending):
    edit_weights(checkpoint, ending, "reshape")
    with pytest.raises(CheckpointError, match="can't be loaded") as caught:
        load_tower(TOWERS[tower], find_checkpoint(str(checkpoint)), torch.float32)
    assert "\n" not in str(caught.value)


def test_a_damaged_weights_file_is_an_error(tmp_path):
    make_checkpoint(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="can't be loaded"):
        load_tower(TextTower, find_checkpoint(str(tmp_path)), torch.float32)


def test_an_audio_video_checkpoint_gets_its_own_text_configuration(tmp_path):
    make_checkpoint(tmp_path, "pe_audio_video")
    config = load_config(find_checkpoint(str(tmp_path)))
    assert config.model_type == "pe_audio"
    assert config.text_config.hidden_size == 32
    assert config.audio_config.hidden_size == 48


def test_loading_says_nothing(plain_checkpoint, capfd):
    load_tower(TextTower, find_checkpoint(str(plain_checkpoint[0])), torch.float32)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_towers_come_ready_for_inference(plain_checkpoint):
    tower = load_tower(AudioTower, find_checkpoint(str(plain_checkpoint[0])), torch.bfloat16)
    assert not tower.training
    assert {parameter.dtype for parameter in tower.parameters()} == {torch.bfloat16}
    assert not any(parameter.requires_grad for parameter in tower.parameters())

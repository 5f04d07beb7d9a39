"""Finding checkpoints by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from pe_search.errors import CheckpointError
from pe_search.pe_audio.checkpoint import canonical_name, find_checkpoint, find_same_checkpoint, frame_model_of
from tests.made_up import edit_config, make_checkpoint


@pytest.fixture
def directory(plain_checkpoint, tmp_path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(plain_checkpoint[0], tmp_path / "checkpoint"))


@pytest.fixture
def hub(monkeypatch, directory):
    """A hub that has `someone/sounds`, at a commit that begins with c0ffee; records what it is asked for."""
    requests = []
    snapshot = directory.rename(directory.parent / ("c0ffee" + "0" * 34))

    def snapshot_download(repo_id, *, revision, allow_patterns, local_files_only):
        requests.append((repo_id, revision, local_files_only))
        if repo_id != "someone/sounds" or local_files_only:
            raise LocalEntryNotFoundError("not in the cache")
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return requests


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("builtin", "builtin"),
        ("small", "facebook/pe-av-small"),
        ("base", "facebook/pe-av-base"),
        ("large", "facebook/pe-av-large"),
        ("facebook/pe-a-frame-base", "facebook/pe-a-frame-base"),
    ],
)
def test_names(name, canonical):
    assert canonical_name(name) == canonical


@pytest.mark.parametrize(
    ("name", "frame_model"),
    [
        ("builtin", "builtin"),
        ("small", "facebook/pe-a-frame-small"),
        ("base", "facebook/pe-a-frame-base"),
        ("facebook/pe-av-large", "facebook/pe-a-frame-large"),
        ("facebook/pe-av-small-16-frame", "facebook/pe-a-frame-small"),
        ("facebook/pe-a-frame-base", "facebook/pe-a-frame-base"),
        ("somebody/pe-av-small", "somebody/pe-av-small"),
        ("/a/directory", "/a/directory"),
    ],
)
def test_which_checkpoint_finds_the_spans(name, frame_model):
    assert frame_model_of(name) == frame_model


def test_a_directory_is_known_by_its_absolute_path(directory, monkeypatch):
    monkeypatch.chdir(directory.parent)
    assert canonical_name("checkpoint") == str(directory)
    assert find_checkpoint("./checkpoint").name == str(directory)


@pytest.mark.parametrize("name", ["", "medium", "a/b/c", "no such folder/"])
def test_a_name_that_nothing_can_have(name):
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        find_checkpoint(name)


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint directory"):
        find_checkpoint(str(tmp_path / "gone"))


def test_the_revision_of_a_directory_changes_with_its_weights_tokenizer_and_configuration(directory):
    revisions = [find_checkpoint(str(directory)).revision]
    assert find_checkpoint(str(directory)).revision == revisions[0]

    weights = load_file(directory / "model.safetensors")
    weights["audio_head.proj.weight"] += 1e-3
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    revisions.append(find_checkpoint(str(directory)).revision)

    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1))
    revisions.append(find_checkpoint(str(directory)).revision)

    edit_config(directory, comment="none")
    revisions.append(find_checkpoint(str(directory)).revision)
    assert len(set(revisions)) == 4


def test_a_store_is_not_searched_with_a_checkpoint_that_has_changed(directory):
    before = find_checkpoint(str(directory))
    assert find_same_checkpoint(before.name, before.revision) == before
    edit_config(directory, comment="none")
    with pytest.raises(CheckpointError, match="has changed since the store was made"):
        find_same_checkpoint(before.name, before.revision)


def test_weights_may_be_in_several_files(directory):
    weights = load_file(directory / "model.safetensors")
    halves = {"model-00001-of-00002.safetensors": {}, "model-00002-of-00002.safetensors": {}}
    for row, (name, tensor) in enumerate(weights.items()):
        list(halves.values())[row % 2][name] = tensor
    for file, half in halves.items():
        save_file(half, directory / file, metadata={"format": "pt"})
    (directory / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {name: file for file, half in halves.items() for name in half}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))

    from pe_search.pe_audio.towers import AudioTower, load_tower

    tower = load_tower(AudioTower, find_checkpoint(str(directory)), torch.float32)
    assert torch.equal(tower.audio_head.proj.weight, weights["audio_head.proj.weight"])
    (directory / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"lacks model-00002-of-00002\.safetensors"):
        find_checkpoint(str(directory))


def test_weights_that_could_run_code_are_not_loaded(directory):
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="only safetensors weights are loaded"):
        find_checkpoint(str(directory))


def test_the_format_of_perception_models_is_refused(directory):
    edit_config(directory, model_type=None)
    with pytest.raises(CheckpointError, match=r"Meta's own format, use the main revision"):
        find_checkpoint(str(directory))


def test_another_kind_of_model_is_refused(directory):
    edit_config(directory, model_type="clap")
    with pytest.raises(CheckpointError, match="is a clap checkpoint; pe-search needs pe_audio or pe_audio_video"):
        find_checkpoint(str(directory))


@pytest.mark.parametrize("content", ["", "{", "[]", '"pe_audio"'])
def test_a_damaged_configuration(directory, content):
    (directory / "config.json").write_text(content)
    with pytest.raises(CheckpointError):
        find_checkpoint(str(directory))


def test_a_folder_without_a_configuration(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        find_checkpoint(str(tmp_path))


def test_a_frame_level_checkpoint_is_recognised(tmp_path, directory):
    make_checkpoint(tmp_path / "frames", "frame_level")
    assert find_checkpoint(str(tmp_path / "frames")).is_frame_level
    assert not find_checkpoint(str(directory)).is_frame_level


def test_a_hub_checkpoint_is_known_by_its_commit(hub):
    checkpoint = find_checkpoint("someone/sounds", "v2", may_fetch=True)
    assert checkpoint.name == "someone/sounds"
    assert checkpoint.revision == "c0ffee" + "0" * 34
    # First what this machine has, then the hub.
    assert hub == [("someone/sounds", "v2", True), ("someone/sounds", "v2", False)]


def test_the_commit_of_a_store_is_asked_for_again(hub):
    commit = "c0ffee" + "0" * 34
    find_same_checkpoint("someone/sounds", commit, may_fetch=True)
    assert {revision for _, revision, _ in hub} == {commit}


def test_without_a_network_the_error_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError) as caught:
        find_checkpoint("small", "main", may_fetch=True)
    assert str(caught.value) == (
        "facebook/pe-av-small is not on this machine and the Hugging Face hub can't be reached. With a network, "
        "download it with `pe-search models --fetch facebook/pe-av-small --revision main`, or use `--model builtin`."
    )


@pytest.mark.parametrize("name", ["builtin", "directory"])
def test_only_hub_checkpoints_have_revisions(name, directory):
    with pytest.raises(CheckpointError, match="has no revisions"):
        find_checkpoint(str(directory) if name == "directory" else name, "main")

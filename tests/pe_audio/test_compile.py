"""The compiled text tower against torch's."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from pe_search.drafts import draft_folder
from pe_search.pe_audio import compile as compile_module
from pe_search.pe_audio import compiled as compiled_module
from pe_search.pe_audio.checkpoint import Checkpoint, find_checkpoint
from pe_search.pe_audio.compile import compile_text_tower
from pe_search.pe_audio.compiled import (
    CompiledRecord,
    CompiledTextEmbedder,
    compiled_directory,
    is_shipped,
    open_compiled,
    open_shipped,
    read_record,
)
from pe_search.pe_audio.embedder import Embedder
from pe_search.pe_audio.text_embedder import load_text_embedder
from pe_search.pe_audio.towers import TextTower, load_tower
from tests.made_up import edit_config

TEXTS = [
    "a dog barking",
    "rain",
    "the sound of a church bell and a siren in the rain",
    "unknown words",
    "Été: 雨の音 🌧",
    "[CLS] a [PAD] dog",
    "waves of the sea " * 40,
]


@pytest.fixture
def checkpoint(plain_checkpoint) -> Checkpoint:
    return find_checkpoint(str(plain_checkpoint[0]))


@pytest.fixture(scope="module")
def compiled_once(plain_checkpoint, tmp_path_factory) -> Path:
    """A cache that nobody changes, with the text tower of `checkpoint`."""
    cache = tmp_path_factory.mktemp("compiled")
    compile_text_tower(find_checkpoint(str(plain_checkpoint[0])), cache)
    return cache


@pytest.fixture(scope="module")
def builtin_compiled_once(tmp_path_factory) -> Path:
    """As `compiled_once`, of the built-in checkpoint."""
    cache = tmp_path_factory.mktemp("compiled")
    compile_text_tower(find_checkpoint("builtin"), cache)
    return cache


@pytest.fixture
def cache(compiled_once, tmp_path) -> Path:
    """A cache that holds the compiled text tower of `checkpoint`, as it was when it was made."""
    return shutil.copytree(compiled_once, tmp_path / "cache")


def opened(cache: Path, checkpoint: Checkpoint) -> CompiledTextEmbedder | None:
    return open_compiled(cache, checkpoint.name, checkpoint.revision)


def directory_of(cache: Path, checkpoint: Checkpoint) -> Path:
    return compiled_directory(cache, checkpoint.name, checkpoint.revision)


def assert_agrees(compiled: CompiledTextEmbedder, embedder: Embedder, texts: list[str]) -> None:
    expected = embedder.embed_texts(texts)
    found = compiled.embed_texts(texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    # Ranked the same but for ties, whatever is ranked: random windows stand for any.
    windows = np.random.default_rng(0).normal(size=(200, embedder.dimension)).astype(np.float32)
    scores = windows @ expected.T
    ranked = np.take_along_axis(scores, np.argsort(windows @ found.T, axis=0), axis=0)
    assert np.diff(ranked, axis=0).min() > -1e-5 * np.abs(scores).max()
    # The parity above would mean nothing if everything came out alike.
    assert np.ptp(expected, axis=0).max() > 0.1


def test_equals_torch_for_every_layout(checkpoint_of_each_layout, tmp_path):
    checkpoint = find_checkpoint(str(checkpoint_of_each_layout[0]))
    compile_text_tower(checkpoint, tmp_path)
    assert_agrees(opened(tmp_path, checkpoint), Embedder(checkpoint, device="cpu"), TEXTS)


def test_equals_torch_for_the_builtin_checkpoint(builtin_compiled_once):
    checkpoint = find_checkpoint("builtin")
    concepts = json.loads((checkpoint.directory / "concepts.json").read_text())
    texts = [*TEXTS, *(concept["prompt"] for concept in concepts)]
    assert_agrees(opened(builtin_compiled_once, checkpoint), Embedder(checkpoint, device="cpu"), texts)


def test_the_package_has_that_of_the_builtin_checkpoint(tmp_path):
    """If this fails because the checkpoint is another, `python examples/compile_builtin.py` makes it anew."""
    checkpoint = find_checkpoint("builtin")
    embedder = load_text_embedder(checkpoint.name, checkpoint.revision, tmp_path / "cache")
    assert isinstance(embedder, CompiledTextEmbedder)
    assert not (tmp_path / "cache").exists()
    assert_agrees(embedder, Embedder(checkpoint, device="cpu"), TEXTS)


def test_what_the_package_has_is_of_that_revision_only(checkpoint):
    builtin = find_checkpoint("builtin")
    assert is_shipped(builtin.name, builtin.revision)
    assert not is_shipped(builtin.name, "another")
    assert not is_shipped(checkpoint.name, builtin.revision)
    assert open_shipped(checkpoint.name, checkpoint.revision) is None


@pytest.mark.parametrize("file", ["tower.weights", "record.json"])
def test_one_that_does_not_open_is_compiled_as_any_other(file, tmp_path, monkeypatch):
    checkpoint = find_checkpoint("builtin")
    shipped = Path(shutil.copytree(compiled_module.SHIPPED, tmp_path / "shipped"))
    monkeypatch.setattr(compiled_module, "SHIPPED", shipped)
    (shipped / file).write_bytes(b"")
    embedder = load_text_embedder(checkpoint.name, checkpoint.revision, tmp_path / "cache")
    assert isinstance(embedder, CompiledTextEmbedder)
    assert opened(tmp_path / "cache", checkpoint) is not None


@pytest.mark.parametrize("name", ["builtin", "plain"])
def test_the_tokens_are_those_of_transformers(name, request):
    checkpoint = find_checkpoint("builtin") if name == "builtin" else request.getfixturevalue("checkpoint")
    cache = request.getfixturevalue("builtin_compiled_once" if name == "builtin" else "compiled_once")
    compiled = opened(cache, checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.directory)
    for text in (*TEXTS, "", " ", "\n\t", "\0", "a" * 10_000):
        assert compiled.tokens(text) == tokenizer(text, truncation=True, max_length=64)["input_ids"]
    assert len(compiled.tokens("rain " * 1000)) == 64


def test_a_text_alone_is_the_same_bit_for_bit(cache, checkpoint):
    compiled = opened(cache, checkpoint)
    alone = np.concatenate([compiled.embed_texts([text]) for text in TEXTS])
    assert np.array_equal(compiled.embed_texts(TEXTS), alone)


def test_it_is_a_graph_its_weights_a_tokenizer_and_a_record(cache, checkpoint):
    directory = directory_of(cache, checkpoint)
    assert {file.name for file in directory.iterdir()} == {
        "record.json",
        "tower.onnx",
        "tower.weights",
        "tokenizer.json",
    }
    assert read_record(directory) == CompiledRecord(checkpoint.name, checkpoint.revision)
    assert list(directory.parent.iterdir()) == [directory]


def test_the_weights_lie_where_they_can_be_mapped(cache, checkpoint):
    directory = directory_of(cache, checkpoint)
    words = load_tower(TextTower, checkpoint, torch.float32).text_model.embeddings.tok_embeddings.weight
    assert words.numpy().tobytes() in (directory / "tower.weights").read_bytes()
    assert words.numpy().tobytes() not in (directory / "tower.onnx").read_bytes()


def test_each_revision_has_one_of_its_own(cache, checkpoint, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint.directory, copy)
    edit_config(copy, comment="another")
    assert opened(cache, checkpoint) is not None
    assert opened(cache, dataclasses.replace(checkpoint, revision=find_checkpoint(str(copy)).revision)) is None
    assert opened(cache, dataclasses.replace(checkpoint, name=str(copy))) is None


def cut_short(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size - 1)


@pytest.mark.parametrize("name", ["tower.onnx", "tower.weights", "tokenizer.json"])
@pytest.mark.parametrize("damage", [cut_short, Path.unlink], ids=lambda damage: damage.__name__)
def test_a_damaged_one_is_not_used_but_made_again(cache, checkpoint, name, damage):
    expected = opened(cache, checkpoint).embed_texts(TEXTS)
    damage(directory_of(cache, checkpoint) / name)
    assert opened(cache, checkpoint) is None
    compile_text_tower(checkpoint, cache)
    assert np.array_equal(opened(cache, checkpoint).embed_texts(TEXTS), expected)
    assert len(list((cache / "text-towers").iterdir())) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"checkpoint": "another", "revision": "1", "failure": ""}'])
def test_one_with_a_damaged_record_is_made_again(cache, checkpoint, content):
    (directory_of(cache, checkpoint) / "record.json").write_text(content)
    assert opened(cache, checkpoint) is None
    compile_text_tower(checkpoint, cache)
    assert opened(cache, checkpoint) is not None


def test_one_made_when_records_had_more_in_them_is_used(cache, checkpoint):
    record = directory_of(cache, checkpoint) / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"files": {}}))
    assert opened(cache, checkpoint) is not None


def test_one_that_the_runtime_refuses_is_made_again(cache, checkpoint):
    """As after a runtime was replaced by an older one."""
    (directory_of(cache, checkpoint) / "tower.onnx").write_bytes(b"of a later version")
    assert opened(cache, checkpoint) is None
    compile_text_tower(checkpoint, cache)
    assert opened(cache, checkpoint) is not None


def test_one_that_opens_is_left_alone(cache, checkpoint, monkeypatch):
    monkeypatch.setattr(compile_module, "load_tower", lambda *_: pytest.fail("loaded"))
    compile_text_tower(checkpoint, cache)


class _LengthBound(TextTower):
    """A tower whose result depends on the length in a way that tracing loses."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return super().forward(input_ids, attention_mask) + float(input_ids.shape[1])


def test_a_tower_that_compiles_to_another_is_left_to_torch_and_not_tried_again(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(compile_module, "load_tower", lambda _kind, *args: load_tower(_LengthBound, *args))
    compile_text_tower(checkpoint, tmp_path)
    failure = read_record(directory_of(tmp_path, checkpoint)).failure
    assert failure == "the compiled tower disagrees with torch's on a text of 1 tokens"
    assert opened(tmp_path, checkpoint) is None

    monkeypatch.setattr(compile_module, "load_tower", lambda *_: pytest.fail("tried again"))
    embedder = load_text_embedder(checkpoint.name, checkpoint.revision, tmp_path)
    assert isinstance(embedder, Embedder)


def test_an_exporter_that_fails_is_recorded(checkpoint, tmp_path, monkeypatch):
    def fail(*_args, **_options):
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setattr(torch.onnx, "export", fail)
    compile_text_tower(checkpoint, tmp_path)
    assert read_record(directory_of(tmp_path, checkpoint)).failure == "no such operator"


def test_on_a_full_disk_nothing_is_left_and_it_is_tried_again_later(checkpoint, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=64_000_000))
        compile_text_tower(checkpoint, tmp_path)
    assert list((tmp_path / "text-towers").iterdir()) == []
    compile_text_tower(checkpoint, tmp_path)
    assert opened(tmp_path, checkpoint) is not None


def test_where_the_cache_can_not_be_written_to_torch_does_it(checkpoint, tmp_path):
    (tmp_path / "cache").write_text("")
    embedder = load_text_embedder(checkpoint.name, checkpoint.revision, tmp_path / "cache")
    assert isinstance(embedder, Embedder)


def test_a_query_compiles_what_is_missing(checkpoint, tmp_path):
    assert isinstance(load_text_embedder(checkpoint.name, checkpoint.revision, tmp_path), CompiledTextEmbedder)
    assert opened(tmp_path, checkpoint) is not None


def test_one_made_by_another_process_meanwhile_is_replaced_by_ours(checkpoint, cache, monkeypatch):
    """As if none had been there when this process looked."""
    monkeypatch.setattr(compile_module, "open_compiled", lambda *_: None)
    compile_text_tower(checkpoint, cache)
    assert opened(cache, checkpoint) is not None
    assert list((cache / "text-towers").iterdir()) == [directory_of(cache, checkpoint)]


def test_drafts_of_runs_that_were_killed_go_and_those_of_others_stay(checkpoint, tmp_path):
    left_over = tmp_path / "text-towers" / ".pe-search-0123456789abcdef.part"
    (left_over / "compiled").mkdir(parents=True)
    with draft_folder(tmp_path / "text-towers", drops_left_over=False) as held:
        compile_text_tower(checkpoint, tmp_path)
        assert not left_over.exists()
        assert held.exists()


# What is said


@pytest.mark.parametrize("is_large", [True, False])
def test_that_a_large_one_is_compiled_is_told_once(checkpoint, tmp_path, monkeypatch, is_large):
    tower = load_tower(TextTower, checkpoint, torch.float32)
    weights_bytes = sum(parameter.nbytes for parameter in tower.parameters())
    monkeypatch.setattr(compile_module, "_TAKES_LONG_FROM_BYTES", weights_bytes + (not is_large))
    told = []
    for _ in range(2):
        load_text_embedder(checkpoint.name, checkpoint.revision, tmp_path, lambda: told.append(1))
    assert len(told) == is_large

"""The built-in checkpoint's audio tower without torch agrees with upstream's, and with the one of torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PeAudioFrameLevelModel, PeAudioModel

from pe_search.pe_audio import compiled_audio
from pe_search.pe_audio.checkpoint import find_checkpoint
from pe_search.pe_audio.compile_audio import compile_audio_tower
from pe_search.pe_audio.compiled_audio import SHIPPED_AUDIO, CompiledAudioEmbedder, open_shipped_audio
from pe_search.pe_audio.embedder import Embedder
from pe_search.pe_audio.loaded import Loaded
from tests.cli.conftest import DEADLINE_S
from tests.made_up import make_checkpoint, noise

# A whole second, an odd length, one frame, one sample, ten seconds, and as long again.
LENGTHS = (48_000, 12_345, 1_920, 1, 480_000, 48_000)


@pytest.fixture(scope="module")
def compiled() -> CompiledAudioEmbedder:
    return CompiledAudioEmbedder(find_checkpoint("builtin"), SHIPPED_AUDIO)


@pytest.fixture(scope="module")
def windows() -> list[np.ndarray]:
    return [noise(length / 48_000, seed) for seed, length in enumerate(LENGTHS)]


def whole_frames(window: np.ndarray) -> torch.Tensor:
    surplus = -len(window) % 1_920
    return torch.from_numpy(np.pad(window, (0, surplus), "reflect"))[None, None]


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """By how much of the norm two embeddings differ at most."""
    return float((np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)).max())


def test_windows_of_any_lengths_come_out_as_upstreams_own_alone(compiled, windows):
    model = PeAudioModel.from_pretrained(compiled.checkpoint.directory, dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = [model.get_audio_embeds(whole_frames(window))[0].numpy() for window in windows]
    assert distance(compiled.embed_windows(windows), np.stack(expected)) < 1e-5


def test_so_do_frames(compiled, windows):
    model = PeAudioFrameLevelModel.from_pretrained(compiled.checkpoint.directory, dtype=torch.float32).eval()
    found = compiled.embed_frames(windows)
    for frames, window in zip(found, windows, strict=True):
        with torch.inference_mode():
            expected = model.get_audio_embeds(whole_frames(window))[0].numpy()
        assert frames.shape == expected.shape
        assert distance(frames, expected) < 1e-5


def test_it_has_what_the_embedder_of_torch_has(compiled):
    embedder = Embedder(compiled.checkpoint, "cpu")
    for name in ("dimension", "samples_per_frame", "runtime"):
        assert getattr(compiled, name) == getattr(embedder, name)
    assert compiled.logit_scale == pytest.approx(embedder.logit_scale, rel=1e-6)
    assert compiled.logit_bias == pytest.approx(embedder.logit_bias, rel=1e-6)
    texts = ["a dog barking", "rain"]
    np.testing.assert_allclose(compiled.embed_texts(texts), embedder.embed_texts(texts), atol=1e-4)


def test_order_and_number_of_threads_change_nothing(windows, monkeypatch):
    checkpoint = find_checkpoint("builtin")
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(CompiledAudioEmbedder(checkpoint, SHIPPED_AUDIO).embed_windows(windows))
    found.append(CompiledAudioEmbedder(checkpoint, SHIPPED_AUDIO).embed_windows(windows[::-1])[::-1])
    for other in found[1:]:
        assert distance(other, found[0]) < 1e-6


def test_silence_and_what_is_loud_come_out_as_of_torch(compiled):
    windows = [np.zeros(48_000, np.float32), 10 * noise(1.0)]
    expected = Embedder(compiled.checkpoint, "cpu").embed_windows(windows)
    assert distance(compiled.embed_windows(windows), expected) < 1e-5


def test_what_is_too_large_to_calculate_is_no_number(compiled):
    window = noise(1.0)
    for factor in (1e18, 1e20, 1e30, 1e36):
        embeddings = compiled.embed_windows([np.float32(factor) * window])
        assert np.isfinite(embeddings).all() == (factor < 1e19)


def test_no_windows(compiled):
    assert compiled.embed_windows([]).shape == (0, compiled.dimension)
    assert compiled.embed_frames([]) == []


@pytest.mark.parametrize("dac_channels", [1, 2, 16])
def test_another_checkpoint_can_be_compiled_too(dac_channels, tmp_path, windows):
    make_checkpoint(tmp_path / "checkpoint", dac_channels=dac_channels)
    checkpoint = find_checkpoint(str(tmp_path / "checkpoint"))
    made = tmp_path / "made"
    made.mkdir()
    compile_audio_tower(checkpoint, made)
    expected = Embedder(checkpoint, "cpu", "float32").embed_windows(windows)
    assert distance(CompiledAudioEmbedder(checkpoint, made).embed_windows(windows), expected) < 3e-5


def test_it_is_taken_for_the_builtin_checkpoint_on_the_cpu_alone(tmp_path):
    builtin = find_checkpoint("builtin")
    for device in ("auto", "cpu"):
        assert isinstance(Loaded(lambda: tmp_path, device).audio_embedder(builtin).embedder, CompiledAudioEmbedder)
        assert isinstance(Loaded(lambda: tmp_path, device).frame_embedder(builtin), CompiledAudioEmbedder)
    assert open_shipped_audio(replace(builtin, revision="another")) is None
    make_checkpoint(tmp_path / "checkpoint")
    other = find_checkpoint(str(tmp_path / "checkpoint"))
    assert isinstance(Loaded(lambda: tmp_path).audio_embedder(other).embedder, Embedder)


@pytest.mark.parametrize("file", ["tower.onnx", "weights.txt", "record.json"])
def test_torch_does_it_where_the_package_is_damaged(file, tmp_path, monkeypatch):
    shipped = Path(shutil.copytree(SHIPPED_AUDIO, tmp_path / "shipped"))
    monkeypatch.setattr(compiled_audio, "SHIPPED_AUDIO", shipped)
    (shipped / file).write_bytes(b"x")
    assert isinstance(Loaded(lambda: tmp_path).audio_embedder(find_checkpoint("builtin")).embedder, Embedder)


@pytest.mark.slow
def test_index_and_locate_go_without_torch(tmp_path):
    script = """
import sys, pe_search, soundfile, numpy
soundfile.write("a.wav", 0.1 * numpy.random.default_rng(0).standard_normal(48_000), 48_000)
library = pe_search.create("a.store")
assert library.index("a.wav").clips == 1
list(library.locate("rain", "a.wav"))
list(library.label(["a.wav"], ["rain"]))
assert library.query(like="a.wav")
print([name for name in ("torch", "transformers") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.stdout == "[]\n", done.stderr

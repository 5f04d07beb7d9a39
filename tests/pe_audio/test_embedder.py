"""Our embeddings against upstream's own forward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PeAudioFeatureExtractor, PeAudioFrameLevelModel, PeAudioModel

from pe_search.errors import CheckpointError, PeSearchError
from pe_search.pe_audio import embedder as embedder_module
from pe_search.pe_audio.checkpoint import find_checkpoint
from pe_search.pe_audio.dac import TiledDacEncoder
from pe_search.pe_audio.embedder import Embedder
from tests.made_up import LAYOUTS, edit_config, make_checkpoint, make_tokenizer, noise

pytestmark = pytest.mark.usefixtures("two_threads")

TEXTS = ["a dog barking", "rain", "the sound of a church bell and a siren in the rain", "unknown words"]
# Whole and broken numbers of frames, several of one length, one frame, one sample.
LENGTHS_S = [1.0, 0.5, 1.0, 0.04, 1 / 48_000, 0.777, 1.0]


@pytest.fixture
def windows() -> list[NDArray[np.float32]]:
    return [noise(seconds, seed=seed) for seed, seconds in enumerate(LENGTHS_S)]


def upstream_forward(
    model: PeAudioModel, window: NDArray[np.float32], texts: list[str]
) -> dict[str, NDArray[np.float32]]:
    """One window and all texts through upstream's processor parts and its clip-level forward."""
    features = PeAudioFeatureExtractor()(window, sampling_rate=48_000, return_tensors="pt")
    tokens = make_tokenizer()(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = PeAudioModel.forward(
            model,
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            input_values=features["input_values"],
        )
    return {
        "audio": output.audio_embeds[0].numpy(),
        "text": output.text_audio_embeds.numpy(),
        "probabilities": output.logits_audio_text.sigmoid()[0].numpy(),
    }


def test_equals_upstream_for_every_layout_window_by_window(checkpoint_of_each_layout, windows):
    directory, model = checkpoint_of_each_layout
    embedder = Embedder(find_checkpoint(str(directory)), device="cpu")
    expected = [upstream_forward(model, window, TEXTS) for window in windows]

    audio = embedder.embed_windows(windows)
    text = embedder.embed_texts(TEXTS)

    np.testing.assert_allclose(audio, [row["audio"] for row in expected], atol=1e-4)
    np.testing.assert_allclose(text, expected[0]["text"], atol=1e-4)
    logits = audio @ text.T * embedder.logit_scale + embedder.logit_bias
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), [row["probabilities"] for row in expected], atol=1e-4)
    # The parity above would mean nothing if everything came out alike.
    assert np.ptp(audio, axis=0).max() > 0.1
    assert np.ptp(text, axis=0).max() > 0.1


def upstream_frames(model: PeAudioModel, window: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """The frames of one window, and their probabilities of shape (frames, texts), by upstream's frame-level forward."""
    features = PeAudioFeatureExtractor()(window, sampling_rate=48_000, return_tensors="pt")
    tokens = make_tokenizer()(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = PeAudioFrameLevelModel.forward(
            model,
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            input_values=features["input_values"],
        )
    return output.audio_embeds[0].numpy(), output.logits_audio_text[0].sigmoid().T.numpy()


def test_frames_equal_upstreams_for_every_layout_window_by_window(checkpoint_of_each_layout, windows):
    directory, model = checkpoint_of_each_layout
    embedder = Embedder(find_checkpoint(str(directory)), device="cpu")
    frames = embedder.embed_frames(windows)
    text = embedder.embed_texts(TEXTS)
    # 1/48,000 s is one frame, and 0.777 s is 19.4.
    assert [len(window) for window in frames] == [25, 13, 25, 1, 1, 20, 25]
    for window, found in zip(windows, frames, strict=True):
        expected, probabilities = upstream_frames(model, window)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        logits = found @ text.T * embedder.logit_scale + embedder.logit_bias
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), probabilities, atol=1e-4)
    # The parity above would mean nothing if all frames came out alike.
    assert np.ptp(frames[0], axis=0).max() > 0.1
    assert embedder.samples_per_frame == 1920


def test_frames_of_a_wide_encoder_equal_upstreams(tmp_path, windows):
    model = make_checkpoint(tmp_path, "frame_level", dac_channels=16)
    embedder = Embedder(find_checkpoint(str(tmp_path)), device="cpu", dtype="float32")
    for window, found in zip(windows, embedder.embed_frames(windows), strict=True):
        np.testing.assert_allclose(found, upstream_frames(model, window)[0], atol=1e-4)


def test_a_wide_encoder_runs_in_tiles_and_equals_upstream(tmp_path, windows):
    model = make_checkpoint(tmp_path, dac_channels=16)
    embedder = Embedder(find_checkpoint(str(tmp_path)), device="cpu", dtype="float32")
    expected = np.array([upstream_forward(model, window, TEXTS)["audio"] for window in windows])
    differences = np.abs(embedder.embed_windows(windows) - expected).max(axis=1)
    assert (differences / np.linalg.norm(expected, axis=1)).max() < 1e-5
    assert isinstance(embedder._audio_tower.audio_encoder.embedder.dac_encoder, TiledDacEncoder)


def test_a_wide_encoder_in_bfloat16_is_close_to_upstream_in_float32(tmp_path, windows):
    model = make_checkpoint(tmp_path, dac_channels=16)
    embedder = Embedder(find_checkpoint(str(tmp_path)), device="cpu", dtype="bfloat16")
    expected = np.array([upstream_forward(model, window, TEXTS)["audio"] for window in windows])
    rough = embedder.embed_windows(windows)
    assert rough.dtype == np.float32
    cosines = (expected * rough).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(rough, axis=1)
    assert cosines.min() > 0.99


@pytest.mark.parametrize(
    ("has_bfloat16", "dac_channels", "dtype"), [(True, 16, "bfloat16"), (True, 2, "float32"), (False, 16, "float32")]
)
def test_bfloat16_is_taken_where_it_pays(tmp_path, monkeypatch, has_bfloat16, dac_channels, dtype):
    make_checkpoint(tmp_path, dac_channels=dac_channels)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bfloat16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    checkpoint = find_checkpoint(str(tmp_path))
    assert Embedder(checkpoint, device="cpu").dtype == dtype
    assert Embedder(checkpoint, device="cpu", dtype="float16").dtype == ("float16" if dac_channels == 16 else "float32")


@pytest.mark.parametrize("embed", [Embedder.embed_windows, Embedder.embed_frames])
def test_a_batch_that_is_too_large_is_halved_and_so_are_later_ones(plain_checkpoint, embed, monkeypatch):
    monkeypatch.setattr(embedder_module, "_CPU_BATCH_OF_NARROW_S", 20.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    embedder = Embedder(find_checkpoint(str(plain_checkpoint[0])), device="cpu")
    windows = [noise(1, seed=seed) for seed in range(11)]
    expected = embed(embedder, windows)
    sizes = []

    def refuse_more_than_three(_module, inputs):
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > 3:
            raise torch.OutOfMemoryError

    embedder._audio_tower.audio_encoder.register_forward_pre_hook(refuse_more_than_three)
    np.testing.assert_allclose(embed(embedder, windows), expected, atol=1e-5)
    assert sizes == [11, 5, 2, 3, 6, 3, 3]
    sizes.clear()
    embed(embedder, windows)
    assert sizes == [2, 2, 2, 2, 2, 1]


def test_a_window_that_is_too_large_alone(plain_checkpoint):
    embedder = Embedder(find_checkpoint(str(plain_checkpoint[0])), device="cpu")

    def refuse(_module, _inputs):
        raise torch.OutOfMemoryError

    embedder._load_audio_tower().register_forward_pre_hook(refuse)
    with pytest.raises(PeSearchError, match="--device cpu"):
        embedder.embed_windows([noise(1), noise(1)])


@pytest.mark.parametrize(("free_gb", "batch_s"), [(1, 27.13), (40, 600.0)])
def test_a_gpu_takes_as_much_as_its_memory_holds(monkeypatch, free_gb, batch_s):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (free_gb * 10**9, 80 * 10**9))
    # 64 channels of two bytes, 48,000 of each a second, six activations of that size.
    assert embedder_module._pick_batch_s(torch.device("cuda"), True, 128) == pytest.approx(batch_s, abs=0.01)


@pytest.mark.parametrize(("dac_channels", "threads"), [(2, 1), (16, 2)])
def test_a_narrow_encoder_keeps_to_one_thread(tmp_path, dac_channels, threads):
    make_checkpoint(tmp_path, dac_channels=dac_channels)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        Embedder(find_checkpoint(str(tmp_path)), device="cpu").embed_windows([noise(0.04)])
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_an_embedding_does_not_depend_on_its_neighbours(plain_checkpoint, windows):
    embedder = Embedder(find_checkpoint(str(plain_checkpoint[0])), device="cpu")
    together = embedder.embed_windows(windows)
    alone = np.concatenate([embedder.embed_windows([window]) for window in windows])
    backwards = embedder.embed_windows(windows[::-1])[::-1]
    # In another batch, sums are in another order: single numbers were off by 1.05e-5 without AVX-512.
    assert (np.linalg.norm(together - alone, axis=1) / np.linalg.norm(alone, axis=1)).max() < 1e-5
    np.testing.assert_allclose(together, backwards, atol=1e-5)
    texts_alone = np.concatenate([embedder.embed_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(embedder.embed_texts(TEXTS), texts_alone, atol=1e-5)


def of_norm(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference of two embeddings, or of rows of them, as a part of the norm."""
    return float((np.abs(found - expected).max(axis=-1) / np.linalg.norm(expected, axis=-1)).max())


@pytest.mark.parametrize("dac_channels", [2, 16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows_of_any_lengths_come_out_as_if_alone(tmp_path, layout, dac_channels):
    make_checkpoint(tmp_path, layout, dac_channels=dac_channels)
    embedder = Embedder(find_checkpoint(str(tmp_path)), device="cpu", dtype="float32")
    rng = np.random.default_rng(0)
    windows = [noise(seconds, seed=seed) for seed, seconds in enumerate(rng.uniform(1 / 48_000, 0.8, 24))]
    alone = np.concatenate([embedder.embed_windows([window]) for window in windows])
    frames_alone = [embedder.embed_frames([window])[0] for window in windows]
    masks = []
    embedder._audio_tower.audio_encoder.register_forward_pre_hook(lambda _module, inputs: masks.append(inputs[1]))
    for order in (np.arange(24), rng.permutation(24), rng.permutation(24)[:10]):
        together = embedder.embed_windows([windows[row] for row in order])
        assert of_norm(together, alone[order]) < 1e-5
        for row, frames in zip(order, embedder.embed_frames([windows[row] for row in order]), strict=True):
            assert frames.shape == frames_alone[row].shape
            assert of_norm(frames, frames_alone[row]) < 1e-5
    # They did go through together, and were padded.
    ragged = [mask for mask in masks if mask is not None]
    assert len(ragged) > 10
    assert min(float(mask.float().mean()) for mask in ragged) < 0.95


def test_no_windows(plain_checkpoint):
    embedder = Embedder(find_checkpoint(str(plain_checkpoint[0])), device="cpu")
    assert embedder.embed_windows([]).shape == (0, 32)
    assert embedder.embed_frames([]) == []


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_narrow_encoder_stays_in_float32(plain_checkpoint, windows, dtype):
    checkpoint = find_checkpoint(str(plain_checkpoint[0]))
    asked = Embedder(checkpoint, device="cpu", dtype=dtype)
    assert asked.dtype == "float32"
    expected = Embedder(checkpoint, device="cpu", dtype="float32").embed_windows(windows)
    np.testing.assert_array_equal(asked.embed_windows(windows), expected)


def test_float16_survives_activations_that_do_nothing(tmp_path, windows):
    model = make_checkpoint(tmp_path, dac_channels=16)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("block.0.snake1.alpha"):
                parameter.zero_()
    model.save_pretrained(tmp_path)
    checkpoint = find_checkpoint(str(tmp_path))
    exact = Embedder(checkpoint, device="cpu", dtype="float32").embed_windows(windows[:2])
    rough = Embedder(checkpoint, device="cpu", dtype="float16").embed_windows(windows[:2])
    np.testing.assert_allclose(rough, exact, atol=0.1)


def test_a_text_loads_the_text_tower_only(plain_checkpoint):
    embedder = Embedder(find_checkpoint(str(plain_checkpoint[0])))
    embedder.embed_texts(["rain"])
    assert embedder._audio_tower is None
    names = [name for name, _ in embedder._text_tower.named_parameters()]
    assert names
    assert not any(name.startswith("audio") for name in names)


def test_a_window_loads_the_audio_tower_only(plain_checkpoint):
    embedder = Embedder(find_checkpoint(str(plain_checkpoint[0])), device="cpu")
    embedder.embed_windows([noise(0.1)])
    assert embedder.logit_scale == pytest.approx(0.7)
    assert embedder.logit_bias == pytest.approx(-0.4)
    assert embedder._text_tower is None


def test_a_text_longer_than_the_tower_takes_is_cut(plain_checkpoint):
    embedder = Embedder(find_checkpoint(str(plain_checkpoint[0])))
    long, longer = embedder.embed_texts(["rain " * 100, "rain " * 200])
    np.testing.assert_array_equal(long, longer)


def test_a_device_that_is_not_there(plain_checkpoint, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PeSearchError, match="no cuda device"):
        Embedder(find_checkpoint(str(plain_checkpoint[0])), device="cuda")


def test_a_tokenizer_that_is_not_there(tmp_path):
    make_checkpoint(tmp_path)
    for file in tmp_path.glob("token*"):
        file.unlink()
    with pytest.raises(CheckpointError, match="tokenizer can't be loaded"):
        Embedder(find_checkpoint(str(tmp_path))).embed_texts(["rain"])


def test_a_configuration_that_makes_no_sense(tmp_path):
    make_checkpoint(tmp_path)
    edit_config(tmp_path, audio_config="none")
    with pytest.raises(CheckpointError, match="configuration can't be read"):
        Embedder(find_checkpoint(str(tmp_path)))

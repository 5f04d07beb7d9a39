"""The built-in checkpoint is what the package says it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, PeAudioFeatureExtractor, PeAudioFrameLevelModel, PeAudioModel

import pe_search
from pe_search.audio.read import ClipReader
from pe_search.audio.windows import cut_windows
from pe_search.pe_audio.checkpoint import builtin_concepts, find_checkpoint
from pe_search.pe_audio.embedder import Embedder

SOUNDS = Path(__file__).parents[1] / "examples" / "sounds"
PROMPTS = {
    "a dog barking": "dog_bark",
    "rain": "rain",
    "sea waves": "sea_waves",
    "a baby crying": "baby_cry",
    "a clock ticking": "clock_tick",
    "a person sneezing": "person_sneeze",
    "a helicopter": "helicopter",
    "a chainsaw": "chainsaw",
    "a rooster crowing": "rooster",
    "fire crackling": "fire_crackling",
}


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(find_checkpoint("builtin"), device="cpu")


@pytest.fixture(scope="module")
def examples(embedder: Embedder) -> dict[Path, NDArray[np.float32]]:
    """The embeddings of the windows of each example sound."""
    embeddings = {}
    for path in sorted(SOUNDS.rglob("*.flac")):
        with ClipReader(path) as reader:
            windows = [window.samples for window in cut_windows(reader.blocks(), 10.0, 10.0)]
        embeddings[path] = embedder.embed_windows(windows)
    return embeddings


@pytest.fixture(scope="module")
def directions(embedder: Embedder) -> dict[str, NDArray[np.float32]]:
    """The embedding of the prompt of each concept, one long."""
    prompts = list(builtin_concepts())
    embeddings = embedder.embed_texts(prompts)
    return dict(zip(prompts, embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), strict=True))


@pytest.mark.parametrize("kind", [PeAudioModel, PeAudioFrameLevelModel])
def test_upstream_opens_it_with_nothing_missing(kind):
    model, report = kind.from_pretrained(find_checkpoint("builtin").directory, output_loading_info=True)
    assert {name: list(keys) for name, keys in report.items() if keys} == {}
    assert model.config.audio_config.dac_config.hop_length == 1920
    assert PeAudioFeatureExtractor.from_pretrained(find_checkpoint("builtin").directory).sampling_rate == 48_000


def test_it_is_small():
    files = find_checkpoint("builtin").directory.iterdir()
    assert sum(file.stat().st_size for file in files) <= 12_000_000


def test_its_embeddings_are_upstreams(embedder):
    directory = find_checkpoint("builtin").directory
    model = PeAudioModel.from_pretrained(directory, dtype=torch.float32).eval()
    texts = [*PROMPTS, "the neighbour's dog won't stop barking"]
    tokens = AutoTokenizer.from_pretrained(directory)(texts, padding=True, return_tensors="pt")
    for clip in [*sorted(SOUNDS.glob("drums/*.flac")), SOUNDS / "dog-barking.flac"]:
        samples, rate_hz = soundfile.read(clip, dtype="float32")
        features = PeAudioFeatureExtractor()(samples, sampling_rate=rate_hz, return_tensors="pt")
        with torch.no_grad():
            output = model(
                input_ids=tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
                input_values=features["input_values"],
            )
        ours = embedder.embed_windows([samples])
        np.testing.assert_allclose(ours, output.audio_embeds, atol=1e-4)
        np.testing.assert_allclose(embedder.embed_texts(texts), output.text_audio_embeds, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "clip"),
    [
        ("a dog barking", "dog-barking.flac"),
        ("church bell", "church-bell.flac"),
        ("rain", "weather/rain.flac"),
        ("kick drum", "drums/kick-drum.flac"),
    ],
)
def test_it_finds_the_example_sounds(text, clip, embedder, examples):
    embedding = embedder.embed_texts([text])[0]
    scores = {path: float((windows @ embedding).max()) for path, windows in examples.items()}
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:3]
    assert SOUNDS / clip in best


@pytest.mark.parametrize(
    ("noun", "prompt"),
    [
        ("kitten", "a cat meowing"),
        ("lorry", "a car engine running"),
        ("kettle drum", "tom drum"),
        ("ambulance", "a siren"),
        ("faucet", "water running from a tap"),
        ("dove", "a pigeon cooing"),
        ("trumpet", "brass instruments"),
        ("jackhammer", "an electric drill"),
        ("tiger", "a lion roaring"),
        ("fire engine", "a siren"),
        ("lift", "an elevator"),
        ("speedboat", "a motor boat"),
        ("orca", "a whale singing"),
        ("chicken", "a hen clucking"),
        ("aircraft", "a jet plane flying over"),
    ],
)
def test_a_noun_that_nearly_names_a_concept_is_nearest_to_it(noun, prompt, embedder, directions):
    embedding = embedder.embed_texts([noun])[0]
    assert max(directions, key=lambda other: directions[other] @ embedding) == prompt


def test_what_it_was_taught_is_listed():
    concepts = builtin_concepts()
    assert len(concepts) >= 80
    assert len(set(concepts)) == len(concepts)


@pytest.mark.slow
def test_plain_prompts_find_real_recordings(esc10, tmp_path):
    """It was trained on these; how its recipe does on recordings that it has not heard is told in the model card."""
    with pe_search.create(tmp_path / "store", level="none") as library:
        summary = library.index(esc10)
        assert (summary.clips, summary.problems) == (320, ())
        right = {
            prompt: sum(hit.path.parent.name == folder for hit in library.query(prompt))
            for prompt, folder in PROMPTS.items()
        }
    assert {prompt: count for prompt, count in right.items() if count < 8} == {}

"""Training: its forward pass, mixtures, objective, and a checkpoint from a handful of made-up clips."""

import copy
import dataclasses
import itertools
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import train_builtin
from recipe import calibration, captions, held_out, scoring
from recipe.architecture import FRAME_SAMPLES, SAMPLE_RATE_HZ, checkpoint_config
from recipe.attribution import write_attribution
from recipe.frontend import (
    BANDS,
    LINEAR_BLOCKS,
    Augmentation,
    FilterBank,
    audio_embeddings,
    band_centres_hz,
    freeze_filter_bank,
    initialise_audio,
)
from recipe.mixing import ABSENT, ACTIVE, Mixer, MixingPlan, frame_activity, loudness, presence
from recipe.neighbours import NEIGHBOURS
from recipe.objective import OVERLAPS, draw_captions, losses, overlap_matrix, targets
from recipe.pool import Source, in_room, open_pool
from recipe.processor import mixed_precision
from recipe.recordings import FOLDER_NAMES, find_recordings, sonic_pi_concept
from recipe.saved import STATE_BEFORE_COOLING_FILE, STATE_FILE, save_checkpoint
from recipe.schedule import COOLING, Schedule
from recipe.snake import Snake
from recipe.text_warm_up import hold
from recipe.tokenizer import encode, train_tokenizer
from recipe.training import Trained, train
from transformers import AutoTokenizer, PeAudioFeatureExtractor, PeAudioFrameLevelModel, PeAudioModel

from tests.made_up import write_audio


def tone(frequency_hz: float, seconds: float, level: float = 0.3) -> np.ndarray:
    time_s = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (level * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE_HZ))).astype(np.float32)


def source(concept: str, *clips: np.ndarray) -> Source:
    return Source(concept, f"made/{concept}", False, clips=[clip.astype(np.float16) for clip in clips])


@pytest.fixture
def clips() -> list[Source]:
    return [
        source("rain", noise(2.0, 1), noise(2.0, 2)),
        source("beep", tone(1_000, 0.2), tone(1_500, 0.2)),
        source("kick", tone(60, 0.3)),
    ]


@pytest.fixture(scope="module")
def model() -> PeAudioModel:
    torch.manual_seed(0)
    model = PeAudioModel(checkpoint_config(300)).eval()
    clips = torch.from_numpy(np.stack([noise(1.0, seed) for seed in range(4)]))
    initialise_audio(model, clips, torch.Generator().manual_seed(0))
    return model


# ---- held-out wording


@pytest.mark.parametrize(
    ("caption", "held"),
    [
        ("Cock-a-doodle-doo!", True),
        ("the sound of a CAMPFIRE burning at night", True),
        ("monsoon", True),
        ("monsoons", False),
        ("a campfire is burning", False),
        ("rain", False),
    ],
)
def test_held_out_wording_is_found_as_whole_words(caption: str, held: bool) -> None:
    assert held_out.is_held_out(caption) is held


def test_plain_prompts_are_not_held_out() -> None:
    assert not any(held_out.is_held_out(prompt) for prompt in held_out.PLAIN.values())
    assert set(held_out.HELD_OUT) == set(held_out.PLAIN) <= set(captions.CONCEPTS)


# ---- recordings


@pytest.mark.parametrize(
    ("stem", "concept"),
    [
        ("bd_808", "kick"),
        ("drum_cymbal_open", "open_hat"),
        ("drum_cymbal_pedal", "closed_hat"),
        ("hat_zild", "closed_hat"),
        ("drum_splash_soft", "crash"),
        ("elec_snare", "snare"),
        ("misc_crow", "crow"),
        ("loop_weirdo", None),
    ],
)
def test_sonic_pi_file_names(stem: str, concept: str | None) -> None:
    assert sonic_pi_concept(stem) == concept


def test_folders_are_concepts_and_takes_share_a_fold(tmp_path: Path) -> None:
    for name in ("rain/3-15-A.wav", "person_sneeze/gale-A.wav", "person_sneeze/gale-B.wav", "misc/other.wav"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        soundfile.write(file, noise(0.1), SAMPLE_RATE_HZ)
    found = find_recordings(tmp_path, captions.CONCEPTS)
    assert [r.concept for r in found] == ["sneeze", "sneeze", "rain"]
    assert found[0].fold == found[1].fold and found[2].fold == 3


# ---- mixtures


def test_loudness_is_that_of_the_event_not_of_the_silence_around_it() -> None:
    event = tone(500, 1.0)
    window = np.concatenate([event, np.zeros(2 * len(event), np.float32)])
    assert loudness(window) == pytest.approx(0.3 / np.sqrt(2), rel=0.02)


def test_activity_follows_the_event() -> None:
    samples = np.zeros(20 * FRAME_SAMPLES, np.float32)
    samples[5 * FRAME_SAMPLES : 9 * FRAME_SAMPLES] = tone(800, 4 * FRAME_SAMPLES / SAMPLE_RATE_HZ)
    assert np.flatnonzero(frame_activity(samples) == ACTIVE).tolist() == [5, 6, 7, 8]


def test_presence_falls_from_9_to_21_db_below_the_loudest() -> None:
    assert [presence(db) for db in (0, -9, -15, -21, -40)] == [1, 1, 0.5, 0, 0]


def test_mixture_has_the_levels_and_times_it_says() -> None:
    swell = np.hanning(SAMPLE_RATE_HZ // 2).astype(np.float32)  # no clicks, which sound at every frequency
    low, high = tone(200, 0.5) * swell, tone(5_000, 0.5) * swell
    plan = MixingPlan(mixed=1.0, third=0.0, nothing=0.0, noise=0.0, events=0.0)
    mixer = Mixer([source("hum", low), source("tone", high)], ["hum", "tone"], np.random.default_rng(3), plan)
    checked = 0
    for _ in range(60):
        samples, heard, noise_db = mixer.window(3 * SAMPLE_RATE_HZ)
        assert noise_db is None and len(samples) == 3 * SAMPLE_RATE_HZ
        if {concept for concept, _, _ in heard} != {"hum", "tone"} or np.abs(samples).max() == 1:
            continue
        spectrum = np.fft.rfft(samples)
        edge = 2_000 * 3  # bins are a third of a hertz wide
        parts = {
            "hum": np.fft.irfft(np.where(np.arange(len(spectrum)) < edge, spectrum, 0)),
            "tone": np.fft.irfft(np.where(np.arange(len(spectrum)) >= edge, spectrum, 0)),
        }
        (first, top_db, _), (second, level_db, _) = heard
        ratio_db = 20 * np.log10(loudness(parts[second]) / loudness(parts[first]))
        assert top_db == 0 and ratio_db == pytest.approx(level_db, abs=1.5)
        for concept, _, activity in heard:
            energy = (parts[concept].reshape(-1, FRAME_SAMPLES) ** 2).mean(1)
            assert (energy[activity == ACTIVE] > 0.004 * energy.max()).all()
            assert (energy[activity == ABSENT] < 0.01 * energy.max()).all()
        checked += 1
    assert checked > 20


def test_events_are_short_stretches_within_noise() -> None:
    plan = MixingPlan(mixed=0.0, nothing=0.0, noise=0.0, events=1.0)
    mixer = Mixer([source("tone", tone(5_000, 5.0))], ["tone"], np.random.default_rng(0), plan)
    shares = []
    for _ in range(40):
        samples, [(_, level_db, activity)], noise_db = mixer.window(10 * SAMPLE_RATE_HZ)
        assert level_db == 0 and noise_db is not None and -20 <= noise_db <= -3
        energy = np.abs(np.fft.rfft(samples.reshape(-1, FRAME_SAMPLES), axis=1))[:, 200]  # 5 kHz at 25 Hz a bin
        assert np.quantile(energy[activity == ACTIVE], 0.1) > 5 * np.median(energy[activity == ABSENT])
        shares.append((activity == ACTIVE).mean())
    assert 0.03 < min(shares) < 0.08 and max(shares) < 1
    whole, [(_, _, activity)], noise_db = mixer.window(2 * SAMPLE_RATE_HZ)
    assert noise_db is None and (activity == ACTIVE).all() and len(whole) == 2 * SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    ("concept", "recordings", "share"),
    [("rain", 30, 0.9), ("rain", 3, 2 / 3), ("rain", 1, 0.4), ("kick", 30, 0.65)],
    ids=["many recordings", "few", "one", "a drum"],
)
def test_how_often_recordings_are_heard(concept: str, recordings: int, share: float) -> None:
    made = source(concept, noise(0.1))
    recorded = [dataclasses.replace(made, recorded=True)] * recordings
    mixer = Mixer([*recorded, made], [concept], np.random.default_rng(0), MixingPlan(drums=("kick",)))
    heard = [mixer.draw_clip(concept)[1] for _ in range(2_000)]
    assert np.mean(heard) == pytest.approx(share, abs=0.04)


def test_a_drum_named_twice_comes_twice_as_often() -> None:
    sources = [source(name, noise(0.1)) for name in ("kick", "tabla")]
    plan = MixingPlan(drums=("kick", "kick", "tabla"), drums_share_when_short=1.0)
    mixer = Mixer(sources, ["kick", "tabla"], np.random.default_rng(0), plan)
    drawn = [mixer.draw_concept(short=True) for _ in range(2_000)]
    assert drawn.count("kick") / len(drawn) == pytest.approx(2 / 3, abs=0.04)


def test_concepts_with_more_recordings_come_more_often() -> None:
    recorded = dataclasses.replace(source("cello", noise(0.1)), recorded=True)
    other = dataclasses.replace(recorded, concept="harp")
    mixer = Mixer([recorded] * 9 + [other], ["cello", "harp"], np.random.default_rng(0), MixingPlan(neighbours=()))
    drawn = [mixer.draw_concept(short=False) for _ in range(2_000)]
    assert drawn.count("cello") / len(drawn) == pytest.approx(3 / 4, abs=0.04)


def test_neighbours_follow_each_other() -> None:
    sources = [source(name, noise(0.1)) for name in ("cough", "sneeze", "hum", "tone")]
    plan = MixingPlan(neighbours=(("cough", "sneeze"),), neighbours_share=1.0)
    mixer = Mixer(sources, ["cough", "sneeze", "hum", "tone"], np.random.default_rng(0), plan)
    drawn = [mixer.draw_first_concept(short=False) for _ in range(100)]
    first = next(i for i, name in enumerate(drawn) if name in ("cough", "sneeze"))
    assert len(drawn) - first > 50
    assert all({one, other} == {"cough", "sneeze"} for one, other in itertools.pairwise(drawn[first:]))


def test_levels_are_within_forty_decibels() -> None:
    loud = dataclasses.replace(source("tone", tone(5_000, 3.0, level=0.1)), recorded=True)
    plan = MixingPlan(mixed=0.0, nothing=0.0, noise=0.0, events=0.0, any_level=1.0, levels_db=(-30.0, 10.0))
    mixer = Mixer([loud], ["tone"], np.random.default_rng(0), plan)
    levels_db = [20 * math.log10(loudness(mixer.window(2 * SAMPLE_RATE_HZ)[0]) / 0.0707) for _ in range(300)]
    assert min(levels_db) == pytest.approx(-30, abs=1) and max(levels_db) == pytest.approx(10, abs=1)


def test_every_neighbour_is_a_concept_and_in_one_group() -> None:
    names = [name for group in NEIGHBOURS for name in group]
    assert len(names) == len(set(names)) and set(names) <= set(captions.CONCEPTS)


def test_every_overlap_is_a_concept() -> None:
    assert {name for group in OVERLAPS for name in group} <= set(captions.CONCEPTS)


def test_every_merged_folder_becomes_a_concept() -> None:
    assert set(FOLDER_NAMES.values()) <= set(captions.CONCEPTS) and not set(FOLDER_NAMES) & set(captions.CONCEPTS)


def test_cuts_of_one_recording_are_one_source(tmp_path: Path) -> None:
    for name in ("rain/maker.storm-A.wav", "rain/maker.storm-B.wav", "rain/maker.drizzle-A.wav", "goose/x.y-A.wav"):
        write_audio(tmp_path / "data" / name, noise(0.3))
    recordings = find_recordings(tmp_path / "data", captions.CONCEPTS)
    sources = open_pool(recordings, {}, {}, tmp_path / "cache", seed=0, workers=1)
    assert [(s.concept, s.name, len(s.clips)) for s in sources] == [
        ("duck_quack", "data/x.y", 8),
        ("rain", "data/maker.drizzle", 8),
        ("rain", "data/maker.storm", 8),
    ]


def test_attribution_names_what_was_used_and_nothing_else(tmp_path: Path) -> None:
    data = tmp_path / "real"
    write_audio(data / "rain" / "maker.storm-A.wav", noise(0.1))
    (data / "ATTRIBUTION.txt").write_text("All cut.\nrain/maker.storm; CC0; Ann\nyawn/maker.bed; CC BY; Bob\n")
    write_audio(tmp_path / "bare" / "crow" / "x-A.wav", noise(0.1))
    folders = [data, tmp_path / "bare"]
    used = [recording for folder in folders for recording in find_recordings(folder, captions.CONCEPTS)]
    write_attribution(tmp_path, folders, used)
    text = (tmp_path / "ATTRIBUTION.txt").read_text()
    assert text.endswith("real\n----\n\nAll cut.\nrain/maker.storm; CC0; Ann\n")
    assert text.startswith("Recordings that the built-in checkpoint was trained on\n") and "bare" not in text


def test_batch_tells_what_is_heard() -> None:
    mixer = Mixer(
        [source("hum", tone(100, 2.0)), source("white_noise", noise(2.0))],
        ["hum", "white_noise", "snare"],
        np.random.default_rng(0),
        MixingPlan(nothing=0.0, noise=0.0),
    )
    batch = mixer.batch(16, 50)
    assert batch.waveforms.shape == (16, 50 * FRAME_SAMPLES) and np.abs(batch.waveforms).max() <= 1
    assert batch.share.sum(1) == pytest.approx(np.ones(16))
    assert not batch.heard[:, 2].any() and (batch.frames[:, :, 2] == ABSENT).all()
    assert ((batch.frames == ACTIVE).any(1) <= (batch.heard > 0)).all()


def test_room_keeps_the_energy() -> None:
    dry = tone(700, 0.5)
    wet = in_room(dry, np.random.default_rng(1))
    assert len(wet) > len(dry)
    assert float((wet**2).sum()) == pytest.approx(float((dry**2).sum()), rel=1e-3)


def test_pool_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "data" / "rain" / "1-1-A.wav"
    file.parent.mkdir(parents=True)
    soundfile.write(file, noise(0.3), 44_100)
    recordings = find_recordings(tmp_path / "data", ["rain"])
    first = open_pool(recordings, {"beep": a_beep}, {"beep": 3}, tmp_path / "cache", seed=0, workers=1)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    again = open_pool(recordings, {"beep": a_beep}, {"beep": 3}, tmp_path / "cache", seed=0, workers=1)
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert [len(s.clips) for s in first] == [len(s.clips) for s in again] == [8, 3]
    assert first[0].recorded and not first[1].recorded


def a_beep(rng: np.random.Generator) -> np.ndarray:
    return tone(rng.uniform(500, 2_000), 0.2)


# ---- the network


@pytest.mark.parametrize("frames", [1, 2, 10, 50])
def test_training_forward_is_upstreams(model: PeAudioModel, frames: int) -> None:
    waveforms = torch.from_numpy(np.stack([noise(frames / 25, seed) for seed in range(3)]))
    with torch.no_grad():
        upstream = model.audio_encoder(input_values=waveforms[:, None])
        clip, of_frames = model.audio_head(upstream.pooler_output), model.audio_head(upstream.last_hidden_state)
        bank = FilterBank.of(model)
    ours = audio_embeddings(model, bank, waveforms)
    assert ours.shape == (3, 1 + frames, 192) and ours.requires_grad
    size = float(clip.norm(dim=1).mean())
    # The steepest activations turn the last bit of their argument into some 1e-5 of this, each way of rounding its own.
    assert float((ours[:, 0] - clip).detach().abs().max()) < 3e-5 * size
    assert float((ours[:, 1:] - of_frames).detach().abs().max()) < 3e-5 * size


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.02)])
def test_snake_and_its_gradient(dtype: torch.dtype, tolerance: float) -> None:
    alpha = torch.tensor([0.0, 0.02, 0.6, 16.0, 80.0])
    signals = (torch.randn(3, 5, 1, 1_001, generator=torch.Generator().manual_seed(0)) * 2).to(dtype)
    gradient = torch.randn(signals.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    ours, exact = signals.clone().requires_grad_(), signals.double().requires_grad_()
    result = Snake.apply(ours, alpha)
    result.backward(gradient)
    wide = alpha.double()[:, None, None]
    expected = exact + torch.sin(wide * exact) ** 2 / (wide + 1e-9)
    expected.backward(gradient.double())
    torch.testing.assert_close(result.double(), expected, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(ours.grad.double(), exact.grad, atol=2 * tolerance, rtol=tolerance)


def test_bands_hear_their_frequency(model: PeAudioModel) -> None:
    bank = FilterBank.of(model)
    for band, centre_hz in enumerate(band_centres_hz()):
        energy = bank.signals(model, torch.from_numpy(tone(float(centre_hz), 0.2))[None]).pow(2).mean((0, 2))
        assert abs(int(energy.argmax()) - band) <= 1


@pytest.mark.parametrize(("group", "rate_hz", "slower_hz"), [(1, 31.0, 10.0), (2, 10.0, 3.5), (3, 3.5, 0.7)])
def test_modulations_of_a_band_are_heard(model: PeAudioModel, group: int, rate_hz: float, slower_hz: float) -> None:
    block = model.audio_encoder.embedder.dac_encoder.block[LINEAR_BLOCKS + 2]
    band, time_s = 12, torch.arange(1_000) / 125

    def energy(modulation_hz: float) -> float:
        envelopes = torch.zeros(1, 4 * BANDS, len(time_s))
        envelopes[0, band] = 0.5 * torch.sin(2 * math.pi * modulation_hz * time_s)
        with torch.no_grad():
            for unit in (block.res_unit1, block.res_unit2, block.res_unit3):
                envelopes = unit(envelopes)
        return float(envelopes[0, BANDS * group + band, 100:-100].mean())

    still = energy(0.0)
    assert energy(rate_hz) - still > 4 * abs(energy(slower_hz) - still)


def test_augmentation_changes_the_embedding_and_is_seeded(model: PeAudioModel) -> None:
    waveforms = torch.from_numpy(noise(0.4))[None]

    def augmented(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return audio_embeddings(
            model, FilterBank.of(model), waveforms, Augmentation(3.0, 4, 0.2, 0.2, 0.1, 0.1, generator)
        ).detach()

    assert torch.equal(augmented(1), augmented(1))
    assert not torch.allclose(augmented(1), audio_embeddings(model, FilterBank.of(model), waveforms))


# ---- the objective


def test_all_of_a_step_is_on_the_device_of_the_model(model: PeAudioModel, clips: list[Source]) -> None:
    """On torch's device without numbers, which mixes with no other and is on every machine."""
    bank = FilterBank.of(model)
    bank = dataclasses.replace(bank, filters=bank.filters.to("meta"))
    model = copy.deepcopy(model).to("meta").train()
    freeze_filter_bank(model)
    concepts = ["rain", "beep", "kick"]
    batch = Mixer(clips, concepts, np.random.default_rng(0)).batch(4, 75)
    drawn = draw_captions(concepts, [], batch.pairs, random.Random(0))
    truth = targets(batch, drawn, overlap_matrix(concepts)).to(model.device)
    augmentation = Augmentation(**Schedule(steps=1).augmentation, generator=torch.Generator().manual_seed(0))
    waveforms = torch.from_numpy(batch.waveforms).to(model.device)
    audio = audio_embeddings(model, bank, waveforms, augmentation)
    text = torch.empty(len(drawn.texts), 192, device="meta", requires_grad=True)
    total = losses(audio, text, model.text_audio_logit_scale, model.text_audio_logit_bias, truth).total
    total.backward()
    assert audio.shape == (4, 76, 192) and total.shape == ()
    # The text tower's weights are out of it here.
    learning = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("text_")]
    assert len(learning) > 50 and all(parameter.grad is not None for parameter in learning)


def test_perfect_scores_cost_little_and_wrong_ones_much() -> None:
    concepts = ["hum", "white_noise", "snare"]
    clips = [source("hum", tone(100, 1.0)), source("white_noise", noise(1.0)), source("snare", noise(0.1))]
    mixer = Mixer(clips, concepts, np.random.default_rng(0), MixingPlan(mixed=0.0, nothing=0.0, noise=0.0))
    batch = mixer.batch(12, 25)
    drawn = draw_captions(concepts, (), batch.pairs, random.Random(0), unrelated=3)
    truth = targets(batch, drawn, overlap_matrix(concepts))
    assert truth.heard.shape == (12, 9) and truth.frames.shape == (12, 25, 9)
    text = torch.eye(9)
    right = torch.cat([truth.heard[:, None], truth.frames.float()], 1)
    scale, bias = torch.tensor(20.0), torch.tensor(-10.0)
    good = losses(right, text, scale, bias, truth)
    bad = losses(1 - right, text, scale, bias, truth)
    for name in ("audio_to_text", "sigmoid", "frames"):
        assert float(getattr(good, name)) < 0.01 < 1.0 < float(getattr(bad, name))
    # A caption that fits a third of the windows cannot pick one of them.
    assert float(good.text_to_audio) == pytest.approx(np.log(4), abs=0.4)


def test_overlapping_concepts_are_no_negatives() -> None:
    concepts = ["applause", "clapping", "snare"]
    mixer = Mixer(
        [source("applause", noise(1.0))],
        concepts,
        np.random.default_rng(0),
        MixingPlan(nothing=0.0, noise=0.0),
    )
    batch = mixer.batch(4, 25)
    drawn = draw_captions(concepts, (), [], random.Random(0), unrelated=1)
    known = targets(batch, drawn, overlap_matrix(concepts)).known
    assert known[:, [0, 2, 3, 5, 6]].all() and not known[:, [1, 4]].any()


def test_drums_are_negatives_of_one_another_but_not_of_a_loop() -> None:
    rows, columns = np.nonzero(overlap_matrix(captions.DRUMS))
    pairs = {
        frozenset((captions.DRUMS[row], captions.DRUMS[column])) for row, column in zip(rows, columns, strict=True)
    }
    with_a_loop = {frozenset((name, "drum_loop")) for name in captions.DRUMS if name != "drum_loop"}
    assert with_a_loop < pairs
    assert pairs - with_a_loop == {
        frozenset(pair)
        for pair in (
            ("snare", "rimshot"),
            ("conga", "tom"),
            ("snare", "drum_roll"),
            ("rimshot", "woodblock"),
            ("tambourine", "sleigh_bells"),
        )
    }


# ---- scores


def test_measures() -> None:
    scores, relevant = torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1, 0, 1, 0])
    assert scoring.average_precision(scores, relevant) == pytest.approx((1 + 2 / 3) / 2)
    assert scoring.area_under_roc(scores, relevant) == pytest.approx(0.75)
    assert scoring.area_under_roc(torch.ones(4), relevant) == pytest.approx(0.5)
    assert scoring.calibration_error(torch.full((10,), 0.75), torch.tensor([1] * 6 + [0] * 4)) == pytest.approx(0.15)


# ---- from clips to a checkpoint


def test_merge_dropout_is_switched_off_again() -> None:
    tokenizer = train_tokenizer(["a dog barking", "rain on the roof"] * 20, 320)
    plain = encode(tokenizer, ["a dog barking"])[0]
    encode(tokenizer, ["a dog barking"], merge_dropout=0.9)
    assert torch.equal(encode(tokenizer, ["A DOG  barking"])[0][:, :3], plain[:, :3])
    assert torch.equal(encode(tokenizer, ["a dog barking"])[0], plain)


def short_schedule(steps: int) -> Schedule:
    return Schedule(
        steps=steps,
        text_steps=2,
        tokenizer_captions=300,
        seconds_per_step=4.0,
        most_windows=8,
        lengths_s=(0.3, 1.0),
        merge_dropout=0.0,
        vocabulary_size=400,
    )


@pytest.mark.parametrize(("has_bfloat16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_training_multiplies_in_bfloat16_where_the_processor_can(
    monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bfloat16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    with mixed_precision(torch.device("cpu")):
        assert (torch.eye(2) @ torch.eye(2)).dtype == dtype


def test_two_steps_end_in_a_checkpoint_that_upstream_opens(clips: list[Source], tmp_path: Path) -> None:
    trained = train(clips, short_schedule(2), tmp_path / "work", seed=0)
    assert trained.steps == 2
    out = tmp_path / "checkpoint"
    out.mkdir()
    (out / "README.md").write_text("the card stays")
    save_checkpoint(trained.model, trained.tokenizer, out)
    for kind in (PeAudioModel, PeAudioFrameLevelModel):
        model, report = kind.from_pretrained(out, output_loading_info=True)
        assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
        assert model.dtype == torch.float32
    assert (out / "README.md").read_text() == "the card stays"
    saved = json.loads((out / "tokenizer.json").read_text())
    assert (saved["padding"], saved["truncation"]) == (None, None)
    assert sum(file.stat().st_size for file in out.iterdir()) < 12_000_000
    extractor = PeAudioFeatureExtractor.from_pretrained(out)
    assert (extractor.sampling_rate, extractor.hop_length) == (SAMPLE_RATE_HZ, FRAME_SAMPLES)
    tokenizer = AutoTokenizer.from_pretrained(out)
    inputs = tokenizer(["rain", "a beep"], padding=True, return_tensors="pt", return_token_type_ids=False)
    audio = extractor(noise(0.3), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
    with torch.no_grad():
        frames = model(**inputs, input_values=audio["input_values"]).logits_audio_text
    assert frames.shape == (1, 2, 8) and torch.isfinite(frames).all()


def test_training_is_repeatable_and_resumes(clips: list[Source], tmp_path: Path) -> None:
    first = train(clips, short_schedule(2), tmp_path / "a", seed=5)
    second = train(clips, short_schedule(2), tmp_path / "b", seed=5)
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)
    longer = train(clips, short_schedule(3), tmp_path / "a", seed=5, resume=True)
    assert longer.steps == 3


def test_training_begins_with_a_checkpoint(clips: list[Source], tmp_path: Path) -> None:
    first = train(clips, short_schedule(2), tmp_path / "a", seed=5)
    save_checkpoint(first.model, first.tokenizer, tmp_path / "checkpoint")
    schedule = dataclasses.replace(short_schedule(2), start=tmp_path / "checkpoint", learning_rate=0.0, text_steps=0)
    second = train(clips, schedule, tmp_path / "b", seed=6)
    assert second.tokenizer.get_vocab() == first.tokenizer.get_vocab()
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(other, one.half().float(), atol=1e-6, rtol=1e-6)
    resumed = train(clips, dataclasses.replace(schedule, steps=3), tmp_path / "b", seed=6, resume=True)
    assert resumed.steps == 3


def test_a_known_concept_stays_where_it_was_and_a_new_one_is_told_from_it(clips: list[Source], tmp_path: Path) -> None:
    first = train(clips, dataclasses.replace(short_schedule(1), text_steps=40), tmp_path / "a", seed=5)
    start = tmp_path / "checkpoint"
    save_checkpoint(first.model, first.tokenizer, start)
    (start / "concepts.json").write_text('[{"concept": "rain"}, {"concept": "no longer taught"}]')
    schedule = dataclasses.replace(short_schedule(1), start=start, learning_rate=0.0, text_steps=40)
    second = train(clips, schedule, tmp_path / "b", seed=6)

    def direction(trained: Trained, concept: str) -> torch.Tensor:
        texts = scoring.embed_texts(trained.model, trained.tokenizer, [captions.plain_prompt(concept)])
        return torch.nn.functional.normalize(texts[0], dim=0)

    before = direction(first, "rain")
    assert float(direction(second, "rain") @ before) > 0.8
    assert float(direction(second, "whale") @ before) < 0.5


def test_prompts_go_back_to_where_they_were(clips: list[Source], tmp_path: Path) -> None:
    trained = train(clips, short_schedule(0), tmp_path, seed=5)
    prompts = {concept: captions.plain_prompt(concept) for concept in ("rain", "beep", "kick")}
    before = scoring.embed_texts(trained.model, trained.tokenizer, [*prompts.values()])

    def distance() -> float:
        return float((scoring.embed_texts(trained.model, trained.tokenizer, [*prompts.values()]) - before).norm())

    with torch.no_grad():
        trained.model.text_audio_head.proj.weight.add_(0.05)
    moved = distance()
    hold(trained.model, trained.tokenizer, dict(zip(prompts, before, strict=True)))
    assert distance() < 0.2 * moved


def test_captions_alone_are_taught_without_a_change_of_what_is_heard(clips: list[Source], tmp_path: Path) -> None:
    first = train(clips, short_schedule(1), tmp_path / "a", seed=5)
    start = tmp_path / "checkpoint"
    save_checkpoint(first.model, first.tokenizer, start)
    (start / "concepts.json").write_text('[{"concept": "rain"}]')
    second = train(clips, dataclasses.replace(short_schedule(0), start=start, text_steps=2), tmp_path / "b", seed=6)
    before = PeAudioModel.from_pretrained(start).state_dict()
    weights = second.model.state_dict()
    changed = {name for name, weight in weights.items() if not torch.equal(weight, before[name])}
    assert changed and all(name.startswith(("text_model.", "text_audio_head.")) for name in changed)
    assert second.steps == 0


def test_the_rate_falls_at_the_end_alone() -> None:
    schedule = Schedule(steps=100)
    assert [schedule.rate(progress) for progress in (0.0, 0.5, 1 - COOLING)] == [1, 1, pytest.approx(1)]
    assert schedule.rate(1 - COOLING / 2) == pytest.approx(0.5) and schedule.rate(1.0) == 0.02
    assert dataclasses.replace(schedule, start=Path("x")).rate(0.0) == 0.7


def test_a_longer_run_goes_on_from_before_the_rate_fell(clips: list[Source], tmp_path: Path) -> None:
    train(clips, short_schedule(4), tmp_path, seed=5)
    before = torch.load(tmp_path / STATE_BEFORE_COOLING_FILE, weights_only=True)
    assert before["step"] == 3
    longer = train(clips, short_schedule(5), tmp_path, seed=5, resume=True, before_cooling=True)
    assert longer.steps == 5
    assert torch.load(tmp_path / STATE_FILE, weights_only=True)["step"] == 5


def test_broken_batches_stop_the_training(clips: list[Source], tmp_path: Path) -> None:
    schedule = short_schedule(2)
    schedule.lengths_s = ()
    with pytest.raises(IndexError):
        train(clips, schedule, tmp_path, seed=0)


def test_schedule_wants_one_length() -> None:
    with pytest.raises(ValueError, match="either minutes or steps"):
        Schedule()


def test_calibration_finds_factor_and_shift(model: PeAudioModel) -> None:
    generator = torch.Generator().manual_seed(0)
    right = torch.randn(20_000, generator=generator) * 3
    truth = torch.rand(20_000, generator=generator) < right.sigmoid()
    factor, shift = calibration.fit((right - 1) / 2, truth)
    assert factor == pytest.approx(2, rel=0.1) and shift == pytest.approx(1, rel=0.15)
    changed = copy.deepcopy(model)
    calibration.apply(changed, factor, shift)
    before = 0.7 * model.text_audio_logit_scale + model.text_audio_logit_bias
    after = 0.7 * changed.text_audio_logit_scale + changed.text_audio_logit_bias
    torch.testing.assert_close(after, factor * before + shift)


def test_command_trains_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for concept in ("rain", "dog_bark"):
        for fold in (1, 2):
            file = tmp_path / "data" / concept / f"{fold}-10-A.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, noise(1.0, fold), 44_100)
    monkeypatch.setattr(train_builtin, "SYNTHESISERS", {})
    monkeypatch.setattr(train_builtin, "Schedule", lambda **_: short_schedule(2))
    out = tmp_path / "checkpoint"
    folders = ["--data", str(tmp_path / "data"), "--work", str(tmp_path / "work"), "--out", str(out)]
    train_builtin.main([*folders, "--steps", "2", "--threads", "1", "--calibration", "0.5", "1.0"])
    concepts = json.loads((out / "concepts.json").read_text())
    assert [(entry["concept"], entry["recordings"]) for entry in concepts] == [
        ("dog_bark", {"data": 2}),
        ("rain", {"data": 2}),
    ]
    assert PeAudioModel.from_pretrained(out).text_audio_logit_bias.item() == pytest.approx(-1.0, abs=0.1)

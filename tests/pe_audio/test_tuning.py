"""Adapters on both towers: what they are asked for, what they calculate, and the checkpoint that comes of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import PeAudioFrameLevelModel, PeAudioModel

from pe_search.errors import MissingExtraError
from pe_search.pe_audio.checkpoint import find_checkpoint
from pe_search.pe_audio.embedder import Embedder
from pe_search.pe_audio.tuning import adapted
from pe_search.pe_audio.tuning.adapted import AdaptedTowers
from pe_search.pe_audio.tuning.lessons import Lesson, Plan
from pe_search.pe_audio.tuning.objective import contrast, judge, keep_sounds, keep_texts
from pe_search.pe_audio.tuning.training import Training
from tests.made_up import noise, tone

TEXTS = ("dog barking", "rain", "a church bell")
CPU = torch.device("cpu")


def flags(*rows: str) -> torch.Tensor:
    return torch.tensor([[mark == "x" for mark in row] for row in rows])


# The loss


def test_the_contrast_of_two_sounds_and_two_texts():
    odds = torch.tensor([[math.log(3), 0.0], [0.0, math.log(7)]])
    # Sounds: -ln 3/4 and -ln 7/8. Texts: -ln 3/4 and -ln 7/8 as well, at half the weight.
    expected = 1.5 * (math.log(4 / 3) + math.log(8 / 7)) / 2
    assert float(contrast(odds, flags("x.", ".x"), flags("xx", "xx"))) == pytest.approx(expected)


def test_right_texts_share_a_sound_and_what_is_not_known_counts_neither_way():
    odds = torch.tensor([[0.0, 0.0, 50.0], [0.0, 0.0, 0.0]])
    heard, known = flags("xx.", "..."), flags("xx.", "xxx")
    # The first sound: two right ones among two, -ln 1/2. The second has no text. Texts: right in 1 of 2 sounds, twice.
    expected = math.log(2) + 0.5 * math.log(2)
    assert float(contrast(odds, heard, known)) == pytest.approx(expected)


def test_nothing_heard_is_no_contrast():
    odds = torch.zeros(2, 2, requires_grad=True)
    loss = contrast(odds, flags("..", ".."), flags("xx", "xx"))
    loss.backward()
    assert float(loss.detach()) == 0
    assert odds.grad is not None
    assert odds.grad.eq(0).all()


def test_the_sigmoid_loss_sums_over_texts():
    odds = torch.tensor([[0.0, math.log(3)], [0.0, 100.0]])
    # ln 2 for even odds that are right, ln 4 for three to one that are wrong; ln 2, and one that isn't known.
    expected = (math.log(2) + math.log(4) + math.log(2)) / 2
    assert float(judge(odds, flags("x.", ".."), flags("xx", "x."))) == pytest.approx(expected)


def test_what_keeps_old_words_is_nothing_until_they_move():
    before = torch.tensor([[0.3, -2.0], [4.0, 0.0]])
    assert float(keep_sounds(before, before)) == pytest.approx(0, abs=1e-7)
    # From even odds to three to one: 1/2 ln (1/2)/(3/4) + 1/2 ln (1/2)/(1/4), for one of four pairs of two sounds.
    moved = torch.tensor([[0.3, -2.0], [4.0, math.log(3)]])
    assert float(keep_sounds(moved, before)) == pytest.approx(0.5 * math.log(4 / 3) / 2, rel=1e-5)


def test_old_texts_are_as_far_as_a_share_of_their_length():
    before = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    assert float(keep_texts(torch.tensor([[3.0, 4.0], [1.0, 2.0]]), before)) == pytest.approx((0 + 1 / 4) / 2)


# The towers


def windows() -> list[np.ndarray]:
    return [noise(1.0), tone(0.5, 440), noise(0.2, 3)]


def test_adapters_change_nothing_at_first_and_a_padded_window_is_as_if_alone(checkpoint_of_each_layout):
    directory, _ = checkpoint_of_each_layout
    checkpoint = find_checkpoint(str(directory))
    embedder = Embedder(checkpoint, "cpu")
    features = embedder.encode_windows(windows())
    assert [one.shape for one in features] == [(25, 8), (13, 8), (5, 8)]
    towers = AdaptedTowers(checkpoint, CPU, seed=0)
    with torch.no_grad():
        together = towers.embed_features(features).numpy()
        alone = np.concatenate([towers.embed_features([one]).numpy() for one in features])
        texts = towers.embed_texts(TEXTS).numpy()
    np.testing.assert_allclose(together, embedder.embed_windows(windows()), atol=2e-5)
    np.testing.assert_allclose(together, alone, atol=2e-5)
    np.testing.assert_allclose(texts, embedder.embed_texts(TEXTS), atol=2e-5)


def training(checkpoint, features, steps: int = 4, seed: int = 0) -> Training:
    lessons = [Lesson((0,), frozenset({0})), Lesson((1, 2), frozenset({1})), Lesson((2,), frozenset())]
    made = Training(checkpoint, "cpu", TEXTS[:2], TEXTS[2:], lessons, lambda one: features[one], Plan(steps, seed))
    made.remember(range(3), np.concatenate(list(made.embed_windows(range(3)))))
    return made


def test_the_merged_checkpoint_is_a_plain_one_that_embeds_as_the_adapted_towers(checkpoint_of_each_layout, tmp_path):
    directory, upstream = checkpoint_of_each_layout
    checkpoint = find_checkpoint(str(directory))
    features = Embedder(checkpoint, "cpu").encode_windows(windows())
    learner = training(checkpoint, features)
    before = np.concatenate(list(learner.embed_windows(range(3))))
    for _ in range(4):
        learner.step()
    after, texts = np.concatenate(list(learner.embed_windows(range(3)))), learner.embed_texts(TEXTS)
    assert np.abs(after - before).max() > 1e-3
    learner.save_merged(tmp_path)
    merged = find_checkpoint(str(tmp_path))
    assert merged.is_frame_level == checkpoint.is_frame_level
    embedder = Embedder(merged, "cpu")
    np.testing.assert_allclose(embedder.embed_windows(windows()), after, atol=5e-5)
    np.testing.assert_allclose(embedder.embed_texts(TEXTS), texts, atol=5e-5)
    assert (embedder.logit_scale, embedder.logit_bias) == pytest.approx((0.7, -0.4))
    kind = PeAudioFrameLevelModel if checkpoint.is_frame_level else PeAudioModel
    model, report = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert {name for names in report.values() for name in names} == set()
    # The codec, and all that has no adapter, is as it was.
    ours, theirs = model.state_dict(), upstream.state_dict()
    assert ours.keys() == theirs.keys()
    changed = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert all(
        name.endswith(("proj.weight", "Wo.weight", "Wi.weight", "Wqkv.weight", "output.weight")) for name in changed
    )
    assert not any("embedder" in name for name in changed)
    assert {name.split(".")[0] for name in changed} == {"audio_encoder", "audio_head", "text_model", "text_audio_head"}


# The training


def test_equal_seeds_give_equal_weights_and_others_others(plain_checkpoint):
    checkpoint = find_checkpoint(str(plain_checkpoint[0]))
    features = Embedder(checkpoint, "cpu").encode_windows(windows())
    weights = []
    for seed in (5, 5, 6):
        learner = training(checkpoint, features, seed=seed)
        losses = [learner.step() for _ in range(4)]
        weights.append((losses, learner.embed_texts(TEXTS).tobytes()))
    assert weights[0] == weights[1]
    assert weights[0][1] != weights[2][1]


def test_a_training_that_goes_on_from_a_state_equals_an_unbroken_one(plain_checkpoint, tmp_path):
    checkpoint = find_checkpoint(str(plain_checkpoint[0]))
    features = Embedder(checkpoint, "cpu").encode_windows(windows())
    unbroken = training(checkpoint, features)
    assert not unbroken.load_state(tmp_path / "state")
    unbroken.step()
    unbroken.step()
    unbroken.save_state(tmp_path / "state")
    rest = [unbroken.step(), unbroken.step()]
    resumed = training(checkpoint, features)
    assert resumed.load_state(tmp_path / "state")
    assert resumed.steps_done == 2
    assert [resumed.step(), resumed.step()] == rest
    assert resumed.embed_texts(TEXTS).tobytes() == unbroken.embed_texts(TEXTS).tobytes()
    (tmp_path / "state").write_bytes((tmp_path / "state").read_bytes()[:1000])
    assert not training(checkpoint, features).load_state(tmp_path / "state")


def test_a_training_lowers_its_loss_and_moves_a_sound_towards_its_text(plain_checkpoint):
    checkpoint = find_checkpoint(str(plain_checkpoint[0]))
    features = Embedder(checkpoint, "cpu").encode_windows(windows())
    learner = training(checkpoint, features, steps=30)

    def margin() -> float:
        sounds, texts = np.concatenate(list(learner.embed_windows([0]))), learner.embed_texts(TEXTS[:2])
        return float(sounds[0] @ (texts[0] - texts[1]))

    first, losses = margin(), [learner.step() for _ in range(30)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert margin() > first


def test_peft_that_is_missing_is_a_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"Tuning needs peft, .*`pip install 'pe-search\[tune\]'`"):
        adapted.need_peft()

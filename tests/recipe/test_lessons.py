"""Lessons: a Whisper encoder out of a file of CTranslate2, windows with its answers, and a training on them."""

import dataclasses
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import train_builtin
from recipe import captions
from recipe.architecture import SAMPLE_RATE_HZ, checkpoint_config
from recipe.frontend import BANDS, FilterBank, initialise_audio
from recipe.lessons import Lessons, prepare
from recipe.mixing import MixingPlan
from recipe.pool import Source
from recipe.prompts import fit_prompts, move_prompts
from recipe.pupil import answers_loss
from recipe.saved import save_checkpoint
from recipe.schedule import WITH_LESSONS, Schedule
from recipe.teacher import RATE_HZ, Teacher, read_weights, summary
from recipe.training import train
from transformers import PeAudioModel, WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

WIDTH, LAYERS = 12, 2
WINDOWS = {5: 40, 10: 20}


def noise(seconds: float, seed: int, rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * rate_hz))).astype(np.float32)


@pytest.fixture(scope="module")
def encoder() -> WhisperEncoder:
    torch.manual_seed(0)
    sizes = {"d_model": WIDTH, "encoder_layers": LAYERS, "encoder_attention_heads": 6, "encoder_ffn_dim": 20}
    return WhisperEncoder(WhisperConfig(**sizes, num_mel_bins=80, max_source_positions=50)).eval()


def write_ctranslate2(file: Path, encoder: WhisperEncoder) -> Path:
    """The weights under the names, and in the form, that CTranslate2 gives them."""
    weights = {"encoder/position_encodings/encodings": encoder.embed_positions.weight}
    for name in ("conv1", "conv2"):
        weights |= {f"encoder/{name}/{part}": value for part, value in getattr(encoder, name).named_parameters()}
    for index, layer in enumerate(encoder.layers):
        attention, at = layer.self_attn, f"encoder/layer_{index}"
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        weights[f"{at}/self_attention/linear_0/weight"] = torch.cat([part.weight for part in projections])
        biases = [attention.q_proj.bias, torch.zeros(WIDTH), attention.v_proj.bias]
        weights[f"{at}/self_attention/linear_0/bias"] = torch.cat(biases)
        linears = {"self_attention/linear_1": attention.out_proj, "ffn/linear_0": layer.fc1, "ffn/linear_1": layer.fc2}
        for part, linear in linears.items():
            weights |= {f"{at}/{part}/weight": linear.weight, f"{at}/{part}/bias": linear.bias}
        for part, norm in (("self_attention", layer.self_attn_layer_norm), ("ffn", layer.final_layer_norm)):
            weights |= {f"{at}/{part}/layer_norm/gamma": norm.weight, f"{at}/{part}/layer_norm/beta": norm.bias}

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", 3, len(weights))]
    for name, weight in weights.items():
        data = weight.detach().numpy().astype("<f4").tobytes()
        shape = struct.pack(f"<B{weight.ndim}I", weight.ndim, *weight.shape)
        parts += [text(name), shape, struct.pack("<BI", 0, len(data)), data]
    file.write_bytes(b"".join(parts))
    return file


@pytest.fixture
def teacher(tmp_path: Path, encoder: WhisperEncoder) -> Path:
    return write_ctranslate2(tmp_path / "model.bin", encoder)


@pytest.fixture
def sources() -> list[Source]:
    def source(concept: str, number: int, recorded: bool, level: float) -> Source:
        clip = (noise(0.5, number) * level).astype(np.float16)
        return Source(concept, f"{concept}/{number}", recorded, clips=[clip])

    return [source(c, i, True, level) for c, level in (("rain", 1.0), ("crow", 0.3)) for i in range(6)]


def model(seed: int = 0) -> PeAudioModel:
    torch.manual_seed(seed)
    made = PeAudioModel(checkpoint_config(300)).eval()
    clips = torch.from_numpy(np.stack([noise(1.0, number) for number in range(4)]))
    initialise_audio(made, clips, torch.Generator().manual_seed(seed))
    return made


# ---- the teacher


def test_the_teacher_is_whispers_encoder(teacher: Path, encoder: WhisperEncoder) -> None:
    samples = noise(1.0, 3, RATE_HZ)
    features = WhisperFeatureExtractor(chunk_length=1)(samples, sampling_rate=RATE_HZ, return_tensors="pt")
    with torch.no_grad():
        upstream = encoder(features["input_features"], output_hidden_states=True).hidden_states
    first, second = Teacher.read(teacher, LAYERS).hidden(torch.from_numpy(samples)[None])
    torch.testing.assert_close(first, upstream[1], atol=2e-4, rtol=1e-3)
    # Upstream's last state is normalised once more.
    torch.testing.assert_close(encoder.layer_norm(second), upstream[2], atol=2e-3, rtol=1e-3)
    assert summary([first, second]).shape == (1, 3 * WIDTH)


@pytest.mark.parametrize("data", [b"", b"RIFF", struct.pack("<I", 5)], ids=["empty", "another format", "old"])
def test_another_file_is_no_teacher(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(data)
    with pytest.raises(ValueError, match="no model of CTranslate2 in version 6"):
        read_weights(file)


# ---- lessons


def test_lessons_are_made_once_and_each_is_drawn_before_any_comes_again(
    teacher: Path, sources: list[Source], tmp_path: Path
) -> None:
    pupil = model()
    folder = prepare(sources, ["rain", "crow"], MixingPlan(nothing=0.0), teacher, pupil, tmp_path, 0, WINDOWS)
    stamps = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    again = prepare(sources, ["rain", "crow"], MixingPlan(nothing=0.0), teacher, pupil, tmp_path, 0, WINDOWS)
    assert again == folder and stamps == {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    lessons = Lessons(folder, np.random.default_rng(0), seconds_per_step=4.0)
    drawn = [lessons.draw() for _ in range(4)]
    assert sorted(lesson.bands.shape for lesson in drawn) == [
        (10, BANDS, 200),
        (10, BANDS, 200),
        (20, BANDS, 100),
        (20, BANDS, 100),
    ]
    for lesson in drawn:
        assert lesson.heard.shape == lesson.answers.shape == (len(lesson.bands), 2)
        assert lesson.frames.shape == (len(lesson.bands), lesson.bands.shape[2] // 20, 2)
    summaries = np.concatenate([lesson.summaries for lesson in drawn])
    assert summaries.shape == (60, 3 * WIDTH)
    np.testing.assert_allclose(summaries.mean(0), 0, atol=1e-3)
    assert len(np.unique(summaries, axis=0)) == 60


def test_other_recordings_make_other_lessons(teacher: Path, sources: list[Source], tmp_path: Path) -> None:
    made = [
        prepare(some, ["rain", "crow"], MixingPlan(), teacher, model(), tmp_path, 0, {5: 16})
        for some in (sources, sources[1:])
    ]
    assert made[0] != made[1]


def test_answers_are_matched_in_both_directions_and_in_level() -> None:
    answers = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]])
    level = float(answers.logsumexp(1)[0])
    same = answers - answers.logsumexp(1, keepdim=True) + level
    assert float(answers_loss(same, answers, level)) == pytest.approx(0, abs=1e-6)
    louder = same + torch.tensor([[0.0], [1.0]])
    assert float(answers_loss(louder, answers, level)) > 0.5
    assert float(answers_loss(same.flip(0), answers, level)) > 0.1


# ---- a training on them


def test_a_training_on_lessons_changes_the_audio_tower_alone(
    teacher: Path, sources: list[Source], tmp_path: Path
) -> None:
    sizes = {"tokenizer_captions": 300, "vocabulary_size": 400, "merge_dropout": 0.0, "text_steps": 2}
    first = train(sources, Schedule(steps=0, **sizes), tmp_path / "a", seed=5)
    start = tmp_path / "checkpoint"
    save_checkpoint(first.model, first.tokenizer, start)
    schedule = Schedule(steps=2, start=start, **(sizes | WITH_LESSONS | {"text_steps": 0, "seconds_per_step": 4.0}))
    concepts = [name for name in captions.CONCEPTS if name in ("rain", "crow")]
    before = PeAudioModel.from_pretrained(start, dtype=torch.float32)
    lessons = prepare(sources, concepts, schedule.plan, teacher, before, tmp_path, 0, WINDOWS)
    second = train(sources, schedule, tmp_path / "b", seed=5, lessons=lessons)
    again = train(sources, schedule, tmp_path / "c", seed=5, lessons=lessons)
    for one, other in zip(second.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    changed = {k for k, v in second.model.state_dict().items() if not torch.equal(v, before.state_dict()[k])}
    assert changed and not any(name.startswith(("text_model.", "text_audio_head.")) for name in changed)
    bank, bank_before = FilterBank.of(second.model), FilterBank.of(before)
    assert torch.equal(bank.filters, bank_before.filters)
    longer = dataclasses.replace(schedule, steps=3)
    assert train(sources, longer, tmp_path / "b", seed=5, resume=True, lessons=lessons).steps == 3


def test_prompts_are_fitted_to_what_is_heard() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, right = torch.randn(400, 8, generator=generator), torch.randn(3, 8, generator=generator)
    wanted = (3 * inputs @ right.T).softmax(1)
    start = torch.randn(3, 8, generator=generator)
    moved = fit_prompts(inputs, wanted, start)

    def agreement(prompts: torch.Tensor) -> float:
        return float(((inputs @ prompts.T).argmax(1) == wanted.argmax(1)).float().mean())

    assert agreement(start) < 0.4 and agreement(moved) > 0.8


def test_moved_prompts_change_the_text_head_alone(teacher: Path, sources: list[Source], tmp_path: Path) -> None:
    sizes = {"tokenizer_captions": 300, "vocabulary_size": 400, "merge_dropout": 0.0, "text_steps": 2}
    trained = train(sources, Schedule(steps=0, **sizes), tmp_path / "a", seed=5)
    before = {name: weight.clone() for name, weight in trained.model.state_dict().items()}
    folder = prepare(sources, ["rain", "crow"], MixingPlan(), teacher, trained.model, tmp_path, 0, WINDOWS)
    lessons = Lessons(folder, np.random.default_rng(0), seconds_per_step=4.0)
    move_prompts(trained.model, trained.tokenizer, ["rain", "crow"], lessons, count=4)
    changed = [k for k, weight in trained.model.state_dict().items() if not torch.equal(weight, before[k])]
    assert changed == ["text_audio_head.proj.weight"]


def test_a_teacher_needs_a_checkpoint_to_teach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        train_builtin.main(["--data", str(tmp_path), "--out", str(tmp_path / "o"), "--teacher", "model.bin"])
    assert ended.value.code == 2
    assert "--teacher needs --start" in capsys.readouterr().err

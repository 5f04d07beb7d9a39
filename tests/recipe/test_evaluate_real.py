"""Scores on real recordings that are for measuring only."""

from pathlib import Path
from types import SimpleNamespace

import evaluate_real
import pytest
import torch
from recipe import captions, validation
from recipe.validation import Cut, Figures, KindFigures

from pe_search.pe_audio.checkpoint import find_checkpoint
from tests.made_up import noise, write_audio

KINDS = ("rain", "crow", "cough")
PROMPTS = [captions.plain_prompt(kind) for kind in KINDS]
SCORES = {  # of a cut's embedding with the three prompts
    "rain/a-A": (0.1, 0.0, 0.0),
    "rain/a-B": (0.9, 0.2, 0.0),
    "rain/b-A": (0.3, 0.5, 0.0),
    "crow/c-A": (0.4, 0.6, 0.7),
    "cough/d-A": (0.0, 0.8, 0.1),
}


@pytest.fixture
def cuts() -> list[Cut]:
    return [Cut(name.split("/")[0], name[:-2], noise(0.1)) for name in SCORES]


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A model whose texts are unit vectors, and whose clips are embedded as `SCORES` has it."""
    eye = dict(zip(PROMPTS, torch.eye(3), strict=True))

    def embed_texts(model, tokenizer, texts):
        return torch.stack([eye.get(text, torch.full((3,), -5.0)) for text in texts])

    monkeypatch.setattr(validation, "embed_cuts", lambda *_: torch.tensor([*SCORES.values()]))
    monkeypatch.setattr(validation, "embed_texts", embed_texts)
    return SimpleNamespace(text_audio_logit_scale=torch.tensor(10.0), text_audio_logit_bias=torch.tensor(-5.0))


def test_a_recording_counts_once_by_its_best_cut(cuts, scored):
    figures = validation.figures(scored, None, cuts, KINDS)
    # rain: a 0.9, c 0.4, b 0.3; crow: d 0.8, c 0.6; cough: c 0.7, d 0.1.
    assert figures.kinds == {
        "rain": KindFigures(2, pytest.approx((1 + 2 / 3) / 2), True, 1),
        "crow": KindFigures(1, 0.5, False, 0),
        "cough": KindFigures(1, 0.5, False, 0),
    }
    assert figures.mean_precision == pytest.approx((5 / 6 + 0.5 + 0.5) / 3)
    assert figures.top_hit == pytest.approx(1 / 3) and figures.naming == pytest.approx(1 / 4)
    assert figures.untaught_below_half == 1.0


def test_kinds_that_are_not_asked_for_are_no_competition(cuts, scored, monkeypatch):
    monkeypatch.setattr(
        validation, "embed_cuts", lambda _, cuts: torch.tensor([SCORES[f"{c.recording}-A"] for c in cuts])
    )
    figures = validation.figures(scored, None, [cut for cut in cuts if cut.recording != "rain/a"], ("rain", "crow"))
    assert list(figures.kinds) == ["rain", "crow"]
    assert figures.kinds["rain"].precision == 0.5 and figures.kinds["crow"].precision == 1.0


def test_kinds_of_one_recording_are_left_out(cuts):
    assert validation.taught_kinds(cuts) == ["rain"]
    assert validation.taught_kinds(cuts, ["crow"]) == []


def test_the_kinds_are_those_of_the_first_measure():
    assert len(validation.KINDS) == 51 and set(validation.KINDS) <= set(captions.CONCEPTS)


def test_the_summary_has_all_means():
    figures = Figures({"rain": KindFigures(4, 0.51239, True, 3)}, 0.01, 0.99, (1.0, 0.0))
    assert figures.summary() == {
        "validate_mean_precision": 0.5124,
        "validate_top_hit": 1.0,
        "validate_naming": 0.75,
        "validate_calibration_error": 0.01,
        "validate_untaught_below_half": 0.99,
    }


def test_cuts_are_embedded_as_a_search_embeds_them():
    from recipe import scoring
    from transformers import PeAudioModel

    model = PeAudioModel.from_pretrained(find_checkpoint("builtin").directory, dtype=torch.float32).eval()
    clips = [noise(0.5, 1), noise(1.23, 2)]
    ours = validation.embed_cuts(model, [Cut("rain", "rain/a", clip) for clip in clips])
    upstream, _ = scoring.embed_clips(model, clips)
    assert float((ours - upstream).abs().max()) < 1e-4 * float(upstream.norm(dim=1).mean())


def test_frames_are_right_where_the_kinds_are_heard(monkeypatch, scored):
    """With embeddings that hear both kinds wherever a window is loud."""

    def audio_embeddings(model, bank, waveforms):
        levels = waveforms.reshape(-1, 1_920).std(1)
        loud = levels > 1.5 * levels.median()
        return torch.cat([torch.zeros(1, 3), loud[:, None].float().expand(-1, 3)])[None]

    monkeypatch.setattr(validation, "audio_embeddings", audio_embeddings)
    monkeypatch.setattr(validation.FilterBank, "of", lambda _: None)
    clips = [Cut(kind, f"{kind}/a", noise(2.0, seed)) for seed, kind in enumerate(("rain", "crow"))]
    figures = validation.frame_figures(scored, None, clips, ("rain", "crow"), count=6)
    # Nothing is missed; of what both prompts find, half is right where the events lie apart, all where they overlap.
    assert 2 / 3 <= figures.f1 < 1
    assert 0.5 < figures.area < 1


def test_the_command_prints_a_row_for_each_kind(tmp_path: Path, capsys):
    for name in ("rain/a-A.wav", "rain/a-B.wav", "crow/c-A.wav", "elephant/e-A.wav"):
        write_audio(tmp_path / name, noise(0.5, len(name)))
    evaluate_real.main([str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| crow | a crow cawing | 1 |") and lines[3].startswith("| rain | rain | 1 |")
    assert lines[4].startswith("| mean of 2 | | 2 |")


def test_a_folder_without_kinds_is_an_error(tmp_path: Path, capsys):
    with pytest.raises(SystemExit):
        evaluate_real.main([str(tmp_path)])
    assert "no folder that is named after one of the kinds" in capsys.readouterr().err

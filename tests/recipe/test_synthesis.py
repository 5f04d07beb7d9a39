"""The synthesisers: every concept gives a sound of the promised form, the same for the same seed."""

import shutil
from functools import cache

import numpy as np
import pytest
from recipe.synthesis import SAMPLE_RATE_HZ, SPOKEN, SYNTHESISERS, Sound, spoken

needs_espeak = pytest.mark.skipif(shutil.which(spoken.ESPEAK) is None, reason=f"{spoken.ESPEAK} is not installed")
CONCEPTS = [pytest.param(name, marks=needs_espeak) if name in SPOKEN else name for name in SYNTHESISERS]


def draw(concept: str, seed: int) -> Sound:
    return SYNTHESISERS[concept](np.random.default_rng(seed))


first_draw = cache(draw)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_draw_has_the_promised_form(concept: str) -> None:
    sound = first_draw(concept, 0)

    assert sound.dtype == np.float32
    assert sound.ndim == 1
    assert np.isfinite(sound).all()
    assert 0.0 < np.abs(sound).max() <= 1.0
    assert 0.05 <= len(sound) / SAMPLE_RATE_HZ <= 8.0


@pytest.mark.parametrize("concept", CONCEPTS)
def test_seed_decides_the_draw(concept: str) -> None:
    first, again, other = first_draw(concept, 0), draw(concept, 0), draw(concept, 1)

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_only_silence_is_silent() -> None:
    peaks = {name: np.abs(first_draw(name, 0)).max() for name in sorted(SYNTHESISERS.keys() - SPOKEN)}

    assert [name for name, peak in peaks.items() if peak < 0.01] == ["silence"]


def test_missing_espeak_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spoken, "ESPEAK", "no-such-speaker")
    spoken._spoken.cache_clear()

    with pytest.raises(RuntimeError, match=r"no-such-speaker not found.*install"):
        draw("speech", 0)

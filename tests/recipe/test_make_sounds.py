"""The clips in examples/sounds are what `make_sounds.py` makes and what its table says."""

from pathlib import Path

import make_sounds
import numpy as np
import pytest
import soundfile as sf

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All clips, made afresh."""
    out = tmp_path_factory.mktemp("sounds")
    make_sounds.make_sounds(out)
    return out


@pytest.fixture(params=["made", "committed"])
def sounds(request: pytest.FixtureRequest, made: Path) -> Path:
    """The folder of clips, afresh and as it comes with the repository."""
    return made if request.param == "made" else make_sounds.SOUNDS


def test_folder_holds_what_the_table_lists(sounds: Path) -> None:
    listed = {clip.path for clip in make_sounds.CLIPS} | {make_sounds.FIELD_RECORDING}

    assert {path.relative_to(sounds).as_posix() for path in sounds.rglob("*.flac")} == listed
    assert sum(path.stat().st_size for path in sounds.rglob("*.flac")) <= 5 * MEBIBYTE


def test_clips_have_the_listed_form(sounds: Path) -> None:
    for clip in make_sounds.CLIPS:
        info = sf.info(sounds / clip.path)
        assert (info.samplerate, info.channels) == (clip.sample_rate_hz, clip.channels), clip.path
        assert (info.format, info.subtype) == ("FLAC", "PCM_16"), clip.path
        assert 0.05 <= info.duration <= clip.longest_s + 0.01, clip.path


def test_field_recording_is_quiet_but_for_its_events(sounds: Path) -> None:
    samples, sample_rate_hz = sf.read(sounds / make_sounds.FIELD_RECORDING)
    assert len(samples) / sample_rate_hz == make_sounds.FIELD_S

    quiet = np.ones(len(samples), dtype=bool)
    for event in make_sounds.FIELD_EVENTS:
        within = slice(round(event.start_s * sample_rate_hz), round((event.start_s + event.longest_s) * sample_rate_hz))
        assert np.abs(samples[within]).max() > 0.2, event.concept
        quiet[within] = False
    assert np.abs(samples[quiet]).max() < 0.02


def test_same_clip_twice_is_the_same(tmp_path: Path, made: Path) -> None:
    clip = make_sounds.CLIPS[0]
    make_sounds.write(tmp_path / "again.flac", make_sounds.draw(clip.concept, clip.seed, clip.longest_s), 48_000)

    assert (tmp_path / "again.flac").read_bytes() == (made / clip.path).read_bytes()

"""Make `examples/sounds`: short clips to try pe-search on, synthesised from fixed seeds.

    python examples/make_sounds.py [--out DIR]

Nothing in them was recorded. They are 16-bit FLAC, most of them mono, up to five seconds long, at 48 kHz; `CLIPS` lists
them and those that differ: `helicopter.flac` is stereo and flies from left to right, `instruments/piano.flac` has
44.1 kHz and `telephone.flac` 22.05 kHz. `field-recording.flac` lasts three minutes, at 16 kHz: a quiet wind, and in it,
so that windows and spans have something to show,

| from | to   | what        |
|------|------|-------------|
| 0:12 | 0:19 | bird song   |
| 0:35 | 0:39 | dog barking |
| 1:02 | 1:10 | church bell |
| 1:31 | 1:35 | rooster     |
| 1:55 | 2:03 | thunder     |
| 2:30 | 2:34 | owl         |

The same versions of numpy and soxr on the same kind of processor give the same files, bit for bit.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray
from recipe.synthesis import SAMPLE_RATE_HZ, SYNTHESISERS, Sound

SOUNDS = Path(__file__).resolve().parent / "sounds"
PEAK = 0.6
FADE_S = 0.05


@dataclass(frozen=True)
class Clip:
    """A file to write: one draw of the synthesiser of `concept` from `seed`, cut to `longest_s`."""

    path: str
    concept: str
    seed: int
    longest_s: float = 3.0
    sample_rate_hz: int = SAMPLE_RATE_HZ
    channels: int = 1


@dataclass(frozen=True)
class Event:
    """Something that happens in the field recording, from `start_s`, no louder than `peak`."""

    concept: str
    seed: int
    start_s: float
    longest_s: float
    peak: float


CLIPS = (
    Clip("bird-song.flac", "bird_song", 7),
    Clip("cat-meowing.flac", "cat_meow", 4),
    Clip("clapping.flac", "clapping", 8),
    Clip("church-bell.flac", "church_bell", 6, longest_s=4.5),
    Clip("dog-barking.flac", "dog_bark", 6),
    Clip("engine-running.flac", "engine", 3),
    Clip("footsteps.flac", "footsteps", 3),
    Clip("glass-breaking.flac", "glass_break", 3),
    Clip("heartbeat.flac", "heartbeat", 2),
    Clip("helicopter.flac", "helicopter", 2, longest_s=2.5, channels=2),
    Clip("horse-hooves.flac", "horse_hooves", 5),
    Clip("knocking.flac", "knock", 6),
    Clip("owl-hooting.flac", "owl_hoot", 6),
    Clip("police-siren.flac", "siren", 8),
    Clip("rooster-crowing.flac", "rooster", 6),
    Clip("telephone.flac", "telephone", 7, sample_rate_hz=22_050),
    Clip("train-horn.flac", "train_horn", 4),
    Clip("typing.flac", "typing", 4),
    Clip("drums/closed-hi-hat.flac", "closed_hat", 2),
    Clip("drums/cowbell.flac", "cowbell", 7),
    Clip("drums/crash-cymbal.flac", "crash", 4),
    Clip("drums/drum-loop.flac", "drum_loop", 6),
    Clip("drums/hand-clap.flac", "clap", 7),
    Clip("drums/kick-drum.flac", "kick", 7),
    Clip("drums/open-hi-hat.flac", "open_hat", 7),
    Clip("drums/snare-drum.flac", "snare", 6),
    Clip("instruments/flute.flac", "flute", 8),
    Clip("instruments/guitar.flac", "guitar", 2),
    Clip("instruments/piano.flac", "piano", 6, sample_rate_hz=44_100),
    Clip("weather/rain.flac", "rain", 6, longest_s=2.5),
    Clip("weather/sea-waves.flac", "sea_waves", 4),
    Clip("weather/thunder.flac", "thunder", 8, longest_s=5.0),
    Clip("weather/wind.flac", "wind", 3),
)

FIELD_RECORDING = "field-recording.flac"
FIELD_RATE_HZ = 16_000
FIELD_S = 180.0
FIELD_EVENTS = (
    Event("bird_song", 5, 12.0, 7.0, 0.4),
    Event("dog_bark", 4, 35.0, 4.0, 0.5),
    Event("church_bell", 1, 62.0, 8.0, 0.4),
    Event("rooster", 5, 91.0, 4.0, 0.4),
    Event("thunder", 4, 115.0, 8.0, 0.6),
    Event("owl_hoot", 1, 150.0, 4.0, 0.3),
)


def draw(concept: str, seed: int, longest_s: float, peak: float = PEAK) -> Sound:
    """Return one draw of a concept, cut with a short fade, at the given peak."""
    sound = SYNTHESISERS[concept](np.random.default_rng(seed))[: round(longest_s * SAMPLE_RATE_HZ)].copy()
    fade = min(len(sound), round(FADE_S * SAMPLE_RATE_HZ))
    sound[len(sound) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return np.asarray(sound * (peak / np.abs(sound).max()), dtype=np.float32)


def panned(sound: Sound) -> NDArray[np.float32]:
    """Return a mono sound as stereo (samples × 2) that moves from left to right, its power steady."""
    angle = np.linspace(0.05, 0.95, len(sound)) * np.pi / 2.0
    return np.stack([sound * np.cos(angle), sound * np.sin(angle)], axis=1).astype(np.float32)


def field_recording() -> Sound:
    """Return three minutes of quiet wind with `FIELD_EVENTS` in it, at `FIELD_RATE_HZ`."""
    rng = np.random.default_rng(0)
    n = round(FIELD_S * FIELD_RATE_HZ)
    # Gusts of noise below some 300 Hz, faint: what FLAC packs well, and what a microphone hears on a calm day.
    frequency_hz = np.fft.rfftfreq(n, 1.0 / FIELD_RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(n)) / (1.0 + (frequency_hz / 300.0) ** 2)
    knots = np.exp(0.5 * rng.standard_normal(60))
    gusts = np.interp(np.linspace(0.0, 59.0, n), np.arange(60), knots)
    wind = np.fft.irfft(spectrum, n) * gusts
    mix = 0.004 * wind / np.abs(wind).max()
    for event in FIELD_EVENTS:
        sound = draw(event.concept, event.seed, event.longest_s, event.peak)
        sound = soxr.resample(sound, SAMPLE_RATE_HZ, FIELD_RATE_HZ)
        start = round(event.start_s * FIELD_RATE_HZ)
        mix[start : start + len(sound)] += sound
    return np.asarray(mix, dtype=np.float32)


def write(path: Path, sound: NDArray[np.float32], sample_rate_hz: int) -> None:
    """Write a 16-bit FLAC file, packed as small as FLAC can."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, sound, sample_rate_hz, format="FLAC", subtype="PCM_16", compression_level=1.0)


def make_sounds(out: Path) -> list[Path]:
    """Write all clips below `out` and return their paths."""
    paths = []
    for clip in CLIPS:
        sound = draw(clip.concept, clip.seed, clip.longest_s)
        if clip.sample_rate_hz != SAMPLE_RATE_HZ:
            sound = soxr.resample(sound, SAMPLE_RATE_HZ, clip.sample_rate_hz)
        write(out / clip.path, panned(sound) if clip.channels == 2 else sound, clip.sample_rate_hz)
        paths.append(out / clip.path)
    write(out / FIELD_RECORDING, field_recording(), FIELD_RATE_HZ)
    paths.append(out / FIELD_RECORDING)
    return paths


def main() -> None:
    """Parse the command line and write the clips."""
    parser = argparse.ArgumentParser(description="Make the clips of examples/sounds.")
    parser.add_argument("--out", type=Path, default=SOUNDS, help=f"folder to write to (default: {SOUNDS})")
    out = parser.parse_args().out
    paths = make_sounds(out)
    print(f"{len(paths)} clips, {sum(path.stat().st_size for path in paths) / 1e6:.1f} MB, in {out}")


if __name__ == "__main__":
    main()

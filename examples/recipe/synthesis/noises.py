"""Noises, test tones, radio and game effects."""

import numpy as np
from numpy.random import Generator

from recipe.synthesis.signals import (
    SAMPLE_RATE_HZ,
    Signal,
    Sound,
    band_pass,
    bandlimited,
    between,
    between_log,
    chance,
    coloured,
    crushed,
    curve,
    decay,
    dust,
    harmonics,
    high_pass,
    low_pass,
    moving_band,
    peak_one,
    phase_of,
    place,
    random_equaliser,
    recorded,
    resonant,
    samples,
    sawtooth,
    silence_of,
    sine,
    square,
    swell,
    to_sound,
    voice,
    wander,
    white,
)


def _oscillator(rng: Generator, frequency_hz: Signal | float, n: int) -> Signal:
    """Return a sine, square, triangle-like or sawtooth wave, whichever is drawn."""
    kind = rng.random()
    if kind < 0.4:
        return sine(frequency_hz, n)
    if kind < 0.65:
        return square(frequency_hz, n, float(rng.choice([0.125, 0.25, 0.5])))
    if kind < 0.8:
        return harmonics(frequency_hz, n, [1.0, -1.0 / 9.0, 1.0 / 25.0, -1.0 / 49.0], odd=True)
    return sawtooth(frequency_hz, n)


def white_noise(rng: Generator) -> Sound:
    """Return steady noise, equally strong at all frequencies."""
    x = coloured(rng, samples(between(rng, 1.0, 6.0)), between(rng, -0.2, 0.25))
    if chance(rng, 0.2):
        x = bandlimited(x, between_log(rng, 9000.0, 20_000.0))
    return to_sound(x, between_log(rng, 0.1, 1.0))


def pink_noise(rng: Generator) -> Sound:
    """Return steady noise that falls by 3 dB per octave."""
    return to_sound(coloured(rng, samples(between(rng, 1.0, 6.0)), between(rng, 0.8, 1.25)), between_log(rng, 0.1, 1.0))


def rumble(rng: Generator) -> Sound:
    """Return a low rumble: brown noise, distant traffic, a boiler room."""
    n = samples(between(rng, 2.0, 7.0))
    x = coloured(rng, n, between(rng, 1.8, 3.0)) * np.exp(
        between(rng, 0.0, 0.35) * wander(rng, n, between(rng, 0.5, 6.0))
    )
    if chance(rng, 0.5):
        x = low_pass(x, between_log(rng, 60.0, 400.0))
    if chance(rng, 0.3):
        x += (
            between(rng, 0.1, 0.6)
            * resonant(white(rng, n), between_log(rng, 30.0, 110.0), between(rng, 3.0, 15.0))
            * 8.0
        )
    return to_sound(x, between_log(rng, 0.15, 1.0))


def hum(rng: Generator) -> Sound:
    """Return electric hum: 50 or 60 Hz and its harmonics, transformers, fridges, ground loops."""
    n = samples(between(rng, 2.0, 7.0))
    mains_hz = float(rng.choice([50.0, 60.0])) * between(rng, 0.998, 1.002)
    count = int(rng.integers(4, 40))
    order = np.arange(1, count + 1)
    levels = np.exp(0.9 * rng.standard_normal(count)) / order ** between(rng, 0.5, 1.8)
    levels[1::2] *= between_log(rng, 0.5, 6.0)  # Iron swings twice a cycle: even harmonics often win.
    x = peak_one(harmonics(mains_hz, n, levels)) * (1.0 + 0.03 * wander(rng, n, 2.0))
    x += between_log(rng, 0.0005, 0.04) * coloured(rng, n, between(rng, 0.0, 1.5))
    return to_sound(random_equaliser(rng, x, 6.0), between_log(rng, 0.1, 1.0))


def tone(rng: Generator) -> Sound:
    """Return a steady sine tone."""
    n = samples(between(rng, 1.0, 6.0))
    x = (
        sine(between_log(rng, 90.0, 7000.0), n)
        + between_log(rng, 0.0001, 0.05) * sine(between_log(rng, 200.0, 9000.0), n) * 0.2
    )
    if chance(rng, 0.4):
        x += between_log(rng, 0.0003, 0.01) * coloured(rng, n, 1.0)
    return to_sound(x, between_log(rng, 0.1, 1.0))


def beep(rng: Generator) -> Sound:
    """Return one or a few short electronic beeps: a microwave, a scanner, a user interface."""
    length_s, gap_s = between_log(rng, 0.04, 0.7), between_log(rng, 0.06, 0.8)
    pitch_hz = between_log(rng, 350.0, 4200.0)
    shape = int(rng.integers(0, 3))
    parts: list[Signal] = []
    for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.5, 0.25, 0.15, 0.1]))):
        n = samples(length_s)
        wave = (sine(pitch_hz, n), square(pitch_hz, n), harmonics(pitch_hz, n, [1.0, 0.3, 0.3, 0.1, 0.15]))[shape]
        edge = between_log(rng, 0.004, 0.1)
        parts += [wave * swell(n, edge, edge), np.zeros(samples(gap_s))]
        if chance(rng, 0.15):
            pitch_hz *= between(rng, 0.6, 1.6)
    x = np.concatenate(parts[:-1])
    return recorded(rng, x, room=0.4, room_s=(0.1, 0.6), distance=0.1, noise=0.3)


def sweep(rng: Generator) -> Sound:
    """Return a tone that glides steadily up or down, a test sweep."""
    n = samples(between(rng, 1.0, 7.0))
    start_hz, end_hz = between_log(rng, 30.0, 300.0), between_log(rng, 3000.0, 19_000.0)
    path = np.linspace(0.0, 1.0, n)
    frequency_hz = start_hz * (end_hz / start_hz) ** path if chance(rng, 0.7) else start_hz + (end_hz - start_hz) * path
    if chance(rng, 0.4):
        frequency_hz = frequency_hz[::-1]
    x = sine(frequency_hz, n) if chance(rng, 0.8) else _oscillator(rng, frequency_hz, n)
    return to_sound(x + between_log(rng, 0.0001, 0.005) * white(rng, n), between_log(rng, 0.15, 1.0))


def silence(rng: Generator) -> Sound:
    """Return silence: nothing at all, or the faintest noise of a quiet room or a sound card."""
    n = samples(between(rng, 1.0, 6.0))
    if chance(rng, 0.15):
        return to_sound(white(rng, n), 1e-6)
    return to_sound(coloured(rng, n, between(rng, 0.0, 2.0)), between_log(rng, 0.00002, 0.002))


def radio_static(rng: Generator) -> Sound:
    """Return radio noise between stations: hiss, crackle, whistles, fragments that fade in and out."""
    n = samples(between(rng, 2.0, 6.0))
    x = band_pass(white(rng, n), between_log(rng, 150.0, 500.0), between_log(rng, 2500.0, 9000.0), 2)
    x = x / float(np.std(x)) * np.exp(between(rng, 0.05, 0.6) * wander(rng, n, between_log(rng, 1.0, 15.0)))
    crackle = band_pass(dust(rng, n, between_log(rng, 2.0, 200.0), 1.2), 400.0, 6000.0, 1)
    x += between(rng, 0.2, 1.5) * crackle / max(float(np.std(crackle)), 1e-9)
    if chance(rng, 0.4):
        glide_hz = np.clip(between_log(rng, 400.0, 3000.0) * 2.0 ** wander(rng, n, 1.0), 100.0, 6000.0)
        x += between(rng, 0.2, 1.2) * sine(glide_hz, n)
    if chance(rng, 0.25):
        pitch = between(rng, 90.0, 220.0) * (1.0 + 0.15 * wander(rng, n, 4.0))
        tract = [list(rng.uniform(300, 800, 20)), list(rng.uniform(900, 2300, 20)), [2600.0]]
        talk = peak_one(voice(rng, pitch, tract)) * np.clip(wander(rng, n, 5.0), 0.0, 1.5)
        x += 3.0 * band_pass(talk, 400.0, 2600.0)
    if chance(rng, 0.3):
        for _ in range(int(rng.integers(1, 4))):
            start = int(rng.integers(0, n))
            x[start : start + samples(between(rng, 0.05, 0.5))] *= between(rng, 0.0, 0.3)
    return to_sound(x, between_log(rng, 0.15, 1.0))


def vinyl_crackle(rng: Generator) -> Sound:
    """Return the run-in groove of a record: pops and ticks, hiss, rumble, at times once per turn."""
    n = samples(between(rng, 2.0, 7.0))
    ticks = high_pass(dust(rng, n, between_log(rng, 15.0, 200.0), 1.1), between_log(rng, 700.0, 3000.0), 1)
    pops = low_pass(dust(rng, n, between_log(rng, 0.5, 8.0), 0.8), between_log(rng, 1500.0, 6000.0), 1) * 3.0
    x = ticks + pops
    if chance(rng, 0.5):
        turn = samples(60.0 / float(rng.choice([33.33, 45.0, 78.0])))
        scratch = low_pass(dust(rng, samples(0.05), 100.0, 0.5), 5000.0, 1) * 4.0
        for start in range(int(rng.integers(0, turn)), n - len(scratch), turn):
            x[start : start + len(scratch)] += scratch * between(rng, 0.6, 1.0)
    x = peak_one(x)
    x += between_log(rng, 0.001, 0.015) * coloured(rng, n, between(rng, 0.3, 1.2))
    rumbling = low_pass(coloured(rng, n, 1.5), 90.0)
    x += between_log(rng, 0.001, 0.03) * rumbling / float(np.std(rumbling))
    if chance(rng, 0.5):
        x = low_pass(x, between_log(rng, 4000.0, 12_000.0), 1)
    return to_sound(x, between_log(rng, 0.15, 1.0))


MORSE = (
    ".-",
    "-...",
    "-.-.",
    "-..",
    ".",
    "..-.",
    "--.",
    "....",
    "..",
    ".---",
    "-.-",
    ".-..",
    "--",
    "-.",
    "---",
    ".--.",
    "...",
    "-",
)


def morse_code(rng: Generator) -> Sound:
    """Return letters in Morse code, often with the hiss of a receiver."""
    unit_s = 1.2 / between(rng, 9.0, 32.0)
    duration_s = between(rng, 2.0, 6.0)
    timeline = silence_of(duration_s)
    pitch_hz = between_log(rng, 380.0, 1400.0)
    at_s = between(rng, 0.0, 0.3)
    while at_s < duration_s:
        for mark in MORSE[int(rng.integers(len(MORSE)))]:
            n = samples(unit_s * (3.0 if mark == "-" else 1.0) * between(rng, 0.95, 1.05))
            edge = samples(0.005) / n
            place(timeline, sine(pitch_hz, n) * swell(n, edge, edge), at_s)
            at_s += n / SAMPLE_RATE_HZ + unit_s
        at_s += 2.0 * unit_s * (3.0 if chance(rng, 0.2) else 1.0)
    n = len(timeline)
    if chance(rng, 0.5):
        timeline = timeline + between_log(rng, 0.02, 0.6) * band_pass(white(rng, n), 300.0, 3000.0)
        timeline *= np.exp(between(rng, 0.0, 0.3) * wander(rng, n, 1.0))
    return to_sound(timeline, between_log(rng, 0.15, 1.0))


def laser(rng: Generator) -> Sound:
    """Return laser shots: fast falling sweeps, as in films and arcades."""
    top_hz, bottom_hz = between_log(rng, 1500.0, 9000.0), between_log(rng, 60.0, 500.0)
    length_s = between_log(rng, 0.1, 0.6)
    n = samples(length_s)
    rate = between(rng, 2.0, 8.0) / length_s
    path_hz = bottom_hz + (top_hz - bottom_hz) * decay(n, 1.0 / rate)
    shot = _oscillator(rng, path_hz, n) * decay(n, length_s / between(rng, 1.2, 4.0))
    if chance(rng, 0.4):
        shot = shot + between(rng, 0.2, 0.7) * np.interp(np.arange(n) - samples(0.012), np.arange(n), shot, left=0.0)
    if chance(rng, 0.3):
        shot *= 1.0 + 0.8 * sine(between_log(rng, 30.0, 300.0), n)
    timeline = silence_of(length_s + between(rng, 0.05, 4.0))
    at_s = 0.0
    while at_s < len(timeline) / SAMPLE_RATE_HZ:
        place(timeline, shot, at_s, between(rng, 0.7, 1.0))
        at_s += between(rng, 0.5, 1.5) * between_log(rng, 0.12, 1.0) + 0.4 * length_s
    return recorded(rng, timeline, room=0.4, distance=0.1, noise=0.15)


def video_game(rng: Generator) -> Sound:
    """Return the chip of an old game: jingles, arpeggios, coins, jumps, explosions, power-ups."""
    timeline = silence_of(between(rng, 1.0, 5.0))
    scale = (
        np.array([0, 2, 4, 7, 9, 12, 14, 16, 19, 21, 24])
        if chance(rng, 0.6)
        else np.array([0, 3, 5, 7, 10, 12, 15, 17, 19, 22, 24])
    )
    root_hz = between_log(rng, 110.0, 440.0)
    width = float(rng.choice([0.125, 0.25, 0.5]))
    step_s = between_log(rng, 0.05, 0.17)
    melody = chance(rng, 0.55)
    at_s, place_in_scale = 0.0, int(rng.integers(len(scale)))
    while at_s < len(timeline) / SAMPLE_RATE_HZ:
        if melody:
            place_in_scale = int(np.clip(place_in_scale + rng.integers(-3, 4), 0, len(scale) - 1))
            n = samples(step_s * float(rng.choice([1.0, 1.0, 2.0])))
            note = square(root_hz * 2.0 ** (scale[place_in_scale] / 12.0), n, width) * decay(n, between(rng, 0.05, 0.4))
            place(timeline, note, at_s)
            if chance(rng, 0.5):
                bass = harmonics(root_hz / 2.0 * float(rng.choice([1.0, 1.335, 1.5])), n, [1.0, -0.11, 0.04], odd=True)
                place(timeline, bass, at_s, 0.7)
            if chance(rng, 0.2):
                hiss = np.repeat(white(rng, n // 4 + 1), 4)[:n] * decay(n, 0.03)
                place(timeline, hiss, at_s, 0.25)
            at_s += n / SAMPLE_RATE_HZ
        else:
            effect = _game_effect(rng, width)
            place(timeline, effect, at_s, between(rng, 0.6, 1.0))
            at_s += len(effect) / SAMPLE_RATE_HZ + between_log(rng, 0.05, 0.7)
    return to_sound(crushed(timeline, between(rng, 4.0, 9.0), int(rng.integers(1, 4))), between_log(rng, 0.2, 1.0))


def _game_effect(rng: Generator, width: float) -> Signal:
    kind = int(rng.integers(4))
    n = samples(between_log(rng, 0.12, 0.5))
    low_hz = between_log(rng, 150.0, 700.0)
    if kind == 0:
        return square(low_hz * curve(n, [1.0, between(rng, 1.8, 4.0)]), n, width) * curve(n, [1.0, 0.6, 0.0])
    if kind == 1:
        step = samples(between(rng, 0.05, 0.1))
        pitch = np.where(np.arange(n) < step, 2.0 * low_hz, 2.7 * low_hz)
        return square(pitch, n, width) * decay(n, 0.15)
    if kind == 2:
        hold = int(rng.integers(4, 24))
        return np.repeat(white(rng, n // hold + 1), hold)[:n] * decay(n, 0.12)
    ladder = low_hz * 2.0 ** (np.floor(curve(n, [0.0, 8.0])) * between(rng, 0.15, 0.4))
    return square(ladder, n, width) * curve(n, [1.0, 0.8, 0.2])


def robot(rng: Generator) -> Sound:
    """Return a robot: vowels on a fixed pitch through ring modulation and combs, servo chirps and bleeps."""
    parts: list[Signal] = []
    speaking = chance(rng, 0.6)
    pitch_hz = between_log(rng, 60.0, 220.0)
    ring_hz = between_log(rng, 25.0, 400.0)
    for _ in range(int(rng.integers(3, 12))):
        n = samples(between_log(rng, 0.06, 0.35))
        if speaking:
            tract = [list(rng.uniform(280, 850, 2)), list(rng.uniform(800, 2400, 2)), [2700.0], [3600.0]]
            x = voice(
                rng, np.full(n, pitch_hz * float(rng.choice([1.0, 1.0, 1.122, 0.89]))), tract, tilt=0.4, bandwidth=0.8
            )
            x = peak_one(x) * (sine(ring_hz, n) if chance(rng, 0.7) else 1.0)
        else:
            path = between_log(rng, 200.0, 2500.0) * 2.0 ** np.interp(
                np.linspace(0, 1, n), np.linspace(0, 1, 4), rng.uniform(-1, 1, 4)
            )
            turns = phase_of(path, n)
            x = np.sin(
                2.0 * np.pi * turns
                + between(rng, 0.5, 5.0) * np.sin(2.0 * np.pi * turns * float(rng.choice([0.5, 1.5, 2.0, 3.1])))
            )
        parts += [x * swell(n, 0.08, 0.1), np.zeros(samples(between_log(rng, 0.005, 0.12)))]
    x = np.concatenate(parts)
    delay = samples(between_log(rng, 0.002, 0.02))
    echo = x.copy()
    for _ in range(3):
        echo = np.concatenate([np.zeros(delay), echo[:-delay]]) * 0.7
        x = x + echo
    if chance(rng, 0.3):
        x = crushed(x, between(rng, 4.0, 8.0), int(rng.integers(2, 8)))
    return recorded(rng, x, room=0.3, distance=0.1, noise=0.2)


def whoosh(rng: Generator) -> Sound:
    """Return whooshes: noise whose band rises and falls as something swings or flies past."""
    parts: list[Signal] = []
    for _ in range(int(rng.choice([1, 2, 3], p=[0.65, 0.2, 0.15]))):
        n = samples(between_log(rng, 0.2, 2.2))
        peak_at = between(rng, 0.3, 0.75)
        low_hz, high_hz = between_log(rng, 150.0, 900.0), between_log(rng, 1000.0, 6000.0)
        q = between_log(rng, 0.5, 3.0)

        height = np.interp(np.linspace(0.0, 1.0, n), [0.0, peak_at, 1.0], [0.0, 1.0, 0.15])
        x = moving_band(coloured(rng, n, between(rng, 0.0, 1.0)), low_hz * (high_hz / low_hz) ** height, q)
        envelope = np.interp(np.linspace(0, 1, n), [0.0, peak_at, 1.0], [0.0, 1.0, 0.0]) ** between(rng, 1.2, 3.0)
        parts += [peak_one(x * envelope), np.zeros(samples(between(rng, 0.05, 0.5)))]
    return recorded(rng, np.concatenate(parts), room=0.5, distance=0.1, noise=0.2)

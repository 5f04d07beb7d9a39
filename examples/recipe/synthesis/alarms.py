"""Alarms, horns, bells, telephones and clocks."""

import numpy as np
from numpy.random import Generator

from recipe.synthesis.signals import (
    SAMPLE_RATE_HZ,
    Signal,
    Sound,
    attack_decay,
    band_pass,
    between,
    between_log,
    chance,
    coloured,
    curve,
    decay,
    falling_levels,
    harmonics,
    high_pass,
    irregular_times_s,
    low_pass,
    modes,
    peak_one,
    place,
    recorded,
    resonant,
    samples,
    silence_of,
    sine,
    square,
    swell,
    time_s,
    uneven_levels,
    wander,
    white,
)

# Partials of a tuned church bell, relative to its strike note: hum, prime, tierce, quint, nominal and above.
CHURCH_PARTIALS = np.array([0.5, 1.0, 1.183, 1.506, 2.0, 2.514, 2.662, 3.011, 4.166, 5.433, 6.796, 8.215])


# --- Sirens, alarms, horns --------------------------------------------------------------------------------------------


def siren(rng: Generator) -> Sound:
    """Return a siren: wail, yelp, two tones, hi-lo, or the slow howl of an air-raid siren; near or passing."""
    n = samples(between(rng, 3.0, 8.0))
    t = time_s(n)
    kind = int(rng.integers(4))
    low_hz = between_log(rng, 350.0, 800.0)
    high_hz = low_hz * between(rng, 1.4, 2.6)
    if kind == 0:  # Wail and yelp.
        rate = between_log(rng, 0.15, 4.5)
        rise = between(rng, 0.3, 0.75)
        phase = (t * rate + rng.random()) % 1.0
        height = np.where(phase < rise, phase / rise, (1.0 - phase) / (1.0 - rise)) ** between(rng, 0.6, 1.4)
        pitch = low_hz * (high_hz / low_hz) ** height
    elif kind == 1:  # Two tones, as ambulances and fire engines in Europe have.
        high_hz = low_hz * between(rng, 1.2, 1.5)
        step = (t / between(rng, 0.35, 1.0)).astype(np.int64) % 2
        pitch = np.where(step == 0, low_hz, high_hz)
    elif kind == 2:  # A rotor that spins up and down.
        low_hz *= between(rng, 0.3, 0.8)
        pitch = low_hz + low_hz * between(rng, 0.6, 1.6) * (
            0.5 - 0.5 * np.cos(2.0 * np.pi * (t / between(rng, 4.0, 12.0) + rng.random()))
        )
    else:  # A whoop: rising again and again.
        pitch = low_hz * (high_hz / low_hz) ** ((t * between_log(rng, 0.5, 3.0)) % 1.0)
    if chance(rng, 0.35):
        seconds = t - between(rng, 0.2, 0.8) * n / SAMPLE_RATE_HZ
        closest_s = between(rng, 0.6, 2.0)
        pitch = pitch * (1.0 - 0.06 * seconds / np.sqrt(seconds**2 + closest_s**2))
        loudness = 1.0 / np.sqrt(1.0 + (seconds / (2.0 * closest_s)) ** 2)
    else:
        loudness = np.ones(n)
    levels = uneven_levels(rng, 15, between(rng, 0.7, 2.2), 0.5)
    levels[0] = 1.0
    x = harmonics(pitch, n, levels) * loudness
    if chance(rng, 0.4):
        traffic = coloured(rng, n, 1.3)
        x = peak_one(x) + between_log(rng, 0.01, 0.12) * traffic
    return recorded(rng, x, room=0.85, room_s=(0.3, 2.5), distance=0.45, noise=0.6)


def alarm(rng: Generator) -> Sound:
    """Return an alarm: a smoke detector, an alarm clock, a car or burglar alarm, a warning buzzer."""
    n = samples(between(rng, 2.0, 6.5))
    t = time_s(n)
    kind = int(rng.integers(4))
    if kind == 0:  # A smoke detector's piezo, in threes or all the time.
        pitch_hz = between(rng, 2700.0, 3600.0)
        group_s, beep_s = between(rng, 1.2, 4.0), between(rng, 0.25, 0.6)
        inside = t % group_s
        gate = (
            (inside < 3.0 * beep_s) & (inside % beep_s < 0.6 * beep_s)
            if chance(rng, 0.6)
            else t % beep_s < 0.7 * beep_s
        )
        x = harmonics(pitch_hz, n, [1.0, 0.3, 0.4, 0.1]) * gate
    elif kind == 1:  # An alarm clock: quick groups of beeps.
        pitch_hz = between_log(rng, 900.0, 4200.0)
        beep_s, group = between(rng, 0.06, 0.16), int(rng.integers(1, 5))
        group_s = beep_s * group * 2.0 + between(rng, 0.1, 0.9)
        inside = t % group_s
        gate = (inside < group * 2.0 * beep_s) & (inside % (2.0 * beep_s) < beep_s)
        x = (square(pitch_hz, n) if chance(rng, 0.5) else harmonics(pitch_hz, n, [1.0, 0.1, 0.3])) * gate
    elif kind == 2:  # A buzzer or klaxon, on and off.
        pitch_hz = between_log(rng, 150.0, 700.0)
        gate = t % (period := between_log(rng, 0.4, 1.6)) < period * between(rng, 0.45, 0.8)
        x = harmonics(pitch_hz, n, falling_levels(49, between(rng, 0.4, 1.0))) * gate
    else:  # A burglar alarm that chirps up or warbles between two tones.
        low_hz, ratio = between_log(rng, 600.0, 2200.0), between(rng, 1.2, 1.9)
        phase = t * between_log(rng, 2.0, 12.0) % 1.0
        pitch = low_hz * np.where(phase < 0.5, 1.0, ratio) if chance(rng, 0.5) else low_hz * ratio**phase
        x = square(pitch, n) if chance(rng, 0.5) else harmonics(pitch, n, [1.0, 0.2, 0.3, 0.1])
    x = low_pass(x, 9000.0, 1)
    return recorded(rng, x, room=0.8, room_s=(0.2, 1.8), distance=0.3, noise=0.6)


def _brass_horn(rng: Generator, pitches_hz: list[float], n: int, roll_off: float) -> Signal:
    """Return several reeds or diaphragms that sound together, with breath and slow beats."""
    total = np.zeros(n)
    for pitch_hz in pitches_hz:
        pitch = (
            pitch_hz
            * (1.0 + 0.002 * wander(rng, n, 3.0))
            * curve(n, [between(rng, 0.93, 1.0), 1.0, 1.0], [0.0, 0.06, 1.0])
        )
        levels = uneven_levels(rng, 39, roll_off, 0.35)
        total += between(rng, 0.6, 1.0) * harmonics(pitch, n, levels)
    hiss = band_pass(white(rng, n), 500.0, 6000.0, 1)
    return peak_one(total) + between_log(rng, 0.003, 0.05) * hiss


def car_horn(rng: Generator) -> Sound:
    """Return a car horn: one or two reeds about a third apart, in short toots or held."""
    low_hz = between_log(rng, 300.0, 480.0)
    pitches_hz = [low_hz] if chance(rng, 0.25) else [low_hz, low_hz * between(rng, 1.17, 1.28)]
    roll_off = between(rng, 0.2, 0.7)
    parts: list[Signal] = []
    for _ in range(int(rng.integers(1, 5))):
        n = samples(between_log(rng, 0.12, 1.8))
        edge = min(0.3, 0.012 * SAMPLE_RATE_HZ / n)
        parts += [
            _brass_horn(rng, pitches_hz, n, roll_off) * swell(n, edge, edge),
            np.zeros(samples(between(rng, 0.06, 0.4))),
        ]
    x = resonant(np.concatenate(parts), between(rng, 1200.0, 3000.0), 0.8) + 0.3 * np.concatenate(parts)
    return recorded(rng, x, room=0.85, room_s=(0.2, 1.5), distance=0.35, noise=0.6)


def ship_horn(rng: Generator) -> Sound:
    """Return a ship's or fog horn: very low, long blasts that echo."""
    pitch_hz = between_log(rng, 65.0, 190.0)
    pitches_hz = [pitch_hz] if chance(rng, 0.6) else [pitch_hz, pitch_hz * between(rng, 1.1, 1.5)]
    roll_off = between(rng, 0.6, 1.2)
    parts: list[Signal] = []
    for _ in range(int(rng.integers(1, 3))):
        n = samples(between(rng, 1.2, 4.5))
        parts += [
            _brass_horn(rng, pitches_hz, n, roll_off) * swell(n, 0.08, 0.1),
            np.zeros(samples(between(rng, 0.4, 1.2))),
        ]
    x = low_pass(np.concatenate(parts), between_log(rng, 700.0, 3000.0), 1)
    return recorded(rng, x, room=0.95, room_s=(1.0, 3.5), distance=0.5, noise=0.6)


def train_horn(rng: Generator) -> Sound:
    """Return a train horn: a chord of three to five air horns in long and short blasts; or a steam whistle."""
    chords = (
        [1.0, 1.19, 1.5],
        [1.0, 1.26, 1.5, 1.68, 2.0],
        [1.0, 1.19, 1.41, 1.68],
        [1.0, 1.335],
        [1.0, 1.19, 1.5, 1.68, 2.0],
    )
    chord = chords[int(rng.integers(len(chords)))]
    root_hz = between_log(rng, 240.0, 420.0)
    steam = chance(rng, 0.2)
    parts: list[Signal] = []
    for _ in range(int(rng.integers(1, 5))):
        n = samples(between_log(rng, 0.35, 2.5))
        x = _brass_horn(
            rng,
            [root_hz * (1.6 if steam else 1.0) * ratio for ratio in chord],
            n,
            1.8 if steam else between(rng, 0.3, 0.8),
        )
        if steam:
            x += between(rng, 0.1, 0.5) * peak_one(band_pass(white(rng, n), 800.0, 7000.0, 1))
        parts += [x * swell(n, min(0.3, 0.08 * SAMPLE_RATE_HZ / n), min(0.4, 0.12 * SAMPLE_RATE_HZ / n))]
        parts += [np.zeros(samples(between(rng, 0.15, 0.6)))]
    x = np.concatenate(parts)
    if chance(rng, 0.3):
        # It passes: the pitch sinks.
        speed = curve(len(x), [1.05, 1.04, 0.96, 0.95], [0.0, 0.4, 0.6, 1.0])
        x = np.interp(np.cumsum(speed), np.arange(len(x)), x)
    return recorded(rng, x, room=0.9, room_s=(0.5, 2.5), distance=0.35, noise=0.6)


# --- Bells ------------------------------------------------------------------------------------------------------------


def _strike(
    rng: Generator, n: int, strike_hz: float, ratios: Signal, tau_s: float, softness: float, clapper: float
) -> Signal:
    """Return one stroke on a bell: pairs of partials that beat, the high ones dying first, and the clapper."""
    detune = 1.0 + 0.002 * rng.standard_normal(len(ratios))
    levels = rng.uniform(0.25, 1.0, len(ratios)) * ratios**-softness
    taus_s = tau_s / ratios ** between(rng, 0.6, 1.1) * np.exp(0.2 * rng.standard_normal(len(ratios)))
    frequencies_hz = strike_hz * ratios * detune
    split = 1.0 + rng.uniform(0.0003, 0.003, len(ratios))
    x = modes(n, frequencies_hz, levels, taus_s) + 0.6 * modes(n, frequencies_hz * split, levels, taus_s)
    m = min(n, samples(0.05))
    knock = band_pass(white(rng, m) * decay(m, 0.003), strike_hz * 2.0, min(12_000.0, strike_hz * 20.0), 1)
    x = peak_one(x)
    x[:m] += clapper * peak_one(knock)
    return x


def church_bell(rng: Generator) -> Sound:
    """Return church bells: one bell tolling, striking the hour, or a peal of several."""
    duration_s = between(rng, 3.5, 8.0)
    n = samples(duration_s)
    strike_hz = between_log(rng, 150.0, 650.0)
    count = int(rng.choice([1, 2, 3, 5], p=[0.6, 0.15, 0.15, 0.1]))
    scale = (1.0, 1.122, 1.26, 1.335, 1.5)
    timeline = np.zeros(n)
    tau_s, softness, clapper = between(rng, 1.0, 4.0), between(rng, 0.1, 0.9), between(rng, 0.02, 0.3)
    for bell_index in range(count):
        ratios = CHURCH_PARTIALS * (1.0 + 0.008 * rng.standard_normal(len(CHURCH_PARTIALS)))
        stroke = _strike(rng, n, strike_hz * scale[bell_index], ratios, tau_s, softness, clapper)
        step_s = between(rng, 0.9, 2.8)
        for at_s in irregular_times_s(rng, between(rng, 0.02, 0.4) + 0.25 * bell_index, duration_s, step_s, 0.05):
            place(timeline, stroke, at_s, between(rng, 0.6, 1.0))
    return recorded(rng, timeline, room=0.9, room_s=(0.8, 3.0), distance=0.4, noise=0.6)


def bell(rng: Generator) -> Sound:
    """Return a hand bell, desk bell, ding, school bell, cow or sleigh bell."""
    duration_s = between(rng, 1.0, 5.0)
    n = samples(duration_s)
    strike_hz = between_log(rng, 500.0, 3600.0)
    ratios = np.array([1.0, 2.0, 2.76, 3.9, 5.4, 7.2, 8.9]) * np.append(1.0, rng.uniform(0.9, 1.1, 6))
    stroke = _strike(
        rng, n, strike_hz, ratios, between_log(rng, 0.15, 1.8), between(rng, 0.3, 1.3), between(rng, 0.05, 0.4)
    )
    timeline = np.zeros(n)
    kind = rng.random()
    if kind < 0.45:
        place(timeline, stroke, between(rng, 0.0, 0.2))
        if chance(rng, 0.3):
            place(timeline, stroke, between(rng, 0.3, 0.8), 0.9)
    else:
        # Rung by hand, or by a motor's hammer.
        step_s = between_log(rng, 0.15, 0.9) if kind < 0.8 else between(rng, 0.04, 0.1)
        for at_s in irregular_times_s(rng, 0.02, duration_s * between(rng, 0.4, 0.9), step_s, 0.1):
            place(timeline, stroke, at_s, between(rng, 0.5, 1.0))
    return recorded(rng, timeline, room=0.7, room_s=(0.2, 1.5), distance=0.15, noise=0.4)


def doorbell(rng: Generator) -> Sound:
    """Return a doorbell: ding-dong, a chime of several notes, a buzzer, or an electric gong."""
    kind = rng.random()
    if kind < 0.2:
        n = samples(between_log(rng, 0.3, 1.8))
        pitch_hz = float(rng.choice([50.0, 60.0, 100.0, 120.0]))
        buzz = harmonics(pitch_hz, n, uneven_levels(rng, 59, between(rng, 0.2, 0.7), 0.5))
        x = resonant(buzz, between_log(rng, 500.0, 2500.0), 1.5) * swell(n, 0.02, 0.02)
        return recorded(rng, x, room=0.8, room_s=(0.2, 1.2), noise=0.5)
    high_hz = between_log(rng, 500.0, 1100.0)
    tunes = (
        [1.0, 0.794],
        [1.0, 0.794],
        [1.0, 0.84],
        [1.0, 0.794, 0.667, 0.5],
        [0.794, 1.0, 0.891, 0.594],
        [1.0, 0.667],
    )
    tune = tunes[int(rng.integers(len(tunes)))]
    step_s = between(rng, 0.3, 0.8)
    tau_s = between(rng, 0.25, 1.1)
    timeline = silence_of(step_s * len(tune) + 1.8)
    ratios = np.array([1.0, 2.0, 2.76, 4.0, 5.4]) * np.append(1.0, rng.uniform(0.96, 1.04, 4))
    softness = between(rng, 1.0, 2.5)
    for index, step in enumerate(tune):
        stroke = _strike(rng, samples(1.8), high_hz * step, ratios, tau_s, softness, between(rng, 0.02, 0.2))
        place(timeline, stroke, 0.02 + step_s * index, between(rng, 0.8, 1.0))
    return recorded(rng, timeline, room=0.8, room_s=(0.2, 1.2), distance=0.25, noise=0.5)


def bicycle_bell(rng: Generator) -> Sound:
    """Return a bicycle bell: a quick double ring, high and clear."""
    strike_hz = between_log(rng, 1300.0, 3000.0)
    ratios = np.array([1.0, 1.52, 2.3, 2.9, 3.8, 5.1]) * np.append(1.0, rng.uniform(0.95, 1.06, 5))
    timeline = silence_of(between(rng, 1.0, 3.5))
    tau_s = between(rng, 0.25, 0.9)
    at_s = 0.02
    while at_s < len(timeline) / SAMPLE_RATE_HZ - 0.4:
        # The thumb lever turns the clappers: a few strokes in quick succession.
        gap_s = between(rng, 0.035, 0.1)
        for index in range(int(rng.integers(2, 7))):
            stroke = _strike(
                rng, samples(1.5), strike_hz, ratios, tau_s, between(rng, 0.2, 0.9), between(rng, 0.05, 0.3)
            )
            place(timeline, stroke, at_s + gap_s * index * between(rng, 0.9, 1.1), between(rng, 0.5, 1.0))
        at_s += between(rng, 0.35, 1.5)
    return recorded(rng, timeline, room=0.6, room_s=(0.15, 1.0), distance=0.2, noise=0.5)


def gong(rng: Generator) -> Sound:
    """Return a gong or tam-tam: a dark stroke whose shimmer blooms after it."""
    n = samples(between(rng, 3.0, 7.0))
    lowest_hz = between_log(rng, 55.0, 260.0)
    count = 40
    ratios = np.sort(np.append(1.0, np.exp(rng.uniform(0.1, np.log(25.0), count - 1))))
    levels = rng.uniform(0.2, 1.0, count) * ratios ** -between(rng, 0.6, 1.2)
    taus_s = between(rng, 1.2, 3.0) / ratios**0.35
    low = modes(n, lowest_hz * ratios[:14], levels[:14], taus_s[:14])
    # The energy creeps up into the high modes in the first second.
    high = modes(n, lowest_hz * ratios[14:], levels[14:] * 3.0, taus_s[14:]) * (1.0 - decay(n, between(rng, 0.1, 0.6)))
    mallet = low_pass(white(rng, samples(0.1)) * decay(samples(0.1), 0.02), between_log(rng, 200.0, 900.0))
    x = peak_one(low) + between(rng, 0.3, 1.0) * peak_one(high)
    place(x, peak_one(mallet), 0.0, between(rng, 0.1, 0.6))
    if chance(rng, 0.25):
        x = np.interp(np.cumsum(curve(n, [0.92, 1.0, 1.02], [0.0, 0.15, 1.0])), np.arange(n), x)
    x *= np.minimum(time_s(n) / between(rng, 0.001, 0.02), 1.0)
    return recorded(rng, x, room=0.8, room_s=(0.5, 2.5), distance=0.15, noise=0.4)


def wind_chimes(rng: Generator) -> Sound:
    """Return wind chimes: a handful of tubes or shells struck at random, in gusts."""
    duration_s = between(rng, 3.0, 7.0)
    timeline = silence_of(duration_s)
    ratios = np.array([1.0, 2.756, 5.404, 8.933]) if chance(rng, 0.8) else np.array([1.0, 1.7, 2.9, 4.3])
    notes_hz = between_log(rng, 500.0, 2200.0) * 2.0 ** (
        rng.choice([0, 2, 4, 7, 9, 12, 14, 16], 6, replace=False) / 12.0
    )
    tau_s = between_log(rng, 0.3, 2.2)
    bank = [
        _strike(rng, samples(3.0), float(hz), ratios, tau_s, between(rng, 0.8, 2.0), between(rng, 0.01, 0.15))
        for hz in notes_hz
    ]
    gusts = irregular_times_s(rng, between(rng, 0.0, 0.5), duration_s, between(rng, 0.5, 2.0), 0.5)
    for gust_s in gusts:
        for _ in range(int(rng.integers(1, 9))):
            place(
                timeline,
                bank[int(rng.integers(len(bank)))],
                gust_s + float(rng.exponential(0.4)),
                between_log(rng, 0.1, 1.0),
            )
    return recorded(rng, timeline, room=0.5, room_s=(0.2, 1.2), distance=0.15, noise=0.6)


# --- Telephones, tills, clocks ----------------------------------------------------------------------------------------


def telephone(rng: Generator) -> Sound:
    """Return a telephone ringing: an old one's two bells, an electronic warble, or a ring tone."""
    duration_s = between(rng, 2.0, 7.0)
    timeline = silence_of(duration_s)
    on_s, off_s = between(rng, 0.7, 2.0), between(rng, 0.4, 3.0)
    double = chance(rng, 0.25)
    kind = int(rng.integers(3))
    n = samples(on_s)
    t = time_s(n)
    if kind == 0:
        ring = np.zeros(n + samples(0.8))
        gongs_hz = [between_log(rng, 900.0, 2000.0)]
        gongs_hz.append(gongs_hz[0] * between(rng, 1.1, 1.35))
        ratios = np.array([1.0, 1.6, 2.4, 3.1, 4.4, 6.0]) * rng.uniform(0.94, 1.06, 6)
        strokes = [_strike(rng, samples(0.8), hz, ratios, between(rng, 0.12, 0.5), 0.3, 0.3) for hz in gongs_hz]
        hammer_hz = between(rng, 16.0, 26.0)
        for index, at_s in enumerate(irregular_times_s(rng, 0.0, on_s, 1.0 / hammer_hz, 0.03)):
            place(ring, strokes[index % 2], at_s, between(rng, 0.8, 1.0))
    elif kind == 1:
        low_hz = between_log(rng, 500.0, 1800.0)
        high = (t * between(rng, 8.0, 28.0)) % 1.0 < 0.5
        pitch = low_hz * np.where(high, between(rng, 1.12, 1.5), 1.0)
        ring = (square(pitch, n) if chance(rng, 0.4) else harmonics(pitch, n, [1.0, 0.15, 0.25])) * swell(n, 0.01, 0.02)
    else:
        ring = np.zeros(n)
        step_s = between_log(rng, 0.08, 0.22)
        motif = rng.choice([0, 2, 4, 5, 7, 9, 12, 16], int(rng.integers(3, 9)))
        root_hz = between_log(rng, 500.0, 1300.0)
        for index in range(int(on_s / step_s)):
            m = samples(step_s * 2.0)
            note = harmonics(root_hz * 2.0 ** (motif[index % len(motif)] / 12.0), m, [1.0, 0.3, 0.2, 0.08])
            place(ring, note * attack_decay(m, 0.004, step_s * 0.7), index * step_s)
    at_s = between(rng, 0.0, 0.3)
    while at_s < duration_s:
        place(timeline, ring, at_s)
        if double:
            place(timeline, ring, at_s + on_s + 0.25)
            at_s += on_s + 0.25
        at_s += on_s + off_s
    return recorded(rng, timeline, room=0.7, room_s=(0.15, 1.0), distance=0.25, noise=0.5)


DIAL_PAIRS_HZ = ((350.0, 440.0), (425.0, 425.0), (400.0, 425.0), (440.0, 480.0), (480.0, 620.0))
KEY_ROWS_HZ, KEY_COLUMNS_HZ = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0)


def dial_tone(rng: Generator) -> Sound:
    """Return what is heard in a receiver: dial tone, ringback, busy signal, keys being pressed."""
    n = samples(between(rng, 1.5, 6.0))
    t = time_s(n)
    low_hz, high_hz = DIAL_PAIRS_HZ[int(rng.integers(len(DIAL_PAIRS_HZ)))]
    x = sine(low_hz, n) + between(rng, 0.6, 1.0) * sine(high_hz, n)
    kind = rng.random()
    if kind < 0.3:
        period_s = float(rng.choice([0.5, 1.0, 3.0, 5.0, 6.0]))
        x *= (t + rng.random()) % period_s < period_s * (0.5 if period_s <= 1.0 else 0.35)
    elif kind < 0.65:
        x = np.zeros(n)
        at_s, press_s, gap_s = between(rng, 0.0, 0.3), between(rng, 0.07, 0.25), between(rng, 0.05, 0.3)
        while at_s < n / SAMPLE_RATE_HZ:
            m = samples(press_s * between(rng, 0.8, 1.3))
            key = sine(float(rng.choice(KEY_ROWS_HZ)), m) + sine(float(rng.choice(KEY_COLUMNS_HZ)), m)
            place(x, key * swell(m, 0.03, 0.03), at_s)
            at_s += m / SAMPLE_RATE_HZ + gap_s * between(rng, 0.6, 1.6)
    x = peak_one(x) + between_log(rng, 0.0005, 0.03) * coloured(rng, n, 0.5)
    if chance(rng, 0.6):
        x = band_pass(x, 250.0, 3500.0)
    return recorded(rng, x, room=0.2, distance=0.05, noise=0.3)


def cash_register(rng: Generator) -> Sound:
    """Return a till: keys, the bell, the drawer that slides out, coins in it."""
    timeline = silence_of(between(rng, 1.2, 3.0))
    at_s = between(rng, 0.0, 0.1)

    def clank(low_hz: float, tau_s: float) -> Signal:
        n = samples(0.25)
        ring = modes(n, low_hz * rng.uniform(1.0, 9.0, 8), rng.uniform(0.2, 1.0, 8), tau_s * rng.uniform(0.3, 1.2, 8))
        return peak_one(ring) + between(rng, 0.3, 0.9) * peak_one(
            band_pass(white(rng, n) * decay(n, 0.008), low_hz, 8000.0, 1)
        )

    for _ in range(int(rng.integers(0, 5))):
        place(timeline, clank(between_log(rng, 250.0, 900.0), 0.015), at_s, between(rng, 0.3, 0.8))
        at_s += between(rng, 0.08, 0.25)
    place(timeline, clank(between_log(rng, 150.0, 400.0), 0.04), at_s, between(rng, 0.5, 1.0))
    at_s += between(rng, 0.03, 0.2)
    ratios = np.array([1.0, 2.1, 2.9, 4.2, 5.6]) * rng.uniform(0.95, 1.05, 5)
    ding = _strike(rng, samples(2.0), between_log(rng, 1500.0, 3400.0), ratios, between(rng, 0.3, 0.9), 0.5, 0.2)
    place(timeline, ding, at_s, between(rng, 0.6, 1.0))
    if chance(rng, 0.6):
        place(timeline, ding, at_s + between(rng, 0.06, 0.12), 0.6)
    slide = samples(between(rng, 0.2, 0.5))
    rumbling = band_pass(white(rng, slide), 200.0, 3000.0, 1) * swell(slide, 0.2, 0.1)
    place(timeline, peak_one(rumbling), at_s + 0.05, between(rng, 0.1, 0.5))
    place(
        timeline,
        clank(between_log(rng, 120.0, 300.0), 0.05),
        at_s + 0.05 + slide / SAMPLE_RATE_HZ,
        between(rng, 0.5, 1.0),
    )
    for _ in range(int(rng.integers(0, 10))):
        coin_hz = between_log(rng, 3000.0, 9000.0)
        jingle = modes(samples(0.2), [coin_hz, coin_hz * 1.6], [1.0, 0.6], [0.03, 0.02])
        place(timeline, jingle, at_s + 0.3 + abs(float(rng.normal(0.0, 0.15))), between(rng, 0.05, 0.3))
    return recorded(rng, timeline, room=0.7, room_s=(0.15, 0.8), distance=0.1, noise=0.4)


def clock_tick(rng: Generator) -> Sound:
    """Return a clock or watch: tick and tock, each a few clicks of small wheels, over a quiet room."""
    duration_s = between(rng, 3.0, 6.0)
    timeline = silence_of(duration_s)
    step_s = float(rng.choice([1.0, 0.5, 0.25, 0.2])) if chance(rng, 0.6) else between_log(rng, 0.18, 1.2)
    body_hz = between_log(rng, 700.0, 4500.0)
    wood_hz = between_log(rng, 150.0, 700.0)
    wood = between(rng, 0.0, 0.8)
    lame = between(rng, 0.0, 0.12)

    def tick(pitch: float) -> Signal:
        n = samples(0.12)
        out = np.zeros(n)
        for _ in range(int(rng.integers(2, 5))):
            m = samples(0.06)
            frequencies_hz = np.minimum(body_hz * pitch * rng.uniform(0.9, 4.0, 5), 16_000.0)
            ring = modes(m, frequencies_hz, rng.uniform(0.2, 1.0, 5), rng.uniform(0.0008, 0.006, 5))
            noise = high_pass(white(rng, m) * decay(m, between_log(rng, 0.0004, 0.002)), body_hz * 0.7, 1)
            place(out, peak_one(ring) + peak_one(noise), between(rng, 0.0, 0.018), between(rng, 0.3, 1.0))
        return out + wood * modes(n, [wood_hz * pitch, wood_hz * 2.3 * pitch], [1.0, 0.5], [0.01, 0.006])

    pair = [tick(1.0), tick(between(rng, 0.85, 1.1))]
    for index, at_s in enumerate(irregular_times_s(rng, between(rng, 0.0, step_s), duration_s, step_s, 0.004)):
        place(timeline, pair[index % 2], max(0.0, at_s + lame * step_s * (index % 2)), between(rng, 0.85, 1.0))
    room_noise = coloured(rng, len(timeline), between(rng, 0.8, 1.8))
    x = peak_one(timeline) + between_log(rng, 0.001, 0.06) * room_noise
    return recorded(rng, x, room=0.7, room_s=(0.1, 0.6), distance=0.05, noise=0.2)


def metronome(rng: Generator) -> Sound:
    """Return a metronome or click track: wooden clocks' ticks or short tones, evenly, the first of a bar accented."""
    duration_s = between(rng, 3.0, 7.0)
    timeline = silence_of(duration_s)
    step_s = 60.0 / between(rng, 60.0, 208.0)
    beats = int(rng.integers(1, 5))
    electronic = chance(rng, 0.5)
    pitch_hz = between_log(rng, 700.0, 2600.0)
    accent = between(rng, 1.2, 2.0)
    tau_s = between_log(rng, 0.004, 0.025)
    n = samples(0.15)
    for index, at_s in enumerate(irregular_times_s(rng, between(rng, 0.0, 0.3), duration_s, step_s, 0.0)):
        first = beats > 1 and index % beats == 0
        this_hz = pitch_hz * (accent if first else 1.0)
        if electronic:
            click = sine(this_hz, n) * decay(n, tau_s) + 0.2 * high_pass(white(rng, n) * decay(n, 0.001), 2000.0)
        else:
            ring = modes(
                n,
                this_hz * np.array([1.0, 1.53, 2.4, 3.7]),
                [1.0, 0.7, 0.5, 0.3],
                [tau_s, tau_s * 0.8, tau_s * 0.5, tau_s * 0.3],
            )
            click = peak_one(ring) + 0.5 * peak_one(band_pass(white(rng, n) * decay(n, 0.0015), 1000.0, 9000.0, 1))
        place(timeline, click, at_s, 1.0 if first else between(rng, 0.65, 0.8))
    return recorded(rng, timeline, room=0.5, room_s=(0.1, 0.8), distance=0.1, noise=0.4)

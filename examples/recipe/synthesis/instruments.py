"""Instruments: plucked, struck and blown, played in notes, chords and short tunes."""

from collections.abc import Callable

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
    low_pass,
    modes,
    moving_low_pass,
    peak_one,
    place,
    recorded,
    resonant,
    samples,
    saturated,
    sawtooth,
    silence_of,
    sine,
    square,
    string,
    swell,
    time_s,
    voice,
    wander,
    white,
)

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10), (0, 2, 3, 5, 7, 9, 10))
CHORDS = (
    (0, 4, 7),
    (0, 3, 7),
    (0, 4, 7, 11),
    (0, 3, 7, 10),
    (0, 5, 7),
    (0, 4, 7, 12),
    (0, 7, 12, 16),
    (0, 3, 7, 12, 15),
)

# A note: its pitch in hertz and its length in seconds.
Note = Callable[[float, float], Signal]


def _tune(
    rng: Generator, note: Note, root_hz: float, *, octaves: float, step_s: tuple[float, float], overlap: float = 1.0
) -> Signal:
    """Return a tune that wanders up and down a scale; `overlap` is how far a note rings into the next."""
    scale = SCALES[int(rng.integers(len(SCALES)))]
    count = max(2, int(octaves * len(scale)))
    degree = int(rng.integers(count))
    timeline = silence_of(between(rng, 1.5, 6.5))
    step = between_log(rng, *step_s)
    at_s = between(rng, 0.0, 0.1)
    while at_s < len(timeline) / SAMPLE_RATE_HZ - 0.1:
        length_s = step * float(rng.choice([1.0, 1.0, 2.0, 3.0, 0.5]))
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, count - 1))
        pitch_hz = root_hz * 2.0 ** (scale[degree % len(scale)] / 12.0 + degree // len(scale))
        if not chance(rng, 0.08):
            place(timeline, note(pitch_hz, length_s * overlap), at_s, between(rng, 0.6, 1.0))
        at_s += length_s * between(rng, 0.98, 1.02)
    return timeline


def _chords(rng: Generator, note: Note, root_hz: float, *, strum_s: float, length_s: tuple[float, float]) -> Signal:
    """Return a few chords, their notes `strum_s` apart."""
    timeline = silence_of(between(rng, 1.5, 6.0))
    at_s = 0.01
    while at_s < len(timeline) / SAMPLE_RATE_HZ:
        length = between_log(rng, *length_s)
        base_hz = root_hz * 2.0 ** (float(rng.choice([-5, -3, 0, 0, 2, 4, 5, 7])) / 12.0)
        for index, semitones in enumerate(CHORDS[int(rng.integers(len(CHORDS)))]):
            place(
                timeline,
                note(base_hz * 2.0 ** (semitones / 12.0), length * 1.6),
                at_s + strum_s * index,
                between(rng, 0.6, 1.0),
            )
        at_s += length
    return timeline


def _single(rng: Generator, note: Note, pitch_hz: float, length_s: tuple[float, float]) -> Signal:
    """Return one note."""
    return note(pitch_hz, between_log(rng, *length_s))


# --- Strings ----------------------------------------------------------------------------------------------------------


def bass(rng: Generator) -> Sound:
    """Return a bass: electric, upright, slapped, a synthesiser's, or an 808-like sub."""
    root_hz = between_log(rng, 36.0, 95.0)
    kind = int(rng.integers(3))
    tau_s, brightness = between_log(rng, 0.25, 1.6), between(rng, 0.1, 0.9)
    position = between(rng, 0.08, 0.4)
    drive = between_log(rng, 1.0, 10.0)
    sweep_s, top_hz, q = between_log(rng, 0.05, 0.6), between_log(rng, 300.0, 4000.0), between(rng, 0.8, 6.0)
    saw = chance(rng, 0.6)

    def plucked(pitch_hz: float, length_s: float) -> Signal:
        n = samples(length_s + 0.15)
        x = string(rng, n, pitch_hz, tau_s, brightness, 0.00012, position)
        thump = low_pass(white(rng, n) * decay(n, 0.006), 1500.0)
        stop = samples(length_s)
        x[stop:] *= decay(n - stop, 0.03)
        return saturated(peak_one(x) + between(rng, 0.02, 0.3) * peak_one(thump), drive)

    def synthetic(pitch_hz: float, length_s: float) -> Signal:
        n = samples(length_s + 0.1)
        x = (
            sawtooth(pitch_hz, n) + sawtooth(pitch_hz * 1.006, n)
            if saw
            else square(pitch_hz, n, between(rng, 0.2, 0.5))
        )
        cutoff_hz = 80.0 + top_hz * decay(n, sweep_s)
        x = moving_low_pass(x, cutoff_hz, 1.3) + 0.1 * q * resonant(x, float(cutoff_hz[n // 3]), q)
        x = x + between(rng, 0.2, 0.9) * sine(pitch_hz, n)
        edge = min(0.3, 0.006 * SAMPLE_RATE_HZ / n)
        return saturated(x, drive) * swell(n, edge, min(0.5, 0.05 * SAMPLE_RATE_HZ / n))

    def sub(pitch_hz: float, length_s: float) -> Signal:
        n = samples(length_s + 0.3)
        x = sine(pitch_hz * (1.0 + 0.5 * decay(n, 0.02)), n) * attack_decay(n, 0.004, max(0.2, length_s * 0.6))
        return saturated(x, drive)

    note = (plucked, synthetic, sub)[kind]
    if chance(rng, 0.4):
        x = _single(rng, note, root_hz, (0.4, 3.0))
    else:
        x = _tune(rng, note, root_hz, octaves=1.3, step_s=(0.12, 0.5))
    return recorded(rng, x, room=0.2, room_s=(0.1, 0.5), distance=0.05, noise=0.3)


def guitar(rng: Generator) -> Sound:
    """Return a guitar: nylon, steel, electric clean or distorted; notes, strummed chords, arpeggios."""
    tau_s, brightness = between_log(rng, 0.4, 2.2), between(rng, 0.3, 1.0)
    position, stiffness = between(rng, 0.08, 0.35), between_log(rng, 0.00001, 0.0002)
    electric = chance(rng, 0.45)
    drive = between_log(rng, 4.0, 40.0) if electric and chance(rng, 0.55) else 0.0
    body_hz = [between(rng, 90.0, 120.0), between(rng, 180.0, 240.0), between(rng, 350.0, 600.0)]
    muted = chance(rng, 0.12)

    def note(pitch_hz: float, length_s: float) -> Signal:
        n = samples(max(length_s, 0.2) + 0.3)
        x = string(rng, n, pitch_hz, 0.08 if muted else tau_s, brightness, stiffness, position)
        scrape = band_pass(white(rng, n) * decay(n, between(rng, 0.002, 0.008)), 1000.0, 7000.0, 1)
        stop = samples(length_s)
        x[stop:] *= decay(n - stop, 0.06)
        return peak_one(x) + between(rng, 0.02, 0.15) * peak_one(scrape)

    root_hz = between_log(rng, 82.0, 260.0)
    style = rng.random()
    if style < 0.2:
        x = _single(rng, note, root_hz * float(rng.choice([1.0, 2.0])), (0.8, 4.0))
    elif style < 0.6:
        x = _chords(
            rng,
            note,
            root_hz,
            strum_s=between_log(rng, 0.008, 0.06) * float(rng.choice([1.0, 1.0, 4.0])),
            length_s=(0.3, 1.8),
        )
    else:
        x = _tune(rng, note, root_hz, octaves=1.6, step_s=(0.1, 0.5), overlap=between(rng, 1.0, 3.0))
    if drive > 0.0:
        x = low_pass(high_pass(saturated(x, drive), 90.0), between_log(rng, 3000.0, 6000.0), 2)
    elif not electric:
        x = x + sum((0.5 * resonant(x, hz, 5.0) for hz in body_hz), np.zeros(len(x)))
    return recorded(rng, x, room=0.5, room_s=(0.2, 1.5), distance=0.05, noise=0.3)


def piano(rng: Generator) -> Sound:
    """Return a piano: grand, upright or electric; notes, chords, a tune with both hands."""
    electric = chance(rng, 0.25)
    brightness = between(rng, 0.15, 0.7)
    detune = between_log(rng, 0.0002, 0.0025)

    def acoustic_note(pitch_hz: float, length_s: float) -> Signal:
        tau_s = 2.2 * (220.0 / pitch_hz) ** 0.5
        n = samples(length_s + 0.4)
        x = np.zeros(n)
        for offset in (-detune, detune):  # Two or three strings a note, never quite in tune.
            x += string(rng, n, pitch_hz * (1.0 + offset), tau_s, brightness, 0.0003 * (pitch_hz / 260.0) ** 0.6, 0.12)
        felt = low_pass(white(rng, n) * decay(n, 0.012), between_log(rng, 300.0, 1800.0))
        stop = samples(length_s)
        x[stop:] *= decay(n - stop, 0.09)
        x = peak_one(x) * np.minimum(time_s(n) / 0.0015, 1.0)
        return x * 0.9 + between(rng, 0.02, 0.12) * peak_one(felt)

    bark = between(rng, 0.3, 2.5)
    tine = float(rng.choice([1.0, 7.0, 14.0]))

    def electric_note(pitch_hz: float, length_s: float) -> Signal:
        n = samples(length_s + 0.3)
        hit = bark * decay(n, between(rng, 0.15, 0.6))
        x = np.sin(
            2.0 * np.pi * pitch_hz * time_s(n)
            + hit * sine(pitch_hz, n)
            + 0.25 * decay(n, 0.08) * sine(pitch_hz * tine, n)
        )
        stop = samples(length_s)
        x *= attack_decay(n, 0.002, 1.1)
        x[stop:] *= decay(n - stop, 0.05)
        return x

    note = electric_note if electric else acoustic_note
    root_hz = between_log(rng, 110.0, 520.0)
    style = rng.random()
    if style < 0.2:
        x = _single(rng, note, root_hz * float(rng.choice([0.5, 1.0, 2.0])), (0.5, 4.0))
    elif style < 0.5:
        x = _chords(rng, note, root_hz, strum_s=between(rng, 0.0, 0.01), length_s=(0.4, 2.0))
    else:
        x = _tune(rng, note, root_hz, octaves=2.0, step_s=(0.11, 0.5), overlap=between(rng, 1.0, 2.5))
        if chance(rng, 0.5):
            left = _chords(rng, note, root_hz / 2.0, strum_s=0.004, length_s=(0.5, 1.6))
            x[: len(left)] += 0.7 * left[: len(x)]
    return recorded(rng, x, room=0.7, room_s=(0.3, 1.8), distance=0.1, noise=0.3)


# --- Wind and keys ----------------------------------------------------------------------------------------------------


def organ(rng: Generator) -> Sound:
    """Return an organ: pipes in a church or drawbars with a rotary speaker."""
    hammond = chance(rng, 0.4)
    ratios = np.array([0.5, 1.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
    bars = rng.uniform(0.0, 1.0, 9) ** 1.5
    bars[2] = 1.0
    chiff = between(rng, 0.0, 0.3)

    def note(pitch_hz: float, length_s: float) -> Signal:
        n = samples(length_s + 0.05)
        if hammond:
            x = sum((level * sine(pitch_hz * ratio, n) for ratio, level in zip(ratios, bars, strict=True)), np.zeros(n))
        else:
            x = np.zeros(n)
            for ratio, level in zip(ratios[[0, 2, 3, 4, 5]], bars[[0, 2, 3, 4, 5]], strict=True):
                rank = harmonics(
                    pitch_hz * ratio * (1.0 + 0.001 * rng.standard_normal()),
                    n,
                    falling_levels(11, between(rng, 1.0, 2.2)),
                )
                x += level * rank
            x += chiff * resonant(white(rng, n), pitch_hz * 3.0, 4.0) * (0.15 + decay(n, 0.03))
        edge = 0.004 if hammond else 0.04
        return x * swell(n, min(0.4, edge * SAMPLE_RATE_HZ / n), min(0.4, 0.05 * SAMPLE_RATE_HZ / n))

    root_hz = between_log(rng, 110.0, 350.0)
    x = (
        _chords(rng, note, root_hz, strum_s=0.0, length_s=(0.5, 2.5))
        if chance(rng, 0.6)
        else _tune(rng, note, root_hz, octaves=1.5, step_s=(0.15, 0.7))
    )
    if hammond:
        n = len(x)
        spin_hz = between(rng, 5.5, 7.5) if chance(rng, 0.6) else 0.8
        wobble = np.arange(n) + 14.0 * sine(spin_hz, n)
        x = np.interp(wobble, np.arange(n), x) * (1.0 + 0.2 * sine(spin_hz, n, 0.25))
        x = saturated(x, between_log(rng, 1.0, 6.0))
        return recorded(rng, x, room=0.4, room_s=(0.2, 1.0), noise=0.3)
    return recorded(rng, x, room=0.95, room_s=(0.8, 3.5), noise=0.3)


def flute(rng: Generator) -> Sound:
    """Return a flute, recorder or pan pipe: few harmonics, breath, vibrato."""
    breath = between_log(rng, 0.02, 0.3)
    levels = [1.0, between(rng, 0.05, 0.6), between(rng, 0.03, 0.35), between(rng, 0.01, 0.12), 0.03, 0.02]
    vibrato_hz, depth = between(rng, 4.2, 6.3), between(rng, 0.0, 0.012)

    def note(pitch_hz: float, length_s: float) -> Signal:
        n = samples(length_s)
        sway = sine(vibrato_hz, n) * curve(n, [0.0, 1.0, 1.0])
        pitch = (
            pitch_hz
            * curve(n, [between(rng, 0.97, 1.01), 1.0, 1.0], [0.0, 0.08, 1.0])
            * (1.0 + depth * sway + 0.002 * wander(rng, n, 12.0))
        )
        x = harmonics(pitch, n, levels) * (1.0 + 8.0 * depth * sway)
        air = (
            resonant(white(rng, n), pitch_hz, 3.0)
            + 0.5 * resonant(white(rng, n), pitch_hz * 2.0, 3.0)
            + 0.12 * high_pass(white(rng, n), 2000.0)
        )
        puff = 1.0 + 3.0 * decay(n, 0.03)
        return (x + breath * air * puff) * swell(
            n, min(0.4, 0.05 * SAMPLE_RATE_HZ / n), min(0.4, 0.05 * SAMPLE_RATE_HZ / n)
        )

    root_hz = between_log(rng, 260.0, 800.0)
    x = (
        _single(rng, note, root_hz, (0.6, 3.0))
        if chance(rng, 0.25)
        else _tune(rng, note, root_hz, octaves=1.5, step_s=(0.12, 0.6))
    )
    return recorded(rng, x, room=0.8, room_s=(0.3, 2.5), noise=0.4)


def brass(rng: Generator) -> Sound:
    """Return brass: trumpet, trombone, horn, tuba, solo or a section; brighter as it gets louder."""
    root_hz = between_log(rng, 70.0, 420.0)
    bright = between(rng, 4.0, 14.0)
    players = int(rng.choice([1, 1, 2, 4]))
    formant_hz = between_log(rng, 500.0, 1500.0)

    def note(pitch_hz: float, length_s: float) -> Signal:
        n = samples(length_s)
        total = np.zeros(n)
        loud = curve(
            n,
            [0.0, 1.0, between(rng, 0.6, 0.9), between(rng, 0.5, 1.0), 0.0],
            [0.0, min(0.3, 0.05 / length_s), 0.4, 0.9, 1.0],
        )
        for _ in range(players):
            pitch = (
                pitch_hz
                * (1.0 + 0.003 * rng.standard_normal())
                * curve(n, [between(rng, 0.94, 1.0), 1.0, 1.0], [0, min(0.2, 0.04 / length_s), 1])
            )
            pitch = pitch * (
                1.0 + between(rng, 0.0, 0.006) * sine(between(rng, 4.5, 6.0), n) + 0.002 * wander(rng, n, 10.0)
            )
            total += harmonics(pitch, n, falling_levels(35, 0.35))
        x = moving_low_pass(total, pitch_hz * (1.0 + bright * loud**1.5), 1.2)
        x = (x + 0.7 * resonant(x, formant_hz, 1.5)) * loud
        return x + 0.01 * white(rng, n) * loud

    x = (
        _single(rng, note, root_hz, (0.5, 3.0))
        if chance(rng, 0.25)
        else _tune(rng, note, root_hz, octaves=1.3, step_s=(0.13, 0.6))
    )
    return recorded(rng, x, room=0.8, room_s=(0.3, 2.0), noise=0.3)


# --- Bars and combs ---------------------------------------------------------------------------------------------------


def xylophone(rng: Generator) -> Sound:
    """Return a xylophone, marimba, glockenspiel or vibraphone."""
    kinds = (
        (np.array([1.0, 3.0, 6.1, 9.9]), (0.06, 0.25), (350.0, 900.0)),
        (np.array([1.0, 3.95, 9.2]), (0.15, 0.5), (130.0, 450.0)),
        (np.array([1.0, 2.76, 5.4, 8.9]), (0.4, 1.6), (700.0, 1600.0)),
        (np.array([1.0, 4.0, 10.0]), (0.8, 2.2), (180.0, 500.0)),
    )
    ratios, tau_range, root_range = kinds[int(rng.integers(4))]
    tau_s, softness = between_log(rng, *tau_range), between(rng, 0.5, 1.6)
    tremolo = between(rng, 3.0, 7.0) if len(ratios) == 3 and tau_s > 0.8 and chance(rng, 0.6) else 0.0
    mallet = between(rng, 0.05, 0.5)

    def note(pitch_hz: float, _: float) -> Signal:
        n = samples(max(0.3, tau_s * 5.0))
        taus_s = tau_s * (400.0 / pitch_hz) ** 0.4 / ratios**0.9
        x = modes(n, pitch_hz * ratios * (1.0 + 0.003 * rng.standard_normal(len(ratios))), ratios**-softness, taus_s)
        knock = band_pass(white(rng, n) * decay(n, 0.003), pitch_hz, 9000.0, 1)
        x = peak_one(x) + mallet * peak_one(knock)
        return x * (1.0 + 0.35 * sine(tremolo, n)) if tremolo else x

    root_hz = between_log(rng, *root_range)
    x = (
        _single(rng, note, root_hz, (0.3, 1.0))
        if chance(rng, 0.15)
        else _tune(rng, note, root_hz, octaves=1.8, step_s=(0.1, 0.4))
    )
    return recorded(rng, x, room=0.7, room_s=(0.2, 1.5), distance=0.1, noise=0.3)


def music_box(rng: Generator) -> Sound:
    """Return a music box: thin plucked teeth of a steel comb, high, a little uneven, with the clockwork's noise."""
    tau_s = between_log(rng, 0.25, 0.9)
    ratios = np.array([1.0, 6.27, 2.0, 3.01])
    levels = np.array([1.0, between(rng, 0.05, 0.25), between(rng, 0.02, 0.25), between(rng, 0.01, 0.1)])

    def note(pitch_hz: float, _: float) -> Signal:
        n = samples(tau_s * 4.0)
        x = modes(n, pitch_hz * ratios, levels, tau_s * np.array([1.0, 0.1, 0.5, 0.4]))
        pick = high_pass(white(rng, n) * decay(n, 0.0015), 3000.0)
        return peak_one(x) + between(rng, 0.02, 0.15) * peak_one(pick)

    root_hz = between_log(rng, 600.0, 1300.0)
    x = _tune(rng, note, root_hz, octaves=2.0, step_s=(0.16, 0.42))
    if chance(rng, 0.7):
        second = _tune(rng, note, root_hz / 2.0, octaves=1.0, step_s=(0.3, 0.8))
        x[: len(second)] += 0.6 * second[: len(x)]
    ratchet = resonant(
        white(rng, len(x)) * (1.0 + 0.8 * sine(between(rng, 9.0, 30.0), len(x))), between(rng, 1500.0, 5000.0), 2.0
    )
    x = peak_one(x) + between_log(rng, 0.0005, 0.02) * peak_one(ratchet)
    return recorded(rng, x, room=0.6, room_s=(0.15, 1.2), distance=0.1, noise=0.4)


# --- Synthesisers -----------------------------------------------------------------------------------------------------


def drone(rng: Generator) -> Sound:
    """Return a drone: a pad or dark ambience, slowly moving layers, sines that beat, wind in pipes."""
    n = samples(between(rng, 4.0, 8.0))
    root_hz = between_log(rng, 40.0, 220.0)
    total = np.zeros(n)
    chord = CHORDS[int(rng.integers(len(CHORDS)))] if chance(rng, 0.5) else (0, 12, 7, 0)
    for semitones in chord:
        pitch_hz = root_hz * 2.0 ** (semitones / 12.0)
        layer = np.zeros(n)
        saw = chance(rng, 0.5)
        for _ in range(int(rng.integers(2, 5))):
            pitch = pitch_hz * (1.0 + 0.006 * rng.standard_normal()) * (1.0 + 0.002 * wander(rng, n, 1.0))
            layer += sawtooth(pitch, n) if saw else harmonics(pitch, n, falling_levels(11, between(rng, 1.0, 2.5)))
        total += layer * np.exp(between(rng, 0.2, 0.7) * wander(rng, n, between(rng, 0.2, 0.8)))
    cutoff_hz = between_log(rng, 200.0, 2500.0) * 2.0 ** (
        between(rng, 0.2, 1.2) * wander(rng, n, between(rng, 0.2, 0.8))
    )
    x = peak_one(moving_low_pass(total, cutoff_hz, 1.3))
    if chance(rng, 0.5):
        air = resonant(coloured(rng, n, 0.8), between_log(rng, 150.0, 2500.0), between(rng, 1.0, 20.0))
        x += between(rng, 0.05, 0.5) * peak_one(air) * np.exp(0.4 * wander(rng, n, 0.6))
    if chance(rng, 0.25):
        tract = [[400.0, 600.0, 350.0], [900.0, 1100.0, 800.0], [2500.0]]
        choir = voice(rng, np.full(n, root_hz * 4.0) * (1.0 + 0.004 * wander(rng, n, 5.0)), tract, breath=0.1)
        x += between(rng, 0.1, 0.5) * peak_one(choir)
    x *= swell(n, between(rng, 0.02, 0.4), between(rng, 0.02, 0.4))
    return recorded(rng, x, room=0.7, room_s=(1.0, 3.0), distance=0.1, noise=0.2)


def synth_melody(rng: Generator) -> Sound:
    """Return a synthesiser's tune or arpeggio: detuned saws, plucks, leads with portamento, FM."""
    kind = int(rng.integers(4))
    detune, voices = between_log(rng, 0.001, 0.015), int(rng.integers(1, 5))
    top_hz, sweep_s = between_log(rng, 900.0, 9000.0), between_log(rng, 0.05, 0.8)
    ratio, index = float(rng.choice([1.0, 2.0, 3.0, 3.5, 7.0])), between(rng, 0.5, 6.0)
    width = between(rng, 0.1, 0.5)
    sustain = between(rng, 0.05, 0.9)

    def note(pitch_hz: float, length_s: float) -> Signal:
        n = samples(length_s + 0.08)
        if kind == 3:
            x = np.sin(2.0 * np.pi * pitch_hz * time_s(n) + index * decay(n, sweep_s) * sine(pitch_hz * ratio, n))
        else:
            x = np.zeros(n)
            for _ in range(voices):
                pitch = pitch_hz * (1.0 + detune * rng.standard_normal()) * (1.0 + 0.004 * sine(5.5, n))
                x += sawtooth(pitch, n) if kind < 2 else square(pitch, n, width)
            x = moving_low_pass(x, 200.0 + top_hz * (sustain + (1.0 - sustain) * decay(n, sweep_s)), 1.2)
        envelope = sustain + (1.0 - sustain) * decay(n, sweep_s)
        return (
            peak_one(x) * envelope * swell(n, min(0.3, 0.005 * SAMPLE_RATE_HZ / n), min(0.4, 0.06 * SAMPLE_RATE_HZ / n))
        )

    root_hz = between_log(rng, 130.0, 700.0)
    x = _tune(rng, note, root_hz, octaves=1.8, step_s=(0.09, 0.4))
    if chance(rng, 0.4):
        # A tempo delay, as every such patch has.
        delay, level = samples(between(rng, 0.15, 0.4)), between(rng, 0.3, 0.6)
        for _ in range(3):
            x[delay:] += level * x[:-delay]
            level *= 0.5
    return recorded(rng, x, room=0.5, room_s=(0.3, 2.0), distance=0.05, noise=0.2)

"""Weather, water and fire: shaped noise, and the thousands of small events that make it up."""

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
    dust,
    filtered_over_time,
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
    swell,
    time_s,
    wander,
    white,
)


def _drop(rng: Generator, low_hz: float, high_hz: float, longest_s: float = 0.12) -> Signal:
    """Return the plink of a bubble that closes under a drop: a sine that rises as it dies."""
    tau_s = between_log(rng, 0.004, longest_s / 3.0)
    n = samples(tau_s * 7.0)
    pitch_hz = between_log(rng, low_hz, high_hz)
    rise = between(rng, 0.0, 0.8)
    return sine(pitch_hz * (1.0 + rise * time_s(n) / (tau_s * 7.0) * 2.0), n) * attack_decay(n, 0.001, tau_s)


def _splashing(rng: Generator, duration_s: float, drops_per_s: float, low_hz: float, high_hz: float) -> Signal:
    """Return many drops at random times, most of them faint."""
    timeline = silence_of(duration_s)
    bank = [_drop(rng, low_hz, high_hz) for _ in range(60)]
    for _ in range(int(rng.poisson(drops_per_s * duration_s))):
        drop = bank[int(rng.integers(len(bank)))]
        place(timeline, drop, between(rng, 0.0, duration_s), float(np.exp(0.9 * rng.standard_normal())))
    return timeline


def rain(rng: Generator) -> Sound:
    """Return rain, from single drops on leaves or a roof to a downpour."""
    duration_s = between(rng, 3.0, 7.0)
    n = samples(duration_s)
    hiss = high_pass(coloured(rng, n, between(rng, 0.0, 1.2)), between_log(rng, 200.0, 1500.0), 1)
    hiss /= float(np.std(hiss))
    patter = np.zeros(n)
    for _ in range(3):
        # Each surface answers the drops with its own band.
        grains = dust(rng, n, between_log(rng, 30.0, 3000.0), between(rng, 0.5, 1.3))
        patter += resonant(grains, between_log(rng, 500.0, 9000.0), between(rng, 0.6, 4.0))
    patter /= max(float(np.std(patter)), 1e-9)
    x = hiss * (1.0 + 0.1 * wander(rng, n, 1.0)) + between_log(rng, 0.1, 2.5) * patter
    if chance(rng, 0.3):
        drips = _splashing(rng, duration_s, between_log(rng, 2.0, 20.0), 600.0, 3000.0)
        x += between(rng, 0.5, 3.0) * drips
    if chance(rng, 0.25):
        x += between(rng, 0.2, 1.0) * low_pass(coloured(rng, n, 1.5), 300.0)
    return recorded(rng, x, room=0.2, noise=0.0)


def sea_waves(rng: Generator) -> Sound:
    """Return surf: waves that swell, break and draw back over a steady roar."""
    n = samples(between(rng, 4.0, 8.0))
    duration_s = n / SAMPLE_RATE_HZ
    level = np.full(n, between(rng, 0.08, 0.4))
    brightness = np.full(n, 0.25)
    t = time_s(n)
    for at_s in irregular_times_s(rng, between(rng, -2.0, 2.0), duration_s + 2.0, between(rng, 2.5, 7.0), 0.35):
        rise_s, fall_s = between(rng, 0.4, 1.6), between(rng, 0.8, 3.0)
        shape = np.where(t < at_s, np.exp(-(((t - at_s) / rise_s) ** 2)), np.exp(-np.maximum(t - at_s, 0.0) / fall_s))
        level += between(rng, 0.5, 1.2) * shape
        brightness += between(rng, 0.4, 1.0) * shape
    noise = coloured(rng, n, between(rng, 0.5, 1.3))
    bend_hz = between_log(rng, 600.0, 2500.0)

    def gains(position: Signal, frequency_hz: Signal) -> Signal:
        cutoff_hz = bend_hz * (0.3 + 2.5 * np.interp(position, np.linspace(0.0, 1.0, n), brightness))
        return np.asarray((1.0 + (frequency_hz / cutoff_hz) ** 2) ** -0.8)

    x = filtered_over_time(noise, gains) * level * (1.0 + 0.12 * wander(rng, n, 12.0))
    return recorded(rng, x, room=0.1, noise=0.2)


def fire_crackling(rng: Generator) -> Sound:
    """Return a fire: dry snaps of all sizes over a low, fluttering roar."""
    n = samples(between(rng, 3.0, 7.0))
    activity = np.exp(0.8 * wander(rng, n, 1.2))
    x = np.zeros(n)
    for rate_hz, low_hz, high_hz, size in (
        (between_log(rng, 10, 80), 2000, 9000, 0.4),
        (between_log(rng, 1.5, 12), 700, 4500, 1.0),
    ):
        snaps = dust(rng, n, rate_hz, between(rng, 0.8, 1.4)) * activity
        for _ in range(2):
            crack = white(rng, samples(0.02)) * decay(samples(0.02), between_log(rng, 0.0004, 0.003))
            shaped = np.convolve(snaps[: n - len(crack) + 1], crack)
            x[: len(shaped)] += size * band_pass(shaped, low_hz * between(rng, 0.7, 1.4), high_hz, 1)
    x = x / max(float(np.max(np.abs(x))), 1e-9)
    roar = low_pass(coloured(rng, n, 1.2), between_log(rng, 150.0, 900.0), 1) * (1.0 + 0.4 * wander(rng, n, 9.0))
    hiss = high_pass(white(rng, n), 2500.0, 1) * np.exp(0.3 * wander(rng, n, 3.0))
    x += between_log(rng, 0.005, 0.08) * roar / float(np.std(roar)) + between_log(rng, 0.002, 0.02) * hiss
    return recorded(rng, x, room=0.2, room_s=(0.1, 0.5), noise=0.3)


def wind(rng: Generator) -> Sound:
    """Return wind: gusts, a howl round a corner or through a gap, rustling, or the rumble on a microphone."""
    n = samples(between(rng, 4.0, 8.0))
    gust = wander(rng, n, between_log(rng, 0.3, 1.2)) + 0.4 * wander(rng, n, 3.0)
    strength = np.exp(between(rng, 0.3, 0.8) * gust)
    base_hz = between_log(rng, 180.0, 900.0)
    q = between_log(rng, 0.8, 14.0) if chance(rng, 0.6) else 0.6
    noise = white(rng, n)
    position_grid = np.linspace(0.0, 1.0, n)

    def gains(position: Signal, frequency_hz: Signal) -> Signal:
        centre_hz = base_hz * 2.0 ** (0.5 * np.interp(position, position_grid, gust))
        peak = 1.0 / np.sqrt(1.0 + (q * (frequency_hz / centre_hz - centre_hz / np.maximum(frequency_hz, 20.0))) ** 2)
        return peak + 0.08 * (1.0 + (frequency_hz / (2.0 * centre_hz)) ** 2) ** -0.7

    x = filtered_over_time(noise, gains) * strength
    x /= float(np.std(x))
    if chance(rng, 0.5):
        rumble = low_pass(coloured(rng, n, 2.0), between(rng, 60.0, 200.0)) * np.exp(0.8 * wander(rng, n, 4.0))
        x += between(rng, 0.3, 2.5) * rumble / float(np.std(rumble))
    if chance(rng, 0.3):
        leaves = high_pass(dust(rng, n, 4000.0, 1.0), 2500.0, 1) * strength
        x += between(rng, 0.1, 0.5) * leaves / float(np.std(leaves))
    return recorded(rng, x, room=0.1, noise=0.0)


def thunder(rng: Generator) -> Sound:
    """Return thunder: near and cracking or far and rolling, with rain at times."""
    n = samples(between(rng, 3.5, 8.0))
    near = between(rng, 0.0, 1.0)
    t = time_s(n)
    envelope = np.zeros(n)
    strike_s = between(rng, 0.05, 0.6)
    for _ in range(int(rng.integers(4, 14))):
        at_s = strike_s + float(rng.exponential(1.2))
        after = t - at_s
        envelope += between(rng, 0.2, 1.0) * np.where(
            after > 0, np.exp(-after / between(rng, 0.2, 1.2)) * (1 - np.exp(-after / 0.06)), 0.0
        )
    envelope *= np.exp(0.5 * wander(rng, n, 7.0))
    rolling = coloured(rng, n, between(rng, 1.2, 2.2)) * envelope
    cutoff_hz = between_log(rng, 100.0, 350.0) * (1.0 + 5.0 * near)
    fall_s = between(rng, 0.5, 2.0)

    def gains(position: Signal, frequency_hz: Signal) -> Signal:
        seconds = position * n / SAMPLE_RATE_HZ
        now_hz = cutoff_hz * (0.35 + np.exp(-np.maximum(seconds - strike_s, 0.0) / fall_s))
        return (1.0 + (frequency_hz / now_hz) ** 2) ** -1.0

    x = peak_one(filtered_over_time(rolling, gains))
    if near > 0.55:
        # The channel tears: a dense volley of cracks before the roll.
        m = samples(between(rng, 0.15, 0.7))
        crack = dust(rng, m, between_log(rng, 60.0, 600.0), 1.0) + 0.05 * white(rng, m)
        crack = band_pass(crack * decay(m, m / SAMPLE_RATE_HZ / 3.0), 120.0, 6000.0, 1)
        place(x, peak_one(crack), strike_s, between(rng, 0.4, 1.2))
    if chance(rng, 0.4):
        x += between_log(rng, 0.005, 0.08) * high_pass(white(rng, n), 600.0, 1)
    return recorded(rng, x, room=0.7, room_s=(1.0, 3.0), distance=0.2, noise=0.4)


def stream(rng: Generator) -> Sound:
    """Return running water: a brook that babbles, a river that rushes, a tap or waterfall that roars."""
    duration_s = between(rng, 3.0, 7.0)
    n = samples(duration_s)
    flow = band_pass(
        coloured(rng, n, between(rng, 0.3, 1.2)), between_log(rng, 150.0, 600.0), between_log(rng, 2500.0, 9000.0), 1
    )
    flow = flow / float(np.std(flow)) * (1.0 + 0.12 * wander(rng, n, 6.0))
    babble = _splashing(
        rng, duration_s, between_log(rng, 60.0, 500.0), between_log(rng, 250.0, 700.0), between_log(rng, 1500.0, 4000.0)
    )
    babble *= np.exp(0.4 * wander(rng, n, 3.0))
    x = flow + between_log(rng, 0.3, 4.0) * babble / float(np.std(babble))
    return recorded(rng, x, room=0.3, noise=0.0)


def water_drip(rng: Generator) -> Sound:
    """Return drops that fall one by one into water or on a hard ground, in a cave, a bath, a sink."""
    timeline = silence_of(between(rng, 2.0, 6.5))
    low_hz = between_log(rng, 350.0, 1300.0)
    step_s = between_log(rng, 0.2, 1.6)
    jitter = between(rng, 0.05, 0.5)
    for at_s in irregular_times_s(rng, between(rng, 0.05, 0.5), len(timeline) / SAMPLE_RATE_HZ, step_s, jitter):
        impact = high_pass(white(rng, samples(0.01)) * decay(samples(0.01), 0.001), 2000.0)
        place(timeline, peak_one(impact), at_s, between(rng, 0.02, 0.25))
        for echo in range(int(rng.integers(1, 4))):
            drop = _drop(rng, low_hz, low_hz * 1.9, 0.2)
            place(timeline, drop, at_s + 0.008 + echo * between(rng, 0.02, 0.08), between(rng, 0.5, 1.0) / (1 + echo))
    return recorded(rng, timeline, room=0.85, room_s=(0.3, 3.0), noise=0.5)


def water_pour(rng: Generator) -> Sound:
    """Return water poured into a glass or bottle: splashing while the note of the air column rises."""
    duration_s = between(rng, 2.0, 6.0)
    n = samples(duration_s)
    start_hz = between_log(rng, 250.0, 700.0)
    end_hz = start_hz * between(rng, 1.6, 3.5)
    source = _splashing(rng, duration_s, between_log(rng, 250.0, 900.0), 350.0, 3500.0)
    source = source / float(np.std(source)) + between(rng, 0.2, 1.0) * coloured(rng, n, 0.7)
    sharp = between(rng, 4.0, 14.0)
    strength = between(rng, 1.5, 6.0)

    def gains(position: Signal, frequency_hz: Signal) -> Signal:
        note_hz = start_hz * (end_hz / start_hz) ** (position**1.3)
        total = np.full(np.broadcast_shapes(position.shape, frequency_hz.shape), 0.25)
        for order in (1.0, 2.9, 4.8):
            ratio = frequency_hz / (note_hz * order)
            total = total + strength / order / np.sqrt(1.0 + (sharp * (ratio - 1.0 / np.maximum(ratio, 1e-3))) ** 2)
        return total * (1.0 + (frequency_hz / 5000.0) ** 2) ** -0.5

    x = filtered_over_time(source, gains) * swell(n, 0.04, 0.06) * (1.0 + 0.2 * wander(rng, n, 5.0))
    return recorded(rng, x, room=0.6, room_s=(0.15, 0.7), noise=0.4)


def bubbles(rng: Generator) -> Sound:
    """Return bubbles: blown through a straw, boiling, an aquarium, a scuba diver."""
    duration_s = between(rng, 2.0, 6.0)
    timeline = silence_of(duration_s)
    low_hz = between_log(rng, 120.0, 500.0)
    high_hz = low_hz * between(rng, 2.0, 5.0)
    if chance(rng, 0.6):
        cluster_s = between_log(rng, 0.25, 1.5)
        starts = irregular_times_s(rng, 0.0, duration_s, cluster_s, 0.4)
        for start_s in starts:
            for _ in range(int(rng.integers(3, 25))):
                place(
                    timeline,
                    _bubble(rng, low_hz, high_hz),
                    start_s + float(rng.exponential(cluster_s / 4.0)),
                    between(rng, 0.2, 1.0),
                )
    else:
        for _ in range(int(duration_s * between_log(rng, 12.0, 80.0))):
            place(timeline, _bubble(rng, low_hz, high_hz), between(rng, 0.0, duration_s), between(rng, 0.1, 1.0))
    if chance(rng, 0.5):
        timeline = low_pass(timeline, between_log(rng, 600.0, 2500.0), 1)
    return recorded(rng, timeline, room=0.3, room_s=(0.1, 0.6), noise=0.5)


def _bubble(rng: Generator, low_hz: float, high_hz: float) -> Signal:
    n = samples(between_log(rng, 0.02, 0.12))
    pitch = between_log(rng, low_hz, high_hz) * curve(n, [1.0, between(rng, 1.1, 2.2)])
    pop = modes(n, [between_log(rng, 800.0, 2500.0)], [between(rng, 0.0, 0.2)], [0.003])
    return sine(pitch, n) * swell(n, 0.15, 0.6) + pop

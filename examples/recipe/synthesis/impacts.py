"""Tools, impacts, glass, doors, paper, and things that explode."""

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
    harmonics,
    high_pass,
    irregular_times_s,
    low_pass,
    modes,
    moving_low_pass,
    peak_one,
    phase_of,
    place,
    pulses,
    recorded,
    resonant,
    samples,
    saturated,
    silence_of,
    sine,
    swell,
    wander,
    white,
)


def _burst(rng: Generator, tau_s: float, low_hz: float, high_hz: float) -> Signal:
    """Return a short burst of noise in a band, of unit peak."""
    n = samples(tau_s * 8.0 + 0.01)
    return peak_one(band_pass(white(rng, n) * decay(n, tau_s), low_hz, high_hz, 1))


# --- Tools ------------------------------------------------------------------------------------------------------------


def hammer(rng: Generator) -> Sound:
    """Return hammer blows: on a nail in wood, on metal, on an anvil."""
    timeline = silence_of(between(rng, 1.5, 5.0))
    metal = between(rng, 0.0, 1.0)
    wood_hz, metal_hz = between_log(rng, 110.0, 450.0), between_log(rng, 900.0, 3500.0)
    wood_ratios = np.array([1.0, 1.7, 2.6, 3.9, 5.5]) * rng.uniform(0.93, 1.07, 5)
    metal_ratios = np.array([1.0, 1.6, 2.35, 3.4, 4.6, 6.1]) * rng.uniform(0.93, 1.07, 6)
    metal_tau_s = between_log(rng, 0.015, 0.4) * (0.4 + metal)
    rise = between(rng, 0.98, 1.04)  # The pitch climbs as a nail goes in.
    for at_s in irregular_times_s(
        rng, between(rng, 0.02, 0.3), len(timeline) / SAMPLE_RATE_HZ, between_log(rng, 0.25, 0.9), 0.12
    ):
        n = samples(0.6)
        thump = modes(n, wood_hz * wood_ratios, rng.uniform(0.3, 1.0, 5), rng.uniform(0.01, 0.04, 5))
        metal_hz = min(metal_hz * rise, 5000.0)
        ring = modes(n, metal_hz * metal_ratios, rng.uniform(0.3, 1.0, 6), metal_tau_s * rng.uniform(0.3, 1.0, 6))
        crack = _burst(rng, between_log(rng, 0.001, 0.004), 500.0, 10_000.0)
        blow = (1.1 - metal) * peak_one(thump) + metal * peak_one(ring)
        blow[: len(crack)] += between(rng, 0.4, 1.2) * crack
        place(timeline, blow, at_s, between(rng, 0.6, 1.0))
    return recorded(rng, timeline, room=0.8, room_s=(0.15, 1.4), noise=0.5)


def hand_saw(rng: Generator) -> Sound:
    """Return a hand saw in wood: strokes to and fro, each a rasp whose pitch follows the speed of the blade."""
    parts: list[Signal] = []
    stroke_s = between_log(rng, 0.2, 0.65)
    teeth_hz = between_log(rng, 120.0, 500.0)
    wood_hz, bright_hz = between_log(rng, 400.0, 1200.0), between_log(rng, 1800.0, 6000.0)
    tonal = between(rng, 0.1, 0.8)
    for index in range(int(between(rng, 1.5, 6.0) / stroke_s)):
        n = samples(stroke_s * between(rng, 0.85, 1.15))
        speed = np.sin(np.pi * np.linspace(0.03, 0.97, n))
        rasp = pulses(rng, teeth_hz * (0.2 + speed) * (1.0 if index % 2 else 1.15), jitter=0.2, shimmer=0.4)
        rasp = tonal * rasp / max(float(np.std(rasp)), 1e-9) + white(rng, n) * (
            0.4 + 0.6 * (phase_of(teeth_hz * (0.2 + speed), n) % 1.0)
        )
        x = resonant(rasp, wood_hz, 1.0) + resonant(rasp, bright_hz * (1.0 if index % 2 else 1.2), 0.8)
        parts += [
            x * speed ** between(rng, 0.7, 1.5) * (1.0 if index % 2 else between(rng, 0.4, 0.9)),
            np.zeros(samples(between(rng, 0.005, 0.06))),
        ]
    return recorded(rng, np.concatenate(parts), room=0.7, room_s=(0.15, 0.8), distance=0.15, noise=0.5)


# --- Glass, coins -----------------------------------------------------------------------------------------------------


def _glass_piece(rng: Generator, low_hz: float, high_hz: float, tau_s: float) -> Signal:
    """Return one piece of glass or metal that rings."""
    count = int(rng.integers(3, 7))
    frequencies_hz = np.minimum(
        between_log(rng, low_hz, high_hz) * np.cumprod(np.append(1.0, rng.uniform(1.25, 1.9, count - 1))), 20_000.0
    )
    return modes(
        samples(tau_s * 8.0), frequencies_hz, rng.uniform(0.2, 1.0, count), tau_s * rng.uniform(0.3, 1.1, count)
    )


def glass_break(rng: Generator) -> Sound:
    """Return glass breaking: a crack, a burst of shards, then pieces that fall and settle."""
    timeline = silence_of(between(rng, 0.8, 3.0))
    start_s = between(rng, 0.0, 0.15)
    place(timeline, _burst(rng, between_log(rng, 0.004, 0.03), 600.0, 12_000.0), start_s, 1.2)
    if chance(rng, 0.5):
        place(timeline, _burst(rng, between(rng, 0.01, 0.04), 80.0, 600.0), start_s, between(rng, 0.3, 1.0))
    n = samples(0.6)
    spray = high_pass(white(rng, n), between_log(rng, 2000.0, 5000.0)) * attack_decay(
        n, 0.004, between_log(rng, 0.04, 0.2)
    )
    place(timeline, peak_one(spray), start_s, between(rng, 0.3, 0.8))
    spread_s = between_log(rng, 0.12, 0.7)
    low_hz = between_log(rng, 1500.0, 4000.0)
    for _ in range(int(between_log(rng, 25.0, 160.0))):
        piece = _glass_piece(rng, low_hz, 9000.0, between_log(rng, 0.004, 0.06))
        place(timeline, piece, start_s + float(rng.exponential(spread_s)), between_log(rng, 0.03, 0.5))
    return recorded(rng, timeline, room=0.75, room_s=(0.15, 1.2), distance=0.1, noise=0.4)


def glass_clink(rng: Generator) -> Sound:
    """Return glasses or bottles that touch: clear partials above 1 kHz, once, or a few times."""
    lowest_hz = between_log(rng, 900.0, 3500.0)
    ratios = np.array([1.0, 2.32, 4.25, 6.63, 9.38])
    tau_s = between_log(rng, 0.06, 0.8)
    timeline = silence_of(between(rng, 0.5, 3.5))
    at_s = 0.02
    while at_s < len(timeline) / SAMPLE_RATE_HZ:
        n = samples(2.0)
        hit = np.zeros(n)
        for detune in (1.0, between(rng, 1.02, 1.2)):  # Two glasses, never the same.
            hit += modes(
                n,
                lowest_hz * detune * ratios * rng.uniform(0.98, 1.02, 5),
                rng.uniform(0.2, 1.0, 5) / ratios**0.4,
                tau_s / ratios**0.7,
            )
        click = _burst(rng, 0.0008, 2000.0, 15_000.0)
        hit = peak_one(hit)
        hit[: len(click)] += between(rng, 0.1, 0.7) * click
        place(timeline, hit, at_s, between(rng, 0.4, 1.0))
        at_s += between_log(rng, 0.08, 2.0)
    return recorded(rng, timeline, room=0.7, room_s=(0.15, 1.0), distance=0.1, noise=0.5)


def coin(rng: Generator) -> Sound:
    """Return coins: dropped and spinning down, tossed on a table, or jingled by the handful."""
    lowest_hz = between_log(rng, 2200.0, 6500.0)
    ratios = np.array([1.0, 1.42, 1.83, 2.35, 3.1])
    timeline = silence_of(between(rng, 0.6, 3.0))

    def clink(pitch: float) -> Signal:
        ring = modes(
            samples(0.4),
            np.minimum(lowest_hz * pitch * ratios, 20_000.0),
            rng.uniform(0.2, 1.0, 5),
            rng.uniform(0.015, 0.09, 5),
        )
        click = _burst(rng, 0.001, 1500.0, 14_000.0)
        ring = peak_one(ring)
        ring[: len(click)] += 0.5 * click
        return ring

    if chance(rng, 0.6):
        # Bounces on a table, each sooner and softer, then the rattle of the rim.
        table = modes(
            samples(0.1), between(rng, 150.0, 500.0) * np.array([1.0, 1.8, 2.9]), [0.3, 0.2, 0.1], [0.015, 0.01, 0.006]
        )
        at_s, gap_s, level = 0.02, between(rng, 0.15, 0.4), 1.0
        while gap_s > 0.012 and at_s < len(timeline) / SAMPLE_RATE_HZ:
            place(timeline, clink(between(rng, 0.98, 1.02)), at_s, level * between(rng, 0.7, 1.0))
            place(timeline, table, at_s, level)
            at_s += gap_s * between(rng, 0.9, 1.1)
            gap_s *= between(rng, 0.6, 0.9)
            level *= between(rng, 0.75, 0.95)
    else:
        for _ in range(int(rng.integers(3, 40))):
            place(
                timeline,
                clink(between(rng, 0.75, 1.35)),
                between(rng, 0.0, len(timeline) / SAMPLE_RATE_HZ),
                between_log(rng, 0.1, 1.0),
            )
    return recorded(rng, timeline, room=0.6, room_s=(0.1, 0.7), distance=0.05, noise=0.4)


# --- Doors, paper, cloth ----------------------------------------------------------------------------------------------


def door_slam(rng: Generator) -> Sound:
    """Return a door that shuts: latch, slam, rattle; of a room, a car, a cupboard, a metal gate."""
    timeline = silence_of(between(rng, 0.5, 2.0))
    at_s = between(rng, 0.02, 0.4)
    low_hz = between_log(rng, 45.0, 170.0)
    if chance(rng, 0.5):
        place(
            timeline,
            _burst(rng, 0.004, 900.0, 6000.0),
            max(0.0, at_s - between(rng, 0.05, 0.3)),
            between(rng, 0.05, 0.3),
        )
    ratios = np.array([1.0, 1.6, 2.5, 3.4, 4.9, 7.0, 9.5]) * rng.uniform(0.9, 1.1, 7)
    n = samples(0.8)
    slam = peak_one(
        modes(
            n,
            low_hz * ratios,
            rng.uniform(0.2, 1.0, 7) / ratios**0.5,
            between(rng, 0.03, 0.09) * rng.uniform(0.4, 1.2, 7),
        )
    )
    air = low_pass(white(rng, n) * attack_decay(n, 0.003, between(rng, 0.02, 0.08)), between_log(rng, 200.0, 900.0))
    slam += between(rng, 0.4, 1.2) * peak_one(air)
    place(timeline, slam, at_s)
    place(timeline, _burst(rng, between_log(rng, 0.003, 0.015), 400.0, 7000.0), at_s, between(rng, 0.3, 1.0))
    for _ in range(int(rng.integers(0, 8))):
        rattle = _glass_piece(rng, 500.0, 3000.0, between(rng, 0.005, 0.03))
        place(timeline, rattle, at_s + abs(float(rng.normal(0.03, 0.06))), between(rng, 0.03, 0.25))
    return recorded(rng, timeline, room=0.9, room_s=(0.2, 1.8), noise=0.5)


def door_creak(rng: Generator) -> Sound:
    """Return a door that creaks: hinges that stick and slip, slowly, then faster, groaning and squeaking."""
    n = samples(between_log(rng, 0.6, 4.0))
    rate = between_log(rng, 25.0, 260.0) * 2.0 ** (between(rng, 0.3, 1.1) * wander(rng, n, between(rng, 1.0, 4.0)))
    slips = pulses(rng, rate, jitter=between(rng, 0.02, 0.25), shimmer=0.4)
    x = np.zeros(n)
    for _ in range(int(rng.integers(4, 9))):
        x += between(rng, 0.3, 1.0) * resonant(slips, between_log(rng, 300.0, 5000.0), between(rng, 4.0, 30.0))
    x += 0.1 * band_pass(slips, 500.0, 6000.0, 1)
    if chance(rng, 0.35):
        squeak_hz = between_log(rng, 600.0, 2500.0) * 2.0 ** (0.3 * wander(rng, n, 3.0))
        x = peak_one(x) + between(rng, 0.1, 0.5) * harmonics(squeak_hz, n, [1.0, 0.5, 0.4, 0.2, 0.2]) * np.clip(
            wander(rng, n, 3.0), 0.0, 1.5
        )
    x *= np.clip(0.5 + 0.6 * wander(rng, n, 2.5), 0.0, 2.0) * swell(n, 0.1, 0.15)
    return recorded(rng, x, room=0.85, room_s=(0.2, 1.6), noise=0.6)


def paper(rng: Generator) -> Sound:
    """Return paper: crumpled, torn, leafed through, unwrapped."""
    n = samples(between(rng, 0.8, 4.5))
    kind = int(rng.integers(3))
    if kind == 0:  # Crumpling: crackles in bursts.
        activity = np.clip(wander(rng, n, between(rng, 2.0, 6.0)) + 0.4, 0.0, 3.0)
        x = dust(rng, n, between_log(rng, 150.0, 1500.0), 1.2) * activity
        x = resonant(x, between_log(rng, 1500.0, 5000.0), 0.7) + 0.5 * high_pass(x, 3000.0, 1)
    elif kind == 1:  # Tearing: a rough hiss that speeds up.
        rate = between_log(rng, 80.0, 400.0) * curve(n, list(rng.uniform(0.6, 1.8, 4)))
        x = pulses(rng, rate, jitter=0.35, shimmer=0.8) * 6.0 + 0.25 * white(rng, n)
        x = band_pass(x, between_log(rng, 500.0, 1500.0), between_log(rng, 5000.0, 12_000.0), 1)
        x *= np.clip(0.7 + 0.5 * wander(rng, n, 3.0), 0.05, 2.0) * swell(n, 0.05, 0.05)
    else:  # Pages: a swish and a flap each.
        x = np.zeros(n)
        for at_s in irregular_times_s(rng, between(rng, 0.0, 0.3), n / SAMPLE_RATE_HZ, between_log(rng, 0.3, 1.2), 0.3):
            m = samples(between(rng, 0.15, 0.4))
            swish = moving_low_pass(
                white(rng, m) + 0.5 * dust(rng, m, 800.0) * 5.0, curve(m, [1500.0, 7000.0, 2500.0]), 0.8
            )
            place(x, peak_one(high_pass(swish, 500.0, 1) * swell(m, 0.4, 0.3)), at_s, between(rng, 0.4, 0.9))
            place(
                x,
                _burst(rng, between_log(rng, 0.003, 0.012), 300.0, 5000.0),
                at_s + m / SAMPLE_RATE_HZ,
                between(rng, 0.2, 0.9),
            )
    return recorded(rng, x, room=0.5, room_s=(0.1, 0.5), distance=0.05, noise=0.5)


def zipper(rng: Generator) -> Sound:
    """Return a zip: the clicks of its teeth run together to a buzz that rises and falls with the hand."""
    parts: list[Signal] = []
    top_hz = between_log(rng, 150.0, 700.0)
    ring_hz = between_log(rng, 1800.0, 6000.0)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))):
        n = samples(between_log(rng, 0.2, 1.3))
        path = curve(n, [between(rng, 0.2, 0.6), *rng.uniform(0.6, 1.0, 2), between(rng, 0.5, 1.1)])
        teeth = pulses(rng, top_hz * path, jitter=0.06, shimmer=0.35)
        x = (
            resonant(teeth, ring_hz, 1.2)
            + 0.5 * resonant(teeth, ring_hz * 1.8, 1.5)
            + 0.4 * high_pass(teeth, 1500.0, 1)
        )
        x = peak_one(x) + between(rng, 0.05, 0.25) * peak_one(high_pass(white(rng, n), 2000.0, 1))
        parts += [x * path * swell(n, 0.04, 0.04), np.zeros(samples(between(rng, 0.08, 0.6)))]
    return recorded(rng, np.concatenate(parts), room=0.5, room_s=(0.1, 0.5), distance=0.05, noise=0.5)


# --- Bangs ------------------------------------------------------------------------------------------------------------


def explosion(rng: Generator) -> Sound:
    """Return an explosion: a blast, a roar that grows dark, debris, rumbling echoes."""
    n = samples(between(rng, 1.8, 6.0))
    tau_s = between_log(rng, 0.25, 1.3)
    noise = coloured(rng, n, between(rng, 0.8, 1.8))
    cutoff_hz = between_log(rng, 1500.0, 9000.0) * decay(n, tau_s * between(rng, 0.3, 0.8)) + between_log(
        rng, 90.0, 350.0
    )
    x = peak_one(moving_low_pass(noise, cutoff_hz, 1.0) * attack_decay(n, between(rng, 0.001, 0.03), tau_s))
    boom = sine(between(rng, 28.0, 60.0) * (1.0 + 1.5 * decay(n, 0.08)), n) * attack_decay(
        n, 0.004, between(rng, 0.15, 0.5)
    )
    x += between(rng, 0.3, 1.2) * boom
    x[: samples(0.3)] += between(rng, 0.0, 0.8) * np.resize(
        np.append(_burst(rng, 0.01, 200.0, 8000.0), np.zeros(samples(0.3))), samples(0.3)
    )
    if chance(rng, 0.6):
        debris = dust(rng, n, between_log(rng, 20.0, 300.0), 1.0) * attack_decay(n, 0.2, between(rng, 0.4, 1.2))
        debris = band_pass(debris, between_log(rng, 400.0, 1500.0), 7000.0, 1)
        x += between(rng, 0.05, 0.35) * peak_one(debris)
    rolling = (
        low_pass(coloured(rng, n, 2.0), 200.0) * np.exp(0.6 * wander(rng, n, 6.0)) * attack_decay(n, 0.1, tau_s * 2.0)
    )
    x += between(rng, 0.1, 0.6) * peak_one(rolling)
    x = saturated(x, between_log(rng, 1.0, 5.0)) if chance(rng, 0.6) else x
    return recorded(rng, x, room=0.8, room_s=(0.8, 3.0), distance=0.3, noise=0.4)


def gunshot(rng: Generator) -> Sound:
    """Return shots: pistol, rifle, shotgun, automatic fire; a crack, a thump, and the echo of the place."""
    kind = rng.random()
    count = int(rng.integers(3, 20)) if kind < 0.25 else int(rng.choice([1, 2, 3, 5], p=[0.6, 0.15, 0.15, 0.1]))
    step_s = between(rng, 0.065, 0.13) if kind < 0.25 else between_log(rng, 0.3, 1.3)
    timeline = silence_of(min(6.0, step_s * count + 1.0))
    crack_s, thump_s = between_log(rng, 0.0015, 0.008), between_log(rng, 0.01, 0.06)
    low_hz = between_log(rng, 60.0, 220.0)
    blast_s = between_log(rng, 0.02, 0.12)
    for index in range(count):
        n = samples(0.8)
        blast = band_pass(white(rng, n) * attack_decay(n, 0.0003, blast_s), 150.0, between_log(rng, 2500.0, 9000.0), 1)
        shot = peak_one(blast) * between(rng, 0.5, 0.9)
        crack = _burst(rng, crack_s, 700.0, 14_000.0)
        shot[: len(crack)] += 1.2 * crack
        thump = low_pass(white(rng, n) * decay(n, thump_s), low_hz * 2.0)
        shot += between(rng, 0.4, 1.2) * peak_one(thump)
        place(
            timeline,
            saturated(shot, between(rng, 1.5, 5.0)),
            0.02 + step_s * index * (1.0 if kind < 0.25 else between(rng, 0.9, 1.1)),
        )
    return recorded(rng, timeline, room=0.95, room_s=(0.5, 3.0), distance=0.35, noise=0.4)


def fireworks(rng: Generator) -> Sound:
    """Return fireworks: rockets that whistle up, thuds, bangs, and the crackling of stars."""
    duration_s = between(rng, 3.0, 8.0)
    timeline = silence_of(duration_s)
    for _ in range(int(rng.integers(2, 10))):
        at_s = between(rng, 0.0, duration_s - 0.8)
        size = between_log(rng, 0.2, 1.0)
        if chance(rng, 0.45):
            n = samples(between(rng, 0.4, 1.3))
            rise = sine(between_log(rng, 1200.0, 4500.0) * curve(n, [1.0, between(rng, 0.6, 1.6)]), n)
            hiss = high_pass(white(rng, n), 1500.0, 1)
            whistle = (between(rng, 0.0, 0.8) * rise + between(rng, 0.1, 0.5) * hiss) * swell(n, 0.2, 0.2)
            place(timeline, whistle, max(0.0, at_s - n / SAMPLE_RATE_HZ), 0.25 * size)
        n = samples(1.2)
        bang = low_pass(
            white(rng, n) * attack_decay(n, 0.0005, between_log(rng, 0.02, 0.15)), between_log(rng, 300.0, 2500.0)
        )
        snap = _burst(rng, 0.004, 500.0, 9000.0)
        bang = peak_one(bang)
        bang[: len(snap)] += between(rng, 0.1, 0.8) * snap
        place(timeline, bang, at_s, size)
        if chance(rng, 0.55):
            m = samples(between(rng, 0.6, 2.2))
            stars = dust(rng, m, between_log(rng, 25.0, 250.0), 0.7)
            crack = white(rng, samples(0.015)) * decay(samples(0.015), between_log(rng, 0.001, 0.004))
            stars = np.convolve(stars, crack)[:m] * swell(m, 0.15, 0.7)
            place(
                timeline,
                peak_one(band_pass(stars, 700.0, 9000.0, 1)),
                at_s + between(rng, 0.1, 0.5),
                size * between(rng, 0.2, 0.8),
            )
    return recorded(rng, timeline, room=0.95, room_s=(0.8, 3.0), distance=0.3, noise=0.5)

"""Machines and vehicles: firing orders, rotors, wheels, motors, keys."""

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
    falling_levels,
    filtered_over_time,
    harmonics,
    high_pass,
    irregular_times_s,
    low_pass,
    modes,
    moving_low_pass,
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
    swell,
    time_s,
    uneven_levels,
    wander,
    white,
)


def _unit(x: Signal) -> Signal:
    """Return `x` at unit variance."""
    return x / max(float(np.std(x)), 1e-12)


def _passing(n: int, closest: float, sharpness_s: float) -> tuple[Signal, Signal]:
    """Return loudness and pitch factor of something that passes closest at the fraction `closest` of the sound."""
    seconds = time_s(n) - closest * n / SAMPLE_RATE_HZ
    loudness = 1.0 / np.sqrt(1.0 + (seconds / sharpness_s) ** 2)
    doppler = 1.0 - 0.09 * seconds / np.sqrt(seconds**2 + sharpness_s**2)
    return loudness, doppler


# --- In the air -------------------------------------------------------------------------------------------------------


def helicopter(rng: Generator) -> Sound:
    """Return a helicopter: blades that slap the air 8–25 times a second, a turbine, near, far or flying past."""
    n = samples(between(rng, 3.0, 7.0))
    blade_hz = between_log(rng, 8.0, 27.0)
    loudness, doppler = np.ones(n), np.ones(n)
    if chance(rng, 0.35):
        loudness, doppler = _passing(n, between(rng, -0.2, 1.2), between(rng, 1.0, 4.0))
    rate = blade_hz * doppler * (1.0 + 0.015 * wander(rng, n, 0.7))
    turns = phase_of(rate, n)
    phase = turns % 1.0
    # Blades differ a little: every one of the two to six has its own strength and colour.
    blades = int(rng.integers(2, 7))
    strength = (1.0 + between(rng, 0.05, 0.4) * rng.standard_normal(blades))[(turns % blades).astype(np.int64)]
    width = between_log(rng, 0.05, 0.3)
    slap = np.exp(-0.5 * ((phase - 0.5) / width) ** 2) * strength

    low = low_pass(coloured(rng, n, between(rng, 0.6, 1.6)), between_log(rng, 150.0, 700.0), 1)
    broad = band_pass(
        coloured(rng, n, between(rng, 0.2, 1.2)), between_log(rng, 120.0, 500.0), between_log(rng, 1200.0, 7000.0), 1
    )
    depth = between(rng, 0.15, 0.95)
    x = _unit(low) * (1.0 - depth + depth * 2.0 * slap) + between(rng, 0.3, 1.3) * _unit(broad) * (
        1.0 - 0.85 * depth + 0.85 * depth * 2.0 * np.roll(slap, samples(between(rng, 0.0, 0.02)))
    )
    # The pressure pulse of each blade: harmonics of the blade rate up to a few hundred hertz.
    edge = between_log(rng, 0.015, 0.08)
    pulse = -(phase - 0.5) / edge * np.exp(-0.5 * ((phase - 0.5) / edge) ** 2) * strength
    x += between_log(rng, 0.15, 2.0) * _unit(low_pass(pulse, between_log(rng, 120.0, 900.0), 1))
    if chance(rng, 0.7):
        # Tail rotor: a buzz some five times as fast.
        tail = harmonics(rate * between(rng, 3.5, 6.5), n, falling_levels(15, between(rng, 0.6, 1.4)))
        x += between(rng, 0.05, 0.5) * _unit(tail) * np.exp(0.25 * wander(rng, n, 3.0))
    if chance(rng, 0.65):
        # Turbine and gearbox: a few thin lines, each trembling a little.
        for _ in range(int(rng.integers(1, 6))):
            whine_hz = between_log(rng, 350.0, 9000.0) * doppler * (1.0 + 0.002 * wander(rng, n, 1.0))
            x += between_log(rng, 0.01, 0.25) * sine(whine_hz, n) * np.exp(0.3 * wander(rng, n, 6.0))
    exhaust = _unit(band_pass(white(rng, n), 300.0, between_log(rng, 2500.0, 12_000.0), 1))
    x += between_log(rng, 0.03, 0.8) * exhaust
    for _ in range(int(rng.integers(0, 3))):
        x += between(rng, 0.1, 0.7) * _unit(resonant(x, between_log(rng, 80.0, 3000.0), between(rng, 1.0, 4.0)))
    x *= loudness * np.exp(between(rng, 0.0, 0.3) * wander(rng, n, 0.8))
    if chance(rng, 0.5):
        x = low_pass(x, between_log(rng, 400.0, 5000.0), 1)
    return recorded(rng, x, room=0.15, distance=0.15, noise=0.6)


def jet(rng: Generator) -> Sound:
    """Return a jet aircraft: roar and whine that swell, pass and sink."""
    n = samples(between(rng, 4.0, 8.0))
    loudness, doppler = _passing(n, between(rng, 0.2, 0.8), between(rng, 0.6, 3.0))
    if chance(rng, 0.3):
        loudness, doppler = curve(n, [between(rng, 0.4, 1.0), 1.0, between(rng, 0.4, 1.0)]), np.ones(n)
    roar = coloured(rng, n, between(rng, 0.8, 1.6))
    bright_hz = between_log(rng, 500.0, 4000.0)

    def gains(position: Signal, frequency_hz: Signal) -> Signal:
        near = np.interp(position, np.linspace(0.0, 1.0, n), loudness)
        # The interference with the echo from the ground draws a comb that moves.
        delay_s = 0.0008 + 0.004 * near
        comb = 1.0 + 0.35 * np.cos(2.0 * np.pi * frequency_hz * delay_s)
        return comb * (1.0 + (frequency_hz / (bright_hz * (0.3 + 1.5 * near))) ** 2) ** -0.6

    x = _unit(filtered_over_time(roar, gains)) * (1.0 + 0.12 * wander(rng, n, 8.0))
    for _ in range(int(rng.integers(0, 4))):
        whine = sine(between_log(rng, 1200.0, 6500.0) * doppler**2 * (1.0 + 0.002 * wander(rng, n, 2.0)), n)
        x += between_log(rng, 0.02, 0.35) * whine
    crackle = band_pass(dust(rng, n, 300.0, 0.8), 80.0, 1500.0, 1)
    x += between(rng, 0.0, 0.3) * _unit(crackle)
    return recorded(rng, x * loudness, room=0.1, distance=0.2, noise=0.4)


def propeller_plane(rng: Generator) -> Sound:
    """Return a propeller aircraft: a droning harmonic buzz, two engines that beat, flying past or along."""
    n = samples(between(rng, 3.5, 8.0))
    loudness, doppler = _passing(n, between(rng, 0.0, 1.0), between(rng, 1.0, 5.0))
    if chance(rng, 0.35):
        loudness, doppler = curve(n, list(rng.uniform(0.6, 1.0, 4))), np.ones(n)
    base_hz = between_log(rng, 55.0, 130.0)
    x = np.zeros(n)
    for propeller in range(int(rng.choice([1, 2]))):
        rate = base_hz * (1.0 + 0.012 * propeller) * doppler * (1.0 + 0.004 * wander(rng, n, 1.5))
        levels = uneven_levels(rng, 44, between(rng, 0.5, 1.2), 0.5)
        x += harmonics(rate, n, levels)
        # Cylinders fire at half the rate of the blades or so: lines between the strong ones.
        x += between(rng, 0.1, 0.5) * harmonics(rate * 0.5, n, uneven_levels(rng, 39, 0.9, 0.4))
    x = _unit(x) + between(rng, 0.2, 0.9) * _unit(band_pass(coloured(rng, n, 1.0), 80.0, 3000.0, 1)) * (
        1.0 + 0.2 * wander(rng, n, 12.0)
    )
    x = low_pass(x, between_log(rng, 700.0, 5000.0), 1) * loudness
    return recorded(rng, x, room=0.1, distance=0.2, noise=0.5)


# --- On the road and on rails -----------------------------------------------------------------------------------------


def _exhaust(rng: Generator, firing_hz: Signal, cylinders: int, harshness: float) -> Signal:
    """Return the exhaust of an engine: one burst per firing, no two alike, through pipes and a muffler."""
    n = len(firing_hz)
    turns = phase_of(firing_hz, n)
    phase = turns % 1.0
    uneven = (1.0 + 0.25 * rng.standard_normal(cylinders))[(turns % cylinders).astype(np.int64)]
    events = turns.astype(np.int64)
    random_size = (1.0 + 0.15 * rng.standard_normal(int(events[-1]) + 2))[events]
    envelope = np.exp(-phase * between(rng, 3.0, 9.0)) * uneven * random_size
    bang = envelope - low_pass(envelope, 10.0, 1)
    burst = envelope * white(rng, n)
    x = _unit(bang) + harshness * _unit(burst)
    for _ in range(int(rng.integers(1, 4))):
        x += between(rng, 0.2, 0.8) * resonant(x, between_log(rng, 70.0, 1200.0), between(rng, 1.5, 5.0))
    return x


def engine(rng: Generator) -> Sound:
    """Return an engine: idling, revving, a diesel, a tractor, a generator, starting up at times."""
    n = samples(between(rng, 2.5, 7.0))
    base_hz = between_log(rng, 16.0, 75.0)
    firing_hz = np.full(n, base_hz) * (1.0 + 0.02 * wander(rng, n, 2.5))
    if chance(rng, 0.45):
        revs = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, 7), np.append(1.0, rng.uniform(0.9, 3.6, 6)))
        firing_hz = firing_hz * revs
    x = _exhaust(rng, firing_hz, int(rng.integers(2, 7)), between(rng, 0.2, 0.9))
    clatter = band_pass(white(rng, n) * (phase_of(firing_hz * 2.0, n) % 1.0 < 0.15), 1200.0, 6000.0, 1)
    x += between_log(rng, 0.03, 0.5) * _unit(clatter) + between(rng, 0.05, 0.4) * _unit(coloured(rng, n, 1.0))
    x = low_pass(x, between_log(rng, 500.0, 4000.0), 1)
    if chance(rng, 0.15):
        # The starter turns it over first.
        start = samples(between(rng, 0.5, 1.2))
        crank = _unit(
            band_pass(white(rng, start) * (0.3 + np.clip(sine(between(rng, 7.0, 12.0), start), 0, 1)), 150.0, 2500.0, 1)
        )
        x[:start] = crank * float(np.std(x)) * 0.7
    x *= np.sqrt(firing_hz / base_hz)
    return recorded(rng, x, room=0.3, noise=0.5)


def motorcycle(rng: Generator) -> Sound:
    """Return a motorcycle or scooter: loud, uneven firing, gears, flying past or idling."""
    n = samples(between(rng, 2.5, 7.0))
    base_hz = between_log(rng, 28.0, 110.0)
    points, rise = [1.0], 1.0
    for _ in range(int(rng.integers(2, 7))):
        rise = rise * between(rng, 1.2, 2.0) if rise < 2.2 else rise * between(rng, 0.5, 0.75)
        points.append(rise)
    firing_hz = base_hz * curve(n, points) * (1.0 + 0.015 * wander(rng, n, 5.0))
    loudness = np.ones(n)
    if chance(rng, 0.5):
        loudness, doppler = _passing(n, between(rng, 0.1, 0.9), between(rng, 0.3, 1.5))
        firing_hz = firing_hz * doppler**1.5
    x = _exhaust(rng, firing_hz, int(rng.integers(1, 3)), between(rng, 0.3, 1.0))
    x += between(rng, 0.05, 0.5) * _unit(sawtooth(firing_hz * float(rng.choice([1.0, 2.0])), n))
    x = np.tanh(between(rng, 0.5, 2.0) * x)
    x = low_pass(x, between_log(rng, 1200.0, 8000.0), 1) * loudness * np.sqrt(firing_hz / base_hz)
    return recorded(rng, x, room=0.3, distance=0.3, noise=0.5)


def car_pass(rng: Generator) -> Sound:
    """Return cars going by: tyre noise that swells and fades, some engine, a wet road at times."""
    n = samples(between(rng, 3.5, 8.0))
    x = np.zeros(n)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15]))):
        loudness, doppler = _passing(n, between(rng, 0.15, 0.85), between_log(rng, 0.2, 1.2))
        tyres = coloured(rng, n, between(rng, 0.5, 1.3))
        shaped = moving_low_pass(tyres, between_log(rng, 700.0, 3000.0) * (0.35 + 1.6 * loudness), 0.7)
        motor = _exhaust(rng, between_log(rng, 30.0, 110.0) * doppler, 4, 0.3)
        car = _unit(band_pass(shaped, 60.0, 9000.0, 1)) + between_log(rng, 0.05, 0.7) * _unit(low_pass(motor, 600.0, 1))
        x += car * loudness ** between(rng, 1.3, 2.2) * between(rng, 0.5, 1.0)
    x += between_log(rng, 0.005, 0.1) * _unit(coloured(rng, n, 1.4))
    return recorded(rng, x, room=0.15, distance=0.2, noise=0.4)


def train(rng: Generator) -> Sound:
    """Return a train: wheels over joints in pairs, rumbling, squealing brakes, or a steam engine that puffs."""
    n = samples(between(rng, 4.0, 8.0))
    duration_s = n / SAMPLE_RATE_HZ
    roll = _unit(band_pass(coloured(rng, n, 1.3), 40.0, between_log(rng, 600.0, 3000.0), 1)) * (
        1.0 + 0.15 * wander(rng, n, 8.0)
    )
    x = between(rng, 0.2, 0.8) * roll
    if chance(rng, 0.25):
        chuff_hz = between(rng, 1.5, 7.0) * curve(n, [1.0, between(rng, 0.9, 1.6)])
        phase = phase_of(chuff_hz, n) % 1.0
        steam = _unit(band_pass(white(rng, n), 200.0, between_log(rng, 2500.0, 7000.0), 1))
        x += 1.5 * steam * np.exp(-phase * between(rng, 3.0, 8.0)) * np.minimum(phase / 0.08, 1.0)
    else:
        rail_s = between_log(rng, 0.45, 1.5)
        axle_s = rail_s * between(rng, 0.1, 0.2)
        clack_hz = between_log(rng, 90.0, 350.0)
        for at_s in irregular_times_s(rng, between(rng, 0.0, 0.5), duration_s, rail_s, 0.03):
            for offset_s in (0.0, axle_s, rail_s * 0.5, rail_s * 0.5 + axle_s)[: int(rng.integers(2, 5))]:
                m = samples(0.2)
                ring = modes(
                    m, clack_hz * rng.uniform(0.9, 8.0, 6), rng.uniform(0.1, 0.8, 6), rng.uniform(0.008, 0.04, 6)
                )
                thud = low_pass(white(rng, m) * attack_decay(m, 0.004, 0.03), clack_hz * 3.0)
                place(
                    x, peak_one(ring) + peak_one(thud) * between(rng, 0.5, 1.5), at_s + offset_s, between(rng, 1.2, 3.0)
                )
    if chance(rng, 0.35):
        squeal_hz = between_log(rng, 1200.0, 5500.0) * (1.0 + 0.02 * wander(rng, n, 3.0))
        squeal = harmonics(squeal_hz, n, [1.0, 0.4, 0.3, 0.1]) * np.clip(wander(rng, n, 1.0), 0.0, 1.5)
        x += between_log(rng, 0.05, 0.6) * squeal
    if chance(rng, 0.5):
        x *= _passing(n, between(rng, 0.2, 0.8), between(rng, 1.5, 4.0))[0]
    return recorded(rng, x, room=0.3, distance=0.2, noise=0.3)


# --- Tools and household ----------------------------------------------------------------------------------------------


def chainsaw(rng: Generator) -> Sound:
    """Return a chainsaw: a two-stroke engine that idles, screams and labours, and the chain's rasp."""
    n = samples(between(rng, 3.0, 6.5))
    base_hz = between_log(rng, 45.0, 75.0)
    revs = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, 8), rng.choice([1.0, 1.1, 1.9, 2.4, 2.8, 2.2], 8))
    firing_hz = base_hz * revs * (1.0 + 0.02 * wander(rng, n, 8.0))
    x = np.tanh(between(rng, 0.8, 2.5) * _exhaust(rng, firing_hz, 1, between(rng, 0.5, 1.2)))
    buzz = harmonics(firing_hz, n, uneven_levels(rng, 59, 0.45, 0.6))
    x = _unit(x) + between(rng, 0.3, 1.2) * _unit(buzz)
    rasp = _unit(band_pass(white(rng, n), 1200.0, 9000.0, 1)) * (revs > 1.5)
    x += between(rng, 0.1, 0.6) * rasp
    return recorded(rng, x * np.sqrt(revs), room=0.3, noise=0.3)


def vacuum_cleaner(rng: Generator) -> Sound:
    """Return a vacuum cleaner or hair dryer: rushing air and a motor's whine, steady, or moved about."""
    n = samples(between(rng, 3.0, 7.0))
    spin = np.ones(n)
    if chance(rng, 0.3):
        ramp = samples(between(rng, 0.5, 1.5))
        spin[:ramp] = np.linspace(0.15, 1.0, ramp) ** 0.6
    if chance(rng, 0.2):
        ramp = samples(between(rng, 0.5, 1.5))
        spin[n - ramp :] *= np.linspace(1.0, 0.15, ramp)
    motor_hz = between_log(rng, 180.0, 650.0) * spin * (1.0 + 0.006 * wander(rng, n, 1.5))
    whine = harmonics(motor_hz, n, uneven_levels(rng, 29, between(rng, 0.3, 1.0), 0.9))
    air = band_pass(
        coloured(rng, n, between(rng, 0.2, 1.0)), between_log(rng, 100.0, 400.0), between_log(rng, 3000.0, 12_000.0), 1
    )
    air = _unit(air) + between(rng, 0.2, 1.0) * _unit(resonant(white(rng, n), between_log(rng, 400.0, 3000.0), 2.0))
    x = (air * (1.0 + 0.08 * wander(rng, n, 2.0)) + between_log(rng, 0.1, 0.9) * _unit(whine)) * spin**1.5
    return recorded(rng, x, room=0.6, room_s=(0.15, 0.8), distance=0.2, noise=0.1)


def drill(rng: Generator) -> Sound:
    """Return a drill: a whining motor that labours, runs free and stops, with hammering at times."""
    n = samples(between(rng, 2.0, 6.0))
    gate = np.interp(
        np.linspace(0, 1, n), [0.0, 0.06, 0.3, 0.55, 0.8, 0.93, 1.0], [0.1, *rng.uniform(0.75, 1.0, 5), 0.15]
    )
    motor_hz = between_log(rng, 160.0, 700.0) * gate * (1.0 + 0.02 * wander(rng, n, 4.0))
    x = _unit(harmonics(motor_hz, n, uneven_levels(rng, 39, between(rng, 0.2, 0.9), 0.7)))
    x += between(rng, 0.1, 0.6) * _unit(sawtooth(motor_hz * between(rng, 2.5, 9.0), n))
    grind = _unit(band_pass(white(rng, n), between_log(rng, 600.0, 2000.0), between_log(rng, 4000.0, 12_000.0), 1))
    x += between(rng, 0.1, 0.9) * grind * (0.3 + np.clip(wander(rng, n, 1.5), 0.0, 1.5))
    if chance(rng, 0.35):
        blow = np.exp(-(phase_of(between(rng, 18.0, 60.0), n) % 1.0) * 6.0)
        x = x * (0.3 + blow) + 1.5 * blow * _unit(band_pass(white(rng, n), 200.0, 5000.0, 1))
    return recorded(rng, x * gate, room=0.6, room_s=(0.15, 1.0), noise=0.3)


def printer(rng: Generator) -> Sound:
    """Return a printer: a carriage to and fro, steppers and rollers, or the screech of a dot-matrix head."""
    duration_s = between(rng, 2.5, 6.5)
    timeline = silence_of(duration_s)
    matrix = chance(rng, 0.35)
    pass_s = between_log(rng, 0.3, 1.3)
    low_hz = between_log(rng, 300.0, 1400.0)
    for index, at_s in enumerate(irregular_times_s(rng, 0.0, duration_s, pass_s * 1.15, 0.05)):
        n = samples(pass_s * between(rng, 0.85, 1.0))
        step_hz = low_hz * (1.0 + 0.15 * (index % 2)) * curve(n, [0.5, 1.0, 1.0, 0.6], [0.0, 0.12, 0.88, 1.0])
        motor = harmonics(step_hz, n, uneven_levels(rng, 15, 0.7, 0.6))
        slide = band_pass(white(rng, n), 800.0, 6000.0, 1)
        x = _unit(motor) + between(rng, 0.3, 1.2) * _unit(slide)
        if matrix:
            letters = np.repeat(rng.random(n // 1500 + 1) < 0.8, 1500)[:n]
            pins = harmonics(between(rng, 600.0, 1200.0), n, [1.0] * 15) * letters
            x += between(rng, 0.6, 1.5) * _unit(pins) * (1.0 + 0.3 * white(rng, n))
        place(timeline, x * swell(n, 0.06, 0.06), at_s, between(rng, 0.7, 1.0))
        if chance(rng, 0.7):
            clack = _clack(rng, between_log(rng, 400.0, 2000.0))
            place(timeline, clack, at_s + pass_s * 1.02, between(rng, 0.6, 2.5))
    fan = _unit(band_pass(coloured(rng, len(timeline), 0.8), 150.0, 3000.0, 1))
    return recorded(rng, timeline + between(rng, 0.05, 0.4) * fan, room=0.6, room_s=(0.1, 0.6), noise=0.3)


def _clack(rng: Generator, body_hz: float) -> Signal:
    """Return a small mechanical click: plastic or metal parts that meet."""
    n = samples(0.08)
    ring = modes(n, body_hz * rng.uniform(0.9, 6.0, 5), rng.uniform(0.2, 1.0, 5), rng.uniform(0.001, 0.008, 5))
    noise = band_pass(white(rng, n) * decay(n, between_log(rng, 0.0006, 0.004)), body_hz, 9000.0, 1)
    return peak_one(ring) + between(rng, 0.4, 1.2) * peak_one(noise)


def typing(rng: Generator) -> Sound:
    """Return typing on a keyboard or a typewriter: bursts of key strokes, down and up, a space bar, a bell."""
    duration_s = between(rng, 2.5, 6.5)
    timeline = silence_of(duration_s)
    typewriter = chance(rng, 0.25)
    body_hz = between_log(rng, 250.0, 1100.0)
    step_s = between_log(rng, 0.085, 0.22)
    at_s = between(rng, 0.0, 0.3)
    while at_s < duration_s:
        for _ in range(int(rng.integers(3, 16))):
            level = between(rng, 0.4, 1.0)
            space = chance(rng, 0.15)
            place(
                timeline,
                _clack(rng, body_hz * (0.5 if space else between(rng, 0.85, 1.2))),
                at_s,
                level * (1.4 if space else 1.0),
            )
            if typewriter:
                place(timeline, _clack(rng, body_hz * 2.5), at_s + 0.02, level)
            else:
                place(
                    timeline,
                    _clack(rng, body_hz * 1.5),
                    at_s + between(rng, 0.05, 0.11),
                    level * between(rng, 0.15, 0.5),
                )
            at_s += step_s * float(np.clip(np.exp(0.35 * rng.standard_normal()), 0.5, 2.5))
        if typewriter and chance(rng, 0.3):
            ding = modes(
                samples(0.8),
                between(rng, 1800.0, 3200.0) * np.array([1.0, 2.7, 5.2]),
                [1.0, 0.4, 0.2],
                [0.25, 0.12, 0.05],
            )
            place(timeline, ding, at_s, 0.8)
        at_s += between_log(rng, 0.1, 0.9)
    return recorded(rng, timeline, room=0.7, room_s=(0.1, 0.6), noise=0.6)


def camera_shutter(rng: Generator) -> Sound:
    """Return a camera: mirror and shutter, two or three clicks within a fifth of a second, a motor, a burst."""
    body_hz = between_log(rng, 400.0, 1500.0)
    gap_s = between_log(rng, 0.03, 0.16)
    motor = chance(rng, 0.35)
    timeline = silence_of(between(rng, 0.4, 3.0))
    at_s = between(rng, 0.01, 0.1)
    while at_s < len(timeline) / SAMPLE_RATE_HZ:
        place(timeline, _clack(rng, body_hz), at_s, between(rng, 0.7, 1.0))
        place(timeline, _clack(rng, body_hz * between(rng, 0.9, 1.6)), at_s + gap_s, between(rng, 0.5, 1.0))
        if chance(rng, 0.5):
            place(timeline, _clack(rng, body_hz * 0.7), at_s + gap_s * 1.3, between(rng, 0.2, 0.6))
        if motor:
            n = samples(between(rng, 0.12, 0.5))
            wind = harmonics(between(rng, 300.0, 700.0) * curve(n, [0.6, 1.0, 1.1]), n, falling_levels(13, 0.6))
            wind = _unit(wind) + _unit(band_pass(white(rng, n), 1500.0, 8000.0, 1))
            place(timeline, wind * swell(n, 0.1, 0.15), at_s + gap_s + 0.02, between(rng, 0.04, 0.15))
        at_s += between_log(rng, 0.15, 1.5)
    timeline = random_equaliser(rng, high_pass(timeline, 150.0, 1), 6.0)
    return recorded(rng, timeline, room=0.6, room_s=(0.1, 0.6), noise=0.4)

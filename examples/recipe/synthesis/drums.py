"""Drums: drum machines, acoustic kits and hand percussion, clean, in rooms, layered, saturated and lo-fi."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from recipe.synthesis.signals import (
    SAMPLE_RATE_HZ,
    Signal,
    Sound,
    attack_decay,
    band_pass,
    bandlimited,
    between,
    between_log,
    chance,
    cloud,
    coloured,
    crushed,
    decay,
    dust,
    harmonics,
    high_pass,
    join,
    low_pass,
    modes,
    padded,
    peak_one,
    phase_of,
    place,
    random_equaliser,
    resonant,
    reverberated,
    samples,
    saturated,
    silence_of,
    sine,
    square,
    swell,
    time_s,
    to_sound,
    wander,
    white,
)

# The modes of an ideal membrane, as multiples of the lowest.
MEMBRANE = np.array([1.0, 1.594, 2.136, 2.296, 2.653, 2.918, 3.156, 3.501, 3.600, 4.060])
# The six oscillators behind the metal sounds of an analogue drum machine, in hertz.
METAL_OSCILLATORS_HZ = np.array([205.3, 304.4, 369.6, 522.7, 540.0, 800.0])


# --- From one hit to a one-shot ---------------------------------------------------------------------------------------


def _processed(rng: Generator, x: Signal, *, phrase: bool = False) -> Signal:
    """Return a hit or a phrase after what producers do to it: saturation, an old sampler, an equaliser, a room."""
    x = peak_one(x)
    if chance(rng, 0.25):
        x = saturated(x, between_log(rng, 1.2, 8.0))
    if chance(rng, 0.12):
        x = crushed(x, between(rng, 6.0, 12.0), int(rng.integers(1, 4)))
    if chance(rng, 0.12):
        x = bandlimited(x, between_log(rng, 6000.0, 16_000.0))
    if chance(rng, 0.6):
        x = random_equaliser(rng, x, between(rng, 2.0, 7.0))
    kind = rng.random()
    if kind < 0.22:
        x = reverberated(
            rng, x, between_log(rng, 0.1, 0.5), between(rng, 0.05, 0.4), between_log(rng, 3000.0, 12_000.0)
        )
    elif kind < 0.30:
        x = reverberated(
            rng, x, between_log(rng, 0.5, 1.8), between(rng, 0.05, 0.45), between_log(rng, 3000.0, 12_000.0)
        )
    elif kind < 0.34 and not phrase:
        x = _gated(rng, x)
    return peak_one(x)


def _gated(rng: Generator, x: Signal) -> Signal:
    """Return a hit in a big room that is cut off: the gated reverberation of the eighties."""
    wet = reverberated(rng, x, between(rng, 1.0, 2.5), between(rng, 0.4, 0.8), 9000.0)
    gate = samples(between(rng, 0.15, 0.4))
    wet[gate:] *= decay(len(wet) - gate, 0.012)
    return wet[: gate + samples(0.1)]


def _trimmed(x: Signal) -> Signal:
    """Return `x` without the end that cannot be heard."""
    audible = np.flatnonzero(np.abs(x) > 0.002 * np.max(np.abs(x)))
    end = int(audible[-1]) + 1 if len(audible) else len(x)
    return x[:end]


def _one_shot(rng: Generator, hit: Callable[[Generator], Signal], longest_s: float = 3.0) -> Sound:
    """Return one hit, now and then layered with another, repeated a few times, or with the noise of a recording."""
    x = peak_one(hit(rng))
    if chance(rng, 0.15):
        x = join([x, between(rng, 0.3, 0.9) * peak_one(hit(rng))])
    x = _trimmed(_processed(rng, x))
    if chance(rng, 0.08):
        x = _repeated(rng, x)
    x = x[: samples(longest_s)]
    if chance(rng, 0.25):
        x = padded(x, between(rng, 0.02, 0.5))
    if chance(rng, 0.2):
        x = peak_one(x) + between_log(rng, 0.0003, 0.008) * coloured(rng, len(x), between(rng, 0.0, 1.5))
    return to_sound(x, between(rng, 0.35, 1.0))


def _repeated(rng: Generator, hit: Signal) -> Signal:
    """Return the same hit two to five times, not equally loud."""
    count = int(rng.integers(2, 6))
    step_s = between_log(rng, 0.18, 0.7)
    timeline = silence_of(step_s * (count - 1) + len(hit) / SAMPLE_RATE_HZ)
    for index in range(count):
        place(timeline, hit, index * step_s * (1.0 + 0.02 * rng.standard_normal()), between(rng, 0.5, 1.0))
    return timeline


def _swept_sine(n: int, end_hz: float, start_ratio: float, sweep_s: float) -> Signal:
    """Return a sine that falls exponentially from `start_ratio * end_hz` to `end_hz`."""
    return sine(end_hz * (1.0 + (start_ratio - 1.0) * decay(n, sweep_s)), n)


def _click(rng: Generator, tau_s: float, low_hz: float, high_hz: float) -> Signal:
    """Return a short burst of noise: a stick, a beater, the edge of an envelope."""
    n = samples(tau_s * 8.0 + 0.005)
    return peak_one(band_pass(white(rng, n) * decay(n, tau_s), low_hz, high_hz, 1))


# --- Kick and toms ----------------------------------------------------------------------------------------------------


def _kick_analogue(rng: Generator) -> Signal:
    """Return the long, nearly pure kick of an 808."""
    tau_s = between_log(rng, 0.05, 0.4)
    n = samples(min(2.5, tau_s * 5.0))
    body = _swept_sine(n, between_log(rng, 36.0, 75.0), between(rng, 1.3, 4.0), between_log(rng, 0.005, 0.03))
    body *= attack_decay(n, between(rng, 0.0005, 0.004), tau_s)
    return join([body, between(rng, 0.0, 0.35) * _click(rng, between_log(rng, 0.0005, 0.004), 500.0, 6000.0)])


def _kick_punchy(rng: Generator) -> Signal:
    """Return the punchy kick of a 909 and of dance music: a deep sweep, a click, often overdriven."""
    tau_s = between_log(rng, 0.03, 0.16)
    n = samples(tau_s * 6.0)
    body = _swept_sine(n, between_log(rng, 38.0, 75.0), between_log(rng, 3.0, 12.0), between_log(rng, 0.008, 0.05))
    if chance(rng, 0.4):
        body += between(rng, 0.1, 0.6) * _swept_sine(n, between(rng, 80.0, 160.0), between(rng, 2.0, 6.0), 0.01)
    body *= attack_decay(n, 0.001, tau_s)
    body = saturated(body, between_log(rng, 0.6, 7.0)) * decay(n, tau_s * 1.5)
    click = _click(
        rng, between_log(rng, 0.0008, 0.006), between_log(rng, 800.0, 3000.0), between_log(rng, 4000.0, 14_000.0)
    )
    return join([body, between(rng, 0.1, 0.7) * click])


def _kick_acoustic(rng: Generator) -> Signal:
    """Return a bass drum of an acoustic kit: a damped membrane, its shell, the beater, rattling wires."""
    tau_s = between_log(rng, 0.035, 0.18)
    n = samples(tau_s * 8.0 + 0.1)
    lowest_hz = between_log(rng, 45.0, 95.0)
    body = _swept_sine(n, lowest_hz, between(rng, 1.15, 1.9), between(rng, 0.01, 0.04)) * attack_decay(n, 0.002, tau_s)
    count = len(MEMBRANE) - 1
    body += modes(
        n,
        lowest_hz * MEMBRANE[1:] * rng.uniform(0.94, 1.08, count),
        rng.uniform(0.0, 0.45, count) / np.arange(1, count + 1) ** 0.5,
        tau_s * rng.uniform(0.15, 0.6, count),
    )
    parts = [body]
    beater = _click(
        rng, between_log(rng, 0.002, 0.012), between_log(rng, 600.0, 2500.0), between_log(rng, 3000.0, 9000.0)
    )
    parts.append(between(rng, 0.05, 0.6) * beater)
    thump = _click(rng, between_log(rng, 0.01, 0.05), 80.0, between_log(rng, 300.0, 900.0))
    parts.append(between(rng, 0.05, 0.5) * thump)
    if chance(rng, 0.4):
        wires = high_pass(white(rng, n), between(rng, 1500.0, 4000.0)) * attack_decay(n, 0.01, between(rng, 0.03, 0.15))
        parts.append(between_log(rng, 0.01, 0.06) * peak_one(wires))
    return join(parts)


def _kick_hit(rng: Generator) -> Signal:
    return (_kick_analogue, _kick_punchy, _kick_acoustic)[rng.choice(3, p=[0.28, 0.36, 0.36])](rng)


def kick(rng: Generator) -> Sound:
    """Return a kick drum (bass drum) hit."""
    return _one_shot(rng, _kick_hit)


def _tom_hit(rng: Generator) -> Signal:
    lowest_hz = between_log(rng, 65.0, 260.0)
    kind = rng.random()
    if kind < 0.4:
        tau_s = between_log(rng, 0.06, 0.35)
        n = samples(tau_s * 6.0)
        body = _swept_sine(n, lowest_hz, between(rng, 1.15, 2.2), between_log(rng, 0.02, 0.12))
        if chance(rng, 0.4):
            body += between(rng, 0.1, 0.4) * _swept_sine(n, lowest_hz * between(rng, 1.5, 1.65), 1.3, 0.05)
        body *= attack_decay(n, 0.001, tau_s)
        noise = low_pass(white(rng, n), between_log(rng, 600.0, 4000.0), 1) * decay(n, tau_s * between(rng, 0.2, 0.7))
        return body + between(rng, 0.0, 0.2) * peak_one(noise)
    tau_s = between_log(rng, 0.06, 0.35)
    n = samples(tau_s * 6.0 + 0.1)
    # A tight head drops in pitch as its swing dies down.
    glide = 1.0 + between(rng, 0.03, 0.18) * decay(n, between(rng, 0.03, 0.1))
    total = np.zeros(n)
    for ratio in MEMBRANE:
        frequency_hz = lowest_hz * ratio * between(rng, 0.97, 1.03) * glide
        level = between(rng, 0.2, 1.0) / ratio**1.3 if ratio > 1.0 else 1.0
        total += level * sine(frequency_hz, n) * decay(n, tau_s * between(rng, 0.5, 1.1) / ratio**1.2)
    total *= np.minimum(time_s(n) / 0.001, 1.0)
    # Above the first modes lies a thicket of others, heard as a noisy body that fades from the top.
    thicket = cloud(rng, n, lowest_hz * 2.5, between_log(rng, 2500.0, 9000.0), int(rng.integers(80, 400)))
    thicket = low_pass(thicket, between_log(rng, 300.0, 1500.0), 1) * decay(n, tau_s * between(rng, 0.15, 0.5))
    total = peak_one(total) + between(rng, 0.1, 0.5) * peak_one(thicket)
    stick = _click(rng, between_log(rng, 0.001, 0.008), between(rng, 500.0, 2000.0), between_log(rng, 2500.0, 9000.0))
    shell = _click(rng, between(rng, 0.01, 0.05), 150.0, between(rng, 600.0, 1500.0))
    return join([peak_one(total), between(rng, 0.1, 0.5) * stick, between(rng, 0.05, 0.35) * shell])


def tom(rng: Generator) -> Sound:
    """Return a tom-tom hit, electronic or acoustic, at times a short fill."""
    return _one_shot(rng, _tom_hit)


def _conga_hit(rng: Generator) -> Signal:
    lowest_hz = between_log(rng, 150.0, 420.0)
    slap = chance(rng, 0.3)
    tau_s = between_log(rng, 0.02, 0.06) if slap else between_log(rng, 0.05, 0.28)
    n = samples(tau_s * 8.0 + 0.05)
    ratios = np.array([1.0, 1.52, 2.0, 2.43, 3.1, 3.9]) * np.append(1.0, rng.uniform(0.95, 1.06, 5))
    levels = rng.uniform(0.05, 0.35, 6) * (2.0 if slap else 1.0)
    levels[0] = 1.0
    body = modes(n, lowest_hz * ratios, levels, tau_s / ratios ** between(rng, 0.6, 1.2))
    if chance(rng, 0.5):
        body += 0.7 * _swept_sine(n, lowest_hz, between(rng, 1.02, 1.12), 0.02) * decay(n, tau_s)
    hand = _click(rng, between_log(rng, 0.002, 0.012), between(rng, 400.0, 1200.0), between_log(rng, 2000.0, 7000.0))
    return join([peak_one(body), (between(rng, 0.4, 1.0) if slap else between(rng, 0.05, 0.35)) * hand])


def _hand_drum_phrase(rng: Generator, hit: Callable[[Generator], Signal], longest_s: float) -> Signal:
    """Return a phrase on two or three hand drums."""
    strokes = [peak_one(_processed(rng, hit(rng))) for _ in range(int(rng.integers(2, 5)))]
    step_s = between_log(rng, 0.1, 0.26)
    steps = int(between(rng, 4.0, longest_s / step_s))
    timeline = silence_of(step_s * steps + 0.6)
    for index in range(steps):
        if chance(rng, 0.75):
            stroke = strokes[int(rng.integers(len(strokes)))]
            place(timeline, stroke, max(0.0, index * step_s + 0.006 * rng.standard_normal()), between(rng, 0.3, 1.0))
    return timeline


def conga(rng: Generator) -> Sound:
    """Return congas or bongos: single strokes or a phrase."""
    if chance(rng, 0.45):
        return to_sound(_hand_drum_phrase(rng, _conga_hit, 4.0), between(rng, 0.35, 1.0))
    return _one_shot(rng, _conga_hit)


def _tabla_hit(rng: Generator) -> Signal:
    kind = rng.random()
    if kind < 0.35:
        # Bayan: a bass stroke that the heel of the hand bends upwards.
        tau_s = between_log(rng, 0.08, 0.5)
        n = samples(tau_s * 5.0)
        bend = 1.0 + between(rng, -0.1, 0.6) * swell(n, between(rng, 0.3, 0.7), 0.3)
        lowest_hz = between_log(rng, 60.0, 140.0)
        body = harmonics(lowest_hz * bend, n, [1.0, between(rng, 0.05, 0.5), between(rng, 0.0, 0.2)])
        slap = _click(rng, between_log(rng, 0.002, 0.01), between(rng, 200.0, 600.0), between_log(rng, 1200.0, 5000.0))
        return join([body * attack_decay(n, 0.003, tau_s), between(rng, 0.1, 0.7) * slap])
    if kind < 0.65:
        # A damped stroke: flat fingers, a dry slap with hardly any tone.
        n = samples(0.2)
        ratios = np.array([1.0, 1.6, 2.3, 3.1, 4.2, 5.8]) * rng.uniform(0.9, 1.1, 6)
        knock = modes(n, between_log(rng, 180.0, 700.0) * ratios, rng.uniform(0.2, 1.0, 6), rng.uniform(0.004, 0.02, 6))
        slap = _click(
            rng, between_log(rng, 0.001, 0.005), between(rng, 500.0, 1500.0), between_log(rng, 3000.0, 10_000.0)
        )
        return join([peak_one(knock), between(rng, 0.3, 1.2) * slap])
    # Dayan: the loaded head rings in nearly harmonic partials; on the rim the second and third outshine the first.
    tau_s = between_log(rng, 0.05, 0.5)
    n = samples(tau_s * 6.0 + 0.05)
    lowest_hz = between_log(rng, 230.0, 420.0)
    order = np.arange(1, 8)
    levels = rng.uniform(0.1, 1.0, 7) / order ** between(rng, 0.3, 1.0)
    if chance(rng, 0.5):
        levels[0] *= 0.1
    body = modes(n, lowest_hz * order * rng.uniform(0.995, 1.01, 7), levels, tau_s / order ** between(rng, 0.2, 0.9))
    click = _click(rng, between_log(rng, 0.001, 0.006), 800.0, between_log(rng, 3000.0, 12_000.0))
    return join([peak_one(body), between(rng, 0.1, 0.9) * click])


def tabla(rng: Generator) -> Sound:
    """Return tabla strokes: the tuned right-hand drum, the bending left-hand one, or a phrase on both."""
    if chance(rng, 0.45):
        return to_sound(_hand_drum_phrase(rng, _tabla_hit, 4.0), between(rng, 0.35, 1.0))
    return _one_shot(rng, _tabla_hit)


# --- Snare, clap, rimshot ---------------------------------------------------------------------------------------------


def _snare_machine(rng: Generator) -> Signal:
    """Return two tuned oscillators and filtered noise, as in the 606, 808, 909 and their heirs."""
    tone_tau_s, noise_tau_s = between_log(rng, 0.015, 0.08), between_log(rng, 0.03, 0.2)
    n = samples(max(tone_tau_s, noise_tau_s) * 7.0)
    low_hz = between_log(rng, 90.0, 280.0)
    sweep = between(rng, 3.0, 9.0) if chance(rng, 0.12) else between(rng, 1.0, 2.2)
    tone = _swept_sine(n, low_hz, sweep, between_log(rng, 0.005, 0.03))
    tone += between(rng, 0.2, 0.9) * _swept_sine(n, low_hz * between(rng, 1.4, 1.95), sweep, 0.01)
    tone *= attack_decay(n, 0.0007, tone_tau_s)
    noise = high_pass(white(rng, n), between_log(rng, 150.0, 3500.0), int(rng.integers(1, 3)))
    if chance(rng, 0.5):
        noise = low_pass(noise, between_log(rng, 5000.0, 14_000.0), 1)
    noise = peak_one(noise) * attack_decay(n, between(rng, 0.0005, 0.003), noise_tau_s)
    return between(rng, 0.1, 1.0) * peak_one(tone) + between(rng, 0.3, 1.0) * noise


def _snare_acoustic(rng: Generator) -> Signal:
    """Return a struck head whose wires rattle on after it, with the crack of the stick."""
    tau_s, wire_tau_s = between_log(rng, 0.015, 0.07), between_log(rng, 0.035, 0.15)
    n = samples(max(tau_s, wire_tau_s) * 8.0)
    lowest_hz = between_log(rng, 150.0, 290.0)
    frequencies_hz = lowest_hz * MEMBRANE * rng.uniform(0.96, 1.04, len(MEMBRANE))
    head = modes(n, frequencies_hz, rng.uniform(0.15, 1.0, len(MEMBRANE)) / MEMBRANE**0.6, tau_s / MEMBRANE**0.7)
    if chance(rng, 0.2):
        ring_hz = between_log(rng, 350.0, 1200.0)
        head += between(rng, 0.03, 0.15) * modes(n, [ring_hz], [1.0], [between_log(rng, 0.05, 0.2)])
    # The wires follow the head: noise in bursts at its period, blurred, over a steady hiss.
    rattle = white(rng, n) * (1.0 + between(rng, 0.0, 0.8) * sine(lowest_hz, n))
    wires = resonant(rattle, between_log(rng, 2500.0, 7000.0), between(rng, 0.4, 1.2))
    wires += between(rng, 0.2, 0.8) * high_pass(rattle, between_log(rng, 1200.0, 5000.0), 1)
    wires = peak_one(wires) * attack_decay(n, between(rng, 0.001, 0.008), wire_tau_s)
    crack = _click(
        rng, between_log(rng, 0.001, 0.006), between_log(rng, 300.0, 1500.0), between_log(rng, 6000.0, 16_000.0)
    )
    soft = chance(rng, 0.2)
    return join(
        [
            between(rng, 0.15, 0.8) * peak_one(head),
            between(rng, 0.4, 1.0) * wires,
            between(rng, 0.0, 0.6) * _click(rng, between_log(rng, 0.01, 0.05), 150.0, between_log(rng, 800.0, 3000.0)),
            (0.1 if soft else between(rng, 0.2, 0.9)) * crack,
        ]
    )


def _snare_hit(rng: Generator) -> Signal:
    hit = _snare_machine(rng) if chance(rng, 0.45) else _snare_acoustic(rng)
    if chance(rng, 0.06):
        return _roll(rng, hit)
    if chance(rng, 0.06):
        # A flam: the other stick lands just before.
        ahead = between(rng, 0.015, 0.04)
        return join([between(rng, 0.2, 0.5) * hit, np.concatenate([np.zeros(samples(ahead)), hit])])
    return hit


def _roll(rng: Generator, hit: Signal) -> Signal:
    """Return a roll: the hit at twelve to thirty strokes a second, swelling or dying down."""
    duration_s = between(rng, 0.5, 2.2)
    timeline = silence_of(duration_s + 0.3)
    first, last = between(rng, 0.2, 1.0), between(rng, 0.2, 1.0)
    at_s, rate_hz = 0.0, between(rng, 12.0, 30.0)
    while at_s < duration_s:
        place(timeline, hit, at_s, (first + (last - first) * at_s / duration_s) * between(rng, 0.6, 1.0))
        at_s += (1.0 + 0.12 * rng.standard_normal()) / rate_hz
    return timeline


def snare(rng: Generator) -> Sound:
    """Return a snare drum hit, now and then a flam or a roll."""
    return _one_shot(rng, _snare_hit)


def _clap_hit(rng: Generator) -> Signal:
    """Return several bursts within some 40 ms and a tail, in the band where hands clap."""
    centre_hz = between_log(rng, 800.0, 2600.0)
    n = samples(between_log(rng, 0.18, 0.9))
    tail_tau_s = between_log(rng, 0.025, 0.16)
    bursts = int(rng.integers(2, 6))
    envelope = np.zeros(n)
    at_s, gap_s, regular = 0.0, between(rng, 0.006, 0.016), chance(rng, 0.5)
    burst_tau_s = between_log(rng, 0.0015, 0.006)
    for _ in range(bursts):
        start = samples(at_s) if at_s > 0.0 else 0
        envelope[start:] = np.maximum(envelope[start:], between(rng, 0.6, 1.0) * decay(n - start, burst_tau_s))
        at_s += gap_s * (1.0 if regular else between(rng, 0.4, 1.7))
    start = max(0, samples(at_s - gap_s))
    envelope[start:] = np.maximum(envelope[start:], between(rng, 0.3, 1.0) * decay(n - start, tail_tau_s))
    noise = white(rng, n)
    x = resonant(noise, centre_hz, between(rng, 0.6, 2.5))
    x += between(rng, 0.05, 0.5) * band_pass(noise, centre_hz, between_log(rng, 4000.0, 12_000.0), 1)
    return high_pass(x * envelope, between(rng, 250.0, 700.0))


def _clap_hands(rng: Generator) -> Signal:
    """Return a few pairs of real hands clapping nearly together in a room."""
    timeline = silence_of(0.3)
    for _ in range(int(rng.integers(3, 9))):
        place(timeline, _palm(rng), abs(0.012 * rng.standard_normal()), between(rng, 0.3, 1.0))
    return reverberated(
        rng, timeline, between_log(rng, 0.15, 0.7), between(rng, 0.2, 0.6), between(rng, 4000.0, 10_000.0)
    )


def _palm(rng: Generator) -> Signal:
    """Return one pair of hands: a very short burst coloured by the hollow between them."""
    n = samples(0.05)
    burst = white(rng, n) * decay(n, between_log(rng, 0.0015, 0.006))
    hollow_hz = between_log(rng, 600.0, 2800.0)
    coloured_burst = resonant(burst, hollow_hz, between(rng, 0.8, 3.0)) + between(rng, 0.05, 0.35) * high_pass(
        burst, 1500.0
    )
    return peak_one(coloured_burst)


def clap(rng: Generator) -> Sound:
    """Return the hand clap of a drum machine or a producer's sample of clapping hands."""
    return _one_shot(rng, _clap_hit if chance(rng, 0.65) else _clap_hands)


def _rimshot_hit(rng: Generator) -> Signal:
    n = samples(between(rng, 0.06, 0.25))
    click = _click(
        rng, between_log(rng, 0.0005, 0.003), between_log(rng, 700.0, 2000.0), between_log(rng, 5000.0, 15_000.0)
    )
    kind = rng.random()
    if kind < 0.35:
        # Drum machine: two or three short resonances, driven hard.
        pair_hz = [between_log(rng, 350.0, 700.0), between_log(rng, 1400.0, 2100.0), between_log(rng, 2200.0, 3600.0)]
        taus_s = [between_log(rng, 0.003, 0.014) for _ in pair_hz]
        ring = saturated(modes(n, pair_hz, [between(rng, 0.3, 1.0) for _ in pair_hz], taus_s), between(rng, 1.0, 6.0))
        return join([ring, between(rng, 0.1, 0.7) * click])
    if kind < 0.7:
        # Cross stick: the woody clack of the stick on the rim, and the head below it.
        ratios = np.array([1.0, 1.4, 2.1, 2.7, 3.3, 4.1, 4.7, 6.6]) * rng.uniform(0.9, 1.1, 8)
        clack = modes(n, between_log(rng, 350.0, 900.0) * ratios, rng.uniform(0.1, 1.0, 8), rng.uniform(0.003, 0.02, 8))
        thud = low_pass(white(rng, n) * decay(n, between(rng, 0.005, 0.02)), between_log(rng, 200.0, 600.0))
        return join([peak_one(clack), between(rng, 0.0, 0.5) * peak_one(thud), between(rng, 0.3, 1.0) * click])
    # Rim and head together: a snare with a loud ring.
    ratios = np.array([1.0, 1.5, 2.3, 3.4, 5.2, 7.1]) * rng.uniform(0.93, 1.07, 6)
    ring = modes(n, between_log(rng, 320.0, 650.0) * ratios, rng.uniform(0.3, 1.0, 6), rng.uniform(0.008, 0.04, 6))
    wires = high_pass(white(rng, n), between_log(rng, 1500.0, 4000.0)) * decay(n, between(rng, 0.02, 0.06))
    return join([peak_one(ring), between(rng, 0.1, 0.5) * peak_one(wires), between(rng, 0.4, 1.0) * click])


def rimshot(rng: Generator) -> Sound:
    """Return a rimshot or a cross stick."""
    return _one_shot(rng, _rimshot_hit)


# --- Hats, cymbals, metal ---------------------------------------------------------------------------------------------


def _metal(rng: Generator, n: int, low_hz: float) -> Signal:
    """Return steady metallic noise above about `low_hz`, of unit peak, from one of four sources."""
    kind = rng.random()
    if kind < 0.3:
        tuning = between_log(rng, 0.8, 2.2)
        detune = np.exp(0.05 * rng.standard_normal(len(METAL_OSCILLATORS_HZ)))
        x = np.sum([square(f, n) for f in METAL_OSCILLATORS_HZ * tuning * detune], axis=0)
        x += between(rng, 0.0, 2.0) * white(rng, n)
    elif kind < 0.45:
        # Two oscillators that ring-modulate each other, the metal of FM synthesisers.
        base_hz = between_log(rng, 400.0, 1600.0)
        index = between(rng, 2.0, 9.0)
        inner = sine(base_hz * between(rng, 1.3, 3.9), n)
        x = np.sin(2.0 * np.pi * phase_of(base_hz * between(rng, 2.0, 7.0), n) + index * np.sin(9.0 * inner))
        x += between(rng, 0.0, 0.8) * white(rng, n)
    elif kind < 0.62:
        x = white(rng, n)
    else:
        x = cloud(rng, n, between_log(rng, 300.0, 2500.0), 19_000.0, int(rng.integers(150, 1200)))
        x += between(rng, 0.05, 0.8) * white(rng, n)
    x = high_pass(x, low_hz, int(rng.integers(1, 5)))
    if chance(rng, 0.4):
        x += between(rng, 0.3, 1.2) * resonant(x, between_log(rng, 5000.0, 13_000.0), between(rng, 1.0, 5.0))
    return peak_one(x)


def _stick(rng: Generator) -> Signal:
    """Return the tick of a stick on metal."""
    return _click(
        rng, between_log(rng, 0.0005, 0.003), between_log(rng, 1500.0, 5000.0), between_log(rng, 9000.0, 18_000.0)
    )


def _closed_hat_hit(rng: Generator) -> Signal:
    tau_s = between_log(rng, 0.006, 0.045)
    n = samples(min(0.25, tau_s * 6.0 + 0.01))
    low_hz = between_log(rng, 1200.0, 9000.0)
    x = _metal(rng, n, low_hz) * attack_decay(n, between(rng, 0.0002, 0.002), tau_s)
    if chance(rng, 0.3):
        # Two stages: the edge snaps shut, a little ring stays.
        x = x * between(rng, 0.5, 0.9) + _metal(rng, n, low_hz) * decay(n, tau_s * 0.25)
    if chance(rng, 0.2):
        # The foot closes the pair: a softer start and more of the middle.
        x = band_pass(x, between(rng, 1000.0, 3000.0), 12_000.0, 1) * np.minimum(
            time_s(n) / between(rng, 0.002, 0.008), 1.0
        )
    if chance(rng, 0.3):
        # A real pair of plates also clanks lower down.
        lower = cloud(rng, n, between_log(rng, 250.0, 700.0), 5000.0, 60) * decay(n, tau_s)
        x = peak_one(x) + between_log(rng, 0.02, 0.3) * peak_one(lower)
    return join([peak_one(x), between(rng, 0.0, 0.7) * _stick(rng)])


def closed_hat(rng: Generator) -> Sound:
    """Return a closed hi-hat: short, bright, metallic or noisy."""
    return _one_shot(rng, _closed_hat_hit, 2.0)


def _open_hat_hit(rng: Generator) -> Signal:
    tau_s = between_log(rng, 0.09, 0.38)
    n = samples(tau_s * 4.5 + 0.1)
    x = _metal(rng, n, between_log(rng, 1800.0, 8500.0)) * attack_decay(n, between(rng, 0.0003, 0.006), tau_s)
    if chance(rng, 0.4):
        # The two plates sizzle against each other.
        x *= 1.0 + between(rng, 0.1, 0.5) * np.tanh(wander(rng, n, between(rng, 30.0, 120.0)))
    if chance(rng, 0.35):
        # Held, then choked by the foot.
        stop = samples(between(rng, 0.25, 0.7))
        if stop < n:
            x[stop:] *= decay(n - stop, between(rng, 0.008, 0.03))
    return join([peak_one(x), between(rng, 0.0, 0.8) * _stick(rng)])


def open_hat(rng: Generator) -> Sound:
    """Return an open hi-hat: bright metal that rings for 0.3–1.2 s."""
    return _one_shot(rng, _open_hat_hit)


def _cymbal_wash(rng: Generator, n: int, tau_s: float, low_hz: float, bloom_s: float) -> Signal:
    """Return metal whose bands open within `bloom_s`, the high ones dying before the low ones."""
    source = (
        cloud(rng, n, between_log(rng, 150.0, 500.0), 20_000.0, int(between_log(rng, 80.0, 2000.0)))
        + between(rng, 0.0, 0.8) * white(rng, n)
        if chance(rng, 0.75)
        else 4.0 * _metal(rng, n, low_hz)
    )
    edges_hz = [low_hz, 1500.0, 4000.0, 8500.0, 17_000.0]
    slope_db = between(rng, -7.0, 2.0)
    total = np.zeros(n)
    for index, (low, high) in enumerate(pairwise(edges_hz)):
        band = band_pass(source, min(low, high * 0.7), high, 1)
        tau = tau_s * between(rng, 0.6, 1.2) * (1.3 - 0.27 * index)
        rise = between(rng, 0.001, bloom_s) * (1.0 + 0.5 * abs(index - 2))
        level = between(rng, 0.5, 1.0) * 10.0 ** (slope_db * index / 20.0)
        total += level * band * attack_decay(n, rise, tau)
    return peak_one(total)


def _crash_hit(rng: Generator) -> Signal:
    # A splash is over soon, a crash rings for seconds.
    duration_s = between(rng, 0.7, 1.6) if chance(rng, 0.3) else between(rng, 1.6, 4.8)
    n = samples(duration_s)
    tau_s = duration_s / between(rng, 3.0, 6.0)
    wash = _cymbal_wash(rng, n, tau_s, between_log(rng, 150.0, 700.0), between_log(rng, 0.003, 0.12))
    burst = high_pass(white(rng, n), between_log(rng, 600.0, 3000.0), 1) * attack_decay(
        n, 0.001, between_log(rng, 0.03, 0.2)
    )
    if chance(rng, 0.3):
        wash *= 1.0 + 0.15 * np.sin(2.0 * np.pi * between(rng, 2.0, 7.0) * time_s(n))
    return join([wash, between(rng, 0.05, 0.9) * peak_one(burst), between(rng, 0.0, 0.5) * _stick(rng)])


def crash(rng: Generator) -> Sound:
    """Return a crash, splash or china cymbal: a broadband burst and a long wash."""
    return _one_shot(rng, _crash_hit, 5.0)


def _ride_hit(rng: Generator) -> Signal:
    tau_s = between_log(rng, 0.3, 1.1)
    n = samples(min(4.0, tau_s * 4.0 + 0.3))
    wash = _cymbal_wash(rng, n, tau_s, between_log(rng, 300.0, 1000.0), 0.02) * np.minimum(time_s(n) / 0.01, 1.0)
    # The ping: some strong partials that stand out of the wash, low and clear on the bell of the cymbal.
    on_bell = chance(rng, 0.35)
    count = int(rng.integers(6, 18))
    low_hz = between(rng, 400.0, 1000.0) if on_bell else between(rng, 1800.0, 3500.0)
    frequencies_hz = np.sort(np.exp(rng.uniform(np.log(low_hz), np.log(11_000.0), count)))
    ping = modes(n, frequencies_hz, rng.uniform(0.2, 1.0, count), tau_s * rng.uniform(0.15, 0.9, count))
    level = between(rng, 0.5, 1.0) if on_bell else between(rng, 0.3, 0.9)
    return join([between_log(rng, 0.08, 0.45) * wash, level * peak_one(ping), between(rng, 0.3, 0.9) * _stick(rng)])


def ride(rng: Generator) -> Sound:
    """Return a ride cymbal: a clear ping over a long, quieter wash; at times a swung pattern."""
    if chance(rng, 0.2):
        hit = _processed(rng, _ride_hit(rng))
        step_s = between(rng, 0.28, 0.5)
        timeline = silence_of(between(rng, 2.5, 4.5))
        for beat in range(int(len(timeline) / SAMPLE_RATE_HZ / step_s)):
            place(timeline, hit, beat * step_s, between(rng, 0.6, 1.0))
            if beat % 2 and chance(rng, 0.8):
                place(timeline, hit, (beat + 0.66) * step_s, between(rng, 0.3, 0.7))
        return to_sound(timeline, between(rng, 0.35, 1.0))
    return _one_shot(rng, _ride_hit, 4.0)


def _cowbell_hit(rng: Generator) -> Signal:
    tau_s = between_log(rng, 0.025, 0.2)
    n = samples(tau_s * 7.0 + 0.03)
    if chance(rng, 0.45):
        # Two square waves a rough fifth apart through a band-pass: the drum machine's cowbell.
        low_hz = between_log(rng, 480.0, 680.0)
        pair = square(low_hz, n) + square(low_hz * between(rng, 1.42, 1.56), n)
        x = resonant(pair, low_hz * between(rng, 1.3, 2.2), between(rng, 0.7, 2.0))
        return x * (0.6 * decay(n, 0.012) + 0.4 * decay(n, tau_s))
    lowest_hz = between_log(rng, 420.0, 1100.0)
    ratios = np.array([1.0, 1.48, 2.07, 2.54, 3.38, 4.3, 5.5, 6.9]) * np.append(1.0, rng.uniform(0.93, 1.07, 7))
    levels = rng.uniform(0.2, 1.0, 8) / ratios**0.4
    body = modes(n, lowest_hz * ratios, levels, tau_s * rng.uniform(0.4, 1.1, 8) / ratios**0.4)
    return join([peak_one(body), between(rng, 0.2, 0.7) * _click(rng, between(rng, 0.001, 0.003), 1000.0, 10_000.0)])


def cowbell(rng: Generator) -> Sound:
    """Return a cowbell, of a drum machine or of metal."""
    return _one_shot(rng, _cowbell_hit)


# --- Shaken -----------------------------------------------------------------------------------------------------------


def _shake(rng: Generator, low_hz: float, high_hz: float, grains_hz: float) -> Signal:
    """Return one stroke of a shaker: grains that hit the wall, slowly at first, then all at once."""
    n = samples(between_log(rng, 0.05, 0.22))
    grains = dust(rng, n, grains_hz, 0.7)
    grains = grains / max(float(np.std(grains)), 1e-9) + between(rng, 0.1, 0.8) * white(rng, n)
    x = resonant(grains, between_log(rng, low_hz, high_hz), between(rng, 0.6, 2.5))
    x += between(rng, 0.1, 0.6) * high_pass(grains, low_hz)
    return peak_one(x * swell(n, between(rng, 0.1, 0.6), between(rng, 0.3, 0.8)))


def shaker(rng: Generator) -> Sound:
    """Return a shaker, maraca, egg or cabasa: one stroke or a groove."""
    low_hz = between_log(rng, 2500.0, 6000.0)
    high_hz = low_hz * between(rng, 1.4, 2.5)
    grains_hz = between_log(rng, 800.0, 8000.0)
    if chance(rng, 0.5):
        stroke = _shake(rng, low_hz, high_hz, grains_hz)
        if chance(rng, 0.5):
            stroke = np.concatenate([stroke * between(rng, 0.2, 0.6), _shake(rng, low_hz, high_hz, grains_hz)])
        return to_sound(padded(_processed(rng, stroke), between(rng, 0.0, 0.3)), between(rng, 0.3, 1.0))
    step_s = between_log(rng, 0.09, 0.24)
    timeline = silence_of(between(rng, 1.2, 4.5))
    accent = int(rng.integers(2, 5))
    for index in range(int(len(timeline) / SAMPLE_RATE_HZ / step_s)):
        gain = (1.0 if index % accent == 0 else between(rng, 0.3, 0.6)) * between(rng, 0.8, 1.0)
        place(
            timeline,
            _shake(rng, low_hz, high_hz, grains_hz),
            max(0.0, step_s * (index + between(rng, -0.05, 0.05))),
            gain,
        )
    return to_sound(_processed(rng, timeline, phrase=True), between(rng, 0.3, 1.0))


def _jingles(rng: Generator, frequencies_hz: Signal, count: int, spread_s: float) -> Signal:
    """Return some jingles, each pair of small discs striking at its own moment within `spread_s`."""
    timeline = silence_of(spread_s + 0.5)
    for _ in range(count):
        own_hz = rng.choice(frequencies_hz, 6) * rng.uniform(0.985, 1.015, 6)
        tau_s = between_log(rng, 0.02, 0.11)
        ring = modes(samples(0.4), own_hz, rng.uniform(0.1, 1.0, 6), tau_s * rng.uniform(0.4, 1.2, 6))
        place(timeline, ring, abs(rng.normal(0.0, spread_s / 2.0)), between(rng, 0.2, 1.0))
    x = timeline / max(float(np.max(np.abs(timeline))), 1e-9)
    hiss = high_pass(white(rng, len(x)), 6000.0) * attack_decay(len(x), 0.002, between(rng, 0.02, 0.06))
    return x + between(rng, 0.03, 0.3) * peak_one(hiss)


def tambourine(rng: Generator) -> Sound:
    """Return a tambourine, struck once or shaken in time."""
    frequencies_hz = np.exp(rng.uniform(np.log(3800.0), np.log(14_000.0), 40))
    struck = chance(rng, 0.5)
    head_hz = between(rng, 150.0, 400.0)

    def hit() -> Signal:
        x = peak_one(_jingles(rng, frequencies_hz, int(rng.integers(5, 16)), between(rng, 0.008, 0.05)))
        if struck:
            thump = modes(samples(0.15), [head_hz, 1.7 * head_hz], [1.0, 0.5], [between(rng, 0.01, 0.04), 0.01])
            x = join([x, between(rng, 0.05, 0.6) * thump, between(rng, 0.1, 0.5) * _click(rng, 0.002, 800.0, 8000.0)])
        return x

    if chance(rng, 0.55):
        return to_sound(_trimmed(_processed(rng, hit())), between(rng, 0.3, 1.0))
    step_s = between_log(rng, 0.1, 0.32)
    timeline = silence_of(between(rng, 1.2, 4.0))
    for index in range(int(len(timeline) / SAMPLE_RATE_HZ / step_s)):
        place(timeline, hit(), max(0.0, step_s * (index + between(rng, -0.04, 0.04))), between(rng, 0.35, 1.0))
    return to_sound(_processed(rng, timeline, phrase=True), between(rng, 0.3, 1.0))


# --- Whole kits -------------------------------------------------------------------------------------------------------

# Sixteen steps each: x is a hit, o a quiet one, ? perhaps one.
KICK_PATTERNS = (
    "x...x...x...x...",
    "x.....x.x.......",
    "x.x.......x..x..",
    "x..x..x...x.....",
    "x.........x.....",
    "x......x..x....?",
)
SNARE_PATTERNS = ("....x.......x...", "....x.......x..o", "....x..o.o..x...", "........x.......", "....x..?.?..x.?.")
HAT_PATTERNS = (
    "x.x.x.x.x.x.x.x.",
    "xoxoxoxoxoxoxoxo",
    "..x...x...x...x.",
    "x.oxx.oxx.oxx.ox",
    "x...x...x...x...",
    "x.?.x.?.x.?.x.?.",
)
EXTRA_PATTERNS = (
    "............x...",
    "..x..x....x..x..",
    "....x.......x...",
    "x..x..x..x..x...",
    "??????..????..??",
    "x...............",
)


def _sequenced(rng: Generator, timeline: Signal, pattern: str, hit: Signal, step_s: float, swing: float) -> None:
    """Add `hit` to the timeline wherever the pattern, repeated to the end, has one."""
    for index in range(int(len(timeline) / SAMPLE_RATE_HZ / step_s)):
        mark = pattern[index % len(pattern)]
        if mark == "." or (mark == "?" and chance(rng, 0.6)):
            continue
        at_s = step_s * (index + (swing if index % 2 else 0.0)) + 0.003 * abs(rng.standard_normal())
        place(timeline, hit, at_s, (0.4 if mark == "o" else 1.0) * between(rng, 0.75, 1.0))


def drum_loop(rng: Generator) -> Sound:
    """Return a beat: kick, snare or clap, hats and perhaps more, played by one kit."""
    step_s = 60.0 / between(rng, 70.0, 176.0) / 4.0
    timeline = silence_of(between(rng, 2.5, 7.5))
    swing = between(rng, 0.0, 0.35) if chance(rng, 0.4) else 0.0
    backbeat = _snare_hit if chance(rng, 0.7) else _clap_hit
    parts: list[tuple[Callable[[Generator], Signal], tuple[str, ...], float]] = [
        (_kick_hit, KICK_PATTERNS, between(rng, 0.7, 1.0)),
        (backbeat, SNARE_PATTERNS, between(rng, 0.5, 1.0)),
        (_closed_hat_hit, HAT_PATTERNS, between(rng, 0.15, 0.6)),
    ]
    extras = (_open_hat_hit, _tom_hit, _rimshot_hit, _cowbell_hit, _conga_hit, _crash_hit, _clap_hit)
    for _ in range(int(rng.integers(0, 3))):
        parts.append((extras[int(rng.integers(len(extras)))], EXTRA_PATTERNS, between(rng, 0.15, 0.5)))
    for hit, patterns, level in parts:
        if chance(rng, 0.92):
            drum = level * _trimmed(_processed(rng, hit(rng)))[: samples(1.5)]
            _sequenced(rng, timeline, patterns[int(rng.integers(len(patterns)))], drum, step_s, swing)
    if not np.any(timeline):
        _sequenced(rng, timeline, KICK_PATTERNS[0], _kick_hit(rng), step_s, swing)
    if chance(rng, 0.4):
        timeline = saturated(timeline, between_log(rng, 1.2, 5.0))
    return to_sound(_processed(rng, timeline, phrase=True), between(rng, 0.4, 1.0))

"""People without words: hands, feet, hearts, breath, coughs, laughs, whistling, singing."""

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
    formant_gains,
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
    swell,
    voice,
    wander,
    white,
)

# The first three formants of some vowels of a grown man, in hertz.
VOWELS: dict[str, tuple[float, float, float]] = {
    "a": (730.0, 1090.0, 2440.0),
    "e": (530.0, 1840.0, 2480.0),
    "i": (270.0, 2290.0, 3010.0),
    "o": (570.0, 840.0, 2410.0),
    "u": (300.0, 870.0, 2240.0),
    "uh": (640.0, 1190.0, 2390.0),
    "ae": (660.0, 1720.0, 2410.0),
}


def _tract(rng: Generator, vowels: list[str], size: float) -> list[list[float]]:
    """Return the formant paths of a glide through `vowels`; `size` scales them (a child's are higher)."""
    paths = [[VOWELS[vowel][index] * size * between(rng, 0.95, 1.05) for vowel in vowels] for index in range(3)]
    return [*paths, [3400.0 * size], [4500.0 * size]]


def _breath_noise(rng: Generator, n: int, formants_hz: list[list[float]], bandwidth: float, tilt: float) -> Signal:
    """Return noise through a vocal tract."""

    def gains(position: Signal, frequency_hz: Signal) -> Signal:
        slope = (1.0 + (frequency_hz / 1500.0) ** 2) ** (-tilt / 2.0)
        return formant_gains(position, frequency_hz, formants_hz, bandwidth, 0.05) * slope

    return filtered_over_time(white(rng, n), gains)


# --- Hands and feet ---------------------------------------------------------------------------------------------------


def _hands(rng: Generator, hollow_hz: float, sharp: float) -> Signal:
    """Return one clap of one person: a crack of a few milliseconds and the air between the palms."""
    n = samples(0.09)
    x = white(rng, n) * attack_decay(n, 0.0005, between_log(rng, 0.002, 0.007))
    body = resonant(x, hollow_hz * between(rng, 0.9, 1.1), between(rng, 0.8, 2.5))
    body += sharp * high_pass(x, 1500.0, 1) + 0.3 * resonant(x, hollow_hz * 2.3, 2.0)
    return peak_one(high_pass(body, 250.0))


def clapping(rng: Generator) -> Sound:
    """Return one person clapping, in time or not."""
    timeline = silence_of(between(rng, 1.2, 6.0))
    step_s = between_log(rng, 0.17, 0.75)
    hollow_hz, sharp = between_log(rng, 600.0, 2300.0), between(rng, 0.1, 0.7)
    jitter = between(rng, 0.02, 0.15)
    for at_s in irregular_times_s(rng, between(rng, 0.02, 0.3), len(timeline) / SAMPLE_RATE_HZ, step_s, jitter):
        place(timeline, _hands(rng, hollow_hz, sharp), at_s, between(rng, 0.6, 1.0))
    return recorded(rng, timeline, room=0.85, room_s=(0.15, 1.4), noise=0.5)


def applause(rng: Generator) -> Sound:
    """Return an audience that claps, from a dozen people to a hall, perhaps with whistles and cheers."""
    duration_s = between(rng, 3.0, 7.0)
    timeline = silence_of(duration_s)
    people = int(between_log(rng, 8.0, 150.0))
    for _ in range(people):
        nearness = float(np.exp(0.7 * rng.standard_normal()))
        # A person claps nearly the same way each time; a few variants are enough.
        variants = [_hands(rng, between_log(rng, 600.0, 2600.0), between(rng, 0.1, 0.6)) for _ in range(2)]
        start_s, stop_s = float(rng.exponential(0.4)), duration_s - float(rng.exponential(0.5))
        for at_s in irregular_times_s(rng, start_s, stop_s, between(rng, 0.17, 0.36), 0.12):
            place(timeline, variants[int(rng.integers(2))], at_s, nearness * between(rng, 0.5, 1.0))
    n = len(timeline)
    timeline /= float(np.std(timeline))
    far = band_pass(white(rng, n), 500.0, 4000.0, 1) * (1.0 + 0.1 * wander(rng, n, 5.0))
    timeline += between(rng, 0.0, 1.2) * far / float(np.std(far))
    if chance(rng, 0.3):
        for _ in range(int(rng.integers(1, 5))):
            place(timeline, _cheer(rng), between(rng, 0.0, duration_s - 1.0), between(rng, 1.0, 3.0))
    timeline *= curve(n, [between(rng, 0.1, 1.0), 1.0, 1.0, between(rng, 0.1, 1.0)])
    return recorded(rng, timeline, room=0.9, room_s=(0.4, 2.5), distance=0.2, noise=0.1)


def _cheer(rng: Generator) -> Signal:
    n = samples(between(rng, 0.4, 1.2))
    if chance(rng, 0.4):
        return sine(between(rng, 1800.0, 3200.0) * curve(n, [0.7, 1.1, 1.0, 0.8]), n) * swell(n, 0.1, 0.2)
    pitch = between_log(rng, 200.0, 600.0) * curve(n, [0.8, 1.3, 1.2, 0.8])
    return peak_one(voice(rng, pitch, _tract(rng, ["o", "a"], between(rng, 1.0, 1.25)), rough=0.2)) * swell(n, 0.2, 0.3)


def finger_snap(rng: Generator) -> Sound:
    """Return finger snaps: a click with a strong resonance around 1.5–3 kHz."""
    centre_hz = between_log(rng, 1200.0, 3400.0)

    def snap() -> Signal:
        n = samples(0.12)
        x = white(rng, n) * attack_decay(n, 0.0005, between_log(rng, 0.0015, 0.006))
        x = resonant(x, centre_hz * between(rng, 0.93, 1.07), between(rng, 1.5, 5.0)) + between(
            rng, 0.05, 0.3
        ) * high_pass(x, 2500.0)
        slide = band_pass(white(rng, n), 2000.0, 9000.0) * swell(n, 0.3, 0.7)
        ahead = samples(0.03)
        out = np.zeros(n + ahead)
        out[ahead:] += peak_one(x)
        out[:n] += between(rng, 0.0, 0.03) * peak_one(slide)
        return out

    count = int(rng.choice([1, 2, 4, 8], p=[0.45, 0.15, 0.2, 0.2]))
    step_s = between_log(rng, 0.25, 0.8)
    timeline = silence_of(step_s * (count - 1) + 0.3)
    for index in range(count):
        place(timeline, snap(), max(0.0, step_s * (index + 0.03 * rng.standard_normal())), between(rng, 0.6, 1.0))
    return recorded(rng, timeline, room=0.8, room_s=(0.15, 1.2), distance=0.1, noise=0.4)


def footsteps(rng: Generator) -> Sound:
    """Return footsteps: shoes, boots or heels on wood, stone, gravel, snow or leaves, walking or running."""
    timeline = silence_of(between(rng, 2.5, 7.0))
    step_s = between_log(rng, 0.28, 0.75)
    surface = int(rng.integers(4))
    hard = between(rng, 0.2, 1.0)
    body_hz = between_log(rng, 70.0, 260.0)
    for at_s in irregular_times_s(rng, between(rng, 0.02, 0.4), len(timeline) / SAMPLE_RATE_HZ, step_s, 0.08):
        place(timeline, _step(rng, surface, hard, body_hz), at_s, between(rng, 0.5, 1.0))
    n = len(timeline)
    timeline *= curve(n, [between(rng, 0.2, 1.0), 1.0, between(rng, 0.2, 1.0)])
    return recorded(rng, timeline, room=0.75, room_s=(0.15, 1.6), noise=0.6)


def _step(rng: Generator, surface: int, hard: float, body_hz: float) -> Signal:
    """Return one step; `surface` 0 wood or stone, 1 heels, 2 gravel or snow, 3 soft floor and scuffing."""
    n = samples(0.4)
    out = np.zeros(n)
    # The heel lands, the sole follows.
    for at_s, level in ((0.0, 1.0), (between(rng, 0.05, 0.14), between(rng, 0.2, 0.7))):
        m = samples(0.2)
        thud = low_pass(white(rng, m) * decay(m, between(rng, 0.008, 0.03)), body_hz * between(rng, 1.0, 2.5))
        tap = band_pass(
            white(rng, m) * decay(m, between_log(rng, 0.001, 0.006)), 500.0, between(rng, 3000.0, 7000.0), 1
        )
        ring = modes(m, body_hz * rng.uniform(1.5, 9.0, 4), rng.uniform(0.1, 0.6, 4), rng.uniform(0.006, 0.025, 4))
        hit = peak_one(thud) * (0.7 if surface == 1 else 1.0)
        if surface < 2:
            hit = hit + hard * peak_one(tap) * (1.2 if surface == 1 else 0.6) + 0.6 * hard * peak_one(ring)
        place(out, hit, at_s, level)
    if surface >= 2:
        m = samples(between(rng, 0.12, 0.32))
        grains = dust(rng, m, between_log(rng, 300.0, 3000.0), 1.0) if surface == 2 else white(rng, m) * 0.3
        crunch = band_pass(grains, between_log(rng, 600.0, 2000.0), between_log(rng, 4000.0, 11_000.0), 1)
        level = between(rng, 0.5, 1.3) if surface == 2 else between(rng, 0.05, 0.4)
        place(out, peak_one(crunch * swell(m, 0.25, 0.6)), 0.0, level)
    return out


def knock(rng: Generator) -> Sound:
    """Return knuckles on a door or a table, two to six knocks at a time."""
    body_hz = between_log(rng, 90.0, 420.0)
    ratios = np.array([1.0, 1.6, 2.4, 3.3, 4.7, 6.4]) * rng.uniform(0.92, 1.08, 6)
    taus_s = rng.uniform(0.012, 0.045, 6) / ratios**0.5
    levels = rng.uniform(0.2, 1.0, 6) / ratios**0.6
    step_s = between_log(rng, 0.11, 0.4)
    brightness = between(rng, 0.2, 1.0)
    timeline = silence_of(between(rng, 1.0, 5.0))
    at_s = between(rng, 0.02, 0.4)
    while at_s < len(timeline) / SAMPLE_RATE_HZ:
        for _ in range(int(rng.integers(2, 7))):
            n = samples(0.3)
            hit = peak_one(modes(n, body_hz * ratios, levels * rng.uniform(0.7, 1.3, 6), taus_s))
            tap = band_pass(white(rng, n) * decay(n, between_log(rng, 0.0012, 0.005)), 600.0, 6000.0, 1)
            place(timeline, hit + brightness * peak_one(tap), at_s, between(rng, 0.6, 1.0))
            at_s += step_s * between(rng, 0.88, 1.12)
        at_s += between(rng, 0.5, 2.0)
    return recorded(rng, timeline, room=0.85, room_s=(0.15, 1.2), noise=0.6)


# --- Heart, lungs, throat ---------------------------------------------------------------------------------------------


def heartbeat(rng: Generator) -> Sound:
    """Return a heart: two dull thumps a beat, as through a stethoscope or in a film."""
    duration_s = between(rng, 3.0, 7.0)
    timeline = silence_of(duration_s)
    period_s = 60.0 / between(rng, 48.0, 150.0)
    systole_s = between(rng, 0.26, 0.36) * min(1.0, period_s / 0.8) ** 0.5
    first_hz, second_hz = between_log(rng, 32.0, 75.0), between_log(rng, 42.0, 105.0)
    tau_s = between(rng, 0.015, 0.05)
    for at_s in irregular_times_s(rng, between(rng, 0.02, 0.5), duration_s, period_s, 0.04):
        for offset_s, pitch_hz, level in ((0.0, first_hz, 1.0), (systole_s, second_hz, between(rng, 0.5, 0.9))):
            n = samples(tau_s * 8.0)
            thump = sine(pitch_hz * curve(n, [1.25, 0.9, 0.8]), n, 0.1) * attack_decay(n, 0.008, tau_s)
            thump += 0.5 * resonant(white(rng, n) * attack_decay(n, 0.005, tau_s), pitch_hz * 1.6, 1.2)
            place(timeline, thump, at_s + offset_s, level * between(rng, 0.85, 1.0))
    n = len(timeline)
    if chance(rng, 0.6):
        murmur = low_pass(coloured(rng, n, 1.2), between_log(rng, 150.0, 900.0), 1)
        timeline += between_log(rng, 0.003, 0.06) * murmur / float(np.std(murmur))
    return recorded(rng, timeline, room=0.3, distance=0.0, noise=0.3)


def breathing(rng: Generator) -> Sound:
    """Return breathing in and out: calm, panting, through the nose, through a mask."""
    duration_s = between(rng, 3.0, 7.0)
    timeline = silence_of(duration_s)
    cycle_s = between_log(rng, 0.6, 3.6)
    size = between(rng, 0.9, 1.25)
    tracts = [_tract(rng, [["uh", "e"], ["a", "uh"], ["u", "o"]][int(rng.integers(3))], size) for _ in range(2)]
    mask = chance(rng, 0.2)
    for at_s in irregular_times_s(rng, between(rng, 0.0, 0.4), duration_s, cycle_s, 0.12):
        for part, (share, start, level) in enumerate(((0.4, 0.0, 1.0), (0.45, 0.46, between(rng, 0.4, 1.1)))):
            n = samples(cycle_s * share * between(rng, 0.85, 1.1))
            x = _breath_noise(rng, n, tracts[part], between(rng, 1.5, 4.0), 0.3 + 0.8 * part)
            x = x * swell(n, between(rng, 0.3, 0.6), between(rng, 0.3, 0.6)) * (1.0 + 0.15 * wander(rng, n, 14.0))
            place(timeline, x / max(float(np.std(x)), 1e-9), at_s + start * cycle_s, level)
    if mask:
        timeline = resonant(timeline, between_log(rng, 300.0, 900.0), 1.5) + 0.2 * timeline
    return recorded(rng, timeline, room=0.4, room_s=(0.1, 0.5), distance=0.05, noise=0.7)


def snoring(rng: Generator) -> Sound:
    """Return snores: a rattling palate on the way in, a sigh on the way out."""
    duration_s = between(rng, 4.0, 8.0)
    timeline = silence_of(duration_s)
    cycle_s = between(rng, 2.0, 4.5)
    rattle_hz = between_log(rng, 22.0, 95.0)
    tract = [[between(rng, 250, 550), between(rng, 350, 750)], [between(rng, 900, 1500)], [2300.0], [3400.0]]
    for at_s in irregular_times_s(rng, between(rng, 0.0, 0.5), duration_s, cycle_s, 0.1):
        n = samples(cycle_s * between(rng, 0.3, 0.5))
        pitch = rattle_hz * curve(n, [0.8, 1.1, 1.25, 0.9]) * (1.0 + 0.08 * wander(rng, n, 8.0))
        x = voice(
            rng, pitch, tract, bandwidth=2.0, tilt=0.5, breath=between(rng, 0.2, 1.0), rough=between(rng, 0.2, 0.8)
        )
        place(timeline, peak_one(x) * swell(n, 0.35, 0.2), at_s)
        m = samples(cycle_s * 0.35)
        sigh = _breath_noise(rng, m, tract, 3.0, 0.7) * swell(m, 0.2, 0.7)
        place(timeline, peak_one(sigh), at_s + cycle_s * 0.55, between(rng, 0.02, 0.35))
    return recorded(rng, timeline, room=0.6, room_s=(0.15, 0.7), noise=0.7)


def cough(rng: Generator) -> Sound:
    """Return coughs: an explosive burst, a noisy stretch, at times a voiced end."""
    size = between(rng, 0.9, 1.4)
    timeline = silence_of(between(rng, 0.8, 4.0))
    voiced = between(rng, 0.0, 1.2)
    at_s = between(rng, 0.02, 0.3)
    while at_s < len(timeline) / SAMPLE_RATE_HZ - 0.2:
        for _ in range(int(rng.integers(1, 5))):
            n = samples(between(rng, 0.18, 0.42))
            tract = _tract(rng, ["uh", "a", "uh"], size)
            burst = _breath_noise(rng, n, tract, 3.0, 0.5) * attack_decay(n, 0.006, between(rng, 0.04, 0.12))
            pitch = between(rng, 130.0, 330.0) * size * curve(n, [1.2, 1.0, 0.75])
            throat = voice(rng, pitch, tract, bandwidth=2.0, breath=0.5, rough=0.7) * swell(n, 0.5, 0.4)
            x = peak_one(burst) + voiced * between(rng, 0.2, 0.7) * peak_one(throat)
            place(timeline, x * curve(n, [1.0, 1.0, 0.7, 0.0]), at_s, between(rng, 0.5, 1.0))
            at_s += n / SAMPLE_RATE_HZ + between(rng, 0.03, 0.25)
        at_s += between(rng, 0.4, 1.5)
    return recorded(rng, timeline, room=0.8, room_s=(0.15, 0.9), noise=0.5)


def burp(rng: Generator) -> Sound:
    """Return burps: a low irregular pulse train through an open throat."""
    n = samples(between_log(rng, 0.25, 1.8))
    pitch = (
        between_log(rng, 45.0, 120.0) * curve(n, list(rng.uniform(0.7, 1.5, 5))) * (1.0 + 0.12 * wander(rng, n, 14.0))
    )
    tract = _tract(rng, [str(v) for v in rng.choice(["a", "o", "uh", "ae"], 3)], between(rng, 0.85, 1.15))
    rough = between(rng, 0.4, 1.0)
    x = voice(rng, pitch, tract, bandwidth=1.8, tilt=0.6, breath=between(rng, 0.1, 0.6), rough=rough) * swell(
        n, 0.08, 0.3
    )
    return recorded(rng, x, room=0.7, room_s=(0.1, 0.7), distance=0.1, noise=0.5)


def laughter(rng: Generator) -> Sound:
    """Return laughter: a run of breathy ha-ha-ha, its pitch and loudness falling, from one person or several."""
    timeline = silence_of(between(rng, 1.2, 5.0))
    duration_s = len(timeline) / SAMPLE_RATE_HZ
    for person in range(int(rng.choice([1, 2, 4], p=[0.6, 0.25, 0.15]))):
        place(
            timeline,
            _laugh(rng, duration_s),
            between(rng, 0.0, 0.2 + 0.5 * person),
            1.0 if person == 0 else between(rng, 0.3, 0.9),
        )
    return recorded(rng, timeline, room=0.8, room_s=(0.15, 1.2), noise=0.5)


def _laugh(rng: Generator, duration_s: float) -> Signal:
    child_or_woman = chance(rng, 0.55)
    pitch_hz = between_log(rng, 230.0, 480.0) if child_or_woman else between_log(rng, 120.0, 240.0)
    size = between(rng, 1.1, 1.4) if child_or_woman else between(rng, 0.92, 1.1)
    vowel = str(rng.choice(["a", "uh", "e", "ae", "o", "i"], p=[0.35, 0.3, 0.12, 0.13, 0.05, 0.05]))
    step_s = between(rng, 0.14, 0.25)
    out = silence_of(duration_s)
    at_s = between(rng, 0.0, 0.2)
    while at_s < duration_s:
        count = int(rng.integers(3, 12))
        for index in range(count):
            fall = 1.0 - 0.4 * index / count
            n = samples(step_s * between(rng, 0.85, 1.0))
            pitch = pitch_hz * fall * between(rng, 0.9, 1.15) * curve(n, [1.05, 1.15, 1.0, 0.85])
            tract = _tract(rng, [vowel], size)
            vowel_part = voice(rng, pitch, tract, bandwidth=1.6, breath=0.25, rough=0.05) * swell(n, 0.3, 0.4)
            aspiration = _breath_noise(rng, n, tract, 3.0, 0.3) * curve(n, [0.6, 1.0, 0.3, 0.1, 0.5])
            syllable = peak_one(vowel_part) + between(rng, 0.1, 0.4) * peak_one(aspiration)
            place(out, syllable, at_s, fall * between(rng, 0.7, 1.0))
            at_s += step_s * between(rng, 0.9, 1.12)
        gasp = samples(between(rng, 0.2, 0.45))
        place(
            out,
            peak_one(_breath_noise(rng, gasp, _tract(rng, ["e"], size), 3.0, 0.2)) * swell(gasp, 0.6, 0.3),
            at_s,
            0.3,
        )
        at_s += gasp / SAMPLE_RATE_HZ + between(rng, 0.05, 0.5)
    return out


# --- Singing and whistling --------------------------------------------------------------------------------------------


def singing(rng: Generator) -> Sound:
    """Return singing on vowels: a soloist, a few voices, or a choir in chords."""
    timeline = silence_of(between(rng, 2.5, 7.0))
    duration_s = len(timeline) / SAMPLE_RATE_HZ
    solo = chance(rng, 0.5)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    root_hz = between_log(rng, 100.0, 330.0)
    at_s = 0.02
    degree = int(rng.integers(0, 8))
    while at_s < duration_s:
        length_s = min(between_log(rng, 0.25, 2.0) * (1.0 if solo else 1.8), duration_s - at_s + 0.1)
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 7))
        vowel = str(rng.choice(["a", "e", "i", "o", "u"]))
        chord = [degree] if solo else [degree, (degree + 2) % 8, (degree + 4) % 8][: int(rng.integers(2, 4))]
        for note in chord:
            for _ in range(1 if solo else int(rng.integers(2, 4))):
                pitch_hz = root_hz * 2.0 ** (scale[note] / 12.0) * (1.0 if solo else float(rng.choice([1.0, 2.0])))
                size = float(np.clip(0.95 + 0.25 * np.log2(max(pitch_hz, 110.0) / 110.0) / 1.5, 0.95, 1.25))
                place(
                    timeline,
                    _sung(rng, pitch_hz, length_s, vowel, size),
                    at_s + between(rng, 0.0, 0.05),
                    between(rng, 0.6, 1.0),
                )
        at_s += length_s * between(rng, 0.9, 1.0) + (between(rng, 0.1, 0.5) if chance(rng, 0.15) else 0.0)
    return recorded(rng, timeline, room=0.9, room_s=(0.4, 3.0), distance=0.1, noise=0.3)


def _sung(rng: Generator, pitch_hz: float, length_s: float, vowel: str, size: float) -> Signal:
    n = samples(length_s)
    vibrato = sine(between(rng, 4.8, 6.5), n) * np.clip(curve(n, [0.0, 1.0, 1.0]), 0.0, 1.0)
    pitch = pitch_hz * curve(n, [0.97, 1.0, 1.0, 1.0], [0, 0.08, 0.5, 1]) * (1.0 + between(rng, 0.003, 0.02) * vibrato)
    x = voice(rng, pitch, _tract(rng, [vowel, vowel], size), tilt=0.8, breath=between(rng, 0.01, 0.08))
    return peak_one(x) * swell(n, min(0.3, 0.08 / length_s), min(0.4, 0.12 / length_s))


def whistle(rng: Generator) -> Sound:
    """Return a person whistling a tune or a call, or a referee's whistle."""
    if chance(rng, 0.25):
        return _pea_whistle(rng)
    timeline = silence_of(between(rng, 1.0, 5.0))
    duration_s = len(timeline) / SAMPLE_RATE_HZ
    root_hz = between_log(rng, 750.0, 1700.0)
    call = chance(rng, 0.3)
    at_s = between(rng, 0.0, 0.2)
    while at_s < duration_s:
        n = samples(between_log(rng, 0.1, 0.7))
        step = 2.0 ** (float(rng.choice([-5, -3, 0, 2, 4, 5, 7, 9, 12])) / 12.0)
        bend = curve(n, list(rng.uniform(0.6, 1.6, 4))) if call else curve(n, [between(rng, 0.93, 1.02), 1.0, 1.0, 1.0])
        pitch = root_hz * step * bend * (1.0 + 0.008 * sine(between(rng, 4.5, 7.0), n) + 0.002 * wander(rng, n, 20.0))
        x = harmonics(pitch, n, [1.0, between(rng, 0.005, 0.06), 0.01])
        air = resonant(white(rng, n), root_hz * step, 4.0) + 0.15 * high_pass(white(rng, n), 2500.0)
        edge = min(0.4, 0.02 / (n / SAMPLE_RATE_HZ))
        place(timeline, (x + between(rng, 0.02, 0.15) * air) * swell(n, edge, edge * 1.5), at_s, between(rng, 0.6, 1.0))
        at_s += n / SAMPLE_RATE_HZ + (0.01 if chance(rng, 0.6) else between(rng, 0.05, 0.5))
    return recorded(rng, timeline, room=0.8, room_s=(0.2, 1.8), noise=0.5)


def _pea_whistle(rng: Generator) -> Sound:
    """Return a referee's whistle: two or three close tones that the ball chops up."""
    parts: list[Signal] = []
    low_hz = between(rng, 2000.0, 3600.0)
    trill_hz = between(rng, 25.0, 60.0)
    for _ in range(int(rng.integers(1, 4))):
        n = samples(between_log(rng, 0.15, 1.3))
        chop = sine(trill_hz * (1.0 + 0.1 * wander(rng, n, 8.0)), n)
        pitch = low_hz * (1.0 + 0.015 * chop)
        x = (
            sine(pitch, n)
            + between(rng, 0.3, 0.9) * sine(pitch * between(rng, 1.04, 1.16), n)
            + 0.1 * sine(2.0 * pitch, n)
        )
        x = (x + 0.15 * resonant(white(rng, n), low_hz, 3.0)) * (1.0 + 0.6 * chop)
        parts += [x * swell(n, 0.04, 0.05), np.zeros(samples(between(rng, 0.05, 0.4)))]
    return recorded(rng, np.concatenate(parts), room=0.8, room_s=(0.3, 2.0), noise=0.4)

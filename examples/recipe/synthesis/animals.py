"""Animals: calls made of a pulse or whistle source, a vocal tract, and the irregular timing of something alive."""

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
    harmonics,
    high_pass,
    irregular_times_s,
    join,
    low_pass,
    modes,
    peak_one,
    place,
    recorded,
    resonant,
    samples,
    sawtooth,
    silence_of,
    sine,
    swell,
    uneven_levels,
    voice,
    wander,
    white,
)


def _calls(
    rng: Generator, call: Callable[[], Signal], count: tuple[int, int], gap_s: tuple[float, float], lead_s: float = 0.3
) -> Signal:
    """Return several calls with uneven pauses between them."""
    parts = [np.zeros(samples(between(rng, 0.01, lead_s)))]
    for _ in range(int(rng.integers(count[0], count[1] + 1))):
        parts.append(peak_one(call()) * between(rng, 0.6, 1.0))
        parts.append(np.zeros(samples(between_log(rng, *gap_s))))
    return np.concatenate(parts)


def dog_bark(rng: Generator) -> Sound:
    """Return barks: short, rough, with a pitch that jumps up and falls."""
    size = between_log(rng, 0.6, 1.7)  # 1 is a dog of middle size; a small one yaps higher.
    pitch_hz = 480.0 / size * between(rng, 0.7, 1.3)
    length_s = between(rng, 0.09, 0.24)
    rough = between(rng, 0.1, 0.8)
    breath = between(rng, 0.05, 0.5)
    tilt = between(rng, 0.6, 1.4)

    def bark() -> Signal:
        n = samples(length_s * between(rng, 0.8, 1.25))
        peak = between(rng, 1.2, 1.8)
        pitch = (
            pitch_hz * between(rng, 0.92, 1.08) * curve(n, [0.75, peak, peak * 0.95, 0.8, 0.6], [0, 0.2, 0.4, 0.8, 1])
        )
        first = [500.0 / size, 1000.0 / size, 900.0 / size, 450.0 / size]
        second = [1300.0 / size, 1900.0 / size, 1700.0 / size, 1300.0 / size]
        third = [2900.0 / size, 3300.0 / size, 3000.0 / size]
        x = voice(rng, pitch, [first, second, third], bandwidth=2.2, tilt=tilt, breath=breath, rough=rough, floor=0.02)
        return x * swell(n, 0.18, 0.6) ** 1.3

    def phrase() -> Signal:
        return np.concatenate([bark(), np.zeros(samples(0.04)), bark()]) if chance(rng, 0.25) else bark()

    x = _calls(rng, phrase, (1, 7), (0.12, 0.8))
    return recorded(rng, x, room=0.8, room_s=(0.2, 1.8), distance=0.4, noise=0.6)


def rooster(rng: Generator) -> Sound:
    """Return a crow: two or three short notes, one long high one that sags at its end."""
    base_hz = between_log(rng, 420.0, 900.0)
    throat = _Throat(rng)
    parts: list[Signal] = [np.zeros(samples(between(rng, 0.01, 0.6)))]
    for _ in range(1 if chance(rng, 0.7) else 2):
        for height in (0.75, 0.95, 1.05)[int(rng.integers(0, 2)) :]:
            parts.append(throat.note(rng, base_hz * height * between(rng, 0.92, 1.08), between(rng, 0.1, 0.3), 1.0))
            parts.append(np.zeros(samples(between(rng, 0.005, 0.08))))
        end = between(rng, 0.5, 0.9)
        parts.append(throat.note(rng, base_hz * between(rng, 1.05, 1.4), between(rng, 0.5, 1.8), end))
        parts.append(np.zeros(samples(between(rng, 0.2, 1.5))))
    return recorded(rng, np.concatenate(parts), room=0.8, room_s=(0.2, 1.8), distance=0.5, noise=0.8)


class _Throat:
    """The throat of one rooster: its formants, breath and roughness, the same for all notes of a crow."""

    def __init__(self, rng: Generator) -> None:
        size = between(rng, 0.85, 1.2)
        self.formants_hz = [[1100 * size, 1500 * size, 1200 * size], [2300 * size, 2700 * size], [3900.0], [5600.0]]
        self.tilt = between(rng, 0.5, 1.1)
        self.rough = between(rng, 0.0, 0.25)
        self.breath = between_log(rng, 0.01, 0.12)

    def note(self, rng: Generator, pitch_hz: float, length_s: float, end: float) -> Signal:
        """Return one note; `end` is the pitch at its end, relative to its middle."""
        n = samples(length_s)
        sag = between(rng, 0.6, 0.9)
        pitch = (
            pitch_hz * curve(n, [0.8, 1.0, 1.03, 1.0, end], [0, 0.12, 0.4, sag, 1]) * (1 + 0.008 * wander(rng, n, 15.0))
        )
        tract = self.formants_hz
        x = voice(rng, pitch, tract, bandwidth=2.5, tilt=self.tilt, breath=self.breath, rough=self.rough, floor=0.01)
        return x * swell(n, min(0.3, 0.04 / length_s), min(0.5, 0.15 / length_s))


def crow(rng: Generator) -> Sound:
    """Return caws: harsh, low, with energy around 1–2 kHz."""
    pitch_hz = between_log(rng, 220.0, 420.0)
    length_s = between(rng, 0.18, 0.45)
    rough = between(rng, 0.5, 1.0)
    shift = between(rng, 0.85, 1.2)

    def caw() -> Signal:
        n = samples(length_s * between(rng, 0.85, 1.15))
        pitch = pitch_hz * curve(n, [0.9, 1.08, 1.05, 0.8], [0, 0.2, 0.6, 1])
        tract = [[1000 * shift, 1400 * shift, 1150 * shift], [1900 * shift, 2200 * shift], [3600.0], [5200.0]]
        x = voice(rng, pitch, tract, bandwidth=2.5, tilt=0.3, breath=between(rng, 0.3, 0.9), rough=rough, floor=0.04)
        return x * (1.0 + 0.5 * sawtooth(between(rng, 50.0, 90.0), n)) * swell(n, 0.12, 0.35)

    return recorded(rng, _calls(rng, caw, (1, 6), (0.15, 0.7)), room=0.6, room_s=(0.3, 1.8), distance=0.4, noise=0.6)


def cat_meow(rng: Generator) -> Sound:
    """Return meows: a nasal glide that opens to a vowel and closes, mostly 400–900 Hz."""
    pitch_hz = between_log(rng, 380.0, 850.0)
    size = between(rng, 0.85, 1.25)

    def meow() -> Signal:
        n = samples(between_log(rng, 0.35, 1.4))
        top = between(rng, 1.15, 1.6)
        pitch = pitch_hz * curve(n, [0.85, 1.05, top, top * 0.95, between(rng, 0.6, 1.1)], [0, 0.12, 0.4, 0.65, 1])
        pitch *= 1.0 + 0.02 * wander(rng, n, 12.0)
        first = [350 * size, 700 * size, 1100 * size, 950 * size, 500 * size]
        second = [2300 * size, 2100 * size, 1700 * size, 1400 * size, 1000 * size]
        tract = [first, second, [3600 * size], [5000 * size], [7500 * size]]
        rough = between(rng, 0.3, 0.6) if chance(rng, 0.2) else between(rng, 0.0, 0.1)
        x = voice(rng, pitch, tract, bandwidth=1.6, tilt=0.4, breath=between(rng, 0.03, 0.15), rough=rough, floor=0.04)
        return x * swell(n, between(rng, 0.15, 0.4), between(rng, 0.25, 0.5))

    return recorded(rng, _calls(rng, meow, (1, 4), (0.2, 1.2)), room=0.7, noise=0.5)


def cow_moo(rng: Generator) -> Sound:
    """Return moos: long, low, closed at first, rising a little, then open."""
    pitch_hz = between_log(rng, 80.0, 190.0)

    def moo() -> Signal:
        n = samples(between(rng, 0.9, 2.6))
        top = between(rng, 1.15, 1.8)
        pitch = (
            pitch_hz
            * curve(n, [0.85, 1.0, top, top, 0.85 * top], [0, 0.25, 0.6, 0.85, 1])
            * (1 + 0.01 * wander(rng, n, 6.0))
        )
        tract = [[240, 280, 550, 650, 500], [700, 800, 1100, 1200, 1000], [2300, 2400], [3300], [4300]]
        rough = between(rng, 0.0, 0.45)
        x = voice(rng, pitch, tract, bandwidth=1.5, tilt=0.7, breath=between(rng, 0.05, 0.25), rough=rough)
        return x * swell(n, 0.2, 0.2) * curve(n, [0.35, 0.5, 1.0, 1.0, 0.7])

    return recorded(rng, _calls(rng, moo, (1, 3), (0.3, 1.5)), room=0.6, room_s=(0.3, 1.6), noise=0.6)


def sheep_bleat(rng: Generator) -> Sound:
    """Return bleats: a nasal vowel with a quick, deep tremolo."""
    pitch_hz = between_log(rng, 150.0, 480.0)  # Ewes low, lambs high; goats in between.
    rate_hz = between(rng, 6.0, 13.0)
    depth = between(rng, 0.4, 0.85)
    size = between(rng, 0.85, 1.2)

    def bleat() -> Signal:
        n = samples(between(rng, 0.5, 1.4))
        wobble = sine(rate_hz * (1 + 0.1 * wander(rng, n, 4.0)), n)
        pitch = pitch_hz * curve(n, [0.95, 1.1, 1.05, 0.9]) * (1.0 + 0.06 * wobble)
        tract = [[700 * size, 850 * size, 750 * size], [1500 * size, 1750 * size], [2600 * size], [3700.0], [5200.0]]
        x = voice(
            rng, pitch, tract, bandwidth=1.5, tilt=0.5, breath=between(rng, 0.08, 0.35), rough=between(rng, 0.0, 0.35)
        )
        return x * (1.0 - depth * (0.5 + 0.5 * wobble)) * swell(n, 0.08, 0.3)

    return recorded(rng, _calls(rng, bleat, (1, 4), (0.3, 1.3)), room=0.5, room_s=(0.2, 1.2), noise=0.6)


def pig_grunt(rng: Generator) -> Sound:
    """Return grunts and snorts, now and then a squeal."""
    size = between(rng, 0.8, 1.25)
    pulse_hz = between_log(rng, 28.0, 90.0)

    def grunt() -> Signal:
        n = samples(between_log(rng, 0.09, 0.4))
        pitch = pulse_hz * curve(n, [0.8, 1.2, 1.0, 0.7]) * (1.0 + 0.1 * wander(rng, n, 20.0))
        tract = [[350 / size, 480 / size, 380 / size], [950 / size, 1200 / size], [2300.0], [3400.0]]
        breath = between(rng, 0.3, 1.0)
        return voice(rng, pitch, tract, bandwidth=2.2, tilt=0.7, breath=breath, rough=0.6, floor=0.03) * swell(
            n, 0.2, 0.5
        )

    def squeal() -> Signal:
        n = samples(between(rng, 0.3, 0.9))
        pitch = between(rng, 600.0, 1400.0) * curve(n, [0.8, 1.3, 1.1, 1.35, 0.7]) * (1.0 + 0.05 * wander(rng, n, 20.0))
        tract = [[1200.0, 1600.0, 1300.0], [2800.0], [4200.0], [6000.0]]
        return voice(rng, pitch, tract, bandwidth=2.0, tilt=0.2, breath=0.4, rough=0.7) * swell(n, 0.2, 0.3)

    def utterance() -> Signal:
        return squeal() if chance(rng, 0.12) else grunt()

    return recorded(rng, _calls(rng, utterance, (2, 9), (0.06, 0.5)), room=0.5, noise=0.6)


def horse_hooves(rng: Generator) -> Sound:
    """Return hoof beats at a walk, a trot or a gallop, on stone, soil or wood."""
    gaits = (((0.0, 0.25, 0.5, 0.75), (0.8, 1.2)), ((0.0, 0.5), (0.55, 0.8)), ((0.0, 0.18, 0.36), (0.42, 0.62)))
    beats, cycle_range = gaits[int(rng.integers(3))]
    cycle_s = between(rng, *cycle_range)
    hard = between(rng, 0.0, 1.0)
    timeline = silence_of(between(rng, 2.0, 6.0))
    feet = [_hoof(rng, hard) for _ in range(4)]
    duration_s = len(timeline) / SAMPLE_RATE_HZ
    step = 0
    for start_s in irregular_times_s(rng, between(rng, 0.0, 0.3), duration_s, cycle_s, 0.04):
        for beat in beats:
            place(
                timeline,
                feet[step % 4],
                start_s + cycle_s * beat + 0.012 * abs(rng.standard_normal()),
                between(rng, 0.5, 1.0),
            )
            step += 1
    timeline *= curve(len(timeline), [between(rng, 0.2, 1.0), 1.0, between(rng, 0.2, 1.0)])
    return recorded(rng, timeline, room=0.6, room_s=(0.15, 1.0), noise=0.6)


def _hoof(rng: Generator, hard: float) -> Signal:
    n = samples(0.18)
    frequencies_hz = between_log(rng, 260.0, 600.0) * (1.0 + 0.9 * hard) * np.array([1.0, 1.7, 2.6, 3.9])
    taus_s = rng.uniform(0.006, 0.02, 4)
    clop = modes(
        n, frequencies_hz * rng.uniform(0.92, 1.08, 4), rng.uniform(0.2, 1.0, 4) * [1.0, 1.0, hard, hard], taus_s
    )
    thud = low_pass(white(rng, n) * decay(n, between(rng, 0.01, 0.03)), between_log(rng, 150.0, 500.0))
    grit = band_pass(white(rng, n) * attack_decay(n, 0.003, between(rng, 0.004, 0.03)), 1200.0, 6000.0, 1)
    return (
        (0.3 + hard) * peak_one(clop) + (1.0 - 0.7 * hard) * peak_one(thud) + between(rng, 0.05, 0.4) * peak_one(grit)
    )


def bird_song(rng: Generator) -> Sound:
    """Return one to three birds singing: whistles, trills, chirps, warbles, with pauses."""
    timeline = silence_of(between(rng, 2.0, 7.0))
    duration_s = len(timeline) / SAMPLE_RATE_HZ
    for bird in range(int(rng.choice([1, 2, 3, 5], p=[0.5, 0.25, 0.15, 0.1]))):
        centre_hz = between_log(rng, 1800.0, 6800.0)
        repertoire = [_bird_motif(rng, centre_hz) for _ in range(int(rng.integers(1, 5)))]
        level = 1.0 if bird == 0 else between_log(rng, 0.08, 0.8)
        at_s = between(rng, 0.0, 0.4 if bird == 0 else duration_s * 0.5)
        while at_s < duration_s:
            motif = repertoire[int(rng.integers(len(repertoire)))]
            place(timeline, motif, at_s, level * between(rng, 0.6, 1.0))
            at_s += len(motif) / SAMPLE_RATE_HZ + between_log(rng, 0.05, 1.6)
    return recorded(rng, timeline, room=0.8, room_s=(0.3, 2.0), distance=0.15, noise=0.8)


def _bird_motif(rng: Generator, centre_hz: float) -> Signal:
    """Return one motif: a syllable repeated, as a trill, or a few different syllables in a row."""
    syllables = [_bird_syllable(rng, centre_hz) for _ in range(int(rng.integers(1, 5)))]
    trill = chance(rng, 0.4)
    count = int(rng.integers(5, 26)) if trill else int(rng.integers(1, 8))
    gap_s = between_log(rng, 0.008, 0.06) if trill else between_log(rng, 0.03, 0.25)
    parts: list[Signal] = []
    for index in range(count):
        chosen = syllables[0] if trill else syllables[int(rng.integers(len(syllables)))]
        parts += [chosen * between(rng, 0.7, 1.0) * min(1.0, 0.5 + 0.15 * index), np.zeros(samples(gap_s))]
    return np.concatenate(parts)[: samples(3.0)]


def _bird_syllable(rng: Generator, centre_hz: float) -> Signal:
    n = samples(between_log(rng, 0.025, 0.3))
    span = between(rng, 0.05, 0.45)
    bend = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, 4), rng.uniform(-span, span, 4))
    pitch = np.clip(centre_hz * between(rng, 0.8, 1.25) * 2.0**bend, 900.0, 11_000.0)
    if chance(rng, 0.3):
        pitch = pitch * (1.0 + between(rng, 0.02, 0.12) * sine(between_log(rng, 18.0, 90.0), n))
    overtones = [1.0, between(rng, 0.0, 0.25), between(rng, 0.0, 0.1)]
    x = harmonics(pitch, n, overtones)
    if chance(rng, 0.15):
        # Some call with a buzz: the voice box beats against itself.
        x *= 1.0 + 0.9 * sine(between_log(rng, 80.0, 350.0), n)
    x += between(rng, 0.0, 0.04) * high_pass(white(rng, n), 2000.0)
    return x * swell(n, between(rng, 0.1, 0.5), between(rng, 0.1, 0.6))


def owl_hoot(rng: Generator) -> Sound:
    """Return hoots: soft, nearly pure, 250–900 Hz, in a rhythm of their own."""
    pitch_hz = between_log(rng, 240.0, 850.0)
    pattern = [between_log(rng, 0.12, 0.6) for _ in range(int(rng.integers(2, 7)))]
    gap_s = between_log(rng, 0.08, 0.5)
    tremolo = chance(rng, 0.3)

    def hoots() -> Signal:
        parts: list[Signal] = []
        for length_s in pattern:
            n = samples(length_s)
            pitch = pitch_hz * curve(n, [0.93, 1.02, 1.0, 0.9], [0, 0.25, 0.7, 1]) * (1.0 + 0.006 * wander(rng, n, 9.0))
            x = harmonics(pitch, n, [1.0, between(rng, 0.02, 0.2), between(rng, 0.01, 0.08)])
            x += between(rng, 0.02, 0.12) * resonant(white(rng, n), pitch_hz, 3.0)
            if tremolo:
                x *= 1.0 + 0.5 * sine(between(rng, 9.0, 16.0), n)
            parts += [
                x * swell(n, 0.25, 0.4) * between(rng, 0.7, 1.0),
                np.zeros(samples(gap_s * between(rng, 0.7, 1.5))),
            ]
        return np.concatenate(parts)

    x = _calls(rng, hoots, (1, 2), (0.5, 2.0))
    return recorded(rng, x, room=0.9, room_s=(0.5, 2.5), distance=0.3, noise=0.7)


def duck_quack(rng: Generator) -> Sound:
    """Return quacks: nasal, buzzing, often in a series that gets softer."""
    pitch_hz = between_log(rng, 170.0, 380.0)
    shift = between(rng, 0.85, 1.25)
    length_s = between(rng, 0.1, 0.26)

    def quack() -> Signal:
        n = samples(length_s * between(rng, 0.8, 1.2))
        pitch = pitch_hz * curve(n, [0.95, 1.1, 1.0, 0.8])
        tract = [
            [950 * shift, 1250 * shift, 1000 * shift],
            [1900 * shift, 2400 * shift],
            [3200 * shift],
            [4600.0],
            [6500.0],
        ]
        rough = between(rng, 0.2, 0.6)
        return voice(rng, pitch, tract, bandwidth=1.8, tilt=0.1, breath=0.25, rough=rough, floor=0.05) * swell(
            n, 0.1, 0.45
        )

    x = _calls(rng, quack, (1, 9), (0.06, 0.35))
    return recorded(rng, x * curve(len(x), [1.0, between(rng, 0.3, 1.0)]), room=0.5, room_s=(0.2, 1.2), noise=0.6)


def frog_croak(rng: Generator) -> Sound:
    """Return frogs: pulsed croaks, ribbits, or the peeping of small ones, alone or as a chorus."""
    timeline = silence_of(between(rng, 2.0, 6.0))
    duration_s = len(timeline) / SAMPLE_RATE_HZ
    peepers = chance(rng, 0.25)
    for frog in range(int(rng.choice([1, 2, 4, 8], p=[0.45, 0.25, 0.2, 0.1]))):
        call = _peep(rng) if peepers else _croak(rng)
        step_s = len(call) / SAMPLE_RATE_HZ + between_log(rng, 0.1, 1.0)
        level = 1.0 if frog == 0 else between_log(rng, 0.1, 0.9)
        for at_s in irregular_times_s(rng, between(rng, 0.0, 0.5), duration_s, step_s, 0.25):
            place(timeline, call, at_s, level * between(rng, 0.6, 1.0))
    return recorded(rng, timeline, room=0.6, room_s=(0.2, 1.5), noise=0.8)


def _croak(rng: Generator) -> Signal:
    n = samples(between_log(rng, 0.15, 0.7))
    pitch = between_log(rng, 28.0, 130.0) * curve(n, [0.8, 1.1, between(rng, 0.9, 1.4)])
    low_hz = between_log(rng, 350.0, 1300.0)
    rise = between(rng, 0.95, 1.5)
    tract = [[low_hz, low_hz * rise], [low_hz * 2.2, low_hz * 2.2 * rise], [low_hz * 3.8]]
    x = voice(rng, pitch, tract, bandwidth=1.3, tilt=0.1, breath=between(rng, 0.05, 0.4), rough=between(rng, 0.0, 0.3))
    x *= swell(n, 0.2, 0.2)
    if chance(rng, 0.4):
        # Rib-bit: the call falls apart into two.
        x *= 1.0 - 0.95 * np.exp(-(((np.linspace(0, 1, n) - between(rng, 0.35, 0.6)) / 0.07) ** 2))
    return peak_one(x)


def _peep(rng: Generator) -> Signal:
    n = samples(between_log(rng, 0.06, 0.25))
    x = harmonics(between_log(rng, 1800.0, 3400.0) * curve(n, [0.92, 1.0, 1.06]), n, [1.0, 0.08])
    return x * swell(n, 0.2, 0.3)


def cricket_chirp(rng: Generator) -> Sound:
    """Return crickets, cicadas and grasshoppers: pulsed, narrow or hissing tones above 2 kHz."""
    n = samples(between(rng, 2.0, 6.0))
    total = np.zeros(n)
    for insect in range(int(rng.choice([1, 2, 4], p=[0.5, 0.3, 0.2]))):
        level = 1.0 if insect == 0 else between_log(rng, 0.1, 0.8)
        total += level * peak_one(_insect(rng, n))
    return recorded(rng, total, room=0.3, distance=0.1, noise=0.8)


def _insect(rng: Generator, n: int) -> Signal:
    pulse_hz = between_log(rng, 18.0, 70.0)
    carrier_hz = between_log(rng, 2300.0, 6500.0)
    pulse = np.clip(sine(pulse_hz * (1 + 0.02 * wander(rng, n, 3.0)), n), 0.0, 1.0) ** between(rng, 0.5, 2.0)
    if chance(rng, 0.6):
        # Cricket: chirps of a few pulses each.
        period_s, duty = between_log(rng, 0.18, 1.3), between(rng, 0.25, 0.7)
        gate = (np.arange(n) / SAMPLE_RATE_HZ / period_s + 0.03 * wander(rng, n, 1.5)) % 1.0 < duty
        x = sine(carrier_hz * (1 + 0.01 * wander(rng, n, 5.0)), n) + between(rng, 0, 0.15) * sine(2 * carrier_hz, n)
        return x * pulse * gate
    if chance(rng, 0.5):
        # Cicada or bush cricket: hissing bands, going on and on.
        bands = resonant(white(rng, n), carrier_hz, between(rng, 3, 12)) + 0.5 * resonant(
            white(rng, n), carrier_hz * 1.7, 5.0
        )
        return bands * (0.3 + pulse) * (1.0 + 0.4 * np.tanh(wander(rng, n, 0.8)))
    x = sine(carrier_hz * (1 + 0.006 * wander(rng, n, 5.0)), n)
    return x * (0.1 + pulse)


def bee_buzz(rng: Generator) -> Sound:
    """Return bees, flies or a mosquito: a buzz full of harmonics whose pitch and loudness waver as it flies about."""
    n = samples(between(rng, 2.0, 6.0))
    total = np.zeros(n)
    swarm = chance(rng, 0.25)
    pitch_hz = between_log(rng, 110.0, 280.0) if chance(rng, 0.8) else between_log(rng, 350.0, 700.0)
    for index in range(int(rng.integers(5, 9)) if swarm else int(rng.integers(1, 3))):
        pitch = pitch_hz * between(rng, 0.85, 1.15) * (1.0 + 0.05 * wander(rng, n, 2.5) + 0.015 * wander(rng, n, 15.0))
        x = harmonics(pitch, n, uneven_levels(rng, 24, between(rng, 0.5, 1.3), 0.4))
        nearness = np.exp(between(rng, 0.2, 0.9) * wander(rng, n, between(rng, 0.5, 2.0)))
        total += (1.0 if index == 0 else 0.7) * x * nearness * (1 + 0.1 * wander(rng, n, 60.0))
    if not swarm and chance(rng, 0.3):
        total *= swell(n, between(rng, 0.2, 0.5), between(rng, 0.2, 0.5)) ** 2
    total += between(rng, 0.02, 0.15) * float(np.std(total)) * coloured(rng, n, 1.0)
    return recorded(rng, total, room=0.2, noise=0.7)


def wolf_howl(rng: Generator) -> Sound:
    """Return howls: slow glides of two to five seconds, alone or in a pack."""
    timeline = silence_of(between(rng, 3.0, 7.5))
    duration_s = len(timeline) / SAMPLE_RATE_HZ
    for animal in range(int(rng.choice([1, 2, 3], p=[0.55, 0.25, 0.2]))):
        n = samples(between(rng, 1.8, min(5.0, duration_s)))
        top = between(rng, 1.2, 1.9)
        pitch = between_log(rng, 260.0, 520.0) * curve(
            n, [0.7, top, top * 1.03, top * 0.95, 0.75], [0, 0.2, 0.5, 0.8, 1]
        )
        pitch *= 1.0 + 0.012 * wander(rng, n, 5.0)
        if chance(rng, 0.3):
            step = samples(between(rng, 0.4, 1.2))
            pitch[step:] *= between(rng, 0.8, 1.2)
        tract = [[550.0, 750.0, 650.0], [1050.0, 1250.0], [2500.0], [3600.0]]
        x = voice(rng, pitch, tract, bandwidth=2.5, tilt=1.0, breath=between(rng, 0.02, 0.1), floor=0.01) * swell(
            n, 0.2, 0.3
        )
        start_s = 0.05 if animal == 0 else between(rng, 0.2, duration_s * 0.5)
        place(timeline, peak_one(x), start_s, 1.0 if animal == 0 else between(rng, 0.3, 0.9))
    return recorded(rng, join([timeline, np.zeros(1)]), room=0.9, room_s=(0.8, 3.0), distance=0.4, noise=0.6)

"""The parts every synthesiser is made of: noise, envelopes, filters, resonators, voices, rooms.

A signal is a float64 array of samples at `SAMPLE_RATE_HZ`; a sound is what a synthesiser returns: float32, mono,
peak at most 1. Filters work on the whole signal in the frequency domain with analogue (causal) responses, so that they
do not smear attacks backwards in time. All randomness comes from the generator that is passed in.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 48_000
MIN_SOUND_S = 0.05
MAX_SOUND_S = 8.0

Signal = NDArray[np.float64]
Sound = NDArray[np.float32]
# Short lists of numbers, such as the levels of partials.
Values = Sequence[float] | NDArray[np.floating]
Synthesiser = Callable[[Generator], Sound]


# --- Random numbers ---------------------------------------------------------------------------------------------------


def between(rng: Generator, low: float, high: float) -> float:
    """Return a number drawn evenly between `low` and `high`."""
    return float(rng.uniform(low, high))


def between_log(rng: Generator, low: float, high: float) -> float:
    """Return a number drawn evenly on a logarithmic scale: the right choice for frequencies and decays."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chance(rng: Generator, probability: float) -> bool:
    """Return True with the given probability."""
    return bool(rng.random() < probability)


def irregular_times_s(rng: Generator, start_s: float, end_s: float, step_s: float, jitter: float) -> list[float]:
    """Return times from `start_s` to `end_s`, about `step_s` apart, each step off by up to `jitter` of itself."""
    times = []
    at_s = start_s
    while at_s < end_s:
        times.append(at_s)
        at_s += step_s * (1.0 + jitter * rng.uniform(-1.0, 1.0))
    return times


# --- Time, curves, envelopes ------------------------------------------------------------------------------------------


def samples(duration_s: float) -> int:
    """Return the number of samples in `duration_s`, at least one."""
    return max(1, round(duration_s * SAMPLE_RATE_HZ))


def time_s(n: int) -> Signal:
    """Return the time of each of `n` samples in seconds."""
    return np.arange(n) / SAMPLE_RATE_HZ


def curve(n: int, points: Sequence[float], at: Sequence[float] | None = None) -> Signal:
    """Return `n` samples through `points`, which lie at the fractions `at` of the length (evenly by default)."""
    positions = np.linspace(0.0, 1.0, len(points)) if at is None else np.asarray(at)
    return np.interp(np.linspace(0.0, 1.0, n), positions, points)


def wander(rng: Generator, n: int, rate_hz: float) -> Signal:
    """Return a smooth random curve of about unit variance that changes direction about `rate_hz` times a second."""
    knots = max(3, round(n / SAMPLE_RATE_HZ * rate_hz) + 2)
    position = np.linspace(0.0, knots - 1.001, n)
    left = position.astype(np.int64)
    fraction = position - left
    values = rng.standard_normal(knots + 1)
    weight = fraction * fraction * (3.0 - 2.0 * fraction)
    return values[left] * (1.0 - weight) + values[left + 1] * weight


def decay(n: int, tau_s: float) -> Signal:
    """Return an exponential decay from 1 with the time constant `tau_s`."""
    return np.exp(-time_s(n) / tau_s)


def attack_decay(n: int, attack_s: float, tau_s: float) -> Signal:
    """Return an envelope that rises during `attack_s` and then decays exponentially."""
    t = time_s(n)
    return np.minimum(t / max(attack_s, 1e-5), 1.0) * np.exp(-np.maximum(t - attack_s, 0.0) / tau_s)


def swell(n: int, attack: float, release: float) -> Signal:
    """Return an envelope that rises and falls with raised cosines over the fractions `attack` and `release`."""
    position = np.linspace(0.0, 1.0, n)
    rise = np.clip(position / max(attack, 1e-6), 0.0, 1.0)
    fall = np.clip((1.0 - position) / max(release, 1e-6), 0.0, 1.0)
    return np.asarray((0.5 - 0.5 * np.cos(np.pi * rise)) * (0.5 - 0.5 * np.cos(np.pi * fall)))


def silence_of(duration_s: float) -> Signal:
    """Return a signal of zeros, the empty timeline that `place` adds to."""
    return np.zeros(samples(duration_s))


def place(timeline: Signal, event: Signal, at_s: float, gain: float = 1.0) -> None:
    """Add `event` to `timeline` at `at_s`, in place; what lies beyond the end is cut."""
    start = round(at_s * SAMPLE_RATE_HZ)
    if 0 <= start < len(timeline):
        end = min(len(timeline), start + len(event))
        timeline[start:end] += gain * event[: end - start]


def padded(x: Signal, extra_s: float) -> Signal:
    """Return `x` with `extra_s` of silence after it, room for a tail."""
    return np.concatenate([x, np.zeros(samples(extra_s))])


def join(parts: Sequence[Signal]) -> Signal:
    """Return the sum of signals of different lengths that start together."""
    total = np.zeros(max(len(part) for part in parts))
    for part in parts:
        total[: len(part)] += part
    return total


def peak_one(x: Signal) -> Signal:
    """Return `x` scaled to a peak of 1 (silence stays silence)."""
    return x / max(float(np.max(np.abs(x))), 1e-9)


# --- Noise and tones --------------------------------------------------------------------------------------------------


def white(rng: Generator, n: int) -> Signal:
    """Return white noise of unit variance."""
    return rng.standard_normal(n)


def coloured(rng: Generator, n: int, slope: float) -> Signal:
    """Return noise whose power falls as 1/f**slope (0 white, 1 pink, 2 brown), of unit variance."""
    noise = filtered(white(rng, n), lambda f: np.maximum(f, 20.0) ** (-slope / 2.0))
    return noise / max(float(np.std(noise)), 1e-12)


def dust(rng: Generator, n: int, rate_hz: float, spread: float = 1.0) -> Signal:
    """Return single-sample impulses at random times, `rate_hz` on average; `spread` widens their log-normal sizes."""
    impulses = np.zeros(n)
    count = int(rng.poisson(rate_hz * n / SAMPLE_RATE_HZ))
    sizes = np.exp(spread * rng.standard_normal(count)) * rng.choice([-1.0, 1.0], count)
    np.add.at(impulses, rng.integers(0, n, count), sizes)
    return impulses


def phase_of(frequency_hz: Signal | float, n: int) -> Signal:
    """Return the phase, in turns, of an oscillator that follows `frequency_hz`."""
    return np.cumsum(np.broadcast_to(frequency_hz, (n,))) / SAMPLE_RATE_HZ


def sine(frequency_hz: Signal | float, n: int, phase: float = 0.0) -> Signal:
    """Return a sine that follows `frequency_hz` (a number or a curve), starting at `phase` turns."""
    return np.sin(2.0 * np.pi * (phase_of(frequency_hz, n) + phase))


def harmonics(frequency_hz: Signal | float, n: int, amplitudes: Values, odd: bool = False) -> Signal:
    """Return a sum of harmonics with the given amplitudes, those above the audible range left out."""
    if isinstance(frequency_hz, float | int):
        orders = np.arange(len(amplitudes)) * (2 if odd else 1) + 1
        return modes(n, frequency_hz * orders, amplitudes, np.full(len(orders), np.inf))
    turn = np.exp(2j * np.pi * phase_of(frequency_hz, n))
    highest = float(np.max(frequency_hz))
    step = turn * turn if odd else turn
    current = turn.copy()
    total = np.zeros(n)
    for index, amplitude in enumerate(amplitudes):
        order = 2 * index + 1 if odd else index + 1
        if order * highest > 0.48 * SAMPLE_RATE_HZ:
            break
        total += amplitude * current.imag
        current *= step
    return total


def falling_levels(count: int, slope: float) -> Signal:
    """Return the levels of `count` harmonics that fall as 1/order**slope."""
    return np.asarray(np.arange(1.0, count + 1.0) ** -slope)


def uneven_levels(rng: Generator, count: int, slope: float, spread: float) -> Signal:
    """Return the levels of `count` harmonics that fall as 1/order**slope, each off by a factor of about exp(spread)."""
    return np.asarray(falling_levels(count, slope) * np.exp(spread * rng.standard_normal(count)))


def square(frequency_hz: Signal | float, n: int, width: float = 0.5) -> Signal:
    """Return a pulse wave of ±1; its edges alias a little, as those of cheap sound chips do."""
    return np.where(phase_of(frequency_hz, n) % 1.0 < width, 1.0, -1.0)


def sawtooth(frequency_hz: Signal | float, n: int) -> Signal:
    """Return a falling sawtooth of ±1."""
    return 1.0 - 2.0 * (phase_of(frequency_hz, n) % 1.0)


def pulses(rng: Generator, frequency_hz: Signal, jitter: float = 0.0, shimmer: float = 0.0) -> Signal:
    """Return one impulse per period of `frequency_hz`, uneven in time (`jitter`, in periods) and size (`shimmer`)."""
    n = len(frequency_hz)
    phase = phase_of(frequency_hz, n)
    count = int(phase[-1])
    out = np.zeros(n + 2)
    if count > 0:
        targets = np.arange(1, count + 1) + jitter * rng.standard_normal(count)
        positions = np.clip(np.interp(targets, phase, np.arange(n)), 0.0, n)
        left = positions.astype(np.int64)
        fraction = positions - left
        sizes = 1.0 + shimmer * rng.standard_normal(count)
        np.add.at(out, left, sizes * (1.0 - fraction))
        np.add.at(out, left + 1, sizes * fraction)
    return out[:n]


# --- Filters ----------------------------------------------------------------------------------------------------------


def fft_length(n: int) -> int:
    """Return a length of at least `n` that the fast Fourier transform handles well."""
    power = 1 << (n - 1).bit_length()
    return next(length for length in (power * 5 // 8, power * 3 // 4, power) if length >= n)


def _frequencies_hz(length: int) -> Signal:
    """Return the frequencies of the bins of a real transform of `length` samples."""
    return np.asarray(np.arange(length // 2 + 1) * (SAMPLE_RATE_HZ / length))


def filtered(x: Signal, response: Callable[[Signal], NDArray[np.inexact]], tail_s: float = 0.05) -> Signal:
    """Return `x` through a filter given by its response (real or complex) to frequencies in hertz."""
    length = fft_length(len(x) + samples(tail_s))
    frequency_hz = _frequencies_hz(length)
    return np.fft.irfft(np.fft.rfft(x, length) * response(frequency_hz), length)[: len(x)]


def low_pass(x: Signal, cutoff_hz: float, order: int = 2) -> Signal:
    """Return `x` with what lies above `cutoff_hz` attenuated by 6 dB per octave and `order`."""
    return filtered(x, lambda f: (1.0 + 1j * f / cutoff_hz) ** -order)


def high_pass(x: Signal, cutoff_hz: float, order: int = 2) -> Signal:
    """Return `x` with what lies below `cutoff_hz` attenuated by 6 dB per octave and `order`."""
    return filtered(x, lambda f: (1j * f / cutoff_hz / (1.0 + 1j * f / cutoff_hz)) ** order)


def band_pass(x: Signal, low_hz: float, high_hz: float, order: int = 2) -> Signal:
    """Return `x` between `low_hz` and `high_hz`."""
    return filtered(x, lambda f: (1j * f / low_hz / (1.0 + 1j * f / low_hz) / (1.0 + 1j * f / high_hz)) ** order)


def resonant(x: Signal, frequency_hz: float, q: float) -> Signal:
    """Return `x` through a band-pass resonance of quality `q` with gain 1 at its centre."""
    return filtered(
        x, lambda f: 1j * f / frequency_hz / q / (1.0 - (f / frequency_hz) ** 2 + 1j * f / frequency_hz / q)
    )


def bandlimited(x: Signal, cutoff_hz: float) -> Signal:
    """Return `x` with everything above `cutoff_hz` removed, as a lower sample rate or a codec does."""
    return filtered(x, lambda f: np.clip((cutoff_hz * 1.05 - f) / (cutoff_hz * 0.1), 0.0, 1.0))


def random_equaliser(rng: Generator, x: Signal, depth_db: float) -> Signal:
    """Return `x` through a smooth random frequency response of about ±`depth_db`: another microphone, another place."""
    knots_hz = np.array([20.0, 80.0, 250.0, 800.0, 2500.0, 7000.0, 20_000.0])
    gains_db = depth_db * rng.uniform(-1.0, 1.0, len(knots_hz))
    return filtered(x, lambda f: 10.0 ** (np.interp(np.log(np.maximum(f, 20.0)), np.log(knots_hz), gains_db) / 20.0))


_FRAME = 1024
_HOP = 256


def filtered_over_time(x: Signal, gains: Callable[[Signal, Signal], NDArray[np.floating]]) -> Signal:
    """Return `x` through a filter that changes over time.

    `gains` is called with positions (frames × 1, fractions of the length) and frequencies in hertz (1 × bins) and
    returns magnitudes (frames × bins).
    """
    n = len(x)
    window = np.hanning(_FRAME + 1)[:-1]
    padded_x = np.concatenate([np.zeros(_FRAME), x, np.zeros(_FRAME)])
    frames = np.lib.stride_tricks.sliding_window_view(padded_x, _FRAME)[::_HOP] * window
    position = np.clip((np.arange(len(frames)) * _HOP - _FRAME / 2) / max(n, 1), 0.0, 1.0)[:, None]
    frequency_hz = _frequencies_hz(_FRAME)[None, :]
    shaped = np.fft.irfft(np.fft.rfft(frames) * gains(position, frequency_hz), _FRAME) * window
    out = np.zeros(len(padded_x) + _FRAME)
    quarters = _FRAME // _HOP
    for offset in range(quarters):
        block = shaped[offset::quarters].reshape(-1)
        out[offset * _HOP : offset * _HOP + len(block)] += block
    return out[_FRAME : _FRAME + n] / 1.5


def moving_low_pass(x: Signal, cutoff_hz: Signal, steepness: float = 1.0) -> Signal:
    """Return `x` through a low-pass filter whose cutoff is given for every sample; 1 is 12 dB per octave."""
    grid = np.linspace(0.0, 1.0, len(cutoff_hz))
    return filtered_over_time(
        x, lambda position, f: (1.0 + (f / np.interp(position, grid, cutoff_hz)) ** 2) ** -steepness
    )


def moving_band(x: Signal, centre_hz: Signal, q: float) -> Signal:
    """Return `x` through a band-pass filter of quality `q` whose centre is given for every sample."""
    grid = np.linspace(0.0, 1.0, len(centre_hz))

    def gains(position: Signal, frequency_hz: Signal) -> Signal:
        ratio = frequency_hz / np.interp(position, grid, centre_hz)
        return np.asarray((1.0 + (q * (ratio - 1.0 / np.maximum(ratio, 1e-2))) ** 2) ** -0.75)

    return filtered_over_time(x, gains)


# --- Resonating bodies ------------------------------------------------------------------------------------------------


def modes(
    n: int,
    frequencies_hz: Values,
    amplitudes: Values,
    taus_s: Values,
) -> Signal:
    """Return a struck body: a sum of decaying sines."""
    frequency_hz, amplitude, tau_s = np.asarray(frequencies_hz), np.asarray(amplitudes), np.asarray(taus_s)
    heard = frequency_hz < 0.48 * SAMPLE_RATE_HZ
    rates = 2j * np.pi * frequency_hz[heard] - 1.0 / tau_s[heard]
    # exp(r (a + b)) = exp(r a) exp(r b): with the time cut into blocks, all modes are summed by one matrix product.
    block = 256
    starts = np.exp(np.outer(np.arange(-(-n // block)) * block / SAMPLE_RATE_HZ, rates)) * amplitude[heard]
    inside = np.exp(np.outer(rates, time_s(block)))
    total = starts.real @ inside.imag + starts.imag @ inside.real
    return np.asarray(total.reshape(-1)[:n])


def cloud(rng: Generator, n: int, low_hz: float, high_hz: float, count: int) -> Signal:
    """Return a dense inharmonic mixture of `count` steady sines: the spectrum of a metal plate."""
    length = fft_length(max(n, SAMPLE_RATE_HZ * 2))
    spectrum = np.zeros(length // 2 + 1, dtype=np.complex128)
    frequencies_hz = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), count * 2))
    # Plates have about the same number of modes in every hertz; thin out the low ones that a log scale favours.
    keep = rng.random(count * 2) < (frequencies_hz / high_hz) ** 0.5
    bins = np.minimum((frequencies_hz[keep] * length / SAMPLE_RATE_HZ).astype(np.int64), length // 2)
    values = rng.standard_normal(len(bins)) + 1j * rng.standard_normal(len(bins))
    np.add.at(spectrum, bins, values)
    signal = np.fft.irfft(spectrum, length)[:n]
    return signal / max(float(np.std(signal)), 1e-12)


def string(
    rng: Generator, n: int, frequency_hz: float, tau_s: float, brightness: float, stiffness: float, position: float
) -> Signal:
    """Return a plucked or struck string.

    `tau_s` is the decay of the fundamental (higher partials decay sooner), `brightness` 0–1 how slowly the partials
    fall off, `stiffness` stretches them, `position` 0–0.5 is where along the string it is plucked.
    """
    count = int(min(60, 0.4 * SAMPLE_RATE_HZ / frequency_hz, 9000.0 / frequency_hz + 12))
    order = np.arange(1, count + 1)
    frequencies_hz = frequency_hz * order * np.sqrt(1.0 + stiffness * order**2)
    frequencies_hz *= 1.0 + 0.0003 * rng.standard_normal(count)  # No two partials beat alike.
    amplitudes = np.abs(np.sin(np.pi * order * position)) * order ** -(2.2 - 1.8 * brightness)
    amplitudes *= np.exp(0.25 * rng.standard_normal(count))
    taus_s = tau_s / (1.0 + (0.25 - 0.18 * brightness) * (order - 1.0)) * np.exp(0.2 * rng.standard_normal(count))
    return modes(n, frequencies_hz, amplitudes, taus_s)


# --- Voices -----------------------------------------------------------------------------------------------------------


def formant_gains(
    position: Signal,
    frequency_hz: Signal,
    formants_hz: Sequence[Sequence[float]],
    bandwidth: float,
    floor: float,
) -> Signal:
    """Return the response (frames × bins) of a vocal tract; each formant is a list of frequencies over the sound."""
    total = np.full((len(position), frequency_hz.shape[1]), floor)
    for index, path in enumerate(formants_hz):
        centre_hz = np.interp(position[:, 0], np.linspace(0.0, 1.0, len(path)), path)[:, None]
        half_width_hz = bandwidth * (50.0 + 0.05 * centre_hz)
        total += (0.75**index) / np.sqrt(1.0 + ((frequency_hz - centre_hz) / half_width_hz) ** 2)
    return total


def voice(
    rng: Generator,
    pitch_hz: Signal,
    formants_hz: Sequence[Sequence[float]],
    *,
    bandwidth: float = 1.0,
    tilt: float = 1.0,
    breath: float = 0.05,
    rough: float = 0.0,
    floor: float = 0.02,
) -> Signal:
    """Return a voice: a pulse train and breath noise through a vocal tract.

    `pitch_hz` is the pitch at every sample; `tilt` is how fast the source falls with frequency (1 is 6 dB per octave);
    `rough` makes the pulses irregular and doubles their period, as in a growl; `breath` is the share of noise.
    """
    n = len(pitch_hz)
    drift = 1.0 + 0.006 * wander(rng, n, 8.0)
    source = pulses(rng, pitch_hz * drift, jitter=0.004 + 0.1 * rough, shimmer=0.05 + 0.5 * rough)
    if rough > 0.0:
        source += rough * pulses(rng, pitch_hz * drift / 2.0, jitter=0.05)
    # One pulse per period has the power 1/period: scale to unit variance whatever the pitch.
    source *= np.sqrt(SAMPLE_RATE_HZ / np.maximum(pitch_hz, 20.0))
    source += breath * white(rng, n) * (0.6 + 0.4 * sine(pitch_hz, n))

    # Pulses of one sign have a mean, and irregular ones a hum below the pitch; lips and beaks radiate neither.
    lowest_hz = 0.6 * float(np.min(pitch_hz))

    def gains(position: Signal, frequency_hz: Signal) -> Signal:
        source_tilt = (1.0 + (frequency_hz / 400.0) ** 2) ** (-tilt / 2.0)
        radiated = 1.0 - 1.0 / (1.0 + (frequency_hz / lowest_hz) ** 4)
        return formant_gains(position, frequency_hz, formants_hz, bandwidth, floor) * source_tilt * radiated

    return filtered_over_time(source, gains)


# --- Rooms, machines that record, and the last step -------------------------------------------------------------------


def reverberated(rng: Generator, x: Signal, decay_s: float, wet: float, bright_hz: float = 6000.0) -> Signal:
    """Return `x` in a room whose echoes fall by 60 dB in `decay_s`, longer by that tail; `wet` is their level."""
    n = samples(decay_s)
    t = time_s(n)
    # Air and walls swallow high frequencies first: a bright part that dies soon over a dull one that lasts.
    bright = white(rng, n) * np.exp(-6.9 * t / (0.45 * decay_s))
    dull = low_pass(white(rng, n), bright_hz / 4.0, 1) * 2.0 * np.exp(-6.9 * t / decay_s)
    impulse = low_pass(bright, bright_hz, 1) + dull
    early = np.zeros(n)
    early_end = min(n, samples(0.06))
    early[rng.integers(samples(0.002), max(early_end, samples(0.003)), 8).clip(max=n - 1)] = rng.uniform(-1.0, 1.0, 8)
    impulse = impulse / np.sqrt(np.sum(impulse**2)) + 0.3 * early
    length = fft_length(len(x) + n)
    tail = np.fft.irfft(np.fft.rfft(x, length) * np.fft.rfft(impulse, length), length)[: len(x) + n]
    tail *= np.sqrt(np.sum(x**2) / max(float(np.sum(tail**2)), 1e-12))
    return np.concatenate([x, np.zeros(n)]) * (1.0 - 0.5 * wet) + wet * tail


def saturated(x: Signal, drive: float) -> Signal:
    """Return `x` overdriven softly; `drive` 1 is hardly heard, 20 is fuzz."""
    return np.asarray(np.tanh(drive * peak_one(x)) / np.tanh(drive))


def crushed(x: Signal, bits: float, hold: int) -> Signal:
    """Return `x` at a lower resolution, each sample held for `hold`: an early digital sampler."""
    held = np.repeat(peak_one(x)[::hold], hold)[: len(x)]
    steps = 2.0 ** (bits - 1.0)
    return np.asarray(np.round(held * steps) / steps)


def resampled(x: Signal, speed: Signal | float) -> Signal:
    """Return `x` played at `speed` (a number, or a curve as long as `x`): pitch and tempo change together."""
    if isinstance(speed, float | int):
        speed = np.full(int(len(x) / speed), speed)
    positions = np.cumsum(speed)
    positions = positions[positions < len(x) - 1]
    return np.interp(positions, np.arange(len(x)), x)


def to_sound(x: Signal, peak: float) -> Sound:
    """Return `x` as a sound: of a length that is allowed, its end faded, scaled to `peak`."""
    x = x[: samples(MAX_SOUND_S)].copy()
    x = padded(x, MIN_SOUND_S) if len(x) < samples(MIN_SOUND_S) else x
    fade = min(len(x) // 2, samples(0.004))
    x[len(x) - fade :] *= np.linspace(1.0, 0.0, fade)
    return (peak_one(x) * min(peak, 0.999)).astype(np.float32)


def recorded(
    rng: Generator,
    x: Signal,
    *,
    room: float = 0.5,
    room_s: tuple[float, float] = (0.15, 1.2),
    distance: float = 0.3,
    noise: float = 0.4,
) -> Sound:
    """Return `x` as somebody might have recorded it.

    `room`, `distance` and `noise` are probabilities: that it sounds in a room (reverberation time drawn from `room_s`),
    that it is far away (dull), and that there is background noise. A random equaliser stands for the microphone.
    """
    x = peak_one(x)
    if chance(rng, distance):
        x = low_pass(x, between_log(rng, 1500.0, 9000.0), int(rng.integers(1, 3)))
    if chance(rng, room):
        x = reverberated(rng, x, between_log(rng, *room_s), between(rng, 0.1, 0.6), between_log(rng, 2000.0, 9000.0))
    if chance(rng, 0.7):
        x = random_equaliser(rng, x, between(rng, 2.0, 8.0))
    x = peak_one(x)
    if chance(rng, noise):
        level = between_log(rng, 0.0008, 0.02)
        x = x + level * coloured(rng, len(x), between(rng, 0.2, 1.8))
    if chance(rng, 0.15):
        x = bandlimited(x, between_log(rng, 3800.0, 16_000.0))
    if chance(rng, 0.06):
        x = saturated(x, between_log(rng, 1.5, 6.0))
    return to_sound(x, between_log(rng, 0.15, 1.0))

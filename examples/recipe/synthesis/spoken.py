"""Speech, whispering and chatter, spoken by espeak-ng in many voices and languages.

espeak-ng is a program of its own (on Debian: ``apt install espeak-ng``); without it these three synthesisers raise a
`RuntimeError` that says so.
"""

import shutil
import subprocess
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from recipe.synthesis.signals import (
    SAMPLE_RATE_HZ,
    Signal,
    Sound,
    band_pass,
    between,
    between_log,
    chance,
    coloured,
    filtered_over_time,
    high_pass,
    peak_one,
    place,
    recorded,
    resampled,
    samples,
    silence_of,
    wander,
    white,
)

ESPEAK = "espeak-ng"
ESPEAK_RATE_HZ = 22_050
# espeak-ng's WAV header on standard output holds no true length; the samples start right behind it.
WAV_HEADER_BYTES = 44

VARIANTS = ("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+m8", "+f1", "+f2", "+f3", "+f4", "+f5", "+croak")

SENTENCES: dict[str, tuple[str, ...]] = {
    "en-us": (
        "Could you pass me the salt, please?",
        "The train to the coast leaves from platform four at half past nine.",
        "I never said that, and you know it.",
        "First we need two eggs, a pound of flour, and a little milk.",
        "Well, it depends on what you mean by better.",
        "There is a letter for you on the kitchen table.",
        "Nobody expected the river to rise that quickly.",
        "Turn left after the church, then keep going until you see a bridge.",
        "My grandmother used to tell us stories about the war.",
        "Are you coming with us tonight or not?",
        "Yes. No. Maybe. I really don't know.",
        "The museum is closed on Mondays and public holidays.",
        "In the beginning, the village had only three houses and a well.",
        "Please hold the line, somebody will be with you shortly.",
        "That was the best concert I have ever been to!",
        "Wait, wait, let me finish my sentence.",
    ),
    "en-gb": (
        "Good evening, and here is the news at ten o'clock.",
        "It looks like rain, so do take an umbrella.",
        "We shall discuss this matter at the next meeting.",
        "He opened the window and looked out over the roofs.",
        "What a lovely garden you have got here.",
        "Sorry, I was miles away. What did you say?",
        "The second question is rather more difficult than the first.",
        "Mind the step as you come down.",
        "Thirty-seven, forty-two, one hundred and six.",
        "I would much rather walk than wait for another bus.",
    ),
    "de": (
        "Guten Morgen, haben Sie gut geschlafen?",
        "Der Zug nach München hat heute leider zwanzig Minuten Verspätung.",
        "Ich weiß nicht, wo ich den Schlüssel hingelegt habe.",
        "Am Wochenende fahren wir mit den Kindern an den See.",
    ),
    "fr": (
        "Bonjour, je voudrais deux baguettes et un croissant.",
        "Il faisait froid, et la neige tombait sur la ville.",
        "Est-ce que vous pouvez répéter plus lentement, s'il vous plaît?",
        "Nous avons marché toute la journée dans la forêt.",
    ),
    "es": (
        "¿Dónde está la estación de autobuses?",
        "Mi hermano trabaja en una panadería cerca del puerto.",
        "Mañana por la tarde iremos todos a la playa.",
        "No me digas que otra vez llegamos tarde.",
    ),
    "it": (
        "Che bella giornata, andiamo a fare una passeggiata.",
        "Vorrei un caffè e un bicchiere d'acqua, per favore.",
        "La riunione comincia alle tre, non essere in ritardo.",
    ),
    "pt-br": (
        "Você viu o jogo de ontem à noite?",
        "A feira fica no fim da rua, ao lado da igreja.",
        "Hoje vai fazer muito calor na cidade inteira.",
    ),
    "nl": ("Zullen we vanavond samen koken?", "De fiets staat achter het huis, naast de schuur."),
    "pl": ("Dzień dobry, czy mogę w czymś pomóc?", "Wczoraj wieczorem długo padał deszcz."),
    "ru": ("Скажите, пожалуйста, который час?", "Летом мы живём в маленьком доме у реки."),
    "tr": ("Bugün hava çok güzel, dışarı çıkalım.", "Çarşıdan ekmek ve peynir aldım."),
    "sv": ("Ursäkta, var ligger biblioteket?", "Det snöade hela natten och vägen är stängd."),
    "hi": ("आज मौसम बहुत अच्छा है।", "क्या आप मेरी मदद कर सकते हैं?"),
    "cmn": ("今天天气很好，我们去公园吧。", "请问，火车站怎么走？"),
    "ja": ("きょうはとてもさむいですね。", "えきまであるいてごふんです。"),
    "ar": ("صباح الخير، كيف حالك اليوم؟", "ذهبنا إلى السوق واشترينا الفاكهة."),
}


@lru_cache(maxsize=512)
def _spoken(text: str, voice: str, pitch: int, words_per_minute: int) -> Signal:
    """Return `text` as espeak-ng speaks it, at `SAMPLE_RATE_HZ`; raise RuntimeError where it is missing or fails."""
    if shutil.which(ESPEAK) is None:
        raise RuntimeError(
            f"{ESPEAK} not found: speech is synthesised by it; install it (Debian: apt install {ESPEAK})"
        )
    command = [ESPEAK, "--stdout", "-v", voice, "-p", str(pitch), "-s", str(words_per_minute)]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    body = done.stdout[WAV_HEADER_BYTES:]
    if done.returncode != 0 or len(body) < 2:
        raise RuntimeError(
            f"{ESPEAK} could not speak with voice {voice}: {done.stderr.decode(errors='replace').strip()}"
        )
    x = np.frombuffer(body[: len(body) // 2 * 2], dtype="<i2").astype(np.float64)
    length = round(len(x) * SAMPLE_RATE_HZ / ESPEAK_RATE_HZ)
    return np.fft.irfft(np.fft.rfft(x), length) if len(x) else x


def _utterance(rng: Generator, sentences: int) -> Signal:
    """Return a few sentences by one speaker, with a melody and a size of their own."""
    languages = list(SENTENCES)
    weights = np.array([len(SENTENCES[language]) ** 0.7 for language in languages])
    language = languages[int(rng.choice(len(languages), p=weights / weights.sum()))]
    texts = SENTENCES[language]
    # Few distinct settings, so that the cache helps; speed, pitch and size vary freely below.
    voice = language + VARIANTS[int(rng.integers(len(VARIANTS)))]
    pitch, words_per_minute = int(rng.choice([25, 45, 60, 80])), int(rng.choice([130, 160, 190]))
    chosen = " ".join(texts[int(index)] for index in rng.choice(len(texts), min(sentences, len(texts)), replace=False))
    x = peak_one(_spoken(chosen, voice, pitch, words_per_minute))
    # A living voice never keeps a machine's steady pitch and pace.
    speed = between(rng, 0.85, 1.2) * (1.0 + 0.03 * wander(rng, len(x), 1.5) + 0.01 * wander(rng, len(x), 7.0))
    return peak_one(resampled(x, speed))


def _excerpt(rng: Generator, x: Signal, longest_s: float) -> Signal:
    """Return a random stretch of `x`."""
    length = min(len(x), samples(longest_s))
    start = int(rng.integers(0, len(x) - length + 1))
    return x[start : start + length]


def _breathed(rng: Generator, x: Signal, share: float) -> Signal:
    """Return `x` with its voice replaced, to `share`, by breath through the same moving mouth."""
    return (1.0 - share) * x + share * peak_one(_whispered(rng, x))


def _whispered(rng: Generator, x: Signal) -> Signal:
    """Return noise shaped like the smoothed spectrum of `x` over time."""
    frame, hop, bins = 1024, 256, 513
    padded = np.concatenate([np.zeros(frame), x, np.zeros(frame)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop] * np.hanning(frame)
    power = np.abs(np.fft.rfft(frames)) ** 2
    # Smooth over some 400 Hz: the mouth stays, the pitch goes.
    kernel = np.hanning(11)[1:-1]
    kernel /= kernel.sum()
    smooth = np.apply_along_axis(lambda row: np.convolve(row, kernel, mode="same"), 1, power) ** 0.5
    # A whisper has hardly any of the voice's low end.
    frequency_hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2.0, bins)
    smooth *= np.clip(frequency_hz / 900.0, 0.0, 1.0) ** 0.7 * (1.0 + frequency_hz / 2500.0)

    def gains(position: Signal, _: Signal) -> Signal:
        rows = np.clip((position[:, 0] * len(x) / hop + 2.0).astype(np.int64), 0, len(smooth) - 1)
        return smooth[rows]

    return filtered_over_time(white(rng, len(x)), gains)


def speech(rng: Generator) -> Sound:
    """Return one person talking, in any of sixteen languages, close, in a room, on the telephone or radio."""
    x = _excerpt(rng, _utterance(rng, int(rng.integers(1, 4))), between(rng, 1.2, 6.5))
    x = _breathed(rng, x, between(rng, 0.0, 0.3))
    if chance(rng, 0.15):
        x = band_pass(x, 300.0, 3300.0, 3)
    return recorded(rng, x, room=0.7, room_s=(0.15, 1.2), distance=0.15, noise=0.6)


def whisper(rng: Generator) -> Sound:
    """Return one person whispering."""
    x = _excerpt(rng, _utterance(rng, int(rng.integers(1, 3))), between(rng, 1.2, 5.0))
    x = peak_one(_whispered(rng, x))
    x = high_pass(x, between_log(rng, 120.0, 500.0), 1)
    return recorded(rng, x, room=0.4, room_s=(0.1, 0.6), distance=0.05, noise=0.6)


def crowd_chatter(rng: Generator) -> Sound:
    """Return many people talking at once: a café, a foyer, a street, a hall."""
    timeline = silence_of(between(rng, 3.5, 7.0))
    duration_s = len(timeline) / SAMPLE_RATE_HZ
    voices = [_utterance(rng, 2) for _ in range(int(rng.integers(4, 8)))]
    for _ in range(int(between_log(rng, 8.0, 50.0))):
        talker = resampled(voices[int(rng.integers(len(voices)))], between(rng, 0.88, 1.15))
        talker = np.roll(talker, int(rng.integers(len(talker))))
        level = float(np.exp(0.6 * rng.standard_normal()))
        place(timeline, talker, 0.0 if chance(rng, 0.5) else between(rng, 0.0, duration_s * 0.7), level)
        place(timeline, talker, len(talker) / SAMPLE_RATE_HZ, level)
    murmur = band_pass(coloured(rng, len(timeline), 1.0), 150.0, 2500.0, 1)
    x = timeline / float(np.std(timeline)) + between(rng, 0.05, 0.5) * murmur / float(np.std(murmur))
    return recorded(rng, x, room=0.95, room_s=(0.4, 2.2), distance=0.4, noise=0.2)

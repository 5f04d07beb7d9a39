"""Captions for sounds: a small grammar over the word lists in `vocabulary/`.

The text tower of the built-in checkpoint learns what words mean from these captions alone, so they cover
plain prompts ("a dog barking"), whole sentences, trade names, onomatopoeia, file names and foreign words.
Every draw takes its randomness from the generator it is given.

One TOML table per concept; every field but the first two is optional:

    plain       the everyday prompt, used as is
    name        a short name for people to read
    things      countable nouns that make the sound ("dog"); "ox|oxen" states a plural, "r2-d2|" a name
    stuff       uncountable nouns ("rainfall")
    verbs       what the things and the stuff do, as infinitives ("bark at the mailman")
    agents      countable nouns that say nothing alone ("man"), always combined with `acts`
    acts        what the agents do, as infinitives ("sneeze into a tissue")
    events      countable names of the sound itself ("yelp")
    adjectives  for things, stuff and events
    places      where or in which circumstances the sound is heard ("in the yard")
    phrases     fixed wording: tags, onomatopoeia, foreign words, titles
    sentences   one per line, used as they stand

Lists are separated by commas and begin with the everyday words, which are drawn more often.
`vocabulary/unrelated.toml` holds tables of the same form about anything else.
"""

from __future__ import annotations

import random
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from recipe.held_out import is_held_out

_VOCABULARY = Path(__file__).parent / "vocabulary"
_FAMILIES = (
    "animals", "nature", "people", "machines", "signals", "impacts", "noises", "drums", "instruments",
)  # fmt: skip
_UNRELATED = "unrelated"

_CONSONANTS = (
    "b", "br", "d", "f", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pl", "r", "s", "st", "t",
    "v", "w", "z",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ou")

_IRREGULAR_PAST = {
    "beat": "beat", "bend": "bent", "bite": "bit", "blow": "blew", "break": "broke", "bring": "brought",
    "build": "built", "burst": "burst", "buy": "bought", "cast": "cast", "catch": "caught", "come": "came",
    "cost": "cost", "cut": "cut", "dig": "dug", "do": "did", "drink": "drank", "drive": "drove",
    "eat": "ate", "fall": "fell", "feed": "fed", "feel": "felt", "fight": "fought", "find": "found",
    "fly": "flew", "forget": "forgot", "get": "got", "give": "gave", "go": "went", "grind": "ground",
    "grow": "grew", "hang": "hung", "have": "had", "hear": "heard", "hit": "hit", "hold": "held",
    "keep": "kept", "lay": "laid", "lead": "led", "leave": "left", "let": "let", "lie": "lay",
    "light": "lit", "lose": "lost", "make": "made", "mean": "meant", "overblow": "overblew", "overtake": "overtook",
    "pay": "paid", "put": "put", "read": "read", "rewind": "rewound", "ride": "rode", "ring": "rang",
    "rise": "rose", "run": "ran", "say": "said", "send": "sent", "set": "set", "shake": "shook",
    "shoot": "shot", "shut": "shut", "sing": "sang", "sit": "sat", "sleep": "slept",
    "slide": "slid", "speak": "spoke", "speed": "sped", "spin": "spun", "spit": "spat", "spread": "spread",
    "spring": "sprang", "stand": "stood", "stick": "stuck", "sting": "stung", "strike": "struck",
    "sweep": "swept", "swing": "swung", "take": "took",
    "tear": "tore", "tell": "told", "throw": "threw", "wake": "woke", "weep": "wept", "win": "won",
    "wind": "wound", "write": "wrote",
}  # fmt: skip
_IRREGULAR_PLURAL = {
    "foot": "feet", "tooth": "teeth", "mouse": "mice", "goose": "geese", "child": "children",
    "person": "people", "corps": "corps",
}  # fmt: skip
# Verbs whose last consonant doubles: short words such as "chop", and a few long ones.
_DOUBLED = re.compile(
    r"[^aeiou]*(?:qu)?[aeiou][bdgklmnprtvz]"
    r"|(?:forge|transmi)t|un(?:wra|zi)p|patrol|signal|rappel|level|snivel|travel|total|program|dial"
)
# Words whose first letter and first sound disagree: "a uh-1", "an r44".
_TAKES_A = re.compile(r"uni|us[ae]|eu|ukulele|one\b|u[bfh]\b|uf|uber|u-")
_TAKES_AN = re.compile(r"[aeiouäöéí]|hour|heir|8|11\b|18\b|[fhlmnrsx][bcdfghjklmnpqrstvwx]?-?\d|(x|f|s|mg)-|suv|lp\b")

_SOUND_ADJECTIVES = (
    "loud", "quiet", "distant", "faint", "sudden", "noisy", "muffled", "far-off", "recorded", "audible",
)  # fmt: skip
_CIRCUMSTANCES = (
    "in the distance", "close up", "nearby", "outside", "inside", "far away", "softly", "loudly",
    "again and again", "at night", "for a while", "in a room", "next door", "all the time", "in stereo",
    "from afar", "with reverb", "very loud", "just once", "for several seconds", "behind me", "in a movie",
    "in the evening", "today", "right now", "somewhere",
)  # fmt: skip
_SINGULAR = ("a",) * 10 + ("the",) * 4 + ("",) * 4 + ("one", "my", "our", "this", "another", "your", "that")
_PLURAL = ("",) * 8 + ("the",) * 3 + ("some", "two", "three", "several", "many", "a few", "these", "a lot of")
_UNCOUNTABLE = ("",) * 8 + ("the", "some", "the")
# Round a fragment with its article.
_AROUND_PHRASE = (
    "the sound of {}", "sound of {}", "sounds of {}", "a recording of {}", "recording of {}",
    "the noise of {}", "noise of {}", "audio of {}", "a clip of {}", "i hear {}", "i can hear {}",
    "you can hear {}", "we hear {}", "listen to {}", "this is {}", "that's {}", "it is {}", "find {}",
    "find me {}", "search for {}", "show me {}", "play {}", "i need {}", "i want {}", "i'm looking for {}",
    "looking for {}", "do you have {}", "is there {}", "can you find {}", "give me {}", "a scene with {}",
    "{} in the background", "in the background {}", "only {}", "just {}", "nothing but {}", "mostly {}",
    "field recording of {}", "an audio file with {}", "what does {} sound like", "sfx of {}",
    "someone recorded {}", "the audio contains {}", "audio with {}", "a sample of {}", "{} please",
    "sound effect of {}", "sound clip of {}", "it sounds like {}", "sounds like {}", "is that {}",
    "could that be {}", "did you hear {}", "effect: {}", "{} on tape", "{} recorded with a microphone",
    "an example of {}", "the typical sound of {}", "a short clip with {}", "you hear {}",
)  # fmt: skip
# Round a fragment without article.
_AROUND_TAG = (
    "{} sound", "{} sounds", "{} noise", "{} sound effect", "{} sound effects", "{} sfx", "sfx {}",
    "{} audio", "{} recording", "{} sample", "{} clip", "{} foley", "foley {}", "{} loop", "{} fx",
    "{} audio clip", "{} mp3", "{} wav", "free {} sound", "{} one shot", "royalty free {}", "{} noises",
    "{} sound download", "hq {}", "tag: {}", "category {}", "{} close mic", "{} stereo", "{} 48 khz",
    "{} field recording", "short {} sound", "sound fx {}", "{} library",
)  # fmt: skip
# Round a clause with a finite verb.
_AROUND_CLAUSE = (
    "a scene where {}", "the sound when {}", "what you hear when {}", "i think {}", "the moment when {}",
    "it sounds as if {}", "you can hear that {}", "somewhere {}", "a film in which {}", "suddenly {}",
    "and then {}", "it's the sound you hear when {}", "meanwhile {}", "once more {}", "apparently {}",
    "a recording in which {}", "listen, {}", "look, {}", "oh no, {}", "finally {}",
)  # fmt: skip
# Round a whole sentence.
_AROUND_SENTENCE = (
    "scene: {}", "{}, that kind of sound", "sound for a scene: {}", "you know, {}", "well, {}",
    "what does it sound like: {}", "mood: {}", "so {}", "{} (sound)", "sfx for this line: {}",
    "{}, they say", "and {}", "oh, {}", "{}, right",
)  # fmt: skip
_JOINTS = (
    "{} and {}", "{} and {}", "{} with {}", "{}, {}", "{} plus {}", "{} mixed with {}", "{} + {}",
    "{} & {}", "{} over {}", "{} and then {}", "{}, then {}", "{} followed by {}", "first {} then {}",
    "first {}, after that {}", "{} with {} in the background", "{}, in the background {}",
    "{} together with {}", "both {} and {}", "{} as well as {}", "{} and also {}", "{}, later {}",
    "{} before {}", "{} layered with {}", "{} in front of {}", "{} combined with {}", "a mix of {} and {}",
    "{} accompanied by {}",
)  # fmt: skip
# Words that say nothing of a sound.
_SMALL_WORDS = frozenset((
    "about", "after", "again", "all", "an", "and", "are", "as", "at", "away", "be", "been", "before", "behind",
    "by", "do", "does", "for", "from", "get", "gets", "getting", "go", "goes", "going", "had", "has", "have", "he",
    "her", "his", "how", "if", "in", "into", "is", "it", "its", "just", "like", "me", "more", "my", "near", "new",
    "no", "not", "of", "off", "on", "one", "or", "our", "out", "over", "own", "she", "so", "some", "still", "that",
    "the", "their", "them", "then", "there", "these", "they", "this", "those", "through", "to", "too", "two",
    "under", "up", "us", "very", "was", "we", "were", "what", "when", "where", "which", "while", "who", "will",
    "with", "without", "won't", "you", "your",
))  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_FUNCTION_WORDS = frozenset(("a", "an", "the", "is", "are", "of", "some", "my", "our", "this", "that"))

_Item = TypeVar("_Item")
Noun = tuple[str, str]  # singular, plural; names have no plural
Verb = tuple[str, str, str, str]  # infinitive, third person, present participle, past


@dataclass(frozen=True)
class _Words:
    """The word lists of one concept, with all word forms worked out."""

    plain: str
    name: str
    things: tuple[Noun, ...] = ()
    stuff: tuple[str, ...] = ()
    verbs: tuple[Verb, ...] = ()
    agents: tuple[Noun, ...] = ()
    acts: tuple[Verb, ...] = ()
    events: tuple[Noun, ...] = ()
    adjectives: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()


# --- word forms


def _plural(noun: str) -> str:
    """The plural of a noun phrase; its head is the last word, or the last before "of"."""
    head, of, rest = noun.partition(" of ")
    stem, last = head[: -len(head.split(" ")[-1])], head.split(" ")[-1]
    if last in _IRREGULAR_PLURAL:
        last = _IRREGULAR_PLURAL[last]
    elif last.endswith(("man", "wife", "knife", "leaf", "wolf", "thief", "calf")) and last != "human":
        last = last[:-2] + "en" if last.endswith("man") else re.sub("fe?$", "ves", last)
    elif re.search(r"([sxz]|ch|sh)$", last):
        last += "es"
    elif re.search(r"[^aeiou]y$", last) and not last.endswith(("-by", "flyby")):
        last = last[:-1] + "ies"
    else:
        last += "s"
    return stem + last + of + rest


def _noun(text: str) -> Noun:
    singular, bar, plural = text.partition("|")
    return singular, plural if bar else _plural(singular)


def _verb_word(word: str) -> Verb:
    """The forms of one verb; of "tick-tock" only the last part changes."""
    stem, hyphen, last = word.rpartition("-")
    stem += hyphen
    doubled = last + last[-1] if _DOUBLED.fullmatch(last) else last
    if last.endswith("ie"):
        participle = last[:-2] + "ying"
    elif last.endswith("e") and not last.endswith(("ee", "oe", "ye")):
        participle = last[:-1] + "ing"
    else:
        participle = doubled + "ing"
    if last == "have":
        third = "has"
    elif re.search(r"([sxzo]|ch|sh)$", last) and not last.endswith("oo"):
        third = (doubled if last.endswith("z") else last) + "es"
    elif re.search(r"[^aeiou]y$", last):
        third = last[:-1] + "ies"
    else:
        third = last + "s"
    if last in _IRREGULAR_PAST:
        past = _IRREGULAR_PAST[last]
    elif last.endswith("e"):
        past = last + "d"
    elif re.search(r"[^aeiou]y$", last):
        past = last[:-1] + "ied"
    else:
        past = doubled + "ed"
    return word, stem + third, stem + participle, stem + past


def _verb(text: str, heads: frozenset[str]) -> Verb:
    """The forms of a verb phrase; a verb after "and" (if it is among `heads`) changes along."""
    words = text.split(" ")
    forms: list[list[str]] = [[], [], [], []]
    for index, word in enumerate(words):
        inflected = index == 0 or (words[index - 1] == "and" and word in heads)
        for form, shape in zip(forms, _verb_word(word) if inflected else (word,) * 4, strict=True):
            form.append(shape)
    infinitive, third, participle, past = (" ".join(form) for form in forms)
    return infinitive, third, participle, past


def _with_article(article: str, text: str) -> str:
    if not article:
        return text
    if article == "a":
        article = "an" if _TAKES_AN.match(text) and not _TAKES_A.match(text) else "a"
    return f"{article} {text}"


# --- vocabulary


def _split(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.split(",") if item.strip()]


def _load(families: Iterable[str]) -> dict[str, _Words]:
    tables: dict[str, dict[str, Any]] = {}
    for family in families:
        tables |= tomllib.loads((_VOCABULARY / f"{family}.toml").read_text(encoding="utf-8"))
    phrases = (table.get(key, "") for table in tables.values() for key in ("verbs", "acts"))
    heads = frozenset(item.split(" ")[0] for phrase in phrases for item in _split(phrase))
    return {name: _words(table, heads) for name, table in tables.items()}


def _words(table: dict[str, str], heads: frozenset[str]) -> _Words:
    def nouns(key: str) -> tuple[Noun, ...]:
        return tuple(_noun(item) for item in _split(table.get(key, "")))

    def verbs(key: str) -> tuple[Verb, ...]:
        return tuple(_verb(item, heads) for item in _split(table.get(key, "")))

    def plain(key: str) -> tuple[str, ...]:
        return tuple(_split(table.get(key, "")))

    return _Words(
        plain=table.get("plain", ""),
        name=table.get("name", ""),
        things=nouns("things"),
        stuff=plain("stuff"),
        verbs=verbs("verbs"),
        agents=nouns("agents"),
        acts=verbs("acts"),
        events=nouns("events"),
        adjectives=plain("adjectives"),
        places=plain("places"),
        phrases=plain("phrases"),
        sentences=tuple(line.strip() for line in table.get("sentences", "").splitlines() if line.strip()),
    )


_CONCEPT_WORDS = _load(_FAMILIES)

CONCEPTS: tuple[str, ...] = tuple(_CONCEPT_WORDS)
"""All concepts, family by family."""
DRUMS: tuple[str, ...] = tuple(_load(("drums",)))
"""Those of the family of drums."""


def _part(words: _Words, held_out: bool) -> _Words:
    """One side of the split: every fifth noun, phrase and sentence is kept for the evaluation."""

    def take(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
        return tuple(item for index, item in enumerate(items) if (index % 5 == 4) == held_out)

    return _Words(
        plain="",
        name="",
        things=take(words.things),
        stuff=take(words.stuff),
        verbs=words.verbs,
        agents=take(words.agents),
        acts=take(words.acts),
        events=take(words.events),
        adjectives=words.adjectives,
        places=words.places,
        phrases=take(words.phrases),
        sentences=take(words.sentences),
    )


_UNRELATED_WORDS = tuple(_load((_UNRELATED,)).values())
_UNRELATED_TRAIN = tuple(_part(words, held_out=False) for words in _UNRELATED_WORDS)
_UNRELATED_HELD_OUT = tuple(_part(words, held_out=True) for words in _UNRELATED_WORDS)


# --- fragments: lower case, no punctuation at the end


def _pick(items: Sequence[_Item], rng: random.Random) -> _Item:
    """One of the items, the first ones more often: the lists begin with the everyday words."""
    return items[int(len(items) * rng.random() ** 2)]


def _adjective(words: _Words, noun: str, rng: random.Random) -> str:
    """An adjective with a space behind it, or nothing."""
    if rng.random() < 0.6:
        return ""
    source = words.adjectives if words.adjectives and rng.random() < 0.75 else _SOUND_ADJECTIVES
    adjective = rng.choice(source)
    return "" if adjective in noun else adjective + " "


def _noun_phrase(words: _Words | None, nouns: Sequence[Noun], rng: random.Random) -> tuple[str, bool]:
    """A noun phrase, with an adjective out of `words` now and then, and whether it is plural."""
    noun = _pick(nouns, rng)
    if not noun[1]:
        return noun[0], False
    plural = rng.random() < 0.22
    text = (_adjective(words, noun[0], rng) if words else "") + noun[plural]
    return _with_article(rng.choice(_PLURAL if plural else _SINGULAR), text), plural


def _number(noun: Noun, rng: random.Random) -> str:
    return noun[1] if noun[1] and rng.random() < 0.22 else noun[0]


def _stuff_phrase(words: _Words, rng: random.Random) -> tuple[str, bool]:
    stuff = _pick(words.stuff, rng)
    plural = bool(re.search(r"[^s]s( of .*)?$", stuff))
    if stuff.startswith(("the ", "a ")) or "'s " in stuff:
        return stuff, plural
    return _with_article(rng.choice(_UNCOUNTABLE), _adjective(words, stuff, rng) + stuff), plural


def _subject(words: _Words, rng: random.Random) -> tuple[str, bool]:
    many = len(words.things) + 2 * len(words.stuff)
    if rng.random() * many < len(words.things):
        return _noun_phrase(words, words.things, rng)
    return _stuff_phrase(words, rng)


def _agreeing(verb: str, plural: bool) -> str:
    return verb.replace(" its ", " their ").replace(" itself ", " themselves ") if plural else verb


def _participle_clause(subject: tuple[str, bool], verb: Verb, rng: random.Random) -> str:
    """Such as "a dog barking at the mailman" and "a dog that barks at the mailman"."""
    text, plural = subject
    if rng.random() < 0.06:
        return f"{text} that {_agreeing(verb[0] if plural else verb[1], plural)}"
    return f"{text} {_agreeing(verb[2], plural)}"


def _finite_clause(subject: tuple[str, bool], verb: Verb, rng: random.Random) -> str:
    """Such as "the dog barks" and "two dogs were barking"."""
    text, plural = subject
    infinitive, third, participle, past = (_agreeing(form, plural) for form in verb)
    draw = rng.random()
    if draw < 0.34:
        return f"{text} {'are' if plural else 'is'} {participle}"
    if draw < 0.62:
        return f"{text} {infinitive if plural else third}"
    if draw < 0.78:
        return f"{text} {past}"
    if draw < 0.84:
        return f"{text} {'were' if plural else 'was'} {participle}"
    if draw < 0.89:
        return f"{text} {'keep' if plural else 'keeps'} {participle}"
    if draw < 0.92:
        return f"{text} {'start' if plural else 'starts'} to {infinitive}"
    if draw < 0.95:
        return f"{text} {'have' if plural else 'has'} been {participle} for a while"
    if draw < 0.97:
        return f"{text} won't stop {participle}"
    return f"{text} began to {infinitive}"


def _doing(words: _Words, rng: random.Random) -> tuple[tuple[str, bool], Verb] | None:
    """Somebody or something, and what it does."""
    things = len(words.things) + len(words.stuff) if words.verbs else 0
    agents = min(len(words.agents), 25) if words.acts else 0
    if not things + agents:
        return None
    if rng.random() * (min(things, 50) + agents) < agents:
        return _noun_phrase(None, words.agents, rng), _pick(words.acts, rng)
    return _subject(words, rng), _pick(words.verbs, rng)


def _place(words: _Words, rng: random.Random) -> str:
    """A place with a space before it, or nothing."""
    draw = rng.random()
    if draw < 0.35 and words.places:
        return " " + rng.choice(words.places)
    return " " + rng.choice(_CIRCUMSTANCES) if draw > 0.9 else ""


def _tag(words: _Words, rng: random.Random) -> str:
    """Words without article, such as "beagle yelp", "barking dog" and "sirens"."""
    draw = rng.random()
    if words.events and draw < 0.25:
        noun = _number(_pick(words.events, rng), rng)
        return _adjective(words, noun, rng) + noun
    if words.things and draw < 0.6:
        noun = _number(_pick(words.things, rng), rng)
        if draw < 0.45 or not words.verbs:
            return _adjective(words, noun, rng) + noun
        verb = _pick(words.verbs, rng)
        return f"{verb[2]} {noun}" if " " not in verb[2] and draw < 0.5 else f"{noun} {verb[2]}"
    if words.stuff and draw < 0.75:
        stuff = _pick(words.stuff, rng).removeprefix("the ")
        return _adjective(words, stuff, rng) + stuff
    if words.phrases:
        return _pick(words.phrases, rng)
    return words.plain


def _phrase(words: _Words, rng: random.Random) -> str:
    """A fragment that can stand where a noun can, such as "a dog barking in the yard"."""
    draw = rng.random()
    if draw < 0.5 and (doing := _doing(words, rng)):
        return _participle_clause(*doing, rng) + _place(words, rng)
    if draw < 0.7 and words.events:
        return _noun_phrase(words, words.events, rng)[0] + _place(words, rng)
    if draw < 0.9 and (words.things or words.stuff):
        return _subject(words, rng)[0] + _place(words, rng)
    return _pick(words.phrases, rng) if words.phrases else _tag(words, rng)


def _clause(words: _Words, rng: random.Random) -> str | None:
    doing = _doing(words, rng)
    return _finite_clause(*doing, rng) + _place(words, rng) if doing else None


def _caption(words: _Words, rng: random.Random) -> str:
    if words.plain and rng.random() < 0.03:
        return words.plain if rng.random() < 0.75 else words.name
    # Short lists are drawn from less often, so that nothing in them is learnt by heart.
    draw = rng.random()
    if draw < (part := min(0.30, 0.0010 * len(words.phrases))):
        phrase = _pick(words.phrases, rng)
        return rng.choice(_AROUND_TAG).format(phrase) if draw < 0.15 * part else phrase
    draw = rng.random()
    if draw < (part := min(0.24, 0.005 * len(words.sentences))):
        sentence = rng.choice(words.sentences)
        return rng.choice(_AROUND_SENTENCE).format(sentence) if draw < 0.2 * part else sentence
    draw = rng.random()
    if draw < 0.2 and (clause := _clause(words, rng)):
        return rng.choice(_AROUND_CLAUSE).format(clause) if draw < 0.06 else clause
    if draw < 0.5:
        tag = _tag(words, rng)
        return rng.choice(_AROUND_TAG).format(tag) if draw < 0.28 else tag
    phrase = _phrase(words, rng)
    return rng.choice(_AROUND_PHRASE).format(phrase) if draw < 0.68 else phrase


# --- how people write


def _as_written(text: str, rng: random.Random) -> str:
    """Casing, punctuation, telegram style, file names and the odd typing mistake."""
    if not text.isascii() and rng.random() < 0.5:
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode() or text
    draw = rng.random()
    if draw < 0.05:
        return _as_file_name(text, rng)
    if draw < 0.1:
        text = " ".join(word for word in text.split(" ") if word not in _FUNCTION_WORDS) or text
    elif draw < 0.13:
        text = _with_mistake(text, rng)
    draw = rng.random()
    if draw < 0.12:
        text = text[0].upper() + text[1:]
    elif draw < 0.14:
        text = text.title()
    elif draw < 0.16:
        text = text.upper()
    draw = rng.random()
    if draw < 0.08:
        text += "."
    elif draw < 0.1:
        text += rng.choice("!?")
    return text


def _as_file_name(text: str, rng: random.Random) -> str:
    words = [word for word in re.findall(r"[\w']+", text) if word not in _FUNCTION_WORDS] or [text]
    draw = rng.random()
    if draw < 0.5:
        words.append(f"{rng.randrange(1, 30):02d}" if draw < 0.4 else str(rng.randrange(1, 400)))
    return rng.choice("__- ").join(words) + (rng.choice((".wav", ".mp3", ".flac")) if draw > 0.8 else "")


def _with_mistake(text: str, rng: random.Random) -> str:
    """Two letters swapped, one lost or one doubled, inside a word long enough to be recognised still."""
    words = text.split(" ")
    index = rng.randrange(len(words))
    word = words[index]
    if len(word) >= 5 and word.isalpha():
        at = rng.randrange(1, len(word) - 2)
        middle = rng.choice((word[at + 1] + word[at], word[at], word[at] + word[at] + word[at + 1]))
        words[index] = word[:at] + middle + word[at + 2 :]
    return " ".join(words)


def _allowed(draw: Callable[[], str], rng: random.Random) -> str:
    """What `draw` returns, as somebody would write it; drawn anew while it holds held-out wording."""
    while True:
        text = draw()
        if is_held_out(text):
            continue
        written = _as_written(text, rng)
        if written == text or not is_held_out(written):
            return written


# --- public


def plain_prompt(concept: str) -> str:
    """The everyday prompt for a concept."""
    return _CONCEPT_WORDS[concept].plain


def describe(concept: str) -> str:
    """A short name of a concept, for people."""
    return _CONCEPT_WORDS[concept].name


def caption(concept: str, rng: random.Random) -> str:
    """One random caption of a recording of `concept`."""
    words = _CONCEPT_WORDS[concept]
    return _allowed(lambda: _caption(words, rng), rng)


def word(concept: str, rng: random.Random) -> str:
    """A noun for `concept` and nothing else, any of them as likely as the everyday ones."""
    words = _CONCEPT_WORDS[concept]
    nouns = (*words.things, *((stuff, "") for stuff in words.stuff), *words.events)
    return _allowed(lambda: _number(rng.choice(nouns), rng), rng) if nouns else caption(concept, rng)


def vocabulary() -> list[str]:
    """All words that captions of sounds may hold, in lower case, in order; without those that say nothing alone."""
    texts: list[str] = []
    for words in _CONCEPT_WORDS.values():
        texts += [words.plain, words.name, *words.stuff, *words.adjectives, *words.places, *words.phrases]
        texts += words.sentences
        for forms in (*words.things, *words.agents, *words.events, *words.verbs, *words.acts):
            texts += forms
    found = {
        word
        for text in texts
        if not is_held_out(text)
        for word in _WORD.findall(unicodedata.normalize("NFKC", text.lower()))
    }
    plain = {unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode() for word in found}
    return sorted(word for word in found | plain if len(word) > 1 and word not in _FUNCTION_WORDS | _SMALL_WORDS)


def mixture_caption(concepts: Sequence[str], rng: random.Random) -> str:
    """One random caption of a recording that holds all `concepts`, mentioned in the given order."""
    if len(concepts) == 1:
        return caption(concepts[0], rng)

    words = tuple(_CONCEPT_WORDS[concept] for concept in concepts)
    return _allowed(lambda: _mixture(words, rng), rng)


def _mixture(concepts: Sequence[_Words], rng: random.Random) -> str:
    parts = [_mixture_part(words, rng) for words in concepts]
    if len(parts) == 2 and rng.random() < 0.12 and (clause := _clause(concepts[1], rng)):
        return f"{parts[0]} while {clause}"
    while len(parts) > 2:
        parts[:2] = [rng.choice(("{}, {}", "{} and {}", "{} with {}", "{} {}")).format(*parts[:2])]
    text = rng.choice(_JOINTS).format(*parts)
    return rng.choice(_AROUND_PHRASE).format(text) if rng.random() < 0.2 else text


def _mixture_part(words: _Words, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.15:
        return words.plain
    if draw < 0.3:
        return _tag(words, rng)
    if draw < 0.45 and words.phrases:
        return _pick(words.phrases, rng)
    return _phrase(words, rng)


def unrelated_caption(rng: random.Random, held_out: bool = False) -> str:
    """One random caption of something that is none of the concepts.

    With `held_out`, the nouns, phrases and sentences are others than those drawn without it.
    """
    tables = _UNRELATED_HELD_OUT if held_out else _UNRELATED_TRAIN

    def draw() -> str:
        if rng.random() < 0.06:
            return _gibberish(rng)
        return _caption(rng.choice(tables), rng)

    return _allowed(draw, rng)


def _gibberish(rng: random.Random) -> str:
    def word() -> str:
        syllables = (rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randrange(2, 4)))
        return "".join(syllables) + rng.choice(("", "n", "x", "rt"))

    return " ".join(word() for _ in range(rng.randrange(1, 4)))

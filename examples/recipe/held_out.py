"""Wording that training never sees, so that a score on it says something about new queries.

`PLAIN` holds the ten plain prompts (training may use them); `HELD_OUT` maps each of the ten recorded concepts to
paraphrases and to queries with unusual words; `UNTAUGHT` asks for sounds that no concept covers. The caption grammar
asks `is_held_out` and draws again.
"""

import re

PLAIN: dict[str, str] = {
    "dog_bark": "a dog barking",
    "rain": "rain",
    "sea_waves": "sea waves",
    "baby_cry": "a baby crying",
    "clock_tick": "a clock ticking",
    "sneeze": "a person sneezing",
    "helicopter": "a helicopter",
    "chainsaw": "a chainsaw",
    "rooster": "a rooster crowing",
    "fire_crackling": "crackling fire",
}

PARAPHRASES: dict[str, list[str]] = {
    "dog_bark": ["a puppy yapping at the door", "angry hound woofing", "canine barking in the yard"],
    "rain": ["raindrops falling on the roof", "heavy downpour", "wet weather drizzle outside"],
    "sea_waves": ["ocean surf on the beach", "waves crashing on the shore", "water lapping at the coast"],
    "baby_cry": ["an infant wailing", "a newborn screaming for milk", "upset toddler sobbing"],
    "clock_tick": ["a ticking wall clock", "watch tick tock", "second hand of an old timepiece"],
    "sneeze": ["achoo, somebody sneezes", "a man sneezing loudly", "person with a cold and a sneezing fit"],
    "helicopter": ["chopper flying overhead", "rotor blades whirring", "a military helicopter passing by"],
    "chainsaw": ["a power saw cutting wood", "lumberjack sawing a tree", "petrol chain saw engine revving"],
    "rooster": ["cock-a-doodle-doo", "a cockerel crowing at dawn", "farm bird call in the morning"],
    "fire_crackling": ["a campfire burning", "wood popping in the fireplace", "flames and embers crackling"],
}

UNUSUAL: dict[str, list[str]] = {
    "dog_bark": [
        "beagle baying at a squirrel",
        "retriever making noise for attention",
        "noisy dog next door",
    ],
    "rain": ["monsoon", "thunderstorm with rain water in the gutter", "umbrella weather"],
    "sea_waves": ["pacific shoreline", "foam on a tropical island", "swimming at the seaside"],
    "baby_cry": ["colicky baby", "daughter crying for her bottle", "nursing a fussy kid"],
    "clock_tick": ["cuckoo clock", "countdown timer ticking", "metronomic tick of a chronometer"],
    "sneeze": ["sneezed", "allergic reaction to pollen", "influenza patient sneezing"],
    "helicopter": ["medevac", "apache gunship", "news helicopter circling downtown"],
    "chainsaw": ["stihl", "arborist pruning branches with a saw", "deforestation"],
    "rooster": ["poultry farm at daybreak", "leghorn rooster", "crowing chanticleer"],
    "fire_crackling": ["bonfire night", "marshmallows roasting over flames", "burning firewood"],
}

UNTAUGHT: list[str] = [
    "elephant trumpeting",
    "a lawn sprinkler",
    "popcorn popping in a pan",
    "bowling pins being knocked over",
    "a didgeridoo player",
    "ice skating on a rink",
    "tearing velcro open",
    "an accordion waltz",
    "a basketball bouncing in a gym",
    "a sewing machine",
]
"""Sounds that no concept covers: a prompt for one should find nothing."""

HELD_OUT: dict[str, list[str]] = {concept: PARAPHRASES[concept] + UNUSUAL[concept] for concept in PLAIN}


def _words(text: str) -> str:
    """Lower-case words with single spaces around each, so that a search for a phrase finds whole words only."""
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "


_PHRASES = tuple(_words(phrase) for phrases in (*HELD_OUT.values(), UNTAUGHT) for phrase in phrases)


def is_held_out(caption: str) -> bool:
    """True if the caption contains a held-out phrase as whole words, whatever its case and punctuation."""
    words = _words(caption)
    return any(phrase in words for phrase in _PHRASES)

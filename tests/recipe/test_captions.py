"""The caption grammar: breadth, determinism, what must and what must never be said."""

import random
import re
from itertools import combinations
from pathlib import Path

import pytest
from recipe import captions
from recipe.captions import (
    CONCEPTS,
    caption,
    describe,
    mixture_caption,
    plain_prompt,
    unrelated_caption,
)
from recipe.concepts_file import write_words
from recipe.held_out import HELD_OUT, is_held_out

BUILTIN = Path(__file__).parents[2] / "pe_search" / "pe_audio" / "builtin"
CORE = (
    "dog_bark", "rooster", "rain", "sea_waves", "fire_crackling", "baby_cry", "sneeze", "helicopter",
    "chainsaw", "clock_tick", "kick", "snare", "closed_hat", "open_hat", "clap", "tom", "crash",
)  # fmt: skip
CORE_WORDS = re.compile(
    r"\b(dogs?|bark(s|ing)?|rooster|rain(y|s|ing|fall)?|(sea|ocean) waves?|surf|bab(y|ies)|crying|clocks?|tick\w*"
    r"|sneez\w+|helicopters?|chain ?saws?|lumberjack|camp ?fire|crackl\w+|kick drum|snare|hi-?hats?|cymbals?"
    r"|drums?)\b",
    re.IGNORECASE,
)


def test_concepts_are_complete() -> None:
    assert len(CONCEPTS) == len(set(CONCEPTS)) == 204
    assert set(CORE) <= set(CONCEPTS)
    assert CONCEPTS[0] == "dog_bark"
    assert CONCEPTS[-1] == "singing_bowl"


def test_every_concept_with_held_out_wording_exists() -> None:
    assert set(HELD_OUT) <= set(CONCEPTS)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_captions_are_many(concept: str) -> None:
    rng = random.Random(1)
    count = 3000 if concept in CORE else 1500
    texts = {caption(concept, rng) for _ in range(count)}
    assert len(texts) >= 2 / 3 * count
    assert all(text == text.strip() and text for text in texts)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_vocabulary_is_broad(concept: str) -> None:
    words = captions._CONCEPT_WORDS[concept]
    fields = (
        words.things, words.stuff, words.verbs, words.agents, words.acts, words.events, words.adjectives,
        words.places, words.phrases, words.sentences,
    )  # fmt: skip
    assert sum(map(len, fields)) >= (250 if concept in CORE else 50)
    assert len(words.sentences) >= (20 if concept in CORE else 4)
    for field in fields:
        assert [entry for entry in field if field.count(entry) > 1] == []


@pytest.mark.parametrize(
    ("noun", "concept"),
    [
        ("kitten", "cat_meow"),
        ("lorry", "engine"),
        ("fire engine", "siren"),
        ("kettle drum", "tom"),
        ("fiddle", "violin"),
        ("faucet", "tap_water"),
        ("lift", "elevator"),
        ("dove", "pigeon"),
        ("tram", "subway"),
        ("claves", "woodblock"),
        ("speedboat", "boat"),
        ("orca", "whale"),
    ],
)
def test_nouns_that_nearly_name_a_concept_are_among_its_words_alone(noun: str, concept: str) -> None:
    def says(words: captions._Words) -> bool:
        nouns = [form for item in (*words.things, *words.events) for form in item]
        return noun in (*nouns, *words.stuff, *words.phrases)

    assert [name for name in CONCEPTS if says(captions._CONCEPT_WORDS[name])] == [concept]
    assert not any(says(words) for words in captions._UNRELATED_WORDS)


def test_every_noun_comes_alone_about_as_often() -> None:
    rng = random.Random(0)
    drawn = [captions.word("whale", rng).lower().strip(".!?") for _ in range(4_000)]
    nouns = captions._CONCEPT_WORDS["whale"]
    count = len(nouns.things) + len(nouns.events)
    for noun in (nouns.things[0][0], nouns.events[-1][0]):
        assert drawn.count(noun) / len(drawn) == pytest.approx(0.65 / count, rel=0.4)
    assert captions.word("silence", rng)


def test_plain_prompts_and_names() -> None:
    assert plain_prompt("dog_bark") == "a dog barking"
    assert plain_prompt("rain") == "rain"
    assert len({plain_prompt(concept) for concept in CONCEPTS}) == len(CONCEPTS)
    assert len({describe(concept) for concept in CONCEPTS}) == len(CONCEPTS)
    assert all(1 <= len(describe(concept).split()) <= 6 for concept in CONCEPTS)


def draws(seed: int) -> list[str]:
    rng = random.Random(seed)
    return [
        text
        for concept in CONCEPTS
        for text in (
            caption(concept, rng),
            mixture_caption((concept, "rain"), rng),
            unrelated_caption(rng),
            unrelated_caption(rng, held_out=True),
        )
    ]


def test_the_seed_settles_everything() -> None:
    assert draws(7) == draws(7)
    assert draws(7) != draws(8)


def test_no_held_out_wording() -> None:
    rng = random.Random(2)
    for index in range(20_000):
        first, second = CONCEPTS[index % len(CONCEPTS)], rng.choice(CONCEPTS)
        assert not is_held_out(caption(first, rng))
        assert not is_held_out(mixture_caption((first, second), rng))


def test_mixtures_mention_all_their_concepts() -> None:
    """Names stand in for the word lists, so that each part can be recognised."""
    rng = random.Random(3)
    for pair in combinations(("thunder", "gong", "tabla", "cowbell"), 2):
        for _ in range(200):
            text = captions._mixture(tuple(captions._Words(plain=name, name=name) for name in pair), rng)
            assert all(name in text for name in pair), text
    text = captions._mixture(tuple(captions._Words(plain=name, name=name) for name in ("a", "b", "c")), rng)
    assert {"a", "b", "c"} <= set(re.findall(r"\w+", text))


def test_a_mixture_of_one_is_a_caption() -> None:
    assert mixture_caption(("rain",), random.Random(4)) == caption("rain", random.Random(4))


@pytest.mark.parametrize("held_out", [False, True])
def test_unrelated_captions_name_no_core_concept(held_out: bool) -> None:
    rng = random.Random(5)
    texts = {unrelated_caption(rng, held_out) for _ in range(20_000)}
    assert len(texts) >= 8000
    assert [text for text in texts if CORE_WORDS.search(text.replace("_", " "))] == []


def test_unrelated_nouns_are_split() -> None:
    for train, held_out in zip(captions._UNRELATED_TRAIN, captions._UNRELATED_HELD_OUT, strict=True):
        for field in ("things", "phrases", "sentences"):
            assert getattr(train, field)
            assert getattr(held_out, field)
            assert not set(getattr(train, field)) & set(getattr(held_out, field))


@pytest.mark.parametrize("concept", CONCEPTS)
def test_one_article_at_most(concept: str) -> None:
    rng = random.Random(6)
    doubled = re.compile(r"\b(a|an|the|some|my) (an|the|some|my|your|our) |  |\b(is are|a are)\b")
    texts = [captions._phrase(captions._CONCEPT_WORDS[concept], rng) for _ in range(500)]
    assert [text for text in texts if doubled.search(text)] == []


@pytest.mark.parametrize(
    "text",
    ["a dog", "an owl", "an hour", "a uh-1", "an 808 kick", "an r44", "a unicorn", "a k9", "an 18-inch crash"],
)
def test_article(text: str) -> None:
    assert captions._with_article("a", text.split(" ", 1)[1]) == text


@pytest.mark.parametrize(
    ("infinitive", "third", "participle", "past"),
    [
        ("bark", "barks", "barking", "barked"),
        ("sneeze loudly", "sneezes loudly", "sneezing loudly", "sneezed loudly"),
        ("crackle and pop", "crackles and pops", "crackling and popping", "crackled and popped"),
        ("tick-tock", "tick-tocks", "tick-tocking", "tick-tocked"),
        ("cry", "cries", "crying", "cried"),
        ("go off", "goes off", "going off", "went off"),
        ("whiz past", "whizzes past", "whizzing past", "whizzed past"),
        ("hit the rim", "hits the rim", "hitting the rim", "hit the rim"),
        ("whimper", "whimpers", "whimpering", "whimpered"),
    ],
)
def test_verb_forms(infinitive: str, third: str, participle: str, past: str) -> None:
    assert captions._verb(infinitive, frozenset({"crackle", "pop"})) == (infinitive, third, participle, past)


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("dog", "dogs"), ("wave", "waves"), ("crash", "crashes"), ("puppy", "puppies"),
        ("old man", "old men"),
        ("wolf", "wolves"), ("flock of geese", "flocks of geese"), ("flyby", "flybys"), ("ox|oxen", "oxen"),
    ],
)  # fmt: skip
def test_plurals(singular: str, plural: str) -> None:
    assert captions._noun(singular)[1] == plural


def test_the_words_in_the_package_are_those_of_the_captions(tmp_path):
    write_words(tmp_path)
    made = (tmp_path / "words.txt").read_text(encoding="utf-8")
    assert made == (BUILTIN / "words.txt").read_text(encoding="utf-8")
    words = set(made.split())
    assert {"dog", "dogs", "barking", "hi-hat", "bellt"} <= words
    assert not {"xyzzy", "the", "not"} & words
    drawn = {word for seed in range(300) for word in caption("dog_bark", random.Random(seed)).lower().split()}
    assert len({word for word in drawn if word.isalpha()} & words) > 100

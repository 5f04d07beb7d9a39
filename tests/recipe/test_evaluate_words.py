"""Nouns that nearly name a concept, and how many find it."""

from __future__ import annotations

import evaluate_words
from evaluate_words import main, read_nouns
from recipe import captions


def test_each_noun_is_listed_with_concepts() -> None:
    nouns = read_nouns()
    assert nouns["kettle drum"] == ["tom"] and nouns["hi-hat"] == ["closed_hat", "open_hat"]
    assert {concept for concepts in nouns.values() for concept in concepts} <= set(captions.CONCEPTS)


def test_it_prints_what_is_nearest_to_something_else(monkeypatch, capsys) -> None:
    nouns = {"kitten": ["cat_meow"], "gibberish": ["rain", "wind"]}
    monkeypatch.setattr(evaluate_words, "read_nouns", lambda: nouns)
    monkeypatch.setattr(evaluate_words, "nearest", lambda *_: {"kitten": "cat_meow", "gibberish": "snare"})
    main([])
    assert capsys.readouterr().out == "gibberish: snare, not rain or wind\n1 of 2 nouns are nearest to what they name\n"


def test_a_prompt_is_nearest_to_itself(monkeypatch, capsys) -> None:
    monkeypatch.setattr(evaluate_words, "read_nouns", lambda: {captions.plain_prompt("harp"): ["harp"]})
    main([])
    assert capsys.readouterr().out == "1 of 1 nouns are nearest to what they name\n"

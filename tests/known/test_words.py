"""What is typed to find clips by words, and the words of names."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_search.errors import QueryError
from pe_search.known.naming import category_of, joined_words_in, searchable, words_in
from pe_search.known.words import LONGEST_CHARACTERS, MOST_WORDS, Word, Words, read_words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kick_808-A", ["kick", "808", "a"]),
        ("DogBark01", ["dog", "bark", "01"]),
        ("808kick", ["808", "kick"]),
        ("DOGBark_Kick808.wav", ["dog", "bark", "kick", "808", "wav"]),
        ("AMBForst", ["amb", "forst"]),
        ("iPhone", ["i", "phone"]),
        ("HALL", ["hall"]),
        ("A1B2", ["a", "1", "b", "2"]),
        ("Höhle Straße", ["hohle", "strasse"]),
        (unicodedata.normalize("NFD", "Höhle"), ["hohle"]),
        ("ÖlÜber", ["ol", "uber"]),
        ("été à Paris", ["ete", "a", "paris"]),
        ("太鼓の音02", ["太", "鼓", "の", "音", "02"]),
        ("ドラムKick", ["ド", "ラ", "ム", "kick"]),
        (unicodedata.normalize("NFD", "ガ"), ["ガ"]),
        ("개짖는", ["개", "짖", "는"]),
        ("ＫＩＣＫ８", ["kick", "8"]),
        ("don't", ["don", "t"]),
        ("x² ½", ["x", "2", "1", "2"]),
        ("Собака", ["собака"]),
        ("\udcffab\0c", ["ab", "c"]),
        ("!?_-…", []),
        ("", []),
    ],
)
def test_the_words_of_a_name(name, words):
    assert words_in(name) == words


def test_words_that_are_written_together():
    assert joined_words_in("DogBark_Kick808 太鼓") == ["dogbark", "kick808", "太", "鼓"]
    assert searchable("Big DogBark01_loud DogBark01") == "big dog bark 01 loud dog bark 01 dogbark01 dogbark"
    assert searchable("kick_808") == "kick 808"


def test_the_category_of_a_name():
    assert category_of("/s/DOGBark_Small Dog_JD_Lib.wav") == "dog bark"
    assert category_of("/s/DOGBark.wav") is None


def one(typed: str, *forms: tuple[str, ...], is_prefix: bool = False) -> Word:
    return Word(typed, forms, is_prefix)


@pytest.mark.parametrize(
    ("typed", "wanted", "excluded"),
    [
        ("kick 808", [one("kick", ("kick",)), one("808", ("808",))], []),
        ("Kick*", [one("Kick*", ("kick",), is_prefix=True)], []),
        ('"two words"', [one('"two words"', ("two", "words"))], []),
        ('"two wo"*', [one('"two wo"*', ("two", "wo"), is_prefix=True)], []),
        ("kick -loop", [one("kick", ("kick",))], [one("loop", ("loop",))]),
        ('-"drum loop" -top*', [], [one('"drum loop"', ("drum", "loop")), one("top*", ("top",), is_prefix=True)]),
        ('"-6 dB"', [one('"-6 dB"', ("6", "d", "b"), ("6", "db"))], []),
        ("DogBark01", [one("DogBark01", ("dog", "bark", "01"), ("dogbark01",))], []),
        ("kick-808", [one("kick-808", ("kick", "808"))], []),
        ("rock & roll", [one("rock", ("rock",)), one("roll", ("roll",))], []),
        ("- loop", [one("loop", ("loop",))], []),
        ('a"b c"d', [one("a", ("a",)), one('"b c"', ("b", "c")), one("d", ("d",))], []),
        ("太鼓*", [one("太鼓*", ("太", "鼓"), is_prefix=True)], []),
        # What FTS5 would take for its own syntax is a word as any other.
        ("name:kick", [one("name:kick", ("name", "kick"))], []),
        ("a OR b", [one("a", ("a",)), one("OR", ("or",)), one("b", ("b",))], []),
        ("NEAR(a,b)", [one("NEAR(a,b)", ("near", "a", "b"))], []),
        ("^a {b}:c", [one("^a", ("a",)), one("{b}:c", ("b", "c"))], []),
    ],
)
def test_what_is_typed(typed, wanted, excluded):
    assert read_words(typed) == Words(tuple(wanted), tuple(excluded))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "words must have a word of letters or digits: ''."),
        ('!?() -* ""', "words must have a word of letters or digits: '!?() -* \"\"'."),
        ('kick "drum', "words has a quote that is not closed: 'kick \"drum'."),
        ("kick\udcff", r"words must be UTF-8: 'kick\udcff'."),
        ("kick\0", "words must have no control characters: 'kick\\x00'."),
        ("\x1b[31mkick", "words must have no control characters: '\\x1b[31mkick'."),
        ("a" * 10_000_000, f"words must have at most {LONGEST_CHARACTERS:,} characters, not 10,000,000."),
        ("a " * (MOST_WORDS + 1), f"words must have at most {MOST_WORDS} words, not {MOST_WORDS + 1}."),
    ],
    ids=lambda value: value[:20],
)
def test_what_can_not_be_asked_is_one_line(typed, said):
    with pytest.raises(QueryError) as caught:
        read_words(typed)
    assert str(caught.value) == said
    with pytest.raises(QueryError, match=r"^--words "):
        read_words(typed, "--words")


@given(st.text(max_size=200))
def test_words_are_letters_and_digits_alone(typed):
    try:
        words = read_words(typed)
    except QueryError as error:
        assert "\n" not in str(error)
        return
    parts = [part for word in (*words.wanted, *words.excluded) for form in word.forms for part in form]
    assert parts
    assert all(part and '"' not in part and "\0" not in part and not part.isspace() for part in parts)

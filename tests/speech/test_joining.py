"""What is heard in windows becomes one text: nothing twice, nothing lost, in segments that can be read."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_search.records import SpokenWord
from pe_search.speech.joining import join
from pe_search.speech.recogniser import Heard, Spoken
from pe_search.speech.spelling import Token, spell
from pe_search.speech.windows import SpeechWindow

NOTHING = np.empty(0, np.float32)


def window(start_s: float, end_s: float, *, is_first: bool = False) -> SpeechWindow:
    return SpeechWindow(start_s, end_s, is_first, NOTHING)


def words(*timed: tuple[float, float, str]) -> Heard:
    return Heard(tuple(Spoken(start_s, end_s, f" {text}") for start_s, end_s, text in timed), "words")


def whole(length_s: float, text: str) -> Heard:
    return Heard((Spoken(0.0, length_s, f" {text}"),), "window")


def test_times_become_those_of_the_clip():
    (segment,) = join([(window(30, 40, is_first=True), words((1, 1.5, "good"), (1.5, 2, "morning")))])
    assert segment.text == "good morning"
    assert (segment.start_s, segment.end_s) == (31, 32)
    assert segment.words == (SpokenWord(31, 31.5, "good"), SpokenWord(31.5, 32, "morning"))


def test_a_word_that_both_windows_have_is_taken_once_though_its_times_differ():
    # The middle of the overlap is 9.0: the one window has the word before it, the other one after it.
    left = words((7.5, 8.0, "one"), (8.7, 9.2, "two"), (9.5, 9.9, "thr"))
    right = words((0.1, 0.4, "ne"), (0.9, 1.3, "two"), (1.5, 2.2, "three"))
    segments = list(join([(window(0, 10, is_first=True), left), (window(8, 18), right)]))
    assert " ".join(segment.text for segment in segments) == "one two three"


def test_a_word_cut_off_at_the_edge_is_that_of_the_other_window():
    left = words((8.0, 8.5, "all"), (9.6, 10.0, "morn"))
    right = words((0.0, 0.5, "all"), (1.6, 2.4, "morning"))
    segments = list(join([(window(0, 10, is_first=True), left), (window(8, 18), right)]))
    assert " ".join(segment.text for segment in segments) == "all morning"


def test_stretches_have_nothing_in_common():
    heard = [
        (window(0, 5, is_first=True), words((4, 4.9, "yes"))),
        (window(5, 9, is_first=True), words((0, 0.8, "yes"))),
    ]
    assert [one.text for one in join(heard)] == ["yes yes"]


def test_texts_without_times_are_joined_by_what_they_have_in_common():
    left = whole(10, "the quick brown fox jumps over the lazy dog")
    right = whole(10, "The lazy dog, sleeps all day long in the sun")
    segments = list(join([(window(0, 10, is_first=True), left), (window(8, 18), right)]))
    assert [one.text for one in segments] == [
        "the quick brown fox jumps over the lazy dog",
        "sleeps all day long in the sun",
    ]
    assert [(one.start_s, one.end_s) for one in segments] == [(0, 9), (9, 18)]
    assert segments[0].words == ()


def test_texts_without_times_that_have_nothing_in_common_are_kept_whole():
    heard = [(window(0, 10, is_first=True), whole(10, "one two three four")), (window(8, 18), whole(10, "five six"))]
    assert [one.text for one in join(heard)] == ["one two three four", "five six"]


def test_windows_that_are_silent_part_nothing():
    heard = [
        (window(0, 10, is_first=True), words((1, 2, "one"))),
        (window(8, 18), Heard((), "words")),
        (window(16, 26), words((4, 5, "two"))),
    ]
    assert [one.text for one in join(heard)] == ["one", "two"]


def test_a_segment_ends_with_a_sentence_at_a_pause_and_before_it_is_long():
    heard = words((0, 0.5, "Hello."), (0.5, 1, "Who"), (1, 1.5, "there?"), (1.6, 2, "me"), (4, 4.5, "again"))
    assert [one.text for one in join([(window(0, 10, is_first=True), heard)])] == [
        "Hello.",
        "Who there?",
        "me",
        "again",
    ]
    long = words(*((0.4 * row, 0.4 * row + 0.4, f"w{row}") for row in range(60)))
    segments = list(join([(window(0, 30, is_first=True), long)]))
    assert len(segments) > 2
    assert all(one.end_s - one.start_s <= 8.0 and len(one.text) <= 84 for one in segments)
    assert " ".join(one.text for one in segments) == " ".join(f"w{row}" for row in range(60))


def test_phrases_are_segments_of_their_own():
    heard = Heard((Spoken(0, 2, " one two."), Spoken(2, 40, " three.")), "phrases")
    segments = list(join([(window(0, 10, is_first=True), heard)]))
    assert [(one.start_s, one.end_s, one.text, one.words) for one in segments] == [
        (0, 2, "one two.", ()),
        (2, 10, "three.", ()),
    ]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.05, 0.9), st.floats(0.1, 1.2)), min_size=1, max_size=80),
    st.floats(0, 0.03),
)
def test_words_with_exact_times_are_never_lost_or_doubled(spans, jitter_s):
    """Every window hears every word that lies wholly within it, and nothing of the others."""
    said, at_s = [], 0.0
    for number, (length_s, pause_s) in enumerate(spans):
        said.append((at_s, at_s + length_s, f"w{number}"))
        at_s += length_s + pause_s
    heard, start_s = [], 0.0
    while start_s == 0 or start_s < at_s - 2:
        inside = [
            (one[0] - start_s + jitter_s * (len(heard) % 2), one[1] - start_s + jitter_s * (len(heard) % 2), one[2])
            for one in said
            if start_s <= one[0] and one[1] <= start_s + 10
        ]
        heard.append((window(start_s, start_s + 10, is_first=start_s == 0), words(*inside)))
        start_s += 8
    joined = " ".join(segment.text for segment in join(heard))
    assert joined.split() == [text for _, _, text in said]


def test_tokens_are_spelled_as_words():
    pieces = ["▁he", "llo", "▁", "wor", "ld", "|", "A", "B", "|", "日", "本"]
    tokens = [Token(piece, piece.strip("▁"), float(row), row + 1.0) for row, piece in enumerate(pieces)]
    spoken = list(spell(tokens, "".join))
    assert [one.text for one in spoken] == [" hello", " world", " AB", " 日", "本"]
    assert [(one.start_s, one.end_s) for one in spoken] == [(0, 2), (3, 5), (6, 8), (9, 10), (10, 11)]

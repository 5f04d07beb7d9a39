"""What is said is found by stems, phrases and prefixes, at the seconds where it is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pe_search.known.words import read_words
from pe_search.queries import Filters, Snippet
from pe_search.records import Clip, Content, Segment, SpokenWord, Transcript
from pe_search.store import Store
from pe_search.store.files import LOOKUP_FILE
from pe_search.store.transcripts import write_transcripts
from pe_search.store.words import Named
from tests.made_up import manifest


def put(store: Store, path: str, digest: bytes, *segments: Segment, engine: str = "sidecar") -> None:
    content = Content(digest, [(0.0, 10.0)], np.ones((1, 3), np.float32), is_whole=True)
    store.catalog.commit(contents=[content], clips=[(Clip(Path(path), 1, 1), digest)])
    if segments:
        write_transcripts(store.catalog, [Transcript(digest, engine, "en", segments)])


def spoken(*words: tuple[float, float, str]) -> Segment:
    text = " ".join(word for *_, word in words)
    return Segment(words[0][0], words[-1][1], text, tuple(SpokenWord(*word) for word in words))


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", manifest()) as made:
        yield made


def said(store: Store, typed: str, under: str | None = None, most: int | None = None, *, every=False) -> list[Named]:
    where = None if under is None else Path(under)
    return store.finder.lookup.said(read_words(typed), where, Filters(), most, all_places=every)


def places(store: Store, typed: str, *arguments, **options) -> list[tuple[str, float, float]]:
    return [(str(one.path), one.start_s, one.end_s) for one in said(store, typed, *arguments, **options)]


MEETING = spoken((1.0, 1.2, "The"), (1.2, 1.5, "Tuesday"), (1.6, 2.0, "meetings,"), (2.5, 2.75, "friends!"))


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("tuesday", (1.2, 1.5)),
        ("meeting", (1.6, 2.0)),
        ("MEET", (1.6, 2.0)),
        ("meeti*", (1.6, 2.0)),
        ('"tuesday meeting"', (1.2, 2.0)),
        ('"tuesday mee"*', (1.2, 2.0)),
        ("friend the", (1.0, 2.75)),
        ("fri* meeting", (1.6, 2.75)),
        ("tuesday -monday", (1.2, 1.5)),
        ("tuesday -mond*", (1.2, 1.5)),
    ],
)
def test_the_seconds_are_those_of_the_words(store, typed, place):
    put(store, "/s/a.wav", b"a", MEETING)
    assert places(store, typed) == [("/s/a.wav", *place)]


@pytest.mark.parametrize(
    "typed", ["monday", '"meeting tuesday"', "tuesday -friends", "tuesday -meeti*", "uesday", "mee"]
)
def test_what_is_not_said_is_not_found(store, typed):
    put(store, "/s/a.wav", b"a", MEETING)
    assert places(store, typed) == []


def test_without_times_of_words_it_is_the_segment(store):
    put(store, "/s/a.wav", b"a", Segment(3.0, 7.5, "Der Löwe schläft heute Nacht"))
    assert places(store, "lowe") == places(store, '"schläft heute"') == [("/s/a.wav", 3.0, 7.5)]


def test_a_phrase_may_go_on_in_the_next_segment_if_that_follows_at_once(store):
    put(store, "/s/a.wav", b"a", Segment(0.0, 2.0, "see you on Tuesday"), Segment(2.5, 4.0, "meeting is at nine"))
    put(store, "/s/b.wav", b"b", Segment(0.0, 2.0, "see you on Tuesday"), Segment(60.0, 61.0, "meeting is at nine"))
    assert places(store, '"tuesday meeting"') == [("/s/a.wav", 0.0, 4.0)]
    # What is in the second alone is found there, and once.
    assert places(store, "meeting", every=True) == [("/s/a.wav", 2.5, 4.0), ("/s/b.wav", 60.0, 61.0)]


def test_words_of_two_segments_have_the_times_of_both(store):
    one = spoken((0.0, 0.5, "on"), (0.5, 1.0, "Tuesday"))
    put(store, "/s/a.wav", b"a", one, spoken((1.0, 1.75, "meeting"), (2.0, 3.0, "people")))
    assert places(store, "tuesday meeting") == [("/s/a.wav", 0.5, 1.75)]


def test_a_clip_shows_once_by_its_best_place_or_by_all(store):
    put(store, "/s/a.wav", b"a", Segment(0.0, 1.0, "goal and then something else"), Segment(5.0, 6.0, "goal"))
    assert places(store, "goal") == [("/s/a.wav", 5.0, 6.0)]
    assert places(store, "goal", every=True) == [("/s/a.wav", 5.0, 6.0), ("/s/a.wav", 0.0, 1.0)]


def test_what_two_engines_have_is_said_once(store):
    put(store, "/s/a.wav", b"a", Segment(0.0, 1.0, "a goal"))
    transcript = Transcript(b"a", "other 1", "", (Segment(0.5, 1.5, "the goal"), Segment(8.0, 9.0, "no goal at all")))
    write_transcripts(store.catalog, [transcript])
    assert sorted(places(store, "goal", every=True)) == [("/s/a.wav", 0.0, 1.0), ("/s/a.wav", 8.0, 9.0)]


def test_clips_of_the_same_bytes_are_one_and_under_takes_one_of_them(store):
    put(store, "/s/b.wav", b"a", MEETING)
    put(store, "/t/a.wav", b"a")
    (one,) = said(store, "tuesday")
    assert [path for path, _ in one.clips] == [Path("/s/b.wav"), Path("/t/a.wav")]
    assert places(store, "tuesday", "/t") == [("/t/a.wav", 1.2, 1.5)]
    assert places(store, "tuesday", "/u") == []


def test_only_so_many_are_given(store):
    for number in range(5):
        put(store, f"/s/{number}.wav", bytes([number]), Segment(0.0, 1.0, "goal"))
    assert places(store, "goal", None, 2) == [("/s/0.wav", 0.0, 1.0), ("/s/1.wav", 0.0, 1.0)]


@pytest.mark.parametrize(
    ("text", "typed", "found"),
    [
        ("星期二开会了", "开会", "开会"),
        ("내일 회의가있어", "회의", "회의"),
        ("ประชุมวันอังคาร", "อังคาร", "อังคาร"),
    ],
)
def test_any_part_of_a_script_without_spaces_is_found(store, text, typed, found):
    put(store, "/s/a.wav", b"a", Segment(0.0, 1.0, text))
    (one,) = said(store, typed)
    assert one.said is not None
    assert one.said.text == text
    assert "".join(text[first:after] for first, after in one.said.marks) == found


def test_a_snippet_marks_the_words_and_has_some_before_and_after(store):
    put(store, "/s/a.wav", b"a", Segment(0.0, 9.0, " ".join(f"w{number}" for number in range(40)) + " \ud800"))
    (one,) = said(store, "w10 w12")
    text = "… w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19 w20 w21 …"
    assert one.said == Snippet(text, ((14, 17), (22, 25)))
    assert [text[first:after] for first, after in one.said.marks] == ["w10", "w12"]
    (first,) = said(store, "w0")
    assert first.said == Snippet(" ".join(f"w{number}" for number in range(16)) + " …", ((0, 2),))


def test_what_is_said_later_is_found_and_what_is_gone_is_not(store):
    put(store, "/s/a.wav", b"a", MEETING)
    assert places(store, "goal") == []
    write_transcripts(store.catalog, [Transcript(b"a", "sidecar", "", (replace(MEETING, text="a goal", words=()),))])
    assert places(store, "goal") == [("/s/a.wav", 1.0, 2.75)]
    assert places(store, "tuesday") == []
    write_transcripts(store.catalog, forgotten=[(b"a", "sidecar")])
    assert places(store, "goal") == []
    put(store, "/s/b.wav", b"b", MEETING)
    assert places(store, "tuesday") == [("/s/b.wav", 1.2, 1.5)]
    store.catalog.commit(removed=[Path("/s/b.wav")])
    store.catalog.drop_unused_contents()
    assert places(store, "tuesday") == []


def test_the_index_of_what_is_said_is_made_again_when_it_is_missing_or_damaged(tmp_path, store):
    put(store, "/s/a.wav", b"a", MEETING)
    assert places(store, "tuesday") == [("/s/a.wav", 1.2, 1.5)]
    store.finder.lookup.close()
    lookup = tmp_path / "store" / LOOKUP_FILE
    lookup.write_bytes(b"x" * 100)
    assert places(store, "tuesday") == [("/s/a.wav", 1.2, 1.5)]
    store.finder.lookup.close()
    lookup.unlink()
    assert places(store, "tuesday") == [("/s/a.wav", 1.2, 1.5)]


def test_words_that_are_not_in_the_text_leave_the_times_of_the_segment(store):
    odd = Segment(0.0, 4.0, "a goal is scored", (SpokenWord(1.0, 2.0, "goal"), SpokenWord(2.0, 3.0, "else")))
    put(store, "/s/a.wav", b"a", odd)
    assert places(store, "scored") == [("/s/a.wav", 0.0, 4.0)]

"""Which fields there are, what each says, and in which order they sort."""

from __future__ import annotations

from dataclasses import fields as attributes
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_search.descriptions import Caption
from pe_search.known.fields import (
    CLIP_FIELDS,
    FIELDS,
    HIT_FIELDS,
    LABEL_FIELDS,
    Kind,
    Shown,
    all_of,
    is_known,
    moment_at,
    named,
    order_of,
)
from pe_search.queries import Hit, Snippet
from pe_search.records import Facts, IndexedClip

FACTS = Facts(
    sample_rate_hz=96_000,
    channels=2,
    bits=24,
    codec="pcm_24",
    title="Dawn",
    artist="Ada",
    album="Woods",
    comment="windy",
    description="Two dogs bark behind a fence",
    genre="Field",
    keywords=("dog", "fence"),
    bpm=120.5,
    key="C#",
    recorded_at="2024-06-12T05:30:00+02:00",
    recorded_by="bext",
    loudness_lufs=-23.5,
    peak_dbfs=-1.25,
)
CLIP = IndexedClip(
    path=Path("/s/dogs/DOGBark_Fence_AB_Lib.wav"),
    size_bytes=1_234,
    modified_ns=5,
    duration_s=61.23456789,
    windows=7,
    indexed_at_s=1_700_000_000,
    digest=bytes(range(32)),
    missing="breaks off",
    facts=FACTS,
    tags=("fav", "kick"),
    recorded_at="2024-06-12T05:30:00+02:00",
    recorded_by="bext",
    captions=(Caption(0, 10, "A car."), Caption(10, 20, "A dog."), Caption(15, 25, "A dog."), Caption(20, 30, "Wind.")),
)
SAID = Snippet("the dog barks", ((4, 7),))
HIT = Hit("a dog", 3, CLIP.path, 10.12345678, 20.0, 1.5, 0.75, None, (Path("/s/z.wav"),), 2, 5, 4, SAID)
EMPTY = IndexedClip(Path("x"), 0, 0, None, 0, None, b"")

OF_CLIP = {
    "path": "/s/dogs/DOGBark_Fence_AB_Lib.wav",
    "name": "DOGBark_Fence_AB_Lib.wav",
    "folder": "/s/dogs",
    "length_s": 61.234568,
    "windows": 7,
    "size_bytes": 1_234,
    "sample_rate_hz": 96_000,
    "channels": 2,
    "bits": 24,
    "codec": "pcm_24",
    "title": "Dawn",
    "artist": "Ada",
    "album": "Woods",
    "comment": "windy",
    "description": "Two dogs bark behind a fence",
    "genre": "Field",
    "keywords": ["dog", "fence"],
    "bpm": 120.5,
    "key": "C#",
    "category": "dog bark",
    "loudness_lufs": -23.5,
    "peak_dbfs": -1.25,
    "recorded_at": "2024-06-12T05:30:00+02:00",
    "recorded_by": "bext",
    "tags": ["fav", "kick"],
    "indexed_at": "2023-11-14T22:13:20+00:00",
    "captions": ["A car.", "A dog.", "Wind."],
    "is_incomplete": True,
    "is_gone": True,
    "digest": bytes(range(32)).hex(),
    "copies": ["/s/z.wav"],
}
OF_HIT = {
    "query": "a dog",
    "rank": 3,
    "start_s": 10.123457,
    "end_s": 20.0,
    "score": 1.5,
    "probability": 0.75,
    "at": "2024-06-12T05:30:10.123+02:00",
    "sound_rank": 2,
    "words_rank": 5,
    "said_rank": 4,
    "said": "the dog barks",
    "captions": ["A dog."],
}
TYPES = {
    Kind.TEXT: str,
    Kind.WHOLE: int,
    Kind.NUMBER: float,
    Kind.FLAG: bool,
    Kind.TEXTS: list,
}


def values(shown: Shown, known=FIELDS) -> dict[str, object]:
    return {name: known[name].value(shown) for name in all_of(known)}


def test_every_field_of_a_clip():
    assert values(Shown(CLIP.path, CLIP, None, HIT.copies), CLIP_FIELDS) == OF_CLIP


def test_every_field_of_a_hit():
    assert values(Shown(CLIP.path, CLIP, HIT, HIT.copies), HIT_FIELDS) == OF_CLIP | OF_HIT


def test_a_label_has_its_text_as_label_and_no_copies():
    found = values(Shown(CLIP.path, CLIP, HIT), LABEL_FIELDS)
    expected = OF_CLIP | OF_HIT | {"label": "a dog"}
    others = ("query", "copies", "sound_rank", "words_rank", "said_rank", "said")
    assert found == {name: value for name, value in expected.items() if name not in others}


def test_all_that_is_known_of_a_clip_has_a_field():
    facts = {field.name for field in attributes(Facts)}
    of_clip = {field.name for field in attributes(IndexedClip)}
    called_otherwise = {
        "duration_s": "length_s",
        "indexed_at_s": "indexed_at",
        "missing": "is_incomplete",
        "modified_ns": None,
        "facts": None,
    }
    assert {called_otherwise.get(name, name) for name in facts | of_clip} - {None} <= CLIP_FIELDS.keys()


def test_values_are_of_the_kind_that_the_field_says():
    for name, value in (OF_CLIP | OF_HIT).items():
        assert type(value) is TYPES[HIT_FIELDS[name].kind], name


def test_what_is_not_known_is_none_or_no_texts():
    of_nothing = values(Shown(Path("x")))
    assert {name for name, value in of_nothing.items() if is_known(value)} == {"path", "name", "is_gone"}
    of_empty = values(Shown(Path("x"), EMPTY))
    assert {name for name, value in of_empty.items() if is_known(value)} == {
        "path",
        "name",
        "size_bytes",
        "is_gone",
        "is_incomplete",
    }
    assert of_empty["tags"] == of_empty["keywords"] == of_empty["captions"] == of_empty["copies"] == []


def test_the_older_name_of_the_length_is_known_and_not_listed():
    assert CLIP_FIELDS["duration_s"].value(Shown(CLIP.path, CLIP)) == 61.234568
    assert "duration_s" not in all_of(FIELDS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["path", "tag"], "'tag' is not a field; fields are path, name, folder, length_s, "),
        ([""], "'' is not a field; fields are path, "),
        ([], "there is no field; fields are path, "),
        (["path", "bpm", "path"], "the field 'path' is named twice"),
        (["query"], "'query' is not a field; "),
    ],
)
def test_names_that_are_refused(names, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        named(names, CLIP_FIELDS)


def test_the_order_is_that_of_the_names():
    assert [field.name for field in named(["tags", "path", "at"], HIT_FIELDS)] == ["tags", "path", "at"]


@pytest.mark.parametrize(
    ("recorded_at", "start_s", "expected"),
    [
        (None, 5.0, None),
        ("2024-06-12T05:30:00", 0.0, "2024-06-12T05:30:00.000"),
        ("2024-06-12T05:30:00.250", 1.5, "2024-06-12T05:30:01.750"),
        ("2024-12-31T23:59:59+00:00", 1.0, "2025-01-01T00:00:00.000+00:00"),
        # In Berlin clocks went from 2:00 to 3:00 on this morning, and the recorder's did not.
        ("2024-03-31T01:30:00+01:00", 3_600.0, "2024-03-31T02:30:00.000+01:00"),
        ("2022-02-14T19:17:30-03:30", 86_400.0, "2022-02-15T19:17:30.000-03:30"),
        # Rounded once, also where that changes the day.
        ("2024-06-12T23:59:59", 0.9996, "2024-06-13T00:00:00.000"),
        ("2024-06-12T23:59:59", 0.9994, "2024-06-12T23:59:59.999"),
        ("9999-12-31T23:59:59", 2.0, None),
    ],
)
def test_when_something_in_a_recording_was(recorded_at, start_s, expected):
    assert moment_at(recorded_at, start_s) == expected


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), st.floats(0, 1e6))
def test_it_is_within_half_a_millisecond_of_the_sum(moment, start_s):
    found = moment_at(moment.isoformat(), start_s)
    assert found is not None
    difference = datetime.fromisoformat(found) - (moment + timedelta(seconds=start_s))
    assert abs(difference) <= timedelta(microseconds=500)


@pytest.mark.parametrize(
    ("name", "ascending"),
    [
        ("title", ["Alpha", "beta", "Gamma"]),
        ("path", ["/A", "/B", "/a"]),
        ("length_s", [-1.0, 2.0, 10.0]),
        ("is_gone", [False, True]),
        ("tags", [["a"], ["a", "b"], ["B"], ["c"]]),
        # By the clock on the wall there, whatever the zone; a fraction comes after the whole second.
        (
            "recorded_at",
            ["2024-06-12T05:29:59-11:00", "2024-06-12T05:30:00", "2024-06-12T05:30:00.5", "2024-06-12T05:31:00+14:00"],
        ),
    ],
)
def test_the_order_of_values(name, ascending):
    values = ascending[::-1]
    values.sort(key=order_of(CLIP_FIELDS[name]))
    assert values == ascending

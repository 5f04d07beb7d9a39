"""What is said in contents is kept by digest and engine, goes with its content, and nothing of it is lost."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pe_search.errors import StoreError
from pe_search.queries import Filters
from pe_search.records import Clip, ModelAnswer, Segment, Sidecar, SpokenWord, Transcript
from pe_search.store import Store
from pe_search.store.answers import read_answers, write_answers
from pe_search.store.export import export
from pe_search.store.merge import merge
from pe_search.store.moving import move_clips
from pe_search.store.salvage import salvage_if_damaged
from pe_search.store.transcripts import (
    count_transcribed,
    read_progress,
    read_sidecars,
    read_transcripts,
    transcripts_at,
    write_transcripts,
)
from tests.store.test_facts import manifest, put

HELLO = Transcript(
    b"a",
    "sidecar.en",
    "en",
    (
        Segment(0.0, 1.25, "Hello, wörld.", (SpokenWord(0.0, 0.5, "Hello,"), SpokenWord(0.5, 1.25, "wörld."))),
        Segment(2.0, 3.0, "\U0001f600 \ud800 …"),
    ),
    made_at_s=1_700_000_000,
)
HALF = Transcript(b"a", "whisper-tiny c0ffee", "", (), until_s=30.5, made_at_s=1_700_000_001)
OTHER = Transcript(b"b", "whisper-tiny c0ffee", "de", (Segment(0.0, 1.0, "Hallo"),), made_at_s=1_700_000_002)
BESIDE = Sidecar(Path("/s/a.en.srt"), 70, 5, b"a", "sidecar.en")
DOG = ModelAnswer(b"a", 0.0, 10.0, "m", "r", "What is heard?", "a dog", 1_700_000_003)
RAIN = ModelAnswer(b"b", 0.0, 10.0, "m", "r", "What is heard?", "rain", 1_700_000_004)


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", manifest()) as made:
        put(made, "/s/a.wav", b"a", None)
        put(made, "/s/b.wav", b"b", None)
        yield made


def fill(store):
    write_transcripts(store.catalog, [OTHER, HELLO, HALF], sidecars=[BESIDE])
    write_answers(store.catalog, [RAIN, DOG])


def test_a_transcript_comes_back_as_it_was(store):
    fill(store)
    assert list(read_transcripts(store.catalog)) == [HELLO, HALF, OTHER]
    assert list(read_transcripts(store.catalog, [b"b", b"no such", b"b"])) == [OTHER]
    assert read_sidecars(store.catalog) == [BESIDE]
    assert read_progress(store.catalog, "whisper-tiny c0ffee") == {b"a": 30.5, b"b": None}
    assert read_progress(store.catalog, "none") == {}
    assert store.catalog.find_damage() == []


def test_an_engine_has_one_transcript_of_a_content(store):
    fill(store)
    later = replace(HALF, until_s=None, segments=HELLO.segments, language="en")
    write_transcripts(store.catalog, [later], forgotten=[(b"a", "sidecar.en")], forgotten_sidecars=[BESIDE])
    assert list(read_transcripts(store.catalog)) == [later, OTHER]
    assert read_sidecars(store.catalog) == []


def test_clips_of_the_same_bytes_have_the_same_transcript(store):
    put(store, "/s/copy of a.wav", b"a", None)
    assert count_transcribed(store.catalog) == 0
    write_transcripts(store.catalog, [HELLO, HALF])
    assert count_transcribed(store.catalog) == 2


def test_what_is_said_outlives_a_move_and_goes_with_the_content(store):
    fill(store)
    store.catalog.commit(removed=[Path("/s/a.wav")])
    put(store, "/t/new.wav", b"a", None)
    store.catalog.drop_unused_contents()
    assert list(read_transcripts(store.catalog)) == [HELLO, HALF, OTHER]
    store.catalog.commit(removed=[Path("/t/new.wav")])
    store.catalog.drop_unused_contents()
    assert list(read_transcripts(store.catalog)) == [OTHER]
    assert (read_sidecars(store.catalog), read_answers(store.catalog)) == ([], [RAIN])


def test_transcripts_come_by_path(store):
    fill(store)
    put(store, "/s/c.wav", b"a", None)
    put(store, "/s/silent.wav", b"s", None)
    a, b, c = (Path(f"/s/{name}.wav") for name in "abc")
    assert transcripts_at(store.catalog) == {a: (HELLO, HALF), b: (OTHER,), c: (HELLO, HALF)}
    assert transcripts_at(store.catalog, [c, Path("/none"), Path("/s/silent.wav")]) == {c: (HELLO, HALF)}


def test_an_export_has_what_is_said_unless_it_is_left_out(tmp_path, store):
    fill(store)
    assert export(store, tmp_path / "a.npz") == 2
    written = np.load(tmp_path / "a.npz")
    assert json.loads(str(written["transcripts"])) == [
        {
            "path": "/s/a.wav",
            "engine": "sidecar.en",
            "language": "en",
            "until_s": None,
            "segments": [[0.0, 1.25, "Hello, wörld."], [2.0, 3.0, "\U0001f600 \ud800 …"]],
        },
        {"path": "/s/a.wav", "engine": "whisper-tiny c0ffee", "language": "", "until_s": 30.5, "segments": []},
        {
            "path": "/s/b.wav",
            "engine": "whisper-tiny c0ffee",
            "language": "de",
            "until_s": None,
            "segments": [[0.0, 1.0, "Hallo"]],
        },
    ]
    export(store, tmp_path / "b.npz", said=False)
    assert sorted(np.load(tmp_path / "b.npz").files) == ["embedding", "end_s", "manifest", "path", "start_s"]
    export(store, tmp_path / "c.npz", Filters(names=("b.wav",)))
    assert [one["path"] for one in json.loads(str(np.load(tmp_path / "c.npz")["transcripts"]))] == ["/s/b.wav"]
    export(store, tmp_path / "a.parquet")
    metadata = pq.read_schema(tmp_path / "a.parquet").metadata
    assert json.loads(metadata[b"transcripts"]) == json.loads(str(written["transcripts"]))


def test_a_sidecar_moves_with_its_folder(store):
    fill(store)
    clips = {Path(f"/s/{name}.wav"): Clip(Path(f"/t/{name}.wav"), 1, 2) for name in "ab"}
    move_clips(store.catalog, clips=clips, left_out={}, roots=(), forgotten=(), zones={})
    assert read_sidecars(store.catalog) == [replace(BESIDE, path=Path("/t/a.en.srt"))]
    assert store.catalog.find_damage() == []


def test_answers_are_found_by_what_was_asked(store):
    again = replace(DOG, answer="two dogs")
    more = replace(DOG, question="How many?", answer="2")
    write_answers(store.catalog, [DOG, RAIN, more])
    write_answers(store.catalog, [again])
    assert read_answers(store.catalog) == [more, again, RAIN]
    assert read_answers(store.catalog, [b"a"], model="m", revision="r", question="What is heard?") == [again]
    assert read_answers(store.catalog, [b"a"], revision="s") == []
    assert read_answers(store.catalog, question="How many?") == [more]


def test_of_more_answers_than_there_is_room_for_the_oldest_go(store):
    write_answers(store.catalog, [replace(DOG, question=str(number), made_at_s=9 - number) for number in range(5)])
    write_answers(store.catalog, [replace(RAIN, made_at_s=0)], most=3)
    assert [one.question for one in read_answers(store.catalog)] == ["0", "1", "2"]
    assert store.catalog.find_damage() == []


def test_a_merge_brings_what_is_further(tmp_path, store):
    write_transcripts(store.catalog, [HALF, replace(OTHER, made_at_s=5)])
    write_answers(store.catalog, [DOG])
    finished = replace(HALF, until_s=None)
    with Store.create(tmp_path / "other", manifest()) as other:
        put(other, "/o/c.wav", b"c", None)
        put(other, "/s/a.wav", b"a", None)
        said = [finished, HELLO, OTHER, replace(OTHER, digest=b"c"), replace(OTHER, digest=b"no clip")]
        write_transcripts(other.catalog, said, sidecars=[BESIDE])
        write_answers(other.catalog, [replace(DOG, answer="a cat", made_at_s=2), RAIN])
        assert merge(store, other, said=False) == 1
        assert (read_sidecars(store.catalog), read_answers(store.catalog)) == ([], [DOG])
        assert list(read_transcripts(store.catalog)) == [HALF, replace(OTHER, made_at_s=5)]
        merge(store, other)
    assert list(read_transcripts(store.catalog)) == [
        HELLO,
        finished,
        replace(OTHER, made_at_s=5),
        replace(OTHER, digest=b"c"),
    ]
    assert read_sidecars(store.catalog) == [BESIDE]
    assert read_answers(store.catalog) == [DOG, RAIN]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE transcripts SET segments = replace(segments, 'Hello', 'Jello')",
        "DELETE FROM transcripts WHERE engine = 'sidecar.en'",
        "UPDATE sidecars SET size_bytes = 71",
        "DELETE FROM sidecars",
        "UPDATE answers SET answer = 'a cat' WHERE digest = x'61'",
        "DELETE FROM answers WHERE digest = x'61'",
    ],
)
def test_damage_is_seen_and_what_is_sound_is_saved(tmp_path, store, damage):
    fill(store)
    store.__exit__()
    with closing(sqlite3.connect(tmp_path / "store" / "catalog.sqlite3")) as db, db:
        db.execute(damage)
    read = {"transcripts": read_transcripts, "sidecars": read_sidecars, "answers": read_answers}
    table = damage.split()[1 if damage.startswith("UPDATE") else 2]
    with Store.open(tmp_path / "store") as opened:
        with pytest.raises(StoreError, match="is damaged"):
            opened.catalog.find_damage()
        with pytest.raises(StoreError, match="is damaged"):
            list(read[table](opened.catalog))
    assert salvage_if_damaged(tmp_path / "store") is not None
    with Store.open(tmp_path / "store") as opened:
        assert opened.catalog.find_damage() == []
        assert list(read_transcripts(opened.catalog)) == [*[HELLO] * (table != "transcripts"), HALF, OTHER]
        assert read_sidecars(opened.catalog) == [BESIDE] * (table != "sidecars")
        assert read_answers(opened.catalog) == [*[DOG] * (table != "answers"), RAIN]


def test_what_is_said_in_a_damaged_content_is_there_when_that_is_embedded_again(tmp_path, store):
    fill(store)
    store.__exit__()
    with closing(sqlite3.connect(tmp_path / "store" / "catalog.sqlite3")) as db, db:
        db.execute("UPDATE windows SET embedding = x'00' WHERE id = 1")
        db.execute("UPDATE contents SET windows = 7 WHERE id = 1")
    assert salvage_if_damaged(tmp_path / "store") is not None
    with Store.open(tmp_path / "store", read_only=False) as opened:
        assert [clip.path for clip in opened.clips()] == [Path("/s/b.wav")]
        put(opened, "/s/a.wav", b"a", None)
        opened.catalog.drop_unused_contents()
        assert list(read_transcripts(opened.catalog)) == [HELLO, HALF, OTHER]


@pytest.mark.parametrize(
    "segments", ["{", "7", "[[0.0, 1.0]]", '[[0, 1.0, "x", []]]', '[[0.0, 1.0, "x", [[0.0, "y"]]]]']
)
def test_segments_that_make_no_sense_are_damage(store, segments):
    from pe_search.store.schema import checksum

    row = (b"a", "e", "", None, segments, 1)
    with store.catalog.writing() as db:
        db.execute(
            "INSERT INTO transcripts (digest, engine, language, until_s, segments, made_at_s, checksum) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*row, checksum(*row)),
        )
    with pytest.raises(StoreError, match="is damaged"):
        list(read_transcripts(store.catalog))

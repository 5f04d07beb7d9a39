"""Hits, labels and clips become rows: from stores, from files, and in any order."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pe_search
from pe_search.errors import AudioError
from pe_search.known.fields import CLIP_FIELDS, FIELDS, LABEL_FIELDS, named
from pe_search.listener import Listener
from pe_search.queries import Hit
from pe_search.records import PLAIN_HEARING, Clip, Content, Facts, IndexedClip
from pe_search.store import Store, listing
from pe_search.store.facts import write_tags, write_zones
from pe_search.store.listing import copies_of
from pe_search.tasks import describing
from pe_search.tasks.describing import Describer, clip_of_file
from tests.made_up import manifest, noise, write_audio


def put(store, path, digest, facts=None, size_bytes=1, modified_ns=2, length_s=1.0):
    content = Content(digest, [(0.0, length_s)], np.ones((1, 3), np.float32), is_whole=True, facts=facts)
    store.catalog.commit(contents=[content], clips=[(Clip(Path(path), size_bytes, modified_ns), digest)])


def hit(path, start_s=0.0, **changes) -> Hit:
    return replace(Hit("dog", 1, Path(path), start_s, start_s + 1, 0.5, 0.25), **changes)


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", manifest()) as made:
        yield made


def rows(store, found, *names, **options) -> list[dict[str, object]]:
    stores = store if isinstance(store, tuple) else (store,)
    return list(Describer(named(names, FIELDS), stores, **options).rows(found))


def test_a_hit_has_what_the_store_knows_of_its_clip(store):
    put(store, "/s/20240612_053000.wav", b"a", Facts(sample_rate_hz=44_100, keywords=("dog", "fence")))
    write_tags(store.catalog, added=[(b"a", "fav")], removed=[])
    write_zones(store.catalog, {Path("/s"): "Europe/Berlin"})
    found = [hit("/s/20240612_053000.wav", 1.28, copies=(Path("/s/b.wav"),))]
    names = ("query", "path", "sample_rate_hz", "tags", "recorded_at", "recorded_by", "at", "keywords", "copies")
    assert rows(store, found, *names) == [
        {
            "query": "dog",
            "path": "/s/20240612_053000.wav",
            "sample_rate_hz": 44_100,
            "tags": ["fav"],
            "recorded_at": "2024-06-12T05:30:00+02:00",
            "recorded_by": "name",
            "at": "2024-06-12T05:30:01.280+02:00",
            "keywords": ["dog", "fence"],
            "copies": ["/s/b.wav"],
        }
    ]
    assert [*rows(store, found, *names)[0]] == [*names]


def test_rows_come_in_the_order_of_what_was_found_many_at_once(store, monkeypatch):
    monkeypatch.setattr(describing, "_ROWS_AT_ONCE", 3)
    for number in range(5):
        put(store, f"/s/{number}.wav", bytes([number]), Facts(channels=number + 1))
    wanted = [3, 1, 1, 4, 0, 2, 3]
    found = rows(store, (hit(f"/s/{number}.wav") for number in wanted), "channels")
    assert [row["channels"] - 1 for row in found] == wanted


def test_fields_of_a_hit_alone_ask_no_store(monkeypatch):
    def refuse(*_):
        raise AssertionError("the store was asked")

    monkeypatch.setattr(describing, "Known", refuse)
    monkeypatch.setattr(describing, "indexed_clips_at", refuse)
    names = ("query", "rank", "path", "name", "folder", "category", "start_s", "end_s", "score", "probability")
    assert rows((), [hit("/s/a.wav")], *names, "copies", "is_gone") == [
        {
            "query": "dog",
            "rank": 1,
            "path": "/s/a.wav",
            "name": "a.wav",
            "folder": "/s",
            "category": None,
            "start_s": 0.0,
            "end_s": 1.0,
            "score": 0.5,
            "probability": 0.25,
            "copies": [],
            "is_gone": True,
        }
    ]


def test_copies_of_a_clip_are_the_other_clips_of_its_bytes(store):
    for path, digest in (("/s/b.wav", b"a"), ("/s/a.wav", b"a"), ("/s/c.wav", b"c"), ("rows/1", b"a")):
        put(store, path, digest)
    assert [row["copies"] for row in rows(store, store.clips(), "copies")] == [
        ["/s/b.wav", "rows/1"],
        ["/s/a.wav", "rows/1"],
        [],
        ["/s/a.wav", "/s/b.wav"],
    ]
    assert copies_of(store.catalog, Path("/s/none.wav")) == ()


def test_of_several_stores_the_first_that_holds_a_clip_tells(store, tmp_path):
    put(store, "/s/a.wav", b"a", Facts(channels=1))
    with Store.create(tmp_path / "other", manifest()) as other:
        put(other, "/s/a.wav", b"x", Facts(channels=5))
        put(other, "/s/b.wav", b"b", Facts(channels=2))
        found = rows((store, other), [hit("/s/b.wav"), hit("/s/a.wav")], "channels")
        assert [row["channels"] for row in found] == [2, 1]


def test_a_clip_that_is_in_no_store_and_no_file_is_unknown(store):
    names = ("path", "length_s", "tags", "at", "digest", "is_incomplete", "name")
    for path in ("/s/none.wav", "rows/none"):
        (row,) = rows(store, [hit(path)], *names)
        unknown = {name: row[name] for name in ("length_s", "tags", "at", "digest", "is_incomplete")}
        assert unknown == {"length_s": None, "tags": None, "at": None, "digest": None, "is_incomplete": None}
        assert (row["path"], row["name"]) == (path, Path(path).name)


# By files


def test_a_file_is_described_by_its_header(tmp_path):
    path = write_audio(tmp_path / "2024-06-12T05-30-00.wav", noise(2.5, rate_hz=22_050), 22_050, "PCM_16")
    clip = clip_of_file(path, PLAIN_HEARING)
    status = path.stat()
    assert clip == IndexedClip(
        path,
        status.st_size,
        status.st_mtime_ns,
        2.5,
        0,
        None,
        b"",
        facts=Facts(sample_rate_hz=22_050, channels=1, bits=16, codec="pcm_16"),
        recorded_at="2024-06-12T05:30:00",
        recorded_by="name",
    )
    assert not clip.is_held
    assert Listener().describe(path) == clip
    with pytest.raises(AudioError, match=r"none\.wav: "):
        Listener().describe(tmp_path / "none.wav")


def test_a_listener_without_a_store_makes_rows_of_files(tmp_path):
    path = write_audio(tmp_path / "20240612_053000Z.wav", noise(0.5))
    found = list(Listener().rows([hit(path, 0.25)], ["at", "length_s", "windows", "digest", "tags"]))
    assert found == [
        {"at": "2024-06-12T05:30:00.250+00:00", "length_s": 0.5, "windows": None, "digest": None, "tags": []}
    ]


def test_a_file_that_changed_since_is_read_only_where_rows_are_of_files(store, tmp_path):
    path = write_audio(tmp_path / "20240612_053000.wav", noise(0.5))
    put(store, path, b"a", Facts(channels=9), size_bytes=path.stat().st_size, modified_ns=path.stat().st_mtime_ns)
    write_zones(store.catalog, {tmp_path: "Europe/Berlin"})
    names = ("channels", "recorded_at", "windows")
    held = [{"channels": 9, "recorded_at": "2024-06-12T05:30:00+02:00", "windows": 1}]
    assert rows(store, [hit(path)], *names, are_of_files=True) == held
    os.utime(path, ns=(1, 1))
    assert rows(store, [hit(path)], *names) == held
    # The zone of the folder is the store's, whatever the file says.
    now = [{"channels": 1, "recorded_at": "2024-06-12T05:30:00+02:00", "windows": None}]
    assert rows(store, [hit(path)], *names, are_of_files=True) == now
    path.write_bytes(b"no sound")
    assert rows(store, [hit(path)], "channels", are_of_files=True) == [{"channels": None}]
    path.unlink()
    assert rows(store, [hit(path)], *names, are_of_files=True) == held


def test_a_name_is_never_looked_for_on_the_disk(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_audio(tmp_path / "rows" / "1.wav", noise(0.1)).rename(tmp_path / "rows" / "1")
    put(store, "rows/1", b"a", Facts(channels=7))
    assert rows(store, [hit("rows/1")], "channels", are_of_files=True) == [{"channels": 7}]


# In order


def test_clips_sort_by_any_field_with_unknown_ones_last_and_equal_ones_by_path(store):
    drawn = random.Random(7)
    for number in range(60):
        facts = Facts(
            bpm=drawn.choice([None, 90.0, 120.0, 120.5]),
            title=drawn.choice([None, "b", "A", "a", "B"]),
            keywords=drawn.choice([(), ("x",), ("x", "y"), ("a",)]),
            recorded_at=drawn.choice([None, "2024-06-12T05:30:00+02:00", "2024-06-12T05:30:00", "2023-01-01T00:00:00"]),
        )
        put(store, f"/s/{number:02d}.wav", bytes([number % 50]), facts, length_s=drawn.choice([1.0, 2.0, 10.0]))
    clips = list(store.clips())
    assert clips == sorted(clips, key=lambda clip: bytes(clip.path))
    describer = Describer(named(["path"], CLIP_FIELDS), (store,))
    for name, known, key in (
        ("bpm", lambda clip: clip.facts.bpm is not None, lambda clip: clip.facts.bpm),
        ("title", lambda clip: clip.facts.title is not None, lambda clip: (clip.facts.title.lower(), clip.facts.title)),
        ("length_s", lambda _: True, lambda clip: clip.duration_s),
        ("keywords", lambda clip: clip.facts.keywords, lambda clip: clip.facts.keywords),
        ("recorded_at", lambda clip: clip.recorded_at, lambda clip: clip.recorded_at[:19]),
        ("path", lambda _: True, lambda clip: bytes(clip.path)),
        ("copies", lambda clip: copies_of(store.catalog, clip.path), lambda clip: copies_of(store.catalog, clip.path)),
    ):
        unknown = [clip for clip in clips if not known(clip)]
        for reverse in (False, True):
            # Python's own sort leaves equal ones in their order, in either direction.
            expected = sorted(filter(known, clips), key=key, reverse=reverse) + unknown
            found = describer.sorted(store.clips(), CLIP_FIELDS[name], reverse=reverse)
            assert [str(clip.path) for clip in found] == [str(clip.path) for clip in expected], name


# Through the library


def test_a_library_makes_rows_of_its_clips_and_hits(store, tmp_path, monkeypatch):
    put(store, "/s/20240612_053000.wav", b"a", Facts(channels=1))
    put(store, "rows/1", b"b", Facts(channels=2))
    with pe_search.open(tmp_path / "store") as library:
        assert list(library.rows(library.clips(), ["name", "channels"])) == [
            {"name": "20240612_053000.wav", "channels": 1},
            {"name": "1", "channels": 2},
        ]
        (row,) = library.rows([hit("/s/20240612_053000.wav", 2.0)], "at")
        assert row == {"at": "2024-06-12T05:30:02.000"}
        with pytest.raises(ValueError, match="'nothing' is not a field; fields are query, "):
            library.rows([], ["nothing"])
        known = library.known(["rows/1", Path("/s/none.wav")])
        assert known == {Path("rows/1"): next(clip for clip in library.clips() if clip.path == Path("rows/1"))}
        monkeypatch.setattr(listing, "_ROWS_AT_ONCE", 1)
        assert len(list(library.rows(library.clips(), ["path"]))) == 2


def test_several_libraries_know_what_the_first_holds(store, tmp_path):
    put(store, "/s/a.wav", b"a", Facts(channels=1))
    with Store.create(tmp_path / "other", manifest()) as other:
        put(other, "/s/a.wav", b"x", Facts(channels=5))
        put(other, "/s/b.wav", b"b", Facts(channels=2))
    with pe_search.open([tmp_path / "store", tmp_path / "other"]) as library:
        paths = [Path("/s/a.wav"), Path("/s/b.wav")]
        assert [library.known(paths)[path].facts.channels for path in paths] == [1, 2]
        assert [row["channels"] for row in library.rows(map(hit, paths), ["channels"])] == [1, 2]


def test_labels_are_called_labels(tmp_path):
    path = write_audio(tmp_path / "a.wav", noise(0.1))
    describer = Listener().describer(named(["label", "rank", "sample_rate_hz"], LABEL_FIELDS), are_of_files=True)
    assert list(describer.rows([hit(path)])) == [{"label": "dog", "rank": 1, "sample_rate_hz": 48_000}]

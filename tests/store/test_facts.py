"""What is known of clips: kept with their contents, tags by digest, zones by folder."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pe_search.errors import StoreError
from pe_search.records import Clip, Content, Facts
from pe_search.store import Manifest, Store
from pe_search.store.facts import read_tags, read_zones, without_facts, write_facts, write_tags, write_zones
from pe_search.store.listing import indexed_clips_at
from pe_search.store.merge import merge
from pe_search.store.salvage import salvage_if_damaged

ALL = Facts(
    sample_rate_hz=44_100,
    channels=2,
    bits=24,
    codec="pcm_24",
    title="Große Trommel",
    artist="A",
    album="B",
    comment="C\udc80",
    description="D",
    genre="E",
    keywords=("kick", "808"),
    bpm=120.5,
    key="C#",
    recorded_at="2024-06-12T05:30:00",
    recorded_by="bext",
    loudness_lufs=-23.0,
    peak_dbfs=-1.5,
)


def manifest() -> Manifest:
    return Manifest(
        model="m",
        revision="r",
        dimension=2,
        window_s=10.0,
        hop_s=10.0,
        sample_rate_hz=48_000,
        logit_scale=1.0,
        logit_bias=0.0,
    )


def put(store, path, digest, facts, size_bytes=1):
    content = Content(digest, [(0.0, 1.0)], np.ones((1, 2), np.float32), is_whole=True, facts=facts)
    store.catalog.commit(contents=[content], clips=[(Clip(Path(path), size_bytes, 2), digest)])


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", manifest()) as made:
        yield made


def test_all_facts_are_kept_as_they_are(store):
    assert all(getattr(ALL, field.name) not in (None, ()) for field in dataclasses.fields(Facts))
    put(store, "/s/a.wav", b"a", ALL)
    put(store, "/s/b.wav", b"b", Facts())
    put(store, "/s/c.wav", b"c", None)
    assert [clip.facts for clip in store.clips()] == [ALL, Facts(), Facts()]
    content = store.catalog.content_of(b"a")
    assert content is not None
    assert content.facts == ALL
    assert without_facts(store.catalog) == {Path("/s/c.wav"): b"c"}
    write_facts(store.catalog, {b"c": ALL, b"no such": ALL})
    assert without_facts(store.catalog) == {}
    assert indexed_clips_at(store.catalog, [Path("/s/c.wav"), Path("/s/none")])[Path("/s/c.wav")].facts == ALL


def test_a_content_that_goes_takes_its_facts_along(store):
    put(store, "/s/a.wav", b"a", ALL)
    store.catalog.commit(removed=[Path("/s/a.wav")])
    store.catalog.drop_unused_contents()
    put(store, "/s/a.wav", b"b", None)
    # The new content has the id of the old one.
    assert [clip.facts for clip in store.clips()] == [Facts()]


def test_when_a_clip_was_recorded_is_told_by_its_facts_its_name_and_the_zone_of_its_folder(store):
    put(store, "/s/a.wav", b"a", ALL)
    put(store, "/s/berlin/20240612_053000.wav", b"b", Facts())
    put(store, "/s/berlin/north/20240612_053000Z.wav", b"c", Facts())
    write_zones(store.catalog, {Path("/s/berlin"): "Europe/Berlin", Path("/s/berlin/north"): "UTC", Path("/t"): "UTC"})
    write_zones(store.catalog, {Path("/t"): None})
    assert read_zones(store.catalog) == {Path("/s/berlin"): "Europe/Berlin", Path("/s/berlin/north"): "UTC"}
    assert [(clip.recorded_at, clip.recorded_by) for clip in store.clips()] == [
        ("2024-06-12T05:30:00", "bext"),
        ("2024-06-12T05:30:00+02:00", "name"),
        ("2024-06-12T05:30:00+00:00", "name"),
    ]


def test_tags_belong_to_bytes_and_outlive_a_move(store):
    put(store, "/s/a.wav", b"a", None)
    put(store, "/s/b.wav", b"b", None)
    assert write_tags(store.catalog, added=[(b"a", "kick"), (b"a", "fav"), (b"b", "fav")], removed=[]) == 3
    assert write_tags(store.catalog, added=[(b"a", "kick")], removed=[(b"b", "fav"), (b"b", "none")]) == 1
    store.catalog.commit(removed=[Path("/s/a.wav")])
    assert [clip.tags for clip in store.clips()] == [()]
    put(store, "/new/place.wav", b"a", None)
    assert [clip.tags for clip in store.clips()] == [("fav", "kick"), ()]
    assert read_tags(store.catalog) == {b"a": ("fav", "kick")}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE facts SET facts = replace(facts, '44100', '44101')",
        "UPDATE tags SET tag = 'snare'",
        "DELETE FROM tags",
        "UPDATE zones SET zone = 'UTC'",
        "DELETE FROM zones",
    ],
)
def test_damage_is_seen_and_what_is_sound_is_saved(tmp_path, damage):
    with Store.create(tmp_path / "store", manifest()) as store:
        put(store, "/s/a.wav", b"a", ALL)
        write_tags(store.catalog, added=[(b"a", "kick")], removed=[])
        write_zones(store.catalog, {Path("/s"): "Europe/Berlin"})
    with closing(sqlite3.connect(tmp_path / "store" / "catalog.sqlite3")) as db, db:
        db.execute(damage)
    with Store.open(tmp_path / "store") as store, pytest.raises(StoreError, match="is damaged"):
        store.catalog.find_damage()
    with Store.open(tmp_path / "store") as store, pytest.raises(StoreError, match="is damaged"):
        list(store.clips())
    assert salvage_if_damaged(tmp_path / "store") is not None
    table = damage.split()[1 if damage.startswith("UPDATE") else 2]
    with Store.open(tmp_path / "store") as store:
        assert store.catalog.find_damage() == []
        (clip,) = store.clips()
        assert clip.facts == (Facts() if table == "facts" else ALL)
        assert clip.tags == (() if table == "tags" else ("kick",))
        assert read_zones(store.catalog) == ({} if table == "zones" else {Path("/s"): "Europe/Berlin"})


def test_a_merge_brings_facts_tags_and_zones(tmp_path, store):
    put(store, "/s/a.wav", b"a", ALL)
    write_zones(store.catalog, {Path("/s"): "UTC"})
    with Store.create(tmp_path / "other", manifest()) as other:
        put(other, "/o/b.wav", b"b", ALL)
        write_tags(other.catalog, added=[(b"b", "kick"), (b"a", "fav")], removed=[])
        write_zones(other.catalog, {Path("/s"): "Europe/Berlin", Path("/o"): "Asia/Tokyo"})
        assert merge(store, other) == 1
    assert [(clip.facts, clip.tags) for clip in store.clips()] == [(ALL, ("kick",)), (ALL, ("fav",))]
    assert read_zones(store.catalog) == {Path("/s"): "UTC", Path("/o"): "Asia/Tokyo"}


@pytest.mark.parametrize("facts", ["[]", "{", '{"channels": "two"}', '{"colour": "red"}', '{"keywords": 1}'])
def test_facts_that_make_no_sense_are_damage(store, facts):
    from pe_search.store.schema import checksum

    put(store, "/s/a.wav", b"a", ALL)
    with store.catalog.writing() as db:
        db.execute("UPDATE facts SET facts = ?, checksum = ?", (facts, checksum(1, facts)))
    with pytest.raises(StoreError, match="is damaged"):
        list(store.clips())

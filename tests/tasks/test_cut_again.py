"""Cuts say what their clips say: indexed again, they have the same facts, and were recorded as much later."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import pe_search
from pe_search.audio.flac import put_comments
from pe_search.audio.read import ClipReader
from pe_search.queries import Hit, Span
from pe_search.records import IndexedClip
from tests.audio.encoded import KINDS, encode
from tests.audio.test_metadata import bext, chunk, info, write_wave
from tests.made_up import noise, write_audio

SPAN = Span(0.0123, 0.09, 0.93)
AUDIOMOTH = b"Recorded at 19:17:30 14/02/2022 (UTC-3:30) by AudioMoth 243B1F075C7BC7D8 at medium gain"
GUANO = (
    b"GUANO|Version: 1.0\nTimestamp: 2024-06-12T05:30:00.250+02:00\nNote: by the pond\n"
    b"Species Manual ID: MYODAU\nTags: bats, river\n"
)
IXML = b"<BWFXML><NOTE>door, wood</NOTE><KEYWORDS>door;creak</KEYWORDS></BWFXML>"
TAGS = {
    "title": "Kick 808 — 雨",
    "artist": "Somebody",
    "album": "Drums = good",
    "comment": "dry",
    "genre": "Electronic",
    "BPM": "128.5",
    "INITIALKEY": "F#m",
    "KEYWORDS": "kick;808",
    "creation_time": "2024-06-12T05:30:00Z",
}
# When each was recorded, and what says so, where the zone of the folder is Europe/Berlin.
RECORDED = {
    "guano.wav": ("2024-06-12T05:30:00.250000+02:00", "GUANO"),
    # Its name says another time, which comes after what its header says.
    "guano_20200101_000000.wav": ("2024-06-12T05:30:00.250000+02:00", "GUANO"),
    "bext.wav": ("2024-06-12T05:30:00+02:00", "bext"),
    # A second before clocks go forward; the recorder's own does not.
    "spring.wav": ("2024-03-31T01:59:59.990000+01:00", "GUANO"),
    "audiomoth.wav": ("2022-02-14T19:17:30-03:30", "AudioMoth"),
    "SMM09889_20230625_211402.wav": ("2023-06-25T21:14:02+02:00", "name"),
    "part_20230625_211402_31.20-34.00s.wav": ("2023-06-25T21:14:33.200000+02:00", "name"),
    "tags.flac": ("2024-06-12T05:30:00+00:00", "tags"),
    "tags_20240101_000000.flac": ("2024-01-01T00:00:00+01:00", "name"),
    "ixml.wav": None,
    "plain.wav": None,
}


def write_all(folder: Path) -> None:
    folder.mkdir()
    guano, berlin = chunk(b"guan", GUANO), b"Timestamp: 2024-03-31T01:59:59.990\n"
    write_wave(folder / "guano.wav", bext(b"Two dogs bark", b"2020-01-01", b"00:00:00"), after=(guano,))
    write_wave(folder / "guano_20200101_000000.wav", guano, chunk(b"x", b""))
    write_wave(folder / "bext.wav", bext("Türen".encode(), b"2024-06-12", b"05:30:00"))
    write_wave(folder / "spring.wav", chunk(b"guan", berlin))
    write_wave(folder / "audiomoth.wav", info(ICMT=AUDIOMOTH, IART=b"AudioMoth 243B1F075C7BC7D8"))
    write_wave(folder / "ixml.wav", chunk(b"iXML", IXML))
    for seed, name in enumerate(("SMM09889_20230625_211402", "part_20230625_211402_31.20-34.00s", "plain")):
        write_audio(folder / f"{name}.wav", noise(0.1, seed), subtype="PCM_16")
    for name in ("tags", "tags_20240101_000000"):
        sound = encode(replace(KINDS["FLAC"], tags=TAGS | {"artist": name}), noise(0.5))
        (folder / f"{name}.flac").write_bytes(sound)


@pytest.fixture(scope="module")
def library(tmp_path_factory, plain_checkpoint) -> Iterator[pe_search.Library]:
    """A store of all these, of cuts of them, and of cuts of the cuts."""
    folder = tmp_path_factory.mktemp("cut again")
    write_all(folder / "clips")
    with pe_search.create(folder / "cuts.store", model=str(plain_checkpoint[0])) as library:
        assert library.index(folder / "clips", zone="Europe/Berlin").clips == len(RECORDED)
        for before, after in (("clips", "cuts"), ("cuts", "cuts of cuts")):
            (folder / after).mkdir()
            for clip in library.clips(folder / before):
                span = SPAN if before == "clips" else Span(0.002, 0.05, 0.5)
                (cut,) = library.cut(clip.path, [span], folder / after)
                cut.rename(folder / after / f"{clip.path.stem}_cut.flac" if before == "clips" else cut)
            library.index(folder / after)
        yield library


def clips_in(library: pe_search.Library, folder: str) -> dict[str, IndexedClip]:
    place = library.directory.parent / folder
    return {clip.path.stem.split("_cut")[0]: clip for clip in library.clips(place)}


def said(clip: IndexedClip) -> dict[str, object]:
    """All that does not depend on how the samples are kept, and when they were recorded."""
    names = ("title", "artist", "album", "comment", "description", "genre", "keywords", "bpm", "key")
    sampled = {"sample_rate_hz": clip.facts.sample_rate_hz, "channels": clip.facts.channels}
    return {name: getattr(clip.facts, name) for name in names} | sampled


@pytest.mark.parametrize("name", RECORDED)
def test_a_clip_is_as_it_was_made(library, name):
    clip = clips_in(library, "clips")[Path(name).stem]
    assert ((clip.recorded_at, clip.recorded_by) if clip.recorded_at else None) == RECORDED[name]
    assert any(said(clip)[fact] for fact in ("comment", "description", "title")) is (
        not name.startswith(("plain", "SMM", "part", "spring"))
    )


@pytest.mark.parametrize(("folder", "start_s"), [("cuts", SPAN.start_s), ("cuts of cuts", SPAN.start_s + 0.002)])
@pytest.mark.parametrize("name", RECORDED)
def test_a_cut_that_is_indexed_again_says_the_same_of_itself_and_of_its_time(library, name, folder, start_s):
    clip, cut = (clips_in(library, place)[Path(name).stem] for place in ("clips", folder))
    assert said(cut) == said(clip)
    assert cut.recorded_by == clip.recorded_by
    if clip.recorded_at is None:
        assert cut.recorded_at is None
    else:
        # To the microsecond, though its name has hundredths of a second.
        moved = datetime.fromisoformat(clip.recorded_at) + timedelta(seconds=start_s)
        assert cut.recorded_at == moved.isoformat()


def test_all_facts_were_tried(library):
    every = [said(clip) for clip in clips_in(library, "clips").values()]
    assert {name for name in every[0] if not any(one[name] for one in every)} == set()
    # A description with a comment, without one, and the other way round.
    kinds = {(one["comment"] is not None, one["description"] is not None) for one in every}
    assert kinds == {(True, True), (False, True), (True, False), (False, False)}


def test_a_zone_that_the_folder_gets_later_changes_no_cut(library):
    """A cut keeps the zone that was known when it was made, wherever it lies."""
    cuts = library.directory.parent / "cuts"
    before = {name: cut.recorded_at for name, cut in clips_in(library, "cuts").items()}
    library.index(cuts, zone="Asia/Tokyo")
    assert {name: cut.recorded_at for name, cut in clips_in(library, "cuts").items()} == before
    library.index(cuts, zone="none")


def test_what_says_nothing_of_itself_is_cut_without_comments(library, tmp_path):
    (cut,) = library.cut(library.directory.parent / "clips" / "plain.wav", [SPAN], tmp_path)
    assert b"ENCODER" not in cut.read_bytes()


def test_a_listener_without_a_store_knows_no_zone(library, tmp_path):
    from pe_search.listener import Listener

    path = library.directory.parent / "clips" / "bext.wav"
    (cut,) = Listener().cut(path, [SPAN], tmp_path)
    with ClipReader(cut) as reader:
        facts = reader.facts()
    assert (facts.recorded_at, facts.recorded_by) == ("2024-06-12T05:30:00.012300", "bext")


def test_a_name_moves_the_time_only_where_nothing_else_tells(tmp_path):
    """As cuts of an older pe-search are named, which say nothing of themselves."""
    from pe_search.known.recorded import when

    path = write_audio(tmp_path / "a_20230625_211402_31.20-34.00s_0.93.flac", noise(0.1), subtype="PCM_16")
    with ClipReader(path) as reader:
        assert when(reader.facts(), path.name) == (datetime(2023, 6, 25, 21, 14, 33, 200_000), "name")
    put_comments(path, [("RECORDED_AT", "2023-06-25T21:14:33.204"), ("RECORDED_BY", "name")])
    with ClipReader(path) as reader:
        assert when(reader.facts(), path.name) == (datetime(2023, 6, 25, 21, 14, 33, 204_000), "name")


@pytest.mark.parametrize("by", ["nonsense", "", "guano", "x" * 10_000])
def test_a_source_that_there_is_not_counts_as_tags(tmp_path, by):
    path = write_audio(tmp_path / "a.flac", noise(0.1), subtype="PCM_16")
    put_comments(path, [("RECORDED_AT", "2023-06-25T21:14:33Z"), ("RECORDED_BY", by)])
    with ClipReader(path) as reader:
        facts = reader.facts()
    assert (facts.recorded_at, facts.recorded_by) == ("2023-06-25T21:14:33+00:00", "tags")
    put_comments(path, [("RECORDED_AT", "yesterday"), ("RECORDED_BY", by)])
    with ClipReader(path) as reader:
        assert reader.facts().recorded_at is None


def test_hits_are_cut_with_their_times(library, tmp_path):
    clips = library.directory.parent / "clips"
    hit = Hit("rain", 1, clips / "guano.wav", 0.02, 0.08, 0.0, 0.5)
    (cut,) = library.cut(hit.path, [hit], tmp_path)
    with ClipReader(cut) as reader:
        assert reader.facts().recorded_at == "2024-06-12T05:30:00.270000+02:00"


def test_a_copy_is_byte_for_byte_the_clip(library, tmp_path):
    clips = library.directory.parent / "clips"
    for name in RECORDED:
        assert library.copy(clips / name, tmp_path).read_bytes() == (clips / name).read_bytes()
    shutil.rmtree(tmp_path)


def test_other_programs_read_the_date(library):
    import av

    with av.open(library.directory.parent / "cuts" / "guano_cut.flac") as container:
        assert container.metadata["DATE"] == "2024-06-12T05:30:00.262300+02:00"

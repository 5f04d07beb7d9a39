"""`index` takes in the transcripts beside clips, and follows what becomes of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import pe_search
from pe_search.records import Problem, Segment
from pe_search.store.transcripts import read_sidecars, read_transcripts
from tests.made_up import noise, write_audio


class Folder:
    """A folder of clips, and its store."""

    def __init__(self, place: Path, checkpoint: Path) -> None:
        self.sounds = place / "sounds"
        self.library = pe_search.create(place / "store", str(checkpoint), window_s=1.0)
        self.problems: list[Problem] = []
        self._time_s = 1_700_000_000

    def clip(self, name: str, seed: int = 0) -> None:
        write_audio(self.sounds / name, noise(0.5, seed))

    def put(self, name: str, text: str) -> None:
        path = self.sounds / name
        path.write_bytes(text.encode("latin-1"))
        self._time_s += 1
        os.utime(path, (self._time_s, self._time_s))

    def index(self, *paths: Path, **options) -> int:
        self.problems.clear()
        paths = paths or (self.sounds,)
        return self.library.index(paths, on_problem=self.problems.append, **options).sidecars

    def said(self) -> list[tuple[str, str, str]]:
        self.library.close()
        catalog = self.library.open().catalog
        return [
            (one.engine, one.language, " / ".join(segment.text for segment in one.segments))
            for one in read_transcripts(catalog)
        ]

    def sidecars(self) -> list[tuple[str, str]]:
        return [(one.path.name, one.engine) for one in read_sidecars(self.library.open().catalog)]


@pytest.fixture
def folder(plain_checkpoint, tmp_path):
    made = Folder(tmp_path, plain_checkpoint[0])
    yield made
    made.library.close()


def srt(text: str) -> str:
    return f"1\n00:00:00,100 --> 00:00:00,400\n{text}\n\n"


def test_sidecars_come_with_their_clips_and_change_and_go(folder):
    folder.clip("a.wav")
    folder.put("a.srt", srt("good morning"))
    assert folder.index() == 1
    assert folder.said() == [("sidecar", "", "good morning")]
    (transcript,) = read_transcripts(folder.library.open().catalog)
    assert transcript.segments == (Segment(0.1, 0.4, "good morning"),)
    assert transcript.made_at_s == 1_700_000_001
    assert folder.index() == 0
    folder.put("a.srt", srt("good night"))
    assert folder.index() == 1
    assert folder.said() == [("sidecar", "", "good night")]
    (folder.sounds / "a.srt").unlink()
    assert folder.index() == 0
    assert (folder.said(), folder.sidecars()) == ([], [])
    # Later than its clip.
    folder.put("a.wav.vtt", "WEBVTT\n\n00:00.100 --> 00:00.400\nhello\n")
    assert folder.index(folder.sounds / "a.wav") == 1
    assert folder.said() == [("sidecar", "", "hello")]


def test_each_language_has_its_own_and_of_several_formats_one_counts(folder):
    folder.clip("a.wav")
    folder.put("a.txt", "plain")
    folder.put("a.srt", srt("subtitle"))
    folder.put("a.de.srt", srt("Untertitel"))
    folder.put("a.json", json.dumps({"bpm": 120}))
    assert folder.index() == 2
    assert folder.said() == [("sidecar", "", "subtitle"), ("sidecar.de", "de", "Untertitel")]
    assert folder.sidecars() == [("a.de.srt", "sidecar.de"), ("a.json", ""), ("a.srt", "sidecar")]
    assert folder.index() == 0
    folder.put("a.json", json.dumps({"language": "en", "segments": [{"start": 0, "end": 0.2, "text": "whisper"}]}))
    assert folder.index() == 1
    assert folder.said()[0] == ("sidecar", "en", "whisper")
    (folder.sounds / "a.json").unlink()
    assert folder.index() == 1
    assert folder.said()[0] == ("sidecar", "", "subtitle")
    assert folder.index() == 0


def test_a_sidecar_may_be_of_two_clips(folder):
    folder.clip("a.wav", 0)
    folder.clip("a.aiff", 1)
    folder.put("a.srt", srt("both"))
    assert folder.index() == 2
    assert [text for *_, text in folder.said()] == ["both", "both"]
    folder.put("a.aiff.srt", srt("one of them"))
    folder.put("a.vtt", "WEBVTT\n\n00:00.100 --> 00:00.400\nboth\n")
    assert folder.index() == 2
    assert sorted(text for *_, text in folder.said()) == ["both", "one of them"]
    assert folder.index() == 0


def test_copies_keep_what_one_of_them_has_beside_it(folder, tmp_path):
    folder.clip("x/a.wav")
    folder.clip("y/a.wav")
    folder.put("x/a.srt", srt("said once"))
    assert folder.index() == 1
    assert folder.index(folder.sounds / "y") == 0
    assert folder.said() == [("sidecar", "", "said once")]


def test_broken_ones_are_a_line_and_spoil_nothing(folder):
    folder.clip("a.wav", 0)
    folder.clip("b.wav", 1)
    folder.put("a.srt", "nothing like it")
    folder.put("b.srt", srt("fine"))
    assert folder.index() == 1
    (problem,) = folder.problems
    reason = "has no subtitles of SRT; what is said there is not known"
    assert problem == Problem(folder.sounds / "a.srt", reason, is_note=True)
    assert folder.said() == [("sidecar", "", "fine")]
    # It is known, and not read again.
    assert folder.index() == 0
    assert folder.problems == []
    folder.put("b.srt", "broken now")
    assert folder.index() == 0
    assert [one.path.name for one in folder.problems] == ["b.srt"]
    assert folder.said() == []


def test_they_can_be_left_alone_and_excluded(folder):
    folder.clip("a.wav")
    folder.put("a.srt", srt("secret"))
    assert folder.index(sidecars=False) == 0
    assert folder.said() == []
    assert folder.index(exclude=["*.srt"]) == 0
    assert folder.said() == []
    assert folder.index() == 1
    (folder.sounds / "a.srt").unlink()
    assert folder.index(sidecars=False) == 0
    assert folder.said() == [("sidecar", "", "secret")]


def test_they_move_and_go_with_their_clips(folder):
    folder.clip("x/a.wav")
    folder.put("x/a.srt", srt("here"))
    folder.clip("keep.wav", 1)
    assert folder.index() == 1
    (folder.sounds / "x").rename(folder.sounds / "y")
    assert folder.index() == 1
    assert folder.said() == [("sidecar", "", "here")]
    assert folder.sidecars() == [("a.srt", "sidecar")]
    assert folder.index() == 0
    (folder.sounds / "y/a.wav").unlink()
    assert folder.index() == 0
    assert (folder.said(), folder.sidecars()) == ([], [])


def test_what_they_say_is_found(folder):
    folder.clip("a.wav")
    folder.put("a.srt", srt("the Tuesday meeting"))
    folder.index()
    folder.library.close()
    (hit,) = folder.library.query(said='"tuesday meet"')
    assert (hit.path, hit.start_s, hit.end_s) == (folder.sounds / "a.wav", 0.1, 0.4)


def test_what_a_long_recording_says_is_kept_and_too_much_is_said(folder):
    folder.clip("long.wav")
    folder.clip("other.wav", seed=1)
    word = {"start": 0.125, "end": 0.25, "word": "good"}
    segment = {"start": 0.125, "end": 0.375, "text": "good", "words": [word] * 100}
    folder.put("long.json", json.dumps({"segments": [segment] * 600}))
    # A letter of Latin-1 is kept as six.
    folder.put("other.txt", "\xe9" * (6 << 20))
    assert folder.index() == 1
    assert folder.said() == [("sidecar", "", " / ".join(["good"] * 600))]
    reason = "says more than a store keeps of a clip; what is said there is not known"
    assert folder.problems == [Problem(folder.sounds / "other.txt", reason, is_note=True)]
    assert folder.index() == 0
    assert folder.problems == []

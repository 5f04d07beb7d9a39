"""Clips that are read ahead: in order, bounded, stopped when nobody wants them."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pe_search.audio import ahead as ahead_module
from pe_search.audio.ahead import read_ahead
from pe_search.audio.hashing import content_digest
from pe_search.audio.read import ClipReader
from pe_search.audio.windows import cut_windows
from pe_search.errors import AudioError
from pe_search.records import Clip
from tests.made_up import noise, write_audio


def make_clips(folder: Path, *seconds: float) -> list[Clip]:
    clips = []
    for number, length_s in enumerate(seconds):
        path = folder / f"{number:03}.wav"
        write_audio(path, noise(length_s, seed=number))
        clips.append(Clip(path, path.stat().st_size, path.stat().st_mtime_ns))
    return clips


def never(_digest: bytes) -> bool:
    return False


def reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_gives_what_reading_each_in_turn_gives(tmp_path):
    clips = make_clips(tmp_path, 0.1, 2.5, 0.3, 1.0, 7.3)
    for index, ahead in enumerate(read_ahead(clips, 1.0, 0.5, never)):
        assert ahead.clip == clips[index]
        assert ahead.digest() == content_digest(ahead.clip.path)
        windows = list(ahead.windows())
        with ClipReader(ahead.clip.path) as reader:
            expected = list(cut_windows(reader.blocks(), 1.0, 0.5))
        assert [(one.start_s, one.end_s) for one in windows] == [(one.start_s, one.end_s) for one in expected]
        for one, other in zip(windows, expected, strict=True):
            np.testing.assert_array_equal(one.samples, other.samples)
        assert ahead.share_read == 1.0
    assert index == len(clips) - 1
    assert not reading_threads()


def test_a_known_content_is_not_decoded(tmp_path):
    clips = make_clips(tmp_path, 1.0, 1.0)
    known = {content_digest(clips[0].path)}
    assert [len(list(ahead.windows())) for ahead in read_ahead(clips, 0.5, 0.5, known.__contains__)] == [0, 2]


def test_no_more_is_held_of_a_clip_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(ahead_module, "_SECONDS_AHEAD", 2.0)
    most = 0
    seen = ahead_module.ClipAhead._go_on

    def watch(self):
        nonlocal most
        seen(self)
        most = max(most, len(self._windows) + 1)

    monkeypatch.setattr(ahead_module.ClipAhead, "_go_on", watch)
    with closing(read_ahead(make_clips(tmp_path, 30.0), 0.5, 0.5, never)) as reading:
        ahead = next(reading)
        with ahead._changed:
            # Windows of half a second; as many come whoever is quicker, reading or taking.
            assert ahead._changed.wait_for(lambda: len(ahead._windows) == 4, timeout=60)
        assert len(list(ahead.windows())) == 60
        assert most == 4


def test_only_so_many_clips_are_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(ahead_module, "_CLIPS_AHEAD", 3)
    clips = make_clips(tmp_path, *[0.1] * 10)
    asked: list[Path] = []

    def listed():
        for clip in clips:
            asked.append(clip.path)
            yield clip

    with closing(read_ahead(listed(), 1.0, 1.0, never)) as reading:
        next(reading)
        assert len(asked) == 4
        next(reading)
        assert len(asked) == 5


def test_what_is_left_in_the_middle_stops_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(ahead_module, "_SECONDS_AHEAD", 1.0)
    clips = make_clips(tmp_path, 5.0, 5.0, 5.0)
    reading = read_ahead(clips, 0.5, 0.5, never)
    windows = next(reading).windows()
    next(windows)
    # The first is not read to its end; the second is, and then all is left.
    assert len(list(next(reading).windows())) == 10
    reading.close()
    assert not reading_threads()


def test_an_unreadable_clip_raises_where_its_windows_are_taken_and_the_next_goes_on(tmp_path):
    clips = make_clips(tmp_path, 1.0, 1.0, 1.0)
    clips[0].path.write_bytes(b"not audio")
    clips[1].path.unlink()
    with closing(read_ahead(clips, 1.0, 1.0, never)) as reading:
        first = next(reading)
        assert first.digest()
        with pytest.raises(AudioError, match=r"000\.wav: can't be read as audio"):
            list(first.windows())
        with pytest.raises(AudioError, match="No such file"):
            next(reading).digest()
        assert len(list(next(reading).windows())) == 1
        assert list(reading) == []


def test_a_clip_that_changes_while_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(ahead_module, "_SECONDS_AHEAD", 0.5)
    (clip,) = make_clips(tmp_path, 5.0)
    with closing(read_ahead([clip], 0.5, 0.5, never)) as reading:
        windows = next(reading).windows()
        next(windows)
        os.utime(clip.path, ns=(1, 1))
        with pytest.raises(AudioError, match="changed while it was read"):
            list(windows)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(96_000))


@pytest.mark.parametrize("moment", ["while its bytes are hashed", "before it is cut", "in its middle", "at its end"])
def test_a_clip_that_grows_while_it_is_read(tmp_path, monkeypatch, moment):
    clip, other = make_clips(tmp_path, 5.0, 1.0)
    grown: list[Path] = []

    def grow(now: str, path: Path) -> None:
        if now == moment and path == clip.path and not grown:
            grown.append(path)
            _append(path)

    def digest(path, on_block):
        def on_block_of_it():
            grow("while its bytes are hashed", path)
            on_block()

        found = content_digest(path, on_block_of_it)
        grow("before it is cut", path)
        return found

    class Reader(ClipReader):
        def blocks(self):
            for block in super().blocks():
                yield block
                grow("in its middle", self.path)
            grow("at its end", self.path)

    monkeypatch.setattr(ahead_module, "content_digest", digest)
    monkeypatch.setattr(ahead_module, "ClipReader", Reader)
    with closing(read_ahead([clip, other], 0.5, 0.5, never)) as reading:
        with pytest.raises(AudioError, match="changed while it was read") as caught:
            list(next(reading).windows())
        assert (grown, caught.value.path, caught.value.may_pass) == ([clip.path], clip.path, True)
        assert len(list(next(reading).windows())) == 2


@pytest.mark.parametrize("what", ["content_digest", "ClipReader"])
def test_a_clip_that_is_opened_slowly_keeps_none_of_the_others_waiting_and_its_place(tmp_path, monkeypatch, what):
    clips = make_clips(tmp_path, 1.5, 0.5, 2.5)
    expected = [content_digest(clip.path) for clip in clips]
    is_asked, may_open, rest = threading.Event(), threading.Event(), threading.Semaphore(0)
    opens = getattr(ahead_module, what)

    def open_slowly(path, *args):
        if path == clips[0].path:
            is_asked.set()
            assert may_open.wait(60)
        opened = opens(path, *args)
        rest.release()
        return opened

    monkeypatch.setattr(ahead_module, what, open_slowly)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    with closing(read_ahead(clips, 1.0, 1.0, never)) as reading:
        first = next(reading)
        assert is_asked.wait(60)
        # Both of the others are opened before it is.
        assert rest.acquire(timeout=60)
        assert rest.acquire(timeout=60)
        may_open.set()
        heard = [(first.clip, first.digest(), len(list(first.windows())))]
        heard += [(ahead.clip, ahead.digest(), len(list(ahead.windows()))) for ahead in reading]
    assert heard == list(zip(clips, expected, [2, 1, 3], strict=True))


def test_windows_that_nobody_wants_are_skipped_but_a_change_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(ahead_module, "_SECONDS_AHEAD", 0.5)
    clips = make_clips(tmp_path, 5.0, 5.0)
    with closing(read_ahead(clips, 0.5, 0.5, never)) as reading:
        next(reading).skip_windows()
        second = next(reading)
        second.digest()
        os.utime(clips[1].path, ns=(1, 1))
        with pytest.raises(AudioError, match="changed while it was read"):
            second.skip_windows()


def test_whatever_else_goes_wrong_is_not_swallowed(tmp_path):
    def refuse(_digest: bytes) -> bool:
        raise ValueError("no")

    clips = make_clips(tmp_path, 1.0)
    with closing(read_ahead(clips, 1.0, 1.0, refuse)) as reading, pytest.raises(ValueError, match="no"):
        list(next(reading).windows())

"""What was found is kept as files, and nothing is ever overwritten."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pe_search.errors import AudioError
from pe_search.queries import Span
from pe_search.tasks.keeping import Keeper
from tests.cli.conftest import ODD_NAMES
from tests.made_up import noise, write_audio

SPANS = [Span(0.5, 1.25, 0.934), Span(1.0, 2.0, 0.5)]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_copy_has_the_name_the_bytes_and_the_time_of_the_clip(tmp_path, folder):
    path = write_audio(tmp_path / "a.b.wav", noise(0.1))
    os.utime(path, ns=(1_000_000_000, 2_000_000_000))
    assert Keeper(folder).copy(path) == folder / "a.b.wav"
    assert (folder / "a.b.wav").read_bytes() == path.read_bytes()
    assert (folder / "a.b.wav").stat().st_mtime_ns == 2_000_000_000
    assert names_in(folder) == ["a.b.wav"]


def test_another_clip_of_the_same_name_gets_a_number_and_the_same_one_none(tmp_path, folder):
    clips = [write_audio(tmp_path / str(number) / "a.wav", noise(0.1, number)) for number in range(3)]
    assert [Keeper(folder).copy(path).name for path in (*clips, *clips)] == ["a.wav", "a-2.wav", "a-3.wav"] * 2
    assert [(folder / name).read_bytes() for name in ("a.wav", "a-2.wav", "a-3.wav")] == [
        path.read_bytes() for path in clips
    ]
    assert len(names_in(folder)) == 3


def test_a_folder_or_a_dangling_link_of_that_name_is_left_alone(tmp_path, folder):
    path = write_audio(tmp_path / "a.wav", noise(0.1))
    (folder / "a.wav").mkdir()
    (folder / "a-2.wav").symlink_to(tmp_path / "gone.wav")
    assert Keeper(folder).copy(path) == folder / "a-3.wav"
    assert not (tmp_path / "gone.wav").exists()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_can_be_copied_and_cut(tmp_path, folder, name):
    name = os.fsdecode(name).replace("/", "")
    path = write_audio(tmp_path / "written.wav", noise(2.0)).rename(tmp_path / name)
    assert Keeper(folder).copy(path).name == name
    assert Keeper(folder).cut(path, SPANS[:1])[0].name == f"{Path(name).stem}_0.50-1.25s_0.93.flac"


def test_names_as_long_as_they_may_be_are_shortened(tmp_path, folder):
    path = write_audio(tmp_path / "a.wav", noise(2.0)).rename(tmp_path / ("雨" * 83 + ".wav"))
    (cut,) = Keeper(folder).cut(path, SPANS[:1])
    assert cut.name == "雨" * 50 + "_0.50-1.25s_0.93.flac"


def test_a_copy_may_be_written_by_whoever_may_write_the_folder(tmp_path, folder):
    path = write_audio(tmp_path / "a.wav", noise(2.0))
    path.chmod(0o400)
    before = os.umask(0o027)
    try:
        made = [Keeper(folder).copy(path), *Keeper(folder).cut(path, SPANS[:1])]
    finally:
        os.umask(before)
    assert [one.stat().st_mode & 0o777 for one in made] == [0o640, 0o640]


def test_a_clip_that_is_gone_is_an_audio_error_and_leaves_nothing(tmp_path, folder):
    with pytest.raises(AudioError, match=r"gone\.wav: No such file or directory$"):
        Keeper(folder).copy(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match=r"gone\.wav: "):
        Keeper(folder).cut(tmp_path / "gone.wav", SPANS)
    assert names_in(folder) == []


def test_a_folder_that_is_not_there_is_an_error_of_its_own(tmp_path):
    path = write_audio(tmp_path / "a.wav", noise(0.1))
    with pytest.raises(FileNotFoundError, match="none"):
        Keeper(tmp_path / "none").copy(path)


def test_a_full_disk_is_an_error_that_names_the_folder_and_leaves_nothing(tmp_path, folder):
    path = write_audio(tmp_path / "a.wav", noise(2.0))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for keep in (lambda: Keeper(folder).copy(path), lambda: Keeper(folder).cut(path, SPANS)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        try:
            with pytest.raises(OSError, match="File too large") as raised:
                keep()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert raised.value.filename == str(folder)
        assert names_in(folder) == []


def test_spans_are_cut_out_as_the_clip_has_them(tmp_path, folder):
    path = write_audio(tmp_path / "walk.wav", noise(2.5, channels=2, rate_hz=44_100), 44_100, "PCM_16")
    cuts = Keeper(folder).cut(path, SPANS)
    assert [cut.name for cut in cuts] == ["walk_0.50-1.25s_0.93.flac", "walk_1.00-2.00s_0.50.flac"]
    whole, _ = soundfile.read(path, dtype="int16")
    for cut, span in zip(cuts, SPANS, strict=True):
        found, rate_hz = soundfile.read(cut, dtype="int16")
        assert rate_hz == 44_100
        np.testing.assert_array_equal(found, whole[round(span.start_s * 44_100) : round(span.end_s * 44_100)])


def test_cutting_again_makes_no_second_file_unless_it_is_another(tmp_path, folder):
    path = write_audio(tmp_path / "walk.wav", noise(2.5))
    first = Keeper(folder).cut(path, SPANS)
    assert Keeper(folder).cut(path, SPANS) == first
    write_audio(path, noise(2.5, 1))
    assert [cut.name for cut in Keeper(folder).cut(path, SPANS[:1])] == ["walk_0.50-1.25s_0.93-2.flac"]
    assert len(names_in(folder)) == 3


def test_a_clip_that_is_too_short_leaves_nothing(tmp_path, folder):
    path = write_audio(tmp_path / "walk.wav", noise(1.5))
    with pytest.raises(AudioError, match="ends before 2 s"):
        Keeper(folder).cut(path, SPANS)
    assert names_in(folder) == []

"""Files that are slow, or grow while they are read: nothing is lost, and nothing half-read gets in."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
import soundfile

from tests.faults.conftest import SOUNDS, clips_embedded, contents
from tests.faults.warm import Pause
from tests.made_up import noise

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path) -> Path:
    """Some of the example sounds, that a test may change."""
    shutil.copytree(SOUNDS / "drums", tmp_path / "sounds")
    return tmp_path / "sounds"


@pytest.fixture
def command(folder, plain_checkpoint) -> list[object]:
    return ["index", folder, "--model", plain_checkpoint[0], "--window", 1, "--store"]


def clips_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.flac"))


@pytest.mark.parametrize("is_hashed", [False, True], ids=["to open", "to read on"])
@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_a_file_that_is_slow_is_waited_for(warm, folder, command, tmp_path, is_hashed, place):
    assert warm.run(*command, tmp_path / "undisturbed").status == 0
    pause = Pause.at(clips_of(folder)[place], tmp_path, is_hashed=is_hashed)
    waited: list[bool] = []
    thread = pause.meanwhile(lambda: waited.append(True))
    ended = warm.run(*command, tmp_path / "store", pause=pause)
    thread.join(60)
    assert (ended.status, waited) == (0, [True]), ended.err
    assert clips_embedded(ended) == len(clips_of(folder))
    assert contents(tmp_path / "store", tmp_path).is_as(contents(tmp_path / "undisturbed", tmp_path))


def test_a_file_that_grows_while_it_is_read_is_left_to_the_next_run(warm, folder, command, tmp_path):
    clip, tail = clips_of(folder)[1], tmp_path / "tail.wav"
    clip = clip.rename(clip.with_suffix(".wav"))
    content = _wav(3.0)
    clip.write_bytes(content[: len(content) // 2])
    tail.write_bytes(content[len(content) // 2 :])

    def grow() -> None:
        with clip.open("ab") as file:
            file.write(tail.read_bytes())

    pause = Pause.at(clip, tmp_path, is_hashed=True)
    thread = pause.meanwhile(grow)
    ended = warm.run(*command, tmp_path / "store", pause=pause)
    thread.join(60)
    reason = "changed while it was read; the next run tries again"
    assert (ended.status, ended.err.splitlines()[0]) == (2, f"pe-search: {clip}: {reason}")
    first = contents(tmp_path / "store", tmp_path)
    assert set(first.clips) == set(clips_of(folder))

    again = warm.run(*command, tmp_path / "store")
    assert (again.status, clips_embedded(again)) == (0, 1), again.err
    assert clip.read_bytes() == content
    assert warm.run(*command, tmp_path / "undisturbed").status == 0
    whole = contents(tmp_path / "store", tmp_path)
    assert whole.has_all_of(first)
    assert whole.is_as(contents(tmp_path / "undisturbed", tmp_path))
    assert sorted(place[1:] for place in whole.windows if place[0] == clip) == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]


def _wav(seconds: float) -> bytes:
    """A WAV file, whose header tells of all of it though only half may be written yet."""
    file = io.BytesIO()
    soundfile.write(file, noise(seconds), 48_000, format="WAV", subtype="PCM_16")
    return file.getvalue()

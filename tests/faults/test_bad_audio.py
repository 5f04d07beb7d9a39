"""Bad audio, in quantity and of every kind: a line each or indexed rightly, and no harm to the rest."""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import PeAudioModel

from tests.audio.encoded import KINDS, encode
from tests.faults.bad_audio import make_bad, make_good
from tests.faults.conftest import Contents, clips_embedded, contents
from tests.made_up import noise, write_audio

pytestmark = pytest.mark.slow

# More than this over what the good files take by themselves would be a file that gets what its header asks for. Most of
# it is for what torch keeps for each length of a window that it has met: the bad ones have many.
MARGIN_BYTES = 256 << 20
IN_PART = r": (breaks off after |is damaged |can't be decoded after )"
NOTE = r"; all of it is read$|; they are divided by [\d,]+$"


def test_bad_files_in_quantity_spoil_nothing(warm, plain_checkpoint, tmp_path, request):
    good_count, bad_count = (200, 2_000) if request.config.getoption("--all-faults") else (20, 170)
    folder = tmp_path / "sounds"
    folder.mkdir()
    options = ["--model", plain_checkpoint[0], "--store"]
    # With a long one among them, because a header may make a short clip long, and that is nothing out of the way.
    good = [write_audio(folder / "good.wav", noise(30.0)), *make_good(folder, good_count - 1, seed=1)]
    alone = warm.run("index", folder, *options, tmp_path / "alone")
    assert alone.status == 0, alone.err
    expected = contents(tmp_path / "alone", tmp_path)
    assert set(expected.clips) == set(good)

    bad = make_bad(folder, bad_count, seed=2)
    mixed = warm.run("index", folder, *options, tmp_path / "mixed")

    assert (mixed.status, mixed.out) == (2, b"")
    held = contents(tmp_path / "mixed", tmp_path)
    *lines, summary = mixed.err.splitlines()
    # A note says that nothing is missing.
    lines = [line for line in lines if not re.search(NOTE, line)]
    told = [Path(line.removeprefix("pe-search: ").split(": ")[0]) for line in lines]
    assert len(told) == len(set(told))
    assert set(told) | set(held.clips) == {*good, *bad}
    # What could be read in part is both told and held; FFmpeg and its like have written nothing between the lines.
    assert all(line.startswith(f"pe-search: {folder}/") for line in lines)
    for line, path in zip(lines, told, strict=True):
        assert (path in held.clips) == bool(re.search(IN_PART, line)), line
    assert summary.startswith(f"{len(held.clips)} clips embedded "), summary
    assert len(told) > bad_count / 3, "they were not bad enough"
    assert Contents(
        {path: clip for path, clip in held.clips.items() if path in expected.clips},
        {place: embedding for place, embedding in held.windows.items() if place[0] in expected.clips},
    ).is_as(expected)
    assert mixed.peak_bytes < alone.peak_bytes + MARGIN_BYTES

    again = warm.run("index", folder, *options, tmp_path / "mixed")
    assert (again.status, clips_embedded(again)) == (0, 0), again.err
    assert len(again.err.splitlines()) == 1


LENGTH_S = 1.0
M4A = encode(KINDS["ALAC"], noise(LENGTH_S))
NOT_AUDIO = "can't be read as audio: Format not recognised"
NOT_FINITE = "holds samples that are not finite numbers (NaN or infinity)"
NOT_REGULAR = "not a regular file"


def write(path: Path, samples: NDArray[np.float32], rate_hz: int = 48_000, subtype: str = "PCM_16") -> Path:
    """Write a clip under any name; soundfile can't encode every name that a file may have."""
    extension = path.suffix if path.suffix in (".flac", ".aiff", ".mp3") else ".wav"
    return write_audio(path.with_name(f".draft{extension}"), samples, rate_hz, subtype).rename(path)


def cut(path: Path, kept: float) -> None:
    path.write_bytes(path.read_bytes()[: round(kept * path.stat().st_size)])


def wav_that_lies_about_its_length(path: Path, size: int) -> None:
    content = bytearray(write(path, noise(LENGTH_S)).read_bytes())
    for field in (4, 40):
        struct.pack_into("<I", content, field, size)
    path.write_bytes(content)


def flac_that_lies_about_its_length(path: Path, frames: int) -> None:
    content = bytearray(write(path, noise(LENGTH_S)).read_bytes())
    described = int.from_bytes(content[18:26], "big") >> 36 << 36
    content[18:26] = (described | frames).to_bytes(8, "big")
    path.write_bytes(content)


def spoiled(path: Path, value: float) -> None:
    samples = noise(LENGTH_S)
    samples[1_000] = value
    write(path, samples, subtype="FLOAT")


def linked(path: Path, target: str) -> None:
    path.symlink_to(target)


# By name: how it is made, and why it is left out.
LEFT_OUT: dict[str, tuple[Callable[[Path], object], str]] = {
    "zero-length.wav": (Path.touch, "the file is empty"),
    "zero-length.mp3": (Path.touch, "the file is empty"),
    "text.wav": (lambda path: path.write_text("no audio, only words\n" * 100), NOT_AUDIO),
    "text.mp3": (lambda path: path.write_text("no audio, only words\n" * 100), NOT_AUDIO),
    "header-cut-off.wav": (
        lambda path: cut(write(path, noise(LENGTH_S)), 20 / 96_044),
        "can't be read as audio: Error in WAV/W64/RF64 file. Malformed 'fmt ' chunk",
    ),
    "header-only.wav": (lambda path: write(path, np.empty(0, np.float32)), "holds no audio"),
    "no-moov.m4a": (
        lambda path: path.write_bytes(M4A[: M4A.index(b"moov") - 4]),
        "can't be read as audio: it has no table of contents (moov), so its recording or copying was not finished",
    ),
    "nan.wav": (lambda path: spoiled(path, np.nan), NOT_FINITE),
    "infinity.wav": (lambda path: spoiled(path, np.inf), NOT_FINITE),
    "1000-channels.wav": (
        lambda path: write(path, np.zeros((10, 1_000), np.float32)),
        "its header gives 1000 channels",
    ),
    "slow.wav": (lambda path: write(path, noise(0.1), 999), "its header gives a sample rate of 999 Hz"),
    "pipe.wav": (os.mkfifo, NOT_REGULAR),
    "device.wav": (lambda path: linked(path, "/dev/zero"), NOT_REGULAR),
    "dangling.wav": (lambda path: linked(path, "gone.wav"), "No such file or directory"),
    "own-tail.wav": (lambda path: linked(path, "own-tail.wav"), os.strerror(errno.ELOOP)),
}
# By name: how it is made, how much of it is indexed, and what is missing.
INCOMPLETE: dict[str, tuple[Callable[[Path], object], float, str]] = {
    "cut-off.wav": (
        lambda path: cut(write(path, noise(LENGTH_S)), 48_044 / 96_044),
        LENGTH_S / 2,
        "breaks off after 0:00.5 of 0:01",
    ),
    "too-long.wav": (
        lambda path: wav_that_lies_about_its_length(path, 10 * 96_000),
        LENGTH_S,
        "breaks off after 0:01 of 0:10",
    ),
    "cut-off.flac": (
        lambda path: cut(write(path, noise(3.0)), 0.5),
        1.45067,
        "breaks off after 0:01.5 of 0:03",
    ),
}
# By name: how it is made, and how long it then is.
INDEXED: dict[str, tuple[Callable[[Path], object], float]] = {
    "endless.wav": (lambda path: wav_that_lies_about_its_length(path, 0xFFFFFFFF), LENGTH_S),
    "unknown-length.wav": (lambda path: wav_that_lies_about_its_length(path, 0x7FFFFFFF), LENGTH_S),
    "sound.m4a": (lambda path: path.write_bytes(M4A), LENGTH_S),
    "unknown-length.flac": (lambda path: flac_that_lies_about_its_length(path, 0), LENGTH_S),
    "too-long.flac": (lambda path: flac_that_lies_about_its_length(path, 2**36 - 1), LENGTH_S),
    "wav.mp3": (lambda path: write(path.with_suffix(".wav"), noise(LENGTH_S)).rename(path), LENGTH_S),
    "flac.wav": (lambda path: write(path.with_suffix(".flac"), noise(LENGTH_S)).rename(path), LENGTH_S),
    "silence.wav": (lambda path: write(path, np.zeros(48_000, np.float32)), LENGTH_S),
    "1-sample.wav": (lambda path: write(path, np.full(1, 0.5, np.float32)), 1 / 48_000),
    "x" * 251 + ".wav": (lambda path: write(path, noise(LENGTH_S)), LENGTH_S),
    os.fsdecode(b"not utf-8 \xff\xfe.wav"): (lambda path: write(path, noise(LENGTH_S)), LENGTH_S),
    "[red]\x1b[31m\n.wav": (lambda path: write(path, noise(LENGTH_S)), LENGTH_S),
    **{
        f"{rate_hz}-Hz.wav": (lambda path, rate_hz=rate_hz: write(path, noise(LENGTH_S, rate_hz=rate_hz), rate_hz), 1.0)
        for rate_hz in (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
    },
    **{
        f"{channels}-channels.wav": (
            lambda path, channels=channels: write(path, noise(LENGTH_S, channels=channels)),
            LENGTH_S,
        )
        for channels in range(1, 33)
    },
    **{
        f"{subtype}.wav": (lambda path, subtype=subtype: write(path, noise(LENGTH_S), subtype=subtype), LENGTH_S)
        for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
    },
    "PCM_S8.aiff": (lambda path: write(path, noise(LENGTH_S), subtype="PCM_S8"), LENGTH_S),
}


def test_one_folder_of_everything_that_goes_wrong(warm, plain_checkpoint: tuple[Path, PeAudioModel], tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name, (make, *_) in (LEFT_OUT | INCOMPLETE | INDEXED).items():
        make(folder / name)
    (folder / "loop").symlink_to(".")
    options = ["--model", plain_checkpoint[0], "--store", tmp_path / "store"]

    ended = warm.run("index", folder, *options)

    assert ended.status == 2
    *lines, _summary = ended.err.splitlines()
    told = LEFT_OUT | {name: (make, missing) for name, (make, _, missing) in INCOMPLETE.items()}
    assert set(lines) == {f"pe-search: {folder / name}: {reason}" for name, (_, reason) in told.items()}
    assert len(lines) == len(told)
    held = contents(tmp_path / "store", tmp_path)
    places = {path.name: (start_s, end_s) for path, start_s, end_s in held.windows}
    indexed = INDEXED | {name: (make, length_s) for name, (make, length_s, _) in INCOMPLETE.items()}
    assert places.keys() == indexed.keys()
    assert len(places) == len(held.windows)
    for name, (_, length_s) in indexed.items():
        assert places[name] == pytest.approx((0, length_s), abs=2 / 48_000), name


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_line_and_is_read_as_soon_as_it_may(warm, plain_checkpoint, tmp_path):
    folder = tmp_path / "sounds"
    clip = write_audio(folder / "a.wav", noise(LENGTH_S))
    write_audio(folder / "b.wav", noise(LENGTH_S, 1))
    clip.chmod(0)
    command = ["index", folder, "--model", plain_checkpoint[0], "--store", tmp_path / "store"]
    ended = warm.run(*command)
    assert (ended.status, ended.err.splitlines()[0]) == (2, f"pe-search: {clip}: Permission denied")
    clip.chmod(0o600)
    again = warm.run(*command)
    assert (again.status, clips_embedded(again)) == (0, 1)

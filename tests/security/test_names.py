"""A file name from someone else: it stays one name, and does nothing."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from pe_search.errors import AudioError
from pe_search.queries import Span
from pe_search.records import Clip
from pe_search.store import Store
from pe_search.tasks import keeping
from pe_search.tasks.keeping import Keeper
from tests.cli.conftest import _plain_terminal, invoke, run_cli_on_terminal  # noqa: F401
from tests.made_up import manifest, noise, put_clips, write_audio

NAMES = tuple(
    map(
        os.fsdecode,
        (
            b"\x1b]0;title\x07.wav",
            b"\x1b[2J\x1b[31m.wav",
            b"\x9b31m.wav",
            b"a\r\nb.wav",
            b"a\nb.wav",
            b'a","b".wav',
            b"=cmd|' calc'!A0.wav",
            b"--store=x.wav",
            b"-rf.wav",
            b"$(touch INJECTED).wav",
            b"\xff\xfe.wav",
            b"[red]x[bold].wav",
            "\u202egpj.wav".encode(),
            "\u2028line.wav".encode(),
        ),
    )
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of the built-in checkpoint's texts that has a clip of each name; all score the same."""
    sounds = tmp_path / "sounds"
    vector = np.ones(192, np.float32)
    with Store.create(tmp_path / "store", manifest(dimension=192)) as opened:
        clips = [(Clip(sounds / name, 1, 1), [(0.0, 1 + row / 8)], vector[None]) for row, name in enumerate(NAMES)]
        put_clips(opened, clips)
        opened.remembered_texts.remember({"rain": vector})
    return tmp_path / "store"


def asked(store: Path, *options: str) -> bytes:
    outcome = invoke("query", "rain", "-k", 100, "--store", store, *options)
    assert outcome.status == 0
    # There never was a file of any of these names.
    gone = (
        f"pe-search: {len(NAMES)} clips of the hits are gone from the disk; `pe-search index --store {store}` removes "
    )
    assert outcome.err == f"{gone}what is gone\n"
    return outcome.out


def test_a_name_stays_one_name_in_every_format(store):
    expected = sorted(os.fsencode(store.with_name("sounds") / name) for name in NAMES)
    assert sorted(asked(store, "-0").split(b"\0")[:-1]) == expected
    lines = asked(store, "--format", "jsonl").splitlines()
    assert sorted(os.fsencode(json.loads(line)["path"]) for line in lines) == expected
    table = csv.DictReader(io.StringIO(os.fsdecode(asked(store, "--format", "csv")), newline=""))
    assert sorted(os.fsencode(row["path"]) for row in table) == expected
    # Where a line is a path, whoever has newlines in names is told to take -0.
    assert asked(store, "--format", "paths") == b"".join(path + b"\n" for path in asked(store, "-0").split(b"\0")[:-1])


@pytest.mark.parametrize("command", ["query", "duplicates"])
def test_a_terminal_is_shown_names_and_obeys_none(store, run_cli_on_terminal, monkeypatch, command):  # noqa: F811
    # Without colours of its own, and wide enough for each name.
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "400")
    arguments = ["query", "rain", "-k", 100] if command == "query" else ["duplicates"]
    shown = run_cli_on_terminal(*arguments, "--store", store)
    assert all(character.isprintable() or character == "\n" for character in shown)
    for escaped in (r"\x1b]0;title\x07", r"a\r\nb.wav", r"\xff\xfe.wav", r"\u202egpj.wav", "[red]x[bold].wav"):
        assert escaped in shown


def test_a_name_like_an_option_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("--store=x.wav", "-rf.wav"):
        write_audio(tmp_path / "sounds" / "written.wav", noise(0.1)).rename(tmp_path / "sounds" / name)
    outcome = invoke("index", "sounds", "--store", "store")
    assert (outcome.status, "2 clips embedded" in outcome.err or "1 recognised" in outcome.err) == (0, True), (
        outcome.err
    )
    assert not (tmp_path / "x.wav").exists()


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_cuts_stay_in_their_folder(tmp_path, name):
    folder = tmp_path / "kept"
    folder.mkdir()
    clip = write_audio(tmp_path / "sounds" / "written.wav", noise(1.0)).rename(tmp_path / "sounds" / name)
    keeper = Keeper(folder)
    made = [keeper.copy(clip), *keeper.cut(clip, [Span(0.0, 0.5, 0.9)])]
    assert sorted(folder.iterdir()) == sorted(made)
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "sounds"}


def test_many_clips_of_one_name_are_each_read_once(tmp_path, monkeypatch):
    """Not compared with each other, which took the square of their number."""
    (tmp_path / "kept").mkdir()
    clips = [write_audio(tmp_path / str(number) / "kick.wav", noise(0.01, number)) for number in range(100)]
    read = []
    digest = keeping._digest
    monkeypatch.setattr(keeping, "_digest", lambda path: read.append(path) or digest(path))
    first = Keeper(tmp_path / "kept")
    assert [first.copy(clip).name for clip in clips] == [
        "kick.wav",
        *(f"kick-{number}.wav" for number in range(2, 101)),
    ]
    assert len(read) == 100
    # Another run finds them all where they are, and reads each once, beside what it would copy.
    read.clear()
    again = Keeper(tmp_path / "kept")
    found = [again.copy(clip).name for clip in reversed(clips)]
    assert (found[0], found[-1]) == ("kick-100.wav", "kick.wav")
    assert len(read) == 200
    assert len(list((tmp_path / "kept").iterdir())) == 100


def test_a_clip_that_became_a_pipe_keeps_nobody_waiting(tmp_path):
    (tmp_path / "kept").mkdir()
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(AudioError, match=r"a\.wav: is not a regular file"):
        Keeper(tmp_path / "kept").copy(tmp_path / "a.wav")
    assert [*(tmp_path / "kept").iterdir()] == []

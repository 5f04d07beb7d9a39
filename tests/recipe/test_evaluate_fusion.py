"""How sound and words are scored on recordings whose names say much, little or the wrong thing."""

from __future__ import annotations

import re
from pathlib import Path

import evaluate_fusion
import pytest
from evaluate_fusion import SCHEMES, Recording, average_precision, find_recordings, names

from tests.conftest import SHARED_DATA
from tests.made_up import noise, write_audio

RECORDINGS = [Recording(Path(f"{kind}/{n}.ogg"), kind) for kind in ("dog_bark", "rain", "siren") for n in range(4)]


def test_names_say_what_they_should():
    made = {scheme: names(RECORDINGS, scheme) for scheme in SCHEMES}
    right = [f"{one.kind.replace('_', ' ')} {number}" for number, one in enumerate(RECORDINGS)]
    assert made["helpful"] == right
    assert made["numbers"] == [str(number) for number in range(12)]
    wrong = [number for number in range(12) if made["misleading"][number] != right[number]]
    assert len(wrong) == 6
    assert {re.sub(r" \d+$", "", made["misleading"][number]) for number in wrong} <= {"dog bark", "rain", "siren"}
    assert [made["for half"][number] for number in wrong] == [str(number) for number in wrong]
    assert sum(stem == said for stem, said in zip(made["for half"], right, strict=True)) == 6
    assert all(names(RECORDINGS, scheme) == made[scheme] for scheme in SCHEMES)


def test_what_is_not_found_has_no_precision():
    assert average_precision(["a", "x", "b"], {"a", "b"}) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(["x", "a"], {"a", "b"}) == pytest.approx(1 / 4)
    assert average_precision([], {"a"}) == 0.0


@pytest.fixture
def recordings(tmp_path):
    for seed, name in enumerate(
        ["rain/a-A", "rain/a-B", "rain/b-A", "dog_bark/c", "dog_bark/d", "dog_bark/e", "crow/f"]
    ):
        write_audio(tmp_path / f"{name}.wav", noise(0.3, seed))
    write_audio(tmp_path / "dog_bark" / "the same as c.wav", noise(0.3, 3))
    return tmp_path


def test_one_file_of_each_recording_of_kinds_with_two(recordings):
    found = [(one.kind, one.file.stem) for one in find_recordings(recordings)]
    assert found == [("dog_bark", "c"), ("dog_bark", "d"), ("dog_bark", "e"), ("rain", "a-A"), ("rain", "b-A")]
    assert len(find_recordings(recordings, most=1)) == 2


def rows_of(printed: str) -> dict[str, list[float]]:
    rows = re.findall(r"^\| ([a-z ]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", printed, re.MULTILINE)
    return {name: [float(figure) for figure in figures] for name, *figures in rows}


def test_the_table_of_made_up_recordings(recordings, capsys):
    evaluate_fusion.main(["--data", str(recordings)])
    printed = capsys.readouterr().out
    assert printed.startswith("5 recordings of 2 kinds\n")
    rows = rows_of(printed)
    assert list(rows) == list(SCHEMES)
    assert rows["helpful"][1:] == [1.0, 1.0]
    assert rows["numbers"][1] == 0.0
    assert rows["numbers"][0] == rows["numbers"][2]
    assert len({sound for sound, _, _ in rows.values()}) == 1


def test_a_folder_without_recordings_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        evaluate_fusion.main(["--data", str(tmp_path)])
    assert "has no folder with two recordings or more" in capsys.readouterr().err


@pytest.mark.slow
def test_real_recordings_are_found_better_by_both(capsys):
    folder = SHARED_DATA / "validate"
    if not folder.is_dir():
        pytest.skip(f"the recordings are not at {folder}")
    evaluate_fusion.main(["--data", str(folder), "--most", "3"])
    rows = rows_of(capsys.readouterr().out)
    for scheme in ("helpful", "for half", "misleading"):
        sound, words, both = rows[scheme]
        assert both > sound and both >= words
    assert rows["numbers"][2] == rows["numbers"][0]

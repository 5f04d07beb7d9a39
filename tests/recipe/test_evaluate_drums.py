"""How drums of other makers are found and scored."""

from __future__ import annotations

from pathlib import Path

import evaluate_drums
import numpy as np
import pytest
import soundfile
from evaluate_drums import drum_of, find_drums
from recipe.architecture import SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    ("stem", "drum"),
    [
        ("bassdrum-4mics-soft2", "kick"),
        ("PowR_BD_1", "kick"),
        ("PearlSnare-Softest", "snare"),
        ("sd_03", "snare"),
        ("Hard_CHH_02", "closed_hat"),
        ("hhclosed_01", "closed_hat"),
        ("EE_Hat_Cl_Dirty", "closed_hat"),
        ("SabianHatOpen-Hard", "open_hat"),
        ("hihat_opened02", "open_hat"),
        ("EE_Hat_Op_Phaser", "open_hat"),
        ("HandClap-Hard", "clap"),
        ("PearlTomFloor-Soft", "tom"),
        ("101450__menegass__tomh", "tom"),
        ("floortom_02", "tom"),
        ("crash16i__crash1", "crash"),
        # Unclear, or something else.
        ("29800__stomachache__3", None),
        ("hh_02", None),
        ("HiHatSemiopen-0", None),
        ("PearlSnareRimshot-Hard", None),
        ("CrashRide18-1", None),
        ("hihat_foot_pedal01", None),
        ("SnareOff-0", None),
    ],
)
def test_file_names_tell_the_drum(stem, drum):
    assert drum_of(stem) == drum


def put(path: Path, level: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).uniform(-level, level, SAMPLE_RATE_HZ // 4).astype(np.float32)
    soundfile.write(path, samples, SAMPLE_RATE_HZ)


def test_no_folder_outweighs_the_others(tmp_path):
    for number in range(8):
        put(tmp_path / "one" / f"kick{number}.wav")
    put(tmp_path / "two" / "kick1.flac")
    put(tmp_path / "two" / "clap.wav")
    put(tmp_path / "two" / "hat.wav")
    (tmp_path / "two" / "snare.wav").write_bytes(b"RIFF")
    (tmp_path / "two" / "kick.txt").write_text("kick")
    found = [(drum.path.relative_to(tmp_path).as_posix(), drum.concept) for drum in find_drums([tmp_path])]
    assert found == [
        ("one/kick1.wav", "kick"),
        ("one/kick3.wav", "kick"),
        ("one/kick5.wav", "kick"),
        ("one/kick7.wav", "kick"),
        ("two/clap.wav", "clap"),
        ("two/kick1.flac", "kick"),
    ]


def test_it_prints_its_table(tmp_path, capsys):
    for name in ("kick1", "kick2", "snare"):
        put(tmp_path / f"{name}.wav")
    # All three are one sound: which comes first is left to the order of files.
    evaluate_drums.main([str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 clips of 1 folders"
    assert [line.rsplit("|", 2)[0] for line in lines if line.startswith("| ")] == [
        "| drum | clips ",
        "| kick | 2 ",
        "| snare | 1 ",
        "| mean | 3 ",
    ]
    assert lines[-1] in ("accuracy 0.667", "accuracy 0.333")


def test_a_folder_without_drums(tmp_path, capsys):
    put(tmp_path / "rain.wav")
    with pytest.raises(SystemExit, match="2"):
        evaluate_drums.main([str(tmp_path)])
    assert "no file's name tells of a drum" in capsys.readouterr().err

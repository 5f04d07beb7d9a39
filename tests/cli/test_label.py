"""`pe-search label`: which labels fit which clip, from files or from a store, and how it is printed."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from pe_search.audio import ahead
from pe_search.audio.hashing import content_digest
from tests.cli.conftest import HOP_S, TEXTS, WINDOW_S, Library
from tests.made_up import make_checkpoint, noise, write_audio

KEYS = ["label", "rank", "path", "start_s", "end_s", "score", "probability"]
LABELS = ",".join(TEXTS)


def rows_of(jsonl: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in jsonl.splitlines()]


def expected_rows(library: Library) -> list[tuple[object, ...]]:
    """By upstream's logits: of each clip, the labels in order of their best windows."""
    rows: list[tuple[object, ...]] = []
    for path in sorted(library.clips, key=bytes):
        places = [row for row, place in enumerate(library.places) if place.path == path]
        best = library.logits[places].max(axis=0)
        for rank, label in enumerate(np.argsort(-best), start=1):
            place = library.places[places[library.logits[places, label].argmax()]]
            probability = 1 / (1 + np.exp(-float(best[label])))
            score = (float(best[label]) - library.bias) / library.scale
            rows.append((TEXTS[label], rank, str(path), place.start_s, place.end_s, score, probability))
    return rows


def assert_rows(found: list[dict[str, object]], expected: list[tuple[object, ...]], tolerance: float) -> None:
    assert [tuple(row.values())[:3] for row in found] == [row[:3] for row in expected]
    numbers = [[float(value) for value in tuple(row.values())[3:]] for row in found]
    np.testing.assert_allclose(numbers, [row[3:] for row in expected], atol=tolerance)


def test_labels_from_a_store_are_those_of_upstream(run_cli, library):
    outcome = run_cli("label", library.sounds, "--labels", LABELS, "--store", library.store)
    assert (outcome.status, outcome.err) == (0, "")
    found = rows_of(outcome.out)
    assert all(list(row) == KEYS for row in found)
    assert_rows(found, expected_rows(library), 5e-3)


def test_labels_straight_from_files_are_those_of_upstream(run_cli, library):
    """Without a store windows are of 10 s, so those clips are compared that are one window in both."""
    outcome = run_cli("label", library.sounds / "odd", "--labels", LABELS, "--model", library.checkpoint)
    assert (outcome.status, outcome.err) == (0, "")
    expected = [row for row in expected_rows(library) if Path(str(row[2])).is_relative_to(library.sounds / "odd")]
    # The embeddings of these clips and texts are some 5 long: this is 1e-5 of the product of their lengths.
    assert_rows(rows_of(outcome.out), expected, 2.5e-4)


def rows_of_windows(library: Library) -> list[tuple[object, ...]]:
    """By upstream's logits: of each window of each clip, the labels in order."""
    rows: list[tuple[object, ...]] = []
    order = sorted(
        range(len(library.places)), key=lambda row: (bytes(library.places[row].path), library.places[row].start_s)
    )
    for row in order:
        place, logits = library.places[row], library.logits[row]
        for rank, label in enumerate(np.argsort(-logits), start=1):
            probability = 1 / (1 + np.exp(-float(logits[label])))
            score = (float(logits[label]) - library.bias) / library.scale
            rows.append((TEXTS[label], rank, str(place.path), place.start_s, place.end_s, score, probability))
    return rows


def test_each_window_is_labelled_as_upstream_does(run_cli, library):
    args = ("label", library.sounds, "--labels", LABELS, "--store", library.store, "--all-windows")
    outcome = run_cli(*args)
    assert (outcome.status, outcome.err) == (0, "")
    expected = rows_of_windows(library)
    assert len(expected) == 3 * len(library.places)
    found = rows_of(outcome.out)
    assert all(list(row) == KEYS for row in found)
    assert_rows(found, expected, 5e-3)
    table = list(csv.DictReader(io.StringIO(run_cli(*args, "--format", "csv").out.decode("utf-8", "surrogateescape"))))
    assert table == [{name: str(value) for name, value in row.items()} for row in found]


def test_each_window_of_a_file_is_labelled_without_a_store(run_cli, library, plain_checkpoint):
    long = library.sounds / "weather" / "storm.wav"
    outcome = run_cli("label", long, "--labels", LABELS, "--model", library.checkpoint, "--all-windows")
    whole = run_cli("label", long, "--labels", LABELS, "--model", library.checkpoint)
    assert outcome.out == whole.out, "windows of 10 s: it is one"
    assert (outcome.status, len(rows_of(outcome.out))) == (0, 3)


def test_a_table_of_windows_has_a_row_for_each_below_its_clip(run_cli, library, monkeypatch):
    monkeypatch.chdir(library.sounds / "weather")
    args = ("label", "storm.wav", "wind.wav", "--labels", LABELS, "--store", library.store, "--all-windows")
    rows = rows_of(run_cli(*args).out)
    lines = run_cli(*args, "--format", "table").out.decode().splitlines()
    expected: list[list[str]] = []
    for clip, times in (
        ("storm.wav", ["0:00–0:01.3", "0:00.6–0:01.9", "0:01.3–0:02.6", "0:01.9–0:03.2"]),
        ("wind.wav", ["0:00–0:01.3", "0:00.6–0:01.9", "0:01.3–0:02.6", "0:01.7–0:03"]),
    ):
        expected.append([clip])
        for when in times:
            best, *others = rows[:3]
            del rows[:3]
            also = [f"{row['label']} {row['probability']:.2f}" for row in others if row["probability"] >= 0.5]
            labels = ", ".join([str(best["label"]), *also])
            expected.append([f"{best['probability']:.2f}", when, *labels.split()])
    assert [line.split() for line in lines] == expected


def test_a_table_of_windows_fits_a_narrow_terminal(run_cli, library, monkeypatch):
    monkeypatch.chdir(library.sounds / "weather")
    monkeypatch.setenv("COLUMNS", "45")
    args = ("label", "storm.wav", "--labels", LABELS, "--store", library.store, "--all-windows", "--format", "table")
    lines = run_cli(*args).out.decode().splitlines()
    assert max(map(len, lines)) <= 45


def test_windows_without_a_likely_label_are_left_out(run_cli, library):
    args = ("label", library.sounds, "--labels", LABELS, "--store", library.store, "--all-windows")
    rows = rows_of(run_cli(*args).out)
    bound = sorted(row["probability"] for row in rows)[-5]
    assert rows_of(run_cli(*args, "--min-probability", bound).out) == [
        row for row in rows if row["probability"] >= bound
    ]
    assert len(run_cli(*args, "--min-probability", bound, "--format", "table").out.splitlines()) >= 2
    for label_format in ("table", "jsonl"):
        nothing = run_cli(*args, "--min-probability", 1, "--format", label_format)
        assert (nothing.status, nothing.out, nothing.err) == (1, b"", "")


@pytest.fixture
def sounds(tmp_path) -> Path:
    for seed, name in enumerate(("a.wav", "b.wav")):
        write_audio(tmp_path / "sounds" / name, noise(0.5, seed) * (1 + seed))
    return tmp_path / "sounds"


@pytest.fixture
def store(run_cli, sounds, plain_checkpoint) -> Path:
    """The default store, with the first of the sounds in it."""
    directory = Path(os.environ["XDG_DATA_HOME"]) / "pe-search" / "store"
    window = ("--window", WINDOW_S, "--hop", HOP_S)
    assert run_cli("index", sounds / "a.wav", "--model", plain_checkpoint[0], *window).status == 0
    return directory


def damage(path: Path) -> None:
    """Take the audio out of a file, and leave its size and time."""
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))


def forbid_reading(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Fail where a file is read: what the store has of it is enough."""

    def digest(other: Path, *args: object) -> bytes:
        assert other != path
        return content_digest(other, *args)

    monkeypatch.setattr(ahead, "content_digest", digest)


def test_the_default_store_is_used_without_being_asked_for(run_cli, sounds, store, monkeypatch):
    before = run_cli("label", sounds, "--labels", LABELS)
    forbid_reading(monkeypatch, sounds / "a.wav")
    assert run_cli("label", sounds, "--labels", LABELS) == before
    assert before.status == 0
    assert len(rows_of(before.out)) == 6


def test_with_another_checkpoint_it_is_left_alone(run_cli, sounds, store, tmp_path):
    make_checkpoint(tmp_path / "other", seed=7)
    damage(sounds / "a.wav")
    outcome = run_cli("label", sounds, "--labels", LABELS, "--model", tmp_path / "other")
    assert outcome.status == 2
    assert outcome.err == f"pe-search: {sounds / 'a.wav'}: can't be read as audio: Format not recognised\n"
    assert {row["path"] for row in rows_of(outcome.out)} == {str(sounds / "b.wav")}
    named = run_cli("label", sounds, "--labels", LABELS, "--model", tmp_path / "other", "--store", store)
    assert named.status == 2
    assert named.err.startswith(f"pe-search: The store at {store} was made with ")
    assert named.err.endswith(f". Omit --store to use {tmp_path / 'other'}.\n")


def test_a_store_that_is_named_must_be_there(run_cli, sounds, tmp_path):
    outcome = run_cli("label", sounds, "--labels", LABELS, "--store", tmp_path / "none")
    assert (outcome.status, outcome.out) == (2, b"")
    assert str(tmp_path / "none") in outcome.err


def test_a_store_that_the_environment_names_is_only_a_help(
    run_cli, sounds, store, plain_checkpoint, tmp_path, monkeypatch
):
    """It need not be there before there is anything to index."""
    plain = run_cli("label", sounds, "--labels", LABELS)
    monkeypatch.setenv("PE_SEARCH_STORE", str(store))
    forbid_reading(monkeypatch, sounds / "a.wav")
    assert run_cli("label", sounds, "--labels", LABELS) == plain
    make_checkpoint(tmp_path / "other", seed=7)
    other = run_cli("label", sounds / "b.wav", "--labels", LABELS, "--model", tmp_path / "other")
    assert (other.status, other.err) == (0, "")
    monkeypatch.setenv("PE_SEARCH_STORE", str(tmp_path / "none"))
    new = run_cli("label", sounds / "b.wav", "--labels", LABELS, "--model", plain_checkpoint[0])
    assert (new.status, new.err) == (0, "")
    assert [row["label"] for row in rows_of(new.out)] == [row["label"] for row in rows_of(plain.out)[3:]]


def test_without_a_store_the_environment_names_the_checkpoint(run_cli, sounds, plain_checkpoint, monkeypatch):
    named = run_cli("label", sounds, "--labels", LABELS, "--model", plain_checkpoint[0])
    monkeypatch.setenv("PE_SEARCH_MODEL", str(plain_checkpoint[0]))
    assert run_cli("label", sounds, "--labels", LABELS) == named
    monkeypatch.setenv("PE_SEARCH_MODEL", "no such")
    assert run_cli("label", sounds, "--labels", LABELS).err.startswith("pe-search: There is no checkpoint 'no such': ")


@pytest.fixture
def label(run_cli, sounds, plain_checkpoint):
    """Label the sounds with the made-up checkpoint."""

    def run(*args: object, status: int = 0, err: str = "") -> bytes:
        outcome = run_cli("label", sounds, "--model", plain_checkpoint[0], *args)
        assert (outcome.status, outcome.err) == (status, err)
        return outcome.out

    return run


def test_a_file_of_labels_is_the_same_as_a_list(label, tmp_path):
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffa dog barking\r\n\r\n  rain \nchurch bell\nrain".encode())
    assert label("--labels-file", file) == label("--labels", "a dog barking, rain ,church bell,rain")


def test_csv_has_the_same_fields_with_a_header(label):
    table = list(csv.reader(io.StringIO(label("--labels", LABELS, "--format", "csv").decode())))
    assert table[0] == KEYS
    rows = rows_of(label("--labels", LABELS))
    assert table[1:] == [[str(value) for value in row.values()] for row in rows]


def test_csv_has_its_header_even_if_every_clip_is_left_out(label, sounds):
    (sounds / "a.wav").write_bytes(b"")
    (sounds / "b.wav").write_bytes(b"")
    err = "".join(f"pe-search: {sounds}/{name}: the file is empty\n" for name in ("a.wav", "b.wav"))
    assert label("--labels", LABELS, "--format", "csv", status=2, err=err) == f"{','.join(KEYS)}\n".encode()


def test_unlikely_labels_are_left_out_and_none_is_status_1(label):
    rows = rows_of(label("--labels", LABELS))
    bound = sorted(row["probability"] for row in rows)[3]
    assert rows_of(label("--labels", LABELS, "--min-probability", bound)) == [
        row for row in rows if row["probability"] >= bound
    ]
    assert label("--labels", LABELS, "--min-probability", 1, status=1) == b""


def test_the_table_has_a_row_for_each_clip(label, sounds, monkeypatch):
    monkeypatch.chdir(sounds)
    rows = rows_of(label("--labels", LABELS))
    lines = label("--labels", LABELS, "--format", "table").decode().splitlines()
    assert lines[0].split() == ["prob.", "time", "label", "clip"]
    for line, clip in zip(lines[1:], ("a.wav", "b.wav"), strict=True):
        best, *others = [row for row in rows if Path(str(row["path"])).name == clip]
        also = [f"{row['label']} {row['probability']:.2f}" for row in others if row["probability"] >= 0.5]
        labels = ", ".join([str(best["label"]), *also])
        assert line.split() == [f"{best['probability']:.2f}", "0:00–0:00.5", *labels.split(), clip]
    assert label("--labels", LABELS, "--format", "table", "--min-probability", 1, status=1) == b""


def test_on_a_terminal_it_is_a_table(run_cli_on_terminal, sounds, plain_checkpoint):
    shown = run_cli_on_terminal("label", sounds, "--labels", LABELS, "--model", plain_checkpoint[0])
    assert "prob." in shown


def test_bad_files_are_a_line_each_and_the_rest_is_labelled(label, sounds):
    (sounds / "0.wav").write_bytes(b"no audio")
    (sounds / "z.wav").touch()
    out = label(
        "--labels",
        "rain",
        status=2,
        err=f"pe-search: {sounds / '0.wav'}: can't be read as audio: Format not recognised\n"
        f"pe-search: {sounds / 'z.wav'}: the file is empty\n",
    )
    assert [Path(str(row["path"])).name for row in rows_of(out)] == ["a.wav", "b.wav"]


def test_no_audio_is_status_1(run_cli, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = run_cli("label", tmp_path / "empty", "--labels", "rain")
    assert (outcome.status, outcome.err) == (1, f"pe-search: no audio files in {tmp_path / 'empty'}.\n")


def test_a_path_that_is_not_there_is_status_2(run_cli, tmp_path):
    outcome = run_cli("label", tmp_path / "none", "--labels", "rain")
    assert (outcome.status, outcome.err) == (2, f"pe-search: {tmp_path / 'none'}: No such file or directory\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "Give --labels or --labels-file."),
        (["--labels", "rain", "--labels-file", "labels.txt"], "Give only one of --labels and --labels-file."),
        (["--labels", ""], "--labels: must not be empty."),
        (["--labels", "rain,,dog"], "--labels: must not be empty."),
        (["--labels", "rain\udcff"], "--labels: must be UTF-8."),
        (["--labels-file", "blank.txt"], "--labels-file: blank.txt is empty."),
        (["--labels-file", "latin.txt"], "--labels-file: latin.txt is not UTF-8."),
        (
            ["--labels", "rain", "--min-probability", "nan"],
            "--min-probability: 'nan' must be a number from 0 to 1, such as 0.5.",
        ),
    ],
)
def test_wrong_calls(run_cli, sounds, monkeypatch, args, said):
    monkeypatch.chdir(sounds)
    Path("labels.txt").write_text("rain\n")
    Path("blank.txt").write_text("\n  \n")
    Path("latin.txt").write_bytes("Regen mit Böen".encode("latin-1"))
    outcome = run_cli("label", ".", *args)
    assert (outcome.status, outcome.err) == (2, f"pe-search: {said}\n")


def test_a_file_of_labels_that_is_not_there(run_cli, sounds):
    outcome = run_cli("label", sounds, "--labels-file", sounds / "none.txt")
    assert (outcome.status, outcome.err) == (2, f"pe-search: {sounds / 'none.txt'}: No such file or directory\n")

"""The options that filter: the same clips for every command that has them, and one clear line for what is wrong."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer

import pe_search
from pe_search.cli.input.filters import options_by_field, options_of, read_options
from pe_search.known.filters import takes
from pe_search.queries import Filters
from tests.cli.conftest import Outcome
from tests.cli.test_conversation import talk
from tests.cli.test_hints import plain
from tests.made_up import noise, write_audio

__all__ = ["talk"]  # a fixture

FILTERING = ("query", "list", "label", "duplicates", "export")
ALL = ["dog.wav", "20240601_035956.wav", "20240601_120000.wav", "Kick 01.wav", "snare.wav"]


@dataclass(frozen=True)
class Made:
    """A folder of sounds, and the store that was made of it."""

    sounds: Path
    store: Path
    checkpoint: Path

    def path(self, name: str) -> Path:
        return next(path for path in self.sounds.rglob("*.wav") if path.name == name)


def add_tempo(path: Path, bpm: float) -> None:
    """Write the chunk of ACID into a WAV."""
    content = path.read_bytes()
    acid = b"acid" + struct.pack("<I", 24) + struct.pack("<IHHfIHHf", 0, 60, 0, 0.0, 4, 4, 4, bpm)
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8 + len(acid)) + content[8:] + acid)


@pytest.fixture(scope="module")
def made(plain_checkpoint, tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("filters")
    sounds = folder / "sounds"
    write_audio(sounds / "dog.wav", noise(1.0, 1))
    # Its windows begin at 3:59:56, 3:59:58, 4:00:00 and 4:00:02.
    night = write_audio(sounds / "field" / "20240601_035956.wav", noise(8.0, 2, 16_000), 16_000)
    shutil.copy(night, sounds / "field" / "20240601_120000.wav")
    add_tempo(write_audio(sounds / "drums" / "Kick 01.wav", noise(0.5, 3, 44_100, 2), 44_100, "PCM_16"), 120.0)
    add_tempo(write_audio(sounds / "drums" / "snare.wav", noise(0.6, 4) / 50), 90.5)
    with pe_search.create(folder / "store", str(plain_checkpoint[0]), window_s=2.0, hop_s=2.0) as library:
        library.index(sounds)
        library.tag(sounds / "drums", add="drum")
        library.tag(sounds / "drums" / "snare.wav", add="good one")
    return Made(sounds, folder / "store", plain_checkpoint[0])


EACH = [
    (("--length", "0.5-1"), ["dog.wav", "Kick 01.wav", "snare.wav"]),
    (("--length", "0:00.55-"), ["dog.wav", "20240601_035956.wav", "20240601_120000.wav", "snare.wav"]),
    (("--length", "8"), ["20240601_035956.wav", "20240601_120000.wav"]),
    (("--rate", "44100-"), ["dog.wav", "Kick 01.wav", "snare.wav"]),
    (("--rate", "44100"), ["Kick 01.wav"]),
    (("--channels", "2"), ["Kick 01.wav"]),
    (("--name", "kick*"), ["Kick 01.wav"]),
    (("--name", "*1*.WAV", "--name", "drums/s*"), [name for name in ALL if name != "dog.wav"]),
    (("--tag", "drum"), ["Kick 01.wav", "snare.wav"]),
    (("--tag", "drum", "--tag", "good one"), ["snare.wav"]),
    (("--recorded", "2024-06"), ["20240601_035956.wav", "20240601_120000.wav"]),
    (("--recorded", "2024-06-01..2024-06-30"), ["20240601_035956.wav", "20240601_120000.wav"]),
    (("--recorded", "2024-06-01T04:00:02.5..2024-06-01T12:00:00.5"), ["20240601_120000.wav"]),
    (("--hour", "4-7"), ["20240601_035956.wav"]),
    (("--hour", "22-4"), ["20240601_035956.wav"]),
    (("--hour", "11:30-12:30"), ["20240601_120000.wav"]),
    (("--loudness", "-90--40"), ["snare.wav"]),
    (("--loudness", "-39.."), ["dog.wav", "20240601_035956.wav", "20240601_120000.wav", "Kick 01.wav"]),
    (("--loudness=..-40",), ["snare.wav"]),
    (("--bpm", "118-122"), ["Kick 01.wav"]),
    (("--bpm", "90.5"), ["snare.wav"]),
    (("--bpm", "80-", "--rate", "48000"), ["snare.wav"]),
]  # fmt: skip


def names(paths: bytes) -> list[str]:
    return [Path(line).name for line in paths.decode().splitlines()]


@pytest.mark.parametrize(("options", "expected"), EACH, ids=lambda one: " ".join(one))
def test_every_command_takes_the_same_clips(run_cli, made, tmp_path, options, expected):
    store = ("--store", made.store)
    outcome = run_cli("list", *options, *store)
    assert (outcome.status, outcome.err) == (0, "")
    in_order = names(outcome.out)
    assert sorted(in_order) == sorted(expected)

    outcome = run_cli("query", "rain", "-k", "all", *options, *store)
    assert (outcome.status, outcome.err) == (0, "")
    found = set(names(outcome.out))
    # The two recordings are copies of each other, and one hit.
    both = {"20240601_035956.wav", "20240601_120000.wav"}
    assert found == (set(expected) - {"20240601_120000.wav"} if both <= set(expected) else set(expected))

    outcome = run_cli("label", made.sounds, "--labels", "rain", *options, *store)
    assert (outcome.status, outcome.err) == (0, "")
    assert sorted(Path(json.loads(line)["path"]).name for line in outcome.out.splitlines()) == sorted(expected)

    file = tmp_path / "windows.npz"
    outcome = run_cli("export", file, *options, *store)
    windows = np.load(file)
    assert list(dict.fromkeys(Path(path).name for path in windows["path"].tolist())) == in_order
    assert outcome.err == f"{len(windows['path'])} windows written to {file}\n".replace("1 windows", "1 window")

    outcome = run_cli("duplicates", *options, *store)
    assert (outcome.status, names(outcome.out)) == ((0, sorted(both)) if both <= set(expected) else (1, []))


def test_windows_of_a_long_recording_are_cut_by_the_hour(run_cli, made, tmp_path):
    options = ("--hour", "4-7", "--store", made.store)
    out = run_cli("query", "rain", "--all-windows", "-k", "all", "--format", "jsonl", *options).out
    assert sorted(json.loads(line)["start_s"] for line in out.splitlines()) == [4.0, 6.0]
    run_cli("export", tmp_path / "windows.npz", *options)
    assert np.load(tmp_path / "windows.npz")["start_s"].tolist() == [4.0, 6.0]
    out = run_cli("label", made.sounds, "--labels", "rain", "--all-windows", *options).out
    assert [json.loads(line)["start_s"] for line in out.splitlines()] == [4.0, 6.0]


BAD = {
    "--length": ("x", "'x' must be a length or a range, such as 0.1-2, 1:30- or -5."),
    "--rate": ("48k", "'48k' must be a rate in Hz or a range, such as 44100, 44100- or 8000-22050."),
    "--channels": ("stereo", "'stereo' must be a number or a range, such as 2 or 1-2."),
    "--name": ("", "must not be empty."),
    "--recorded": (
        "June",
        "'June' must be a day, a month or a range, such as 2024-06, 2024-06-01..2024-06-30 or "
        "2024-06-01T05:00..2024-06-01T06:30.",
    ),
    "--hour": ("25", "'25' must be an hour of the day or a range, such as 5, 4:30-7 or 22-4."),
    "--loudness": ("-14--30", "'-14--30' must go from the smaller to the larger number."),
    "--bpm": ("fast", "'fast' must be a tempo or a range, such as 120 or 118-122."),
}
FIRST = {"query": ["rain"], "label": [".", "--labels", "rain"], "export": ["x.npz"]}


@pytest.mark.parametrize("command", FILTERING)
@pytest.mark.parametrize("option", BAD)
def test_a_bad_value_is_one_line_that_names_the_option(run_cli, command, option):
    value, said = BAD[option]
    expected = Outcome(2, b"", f"pe-search: {option}: {said}\n")
    assert run_cli(command, *FIRST.get(command, ()), option, value) == expected


# What is said where nothing is left


def last_line(shown: str) -> str:
    return [line for line in plain(shown) if line][-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--length", "20-"), "none of 5 clips passes --length 20-."),
        (("--bpm", "200-", "--rate", "8000-"), "none of 5 clips passes --bpm 200-; 3 clips have no tempo."),
        (
            ("--recorded", "2023", "--hour", "4-7"),
            "none of 5 clips passes --recorded 2023-01-01..2023-12-31; 3 clips have no recording time.",
        ),
        (
            ("--name", "kick*", "--channels", "1"),
            "none of 5 clips passes --channels 1 --name 'kick*' together, but 4 pass --channels 1, 1 pass "
            "--name 'kick*'.",
        ),
    ],
)
def test_which_filter_leaves_nothing_is_said_on_a_terminal_alone(
    run_cli, run_cli_on_terminal, made, tmp_path, options, said
):
    commands = [["query", "rain"], ["list"], ["duplicates"], ["label", made.sounds, "--labels", "rain"]]
    # Of files, names are looked at first.
    for command in commands[: 3 if "--name" in options else 4]:
        asked = [*command, *options, "--store", made.store]
        assert last_line(run_cli_on_terminal(*asked, status=1)) == f"pe-search: {said}"
        assert run_cli(*asked) == Outcome(1, b"", "")
    file = tmp_path / "windows.npz"
    outcome = run_cli("export", file, *options, "--store", made.store)
    assert outcome == Outcome(1, b"", f"pe-search: {said}\n")
    assert not file.exists()


def test_of_a_folder_its_clips_count(run_cli_on_terminal, made):
    options = ("--under", made.sounds / "drums", "--channels", "3", "--store", made.store)
    for command in (["query", "rain"], ["list"]):
        shown = run_cli_on_terminal(*command, *options, status=1)
        assert last_line(shown) == "pe-search: none of 2 clips passes --channels 3."


def test_where_nothing_is_probable_it_is_said_how_many_clips_were_searched(run_cli_on_terminal, made):
    shown = run_cli_on_terminal(
        "query", "rain", "--tag", "drum", "--min-probability", "1", "--store", made.store, status=1
    )
    assert "rain: nothing found in 2 clips passing --tag drum with --min-probability 1; the best has" in last_line(
        shown
    )
    shown = run_cli_on_terminal("query", "rain", "-k", "1", "--tag", "drum", "--store", made.store)
    assert last_line(shown) == "1 of 2 shown; -k 2 or -k all for more"
    shown = run_cli_on_terminal("duplicates", "--tag", "drum", "--store", made.store, status=1)
    assert last_line(shown).startswith("pe-search: no two of 2 clips passing --tag drum sound the same")
    shown = run_cli_on_terminal("list", "--gone", "--tag", "drum", "--store", made.store, status=1)
    assert last_line(shown) == "pe-search: no clip passing --tag drum is gone."


def test_what_an_older_store_lacks_is_read_by_index(run_cli_on_terminal, made, tmp_path):
    store = shutil.copytree(made.store, tmp_path / "store")
    with pe_search.open(store) as library:
        catalog = library.open().catalog.path
    with closing(sqlite3.connect(catalog)) as db, db:
        db.execute("DELETE FROM facts")
    shown = run_cli_on_terminal("list", "--rate", "1-", "--store", store, status=1)
    expected = (
        "none of 5 clips passes --rate 1-; 5 clips have no sample rate; index reads what an older pe-search did not."
    )
    assert last_line(shown) == f"pe-search: {expected}"


def test_explain_says_how_many_clips_pass_each_filter(run_cli, made):
    options = ("--under", made.sounds, "--bpm", "100-", "--hour", "4-7", "--store", made.store)
    outcome = run_cli("query", "rain", "--explain", *options)
    assert outcome.err.splitlines()[-4:] == [
        "rain: 0 of 0 windows searched, exactly; the best 0 clips, 0 shown",
        f"not searched: 7 windows of clips outside --under {made.sounds} or not passing --hour 4-7 --bpm 100-",
        "--hour 4-7: 1 of 5 clips pass; 3 clips have no recording time",
        "--bpm 100-: 1 of 5 clips pass; 3 clips have no tempo",
    ]
    outcome = run_cli("query", "rain", "--explain", "--hour", "4-7", "--store", made.store)
    assert "rain: 2 of 2 windows searched, exactly; the best 1 clip, 1 shown" in outcome.err


def test_hits_that_stand_out_are_told_among_what_passes(run_cli, made):
    options = ("--fdr", "1", "-k", "all", "--tag", "drum", "--store", made.store)
    assert set(names(run_cli("query", "rain", *options).out)) <= {"Kick 01.wav", "snare.wav"}


# Files that no store holds


def test_labels_of_files_without_a_store_go_by_their_headers(run_cli, made):
    """In windows of ten seconds, so that of the night only what begins before four is one."""
    model = ("--labels", "rain", "--model", made.checkpoint)
    for options, expected in EACH:
        if not {"--tag", "--loudness"} & {option.partition("=")[0] for option in options}:
            outcome = run_cli("label", made.sounds, *model, *options)
            names_found = sorted(Path(json.loads(line)["path"]).name for line in outcome.out.splitlines())
            if options == ("--hour", "4-7"):
                assert (outcome.status, names_found) == (1, [])
            else:
                assert (outcome.status, outcome.err, names_found) == (0, "", sorted(expected))


def test_what_only_a_store_knows_is_said_once(run_cli, made):
    model = ("--labels", "rain", "--model", made.checkpoint)
    outcome = run_cli("label", made.sounds, *model, "--loudness", "-39..", "--tag", "drum")
    assert outcome == Outcome(
        1,
        b"",
        "pe-search: 5 clips have no loudness known without decoding and can't pass --loudness -39..; index measures it."
        "\npe-search: 5 clips are not in the store as on disk and can't pass --tag drum.\n",
    )
    # Names are looked at first.
    outcome = run_cli("label", made.sounds, *model, "--loudness", "-39..", "--name", "k*")
    assert outcome.err.startswith("pe-search: 1 clip has no loudness known")


def test_of_files_names_are_looked_at_first(run_cli_on_terminal, made):
    label = ("label", made.sounds, "--labels", "rain", "--model", made.checkpoint)
    shown = run_cli_on_terminal(*label, "--name", "kick*", "--channels", "1", status=1)
    assert last_line(shown) == "pe-search: none of 1 clip passes --channels 1."
    shown = run_cli_on_terminal(*label, "--name", "crash*", "--channels", "1", status=1)
    assert last_line(shown) == "pe-search: none of 5 clips passes --name 'crash*'."
    shown = run_cli_on_terminal(*label, "--hour", "4-7", status=1)
    assert last_line(shown) == "pe-search: no window of 1 clip passes --hour 4-7."


def test_a_file_that_changed_since_goes_by_its_header(run_cli, made, tmp_path):
    sounds, store = shutil.copytree(made.sounds, tmp_path / "sounds"), tmp_path / "store"
    run_cli("index", sounds, "--model", made.checkpoint, "--store", store)
    write_audio(sounds / "dog.wav", noise(3.0, 1, 22_050), 22_050)
    labels = ("label", sounds, "--labels", "rain", "--store", store)
    outcome = run_cli(*labels, "--rate", "22050")
    assert (outcome.status, outcome.err) == (0, "")
    assert [Path(json.loads(line)["path"]).name for line in outcome.out.splitlines()] == ["dog.wav"]
    outcome = run_cli(*labels, "--loudness", "-39..")
    assert outcome.status == 0
    assert outcome.err == (
        "pe-search: 1 clip has no loudness known without decoding and can't pass --loudness -39..; index measures it.\n"
    )
    # What is no audio is a problem where its header is looked at.
    (sounds / "dog.wav").write_bytes(b"no audio")
    outcome = run_cli(*labels, "--rate", "44100")
    assert outcome.status == 2
    assert outcome.err.startswith(f"pe-search: {sounds / 'dog.wav'}: ")
    assert outcome.err.count("\n") == 1
    assert run_cli(*labels, "--name", "k*").status == 0


# A conversation


def test_a_conversation_has_filters(talk: Callable, made):
    talk = talk("--store", made.store, "--tag", "drum", "-k", "all")
    first = talk.type("rain")
    assert "snare.wav" in first
    assert "dog.wav" not in first
    kick = "--rate 8000-44100 --name 'Kick*'"
    assert talk.type(f":filter {kick}") == f"Searching 1 clip passing {kick}.\n"
    assert "Kick 01.wav" in talk.type("rain")

    def type_one_line(line: str) -> str:
        return " ".join(talk.type(line).split())

    # Nothing is changed by what leaves nothing, or is wrong.
    assert talk.type(":filter --channels 3") == "pe-search: None of 5 clips passes --channels 3.\n"
    refused = "pe-search: --length: 'x' must be a length or a range, such as 0.1-2, 1:30- or -5.\n"
    assert talk.type(":filter --length x") == refused
    assert talk.type(":filter --size 3").startswith("pe-search: '--size' is not a filter; there are --length, --rate,")
    assert type_one_line(f":under {made.sounds}") == f"Searching 1 clip in {made.sounds} passing {kick}."
    assert type_one_line(":filter") == f"Searching 5 clips in {made.sounds}."
    talk.end()


@pytest.mark.parametrize(
    ("line", "filters"),
    [
        ("", Filters()),
        ("--length 0.1-2 --tag kick", Filters(length_s=(0.1, 2.0), tags=("kick",))),
        ("length=0.1-2 tag 'my kick' --tag b", Filters(length_s=(0.1, 2.0), tags=("my kick", "b"))),
        ("--loudness -30--14", Filters(loudness_lufs=(-30.0, -14.0))),
    ],
)
def test_a_line_of_options(line, filters):
    assert read_options(line) == filters
    assert read_options(options_of(filters)) == filters
    assert list(options_by_field(filters)) == [
        field for field in Filters.__dataclass_fields__ if getattr(filters, field) != getattr(Filters(), field)
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--length", "requires a value"),
        ("--length 1 --length 2", "given twice"),
        ("--tag 'x", "has no end"),
        ("loud", "is not a filter"),
    ],
)
def test_a_line_of_wrong_options(line, said):
    with pytest.raises(typer.BadParameter, match=said):
        read_options(line)


# The library


def test_the_library_takes_the_filters_themselves(made, tmp_path):
    early = pe_search.Filters(hours=(4, 7))
    drums = pe_search.Filters(tags=("drum",))
    with pe_search.open(made.store) as library:
        assert [(hit.path.name, hit.start_s >= 4) for hit in library.query("rain", filters=early)] == [
            ("20240601_035956.wav", True)
        ]
        assert [clip.path.name for clip in library.clips(filters=drums)] == ["Kick 01.wav", "snare.wav"]
        assert [clip.path.name for clip in library.clips(made.sounds / "field", filters=drums)] == []
        assert all(takes(drums, clip) for clip in library.clips(filters=drums))
        assert library.embeddings(filters=early).times.tolist() == [[4.0, 6.0], [6.0, 8.0]]
        assert library.export(tmp_path / "x.npz", filters=early) == 2
        assert library.duplicates(filters=early) == []
        assert [len(group) for group in library.duplicates(filters=pe_search.Filters(names=("2024*",)))] == [2]
        assert library.filter_effect(None, drums) == pe_search.FilterEffect(5, 2, {"tags": 2}, {})
        effects: list[pe_search.FilterEffect] = []
        labelled = library.label(made.sounds, "rain", filters=early, on_filtered=effects.append)
        assert [[(hit.path.name, hit.start_s >= 4) for hit in hits] for hits in labelled] == [
            [("20240601_035956.wav", True)]
        ]
        assert effects == [pe_search.FilterEffect(5, 1, {"hours": 1}, {"hours": 3})]
        for ask in (library.query, library.label):
            with pytest.raises(pe_search.QueryError, match="hours must be two different hours"):
                ask("rain", *(["rain"] if ask == library.label else []), filters=pe_search.Filters(hours=(4, 4)))
    with pe_search.open([made.store, shutil.copytree(made.store, tmp_path / "other")]) as both:
        assert [hit.path.name for hit in both.query("rain", filters=early)] == ["20240601_035956.wav"]
        assert both.filter_effect(None, drums) == pe_search.FilterEffect(10, 4, {"tags": 4}, {})
        assert len(list(both.clips(filters=drums))) == 4

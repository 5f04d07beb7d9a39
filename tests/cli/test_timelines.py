"""Spans for Audacity, Raven, REAPER and cue sheets: byte for byte, and as other programs read them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import crowsetta
import cueparser
import numpy as np
import pytest
import utaupy

from pe_search.cli.output.hits import HitFormat
from pe_search.cli.output.raven import RavenFiles
from pe_search.cli.output.timelines import TIMELINE_FORMATS, TimelineWriter
from pe_search.errors import AudioError, PeSearchError
from pe_search.queries import Span, Trace
from pe_search.records import Facts, IndexedClip, Problem
from tests.made_up import noise, write_audio

DOG = [Span(2.15, 2.75, 0.934), Span(3723.4, 3726.1004, 0.5)]
RAIN = [Span(0.0, 2.5, 1.0)]


def trace(path: str | bytes, query: str, spans: list[Span]) -> Trace:
    return Trace(query, Path(os.fsdecode(path)), 0.0, 4000.0, np.zeros(1, np.float32), tuple(spans))


def describe(path: Path) -> IndexedClip:
    """As the header of a file would: WAV at 96 kHz with a time, MP3 at 44.1 kHz without."""
    is_wave = path.suffix == ".wav"
    facts = Facts(sample_rate_hz=96_000 if is_wave else 44_100, channels=1)
    recorded_at = "2024-12-31T23:59:58.500+01:00" if is_wave else None
    return IndexedClip(path, 1, 1, 10.0, 0, None, b"", facts=facts, recorded_at=recorded_at)


def write_timelines(clips: Iterable[list[Trace | None]], timeline_format: HitFormat) -> int:
    with TimelineWriter(timeline_format, RavenFiles(describe)) as writer:
        for traces in clips:
            writer.write(traces)
    return writer.count


@pytest.fixture
def write(capfdbinary, tmp_path):
    """Write traces in a format, and return the file that a shell would have made of it."""

    def run(timeline_format: HitFormat, *clips: list[Trace | None]) -> Path:
        count = write_timelines(clips, timeline_format)
        assert count == sum(len(one.spans) for traces in clips for one in traces if one is not None)
        file = tmp_path / f"{timeline_format.value}.txt"
        file.write_bytes(capfdbinary.readouterr().out)
        return file

    return run


ONE_CLIP = [trace("/s/walk.wav", "dog barking", DOG), None, trace("/s/walk.wav", "light\train\n", RAIN)]
TWO_CLIPS = [ONE_CLIP, [trace("/s/empty.wav", "dog", []), trace(b"/s/\xff.mp3", "dog", RAIN)]]


def test_audacity(write):
    """As https://manual.audacityteam.org/man/importing_and_exporting_labels.html has its standard format."""
    assert write(HitFormat.AUDACITY, ONE_CLIP).read_bytes() == (
        b"0.000000\t2.500000\tlight rain 1.00\n"
        b"2.150000\t2.750000\tdog barking 0.93\n"
        b"3723.400000\t3726.100400\tdog barking 0.50\n"
    )


def test_audacity_as_crowsetta_reads_it(write):
    labels = crowsetta.formats.seq.AudSeq.from_file(write(HitFormat.AUDACITY, ONE_CLIP))
    np.testing.assert_allclose(labels.start_times, [0.0, 2.15, 3723.4])
    np.testing.assert_allclose(labels.end_times, [2.5, 2.75, 3726.1004])
    assert list(labels.labels) == ["light rain 1.00", "dog barking 0.93", "dog barking 0.50"]


def test_raven(write):
    """As Raven Pro saves a selection table, with the columns that say which file a selection is in, where and when.

    No selection is above the Nyquist frequency of its own file, which Raven would refuse.
    """
    assert write(HitFormat.RAVEN, *TWO_CLIPS).read_bytes() == (
        b"Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\t"
        b"Probability\tBegin Path\tFile Offset (s)\tBegin File\tBegin Date Time\n"
        b"1\tSpectrogram 1\t1\t0.000000\t2.500000\t0.0\t48000.0\tlight rain\t1.0000\t/s/walk.wav\t0.000000\t"
        b"walk.wav\t2024/12/31 23:59:58.500\n"
        b"2\tSpectrogram 1\t1\t2.150000\t2.750000\t0.0\t48000.0\tdog barking\t0.9340\t/s/walk.wav\t2.150000\t"
        b"walk.wav\t2025/01/01 00:00:00.650\n"
        b"3\tSpectrogram 1\t1\t3723.400000\t3726.100400\t0.0\t48000.0\tdog barking\t0.5000\t/s/walk.wav\t"
        b"3723.400000\twalk.wav\t2025/01/01 01:02:01.900\n"
        b"4\tSpectrogram 1\t1\t0.000000\t2.500000\t0.0\t22050.0\tdog\t1.0000\t/s/\xff.mp3\t0.000000\t"
        b"\xff.mp3\t\n"
    )


def test_raven_without_times_has_none(write):
    assert write(HitFormat.RAVEN, [trace("/s/a.mp3", "dog", RAIN)]).read_bytes().endswith(b"\ta.mp3\t\n")


def test_raven_as_crowsetta_reads_it(write):
    table = crowsetta.formats.bbox.Raven.from_file(write(HitFormat.RAVEN, ONE_CLIP), annot_col="Annotation")
    boxes = table.to_bbox()
    assert [(box.onset, box.offset, box.label) for box in boxes] == [
        (0.0, 2.5, "light rain"),
        (2.15, 2.75, "dog barking"),
        (3723.4, 3726.1004, "dog barking"),
    ]
    assert {(box.low_freq, box.high_freq) for box in boxes} == {(0.0, 48_000.0)}


def test_raven_files_in_a_sequence(capfdbinary):
    """Each begins where the one before ends, also where nothing is heard in it; the selections are in order of time."""
    files = RavenFiles(lambda path: replace(describe(path), duration_s=float(path.stem)))
    problems: list[Problem] = []
    files.open_as_sequence([Path(f"/s/{name}.wav") for name in ("3.5", "1.25", "2")], problems.append)
    with TimelineWriter(HitFormat.RAVEN, files) as writer:
        writer.write([trace("/s/3.5.wav", "dog", [Span(0.5, 1.5, 0.5)])])
        writer.write([trace("/s/1.25.wav", "dog", [Span(0.25, 1.0, 0.5)])])
    header, *lines = [line.split("\t") for line in capfdbinary.readouterr().out.decode().splitlines()]
    columns = ("Selection", "Begin Time (s)", "End Time (s)", "File Offset (s)", "Begin File", "Begin Date Time")
    assert [[line[header.index(column)] for column in columns] for line in lines] == [
        ["1", "0.250000", "1.000000", "0.250000", "1.25.wav", "2024/12/31 23:59:58.750"],
        ["2", "3.750000", "4.750000", "0.500000", "3.5.wav", "2024/12/31 23:59:59.000"],
    ]
    assert problems == []
    with pytest.raises(PeSearchError, match=r"^--raven-sequence: /s/9\.wav is new since "):
        files.start_s(Path("/s/9.wav"))


def test_raven_takes_only_files_of_one_form_as_a_sequence():
    files = RavenFiles(describe)
    with pytest.raises(PeSearchError) as caught:
        files.open_as_sequence([Path("/s/b.mp3"), Path("/s/a.wav")], pytest.fail)
    assert str(caught.value) == (
        "--raven-sequence: /s/a.wav has 96,000 Hz and 1 channel, and /s/b.mp3 44,100 Hz and 1 channel; Raven opens "
        "only files of one rate and number of channels as a sequence."
    )


def test_a_file_that_can_not_be_read_is_no_part_of_a_sequence():
    def describe_some(path: Path) -> IndexedClip:
        if path.name == "b.wav":
            raise AudioError(path, "is gone")
        return describe(path)

    files, problems = RavenFiles(describe_some), list[Problem]()
    files.open_as_sequence([Path(name) for name in ("/s/c.wav", "/s/b.wav", "/s/a.wav", "rows/1")], problems.append)
    assert (files.start_s(Path("/s/a.wav")), files.start_s(Path("/s/c.wav"))) == (0.0, 10.0)
    assert problems == [Problem(Path("/s/b.wav"), "is gone")]


def test_reaper(write):
    """As the Region/Marker Manager of REAPER exports regions, with times in hours, minutes and seconds."""
    assert write(HitFormat.REAPER, ONE_CLIP).read_bytes() == (
        b"#,Name,Start,End,Length\n"
        b"R1,light rain 1.00,0:00:00.000,0:00:02.500,0:00:02.500\n"
        b"R2,dog barking 0.93,0:00:02.150,0:00:02.750,0:00:00.600\n"
        b"R3,dog barking 0.50,1:02:03.400,1:02:06.100,0:00:02.700\n"
    )
    quoted = write(HitFormat.REAPER, [trace("/s/a.wav", 'rain, "heavy"', RAIN)])
    assert quoted.read_bytes().splitlines()[1] == b'R1,"rain, ""heavy"" 1.00",0:00:00.000,0:00:02.500,0:00:02.500'


def test_reaper_as_utaupy_reads_it(write):
    regions = utaupy.reaper.load(str(write(HitFormat.REAPER, ONE_CLIP)))
    assert [(region.name, region.start, region.end) for region in regions.values] == [
        ("light rain 1.00", "0:00:00.000", "0:00:02.500"),
        ("dog barking 0.93", "0:00:02.150", "0:00:02.750"),
        ("dog barking 0.50", "1:02:03.400", "1:02:06.100"),
    ]


def test_cue(write):
    """As the CDRWIN User's Guide has it: 75 frames a second, and as many minutes as there are."""
    quoted = [trace("/s/b.AIFF", 'a "big" dog', [Span(59.996, 61.0, 0.75)])]
    assert write(HitFormat.CUE, *TWO_CLIPS, quoted).read_bytes() == (
        b'FILE "/s/walk.wav" WAVE\n'
        b'  TRACK 01 AUDIO\n    TITLE "light rain 1.00"\n    INDEX 01 00:00:00\n'
        b'  TRACK 02 AUDIO\n    TITLE "dog barking 0.93"\n    INDEX 01 00:02:11\n'
        b'  TRACK 03 AUDIO\n    TITLE "dog barking 0.50"\n    INDEX 01 62:03:30\n'
        b'FILE "/s/\xff.mp3" MP3\n'
        b'  TRACK 04 AUDIO\n    TITLE "dog 1.00"\n    INDEX 01 00:00:00\n'
        b'FILE "/s/b.AIFF" AIFF\n'
        b"  TRACK 05 AUDIO\n    TITLE \"a 'big' dog 0.75\"\n    INDEX 01 01:00:00\n"
    )


def test_cue_as_cueparser_reads_it(write):
    sheet = cueparser.CueSheet()
    sheet.setOutputFormat("", "")
    sheet.setData(write(HitFormat.CUE, ONE_CLIP).read_text())
    sheet.parse()
    assert sheet.file == "/s/walk.wav"
    assert [(track.number, track.title, track.offset) for track in sheet.tracks] == [
        (1, "light rain 1.00", "00:00:00"),
        (2, "dog barking 0.93", "00:02:11"),
        (3, "dog barking 0.50", "62:03:30"),
    ]


def test_a_sheet_has_room_for_99_tracks(write):
    many = [Span(float(second), second + 0.5, 0.5) for second in range(100)]
    assert write(HitFormat.CUE, [trace("/s/a.wav", "dog", many[:99])]).read_bytes().count(b"TRACK") == 99
    with pytest.raises(PeSearchError, match=r"holds at most 99 spans, and there are more"):
        write(HitFormat.CUE, [trace("/s/a.wav", "dog", many)])


@pytest.mark.parametrize("timeline_format", [HitFormat.AUDACITY, HitFormat.REAPER])
def test_a_format_for_one_clip_takes_no_two_and_prints_nothing(timeline_format, capfdbinary):
    message = f"^--format {timeline_format.value} can't name clips, and the spans are in more than one. "

    def clips() -> Iterator[list[Trace | None]]:
        yield from TWO_CLIPS
        pytest.fail("it goes on with the next clip, which may take hours, though all would be in vain")

    with pytest.raises(PeSearchError, match=message):
        write_timelines(clips(), timeline_format)
    assert capfdbinary.readouterr().out == b""


@pytest.mark.parametrize(
    ("timeline_format", "name"),
    [(HitFormat.RAVEN, "a\tb.wav"), (HitFormat.RAVEN, "a\nb.wav"), (HitFormat.CUE, 'a"b.wav')],
)
def test_a_name_that_a_format_cannot_write_is_an_error_before_anything_is_printed(timeline_format, name, capfdbinary):
    def clips() -> Iterator[list[Trace | None]]:
        yield [trace("/s/fine.wav", "dog", RAIN)]
        yield [trace(f"/s/{name}", "dog", RAIN)]
        pytest.fail("it goes on with the next clip, which may take hours, though all would be in vain")

    with pytest.raises(PeSearchError, match="can't hold the name "):
        write_timelines(clips(), timeline_format)
    assert capfdbinary.readouterr().out == b""


@pytest.mark.parametrize("timeline_format", sorted(TIMELINE_FORMATS))
def test_nothing_heard(write, timeline_format):
    lines = {HitFormat.RAVEN: 1, HitFormat.REAPER: 1}.get(timeline_format, 0)
    assert write(timeline_format, [trace("/s/a.wav", "dog", []), None]).read_bytes().count(b"\n") == lines


def test_times_are_rounded_once(write):
    """59.9996 s is a minute, and not 60 seconds."""
    (_, row) = (
        write(HitFormat.REAPER, [trace("/s/a.wav", "dog", [Span(59.9996, 3599.9999, 0.5)])]).read_text().splitlines()
    )
    assert row == "R1,dog 0.50,0:01:00.000,1:00:00.000,0:59:00.000"
    sheet = write(HitFormat.CUE, [trace("/s/a.wav", "dog", [Span(float(Decimal("59.999")), 61.0, 0.5)])]).read_text()
    assert "INDEX 01 01:00:00" in sheet


# Through the command


@pytest.fixture
def sounds(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.wav", "b.wav")):
        write_audio(tmp_path / name, noise(2 + seed, seed) * 2)
    return tmp_path


def test_locate_prints_them(run_cli, sounds, plain_checkpoint):
    options = ("--threshold", 0, "--model", plain_checkpoint[0])
    outcome = run_cli("locate", "rain", "dog", "a.wav", "--format", "audacity", *options)
    assert (outcome.status, outcome.err) == (0, "")
    assert [line.split(b"\t")[:2] for line in outcome.out.splitlines()] == [[b"0.000000", b"2.000000"]] * 2
    outcome = run_cli("locate", "rain", "a.wav", "b.wav", "--format", "raven", *options)
    assert [line.split(b"\t")[9:] for line in outcome.out.splitlines()[1:]] == [
        [os.fsencode(sounds / "a.wav"), b"0.000000", b"a.wav", b""],
        [os.fsencode(sounds / "b.wav"), b"0.000000", b"b.wav", b""],
    ]
    outcome = run_cli("locate", "rain", "a.wav", "b.wav", "--format", "reaper", *options)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err.startswith("pe-search: --format reaper can't name clips, and")
    outcome = run_cli("locate", "rain", "a.wav", "--format", "audacity", "--threshold", 1, *options[2:])
    assert (outcome.status, outcome.out) == (1, b"")


def test_query_prints_them_with_spans_only(run_cli, library):
    weather = library.sounds / "weather"
    options = ("--store", library.store, "--under", weather, "-k", 1, "--threshold", 0)
    outcome = run_cli("query", "rain", "--spans", "--format", "cue", *options)
    assert (outcome.status, outcome.err) == (0, "")
    best = next(place.path for place, _ in library.ranking("rain") if place.path.is_relative_to(weather))
    assert outcome.out.startswith(b'FILE "' + os.fsencode(best))
    assert run_cli("query", "rain", "--spans", "--format", "audacity", *options[:-1], 1).status == 1
    outcome = run_cli("query", "rain", "--format", "cue", "--store", library.store)
    assert outcome.status == 2
    assert outcome.err == "pe-search: --format cue requires --spans or --said.\n"


RAVEN = ("Begin Time (s)", "End Time (s)", "High Freq (Hz)", "File Offset (s)", "Begin File", "Begin Date Time")


def raven_rows(table: bytes) -> list[list[str]]:
    header, *lines = [line.split("\t") for line in table.decode().splitlines()]
    return [[line[header.index(column)] for column in RAVEN] for line in lines]


@pytest.fixture
def recordings(tmp_path, monkeypatch) -> Path:
    """Three recordings of one recorder, each of its own length, and a time in their names."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, length_s) in enumerate(
        {"A_20240612_053000": 1.5, "A_20240612_053130": 2, "A_20240612_054000": 3}.items()
    ):
        write_audio(tmp_path / "night" / f"{name}.wav", noise(length_s, seed, rate_hz=22_050), 22_050)
    return tmp_path / "night"


ALONE = [
    ["0.000000", "1.500000", "11025.0", "0.000000", "A_20240612_053000.wav", "2024/06/12 05:30:00.000"],
    ["0.000000", "2.000000", "11025.0", "0.000000", "A_20240612_053130.wav", "2024/06/12 05:31:30.000"],
    ["0.000000", "3.000000", "11025.0", "0.000000", "A_20240612_054000.wav", "2024/06/12 05:40:00.000"],
]
IN_SEQUENCE = [
    ["0.000000", "1.500000", *ALONE[0][2:]],
    ["1.500000", "3.500000", *ALONE[1][2:]],
    ["3.500000", "6.500000", *ALONE[2][2:]],
]


def test_locate_for_raven_says_when_and_up_to_the_nyquist_of_the_file(run_cli, recordings, plain_checkpoint):
    options = ("--threshold", 0, "--model", plain_checkpoint[0], "--format", "raven")
    outcome = run_cli("locate", "rain", recordings, *options)
    assert (outcome.status, outcome.err) == (0, "")
    assert raven_rows(outcome.out) == ALONE
    outcome = run_cli("locate", "rain", recordings, *options, "--raven-sequence", "-o", "night.txt")
    assert (outcome.status, outcome.out, outcome.err) == (0, b"", "")
    assert raven_rows(Path("night.txt").read_bytes()) == IN_SEQUENCE
    boxes = crowsetta.formats.bbox.Raven.from_file("night.txt", annot_col="Annotation").to_bbox()
    assert [(box.onset, box.offset, box.high_freq) for box in boxes] == [
        (0.0, 1.5, 11_025.0),
        (1.5, 3.5, 11_025.0),
        (3.5, 6.5, 11_025.0),
    ]


def test_a_broken_file_is_reported_once_and_no_part_of_the_sequence(run_cli, recordings, plain_checkpoint):
    (recordings / "A_20240612_053130.wav").write_bytes(b"no sound")
    options = ("--threshold", 0, "--model", plain_checkpoint[0], "--format", "raven", "--raven-sequence")
    outcome = run_cli("locate", "rain", recordings, *options)
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert raven_rows(outcome.out) == [ALONE[0], ["1.500000", "4.500000", *ALONE[2][2:]]]


def test_query_for_raven_counts_through_all_clips_below_the_folder(run_cli, recordings, plain_checkpoint):
    store = recordings.parent / "made.store"
    write_audio(recordings.parent / "other" / "a.wav", noise(1, 7))
    window = ("--window", 10, "--model", plain_checkpoint[0])
    assert run_cli("index", recordings, recordings.parent / "other", "--store", store, *window).status == 0
    options = ("--spans", "--threshold", 0, "--format", "raven", "--store", store, "--under", recordings)
    outcome = run_cli("query", "rain", *options)
    assert (outcome.status, outcome.err) == (0, "")
    assert sorted(raven_rows(outcome.out), key=lambda row: row[4]) == ALONE
    outcome = run_cli("query", "rain", *options, "--raven-sequence")
    assert (outcome.status, outcome.err) == (0, "")
    assert raven_rows(outcome.out) == IN_SEQUENCE
    # A clip of the sequence that is not among the hits counts all the same.
    outcome = run_cli("query", "rain", *options, "--raven-sequence", "-k", 1)
    assert raven_rows(outcome.out)[0] in IN_SEQUENCE
    # All clips of the store are not of one rate.
    outcome = run_cli("query", "rain", *options[:-2], "--raven-sequence")
    assert (outcome.status, outcome.out) == (2, b"")
    assert "Raven opens only files of one rate" in outcome.err


def test_a_clip_that_is_gone_is_reported_and_no_part_of_the_sequence(run_cli, recordings, plain_checkpoint):
    store = recordings.parent / "made.store"
    assert run_cli("index", recordings, "--store", store, "--model", plain_checkpoint[0]).status == 0
    gone = recordings / "A_20240612_053000.wav"
    gone.unlink()
    options = ("--threshold", 0, "--format", "raven", "--store", store, "--raven-sequence")
    outcome = run_cli("query", "rain", "--spans", *options)
    assert outcome.status == 2
    assert {line.split(": ")[1] for line in outcome.err.splitlines()} == {str(gone)}
    assert raven_rows(outcome.out) == [["0.000000", "2.000000", *ALONE[1][2:]], ["2.000000", "5.000000", *ALONE[2][2:]]]


@pytest.mark.parametrize("command", ["query", "locate"])
def test_a_sequence_is_for_raven_alone(run_cli, sounds, command):
    arguments = {"query": ("rain", "--spans"), "locate": ("rain", "a.wav")}[command]
    outcome = run_cli(command, *arguments, "--raven-sequence", "--format", "jsonl")
    assert (outcome.status, outcome.err) == (2, "pe-search: --raven-sequence requires --format raven.\n")

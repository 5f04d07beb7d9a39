"""`--level`, `--speed` and `--track`: how clips are brought to the model, by every command that reads them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.made_up import noise, write_audio


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "store"


def test_a_store_remembers_how_its_clips_are_heard_and_refuses_another_way(run_cli, plain_checkpoint, store, tmp_path):
    clip = write_audio(tmp_path / "a.wav", noise(1.0))
    model = ("--model", plain_checkpoint[0])
    made = run_cli("index", clip, *model, "--store", store, "--level", "none", "--speed", 0.5, "--track", 1)
    assert made.status == 0
    assert run_cli("index", clip, "--store", store).status == 0
    assert run_cli("index", clip, "--store", store, "--level", "none", "--speed", 0.5).status == 0
    for other in (("--level", "auto"), ("--speed", 1), ("--track", 2)):
        refused = run_cli("index", clip, "--store", store, *other)
        assert (refused.status, refused.err) == (
            2,
            f"pe-search: The store at {store} was made with --level none --speed 0.5 --track 1. To use others, "
            "index into another store (--store).\n",
        )
    facts = json.loads(run_cli("status", "--format", "json", "--store", store).out)
    assert (facts["level"], facts["speed"], facts["track"]) == ("none", 0.5, 1)


def test_a_new_store_brings_quiet_windows_up_to_a_level(run_cli, plain_checkpoint, store, tmp_path):
    loud = noise(1.0)
    write_audio(tmp_path / "sounds" / "loud.wav", loud * np.float32(0.5))
    # Down to where 16 bits would be worse than their rounding, so as floats.
    write_audio(tmp_path / "sounds" / "quiet.wav", loud * np.float32(2e-3))
    write_audio(tmp_path / "sounds" / "quieter.wav", loud * np.float32(1.5e-3))
    assert run_cli("index", tmp_path / "sounds", "--model", plain_checkpoint[0], "--store", store).status == 0
    assert json.loads(run_cli("status", "--format", "json", "--store", store).out)["level"] == "auto"
    scores = _scores(run_cli("query", "rain", "--format", "jsonl", "--store", store))
    assert scores["quiet.wav"] == pytest.approx(scores["quieter.wav"], rel=1e-3)
    assert scores["quiet.wav"] != pytest.approx(scores["loud.wav"], rel=1e-3)

    as_it_is = tmp_path / "as-it-is"
    options = ("--model", plain_checkpoint[0], "--level", "none", "--store", as_it_is)
    assert run_cli("index", tmp_path / "sounds", *options).status == 0
    plain = _scores(run_cli("query", "rain", "--format", "jsonl", "--store", as_it_is))
    assert plain["loud.wav"] == pytest.approx(scores["loud.wav"], rel=1e-3)
    assert plain["quiet.wav"] != pytest.approx(plain["quieter.wav"], rel=1e-3)


@pytest.mark.parametrize("speed", [1.0, 0.25])
def test_the_store_itself_is_the_measure_of_like_label_and_verify(run_cli, plain_checkpoint, store, tmp_path, speed):
    clip = write_audio(tmp_path / "sounds" / "a.wav", noise(3.0) * np.float32(1e-3))
    write_audio(tmp_path / "sounds" / "b.wav", noise(3.0, seed=1))
    made = run_cli("index", tmp_path / "sounds", "--model", plain_checkpoint[0], "--speed", speed, "--store", store)
    assert made.status == 0
    like = run_cli(
        "query", "--like", f"{clip}@0-{min(3.0, 10 * speed)}", "--format", "jsonl", "--all-windows", "--store", store
    )
    first = json.loads(like.out.splitlines()[0])
    assert first["path"] == str(clip)
    # A cosine of one comes out as twice the checkpoint's bias (-0.4, taken for -1) over its scale (0.7).
    assert first["score"] == pytest.approx(2 / 0.7, rel=2e-3)
    assert run_cli("verify", "--store", store).status == 0
    held = _scores(run_cli("query", "rain", "--format", "jsonl", "--store", store))
    moved = clip.rename(tmp_path / "moved.wav")
    moved.write_bytes(moved.read_bytes() + b"\0")  # other bytes, the same sound
    labelled = run_cli("label", moved, "--labels", "rain", "--format", "jsonl", "--store", store)
    assert json.loads(labelled.out)["score"] == pytest.approx(held["a.wav"], abs=2e-3)


def test_label_takes_no_store_that_hears_otherwise(run_cli, plain_checkpoint, store, tmp_path):
    clip = write_audio(tmp_path / "a.wav", noise(1.0))
    assert run_cli("index", clip, "--model", plain_checkpoint[0], "--store", store).status == 0
    refused = run_cli("label", clip, "--labels", "rain", "--level", "none", "--store", store)
    assert (refused.status, refused.err) == (
        2,
        f"pe-search: The store at {store} was made with another --level, --speed or --track. Omit --store to use "
        "yours.\n",
    )


def test_times_are_those_of_the_file_at_any_speed(run_cli, plain_checkpoint, store, tmp_path):
    clip = write_audio(tmp_path / "bats.wav", noise(3.0, rate_hz=192_000), 192_000)
    model = ("--model", plain_checkpoint[0])
    made = run_cli("index", clip, *model, "--speed", 0.1, "--window", 10, "--store", store)
    assert made.status == 0
    assert "(3 windows, 0.00 hours)" in made.err
    hits = run_cli("query", "rain", "--all-windows", "--format", "jsonl", "--store", store)
    places = sorted((hit["start_s"], hit["end_s"]) for hit in map(json.loads, hits.out.splitlines()))
    assert places == [pytest.approx(place) for place in ((0.0, 1.0), (1.0, 2.0), (2.0, 3.0))]
    spans = run_cli("locate", "rain", clip, *model, "--speed", 0.1, "--threshold", 0, "--format", "jsonl")
    (span,) = map(json.loads, spans.out.splitlines())
    assert (span["start_s"], span["end_s"]) == (0.0, pytest.approx(3.0, abs=0.004))
    slow = run_cli("locate", "rain", clip, *model, "--speed", 0.001)
    assert (slow.status, slow.err) == (
        2,
        f"pe-search: {clip}: has a sample rate of 192000 Hz, too low for a speed of 0.001\n",
    )


def test_another_audio_track(run_cli, plain_checkpoint, store, tmp_path):
    path = tmp_path / "two.mkv"
    tracks = (noise(1.0), noise(1.0, seed=1))
    with av.open(str(path), "w") as file:
        streams = [file.add_stream("flac", rate=48_000, layout="mono") for _ in tracks]
        for stream, samples in zip(streams, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(
                np.round(samples * 2**15).astype(np.int16)[None], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
            for packet in (*stream.encode(frame), *stream.encode(None)):
                file.mux(packet)
    alone = write_audio(tmp_path / "alone.wav", tracks[1], subtype="PCM_16")
    model = ("--model", plain_checkpoint[0])

    def score(*args: object) -> float:
        return json.loads(run_cli("label", *args, "--labels", "rain", "--format", "jsonl", *model).out)["score"]

    assert score(path, "--track", 2) == pytest.approx(score(alone), rel=1e-3)
    assert score(path) != pytest.approx(score(alone), rel=1e-3)
    third = run_cli("label", path, alone, "--labels", "rain", "--track", 3, *model)
    assert (third.status, third.out) == (2, b"")
    assert third.err.splitlines() == [
        f"pe-search: {path}: has 2 audio tracks, so there is no track 3",
        f"pe-search: {alone}: has one audio track, so there is no track 3",
    ]


def _scores(outcome) -> dict[str, float]:
    assert outcome.status == 0
    return {Path(hit["path"]).name: hit["score"] for hit in map(json.loads, outcome.out.splitlines())}

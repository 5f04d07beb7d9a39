"""Clips embedded again, against what the store holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pe_search.audio.windows import cut_windows
from pe_search.records import Problem
from pe_search.reports import Verification
from pe_search.store import Manifest, Store
from pe_search.tasks.indexing import run_index
from pe_search.tasks.planning import plan_index
from pe_search.tasks.verifying import verify
from tests.made_up import FakeEmbedder, noise, write_audio


@pytest.fixture
def sounds(tmp_path) -> Path:
    """Five clips of 3.5 s, as many windows of one second."""
    for seed in range(5):
        write_audio(tmp_path / "sounds" / f"{seed}.wav", noise(3.5, seed))
    return tmp_path / "sounds"


@pytest.fixture
def store(tmp_path, sounds) -> Iterator[Store]:
    with Store.create(tmp_path / "store", Manifest("builtin", "c0ffee", 3, 1.0, 1.0, 48_000, 1.0, 0.0)) as opened:
        run_index(plan_index([sounds], {}), opened, FakeEmbedder)
        yield opened


class Drifting(FakeEmbedder):
    """Adds something to one number of one window."""

    batch_s = 1.0

    def __init__(self, drift: Sequence[float]) -> None:
        super().__init__()
        self.drift = np.array(drift, np.float32)

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        embeddings = super().embed_windows(windows)
        if self.calls == 3:
            embeddings[0] += self.drift
        return embeddings


def test_the_same_embedder_differs_by_the_rounding_to_float16_alone(store):
    embedder = FakeEmbedder()
    found = verify(store, lambda: embedder, 99)
    assert (found.clips, found.windows, embedder.windows_embedded) == (5, 20, 20)
    assert (found.gone, found.changed, found.problems) == ((), (), ())
    assert 0 < found.largest_difference < 2**-13
    assert 0 < found.largest_relative < 2**-12
    assert 1 - 2**-24 < found.smallest_cosine < 1 + 1e-12


def test_the_largest_drift_is_told(store):
    # Each held embedding is (nearly 0, 1/12, 1), of length 1.0035.
    found = verify(store, lambda: Drifting([0, 0, 0.25]), 99)
    assert found.largest_difference == pytest.approx(0.25, abs=1e-3)
    assert found.largest_relative == pytest.approx(0.25 / 1.0035, abs=1e-3)
    found = verify(store, lambda: Drifting([1.0035, 0, 0]), 99)
    assert found.smallest_cosine == pytest.approx(np.sqrt(0.5), abs=5e-3)


def test_what_comes_out_as_no_number_is_a_problem(store):
    found = verify(store, lambda: Drifting([np.nan, 0, 0]), 99)
    assert {problem.reason for problem in found.problems} == {"its samples are too large to embed"}


def test_the_sample_is_always_the_same_and_no_larger_than_asked_for(store):
    class Listening(FakeEmbedder):
        def embed_windows(self, windows):
            heard.append([float(window[0]) for window in windows])
            return super().embed_windows(windows)

    first: list[list[float]] = []
    for count in (2, 2, 3):
        heard: list[list[float]] = []
        found = verify(store, Listening, count)
        assert (found.clips, found.windows, len(heard)) == (count, 4 * count, count)
        assert heard == (first or heard) or count == 3
        first = heard


def test_clips_that_are_gone_or_have_changed_are_told_apart_and_not_compared(store, sounds):
    (sounds / "0.wav").unlink()
    write_audio(sounds / "1.wav", noise(3.5, seed=99))
    os.utime(sounds / "2.wav", ns=(1, 1))
    found = verify(store, FakeEmbedder, 99)
    assert (found.gone, found.changed, found.problems) == ((sounds / "0.wav",), (sounds / "1.wav",), ())
    assert found.clips == 3
    assert found.largest_relative < 2**-11


def test_a_clip_that_cannot_be_read_any_more_is_a_problem(store, sounds, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pe_search.audio.files.os.open", refuse)
    found = verify(store, lambda: pytest.fail("there is nothing to embed"), 1)
    (problem,) = found.problems
    assert problem.reason == "Permission denied"
    assert (found.clips, found.largest_difference, found.smallest_cosine) == (0, 0.0, 1.0)


def test_a_clip_of_other_windows_is_a_problem(store, sounds, monkeypatch):
    monkeypatch.setattr("pe_search.audio.windows.cut_windows", lambda *args: islice(cut_windows(*args), 3))
    found = verify(store, FakeEmbedder, 99)
    assert found.clips == 0
    assert found.problems == tuple(
        Problem(sounds / f"{seed}.wav", "has 3 windows now, and 4 in the store") for seed in range(5)
    )


def test_an_empty_store(tmp_path):
    with Store.create(tmp_path / "empty", Manifest("builtin", "c0ffee", 3, 1.0, 1.0, 48_000, 1.0, 0.0)) as store:
        assert verify(store, FakeEmbedder, 5) == Verification(0, 0, 0.0, 0.0, 1.0, (), (), ())

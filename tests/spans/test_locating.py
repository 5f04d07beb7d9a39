"""From clips to spans: with an embedder whose frames the tests know, and with the built-in checkpoint."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pe_search.audio.find import find_clips
from pe_search.audio.hashing import content_digest
from pe_search.audio.read import ClipReader
from pe_search.errors import AudioError
from pe_search.pe_audio.checkpoint import find_checkpoint
from pe_search.pe_audio.embedder import Embedder
from pe_search.queries import Hit, Span, SpanRules
from pe_search.records import Clip, Hearing, Problem
from pe_search.spans import locating
from pe_search.spans.locating import Locator, Question
from tests.made_up import noise, write_audio

SOUNDS = Path(__file__).parents[2] / "examples" / "sounds"
FRAME_S = 0.04
BARE = SpanRules(threshold=0.5, smooth_s=0.0, min_length_s=0.0, join_s=0.0)
LOUD, SOFT = "1 0", "0 1"


class FakeFrameEmbedder:
    """A frame becomes (2, -2) where it and `reach` frames to each side are loud on average, else (-2, 2) or between.

    As in a model, what is beyond a window's edge is not heard.
    """

    samples_per_frame = 1920
    logit_scale = 2.0
    logit_bias = 0.0

    def __init__(self, reach: int = 0, batch_s: float = 20.0) -> None:
        self.reach = reach
        self.batch_s = batch_s
        self.lengths: list[list[int]] = []

    def embed_frames(self, windows: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self.lengths.append([len(window) for window in windows])
        return [self.frames(window) for window in windows]

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[float(number) for number in text.split()] for text in texts], np.float32)

    def frames(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        assert len(window) % self.samples_per_frame == 0
        level = np.abs(window).reshape(-1, self.samples_per_frame).mean(1)
        kernel = np.ones(2 * self.reach + 1)
        level = np.convolve(np.pad(level, self.reach), kernel / len(kernel), "valid") * 4 - 2
        return np.stack([level, -level], 1).astype(np.float32)


def bursts(seconds: float, *places: tuple[float, float]) -> NDArray[np.float32]:
    """Silence, with a level of 1 from one second to another."""
    samples = np.zeros(round(seconds * 48_000), np.float32)
    for start_s, end_s in places:
        samples[round(start_s * 48_000) : round(end_s * 48_000)] = 1.0
    return samples


def times_of(spans: Sequence[Span]) -> list[tuple[float, float]]:
    return [(round(span.start_s, 6), round(span.end_s, 6)) for span in spans]


@pytest.mark.parametrize("seconds", [0.01, 0.04, 3.0, 4.97, 5.0, 5.01, 8.9, 9.0, 9.03, 41.23])
def test_joined_windows_equal_one_long_pass(tmp_path, seconds):
    samples = noise(seconds, seed=3)
    write_audio(tmp_path / "a.wav", samples)
    (trace,) = Locator(FakeFrameEmbedder(), Question([LOUD], BARE)).in_clip(tmp_path / "a.wav")
    filled = np.pad(samples, (0, -len(samples) % 1920), "reflect")
    expected = 1 / (1 + np.exp(-2 * FakeFrameEmbedder().frames(filled)[:, 0]))
    np.testing.assert_allclose(trace.probabilities, expected, atol=1e-6)
    assert trace.probabilities.dtype == np.float32
    assert (trace.query, trace.path, trace.start_s) == (LOUD, tmp_path / "a.wav", 0.0)
    assert trace.end_s == pytest.approx(seconds, abs=1e-5)


def test_away_from_the_seams_it_does_not_matter_what_a_window_cannot_hear(tmp_path):
    samples = noise(42, seed=3) * np.linspace(0, 2, 42 * 48_000, dtype=np.float32)
    write_audio(tmp_path / "a.wav", samples)
    reach = 12
    (trace,) = Locator(FakeFrameEmbedder(reach), Question([LOUD], BARE)).in_clip(tmp_path / "a.wav")
    expected = 1 / (1 + np.exp(-2 * FakeFrameEmbedder(reach).frames(samples)[:, 0]))
    off = np.abs(trace.probabilities - expected)
    # Windows begin every 4 s and the last ends with the clip; a frame within reach of an edge lacks what is beyond.
    edges = [*range(100, 901, 100), *range(125, 1026, 100), 925]
    seams = np.zeros(len(off), bool)
    for edge in edges:
        seams[edge - reach : edge + reach] = True
    assert off[~seams].max() < 1e-6
    # At the edge itself a window lacks half of the context, and counts for 1 part in 26.
    assert 1e-6 < off[seams].max() < 0.12


def test_the_built_in_checkpoint_hears_the_same_in_windows_as_in_one_pass(tmp_path, monkeypatch):
    with ClipReader(SOUNDS / "field-recording.flac") as reader:
        ((_, samples),) = reader.stretches([(20.0, 48.0)])
    clip = write_audio(tmp_path / "a.wav", samples)
    texts = ["dog barking", "bird song", "rain", "church bell"]
    locator = Locator(Embedder(find_checkpoint("builtin"), device="cpu"), Question(texts, BARE))
    joined = np.stack([trace.probabilities for trace in locator.in_clip(clip)])
    monkeypatch.setattr(locating, "_WINDOW_FRAMES", 700)
    long = np.stack([trace.probabilities for trace in locator.in_clip(clip)])
    off = np.abs(joined - long)
    assert joined.shape == (4, 700)
    # Its normalisation and attention hear the whole of a window, so no frame is quite the same in another.
    assert np.median(off) < 0.02
    assert np.quantile(off, 0.95) < 0.06
    # There is a dog; where it begins and ends, what else is in the window tips some frames.
    assert off[1:].max() < 0.2
    assert off[0].max() < 0.3
    assert np.ptp(long) > 0.4


@pytest.mark.parametrize("at_s", [0.0, 3.0, 3.5, 4.0, 4.5, 4.96, 5.0, 7.9, 8.0, 8.5, 9.0, 30.6])
def test_no_event_is_cut_or_doubled_at_a_seam(tmp_path, at_s):
    write_audio(tmp_path / "a.wav", bursts(32.0, (at_s, at_s + 1.4)))
    for reach in (0, 5):
        (trace,) = Locator(FakeFrameEmbedder(reach), Question([LOUD], BARE)).in_clip(tmp_path / "a.wav")
        (span,) = trace.spans
        assert span.start_s == pytest.approx(at_s, abs=FRAME_S + 1e-6)
        assert span.end_s == pytest.approx(at_s + 1.4, abs=FRAME_S + 1e-6)


def test_a_sound_that_lasts_is_one_span_whatever_the_seams(tmp_path):
    write_audio(tmp_path / "a.wav", bursts(60.01, (0, 60.01)))
    (trace,) = Locator(FakeFrameEmbedder(), Question([LOUD], BARE)).in_clip(tmp_path / "a.wav")
    assert times_of(trace.spans) == [(0.0, 60.01)]
    assert trace.spans[0].probability == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-6)


def test_windows_go_through_together_as_the_embedder_takes_them(tmp_path):
    write_audio(tmp_path / "a.wav", noise(41.01))
    embedder = FakeFrameEmbedder(batch_s=20)
    Locator(embedder, Question([LOUD], BARE)).in_clip(tmp_path / "a.wav")
    assert embedder.lengths == [[240_000] * 4] * 2 + [[240_000] * 3]


def test_the_rules_apply(tmp_path):
    write_audio(tmp_path / "a.wav", bursts(5, (1, 2), (2.2, 3), (4, 4.04)))
    locate = FakeFrameEmbedder()

    def times(**changes: float) -> list[tuple[float, float]]:
        rules = {"threshold": 0.5, "smooth_s": 0.0, "min_length_s": 0.0, "join_s": 0.0} | changes
        (trace,) = Locator(locate, Question([LOUD], SpanRules(**rules))).in_clip(tmp_path / "a.wav")
        return times_of(trace.spans)

    assert times() == [(1, 2), (2.2, 3), (4, 4.04)]
    assert times(join_s=0.2) == [(1, 3), (4, 4.04)]
    assert times(min_length_s=0.08) == times(smooth_s=0.12) == [(1, 2), (2.2, 3)]
    assert times(threshold=0.99) == []
    assert times(threshold=0.0) == [(0, 5)]


def test_sounds_after_and_without_others(tmp_path):
    write_audio(tmp_path / "a.wav", bursts(20, (3, 4), (10, 11)))

    def times(queries: list[str], **options: object) -> list[list[tuple[float, float]]]:
        question = Question(queries, BARE, **options)
        return [times_of(trace.spans) for trace in Locator(FakeFrameEmbedder(), question).in_clip(tmp_path / "a.wav")]

    soft = [(0, 3), (4, 10), (11, 20)]
    assert times([LOUD, SOFT]) == [[(3, 4), (10, 11)], soft]
    # Half the scores of SOFT have their sign, and so are heard at the same times.
    assert times([SOFT], without=["0 0.5"]) == [[]]
    # Scores of zero give a probability of 0.5 everywhere.
    assert times(["0 0"], without=[LOUD]) == [soft]
    assert times(["0 0"], without=[LOUD, SOFT]) == [[]]
    assert times([LOUD], then=[SOFT], within_s=0.0) == [[(3, 10), (10, 20)]]
    assert times([LOUD], then=[SOFT, LOUD], within_s=0.0) == [[(3, 11)]]
    assert times(["0 0"], without=[SOFT], then=[SOFT]) == [[(3, 10), (10, 20)]]
    assert times([LOUD], then=[LOUD], within_s=5.9) == [[]]
    assert times([LOUD], then=[LOUD], within_s=6.0) == [[(3, 11)]]


def test_progress_tells_share_and_seconds(tmp_path):
    write_audio(tmp_path / "a.wav", noise(40))
    told: list[tuple[float, float]] = []
    locator = Locator(FakeFrameEmbedder(batch_s=10), Question([LOUD], BARE))
    locator.in_clip(tmp_path / "a.wav", lambda share, heard_s: told.append((share, heard_s)))
    assert told == [(0.225, 9.0), (0.425, 17.0), (0.625, 25.0), (0.825, 33.0), (1.0, 40.0)]


def test_a_clip_that_cannot_be_embedded(tmp_path):
    class Overflowing(FakeFrameEmbedder):
        def frames(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
            return super().frames(window) * np.inf

    write_audio(tmp_path / "a.wav", noise(1))
    with pytest.raises(AudioError, match=r"a\.wav: its samples are too large to embed$"):
        Locator(Overflowing(), Question([LOUD], BARE)).in_clip(tmp_path / "a.wav")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording_beyond_the_trace():
    def blocks(seconds: int) -> Iterator[NDArray[np.float32]]:
        for _ in range(seconds):
            yield np.zeros(48_000, np.float32)

    def peak_bytes(seconds: int) -> int:
        tracemalloc.start()
        locator = Locator(FakeFrameEmbedder(), Question([LOUD], BARE))
        locator._listen(blocks(seconds), Path("a"), 0.0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    # Twenty minutes of audio are 230 MB, and 30,000 frames.
    assert peak_bytes(1260) - peak_bytes(60) < 30_000 * 60


# Within hits


def clip_at(path: Path) -> Clip:
    (clip,) = find_clips([path], lambda problem: pytest.fail(problem.reason))
    return clip


def held_at(path: Path) -> tuple[Clip, bytes]:
    """A clip as a store that indexed it now would hold it."""
    return clip_at(path), content_digest(path)


def hit(path: Path, start_s: float, end_s: float, query: str = LOUD) -> Hit:
    return Hit(query, 1, path, start_s, end_s, score=1.0, probability=0.5)


def test_only_the_windows_of_hits_are_listened_to_each_clip_once(tmp_path, monkeypatch):
    a = write_audio(tmp_path / "a.wav", bursts(50, (4, 6), (31, 32), (38.4, 45)))
    b = write_audio(tmp_path / "b.wav", bursts(0.5, (0.2, 0.5)))
    held = {path: held_at(path) for path in (a, b)}
    opened: list[Path] = []

    class Counting(ClipReader):
        def __init__(self, path: Path, hearing: Hearing) -> None:
            opened.append(path)
            super().__init__(path, hearing)

    monkeypatch.setattr(locating, "ClipReader", Counting)
    embedder = FakeFrameEmbedder()
    hits = [hit(a, 30, 40), hit(b, 0, 0.5), hit(a, 0, 10, SOFT), hit(a, 40, 50), hit(a, 0, 10)]
    traces = Locator(embedder, Question([LOUD, SOFT], BARE)).in_hits(hits, held.get, pytest.fail)

    assert [(trace.path, trace.query, trace.start_s, trace.end_s) for trace in traces] == [
        (hit.path, hit.query, hit.start_s, hit.end_s) for hit in hits
    ]
    assert [times_of(trace.spans) for trace in traces] == [
        [(31, 32), (38.4, 45)],
        [(0.2, 0.5)],
        [(0, 4), (6, 10)],
        [],
        [(4, 6)],
    ]
    assert opened == [a, b]
    assert sorted(length for batch in embedder.lengths for length in batch) == [24_960] + [240_000] * 9


def test_clips_that_are_gone_changed_or_unreadable_are_named_once_and_have_no_trace(tmp_path):
    names = ("good", "touched", "gone", "changed", "unknown", "short", "broken")
    paths = {name: write_audio(tmp_path / f"{name}.wav", noise(3)) for name in names}
    held = {path: held_at(path) for path in paths.values()}
    paths["gone"].unlink()
    write_audio(paths["changed"], noise(3, seed=1))
    os.utime(paths["changed"], ns=(0, 0))
    os.utime(paths["touched"], ns=(0, 0))
    del held[paths["unknown"]]
    paths["broken"].write_bytes(b"no audio")
    held[paths["broken"]] = held_at(paths["broken"])
    problems: list[Problem] = []
    hits = [hit(paths[name], 0, 3) for name in names if name != "short"]
    hits += [hit(paths["gone"], 1, 2), hit(paths["short"], 2, 12)]
    traces = Locator(FakeFrameEmbedder(), Question([LOUD], BARE)).in_hits(hits, held.get, problems.append)
    assert [trace is not None for trace in traces] == [True] * 2 + [False] * 6
    changed = "has changed since it was indexed; index it again"
    assert problems == [
        Problem(paths["gone"], "No such file or directory"),
        Problem(paths["changed"], changed),
        Problem(paths["unknown"], changed),
        Problem(paths["broken"], "can't be read as audio: Format not recognised"),
        Problem(paths["short"], "ends before 12 s"),
    ]

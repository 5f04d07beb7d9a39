"""Clips are told how well each label fits them, from their files or from what a store has of them."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pe_search.audio.find import find_clips
from pe_search.audio.hashing import content_digest
from pe_search.queries import Hit
from pe_search.records import Clip, Content, Problem
from pe_search.search.aims import Aim
from pe_search.store import Manifest, Store
from pe_search.tasks import labelling
from pe_search.tasks.indexing import run_index
from pe_search.tasks.labelling import Labeller
from pe_search.tasks.planning import plan_index
from tests.made_up import FakeEmbedder, noise, write_audio

WINDOW_S, HOP_S = 1.0, 0.5
MANIFEST = Manifest(
    model="builtin",
    revision="c0ffee",
    dimension=3,
    window_s=WINDOW_S,
    hop_s=HOP_S,
    sample_rate_hz=48_000,
    logit_scale=2.0,
    logit_bias=-1.0,
)
# The fake embedder makes of a window its mean, the mean of its squares, and its length; and of a text three numbers.
LABELS = ["0 0 0.25", "100 0 0", "0 3 0", "0 -3 0"]


def aims_of(embedder: FakeEmbedder, labels: list[str] = LABELS) -> list[Aim]:
    return [Aim(embedding, None) for embedding in embedder.embed_texts(labels)]


def label(
    clips: list[Clip],
    *,
    labels: list[str] = LABELS,
    store: Store | None = None,
    embedder: FakeEmbedder | None = None,
    on_progress: Callable[[float, float], None] = lambda _bytes_done, _audio_s: None,
    all_windows: bool = False,
) -> tuple[list[list[Hit]], list[Problem]]:
    problems: list[Problem] = []
    embedder = embedder or FakeEmbedder()
    labeller = Labeller(
        labels,
        aims_of(embedder, labels),
        MANIFEST,
        lambda: embedder,
        store,
        problems.append,
        on_progress,
        all_windows=all_windows,
    )
    return list(labeller.label(clips)), problems


def clips_of(*paths: Path) -> list[Clip]:
    return list(find_clips(paths, pytest.fail))


def windows_of(samples: NDArray[np.float32], *starts_s: float) -> dict[float, tuple[float, float, float]]:
    return {
        start_s: FakeEmbedder.vector(samples[round(start_s * 48_000) : round((start_s + WINDOW_S) * 48_000)])
        for start_s in starts_s
    }


def rising(seconds: float) -> NDArray[np.float32]:
    """Noise that gets louder all the time."""
    samples = noise(seconds)
    return samples * np.linspace(0, 1, len(samples), dtype=np.float32)


def assert_hits(found: list[Hit], path: Path, windows: dict[float, tuple[float, float, float]], labels: list[str]):
    """By the definition: each label's best window, the labels in order of their scores."""
    expected = []
    for text in labels:
        weights = [float(number) for number in text.split()]
        scores = {start_s: float(np.dot(vector, weights)) for start_s, vector in windows.items()}
        start_s = max(scores, key=scores.__getitem__)
        expected.append((scores[start_s], text, start_s, start_s + windows[start_s][2]))
    expected.sort(key=lambda row: -row[0])
    assert [(hit.query, hit.rank, hit.path) for hit in found] == [
        (text, rank, path) for rank, (_, text, _, _) in enumerate(expected, 1)
    ]
    np.testing.assert_allclose([(hit.start_s, hit.end_s) for hit in found], [row[2:] for row in expected], atol=1e-9)
    np.testing.assert_allclose([hit.score for hit in found], [row[0] for row in expected], rtol=1e-3, atol=1e-5)
    for hit in found:
        assert hit.probability == pytest.approx(1 / (1 + math.exp(1 - 2 * hit.score)))


def test_each_label_is_judged_by_the_window_that_it_fits_best(tmp_path):
    long = rising(2.25)
    write_audio(tmp_path / "a.wav", long)
    short = noise(0.4, 1) * 0.9
    write_audio(tmp_path / "b.wav", short)
    (first, second), problems = label(clips_of(tmp_path))
    assert problems == []
    assert_hits(first, tmp_path / "a.wav", windows_of(long, 0.0, 0.5, 1.0, 1.25), LABELS)
    assert_hits(second, tmp_path / "b.wav", windows_of(short, 0.0), LABELS)
    # The louder the better for one label, the quieter the better for another.
    assert {hit.query: hit.start_s for hit in first}["0 3 0"] == 1.25
    assert {hit.query: hit.start_s for hit in first}["0 -3 0"] == 0.0


def test_labels_with_equal_scores_stay_in_their_order(tmp_path):
    write_audio(tmp_path / "a.wav", noise(0.5))
    ((*hits,),), _ = label(clips_of(tmp_path), labels=["0 0 2", "0 0 1", "0 0 2.0"])
    assert [hit.query for hit in hits] == ["0 0 2", "0 0 2.0", "0 0 1"]


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", MANIFEST) as opened:
        yield opened


def index(store: Store, *paths: Path) -> None:
    summary = run_index(plan_index(paths, store.catalog.clips()), store, FakeEmbedder)
    assert not summary.problems


def test_what_the_store_holds_is_neither_read_nor_embedded(tmp_path, store):
    for seed, name in enumerate(("a.wav", "b.wav", "c.wav", "d.wav")):
        write_audio(tmp_path / "sounds" / name, rising(1.7 + seed) * (1 - 0.2 * seed))
    clips = clips_of(tmp_path / "sounds")
    from_files, _ = label(clips)
    index(store, tmp_path / "sounds" / "b.wav", tmp_path / "sounds" / "d.wav")
    # As far as the store knows unchanged, and no audio any more: that it is not read is the point.
    for clip in (clips[1], clips[3]):
        clip.path.write_bytes(bytes(clip.size_bytes))
    store.catalog.commit(seen=clips_of(tmp_path / "sounds"))
    embedder = FakeEmbedder()
    from_both, problems = label(clips_of(tmp_path / "sounds"), store=store, embedder=embedder)
    assert problems == []
    assert embedder.windows_embedded == 3 + 7, "those of a.wav and c.wav"
    assert [[(hit.query, hit.path, hit.start_s) for hit in hits] for hits in from_both] == [
        [(hit.query, hit.path, hit.start_s) for hit in hits] for hits in from_files
    ]
    for one, other in zip(from_both, from_files, strict=True):
        # The store keeps float16.
        np.testing.assert_allclose([hit.score for hit in one], [hit.score for hit in other], rtol=1e-3, atol=1e-3)


def test_a_clip_that_has_changed_since_is_read(tmp_path, store):
    path = write_audio(tmp_path / "a.wav", noise(0.5))
    index(store, path)
    louder = noise(0.5) * 1.9
    write_audio(path, louder)
    os.utime(path, ns=(1, 1))
    (hits,), _ = label(clips_of(path), store=store)
    assert_hits(hits, path, windows_of(louder, 0.0), LABELS)


def test_a_clip_whose_bytes_the_store_has_is_not_embedded_again(tmp_path, store):
    path = write_audio(tmp_path / "sounds" / "a.wav", rising(2.25))
    index(store, path)
    write_audio(tmp_path / "sounds" / "new.wav", noise(0.5))
    path.rename(tmp_path / "sounds" / "moved.wav")
    shutil.copy(tmp_path / "sounds" / "moved.wav", tmp_path / "sounds" / "touched.wav")
    os.utime(tmp_path / "sounds" / "touched.wav", ns=(1, 1))
    embedder = FakeEmbedder()
    hits, problems = label(clips_of(tmp_path / "sounds"), store=store, embedder=embedder)
    assert problems == []
    assert [row[0].path.name for row in hits] == ["moved.wav", "new.wav", "touched.wav"]
    assert embedder.windows_embedded == 1, "that of new.wav"
    windows = windows_of(rising(2.25), 0.0, 0.5, 1.0, 1.25)
    for row in (hits[0], hits[2]):
        assert_hits(row, row[0].path, windows, LABELS)


def test_of_a_clip_that_the_store_has_in_part_all_is_embedded(tmp_path, store):
    """As a run leaves it that was cut short."""
    path = write_audio(tmp_path / "a.wav", rising(2.25))
    begun = Content(content_digest(path), [(0.0, 1.0)], np.ones((1, 3), np.float32), is_whole=False)
    store.catalog.commit(contents=[begun])
    (hits,), _ = label(clips_of(path), store=store)
    assert_hits(hits, path, windows_of(rising(2.25), 0.0, 0.5, 1.0, 1.25), LABELS)


@pytest.mark.parametrize("name", ["a.wav", "moved.wav"])
def test_what_leaves_the_store_meanwhile_is_a_problem(tmp_path, store, monkeypatch, name):
    path = write_audio(tmp_path / "a.wav", noise(0.5))
    index(store, path)
    held, digests = store.catalog.clip(path), store.catalog.digests()
    store.catalog.commit(removed=[path])
    store.catalog.drop_unused_contents()
    path.rename(tmp_path / name)
    monkeypatch.setattr(store.catalog, "clip", lambda asked: held if asked == path else None)
    monkeypatch.setattr(store.catalog, "digests", lambda: digests)
    hits, problems = label(clips_of(tmp_path / name), store=store)
    reason = "was taken out of the store meanwhile; run the same command again"
    assert (hits, problems) == ([], [Problem(tmp_path / name, reason)])


def test_a_clip_that_cannot_be_read_is_left_out_and_the_rest_is_labelled(tmp_path):
    write_audio(tmp_path / "a.wav", noise(0.5))
    (tmp_path / "b.wav").write_bytes(b"no audio")
    write_audio(tmp_path / "c.wav", np.array([0.1, np.nan, 0.2], np.float32))
    write_audio(tmp_path / "d.wav", noise(0.5))
    hits, problems = label(clips_of(tmp_path))
    assert [row[0].path.name for row in hits] == ["a.wav", "d.wav"]
    assert [problem.path.name for problem in problems] == ["b.wav", "c.wav"]


def test_samples_that_are_too_large_are_a_problem_and_told_once(tmp_path):
    write_audio(tmp_path / "a.wav", np.full(48_000 * 3, 3e38, np.float32))
    write_audio(tmp_path / "b.wav", noise(0.5))
    with np.errstate(over="ignore"):
        hits, problems = label(clips_of(tmp_path))
    assert [row[0].path.name for row in hits] == ["b.wav"]
    assert problems == [Problem(tmp_path / "a.wav", "its samples are too large to embed")]


def test_windows_of_many_clips_are_embedded_together_and_long_clips_in_parts(tmp_path):
    for number in range(30):
        write_audio(tmp_path / f"{number:02}.wav", noise(0.25, number))
    write_audio(tmp_path / "long.wav", noise(62.0))
    embedder = FakeEmbedder()
    hits, _ = label(clips_of(tmp_path), embedder=embedder)
    assert [row[0].path.name for row in hits] == [*(f"{number:02}.wav" for number in range(30)), "long.wav"]
    # 30 × 0.25 s and 123 windows of 1 s each; 60 s at once.
    assert embedder.windows_embedded == 153
    assert embedder.calls == 3


def test_no_more_than_so_many_clips_wait(tmp_path, store, monkeypatch):
    monkeypatch.setattr(labelling, "_MOST_WAITING", 3)
    for number in range(9):
        write_audio(tmp_path / "sounds" / f"{number}.wav", noise(0.25, number))
    index(store, tmp_path / "sounds")
    write_audio(tmp_path / "sounds" / "0.wav", noise(0.5, 99))
    embedder = FakeEmbedder()
    labeller = Labeller(LABELS, aims_of(embedder), MANIFEST, lambda: embedder, store, pytest.fail, lambda *_: None)
    clips = clips_of(tmp_path / "sounds")
    assert [hits[0].path.name for hits in labeller.label(clips)] == [clip.path.name for clip in clips]
    assert embedder.calls == 1


def test_progress_ends_with_all_that_was_there(tmp_path):
    write_audio(tmp_path / "a.wav", noise(0.5))
    (tmp_path / "b.wav").write_bytes(b"no audio")
    write_audio(tmp_path / "c.wav", noise(1.5))
    clips = clips_of(tmp_path)
    told: list[tuple[float, float]] = []
    label(clips, on_progress=lambda *progress: told.append(progress))
    assert told == sorted(told)
    assert told[-1] == (sum(clip.size_bytes for clip in clips), 2.5)


def test_no_clips_no_hits():
    assert label([]) == ([], [])


def test_of_all_windows_each_is_judged_by_itself(tmp_path, store):
    """From files and from what the store has, in order of path and time."""
    sounds = {"a.wav": rising(2.25), "b.wav": noise(0.4, 1) * 0.9, "c.wav": rising(1.0) * 0.5, "d.wav": rising(3.0)}
    starts_s = {"a.wav": (0.0, 0.5, 1.0, 1.25), "b.wav": (0.0,), "c.wav": (0.0,), "d.wav": (0.0, 0.5, 1.0, 1.5, 2.0)}
    for name, samples in sounds.items():
        write_audio(tmp_path / "sounds" / name, samples)
    expected = [
        (tmp_path / "sounds" / name, {start_s: vector})
        for name, samples in sounds.items()
        for start_s, vector in windows_of(samples, *starts_s[name]).items()
    ]
    clips = clips_of(tmp_path / "sounds")
    for held in ((), ("b.wav", "d.wav"), tuple(sounds)):
        index(store, *(tmp_path / "sounds" / name for name in held))
        embedder = FakeEmbedder()
        found, problems = label(clips, store=store, embedder=embedder, all_windows=True)
        assert (len(found), problems) == (11, [])
        for hits, (path, window) in zip(found, expected, strict=True):
            assert_hits(hits, path, window, LABELS)
        assert embedder.windows_embedded == sum(len(starts_s[name]) for name in sounds if name not in held)


def test_all_windows_of_a_long_recording_come_while_it_is_read(tmp_path):
    """So that a day of it is never in memory, and its beginning is seen at once."""
    write_audio(tmp_path / "a.wav", noise(0.5))
    write_audio(tmp_path / "long.wav", noise(300.0))
    embedder = FakeEmbedder()
    labeller = Labeller(LABELS, aims_of(embedder), MANIFEST, lambda: embedder, None, pytest.fail, all_windows=True)
    labelled = labeller.label(clips_of(tmp_path))
    seen = [next(labelled) for _ in range(10)]
    # 60 s are embedded at once; of 599 windows.
    assert embedder.windows_embedded <= 3 * 60
    seen += [next(labelled) for _ in range(200)]
    assert embedder.windows_embedded <= 300
    assert sum(len(reading.scores) for reading in labeller._waiting) <= 3 * 60
    seen += labelled
    assert [(hits[0].path.name, hits[0].start_s) for hits in seen] == [
        ("a.wav", 0.0),
        *(("long.wav", row * HOP_S) for row in range(599)),
    ]


def test_a_clip_that_breaks_off_gives_the_windows_before_and_is_a_problem(tmp_path):
    samples = noise(100.0)
    samples[90 * 48_000] = np.nan
    write_audio(tmp_path / "a.wav", samples)
    write_audio(tmp_path / "b.wav", noise(0.5))
    found, problems = label(clips_of(tmp_path), all_windows=True)
    starts_s = [hits[0].start_s for hits in found if hits[0].path.name == "a.wav"]
    assert 0 < len(starts_s) < 180
    assert starts_s == [row * HOP_S for row in range(len(starts_s))]
    assert found[-1][0].path.name == "b.wav"
    assert [problem.path.name for problem in problems] == ["a.wav"]


def test_progress_with_all_windows_ends_with_all_that_was_there(tmp_path):
    write_audio(tmp_path / "a.wav", noise(90.0))
    write_audio(tmp_path / "b.wav", noise(0.5))
    clips = clips_of(tmp_path)
    told: list[tuple[float, float]] = []
    label(clips, all_windows=True, on_progress=lambda *progress: told.append(progress))
    assert told == sorted(told)
    assert told[-1] == (sum(clip.size_bytes for clip in clips), 179.5)

"""Indexing: what is on disk comes to be in the store, whatever happens on the way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pe_search.audio import ahead
from pe_search.records import Clip, Content, Holdings, LeftOut, Problem, Window
from pe_search.reports import IndexSummary, KeptPart, PassedOver, Progress
from pe_search.store import Store
from pe_search.store.finder import INDEX_FILE
from pe_search.store.index import open_index
from pe_search.tasks import indexing, planning
from pe_search.tasks.indexing import run_index
from pe_search.tasks.planning import Plan, plan_index
from tests.made_up import FakeEmbedder, manifest, noise, write_audio

RATE_HZ = 48_000
NOT_FINITE = "holds samples that are not finite numbers (NaN or infinity)"
NO_AUDIO = "can't be read as audio: Format not recognised"

Contents = dict[tuple[str, float, float], tuple[float, float, float]]


def make_store(directory: Path, window_s: float = 1.0, hop_s: float = 1.0) -> Store:
    store = Store.create(directory, manifest(window_s=window_s, hop_s=hop_s))
    store.catalog._db.execute("PRAGMA synchronous = OFF")
    return store


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    """An empty store with windows of one second."""
    with make_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def sounds(tmp_path) -> Path:
    """An empty folder."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    return folder


def write_levels(path: Path, *levels: float, rest_s: float = 0.0) -> Path:
    """A clip that keeps each level for a second, and the last one for a while longer."""
    samples = np.repeat(np.array(levels, np.float32), RATE_HZ)
    return write_audio(path, np.concatenate([samples, np.full(round(rest_s * RATE_HZ), levels[-1], np.float32)]))


def no_embedder() -> FakeEmbedder:
    raise AssertionError("nothing was to be embedded")


def index(
    store: Store,
    *roots: Path,
    load: Callable[[], FakeEmbedder] = FakeEmbedder,
    prune: bool = False,
    **callbacks: Callable[..., None],
) -> IndexSummary:
    return run_index(
        plan_index(roots, store.catalog.stamps(), store.catalog.left_out(), prune=prune), store, load, **callbacks
    )


def contents(store: Store) -> Contents:
    """Every window with its embedding, by searching along each axis."""
    axes = [
        {
            (str(path), match.start_s, match.end_s): match.score
            for match in store.finder.best_matches(np.eye(3, dtype=np.float32)[axis], 100_000, all_windows=True).best
            for path in (match.path, *match.copies)
        }
        for axis in range(3)
    ]
    assert len(axes[0]) == store.catalog.holdings().windows
    return {place: (axes[0][place], axes[1][place], axes[2][place]) for place in axes[0]}


def expected(path: Path, samples: NDArray[np.float32], *starts_s: float, window_s: float = 1.0) -> Contents:
    """A clip's windows, cut and embedded one at a time."""
    windows = {}
    for start_s in starts_s:
        start, end = round(start_s * RATE_HZ), round((start_s + window_s) * RATE_HZ)
        vector = np.array(FakeEmbedder.vector(samples[start:end]), np.float16)
        windows[str(path), start_s, min(end, len(samples)) / RATE_HZ] = tuple(vector.tolist())
    return windows


def paths(store: Store) -> set[str]:
    """Names of the clips that are held."""
    return {path.name for path in store.catalog.clips()}


# What goes in


def test_every_window_of_every_clip_is_embedded_and_kept_with_its_times(store, sounds):
    long, short = noise(3.25, seed=1), noise(0.25, seed=2)
    write_audio(sounds / "long.wav", long)
    write_audio(sounds / "deep/down/short.flac", short, subtype="PCM_24")
    summary = index(store, sounds)
    assert contents(store) == {
        **expected(sounds / "long.wav", long, 0.0, 1.0, 2.0, 2.25),
        **expected(sounds / "deep/down/short.flac", np.round(short * 2**23).astype(np.float32) / 2**23, 0.0),
    }
    assert summary == IndexSummary(
        clips=2,
        windows=5,
        audio_s=3.5,
        recognised=0,
        unchanged=0,
        removed=0,
        left_out_before=0,
        problems=(),
        is_interrupted=False,
    )


def test_windows_that_overlap(tmp_path, sounds):
    samples = noise(2.0)
    write_audio(sounds / "a.wav", samples)
    with make_store(tmp_path / "overlapping", window_s=1.0, hop_s=0.375) as store:
        index(store, sounds)
        assert contents(store) == expected(sounds / "a.wav", samples, 0.0, 0.375, 0.75, 1.0)


@pytest.mark.parametrize("batch_s", [0.01, 1.0, 2.5, 1000.0])
def test_the_windows_of_a_clip_keep_their_times_however_they_are_gathered(store, sounds, batch_s):
    lengths_s = [0.5, 3.75, 1.0, 0.125, 9.5, 2.0]
    clips = {sounds / f"{number}.wav": noise(length_s, number) for number, length_s in enumerate(lengths_s)}
    for path, samples in clips.items():
        write_audio(path, samples)
    embedder = FakeEmbedder()
    embedder.batch_s = batch_s
    index(store, sounds, load=lambda: embedder)
    starts = [[0.0], [0.0, 1.0, 2.0, 2.75], [0.0], [0.0], [*map(float, range(9)), 8.5], [0.0, 1.0]]
    everything: Contents = {}
    for (path, samples), starts_s in zip(clips.items(), starts, strict=True):
        everything |= expected(path, samples, *starts_s)
    assert contents(store) == everything
    assert embedder.windows_embedded == len(everything)
    assert (embedder.calls > 10) == (batch_s == 0.01)


def test_windows_of_many_clips_go_to_the_embedder_together(store, sounds):
    for number in range(40):
        write_levels(sounds / f"{number}.wav", number / 64)
    embedder = FakeEmbedder()
    embedder.batch_s = 10.0
    index(store, sounds, load=lambda: embedder)
    assert (embedder.windows_embedded, embedder.calls) == (40, 2)


def test_any_name_that_a_file_can_have(store, sounds):
    for level, name in enumerate((b"\xff.wav", b"new\nline.wav", b"x" * 251 + b".wav")):
        write_levels(sounds / "plain.wav", level / 4).rename(sounds / os.fsdecode(name))
    assert index(store, sounds).clips == 3
    assert {os.fsencode(path.name) for path in store.catalog.clips()} == {
        b"\xff.wav",
        b"new\nline.wav",
        b"x" * 251 + b".wav",
    }
    assert index(store, sounds, load=no_embedder).unchanged == 3


def test_a_file_that_is_named_itself_whatever_its_extension(store, sounds):
    write_levels(sounds / "a.wav", 0.5).rename(sounds / "a.odd")
    assert index(store, sounds, load=no_embedder).clips == 0
    assert index(store, sounds / "a.odd").clips == 1
    assert paths(store) == {"a.odd"}


def test_roots_may_repeat_and_hold_each_other(store, sounds, monkeypatch):
    write_levels(sounds / "a/1.wav", 0.5)
    monkeypatch.chdir(sounds)
    embedder = FakeEmbedder()
    roots = sounds, sounds / "a", Path("a/1.wav"), Path(), sounds / "a" / ".."
    assert index(store, *roots, load=lambda: embedder).clips == 1
    assert embedder.windows_embedded == 1
    assert list(store.catalog.clips()) == [sounds / "a/1.wav"]
    assert index(store, *roots, load=no_embedder).unchanged == 1


def test_a_clip_with_a_time_that_64_bits_cannot_hold_does_not_stop_the_others(store, sounds):
    write_levels(sounds / "a.wav", 0.5)
    write_levels(sounds / "b.wav", 0.25)
    try:
        os.utime(sounds / "b.wav", (10_413_792_000, 10_413_792_000))  # the year 2300
    except (OSError, OverflowError):
        pytest.skip("this file system can't hold such a time")
    assert index(store, sounds).clips == 2
    assert index(store, sounds, load=no_embedder).unchanged == 2


def test_nothing_to_index(store, sounds):
    summary = index(store, sounds, load=no_embedder)
    assert summary == IndexSummary(0, 0, 0.0, 0, 0, 0, 0, (), is_interrupted=False)
    assert contents(store) == {}


# What a second run does


def test_a_second_run_embeds_nothing(store, sounds):
    for number in range(3):
        write_levels(sounds / f"{number}.wav", 0.5, 0.25)
    index(store, sounds)
    before = contents(store)
    summary = index(store, sounds, load=no_embedder)
    assert summary == IndexSummary(0, 0, 0.0, 0, 3, 0, 0, (), is_interrupted=False)
    assert contents(store) == before


def test_a_second_run_changes_no_file_of_the_store(store, sounds):
    write_levels(sounds / "a.wav", 0.5)
    index(store, sounds)
    before = {file: file.stat().st_mtime_ns for file in store.directory.iterdir()}
    index(store, sounds, load=no_embedder)
    assert {file: file.stat().st_mtime_ns for file in store.directory.iterdir()} == before


def test_only_what_has_changed_is_embedded_again(store, sounds):
    for name in "abc":
        write_levels(sounds / f"{name}.wav", 0.5, 0.25)
    index(store, sounds)
    status = (sounds / "a.wav").stat()
    # Another time with the same size, and another size with the same time.
    os.utime(write_levels(sounds / "a.wav", 0.125, 0.125), ns=(1, status.st_mtime_ns + 1))
    status = (sounds / "b.wav").stat()
    os.utime(write_levels(sounds / "b.wav", 0.0625), ns=(1, status.st_mtime_ns))
    embedder = FakeEmbedder()
    summary = index(store, sounds, load=lambda: embedder)
    assert (summary.clips, summary.windows, summary.unchanged, summary.removed) == (2, 3, 1, 0)
    assert embedder.windows_embedded == 3
    levels = {place: vector[0] for place, vector in contents(store).items()}
    assert levels == {
        (str(sounds / "a.wav"), 0.0, 1.0): 0.125,
        (str(sounds / "a.wav"), 1.0, 2.0): 0.125,
        (str(sounds / "b.wav"), 0.0, 1.0): 0.0625,
        (str(sounds / "c.wav"), 0.0, 1.0): 0.5,
        (str(sounds / "c.wav"), 1.0, 2.0): 0.25,
    }


def test_what_is_gone_leaves_the_store_and_no_embedder_is_loaded(store, sounds):
    for name in "abc":
        write_levels(sounds / name / "1.wav", 0.5)
    index(store, sounds)
    (sounds / "a/1.wav").unlink()
    (sounds / "b/1.wav").unlink()
    (sounds / "b").rmdir()
    summary = index(store, sounds, load=no_embedder)
    assert summary == IndexSummary(0, 0, 0.0, 0, 1, 2, 0, (), is_interrupted=False)
    assert set(contents(store)) == {(str(sounds / "c/1.wav"), 0.0, 1.0)}


def test_a_clip_that_was_moved_or_touched_keeps_its_embeddings(store, sounds):
    for name, level in (("a", 0.5), ("b", 0.25), ("c", 0.125)):
        write_levels(sounds / f"{name}.wav", level)
    index(store, sounds)
    made_ns = (store.directory / INDEX_FILE).stat().st_mtime_ns
    (sounds / "a.wav").rename(sounds / "z.wav")
    os.utime(sounds / "b.wav", ns=(1, 1))
    summary = index(store, sounds, load=no_embedder)
    assert (summary.clips, summary.recognised, summary.unchanged, summary.removed) == (0, 2, 1, 1)
    levels = {Path(path).name: vector[0] for (path, _, _), vector in contents(store).items()}
    assert levels == {"b.wav": 0.25, "c.wav": 0.125, "z.wav": 0.5}
    made_again_ns = (store.directory / INDEX_FILE).stat().st_mtime_ns
    assert made_again_ns == made_ns, "no window has changed, so neither has the index"
    assert index(store, sounds, load=no_embedder).unchanged == 3


def test_clips_that_take_each_others_names_keep_their_embeddings(store, sounds):
    write_levels(sounds / "a.wav", 0.5)
    write_levels(sounds / "b.wav", 0.25)
    index(store, sounds)
    (sounds / "a.wav").rename(sounds / "c")
    (sounds / "b.wav").rename(sounds / "a.wav")
    (sounds / "c").rename(sounds / "b.wav")
    for time_ns, name in enumerate("ab"):
        os.utime(sounds / f"{name}.wav", ns=(1, time_ns))
    assert index(store, sounds, load=no_embedder).recognised == 2
    levels = {Path(path).name: vector[0] for (path, _, _), vector in contents(store).items()}
    assert levels == {"a.wav": 0.25, "b.wav": 0.5}


@pytest.mark.parametrize("commit_every_s", [0.0, 5.0])
@pytest.mark.parametrize("batch_s", [0.5, 100.0])
def test_clips_of_the_same_bytes_are_embedded_once_and_all_found(store, sounds, monkeypatch, commit_every_s, batch_s):
    monkeypatch.setattr(indexing, "COMMIT_EVERY_S", commit_every_s)
    write_levels(sounds / "a.wav", 0.5, 0.25)
    (sounds / "deep").mkdir(exist_ok=True)
    for name in ("c", "deep/a", "deep/z"):
        # Written anew, it could hold the time of another second.
        shutil.copy(sounds / "a.wav", sounds / f"{name}.wav")
    write_levels(sounds / "b.wav", 0.125)
    embedder = FakeEmbedder()
    embedder.batch_s = batch_s
    summary = index(store, sounds, load=lambda: embedder)
    assert (summary.clips, summary.recognised, summary.windows, embedder.windows_embedded) == (2, 3, 3, 3)
    assert store.catalog.holdings() == Holdings(clips=5, contents=2, windows=9, audio_s=9.0, left_out=0)
    assert {path.relative_to(sounds) for path in store.catalog.clips()} == {
        Path(f"{name}.wav") for name in ("a", "b", "c", "deep/a", "deep/z")
    }
    assert len(contents(store)) == 9
    (sounds / "a.wav").unlink()
    index(store, sounds, load=no_embedder)
    assert store.catalog.holdings() == Holdings(clips=4, contents=2, windows=7, audio_s=7.0, left_out=0)


def test_embeddings_that_no_clip_has_any_more_go(store, sounds):
    for level, name in enumerate("abc"):
        write_levels(sounds / f"{name}.wav", level / 4)
    index(store, sounds)
    (sounds / "a.wav").unlink()
    os.utime(write_levels(sounds / "b.wav", 0.75), ns=(1, 1))
    index(store, sounds)
    assert len(store.catalog.digests()) == 2


def test_what_is_held_from_elsewhere_is_left_alone(store, sounds):
    for name in ("a", "a-b", "ab"):
        write_levels(sounds / name / "1.wav", 0.5)
    index(store, sounds)
    for name in ("a", "a-b", "ab"):
        (sounds / name / "1.wav").unlink()
    assert index(store, sounds / "a", load=no_embedder, prune=True).removed == 1
    assert set(store.catalog.clips()) == {sounds / "a-b/1.wav", sounds / "ab/1.wav"}


def test_a_root_that_is_missing_keeps_what_is_held_of_it(store, sounds):
    # An external disk that isn't plugged in, say.
    write_levels(sounds / "disk/1.wav", 0.5)
    write_levels(sounds / "here/1.wav", 0.25)
    index(store, sounds / "disk", sounds / "here")
    (sounds / "disk").rename(sounds / "elsewhere")
    summary = index(store, sounds / "disk", sounds / "here", load=no_embedder)
    reason = (
        "nothing is left here, so the one clip that the store holds is kept in case a disk is not mounted; "
        "--prune takes them out"
    )
    problem = Problem(sounds / "disk", reason)
    assert summary == IndexSummary(0, 0, 0.0, 0, 1, 0, 0, (problem,), is_interrupted=False)
    assert set(store.catalog.clips()) == {sounds / "disk/1.wav", sounds / "here/1.wav"}


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_root_with_nothing_left_loses_its_clips_to_prune_only(store, sounds, is_missing):
    for name in ("disk/1.wav", "disk/2.wav", "here/1.wav"):
        write_levels(sounds / name, 0.5)
    index(store, sounds)
    (sounds / "disk").rename(sounds / "elsewhere")
    if not is_missing:
        (sounds / "disk").mkdir()  # a mount point with nothing mounted on it
    kept = index(store, sounds / "disk", load=no_embedder)
    assert (kept.removed, [problem.path for problem in kept.problems]) == (0, [sounds / "disk"])
    assert "the 2 clips that the store holds are kept" in kept.problems[0].reason
    pruned = index(store, sounds / "disk", load=no_embedder, prune=True)
    assert (pruned.removed, pruned.problems) == (2, ())
    assert set(store.catalog.clips()) == {sounds / "here/1.wav"}


def test_a_folder_that_cannot_be_listed_keeps_what_is_held_of_it(store, sounds, monkeypatch):
    for name in ("a/deep", "b"):
        write_levels(sounds / name / "1.wav", 0.5)
    index(store, sounds)
    (sounds / "b/1.wav").unlink()
    scandir = os.scandir

    def refuse(path):
        if Path(path) == sounds / "a":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    summary = index(store, sounds, load=no_embedder)
    assert (summary.removed, summary.problems) == (1, (Problem(sounds / "a", "Permission denied"),))
    assert list(store.catalog.clips()) == [sounds / "a/deep/1.wav"]


def test_a_clip_behind_a_link_that_dangles_is_kept(store, sounds, tmp_path):
    write_levels(tmp_path / "disk/1.wav", 0.5)
    (sounds / "link.wav").symlink_to(tmp_path / "disk/1.wav")
    index(store, sounds)
    (tmp_path / "disk").rename(tmp_path / "elsewhere")
    summary = index(store, sounds, load=no_embedder)
    assert summary.problems == (Problem(sounds / "link.wav", "No such file or directory"),)
    assert list(store.catalog.clips()) == [sounds / "link.wav"]


def test_the_store_is_left_with_an_index_that_no_query_has_to_make(store, sounds):
    for change in (lambda: write_levels(sounds / "a.wav", 0.5), (sounds / "a.wav").unlink):
        change()
        index(store, sounds)
        covered = open_index(store.directory / INDEX_FILE, store.catalog.identity, 3)
        assert covered.ids.tolist() == [window for ids, _ in store.catalog.embeddings() for window in ids]


# A plan


def test_a_plan_opens_no_clip(sounds, monkeypatch):
    monkeypatch.setattr(ahead, "content_digest", pytest.fail)
    (sounds / "words.wav").write_text("no audio")
    plan = plan_index([sounds], {})
    assert [clip.path for clip in plan.to_read] == [sounds / "words.wav"]
    assert (plan.to_remove, plan.unchanged, plan.problems) == ((), 0, ())


def test_a_plan_compares_what_is_there_with_what_is_held(sounds):
    for name in ("bad", "mended", "new", "same", "touched"):
        write_levels(sounds / f"{name}.wav", 0.5)
    found = {clip.path.stem: clip for clip in plan_index([sounds], {}).to_read}
    held = {
        str(clip.path): clip.stamp
        for clip in (
            found["same"],
            Clip(found["touched"].path, found["touched"].size_bytes, found["touched"].modified_ns - 1),
            Clip(sounds / "gone.wav", 1, 1),
            Clip(sounds.with_name("sounds.bak") / "gone.wav", 1, 1),
        )
    }
    left_out = [
        LeftOut(clip, "bad")
        for clip in (
            found["bad"],
            Clip(found["mended"].path, found["mended"].size_bytes + 1, found["mended"].modified_ns),
            Clip(sounds / "bad and gone.wav", 1, 1),
            Clip(sounds.with_name("sounds.bak") / "bad and gone.wav", 1, 1),
        )
    ]
    assert plan_index([sounds], held, left_out) == Plan(
        to_read=(found["mended"], found["new"], found["touched"]),
        known_better=(),
        to_remove=(sounds / "gone.wav",),
        to_forget=(sounds / "bad and gone.wav",),
        unchanged=1,
        left_out_before=1,
        problems=(),
        passed_over=PassedOver(),
    )


# Clips that are left out


def test_a_bad_clip_is_left_out_and_its_neighbours_are_as_if_it_were_not_there(store, sounds):
    good = {sounds / f"{name}.wav": noise(2.5, seed) for seed, name in enumerate("bdfh")}
    everything: Contents = {}
    for path, samples in good.items():
        write_audio(path, samples)
        everything |= expected(path, samples, 0.0, 1.0, 1.5)
    (sounds / "a.wav").write_bytes(b"")
    (sounds / "c.wav").write_text("words")
    spoiled = noise(3.5)
    spoiled[-1] = np.inf
    write_audio(sounds / "e.wav", spoiled)
    write_audio(sounds / "g.wav", np.empty(0, np.float32))
    told: list[Problem] = []
    embedder = FakeEmbedder()
    summary = index(store, sounds, load=lambda: embedder, on_problem=told.append)
    assert contents(store) == everything
    # What was gathered of a clip before it turned out bad is not embedded in vain.
    assert embedder.windows_embedded == len(everything)
    assert summary.problems == tuple(told)
    assert summary.problems == (
        Problem(sounds / "a.wav", "the file is empty"),
        Problem(sounds / "c.wav", NO_AUDIO),
        Problem(sounds / "e.wav", NOT_FINITE),
        Problem(sounds / "g.wav", "holds no audio"),
    )
    assert (summary.clips, summary.windows, summary.audio_s) == (4, 12, 10.0)


@pytest.mark.parametrize("commit_every_s", [0.0, 5.0])
def test_a_clip_that_turns_bad_after_much_of_it_was_embedded_is_left_out_whole(
    store, sounds, monkeypatch, commit_every_s
):
    monkeypatch.setattr(indexing, "COMMIT_EVERY_S", commit_every_s)
    samples = noise(30.0)
    samples[-1] = np.nan
    write_audio(sounds / "b.wav", samples)
    for level, name in enumerate("ac"):
        write_levels(sounds / f"{name}.wav", level / 4)
    embedder = FakeEmbedder()
    embedder.batch_s = 1.0
    summary = index(store, sounds, load=lambda: embedder)
    assert embedder.windows_embedded > 20
    assert summary.problems == (Problem(sounds / "b.wav", NOT_FINITE),)
    assert (summary.clips, summary.windows, summary.audio_s) == (2, 2, 2.0)
    assert paths(store) == {"a.wav", "c.wav"}
    assert len(contents(store)) == 2


def test_a_clip_that_has_become_unreadable_leaves_the_store_and_is_tried_again_when_it_has_changed(store, sounds):
    write_levels(sounds / "a.wav", 0.5)
    write_levels(sounds / "b.wav", 0.25)
    index(store, sounds)
    (sounds / "a.wav").write_text("words")
    problem = Problem(sounds / "a.wav", NO_AUDIO)
    assert index(store, sounds) == IndexSummary(0, 0, 0.0, 0, 1, 0, 0, (problem,), is_interrupted=False)
    status = (sounds / "a.wav").stat()
    left_out = [LeftOut(Clip(sounds / "a.wav", 5, status.st_mtime_ns, status.st_ctime_ns, status.st_ino), NO_AUDIO)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "content_digest", pytest.fail)
        for _ in range(2):
            assert index(store, sounds) == IndexSummary(0, 0, 0.0, 0, 1, 0, 1, (), is_interrupted=False)
            assert set(contents(store)) == {(str(sounds / "b.wav"), 0.0, 1.0)}
            assert store.catalog.left_out() == left_out
    os.utime(sounds / "a.wav", ns=(1, 1))
    assert index(store, sounds).problems == (problem,)
    write_levels(sounds / "a.wav", 0.125)
    summary = index(store, sounds)
    assert (summary.clips, summary.unchanged, summary.left_out_before, summary.problems) == (1, 1, 0, ())
    assert paths(store) == {"a.wav", "b.wav"}
    assert store.catalog.left_out() == []


def test_a_clip_that_was_left_out_is_forgotten_when_it_is_gone(store, sounds):
    for name in ("a/1.wav", "b/1.wav", "b/2.wav"):
        (sounds / name).parent.mkdir(exist_ok=True)
        (sounds / name).write_text("words")
    index(store, sounds)
    (sounds / "a/1.wav").unlink()
    (sounds / "b/2.wav").unlink()
    index(store, sounds / "a")
    assert [one.clip.path for one in store.catalog.left_out()] == [sounds / "b/1.wav", sounds / "b/2.wav"]
    index(store, sounds)
    assert [one.clip.path for one in store.catalog.left_out()] == [sounds / "b/1.wav"]


def test_an_interrupted_run_remembers_what_it_left_out(store, sounds):
    (sounds / "a.wav").write_text("words")
    write_levels(sounds / "b.wav", 0.5)
    assert index(store, sounds, load=interrupt).is_interrupted
    assert [one.clip.path.name for one in store.catalog.left_out()] == ["a.wav"]


def refuse_to_open(path: Path, *_: object) -> int:
    raise PermissionError(13, "Permission denied", str(path))


def test_a_clip_that_cannot_be_opened_is_tried_again_though_it_has_not_changed_and_keeps_what_is_held(
    store, sounds, monkeypatch
):
    write_levels(sounds / "a.wav", 0.5)
    index(store, sounds)
    before = contents(store)
    os.utime(sounds / "a.wav", ns=(1, 1))
    problem = Problem(sounds / "a.wav", "Permission denied")
    with monkeypatch.context() as patch:
        patch.setattr("pe_search.audio.files.os.open", refuse_to_open)
        for _ in range(2):
            assert index(store, sounds).problems == (problem,)
            assert (contents(store), store.catalog.left_out()) == (before, [])
    assert index(store, sounds, load=no_embedder).recognised == 1


def test_a_clip_that_goes_between_plan_and_run_leaves_the_store_with_the_next(store, sounds):
    write_levels(sounds / "a.wav", 0.5)
    write_levels(sounds / "b.wav", 0.25)
    index(store, sounds)
    os.utime(sounds / "a.wav", ns=(1, 1))
    plan = plan_index([sounds], store.catalog.stamps())
    (sounds / "a.wav").unlink()
    summary = run_index(plan, store, no_embedder)
    assert summary.problems == (Problem(sounds / "a.wav", "No such file or directory"),)
    assert index(store, sounds, load=no_embedder).removed == 1
    assert paths(store) == {"b.wav"}


def test_a_clip_that_changes_between_plan_and_run_is_looked_at_again_by_the_next(store, sounds):
    write_levels(sounds / "a.wav", 0.5)
    plan = plan_index([sounds], store.catalog.stamps())
    write_levels(sounds / "a.wav", 0.25, 0.25)
    run_index(plan, store, FakeEmbedder)
    assert index(store, sounds, load=no_embedder).recognised == 1
    assert index(store, sounds, load=no_embedder).unchanged == 1


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("change", ["grows", "is replaced", "vanishes", "is spoiled"])
def test_a_clip_that_changes_while_it_is_read_is_tried_again_by_the_next_run(
    store, sounds, monkeypatch, change, is_new
):
    path = write_levels(sounds / "a.wav", 0.5, 0.5)
    write_levels(sounds / "b.wav", 0.25)
    if not is_new:
        write_levels(sounds / "0.wav", 0.5, 0.5)
    digest = ahead.content_digest

    def digest_and_then_a_change(read: Path, on_block: Callable[[], None]) -> bytes:
        found = digest(read, on_block)
        if read == path:
            status = path.stat()
            if change == "grows":
                with path.open("ab") as file:
                    file.write(b"more")
            elif change == "is replaced":
                os.utime(write_levels(sounds / ".new.wav", 0.125, 0.125), ns=(1, status.st_mtime_ns))
                os.replace(sounds / ".new.wav", path)
            elif change == "vanishes":
                path.unlink()
            else:
                path.write_text("words")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ahead, "content_digest", digest_and_then_a_change)
        summary = index(store, sounds)
    reason = "changed while it was read; the next run tries again"
    assert summary.problems == (Problem(path, "No such file or directory" if change == "vanishes" else reason),)
    assert paths(store) == {"b.wav"} if is_new else {"0.wav", "b.wav"}
    assert store.catalog.left_out() == []
    levels = {"grows": 0.5, "is replaced": 0.125}
    again = index(store, sounds)
    assert [problem.path for problem in again.problems] == ([path] if change == "is spoiled" else [])
    found = {vector[0] for (name, _, _), vector in contents(store).items() if name == str(path)}
    assert found == ({levels[change]} if change in levels else set())


class Fragile(FakeEmbedder):
    """Makes something that is not finite of all windows that are louder than one half."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        embeddings = super().embed_windows(windows)
        embeddings[embeddings[:, 0] > 0.5, 1] = self.value
        return embeddings


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("batch_s", [1.0, 20.0])
def test_embeddings_that_are_not_finite_are_left_out(store, sounds, value, batch_s):
    write_levels(sounds / "a.wav", 0.25, 0.25)
    write_levels(sounds / "b.wav", *[0.25] * 5, 0.75, *[0.25] * 5, 0.75)
    write_levels(sounds / "c.wav", 0.125)
    embedder = Fragile(value)
    embedder.batch_s = batch_s
    summary = index(store, sounds, load=lambda: embedder)
    problem = Problem(sounds / "b.wav", "its samples are too large to embed")
    assert summary == IndexSummary(2, 3, 3.0, 0, 0, 0, 0, (problem,), is_interrupted=False)
    assert {place[0] for place in contents(store)} == {str(sounds / "a.wav"), str(sounds / "c.wav")}
    assert np.isfinite(list(contents(store).values())).all()


def test_a_clip_that_is_bad_in_two_ways_is_reported_once_and_read_no_further(store, sounds):
    samples = np.full(60 * RATE_HZ, 0.75, np.float32)
    samples[-1] = np.nan
    write_audio(sounds / "a.wav", samples)
    embedder = Fragile(np.nan)
    embedder.batch_s = 1.0
    summary = index(store, sounds, load=lambda: embedder)
    assert summary.problems == (Problem(sounds / "a.wav", "its samples are too large to embed"),)
    assert embedder.windows_embedded < 10


# Interruptions


class Interrupting(FakeEmbedder):
    """Is interrupted at one of its calls, having noted which windows it embedded before."""

    def __init__(self, at_call: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        super().__init__()
        self.batch_s = 1.0
        self.at_call = at_call
        self.error = error

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        if self.calls + 1 == self.at_call:
            raise self.error
        return super().embed_windows(windows)


LEVELS = {"a": (0.5,), "b": (0.25,) * 7, "c": (0.125, 0.0625), "d": (0.75,), "e": (0.375,) * 4}


@pytest.fixture
def library(sounds) -> Path:
    """Clips of 1, 7, 2, 1 and 4 windows; three at a time go to an embedder that takes one second."""
    for name, levels in LEVELS.items():
        write_levels(sounds / f"{name}.wav", *levels)
    return sounds


# Calls take windows a b b | b b b | b b c | c d e | e e e.
FINISHED_BEFORE_CALL = {1: "", 2: "a", 3: "a", 4: "ab", 5: "abcd", 6: "abcde"}
# Of a clip that was begun, all but its last window so far.
BEGUN_BEFORE_CALL = {2: 1, 3: 4}


@pytest.mark.parametrize("at_call", FINISHED_BEFORE_CALL)
@pytest.mark.parametrize("commit_every_s", [0.0, 5.0])
def test_an_interrupted_run_keeps_what_it_finished_and_the_next_one_does_the_rest(
    tmp_path, store, library, monkeypatch, at_call, commit_every_s
):
    monkeypatch.setattr(indexing, "COMMIT_EVERY_S", commit_every_s)
    with make_store(tmp_path / "undisturbed") as undisturbed:
        index(undisturbed, library)
        whole = contents(undisturbed)

    finished = FINISHED_BEFORE_CALL[at_call]
    windows = sum(len(LEVELS[name]) for name in finished)
    summary = index(store, library, load=lambda: Interrupting(at_call))
    assert paths(store) == {f"{name}.wav" for name in finished}
    assert summary.is_interrupted == (at_call <= 5)
    assert (summary.clips, summary.windows, summary.audio_s) == (len(finished), windows, float(windows))
    assert contents(store) == {place: row for place, row in whole.items() if Path(place[0]).stem in finished}

    embedder = FakeEmbedder()
    summary = index(store, library, load=lambda: embedder)
    assert (summary.clips, summary.unchanged, summary.is_interrupted) == (5 - len(finished), len(finished), False)
    assert embedder.windows_embedded == summary.windows == 15 - windows - BEGUN_BEFORE_CALL.get(at_call, 0)
    assert contents(store) == whole


def test_what_is_begun_outlives_runs_over_other_folders_and_is_searched_by_nobody(tmp_path, store, library):
    index(store, library, load=lambda: Interrupting(3))
    other = write_levels(tmp_path / "other" / "z.wav", 0.0)
    index(store, other.parent)
    assert {match.path.stem for match in store.finder.best_matches(np.ones(2, np.float32), 99).best} == {"a", "z"}
    assert store.catalog.holdings().windows == 2
    embedder = FakeEmbedder()
    assert index(store, library, load=lambda: embedder).windows == embedder.windows_embedded == 10
    assert store.catalog.begun_times() == {}


def test_a_clip_that_reads_otherwise_than_when_it_was_begun_is_begun_anew(store, library):
    index(store, library, load=lambda: Interrupting(3))
    ((digest, times),) = store.catalog.begun_times().items()
    store.catalog.drop_begun_content(digest)
    store.catalog.commit(
        contents=[Content(digest, [(start, end + 0.5) for start, end in times], np.ones((4, 2)), is_whole=False)]
    )
    assert [problem.reason for problem in index(store, library).problems] == [indexing._READS_OTHERWISE]
    assert (store.catalog.begun_times(), store.catalog.left_out()) == ({}, [])
    assert index(store, library).clips == 1


def test_a_clip_that_breaks_off_leaves_nothing_of_what_was_begun(store, sounds, monkeypatch):
    monkeypatch.setattr(indexing, "COMMIT_EVERY_S", 0.0)
    samples = np.full(8 * 48_000, 0.25, np.float32)
    samples[-1] = np.nan
    write_audio(sounds / "long.wav", samples)
    embedder = FakeEmbedder()
    embedder.batch_s = 0.5
    assert len(index(store, sounds, load=lambda: embedder).problems) == 1
    assert embedder.windows_embedded > 4
    assert (store.catalog.begun_times(), store.catalog.digests()) == ({}, set())


def test_an_interruption_while_a_clip_is_read(store, library, monkeypatch):
    reader = ahead.ClipReader

    def interrupted(path, hearing):
        if path.stem == "c":
            raise KeyboardInterrupt
        return reader(path, hearing)

    monkeypatch.setattr(ahead, "ClipReader", interrupted)
    embedder = Interrupting(at_call=99)
    assert index(store, library, load=lambda: embedder).is_interrupted
    # The last windows of b were gathered and never embedded.
    assert paths(store) == {"a.wav"}
    monkeypatch.undo()
    assert index(store, library).clips == 4


def interrupt(*_: object) -> FakeEmbedder:
    raise KeyboardInterrupt


def test_an_interruption_while_the_model_is_loaded(store, library):
    write_levels(library / "z.wav", 0.0)
    index(store, library / "z.wav")
    (library / "z.wav").unlink()
    summary = index(store, library, load=interrupt)
    # What is gone has left already; nothing else has changed.
    assert summary == IndexSummary(0, 0, 0.0, 0, 0, 1, 0, (), is_interrupted=True)
    assert store.catalog.clips() == {}
    assert index(store, library).clips == 5


def test_an_interruption_while_progress_is_shown(store, library):
    embedder = FakeEmbedder()
    embedder.batch_s = 1.0
    summary = index(store, library, load=lambda: embedder, on_progress=interrupt)
    assert summary.is_interrupted
    assert paths(store) == {"a.wav"}


def test_an_interrupted_run_keeps_the_old_embeddings_of_a_clip_that_it_did_not_reach(store, library):
    index(store, library)
    before = contents(store)
    for name in ("b", "e"):
        os.utime(write_levels(library / f"{name}.wav", *[-0.5 if name == "b" else -0.25] * 5), ns=(1, 1))
    assert index(store, library, load=lambda: Interrupting(at_call=3)).is_interrupted
    after = contents(store)
    for place, row in before.items():
        if Path(place[0]).stem != "b":
            assert after[place] == row
    assert [row[0] for place, row in after.items() if Path(place[0]).stem == "b"] == [-0.5] * 5
    summary = index(store, library)
    assert (summary.clips, summary.unchanged) == (1, 4)


def test_a_run_that_fails_altogether_keeps_what_was_committed(tmp_path, store, library, monkeypatch):
    monkeypatch.setattr(indexing, "COMMIT_EVERY_S", 0.0)
    with pytest.raises(RuntimeError):
        index(store, library, load=lambda: Interrupting(at_call=4, error=RuntimeError))
    assert paths(store) == {"a.wav", "b.wav"}
    with make_store(tmp_path / "undisturbed") as undisturbed:
        index(undisturbed, library)
        assert index(store, library).clips == 3
        assert contents(store) == contents(undisturbed)


def test_a_reader_finds_clips_while_the_run_goes_on(store, library, monkeypatch):
    monkeypatch.setattr(indexing, "COMMIT_EVERY_S", 0.0)
    seen = []
    with Store.open(store.directory) as reader:
        embedder = FakeEmbedder()
        embedder.batch_s = 1.0
        index(store, library, load=lambda: embedder, on_progress=lambda *_: seen.append(len(reader.catalog.clips())))
        assert contents(reader) == contents(store)
    # Progress is told before what it tells of is committed, and once more at the end.
    assert seen == [0, 1, 1, 2, 4, 5]


# Progress


def test_progress_grows_and_ends_at_all_bytes_and_all_seconds(store, library):
    (library / "f.wav").write_text("words")
    (library / "g.wav").write_bytes(b"")
    told: list[tuple[float, float]] = []
    embedder = FakeEmbedder()
    embedder.batch_s = 1.0
    index(store, library, load=lambda: embedder, on_progress=lambda now: told.append((now.bytes_done, now.audio_s)))
    total_bytes = sum(file.stat().st_size for file in library.iterdir())
    assert told == sorted(told)
    assert [audio_s for _, audio_s in told] == [3.0, 6.0, 9.0, 12.0, 15.0, 15.0]
    assert told[-1] == (total_bytes, 15.0)
    sizes = {file.stem: file.stat().st_size for file in library.iterdir()}
    assert told[0] == (pytest.approx(sizes["a"] + sizes["b"] * 2 / 7), 3.0)
    assert told[1] == (pytest.approx(sizes["a"] + sizes["b"] * 5 / 7), 6.0)


def test_progress_ends_at_all_bytes_if_every_clip_is_bad(store, sounds):
    for name in "ab":
        (sounds / f"{name}.wav").write_text("words")
    told: list[tuple[float, float]] = []
    index(store, sounds, on_progress=lambda now: told.append((now.bytes_done, now.audio_s)))
    assert told == [(10.0, 0.0)]


def test_progress_says_how_many_clips_are_done_and_what_needed_no_model(store, library):
    (library / "0.wav").write_text("words")
    index(store, library / "a.wav")
    os.utime(library / "a.wav", ns=(1, 1))  # recognised by its bytes
    told: list[Progress] = []
    index(store, library, on_progress=told.append)
    skipped = (library / "0.wav").stat().st_size + (library / "a.wav").stat().st_size
    assert (told[-1].clips_done, told[-1].bytes_skipped) == (6, skipped)
    assert told[-1].bytes_done == sum(file.stat().st_size for file in library.iterdir())


def test_a_run_that_goes_on_counts_what_was_kept_as_done_and_not_as_its_own(store, sounds, monkeypatch):
    monkeypatch.setattr(indexing, "COMMIT_EVERY_S", 0.0)
    path = write_levels(sounds / "long.wav", *[0.5] * 10)
    embedder = Interrupting(at_call=4)
    embedder.batch_s = 1.0
    summary = index(store, sounds, load=lambda: embedder)
    assert (summary.clips, summary.is_interrupted) == (0, True)
    (part,) = summary.kept_parts
    kept = store.catalog.begun_times()
    windows = len(next(iter(kept.values())))
    assert 0 < windows < 10
    assert part == KeptPart(path, pytest.approx(windows / 10))

    def first_alone(_self: ahead.ClipAhead) -> Iterator[Window]:
        yield next(windows_of(_self))
        raise KeyboardInterrupt

    windows_of = ahead.ClipAhead.windows
    with monkeypatch.context() as patch:
        patch.setattr(ahead.ClipAhead, "windows", first_alone)
        assert index(store, sounds).kept_parts == (part,), "also before it is passed"

    told: list[Progress] = []
    summary = index(store, sounds, on_progress=told.append)
    assert (summary.clips, summary.windows, summary.kept_parts) == (1, 10 - windows, ())
    assert told[-1].bytes_skipped == pytest.approx(path.stat().st_size * windows / 10)
    assert (told[-1].bytes_done, told[-1].audio_s) == (path.stat().st_size, 10.0 - windows)


def test_progress_does_not_pass_the_end_of_a_clip_whose_header_lies(store, sounds):
    # Says one sample, holds 20 s; and says nothing, so that libsndfile guesses 127 years.
    for name, frames in (("a", 0), ("b", 2**36 - 1)):
        path = write_audio(sounds / f"{name}.flac", noise(20.0), subtype="PCM_16")
        header = bytearray(path.read_bytes())
        header[18:26] = (int.from_bytes(header[18:26], "big") >> 36 << 36 | frames).to_bytes(8, "big")
        path.write_bytes(header)
    sizes = [(sounds / name).stat().st_size for name in ("a.flac", "b.flac")]
    told: list[tuple[float, float]] = []
    embedder = FakeEmbedder()
    embedder.batch_s = 1.0
    index(store, sounds, load=lambda: embedder, on_progress=lambda now: told.append((now.bytes_done, now.audio_s)))
    assert told == sorted(told)
    assert max(done for done, audio_s in told if audio_s < 20) <= sizes[0]
    assert told[-1] == (sum(sizes), 40.0)


# All of it


NAMES = st.sampled_from(["a.wav", "b.wav", "c/d.wav", "c/e.wav"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), NAMES, st.integers(1, 4)),
        st.tuples(st.just("spoil"), NAMES, st.just(0)),
        st.tuples(st.just("copy"), NAMES, st.just(0)),
        st.tuples(st.just("delete"), NAMES, st.just(0)),
        st.tuples(st.just("index"), st.sampled_from([".", "c", "a.wav"]), st.just(0)),
        st.tuples(st.just("interrupt"), st.just("."), st.integers(1, 3)),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_after_whatever_has_happened_a_run_leaves_what_a_fresh_store_would_hold(tmp_path_factory, steps):
    home = tmp_path_factory.mktemp("home")
    sounds = home / "sounds"
    (sounds / "c").mkdir(parents=True)
    with make_store(home / "old", window_s=0.01) as old, make_store(home / "new", window_s=0.01) as new:
        for number, (what, name, size) in enumerate(steps):
            path = sounds / name
            if what == "write":
                write_audio(path, noise(0.0075 * size, seed=number))
                os.utime(path, ns=(number, number))
            elif what == "spoil":
                path.write_bytes(b"words")
                os.utime(path, ns=(number, number))
            elif what == "copy":
                shutil.copy(write_audio(home / "same.wav", noise(0.03)), path)
                os.utime(path, ns=(number, number))
            elif what == "delete":
                path.unlink(missing_ok=True)
            elif what == "index":
                index(old, path)
            else:
                embedder = Interrupting(at_call=size)
                embedder.batch_s = 0.005
                index(old, path, load=lambda embedder=embedder: embedder)
        first = index(old, sounds, prune=True)
        fresh = index(new, sounds)
        assert contents(old) == contents(new)
        assert old.catalog.clips() == new.catalog.clips()
        assert old.catalog.left_out() == new.catalog.left_out()
        assert old.catalog.holdings() == new.catalog.holdings()
        assert old.catalog.digests() == new.catalog.digests()
        assert len(first.problems) + first.left_out_before == len(fresh.problems)
        assert first.clips + first.recognised + first.unchanged == fresh.clips + fresh.recognised


def test_a_list_of_many_files_is_planned_without_comparing_each_with_all(tmp_path, monkeypatch):
    """The number of comparisons is counted: with each root held against each path it would be four million."""
    roots = [tmp_path / f"{number}.wav" for number in range(2_000)]
    write_audio(roots[0], noise(0.1))
    for root in roots[1:]:
        shutil.copyfile(roots[0], root)
    asked = 0
    is_under = planning.is_under

    def counting(path, folders):
        nonlocal asked
        asked += 1
        return is_under(path, folders)

    monkeypatch.setattr(planning, "is_under", counting)
    plan = plan_index(roots, {f"/gone/{number}.wav": (1, 1) for number in range(2_000)})
    assert len(plan.to_read) == 2_000
    assert asked <= 4_000


# What tells that a file has changed


@pytest.mark.parametrize("changed", ["changed_ns", "inode"])
def test_a_file_of_the_same_size_and_time_of_writing_is_read_again(store, sounds, changed):
    write_levels(sounds / "a.wav", 0.5)
    index(store, sounds)
    clip = store.catalog.clips()[sounds / "a.wav"]
    assert (clip.changed_ns, clip.inode) == ((sounds / "a.wav").stat().st_ctime_ns, (sounds / "a.wav").stat().st_ino)
    stamps = {str(clip.path): replace(clip, **{changed: 1}).stamp}
    assert plan_index([sounds], stamps).to_read == (clip,)
    assert plan_index([sounds], {str(clip.path): clip.stamp}).to_read == ()


def test_another_file_of_the_same_size_and_time_takes_the_place_of_the_first(store, sounds):
    write_levels(sounds / "a.wav", 0.5)
    index(store, sounds)
    before = contents(store)
    status = (sounds / "a.wav").stat()
    write_levels(sounds / "other.wav", 0.25)
    (sounds / "other.wav").replace(sounds / "a.wav")
    os.utime(sounds / "a.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (sounds / "a.wav").stat().st_size == status.st_size
    assert index(store, sounds).clips == 1
    assert contents(store) != before


def test_what_was_not_known_of_a_file_is_filled_in_without_reading_it(store, sounds):
    write_levels(sounds / "a.wav", 0.5)
    (sounds / "b.wav").write_text("words")
    index(store, sounds)
    clips, left_out = store.catalog.clips(), store.catalog.left_out()
    unknown = [replace(clip, changed_ns=None, inode=None) for clip in (*clips.values(), left_out[0].clip)]
    store.catalog.commit(seen=unknown)
    assert [*store.catalog.clips().values(), store.catalog.left_out()[0].clip] == unknown
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "content_digest", pytest.fail)
        summary = index(store, sounds)
    assert (summary.clips, summary.recognised, summary.unchanged, summary.left_out_before) == (0, 0, 1, 1)
    assert (store.catalog.clips(), store.catalog.left_out()) == (clips, left_out)

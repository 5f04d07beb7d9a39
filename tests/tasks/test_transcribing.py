"""What is speech is recognised, once, and kept; a run that was killed goes on."""

from __future__ import annotations

import os
import signal
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pe_search.audio.find import find_stamps
from pe_search.audio.hashing import content_digest
from pe_search.audio.read import ClipReader
from pe_search.audio.windows import cut_windows
from pe_search.records import Clip, Content, Transcribed
from pe_search.store import Store
from pe_search.store.transcripts import read_transcripts
from pe_search.tasks.transcribing import SPEECH_TEXTS, Transcribing, speech_probabilities
from tests.speech.spoken import MANIFEST, FakeModel, LoudIsSpeech, TonesRecogniser, say

HALF = [*range(10), *[None] * 10, *range(20, 30), *[None] * 10]
SAID = [f"n{number}" for number in HALF if number is not None]
LONG = [number % 50 for number in range(60)]


def clips_in(*paths: Path) -> list[Clip]:
    return list(find_stamps(list(paths), lambda _problem: None).clips())


@contextmanager
def store_of(directory: Path, *paths: Path) -> Iterator[Store]:
    """A store that holds some clips."""
    embedder = LoudIsSpeech()
    with (
        Store.create(directory, MANIFEST) if not directory.exists() else Store.open(directory, read_only=False) as store
    ):
        for clip in clips_in(*paths):
            if store.catalog.clip(clip.path) is None:
                with ClipReader(clip.path) as reader:
                    windows = list(cut_windows(reader.blocks(), MANIFEST.window_s, MANIFEST.hop_s))
                times = [(one.start_s, one.end_s) for one in windows]
                embeddings = embedder.embed_windows([one.samples for one in windows])
                digest = content_digest(clip.path)
                content = Content(digest, times, embeddings, is_whole=True)
                store.catalog.commit(contents=[content], clips=[(clip, digest)])
        yield store


def run(
    recogniser: TonesRecogniser,
    store: Store | None,
    *paths: Path,
    model: FakeModel | None = None,
    places: dict[Path, list[tuple[float, float]]] | None = None,
    **options: object,
) -> list[Transcribed]:
    problems = options.pop("problems", [])
    task = Transcribing(
        model or FakeModel(),
        store,
        recogniser,
        on_problem=problems.append,
        on_progress=lambda _progress: None,
        **options,
    )
    return list(task.transcribe(clips_in(*paths), places or {}))


def words(one: Transcribed) -> list[str]:
    return [word for segment in one.segments for word in segment.text.split()]


def test_only_what_the_model_takes_for_speech_is_recognised(tmp_path):
    path = say(tmp_path / "a.wav", HALF)
    recogniser = TonesRecogniser()
    (one,) = run(recogniser, None, path)
    assert words(one) == SAID
    assert recogniser.windows == 2
    assert one.speech_s == 20
    assert [word.start_s for segment in one.segments for word in segment.words] == pytest.approx(
        [second for second, number in enumerate(HALF) if number is not None]
    )


def test_all_audio_asks_no_model(tmp_path):
    path = say(tmp_path / "a.wav", HALF)
    model, recogniser = FakeModel(), TonesRecogniser()
    (one,) = run(recogniser, None, path, model=model, is_gated=False)
    assert words(one) == SAID
    assert one.engine == "tones 1 all"
    assert recogniser.windows == 5
    assert model.embedder.calls == 0


def test_silence_is_no_work(tmp_path):
    recogniser = TonesRecogniser()
    (one,) = run(recogniser, None, say(tmp_path / "a.wav", [None] * 25))
    assert one.segments == ()
    assert recogniser.windows == 0


def test_the_embeddings_of_the_store_are_asked(tmp_path):
    path = say(tmp_path / "a.wav", HALF)
    model = FakeModel()
    with store_of(tmp_path / "store", path) as store:
        (one,) = run(TonesRecogniser(), store, path, model=model)
    assert words(one) == SAID
    assert model.embedder.calls == 0


def test_what_is_kept_is_not_recognised_again(tmp_path):
    paths = [say(tmp_path / name, numbers) for name, numbers in (("a.wav", HALF), ("b.wav", LONG), ("c.wav", HALF))]
    with store_of(tmp_path / "store", *paths) as store:
        first = run(TonesRecogniser(), store, *paths)
        assert [one.is_known for one in first] == [False, False, True]
    with store_of(tmp_path / "store", *paths) as store:
        recogniser = TonesRecogniser()
        again = run(recogniser, store, *paths)
        kept = list(read_transcripts(store.catalog))
    assert recogniser.windows == 0
    assert [words(one) for one in again] == [words(one) for one in first] == [SAID, [f"n{n}" for n in LONG], SAID]
    assert all(one.is_known for one in again)
    assert [(one.engine, one.until_s) for one in kept] == [("tones 1", None)] * 2


def test_another_engine_recognises_anew(tmp_path):
    path = say(tmp_path / "a.wav", HALF)
    with store_of(tmp_path / "store", path) as store:
        run(TonesRecogniser(), store, path)
        other = TonesRecogniser()
        other.name = "tones 2"
        run(other, store, path)
        assert other.windows == 2
        assert [one.engine for one in read_transcripts(store.catalog)] == ["tones 1", "tones 2"]


@pytest.mark.parametrize("fails_after", [1, 3, 5, 6])
def test_an_interrupted_run_goes_on_where_it_was(fails_after, tmp_path):
    path = say(tmp_path / "a.wav", LONG)
    with store_of(tmp_path / "store", path) as store, pytest.raises(KeyboardInterrupt):
        run(TonesRecogniser(fails_after), store, path, commit_every_s=0.0)
    with store_of(tmp_path / "store", path) as store:
        before = list(read_transcripts(store.catalog))
        recogniser = TonesRecogniser()
        (one,) = run(recogniser, store, path)
        (after,) = read_transcripts(store.catalog)
    assert words(one) == [f"n{number}" for number in LONG]
    assert after.until_s is None
    assert after.segments == one.segments
    # What was kept is not recognised again: what is left takes a window for each eight seconds.
    assert len(before) == (fails_after > 2)
    for kept in before:
        assert one.segments[: len(kept.segments)] == kept.segments
        assert recogniser.windows == max(1, -(-(60 - kept.until_s - 2) // 8))


@pytest.mark.parametrize("killed_after", [2, 4, 9, 11])
def test_a_killed_run_loses_nothing_that_was_kept_and_does_nothing_twice(killed_after, tmp_path):
    paths = [say(tmp_path / f"{name}.wav", LONG[start : start + 40]) for start, name in enumerate("abc")]
    with store_of(tmp_path / "store", *paths):
        pass
    child = os.fork()
    if child == 0:

        class Killed(TonesRecogniser):
            def fail(self) -> None:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with store_of(tmp_path / "store", *paths) as store:
                run(Killed(killed_after), store, *paths, commit_every_s=0.0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    with store_of(tmp_path / "store", *paths) as store:
        finished = sum(one.until_s is None for one in read_transcripts(store.catalog))
        recogniser = TonesRecogniser()
        found = run(recogniser, store, *paths)
    # A clip takes five windows.
    assert finished == (killed_after - 1) // 5
    assert [one.is_known for one in found] == [number < finished for number in range(3)]
    assert recogniser.windows <= 5 * (3 - finished)
    assert [words(one) for one in found] == [
        [f"n{number}" for number in LONG[start : start + 40]] for start in range(3)
    ]


def test_a_part_of_a_file_is_not_kept(tmp_path):
    path = say(tmp_path / "a.wav", LONG)
    with store_of(tmp_path / "store", path) as store:
        (one,) = run(TonesRecogniser(), store, path, places={path: [(20.0, 25.0)]})
        assert words(one) == ["n20", "n21", "n22", "n23", "n24"]
        assert list(read_transcripts(store.catalog)) == []
        run(TonesRecogniser(), store, path)
        recogniser = TonesRecogniser()
        (known,) = run(recogniser, store, path, places={path: [(20.0, 25.0)]})
    assert recogniser.windows == 0
    assert "n22" in words(known)


def test_several_parts_of_a_file_come_in_order_and_overlaps_once(tmp_path):
    path = say(tmp_path / "a.wav", LONG)
    with store_of(tmp_path / "store", path) as store:
        parts = [(40.0, 42.0), (20.0, 23.0), (22.0, 25.0)]
        (one,) = run(TonesRecogniser(), store, path, places={path: parts})
    assert words(one) == ["n20", "n21", "n22", "n23", "n24", "n40", "n41"]


def test_a_file_that_the_store_does_not_hold_is_not_kept(tmp_path):
    held, other = say(tmp_path / "a.wav", HALF), say(tmp_path / "b.wav", LONG)
    with store_of(tmp_path / "store", held) as store:
        found = run(TonesRecogniser(), store, held, other)
        kept = list(read_transcripts(store.catalog))
    assert [len(words(one)) for one in found] == [20, 60]
    assert [one.digest for one in kept] == [content_digest(held)]


def test_a_file_that_can_not_be_read_spoils_nothing(tmp_path):
    good = say(tmp_path / "b.wav", HALF)
    (tmp_path / "a.wav").write_bytes(b"RIFF not a sound")
    (tmp_path / "c.wav").write_bytes(good.read_bytes()[: len(good.read_bytes()) // 2])
    problems: list = []
    found = run(TonesRecogniser(), None, tmp_path, problems=problems)
    assert [one.path.name for one in found] == ["b.wav", "c.wav"]
    assert words(found[0]) == SAID
    assert [one.path.name for one in problems] == ["a.wav", "c.wav"]


def test_speech_is_the_likeliest_of_its_texts():
    texts = np.array([[1, 0], [0, 1], [-5, -5]], np.float32)
    embeddings = np.array([[0, 8], [8, 0], [0, 0]], np.float32)
    found = speech_probabilities(embeddings, texts, MANIFEST)
    assert found == pytest.approx(1 / (1 + np.exp(-(np.array([8, 8, 0]) - 4))))
    assert len(SPEECH_TEXTS) == 3


@pytest.mark.slow
def test_three_hours_take_no_more_memory_than_minutes(tmp_path):
    """Peak of what Python and numpy hold, on one stretch of speech of three hours and of ten minutes."""
    peaks = []
    for minutes in (10, 180):
        path = say(tmp_path / f"{minutes}.wav", [number % 50 for number in range(60 * minutes)], 8_000)
        recogniser = TonesRecogniser()
        tracemalloc.start()
        (one,) = run(recogniser, None, path, is_gated=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(words(one)) == 60 * minutes
        path.unlink()
    # The words themselves take some: 200 bytes each.
    assert peaks[1] < peaks[0] + 10_000 * 1_000

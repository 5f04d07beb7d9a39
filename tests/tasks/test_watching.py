"""A store that follows what changes on disk."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator

import pytest

import pe_search
from pe_search.errors import StoreBusyError, StoreError
from pe_search.reports import IndexSummary
from pe_search.tasks import watching
from tests.made_up import noise, write_audio

PATIENCE_S = 60


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_QUIET_S", 0.05)
    monkeypatch.setattr(watching, "_BUSY_S", 0.05)
    monkeypatch.setattr(watching, "_STEP_MS", 50)
    monkeypatch.setattr(watching, "_LOOK_EVERY_MS", 50)


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    """Ends a watch that waits for a change in vain, so that a test fails in place of hanging."""
    event = threading.Event()
    timer = threading.Timer(PATIENCE_S, event.set)
    timer.start()
    yield event
    timer.cancel()


def paths_of(library: pe_search.Library) -> list[str]:
    return [clip.path.name for clip in library.clips()]


def test_a_library_follows_what_changes(tmp_path, stop):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    write_audio(sounds / "a.wav", noise(0.1))
    library = pe_search.create(tmp_path / "store")
    summaries = library.watch(sounds, stop=stop)
    assert next(summaries).clips == 1

    write_audio(sounds / "b.wav", noise(0.1, seed=1))
    assert next(summaries).clips == 1
    assert paths_of(library) == ["a.wav", "b.wav"]

    (sounds / "a.wav").rename(sounds / "c.wav")
    summary = next(summaries)
    assert (summary.clips, summary.recognised, summary.removed) == (0, 1, 1)
    assert paths_of(library) == ["b.wav", "c.wav"]

    (sounds / "deep").mkdir()
    shutil.copy(sounds / "b.wav", sounds / "deep" / "d.wav")
    while "d.wav" not in paths_of(library):
        next(summaries)

    (sounds / "b.wav").unlink()
    next(summaries)
    assert sorted(paths_of(library)) == ["c.wav", "d.wav"]

    stop.set()
    assert next(summaries, None) is None


def test_the_embedder_is_loaded_once(tmp_path, stop):
    write_audio(tmp_path / "a.wav", noise(0.1))
    library = pe_search.create(tmp_path / "store")
    summaries = library.watch(tmp_path, stop=stop)
    next(summaries)
    embedder = library.model.audio_embedder()
    write_audio(tmp_path / "b.wav", noise(0.1, seed=1))
    assert next(summaries).clips == 1
    assert library.model.audio_embedder() is embedder


def runs(log: list[str]) -> Iterator[IndexSummary]:
    while True:
        log.append("run")
        yield IndexSummary()


def test_changes_in_the_store_itself_do_not_count(tmp_path, stop):
    store = tmp_path / "sounds" / "store"
    store.mkdir(parents=True)
    log: list[str] = []
    summaries = watching.watch(runs(log).__next__, [tmp_path / "sounds"], store, stop)
    next(summaries)
    (store / "catalog.sqlite3").write_bytes(b"x")
    (tmp_path / "sounds" / "a.wav").write_bytes(b"x")
    next(summaries)
    (store / "index.vectors").write_bytes(b"x")
    threading.Timer(1.0, stop.set).start()
    assert next(summaries, None) is None
    assert log == ["run", "run"]


def test_what_changes_before_the_first_run_is_not_missed(tmp_path, stop):
    log: list[str] = []

    def run() -> IndexSummary:
        log.append("run")
        if len(log) == 1:
            (tmp_path / "a.wav").write_bytes(b"x")
        return IndexSummary()

    summaries = watching.watch(run, [tmp_path], tmp_path / "store", stop)
    next(summaries)
    next(summaries)
    assert log == ["run", "run"]


def test_a_file_is_waited_for_until_it_is_whole(tmp_path):
    """Each look finds more of it, until three looks later nothing has changed."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    looks = 0

    class Stop(threading.Event):
        def wait(self, _timeout_s: float | None = None) -> bool:
            nonlocal looks
            looks += 1
            if looks < 4:
                with path.open("ab") as file:
                    file.write(b"x")
                os.utime(path, ns=(looks, looks))
            return False

    watching._wait_until_whole([str(path), str(tmp_path / "gone.wav")], Stop())
    assert looks == 4
    assert path.read_bytes() == b"xxx"


def test_another_writer_is_waited_for(tmp_path, stop):
    attempts = iter([StoreBusyError("busy"), StoreBusyError("busy"), IndexSummary(clips=3)])

    def run() -> IndexSummary:
        outcome = next(attempts)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert next(watching.watch(run, [tmp_path], tmp_path / "store", stop)).clips == 3


def test_nothing_that_is_there(tmp_path):
    with pytest.raises(StoreError, match="nothing to watch"):
        next(watching.watch(IndexSummary, [tmp_path / "missing"], tmp_path / "store"))

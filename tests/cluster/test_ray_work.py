"""A run whose clips are embedded elsewhere, with workers of this process in the place of Ray's."""

from __future__ import annotations

import pickle
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pe_search.audio.hashing import content_digest
from pe_search.cluster import driver, running, worker
from pe_search.cluster.blocks import Board
from pe_search.cluster.running import RayWork, Wish
from pe_search.cluster.runtime import Share, _share
from pe_search.errors import CheckpointError, ClusterError, MissingExtraError, StoreError
from pe_search.records import Content, Problem
from pe_search.store import Store
from pe_search.tasks import indexing, pieces
from pe_search.tasks.indexing import run_index
from pe_search.tasks.pieces import Pieces, take_in_left_over
from pe_search.tasks.planning import plan_index
from tests.made_up import FakeEmbedder, manifest, write_audio

RATE_HZ = 48_000


class DiskFullError(Exception):
    """One that another process can't make again."""

    def __init__(self, left: int) -> None:
        super().__init__(f"{left}")
        self.left = left

    def __reduce__(self):
        raise TypeError("can't be pickled")


class DiedError(BaseException):
    """A worker was killed."""


class KilledWorker(worker.Worker):
    """A worker with a made-up embedder, that dies where it is told to."""

    embedder = FakeEmbedder()
    die: Callable[[], None] = staticmethod(lambda: None)

    @property
    def _embedder(self):
        def embed_windows(windows):
            type(self).die()
            return self.embedder.embed_windows(windows)

        inner = SimpleNamespace(runtime="cpu in tests")
        return SimpleNamespace(batch_s=self.embedder.batch_s, embed_windows=embed_windows, embedder=inner)


@pytest.fixture
def deaths(monkeypatch) -> list[int]:
    """Lets the run have one worker, of this process; gives how often one died, by block."""
    died: list[int] = []

    @contextmanager
    def connected(*_: object, **__: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(share=Share(1, 1, 0, 0, is_own=True), results=results)

    def results(setup, blocks):
        working = KilledWorker(setup)
        for number, clips in enumerate(blocks):
            while True:
                try:
                    result = working.embed(number, pickle.loads(pickle.dumps(clips)))
                except DiedError:
                    died.append(number)
                    working = KilledWorker(setup)
                else:
                    yield pickle.loads(pickle.dumps(result))
                    break

    monkeypatch.setattr(running, "connected", connected)
    monkeypatch.setattr(KilledWorker, "embedder", FakeEmbedder())
    monkeypatch.setattr(KilledWorker, "die", staticmethod(lambda: None))
    return died


@pytest.fixture
def make(tmp_path) -> Iterator[Callable[[str], Store]]:
    opened: list[Store] = []

    def make(name: str) -> Store:
        store = Store.create(tmp_path / name, manifest(window_s=1.0, hop_s=1.0))
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.__exit__()


@pytest.fixture
def sounds(tmp_path) -> Path:
    folder = tmp_path / "sounds"
    folder.mkdir()
    return folder


def write(path: Path, *levels: float) -> Path:
    return write_audio(path, np.repeat(np.array(levels, np.float32), RATE_HZ))


def run(store: Store, sounds: Path, told: list[Problem] | None = None, *, by_ray: bool = True):
    on_problem = (lambda _: None) if told is None else told.append
    wish = Wish("ray", None, False, "cpu", "auto", 0)
    work = RayWork(wish, store, lambda _: None, on_problem) if by_ray else None
    plan = plan_index([sounds], store.catalog.stamps(), store.catalog.left_out())
    return run_index(plan, store, FakeEmbedder, work=work, on_problem=on_problem)


def held(store: Store):
    clips = {
        clip: (content.digest, list(content.times), content.embeddings.tolist(), content.missing, content.facts)
        for clip, content in store.embedded_clips()
    }
    return clips, store.catalog.left_out(), store.catalog.incomplete(), store.catalog.digests()


def mixed(sounds: Path) -> None:
    """Clips of every fate."""
    write(sounds / "a.wav", 0.1, 0.2, 0.3)
    write(sounds / "b.wav", 0.4)
    (sounds / "copy of a.wav").write_bytes((sounds / "a.wav").read_bytes())
    (sounds / "broken.wav").write_bytes(b"RIFF nothing")
    whole = write(sounds / "cut.wav", 0.5, 0.6).read_bytes()
    (sounds / "cut.wav").write_bytes(whole[: len(whole) * 3 // 4])
    (sounds / "empty.wav").write_bytes(b"")


def test_a_run_with_workers_ends_as_one_without(deaths, make, sounds):
    mixed(sounds)
    here, there = make("here"), make("there")
    told_here, told_there = [], []
    summary, other = run(here, sounds, told_here, by_ray=False), run(there, sounds, told_there)
    assert held(there) == held(here)
    assert told_there == told_here
    for name in ("clips", "windows", "audio_s", "recognised", "incomplete", "problems", "is_interrupted"):
        assert getattr(other, name) == getattr(summary, name), name
    assert other.runtime == "one Ray worker on cpu in tests"
    assert not (there.directory / "pieces").exists()


def test_a_second_run_embeds_nothing_and_knows_a_copy_elsewhere(deaths, make, sounds):
    mixed(sounds)
    store = make("store")
    run(store, sounds)
    embedded = KilledWorker.embedder.windows_embedded
    (sounds / "later copy.wav").write_bytes((sounds / "cut.wav").read_bytes())
    summary = run(store, sounds)
    assert KilledWorker.embedder.windows_embedded == embedded
    assert (summary.clips, summary.recognised, summary.incomplete, summary.unchanged) == (0, 1, 1, 4)


@pytest.mark.parametrize("at", range(8))
def test_a_worker_that_dies_at_any_window_loses_what_it_had_not_written(deaths, make, sounds, monkeypatch, at):
    write(sounds / "a.wav", 0.1, 0.2, 0.3, 0.4)
    write(sounds / "b.wav", 0.5)
    write(sounds / "c.wav", 0.6, 0.7, 0.8)
    here, there = make("here"), make("there")
    run(here, sounds, by_ray=False)
    monkeypatch.setattr(indexing, "COMMIT_EVERY_S", 0.0)
    monkeypatch.setattr(FakeEmbedder, "batch_s", 0.3)
    calls = iter(range(1_000))

    def die() -> None:
        if next(calls) == at:
            raise DiedError

    monkeypatch.setattr(KilledWorker, "die", staticmethod(die))
    summary = run(there, sounds)
    assert deaths == [0]
    assert held(there) == held(here)
    assert (summary.clips, summary.windows, summary.audio_s, summary.recognised) == (3, 8, 8.0, 0)
    # A window was under way, and the last one of a clip that was not at its end waits.
    assert KilledWorker.embedder.windows_embedded <= 8 + 2


def test_a_clip_that_ends_every_worker_is_left_out_and_the_others_are_embedded(deaths, make, sounds, monkeypatch):
    write(sounds / "a.wav", 0.1)
    write(sounds / "deadly.wav", 0.2)
    write(sounds / "z.wav", 0.3)

    reading = worker.Intake.run

    def read(self, clips):
        if any(clip.path.name == "deadly.wav" for clip in clips):
            raise DiedError
        reading(self, clips)

    monkeypatch.setattr(worker.Intake, "run", read)
    store, told = make("store"), []
    summary = run(store, sounds, told)
    assert deaths == [0] * 4
    assert [path.name for path in store.catalog.clips()] == ["a.wav", "z.wav"]
    reason = "ended 3 workers that read it, perhaps for lack of memory; --rehash tries again"
    assert told == [Problem(sounds / "deadly.wav", reason)] == [*summary.problems]
    assert [(one.clip.path.name, one.reason) for one in store.catalog.left_out()] == [("deadly.wav", reason)]
    assert (summary.clips, summary.recognised) == (2, 0)


def test_an_interrupted_run_keeps_what_workers_wrote_and_the_next_goes_on(deaths, make, sounds, monkeypatch):
    write(sounds / "a.wav", 0.1, 0.2)
    write(sounds / "b.wav", 0.3, 0.4, 0.5, 0.6)
    here, there = make("here"), make("there")
    run(here, sounds, by_ray=False)
    monkeypatch.setattr(indexing, "COMMIT_EVERY_S", 0.0)
    monkeypatch.setattr(FakeEmbedder, "batch_s", 0.3)
    calls = iter(range(1_000))

    def interrupt() -> None:
        if next(calls) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(KilledWorker, "die", staticmethod(interrupt))
    summary = run(there, sounds)
    assert (summary.is_interrupted, summary.clips) == (True, 1)
    assert [path.name for path in there.catalog.clips()] == ["a.wav"]
    assert [len(times) for times in there.catalog.begun_times().values()] == [1]
    assert not (there.directory / "pieces").exists()
    again = run(there, sounds)
    assert held(there) == held(here)
    assert (again.clips, again.windows, again.audio_s, again.unchanged) == (1, 3, 3.0, 1)


def test_what_a_killed_run_left_is_taken_in_by_the_next_of_any_kind(deaths, make, sounds, monkeypatch):
    mixed(sounds)
    here, there = make("here"), make("there")
    run(here, sounds, by_ray=False)

    def kill(self) -> None:
        raise DiedError

    with monkeypatch.context() as killed, pytest.raises(DiedError):
        killed.setattr(RayWork, "_commit", kill)
        run(there, sounds)
    assert there.catalog.holdings().clips == 0
    embedded = KilledWorker.embedder.windows_embedded
    assert take_in_left_over(there) == embedded == 6
    assert not (there.directory / "pieces").exists()
    summary = run(there, sounds, by_ray=False)
    assert held(there) == held(here)
    assert (summary.clips, summary.windows) == (0, 0)


def test_workers_that_do_not_see_the_folder_end_the_run_with_one_line(deaths, make, sounds, monkeypatch):
    write(sounds / "a.wav", 0.1)
    monkeypatch.setattr(Board, "is_there", lambda *_: False)
    store = make("store")
    with pytest.raises(ClusterError) as caught:
        run(store, sounds)
    assert str(caught.value) == (
        f"{platform.node()}: {store.directory}/pieces is not there as the run sees it. Put the store on a file system "
        "that all machines share, at the same path."
    )


def test_a_machine_that_does_not_see_the_clips_ends_the_run_with_one_line(deaths, make, sounds, monkeypatch):
    write(sounds / "a.wav", 0.1)
    write(sounds / "b.wav", 0.2)

    def unseen(self, clips):
        for clip in clips:
            self.report(Problem(clip.path, "No such file or directory"))

    monkeypatch.setattr(worker.Intake, "run", unseen)
    with pytest.raises(ClusterError) as caught:
        run(make("store"), sounds)
    reason = "No such file or directory. The run sees it: all machines must."
    assert str(caught.value) == f"{platform.node()}: {sounds}/a.wav: {reason}"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "/store/pieces/x"), "/store/pieces/x: No space left on device"),
        (CheckpointError("small is not on this machine."), "small is not on this machine."),
        (RuntimeError("CUDA out of memory.\nTried to"), "RuntimeError: CUDA out of memory."),
        (DiskFullError(3), "DiskFullError: 3"),
    ],
)
def test_what_ends_a_worker_s_work_is_one_line_with_its_machine(deaths, make, sounds, monkeypatch, error, line):
    write(sounds / "a.wav", 0.1)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Pieces, "put", fail)
    with pytest.raises(ClusterError) as caught:
        run(make("store"), sounds)
    assert str(caught.value) == f"{platform.node()}: {line}"


def test_a_piece_that_a_power_cut_has_damaged_is_told_and_embedded_again(deaths, make, sounds, monkeypatch):
    path = write(sounds / "a.wav", 0.1)
    write(sounds / "b.wav", 0.2)
    here, there = make("here"), make("there")
    run(here, sounds, by_ray=False)
    put = Pieces.put

    def harm(self, content, *rest):
        put(self, content, *rest)
        if content.digest == content_digest(path):
            (piece,) = self._folder_of(content.digest).glob("*.npz")
            piece.write_bytes(b"")

    told = []
    with monkeypatch.context() as harmed:
        harmed.setattr(Pieces, "put", harm)
        summary = run(there, sounds, told)
    assert [problem.path for problem in told] == [path] == [problem.path for problem in summary.problems]
    assert "or damaged" in told[0].reason and summary.clips == 1
    run(there, sounds)
    assert held(there) == held(here)


# Pieces


def content(*starts_s: float, is_whole: bool = False) -> Content:
    times = [(start_s, start_s + 1) for start_s in starts_s]
    vectors = np.array([[start_s, 0, 0] for start_s in starts_s], np.float32)
    return Content(b"d" * 32, times, vectors, is_whole)


def test_pieces_that_overlap_make_each_window_once(tmp_path):
    files = Pieces(tmp_path, 3)
    for piece, first in ((content(0, 1), 0), (content(0, 1, 2), 0), (content(1, 2, 3, is_whole=True), 1)):
        files.put(piece, first)
    gathered = files.gather(b"d" * 32, 0)
    assert [*gathered.content.times] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert gathered.content.embeddings[:, 0].tolist() == [0, 1, 2, 3]
    assert gathered.content.is_whole and files.is_whole(b"d" * 32, 0)


def test_pieces_after_a_gap_are_not_there(tmp_path):
    files = Pieces(tmp_path, 3)
    files.put(content(2, 3, is_whole=True), 2)
    assert files.gather(b"d" * 32, 0) is None and not files.is_whole(b"d" * 32, 0)
    assert files.is_whole(b"d" * 32, 2)


@pytest.mark.parametrize("harm", [lambda data: data[:-40], lambda data: data.replace(b"\0\0\x80?", b"\0\0\xc0\x7f")])
def test_a_damaged_piece_is_one_line_and_costs_a_new_run_nothing_but_its_windows(make, harm):
    store = make("store")
    files = Pieces(store.directory, 3)
    files.put(content(0, 1, is_whole=True), 0)
    (path,) = files.folder.rglob("*.npz")
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(StoreError, match="is damaged"):
        files.gather(b"d" * 32, 0)
    assert take_in_left_over(store) == 0
    assert store.catalog.digests() == set()


def test_a_content_that_is_dropped_while_another_worker_writes_it_is_written_all_the_same(tmp_path, monkeypatch):
    files = Pieces(tmp_path, 3)
    replace, calls = pieces.os.replace, []

    def dropped(source, target):
        calls.append(target)
        if len(calls) == 1:
            Path(source).unlink()
            Path(source).parent.rmdir()
        replace(source, target)

    monkeypatch.setattr(pieces.os, "replace", dropped)
    files.put(content(0, is_whole=True), 0)
    assert files.is_whole(b"d" * 32, 0) and len(calls) == 2


def test_a_link_in_the_place_of_the_folder_is_refused_and_pickles_are_not_opened(make, tmp_path):
    store = make("store")
    (tmp_path / "elsewhere").mkdir()
    (store.directory / "pieces").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="it is a symbolic link and not a folder of the store"):
        take_in_left_over(store)
    (store.directory / "pieces").unlink()
    files = Pieces(store.directory, 3)
    files.put(content(0, is_whole=True), 0)
    (path,) = files.folder.rglob("*.npz")
    np.savez(path, times=[[0.0, 1.0]], embeddings=np.array([[object()] * 3]), head=np.zeros(1), allow_pickle=True)
    with pytest.raises(StoreError, match="Object arrays cannot be loaded"):
        files.gather(b"d" * 32, 0)


# What workers get of a runtime


def machine(**resources: float) -> dict[str, object]:
    return {"Alive": True, "Resources": resources}


GB = 1_000_000_000


@pytest.mark.parametrize(
    ("machines", "cpus", "expected"),
    [
        ([machine(CPU=16.0, memory=64.0 * GB)], None, (16, 1, 0)),
        ([machine(CPU=16.0, memory=8.0 * GB)], None, (4, 1, 0)),
        ([machine(CPU=16.0, memory=64.0 * GB)], 4, (4, 4, 0)),
        ([machine(CPU=16.0, memory=64.0 * GB), machine(CPU=2.0, memory=64.0 * GB)], None, (18, 1, 0)),
        ([machine(CPU=16.0, GPU=4.0, memory=64.0 * GB), machine(CPU=64.0, memory=64.0 * GB)], None, (4, 4, 1)),
        ([machine(CPU=64.0, GPU=2.0, memory=64.0 * GB)], None, (2, 8, 1)),
        ([machine(CPU=2.0, memory=1.0 * GB)], None, (0, 1, 0)),
        ([{"Alive": False, "Resources": {"CPU": 8.0, "memory": 64.0 * GB}}], None, (0, 1, 0)),
    ],
)
def test_workers_get_a_gpu_if_there_is_one_and_as_many_as_memory_holds(machines, cpus, expected):
    share = _share(machines, cpus, 2 * GB, is_own=True)
    assert (share.workers, share.cpus, share.gpus) == expected


def test_without_ray_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(driver, "find_spec", lambda name: None if name == "ray" else object())
    with pytest.raises(MissingExtraError) as caught:
        driver.need_ray()
    assert str(caught.value) == (
        "--workers ray needs 'ray[data]', which is not installed: `pip install 'pe-search[ray]'`, "
        "`pipx inject pe-search 'ray[data]'`, or in the clone `uv tool install . --with 'ray[data]'`."
    )

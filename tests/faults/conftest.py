"""A store over real clips, made without disturbance, and the ways to disturb the making of others."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import PeAudioModel

from pe_search.errors import StoreError
from pe_search.records import Clip
from pe_search.store import TEXTS_FILE, Store
from tests.conftest import SHARED_DATA
from tests.faults.warm import BadDisk, Ended, Warm

SOUNDS = Path(__file__).parents[2] / "examples" / "sounds"
DIMENSION = 32
# What the system and SQLite say of a disk that is full or fails. Why it can't make a file, SQLite doesn't say.
WHY = "The disk is full|No space left on device|Input/output error|disk I/O error|unable to open database file"


@dataclass(frozen=True)
class Contents:
    """All that a store holds, as readers see it.

    Attributes:
        windows: The embedding of each window, by path, start and end.
    """

    clips: dict[Path, Clip]
    windows: dict[tuple[Path, float, float], tuple[float, ...]]

    def has_all_of(self, other: Contents) -> bool:
        """Whether what another holds is here as well, to the last bit."""
        return other.clips.items() <= self.clips.items() and other.windows.items() <= self.windows.items()

    def is_as(self, other: Contents) -> bool:
        """Whether this is the same, embeddings being as near as two batches of different windows make them."""
        return (
            self.clips == other.clips
            and self.windows.keys() == other.windows.keys()
            and bool((np.abs(self._matrix() - other._matrix()) < other.accuracy).all())
        )

    def with_those_of(self, other: Contents) -> Contents:
        """These and those of another."""
        return Contents(self.clips | other.clips, self.windows | other.windows)

    @property
    def accuracy(self) -> float:
        """How far apart two embeddings of one window may be: less than those of two windows ever are."""
        return float(2**-9 * np.abs(self._matrix()).max(initial=0))

    def _matrix(self) -> NDArray[np.float64]:
        rows = [self.windows[place] for place in sorted(self.windows)]
        return np.array(rows, np.float64).reshape(-1, DIMENSION)


NOTHING = Contents({}, {})


def contents(store: Path, scratch: Path) -> Contents:
    """What a store holds; nothing, if there is none yet that could be opened.

    A copy is read, because a reader may mend what a writer has left behind, which is for the next writer to do.
    """
    copy = scratch / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    if not store.is_dir():
        return NOTHING
    shutil.copytree(store, copy)
    try:
        with Store.open(copy) as opened:
            clips = opened.catalog.clips()
            columns = []
            # The score of a window and a base vector is the embedding's number there, exactly.
            for base in np.eye(DIMENSION, dtype=np.float32):
                matches = opened.finder.best_matches(base, 1_000_000, all_windows=True).best
                found = [(match, path) for match in matches for path in (match.path, *match.copies)]
                column = {(path, match.start_s, match.end_s): match.score for match, path in found}
                assert len(column) == len(found) == opened.catalog.holdings().windows, "a window is there twice"
                columns.append(column)
    except StoreError:
        return NOTHING
    return Contents(clips, {place: tuple(column[place] for column in columns) for place in columns[0]})


def clips_embedded(ended: Ended) -> int:
    """How many clips an index run says that it embedded."""
    said = re.match(r"([\d,]+) clips? embedded ", ended.err)
    assert said, ended.err
    return int(said[1].replace(",", ""))


def is_one_line_why(ended: Ended) -> bool:
    """Whether a run printed nothing but one line that names a full or failing disk."""
    return (ended.status, ended.out) == (2, b"") and bool(re.fullmatch(rf"pe-search: .*({WHY}).*\n", ended.err))


def file_kinds(store: Path) -> set[str]:
    """The names of a store's files, without their numbers, what SQLite keeps for readers, and what queries remember."""
    passing = ("-wal", "-shm", TEXTS_FILE)
    return {re.sub(r"\d+", "N", file.name) for file in store.iterdir() if not file.name.endswith(passing)}


@dataclass(frozen=True)
class Scene:
    """A store, all of whose making is known.

    Attributes:
        command: What makes it, but for `--store`.
        store: The store, made without disturbance.
        whole: What it holds.
        wall_s: How long that took.
    """

    command: tuple[object, ...]
    store: Path
    whole: Contents
    wall_s: float

    @property
    def clips(self) -> int:
        return len(self.whole.clips)


@pytest.fixture(scope="session")
def bad_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of bad_disk.c."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc) to make a bad disk with")
    library = tmp_path_factory.mktemp("bad-disk") / "bad_disk.so"
    source = Path(__file__).with_name("bad_disk.c")
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Wno-implicit-fallthrough"]
    made = subprocess.run([compiler, *options, "-o", library, source, "-ldl"], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"the C compiler can't make a bad disk here: {made.stderr.decode().splitlines()[0]}")
    return library


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    process = Warm(tmp_path_factory.mktemp("warm"))
    yield process
    process.close()


@pytest.fixture(scope="session")
def warm_with_bad_disk(tmp_path_factory: pytest.TempPathFactory, bad_disk: Path) -> Iterator[Warm]:
    process = Warm(tmp_path_factory.mktemp("warm"), preload=bad_disk)
    yield process
    process.close()


def _scene(warm: Warm, folder: Path, *command: object) -> Scene:
    store = folder / "store"
    ended = warm.run(*command, "--store", store)
    assert ended.status == 0, ended.err
    whole = contents(store, folder)
    embeddings = np.array(list(whole.windows.values()))
    apart = np.abs(embeddings[:, None] - embeddings[None]).max(axis=2)
    assert apart[~np.eye(len(apart), dtype=bool)].min() > whole.accuracy, "the test could mistake windows"
    return Scene(command, store, whole, ended.wall_s)


@pytest.fixture(scope="session")
def many_clips(
    warm: Warm, plain_checkpoint: tuple[Path, PeAudioModel], tmp_path_factory: pytest.TempPathFactory
) -> Scene:
    """Some dozens of real clips, one of them long."""
    recordings = SHARED_DATA / "esc10" / "dog_bark"
    paths = [SOUNDS, recordings] if recordings.is_dir() else [SOUNDS]
    return _scene(warm, tmp_path_factory.mktemp("many"), "index", *paths, "--model", plain_checkpoint[0])


@pytest.fixture(scope="session")
def scene_of(
    warm: Warm, plain_checkpoint: tuple[Path, PeAudioModel], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Scene]:
    """Make a scene of some folders of example sounds, in windows so short that there are several commits."""

    def make(*folders: str) -> Scene:
        paths = [SOUNDS / folder for folder in folders]
        options = ["--model", plain_checkpoint[0], "--window", 1]
        return _scene(warm, tmp_path_factory.mktemp("some"), "index", *paths, *options)

    return make


@pytest.fixture(scope="session")
def drums(scene_of: Callable[..., Scene]) -> Scene:
    return scene_of("drums")


@pytest.fixture(scope="session")
def instruments(scene_of: Callable[..., Scene]) -> Scene:
    return scene_of("instruments")


@pytest.fixture(scope="session")
def few_clips(scene_of: Callable[..., Scene]) -> Scene:
    return scene_of("drums", "instruments")


def one_of_each_kind(calls: Sequence[str], random: Random) -> Iterator[int]:
    """Numbers of calls, from 1: one of each kind in turn, and round again without end.

    Args:
        calls: As a bad disk logs them.
        random: Which of a kind.
    """
    by_kind: dict[str, list[int]] = {}
    for number, call in enumerate(calls, 1):
        by_kind.setdefault(re.sub(r"\d+", "N", call), []).append(number)
    kinds = list(by_kind)
    while True:
        random.shuffle(kinds)
        for kind in kinds:
            yield random.choice(by_kind[kind])


def calls_of(warm: Warm, disk: Path, *command: object) -> tuple[Ended, list[str]]:
    """Run a command, and list the calls that change what is below a folder."""
    log = disk.with_name("calls")
    ended = warm.run(*command, disk=BadDisk(disk, log))
    return ended, log.read_text().splitlines()

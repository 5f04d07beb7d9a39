"""A store of known vectors, and a server of it in a thread of the tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pe_search.pe_audio import text_embedder as text_embedder_module
from pe_search.queries import Hit, Query, Request
from pe_search.records import Clip
from pe_search.search.searching import search
from pe_search.serving.accepting import Accepting
from pe_search.serving.answering import Answering
from pe_search.store import Manifest, Store
from tests.made_up import FakeEmbedder, manifest, put_clips

# A test that waits longer than this for anything has failed.
DEADLINE_S = 60

MANIFEST = manifest(logit_scale=0.5, logit_bias=-1.0)
NAMES = (b"/s/bark.wav", b"/s/rain.wav", b"/s/not utf-8 \xff.wav", b"/t/new\nline.wav")


def clip(name: bytes | str, *vectors: tuple[float, float, float]):
    """A clip with a window of 10 s for each vector, as `put_clips` takes it."""
    times = [(10.0 * row, 10.0 * (row + 1)) for row in range(len(vectors))]
    return Clip(Path(os.fsdecode(name)), 1, 1), times, np.array(vectors, np.float32)


def make_store(directory: Path, manifest: Manifest = MANIFEST) -> Path:
    vectors = np.random.default_rng(0).integers(-8, 8, (len(NAMES), 2, manifest.dimension))
    with Store.create(directory, manifest) as store:
        put_clips(store, [clip(name, *map(tuple, two)) for name, two in zip(NAMES, vectors, strict=True)])
    return directory


def request_for(*texts: str, **fields: object) -> Request:
    given = {"k": 10, "under": None, "all_windows": False, "min_probability": 0.0, "fdr": None, "exact": False} | fields
    return Request(queries=tuple(Query((text,), (), (), ()) for text in texts), **given)


def hits_of(directory: Path, request: Request) -> list[list[Hit]]:
    """What a store that is opened for this one request answers."""
    with Store.open(directory) as store:
        return [list(answer.hits) for answer in search(store, FakeEmbedder(), request)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "store")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Let every checkpoint be the fake embedder; lists the name and revision of each that is loaded."""
    loads: list[tuple[str, str]] = []

    def load(name: str, revision: str, _cache: Path, _on_compile: Callable[[], None]) -> FakeEmbedder:
        loads.append((name, revision))
        return FakeEmbedder()

    monkeypatch.setattr(text_embedder_module, "load_text_embedder", load)
    return loads


@pytest.fixture
def answering(store: Path, loaded: list[tuple[str, str]], tmp_path: Path) -> Iterator[Answering]:
    with Answering(store, lambda: None) as one:
        yield one


@contextlib.contextmanager
def in_a_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(DEADLINE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE_S)
        loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def private() -> Iterator[Path]:
    """A folder for sockets, whose path is short enough for them, as that of a test need not be."""
    with tempfile.TemporaryDirectory(prefix="pe-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def listening(answering: Answering, private: Path) -> Iterator[Path]:
    """The socket of a server."""
    path = private / "a.socket"
    with in_a_loop() as loop, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        server = asyncio.run_coroutine_threadsafe(Accepting(answering).start(listener), loop).result(DEADLINE_S)
        yield path
        loop.call_soon_threadsafe(server.close)

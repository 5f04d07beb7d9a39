"""A store of real sounds, and its page: in a test client, and in a real browser."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

import pe_search
from pe_search.serving.answering import Answering
from pe_search.serving.http import HttpServer, make_app
from pe_search.serving.web import Web, bind, url_of
from tests.serving.conftest import DEADLINE_S, in_a_loop

SOUNDS = Path(__file__).parents[2] / "examples" / "sounds"
KEY = "a key that nobody knows"
HOSTILE = "<img src=x onerror=document.title='bad'>.flac"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `sounds` and their store `store`, which nobody changes."""
    base = tmp_path_factory.mktemp("page")
    sounds = base / "sounds"
    (sounds / "weather").mkdir(parents=True)
    for name in ("dog-barking", "church-bell", "weather/rain"):
        shutil.copy(SOUNDS / f"{name}.flac", sounds / f"{name}.flac")
    shutil.copy(SOUNDS / "owl-hooting.flac", sounds / HOSTILE)
    samples, rate_hz = soundfile.read(SOUNDS / "rooster-crowing.flac", dtype="float32")
    soundfile.write(sounds / "rooster.aiff", samples, rate_hz, format="AIFF", subtype="PCM_16")
    # 68 s: the barking at 30 s, and silence before and after it.
    bark, rate_hz = soundfile.read(SOUNDS / "dog-barking.flac", dtype="float32")
    long = np.zeros(68 * rate_hz, np.float32)
    long[32 * rate_hz : 32 * rate_hz + len(bark)] = bark
    soundfile.write(sounds / "PAM_20240612_050000.wav", long, rate_hz, subtype="PCM_16")
    with pe_search.create(base / "store") as library:
        library.index(sounds)
    return base


@dataclass(frozen=True)
class Scene:
    """A store with its files, to be changed at will."""

    sounds: Path
    store: Path

    def digest(self, name: str) -> str:
        """The digest of a clip, as the page names it."""
        with pe_search.open(self.store) as library:
            return library.known(self.sounds / name)[self.sounds / name].digest.hex()


@pytest.fixture
def scene(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    # The store knows where its files are, so these stay where they are and are not changed.
    shutil.copytree(made / "store", tmp_path / "store")
    monkeypatch.setenv("PE_SEARCH_CACHE", str(tmp_path / "cache"))
    return Scene(made / "sounds", tmp_path / "store")


@pytest.fixture(scope="module")
def still(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The same, for tests that change nothing in it: those of a module have one, with one server."""
    base = tmp_path_factory.mktemp("still")
    shutil.copytree(made / "store", base / "store")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PE_SEARCH_CACHE", str(base / "cache"))
        yield Scene(made / "sounds", base / "store")


@pytest.fixture
def talk(scene: Scene, tmp_path: Path) -> Path:
    """A clip of 12 s in the store, with subtitles and with the times of words."""
    folder = tmp_path / "talks"
    folder.mkdir()
    noise = 0.01 * np.random.default_rng(0).standard_normal(12 * 48_000)
    soundfile.write(folder / "talk.wav", noise, 48_000, subtype="PCM_16")
    (folder / "talk.srt").write_text(
        "1\n00:00:01,000 --> 00:00:06,000\nGood <i>morning</i> to all.\n\n"
        "2\n00:00:06,000 --> 00:00:11,000\nSee you at the\nTuesday meeting.\n"
    )
    words = [{"word": " Guten", "start": 1.0, "end": 6.0}, {"word": " Morgen.", "start": 6.0, "end": 11.0}]
    segment = {"start": 1.0, "end": 11.0, "text": " Guten Morgen.", "words": words}
    told = {"text": segment["text"], "segments": [segment], "language": "de"}
    (folder / "talk.de.json").write_text(json.dumps(told))
    with pe_search.open(scene.store) as library:
        library.index(folder)
    return folder / "talk.wav"


@pytest.fixture
def second(scene: Scene, tmp_path: Path) -> Scene:
    """Another store, which hears at half speed: a bell of its own, and the rain that the first one has too."""
    sounds = tmp_path / "more"
    sounds.mkdir()
    samples, rate_hz = soundfile.read(SOUNDS / "church-bell.flac", dtype="float32")
    soundfile.write(sounds / "bell.wav", samples[::-1], rate_hz, subtype="PCM_16")
    shutil.copy(SOUNDS / "weather" / "rain.flac", sounds / "rain.flac")
    with pe_search.create(tmp_path / "second", speed=0.5) as library:
        library.index(sounds)
    return Scene(sounds, tmp_path / "second")


WEB = Web("127.0.0.1", 0, None, (), KEY)


@pytest.fixture
def answering(scene: Scene) -> Iterator[Answering]:
    with Answering(scene.store, lambda: None) as one:
        yield one


@pytest.fixture(scope="module")
def still_answering(still: Scene) -> Iterator[Answering]:
    with Answering(still.store, lambda: None) as one:
        yield one


@pytest.fixture(scope="module")
def reader(still_answering: Answering) -> TestClient:
    """A client of what no test changes; it has the key."""
    return client_with_key(still_answering)


@pytest.fixture(scope="module")
def still_url(still_answering: Answering) -> Iterator[str]:
    """The address of a server of what no test changes."""
    yield from served(still_answering)


@pytest.fixture
def answering_two(scene: Scene, second: Scene) -> Iterator[Answering]:
    with Answering(scene.store, lambda: None, [second.store]) as one:
        yield one


@pytest.fixture
def client(answering: Answering) -> TestClient:
    """Has the key."""
    return client_with_key(answering)


def client_with_key(answering: Answering) -> TestClient:
    app = make_app(answering, WEB)
    headers = {"Authorization": f"Bearer {KEY}"}
    return TestClient(app, base_url="http://127.0.0.1:8765", headers=headers, raise_server_exceptions=False)


@pytest.fixture
def url(answering: Answering) -> Iterator[str]:
    """The address of a server that runs."""
    yield from served(answering)


def served(answering: Answering) -> Iterator[str]:
    with in_a_loop() as loop, bind(WEB) as bound:
        server = HttpServer(make_app(answering, WEB))
        serving = asyncio.run_coroutine_threadsafe(server.serve(sockets=[bound]), loop)
        yield url_of(bound)
        server.stop()
        serving.result(DEADLINE_S)

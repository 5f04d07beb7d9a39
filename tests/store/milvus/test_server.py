"""A store on a real Milvus server, which is killed now and then."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import pe_search
from pe_search.directories import store_at
from pe_search.errors import StoreBusyError, StoreError
from pe_search.queries import Filters
from pe_search.store import Store
from pe_search.store.milvus import connection, lease
from tests.conftest import SHARED_DATA
from tests.made_up import noise, write_audio
from tests.recordings import MANIFEST, Recording, put
from tests.store.milvus.server import Running, needs_server

pytestmark = [pytest.mark.slow, needs_server]
ESC10 = SHARED_DATA / "esc10"


@pytest.fixture(scope="module")
def of_this_file(tmp_path_factory) -> Iterator[Running]:
    one = Running(tmp_path_factory.mktemp("milvus"))
    yield one
    if one.is_running:
        one.kill()


@pytest.fixture
def server(of_this_file) -> Running:
    if not of_this_file.is_running:
        of_this_file.start()
    return of_this_file


def recordings(first: int, beyond: int) -> list[Recording]:
    """Clips whose scores are often equal."""
    return [Recording(f"/s/{one % 3}/{one}.wav", [float(one % 5), float(-one % 3)]) for one in range(first, beyond)]


def answers(store: Store) -> list[object]:
    return [
        store.finder.best_matches(query, k, under=under, all_windows=all_windows)
        for query in np.random.default_rng(3).normal(size=(3, 3)).astype(np.float32)
        for k in (5, None)
        for under in (None, Path("/s/1"))
        for all_windows in (False, True)
    ]


@pytest.mark.skipif(not ESC10.is_dir(), reason="no recordings at ../shared/data/esc10")
def test_forty_queries_have_the_hits_of_a_store_in_a_folder(server, tmp_path, cache):
    names = sorted(folder.name for folder in ESC10.iterdir() if folder.is_dir())
    clips = sorted(ESC10.glob("*/*.*"))
    with pe_search.create(tmp_path / "local") as local, pe_search.create(f"{server.address}/esc") as ours:
        local.index(ESC10)
        assert len(list(local.clips())) == 320
        ours.index(ESC10 / names[0])
        ours.merge(tmp_path / "local")
        assert [clip.path for clip in ours.clips()] == [clip.path for clip in local.clips()]
        mine, theirs = ours.embeddings(), local.embeddings()
        assert mine.vectors.tobytes() == theirs.vectors.tobytes()
        asked = [
            *({"texts": name.replace("_", " ")} for name in names),
            *({"texts": name, "under": ESC10 / name, "k": None} for name in names),
            *({"texts": name, "minus": names[place - 1], "all_windows": True} for place, name in enumerate(names)),
            *({"like": [clip]} for clip in clips[::40]),
            {"texts": "dog", "filters": Filters(length_s=(4.0, None))},
            {"texts": "rain", "filters": Filters(length_s=(None, 1.0))},
        ]
        assert len(asked) == 40
        for one in asked:
            assert ours.query(**one) == local.query(**one), one


def test_a_store_that_was_written_while_its_server_was_killed_is_that_of_a_quiet_server(server, tmp_path, cache):
    """Killed five times, at any moment."""
    moments = random.Random(11)
    waits: list[str] = []
    address = f"{server.address}/killed"

    def kill_now_and_then() -> None:
        for _ in range(5):
            done.wait(moments.uniform(0.5, 3))
            server.restart()

    done = threading.Event()
    killing = threading.Thread(target=kill_now_and_then)
    count = 0
    with Store.create(store_at(address), MANIFEST) as ours:
        ours._mirror._server._connection._on_wait = waits.append
        killing.start()
        while killing.is_alive() or count < 20:
            put(ours, *recordings(count, count + 1))
            count += 1
        ours.finder.refresh()
        assert ours._mirror._server.window_count() == 2 * count
    assert waits
    assert all(line.startswith("Milvus does not answer; trying again for 120 s") for line in waits)
    shutil.rmtree(cache)
    with Store.create(tmp_path / "local", MANIFEST) as local, Store.open(store_at(address)) as again:
        put(local, *recordings(0, count))
        assert answers(again) == answers(local)
        assert again.catalog.holdings() == local.catalog.holdings()
        assert again.catalog.find_damage() == []


def write_until_killed(address: str, cache: str, first: int, begun) -> None:
    import os

    os.environ["PE_SEARCH_CACHE"] = cache
    with Store.open(store_at(address), read_only=False) as store:
        begun.set()
        for one in range(first, 10_000):
            put(store, *recordings(one, one + 1))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_what_a_killed_writer_has_committed_is_kept_once(server, tmp_path, cache):
    address = f"{server.address}/writers"
    with Store.create(store_at(address), MANIFEST):
        pass
    context, moments, held = multiprocessing.get_context("spawn"), random.Random(5), 0
    for _ in range(3):
        begun = context.Event()
        writer = context.Process(target=write_until_killed, args=(address, str(cache), held, begun))
        writer.start()
        assert begun.wait(60)
        writer.join(moments.uniform(0.3, 2))
        writer.kill()
        writer.join()
        with Store.open(store_at(address), read_only=False) as store:
            clips = sorted(int(clip.path.stem) for clip in store.clips())
            assert clips == list(range(len(clips)))
            assert len(clips) >= held
            held = len(clips)
            store.finder.refresh()
            assert store._mirror._server.window_count() == 2 * held == store.catalog.window_count()
    assert held
    with Store.create(tmp_path / "local", MANIFEST) as local, Store.open(store_at(address)) as again:
        put(local, *recordings(0, held))
        assert answers(again) == answers(local)


def test_a_writer_on_another_machine_is_kept_out_until_the_lease_ends(server, tmp_path, cache, monkeypatch):
    address = f"{server.address}/leases"
    with Store.create(store_at(address), MANIFEST) as ours:
        put(ours, *recordings(0, 2))
        monkeypatch.setenv("PE_SEARCH_CACHE", str(tmp_path / "another machine"))
        with pytest.raises(
            StoreBusyError, match=r"Another process \(id \d+ on .*\) is writing to the store at milvus://"
        ):
            Store.open(store_at(address), read_only=False)
        with Store.open(store_at(address)) as reader:
            assert reader.catalog.holdings().clips == 2
        # As if it had been stopped for a minute, and another had come and gone.
        monkeypatch.setattr(lease.Lease, "release", lambda _lease: None)
        ours._mirror._lease._until_s = 0.0
        ours._mirror._server.delete_bodies([ours._mirror._lease._key])
        with Store.open(store_at(address), read_only=False) as other:
            put(other, *recordings(2, 4))
        with pytest.raises(StoreError, match=r"(Another process .* is writing|has written) to the store"):
            put(ours, *recordings(4, 5))
    with Store.open(store_at(address)) as reader:
        assert reader.catalog.holdings().clips == 4


def test_a_server_that_is_gone_ends_a_command_with_one_line(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE_S", 0.5)
    monkeypatch.setattr(connection, "CALL_S", 0.5)
    with pytest.raises(StoreError, match=r"Milvus has not answered at milvus://127.0.0.1:\d+/x for 0.5 s") as caught:
        Store.open(store_at(f"{Running(tmp_path).address}/x"))
    assert "\n" not in str(caught.value)


def test_token_and_tls_come_from_the_environment_and_are_never_kept(of_this_file, tmp_path, cache, monkeypatch):
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    key, certificate = tmp_path / "server.key", tmp_path / "server.pem"
    request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    command = ["openssl", *request.split(), "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    if of_this_file.is_running:
        of_this_file.kill()
    locked = Running(
        tmp_path / "locked",
        authorization_enabled=True,
        tls_mode=1,
        server_pem_path=str(certificate),
        server_key_path=str(key),
    )
    locked.start()
    try:
        address = f"{locked.address}/birds"
        monkeypatch.setenv(connection.TLS_CA, str(certificate))
        monkeypatch.setenv(connection.TOKEN, "root:wrong-secret")
        with pytest.raises(StoreError, match=r"Milvus refuses at milvus://.*: the token is missing or wrong") as caught:
            Store.create(store_at(address), MANIFEST)
        assert "wrong-secret" not in str(caught.value)
        monkeypatch.setenv(connection.TOKEN, "root:Milvus")
        with Store.create(store_at(address), MANIFEST) as ours:
            put(ours, *recordings(0, 2))
        with Store.open(store_at(address)) as ours:
            assert ours.catalog.holdings().clips == 2
        assert not [file for file in cache.rglob("*") if file.is_file() and b"root:Milvus" in file.read_bytes()]
        monkeypatch.setenv(connection.TLS_CA, str(tmp_path / "none.pem"))
        with pytest.raises(StoreError, match="must name a file of certificates"):
            Store.open(store_at(address))
    finally:
        locked.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_index_while_its_server_is_killed_makes_the_store_of_a_quiet_server(server, tmp_path, cache, request):
    """Several commands, each with a kill at any moment of it."""
    turns = 5 if request.config.getoption("--all-faults") else 2
    moments, address = random.Random(17), f"{server.address}/indexed"
    sounds = tmp_path / "sounds"
    told: list[str] = []
    for turn in range(turns):
        for number in range(60):
            length_s = 0.2 + 0.01 * number
            write_audio(
                sounds / f"{turn}" / f"{number}.wav", noise(length_s, 100 * turn + number, rate_hz=8_000), 8_000
            )
        command = [sys.executable, "-m", "pe_search", "index", str(sounds), "--store", address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as indexing:
            with suppress(subprocess.TimeoutExpired):
                indexing.wait(moments.uniform(1.5, 8))
            server.restart()
            out, err = indexing.communicate()
        assert (indexing.returncode, out) == (0, ""), err
        told += err.splitlines()
    ends = [line for line in told if " clips embedded (" in line]
    waits = [line for line in told if line.startswith("pe-search: ") and "Milvus does not answer" in line]
    assert len(ends) == turns
    # A server that comes back between two calls is not missed.
    assert len(waits) <= turns, told
    assert not [line for line in told if "Traceback" in line or ("rror" in line and line not in waits)]
    shutil.rmtree(cache / "milvus")
    with pe_search.create(tmp_path / "local") as local, pe_search.open(address) as ours:
        for turn in range(turns):
            local.index(sounds / f"{turn}")
        assert [clip.path for clip in ours.clips()] == [clip.path for clip in local.clips()]
        mine, theirs = ours.embeddings(), local.embeddings()
        assert mine.vectors.tobytes() == theirs.vectors.tobytes()
        assert ours.open()._mirror._server.window_count() == 60 * turns == ours.status().windows
        assert ours.open().catalog.find_damage() == []
        for text in ("rain", "dog barking"):
            assert ours.query(text, k=None) == local.query(text, k=None)

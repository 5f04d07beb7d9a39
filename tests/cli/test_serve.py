"""`pe-search serve`, as a process, and `pe-search query` beside it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pe_search.serving.place import socket_path
from tests.cli.conftest import DEADLINE_S, TEXTS, Outcome
from tests.cli.test_imports import loaded_by  # noqa: F401 (a fixture)
from tests.made_up import noise, write_audio


@dataclass(frozen=True)
class Server:
    """A server that is ready.

    Attributes:
        ready: The line that it said then.
        path: Its socket.
    """

    process: subprocess.Popen[str]
    ready: str
    path: Path

    @property
    def url(self) -> str:
        return self.ready.split(" at ")[-1].split(". ")[0]

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Send a signal if one is given; returns the exit status and what else was said, once it has ended."""
        if number is not None:
            self.process.send_signal(number)
        said = self.process.stderr.read()
        return self.process.wait(DEADLINE_S), said


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path is short enough for sockets, as that of a test need not be."""
    with tempfile.TemporaryDirectory(prefix="pe-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def runtime(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for sockets that no other test has."""
    folder = short_path / "run"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("PE_SEARCH_TOKEN", raising=False)
    return folder


@pytest.fixture
def serve(runtime: Path) -> Iterator[Callable[..., Server]]:
    """Start a server of a store and wait until it is ready."""
    with contextlib.ExitStack() as stack:

        def start(store: Path, *args: object) -> Server:
            argv = [sys.executable, "-m", "pe_search", "serve", "--store", str(store), *map(str, args)]
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            ready = process.stderr.readline()
            assert ready.startswith("Ready for queries to the store at "), ready + process.stderr.read()
            return Server(process, ready, socket_path(runtime / "pe-search", store))

        yield start


@pytest.fixture
def own_store(library, tmp_path) -> Path:
    """A copy of the library's store, to be changed."""
    return Path(shutil.copytree(library.store, tmp_path / "own-store"))


QUERIES = {
    "paths": ("rain",),
    "NUL": ("rain", "-0"),
    "JSON Lines of several texts": (*TEXTS, "--format", "jsonl"),
    "CSV": ("rain", "a dog barking", "--format", "csv", "--all-windows"),
    "table": ("church bell", "--format", "table", "-k", "3"),
    "with bounds": ("rain", "--format", "jsonl", "-k", "100", "--min-probability", "0.4", "--exact"),
    "nothing found": ("rain", "--min-probability", "1", "--format", "csv"),
    "the right checkpoint": ("rain", "--model", "{checkpoint}"),
    "another checkpoint": ("rain", "--model", "builtin"),
    "spans": ("rain", "--spans", "-k", "2"),
    "a text not asked before": ("the sound of waves", "--format", "jsonl"),
    "several parts": ("rain", "wind", "--any", "--plus", "0.5:thunder", "--minus", "speech", "--format", "jsonl"),
    "like audio": ("rain", "--like", "{reference}@0.25-0.75", "--format", "jsonl"),
    "like audio that isn't there": ("--like", "{reference}.gone"),
    "what stands out": ("rain", "--fdr", "0.9", "--format", "jsonl"),
    "explained": ("rain", "--explain"),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_prints_the_same_with_a_server_and_without(serve, run_cli, library, query, tmp_path):
    places = {"checkpoint": library.checkpoint, "reference": write_audio(tmp_path / "reference.wav", noise(1.0))}
    args = ["query", *(arg.format(**places) for arg in query), "--store", library.store]
    (library.store / "texts.sqlite3").unlink(missing_ok=True)
    server = serve(library.store)
    served = run_cli(*args)
    server.end(signal.SIGTERM)
    (library.store / "texts.sqlite3").unlink(missing_ok=True)
    alone = run_cli(*args)
    assert (served.status, served.out, served.err) == (alone.status, alone.out, alone.err)


def test_hits_are_the_same_by_torch_by_the_compiled_tower_from_memory_and_served(
    serve, run_cli, own_store, monkeypatch, tmp_path
):
    args = ("query", *TEXTS, "--format", "jsonl", "--store", own_store)
    texts = own_store / "texts.sqlite3"
    texts.unlink(missing_ok=True)
    compiled = run_cli(*args)
    remembered = run_cli(*args)
    texts.unlink()
    server = serve(own_store)
    served = run_cli(*args)
    server.end(signal.SIGTERM)
    assert served.out == remembered.out == compiled.out
    with monkeypatch.context() as patch:
        # A file where the cache's directory should be: nothing can be compiled.
        (tmp_path / "cache").touch()
        patch.setenv("PE_SEARCH_CACHE", str(tmp_path / "cache"))
        texts.unlink()
        by_torch = run_cli(*args)
    hits = [[json.loads(line) for line in outcome.out.splitlines()] for outcome in (by_torch, served)]
    assert [hit["path"] for hit in hits[0]] == [hit["path"] for hit in hits[1]]
    for one, other in zip(*hits, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)


def test_a_served_query_loads_next_to_nothing(serve, loaded_by, own_store):  # noqa: F811
    args = ("query", "a siren", "--format", "jsonl", "--store", own_store)
    server = serve(own_store)
    assert loaded_by(*args) == {"msgspec"}
    server.end(signal.SIGINT)
    assert loaded_by(*args) == {"faiss", "msgspec", "numpy"}


def test_clips_can_be_copied_of_served_hits(serve, run_cli, library, tmp_path):
    serve(library.store)
    outcome = run_cli("query", "rain", "-k", "2", "--copy-to", tmp_path / "picks", "--store", library.store)
    assert outcome.err == f"2 clips copied to {tmp_path / 'picks'}\n"
    paths = [Path(os.fsdecode(line)) for line in outcome.out.splitlines()]
    assert {path.name for path in paths} == {path.name for path in (tmp_path / "picks").iterdir()}


def test_only_the_user_can_reach_it(serve, library):
    server = serve(library.store)
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(serve, run_cli, library, number):
    server = serve(library.store)
    assert server.ready == (
        f"Ready for queries to the store at {library.store}. It ends after 60 minutes without one. Ctrl-C ends it.\n"
    )
    assert run_cli("query", "rain", "--store", library.store).status == 0
    assert server.end(number) == (0, "")
    assert not server.path.exists()
    assert run_cli("query", "rain", "--store", library.store).status == 0


def test_it_ends_when_nobody_asks_for_long(serve, library):
    server = serve(library.store, "--idle", "0.0001")
    assert server.end() == (0, "")
    assert not server.path.exists()


def test_it_need_not(serve, library):
    server = serve(library.store, "--idle", "0")
    assert server.ready == f"Ready for queries to the store at {library.store}. Ctrl-C ends it.\n"


def test_a_second_one_for_the_same_store_is_refused(serve, command, run_cli, library, own_store, tmp_path):
    server = serve(library.store)
    (tmp_path / "link").symlink_to(library.store)
    done = command("serve", "--store", str(tmp_path / "link"))
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == (
        f"pe-search: The store at {tmp_path / 'link'} already has a server. Stop it first.\n"
    )
    assert server.path.exists()
    assert serve(own_store).path != server.path


def test_one_that_was_killed_leaves_nothing_in_the_way(serve, run_cli, library):
    expected = run_cli("query", "rain", "--format", "jsonl", "--store", library.store)
    server = serve(library.store)
    server.end(signal.SIGKILL)
    assert server.path.exists()
    assert run_cli("query", "rain", "--format", "jsonl", "--store", library.store) == expected
    again = serve(library.store)
    assert again.path == server.path
    assert run_cli("query", "rain", "--format", "jsonl", "--store", library.store) == expected


def test_one_that_hangs_is_done_without(serve, run_cli, library, monkeypatch):
    monkeypatch.setattr("pe_search.serving.asking.PATIENCE_S", 0.05)
    expected = run_cli("query", "rain", "--format", "jsonl", "--store", library.store)
    server = serve(library.store)
    server.process.send_signal(signal.SIGSTOP)
    assert run_cli("query", "rain", "--format", "jsonl", "--store", library.store) == expected


def test_what_is_indexed_meanwhile_is_found(serve, run_cli, library, own_store, tmp_path):
    serve(own_store)
    query = ("query", "rain", "-k", "100", "--store", own_store)
    before = run_cli(*query).out.splitlines()
    new = write_audio(tmp_path / "new" / "new.wav", noise(1.28, 99) * 0.9)
    assert run_cli("index", new, "--store", own_store).status == 0
    assert sorted(run_cli(*query).out.splitlines()) == sorted([*before, os.fsencode(new)])
    assert run_cli("remove", new, "--store", own_store).status == 0
    assert run_cli(*query).out.splitlines() == before


def test_a_store_that_is_gone_is_an_error_as_without_a_server(serve, run_cli, own_store):
    server = serve(own_store)
    shutil.rmtree(own_store)
    query = ("query", "rain", "--format", "csv", "--store", own_store)
    served = run_cli(*query)
    assert (served.status, served.out) == (2, b"")
    server.end(signal.SIGTERM)
    assert run_cli(*query) == served


def test_a_damaged_index_is_told_by_the_query_that_meets_it(serve, run_cli, own_store):
    assert run_cli("rebuild", "--store", own_store).status == 0
    serve(own_store)
    query = ("query", "rain", "--store", own_store)
    expected = run_cli(*query)
    (own_store / "index.vectors").write_bytes(b"nonsense")
    told = run_cli(*query)
    assert (told.status, told.out) == (0, expected.out)
    assert told.err.startswith(f"pe-search: {own_store / 'index.vectors'}: the index is damaged (")
    assert run_cli(*query) == expected


# HTTP


def get(url: str, **headers: str) -> tuple[int, bytes]:
    asked = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=DEADLINE_S) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_http_gives_the_hits_of_json_lines(serve, run_cli, library):
    server = serve(library.store, "--http", "0")
    assert server.url.startswith("http://127.0.0.1:")
    lines = run_cli("query", "rain", "church bell", "-k", "30", "--format", "jsonl", "--store", library.store).out
    status, body = get(f"{server.url}?text=rain&text=church+bell&k=30")
    assert status == 200
    assert json.loads(body) == {"hits": [json.loads(line) for line in lines.splitlines()]}
    assert server.end(signal.SIGTERM) == (0, "")
    with socket.socket() as connection:
        port = int(server.url.split(":")[2].split("/")[0])
        assert connection.connect_ex(("127.0.0.1", port)) != 0


def test_with_a_token_only_whoever_shows_it_is_answered(serve, library, monkeypatch):
    monkeypatch.setenv("PE_SEARCH_TOKEN", "0123456789abcdef")
    server = serve(library.store, "--http", "0", "--host", "0.0.0.0")
    url = server.url.replace("0.0.0.0", "127.0.0.1")
    assert get(f"{url}?text=rain")[0] == 401
    assert get(f"{url}?text=rain", Authorization="Bearer 0123456789abcdef")[0] == 200


def test_pages_of_an_allowed_origin_are_answered(serve, library):
    server = serve(library.store, "--http", "0", "--origin", "http://localhost:3000/")
    assert get(f"{server.url}?text=rain", Origin="http://localhost:3000")[0] == 200
    assert get(f"{server.url}?text=rain", Origin="http://localhost:3001")[0] == 403


# What is refused


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--host", "0.0.0.0"], "--host, --origin and --page require --http."),
        (["--origin", "http://localhost"], "--host, --origin and --page require --http."),
        (["--http", "65536"], "--http: '65536' must be a whole number from 0 to 65535."),
        (["--idle", "-1"], "--idle: '-1' must be a number, 0 or more."),
        (["--idle", "nan"], "--idle: 'nan' must be a number, 0 or more."),
    ],
)
def test_a_wrong_call_is_told(run_cli, args, line):
    outcome: Outcome = run_cli("serve", *args)
    assert (outcome.status, outcome.out) == (2, b"")
    assert line in " ".join(outcome.err.split())


@pytest.mark.parametrize("token", ["short", "with a space in it", "nöt of ASCII at all", "line\nline line line"])
def test_a_token_that_can_not_be_shown_is_refused(run_cli, monkeypatch, token):
    monkeypatch.setenv("PE_SEARCH_TOKEN", token)
    outcome = run_cli("serve", "--http", "0")
    assert outcome.status == 2
    assert "PE_SEARCH_TOKEN: must have at least 16 ASCII characters and no spaces." in " ".join(outcome.err.split())


def test_another_address_is_refused_without_a_token(run_cli, library, runtime):
    outcome = run_cli("serve", "--http", "0", "--host", "0.0.0.0", "--store", library.store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == (
        "pe-search: Other machines can reach 0.0.0.0. Set PE_SEARCH_TOKEN to a secret that each request must send, or "
        "omit --host.\n"
    )
    assert list(runtime.glob("*/*.socket")) == []


def test_a_port_that_is_taken_is_told(run_cli, library):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = run_cli("serve", "--http", port, "--store", library.store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: Port {port} of 127.0.0.1 can't be used: Address already in use.\n"


def test_there_must_be_a_store(run_cli, tmp_path):
    outcome = run_cli("serve", "--store", tmp_path / "none")
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err.startswith(f"pe-search: There is no store at {tmp_path / 'none'}; make it with `pe-search index")


def test_a_folder_for_sockets_that_others_may_enter_is_refused(run_cli, library, runtime):
    (runtime / "pe-search").mkdir(mode=0o755)
    (runtime / "pe-search").chmod(0o755)
    outcome = run_cli("serve", "--store", library.store)
    assert (outcome.status, outcome.err) == (
        2,
        f"pe-search: {runtime / 'pe-search'} is open to other users; `chmod 700` it if it is yours, else remove it.\n",
    )


@pytest.mark.parametrize("place", ["", "relative", "/no/such/folder"])
def test_without_a_runtime_directory_sockets_are_in_the_cache(serve, library, short_path, monkeypatch, place):
    (short_path / "cache").symlink_to(os.environ["PE_SEARCH_CACHE"])
    monkeypatch.setenv("PE_SEARCH_CACHE", str(short_path / "cache"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", place)
    server = serve(library.store)
    sockets = short_path / "cache" / "sockets"
    assert list(sockets.glob("*.socket")) == [sockets / server.path.name]
    assert server.end(signal.SIGTERM) == (0, "")
    assert list(sockets.glob("*.socket")) == []

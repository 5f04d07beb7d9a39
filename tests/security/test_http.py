"""A neighbour on the machine and a web page: what one request may cost, and for how long it may."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pe_search.pe_audio import text_embedder as text_embedder_module
from pe_search.queries import Query, Reference, Request, Term
from pe_search.serving import answering as answering_module
from pe_search.serving.answering import Answering, StoppedError, TooMuchError
from pe_search.serving.http import HttpServer, make_app
from pe_search.serving.lines import GREETING, Reply, from_line, to_line
from pe_search.serving.web import Web, bind
from tests.made_up import FakeEmbedder
from tests.serving.conftest import (  # noqa: F401
    DEADLINE_S,
    answering,
    hits_of,
    in_a_loop,
    listening,
    loaded,
    private,
    request_for,
    store,
)
from tests.serving.test_http import LOCAL

# What is asked to stop must have stopped by then.
STOPS_WITHIN_S = 2


@pytest.fixture
def client(answering: Answering) -> TestClient:  # noqa: F811
    return TestClient(make_app(answering, LOCAL), base_url="http://127.0.0.1", raise_server_exceptions=False)


# How much


@pytest.mark.parametrize(("texts", "k", "status"), [(100, 100, 200), (100, 101, 413), (2, 5_000, 200), (2, 5_001, 413)])
def test_texts_times_hits_is_bounded(client, texts, k, status):
    response = client.get(f"/hits?{urlencode([('text', '1 0 0')] * texts)}&k={k}&all_windows=true")
    assert response.status_code == status
    if status == 413:
        assert response.json() == {
            "detail": f"{texts} texts for {k} hits each are more than 10000 hits; ask for fewer at once."
        }


def test_so_are_the_windows_that_exact_queries_go_through(client, monkeypatch):
    monkeypatch.setattr(answering_module, "_MOST_WINDOWS", 16)
    assert client.get("/hits?text=1+0+0&text=0+1+0&exact=true").status_code == 200  # of 8 windows each
    response = client.get("/hits?text=1+0+0&text=0+1+0&text=0+0+1&exact=true")
    assert (response.status_code, response.json()["detail"]) == (
        413,
        "3 exact queries here go through more than 16 windows; ask fewer at once.",
    )
    monkeypatch.setattr(answering_module, "_MOST_WINDOWS", 1)
    assert client.get("/hits?text=1+0+0&exact=true").status_code == 200, "one query is always answered"


def test_over_the_socket_what_is_too_much_is_left_to_whoever_asks(answering, store, monkeypatch):  # noqa: F811
    monkeypatch.setattr(answering_module, "MOST_HITS", 16)
    assert answering.submit(request_for("1 0 0", "0 1 0", k=10**30), lambda _answer: None).result(DEADLINE_S) is None
    with pytest.raises(TooMuchError, match="3 queries for "):
        answering.submit(request_for("1 0 0", "0 1 0", "0 0 1", k=10**30), lambda _answer: None).result(DEADLINE_S)


def test_a_part_of_a_fusion_counts_as_both_rankings(answering, monkeypatch):  # noqa: F811
    part = request_for("1 0 0", k=1, words="wav", is_part=True)
    monkeypatch.setattr(answering_module, "MOST_HITS", 8)  # as many windows there are
    assert answering.submit(part, lambda _answer: None).result(DEADLINE_S) is None
    monkeypatch.setattr(answering_module, "MOST_HITS", 7)
    with pytest.raises(TooMuchError, match="1 queries for "):
        answering.submit(part, lambda _answer: None).result(DEADLINE_S)
    whole = request_for("1 0 0", k=1, words="wav")
    assert answering.submit(whole, lambda _answer: None).result(DEADLINE_S) is None


# For how long


class SlowEmbedder(FakeEmbedder):
    """Embeds a text only when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.is_embedding = threading.Semaphore(0)
        self.may_go_on = threading.Semaphore(0)
        self.texts = 0

    def embed_texts(self, texts):
        for _ in texts:
            self.texts += 1
            self.is_embedding.release()
            assert self.may_go_on.acquire(timeout=DEADLINE_S)
        return super().embed_texts(texts)


@pytest.fixture
def slow(loaded, monkeypatch) -> SlowEmbedder:  # noqa: F811
    embedder = SlowEmbedder()
    monkeypatch.setattr(text_embedder_module, "load_text_embedder", lambda *_: embedder)
    return embedder


@pytest.fixture
def port(answering: Answering) -> Iterator[int]:  # noqa: F811
    """The port of a server that runs."""
    with in_a_loop() as loop, bind(Web("127.0.0.1", 0, None, ())) as bound:
        server = HttpServer(make_app(answering, LOCAL))
        serving = asyncio.run_coroutine_threadsafe(server.serve(sockets=[bound]), loop)
        yield bound.getsockname()[1]
        server.stop()
        serving.result(DEADLINE_S)


def ends(answering: Answering) -> bool:  # noqa: F811
    """Whether what is being answered stops in time."""
    deadline_s = time.monotonic() + STOPS_WITHIN_S
    while answering.is_at_work and time.monotonic() < deadline_s:
        os.sched_yield()
    return not answering.is_at_work


TEXTS = [f"{number} 0 0" for number in range(50)]


def test_the_work_for_a_client_that_hung_up_over_http_stops(slow, answering, port):  # noqa: F811
    connection = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    asked = urlencode([("text", text) for text in TEXTS])
    connection.sendall(f"GET /hits?{asked} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert slow.is_embedding.acquire(timeout=DEADLINE_S)
    connection.close()
    # It is noticed by the loop, at some time; texts that are embedded until then tell nothing.
    embedded = 1
    while answering.is_at_work and embedded < len(TEXTS):
        slow.may_go_on.release()
        if not slow.is_embedding.acquire(timeout=0.1):
            break
        embedded += 1
    assert ends(answering)
    assert slow.texts < len(TEXTS)


def test_so_does_that_for_one_who_hung_up_on_the_socket(slow, answering, listening):  # noqa: F811
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(listening))
        connection.sendall(to_line(request_for(*TEXTS)))
        assert slow.is_embedding.acquire(timeout=DEADLINE_S)
    # The empty line of the next second finds nobody.
    deadline_s = time.monotonic() + STOPS_WITHIN_S
    while answering.is_at_work and time.monotonic() < deadline_s and slow.texts < len(TEXTS) - 1:
        threading.Event().wait(0.1)
        slow.may_go_on.release()
    assert ends(answering)
    assert slow.texts < len(TEXTS) - 1


def test_work_stops_when_the_server_does(slow, answering):  # noqa: F811
    work = answering.submit(request_for(*TEXTS), lambda _answer: None)
    assert slow.is_embedding.acquire(timeout=DEADLINE_S)
    waiting = [answering.submit(request_for("1 0 0"), lambda _answer: None) for _ in range(3)]
    answering.stop()
    for _ in range(4):
        slow.may_go_on.release()
    with pytest.raises(StoppedError):
        work.result(DEADLINE_S)
    for one in waiting:
        with pytest.raises(StoppedError):
            one.result(DEADLINE_S)
    assert slow.texts <= 4


def test_one_that_is_taken_back_before_it_begins_takes_nobodys_place(slow, answering):  # noqa: F811
    busy = [answering.submit(request_for(f"{number} 0 0"), lambda _answer: None) for number in range(4)]
    for _ in busy:
        assert slow.is_embedding.acquire(timeout=DEADLINE_S)
    for _ in range(100):
        assert answering.submit(request_for("9 9 9"), lambda _answer: None).cancel()
    for _ in busy:
        slow.may_go_on.release()
    for one in busy:
        one.result(DEADLINE_S)
    assert answering.unused_s > 0


# The end

# Serves with an embedder that hangs, and says when a request has come to it.
SERVES = """
import sys, threading
from pathlib import Path
from pe_search.pe_audio import text_embedder
store, *is_loading = sys.argv[1:]
class Hangs:
    def embed_texts(self, texts):
        print("IN FLIGHT", file=sys.stderr, flush=True)
        threading.Event().wait()
def load(*_args):
    if is_loading:
        Hangs().embed_texts([])
    return Hangs()
text_embedder.load_text_embedder = load
sys.argv = ["pe-search", "serve", "--http", "0", "--store", store]
from pe_search.cli.app import main
main()
"""


@pytest.mark.parametrize("while_it", ["rests", "answers over http", "answers over the socket", "is loading"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_whatever_is_in_flight(store, private, while_it, number):  # noqa: F811
    arguments = [str(store), *(["loading"] if while_it == "is loading" else [])]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "XDG_RUNTIME_DIR": str(private)}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVES, *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )
    with server, socket.socket(socket.AF_UNIX) as connection:
        try:
            if while_it != "is loading":
                ready = server.stderr.readline()
                assert "Ready for queries" in ready, ready
            if while_it == "answers over http":
                asking = http.client.HTTPConnection(
                    "127.0.0.1", int(ready.partition("127.0.0.1:")[2].partition("/")[0])
                )
                asking.request("GET", "/hits?text=rain")
            elif while_it == "answers over the socket":
                connection.connect(str(next((private / "pe-search").glob("*.socket"))))
                connection.sendall(to_line(request_for("rain")))
            if while_it != "rests":
                assert server.stderr.readline() == "IN FLIGHT\n"
            pressed_s = time.monotonic()
            server.send_signal(number)
            assert server.wait(DEADLINE_S) == 0
            took_s = time.monotonic() - pressed_s
        finally:
            server.kill()
        assert server.stderr.read() == ""
    assert took_s < STOPS_WITHIN_S
    assert not [*(private / "pe-search").glob("*.socket")]


# Any message

PATHS = st.sampled_from(["/", "/s", "/s/bark.wav", "/s/not utf-8 \udcff.wav", "/a\0b", "", "x" * 5_000]).map(Path)
NUMBERS = st.sampled_from([0, 1, 2, 10, -1, 10**30, 0.0, 0.5, 1.0, -0.5, 1e308, 5e-324])
VECTOR_TEXTS = st.sampled_from(["1 0 0", "0 1 0", "1 2 3", "", "rain", "1e39 0 0", "nan 0 0", "\udcff", "1 0", "\0"])
TERMS = st.builds(Term, VECTOR_TEXTS, NUMBERS)
REFERENCES = st.builds(Reference, PATHS, st.none() | st.tuples(NUMBERS, NUMBERS))
QUERIES = st.builds(
    Query,
    st.lists(VECTOR_TEXTS, max_size=3).map(tuple),
    st.lists(TERMS, max_size=2).map(tuple),
    st.lists(TERMS, max_size=2).map(tuple),
    st.lists(REFERENCES, max_size=1).map(tuple),
)
# Most of them make sense, or few would come as far as the store.
GOOD_TEXTS = st.sampled_from(["1 0 0", "0 1 0", "1 2 3"])
GOOD_QUERIES = st.builds(
    Query,
    st.lists(GOOD_TEXTS, min_size=1, max_size=3).map(tuple),
    st.lists(st.builds(Term, GOOD_TEXTS, st.sampled_from([0.5, 1.0])), max_size=2).map(tuple),
    st.just(()),
    st.just(()),
)
GOOD_REQUESTS = st.builds(
    Request,
    queries=st.lists(GOOD_QUERIES, min_size=1, max_size=3).map(tuple),
    k=st.sampled_from([1, 3, 10**30]),
    under=st.sampled_from([None, Path("/s"), Path("/s/not utf-8 \udcff.wav")]),
    all_windows=st.booleans(),
    min_probability=st.sampled_from([0.0, 0.5]),
    fdr=st.none(),
    exact=st.booleans(),
)
REQUESTS = GOOD_REQUESTS | st.builds(
    Request,
    queries=st.lists(QUERIES, max_size=4).map(tuple),
    k=st.sampled_from([0, 1, 10, -1, 10**30]),
    under=st.none() | PATHS,
    all_windows=st.booleans(),
    min_probability=NUMBERS,
    fdr=st.none() | st.sampled_from([0.0, 0.05, 1.0, -1.0]),
    exact=st.booleans(),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A request, whole or with something in it changed; or anything."""
    how = draw(st.integers(0, 9))
    if how == 9:
        return draw(st.binary(max_size=300))
    if how == 8:
        return json.dumps(draw(JSON)).encode() + b"\n"
    try:
        line = to_line(draw(REQUESTS))
    except ValueError:
        return b"\n"
    if how < 4:
        return line
    if how < 6:
        values = json.loads(line)
        values[draw(st.sampled_from([*values, "more"]))] = draw(JSON)
        return json.dumps(values).encode() + b"\n"
    start, length = draw(st.integers(0, len(line))), draw(st.integers(0, 30))
    return line[:start] + draw(st.binary(max_size=6)) + line[start + length :]


@pytest.mark.slow
def test_any_message_is_answered_as_the_store_would_or_not_at_all(listening, answering, store, tmp_path):  # noqa: F811
    answered = 0

    def said_to(message: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE_S)
            connection.connect(str(listening))
            received = b""
            try:
                connection.sendall(message)
                connection.shutdown(socket.SHUT_WR)
                while chunk := connection.recv(65_536):
                    received += chunk
            except (BrokenPipeError, ConnectionResetError):
                pass
        return received

    def by_the_store(message: bytes) -> list[object] | None:
        try:
            request = from_line(Request, message)
            terms = [term for query in request.queries for term in (*query.plus, *query.minus)]
            # Past that, what is left of a sum of weighted embeddings is rounding, which depends on its neighbours.
            if any(abs(term.weight) > 1e6 for term in terms):
                return None
            return hits_of(store, request)
        except Exception:
            return None

    @settings(max_examples=3_000, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(message=messages())
    def holds(message: bytes) -> None:
        nonlocal answered
        began_s = time.thread_time()
        said = said_to(message)
        assert time.thread_time() - began_s < STOPS_WITHIN_S
        assert GREETING.startswith(said[: len(GREETING)])
        answers = [from_line(Reply, line + b"\n") for line in said[len(GREETING) :].splitlines() if line]
        expected = by_the_store(message)
        found = [list(answer.hits) for answer in answers]
        if expected is not None and len(found) == len(expected):
            answered += bool(found)
        assert expected is None or found == expected[: len(found)]

    with np.errstate(all="ignore"):
        holds()
    assert answered > 100
    assert {path.name for path in tmp_path.iterdir()} <= {"store", "cache"}


@pytest.mark.slow
def test_any_line_is_a_record_or_an_error_of_its_own(monkeypatch):
    outcomes = {"request": 0, "refused": 0}

    @settings(max_examples=4_000, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(message=messages(), kind=st.sampled_from([Request, Reply]))
    def holds(message: bytes, kind: type[Request] | type[Reply]) -> None:
        try:
            record = from_line(kind, message)
        except ValueError:
            outcomes["refused"] += 1
        else:
            assert from_line(kind, to_line(record)) == record
            outcomes["request"] += 1

    holds()
    assert min(outcomes.values()) > 100, outcomes

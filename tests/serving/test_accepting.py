"""A server and those who ask it, both over a socket."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pe_search.library import Library
from pe_search.queries import Filters, Query, Request
from pe_search.records import Problem
from pe_search.serving import accepting as accepting_module
from pe_search.serving import asking as asking_module
from pe_search.serving.accepting import _MOST_CONNECTIONS
from pe_search.serving.asking import ask
from pe_search.serving.lines import GREETING, STILL_AT_IT, Reply, to_line
from tests.serving.conftest import DEADLINE_S, hits_of, request_for

REQUEST = request_for("1 2 3", "-1 0 2", "0 0 0")


def asked(path: Path, request: Request = REQUEST) -> list:
    return list(ask(path, request, pytest.fail))


@contextlib.contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(DEADLINE_S)
        connection.connect(str(path))
        yield connection


def all_from(connection: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def said_to(path: Path, *pieces: bytes) -> bytes:
    """All that a server says to somebody who sends this and then no more."""
    with connected(path) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
        return all_from(connection)


# What it answers


def test_a_word_is_answered_and_one_that_there_is_not_is_left_to_whoever_asks(listening, store):
    request = request_for("@it")
    assert asked(listening, request) == []
    with Library(store) as library:
        library.learn("@it", text="0 1 0", no="/s/rain.wav")
    assert asked(listening, request) == hits_of(store, request)


def test_the_hits_are_those_of_the_store(listening, store):
    rare = request_for("1 1 1", k=3, all_windows=True, min_probability=0.2, exact=True)
    with_words = request_for("1 1 1", "0 1 0", words="wav -rain", k=2)
    alone = replace(request_for(words="bark"), queries=(Query(),))
    filtered = request_for("1 1 1", filters=Filters(names=("b*", "r*"), length_s=(20, None)))
    assert len(hits_of(store, filtered)[0]) == 2
    for request in (REQUEST, rare, request_for("1 0 0", k=10**30), with_words, alone, filtered):
        assert asked(listening, request) == hits_of(store, request)


def test_filters_that_are_not_valid_are_left_to_whoever_asks(listening):
    for filters in (Filters(hours=(4, 4)), Filters(recorded=("soon", None)), Filters(bpm=(2, 1))):
        assert asked(listening, request_for("1 1 1", filters=filters)) == []
    assert asked(listening, REQUEST) != []


def test_names_that_are_not_utf_8_come_through(listening, store):
    request = request_for("1 0 0", under=Path("/s/not utf-8 \udcff.wav"))
    assert [hit.path for hit in asked(listening, request)[0]] == [request.under]


def test_each_query_is_answered_once_it_can_be(listening):
    answers = ask(listening, REQUEST, pytest.fail)
    assert next(answers)[0].query == "1 2 3"
    answers.close()


def test_what_is_amiss_is_passed_on(listening, store):
    (store / "index.vectors").write_bytes(b"nonsense")
    problems: list[Problem] = []
    assert list(ask(listening, REQUEST, problems.append)) == hits_of(store, REQUEST)
    assert [problem.path for problem in problems] == [store / "index.vectors"]


def test_one_that_works_for_long_says_so(listening, store, monkeypatch, loaded):
    monkeypatch.setattr(accepting_module, "STILL_AT_IT_EVERY_S", 0.001)
    go_on = threading.Event()
    opened = accepting_module.Answering._answer

    def late(*args):
        go_on.wait(DEADLINE_S)
        opened(*args)

    monkeypatch.setattr(accepting_module.Answering, "_answer", late)
    with connected(listening) as connection, connection.makefile("rb") as lines:
        connection.sendall(to_line(REQUEST))
        assert [lines.readline() for _ in range(3)] == [GREETING, STILL_AT_IT, STILL_AT_IT]
        go_on.set()
        answers = [line for line in lines if line != STILL_AT_IT]
    assert answers == [to_line(Reply(tuple(hits), ())) for hits in hits_of(store, REQUEST)]
    assert asked(listening) == hits_of(store, REQUEST)


# Who harms it


NONSENSE = {
    "nothing": b"",
    "an empty line": b"\n",
    "half a request": to_line(REQUEST)[:20],
    "a request without its end": to_line(REQUEST)[:-1],
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "an endless line": b"x" * (3 << 20),
    "deep JSON": b"[" * 500_000 + b"\n",
    "a text that can't be embedded": to_line(request_for("rain")),
    "a text that is not UTF-8": to_line(request_for("\udcff")),
    "a name with a NUL": to_line(request_for("1 0 0", under=Path("/a\0b"))),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_answered_by_hanging_up(listening, store, nonsense):
    said = said_to(listening, nonsense)
    assert GREETING.startswith(said[: len(GREETING)])
    assert b"path" not in said
    assert asked(listening) == hits_of(store, REQUEST)


def test_somebody_who_falls_silent_is_cut_off(listening, store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(accepting_module, "PATIENCE_S", 0.01)
        with connected(listening) as connection:
            connection.sendall(to_line(REQUEST)[:20])
            assert all_from(connection) == GREETING
    assert asked(listening) == hits_of(store, REQUEST)


def test_somebody_who_does_not_read_holds_up_nobody(listening, store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(accepting_module, "LONGEST_ANSWER_BYTES", 100)
        with connected(listening) as connection:
            connection.sendall(to_line(REQUEST))
            assert all_from(connection) in (b"", GREETING)
        assert asked(listening) == []
    assert asked(listening) == hits_of(store, REQUEST)


def test_somebody_who_asks_and_goes_away_harms_nobody(listening, store):
    for _ in range(20):
        with connected(listening) as connection:
            connection.sendall(to_line(REQUEST))
    assert asked(listening) == hits_of(store, REQUEST)


def test_a_crowd_is_sent_away_and_whoever_was_there_before_is_answered(listening, store):
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connected(listening)) for _ in range(_MOST_CONNECTIONS)]
        for connection in crowd:
            assert connection.recv(len(GREETING)) == GREETING
        with connected(listening) as connection:
            assert all_from(connection) == b""
        assert asked(listening) == []
        crowd[0].sendall(to_line(REQUEST))
        answers = all_from(crowd[0])
        assert answers.decode().splitlines() == [
            to_line(Reply(tuple(hits), ())).decode().strip() for hits in hits_of(store, REQUEST)
        ]
        # Its place is free now.
        assert asked(listening) == hits_of(store, REQUEST)


@settings(max_examples=200, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(max_size=200), max_size=4))
def test_random_bytes_harm_it_not(listening, pieces):
    assert said_to(listening, *pieces) in (b"", GREETING)


def _mutations(line: bytes) -> st.SearchStrategy[bytes]:
    """The line with stretches of it cut out, doubled or replaced."""
    cuts = st.lists(st.integers(0, len(line)), min_size=2, max_size=8).map(sorted)

    def mutated(places: list[int], fillings: list[bytes]) -> bytes:
        parts = [line[: places[0]]]
        for (start, end), filling in zip(pairwise(places), fillings, strict=False):
            parts.append(filling if filling is not None else line[start:end] * 2)
        return b"".join([*parts, line[places[-1] :]])

    return st.builds(mutated, cuts, st.lists(st.none() | st.binary(max_size=6), min_size=7, max_size=7))


@settings(max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=_mutations(to_line(REQUEST)))
def test_mutated_requests_harm_it_not(listening, line):
    said = said_to(listening, line)
    for answer in said.removeprefix(GREETING).splitlines():
        # A mutation may be a request too.
        assert set(json.loads(answer)) == {"hits", "problems"}


def test_after_all_that_a_good_request_is_answered(listening, store):
    test_random_bytes_harm_it_not(listening)
    test_mutated_requests_harm_it_not(listening)
    assert asked(listening) == hits_of(store, REQUEST)


# Servers that are none


@pytest.fixture
def impostor(private) -> Callable[..., Path]:
    """A server in a thread that greets, hears what is asked, says this and that, and may wait before it hangs up."""
    with contextlib.ExitStack() as stack:

        def start(*said: bytes, hang: bool = False) -> Path:
            path = private / "impostor.socket"
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen()
            over = threading.Event()

            def talk() -> None:
                connection, _ = listener.accept()
                with (
                    connection,
                    connection.makefile("rb") as lines,
                    contextlib.suppress(BrokenPipeError, ConnectionResetError),
                ):
                    for number, one in enumerate(said):
                        connection.sendall(one)
                        if number == 0 and len(said) > 1:
                            lines.readline()
                    if hang:
                        over.wait(DEADLINE_S)

            thread = threading.Thread(target=talk)
            thread.start()
            stack.callback(thread.join)
            stack.callback(over.set)
            return path

        yield start


ANSWER = to_line(Reply((), ()))


@pytest.mark.parametrize(
    ("said", "answers"),
    [
        ([], 0),
        ([b"\n"], 0),
        ([b"pe-search 0.0.1\n", ANSWER * 3], 0),
        ([b"\xff" * 1000], 0),
        ([GREETING], 0),
        ([GREETING, b"nonsense\n"], 0),
        ([GREETING, b'{"hits": []}\n'], 0),
        ([GREETING, ANSWER[:-1]], 0),
        ([GREETING, ANSWER], 1),
        ([GREETING, ANSWER, STILL_AT_IT, ANSWER, b"{}\n"], 2),
        ([GREETING, STILL_AT_IT * 5, ANSWER * 3], 3),
        ([GREETING, ANSWER * 4], 3),
    ],
)
def test_what_a_server_gives_is_taken_as_far_as_it_makes_sense(impostor, said, answers):
    assert asked(impostor(*said)) == [[]] * answers


@pytest.mark.parametrize("said", [[], [GREETING[:-1]], [GREETING], [GREETING, ANSWER], [GREETING, ANSWER, b'{"hi']])
def test_one_that_hangs_is_given_up(impostor, monkeypatch, said):
    monkeypatch.setattr(asking_module, "PATIENCE_S", 0.05)
    assert asked(impostor(*said, hang=True)) == [[]] * (ANSWER in said)


def test_a_socket_that_nobody_listens_on_is_passed_by(private):
    path = private / "left-over.socket"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    assert asked(path) == []


@pytest.mark.parametrize("name", ["missing.socket", "x" * 200])
def test_so_is_one_that_is_not_there(private, name):
    assert asked(private / name) == []


def test_so_is_a_file_of_another_kind(private):
    (private / "file.socket").write_bytes(GREETING)
    assert asked(private / "file.socket") == []


def test_one_in_a_folder_that_others_may_enter_is_not_asked(listening, store):
    assert asked(listening) == hits_of(store, REQUEST)
    listening.parent.chmod(0o755)
    assert asked(listening) == []


def test_nor_is_one_of_another_user(listening, monkeypatch):
    monkeypatch.setattr(asking_module, "is_same_user", lambda _connection: False)
    assert asked(listening) == []


def test_another_user_is_not_answered(listening, monkeypatch):
    monkeypatch.setattr(accepting_module, "is_same_user", lambda _connection: False)
    assert said_to(listening, to_line(REQUEST)) == b""


def test_a_request_that_is_too_long_is_not_sent(listening, store):
    longest = accepting_module.LONGEST_REQUEST_BYTES - len(to_line(request_for("1 0 0", under=Path("/"))))
    for too_long in (0, 1):
        request = request_for("1 0 0", under=Path("/" + "s" * (longest + too_long)))
        assert asked(listening, request) == ([] if too_long else hits_of(store, request))

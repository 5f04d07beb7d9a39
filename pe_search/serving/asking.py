"""Ask the server of a store, if there is one. It imports nothing that takes long."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pe_search.directories import socket_directory
from pe_search.libraries import Libraries
from pe_search.queries import Hit, Request, is_word
from pe_search.records import Problem
from pe_search.serving.lines import (
    GREETING,
    LONGEST_ANSWER_BYTES,
    LONGEST_REQUEST_BYTES,
    PATIENCE_S,
    STILL_AT_IT,
    Reply,
    from_line,
    to_line,
)
from pe_search.serving.place import is_private, is_same_user, socket_path

if TYPE_CHECKING:
    from pe_search.library import Library


def ask(path: Path, request: Request, on_problem: Callable[[Problem], None]) -> Iterator[Sequence[Hit]]:
    """The hits of each query in turn, as far as the server gives them.

    There may be no server, or a busy one, one of another version, or one that hangs or ends meanwhile: then the hits of
    the queries that are left are not among them, and no error is raised. On Windows nobody is asked, for Python has no
    Unix sockets there.

    Args:
        path: The server's socket.
        request: What is asked.
        on_problem: Called when something is amiss with the store that doesn't stop the work.
    """
    if sys.platform == "win32":
        return
    with suppress(OSError, ValueError, TypeError):
        line = to_line(request)
        if len(line) > LONGEST_REQUEST_BYTES or not is_private(path.parent):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(os.fsencode(path))
            if not is_same_user(connection):
                return
            with connection.makefile("rb") as lines:
                if lines.readline(len(GREETING)) != GREETING:
                    return
                connection.sendall(line)
                for _ in request.queries:
                    answer = from_line(Reply, _next_line(lines))
                    for problem in answer.problems:
                        on_problem(problem)
                    yield list(answer.hits)


def ask_or_search(library: Library, request: Request, on_problem: Callable[[Problem], None]) -> Iterator[Sequence[Hit]]:
    """The hits of each query in turn: from the store's server as far as it gives them, the rest from the store.

    Args:
        library: The store's; of several stores, each is asked by its own server, and their hits are ranked together.
        request: What is asked.
        on_problem: As in `ask`.

    Raises:
        StoreError: If there is no server, and the store can't be read.
    """
    if isinstance(library, Libraries):
        # Now, so that stores that don't go together are refused before anything is searched.
        library.open()
        if any(is_word(text) for query in request.queries for text in query.wordings):
            # A server knows the words of its own store alone.
            return (answer.hits for answer in library.answers(request))
        part = library.part_of(request)
        return library.merged([ask_or_search(one, part, on_problem) for one in library.stores], request)
    served = ask(socket_path(socket_directory(), library.directory), request, on_problem)
    first = next(served, None)
    if first is None:
        # The store is opened now, so that its lack is told before anything else happens.
        return (answer.hits for answer in library.answers(request))
    return _served(library, request, chain([first], served))


def _served(library: Library, request: Request, served: Iterator[Sequence[Hit]]) -> Iterator[Sequence[Hit]]:
    answered = 0
    for hits in served:
        answered += 1
        yield hits
    if answered < len(request.queries):
        for answer in library.answers(replace(request, queries=request.queries[answered:])):
            yield answer.hits


def _next_line(lines: BinaryIO) -> bytes:
    while (line := lines.readline(LONGEST_ANSWER_BYTES)) == STILL_AT_IT:
        pass
    return line

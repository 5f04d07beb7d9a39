"""Web servers on this machine that do what they are told."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, says nothing, and counts what it is asked."""

    asked: list[tuple[str, str]]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def parse_request(self) -> bool:
        """Count it."""
        parsed = super().parse_request()
        self.server.asked.append((self.command, self.path))  # type: ignore[attr-defined]
        return parsed


@contextmanager
def serving(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server's address, and what it is asked."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.asked = asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def site_of(folder: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server of the files of a folder."""
    with serving(partial(Quiet, directory=str(folder))) as one:
        yield one


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server that answers everything in one way."""

    class Odd(Quiet):
        def do_GET(self) -> None:
            answer(self)

        do_HEAD = do_GET  # noqa: N815

    with serving(Odd) as one:
        yield one

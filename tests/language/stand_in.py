"""A stand-in for an OpenAI-compatible server, which keeps what it is sent and answers as the tests say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Reply = tuple[int, dict[str, str], bytes]
SOUND_TOKENS = 250


@dataclass
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def has_sound(self) -> bool:
        return b"input_audio" in self.body


def said(text: object, prompt_tokens: int | None = None) -> Reply:
    """A chat completion with an answer."""
    reply: dict[str, Any] = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
    if prompt_tokens is not None:
        reply["usage"] = {"prompt_tokens": prompt_tokens}
    return 200, {}, json.dumps(reply).encode()


def refused(status: int, message: str = "", **headers: str) -> Reply:
    return status, headers, json.dumps({"error": {"message": message}}).encode()


def hears(text: str) -> Callable[[Received], Reply]:
    """Answers with a text, and counts tokens as a server does that hears."""
    return lambda request: said(text, 10 + SOUND_TOKENS * request.has_sound)


@dataclass
class StandIn:
    """The server, in a `with` statement.

    Attributes:
        answer: Called with each chat request; None stalls until the end.
        models: What it lists.
    """

    answer: Callable[[Received], Reply | None] = field(default_factory=lambda: hears("A dog barking."))
    models: tuple[str, ...] = ("tiny-audio",)
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def chats(self) -> list[Received]:
        """The requests with a sound."""
        return [one for one in self.received if one.has_sound]

    def __enter__(self) -> Self:
        stand_in = self
        self._ends = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_args: object) -> None:
                pass

            def do_GET(self) -> None:
                self._reply(200, {}, json.dumps({"data": [{"id": name} for name in stand_in.models]}).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Received("POST", self.path, dict(self.headers), body)
                stand_in.received.append(request)
                reply = stand_in.answer(request)
                if reply is None:
                    stand_in._ends.wait()
                else:
                    self._reply(*reply)

            def _reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

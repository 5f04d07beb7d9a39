"""A real Milvus server, on a free port of this machine, for tests."""

from __future__ import annotations

import importlib.util
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

# The wheel has a server for one kind of machine.
HAS_SERVER = importlib.util.find_spec("milvus") is not None
needs_server = pytest.mark.skipif(not HAS_SERVER, reason="the wheel `milvus`, which has a server, is not installed")


def free_port() -> int:
    """A port that nothing uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _bound(port: int) -> socket.socket | None:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        one.close()
        return None
    one.listen()
    return one


class Running:
    """A server; it may be stopped and started again with what it holds.

    Args:
        folder: For all that it writes.
        **options: Of the server, as `authorization_enabled`.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self._options = options
        self.port = free_port()
        self._server: Any = None
        # A machine runs one: it locks a file of its own in the place of all.
        self._alone = FileLock(Path(tempfile.gettempdir()) / "pe-search-milvus.lock", thread_local=False)

    @property
    def is_running(self) -> bool:
        return self._server is not None

    @property
    def address(self) -> str:
        return f"milvus://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._alone.acquire()
        self._begin()

    def kill(self) -> None:
        """End it at once, as if the machine had lost its power."""
        self._end()
        self._alone.release()

    def restart(self) -> None:
        self._end()
        self._begin()

    def _begin(self) -> None:
        from milvus import MilvusServer

        self._server = MilvusServer()
        self._server.set_base_dir(os.fspath(self.folder))
        for name, value in {"proxy_port": self.port, "system_log_level": "error", **self._options}.items():
            self._server.config.set(name, value)
        # Otherwise one that is started again, with connections that are not yet forgotten, gets the next port.
        self._server.config.try_bind_port = _bound
        self._server.start()

    def _end(self) -> None:
        self._server.server_proc.kill()
        self._server.server_proc.wait()
        self._server.stop()
        self._server = None

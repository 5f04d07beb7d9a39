"""The connection to a Milvus server, or to a file of Milvus Lite, and how long to wait for it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pe_search.directories import milvus_address
from pe_search.errors import MissingExtraError, StoreError, first_line

if TYPE_CHECKING:
    from pymilvus import MilvusClient

# How long a server may be gone: one that is started again takes half a minute.
PATIENCE_S = 120.0
# How long one call may take: less than what `lease.py` keeps of a lease.
CALL_S = 10.0
# Between two tries: the first and the longest pause.
_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0
TOKEN, TLS_CA = "PE_SEARCH_MILVUS_TOKEN", "PE_SEARCH_MILVUS_TLS_CA"

# Otherwise gRPC waits up to two minutes between two tries to connect, and a new channel waits with the old one.
_RECONNECTING = {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.min_reconnect_backoff_ms": 1_000,
    "grpc.max_reconnect_backoff_ms": 2_000,
}

_open_files: Counter[str] = Counter()
_opening = threading.RLock()


class Place(NamedTuple):
    """Where a store is.

    Attributes:
        address: As users write it.
        uri: As pymilvus does.
        windows: The collection of embeddings.
        changes: The collection of all else.
    """

    address: str
    uri: str
    windows: str
    changes: str

    @property
    def is_file(self) -> bool:
        """Whether it is a file of Milvus Lite."""
        return self.uri.endswith(".db")


def place_of(directory: Path) -> Place:
    """Where a store is, by the folder in which this machine keeps what it knows of it."""
    address = milvus_address(directory)
    assert address is not None, "whoever calls has asked"
    rest = address.removeprefix("milvus:")
    if not rest.startswith("//"):
        return Place(address, rest, "pe_search", "pe_search_changes")
    server, _, collection = rest.removeprefix("//").partition("/")
    scheme = "https" if os.environ.get(TLS_CA) else "http"
    return Place(address, f"{scheme}://{server}", collection, f"{collection}_changes")


class Connection:
    """An open connection.

    Args:
        place: Where to.
        on_wait: Called with a line, once for each time that the server is gone for a while.

    Raises:
        StoreError: If the server doesn't answer, refuses, or the file is used by another process. So does `call`.
    """

    def __init__(self, place: Place, on_wait: Callable[[str], None]) -> None:
        self.place = place
        self._on_wait = on_wait
        self.client = self._connected()

    def close(self) -> None:
        """End the connection."""
        with _opening:
            if self.place.is_file:
                # All connections of a process to a file are one.
                _open_files[self.place.uri] -= 1
                if _open_files[self.place.uri] > 0:
                    return
            try:
                self.client.close()
            finally:
                if self.place.is_file:
                    from milvus_lite.server_manager import server_manager_instance

                    server_manager_instance.release_server(self.place.uri)

    def call(
        self,
        function: Callable[..., Any],
        *args: Any,
        before: Callable[[], None] | None = None,
        patience_s: float | None = None,
        **options: Any,
    ) -> Any:
        """What a function of pymilvus returns, tried again for a while if the server doesn't answer.

        Args:
            function: See above.
            *args: What it is called with.
            before: Called before each try. What it raises ends the work.
            patience_s: How long to try, if not for `PATIENCE_S`.
            **options: What else it is called with; `timeout` is `CALL_S` if it isn't among them.
        """
        options.setdefault("timeout", CALL_S)
        # What may as well fail, as renewing a lease, is nothing to tell.
        is_told = patience_s is not None
        patience_s = PATIENCE_S if patience_s is None else patience_s
        until_s = time.monotonic() + patience_s
        pause_s = _PAUSE_S
        while True:
            if before is not None:
                before()
            try:
                return function(*args, **options)
            except Exception as error:
                if is_refused(error):
                    raise StoreError(
                        f"Milvus refuses at {self.place.address}: the token is missing or wrong, or allows too little "
                        f"(${TOKEN})."
                    ) from error
                if not is_passing(error):
                    raise StoreError(f"Milvus fails at {self.place.address}: {said(error)}.") from error
                if time.monotonic() + pause_s > until_s:
                    raise StoreError(
                        f"Milvus has not answered at {self.place.address} for {patience_s:g} s "
                        f"({said(error)}). Everything committed so far is kept. Run the same command again."
                    ) from error
                last = str(error)
                if not is_told:
                    is_told = True
                    self._on_wait(f"Milvus does not answer; trying again for {patience_s:g} s ({said(error)})")
            time.sleep(pause_s)
            self._load_again(last)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _load_again(self, reason: str) -> None:
        """A server that was killed may come back with its collections not loaded."""
        if "not loaded" in reason or "released" in reason:
            for name in (self.place.windows, self.place.changes):
                with suppress(Exception):
                    self.client.load_collection(name, timeout=CALL_S)

    def _connected(self) -> MilvusClient:
        try:
            from pymilvus import MilvusClient
        except ImportError:
            raise MissingExtraError("A store in Milvus", "pymilvus", "milvus") from None
        # What it logs, with tracebacks, is said here in one line.
        for name in ("pymilvus", "milvus_lite", "grpc"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        if not self.place.is_file:
            options: dict[str, Any] = {"grpc_options": _RECONNECTING}
            if ca := os.environ.get(TLS_CA):
                if not Path(ca).is_file():
                    raise StoreError(f"${TLS_CA} must name a file of certificates; {ca} is not a file.")
                options |= {"secure": True, "server_pem_path": ca}
            token = os.environ.get(TOKEN, "")
            client: MilvusClient = self.call(MilvusClient, self.place.uri, token=token, **options)
            return client
        try:
            import milvus_lite  # noqa: F401
        except ImportError:
            raise MissingExtraError("A store in a file of Milvus", "milvus-lite", "milvus") from None
        folder = Path(self.place.uri).parent
        if not folder.is_dir():
            raise StoreError(f"There is no store at {self.place.address}: the folder {folder} does not exist.")
        with _opening:
            try:
                client = MilvusClient(self.place.uri, timeout=CALL_S)
            except Exception as error:
                raise StoreError(
                    f"The file {self.place.uri} can't be opened. Only one process at a time can use a file of Milvus "
                    "Lite; wait until the other has finished, or use a Milvus server."
                ) from error
            _open_files[self.place.uri] += 1
            return client


def is_passing(error: Exception) -> bool:
    """Whether a call may succeed when it is tried again."""
    from pymilvus.exceptions import (
        DataNotMatchException,
        ParamError,
        SchemaNotReadyException,
    )

    if isinstance(error, (DataNotMatchException, ParamError, SchemaNotReadyException, TypeError, KeyError)):
        return False
    return not any(
        what in _all_said(error) for what in ("cannot parse expression", "invalid parameter", "unsupported expr")
    )


def is_refused(error: Exception) -> bool:
    """Whether a server doesn't take who asks."""
    refusals = ("unauthenticated", "auth check failure", "permissiondenied", "permission deny", "privilege")
    return any(what in _all_said(error) for what in refusals)


def said(error: Exception) -> str:
    """What an error says, in one line."""
    message = getattr(error, "message", None)
    line = message.strip().splitlines()[0] if isinstance(message, str) and message.strip() else first_line(error)
    return line.rstrip(".")


def _all_said(error: BaseException | None) -> str:
    """What an error and those that it came of say. pymilvus makes another of one that says who was refused."""
    chain: list[BaseException] = []
    # It also raises errors from themselves.
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__
    return "\n".join(str(one).lower() for one in chain)

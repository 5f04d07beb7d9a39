"""The server of a store, from its first breath to its last."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from pe_search.directories import shown_store, socket_directory
from pe_search.errors import PeSearchError
from pe_search.serving.accepting import Accepting
from pe_search.serving.answering import Answering
from pe_search.serving.place import make_private_folder, socket_path
from pe_search.serving.web import Web, bind, url_of

if TYPE_CHECKING:
    from pe_search.serving.http import HttpServer

_BACKLOG = 128


def serve(
    directories: Sequence[Path],
    idle_s: float,
    web: Web | None,
    *,
    on_ready: Callable[[str | None], None],
    on_compile: Callable[[], None],
) -> bool:
    """Answer whoever asks a store, until nobody has for a while, or SIGINT or SIGTERM comes.

    Args:
        directories: The store's; or those of several, which are asked as one, over HTTP alone.
        idle_s: How long to wait for somebody who asks; infinite to wait for ever.
        web: Where and for whom there is HTTP; None for nobody.
        on_ready: Called once it can be asked, with the URL of HTTP if there is any.
        on_compile: Called when a large text tower is about to be compiled.

    Returns:
        Whether all work has ended. If not, a thread is in the middle of something that can't be stopped, and the
        process had better not wait for it.

    Raises:
        PeSearchError: If there is no store, its checkpoint can't be loaded, it has a server already, there is no place
            for a socket or HTTP; on Windows, also without HTTP.
        OSError: If the folder for sockets can't be made or written to.
    """
    if sys.platform == "win32" and web is None:
        raise PeSearchError("On Windows a server answers over HTTP only: give --http PORT, such as --http 8765.")
    directory, *others = directories
    path: Path | None = None
    with ExitStack() as stack:
        # Each of several stores may have a server of its own, which `query` asks.
        if not others:
            folder = socket_directory()
            make_private_folder(folder)
            path = socket_path(folder, directory)
            stack.enter_context(_only_server(path, directory))
        answering = stack.enter_context(Answering(directory, on_compile, others))
        bound = None if web is None else stack.enter_context(bind(web))
        http = None if web is None or bound is None else (web, bound)
        asyncio.run(_serve(answering, path, http, idle_s, on_ready))
    return not answering.is_at_work


async def _serve(
    answering: Answering,
    path: Path | None,
    http: tuple[Web, socket.socket] | None,
    idle_s: float,
    on_ready: Callable[[str | None], None],
) -> None:
    stop = asyncio.Event()
    with ExitStack() as stack:
        stack.enter_context(_signals(stop))
        # By another thread, because a signal must not wait until a model is loaded; nor must what HTTP needs.
        warm = asyncio.wrap_future(answering.warm_up())
        http_server = None if http is None else _http_server(answering, http[0])
        first: set[asyncio.Future[Any]] = {warm, asyncio.create_task(stop.wait())}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not warm.done():
            return
        warm.result()
        server = None
        if sys.platform != "win32" and path is not None:
            server = await Accepting(answering).start(stack.enter_context(_listener(path)))
        serving_http = None
        if http is not None and http_server is not None:
            serving_http = asyncio.create_task(http_server.serve(sockets=[http[1]]))
        on_ready(None if http is None else url_of(http[1]))
        while not stop.is_set() and (left_s := idle_s - answering.unused_s) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), left_s)
        answering.stop()
        if server is not None:
            server.close()
        if http_server is not None and serving_http is not None:
            http_server.stop()
            await serving_http


def _http_server(answering: Answering, web: Web) -> HttpServer:
    # A server without HTTP needs none of it.
    from pe_search.serving.http import HttpServer, make_app

    return HttpServer(make_app(answering, web))


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM stop the server, and the next one end the process as ever."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    if sys.platform == "win32":
        # Its event loops take no handlers, but are woken when a signal comes.
        before = {number: signal.getsignal(number) for number in numbers}

        def end_soon(_number: int, _frame: object) -> None:
            stop.set()
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in numbers:
            signal.signal(number, end_soon)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return

    def let_go() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    def end() -> None:
        stop.set()
        let_go()

    for number in numbers:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        let_go()


@contextmanager
def _only_server(path: Path, directory: Path) -> Iterator[None]:
    """Be the only server of a store; the system lets go of the lock however the process ends."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PeSearchError(f"The store at {shown_store(directory)} already has a server. Stop it first.") from None
    try:
        yield
    finally:
        lock.release()


if sys.platform != "win32":

    @contextmanager
    def _listener(path: Path) -> Iterator[socket.socket]:
        """A socket at a path, which is free again afterwards."""
        # One may be left over from a server that was killed. Nobody listens there, or the lock would have been taken.
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(os.fsencode(path))
            try:
                path.chmod(0o600)
                listener.listen(_BACKLOG)
                yield listener
            finally:
                path.unlink(missing_ok=True)

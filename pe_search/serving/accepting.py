"""Accept connections to a Unix socket, unharmed by those who hang up, send nonsense, fall silent or come in crowds."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from pe_search.queries import Request
from pe_search.serving.answering import Answering, BusyError, StoppedError
from pe_search.serving.lines import (
    GREETING,
    LONGEST_ANSWER_BYTES,
    LONGEST_REQUEST_BYTES,
    PATIENCE_S,
    STILL_AT_IT,
    STILL_AT_IT_EVERY_S,
    Reply,
    from_line,
    to_line,
)
from pe_search.serving.place import is_same_user

# Beyond these, whoever connects is sent away at once, and finds the answer without a server.
_MOST_CONNECTIONS = 64


class Accepting:
    """Talks to those who connect; each asks once.

    Args:
        answering: Finds the answers.
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._connections = 0

    async def start(self, listener: socket.socket) -> asyncio.Server:
        """Start to take connections.

        Args:
            listener: Bound to its path.
        """
        if sys.platform == "win32":
            raise NotImplementedError("Python has no Unix sockets there")
        else:  # noqa: RET506 (so mypy knows that this is for other systems)
            return await asyncio.start_unix_server(self._talk, sock=listener, limit=LONGEST_REQUEST_BYTES)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= _MOST_CONNECTIONS or not is_same_user(writer.get_extra_info("socket")):
            writer.transport.abort()
            return
        self._connections += 1
        try:
            # There is nothing to tell somebody who doesn't keep to the way of asking, or is gone; nor when the server
            # ends meanwhile, of which asyncio before 3.12.2 makes a traceback (python/cpython#113538).
            with suppress(OSError, ValueError, BusyError, asyncio.CancelledError):
                writer.write(GREETING)
                async with asyncio.timeout(PATIENCE_S):
                    line = await reader.readline()
                await self._answer(from_line(Request, line), writer)
                writer.close()
                async with asyncio.timeout(PATIENCE_S):
                    await writer.wait_closed()
        finally:
            self._connections -= 1
            writer.transport.abort()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        # A client that is gone is noticed by the next empty line, at the latest.
        is_there = lambda: not writer.transport.is_closing()  # noqa: E731
        work = asyncio.wrap_future(self._answering.submit(request, _delivery(loop, writer), is_there))
        while not (await asyncio.wait({work}, timeout=STILL_AT_IT_EVERY_S))[0]:
            writer.write(STILL_AT_IT)
        # Whatever a request may have led to, the next one is answered; and who asked finds out what it was by asking
        # the store without a server.
        if work.exception() is not None:
            writer.transport.abort()


def _delivery(loop: asyncio.AbstractEventLoop, writer: asyncio.StreamWriter) -> Callable[[Reply], None]:
    """What sends answers from another thread; it waits for nobody who is slow to read them."""

    def write(line: bytes) -> None:
        if writer.transport.get_write_buffer_size() + len(line) > LONGEST_ANSWER_BYTES:
            writer.transport.abort()
        else:
            writer.write(line)

    def deliver(answer: Reply) -> None:
        if writer.transport.is_closing() or loop.is_closed():
            raise StoppedError
        loop.call_soon_threadsafe(write, to_line(answer))

    return deliver

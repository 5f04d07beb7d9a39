"""What HTTP has in common, whoever asks: the work stops for those who hang up, and errors become statuses."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from fastapi import HTTPException
from fastapi import Request as HttpRequest
from starlette.responses import Response

from pe_search.errors import AudioError, PeSearchError, QueryError
from pe_search.library import Library
from pe_search.queries import Request
from pe_search.serving.answering import Answering, BusyError, StoppedError, TooMuchError
from pe_search.serving.lines import Reply

ROW_FIELDS = (
    *("rank", "path", "name", "folder", "start_s", "end_s", "score", "probability", "sound_rank", "words_rank"),
    *("said_rank", "said"),
    *("length_s", "recorded_at", "at", "tags", "sample_rate_hz", "channels", "digest", "is_gone", "copies"),
)
"""What a row of the page shows of a hit."""

Work = Callable[[Callable[[Library], Any]], Awaitable[Any]]
"""Has something done with the library in another thread; `HTTPException` says why it can't be."""


@contextmanager
def refusals() -> Iterator[None]:
    """Say with which status a request was not answered, and why."""
    try:
        yield
    except BusyError:
        raise HTTPException(503, "There are too many requests at once; try again.") from None
    except StoppedError:
        raise HTTPException(503, "The server is stopping.") from None
    except TooMuchError as error:
        raise HTTPException(413, str(error)) from error
    except QueryError as error:
        raise HTTPException(422, str(error)) from error
    except AudioError as error:
        raise HTTPException(409, str(error)) from error
    except PeSearchError as error:
        raise HTTPException(500, str(error)) from error


async def replies(answering: Answering, request: Request, connection: HttpRequest) -> list[Reply]:
    """What there is for a request. The work stops once whoever asked has hung up.

    Raises:
        StoppedError: If that is so, or the server ends.
        BusyError, PeSearchError: As `Answering.submit`.
    """
    answers: list[Reply] = []
    gone, loop, complete = threading.Event(), asyncio.get_running_loop(), asyncio.Event()

    def deliver(answer: Reply) -> None:
        answers.append(answer)
        if len(answers) == len(request.queries):
            with suppress(RuntimeError):  # the loop has ended with the server
                loop.call_soon_threadsafe(complete.set)

    work = asyncio.wrap_future(answering.submit(request, deliver, lambda: not gone.is_set()))
    # New texts are written down after the last answer, for which nobody should wait.
    answered, hung_up = asyncio.create_task(complete.wait()), asyncio.create_task(_hang_up(connection))
    try:
        first: set[asyncio.Future[Any]] = {work, answered, hung_up}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        elif not answered.done():
            raise StoppedError
    finally:
        gone.set()
        answered.cancel()
        hung_up.cancel()
        work.cancel()
    return answers


async def _hang_up(connection: HttpRequest) -> None:
    while (await connection.receive())["type"] != "http.disconnect":
        pass


def as_json(value: Mapping[str, Any]) -> Response:
    """JSON in ASCII, so that a name that is not UTF-8 survives; never kept by a browser."""
    held = json.dumps(value, separators=(",", ":")).encode("ascii")
    return Response(held, media_type="application/json", headers={"Cache-Control": "no-store"})

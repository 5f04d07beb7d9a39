"""The same answers over HTTP, as JSON: for editors, DAW scripts and web pages. Only it imports FastAPI and uvicorn.

**Who may ask.** On a loopback address without a token, any program of any user of this machine may, but no web page of
somebody else: a browser sends with its requests where the page is from (`Origin`, `Sec-Fetch-Site`), and what names
neither this server nor an origin that was allowed is refused before anything is searched. A name that somebody makes
point to this machine (DNS rebinding) is refused by the `Host` header. Any other address needs a token, which then
stands for itself: no other site's page has it, whatever the host is called.

A connection serves one request after another. Each must arrive whole within some seconds.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi import Query as Parameter
from fastapi import Request as HttpRequest
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from pe_search import __version__
from pe_search.errors import quoted
from pe_search.known.fields import HIT_FIELDS, all_of, named
from pe_search.known.typed_filters import FIELD_OF, FilterTextError, read_filters
from pe_search.serving.answering import MOST_HITS, Answering
from pe_search.serving.bounds import ABSOLUTE, LONGEST_PATH, LONGEST_TEXT, MOST_TEXTS, request_of
from pe_search.serving.described import CONTENT_SECURITY_POLICY, page_of
from pe_search.serving.guard import Guard
from pe_search.serving.lines import PATIENCE_S
from pe_search.serving.models import Hits, Refusal
from pe_search.serving.replies import refusals, replies
from pe_search.serving.web import Web, bracketed

_LONGEST_FILTER = 100
_MOST_NAMES = 20
_LONGEST_HEAD_BYTES = 1 << 18
_MOST_CONNECTIONS = 64


# What a value must be, by parameter.
_WANTED = {
    "text": f"must be given 1 to {MOST_TEXTS} times, each with 1 to {LONGEST_TEXT} characters that are not all blank",
    **dict.fromkeys(("words", "said"), f"must be at most {LONGEST_TEXT} characters"),
    "k": f"must be a whole number from 1 to {MOST_HITS}, or all",
    "under": f"must be an absolute path of at most {LONGEST_PATH} characters",
    "all_windows": "must be true or false",
    "min_probability": "must be a number from 0 to 1, such as 0.5",
    "exact": "must be true or false",
    "fields": f"must be names with commas between, of {', '.join(all_of(HIT_FIELDS))}",
    **dict.fromkeys(FIELD_OF, f"must be at most {_LONGEST_FILTER} characters"),
    **dict.fromkeys(
        ("name", "tag"), f"must be given at most {_MOST_NAMES} times, each with 1 to {LONGEST_TEXT} characters"
    ),
}
_NAME = f"({'|'.join(all_of(HIT_FIELDS))})"
_Filter = Annotated[str | None, Parameter(max_length=_LONGEST_FILTER)]
_Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]] | None, Parameter(max_length=_MOST_NAMES)
]


class _Overview(BaseModel):
    name: str
    version: str
    store: str
    endpoints: dict[str, str]


async def _refuse_unknown(connection: HttpRequest) -> None:
    """Refuse parameters that there are not: a word that is mistyped must not be taken for one that was left out."""
    known = [parameter.alias for parameter in connection.scope["route"].dependant.query_params]
    for name in connection.query_params:
        if name not in known:
            near = get_close_matches(name, known, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise HTTPException(400, f"There is no parameter {quoted(name)}.{meant} There are: {', '.join(known)}.")


async def _refuse_invalid(connection: HttpRequest, error: Exception) -> Response:
    """Say in words what is wrong with the parameters; FastAPI would list the entries of pydantic."""
    assert isinstance(error, RequestValidationError)
    missing = _missing(connection) if connection.url.path == "/hits" else None
    # A value that may be of two kinds has an entry for each.
    wrong = dict.fromkeys(_parameter(entry["loc"]) for entry in error.errors())
    parts = [missing] if missing else []
    parts += [f"{name} {_WANTED.get(name, 'is missing or not valid')}." for name in wrong]
    return JSONResponse({"detail": " ".join(parts)}, 422)


def _parameter(place: Sequence[str | int]) -> str:
    """The parameter that pydantic means; in a body it may be one of a list, or in another one."""
    names = [str(name) for name in place if isinstance(name, str)]
    return names[-1] if place[0] == "body" else str(place[1])


async def _refuse(_connection: HttpRequest, error: Exception) -> Response:
    """Say why a request is refused, in ASCII: a name in it that is not UTF-8 fits in no other JSON."""
    assert isinstance(error, StarletteHTTPException)
    detail = json.dumps({"detail": error.detail}).encode("ascii")
    return Response(detail, error.status_code, error.headers, media_type="application/json")


def _missing(connection: HttpRequest) -> str | None:
    """What is missing of a request, in words."""
    given = connection.query_params
    is_any = "text" in given or "words" in given or "said" in given
    return None if is_any else "text, words or said is missing, as in /hits?text=rain."


_WHO: dict[int | str, dict[str, Any]] = {
    400: {"description": "The Host header names another machine", "content": {"text/plain": {}}},
    401: {"model": Refusal, "description": "The token is missing or wrong"},
    403: {"model": Refusal, "description": "The web page's origin was not allowed"},
}


def make_app(answering: Answering, web: Web) -> FastAPI:
    """The ASGI application.

    Args:
        answering: Finds the answers.
        web: For whom.
    """
    hosts = ["*"] if web.token is not None else ["localhost", "127.0.0.1", "[::1]", bracketed(web.host)]
    app = FastAPI(
        title="pe-search",
        version=__version__,
        description="Find sounds by what they sound like.",
        # FastAPI's own would fetch scripts from another site.
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
            Middleware(
                CORSMiddleware, allow_origins=web.origins, allow_methods=["GET"], allow_headers=["Authorization"]
            ),
            Middleware(Guard, web=web),
        ],
        dependencies=[] if web.token is None else [Depends(HTTPBearer(auto_error=False))],
    )

    app.add_exception_handler(RequestValidationError, _refuse_invalid)
    app.add_exception_handler(StarletteHTTPException, _refuse)

    @app.get("/", summary="What this is, and what can be asked", response_model=_Overview, responses=_WHO)
    async def overview() -> _Overview:
        operations = app.openapi()["paths"]
        endpoints = {path: operation["get"]["summary"] for path, operation in operations.items() if path != "/"}
        more = {"/docs": "All of this as a page", "/openapi.json": "All of this for programs"}
        # A name that is not UTF-8 has no place in JSON.
        stores = [str(one).encode(errors="backslashreplace").decode() for one in answering.directories]
        return _Overview(name="pe-search", version=__version__, store=", ".join(stores), endpoints=endpoints | more)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        policy = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return Response(page_of(app.openapi()), media_type="text/html", headers=policy)

    @app.get(
        "/hits",
        dependencies=[Depends(_refuse_unknown)],
        summary="The clips that sound most like a text, have words, or in which they are said",
        response_model=Hits,
        responses=_WHO
        | {
            400: {
                "model": Refusal,
                "description": "There is no such parameter; or the Host header names another machine",
                "content": {"text/plain": {}},
            },
            413: {"model": Refusal, "description": "More hits or windows than one request may ask for"},
            422: {"model": Refusal, "description": "A parameter is missing, or its value is not valid"},
            500: {"model": Refusal, "description": "The store can't be searched"},
            503: {"model": Refusal, "description": "Too many requests at once, or the server is ending"},
        },
    )
    async def hits(
        connection: HttpRequest,
        text: Annotated[
            list[Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, pattern=r"\S")]] | None,
            Parameter(min_length=1, max_length=MOST_TEXTS, description="What to look for; each is a query of its own"),
        ] = None,
        words: Annotated[
            str | None,
            Parameter(
                max_length=LONGEST_TEXT,
                description='What names, folders, tags and descriptions have: kick 808, kick*, "kick drum", -loop. '
                "With a text, both rankings are fused; without, no model is needed",
            ),
        ] = None,
        said: Annotated[
            str | None,
            Parameter(max_length=LONGEST_TEXT, description="What is said, by transcripts; likewise. Not with words"),
        ] = None,
        k: Annotated[
            Annotated[int, Field(ge=1, le=MOST_HITS)] | Literal["all"],
            Parameter(description=f"The k best hits of each query, or all; at most {MOST_HITS} in all"),
        ] = 10,
        under: Annotated[
            str | None,
            Parameter(max_length=LONGEST_PATH, pattern=ABSOLUTE, description="Only clips below this absolute path"),
        ] = None,
        all_windows: Annotated[bool, Parameter(description="Every window of a clip, not only its best")] = False,
        min_probability: Annotated[
            float, Parameter(ge=0, le=1, allow_inf_nan=False, description="Leave out hits below it")
        ] = 0.0,
        exact: Annotated[bool, Parameter(description="Go through every window of a large store")] = False,
        length: Annotated[_Filter, Parameter(description="Only clips this long, in s: 0.1-2, 1:30- or -5")] = None,
        rate: Annotated[_Filter, Parameter(description="Only files with this sample rate: 44100-")] = None,
        channels: Annotated[_Filter, Parameter(description="Only files with this many channels: 2, 1-2")] = None,
        name: Annotated[_Names, Parameter(description="Only names that match one of these patterns")] = None,
        tag: Annotated[_Names, Parameter(description="Only clips that have all of these tags of yours")] = None,
        recorded: Annotated[_Filter, Parameter(description="Only from then: 2024-06, 2024-06-01..2024-06-30")] = None,
        hour: Annotated[_Filter, Parameter(description="Only from this time of day: 4:30-7, 22-4")] = None,
        loudness: Annotated[_Filter, Parameter(description="Only clips this loud, in LUFS: -30..-14")] = None,
        bpm: Annotated[_Filter, Parameter(description="Only clips of this tempo: 118-122")] = None,
        fields: Annotated[
            str | None,
            Parameter(pattern=f"^{_NAME}(,{_NAME})*$", max_length=1_000, description="Only these: path,at,tags"),
        ] = None,
    ) -> Response:
        if missing := _missing(connection):
            raise HTTPException(422, missing)
        typed = {"length": length, "rate": rate, "channels": channels, "name": name, "tag": tag}
        try:
            filters = read_filters(typed | {"recorded": recorded, "hour": hour, "loudness": loudness, "bpm": bpm})
        except FilterTextError as error:
            raise HTTPException(422, f"{error.name}: {error}.") from None
        with refusals():
            request = request_of(
                text or (),
                words,
                said,
                k=None if k == "all" else k,
                under=under,
                all_windows=all_windows,
                min_probability=min_probability,
                exact=exact,
                filters=filters,
            )
            answers = await replies(answering, request, connection)
            found = [hit for answer in answers for hit in answer.hits]
            rows = [hit.to_dict() for hit in found]
            if fields is not None:
                shown = named(dict.fromkeys(fields.split(",")), HIT_FIELDS)
                rows = await asyncio.wrap_future(answering.describe(found, shown))
        # ASCII only, so that a name that is not UTF-8 survives, as in JSON Lines.
        return Response(json.dumps({"hits": rows}).encode("ascii"), media_type="application/json")

    if web.page_key is not None:
        # Who wants no page need not wait for it.
        from pe_search.serving.page.routes import page_routes

        app.include_router(page_routes(answering, web))
    return app


class HttpServer(uvicorn.Server):
    """Serves an application on a socket until `stop`."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_PatientProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                h11_max_incomplete_event_size=_LONGEST_HEAD_BYTES,
                timeout_graceful_shutdown=1,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone; `server` minds them."""
        yield

    def stop(self) -> None:
        """Stop it soon."""
        self.should_exit = True


class _PatientProtocol(H11Protocol):
    """Cuts off whoever connects and doesn't say what they want within some seconds, also after an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_request()

    def on_response_complete(self) -> None:
        # The next request may be there already, and begins in here.
        self._wait_for_request()
        super().on_response_complete()

    def _wait_for_request(self) -> None:
        before = self.cycle

        def expire() -> None:
            if self.cycle is before:
                self.transport.abort()

        self.loop.call_later(PATIENCE_S, expire)

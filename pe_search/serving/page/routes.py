"""All that the page asks of the server, and its own files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, HTTPException
from fastapi import Query as Parameter
from fastapi import Request as HttpRequest
from starlette.responses import RedirectResponse, Response

from pe_search import __version__
from pe_search.directories import shown_store
from pe_search.known.fields import HIT_FIELDS, all_of
from pe_search.library import Library
from pe_search.serving.answering import Answering
from pe_search.serving.guard import PAGE
from pe_search.serving.page.asked import Asked, paths_of
from pe_search.serving.page.files import HEADERS, file_response
from pe_search.serving.page.keys import needs_key, needs_pass, pass_of
from pe_search.serving.page.listening import listening_routes, sound_routes
from pe_search.serving.page.mapping import map_routes
from pe_search.serving.page.overview import overview_routes
from pe_search.serving.page.rows import rows_of, shown_name
from pe_search.serving.page.showing import check_sort, field_names, in_order
from pe_search.serving.page.sounds import Sounds
from pe_search.serving.page.standing import Standings, sum_of_tags
from pe_search.serving.page.teaching import teaching_routes
from pe_search.serving.replies import ROW_FIELDS, as_json, refusals, replies
from pe_search.serving.web import Web

_Made = TypeVar("_Made")


def page_routes(answering: Answering, web: Web) -> APIRouter:
    """The routes of the page, all of them below `/page`.

    Args:
        answering: Finds the answers.
        web: Has the key.
    """
    assert web.page_key is not None
    key, sounds, standings = web.page_key, Sounds(), Standings()
    data = APIRouter(dependencies=[Depends(needs_key(key))])

    async def work(do: Callable[[Library], _Made]) -> _Made:
        with refusals():
            return await asyncio.wrap_future(answering.work(do))

    @data.get("/state")
    async def state() -> Response:
        def read(library: Library) -> dict[str, Any]:
            now = standings.of(library)
            statuses = [one.status for one in now]
            first = statuses[0]
            return {
                "version": __version__,
                "stores": [{"path": shown_store(one.store), "name": shown_name(one.store)} for one in statuses],
                "clips": sum(one.clips for one in statuses),
                "windows": sum(one.windows for one in statuses),
                "audio_s": sum(one.audio_s for one in statuses),
                "model": first.model,
                "window_s": first.window_s,
                "changes_sound": any(one.hearing.level != "none" or one.hearing.speed != 1 for one in statuses),
                "with_time": sum(one.with_time for one in statuses),
                "tags": sum_of_tags(one.tags for one in now),
                "fields": all_of(HIT_FIELDS),
                "pass": pass_of(key),
            }

        return as_json(await work(read))

    @data.get("/hits")
    async def hits(connection: HttpRequest, asked: Annotated[Asked, Parameter()]) -> Response:
        began_s = time.perf_counter()
        with refusals():
            shown, named_clips = field_names(asked.fields), asked.clips
            check_sort(asked.sort, is_reversed=asked.reverse)
            # Most queries name no clip, and need not wait for a picture that is being drawn.
            paths = await work(lambda library: paths_of(library, named_clips)) if named_clips else {}
            request = asked.request(paths, sounds)
            (reply,) = await replies(answering, request, connection)
            read = dict.fromkeys((*ROW_FIELDS, *shown, *([asked.sort] if asked.sort else [])))
            rows = await rows_of(answering, reply.hits, tuple(read))
        for row, hit in zip(rows, reply.hits, strict=True):
            row["said_marks"] = [] if hit.said is None else hit.said.marks
            row["fields"] = {name: row[name] for name in shown}
        rows = in_order(rows, asked.sort, is_reversed=asked.reverse)
        took_ms = round(1_000 * (time.perf_counter() - began_s), 1)
        problems = [f"{problem.path}: {problem.reason}" for problem in reply.problems]
        return as_json({"hits": rows, "took_ms": took_ms, "problems": problems})

    @data.post("/sounds")
    async def keep_sound(connection: HttpRequest) -> Response:
        name, path = await sounds.keep(connection)
        try:
            clip = await work(lambda library: library.describe(path))
        except HTTPException as error:
            sounds.drop(name)
            # It is named as the server calls it, which nobody knows.
            raise HTTPException(422, error.detail.replace(f"{path}: ", "The sound: ")) from None
        return as_json({"id": name, "length_s": clip.duration_s})

    data.include_router(listening_routes(work))
    data.include_router(teaching_routes(work))
    data.include_router(map_routes(work, answering, standings))
    data.include_router(overview_routes(work, answering, sounds))
    router = APIRouter(prefix=PAGE, include_in_schema=False)
    router.include_router(data)
    router.include_router(sound_routes(work), dependencies=[Depends(needs_pass(key))])

    @router.get("")
    async def to_page() -> Response:
        return RedirectResponse(f"{PAGE}/", headers=HEADERS)

    @router.get("/")
    async def index(connection: HttpRequest) -> Response:
        return await static("index.html", connection)

    @router.get("/{name}")
    async def static(name: str, connection: HttpRequest) -> Response:
        found = file_response(name, connection.headers.get("if-none-match"))
        if found is None:
            raise HTTPException(404, "The page has no such file.")
        return found

    return router

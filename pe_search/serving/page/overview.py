"""The whole store on the page: counts, duplicates and outliers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from fastapi import Query as Parameter
from starlette.responses import Response

from pe_search.known.fields import HIT_FIELDS, named
from pe_search.library import Library
from pe_search.queries import Hit, Request
from pe_search.reports import UNKNOWN
from pe_search.serving.answering import Answering
from pe_search.serving.page.asked import Asked, Number, paths_of, store_of
from pe_search.serving.page.rows import rows_of, whole
from pe_search.serving.page.sounds import Sounds
from pe_search.serving.replies import Work, as_json

_MOST_ROWS = 10_000
_MOST_GROUPS = 1_000
_HOURS = 24


def overview_routes(work: Work, answering: Answering, sounds: Sounds) -> APIRouter:
    """The views of the whole store. They need the key."""
    routes = APIRouter()
    one_at_a_time = asyncio.Lock()

    @routes.get("/counts")
    async def counts(asked: Annotated[Asked, Parameter()]) -> Response:
        """How many windows sound like each text, by day and hour of the day, as `Library.count` has them.

        Likewise, in how many places words are said.
        """

        def count(library: Library) -> dict[str, Any]:
            if not (asked.text or asked.said) or asked.hour:
                raise HTTPException(422, "Counts need a text or what is said, and no filter by hour.")
            paths = paths_of(library, asked.clips)
            request = asked.request(paths, sounds)
            share = asked.min_probability or 0.5
            found: dict[str, dict[str, list[list[int]]]] = {}
            if asked.text:
                under, filters = request.under, request.filters
                one = library.count(asked.text, by="day-hour", min_probability=share, under=under, filters=filters)
                for text, name, number, total in one.rows():
                    day, _, hour = name.partition("T")
                    if name != UNKNOWN:
                        of_day = found.setdefault(day, {}).setdefault(text, [[0] * _HOURS, [0] * _HOURS])
                        of_day[0][int(hour)], of_day[1][int(hour)] = number, total
            days = [{"day": day, "counts": found[day]} for day in sorted(found)]
            said = _said_by_hour(library, asked.places.request(paths, sounds)) if asked.said else {}
            said_days = [{"day": day, "counts": said[day]} for day in sorted(said)]
            return {"texts": asked.text, "days": days, "said_days": said_days, "min_probability": share}

        async with one_at_a_time:
            return as_json(await work(count))

    @routes.get("/duplicates")
    async def duplicates(store: Number = 0) -> Response:
        def find(library: Library) -> tuple[list[Hit], int]:
            library = store_of(library, store)
            hits: list[Hit] = []
            groups = library.duplicates()
            for rank, group in enumerate(groups[:_MOST_GROUPS], start=1):
                known = library.known([one.path for one in group])
                hits += [replace(whole(known[one.path], rank), score=one.cosine) for one in group]
            return hits[:_MOST_ROWS], len(groups)

        async with one_at_a_time:
            hits, groups = await work(find)
        return as_json({"hits": await rows_of(answering, hits), "groups": groups})

    @routes.get("/outliers")
    async def outliers(store: Number = 0) -> Response:
        def find(library: Library) -> list[Hit]:
            library = store_of(library, store)
            found = library.outliers(200)
            known = library.known([path for path, _ in found])
            return [
                replace(whole(known[path], rank), score=cosine) for rank, (path, cosine) in enumerate(found, start=1)
            ]

        async with one_at_a_time:
            hits = await work(find)
        return as_json({"hits": await rows_of(answering, hits)})

    return routes


def _said_by_hour(library: Library, request: Request) -> dict[str, list[int]]:
    """In how many places words are said, by day and hour of the day."""
    (answer,) = library.answers(request)
    found: dict[str, list[int]] = {}
    for row in library.describer(named(("at",), HIT_FIELDS)).rows(answer.hits):
        # Nor has a window of which that isn't known an hour.
        if (at := row["at"]) is not None:
            found.setdefault(at[:10], [0] * _HOURS)[int(at[11:13])] += 1
    return found

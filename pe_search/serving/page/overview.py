"""The whole store on the page: the map, counts, duplicates and outliers."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException
from fastapi import Query as Parameter
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from starlette.responses import Response

from pe_search.known.fields import HIT_FIELDS, named
from pe_search.library import Library
from pe_search.probability import probabilities
from pe_search.queries import Hit, Request
from pe_search.records import IndexedClip
from pe_search.serving.answering import Answering
from pe_search.serving.page.asked import Asked, Texts, paths_of
from pe_search.serving.page.sounds import Sounds
from pe_search.serving.page.standing import Standings
from pe_search.serving.replies import ROW_FIELDS, Work, as_json, refusals

if TYPE_CHECKING:
    from pe_search.reports import SoundMap

_NONE_BYTE, _NONE_SHORT = 255, 65_535
_MOST_ROWS = 10_000
_MOST_GROUPS = 1_000
_HOURS = 24


class _Chosen(BaseModel):
    mark: str = Field(max_length=100)
    dots: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, max_length=_MOST_ROWS)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A map, with the state of the store that it is of."""

    mark: str
    held: SoundMap
    clips: tuple[IndexedClip, ...]


def overview_routes(work: Work, answering: Answering, sounds: Sounds, standings: Standings) -> APIRouter:
    """The views of the whole store. They need the key."""
    routes = APIRouter()
    drawn: list[_Drawn] = []
    one_at_a_time = asyncio.Lock()

    def current(library: Library) -> _Drawn:
        mark = standings.of(library).mark
        if not drawn or drawn[0].mark != mark:
            held = library.sound_map()
            known = library.known(held.paths)
            drawn[:] = [_Drawn(mark, held, tuple(known[path] for path in held.paths))]
        return drawn[0]

    async def rows_of(hits: list[Hit]) -> list[dict[str, Any]]:
        with refusals():
            return await asyncio.wrap_future(answering.describe(hits, named(ROW_FIELDS, HIT_FIELDS)))

    @routes.get("/map")
    async def sound_map(label: Annotated[Texts, Parameter()] = []) -> Response:  # noqa: B006
        """All dots, each column as base64 of little-endian numbers: places, folder, tag, hour, and label."""

        def draw(library: Library) -> dict[str, Any]:
            one = current(library)
            folders = sorted({str(clip.path.parent) for clip in one.clips})[:_NONE_SHORT]
            tags = sorted({tag for clip in one.clips for tag in clip.tags})[:_NONE_SHORT]
            folder_of, tag_of = ({name: number for number, name in enumerate(names)} for names in (folders, tags))
            return {
                "mark": one.mark,
                "count": len(one.clips),
                "folders": folders,
                "tags": tags,
                "labels": label,
                "points": _packed(np.rint(one.held.points * 65_535), "<u2"),
                "folder": _packed([folder_of.get(str(clip.path.parent), _NONE_SHORT) for clip in one.clips], "<u2"),
                "tag": _packed([tag_of[clip.tags[0]] if clip.tags else _NONE_SHORT for clip in one.clips], "<u2"),
                "hour": _packed([_hour(clip) for clip in one.clips], "u1"),
                "label": _packed(_labels(library, one.held.means, label), "u1"),
            }

        async with one_at_a_time:
            return as_json(await work(draw))

    @routes.post("/map/rows")
    async def map_rows(chosen: _Chosen) -> Response:
        def find(library: Library) -> list[Hit]:
            one = current(library)
            if one.mark != chosen.mark or max(chosen.dots) >= len(one.clips):
                raise HTTPException(409, "The store has changed. Reload the map.")
            return [_whole(one.clips[dot], rank) for rank, dot in enumerate(chosen.dots, start=1)]

        async with one_at_a_time:
            hits = await work(find)
        return as_json({"hits": await rows_of(hits)})

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
            for hour in range(_HOURS if asked.text else 0):
                filters = replace(request.filters, hours=(hour, hour + 1))
                one = library.count(asked.text, by="day", min_probability=share, under=request.under, filters=filters)
                for text, day, number, total in one.rows():
                    of_day = found.setdefault(day, {}).setdefault(text, [[0] * _HOURS, [0] * _HOURS])
                    of_day[0][hour], of_day[1][hour] = number, total
            days = [{"day": day, "counts": found[day]} for day in sorted(found)]
            said = _said_by_hour(library, asked.places.request(paths, sounds)) if asked.said else {}
            said_days = [{"day": day, "counts": said[day]} for day in sorted(said)]
            return {"texts": asked.text, "days": days, "said_days": said_days, "min_probability": share}

        async with one_at_a_time:
            return as_json(await work(count))

    @routes.get("/duplicates")
    async def duplicates() -> Response:
        def find(library: Library) -> list[Hit]:
            hits = []
            for rank, group in enumerate(library.duplicates()[:_MOST_GROUPS], start=1):
                known = library.known([one.path for one in group])
                hits += [replace(_whole(known[one.path], rank), score=one.cosine) for one in group]
            return hits[:_MOST_ROWS]

        async with one_at_a_time:
            hits = await work(find)
        return as_json({"hits": await rows_of(hits)})

    @routes.get("/outliers")
    async def outliers() -> Response:
        def find(library: Library) -> list[Hit]:
            found = library.outliers(200)
            known = library.known([path for path, _ in found])
            return [
                replace(_whole(known[path], rank), score=cosine) for rank, (path, cosine) in enumerate(found, start=1)
            ]

        async with one_at_a_time:
            hits = await work(find)
        return as_json({"hits": await rows_of(hits)})

    return routes


def _whole(clip: IndexedClip, rank: int) -> Hit:
    return Hit("", rank, Path(clip.path), 0.0, clip.duration_s or 0.0, None, None)


def _said_by_hour(library: Library, request: Request) -> dict[str, list[int]]:
    """In how many places words are said, by day and hour of the day."""
    (answer,) = library.answers(request)
    found: dict[str, list[int]] = {}
    for row in library.describer(named(("at",), HIT_FIELDS)).rows(answer.hits):
        # Nor has a window of which that isn't known an hour.
        if (at := row["at"]) is not None:
            found.setdefault(at[:10], [0] * _HOURS)[int(at[11:13])] += 1
    return found


def _hour(clip: IndexedClip) -> int:
    return _NONE_BYTE if clip.recorded_at is None else int(clip.recorded_at[11:13])


def _labels(library: Library, means: NDArray[np.float32], labels: list[str]) -> NDArray[np.uint8]:
    """The label that fits each clip best; none where none is at least as likely as not."""
    if not labels or not len(means):
        return np.full(len(means), _NONE_BYTE, np.uint8)
    manifest = library.manifest
    scores = means @ library.embed_text(labels).T
    best = scores.argmax(axis=1)
    likely = probabilities(scores[np.arange(len(best)), best], manifest.logit_scale, manifest.logit_bias) >= 0.5
    return np.where(likely, best, _NONE_BYTE).astype(np.uint8)


def _packed(numbers: Any, kind: str) -> str:
    return b64encode(np.asarray(numbers).astype(kind).tobytes()).decode()

"""Clips as they are seen and heard on the page: pictures, spans, and sound by ranges (RFC 9110, section 14)."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, HTTPException
from fastapi import Path as Place
from fastapi import Query as Parameter
from fastapi import Request as HttpRequest
from starlette.responses import FileResponse, Response

from pe_search.library import Library
from pe_search.queries import Hit, Query
from pe_search.records import Segment
from pe_search.serving.page.asked import ID, Texts, held_clip
from pe_search.serving.replies import Work, as_json
from pe_search.viewer import MOST_COLUMNS

_Made = TypeVar("_Made")

Id = Annotated[str, Place(pattern=ID)]
Start = Annotated[float, Parameter(alias="from", ge=0, allow_inf_nan=False)]
End = Annotated[float | None, Parameter(alias="to", gt=0, allow_inf_nan=False)]
Columns = Annotated[int, Parameter(ge=1, le=MOST_COLUMNS)]
# `strip.js` asks for an hour at a time.
_LONGEST_WAVE_S = 3 * 3_600
# No file has more bytes than that, and Python makes no number of thousands of digits.
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def listening_routes(work: Work) -> APIRouter:
    """Pictures, spans and what is said. They need the key."""
    routes = APIRouter()

    @routes.get("/clips/{digest}")
    async def about(digest: Id) -> Response:
        def read(library: Library) -> dict[str, Any]:
            one, clip = held_clip(library, digest)
            hearing = one.manifest.hearing
            return {
                "name": clip.path.name,
                "length_s": clip.duration_s,
                "is_playable": one.browser_type(clip.path) is not None,
                "highest_hz": one.highest_hz(clip),
                "level": hearing.level,
                "speed": hearing.speed,
            }

        return as_json(await work(read))

    @routes.get("/gain/{digest}")
    async def gain(digest: Id, start_s: Start, end_s: End) -> Response:
        """By how many decibels the store's level makes a part louder."""

        def measure(library: Library) -> float:
            one, clip = held_clip(library, digest)
            if end_s is None:
                raise HTTPException(422, "to is missing.")
            return _checked(lambda: one.gain_db(clip.path, start_s, end_s))

        return as_json({"gain_db": await work(measure)})

    @routes.get("/said/{digest}")
    async def said(digest: Id) -> Response:
        def read(library: Library) -> list[dict[str, Any]]:
            one, clip = held_clip(library, digest)
            found = one.transcripts(clip.path)
            return [
                {
                    "engine": said.engine,
                    "language": said.language,
                    "until_s": said.until_s,
                    "segments": [_segment(one) for one in said.segments],
                }
                for transcripts in found.values()
                for said in transcripts
            ]

        return as_json({"transcripts": await work(read)})

    @routes.get("/peaks/{digest}")
    async def peaks(digest: Id, start_s: Start = 0.0, end_s: End = None, columns: Columns = 600) -> Response:
        def draw(library: Library) -> bytes:
            one, clip = held_clip(library, digest)
            # Of a day, one picture would take minutes, and others wait for it.
            length_s = clip.duration_s or 0.0
            if min(length_s if end_s is None else end_s, length_s) - start_s > _LONGEST_WAVE_S + 1:
                raise HTTPException(422, f"from and to must be a part of at most {_LONGEST_WAVE_S / 3600:g} hours.")
            return _checked(lambda: one.peaks(clip.path, start_s=start_s, end_s=end_s, columns=columns).tobytes())

        return _picture(await work(draw))

    @routes.get("/spectrogram/{digest}")
    async def spectrogram(digest: Id, start_s: Start = 0.0, end_s: End = None, columns: Columns = 600) -> Response:
        def draw(library: Library) -> bytes:
            one, clip = held_clip(library, digest)
            return _checked(lambda: one.spectrogram(clip.path, start_s=start_s, end_s=end_s, columns=columns).tobytes())

        return _picture(await work(draw))

    @routes.get("/spans/{digest}")
    async def spans(digest: Id, start_s: Start, end_s: End, text: Annotated[Texts, Parameter()]) -> Response:
        def listen(library: Library) -> list[dict[str, float]]:
            if end_s is None or end_s <= start_s or end_s - start_s > 60:
                raise HTTPException(422, "from and to must be a part of at most 60 s.")
            query = Query(texts=tuple(text))
            one, clip = held_clip(library, digest)
            hit = Hit(query.name, 1, clip.path, start_s, end_s, None, None)
            problems: list[str] = []
            (found,) = one.locator([query]).with_spans([hit], one.clip, lambda problem: problems.append(problem.reason))
            if found.spans is None:
                raise HTTPException(422, f"The clip can't be listened to: {'; '.join(problems)}.")
            return [
                {"start_s": span.start_s, "end_s": span.end_s, "probability": span.probability} for span in found.spans
            ]

        return as_json({"spans": await work(listen)})

    return routes


def sound_routes(work: Work) -> APIRouter:
    """Sound, for players and for whoever drags it out of the page. They need the pass."""
    routes = APIRouter()

    @routes.get("/audio/{digest}")
    async def audio(
        connection: HttpRequest, digest: Id, start_s: Start = 0.0, end_s: End = None, original: bool = False
    ) -> Response:
        """The file as it is where browsers play it and no end is given; else the part, as WAV."""

        def find(library: Library) -> tuple[Path, str] | bytes:
            one, clip = held_clip(library, digest)
            kind = one.browser_type(clip.path) if end_s is None else None
            if kind is not None:
                return clip.path, kind
            if end_s is None:
                raise HTTPException(422, "Browsers can't play this file; ask for a part, with from and to.")
            return _checked(lambda: one.playable(clip.path, start_s, end_s, original=original))

        found = await work(find)
        headers = {"Cache-Control": "no-store"}
        if isinstance(found, bytes):
            return _ranged(found, connection.headers.get("range"), headers)
        return FileResponse(found[0], media_type=found[1], headers=headers)

    @routes.get("/file/{digest}")
    async def file(digest: Id, start_s: Start = 0.0, end_s: End = None) -> Response:
        """The file, or a part of it as FLAC, to be saved; under the name of the clip."""

        def find(library: Library) -> tuple[Path, None] | tuple[str, bytes]:
            one, clip = held_clip(library, digest)
            one.check_unchanged(clip.path)
            if end_s is None:
                return clip.path, None
            with tempfile.TemporaryDirectory(prefix="pe-search-page-") as folder:
                span = Hit("", 1, clip.path, start_s, end_s, None, None)
                (cut,) = one.cut(clip.path, [span], folder)
                return cut.name, cut.read_bytes()

        name, cut = await work(find)
        if cut is None:
            return FileResponse(name, media_type="application/octet-stream", headers=_saved_as(name.name))
        return Response(cut, media_type="audio/flac", headers=_saved_as(name))

    return routes


def _segment(one: Segment) -> dict[str, Any]:
    """A segment; of its words there may be a hundred thousand in a transcript, so they are lists."""
    words = [(word.start_s, word.end_s, word.word) for word in one.words]
    return {"start_s": one.start_s, "end_s": one.end_s, "text": one.text, "words": words}


def _saved_as(name: str) -> dict[str, str]:
    """Have a browser save it under a name (RFC 6266), whatever bytes the name is of."""
    shown = name.encode(errors="surrogateescape").decode(errors="replace")
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(shown, safe='')}", "Cache-Control": "no-store"}


def _picture(made: bytes) -> Response:
    # A clip that changes has another digest. A server with another key may have a store that hears it otherwise.
    headers = {"Cache-Control": "private, max-age=86400", "Vary": "Authorization"}
    return Response(made, media_type="application/octet-stream", headers=headers)


def _checked(make: Callable[[], _Made]) -> _Made:
    try:
        return make()
    except ValueError as error:
        raise HTTPException(422, f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


def _ranged(held: bytes, wanted: str | None, headers: dict[str, str]) -> Response:
    """A WAV file, or the one range of its bytes that is asked for; anything else is answered with all of it."""
    headers = headers | {"Accept-Ranges": "bytes"}
    found = _RANGE.fullmatch(wanted or "")
    if found is None or not any(found.groups()):
        return Response(held, media_type="audio/wav", headers=headers)
    first, last = found.groups()
    start = int(first) if first else max(len(held) - int(last), 0)
    stop = min(int(last) + 1, len(held)) if first and last else len(held)
    if not start < stop:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{len(held)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(held)}"
    return Response(held[start:stop], 206, media_type="audio/wav", headers=headers)

"""What the page writes: tags of clips, and what is judged for words. A writer of the library does it, one at a time."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from fastapi import Query as Parameter
from pydantic import BaseModel, Field
from starlette.responses import Response

from pe_search.errors import StoreError
from pe_search.library import Library
from pe_search.queries import Reference
from pe_search.serving.page.asked import ID, held_clip
from pe_search.serving.page.standing import sum_of_tags
from pe_search.serving.replies import Work, as_json

_MOST_CLIPS = 10_000
_WORD = r"^@\w[\w.-]{0,98}$"
_Tag = Annotated[str, Field(min_length=1, max_length=100)]


class _Tagging(BaseModel):
    clips: list[Annotated[str, Field(pattern=ID)]] = Field(min_length=1, max_length=_MOST_CLIPS)
    add: list[_Tag] = Field(default=[], max_length=20)
    remove: list[_Tag] = Field(default=[], max_length=20)


class _Judging(BaseModel):
    word: str = Field(pattern=_WORD)
    clip: str = Field(pattern=ID)
    start_s: float = Field(ge=0, allow_inf_nan=False)
    end_s: float = Field(gt=0, allow_inf_nan=False)
    verdict: Literal["yes", "no", "unsure"]
    text: str | None = Field(None, min_length=1, max_length=1_000, description="What a new word starts from")


def teaching_routes(work: Work) -> APIRouter:
    """Tags and judgements. They need the key."""
    routes = APIRouter()
    # The store has one writer; a second one would fail at once, and not wait.
    one_at_a_time = asyncio.Lock()

    async def write(do: Any) -> Any:
        def tried(library: Library) -> Any:
            try:
                return do(library)
            except StoreError as error:
                raise HTTPException(409, str(error)) from error
            except ValueError as error:
                raise HTTPException(422, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error

        async with one_at_a_time:
            return await work(tried)

    @routes.post("/tags")
    async def tag(given: _Tagging) -> Response:
        def put(library: Library) -> dict[str, Any]:
            held = [held_clip(library, digest) for digest in given.clips]
            for one in library.stores:
                paths = [clip.path for store, clip in held if store is one]
                if paths:
                    one.tag(paths, add=given.add, remove=given.remove)
            library.close()
            tags = {name: list(held_clip(library, name)[1].tags) for name in given.clips}
            return {"clips": tags, "tags": sum_of_tags(one.tags() for one in library.stores)}

        return as_json(await write(put))

    @routes.get("/words")
    async def words() -> Response:
        return as_json({"words": await work(lambda library: [asdict(word) for word in library.words()])})

    @routes.get("/judgements")
    async def judgements(word: Annotated[str, Parameter(pattern=_WORD)]) -> Response:
        def read(library: Library) -> list[dict[str, Any]]:
            return [
                {"clip": one.digest.hex(), "start_s": one.start_s, "end_s": one.end_s, "verdict": one.verdict}
                for one in library.judgements(word)
            ]

        return as_json({"judgements": await work(read)})

    @routes.post("/judgements")
    async def judge(given: _Judging) -> Response:
        def put(library: Library) -> dict[str, Any]:
            place = Reference(held_clip(library, given.clip)[1].path, (given.start_s, given.end_s))
            known = {one.word for one in library.words()}
            text = given.text if given.word not in known else None
            return asdict(library.learn(given.word, text=text, **{given.verdict: place}))

        return as_json({"word": await write(put)})

    return routes

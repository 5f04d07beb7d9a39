"""The map on the page: by principal components at once, and by PaCMAP, which is made aside, when it is there."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, HTTPException
from fastapi import Query as Parameter
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from starlette.responses import Response

from pe_search.errors import MissingExtraError, PeSearchError
from pe_search.library import Library
from pe_search.probability import probabilities
from pe_search.queries import Hit
from pe_search.records import IndexedClip
from pe_search.serving.answering import Answering, StoppedError
from pe_search.serving.page.asked import Number, Texts, store_of
from pe_search.serving.page.rows import rows_of, whole
from pe_search.serving.page.standing import Standings
from pe_search.serving.replies import Work, as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from pe_search.maps import SoundMap

_NONE_BYTE, _NONE_SHORT = 255, 65_535
_MOST_ROWS = 10_000
_MOST_MARKS = 100

Of = Literal["clips", "windows"]


class _Chosen(BaseModel):
    mark: str = Field(max_length=100)
    of: Of = "clips"
    store: int = Field(0, ge=0, le=1_000)
    dots: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, max_length=_MOST_ROWS)


@dataclass(slots=True)
class _Drawn:
    """A map, with the state of the store that it is of.

    Attributes:
        mark: Of the state of the store.
        before: Marks of earlier states with the same dots, as before clips were tagged.
        windows: How many the store has, drawn or not.
        better: That by PaCMAP, once it is there.
        making: Whether that is being made.
        why: Why there is none, in words.
    """

    mark: str
    windows: int
    held: SoundMap
    clips: tuple[IndexedClip, ...]
    before: tuple[str, ...] = ()
    better: SoundMap | None = None
    making: bool = False
    why: str = ""

    @property
    def state(self) -> dict[str, str]:
        """Whether there is a better map, as the page asks for it."""
        is_ready = self.better is not None
        return {"better": "ready" if is_ready else "making" if self.making else "none", "why": self.why}


def map_routes(work: Work, answering: Answering, standings: Standings) -> APIRouter:
    """The map. It needs the key."""
    routes = APIRouter()
    drawn: dict[tuple[int, str], _Drawn] = {}
    one_at_a_time = asyncio.Lock()

    def current(library: Library, store: int, of: Of) -> _Drawn:
        library = store_of(library, store)
        (standing,) = standings.of(library)
        mark = standing.mark
        last = drawn.get((store, of))
        if last is None or last.mark != mark:
            held = library.sound_map(of=of)
            known = library.known(list(dict.fromkeys(held.paths)))
            now = _Drawn(mark, standing.status.windows, held, tuple(known[path] for path in held.paths))
            if last is not None and last.held.paths == held.paths and np.array_equal(last.held.times, held.times):
                now.before = (*last.before, last.mark)[-_MOST_MARKS:]
            drawn[store, of] = now
        return drawn[store, of]

    def improve(one: _Drawn, library: Library, store: int) -> None:
        """Take the better map if it is kept, or have it made aside."""
        if one.better is not None or one.making or one.why:
            return
        one.better = library.laid_out(one.held, only_kept=True)
        if one.better is not None:
            return

        def make(own: Library, check: Callable[[], None]) -> None:
            try:
                one.better = store_of(own, store).laid_out(one.held, check=check)
                # Of a few dots there is none, and nothing to say about it.
                one.why = "" if one.better is not None else " "
            except StoppedError:
                raise
            except MissingExtraError as error:
                one.why = str(error)
            except (PeSearchError, OSError) as error:
                one.why = str(error)
            finally:
                one.making = False

        one.making = True
        answering.aside(make)

    @routes.get("/map")
    async def sound_map(
        of: Of = "clips",
        layout: Literal["pca", "pacmap"] | None = None,
        store: Number = 0,
        label: Annotated[Texts, Parameter()] = [],  # noqa: B006
    ) -> Response:
        """All dots, each column as base64 of little-endian numbers: places, folder, tag, hour, and label.

        Without a layout, the better map if it is there.
        """

        def draw(library: Library) -> dict[str, Any]:
            one = current(library, store, of)
            library = store_of(library, store)
            if layout != "pca":
                improve(one, library, store)
            shown = one.better if layout != "pca" and one.better is not None else one.held
            folders = sorted({str(clip.path.parent) for clip in one.clips})[:_NONE_SHORT]
            tags = sorted({clip.tags[0] for clip in one.clips if clip.tags})[:_NONE_SHORT]
            firsts = [clip.tags[0] if clip.tags else "" for clip in one.clips]
            folder_of, tag_of = ({name: number for number, name in enumerate(names)} for names in (folders, tags))
            return {
                "mark": one.mark,
                "of": of,
                "layout": shown.layout,
                "count": len(one.clips),
                "windows": one.windows,
                "folders": folders,
                "tags": tags,
                "labels": label,
                "points": _packed(np.rint(shown.points * 65_535), "<u2"),
                "folder": _packed([folder_of.get(str(clip.path.parent), _NONE_SHORT) for clip in one.clips], "<u2"),
                "tag": _packed([tag_of.get(first, _NONE_SHORT) for first in firsts], "<u2"),
                "hour": _packed([_hour(clip) for clip in one.clips], "u1"),
                "label": _packed(_labels(library, one.held.means, label), "u1"),
            } | one.state

        async with one_at_a_time:
            return as_json(await work(draw))

    @routes.get("/map/better")
    async def better(of: Of = "clips", store: Number = 0) -> Response:
        """Whether the map by PaCMAP is there by now."""
        one = drawn.get((store, of))
        return as_json({"better": "none", "why": ""} if one is None else one.state)

    @routes.post("/map/rows")
    async def map_rows(chosen: _Chosen) -> Response:
        def find(library: Library) -> list[Hit]:
            one = current(library, chosen.store, chosen.of)
            if chosen.mark not in (one.mark, *one.before) or max(chosen.dots) >= len(one.clips):
                raise HTTPException(409, "The store has changed. Reload the map.")
            times = one.held.times
            return [
                Hit("", rank, one.clips[dot].path, float(times[dot, 0]), float(times[dot, 1]), None, None)
                if chosen.of == "windows"
                else whole(one.clips[dot], rank)
                for rank, dot in enumerate(chosen.dots, start=1)
            ]

        async with one_at_a_time:
            hits = await work(find)
        return as_json({"hits": await rows_of(answering, hits)})

    return routes


def _hour(clip: IndexedClip) -> int:
    return _NONE_BYTE if clip.recorded_at is None else int(clip.recorded_at[11:13])


def _labels(library: Library, means: NDArray[np.float32], labels: list[str]) -> NDArray[np.uint8]:
    """The label that fits each dot best; none where none is at least as likely as not."""
    if not labels or not len(means):
        return np.full(len(means), _NONE_BYTE, np.uint8)
    manifest = library.manifest
    scores = means @ library.embed_text(labels).T
    best = scores.argmax(axis=1)
    likely = probabilities(scores[np.arange(len(best)), best], manifest.logit_scale, manifest.logit_bias) >= 0.5
    return np.where(likely, best, _NONE_BYTE).astype(np.uint8)


def _packed(numbers: Any, kind: str) -> str:
    return b64encode(np.asarray(numbers).astype(kind).tobytes()).decode()

"""What the page asks becomes a request: clips are named by the digests of their bytes, and never by a path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import HTTPException
from fastapi import Query as Parameter
from pydantic import BaseModel, ConfigDict, Field

from pe_search.errors import QueryError
from pe_search.known.typed_filters import FIELD_OF, FilterTextError, read_filters
from pe_search.known.words import check_said
from pe_search.library import Library
from pe_search.listener import check_words
from pe_search.queries import Query, Reference, Request, Term
from pe_search.records import IndexedClip
from pe_search.serving.answering import MOST_HITS
from pe_search.serving.bounds import ABSOLUTE, LONGEST_PATH
from pe_search.serving.page.sounds import PREFIX, Sounds

_LONGEST_TEXT = 1_000
_MOST_PARTS = 20
_WEIGHT = re.compile(r"(\d{1,4}(?:\.\d{1,3})?):(.+)", re.DOTALL)
# A digest, behind the number of its store unless that is the first.
_CLIP = r"(?:[1-9]\d{0,2}-)?[0-9a-f]{2,128}"
_REFERENCE = re.compile(rf"({_CLIP}|sound-[0-9a-f]{{16}})(?:@(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?))?")

ID = f"^{_CLIP}$"
"""How the page names a clip; see `name_of`."""
Number = Annotated[int, Parameter(ge=0, le=1_000)]
"""Of one of the stores."""
Text = Annotated[str, Field(min_length=1, max_length=_LONGEST_TEXT, pattern=r"\S")]
Texts = Annotated[list[Text], Field(max_length=_MOST_PARTS)]
_References = Annotated[
    list[Annotated[str, Field(pattern=f"^{_REFERENCE.pattern}$", max_length=200)]], Field(max_length=_MOST_PARTS)
]
_Filter = Annotated[str | None, Field(max_length=100)]
_Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=_LONGEST_TEXT)]], Field(max_length=_MOST_PARTS)]


class Asked(BaseModel):
    """The part of an address that says what is looked for."""

    model_config = ConfigDict(extra="forbid")

    text: Texts = []
    plus: Texts = []
    minus: Texts = []
    like: _References = []
    unlike: _References = []
    words: str = Field("", max_length=_LONGEST_TEXT)
    said: str = Field("", max_length=_LONGEST_TEXT)
    k: Annotated[int, Field(ge=1, le=MOST_HITS)] | Literal["all"] = 50
    sort: str = Field("", max_length=100)
    reverse: bool = False
    fields: str = Field("", max_length=_LONGEST_TEXT)
    clip: str | None = Field(None, pattern=ID)
    under: str | None = Field(None, max_length=LONGEST_PATH, pattern=ABSOLUTE)
    all_windows: bool = False
    min_probability: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    length: _Filter = None
    rate: _Filter = None
    channels: _Filter = None
    name: _Names = []
    tag: _Names = []
    recorded: _Filter = None
    hour: _Filter = None
    loudness: _Filter = None
    bpm: _Filter = None

    @property
    def clips(self) -> list[str]:
        """The digests of all clips that it names."""
        names = [text.partition("@")[0] for text in (*self.like, *self.unlike)]
        return [*(name for name in names if not name.startswith(PREFIX)), *([self.clip] if self.clip else [])]

    @property
    def places(self) -> Asked:
        """All places where what is said is said, whatever is heard there."""
        sound: dict[str, Any] = {name: [] for name in ("text", "plus", "minus", "like", "unlike")}
        every = {"words": "", "min_probability": 0.0, "all_windows": True, "k": MOST_HITS}
        return self.model_copy(update=sound | every)

    def request(self, paths: Mapping[str, Path], sounds: Sounds) -> Request:
        """The request to the store.

        Args:
            paths: Of `clips`, by digest.
            sounds: What was dropped on the page.

        Raises:
            HTTPException: If a filter can't be understood, or a sound is gone.
            QueryError: If the parts don't go together.
        """
        typed = {name: getattr(self, name) or None for name in FIELD_OF}
        try:
            filters = read_filters(typed)
        except FilterTextError as error:
            raise HTTPException(422, f"{error.name}: {error}.") from None
        query = Query(
            texts=tuple(self.text),
            plus=tuple(map(_term, self.plus)),
            minus=tuple(map(_term, self.minus)),
            like=_references(self.like, paths, sounds),
            unlike=_references(self.unlike, paths, sounds),
        )
        if not (query.has_sound or self.words or self.said):
            raise QueryError("There is nothing to look for: type a text or words, or add a sound.")
        if self.words:
            check_words(self.words, "words", beside_sound=query.has_sound)
        # What is said has places of its own, and all of them can be shown.
        of_sound = query.minus or query.unlike or self.min_probability or (self.all_windows and not self.said)
        if not query.has_sound and of_sound:
            raise QueryError("minus, unlike and a probability need a text, plus or like beside words.")
        under = None if not self.under else Path(self.under)
        request = Request(
            queries=(query,),
            k=None if self.k == "all" else self.k,
            under=paths[self.clip] if self.clip else under,
            all_windows=self.all_windows,
            min_probability=self.min_probability,
            filters=filters,
            words=self.words,
            said=self.said,
        )
        if self.said:
            check_said(self.said, request)
        return request


def paths_of(library: Library, names: Sequence[str]) -> dict[str, Path]:
    """The paths of the clips that some digests name, by digest.

    Raises:
        HTTPException: If no store has one.
    """
    return {name: held_clip(library, name)[1].path for name in names}


def held_clip(library: Library, name: str) -> tuple[Library, IndexedClip]:
    """The clip that a name stands for, with the store that has it.

    It is the store that the name has, or else the first that has the clip.

    Raises:
        HTTPException: If no store has it.
    """
    number, _, digits = name.rpartition("-")
    stores = library.stores
    if number:
        stores = (store_of(library, int(number)), *stores)
    digest = bytes.fromhex(digits) if len(digits) % 2 == 0 else b""
    found = next(((one, clip) for one in stores if (clip := one.clip_of(digest)) is not None), None)
    if found is None:
        raise HTTPException(404, "The store does not hold this clip any more.")
    return found


def name_of(digest: str, store: int) -> str:
    """How the page names a clip: its digest, behind the number of its store unless that is the first."""
    return f"{store}-{digest}" if store else digest


def store_of(library: Library, number: int) -> Library:
    """One of the stores.

    Raises:
        HTTPException: If there are not so many.
    """
    if number >= len(library.stores):
        raise HTTPException(404, "The page was opened with fewer stores.")
    return library.stores[number]


def _references(texts: Sequence[str], paths: Mapping[str, Path], sounds: Sounds) -> tuple[Reference, ...]:
    return tuple(_reference(text, paths, sounds) for text in texts)


def _reference(text: str, paths: Mapping[str, Path], sounds: Sounds) -> Reference:
    found = _REFERENCE.fullmatch(text)
    assert found is not None, "pydantic checked it"
    name, start, end = found.groups()
    path = sounds.path_of(name) if name.startswith(PREFIX) else paths[name]
    if path is None:
        raise HTTPException(404, "The dropped sound is gone: the server was started again. Drop it again.")
    if start is None:
        return Reference(path)
    place = float(start), float(end)
    if not place[0] < place[1]:
        raise QueryError(f"A part must end after it starts: {start}-{end}.")
    return Reference(path, place)


def _term(text: str) -> Term:
    found = _WEIGHT.fullmatch(text)
    return Term(found[2], float(found[1])) if found and float(found[1]) > 0 else Term(text)

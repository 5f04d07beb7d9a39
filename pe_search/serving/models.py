"""What the HTTP interface answers, as its description has it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class HitModel(BaseModel):
    """One hit."""

    query: str
    rank: int
    path: str
    start_s: float
    end_s: float
    score: float | None = Field(description="None for words alone; so is the probability")
    probability: float | None
    sound_rank: int | None = Field(None, description="Its place by sound alone; only there with words")
    words_rank: int | None = Field(None, description="Its place by words alone; likewise")
    said_rank: int | None = Field(None, description="Its place by what is said alone; only there with said")
    said: str | None = Field(None, description="What is said there; likewise")


class Hits(BaseModel):
    """What is answered."""

    # With `fields`, whatever was asked for.
    hits: list[HitModel | dict[str, Any]]


class Refusal(BaseModel):
    """Why nothing is."""

    detail: str

"""What the tools of the Model Context Protocol take, within which bounds, and what is wrong with anything else."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pe_search.descriptions import DESCRIBE
from pe_search.serving.bounds import ABSOLUTE, LONGEST_PATH, LONGEST_TEXT, MOST_TEXTS

# An assistant reads all of it.
MOST_HITS = 100
MOST_CLIPS = 1_000
MOST_FILES = 20
_MOST_WRONG = 5
_LONGEST_NAME = 40

_Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, pattern=r"\S")]
_Words = Annotated[str | None, Field(max_length=LONGEST_TEXT)]
_Path = Annotated[str, Field(min_length=1, max_length=LONGEST_PATH)]
_Under = Annotated[str | None, Field(max_length=LONGEST_PATH, pattern=ABSOLUTE)]
_Paths = Annotated[list[_Path], Field(min_length=1, max_length=MOST_FILES)]
_Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_ONE_TEXT = f"1 to {LONGEST_TEXT:,} characters that are not all blank"
_ONE_PATH = "the path of a clip, as search and list give it"
WANTED = {
    "text": f"must be {_ONE_TEXT}",
    "question": f"must be {_ONE_TEXT}",
    "words": f"must be at most {LONGEST_TEXT:,} characters",
    "said": f"must be at most {LONGEST_TEXT:,} characters",
    "k": f"must be a whole number from 1 to {MOST_HITS}",
    "limit": f"must be a whole number from 1 to {MOST_CLIPS:,}",
    "under": f"must be an absolute path of at most {LONGEST_PATH:,} characters",
    "min_probability": "must be a number from 0 to 1, such as 0.5",
    "path": f"must be {_ONE_PATH}",
    "paths": f"must be a list of 1 to {MOST_FILES}, each {_ONE_PATH}",
    "labels": f"must be a list of 1 to {MOST_TEXTS} texts, each of {_ONE_TEXT}",
    "start_s": "must be a time in seconds, 0 or later",
    "end_s": "must be a time in seconds, 0 or later",
}
"""What a value must be, by argument."""


class Arguments(BaseModel):
    """The arguments of a tool. The docstring of each is what assistants read of the tool."""

    # A word that is mistyped must not be taken for one that was left out.
    model_config = ConfigDict(extra="forbid")


class SearchArguments(Arguments):
    """Find clips, best first.

    By what they sound like (text), by words of their names, folders and tags (words), or by what is said in them
    (said). With text and one of the others, both rankings are fused.
    """

    text: Annotated[_Text | None, Field(description='A sound in words, such as "dog barking"')] = None
    words: Annotated[_Words, Field(description='Such as: kick 808, kick*, "kick drum", -loop')] = None
    said: Annotated[_Words, Field(description="Likewise, in transcripts; not together with words")] = None
    k: Annotated[int, Field(ge=1, le=MOST_HITS, description="How many hits")] = 10
    under: Annotated[_Under, Field(description="Only clips at or below this absolute path")] = None
    min_probability: Annotated[
        float, Field(ge=0, le=1, allow_inf_nan=False, description="Leave out what is less probable")
    ] = 0.0


class LocateArguments(Arguments):
    """Find from when to when a sound is heard in clips, in seconds."""

    text: Annotated[_Text, Field(description='A sound in words, such as "dog barking"')]
    paths: Annotated[_Paths, Field(description="Clips of the store, as search and list give them")]


class LabelArguments(Arguments):
    """Say how probable it is that each of some labels fits clips. Each label is judged by itself."""

    paths: Annotated[_Paths, Field(description="Clips of the store, as search and list give them")]
    labels: Annotated[list[_Text], Field(min_length=1, max_length=MOST_TEXTS)]


class ListArguments(Arguments):
    """List clips of the store with their lengths, in order of path."""

    under: Annotated[_Under, Field(description="Only clips at or below this absolute path")] = None
    limit: Annotated[int, Field(ge=1, le=MOST_CLIPS)] = 100


class DescribeArguments(Arguments):
    """Ask an audio-language model about a part of a clip, of 30 s at most.

    The probability says how well the answer fits the sound. An improbable answer may be made up.
    """

    path: Annotated[_Path, Field(description="A clip of the store, as search and list give it")]
    start_s: _Time
    end_s: _Time
    question: _Text = DESCRIBE


def what_is_wrong(error: ValidationError, takes: type[Arguments]) -> str:
    """What is wrong with arguments, in a line; pydantic has several for each."""
    parts: dict[str, None] = {}
    for entry in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(entry["loc"][0]) if entry["loc"] else ""
        if name in takes.model_fields:
            parts[f"{name} {'is missing' if entry['type'] == 'missing' else WANTED[name]}."] = None
        else:
            parts[f"There is no argument {shortened(name)}. There are: {', '.join(takes.model_fields)}."] = None
    return " ".join(islice(parts, _MOST_WRONG))


def shortened(text: str, longest: int = _LONGEST_NAME) -> str:
    """What somebody gave, in one line."""
    return repr(text if len(text) <= longest else f"{text[: longest - 1]}…")

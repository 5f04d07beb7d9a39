"""What the shell offers at Tab for a checkpoint or a learned word; Typer itself knows commands, options and values.

Where nothing is offered, the shell completes the names of files and folders. It must be left to that: Typer's scripts
hand on what they get without quotes, and zsh runs what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping

import typer

from pe_search.errors import PeSearchError
from pe_search.model import known_checkpoints

# What no shell sees more in than the characters themselves.
_IS_PLAIN = re.compile(r"(?:[\d.]+:)?@?[\w./-]+", re.ASCII)
# Before the `@` of a word: the weight of a term.
_WEIGHT = re.compile(r"(?:[\d.]+:)?(?=@)")


def complete_checkpoint(incomplete: str) -> list[tuple[str, str]]:
    """Names for `--model` that begin with what was typed, each with a word about it."""
    return _offered(incomplete, known_checkpoints())


def complete_frame_checkpoint(incomplete: str) -> list[tuple[str, str]]:
    """Names for `--frame-model` that begin with what was typed, each with a word about it."""
    return _offered(incomplete, known_checkpoints(frame_level=True))


def complete_word(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Learned words of the store that begin with what was typed after `@`, also behind a weight: `0.5:@my`."""
    weight = _WEIGHT.match(incomplete)
    if weight is None:
        return []
    return _offered(incomplete, {f"{weight[0]}{word}": said for word, said in _words(ctx).items()})


def complete_words(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """As `complete_word`, for the last of some texts that are separated by commas."""
    before, comma, last = incomplete.rpartition(",")
    # What was typed before may have anything in it.
    if comma and not all(map(_IS_PLAIN.fullmatch, before.split(","))):
        return []
    return [(f"{before}{comma}{word}", said) for word, said in complete_word(ctx, last)]


def join_at(variables: MutableMapping[str, str]) -> None:
    """Make one word of `@` and what follows, which bash takes apart on the way here, though not on the way back."""
    words, number = re.subn(r"(?<=\s)@\s(?=\S)", "@", variables.get("COMP_WORDS", ""))
    if number and variables.get("COMP_CWORD", "").isdecimal():
        variables["COMP_WORDS"] = words
        variables["COMP_CWORD"] = str(int(variables["COMP_CWORD"]) - number)


def _words(ctx: typer.Context) -> dict[str, str]:
    """The words of the stores that were named, or of the usual one, each with a few words about it."""
    # Only here: a command should not wait for what lists words.
    from pe_search.cli.input.options import store_directory
    from pe_search.library import Library

    given: str | tuple[str, ...] | None = ctx.params.get("store")
    found: dict[str, str] = {}
    try:
        for store in [given] if isinstance(given, str) else given or (None,):
            with Library(store_directory(store)) as library:
                for one in library.words():
                    found.setdefault(one.word, f"{one.yes} yes, {one.no} no")
    except (PeSearchError, OSError, typer.BadParameter):
        # A shell that waits for names has no room for an error.
        return found
    return found


def _offered(incomplete: str, names: Mapping[str, str]) -> list[tuple[str, str]]:
    # Ids in the cache are names of folders there, and those anybody may have made.
    return [
        one for one in names.items() if one[0].startswith(incomplete) and _IS_PLAIN.fullmatch(one[0].rpartition(":")[2])
    ]

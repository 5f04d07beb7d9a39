"""Find the clips that are no files of this machine: behind URLs, in archives and in tables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pe_search.audio.containers import Place, find_in, place_in
from pe_search.audio.exclude import Exclusion, Patterns
from pe_search.audio.files import open_container
from pe_search.audio.formats import audio_extensions
from pe_search.audio.listings import Listing, keep_listing, kept_listing
from pe_search.audio.stamps import stamp_of
from pe_search.errors import AudioError
from pe_search.places import glob_base, is_url
from pe_search.records import Problem, Stamp


@dataclass(slots=True)
class Elsewhere:
    """What was found.

    Attributes:
        stamps: The stamps of clips by path or name.
        problems: What couldn't be looked at.
        excluded: Clips that patterns exclude.
        pattern: What matches all that could be found, if the place was a pattern itself.
    """

    stamps: dict[str, Stamp] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    excluded: set[str] = field(default_factory=set)
    pattern: re.Pattern[str] | None = None


def find_elsewhere(top: str, excluded: Patterns | None) -> Elsewhere | None:
    """What is at a URL or matches one, or is in an archive or a table; None if a path is of neither kind.

    Args:
        top: The path, which is absolute, or the name of a URL.
        excluded: Patterns relative to it.
    """
    place = place_in(top)
    if place is None and not is_url(top):
        return None
    found = Elsewhere()
    outer = top if place is None else place.container
    base = glob_base(outer)
    if base is not None:
        from pe_search.audio.remote import matcher

        # Until the server has said that it is no pattern: what it might match is not gone.
        with suppress(ValueError):
            found.pattern = matcher(outer)
    try:
        everything = _behind(top) if place is None else _in_container(place)
        if base is not None:
            from pe_search.audio.remote import is_pattern

            if is_pattern(outer):
                everything = _matching(outer, place)
            else:
                base = found.pattern = None
        exclusion = Exclusion.of_walk(base or top, excluded)
        for one in everything:
            if isinstance(one, Problem):
                found.problems.append(one)
            elif exclusion.levels and exclusion.excludes_below(one[0]):
                found.excluded.add(one[0])
            else:
                found.stamps[one[0]] = one[1]
    except AudioError as error:
        found.problems.append(Problem(error.path, error.reason))
    return found


def refusal(path: Path) -> str | None:
    """Why a URL is refused, as one with a password is; None if it isn't, or the path is none."""
    if not is_url(path):
        return None
    from pe_search.audio.remote import refusal_of

    refused = refusal_of(str(path))
    return None if refused is None else refused[0]


def _behind(top: str) -> Iterator[tuple[str, Stamp] | Problem]:
    from pe_search.audio.remote import find_remote

    for one in find_remote(top):
        # What is named itself is taken whatever its name.
        if isinstance(one, Problem) or one[0] == top or _is_clip(one[0], top):
            yield one


def _is_clip(name: str, top: str) -> bool:
    """Whether a file below a URL is a clip, by its name."""
    is_hidden = any(part.startswith(".") for part in name.removeprefix(top).split("/"))
    return not is_hidden and os.path.splitext(name)[1].lower() in audio_extensions()  # noqa: PTH122


def _matching(pattern: str, place: Place | None) -> Iterator[tuple[str, Stamp] | Problem]:
    from pe_search.audio.remote import find_matching

    base = glob_base(pattern) or pattern
    for name, stamp, is_file in find_matching(pattern):
        if not is_file:
            yield from _behind(name) if place is None else ()
        elif (container := place_in(name)) is not None:
            yield from _in_container(Place(container.container, "" if place is None else place.inner))
        elif _is_clip(name, base):
            yield name, stamp


def _in_container(place: Place) -> Iterator[tuple[str, Stamp] | Problem]:
    container = Path(place.container)
    try:
        if is_url(container):
            listing = _in_remote_container(place)
            yield from (one for one in listing if isinstance(one, Problem) or _is_meant(one[0], place))
            return
        with open_container(container) as file:
            for one in find_in(place, file, stamp_of(container.stat())):
                if isinstance(one, Problem) or _is_meant(one[0], place):
                    yield one
    except OSError as error:
        yield Problem(container, error.strerror or str(error))
    except AudioError as error:
        # One of several archives.
        yield Problem(error.path, error.reason)


def _in_remote_container(place: Place) -> Listing:
    stamp = _remote_stamp(place.container)
    listing = kept_listing(place, stamp)
    if listing is None:
        with open_container(Path(place.container)) as file:
            listing = list(find_in(place, file, stamp))
        keep_listing(place, stamp, listing)
    return listing


def _remote_stamp(name: str) -> Stamp:
    from pe_search.audio.remote import remote_stamp

    return remote_stamp(name)


def _is_meant(path: str, place: Place) -> bool:
    """Whether a clip is what was asked for, where that is a member, a folder of members or a row."""
    wanted = f"{place.container}/{place.inner}".rstrip("/")
    return path == wanted or path.startswith(f"{wanted}/")

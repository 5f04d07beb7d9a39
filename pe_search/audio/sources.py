"""Find the clips that are no files of this machine: behind URLs, in archives and in tables."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pe_search.audio.containers import Place, find_in, place_in
from pe_search.audio.exclude import Exclusion, Patterns
from pe_search.audio.files import open_container
from pe_search.audio.formats import audio_extensions
from pe_search.audio.stamps import stamp_of
from pe_search.errors import AudioError
from pe_search.places import is_url
from pe_search.records import Problem, Stamp


@dataclass(slots=True)
class Elsewhere:
    """What was found.

    Attributes:
        stamps: The stamps of clips by path or name.
        problems: What couldn't be looked at.
        excluded: Clips that patterns exclude.
    """

    stamps: dict[str, Stamp] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    excluded: set[str] = field(default_factory=set)


def find_elsewhere(top: str, excluded: Patterns | None) -> Elsewhere | None:
    """What is at a URL, or in an archive or a table; None if a path is of neither kind.

    Args:
        top: The path, which is absolute, or the name of a URL.
        excluded: Patterns relative to it.
    """
    place = place_in(top)
    if place is None and not is_url(top):
        return None
    found = Elsewhere()
    try:
        everything = _in_container(place) if place is not None else _behind(top)
        exclusion = Exclusion.of_walk(top, excluded)
        for one in everything:
            if isinstance(one, Problem):
                found.problems.append(one)
            elif exclusion.levels and exclusion.excludes(one[0], is_folder=False):
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


def _behind(top: str) -> Iterable[tuple[str, Stamp] | Problem]:
    from pe_search.audio.remote import find_remote

    extensions = audio_extensions()
    for name, stamp in find_remote(top):
        hidden = any(part.startswith(".") for part in name.removeprefix(top).split("/"))
        # What is named itself is taken whatever its name.
        if name == top or (not hidden and os.path.splitext(name)[1].lower() in extensions):  # noqa: PTH122
            yield name, stamp


def _in_container(place: Place) -> Iterable[tuple[str, Stamp] | Problem]:
    container = Path(place.container)
    if is_url(container):
        from pe_search.audio.remote import remote_stamp

        stamp = remote_stamp(place.container)
    else:
        try:
            stamp = stamp_of(container.stat())
        except OSError as error:
            raise AudioError(container, error.strerror or str(error)) from error
    with open_container(container) as file:
        for one in find_in(place, file, stamp):
            if isinstance(one, Problem) or _is_meant(one[0], place):
                yield one


def _is_meant(path: str, place: Place) -> bool:
    """Whether a clip is what was asked for, where that is a member, a folder of members or a row."""
    wanted = f"{place.container}/{place.inner}".rstrip("/")
    return path == wanted or path.startswith(f"{wanted}/")

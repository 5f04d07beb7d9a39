"""What is in archives and tables behind URLs, so that one that has not changed is not downloaded to see that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pe_search.audio.containers import Place
from pe_search.directories import cache_directory
from pe_search.drafts import whole_file
from pe_search.records import Problem, Stamp

Listing = Sequence[tuple[str, Stamp] | Problem]

_LARGEST_BYTES = 1 << 30


def kept_listing(place: Place, stamp: Stamp) -> Listing | None:
    """What a container held when it was looked into last; None if that is not known, or it has changed since."""
    if not _tells(stamp):
        return None
    with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
        path = _file_of(place)
        if path.stat().st_size > _LARGEST_BYTES:
            return None
        kept = json.loads(path.read_bytes())
        if kept["stamp"] == list(stamp):
            clips = [(f"{place.container}/{inner}", (int(size), *stamp[1:])) for inner, size in kept["clips"]]
            return [*clips, *(Problem(Path(place.container), str(reason)) for reason in kept["problems"])]
    return None


def keep_listing(place: Place, stamp: Stamp, listing: Listing) -> None:
    """Remember what a container holds; nothing happens where the cache can't be written to."""
    if not _tells(stamp):
        return
    above = len(place.container) + 1
    kept = {
        "stamp": stamp,
        "clips": [(one[0][above:], one[1][0]) for one in listing if not isinstance(one, Problem)],
        "problems": [one.reason for one in listing if isinstance(one, Problem)],
    }
    with suppress(OSError):
        path = _file_of(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(json.dumps(kept).encode())


def _tells(stamp: Stamp) -> bool:
    """Whether a stamp changes with the bytes: a server need not say when they were written."""
    return bool(stamp[1] or stamp[3])


def _file_of(place: Place) -> Path:
    name = place.column if place.is_table else place.container
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return cache_directory() / "listings" / f"{digest}.json"

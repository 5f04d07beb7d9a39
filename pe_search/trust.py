"""Which URLs may be downloaded: those that the user of this machine has named, and what is below them.

A store may come from a stranger, and name any URL: one of an inner network, or one whose visits somebody counts. What
`index` is given is remembered in a file of this machine; what another command is given counts for that command.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from urllib.parse import unquote

from pe_search.directories import state_directory
from pe_search.places import container_of_url, glob_base, is_url, place_of, with_lower_host

_FILE = "trusted-urls"
# More than anybody names; a file that is larger is something else.
_MOST_BYTES = 16 << 20

_named: set[str] = set()


def trust_urls(places: Iterable[str | os.PathLike[str]], *, remember: bool = False) -> None:
    """Have what is at and below some URLs be downloaded where a store names it; and what columns of tables name.

    Args:
        places: URLs, and columns of tables: `table.parquet/audio`. Other paths are ignored.
        remember: Whether other processes of this user trust them too, from now on.

    Raises:
        OSError: If they can't be remembered. Until this process ends they are trusted.
    """
    given = [entry for place in places for entry in _entries(place)]
    _named.update(given)
    if remember and (new := [entry for entry in dict.fromkeys(given) if entry not in _remembered()]):
        path = state_directory() / _FILE
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = b"".join(os.fsencode(entry) + b"\n" for entry in new if "\n" not in entry)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            file.write(lines)


def trusted() -> tuple[str, ...]:
    """All that is trusted now, for a process on another machine."""
    return tuple(sorted(_named | _remembered()))


def is_trusted(name: str) -> bool:
    """Whether a URL, or a column of a table, was named, or is below one that was.

    Args:
        name: As its clip or container is called.
    """
    name = with_lower_host(name)
    return _is_among(name, _named) or _is_among(name, _remembered())


def how_to_trust() -> str:
    """What to do to have a URL downloaded, as the end of a message."""
    return f"index its folder once, or add it to {state_directory() / _FILE}"


def _is_among(name: str, entries: set[str]) -> bool:
    # Servers and libraries go up at two dots, however they are written.
    if name not in entries and ".." in unquote(name).replace("\\", "/").split("/"):
        return False
    while name not in entries:
        name, slash, _ = name.rpartition("/")
        if not slash:
            return False
    return True


def _entries(place: str | os.PathLike[str]) -> list[str]:
    """A place that was named, the container that it leads into, and the folder that its pattern begins in."""
    if not is_url(place):
        return [place_of(place)] if ".parquet/" in os.fspath(place).lower() else []
    name = with_lower_host(place_of(place))
    found = [name, container_of_url(name), glob_base(name)]
    # Without a host, all would be trusted.
    return [one for one in dict.fromkeys(found) if one is not None and one.count("/") and not one.endswith(":/")]


def _remembered() -> set[str]:
    try:
        with (state_directory() / _FILE).open("rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError:
        return set()
    lines = [os.fsdecode(line).strip() for line in content.splitlines()]
    return {entry for line in lines if line for entry in _entries(line)}

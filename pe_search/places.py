"""Where clips are: paths of files, paths that lead into files, and URLs."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path

# A Path makes one slash of two. A letter alone is a disk of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_WEB = re.compile(r"https?:/", re.IGNORECASE)
_CONTAINER_PATH = re.compile(r"(.*?\.(?:tar|parquet))/", re.IGNORECASE | re.DOTALL)
_CONTAINER = re.compile(r"[^:/]+:/.*?\.(?:tar|parquet)(?=/|\Z)", re.IGNORECASE | re.DOTALL)


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URL, or the name of a clip that was read from one, which has one slash as all paths do."""
    return _URL.match(os.fspath(path)) is not None


def is_name(path: Path) -> bool:
    """Whether a clip has a name in place of a path or URL, so that there is no file of it."""
    return not (path.is_absolute() or is_url(path))


def place_of(path: str | os.PathLike[str]) -> str:
    """A path made absolute, with links as they are; of a URL, the name that its clip or folder has."""
    return str(Path(path)) if is_url(path) else os.path.abspath(path)


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether there is something at a path, or a file that it leads into, as into an archive; a URL is not asked."""
    try:
        os.lstat(path)
    except NotADirectoryError:
        return True
    except (OSError, ValueError):
        return is_url(path)
    return True


def in_columns(paths: Iterable[Path], column: str) -> list[Path]:
    """Paths, those of Parquet tables with the column that is meant: `table.parquet/audio`.

    A pattern that no shell has replaced, as `shards/**/*.parquet`, stands for the files that match it.
    """
    found = [one for path in paths for one in _matching(path)]
    return [path / column if path.suffix.lower() == ".parquet" else path for path in found]


def _matching(path: Path) -> list[Path]:
    if path.suffix.lower() == ".parquet" and path.is_dir():
        # As programs write it that have several parts of a table at once.
        return sorted(path.rglob("*.parquet"))
    if is_url(path) or not has_magic(str(path)) or os.path.lexists(path):
        return [path]
    return [Path(one) for one in sorted(glob(str(path), recursive=True))] or [path]  # noqa: PTH207 (any path)


def urls_in(argument: str) -> list[str]:
    """The URLs that a word of a command may mean: itself, the value of an option, and without `@START-END`."""
    found = [argument, argument.partition("=")[2], argument.rpartition("@")[0]]
    return [one for one in found if is_url(one)]


def with_lower_host(name: str) -> str:
    """The name of a URL, with protocol and host in lower case, as they mean the same; any other path as it is."""
    if not is_url(name):
        return name
    protocol, _, rest = name.partition(":/")
    host, slash, inner = rest.partition("/")
    return f"{protocol.lower()}:/{host.lower()}{slash}{inner}"


def container_of_url(name: str) -> str | None:
    """The URL of the archive or table that the name of a URL leads into; None if it leads into none."""
    match = _CONTAINER.match(name)
    return match[0] if match else None


def beside_url(name: str, relative: str) -> str:
    """The URL of a file by its path relative to the folder of another one; it is on the same host."""
    protocol, _, rest = name.partition(":/")
    host, _, inner = rest.partition("/")
    return f"{protocol}:/{host}{posixpath.normpath(f'/{posixpath.dirname(inner)}/{relative}').replace('//', '/')}"


def container_of(name: str) -> str | None:
    """The archive or table that a path or the name of a URL leads into; None if it leads into none."""
    match = _CONTAINER_PATH.match(name)
    if match is None or is_url(name):
        return match and match[1]
    return match[1] if os.path.isfile(match[1]) else None  # noqa: PTH113 (of many)


def glob_base(name: str) -> str | None:
    """The folder in which the files may be that a URL is a pattern of; None if it can't be a pattern.

    Names of a web server may have any of the characters that patterns are made of, and a question mark begins a query.
    """
    if not is_url(name) or _WEB.match(name):
        return None
    start, *rest = name.split("/")
    for place, part in enumerate(rest):
        if has_magic(part):
            return "/".join([start, *rest[:place]]) if place else None
    return None

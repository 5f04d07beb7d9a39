"""Where clips are: paths of files, paths that lead into files, and URLs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

# A Path makes one slash of two. A letter alone is a disk of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URL, or the name of a clip that was read from one, which has one slash as all paths do."""
    return _URL.match(os.fspath(path)) is not None


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
    """Paths, those of Parquet tables with the column that is meant: `table.parquet/audio`."""
    return [path / column if path.suffix.lower() == ".parquet" else path for path in paths]

"""Find the clips under folders."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path

from pe_search.audio.formats import audio_extensions
from pe_search.audio.stamps import stamp_of
from pe_search.records import Clip, Problem, Stamp


def find_clips(roots: Iterable[Path], on_problem: Callable[[Problem], None]) -> Iterator[Clip]:
    """Walk folders and files in path order and yield every clip once.

    In a folder, a clip is a regular file with an extension that libsndfile reads; names that begin with a dot are
    passed over. Links are followed, but a folder is walked once for each root: by its own path if it is below the root,
    else by the first link that leads to it. What is behind links to folders comes last.

    Args:
        roots: Folders and files; they become absolute, but links in them are kept as the user wrote them.
        on_problem: Called with each root or folder that can't be read.
    """
    for path, stamp in find_stamps(roots, on_problem).items():
        yield Clip(Path(path), *stamp)


def find_stamps(roots: Iterable[Path], on_problem: Callable[[Problem], None]) -> dict[str, Stamp]:
    """The stamps of the same clips, in the same order, by absolute path.

    Paths are strings, because of a hundred thousand clips most have not changed, and to make `Path`s of them all takes
    longer than to find them.
    """
    extensions = audio_extensions()
    stamps: dict[str, Stamp] = {}
    for root in roots:
        for path, stamp in _stamps_at(os.path.abspath(root), extensions, on_problem):
            stamps.setdefault(path, stamp)
    return stamps


def is_under(path: str, places: Set[str]) -> bool:
    """Whether a path is one of the places, or below one that is a folder; all are absolute."""
    while path not in places:
        parent = os.path.dirname(path)  # noqa: PTH120 (see `find_stamps`)
        if parent == path:
            return False
        path = parent
    return True


def _stamps_at(
    top: str, extensions: frozenset[str], on_problem: Callable[[Problem], None]
) -> Iterator[tuple[str, Stamp]]:
    try:
        status = os.stat(top)  # noqa: PTH116 (see `find_stamps`; so below)
    except OSError as error:
        on_problem(Problem(Path(top), error.strerror or str(error)))
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _stamps_below(top, _identity(status), extensions, on_problem)
    elif stat.S_ISREG(status.st_mode):
        yield top, stamp_of(status)
    else:
        on_problem(Problem(Path(top), "not a regular file"))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _stamps_below(
    top: str,
    identity: tuple[int, int],
    extensions: frozenset[str],
    on_problem: Callable[[Problem], None],
) -> Iterator[tuple[str, Stamp]]:
    walked: set[tuple[int, int]] = set()
    # Links to folders wait until all that is really there has been walked. Followed at once, folders that all link to
    # one another would be walked in every order that there is.
    trees = deque([(top, identity)])
    while trees:
        tree, identity = trees.popleft()
        if identity in walked:
            continue
        walked.add(identity)
        # The entries that are still to come of each folder on the way down. No recursion, because folders may be nested
        # deeper than Python's calls.
        way = [_entries(tree, on_problem)]
        while way:
            entry = next(way[-1], None)
            if entry is None:
                way.pop()
                continue
            path = entry.path
            is_candidate = os.path.splitext(entry.name)[1].lower() in extensions  # noqa: PTH122
            try:
                if not (is_candidate or entry.is_dir()):
                    continue
                status = entry.stat()
            except OSError as error:
                # A dangling link under another extension is none of our business.
                if is_candidate:
                    on_problem(Problem(Path(path), error.strerror or str(error)))
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, stamp_of(status)
            elif not stat.S_ISDIR(status.st_mode):
                on_problem(Problem(Path(path), "not a regular file"))
            elif entry.is_symlink():
                trees.append((path, _identity(status)))
            elif _identity(status) not in walked:
                walked.add(_identity(status))
                way.append(_entries(path, on_problem))


def _entries(folder: str, on_problem: Callable[[Problem], None]) -> Iterator[os.DirEntry[str]]:
    """What a folder holds, by name, without what is hidden."""
    try:
        with os.scandir(folder) as scan:
            entries = [entry for entry in scan if not entry.name.startswith(".")]
    except OSError as error:
        on_problem(Problem(Path(folder), error.strerror or str(error)))
        return iter(())
    return iter(sorted(entries, key=lambda entry: os.fsencode(entry.name)))

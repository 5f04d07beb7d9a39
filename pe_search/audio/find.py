"""Find the clips under folders."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pe_search.audio.formats import audio_extensions
from pe_search.records import Clip, Problem


def find_clips(roots: Iterable[Path], on_problem: Callable[[Problem], None]) -> Iterator[Clip]:
    """Walk folders and files in path order and yield every clip once.

    In a folder, a clip is a regular file with an extension that libsndfile reads; names that begin with a dot are
    passed over. Links are followed, but a folder is walked once for each root: by its own path if it is below the root,
    else by the first link that leads to it. What is behind links to folders comes last.

    Args:
        roots: Folders and files; they become absolute, but links in them are kept as the user wrote them.
        on_problem: Called with each root or folder that can't be read.
    """
    extensions = audio_extensions()
    yielded: set[Path] = set()
    for root in roots:
        top = Path(os.path.abspath(root))
        for clip in _clips_at(top, extensions, on_problem):
            if clip.path not in yielded:
                yielded.add(clip.path)
                yield clip


def _clips_at(top: Path, extensions: frozenset[str], on_problem: Callable[[Problem], None]) -> Iterator[Clip]:
    try:
        status = top.stat()
    except OSError as error:
        on_problem(Problem(top, error.strerror or str(error)))
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _clips_below(top, _identity(status), extensions, on_problem)
    elif stat.S_ISREG(status.st_mode):
        yield _clip(top, status)
    else:
        on_problem(Problem(top, "not a regular file"))


def _clip(path: Path, status: os.stat_result) -> Clip:
    # A clock that was far off may have left a time that 64 bits can't hold, as they do in the catalog.
    return Clip(path, status.st_size, min(max(status.st_mtime_ns, -(2**63)), 2**63 - 1))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _clips_below(
    top: Path,
    identity: tuple[int, int],
    extensions: frozenset[str],
    on_problem: Callable[[Problem], None],
) -> Iterator[Clip]:
    walked: set[tuple[int, int]] = set()
    # Links to folders wait until all that is really there has been walked. Followed at once, folders that all link to
    # one another would be walked in every order that there is.
    trees = deque([(top, identity)])
    while trees:
        tree, identity = trees.popleft()
        if identity in walked:
            continue
        walked.add(identity)
        # The folders on the way down, each with its entries that are still to come. No recursion, because folders may
        # be nested deeper than Python's calls.
        way = [(tree, _entries(tree, on_problem))]
        while way:
            folder, entries = way[-1]
            entry = next(entries, None)
            if entry is None:
                way.pop()
                continue
            path = folder / entry.name
            is_candidate = path.suffix.lower() in extensions
            try:
                if not (is_candidate or entry.is_dir()):
                    continue
                status = entry.stat()
            except OSError as error:
                # A dangling link under another extension is none of our business.
                if is_candidate:
                    on_problem(Problem(path, error.strerror or str(error)))
                continue
            if stat.S_ISREG(status.st_mode):
                yield _clip(path, status)
            elif not stat.S_ISDIR(status.st_mode):
                on_problem(Problem(path, "not a regular file"))
            elif entry.is_symlink():
                trees.append((path, _identity(status)))
            elif _identity(status) not in walked:
                walked.add(_identity(status))
                way.append((path, _entries(path, on_problem)))


def _entries(folder: Path, on_problem: Callable[[Problem], None]) -> Iterator[os.DirEntry[str]]:
    """What a folder holds, by name, without what is hidden."""
    try:
        with os.scandir(folder) as scan:
            entries = [entry for entry in scan if not entry.name.startswith(".")]
    except OSError as error:
        on_problem(Problem(folder, error.strerror or str(error)))
        return iter(())
    return iter(sorted(entries, key=lambda entry: os.fsencode(entry.name)))

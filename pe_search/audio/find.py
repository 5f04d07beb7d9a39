"""Find the clips under folders."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pe_search.audio.exclude import IGNORE_FILE, Exclusion, Patterns, is_never_audio, read_patterns
from pe_search.audio.formats import audio_extensions, unreadable_extensions
from pe_search.audio.stamps import stamp_of
from pe_search.errors import PatternError
from pe_search.known.sidecars import SIDECAR_EXTENSIONS
from pe_search.places import is_url, place_of
from pe_search.records import Clip, Problem, Stamp
from pe_search.reports import PassedOver

if TYPE_CHECKING:
    from pe_search.audio.sources import Elsewhere

_IS_SKIPPED = "this folder is skipped until that is fixed"


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk came to.

    Attributes:
        stamps: The stamps of the clips, in the order in which they were found, by absolute path. Paths are strings,
            because of a hundred thousand clips most have not changed, and to make `Path`s of them all takes longer than
            to find them.
        skipped: Files and folders that are there and were not looked at: a pattern excludes them, folders of that name
            never hold audio, or their ignore file can't be understood.
        passed_over: What was seen in folders, and not taken.
        passed_over_at: The same by the root that it is nearest below, for those where there was anything.
        sidecars: The stamps of files that may be transcripts, in the folders of the clips.
        patterns: What matches all that could be found at a root that is a pattern itself, by the root.
    """

    stamps: dict[str, Stamp]
    skipped: frozenset[str]
    passed_over: PassedOver
    passed_over_at: Mapping[str, PassedOver]
    sidecars: Mapping[str, Stamp]
    patterns: Mapping[str, re.Pattern[str]] = field(default_factory=dict)

    def clips(self) -> Iterator[Clip]:
        """The clips themselves."""
        for path, stamp in self.stamps.items():
            yield Clip(Path(path), *stamp)


def find_clips(
    roots: Iterable[Path], on_problem: Callable[[Problem], None], excluded: Patterns | None = None
) -> Iterator[Clip]:
    """The clips that `find_stamps` finds."""
    return find_stamps(roots, on_problem, excluded).clips()


def find_stamps(
    roots: Iterable[Path],
    on_problem: Callable[[Problem], None],
    excluded: Patterns | None = None,
    own: Mapping[str, Patterns] = MappingProxyType({}),
) -> Found:
    """Walk folders and files in path order and find every clip once.

    In a folder, a clip is a regular file with an extension that is read; names that begin with a dot are passed over,
    and so are folders such as recycle bins, and what patterns exclude: those that are given, and those of the ignore
    files in the folders that are walked. What is a root itself is taken whatever its name.

    Links are followed, but a folder is walked once for each root: by its own path if it is below the root, else by the
    first link that leads to it. What is behind links to folders comes last.

    Args:
        roots: Folders and files; they become absolute, but links in them are kept as the user wrote them.
        on_problem: Called with each root or folder that can't be read. A folder with an ignore file that can't be
            understood is one of them.
        excluded: Patterns relative to each root.
        own: Patterns of some roots, by absolute path, in place of these.
    """
    walk = _Walk(on_problem)
    tops = [place_of(root) for root in roots]
    for top in tops:
        walk.take(top, own.get(top, excluded))
    return walk.found(frozenset(tops))


def is_under(path: str, places: Set[str]) -> bool:
    """Whether a path is one of the places, or below one that is a folder; all are absolute."""
    while path not in places:
        parent = os.path.dirname(path)  # noqa: PTH120 (see `Found`)
        if parent == path:
            return False
        path = parent
    return True


class _Walk:
    """What has been found so far. By path, because roots may hold each other."""

    def __init__(self, on_problem: Callable[[Problem], None]) -> None:
        self._stamps: dict[str, Stamp] = {}
        self._unreadable: dict[str, str] = {}
        self._excluded_files: set[str] = set()
        self._excluded_folders: set[str] = set()
        self._never_audio: set[str] = set()
        self._not_understood: set[str] = set()
        self._sidecars: dict[str, Stamp] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}
        # Of roots that are files, whose folders are not walked.
        self._folders: dict[str, None] = {}
        self._on_problem = on_problem
        self._extensions = audio_extensions()
        self._unreadable_extensions = unreadable_extensions()

    def found(self, tops: frozenset[str]) -> Found:
        """What it all comes to. One root may have been excluded in another."""
        files, folders = self._excluded_files - self._stamps.keys(), self._excluded_folders - tops
        unreadable = {path: kind for path, kind in self._unreadable.items() if path not in self._stamps}
        return Found(
            stamps=self._stamps,
            skipped=frozenset(files | folders | (self._never_audio - tops) | self._not_understood),
            passed_over=_passed_over(unreadable, files, folders),
            passed_over_at={
                top: _passed_over({path: unreadable[path] for path in kinds}, in_files, in_folders)
                for top, (kinds, in_files, in_folders) in _by_root(
                    tops, self._patterns, unreadable, files, folders
                ).items()
            },
            sidecars=self._sidecars,
            patterns=self._patterns,
        )

    def take(self, top: str, excluded: Patterns | None) -> None:
        """Find what is at a root, but for what its patterns exclude."""
        if is_url(top) or not os.path.isdir(top):  # noqa: PTH112 (see `Found`; so below)
            from pe_search.audio.sources import find_elsewhere

            found = find_elsewhere(top, excluded)
            if found is not None:
                if found.pattern is not None:
                    self._patterns[top] = found.pattern
                self._take_found(found)
                return
        try:
            status = os.stat(top)  # noqa: PTH116
        except OSError as error:
            self._on_problem(Problem(Path(top), error.strerror or str(error)))
            return
        if stat.S_ISDIR(status.st_mode):
            self._take_below(top, _identity(status), excluded)
        elif stat.S_ISREG(status.st_mode):
            self._stamps.setdefault(top, stamp_of(status))
            self._take_sidecars_in(os.path.dirname(top))  # noqa: PTH120
        else:
            self._on_problem(Problem(Path(top), "not a regular file"))

    def _take_found(self, found: Elsewhere) -> None:
        for path, stamp in found.stamps.items():
            self._stamps.setdefault(path, stamp)
        for problem in found.problems:
            self._on_problem(problem)
        self._excluded_files |= found.excluded

    def _take_below(self, top: str, identity: tuple[int, int], excluded: Patterns | None) -> None:
        extensions, unreadable_extensions = self._extensions, self._unreadable_extensions
        walked: set[tuple[int, int]] = set()
        # Links to folders wait until all that is really there has been walked. Followed at once, folders that all link
        # to one another would be walked in every order that there is.
        trees = deque([(top, identity, Exclusion.of_walk(top, excluded))])
        while trees:
            tree, identity, exclusion = trees.popleft()
            if identity in walked:
                continue
            walked.add(identity)
            # The entries that are still to come of each folder on the way down, and what is excluded there. No
            # recursion, because folders may be nested deeper than Python's calls.
            way = [self._entries(tree, exclusion)]
            while way:
                entries, exclusion = way[-1]
                entry = next(entries, None)
                if entry is None:
                    way.pop()
                    continue
                path = entry.path
                extension = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
                is_candidate = extension in extensions
                try:
                    if not (is_candidate or entry.is_dir()):
                        if extension in unreadable_extensions:
                            self._count_unreadable(entry, extension, exclusion)
                        elif extension in SIDECAR_EXTENSIONS:
                            self._take_sidecar(entry, exclusion)
                        continue
                    if exclusion.levels and self._is_excluded(entry, exclusion):
                        continue
                    status = entry.stat()
                except OSError as error:
                    # A dangling link under another extension is none of our business.
                    if is_candidate:
                        self._on_problem(Problem(Path(path), error.strerror or str(error)))
                    continue
                if stat.S_ISREG(status.st_mode):
                    self._stamps.setdefault(path, stamp_of(status))
                elif not stat.S_ISDIR(status.st_mode):
                    self._on_problem(Problem(Path(path), "not a regular file"))
                elif is_never_audio(entry.name):
                    self._never_audio.add(path)
                elif entry.is_symlink():
                    trees.append((path, _identity(status), exclusion))
                elif _identity(status) not in walked:
                    walked.add(_identity(status))
                    way.append(self._entries(path, exclusion))

    def _is_excluded(self, entry: os.DirEntry[str], exclusion: Exclusion) -> bool:
        is_folder = entry.is_dir()
        if not exclusion.excludes(entry.path, is_folder=is_folder):
            return False
        (self._excluded_folders if is_folder else self._excluded_files).add(entry.path)
        return True

    def _take_sidecar(self, entry: os.DirEntry[str], exclusion: Exclusion | None) -> None:
        if not (exclusion is not None and exclusion.levels and exclusion.excludes(entry.path, is_folder=False)):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode):
                self._sidecars.setdefault(entry.path, stamp_of(status))

    def _take_sidecars_in(self, folder: str) -> None:
        """Find the sidecars beside a root that is a file."""
        if folder not in self._folders:
            self._folders[folder] = None
            with suppress(OSError), os.scandir(folder) as scan:
                for entry in scan:
                    if os.path.splitext(entry.name)[1].lower() in SIDECAR_EXTENSIONS:  # noqa: PTH122
                        self._take_sidecar(entry, None)

    def _count_unreadable(self, entry: os.DirEntry[str], extension: str, exclusion: Exclusion) -> None:
        if entry.is_file() and not (exclusion.levels and self._is_excluded(entry, exclusion)):
            self._unreadable[entry.path] = extension

    def _entries(self, folder: str, exclusion: Exclusion) -> tuple[Iterator[os.DirEntry[str]], Exclusion]:
        """What a folder holds, by name, without what is hidden; and what is excluded there."""
        try:
            with os.scandir(folder) as scan:
                everything = list(scan)
        except OSError as error:
            self._on_problem(Problem(Path(folder), error.strerror or str(error)))
            return iter(()), exclusion
        entries = [entry for entry in everything if not entry.name.startswith(".")]
        if len(entries) < len(everything):
            ignore_file = next((entry for entry in everything if entry.name == IGNORE_FILE), None)
            if ignore_file is not None:
                try:
                    exclusion = exclusion.within(folder, read_patterns(ignore_file.path))
                except (OSError, PatternError) as error:
                    # Whoever wrote it wants something passed over, and nobody knows what.
                    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                    self._on_problem(Problem(Path(folder), f"{IGNORE_FILE}: {reason}; {_IS_SKIPPED}"))
                    self._not_understood.add(folder)
                    return iter(()), exclusion
        return iter(sorted(entries, key=lambda entry: os.fsencode(entry.name))), exclusion


def _passed_over(unreadable: Mapping[str, str], files: Collection[str], folders: Collection[str]) -> PassedOver:
    kinds = Counter(unreadable.values())
    in_order = tuple(sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0])))
    return PassedOver(in_order, excluded_files=len(files), excluded_folders=len(folders))


def _by_root(
    tops: Set[str], patterns: Mapping[str, re.Pattern[str]], *kinds: Iterable[str]
) -> dict[str, list[list[str]]]:
    """Paths of some kinds, by the root that each is nearest below."""
    found: dict[str, list[list[str]]] = {}
    for place, paths in enumerate(kinds):
        for path in paths:
            top = path
            while top not in tops and top != os.path.dirname(top):  # noqa: PTH120 (see `Found`)
                top = os.path.dirname(top)  # noqa: PTH120
            if top not in tops:
                top = next(root for root, pattern in patterns.items() if pattern.match(path))
            found.setdefault(top, [[] for _ in kinds])[place].append(path)
    return found


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino

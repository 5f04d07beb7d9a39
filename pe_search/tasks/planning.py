"""What is on disk, held against what a store holds: what an index run has to do."""

from __future__ import annotations

import os
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from pe_search.audio.exclude import Patterns
from pe_search.audio.find import find_stamps, is_under
from pe_search.audio.stamps import is_same
from pe_search.places import container_of, is_url, place_of
from pe_search.records import Clip, LeftOut, Problem, Stamp
from pe_search.reports import PassedOver
from pe_search.tasks.sidecars import Beside

_NOT_THERE = "No such file or directory"


@dataclass(frozen=True, slots=True)
class Plan:
    """What an index run has to do.

    Attributes:
        to_read: Clips that are new or changed.
        known_better: Clips that are held or were left out as they are, and of whose files more is known than then.
        to_remove: Paths of clips that the store holds under the given folders, and that are gone or excluded; and of
            those that have left the list that they came by.
        to_forget: Paths of clips that were left out before, and of which the same is true.
        unchanged: Number of clips that the store already holds as they are.
        left_out_before: Number of clips that were left out as they are, so that it would be in vain to try again.
        problems: Folders and files that couldn't be looked at.
        passed_over: What was seen in folders, and not taken.
        left_out: Paths of the clips that were left out before.
        lost: Roots under which nothing is left of what the store holds.
        passed_over_at: What was passed over at each root where anything was.
        beside: What was found beside the clips.
    """

    to_read: tuple[Clip, ...]
    known_better: tuple[Clip, ...]
    to_remove: tuple[Path, ...]
    to_forget: tuple[Path, ...]
    unchanged: int
    left_out_before: int
    problems: tuple[Problem, ...]
    passed_over: PassedOver
    left_out: tuple[Path, ...] = field(default=(), compare=False)
    lost: frozenset[str] = field(default=frozenset(), compare=False)
    passed_over_at: Mapping[str, PassedOver] = field(default_factory=dict, compare=False)
    beside: Beside = field(default_factory=Beside, compare=False)

    @property
    def is_empty(self) -> bool:
        """Whether no clip was found, and the store knows of none there."""
        return not (self.to_read or self.to_remove or self.to_forget or self.unchanged or self.left_out_before)


def plan_index(
    paths: Iterable[Path],
    held: Mapping[str, Stamp],
    left_out: Iterable[LeftOut] = (),
    *,
    prune: bool = False,
    excluded: Patterns | None = None,
    own: Mapping[str, Patterns] = MappingProxyType({}),
    unlisted: Set[str] = frozenset(),
    rehash: bool = False,
) -> Plan:
    """Compare what is on disk with what a store holds. No clip is opened.

    Args:
        paths: Folders and files to index. What the store holds from elsewhere is left alone.
        held: The stamps of the store's clips, by path.
        left_out: What it remembers of clips that were left out.
        prune: Whether clips are gone even if nothing at all is left under one of the paths. Without it that is a
            problem, and they are kept: a disk may not be mounted.
        excluded: Patterns of what to pass over in folders.
        own: Patterns of some paths, which are absolute, in place of these.
        unlisted: Absolute paths of files and folders that are no longer on a list. What the store holds of them goes,
            unless one of the paths leads to it.
        rehash: Whether to read every file again, whatever its stamp says. Those of known bytes are not embedded again.
    """
    roots = [place_of(path) for path in paths]
    problems: list[Problem] = []
    found = find_stamps(map(Path, roots), problems.append, excluded, own)
    stamps, patterns = found.stamps, found.patterns
    hopeless = {str(one.clip.path): one.clip.stamp for one in left_out}
    unchanged = 0
    to_read: list[Clip] = []
    known_better: list[Clip] = []
    again_left_out: list[Path] = []
    for path, stamp in stamps.items():
        is_held = not rehash and is_same(held.get(path), stamp)
        before = None if rehash else held.get(path) if is_held else hopeless.get(path)
        unchanged += is_held
        if not is_same(before, stamp):
            to_read.append(Clip(Path(path), *stamp))
            continue
        if not is_held:
            again_left_out.append(Path(path))
        if before != stamp:
            known_better.append(Clip(Path(path), *stamp))
    # What couldn't be looked at isn't known to be gone.
    unseen = {str(problem.path) for problem in problems}
    asked = set(roots)
    # Sorted, because a list of a hundred thousand files is as many roots, and none can be held against every path.
    found_in_order, unseen_in_order = sorted(stamps), sorted(unseen)
    held_in_order = cache(lambda: sorted(held))
    skipped_in_order = sorted(found.skipped)
    kept: list[Problem] = []
    bare: set[str] = set()
    for root in dict.fromkeys(roots):
        is_bare = not (
            root in stamps
            or _below(root, found_in_order)
            or any(unseen_in_order[place] in unseen for place in _below(root, unseen_in_order))
        )
        if is_bare and root in patterns:
            is_bare = not any(map(patterns[root].match, stamps))
            lost = sum(map(bool, map(patterns[root].match, held))) if is_bare else 0
        else:
            lost = (root in held) + len(_below(root, held_in_order())) if is_bare else 0
        if lost and _holds_anything(root, found.skipped, skipped_in_order):
            lost = 0
        if lost and is_url(root) and _refused(root, problems):
            # A server that can't be asked has not lost anything.
            unseen.add(root)
            lost = 0
        if lost and prune:
            unseen.discard(root)
        elif lost:
            if root not in unseen:
                unseen.add(root)
                insort(unseen_in_order, root)
            kept.append(Problem(Path(root), _nothing_left(lost)))
        if lost:
            bare.add(root)
    problems = [problem for problem in problems if str(problem.path) not in bare] + kept

    def is_gone(path: str) -> bool:
        if path in stamps:
            return False
        # Archives and tables are looked into only where they are named themselves.
        outer = container_of(os.fspath(path))
        matching = [root for root, pattern in patterns.items() if pattern.match(outer or path)]
        if matching or (is_under(path, asked) if outer is None else _is_named_in(path, outer, asked)):
            return unseen.isdisjoint(matching) and not is_under(path, unseen)
        return bool(unlisted) and is_under(path, unlisted)

    return Plan(
        to_read=tuple(to_read),
        known_better=tuple(known_better),
        to_remove=tuple(Path(path) for path in held if is_gone(path)),
        to_forget=tuple(Path(path) for path in hopeless if is_gone(path)),
        unchanged=unchanged,
        left_out_before=len(again_left_out),
        problems=tuple(problems),
        passed_over=found.passed_over,
        left_out=tuple(again_left_out),
        lost=frozenset(bare),
        passed_over_at=found.passed_over_at,
        beside=Beside(found.sidecars, stamps),
    )


def came_by_lists(
    remembered: Set[str], listed: Iterable[Path], given: Iterable[Path], held: Mapping[str, Stamp]
) -> frozenset[str]:
    """The paths that a list named, and that nothing else brought into the store: what may go when a list lets go of it.

    What the store held before any list named it came some other way, and so does what is under a path given with the
    command.

    Args:
        remembered: Such paths of earlier runs.
        listed: What a list names now.
        given: The paths that are given beside it.
        held: The stamps of the store's clips, by path.
    """
    held_in_order = cache(lambda: sorted(held))
    new = {
        path
        for path in set(map(place_of, listed)) - remembered
        if is_under(path, remembered) or not (path in held or _below(path, held_in_order()))
    }
    asked = set(map(place_of, given))
    return frozenset(path for path in remembered | new if not is_under(path, asked))


def _holds_anything(root: str, skipped: Set[str], skipped_in_order: Sequence[str]) -> bool:
    """Whether there is something at a root that was seen and skipped, so that its disk is mounted.

    An empty folder says nothing: it may be the place where a disk is not mounted.
    """
    return root in skipped or any(holds_something(skipped_in_order[place]) for place in _below(root, skipped_in_order))


def holds_something(path: str) -> bool:
    """Whether a path is a file, or a folder that can be looked into and isn't empty."""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except NotADirectoryError:
        return True
    except OSError:
        return False


def _is_named_in(path: str, container: str, asked: Set[str]) -> bool:
    """Whether a clip in a container is below something that is asked for and no further up than the container."""
    while path not in asked:
        if len(path) <= len(container):
            return False
        path = os.path.dirname(path)  # noqa: PTH120 (of many)
    return True


def _refused(root: str, problems: Iterable[Problem]) -> bool:
    """Whether a URL couldn't be asked for what is there; it is known that nothing is otherwise."""
    return any(
        is_under(root, {str(problem.path)}) and not problem.reason.startswith(_NOT_THERE) for problem in problems
    )


def _nothing_left(lost: int) -> str:
    clips = "the one clip that the store holds is" if lost == 1 else f"the {lost:,} clips that the store holds are"
    return f"nothing is left here, so {clips} kept in case a disk is not mounted; --prune takes them out"


def _below(folder: str, paths: Sequence[str]) -> range:
    """The places of what is below a folder among sorted paths."""
    first = folder.rstrip(os.sep) + os.sep
    return range(bisect_left(paths, first), bisect_left(paths, first[:-1] + chr(ord(os.sep) + 1)))

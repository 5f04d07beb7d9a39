"""Which roots a run goes through: those that are given, or all that earlier runs were given."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pe_search.audio.exclude import Patterns, parse_patterns
from pe_search.audio.sources import refusal
from pe_search.places import is_there, place_of
from pe_search.reports import PassedOver, Root
from pe_search.tasks.planning import Plan, holds_something


@dataclass(frozen=True, slots=True)
class RunRoots:
    """The roots of one run.

    Attributes:
        roots: With the patterns of this run, and all else as it was known before.
        forgotten: Known ones that are gone, and not because a disk is not mounted: a folder above that is known as
            well, or of a file its own folder, is there without them. So are their clips.
    """

    roots: tuple[Root, ...]
    forgotten: tuple[Path, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """Where they are."""
        return [root.path for root in self.roots]

    def patterns(self, exclude: Sequence[str]) -> Mapping[str, Patterns]:
        """What each root excludes, by its path, with what is excluded everywhere; the latter counts less."""
        each = {str(root.path): dict.fromkeys([*exclude, *root.exclude]) for root in self.roots}
        return {path: parse_patterns(globs) for path, globs in each.items() if globs}

    def begun(self) -> list[Root]:
        """What is to be known of them if the run breaks off."""
        return [root for root in self.roots if is_there(root.path) and refusal(root.path) is None]

    def ended(self, plan: Plan) -> list[Root]:
        """What is to be known of them after the run, but for those that couldn't be looked at."""
        unseen = {str(problem.path) for problem in plan.problems} | plan.lost
        now_s = int(time.time())
        return [
            replace(root, indexed_at_s=now_s, passed_over=plan.passed_over_at.get(str(root.path), PassedOver()))
            for root in self.begun()
            if str(root.path) not in unseen
        ]

    def pruned(self) -> list[Path]:
        """Those that are not there any more."""
        return [root.path for root in self.roots if not is_there(root.path)]


def given_roots(given: Iterable[Path], exclude: Sequence[str], before: Iterable[Root]) -> RunRoots:
    """The roots that are given, with the patterns that are given."""
    known = {root.path: root for root in before}
    paths = dict.fromkeys(Path(place_of(path)) for path in given)
    return RunRoots(tuple(replace(known.get(path, Root(path)), exclude=tuple(exclude)) for path in paths))


def known_roots(before: Sequence[Root], held: Container[str]) -> RunRoots:
    """All roots that are known, each with the patterns that it was last indexed with.

    Args:
        before: What the store knows.
        held: The paths of its clips.
    """
    known = {root.path for root in before}
    gone = {root.path for root in before if _is_gone(root.path, known, is_file=str(root.path) in held)}
    return RunRoots(tuple(root for root in before if root.path not in gone), tuple(sorted(gone)))


def _is_gone(path: Path, known: Container[Path], *, is_file: bool) -> bool:
    if is_there(path):
        return False
    # The place of a disk may vanish with it, but never that of a file alone.
    above = path.parent if is_file else next((folder for folder in path.parents if folder in known), None)
    # An empty one may be the place where a disk is not mounted.
    return above is not None and os.path.isdir(above) and holds_something(str(above))  # noqa: PTH112

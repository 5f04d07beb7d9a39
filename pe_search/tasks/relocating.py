"""Files are at other places now: a store knows them there, without reading or embedding them again."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pe_search.audio.find import is_under
from pe_search.audio.hashing import content_digest
from pe_search.audio.stamps import stamp_of
from pe_search.errors import AudioError
from pe_search.places import is_there
from pe_search.records import Clip, LeftOut, Problem, Stamp
from pe_search.reports import PassedOver, Relocation, Root
from pe_search.store import Store
from pe_search.store.facts import read_zones
from pe_search.store.listed import ListedPaths
from pe_search.store.listing import held_under
from pe_search.store.moving import move_clips
from pe_search.store.roots import read_roots

# How many files are read, always the same ones.
_SAMPLE = 20
_SEED = 0
# A folder is taken for another one that is gone if it has at least this share of its clips.
_LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Moves:
    """Clips that are at other places now.

    Attributes:
        old: Where they were.
        new: Where they are.
        clips: By the path that a clip had, the clip as it is to be held.
        left_out: Likewise, of those that were left out.
        are_all: Whether nothing stays at the old place.
    """

    old: Path
    new: Path
    clips: Mapping[Path, Clip]
    left_out: Mapping[Path, Clip]
    are_all: bool = True

    def applied(self, held: Mapping[str, Stamp], left_out: Iterable[LeftOut]) -> tuple[dict[str, Stamp], list[LeftOut]]:
        """What a store would hold, and what would be left out."""
        moved = {str(path): clip for path, clip in self.clips.items()}
        stamps = {path: stamp for path, stamp in held.items() if path not in moved}
        stamps |= {str(clip.path): clip.stamp for clip in moved.values() if str(clip.path) not in stamps}
        return stamps, [replace(one, clip=self.left_out.get(one.clip.path, one.clip)) for one in left_out]


def relocate(store: Store, old: Path, new: Path, *, is_to_do: bool = True) -> Relocation:
    """Know all clips at or below one path as being at or below another.

    Args:
        store: Opened for writing, if anything is to be done.
        old: Absolute; it need not exist.
        new: Absolute.
        is_to_do: Whether to do it, or only to look.
    """
    found = _Found(store, old, new)
    moves = found.moves()
    relocation = found.relocation(moves)
    if not os.path.lexists(new):
        return replace(relocation, problems=(Problem(new, "No such file or directory"),))
    checked, problems = _compare({clip.path: found.held[path][1] for path, clip in moves.clips.items()})
    relocation = replace(relocation, checked=checked, problems=problems)
    if is_to_do and not problems:
        if moves.clips or moves.left_out or relocation.roots:
            carry_out(store, moves)
        # Even if nothing is left to do: one that was killed may have got no further than the commit.
        store.catalog.drop_unused_contents()
        store.finder.refresh()
    return relocation


def recognised(store: Store, given: Sequence[Path]) -> Iterator[tuple[Moves, Relocation]]:
    """Known folders that are gone, and are found again as one of some folders, as a disk that is mounted elsewhere.

    The files must have the same relative paths, sizes and times, and some are compared by their bytes. A clip whose
    file is not there, or is another, stays where it was.

    Args:
        store: What is known.
        given: The folders, absolute.
    """
    gone = [root.path for root in read_roots(store.catalog) if not is_there(root.path)]
    for new in given if gone else ():
        for old in tuple(gone) if new.is_dir() else ():
            found = _Found(store, old, new, only_same=True)
            # A root that is a file has no files below it.
            if old in found.held or not found.looks_like():
                continue
            moves = found.moves()
            checked, problems = _compare({clip.path: found.held[path][1] for path, clip in moves.clips.items()})
            if not problems:
                gone.remove(old)
                yield moves, replace(found.relocation(moves), checked=checked)


def carry_out(store: Store, moves: Moves) -> None:
    """Know some clips, and with them roots, zones and what came by lists, at their new places.

    Args:
        store: Opened for writing.
        moves: What is where.
    """
    memory = ListedPaths(store.directory)
    listed = memory.read()
    below = {path for path in listed if is_under(path, {str(moves.old)})}
    moved = {str(_at(Path(path), moves)) for path in below}
    # Before the clips, and let go of after them: whenever it breaks off, what came by a list is known.
    memory.write(listed | moved)
    roots = read_roots(store.catalog)
    move_clips(
        store.catalog,
        clips=moves.clips,
        left_out=moves.left_out,
        roots=_roots_after(roots, moves) if moves.are_all else (),
        forgotten=[root.path for root in roots if _is_below(root.path, moves.old)] if moves.are_all else (),
        zones=_zones_after(read_zones(store.catalog), moves),
    )
    if moves.are_all:
        memory.write((listed - below) | moved)


class _Found:
    """What a store holds at or below a path, and what of it is at another.

    Args:
        store: What is held.
        old: Where it was.
        new: Where it is looked for.
        only_same: Whether only files count that have the sizes and times that are held, and that are not held there
            already.
    """

    def __init__(self, store: Store, old: Path, new: Path, *, only_same: bool = False) -> None:
        self._old, self._new, self._only_same = old, new, only_same
        self._roots = read_roots(store.catalog)
        self.held = held_under(store.catalog, old)
        self._left_out = {one.clip.path: one.clip for one in store.catalog.left_out() if _is_below(one.clip.path, old)}
        self._there = store.catalog.stamps() if only_same and self.held else {}
        self._stamps: dict[Path, Stamp | None] = {}

    def looks_like(self) -> bool:
        """Whether enough is there to be taken for the same; a few are looked at first."""
        return bool(self.held) and self._has_share(_sample(self.held)) and self._has_share(list(self.held))

    def moves(self) -> Moves:
        """Where each clip is to be held, with the stamp of its file if that has its size and time."""
        clips, left_out = (
            {path: self._now(clip) for path, clip in of.items() if not self._only_same or self._is_same(clip)}
            for of in ({path: clip for path, (clip, _) in self.held.items()}, self._left_out)
        )
        are_all = len(clips) == len(self.held) and len(left_out) == len(self._left_out)
        return Moves(self._old, self._new, clips, left_out, are_all)

    def relocation(self, moves: Moves) -> Relocation:
        """The same as a report."""
        kinds: dict[str, list[Path]] = {"moved": [], "changed": [], "missing": []}
        for path, clip in moves.clips.items():
            stamp = self._stamp(clip.path)
            kind = "missing" if stamp is None else "moved" if self._is_same(self.held[path][0]) else "changed"
            kinds[kind].append(clip.path)
        return Relocation(
            self._old,
            self._new,
            moved=tuple(kinds["moved"]),
            changed=tuple(kinds["changed"]),
            missing=tuple(kinds["missing"]),
            left_out=len(moves.left_out),
            roots=sum(_is_below(root.path, self._old) for root in self._roots) if moves.are_all else 0,
        )

    def _has_share(self, paths: Sequence[Path]) -> bool:
        return sum(self._is_same(self.held[path][0]) for path in paths) >= _LEAST_SHARE * len(paths)

    def _is_same(self, clip: Clip) -> bool:
        target = _moved(clip.path, self._old, self._new)
        stamp = self._stamp(target)
        return stamp is not None and stamp[:2] == clip.stamp[:2] and str(target) not in self._there

    def _now(self, clip: Clip) -> Clip:
        target = _moved(clip.path, self._old, self._new)
        stamp = self._stamp(target)
        return Clip(target, *(clip.stamp if stamp is None or stamp[:2] != clip.stamp[:2] else stamp))

    def _stamp(self, path: Path) -> Stamp | None:
        if path not in self._stamps:
            try:
                self._stamps[path] = stamp_of(path.stat())
            except OSError:
                self._stamps[path] = None
        return self._stamps[path]


def _compare(digests: Mapping[Path, bytes]) -> tuple[int, tuple[Problem, ...]]:
    """How many files were compared with their digests, and those that differ or can't be read."""
    problems = []
    sample = _sample(digests)
    for path in sample:
        try:
            if content_digest(path) != digests[path]:
                problems.append(Problem(path, "has other bytes than the store knows"))
        except AudioError as error:
            problems.append(Problem(path, error.reason))
    return len(sample), tuple(problems)


def _sample(paths: Iterable[Path]) -> list[Path]:
    in_order = sorted(paths, key=os.fsencode)
    return sorted(random.Random(_SEED).sample(in_order, min(_SAMPLE, len(in_order))), key=os.fsencode)


def _roots_after(roots: Sequence[Root], moves: Moves) -> list[Root]:
    """What is to be known of the roots at or below the old place; and the new one, if else no root leads to it."""
    moved = [replace(root, path=_at(root.path, moves)) for root in roots if _is_below(root.path, moves.old)]
    others = {root.path for root in roots if not _is_below(root.path, moves.old)}
    new = [root for root in moved if root.path not in others]
    above = [root for root in roots if root.path in moves.old.parents]
    leading = {*moves.new.parents, moves.new} & (others | {root.path for root in new})
    if above and not leading:
        nearest = max(above, key=lambda root: len(root.path.parts))
        new.append(replace(nearest, path=moves.new, passed_over=PassedOver()))
    return new


def _zones_after(zones: Mapping[Path, str], moves: Moves) -> dict[Path, str | None]:
    """What changes of the zones, so that each clip keeps its own."""
    changes: dict[Path, str | None] = {}
    if moves.are_all:
        changes |= {path: None for path in zones if _is_below(path, moves.old)}
    staying = {path: zone for path, zone in zones.items() if path not in changes}
    changes |= {_at(path, moves): zone for path, zone in zones.items() if _is_below(path, moves.old)}
    changes |= {path: zone for path, zone in staying.items() if path in changes}
    before, after = _nearest(zones, moves.old), _nearest({**staying, **changes}, moves.new)
    if before is not None and before != after:
        changes[moves.new] = before
    return changes


def _nearest(zones: Mapping[Path, str | None], path: Path) -> str | None:
    return next((zones[place] for place in (path, *path.parents) if zones.get(place) is not None), None)


def _at(path: Path, moves: Moves) -> Path:
    return _moved(path, moves.old, moves.new)


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old)


def _is_below(path: Path, folder: Path) -> bool:
    return is_under(str(path), {str(folder)})

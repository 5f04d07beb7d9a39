"""How many windows or clips of a store sound like texts, by the time when they were recorded or by folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.known.filters import check_filters, is_at, local_s, takes
from pe_search.probability import probabilities
from pe_search.queries import Filters
from pe_search.records import IndexedClip
from pe_search.reports import COUNTED, COUNTED_BY, UNKNOWN, Counts
from pe_search.search.aims import Aim, scores_of
from pe_search.store import Manifest, Store
from pe_search.store.kernels import best_rows
from pe_search.store.roots import read_roots
from pe_search.store.sweep import Block, sweep

_HOUR_S = 3_600.0
_DAY_S = 24 * _HOUR_S
_HOURS = 24
# The key of what no time is known of; no other key comes near it.
_NO_TIME = np.iinfo(np.int64).max
# How much a score may come out differently where many are calculated at once, as a share of the product of the lengths.
_ROUNDING = 1e-5

Owner = tuple[float | None, int]
"""What decides where the windows of a clip count: when it was recorded, as `local_s` has it; its folder by number."""


def count(
    store: Store,
    texts: Sequence[str],
    aims: Sequence[Aim],
    *,
    by: str,
    of: str,
    min_probability: float,
    under: Path | None = None,
    filters: Filters | None = None,
    on_progress: Callable[[float], None] = lambda _share: None,
    others: Sequence[Store] = (),
) -> Counts:
    """Count windows, or clips, by the probability of each text.

    Each window of the store is scored once for each text, in float32 as a query scores it. In each bin a window counts
    once, however many clips of the same bytes have it there; so does a clip, with all of the same bytes.

    Args:
        store: Whose windows are counted. It is only read.
        texts: What to count.
        aims: Of the texts.
        by: One of `COUNTED_BY`.
        of: One of `COUNTED`. A clip counts in each bin in which one of its windows does.
        min_probability: The least probability of a window that counts, 0 to 1.
        under: A clip, or a folder that the clips must be below; absolute, or a name.
        filters: Which clips and windows to count.
        on_progress: Called now and then with the share of the windows that are done, 0 to 1.
        others: Stores of the same checkpoint whose windows are counted too. What two stores hold counts in each.

    Raises:
        ValueError: If `by`, `of` or `min_probability` is none of these.
        QueryError: If a filter is not valid.
    """
    if by not in COUNTED_BY or of not in COUNTED:
        raise ValueError(f"by={by!r} must be one of {', '.join(COUNTED_BY)}; of={of!r} one of {', '.join(COUNTED)}")
    if not 0 <= min_probability <= 1:
        raise ValueError(f"min_probability={min_probability:g} must be 0 to 1")
    filters = filters or Filters()
    check_filters(filters)
    tally = _Tally(len(texts), by, filters, of_clips=of == "clips")
    scorer = _Scorer(aims, store.manifest, min_probability)
    of_clip = replace(filters, recorded=None, hours=None)
    roots: list[Path] = []
    stores = (store, *others)
    for place, one in enumerate(stores):
        with one.catalog.snapshot():
            roots += [root.path for root in read_roots(one.catalog)]
            every = one.catalog.window_count() if under is None else len(one.catalog.window_ids_under(under))
            done = 0
            for block in sweep(one.catalog, under, lambda clip: takes(of_clip, clip)):
                tally.add(block, scorer)
                done += len(block.content_ids)
                on_progress((place + min(done / every, 1.0)) / len(stores))
        tally.end_store()
    return tally.counts(texts, of, min_probability, roots)


class _Scorer:
    """Says which windows reach a probability for which texts.

    Many scores at once come out differently in their last bits than those of a query, which depend on the window and
    the text alone. Where that could decide, they are calculated in the query's way.

    Args:
        aims: Of the texts.
        manifest: How scores become probabilities.
        min_probability: What is to be reached.
    """

    def __init__(self, aims: Sequence[Aim], manifest: Manifest, min_probability: float) -> None:
        self._aims = aims
        self._lengths = np.array([np.linalg.norm(aim.text.astype(np.float64)) for aim in aims])
        self._likes = np.array([0.0 if aim.like is None else np.linalg.norm(aim.like) for aim in aims])
        self._manifest = manifest
        self._least = min_probability

    def score(self, vectors: NDArray[np.float16]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Whether each window reaches it for each text, and the probabilities; both of shape (windows, texts)."""
        block = vectors.astype(np.float32)
        scores = scores_of(block, self._aims).astype(np.float64)
        doubt = _ROUNDING * (np.linalg.norm(block, axis=1)[:, None] * self._lengths + self._likes)
        one, other = self.probabilities(scores - doubt), self.probabilities(scores + doubt)
        reached = np.minimum(one, other) >= self._least
        open_ = (np.maximum(one, other) >= self._least) & ~reached
        for text in np.flatnonzero(open_.any(axis=0)).tolist():
            rows = np.flatnonzero(open_[:, text])
            exact, order = best_rows(vectors[rows], self._aims[text].text, len(rows), like=self._aims[text].like)
            reached[rows[order], text] = self.probabilities(exact.astype(np.float64)) >= self._least
        return reached, self.probabilities(scores)

    def probabilities(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of scores of any shape."""
        return probabilities(scores, self._manifest.logit_scale, self._manifest.logit_bias)


class _Tally:
    """Sums up blocks of windows.

    Bins have keys: the hour; the day, its hour or the month as NumPy counts them, from 1970 on; the folder's number.

    Args:
        texts: How many there are.
        by: As `count` has it.
        filters: Likewise; the clips of the blocks pass them, their windows may not.
        of_clips: Whether to count clips.
    """

    def __init__(self, texts: int, by: str, filters: Filters, *, of_clips: bool) -> None:
        self._by = by
        self._filters = filters
        self._of_clips = of_clips
        self._totals: dict[int, int] = {}
        self._reached: dict[int, NDArray[np.int64]] = {}
        self._folders: dict[Path, int] = {}
        self._best = np.full(texts, -1.0)
        self._without_time = 0
        self._last_id = -1
        # The last content may go on in the next block: its id, keys, and which texts it reaches there.
        self._open = _Groups(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, texts), bool))

    def add(self, block: Block, scorer: _Scorer) -> None:
        """Count the windows of a block."""
        rows, keys = self._placed(block)
        if not len(rows):
            return
        reached, probability = scorer.score(block.vectors)
        np.maximum(self._best, probability[rows].max(axis=0), out=self._best)
        if not self._of_clips:
            self._sum_up(_Groups(rows, keys, reached[rows]).joined())
            return
        groups = self._open.and_(_Groups(block.content_ids[rows], keys, reached[rows])).joined()
        is_last = groups.units == groups.units[-1]
        self._sum_up(groups.where(~is_last))
        self._open = groups.where(is_last)

    def end_store(self) -> None:
        """What comes next is of another store, with ids of its own."""
        self._sum_up(self._open)
        self._open = self._open.where(np.zeros(len(self._open.units), bool))
        self._last_id = -1

    def counts(self, texts: Sequence[str], of: str, min_probability: float, roots: Sequence[Path]) -> Counts:
        """What all blocks come to.

        Args:
            texts: What was counted.
            of: Likewise.
            min_probability: Likewise.
            roots: The folders and files that were indexed.
        """
        base = None
        if self._by == "folder":
            folders = list(self._folders)
            base = _base_of([folders[key] for key in self._totals], roots)
            name_of_key = {key: _folder_name(folders[key], base) for key in self._totals}
            keys = sorted(name_of_key, key=lambda key: os.fsencode(name_of_key[key]))
        else:
            hours = range(_HOURS) if self._by == "hour" else ()
            keys = sorted({*hours, *self._totals})
            name_of_key = {key: _time_name(key, self._by) for key in keys}
        nothing = np.zeros(len(texts), np.int64)
        table = np.array([self._reached.get(key, nothing) for key in keys]).reshape(len(keys), len(texts))
        return Counts(
            by=self._by,
            of=of,
            min_probability=min_probability,
            texts=tuple(texts),
            bins=tuple(name_of_key[key] for key in keys),
            totals=tuple(self._totals.get(key, 0) for key in keys),
            counts=tuple(tuple(column) for column in table.T.tolist()),
            best=tuple(float(best) if best >= 0 else None for best in self._best),
            clips_without_time=self._without_time,
            base=base,
        )

    def _placed(self, block: Block) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of the windows that are meant, and the key of each; a row is there for each bin that it counts in.

        Those of clips that have the same bytes and differ in nothing else that matters are there once.
        """
        starts = np.flatnonzero(np.diff(block.content_ids, prepend=-1))
        ends = np.append(starts[1:], len(block.content_ids))
        firsts, lengths, owners = list[int](), list[int](), list[Owner]()
        for first, end in zip(starts.tolist(), ends.tolist(), strict=True):
            content_id = int(block.content_ids[first])
            of_clips = [self._owner(clip) for clip in block.clips[content_id]]
            if content_id != self._last_id and self._by != "folder" and not self._filters.has_time:
                self._without_time += sum(recorded_s is None for recorded_s, _ in of_clips)
            for owner in dict.fromkeys(of_clips):
                firsts.append(first)
                lengths.append(end - first)
                owners.append(owner)
        self._last_id = content_id
        owner_of = np.repeat(np.arange(len(owners)), lengths)
        skipped = np.cumsum([0, *lengths[:-1]])
        rows = np.arange(len(owner_of)) + np.repeat(np.array(firsts) - skipped, lengths)
        recorded_s = np.array([np.nan if owner[0] is None else owner[0] for owner in owners])[owner_of]
        at_s = recorded_s + block.starts_s[rows]
        if self._by == "folder":
            keys = np.array([folder for _, folder in owners], np.int64)[owner_of]
        else:
            keys = _time_keys(at_s, self._by)
        if self._filters.has_time:
            of_rows = zip(owner_of.tolist(), block.starts_s[rows].tolist(), strict=True)
            passed = np.array([is_at(self._filters, owners[one][0], start_s) for one, start_s in of_rows], bool)
            rows, keys = rows[passed], keys[passed]
        return rows, keys

    def _owner(self, clip: IndexedClip) -> Owner:
        folder = self._folders.setdefault(clip.path.parent, len(self._folders)) if self._by == "folder" else 0
        return local_s(clip.recorded_at), folder

    def _sum_up(self, groups: _Groups) -> None:
        order = np.argsort(groups.keys, kind="stable")
        keys = groups.keys[order]
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.empty(0, np.int64)
        if not len(starts):
            return
        counts = np.add.reduceat(groups.reached[order], starts, axis=0, dtype=np.int64)
        for key, total, reached in zip(keys[starts].tolist(), np.diff(starts, append=len(keys)), counts, strict=True):
            self._totals[key] = self._totals.get(key, 0) + int(total)
            self._reached[key] = self._reached[key] + reached if key in self._reached else reached


@dataclass(frozen=True, slots=True)
class _Groups:
    """What counts in bins.

    Attributes:
        units: int64 of shape (groups,): what counts once in a bin.
        keys: int64 of shape (groups,): of the bins.
        reached: bool of shape (groups, texts).
    """

    units: NDArray[np.int64]
    keys: NDArray[np.int64]
    reached: NDArray[np.bool_]

    def and_(self, others: _Groups) -> _Groups:
        """These, and others behind them."""
        return _Groups(
            np.concatenate([self.units, others.units]),
            np.concatenate([self.keys, others.keys]),
            np.concatenate([self.reached, others.reached]),
        )

    def where(self, is_meant: NDArray[np.bool_]) -> _Groups:
        """Some of these."""
        return _Groups(self.units[is_meant], self.keys[is_meant], self.reached[is_meant])

    def joined(self) -> _Groups:
        """One for each unit and bin, in order of the units: it reaches what one of them does. At least one is there."""
        order = np.lexsort((self.keys, self.units))
        units, keys = self.units[order], self.keys[order]
        is_first = np.append(True, (units[1:] != units[:-1]) | (keys[1:] != keys[:-1]))
        reached = np.logical_or.reduceat(self.reached[order], np.flatnonzero(is_first), axis=0)
        return _Groups(units[is_first], keys[is_first], reached)


def _time_keys(at_s: NDArray[np.float64], by: str) -> NDArray[np.int64]:
    """The keys of times, as `local_s` has them; NaN is one that is not known."""
    is_known = ~np.isnan(at_s)
    known_s = at_s[is_known]
    keys = np.full(len(at_s), _NO_TIME)
    if by == "hour":
        # As `filters.is_in_hours`. The remainder of a number just below zero is a whole day.
        keys[is_known] = np.minimum(known_s % _DAY_S // _HOUR_S, _HOURS - 1)
    elif by == "day-hour":
        keys[is_known] = known_s // _HOUR_S
    else:
        days = (known_s // _DAY_S).astype(np.int64)
        keys[is_known] = days if by == "day" else days.view("datetime64[D]").astype("datetime64[M]").view(np.int64)
    return keys


def _time_name(key: int, by: str) -> str:
    if key == _NO_TIME:
        return UNKNOWN
    if by == "day-hour":
        return str(np.datetime64(key, "h"))
    return str(key) if by == "hour" else str(np.datetime64(key, "D" if by == "day" else "M"))


def _base_of(folders: Sequence[Path], roots: Sequence[Path]) -> Path | None:
    """What folders are named relative to: the nearest root that holds them all, else what they have in common.

    None if some are names, and no places on disk.
    """
    if not folders or not all(folder.is_absolute() for folder in folders):
        return None
    common = Path(os.path.commonpath(folders))
    return next((place for place in (common, *common.parents) if place in roots), common)


def _folder_name(folder: Path, base: Path | None) -> str:
    return str(folder if base is None else folder.relative_to(base))

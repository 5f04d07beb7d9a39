"""Clips become windows, windows become embeddings, embeddings come to rest in the store."""

from __future__ import annotations

import os
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.audio.ahead import ClipAhead, read_ahead
from pe_search.audio.find import find_stamps, is_under
from pe_search.audio.stamps import is_same
from pe_search.errors import AudioError
from pe_search.records import Clip, Content, IndexSummary, LeftOut, Problem, Stamp
from pe_search.store import Store
from pe_search.store.schema import LARGEST_VALUE

# Embeddings are committed this often, so that little is lost when a run is cut short.
_COMMIT_EVERY_S = 5.0
# Windows wait until they could fill this many of the embedder's batches, so that those of one length meet.
_BATCHES_TO_GATHER = 3
_READS_OTHERWISE = "reads otherwise than in the run that began it; the next run embeds it anew"
_TOO_LARGE = "its samples are too large to embed"


class WindowEmbedder(Protocol):
    """What indexing asks of an embedder."""

    @property
    def batch_s(self) -> float:
        """Seconds of audio that are embedded at once."""

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Windows to embeddings of shape (windows, dimension)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an index run has to do.

    Attributes:
        to_read: Clips that are new or changed.
        known_better: Clips that are held or were left out as they are, and of whose files more is known than then.
        to_remove: Paths of clips that the store holds under the given folders, and that are gone.
        to_forget: Paths of clips that were left out before, and that are gone.
        unchanged: Number of clips that the store already holds as they are.
        left_out_before: Number of clips that were left out as they are, so that it would be in vain to try again.
        problems: Folders and files that couldn't be looked at.
    """

    to_read: tuple[Clip, ...]
    known_better: tuple[Clip, ...]
    to_remove: tuple[Path, ...]
    to_forget: tuple[Path, ...]
    unchanged: int
    left_out_before: int
    problems: tuple[Problem, ...]


def plan_index(
    paths: Iterable[Path], held: Mapping[str, Stamp], left_out: Iterable[LeftOut] = (), *, prune: bool = False
) -> Plan:
    """Compare what is on disk with what a store holds. No clip is opened.

    Args:
        paths: Folders and files to index. What the store holds from elsewhere is left alone.
        held: The stamps of the store's clips, by path.
        left_out: What it remembers of clips that were left out.
        prune: Whether clips are gone even if nothing at all is left under one of the paths. Without it that is a
            problem, and they are kept: a disk may not be mounted.
    """
    roots = [os.path.abspath(path) for path in paths]
    problems: list[Problem] = []
    found = find_stamps(map(Path, roots), problems.append)
    hopeless = {str(one.clip.path): one.clip.stamp for one in left_out}
    unchanged = 0
    to_read: list[Clip] = []
    known_better: list[Clip] = []
    for path, stamp in found.items():
        is_held = is_same(held.get(path), stamp)
        before = held.get(path) if is_held else hopeless.get(path)
        unchanged += is_held
        if not is_same(before, stamp):
            to_read.append(Clip(Path(path), *stamp))
        elif before != stamp:
            known_better.append(Clip(Path(path), *stamp))
    # What couldn't be looked at isn't known to be gone.
    unseen = {str(problem.path) for problem in problems}
    asked = set(roots)
    # Sorted, because a list of a hundred thousand files is as many roots, and none can be held against every path.
    found_in_order, unseen_in_order = sorted(found), sorted(unseen)
    held_in_order = cache(lambda: sorted(held))
    kept: list[Problem] = []
    bare: set[str] = set()
    for root in dict.fromkeys(roots):
        is_bare = not (
            root in found
            or _below(root, found_in_order)
            or any(unseen_in_order[place] in unseen for place in _below(root, unseen_in_order))
        )
        lost = (root in held) + len(_below(root, held_in_order())) if is_bare else 0
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
    to_remove, to_forget = (
        tuple(
            Path(path) for path in known if path not in found and is_under(path, asked) and not is_under(path, unseen)
        )
        for known in (held, hopeless)
    )
    return Plan(
        to_read=tuple(to_read),
        known_better=tuple(known_better),
        to_remove=to_remove,
        to_forget=to_forget,
        unchanged=unchanged,
        left_out_before=len(found) - len(to_read) - unchanged,
        problems=tuple(problems),
    )


def _nothing_left(lost: int) -> str:
    clips = "the one clip that the store holds is" if lost == 1 else f"the {lost:,} clips that the store holds are"
    return f"nothing is left here, so {clips} kept in case a disk is not mounted; --prune takes them out"


def run_index(
    plan: Plan,
    store: Store,
    load_embedder: Callable[[], WindowEmbedder],
    *,
    on_progress: Callable[[float, float], None] = lambda _bytes_done, _audio_s: None,
    on_problem: Callable[[Problem], None] = lambda _problem: None,
) -> IndexSummary:
    """Carry out a plan. A KeyboardInterrupt ends the run early, with all finished clips committed.

    Args:
        plan: From `plan_index`.
        store: Where the embeddings go.
        load_embedder: Called once there is a window to embed; gives the embedder of the store's checkpoint.
        on_progress: Called now and then with the bytes of the plan's clips that are done, and the seconds of audio
            that are embedded.
        on_problem: Called with each clip that is left out, as soon as it is known.
    """
    run = _Run(store, load_embedder, on_progress, on_problem)
    is_interrupted = False
    for problem in plan.problems:
        run.report(problem)
    try:
        store.commit(removed=(*plan.to_remove, *plan.to_forget), seen=plan.known_better)
        if plan.to_read:
            run.learn_what_is_held()
        manifest = store.manifest
        with closing(read_ahead(plan.to_read, manifest.window_s, manifest.hop_s, run.is_held)) as clips:
            for ahead in clips:
                run.take(ahead)
            run.embed()
    except KeyboardInterrupt:
        is_interrupted = True
    run.commit()
    if not is_interrupted:
        store.drop_unused_contents()
        store.refresh_index()
    return IndexSummary(
        clips=run.clips,
        windows=run.windows,
        audio_s=run.audio_s,
        recognised=run.recognised,
        unchanged=plan.unchanged,
        removed=len(plan.to_remove),
        left_out_before=plan.left_out_before,
        problems=tuple(run.problems),
        is_interrupted=is_interrupted,
    )


@dataclass(slots=True)
class _Reading:
    """A content on its way: read up to somewhere, embedded up to somewhere; with the clips that have it.

    Attributes:
        times: Start and end of each window that was read.
        embeddings: Of those windows that are embedded and not committed.
        committed: How many windows the store holds already.
        committed_before: How many it held before this run.
    """

    digest: bytes
    clips: list[Clip] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)
    committed: int = 0
    committed_before: int = 0
    is_read: bool = False
    is_dropped: bool = False

    @property
    def is_finished(self) -> bool:
        return self.is_read and self.committed + len(self.embeddings) == len(self.times)


class _Run:
    """The moving parts of one run: clips being read, windows gathered for the embedder, clips not yet committed."""

    def __init__(
        self,
        store: Store,
        load_embedder: Callable[[], WindowEmbedder],
        on_progress: Callable[[float, float], None],
        on_problem: Callable[[Problem], None],
    ) -> None:
        self.clips = 0
        self.windows = 0
        self.audio_s = 0.0
        self.recognised = 0
        self.problems: list[Problem] = []
        self._store = store
        self._embedder = cache(load_embedder)
        self._on_progress = on_progress
        self._on_problem = on_problem
        # The digests of all contents that need not be embedded any more, the windows of those that a run before this
        # one began, and what is on its way.
        self._held: set[bytes] = set()
        self._begun: dict[bytes, list[tuple[float, float]]] = {}
        self._uncommitted: dict[bytes, _Reading] = {}
        self._recognised: list[tuple[Clip, bytes]] = []
        self._left_out: list[LeftOut] = []
        self._gathered: list[tuple[_Reading, NDArray[np.float32]]] = []
        self._gathered_s = 0.0
        self._embedded_s = 0.0
        self._bytes_read = 0.0
        self._last_commit_s = time.monotonic()

    def report(self, problem: Problem) -> None:
        self.problems.append(problem)
        self._on_problem(problem)

    def leave_out(self, clip: Clip, reason: str) -> None:
        """Report a clip, and remember it as it is."""
        self._left_out.append(LeftOut(clip, reason))
        self.report(Problem(clip.path, reason))

    def learn_what_is_held(self) -> None:
        self._held = self._store.digests()
        self._begun = self._store.begun_times()

    def is_held(self, digest: bytes) -> bool:
        """Whether a content need not be embedded any more; called from other threads."""
        return digest in self._held

    def take(self, ahead: ClipAhead) -> None:
        """Gather a clip's windows, unless its content is known; embed whenever enough have come together."""
        clip = ahead.clip
        bytes_before = self._bytes_read
        reading: _Reading | None = None
        try:
            digest = ahead.digest()
            if digest in self._held or digest in self._uncommitted:
                ahead.skip_windows()
            else:
                reading = self._uncommitted[digest] = _Reading(digest)
                self._gather(reading, ahead)
        except AudioError as error:
            if reading is not None:
                self._drop(reading)
            if error.may_pass:
                self.report(Problem(error.path, error.reason))
            else:
                self.leave_out(clip, error.reason)
        else:
            if reading is not None:
                reading.is_read = True
            if digest in self._held:
                self._recognised.append((clip, digest))
            elif digest in self._uncommitted:
                self._uncommitted[digest].clips.append(clip)
            else:
                self.leave_out(clip, _TOO_LARGE)
        self._bytes_read = bytes_before + clip.size_bytes
        self._commit_if_due()

    def _gather(self, reading: _Reading, ahead: ClipAhead) -> None:
        bytes_before = self._bytes_read
        begun = self._begun.pop(reading.digest, [])
        reading.committed = reading.committed_before = len(begun)
        for window in ahead.windows():
            times = window.start_s, window.end_s
            reading.times.append(times)
            if len(reading.times) <= len(begun):
                if times != begun[len(reading.times) - 1]:
                    raise AudioError(ahead.clip.path, _READS_OTHERWISE, may_pass=True)
                continue
            self._gathered.append((reading, window.samples))
            self._gathered_s += window.end_s - window.start_s
            self._bytes_read = bytes_before + ahead.clip.size_bytes * ahead.share_read
            if self._gathered_s >= _BATCHES_TO_GATHER * self._embedder().batch_s:
                self.embed()
            if reading.is_dropped:
                return
        if len(reading.times) < len(begun):
            raise AudioError(ahead.clip.path, _READS_OTHERWISE, may_pass=True)

    def embed(self) -> None:
        """Embed what is gathered; commit if it is time."""
        gathered = [(reading, samples) for reading, samples in self._gathered if not reading.is_dropped]
        self._gathered.clear()
        self._gathered_s = 0.0
        if gathered:
            embeddings = self._embedder().embed_windows([samples for _, samples in gathered])
            for (reading, samples), embedding in zip(gathered, embeddings, strict=True):
                reading.embeddings.append(embedding)
                self._embedded_s += len(samples) / self._store.manifest.sample_rate_hz
                if not (reading.is_dropped or (np.abs(embedding) <= LARGEST_VALUE).all()):
                    self._drop(reading)
                    for clip in reading.clips:
                        self.leave_out(clip, _TOO_LARGE)
        self._on_progress(self._bytes_read, self._embedded_s)
        self._commit_if_due()

    def _drop(self, reading: _Reading) -> None:
        reading.is_dropped = True
        self._uncommitted.pop(reading.digest, None)
        if reading.committed:
            self._store.drop_begun_content(reading.digest)

    def _commit_if_due(self) -> None:
        if time.monotonic() - self._last_commit_s >= _COMMIT_EVERY_S:
            self.commit()
            self._store.keep_index_up()

    def commit(self) -> None:
        """Commit all that is embedded, and all that is known of clips.

        A clip joins the store when all of its windows are embedded. What there is of a long one is kept until then, so
        that a run that is cut short has not worked hours for nothing.
        """
        readings = self._uncommitted.values()
        finished = [reading for reading in readings if reading.is_finished]
        # The last window of a clip that isn't known to be at its end waits, so that there is one left to end with.
        grown = [reading for reading in readings if len(reading.embeddings) > 1 and not reading.is_finished]
        self._store.commit(
            contents=[
                *(_part(reading, len(reading.embeddings)) for reading in finished),
                *(_part(reading, len(reading.embeddings) - 1) for reading in grown),
            ],
            clips=[*((clip, reading.digest) for reading in finished for clip in reading.clips), *self._recognised],
            left_out=self._left_out,
        )
        for reading in grown:
            reading.committed += len(reading.embeddings) - 1
            del reading.embeddings[:-1]
        for reading in finished:
            del self._uncommitted[reading.digest]
            self._held.add(reading.digest)
            begun_s = reading.times[reading.committed_before - 1][1] if reading.committed_before else 0.0
            self.windows += len(reading.times) - reading.committed_before
            self.audio_s += reading.times[-1][1] - begun_s
        self._last_commit_s = time.monotonic()
        self.clips += len(finished)
        self.recognised += len(self._recognised) + sum(len(reading.clips) - 1 for reading in finished)
        self._recognised.clear()
        self._left_out.clear()


def _part(reading: _Reading, windows: int) -> Content:
    """The windows that come after those that are committed."""
    times = reading.times[reading.committed : reading.committed + windows]
    return Content(reading.digest, times, np.stack(reading.embeddings[:windows]), is_whole=reading.is_finished)


def _below(folder: str, paths: Sequence[str]) -> range:
    """The places of what is below a folder among sorted paths."""
    first = folder.rstrip(os.sep) + os.sep
    return range(bisect_left(paths, first), bisect_left(paths, first[:-1] + chr(ord(os.sep) + 1)))

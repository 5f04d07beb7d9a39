"""Clips become windows, windows become embeddings, embeddings come to rest in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.audio.ahead import ClipAhead, read_ahead
from pe_search.embedding import TOO_LARGE, Gathering, WindowEmbedder, gather_batches
from pe_search.errors import AudioError
from pe_search.records import Clip, Content, Facts, Hearing, LeftOut, Problem
from pe_search.reports import IndexSummary, KeptPart, Progress
from pe_search.store import Store
from pe_search.tasks.destination import Destination, InStore
from pe_search.tasks.facts import learn_facts
from pe_search.tasks.planning import Plan
from pe_search.tasks.sidecars import take_in_sidecars

# Embeddings are committed this often, so that little is lost when a run is cut short.
COMMIT_EVERY_S = 5.0
_READS_OTHERWISE = "reads otherwise than in the run that began it; the next run embeds it anew"


OnProgress = Callable[[Progress], None]
OnProblem = Callable[[Problem], None]


class Work(Protocol):
    """What embeds the clips of a run and commits them: `Intake`, here, or other processes.

    Attributes:
        clips: Clips embedded; these counts are those of `IndexSummary`.
        windows: Windows embedded.
        audio_s: Seconds of audio embedded.
        recognised: New clips of known content.
        incomplete: Clips that could not be read completely.
        problems: What was left out.
        runtime: Where and in what windows were embedded, in words; None if nothing is known of it.
    """

    clips: int
    windows: int
    audio_s: float
    recognised: int
    incomplete: int
    problems: list[Problem]
    runtime: str | None

    def report(self, problem: Problem) -> None:
        """Count and tell a problem."""

    def run(self, clips: Sequence[Clip]) -> None:
        """Embed clips to their ends."""

    def commit(self) -> None:
        """Commit all that is embedded, and all that is known of clips."""

    def kept_parts(self) -> tuple[KeptPart, ...]:
        """What the store keeps of contents that are not embedded to their ends."""


def run_index(
    plan: Plan,
    store: Store,
    load_embedder: Callable[[], WindowEmbedder],
    *,
    work: Work | None = None,
    with_sidecars: bool = True,
    on_progress: OnProgress = lambda _progress: None,
    on_problem: OnProblem = lambda _problem: None,
) -> IndexSummary:
    """Carry out a plan. A KeyboardInterrupt ends the run early, with all finished clips committed.

    Args:
        plan: From `planning.plan_index`.
        store: Where the embeddings go.
        load_embedder: Called once there is a window to embed; gives the embedder of the store's checkpoint.
        work: What embeds the clips, with its own ways to tell of progress and problems; None to embed them here.
        with_sidecars: Whether the transcripts beside clips are taken in.
        on_progress: Called now and then; how much there is in all is left out.
        on_problem: Called with each clip that is left out, of which something is missing, or that is odd, as soon as
            it is known.
    """
    run = work or Intake(partial(InStore, store), load_embedder, store.manifest, on_progress, on_problem)
    is_interrupted, sidecars = False, 0
    for problem in plan.problems:
        run.report(problem)
    try:
        store.catalog.commit(removed=(*plan.to_remove, *plan.to_forget), seen=plan.known_better)
        learn_facts(store)
        if plan.to_read:
            run.run(plan.to_read)
    except KeyboardInterrupt:
        is_interrupted = True
    run.commit()
    if not is_interrupted:
        store.catalog.drop_unused_contents()
        if with_sidecars:
            sidecars = take_in_sidecars(store, plan.beside, on_problem)
        store.finder.refresh()
    return IndexSummary(
        clips=run.clips,
        windows=run.windows,
        audio_s=run.audio_s,
        recognised=run.recognised,
        unchanged=plan.unchanged,
        removed=len(plan.to_remove),
        left_out_before=plan.left_out_before,
        incomplete=run.incomplete,
        problems=tuple(run.problems),
        is_interrupted=is_interrupted,
        kept_parts=run.kept_parts() if is_interrupted else (),
        passed_over=plan.passed_over,
        sidecars=sidecars,
        runtime=run.runtime,
    )


@dataclass(slots=True)
class _Reading:
    """A content on its way: read up to somewhere, embedded up to somewhere; with the clips that have it.

    Attributes:
        path: The clip that it is read from.
        times: Start and end of each window that was read.
        embeddings: Of those windows that are embedded and not committed.
        committed: How many windows the store holds already.
        committed_s: Where the last of these ends.
        committed_before: How many it held before this run.
        share_read: How much of it the windows make up that were read, 0 to 1.
        missing: What of it couldn't be read; None as long as it isn't at its end, and if it was read whole.
        facts: What the file says of itself; None as long as it isn't at its end.
    """

    digest: bytes
    path: Path
    clips: list[Clip] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)
    committed: int = 0
    committed_s: float = 0.0
    committed_before: int = 0
    share_read: float = 0.0
    missing: str | None = None
    facts: Facts | None = None
    is_read: bool = False
    is_dropped: bool = False

    @property
    def is_finished(self) -> bool:
        return self.is_read and self.committed + len(self.embeddings) == len(self.times)


class Cutting(Protocol):
    """What of a manifest tells how clips are cut into windows."""

    @property
    def window_s(self) -> float:
        """Length of a window."""

    @property
    def hop_s(self) -> float:
        """Step from one window to the next."""

    @property
    def hearing(self) -> Hearing:
        """How clips are brought to the model."""


class Intake:
    """Takes clips in: those that are being read, windows gathered for the embedder, clips not yet committed.

    Args:
        destination: Called once there is a clip; gives what embeddings are committed to.
        load_embedder: As in `run_index`.
        cutting: How clips are cut into windows, as a manifest has it.
        on_progress: As in `run_index`.
        on_problem: As in `run_index`.
        threads: How many read ahead; None for as many as `read_ahead` takes by itself.
        commit_every_s: How often what is embedded is committed, in seconds; None for as often as is usual.

    Attributes are those of `Work`.
    """

    def __init__(
        self,
        destination: Callable[[], Destination],
        load_embedder: Callable[[], WindowEmbedder],
        cutting: Cutting,
        on_progress: OnProgress = lambda _progress: None,
        on_problem: OnProblem = lambda _problem: None,
        *,
        threads: int | None = None,
        commit_every_s: float | None = None,
    ) -> None:
        self.clips = 0
        self.windows = 0
        self.audio_s = 0.0
        self.recognised = 0
        self.incomplete = 0
        self.problems: list[Problem] = []
        self.runtime: str | None = None
        self._destination = cache(destination)
        self._cutting = cutting
        self._threads = threads
        self._commit_every_s = commit_every_s
        self._on_progress = on_progress
        self._on_problem = on_problem
        self._uncommitted: dict[bytes, _Reading] = {}
        self._recognised: list[tuple[Clip, bytes]] = []
        self._left_out: list[LeftOut] = []
        self._gathering: Gathering[_Reading] = gather_batches(
            load_embedder, self._deliver, lambda reading: not reading.is_dropped
        )
        self._bytes_read = 0.0
        self._bytes_skipped = 0.0
        self._clips_read = 0
        self._last_commit_s = time.monotonic()

    def report(self, problem: Problem) -> None:
        """Count and tell a problem."""
        self.problems.append(problem)
        self._on_problem(problem)

    def leave_out(self, clip: Clip, reason: str) -> None:
        """Report a clip, and remember it as it is."""
        self._left_out.append(LeftOut(clip, reason))
        self.report(Problem(clip.path, reason))

    @property
    def progress(self) -> Progress:
        """How far it came."""
        return Progress(self._bytes_read, 0, self._gathering.embedded_s, self._bytes_skipped, self._clips_read)

    def run(self, clips: Iterable[Clip]) -> None:
        """Read clips, and embed their windows; what is not committed yet waits for `commit`."""
        cutting, is_held = self._cutting, self._destination().is_held
        reading = read_ahead(clips, cutting.window_s, cutting.hop_s, is_held, cutting.hearing, threads=self._threads)
        with closing(reading) as aheads:
            for ahead in aheads:
                self.take(ahead)
            self.embed()

    def take(self, ahead: ClipAhead) -> None:
        """Gather a clip's windows, unless its content is known; embed whenever enough have come together."""
        clip = ahead.clip
        bytes_before = self._bytes_read
        reading: _Reading | None = None
        try:
            digest = ahead.digest()
            if digest in self._uncommitted or self._destination().is_held(digest):
                ahead.skip_windows()
                self._bytes_skipped += clip.size_bytes
            else:
                reading = self._uncommitted[digest] = _Reading(digest, clip.path)
                self._gather(reading, ahead)
        except AudioError as error:
            self._bytes_skipped += bytes_before + clip.size_bytes - self._bytes_read
            if reading is not None:
                self._drop(reading)
            if error.may_pass:
                self.report(Problem(error.path, error.reason))
            else:
                self.leave_out(clip, error.reason)
        else:
            missing: str | None = None
            if reading is not None:
                self._take_oddities(reading, ahead.oddities)
                reading.facts = ahead.facts
                reading.is_read = True
            if digest in self._uncommitted:
                self._uncommitted[digest].clips.append(clip)
                missing = self._uncommitted[digest].missing
            elif self._destination().is_held(digest):
                self._recognised.append((clip, digest))
                missing = self._destination().missing(digest)
            else:
                self.leave_out(clip, TOO_LARGE)
            if missing is not None:
                self.incomplete += 1
                self._on_problem(Problem(clip.path, missing))
        self._bytes_read = bytes_before + clip.size_bytes
        self._clips_read += 1
        self._commit_if_due()

    def _gather(self, reading: _Reading, ahead: ClipAhead) -> None:
        bytes_before = self._bytes_read
        begun = self._destination().begun(reading.digest)
        reading.committed = reading.committed_before = len(begun)
        reading.committed_s = begun[-1][1] if begun else 0.0
        for window in ahead.windows():
            times = window.start_s, window.end_s
            reading.times.append(times)
            skipped_bytes = ahead.clip.size_bytes * (ahead.share_read - reading.share_read)
            reading.share_read = ahead.share_read
            if len(reading.times) <= len(begun):
                if times != begun[len(reading.times) - 1]:
                    raise AudioError(ahead.clip.path, _READS_OTHERWISE, may_pass=True)
                self._bytes_skipped += skipped_bytes
                continue
            self._bytes_read = bytes_before + ahead.clip.size_bytes * ahead.share_read
            if self._gathering.add(reading, window.samples):
                self._embedded()
            if reading.is_dropped:
                return
        if len(reading.times) < len(begun):
            raise AudioError(ahead.clip.path, _READS_OTHERWISE, may_pass=True)

    def _take_oddities(self, reading: _Reading, oddities: Iterable[Problem]) -> None:
        for oddity in oddities:
            if oddity.is_note:
                self._on_problem(oddity)
            else:
                reading.missing = oddity.reason

    def embed(self) -> None:
        """Embed what is gathered; commit if it is time."""
        self._gathering.embed()
        self._embedded()

    def _embedded(self) -> None:
        self._on_progress(self.progress)
        self._commit_if_due()

    def _deliver(self, reading: _Reading, embedding: NDArray[np.float32] | None) -> None:
        if embedding is not None:
            reading.embeddings.append(embedding)
        elif not reading.is_dropped:
            self._drop(reading)
            for clip in reading.clips:
                self.leave_out(clip, TOO_LARGE)

    def _drop(self, reading: _Reading) -> None:
        reading.is_dropped = True
        self._uncommitted.pop(reading.digest, None)
        if reading.committed:
            self._destination().drop_begun(reading.digest)

    def kept_parts(self) -> tuple[KeptPart, ...]:
        """What the store keeps of contents that are not embedded to their ends."""
        return tuple(
            KeptPart(reading.path, reading.share_read * reading.committed_s / reading.times[-1][1])
            for reading in self._uncommitted.values()
            if reading.committed and reading.times
        )

    def _commit_if_due(self) -> None:
        every_s = COMMIT_EVERY_S if self._commit_every_s is None else self._commit_every_s
        if time.monotonic() - self._last_commit_s >= every_s:
            self.commit()
            self._destination().keep_up()

    def commit(self) -> None:
        """Commit all that is embedded, and all that is known of clips.

        A clip joins the store when all of its windows are embedded. What there is of a long one is kept until then, so
        that a run that is cut short has not worked hours for nothing.
        """
        readings = self._uncommitted.values()
        finished = [reading for reading in readings if reading.is_finished]
        # The last window of a clip that isn't known to be at its end waits, so that there is one left to end with.
        grown = [reading for reading in readings if len(reading.embeddings) > 1 and not reading.is_finished]
        contents = [
            *(_part(reading, len(reading.embeddings)) for reading in finished),
            *(_part(reading, len(reading.embeddings) - 1) for reading in grown),
        ]
        clips = [*((clip, reading.digest) for reading in finished for clip in reading.clips), *self._recognised]
        if contents or clips or self._left_out:
            self._destination().commit(contents, clips, self._left_out)
        for reading in grown:
            reading.committed += len(reading.embeddings) - 1
            reading.committed_s = reading.times[reading.committed - 1][1]
            del reading.embeddings[:-1]
        for reading in finished:
            del self._uncommitted[reading.digest]
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
    embeddings = np.stack(reading.embeddings[:windows])
    ended = reading.is_finished
    return Content(reading.digest, times, embeddings, ended, missing=reading.missing, facts=reading.facts)

"""Clips become windows, windows become embeddings, and each clip is told how well each label fits it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.audio.ahead import ClipAhead, read_ahead
from pe_search.audio.stamps import is_same
from pe_search.embedding import TOO_LARGE, Gathering, WindowEmbedder, gather_batches
from pe_search.errors import AudioError, QueryError
from pe_search.model import Model
from pe_search.probability import probabilities
from pe_search.queries import Hit, Query, is_word
from pe_search.records import Clip, Problem
from pe_search.reports import Progress
from pe_search.search.aims import Aim, scores_of
from pe_search.search.composing import compose
from pe_search.search.searching import RememberingEmbedder
from pe_search.store import Manifest, Store

# Clips that wait for their windows to be embedded are no more than this.
_MOST_WAITING = 1_000


@dataclass(slots=True)
class _Reading:
    """A clip on its way: windows that were not yielded yet, with a row of scores for each that is embedded."""

    clip: Clip
    times: deque[tuple[float, float]] = field(default_factory=deque)
    scores: deque[NDArray[np.float32]] = field(default_factory=deque)
    is_read: bool = False
    is_left_out: bool = False

    @property
    def is_finished(self) -> bool:
        return self.is_left_out or (self.is_read and len(self.scores) == len(self.times))


def label(
    model: Model,
    stores: Sequence[Store],
    labels: Sequence[str],
    clips: Sequence[Clip],
    on_problem: Callable[[Problem], None],
    on_progress: Callable[[Progress], None],
    has: Callable[[Path, float], bool] = lambda _path, _start_s: True,
    *,
    all_windows: bool = False,
) -> Iterator[list[Hit]]:
    """Say how well each label fits each clip, or each window; see `Labeller`. The labels are embedded now.

    Args:
        model: The stores', if there is one.
        stores: The first is as `Labeller` has it; all of them teach the words.
        labels: As `Labeller` has them.
        clips: As `Labeller.label` has them.
        on_problem: As `Labeller` has it.
        on_progress: Called now and then.
        has: As `Labeller` has it.
        all_windows: As `Labeller` has it.
    """
    manifest = model.manifest()
    bytes_total = sum(clip.size_bytes for clip in clips)

    def report(bytes_done: float, audio_s: float) -> None:
        on_progress(Progress(bytes_done, bytes_total, audio_s))

    labeller = Labeller(
        labels,
        _aims_of(labels, model, stores),
        manifest,
        model.audio_embedder,
        next(iter(stores), None),
        on_problem,
        report,
        has,
        all_windows=all_windows,
    )
    return labeller.label(clips)


def _aims_of(labels: Sequence[str], model: Model, stores: Sequence[Store]) -> list[Aim]:
    if stores:
        embedder = RememberingEmbedder(stores[0].remembered_texts, model.text_embedder, model.audio_embedder)
        return compose([Query(texts=(label,)) for label in labels], stores[0], embedder, stores)
    for label in filter(is_word, labels):
        raise QueryError(f"{label} is a word that is taught to a store, and there is no store.")
    return [Aim(embedding, None) for embedding in model.text_embedder().embed_texts(labels)]


class Labeller:
    """Says how well each of some labels fits a clip.

    Args:
        labels: Texts, each judged by itself, so that several may fit.
        aims: Of the labels.
        manifest: How clips are cut into windows, and how scores become probabilities.
        load_embedder: Called once there is a window to embed; gives the embedder that the manifest is of.
        store: Made with that embedder. A clip that it holds as it is on disk is not read, and one whose bytes it has
            from another time or place is not decoded. None if there is none.
        on_problem: Called with each clip that is left out, that is not read whole, or that is odd.
        on_progress: Called now and then with the bytes of the clips that are done, and the seconds that were embedded.
        has: Whether the window of a clip, by its path and the window's start, is judged. A clip without any is passed
            over.
        all_windows: Whether each window of a clip is judged, and not only the best for each label.
    """

    def __init__(
        self,
        labels: Sequence[str],
        aims: Sequence[Aim],
        manifest: Manifest,
        load_embedder: Callable[[], WindowEmbedder],
        store: Store | None,
        on_problem: Callable[[Problem], None],
        on_progress: Callable[[float, float], None] = lambda _bytes_done, _audio_s: None,
        has: Callable[[Path, float], bool] = lambda _path, _start_s: True,
        *,
        all_windows: bool = False,
    ) -> None:
        self._labels = labels
        self._aims = aims
        self._manifest = manifest
        self._store = store
        self._on_problem = on_problem
        self._on_progress = on_progress
        self._all_windows = all_windows
        self._has = has
        self._waiting: deque[_Reading] = deque()
        self._gathering: Gathering[_Reading] = gather_batches(
            load_embedder, self._deliver, lambda reading: not reading.is_left_out
        )
        self._bytes_done = 0

    def label(self, clips: Sequence[Clip]) -> Iterator[list[Hit]]:
        """Yield for each clip in turn a hit for each label, best first.

        There is nothing for a clip that is left out, or that has no window that is judged.

        A hit's window is the one that the label fits best, so those of different labels may differ. Equal scores are in
        order of the labels.

        Of all windows, each is yielded in turn as soon as it is embedded, with a hit for each label. If a clip can't be
        read beyond some place, windows before it may have been yielded by then.
        """
        digests = self._digests_held(clips)
        known: Set[bytes] = self._store.catalog.digests() if self._store and len(digests) < len(clips) else frozenset()
        to_read = [clip for clip in clips if clip.path not in digests]
        manifest = self._manifest
        reading_ahead = read_ahead(to_read, manifest.window_s, manifest.hop_s, known.__contains__, manifest.hearing)
        with closing(reading_ahead):
            for clip in clips:
                reading = _Reading(clip)
                self._waiting.append(reading)
                if clip.path in digests:
                    self._look_up(reading, digests[clip.path])
                else:
                    yield from self._read(reading, next(reading_ahead), known)
                if len(self._waiting) > _MOST_WAITING:
                    self._gathering.embed()
                yield from self._finished()
            self._gathering.embed()
            yield from self._finished()

    def _digests_held(self, clips: Sequence[Clip]) -> dict[Path, bytes]:
        """The digests of those clips that the store holds as they are on disk."""
        if self._store is None:
            return {}
        held = ((clip, self._store.catalog.clip(clip.path)) for clip in clips)
        return {
            clip.path: as_held[1]
            for clip, as_held in held
            if as_held is not None and is_same(as_held[0].stamp, clip.stamp)
        }

    def _look_up(self, reading: _Reading, digest: bytes) -> None:
        assert self._store is not None
        content = self._store.catalog.content_of(digest)
        if content is None:
            self._leave_out(reading, "was taken out of the store meanwhile; run the same command again")
            return
        rows = [row for row, (start_s, _) in enumerate(content.times) if self._has(reading.clip.path, start_s)]
        reading.times.extend(content.times[row] for row in rows)
        reading.scores.extend(scores_of(content.embeddings[rows], self._aims))
        reading.is_read = True

    def _read(self, reading: _Reading, ahead: ClipAhead, known: Set[bytes]) -> Iterator[list[Hit]]:
        """Read a clip; yields what gets finished meanwhile."""
        try:
            if ahead.digest() in known:
                ahead.skip_windows()
                self._look_up(reading, ahead.digest())
                return
            for window in ahead.windows():
                if not self._has(reading.clip.path, window.start_s):
                    continue
                reading.times.append((window.start_s, window.end_s))
                if self._gathering.add(reading, window.samples):
                    bytes_done = self._bytes_done + reading.clip.size_bytes * ahead.share_read
                    self._on_progress(bytes_done, self._gathering.embedded_s)
                    yield from self._finished()
                if reading.is_left_out:
                    return
            for oddity in ahead.oddities:
                self._on_problem(oddity)
        except AudioError as error:
            self._leave_out(reading, error.reason)
        reading.is_read = True

    def _deliver(self, reading: _Reading, embedding: NDArray[np.float32] | None) -> None:
        if embedding is not None:
            reading.scores.extend(scores_of(embedding[np.newaxis], self._aims))
        elif not reading.is_left_out:
            self._leave_out(reading, TOO_LARGE)

    def _leave_out(self, reading: _Reading, reason: str) -> None:
        reading.is_left_out = True
        self._on_problem(Problem(reading.clip.path, reason))

    def _finished(self) -> Iterator[list[Hit]]:
        while self._waiting:
            reading = self._waiting[0]
            path = reading.clip.path
            while self._all_windows and reading.scores and not reading.is_left_out:
                yield self._hits(path, [reading.times.popleft()], [reading.scores.popleft()])
            if not reading.is_finished:
                return
            self._waiting.popleft()
            self._bytes_done += reading.clip.size_bytes
            self._on_progress(self._bytes_done, self._gathering.embedded_s)
            if reading.scores and not (reading.is_left_out or self._all_windows):
                yield self._hits(path, list(reading.times), list(reading.scores))

    def _hits(
        self, path: Path, times: Sequence[tuple[float, float]], scores: Sequence[NDArray[np.float32]]
    ) -> list[Hit]:
        """A hit for each label, best first, of the window of some that it fits best."""
        table = np.stack(scores)
        windows = table.argmax(axis=0)
        best = table.max(axis=0).astype(np.float64)
        probability = probabilities(best, self._manifest.logit_scale, self._manifest.logit_bias)
        return [
            Hit(
                query=self._labels[label],
                rank=rank,
                path=path,
                start_s=times[windows[label]][0],
                end_s=times[windows[label]][1],
                score=float(best[label]),
                probability=float(probability[label]),
            )
            for rank, label in enumerate(np.argsort(-best, kind="stable"), start=1)
        ]

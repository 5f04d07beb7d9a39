"""Clips become transcripts: what the checkpoint takes for speech is given to a recogniser, and what it says is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.hashing import content_digest, unchanged
from pe_search.audio.read import ClipReader, oddities
from pe_search.audio.resample import resampled
from pe_search.audio.stamps import is_same
from pe_search.audio.windows import cut_windows
from pe_search.clock import clock
from pe_search.embedding import Gathering
from pe_search.errors import AudioError
from pe_search.model import Model
from pe_search.probability import probabilities
from pe_search.records import Clip, Hearing, Problem, Segment, Transcribed, Transcript
from pe_search.reports import Progress
from pe_search.speech.joining import join
from pe_search.speech.recogniser import Heard, Recogniser
from pe_search.speech.windows import SpeechWindow, cut_speech
from pe_search.store import Manifest, Store
from pe_search.store.transcripts import read_progress, read_transcripts, write_transcripts

# A window that one of these fits is speech from this probability on; `examples/evaluate_speech.py` measures both.
SPEECH_TEXTS = ("a person talking", "a person whispering", "people talking in a crowd")
SPEECH_FROM = 0.05
# How much of a recogniser's work a kill may lose.
_COMMIT_EVERY_S = 5.0
# Transcripts that wait to be kept are no more than this.
_MOST_WAITING = 100
# Beyond the end of any clip.
_NEVER_S = 1e9

Stretches = list[tuple[float, float]]


class Transcribing:
    """A run of a recogniser through clips.

    Args:
        model: The store's, if there is one. It is asked what is speech.
        store: Opened for writing; None if there is none. What is said in its clips is kept, and not recognised again.
        recogniser: Recognises speech.
        is_gated: Whether only what the model takes for speech is recognised.
        on_problem: Called with each clip that is left out, incomplete or odd.
        on_progress: Called now and then.
        commit_every_s: How many seconds of work are lost at most if the process is killed.
    """

    def __init__(
        self,
        model: Model,
        store: Store | None,
        recogniser: Recogniser,
        *,
        is_gated: bool = True,
        on_problem: Callable[[Problem], None],
        on_progress: Callable[[Progress], None],
        commit_every_s: float = _COMMIT_EVERY_S,
    ) -> None:
        self._model = model
        self._store = store
        self._recogniser = recogniser
        self._engine = recogniser.name if is_gated else f"{recogniser.name} all"
        self._is_gated = is_gated
        self._on_problem = on_problem
        self._on_progress = on_progress
        self._commit_every_s = commit_every_s
        self._hearing = Hearing(level="none", speed=1.0, track=model.hearing.track)
        self._waiting: dict[bytes, Transcript] = {}
        self._committed_s = time.monotonic()
        self._audio_s = 0.0

    def transcribe(
        self, clips: Sequence[Clip], places: Mapping[Path, Sequence[tuple[float, float]]]
    ) -> Iterator[Transcribed]:
        """Yield what is said in each clip, in turn. What is finished is kept, also if the run is ended early.

        Args:
            clips: The clips.
            places: The parts of some of them that are transcribed alone, in seconds, by path. They are not kept.
        """
        known = {} if self._store is None else read_progress(self._store.catalog, self._engine)
        bytes_total, bytes_done, bytes_skipped = sum(clip.size_bytes for clip in clips), 0, 0
        try:
            for number, clip in enumerate(clips):
                one = None
                try:
                    parts = self._inside(clip, _apart(places.get(clip.path, ())))
                    # All of a clip without parts; nothing of one whose parts lie beyond its end.
                    if parts or clip.path not in places:
                        one = self._transcribe(clip, parts, known)
                except AudioError as error:
                    self._on_problem(Problem(error.path, error.reason))
                bytes_done += clip.size_bytes
                bytes_skipped += clip.size_bytes if one is not None and one.is_known else 0
                if one is not None:
                    yield one
                done = Progress(bytes_done, bytes_total, self._audio_s, bytes_skipped, number + 1, len(clips))
                self._on_progress(done)
        finally:
            self._commit()

    def _transcribe(self, clip: Clip, parts: Stretches, known: dict[bytes, float | None]) -> Transcribed:
        with unchanged(clip.path):
            digest, is_held = self._digest_of(clip)
            if digest in known and known[digest] is None:
                return self._done(clip, self._kept(digest).segments, parts, is_known=True)
            before = self._kept(digest) if digest in known and not parts else None
            stretches = self._speech_in(clip, digest if is_held else None)
            audio_s = self._audio_s
            if parts:
                stretches = [one for part in parts for one in _within(stretches, *part)]
            segments = list(before.segments) if before is not None else []
            if before is not None and before.until_s is not None:
                stretches = _within(stretches, before.until_s, _NEVER_S)
            is_kept = is_held and not parts
            for segment in self._recognise(clip, stretches):
                segments.append(segment)
                if is_kept:
                    self._keep(digest, segments, until_s=segment.end_s)
            if is_kept:
                self._keep(digest, segments, until_s=None)
                known[digest] = None
        return self._done(clip, tuple(segments), parts, speech_s=self._audio_s - audio_s)

    def _inside(self, clip: Clip, parts: Stretches) -> Stretches:
        """The parts that begin before the clip ends. The others are reported, and so are those that end after it."""
        if not parts:
            return parts
        with ClipReader(clip.path, self._hearing) as reader:
            length_s = reader.header_duration_s
            if parts[-1][1] > length_s:
                # Headers may be wrong.
                length_s = sum(len(block) for block in reader.blocks()) / SAMPLE_RATE_HZ
        inside = []
        for start_s, end_s in parts:
            part = f"{clock(start_s)}–{clock(end_s)}"
            if start_s >= length_s:
                reason = f"the part {part} lies beyond the end of the clip, at {clock(length_s)}"
                self._on_problem(Problem(clip.path, reason))
                continue
            inside.append((start_s, end_s))
            if end_s > length_s + 0.5 / SAMPLE_RATE_HZ:
                reason = f"ends at {clock(length_s)}, before the part {part} does"
                self._on_problem(Problem(clip.path, reason, is_note=True))
        return inside

    def _digest_of(self, clip: Clip) -> tuple[bytes, bool]:
        """The digest of a clip, and whether the store holds a clip of these bytes."""
        if self._store is not None:
            held = self._store.catalog.clip(clip.path)
            if held is not None and is_same(held[0].stamp, clip.stamp):
                return held[1], True
        digest = content_digest(clip.path)
        return digest, self._store is not None and self._store.catalog.content_of(digest) is not None

    def _kept(self, digest: bytes) -> Transcript:
        if digest in self._waiting:
            return self._waiting[digest]
        assert self._store is not None
        found = read_transcripts(self._store.catalog, [digest])
        return next(one for one in found if one.engine == self._engine)

    def _done(
        self,
        clip: Clip,
        segments: Sequence[Segment],
        parts: Stretches,
        *,
        is_known: bool = False,
        speech_s: float = 0.0,
    ) -> Transcribed:
        within = tuple(
            one
            for one in segments
            if not parts or any(one.end_s > start_s and one.start_s < end_s for start_s, end_s in parts)
        )
        return Transcribed(clip.path, self._engine, within, is_known, speech_s)

    def _speech_in(self, clip: Clip, digest: bytes | None) -> Stretches:
        """From when to when there is speech in a clip, as far as windows tell."""
        if not self._is_gated:
            return [(0.0, _NEVER_S)]
        if digest is not None:
            assert self._store is not None
            content = self._store.catalog.content_of(digest)
            if content is not None:
                return _joined(content.times, self._are_speech(content.embeddings))
        manifest = self._manifest
        times: list[tuple[float, float]] = []
        embeddings: list[NDArray[np.float32]] = []

        def take(_owner: None, embedding: NDArray[np.float32] | None) -> None:
            # What is too large to embed is no reason to hear nothing in it.
            embeddings.append(self._texts[0] if embedding is None else embedding)

        gathering: Gathering[None] = Gathering(
            lambda windows: self._model.audio_embedder().embed_windows(windows),
            lambda: self._model.audio_embedder().batch_s,
            take,
        )
        with ClipReader(clip.path, manifest.hearing) as reader:
            for window in cut_windows(reader.blocks(), manifest.window_s, manifest.hop_s, manifest.hearing):
                times.append((window.start_s, window.end_s))
                gathering.add(None, window.samples)
        gathering.embed()
        return _joined(times, self._are_speech(np.array(embeddings, np.float32)))

    def _are_speech(self, embeddings: NDArray[np.float32]) -> NDArray[np.bool_]:
        return speech_probabilities(embeddings, self._texts, self._manifest) >= SPEECH_FROM

    @cached_property
    def _texts(self) -> NDArray[np.float32]:
        return self._model.text_embedder().embed_texts(SPEECH_TEXTS)

    @cached_property
    def _manifest(self) -> Manifest:
        return self._model.manifest()

    def _recognise(self, clip: Clip, stretches: Stretches) -> Iterator[Segment]:
        if not stretches:
            return
        with ClipReader(clip.path, self._hearing) as reader:
            rate_hz = self._recogniser.sample_rate_hz
            cut = cut_speech(resampled(reader.blocks(), rate_hz), stretches, rate_hz, self._recogniser.window_s)
            yield from join(self._heard(cut))
            for oddity in oddities(reader):
                self._on_problem(oddity)

    def _heard(self, windows: Iterator[SpeechWindow]) -> Iterator[tuple[SpeechWindow, Heard]]:
        given: list[SpeechWindow] = []

        def samples() -> Iterator[NDArray[np.float32]]:
            for window in windows:
                given.append(window)
                yield window.samples

        for heard in self._recogniser.recognise(samples()):
            window = given.pop(0)
            self._audio_s += window.end_s - window.start_s
            yield window, heard

    def _keep(self, digest: bytes, segments: Sequence[Segment], until_s: float | None) -> None:
        """Keep a transcript, as far as it has come; not each at once, since a commit takes time."""
        is_due = time.monotonic() - self._committed_s >= self._commit_every_s
        if until_s is not None and not is_due:
            return
        made_at_s = int(time.time())
        self._waiting[digest] = Transcript(digest, self._engine, "", tuple(segments), until_s, made_at_s)
        if is_due or len(self._waiting) >= _MOST_WAITING:
            self._commit()

    def _commit(self) -> None:
        if self._waiting:
            assert self._store is not None
            write_transcripts(self._store.catalog, self._waiting.values())
            self._waiting.clear()
        self._committed_s = time.monotonic()


def speech_probabilities(
    embeddings: NDArray[np.float32], texts: NDArray[np.float32], manifest: Manifest
) -> NDArray[np.float64]:
    """How likely each window is speech: the highest probability of any of the `SPEECH_TEXTS`.

    Args:
        embeddings: float32 of shape (windows, dimension).
        texts: float32 of shape (texts, dimension).
        manifest: How scores become probabilities.

    Returns:
        float64 of shape (windows,).
    """
    if not len(embeddings):
        return np.empty(0)
    scores = (embeddings.astype(np.float32) @ texts.T).max(axis=1).astype(np.float64)
    return probabilities(scores, manifest.logit_scale, manifest.logit_bias)


def _joined(times: Sequence[tuple[float, float]], are_speech: NDArray[np.bool_]) -> Stretches:
    """Windows of speech that touch or overlap, as one stretch."""
    stretches: Stretches = []
    for (start_s, end_s), is_speech in zip(times, are_speech, strict=True):
        if not is_speech:
            continue
        if stretches and start_s <= stretches[-1][1] + 1e-6:
            stretches[-1] = (stretches[-1][0], max(end_s, stretches[-1][1]))
        else:
            stretches.append((float(start_s), float(end_s)))
    return stretches


def _apart(parts: Iterable[tuple[float, float]]) -> Stretches:
    """Parts in order of time, those that overlap as one."""
    apart: Stretches = []
    for start_s, end_s in sorted(parts):
        if apart and start_s <= apart[-1][1]:
            apart[-1] = apart[-1][0], max(apart[-1][1], end_s)
        else:
            apart.append((start_s, end_s))
    return apart


def _within(stretches: Stretches, start_s: float, end_s: float) -> Stretches:
    """The parts of stretches that lie between two times."""
    cut = ((max(one, start_s), min(other, end_s)) for one, other in stretches)
    return [(one, other) for one, other in cut if other > one]

"""Clips become windows, windows become frames, frames become the spans in which a query is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.audio.find import find_clips
from pe_search.audio.hashing import content_digest
from pe_search.audio.read import ClipReader, oddities
from pe_search.audio.windows import cut_windows, fill_last_frame
from pe_search.embedding import TOO_LARGE, Gathering
from pe_search.errors import AudioError
from pe_search.probability import probabilities
from pe_search.queries import Hit, Query, Span, SpanRules, Trace
from pe_search.records import PLAIN_HEARING, Clip, Hearing, Problem, Window
from pe_search.reports import Progress
from pe_search.search.composing import compose_texts
from pe_search.search.learned import refuse_words
from pe_search.spans.crossfade import join_windows
from pe_search.spans.rules import find_spans, joined_across, measured, smoothed, then, without

# Windows of 5 s, each of which begins 4 s after the last and so has heard half a second of what is beyond the middle of
# the seam. With the built-in checkpoint the shorter ones tell the better which frames a short sound is in: the area
# under the ROC curve was 0.91 with windows of 5 s, 0.87 with 10 s and 0.84 with 20 s (`examples/evaluate_spans.py`,
# eight recordings of a minute). An overlap of 2 s gained nothing for its cost. Meta's checkpoints were not measured.
_WINDOW_FRAMES = 125
_OVERLAP_FRAMES = 25


class FrameEmbedder(Protocol):
    """What locating asks of an embedder."""

    @property
    def batch_s(self) -> float:
        """Seconds of audio that are embedded at once."""

    @property
    def samples_per_frame(self) -> int:
        """Length of a frame at 48 kHz."""

    @property
    def logit_scale(self) -> float:
        """What a score is multiplied by on its way to a probability."""

    @property
    def logit_bias(self) -> float:
        """What is then added to it."""

    def embed_frames(self, windows: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Windows to embeddings of shape (frames, dimension)."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts to embeddings of shape (texts, dimension)."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to listen for.

    Attributes:
        queries: Texts, each to be located on its own.
        rules: How spans are made.
        without: Texts that must not be heard at the same time.
        then: Texts that must follow, one after the other.
        within_s: The longest pause before each of those.
    """

    queries: Sequence[str]
    rules: SpanRules
    without: Sequence[str] = ()
    then: Sequence[str] = ()
    within_s: float = 5.0

    def __post_init__(self) -> None:
        """Raise a `QueryError` if a text is a word that is taught."""
        refuse_words([Query(texts=(*self.queries, *self.without, *self.then))], "spans")


class Locator:
    """Says where in clips each query of a question is heard.

    Args:
        embedder: Of a checkpoint with a frame-level head.
        question: What to listen for.
        embed_texts: Turns the question's texts into embeddings of shape (texts, dimension), where they only name what
            to listen for; None for the embedder's own way.
        hearing: How clips are brought to the model.
    """

    def __init__(
        self,
        embedder: FrameEmbedder,
        question: Question,
        embed_texts: Callable[[Sequence[str]], NDArray[np.float32]] | None = None,
        hearing: Hearing = PLAIN_HEARING,
    ) -> None:
        self._embedder = embedder
        self._hearing = hearing
        self._question = question
        self._texts = list(dict.fromkeys([*question.queries, *question.without, *question.then]))
        self._text_embeddings = (embed_texts or embedder.embed_texts)(self._texts)
        # The model's frames are of one length, but what it hears slowed down is shorter in the file.
        self._heard_frame_s = embedder.samples_per_frame / SAMPLE_RATE_HZ
        self._frame_s = self._heard_frame_s * hearing.speed

    def in_clip(
        self,
        path: Path,
        on_progress: Callable[[float, float], None] = lambda _share, _heard_s: None,
        on_problem: Callable[[Problem], None] = lambda _problem: None,
    ) -> list[Trace]:
        """Listen to a clip of any length, holding no more of its audio than the embedder takes at once.

        Args:
            path: The clip.
            on_progress: Called now and then with the share of the clip that is done, from 0 to 1, and the seconds.
            on_problem: Called with what is missing of the clip, or odd about it.

        Returns:
            A trace for each query.

        Raises:
            AudioError: If the clip can't be read to its end, or its samples are too large to embed.
        """
        with ClipReader(path, self._hearing) as reader:

            def heard(end_s: float) -> None:
                # The header may lie about the length, so the share is held at one.
                on_progress(end_s / max(reader.header_duration_s, end_s), end_s)

            traces = self._listen(reader.blocks(), path, 0.0, heard)
            for oddity in oddities(reader):
                on_problem(oddity)
            return traces

    def in_hits(
        self,
        hits: Sequence[Hit],
        held: Callable[[Path], tuple[Clip, bytes] | None],
        on_problem: Callable[[Problem], None],
    ) -> list[Trace | None]:
        """Listen to the windows of hits, and to nothing else of their clips.

        A sound that several windows of a clip have, or that goes on over their edges, is a span of one of them, as
        `joined_across` says.

        Args:
            hits: Of one of the question's queries each.
            held: Gives a clip as it was when it was indexed, with the digest of its content.
            on_problem: Called with each clip that is gone, has changed since, or can't be read any more.

        Returns:
            A trace for each hit, in order, or None where there was a problem.
        """
        places: dict[Path, list[tuple[float, float]]] = {}
        for hit in hits:
            places.setdefault(hit.path, []).append((hit.start_s, hit.end_s))
        traces: dict[tuple[Path, tuple[float, float], str], Trace] = {}
        for path in places:
            try:
                check_unchanged(path, held)
                with ClipReader(path, self._hearing) as reader:
                    for place, samples in reader.stretches(places[path]):
                        for trace in self._listen([samples], path, place[0]):
                            traces[path, place, trace.query] = trace
            except AudioError as error:
                on_problem(Problem(error.path, error.reason))
        self._join_across(traces, hits)
        return [traces.get((hit.path, (hit.start_s, hit.end_s), hit.query)) for hit in hits]

    def _join_across(self, traces: dict[tuple[Path, tuple[float, float], str], Trace], hits: Sequence[Hit]) -> None:
        windows: dict[tuple[Path, str], list[tuple[Path, tuple[float, float], str]]] = {}
        for hit in hits:
            key = hit.path, (hit.start_s, hit.end_s), hit.query
            if key in traces:
                windows.setdefault((hit.path, hit.query), []).append(key)
        for keys in windows.values():
            if len(keys) > 1:
                joined = joined_across([traces[key].spans for key in keys], self._question.rules.join_s)
                for key, spans in zip(keys, joined, strict=True):
                    traces[key] = replace(traces[key], spans=tuple(spans))

    def with_spans(
        self,
        hits: Sequence[Hit],
        held: Callable[[Path], tuple[Clip, bytes] | None],
        on_problem: Callable[[Problem], None],
    ) -> list[Hit]:
        """As `in_hits`, but returns the hits with their spans."""
        traces = self.in_hits(hits, held, on_problem)
        return [replace(hit, spans=trace.spans if trace else None) for hit, trace in zip(hits, traces, strict=True)]

    def _listen(
        self,
        blocks: Iterable[NDArray[np.float32]],
        path: Path,
        start_s: float,
        on_heard: Callable[[float], None] = lambda _end_s: None,
    ) -> list[Trace]:
        samples = 0

        def counted() -> Iterator[NDArray[np.float32]]:
            nonlocal samples
            for block in blocks:
                samples += len(block)
                yield block

        filled = fill_last_frame(counted(), self._embedder.samples_per_frame)
        hop_frames = _WINDOW_FRAMES - _OVERLAP_FRAMES
        windows = cut_windows(
            filled, _WINDOW_FRAMES * self._heard_frame_s, hop_frames * self._heard_frame_s, self._hearing
        )
        scores = np.concatenate(list(join_windows(self._scores(windows, path, on_heard), _OVERLAP_FRAMES)))
        of_frames = probabilities(scores, self._embedder.logit_scale, self._embedder.logit_bias)
        return self._traces(of_frames, path, start_s, start_s + samples / SAMPLE_RATE_HZ * self._hearing.speed)

    def _scores(
        self, windows: Iterator[Window], path: Path, on_heard: Callable[[float], None]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The first frame of each window, and its scores of shape (frames, texts)."""
        embedded: list[tuple[Window, NDArray[np.float32] | None]] = []
        gathering: Gathering[Window] = Gathering(
            self._embedder.embed_frames,
            lambda: self._embedder.batch_s,
            lambda window, frames: embedded.append((window, frames)),
        )

        def scored() -> Iterator[tuple[int, NDArray[np.float32]]]:
            for window, frames in embedded:
                if frames is None:
                    raise AudioError(path, TOO_LARGE)
                yield round(window.start_s / self._frame_s), frames @ self._text_embeddings.T
            if embedded:
                on_heard(embedded[-1][0].end_s)
            embedded.clear()

        for window in windows:
            if gathering.add(window, window.samples):
                yield from scored()
        gathering.embed()
        yield from scored()

    def _traces(self, probabilities: NDArray[np.float32], path: Path, start_s: float, end_s: float) -> list[Trace]:
        """The traces of all queries, of probabilities of shape (frames, texts)."""
        question, rules, frame_s = self._question, self._question.rules, self._frame_s
        curves: dict[str, NDArray[np.float32]] = {}
        spans: dict[str, list[Span]] = {}
        for text, column in zip(self._texts, probabilities.T, strict=True):
            curves[text] = smoothed(column, rules.smooth_s, frame_s)
            spans[text] = find_spans(curves[text], rules, frame_s, start_s, end_s)
        traces = []
        for query in question.queries:
            answer = spans[query]
            for other in question.without:
                answer = without(answer, spans[other])
            if question.without:
                answer = measured(answer, curves[query], rules, frame_s, start_s)
            for later in question.then:
                answer = then(answer, spans[later], question.within_s)
            traces.append(Trace(query, path, start_s, end_s, curves[query], tuple(answer)))
        return traces


def locate(
    locator: Locator,
    clips: Sequence[Clip],
    on_progress: Callable[[Progress], None],
    on_problem: Callable[[Problem], None],
) -> Iterator[Trace]:
    """Listen to some clips in turn.

    Args:
        locator: Listens.
        clips: The clips.
        on_progress: Called now and then.
        on_problem: Called with each clip that is left out, incomplete or odd.

    Yields:
        The traces of one clip after the other.
    """
    bytes_total = sum(clip.size_bytes for clip in clips)
    before = Progress(0, bytes_total, 0.0, clips=len(clips))
    for clip in clips:

        def report(share: float, heard_s: float, before: Progress = before, clip: Clip = clip) -> None:
            bytes_done = before.bytes_done + share * clip.size_bytes
            on_progress(replace(before, bytes_done=bytes_done, audio_s=before.audio_s + heard_s))

        try:
            traces = locator.in_clip(clip.path, report, on_problem)
        except AudioError as error:
            on_problem(Problem(error.path, error.reason))
            before = replace(before, bytes_skipped=before.bytes_skipped + clip.size_bytes)
        else:
            before = replace(before, audio_s=before.audio_s + traces[0].end_s)
            yield from traces
        before = replace(before, bytes_done=before.bytes_done + clip.size_bytes, clips_done=before.clips_done + 1)


def locator_of_queries(
    queries: Sequence[Query], rules: SpanRules, embedder: FrameEmbedder, hearing: Hearing
) -> Locator:
    """What listens to the windows of hits of some queries.

    It listens for the texts of a query, and not for its audio: frames and windows have no embeddings in common.

    Raises:
        QueryError: If a text is a word that is taught.
    """
    refuse_words(queries, "spans")
    of_texts = {query.name: replace(query, like=(), unlike=()) for query in queries}

    def embed_names(names: Sequence[str]) -> NDArray[np.float32]:
        return compose_texts([of_texts[name] for name in names], embedder)

    return Locator(embedder, Question(list(of_texts), rules), embed_names, hearing)


def check_unchanged(path: Path, held: Callable[[Path], tuple[Clip, bytes] | None]) -> None:
    """See to it that a clip has the bytes that were indexed; one that was only touched since does.

    Args:
        path: The clip.
        held: Gives a clip as it was when it was indexed, with the digest of its content.

    Raises:
        AudioError: If it is gone, can't be read, or has changed.
    """
    problems: list[Problem] = []
    clip = next(find_clips([path], problems.append), None)
    if problems:
        raise AudioError(path, problems[0].reason)
    known = held(path)
    if known is None or (clip != known[0] and content_digest(path) != known[1]):
        raise AudioError(path, "has changed since it was indexed; index it again")

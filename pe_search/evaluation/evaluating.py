"""What a table says is heard is compared with what a store's checkpoint makes of its clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import QueryError, StoreError, TableError, quoted
from pe_search.evaluation import measures
from pe_search.evaluation.ranking import Floats
from pe_search.evaluations import RECALL_AT, Evaluation, Figure, OfText, Retrieval
from pe_search.known.annotations import CAPTIONS, TIMES, Annotation, Annotations
from pe_search.pe_audio.trained_on import DIGEST_BYTES, digests_trained_on
from pe_search.probability import probabilities
from pe_search.queries import Query, Trace, is_word
from pe_search.search.aims import Aim, QueryEmbedder, unit
from pe_search.search.composing import compose
from pe_search.store import Store
from pe_search.store.listing import indexed_clips_at

if TYPE_CHECKING:
    from pe_search.evaluation.frames import Heard

PLACE = "{}"
"""What stands for a label in a prompt."""

Locate = Callable[[Sequence[str], Sequence[Path]], Iterator[Trace]]
"""Gives for each text of each clip its trace."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A table with the clips of it that a store holds.

    Attributes:
        annotations: The table.
        texts: What is asked for each of its labels.
        paths: The clips that the store holds, each once, in the order of the table.
        rows: The rows of each of them.
        missing: The clips that the store doesn't hold, as the table names them.
    """

    annotations: Annotations
    texts: tuple[str, ...]
    paths: tuple[Path, ...]
    rows: tuple[tuple[Annotation, ...], ...]
    missing: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the table."""
        return self.annotations.labels


def ask(annotations: Annotations, store: Store, prompt: str = PLACE) -> Asked:
    """Find the clips of a table in a store.

    Args:
        annotations: The table.
        store: It is only read.
        prompt: What is asked for a label, which stands in place of `{}`. A learned word is asked as it is.

    Raises:
        QueryError: If the prompt has no place for the label.
        TableError: If something begins after the end of its clip.
    """
    if PLACE not in prompt:
        raise QueryError(f"The prompt {quoted(prompt)} has no {PLACE}, in place of which the label is put.")
    rows: dict[Path, list[Annotation]] = {}
    missing: dict[Path, str] = {}
    for row in annotations.rows:
        path = _held_at(store, row)
        if path is None:
            missing.setdefault(row.path, row.name)
        else:
            rows.setdefault(path, []).append(row)
    if annotations.kind == TIMES:
        for path, clip in indexed_clips_at(store.catalog, rows).items():
            for row in rows[path]:
                _check_start(annotations.file, row, clip.duration_s)
    return Asked(
        annotations,
        tuple(label if is_word(label) else prompt.replace(PLACE, label) for label in annotations.labels),
        tuple(rows),
        tuple(map(tuple, rows.values())),
        tuple(missing.values()),
    )


def evaluate(
    asked: Asked,
    store: Store,
    embedder: QueryEmbedder,
    *,
    taught: Sequence[Store] = (),
    drawings: int,
    seed: int,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> Evaluation:
    """Compare a table with a store, by its embeddings: a clip scores as its best window.

    Args:
        asked: The table, in this store.
        store: It is only read.
        embedder: Of the store's checkpoint, for the texts.
        taught: As in `compose`.
        drawings: How often the recordings are drawn again for the intervals; 0 for no intervals.
        seed: Of the drawings.
        on_progress: Called now and then with the share that is done, 0 to 1.
    """
    kind, labels, model = asked.annotations.kind, asked.labels, store.manifest.model
    if not asked.paths:
        return _of_nothing(asked, model)
    aims = compose([Query(texts=(text,)) for text in asked.texts], store, embedder, taught)
    scores = _scores_of_clips(store, asked.paths, aims)
    place_of = {label: place for place, label in enumerate(labels)}
    is_right = np.zeros(scores.shape, bool)
    for clip, rows in enumerate(asked.rows):
        is_right[clip, [place_of[row.label] for row in rows if row.label]] = True
    of_pairs = probabilities(scores, store.manifest.logit_scale, store.manifest.logit_bias)
    recordings = _numbered(rows[0].recording for rows in asked.rows)
    table = measures.Table(labels, scores, of_pairs, is_right, recordings)
    ranked = measures.rank(table, drawings, seed, on_progress)
    return Evaluation(
        kind=kind,
        model=model,
        clips=len(scores),
        recordings=int(recordings.max()) + 1,
        missing=asked.missing,
        mean_average_precision=ranked.mean_average_precision,
        mean_average_precision_grouped=ranked.mean_average_precision_grouped,
        mean_auroc=ranked.mean_auroc,
        clip_of_text=ranked.clip_of_text,
        text_of_clip=measures.text_of_clip(table, drawings, seed),
        of_texts=ranked.of_texts,
        best=measures.best_threshold(of_pairs.ravel(), is_right.ravel()),
        curve=measures.curve(of_pairs.ravel(), is_right.ravel()),
        naming=None if kind == CAPTIONS else measures.name_clips(table, drawings, seed),
        calibration=measures.calibrate(of_pairs.ravel(), is_right.ravel()),
        trained_on=_trained_on(asked.paths, store),
    )


def with_frames(evaluation: Evaluation, asked: Asked, locate: Locate, frame_s: float) -> Evaluation:
    """An evaluation with the figures of frames and events.

    Args:
        evaluation: Of the same table.
        asked: The table, which has times.
        locate: Listens to clips; those that can't be read are left out.
        frame_s: Length of a frame.

    Raises:
        QueryError: If a label is a learned word, which has no frames.
        TableError: If something begins after the end of its clip.
    """
    from pe_search.evaluation.frames import judge_frames

    for label in filter(is_word, asked.labels):
        raise QueryError(f"{label} is a learned word, for which frames can't be scored; evaluate clips (--clips-only).")

    rows = dict(zip(asked.paths, asked.rows, strict=True))
    heard = list(_heard(asked, locate, frame_s, rows))
    if not heard:
        return evaluation
    frames, of_labels = judge_frames(heard, len(asked.labels))
    of_texts = tuple(
        replace(text, frame_auroc=one.auroc, event_f1=one.event_f1, segment_f1=one.segment_f1)
        for text, one in zip(evaluation.of_texts, of_labels, strict=True)
    )
    return replace(evaluation, frames=frames, of_texts=of_texts)


def _heard(asked: Asked, locate: Locate, frame_s: float, rows: dict[Path, tuple[Annotation, ...]]) -> Iterator[Heard]:
    from pe_search.evaluation.frames import Heard

    traces: dict[str, Trace] = {}
    for trace in locate(asked.texts, asked.paths):
        traces[trace.query] = trace
        # Those of one clip follow each other.
        if len(traces) < len(set(asked.texts)):
            continue
        for row in rows[trace.path]:
            _check_start(asked.annotations.file, row, trace.end_s)
        in_order = [traces[text] for text in asked.texts]
        yield Heard(
            trace.end_s,
            frame_s,
            np.stack([one.probabilities for one in in_order], axis=1),
            [[(span.start_s, span.end_s) for span in one.spans] for one in in_order],
            [_events(rows[trace.path], label, trace.end_s) for label in asked.labels],
        )
        traces.clear()


def _events(rows: Iterable[Annotation], label: str, end_s: float) -> list[tuple[float, float]]:
    """When a label is heard in a clip, in order of time; what overlaps or touches is one event."""
    events: list[tuple[float, float]] = []
    of_label = ((row.start_s, row.end_s) for row in rows if row.label == label)
    for start_s, to_s in sorted((one, min(other, end_s)) for one, other in of_label if one is not None and other):
        if events and start_s <= events[-1][1]:
            events[-1] = events[-1][0], max(events[-1][1], to_s)
        else:
            events.append((start_s, to_s))
    return events


def _check_start(file: Path, row: Annotation, end_s: float | None) -> None:
    if end_s is not None and row.start_s is not None and row.start_s >= end_s:
        raise TableError(
            file,
            row.line,
            f"start is {row.start_s:g}, and {row.name} ends at {end_s:g} s; check the file and its times",
        )


def _held_at(store: Store, row: Annotation) -> Path | None:
    """Where a store has the clip of a row: under its name, if it isn't a file, or its path."""
    for path in (Path(row.name), row.path):
        if store.catalog.clip(path) is not None:
            return path
    return None


def _scores_of_clips(store: Store, paths: Sequence[Path], aims: Sequence[Aim]) -> Floats:
    """The score of each clip's best window for each aim, of shape (clips, aims).

    In float64 and then rounded to float32: many scores at once come out differently in their last bits, and what sounds
    the same has to score the same.
    """
    texts = np.array([aim.text for aim in aims], np.float64)
    zero = np.zeros(texts.shape[1])
    likes = np.array([zero if aim.like is None else aim.like for aim in aims], np.float64)
    scores = np.empty((len(paths), len(aims)))
    of_contents: dict[bytes, NDArray[np.float64]] = {}
    with store.catalog.snapshot():
        for row, path in enumerate(paths):
            content = store.catalog.content(path)
            if content is None:
                raise StoreError(f"The catalog of {store.directory} is damaged: {path} has no windows.")
            if content.digest not in of_contents:
                windows = content.embeddings.astype(np.float64)
                found = windows @ texts.T + unit(windows) @ likes.T
                of_contents[content.digest] = found.max(axis=0).astype(np.float32).astype(np.float64)
            scores[row] = of_contents[content.digest]
    return scores


def _trained_on(paths: Iterable[Path], store: Store) -> int | None:
    known = digests_trained_on(store.manifest.model)
    if known is None:
        return None
    clips = (store.catalog.clip(path) for path in paths)
    return sum(clip is not None and clip[1][:DIGEST_BYTES] in known for clip in clips)


def _numbered(names: Iterable[str]) -> NDArray[np.int64]:
    number_of: dict[str, int] = {}
    return np.array([number_of.setdefault(name, len(number_of)) for name in names], np.int64)


def _of_nothing(asked: Asked, model: str) -> Evaluation:
    """That of a table of which the store holds no clip."""
    none = Figure(None)
    nowhere = Retrieval((none,) * len(RECALL_AT), none)
    return Evaluation(
        kind=asked.annotations.kind,
        model=model,
        clips=0,
        recordings=0,
        missing=asked.missing,
        mean_average_precision=none,
        mean_average_precision_grouped=none,
        mean_auroc=none,
        clip_of_text=nowhere,
        text_of_clip=nowhere,
        of_texts=tuple(OfText(label, 0, none, none, none, None) for label in asked.labels),
        best=None,
        curve=None,
        naming=None,
        calibration=None,
    )

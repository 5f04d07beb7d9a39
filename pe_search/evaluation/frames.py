"""Traces of clips and the events in them become figures, by sed_scores_eval and scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pe_search.evaluations import Frames

with warnings.catch_warnings():
    # Of what it is made with; no user can do anything about it.
    warnings.simplefilter("ignore")
    from sed_scores_eval import collar_based, intersection_based, segment_based
    from sed_scores_eval.base_modules.scores import create_score_dataframe

COLLARS = {"onset_collar": 0.2, "offset_collar": 0.2, "offset_collar_rate": 0.2}
SEGMENT_S = 1.0
# The two scenarios of DCASE's task 4, with its own numbers.
PSDS1 = {"dtc_threshold": 0.7, "gtc_threshold": 0.7, "alpha_ct": 0.0, "alpha_st": 1.0, "max_efpr": 100.0}
PSDS2 = {"dtc_threshold": 0.1, "gtc_threshold": 0.1, "alpha_ct": 0.5, "alpha_st": 1.0, "max_efpr": 100.0}
_CROSS_TRIGGER = {"cttc_threshold": 0.3}
_DECIMALS = 6
_MACRO = "macro_average"

Times = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Heard:
    """A clip that was listened to.

    Attributes:
        end_s: Its length.
        frame_s: Length of a frame.
        probabilities: float32 of shape (frames, labels).
        spans: The times in which each label is heard, by `locate`; for each label, in order.
        events: The times in which it is heard by the table, likewise.
    """

    end_s: float
    frame_s: float
    probabilities: NDArray[np.float32]
    spans: Sequence[Sequence[Times]]
    events: Sequence[Sequence[Times]]


@dataclass(frozen=True, slots=True)
class OfLabel:
    """The figures of one label; None if they are not defined."""

    auroc: float | None
    event_f1: float | None
    segment_f1: float | None


class _Writable(pd.DataFrame):  # type: ignore[misc]
    """A table whose values may be written to, as sed_scores_eval's compiled code demands; pandas 3 gives no such."""

    @property
    def _constructor(self) -> type[_Writable]:
        return _Writable

    def to_numpy(self, *_args: Any, **_options: Any) -> NDArray[Any]:
        values: NDArray[Any] = super().to_numpy(copy=True)
        return values


def judge_frames(clips: Sequence[Heard], labels: int) -> tuple[Frames | None, list[OfLabel]]:
    """The figures of clips that were listened to, of all labels and of each.

    Args:
        clips: All with the same labels.
        labels: How many there are. One without an event is in no mean.

    Returns:
        None in place of the figures if there is no event.
    """
    of_frames = [_frame_auroc(clips, label) for label in range(labels)]
    with_events = [label for label in range(labels) if any(clip.events[label] for clip in clips)]
    events = sum(len(clip.events[label]) for clip in clips for label in range(labels))
    if not with_events:
        return None, [OfLabel(auroc, None, None) for auroc in of_frames]
    # Names of its own, because sed_scores_eval refuses some.
    names = [str(label) for label in with_events]
    truth = {
        str(place): [(*times, str(label)) for label in with_events for times in clip.events[label]]
        for place, clip in enumerate(clips)
    }
    lengths_s = {str(place): clip.end_s for place, clip in enumerate(clips)}
    frames = {str(place): _frame_scores(clip, with_events, names) for place, clip in enumerate(clips)}
    spans = {str(place): _span_scores(clip, with_events, names) for place, clip in enumerate(clips)}
    event_f1 = collar_based.fscore(spans, truth, 0.5, **COLLARS)[0]
    segment_f1 = segment_based.fscore(spans, truth, lengths_s, 0.5, segment_length=SEGMENT_S)[0]
    # Among labels of which there is one, nothing can be taken for another.
    scenario2 = PSDS2 | (_CROSS_TRIGGER if len(names) > 1 else {"alpha_ct": 0.0})
    known = [auroc for auroc in of_frames if auroc is not None]
    figures = Frames(
        clips=len(clips),
        events=events,
        auroc=float(np.mean(known)) if known else None,
        event_f1=float(event_f1[_MACRO]),
        event_f1_best=float(collar_based.best_fscore(frames, truth, **COLLARS)[0][_MACRO]),
        segment_f1=float(segment_f1[_MACRO]),
        segment_f1_best=float(segment_based.best_fscore(frames, truth, lengths_s, segment_length=SEGMENT_S)[0][_MACRO]),
        psds1=float(intersection_based.psds(frames, truth, lengths_s, **PSDS1)[0]),
        psds2=float(intersection_based.psds(frames, truth, lengths_s, **scenario2)[0]),
    )
    return figures, [OfLabel(of_frames[label], _of(event_f1, label), _of(segment_f1, label)) for label in range(labels)]


def _of(by_name: Mapping[str, Any], label: int) -> float | None:
    return float(by_name[str(label)]) if str(label) in by_name else None


def _frame_auroc(clips: Sequence[Heard], label: int) -> float | None:
    """Of frames, each of which is in an event if its middle is; None if all are or none is."""
    is_inside = np.concatenate([np.empty(0, bool), *(_is_inside(clip, label) for clip in clips)])
    if not 0 < is_inside.sum() < len(is_inside):
        return None
    return float(roc_auc_score(is_inside, np.concatenate([clip.probabilities[:, label] for clip in clips])))


def _is_inside(clip: Heard, label: int) -> NDArray[np.bool_]:
    middles_s = (np.arange(len(clip.probabilities)) + 0.5) * clip.frame_s
    inside = np.zeros(len(middles_s), bool)
    for start_s, end_s in clip.events[label]:
        inside |= (middles_s >= start_s) & (middles_s < end_s)
    return inside


def _frame_scores(clip: Heard, labels: Sequence[int], names: list[str]) -> pd.DataFrame:
    edges_s = np.round(np.arange(len(clip.probabilities) + 1) * clip.frame_s, _DECIMALS)
    # The last frame may end after the clip.
    edges_s[-1] = max(min(edges_s[-1], round(clip.end_s, _DECIMALS)), edges_s[-2] + 10**-_DECIMALS)
    return _Writable(create_score_dataframe(clip.probabilities[:, labels].astype(np.float64), edges_s, names))


def _span_scores(clip: Heard, labels: Sequence[int], names: list[str]) -> pd.DataFrame:
    """One in the spans of a label and zero elsewhere, with a row from each edge of a span to the next."""
    times = [edge for label in labels for span in clip.spans[label] for edge in span]
    edges_s = np.unique(np.round([0.0, clip.end_s, *times], _DECIMALS))
    starts_s = edges_s[:-1, None]
    scores = np.zeros((len(starts_s), len(labels)))
    for column, label in enumerate(labels):
        for start_s, end_s in np.round(np.array(clip.spans[label]).reshape(-1, 2), _DECIMALS).tolist():
            scores[:, column] += ((starts_s >= start_s) & (starts_s < end_s))[:, 0]
    return _Writable(create_score_dataframe(np.minimum(scores, 1.0), edges_s, names))

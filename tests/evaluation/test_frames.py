"""Figures of events: those of sed_eval and sed_scores_eval, and small ones by hand."""

from __future__ import annotations

import numpy as np
import pytest
import sed_eval
from sed_scores_eval import collar_based, intersection_based, segment_based
from sed_scores_eval.base_modules.scores import create_score_dataframe
from sklearn.metrics import roc_auc_score

from pe_search.evaluation import frames
from pe_search.evaluation.frames import Heard, OfLabel, judge_frames

FRAME_S = 0.04


def heard(events, spans=None, *, end_s=10.0, probabilities=None):
    """A clip in which each label is heard in its events, with spans and probabilities that say just so by default."""
    number = int(np.ceil(end_s / FRAME_S))
    if probabilities is None:
        middles_s = (np.arange(number) + 0.5) * FRAME_S
        columns = [sum(((middles_s >= one) & (middles_s < other)) for one, other in of) * 0.8 + 0.1 for of in events]
        probabilities = np.stack([np.broadcast_to(column, number) for column in columns], axis=1).astype(np.float32)
    return Heard(end_s, FRAME_S, probabilities, events if spans is None else spans, events)


def made_up(seed, *, clips=4, labels=3):
    """Noise with events in it; of the labels, the last has no event."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(clips):
        events = []
        for label in range(labels):
            edges = np.round(np.sort(random.uniform(0, 10, 4)), 2)
            some = [(edges[0], edges[1] + 0.1), (edges[2] + 0.2, edges[3] + 0.3)]
            events.append([(float(one), float(other)) for one, other in some] if label < labels - 1 else [])
        spans = [
            [(max(0.0, one + random.normal(0, 0.15)), other + random.normal(0, 0.15)) for one, other in of]
            for of in events
        ]
        spans = [[(float(one), float(other)) for one, other in of if other > one + 0.05] for of in spans]
        spans = [of if len(of) < 2 or of[0][1] < of[1][0] else of[:1] for of in spans]
        sure = heard(events, end_s=11.0).probabilities
        noise = np.round(np.clip(sure + random.normal(0, 0.3, sure.shape), 0, 1), 2).astype(np.float32)
        found.append(heard(events, spans, end_s=11.0, probabilities=noise))
    return found


def by_sed_eval(clips, metrics, labels):
    for place, clip in enumerate(clips):

        def listed(of_labels, place=place):
            return [
                {"event_label": str(label), "onset": one, "offset": other, "filename": str(place)}
                for label, of in enumerate(of_labels)
                for one, other in of
            ]

        metrics.evaluate(reference_event_list=listed(clip.events), estimated_event_list=listed(clip.spans[:labels]))
    by_class = metrics.results_class_wise_metrics()
    return {label: of["f_measure"]["f_measure"] for label, of in by_class.items()}


@pytest.mark.parametrize("seed", range(4))
def test_events_and_segments_of_spans_are_those_of_sed_eval(seed):
    clips = made_up(seed)
    figures, of_labels = judge_frames(clips, 3)
    events = by_sed_eval(
        clips,
        sed_eval.sound_event.EventBasedMetrics(
            ["0", "1"], t_collar=0.2, percentage_of_length=0.2, event_matching_type="optimal"
        ),
        2,
    )
    segments = by_sed_eval(clips, sed_eval.sound_event.SegmentBasedMetrics(["0", "1"], time_resolution=1.0), 2)
    for label in (0, 1):
        assert of_labels[label].event_f1 == pytest.approx(np.nan_to_num(events[str(label)]))
        assert of_labels[label].segment_f1 == pytest.approx(segments[str(label)])
    assert figures.event_f1 == pytest.approx(np.mean([one.event_f1 for one in of_labels[:2]]))
    assert figures.segment_f1 == pytest.approx(np.mean([one.segment_f1 for one in of_labels[:2]]))


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_frames_are_those_of_the_libraries(seed):
    clips = made_up(seed)
    figures, of_labels = judge_frames(clips, 3)
    edges_s = np.round(np.arange(276) * FRAME_S, 6)
    scores = {
        str(place): frames._Writable(
            create_score_dataframe(clip.probabilities[:, :2].astype(float), edges_s, ["0", "1"])
        )
        for place, clip in enumerate(clips)
    }
    truth = {
        str(place): [(*times, str(label)) for label in (0, 1) for times in clip.events[label]]
        for place, clip in enumerate(clips)
    }
    lengths_s = dict.fromkeys(scores, 11.0)
    collars = {"onset_collar": 0.2, "offset_collar": 0.2, "offset_collar_rate": 0.2}
    best = collar_based.best_fscore(scores, truth, **collars)[0]
    assert figures.event_f1_best == best["macro_average"]
    best = segment_based.best_fscore(scores, truth, lengths_s, segment_length=1.0)[0]
    assert figures.segment_f1_best == best["macro_average"]
    scenario = {"dtc_threshold": 0.7, "gtc_threshold": 0.7, "alpha_ct": 0.0, "alpha_st": 1.0, "max_efpr": 100.0}
    assert figures.psds1 == intersection_based.psds(scores, truth, lengths_s, **scenario)[0]
    scenario = {"dtc_threshold": 0.1, "gtc_threshold": 0.1, "alpha_ct": 0.5, "alpha_st": 1.0, "max_efpr": 100.0}
    assert figures.psds2 == intersection_based.psds(scores, truth, lengths_s, cttc_threshold=0.3, **scenario)[0]
    middles_s = (np.arange(275) + 0.5) * FRAME_S
    for label in (0, 1):
        inside = [[any(one <= at < other for one, other in clip.events[label]) for at in middles_s] for clip in clips]
        column = np.concatenate([clip.probabilities[:, label] for clip in clips])
        assert of_labels[label].auroc == pytest.approx(roc_auc_score(np.concatenate(inside), column))
    # No event: there is nothing to compare frames with.
    assert of_labels[2] == OfLabel(None, None, None)


def test_what_is_heard_just_so_is_all_right():
    figures, of_labels = judge_frames([heard([[(1.0, 2.0)], [(4.0, 9.0)]]), heard([[(0.0, 3.0)], []])], 2)
    assert (figures.clips, figures.events) == (2, 3)
    assert of_labels == [OfLabel(1.0, 1.0, 1.0)] * 2
    assert (figures.event_f1, figures.event_f1_best, figures.segment_f1, figures.segment_f1_best) == (1, 1, 1, 1)
    assert (figures.psds1, figures.psds2) == (pytest.approx(1), pytest.approx(1))


def test_one_label_and_one_clip():
    figures, of_labels = judge_frames([heard([[(1.0, 2.0)]])], 1)
    assert of_labels == [OfLabel(1.0, 1.0, 1.0)]
    assert (figures.psds1, figures.psds2) == (pytest.approx(1), pytest.approx(1))


def test_one_of_two_events_and_one_too_many_by_hand():
    clips = [heard([[(1.0, 2.0), (5.0, 6.0)]], [[(1.1, 2.1), (8.0, 9.0)]])]
    figures, _ = judge_frames(clips, 1)
    assert figures.event_f1 == pytest.approx(2 * 1 / (2 + 2))
    # Segments 1, 5 of which 1 is found; found are 1, 2 and 8.
    assert figures.segment_f1 == pytest.approx(2 * 1 / (2 + 3))


def test_where_nothing_is_heard_by_the_table_there_are_no_figures():
    assert judge_frames([heard([[], []])], 2) == (None, [OfLabel(None, None, None)] * 2)


def test_an_event_of_the_whole_clip_leaves_no_frame_outside():
    figures, of_labels = judge_frames([heard([[(0.0, 10.0)]])], 1)
    assert (figures.auroc, of_labels[0].auroc, figures.event_f1) == (None, None, 1.0)


def test_a_clip_that_ends_within_its_last_frame():
    figures, _ = judge_frames([heard([[(0.5, 1.01)]], end_s=1.01)], 1)
    assert (figures.event_f1, figures.segment_f1) == (1.0, 1.0)

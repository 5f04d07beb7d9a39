"""A table and a store become an evaluation, with embeddings that the test knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pe_search.errors import QueryError, TableError
from pe_search.evaluation.evaluating import ask, evaluate, with_frames
from pe_search.evaluations import Figure
from pe_search.known.annotations import read_annotations
from pe_search.queries import Span, Trace
from pe_search.records import Clip
from pe_search.store import Store
from tests.made_up import FakeEmbedder, manifest, put_clips

DOG, CAT = "1 0 0", "0 1 0"


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", manifest()) as opened:
        yield opened


def put(store, folder, clips: dict[str, Sequence[Sequence[float]]]):
    """Put clips with an embedding for each window."""
    put_clips(
        store,
        [
            (
                Clip(folder / name if not name.startswith("named/") else Path(name), 1, 1),
                [(10.0 * place, 10.0 * place + 10) for place in range(len(windows))],
                np.array(windows, np.float32),
            )
            for name, windows in clips.items()
        ],
    )


def asked(store, folder, text, prompt="{}"):
    table = folder / "labels.csv"
    table.write_text(text)
    return ask(read_annotations(table), store, prompt)


def judge(store, folder, text, prompt="{}", drawings=0):
    found = asked(store, folder, text, prompt)
    return evaluate(found, store, FakeEmbedder(), drawings=drawings, seed=0)


def test_a_clip_scores_as_its_best_window(store, tmp_path):
    put(
        store,
        tmp_path,
        {
            "a.wav": [[0, 0, 0], [3, 0, 0]],
            "b.wav": [[2, 0, 0], [-9, 0, 0]],
            "c.wav": [[1, 5, 0]],
            "d.wav": [[0, 4, 0]],
            "not in the table.wav": [[9, 9, 9]],
        },
    )
    found = judge(store, tmp_path, f"path,label\na.wav,{DOG}\nb.wav,{CAT}\nc.wav,{DOG}\nd.wav,{CAT}\n")
    dog, cat = found.of_texts
    assert (found.kind, found.model, found.clips, found.recordings, found.missing) == ("labels", "builtin", 4, 4, ())
    assert dog.average_precision.value == pytest.approx((1 + 2 / 3) / 2)
    assert dog.average_precision_grouped.value == average_precision_score([1, 0, 1, 0], [3, 2, 1, 0])
    # c 5, d 4, and a and b tied at 0, in either order.
    assert cat.average_precision.value == pytest.approx((1 / 2 + (2 / 3 + 2 / 4) / 2) / 2)
    assert found.mean_average_precision.value == pytest.approx(
        (dog.average_precision.value + cat.average_precision.value) / 2
    )
    assert found.naming is not None
    assert found.naming.confusion == ((1, 1), (1, 1))
    assert found.calibration is not None
    assert sum(one.pairs for one in found.calibration.bins) == 8


def test_labels_may_be_several_or_none_and_rows_given_twice(store, tmp_path):
    put(store, tmp_path, {"a.wav": [[1, 1, 0]], "b.wav": [[0, 0, 0]]})
    found = judge(store, tmp_path, f"path,label\na.wav,{DOG}\na.wav,{CAT}\na.wav,{DOG}\nb.wav,\n")
    assert [one.clips for one in found.of_texts] == [1, 1]
    assert (found.clips, found.mean_average_precision.value, found.mean_auroc.value) == (2, 1.0, 1.0)
    assert found.naming is not None
    assert (found.naming.clips, found.naming.clips_of_one_label) == (1, 0)


def test_what_the_store_lacks_is_told_once_and_left_out(store, tmp_path):
    put(store, tmp_path, {"a.wav": [[1, 0, 0]]})
    found = judge(store, tmp_path, f"path,label\nx.wav,{CAT}\na.wav,{DOG}\nx.wav,{DOG}\n/y/z.wav,{DOG}\n")
    assert (found.clips, found.missing) == (1, ("x.wav", "/y/z.wav"))
    assert [(one.text, one.clips) for one in found.of_texts] == [(CAT, 0), (DOG, 1)]
    assert found.of_texts[0].average_precision == Figure(None)


def test_with_no_clip_at_all_there_is_no_figure(store, tmp_path):
    found = judge(store, tmp_path, f"path,label\nx.wav,{DOG}\n")
    assert (found.clips, found.missing, found.mean_average_precision) == (0, ("x.wav",), Figure(None))
    assert [row for row in found.rows() if row[3]] == [("missing_clips", "", "", 1, None, None)]


def test_names_that_are_no_files(store, tmp_path):
    put(store, tmp_path, {"named/a": [[1, 0, 0]]})
    assert judge(store, tmp_path, f"path,label\nnamed/a,{DOG}\n").clips == 1


def test_the_prompt_is_put_around_the_label(store, tmp_path):
    put(store, tmp_path, {"a.wav": [[1, 0, 0]], "b.wav": [[0, 2, 0]]})
    text = "path,label\na.wav,1\nb.wav,0\n"
    assert asked(store, tmp_path, text, "{} 1 0").texts == ("1 1 0", "0 1 0")
    found = judge(store, tmp_path, text, "{} 1 0")
    assert [one.text for one in found.of_texts] == ["1", "0"]
    assert found.of_texts[0].average_precision.value == 0.5
    with pytest.raises(QueryError, match=r"The prompt 'a dog' has no {}, in place of which the label is put"):
        asked(store, tmp_path, text, "a dog")


def test_a_learned_word_has_no_prompt(store, tmp_path):
    assert asked(store, tmp_path, "path,label\na.wav,@owl\nb.wav,dog\n", "a {}").texts == ("@owl", "a dog")


def test_clips_of_the_same_bytes_score_the_same(store, tmp_path):
    random = np.random.default_rng(0)
    windows = random.normal(size=(3, 3))
    put(store, tmp_path, {"a.wav": windows, "b.wav": windows, "c.wav": windows + 1})
    found = judge(store, tmp_path, "path,label\na.wav,0.3 0.7 0.1\nb.wav,0 0 1\nc.wav,\n")
    assert found.of_texts[0].auroc.value in (0.25, 0.75)


def test_captions_have_no_names_and_each_is_a_text(store, tmp_path):
    put(store, tmp_path, {"a.wav": [[1, 0, 0]], "b.wav": [[0, 1, 0]], "c.wav": [[0, 2, 0]]})
    found = judge(store, tmp_path, f"path,caption\na.wav,{DOG}\nb.wav,{CAT}\nc.wav,0 0 1\n")
    assert (found.kind, found.naming) == ("captions", None)
    # The last is tied with all three.
    assert [one.value for one in found.clip_of_text.recall] == [pytest.approx((1 + 0 + 1 / 3) / 3), 1.0, 1.0]
    assert found.clip_of_text.mean_rank.value == pytest.approx((1 + 2 + 2) / 3)


def test_a_column_says_which_clips_are_of_one_recording(store, tmp_path):
    put(store, tmp_path, {"a.wav": [[1, 0, 0]], "b.wav": [[0, 1, 0]], "c.wav": [[0, 2, 0]]})
    text = f"path,label,recording\na.wav,{DOG},one\nb.wav,{DOG},two\nc.wav,{CAT},two\n"
    found = judge(store, tmp_path, text, drawings=50)
    assert (found.clips, found.recordings) == (3, 2)
    assert found.naming is not None
    # One of one, or one of two.
    assert (found.naming.accuracy.low, found.naming.accuracy.high) == (0.5, 1.0)


# Times


def traces(events: dict[str, dict[str, list[tuple[float, float]]]], end_s=10.0):
    """What stands for listening: certain where a text is heard."""

    def locate(texts, paths):
        for path in paths:
            for text in texts:
                of = events.get(path.name, {}).get(text, [])
                middles_s = (np.arange(round(end_s / 0.04)) + 0.5) * 0.04
                inside = sum(((middles_s >= one) & (middles_s < other)) for one, other in of) + 0 * middles_s
                yield Trace(text, path, 0.0, end_s, inside.astype(np.float32), tuple(Span(*one, 1.0) for one in of))

    return locate


TIMES = f"path,start,end,label\na.wav,1,2,{DOG}\na.wav,1.5,4,{DOG}\na.wav,6,20,{CAT}\nb.wav,,,\n"


def test_events_that_overlap_are_one_and_end_with_the_clip(store, tmp_path):
    put(store, tmp_path, {"a.wav": [[1, 1, 0]], "b.wav": [[0, 0, 0]]})
    question = asked(store, tmp_path, TIMES)
    found = evaluate(question, store, FakeEmbedder(), drawings=0, seed=0)
    assert found.frames is None
    locate = traces({"a.wav": {DOG: [(1.0, 4.0)], CAT: [(6.0, 10.0)]}})
    found = with_frames(found, question, locate, 0.04)
    assert found.frames is not None
    assert (found.frames.clips, found.frames.events) == (2, 2)
    assert (found.frames.auroc, found.frames.event_f1, found.frames.psds1) == (1.0, 1.0, pytest.approx(1.0))
    assert [(one.frame_auroc, one.event_f1, one.segment_f1) for one in found.of_texts] == [(1.0, 1.0, 1.0)] * 2
    by_name = {name: value for name, text, _, value, _, _ in found.rows() if not text}
    assert (by_name["frame_events"], by_name["event_f1"]) == (2, 1.0)


def test_a_clip_that_could_not_be_listened_to_is_in_no_figure_of_events(store, tmp_path):
    put(store, tmp_path, {"a.wav": [[1, 1, 0]], "b.wav": [[0, 0, 0]]})
    question = asked(store, tmp_path, TIMES)
    before = evaluate(question, store, FakeEmbedder(), drawings=0, seed=0)
    only_b = lambda texts, paths: traces({})(texts, paths[1:])  # noqa: E731
    found = with_frames(before, question, only_b, 0.04)
    assert found.frames is None
    assert with_frames(before, question, lambda _texts, _paths: iter(()), 0.04) == before


def test_what_begins_after_the_end_of_its_clip_is_an_error_with_its_line(store, tmp_path):
    put(store, tmp_path, {"a.wav": [[1, 1, 0]]})
    text = f"path,start,end,label\na.wav,1,2,{DOG}\na.wav,10,12,{DOG}\n"
    with pytest.raises(TableError) as caught:
        asked(store, tmp_path, text)
    reason = "start is 10, and a.wav ends at 10 s; check the file and its times"
    assert (caught.value.line, caught.value.reason) == (3, reason)

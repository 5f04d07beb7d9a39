"""`pe-search evaluate`, compared with upstream's own scores."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.metrics import average_precision_score, roc_auc_score

import pe_search
from pe_search.audio.hashing import content_digest
from pe_search.evaluation import extra
from tests.cli.conftest import TEXTS, Outcome

EXAMPLES = Path(__file__).parents[2] / "examples" / "sounds"
DOGS = ("dogs/bark.wav", "dogs/growl.wav", "dogs2/howl.wav")
WEATHER = ("weather/rain.wav", "weather/storm.wav", "weather/wind.wav")


@pytest.fixture
def store(library, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return library.store


@pytest.fixture
def labels(library, tmp_path):
    """Six clips with one of two labels each."""
    rows = [(library.sounds / name, TEXTS[0]) for name in DOGS]
    rows += [(library.sounds / name, TEXTS[1]) for name in WEATHER]
    return write(tmp_path / "labels.csv", ("path", "label"), *rows)


def write(file, *rows):
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows)
    return file


def figures(outcome):
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    return {(row["figure"], row["text"], row["other"]): row["value"] for row in rows}


def best_logits(library, text):
    """What each of the six clips scores, by upstream."""
    best = dict.fromkeys((library.sounds / name for name in (*DOGS, *WEATHER)), -np.inf)
    for place, logit in library.ranking(text):
        if place.path in best:
            best[place.path] = max(best[place.path], logit)
    return list(best.values())


def test_figures_are_those_of_upstreams_scores(library, store, labels, run_cli):
    outcome = run_cli("evaluate", labels, "--store", store)
    assert (outcome.status, outcome.err) == (0, "")
    found = figures(outcome)
    is_dog = [True] * 3 + [False] * 3
    logits = [best_logits(library, text) for text in TEXTS[:2]]
    for text, is_right, of in zip(TEXTS, (is_dog, np.invert(is_dog)), logits, strict=False):
        assert found["average_precision", text, ""] == pytest.approx(average_precision_score(is_right, of))
        assert found["auroc", text, ""] == pytest.approx(roc_auc_score(is_right, of))
        assert found["clips", text, ""] == 3
    named = np.argmax(logits, axis=0)
    assert found["naming_accuracy", "", ""] == pytest.approx(np.mean(named == np.invert(is_dog)))
    for one in (0, 1):
        for other in (0, 1):
            count = sum((named == other) & (np.invert(is_dog) == one))
            assert found["confusion", TEXTS[one], TEXTS[other]] == count
    probabilities = 1 / (1 + np.exp(-np.array(logits)))
    truth = np.array([is_dog, np.invert(is_dog)])
    assert found["brier_score", "", ""] == pytest.approx(np.mean((probabilities - truth) ** 2), abs=1e-3)
    assert found["clips", "", ""] == found["recordings", "", ""] == 6


def test_python_gives_the_same(store, labels, run_cli):
    with pe_search.open(store) as opened:
        rows = [list(row) for row in opened.evaluate(labels).rows()]
        assert opened.evaluate(labels, drawings=0).mean_auroc.low is None
        with pytest.raises(ValueError, match="drawings=-1 must be 0 or more"):
            opened.evaluate(labels, drawings=-1)
    shown = [json.loads(line) for line in run_cli("evaluate", labels, "--store", store).out.splitlines()]
    assert [[*row.values()][1:] for row in shown] == rows
    assert {row["store"] for row in shown} == {str(store)}


def test_intervals_are_the_same_each_time_and_may_be_left_out(store, labels, run_cli):
    first = run_cli("evaluate", labels, "--store", store)
    assert first == run_cli("evaluate", labels, "--store", store, "--drawings", 1000, "--seed", 0)
    assert first != run_cli("evaluate", labels, "--store", store, "--seed", 1)
    without = run_cli("evaluate", labels, "--store", store, "--drawings", 0)
    assert all(json.loads(line)["low"] is None for line in without.out.splitlines())


def test_csv_has_the_same_rows(store, labels, run_cli, tmp_path):
    outcome = run_cli("evaluate", labels, "--store", store, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(outcome.out.decode())))
    assert [*rows[0]] == ["store", "figure", "text", "other", "value", "low", "high"]
    as_json = [json.loads(line) for line in run_cli("evaluate", labels, "--store", store).out.splitlines()]
    expected = [{name: "" if value is None else str(value) for name, value in row.items()} for row in as_json]
    assert rows == expected
    written = run_cli("evaluate", labels, "--store", store, "-o", tmp_path / "figures.csv")
    assert written == Outcome(0, b"", f"6 clips evaluated, written to {tmp_path / 'figures.csv'}\n")
    assert (tmp_path / "figures.csv").read_bytes() == outcome.out


def test_a_table_for_people(store, labels, run_cli):
    outcome = run_cli("evaluate", labels, "--store", store, "--format", "table")
    lines = outcome.out.decode().splitlines()
    assert lines[0].split() == ["value", "figure"]
    assert lines[1].split() == ["6", "clips"]
    (accuracy,) = [line for line in lines if line.endswith("clips named rightly")]
    assert re.match(r" *\d\.\d{3} \(\d\.\d{3}–\d\.\d{3}\)  ", accuracy)
    assert "clips     AP  AUROC  threshold  precision  recall     F1  label" in lines
    assert [line.split()[0] for line in lines if line.endswith(TEXTS[0]) and "→" not in line] == ["3"]
    assert "how often a probability is right" in lines


def test_several_stores_are_side_by_side(store, labels, run_cli, tmp_path):
    copy = tmp_path / "copy"
    with pe_search.create(copy) as other:
        other.index(EXAMPLES / "dog-barking.flac")
    outcome = run_cli("evaluate", labels, "--store", store, "--store", copy, "--format", "table", "--drawings", 0)
    lines = outcome.out.decode().splitlines()
    assert outcome.status == 0
    assert lines[0].split() == ["store", "copy", "figure"]
    assert lines[1].split() == ["6", "0", "clips"]
    assert [line.split()[1] for line in lines if line.endswith("mean AUROC")] == ["-"]
    assert outcome.err.startswith("pe-search: 6 clips of labels.csv are not in the store at copy and left out: ")
    assert outcome.err.count("\n") == 1
    rows = run_cli("evaluate", labels, "--store", store, "--store", copy).out.splitlines()
    assert [json.loads(line)["store"] for line in (rows[0], rows[-1])] == [str(store), str(copy)]


# Without a store


def test_a_checkpoint_needs_no_store(library, store, labels, run_cli, tmp_path, monkeypatch):
    """A store with the usual windows has the same figures; nothing is left behind."""
    like = tmp_path / "like"
    assert run_cli("index", library.sounds, "--model", library.checkpoint, "--store", like).status == 0
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    expected = [json.loads(line) for line in run_cli("evaluate", labels, "--store", like).out.splitlines()]
    outcome = run_cli("evaluate", labels, "--model", library.checkpoint)
    assert (outcome.status, outcome.err) == (0, "")
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert rows == [row | {"store": str(library.checkpoint)} for row in expected]
    assert [*scratch.iterdir()] == []


def test_checkpoints_and_stores_are_side_by_side(library, store, labels, run_cli):
    args = ("--model", library.checkpoint, "--model", "builtin", "--store", store, "--drawings", 0)
    outcome = run_cli("evaluate", labels, *args, "--format", "table")
    lines = outcome.out.decode().splitlines()
    assert outcome.status == 0
    assert lines[0].split() == [library.checkpoint.name, "builtin", "store", "figure"]
    assert lines[1].split() == ["6", "6", "6", "clips"]
    (line,) = [line for line in lines if line.endswith("clips that the checkpoint was trained on")]
    assert line.split()[:3] == ["-", "0", "-"]


def test_a_clip_that_can_not_be_embedded_is_left_out(library, run_cli, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    rows = [(library.sounds / WEATHER[0], "rain"), ("bad.wav", "rain"), ("gone.wav", "rain")]
    table = write(tmp_path / "labels.csv", ("path", "label"), *rows)
    outcome = run_cli("evaluate", table, "--model", library.checkpoint)
    assert outcome.status == 2
    assert figures(outcome)["clips", "", ""] == 1
    first, second = outcome.err.splitlines()
    assert first.startswith(f"pe-search: {tmp_path / 'bad.wav'}: can't be read as audio: ")
    assert second.startswith("pe-search: 2 clips of ")
    assert second.endswith(" can't be read and are left out: bad.wav, gone.wav")
    table = write(tmp_path / "labels.csv", ("path", "label"), ("gone.wav", "rain"))
    outcome = run_cli("evaluate", table, "--model", library.checkpoint)
    assert (outcome.status, outcome.out) == (1, b"")
    assert outcome.err.endswith(f"pe-search: no clip of {table} could be embedded.\n")


def test_a_checkpoint_that_is_missing_is_told_before_any_work(labels, run_cli, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("pe_search.tasks.runs.index_paths", None)
    outcome = run_cli("evaluate", labels, "--model", "builtin", "--model", "no-such")
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err.startswith("pe-search: There is no checkpoint 'no-such'")


def test_a_checkpoint_has_no_learned_words(library, run_cli, tmp_path):
    table = write(tmp_path / "labels.csv", ("path", "label"), (library.sounds / WEATHER[0], "@rain"))
    outcome = run_cli("evaluate", table, "--model", library.checkpoint)
    error = "pe-search: @rain is a learned word, which only a store knows; evaluate its store.\n"
    assert outcome == Outcome(2, b"", error)


# What the built-in checkpoint was trained on


def test_clips_that_the_checkpoint_was_trained_on_are_told(run_cli, tmp_path, monkeypatch):
    rain, dog = EXAMPLES / "weather" / "rain.flac", EXAMPLES / "dog-barking.flac"
    digests = tmp_path / "digests"
    digests.write_bytes(content_digest(rain)[:8] + b"12345678")
    monkeypatch.setattr("pe_search.pe_audio.trained_on.RECORDINGS", digests)
    table = write(tmp_path / "labels.csv", ("path", "label"), (rain, "rain"), (dog, "dog barking"))
    outcome = run_cli("evaluate", table, "--model", "builtin")
    assert figures(outcome)["trained_on_clips", "", ""] == 1
    assert outcome.err == (
        "pe-search: the checkpoint builtin was trained on 1 of the 2 clips; figures on these are too good.\n"
    )
    digests.write_bytes(b"12345678")
    assert run_cli("evaluate", table, "--model", "builtin").err == ""


# Reports


class _Tags(HTMLParser):
    """The text of a page; all elements must be closed in their order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        assert not {"src", "href"} & dict(attrs).keys(), "the page needs no other file"
        if tag != "meta" and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):  # noqa: ARG002
        self.names.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_a_report_is_one_page(library, store, run_cli, tmp_path):
    rows = [(library.sounds / name, "<b>rain</b> & $") for name in WEATHER]
    rows += [(library.sounds / name, TEXTS[0]) for name in DOGS]
    table = write(tmp_path / "<i>.csv", ("path", "label"), *rows, ("<no>.wav", "rain"))
    report = tmp_path / "report.html"
    outcome = run_cli("evaluate", table, "--store", store, "-o", report)
    assert (outcome.status, outcome.out) == (0, b"")
    page = _Tags(report.read_text("utf-8"))
    assert page.open == []
    assert {"svg", "table", "polyline"} <= {*page.names}
    assert not {"b", "i", "no", "script", "link", "img"} & {*page.names}
    for text in ("<b>rain</b> & $", "pe-search evaluate <i>.csv", "<no>.wav", "mean average precision (mAP)"):
        assert text in page.text


def test_clips_that_the_store_lacks_are_told_with_the_first_names(library, store, run_cli, tmp_path):
    rows = [(f"no-{number}.wav", "rain") for number in range(5)]
    table = write(tmp_path / "labels.csv", ("path", "label"), (library.sounds / WEATHER[0], "rain"), *rows)
    outcome = run_cli("evaluate", table, "--store", store)
    assert outcome.status == 0
    assert outcome.err == (
        f"pe-search: 5 clips of labels.csv are not in the store at {store} and left out: "
        "no-0.wav, no-1.wav, no-2.wav, …\n"
    )
    assert figures(outcome)["missing_clips", "", ""] == 5


def test_a_table_of_no_clip_of_the_store(store, run_cli, tmp_path):
    table = write(tmp_path / "labels.csv", ("path", "label"), ("no.wav", "rain"))
    outcome = run_cli("evaluate", table, "--store", store)
    assert (outcome.status, outcome.out) == (1, b"")
    assert outcome.err == (
        f"pe-search: 1 clip of labels.csv is not in the store at {store} and left out: no.wav\n"
        f"pe-search: the store at {store} holds no clip of labels.csv; `pe-search list --store {store}` shows what it "
        "holds.\n"
    )


def test_captions(library, store, run_cli, tmp_path):
    rows = [(library.sounds / name, text) for name, text in zip(DOGS, TEXTS, strict=True)]
    table = write(tmp_path / "captions.csv", ("path", "caption"), *rows)
    found = figures(run_cli("evaluate", table, "--store", store))
    ranks = []
    for (path, text), _ in zip(rows, TEXTS, strict=True):
        order = [place.path for place, _ in library.ranking(text) if place.path in {one for one, _ in rows}]
        ranks.append(order.index(path) + 1)
    assert found["clip_of_text_mean_rank", "", ""] == pytest.approx(np.mean(ranks))
    assert found["clip_of_text_recall_at_1", "", ""] == pytest.approx(np.mean(np.array(ranks) == 1))
    assert ("naming_accuracy", "", "") not in found
    shown = run_cli("evaluate", table, "--store", store, "--format", "table").out.decode()
    assert "threshold  precision" not in shown


def test_the_prompt_changes_what_is_asked(store, labels, run_cli):
    plain = figures(run_cli("evaluate", labels, "--store", store))
    other = figures(run_cli("evaluate", labels, "--store", store, "--prompt", "{} and waves"))
    assert plain.keys() == other.keys()
    assert plain["brier_score", "", ""] != other["brier_score", "", ""]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("--prompt", "rain"), "--prompt: must contain {}, in place of which the label is put."),
        (("--prompt", " "), "--prompt: must not be empty."),
        (("--drawings", "-1"), "--drawings: '-1' must be a whole number from 0 to 100000."),
        (("--seed", "x"), "--seed: 'x' must be a whole number from 0 to 9.22337203685e+18."),
        (("-o", "no/report.html"), "-o: there is no folder no."),
        (("--audio", "a.wav"), "labels.csv: has a column path, so it can't be used with an audio file."),
        (("--format", "paths"), "--format: 'paths' is not one of 'table', 'jsonl', 'json', 'csv'."),
    ],
)
def test_wrong_options(store, labels, run_cli, monkeypatch, args, error):
    outcome = run_cli("evaluate", "labels.csv", *args, "--store", store)
    assert outcome == Outcome(2, b"", f"pe-search: {error}\n")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "labels.csv: is empty; a table has a header such as path,label and a row for each label."),
        (b"path,kind\na,b\n", "labels.csv, line 1: there is no column label or caption; columns are 'path', 'kind'."),
        (b"path,label\na,\xff\n", "labels.csv, line 2: is not UTF-8."),
        (b"path,start,end,label\na,1,0,b\n", "labels.csv, line 2: end must be after start; it is 0, and start 1."),
        (b"\x00\x01\x02", "labels.csv, line 1: there is no column label or caption; columns are '\\x00\\x01\\x02'."),
    ],
)
def test_a_table_that_is_wrong_is_a_line(store, run_cli, tmp_path, content, error):
    (tmp_path / "labels.csv").write_bytes(content)
    assert run_cli("evaluate", "labels.csv", "--store", store) == Outcome(2, b"", f"pe-search: {error}\n")


def test_a_table_or_store_that_is_not_there(store, labels, run_cli, tmp_path):
    outcome = run_cli("evaluate", "no.csv", "--store", store)
    assert outcome == Outcome(2, b"", "pe-search: no.csv: No such file or directory\n")
    outcome = run_cli("evaluate", labels, "--store", tmp_path / "no")
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, b"", 1)
    assert "There is no store at" in outcome.err


@pytest.mark.parametrize(
    ("missing", "package"),
    [("sklearn", "scikit-learn"), ("sed_scores_eval", "sed-scores-eval"), ("pkg_resources", "'setuptools<81'")],
)
def test_a_library_that_is_missing_is_a_line(library, store, run_cli, monkeypatch, tmp_path, missing, package):
    table = write(
        tmp_path / "times.csv", ("path", "start", "end", "label"), (library.sounds / WEATHER[0], 0, 1, "rain")
    )
    for name in [name for name in sys.modules if name.split(".")[0] in ("sed_scores_eval", "sed_eval", "dcase_util")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    outcome = run_cli("evaluate", table, "--store", store)
    job = "An evaluation" if missing == "sklearn" else "An evaluation of times"
    assert outcome.status == 2
    assert outcome.err.startswith(
        f"pe-search: {job} needs {package}, which is not installed: `pip install 'pe-search[evaluate]'`, "
    )
    assert outcome.err.count("\n") == 1
    if missing != "sklearn":
        extra.need_libraries(with_times=False)
        assert run_cli("evaluate", table, "--clips-only", "--store", store).status == 0


# Times


@pytest.fixture(scope="module")
def barks(tmp_path_factory):
    """A store with a dog and rain, by the built-in checkpoint."""
    folder = tmp_path_factory.mktemp("barks")
    for name in ("dog-barking.flac", "weather/rain.flac"):
        (folder / Path(name).name).write_bytes((EXAMPLES / name).read_bytes())
    with pe_search.create(folder / "store") as library:
        library.index(folder)
    return folder


def test_clips_with_times_are_listened_to(barks, run_cli, tmp_path):
    length_s = soundfile.info(barks / "dog-barking.flac").duration
    half_s = round(length_s / 2, 2)
    table = write(
        barks / "times.csv",
        ("path", "start", "end", "label"),
        ("dog-barking.flac", 0, half_s, "dog barking"),
        ("rain.flac", "", "", ""),
    )
    found = figures(run_cli("evaluate", table, "--store", barks / "store"))
    with pe_search.open(barks / "store") as library:
        traces = list(library.locate("dog barking", [barks / "dog-barking.flac", barks / "rain.flac"]))
    middles_s = [(np.arange(len(trace.probabilities)) + 0.5) * 0.04 for trace in traces]
    inside = np.concatenate([middles_s[0] < half_s, np.zeros(len(middles_s[1]), bool)])
    expected = roc_auc_score(inside, np.concatenate([trace.probabilities for trace in traces]))
    assert found["frame_auroc", "", ""] == found["frame_auroc", "dog barking", ""] == pytest.approx(expected)
    assert (found["frame_clips", "", ""], found["frame_events", "", ""]) == (2, 1)
    assert found["auroc", "dog barking", ""] == 1.0
    assert 0 <= found["psds1", "", ""] <= found["psds2", "", ""] <= 1
    without = figures(run_cli("evaluate", table, "--clips-only", "--store", barks / "store"))
    assert {key: value for key, value in found.items() if key in without} == without
    assert found.keys() - without.keys() >= {("event_f1", "", ""), ("psds1", "", "")}


def test_a_learned_word_is_evaluated_by_clips_alone(barks, run_cli, tmp_path):
    store = tmp_path / "store"
    assert run_cli("index", barks / "dog-barking.flac", barks / "rain.flac", "--store", store).status == 0
    with pe_search.open(store) as library:
        library.learn("@dog", text="dog barking")
    rows = [(barks / "dog-barking.flac", 0, 1, "@dog"), (barks / "rain.flac", "", "", "")]
    table = write(tmp_path / "times.csv", ("path", "start", "end", "label"), *rows)
    outcome = run_cli("evaluate", table, "--store", store)
    assert outcome == Outcome(
        2,
        b"",
        "pe-search: @dog is a learned word, for which frames can't be scored; evaluate clips (--clips-only).\n",
    )
    outcome = run_cli("evaluate", table, "--store", store, "--clips-only", "--prompt", "a {}")
    assert (outcome.status, outcome.err) == (0, "")
    assert figures(outcome)["auroc", "@dog", ""] == 1.0
    table = write(tmp_path / "labels.csv", ("path", "label"), (barks / "rain.flac", "@cat"))
    outcome = run_cli("evaluate", table, "--store", store)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, b"", 1)
    assert outcome.err.startswith("pe-search: @cat was not taught to the store at ")


def test_labels_of_audacity_are_about_one_clip(barks, run_cli, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("0.1\t0.3\tdog barking\n")
    args = ("evaluate", labels, "--audio", barks / "dog-barking.flac", "--store", barks / "store")
    assert figures(run_cli(*args))["frame_events", "", ""] == 1


def test_a_clip_that_can_not_be_listened_to_is_an_error(barks, run_cli, tmp_path):
    (tmp_path / "a.flac").write_bytes((barks / "rain.flac").read_bytes())
    assert run_cli("index", tmp_path / "a.flac", "--store", tmp_path / "store").status == 0
    (tmp_path / "a.flac").unlink()
    table = write(tmp_path / "times.csv", ("path", "start", "end", "label"), ("a.flac", 0, 1, "rain"))
    outcome = run_cli("evaluate", table, "--store", tmp_path / "store")
    assert outcome.status == 2
    assert outcome.err == f"pe-search: {tmp_path / 'a.flac'}: No such file or directory\n"
    found = figures(outcome)
    assert found["clips", "", ""] == 1
    assert ("frame_clips", "", "") not in found


def test_a_label_that_the_checkpoint_was_not_taught_is_told(barks, run_cli):
    table = write(barks / "odd.csv", ("path", "label"), ("rain.flac", "xyzzy"))
    outcome = run_cli("evaluate", table, "--store", barks / "store")
    assert outcome.err == ('The built-in checkpoint was not taught any word of "xyzzy"; the scores mean nothing.\n')

"""`pe-search evaluate -o FILE.png`: the curves are those of scikit-learn's figures."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import replace

import numpy as np
import pytest

import pe_search
from pe_search.cli.output.curves import MOST_LABELS, curves, write_curves
from pe_search.cli.output.evaluations import Judged
from tests.cli.conftest import TEXTS, Outcome

WEATHER = ("weather/rain.wav", "weather/storm.wav", "weather/wind.wav")
DOGS = ("dogs/bark.wav", "dogs/growl.wav", "dogs2/howl.wav")


@pytest.fixture
def labels(library, tmp_path):
    rows = [(library.sounds / name, TEXTS[0]) for name in DOGS] + [
        (library.sounds / name, TEXTS[1]) for name in WEATHER
    ]
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return table


@pytest.fixture
def evaluation(library, labels):
    with pe_search.open(library.store) as opened:
        return opened.evaluate(labels, drawings=0)


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG\r\n\x1a\n"), (".svg", b"<?xml"), (".pdf", b"%PDF-")])
def test_a_file_of_curves_is_of_the_kind_that_its_name_says(
    library, labels, run_cli, tmp_path, monkeypatch, suffix, magic
):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("MPLBACKEND", "tkagg")
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # which would look for a display
    files = []
    for name in (f"a{suffix}", f"b{suffix.upper()}"):
        outcome = run_cli("evaluate", labels, "-o", tmp_path / name, "--drawings", 0, "--store", library.store)
        assert outcome == Outcome(0, b"", f"6 clips evaluated, written to {tmp_path / name}\n")
        files.append((tmp_path / name).read_bytes())
    assert files[0].startswith(magic)
    assert files[0] == files[1]


def test_the_area_below_a_curve_is_the_average_precision(evaluation):
    figure = curves([Judged("one", evaluation)])
    titles = [axes.get_title() for axes in figure.axes[1:]]
    expected = [(text.text, text.average_precision_grouped.value) for text in evaluation.of_texts]
    assert titles[:3] == ["all together", *(f"{text}\nAP {value:.3f}" for text, value in expected)]
    for axes, (_, value) in zip(figure.axes[2:4], expected, strict=True):
        (line,) = axes.lines
        assert line.get_drawstyle() == "steps-pre"
        x, y = line.get_data()
        assert (x[0], x[-1]) == (0, 1)
        assert np.sum(np.diff(x) * np.array(y)[1:]) == pytest.approx(value)
    assert not any(axes.axison for axes in figure.axes[4:])


def test_the_first_panel_shows_the_bins(evaluation):
    _, line = curves([Judged("one", evaluation)]).axes[0].lines
    bins = [one for one in evaluation.calibration.bins if one.pairs]
    assert list(zip(*line.get_data(), strict=True)) == [(one.probability, one.share) for one in bins]


def test_several_stores_are_lines_in_the_same_panels(evaluation):
    figure = curves([Judged("one", evaluation), Judged("$two_2$", evaluation)])
    assert [len(axes.lines) for axes in figure.axes[:4]] == [3, 2, 2, 2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "$two_2$"]


def test_of_very_many_labels_the_first_are_drawn(evaluation):
    many = replace(evaluation, of_texts=evaluation.of_texts[:1] * 200)
    assert sum(bool(axes.lines) for axes in curves([Judged("one", many)]).axes) == 2 + MOST_LABELS


def test_captions_have_no_curve_of_their_own(evaluation):
    captions = replace(evaluation, naming=None)
    assert sum(bool(axes.lines) for axes in curves([Judged("one", captions)]).axes) == 2


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_hostile_labels_do_nothing(evaluation, suffix):
    text = replace(evaluation.of_texts[0], text="$x^{\\frac$ <b>\x1b[31m")
    out = io.BytesIO()
    assert write_curves([Judged("\udcff$", replace(evaluation, of_texts=(text,)))], out, suffix)
    assert out.getvalue()


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("-o", "a.jpg"), "-o: 'a.jpg': a figure of curves must end with .png, .svg or .pdf."),
        (("-o", "no/a.png"), "-o: there is no folder no."),
        (
            ("-o", "a.png", "--format", "csv"),
            "--format: can't be used with -o FILE.png, which is a figure of curves.",
        ),
    ],
)
def test_what_can_not_be_drawn_is_refused(library, labels, run_cli, tmp_path, monkeypatch, args, error):
    monkeypatch.chdir(tmp_path)
    outcome = run_cli("evaluate", labels, *args, "--store", library.store)
    assert outcome == Outcome(2, b"", f"pe-search: {error}\n")


def test_without_matplotlib_it_is_a_line(library, labels, run_cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = run_cli("evaluate", labels, "-o", tmp_path / "a.png", "--store", library.store)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, b"", 1)
    assert outcome.err.startswith("pe-search: A figure of curves needs matplotlib, which is not installed: ")
    assert not (tmp_path / "a.png").exists()

"""Evaluations as curves: precision over recall, and how often a probability is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from pe_search.cli.output.drawing import shortened, write_figure
from pe_search.cli.output.evaluations import Judged, names_of, shown_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pe_search.evaluations import Calibration, Curve

_ACROSS = 4
# So many labels have room on a page that anybody looks at.
MOST_LABELS = 60
_PANEL_IN = 2.4
_LONGEST_TITLE = 24
_TICKS = (0, 0.5, 1)
_LARGEST_DOT, _SMALLEST_DOT = 60, 8


def write_curves(judged: Sequence[Judged], out: BinaryIO, suffix: str) -> bool:
    """Draw evaluations of one table into a file. The same ones make the same bytes.

    Args:
        judged: The evaluations.
        out: The file.
        suffix: As in `write_figure`, whose result it returns.
    """
    return write_figure(lambda: curves(judged), out, suffix)


def curves(judged: Sequence[Judged]) -> Figure:
    """A figure of the reliability, of precision and recall of all labels together, and of those of each label."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = list(_panels(judged))
    rows = -(-(1 + len(panels)) // _ACROSS)
    figure = Figure(figsize=(_PANEL_IN * _ACROSS, _PANEL_IN * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, _ACROSS, squeeze=False).ravel()
    _draw_reliability(axes[0], [one.evaluation.calibration for one in judged])
    for panel, (title, of_sources) in zip(axes[1:], panels, strict=False):
        _frame(panel, title, "recall", "precision")
        for number, curve in enumerate(of_sources):
            if curve is not None:
                # The precision of a step holds for all recall up to it, so that the area is the average precision.
                recall, precision = (0.0, *curve.recall), (curve.precision[0], *curve.precision)
                panel.plot(recall, precision, color=f"C{number}", drawstyle="steps-pre", clip_on=False, zorder=3)
    for panel in axes[1 + len(panels) :]:
        panel.set_axis_off()
    if len(judged) > 1:
        lines = [Line2D([], [], color=f"C{number}") for number in range(len(judged))]
        legend = figure.legend(lines, list(map(shortened, names_of(judged))), loc="outside upper left", ncols=4)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure


def _panels(judged: Sequence[Judged]) -> Iterator[tuple[str, list[Curve | None]]]:
    """The title of each panel, and the curve of each store."""
    yield "all together", [one.evaluation.curve for one in judged]
    if judged[0].evaluation.naming is None and all(one.evaluation.naming is None for one in judged):
        # Of captions there are as many as clips, and each has one clip.
        return
    for texts in list(zip(*(one.evaluation.of_texts for one in judged), strict=True))[:MOST_LABELS]:
        precision = " / ".join(shown_number(one.average_precision.value) for one in texts)
        yield f"{shortened(texts[0].text, _LONGEST_TITLE)}\nAP {precision}", [one.curve for one in texts]


def _draw_reliability(panel: Any, calibrations: Sequence[Calibration | None]) -> None:
    _frame(panel, "how often a probability is right", "probability", "share that is right")
    panel.plot((0, 1), (0, 1), color="0.7", linestyle=":")
    for number, calibration in enumerate(calibrations):
        bins = [] if calibration is None else [one for one in calibration.bins if one.pairs]
        if bins:
            x, y = [one.probability for one in bins], [one.share for one in bins]
            most = max(one.pairs for one in bins)
            sizes = [_SMALLEST_DOT + (_LARGEST_DOT - _SMALLEST_DOT) * one.pairs / most for one in bins]
            panel.plot(x, y, color=f"C{number}", clip_on=False)
            panel.scatter(x, y, sizes, color=f"C{number}", clip_on=False)


def _frame(panel: Any, title: str, across: str, up: str) -> None:
    panel.set(xlim=(0, 1), ylim=(0, 1), xticks=_TICKS, yticks=_TICKS, xlabel=across, ylabel=up)
    panel.set_aspect("equal")
    panel.set_title(title, fontsize="medium").set_parse_math(False)

"""Counts as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from pe_search.cli.output.drawing import shortened, write_figure
from pe_search.reports import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    from pe_search.reports import Counts

# Days and months without a window are left blank, unless these are too many.
_MOST_BINS_FILLED = 400
_MOST_LABELS_ACROSS, _MOST_LABELS_DOWN = 48, 150
_MOST_NUMBERED = 48 * 24
_LARGEST_NUMBER = 9_999
# What has room below a cell without being turned.
_WIDEST_UPRIGHT = 2
_CELL_IN = 0.28
_BLANK = "0.9"


def write_heat_map(counts: Counts, out: BinaryIO, suffix: str) -> bool:
    """Draw counts into a file. The same counts make the same bytes.

    Args:
        counts: What to draw.
        out: The file.
        suffix: As in `write_figure`, whose result it returns.
    """
    return write_figure(lambda: heat_map(counts), out, suffix)


def heat_map(counts: Counts) -> Figure:
    """A figure of a row for each text and a column for each bin; bins that have no window are blank."""
    import numpy as np
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    bins, totals, table = _with_gaps(counts)
    values = np.ma.masked_array(
        np.array(table, np.int64).reshape(len(counts.texts), len(bins)),
        np.broadcast_to(np.array(totals, np.int64) == 0, (len(counts.texts), len(bins))),
    )
    most = max(1, int(np.max(values.filled(0), initial=0)))
    figure = Figure(figsize=_size_in(len(bins), len(counts.texts)), layout="constrained")
    axes = figure.add_subplot()
    colours = colormaps["viridis"].with_extremes(bad=_BLANK)
    image = axes.imshow(values, cmap=colours, vmin=0, vmax=most, aspect="auto", interpolation="nearest")
    _put_labels(axes.xaxis, bins, _MOST_LABELS_ACROSS)
    _put_labels(axes.yaxis, counts.texts, _MOST_LABELS_DOWN)
    if max(map(len, bins), default=0) > _WIDEST_UPRIGHT:
        axes.tick_params("x", rotation=90)
    axes.set_xlabel({"hour": "hour of the day"}.get(counts.by, counts.by))
    title = f"{counts.of} with a probability of {counts.min_probability:g} or more"
    figure.colorbar(image, ax=axes, label=title, ticks=MaxNLocator(integer=True))
    if values.size <= _MOST_NUMBERED and most <= _LARGEST_NUMBER:
        for row, column in np.argwhere(~np.ma.getmaskarray(values)):
            count = int(values[row, column])
            colour = "black" if count > most / 2 else "white"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize="x-small")
    return figure


def _with_gaps(counts: Counts) -> tuple[list[str], list[int], list[list[int]]]:
    """Bins, totals, and the counts of each text; the days or months in between among them, without any window."""
    import numpy as np

    bins = list(counts.bins)
    known = [name for name in bins if name != UNKNOWN]
    if counts.by in ("day", "month") and known:
        first, last = np.datetime64(known[0]), np.datetime64(known[-1])
        if int((last - first).astype(int)) < _MOST_BINS_FILLED:
            bins = [*map(str, np.arange(first, last + 1)), *(name for name in bins if name == UNKNOWN)]
    place_of = {name: place for place, name in enumerate(counts.bins)}
    places = [place_of.get(name) for name in bins]

    def filled(values: Sequence[int]) -> list[int]:
        return [0 if place is None else values[place] for place in places]

    return bins, filled(counts.totals), [filled(of_text) for of_text in counts.counts]


def _size_in(columns: int, rows: int) -> tuple[float, float]:
    """Width and height in inches."""
    return min(max(3.5 + _CELL_IN * columns, 6.0), 24.0), min(max(1.4 + _CELL_IN * rows, 3.0), 60.0)


def _put_labels(axis: Any, names: Sequence[str], most: int) -> None:
    """Name the cells along an axis, or every other one, or every third …, if they are many."""
    step = max(1, -(-len(names) // most))
    axis.set_ticks(range(0, len(names), step), labels=[shortened(name) for name in names[::step]])
    labels: list[Text] = axis.get_ticklabels()
    for label in labels:
        # A dollar sign is one, and begins no formula.
        label.set_parse_math(False)

"""Figures of matplotlib become files: the same figure makes the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from pe_search.cli.output.messages import printable
from pe_search.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What each kind of file would say of the moment and the program.
_NOT_SAID: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
FIGURE_SUFFIXES = tuple(_NOT_SAID)
_SETTINGS = {"svg.hashsalt": "pe-search", "svg.fonttype": "none", "font.size": 9}
_LONGEST_LABEL = 40
_DOTS_PER_IN = 150


def need_matplotlib(job: str) -> None:
    """Raise a `MissingExtraError` unless there is matplotlib, before there is anything to draw.

    Args:
        job: What needs it, at the beginning of a sentence.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(job, "matplotlib", "plots") from error


def write_figure(draw: Callable[[], Figure], out: BinaryIO, suffix: str) -> bool:
    """Draw a figure into a file, with matplotlib's own settings, whatever the user's file says.

    Args:
        draw: Makes the figure.
        out: The file.
        suffix: What kind of file: one of `FIGURE_SUFFIXES`.

    Returns:
        Whether every character is as it should be; the font lacks some, which an SVG has as text all the same.
    """
    import warnings

    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings(record=True) as caught:
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        warnings.simplefilter("always")
        draw().savefig(out, format=suffix.removeprefix("."), dpi=_DOTS_PER_IN, metadata=_NOT_SAID[suffix])
    return suffix == ".svg" or not any("missing from font" in str(warning.message) for warning in caught)


def shortened(name: str, most: int = _LONGEST_LABEL) -> str:
    """A name as a label of a figure."""
    shown = printable(name)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"

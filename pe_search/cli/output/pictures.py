"""The pictures of a report, as SVG in its page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pe_search.evaluations import Calibration, Curve

_SIDE, _LEFT, _BELOW, _ABOVE = 200, 34, 34, 8
_SMALLEST_DOT, _MORE_DOT = 2.5, 5.0


def reliability_picture(calibration: Calibration) -> str:
    """The share that is right over the probability; a dot's area stands for its pairs."""
    known = [one for one in calibration.bins if one.probability is not None and one.share is not None]
    most = max(one.pairs for one in known)
    points = [_at(one.probability or 0.0, one.share or 0.0) for one in known]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_SMALLEST_DOT + _MORE_DOT * (one.pairs / most) ** 0.5:.1f}">'
        f"<title>{one.pairs:,} pairs</title></circle>"
        for one, (x, y) in zip(known, points, strict=True)
    )
    (x1, y1), (x2, y2) = _at(0, 0), _at(1, 1)
    even = f'<line class="even" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'
    return _framed("probability", "share that is right", f'{even}{_line(points)}<g class="dots">{dots}</g>')


def curve_picture(curve: Curve) -> str:
    """Precision over recall, in steps whose area is the average precision."""
    points = []
    before = 0.0
    for recall, precision in zip(curve.recall, curve.precision, strict=True):
        points += [_at(before, precision), _at(recall, precision)]
        before = recall
    return _framed("recall", "precision", _line(points))


def _at(x: float, y: float) -> tuple[float, float]:
    return _LEFT + _SIDE * x, _ABOVE + _SIDE * (1 - y)


def _line(points: Iterable[tuple[float, float]]) -> str:
    return f'<polyline class="curve" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _framed(across: str, up: str, inside: str) -> str:
    width, height = _LEFT + _SIDE + _ABOVE, _ABOVE + _SIDE + _BELOW
    low, middle, turned = _ABOVE + _SIDE, _LEFT + _SIDE / 2, _ABOVE + _SIDE / 2
    ticks = "".join(
        f'<text x="{_LEFT + _SIDE * value}" y="{low + 13}" text-anchor="middle">{value:g}</text>'
        f'<text x="{_LEFT - 5}" y="{low - _SIDE * value + 4}" text-anchor="end">{value:g}</text>'
        for value in (0, 0.5, 1)
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{up} over {across}">'
        f'<rect class="frame" x="{_LEFT}" y="{_ABOVE}" width="{_SIDE}" height="{_SIDE}"/>{inside}{ticks}'
        f'<text class="axis" x="{middle:g}" y="{height - 5}" text-anchor="middle">{across}</text>'
        f'<text class="axis" x="10" y="{turned:g}" text-anchor="middle" transform="rotate(-90 10 {turned:g})">'
        f"{up}</text></svg>"
    )

"""Evaluations as one HTML page that needs no other file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.cli.output.evaluations import (
    Judged,
    all_figures,
    bin_rows,
    mistakes,
    names_of,
    shown_figure,
    text_cells,
    text_columns,
)
from pe_search.cli.output.messages import counted, printable

if TYPE_CHECKING:
    from pe_search.evaluations import Calibration, Naming

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 0.5em 0 1.5em; }
th, td { padding: 0.15em 0.7em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
.confusion td { text-align: center; border: 1px solid #eee; }
.confusion th.turned { writing-mode: vertical-rl; text-align: left; vertical-align: bottom; }
p.note { color: #666; }
"""
# A larger matrix is of no use to anybody; CSV has it all.
_MOST_LABELS = 60
_SIDE, _MARGIN = 300, 40


def write_report(judged: Sequence[Judged], table: Path) -> None:
    """Print a report of evaluations of one table to stdout."""
    for part in _parts(judged, table):
        sys.stdout.write(f"{part}\n")


def _parts(judged: Sequence[Judged], table: Path) -> Iterator[str]:
    names = names_of(judged)
    title = f"pe-search evaluate {_text(table.name)}"
    yield "<!doctype html>"
    yield f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head><body>'
    yield f"<h1>{title}</h1>"
    heads = ["figure", *(f"{name} ({one.evaluation.model})" for name, one in zip(names, judged, strict=True))]
    yield _table(heads, ([name, *map(shown_figure, figures)] for name, figures in all_figures(judged)))
    yield (
        '<p class="note">In brackets: 95 % intervals, by drawing the recordings again. Clips of the same score count '
        "as the mean over all their orders.</p>"
    )
    for name, one in zip(names, judged, strict=True):
        evaluation = one.evaluation
        yield f"<h2>{_text(name)}</h2>"
        texts = "captions" if evaluation.naming is None else "labels"
        yield f"<h3>The {texts}, each with the threshold of its best F1</h3>"
        rows = ([text.text, *text_cells(text, evaluation)] for text in evaluation.of_texts)
        yield _table([texts.removesuffix("s"), *text_columns(evaluation)], rows)
        if evaluation.naming is not None and evaluation.naming.clips_of_one_label:
            yield from _of_naming(evaluation.naming, [text.text for text in evaluation.of_texts])
            found = [[f"{label} → {other}", f"{count:,}"] for count, label, other in mistakes(evaluation)]
            if found:
                yield _table(["label → taken for", "clips"], found)
        if evaluation.calibration is not None:
            yield "<h3>How often a probability is right</h3>"
            yield _reliability(evaluation.calibration)
            bins = ([bounds, *cells] for bounds, cells in bin_rows(evaluation))
            yield _table(["probability", "pairs", "mean", "right"], bins)
        if evaluation.missing:
            yield f"<h3>{counted(len(evaluation.missing), 'clip')} not in the store</h3>"
            yield f"<ul>{''.join(f'<li>{_text(path)}</li>' for path in evaluation.missing)}</ul>"
    yield "</body></html>"


def _of_naming(naming: Naming, labels: Sequence[str]) -> Iterator[str]:
    yield f"<h3>Names given to {counted(naming.clips_of_one_label, 'clip')} of one label</h3>"
    if len(labels) > _MOST_LABELS:
        yield f'<p class="note">The matrix of {len(labels):,} labels is left out; -o FILE.csv has it.</p>'
        return
    head = "".join(f'<th class="turned">{_text(label)}</th>' for label in labels)
    rows = [f"<tr><th>is ↓ named →</th>{head}</tr>"]
    for label, counts in zip(labels, naming.confusion, strict=True):
        total = max(sum(counts), 1)
        cells = "".join(
            f'<td style="background: rgba(40, 110, 180, {count / total:.2f})">{count or ""}</td>' for count in counts
        )
        rows.append(f"<tr><th>{_text(label)}</th>{cells}</tr>")
    yield f'<table class="confusion">{"".join(rows)}</table>'


def _reliability(calibration: Calibration) -> str:
    """The share that is right over the probability; a point's area stands for its pairs."""
    known = [one for one in calibration.bins if one.probability is not None and one.share is not None]
    most = max(one.pairs for one in known)
    size = _SIDE + 2 * _MARGIN
    points, circles = [], []
    for one in known:
        x, y = _MARGIN + _SIDE * (one.probability or 0.0), _MARGIN + _SIDE * (1 - (one.share or 0.0))
        points.append(f"{x:.1f},{y:.1f}")
        radius = 3 + 7 * (one.pairs / most) ** 0.5
        circles.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{one.pairs:,} pairs</title></circle>'
        )
    low, high, middle = _MARGIN, _MARGIN + _SIDE, size / 2
    return (
        f'<svg width="{size}" height="{size}" viewBox="0 0 {size} {size}" role="img" font-size="12">'
        f'<rect x="{low}" y="{low}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#999"/>'
        f'<line x1="{low}" y1="{high}" x2="{high}" y2="{low}" stroke="#bbb" stroke-dasharray="4"/>'
        f'<polyline points="{" ".join(points)}" fill="none" stroke="#286eb4"/><g fill="#286eb4">{"".join(circles)}</g>'
        f'<text x="{middle}" y="{high + 30}" text-anchor="middle">probability, 0 to 1</text>'
        f'<text x="{low - 15}" y="{middle}" text-anchor="middle" transform="rotate(-90 {low - 15} {middle})">'
        "share that is right, 0 to 1</text></svg>"
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{_text(one)}</th>" for one in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    return escape(printable(text))

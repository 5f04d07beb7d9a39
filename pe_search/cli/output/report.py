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
    shown_number,
    text_cells,
    text_columns,
)
from pe_search.cli.output.messages import counted, printable
from pe_search.cli.output.pictures import curve_picture, reliability_picture

if TYPE_CHECKING:
    from pe_search.evaluations import Evaluation, Naming

_STYLE = """
:root { color-scheme: light dark;
  --ink: #1f2328; --faint: #656d76; --line: #d1d9e0; --paper: #fff; --blue: 9, 105, 218; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --faint: #9198a1; --line: #3d444d; --paper: #0d1117; --blue: 88, 166, 255; }
}
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.5em; } h2 { font-size: 1.25em; margin-top: 2em; } h3 { font-size: 1em; margin-bottom: 0.3em; }
.wide { overflow-x: auto; margin: 0.5em 0 1.5em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2em 0.8em; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 9em; }
.confusion th:first-child { text-align: right; padding-right: 0.8em; border-bottom: 0; white-space: nowrap; }
.confusion td, .confusion td:first-child { text-align: center; min-width: 1.6em; padding: 0.2em 0.4em;
  border: 1px solid var(--line); }
.confusion th.turned { writing-mode: vertical-rl; rotate: 180deg; text-align: left; vertical-align: top;
  padding: 0.4em 0.2em; border: 0; min-width: 0; max-height: 14em; white-space: nowrap; }
.pictures { display: flex; flex-wrap: wrap; gap: 1em; margin: 0.5em 0 1.5em; }
figure { margin: 0; width: 11em; } figure.large { width: 20em; max-width: 100%; }
figcaption { font-size: 0.85em; } figcaption span, p.note { color: var(--faint); }
p.warning { border-left: 4px solid #bf8700; padding-left: 0.8em; }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif; fill: var(--faint); }
.small svg { font-size: 16px; } .small svg .axis { display: none; }
svg .frame { fill: none; stroke: var(--line); } svg .even { stroke: var(--line); stroke-dasharray: 4; }
svg .curve { fill: none; stroke: rgb(var(--blue)); stroke-width: 2; } svg .dots { fill: rgb(var(--blue)); }
"""
# A larger matrix is of no use to anybody; CSV has it all.
_MOST_LABELS = 60


def write_report(judged: Sequence[Judged], table: Path) -> None:
    """Print a report of evaluations of one table to stdout."""
    for part in _parts(judged, table):
        sys.stdout.write(f"{part}\n")


def _parts(judged: Sequence[Judged], table: Path) -> Iterator[str]:
    names = names_of(judged)
    title = f"pe-search evaluate {_text(table.name)}"
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{title}</h1>"
    heads = ["figure", *map(_head, names, judged)]
    yield _table(heads, ([name, *map(shown_figure, figures)] for name, figures in all_figures(judged)))
    yield (
        '<p class="note">In brackets: 95 % intervals, by drawing the recordings again. Clips of the same score count '
        "as the mean over all their orders.</p>"
    )
    for name, one in zip(names, judged, strict=True):
        yield f"<h2>{_text(name)}</h2>"
        yield from _of_evaluation(one.evaluation)
    yield "</body></html>"


def _head(name: str, one: Judged) -> str:
    return name if name == one.evaluation.model else f"{name} ({Path(one.evaluation.model).name})"


def _of_evaluation(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.trained_on:
        yield (
            f'<p class="warning">The checkpoint was trained on {evaluation.trained_on:,} of the '
            f"{counted(evaluation.clips, 'clip')}. Figures on these are too good.</p>"
        )
    if evaluation.calibration is not None:
        yield '<div class="pictures">'
        yield _figure(reliability_picture(evaluation.calibration), "How often a probability is right", "", "large")
        if evaluation.curve is not None:
            yield _figure(curve_picture(evaluation.curve), "Precision over recall, all together", "", "large")
        yield "</div>"
    texts = "captions" if evaluation.naming is None else "labels"
    yield f"<h3>The {texts}, each with the threshold of its best F1</h3>"
    rows = ([text.text, *text_cells(text, evaluation)] for text in evaluation.of_texts)
    yield _table([texts.removesuffix("s"), *text_columns(evaluation)], rows)
    if evaluation.naming is not None:
        yield from _curves(evaluation)
        if evaluation.naming.clips_of_one_label:
            yield from _of_naming(evaluation.naming, [text.text for text in evaluation.of_texts])
        found = [[f"{label} → {other}", f"{count:,}"] for count, label, other in mistakes(evaluation)]
        if found:
            yield _table(["label → taken for", "clips"], found)
    if evaluation.calibration is not None:
        yield "<h3>How often a probability is right</h3>"
        bins = ([bounds, *cells] for bounds, cells in bin_rows(evaluation))
        yield _table(["probability", "pairs", "mean", "right"], bins)
    if evaluation.missing:
        yield f"<h3>{counted(len(evaluation.missing), 'clip')} left out</h3>"
        yield f"<ul>{''.join(f'<li>{_text(path)}</li>' for path in evaluation.missing)}</ul>"


def _curves(evaluation: Evaluation) -> Iterator[str]:
    """Precision over recall of each label."""
    known = [(one, one.curve) for one in evaluation.of_texts if one.curve is not None]
    if not known:
        return
    yield "<h3>Precision over recall of each label</h3>"
    if len(known) > _MOST_LABELS:
        yield f'<p class="note">Those of {len(known):,} labels are left out.</p>'
        return
    yield '<div class="pictures">'
    for one, curve in known:
        yield _figure(curve_picture(curve), one.text, f"AP {shown_number(one.average_precision.value)}")
    yield "</div>"


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
            f'<td style="background: rgba(var(--blue), {0.75 * count / total:.2f})">{count or ""}</td>'
            for count in counts
        )
        rows.append(f"<tr><th>{_text(label)}</th>{cells}</tr>")
    yield f'<div class="wide"><table class="confusion">{"".join(rows)}</table></div>'


def _figure(picture: str, caption: str, more: str, kind: str = "small") -> str:
    said = f"{_text(caption)} <span>{_text(more)}</span>" if more else _text(caption)
    return f'<figure class="{kind}">{picture}<figcaption>{said}</figcaption></figure>'


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{_text(one)}</th>" for one in heads)
    body = "\n".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def _text(text: str) -> str:
    return escape(printable(text))

"""How evaluations look: tables, CSV, JSON Lines; those of several stores side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.cli.output.messages import counted, printable, shown_path
from pe_search.cli.output.rows import row_writer
from pe_search.cli.output.tables import PathTable
from pe_search.directories import milvus_address, shown_store
from pe_search.known.fields import Kind
from pe_search.parquet import Column

if TYPE_CHECKING:
    from pe_search.evaluations import Evaluation, Figure, OfText

_COLUMNS = (
    Column("store", Kind.TEXT, is_always_known=True),
    Column("figure", Kind.TEXT, is_always_known=True),
    Column("text", Kind.TEXT, is_always_known=True),
    Column("other", Kind.TEXT, is_always_known=True),
    Column("value", Kind.NUMBER),
    Column("low", Kind.NUMBER),
    Column("high", Kind.NUMBER),
)
FIGURES = {
    "clips": "clips",
    "recordings": "recordings",
    "missing_clips": "clips left out",
    "trained_on_clips": "clips that the checkpoint was trained on",
    "mean_average_precision": "mean average precision (mAP)",
    "mean_average_precision_grouped": "mAP with ties grouped, as scikit-learn",
    "mean_auroc": "mean AUROC",
    "clip_of_text_recall_at_1": "texts with a right clip first",
    "clip_of_text_recall_at_5": "texts with a right clip among the first 5",
    "clip_of_text_recall_at_10": "texts with a right clip among the first 10",
    "clip_of_text_mean_rank": "mean rank of a text's first right clip",
    "text_of_clip_recall_at_1": "clips with a right text first",
    "text_of_clip_recall_at_5": "clips with a right text among the first 5",
    "text_of_clip_recall_at_10": "clips with a right text among the first 10",
    "text_of_clip_mean_rank": "mean rank of a clip's first right text",
    "naming_accuracy": "clips named rightly",
    "best_threshold": "threshold with the best F1",
    "best_f1": "F1 there",
    "best_precision": "precision there",
    "best_recall": "recall there",
    "calibration_error": "calibration error (ECE)",
    "brier_score": "Brier score",
    "frame_clips": "clips listened to",
    "frame_events": "events in them",
    "frame_auroc": "frame AUROC",
    "event_f1": "event F1 of the spans",
    "event_f1_best": "event F1 at the best thresholds",
    "segment_f1": "segment F1 of the spans",
    "segment_f1_best": "segment F1 at the best thresholds",
    "psds1": "PSDS 1, for exact times",
    "psds2": "PSDS 2, for right names",
}
"""What the figures of all texts are called, for people."""

_UNKNOWN = "-"
_MOST_MISTAKES = 10


class EvaluationFormat(StrEnum):
    """The ways to print evaluations; `json` means `jsonl`."""

    TABLE = "table"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Judged:
    """An evaluation with what was evaluated.

    Attributes:
        source: The folder of the store, or without a store the name of the checkpoint.
        evaluation: The evaluation.
    """

    source: Path | str
    evaluation: Evaluation

    @property
    def name(self) -> str:
        """The folder or address of the store, or the name of the checkpoint."""
        return self.source if isinstance(self.source, str) else shown_store(self.source)


def write_evaluations(judged: Sequence[Judged], evaluation_format: EvaluationFormat) -> None:
    """Print evaluations of one table to stdout: but for tables, a row for each figure."""
    if evaluation_format is EvaluationFormat.TABLE:
        _write_tables(judged)
        sys.stdout.flush()
        return
    with row_writer(_COLUMNS, evaluation_format.value) as rows:
        for one in judged:
            rows.write_all((one.name, *row) for row in one.evaluation.rows())


def names_of(judged: Sequence[Judged]) -> list[str]:
    """Of the stores and checkpoints, as short as they differ."""
    short = [Path(one.source).name for one in judged]
    if len(set(short)) == len(short):
        return short
    return [one.source if isinstance(one.source, str) else shown_source(one.source) for one in judged]


def shown_source(store: Path) -> str:
    """A store for people: its address, or its folder relative to the working directory."""
    return milvus_address(store) or shown_path(store)


def all_figures(judged: Sequence[Judged]) -> Iterator[tuple[str, list[Figure | None]]]:
    """The name of each figure, for people, and its value for each store; None for a store without it."""
    by_store = [dict(one.evaluation.figures()) for one in judged]
    for key, name in FIGURES.items():
        if any(key in figures for figures in by_store):
            yield name, [figures.get(key) for figures in by_store]


def shown_figure(figure: Figure | None) -> str:
    """A figure with its interval, for people."""
    if figure is None:
        return _UNKNOWN
    value = shown_number(figure.value)
    return value if figure.low is None else f"{value} ({shown_number(figure.low)}–{shown_number(figure.high)})"


def shown_number(value: float | None) -> str:
    """A number for people."""
    if value is None:
        return _UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def text_columns(evaluation: Evaluation) -> list[str]:
    """The columns of the table of texts."""
    columns = ["clips", "AP", "AUROC", "threshold", "precision", "recall", "F1"]
    return columns if evaluation.frames is None else [*columns, "frame AUROC", "event F1", "segment F1"]


def text_cells(text: OfText, evaluation: Evaluation) -> list[str]:
    """The values of a text in these columns."""
    best = text.best
    of_best = (None,) * 4 if best is None else (best.probability, best.precision, best.recall, best.f1)
    cells = [text.clips, text.average_precision.value, text.auroc.value, *of_best]
    if evaluation.frames is not None:
        cells += [text.frame_auroc, text.event_f1, text.segment_f1]
    return [shown_number(cell) for cell in cells]


def mistakes(evaluation: Evaluation) -> list[tuple[int, str, str]]:
    """Clips that were named wrongly: how many, what they are, and what they were taken for; the most frequent first."""
    if evaluation.naming is None:
        return []
    texts = [one.text for one in evaluation.of_texts]
    found = [
        (count, texts[row], texts[column])
        for row, counts in enumerate(evaluation.naming.confusion)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    return sorted(found, key=lambda one: -one[0])


def bin_rows(evaluation: Evaluation) -> Iterator[tuple[str, list[str]]]:
    """The bins of the calibration that have pairs: their bounds, and pairs, mean probability and share."""
    for one in () if evaluation.calibration is None else evaluation.calibration.bins:
        if one.pairs:
            cells = [shown_number(one.pairs), shown_number(one.probability), shown_number(one.share)]
            yield f"{one.low:.1f}–{one.high:.1f}", cells


def _write_tables(judged: Sequence[Judged]) -> None:
    names = names_of(judged)
    table = PathTable()
    for name in names if len(names) > 1 else ["value"]:
        table.add_column(printable(name), right=True)
    table.add_column("figure")
    for name, figures in all_figures(judged):
        table.add_row(*map(shown_figure, figures), name)
    table.write()
    # Of captions there are as many as clips.
    if judged[0].evaluation.naming is not None:
        _write_texts(judged, names)
    for one, name in zip(judged, names, strict=True):
        of_store = f" ({printable(name)})" if len(judged) > 1 else ""
        _write_mistakes(one.evaluation, of_store)
        _write_bins(one.evaluation, of_store)


def _write_texts(judged: Sequence[Judged], names: Sequence[str]) -> None:
    if len(judged) > 1:
        rows = [
            (texts[0].text, [shown_number(one.average_precision.value) for one in texts])
            for texts in zip(*(one.evaluation.of_texts for one in judged), strict=True)
        ]
        _write("average precision of each label", names, "label", rows)
        return
    evaluation = judged[0].evaluation
    rows = [(one.text, text_cells(one, evaluation)) for one in evaluation.of_texts]
    _write("labels, each with the threshold of its best F1", text_columns(evaluation), "label", rows)


def _write_mistakes(evaluation: Evaluation, of_store: str) -> None:
    found = mistakes(evaluation)
    if found and evaluation.naming is not None:
        wrong = sum(count for count, _, _ in found)
        title = f"{wrong:,} of {counted(evaluation.naming.clips_of_one_label, 'clip')} named wrongly{of_store}"
        shown = [(f"{one} → {other}", [f"{count:,}"]) for count, one, other in found[:_MOST_MISTAKES]]
        _write(title, ["clips"], "label → taken for", shown)
        if len(found) > _MOST_MISTAKES:
            sys.stdout.write(f"and {counted(len(found) - _MOST_MISTAKES, 'other mistake')}\n")


def _write_bins(evaluation: Evaluation, of_store: str) -> None:
    rows = list(bin_rows(evaluation))
    if rows:
        title = f"how often a probability is right{of_store}"
        _write(title, ["pairs", "mean", "right"], "probability", rows)


def _write(title: str, columns: Sequence[str], last: str, rows: Iterable[tuple[str, Sequence[str]]]) -> None:
    table = PathTable(title)
    for name in columns:
        table.add_column(printable(name), right=True)
    table.add_column(last)
    for text, cells in rows:
        table.add_row(*cells, printable(text))
    sys.stdout.write("\n")
    table.write()

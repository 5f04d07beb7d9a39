"""How spans look: under the hits of a query, or by themselves; as table, paths, JSON Lines, CSV."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pe_search.cli.output.hits import (
    HIT_FIELDS,
    HitFormat,
    Rows,
    add_hit,
    hit_table,
    hit_values,
    times,
    write_paths,
    write_renderable,
)
from pe_search.cli.output.messages import printable, shown_path
from pe_search.records import Hit, Span, Trace

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement

_SPAN_FIELDS = ("start_s", "end_s", "probability")
_SPAN_COLUMNS = tuple(f"span_{field}" for field in _SPAN_FIELDS)
_TRACE_FIELDS = ("query", "path", *_SPAN_FIELDS)
_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#"


def write_traces(clips: Iterable[Sequence[Trace]], trace_format: HitFormat, *, null: bool = False) -> int:
    """Print the spans of each clip to stdout as they come.

    Args:
        clips: The traces of one clip after the other.
        trace_format: How to print them. `PATHS` prints each clip once in which something is heard.
        null: With `PATHS`, end each path with a NUL byte instead of a newline.

    Returns:
        The number of spans.
    """
    rows = Rows(_TRACE_FIELDS, as_csv=trace_format is HitFormat.CSV)
    count = 0
    for traces in clips:
        heard = [trace for trace in traces if trace.spans]
        if trace_format is HitFormat.PATHS:
            write_paths((trace.path for trace in heard[:1]), null=null)
        for trace in heard:
            if trace_format is HitFormat.TABLE:
                _write_trace(trace)
            elif trace_format is not HitFormat.PATHS:
                for span in trace.spans:
                    rows.write((trace.query, str(trace.path), *_span_values(span)))
            count += len(trace.spans)
        sys.stdout.buffer.flush()
    return count


def write_hits_with_traces(answers: Iterable[Sequence[tuple[Hit, Trace | None]]], hit_format: HitFormat) -> int:
    """Print the hits of each query to stdout as they come, each with its spans.

    JSON Lines have one more key, `spans`: a list, or null where the clip could not be listened to. CSV has a row for
    each span, and one with empty fields for a hit without.

    Args:
        answers: The hits of one query after the other, each with its trace.
        hit_format: How to print them; not `PATHS`, which has no place for spans.

    Returns:
        The number of hits.
    """
    as_csv = hit_format is HitFormat.CSV
    rows = Rows((*HIT_FIELDS, *(_SPAN_COLUMNS if as_csv else ("spans",))), as_csv=as_csv)
    count = 0
    for hits in answers:
        if hit_format is HitFormat.TABLE:
            _write_hits(hits)
        for hit, trace in hits if hit_format is not HitFormat.TABLE else ():
            heard = None if trace is None else [_span_values(span) for span in trace.spans]
            if as_csv:
                for values in heard or ():
                    rows.write((*hit_values(hit), *values))
                if not heard:
                    rows.write((*hit_values(hit), *("" for _ in _SPAN_COLUMNS)))
            else:
                spans = None if heard is None else [dict(zip(_SPAN_FIELDS, values, strict=True)) for values in heard]
                rows.write((*hit_values(hit), spans))
        sys.stdout.buffer.flush()
        count += len(hits)
    return count


def _span_values(span: Span) -> tuple[float, float, float]:
    return round(span.start_s, 6), round(span.end_s, 6), span.probability


def _write_trace(trace: Trace) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", style="green")
    table.add_column(justify="right", style="cyan", no_wrap=True)
    for span in trace.spans:
        table.add_row(f"{span.probability:.2f}", times(span.start_s, span.end_s))
    write_renderable(Text(printable(trace.query), style="bold").append(f"  {shown_path(trace.path)}", style="not bold"))
    write_renderable(_Strip(trace))
    write_renderable(table)


def _write_hits(hits: Sequence[tuple[Hit, Trace | None]]) -> None:
    if not hits:
        return
    table = hit_table(hits[0][0].query)
    for hit, trace in hits:
        add_hit(table, hit)
        if trace is not None:
            table.add_row("", "", "", "", _Strip(trace))
            for span in trace.spans:
                table.add_row("", f"{span.probability:.2f}", "", times(span.start_s, span.end_s), "")
    write_renderable(table)


class _Strip:
    """The probability over the clip in one line that is as wide as there is room: each character the most of its share.

    A rich renderable. Where stdout has no block characters it is drawn in ASCII.
    """

    def __init__(self, trace: Trace) -> None:
        self._probabilities = trace.probabilities

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        levels = _BLOCKS if _can_encode(_BLOCKS) else _ASCII
        frames = len(self._probabilities)
        width = min(options.max_width, frames)
        peaks = [self._probabilities[frames * n // width : frames * (n + 1) // width].max() for n in range(width)]
        yield Text("".join(levels[min(int(peak * len(levels)), len(levels) - 1)] for peak in peaks), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement(1, min(options.max_width, len(self._probabilities)))


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True

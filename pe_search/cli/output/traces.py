"""How spans look: under the hits of a query, or by themselves; as table, paths, JSON Lines, CSV."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from pe_search.cli.output.hit_parts import HitParts
from pe_search.cli.output.hits import HitFormat, add_span, times
from pe_search.cli.output.messages import printable, shown_path
from pe_search.cli.output.rows import row_writer, write_paths
from pe_search.cli.output.tables import can_encode, strip_room, with_path, write_renderable
from pe_search.known import fields
from pe_search.parquet import Column
from pe_search.queries import Hit, Span, Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement

    from pe_search.cli.output.tables import PathTable

_SPAN_FIELDS = ("start_s", "end_s", "probability")
_TRACE_COLUMNS = [
    *(Column(name, fields.Kind.TEXT) for name in ("query", "path")),
    *(Column(name, fields.Kind.NUMBER) for name in _SPAN_FIELDS),
]
_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#"


class TraceWriter:
    """Prints the spans of each clip to stdout as they come, in a `with` statement, at whose end all are printed.

    Args:
        trace_format: How to print them; none of those for other programs. `PATHS` prints each clip once in which
            something is heard.
        null: With `PATHS`, end each path with a NUL byte instead of a newline.

    Attributes:
        count: How many spans were printed.
    """

    def __init__(self, trace_format: HitFormat, *, null: bool = False) -> None:
        self.count = 0
        self._format = trace_format
        self._null = null
        self._end = ExitStack()
        has_rows = trace_format not in (HitFormat.PATHS, HitFormat.TABLE)
        self._rows = row_writer(_TRACE_COLUMNS, trace_format.value) if has_rows else None

    def __enter__(self) -> Self:
        if self._rows is not None:
            self._end.enter_context(self._rows)
        return self

    def __exit__(self, *error: object) -> None:
        self._end.__exit__(*error)  # type: ignore[arg-type]

    def write(self, traces: Sequence[Trace]) -> None:
        """Print the traces of one clip."""
        heard = [trace for trace in traces if trace.spans]
        if self._rows is not None:
            self._rows.write_all(
                (trace.query, str(trace.path), *_span_values(span)) for trace in heard for span in trace.spans
            )
        elif self._format is HitFormat.PATHS:
            write_paths((trace.path for trace in heard[:1]), null=self._null)
        else:
            for trace in heard:
                _write_trace(trace)
        self.count += sum(len(trace.spans) for trace in heard)
        sys.stdout.buffer.flush()


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
    query = printable(trace.query)
    heading = Text(with_path(query, shown_path(trace.path)))
    heading.stylize("bold", 0, len(query))
    write_renderable(heading)
    width = strip_room()
    write_renderable(_Strip(trace), width)
    write_renderable(table, width)


def _add_trace(table: PathTable, hit: Hit, trace: Trace | None) -> None:
    if trace is not None:
        table.add_strip(_Strip(trace))
        for span in trace.spans:
            add_span(table, hit, span)


def strip_of(probabilities: NDArray[np.float32], width: int) -> str:
    """Probabilities in one line of at most so many characters: each is the most of its share."""
    levels = _BLOCKS if can_encode(_BLOCKS) else _ASCII
    frames = len(probabilities)
    width = min(width, frames)
    peaks = [probabilities[frames * n // width : frames * (n + 1) // width].max() for n in range(width)]
    return "".join(levels[min(int(peak * len(levels)), len(levels) - 1)] for peak in peaks)


class _Strip:
    """The probability over the clip in one line that is as wide as there is room: each character the most of its share.

    A rich renderable. Where stdout has no block characters it is drawn in ASCII.
    """

    def __init__(self, trace: Trace) -> None:
        self._probabilities = trace.probabilities

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield Text(strip_of(self._probabilities, options.max_width), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement(1, min(options.max_width, len(self._probabilities)))


SPANS: HitParts[Trace | None] = HitParts(
    "spans",
    {field: Column(f"span_{field}", fields.Kind.NUMBER) for field in _SPAN_FIELDS},
    lambda trace: None if trace is None else [_span_values(span) for span in trace.spans],
    _add_trace,
)
"""What `HitPartsWriter` prints with each hit; None where the clip could not be listened to."""
